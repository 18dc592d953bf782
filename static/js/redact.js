// The redaction tool: black boxes over a film, placed with mouse, touch, pen or keyboard. The boxes
// are the lines of a text field, which this script hides and fills. Without it, users edit the text.

import { clamp, interpolate } from "./shared.js";

const tool = document.querySelector("[data-redact]");
const find = (name) => tool.querySelector(`[data-${name}]`);
const text = tool.dataset;
const film = find("film");
const canvas = find("canvas");
const field = find("field");
const list = find("boxes");

const MAX_BOXES = Number(text.limit);
const MAX_UNDO = 100;
const KEY_STEP = 0.01; // share of the film, for each key press
const MIN_SIDE = 0.005;
const HANDLE_RADIUS = 16; // CSS pixels around the corner that resizes the selected box
const HANDLE_SIDE = 10;
const ACCENT = "#74d3e2";

// A box is { left, top, width, height } in shares of the film.
let boxes = [];
let selected = -1; // index of the selected box, or -1
let undoStack = [];
let gesture = null; // the drag in progress: { id, start, change, box, drawn, hasChanged }

const percent = (share) => `${Math.round(100 * share)}%`;

function announce(message, values = {}) {
  find("said").textContent = interpolate(message, values);
}

// The text field ------------------------------------------------------------------------------

// Returns a box as text, in per cent with two decimals, rounded outwards so that it covers at least
// what was covered on the canvas.
function toLine(box) {
  const down = (share) => clamp(Math.floor(share * 1e4), 0, 1e4);
  const up = (share) => clamp(Math.ceil(share * 1e4), 0, 1e4);
  const [left, top] = [down(box.left), down(box.top)];
  const [right, bottom] = [up(box.left + box.width), up(box.top + box.height)];
  return [left, top, right - left, bottom - top].map((value) => value / 100).join(" ");
}

// Returns the box that a line describes, or null if it is not a box within the film.
function fromLine(line) {
  const [left, top, width, height] = line
    .trim()
    .split(/\s+/)
    .map((part) => Number(part) / 100);
  const hasArea = left >= 0 && top >= 0 && width > 0 && height > 0;
  const isWithin = left + width <= 1.000001 && top + height <= 1.000001;
  return hasArea && isWithin ? { left, top, width, height } : null;
}

// Returns false if the text has lines that are not boxes, so that the user can correct them there.
function load() {
  const lines = field.value.split("\n").filter((line) => line.trim());
  const parsed = lines.map(fromLine);
  if (parsed.includes(null) || parsed.length > MAX_BOXES) return false;
  boxes = parsed;
  return true;
}

// Display -------------------------------------------------------------------------------------

function update() {
  field.value = boxes.map(toLine).join("\n");
  find("undo").disabled = undoStack.length === 0;
  find("clear").disabled = boxes.length === 0;
  updateList();
  draw();
}

// Changes the text of existing rows instead of replacing them, so that a row keeps the focus.
function updateList() {
  while (list.children.length > boxes.length) list.lastElementChild.remove();
  while (list.children.length < boxes.length) list.append(createRow());
  boxes.forEach((box, index) => {
    const row = list.children[index];
    const [selectButton, removeButton] = row.children;
    const label = interpolate(text.textRemove, { number: index + 1 });
    row.classList.toggle("is-chosen", index === selected);
    selectButton.setAttribute("aria-pressed", index === selected);
    selectButton.textContent = describe(box, index);
    removeButton.setAttribute("aria-label", label);
    removeButton.title = label;
  });
}

function describe(box, index) {
  return interpolate(text.textBox, {
    number: index + 1,
    left: percent(box.left),
    top: percent(box.top),
    width: percent(box.width),
    height: percent(box.height),
  });
}

function createRow() {
  const row = document.createElement("li");
  const index = () => [...list.children].indexOf(row);
  const selectButton = document.createElement("button");
  selectButton.type = "button";
  selectButton.className = "redact-pick";
  selectButton.addEventListener("click", () => select(index()));
  selectButton.addEventListener("focus", () => select(index()));
  selectButton.addEventListener("keydown", onKey);
  const removeButton = document.createElement("button");
  removeButton.type = "button";
  removeButton.className = "btn-icon btn-icon-danger";
  removeButton.append(find("clear").querySelector("svg").cloneNode(true));
  removeButton.addEventListener("click", () => {
    removeBox(index());
    (rowButton(Math.max(0, selected)) ?? find("add")).focus();
  });
  row.append(selectButton, removeButton);
  return row;
}

