//! The metadata quorum: every node's copy of its log on one axis of offsets, who leads it by whose votes, and how far each has
//! applied it.

use sim::metadata::{Entry, Member, sign};
use sim::world::Power;

use super::grouped;
use super::scene::Scene;
use crate::draw::{Shape, classed, glyph, shape, tenths, text};

/// Offsets in sight.
pub(crate) const COLUMNS: i64 = 24;
/// Records that are told in words.
const TOLD: usize = 6;

/// What is looked at of the quorum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) members: Vec<Member>,
    /// Where somebody has scrolled to: one past the last offset in sight. Otherwise the end is followed.
    pub(crate) before: Option<i64>,
    /// The record that is looked at.
    pub(crate) chosen: Option<i64>,
}

impl Sight {
    fn end(&self) -> i64 {
        self.members.iter().map(|it| it.end).max().unwrap_or(0)
    }

    /// The first offset in sight.
    fn first(&self) -> i64 {
        (self.before.unwrap_or(self.end()).min(self.end()) - COLUMNS).max(0)
    }

    /// Chooses the record beside the chosen one, or the newest; scrolls to where it is.
    pub(crate) fn choose(&mut self, key: &str) -> bool {
        let last = self.end() - 1;
        let to = match (key, self.chosen) {
            ("ArrowLeft", Some(it)) => it - 1,
            ("ArrowRight", Some(it)) => it + 1,
            ("ArrowLeft" | "ArrowRight" | "End", _) => last,
            ("Home", _) => 0,
            _ => return false,
        };
        let to = to.clamp(0, last.max(0));
        let first = self.first();
        if !(first..first + COLUMNS).contains(&to) {
            let before = (to + COLUMNS / 2).max(COLUMNS.min(self.end()));
            self.before = (before < self.end()).then_some(before);
        }
        self.chosen = (last >= 0).then_some(to);
        true
    }

    /// Scrolls by so many windows.
    pub(crate) fn scroll(&mut self, way: i64) {
        let to = (self.first() + COLUMNS + way * (COLUMNS - 4)).max(COLUMNS.min(self.end()));
        self.before = (to < self.end()).then_some(to);
        self.chosen = None;
    }
}

/// The view.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let sight = &scene.quorum;
    let leader = leader(&sight.members);
    let about = match leader {
        Some(it) => {
            let votes = sight.members.iter().filter(|member| member.is_voter && member.leader == Some(it.id)).count();
            let voters = sight.members.iter().filter(|it| it.is_voter).count();
            format!("{} leads in quorum epoch {} (q{1}) · {votes} of {voters} voters know it", it.name, it.epoch)
        }
        None => "nobody leads: metadata cannot change".to_owned(),
    };
    let first = sight.first();
    let scroll = |way: i64, sign: &'static str, label: &'static str, off: bool| {
        shape("button")
            .set("aria-label", label)
            .set("data-do", format!("quorum:{way}"))
            .when(off, "disabled", "")
            .say(sign)
    };
    let head = classed("div", "head").with([
        shape("h2").say("Quorum ").with([shape("small").say(about)]),
        classed("span", "pages").with([
            scroll(-1, "‹", "Earlier metadata records", first == 0),
            scroll(1, "›", "Later metadata records", sight.before.is_none()),
        ]),
    ]);
    let marks = (first..first + COLUMNS)
        .filter(|it| it % 4 == 0)
        .map(|it| classed("b", "off").set("style", left(it - first)).say(grouped(it.unsigned_abs())));
    let axis = classed("div", "qrow axisline").set("aria-hidden", "true").with([
        classed("span", "who"),
        classed("span", "cells").with_all(marks.collect()),
        classed("span", "ends").say("applied to"),
    ]);
    let mut rows = vec![axis];
    rows.extend(sight.members.iter().map(|it| row(sight, it, leader, first)));
    // One stop for Tab; the arrows go from record to record.
    let is_list = sight.members.iter().any(|it| !it.records.is_empty());
    let chosen = sight.chosen.and_then(|it| Some(id_of(holder(sight, it)?, it)));
    let log = classed("div", "metalog")
        .set("tabindex", "0")
        .set("role", if is_list { "listbox" } else { "group" })
        .set("aria-activedescendant", chosen.unwrap_or_default())
        .set("aria-label", "Metadata log, by offset: ← and → choose a record")
        .with_all(rows);
    let mut shapes = vec![head, log];
    shapes.extend(signs(sight));
    shapes.extend(told(sight));
    vec![classed("section", "quorum").set("aria-label", "Quorum").with_all(shapes)]
}

/// What the signs in sight mean.
fn signs(sight: &Sight) -> Option<Shape> {
    let mut known: Vec<&'static str> = Vec::new();
    for it in sight.members.iter().flat_map(|it| &it.records) {
        if !known.contains(&it.name) {
            known.push(it.name);
        }
    }
    let words = |it: &str| it.trim_end_matches("Record").to_owned();
    let signs = known.iter().map(|it| shape("span").with([classed("b", "sign").say(sign(it)), text(words(it))]));
    (!known.is_empty()).then(|| classed("p", "legend signs").with_all(signs.collect()))
}

fn leader(members: &[Member]) -> Option<&Member> {
    members.iter().filter(|it| it.leader == Some(it.id)).max_by_key(|it| it.epoch)
}

fn left(column: i64) -> String {
    format!("left:{}%", tenths(column as f64 * 100.0 / COLUMNS as f64))
}

/// True if a node follows another one that it cannot hear of.
fn is_deaf(member: &Member) -> bool {
    member.leader.is_some_and(|it| it != member.id) && !member.hears
}

