// The form of a new reading: drop zone, preview, what a DICOM file states, progress of sending.
// Without this script the form is a plain form and works.

const form = document.querySelector("form[data-upload]");
const input = form.querySelector("input[type=file]");
const drop = form.querySelector("[data-drop]");
const preview = form.querySelector("[data-preview]");
const picture = preview.querySelector("img");
const caption = preview.querySelector("figcaption");
const errorBox = form.querySelector("[data-film-error]");
const button = form.querySelector("button[type=submit]");
const label = form.querySelector("[data-send-label]");
const progress = form.querySelector("[data-progress]");
const text = form.dataset;
const idleLabel = label.textContent;
let shownUrl = null;
let chosen = 0;

function fail(message) {
  errorBox.textContent = message;
}

function show(url, description) {
  if (shownUrl) URL.revokeObjectURL(shownUrl);
  shownUrl = url.startsWith("blob:") ? url : null;
  picture.src = url;
  caption.textContent = description;
  preview.hidden = false;
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function clearFilled() {
  for (const field of form.querySelectorAll("[data-filled]")) {
    if (field.value === field.dataset.filled) field.value = field.dataset.before;
    unmark(field);
  }
}

function unmark(field) {
  delete field.dataset.filled;
  form.querySelector(`label[for="${field.id}"]`)?.classList.remove("from-file");
}

function fill(fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = form.elements[name];
    const untouched = name === "exam_date" ? field.value === field.defaultValue : !field.value;
    if (!field || !untouched) continue;
    field.dataset.before = field.value;
    field.dataset.filled = value;
    field.value = value;
    const fieldLabel = form.querySelector(`label[for="${field.id}"]`);
    fieldLabel.classList.add("from-file");
    fieldLabel.dataset.fromFile = text.textFromFile;
    field.addEventListener("input", () => unmark(field), { once: true });
  }
}

function loads(url) {
  return new Promise((resolve) => {
    const probe = new Image();
    probe.onload = () => resolve([probe.naturalWidth, probe.naturalHeight]);
    probe.onerror = () => resolve(null);
    probe.src = url;
  });
}

async function inspect(file, turn) {
  caption.textContent = text.textLooking;
  picture.removeAttribute("src");
  preview.hidden = false;
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.append("film", file);
  let answer;
  try {
    const response = await fetch(text.inspectUrl, { method: "POST", body });
    answer = await response.json();
  } catch {
    answer = { ok: false, error: text.textOffline };
  }
  if (turn !== chosen) return;
  if (!answer.ok) {
    preview.hidden = true;
    fail(answer.error);
    return;
  }
  show(answer.preview, `${file.name} · ${answer.format} · ${answer.width}×${answer.height} · ${size(file.size)}`);
  fill(answer.fields);
}

async function choose() {
  const turn = ++chosen;
  const file = input.files[0];
  fail("");
  clearFilled();
  preview.hidden = true;
  if (!file) return;
  if (file.size > Number(text.maxBytes)) {
    fail(text.textTooLarge);
    return;
  }
  const url = URL.createObjectURL(file);
  const sides = await loads(url);
  if (turn !== chosen) return;
  if (sides) {
    show(url, `${file.name} · ${sides[0]}×${sides[1]} · ${size(file.size)}`);
  } else {
    URL.revokeObjectURL(url);
    await inspect(file, turn);
  }
}

function busy(on) {
  button.setAttribute("aria-disabled", on);
  button.classList.toggle("is-busy", on);
  label.textContent = on ? text.textSending : idleLabel;
  progress.hidden = !on;
  form.dataset.sending = on ? "true" : "";
}

function showAnswer(request) {
  if (request.status === 201) {
    window.location.assign(JSON.parse(request.responseText).location);
    return;
  }
  if (request.getResponseHeader("Content-Type")?.startsWith("text/html") && request.status === 422) {
    const answer = new DOMParser().parseFromString(request.responseText, "text/html");
    mend(answer);
    busy(false);
    return;
  }
  // Anything else (signed out, no model, too old a form) has a page of its own.
  const answer = new DOMParser().parseFromString(request.responseText, "text/html");
  const page = answer.querySelector("main");
  if (!page || request.responseURL !== window.location.href) {
    window.location.assign(request.responseURL || window.location.href);
    return;
  }
  document.title = answer.title;
  document.querySelector("main").replaceWith(page);
  page.focus();
}

// Puts the answer's complaint about a field, or none, under the same field of this form.
function mendField(mine, theirs) {
  const complaint = theirs.querySelector(".invalid-feedback");
  const control = mine.querySelector("input, select, textarea");
  mine.querySelector(".invalid-feedback")?.remove();
  control.classList.toggle("is-invalid", Boolean(complaint));
  control.removeAttribute("aria-invalid");
  control.removeAttribute("aria-describedby");
  if (!complaint) return;
  control.after(complaint);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", complaint.id);
}

// Shows the errors of the answer in the form as it stands: the chosen film is not lost.
function mend(answer) {
  form.querySelector("[data-error-summary]")?.remove();
  const summary = answer.querySelector("[data-error-summary]");
  form.elements.submission.value = answer.querySelector("input[name=submission]").value;
  fail(answer.querySelector("[data-film-error]").textContent.trim());
  for (const mine of form.querySelectorAll("[id^=div_id_]")) {
    mendField(mine, answer.getElementById(mine.id));
  }
  if (!summary) return;
  summary.querySelector("div > p")?.remove();
  form.prepend(summary);
  summary.focus();
}

function send(event) {
  event.preventDefault();
  if (form.dataset.sending) return;
  const request = new XMLHttpRequest();
  request.open("POST", form.action || window.location.href);
  request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
  request.upload.addEventListener("progress", (sent) => {
    if (sent.lengthComputable) progress.value = (100 * sent.loaded) / sent.total;
  });
  request.upload.addEventListener("load", () => {
    label.textContent = text.textReading;
    progress.removeAttribute("value");
  });
  request.addEventListener("load", () => showAnswer(request));
  request.addEventListener("error", () => {
    busy(false);
    fail(text.textOffline);
  });
  busy(true);
  request.send(new FormData(form));
}

input.addEventListener("change", choose);
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
}
for (const name of ["dragleave", "drop"]) {
  drop.addEventListener(name, () => drop.classList.remove("is-over"));
}
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!event.dataTransfer.files.length) return;
  input.files = event.dataTransfer.files;
  choose();
});
form.addEventListener("submit", send);
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
