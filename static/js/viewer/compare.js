// A second film beside the first: of the same patient or of another one.

import { Pane } from "./pane.js";
import { bindPointer } from "./pointer.js";
import { transferred } from "./tone.js";
import { say, word } from "./words.js";

const SEARCH_PAUSE = 300; // milliseconds without typing

export class Comparison {
  constructor(viewer) {
    this.viewer = viewer;
    this.other = null;
    this.isLinked = true;
    const { element } = viewer;
    this.stages = element.querySelector("[data-stages]");
    this.template = element.querySelector("[data-pane-template]");
    this.dialog = document.querySelector("[data-other-films]");
    element.addEventListener("viewer:view", (event) => this.followView(event.target));
    element.addEventListener("viewer:window", (event) => this.followWindow(event.target));
    document.addEventListener("click", (event) => this.onClick(event));
    const form = this.dialog.querySelector("form");
    form.addEventListener("input", () => this.searchSoon(form));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search(form);
    });
  }

  // Asks for another film; the latest are listed at once.
  choose() {
    this.dialog.showModal();
    this.search(this.dialog.querySelector("form"));
  }

  searchSoon(form) {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.search(form), SEARCH_PAUSE);
  }

  async search(form) {
    clearTimeout(this.pause);
    this.searches = (this.searches ?? 0) + 1;
    const number = this.searches;
    const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (number !== this.searches || !response.ok) return; // a later one was sent
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    this.dialog.querySelector("[data-found]").replaceChildren(...page.body.childNodes);
  }

  // A link to another film opens it beside this one; its page, with a new tab or without script.
  onClick(event) {
    const link = event.target.closest("[data-compare]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    link.closest("details")?.removeAttribute("open");
    this.dialog?.close();
    this.open(link.dataset);
  }

  open({ film, pixels, width, height, about, label }) {
    this.close();
    const element = this.template.content.firstElementChild.cloneNode(true);
    Object.assign(element.dataset, { pixels: pixels ?? "", width, height });
    const image = element.querySelector("[data-image]");
    image.alt = label;
    image.width = width;
    image.height = height;
    image.src = film;
    element.querySelector("[data-about]").textContent = about;
    element.querySelector("[data-stage]").setAttribute("aria-label", label);
    this.stages.append(element);
    this.viewer.element.classList.add("is-comparing");
    this.other = new Pane(element);
    bindPointer(this.other, this.viewer);
    this.viewer.panes.push(this.other);
    for (const pane of this.viewer.panes) pane.measure();
    this.followView(this.viewer.panes[0].element);
    this.viewer.showState();
    say(word("compared", { label }));
  }

  close() {
    if (!this.other) return false;
    this.other.close();
    this.viewer.panes = this.viewer.panes.filter((pane) => pane !== this.other);
    this.other = null;
    this.viewer.element.classList.remove("is-comparing");
    this.viewer.activate(this.viewer.panes[0]);
    this.viewer.panes[0].measure();
    this.viewer.showState();
    return true;
  }

  // Opens the latest film of the patient, or closes what is open.
  toggle() {
    if (this.close()) return;
    const first = this.viewer.element.querySelector("[data-priors] [data-compare]");
    if (first) this.open(first.dataset);
    else say(word("no-priors"));
  }

  swap() {
    if (!this.other) return;
    const focused = document.activeElement;
    this.stages.append(this.stages.firstElementChild);
    focused.focus({ preventScroll: true });
  }

  setLinked(isLinked) {
    this.isLinked = isLinked;
    if (isLinked) this.followView(this.viewer.active.element);
    this.viewer.showState();
  }

  pairOf(element) {
    if (!this.other || !this.isLinked) return null;
    const [here, there] = this.viewer.panes;
    return element === here.element ? [here, there] : [there, here];
  }

  // The same enlargement and the same part of the film, whatever its size.
  followView(element) {
    const pair = this.pairOf(element);
    if (!pair) return;
    const [from, to] = pair.map((pane) => pane.view);
    to.scale = to.fitScale * from.enlargement;
    const size = from.sizeAt(from.scale);
    const own = to.sizeAt(to.scale);
    to.x = (from.x / size.width) * own.width;
    to.y = (from.y / size.height) * own.height;
    to.limit();
    pair[1].changed({ isLinked: true });
  }

  followWindow(element) {
    const pair = this.pairOf(element);
    if (!pair) return;
    const [from, to] = pair;
    if (!to.requireSource()) return;
    to.setWindow(transferred(from.window, from.source, to.source), { isLinked: true });
  }
}
