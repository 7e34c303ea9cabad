//! Where in the page what is drawn, and how much room there is for it.

use leptos::prelude::{document, window};
use leptos::web_sys::Element;
use leptos::web_sys::js_sys::Function;

use super::canvas::Canvas;
use super::motion::now_ms;
use super::scene::Scene;
use super::turns::Turns;
use super::{
    bar, faults, files, groups, lesson, log, quorum, said, side, spacetime, stage, story, tables, terminal, timeline,
    zookeeper,
};
use crate::draw::{Drawing, Shape, pixels};

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// A part of the room as a function of the scene.
type Part = fn(&Scene) -> Vec<Shape>;

/// Every so many frames it is looked at where on the page the canvases have to draw, and in which colours.
const SETTLES: u32 = 32;
/// In every other frame the logs' canvas is drawn, and no part.
const LOGS: u32 = 1 << 31;
const SETTLE: u32 = 1 << 30;

/// The parts by the ids of their elements, and every how many frames each is due while time passes.
const PARTS: [(&str, Part, u32); 18] = [
    ("clocks", bar::clocks, 4),
    ("lesson", lesson::draw, 8),
    (QUORUM, quorum::draw, 32),
    ("groups", groups::draw, 16),
    (FILES, files::draw, 32),
    (SPACETIME, spacetime::draw, 32),
    ("told", story::told, 8),
    ("faults", faults::draw, 16),
    ("why", story::placement, 8),
    ("tables", tables::draw, 32),
    ("cluster", stage::draw, 8),
    ("logs", log::draw, 8),
    (SIDE, side::draw, 16),
    (TIME, timeline::draw, 16),
    ("lines", terminal::lines, 8),
    ("help", bar::help, 8),
    ("said", said::draw, 32),
    (MODEL, zookeeper::draw, 16),
];
/// Those for which something has to be looked at: that is done when they are drawn.
pub(crate) const SIDE: &str = "side";
pub(crate) const TIME: &str = "time";
pub(crate) const QUORUM: &str = "quorum";
pub(crate) const FILES: &str = "folder";
pub(crate) const MODEL: &str = "zookeeper";
pub(crate) const SPACETIME: &str = "spacetime";

/// True if it is this part's turn.
pub(crate) fn is_turn_of(part: &str, turn: u32) -> bool {
    PARTS.iter().position(|it| it.0 == part).is_some_and(|it| turn & 1 << it != 0)
}

/// All drawings of the room.
pub(crate) struct Drawings {
    parts: Vec<(Drawing, Part)>,
    turns: Turns,
    canvas: Canvas,
    glass: Element,
    frames: u32,
    /// The canvas is shown.
    flies: bool,
    /// The next frame draws all, and the one after it looks where all that is now.
    is_other: bool,
    /// In the next frame there is only the canvas; in the last there was.
    waits: bool,
    waited: bool,
}

impl Drawings {
    /// Drawings in the page, once its frame is there. An error names what is missing.
    pub(crate) fn new(painter: Function) -> Result<Drawings, String> {
        let element = |id: &str| document().get_element_by_id(id).ok_or_else(|| format!("the room has no #{id}"));
        let mut parts = Vec::new();
        for (id, part, _) in PARTS {
            parts.push((Drawing::new(element(id)?), part));
        }
        let glass = element("glass")?;
        Ok(Drawings {
            parts,
            turns: Turns::new(PARTS.iter().map(|it| it.2)),
            canvas: Canvas::new(painter, glass.clone(), "canvas", "canvas-logs")?,
            glass,
            frames: 0,
            flies: false,
            is_other: false,
            waits: false,
            waited: false,
        })
    }

    /// Leaves the next frame's parts for the frame after it, unless they have been left once already.
    pub(crate) fn put_off(&mut self, waits: bool) {
        self.waits = waits && !self.waited;
    }

    /// The page has another size.
    pub(crate) fn resized(&mut self) {
        self.is_other = true;
    }

    /// Whose turn it is in the next frame, a bit each; while time stands still, or begins to pass, everybody's.
    pub(crate) fn turn(&self, scene: &Scene) -> u32 {
        let frame = self.frames.wrapping_add(1);
        if self.is_other || !self.flies || !scene.flies() {
            u32::MAX
        } else if self.waits {
            0
        } else if !frame.is_multiple_of(2) {
            LOGS
        } else if frame.is_multiple_of(SETTLES) {
            SETTLE | self.turns.now()
        } else {
            self.turns.now()
        }
    }

    /// True if elements are patched in the next frame while others are left alone.
    pub(crate) fn patches(&self, scene: &Scene) -> bool {
        let turn = self.turn(scene);
        turn != u32::MAX && turn & !(LOGS | SETTLE) != 0
    }

    /// True if the next frame shows logs: it is not one in which elements are patched, so there is time to look at everything, and the
    /// parts that follow are of that moment.
    pub(crate) fn looks(&self, scene: &Scene) -> bool {
        self.turn(scene) & LOGS != 0
    }

    /// Draws the parts whose turn it is, and on the canvases; while time stands still, all.
    pub(crate) fn show(&mut self, scene: &Scene) {
        let begins = scene.flies() && !self.flies;
        let turn = if begins { 0 } else { self.turn(scene) };
        if self.flies != scene.flies() {
            self.flies = scene.flies();
            self.frames = 0;
            self.canvas.appear(self.flies);
            // What the canvases have is in sight a frame later: until then the elements stay.
            self.is_other |= self.flies;
        } else if std::mem::take(&mut self.is_other) {
            self.frames = SETTLES - 2;
        }
        // Before anything is patched, so that nothing is laid out for it but what has just begun.
        if self.flies && (begins || turn & SETTLE != 0 || self.canvas.is_lost(scene)) {
            self.canvas.settle(scene);
        }
        self.waited = std::mem::take(&mut self.waits);
        if !self.waited {
            self.frames = self.frames.wrapping_add(1);
        }
        for (index, (drawing, part)) in self.parts.iter_mut().enumerate().filter(|it| turn & 1 << it.0 != 0) {
            let begun = now_ms();
            let changes = drawing.show(part(scene));
            // Where all is drawn anew it costs what it does not later.
            if turn != u32::MAX {
                self.turns.learn(index, now_ms() - begun, changes);
            }
        }
        self.turns.pass(turn);
        if self.flies {
            self.canvas.show(scene, begins || turn & LOGS != 0);
        }
    }

    /// What a click at a place of the window means, if it is one of what moves.
    pub(crate) fn deed_at(&self, scene: &Scene, x: f64, y: f64) -> Option<String> {
        if self.flies { self.canvas.deed_at(scene, x, y) } else { None }
    }

    /// How many cells of a log fit beside its label, how wide one is in pixels, and whether the room is one column. The sizes
    /// are the style sheet's.
    pub(crate) fn measure(&self) -> (i64, f64, bool) {
        let narrow = window().match_media(NARROW).ok().flatten().is_some_and(|it| it.matches());
        let style = window().get_computed_style(&self.glass).ok().flatten();
        let size = |name: &str| {
            let text = style.as_ref()?.get_property_value(name).ok()?;
            pixels(text.trim())
        };
        let (label, cell, inset) =
            (size("--label").unwrap_or(112.0), size("--cell").unwrap_or(44.0), size("--inset").unwrap_or(36.0));
        let columns = (f64::from(self.glass.client_width()) - inset - label) / cell;
        ((columns as i64).clamp(4, 64), cell, narrow)
    }
}
