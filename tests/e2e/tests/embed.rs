//! The lab within another page.

use anyhow::{Context, Result, ensure};
use e2e::{Browser, Front, Scheme};
use serde_json::json;

/// The document within an element: `lab('#first')`.
const LAB: &str = "const lab = (it) => document.querySelector(it).shadowRoot.querySelector('iframe').contentDocument;";

/// The page of the documentation: two labs, each by itself; what the page asks for is done, and what happens is told.
#[test]
fn two_labs_on_a_page_are_told_apart_and_driven() -> Result<()> {
    let browser = Browser::start_new()?;
    browser.open("embed.html")?;
    browser.until(
        "document.querySelector('#first').moment?.event === 400 && document.querySelector('#second').moment?.event > 0",
    )?;
    let shown = browser.run(&format!(
        "{LAB} const shown = (it) => ['.bar', '.story', '#cluster', '#logs', '.side', '#time', '.term'].filter((part) => lab(it).querySelector(part).checkVisibility());
         return [shown('#first'), shown('#second')]"
    ))?;
    assert_eq!(shown, json!([[".bar", "#cluster", "#logs", "#time"], ["#cluster", "#logs"]]));
    let brokers = browser
        .run(&format!("{LAB} return ['#first', '#second'].map((it) => lab(it).querySelectorAll('.broker').length)"))?;
    ensure!(brokers[0].as_u64() > Some(2) && brokers[1] == json!(2), "two clusters, each of its own: {brokers}");
    // The page moves the second; the first stays.
    let before = browser.run("return document.querySelector('#second').moment.event")?.as_u64().context("an event")?;
    browser.click("#on")?;
    browser.click("#kill")?;
    browser.until(&format!("{LAB_READY} lab('#second').querySelectorAll('.broker.ghost').length === 1; }})()"))?;
    assert_eq!(browser.run("return document.querySelector('#first').moment.event")?, json!(400));
    browser.until("document.querySelector('#out').innerText.includes('second: event ')")?;
    ensure!(before > 0, "it stands somewhere");
    // What cannot be done is told, and is a sentence.
    let error = browser.run("const it = document.querySelector('#second');
        const told = new Promise((done) => it.addEventListener('error', (event) => done(event.detail), { once: true })); it.act('kill b9'); return told")?;
    assert_eq!(error, json!("not done: kill b9"));
    // Attributes are followed: another scenario, a step of it, other controls.
    browser.run("const it = document.querySelector('#first'); it.setAttribute('controls', 'full'); it.setAttribute('scenario', '12'); it.setAttribute('step', '500')")?;
    browser.until("document.querySelector('#first').moment?.event === 500")?;
    browser.until(&format!("{LAB_READY} lab('#first').querySelector('#told').checkVisibility(); }})()"))?;
    // It plays and pauses, and tells the steps that pass.
    browser.run("document.querySelector('#first').play()")?;
    browser.until(
        "document.querySelector('#first').moment?.event > 510 && document.querySelector('#first').moment.playing",
    )?;
    browser.run("document.querySelector('#first').pause()")?;
    browser.until("!document.querySelector('#first').moment.playing")?;
    for (width, scheme) in [(1440, Scheme::Light), (390, Scheme::Dark)] {
        browser.view(width, 900, scheme)?;
        browser.screenshot(&format!("embed-{width}-{}", scheme.name()))?;
        browser.fits(width)?;
    }
    browser.quiet()
}

const LAB_READY: &str = "(() => { const lab = (it) => document.querySelector(it).shadowRoot.querySelector('iframe').contentDocument; return";

/// A page of another origin, with a scenario of its own in a file, that loses records: the loss is told to the page.
#[test]
fn a_page_from_elsewhere_embeds_the_lab_and_hears_of_losses() -> Result<()> {
    let front = Front::start()?;
    let scenario = include_str!("../../../crates/sim/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");
    front.put("mine/loss.scenario", "text/plain; charset=utf-8", scenario.to_owned());
    let page = format!(
        "<!doctype html><title>Mine</title><script>window.told = {{}}; for (const kind of ['ready', 'step', 'finding', 'error']) addEventListener(kind, (event) => (told[kind] ??= []).push(event.detail), true);</script>\
         <script type=module src=\"{}\"></script><vivarium-lab scenario=\"loss.scenario\" controls=\"none\"></vivarium-lab>\
         <vivarium-lab id=\"wrong\" scenario=\"none.scenario\"></vivarium-lab><vivarium-lab id=\"unknown\" scenario=\"<img src=x onerror=pwned()>\"></vivarium-lab>",
        Browser::address("vivarium-lab.js")?
    );
    front.put("mine/page.html", "text/html; charset=utf-8", page);
    let browser = Browser::start_new()?;
    browser.go(&front.address("mine/page.html"))?;
    browser.until("told.ready?.length === 3 && told.finding?.some((it) => it.verdict === 'allowed')")?;
    browser.until("told.error?.length === 2")?;
    let mut errors: Vec<String> = serde_json::from_value(browser.run("return told.error")?)?;
    errors.sort();
    assert_eq!(errors, ["none.scenario could not be loaded: 404", "there is no scenario <img src=x onerror=pwned()>"]);
    let lost = browser
        .run("return told.finding.filter((it) => it.verdict === 'allowed').reduce((sum, it) => sum + it.acked, 0)")?;
    ensure!(lost.as_u64() > Some(0), "{lost}");
    // A step tells how many findings there are before they are told, each by itself.
    browser.until("told.finding.length === document.querySelector('vivarium-lab').moment.findings")?;
    // Another run has findings of its own, also where they are as many as the last one's.
    let found = browser.run("return told.finding.length")?.as_u64().context("findings")?;
    front.put("mine/again.scenario", "text/plain; charset=utf-8", scenario.to_owned());
    browser.run("document.querySelector('vivarium-lab').setAttribute('scenario', 'again.scenario')")?;
    browser.until(&format!("told.finding.length === {}", 2 * found))?;
    // An element that goes takes its engine with it, and one that comes back begins anew.
    browser.run("const it = document.querySelector('vivarium-lab'); it.remove(); document.body.append(it)")?;
    browser.until("told.ready.length === 4")?;
    Ok(())
}
