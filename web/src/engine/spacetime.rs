//! What was on its way lately and what became of it, event by event: for the drawing in which time goes downward.

use protocol::Instant;
use sim::narration::Heard;
use sim::view::{self as seen, MessageKind};
use sim::world::ADMIN;
use sim::{Action, History, World};

use super::Engine;
use super::ticks::{self, Kind};
use crate::look;
use crate::view::Message;

/// So many events are looked back at most.
const REACH: u64 = 1_500;
/// And so many messages that are no longer on their way.
pub(crate) const MOST: usize = 40;

/// After so many events at which nobody looked nobody watches any more: whoever looks then looks back.
const PATIENCE: u64 = 16_384;

/// What happened lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    /// The event before the first of it, and its last.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// In the order in which they were sent. Signs of life that arrived when they should are left out.
    pub(crate) flights: Vec<Flight>,
    /// What else is worth a sign, and what people did; in order.
    pub(crate) marks: Vec<Mark>,
    /// Ways that were cut, also long ago.
    pub(crate) cuts: Vec<Cut>,
    /// From when on which brokers run, a bit each in their order; the first is how it began.
    pub(crate) powers: Vec<(u64, u64)>,
}

/// A message and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flight {
    pub(crate) message: Message,
    /// Nothing as long as it is on its way.
    pub(crate) end: Option<End>,
}

/// How a message's way ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) at_us: u64,
    /// Before this event it was on its way.
    pub(crate) event: u64,
    /// Nobody got it.
    pub(crate) is_lost: bool,
}

/// Something that happened to a process, or that somebody did to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Empty where it concerns no process in particular.
    pub(crate) process: String,
    pub(crate) at_us: u64,
    pub(crate) event: u64,
    pub(crate) kind: Kind,
    /// A sentence, or the line that was done.
    pub(crate) words: String,
}

/// From when to when nothing passed from one process to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) ends: [String; 2],
    /// The way back was cut too.
    pub(crate) is_both: bool,
    pub(crate) since_us: u64,
    pub(crate) until_us: Option<u64>,
}

/// Watches the world go from event to event.
pub(super) struct Recorder {
    branch: usize,
    recent: Recent,
    /// How many turns and actions are known.
    known: (u64, u32),
    transit: Vec<seen::Message>,
    /// The last event when somebody looked.
    looked: u64,
}

impl Recorder {
    /// Begins with what is on its way at a moment.
    fn begin(history: &History) -> Recorder {
        let world = history.world();
        let mut recorder = Recorder {
            branch: history.current(),
            recent: Recent { from: world.events(), to: world.events(), ..Recent::default() },
            known: (world.turns(), world.actions()),
            transit: on_their_way(world),
            looked: world.events(),
        };
        recorder.recent.powers.push((0, ticks::up(world)));
        for it in &recorder.transit {
            recorder.recent.flights.push(Flight { message: look::message(it), end: None });
        }
        recorder
    }

    /// Learns of the next event, or of what was done since the last. Of another there is nothing to learn: whoever looks then looks back.
    pub(super) fn note(&mut self, history: &History) {
        let event = history.world().events();
        let is_next = event == self.recent.to || event == self.recent.to + 1;
        if is_next && event <= self.looked + PATIENCE && history.current() == self.branch {
            self.learn(history.world());
        }
    }

    /// Learns what the last event, or what was done since, changed. What is known already changes nothing.
    fn learn(&mut self, world: &World) {
        let (event, known) = (world.events(), (world.turns(), world.actions()));
        if known <= self.known {
            return;
        }
        let is_new = event > self.recent.to;
        self.known = known;
        self.recent.to = event;
        let (before, after) = (std::mem::take(&mut self.transit), on_their_way(world));
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut now = after.iter().peekable();
        for it in &before {
            while let Some(other) = now.next_if(|other| key(other) < key(it)) {
                new.push(other);
            }
            if now.next_if(|other| key(other) == key(it)).is_none() {
                gone.push(it);
            }
        }
        new.extend(now);
        for it in gone {
            // What is hastened is another's place in the order, and still on its way.
            if let Some(index) = new.iter().position(|other| (other.id(), &other.from) == (it.id(), &it.from)) {
                let arrives_us = new.remove(index).arrives.0;
                self.open(it).into_iter().for_each(|it| it.message.arrives_us = arrives_us);
                continue;
            }
            let has_arrived = is_new && has_arrived(world, it);
            let at = if has_arrived { world.last().at } else { world.clock().min(it.arrives) };
            // That a connection ends is no message that could be lost.
            let is_lost = !has_arrived && it.what != MessageKind::Close;
            let is_telling = is_lost || !it.is_idle || at > it.arrives;
            if let Some(flight) = self.open(it) {
                flight.end = Some(End { at_us: at.0, event, is_lost });
                if !is_telling {
                    flight.message.id.clear();
                }
            }
        }
        self.recent.flights.retain(|it| !it.message.id.is_empty());
        for it in new {
            self.recent.flights.push(Flight { message: look::message(it), end: None });
        }
        self.transit = after;
        if is_new {
            self.mark(world);
        }
        let (up, last) = (ticks::up(world), self.recent.powers.last().map(|it| it.1));
        if last != Some(up) {
            self.recent.powers.push((world.clock().0, up));
        }
        if self.recent.flights.len() > 4 * MOST {
            self.prune();
        }
    }

