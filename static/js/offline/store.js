// What waits in this browser: sealed X-rays, and the public key of the account that may open them.
//
// An item: { submission, account, keyId, ephemeral, head, film, bytes, savedAt, state }. `head` (what
// was typed) and `film` are sealed (seal.js); `state` is "waiting", "asks" or "refused".

const DATABASE = "xraysite-offline";
const ITEMS = "items";
const ACCOUNT = "account";
const CHANNEL = "xraysite-offline";
export const MAX_DAYS = 7;

// Keys and hashes need a secure context: HTTPS, or localhost.
export const isSupported = Boolean(
  window.isSecureContext && window.crypto?.subtle && window.indexedDB && navigator.locks,
);

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ITEMS, { keyPath: "submission" });
      request.result.createObjectStore(ACCOUNT);
    };
    request.onsuccess = () => {
      // The database is being deleted, by the service worker or in the browser's settings.
      request.result.onversionchange = () => {
        request.result.close();
        opening = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  return opening;
}

// Resolves to the result of one request once its transaction is complete.
async function run(stores, mode, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(stores, mode);
    const request = act((name) => transaction.objectStore(name));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error);
    transaction.onerror = () => reject(transaction.error);
  });
}

// Tells this page and the other tabs that something has changed.
const tabs = "BroadcastChannel" in window ? new BroadcastChannel(CHANNEL) : null;
const listeners = new Set();

function tell() {
  for (const listener of listeners) listener();
}

function changed() {
  tabs?.postMessage("changed");
  tell();
}

tabs?.addEventListener("message", tell);

export const onChange = (listener) => listeners.add(listener);

export const account = () => run([ACCOUNT], "readonly", (store) => store(ACCOUNT).get("account"));

export const setAccount = (value) =>
  run([ACCOUNT], "readwrite", (store) => store(ACCOUNT).put(value, "account"));

// The oldest first.
export async function items() {
  const found = await run([ITEMS], "readonly", (store) => store(ITEMS).getAll());
  return found.sort((one, other) => one.savedAt - other.savedAt);
}

export const item = (submission) =>
  run([ITEMS], "readonly", (store) => store(ITEMS).get(submission));

export const count = () => run([ITEMS], "readonly", (store) => store(ITEMS).count());

export async function put(value) {
  await run([ITEMS], "readwrite", (store) => store(ITEMS).put(value));
  changed();
}

export async function remove(submissions) {
  await run([ITEMS], "readwrite", (store) => {
    for (const each of submissions) store(ITEMS).delete(each);
  });
  changed();
}

// Deletes everything, at sign-out and when another account signs in. Returns how many X-rays waited.
export async function wipe() {
  const waited = await count();
  await run([ITEMS, ACCOUNT], "readwrite", (store) => {
    store(ITEMS).clear();
    store(ACCOUNT).clear();
  });
  changed();
  return waited;
}

// Deletes what has waited for too long. Returns how many X-rays.
export async function removeExpired() {
  const oldest = Date.now() - MAX_DAYS * 24 * 3600 * 1000;
  const expired = (await items()).filter((each) => each.savedAt < oldest);
  if (expired.length) await remove(expired.map((each) => each.submission));
  return expired.length;
}
