//! A run leaves the page and comes back: links, exports, pictures; and links that are none.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use e2e::keys::{END, ENTER, ESCAPE, LEFT, RIGHT};
use e2e::{Browser, Scheme, poll};
use serde_json::json;

const READY: &str = "document.querySelector('#engine')?.innerText";

/// Packs a text as a link's: `pack(text)`.
const PACK: &str = "const pack = async (text) => {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    let binary = '';
    for (const it of bytes) binary += String.fromCharCode(it);
    return '#run=' + btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
};";

/// The text of a link, which `unpack(link)` gives back.
const UNPACK: &str = "const unpack = async (link) => {
    const binary = atob(link.split('#run=')[1].replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (it) => it.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
};";

/// The link of the moment in sight: the sheet is opened for it and closed again.
fn link(browser: &Browser) -> Result<String> {
    browser.keys(&format!("{ESCAPE}s"))?;
    browser.until("document.querySelector('#sheet')?.open && document.querySelector('#copied').innerText")?;
    let link = browser.run("return document.querySelector('#link').value")?;
    browser.keys(&ESCAPE.to_string())?;
    browser.until("!document.querySelector('#sheet')")?;
    Ok(link.as_str().context("a link")?.to_owned())
}

/// A room whose first leader was killed and came back, at a moment in the middle.
fn shared_room() -> Result<Browser> {
    let browser = Browser::at("#three", READY)?;
    for line in
        ["kill b1", "produce p1 orders key=eva value=\"<img src=x onerror=pwned()>\"", "run 3s", "start b1", "run 1s"]
    {
        browser.act(line)?;
    }
    browser.run("const it = document.querySelector('#seek'); it.value = it.max - 300; it.dispatchEvent(new Event('input', { bubbles: true }))")?;
    browser.keys("2")?;
    Ok(browser)
}

/// Whoever opens a link stands at the moment from which it was sent: what is shared from there is the same link, which holds the state's
/// hash, every action and what is looked at. The future that was known is known there too.
#[test]
fn a_link_opens_in_another_browser_at_the_same_moment() -> Result<()> {
    let one = shared_room()?;
    let link = link(&one)?;
    ensure!(link.len() < 2_000, "{} characters", link.len());
    let seen = ["#event", "#clock", "#about", "#parts"].map(|it| one.text(it).unwrap_or_default());
    let other = Browser::start()?;
    other.go(&link)?;
    other.until(&format!("{READY} && document.querySelector('#rooms').selectedOptions[0]?.text === 'A shared run'"))?;
    other.until("!document.querySelector('#banner')")?;
    assert_eq!(["#event", "#clock", "#about", "#parts"].map(|it| other.text(it).unwrap_or_default()), seen);
    assert_eq!(self::link(&other)?, link);
    ensure!(other.run("return document.querySelector('#play').ariaLabel")? == json!("Play"), "it stands still");
    other.keys(&END.to_string())?;
    one.keys(&END.to_string())?;
    assert_eq!(other.text("#clock")?, one.text("#clock")?, "the same end");
    assert_eq!(self::link(&other)?, self::link(&one)?);
    one.quiet()?;
    other.quiet()
}

/// A link that is pasted into the address of an open lab is opened too, and another room after it.
#[test]
fn a_link_opens_in_an_open_lab() -> Result<()> {
    let browser = shared_room()?;
    let link = link(&browser)?;
    browser.open("#one")?;
    browser.until("document.querySelectorAll('.broker').length === 1")?;
    browser.go(&link)?;
    browser.until("document.querySelectorAll('.broker').length === 3 && !document.querySelector('#banner')")?;
    browser.run("location.hash = 'one'")?;
    browser.until("document.querySelectorAll('.broker').length === 1")?;
    browser.quiet()
}

/// Puts a link into the address of an open lab. What was said of another one goes first, so that it is not taken for what is said of
/// this one.
fn follow(browser: &Browser, fragment: &str) -> Result<()> {
    browser.run(&format!("document.querySelector('#banner')?.remove(); location.hash = {}", json!(fragment))).map(drop)
}

