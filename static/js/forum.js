// The editor of the board: formatting, names, pictures, preview, drafts. Posting works without it.

const csrf = () => document.querySelector("[name=csrfmiddlewaretoken]").value;
const PREVIEW_AFTER = 400; // milliseconds without a key
const DRAFT_AFTER = 1200;

function post(url, fields, options = {}) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  return fetch(url, {
    method: "POST",
    body,
    headers: { "X-CSRFToken": csrf(), "X-Requested-With": "XMLHttpRequest" },
    ...options,
  });
}

class Editor {
  constructor(form) {
    this.form = form;
    this.text = form.querySelector("[data-editor]");
    this.state = form.querySelector("[data-editor-state]");
    this.sent = false;
    this.previewing = null;
    this.saving = null;
    this.bar();
    this.preview();
    this.drafts();
    this.pictures();
    new People(this);
  }

  // Puts `text` in place of what is selected, so that the browser's Undo still works.
  insert(text, { select = null } = {}) {
    const start = this.text.selectionStart;
    this.text.focus();
    if (!document.execCommand("insertText", false, text)) {
      this.text.setRangeText(text, start, this.text.selectionEnd, "end");
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (select) this.text.setSelectionRange(start + select[0], start + select[1]);
  }

  get selected() {
    return this.text.value.slice(this.text.selectionStart, this.text.selectionEnd);
  }

  bar() {
    const bar = this.form.querySelector(".editor-bar");
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.wrap) this.wrap(button.dataset.wrap);
      else if (button.dataset.line) this.lines(button.dataset.line);
      else if ("link" in button.dataset) this.link();
    });
    this.text.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      if (event.key === "b") { event.preventDefault(); this.wrap("**"); }
      else if (event.key === "i") { event.preventDefault(); this.wrap("*"); }
      else if (event.key === "Enter") {
        event.preventDefault();
        this.form.requestSubmit(this.form.querySelector(".composer-send"));
      }
    });
  }

  wrap(mark) {
    const inner = this.selected;
    this.insert(`${mark}${inner}${mark}`, { select: [mark.length, mark.length + inner.length] });
  }

  lines(mark) {
    const value = this.text.value;
    const start = value.lastIndexOf("\n", this.text.selectionStart - 1) + 1;
    this.text.setSelectionRange(start, this.text.selectionEnd);
    this.insert(this.selected.split("\n").map((line) => mark + line).join("\n"));
  }

  link() {
    const inner = this.selected;
    const text = `[${inner}](https://)`;
    this.insert(text, { select: inner ? [text.length - 1, text.length - 1] : [1, 1] });
  }

  preview() {
    const box = this.form.querySelector("[data-preview]");
    const show = async () => {
      this.previewing?.abort();
      if (!this.text.value.trim()) {
        box.hidden = true;
        return;
      }
      this.previewing = new AbortController();
      try {
        const answer = await post(box.dataset.preview, { body: this.text.value }, {
          signal: this.previewing.signal,
        });
        if (!answer.ok || answer.redirected) return;
        // Sanitised by the server; it is what the post will be.
        box.querySelector("[data-preview-body]").innerHTML = await answer.text();
        box.hidden = false;
      } catch (error) {
        if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
      }
    };
    let timer;
    this.text.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, PREVIEW_AFTER);
    });
    if (this.text.value.trim()) show();
  }

  say(what) {
    this.state.textContent = what ? this.state.dataset[what] : "";
  }

  drafts() {
    const url = this.form.dataset.draftUrl;
    if (!url) return;
    let timer;
    let waiting = false;
    const fields = () => ({
      topic: this.form.dataset.draftTopic,
      body: this.text.value,
      title: this.form.elements.title?.value ?? "",
      category: this.form.elements.category?.value ?? "",
    });
    const save = async () => {
      clearTimeout(timer);
      if (!waiting || this.sent) return;
      waiting = false;
      this.say("saving");
      try {
        const answer = await post(url, fields(), { keepalive: true });
        this.say(answer.ok && !answer.redirected ? "saved" : "unsaved");
      } catch {
        waiting = true;
        this.say("unsaved");
      }
    };
    this.form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      waiting = true;
      clearTimeout(timer);
      timer = setTimeout(save, DRAFT_AFTER);
    });
    this.form.addEventListener("submit", () => { this.sent = true; clearTimeout(timer); });
    this.form.addEventListener("htmx:sendError", () => { this.sent = false; });
    this.form.addEventListener("htmx:responseError", () => { this.sent = false; });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden" && this.form.isConnected) save();
    });
    this.form.querySelector("[data-discard-draft]")?.addEventListener("click", async (event) => {
      this.text.value = "";
      if (this.form.elements.title) this.form.elements.title.value = "";
      event.target.closest("[data-draft-note]").remove();
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
      waiting = true;
      await save();
      this.say("gone");
      this.text.focus();
    });
  }

  pictures() {
    const button = this.form.querySelector("[data-upload]");
    const chooser = document.createElement("input");
    chooser.type = "file";
    chooser.accept = "image/jpeg,image/png,image/webp";
    button.addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      if (chooser.files[0]) this.upload(chooser.files[0], button.dataset.upload);
      chooser.value = "";
    });
    const taken = (event, files) => {
      const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
      if (!picture) return;
      event.preventDefault();
      this.upload(picture, button.dataset.upload);
    };
    this.text.addEventListener("paste", (event) => taken(event, event.clipboardData?.files));
    this.text.addEventListener("drop", (event) => taken(event, event.dataTransfer?.files));
  }

  async upload(file, url) {
    this.say("uploading");
    try {
      const answer = await post(url, { picture: file });
      const { url: address, error } = await answer.json();
      if (!address) {
        this.state.textContent = error;
        return;
      }
      this.insert(`\n![](${address})\n`);
      this.say("");
    } catch {
      this.say("failed");
    }
  }
}

