//! Where everything of the cluster is. Two ways to lie: wide, and tall for a phone. Places depend on how many there are of each
//! kind and on nothing that happens: who dies stays where it was.

use crate::draw::tenths;

/// A card's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) w: f64,
    pub(crate) h: f64,
}

/// A cubic curve from one process to another.
pub(crate) type Link = [(f64, f64); 4];

/// What stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Seat {
    /// A producer: left, on a phone above.
    Left,
    /// A consumer: right, on a phone below.
    Right,
    /// A broker; true if none stands between it and those on the left, and on the right.
    Broker(bool, bool),
    /// A controller that is no broker.
    Controller,
}

/// The way to lie, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) narrow: bool,
    pub(crate) brokers: usize,
    /// Controllers that are no brokers.
    pub(crate) controllers: usize,
    /// Lines in a broker's card.
    pub(crate) slots: usize,
    /// Clients on the left and on the right.
    pub(crate) clients: (usize, usize),
}

/// Where the brokers of a wide drawing begin, and how wide all of them are together.
const FIELD: (f64, f64) = (150.0, 400.0);
/// A client's card, wide and narrow: how wide, and how high where there is room, as there is for so many on a side; and where not.
const CLIENT: [f64; 2] = [122.0, 112.0];
const ROOMY: f64 = 62.0;
const CLOSE: f64 = 46.0;
const FEW: [usize; 2] = [4, 3];
/// Between two that are close to each other.
const APART: f64 = 5.0;
/// A controller's hexagon.
const HEXAGON: (f64, f64) = (46.0, 46.0);

