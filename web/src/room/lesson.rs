//! A scenario as somebody goes through it: what it tells, the reader's bets, its variations and its puzzle.

use protocol::Instant;
use sim::script::Mark;
use sim::script::story::{Bet, Story};

use super::motion::Motion;
use super::rooms::{self, Choice};
use super::said;
use super::scene::Scene;
use crate::draw::{Shape, classed, glyph, shape};
use crate::engine::Engine;

/// What the reader does with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Mode {
    /// Goes from chapter to chapter.
    #[default]
    Told,
    /// Watches the run with another setting.
    Varied(Varied),
    /// Brings something about.
    Puzzle(Try),
    /// Does what they like.
    Sandbox,
}

/// A variation that is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Varied {
    pub(crate) knob: usize,
    /// Where it ends, in µs.
    pub(crate) end_us: u64,
    /// A question, and its answers at the end: of the run as told, and of this one.
    pub(crate) outcomes: Vec<(String, String, String)>,
    /// Which of the two is in sight.
    pub(crate) shows_told: bool,
}

/// How far somebody is with the puzzle.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Try {
    /// Which goals hold at this moment.
    pub(crate) holds: Vec<bool>,
    /// How many hints were asked for.
    pub(crate) hints: usize,
    /// All held at one moment.
    pub(crate) is_solved: bool,
    /// The solution is shown.
    pub(crate) is_shown: bool,
}

/// A scenario as somebody goes through it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    pub(crate) id: &'static str,
    pub(crate) story: Story,
    /// Of which moment each chapter tells.
    moments: Vec<Mark>,
    /// The moment before which there is no topic.
    begin: Option<Mark>,
    /// It is told of several lanes, each with events of its own.
    has_lanes: bool,
    /// How many actions its run has, as it is told.
    actions: usize,
    /// What the reader bet on, by chapter.
    bets: Vec<Option<usize>>,
    pub(crate) mode: Mode,
}

impl Lesson {
    /// What a room tells and asks; nothing if it is no scenario.
    pub(crate) fn of(choice: &Choice, engine: &Engine) -> Option<Lesson> {
        Lesson::new(choice.id, !choice.lanes.is_empty(), engine)
    }

    /// The same of a scenario by any name, or of none: then it is nobody's next lesson.
    pub(crate) fn new(id: &'static str, has_lanes: bool, engine: &Engine) -> Option<Lesson> {
        let story = engine.story().clone();
        if story.question.is_empty() {
            return None;
        }
        let moments: Vec<Mark> = story.chapters.iter().map(|it| engine.moment(it.line)).collect();
        let bets = vec![None; moments.len()];
        let (begin, actions) = (engine.first_topic(), engine.history().actions().len());
        Some(Lesson { id, story, moments, begin, has_lanes, actions, bets, mode: Mode::Told })
    }

    /// Where somebody begins who goes through it.
    pub(crate) fn begin(&self) -> Option<Mark> {
        self.moment(0).or(self.begin)
    }

    /// The moment that a chapter tells of.
    pub(crate) fn moment(&self, chapter: usize) -> Option<Mark> {
        self.moments.get(chapter).copied()
    }

    /// Goes to a moment of it.
    pub(crate) fn stand(&self, engine: &mut Engine, moment: Mark) {
        if self.has_lanes { engine.seek_time(moment.at.0) } else { engine.stand(moment) }
    }

    /// The chapter at which the telling stops until the reader has bet.
    fn gate(&self) -> usize {
        let open = |it: &usize| self.story.chapters[*it].bet.is_some() && self.bets[*it].is_none();
        (0..self.bets.len()).find(open).unwrap_or(usize::MAX)
    }

    /// The last chapter whose moment has come, but none after a bet that is not made.
    pub(crate) fn at(&self, event: u64, time_us: u64) -> Option<usize> {
        let come = |it: &Mark| (self.has_lanes || it.event <= event) && it.at <= Instant(time_us);
        self.moments.iter().rposition(come).map(|it| it.min(self.gate()))
    }

    /// True if the telling may go there.
    pub(crate) fn allows(&self, chapter: usize) -> bool {
        chapter < self.moments.len() && chapter <= self.gate()
    }

    /// How many answers there are to the bet of a chapter, while it can be made: until it is revealed.
    fn answers(&self, chapter: usize) -> usize {
        self.story.chapters.get(chapter).and_then(|it| it.bet.as_ref()).map_or(0, |it| it.answers.len())
    }

