//! The choice of rooms: clusters by their number of brokers, and the scenarios with what they tell.

use leptos::prelude::*;
use protocol::Instant;
use sim::script::{Mark, story};

use super::bar::option;
use super::grouped;
use super::keys::set_value;
use super::scene::Scene;
use super::state::Room;
use crate::draw::{Shape, classed, shape};
use crate::engine::Engine;

/// A room to choose.
pub(crate) struct Choice {
    /// What the page's address names it by.
    pub(crate) id: &'static str,
    /// As people read it.
    pub(crate) title: &'static str,
    /// What the engine makes it from: a number of brokers, or a scenario.
    pub(crate) text: &'static str,
    /// The names of its lanes, and from what each is made; the first one's text tells the story of all.
    pub(crate) lanes: &'static [(&'static str, &'static str)],
}

const fn choice(id: &'static str, title: &'static str, text: &'static str) -> Choice {
    Choice { id, title, text, lanes: &[] }
}

macro_rules! text {
    ($file:literal) => {
        include_str!(concat!("../../../crates/sim/scenarios/", $file, ".scenario"))
    };
}

macro_rules! scenario {
    ($id:literal, $title:literal, $file:literal) => {
        choice($id, $title, text!($file))
    };
}

const GROUP: &str = include_str!("../../group.scenario");
const EAGER: &str = text!("21-rebalance-eager");

/// Rooms without a story, then scenarios; those that tell a story do so by chapters.
pub(crate) const ROOMS: [Choice; 44] = [
    choice("three", "Three brokers", "3"),
    choice("one", "One broker", "1"),
    choice("five", "Five brokers", "5"),
    choice("seven", "Seven brokers", "7"),
    Choice { id: "group", title: "A consumer group", text: GROUP, lanes: &[("", GROUP)] },
    scenario!("1", "1 · Acked, then gone", "01-acks-1-loss-on-a-clean-failover"),
    scenario!("2", "2 · All of one", "02-acks-all-with-min-isr-1"),
    scenario!("3", "3 · Too few to write", "03-min-isr-refuses-writes"),
    scenario!("4", "4 · Written, and read by nobody", "04-acks-1-below-min-isr"),
    scenario!("5", "5 · The high watermark comes later", "05-the-high-watermark-lags-one-fetch"),
    scenario!("6", "6 · Cut to the high watermark", "museum/06-truncation-to-the-high-watermark"),
    scenario!("7", "7 · Two logs part", "07-divergence-repaired"),
    scenario!("8", "8 · An unclean election", "08-unclean-election"),
    scenario!("9", "9 · The last replica standing", "09-last-replica-standing-and-elr"),
    scenario!("10", "10 · The power goes", "10-power-cut-with-and-without-flush"),
    scenario!("10b", "10 · … everywhere at once", "10-power-cut-of-the-whole-cluster"),
    scenario!("11", "11 · A slow follower", "11-slow-follower"),
    scenario!("12", "12 · The zombie leader", "12-zombie-leader"),
    scenario!("13", "13 · Fenced is not dead", "13-fenced-is-not-dead"),
    scenario!("14", "14 · The controller dies", "14-controller-failover"),
    scenario!("15", "15 · No majority", "15-metadata-quorum-lost"),
    scenario!("16", "16 · The coordinator dies", "16-group-coordinator-failover"),
    scenario!("17", "17 · Stopped and killed", "17-graceful-and-hard-stop"),
    scenario!("18", "18 · Preferred leaders", "18-preferred-leaders"),
    scenario!("19", "19 · A throttle too tight", "19-reassignment-under-throttle"),
    scenario!("20", "20 · Reading from a follower", "20-follower-fetch"),
    Choice {
        id: "21",
        title: "21 · Three ways to rebalance",
        text: EAGER,
        lanes: &[
            ("eager", EAGER),
            ("cooperative", text!("21-rebalance-cooperative")),
            ("KIP-848", text!("21-rebalance-kip-848")),
        ],
    },
    scenario!("22", "22 · The zombie consumer", "22-zombie-consumer"),
    scenario!("22b", "22 · … by KIP-848", "22-zombie-consumer-of-kip-848"),
    scenario!("23", "23 · Too long between polls", "23-max-poll-interval-loop"),
    scenario!("24", "24 · Static members", "24-static-membership"),
    scenario!("24b", "24 · … by KIP-848", "24-static-membership-of-kip-848"),
    scenario!("25", "25 · Commit before or after", "25-commit-before-or-after"),
    scenario!("26", "26 · Twice in the log", "26-duplicate-on-retry"),
    scenario!("27", "27 · Once, with idempotence", "27-idempotent-dedupe"),
    scenario!("28", "28 · Overtaken", "28-reorder-on-retry"),
    scenario!("32", "32 · Compaction", "32-compaction-and-tombstones"),
    scenario!("33", "33 · Retention", "33-retention-and-a-slow-consumer"),
    scenario!("34", "34 · Before anybody looked", "34-new-partitions-with-reset-latest"),
    scenario!("35", "35 · A key moves", "35-more-partitions-break-key-order"),
    scenario!("36", "36 · A hot key", "36-hot-key-and-idle-consumers"),
    scenario!("37", "37 · What lag is", "37-the-anatomy-of-lag"),
    scenario!("disk", "A full disk", "full-disk"),
    scenario!("power", "One broker, no power", "power-cut-of-one-broker"),
];

