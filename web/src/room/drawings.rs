//! Where in the page what is drawn, and how much room there is for it.

use leptos::prelude::{document, window};
use leptos::web_sys::Element;

use super::canvas::Canvas;
use super::scene::Scene;
use super::{bar, faults, files, groups, lesson, log, quorum, side, stage, story, terminal, timeline};
use crate::draw::{Drawing, Shape, pixels};

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// A part of the room as a function of the scene.
type Part = fn(&Scene) -> Vec<Shape>;

/// The parts by the ids of their elements, and while time passes, in which of eight frames each is drawn: what moves is on the
/// canvas, and nobody reads digits at sixty a second. No two that cost something share a frame.
const PARTS: [(&str, Part, u8); 14] = [
    ("clocks", bar::clocks, 0b0100_0100),
    ("lesson", lesson::draw, 0b0010_0000),
    ("quorum", quorum::draw, 0b0000_0100),
    ("groups", groups::draw, 0b0001_0000),
    ("folder", files::draw, 0b0100_0000),
    ("told", story::told, 0b0000_0010),
    ("faults", faults::draw, 0b1000_0000),
    ("why", story::placement, 0b0000_1000),
    ("cluster", stage::draw, 0b0000_0001),
    ("logs", log::draw, 0b0001_0000),
    ("side", side::draw, 0b0010_0000),
    ("time", timeline::draw, 0b1000_0000),
    ("lines", terminal::lines, 0b0000_1000),
    ("help", bar::help, 0b0000_1000),
];
/// Frames between two looks at where on the page the canvas has to draw, and in which colours.
const SETTLE: u32 = 16;

/// All drawings of the room.
pub(crate) struct Drawings {
    parts: Vec<(Drawing, Part, u8)>,
    canvas: Canvas,
    glass: Element,
    frames: u32,
    /// The canvas is shown.
    flies: bool,
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
        Ok(Drawings {
            parts,
            canvas: Canvas::new("canvas")?,
            glass: element("glass")?,
            frames: 0,
            flies: false,
            waits: false,
            waited: false,
        })
    }

    /// Leaves the next frame's parts for the frame after it, unless they have been left once already.
    pub(crate) fn put_off(&mut self, waits: bool) {
        self.waits = waits && !self.waited;
    }

    /// Draws the parts whose turn it is, and on the canvas; while time stands still, all.
    pub(crate) fn show(&mut self, scene: &Scene) {
        let begins = scene.flies() && !self.flies;
        if self.flies != scene.flies() {
            self.flies = scene.flies();
            self.frames = 0;
            self.canvas.appear(self.flies);
        }
        // Before anything is patched, so that nothing is laid out for it but what has just begun.
        if self.flies && !self.waits && self.frames.is_multiple_of(SETTLE) {
            self.canvas.settle(scene);
        }
        self.waited = std::mem::take(&mut self.waits) && self.flies && !begins;
        if !self.waited {
            self.frames = self.frames.wrapping_add(1);
            let turn = 1_u8 << (self.frames % 8);
            for (drawing, part, turns) in &mut self.parts {
                if begins || !self.flies || *turns & turn != 0 {
                    drawing.show(part(scene));
                }
            }
        }
        if self.flies {
            self.canvas.show(scene);
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
