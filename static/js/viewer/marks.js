// Measurements on a film: rulers, angles and cardiothoracic ratios, as lines over the stage. They
// belong to the page and are not stored.

import { distance } from "./geometry.js";
import { angleOf, lengthOf, lengthText, ratioOf } from "./lengths.js";
import { say, word } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 14; // CSS pixels from a handle within which it is taken
const STEP = 1; // pixels of the film for an arrow key; ten with Shift

// Points of each kind, and which of them are joined by lines.
const POINTS = { ruler: 2, angle: 3, ratio: 4 };
const LINES = {
  ruler: [[0, 1]],
  angle: [
    [0, 1],
    [1, 2],
  ],
  ratio: [
    [0, 1],
    [2, 3],
  ],
};
// Where a measurement lies that is added with the keyboard, as shares of the film.
const STARTS = {
  ruler: [
    [0.35, 0.5],
    [0.65, 0.5],
  ],
  angle: [
    [0.4, 0.35],
    [0.5, 0.5],
    [0.65, 0.5],
  ],
  ratio: [
    [0.4, 0.68],
    [0.65, 0.68],
    [0.2, 0.75],
    [0.8, 0.75],
  ],
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function shape(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

export class Marks {
  constructor(pane) {
    this.pane = pane;
    this.svg = pane.find("marks");
    this.all = []; // { kind, points }
    this.unfinished = null;
    this.spacing = null;
    this.svg.addEventListener("keydown", (event) => this.onKey(event));
  }

  isComplete(mark) {
    return mark.points.length === POINTS[mark.kind];
  }

  // --- Drawing them ---

  start(kind, at) {
    this.cancel();
    this.unfinished = { kind, points: [at, { ...at }] };
    this.all.push(this.unfinished);
    this.draw();
  }

  // Moves the last point while the pointer moves.
  move(at) {
    if (!this.unfinished) return;
    Object.assign(this.unfinished.points.at(-1), at);
    this.draw();
  }

  // Sets the last point; the next one follows the pointer.
  set(at) {
    const mark = this.unfinished;
    if (!mark) return;
    this.move(at);
    if (this.isComplete(mark)) {
      this.unfinished = null;
      say(this.textOf(mark));
    } else {
      // The second line of a ratio begins with a press of its own.
      mark.isPaused = mark.kind === "ratio" && mark.points.length === 2;
      if (!mark.isPaused) mark.points.push({ ...at });
    }
    this.draw();
  }

  resume(at) {
    const mark = this.unfinished;
    mark.isPaused = false;
    mark.points.push(at, { ...at });
    this.draw();
  }

  cancel() {
    if (!this.unfinished) return false;
    this.all.pop();
    this.unfinished = null;
    this.draw();
    return true;
  }

  add(kind) {
    const { width, height } = this.pane.view.film;
    const points = STARTS[kind].map(([x, y]) => ({ x: x * width, y: y * height }));
    this.cancel();
    this.all.push({ kind, points });
    this.draw();
    say(this.textOf(this.all.at(-1)));
    this.svg.querySelector("g:last-of-type circle").focus();
  }

  clear() {
    this.all = [];
    this.unfinished = null;
    this.draw();
  }

  // --- Changing them ---

  // Returns the handle near a point of the stage: { mark, index }.
  handleAt(at) {
    for (const mark of [...this.all].reverse()) {
      if (mark === this.unfinished) continue;
      const index = mark.points.findIndex(
        (point) => distance(this.pane.view.toStage(point), at) < NEAR,
      );
      if (index >= 0) return { mark, index };
    }
    return null;
  }

  drag({ mark, index }, at) {
    Object.assign(mark.points[index], at);
    this.draw();
  }

  focus({ mark, index }) {
    const group = this.svg.children[this.all.indexOf(mark)];
    group?.querySelectorAll("circle")[index]?.focus({ preventScroll: true });
  }

  remove(mark) {
    this.all = this.all.filter((each) => each !== mark);
    this.draw();
    say(word("mark-removed"));
  }

  removeLast() {
    if (!this.cancel() && this.all.length) this.remove(this.all.at(-1));
  }

  onKey(event) {
    const group = event.target.closest("g");
    const mark = this.all[[...this.svg.children].indexOf(group)];
    if (!mark || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Delete" || event.key === "Backspace") {
      this.remove(mark);
      this.pane.stage.focus({ preventScroll: true });
    } else if (event.key in ARROWS) {
      const index = [...group.querySelectorAll("circle")].indexOf(event.target);
      const step = event.shiftKey ? 10 * STEP : STEP;
      const [x, y] = ARROWS[event.key];
      const point = mark.points[index];
      this.drag({ mark, index }, { x: point.x + x * step, y: point.y + y * step });
      this.focus({ mark, index });
      say(this.textOf(mark));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- On the page ---

  textOf({ kind, points }) {
    const { spacing } = this;
    if (kind === "angle") {
      if (points.length < 3) return "";
      return word("angle", { degrees: angleOf(points, spacing).toFixed(1) });
    }
    if (kind === "ruler" || points.length < 4) {
      return lengthText(lengthOf(points, spacing), spacing, word);
    }
    return word("ratio", {
      ratio: ratioOf(points, spacing).toFixed(2),
      heart: lengthText(lengthOf(points.slice(0, 2), spacing), spacing, word),
      thorax: lengthText(lengthOf(points.slice(2, 4), spacing), spacing, word),
    });
  }

  draw() {
    const focused = this.focusedHandle();
    this.svg.replaceChildren();
    for (const mark of this.all) this.drawMark(mark);
    if (focused) this.focus(focused);
    const note = this.pane.find("spacing");
    note.hidden = !this.all.length;
    note.textContent = word(this.spacing ? `from-${this.spacing.origin}` : "from-nowhere");
  }

  // Handles are drawn anew with every change; the focus stays.
  focusedHandle() {
    const active = document.activeElement;
    if (!this.svg.contains(active)) return null;
    const group = active.closest("g");
    const mark = this.all[[...this.svg.children].indexOf(group)];
    return mark && { mark, index: [...group.querySelectorAll("circle")].indexOf(active) };
  }

  drawMark(mark) {
    const group = shape("g", { class: "viewer-mark" }, this.svg);
    const points = mark.points.map((point) => this.pane.view.toStage(point));
    for (const [from, to] of LINES[mark.kind]) {
      if (to >= points.length) continue;
      const [a, b] = [points[from], points[to]];
      for (const name of ["viewer-mark-edge", "viewer-mark-line"]) {
        shape("line", { class: name, x1: a.x, y1: a.y, x2: b.x, y2: b.y }, group);
      }
    }
    const text = this.textOf(mark);
    for (const [i, { x, y }] of points.entries()) {
      const label = word("handle", { number: i + 1, measurement: text });
      const role = { tabindex: 0, role: "button", "aria-label": label };
      shape("circle", { cx: x, cy: y, r: 6, ...role }, group);
    }
    this.drawText(group, text, points.at(-1));
  }

  // Beside a point, or before it where there is no room.
  drawText(group, text, { x, y }) {
    const attributes = { class: "viewer-mark-text num", "aria-hidden": "true" };
    const element = shape("text", attributes, group);
    element.textContent = text;
    const room = this.pane.view.stage.width - element.getComputedTextLength() - 6;
    element.setAttribute("x", Math.max(6, Math.min(x + 10, room)));
    element.setAttribute("y", Math.max(16, y - 10));
  }
}
