//! Drawings: trees of plain shapes, patched into the page. Whatever changes with the clock is drawn here.
//!
//! A room's part is a function from data to shapes. Two frames differ in little, so a patch touches what differs and
//! nothing else; what is gone is used again for what is new.

use std::borrow::Cow;

use leptos::web_sys::{self, Document, Element};
use wasm_bindgen::JsCast;

/// Text of a shape: most of it never changes.
pub(crate) type Text = Cow<'static, str>;

const SVG: &str = "http://www.w3.org/2000/svg";

/// An element as plain data, or, without a tag, a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    tag: &'static str,
    key: u64,
    text: Text,
    attributes: Vec<(&'static str, Text)>,
    pub(crate) children: Vec<Shape>,
}

/// A text.
pub(crate) fn text(text: impl Into<Text>) -> Shape {
    text_of(text.into())
}

fn text_of(text: Text) -> Shape {
    Shape { text, ..Shape::default() }
}

/// An element.
pub(crate) fn shape(tag: &'static str) -> Shape {
    Shape { tag, ..Shape::default() }
}

/// An element of one class.
pub(crate) fn classed(tag: &'static str, class: impl Into<Text>) -> Shape {
    shape(tag).set("class", class)
}

/// A glyph of index.html's sheet.
pub(crate) fn glyph(name: &'static str) -> Shape {
    classed("svg", "g").set("aria-hidden", "true").with([shape("use").set("href", name)])
}

impl Shape {
    /// Which of its siblings it is, from frame to frame. Those without a key are told apart by their order.
    pub(crate) fn keyed(mut self, key: u64) -> Shape {
        self.key = key;
        self
    }

    /// As [`Shape::keyed`], by name.
    pub(crate) fn named(self, name: &str) -> Shape {
        let key = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |it, byte| (it ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        self.keyed(key)
    }

    /// An attribute; with a dot before its name, a property of the element.
    pub(crate) fn set(self, name: &'static str, value: impl Into<Text>) -> Shape {
        self.put(name, value.into())
    }

    fn put(mut self, name: &'static str, value: Text) -> Shape {
        self.attributes.push((name, value));
        self
    }

    /// An attribute that is there or is not.
    pub(crate) fn when(self, is: bool, name: &'static str, value: &'static str) -> Shape {
        if is { self.put(name, value.into()) } else { self }
    }

    /// A coordinate, to a tenth.
    pub(crate) fn at(self, name: &'static str, value: f64) -> Shape {
        self.put(name, tenths(value).into())
    }

    /// A whole number.
    pub(crate) fn number(self, name: &'static str, value: i64) -> Shape {
        self.put(name, value.to_string().into())
    }

    /// What it says.
    pub(crate) fn say(mut self, text: impl Into<Text>) -> Shape {
        self.children.push(text_of(text.into()));
        self
    }

    /// What is in it.
    pub(crate) fn with<const N: usize>(mut self, children: [Shape; N]) -> Shape {
        self.children.extend(children);
        self
    }

    /// What is in it.
    pub(crate) fn with_all(mut self, mut children: Vec<Shape>) -> Shape {
        self.children.append(&mut children);
        self
    }

    /// What an attribute says; nothing where there is none of that name.
    #[cfg(test)]
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|it| it.0 == name).map_or("", |it| &it.1)
    }

    /// All text in it.
    #[cfg(test)]
    pub(crate) fn words(&self) -> String {
        self.children.iter().fold(self.text.to_string(), |text, it| text + &it.words())
    }
}

/// 12.34 → "12.3", 12.0 → "12": all that a coordinate needs, and no float printing.
pub(crate) fn tenths(value: f64) -> String {
    let tenths = (value * 10.0).round() as i64;
    let (whole, rest) = (tenths.abs() / 10, tenths.abs() % 10);
    let mut text = if tenths < 0 { String::from("-") } else { String::new() };
    text.push_str(&whole.to_string());
    if rest > 0 {
        text.push('.');
        text.push(char::from(b'0' + rest as u8));
    }
    text
}

/// "10.5px" → 10.5: a length of the style sheet, to a tenth.
pub(crate) fn pixels(length: &str) -> Option<f64> {
    let (whole, tenth) = length.strip_suffix("px")?.split_once('.').unwrap_or((length.strip_suffix("px")?, "0"));
    let (whole, tenth): (u32, u32) = (whole.parse().ok()?, tenth.get(..1)?.parse().ok()?);
    Some(f64::from(whole) + f64::from(tenth) / 10.0)
}

/// A part of the page, and what is drawn in it.
pub(crate) struct Drawing {
    root: Element,
    nodes: Vec<Node>,
}

/// A shape on the page.
struct Node {
    tag: &'static str,
    key: u64,
    text: Text,
    attributes: Vec<(&'static str, Text)>,
    children: Vec<Node>,
    on_page: web_sys::Node,
}

impl Drawing {
    /// Nothing yet, in an element that is ours alone.
    pub(crate) fn new(root: Element) -> Drawing {
        Drawing { root, nodes: Vec::new() }
    }

