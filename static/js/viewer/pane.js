// One film on its stage: loads it, draws it, and keeps its view, window and measurements.

import { CanvasRenderer } from "./canvas.js";
import { frameOf } from "./frames.js";
import { View } from "./geometry.js";
import { Marks } from "./marks.js";
import { fetchSource, sourceOfImage, UnavailableError } from "./source.js";
import { greyLevels, presets, transferred, unitsOf } from "./tone.js";
import { WebGlRenderer } from "./webgl.js";
import { word } from "./words.js";

const ATTEMPTS = 4; // while the server is busy with other films
const LENS = { radius: 110, zoom: 2.5 };

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Sends "viewer:view" and "viewer:window" from its element when the user changes them.
export class Pane {
  constructor(element) {
    this.element = element;
    const find = (name) => element.querySelector(`[data-${name}]`);
    this.find = find;
    this.stage = find("stage");
    this.film = find("film");
    this.image = find("image");
    this.view = new View();
    const { width, height } = element.dataset;
    this.view.film = { width: Number(width), height: Number(height) };
    this.view.stage = { width: this.stage.clientWidth, height: this.stage.clientHeight };
    this.view.fit();
    this.source = null;
    this.window = null;
    this.isInverted = false;
    this.lens = null;
    this.marks = new Marks(this);
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(this.stage);
    this.place();
    this.ready = this.load();
  }

  close() {
    this.isClosed = true;
    this.observer.disconnect();
    this.element.remove();
  }

  // --- Loading ---

  async load() {
    await this.image.decode().catch(() => {}); // the first picture goes first
    try {
      this.take(await this.fetchPatiently());
      this.find("depth").textContent = word("depth", { bits: this.source.bits });
    } catch (error) {
      if (this.isClosed) return;
      const isExpected = error instanceof UnavailableError;
      if (!isExpected) console.warn(error);
      const reason = isExpected && error.message ? error.message : word("depth-failed");
      this.find("depth").textContent = reason;
      this.requireSource();
    }
  }

  async fetchPatiently() {
    const { pixels } = this.element.dataset;
    if (!pixels) throw new UnavailableError(word("depth-too-large"));
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await fetchSource(pixels);
      } catch (error) {
        if (!error.seconds || attempt === ATTEMPTS || this.isClosed) throw error;
        await wait(error.seconds);
      }
    }
  }

  // Makes windows possible before the stored depth has arrived: with the picture on the page.
  requireSource() {
    if (!this.source && this.image.naturalWidth) this.take(sourceOfImage(this.image));
    return this.source !== null;
  }

  take(source) {
    if (this.isClosed) return;
    const before = this.source;
    this.source = source;
    this.window = before ? transferred(this.window, before, source) : source.tones[0];
    this.marks.spacing = source.spacing;
    this.startRenderer();
    this.changeTone();
    this.element.dispatchEvent(new CustomEvent("viewer:source", { bubbles: true }));
  }

  startRenderer() {
    if (!this.renderer || this.renderer.isLost || !this.renderer.takes(this.source)) {
      this.renderer = this.newRenderer();
    }
    this.renderer.load(this.source);
  }

  newRenderer() {
    const canvas = this.newCanvas();
    const renderer = WebGlRenderer.on(canvas);
    if (renderer?.takes(this.source)) {
      canvas.addEventListener("webglcontextlost", () => {
        this.renderer = new CanvasRenderer(this.newCanvas());
        this.renderer.load(this.source);
        this.changeTone();
      });
      return renderer;
    }
    return new CanvasRenderer(this.newCanvas()); // a canvas keeps the first kind of context
  }

  newCanvas() {
    this.canvas?.remove();
    this.canvas = document.createElement("canvas");
    this.canvas.className = "viewer-canvas";
    this.canvas.setAttribute("aria-hidden", "true");
    this.stage.prepend(this.canvas);
    return this.canvas;
  }

  // --- Window ---

  get presets() {
    return this.source ? presets(this.source) : [];
  }

  setWindow(window, { isLinked = false } = {}) {
    this.window = window;
    this.changeTone();
    if (!isLinked) this.element.dispatchEvent(new CustomEvent("viewer:window", { bubbles: true }));
  }

  setInverted(isInverted) {
    this.isInverted = isInverted;
    if (this.requireSource()) this.changeTone();
  }

  changeTone() {
    this.toneIsNew = true;
    const { centre, width } = unitsOf(this.source, this.window);
    const text = word("window", { centre: Math.round(centre), width: Math.round(width) });
    this.find("window").textContent = text;
    this.draw();
  }

  // --- View ---

  measure() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.view.resize({ width, height });
    this.place();
  }

  // Shows the view after a change of it.
  changed({ isLinked = false } = {}) {
    this.place();
    if (!isLinked) this.element.dispatchEvent(new CustomEvent("viewer:view", { bubbles: true }));
  }

  place() {
    const { width, height } = this.view.film;
    this.film.classList.add("is-placed");
    this.film.style.width = `${width}px`;
    this.film.style.height = `${height}px`;
    this.film.style.transform = `matrix(${this.view.matrix().join(",")})`;
    this.stage.classList.toggle("is-zoomed", !this.view.isFitted);
    const ratio = window.devicePixelRatio || 1;
    this.find("scale").textContent = `${Math.round(100 * this.view.scale * ratio)}%`;
    this.marks.draw();
    this.draw();
  }

  // --- Drawing ---

  moveLens(at) {
    const lens = at && this.requireSource() ? { ...at, ...LENS } : null;
    if (!lens && !this.lens) return;
    this.lens = lens;
    this.draw();
  }

  draw() {
    if (!this.source || this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      if (!this.isClosed) this.drawNow();
    });
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.view.stage.width * ratio);
    const height = Math.round(this.view.stage.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      // Of whole device pixels, even if the stage's own size is not.
      this.canvas.style.width = `${width / ratio}px`;
      this.canvas.style.height = `${height / ratio}px`;
    }
    if (this.toneIsNew) {
      this.renderer.setTone(greyLevels(this.source, this.window, this.isInverted));
      this.toneIsNew = false;
    }
    this.renderer.draw(frameOf(this.view, this.source, this.canvas, this.lens));
    this.stage.classList.add("is-drawn");
  }
}
