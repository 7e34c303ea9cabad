//! The lab for whoever uses a finger, hears it read aloud, or would rather that nothing moves.

use anyhow::{Result, ensure};
use e2e::keys::{END, ENTER, ESCAPE, LEFT, RIGHT};
use e2e::{Browser, Scheme, poll};
use serde_json::{Value, json};

const READY: &str = "document.querySelector('#engine')";

/// What may be smaller than a finger, and why.
const SMALL: [(&str, &str); 7] = [
    (".dash", "Back and Next lead to the same parts"),
    (".part", "a slot: the partition's tab and its line in the table lead to the same"),
    (".q", "a cell of the metadata log: the table beneath it leads to the same records"),
    (".wait", "a request that waits: its broker's card is the same"),
    (".hex [data-do]", "a byte: its field is a line of the table above"),
    (".heads button", "a column's name: the process's card is the same"),
    (".moments *", "an arrow: its line of the table leads to the same"),
];

/// Everything that can be used and is in sight, and where a finger that comes down 21 px from its middle would not use it: where it
/// ends before, or something else lies there.
const MEASURE: &str = "
    const small = SMALL;
    // What lies over everything else is all that can be used meanwhile.
    const page = document.querySelector('.help') ?? document;
    const deed = (it) => it?.closest('[data-do]')?.dataset.do;
    const wrong = new Set();
    let count = 0;
    for (const it of page.querySelectorAll('button, a[href], select, summary, input, [data-do]')) {
        if (!it.checkVisibility({ visibilityProperty: true }) || it.disabled || it.matches(small) || it.closest('#said')) continue;
        it.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
        const box = it.getBoundingClientRect();
        if (!box.width || !box.height) continue;
        count += 1;
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
        const hits = (dx, dy) => {
            const there = document.elementFromPoint(x + dx, y + dy);
            return there && (it.contains(there) || there.closest('label')?.control === it || (deed(it) && deed(there) === deed(it)));
        };
        const narrow = box.width < 43.5 && !(hits(-21, 0) && hits(21, 0));
        const low = box.height < 43.5 && !(hits(0, -21) && hits(0, 21));
        if (narrow || low) wrong.add(`${it.outerHTML.slice(0, 110)}: ${box.width.toFixed()} x ${box.height.toFixed()}`);
    }
    return [count, [...wrong]];";

fn measure(browser: &Browser, what: &str, wrong: &mut Vec<String>) -> Result<()> {
    let small = SMALL.map(|it| it.0).join(", ");
    let found = browser.run(&MEASURE.replace("SMALL", &json!(small).to_string()))?;
    ensure!(found[0].as_u64() > Some(0), "{what}: {found}");
    wrong.extend(found[1].as_array().into_iter().flatten().map(|it| format!("{what}: {it}")));
    Ok(())
}

/// On a phone, and on a tablet that is wide enough for the desk's layout.
#[test]
fn whatever_can_be_used_has_room_for_a_finger() -> Result<()> {
    let browser = Browser::start()?;
    browser.devtools("Emulation.setTouchEmulationEnabled", json!({ "enabled": true, "maxTouchPoints": 5 }))?;
    let mut wrong = Vec::new();
    for (width, height) in [(390, 844), (1180, 820)] {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        browser.devtools("Emulation.setDeviceMetricsOverride", size)?;
        browser.open("api.html")?;
        browser.open("#three")?;
        browser.until(READY)?;
        assert_eq!(browser.run("return matchMedia('(pointer: coarse)').matches")?, json!(true));
        let at = |what: &str| format!("{width} px, {what}");
        browser.run("for (let i = 0; i < 400 && !document.querySelector('.msg'); i++) document.querySelector('#step').click(); document.querySelector('#back').focus()")?;
        browser.keys("w")?;
        measure(&browser, &at("three brokers"), &mut wrong)?;
        browser.click("[data-process='b1'] .face")?;
        measure(&browser, &at("a broker"), &mut wrong)?;
        browser.run("document.querySelector('.rec').click()")?;
        browser.run("document.querySelector(\"[data-do='level:bytes']\").click()")?;
        browser.keys("t")?;
        measure(&browser, &at("bytes, space-time"), &mut wrong)?;
        browser.keys("t")?;
        browser.act("kill b1")?;
        browser.act("run 2s")?;
        browser.run("document.querySelector('#seek').value = 100; document.querySelector('#seek').dispatchEvent(new Event('input', { bubbles: true }))")?;
        browser.act("kill b2")?;
        browser.run("document.querySelector(\"[data-do='table:time']\").click()")?;
        measure(&browser, &at("branches, a table"), &mut wrong)?;
        browser.keys("?")?;
        measure(&browser, &at("words and keys"), &mut wrong)?;
        browser.keys("?")?;
        for room in ["killed", "21", "group"] {
            browser.run(&format!("location.hash = '#{room}'"))?;
            browser.until(&format!("document.querySelector('#rooms').value === '{room}'"))?;
            browser.settled()?;
            measure(&browser, &at(room), &mut wrong)?;
        }
    }
    ensure!(wrong.is_empty(), "{} are too small:\n{}", wrong.len(), wrong.join("\n"));
    browser.quiet()
}

