// The redaction tool: black boxes over a film, by mouse, finger, pen or keyboard. Without this
// script the boxes are lines in a text field, which it hides and fills.

const tool = document.querySelector("[data-redact]");
const find = (name) => tool.querySelector(`[data-${name}]`);
const text = tool.dataset;
const film = find("film");
const canvas = find("canvas");
const field = find("field");
const list = find("boxes");
const LIMIT = Number(text.limit);
const STEP = 0.01; // of the film, for each press of a key
const SMALLEST = 0.005;
const REACH = 16; // CSS pixels around the corner that changes a box's size
const MAX_PAST = 100;
// Boxes are { left, top, width, height } in shares of the film; `chosen` is an index, or -1.
let boxes = [];
let chosen = -1;
let past = [];
let gesture = null;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const percent = (share) => `${Math.round(100 * share)}%`;

function say(sentence, values = {}) {
  find("said").textContent = fill(sentence, values);
}

// In hundredths of a per cent, rounded outwards: what was covered stays covered.
function line(box) {
  const from = (share) => clamp(Math.floor(share * 1e4), 0, 1e4);
  const to = (share) => clamp(Math.ceil(share * 1e4), 0, 1e4);
  const [left, top] = [from(box.left), from(box.top)];
  const [right, bottom] = [to(box.left + box.width), to(box.top + box.height)];
  return [left, top, right - left, bottom - top].map((value) => value / 100).join(" ");
}

function parse(written) {
  const [left, top, width, height] = written.trim().split(/\s+/).map((part) => Number(part) / 100);
  const isBox = left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= 1.000001 && top + height <= 1.000001;
  return isBox ? { left, top, width, height } : null;
}

function load() {
  const lines = field.value.split("\n").filter((written) => written.trim());
  const read = lines.map(parse);
  // What this script cannot read stays where its writer can correct it.
  if (read.includes(null) || read.length > LIMIT) return false;
  boxes = read;
  return true;
}

function remember() {
  past = [...past.slice(-MAX_PAST), boxes.map((box) => ({ ...box }))];
}

function show() {
  field.value = boxes.map(line).join("\n");
  find("undo").disabled = past.length === 0;
  find("clear").disabled = boxes.length === 0;
  showList();
  draw();
}

// Rows are kept and their words changed, so that the focus stays in its row.
function showList() {
  while (list.children.length > boxes.length) list.lastElementChild.remove();
  while (list.children.length < boxes.length) list.append(row());
  boxes.forEach((box, index) => {
    const item = list.children[index];
    const [pick, remove] = item.children;
    const label = fill(text.textRemove, { number: index + 1 });
    item.classList.toggle("is-chosen", index === chosen);
    pick.setAttribute("aria-pressed", index === chosen);
    pick.textContent = describe(box, index);
    remove.setAttribute("aria-label", label);
    remove.title = label;
  });
}

function describe(box, index) {
  return fill(text.textBox, {
    number: index + 1,
    left: percent(box.left),
    top: percent(box.top),
    width: percent(box.width),
    height: percent(box.height),
  });
}

function row() {
  const item = document.createElement("li");
  const index = () => [...list.children].indexOf(item);
  const pick = document.createElement("button");
  pick.type = "button";
  pick.className = "redact-pick";
  pick.addEventListener("click", () => choose(index()));
  pick.addEventListener("focus", () => choose(index()));
  pick.addEventListener("keydown", onKey);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "btn-icon btn-icon-danger";
  remove.append(find("clear").querySelector("svg").cloneNode(true));
  remove.addEventListener("click", () => {
    removeBox(index());
    (list.children[Math.max(0, chosen)]?.firstElementChild ?? find("add")).focus();
  });
  item.append(pick, remove);
  return item;
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const all = gesture?.fresh ? [...boxes, gesture.fresh] : boxes;
  all.forEach((box, index) => {
    const isChosen = index === chosen || box === gesture?.fresh;
    const rectangle = [box.left * width, box.top * height, box.width * width, box.height * height];
    // One sees through the chosen box, to place it; what leaves is black.
    context.fillStyle = isChosen ? "rgb(0 0 0 / 60%)" : "#000";
    context.fillRect(...rectangle);
    context.lineWidth = isChosen ? 2 : 1;
    context.strokeStyle = isChosen ? "#74d3e2" : "#9db1b9";
    context.strokeRect(...rectangle);
    if (index !== chosen) return;
    context.fillStyle = "#74d3e2";
    context.fillRect(rectangle[0] + rectangle[2] - 5, rectangle[1] + rectangle[3] - 5, 10, 10);
  });
}

// The canvas lies over the film, wherever the layout puts that.
function place() {
  canvas.style.inset = "auto";
  canvas.style.left = `${film.offsetLeft}px`;
  canvas.style.top = `${film.offsetTop}px`;
  canvas.style.width = `${film.offsetWidth}px`;
  canvas.style.height = `${film.offsetHeight}px`;
  draw();
}

