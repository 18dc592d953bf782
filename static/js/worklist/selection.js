// Selecting rows: one, a range by Shift and a click, the page, or everything that was found.

let last = null; // the box that was used last; a range begins there

function boxes() {
  return [...document.querySelectorAll("input[name=selected]")];
}

export function showSelection() {
  const form = document.querySelector("[data-bulk]");
  if (!form) return;
  const all = form.querySelector("[data-bulk-all]");
  const chosen = boxes().filter((box) => box.checked).length;
  const number = all?.checked ? Number(all.dataset.total) : chosen;
  form.classList.toggle("is-idle", number === 0);
  const count = form.querySelector("[data-bulk-count]");
  count.textContent = number ? count.dataset.text.replace("{n}", number.toLocaleString()) : "";
  const page = document.querySelector("[data-select-page]");
  if (page) {
    page.checked = chosen > 0 && chosen === boxes().length;
    page.indeterminate = chosen > 0 && !page.checked;
  }
}

function selectRange(box) {
  const all = boxes();
  const ends = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
  if (ends[0] < 0) return;
  for (const each of all.slice(ends[0], ends[1] + 1)) each.checked = box.checked;
}

export function bindSelection() {
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!box.matches?.("input[name=selected]")) return;
    if (event.shiftKey && last) selectRange(box);
    last = box;
  });
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-select-page]")) {
      for (const each of boxes()) each.checked = box.checked;
    }
    if (box.matches("[data-select-page], [data-bulk-all], input[name=selected]")) showSelection();
  });
  // The Back button restores ticked boxes after this script has run.
  window.addEventListener("pageshow", showSelection);
}
