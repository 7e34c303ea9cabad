//! The choice of rooms: the course's lessons, part by part, and clusters to play with.

use leptos::prelude::*;

use super::bar::option;
use super::course::{CLUSTERS, PARTS, Part, SAID};
use super::keys::set_value;
use super::progress::Progress;
use super::state::Room;
use crate::engine::Engine;

/// A room to choose.
pub(crate) struct Choice {
    /// What the page's address names it by.
    pub(crate) id: &'static str,
    /// As people read it; a scenario's is in its text.
    pub(crate) title: &'static str,
    /// What the engine makes it from: a number of brokers, or a scenario.
    pub(crate) text: &'static str,
    /// The names of its lanes, and from what each is made; the first one's text tells the story of all.
    pub(crate) lanes: &'static [(&'static str, &'static str)],
}

impl Choice {
    /// As people read it.
    pub(crate) fn title(&self) -> &'static str {
        let written = self.text.lines().find_map(|it| it.strip_prefix("title "));
        if self.title.is_empty() { written.unwrap_or(self.id) } else { self.title }
    }

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
}

/// The lessons, in order.
pub(crate) fn lessons() -> impl Iterator<Item = &'static Choice> {
    PARTS.iter().flat_map(|it| it.rooms)
}

/// A room by its name in the address.
pub(crate) fn find(id: &str) -> Option<&'static Choice> {
    lessons().chain(SAID.rooms).chain(CLUSTERS.rooms).find(|it| it.id == id)
}

/// The lesson after one.
pub(crate) fn after(id: &str) -> Option<&'static Choice> {
    lessons().skip_while(|it| it.id != id).nth(1)
}

/// The choices of the bar's menu: the course, part by part, then what is said, then clusters.
pub(crate) fn options() -> Vec<AnyView> {
    let done = Progress::load().done;
    let mut number = 0;
    let mut part = |it: &Part, counts: bool| {
        let mut choices = Vec::new();
        for room in it.rooms {
            number += 1;
            let title = if counts { format!("{number} · {}", room.title()) } else { room.title().to_owned() };
            choices.push(option(room.id.to_owned(), words(&title, done.iter().any(|it| it == room.id))));
        }
        view! { <optgroup label=it.name>{choices}</optgroup> }.into_any()
    };
    let mut parts: Vec<AnyView> = PARTS.iter().map(|it| part(it, true)).collect();
    parts.extend([&SAID, &CLUSTERS].map(|it| part(it, false)));
    parts
}

/// A room of the menu, and whether it was gone through.
fn words(title: &str, is_done: bool) -> String {
    if is_done { format!("✓ {title}") } else { title.to_owned() }
}

/// A lesson was gone through: the menu says so, and the browser remembers it.
pub(crate) fn note_done(id: &str) {
    let mut progress = Progress::load();
    // A lesson of a file has no name.
    if id.is_empty() || progress.done.iter().any(|it| it == id) {
        return;
    }
    progress.done.push(id.to_owned());
    progress.keep();
    let found = document().query_selector(&format!("#rooms option[value='{id}']"));
    if let Ok(Some(option)) = found {
        let title = option.text_content().unwrap_or_default();
        option.set_text_content(Some(&words(&title, true)));
    }
}

/// Goes into a room, and names it in the page's address.
pub(crate) fn choose(room: Room, id: &str) {
    if let Some(choice) = find(id) {
        // A browser that keeps no address loses nothing else.
        let _ = window().location().set_hash(id);
        enter(room, choice);
    }
}

/// What the page's address names.
fn named() -> Option<&'static Choice> {
    let hash = window().location().hash().unwrap_or_default();
    find(hash.trim_start_matches('#'))
}

/// The room in which the page opens: the one that its address names, else where somebody was, else the first lesson. True if that is
/// a first visit, on which something moves by itself.
pub(crate) fn first() -> (&'static Choice, bool) {
    let last = find(&Progress::load().room);
    let is_first = named().is_none() && last.is_none();
    (named().or(last).or(lessons().next()).unwrap_or(&CLUSTERS.rooms[0]), is_first)
}

