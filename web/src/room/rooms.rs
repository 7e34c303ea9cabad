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
}

const fn choice(id: &'static str, title: &'static str, text: &'static str) -> Choice {
    Choice { id, title, text }
}

macro_rules! scenario {
    ($id:literal, $title:literal, $file:literal) => {
        choice($id, $title, include_str!(concat!("../../../crates/sim/scenarios/", $file, ".scenario")))
    };
}

/// Rooms without a story, then stories.
pub(crate) const ROOMS: [Choice; 10] = [
    choice("three", "Three brokers", "3"),
    choice("one", "One broker", "1"),
    choice("five", "Five brokers", "5"),
    choice("seven", "Seven brokers", "7"),
    scenario!("1", "1 · Acked, then gone", "01-acks-1-loss-on-a-clean-failover"),
    scenario!("9", "9 · The last replica standing", "09-last-replica-standing-and-elr"),
    scenario!("12", "12 · The zombie leader", "12-zombie-leader"),
    scenario!("14", "14 · The controller dies", "14-controller-failover"),
    scenario!("32", "32 · Compaction", "32-compaction-and-tombstones"),
    scenario!("33", "33 · Retention", "33-retention-and-a-slow-consumer"),
];

/// A room by its name in the address.
pub(crate) fn find(id: &str) -> Option<&'static Choice> {
    ROOMS.iter().find(|it| it.id == id)
}

/// The choices of the bar's menu.
pub(crate) fn options() -> Vec<AnyView> {
    ROOMS.iter().map(|it| option(it.id.to_owned(), it.title.to_owned())).collect()
}

/// Goes into a room, and names it in the page's address.
pub(crate) fn choose(room: Room, id: &str) {
    if let Some(choice) = find(id) {
        // A browser that keeps no address loses nothing else.
        let _ = window().location().set_hash(id);
        room.enter(choice);
    }
}

/// Goes into the room that the page's address names, if that is not the one that is open.
pub(crate) fn open(room: Room) {
    let hash = window().location().hash().unwrap_or_default();
    if let Some(choice) = find(hash.trim_start_matches('#')).filter(|it| it.id != ROOMS[0].id) {
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
}

impl Lesson {
    /// What a room tells; nothing if it is no scenario, or tells nothing.
    pub(crate) fn of(choice: &Choice, engine: &Engine) -> Option<Lesson> {
        let mut story = story::read(choice.text);
        if let Some(first) = story.question.get(..1) {
            let first = first.to_uppercase();
            story.question.replace_range(..1, &first);
        }
        let moment = |line: usize| engine.marks().iter().rfind(|it| it.line < line).copied();
        let chapters: Vec<_> = story.chapters.into_iter().filter_map(|it| Some((it.text, moment(it.line)?))).collect();
        (!chapters.is_empty()).then_some(Lesson { title: choice.title, question: story.question, chapters })
    }

    /// The moment that a chapter tells of.
    pub(crate) fn moment(&self, chapter: usize) -> Option<Mark> {
        self.chapters.get(chapter).map(|it| it.1)
    }

    /// The last chapter whose moment has come.
    fn at(&self, event: u64, time_us: u64) -> Option<usize> {
        self.chapters.iter().rposition(|it| it.1.event <= event && it.1.at <= Instant(time_us))
    }
}

/// The story's place in the page: where it is, what it tells, and the ways back and on.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some(lesson) = &scene.lesson else { return Vec::new() };
    let count = lesson.chapters.len();
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

    /// Every story can be gone through, and says each thing in a sentence or two.
    #[test]
    fn every_story_is_told_briefly_and_of_moments_that_come_one_after_the_other() {
        let mut stories = 0;
        for choice in &ROOMS {
            let engine = Engine::new(choice.text).unwrap_or_else(|error| panic!("{}: {error}", choice.title));
            let Some(lesson) = Lesson::of(choice, &engine) else { continue };
            stories += 1;
            assert!(!lesson.question.is_empty(), "{}", choice.title);
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
}