    /// Bets on an answer. False if there is no such answer to choose at this chapter.
    pub(crate) fn bet(&mut self, chapter: usize, answer: usize) -> bool {
        let is_there = self.mode == Mode::Told && answer < self.answers(chapter);
        if is_there {
            self.bets[chapter] = Some(answer);
        }
        is_there
    }

    /// The chapter at which somebody comes back into the story.
    pub(crate) fn resume(&self) -> usize {
        let puzzle = self.story.puzzle.as_ref().map(|it| it.from);
        let to = match self.mode {
            Mode::Varied(_) => None,
            Mode::Puzzle(_) => puzzle,
            Mode::Told | Mode::Sandbox => Some(0),
        };
        to.unwrap_or(self.moments.len().saturating_sub(1)).min(self.gate())
    }

    /// The solution is being shown, and has done it.
    pub(crate) fn is_just_solved(&self) -> bool {
        matches!(&self.mode, Mode::Puzzle(it) if it.is_shown && it.is_solved)
    }

    /// True of a lane's first branch that has not gone beyond what is told: who knows the lesson finds the moment in it again.
    pub(crate) fn is_told_by(&self, lane: usize, engine: &Engine) -> bool {
        let is_of_lesson = self.mode == Mode::Told || (lane == 0 && self.is_calm());
        is_of_lesson && !self.id.is_empty() && engine.history().done().len() <= self.actions
    }

    /// The puzzle is solved.
    pub(crate) fn is_solved(&self) -> bool {
        matches!(&self.mode, Mode::Puzzle(it) if it.is_solved)
    }

    /// True once its last chapter was told, or where there is none.
    pub(crate) fn is_told(&self, at: Option<usize>) -> bool {
        at.is_some_and(|it| it + 1 == self.moments.len())
    }

    /// True while every control would only be in the way.
    pub(crate) fn is_calm(&self) -> bool {
        !self.moments.is_empty() && matches!(self.mode, Mode::Told | Mode::Varied(_))
    }
}

/// The chapter of a scene, if it is told of at all.
pub(crate) fn at(scene: &Scene) -> Option<usize> {
    let lesson = scene.lesson.as_ref().filter(|it| it.mode == Mode::Told && scene.view.branch == 0)?;
    lesson.at(scene.view.event, scene.view.time_us)
}

/// True as long as a figure would tell what the reader bets on: lanes are compared by it, and the first bet is on that.
pub(crate) fn hides_figures(scene: &Scene) -> bool {
    let Some(lesson) = scene.lesson.as_ref().filter(|it| it.has_lanes && it.mode == Mode::Told) else { return false };
    let first = lesson.story.chapters.iter().position(|it| it.bet.is_some());
    at(scene) <= first && at(scene).is_some()
}

/// True as long as a story is followed that is told of several lanes.
pub(crate) fn is_of_lanes(scene: &Scene) -> bool {
    at(scene).is_some() && scene.lesson.as_ref().is_some_and(|it| it.has_lanes)
}

/// True as long as the next bet, which is not made yet, asks for that.
pub(crate) fn asks(scene: &Scene, what: &str) -> bool {
    let Some(lesson) = scene.lesson.as_ref().filter(|_| at(scene).is_some()) else { return false };
    let bet = lesson.story.chapters.get(lesson.gate()).and_then(|it| it.bet.as_ref());
    bet.is_some_and(|it| it.question.contains(what))
}

/// True at the very moment that a chapter tells of.
pub(crate) fn is_at_a_chapter(scene: &Scene) -> bool {
    let moment = at(scene).and_then(|at| scene.lesson.as_ref()?.moment(at));
    moment.is_some_and(|it| (it.event, it.at.0) == (scene.view.event, scene.view.time_us))
}

/// True while the telling stops because no answer is chosen.
pub(crate) fn waits_for_bet(scene: &Scene) -> bool {
    scene.lesson.as_ref().is_some_and(|it| at(scene).is_some_and(|at| at == it.gate()))
}

/// The chapter to which a key leads: back or on.
pub(crate) fn neighbour(scene: &Scene, way: isize) -> Option<usize> {
    let lesson = scene.lesson.as_ref()?;
    let to = match (at(scene), way) {
        (None, _) => 0,
        (Some(it), -1) => it.checked_sub(1)?,
        (Some(it), _) => it + 1,
    };
    lesson.allows(to).then_some(to)
}

/// The lesson's place in the page.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some(lesson) = &scene.lesson else { return Vec::new() };
    let inside = match &lesson.mode {
        _ if lesson.moments.is_empty() => bare(lesson),
        Mode::Told => told(scene, lesson),
        Mode::Varied(it) => varied(scene, lesson, it),
        Mode::Puzzle(it) => puzzle(scene, lesson, it),
        Mode::Sandbox => sandbox(lesson),
    };
    let class = if lesson.moments.is_empty() { "lesson run" } else { "lesson" };
    vec![classed("section", class).set("aria-label", "Lesson").with_all(inside)]
}

