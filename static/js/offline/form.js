// Offers to keep an X-ray and its form in this browser while the server cannot be reached.
//
// The script of the form (upload.js) calls `offerKeeping` and says with `unsent()` that a request has
// not got through. Nothing is kept until the doctor selects the button.

import { isLineUp, onLine } from "./line.js";
import { content, keep } from "./queue.js";
import * as store from "./store.js";
import { urls } from "./words.js";

const NOT_KEPT = ["film", "film_sha256", "submission", "csrfmiddlewaretoken"];

// A DICOM file states the patient itself; for others, the server would refuse a form without.
async function isDicom(file) {
  const mark = await file.slice(128, 132).arrayBuffer();
  return new TextDecoder().decode(mark) === "DICM";
}

// Returns the first control that the server would refuse as empty or wrong, or null.
function firstInvalid(form, mayBeEmpty) {
  const { elements } = form;
  const needed = ["patient_name", "exam_date"];
  if (!elements.patient_birth_date.value) needed.push("patient_age_years");
  const isMissing = (name) => !mayBeEmpty && !elements[name].value.trim();
  const missing = needed.find(isMissing);
  if (missing) return elements[missing];
  const filled = [...elements].filter((control) => control.name && control.value);
  return filled.find((control) => !control.validity.valid) ?? null;
}

class Keeping {
  constructor(page) {
    Object.assign(this, page); // form, ready, chosen, clear, showProblem
    this.panel = this.form.querySelector("[data-keep]");
    this.button = this.panel.querySelector("[data-keep-button]");
    this.status = this.panel.querySelector("[data-keep-status]");
    this.always = "keepAlways" in this.form.dataset;
  }

  start() {
    this.button.addEventListener("click", () => this.keep());
    onLine(() => this.render());
    this.render();
    this.openWaiting();
  }

  async render() {
    const account = await store.account();
    const isWanted = this.always || this.hasFailed || !isLineUp();
    this.panel.hidden = !(account && isWanted);
  }

  async unsent() {
    this.hasFailed = true;
    await this.render();
    this.button.focus();
  }

  say(name) {
    this.status.textContent = this.form.dataset[name];
    this.status.hidden = false;
  }

  async keep() {
    if (this.isKeeping) return;
    this.isKeeping = true;
    try {
      await this.keepChosen();
    } catch {
      // The disk is full, or the browser's storage is disabled.
      this.say("textNotKept");
    } finally {
      this.isKeeping = false;
    }
  }

  async keepChosen() {
    await this.ready();
    const file = this.chosen();
    if (!file) {
      this.showProblem("textNoFilm");
      return;
    }
    const wrong = firstInvalid(this.form, await isDicom(file));
    if (wrong) {
      this.say("textIncomplete");
      wrong.focus();
      return;
    }
    const data = new FormData(this.form);
    const fields = Object.fromEntries([...data].filter(([name]) => !NOT_KEPT.includes(name)));
    const submission = this.form.elements.submission.value;
    await keep(submission, fields, file);
    document.dispatchEvent(new CustomEvent("xraysite:kept", { detail: submission }));
    this.hasFailed = false;
    this.empty();
    this.say("textKept");
    await this.render();
  }

  // Empties the form for the next patient, whose reading must have another id.
  empty() {
    this.form.reset();
    this.clear();
    this.form.elements.submission.value = crypto.randomUUID();
    this.form.querySelector("input[type=file]").focus();
  }

  // Shows an X-ray that waits, to be corrected: the list of waiting X-rays links here.
  async openWaiting() {
    const submission = new URLSearchParams(window.location.hash.slice(1)).get("waiting");
    if (!submission) return;
    const found = await content(urls, submission).catch(() => null);
    if (!found) return;
    for (const [name, value] of Object.entries(found.fields)) {
      if (this.form.elements[name]) this.form.elements[name].value = value;
    }
    this.form.elements.submission.value = submission;
    const files = new DataTransfer();
    files.items.add(found.file);
    const input = this.form.querySelector("input[type=file]");
    input.files = files.files;
    input.dispatchEvent(new Event("change"));
  }
}

// Returns { unsent, sent } for the form's script; they do nothing where nothing can be kept.
export function offerKeeping(page) {
  if (!store.isSupported || !page.form.querySelector("[data-keep]")) {
    return { unsent: () => {}, sent: async () => {} };
  }
  const keeping = new Keeping(page);
  keeping.start();
  return {
    unsent: () => keeping.unsent(),
    sent: (submission) => store.remove([submission]).catch(() => {}),
  };
}
