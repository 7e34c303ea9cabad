// Sharing a run and exporting it, and opening what was shared. Loaded when somebody asks for it.
// Whatever comes from a run or a link is set as text and never as markup.

/** The engine's build that this belongs to: the page compares it with its own. */
export const BUILD = "";

/** Places that cut off links cut them off here. */
const LONG = 8192;
/** While a run is played: so many ms of work between two frames, and so many turns between two looks at the clock. */
const SLICE = 8, TURNS = 500;

/** What is wrong with a file is told in so many characters. */
const LONGEST = 500;

/** What a run can be written as: spelling, words, ending. */
const SPELLINGS = [
  ["scenario", "Scenario file", "scenario"],
  ["rust", "Rust test", "rs"],
  ["script", "Script for a real cluster", "sh"],
  ["shiviz", "ShiViz log", "shiviz.log"],
];

/** What there can be a picture of: where, words. Those of which there is nothing on the page are left out. */
const VIEWS = [
  ["#cluster .stage:not([hidden])", "Cluster"],
  ["#logs", "Log"],
  ["#groups", "Groups"],
  ["#quorum", "Quorum"],
  ["#folder", "Files"],
  ["#spacetime .field", "Space-time"],
  ["#time", "Timeline"],
  [".inspector", "Inspector"],
  [".ledger.verdict", "Verdict"],
  ["#lab", "The whole lab"],
];

function element(tag, properties, ...children) {
  const it = Object.assign(document.createElement(tag), properties);
  it.append(...children);
  return it;
}

function button(words, does) {
  const it = element("button", { type: "button", className: "knob" }, words);
  it.addEventListener("click", does);
  return it;
}

/** Hands a file to whoever is at the browser. */
function download(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: address, download: name }).click();
  // The browser has taken it when the click is over, but not everyone has by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const name = (page, ending) => `vivarium-${page.moment().event}.${ending}`;

/** The link to the moment in sight, copied; and every other way to take the run along. */
export async function offer(page) {
  document.getElementById("sheet")?.remove();
  page.pause();
  const run = page.text("link");
  const link = location.href.split("#")[0] + run;
  const field = element("input", { id: "link", readOnly: true, value: link, ariaLabel: "Link" });
  const said = element("p", { id: "copied", className: "plain" });
  said.setAttribute("role", "status");
  const note = element("p", { className: "plain" }, `${link.length.toLocaleString("en")} characters: the engine’s version, the seed, the settings, every action and this moment. Nothing of it is stored anywhere else.`);
  const lost = left(page.read(run));
  if (lost) note.append(" ", element("b", { id: "left" }, lost));
  if (link.length > LONG) note.append(` Many places cut off links of more than ${LONG.toLocaleString("en")}: send the scenario file instead.`);
  const copy = async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = "Copied: whoever opens it stands at this moment of this run.";
    } catch {
      said.textContent = "This browser lets no page copy: the link is selected, copy it from the field.";
    }
  };
  const save = ([spelling, words, ending]) => button(words, () => download(name(page, ending), page.text(spelling), "text/plain"));
  const view = element("select", { id: "picture", ariaLabel: "Picture of" });
  for (const [selector, words] of VIEWS) if (find(selector)) view.add(new Option(words, selector));
  const theme = element("select", { id: "theme", ariaLabel: "Colours" }, new Option("as seen", ""), new Option("light", "light"), new Option("dark", "dark"));
  const picture = async (ending, make) => {
    try {
      download(name(page, ending), await make(svg(find(view.value), theme.value)), ending === "svg" ? "image/svg+xml" : "image/png");
    } catch (error) {
      said.textContent = `No picture could be made: ${error.message}.`;
    }
  };
  const sheet = element("dialog", { id: "sheet", className: "sheet", ariaLabel: "Share and export" },
    element("h2", {}, "Share this moment"), field, button("Copy the link", copy), said, note,
    element("h2", {}, "Export the run up to this moment"), element("p", { className: "deeds" }, ...SPELLINGS.map(save)),
    element("h2", {}, "Picture"), element("p", { className: "deeds" }, view, theme, button("SVG", () => picture("svg", (it) => it.text)), button("PNG", () => picture("png", png))),
    element("h2", {}, "Open"), element("p", { className: "deeds" }, button("A scenario file …", () => pick(page))),
    button("Close", () => sheet.close()));
  // Keys are the field's and the sheet's as long as it is open; the lab below hears none.
  for (const kind of ["keydown", "click", "input", "change"]) sheet.addEventListener(kind, (event) => event.stopPropagation());
  sheet.addEventListener("close", () => { sheet.remove(); document.getElementById("share")?.focus(); });
  document.body.append(sheet);
  sheet.showModal();
  await copy();
}