    /// A message that is on its way, as it is remembered.
    fn open(&mut self, it: &seen::Message) -> Option<&mut Flight> {
        let id = it.id().to_string();
        let is =
            |flight: &&mut Flight| flight.end.is_none() && flight.message.id == id && flight.message.from == *it.from;
        self.recent.flights.iter_mut().rev().find(is)
    }

    /// What the last event was besides.
    fn mark(&mut self, world: &World) {
        let last = world.last();
        let (process, at_us, event) = (world.name(last.process).to_string(), last.at.0, last.event);
        if let Some((id, api, to)) = last.lost {
            let message = Message {
                id: id.to_string(),
                from: process.clone(),
                to: world.name(to).to_string(),
                what: api.name(),
                is_answer: true,
                sent_us: at_us,
                arrives_us: at_us,
                ..Message::default()
            };
            self.recent.flights.push(Flight { message, end: Some(End { at_us, event, is_lost: true }) });
        }
        if let Some(kind) = ticks::kind_of(last) {
            self.recent.marks.push(Mark { process, at_us, event, kind, words: world.narrate() });
        }
    }

    /// Forgets what is too far back.
    fn prune(&mut self) {
        let recent = &mut self.recent;
        let mut ends: Vec<u64> = recent.flights.iter().filter_map(|it| it.end.map(|end| end.event)).collect();
        ordered::sort(&mut ends);
        let crowded = ends.len().checked_sub(MOST).and_then(|it| ends.get(it)).map_or(0, |it| it.saturating_sub(1));
        recent.from = recent.from.max(crowded).max(recent.to.saturating_sub(REACH));
        let from = recent.from;
        recent.flights.retain(|it| it.end.is_none_or(|end| end.event > from));
        recent.marks.retain(|it| it.event > from);
    }

    /// True if it tells of the moment after an event.
    fn has(&self, branch: usize, event: u64) -> bool {
        self.branch == branch && event <= self.recent.to && (event > self.recent.from || event == self.recent.to)
    }
}

impl Engine {
    /// What happened lately, up to the moment that is looked at, or further if that is known: who goes back a little has it
    /// still before him. Nothing, and nothing is watched, unless somebody looks.
    pub(crate) fn recent(&mut self, is_looked_at: bool) -> Recent {
        if !is_looked_at {
            self.recorder = None;
            return Recent::default();
        }
        let history = &self.history;
        let event = history.world().events();
        let known = self.recorder.take().filter(|it| it.has(history.current(), event));
        let mut recorder = known.unwrap_or_else(|| {
            let mut past = history.clone();
            past.seek(event.saturating_sub(REACH));
            let mut recorder = Recorder::begin(&past);
            while past.world().events() < event && past.creep() {
                recorder.learn(past.world());
            }
            recorder
        });
        recorder.note(history);
        recorder.prune();
        recorder.looked = recorder.recent.to;
        let mut recent = recorder.recent.clone();
        let (actions, done) = (history.actions(), recorder.known.1 as usize);
        for it in actions.iter().take(done) {
            let (at_us, line) = (it.at.0, it.action.to_string());
            match &it.action {
                Action::Cut(a, b) => recent.cut(a, b, at_us, true),
                Action::CutOneWay(a, b) => recent.cut(a, b, at_us, false),
                Action::Heal(a, b) => recent.heal(a, b, at_us),
                _ => {}
            }
            // What was done after the event before the first of it stands at its edge.
            if it.after >= recent.from {
                let world = history.world();
                let process = line.split(' ').find(|it| world.pid(it).is_ok()).unwrap_or_default().to_owned();
                recent.marks.push(Mark { process, at_us, event: it.after, kind: Kind::Action, words: line });
            }
        }
        ordered::sort_by_key(&mut recent.flights, |it| it.message.sent_us);
        ordered::sort_by_key(&mut recent.marks, |it| it.at_us);
        self.recorder = Some(recorder);
        recent
    }
}