fn title(lesson: &Lesson) -> Shape {
    shape("h2").say(lesson.story.title.clone())
}

fn question(lesson: &Lesson) -> Shape {
    classed("p", "question").say(lesson.story.question.clone())
}

/// What is told now, to the ear too.
fn says(words: impl Into<crate::draw::Text>) -> Shape {
    // It stays the same element whatever comes before it, or it would be said again.
    classed("p", "told").named("chapter").set("id", "chapter").set("aria-live", "polite").say(words)
}

fn button(does: impl Into<crate::draw::Text>, words: impl Into<crate::draw::Text>) -> Shape {
    classed("button", "knob").set("data-do", does).say(words)
}

fn bare(lesson: &Lesson) -> Vec<Shape> {
    let words = "A run without a story, from its beginning: play it, or go step by step.";
    vec![title(lesson), question(lesson), says(words)]
}

fn told(scene: &Scene, lesson: &Lesson) -> Vec<Shape> {
    let count = lesson.moments.len();
    let on_story = scene.view.branch == 0;
    let at = at(scene);
    let number = at.map_or(0, |it| it + 1);
    let dashes = (0..count).map(|it| {
        classed("button", if it < number { "dash on" } else { "dash" })
            .set("data-do", format!("chapter:{it}"))
            .set("aria-label", format!("Part {} of {count}", it + 1))
            .when(!lesson.allows(it), "disabled", "")
            .when(it + 1 == number, "aria-current", "step")
    });
    let chapter = at.and_then(|it| lesson.story.chapters.get(it));
    let words = match chapter {
        Some(it) => it.text.clone(),
        None if on_story => "The cluster starts.".to_owned(),
        None => {
            "Here you have left the story: this is a branch of your own. Back leads to the story, which is as it was."
                .to_owned()
        }
    };
    let mut shapes = vec![
        classed("p", "where").with([
            classed("span", "dashes").with_all(dashes.collect()),
            classed("small", "of").say(format!("{number} of {count}")),
        ]),
        title(lesson),
        question(lesson),
    ];
    // What is told stays while it is read: that time has passed since has to be seen, and moves nothing.
    let moment = at.and_then(|it| lesson.moment(it));
    let past = moment.filter(|it| it.at.0 < scene.view.time_us);
    let tense = if past.is_some() { "was" } else { "is" };
    shapes
        .extend(moment.map(|it| classed("p", "since").say(format!("This {tense} so at {}.", super::clock(it.at.0).0))));
    shapes.push(says(words).when(past.is_some(), "data-past", ""));
    if let Some((from, bet)) = chapter.and_then(|it| revealed(lesson, it.reveals?)) {
        shapes.push(verdict(bet, lesson.bets[from]));
    }
    if let (Some(at), Some(bet)) = (at, chapter.and_then(|it| it.bet.as_ref())) {
        shapes.push(asked(bet, lesson.bets[at]));
    }
    let back = match at {
        Some(it) => it.checked_sub(1),
        None => Some(0).filter(|_| !on_story),
    };
    let flies = matches!(scene.motion, Motion::Tour(_));
    let on = Some(number).filter(|it| on_story && lesson.allows(*it));
    let waits = on.is_none() && number < count && on_story;
    let turn = |id: &'static str, words: &'static str, title: &'static str, does: String, is_off: bool| {
        button(does, words).set("id", id).set("title", title).when(is_off, "disabled", "")
    };
    let on_words = if flies { "Skip ›" } else { "Next ›" };
    let on_title = if waits { "Choose an answer first" } else { "On in the story (n)" };
    shapes.push(classed("p", "turns").with([
        turn(
            "chapter-back",
            "‹ Back",
            "Back in the story (p)",
            format!("chapter:{}", back.unwrap_or_default()),
            back.is_none(),
        ),
        match next(scene).filter(|_| number == count && on_story) {
            Some(next) => next,
            None => turn("chapter-on", on_words, on_title, "on:".to_owned(), on.is_none()),
        },
    ]));
    shapes.push(more(lesson, lesson.is_told(at)));
    let first = rooms::lessons().next().filter(|it| it.id == lesson.id && number <= 1);
    shapes.extend(first.map(|_| {
        let words = format!(
            "New here? This is a Kafka cluster in a tab, and its time is yours. {} short lessons follow each other; the menu above has them, what is said of Kafka beside what was seen, and clusters to break.",
            rooms::lessons().count()
        );
        classed("p", "plain").say(words)
    }));
    shapes
}

