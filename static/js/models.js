// A model card: folded sections, the threshold explorer, copy buttons, and the current section in
// the table of contents. Without this script, the card shows a table of thresholds and commands as
// plain text.

import "./copy.js";
import { interpolate } from "./shared.js";

const CHILDREN = 1000;
const ANNOUNCE_DELAY_MS = 500;
const OUTCOMES = ["found", "missed", "alarmed", "cleared"]; // order of the bars, left to right

const decimals = (value) => value.toFixed(3);

// Shows sensitivity, specificity and the outcomes per 1,000 children for a threshold and a
// prevalence, each chosen with a slider.
class ThresholdExplorer {
  constructor(root) {
    this.root = root;
    this.points = root.dataset.trade.split(";").map((triple) => {
      const [threshold, sensitivity, specificity] = triple.split(",").map(Number);
      return { threshold, sensitivity, specificity };
    });
    this.threshold = root.querySelector("[data-cut]");
    this.prevalence = root.querySelector("[data-sick]");
    this.threshold.addEventListener("input", () => this.update());
    this.prevalence.addEventListener("input", () => this.update());
    root.querySelector("[data-reset]").addEventListener("click", () => this.reset());
    root.hidden = false;
    root.parentElement.querySelector("[data-trade-table]").hidden = true;
    this.draw();
  }

  reset() {
    this.threshold.value = this.root.dataset.shipped;
    this.update();
  }

  // Returns counts that add up to CHILDREN.
  outcomes(point) {
    const positives = (CHILDREN / 100) * Number(this.prevalence.value);
    const negatives = CHILDREN - positives;
    const falseNegatives = Math.round(positives * (1 - point.sensitivity));
    const falsePositives = Math.round(negatives * (1 - point.specificity));
    return { positives, negatives, falseNegatives, falsePositives };
  }

  // Returns what the card shows, under the names that its template uses.
  figures(point) {
    const { positives, negatives, falseNegatives, falsePositives } = this.outcomes(point);
    return {
      cut: decimals(point.threshold),
      sensitivity: decimals(point.sensitivity),
      specificity: decimals(point.specificity),
      share: `${this.prevalence.value}%`,
      sick: positives,
      found: positives - falseNegatives,
      missed: falseNegatives,
      alarmed: falsePositives,
      cleared: negatives - falsePositives,
    };
  }

  update() {
    const summary = this.draw();
    clearTimeout(this.timer);
    // Announcing every step of a moving slider would flood a screen reader.
    this.timer = setTimeout(() => {
      this.root.querySelector("[data-said]").textContent = summary;
    }, ANNOUNCE_DELAY_MS);
  }

  draw() {
    const point = this.points[Number(this.threshold.value)];
    const figures = this.figures(point);
    for (const element of this.root.querySelectorAll("[data-show]")) {
      element.textContent = figures[element.dataset.show];
    }
    const valueText = interpolate(this.root.dataset.valueText, figures);
    this.threshold.setAttribute("aria-valuetext", valueText);
    this.prevalence.setAttribute("aria-valuetext", figures.share);
    this.drawPoint(point);
    this.drawBars(figures);
    return interpolate(this.root.dataset.saidText, figures);
  }

  // The plot shows error rates up to its extent; a point beyond it stays on the border.
  drawPoint(point) {
    const scale = 100 / Number(this.root.dataset.extent);
    const x = Math.min(100, scale * (1 - point.specificity));
    const y = Math.min(100, scale * (1 - point.sensitivity));
    const dot = this.root.querySelector("[data-point]");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    this.root.querySelector("[data-guide]").setAttribute("d", `M0 ${y}H${x}V100`);
  }

  drawBars(figures) {
    let x = 0;
    for (const outcome of OUTCOMES) {
      const bar = this.root.querySelector(`[data-bar="${outcome}"]`);
      bar.setAttribute("x", x);
      bar.setAttribute("width", figures[outcome]);
      x += figures[outcome];
    }
  }
}

function markCurrentSection() {
  const links = new Map(
    [...document.querySelectorAll(".card-toc a")].map((link) => [link.hash.slice(1), link]),
  );
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const link = links.get(entry.target.id);
        if (entry.isIntersecting) link?.setAttribute("aria-current", "true");
        else link?.removeAttribute("aria-current");
      }
    },
    // Only a line a quarter of the way down counts, so at most one section intersects.
    { rootMargin: "-25% 0px -75% 0px" },
  );
  for (const section of document.querySelectorAll(".card-section")) observer.observe(section);
}

// Sections are folded. What the reader opened stays open over a reload or a change of language in
// this tab; a link to a section opens it; paper shows all of them.
class Folds {
  constructor(folds) {
    this.folds = folds;
    this.key = `xraysite-card:${window.location.pathname}`;
    for (const id of this.stored()) this.open(id);
    for (const fold of folds) fold.addEventListener("toggle", () => this.store());
    window.addEventListener("hashchange", () => this.openTarget());
    window.addEventListener("beforeprint", () => this.openForPrinting());
    window.addEventListener("afterprint", () => this.closeAfterPrinting());
    this.openTarget();
  }

  static idOf(fold) {
    return fold.closest("section").id;
  }

  stored() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key)) ?? [];
    } catch {
      return []; // Storage is disabled.
    }
  }

  store() {
    const open = this.folds.filter((fold) => fold.open && !("printed" in fold.dataset));
    try {
      sessionStorage.setItem(this.key, JSON.stringify(open.map(Folds.idOf)));
    } catch {
      // Storage is disabled: the next page starts folded.
    }
  }

  open(id) {
    const fold = this.folds.find((one) => Folds.idOf(one) === id);
    if (fold) fold.open = true;
  }

  openTarget() {
    const id = decodeURIComponent(window.location.hash.slice(1));
    if (!id) return;
    const target = document.getElementById(id);
    const fold = target?.closest("details[data-fold]") ?? target?.querySelector("[data-fold]");
    if (!fold) return;
    fold.open = true;
    target.scrollIntoView();
  }

  openForPrinting() {
    for (const fold of this.folds.filter((one) => !one.open)) {
      fold.dataset.printed = "";
      fold.open = true;
    }
  }

  closeAfterPrinting() {
    for (const fold of this.folds.filter((one) => "printed" in one.dataset)) {
      fold.open = false;
      delete fold.dataset.printed;
    }
  }
}

for (const root of document.querySelectorAll("[data-trade]")) new ThresholdExplorer(root);
markCurrentSection();
new Folds([...document.querySelectorAll("details[data-fold]")]);
