// The large view of an image: zoom by buttons and keys. The stage scrolls, so arrow keys, touch and
// the scroll bars move the image. Without this script, the image fits the window.

import { clamp } from "../shared.js";

const page = document.querySelector("[data-large-picture]");
const find = (name) => page.querySelector(`[data-${name}]`);
const stage = find("stage");
const image = stage.querySelector("img");

const STEP = 1.25;
const MAX_SCALE = 8; // of the size that fits

const size = { width: image.width, height: image.height };
let scale = 1;

function fitting() {
  return Math.min(stage.clientWidth / size.width, stage.clientHeight / size.height);
}

// Draws the image at the scale and keeps the middle of the stage where it was.
function draw() {
  const middle = {
    x: (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth,
    y: (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight,
  };
  const factor = fitting() * scale;
  image.style.width = `${Math.floor(size.width * factor)}px`;
  image.style.height = `${Math.floor(size.height * factor)}px`;
  stage.classList.toggle("is-zoomed", scale > 1);
  stage.scrollLeft = middle.x * stage.scrollWidth - stage.clientWidth / 2;
  stage.scrollTop = middle.y * stage.scrollHeight - stage.clientHeight / 2;
  find("zoom").textContent = `${Math.round(100 * scale)}%`;
}

function zoomTo(value) {
  scale = clamp(value, 1, MAX_SCALE);
  draw();
}

const zoomIn = () => zoomTo(scale * STEP);
const zoomOut = () => zoomTo(scale / STEP);
const fit = () => zoomTo(1);
const KEYS = { "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: fit };

page.addEventListener("keydown", (event) => {
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
find("zoom-in").addEventListener("click", zoomIn);
find("zoom-out").addEventListener("click", zoomOut);
find("fit").addEventListener("click", fit);
stage.addEventListener("dblclick", () => (scale === 1 ? zoomTo(STEP ** 4) : fit()));
new ResizeObserver(draw).observe(stage);
stage.focus({ preventScroll: true });
