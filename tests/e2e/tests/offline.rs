//! The lab without a network, and with a newer build on its server.

use anyhow::{Context, Result, ensure};
use e2e::{Browser, Front};
use serde_json::json;

const READY: &str = "document.querySelector('#engine')?.innerText";
/// The worker of this path, and not that of one above it, keeps the page's files and answers for it.
const KEPT: &str = "navigator.serviceWorker?.controller?.state === 'activated'
    && new URL(navigator.serviceWorker.controller.scriptURL).pathname === new URL('sw.js', location).pathname";

/// After the first load the lab needs no server: it starts, and what it loads only when asked for is there too.
#[test]
fn the_lab_works_without_its_server() -> Result<()> {
    let front = Front::start()?;
    let browser = Browser::start_new()?;
    browser.go(&front.address("#one"))?;
    browser.until(READY)?;
    browser.until(KEPT)?;
    front.go_away();
    ensure!(
        browser.run("return fetch('api.html').then(() => 'there', () => 'gone')")? == json!("gone"),
        "the server is gone"
    );
    for path in ["#one", "index.html#three", "?from=somewhere#one"] {
        browser.go("about:blank")?;
        browser.go(&front.address(path))?;
        browser.until(READY).context(path)?;
    }
    browser.click("#step")?;
    browser.click("#share")?;
    browser.until("document.querySelector('#link')?.value.includes('#run=')")?;
    Ok(())
}

/// Where the host sends those who ask for `/index.html` to `/`: a kept answer that came that way would be refused as a page.
#[test]
fn the_lab_works_without_a_server_that_redirected() -> Result<()> {
    let front = Front::start()?;
    front.redirect_index();
    let browser = Browser::start_new()?;
    browser.go(&front.address("#one"))?;
    browser.until(&format!("{READY} && {KEPT}"))?;
    assert_eq!(browser.run("return (await fetch('index.html', { cache: 'no-store' })).redirected")?, json!(false));
    front.go_away();
    browser.go("about:blank")?;
    browser.go(&front.address("#one"))?;
    browser.until(READY)?;
    Ok(())
}

/// Labs at two paths of a host have the same caches: neither forgets the other's files.
#[test]
fn two_labs_on_a_host_leave_each_other_alone() -> Result<()> {
    let front = Front::start()?;
    let browser = Browser::start_new()?;
    for path in ["#one", "second/#one"] {
        browser.go(&front.address(path))?;
        browser.until(&format!("{READY} && {KEPT}"))?;
    }
    assert_eq!(
        browser.run("return (await caches.keys()).filter((it) => it.startsWith('vivarium /')).length")?,
        json!(2)
    );
    front.go_away();
    for path in ["#one", "second/#one"] {
        browser.go("about:blank")?;
        browser.go(&front.address(path))?;
        browser.until(READY).context(path)?;
    }
    Ok(())
}

/// What the first visit unpacked is kept: a later one runs it as it is, and the module of another build goes.
#[test]
fn a_later_visit_unpacks_nothing() -> Result<()> {
    let front = Front::start()?;
    let browser = Browser::start_new()?;
    browser.go(&front.address("api.html"))?;
    browser.run("await (await caches.open('vivarium modules')).put('vivarium.parts?v=older', new Response('old'))")?;
    browser.go(&front.address("#one"))?;
    browser.until(&format!("{READY} && {KEPT}"))?;
    let kept = "(globalThis.modules = (await (await caches.open('vivarium modules')).keys()).map((it) => it.url))";
    let own = "document.querySelector('link[rel=preload][as=fetch]').href";
    browser.run(&format!("while (!{kept}.includes({own})) await new Promise((done) => setTimeout(done, 50))"))?;
    assert_eq!(browser.run("return modules.length")?, json!(1));
    let watch = "const real = WebAssembly.compileStreaming;
        WebAssembly.compileStreaming = (...it) => { globalThis.isStreamed = true; return real(...it); };";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch }))?;
    front.go_away();
    browser.go("about:blank")?;
    browser.go(&front.address("#one"))?;
    browser.until(READY)?;
    assert_eq!(browser.run("return globalThis.isStreamed")?, json!(true));
    Ok(())
}

/// A module that is damaged where it is kept is unpacked and kept anew.
#[test]
fn a_damaged_module_is_replaced() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("#one")?;
    browser.until(READY)?;
    let kept = "const cache = await caches.open('vivarium modules'), own = document.querySelector('link[rel=preload][as=fetch]').href;
        const late = Date.now() + 20000, pause = () => new Promise((done) => setTimeout(done, 50));
        const size = async () => (await (await cache.match(own))?.arrayBuffer())?.byteLength ?? 0;
        while (await size() < 1e6 && Date.now() < late) await pause();";
    let damage = "const whole = await (await cache.match(own)).arrayBuffer();
        await cache.put(own, new Response(whole.slice(0, 5000), { headers: { 'content-type': 'application/wasm' } }));
        return [whole.byteLength, await size()]";
    let sizes = browser.run(&format!("{kept}{damage}"))?;
    assert_eq!(sizes[1], json!(5000), "{sizes}");
    browser.go("about:blank")?;
    browser.open("#one")?;
    browser.until(READY)?;
    assert_eq!(browser.run(&format!("{kept} return await size()"))?, sizes[0]);
    Ok(())
}

