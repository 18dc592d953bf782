// The form of a doctor's opinion: keys, and a draft that is saved while the doctor writes. Without this
// script, the form is sent as an ordinary form, and its draft is saved by a button.

const SAVE_DELAY = 1500; // milliseconds after the last change

const form = document.querySelector("[data-opinion]");
const state = form?.querySelector("[data-draft-state]");
let timer = 0;
let isSent = false;

async function saveDraft() {
  if (isSent) return;
  const body = new FormData(form);
  body.append("draft", "1");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body,
      headers: { "X-Requested-With": "XMLHttpRequest" },
      redirect: "manual",
      keepalive: true,
    });
    state.textContent = response.status === 204 ? form.dataset.saved : form.dataset.notSaved;
  } catch {
    state.textContent = form.dataset.notSaved;
  }
}

function saveSoon() {
  clearTimeout(timer);
  timer = setTimeout(saveDraft, SAVE_DELAY);
}

const isTyping = (element) =>
  element.closest("input:not([type=radio]):not([type=checkbox]), textarea, select");

// 1 to 4 choose what the doctor sees, before the viewer gets the key; text fields keep theirs.
function choose(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const radio = form.querySelectorAll("input[name=verdict]")[Number(event.key) - 1];
  if (!radio) return;
  if (form.closest("details:not([open])")) return;
  radio.checked = true;
  radio.focus();
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  event.preventDefault();
  event.stopPropagation();
}

function sign(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const details = form.closest("details");
  if (details && !details.open) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("button:not([name=draft])"));
}

if (form) {
  form.addEventListener("input", saveSoon);
  form.addEventListener("change", saveSoon);
  form.addEventListener("submit", () => {
    isSent = true;
    clearTimeout(timer);
  });
  document.addEventListener("keydown", choose, { capture: true });
  document.addEventListener("keydown", sign);
}
