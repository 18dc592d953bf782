// The service worker of a site that has switched `OFFLINE` off: deletes what was kept and waits in
// this browser, and removes itself.

async function retire() {
  for (const name of await caches.keys()) {
    if (name.startsWith("xraysite-")) await caches.delete(name);
  }
  indexedDB.deleteDatabase("xraysite-offline");
  await self.registration.unregister();
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(retire()));