/// A room by its name in the address.
pub(crate) fn find(id: &str) -> Option<&'static Choice> {
    ROOMS.iter().find(|it| it.id == id)
}

/// The choices of the bar's menu: clusters, what is told as a story, what is played alone.
pub(crate) fn options() -> Vec<AnyView> {
    let kinds = ["Clusters", "Stories", "Runs"];
    let group = |kind: usize| {
        let of_kind = ROOMS.iter().filter(|it| it.kind() == kind);
        let choices: Vec<AnyView> = of_kind.map(|it| option(it.id.to_owned(), it.title.to_owned())).collect();
        view! { <optgroup label=kinds[kind]>{choices}</optgroup> }.into_any()
    };
    (0..kinds.len()).map(group).collect()
}

impl Choice {
    /// Its run, or the runs of its lanes, each with its name.
    pub(crate) fn engines(&self) -> Result<Vec<(&'static str, Engine)>, String> {
        if self.lanes.is_empty() {
            return Ok(vec![("", Engine::new(self.text)?)]);
        }
        let mut engines = Vec::new();
        for (name, text) in self.lanes {
            engines.push((*name, Engine::new(text)?));
        }
        Ok(engines)
    }

    /// 0: a cluster, 1: a story, 2: a run without one.
    fn kind(&self) -> usize {
        match self.text.len() {
            0..=1 => 0,
            _ if self.lanes.len() == 1 => 0,
            _ if self.text.contains("\n#:") => 1,
            _ => 2,
        }
    }
}

/// Goes into a room, and names it in the page's address.
pub(crate) fn choose(room: Room, id: &str) {
    if let Some(choice) = find(id) {
        // A browser that keeps no address loses nothing else.
        let _ = window().location().set_hash(id);
        room.enter(choice);
    }
}

/// Goes into the room that the page's address names, if that is not the one that is open; without a name it is the first.
pub(crate) fn open(room: Room) {
    let hash = window().location().hash().unwrap_or_default();
    let id = hash.trim_start_matches('#');
    let choice = if id.is_empty() { ROOMS.first() } else { find(id) };
    if let Some(choice) = choice.filter(|it| room.with(|scene| scene.room != it.id)) {
        set_value("rooms", choice.id);
        room.enter(choice);
    }
}

/// A scenario as somebody goes through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    title: &'static str,
    question: String,
    /// What is told, and of which moment: events, turns, the clock.
    chapters: Vec<(String, Mark)>,
    /// The moment before which there is no topic.
    begin: Option<Mark>,
    /// It is told of several lanes, each with events of its own.
    has_lanes: bool,
}

