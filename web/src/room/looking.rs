//! What a person looks at: something that is selected, at some level and in some field; why the last event happened; and where
//! this run parts from another.

use super::apart::{self, Apart};
use super::fields::{self, Place};
use super::inspector::Level;
use super::scene::{Scene, Selection};
use super::state::Room;

impl Room {
    /// Looks at something, and at its bytes where it has any.
    pub(crate) fn select(self, selection: Selection) {
        let inner = self.inner();
        let sheets = {
            let engine = &inner.lanes.borrow().shown.engine;
            match &selection {
                Selection::Record(copy, offset) => engine.explain_record(copy, *offset),
                Selection::Entry(offset) => engine.explain_entry(*offset),
                Selection::Message(message) => engine.explain_message(&message.id),
                _ => Vec::new(),
            }
        };
        {
            let mut scene = inner.scene.borrow_mut();
            if scene.selection != selection {
                scene.field = None;
            }
            (scene.selection, scene.bytes) = (selection, sheets);
            scene.story.clear();
        }
        self.come_closer(self.with(|it| it.level));
    }

    /// Looks at what is selected from so near.
    pub(crate) fn come_closer(self, level: Level) {
        let (selection, is_known) = self.with(|it| (it.selection.clone(), !it.story.is_empty()));
        if level == Level::Story && !is_known {
            self.stop();
            let inner = self.inner();
            let story = {
                let engine = &mut inner.lanes.borrow_mut().shown.engine;
                match &selection {
                    Selection::Record(copy, offset) => engine.why_record(copy, *offset),
                    Selection::Message(message) => engine.why_message(&message.id),
                    Selection::Process(name) => engine.why_process(name),
                    Selection::Entry(offset) => engine.why_entry(*offset),
                    Selection::Partition(name) => engine.why_partition(name),
                    Selection::Group(name) => engine.why_group(name),
                    Selection::Timer(process, what) => engine.why_timer(process, what),
                    Selection::Check(_) | Selection::Finding(_) => {
                        inner.scene.borrow().event_found().map_or(Vec::new(), |it| engine.why_event(it))
                    }
                    Selection::Nothing => Vec::new(),
                }
            };
            inner.scene.borrow_mut().story = story;
        }
        self.change(|scene| scene.level = level);
    }

    /// Chooses a field of what is selected.
    pub(crate) fn choose_field(self, place: Option<Place>) {
        self.change(|scene| scene.field = place);
        super::keys::reveal("#bytes .on, #plain-bytes .on");
        super::keys::reveal("#hex .on");
    }

    /// Chooses the field so far from the one that is chosen.
    pub(crate) fn field_beside(self, way: isize) {
        self.choose_field(self.with(|it| fields::beside(&it.bytes, it.field, way)));
    }

    /// Asks why that happened which is told, or stops asking. Whoever asks while time passes asks about the sentence in sight, and
    /// not about the event at which it stands still.
    pub(crate) fn ask_why(self) {
        let inner = self.inner();
        let told = inner.pace.borrow().told.clone();
        let told = self.with(|it| !it.is_still() && it.sentence == told.1).then_some(told);
        self.stop();
        let asked = !inner.scene.borrow().why.is_empty();
        let why = {
            let engine = &mut inner.lanes.borrow_mut().shown.engine;
            match &told {
                _ if asked => Vec::new(),
                Some((event, _)) => engine.why_event(*event),
                None => engine.why(),
            }
        };
        self.change(|scene| {
            scene.why = why;
            if let Some((_, sentence)) = told {
                scene.sentence = sentence;
            }
        });
    }

    /// Finds where the run that is looked at parts from the other lanes, or from a branch by its number.
    pub(crate) fn part(self, from: Option<usize>) {
        self.stop();
        let inner = self.inner();
        let found = Apart::find(&inner.lanes.borrow(), &inner.scene.borrow(), from);
        self.change(|scene| scene.apart = found);
    }

    /// Gives the branch that is looked at another name.
    pub(crate) fn rename(self, name: &str) {
        let inner = self.inner();
        let renamed = inner.lanes.borrow_mut().rename(name);
        self.change(|scene: &mut Scene| apart::forget_names(scene));
        if let Err(why) = renamed {
            self.say(why);
        }
    }
}
