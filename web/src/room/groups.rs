//! Consumer groups: who has which partition, how far each is read and committed, and during a rebalance who holds back what.

use super::scene::Scene;
use super::{grouped, in_tenths, lanes, left, lesson, of_tenths, seconds};
use crate::draw::{Shape, classed, glyph, shape, text};
use crate::look::GROUPS;
use crate::view::{Group, Member, Share, State};

/// An offset, or a number of them, of a partition; nothing if it is not known.
type Sum = fn(&Share) -> Option<i64>;

/// How much is told of a group.
#[derive(Clone, Copy)]
pub(crate) enum Detail {
    /// All of it, at a time, in µs; without the lag if that is to be bet on.
    Full { now_us: u64, hides_lag: bool },
    /// Who has what; and for how long each partition was paused, unless that is to be bet on.
    Lane { is_bet: bool },
}

/// How a cell can look: its class, and what that says of the member and the partition.
const LOOKS: [(&str, &str); 5] = [
    ("has", "has it"),
    ("has frozen", "has it, and stands still"),
    ("has twice", "believes to have it, as another one does"),
    ("frees", "gives it up, and reads it no more"),
    ("awaits", "waits for it"),
];

/// The view: the groups of the room, or of its lanes beside each other.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let mut shapes = if scene.lanes.iter().all(|it| it.groups.is_empty()) { Vec::new() } else { lanes::draw(scene) };
    // As long as a story of lanes is followed, they say it all.
    if !lesson::is_of_lanes(scene) {
        shapes.extend(scene.view.groups.iter().map(|it| section(scene, it)));
    }
    shapes
}

