//! What moves while time passes: messages, arcs, cells, ends and positions, on one canvas over cluster and log.
//!
//! As elements they cost a frame more in style, layout and paint than everything else together. While time stands still they
//! are elements, which can be chosen by keys, read aloud and copied; what is drawn here can be clicked ([`Canvas::deed_at`]).

use std::f64::consts::{FRAC_PI_2, PI};

use leptos::prelude::{document, window};
use leptos::web_sys::js_sys::Array;
use leptos::web_sys::{CanvasRenderingContext2d, CssStyleDeclaration, Element, HtmlCanvasElement};
use wasm_bindgen::JsCast;

use super::scene::Scene;
use super::{flight, log, stage};

/// A part of the canvas, in CSS pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

/// Colours, fonts and sizes: the style sheet's.
#[derive(Default)]
pub(crate) struct Ink {
    pub(crate) glass: String,
    pub(crate) act: String,
    pub(crate) on_act: String,
    pub(crate) text: String,
    pub(crate) dim: String,
    pub(crate) line: String,
    pub(crate) harm: String,
    /// Of cells by leader epoch modulo four: inside and edge.
    pub(crate) epochs: [(String, String); 4],
    /// Of keys in cells, of small digits, of labels, of labels that matter.
    pub(crate) fonts: [String; 4],
    /// Of what is in the cluster, and of what is tiny there.
    pub(crate) stage_fonts: [String; 2],
    /// Pixels of a small digit and of a label.
    pub(crate) small: f64,
    pub(crate) label: f64,
    /// In a row: where cells begin, how high they are, and how far it is from one line to the next.
    pub(crate) cells: f64,
    pub(crate) high: f64,
    pub(crate) pitch: f64,
}

/// What draws. A context refuses nothing that is asked of it here: our colours, fonts and numbers are its own words.
pub(crate) struct Pen {
    context: CanvasRenderingContext2d,
    pub(crate) ink: Ink,
}

/// The canvas.
pub(crate) struct Canvas {
    element: HtmlCanvasElement,
    pen: Pen,
    stage: Area,
    /// By the partition's name.
    rows: Vec<(String, Area)>,
    /// Pixels of the screen to one of CSS.
    density: f64,
}

impl Canvas {
    /// The canvas in the page. An error names what is missing.
    pub(crate) fn new(id: &str) -> Result<Canvas, String> {
        let element = document().get_element_by_id(id).and_then(|it| it.dyn_into::<HtmlCanvasElement>().ok());
        let element = element.ok_or_else(|| format!("the room has no canvas #{id}"))?;
        let context = element.get_context("2d").ok().flatten().and_then(|it| it.dyn_into().ok());
        let context = context.ok_or("this browser draws on no canvas")?;
        let pen = Pen { context, ink: Ink::default() };
        Ok(Canvas { element, pen, stage: Area::default(), rows: Vec::new(), density: 1.0 })
    }

    /// Shows itself or not.
    pub(crate) fn appear(&self, is_there: bool) {
        self.element.set_hidden(!is_there);
    }

    /// Finds out where cluster and logs are and how they look. The page's layout has to be done: else this does it.
    pub(crate) fn settle(&mut self, scene: &Scene) {
        let whole = self.element.get_bounding_client_rect();
        let area = |it: Element| {
            let it = it.get_bounding_client_rect();
            Area { x: it.x() - whole.x(), y: it.y() - whole.y(), w: it.width(), h: it.height() }
        };
        let find = |selector: &str| document().query_selector(selector).ok().flatten().map(area);
        self.stage = find("#stage").unwrap_or_default();
        let rows = scene.view.partitions.iter().filter_map(|it| {
            // Of a topic's name no character means something in a selector's string.
            Some((it.name.clone(), find(&format!("[data-partition=\"{}\"] .axis", it.name))?))
        });
        self.rows = rows.collect();
        self.density = window().device_pixel_ratio();
        let (width, height) = ((whole.width() * self.density) as u32, (whole.height() * self.density) as u32);
        if (self.element.width(), self.element.height()) != (width, height) {
            self.element.set_width(width);
            self.element.set_height(height);
        }
        if let Ok(Some(style)) = window().get_computed_style(&self.element) {
            self.pen.ink = Ink::of(&style);
        }
    }

    /// Draws the moment.
    pub(crate) fn show(&self, scene: &Scene) {
        let pen = &self.pen;
        pen.origin(Area::default(), self.density);
        pen.context.clear_rect(0.0, 0.0, f64::from(self.element.width()), f64::from(self.element.height()));
        let (place, scale) = self.stage(scene);
        pen.origin(Area { x: place.x * self.density, y: place.y * self.density, ..place }, scale * self.density);
        stage::paint(scene, pen);
        for (name, area) in &self.rows {
            if let (Some(partition), Some(sight)) = (scene.partition(name), scene.sights.get(name)) {
                pen.context.save();
                pen.origin(Area { x: area.x * self.density, y: area.y * self.density, ..*area }, self.density);
                pen.begin();
                pen.context.rect(0.0, 0.0, area.w, area.h);
                pen.context.clip();
                log::paint(scene, partition, sight, pen);
                pen.context.restore();
            }
        }
    }

