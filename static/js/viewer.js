// The film viewer: heatmap on and off and its opacity, zoom, pan, brightness, contrast, inversion.

const viewer = document.querySelector("[data-viewer]");
const stage = viewer.querySelector("[data-stage]");
const film = viewer.querySelector("[data-film]");
const image = viewer.querySelector("[data-image]");
const heat = viewer.querySelector("[data-heat]");
const view = { scale: 1, x: 0, y: 0 };
const tone = { brightness: 100, contrast: 100, invert: false };

function place() {
  film.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
}

function zoom(factor) {
  const scale = Math.min(8, Math.max(1, view.scale * factor));
  const change = scale / view.scale;
  Object.assign(view, scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: view.x * change, y: view.y * change });
  place();
}

function fit() {
  Object.assign(view, { scale: 1, x: 0, y: 0 });
  place();
}

function move(x, y) {
  if (view.scale === 1) return;
  view.x += x;
  view.y += y;
  place();
}

function paint() {
  image.style.filter = `brightness(${tone.brightness}%) contrast(${tone.contrast}%) invert(${tone.invert ? 1 : 0})`;
}

function toggleInvert(button) {
  tone.invert = !tone.invert;
  button.setAttribute("aria-pressed", tone.invert);
  paint();
}

function bindHeat() {
  if (!heat) return;
  const on = viewer.querySelector("[data-heat-on]");
  const opacity = viewer.querySelector("[data-heat-opacity]");
  const apply = () => {
    heat.style.opacity = on.checked ? opacity.value / 100 : 0;
  };
  on.addEventListener("change", apply);
  opacity.addEventListener("input", () => {
    on.checked = true;
    apply();
  });
  // A browser may keep the controls' state over a reload.
  apply();
}

function bindTones() {
  for (const name of ["brightness", "contrast"]) {
    const range = viewer.querySelector(`[data-${name}]`);
    const apply = () => {
      tone[name] = range.value;
      paint();
    };
    range.addEventListener("input", apply);
    apply();
  }
  const invert = viewer.querySelector("[data-invert]");
  invert.addEventListener("click", () => toggleInvert(invert));
}

const KEYS = {
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: fit,
  ArrowLeft: () => move(40, 0),
  ArrowRight: () => move(-40, 0),
  ArrowUp: () => move(0, 40),
  ArrowDown: () => move(0, -40),
};

function bindStage() {
  stage.addEventListener("keydown", (event) => {
    const action = KEYS[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    action();
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && view.scale === 1) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.12 : 0.89);
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", () => (view.scale === 1 ? zoom(2) : fit()));
  stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY);
  });
  viewer.querySelector("[data-zoom-in]").addEventListener("click", () => zoom(1.25));
  viewer.querySelector("[data-zoom-out]").addEventListener("click", () => zoom(0.8));
  viewer.querySelector("[data-fit]").addEventListener("click", fit);
}

bindHeat();
bindTones();
bindStage();
