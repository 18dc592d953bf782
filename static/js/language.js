// Switches the language of a page with a filled form without loading it again, so that nothing that
// was typed or chosen is lost: a browser cannot keep a chosen file over a page load. The page is
// fetched in the other language, and its texts replace those of the page, element by element.
//
// Pages without input are loaded anew by the form itself.

const TEXT_ATTRIBUTES = ["alt", "aria-description", "aria-label", "label", "placeholder", "title"];
// Their content is the user's, or written by a script.
const LIVE = "[data-live], textarea, script, style, canvas, output";

// Does a form have input? ---------------------------------------------------------------------

function isChanged(control) {
  if (control.matches("[type=hidden], button, [type=submit], fieldset, output")) return false;
  if (control.type === "file") return control.files.length > 0;
  if (control.type === "checkbox" || control.type === "radio") {
    return control.checked !== control.defaultChecked;
  }
  if (control.tagName === "SELECT") {
    const defaults = [...control.options].filter((option) => option.defaultSelected);
    const isDefault = (option) =>
      defaults.length ? option.defaultSelected : option === control.options[0];
    return [...control.selectedOptions].some((option) => !isDefault(option));
  }
  return control.value !== control.defaultValue;
}

// A form that the server sent back with errors has input, too: loading the page would empty it.
function hasInput(form) {
  if (form.querySelector("[data-error-summary], .invalid-feedback, .field-error")) return true;
  return [...form.elements].some(isChanged);
}

const filledForms = () =>
  [...document.querySelectorAll("main form[method=post]:not([role=search])")].filter(hasInput);

// Replacing texts -----------------------------------------------------------------------------

const isBlank = (node) =>
  node.nodeType === Node.COMMENT_NODE ||
  (node.nodeType === Node.TEXT_NODE && !node.nodeValue.trim());
const significant = (parent) => [...parent.childNodes].filter((node) => !isBlank(node));

function signature(node) {
  if (node.nodeType === Node.TEXT_NODE) return "text";
  return [node.tagName, node.id, node.getAttribute("name"), node.classList[0]].join("|");
}

function copyAttributes(live, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (TEXT_ATTRIBUTES.includes(name) || name.startsWith("data-")) live.setAttribute(name, value);
  }
  if (live.matches("input[type=submit], input[type=button]")) live.value = fresh.value;
  if (!live.matches(".language-choice")) return;
  if (fresh.hasAttribute("aria-current")) live.setAttribute("aria-current", "true");
  else live.removeAttribute("aria-current");
}

// Pairs nodes in order. What a script has added to the page, such as an error, has no counterpart.
function pairs(live, fresh) {
  const found = [];
  let next = 0;
  for (const node of fresh) {
    const at = live.findIndex((one, index) => index >= next && signature(one) === signature(node));
    if (at < 0) continue;
    found.push([live[at], node]);
    next = at + 1;
  }
  return found;
}

function translate(live, fresh) {
  if (live.nodeType === Node.TEXT_NODE) {
    live.nodeValue = fresh.nodeValue;
    return;
  }
  copyAttributes(live, fresh);
  if (live.matches(LIVE)) return;
  const [old, translated] = [significant(live), significant(fresh)];
  const isSame =
    old.length === translated.length &&
    old.every((node, index) => signature(node) === signature(translated[index]));
  // A sentence whose marked words stand elsewhere in the other language.
  if (!isSame && !live.querySelector("form, input, select, textarea, button, img, [id]")) {
    live.replaceChildren(...fresh.childNodes);
    return;
  }
  for (const [one, other] of pairs(old, translated)) translate(one, other);
}

// Switching -----------------------------------------------------------------------------------

async function pageIn(switchForm, submitter) {
  // The response redirects to the page, which is fetched separately: a redirect would hide errors.
  const body = new FormData(switchForm, submitter);
  await fetch(switchForm.action, { method: "POST", body, redirect: "manual" });
  const response = await fetch(window.location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  // Without a session, the sign-in page comes instead.
  const isSignedIn = (body) => body.classList.contains("signed-in");
  if (!response.ok || isSignedIn(page.body) !== isSignedIn(document.body)) {
    throw new Error(`status ${response.status}`);
  }
  return page;
}

function sayFailure(switchForm) {
  const notice = document.createElement("div");
  notice.className = "notice notice-error";
  notice.setAttribute("role", "alert");
  notice.textContent = switchForm.dataset.textFailed;
  document.querySelector("[data-language-failure]")?.remove();
  notice.dataset.languageFailure = "";
  document.querySelector("main").prepend(notice);
}

async function switchLanguage(switchForm, submitter) {
  let page;
  try {
    page = await pageIn(switchForm, submitter);
  } catch {
    sayFailure(switchForm);
    return;
  }
  document.querySelector("[data-language-failure]")?.remove();
  document.documentElement.lang = page.documentElement.lang;
  document.title = page.title;
  translate(document.body, page.body);
  document.dispatchEvent(new Event("xraysite:language"));
}

for (const one of document.querySelectorAll(".language-switch")) one.removeAttribute("target");

document.addEventListener("submit", (event) => {
  const switchForm = event.target;
  if (!switchForm.matches(".language-switch")) return;
  const filled = filledForms();
  if (!filled.length) return;
  event.preventDefault();
  // While a form is being sent, the page is about to be replaced anyway.
  if (filled.some((form) => form.dataset.sending || form.dataset.sent)) return;
  switchLanguage(switchForm, event.submitter);
});