    /// Shows these shapes. How much of the page that changed.
    pub(crate) fn show(&mut self, shapes: Vec<Shape>) -> usize {
        // An element is always in a document.
        let Some(document) = self.root.owner_document() else { return 0 };
        let in_svg = self.root.namespace_uri().as_deref() == Some(SVG);
        patch(&document, &self.root, in_svg, &mut self.nodes, shapes)
    }
}

/// Makes an element's children these shapes. How many nodes, attributes and texts are others then.
fn patch(document: &Document, parent: &Element, in_svg: bool, nodes: &mut Vec<Node>, shapes: Vec<Shape>) -> usize {
    let mut changes = 0;
    let partners = partners(nodes, &shapes);
    let stay = staying(&partners);
    let mut old: Vec<Option<Node>> = std::mem::take(nodes).into_iter().map(Some).collect();
    for (shape, partner) in shapes.into_iter().zip(&partners) {
        let node = match partner.and_then(|it| old.get_mut(it)?.take()) {
            Some(mut node) => {
                changes += node.become_(document, in_svg, shape);
                node
            }
            None => {
                changes += 1;
                Node::new(document, in_svg, shape)
            }
        };
        nodes.push(node);
    }
    for gone in old.into_iter().flatten() {
        // It is a child of the parent unless a script of somebody else's took it away, and then it is gone too.
        let _ = parent.remove_child(&gone.on_page);
        changes += 1;
    }
    let mut next: Option<&web_sys::Node> = None;
    for (node, stays) in nodes.iter().zip(&stay).rev() {
        if !stays {
            // As above.
            let _ = parent.insert_before(&node.on_page, next);
            changes += 1;
        }
        next = Some(&node.on_page);
    }
    changes
}

/// Which old node each shape becomes: the one with its key, else any that is left over of its tag.
fn partners(nodes: &[Node], shapes: &[Shape]) -> Vec<Option<usize>> {
    let mut free = vec![true; nodes.len()];
    let mut partners = vec![None; shapes.len()];
    let mut after = 0;
    for (shape, partner) in shapes.iter().zip(&mut partners) {
        let fits = |it: &usize| free[*it] && nodes[*it].tag == shape.tag && nodes[*it].key == shape.key;
        // Most shapes follow the one that they followed before.
        let found = (after..nodes.len()).find(fits).or_else(|| (0..after).find(fits));
        if let Some(index) = found {
            free[index] = false;
            after = index + 1;
            *partner = found;
        }
    }
    for (shape, partner) in shapes.iter().zip(&mut partners).filter(|it| it.1.is_none()) {
        let left_over = (0..nodes.len()).find(|it| free[*it] && nodes[*it].tag == shape.tag);
        if let Some(index) = left_over {
            free[index] = false;
            *partner = left_over;
        }
    }
    partners
}

/// Which nodes need not move: those whose old places are in order already.
fn staying(partners: &[Option<usize>]) -> Vec<bool> {
    let mut last = None;
    let stays = |it: &Option<usize>| {
        let stays = it.is_some() && *it > last;
        if stays {
            last = *it;
        }
        stays
    };
    partners.iter().map(stays).collect()
}

impl Node {
    fn new(document: &Document, in_svg: bool, shape: Shape) -> Node {
        let in_svg = in_svg || shape.tag == "svg";
        let on_page: web_sys::Node = if shape.tag.is_empty() {
            document.create_text_node(&shape.text).into()
        } else if in_svg {
            document.create_element_ns(Some(SVG), shape.tag).expect("our tags are names").into()
        } else {
            document.create_element(shape.tag).expect("our tags are names").into()
        };
        let text = shape.text.clone();
        let mut node =
            Node { tag: shape.tag, key: shape.key, text, attributes: Vec::new(), children: Vec::new(), on_page };
        node.become_(document, in_svg, shape);
        node
    }

    /// Takes on what differs: so much.
    fn become_(&mut self, document: &Document, in_svg: bool, shape: Shape) -> usize {
        self.key = shape.key;
        let Some(element) = self.on_page.dyn_ref::<Element>() else {
            let differs = self.text != shape.text;
            if differs {
                self.on_page.set_node_value(Some(&shape.text));
                self.text = shape.text;
            }
            return usize::from(differs);
        };
        let mut changes = 0;
        if self.attributes != shape.attributes {
            for (name, _) in self.attributes.iter().filter(|it| !shape.attributes.iter().any(|new| new.0 == it.0)) {
                change(element, name, None);
                changes += 1;
            }
            for (name, value) in &shape.attributes {
                if !self.attributes.iter().any(|it| it.0 == *name && it.1 == *value) {
                    change(element, name, Some(value));
                    changes += 1;
                }
            }
            self.attributes = shape.attributes;
        }
        if !(self.children.is_empty() && shape.children.is_empty()) {
            changes += patch(document, element, in_svg || self.tag == "svg", &mut self.children, shape.children);
        }
        changes
    }
}

/// Sets or removes an attribute or a property. Their names are ours, so neither can be refused.
fn change(element: &Element, name: &'static str, value: Option<&str>) {
    let _ = match (name.strip_prefix('.'), value) {
        (Some(property), value) => {
            web_sys::js_sys::Reflect::set(element, &property.into(), &value.unwrap_or_default().into()).map(drop)
        }
        (None, Some(value)) => element.set_attribute(name, value),
        (None, None) => element.remove_attribute(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_tenths() {
        for (value, text) in
            [(0.0, "0"), (12.34, "12.3"), (-99.0, "-99"), (-0.26, "-0.3"), (7.96, "8"), (1e6, "1000000")]
        {
            assert_eq!(tenths(value), text);
        }
    }

    #[test]
    fn lengths_are_read_to_a_tenth() {
        assert_eq!((pixels("44px"), pixels("10.5px"), pixels("12.25px")), (Some(44.0), Some(10.5), Some(12.2)));
        assert_eq!((pixels(""), pixels("2em"), pixels("px"), pixels("1.px")), (None, None, None, None));
    }

    #[test]
    fn only_what_is_out_of_order_moves() {
        assert_eq!(staying(&[Some(0), Some(1), Some(2)]), [true; 3]);
        // Five cells scrolled by two: the first two were used again for the last.
        assert_eq!(staying(&[Some(2), Some(3), Some(4), Some(0), Some(1)]), [true, true, true, false, false]);
        assert_eq!(staying(&[None, Some(0), None, Some(1)]), [false, true, false, true]);
    }
}