const rowButton = (index) => list.children[index]?.firstElementChild;

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  boxes.forEach((box, index) => {
    drawBox(context, box, index === selected);
    if (index === selected) drawHandle(context, box);
  });
  if (gesture?.drawn) drawBox(context, gesture.drawn, true);
}

function drawBox(context, box, isActive) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const rectangle = [box.left * width, box.top * height, box.width * width, box.height * height];
  // The active box is see-through while it is being placed. In the shared image it is black.
  context.fillStyle = isActive ? "rgb(0 0 0 / 60%)" : "#000";
  context.fillRect(...rectangle);
  context.lineWidth = isActive ? 2 : 1;
  context.strokeStyle = isActive ? ACCENT : "#9db1b9";
  context.strokeRect(...rectangle);
}

function drawHandle(context, box) {
  const x = (box.left + box.width) * canvas.clientWidth - HANDLE_SIDE / 2;
  const y = (box.top + box.height) * canvas.clientHeight - HANDLE_SIDE / 2;
  context.fillStyle = ACCENT;
  context.fillRect(x, y, HANDLE_SIDE, HANDLE_SIDE);
}

// Puts the canvas exactly over the film, wherever the layout placed it.
function placeCanvas() {
  canvas.style.inset = "auto";
  canvas.style.left = `${film.offsetLeft}px`;
  canvas.style.top = `${film.offsetTop}px`;
  canvas.style.width = `${film.offsetWidth}px`;
  canvas.style.height = `${film.offsetHeight}px`;
  draw();
}

// Changes -------------------------------------------------------------------------------------

function saveForUndo() {
  undoStack = [...undoStack.slice(-MAX_UNDO), boxes.map((box) => ({ ...box }))];
}

function select(index) {
  if (index === selected) return;
  selected = index;
  update();
}

// Announces that no further box fits, and returns true, if the maximum is reached.
function refuseIfFull() {
  if (boxes.length < MAX_BOXES) return false;
  announce(text.textFull, { limit: MAX_BOXES });
  return true;
}

function appendBox(box) {
  saveForUndo();
  boxes.push(box);
  selected = boxes.length - 1;
  update();
  announce(text.textAdded, { number: boxes.length });
}

function addBox() {
  canvas.focus({ preventScroll: true });
  if (refuseIfFull()) return;
  const offset = 0.03 * (boxes.length % 10); // so that a new box does not hide the previous one
  appendBox({ left: 0.4 + offset, top: 0.4 + offset, width: 0.2, height: 0.08 });
}

function removeBox(index) {
  if (!boxes[index]) return;
  saveForUndo();
  boxes.splice(index, 1);
  selected = Math.min(index, boxes.length - 1);
  update();
  announce(text.textRemoved, { number: index + 1 });
}

function undo() {
  if (!undoStack.length) return;
  boxes = undoStack.pop();
  selected = boxes.length - 1;
  update();
  announce(text.textUndone, { count: boxes.length });
}

function clear() {
  if (!boxes.length) return;
  saveForUndo();
  boxes = [];
  selected = -1;
  update();
  announce(text.textCleared);
}

const moved = (box, x, y) => ({
  ...box,
  left: clamp(box.left + x, 0, 1 - box.width),
  top: clamp(box.top + y, 0, 1 - box.height),
});

const resized = (box, x, y) => ({
  ...box,
  width: clamp(box.width + x, MIN_SIDE, 1 - box.left),
  height: clamp(box.height + y, MIN_SIDE, 1 - box.top),
});

// Keyboard ------------------------------------------------------------------------------------

const ARROWS = {
  ArrowLeft: [-KEY_STEP, 0],
  ArrowRight: [KEY_STEP, 0],
  ArrowUp: [0, -KEY_STEP],
  ArrowDown: [0, KEY_STEP],
};