/// What is wrong with a link is a sentence; the lab is there all the same, and what can be read of the run can be read.
#[test]
fn a_link_that_is_none_is_told_so() -> Result<()> {
    let browser = shared_room()?;
    let link = link(&browser)?;
    let fragment = link.split_once('#').context("a fragment")?.1;
    let text = browser.run(&format!("{UNPACK} return unpack({})", json!(link)))?;
    let text = text.as_str().context("the link's text")?.to_owned();
    let packed = |text: &str| -> Result<String> {
        let link = browser.run(&format!("{PACK} return pack({})", json!(text)))?;
        Ok(link.as_str().context("a link")?.trim_start_matches('#').to_owned())
    };
    let first_action = text.lines().find(|it| it.starts_with("after")).context("an action")?;
    let unknown = text.replace(first_action, "after 1/1 1s explode b1");
    let line = 1 + text.lines().position(|it| it.starts_with("after")).context("an action")?;
    let bomb = browser.run(&format!("{PACK} return pack('#'.repeat(64 << 20))"))?;
    let events = text.lines().last().context("an end")?.to_owned();
    let (moment, turns) = text
        .split_once("#@ moment ")
        .and_then(|it| it.1.split_once(' '))
        .context("a moment")?
        .0
        .split_once('/')
        .context("turns")?;
    let without_end = text.replace(&format!("{moment}/{turns} "), &format!("{moment}/{} ", u64::MAX));
    let cases = [
        (fragment[..4 + (fragment.len() - 4) / 8 * 4].to_owned(), "cut off or was changed".to_owned(), false),
        ("run=".to_owned(), "cut off or was changed".to_owned(), false),
        ("run=*".to_owned(), "it has characters that none has".to_owned(), false),
        (
            bomb.as_str().context("a bomb")?.trim_start_matches('#').to_owned(),
            "unpacks to more than a megabyte".to_owned(),
            false,
        ),
        (format!("run={}", "A".repeat(1_500_000)), "longer than any run".to_owned(), false),
        (packed(&unknown)?, format!("line {line}, column 14: expected"), true),
        (
            packed(&text.replace(&events, "run to event 99999999999"))?,
            "it asks for 99999999999 events".to_owned(),
            true,
        ),
        (packed(&without_end)?, "18446744073709551615 turns".to_owned(), true),
        (packed(&text.replace("kill b1", "kill b9"))?, "there is no process b9".to_owned(), true),
        (packed("<img src=x onerror=pwned()>")?, "which engine recorded it".to_owned(), true),
    ];
    for (fragment, sentence, is_readable) in cases {
        browser.open("#one")?;
        browser.until("document.querySelectorAll('.broker').length === 1")?;
        follow(&browser, &fragment)?;
        browser.until(
            "document.querySelector('#banner') && !document.querySelector('#banner').innerText.includes('Playing')",
        )?;
        let said = browser.text("#banner")?;
        ensure!(said.contains(&sentence), "{sentence}: {said}");
        assert_eq!(browser.run("return Boolean(document.querySelector('#banner pre'))")?, json!(is_readable), "{said}");
        ensure!(
            browser.run("return document.querySelectorAll('.broker').length")? == json!(1),
            "the room is there: {said}"
        );
        let start = browser.text("#event")?;
        browser.click("#step")?;
        ensure!(browser.text("#event")? != start, "it works: {said}");
    }
    assert_eq!(browser.run("return [document.images.length, typeof pwned]")?, json!([0, "undefined"]));
    // A lab that opens with one, too.
    let other = Browser::at("#run=nothing", READY)?;
    other.until("document.querySelector('#banner')")?;
    ensure!(other.run("return document.querySelectorAll('.broker').length")?.as_i64() > Some(0), "a room is there");
    other.quiet()?;
    browser.quiet()
}

