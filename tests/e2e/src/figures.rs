//! Figures of the page other than frames: how soon it is there, and how fast it goes to another moment of a long run.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Browser;

/// When a page was there, in ms since it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first text was painted.
    pub painted: f64,
    /// The engine ran and the room could be used.
    pub ready: f64,
    /// Bytes that had to arrive before the first paint, as served.
    pub bytes: f64,
}

/// Opens the page in a browser that has never seen it; with a bandwidth in Mbit/s and a delay in ms, as over such a line.
pub fn start(line: Option<(f64, f64)>) -> Result<Start> {
    let browser = Browser::start_new()?;
    let watch = "new MutationObserver((_, it) => { if (document.querySelector('#engine')) { it.disconnect(); \
                 globalThis.readyAt = performance.now(); } }).observe(document, { childList: true, subtree: true });";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch }))?;
    if let Some((megabits, delay_ms)) = line {
        let rate = megabits * 1e6 / 8.0;
        browser.devtools("Network.enable", json!({}))?;
        let conditions =
            json!({ "offline": false, "latency": delay_ms, "downloadThroughput": rate, "uploadThroughput": rate });
        browser.devtools("Network.emulateNetworkConditions", conditions)?;
    }
    browser.open("")?;
    browser.until("globalThis.readyAt && performance.getEntriesByName('first-contentful-paint').length")?;
    let told = browser.run(
        "const [painted] = performance.getEntriesByName('first-contentful-paint');
         const blocking = performance.getEntriesByType('resource').filter((it) => it.renderBlockingStatus === 'blocking');
         const bytes = [...performance.getEntriesByType('navigation'), ...blocking].reduce((sum, it) => sum + it.encodedBodySize, 0);
         return [painted.startTime, readyAt, bytes]",
    )?;
    let [painted, ready, bytes] = numbers(&told)?;
    browser.quiet()?;
    Ok(Start { painted, ready, bytes })
}

/// How fast the first room goes to another moment, times in ms.
#[derive(Clone, Copy, Debug)]
pub struct Travel {
    /// How long the run was.
    pub events: f64,
    /// To any of a hundred moments all over the run, drawn: the median, and the slowest.
    pub seek: [f64; 2],
    /// An action in the past that makes a branch, drawn: the median, and the slowest.
    pub branch: [f64; 2],
    /// Memory of the engine after that, in MB.
    pub megabytes: f64,
}

/// Plays the first room for so many events, and goes about in it.
pub fn travel(browser: &Browser, events: u64) -> Result<Travel> {
    browser.open("#three")?;
    browser.until("document.querySelector('#engine')")?;
    let told = browser.run(&TRAVEL.replace("EVENTS", &events.to_string()))?;
    let [events, seek, slowest_seek, branch, slowest_branch, megabytes] = numbers(&told)?;
    browser.quiet()?;
    Ok(Travel { events, seek: [seek, slowest_seek], branch: [branch, slowest_branch], megabytes })
}

/// A seek is what dragging the timeline does, and a branch what typing a line does: both are done, and drawn, when the event's
/// handlers return.
const TRAVEL: &str = r"
    const engine = await import(document.querySelector('link[rel=modulepreload]').href);
    const { memory } = await engine.default();
    const element = (id) => document.getElementById(id);
    const act = (line) => { element('line').value = line; element('line').form.requestSubmit(); if (element('line').value) throw new Error(`${line}: ${element('say').innerText}`); };
    const at = () => Number(element('event').textContent.replace(/\D/g, ''));
    const rest = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    while (at() < EVENTS) { act('run 5s'); await rest(); }
    const last = at();
    const timed = async (does) => { const begun = performance.now(); does(); const took = performance.now() - begun; await rest(); return took; };
    const seek = (event) => { element('seek').value = event; element('seek').dispatchEvent(new Event('input', { bubbles: true })); if (at() !== event) throw new Error(`at ${at()} instead of ${event}`); };
    const both = (times) => { times.sort((a, b) => a - b); return [times[times.length >> 1], times.at(-1)]; };
    const seeks = [], branches = [];
    // A prime's multiples are all over the run, and near no multiple of a power of two.
    for (let it = 0; it < 100; it++) seeks.push(await timed(() => seek(it * 7919 * 13 % last)));
    for (let it = 0; it < 10; it++) {
        seek((it * 9973 + 997) % last);
        await rest();
        branches.push(await timed(() => act('pause b1')));
        [...document.querySelectorAll('button')].find((it) => it.dataset.do === 'branch:0').click();
        await rest();
    }
    return [last, ...both(seeks), ...both(branches), memory.buffer.byteLength / 1e6];
";

fn numbers<const N: usize>(told: &Value) -> Result<[f64; N]> {
    let mut numbers = [0.0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = told[index].as_f64().with_context(|| format!("{N} numbers: {told}"))?;
    }
    Ok(numbers)
}
