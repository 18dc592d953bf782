// Fills the age from the date of birth and the exam date, both of which may be typed or filled in
// from a file. An age that was typed is left alone: the server says if it contradicts the dates.

const birth = document.querySelector("input[name=patient_birth_date]");
const exam = document.querySelector("input[name=exam_date]");
const age = document.querySelector("input[name=patient_age_years]");

// Completed years; null unless both dates are complete and in order.
function completedYears(born, examined) {
  if (!born || !examined || born > examined) return null;
  const years = Number(examined.slice(0, 4)) - Number(born.slice(0, 4));
  return years - (examined.slice(5) < born.slice(5) ? 1 : 0);
}

function fillAge() {
  const years = completedYears(birth.value, exam.value);
  if (years === null || years > Number(age.max)) return;
  const isTyped = !["", age.dataset.counted, age.dataset.filled].includes(age.value);
  if (isTyped) return;
  age.value = years;
  age.dataset.counted = age.value;
}

if (birth && exam && age) {
  // An age that fits the dates follows them when they are corrected.
  const years = completedYears(birth.value, exam.value);
  if (years !== null && age.value === String(years)) age.dataset.counted = age.value;
  for (const field of [birth, exam]) field.addEventListener("change", fillAge);
}
