// <vivarium-lab>: the lab inside any page. A module without dependencies; vivarium-lab.d.ts has its types, docs/api.md its words.
//
//   <script type="module" src="https://…/vivarium-lab.js"></script>
//   <vivarium-lab scenario="12" controls="time"></vivarium-lab>
//
// It is the lab's own page in a frame: its styles and the page's do not meet, several have an engine each, and where it is served
// from may be elsewhere.

const HOME = new URL(".", import.meta.url);

export class VivariumLab extends HTMLElement {
  static observedAttributes = ["scenario", "step", "controls", "views"];

  #frame;
  #isReady = false;
  #moment;
  #changed = new Set();
  #told = Promise.resolve();
  #hears = (message) => this.#hear(message);

  connectedCallback() {
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = ":host { display: block; height: 560px; } :host([hidden]) { display: none; } iframe { display: block; width: 100%; height: 100%; border: 0; }";
    this.#frame = document.createElement("iframe");
    this.#frame.title = this.getAttribute("aria-label") ?? "A Kafka cluster under glass";
    this.#frame.allow = "clipboard-write";
    this.#frame.src = new URL(`index.html?embed&controls=${encodeURIComponent(this.getAttribute("controls") ?? "full")}`, HOME);
    addEventListener("message", this.#hears);
    shadow.replaceChildren(style, this.#frame);
  }

  disconnectedCallback() {
    removeEventListener("message", this.#hears);
    this.#frame?.remove();
    this.#isReady = false;
    this.#moment = undefined;
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#isReady || before === now) return;
    // What changes together is told together.
    this.#changed.add(name);
    if (this.#changed.size === 1) queueMicrotask(() => this.#set());
  }

  /** The moment that was told last; undefined before the first. */
  get moment() { return this.#moment; }

  /** Does what a line of the scenario language says, now. An `error` follows if it cannot be done. */
  act(line) { this.#ask("act", { line: String(line) }); }

  /** To the moment after so many events of this branch. */
  seek(event) { this.#ask("seek", { event: Number(event) }); }

  play() { this.#ask("play", {}); }

  pause() { this.#ask("pause", {}); }

  #ask(order, more) {
    if (!this.#isReady) throw new Error("<vivarium-lab> is not ready yet: wait for its event `ready`");
    this.#frame.contentWindow.postMessage({ vivarium: order, ...more }, HOME.origin);
  }

  /** Tells the lab what attributes say that have changed, one time after the other. A scenario begins anew, and then a step counts in it. */
  #set() {
    const changed = this.#changed;
    this.#changed = new Set();
    const tell = async () => {
      const order = { controls: this.getAttribute("controls") ?? undefined, views: this.getAttribute("views") ?? undefined };
      if (changed.has("scenario")) order.scenario = await this.#scenario();
      if (this.hasAttribute("step") && (changed.has("scenario") || changed.has("step"))) order.step = Number(this.getAttribute("step"));
      // It may be gone since.
      if (this.#isReady) this.#ask("set", order);
    };
    this.#told = this.#told.then(tell).catch((error) => this.#tell("error", error.message));
  }

  /** A room's name or a link's run as it is; an address of a file as what is in it. */
  async #scenario() {
    const scenario = this.getAttribute("scenario")?.trim();
    if (!scenario || scenario.includes("\n") || !/\.scenario$/.test(scenario)) return scenario;
    const answer = await fetch(new URL(scenario, document.baseURI));
    if (!answer.ok) throw new Error(`${scenario} could not be loaded: ${answer.status}`);
    return `${await answer.text()}\n`;
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail, bubbles: true, composed: true }));
  }

  #hear(message) {
    if (!this.#frame || message.source !== this.#frame.contentWindow || message.origin !== HOME.origin) return;
    const { vivarium: kind, detail } = message.data ?? {};
    if (kind === "ready") {
      this.#isReady = true;
      VivariumLab.observedAttributes.forEach((it) => this.#changed.add(it));
      this.#set();
    }
    if (kind === "step") this.#moment = detail;
    if (["ready", "step", "finding", "error"].includes(kind)) this.#tell(kind, detail);
  }
}

customElements.define("vivarium-lab", VivariumLab);