/// The bet that a chapter reveals, and the chapter that made it.
fn revealed(lesson: &Lesson, from: usize) -> Option<(usize, &Bet)> {
    Some((from, lesson.story.chapters.get(from)?.bet.as_ref()?))
}

/// The question and its answers.
fn asked(bet: &Bet, chosen: Option<usize>) -> Shape {
    let answers = bet.answers.iter().enumerate().map(|(index, it)| {
        let is_chosen = chosen == Some(index);
        classed("button", if is_chosen { "answer on" } else { "answer" })
            .set("data-do", format!("bet:{index}"))
            .set("aria-pressed", if is_chosen { "true" } else { "false" })
            .with([shape("kbd").say((index + 1).to_string()), shape("span").say(it.clone())])
    });
    let hint = match chosen {
        None => "Bet before it goes on: there is nothing to lose.",
        Some(_) => "That is your bet. Next shows what happens.",
    };
    classed("div", "bet").set("role", "group").set("aria-labelledby", "asked").with([
        shape("p").set("id", "asked").say(bet.question.clone()),
        classed("div", "answers").with_all(answers.collect()),
        classed("p", "plain").set("role", "status").say(hint),
    ])
}

/// The bet beside what happened.
fn verdict(bet: &Bet, chosen: Option<usize>) -> Shape {
    let is_right = chosen == Some(bet.right);
    let answer = |index: usize| bet.answers.get(index).cloned().unwrap_or_default();
    let (mark, class, word) =
        if is_right { ("#g-ok", "ok", "Your bet, and so it is: ") } else { ("#g-bad", "harm", "Your bet: ") };
    let mut lines = Vec::new();
    if let Some(chosen) = chosen {
        lines.push(shape("p").with([
            classed("span", class).with([glyph(mark)]),
            shape("b").say(word),
            shape("span").say(answer(chosen)),
        ]));
    }
    if !is_right {
        lines.push(shape("p").with([
            classed("span", "ok").with([glyph("#g-ok")]),
            shape("b").say("It is: "),
            shape("span").say(answer(bet.right)),
        ]));
    }
    classed("div", "revealed").set("id", "revealed").with_all(lines)
}

/// What else can be done with a lesson: once it is told, all of it.
fn more(lesson: &Lesson, is_told: bool) -> Shape {
    let mut shapes = Vec::new();
    if is_told {
        if !lesson.story.knobs.is_empty() {
            shapes.push(shape("h3").say("What if …"));
        }
        let knobs = lesson.story.knobs.iter().enumerate();
        shapes.extend(knobs.map(|(index, it)| {
            classed("button", "deed")
                .set("data-do", format!("knob:{index}"))
                .with([shape("code").say(turned(&it.turn.to_string()))])
        }));
        if lesson.story.puzzle.is_some() {
            shapes.push(button("puzzle:", "A puzzle ›").set("id", "to-puzzle"));
        }
    }
    shapes.push(
        classed("button", "line")
            .set("id", "to-sandbox")
            .set("data-do", "sandbox:")
            .say("Leave the story: all controls, the cluster as it is now"),
    );
    classed("div", "more").with_all(shapes)
}

/// The way to the next lesson; after the last one to what its runs say to sayings.
fn next(scene: &Scene) -> Option<Shape> {
    let (id, words) = match rooms::after(scene.room) {
        Some(it) => (it.id, format!("Next lesson: {} ›", it.title())),
        None => (said::ROOM, "That was the last lesson. Said and seen ›".to_owned()),
    };
    Some(button(format!("lesson:{id}"), words).set("id", "to-next"))
}

/// A setting as people read it.
fn turned(turn: &str) -> String {
    if turn == "past off" { "as Kafka is today".to_owned() } else { turn.to_owned() }
}