function changeSelected(change, x, y) {
  saveForUndo();
  boxes[selected] = change(boxes[selected], x, y);
  update();
  announce(describe(boxes[selected], selected));
}

// Returns what a key does on `target`, or undefined.
function keyAction(event, target) {
  if (event.ctrlKey || event.metaKey) return event.key === "z" ? undo : undefined;
  if (event.key === "Enter" && target === canvas) return addBox;
  if (!boxes[selected]) return undefined;
  if (event.key in ARROWS) {
    return () => changeSelected(event.shiftKey ? resized : moved, ...ARROWS[event.key]);
  }
  if (event.key !== "Delete" && event.key !== "Backspace") return undefined;
  return () => {
    removeBox(selected);
    if (target !== canvas) (rowButton(selected) ?? canvas).focus();
  };
}

function onKey(event) {
  if (event.altKey) return;
  const action = keyAction(event, event.currentTarget);
  if (!action) return;
  event.preventDefault();
  action();
}

// Pointers ------------------------------------------------------------------------------------

function positionOf(event) {
  const frame = canvas.getBoundingClientRect();
  return {
    x: clamp((event.clientX - frame.left) / frame.width, 0, 1),
    y: clamp((event.clientY - frame.top) / frame.height, 0, 1),
  };
}

function isAtHandle(box, { x, y }) {
  const dx = (box.left + box.width - x) * canvas.clientWidth;
  const dy = (box.top + box.height - y) * canvas.clientHeight;
  return Math.hypot(dx, dy) <= HANDLE_RADIUS;
}

const contains = (box, { x, y }) =>
  x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;

function boxBetween(one, other) {
  return {
    left: Math.min(one.x, other.x),
    top: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x),
    height: Math.abs(one.y - other.y),
  };
}

// Starts resizing, moving or drawing a box, depending on what is under the pointer.
function onPointerDown(event) {
  if (event.button > 0 || gesture) return;
  const start = positionOf(event);
  canvas.setPointerCapture(event.pointerId);
  gesture = { id: event.pointerId, start };
  if (boxes[selected] && isAtHandle(boxes[selected], start)) gesture.change = resized;
  else {
    select(boxes.findLastIndex((box) => contains(box, start)));
    if (selected >= 0) gesture.change = moved;
    else if (refuseIfFull()) gesture = null;
  }
  if (gesture?.change) gesture.box = { ...boxes[selected] };
}

function onPointerMove(event) {
  if (gesture?.id !== event.pointerId) return;
  const position = positionOf(event);
  const { start, change, box } = gesture;
  if (!change) {
    gesture.drawn = boxBetween(start, position);
    draw();
    return;
  }
  if (!gesture.hasChanged) saveForUndo();
  gesture.hasChanged = true;
  boxes[selected] = change(box, position.x - start.x, position.y - start.y);
  update();
}

function onPointerUp(event) {
  if (gesture?.id !== event.pointerId) return;
  const { drawn, hasChanged } = gesture;
  gesture = null;
  if (drawn && drawn.width > MIN_SIDE && drawn.height > MIN_SIDE) appendBox(drawn);
  else draw();
  if (hasChanged) announce(describe(boxes[selected], selected));
}

function onPointerCancel(event) {
  if (gesture?.id !== event.pointerId) return;
  if (gesture.hasChanged) boxes = undoStack.pop();
  gesture = null;
  update();
}

function bind() {
  canvas.addEventListener("pointerdown", onPointerDown);
  canvas.addEventListener("pointermove", onPointerMove);
  canvas.addEventListener("pointerup", onPointerUp);
  canvas.addEventListener("pointercancel", onPointerCancel);
  canvas.addEventListener("keydown", onKey);
  find("add").addEventListener("click", addBox);
  find("undo").addEventListener("click", undo);
  find("clear").addEventListener("click", clear);
  new ResizeObserver(placeCanvas).observe(film);
}

if (load()) {
  find("plain").hidden = true;
  bind();
  update();
  document.addEventListener("xraysite:language", update);
} else {
  for (const part of [canvas, find("tools"), find("help")]) part.hidden = true;
}
