//! Where in the page what is drawn, and how much room there is for it.

use leptos::prelude::{document, window};
use leptos::web_sys::Element;

use super::scene::Scene;
use super::state::Motion;
use super::{bar, log, side, stage, story, terminal, timeline};
use crate::draw::{Drawing, Shape};

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// A part of the room as a function of the scene.
type Part = fn(&Scene) -> Vec<Shape>;

/// The parts by the ids of their elements, and while time passes, in which of eight frames each is drawn: an eye follows
/// messages, and nobody reads digits at sixty a second.
const PARTS: [(&str, Part, u8); 9] = [
    ("clocks", bar::clocks, 0b1010_1010),
    ("told", story::told, 0b1010_1010),
    ("why", story::placement, 0b0000_0010),
    ("cluster", stage::draw, 0b0101_0101),
    ("logs", log::draw, 0b1010_1010),
    ("side", side::draw, 0b0000_0100),
    ("time", timeline::draw, 0b0100_0000),
    ("lines", terminal::lines, 0b0000_0010),
    ("help", bar::help, 0b0000_0010),
];

/// All drawings of the room.
pub(crate) struct Drawings {
    parts: Vec<(Drawing, Part, u8)>,
    glass: Element,
    frames: u32,
}

impl Drawings {
    /// Drawings in the page, once its frame is there. An error names what is missing.
    pub(crate) fn new() -> Result<Drawings, String> {
        let element = |id: &str| document().get_element_by_id(id).ok_or_else(|| format!("the room has no #{id}"));
        let mut parts = Vec::new();
        for (id, part, turns) in PARTS {
            parts.push((Drawing::new(element(id)?), part, turns));
        }
        Ok(Drawings { parts, glass: element("glass")?, frames: 0 })
    }

    /// Draws the parts whose turn it is; while time stands still, all.
    pub(crate) fn show(&mut self, scene: &Scene) {
        self.frames = self.frames.wrapping_add(1);
        let turn = 1_u8 << (self.frames % 8);
        for (drawing, part, turns) in &mut self.parts {
            if scene.motion != Motion::Play || *turns & turn != 0 {
                drawing.show(part(scene));
            }
        }
    }

    /// How many cells of a log fit beside its label, how wide one is in pixels, and whether the room is one column. The sizes
    /// are the style sheet's.
    pub(crate) fn measure(&self) -> (i64, f64, bool) {
        let narrow = window().match_media(NARROW).ok().flatten().is_some_and(|it| it.matches());
        let style = window().get_computed_style(&self.glass).ok().flatten();
        let pixels = |name: &str| {
            let text = style.as_ref()?.get_property_value(name).ok()?;
            text.trim().strip_suffix("px")?.parse::<u32>().ok().map(f64::from)
        };
        let (label, cell, inset) =
            (pixels("--label").unwrap_or(112.0), pixels("--cell").unwrap_or(44.0), pixels("--inset").unwrap_or(36.0));
        let columns = (f64::from(self.glass.client_width()) - inset - label) / cell;
        ((columns as i64).clamp(4, 64), cell, narrow)
    }
}
