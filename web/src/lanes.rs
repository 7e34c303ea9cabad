//! The run that is looked at and, beside it, the same scenario with other settings: all on one clock, and what is done is done in
//! all of them at one time.

use std::collections::VecDeque;

use crate::engine::Engine;

/// A run among others.
pub(crate) struct Lane {
    /// The room has it; what a knob made goes again.
    is_of_room: bool,
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) engine: Engine,
}

/// All of them, one being looked at, and what is to be done once the time has passed that a person waits for.
pub(crate) struct Lanes {
    pub(crate) shown: Lane,
    /// They follow the clock of the one that is shown.
    others: Vec<Lane>,
    /// The room's own, while a variation is beside the first one instead.
    parked: Vec<Lane>,
    later: VecDeque<Wish>,
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// What a line of the scenario language says.
    Line(String),
    /// One more member of a group: each lane has settings of its own.
    Member(String),
}

impl Wish {
    /// The lines that do it in a lane.
    pub(crate) fn lines(&self, engine: &Engine) -> Vec<String> {
        match self {
            Wish::Line(line) => vec![line.clone()],
            Wish::Member(group) => engine.newcomer(group),
        }
    }

    /// As people read it.
    pub(crate) fn words(&self) -> String {
        match self {
            Wish::Line(line) => line.clone(),
            Wish::Member(group) => format!("add a member to {group}"),
        }
    }
}

impl Lanes {
    /// At least one, by number; the first is shown.
    pub(crate) fn new(engines: Vec<(&'static str, Engine)>) -> Lanes {
        let lanes = engines.into_iter().enumerate();
        let mut lanes: Vec<Lane> = lanes
            .map(|(number, (name, engine))| Lane { is_of_room: true, number, name: name.to_owned(), engine })
            .collect();
        Lanes { shown: lanes.remove(0), others: lanes, parked: Vec::new(), later: VecDeque::new() }
    }

    /// Shows a run beside the first one, and no other until that one is left alone again.
    pub(crate) fn put_beside(&mut self, name: String, engine: Engine) {
        self.show(0);
        self.parked.append(&mut self.others);
        let told = std::mem::replace(&mut self.shown, Lane { is_of_room: false, number: 1, name, engine });
        self.others.push(told);
    }

    /// Shows the first one, and those of the room beside it if there are any: a variation goes.
    pub(crate) fn leave_alone(&mut self) {
        self.show(0);
        self.others.retain(|it| it.is_of_room);
        self.others.append(&mut self.parked);
    }

    /// True if there is more than one.
    pub(crate) fn are_many(&self) -> bool {
        !self.others.is_empty()
    }

    /// All of them, the one that is shown first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Lane> {
        std::iter::once(&self.shown).chain(&self.others)
    }

    /// Gives the branch that is looked at another name, in all lanes; says why not.
    pub(crate) fn rename(&mut self, name: &str) -> Result<(), String> {
        let name = name.trim();
        let is_taken = |lane: &Lane| {
            let (branch, branches) = lane.engine.branches();
            branches.iter().enumerate().any(|(index, it)| it.name == name && index != branch)
        };
        if name.is_empty() || self.all().any(is_taken) {
            return Err(format!("A branch needs a name of its own, and “{name}” is none."));
        }
        self.shown.engine.rename(name);
        self.others.iter_mut().for_each(|it| it.engine.rename(name));
        Ok(())
    }

    /// Shows another.
    pub(crate) fn show(&mut self, number: usize) {
        if let Some(other) = self.others.iter_mut().find(|it| it.number == number) {
            std::mem::swap(&mut self.shown, other);
            // Nobody was told, and it is no news any more.
            self.shown.engine.take_refused();
        }
    }

    /// True while all stand at one moment.
    pub(crate) fn are_together(&self) -> bool {
        let clock = self.shown.engine.clock();
        self.others.iter().all(|it| it.engine.clock() == clock)
    }

    /// Brings the others to where the one is that is shown.
    pub(crate) fn gather(&mut self) {
        let clock = self.shown.engine.clock();
        for it in &mut self.others {
            it.engine.seek_time(clock);
        }
    }

    /// Makes a branch from here on, in all lanes.
    pub(crate) fn branch_off(&mut self) {
        self.gather();
        self.shown.engine.branch_off();
        for it in &mut self.others {
            it.engine.branch_off();
        }
    }

