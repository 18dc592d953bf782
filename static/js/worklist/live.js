// Keeps an open list up to date. A row is updated where it is, and none ever moves: new readings
// wait behind a button. While the tab is hidden, nothing is asked.

import { showSelection } from "./selection.js";

const FOCUSABLE = "a, input, button";

function replace(row, fresh) {
  const parts = [...row.querySelectorAll(FOCUSABLE)];
  const focused = parts.indexOf(document.activeElement);
  const isChecked = row.querySelector("input[name=selected]")?.checked;
  const image = row.querySelector("img");
  row.replaceWith(fresh);
  // The same thumbnail, so that it does not flicker.
  if (image) fresh.querySelector("img")?.replaceWith(image);
  const box = fresh.querySelector("input[name=selected]");
  if (box) box.checked = isChecked;
  if (focused >= 0) fresh.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
}

function show(list, text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  let added = 0;
  for (const fresh of parsed.querySelectorAll("tr[data-row]")) {
    const row = list.querySelector(`tr[data-row="${fresh.dataset.row}"]`);
    if (!row) added += 1;
    else if (row.dataset.stamp !== fresh.dataset.stamp) replace(row, document.adoptNode(fresh));
  }
  const button = list.querySelector("[data-live-new]");
  if (button) {
    button.hidden = added === 0;
    button.textContent = list.dataset.newText.replace("{n}", String(added));
  }
  showSelection();
}

async function ask(list) {
  const response = await fetch(list.dataset.changes, {
    headers: { "If-None-Match": `"${list.dataset.stamp}"`, "X-Requested-With": "XMLHttpRequest" },
    credentials: "same-origin",
    cache: "no-store",
  });
  // A redirect leads to the sign-in page: the session is over, which its own dialog says.
  if (response.status !== 200 || response.redirected || !list.isConnected) return;
  list.dataset.stamp = (response.headers.get("ETag") ?? "").replaceAll('"', "");
  show(list, await response.text());
}

export function watch() {
  let isAsking = false;
  async function tick() {
    const list = document.querySelector("[data-worklist]");
    if (!list || document.hidden || isAsking) return;
    isAsking = true;
    try {
      await ask(list);
    } catch {
      // No network; the next tick tries again.
    } finally {
      isAsking = false;
    }
  }
  const seconds = Number(document.querySelector("[data-worklist]")?.dataset.poll ?? 15);
  setInterval(tick, 1000 * seconds);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-live-new]")) window.location.reload();
  });
}
