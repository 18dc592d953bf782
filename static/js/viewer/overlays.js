// What the model adds over a film: heatmap, outline of the lungs, reasons for being out of scope.
// The style sheet shows what is switched on; a map that is off is not even loaded. A page may have
// none of the switches.

import { say, word } from "./words.js";

const OPACITY_STEP = 10; // per cent

export class Overlays {
  constructor(element) {
    this.find = (name) => element.querySelector(`[data-${name}]`);
    this.heat = this.find("heat");
    this.opacity = this.find("heat-opacity");
    this.opacity?.addEventListener("input", () => this.changeOpacity(0));
    this.showOpacity();
    const lungs = this.find("lungs");
    lungs?.addEventListener("error", () => {
      if (!this.find("lungs-on").checked) return;
      this.find("lungs-on").checked = false;
      this.find("lungs-note").textContent = word("lungs-failed");
      say(word("lungs-failed"));
    });
  }

  toggle(name) {
    const box = this.find(`${name}-on`);
    if (!box || box.disabled) return;
    box.checked = !box.checked;
    say(word(box.checked ? "shown" : "hidden", { what: box.labels[0].textContent.trim() }));
  }

  // Changes the opacity of the heatmap, and shows it if it was hidden.
  changeOpacity(by) {
    if (!this.heat) return;
    this.opacity.value = Number(this.opacity.value) + by * OPACITY_STEP;
    this.find("heat-on").checked = true;
    this.showOpacity();
  }

  showOpacity() {
    // After a reload, the browser may have restored an earlier value.
    if (this.heat) this.heat.style.opacity = this.opacity.value / 100;
  }
}