/// What a node is in the quorum, in words.
fn part(sight: &Sight, member: &Member) -> String {
    let name = |id: Option<protocol::NodeId>| sight.members.iter().find(|it| Some(it.id) == id).map(|it| &*it.name);
    let vote = |words: &mut String| {
        if let Some(voted) = name(member.voted) {
            let whom = if voted == &*member.name { "itself" } else { voted };
            words.push_str(&format!(", voted for {whom}"));
        }
    };
    let Some(role) = member.role else {
        let mut words = if member.power == Power::Dark { "no power" } else { "not running" }.to_owned();
        if member.is_voter && member.voted.is_some() {
            words.push_str("; its disk: ");
            let from = words.len();
            vote(&mut words);
            words.replace_range(from..from + 2, "");
        }
        return words;
    };
    let mut words = match (role.name(), name(member.leader)) {
        (_, Some(leader)) if is_deaf(member) => format!("hears nothing of {leader}"),
        ("follower", Some(leader)) => format!("follows {leader}"),
        ("observer", Some(leader)) => format!("reads from {leader}"),
        (role, _) => role.to_owned(),
    };
    if member.is_voter {
        vote(&mut words);
    }
    if member.paused {
        words.push_str(", standing still");
    }
    words
}

fn row(sight: &Sight, member: &Member, leader: Option<&Member>, first: i64) -> Shape {
    let runs = member.role.is_some();
    let leads = leader.is_some_and(|it| it.id == member.id);
    let picture = match (runs, leads) {
        (false, _) => "#g-off",
        (true, true) => "#g-lead",
        (true, false) if is_deaf(member) || member.leader.is_none() => "#g-wait",
        (true, false) => "#g-ok",
    };
    let who = classed("span", "who").with([
        glyph(picture),
        shape("b").say(member.name.to_string()),
        classed("span", format!("ep e{}", member.epoch.rem_euclid(4))).say(format!("q{}", member.epoch)),
        shape("small").say(part(sight, member)),
    ]);
    let cells = member.records.iter().map(|it| cell(sight, member, it, first));
    let mut on_axis: Vec<Shape> = cells.collect();
    if (first..=first + COLUMNS).contains(&member.applied) && runs {
        on_axis.push(classed("i", "mark").set("style", left(member.applied - first)));
    }
    let applied = if runs { format!("{} of {}", member.applied, member.end) } else { format!("– of {}", member.end) };
    let label = format!(
        "{}: {}, epoch {}, log end {}, applied to {applied}",
        member.name,
        part(sight, member),
        member.epoch,
        member.end
    );
    classed("div", if runs { "qrow" } else { "qrow ghost" })
        .named(&member.name)
        .set("role", "group")
        .set("aria-label", label)
        .with([
            who,
            // Some browsers take an option for one of its list only if nothing of its own is between them.
            classed("span", "cells").set("role", "presentation").with_all(on_axis),
            classed("span", "ends").with([shape("b").say(applied)]),
        ])
}

/// The first node that has a record in sight: there it is told to whoever goes from record to record.
fn holder(sight: &Sight, offset: i64) -> Option<&Member> {
    sight.members.iter().find(|it| it.records.iter().any(|it| it.offset == offset))
}

fn id_of(member: &Member, offset: i64) -> String {
    format!("{}/metadata:{offset}", member.name)
}

fn cell(sight: &Sight, member: &Member, entry: &Entry, first: i64) -> Shape {
    let open = member.role.is_some() && entry.offset >= member.applied;
    let is_chosen = sight.chosen == Some(entry.offset);
    let class = format!(
        "q e{}{}{}",
        entry.epoch.rem_euclid(4),
        if open { " open" } else { "" },
        if is_chosen { " on" } else { "" }
    );
    let mut cell = classed("button", class).keyed(entry.offset.cast_unsigned());
    if is_chosen {
        cell = cell.set("id", id_of(member, entry.offset));
    }
    let words = format!("{} {} {}", entry.offset, entry.name, entry.about);
    cell.set("role", "option")
        .set("aria-selected", if is_chosen { "true" } else { "false" })
        .set("aria-label", words.clone())
        .set("style", left(entry.offset - first))
        .set("data-do", format!("entry:{}", entry.offset))
        .set("tabindex", "-1")
        .set("title", words)
        .say(sign(entry.name))
}

/// The newest records in sight, or those up to the one that is looked at, in words.
fn told(sight: &Sight) -> Option<Shape> {
    let member = sight
        .members
        .iter()
        .filter(|it| !it.records.is_empty())
        .max_by_key(|it| (it.records.last().map(|it| it.offset), it.epoch))?;
    let upto = sight.chosen.unwrap_or(i64::MAX);
    let known: Vec<&Entry> = member.records.iter().filter(|it| it.offset <= upto && it.name != "NoOpRecord").collect();
    let rows = known[known.len().saturating_sub(TOLD)..].iter().rev().map(|it| {
        shape("tr").keyed(it.offset.cast_unsigned()).when(sight.chosen == Some(it.offset), "class", "on").with([
            shape("th").set("scope", "row").with([classed("button", "line")
                .set("data-do", format!("entry:{}", it.offset))
                .say(it.offset.to_string())]),
            shape("td")
                .with([classed("span", format!("ep e{}", it.epoch.rem_euclid(4))).say(format!("q{}", it.epoch))]),
            shape("td").with([classed("b", "sign").say(sign(it.name)), text(format!(" {}", it.name))]),
            shape("td").say(it.about.clone()),
        ])
    });
    let caption =
        shape("caption").say("The newest first; NoOpRecords, which only show that the leader lives, are left out.");
    Some(classed("table", "told").set("id", "metadata").with([caption, shape("tbody").with_all(rows.collect())]))
}
