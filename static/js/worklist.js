// The worklist: keys, selection, numbers beside the filters, and rows that change while it is open.

import { bindKeys, offerKeysHelp } from "./keys.js";
import { showCounts } from "./worklist/counts.js";
import { bindCursor } from "./worklist/cursor.js";
import { watch } from "./worklist/live.js";
import { bindSelection, showSelection } from "./worklist/selection.js";

// As wide as this, the filters are a column of their own; the style sheet says the same.
const WIDE = "(min-width: 110rem)";

function openFiltersWhereWide() {
  const filters = document.querySelector("[data-wide-open]");
  if (filters && window.matchMedia(WIDE).matches) filters.open = true;
}

function refresh() {
  const key = document.querySelector("[data-worklist]")?.dataset.key;
  const field = document.querySelector("[data-list-key]");
  if (key && field) field.value = key;
  showCounts();
  showSelection();
}

openFiltersWhereWide();
offerKeysHelp();
bindCursor(bindKeys);
bindSelection();
watch();
refresh();
document.body.addEventListener("htmx:afterSwap", refresh);
