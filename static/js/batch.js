// The pages of a batch: files are chosen or dropped and sent, and a table fills in.
// Without this script, the files are sent as an ordinary form.

import { fromDrop, fromList, isJunk, isTable, isZip, sha256Of } from "./batch_files.js";
import { Sender } from "./batch_sender.js";
import { bindTable, follow, hasEdits, merge } from "./batch_table.js";
import { interpolate } from "./shared.js";

const form = () => document.querySelector("form[data-batch]");
const part = (name) => form().querySelector(`[data-${name}]`);
const text = () => form().dataset;
let sender = null;
let shownProblem = ""; // why sending waits

const say = (name, values = {}) => interpolate(text()[name], values);

// What is being sent --------------------------------------------------------------------------

function item(...children) {
  const row = document.createElement("li");
  row.append(...children);
  return row;
}

function showProgress() {
  const { active, sent, total, percent } = sender;
  part("sending").hidden = false;
  part("outcome").hidden = true;
  part("total").value = percent;
  const counted = say("textSending", { done: sent, total });
  part("sending-text").textContent = shownProblem || counted;
  const rows = [...active.keys()].map((entry) => {
    const bar = document.createElement("progress");
    bar.max = Math.max(1, entry.file.size);
    bar.value = entry.loaded;
    bar.setAttribute("aria-label", entry.path);
    return item(entry.path, bar);
  });
  part("current").replaceChildren(...rows);
}

function showFailed() {
  const rows = sender.failed.map(({ entry, error }) =>
    item(error ? `${entry.path}: ${error}` : entry.path),
  );
  part("failed").replaceChildren(...rows);
  part("failed").hidden = part("retry").hidden = !rows.length;
}

function showOutcome(ignored) {
  part("sending").hidden = true;
  const failed = sender.failed.length;
  const sentences = [];
  if (sender.isStopped) {
    sentences.push(sender.reason.text || say(sender.reason.name || "textStopped"));
  } else {
    sentences.push(say("textSent", { count: sender.total - failed }));
  }
  if (sender.known) sentences.push(say("textKnown", { count: sender.known }));
  if (ignored) sentences.push(say("textIgnored", { count: ignored }));
  if (failed) sentences.push(say("textFailed", { count: failed }));
  part("outcome").textContent = sentences.join(" ");
  part("outcome").hidden = false;
}

// The batch -----------------------------------------------------------------------------------

function urls() {
  const { pageUrl, filesUrl, knownUrl, finishUrl, rowsUrl } = text();
  if (!pageUrl) return null;
  return { page: pageUrl, files: filesUrl, known: knownUrl, finish: finishUrl, rows: rowsUrl };
}

function post(url) {
  const body = new FormData();
  // The team is chosen when the batch begins.
  for (const name of ["csrfmiddlewaretoken", "team"]) {
    const field = form().elements[name];
    if (field) body.append(name, field.value);
  }
  const headers = { "X-Requested-With": "XMLHttpRequest" };
  return fetch(url, { method: "POST", body, headers, redirect: "error" });
}

// Begins a batch, and shows its empty table. Its address is that of the page from now on, so that
// loading the page again shows the batch.
async function begin() {
  const response = await post(text().beginUrl);
  const made = await response.json();
  Object.assign(form().dataset, {
    pageUrl: made.page,
    filesUrl: made.files,
    knownUrl: made.known,
    finishUrl: made.finish,
    rowsUrl: made.rows,
  });
  form().action = made.files;
  part("team")?.remove();
  await showPage(made.page);
}

async function showPage(url) {
  const html = await (await fetch(url)).text();
  const page = new DOMParser().parseFromString(html, "text/html");
  document
    .querySelector("[data-batch-place]")
    .replaceWith(page.querySelector("[data-batch-place]"));
  document.querySelector(".page-head").replaceWith(page.querySelector(".page-head"));
  document.querySelector("[data-batch-help]")?.remove();
  document.title = page.title;
  history.replaceState(null, "", url);
  bindPatients();
}

// Leaves out files that have arrived before, by their SHA-256.
async function missing(entries) {
  const response = await fetch(urls().known, { redirect: "error" });
  const known = new Set((await response.json()).sha256);
  if (!known.size || !window.crypto?.subtle) return entries;
  const rest = [];
  part("sending").hidden = false;
  for (const [done, entry] of entries.entries()) {
    const values = { done, total: entries.length };
    part("sending-text").textContent = say("textChecking", values);
    const isKnown = !isTable(entry.path) && !isZip(entry.path);
    const sha256 = isKnown ? await sha256Of(entry.file).catch(() => "") : "";
    if (sha256 && known.has(sha256)) sender.skip();
    else rest.push(entry);
  }
  return rest;
}

