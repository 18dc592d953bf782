// On a reading's page: J and K lead through the list it was opened from, N to the next unread one.

import { bindKeys, offerKeysHelp } from "./keys.js";

function follow(selector) {
  const link = document.querySelector(selector);
  link?.click();
  return Boolean(link);
}

bindKeys({
  j: () => follow("[data-step=next]"),
  k: () => follow("[data-step=previous]"),
  n: () => follow("[data-step=unread]"),
  e: () => follow("[data-edit]"),
});
offerKeysHelp();
