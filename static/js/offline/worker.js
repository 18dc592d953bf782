// The service worker. It keeps static files and one page, the same for everybody, that is shown
// without a connection. No answer of the server to a signed-in user is kept or even passed through
// here, except that a page that cannot be loaded is replaced: films, forms and everything that
// scripts request go from the page to the network as if this worker did not exist.
//
// `self.xraysite`, set by the view, names what is kept: { version, pages, files, hashed }.

const { version, pages, files, hashed } = self.xraysite;
const PREFIX = "xraysite-";
const CACHE = `${PREFIX}files-${version}`;
const SETTINGS = `${PREFIX}settings`;
const LANGUAGE = "/language";

// Stores a page, unless the server has been upgraded between this script and its request: the page
// would then name files that are not kept. The browser tries again at the next visit.
async function keepPage(cache, address) {
  const response = await fetch(address, { credentials: "omit", cache: "no-store" });
  const text = await response.clone().text();
  if (!response.ok || !text.includes(`data-offline-version="${version}"`)) {
    throw new Error(`${address} is not of version ${version}`);
  }
  await cache.put(address, response);
}

async function install() {
  const cache = await caches.open(CACHE);
  await Promise.all(Object.values(pages).map((address) => keepPage(cache, address)));
  await cache.addAll(files.map((address) => new Request(address, { credentials: "omit" })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && ![CACHE, SETTINGS].includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

async function offlinePage(address) {
  const cache = await caches.open(CACHE);
  const settings = await caches.open(SETTINGS);
  const chosen = (await (await settings.match(LANGUAGE))?.text()) ?? self.navigator.language;
  const fallback = pages[chosen] ?? (chosen.startsWith("zh") ? pages["zh-hant"] : pages.en);
  const wanted = Object.values(pages).includes(address) ? address : fallback;
  return (await cache.match(wanted, { ignoreVary: true })) ?? Response.error();
}

async function navigate(event) {
  try {
    return (await event.preloadResponse) ?? (await fetch(event.request));
  } catch {
    return offlinePage(new URL(event.request.url).pathname);
  }
}

async function file(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  // A name with a hash stands for one content for ever.
  if (kept && hashed) return kept;
  try {
    return await fetch(request);
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}

async function rememberLanguage(language) {
  const settings = await caches.open(SETTINGS);
  await settings.put(LANGUAGE, new Response(language));
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data?.language in pages) event.waitUntil(rememberLanguage(event.data.language));
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (request.mode === "navigate") event.respondWith(navigate(event));
  else if (files.includes(address.pathname)) event.respondWith(file(request));
});
