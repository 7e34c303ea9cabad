//! Consumer groups in the lab: who has what, what a click does to a member, and three protocols side by side.

use anyhow::{Result, ensure};
use e2e::keys::END;
use e2e::{Browser, Scheme};
use serde_json::json;

/// How many partitions each member of the room's group has.
const OWNED: &str = "[...document.querySelectorAll('section.group[aria-label=\"Group shop\"] tbody tr')].map((it) => it.querySelectorAll('.has').length)";

/// Members by partitions: each partition has one owner, committed and lag are told, and what is not known is no number.
#[test]
fn a_group_shows_who_has_what_and_how_far_it_is() -> Result<()> {
    let browser = Browser::at("#group", "document.querySelector('section.group')")?;
    browser.keys(&END.to_string())?;
    let owned = browser.run(&format!("return {OWNED}"))?;
    assert_eq!(owned, json!([3, 3, 3, 3]), "twelve partitions, four members");
    let head = browser.text("section.group h2")?;
    for word in ["classic", "cooperative-sticky", "Stable", "generation", "coordinator b1"] {
        ensure!(head.contains(word), "{word} in {head}");
    }
    let foot = browser.text("section.group tfoot")?;
    ensure!(foot.contains("committed") && foot.contains("in all"), "{foot}");
    let axis = browser.run("return document.querySelector('[data-partition=orders-0] .axis').ariaLabel")?;
    ensure!(axis.as_str().is_some_and(|it| it.contains("shop committed at ")), "on the log's axis: {axis}");
    browser.quiet()
}

/// Frozen, killed, and one more: each click is a line, and the group shares its partitions anew.
#[test]
fn what_is_done_to_a_member_is_a_line_and_the_group_shares_anew() -> Result<()> {
    let browser = Browser::at("#group", "document.querySelector('section.group')")?;
    browser.keys(&END.to_string())?;
    browser
        .run("[...document.querySelectorAll('section.group .deed')].find((it) => it.innerText === 'Freeze').click()")?;
    assert_eq!(browser.text("#lines li:last-child b")?, "pause c1");
    assert_eq!(browser.run("return document.querySelectorAll('tbody .has.frozen').length")?, json!(3));
    browser.run("[...document.querySelectorAll('section.group tr')].find((it) => it.innerText.startsWith('c2')).querySelector('[title=\"kill c2\"]').click()")?;
    assert_eq!(browser.text("#lines li:last-child b")?, "kill c2");
    browser.run(
        "[...document.querySelectorAll('section.group .deed')].find((it) => it.innerText === 'Add a member').click()",
    )?;
    assert_eq!(browser.text("#lines li:last-child b")?, "follow c5 orders");
    browser.act("run 70s")?;
    let shares = browser.run(&format!("return {OWNED}"))?;
    let counts: Vec<i64> = shares.as_array().into_iter().flatten().filter_map(serde_json::Value::as_i64).collect();
    assert_eq!(&counts[1..], [0, 4, 4, 4], "the sessions of c1 and c2 are over: {shares}");
    ensure!(browser.text(".paused")?.contains("partition-seconds"), "{}", browser.text(".paused")?);
    browser.quiet()
}

/// Three protocols on one clock: who stops for the same join, for how long (as scenario 21's transcripts have it), and each lane can be
/// looked at.
#[test]
fn three_lanes_compare_what_a_rebalance_costs() -> Result<()> {
    let browser = Browser::at("#21", "document.querySelectorAll('.way').length === 3")?;
    // A bet first: before that the telling goes no further.
    browser.keys("1")?;
    browser.keys(&END.to_string())?;
    let paused = browser.run("return [...document.querySelectorAll('.figure b')].map((it) => it.innerText)")?;
    assert_eq!(paused, json!(["18.0", "12.2", "3.0"]));
    let sums = browser.run("return [...document.querySelectorAll('.way tfoot b')].map((it) => it.innerText)")?;
    assert_eq!(sums, json!(["= 18.0", "= 12.2", "= 3.0"]), "the same beneath the tables");
    let above = "const [lanes, glass] = ['#groups', '#glass'].map((it) => document.querySelector(it).getBoundingClientRect()); return lanes.bottom <= glass.top";
    assert_eq!(browser.run(above)?, json!(true), "what the story is about comes first");
    assert_eq!(browser.run("return document.querySelectorAll('.way tbody .has').length")?, json!(36));
    // While the fourth joins, the cooperative group has partitions that nobody reads, and says what they wait for.
    browser.keys("pp")?;
    let idle = "[...document.querySelectorAll('.way')].map((it) => it.querySelectorAll('thead .idle').length)";
    assert_eq!(browser.run(&format!("return {idle}"))?, json!([0, 3, 0]));
    ensure!(browser.text(".way .holds")?.contains("joins when it polls next"), "{}", browser.text(".way .holds")?);
    let clock = browser.text("#clock")?;
    browser.click(".way:nth-child(3) .tab")?;
    assert_eq!(browser.text("#clock")?, clock, "one clock");
    let groups = "document.querySelectorAll(\"section.group[aria-label='Group g']\").length";
    assert_eq!(browser.run(&format!("return {groups}"))?, json!(0), "the lanes say it all");
    browser.act("kill c1")?;
    ensure!(browser.text("section.group[aria-label='Group g'] h2")?.contains("KIP-848"), "the chosen lane's group");
    browser.act("run 1s")?;
    assert_eq!(browser.run("return document.querySelectorAll('.way tr.gone').length")?, json!(3), "in every lane");
    for scheme in [Scheme::Light, Scheme::Dark] {
        for (width, height) in [(390, 844), (1440, 900)] {
            browser.view(width, height, scheme)?;
            browser.fits(width)?;
            browser.screenshot(&format!("lanes-{width}-{}", scheme.name()))?;
        }
    }
    // A narrow window of a desk: its scroll bar takes a part of the width, and nothing is zoomed out to fit as on a phone.
    let desk = json!({ "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", desk)?;
    let root = "document.documentElement";
    let wide = browser.run(&format!("return {root}.scrollWidth - {root}.clientWidth"))?;
    assert_eq!(wide, json!(0), "px that stick out");
    browser.quiet()
}
