//! What moves while time passes: messages and arcs on a canvas over the cluster; cells, ends and positions on one over the logs.
//!
//! As elements they cost a frame more in style, layout and paint than everything else together. While time stands still they
//! are elements, which can be chosen by keys, read aloud and copied; what is drawn here can be clicked ([`Canvas::deed_at`]).
//! Messages move in every frame, the logs in every other. Here it is only said what is to be drawn ([`Pen`]); web/ink.js draws it, in
//! a worker where there is one: shaping words and filling pixels were a third of a frame.

use leptos::prelude::{document, window};
use leptos::web_sys::js_sys::{Function, Uint8Array};
use leptos::web_sys::{CssStyleDeclaration, Element, HtmlElement};
use wasm_bindgen::{JsCast, JsValue};

use super::pen::{EPOCHS, Pen};
use super::scene::Scene;
use super::{flight, log, stage};

/// The sheets by their numbers: web/ink.js knows the page's two, and what comes after them are stamps.
const CLUSTER: usize = 0;
const LOGS: usize = 1;
pub(crate) const STAMPS: usize = 2;

/// A part of the canvas, in CSS pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

/// Sizes of a log's row, in pixels: the style sheet's.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// Of a small digit and of a label.
    pub(crate) small: f64,
    pub(crate) label: f64,
    /// Where cells begin, how high they are, and how far it is from one line to the next.
    pub(crate) cells: f64,
    pub(crate) high: f64,
    pub(crate) pitch: f64,
}

/// Colours and fonts: the style sheet's, in the order of [`super::pen`]; and pixels of the screen to a unit of the cluster's drawing.
#[derive(Default, PartialEq)]
struct Look {
    colours: Vec<String>,
    fonts: Vec<String>,
    scale: f64,
}

/// One of the canvases, and where on it the part of the page is that it lies over: it begins at a whole pixel.
struct Sheet {
    element: HtmlElement,
    area: Area,
    pixels: (f64, f64),
}

/// Both canvases.
pub(crate) struct Canvas {
    /// Takes what a pen said, and of which sheet: what it says of that later is painted instead.
    painter: Function,
    glass: Element,
    cluster: Sheet,
    logs: Sheet,
    /// By the partition's name, where on the logs' canvas.
    rows: Vec<(String, Area)>,
    /// Pixels of the screen to one of CSS.
    density: f64,
    sizes: Sizes,
    /// What was said of it last.
    look: Look,
}

impl Canvas {
    /// The canvases in the page. An error names what is missing.
    pub(crate) fn new(painter: Function, glass: Element, cluster: &str, logs: &str) -> Result<Canvas, String> {
        Ok(Canvas {
            painter,
            glass,
            cluster: Sheet::new(cluster)?,
            logs: Sheet::new(logs)?,
            rows: Vec::new(),
            density: 1.0,
            sizes: Sizes::default(),
            look: Look::default(),
        })
    }

    /// Shows itself or not. What it showed is gone then: it would be seen for a moment when it is there again.
    pub(crate) fn appear(&self, is_there: bool) {
        self.cluster.element.set_hidden(!is_there);
        self.logs.element.set_hidden(!is_there);
        if !is_there {
            let mut pen = Pen::default();
            pen.sheet(CLUSTER, self.cluster.pixels);
            pen.sheet(LOGS, self.logs.pixels);
            self.paint(pen, None);
        }
    }

    /// Has a sheet painted, or without one what must not be left out.
    fn paint(&self, pen: Pen, sheet: Option<usize>) {
        let sheet = sheet.map_or(JsValue::NULL, JsValue::from);
        // It only hands over: what goes wrong with drawing is told on the console, by who draws.
        let _ = self.painter.call2(&JsValue::NULL, &Uint8Array::from(&*pen.into_bytes()), &sheet);
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
        let (look, sizes) = style.map(|it| looks(&it)).unwrap_or_default();
        let look = Look { scale: self.stage(scene).1 * self.density, ..look };
        self.sizes = sizes;
        if self.look != look {
            let mut pen = Pen::default();
            pen.look(&look.colours, &look.fonts);
            let (width, height) = flight::STAMP;
            let size = ((width * look.scale).ceil(), (height * look.scale).ceil());
            for (index, stamp) in flight::STAMPS.iter().enumerate() {
                pen.sheet(STAMPS + index, size);
                pen.place((width * look.scale / 2.0, height * look.scale / 2.0), look.scale);
                stamp(&mut pen);
            }
            self.paint(pen, None);
            self.look = look;
        }
    }