/// Where nothing may be kept, as in some private windows, or there is no room, the engine starts all the same.
#[test]
fn a_browser_that_keeps_nothing_unpacks_each_time() -> Result<()> {
    for blocked in [
        "Object.defineProperty(globalThis, 'caches', { get() { throw new DOMException('blocked', 'SecurityError'); } })",
        "Cache.prototype.match = async () => { throw new DOMException('broken', 'UnknownError'); }",
        "Cache.prototype.put = async () => { globalThis.isFull = true; throw new DOMException('full', 'QuotaExceededError'); }",
    ] {
        let browser = Browser::start_new()?;
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": blocked }))?;
        browser.open("#one")?;
        browser.until(READY).context(blocked)?;
        if blocked.contains("full") {
            browser.until("globalThis.isFull")?;
        }
        assert_eq!(browser.errors()?, [""; 0], "{blocked}");
    }
    Ok(())
}

/// What a browser demands of what it lets people install.
#[test]
fn the_lab_can_be_installed() -> Result<()> {
    let browser = Browser::at("#one", READY)?;
    browser.until(KEPT)?;
    let wrong = browser.devtools("Page.getInstallabilityErrors", json!({}))?;
    let wrong: Vec<_> =
        wrong["installabilityErrors"].as_array().context("a list")?.iter().map(|it| it["errorId"].clone()).collect();
    // A browser that is driven by a test has no profile that anything could be installed in.
    ensure!(wrong.iter().all(|it| it == "in-incognito"), "{wrong:?}");
    Ok(())
}

/// A new build whose page says so: its worker, with its sums.
fn build(front: &Front, browser: &Browser, mark: &str, sums_fit: bool) -> Result<()> {
    let fetch = |name: &str| -> Result<String> {
        let text = browser.run(&format!("return (await fetch('{name}', {{ cache: 'no-store' }})).text()"))?;
        Ok(text.as_str().context("a text")?.to_owned())
    };
    let worker = fetch("sw.js")?;
    let page = fetch("index.html?v=none")?;
    let marked = page.replace("</body>", &format!("<i id=\"build\" hidden>{mark}</i></body>"));
    let sum =
        |text: &str| text.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let old = format!("\"index.html\":{}", sum(&page));
    ensure!(worker.contains(&old), "{old} is what the worker has: {worker}");
    let new = if sums_fit { sum(&marked) } else { sum(&marked) ^ 1 };
    let at = worker.find("VERSION = \"").context("a version")? + 11;
    let (head, tail) = (&worker[..at], &worker[at..]);
    let worker = format!("{head}{mark}{tail}").replace(&old, &format!("\"index.html\":{new}"));
    front.put("sw.js", "text/javascript; charset=utf-8", worker);
    front.put("index.html", "text/html; charset=utf-8", marked);
    Ok(())
}

/// A new build comes with the second visit after it, all of it at once; one that is not whole never comes.
#[test]
fn a_new_build_comes_whole_or_not_at_all() -> Result<()> {
    let front = Front::start()?;
    let browser = Browser::start_new()?;
    let mark = "(document.querySelector('#build')?.textContent ?? '')";
    let visit = || -> Result<String> {
        browser.go(&front.address("#one"))?;
        browser.run("location.reload()")?;
        browser.until(&format!("{READY} && navigator.serviceWorker.controller"))?;
        let found = browser.run(&format!("return {mark}"))?;
        Ok(found.as_str().unwrap_or_default().to_owned())
    };
    browser.go(&front.address("#one"))?;
    browser.until(&format!("{READY} && {KEPT}"))?;
    build(&front, &browser, "broken", false)?;
    let refused = "return navigator.serviceWorker.getRegistration().then((it) => it.update().then((it) => new Promise((done) => {
        const worker = it.installing; if (!worker) return done('none'); worker.onstatechange = () => worker.state === 'redundant' && done(worker.state); if (worker.state === 'redundant') done(worker.state);
    })))";
    ensure!(browser.run(refused)? == json!("redundant"), "it is not installed");
    assert_eq!(visit()?, "", "the old build is whole and stays");
    // Served as it should be: it waits until the old one is not used any more, which a reload is.
    front.restore();
    build(&front, &browser, "second", true)?;
    let waits = "const it = await navigator.serviceWorker.getRegistration(); await it.update();
        for (let i = 0; i < 500 && !it.waiting; i++) await new Promise((done) => setTimeout(done, 20)); return Boolean(it.waiting)";
    assert_eq!(browser.run(waits)?, json!(true), "it is fetched and waits");
    // A machine that is too busy to let the page before go is asked again by the next visit.
    let mut visits = (0..10).map(|_| visit());
    ensure!(visits.any(|it| it.is_ok_and(|mark| mark == "second")), "the new build comes");
    let caches = browser.run("return (await caches.keys()).filter((it) => it.startsWith('vivarium /')).length")?;
    assert_eq!(caches, json!(1), "the old build is forgotten");
    Ok(())
}