function choose(index) {
  if (index === chosen) return;
  chosen = index;
  show();
}

function isFull() {
  if (boxes.length < LIMIT) return false;
  say(text.textFull, { limit: LIMIT });
  return true;
}

function append(box) {
  remember();
  boxes.push(box);
  chosen = boxes.length - 1;
  show();
  say(text.textAdded, { number: boxes.length });
}

function add() {
  canvas.focus({ preventScroll: true });
  if (isFull()) return;
  const shift = 0.03 * (boxes.length % 10);
  append({ left: 0.4 + shift, top: 0.4 + shift, width: 0.2, height: 0.08 });
}

function removeBox(index) {
  if (!boxes[index]) return;
  remember();
  boxes.splice(index, 1);
  chosen = Math.min(index, boxes.length - 1);
  show();
  say(text.textRemoved, { number: index + 1 });
}

function undo() {
  if (!past.length) return;
  boxes = past.pop();
  chosen = boxes.length - 1;
  show();
  say(text.textUndone, { count: boxes.length });
}

function clear() {
  if (!boxes.length) return;
  remember();
  boxes = [];
  chosen = -1;
  show();
  say(text.textCleared);
}

const moved = (box, x, y) => ({
  ...box,
  left: clamp(box.left + x, 0, 1 - box.width),
  top: clamp(box.top + y, 0, 1 - box.height),
});

const resized = (box, x, y) => ({
  ...box,
  width: clamp(box.width + x, SMALLEST, 1 - box.left),
  height: clamp(box.height + y, SMALLEST, 1 - box.top),
});

const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

function onKey(event) {
  if (event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.key !== "z") return;
    event.preventDefault();
    undo();
  } else if (event.key in ARROWS && boxes[chosen]) {
    event.preventDefault();
    remember();
    boxes[chosen] = (event.shiftKey ? resized : moved)(boxes[chosen], ...ARROWS[event.key]);
    show();
    say(describe(boxes[chosen], chosen));
  } else if (["Delete", "Backspace"].includes(event.key) && boxes[chosen]) {
    event.preventDefault();
    removeBox(chosen);
    if (event.currentTarget !== canvas) (list.children[chosen]?.firstElementChild ?? canvas).focus();
  } else if (event.key === "Enter" && event.currentTarget === canvas) {
    event.preventDefault();
    add();
  }
}

function at(event) {
  const frame = canvas.getBoundingClientRect();
  return {
    x: clamp((event.clientX - frame.left) / frame.width, 0, 1),
    y: clamp((event.clientY - frame.top) / frame.height, 0, 1),
  };
}

function isAtCorner(box, point) {
  const x = (box.left + box.width - point.x) * canvas.clientWidth;
  const y = (box.top + box.height - point.y) * canvas.clientHeight;
  return Math.hypot(x, y) <= REACH;
}

const holds = (box, { x, y }) =>
  x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;

function between(one, other) {
  return {
    left: Math.min(one.x, other.x),
    top: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x),
    height: Math.abs(one.y - other.y),
  };
}

function onDown(event) {
  if (event.button > 0 || gesture) return;
  const start = at(event);
  canvas.setPointerCapture(event.pointerId);
  gesture = { id: event.pointerId, start };
  if (boxes[chosen] && isAtCorner(boxes[chosen], start)) gesture.change = resized;
  else {
    choose(boxes.findLastIndex((box) => holds(box, start)));
    if (chosen >= 0) gesture.change = moved;
    else if (isFull()) gesture = null;
  }
  if (gesture?.change) gesture.box = { ...boxes[chosen] };
}

function onMove(event) {
  if (gesture?.id !== event.pointerId) return;
  const point = at(event);
  const { start, change, box } = gesture;
  if (!change) {
    gesture.fresh = between(start, point);
    draw();
    return;
  }
  if (!gesture.hasMoved) remember();
  gesture.hasMoved = true;
  boxes[chosen] = change(box, point.x - start.x, point.y - start.y);
  show();
}

function onUp(event) {
  if (gesture?.id !== event.pointerId) return;
  const { fresh, hasMoved } = gesture;
  gesture = null;
  if (fresh && fresh.width > SMALLEST && fresh.height > SMALLEST) append(fresh);
  else draw();
  if (hasMoved) say(describe(boxes[chosen], chosen));
}

function onCancel(event) {
  if (gesture?.id !== event.pointerId) return;
  if (gesture.hasMoved) boxes = past.pop();
  gesture = null;
  show();
}

function bind() {
  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", onCancel);
  canvas.addEventListener("keydown", onKey);
  find("add").addEventListener("click", add);
  find("undo").addEventListener("click", undo);
  find("clear").addEventListener("click", clear);
  new ResizeObserver(place).observe(film);
}

if (load()) {
  find("plain").hidden = true;
  bind();
  show();
} else {
  for (const part of [canvas, find("tools"), find("help")]) part.hidden = true;
}
