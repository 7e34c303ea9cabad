//! A run that can be visited at any moment, changed in the past, and compared with what else might have been.

mod difference;

use std::fmt;
use std::sync::Arc;

use protocol::Instant;

use crate::action::Action;
use crate::setup::Setup;
use crate::world::{ActionError, World};
pub use difference::Difference;

/// The engine's version: another one may do other things with the same run.
pub const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// Snapshots are so many events apart, which bounds the replay before any moment: a browser plays them within 50 ms. What is
/// between two of them is copied twice, so they are no closer than they have to be.
const SPACING: u64 = 4_096;
/// Beyond so many snapshots of one branch old ones are further apart.
const SNAPSHOTS: usize = 256;
/// Events that are young in this.
const YOUNG: u64 = 0x1_0000;
/// Whoever goes back will soon go back a little more: a seek leaves copies on its way, so many events apart, the last few of them.
const TRAIL: (u64, usize) = (512, 8);

/// An action and the event that it precedes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The number of events before it.
    pub after: u64,
    /// The number of turns before it ([`World::turns`]): between two events it matters which.
    pub turns: u64,
    /// The clock when it was done.
    pub at: Instant,
    /// What was done.
    pub action: Action,
}

/// All there is to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// [`ENGINE`] when it was recorded.
    pub engine: String,
    /// The seed and the rest of the beginning.
    pub setup: Arc<Setup>,
    /// In the order in which they were done.
    pub actions: Vec<Stamped>,
}

/// A line of events that belongs together.
#[derive(Clone)]
struct Branch {
    name: String,
    /// The branch it left, and after how many of that one's events.
    from: Option<(usize, u64)>,
    actions: Vec<Stamped>,
    /// Shared with the branches that leave it later.
    snapshots: Vec<Arc<World>>,
    /// How many events were ever seen of it.
    known: u64,
    /// How much further apart old snapshots are than usual.
    scale: u64,
}

/// A run, its branches, and the moment that is looked at.
#[derive(Clone)]
pub struct History {
    setup: Arc<Setup>,
    branches: Vec<Branch>,
    current: usize,
    world: World,
    /// What the last seeks passed on this branch, in the order of events.
    trail: Vec<Arc<World>>,
    refused: Option<HistoryError>,
    /// Nobody will go back far, so nothing is kept to go back by.
    is_bare: bool,
}

/// A branch, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchView<'a> {
    /// Its name.
    pub name: &'a str,
    /// The number of the branch it left, and after how many events.
    pub from: Option<(usize, u64)>,
    /// How many events were seen of it.
    pub events: u64,
    /// Its actions.
    pub actions: &'a [Stamped],
}

/// What was asked of a history and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// There is no such branch.
    NoBranch(String),
    /// The action cannot be done at this moment.
    Action(ActionError),
    /// The run was recorded by another version.
    Engine(String),
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::NoBranch(name) => write!(f, "there is no branch {name}"),
            HistoryError::Action(error) => error.fmt(f),
            HistoryError::Engine(version) => {
                write!(
                    f,
                    "the run was recorded by version {version}; this is {ENGINE}, which may do other things with it"
                )
            }
        }
    }
}

impl std::error::Error for HistoryError {}

impl From<ActionError> for HistoryError {
    fn from(error: ActionError) -> HistoryError {
        HistoryError::Action(error)
    }
}

impl History {
    /// A run that has not begun.
    pub fn new(setup: Arc<Setup>) -> Result<History, ActionError> {
        let world = World::new(Arc::clone(&setup))?;
        let branch = Branch {
            name: "main".to_owned(),
            from: None,
            actions: Vec::new(),
            snapshots: vec![Arc::new(world.clone())],
            known: 0,
            scale: 1,
        };
        Ok(History {
            setup,
            branches: vec![branch],
            current: 0,
            world,
            trail: Vec::new(),
            refused: None,
            is_bare: false,
        })
    }

    /// The same to be played once: going back means beginning again.
    pub fn bare(setup: Arc<Setup>) -> Result<History, ActionError> {
        Ok(History { is_bare: true, ..History::new(setup)? })
    }

    /// A recorded run, at its beginning. Its actions are done when their moments come.
    pub fn of(run: Run) -> Result<History, HistoryError> {
        if run.engine != ENGINE {
            return Err(HistoryError::Engine(run.engine));
        }
        let mut history = History::new(run.setup)?;
        history.branches[0].actions = run.actions;
        history.act_due(Instant(u64::MAX))?;
        Ok(history)
    }

    /// The world at the moment that is looked at.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Why a recorded action of this moment could not be done: the recording is not of this engine, or was changed by hand.
    /// It is not skipped, and none after it is done.
    pub fn refused(&self) -> Option<&HistoryError> {
        self.refused.as_ref()
    }

    /// The branch that is looked at, as a run.
    pub fn run(&self) -> Run {
        Run { engine: ENGINE.to_owned(), setup: Arc::clone(&self.setup), actions: self.actions().to_vec() }
    }

    /// All actions of the branch that is looked at, also those of its future.
    pub fn actions(&self) -> &[Stamped] {
        &self.branches[self.current].actions
    }

