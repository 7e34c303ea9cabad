//! The same scenario with other settings, side by side on one clock: the groups of each lane, and the figure that compares them.

use super::groups::{Detail, holds, legend, pauses, some_seconds, table};
use super::scene::Scene;
use super::{bar, groups, lesson, seconds};
use crate::draw::{self, Shape, classed, shape};
use crate::groups::rule;
use crate::view::Group;

/// A lane as it is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) time_us: u64,
    pub(crate) groups: Vec<Group>,
}

impl Sight {
    /// Since somebody came last: by then lanes may have begun differently.
    fn paused_us(&self) -> u64 {
        self.groups.iter().map(|it| it.paused_since_newcomer_us).sum()
    }
}

/// The lanes.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let full = scale(scene.lanes.iter().map(Sight::paused_us).max().unwrap_or(0));
    let is_bet = lesson::hides_figures(scene);
    let shown: Vec<&Group> = scene.lanes.iter().flat_map(|it| &it.groups).collect();
    let head = classed("div", "head").with([
        shape("h2").say("Lanes ").with([shape("small").say("one clock, one seed, the same actions; other settings")]),
        legend(&shown),
    ]);
    let mut shapes = vec![head];
    if !is_bet {
        shapes.extend(scene.lanes.first().and_then(came).map(|it| classed("p", "plain").say(it)));
        let [generation, newer] = ["generation", "KIP-848"].map(|it| format!("{it}: {}", bar::meaning(it)));
        let seconds = full / 1_000_000;
        let words = format!("A full bar: {seconds} partition-seconds. {generation}. {newer}.");
        shapes.push(classed("p", "note").say(words));
    }
    let lanes = scene.lanes.iter().map(|it| lane(it, it.number == scene.lane, (!is_bet).then_some(full)));
    shapes.push(classed("div", "rows").with_all(lanes.collect()));
    shapes.push(super::apart::draw(scene));
    vec![classed("section", "group").set("aria-label", "Lanes").with_all(shapes)]
}

/// Who came last to the group, and what that is about.
fn came(lane: &Sight) -> Option<String> {
    let group = lane.groups.first()?;
    let (newcomer, name, partitions) = (group.newcomer.as_ref()?, &group.name, group.shares.len());
    let ago = seconds(lane.time_us.saturating_sub(group.newcomer_at_us));
    let members = group.members.iter().filter(|it| it.is_counted || it.client == *newcomer).count();
    let mut words =
        format!("{newcomer} joined group {name} {ago} s ago: {partitions} partitions, {members} members now.");
    if members > 1 {
        words.push_str(&format!(
            " No partition may have two owners: what {newcomer} is to get, others have to give up first."
        ));
    }
    Some(words)
}

/// What a full bar is, in partition-microseconds, where this is the most of all lanes: 1, 2 or 5 and zeros, so that bars that are
/// looked at one after the other can mostly be compared.
fn scale(most: u64) -> u64 {
    let mut steps = (6..18).flat_map(|zeros| [1, 2, 5].map(|it| it * 10_u64.pow(zeros)));
    steps.find(|it| *it >= most).unwrap_or(most)
}

/// What a `full` bar is: nothing if the figures are to be bet on.
fn lane(sight: &Sight, is_on: bool, full: Option<u64>) -> Shape {
    let title = classed("button", if is_on { "tab on" } else { "tab" })
        .set("data-do", format!("lane:{}", sight.number))
        .set("aria-pressed", if is_on { "true" } else { "false" })
        .set("title", "show this lane’s cluster, log and files")
        .say(if sight.name.is_empty() { "as told".to_owned() } else { sight.name.clone() });
    let mut tale = vec![title];
    let mut tables = Vec::new();
    for group in &sight.groups {
        tale.push(shape("small").say(format!(" {}", groups::about(group))));
        if full.is_some() {
            tale.extend([
                classed("p", "plain").say(rule(group)),
                shape("p").with([shape("b").say(group.stands.clone())]),
            ]);
        }
        tale.extend(holds(group));
        let detail = Detail::Lane { is_bet: full.is_none() };
        let label = format!("Members and partitions, {}", sight.name);
        let frame = classed("div", "sharing").set("tabindex", "0").set("role", "group").set("aria-label", label);
        tables.push(frame.with([table(group, detail)]));
        tables.extend(full.map(|full| figure(group, full)));
    }
    classed("section", "way")
        .keyed(sight.number as u64)
        .set("aria-label", sight.name.clone())
        .with([shape("div").with_all(tale), shape("div").with_all(tables)])
}

/// The figure that compares lanes, as the sum of what each member gave up.
fn figure(group: &Group, full: u64) -> Shape {
    let paused = group.paused_since_newcomer_us;
    let bar =
        classed("i", "bar").set("style", format!("--share:{}%", draw::tenths(paused as f64 * 100.0 / full as f64)));
    let pauses = pauses(group);
    let mut parts = Vec::new();
    for member in &group.members {
        let freed = group.shares.iter().zip(&pauses).filter(|it| it.0.freed_by.as_ref() == Some(&member.client));
        let (count, sum) = freed.fold((0, 0), |(count, sum), it| (count + 1, sum + it.1));
        if count > 0 {
            parts.push(format!("{} ({}’s {count})", some_seconds(sum), member.client));
        }
    }
    let mut words = " partition-seconds paused".to_owned();
    if !parts.is_empty() {
        words.push_str(&format!(" = {}", parts.join(" + ")));
    }
    classed("p", "figure").with([shape("b").say(seconds(paused)), shape("small").say(words), bar])
}

