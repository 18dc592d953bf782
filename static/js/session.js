// Warns before the session ends, and then covers the page without losing what the user typed.
//
// Only the server ends a session. This script asks it for the remaining time before it shows
// anything, because the user may be active in another tab.

const TICK_MS = 1000;
const STAY_INTERVAL_MS = 60_000; // how often activity is reported to the server, at most

const State = {
  OPEN: "open",
  WARNED: "warned",
  ACKNOWLEDGED: "acknowledged", // warned and dismissed: the session cannot be extended
  OVER: "over",
};

class SessionDialog {
  constructor(dialog) {
    this.dialog = dialog;
    this.data = dialog.dataset;
    this.warnMs = Number(this.data.warnSeconds) * 1000;
    this.idleMs = Number(this.data.secondsLeft) * 1000; // loading a page counts as activity
    this.endsAt = Date.now() + this.idleMs;
    this.canStay = true;
    this.hasActivity = false; // since it was last reported
    this.reportedAt = Date.now();
    this.isRequesting = false;
    this.isUnreachable = false;
    this.state = State.OPEN;
    this.tabs = "BroadcastChannel" in window ? new BroadcastChannel("xraysite-session") : null;
  }

  start() {
    this.bindActivity();
    this.bindButtons();
    setInterval(() => this.tick(), TICK_MS);
  }

  part(name) {
    return this.dialog.querySelector(`[data-session-${name}]`);
  }

  get msLeft() {
    return this.endsAt - Date.now();
  }

  // Requests --------------------------------------------------------------------------------

  update(session) {
    if (!session.signed_in) {
      this.endsAt = 0;
      return;
    }
    this.endsAt = Date.now() + session.seconds_left * 1000;
    this.canStay = session.can_stay;
    this.data.token = session.token;
  }

  // Returns whether the server answered.
  async request(url, options = {}) {
    if (this.isRequesting) return false;
    this.isRequesting = true;
    try {
      const response = await fetch(url, {
        credentials: "same-origin",
        cache: "no-store",
        ...options,
      });
      this.isUnreachable = false;
      // Without a session, the request is redirected to the sign-in page.
      const hasSession = response.ok && !response.redirected;
      if (!hasSession && response.status >= 500) return false;
      const session = hasSession ? await response.json() : { signed_in: false };
      if (this.belongsToAnother(session)) {
        window.location.assign(this.data.homeUrl);
        return false;
      }
      this.update(session);
      return true;
    } catch {
      this.isUnreachable = true; // The time goes on, and the next tick tries again.
      return false;
    } finally {
      this.isRequesting = false;
    }
  }

  // Another account may have signed in since; it must not see what is on this page.
  belongsToAnother(session) {
    if (this.state !== State.OVER || !session.signed_in) return false;
    return String(session.account) !== this.data.account;
  }

  refresh() {
    return this.request(this.data.sessionUrl);
  }

  async stay() {
    this.hasActivity = false;
    this.reportedAt = Date.now();
    const isDone = await this.request(this.data.stayUrl, {
      method: "POST",
      headers: { "X-CSRFToken": this.data.token },
    });
    if (isDone) this.tabs?.postMessage("used");
    // Without a connection, activity keeps the page open. The server's session ends all the same,
    // which the first request after that finds out.
    else if (this.isUnreachable && this.canStay) this.endsAt = Date.now() + this.idleMs;
  }

  // Signing in again creates a new CSRF token; forms on this page still hold the old one.
  renewTokens() {
    for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) {
      field.value = this.data.token;
    }
  }

  // Display ---------------------------------------------------------------------------------

  show(state) {
    if (this.state === state) return;
    this.state = state;
    const isWarning = state === State.WARNED;
    const isOver = state === State.OVER;
    document.documentElement.classList.toggle("session-over", isOver);
    this.part("warning").hidden = !isWarning;
    this.part("ended").hidden = !isOver;
    this.part("stay").hidden = !(isWarning && this.canStay);
    this.part("shift").hidden = !(isWarning && !this.canStay);
    this.part("understood").hidden = !(isWarning && !this.canStay);
    if (state === State.OPEN) this.dialog.close();
    else this.open(isOver);
  }

  open(isOver) {
    this.dialog.setAttribute("aria-labelledby", isOver ? "session-ended" : "session-warning");
    if (!this.dialog.open) this.dialog.showModal();
    if (isOver) this.part("again").focus();
    else this.part(this.canStay ? "stay" : "understood").focus();
  }

  render() {
    const left = this.msLeft;
    if (left > 0 && this.state === State.OVER) this.renewTokens();
    if (left <= 0) this.show(State.OVER);
    else if (left > this.warnMs) this.show(State.OPEN);
    else if (this.state !== State.ACKNOWLEDGED) this.show(State.WARNED);
    const seconds = Math.max(0, Math.round(left / 1000));
    const minutes = Math.floor(seconds / 60);
    this.part("left").textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  }

  async refreshAndRender() {
    await this.refresh();
    this.render();
  }

  async stayAndRender() {
    await this.stay();
    this.render();
  }

  async tick() {
    const reportAfter = Math.min(STAY_INTERVAL_MS, this.warnMs);
    const left = this.msLeft;
    if (
      this.state === State.OPEN &&
      this.hasActivity &&
      Date.now() - this.reportedAt > reportAfter
    ) {
      await this.stay();
    } else if (left <= this.warnMs && this.state === State.OPEN) {
      await this.refresh();
    } else if (left <= 0 && this.state !== State.OVER) {
      await this.refresh();
    }
    this.render();
  }

  // Events ----------------------------------------------------------------------------------

  bindActivity() {
    const onActivity = () => {
      this.hasActivity = true;
    };
    for (const event of ["keydown", "pointerdown", "wheel", "input"]) {
      document.addEventListener(event, onActivity, { passive: true, capture: true });
    }
    this.tabs?.addEventListener("message", () => this.refreshAndRender());
    for (const event of ["focus", "pageshow"]) {
      window.addEventListener(event, () => {
        if (this.state !== State.OPEN || this.msLeft <= this.warnMs) this.refreshAndRender();
      });
    }
  }

  bindButtons() {
    this.part("stay").addEventListener("click", () => this.stayAndRender());
    this.part("check").addEventListener("click", async () => {
      await this.refreshAndRender();
      if (this.state === State.OVER) this.part("still").hidden = false;
    });
    this.part("understood").addEventListener("click", () => {
      this.state = State.ACKNOWLEDGED;
      this.dialog.close();
    });
    // Escape extends the session if possible. It never uncovers a page whose session is over.
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (this.state === State.WARNED && this.canStay) this.stayAndRender();
    });
  }
}

const dialog = document.getElementById("session-dialog");
if (dialog) new SessionDialog(dialog).start();
