//! Consumer groups: who has which partition, how far each is read and committed, and during a rebalance who holds back what.

use super::scene::Scene;
use super::{grouped, lanes, left, lesson};
use crate::draw::{Shape, classed, glyph, shape, text};
use crate::look::GROUPS;
use crate::view::{Group, Member, Share, State};

/// An offset, or a number of them, of a partition; nothing if it is not known.
type Sum = fn(&Share) -> Option<i64>;

/// The view: the groups of the room, or of its lanes beside each other.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let mut shapes = if scene.lanes.iter().all(|it| it.groups.is_empty()) { Vec::new() } else { lanes::draw(scene) };
    shapes.extend(scene.view.groups.iter().map(|it| section(scene, it)));
    shapes
}

fn section(scene: &Scene, group: &Group) -> Shape {
    let title = shape("h2").say(format!("Group {} ", group.name)).with([shape("small").say(about(group))]);
    let figure = (!lesson::hides_figures(scene)).then(|| paused(group));
    let mut shapes = vec![classed("div", "head").with_all([title].into_iter().chain(figure).collect())];
    shapes.push(
        classed("div", "sharing")
            .set("tabindex", "0")
            .set("role", "group")
            .set("aria-label", format!("Members and partitions of {}", group.name))
            .with([table(group, Some(scene.view.time_us), lesson::asks(scene, "’s lag"))]),
    );
    shapes.extend(holds(group));
    shapes.push(legend());
    shapes.push(
        classed("p", "deeds")
            .with([classed("button", "deed")
                .set("data-do", format!("newcomer:{}", group.name))
                .set("title", "one more consumer with the settings of the first")
                .say("Add a member")])
            .with_all(log_of(scene, group).into_iter().collect()),
    );
    classed("section", "group").named(&group.name).set("aria-label", format!("Group {}", group.name)).with_all(shapes)
}

