// The editor of a post: formatting, images, preview, drafts.

import { MentionList } from "./mentions.js";
import { isSuccess, post } from "./requests.js";

const PREVIEW_DELAY_MS = 400; // after the last change
const DRAFT_DELAY_MS = 1200;

function notifyInput(field) {
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// Replaces the selection of `field`. execCommand is deprecated, but nothing else keeps the
// browser's Undo working.
export function insertText(field, text) {
  field.focus();
  if (document.execCommand("insertText", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  notifyInput(field);
}

export class Editor {
  constructor(form) {
    this.form = form;
    this.field = form.querySelector("[data-editor]");
    this.status = form.querySelector("[data-editor-state]");
    this.bindToolbar();
    this.bindKeys();
    new Preview(this);
    new Draft(this);
    new ImageUpload(this);
    new MentionList(this);
  }

  get selection() {
    return this.field.value.slice(this.field.selectionStart, this.field.selectionEnd);
  }

  // Shows one of the messages that the template holds, or none.
  showStatus(name) {
    this.status.textContent = name ? this.status.dataset[name] : "";
  }

  // Replaces the selection, and selects [from, to] of the new text.
  insert(text, selected = null) {
    const start = this.field.selectionStart;
    insertText(this.field, text);
    if (selected) this.field.setSelectionRange(start + selected[0], start + selected[1]);
  }

  wrap(mark) {
    const inner = this.selection;
    this.insert(mark + inner + mark, [mark.length, mark.length + inner.length]);
  }

  prefixLines(mark) {
    const start = this.field.value.lastIndexOf("\n", this.field.selectionStart - 1) + 1;
    this.field.setSelectionRange(start, this.field.selectionEnd);
    const lines = this.selection.split("\n").map((line) => mark + line);
    this.insert(lines.join("\n"));
  }

  insertLink() {
    const inner = this.selection;
    const text = `[${inner}](https://)`;
    this.insert(text, inner ? [text.length - 1, text.length - 1] : [1, 1]);
  }

  bindToolbar() {
    this.form.querySelector(".editor-bar").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.wrap) this.wrap(button.dataset.wrap);
      else if (button.dataset.line) this.prefixLines(button.dataset.line);
      else if ("link" in button.dataset) this.insertLink();
    });
  }

  bindKeys() {
    const actions = {
      b: () => this.wrap("**"),
      i: () => this.wrap("*"),
      Enter: () => this.form.requestSubmit(this.form.querySelector(".composer-send")),
    };
    this.field.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      if (!Object.hasOwn(actions, event.key)) return;
      event.preventDefault();
      actions[event.key]();
    });
  }
}

// Shows the text as the server will render it.
class Preview {
  constructor({ form, field }) {
    this.field = field;
    this.box = form.querySelector("[data-preview]");
    this.request = null;
    field.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.update(), PREVIEW_DELAY_MS);
    });
    if (field.value.trim()) this.update();
  }

  async update() {
    this.request?.abort();
    if (!this.field.value.trim()) {
      this.box.hidden = true;
      return;
    }
    this.request = new AbortController();
    try {
      const { signal } = this.request;
      const response = await post(this.box.dataset.preview, { body: this.field.value }, { signal });
      if (!isSuccess(response)) return;
      // The server sanitises the HTML, as it does for the post itself.
      this.box.querySelector("[data-preview-body]").innerHTML = await response.text();
      this.box.hidden = false;
    } catch (error) {
      // Superseded by a newer request, or no network: the last preview stays.
      if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
    }
  }
}

// Saves what is being written on the server.
class Draft {
  constructor(editor) {
    this.editor = editor;
    this.form = editor.form;
    this.url = this.form.dataset.draftUrl;
    this.hasChanges = false;
    this.isSent = false;
    if (!this.url) return;
    this.bindForm();
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden" && this.form.isConnected) this.save();
    });
    this.form
      .querySelector("[data-discard-draft]")
      ?.addEventListener("click", (event) => this.discard(event.target));
  }

  bindForm() {
    this.form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      this.hasChanges = true;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(), DRAFT_DELAY_MS);
    });
    this.form.addEventListener("submit", () => {
      this.isSent = true;
      clearTimeout(this.timer);
    });
    for (const failure of ["htmx:sendError", "htmx:responseError"]) {
      this.form.addEventListener(failure, () => {
        this.isSent = false;
      });
    }
  }

  get fields() {
    const { title, category } = this.form.elements;
    return {
      topic: this.form.dataset.draftTopic,
      body: this.editor.field.value,
      title: title?.value ?? "",
      category: category?.value ?? "",
    };
  }

  async save() {
    clearTimeout(this.timer);
    if (!this.hasChanges || this.isSent) return;
    this.hasChanges = false;
    this.editor.showStatus("saving");
    try {
      // keepalive lets the request finish after the page is closed.
      const response = await post(this.url, this.fields, { keepalive: true });
      this.editor.showStatus(isSuccess(response) ? "saved" : "unsaved");
    } catch {
      this.hasChanges = true;
      this.editor.showStatus("unsaved");
    }
  }

  async discard(button) {
    const { field } = this.editor;
    const { title } = this.form.elements;
    field.value = "";
    if (title) title.value = "";
    button.closest("[data-draft-note]").remove();
    notifyInput(field);
    this.hasChanges = true;
    await this.save();
    this.editor.showStatus("gone");
    field.focus();
  }
}

// Uploads an image that is chosen, pasted or dropped, and inserts it at the cursor.
class ImageUpload {
  constructor(editor) {
    this.editor = editor;
    const button = editor.form.querySelector("[data-upload]");
    this.url = button.dataset.upload;
    const input = document.createElement("input");
    input.type = "file";
    input.accept = "image/jpeg,image/png,image/webp";
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files[0]) this.upload(input.files[0]);
      input.value = "";
    });
    const { field } = editor;
    field.addEventListener("paste", (event) => this.onFiles(event, event.clipboardData?.files));
    field.addEventListener("drop", (event) => this.onFiles(event, event.dataTransfer?.files));
  }

  onFiles(event, files) {
    const image = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
    if (!image) return;
    event.preventDefault();
    this.upload(image);
  }

  async upload(file) {
    this.editor.showStatus("uploading");
    try {
      const response = await post(this.url, { picture: file });
      const { url, error } = await response.json();
      if (!url) {
        this.editor.status.textContent = error;
        return;
      }
      this.editor.insert(`\n![](${url})\n`);
      this.editor.showStatus("");
    } catch {
      this.editor.showStatus("failed");
    }
  }
}
