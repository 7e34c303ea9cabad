//! What is selected, level by level; the terminal; and where runs part. By mouse and by keys.

use anyhow::{Result, ensure};
use e2e::keys::{DOWN, ENTER, ESCAPE, HOME, RIGHT, TAB, UP};
use e2e::{Browser, Scheme};
use serde_json::{Value, json};

const READY: &str = "document.querySelector('#engine')";
/// Steps within one task of the page until an expression holds.
const STEP_UNTIL: &str = "const step = (holds) => { for (let i = 0; i < 400 && !holds(); i++) document.querySelector('#step').click(); if (!holds()) throw 'never'; };";

fn room(name: &str) -> Result<Browser> {
    Browser::at(name, READY)
}

fn level(browser: &Browser, word: &str) -> Result<()> {
    browser.click(&format!(".levels [data-do='level:{word}']"))
}

/// Name, value and place of each field.
fn fields(browser: &Browser) -> Result<Vec<Value>> {
    let rows = browser.run(
        "return [...document.querySelectorAll('#bytes tr')].map((it) => [...it.children].map((it) => it.innerText))",
    )?;
    Ok(rows.as_array().cloned().unwrap_or_default())
}

/// A record's batch: each field at its place, its bytes, and both ways from the one to the other.
#[test]
fn a_records_bytes_lead_to_their_fields_and_back() -> Result<()> {
    let browser = room("#three")?;
    browser.click("[data-partition='orders-0'] [data-offset='0']")?;
    level(&browser, "bytes")?;
    let rows = fields(&browser)?;
    let row = |name: &str| rows.iter().find(|it| it[0] == name).cloned().unwrap_or_default();
    assert_eq!((row("BaseOffset"), row("Magic")), (json!(["BaseOffset", "0", "0–7"]), json!(["Magic", "2", "16"])));
    ensure!(row("Value")[1].as_str().is_some_and(|it| it.contains("p")), "{rows:?}");
    let text = browser.run("return document.querySelector('#hex').textContent")?;
    ensure!(text.as_str().is_some_and(|it| it.starts_with("0000 00 00 00 00 00 00 00 00  ········")), "{text}");
    // A byte leads to its field …
    browser.run("document.querySelector('#hex .crc').dispatchEvent(new MouseEvent('click', { bubbles: true }))")?;
    assert_eq!(browser.text("#bytes tr.on th")?, "Crc");
    let how = browser.text("#how")?;
    ensure!(how.contains("CRC-32C of the bytes from 21") && how.contains("it is this one"), "{how}");
    assert_eq!(browser.run("return document.querySelector('#hex .on').textContent.split(' ').length")?, json!(4));
    // … and a field to its bytes, by keys too.
    browser.run("document.querySelector('#bytes').focus()")?;
    browser.keys(&format!("{DOWN}{UP}{UP}"))?;
    assert_eq!((browser.text("#bytes tr.on th")?, browser.text("#hex .on")?), ("Magic".to_owned(), "02".to_owned()));
    browser.run(
        "[...document.querySelectorAll('#bytes th button')].find((it) => it.innerText === 'TimestampDelta').click()",
    )?;
    ensure!(browser.text("#how")?.contains("zigzag makes"), "{}", browser.text("#how")?);
    browser.screenshot("inspector-bytes-1440-light")?;
    browser.view(390, 844, Scheme::Dark)?;
    browser.screenshot("inspector-bytes-390-dark")?;
    browser.quiet()
}

/// The level stays when something else is selected, and what has no bytes shows how it stands. A message stays to be read when it has arrived.
#[test]
fn a_message_is_looked_at_from_its_story_to_its_bytes() -> Result<()> {
    let browser = room("#three")?;
    browser.run(&format!("{STEP_UNTIL} step(() => document.querySelectorAll('.msg').length === 1)"))?;
    browser.click(".msg")?;
    let told = browser.text(".inspector")?;
    ensure!(told.contains('→') && told.contains("arrives"), "{told}");
    level(&browser, "protocol")?;
    let rows = fields(&browser)?;
    ensure!(rows.iter().any(|it| it[0] == "CorrelationId" || it[0] == "correlation_id"), "{rows:?}");
    browser.keys(&RIGHT.to_string().repeat(60))?;
    assert_eq!(fields(&browser)?, rows, "it stays");
    browser.click("[data-process='b1']")?;
    assert_eq!(browser.text(".levels .on")?, "state");
    browser.click("[data-partition='orders-0'] [data-offset='0']")?;
    assert_eq!(browser.text(".levels .on")?, "protocol", "as near as before");
    level(&browser, "story")?;
    let story = browser.text("#led-here")?;
    ensure!(story.contains("gets Produce from p") && story.contains("step "), "{story}");
    // By the keyboard, from the list of what is on its way.
    browser.keys(&ESCAPE.to_string())?;
    browser.run(&format!(
        "{STEP_UNTIL} step(() => document.querySelector('.now button')); document.querySelector('.now button').focus()"
    ))?;
    browser.keys(&ENTER.to_string())?;
    ensure!(browser.text(".inspector")?.contains('→'), "{}", browser.text(".inspector")?);
    browser.quiet()
}