fn varied(scene: &Scene, lesson: &Lesson, it: &Varied) -> Vec<Shape> {
    let Some(knob) = lesson.story.knobs.get(it.knob) else { return Vec::new() };
    let turn = knob.turn.to_string();
    let is_over = scene.view.time_us >= it.end_us && scene.is_still();
    let tab = |lane: usize, words: &str, is_on: bool| {
        classed("button", if is_on { "tab on" } else { "tab" })
            .set("data-do", format!("lane:{lane}"))
            .set("aria-pressed", if is_on { "true" } else { "false" })
            .say(words.to_owned())
    };
    let words = match (is_over, it.shows_told) {
        (true, _) => knob.text.clone(),
        (false, false) => "The same run from its beginning, with this one setting changed.".to_owned(),
        (false, true) => "The run as it was told, at the same time.".to_owned(),
    };
    let mut shapes = vec![
        classed("p", "where").with([tab(0, "as told", it.shows_told), tab(1, &turned(&turn), !it.shows_told)]),
        title(lesson),
        says(words),
    ];
    if is_over {
        let head = ["as told", "changed"].map(|it| shape("th").set("scope", "col").say(it));
        let rows = it.outcomes.iter().map(|(question, told, changed)| {
            let class = if told == changed { "" } else { "harm" };
            shape("tr").named(question).with([
                shape("th").set("scope", "row").say(match &**question {
                    "lost" => "acked and lost".to_owned(),
                    "allowed" => "lost, twice or out of order, as settings allow".to_owned(),
                    _ => question.clone(),
                }),
                shape("td").say(told.clone()),
                classed("td", class).say(changed.clone()),
            ])
        });
        shapes.push(classed("table", "outcomes").set("id", "outcomes").with([
            shape("thead").with([shape("tr").with([shape("td")]).with(head)]),
            shape("tbody").with_all(rows.collect()),
        ]));
        if it.outcomes.iter().all(|(_, told, changed)| told == changed) {
            shapes
                .push(classed("p", "plain").say("The end is the same. What differs is the way there: play it again."));
        }
    }
    let on = if is_over { "Play it again" } else { "Skip ›" };
    shapes.push(classed("p", "turns").with([
        button("story:", "‹ The story").set("id", "to-story"),
        button(format!("knob:{}", it.knob), on).set("id", "vary-on"),
    ]));
    shapes.extend(next(scene).filter(|_| is_over));
    shapes.push(more(lesson, is_over));
    shapes
}

fn puzzle(scene: &Scene, lesson: &Lesson, it: &Try) -> Vec<Shape> {
    let Some(puzzle) = &lesson.story.puzzle else { return Vec::new() };
    let goals = puzzle.goals.iter().enumerate().map(|(index, goal)| {
        let holds = it.holds.get(index).copied().unwrap_or(false);
        let (mark, class, word) = if holds { ("#g-ok", "ok", "holds") } else { ("#g-wait", "", "not yet") };
        shape("li").with([
            classed("span", class).with([glyph(mark)]),
            shape("code").say(goal.to_string()),
            shape("em").say(word),
        ])
    });
    let mut shapes = vec![
        classed("p", "where").with([classed("small", "of").say("Puzzle")]),
        title(lesson),
        says(puzzle.text.clone()),
        classed("ul", "goals").set("aria-label", "Goals").with_all(goals.collect()),
    ];
    if matches!(scene.motion, Motion::Tour(_)) && !it.is_solved {
        let words = "Nothing more is to be done: it takes time, which passes now.";
        shapes.push(classed("p", "plain").set("role", "status").say(words));
    }
    shapes.extend(puzzle.hints.iter().take(it.hints).map(|it| classed("p", "plain").say(it.clone())));
    if it.is_solved {
        let words = if it.is_shown { "That is one way to do it." } else { "Solved: all goals hold at one moment." };
        shapes.push(
            classed("p", "done ok")
                .set("id", "solved")
                .set("role", "status")
                .with([glyph("#g-ok"), shape("b").say(words)]),
        );
    }
    let solution: Vec<Shape> = puzzle
        .solution
        .iter()
        .filter(|_| it.is_shown)
        .map(|it| shape("li").with([shape("code").say(it.1.to_string())]))
        .collect();
    if !solution.is_empty() {
        shapes.push(classed("ol", "plain").set("aria-label", "A solution").with_all(solution));
    }
    let no_more = it.hints >= puzzle.hints.len();
    // What is said above it grows; whoever pressed one of these still has the focus on it then.
    shapes.push(classed("p", "turns").named("turns").with([
        button("story:", "‹ The story").set("id", "to-story"),
        button("puzzle:", "Start again"),
        button("hint:", "A hint").set("id", "hint").when(no_more, "disabled", ""),
        button("solve:", "Show a solution").set("id", "solve"),
    ]));
    if it.is_solved {
        shapes.push(classed("div", "more").with_all(next(scene).into_iter().collect()));
    }
    shapes
}

fn sandbox(lesson: &Lesson) -> Vec<Shape> {
    let words = "The cluster is yours. What you do makes a branch of its own; the story stays as it was.";
    vec![
        title(lesson),
        says(words),
        classed("p", "turns").with([button("story:", "‹ The story").set("id", "to-story")]),
    ]
}
