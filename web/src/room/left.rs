//! What is on the page of the run's text, for the case of a fault of the engine. It would be much to write it anew for each action.

use std::sync::Arc;

use sim::setup::Setup;

use crate::engine::Engine;

/// How much of which run is there.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Each run has a setup of its own.
    setup: Option<Arc<Setup>>,
    branch: usize,
    actions: usize,
}

impl Left {
    /// The lines of what was done and is not there yet. False if they are of another run than those that are there.
    pub(crate) fn news(&mut self, engine: &Engine) -> (String, bool) {
        let history = engine.history();
        let (branch, actions) = (history.current(), history.done().len());
        let is_more = self.is_of(engine) && branch == self.branch && self.actions <= actions;
        let lines = engine.lines(!is_more, if is_more { self.actions } else { 0 });
        *self = Left { setup: Some(Arc::clone(history.world().setup())), branch, actions };
        (lines, is_more)
    }

    /// Whatever was done since all of it was there, perhaps on a branch that it made: what came before is the same.
    pub(crate) fn follow(&mut self, engine: &Engine) {
        if self.is_of(engine) {
            self.branch = engine.history().current();
        }
    }

    fn is_of(&self, engine: &Engine) -> bool {
        self.setup.as_ref().is_some_and(|it| Arc::ptr_eq(it, engine.history().world().setup()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page, as far as it is about this.
    #[derive(Default)]
    struct Page {
        left: Left,
        text: String,
    }

    impl Page {
        /// How many lines were added, if they were not of another run.
        fn leave(&mut self, engine: &Engine) -> Option<usize> {
            let (lines, is_more) = self.left.news(engine);
            if !is_more {
                self.text.clear();
            }
            self.text.push_str(&lines);
            let end = engine.history().world().events();
            assert_eq!(format!("{}run to event {end}\n", self.text), engine.export());
            is_more.then(|| lines.lines().count())
        }

        fn act(&mut self, engine: &mut Engine, line: &str) {
            engine.act(line).unwrap();
            self.left.follow(engine);
        }
    }

    #[test]
    fn what_is_left_is_what_an_export_would_be_and_each_line_of_it_is_written_once() {
        let (mut page, mut engine) = (Page::default(), Engine::new("1").unwrap());
        assert_eq!(page.leave(&engine), None);
        for number in 0..5 {
            page.act(&mut engine, &format!("produce p1 orders key=eva value={number}"));
            assert_eq!(page.leave(&engine), Some(1));
            assert_eq!(page.leave(&engine), Some(0));
        }
        page.act(&mut engine, "run 1s");
        assert_eq!(page.leave(&engine), Some(0));
        engine.seek(200);
        assert_eq!(page.leave(&engine), None, "fewer lines than there are");
        page.act(&mut engine, "kill b1");
        assert_eq!(engine.branches().0, 1);
        assert_eq!(page.leave(&engine), Some(1), "the branch that it made has the same past");
        engine.switch(0);
        assert_eq!(page.leave(&engine), None);
        assert_eq!(page.leave(&Engine::new("1").unwrap()), None, "another run, although of the same room");
    }
}
