//! What clients asked for and what came of it: refusals are told, and the ledger has each operation.

use anyhow::{Result, ensure};
use e2e::Browser;
use serde_json::json;

fn room() -> Result<Browser> {
    Browser::at("#three", "document.querySelector('#engine')")
}

#[test]
fn what_the_cluster_refuses_is_told_as_harm_when_it_has_answered() -> Result<()> {
    let browser = room()?;
    browser.act("topic orders")?;
    let said = browser.text("#say")?;
    ensure!(said.starts_with("You asked the cluster: topic orders."), "{said}");
    browser.act("run 100ms")?;
    let refused = "TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.";
    browser.until("document.querySelector('#lines .harm')")?;
    let line = browser.text("#lines .harm b")?;
    ensure!(line.contains(refused), "{line}");
    let said = browser.text("#say")?;
    ensure!(said.contains(refused), "{said}");
    browser.quiet()
}

#[test]
fn the_ledger_has_each_operation_and_leads_to_its_steps_and_its_record() -> Result<()> {
    let browser = room()?;
    for line in ["topic orders", "produce p1 orders key=eva value=mine", "run 1s"] {
        browser.act(line)?;
    }
    browser.click("#ledger")?;
    browser.until("document.querySelectorAll('#operations tbody tr').length === 12")?;
    browser.click("[data-do='ledger:failed']")?;
    browser.until("document.querySelectorAll('#operations tbody tr').length === 1")?;
    let row = browser.text("#operations tbody tr")?;
    ensure!(row.contains("admin") && row.contains("TOPIC_ALREADY_EXISTS"), "{row}");
    browser.click("[data-do='ledger:all']")?;
    browser.until("document.querySelectorAll('#operations tbody tr').length === 12")?;
    browser.click("#operations [data-do^='record:']")?;
    browser.until("document.querySelector('.inspector').innerText.startsWith('Record ')")?;
    let step = "document.querySelector('#operations tbody tr button').innerText.replace(/\\D/g, '')";
    let asked = browser.run(&format!("return {step}"))?;
    browser.click("#operations tbody tr button")?;
    browser.until(&format!("document.querySelector('#event').innerText.replace(/\\D/g, '') === {asked}"))?;
    browser.click("#ledger")?;
    browser.until("!document.querySelector('#operations')")?;
    browser.quiet()
}

/// A script hears of a refusal, and of what did not come: the run stands where that was known, and a seek leads back.
#[test]
fn a_script_is_told_and_has_the_ledger() -> Result<()> {
    let browser = Browser::start()?;
    browser.open("api.html")?;
    browser.until("document.querySelector('#out').innerText.includes('events')")?;
    let told = browser.run(
        "const it = await import('./vivarium.js'); await it.default(); const lab = new it.Lab('3'); \
         const thrown = (line) => { try { lab.act(line); return '' } catch (error) { return error } }; \
         const before = lab.view(); const refused = thrown('topic orders'); const after = lab.view(); \
         const waited = thrown('run until acked p1 999999 within 2s'); const then = lab.view(); lab.seek(after.event); \
         return [refused, after.event > before.event, after.ledger.failed, after.ledger.operations.find((it) => it.client === 'admin').why, \
             waited, then.timeUs - after.timeUs, lab.view().hash === after.hash]",
    )?;
    let refused = "TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.";
    assert_eq!(
        told,
        json!([refused, true, 1, "TOPIC_ALREADY_EXISTS", "not within 2s: acked p1 999999", 2_000_000, true])
    );
    browser.quiet()
}