/// Goes into the room that the page's address names, if that is another one than is open.
pub(crate) fn open(room: Room) {
    if let Some(choice) = named().filter(|it| room.with(|scene| scene.room != it.id)) {
        enter(room, choice);
    }
}

fn enter(room: Room, choice: &'static Choice) {
    set_value("rooms", choice.id);
    room.enter(choice);
    // In the room that was left there may have been no log to be measured.
    room.measure();
    remember(choice.id);
}

/// The browser remembers where somebody is.
pub(crate) fn remember(id: &str) {
    Progress { room: id.to_owned(), ..Progress::load() }.keep();
}

#[cfg(test)]
mod tests {
    use super::super::lesson::Lesson;
    use super::*;
    use sim::script::Scenario;

    /// Every room plays to its end, and no line of it is refused; the moments of every story can be found again.
    #[test]
    fn every_room_plays_and_its_moments_come_one_after_the_other() {
        let mut ids: Vec<&str> = Vec::new();
        for choice in lessons() {
            assert!(!ids.contains(&choice.id) && choice.title() != choice.id, "{}", choice.id);
            ids.push(choice.id);
            let engines = choice.engines().unwrap_or_else(|error| panic!("{}: {error}", choice.title()));
            let engine = &engines[0].1;
            let lesson = Lesson::of(choice, engine).unwrap_or_else(|| panic!("{} asks nothing", choice.title()));
            assert!(lesson.begin().is_some(), "{}", choice.title());
            let marks: Vec<_> = (0..).map_while(|it| lesson.moment(it)).collect();
            // A moment is found again by its turn and its time: an action of the same time would be done there too.
            for (index, mark) in marks.iter().enumerate() {
                let later =
                    engine.history().run().actions.into_iter().filter(|it| it.turns == mark.turns && it.at == mark.at);
                assert_eq!(
                    later.map(|it| it.action.to_string()).collect::<Vec<_>>(),
                    [""; 0],
                    "{}: chapter {}: time has to pass before what comes next",
                    choice.title(),
                    index + 1
                );
            }
            for (index, pair) in marks.windows(2).enumerate() {
                assert!(
                    pair[0].event <= pair[1].event && pair[0].at < pair[1].at,
                    "{}: chapter {} and the next are one moment",
                    choice.title(),
                    index + 1
                );
            }
        }
        for choice in CLUSTERS.rooms {
            assert!(find(choice.id).is_some() && Engine::new(choice.text).is_ok(), "{}", choice.title());
        }
    }

    #[test]
    fn the_course_goes_from_lesson_to_lesson() {
        let mut at = lessons().next().unwrap();
        let mut count = 1;
        while let Some(next) = after(at.id) {
            (at, count) = (next, count + 1);
        }
        assert_eq!(count, lessons().count());
        assert!(after("three").is_none() && find("no such room").is_none());
    }

    /// Side by side is the same run but for the protocol, and its figures are those of the committed transcripts.
    #[test]
    fn lanes_differ_in_their_protocol_alone_and_show_the_transcripts_figures() {
        let choice = find("21").unwrap();
        let told = Scenario::parse(choice.text).unwrap().story.chapters;
        let told = told.into_iter().rfind(|it| it.reveals.is_some()).unwrap().text;
        let transcripts = [
            include_str!("../../../crates/sim/scenarios/21-rebalance-eager.transcript"),
            include_str!("../../../crates/sim/scenarios/21-rebalance-cooperative.transcript"),
            include_str!("../../../crates/sim/scenarios/21-rebalance-kip-848.transcript"),
        ];
        let bare = |text: &str| -> Vec<String> {
            let tells = ["#", "title ", "question ", "views ", "say ", "bet ", "wrong ", "right ", "reveal "];
            let run = text.lines().take_while(|it| !it.starts_with("knob ") && !it.starts_with("puzzle "));
            let lines = run.filter(|it| !it.is_empty() && !tells.iter().any(|word| it.starts_with(word)));
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
            let figure = format!("{} {}.{}", name, tenths / 10, tenths % 10).to_lowercase();
            assert!(told.to_lowercase().contains(&figure), "{figure} {told}");
        }
    }
}
