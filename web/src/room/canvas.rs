//! What moves while time passes: messages and arcs on a canvas over the cluster; cells, ends and positions on one over the logs.
//!
//! As elements they cost a frame more in style, layout and paint than everything else together. While time stands still they
//! are elements, which can be chosen by keys, read aloud and copied; what is drawn here can be clicked ([`Canvas::deed_at`]).
//! Messages move in every frame, the logs in every other: what a canvas costs is its pixels handed over.

use std::f64::consts::{FRAC_PI_2, PI};
use std::rc::Rc;

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
#[derive(Default, PartialEq)]
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
    pub(crate) ink: Rc<Ink>,
    /// Pictures that are put down often, drawn once: by their number, about their middle.
    stamps: Vec<HtmlCanvasElement>,
}

/// One of the canvases, what draws on it, and where on it the part of the page is that it lies over: it begins at a whole pixel.
struct Sheet {
    element: HtmlCanvasElement,
    pen: Pen,
    area: Area,
}

/// Both canvases.
pub(crate) struct Canvas {
    glass: Element,
    cluster: Sheet,
    logs: Sheet,
    /// By the partition's name, where on the logs' canvas.
    rows: Vec<(String, Area)>,
    /// Pixels of the screen to one of CSS.
    density: f64,
    /// What the stamps were drawn for, beside the ink: pixels of the screen to a unit of the cluster's drawing.
    scale: f64,
}

impl Canvas {
    /// The canvases in the page. An error names what is missing.
    pub(crate) fn new(glass: Element, cluster: &str, logs: &str) -> Result<Canvas, String> {
        let (cluster, logs) = (Sheet::new(cluster)?, Sheet::new(logs)?);
        Ok(Canvas { glass, cluster, logs, rows: Vec::new(), density: 1.0, scale: 0.0 })
    }

    /// Shows itself or not.
    pub(crate) fn appear(&self, is_there: bool) {
        self.cluster.element.set_hidden(!is_there);
        self.logs.element.set_hidden(!is_there);
    }

    /// True if it does not know where all logs are that are in sight.
    pub(crate) fn is_lost(&self, scene: &Scene) -> bool {
        let shown = scene.shown();
        shown.len() != self.rows.len() || shown.iter().zip(&self.rows).any(|(it, (name, _))| it.name != *name)
    }

    /// Finds out where cluster and logs are and how they look. The page's layout has to be done: else this does it.
    pub(crate) fn settle(&mut self, scene: &Scene) {
        let find = |selector: &str| document().query_selector(selector).ok().flatten().map(|it| area_of(&it));
        let stage = find("#stage").unwrap_or_default();
        let rows = scene.shown().into_iter().filter_map(|it| {
            // Of a topic's name no character means something in a selector's string.
            Some((it.name.clone(), find(&format!("[data-partition=\"{}\"] .axis", it.name))?))
        });
        self.rows = rows.collect();
        let all = self.rows.iter().map(|it| it.1).reduce(Area::with).unwrap_or_default();
        self.density = window().device_pixel_ratio();
        let glass = area_of(&self.glass);
        let corner = (glass.x + f64::from(self.glass.client_left()), glass.y + f64::from(self.glass.client_top()));
        self.cluster.lie(corner, stage, self.density);
        self.logs.lie(corner, all, self.density);
        let begins = self.logs.area;
        for (_, row) in &mut self.rows {
            *row = Area { x: row.x - all.x + begins.x, y: row.y - all.y + begins.y, ..*row };
        }
        let style = window().get_computed_style(&self.cluster.element).ok().flatten();
        let ink = style.map(|it| Ink::of(&it)).unwrap_or_default();
        let scale = self.stage(scene).1 * self.density;
        if *self.cluster.pen.ink != ink || self.scale != scale {
            self.scale = scale;
            let ink = Rc::new(ink);
            self.logs.pen.ink = Rc::clone(&ink);
            self.cluster.pen.ink = ink;
            self.cluster.pen.stamps =
                flight::STAMPS.iter().filter_map(|it| self.cluster.pen.stamp(*it, scale)).collect();
        }
    }

    /// Draws the moment; the logs too if so told.
    pub(crate) fn show(&self, scene: &Scene, with_logs: bool) {
        let (place, scale) = self.stage(scene);
        let pen = self.cluster.blank();
        pen.origin(Area { x: place.x * self.density, y: place.y * self.density, ..place }, scale * self.density);
        stage::paint(scene, pen);
        if !with_logs {
            return;
        }
        let pen = self.logs.blank();
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
        // The page may have been scrolled since it was looked at last.
        let (logs, cluster) = (area_of(&self.logs.element), area_of(&self.cluster.element));
        let within =
            |it: &Area| (it.x..it.x + it.w).contains(&(x - logs.x)) && (it.y..it.y + it.h).contains(&(y - logs.y));
        if let Some((name, area)) = self.rows.iter().find(|it| within(&it.1)) {
            let (x, y) = (x - logs.x - area.x, y - logs.y - area.y);
            return log::deed_at(scene, scene.partition(name)?, &self.logs.pen, x, y);
        }
        let (place, scale) = self.stage(scene);
        let (x, y) = ((x - cluster.x - place.x) / scale, (y - cluster.y - place.y) / scale);
        flight::deed_at(scene, stage::plan(scene), x, y)
    }

