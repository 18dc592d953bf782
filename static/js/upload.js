// The form for a new reading: drop zone, preview, fields filled from a DICOM file, upload progress.
// Without this script, the form is sent as an ordinary form.

const form = document.querySelector("form[data-upload]");
const input = form.querySelector("input[type=file]");
const dropZone = form.querySelector("[data-drop]");
const preview = form.querySelector("[data-preview]");
const image = preview.querySelector("img");
const caption = preview.querySelector("figcaption");
const filmError = form.querySelector("[data-film-error]");
const button = form.querySelector("button[type=submit]");
const buttonLabel = form.querySelector("[data-send-label]");
const progress = form.querySelector("[data-progress]");
const text = form.dataset;
const idleLabel = buttonLabel.textContent;
let objectUrl = null; // of the previewed file, to be revoked
let selection = 0; // counts selected files, to ignore a response to an earlier one

function showFilmError(message) {
  filmError.textContent = message;
}

function showPreview(url, description) {
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = url.startsWith("blob:") ? url : null;
  image.src = url;
  caption.textContent = description;
  preview.hidden = false;
}

function formatSize(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

// Fields filled from a file -------------------------------------------------------------------

const labelOf = (field) => form.querySelector(`label[for="${field.id}"]`);

function unmarkFilled(field) {
  delete field.dataset.filled;
  labelOf(field)?.classList.remove("from-file");
}

// Undoes what the previous file filled in, except where the user has edited it since.
function clearFilledFields() {
  for (const field of form.querySelectorAll("[data-filled]")) {
    if (field.value === field.dataset.filled) field.value = field.dataset.before;
    unmarkFilled(field);
  }
}

function fillFields(values) {
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements[name];
    if (!field) continue;
    // The exam date starts with a default; the other fields start empty.
    const isEdited = name === "exam_date" ? field.value !== field.defaultValue : field.value;
    if (isEdited) continue;
    field.dataset.before = field.value;
    field.dataset.filled = value;
    field.value = value;
    const label = labelOf(field);
    label.classList.add("from-file");
    label.dataset.fromFile = text.textFromFile;
    field.addEventListener("input", () => unmarkFilled(field), { once: true });
  }
}

// Selecting a file ----------------------------------------------------------------------------

// Resolves to [width, height], or to null if the browser cannot display the file.
function imageSize(url) {
  return new Promise((resolve) => {
    const probe = new Image();
    probe.onload = () => resolve([probe.naturalWidth, probe.naturalHeight]);
    probe.onerror = () => resolve(null);
    probe.src = url;
  });
}

// Lets the server render a file that the browser cannot display, such as DICOM.
async function inspect(file, current) {
  caption.textContent = text.textLooking;
  image.removeAttribute("src");
  preview.hidden = false;
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.append("film", file);
  let result;
  try {
    const response = await fetch(text.inspectUrl, { method: "POST", body });
    result = await response.json();
  } catch {
    result = { ok: false, error: text.textOffline };
  }
  if (current !== selection) return;
  if (!result.ok) {
    preview.hidden = true;
    showFilmError(result.error);
    return;
  }
  const size = `${result.width}×${result.height}`;
  const description = [file.name, result.format, size, formatSize(file.size)].join(" · ");
  showPreview(result.preview, description);
  fillFields(result.fields);
}

async function selectFile() {
  selection += 1;
  const current = selection;
  const file = input.files[0];
  showFilmError("");
  clearFilledFields();
  preview.hidden = true;
  if (!file) return;
  if (file.size > Number(text.maxBytes)) {
    showFilmError(text.textTooLarge);
    return;
  }
  const url = URL.createObjectURL(file);
  const size = await imageSize(url);
  if (current !== selection) return;
  if (size) {
    showPreview(url, [file.name, size.join("×"), formatSize(file.size)].join(" · "));
  } else {
    URL.revokeObjectURL(url);
    await inspect(file, current);
  }
}

// Sending -------------------------------------------------------------------------------------

function setBusy(isBusy) {
  button.setAttribute("aria-disabled", isBusy);
  button.classList.toggle("is-busy", isBusy);
  buttonLabel.textContent = isBusy ? text.textSending : idleLabel;
  progress.hidden = !isBusy;
  form.dataset.sending = isBusy ? "true" : "";
}

// Shows the response's error for one field, or removes the error shown before.
function updateFieldError(group, responseGroup) {
  const error = responseGroup.querySelector(".invalid-feedback");
  const control = group.querySelector("input, select, textarea");
  group.querySelector(".invalid-feedback")?.remove();
  control.classList.toggle("is-invalid", Boolean(error));
  control.removeAttribute("aria-invalid");
  control.removeAttribute("aria-describedby");
  if (!error) return;
  control.after(error);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", error.id);
}

// Copies the errors into the current form. Replacing the form would lose the selected file.
function showErrors(page) {
  form.querySelector("[data-error-summary]")?.remove();
  const summary = page.querySelector("[data-error-summary]");
  form.elements.submission.value = page.querySelector("input[name=submission]").value;
  showFilmError(page.querySelector("[data-film-error]").textContent.trim());
  for (const group of form.querySelectorAll("[id^=div_id_]")) {
    updateFieldError(group, page.getElementById(group.id));
  }
  if (!summary) return;
  summary.querySelector("div > p")?.remove();
  form.prepend(summary);
  summary.focus();
}

function onResponse(request) {
  if (request.status === 201) {
    window.location.assign(JSON.parse(request.responseText).location);
    return;
  }
  const page = new DOMParser().parseFromString(request.responseText, "text/html");
  const isHtml = request.getResponseHeader("Content-Type")?.startsWith("text/html");
  if (isHtml && request.status === 422) {
    showErrors(page);
    setBusy(false);
    return;
  }
  // Any other response (signed out, no active model, expired form) is a page of its own.
  const main = page.querySelector("main");
  if (!main || request.responseURL !== window.location.href) {
    window.location.assign(request.responseURL || window.location.href);
    return;
  }
  document.title = page.title;
  document.querySelector("main").replaceWith(main);
  main.focus();
}

// Uses XMLHttpRequest because fetch does not report upload progress.
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
    buttonLabel.textContent = text.textReading;
    progress.removeAttribute("value");
  });
  request.addEventListener("load", () => onResponse(request));
  request.addEventListener("error", () => {
    setBusy(false);
    showFilmError(text.textOffline);
  });
  setBusy(true);
  request.send(new FormData(form));
}

function bindDropZone() {
  for (const name of ["dragenter", "dragover"]) {
    dropZone.addEventListener(name, (event) => {
      event.preventDefault();
      dropZone.classList.add("is-over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    dropZone.addEventListener(name, () => dropZone.classList.remove("is-over"));
  }
  dropZone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    selectFile();
  });
}

bindDropZone();
input.addEventListener("change", selectFile);
form.addEventListener("submit", send);
// The Back button can restore a page whose form is still marked as sending.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
