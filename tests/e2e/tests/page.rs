//! The page itself: what is there before the engine, what is said when the engine can't start, how it looks.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use e2e::{Browser, Scheme};
use serde_json::json;

const SCHEMES: [Scheme; 2] = [Scheme::Light, Scheme::Dark];

#[test]
fn the_engine_starts_and_nothing_complains() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')?.innerText")?;
    let status = browser.text("#status")?;
    ensure!(status.contains("simulated") && status.contains("same core"), "the page says what is simulated: {status}");
    assert_eq!(browser.errors()?, [""; 0]);
    // What the page asks for ahead is what the engine asks for, and of one version.
    let asked = browser.run(
        "const names = performance.getEntriesByType('resource').map((it) => it.name.match(/vivarium.(?:js|parts).*/)?.[0]);
         return [...new Set(names.filter(Boolean))].map((it) => it.replace(/[0-9a-f]{8}$/, 'VERSION')).sort()",
    )?;
    assert_eq!(asked, json!(["vivarium.js?v=VERSION", "vivarium.parts?v=VERSION"]));
    Ok(())
}

/// One module gives the page its lab and scripts their engine; importing it touches no page.
#[test]
fn a_script_imports_the_engine() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')")?;
    let version = browser.run("const it = await import('./vivarium.js'); await it.default(); return it.version()")?;
    assert_eq!(version, json!(browser.text("#engine")?));
    Ok(())
}

/// Whoever has the engine's bytes already may hand them over, or what will be them, as wasm-bindgen's types say.
#[test]
fn the_engine_is_what_a_script_hands_over() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')")?;
    let version = browser.text("#engine")?;
    for (number, start) in [
        "it.default({ module_or_path: 'vivarium.parts' })",
        "it.default({ module_or_path: fetch('vivarium.parts') })",
        "it.default({ module_or_path: await (await fetch('vivarium.parts')).arrayBuffer() })",
        "it.initSync({ module: new Uint8Array(await (await fetch('vivarium.parts')).arrayBuffer()) })",
    ]
    .iter()
    .enumerate()
    {
        // Of each address there is one module: this one has not started.
        let body = format!(
            "const it = await import('./vivarium.js?{number}'); const exports = await {start};
             return [it.version(), exports.memory instanceof WebAssembly.Memory]"
        );
        assert_eq!(browser.run(&body).context(*start)?, json!([version, true]), "{start}");
    }
    Ok(())
}

/// The parts put together are the module that was taken apart, byte for byte.
#[test]
fn the_browser_runs_the_module_that_was_built() -> Result<()> {
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wasm/bound/vivarium_bg.wasm");
    let packed = std::fs::read(packed).with_context(|| format!("read {packed}"))?;
    let browser = Browser::start_new()?;
    let script = json!({ "source": "const real = WebAssembly.instantiate; WebAssembly.instantiate = (it, imports) => { globalThis.engineBytes = new Blob([it]); return real(it, imports); }" });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script)?;
    browser.open("")?;
    browser.until("document.querySelector('#engine')")?;
    let bytes = browser.run(
        "const reader = new FileReader();
         await new Promise((done) => { reader.onload = done; reader.readAsDataURL(engineBytes); });
         return reader.result.split(',')[1]",
    )?;
    let bytes = bytes.as_str().context("the bytes that the page compiled")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(bytes)?;
    ensure!(bytes == packed, "{} bytes are not the {} that were packed", bytes.len(), packed.len());
    Ok(())
}

/// A fault of the engine is a trap, which the browser reports without words: the page says what to do, with the run's text.
#[test]
fn a_fault_of_the_engine_is_told_with_the_run_that_leads_to_it() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("#one")?;
    browser.until("document.querySelector('#engine')")?;
    browser.run(
        "window.left = []; new MutationObserver((changes) => left.push(...changes.map((it) => it.oldValue)))
             .observe(document.querySelector('#run'), { attributeFilter: ['data-next'], attributeOldValue: true });
         document.querySelector('#line').value = 'kill b1'; document.querySelector('.term form').requestSubmit();",
    )?;
    browser.until("left.some((it) => it?.endsWith('\\nkill b1\\n'))")?;
    // Time passes by itself: what was done last is left on the page, and not that.
    browser.run(
        "const speed = document.querySelector('#speed'); speed.value = 2; speed.dispatchEvent(new Event('input', { bubbles: true }));
         document.querySelector('#play').click()",
    )?;
    browser.until("document.querySelector('#clock').textContent >= '00:00:30'")?;
    browser.run("document.querySelector('#play').click()")?;
    browser.settled()?;
    browser.run(
        "const trap = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11);
         setTimeout(() => new WebAssembly.Instance(new WebAssembly.Module(trap)), 0)",
    )?;
    browser.until("document.querySelector('#fault pre')")?;
    let said = browser.text("#fault")?;
    for part in ["reload the page", "vivarium scenario", "unreachable", "seed 1729", "kill b1"] {
        ensure!(said.contains(part), "{part} in {said}");
    }
    let seconds = said.rsplit_once("\nrun ").and_then(|it| it.1.trim().strip_suffix('s')?.parse::<u64>().ok());
    ensure!(seconds >= Some(90), "a minute more than passed: {said}");
    Ok(())
}

