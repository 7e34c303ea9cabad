//! Where everything of the cluster is. Two ways to lie: wide, and tall for a phone.

use crate::draw::tenths;
use crate::view::Role;

/// A card's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

/// A cubic curve from a client to the broker.
pub(crate) type Link = [(f64, f64); 4];

/// The way to lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) narrow: bool,
}

impl Plan {
    /// Width and height of the drawing.
    pub(crate) fn size(self) -> (f64, f64) {
        if self.narrow { (358.0, 396.0) } else { (700.0, 300.0) }
    }

    /// The broker's place.
    pub(crate) fn broker(self) -> Place {
        if self.narrow {
            Place { x: 74.0, y: 136.0, w: 210.0, h: 116.0 }
        } else {
            Place { x: 252.0, y: 92.0, w: 196.0, h: 116.0 }
        }
    }

    /// The client that is `index`th of `count` on its side.
    pub(crate) fn client(self, role: Role, index: usize, count: usize) -> Place {
        let (width, height) = self.size();
        let consumer = role == Role::Consumer;
        let (w, h) = if self.narrow { (112.0, 66.0) } else { (128.0, 62.0) };
        let share = (index as f64 + 0.5) / count.max(1) as f64;
        if self.narrow {
            let y = if consumer { height - h - 1.0 } else { 1.0 };
            Place { x: (width * share - w / 2.0).clamp(0.0, width - w), y, w, h }
        } else {
            let x = if consumer { width - w - 0.5 } else { 0.5 };
            Place { x, y: height * share - h / 2.0, w, h }
        }
    }

    /// The curve between a client and the broker.
    pub(crate) fn link(self, client: Place, role: Role, index: usize, count: usize) -> Link {
        let broker = self.broker();
        let share = (index as f64 + 1.0) / (count as f64 + 1.0);
        let consumer = role == Role::Consumer;
        if self.narrow {
            let (from, to) = if consumer { (client.y, broker.y + broker.h) } else { (client.y + client.h, broker.y) };
            let (x, end, middle) = (client.x + client.w / 2.0, broker.x + broker.w * share, (from + to) / 2.0);
            [(x, from), (x, middle), (end, middle), (end, to)]
        } else {
            let (from, to) = if consumer { (client.x, broker.x + broker.w) } else { (client.x + client.w, broker.x) };
            let (y, end, middle) = (client.y + client.h / 2.0, broker.y + broker.h * share, (from + to) / 2.0);
            [(from, y), (middle, y), (middle, end), (to, end)]
        }
    }
}

/// A point of a curve, 0 ≤ t ≤ 1.
pub(crate) fn point([a, b, c, d]: Link, t: f64) -> (f64, f64) {
    let u = 1.0 - t;
    let mix =
        |a: f64, b: f64, c: f64, d: f64| u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d;
    (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
}

/// The curve as SVG has it.
pub(crate) fn svg_curve(link: Link) -> String {
    let [a, b, c, d] = link.map(|(x, y)| format!("{} {}", tenths(x), tenths(y)));
    format!("M{a}C{b} {c} {d}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_do_not_overlap_and_stay_inside() {
        for narrow in [false, true] {
            let plan = Plan { narrow };
            let mut places = vec![plan.broker()];
            places.extend((0..3).map(|it| plan.client(Role::Producer, it, 3)));
            places.extend((0..2).map(|it| plan.client(Role::Consumer, it, 2)));
            let (width, height) = plan.size();
            for (index, a) in places.iter().enumerate() {
                assert!(a.x >= 0.0 && a.y >= 0.0 && a.x + a.w <= width && a.y + a.h <= height, "{a:?}");
                for b in &places[..index] {
                    let apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
                    assert!(apart, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_begins_and_ends_at_its_link() {
        let link = [(0.0, 0.0), (5.0, 0.0), (5.0, 10.0), (10.0, 10.0)];
        assert_eq!((point(link, 0.0), point(link, 0.5), point(link, 1.0)), ((0.0, 0.0), (5.0, 5.0), (10.0, 10.0)));
        assert_eq!(svg_curve(link), "M0 0C5 0 5 10 10 10");
    }
}
