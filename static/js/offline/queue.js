// Sends X-rays that wait in this browser, one at a time and each once: the id of its form becomes the
// id of the reading, and the server is asked first whether it has arrived before.

import { check } from "./line.js";
import { fromBase64, openFilm, openHead, seal, toBase64 } from "./seal.js";
import * as store from "./store.js";

const LOCK = "xraysite-offline-queue";

// Why sending stopped before the end.
export const Stop = {
  OFFLINE: "offline",
  SIGNED_OUT: "signed-out",
  BUSY: "busy",
  ELSEWHERE: "elsewhere", // another tab is sending
};

class Stopped extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

// Encrypts an X-ray and its form, and keeps them. `fields` has the form's values by name.
export async function keep(submission, fields, file) {
  const account = await store.account();
  if (!account) throw new Error("no account");
  const sealed = await seal(account, submission, fields, file);
  await store.put({ ...sealed, bytes: file.size, savedAt: Date.now(), state: "waiting" });
  // Otherwise the browser may delete it when the disk is almost full.
  await navigator.storage?.persist?.();
}

// Requests ----------------------------------------------------------------------------------------

async function request(url, options = {}) {
  try {
    return await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    await check();
    throw new Stopped(Stop.OFFLINE);
  }
}

// Returns the token for requests of the account that sealed the items, once it is signed in.
async function tokenOf(urls) {
  const response = await request(urls.session);
  if (!response.ok) throw new Stopped(Stop.BUSY);
  const session = await response.json();
  const owner = await store.account();
  if (!session.signed_in || !owner || session.account !== owner.account) {
    throw new Stopped(Stop.SIGNED_OUT);
  }
  return session.token;
}

function throwUnlessAnswered(response) {
  if (response.redirected || response.status === 403) throw new Stopped(Stop.SIGNED_OUT);
  if (response.status >= 500 || response.status === 429) throw new Stopped(Stop.BUSY);
}

// Asks the server for the key of an item. `null` if the site has forgotten it.
async function unlock(urls, token, item) {
  const body = new FormData();
  body.append("submission", item.submission);
  body.append("ephemeral", toBase64(item.ephemeral));
  body.append("key_id", item.keyId);
  const headers = { "X-CSRFToken": token };
  const response = await request(urls.open, { method: "POST", headers, body });
  throwUnlessAnswered(response);
  if (!response.ok) return null;
  const { key, location } = await response.json();
  return { key: fromBase64(key), location };
}

// Reading what waits --------------------------------------------------------------------------------

async function opened(urls, token, item) {
  const unlocked = await unlock(urls, token, item);
  if (!unlocked) return null;
  try {
    return { ...unlocked, head: await openHead(item, unlocked.key) };
  } catch {
    return null; // sealed for another account, or damaged
  }
}

const isReading = (location) => Boolean(location) && !location.includes("/check/");

// Returns { head, location } by the id of the form; null for what cannot be opened. What has arrived
// as a reading no longer waits.
export async function contents(urls) {
  const token = await tokenOf(urls);
  const found = new Map();
  for (const item of await store.items()) {
    const content = await opened(urls, token, item);
    found.set(item.submission, content);
    if (isReading(content?.location)) await store.remove([item.submission]);
  }
  return found;
}

// Removes what has become a reading since it asked the doctor for a decision.
export async function settle(urls) {
  const asking = (await store.items()).filter((item) => item.state === "asks");
  if (!asking.length) return;
  const token = await tokenOf(urls);
  for (const item of asking) {
    const unlocked = await unlock(urls, token, item);
    if (isReading(unlocked?.location)) await store.remove([item.submission]);
  }
}

// Returns { fields, file } of one item, to correct it in the form; null if it cannot be opened.
export async function content(urls, submission) {
  const item = await store.item(submission);
  if (!item) return null;
  const found = await opened(urls, await tokenOf(urls), item);
  if (!found) return null;
  return { fields: found.head.fields, file: await openFilm(item, found.key, found.head) };
}

// Sending -----------------------------------------------------------------------------------------

// The form's answer to a refused X-ray, in words.
async function refusal(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const said = [...page.querySelectorAll("[data-error-summary] li")];
  return said.map((each) => each.textContent.trim()).join(" ");
}

async function post(urls, token, item, found) {
  const body = new FormData();
  for (const [name, value] of Object.entries(found.head.fields)) body.append(name, value);
  body.append("submission", item.submission);
  body.append("film", await openFilm(item, found.key, found.head));
  const headers = { "X-CSRFToken": token, "X-Requested-With": "XMLHttpRequest" };
  const response = await request(urls.create, { method: "POST", headers, body });
  throwUnlessAnswered(response);
  if (response.status === 201) return { location: (await response.json()).location };
  return { words: await refusal(response) };
}

// Sends one item and returns { state, location, words }.
async function sendOne(urls, token, item) {
  const found = await opened(urls, token, item);
  if (!found) return { state: "lost" };
  const answer = found.location
    ? { location: found.location }
    : await post(urls, token, item, found);
  if (isReading(answer.location)) {
    await store.remove([item.submission]);
    return { state: "read", ...answer };
  }
  const state = answer.location ? "asks" : "refused";
  await store.put({ ...item, state });
  return { state, ...answer };
}

// Sends the items of these ids and reports each result. Returns why it stopped early, or null.
export function send(urls, submissions, report) {
  return navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
    if (!lock) return Stop.ELSEWHERE;
    try {
      const token = await tokenOf(urls);
      for (const submission of submissions) {
        const item = await store.item(submission);
        if (item) report(submission, await sendOne(urls, token, item));
      }
      return null;
    } catch (error) {
      if (error instanceof Stopped) return error.why;
      throw error;
    }
  });
}
