// The form for a new reading: drop zone, preview, fields filled from a DICOM file, upload progress.
// Without this script, the form is sent as an ordinary form.
//
// A file is read once. The preview shows these bytes, and these bytes are sent: never those of
// another file, nor of a file that has changed on the disk since.

import { openWith } from "./batch.js";
import { fromDrop, fromList, sha256Of } from "./batch_files.js";
import { offerKeeping } from "./offline/form.js";
import { formatSize, interpolate } from "./shared.js";

const form = document.querySelector("form[data-upload]");
const input = form.querySelector("input[type=file]");
const dropZone = form.querySelector("[data-drop]");
const preview = form.querySelector("[data-preview]");
const image = preview.querySelector("img");
const caption = preview.querySelector("figcaption");
const filmNotices = form.querySelector("[data-film-notices]");
const filmError = form.querySelector("[data-film-error]");
const asBatch = form.querySelector("[data-as-batch]");
const button = form.querySelector("button[type=submit]");
const buttonLabel = form.querySelector("[data-send-label]");
const progress = form.querySelector("[data-progress]");
const text = form.dataset;
let idleLabel = ""; // of the button, while a film is sent
let objectUrl = null; // of the previewed file, to be revoked
let selection = 0; // counts selected files, to ignore a response to an earlier one
let chosen = null; // the file that was read: { file, sha256 }
let previewing = Promise.resolve(); // settled once the preview of `chosen` is shown or refused
let several = []; // files that were chosen or dropped together: { file, path }
let filmProblem = null; // the error shown: { name, values } of a message in the template

function showFilmError(message) {
  filmProblem = null;
  filmError.textContent = message;
}

// Shows one of the messages in the form's data-text-* attributes.
function showFilmProblem(name, values = {}) {
  filmProblem = { name, values };
  filmError.textContent = interpolate(text[name], values);
}

// Shows what of the file could not be trusted, in the server's words.
function showNotices(sentences) {
  const rows = sentences.map((sentence) => {
    const row = document.createElement("li");
    row.textContent = sentence;
    return row;
  });
  filmNotices.replaceChildren(...rows);
  filmNotices.hidden = !rows.length;
}

function showPreview(url, description) {
  showNotices([]);
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = url.startsWith("blob:") ? url : null;
  image.src = url;
  caption.textContent = description;
  preview.hidden = false;
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

// Returns what a page about a fault of the server says, as an answer with an error; null for others.
async function faultOf(response) {
  if (response.status < 500) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const said = [...page.querySelectorAll("main h1, main h1 + p")];
  const sentences = said.map((part) => part.textContent.trim().replace(/([^.。])$/, "$1."));
  return sentences.length ? { ok: false, error: sentences.join(" ") } : null;
}

// Lets the server render a file that the browser cannot display, such as DICOM.
async function inspect({ file, sha256 }, current) {
  // The page for times without a connection.
  if (!text.inspectUrl) {
    image.removeAttribute("src");
    caption.textContent = [file.name, formatSize(file.size), text.textNoPreview].join(" · ");
    preview.hidden = false;
    return;
  }
  caption.textContent = text.textLooking;
  image.removeAttribute("src");
  preview.hidden = false;
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.append("film", file);
  body.append("film_sha256", sha256);
  let result = null;
  try {
    const response = await fetch(text.inspectUrl, { method: "POST", body });
    const isPage = response.headers.get("Content-Type")?.startsWith("text/html");
    result = isPage ? await faultOf(response) : await response.json();
  } catch {
    // No network, or a page instead of an answer, for example because the session has ended.
  }
  if (current !== selection) return;
  if (!result?.ok) {
    preview.hidden = true;
    if (result) showFilmError(result.error);
    else showFilmProblem("textOffline");
    return;
  }
  const size = `${result.width}×${result.height}`;
  const description = [file.name, result.format, size, formatSize(file.size)].join(" · ");
  showPreview(result.preview, description);
  showNotices(result.notices);
  fillFields(result.fields);
}

// Forgets the file and its preview. What was typed stays.
function clearFile() {
  selection += 1;
  chosen = null;
  offerBatch([]);
  previewing = Promise.resolve();
  showFilmError("");
  clearFilledFields();
  preview.hidden = true;
  image.removeAttribute("src");
}

// Reads the file and shows its preview.
async function show(original, current) {
  let bytes;
  try {
    bytes = await original.arrayBuffer();
  } catch {
    if (current === selection) showFilmProblem("textUnreadable");
    return;
  }
  const file = new File([bytes], original.name, { type: original.type });
  const sha256 = await sha256Of(file);
  if (current !== selection) return;
  chosen = { file, sha256 };
  const url = URL.createObjectURL(chosen.file);
  const size = await imageSize(url);
  if (current !== selection) {
    URL.revokeObjectURL(url);
  } else if (size) {
    showPreview(url, [original.name, size.join("×"), formatSize(original.size)].join(" · "));
  } else {
    URL.revokeObjectURL(url);
    await inspect(chosen, current);
  }
}

// Offers to read several files as a batch.
function offerBatch(entries) {
  several = entries;
  if (asBatch) asBatch.hidden = !entries.length;
}

// Takes exactly one file; of several, nobody could tell which one belongs to the patient.
function selectFiles(files) {
  clearFile();
  const current = selection;
  if (files.length > 1) {
    input.value = "";
    showFilmProblem("textSeveral", { count: files.length });
    offerBatch(fromList(files));
  } else if (files.length === 1 && files[0].size > Number(text.maxBytes)) {
    showFilmProblem("textTooLarge");
  } else if (files.length === 1) {
    previewing = show(files[0], current);
  }
}

// Sending -------------------------------------------------------------------------------------

function setBusy(isBusy) {
  if (isBusy) idleLabel = buttonLabel.textContent;
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
    const { location } = JSON.parse(request.responseText);
    keeping.sent(form.elements.submission.value).then(() => window.location.assign(location));
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

// Returns the form's content, with the bytes that were previewed.
function content() {
  const data = new FormData(form);
  if (chosen) {
    data.set("film", chosen.file);
    data.set("film_sha256", chosen.sha256);
  }
  return data;
}

// Uses XMLHttpRequest because fetch does not report upload progress.
function upload(data) {
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
    showFilmProblem("textOffline");
    keeping.unsent();
  });
  request.send(data);
}

