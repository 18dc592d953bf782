// A search replaces the list but not the form, so the numbers beside its choices are brought up to
// date here.

export function showCounts() {
  const counted = document.querySelector("[data-worklist]")?.dataset.counted ?? "";
  for (const entry of counted.split(" ").filter(Boolean)) {
    const [name, value, number] = entry.split(":");
    const option = document.querySelector(
      `.worklist-search select[name="${name}"] option[value="${value}"]`,
    );
    if (option) option.textContent = `${option.textContent.replace(/ \(\d+\)$/, "")} (${number})`;
  }
}
