// Forum pages: starts the editors and handles what htmx adds to a page. Without this script, a post is
// written in a plain text field.

import { Editor, insertText } from "./forum/editor.js";

// Starts the editors that htmx has added since the last call, too.
function startEditors() {
  for (const form of document.querySelectorAll("[data-composer]:not([data-started])")) {
    form.dataset.started = "true";
    new Editor(form);
  }
}

// htmx loads a quotation into a hidden element; its text is appended to the reply.
function appendQuotation(target) {
  if (target.id !== "quotation") return;
  const text = target.querySelector("textarea")?.value ?? "";
  target.replaceChildren();
  const reply = document.querySelector("#reply [data-editor]");
  reply.setSelectionRange(reply.value.length, reply.value.length);
  const gap = reply.value && !reply.value.endsWith("\n") ? "\n\n" : "";
  insertText(reply, gap + text);
  document.getElementById("reply").scrollIntoView({ block: "center" });
}

// Moves the focus to a reply that was just posted, so that screen readers read it.
function focusNewReply({ requestConfig }) {
  if (requestConfig?.verb !== "post" || !requestConfig.path.endsWith("/reply/")) return;
  if (document.querySelector("#reply [data-error-summary]")) return;
  const newest = [...document.querySelectorAll("#posts .post")].at(-1);
  newest?.scrollIntoView({ block: "center" });
  newest?.focus({ preventScroll: true });
}

document.body.addEventListener("htmx:afterSwap", (event) => {
  appendQuotation(event.target);
  startEditors();
  document.querySelector("[data-composer] [data-error-summary]")?.focus();
});
document.body.addEventListener("htmx:afterSettle", (event) => {
  focusNewReply(event.detail);
  event.detail.elt?.querySelector?.(".post-editing [data-editor]")?.focus();
});
startEditors();
