//! The page itself: what is there before the engine, what is said when the engine can't start, how it looks.

use anyhow::{Result, ensure};
use e2e::{Browser, Scheme};
use serde_json::json;

const SCHEMES: [Scheme; 2] = [Scheme::Light, Scheme::Dark];

#[test]
fn the_engine_starts_and_nothing_complains() -> Result<()> {
    let browser = Browser::start()?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')?.innerText")?;
    let status = browser.text("#status")?;
    ensure!(status.contains("simulated") && status.contains("same core"), "the page says what is simulated: {status}");
    assert_eq!(browser.errors()?, [""; 0]);
    Ok(())
}

/// One module gives the page its lab and scripts their engine; importing it touches no page.
#[test]
fn a_script_imports_the_engine() -> Result<()> {
    let browser = Browser::start()?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')")?;
    let version = browser.run("const it = await import('./vivarium.js'); await it.default(); return it.version()")?;
    assert_eq!(version, json!(browser.text("#engine")?));
    Ok(())
}

/// A fault of the engine is a trap, which the browser reports without words: the page says what to do, with the run's text.
#[test]
fn a_fault_of_the_engine_is_told_with_the_run_that_leads_to_it() -> Result<()> {
    let browser = Browser::start()?;
    browser.open("#one")?;
    browser.until("document.querySelector('#engine')")?;
    browser.run(
        "window.left = []; new MutationObserver((changes) => left.push(...changes.map((it) => it.oldValue)))
             .observe(document.querySelector('#lab'), { attributeFilter: ['data-run'], attributeOldValue: true });
         document.querySelector('#line').value = 'kill b1'; document.querySelector('.term form').requestSubmit();",
    )?;
    browser.until("left.some((it) => it?.endsWith('\\nkill b1\\n'))")?;
    // In the room of one broker nobody is told ok any more: the search gives up after 30 s of virtual time.
    browser.run(
        "const until = document.querySelector('#until'); until.value = 'ack'; until.dispatchEvent(new Event('change', { bubbles: true }))",
    )?;
    browser.until("document.querySelector('#clock').textContent >= '00:00:30'")?;
    browser.run(
        "const trap = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11);
         setTimeout(() => new WebAssembly.Instance(new WebAssembly.Module(trap)), 0)",
    )?;
    browser.until("document.querySelector('#fault pre')")?;
    let said = browser.text("#fault")?;
    for part in ["reload the page", "vivarium scenario", "unreachable", "seed 1729", "kill b1", "run 90s"] {
        ensure!(said.contains(part), "{part} in {said}");
    }
    Ok(())
}

/// The page that shows the API runs a scenario, and what it exports plays to the same hash.
#[test]
fn the_page_of_the_api_runs() -> Result<()> {
    let browser = Browser::start()?;
    browser.open("api.html")?;
    browser.until("document.querySelector('#out').innerText.includes('events')")?;
    let said = browser.text("#out")?;
    for part in [
        "eva = coffee",
        "tom = tea",
        "p1: producer, 2 ok, 0 failed, 0 unknown",
        "A: consumer, 2 read",
        "the same hash.",
    ] {
        ensure!(said.contains(part), "{part} in {said}");
    }
    browser.run(
        "document.querySelector('#scenario').value = 'broker b1\\nkill'; document.querySelector('#run').click()",
    )?;
    assert_eq!(browser.text("#out")?, "line 2, column 5: expected a process's name, found the end of the line");
    assert_eq!(browser.errors()?, [""; 0]);
    Ok(())
}

#[test]
fn the_page_is_painted_without_the_engine() -> Result<()> {
    let browser = Browser::start()?;
    browser.devtools("Network.enable", json!({}))?;
    browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*.parts"] }))?;
    browser.open("")?;
    assert_eq!(browser.text("h1")?, "A Kafka cluster under glass");
    let story = browser.text(".story")?;
    ensure!(story.contains("simulated") && story.contains("same core"), "the page says what is simulated: {story}");
    // The browser reports a paint when its frame is presented, which may be after the document has loaded.
    browser.until("performance.getEntriesByName('first-contentful-paint').length")?;
    browser.until("document.querySelector('#status.stop')")?;
    let said = browser.text("#status")?;
    ensure!(said.starts_with("The engine could not be loaded. Check the connection"), "{said}");
    Ok(())
}

#[test]
fn a_browser_without_webassembly_is_told_so() -> Result<()> {
    let browser = Browser::start()?;
    let script = json!({ "source": "delete globalThis.WebAssembly" });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script)?;
    browser.open("")?;
    browser.until("document.querySelector('#status.stop')")?;
    let said = browser.text("#status")?;
    ensure!(said.starts_with("WebAssembly is missing or switched off in this browser"), "{said}");
    Ok(())
}

#[test]
fn a_module_that_is_no_module_is_told_apart() -> Result<()> {
    let browser = Browser::start()?;
    let script = json!({ "source": "WebAssembly.instantiateStreaming = undefined; WebAssembly.instantiate = () => { throw new WebAssembly.CompileError('unknown opcode'); }" });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script)?;
    browser.open("")?;
    browser.until("document.querySelector('#status.stop')")?;
    assert_eq!(browser.text("#status")?, "This browser can’t run the engine; a newer one can. (unknown opcode)");
    Ok(())
}

/// In every width and both colour schemes nothing sticks out sideways, and text is readable on its ground.
#[test]
fn it_fits_and_is_readable() -> Result<()> {
    let browser = Browser::start()?;
    for scheme in SCHEMES {
        for (width, height) in [(360, 740), (390, 844), (1024, 768), (1440, 900), (3840, 2160)] {
            browser.view(width, height, scheme)?;
            browser.open("")?;
            browser.until("document.querySelector('#engine')")?;
            let wide = browser.run("return document.documentElement.scrollWidth")?;
            // Less where a scroll bar takes its part.
            ensure!(wide.as_u64() <= Some(u64::from(width)), "{width} px, {}: {wide} to scroll to", scheme.name());
            let faint = browser.run(CONTRAST)?;
            assert_eq!(faint, json!([]), "{width} px, {}: text with a contrast below 4.5", scheme.name());
            if [390, 1440].contains(&width) {
                browser.screenshot(&format!("page-{width}-{}", scheme.name()))?;
            }
        }
    }
    assert_eq!(browser.errors()?, [""; 0]);
    Ok(())
}

/// Elements whose own text has less than WCAG's 4.5 against the nearest painted ground: [text, contrast].
const CONTRAST: &str = r"
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const parse = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
    const light = (color) => { const [r, g, b] = [...parse(color)].map((it) => { const c = it / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (it) => { for (; it; it = it.parentElement) { const color = getComputedStyle(it).backgroundColor; if (parse(color)[3] === 255) return color; } return 'white'; };
    const faint = [];
    for (const it of document.querySelectorAll('body *')) {
        const own = [...it.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(' ').trim();
        if (!own || !it.checkVisibility() || it.closest('script, style, noscript')) continue;
        const style = getComputedStyle(it);
        const [a, b] = [light(it.closest('svg') ? style.fill : style.color), light(ground(it))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push([own, contrast]);
    }
    return faint;
";