// Sends nothing before the film's preview has been shown.
async function send(event) {
  event.preventDefault();
  if (form.dataset.sending || "keepAlways" in text) return;
  setBusy(true);
  await previewing;
  if (input.files.length && !chosen) {
    // The file was refused here, and the message is still shown.
    setBusy(false);
    input.focus();
    return;
  }
  upload(content());
}

// Dropping ------------------------------------------------------------------------------------

const isTextField = (element) =>
  element.matches?.("textarea, input:not([type=file], [type=checkbox], [type=radio])");

async function onDrop({ dataTransfer }) {
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (entries.some((entry) => entry?.isDirectory)) {
    clearFile();
    input.value = "";
    showFilmProblem("textFolder");
    offerBatch(await fromDrop(dataTransfer));
  } else if (!dataTransfer.files.length) {
    showFilmProblem("textNoFile");
  } else {
    if (dataTransfer.files.length === 1) input.files = dataTransfer.files;
    selectFiles(dataTransfer.files);
  }
}

// A browser opens a file that is dropped anywhere else on the page, and leaves the page.
function onDropOutside(event) {
  const hasFiles = event.dataTransfer.types.includes("Files");
  if (!hasFiles && isTextField(event.target)) return;
  event.preventDefault();
  if (event.type === "drop") showFilmProblem("textOutside");
}

function bindDropZone() {
  for (const name of ["dragenter", "dragover"]) {
    dropZone.addEventListener(name, (event) => {
      event.preventDefault();
      event.stopPropagation();
      dropZone.classList.add("is-over");
    });
    document.addEventListener(name, onDropOutside);
  }
  for (const name of ["dragleave", "drop"]) {
    dropZone.addEventListener(name, () => dropZone.classList.remove("is-over"));
  }
  dropZone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    onDrop(event);
  });
  document.addEventListener("drop", onDropOutside);
}

// Texts that this script has put on the page follow the language.
document.addEventListener("xraysite:language", () => {
  for (const field of form.querySelectorAll("[data-filled]")) {
    labelOf(field).dataset.fromFile = text.textFromFile;
  }
  if (filmProblem) showFilmProblem(filmProblem.name, filmProblem.values);
});

const keeping = offerKeeping({
  form,
  ready: () => previewing,
  chosen: () => (input.files.length ? chosen?.file : null),
  clear: clearFile,
  showProblem: showFilmProblem,
});
bindDropZone();
asBatch?.addEventListener("click", () => openWith(text.batchUrl, several));
input.addEventListener("change", () => selectFiles(input.files));
form.addEventListener("submit", send);
// The browser may have kept the file of an earlier visit to this page.
if (input.files.length) selectFiles(input.files);
// The Back button can restore a page whose form is still marked as sending.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
