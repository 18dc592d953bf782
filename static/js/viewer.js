// The image viewer. Without this script, the film and the switches of the overlays remain.

import { Comparison } from "./viewer/compare.js";
import { Overlays } from "./viewer/overlays.js";
import { Pane } from "./viewer/pane.js";
import { bindPointer } from "./viewer/pointer.js";
import { say, word } from "./viewer/words.js";

const ZOOM_STEP = 1.25;
const PAN_STEP = 40; // CSS pixels
const MEASURING = ["ruler", "angle", "ratio"];
const FIRST_PRESET_KEY = 5; // 1 to 4 choose the doctor's opinion

class Viewer {
  constructor(element) {
    this.element = element;
    this.find = (name) => element.querySelector(`[data-${name}]`);
    this.tool = "window";
    this.panes = [new Pane(this.find("pane"))];
    [this.active] = this.panes;
    bindPointer(this.active, this);
    this.comparison = new Comparison(this);
    this.overlays = new Overlays(element);
    this.actions = actionsOf(this);
    element.addEventListener("keydown", (event) => this.onKey(event));
    element.addEventListener("click", (event) => this.onClick(event));
    element.addEventListener("viewer:source", () => this.listPresets());
    element.addEventListener("focusin", (event) => this.onFocus(event));
    document.addEventListener("fullscreenchange", () => this.showState());
    this.showState();
  }

  // Whether the wheel belongs to the viewer rather than to the page.
  get isInUse() {
    return this.isFull || this.element.contains(document.activeElement);
  }

  get isFull() {
    return (
      document.fullscreenElement === this.element || this.element.classList.contains("is-full")
    );
  }

  activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    this.showState();
    this.listPresets();
  }

  onFocus(event) {
    const pane = this.panes.find((each) => each.element.contains(event.target));
    if (pane) this.activate(pane);
  }

  choose(tool) {
    for (const pane of this.panes) {
      pane.marks.cancel();
      pane.moveLens(null);
    }
    this.tool = tool;
    this.showState();
  }

  // --- Buttons ---

  showState() {
    this.element.dataset.tool = this.tool;
    for (const button of this.element.querySelectorAll("[data-tool-button]")) {
      button.setAttribute("aria-pressed", button.dataset.toolButton === this.tool);
    }
    const pressed = {
      invert: this.active.isInverted,
      flip: this.active.view.isFlipped,
      link: this.comparison.isLinked,
      full: this.isFull,
    };
    for (const [name, isPressed] of Object.entries(pressed)) {
      const button = this.element.querySelector(`[data-do=${name}]`);
      button?.setAttribute("aria-pressed", isPressed);
    }
    for (const pane of this.panes) {
      pane.element.classList.toggle("is-active", this.panes.length > 1 && pane === this.active);
    }
  }

  onClick(event) {
    const button = event.target.closest("[data-do], [data-tool-button], [data-preset]");
    if (!button) return;
    const { do: action, toolButton, preset } = button.dataset;
    if (toolButton) this.choose(toolButton);
    else if (preset) this.usePreset(Number(preset));
    else this.actions[action]();
    if (preset) button.closest("details").open = false;
    // So that keys work at once, without another click on the film.
    if (toolButton || preset) this.active.stage.focus({ preventScroll: true });
  }

  // --- Windows ---

  listPresets() {
    const rows = this.active.presets.map(({ kind, name, number }, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.preset = i;
      button.textContent = name || word(`preset-${kind}`, { number });
      const key = FIRST_PRESET_KEY + i;
      if (key < 10) {
        const hint = document.createElement("kbd");
        hint.textContent = key;
        button.append(" ", hint);
      }
      const row = document.createElement("li");
      row.append(button);
      return row;
    });
    this.find("presets").replaceChildren(...rows);
  }

  usePreset(index) {
    if (!this.active.requireSource()) return;
    const preset = this.active.presets[index];
    if (!preset) return;
    this.active.setWindow(preset.window);
    say(preset.name || word(`preset-${preset.kind}`, { number: preset.number }));
  }

  // --- Keys ---

  onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = event.shiftKey && key === "t" ? "T" : key;
    const isOnStage = event.target === this.active.stage;
    if (name === "Enter" && isOnStage && MEASURING.includes(this.tool)) {
      this.active.marks.add(this.tool);
    } else if (name === "Escape") this.cancel();
    else if (name >= `${FIRST_PRESET_KEY}` && name <= "9" && name.length === 1) {
      this.usePreset(Number(name) - FIRST_PRESET_KEY);
    } else if (name.startsWith("Arrow")) {
      // A film that fits cannot be panned: the arrow keys scroll the page.
      if (!isOnStage || this.active.view.isFitted) return;
      this.actions[name]();
    } else {
      const action = this.element.querySelector(`[data-key="${CSS.escape(name)}"]`);
      if (action) action.click();
      else if (KEYS[name]) this.actions[KEYS[name]]();
      else return;
    }
    event.preventDefault();
  }

  cancel() {
    if (this.element.querySelector("details[open]")) return; // closes the menu
    if (this.active.marks.cancel()) return;
    if (this.element.classList.contains("is-full")) this.actions.full();
    else if (this.tool !== "window") this.choose("window");
  }

  reset() {
    for (const pane of this.panes) {
      pane.view.upright();
      pane.isInverted = false;
      if (pane.source) pane.setWindow(pane.source.tones[0], { isLinked: true });
      pane.changed({ isLinked: true });
    }
    this.showState();
    say(word("was-reset"));
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.element.requestFullscreen) this.element.requestFullscreen();
    else this.element.classList.toggle("is-full"); // telephones without full screen
    this.showState();
  }
}

