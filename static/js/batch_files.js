// The files that somebody chose or dropped, with the folders they are in.

const JUNK = /^(thumbs\.db|desktop\.ini|dicomdir|\.ds_store|__macosx|lockfile|\._.*)$/i;

export const isJunk = (path) => path.split("/").some((part) => JUNK.test(part));
export const isTable = (path) => /\.(csv|tsv)$/i.test(path);
export const isZip = (path) => /\.zip$/i.test(path);

export const fromList = (files) =>
  [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

// A folder gives its entries in parts.
async function entriesOf(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return entries;
    entries.push(...part);
  }
}

async function walk(entry, found) {
  if (entry.isDirectory) {
    const entries = await entriesOf(entry);
    entries.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
    for (const inner of entries) await walk(inner, found);
    return;
  }
  const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
  found.push({ file, path: entry.fullPath.replace(/^\//, "") });
}

// Resolves to the dropped files; those in folders too. The browser forgets what was dropped once the
// event is over, so the entries are taken before the first wait.
export async function fromDrop(dataTransfer) {
  const items = [...dataTransfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.());
  if (!entries.length || entries.some((entry) => !entry)) return fromList(dataTransfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

// Returns the SHA-256 as hexadecimal digits; "" where the browser computes none (plain HTTP).
export async function sha256Of(file) {
  if (!window.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
