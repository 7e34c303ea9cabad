//! Rooms that are chosen, scenarios that tell their story, and the views below the glass: the quorum and a partition's files.

use anyhow::{Result, ensure};
use e2e::keys::{HOME, LEFT};
use e2e::{Browser, Scheme};
use serde_json::json;

/// Bets on the first answer, if there is a bet.
fn bet(browser: &Browser) -> Result<()> {
    if browser.run("return Boolean(document.querySelector('.answer'))")? == json!(true) {
        browser.keys("1")?;
        browser.until("document.querySelector('.answer.on')")?;
    }
    Ok(())
}

/// Chosen from the menu, gone through by button and by key: what is told, and what the ledger says at its end.
#[test]
fn a_scenario_is_chosen_and_gone_through_to_its_verdict() -> Result<()> {
    let browser = Browser::at("#three", "document.querySelector('#engine')")?;
    browser.run("const it = document.querySelector('#rooms'); it.value = '1'; it.dispatchEvent(new Event('change', { bubbles: true }))")?;
    browser.until("document.querySelector('#chapter')")?;
    assert_eq!(browser.run("return location.hash")?, json!("#1"), "the room has an address");
    ensure!(browser.text("#chapter")?.contains("b1 leads orders-0"), "{}", browser.text("#chapter")?);
    assert_eq!(browser.run("return document.querySelector('#chapter-back').hasAttribute('disabled')")?, json!(true));
    let mut told = vec![browser.text("#chapter")?];
    // The first way is watched to its end.
    browser.click("#chapter-on")?;
    browser.until("!document.querySelector('#chapter-back').hasAttribute('disabled')")?;
    browser.settled()?;
    told.push(browser.text("#chapter")?);
    bet(&browser)?;
    for _ in 0..5 {
        browser.turn_on()?;
        told.push(browser.text("#chapter")?);
        bet(&browser)?;
    }
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), count), (7, 7), "every chapter tells something else");
    ensure!(
        browser.text("#allowed")?.contains("3 acknowledged records of orders-0, from 2 on, are lost: acks=1"),
        "{}",
        browser.text("#allowed")?
    );
    assert_eq!(browser.run("return document.querySelectorAll('.sq.lost').length")?, json!(3));
    browser.keys("p")?;
    ensure!(browser.text("#chapter")?.contains("cuts off x, y and z"), "{}", browser.text("#chapter")?);
    since_when_it_was_too_late(&browser)?;
    browser.quiet()
}

/// What made it too late to avoid the loss, and the moment before.
fn since_when_it_was_too_late(browser: &Browser) -> Result<()> {
    browser.run("document.querySelector('#too-late').click()")?;
    browser.until("document.querySelector('#no-return') && document.querySelector('.late')")?;
    ensure!(browser.text("#no-return")?.contains("kill b1"), "{}", browser.text("#no-return")?);
    browser.run("document.querySelector('#no-return .deed').click()")?;
    assert_eq!(
        browser.run("return document.querySelectorAll('.sq.lost').length")?,
        json!(0),
        "nothing is lost at that moment"
    );
    Ok(())
}

/// Who acts in a story leaves it by a branch, is told so, and comes back.
#[test]
fn acting_in_a_story_leaves_it_and_the_way_back_is_shown() -> Result<()> {
    let browser = Browser::at("#1", "document.querySelector('#chapter')")?;
    browser.act("kill b2")?;
    browser.until("document.querySelectorAll('.branch').length === 2")?;
    ensure!(browser.text("#chapter")?.contains("left the story"), "{}", browser.text("#chapter")?);
    browser.click("#chapter-back")?;
    ensure!(browser.text("#chapter")?.contains("b1 leads orders-0"), "{}", browser.text("#chapter")?);
    browser.quiet()
}

/// Controllers and brokers with their copies of the metadata log, who leads it, and each record in words.
#[test]
fn the_quorum_shows_its_log_its_leader_and_who_is_behind() -> Result<()> {
    let browser = Browser::at("#14", "document.querySelector('#chapter')")?;
    let rows = "[...document.querySelectorAll('.quorum .qrow:not(.axisline)')].map((it) => it.ariaLabel)";
    let before = browser.run(&format!("return {rows}"))?;
    ensure!(before.as_array().is_some_and(|it| it.len() == 3), "{before}");
    ensure!(before[2].as_str().is_some_and(|it| it.contains("leader, voted for itself, epoch 1")), "{before}");
    for _ in 0..2 {
        browser.turn_on()?;
        bet(&browser)?;
    }
    let after = browser.run(&format!("return {rows}"))?;
    ensure!(after[1].as_str().is_some_and(|it| it.contains("leader, voted for itself")), "{after}");
    ensure!(after[2].as_str().is_some_and(|it| it.contains("not running")), "{after}");
    ensure!(
        browser.text("#metadata")?.contains("b2 leads the quorum, by the votes of b1 b2"),
        "{}",
        browser.text("#metadata")?
    );
    browser.click(".quorum .qrow:not(.axisline) .q")?;
    let told = browser.run("return document.querySelector('#metadata tr.on').innerText")?;
    ensure!(told.as_str().is_some_and(|it| it.starts_with('0') && it.contains("LEADER_CHANGE")), "{told}");
    browser.quiet()
}