fn section(scene: &Scene, group: &Group) -> Shape {
    let name = classed("button", "line").set("data-do", format!("group:{}", group.name)).say(group.name.clone());
    let title = shape("h2").say("Group ").with([name, text(" "), shape("small").say(about(group))]);
    let figure = (!lesson::hides_figures(scene)).then(|| paused(group));
    let mut shapes = vec![classed("div", "head").with_all([title].into_iter().chain(figure).collect())];
    shapes.push(
        classed("div", "sharing")
            .set("tabindex", "0")
            .set("role", "group")
            .set("aria-label", format!("Members and partitions of {}", group.name))
            .with([table(
                group,
                Detail::Full { now_us: scene.view.time_us, hides_lag: lesson::asks(scene, "’s lag") },
            )]),
    );
    shapes.extend(holds(group));
    shapes.push(legend(&[group]));
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
fn paused(group: &Group) -> Shape {
    let now = group.shares.iter().filter(|it| it.paused_since_us.is_some()).count();
    let mut more = " partition-seconds paused".to_owned();
    if let Some(newcomer) = &group.newcomer {
        more.push_str(&format!(" since “{newcomer}” came, {} in all", seconds(group.paused_us)));
    }
    if now > 0 {
        more.push_str(&format!(" · {now} now"));
    }
    classed("span", if now > 0 { "paused harm" } else { "paused" })
        .set("title", "for how long the group’s partitions were read by nobody, added up")
        .with([shape("b").say(seconds(group.paused_since_newcomer_us)), text(more)])
}

/// So many tenths of a second, of what was more than nothing.
pub(crate) fn some_seconds(tenths: u64) -> String {
    if tenths == 0 { "<0.1".to_owned() } else { of_tenths(tenths) }
}

/// For how long each partition was paused since the newcomer came, in tenths of a second. What is lost in rounding goes over to the
/// next: they add up to what is told of all together.
pub(crate) fn pauses(group: &Group) -> Vec<u64> {
    let (mut sum, mut told) = (0, 0);
    let next = |it: &Share| {
        sum += it.paused_since_newcomer_us;
        let own = in_tenths(sum) - told;
        told += own;
        own
    };
    group.shares.iter().map(next).collect()
}

/// Members by partitions.
pub(crate) fn table(group: &Group, detail: Detail) -> Shape {
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
    let head = |it: &'static str| shape("th").set("scope", "col").say(it);
    match detail {
        Detail::Full { .. } => heads.extend([head("epoch"), head("state"), shape("td")]),
        Detail::Lane { .. } => heads.push(head("state")),
    }
    let rows = group.members.iter().map(|it| member_row(group, it, detail));
    let mut table = classed("table", "shares")
        .with([shape("thead").with([shape("tr").with_all(heads)]), shape("tbody").with_all(rows.collect())]);
    if let Some(topic) = alone {
        table.children.insert(0, shape("caption").say(format!("partitions of {topic}")));
    }
    let sums: [(&str, Sum); 4] = [
        ("committed", |it| it.committed),
        ("position", |it| it.position),
        ("high watermark", |it| Some(it.end)),
        ("lag", Share::lag),
    ];
    let rows = match detail {
        // Nobody has read anything: there is nothing to add up.
        _ if group.shares.is_empty() => Vec::new(),
        Detail::Full { hides_lag, .. } => {
            let sums = sums.into_iter().take(if hides_lag { 3 } else { 4 });
            sums.map(|(name, of)| sum_row(group, name, of)).collect()
        }
        Detail::Lane { is_bet: false } => vec![pauses_row(group)],
        Detail::Lane { is_bet: true } => Vec::new(),
    };
    if !rows.is_empty() {
        table.children.push(shape("tfoot").with_all(rows));
    }
    table
}

/// For how long nobody read each partition, and all of that together.
fn pauses_row(group: &Group) -> Shape {
    let cell = |it: &Share, tenths: u64| {
        let words = if it.paused_since_newcomer_us > 0 { some_seconds(tenths) } else { "0".to_owned() };
        shape("td").named(&it.partition).say(words)
    };
    let cells = group.shares.iter().zip(pauses(group)).map(|(it, tenths)| cell(it, tenths));
    let sum = format!("= {}", seconds(group.paused_since_newcomer_us));
    shape("tr")
        .with([shape("th").set("scope", "row").say("paused, s")])
        .with_all(cells.collect())
        .with([shape("td").with([shape("b").say(sum)])])
}

/// How a member and a partition stand to each other, as one of [`LOOKS`].
fn look(member: &Member, it: &Share) -> Option<usize> {
    let frees = it.released_by.as_ref() == Some(&member.client);
    let owns = it.owners.contains(&member.client);
    match (owns || frees, frees) {
        (true, true) => Some(3),
        (true, false) if it.owners.len() > 1 => Some(2),
        (true, false) if member.process == State::Paused => Some(1),
        (true, false) => Some(0),
        (false, _) => (it.awaited_by.as_ref() == Some(&member.client)).then_some(4),
    }
}

fn member_row(group: &Group, member: &Member, detail: Detail) -> Shape {
    let runs = member.process.runs();
    let mut name = shape("th").set("scope", "row").with([classed("button", "line")
        .set("data-do", format!("process:{}", member.client))
        .say(member.client.clone())]);
    if member.is_leader {
        name.children.push(shape("em").say("group leader"));
    }
    if let Some(instance) = &member.instance {
        name.children.push(shape("small").say(instance.clone()));
    }
    let mut cells = vec![name];
    for it in &group.shares {
        let mut cell = shape("td").named(&it.partition);
        if let Some((class, word)) = look(member, it).map(|it| LOOKS[it]) {
            cell = cell.set("class", class).set("title", format!("{} {word}: {}", member.client, it.partition));
            cell.children.push(classed("span", "sr").say(word));
        }
        cells.push(cell);
    }
    let mut state = if runs { member.state.clone() } else { member.process.word().to_owned() };
    if member.process == State::Paused {
        state = "frozen".to_owned();
    }
    if runs && !member.is_counted && member.epoch.is_some() && group.state.is_some() {
        state.push_str(", and out of the group without knowing");
    }
    match detail {
        Detail::Full { now_us, .. } => {
            cells.push(shape("td").say(member.epoch.map_or("–".to_owned(), |it| it.to_string())));
            if let Some(until) = member.poll_until_us.filter(|it| runs && *it > now_us) {
                state.push_str(&format!(", polls within {}", left(until - now_us)));
            }
            cells.push(classed("td", "state").say(state));
            cells.push(classed("td", "deeds").with_all(deeds(member)));
        }
        Detail::Lane { .. } => {
            let reads = group.shares.iter().any(|it| matches!(look(member, it), Some(0 | 2)));
            state.push_str(if reads { ", reads" } else { ", reads nothing" });
            cells.push(classed("td", "state").say(state));
        }
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

/// What the cells of these groups mean, as far as there are any.
pub(crate) fn legend(groups: &[&Group]) -> Shape {
    let key = |class: &'static str, words: &'static str| shape("span").with([classed("i", class), text(words)]);
    let shares = || groups.iter().flat_map(|it| it.shares.iter().map(move |share| (*it, share)));
    let is_used = |index: usize| {
        shares().any(|(group, share)| group.members.iter().any(|member| look(member, share) == Some(index)))
    };
    let used = LOOKS.iter().enumerate().filter(|it| is_used(it.0));
    let mut keys: Vec<Shape> = used.map(|(_, (class, words))| key(class, words)).collect();
    if shares().any(|it| it.1.paused_since_us.is_some()) {
        keys.push(key("idle", "nobody reads it"));
    }
    classed("p", "legend keys").with_all(keys)
}
