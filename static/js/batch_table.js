// The table of a batch: rows that fill in while files are read, and patient data typed in it.

const POLL_MS = 1000;
const SLOW_MS = 3000;
const FAST_POLLS = 60;
const ROWS_AT_ONCE = 100; // a form has at most 1000 fields
const FIELDS = "input:not([type=hidden]), select";

const table = () => document.querySelector("[data-rows] tbody");
const fieldsOf = (row) => [...row.querySelectorAll(FIELDS)];
const isEdited = (field) =>
  field.tagName === "SELECT"
    ? [...field.options].some((option) => option.selected !== option.defaultSelected) &&
      !(field.selectedIndex === 0 && ![...field.options].some((option) => option.defaultSelected))
    : field.value !== field.defaultValue;

export const isRowEdited = (row) => fieldsOf(row).some(isEdited);
export const hasEdits = () => [...(table()?.rows ?? [])].some(isRowEdited);

// Replaces rows that have changed, adds new ones. What is being typed in a row stays.
function mergeRow(fresh, { force, mayAdd }) {
  const shown = document.getElementById(fresh.id);
  if (!shown) {
    if (mayAdd) table().append(fresh);
    return;
  }
  if (shown.dataset.stamp === fresh.dataset.stamp) return;
  if (!force && isRowEdited(shown) && fieldsOf(fresh).length) return;
  const focused = shown.contains(document.activeElement) ? document.activeElement.name : "";
  shown.replaceWith(fresh);
  if (focused) fresh.querySelector(`[name="${focused}"]`)?.focus();
}

// Puts rows and the summary of an answer of the server on the page.
export function merge(html, { force = false, mayAdd = true } = {}) {
  if (!table()) return;
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const row of [...page.querySelectorAll("tr[data-item]")]) mergeRow(row, { force, mayAdd });
  if (table().rows.length) document.querySelector("[data-batch-empty]")?.remove();
  const summary = page.getElementById("batch-summary");
  if (summary) document.getElementById("batch-summary")?.replaceWith(summary);
}

// Following what is being read ----------------------------------------------------------------

let _timer = null;
let polls = 0;

async function poll(url) {
  _timer = null;
  const summary = document.getElementById("batch-summary");
  const filter = new URLSearchParams(window.location.search);
  const mayAdd = !filter.has("show") && !filter.has("page");
  try {
    const after = encodeURIComponent(summary.dataset.after);
    const response = await fetch(`${url}?after=${after}`, { redirect: "error" });
    if (response.ok) merge(await response.text(), { mayAdd });
    else if (response.status < 500) return;
  } catch {
    // No connection: the next poll may have one. Signed out: the dialog of the session says so.
    if (navigator.onLine) polls += FAST_POLLS;
  }
  polls += 1;
  const isMoving = document.getElementById("batch-summary").dataset.moving !== "0";
  if (isMoving && polls < 100 * FAST_POLLS) schedule(url);
}

function schedule(url) {
  _timer ??= setTimeout(() => poll(url), polls < FAST_POLLS ? POLL_MS : SLOW_MS);
}

// Shows what becomes of the files, until nothing moves any more.
export function follow(url) {
  polls = 0;
  schedule(url);
}

// Saving --------------------------------------------------------------------------------------

function content(form, rows, only) {
  const data = new FormData();
  data.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  if (form.elements.batch) data.append("batch", form.elements.batch.value);
  if (only) data.append("only", only);
  for (const row of rows) for (const field of fieldsOf(row)) data.append(field.name, field.value);
  return data;
}

async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { "X-Requested-With": "XMLHttpRequest" },
    redirect: "error",
  });
  if (!response.ok) throw new Error(`Status ${response.status}`);
  merge(await response.text(), { force: true });
}

async function save(form, button) {
  const rows = [...table().rows].filter((row) => fieldsOf(row).length);
  const only = button?.value ?? "";
  if (only) {
    await post(form.action, content(form, [button.closest("tr")], only));
    return;
  }
  for (let start = 0; start < rows.length; start += ROWS_AT_ONCE) {
    await post(form.action, content(form, rows.slice(start, start + ROWS_AT_ONCE), ""));
  }
}

async function onSubmit(event, { text, rowsUrl }) {
  const form = event.target;
  const button = event.submitter;
  if (button?.hasAttribute("formaction") && !("act" in button.dataset)) return;
  event.preventDefault();
  const said = form.querySelector("[data-saved]");
  said.textContent = "";
  try {
    if (button && "act" in button.dataset) await post(button.formAction, content(form, [], ""));
    else await save(form, button);
    if (rowsUrl()) follow(rowsUrl());
  } catch {
    said.textContent = text.textUnsaved;
  }
}

// Cells copied from a spreadsheet fill the inputs to the right and below.
function onPaste(event) {
  const field = event.target.closest(FIELDS);
  const copied = event.clipboardData.getData("text/plain").replace(/\r?\n$/, "");
  if (!field || !/[\t\n]/.test(copied)) return;
  event.preventDefault();
  const rows = [...table().rows].filter((row) => fieldsOf(row).length);
  const firstRow = rows.indexOf(field.closest("tr"));
  const firstColumn = fieldsOf(rows[firstRow]).indexOf(field);
  for (const [down, line] of copied.split(/\r?\n/).entries()) {
    for (const [right, cell] of line.split("\t").entries()) {
      const target = rows[firstRow + down] && fieldsOf(rows[firstRow + down])[firstColumn + right];
      if (target) fill(target, cell.trim());
    }
  }
}

function fill(field, value) {
  const date = /^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})$/.exec(value);
  if (field.type === "date" && date) {
    field.value = [date[1], date[2].padStart(2, "0"), date[3].padStart(2, "0")].join("-");
  } else if (field.tagName === "SELECT") {
    const match = [...field.options].find((option) => [option.value, option.text].includes(value));
    if (match) field.value = match.value;
  } else {
    field.value = value;
  }
}

// `text` has the messages, `rowsUrl` returns the address of the batch's rows, "" in the inbox.
export function bindTable(form, { text, rowsUrl }) {
  form.addEventListener("submit", (event) => onSubmit(event, { text, rowsUrl }));
  form.addEventListener("paste", onPaste);
}
