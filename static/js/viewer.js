// The film viewer: zoom and pan, heatmap on and off and its opacity, brightness, contrast,
// inversion, full screen. Without this script the film is shown with the heatmap over it.

const viewer = document.querySelector("[data-viewer]");
const find = (name) => viewer.querySelector(`[data-${name}]`);
const stage = find("stage");
const film = find("film");
const image = find("image");
const heat = find("heat");
const MAX_SCALE = 12;
const PAN_STEP = 40;
// scale 1 is the whole film in the stage; x and y move its centre, in CSS pixels.
const view = { scale: 1, x: 0, y: 0 };
const tone = { brightness: 100, contrast: 100, invert: false };
const fingers = new Map();
let fitted = { width: 0, height: 0 };

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The film fills the stage, however few pixels it has.
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

// No edge of the film may come further in than the stage's own edge.
function place() {
  const reachX = Math.max(0, (fitted.width * view.scale - stage.clientWidth) / 2);
  const reachY = Math.max(0, (fitted.height * view.scale - stage.clientHeight) / 2);
  view.x = clamp(view.x, -reachX, reachX);
  view.y = clamp(view.y, -reachY, reachY);
  film.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  find("zoom").textContent = `${Math.round(100 * view.scale)}%`;
  stage.classList.toggle("is-zoomed", view.scale > 1);
}

// Zooms about a point of the stage, given from its centre.
function zoom(factor, point = { x: 0, y: 0 }) {
  const scale = clamp(view.scale * factor, 1, MAX_SCALE);
  const change = scale / view.scale;
  view.x = point.x - (point.x - view.x) * change;
  view.y = point.y - (point.y - view.y) * change;
  view.scale = scale;
  place();
}

function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  place();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  place();
}

function fromCentre(event) {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
}

function paint() {
  image.style.filter = `brightness(${tone.brightness}%) contrast(${tone.contrast}%) invert(${tone.invert ? 1 : 0})`;
}

function toggleInvert() {
  tone.invert = !tone.invert;
  find("invert").setAttribute("aria-pressed", tone.invert);
  paint();
}

function applyHeat() {
  if (heat) heat.style.opacity = find("heat-on").checked ? find("heat-opacity").value / 100 : 0;
}

function toggleHeat() {
  if (!heat) return;
  find("heat-on").checked = !find("heat-on").checked;
  applyHeat();
}

function stepHeat(by) {
  if (!heat) return;
  const opacity = find("heat-opacity");
  opacity.value = Number(opacity.value) + by;
  find("heat-on").checked = true;
  applyHeat();
}

function applyTones() {
  tone.brightness = find("brightness").value;
  tone.contrast = find("contrast").value;
  paint();
}

function resetTones() {
  find("brightness").value = 100;
  find("contrast").value = 100;
  if (tone.invert) toggleInvert();
  applyTones();
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else viewer.requestFullscreen();
}

const KEYS = {
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: fit,
  i: toggleInvert,
  h: toggleHeat,
  f: toggleFull,
  "[": () => stepHeat(-10),
  "]": () => stepHeat(10),
  ArrowLeft: () => move(PAN_STEP, 0),
  ArrowRight: () => move(-PAN_STEP, 0),
  ArrowUp: () => move(0, PAN_STEP),
  ArrowDown: () => move(0, -PAN_STEP),
};

function onKey(event) {
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  // Arrow keys scroll the page while there is nothing to move.
  if (event.key.startsWith("Arrow") && view.scale === 1) return;
  event.preventDefault();
  action();
}

// A wheel over a film that nobody is working on scrolls the page.
function onWheel(event) {
  if (!event.ctrlKey && document.activeElement !== stage && !document.fullscreenElement) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.12 : 1 / 1.12, fromCentre(event));
}

function onPointerMove(event) {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = fromCentre(event);
  if (fingers.size === 2) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const spread = (at) => Math.hypot(at.x - other.x, at.y - other.y);
    if (spread(before) > 0) {
      zoom(spread(now) / spread(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    }
  } else {
    move(now.x - before.x, now.y - before.y);
  }
  fingers.set(event.pointerId, now);
}

function bindStage() {
  stage.addEventListener("keydown", onKey);
  stage.addEventListener("wheel", onWheel, { passive: false });
  stage.addEventListener("dblclick", (event) => (view.scale === 1 ? zoom(2.5, fromCentre(event)) : fit()));
  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    fingers.set(event.pointerId, fromCentre(event));
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", onPointerMove);
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  new ResizeObserver(measure).observe(stage);
}

function bindTools() {
  find("zoom-in").addEventListener("click", () => zoom(1.25));
  find("zoom-out").addEventListener("click", () => zoom(0.8));
  find("fit").addEventListener("click", fit);
  find("invert").addEventListener("click", toggleInvert);
  find("reset").addEventListener("click", resetTones);
  find("brightness").addEventListener("input", applyTones);
  find("contrast").addEventListener("input", applyTones);
  if (document.fullscreenEnabled) find("full").addEventListener("click", toggleFull);
  else find("full").remove();
  if (!heat) return;
  find("heat-on").addEventListener("change", applyHeat);
  find("heat-opacity").addEventListener("input", () => stepHeat(0));
}

bindStage();
bindTools();
// A browser may keep the controls' state over a reload.
applyHeat();
applyTones();