    /// What using a place of the page means, in CSS pixels of its window: as an element's `data-do` says it.
    pub(crate) fn deed_at(&self, scene: &Scene, x: f64, y: f64) -> Option<String> {
        let whole = self.element.get_bounding_client_rect();
        let (x, y) = (x - whole.x(), y - whole.y());
        let (place, scale) = self.stage(scene);
        let is_in = |it: &Area| (it.x..it.x + it.w).contains(&x) && (it.y..it.y + it.h).contains(&y);
        match self.rows.iter().find(|it| is_in(&it.1)) {
            Some((name, area)) => log::deed_at(scene, scene.partition(name)?, &self.pen, x - area.x, y - area.y),
            None => flight::deed_at(scene, stage::plan(scene), (x - place.x) / scale, (y - place.y) / scale),
        }
    }

    /// Where the cluster's drawing begins, and how large its units are: it is fitted into the middle of its place.
    fn stage(&self, scene: &Scene) -> (Area, f64) {
        let ((width, height), it) = (stage::plan(scene).size(), self.stage);
        let scale = (it.w / width).min(it.h / height);
        let (x, y) = (it.x + (it.w - width * scale) / 2.0, it.y + (it.h - height * scale) / 2.0);
        (Area { x, y, ..it }, scale)
    }
}

impl Ink {
    fn of(style: &CssStyleDeclaration) -> Ink {
        let word = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
        let pixels = |name: &str| crate::draw::pixels(&word(name)).unwrap_or(11.0);
        let (glass, text, tint) = (word("--glass"), word("--ink"), word("--tint"));
        let (sans, mono) = (word("--sans"), word("--mono"));
        let epochs = ["--e0", "--e1", "--e2", "--e3"].map(|name| {
            let hue = word(name);
            (format!("color-mix(in srgb,{hue} {tint},{glass})"), format!("color-mix(in srgb,{hue} 72%,{text})"))
        });
        let sizes = ["--t2", "--small", "--t1"].map(word);
        Ink {
            act: word("--act"),
            on_act: word("--on-act"),
            dim: word("--ink-2"),
            line: word("--line-2"),
            harm: word("--harm-text"),
            epochs,
            fonts: [
                format!("500 {} {sans}", sizes[0]),
                format!("{} {mono}", sizes[1]),
                format!("{} {sans}", sizes[2]),
                format!("600 {} {sans}", sizes[2]),
            ],
            stage_fonts: [format!("11px {sans}"), format!("10px {sans}")],
            small: pixels("--small"),
            label: pixels("--t1"),
            cells: pixels("--rec-top"),
            high: pixels("--rec"),
            pitch: pixels("--pitch"),
            glass,
            text,
        }
    }
}

impl Pen {
    fn origin(&self, at: Area, scale: f64) {
        let _ = self.context.set_transform(scale, 0.0, 0.0, scale, at.x, at.y);
    }

    /// A new path.
    pub(crate) fn begin(&self) {
        self.context.begin_path();
    }

    /// A rectangle with round corners, into the path.
    pub(crate) fn rect(&self, x: f64, y: f64, w: f64, h: f64, radius: f64) {
        let _ = self.context.round_rect_with_f64(x, y, w, h, radius);
    }

    /// A line from point to point, into the path.
    pub(crate) fn line(&self, points: &[(f64, f64)]) {
        for (index, (x, y)) in points.iter().enumerate() {
            if index == 0 { self.context.move_to(*x, *y) } else { self.context.line_to(*x, *y) }
        }
    }

    /// Fills the path.
    pub(crate) fn fill(&self, colour: &str) {
        self.context.set_fill_style_str(colour);
        self.context.fill();
    }

    /// Draws the path's line.
    pub(crate) fn edge(&self, colour: &str, width: f64) {
        self.context.set_stroke_style_str(colour);
        self.context.set_line_width(width);
        self.context.stroke();
    }

    /// Fills the path with nothing and draws its line in dashes: what was.
    pub(crate) fn dashed(&self, colour: &str) {
        self.fill(&self.ink.glass);
        let dashes = Array::of2(&4.into(), &3.into());
        let _ = self.context.set_line_dash(&dashes);
        self.edge(colour, 1.0);
        let _ = self.context.set_line_dash(&Array::new());
    }

    /// How what is said next looks: the font, its colour, and which end of it is at its place.
    pub(crate) fn voice(&self, font: &str, colour: &str, align: &str) {
        self.context.set_font(font);
        self.context.set_fill_style_str(colour);
        self.context.set_text_align(align);
    }

    /// Says words on a line at `y`, pressed together where they are wider than that.
    pub(crate) fn say(&self, words: &str, x: f64, y: f64, widest: f64) {
        let _ = self.context.fill_text_with_max_width(words, x, y, widest);
    }

    /// As [`Pen::say`], on something that would make it hard to read.
    pub(crate) fn say_over(&self, words: &str, x: f64, y: f64) {
        self.context.set_stroke_style_str(&self.ink.glass);
        self.context.set_line_width(4.0);
        let _ = self.context.stroke_text(words, x, y);
        let _ = self.context.fill_text(words, x, y);
    }

    /// How wide words are in the voice that was set.
    pub(crate) fn width(&self, words: &str) -> f64 {
        self.context.measure_text(words).map_or(0.0, |it| it.width())
    }

    /// A ring of which a part is left, 0 to 1.
    pub(crate) fn arc(&self, x: f64, y: f64, radius: f64, rest: f64) {
        self.begin();
        let _ = self.context.arc(x, y, radius, 0.0, 2.0 * PI);
        self.fill(&self.ink.glass);
        self.edge(&self.ink.line, 1.0);
        self.begin();
        let _ = self.context.arc(x, y, radius, -FRAC_PI_2, 2.0 * PI * rest - FRAC_PI_2);
        self.edge(&self.ink.act, 2.5);
    }
}