/** What a link leaves out of what there was where it was made, in words; nothing where that is nothing. */
function left(text) {
  const [, lanes, branches, story] = text.match(/^#@ look left:(\d+):(\d+):(\d)$/m)?.map(Number) ?? [];
  const many = (count, one, more) => count ? [count > 1 ? `${count} ${more}` : one] : [];
  const parts = [...many(lanes, "the other lane", "other lanes"), ...many(branches, "the other branch", "other branches"), ...many(story, "the lesson’s story")];
  return parts.length ? `A link has one run. Not in this one: ${parts.join(", ")}.` : "";
}

/** The first element of which something is in sight. */
function find(selector) {
  return [...document.querySelectorAll(selector)].find((it) => it.getBoundingClientRect().height > 0);
}

/** A part of the page as a picture by itself: {text, width, height}. */
export function svg(part, theme) {
  const restore = dressed(theme);
  try {
    const { width, height } = part.getBoundingClientRect();
    const copy = styled(part);
    const ground = getComputedStyle(document.documentElement).getPropertyValue(part.matches("svg, #logs") ? "--glass" : "--bg");
    const symbols = new Set();
    for (const use of copy.querySelectorAll("use")) symbols.add(use.getAttribute("href"));
    for (const it of ["#hatch", "#st-cut", "#st-up", "#st-down"]) if (copy.outerHTML.includes(it)) symbols.add(it);
    const defs = [...symbols].map((it) => document.querySelector(it)).filter(Boolean).map(glyph);
    const root = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const box = part.matches("svg") ? part.getAttribute("viewBox") : `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`;
    for (const [key, value] of Object.entries({ xmlns: root.namespaceURI, width: Math.ceil(width), height: Math.ceil(height), viewBox: box })) root.setAttribute(key, value);
    root.style.background = ground;
    const sheet = document.createElementNS(root.namespaceURI, "defs");
    sheet.append(...defs);
    root.append(sheet);
    if (part.matches("svg")) {
      root.style.font = getComputedStyle(part).font;
      root.append(...copy.childNodes);
    } else {
      const inside = document.createElementNS(root.namespaceURI, "foreignObject");
      inside.setAttribute("width", "100%");
      inside.setAttribute("height", "100%");
      copy.style.margin = "0";
      copy.style.position = "static";
      inside.append(copy);
      root.append(inside);
    }
    return { text: new XMLSerializer().serializeToString(root), width: Math.ceil(width), height: Math.ceil(height) };
  } finally {
    restore();
  }
}

/** A copy of a glyph: its inks are whatever its user's are, its tokens are what they are now. */
function glyph(it) {
  const copy = it.cloneNode(true);
  const tokens = getComputedStyle(document.documentElement);
  for (const part of [copy, ...copy.querySelectorAll("*")]) {
    for (const { name, value } of part.attributes) part.setAttribute(name, value.replace(/var\((--[\w-]+)\)/g, (_, token) => tokens.getPropertyValue(token)));
  }
  return copy;
}

/** Dresses the page in a theme for as long as nobody can see it; what undoes that. */
function dressed(theme) {
  const root = document.documentElement;
  const before = root.getAttribute("style");
  const restore = () => { if (before === null) root.removeAttribute("style"); else root.setAttribute("style", before); };
  if (!theme) return restore;
  for (const rule of [...document.styleSheets].flatMap((it) => [...it.cssRules])) {
    const isDark = rule.media?.mediaText.includes("prefers-color-scheme: dark");
    const tokens = isDark && theme === "dark" ? [...rule.cssRules] : [rule];
    for (const it of tokens) if (it.selectorText === ":root") for (const key of it.style) if (key.startsWith("--")) root.style.setProperty(key, it.style.getPropertyValue(key));
  }
  root.style.colorScheme = theme;
  return restore;
}

/** What is the same without saying it, by tag. */
const plain = new Map();

/** What an element has from those around it unless it says otherwise. */
const INHERITED = /^(color|fill|stroke|font|letter-spacing|line-height|list-style|overflow-wrap|paint-order|text-|visibility|white-space|word)/;

/** A copy of an element with every style that it needs in itself. */
function styled(it) {
  const copy = it.cloneNode(false);
  for (const key of ["id", "class", "data-do", "title"]) copy.removeAttribute(key);
  const style = getComputedStyle(it);
  const [usual, around] = [usually(it), getComputedStyle(it.parentElement)];
  let text = "";
  for (const key of style) {
    const value = style.getPropertyValue(key);
    if (key.startsWith("--") || SKIPPED.test(key)) continue;
    if (value !== usual.get(key) || (INHERITED.test(key) && value !== around.getPropertyValue(key))) text += `${key}:${value};`;
  }
  copy.setAttribute("style", text);
  if (it instanceof HTMLInputElement) copy.setAttribute("value", it.value);
  for (const child of it.childNodes) {
    if (child instanceof HTMLCanvasElement || child instanceof HTMLScriptElement) continue;
    if (child instanceof Element) { if (getComputedStyle(child).display !== "none") copy.append(styled(child)); }
    else if (child instanceof Text) copy.append(child.data);
  }
  for (const side of ["::before", "::after"]) {
    const drawn = getComputedStyle(it, side);
    if (it instanceof SVGElement || drawn.content === "none" || drawn.content === "normal") continue;
    const extra = document.createElement("span");
    extra.textContent = drawn.content.replace(/^"|"$/g, "");
    const base = usually(extra);
    extra.setAttribute("style", [...drawn].filter((key) => !key.startsWith("--") && !SKIPPED.test(key) && (drawn.getPropertyValue(key) !== base.get(key) || INHERITED.test(key))).map((key) => `${key}:${drawn.getPropertyValue(key)};`).join(""));
    if (side === "::before") copy.prepend(extra); else copy.append(extra);
  }
  return copy;
}

/** Of layout what the other properties say again, and what moves. */
const SKIPPED = /^(inline-size|block-size|min-inline|min-block|max-inline|max-block|inset-|margin-(inline|block)|padding-(inline|block)|border-(inline|block|start|end)|perspective|transform-origin|transition|animation|cursor|-webkit-|will-change|content$)/;

function usually(it) {
  const key = `${it.namespaceURI} ${it.localName}`;
  if (!plain.has(key)) {
    const bare = document.createElementNS(it.namespaceURI, it.localName);
    // Where no rule of the page's reaches it.
    const frame = element("iframe", { hidden: true });
    document.body.append(frame);
    (it instanceof SVGElement && it.localName !== "svg" ? frame.contentDocument.body.appendChild(document.createElementNS(it.namespaceURI, "svg")) : frame.contentDocument.body).append(bare);
    const style = frame.contentWindow.getComputedStyle(bare);
    plain.set(key, new Map([...style].map((it) => [it, style.getPropertyValue(it)])));
    frame.remove();
  }
  return plain.get(key);
}

/** The picture in twice as many points as it has on the page. */
async function png({ text, width, height }) {
  const image = new Image();
  // As data: an image from a blob may not be read back from a canvas when it holds a page's elements.
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = element("canvas", { width: width * 2, height: height * 2 });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => canvas.toBlob((it) => it ? done(it) : fail(new Error("the browser gives no bytes for it")), "image/png"));
}

