// Seals an X-ray and what was typed for one account (ECIES): an ephemeral ECDH key on P-256, HKDF with
// SHA-256, AES-256-GCM. Only the server can derive the key again; see diagnosis/services/offline.py.

const CURVE = { name: "ECDH", namedCurve: "P-256" };
const POINT_BYTES = 65;
const encode = (text) => new TextEncoder().encode(text);

export const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const fromBase64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));

function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

async function newKey(point, submission) {
  const receiver = await crypto.subtle.importKey("raw", point, CURVE, false, []);
  const sender = await crypto.subtle.generateKey(CURVE, false, ["deriveBits"]);
  const ephemeral = new Uint8Array(await crypto.subtle.exportKey("raw", sender.publicKey));
  const agreement = { name: "ECDH", public: receiver };
  const shared = await crypto.subtle.deriveBits(agreement, sender.privateKey, 256);
  const material = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]);
  const info = encode(`xraysite offline film ${submission}`);
  const derivation = { name: "HKDF", hash: "SHA-256", salt: joined(ephemeral, point), info };
  const cipher = { name: "AES-GCM", length: 256 };
  const key = await crypto.subtle.deriveKey(derivation, material, cipher, false, ["encrypt"]);
  return { key, ephemeral };
}

// The part's name is authenticated, so that parts cannot change places.
const parameters = (iv, submission, part) => ({
  name: "AES-GCM",
  iv,
  additionalData: encode(`${submission} ${part}`),
});

async function encrypted(key, submission, part, bytes) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt(parameters(iv, submission, part), key, bytes);
  return { iv, data };
}

// Returns the sealed parts of an item (store.js). `account` is the record of the store.
export async function seal(account, submission, fields, file) {
  const point = fromBase64(account.key);
  if (point.length !== POINT_BYTES) throw new Error("not a public key");
  const { key, ephemeral } = await newKey(point, submission);
  const head = encode(JSON.stringify({ fields, name: file.name, type: file.type }));
  return {
    submission,
    account: account.account,
    keyId: account.id,
    ephemeral,
    head: await encrypted(key, submission, "head", head),
    film: await encrypted(key, submission, "film", await file.arrayBuffer()),
  };
}

const importKey = (bytes) => crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["decrypt"]);

const decrypted = (key, submission, part, { iv, data }) =>
  crypto.subtle.decrypt(parameters(iv, submission, part), key, data);

// Returns { fields, name, type }. `bytes` is the key that the server handed out.
export async function openHead(item, bytes) {
  const key = await importKey(bytes);
  const plain = await decrypted(key, item.submission, "head", item.head);
  return JSON.parse(new TextDecoder().decode(plain));
}

// Returns the X-ray as the file that was chosen.
export async function openFilm(item, bytes, { name, type }) {
  const key = await importKey(bytes);
  const plain = await decrypted(key, item.submission, "film", item.film);
  return new File([plain], name, { type });
}