/// What is read aloud where the focus is: the name of the element that its list says is the chosen one.
fn chosen(browser: &Browser) -> Result<String> {
    let found = browser.run(
        "const list = document.activeElement, it = document.getElementById(list.getAttribute('aria-activedescendant'));
         return [list.role, it?.role, it?.ariaSelected, it?.ariaLabel]",
    )?;
    ensure!(found[0] == "listbox" && found[1] == "option" && found[2] == "true", "{found}");
    Ok(found[3].as_str().unwrap_or_default().to_owned())
}

#[test]
fn arrows_in_logs_say_where_they_lead() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    browser.run("document.querySelector('[data-partition=orders-0] .axis').focus()")?;
    browser.keys(&END.to_string())?;
    let last = chosen(&browser)?;
    ensure!(last.contains("key ") && last.contains("epoch 0"), "{last}");
    browser.keys(&LEFT.to_string())?;
    let before = chosen(&browser)?;
    ensure!(before.starts_with("offset ") && before != last, "{before}, {last}");
    browser.run("document.querySelector('.metalog').focus()")?;
    browser.keys(&format!("{LEFT}{LEFT}"))?;
    let entry = chosen(&browser)?;
    browser.keys(&RIGHT.to_string())?;
    ensure!(chosen(&browser)? != entry, "{entry}");
    // As Chromium tells a screen reader, which it does when it has time.
    browser.devtools("Accessibility.enable", json!({}))?;
    poll(|| {
        let tree = browser.devtools("Accessibility.getFullAXTree", json!({}))?;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let lists = nodes.iter().filter(|it| it["role"]["value"] == "listbox").count();
        ensure!(lists >= 2, "{lists} lists");
        let is_entry = |it: &Value| it["role"]["value"] == "option" && it["name"]["value"] == json!(entry);
        ensure!(nodes.iter().any(is_entry), "{entry}");
        Ok(())
    })?;
    browser.quiet()
}

/// The list of words and keys takes the focus, and gives it back.
#[test]
fn the_list_of_words_has_the_focus_while_it_is_open() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    let focus = "return document.activeElement.id";
    for close in [format!("{ESCAPE}"), "?".to_owned()] {
        browser.keys("?")?;
        assert_eq!(browser.run(focus)?, json!("words"));
        browser.keys(&close)?;
        assert_eq!(browser.run("return document.querySelectorAll('.help').length")?, json!(0));
        assert_eq!(browser.run(focus)?, json!("keys"));
    }
    browser.quiet()
}

/// A chapter is said once, and not by the sentence of its last event as well; an event's own sentence is said where somebody steps.
#[test]
fn a_chapter_is_said_once() -> Result<()> {
    let browser = Browser::at("#killed", "document.querySelector('#chapter')")?;
    browser.settled()?;
    browser.run(
        "globalThis.said = new Set();
         new MutationObserver((all) => { for (const it of all) {
             const from = it.target.nodeType === 1 ? it.target : it.target.parentElement;
             const live = from?.closest('[aria-live], [role=status], [role=alert]');
             if (live && live.ariaLive !== 'off' && live.checkVisibility()) said.add(live.id);
         } }).observe(document.body, { subtree: true, childList: true, characterData: true })",
    )?;
    for _ in 0..2 {
        browser.run("said.clear()")?;
        browser.turn_on()?;
        assert_eq!(browser.run("return [...said]")?, json!(["chapter"]));
    }
    browser.run("said.clear()")?;
    browser.keys(&RIGHT.to_string())?;
    assert_eq!(browser.run("return [...said]")?, json!(["say"]));
    browser.quiet()
}

/// The cluster, the log and the timeline in words.
#[test]
fn each_drawing_has_a_table() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    browser.act("kill b1")?;
    browser.act("run 2s")?;
    for (of, words) in [("cluster", "b1 broker not running"), ("log", "key "), ("time", "kill b1")] {
        browser.run(&format!("document.querySelector(\"[data-do='table:{of}']\").focus()"))?;
        browser.keys(&ENTER.to_string())?;
        assert_eq!(browser.run("return document.activeElement.id")?, json!("table"), "{of}");
        let told = browser.text("#table")?.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(told.contains(words), "{of}: {told}");
    }
    browser.quiet()
}