/// The page that shows the API runs a scenario, and what it exports plays to the same hash.
#[test]
fn the_page_of_the_api_runs() -> Result<()> {
    let browser = Browser::start_new()?;
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
    let browser = Browser::start_new()?;
    browser.devtools("Network.enable", json!({}))?;
    browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*.parts*"] }))?;
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
    let browser = Browser::start_new()?;
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
    let browser = Browser::start_new()?;
    let script = json!({ "source": "WebAssembly.instantiateStreaming = undefined; WebAssembly.instantiate = () => { throw new WebAssembly.CompileError('unknown opcode'); }" });
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", script)?;
    browser.open("")?;
    browser.until("document.querySelector('#status.stop')")?;
    assert_eq!(browser.text("#status")?, "This browser can’t run the engine; a newer one can. (unknown opcode)");
    Ok(())
}

/// Caches, deployments and cut connections mix and damage files: the page says so, and never that the browser is at fault.
#[test]
fn an_engine_that_arrives_wrong_is_told_so() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": ARRIVES }))?;
    let damaged =
        "The engine could not be loaded: the engine's file arrived damaged or is another version; reload the page.";
    let other = "The engine could not be loaded: the engine's file is of another version than the script that loads it; reload the page.";
    let lost = "The engine could not be loaded. Check the connection and reload the page.";
    for (how, sentence) in [
        ("page", damaged),
        ("nothing", damaged),
        ("cut", damaged),
        ("begun", damaged),
        ("changed-early", damaged),
        ("changed", damaged),
        ("changed-late", damaged),
        ("other", other),
        ("broken", lost),
        ("refused", lost),
    ] {
        browser.open(&format!("?arrives={how}"))?;
        browser.until("document.querySelector('#status.stop')").context(how)?;
        let said = browser.text("#status")?;
        ensure!(said.starts_with(sentence), "{how}: {said}");
    }
    browser.open("?arrives=well")?;
    browser.until("document.querySelector('#engine')")
}

/// Lets the engine's file arrive as the page's address says.
const ARRIVES: &str = r"
    const real = fetch;
    const change = (bytes, at) => { bytes[at] ^= 1; return bytes; };
    /** With the sum that it ends with, which says that nothing was damaged. */
    const summed = (bytes) => {
        const end = bytes.length - 4;
        const sum = bytes.subarray(0, end).reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5 | 0);
        new DataView(bytes.buffer).setInt32(end, sum, true);
        return bytes;
    };
    const ways = {
        page: () => '<!doctype html><title>Not found</title>',
        nothing: () => '',
        cut: (bytes) => bytes.subarray(0, bytes.length >> 1),
        begun: (bytes) => bytes.subarray(0, 5),
        'changed-early': (bytes) => change(bytes, 17),
        changed: (bytes) => change(bytes, bytes.length >> 1),
        'changed-late': (bytes) => change(bytes, bytes.length - 1),
        other: (bytes) => summed(change(bytes, 12)),
        broken: (bytes) => {
            let pulls = 0;
            return new ReadableStream({ pull(it) { if (pulls++) it.error(new TypeError('network error')); else it.enqueue(bytes.subarray(0, 1000)); } });
        },
        well: summed,
    };
    globalThis.fetch = async (it, ...more) => {
        const answer = await real(it, ...more);
        if (!answer.url.includes('.parts')) return answer;
        const how = new URLSearchParams(location.search).get('arrives');
        if (how === 'refused') return new Response('busy', { status: 503 });
        return new Response(ways[how](new Uint8Array(await answer.arrayBuffer())));
    };
";

/// The measure itself: where a phone is emulated, the window grows with what sticks out of it.
#[test]
fn what_sticks_out_does_not_fit() -> Result<()> {
    let browser = Browser::at("", "document.querySelector('#engine')")?;
    for width in [390, 1440] {
        browser.view(width, 844, Scheme::Light)?;
        browser.fits(width)?;
        browser.run(&format!(
            "const it = document.createElement('div'); it.style = 'position: absolute; left: 0; top: 0; height: 1px; width: {}px'; \
             it.id = 'sticks-out'; document.body.append(it)",
            width + 50
        ))?;
        ensure!(browser.fits(width).is_err(), "{width} px: what sticks out is not seen");
        browser.run("document.querySelector('#sticks-out').remove()")?;
    }
    browser.quiet()
}

/// In every width and both colour schemes nothing sticks out sideways, and text is readable on its ground.
#[test]
fn it_fits_and_is_readable() -> Result<()> {
    let browser = Browser::start_new()?;
    for scheme in SCHEMES {
        for (width, height) in [(360, 740), (390, 844), (1024, 768), (1440, 900), (3840, 2160)] {
            browser.view(width, height, scheme)?;
            browser.open("")?;
            browser.until("document.querySelector('#engine')")?;
            browser.fits(width)?;
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
