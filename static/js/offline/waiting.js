// The list of X-rays that wait in this browser. Signed in, it shows whose they are and sends them;
// without a connection it shows when they were kept.

import { isLineUp, onLine } from "./line.js";
import { contents, send } from "./queue.js";
import * as store from "./store.js";
import { urls } from "./words.js";

const list = document.querySelector("[data-waiting]");
const text = list.dataset;
const template = document.querySelector("[data-waiting-row]");
const rows = list.querySelector("[data-waiting-rows]");
const status = list.querySelector("[data-waiting-status]");
const sendAll = list.querySelector("[data-waiting-send]");
const known = new Map(); // by id: { head, location } from the server; null if it cannot be opened
const results = new Map(); // by id: { state, location, words }
const done = []; // items that have been read, to be shown until the page is left
let isSending = false;

const when = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "short",
  timeStyle: "short",
});

const size = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

// Rows --------------------------------------------------------------------------------------------

function patientOf(item) {
  const content = known.get(item.submission);
  if (content === null) return text.textLost;
  if (!content) return text.textSealed;
  const { patient_name: name, patient_number: number } = content.head.fields;
  return [name || content.head.name, number].filter(Boolean).join(" · ");
}

function stateOf(item) {
  const result = results.get(item.submission);
  const state = result?.state ?? item.state;
  if (state === "refused") return result?.words || text.textRefused;
  return { waiting: "", sending: text.textSending, asks: text.textAsks, read: text.textRead }[
    state
  ];
}

function link(row, name, address) {
  const found = row.querySelector(`[data-row-${name}]`);
  found.hidden = !address;
  if (address) found.href = address;
}

function rowOf(item) {
  const row = template.content.firstElementChild.cloneNode(true);
  const result = results.get(item.submission);
  const content = known.get(item.submission);
  const isRead = result?.state === "read";
  row.dataset.submission = item.submission;
  row.dataset.state = result?.state ?? item.state;
  row.querySelector("[data-row-patient]").textContent = patientOf(item);
  row.querySelector("[data-row-facts]").textContent = [
    content?.head.name,
    size(item.bytes),
    text.textKeptAt.replace("{when}", when.format(item.savedAt)),
  ]
    .filter(Boolean)
    .join(" · ");
  row.querySelector("[data-row-state]").textContent = stateOf(item) ?? "";
  link(row, "open", isRead && result.location);
  link(row, "decide", !isRead && (result?.location || content?.location));
  const mayCorrect = text.formUrl && content && !isRead && isLineUp();
  link(row, "correct", mayCorrect && `${text.formUrl}#waiting=${item.submission}`);
  const remove = row.querySelector("[data-row-delete]");
  remove.hidden = isRead || isSending;
  return row;
}

async function render() {
  const waiting = await store.items();
  rows.replaceChildren(...[...done, ...waiting].map(rowOf));
  list.querySelector("[data-waiting-empty]").hidden = waiting.length + done.length > 0;
  if (sendAll) {
    sendAll.hidden = !waiting.length;
    sendAll.setAttribute("aria-disabled", String(isSending || !isLineUp()));
  }
}

// Actions -----------------------------------------------------------------------------------------

function say(name) {
  status.textContent = text[name] ?? "";
}

const reason = {
  offline: "textStopOffline",
  "signed-out": "textStopSignedOut",
  busy: "textStopBusy",
  elsewhere: "textStopElsewhere",
};

async function sendEverything() {
  if (isSending || !isLineUp()) return;
  isSending = true;
  say("");
  const waiting = await store.items();
  for (const item of waiting) results.set(item.submission, { state: "sending" });
  await render();
  const stop = await send(
    urls,
    waiting.map((item) => item.submission),
    (submission, result) => {
      results.set(submission, result);
      if (result.state === "read")
        done.push(waiting.find((item) => item.submission === submission));
      render();
    },
  );
  for (const [submission, result] of results) {
    if (result.state === "sending") results.delete(submission);
  }
  isSending = false;
  say(stop ? reason[stop] : "");
  await render();
}

async function onDelete(event) {
  const button = event.target.closest("[data-row-delete]");
  if (!button) return;
  // The second press deletes.
  if (!button.dataset.asked) {
    button.dataset.asked = "true";
    button.textContent = text.textDeleteForGood;
    return;
  }
  await store.remove([button.closest("[data-submission]").dataset.submission]);
}

async function load() {
  await render();
  if (!sendAll || !isLineUp()) return;
  const waiting = await store.items();
  try {
    for (const [submission, content] of await contents(urls)) known.set(submission, content);
  } catch (error) {
    say(reason[error.why]);
  }
  // What asked for a decision, and has become a reading since.
  const left = new Set((await store.items()).map((item) => item.submission));
  for (const item of waiting.filter((each) => !left.has(each.submission))) {
    results.set(item.submission, { state: "read", location: known.get(item.submission)?.location });
    done.push(item);
  }
  await render();
}

if (store.isSupported) {
  list.hidden = false;
  rows.addEventListener("click", onDelete);
  sendAll?.addEventListener("click", sendEverything);
  store.onChange(render);
  onLine(load);
  load();
}
