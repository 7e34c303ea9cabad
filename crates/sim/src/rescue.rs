//! The point of no return of a loss: the last moment from which it could still have been avoided, found by branching.
//!
//! At a moment of the run nothing more is broken from then on and all that is broken is mended: ways are healed, disks have room,
//! who stands still goes on, who does not run starts. What becomes of that future says whether the moment was too late. Moments are
//! halved, for whoever comes too late once comes too late ever after.

use protocol::{Instant, Str, TopicPartition};

use crate::action::Action;
use crate::check::Verdict;
use crate::history::History;
use crate::world::World;

/// How long a future may take to lose what it will lose, in µs, besides the longest session of a broker: what its successors need to
/// agree and to copy.
const FUTURE_US: u64 = 11_000_000;
/// `broker.session.timeout.ms` unless somebody says otherwise.
const SESSION_MS: u64 = 9_000;
/// How often a future is looked at, in µs: one that has lost is not played to its end.
const LOOK_US: u64 = 500_000;

/// A search for it, which goes on future by future.
#[derive(Clone)]
pub struct Rescue {
    history: History,
    /// Where the records are lost that are asked about, and how many acknowledged ones were before.
    partition: TopicPartition,
    before: u64,
    /// How long a future is, in µs.
    future_us: u64,
    /// The last moment known to be early enough, in events.
    early: u64,
    /// The first one known to be too late.
    late: u64,
    loss: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointOfNoReturn {
    /// After so many events the loss could still be avoided, and after the next one not any more.
    pub event: u64,
    /// When it became too late.
    pub at: Instant,
    /// What made it too late: what somebody did between the two events, or else the next event in words.
    pub deed: String,
    /// The event that showed the loss.
    pub loss: u64,
}

impl Rescue {
    /// Begins to ask about the last loss of acknowledged records up to the moment that is looked at. None if there is none.
    pub fn begin(history: &History) -> Option<Rescue> {
        let findings = history.world().checks().findings();
        let last = findings.iter().rfind(|it| it.acked > 0 && it.verdict != Verdict::Kept)?;
        let (loss, partition) = (last.event, last.partition.clone()?);
        let mut history = history.clone();
        history.seek(loss.saturating_sub(1));
        let before = harm(history.world(), &partition).0;
        let sessions = history.world().setup().brokers.iter().flat_map(|it| &it.settings);
        let sessions = sessions.filter(|it| &*it.0 == "broker.session.timeout.ms").filter_map(|it| it.1.parse().ok());
        let future_us = sessions.fold(SESSION_MS, u64::max).saturating_mul(1_000).saturating_add(FUTURE_US);
        Some(Rescue { history, partition, before, future_us, early: 0, late: loss, loss })
    }

    /// Looks at one more future. False if the answer is known.
    pub fn probe(&mut self) -> bool {
        if self.late - self.early <= 1 {
            return false;
        }
        let middle = self.early + (self.late - self.early) / 2;
        self.history.seek(middle);
        if self.is_avoided() {
            self.early = middle
        } else {
            self.late = middle
        }
        self.late - self.early > 1
    }

    /// The answer, once [`Rescue::probe`] has no more to look at.
    pub fn found(&mut self) -> PointOfNoReturn {
        self.history.seek(self.early);
        let before = self.history.world().actions() as usize;
        self.history.seek(self.late);
        let world = self.history.world();
        let done = &self.history.run().actions[before..world.actions() as usize];
        // What mends did no harm.
        let done: Vec<_> = done.iter().filter(|it| !mends(&it.action)).collect();
        let deeds: Vec<String> = done.iter().map(|it| it.action.to_string()).collect();
        let at = done.first().map_or(world.clock(), |it| it.at);
        let deed = if deeds.is_empty() { world.narrate() } else { deeds.join(", ") };
        PointOfNoReturn { event: self.early, at, deed, loss: self.loss }
    }

    /// True if nothing more is lost when everything is mended at the moment that the history looks at.
    fn is_avoided(&self) -> bool {
        let mut world = self.history.world().clone();
        mend(&mut world, &self.history);
        let end = world.clock().0.saturating_add(self.future_us);
        while world.clock().0 < end {
            start_all(&mut world);
            world.run_until(Instant((world.clock().0 + LOOK_US).min(end)));
            if harm(&world, &self.partition).0 > self.before {
                return false;
            }
        }
        harm(&world, &self.partition).1 == 0
    }
}

/// Acknowledged records of a partition that are lost, and those that nobody has who could lead.
fn harm(world: &World, partition: &TopicPartition) -> (u64, u64) {
    world.checks().harm(partition, |pid| world.is_up(world.name(pid)))
}

/// Undoes what was done to processes, ways and disks. What needs no mending is refused, and that is as well.
fn mend(world: &mut World, history: &History) {
    let done = history.run().actions;
    let done = &done[..(world.actions() as usize).min(done.len())];
    for cure in done.iter().filter_map(|it| cure(&it.action)) {
        let _needs_none = world.act(&cure);
    }
}

/// Starts every broker and controller that does not run, also who has only now come to the end of a stop.
fn start_all(world: &mut World) {
    let names: Vec<Str> = world.setup().brokers.iter().map(|it| it.name.clone()).collect();
    for name in names.into_iter().filter(|it| !world.is_up(it)).collect::<Vec<_>>() {
        let _has_no_disk = world.act(&Action::Start(name));
    }
}

/// True for an action that undoes what another broke.
fn mends(action: &Action) -> bool {
    matches!(
        action,
        Action::Heal(..)
            | Action::Delay(_, _, 0)
            | Action::SlowDisk(_, 0)
            | Action::DiskHeal(_)
            | Action::Resume(_)
            | Action::Unload(_)
    )
}

/// What mends what an action broke.
fn cure(action: &Action) -> Option<Action> {
    match action {
        Action::Cut(a, b) | Action::CutOneWay(a, b) => Some(Action::Heal(a.clone(), b.clone())),
        Action::Delay(a, b, _) => Some(Action::Delay(a.clone(), b.clone(), 0)),
        Action::SlowDisk(name, _) => Some(Action::SlowDisk(name.clone(), 0)),
        Action::DiskFull(name) | Action::DiskError(name, _) => Some(Action::DiskHeal(name.clone())),
        Action::Pause(name) => Some(Action::Resume(name.clone())),
        Action::Load(load) => Some(Action::Unload(load.client.clone())),
        _ => None,
    }
}
