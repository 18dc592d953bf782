// Single keys as commands, without getting in the way of typing; and the dialog that lists them.

const TYPED_INTO = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";

function isFree(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return false;
  return !event.target.closest?.(TYPED_INTO) && !document.querySelector("dialog[open]");
}

// Runs `commands[key]` for a key pressed outside fields and dialogs. A command that returns false
// leaves the key to the browser.
export function bindKeys(commands) {
  document.addEventListener("keydown", (event) => {
    const command = commands[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (command && isFree(event) && command(event) !== false) event.preventDefault();
  });
}

// Opens the page's `partials/_keys.html` by "?" or a button with `data-keys-help`.
export function offerKeysHelp() {
  const help = document.getElementById("keys-help");
  if (!help) return;
  bindKeys({ "?": () => help.showModal() });
  for (const button of document.querySelectorAll("[data-keys-help]")) {
    button.addEventListener("click", () => help.showModal());
  }
}