impl Lesson {
    /// What a room tells and asks; nothing if it is no scenario.
    pub(crate) fn of(choice: &Choice, engine: &Engine) -> Option<Lesson> {
        let mut story = story::read(choice.text);
        if let Some(first) = story.question.get(..1) {
            let first = first.to_ascii_uppercase();
            story.question.replace_range(..1, &first);
        }
        let moment = |line: usize| engine.marks().iter().rfind(|it| it.line < line).copied();
        let chapters: Vec<_> = story.chapters.into_iter().filter_map(|it| Some((it.text, moment(it.line)?))).collect();
        let begins = choice.text.lines().position(|it| it.starts_with("topic ")).map_or(0, |it| it + 1);
        let begin = engine.marks().iter().find(|it| it.line >= begins).copied();
        if choice.kind() == 0 {
            return None;
        }
        Some(Lesson {
            title: choice.title,
            question: story.question,
            chapters,
            begin,
            has_lanes: choice.lanes.len() > 1,
        })
    }

    /// Where somebody begins who goes through it.
    pub(crate) fn begin(&self) -> Option<Mark> {
        self.moment(0).or(self.begin)
    }

    /// The moment that a chapter tells of.
    pub(crate) fn moment(&self, chapter: usize) -> Option<Mark> {
        self.chapters.get(chapter).map(|it| it.1)
    }

    /// Goes to a moment of it.
    pub(crate) fn stand(&self, engine: &mut Engine, moment: Mark) {
        if self.has_lanes { engine.seek_time(moment.at.0) } else { engine.stand(moment) }
    }

    /// The last chapter whose moment has come.
    fn at(&self, event: u64, time_us: u64) -> Option<usize> {
        self.chapters.iter().rposition(|it| (self.has_lanes || it.1.event <= event) && it.1.at <= Instant(time_us))
    }
}

/// The story's place in the page: where it is, what it tells, and the ways back and on.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some(lesson) = &scene.lesson else { return Vec::new() };
    let count = lesson.chapters.len();
    if count == 0 {
        let words = "A run without a story, from its beginning: play it, or go step by step.";
        return vec![classed("section", "lesson run").set("aria-label", "Scenario").with([
            shape("h2").say(lesson.title),
            classed("p", "question").say(lesson.question.clone()),
            classed("p", "told").set("id", "chapter").say(words),
        ])];
    }
    let on_story = scene.view.branch == 0;
    let at = lesson.at(scene.view.event, scene.view.time_us).filter(|_| on_story);
    let number = at.map_or(0, |it| it + 1);
    let dashes = (0..count).map(|it| {
        let class = if it < number { "dash on" } else { "dash" };
        classed("button", class)
            .set("data-do", format!("chapter:{it}"))
            .set("aria-label", format!("Part {} of {count}", it + 1))
            .when(it + 1 == number, "aria-current", "step")
    });
    let turn = |id: &'static str, words: &'static str, title: &'static str, to: Option<usize>| {
        classed("button", "knob")
            .set("id", id)
            .set("title", title)
            .set("data-do", format!("chapter:{}", to.unwrap_or_default()))
            .when(to.is_none(), "disabled", "")
            .say(words)
    };
    let back = match at {
        Some(it) => it.checked_sub(1),
        None => Some(0).filter(|_| !on_story),
    };
    let on = Some(number).filter(|it| on_story && *it < count);
    let told = match at.and_then(|it| lesson.chapters.get(it)) {
        Some((text, _)) => text.clone(),
        None if on_story => "The cluster starts.".to_owned(),
        None => {
            "Here you have left the story: this is a branch of your own. Back leads to the story, which is as it was."
                .to_owned()
        }
    };
    vec![classed("section", "lesson").set("aria-label", "Scenario").with([
        classed("p", "where").with([
            classed("span", "dashes").with_all(dashes.collect()),
            classed("small", "of").say(format!("{} of {count}", grouped(number as u64))),
        ]),
        shape("h2").say(lesson.title),
        classed("p", "question").say(lesson.question.clone()),
        classed("p", "told").set("id", "chapter").set("aria-live", "polite").say(told),
        classed("p", "turns").with([
            turn("chapter-back", "‹ Back", "Back in the story (p)", back),
            turn("chapter-on", "Next ›", "On in the story (n)", on),
        ]),
    ])]
}