    /// To the end of a branch, each to its own.
    pub(crate) fn switch(&mut self, branch: usize) {
        self.shown.engine.switch(branch);
        for it in &mut self.others {
            it.engine.switch(branch);
        }
    }

    /// Lets so many µs pass. `spent` is how much of the frame is over, 1 being all of it: each lane has its share.
    pub(crate) fn advance(&mut self, us: f64, spent: &dyn Fn() -> f64) {
        if self.are_together() {
            let share = self.share();
            self.shown.engine.advance(us, || spent() < share);
        }
        self.keep_up(spent);
    }

    /// Goes on to a time, as far as the frame allows. What it does not allow is not owed: the next asks for a time again.
    pub(crate) fn follow_to(&mut self, at_us: u64, spent: &dyn Fn() -> f64) {
        if self.are_together() {
            let share = self.share();
            self.shown.engine.follow(at_us, &|| spent() < share);
        }
        self.keep_up(spent);
    }

    /// Goes on towards what is waited for. A sentence once it has come; if it will not, that. All are there then.
    pub(crate) fn search(&mut self, spent: &dyn Fn() -> f64) -> Option<Result<String, String>> {
        let share = self.share();
        let found = if self.are_together() { self.shown.engine.search(|| spent() < share) } else { None };
        if found.is_some() {
            self.gather();
        } else {
            self.keep_up(spent);
        }
        found
    }

    fn share(&self) -> f64 {
        1.0 / (self.others.len() + 1) as f64
    }

    /// Lets the others go on to where the one is that is shown. While one is not there, that one waits: none is left behind.
    fn keep_up(&mut self, spent: &dyn Fn() -> f64) {
        let (clock, share) = (self.shown.engine.clock(), self.share());
        for (index, it) in self.others.iter_mut().enumerate() {
            let until = share * (index + 2) as f64;
            it.engine.follow(clock, &|| spent() < until);
        }
    }

    /// Stands still where all are at one moment, and waits for nothing any more. What was to be done after is not done: that.
    pub(crate) fn stop(&mut self) -> Vec<Wish> {
        self.shown.engine.give_up();
        self.gather();
        self.forget_later()
    }

    /// What was to be done after a wait will not be: that.
    pub(crate) fn forget_later(&mut self) -> Vec<Wish> {
        self.later.drain(..).collect()
    }

    /// What waits until the time has passed, as people read it.
    pub(crate) fn later(&self) -> Option<String> {
        let words: Vec<String> = self.later.iter().map(Wish::words).collect();
        (!words.is_empty()).then(|| words.join(", then "))
    }

    /// A wish, if it can be done now. While a wait lasts it is kept until then, unless nobody could ever do it.
    pub(crate) fn ask(&mut self, wish: Wish) -> Result<Option<Wish>, String> {
        if !self.shown.engine.waits() {
            return Ok(Some(wish));
        }
        if let Wish::Line(line) = &wish {
            Engine::steps(line)?;
        }
        self.later.push_back(wish);
        Ok(None)
    }

    /// This is to be done before all else that waits.
    pub(crate) fn put_first(&mut self, wish: Wish) {
        self.later.push_front(wish);
    }

    /// What is to be done next, once nothing is waited for.
    pub(crate) fn due(&mut self) -> Option<Wish> {
        if self.shown.engine.waits() { None } else { self.later.pop_front() }
    }

    /// Does it in all lanes, at one time. If one of them has a future then, it is done on a branch of its own in all: a branch has
    /// one number everywhere. What the lane that is shown refuses is done nowhere.
    pub(crate) fn act(&mut self, wish: &Wish) -> Result<(), String> {
        self.gather();
        let apart = self.all().any(|it| it.engine.is_past());
        let shown = &mut self.shown.engine;
        let branches = shown.branches().1.len();
        for line in wish.lines(shown) {
            // The first makes the branch that the next ones are on.
            let is_branch = shown.branches().1.len() > branches;
            shown.act_apart(&line, apart && !is_branch)?;
        }
        let is_branch = shown.branches().1.len() > branches;
        let mut done = Ok(());
        for it in &mut self.others {
            if is_branch {
                it.engine.branch_off();
            }
            for line in wish.lines(&it.engine) {
                done = done.and(it.engine.act(&line).map_err(|error| format!("in the lane {}: {error}", it.name)));
            }
            // What was asked is answered for the lane that is shown.
            it.engine.take_said();
        }
        done
    }
}

#[cfg(test)]
mod tests;
