//! What is worth a mark on the timeline, branch by branch; and when brokers ended.

use sim::World;
use sim::narration::Last;

use super::{Engine, MOST};

/// Ticks that a branch remembers; the timeline has far fewer pixels.
pub(super) const TICKS: usize = 20_000;

/// Something worth a mark on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The event.
    pub(crate) event: u64,
    /// What.
    pub(crate) kind: Kind,
}

/// What a tick marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A producer was told ok.
    Ack,
    /// A person did something.
    Action,
    /// A batch will be sent again.
    Retry,
    /// A broker serves.
    Serves,
    /// Somebody leads the metadata quorum anew.
    Election,
    /// Another set of replicas is in sync, or another leader.
    Isr,
    /// A follower's log was cut.
    Cut,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Kind; 7] =
        [Kind::Ack, Kind::Action, Kind::Retry, Kind::Serves, Kind::Election, Kind::Isr, Kind::Cut];

    /// Its class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Kind::Ack => "k ack",
            Kind::Action => "k fault",
            Kind::Retry => "k retry",
            Kind::Serves => "k up",
            Kind::Election => "k vote",
            Kind::Isr => "k isr",
            Kind::Cut => "k cut",
        }
    }

    /// As people read it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Ack => "told ok",
            Kind::Action => "an action",
            Kind::Retry => "a retry",
            Kind::Serves => "a broker serves",
            Kind::Election => "a controller elected",
            Kind::Isr => "leader or ISR",
            Kind::Cut => "a log cut",
        }
    }
}

/// What is remembered of a branch, and up to which event.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks {
    pub(super) list: Vec<Tick>,
    /// How many of its actions are marked.
    actions: usize,
    /// The events after which brokers were gone that had been there, and which: a bit each.
    pub(super) ends: Vec<(u64, u64)>,
    /// Which brokers run, a bit each, after the last known event.
    pub(super) up: u64,
    known: u64,
}

impl Engine {
    /// What happened on this branch, as marks.
    pub(crate) fn ticks(&self) -> &[Tick] {
        self.ticks.get(self.history.current()).map_or(&[], |it| &it.list)
    }

    /// The last so many marks in words, with the events that they are at: of an action its line. Of acks there are too many.
    pub(crate) fn told_ticks(&self, most: usize) -> Vec<(u64, String)> {
        let mut actions = self.history.actions().iter();
        let mut told = Vec::new();
        for it in self.ticks().iter().filter(|it| it.kind != Kind::Ack) {
            // Actions are marked in their order.
            let line = if it.kind == Kind::Action { actions.find(|action| action.after == it.event) } else { None };
            told.push((it.event, line.map_or(it.kind.word().to_owned(), |it| it.action.to_string())));
        }
        ordered::sort_by_key(&mut told, |it| it.0);
        told.split_off(told.len().saturating_sub(most))
    }

    /// Marks what the last event was, if it is a new one.
    pub(super) fn note_ticks(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(&self.history);
        }
        let world = self.history.world();
        let (event, last) = (world.events(), world.last());
        let Some(ticks) = self.ticks.get_mut(self.history.current()) else { return };
        if event <= ticks.known {
            return;
        }
        ticks.known = event;
        self.heard.extend(world.admin_told().map(|(op, outcome)| (op, outcome.clone())));
        ticks.note_up(event, up(world));
        if let Some(kind) = kind_of(last) {
            ticks.note(Tick { event, kind });
        }
    }

    /// Knows what was done since on the branch that is looked at; a new branch has its parent's marks up to where it left.
    pub(super) fn learn_ticks(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(&self.history);
        }
        for branch in &self.history.branches()[self.ticks.len()..] {
            let inherited = branch.from.and_then(|(parent, event)| {
                let parent = self.ticks.get(parent)?;
                let stays = |it: &&Tick| it.event <= event && it.kind != Kind::Action;
                let list = parent.list.iter().filter(stays).copied().collect();
                let ends = parent.ends.iter().filter(|it| it.0 <= event).copied().collect();
                Some(Ticks { list, ends, known: event, ..Ticks::default() })
            });
            self.ticks.push(inherited.unwrap_or_default());
        }
        if let Some(ticks) = self.ticks.get_mut(self.history.current()) {
            let actions = self.history.actions();
            for it in actions.iter().skip(ticks.actions) {
                ticks.note(Tick { event: it.after, kind: Kind::Action });
            }
            ticks.actions = actions.len();
        }
    }
}

impl Ticks {
    /// Remembers a tick. Where there are too many, half of those go of which there are most: acks, not elections.
    pub(super) fn note(&mut self, tick: Tick) {
        if self.list.len() >= TICKS {
            let count = |kind: Kind| self.list.iter().filter(|it| it.kind == kind).count();
            let most = Kind::ALL.into_iter().max_by_key(|it| count(*it));
            let mut goes = false;
            self.list.retain(|it| {
                goes ^= Some(it.kind) == most;
                Some(it.kind) != most || !goes
            });
        }
        self.list.push(tick);
    }

    /// Knows which brokers run after an event.
    pub(super) fn note_up(&mut self, event: u64, up: u64) {
        if self.up & !up != 0 {
            self.ends.push((event, self.up & !up));
        }
        self.up = up;
    }
}

/// What an event is worth a mark for, if it is.
pub(super) fn kind_of(last: &Last) -> Option<Kind> {
    let elected = last.node_events.iter().any(|it| matches!(it, node::Event::Controls { .. }));
    let serves = last.node_events.iter().any(|it| matches!(it, node::Event::Started));
    let retry = last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. }));
    let ack = last.client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. }));
    let isr = |it: &node::Event| matches!(it, node::Event::Isr { .. } | node::Event::Leads { .. });
    let isr = last.node_events.iter().any(isr);
    let cut = last.node_events.iter().any(|it| matches!(it, node::Event::Truncated { .. }));
    let kinds = [
        (elected, Kind::Election),
        (serves, Kind::Serves),
        (cut, Kind::Cut),
        (isr, Kind::Isr),
        (retry, Kind::Retry),
        (ack, Kind::Ack),
    ];
    kinds.into_iter().find(|it| it.0).map(|it| it.1)
}

/// Which brokers run, a bit each.
pub(super) fn up(world: &World) -> u64 {
    world.powers().take(MOST).enumerate().fold(0, |up, (index, it)| up | u64::from(it.is_up()) << index)
}
