// Sends the files of a batch, each as a request of its own, a few at a time.
//
// A file that is refused doesn't stop the others. While the connection is lost, the server is busy or
// a limit is reached, sending waits and then goes on by itself.

const AT_ONCE = 3;
const BUSY_MS = 3000;
const OFFLINE_MS = 5000;
const MAX_BUSY = 20; // tries of one file while the server is busy

export class Sender {
  // `on` has functions: progress(sender), received(answer), problem(name, values), ended(sender).
  constructor({ token, on }) {
    this.token = token;
    this.on = on;
    this.urls = null;
    this.failed = [];
    this.queue = [];
    this.active = new Map(); // entry to request
    this.total = this.sent = this.known = 0;
    this.bytes = this.sentBytes = 0;
    this.isRunning = this.isStopped = false;
    this.pause = null;
  }

  // Sends entries ({ file, path }), the first of them alone if `alone` says so.
  async send(entries, alone = () => false) {
    for (const entry of entries) {
      entry.busy = 0;
      this.bytes += entry.file.size;
    }
    this.total += entries.length;
    this.queue.push(...entries);
    if (this.isRunning) return;
    this.isRunning = true;
    this.on.progress(this);
    const first = this.queue.filter((entry) => alone(entry));
    this.queue = this.queue.filter((entry) => !alone(entry));
    for (const entry of first) await this.sendOne(entry);
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.work()));
    this.isRunning = false;
    await this.on.ended(this);
  }

  async work() {
    while (this.queue.length && !this.isStopped) await this.sendOne(this.queue.shift());
  }

  async sendOne(entry) {
    while (!this.isStopped) {
      if (this.pause) await this.pause;
      if (this.isStopped) break;
      if (await this.attempt(entry)) return;
    }
    this.fail(entry, "");
  }

  // Resolves to whether nothing more is to be done about the file.
  async attempt(entry) {
    const request = await this.request(entry);
    this.active.delete(entry);
    if (this.isStopped) return false;
    if (!request.status) return this.wait("textOffline", {}, OFFLINE_MS);
    const type = request.getResponseHeader("Content-Type") ?? "";
    if (!type.startsWith("application/json")) {
      // A page instead of an answer: signed out, or a fault of the server.
      if (request.status >= 500) return this.isBusy(entry);
      this.stop("textSignedOut");
      return false;
    }
    const answer = JSON.parse(request.responseText);
    if (request.status === 429) return this.limit(answer);
    if (request.status === 503) return this.isBusy(entry, answer.error);
    if (request.status === 201) {
      this.count(entry);
      if (answer.is_known) this.known += 1;
      this.on.received(answer);
    } else {
      this.fail(entry, answer.error);
      if (answer.is_final) this.stop("", answer.error);
    }
    return true;
  }

  isBusy(entry, error = "") {
    entry.busy += 1;
    if (entry.busy < MAX_BUSY) return this.wait("textBusy", {}, BUSY_MS);
    this.fail(entry, error);
    return true;
  }

  limit(answer) {
    const at = new Date(Date.now() + 1000 * answer.retry_after);
    const time = at.toLocaleTimeString(document.documentElement.lang, {
      hour: "2-digit",
      minute: "2-digit",
    });
    return this.wait("textLimit", { error: answer.error, time }, 1000 * answer.retry_after);
  }

  // Lets all files wait, until the time is over or the connection is back; resolves to false.
  async wait(name, values, milliseconds) {
    this.on.problem(name, values);
    this.pause ??= new Promise((resolve) => {
      this.resume = resolve;
      const again = () => {
        if (navigator.onLine) resolve();
        else window.addEventListener("online", resolve, { once: true });
      };
      setTimeout(again, milliseconds);
    }).then(() => {
      this.pause = null;
      this.on.problem("", {});
    });
    await this.pause;
    return false;
  }

  // Uses XMLHttpRequest because fetch does not report upload progress.
  request(entry) {
    const data = new FormData();
    data.append("csrfmiddlewaretoken", this.token);
    data.append("path", entry.path);
    data.append("file", entry.file, entry.file.name);
    const request = new XMLHttpRequest();
    request.open("POST", this.urls.files);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    entry.loaded = 0;
    request.upload.addEventListener("progress", (event) => {
      entry.loaded = Math.min(event.loaded, entry.file.size);
      this.on.progress(this);
    });
    this.active.set(entry, request);
    this.on.progress(this);
    return new Promise((resolve) => {
      request.addEventListener("loadend", () => resolve(request));
      request.send(data);
    });
  }

  count(entry) {
    this.sent += 1;
    this.sentBytes += entry.file.size;
    this.on.progress(this);
  }

  // Counts a file that had arrived before and is not sent.
  skip() {
    this.known += 1;
  }

  // Counts a file that is not sent at all.
  refuse(entry, error) {
    this.total += 1;
    this.bytes += entry.file.size;
    this.fail(entry, error);
  }

  fail(entry, error) {
    this.failed.push({ entry, error });
    this.count(entry);
  }

  get percent() {
    let bytes = this.sentBytes;
    for (const entry of this.active.keys()) bytes += entry.loaded;
    return this.bytes ? Math.min(100, (100 * bytes) / this.bytes) : 100;
  }

  // Stops sending; `name` or `text` says why.
  stop(name = "textStopped", text = "") {
    this.isStopped = true;
    this.reason = { name, text };
    for (const request of this.active.values()) request.abort();
    for (const entry of this.queue.splice(0)) this.fail(entry, "");
    this.resume?.();
  }
}