impl Plan {
    /// How many brokers stand in each row.
    fn rows(self) -> &'static [usize] {
        match (self.brokers, self.narrow) {
            (0 | 1, _) => &[1],
            (2, _) => &[2],
            (3, _) => &[1, 2],
            (4, _) => &[2, 2],
            (5, false) => &[2, 3],
            (5, true) => &[1, 2, 2],
            (6, false) => &[3, 3],
            (6, true) => &[2, 2, 2],
            (_, false) => &[2, 3, 2],
            (_, true) => &[1, 2, 2, 2],
        }
    }

    /// A broker's width and height.
    fn card(self) -> (f64, f64) {
        let crowded = self.rows().iter().any(|it| *it > 2);
        let width = match self.brokers {
            0 | 1 => 196.0,
            _ if crowded => 128.0,
            _ => 172.0,
        };
        (width, 38.0 + 21.0 * self.slots.clamp(1, 3) as f64)
    }

    /// Between two rows of brokers.
    fn gap(self) -> f64 {
        match (self.narrow, self.rows().len()) {
            (true, _) => 36.0,
            // Controllers stand between the rows: what is wrong with a way to them has to be seen beside them.
            (false, 2) if self.controllers > 0 => (264.0 - 2.0 * self.card().1).clamp(76.0, 116.0),
            (false, 0..=2) => 76.0,
            (false, _) if self.controllers > 0 => 70.0,
            (false, _) => 40.0,
        }
    }

    /// The height of all rows together.
    fn field(self) -> f64 {
        let rows = self.rows().len() as f64;
        rows * self.card().1 + (rows - 1.0) * self.gap()
    }

    /// Below the brokers of a phone.
    fn cellar(self) -> f64 {
        if self.controllers > 0 { HEXAGON.1 + 18.0 } else { 0.0 }
    }

    /// Width and height of the drawing.
    pub(crate) fn size(self) -> (f64, f64) {
        let (left, right) = self.clients;
        if self.narrow {
            (358.0, self.beyond(left) + self.beyond(right) + self.field() + self.cellar())
        } else {
            let cellar = if self.rows().len() == 1 { self.cellar() } else { 0.0 };
            let clients = left.max(right) as f64 * (CLOSE + APART);
            (700.0, (self.field() + cellar + 32.0).max(296.0).max(clients))
        }
    }

    /// How high a client's card is, of so many on its side.
    fn client_height(self, count: usize) -> f64 {
        if count > FEW[usize::from(self.narrow)] { CLOSE } else { ROOMY }
    }

    /// The height of a phone's rows of clients.
    fn band(self, count: usize) -> f64 {
        count.div_ceil(FEW[1]) as f64 * (self.client_height(count) + APART) - APART
    }

    /// What a phone has above its brokers, or below: clients and their ways, or nobody and what hangs out of a card.
    fn beyond(self, count: usize) -> f64 {
        if count == 0 { 18.0 } else { self.band(count) + 40.0 }
    }

    /// The place of a broker, the first being 0, and how it stands to those beside it.
    pub(crate) fn broker(self, index: usize) -> (Place, Seat) {
        let (w, h) = self.card();
        let (mut row, mut column) = (0, index);
        while column >= self.rows()[row] && row + 1 < self.rows().len() {
            column -= self.rows()[row];
            row += 1;
        }
        let count = self.rows()[row];
        let (from, width) = if self.narrow { (0.5, 357.0) } else { FIELD };
        let x = if count == 1 || w < 150.0 {
            from + width * (column as f64 + 0.5) / count as f64 - w / 2.0
        } else {
            from + (width - w) * column as f64 / (count as f64 - 1.0)
        };
        let first = if self.narrow {
            self.beyond(self.clients.0)
        } else {
            (self.size().1 - self.field() - if self.rows().len() == 1 { self.cellar() } else { 0.0 }) / 2.0
        };
        let y = first + row as f64 * (h + self.gap());
        (Place { x, y, w, h }, Seat::Broker(column == 0, column + 1 == count))
    }

    /// The place of a controller that is no broker, the first being 0.
    pub(crate) fn controller(self, index: usize) -> Place {
        let (w, h) = HEXAGON;
        let middle = if self.narrow { 179.0 } else { FIELD.0 + FIELD.1 / 2.0 };
        let x = middle + (index as f64 - (self.controllers as f64 - 1.0) / 2.0) * (w + 4.0) - w / 2.0;
        let (top, _) = self.broker(0);
        let y = if self.narrow {
            self.size().1 - self.beyond(self.clients.1) - h
        } else if self.rows().len() == 1 {
            top.y + top.h + 18.0
        } else {
            top.y + top.h + (self.gap() - h) / 2.0
        };
        Place { x, y, w, h }
    }

    /// The client that is `index`th of `count` on its side.
    pub(crate) fn client(self, seat: Seat, index: usize, count: usize) -> Place {
        let (width, height) = self.size();
        let right = seat == Seat::Right;
        let (w, h) = (CLIENT[usize::from(self.narrow)], self.client_height(count));
        let place = |index: usize, count: usize| (index as f64 + 0.5) / count.max(1) as f64;
        let share = place(index, count);
        if self.narrow {
            let (row, column) = (index / FEW[1], index % FEW[1]);
            let top = if right { height - self.band(count) - 1.0 } else { 1.0 };
            let (y, share) = (top + row as f64 * (h + APART), place(column, (count - row * FEW[1]).min(FEW[1])));
            Place { x: (width * share - w / 2.0).clamp(0.5, width - w - 0.5), y, w, h }
        } else {
            let x = if right { width - w - 0.5 } else { 0.5 };
            Place { x, y: height * share - h / 2.0, w, h }
        }
    }

    /// The curve from one place to another.
    pub(crate) fn link(self, (from, here): (Place, Seat), (to, there): (Place, Seat)) -> Link {
        match (here, there) {
            (Seat::Left | Seat::Right, _) => self.to_node(from, here, to, there),
            (_, Seat::Left | Seat::Right) => {
                let [a, b, c, d] = self.to_node(to, there, from, here);
                [d, c, b, a]
            }
            (Seat::Broker(..), Seat::Broker(..)) if self.controllers > 0 && !self.narrow => {
                self.past_controllers(from, to).unwrap_or_else(|| straight(from, to))
            }
            _ => straight(from, to),
        }
    }

    /// From a broker to one above or below it: upright, as far from the middle as both go, for the controllers are in the middle.
    fn past_controllers(self, from: Place, to: Place) -> Option<Link> {
        let (left, right) = (from.x.max(to.x) + 6.0, (from.x + from.w).min(to.x + to.w) - 6.0);
        let middle = FIELD.0 + FIELD.1 / 2.0;
        let x = if (left - middle).abs() > (right - middle).abs() { left } else { right };
        let is_upright = left < right && (from.y + from.h < to.y || to.y + to.h < from.y);
        let (a, d) = if from.y < to.y { (from.y + from.h, to.y) } else { (from.y, to.y + to.h) };
        is_upright.then(|| [(x, a), (x, a + (d - a) / 3.0), (x, d - (d - a) / 3.0), (x, d)])
    }

    /// From a client to a node.
    fn to_node(self, client: Place, side: Seat, to: Place, there: Seat) -> Link {
        let right = side == Seat::Right;
        if self.narrow {
            let (from, end) = if right { (client.y, to.y + to.h) } else { (client.y + client.h, to.y) };
            let (x, middle) = (client.x + client.w / 2.0, (from + end) / 2.0);
            let at = (x - to.x).clamp(to.w * 0.2, to.w * 0.8) + to.x;
            return [(x, from), (x, middle), (at, middle), (at, end)];
        }
        let (y, x) = (client.y + client.h / 2.0, if right { client.x } else { client.x + client.w });
        let free = match there {
            Seat::Broker(left, _) if !right => left,
            Seat::Broker(_, is_last) => is_last,
            _ => true,
        };
        if free {
            let end = if right { to.x + to.w } else { to.x };
            let at = (y - to.y).clamp(to.h * 0.2, to.h * 0.8) + to.y;
            let mut middle = (x + end) / 2.0;
            if self.rows().len() > 1 {
                // Up or down before the brokers begin: others than this one stand on the way.
                middle = if right { middle.max(x - 14.0) } else { middle.min(x + 14.0) };
            }
            [(x, y), (middle, y), (middle, at), (end, at)]
        } else {
            // Somebody stands between: from above, or, in the upper half, from below.
            let below = to.y + to.h < self.size().1 * 0.6;
            let (at, way) = if below { (to.y + to.h, 46.0) } else { (to.y, -46.0) };
            let end = to.x + to.w * if right { 0.84 } else { 0.16 };
            let out = if right { x - 70.0 } else { x + 70.0 };
            [(x, y), (out, y), (end, at + way), (end, at)]
        }
    }
}

