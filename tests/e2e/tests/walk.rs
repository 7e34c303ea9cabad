//! The lessons as a reader goes through them: chapters, bets, what they came to, variations, the puzzle solved by its solution. By day one
//! of them; with `VIVARIUM_SOAK` set all, with pictures of each chapter at both widths and in both schemes.

use anyhow::{Context, Result, ensure};
use e2e::{Browser, Scheme};
use serde_json::{Value, json};

fn is(browser: &Browser, expression: &str) -> Result<bool> {
    Ok(browser.run(&format!("return Boolean({expression})"))? == json!(true))
}

/// At two widths in both schemes: nothing sticks out of the page, and nothing that is told is cut off.
fn look(browser: &Browser, name: &str, pictures: bool) -> Result<()> {
    for (width, height) in [(1440, 1400), (390, 844)] {
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.view(width, height, scheme)?;
            browser.fits(width).with_context(|| name.to_owned())?;
            // What moves to its place by itself is there.
            browser.until("!document.getAnimations().some((it) => it instanceof CSSTransition)")?;
            let cut = browser.run(
                "return [...document.querySelectorAll('#lesson p, #lesson button, #lesson h2')]
                     .filter((it) => it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).display !== 'inline')
                     .map((it) => it.innerText)",
            )?;
            ensure!(cut == json!([]), "{name}, {width} px: cut off: {cut}");
            let cut = browser.run(
                "const box = (it) => it.getBoundingClientRect();
                 return [...document.querySelectorAll('.ptr span')].map((it) => [it.innerText, box(it), box(it.closest('.axis'))])
                     .filter(([, it, axis]) => it.width > 0 && (it.left < axis.left - 1 || it.right > axis.right + 1)).map(([words]) => words)",
            )?;
            ensure!(cut == json!([]), "{name}, {width} px: cut off beneath a log: {cut}");
            let over = browser.run(
                "const cards = [...document.querySelectorAll('#stage .card:not(.hexagon) > rect:first-child')].map((it) => it.getBoundingClientRect());
                 return cards.flatMap((a, at) => cards.slice(at + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length",
            )?;
            ensure!(over == json!(0), "{name}, {width} px: {over} cards lie on others");
            if pictures {
                browser.screenshot(&format!("walk-{name}-{width}-{}", scheme.name()))?;
            }
        }
    }
    browser.view(1440, 900, Scheme::Light)
}

/// Goes through one lesson; how many chapters, bets and variations it had.
fn walk(browser: &Browser, room: &str, pictures: bool) -> Result<(usize, usize, usize)> {
    browser.run(&format!("location.hash = '#{room}'"))?;
    browser
        .until(&format!("document.querySelector('#rooms').value === '{room}' && document.querySelector('#chapter')"))?;
    let (mut chapters, mut bets) = (1, 0);
    loop {
        if is(browser, "document.querySelector('.answer') && !document.querySelector('.answer.on')")? {
            ensure!(is(browser, "document.querySelector('#chapter-on').disabled")?, "{room}: no way on before the bet");
            browser.keys("1")?;
            browser.until("document.querySelector('.answer.on')")?;
            bets += 1;
        }
        look(browser, &format!("{room}-{chapters}"), pictures)?;
        let before = browser.text(".of")?;
        let (number, count) = before.split_once(" of ").context("a chapter's number")?;
        if number == count {
            break;
        }
        browser.turn_on()?;
        browser.until(&format!("document.querySelector('.of').innerText !== {}", json!(before)))?;
        chapters += 1;
        ensure!(chapters < 30, "{room}: a lesson has an end");
    }
    let count = "return [...document.querySelectorAll('.more [data-do^=\"knob:\"]')].length";
    let knobs = browser.run(count)?.as_u64().unwrap_or(0) as usize;
    for knob in 0..knobs {
        browser.click(&format!(".more [data-do='knob:{knob}']"))?;
        browser.until("document.querySelector('#vary-on')")?;
        if !is(browser, "document.querySelector('#outcomes')")? {
            browser.click("#vary-on")?;
        }
        browser.until("document.querySelector('#outcomes tbody tr')")?;
        look(browser, &format!("{room}-knob-{}", knob + 1), pictures)?;
    }
    if knobs > 0 {
        browser.click("#to-story")?;
        browser.until("document.querySelector('#chapter-back')")?;
    }
    if is(browser, "document.querySelector('#to-puzzle')")? {
        browser.click("#to-puzzle")?;
        browser.until("document.querySelector('.goals')")?;
        ensure!(!is(browser, "document.querySelector('#solved')")?, "{room}: there is something to do");
        browser.click("#solve")?;
        browser.until("document.querySelector('#solved')")?;
        look(browser, &format!("{room}-puzzle"), pictures)?;
    }
    browser.quiet().with_context(|| format!("in lesson {room}"))?;
    Ok((chapters, bets, knobs))
}

#[test]
fn every_lesson_can_be_walked_through() -> Result<()> {
    let browser = Browser::at("#three", "document.querySelector('#engine')")?;
    if std::env::var("VIVARIUM_SOAK").is_err() {
        let (chapters, bets, knobs) = walk(&browser, "9", false)?;
        ensure!(chapters > 5 && bets == 1 && knobs == 1, "{chapters} chapters, {bets} bets, {knobs} variations");
        return Ok(());
    }
    let rooms = browser.run(
        "return [...document.querySelectorAll('#rooms optgroup')].slice(0, -2)
             .flatMap((it) => [...it.querySelectorAll('option')].map((it) => it.value))",
    )?;
    let rooms: Vec<String> =
        rooms.as_array().context("rooms")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    ensure!(rooms.len() >= 24, "{rooms:?}");
    let mut wrong = Vec::new();
    for room in &rooms {
        match walk(&browser, room, true) {
            Ok((chapters, bets, knobs)) => println!("{room}: {chapters} chapters, {bets} bets, {knobs} variations"),
            Err(why) => wrong.push(format!("{room}: {why:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