/// A run of another engine plays, and the page says both versions; so it does when the run comes out otherwise.
#[test]
fn another_engines_run_is_said_to_be_one() -> Result<()> {
    let browser = shared_room()?;
    let link = link(&browser)?;
    let ours = browser.text("#engine")?;
    for (from, to, told) in [
        (
            format!("#@ engine {ours}"),
            "#@ engine 0.0.1-<b>old</b>".to_owned(),
            format!("Engine 0.0.1-<b>old</b> recorded this run, and this page has engine {ours}."),
        ),
        (
            "seed 1729".to_owned(),
            "seed 1730".to_owned(),
            format!("or another build of engine {ours} recorded it. It came out otherwise"),
        ),
    ] {
        let changed = browser.run(&format!(
            "{PACK} {UNPACK} return pack((await unpack({})).replace({}, {}))",
            json!(link),
            json!(from),
            json!(to)
        ))?;
        browser.open("#one")?;
        browser.until("document.querySelectorAll('.broker').length === 1")?;
        follow(&browser, changed.as_str().context("a link")?)?;
        browser.until(
            "document.querySelector('#banner') && !document.querySelector('#banner').innerText.includes('Playing')",
        )?;
        let said = browser.text("#banner")?;
        ensure!(said.contains(&told), "{told}: {said}");
        assert_eq!(browser.run("return document.querySelectorAll('.broker').length")?, json!(3));
    }
    browser.quiet()
}