// Completes names after an @: a list box that the arrows move in and Enter takes from.
class People {
  constructor(editor) {
    this.editor = editor;
    this.text = editor.text;
    this.list = editor.form.querySelector("[data-people]");
    this.list.id = `people-${Math.random().toString(36).slice(2)}`;
    this.text.setAttribute("aria-controls", this.list.id);
    this.text.setAttribute("aria-autocomplete", "list");
    this.at = -1;
    this.text.addEventListener("input", () => this.ask());
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.text.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) this.take(option);
    });
  }

  get typed() {
    const before = this.text.value.slice(0, this.text.selectionStart);
    const match = before.match(/(?:^|\p{Script=Han}|[^\p{L}\p{N}_.@])@([\p{L}\p{N}_.·-]{0,40}(?: [\p{L}\p{N}_.·-]{0,40})?)$/u);
    return match ? match[1] : null;
  }

  async ask() {
    const typed = this.typed;
    if (typed === null) return this.close();
    const number = (this.number = (this.number ?? 0) + 1);
    try {
      const answer = await fetch(`${this.list.dataset.people}?q=${encodeURIComponent(typed)}`, {
        headers: { "X-Requested-With": "XMLHttpRequest" },
      });
      if (!answer.ok || answer.redirected) return this.close();
      const { people } = await answer.json();
      // An answer to what was typed before says nothing any more.
      if (number === this.number && this.typed === typed) this.show(people);
    } catch {
      this.close();
    }
  }

  show(people) {
    this.list.replaceChildren(
      ...people.map((person, index) => {
        const option = document.createElement("li");
        option.setAttribute("role", "option");
        option.id = `${this.list.id}-${index}`;
        option.dataset.insert = person.insert;
        const name = document.createElement("strong");
        name.textContent = person.name;
        const hospital = document.createElement("span");
        hospital.textContent = person.hospital;
        option.append(name, hospital);
        return option;
      }),
    );
    this.list.hidden = people.length === 0;
    this.choose(people.length ? 0 : -1);
  }

  choose(index) {
    this.at = index;
    [...this.list.children].forEach((option, at) => {
      option.setAttribute("aria-selected", String(at === index));
    });
    if (index >= 0) this.text.setAttribute("aria-activedescendant", this.list.children[index].id);
    else this.text.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (this.list.hidden) return;
    const last = this.list.children.length - 1;
    if (event.key === "ArrowDown") this.choose(this.at >= last ? 0 : this.at + 1);
    else if (event.key === "ArrowUp") this.choose(this.at <= 0 ? last : this.at - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.ctrlKey && !event.metaKey) {
      this.take(this.list.children[this.at]);
    } else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  take(option) {
    const typed = this.typed ?? "";
    const end = this.text.selectionStart;
    this.text.setSelectionRange(end - typed.length, end);
    this.editor.insert(`${option.dataset.insert} `);
    this.close();
  }

  close() {
    this.list.hidden = true;
    this.choose(-1);
  }
}

function begin(root) {
  for (const form of root.querySelectorAll("[data-composer]")) {
    if (!form.dataset.begun) {
      form.dataset.begun = "true";
      new Editor(form);
    }
  }
}

// A quotation is asked for as part of the topic's page, and put where the reply is written.
function quote(event) {
  if (event.target.id !== "quotation") return;
  const text = event.target.querySelector("textarea")?.value ?? "";
  event.target.replaceChildren();
  const reply = document.querySelector("#reply [data-editor]");
  reply.setSelectionRange(reply.value.length, reply.value.length);
  const gap = reply.value && !reply.value.endsWith("\n") ? "\n\n" : "";
  new_text(reply, gap + text);
  document.getElementById("reply").scrollIntoView({ block: "center" });
}

function new_text(field, text) {
  field.focus();
  if (!document.execCommand("insertText", false, text)) {
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function afterSwap(event) {
  quote(event);
  begin(document);
  const problem = document.querySelector("[data-composer] [data-error-summary]");
  if (problem) problem.focus();
}

// A post that was just written is scrolled to and said.
function afterPosting(event) {
  if (event.detail.requestConfig?.verb !== "post") return;
  const path = event.detail.requestConfig.path;
  if (!path.endsWith("/reply/") || document.querySelector("#reply [data-error-summary]")) return;
  const posts = document.querySelectorAll("#posts .post");
  const last = posts[posts.length - 1];
  last?.scrollIntoView({ block: "center" });
  last?.focus({ preventScroll: true });
}

function editFocus(event) {
  const field = event.detail.elt?.querySelector?.(".post-editing [data-editor]");
  field?.focus();
}

document.body.addEventListener("htmx:afterSwap", afterSwap);
document.body.addEventListener("htmx:afterSettle", (event) => {
  afterPosting(event);
  editFocus(event);
});
begin(document);
