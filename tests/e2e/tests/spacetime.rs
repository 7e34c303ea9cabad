//! Space-time: what was on its way lately, time downward, by mouse and by keys, in both themes.

use anyhow::{Result, ensure};
use e2e::keys::{ENTER, PAGE_DOWN, PAGE_UP, RIGHT, UP};
use e2e::{Browser, Scheme};
use serde_json::json;

/// The room with the view open.
fn open() -> Result<Browser> {
    let browser = Browser::at("#three", "document.querySelector('#engine')")?;
    assert_eq!(count(&browser, "#spacetime .field")?, 0, "closed until somebody wants it");
    browser.keys("t")?;
    browser.until("document.querySelector('#spacetime .field')")?;
    Ok(browser)
}

fn count(browser: &Browser, selector: &str) -> Result<i64> {
    let found = browser.run(&format!("return document.querySelectorAll({}).length", json!(selector)))?;
    Ok(found.as_i64().unwrap_or(-1))
}

/// The number of the step in sight.
fn event(browser: &Browser) -> Result<i64> {
    Ok(browser.text("#event")?.chars().filter(char::is_ascii_digit).collect::<String>().parse()?)
}

#[test]
fn an_arrow_leads_to_its_message_wherever_that_is_drawn() -> Result<()> {
    let browser = open()?;
    ensure!(count(&browser, ".moments .arrow")? > 20, "{} arrows", count(&browser, ".moments .arrow")?);
    assert_eq!(count(&browser, ".heads button")?, count(&browser, ".moments .life")?, "a line beneath each name");
    let end = event(&browser)?;
    // The last that arrived and on whose middle nothing else lies, clicked where a person would.
    let clicked = browser.run(
        "document.querySelector('#moments').scrollIntoView({ block: 'center' });
         const middle = (it) => { const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
         const shafts = [...document.querySelectorAll('.arrow .shaft:not(.way)')].reverse();
         const it = shafts.find((it) => document.elementFromPoint(...middle(it))?.parentNode === it.parentNode);
         const [clientX, clientY] = middle(it);
         document.elementFromPoint(clientX, clientY).dispatchEvent(new MouseEvent('click', { bubbles: true, clientX, clientY }));
         return it.parentNode.querySelector('title').textContent;",
    )?;
    let before = event(&browser)?;
    ensure!(before < end, "just before it arrives: {before} of {end}, {clicked}");
    assert_eq!(count(&browser, ".arrow.on")?, 1, "{clicked}");
    assert_eq!(count(&browser, ".msg.on")?, 1, "the same message in the cluster: {clicked}");
    let inspector = browser.text(".inspector h2")?;
    let way = clicked.as_str().and_then(|it| it.split(':').next()).unwrap_or("nothing");
    ensure!(inspector.contains(way), "{inspector}, not {clicked}");
    ensure!(count(&browser, ".later")? > 0 || before + 1 == end, "what is known of the time after it stays in sight");
    // And from the cluster to here.
    browser.keys(&RIGHT.to_string())?;
    assert_eq!(event(&browser)?, before + 1);
    browser.keys("w")?;
    ensure!(count(&browser, ".cause")? > 0, "what led here is marked");
    browser.click(".heads button:nth-child(2)")?;
    let name = browser.text(".heads button:nth-child(2)")?;
    ensure!(browser.text(".inspector h2")?.starts_with(&name), "{name}");
    assert_eq!(count(&browser, ".life.on")?, 1);
    browser.quiet()
}

#[test]
fn keys_choose_and_lead_on_and_the_table_says_the_same() -> Result<()> {
    let browser = open()?;
    browser.run("document.querySelector('#moments').focus()")?;
    browser.keys(&format!("{UP}{UP}{UP}"))?;
    assert_eq!(count(&browser, ".moments .chosen")?, 1);
    let said = browser.text("#moment")?;
    let before = event(&browser)?;
    browser.keys(&ENTER.to_string())?;
    ensure!(event(&browser)? <= before && browser.text("#moment")? == said, "{said}: chosen still");
    browser.keys(&PAGE_UP.to_string())?;
    let earlier = event(&browser)?;
    ensure!(earlier < before - 20, "{earlier} from {before}");
    browser.keys(&PAGE_DOWN.to_string())?;
    ensure!(event(&browser)? > earlier, "{} from {earlier}", event(&browser)?);
    browser.click("[data-do='spacetime:table']")?;
    let arrows = count(&browser, ".moments .arrow")?;
    ensure!(count(&browser, "#passed tbody tr")? >= arrows, "each of {arrows} is in the table");
    let now = event(&browser)?;
    browser.click("#passed tbody tr:last-child .line")?;
    ensure!(event(&browser)? < now, "and leads there");
    browser.keys("t")?;
    assert_eq!(count(&browser, "#spacetime .field")?, 0);
    browser.quiet()
}

#[test]
fn what_is_cut_lost_and_killed_is_seen_where_it_was() -> Result<()> {
    let browser = open()?;
    browser.act("drop next response of Produce to p1")?;
    let mut steps = 0;
    while count(&browser, ".moments .shaft.lost")? == 0 {
        browser.keys(&RIGHT.to_string().repeat(10))?;
        steps += 10;
        ensure!(steps < 2_000, "no answer was lost in {steps} steps");
    }
    browser.act("cut b1 b2")?;
    browser.act("run 300ms")?;
    assert_eq!(count(&browser, "rect.cut")?, 1);
    ensure!(count(&browser, ".shaft.way")? > 1, "what was sent into the cut waits");
    browser.act("kill b3")?;
    browser.act("run 30ms")?;
    assert_eq!(count(&browser, ".moments .gone")?, 1);
    let marks = browser.run("return [...document.querySelectorAll('.sign title')].map((it) => it.textContent)")?;
    ensure!(marks.to_string().contains("kill b3"), "{marks}");
    for scheme in [Scheme::Light, Scheme::Dark] {
        for (width, height) in [(390, 844), (1440, 900)] {
            browser.view(width, height, scheme)?;
            browser.fits(width)?;
            browser.screenshot(&format!("spacetime-{width}-{}", scheme.name()))?;
        }
    }
    browser.quiet()
}

/// While it plays it follows, and costs nothing once it is closed.
#[test]
fn it_follows_while_time_passes() -> Result<()> {
    let browser = open()?;
    let newest = "document.querySelector('.times text:last-child').textContent";
    let before = browser.run(&format!("return {newest}"))?;
    browser.keys(" ")?;
    browser.until(&format!("{newest} !== {before}"))?;
    browser.keys(" ")?;
    browser.settled()?;
    browser.quiet()
}