/// Copied where the browser lets a page copy, else selected; and where a link is too long for most places, that is said.
#[test]
fn a_link_is_copied_or_said_not_to_be() -> Result<()> {
    let browser = Browser::at("#one", READY)?;
    for (may, sentence) in [
        ("async (it) => { window.copied = it; }", "Copied"),
        ("async () => { throw new Error('no'); }", "lets no page copy"),
    ] {
        browser.run(&format!(
            "Object.defineProperty(navigator, 'clipboard', {{ configurable: true, value: {{ writeText: {may} }} }})"
        ))?;
        browser.click("#share")?;
        browser.until("document.querySelector('#copied')?.innerText")?;
        let said = browser.text("#copied")?;
        ensure!(said.contains(sentence), "{said}");
        let chosen = "const it = document.querySelector('#link'); return [it.selectionStart, it.selectionEnd === it.value.length]";
        assert_eq!(browser.run(chosen)?, json!([0, true]));
        browser.keys(&ESCAPE.to_string())?;
        browser.until("!document.querySelector('#sheet')")?;
        assert_eq!(browser.run("return document.activeElement.id")?, json!("share"), "the focus is where it was");
    }
    assert_eq!(browser.run("return window.copied.includes('/#run=')")?, json!(true));
    // Of 400 records with keys that do not pack well.
    browser.run("const line = document.querySelector('#line'), form = line.form;
        for (let i = 0; i < 400; i++) { line.value = `produce p1 orders key=${crypto.randomUUID()} value=x`; form.requestSubmit(); }")?;
    browser.click("#share")?;
    browser.until("document.querySelector('#sheet')")?;
    let said = browser.text("#sheet")?;
    ensure!(said.contains("Many places cut off links"), "{said}");
    browser.quiet()
}

/// A folder of its own, which goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Folder> {
        let folder = std::env::temp_dir().join(format!("vivarium-downloads-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Folder(folder))
    }

    /// The file of this ending, once it is whole.
    fn take(&self, ending: &str) -> Result<Vec<u8>> {
        poll(|| {
            for entry in fs::read_dir(&self.0)? {
                let path = entry?.path();
                // A browser gives a file its name when all of it is there, and may hold the place by an empty one until then.
                if path.to_string_lossy().ends_with(ending) && fs::metadata(&path)?.len() > 0 {
                    let bytes = fs::read(&path)?;
                    fs::remove_file(path)?;
                    return Ok(bytes);
                }
            }
            bail!("nothing that ends with {ending} was downloaded");
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A browser at the shared room with the sheet of exports open, and the folder that its downloads come to.
fn at_the_sheet(test: &str) -> Result<(Browser, Folder)> {
    let folder = Folder::new(test)?;
    let browser = shared_room()?;
    browser.download_to(&folder.0)?;
    browser.keys("s")?;
    browser.until("document.querySelector('#copied')?.innerText")?;
    Ok((browser, folder))
}

/// Presses a button of the sheet as a person does: what a page saves many times by itself, a browser may hold back.
fn press(browser: &Browser, words: &str) -> Result<()> {
    let button = "[...document.querySelectorAll('#sheet button')]";
    browser.run(&format!("{button}.find((it) => it.innerText === {}).focus()", json!(words)))?;
    browser.keys(&ENTER.to_string())
}

/// Every export is a file that a person gets, and what is in it is what it says.
#[test]
fn what_is_exported_is_downloaded() -> Result<()> {
    let (browser, folder) = at_the_sheet("exports")?;
    browser.screenshot("share-1440-light")?;
    for (words, ending, parts) in [
        ("Scenario file", ".scenario", ["seed 1729", "kill b1", "run to event "]),
        ("Rust test", ".rs", ["#[test]", "Scenario::parse(RUN)", "kill b1"]),
        (
            "Script for a real cluster",
            ".sh",
            ["#!/usr/bin/env bash", "signal -KILL b1", "tool topics --create --topic orders"],
        ),
        ("ShiViz log", ".shiviz.log", ["(?<host>", "you {\"you\":", "kill b1"]),
    ] {
        press(&browser, words)?;
        let text = String::from_utf8(folder.take(ending)?)?;
        for part in parts {
            ensure!(text.contains(part), "{part} in {words}: {}", &text[..text.len().min(2_000)]);
        }
    }
    browser.quiet()
}

#[test]
fn pictures_of_every_view_are_downloaded_light() -> Result<()> {
    pictures_in("light")
}

#[test]
fn pictures_of_every_view_are_downloaded_dark() -> Result<()> {
    pictures_in("dark")
}

/// Every view is to be had as two files that need nothing of the page, which stays as it is.
fn pictures_in(theme: &str) -> Result<()> {
    let (browser, folder) = at_the_sheet(theme)?;
    let views = browser.run("return [...document.querySelector('#picture').options].map((it) => it.text)")?;
    for view in views.as_array().context("views")?.iter().filter_map(|it| it.as_str()) {
        browser.run(&format!(
            "const it = document.querySelector('#picture'); it.selectedIndex = [...it.options].findIndex((it) => it.text === {}); document.querySelector('#theme').value = '{theme}'",
            json!(view)
        ))?;
        press(&browser, "SVG")?;
        let svg = folder.take(".svg").with_context(|| format!("{view}, {theme}: {:?}", browser.text("#copied")))?;
        let svg = String::from_utf8(svg)?;
        let sound = browser.run(&format!(
            "const it = new DOMParser().parseFromString({}, 'image/svg+xml'); return [it.documentElement.localName, it.querySelectorAll('script, image, [onerror]').length]",
            json!(svg)
        ))?;
        assert_eq!(sound, json!(["svg", 0]), "{view}");
        ensure!(!svg.contains("var(--"), "{view} needs the page's styles");
        press(&browser, "PNG")?;
        let png = folder.take(".png").with_context(|| format!("{view}: {:?}", browser.text("#copied")))?;
        ensure!(png.starts_with(b"\x89PNG") && png.len() > 1_000, "{view}: {} bytes", png.len());
        let artifacts = PathBuf::from(std::env::var("VIVARIUM_ARTIFACTS")?);
        fs::create_dir_all(&artifacts)?;
        fs::write(artifacts.join(format!("picture-{}-{theme}.png", view.replace(' ', "-").to_lowercase())), png)?;
    }
    ensure!(
        browser.run("return document.documentElement.getAttribute('style') || null")? == json!(null),
        "the page is as it was"
    );
    browser.quiet()
}

/// The sheet and what is said above the lab fit a phone, in both colour schemes.
#[test]
fn the_sheet_fits_a_phone() -> Result<()> {
    let browser = Browser::at("#one", READY)?;
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.view(390, 844, scheme)?;
        browser.click("#share")?;
        browser.until("document.querySelector('#copied')?.innerText")?;
        let wide = browser.run("const it = document.querySelector('#sheet'); return [it.scrollWidth <= it.clientWidth, it.getBoundingClientRect().right <= 390]")?;
        assert_eq!(wide, json!([true, true]));
        browser.screenshot(&format!("share-390-{}", scheme.name()))?;
        browser.keys(&ESCAPE.to_string())?;
        browser.run("location.hash = 'run=nothing'")?;
        browser.until("document.querySelector('#banner')")?;
        browser.screenshot(&format!("share-refused-390-{}", scheme.name()))?;
        browser.fits(390)?;
        browser.run("document.querySelector('#banner button').click(); location.hash = 'one'")?;
    }
    browser.quiet()
}

/// The lanes of a lesson are in its link, and the one in sight is in sight there; what a link leaves out is said on both sides.
#[test]
fn a_link_has_its_lanes_or_says_what_it_leaves_out() -> Result<()> {
    let browser = Browser::at("#21", READY)?;
    browser.click("#lesson .answer")?;
    browser.turn_on()?;
    browser.click("[data-do='lane:1']")?;
    let whole = link(&browser)?;
    let seen = browser.text("#clock")?;
    let other = Browser::start()?;
    other.go(&whole)?;
    other.until("document.querySelectorAll('[data-do^=lane]').length === 3 && !document.querySelector('#banner')")?;
    assert_eq!(other.run("return document.querySelector('#rooms').value")?, json!("21"));
    assert_eq!(other.run("return document.querySelector('[data-do=\"lane:1\"]').ariaPressed")?, json!("true"));
    assert_eq!(other.text("#clock")?, seen, "its story stops at the bet, which whoever opens it has not made");
    // Left, and acted in the past: a branch in each lane, and no story.
    browser.click("#to-sandbox")?;
    browser.act("kill c1")?;
    browser.run("const it = document.querySelector('#branch'); it.value = 'without c1'; it.dispatchEvent(new Event('change', { bubbles: true }))")?;
    browser.keys(&format!("{ESCAPE}s"))?;
    browser.until("document.querySelector('#sheet')?.open && document.querySelector('#copied').innerText")?;
    let lost = "Not in this one: 2 other lanes, the other branch, the lesson’s story.";
    ensure!(browser.text("#left")?.contains(lost), "{}", browser.text("#left")?);
    let link = browser.run("return document.querySelector('#link').value")?;
    other.go(link.as_str().context("a link")?)?;
    other.until(
        "document.querySelector('#banner') && !document.querySelector('#banner').innerText.includes('Playing')",
    )?;
    ensure!(other.text("#banner")?.contains(lost), "{}", other.text("#banner")?);
    ensure!(other.text(".lanes")?.contains("without c1"), "its name went along");
    other.quiet()
}

/// Drops a file of this text on the page; the text is an expression of JavaScript.
fn drop_file(browser: &Browser, name: &str, text: &str) -> Result<()> {
    browser.run(&format!(
        "document.querySelector('#banner')?.remove(); const data = new DataTransfer(); data.items.add(new File([{text}], {}));
         document.body.dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }}));",
        json!(name)
    ))?;
    browser
        .until("document.querySelector('#banner') && !document.querySelector('#banner').innerText.includes('Playing')")
}

