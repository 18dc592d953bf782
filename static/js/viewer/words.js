// The page's sentences for the viewer, in its language: elements with `data-word`.

const texts = new Map(
  [...document.querySelectorAll("[data-word]")].map((each) => [
    each.dataset.word,
    each.textContent.trim(),
  ]),
);

// Returns a sentence; each {name} is replaced with the value of that name.
export const word = (name, values = {}) =>
  (texts.get(name) ?? name).replace(/\{(\w+)\}/g, (_, key) => values[key]);

const status = document.querySelector("[data-viewer-said]");

// Tells screen readers what has changed.
export function say(text) {
  if (status) status.textContent = text;
}
