//! Where in the page what is drawn, and how much room there is for it.

use leptos::prelude::{document, window};
use leptos::web_sys::Element;

use super::canvas::Canvas;
use super::scene::Scene;
use super::{bar, faults, files, groups, lesson, log, quorum, said, side, stage, story, terminal, timeline, zookeeper};
use crate::draw::{Drawing, Shape, pixels};

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// A part of the room as a function of the scene.
type Part = fn(&Scene) -> Vec<Shape>;

/// Frames until all parts had their turn.
const ROUND: u32 = 32;
/// Every so many frames, from one on.
const fn every(frames: u32, from: u32) -> u32 {
    let (mut turns, mut at) = (0, from);
    while at < ROUND {
        turns |= 1 << at;
        at += frames;
    }
    turns
}
/// When the logs' canvas is drawn: in every other frame, and no part in those.
const LOGS: u32 = every(2, 1);
/// When it is looked at where on the page the canvases have to draw, and in which colours.
const SETTLE: u32 = every(32, 0);
/// When marks of the timeline, the quorum's logs and a partition's files are looked at: when they are drawn.
pub(crate) const TIME: u32 = every(16, 10);
pub(crate) const QUORUM: u32 = every(32, 30);
pub(crate) const FILES: u32 = every(32, 26);
pub(crate) const MODEL: u32 = every(16, 2);

/// The parts by the ids of their elements, and while time passes, in which frames of a round each is drawn, a bit each: what moves is
/// on the canvases, and nobody reads digits at sixty a second. No two that cost something share a frame.
const PARTS: [(&str, Part, u32); 16] = [
    ("clocks", bar::clocks, every(4, 2)),
    ("lesson", lesson::draw, every(8, 2)),
    ("quorum", quorum::draw, QUORUM),
    ("groups", groups::draw, every(16, 2)),
    ("folder", files::draw, FILES),
    ("told", story::told, every(8, 2)),
    ("faults", faults::draw, every(16, 14)),
    ("why", story::placement, every(8, 2)),
    ("cluster", stage::draw, every(8, 0)),
    ("logs", log::draw, every(8, 4)),
    ("side", side::draw, every(16, 6)),
    ("time", timeline::draw, TIME),
    ("lines", terminal::lines, every(8, 2)),
    ("help", bar::help, every(8, 2)),
    ("said", said::draw, every(32, 18)),
    ("zookeeper", zookeeper::draw, MODEL),
];

/// All drawings of the room.
pub(crate) struct Drawings {
    parts: Vec<(Drawing, Part, u32)>,
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
    pub(crate) fn new() -> Result<Drawings, String> {
        let element = |id: &str| document().get_element_by_id(id).ok_or_else(|| format!("the room has no #{id}"));
        let mut parts = Vec::new();
        for (id, part, turns) in PARTS {
            parts.push((Drawing::new(element(id)?), part, turns));
        }
        let glass = element("glass")?;
        Ok(Drawings {
            parts,
            canvas: Canvas::new(glass.clone(), "canvas", "canvas-logs")?,
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

    /// Whose turn it is in the next frame, a bit of a round; while time stands still, or begins to pass, everybody's.
    pub(crate) fn turn(&self, scene: &Scene) -> u32 {
        if self.is_other || !self.flies || !scene.flies() {
            u32::MAX
        } else if self.waits {
            0
        } else {
            1 << (self.frames.wrapping_add(1) % ROUND)
        }
    }

    /// True if elements are patched in the next frame while others are left alone.
    pub(crate) fn patches(&self, scene: &Scene) -> bool {
        let turn = self.turn(scene);
        turn != u32::MAX && turn & !LOGS != 0
    }

    /// Draws the parts whose turn it is, and on the canvases; while time stands still, all.
    pub(crate) fn show(&mut self, scene: &Scene) {
        let turn = self.turn(scene);
        if self.flies != scene.flies() {
            self.flies = scene.flies();
            self.frames = 0;
            self.canvas.appear(self.flies);
        }
        // Before anything is patched, so that nothing is laid out for it but what has just begun.
        if self.flies && (turn & SETTLE != 0 || self.canvas.is_lost(scene)) {
            self.canvas.settle(scene);
        }
        if std::mem::take(&mut self.is_other) {
            self.frames = ROUND - 2;
        }
        self.waits = false;
        self.waited = turn == 0;
        if !self.waited {
            self.frames = self.frames.wrapping_add(1);
            for (drawing, part, turns) in &mut self.parts {
                if *turns & turn != 0 {
                    drawing.show(part(scene));
                }
            }
        }
        if self.flies {
            self.canvas.show(scene, turn & LOGS != 0);
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
