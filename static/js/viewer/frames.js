// One picture of a film for a renderer: from where on the film each pixel of the screen comes.

import { inverse } from "./geometry.js";

// Halved planes are used when a pixel of the screen covers this many of theirs, or more.
const COVERED = 1.6;

// `lens`, if there is one: { x, y, radius } on the stage in CSS pixels, and its magnification.
export function frameOf(view, source, canvas, lens) {
  const ratio = canvas.width / view.stage.width;
  const [a, b, c, d, e, f] = inverse(view.matrix());
  const covered = source.width / view.film.width / (view.scale * ratio);
  const planeFor = (pixels) => {
    const plane = Math.floor(Math.log2(Math.max(1, pixels / COVERED)) + 1);
    return Math.min(source.planes.length - 1, pixels < COVERED ? 0 : plane);
  };
  return {
    canvas,
    film: view.film,
    turn: [a / ratio, b / ratio, c / ratio, d / ratio],
    shift: [e, f],
    lens: lens ? [lens.x * ratio, lens.y * ratio, lens.radius * ratio, lens.zoom] : [0, 0, 0, 1],
    planes: [planeFor(covered), planeFor(covered / (lens?.zoom ?? 1))],
  };
}
