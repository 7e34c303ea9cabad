//! Lessons in the page: a first visit, one lesson by keyboard alone from its first chapter to its puzzle, and what is kept.

use anyhow::{Context, Result, ensure};
use e2e::keys::{ENTER, SPACE, TAB};
use e2e::{Browser, Scheme};
use serde_json::json;

/// A lesson with all that there can be in one.
const LESSON: &str = "1";

/// Presses Tab until an element has the focus.
fn tab_to(browser: &Browser, selector: &str) -> Result<()> {
    stops(browser, selector, || browser.keys(&TAB.to_string()))
}

/// The same, backwards.
fn tab_back_to(browser: &Browser, selector: &str) -> Result<()> {
    stops(browser, selector, || browser.tab_back())
}

fn stops(browser: &Browser, selector: &str, go_on: impl Fn() -> Result<()>) -> Result<()> {
    let is_there = format!("return document.activeElement.matches({})", json!(selector));
    for _ in 0..80 {
        if browser.run(&is_there)? == json!(true) {
            return Ok(());
        }
        go_on()?;
    }
    anyhow::bail!("{selector} is not reached by Tab")
}

fn is(browser: &Browser, expression: &str) -> Result<bool> {
    Ok(browser.run(&format!("return Boolean({expression})"))? == json!(true))
}

/// Whoever comes for the first time is in the first lesson, sees something move, and has no forms before them.
#[test]
fn a_first_visit_opens_the_first_lesson_and_something_moves() -> Result<()> {
    let browser = Browser::start()?;
    // From the first moment on: what moves may be there before anybody asks.
    let watch = "globalThis.events = new Set(); new MutationObserver(() => { const it = document.querySelector('#event'); if (it) events.add(it.textContent); }).observe(document, { subtree: true, childList: true, characterData: true });";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch }))?;
    browser.open("")?;
    browser.until("document.querySelector('#chapter')")?;
    let first = browser.run("return document.querySelector('#rooms').value")?;
    assert_eq!(first, browser.run("return document.querySelector('#rooms option').value")?, "the first of the course");
    browser.until("document.querySelectorAll('.dash.on').length === 2")?;
    let events = browser.run("return [...events]")?;
    ensure!(events.as_array().is_some_and(|it| it.len() > 1), "something moves: {events}");
    ensure!(!is(&browser, "document.querySelector('.story > .panel').checkVisibility()")?, "no forms");
    browser.quiet()
}

/// Asking is no move: neither the clock nor the story is elsewhere, and the first of the answer is what was told.
#[test]
fn asking_why_leads_nowhere() -> Result<()> {
    let browser = Browser::at("#log", "document.querySelector('#chapter')")?;
    for _ in 0..3 {
        let told = "return ['#clock', '#event', '#chapter', '#say'].map((it) => document.querySelector(it).textContent).join()";
        let before = browser.run(told)?;
        browser.keys("w")?;
        browser.until("document.querySelector('#chain')")?;
        assert_eq!(browser.run(told)?, before);
        ensure!(!is(&browser, "document.querySelector('#chapter[data-past]')")?, "the story is of this moment");
        let first = browser.run("return document.querySelector('#chain li').firstChild.textContent")?;
        assert_eq!(first, browser.run("return document.querySelector('#say').textContent")?);
        browser.keys("w")?;
        browser.turn_on()?;
    }
    browser.quiet()
}

/// A puzzle that only takes time from here on is watched to its end.
#[test]
fn what_solves_a_puzzle_in_time_is_waited_for() -> Result<()> {
    let browser = Browser::at("#log", "document.querySelector('#chapter')")?;
    browser.run("document.querySelector('.dash:last-child').click()")?;
    while !is(&browser, "document.querySelector('#to-puzzle')")? {
        if is(&browser, "document.querySelector('.answer:not(.on)')")? {
            browser.keys("1")?;
        }
        browser.turn_on()?;
    }
    browser.click("#to-puzzle")?;
    browser.keys("/")?;
    browser.keys(&format!("seek billing orders-0 beginning{ENTER}"))?;
    browser.until("document.querySelector('#solved')")?;
    browser.quiet()
}

