// A model card's slider over its thresholds, its copy buttons, and where the reader is in it.
// Without this script the card shows a table of thresholds, and commands to be selected by hand.

const FIGURES = ["found", "missed", "alarmed", "cleared"];
const SPEAK_AFTER_MS = 500;

const places = (value) => value.toFixed(3);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

class Trade {
  constructor(root) {
    this.root = root;
    this.points = root.dataset.trade.split(";").map((triple) => {
      const [cut, sensitivity, specificity] = triple.split(",").map(Number);
      return { cut, sensitivity, specificity };
    });
    this.cut = root.querySelector("[data-cut]");
    this.sick = root.querySelector("[data-sick]");
    this.cut.addEventListener("input", () => this.show());
    this.sick.addEventListener("input", () => this.show());
    root.querySelector("[data-reset]").addEventListener("click", () => this.reset());
    root.hidden = false;
    root.parentElement.querySelector("[data-trade-table]").hidden = true;
    this.draw();
  }

  reset() {
    this.cut.value = this.root.dataset.shipped;
    this.show();
  }

  // What becomes of 1000 children; the four numbers add up to them.
  counts(point) {
    const sick = 10 * Number(this.sick.value);
    const missed = Math.round(sick * (1 - point.sensitivity));
    const alarmed = Math.round((1000 - sick) * (1 - point.specificity));
    return { sick, found: sick - missed, missed, alarmed, cleared: 1000 - sick - alarmed };
  }

  show() {
    const said = this.draw();
    clearTimeout(this.timer);
    // A slider on the move would flood a screen reader.
    this.timer = setTimeout(() => {
      this.root.querySelector("[data-said]").textContent = said;
    }, SPEAK_AFTER_MS);
  }

  draw() {
    const point = this.points[Number(this.cut.value)];
    const counts = this.counts(point);
    const figures = {
      cut: places(point.cut),
      sensitivity: places(point.sensitivity),
      specificity: places(point.specificity),
      share: `${this.sick.value}%`,
      ...counts,
    };
    for (const place of this.root.querySelectorAll("[data-show]")) {
      place.textContent = figures[place.dataset.show];
    }
    this.cut.setAttribute("aria-valuetext", filled(this.root.dataset.valueText, figures));
    this.sick.setAttribute("aria-valuetext", figures.share);
    this.drawPoint(point);
    this.drawBar(counts);
    return filled(this.root.dataset.saidText, figures);
  }

  // The plot shows rates of error up to its extent; a point beyond stays on the border.
  drawPoint(point) {
    const side = 100 / Number(this.root.dataset.extent);
    const x = Math.min(100, side * (1 - point.specificity));
    const y = Math.min(100, side * (1 - point.sensitivity));
    const dot = this.root.querySelector("[data-point]");
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    this.root.querySelector("[data-guide]").setAttribute("d", `M0 ${y}H${x}V100`);
  }

  drawBar(counts) {
    let x = 0;
    for (const name of FIGURES) {
      const bar = this.root.querySelector(`[data-bar="${name}"]`);
      bar.setAttribute("x", x);
      bar.setAttribute("width", counts[name]);
      x += counts[name];
    }
  }
}

function offerCopying() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
      } catch {
        return; // The browser forbids it: the command can still be selected.
      }
      button.textContent = button.dataset.copied;
      setTimeout(() => {
        button.textContent = label;
      }, 2000);
    });
  }
}

function followTheReader() {
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
    // A line a quarter of the way down: one section at most lies on it.
    { rootMargin: "-25% 0px -75% 0px" },
  );
  for (const section of document.querySelectorAll(".card-section")) observer.observe(section);
}

for (const root of document.querySelectorAll("[data-trade]")) new Trade(root);
offerCopying();
followTheReader();