/// The metadata log is one stop for Tab, and its records are gone through by the arrows; what the signs mean is beside them.
#[test]
fn the_metadata_log_is_read_by_keys() -> Result<()> {
    let browser = Browser::at("#three", "document.querySelector('#engine')")?;
    browser.run("document.querySelector('.metalog').focus()")?;
    browser.keys(&format!("{LEFT}{LEFT}"))?;
    let chosen = "return Number(document.querySelector('#metadata tr.on th')?.innerText ?? -1)";
    let last = browser.run("return Math.max(...[...document.querySelectorAll('.quorum .q')].map((it) => Number(it.dataset.do.split(':')[1])))")?;
    let at_last = browser
        .run("return [...document.querySelectorAll('.q.on')].map((it) => Number(it.dataset.do.split(':')[1]))")?;
    ensure!(at_last[0].as_i64() == last.as_i64().map(|it| it - 1), "{at_last} of {last}");
    browser.keys(&HOME.to_string())?;
    assert_eq!(browser.run(chosen)?, json!(0));
    ensure!(browser.text(".signs")?.contains("LEADER_CHANGE"), "{}", browser.text(".signs")?);
    browser.quiet()
}

/// An address that changes leads into its room, as a link or the browser's way back does; a run without a story asks its question.
#[test]
fn an_address_leads_into_its_room_at_any_time() -> Result<()> {
    let browser = Browser::at("#18", "document.querySelector('#chapter')")?;
    ensure!(browser.text("#lesson")?.contains("Who leads afterwards?"), "{}", browser.text("#lesson")?);
    browser.run("location.hash = '#15'")?;
    browser.until("document.querySelector('#lesson').innerText.includes('What still works?')")?;
    assert_eq!(browser.run("return document.querySelector('#rooms').value")?, json!("15"));
    browser.run("history.back()")?;
    browser.until("document.querySelector('#rooms').value === '18'")?;
    browser.run("location.hash = '#three'")?;
    browser
        .until("document.querySelector('#rooms').value === 'three' && !document.querySelector('#lesson').innerText")?;
    // Who comes back without an address is where they were.
    browser.open("api.html")?;
    browser.open("")?;
    browser.until("document.querySelector('#rooms')?.value === 'three'")?;
    browser.quiet()
}

/// Segments and what lies beside them; what a power cut would take is said before, and gone after.
#[test]
fn the_files_say_what_a_power_cut_takes() -> Result<()> {
    let browser = Browser::at("#one", "document.querySelector('#files')")?;
    ensure!(browser.text("#files")?.contains("in the page cache alone"), "{}", browser.text("#files")?);
    browser.run("[...document.querySelectorAll('.deed')].find((it) => it.innerText === 'Roll every 2 s').click()")?;
    assert_eq!(browser.text("#lines li:last-child b")?, "alter orders segment.ms=2000");
    browser.act("run 6s")?;
    browser.until("document.querySelectorAll('.seg').length > 1")?;
    for part in [".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint", "offsets 0 to"] {
        ensure!(browser.text("#files")?.contains(part), "{part} in {}", browser.text("#files")?);
    }
    browser.run("document.querySelector('.deed.harm').click()")?;
    assert_eq!(browser.text("#lines li:last-child b")?, "power-cut b1");
    ensure!(!browser.text("#folder")?.contains("page cache alone"), "{}", browser.text("#folder")?);
    browser.run("[...document.querySelectorAll('.pick')].find((it) => it.innerText === 'orders-1').click()")?;
    ensure!(browser.text("#folder h2")?.contains("orders-1"), "{}", browser.text("#folder h2")?);
    browser.quiet()
}

/// Nothing is wider than the page, in either scheme, and everything can be reached by Tab.
#[test]
fn a_story_fits_a_phone_and_a_desk_in_both_schemes() -> Result<()> {
    let browser = Browser::at("#12", "document.querySelector('#chapter')")?;
    for scheme in [Scheme::Light, Scheme::Dark] {
        for (width, height) in [(390, 844), (1440, 900), (3840, 2160)] {
            browser.view(width, height, scheme)?;
            browser.fits(width)?;
            browser.screenshot(&format!("story-{width}-{}", scheme.name()))?;
        }
    }
    let hidden = browser.run(
        "return [...document.querySelectorAll('#lesson button, .pages button, .pick, .deed')].filter((it) => it.tabIndex < 0).length",
    )?;
    assert_eq!(hidden, json!(0));
    browser.quiet()
}