/// Whatever there is can be looked at by keys, and says what led to it.
#[test]
fn everything_that_is_selected_has_its_why() -> Result<()> {
    let browser = Browser::at("#group", READY)?;
    browser.keys(&END.to_string())?;
    let mut titles = Vec::new();
    for selector in [
        "#parts .line",
        "section.group h2 .line",
        "#checks .line",
        "#metadata .line",
        ".inspector .deeds [data-do^='timer:']",
    ] {
        if selector.contains("timer:") {
            browser.run("document.querySelector('[data-process=c1] .face, [data-process=c1]').focus()")?;
            browser.keys(&ENTER.to_string())?;
            browser.click(".levels [data-do='level:state']")?;
        }
        browser.run(&format!("document.querySelector({}).focus()", json!(selector)))?;
        browser.keys(&ENTER.to_string())?;
        titles.push(browser.text(".inspector h2")?);
        browser.click(".levels [data-do='level:story']")?;
        let told = browser.text(".inspector")?;
        ensure!(told.contains("step ") || told.contains("nothing has broken it"), "{selector}: {told}");
    }
    for (title, word) in titles.iter().zip(["partition", "classic", "check", "Metadata record", "timer of c1"]) {
        ensure!(title.contains(word), "{title}: {word}");
    }
    browser.quiet()
}

/// Seven branches: all of them are in sight, each beneath the one that it left, with the step from which it did.
#[test]
fn branches_are_a_tree() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    for step in [300, 250, 200, 150, 120, 100] {
        browser.run(&format!("const it = document.querySelector('#seek'); it.value = {step}; it.dispatchEvent(new Event('input', {{ bubbles: true }}))"))?;
        browser.act("kill b3")?;
    }
    let rows = browser.run(
        "const list = document.querySelector('.lanes').getBoundingClientRect();
         return [...document.querySelectorAll('.twig')].map((it) => {
             const box = it.getBoundingClientRect();
             return [it.innerText.includes('from step') || it.innerText.trim() === 'main', box.top >= list.top && box.bottom <= list.bottom + 1, it.style.getPropertyValue('--depth')];
         })",
    )?;
    let depths: Vec<i64> = (0..7).collect();
    let expected: Vec<Value> = depths.iter().map(|it| json!([true, true, it.to_string()])).collect();
    assert_eq!(rows, json!(expected));
    for scheme in [Scheme::Light, Scheme::Dark] {
        for (width, height) in [(390, 844), (1440, 900)] {
            browser.view(width, height, scheme)?;
            browser.screenshot(&format!("branches-{width}-{}", scheme.name()))?;
        }
    }
    browser.quiet()
}

/// How often the canvas over the cluster shows something else in sixty frames, and how many events pass meanwhile.
const CHANGES: &str = "
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const event = () => Number(document.querySelector('#event').textContent.replace(/\\D/g, ''));
    const ink = () => {
        const canvas = document.querySelector('#canvas');
        const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height }).getContext('2d', { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0;
        for (let i = 3; i < data.length; i += 4) if (data[i]) sum = (sum * 31 + i) % 1000000007;
        return sum;
    };
    const before = event();
    document.querySelector('#play').click();
    while (!ink()) await frame();
    const seen = new Set();
    for (let i = 0; i < 60; i++) { await frame(); seen.add(ink()); }
    document.querySelector('#play').click();
    return [seen.size, event() - before];";

/// Whoever prefers reduced motion sees messages come and go, and none of them fly. What comes of it is the same.
#[test]
fn with_reduced_motion_nothing_flies() -> Result<()> {
    let browser = Browser::at("#three", READY)?;
    let play = |preference: &str| -> Result<(i64, i64)> {
        let feature = json!({ "name": "prefers-reduced-motion", "value": preference });
        browser.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] }))?;
        browser.run("document.querySelector('#to-end').click(); for (let i = 0; i < 400 && document.querySelectorAll('.msg').length < 2; i++) document.querySelector('#step').click()")?;
        let found = browser.run(CHANGES)?;
        Ok((found[0].as_i64().unwrap_or(-1), found[1].as_i64().unwrap_or(-1)))
    };
    // A thousandth of the clock's speed.
    browser.keys(&"-".repeat(10))?;
    let (changes, events) = play("no-preference")?;
    ensure!(changes > events + 10, "they fly: {changes} pictures, {events} events");
    let (changes, events) = play("reduce")?;
    ensure!(changes <= events + 2, "they stand still: {changes} pictures, {events} events");
    let end = browser.run("document.querySelector('#to-end').click(); return [document.querySelectorAll('.msg').length, document.querySelector('#canvas').hidden]")?;
    ensure!(end[0].as_u64() > Some(0) && end[1] == true, "{end}");
    browser.quiet()
}
