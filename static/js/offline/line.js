// Whether the server can be reached. Nothing is asked while it can.

const PROBE_URL = "/healthz";
const PROBE_MS = 15_000;
const TIMEOUT_MS = 10_000;

const listeners = new Set();
let isUp = navigator.onLine;
let timer = null;

export const isLineUp = () => isUp;
export const onLine = (listener) => listeners.add(listener);

async function probe() {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await fetch(PROBE_URL, { method: "HEAD", cache: "no-store", credentials: "omit", signal });
    return true;
  } catch {
    return false;
  }
}

function set(next) {
  if (next !== isUp) {
    isUp = next;
    for (const listener of listeners) listener(isUp);
  }
  if (isUp) {
    clearInterval(timer);
    timer = null;
  } else {
    timer ??= setInterval(check, PROBE_MS);
  }
}

// Asks the server, since a browser that says "online" may be connected to anything.
export async function check() {
  set(navigator.onLine && (await probe()));
  return isUp;
}

window.addEventListener("online", check);
window.addEventListener("offline", () => set(false));
set(isUp);
