// On every page of a signed-in user: the state line, who owns what waits in this browser, sign-out,
// and the service worker.

import { check, isLineUp, onLine } from "./line.js";
import { Stop, send, settle } from "./queue.js";
import * as store from "./store.js";
import { bar, urls, words } from "./words.js";

const text = bar.querySelector("[data-line-text]");
const link = bar.querySelector("[data-line-link]");
const account = Number(bar.dataset.account);
const isDoctor = "doctor" in bar.dataset;
let said = ""; // about what has been deleted, until the page is left
let progress = ""; // while X-rays are being sent

// The state line ----------------------------------------------------------------------------------

const isOnList = window.location.pathname === link?.pathname;

function sentence(count) {
  if (progress) return progress;
  if (isOnList && isLineUp()) return said;
  if (isLineUp()) return said || (count ? words("Waiting", count) : "");
  return said || (count ? words("OfflineWaiting", count) : words("Offline"));
}

async function render() {
  const count = isDoctor ? await store.count() : 0;
  const shown = sentence(count);
  text.textContent = shown;
  bar.hidden = !shown;
  bar.classList.toggle("is-offline", !isLineUp());
  if (link) link.hidden = !(count && isLineUp() && !progress);
}

// Whose X-rays wait -------------------------------------------------------------------------------

// Another account must not find what waits, even sealed.
async function claim() {
  const owner = await store.account();
  if (owner && owner.account !== account) {
    const waited = await store.wipe();
    if (waited) said = words("Deleted", waited);
  }
  if (!isDoctor) return;
  const expired = await store.removeExpired();
  if (expired) said = words("Expired", expired);
  if (owner?.account === account || !isLineUp()) return;
  const response = await fetch(urls.key, { credentials: "same-origin", cache: "no-store" });
  if (response.ok && !response.redirected) await store.setAccount(await response.json());
}

// Sending what was kept on this page --------------------------------------------------------------

const agreed = new Set(); // ids that the doctor kept on this page, to be sent when the line returns

document.addEventListener("xraysite:kept", (event) => agreed.add(event.detail));

async function sendAgreed() {
  const submissions = [...agreed];
  if (!isLineUp() || !submissions.length) return;
  const results = [];
  progress = words("Sending", submissions.length);
  await render();
  const stop = await send(urls, submissions, (submission, result) => {
    results.push(result);
    if (result.state === "read") agreed.delete(submission);
  });
  progress = "";
  const read = results.filter((result) => result.state === "read").length;
  if (stop === Stop.SIGNED_OUT) said = words("SignIn");
  else if (read && !(await store.count())) said = words("Read", read);
  if (stop !== Stop.OFFLINE) agreed.clear(); // the rest waits for a look at the list
  await render();
}

// Sign-out ----------------------------------------------------------------------------------------

// Not `form.action`: in the admin, that is a control of this name.
function isSignOut(form) {
  const address = new URL(form.getAttribute("action") ?? "", window.location.href);
  return address.pathname.endsWith("/logout/");
}

async function onSignOut(event) {
  const form = event.target;
  if (!isSignOut(form) || form.dataset.cleared) return;
  event.preventDefault();
  const waiting = await store.count();
  if (waiting && !(await confirmed(waiting))) return;
  await store.wipe();
  if (!(await check())) {
    said = words("SignOutOffline");
    await render();
    return;
  }
  form.dataset.cleared = "true";
  form.requestSubmit(event.submitter);
}

function confirmed(waiting) {
  const dialog = document.getElementById("sign-out-dialog");
  dialog.querySelector("[data-sign-out-text]").textContent = words("SignOut", waiting);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "sign-out"), {
      once: true,
    });
  });
}

// The service worker ------------------------------------------------------------------------------

async function register() {
  if (!("serviceWorker" in navigator)) return;
  const options = { scope: "/", updateViaCache: "none" };
  await navigator.serviceWorker.register(bar.dataset.workerUrl, options);
  const registration = await navigator.serviceWorker.ready;
  registration.active.postMessage({ language: document.documentElement.lang });
}

async function start() {
  document.addEventListener("submit", onSignOut);
  await claim();
  store.onChange(render);
  onLine(render);
  onLine(sendAgreed);
  await render();
  if (isDoctor && isLineUp()) await settle(urls);
}

if (store.isSupported) {
  // Without a connection, the next page tries again.
  start().catch(() => {});
  // After the page itself, which has more urgent requests.
  window.addEventListener("load", () => register().catch(() => {}));
}