    /// Where the cluster's drawing begins on its canvas, and how large its units are: it is fitted into the middle of its place.
    fn stage(&self, scene: &Scene) -> (Area, f64) {
        let ((width, height), it) = (stage::plan(scene).size(), self.cluster.area);
        let scale = (it.w / width).min(it.h / height);
        let (x, y) = (it.x + (it.w - width * scale) / 2.0, it.y + (it.h - height * scale) / 2.0);
        (Area { x, y, ..it }, scale)
    }
}

fn area_of(element: &Element) -> Area {
    let it = element.get_bounding_client_rect();
    Area { x: it.x(), y: it.y(), w: it.width(), h: it.height() }
}

impl Area {
    /// What holds both.
    fn with(self, other: Area) -> Area {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = ((self.x + self.w).max(other.x + other.w), (self.y + self.h).max(other.y + other.h));
        Area { x, y, w: right - x, h: bottom - y }
    }
}

impl Sheet {
    fn new(id: &str) -> Result<Sheet, String> {
        let element = document().get_element_by_id(id).and_then(|it| it.dyn_into::<HtmlCanvasElement>().ok());
        let element = element.ok_or_else(|| format!("the room has no canvas #{id}"))?;
        let context = context_of(&element).ok_or("this browser draws on no canvas")?;
        let pen = Pen { context, ink: Rc::default(), stamps: Vec::new() };
        Ok(Sheet { element, pen, area: Area::default() })
    }

    /// Lies over a part of the window; `corner` is that of the glass, from which its place is counted.
    fn lie(&mut self, corner: (f64, f64), over: Area, density: f64) {
        let (left, top) = ((over.x - corner.0).floor(), (over.y - corner.1).floor());
        self.area = Area { x: over.x - corner.0 - left, y: over.y - corner.1 - top, ..over };
        let (width, height) = ((self.area.x + over.w).ceil(), (self.area.y + over.h).ceil());
        let pixels = ((width * density) as u32, (height * density) as u32);
        if (self.element.width(), self.element.height()) != pixels {
            self.element.set_width(pixels.0);
            self.element.set_height(pixels.1);
        }
        let [left, top, width, height] = [left, top, width, height].map(crate::draw::tenths);
        let place = format!("left:{left}px;top:{top}px;width:{width}px;height:{height}px");
        if self.element.get_attribute("style").as_ref() != Some(&place) {
            // A name and a value of ours: nothing to refuse.
            let _ = self.element.set_attribute("style", &place);
        }
    }

    /// Its pen, once nothing is drawn on it any more.
    fn blank(&self) -> &Pen {
        self.pen.origin(Area::default(), 1.0);
        let (width, height) = (f64::from(self.element.width()), f64::from(self.element.height()));
        self.pen.context.clear_rect(0.0, 0.0, width, height);
        &self.pen
    }
}

fn context_of(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    canvas.get_context("2d").ok().flatten().and_then(|it| it.dyn_into().ok())
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

    /// A canvas of its own for a picture that is drawn about its middle, at so many pixels to a unit.
    fn stamp(&self, draw: fn(&Pen), scale: f64) -> Option<HtmlCanvasElement> {
        let canvas = document().create_element("canvas").ok()?.dyn_into::<HtmlCanvasElement>().ok()?;
        let (width, height) = flight::STAMP;
        canvas.set_width((width * scale).ceil() as u32);
        canvas.set_height((height * scale).ceil() as u32);
        let pen = Pen { context: context_of(&canvas)?, ink: Rc::clone(&self.ink), stamps: Vec::new() };
        pen.origin(Area { x: width * scale / 2.0, y: height * scale / 2.0, ..Area::default() }, scale);
        draw(&pen);
        Some(canvas)
    }

    /// Puts a stamp down, its middle at a place.
    pub(crate) fn put(&self, stamp: usize, x: f64, y: f64) {
        let Some(canvas) = self.stamps.get(stamp) else { return };
        let (w, h) = flight::STAMP;
        let _ = self.context.draw_image_with_html_canvas_element_and_dw_and_dh(canvas, x - w / 2.0, y - h / 2.0, w, h);
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