/** Opens the run of the page's address. */
export async function follow(page, version) {
  document.getElementById("banner")?.remove();
  let text;
  try {
    text = page.read(location.hash);
  } catch (what) {
    return banner(`This link holds no run: ${what}. Ask for it again, or for the scenario file. The lab is open as usual.`);
  }
  const recorded = text.match(/^#@ engine (.*)$/m)?.[1];
  const foreign = recorded !== version;
  const other = foreign ? `Engine ${recorded} recorded this run, and this page has engine ${version}. The same actions may do other things here: other moments, other records, other findings. ` : "";
  let played;
  try {
    page.open(text);
    played = await plays(page, `${other}Playing the shared run`);
  } catch (what) {
    // The engine itself has stopped, and the page says so.
    if (what instanceof WebAssembly.RuntimeError) throw what;
    return banner(`${other}This run is refused: ${what}. Its text can be read here; the lab is open as usual.`, text, "shared.scenario");
  }
  if (!played) return;
  // A run of a lesson is in its lesson, which the menu shows already.
  if (played < 2) choice("shared", "A shared run").selected = true;
  const lost = left(text);
  const hash = text.match(/^#@ moment .* ([0-9a-f]+)$/m)?.[1];
  if (page.moment().hash !== hash) banner(`${other || `This run was changed after it was recorded, or another build of engine ${version} recorded it. `}It came out otherwise: its state is ${page.moment().hash} here, and was ${hash} where the link was made. ${lost}`, text, "shared.scenario");
  else if (foreign) banner(`${other}Up to this moment it came out as it was. ${lost}`, text, "shared.scenario");
  else if (lost) banner(lost);
}

/** How often something was begun to be played: what was begun before is called off. */
let begun = 0;

/** Plays what the page has begun to open, frame by frame: how it ended, as `page.goOn` has it, or 0 if somebody called it off. */
async function plays(page, words) {
  const mine = ++begun, place = location.hash;
  const progress = banner(`${words} …`);
  try {
    for (;;) {
      // So that this is seen before the engine has the thread.
      await frame();
      if (mine !== begun) return 0;
      // Closed, or another room was chosen meanwhile.
      if (!progress.isConnected || location.hash !== place) return page.giveUp(), 0;
      const end = performance.now() + SLICE;
      let played;
      do played = page.goOn(TURNS); while (played < 1 && performance.now() < end);
      if (played >= 1) return played;
      progress.querySelector("p").textContent = `${words}: ${Math.floor(played * 100)} %`;
    }
  } finally {
    progress.remove();
  }
}

/** A choice of the menu of rooms that is none of them: a run in sight has no value, and cannot be chosen. */
function choice(kind, words, value = "") {
  const menu = document.getElementById("rooms");
  const it = menu.querySelector(`.${kind}`) ?? element("option", { className: kind, value, hidden: !value });
  it.textContent = words;
  menu.append(it);
  return it;
}

/** The menu's words for the run in sight. */
function named() {
  const room = document.getElementById("lab").dataset.room;
  const it = document.querySelector(room ? `#rooms [value="${room}"]` : "#rooms .shared");
  return it ? it.text.replace(/^✓ /, "") : "the run before";
}

/** Asks for a scenario file, and opens it. */
export function pick(page) {
  const field = element("input", { type: "file", accept: ".scenario,.txt,text/plain" });
  field.addEventListener("change", () => take(page, field.files[0]));
  field.click();
}

/** Opens somebody's scenario file. The run that was open is one click away then; if it is not opened, nothing has changed. */
export async function take(page, file) {
  if (!file) return;
  document.getElementById("sheet")?.close();
  const refuse = (what, text) => banner(`${file.name} is not opened: ${what}. The run that was open is as it was.`, text);
  if (file.size > page.longest()) return refuse("it is larger than a megabyte");
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    return refuse("it holds no text");
  }
  let kept = named();
  try {
    page.take(text);
    if (!await plays(page, `Playing ${file.name}`)) return;
  } catch (what) {
    // The engine itself has stopped, and the page says so.
    if (what instanceof WebAssembly.RuntimeError) throw what;
    // A file may be one word.
    const wrong = String(what);
    return refuse(wrong.length > LONGEST ? `${wrong.slice(0, LONGEST)} …` : wrong, text);
  }
  choice("shared", file.name).selected = true;
  const before = choice("before", `‹ ${kept}`, "before");
  before.parentElement.onchange = (event) => {
    if (!before.selected) return;
    // The room would hear which choice the menu shows by then.
    event.stopPropagation();
    const left = named();
    page.otherRun();
    // A room's choice is selected already.
    if (!document.getElementById("lab").dataset.room) choice("shared", kept).selected = true;
    kept = left;
    choice("before", `‹ ${kept}`);
  };
  banner(`${file.name} is open. “${before.text}”, the last choice of the menu of rooms, leads back, until another file is opened.`);
}

const frame = () => new Promise((done) => {
  // A tab that is away draws no frames, and the run is opened all the same.
  const clock = setTimeout(done, 100);
  requestAnimationFrame(() => { clearTimeout(clock); done(); });
});

/** A sentence above the lab, and a text that can be read; a run's, which has the name of a file, can be kept. */
function banner(sentence, text, name) {
  document.getElementById("banner")?.remove();
  const it = element("section", { id: "banner", className: "banner" }, element("p", {}, sentence));
  it.setAttribute("role", "alert");
  if (text) it.append(element("details", {}, element("summary", {}, name ? "The run’s text" : "The file’s text"), element("pre", { tabIndex: 0 }, text)));
  if (name) it.append(button("Keep it as a file", () => download(name, text, "text/plain")));
  it.append(button("Close", () => it.remove()));
  document.body.prepend(it);
  return it;
}
