import { AJAX, isSuccess } from "./requests.js";

const CLOSE_DELAY_MS = 150;
const NAME = String.raw`[\p{L}\p{N}_.·-]{0,40}`;
// Chinese puts no space before an @. In other scripts, an @ within a word is an e-mail address.
const BEFORE = String.raw`^|\p{Script=Han}|[^\p{L}\p{N}_.@]`;
// Up to two words of a name, between the @ and the cursor.
const MENTION = new RegExp(`(?:${BEFORE})@(${NAME}(?: ${NAME})?)$`, "u");

// Suggests names after an @, as an ARIA list box: arrow keys move, Enter or Tab accepts.
export class MentionList {
  constructor(editor) {
    this.editor = editor;
    this.field = editor.field;
    this.list = editor.form.querySelector("[data-people]");
    this.list.id = `people-${Math.random().toString(36).slice(2)}`;
    this.active = -1;
    this.requests = 0;
    this.field.setAttribute("aria-controls", this.list.id);
    this.field.setAttribute("aria-autocomplete", "list");
    this.field.addEventListener("input", () => this.update());
    this.field.addEventListener("keydown", (event) => this.onKey(event));
    // The delay lets a tap on a name arrive before the list closes.
    this.field.addEventListener("blur", () => setTimeout(() => this.close(), CLOSE_DELAY_MS));
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) this.accept(option);
    });
  }

  // The part of a name between the @ and the cursor, or null if there is no @.
  get query() {
    const before = this.field.value.slice(0, this.field.selectionStart);
    return before.match(MENTION)?.[1] ?? null;
  }

  async update() {
    const { query } = this;
    if (query === null) return this.close();
    this.requests += 1;
    const current = this.requests;
    try {
      const url = `${this.list.dataset.people}?q=${encodeURIComponent(query)}`;
      const response = await fetch(url, { headers: AJAX });
      if (!isSuccess(response)) return this.close();
      const { people } = await response.json();
      // A response to an earlier query is out of date.
      if (current === this.requests && this.query === query) this.show(people);
    } catch {
      this.close();
    }
  }

  show(people) {
    this.list.replaceChildren(...people.map((person, index) => this.createOption(person, index)));
    this.list.hidden = people.length === 0;
    this.activate(people.length ? 0 : -1);
  }

  createOption(person, index) {
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
  }

  activate(index) {
    this.active = index;
    const options = [...this.list.children];
    for (const [at, option] of options.entries())
      option.setAttribute("aria-selected", at === index);
    if (index >= 0) this.field.setAttribute("aria-activedescendant", options[index].id);
    else this.field.removeAttribute("aria-activedescendant");
  }

  onKey(event) {
    if (this.list.hidden) return;
    const last = this.list.children.length - 1;
    const hasModifier = event.ctrlKey || event.metaKey;
    const isAccept = ["Enter", "Tab"].includes(event.key) && !hasModifier;
    if (event.key === "ArrowDown") this.activate(this.active >= last ? 0 : this.active + 1);
    else if (event.key === "ArrowUp") this.activate(this.active <= 0 ? last : this.active - 1);
    else if (isAccept) this.accept(this.list.children[this.active]);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  accept(option) {
    const query = this.query ?? "";
    const end = this.field.selectionStart;
    this.field.setSelectionRange(end - query.length, end);
    this.editor.insert(`${option.dataset.insert} `);
    this.close();
  }

  close() {
    this.list.hidden = true;
    this.activate(-1);
  }
}