/// A scenario file is a lesson of its own, beside the run that was open; that one comes back with its branches.
#[test]
fn a_scenario_file_opens_as_a_lesson_and_the_run_before_is_kept() -> Result<()> {
    let browser = shared_room()?;
    browser.act("kill b2")?;
    browser.until("document.querySelectorAll('.branch').length === 2")?;
    let before = ["#event", "#clock", ".lanes"].map(|it| browser.text(it).unwrap_or_default());
    let text = include_str!("../../../crates/sim/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");
    drop_file(&browser, "mine.scenario", &json!(text).to_string())?;
    ensure!(browser.text("#banner")?.contains("mine.scenario is open."), "{}", browser.text("#banner")?);
    ensure!(browser.text("#lesson")?.contains("Acked, then gone"), "{}", browser.text("#lesson")?);
    browser.turn_on()?;
    let choose = "const it = document.querySelector('#rooms'); it.value = 'before'; it.dispatchEvent(new Event('change', { bubbles: true }))";
    let menu = || {
        browser.run("const it = document.querySelector('#rooms'); return [it.selectedOptions[0].text, it.lastElementChild.text]")
    };
    assert_eq!(menu()?, json!(["mine.scenario", "‹ Three brokers"]));
    // What is set in the bar and typed into the form belongs to no run.
    browser.run(
        "for (const [id, value] of [['speed', 1], ['key', 'lea']]) { const it = document.getElementById(id); it.value = value; it.dispatchEvent(new Event('input', { bubbles: true })); }",
    )?;
    browser.run(choose)?;
    assert_eq!(["#event", "#clock", ".lanes"].map(|it| browser.text(it).unwrap_or_default()), before);
    assert_eq!(browser.run("return document.querySelector('#rooms').value")?, json!("three"));
    assert_eq!(menu()?, json!(["Three brokers", "‹ mine.scenario"]));
    ensure!(browser.text("#why")?.contains("murmur2(lea)"), "{}", browser.text("#why")?);
    assert_eq!(browser.run("return document.querySelector('#speed').ariaValueText")?, json!("10×"));
    browser.run(choose)?;
    ensure!(browser.text("#lesson")?.contains("Acked, then gone"), "and back");
    assert_eq!(menu()?, json!(["mine.scenario", "‹ Three brokers"]));
    browser.screenshot("file-1440-light")?;
    // The button asks for a file, and does the same.
    browser.run(
        "HTMLInputElement.prototype.click = function () { const data = new DataTransfer(); data.items.add(new File(['broker b1\\nrun 1s'], 'two.txt')); this.files = data.files; this.dispatchEvent(new Event('change')); };
         document.querySelector('#open').click()",
    )?;
    browser.until("document.querySelector('#banner')?.innerText.includes('two.txt is open')")?;
    assert_eq!(browser.run("return document.querySelectorAll('.broker').length")?, json!(1));
    browser.quiet()
}

