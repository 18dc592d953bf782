// The page that the service worker shows without a connection. It knows no user: the form is offered
// if a doctor has signed in with this browser and not signed out since.

import { isLineUp, onLine } from "./line.js";
import * as store from "./store.js";

const IDLE_MS = 30 * 60 * 1000;

const form = document.querySelector("form[data-upload]");
const { elements } = form;
let idle = null;
let isAbandoned = false;

// The date by this computer's clock, as YYYY-MM-DD.
function today() {
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  return [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
}

// The kept page is older than the day on which it is used.
function dateForm() {
  for (const name of ["exam_date", "patient_birth_date"]) elements[name].max = today();
  elements.exam_date.defaultValue = today();
  if (!elements.exam_date.value) elements.exam_date.value = today();
}

const isFilled = () =>
  elements.film.files.length > 0 ||
  Boolean(elements.patient_name.value || elements.patient_number.value);

function onActivity() {
  clearTimeout(idle);
  // Whoever comes to this computer next must not read a forgotten form.
  idle = setTimeout(() => {
    isAbandoned = true;
    window.location.reload();
  }, IDLE_MS);
}

async function render() {
  const isDown = !isLineUp();
  for (const part of document.querySelectorAll("[data-when-down]")) part.hidden = !isDown;
  for (const part of document.querySelectorAll("[data-when-up]")) part.hidden = isDown;
  const account = store.isSupported ? await store.account() : null;
  document.querySelector("[data-offline-form]").hidden = !account;
  document.querySelector("[data-offline-nobody]").hidden = Boolean(account);
}

elements.submission.value = window.crypto?.randomUUID?.() ?? "";
dateForm();
form.addEventListener("reset", () => setTimeout(dateForm));
for (const event of ["keydown", "pointerdown", "input"]) {
  document.addEventListener(event, onActivity, { passive: true });
}
window.addEventListener("beforeunload", (event) => {
  if (isFilled() && !isAbandoned) event.preventDefault();
});
document.querySelector("[data-reload]").addEventListener("click", () => window.location.reload());
onLine(render);
store.onChange(render);
render();
