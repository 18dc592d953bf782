// Mouse, pen and fingers on a film.
//
// Left button or one finger: the chosen tool. Right button: window. Middle button: pan. Two fingers
// apart or together: zoom; side by side: window. One finger scrolls the page past a film that is
// not enlarged, and pans one that is.

import { distance } from "./geometry.js";
import { dragged } from "./tone.js";

const WINDOW_REACH = 500; // CSS pixels of a drag for the width of the default window
const WHEEL_STEP = 1.12;
const DOUBLE_CLICK = 2.5;
const MOVED = 5; // CSS pixels: a drag rather than a click
const FAR = 30; // of one finger while the other rests
const MEASURING = new Set(["ruler", "angle", "ratio"]);

const middleOf = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

// Two fingers in the same direction, or not; undecided until both have moved, or one by far.
function gestureOf(before, after) {
  const [one, two] = before.map((at, i) => ({ x: after[i].x - at.x, y: after[i].y - at.y }));
  const moved = [one, two].map(({ x, y }) => Math.hypot(x, y));
  if (Math.min(...moved) > MOVED) return one.x * two.x + one.y * two.y > 0 ? "window" : "pinch";
  return Math.max(...moved) > FAR ? "pinch" : "undecided";
}

export function bindPointer(pane, viewer) {
  new Pointer(pane, viewer).bind();
}

class Pointer {
  constructor(pane, viewer) {
    this.pane = pane;
    this.viewer = viewer;
    this.pressed = new Map(); // last place of each pressed pointer, by its id
    this.gesture = ""; // window, pan, handle, measure, lens; of two fingers: pinch, undecided
  }

  bind() {
    const { stage } = this.pane;
    stage.addEventListener("pointerdown", (event) => this.onDown(event));
    stage.addEventListener("pointermove", (event) => this.onMove(event));
    stage.addEventListener("pointerup", (event) => this.onUp(event));
    stage.addEventListener("pointercancel", (event) => this.onUp(event));
    stage.addEventListener("pointerleave", () => this.pane.moveLens(null));
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", (event) => this.onDoubleClick(event));
    stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    // Otherwise the browser would scroll or zoom the page with two fingers.
    const keep = (event) => event.touches.length > 1 && event.preventDefault();
    stage.addEventListener("touchmove", keep, { passive: false });
  }

  at(event) {
    const box = this.pane.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  onDown(event) {
    const at = this.at(event);
    this.viewer.activate(this.pane);
    this.pane.stage.setPointerCapture(event.pointerId);
    this.pressed.set(event.pointerId, at);
    if (event.button === 1) event.preventDefault(); // no automatic scrolling
    if (this.pressed.size === 2) this.startTwo();
    else if (this.pressed.size === 1) this.startOne(event, at);
  }

  startOne(event, at) {
    this.start = at;
    if (event.button === 2) this.gesture = "window";
    else if (event.button === 1) this.gesture = "pan";
    else this.startTool(event.pointerType === "touch", at);
  }

  startTool(isTouch, at) {
    const { tool } = this.viewer;
    const { marks, view } = this.pane;
    this.handle = marks.unfinished ? null : marks.handleAt(at);
    if (this.handle) this.gesture = "handle";
    else if (MEASURING.has(tool)) this.startMeasuring(tool, view.toFilm(at));
    else if (tool === "lens") {
      this.gesture = "lens";
      this.pane.moveLens(at);
    } else this.gesture = isTouch ? "pan" : tool;
  }

  startMeasuring(tool, at) {
    const { marks } = this.pane;
    this.gesture = "measure";
    if (marks.unfinished?.isPaused) marks.resume(at);
    else if (marks.unfinished) {
      marks.set(at);
      this.gesture = "";
    } else marks.start(tool, at);
  }

  startTwo() {
    if (this.gesture === "measure") this.pane.marks.cancel();
    this.pane.moveLens(null);
    this.gesture = "undecided";
    this.first = [...this.pressed.values()];
  }

  onMove(event) {
    const now = this.at(event);
    const before = this.pressed.get(event.pointerId);
    if (!before) {
      this.hover(now);
      return;
    }
    if (this.pressed.size === 2) this.moveTwo(event.pointerId, now);
    else this.moveOne(before, now);
    this.pressed.set(event.pointerId, now);
  }

  hover(at) {
    const { marks, view } = this.pane;
    if (this.viewer.tool === "lens") this.pane.moveLens(at);
    if (marks.unfinished && !marks.unfinished.isPaused) marks.move(view.toFilm(at));
  }

  moveOne(before, now) {
    const { marks, view } = this.pane;
    const [x, y] = [now.x - before.x, now.y - before.y];
    if (this.gesture === "window") this.changeWindow(x, y);
    else if (this.gesture === "pan") {
      view.pan(x, y);
      this.pane.changed();
    } else if (this.gesture === "handle") marks.drag(this.handle, view.toFilm(now));
    else if (this.gesture === "measure") marks.move(view.toFilm(now));
    else if (this.gesture === "lens") this.pane.moveLens(now);
  }

  moveTwo(id, now) {
    const before = [...this.pressed.values()];
    const after = [...this.pressed].map(([other, at]) => (other === id ? now : at));
    if (this.gesture === "undecided") this.gesture = gestureOf(this.first, after);
    const [from, to] = [middleOf(before), middleOf(after)];
    if (this.gesture === "window") this.changeWindow(to.x - from.x, to.y - from.y);
    if (this.gesture !== "pinch") return;
    const { view } = this.pane;
    view.zoomTo((view.scale * distance(...after)) / Math.max(1, distance(...before)), from);
    view.pan(to.x - from.x, to.y - from.y);
    this.pane.changed();
  }

  // To the right: more contrast is lost; upwards: brighter.
  changeWindow(x, y) {
    if (!this.pane.requireSource()) return;
    const { source, window } = this.pane;
    this.pane.setWindow(dragged(source, window, x / WINDOW_REACH, -y / WINDOW_REACH));
  }

  onUp(event) {
    const at = this.at(event);
    if (!this.pressed.delete(event.pointerId)) return;
    const { marks, view } = this.pane;
    if (this.gesture === "measure" && marks.unfinished && event.type === "pointerup") {
      if (distance(at, this.start) > MOVED) marks.set(view.toFilm(at));
    }
    if (this.gesture === "handle") marks.focus(this.handle);
    if (this.gesture === "lens" && event.pointerType === "touch") this.pane.moveLens(null);
    // A finger that is left of two does nothing.
    this.gesture = "";
  }

  onDoubleClick(event) {
    if (MEASURING.has(this.viewer.tool)) return;
    const { view } = this.pane;
    if (view.isFitted) view.zoomTo(view.scale * DOUBLE_CLICK, this.at(event));
    else view.fit();
    this.pane.changed();
  }

  // Zooms only while the viewer is in use; otherwise the wheel scrolls the page.
  onWheel(event) {
    if (!event.ctrlKey && !this.viewer.isInUse) return;
    event.preventDefault();
    const { view } = this.pane;
    const factor = event.deltaY < 0 ? WHEEL_STEP : 1 / WHEEL_STEP;
    view.zoomTo(view.scale * factor, this.at(event));
    this.pane.changed();
    if (this.pane.lens) this.pane.moveLens(this.at(event));
  }
}