/// From the first chapter to the solved puzzle without a mouse: chapters, the bet that has to be made, what it came to, a knob,
/// the puzzle with its hint and solution, and back.
#[test]
fn a_lesson_is_gone_through_by_keyboard_alone() -> Result<()> {
    let browser = Browser::at(&format!("#{LESSON}"), "document.querySelector('#chapter')")?;
    let (mut chapters, mut bets, mut reveals) = (1, 0, 0);
    loop {
        if is(&browser, "document.querySelector('.answer')")? && !is(&browser, "document.querySelector('.answer.on')")?
        {
            let before = browser.text("#chapter")?;
            browser.keys("n")?;
            assert_eq!(browser.text("#chapter")?, before, "no way on before the bet");
            ensure!(browser.text("#say")?.contains("Choose an answer"), "{}", browser.text("#say")?);
            ensure!(is(&browser, "document.querySelector('#chapter-on').disabled")?);
            browser.keys("1")?;
            browser.until("document.querySelector('.answer.on')?.ariaPressed === 'true'")?;
            bets += 1;
        }
        if is(&browser, "document.querySelector('#revealed')")? {
            ensure!(browser.text("#revealed")?.contains("Your bet"), "{}", browser.text("#revealed")?);
            reveals += 1;
        }
        if is(&browser, "document.querySelector('#to-puzzle')")? {
            break;
        }
        ensure!(chapters < 30, "a lesson has an end");
        let before = browser.text(".of")?;
        browser.turn_on()?;
        browser.until(&format!("document.querySelector('.of').innerText !== {}", json!(before)))?;
        chapters += 1;
    }
    ensure!(chapters >= 4 && bets >= 1 && reveals == bets, "{chapters} chapters, {bets} bets, {reveals} reveals");
    ensure!(
        browser
            .run("return document.querySelector('#rooms').selectedOptions[0].text")?
            .as_str()
            .is_some_and(|it| it.starts_with('✓'))
    );
    // The knob: watched, then left out; both outcomes stand beside each other.
    tab_to(&browser, "[data-do='knob:0']")?;
    browser.keys(&ENTER.to_string())?;
    browser.until("document.querySelector('#vary-on')")?;
    tab_to(&browser, "#vary-on")?;
    if !is(&browser, "document.querySelector('#outcomes')")? {
        browser.keys(&ENTER.to_string())?;
    }
    browser.until("document.querySelector('#outcomes tbody tr')")?;
    let outcomes = browser.text("#outcomes")?;
    ensure!(outcomes.contains("as told") && outcomes.contains("acked and lost"), "{outcomes}");
    // The puzzle: goals that do not hold, a hint, the solution.
    tab_to(&browser, "#to-puzzle")?;
    browser.keys(&ENTER.to_string())?;
    browser.until("document.querySelector('.goals')")?;
    ensure!(browser.text(".goals")?.contains("not yet"), "{}", browser.text(".goals")?);
    ensure!(is(&browser, "document.querySelector('.story > .panel').checkVisibility()")?, "now the controls are there");
    assert_eq!(browser.run("return document.querySelectorAll('.branch').length")?, json!(2), "on a branch");
    assert_eq!(browser.run("return document.activeElement.id")?, json!("hint"), "it is where the lesson's button was");
    browser.keys(&SPACE.to_string())?;
    browser.until("document.querySelector('.goals + .plain')")?;
    tab_to(&browser, "#solve")?;
    browser.keys(&ENTER.to_string())?;
    browser.until("document.querySelector('#solved')")?;
    tab_back_to(&browser, "#to-story")?;
    browser.keys(&ENTER.to_string())?;
    browser.until("document.querySelector('#chapter-back')")?;
    browser.quiet()
}

/// What the next visit knows: the room, and what was gone through. A browser that keeps nothing is no hindrance.
#[test]
fn progress_is_kept_and_a_browser_that_keeps_nothing_is_no_hindrance() -> Result<()> {
    let browser = Browser::at("#12", "document.querySelector('#chapter')")?;
    assert_eq!(browser.run("return localStorage.vivarium.split('\\n')[0]")?, json!("12"));
    browser.open("api.html")?;
    browser.open("")?;
    browser.until("document.querySelector('#rooms')?.value === '12'")?;
    browser.quiet()?;
    for script in [
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError'); } })",
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };
         Object.defineProperty(window, 'localStorage', { value: new Proxy({}, { set() { throw new DOMException('full', 'QuotaExceededError'); } }) })",
    ] {
        let browser = Browser::start()?;
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }))?;
        browser.open("")?;
        browser.until("document.querySelector('.dash.on')")?;
        browser.quiet()?;
    }
    Ok(())
}

/// A bet, what it came to, a variation and the puzzle: nothing sticks out sideways, in either scheme.
#[test]
fn a_lesson_fits_a_phone_and_a_desk_in_both_schemes() -> Result<()> {
    let browser = Browser::at(&format!("#{LESSON}"), "document.querySelector('#chapter')")?;
    let look = |name: &str| -> Result<()> {
        for scheme in [Scheme::Light, Scheme::Dark] {
            for (width, height) in [(390, 844), (1440, 900)] {
                browser.view(width, height, scheme)?;
                browser.fits(width).with_context(|| name.to_owned())?;
                browser.screenshot(&format!("lesson-{name}-{width}-{}", scheme.name()))?;
            }
        }
        browser.view(1440, 900, Scheme::Light)
    };
    let (mut has_bet, mut has_revealed) = (false, false);
    for _ in 0..30 {
        if is(&browser, "document.querySelector('.answer')")? {
            if !has_bet {
                look("bet")?;
            }
            has_bet = true;
            browser.keys("1")?;
        }
        if is(&browser, "document.querySelector('#revealed')")? && !has_revealed {
            has_revealed = true;
            look("revealed")?;
        }
        if is(&browser, "document.querySelector('#to-puzzle')")? {
            break;
        }
        browser.turn_on()?;
    }
    look("end")?;
    browser.click("[data-do='knob:0']")?;
    browser.until("document.querySelector('#vary-on')")?;
    browser.click("#vary-on")?;
    browser.until("document.querySelector('#outcomes')")?;
    look("varied")?;
    browser.click("#to-puzzle")?;
    browser.until("document.querySelector('.goals')")?;
    look("puzzle")?;
    browser.quiet()
}
