// The state line of the page, which holds the addresses and the texts for the scripts of this folder.

export const bar = document.querySelector("[data-line]");

export const urls = {
  session: bar?.dataset.sessionUrl,
  key: bar?.dataset.keyUrl,
  open: bar?.dataset.openUrl,
  create: bar?.dataset.createUrl,
};

// Returns the text `name` of the state line; with a count, its singular or plural.
export function words(name, count = null) {
  const form = count === null ? "" : count === 1 ? "One" : "Many";
  return (bar.dataset[`text${name}${form}`] ?? "").replace("{count}", count);
}
