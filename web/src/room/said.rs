//! Said and seen: what is often said of Kafka, each played when somebody comes in, and what the runs say to it.

use leptos::prelude::request_animation_frame;
use sim::script::{Awaited, Condition, Played, Scenario, Step};

use super::rooms;
use super::sayings::{Case, SAYINGS, Saying};
use super::scene::Scene;
use super::state::Room;
use crate::draw::{Shape, classed, glyph, shape};

/// The room, as the page's address names it.
pub(crate) const ROOM: &str = "said";

/// What a run said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What it was that run: as told, or the setting that was changed, or the lane.
    setting: String,
    /// The world's answer; `None` if it could not be asked.
    answer: Option<String>,
    /// It was as the saying has it.
    pub(crate) holds: bool,
}

/// What all runs of a saying say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    True,
    False,
    OnlyIf,
}

impl Verdict {
    /// Of at least one run.
    pub(crate) fn of(seen: &[Seen]) -> Verdict {
        match seen.iter().filter(|it| it.holds).count() {
            0 => Verdict::False,
            all if all == seen.len() => Verdict::True,
            _ => Verdict::OnlyIf,
        }
    }

    /// Its glyph, class and words.
    fn sign(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Verdict::True => ("#g-ok", "ok", "True: "),
            Verdict::False => ("#g-bad", "harm", "False: "),
            Verdict::OnlyIf => ("#g-elr", "", "Only if "),
        }
    }
}

/// What the sayings' runs said, in their order, as far as they are played; of a saying that cannot be played, why.
pub(crate) type Said = Vec<Result<Vec<Seen>, String>>;

/// The numbers of the saying and of the case that come next.
fn next(said: &Said) -> (usize, usize) {
    match said.last() {
        Some(Ok(seen)) if seen.len() < SAYINGS[said.len() - 1].cases.len() => (said.len() - 1, seen.len()),
        _ => (said.len(), 0),
    }
}

/// Plays one run more, if there is one.
fn play_next(said: &mut Said) {
    let (number, case) = next(said);
    let Some(case) = SAYINGS.get(number).and_then(|it| it.cases.get(case)) else { return };
    if number == said.len() {
        said.push(Ok(Vec::new()));
    }
    match (case.play(), &mut said[number]) {
        (Ok(it), Ok(seen)) => seen.push(it),
        (Err(why), seen) => *seen = Err(why),
        (Ok(_), Err(_)) => {}
    }
}

impl Case {
    /// Plays its run, once, and asks.
    fn play(&self) -> Result<Seen, String> {
        let room = rooms::find(self.room).ok_or("there is no such room")?;
        let told = Scenario::parse(room.text).map_err(|error| error.to_string())?;
        let line = self.chapter.checked_sub(1).and_then(|it| told.story.chapters.get(it)).map(|it| it.line);
        let (played, setting, line) = match (room.lanes.get(self.lane), self.knob.checked_sub(1)) {
            (Some((name, text)), _) => {
                // All lanes have the same steps, but each is a file with lines of its own.
                let lane = Scenario::parse(text).map_err(|error| error.to_string())?;
                let steps = line.map(|line| told.steps.iter().filter(|it| it.0 < line).count());
                let line = steps.and_then(|it| lane.steps.get(it)).map(|it| it.0);
                (lane.play_with(false), (*name).to_owned(), line)
            }
            (None, Some(knob)) => {
                let setting = told.story.knobs.get(knob).map(|it| it.turn.to_string()).unwrap_or_default();
                // A variation has the lines of the run, each at its own time.
                (told.play_knob(knob, false).ok_or("there is no such knob")?, setting, line)
            }
            (None, None) => (told.play_with(false), "as told".to_owned(), line),
        };
        let Played { mut history, failures, marks, .. } = played.map_err(|error| error.to_string())?;
        if let Some(failure) = failures.first() {
            return Err(failure.to_string());
        }
        if let Some(mark) = line.and_then(|line| marks.iter().rfind(|it| it.line < line)) {
            history.revisit(mark.event, mark.turns, mark.at);
        }
        let claim = condition(self.claim).ok_or("a claim is a condition")?;
        let Condition::Is(query, _) = &claim else { return Err("a claim is a question and its answer".to_owned()) };
        let answer = history.world().ask(query).ok();
        let answer = answer.map(|it| if it.is_empty() { "nothing".to_owned() } else { it.join(" ") });
        Ok(Seen { setting, answer, holds: history.world().holds(&claim) })
    }
}

/// What a text says that `run until` can wait for.
fn condition(text: &str) -> Option<Condition> {
    let line = Scenario::parse(&format!("run until {text}")).ok()?;
    match line.steps.into_iter().next() {
        Some((_, Step::RunUntil(Awaited::So(condition), _))) => Some(condition),
        _ => None,
    }
}

/// Plays the first run that is not played yet, and then the next one, as long as somebody is in the room: one a frame.
pub(crate) fn go_on(room: Room) {
    let coming = move || room.with(|it| if it.room == ROOM { next(&it.said) } else { (SAYINGS.len(), 0) });
    let now = coming();
    if now.0 == SAYINGS.len() {
        return;
    }
    request_animation_frame(move || {
        // Whoever left and came back soon has asked twice.
        if coming() == now {
            room.change(|scene| play_next(&mut scene.said));
            go_on(room);
        }
    });
}

