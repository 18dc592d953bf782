// Fills the age from the date of birth and the exam date, both of which may be typed or filled in
// from a file. An age that was typed is left alone: the server says if it contradicts the dates.

const birth = document.querySelector("input[name=patient_birth_date]");
const exam = document.querySelector("input[name=exam_date]");
const age = document.querySelector("input[name=patient_age_years]");

const ROC_OFFSET = 1911;

// A typed date as YYYY-MM-DD, "" for anything else: 2023-05-01, 112/5/1, 民國112年5月1日, 1120501.
// A year of at most three digits is one of the Republic. The server reads the same.
function isoDate(text) {
  const folded = text.normalize("NFKC").replace(/\s+/g, "");
  const parts =
    folded.match(/^(民國|roc)?(\d{1,4})[年/.-](\d{1,2})[月/.-](\d{1,2})日?$/i) ??
    folded.match(/^(民國|roc)?(\d{2,4})(\d\d)(\d\d)$/i);
  if (!parts) return "";
  const isRoc = parts[1] || parts[2].length <= 3;
  const year = Number(parts[2]) + (isRoc ? ROC_OFFSET : 0);
  return [String(year).padStart(4, "0"), parts[3].padStart(2, "0"), parts[4].padStart(2, "0")].join(
    "-",
  );
}

// Completed years; null unless both dates are complete and in order.
function completedYears(born, examined) {
  if (!born || !examined || born > examined) return null;
  const years = Number(examined.slice(0, 4)) - Number(born.slice(0, 4));
  return years - (examined.slice(5) < born.slice(5) ? 1 : 0);
}

function fillAge() {
  const years = completedYears(isoDate(birth.value), isoDate(exam.value));
  if (years === null || years > Number(age.max)) return;
  const isTyped = !["", age.dataset.counted, age.dataset.filled].includes(age.value);
  if (isTyped) return;
  age.value = years;
  age.dataset.counted = age.value;
}

if (birth && exam && age) {
  // An age that fits the dates follows them when they are corrected.
  const years = completedYears(isoDate(birth.value), isoDate(exam.value));
  if (years !== null && age.value === String(years)) age.dataset.counted = age.value;
  for (const field of [birth, exam]) field.addEventListener("change", fillAge);
}
