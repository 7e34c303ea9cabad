//! axe-core in the main rooms, in both schemes: it finds nothing that is in somebody's way. (`xtask` fetches it; where it can't, it
//! says so.)

use anyhow::{Context, Result, ensure};
use e2e::keys::ESCAPE;
use e2e::{Browser, Scheme};
use serde_json::Value;

/// What is wrong, a line each: the rule, and the first places.
const ASK: &str = "
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map((it) => `${it.id} (${it.impact}): ${it.help}: ${it.nodes.length} x, ${
        it.nodes.slice(0, 3).map((node) => `${node.target} ${node.html.slice(0, 120)} ${node.any[0]?.message ?? ''}`).join(' | ')}`)";

fn examine(browser: &Browser, script: &str, what: &str) -> Result<()> {
    browser.run(&format!("if (!globalThis.axe) {{ {script} }}"))?;
    let mut wrong = Vec::new();
    // Colours on a phone are those of a desk.
    for (width, height, scheme) in [(1440, 900, Scheme::Light), (1440, 900, Scheme::Dark), (390, 844, Scheme::Dark)] {
        browser.view(width, height, scheme)?;
        browser.drawn()?;
        let found = browser.run(ASK)?;
        let found = found.as_array().context("a list of violations")?;
        wrong.extend(found.iter().filter_map(Value::as_str).map(|it| format!("{width} px, {}: {it}", scheme.name())));
    }
    browser.view(1440, 900, Scheme::Light)?;
    ensure!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
    Ok(())
}

fn script() -> Result<Option<String>> {
    match std::env::var("VIVARIUM_AXE") {
        Ok(path) => Ok(Some(std::fs::read_to_string(path).context("read axe-core")?)),
        // Whoever runs this has said why it is not there, and counted it.
        Err(_) => Ok(None),
    }
}

#[test]
fn a_lesson_is_in_nobodys_way_from_its_bet_to_its_puzzle() -> Result<()> {
    let Some(script) = script()? else { return Ok(()) };
    let browser = Browser::at("#killed", "document.querySelector('#chapter')")?;
    let (mut bets, mut turns) = (0, 0);
    while browser.run("return !document.querySelector('#to-puzzle')")? == Value::Bool(true) {
        ensure!(turns < 30, "a lesson has an end");
        if browser.run("return Boolean(document.querySelector('.answer:not([aria-pressed=true])'))")?
            == Value::Bool(true)
            && bets == 0
        {
            bets += 1;
            examine(&browser, &script, "at a bet")?;
            browser.keys("1")?;
        }
        browser.turn_on()?;
        turns += 1;
    }
    examine(&browser, &script, "a lesson's end")?;
    browser.click("[data-do='knob:0']")?;
    browser.until("document.querySelector('#vary-on')")?;
    browser.click("#vary-on")?;
    browser.until("document.querySelector('#outcomes')")?;
    examine(&browser, &script, "a variation")?;
    browser.click("#to-puzzle")?;
    browser.until("document.querySelector('.goals')")?;
    examine(&browser, &script, "a puzzle, with all controls")?;
    browser.quiet()
}

#[test]
fn the_main_rooms_are_in_nobodys_way() -> Result<()> {
    let Some(script) = script()? else { return Ok(()) };
    let browser = Browser::at("#three", "document.querySelector('#engine')")?;
    examine(&browser, &script, "three brokers")?;
    browser.run("document.querySelector('.rec').click(); document.querySelector(\"[data-do='level:bytes']\").click(); document.querySelector(\"[data-do='table:log']\").click()")?;
    browser.keys("t")?;
    browser.until("document.querySelector('#spacetime .field') && document.querySelector('#hex')")?;
    examine(&browser, &script, "bytes, space-time, a table")?;
    browser.keys("t?")?;
    browser.until("document.querySelector('.help')")?;
    examine(&browser, &script, "words and keys")?;
    browser.keys(&format!("{ESCAPE}s"))?;
    browser.until("document.querySelector('#sheet')?.open")?;
    examine(&browser, &script, "the sheet to share")?;
    browser.keys(&ESCAPE.to_string())?;
    for (room, ready) in [
        ("21", "document.querySelector('.rows > .way')"),
        ("zookeeper", "document.querySelector('#zookeeper .model')"),
        (
            "said",
            "document.querySelectorAll('.sayings table').length === document.querySelectorAll('.sayings > li').length",
        ),
    ] {
        browser.run(&format!("location.hash = '#{room}'"))?;
        browser.until(&format!("document.querySelector('#rooms').value === '{room}' && {ready}"))?;
        examine(&browser, &script, room)?;
    }
    browser.quiet()
}
