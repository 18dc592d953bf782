// The end of a session: a warning before it, and after it a covered page that keeps what was typed.
//
// The server ends the session; this only says so in time. It asks the server before it says
// anything, because another tab may have been used meanwhile.

const TICK_MS = 1000;
const STAY_EVERY_MS = 60_000;

const dialog = document.getElementById("session-dialog");

if (dialog) watch(dialog);

function watch(dialog) {
  const data = dialog.dataset;
  const warnMs = Number(data.warnSeconds) * 1000;
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("xraysite-session") : null;
  const part = (name) => dialog.querySelector(`[data-session-${name}]`);
  let end = Date.now() + Number(data.secondsLeft) * 1000;
  let canStay = true;
  let used = false; // since the server was last told
  let told = Date.now();
  let asking = false;
  let state = "open"; // open, warned, over

  function learn(answer) {
    if (!answer.signed_in) {
      end = 0;
      return;
    }
    end = Date.now() + answer.seconds_left * 1000;
    canStay = answer.can_stay;
    data.token = answer.token;
  }

  async function ask(url, options) {
    if (asking) return false;
    asking = true;
    try {
      const response = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
      // Without a session a request is led to the sign-in page.
      const isAnswer = response.ok && !response.redirected;
      if (!isAnswer && response.status >= 500) return false;
      const answer = isAnswer ? await response.json() : { signed_in: false };
      if (state === "over" && answer.signed_in && String(answer.account) !== data.account) {
        window.location.assign(data.homeUrl); // Somebody else's session: nothing of this page is theirs.
        return false;
      }
      learn(answer);
      return true;
    } catch {
      return false; // No network: the time goes on, and the next tick tries again.
    } finally {
      asking = false;
    }
  }

  const look = () => ask(data.sessionUrl, {});

  async function stay() {
    used = false;
    told = Date.now();
    const done = await ask(data.stayUrl, {
      method: "POST",
      headers: { "X-CSRFToken": data.token },
    });
    if (done) tabs?.postMessage("used");
  }

  function show(next) {
    if (state === next) return;
    state = next;
    document.documentElement.classList.toggle("session-over", next === "over");
    part("warning").hidden = next !== "warned";
    part("ended").hidden = next !== "over";
    part("stay").hidden = next !== "warned" || !canStay;
    part("shift").hidden = next !== "warned" || canStay;
    if (next === "open") {
      dialog.close();
    } else {
      dialog.setAttribute("aria-labelledby", next === "over" ? "session-ended" : "session-warning");
      if (!dialog.open) dialog.showModal();
      (next === "over" ? part("again") : canStay ? part("stay") : part("understood")).focus();
    }
    part("understood").hidden = !(next === "warned" && !canStay);
  }

  function decide() {
    const left = end - Date.now();
    if (left <= 0) show("over");
    else if (left <= warnMs) {
      if (state === "over") renew();
      if (state !== "seen") show("warned");
    } else {
      if (state === "over") renew();
      show("open");
    }
    const seconds = Math.max(0, Math.round(left / 1000));
    part("left").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  // Signing in again made a new token; forms opened before carry the old one.
  function renew() {
    for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) {
      field.value = data.token;
    }
  }

  async function tick() {
    const left = end - Date.now();
    if (state === "open" && used && Date.now() - told > Math.min(STAY_EVERY_MS, warnMs)) {
      await stay();
    } else if (left <= warnMs && state === "open") {
      await look();
    } else if (left <= 0 && state !== "over") {
      await look();
      if (end - Date.now() <= 0) end = 0;
    }
    decide();
  }

  for (const event of ["keydown", "pointerdown", "wheel", "input"]) {
    document.addEventListener(event, () => { used = true; }, { passive: true, capture: true });
  }
  tabs?.addEventListener("message", () => look().then(decide));
  for (const event of ["focus", "pageshow"]) {
    window.addEventListener(event, () => {
      if (state !== "open" || end - Date.now() <= warnMs) look().then(decide);
    });
  }
  part("stay").addEventListener("click", () => stay().then(decide));
  part("check").addEventListener("click", async () => {
    await look();
    decide();
    if (state === "over") part("still").hidden = false;
  });
  part("understood").addEventListener("click", () => {
    state = "seen";
    dialog.close();
  });
  // Escape stays; it never uncovers a page whose session is over.
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (state === "warned" && canStay) stay().then(decide);
  });
  setInterval(tick, TICK_MS);
}