/// The chapter to which a key leads: back or on.
pub(crate) fn neighbour(scene: &Scene, way: isize) -> Option<usize> {
    let lesson = scene.lesson.as_ref()?;
    let at = lesson.at(scene.view.event, scene.view.time_us);
    let to = match (at, way) {
        (None, _) => 0,
        (Some(it), -1) => it.checked_sub(1)?,
        (Some(it), _) => it + 1,
    };
    (to < lesson.chapters.len()).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every room plays to its end, and no line of it is refused; every story can be gone through, and says each thing in a sentence
    /// or two.
    #[test]
    fn every_story_is_told_briefly_and_of_moments_that_come_one_after_the_other() {
        let mut stories = 0;
        for choice in &ROOMS {
            let engines = choice.engines().unwrap_or_else(|error| panic!("{}: {error}", choice.title));
            let engine = &engines[0].1;
            let Some(lesson) = Lesson::of(choice, engine) else { continue };
            assert!(!lesson.question.is_empty() && lesson.begin().is_some(), "{}", choice.title);
            stories += usize::from(!lesson.chapters.is_empty());
            for (text, _) in &lesson.chapters {
                let words = text.split_whitespace().count();
                assert!((4..=40).contains(&words), "{}: {words} words: {text}", choice.title);
            }
            // A moment is found again by its turn: an action of the same turn would be done there too.
            for (text, mark) in &lesson.chapters {
                let later =
                    engine.history().run().actions.into_iter().filter(|it| it.turns == mark.turns && it.at >= mark.at);
                assert_eq!(
                    later.map(|it| it.action.to_string()).collect::<Vec<_>>(),
                    [""; 0],
                    "{}: {text}",
                    choice.title
                );
            }
            for (index, pair) in lesson.chapters.windows(2).enumerate() {
                assert!(
                    pair[0].1.event < pair[1].1.event,
                    "{}: chapter {index} and the next are one moment",
                    choice.title
                );
            }
        }
        assert!(stories >= 6);
    }

    /// Side by side is the same run but for the protocol, and its figures are those of the committed transcripts.
    #[test]
    fn lanes_differ_in_their_protocol_alone_and_show_the_transcripts_figures() {
        let choice = find("21").unwrap();
        let told = story::read(choice.text).chapters.pop().unwrap().text;
        let transcripts = [
            include_str!("../../../crates/sim/scenarios/21-rebalance-eager.transcript"),
            include_str!("../../../crates/sim/scenarios/21-rebalance-cooperative.transcript"),
            include_str!("../../../crates/sim/scenarios/21-rebalance-kip-848.transcript"),
        ];
        let bare = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|it| !it.starts_with('#'));
            // Keys of a consumer that name its protocol come last.
            lines.map(|it| it.split_inclusive("max.poll.records=10").next().unwrap_or_default().to_owned()).collect()
        };
        let engines = choice.engines().unwrap();
        for (((name, engine), (_, text)), transcript) in engines.iter().zip(choice.lanes).zip(transcripts) {
            assert_eq!(bare(text), bare(choice.text), "{name}");
            let mut lines = transcript.lines();
            let mut shown: Vec<u64> = Vec::new();
            while lines.any(|it| it == "> show paused g") {
                let figure = lines.next().and_then(|it| it.trim().strip_prefix("= ")?.strip_suffix("us"));
                shown.push(figure.expect("a figure in µs").parse().unwrap());
            }
            let paused = shown[1] - shown[0];
            let group = &engine.groups()[0];
            assert_eq!((group.newcomer.as_deref(), group.paused_since_newcomer_us), (Some("c4"), paused), "{name}");
            let tenths = (paused + 50_000) / 100_000;
            let figure = format!("{}, {}.{}:", name, tenths / 10, tenths % 10).to_lowercase();
            assert!(told.to_lowercase().contains(&figure), "{figure} {told}");
        }
    }
}
