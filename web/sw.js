// The lab without a network: keeps the files of one build together and answers with them and nothing else, so that no page ever has
// files of two. The build fills in which they are, and of what sum each is.

const VERSION = "";
const FILES = {};

const HOME = new URL(".", location);
/** Of this path alone: labs at several paths of one host share its caches. No path has a space in it. */
const OURS = `vivarium ${HOME.pathname} `;
const CACHE = OURS + VERSION;
/** Names without their versions. */
const NAMES = new Map(Object.keys(FILES).map((it) => [it.split("?")[0], it]));

/** FNV-1a, as the build has it: it tells files of two builds apart, and what was cut off on its way. */
const sum = (bytes) => bytes.reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5 | 0) >>> 0;

async function keep() {
  const cache = await caches.open(CACHE);
  const one = async ([name, expected]) => {
    const answer = await fetch(new URL(name, HOME), { cache: "no-cache" });
    const bytes = answer.ok ? new Uint8Array(await answer.clone().arrayBuffer()) : [];
    if (!answer.ok || sum(bytes) !== expected) throw new Error(`${name} is not of this build`);
    // Hosts send those who ask for /index.html to /; a browser takes no answer to a navigation that came by such a way.
    await cache.put(name, answer.redirected ? new Response(bytes, { headers: { "content-type": answer.headers.get("content-type") } }) : answer);
  };
  try {
    await Promise.all(Object.entries(FILES).map(one));
  } catch (error) {
    // A build is being put in place, or there is no room: the next visit tries again, and this one goes on as it is.
    await caches.delete(CACHE);
    throw error;
  }
}

async function forgetOthers() {
  for (const it of await caches.keys()) if (it.startsWith(OURS) && it !== CACHE) await caches.delete(it);
  await clients.claim();
}

/** A newer build waits until nobody uses the one before. A page that has just begun to load may ask for it, and then loads again. */
async function takeOver() {
  // The page that is left for it is a client still for a moment.
  for (let tries = 0; tries < 100; tries++) {
    const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
    if (pages.length < 2) return skipWaiting();
    await new Promise((done) => setTimeout(done, 50));
  }
}

const answer = async (event, name) => await caches.match(name, { cacheName: CACHE, ignoreVary: true }) ?? fetch(event.request);

addEventListener("install", (event) => event.waitUntil(keep()));
addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
addEventListener("message", (event) => { if (event.data === "take over") event.waitUntil(takeOver()); });
addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== HOME.origin || !url.pathname.startsWith(HOME.pathname)) return;
  const name = NAMES.get(url.pathname.slice(HOME.pathname.length) || "index.html");
  const version = url.searchParams.get("v");
  // A version that is asked for and is not this build's is the network's to answer.
  if (name && (version === null || name.endsWith(`?v=${version}`))) event.respondWith(answer(event, name));
});