function limitOf(entry) {
  return Number(isZip(entry.path) ? text().maxZipBytes : text().maxBytes);
}

// Sends files that were chosen or dropped ({ file, path }).
export async function take(entries) {
  const wanted = entries.filter((entry) => !isJunk(entry.path));
  wanted.sort((one, other) => one.path.localeCompare(other.path, undefined, { numeric: true }));
  const ignored = entries.length - wanted.length;
  if (!wanted.length) {
    part("outcome").textContent = say("textNothing");
    part("outcome").hidden = false;
    return;
  }
  if (!sender?.isRunning) sender = newSender(ignored);
  try {
    const isNew = !urls();
    if (isNew) await begin();
    const rest = isNew ? wanted : await missing(wanted);
    sender.urls = urls();
    const fitting = [];
    for (const entry of rest) {
      const limit = limitOf(entry);
      if (entry.file.size <= limit) fitting.push(entry);
      else sender.refuse(entry, say("textTooLarge", { limit: limit / 2 ** 20 }));
    }
    await sender.send(fitting, (entry) => isTable(entry.path));
  } catch {
    part("sending").hidden = true;
    part("outcome").textContent = say("textOffline");
    part("outcome").hidden = false;
  }
}

function newSender(ignored) {
  return new Sender({
    token: form().elements.csrfmiddlewaretoken.value,
    on: {
      progress: showProgress,
      problem: (name, values) => {
        shownProblem = name ? say(name, values) : "";
        showProgress();
      },
      received: (answer) => {
        merge(answer.rows);
        follow(urls().rows);
      },
      ended: async () => {
        showFailed();
        showOutcome(ignored);
        try {
          merge(await (await post(urls().finish)).text());
          await showProblems();
        } catch {
          // The page of the batch matches the names when it is opened again.
        }
        follow(urls().rows);
      },
    },
  });
}

// Shows what was wrong with lines of CSV files and with parts of ZIP files.
async function showProblems() {
  const html = await (await fetch(urls().page)).text();
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = page.querySelector(".batch-problems");
  document.querySelector(".batch-problems")?.remove();
  if (fresh) document.querySelector("[data-batch-place]").prepend(fresh);
}

// Choosing and dropping -----------------------------------------------------------------------

function bindDrop() {
  const zone = form();
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("is-over");
  });
  // Anywhere on the page: a browser would open the file otherwise, and leave the page.
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.remove("is-over");
    take(await fromDrop(event.dataTransfer));
  });
}

function bindChoosing() {
  const files = form().elements.files;
  const folder = part("folder");
  for (const input of [files, folder]) {
    input.addEventListener("change", () => {
      const entries = fromList(input.files);
      input.value = "";
      if (entries.length) take(entries);
    });
  }
  part("choose-folder").addEventListener("click", () => folder.click());
  part("send").hidden = true;
  form().addEventListener("submit", (event) => event.preventDefault());
  part("stop").addEventListener("click", () => sender?.stop());
  part("retry").addEventListener("click", () => {
    const entries = sender.failed.map(({ entry }) => entry);
    sender.failed = [];
    showFailed();
    take(entries);
  });
}

function bindPatients() {
  const patients = document.querySelector("form[data-patients]");
  if (!patients) return;
  const messages = form()?.dataset ?? patients.dataset;
  bindTable(patients, { text: messages, rowsUrl: () => form()?.dataset.rowsUrl ?? "" });
}

// Binds the page's forms; a page that another script puts in the place of its own, too.
export function bindPage() {
  bindPatients();
  if (!form()) return;
  bindDrop();
  bindChoosing();
  window.addEventListener("beforeunload", (event) => {
    if (sender?.isRunning || hasEdits()) event.preventDefault();
  });
  const summary = document.getElementById("batch-summary");
  if (summary && summary.dataset.moving !== "0") follow(urls().rows);
}

// Replaces the page by that of a new batch and sends files, without loading it: a browser would lose the files.
export async function openWith(url, entries) {
  const html = await (await fetch(url)).text();
  const page = new DOMParser().parseFromString(html, "text/html");
  if (!page.querySelector("form[data-batch]")) {
    window.location.assign(url);
    return;
  }
  for (const sheet of page.querySelectorAll("head link[rel=stylesheet]")) {
    if (!document.querySelector(`link[href="${sheet.getAttribute("href")}"]`)) {
      document.head.append(sheet);
    }
  }
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.title = page.title;
  history.pushState(null, "", url);
  bindPage();
  document.querySelector("main").focus();
  take(entries);
}

bindPage();
