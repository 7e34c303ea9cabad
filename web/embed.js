// The lab inside another page: what vivarium-lab.js asks of it by messages, and what it tells. Loaded with `?embed` alone.

/** The engine's build that this belongs to: the page compares it with its own. */
export const BUILD = "";

/** Parts of the lab by the names that `views` has for them. */
const PARTS = { bar: ".bar", story: ".story", cluster: "#cluster", log: "#logs", groups: "#groups", quorum: "#quorum", files: "#folder", inspector: ".side", timeline: "#time", terminal: ".term" };
/** What is shown besides the views, by `controls`. */
const CONTROLS = { none: [], time: ["bar", "timeline"], full: ["bar", "timeline", "story", "inspector", "terminal"] };

/** Listens to the page around, and tells it what happens. */
export function embed(page, version) {
  let told = {}, asked = Promise.resolve(), entering = false;
  const tell = (kind, detail) => parent.postMessage({ vivarium: kind, detail }, "*");

  const show = (controls = "full", views) => {
    const chosen = (views || (controls === "full" ? "cluster log groups quorum files" : "cluster log")).split(/[\s,]+/);
    const shown = new Set([...(CONTROLS[controls] ?? CONTROLS.full), ...chosen]);
    for (const [name, selector] of Object.entries(PARTS)) document.querySelector(selector).hidden = !shown.has(name);
    document.querySelector(".glass").hidden = !shown.has("cluster") && !shown.has("log");
    document.documentElement.dataset.controls = controls;
    dispatchEvent(new Event("resize"));
  };

  /** A room's name, a link's run, or the text of a scenario. */
  const enter = async (scenario) => {
    if (scenario.includes("\n")) return page.enter(scenario);
    if (scenario.startsWith("#run=")) {
      history.replaceState(null, "", scenario);
      return (await import("./share.js")).follow(page, version);
    }
    if (![...document.querySelectorAll("#rooms option")].some((it) => it.value === scenario)) throw `there is no scenario ${scenario}`;
    if (location.hash === `#${scenario}`) return;
    const entered = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = scenario;
    await entered;
  };

  const orders = {
    async set({ scenario, step, controls, views }) {
      show(controls, views);
      if (scenario) {
        // Of the run that comes nothing was told yet, and of a shared one nothing is before it is at its moment.
        entering = true;
        try { await enter(scenario); } finally { entering = false; told = {}; }
      }
      if (step !== undefined) page.seek(step);
    },
    act: ({ line }) => { if (!page.act(line)) throw `not done: ${line}`; },
    seek: ({ event }) => page.seek(event),
    play: () => page.play(),
    pause: () => page.pause(),
  };
  addEventListener("message", (message) => {
    // From the page around alone; whoever that is may ask for anything that a person could do here.
    const order = message.source === parent && orders[message.data?.vivarium];
    // One after the other, as they were asked for.
    if (order) asked = asked.then(() => order(message.data)).catch((what) => tell("error", String(what)));
  });

  const look = () => {
    requestAnimationFrame(look);
    if (entering) return;
    const now = page.moment();
    // A branch has findings of its own, and one that is shorter than it was is another run's.
    if (now.branch !== told.branch || now.lastEvent < told.lastEvent) told = {};
    if (now.event !== told.event || now.timeUs !== told.timeUs || now.playing !== told.playing) tell("step", now);
    if (now.findings > (told.findings ?? 0)) for (const it of page.view().findings.slice(told.findings ?? 0)) tell("finding", it);
    told = now;
  };
  // Somebody chose another room here.
  addEventListener("hashchange", () => { told = {}; });
  show(new URLSearchParams(location.search).get("controls") ?? undefined);
  tell("ready", version);
  look();
}