/// What is wrong with a file is a sentence with line and column, and the run that was open is as it was.
#[test]
fn a_file_that_is_no_scenario_is_told_so_and_nothing_is_lost() -> Result<()> {
    let browser = shared_room()?;
    let before = ["#event", "#clock", "#parts"].map(|it| browser.text(it).unwrap_or_default());
    for (text, told) in [
        ("'broker b1\\nkill'", "line 2, column 5: expected a process’s name"),
        ("'broker b1\\n<img src=x onerror=pwned()>'", "line 2, column 1: expected at, run"),
        ("'broker b1\\nrun until serving b1\\nexpect controller = b7'", "line 3: controller is b1, expected b7"),
        ("Uint8Array.from({ length: 1 << 16 }, (_, i) => i * 37)", "it holds no text"),
        ("'x'.repeat(1_000_000)", "line 1, column 1"),
        ("'x'.repeat(1_100_000)", "larger than a megabyte"),
        ("'broker b1\\nrefused NOT_CONTROLLER topic t partitions=2000000000'", "asks for 2000000000 partitions"),
        ("'broker b1\\n' + 'produce p orders value=x\\n'.repeat(40_000)", "asks for 40000 actions"),
        ("''", "no broker"),
    ] {
        drop_file(&browser, "his.scenario", text)?;
        let said = browser.text("#banner p")?;
        ensure!(
            said.contains("his.scenario is not opened: ") && said.replace('\'', "’").contains(told),
            "{told}: {said}"
        );
        ensure!(said.len() < 800, "{} bytes are no sentence", said.len());
        let offers = browser.text("#banner")?;
        ensure!(!offers.contains("run’s text") && !offers.contains("Keep it"), "whoever has a file has it: {offers}");
        assert_eq!(["#event", "#clock", "#parts"].map(|it| browser.text(it).unwrap_or_default()), before, "{told}");
    }
    browser.keys(&LEFT.to_string())?;
    ensure!(browser.text("#event")? != before[0], "the lab goes on");
    browser.quiet()
}

/// A file that goes on for long leaves the page alive while it is played, and whoever waits can call it off.
#[test]
fn a_file_that_takes_long_is_called_off() -> Result<()> {
    let browser = shared_room()?;
    browser.run(
        "const text = 'broker b1\\nrun until serving b1\\ntopic orders partitions=1\\nproducer p1\\nload p1 orders every=1us\\nrun 1s\\npause b1\\nrun 600m';
         const data = new DataTransfer(); data.items.add(new File([text], 'endless.scenario'));
         document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))",
    )?;
    browser.until("/Playing endless.scenario: [1-9]/.test(document.querySelector('#banner')?.innerText)")?;
    browser.keys(&RIGHT.to_string())?;
    let before = browser.text("#event")?;
    browser.click("#banner button")?;
    browser.until("!document.querySelector('#banner')")?;
    assert_eq!(browser.text("#event")?, before);
    assert_eq!(browser.run("return document.querySelector('#rooms').value")?, json!("three"), "nothing has changed");
    browser.quiet()
}