#[cfg(test)]
mod tests {
    use super::super::lesson::Lesson;
    use super::super::rooms::find;
    use super::*;

    /// The lanes of lesson 21 at the moment of a chapter, from 1; the reader has bet.
    fn at(chapter: usize) -> Scene {
        let choice = find("21").unwrap();
        let mut engines = choice.engines().unwrap();
        let mut lesson = Lesson::of(choice, &engines[0].1).unwrap();
        lesson.bet(0, 0);
        let moment = lesson.moment(chapter - 1).unwrap();
        let mut scene = Scene::new(21);
        for (number, (name, engine)) in engines.iter_mut().enumerate() {
            engine.seek_time(moment.at.0);
            let (name, groups) = ((*name).to_owned(), engine.groups());
            scene.lanes.push(Sight { number, name, time_us: engine.clock(), groups });
        }
        scene.view = engines[0].1.view();
        scene.lesson = Some(lesson);
        scene
    }

    #[test]
    fn a_full_bar_is_a_round_number() {
        assert_eq!(
            [0, 900_000, 1_000_001, 12_200_000, 18_000_000].map(scale),
            [1, 1, 2, 20, 20].map(|it| it * 1_000_000)
        );
    }

    /// What is said of each lane besides its table: what stands still, and who holds it back.
    fn told(scene: &Scene) -> Vec<(&str, Vec<&str>)> {
        let groups = scene.lanes.iter().flat_map(|it| &it.groups);
        groups.map(|it| (&*it.stands, it.holds.iter().map(|it| &**it).collect())).collect()
    }

    #[test]
    fn each_lane_says_what_stands_still_for_whom_and_who_waits_for_whom() {
        let scene = at(2);
        assert_eq!(
            told(&scene),
            [
                (
                    "Round 1: 8 of 12 partitions stand still; c1 and c2 read nothing.",
                    vec!["c1, c2 and c4 wait for c3: it joins when it polls next."]
                ),
                (
                    "Round 1: nothing stands still.",
                    vec!["c3 and c4 wait for c1 and c2: each joins when it polls next."]
                ),
                (
                    "2 of 12 partitions stand still; no member stops.",
                    vec!["c4 waits for c2 to give up orders-11.", "c4 takes orders-3, orders-7 when it polls next."]
                ),
            ]
        );
        assert_eq!(
            came(&scene.lanes[0]).unwrap().split(" No ").next(),
            Some("c4 joined group g 2.4 s ago: 12 partitions, 4 members now.")
        );
        let scene = at(4);
        assert_eq!(
            told(&scene),
            [
                ("Settled after 3.1 s, in 1 round: 12 of 12 partitions stood still, 6 of them moved.", vec![]),
                ("Settled after 10.2 s, in 2 rounds: 3 of 12 partitions stood still, 3 of them moved.", vec![]),
                ("Settled after 4.9 s: 3 of 12 partitions stood still, 3 of them moved.", vec![]),
            ]
        );
    }

    /// The same figure at the lane, beneath its table, and as the sum of both the members' parts and the partitions'.
    #[test]
    fn what_was_paused_adds_up_at_every_moment() {
        for chapter in 2..=5 {
            for lane in &at(chapter).lanes {
                let group = &lane.groups[0];
                let all = super::super::in_tenths(group.paused_since_newcomer_us);
                assert_eq!(pauses(group).iter().sum::<u64>(), all, "{} {chapter}", lane.name);
                let words = figure(group, 1).words();
                let number = |it: &str| match it.split(['.', ' ']).take(2).collect::<String>().parse::<u64>() {
                    Err(_) if it.starts_with("<0.1 ") => 0,
                    number => number.unwrap(),
                };
                let (sum, parts) = words.split_once(" partition-seconds paused").unwrap();
                let parts: u64 =
                    parts.trim_start_matches(" = ").split(" + ").filter(|it| !it.is_empty()).map(number).sum();
                assert_eq!((number(sum), parts), (all, all), "{words}");
                let table = table(group, Detail::Lane { is_bet: false }).words();
                assert!(table.ends_with(&format!("= {sum}")), "{table}");
            }
        }
        let words: Vec<String> = at(4).lanes.iter().map(|it| figure(&it.groups[0], 1).words()).collect();
        assert_eq!(
            words,
            [
                "18.0 partition-seconds paused = 9.6 (c1’s 4) + 8.4 (c2’s 4) + <0.1 (c3’s 4)",
                "12.2 partition-seconds paused = 3.0 (c1’s 1) + 3.8 (c2’s 1) + 5.4 (c3’s 1)",
                "3.0 partition-seconds paused = 0.3 (c1’s 1) + 2.4 (c2’s 1) + 0.3 (c3’s 1)",
            ]
        );
    }

    /// What a chapter says stays while time goes on; from when it is stands beside it then.
    #[test]
    fn a_chapter_whose_moment_is_past_says_so() {
        let mut scene = at(2);
        let words = |scene: &Scene| lesson::draw(scene).iter().map(Shape::words).collect::<String>();
        assert!(!words(&scene).contains("This was so at"), "{}", words(&scene));
        scene.view.time_us += 100_000;
        assert!(words(&scene).contains("This was so at 00:00:23.4"), "{}", words(&scene));
    }

    #[test]
    fn the_legend_has_what_is_drawn_and_no_more() {
        let keys = |scene: &Scene| {
            let groups: Vec<&Group> = scene.lanes.iter().flat_map(|it| &it.groups).collect();
            legend(&groups).words()
        };
        assert_eq!(keys(&at(5)), "has it");
        assert_eq!(keys(&at(2)), "has itwaits for itnobody reads it");
    }
}