impl Recent {
    fn cut(&mut self, a: &str, b: &str, since_us: u64, is_both: bool) {
        let ends = [a, b].map(str::to_owned);
        self.cuts.push(Cut { ends, is_both, since_us, until_us: None });
    }

    fn heal(&mut self, a: &str, b: &str, at_us: u64) {
        let between = |it: &&mut Cut| it.until_us.is_none() && it.ends.iter().all(|end| end == a || end == b);
        self.cuts.iter_mut().filter(between).for_each(|it| it.until_us = Some(at_us));
    }
}

/// What is on its way between two processes that are drawn, in the order of [`key`].
fn on_their_way(world: &World) -> Vec<seen::Message> {
    let mut messages = world.messages();
    messages.retain(|it| it.from != it.to && it.from != *ADMIN && it.to != *ADMIN);
    ordered::sort_by_key(&mut messages, key);
    messages
}

fn key(it: &seen::Message) -> (Instant, u32, i32, bool, bool) {
    let id = it.id();
    (it.arrives, id.link.0, id.number, id.is_answer, it.from < it.to)
}

/// True if the last event was that a message arrived.
fn has_arrived(world: &World, it: &seen::Message) -> bool {
    let last = world.last();
    let is = match (last.heard, it.what) {
        (Heard::Request(_, api, id), MessageKind::Request(of, number))
        | (Heard::Response(api, id), MessageKind::Response(of, number)) => (api, id) == (of, number),
        (Heard::Closed(_) | Heard::Disconnected, MessageKind::Close) => true,
        _ => false,
    };
    is && *world.name(last.process) == it.to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Engine {
        Engine::new("3").unwrap()
    }

    /// What there is of messages that were lost: which, from whom to whom.
    fn lost(recent: &Recent) -> Vec<String> {
        let lost = recent.flights.iter().filter(|it| it.end.is_some_and(|end| end.is_lost));
        lost.map(|it| format!("{} {} {}", it.message.from, it.message.what, it.message.to)).collect()
    }

    /// Who watches event by event sees what who comes later finds out, and who goes back a little loses nothing of it.
    #[test]
    fn it_is_the_same_watched_or_looked_up() {
        let mut engine = room();
        for _ in 0..2_000 {
            engine.step();
        }
        let start = engine.history.world().events();
        engine.recent(true);
        for event in start + 1..start + 3_000 {
            engine.step();
            if event == start + 1_500 {
                engine.recent(true);
            }
        }
        let watched = engine.recent(true);
        engine.recorder = None;
        let found = engine.recent(true);
        assert_eq!((watched.from, watched.to), (found.from, found.to));
        assert_eq!(watched.flights, found.flights);
        assert_eq!(watched.marks, found.marks);
        let ended = found.flights.iter().filter(|it| it.end.is_some()).count();
        assert_eq!(ended, MOST, "no more than fit, and that many where so much happens");
        assert!(
            found.flights.iter().all(|it| it.end.is_none_or(|end| end.event > found.from && end.event <= found.to))
        );
        assert!(found.flights.is_sorted_by_key(|it| it.message.sent_us));
        engine.back();
        assert_eq!(engine.recent(true).flights, found.flights, "a step back it is still in sight");
        engine.seek(found.from);
        let earlier = engine.recent(true);
        assert_eq!((earlier.to, earlier.flights.last() == found.flights.last()), (found.from, false));
    }

    /// A message that was sent before the first of what is told and arrives within it has both its ends.
    #[test]
    fn what_crosses_the_edge_is_whole() {
        let mut engine = room();
        let recent = engine.recent(true);
        let mut past = engine.history.clone();
        past.seek(recent.from);
        let edge = past.world().clock().0;
        let crosses = |it: &&Flight| it.message.sent_us <= edge && it.end.is_some();
        assert!(recent.flights.iter().any(|it| crosses(&it)), "something always is on its way");
        for it in recent.flights.iter().filter(crosses) {
            assert!(past.world().messages().iter().any(|other| other.id().to_string() == it.message.id));
            assert!(it.end.is_some_and(|end| end.at_us >= edge));
        }
    }

    #[test]
    fn what_is_dropped_or_finds_nobody_is_lost_where_it_was() {
        let mut engine = room();
        engine.recent(true);
        let is_telling = |it: &&Message| it.from.starts_with('p') && it.to.starts_with('b') && !it.is_answer;
        let message = loop {
            engine.step();
            if let Some(it) = engine.view().messages.iter().find(is_telling) {
                break it.clone();
            }
        };
        engine.act(&format!("drop message {}", message.id)).unwrap();
        let recent = engine.recent(true);
        let end = recent.flights.iter().find(|it| it.message.id == message.id && it.message.from == message.from);
        let end = end.and_then(|it| it.end).expect("it is over");
        assert!(end.is_lost && end.at_us == engine.clock() && end.at_us < message.arrives_us, "{end:?}");
        assert_eq!(
            recent.marks.last().map(|it| (it.kind, it.words.starts_with("drop message"))),
            Some((Kind::Action, true))
        );

        // An answer that its world loses before it is on its way.
        engine.act("drop next response of Produce to p1").unwrap();
        while !lost(&engine.recent(true)).iter().any(|it| it.ends_with("Produce p1")) {
            assert!(engine.step());
        }
        // Requests to who is gone arrive nowhere.
        engine.act("kill b1").unwrap();
        engine.act("run 20ms").unwrap();
        let recent = engine.recent(true);
        assert!(lost(&recent).iter().any(|it| it.ends_with(" b1")), "{:?}", lost(&recent));
        assert_eq!(recent.powers.iter().map(|it| it.1).collect::<Vec<_>>(), [0b111, 0b110]);
        engine.recorder = None;
        let found = engine.recent(true);
        assert_eq!((lost(&found), found.flights), (lost(&recent), recent.flights), "and it is found again");
    }

    #[test]
    fn a_way_is_cut_until_it_is_healed_and_what_waits_there_is_held_up() {
        let mut engine = room();
        for line in ["cut b1 b2", "cut b3 -> b1", "run 3s", "heal b2 b1", "run 1s"] {
            engine.act(line).unwrap();
        }
        let cuts = engine.recent(true).cuts;
        let told = cuts.iter().map(|it| (it.ends.join(" "), it.is_both, it.until_us.map(|until| until - it.since_us)));
        let told: Vec<_> = told.collect();
        assert_eq!(told, [("b1 b2".to_owned(), true, Some(3_000_000)), ("b3 b1".to_owned(), false, None)]);
    }

    /// The marks are those of the timeline.
    #[test]
    fn an_election_is_marked_at_the_event_at_which_the_timeline_has_it() {
        let mut engine = room();
        let active = engine.view().brokers.into_iter().find(|it| it.quorum_epoch.is_some()).unwrap().name;
        engine.act(&format!("kill {active}")).unwrap();
        engine.recent(true);
        let is_mark = |it: &&Mark| it.kind == Kind::Election;
        let recent = loop {
            engine.act("run 100ms").unwrap();
            let recent = engine.recent(true);
            if recent.marks.iter().any(|it| is_mark(&it)) {
                break recent;
            }
        };
        let marked: Vec<u64> = recent.marks.iter().filter(is_mark).map(|it| it.event).collect();
        let ticks = engine.ticks().iter().filter(|it| it.kind == Kind::Election && it.event > recent.from);
        assert_eq!(marked, ticks.map(|it| it.event).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_watches_for_nobody() {
        let mut engine = room();
        engine.recent(true);
        assert!(engine.recorder.is_some());
        assert!(engine.recent(false).flights.is_empty() && engine.recorder.is_none());
        engine.step();
        assert!(engine.recorder.is_none());
        // Another branch is another story.
        engine.recent(true);
        engine.seek(engine.history.world().events() - 50);
        engine.act("kill b1").unwrap();
        let recent = engine.recent(true);
        assert_eq!(
            (recent.to, recent.marks.last().map(|it| &*it.words)),
            (engine.history.world().events(), Some("kill b1"))
        );
    }
}
