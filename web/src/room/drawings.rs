//! Where in the page what is drawn, and how much room there is for it.

use leptos::prelude::{document, window};
use leptos::web_sys::Element;

use super::scene::Scene;
use super::{bar, log, side, stage, story, terminal, timeline};
use crate::draw::{Drawing, Shape};

/// Below this width the room is one column, as style.css has it.
const NARROW: &str = "(max-width: 1020px)";

/// A part of the room as a function of the scene.
type Part = fn(&Scene) -> Vec<Shape>;

/// The parts by the ids of their elements.
const PARTS: [(&str, Part); 8] = [
    ("clocks", bar::clocks),
    ("told", story::told),
    ("why", story::placement),
    ("glass", |scene| [stage::draw(scene), log::draw(scene)].concat()),
    ("side", side::draw),
    ("time", timeline::draw),
    ("lines", terminal::lines),
    ("help", bar::help),
];

/// All drawings of the room.
pub(crate) struct Drawings {
    parts: Vec<(Drawing, Part)>,
    glass: Element,
}

impl Drawings {
    /// Drawings in the page, once its frame is there. An error names what is missing.
    pub(crate) fn new() -> Result<Drawings, String> {
        let element = |id: &str| document().get_element_by_id(id).ok_or_else(|| format!("the room has no #{id}"));
        let mut parts = Vec::new();
        for (id, part) in PARTS {
            parts.push((Drawing::new(element(id)?), part));
        }
        Ok(Drawings { parts, glass: element("glass")? })
    }

    pub(crate) fn show(&mut self, scene: &Scene) {
        for (drawing, part) in &mut self.parts {
            drawing.show(part(scene));
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