    /// Those that were done before this moment.
    pub fn done(&self) -> &[Stamped] {
        let actions = self.actions();
        &actions[..(self.world.actions() as usize).min(actions.len())]
    }

    /// How many events were seen of the branch that is looked at.
    pub fn known(&self) -> u64 {
        self.branches[self.current].known
    }

    /// The number of the branch that is looked at, from 0, in the order in which they were made.
    pub fn current(&self) -> usize {
        self.current
    }

    /// The name of the branch that is looked at.
    pub fn branch(&self) -> &str {
        &self.branches[self.current].name
    }

    /// All branches, oldest first.
    pub fn branches(&self) -> Vec<BranchView<'_>> {
        self.branches
            .iter()
            .map(|it| BranchView { name: &it.name, from: it.from, events: it.known, actions: &it.actions })
            .collect()
    }

    /// One event on. False if nothing will happen by itself any more.
    pub fn step(&mut self) -> bool {
        self.step_before(Instant(u64::MAX))
    }

    /// One event on, if it comes before the time given.
    pub fn step_before(&mut self, limit: Instant) -> bool {
        loop {
            match self.turn_before(limit) {
                Some(false) => {}
                ended => return ended.is_some(),
            }
        }
    }

    /// One turn on, if it comes before the time given: whether it was an event. Between two events there may be any number of them,
    /// so who has to stay alive counts turns.
    pub fn turn_before(&mut self, limit: Instant) -> Option<bool> {
        self.act_recorded(limit);
        let is_event = self.world.turn_before(limit)?;
        if is_event {
            self.act_recorded(limit);
            self.noticed();
        }
        Some(is_event)
    }

    /// One event on, and no further: what was done after it, and may be an event too, is the next step. For those who want to see
    /// each. False if nothing will happen by itself any more.
    pub fn creep(&mut self) -> bool {
        let before = self.world.events();
        loop {
            self.act_recorded(Instant(u64::MAX));
            if self.world.events() == before && self.world.turn_before(Instant(u64::MAX)).is_none() {
                return false;
            }
            if self.world.events() > before {
                self.noticed();
                return true;
            }
        }
    }

    /// Lets time pass.
    pub fn run_until(&mut self, at: Instant) {
        while self.step_before(at) {}
        self.world.stand_at(at);
    }

    /// Goes to the moment of a recorded action: so many turns, and the clock before the next one.
    pub fn stand_at(&mut self, turns: u64, at: Instant) {
        self.stand_within(turns, u64::MAX, at);
    }

    /// The same where so many events are said to be over: one more, and there is no such moment.
    fn stand_within(&mut self, turns: u64, events: u64, at: Instant) {
        while self.world.turns() < turns && self.world.events() <= events {
            self.act_recorded(Instant(u64::MAX));
            match self.world.turn_before(Instant(u64::MAX)) {
                None => break,
                Some(false) => {}
                Some(true) => self.noticed(),
            }
        }
        self.world.stand_at(at);
    }

    /// To a moment that was looked at before: after so many events and turns, at its time, with all that was done there. One that
    /// never was, as a link may name, ends with the event after it.
    pub fn revisit(&mut self, event: u64, turns: u64, at: Instant) {
        // A snapshot of that very event may come with actions of a later time.
        self.seek(event.saturating_sub(1));
        self.stand_within(turns, event, at);
        self.act_recorded(at);
    }

    /// One event back. False at the beginning.
    pub fn back(&mut self) -> bool {
        let Some(event) = self.world.events().checked_sub(1) else { return false };
        self.seek(event);
        true
    }

    /// To the moment after so many events of this branch, or to the last if there are fewer.
    pub fn seek(&mut self, event: u64) {
        let ahead = event.checked_sub(self.world.events());
        let nearest = self.nearest(event);
        let snapshot_ahead = nearest.as_ref().map_or(u64::MAX, |world| event - world.events());
        // Forward from here if that is nearer than any snapshot.
        if !ahead.is_some_and(|ahead| ahead > 0 && ahead <= snapshot_ahead)
            && let Some(world) = nearest
        {
            self.trail.retain(|it| it.events() <= world.events());
            self.world = world;
            self.act_recorded(Instant(u64::MAX));
        }
        while self.world.events() < event && self.step() {
            self.leave_trail();
        }
    }

    fn leave_trail(&mut self) {
        let (distance, most) = TRAIL;
        let events = self.world.events();
        if events.is_multiple_of(distance) && self.trail.last().is_none_or(|it| it.events() < events) {
            if self.trail.len() == most {
                self.trail.remove(0);
            }
            self.trail.push(Arc::new(self.world.clone()));
        }
    }

    /// To a time of this branch, as [`History::run_until`] leads there; further than it was, it goes on.
    pub fn seek_time(&mut self, at: Instant) {
        if at < self.world.clock() {
            let snapshots = &self.branches[self.current].snapshots;
            let index = snapshots.partition_point(|it| it.clock() <= at).saturating_sub(1);
            if let Some(world) = snapshots.get(index) {
                self.world = World::clone(world);
            }
        }
        self.run_until(at);
    }

    /// Does something now. At the end of a branch it is added; in the past it makes a branch, and both are kept.
    pub fn act(&mut self, action: Action) -> Result<(), HistoryError> {
        self.act_apart(action, false)
    }

    /// [`History::act`], on a branch of its own also where nothing is known of what comes, if so told.
    pub fn act_apart(&mut self, action: Action, apart: bool) -> Result<(), HistoryError> {
        let after = self.world.events();
        let (turns, at, done) = (self.world.turns(), self.world.clock(), self.world.actions());
        let forks = apart || self.is_past();
        // What is refused changes nothing, so no copy is kept of how it was: there are many actions, and much in a world.
        self.world.act(&action)?;
        if forks {
            self.fork(after, done);
        }
        self.trail.clear();
        let events = self.world.events();
        let branch = &mut self.branches[self.current];
        branch.actions.push(Stamped { after, turns, at, action });
        branch.known = branch.known.max(events);
        Ok(())
    }

    /// True if more is known of this branch than was so far: an action would make another.
    pub fn is_past(&self) -> bool {
        let branch = &self.branches[self.current];
        self.world.events() < branch.known || (self.world.actions() as usize) < branch.actions.len()
    }

    /// Makes a branch from here on.
    pub fn branch_off(&mut self) {
        self.fork(self.world.events(), self.world.actions());
    }

    /// Looks at another branch, at its last known moment.
    pub fn switch(&mut self, name: &str) -> Result<(), HistoryError> {
        let found = self.branches.iter().position(|it| it.name == name);
        self.current = found.ok_or_else(|| HistoryError::NoBranch(name.to_owned()))?;
        self.trail.clear();
        if let Some(world) = self.branches[self.current].snapshots.first() {
            self.world = World::clone(world);
        }
        self.seek(self.branches[self.current].known);
        Ok(())
    }

    /// Gives a branch another name.
    pub fn rename(&mut self, name: &str, new: &str) -> Result<(), HistoryError> {
        let branch = self.branches.iter_mut().find(|it| it.name == name);
        branch.ok_or_else(|| HistoryError::NoBranch(name.to_owned()))?.name = new.to_owned();
        Ok(())
    }

    /// A branch with the same past, which ends after so many events and actions.
    fn fork(&mut self, after: u64, done: u32) {
        let parent = &self.branches[self.current];
        let actions = parent.actions[..done as usize].to_vec();
        let snapshots = parent.snapshots.iter().filter(|it| it.events() <= after).cloned().collect();
        // Somebody may have given that name to another.
        let is_free = |name: &String| self.branches.iter().all(|it| it.name != *name);
        let name = (self.branches.len()..).map(|it| format!("branch-{it}")).find(is_free).unwrap_or_default();
        let branch =
            Branch { name, from: Some((self.current, after)), actions, snapshots, known: after, scale: parent.scale };
        self.branches.push(branch);
        self.current = self.branches.len() - 1;
        self.trail.clear();
    }

    /// Does the recorded actions of this moment, but none that comes after a time. One that cannot be done stops the recording,
    /// and is told.
    fn act_recorded(&mut self, limit: Instant) {
        self.refused = self.act_due(limit).err();
    }

    fn act_due(&mut self, limit: Instant) -> Result<(), HistoryError> {
        loop {
            let next = self.branches[self.current].actions.get(self.world.actions() as usize);
            let Some(stamped) = next.filter(|it| it.turns <= self.world.turns() && it.at <= limit) else {
                return Ok(());
            };
            let stamped = stamped.clone();
            self.world.stand_at(stamped.at);
            self.world.act(&stamped.action)?;
        }
    }

    /// Remembers how far the branch is known, and takes a snapshot now and then.
    fn noticed(&mut self) {
        let events = self.world.events();
        let branch = &mut self.branches[self.current];
        if events <= branch.known {
            return;
        }
        branch.known = events;
        if events.is_multiple_of(SPACING) && !self.is_bare {
            branch.snapshots.push(Arc::new(self.world.clone()));
            branch.thin_out();
        }
    }

    /// A copy of the world from which the fewest events lead to the moment.
    fn nearest(&self, event: u64) -> Option<World> {
        let before = |worlds: &[Arc<World>]| {
            let index = worlds.partition_point(|it| it.events() <= event).checked_sub(1)?;
            worlds.get(index).cloned()
        };
        let (snapshot, passed) = (before(&self.branches[self.current].snapshots), before(&self.trail));
        let is_nearer = |it: &Arc<World>| snapshot.as_ref().is_none_or(|snapshot| snapshot.events() < it.events());
        passed.filter(is_nearer).or(snapshot).map(|it| World::clone(&it))
    }
}

impl Branch {
    /// The older, the fewer.
    fn thin_out(&mut self) {
        let known = self.known;
        if self.snapshots.len() > SNAPSHOTS {
            self.scale *= 2;
        }
        let scale = self.scale;
        self.snapshots.retain(|it| {
            let distance = if known - it.events() < YOUNG { SPACING } else { SPACING * scale };
            it.events().is_multiple_of(distance)
        });
    }
}