/// Records of the quorum's log and of a group's coordinator, by field.
#[test]
fn records_of_kafkas_own_topics_have_fields() -> Result<()> {
    let browser = room("#group")?;
    browser.run("document.querySelector('.metalog').focus()")?;
    browser.keys(&HOME.to_string())?;
    level(&browser, "protocol")?;
    let rows = fields(&browser)?;
    ensure!(rows.iter().any(|it| it[0] == "LeaderChangeMessage"), "{rows:?}");
    browser
        .run("[...document.querySelectorAll('#groups .deed')].find((it) => it.innerText === 'Show its log').click()")?;
    browser.run(
        "[...document.querySelectorAll('#logs .rec')].at(-1).dispatchEvent(new MouseEvent('click', { bubbles: true }))",
    )?;
    let rows = fields(&browser)?;
    ensure!(rows.iter().any(|it| it[0] == "RecordType"), "{rows:?}");
    browser.quiet()
}

/// Tab completes, questions are answered, what is wrong is pointed at, and the arrows bring back lines also of an earlier visit.
#[test]
fn the_terminal_completes_answers_and_remembers() -> Result<()> {
    let browser = room("#three")?;
    browser.keys(&format!("/show lead{TAB}"))?;
    assert_eq!(browser.run("return document.querySelector('#line').value")?, json!("show leader"));
    assert_eq!(browser.text("#offers")?, "leader  leader-epoch");
    browser.keys(&format!(" or{TAB}0{ENTER}"))?;
    assert_eq!(browser.text("#lines .answered b")?, "b1");
    browser.keys(&format!("kill b1 now{ENTER}"))?;
    let wrong = browser.run("return document.querySelector('#lines .harm b').textContent")?;
    assert_eq!(wrong, json!("        ^ expected the end of the line, found \"now\""));
    browser.screenshot("terminal-1440-light")?;
    browser.run("document.querySelector('#line').value = ''")?;
    browser.keys(&ESCAPE.to_string())?;
    browser.act("pause b2")?;
    browser.run("location.reload()")?;
    browser.until(READY)?;
    browser.keys(&format!("/{UP}{UP}"))?;
    assert_eq!(browser.run("return document.querySelector('#line').value")?, json!("show leader orders-0"));
    browser.quiet()
}

/// A branch has a name, and is compared with the one that it left. Of the messages on their way one is delivered before the others.
#[test]
fn branches_are_named_and_compared_and_a_message_is_chosen() -> Result<()> {
    let browser = room("#three")?;
    browser.run("const it = document.querySelector('#seek'); it.value = 250; it.dispatchEvent(new Event('input', { bubbles: true }))")?;
    browser.run(&format!("{STEP_UNTIL} step(() => document.querySelectorAll('.msg').length > 2)"))?;
    let last = browser.run("const all = [...document.querySelectorAll('.msg:not([data-what=\"connection closed\"])')]; const it = all.at(-1); it.dispatchEvent(new MouseEvent('click', { bubbles: true })); return it.dataset.do.split(':')[1]")?;
    browser.click("#deliver-this")?;
    let id = last.as_str().unwrap_or_default();
    assert_eq!(browser.text("#lines li:last-child b")?, format!("deliver message {id}"));
    let before = browser.text("#clock")?;
    browser.run(&format!("for (let i = 0; i < 5 && document.querySelector('.msg[data-do=\"message:{id}\"]'); i++) document.querySelector('#step').click()"))?;
    assert_eq!(browser.run(&format!("return document.querySelector('.msg[data-do=\"message:{id}\"]')"))?, json!(null));
    assert_eq!(browser.text("#clock")?, before, "it comes next, and no time passes");
    browser.until("document.querySelectorAll('.branch').length === 2")?;
    browser.run("const it = document.querySelector('#branch'); it.value = 'sooner'; it.dispatchEvent(new Event('change', { bubbles: true }))")?;
    let part = "const it = document.querySelector('#part'); it.value = 0; it.dispatchEvent(new Event('change', { bubbles: true }))";
    browser.run(part)?;
    let told = browser.text("#apart")?;
    ensure!(told.starts_with("The same up to step ") && told.contains("main: ") && told.contains("sooner: "), "{told}");
    ensure!(browser.run("return document.querySelectorAll('.k.parts').length")? == json!(1), "it is on the timeline");
    assert_eq!(browser.run("return document.querySelector('#part').value")?, json!(""), "it can be asked again");
    // However many branches there are, the timeline keeps its room.
    let width = "document.querySelector('.lane').clientWidth";
    let before = browser.run(&format!("return {width}"))?.as_f64();
    for broker in ["b1", "b2"] {
        browser.click("[data-do='branch:0']")?;
        browser.run("const it = document.querySelector('#seek'); it.value = 250; it.dispatchEvent(new Event('input', { bubbles: true }))")?;
        browser.act(&format!("pause {broker}"))?;
    }
    browser.until("document.querySelectorAll('.branch').length === 4")?;
    let after = browser.run(&format!("return {width}"))?.as_f64();
    ensure!(after > Some(900.0) && before.zip(after).is_some_and(|it| it.0 - it.1 < 60.0), "{before:?}, {after:?}");
    assert_eq!(browser.run("return document.querySelectorAll('#part option').length")?, json!(4));
    browser.screenshot("branches-1440-light")?;
    browser.quiet()
}