// Keys without a button of their own, by action.
const KEYS = {
  "=": "zoom-in",
  "[": "fainter",
  "]": "stronger",
  Backspace: "remove-last",
  Delete: "remove-last",
  b: "compare",
  g: "scope",
  h: "heat",
  o: "lungs",
  T: "turn-back",
};

function actionsOf(viewer) {
  const change = (how) => () => {
    how(viewer.active.view);
    viewer.active.changed();
    viewer.showState();
  };
  const pan = (x, y) => change((view) => view.pan(x, y));
  const { comparison, overlays } = viewer;
  const help = document.querySelector("[data-viewer-help]");
  return {
    "zoom-in": change((view) => view.zoomTo(view.scale * ZOOM_STEP)),
    "zoom-out": change((view) => view.zoomTo(view.scale / ZOOM_STEP)),
    fit: change((view) => view.fit()),
    "one-to-one": change((view) => view.zoomTo(1 / (window.devicePixelRatio || 1))),
    turn: change((view) => view.turn(1)),
    "turn-back": change((view) => view.turn(-1)),
    flip: change((view) => view.flip()),
    invert() {
      viewer.active.setInverted(!viewer.active.isInverted);
      viewer.showState();
    },
    clear: () => viewer.active.marks.clear(),
    "remove-last": () => viewer.active.marks.removeLast(),
    reset: () => viewer.reset(),
    full: () => viewer.toggleFull(),
    help: () => help.showModal(),
    compare: () => comparison.toggle(),
    "close-other": () => comparison.close(),
    swap: () => comparison.swap(),
    link: () => comparison.setLinked(!comparison.isLinked),
    "other-films": () => comparison.choose(),
    heat: () => overlays.toggle("heat"),
    lungs: () => overlays.toggle("lungs"),
    scope: () => overlays.toggle("scope"),
    fainter: () => overlays.changeOpacity(-1),
    stronger: () => overlays.changeOpacity(1),
    ArrowLeft: pan(PAN_STEP, 0),
    ArrowRight: pan(-PAN_STEP, 0),
    ArrowUp: pan(0, PAN_STEP),
    ArrowDown: pan(0, -PAN_STEP),
  };
}

for (const dialog of document.querySelectorAll("[data-viewer-dialog]")) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  // A click on the backdrop has the dialog as its target, not an element inside it.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

const viewer = new Viewer(document.querySelector("[data-viewer]"));
// Not if an address leads to a part of the page, such as the doctor's assessment.
// The patient's page leads to `#compare`: this film beside the latest other one of the patient.
const { hash } = window.location;
if (!hash || hash === "#compare") viewer.active.stage.focus({ preventScroll: true });
if (hash === "#compare") viewer.comparison.toggle();
