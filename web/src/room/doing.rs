//! What a person does: a line now, or once the time has passed that is waited for; and what is left on the page of it.

use leptos::prelude::*;

use super::state::Room;
use super::terminal;
use crate::lanes::Wish;

impl Room {
    /// Leaves the run's text on the page for the case of a fault, with what is to be done next, and how late it is.
    pub(super) fn leave(self, next: &str) {
        let inner = self.inner();
        let lanes = inner.lanes.borrow();
        let engine = &lanes.shown.engine;
        let (lines, is_more) = inner.pace.borrow_mut().left.news(engine);
        let next = format!("run to event {}\n{next}", engine.history().world().events());
        crate::leave(&lines, is_more, &next, engine.clock());
    }

    /// Does what a line says and writes it down. True if it was done, or will be.
    pub(crate) fn act(self, text: &str) -> bool {
        let text = text.trim();
        !text.is_empty() && self.ask(Wish::Line(text.to_owned()))
    }

    /// One more member of a group.
    pub(crate) fn add_member(self, group: &str) {
        self.ask(Wish::Member(group.to_owned()));
    }

    /// Does what is wished, or keeps it: what is asked for while time passes by itself is done after it, as the lines say.
    pub(super) fn ask(self, wish: Wish) -> bool {
        let inner = self.inner();
        let words = wish.words();
        let asked = inner.lanes.borrow_mut().ask(wish);
        match asked {
            Ok(Some(wish)) => self.carry_out(&wish),
            Ok(None) => {
                self.say_later();
                true
            }
            Err(error) => {
                inner.scene.borrow_mut().write(&words, Some(&error));
                self.draw();
                self.say(error);
                false
            }
        }
    }

    pub(super) fn carry_out(self, wish: &Wish) -> bool {
        let inner = self.inner();
        let lines = {
            let mut lanes = inner.lanes.borrow_mut();
            lanes.gather();
            wish.lines(&lanes.shown.engine)
        };
        let Some(last) = lines.last() else { return false };
        // If the engine stops at a fault within it, nothing is left to write it down.
        self.leave(&format!("{}\n", lines.join("\n")));
        let far = inner.lanes.borrow().shown.engine.far(last);
        if let Some((until, is_before)) = far {
            let mut line = String::new();
            if is_before {
                inner.lanes.borrow_mut().put_first(Wish::Line(last.clone()));
            } else {
                inner.scene.borrow_mut().write(last, None);
                line.clone_from(last);
            }
            self.wait_for(until, line);
            self.say_later();
            return true;
        }
        let done = inner.lanes.borrow_mut().act(wish);
        inner.pace.borrow_mut().left.follow(&inner.lanes.borrow().shown.engine);
        for line in &lines {
            let error = done.as_ref().err().filter(|_| line == last);
            inner.scene.borrow_mut().write(line, error.map(|it| &**it));
            if error.is_none() {
                terminal::keep(line);
            }
        }
        let (said, refused) = {
            let engine = &mut inner.lanes.borrow_mut().shown.engine;
            (engine.take_said(), engine.take_refused())
        };
        let answer = if refused.is_empty() { said.join("; ") } else { refused.join("; ") };
        refused.iter().for_each(|it| inner.scene.borrow_mut().refuse(it));
        said.into_iter().for_each(|it| inner.scene.borrow_mut().answer(it));
        let (is_still, seen_us) = self.with(|it| (it.is_still(), it.view.time_us));
        // Of many things that are done at one moment all are looked at together, before anybody sees the page.
        let waits = is_still && seen_us == inner.lanes.borrow().shown.engine.clock();
        if !waits {
            self.look();
        }
        inner.scene.borrow_mut().sentence = match &done {
            Ok(()) if answer.is_empty() => {
                deed(last) + if is_still { " The clock stands still: press Play." } else { "" }
            }
            Ok(()) => answer,
            Err(error) => error.clone(),
        };
        if !waits {
            self.show();
        } else if !inner.is_late.replace(true) {
            queue_microtask(move || self.catch_up());
        }
        self.leave("");
        if done.is_ok() {
            self.let_goals_come();
        }
        done.is_ok()
    }

    /// What was to be done after a wait, and will not be now.
    pub(crate) fn forget_later(self) {
        let undone = self.inner().lanes.borrow_mut().forget_later();
        self.undone(&undone);
    }

    /// Writes down what was wished and not done.
    pub(super) fn undone(self, wishes: &[Wish]) {
        if wishes.is_empty() {
            return;
        }
        let inner = self.inner();
        let words: Vec<String> = wishes.iter().map(Wish::words).collect();
        for it in &words {
            inner.scene.borrow_mut().write(it, Some("not done: what was to be done later was called off"));
        }
        self.draw();
        self.say(format!("Not done: {}.", words.join(", ")));
    }

    /// Says what waits for the time to pass.
    pub(super) fn say_later(self) {
        let later = self.inner().lanes.borrow().later();
        if let Some(later) = later {
            self.say(format!("Once the time has passed: {later}. Pause or Escape calls that off."));
        }
    }

    /// Does what was to be done after a wait, up to the next one.
    pub(super) fn carry_out_later(self) {
        loop {
            let due = self.inner().lanes.borrow_mut().due();
            let Some(wish) = due else { break };
            self.carry_out(&wish);
        }
        self.say_later();
    }
}

/// What a person did, in a sentence.
fn deed(line: &str) -> String {
    let mut words = line.split_whitespace();
    let (verb, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match verb {
        "kill" => format!(
            "You killed {name}: the process is gone, its connections break. What it had written stays in its machine’s page cache."
        ),
        "power-cut" => {
            format!("You cut the power of {name}: what was not synced to its disk is gone, and nobody is told.")
        }
        "start" => format!("You started {name} on the disk that it had."),
        "stop" => format!("You asked {name} to stop: it hands its partitions over first, and only then goes."),
        "pause" => format!("You paused {name}: it does nothing, and its connections stay open. Nobody is told."),
        "resume" => format!("You let {name} go on. It does not know how long it stood still."),
        "wipe" => format!("You wiped {name}’s disk: what it had is gone, its vote and its epoch too."),
        "cut" => "You cut the way: what is sent waits, and nobody is told.".to_owned(),
        "heal" => "You healed the way: what waited arrives now.".to_owned(),
        "delay" => "You changed how long packets take on that way.".to_owned(),
        "disk-full" => format!("{name}’s disk takes no more bytes: its next write fails."),
        "slow-disk" => format!("You changed how long each call to {name}’s disk takes."),
        "drop" if name == "message" => {
            "You dropped that message: its connection is broken, and both ends hear of that alone.".to_owned()
        }
        "deliver" => {
            "You let that message be the next to arrive, after what was sent before it on its connection.".to_owned()
        }
        "drop" => "You will lose the next such answer: its request is carried out, but its client will never hear so."
            .to_owned(),
        "produce" => format!("You handed {name} a record to send."),
        "topic" | "alter" | "alter-broker" | "partitions" | "delete" => {
            format!("You asked the cluster: {line}. What it answers comes in a moment.")
        }
        _ => format!("Done: {line}."),
    }
}