/// A way to the log that its coordinator writes: the partition of `__consumer_offsets` that its name leads to.
fn log_of(scene: &Scene, group: &Group) -> Option<Shape> {
    let partitions = scene.partitions_of(GROUPS);
    // As Java has it, to which the coordinator's choice is a promise.
    let hash = group.name.encode_utf16().fold(0_i32, |it, unit| it.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let number = hash.checked_abs().unwrap_or(0).checked_rem(partitions.len() as i32)?;
    let name = partitions.iter().find(|it| it.partition == number)?.name.clone();
    let button = classed("button", "deed").set("title", format!("{name}: what is committed, and who is in the group"));
    Some(button.set("data-do", format!("choose:{name}")).say("Show its log"))
}

/// A group in a line.
pub(crate) fn about(group: &Group) -> String {
    let mut words = if group.protocol == "consumer" { "consumer (KIP-848)" } else { group.protocol }.to_owned();
    if let Some(assignor) = &group.assignor {
        words.push_str(&format!(", {assignor}"));
    }
    words.push_str(&format!(" · {}", group.state.as_deref().unwrap_or("no coordinator")));
    let epoch = if group.protocol == "classic" { "generation" } else { "member epoch" };
    words.push_str(&match group.epoch {
        0.. => format!(" · {epoch} {}", group.epoch),
        _ => format!(" · no {epoch} yet"),
    });
    if let Some(coordinator) = &group.coordinator {
        words.push_str(&format!(" · coordinator {coordinator}"));
    }
    words
}

/// The figure that compares protocols: for how long partitions were read by nobody.
pub(crate) fn paused(group: &Group) -> Shape {
    let now = group.shares.iter().filter(|it| it.paused_since_us.is_some()).count();
    let words = format!("{} partition-seconds paused", seconds(group.paused_us));
    let mut more = String::new();
    if let Some(newcomer) = &group.newcomer {
        more.push_str(&format!(" · {} since {newcomer} came", seconds(group.paused_since_newcomer_us)));
    }
    if now > 0 {
        more.push_str(&format!(" · {now} now"));
    }
    classed("span", if now > 0 { "paused harm" } else { "paused" })
        .set("title", "for how long the group’s partitions were read by nobody, added up")
        .with([shape("b").say(words), text(more)])
}

/// 1 240 000 → "1.24".
pub(crate) fn seconds(us: u64) -> String {
    format!("{}.{:02}", grouped(us / 1_000_000), us / 10_000 % 100)
}

/// Members by partitions; with a time in full, without one only who has what.
/// What somebody is asked to bet on is not among the sums yet.
pub(crate) fn table(group: &Group, now_us: Option<u64>, hides_lag: bool) -> Shape {
    let full = now_us.is_some();
    let mut heads = vec![shape("th").set("scope", "col").say("member")];
    let topic = |it: &Share| it.partition.rsplit_once('-').map_or(String::new(), |it| it.0.to_owned());
    let alone = group.shares.first().map(topic).filter(|first| group.shares.iter().all(|it| topic(it) == *first));
    for share in &group.shares {
        let number = share.partition.rsplit_once('-').map_or("", |it| it.1);
        let words = if alone.is_some() { number.to_owned() } else { share.partition.clone() };
        let is_idle = share.paused_since_us.is_some();
        let class = if is_idle { "part idle" } else { "part" };
        let told = if is_idle { format!("{}: nobody reads it", share.partition) } else { share.partition.clone() };
        heads.push(classed("th", class).named(&share.partition).set("scope", "col").set("title", told).say(words));
    }
    if full {
        heads.extend(["epoch", "state"].map(|it| shape("th").set("scope", "col").say(it)));
        heads.push(shape("td"));
    }
    let rows = group.members.iter().map(|it| member_row(group, it, now_us));
    let mut table = classed("table", "shares")
        .with([shape("thead").with([shape("tr").with_all(heads)]), shape("tbody").with_all(rows.collect())]);
    if let Some(topic) = alone {
        table.children.insert(0, shape("caption").say(format!("partitions of {topic}")));
    }
    // Nobody has read anything: there is nothing to add up.
    if full && !group.shares.is_empty() {
        let sums: [(&str, Sum); 4] = [
            ("committed", |it| it.committed),
            ("position", |it| it.position),
            ("high watermark", |it| Some(it.end)),
            ("lag", Share::lag),
        ];
        let rows = sums.into_iter().take(if hides_lag { 3 } else { 4 }).map(|(name, of)| sum_row(group, name, of));
        table.children.push(shape("tfoot").with_all(rows.collect()));
    }
    table
}

fn member_row(group: &Group, member: &Member, now_us: Option<u64>) -> Shape {
    let runs = member.process.runs();
    let mut name = shape("th").set("scope", "row").with([classed("button", "line")
        .set("data-do", format!("process:{}", member.client))
        .say(member.client.clone())]);
    if member.is_leader {
        name.children.push(glyph("#g-lead"));
    }
    if let Some(instance) = &member.instance {
        name.children.push(shape("small").say(instance.clone()));
    }
    let mut cells = vec![name];
    for it in &group.shares {
        let owns = it.owners.contains(&member.client);
        let frees = it.released_by.as_ref() == Some(&member.client);
        let (class, word) = match (owns || frees, frees, it.awaited_by.as_ref() == Some(&member.client)) {
            (true, false, _) if it.owners.len() > 1 => ("has twice", "believes to have it, as another member does"),
            (true, false, _) if member.process == State::Paused => ("has frozen", "has it, and stands still"),
            (true, false, _) => ("has", "has it"),
            (true, true, _) => ("frees", "gives it up"),
            (false, _, true) => ("awaits", "waits for it"),
            (false, _, false) => ("", ""),
        };
        let mut cell = shape("td").named(&it.partition);
        if !class.is_empty() {
            cell = cell.set("class", class).set("title", format!("{} {word}: {}", member.client, it.partition));
            cell.children.push(classed("span", "sr").say(word));
        }
        cells.push(cell);
    }
    if let Some(now) = now_us {
        cells.push(shape("td").say(member.epoch.map_or("–".to_owned(), |it| it.to_string())));
        let mut state = if runs { member.state.clone() } else { member.process.word().to_owned() };
        if member.process == State::Paused {
            state = "frozen".to_owned();
        }
        if runs && !member.is_counted && member.epoch.is_some() && group.state.is_some() {
            state.push_str(", and out of the group without knowing");
        }
        if let Some(until) = member.poll_until_us.filter(|it| runs && *it > now) {
            state.push_str(&format!(", polls within {}", left(until - now)));
        }
        cells.push(classed("td", "state").say(state));
        cells.push(classed("td", "deeds").with_all(deeds(member)));
    }
    shape("tr").named(&member.client).when(!runs, "class", "gone").with_all(cells)
}

/// What can be done to a member.
fn deeds(member: &Member) -> Vec<Shape> {
    let name = &member.client;
    let deed = |line: String, picture: &'static str, words: &'static str| {
        classed("button", "deed")
            .named(words)
            .set("title", line.clone())
            .set("data-do", format!("act:{line}"))
            .with([glyph(picture), classed("span", "sr").say(words)])
    };
    let kill = deed(format!("kill {name}"), "#g-off", "Kill");
    match member.process {
        State::Down | State::Dark => vec![deed(format!("start {name}"), "#i-play", "Start")],
        State::Paused => vec![deed(format!("resume {name}"), "#i-play", "Go on"), kill],
        _ => vec![
            deed(format!("pause {name}"), "#i-pause", "Freeze"),
            if member.slow_us > 0 {
                deed(format!("slow {name} 0us"), "#g-ok", "As fast as before")
            } else {
                deed(format!("slow {name} 500ms"), "#g-wait", "Slow")
            },
            kill,
            deed(format!("close {name}"), "#i-end", "Leave"),
        ],
    }
}

/// An offset of each partition; what is not known is "–".
fn sum_row(group: &Group, name: &'static str, of: Sum) -> Shape {
    let words = if name == "lag" { "lag: watermark − committed" } else { name };
    let mut cells = vec![shape("th").set("scope", "row").say(words)];
    for it in &group.shares {
        let why = match name {
            "committed" | "lag" => "– nothing is committed",
            "position" => "– nobody reads it",
            _ => "– not known",
        };
        let cell = shape("td").named(&it.partition);
        cells.push(match of(it) {
            Some(offset) => cell.say(grouped(offset.max(0).unsigned_abs())),
            None => cell.set("title", why).say("–"),
        });
    }
    let sum: Option<i64> = group.shares.iter().map(of).sum();
    let all = match (name, sum) {
        ("lag", Some(lag)) if !group.shares.is_empty() => format!("{} in all", grouped(lag.max(0).unsigned_abs())),
        _ => String::new(),
    };
    cells.push(shape("td").set("colspan", "3").say(all));
    shape("tr").with_all(cells)
}

/// Who holds back what.
pub(crate) fn holds(group: &Group) -> Option<Shape> {
    let lines = group.holds.iter().map(|it| shape("li").say(it.clone()));
    (!group.holds.is_empty())
        .then(|| classed("ul", "holds").set("aria-label", "Who holds back what").with_all(lines.collect()))
}

/// What the cells mean.
pub(crate) fn legend() -> Shape {
    let key = |(class, words): (&'static str, &'static str)| shape("span").with([classed("i", class), text(words)]);
    let keys = [
        ("has", "has it"),
        ("frees", "gives it up, reads no more"),
        ("awaits", "waits for it"),
        ("has frozen", "frozen"),
    ];
    classed("p", "legend keys").with(keys.map(key))
}
