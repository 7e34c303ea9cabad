// What moves while time passes, drawn. room/pen.rs says what, in numbers and words. A worker does it, where there is one that can: text
// and pixels are then no work of the page's own thread.

/** The build of the engine whose numbers these are. */
export const BUILD = "";

/** The page's canvases, and beneath their numbers in room/canvas.rs the stamps. */
const CANVASES = ["canvas", "canvas-logs"];
const pens = [];
let colours = [], fonts = [];

const stamp = () => (typeof OffscreenCanvas === "function" ? new OffscreenCanvas(1, 1) : document.createElement("canvas")).getContext("2d");

/** So many numbers, these, and the words one after the other: numbers say how long each is. */
function draw({ buffer }) {
  const [count] = new Uint32Array(buffer, 0, 1);
  const numbers = new Float32Array(buffer, 4, count);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4 + 4 * count));
  let at = 0, said = 0, pen;
  const next = () => numbers[at++];
  const word = () => text.slice(said, said += next());
  const list = () => Array.from({ length: next() }, word);
  const place = () => { const scale = next(); pen.setTransform(scale, 0, 0, scale, next(), next()); };
  const edge = () => { pen.strokeStyle = colours[next()]; pen.lineWidth = next(); pen.stroke(); };
  // In the order of room/pen.rs.
  const steps = [
    () => { colours = list(); fonts = list(); },
    () => {
      const which = next(), width = next(), height = next();
      pen = pens[which] ??= stamp();
      // Another size makes it blank, too.
      if (pen.canvas.width !== width || pen.canvas.height !== height) Object.assign(pen.canvas, { width, height });
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, width, height);
    },
    place,
    () => { pen.save(); place(); pen.beginPath(); pen.rect(0, 0, next(), next()); pen.clip(); },
    () => pen.restore(),
    () => pen.beginPath(),
    () => pen.roundRect(next(), next(), next(), next(), next()),
    () => pen.moveTo(next(), next()),
    () => pen.lineTo(next(), next()),
    () => pen.arc(next(), next(), next(), -Math.PI / 2, 2 * Math.PI * next() - Math.PI / 2),
    () => { pen.fillStyle = colours[next()]; pen.fill(); },
    edge,
    () => { pen.setLineDash([4, 3]); edge(); pen.setLineDash([]); },
    () => { const which = next(), x = next(), y = next(), width = next(), height = next(); pen.drawImage(pens[which].canvas, x - width / 2, y - height / 2, width, height); },
    () => { pen.font = fonts[next()]; pen.fillStyle = colours[next()]; pen.textAlign = ["left", "center", "right"][next()]; },
    () => pen.fillText(word(), next(), next(), next()),
    () => { const it = word(), x = next(), y = next(); pen.strokeStyle = colours[0]; pen.lineWidth = 4; pen.strokeText(it, x, y); pen.fillText(it, x, y); },
    () => {
      const ground = colours[next()], colour = pen.fillStyle, x = next(), y = next(), height = next(), long = word(), short = word();
      const it = pen.measureText(long).width + 11.5 > x ? short : long, width = pen.measureText(it).width + 10;
      pen.beginPath();
      pen.roundRect(x - width - 1.5, 0, width, height, 4);
      pen.fillStyle = ground;
      pen.fill();
      pen.fillStyle = colour;
      pen.fillText(it, x - 6.5, y, width);
    },
  ];
  while (at < count) steps[next()]();
}

const latest = [];
let asked = 0;
/** Draws a sheet before the next frame; what comes later of it is drawn instead. What is of no sheet is needed: it is drawn now, and what waited is out of date. */
function take(bytes, sheet) {
  if (sheet === null) {
    cancelAnimationFrame(asked);
    asked = latest.length = 0;
    return draw(bytes);
  }
  latest[sheet] = bytes;
  asked ||= requestAnimationFrame(() => { asked = 0; for (const it of latest.splice(0)) it && draw(it); });
}

let send, waiting = [];
const begin = (how) => { send = how; for (const it of waiting) send(...it); waiting = []; };
const here = () => { for (const id of CANVASES) pens.push(document.getElementById(id).getContext("2d")); begin(take); };
function there() {
  try {
    const worker = new Worker(import.meta.url, { type: "module" });
    // It is there.
    worker.onmessage = () => {
      const canvases = CANVASES.map((id) => document.getElementById(id).transferControlToOffscreen());
      worker.postMessage(canvases, canvases);
      begin((bytes, sheet) => worker.postMessage([bytes, sheet], [bytes.buffer]));
    };
    worker.onerror = () => send || here();
  } catch {
    here();
  }
}

let isBegun;
/** For the page: draws what these bytes say of a sheet, or, without one, what all that follows needs. */
export function paint(bytes, sheet) {
  if (send) return send(bytes, sheet);
  if (sheet !== null) waiting = waiting.filter((it) => it[1] !== sheet);
  waiting.push([bytes, sheet]);
  if (isBegun) return;
  isBegun = true;
  // Some browsers have module workers, and canvases for the page's own thread only.
  if (typeof OffscreenCanvas === "function" && "transferControlToOffscreen" in HTMLCanvasElement.prototype) there(); else here();
}

if (typeof document === "undefined") {
  addEventListener("message", ({ data }) => { if (pens.length) take(...data); else pens.push(...data.map((it) => it.getContext("2d"))); });
  postMessage("");
}