    /// Draws the moment; the logs too if so told.
    pub(crate) fn show(&self, scene: &Scene, with_logs: bool) {
        let on_screen = |it: &Area| (it.x * self.density, it.y * self.density);
        let mut pen = Pen::default();
        let (place, scale) = self.stage(scene);
        pen.sheet(CLUSTER, self.cluster.pixels);
        // Where the cluster is not shown there is no size to draw it in, nor to have drawn its stamps in.
        if scale > 0.0 {
            pen.place(on_screen(&place), scale * self.density);
            stage::paint(scene, &mut pen);
        }
        self.paint(pen, Some(CLUSTER));
        if with_logs {
            let mut pen = Pen::default();
            pen.sheet(LOGS, self.logs.pixels);
            for (name, area) in &self.rows {
                if let (Some(partition), Some(sight)) = (scene.partition(name), scene.sights.get(name)) {
                    pen.window(on_screen(area), self.density, (area.w, area.h));
                    log::paint(scene, partition, sight, self.sizes, &mut pen);
                    pen.whole();
                }
            }
            self.paint(pen, Some(LOGS));
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
            return log::deed_at(scene, scene.partition(name)?, self.sizes, x, y);
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
        let element = document().get_element_by_id(id).and_then(|it| it.dyn_into().ok());
        let element = element.ok_or_else(|| format!("the room has no canvas #{id}"))?;
        Ok(Sheet { element, area: Area::default(), pixels: (0.0, 0.0) })
    }

    /// Lies over a part of the page from now on, and begins at a whole pixel of it.
    fn lie(&mut self, corner: (f64, f64), over: Area, density: f64) {
        let (left, top) = ((over.x - corner.0).floor(), (over.y - corner.1).floor());
        self.area = Area { x: over.x - corner.0 - left, y: over.y - corner.1 - top, ..over };
        let (width, height) = ((self.area.x + over.w).ceil(), (self.area.y + over.h).ceil());
        self.pixels = ((width * density).floor(), (height * density).floor());
        let [left, top, width, height] = [left, top, width, height].map(crate::draw::tenths);
        let place = format!("left:{left}px;top:{top}px;width:{width}px;height:{height}px");
        if self.element.get_attribute("style").as_ref() != Some(&place) {
            // A name and a value of ours: nothing to refuse.
            let _ = self.element.set_attribute("style", &place);
        }
    }
}

fn looks(style: &CssStyleDeclaration) -> (Look, Sizes) {
    let word = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
    let pixels = |name: &str| crate::draw::pixels(&word(name)).unwrap_or(11.0);
    let (glass, text, tint) = (word("--glass"), word("--ink"), word("--tint"));
    let (sans, mono) = (word("--sans"), word("--mono"));
    let hues: [String; EPOCHS] = ["--e0", "--e1", "--e2", "--e3"].map(word);
    let inside = hues.iter().map(|hue| format!("color-mix(in srgb,{hue} {tint},{glass})"));
    let rims = hues.iter().map(|hue| format!("color-mix(in srgb,{hue} 72%,{text})"));
    let mut colours = vec![glass.clone(), word("--act"), word("--on-act"), text.clone()];
    colours.extend(["--ink-2", "--line-2", "--harm-text"].map(word));
    colours.extend(inside.chain(rims));
    let sizes = ["--t2", "--small", "--t1"].map(word);
    let fonts = vec![
        format!("500 {} {sans}", sizes[0]),
        format!("{} {mono}", sizes[1]),
        format!("{} {sans}", sizes[2]),
        format!("600 {} {sans}", sizes[2]),
        format!("11px {sans}"),
        format!("10px {sans}"),
    ];
    let sizes = Sizes {
        small: pixels("--small"),
        label: pixels("--t1"),
        cells: pixels("--rec-top"),
        high: pixels("--rec"),
        pitch: pixels("--pitch"),
    };
    (Look { colours, fonts, scale: 0.0 }, sizes)
}
