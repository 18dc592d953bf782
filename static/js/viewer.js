// The image viewer: zoom and pan, heatmap and its opacity, brightness, contrast, inversion, full
// screen. Without this script, the film and the switch of the heatmap remain.

import { clamp } from "./shared.js";

const viewer = document.querySelector("[data-viewer]");
const find = (name) => viewer.querySelector(`[data-${name}]`);
const stage = find("stage");
const film = find("film");
const image = find("image");
const heatmap = find("heat");

const MAX_SCALE = 12;
const ZOOM_STEP = 1.25;
const WHEEL_STEP = 1.12;
const DOUBLE_CLICK_SCALE = 2.5;
const PAN_STEP = 40; // CSS pixels
const OPACITY_STEP = 10; // per cent

// At scale 1 the whole film fits the stage. x and y move its centre, in CSS pixels.
const view = { scale: 1, x: 0, y: 0 };
const pointers = new Map(); // last position of each pressed pointer, by its id
let fitted = { width: 0, height: 0 }; // size of the film at scale 1, in CSS pixels
let isInverted = false;

// Makes the film fill the stage, also when the image has fewer pixels than the stage.
function measure() {
  const width = Number(image.getAttribute("width"));
  const height = Number(image.getAttribute("height"));
  const ratio = Math.min(stage.clientWidth / width, stage.clientHeight / height);
  fitted = { width: width * ratio, height: height * ratio };
  film.style.width = `${fitted.width}px`;
  film.style.height = `${fitted.height}px`;
  film.classList.add("is-placed");
  place();
}

// Applies the view, limited so that panning leaves no gap between the film and the stage.
function place() {
  const maxX = Math.max(0, (fitted.width * view.scale - stage.clientWidth) / 2);
  const maxY = Math.max(0, (fitted.height * view.scale - stage.clientHeight) / 2);
  view.x = clamp(view.x, -maxX, maxX);
  view.y = clamp(view.y, -maxY, maxY);
  film.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  find("zoom").textContent = `${Math.round(100 * view.scale)}%`;
  stage.classList.toggle("is-zoomed", view.scale > 1);
}

// Zooms about `point`, which is relative to the centre of the stage.
function zoom(factor, point = { x: 0, y: 0 }) {
  const scale = clamp(view.scale * factor, 1, MAX_SCALE);
  const change = scale / view.scale;
  view.x = point.x - (point.x - view.x) * change;
  view.y = point.y - (point.y - view.y) * change;
  view.scale = scale;
  place();
}

const zoomIn = () => zoom(ZOOM_STEP);
const zoomOut = () => zoom(1 / ZOOM_STEP);

function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  place();
}

function pan(x, y) {
  view.x += x;
  view.y += y;
  place();
}

function relativeToCentre(event) {
  const box = stage.getBoundingClientRect();
  return {
    x: event.clientX - box.left - box.width / 2,
    y: event.clientY - box.top - box.height / 2,
  };
}

function applyTone() {
  const brightness = `brightness(${find("brightness").value}%)`;
  const contrast = `contrast(${find("contrast").value}%)`;
  image.style.filter = `${brightness} ${contrast} invert(${isInverted ? 1 : 0})`;
}

function toggleInvert() {
  isInverted = !isInverted;
  find("invert").setAttribute("aria-pressed", isInverted);
  applyTone();
}

function resetTone() {
  find("brightness").value = 100;
  find("contrast").value = 100;
  if (isInverted) toggleInvert();
  applyTone();
}

function applyHeatmap() {
  if (!heatmap) return;
  // The style sheet hides a heatmap that is switched off; the browser then does not load it either.
  heatmap.style.opacity = find("heat-opacity").value / 100;
}

function toggleHeatmap() {
  if (!heatmap) return;
  find("heat-on").checked = !find("heat-on").checked;
}

// Changes the opacity and shows the heatmap if it was hidden.
function changeOpacity(by) {
  if (!heatmap) return;
  const opacity = find("heat-opacity");
  opacity.value = Number(opacity.value) + by;
  find("heat-on").checked = true;
  applyHeatmap();
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else viewer.requestFullscreen();
}

const KEYS = {
  "+": zoomIn,
  "=": zoomIn,
  "-": zoomOut,
  0: fit,
  i: toggleInvert,
  h: toggleHeatmap,
  f: toggleFullScreen,
  "[": () => changeOpacity(-OPACITY_STEP),
  "]": () => changeOpacity(OPACITY_STEP),
  ArrowLeft: () => pan(PAN_STEP, 0),
  ArrowRight: () => pan(-PAN_STEP, 0),
  ArrowUp: () => pan(0, PAN_STEP),
  ArrowDown: () => pan(0, -PAN_STEP),
};

function onKey(event) {
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  // At scale 1 there is nothing to pan, so the arrow keys scroll the page.
  if (event.key.startsWith("Arrow") && view.scale === 1) return;
  event.preventDefault();
  action();
}

// Zooms only while the viewer is in use; otherwise the wheel scrolls the page.
function onWheel(event) {
  if (!event.ctrlKey && document.activeElement !== stage && !document.fullscreenElement) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? WHEEL_STEP : 1 / WHEEL_STEP, relativeToCentre(event));
}

function onDoubleClick(event) {
  if (view.scale === 1) zoom(DOUBLE_CLICK_SCALE, relativeToCentre(event));
  else fit();
}

function onPointerDown(event) {
  if (event.button > 0) return;
  pointers.set(event.pointerId, relativeToCentre(event));
  stage.setPointerCapture(event.pointerId);
}

// One pointer pans; two zoom about the middle between them.
function onPointerMove(event) {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = relativeToCentre(event);
  if (pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const distance = (at) => Math.hypot(at.x - other.x, at.y - other.y);
    if (distance(before) > 0) {
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      zoom(distance(now) / distance(before), middle);
    }
  } else {
    pan(now.x - before.x, now.y - before.y);
  }
  pointers.set(event.pointerId, now);
}

function bindStage() {
  stage.addEventListener("keydown", onKey);
  stage.addEventListener("wheel", onWheel, { passive: false });
  stage.addEventListener("dblclick", onDoubleClick);
  stage.addEventListener("pointerdown", onPointerDown);
  stage.addEventListener("pointermove", onPointerMove);
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  new ResizeObserver(measure).observe(stage);
}

function bindTools() {
  find("zoom-in").addEventListener("click", zoomIn);
  find("zoom-out").addEventListener("click", zoomOut);
  find("fit").addEventListener("click", fit);
  find("invert").addEventListener("click", toggleInvert);
  find("reset").addEventListener("click", resetTone);
  find("brightness").addEventListener("input", applyTone);
  find("contrast").addEventListener("input", applyTone);
  if (document.fullscreenEnabled) find("full").addEventListener("click", toggleFullScreen);
  else find("full").remove();
  if (!heatmap) return;
  find("heat-opacity").addEventListener("input", () => changeOpacity(0));
}

bindStage();
bindTools();
// After a reload the browser may restore the controls to earlier values.
applyHeatmap();
applyTone();

// Not if an address leads to a part of the page, such as the doctor's assessment.
if (!window.location.hash) {
  document.querySelector("[data-start]")?.focus({ preventScroll: true });
}