/// The room.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    if scene.room != ROOM {
        return Vec::new();
    }
    let intro = "What is often said of Kafka. Each is played here, now, in a simulated cluster: what the saying would have, and what there was. Every run is a lesson.";
    let sayings = SAYINGS.iter().enumerate().map(|(number, it)| saying(it, scene.said.get(number)));
    vec![
        shape("h2").say("Said and seen"),
        classed("p", "plain").say(intro),
        classed("ul", "sayings").with_all(sayings.collect()),
    ]
}

fn saying(saying: &Saying, seen: Option<&Result<Vec<Seen>, String>>) -> Shape {
    let words = shape("h3").say(format!("“{}”", saying.words));
    let seen = seen.filter(|it| it.as_ref().map_or(true, |it| it.len() == saying.cases.len()));
    let shapes = match seen {
        None => vec![words, classed("p", "plain").say("It is being played …")],
        Some(Err(error)) => vec![words, classed("p", "harm").say(error.clone())],
        Some(Ok(seen)) => {
            let verdict = Verdict::of(seen);
            let (mark, class, word) = verdict.sign();
            let told = shape("p").with([
                classed("span", class).with([glyph(mark), shape("b").say(word)]),
                shape("span").say(saying.told),
            ]);
            let heads = ["the run", "if so", "seen"].map(|it| shape("th").set("scope", "col").say(it));
            let rows = saying.cases.iter().zip(seen).map(|it| row(it.0, it.1)).collect();
            let table = classed("table", "outcomes")
                .with([shape("thead").with([shape("tr").with(heads)]), shape("tbody").with_all(rows)]);
            vec![words, told, table]
        }
    };
    shape("li").named(saying.words).with_all(shapes)
}

/// `end orders-0 on b2 = 5` → `end of orders-0 on b2: 5`
fn claimed(claim: &str) -> String {
    let (asked, so) = claim.split_once(" =").unwrap_or((claim, ""));
    let (verb, of) = asked.split_once(' ').unwrap_or((asked, ""));
    let words = match verb {
        "lost" => "acked and lost",
        "end" => "end of ",
        "consumed" => "read by ",
        "owned" => "partitions of ",
        _ => "records of ",
    };
    format!("{words}{of}:{}", if so.is_empty() { " nothing" } else { so })
}

fn row(case: &Case, seen: &Seen) -> Shape {
    let title = rooms::find(case.room).map_or("", |it| it.title());
    let (mark, class, word) = if seen.holds { ("#g-ok", "ok", "so") } else { ("#g-bad", "harm", "not so") };
    let answer = seen.answer.clone().unwrap_or_else(|| "it cannot be asked".to_owned());
    let run = shape("th").set("scope", "row").with([
        classed("button", "line").set("data-do", format!("lesson:{}", case.room)).say(title),
        shape("small").say(format!(" {}", seen.setting)),
    ]);
    shape("tr").with([
        run,
        shape("td").say(claimed(case.claim)),
        shape("td").with([
            classed("span", class).with([glyph(mark), classed("span", "sr").say(word)]),
            shape("span").say(format!(" {answer}")),
        ]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is played, on both sides where there are two, and the runs say what the room tells.
    #[test]
    fn every_saying_is_true_false_or_only_if_as_its_runs_show() {
        use Verdict::{False, OnlyIf, True};
        let expected: [(&str, Verdict, &[bool]); 11] = [
            ("acks=all", OnlyIf, &[true, false, true, false]),
            ("in-sync", False, &[false, false]),
            ("leader serves", OnlyIf, &[false, true]),
            ("round robin", False, &[false]),
            ("same key", OnlyIf, &[true, false, false]),
            ("on disk", OnlyIf, &[false, true]),
            ("killed", False, &[false]),
            ("idle", True, &[true, true]),
            ("exactly once", OnlyIf, &[false, true, false]),
            ("rebalance", OnlyIf, &[true, false, false]),
            ("gaps", OnlyIf, &[false, true]),
        ];
        let mut said = Vec::new();
        for (number, (saying, (word, verdict, holds))) in SAYINGS.iter().zip(expected).enumerate() {
            assert!(saying.words.contains(word), "{}", saying.words);
            for case in 0..saying.cases.len() {
                assert_eq!(next(&said), (number, case), "one run at a time");
                play_next(&mut said);
            }
            let seen = said[number].clone().unwrap_or_else(|error| panic!("{word}: {error}"));
            assert!(seen.iter().all(|it| it.answer.is_some()), "{word}: {seen:?}");
            let both: Vec<bool> = seen.iter().map(|it| it.holds).collect();
            assert_eq!((Verdict::of(&seen), &*both), (verdict, holds), "{word}: {seen:?}");
            for case in saying.cases {
                let room = rooms::find(case.room).unwrap();
                let story = Scenario::parse(room.text).unwrap().story;
                assert!(
                    case.chapter <= story.chapters.len() && case.knob <= story.knobs.len(),
                    "{word}: {}",
                    case.room
                );
                assert!(case.lane == 0 || case.lane < room.lanes.len(), "{word}: {}", case.room);
            }
        }
        assert_eq!(claimed("lost = 0"), "acked and lost: 0");
        assert_eq!(claimed("end orders-0 on b2 = 5"), "end of orders-0 on b2: 5");
        assert_eq!(claimed("owned c5 ="), "partitions of c5: nothing");
        assert_eq!(next(&said), (SAYINGS.len(), 0));
        let all = said.clone();
        play_next(&mut said);
        assert_eq!(said, all, "none is played twice");
    }
}
