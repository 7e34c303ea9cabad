//! What nobody should put in, and what no browser should do: a clear sentence each time, and a lab that goes on.

use anyhow::{Context, Result, ensure};
use e2e::keys::{END, ESCAPE, LEFT};
use e2e::{Browser, Scheme};
use serde_json::json;

const READY: &str = "document.querySelector('#engine')?.innerText";

/// Puts a line into the terminal, however long it is, and waits until it is done.
fn act(browser: &Browser, line: &str) -> Result<()> {
    let body =
        format!("const it = document.querySelector('#line'); it.value = {}; it.form.requestSubmit()", json!(line));
    browser.run(&body)?;
    browser.settled()
}

/// Nothing of what is shown is wider than the window, and nothing that was put in became markup.
fn sound(browser: &Browser) -> Result<()> {
    browser.fits(1440)?;
    let made = browser.run("return [document.images.length, document.querySelectorAll('script:not([type=module], [nomodule])').length, typeof pwned]")?;
    assert_eq!(made, json!([0, 0, "undefined"]));
    browser.quiet()
}

/// A key of 64 KB, control characters, bytes that are no text, markup: each lands in its partition and is shown as what it is.
#[test]
fn any_key_is_a_key() -> Result<()> {
    let browser = Browser::at("#one", READY)?;
    let long = "x".repeat(65_536);
    let evil = "<img src=x onerror=pwned()>";
    for key in [
        &*long,
        r#""\x00\x07\x1b[31m\n\x7f""#,
        r#""\xff\xfe""#,
        &format!("\"{evil}\""),
        "\"\u{202e}\u{200b}é中\u{1f980}\"",
        "\"\"",
    ] {
        act(&browser, &format!("produce p1 orders partition=0 key={key} value=\"{evil}\""))?;
    }
    act(&browser, &format!("topic {evil}"))?;
    act(&browser, &format!("producer \"{evil}\" acks=all"))?;
    act(&browser, "run 2s")?;
    browser.until("!document.querySelector('#clock').innerText.startsWith('00:00:00')")?;
    // The inspector shows the record with all of its bytes.
    browser.run("document.querySelector('[data-partition=orders-0] .axis').focus()")?;
    browser.keys(&END.to_string())?;
    for _ in 0..6 {
        let said = browser.text(".inspector")?;
        ensure!(said.starts_with("Record "), "{}", &said[..said.len().min(300)]);
        browser.keys(&LEFT.to_string())?;
    }
    sound(&browser)?;
    browser.screenshot("input-keys-1440-light")?;
    // It is in a link, too: one of 64 KB that packs well is short.
    browser.keys(&format!("{ESCAPE}s"))?;
    browser.until("document.querySelector('#copied')?.innerText")?;
    let length = browser.run("return document.querySelector('#link').value.length")?;
    ensure!(length.as_u64() < Some(6_000), "{length}");
    Ok(())
}

/// Ten thousand records by hand, one after the other: the lab keeps up, and its terminal keeps the last of them.
#[test]
fn many_records_by_hand() -> Result<()> {
    let browser = Browser::at("#one", READY)?;
    // In parts: a browser gives up a script that takes half a minute, on whatever machine.
    for part in 0..10 {
        browser.run(&format!(
            "const it = document.querySelector('#line');
             for (let i = {part} * 1000; i < {part} * 1000 + 1000; i++) {{ it.value = `produce p1 orders key=k${{i % 7}} value=${{i}}`; it.form.requestSubmit(); }}",
        ))?;
    }
    assert_eq!(browser.text("#lines li:last-child b")?, "produce p1 orders key=k3 value=9999");
    act(&browser, "run 5s")?;
    browser.until("!document.querySelector('#clock').innerText.startsWith('00:00:00')")?;
    let acked = browser.text("#acked")?.chars().filter(char::is_ascii_digit).collect::<String>();
    ensure!(acked.parse::<u64>()? >= 10_000, "{acked} are safe");
    sound(&browser)
}

/// A tab that slept goes on where it was: time does not leap, and nothing is made up for.
#[test]
fn a_tab_that_slept_goes_on() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    // At the clock's own speed; while a tab is away its browser draws no frames.
    let (before, asleep, after) = (
        "const speed = document.querySelector('#speed'); speed.value = 0; speed.dispatchEvent(new Event('input', { bubbles: true }));
         const real = requestAnimationFrame, held = []; window.wake = () => { window.requestAnimationFrame = real; held.forEach((it) => real(it)); };
         document.querySelector('#play').click(); window.requestAnimationFrame = (it) => held.push(it);
         await new Promise((done) => real(() => real(done)));
         return document.querySelector('#clock').textContent",
        "await new Promise((done) => setTimeout(done, 2000)); return document.querySelector('#clock').textContent",
        "wake(); await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
         document.querySelector('#play').click(); return document.querySelector('#clock').textContent",
    );
    let millis = |body: &str| -> Result<u64> {
        let clock = browser.run(body)?;
        let clock = clock.as_str().context("a clock")?.chars().take("00:00:00.000".len());
        let digits: String = clock.filter(char::is_ascii_digit).collect();
        Ok(digits.parse()?)
    };
    let (before, asleep, after) = (millis(before)?, millis(asleep)?, millis(after)?);
    assert_eq!(before, asleep, "nothing passes");
    ensure!(after > asleep && after < asleep + 1_000, "from {asleep} ms on it went to {after}");
    sound(&browser)
}

/// A browser that keeps nothing for the page, or forbids it to: the lab is there all the same.
#[test]
fn a_browser_without_room_is_no_reason_to_stop() -> Result<()> {
    let browser = Browser::start()?;
    let origin = Browser::address("")?;
    browser.go("about:blank")?;
    browser.devtools("Storage.overrideQuotaForOrigin", json!({ "origin": origin, "quotaSize": 1 }))?;
    let refuse = "for (const it of ['localStorage', 'sessionStorage']) Object.defineProperty(window, it, { get() { throw new DOMException('denied', 'SecurityError'); } });";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": refuse }))?;
    browser.open("#one")?;
    browser.until(READY)?;
    browser.run("await (await navigator.serviceWorker.getRegistration())?.update().catch(() => {})")?;
    browser.click("#step")?;
    browser.click("#share")?;
    browser.until("document.querySelector('#link')?.value.includes('#run=')")?;
    let errors = browser.errors()?;
    // The browser itself says that a worker could not be installed; the page has nothing to add.
    ensure!(errors.iter().all(|it| it.contains("sw.js")), "{errors:?}");
    Ok(())
}

/// In a window too small for anything the lab can be scrolled to, and whatever is in it be reached.
#[test]
fn a_tiny_window_shows_the_lab_all_the_same() -> Result<()> {
    let browser = Browser::start()?;
    for (width, height) in [(240, 200), (200, 160), (320, 120)] {
        browser.view(width, height, Scheme::Light)?;
        browser.open("#three")?;
        browser.until(READY)?;
        browser.run("document.querySelector('#step').click()")?;
        let sentence = browser.text("#say")?;
        ensure!(!sentence.is_empty(), "there is a sentence");
        browser.fits(width.max(320))?;
        browser.quiet()?;
    }
    browser.screenshot("input-tiny").context("a picture").map(drop)
}