/// From edge to edge of two cards, on the line between their middles.
fn straight(from: Place, to: Place) -> Link {
    let middle = |it: Place| (it.x + it.w / 2.0, it.y + it.h / 2.0);
    let (a, b) = (middle(from), middle(to));
    let edge = |it: Place, at: (f64, f64), other: (f64, f64)| {
        let (dx, dy) = (other.0 - at.0, other.1 - at.1);
        let scale = |d: f64, half: f64| if d.abs() > 0.01 { half / d.abs() } else { f64::MAX };
        let t = scale(dx, it.w / 2.0).min(scale(dy, it.h / 2.0)).min(0.5);
        (at.0 + dx * t, at.1 + dy * t)
    };
    let (a, d) = (edge(from, a, b), edge(to, b, a));
    let third = |share: f64| (a.0 + (d.0 - a.0) * share, a.1 + (d.1 - a.1) * share);
    [a, third(1.0 / 3.0), third(2.0 / 3.0), d]
}

/// The same way a little to its right, so that who comes back does not meet who goes.
pub(crate) fn beside(link: Link) -> Link {
    let (dx, dy) = (link[3].0 - link[0].0, link[3].1 - link[0].1);
    let far = (dx * dx + dy * dy).sqrt().max(1.0);
    link.map(|(x, y)| (x - dy / far * 6.0, y + dx / far * 6.0))
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
        let plans = [false, true].into_iter().flat_map(|narrow| (1..8).map(move |brokers| (narrow, brokers)));
        let plans = plans.flat_map(|(narrow, brokers)| [0, 3].map(|quorum| (narrow, brokers, quorum)));
        let crowds = [(3, 2), (1, 0), (1, 5), (2, 6), (5, 1), (4, 10)];
        for ((narrow, brokers, controllers), (lefts, rights)) in plans.flat_map(|it| crowds.map(|crowd| (it, crowd))) {
            let plan = Plan { narrow, brokers, controllers, slots: 3, clients: (lefts, rights) };
            let mut places: Vec<Place> = (0..brokers).map(|it| plan.broker(it).0).collect();
            places.extend((0..controllers).map(|it| plan.controller(it)));
            places.extend((0..lefts).map(|it| plan.client(Seat::Left, it, lefts)));
            places.extend((0..rights).map(|it| plan.client(Seat::Right, it, rights)));
            let (width, height) = plan.size();
            for (index, a) in places.iter().enumerate() {
                let inside = a.x >= 0.0 && a.y >= 0.0 && a.x + a.w <= width && a.y + a.h <= height;
                assert!(inside, "{plan:?} {a:?} in {width} × {height}");
                for b in &places[..index] {
                    let apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
                    assert!(apart, "{plan:?} {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_link_to_the_broker_above_passes_beside_those_below() {
        for (slots, clients) in [(1, 2), (1, 3), (2, 2), (3, 3)] {
            let plan = Plan { narrow: false, brokers: 3, controllers: 3, slots, clients: (clients, clients) };
            for (index, side) in (0..clients).flat_map(|it| [(it, Seat::Left), (it, Seat::Right)]) {
                let link = plan.link((plan.client(side, index, clients), side), plan.broker(0));
                for (x, y) in (0..100).map(|it| point(link, f64::from(it) / 100.0)) {
                    for it in [plan.broker(1).0, plan.broker(2).0] {
                        let inside = it.x < x && x < it.x + it.w && it.y < y && y < it.y + it.h;
                        assert!(!inside, "{side:?} {index} of {clients}, {slots} slots: {x} {y} in {it:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_link_between_brokers_passes_beside_the_controllers() {
        for slots in 1..4 {
            let plan = Plan { narrow: false, brokers: 3, controllers: 3, slots, clients: (3, 2) };
            for (x, y) in [1, 2].into_iter().flat_map(|it| {
                (0..100).map(move |at| point(plan.link(plan.broker(0), plan.broker(it)), f64::from(at) / 100.0))
            }) {
                for it in (0..3).map(|it| plan.controller(it)) {
                    assert!(
                        !(it.x < x && x < it.x + it.w && it.y < y && y < it.y + it.h),
                        "{slots} slots: {x} {y} in {it:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_link_goes_from_edge_to_edge_and_back_the_same_way() {
        for narrow in [false, true] {
            let plan = Plan { narrow, brokers: 3, controllers: 0, slots: 3, clients: (3, 2) };
            let client = (plan.client(Seat::Left, 0, 3), Seat::Left);
            for index in 0..3 {
                let broker = plan.broker(index);
                let link = plan.link(client, broker);
                let mut back = plan.link(broker, client);
                back.reverse();
                assert_eq!(link, back);
                for ((x, y), it) in [(link[0], client.0), (link[3], broker.0)] {
                    let on_x = (x - it.x).abs() < 0.01 || (x - it.x - it.w).abs() < 0.01;
                    let on_y = (y - it.y).abs() < 0.01 || (y - it.y - it.h).abs() < 0.01;
                    assert!(on_x || on_y, "{x} {y} {it:?}");
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
