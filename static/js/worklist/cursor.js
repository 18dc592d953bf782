// Keys of the worklist. The cursor is the focus: it is on the link of a row.

function rows() {
  return [...document.querySelectorAll("tr[data-row]")];
}

function current() {
  return document.activeElement?.closest("tr[data-row]") ?? null;
}

function focusRow(row) {
  const link = row?.querySelector(".readings-link");
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
  return Boolean(link);
}

function move(by) {
  const all = rows();
  const here = current();
  const place = here ? all.indexOf(here) + by : 0;
  return focusRow(all[Math.min(Math.max(place, 0), all.length - 1)]);
}

// Arrows scroll the page, unless a row has the focus.
function moveByArrow(by) {
  return current() ? move(by) : false;
}

function select() {
  const box = current()?.querySelector("input[name=selected]");
  box?.click();
  return Boolean(box);
}

function edit() {
  const link = current()?.querySelector("[data-edit]");
  link?.click();
  return Boolean(link);
}

// Below the cursor, then from the top of the page.
function openUnread() {
  const all = rows();
  const here = current();
  const after = here ? all.indexOf(here) + 1 : 0;
  const ahead = [...all.slice(after), ...all.slice(0, after)];
  const row = ahead.find((each) => each !== here && each.classList.contains("is-unread"));
  row?.querySelector(".readings-link").click();
  return Boolean(row);
}

function search() {
  const field = document.querySelector(".worklist-search input[name=q]");
  field?.focus();
  field?.select();
  return Boolean(field);
}

// `bindKeys` is that of keys.js.
export function bindCursor(bindKeys) {
  bindKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => moveByArrow(1),
    ArrowUp: () => moveByArrow(-1),
    x: select,
    e: edit,
    n: openUnread,
    "/": search,
  });
}
