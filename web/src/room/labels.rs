//! Where the words beside what is drawn have room: not on a card, not on each other.

use super::plan::{Link, Place, Seat, point};
use super::stage::Spot;

/// How wide a letter of a label is, about, and how high.
const LETTER: (f64, f64) = (5.8, 12.0);

/// What there is no room on any more.
pub(crate) struct Labels {
    taken: Vec<Place>,
}

impl Labels {
    /// Nothing but the cards is there yet.
    pub(crate) fn beside(spots: &[Spot<'_>]) -> Labels {
        // At a broker's edges there are the badges of who leads.
        let badge = |it: &Spot<'_>| if matches!(it.seat, Seat::Broker(..)) { 9.0 } else { 0.0 };
        let place = |it: &Spot<'_>| Place { y: it.place.y - badge(it), h: it.place.h + 2.0 * badge(it), ..it.place };
        let mut taken: Vec<Place> = spots.iter().map(place).collect();
        // What the active controller says is beneath it, and wider than it.
        let controllers = spots.iter().filter(|it| it.seat == Seat::Controller).map(|it| it.place);
        taken.extend(controllers.map(|it| Place { x: it.x - 18.0, y: it.y + it.h, w: it.w + 36.0, h: LETTER.1 + 3.0 }));
        Labels { taken }
    }

    /// Something of a size has its middle there.
    pub(crate) fn take(&mut self, (x, y): (f64, f64), (w, h): (f64, f64)) {
        self.taken.push(Place { x: x - w / 2.0, y: y - h / 2.0, w, h });
    }

    /// Where on a way a sign of this size has room: so far along it, or elsewhere.
    pub(crate) fn on_way(&mut self, link: Link, first: f64, size: f64) -> (f64, f64) {
        let free = |at: &f64| {
            let (x, y) = point(link, *at);
            let sign = Place { x: x - size / 2.0, y: y - size / 2.0, w: size, h: size };
            !self.taken.iter().any(|it| overlap(it, &sign))
        };
        let at = point(link, [first, 0.5, 0.75, 0.25, 0.85, 0.15].into_iter().find(free).unwrap_or(first));
        self.take(at, (size, size));
        at
    }

    /// Where words about a point have their middle: so far below or above it, else beside it; nowhere if all that is taken.
    pub(crate) fn place(&mut self, words: &str, (x, y): (f64, f64), ways: [f64; 2]) -> Option<(f64, f64)> {
        let wide = words.chars().count() as f64 * LETTER.0;
        let beside = wide / 2.0 + 13.0;
        let places = [(x, y + ways[0]), (x, y + ways[1]), (x + beside, y + 4.0), (x - beside, y + 4.0)];
        for (x, y) in places {
            let place = Place { x: x - wide / 2.0, y: y - LETTER.1 + 3.0, w: wide, h: LETTER.1 };
            if !self.taken.iter().any(|it| overlap(it, &place)) {
                self.taken.push(place);
                return Some((x, y));
            }
        }
        None
    }
}

fn overlap(a: &Place, b: &Place) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_on_ways_that_meet_stand_beside_each_other() {
        let mut labels = Labels { taken: vec![Place { x: 40.0, y: -10.0, w: 20.0, h: 20.0 }] };
        let link = [(0.0, 0.0), (100.0 / 3.0, 0.0), (200.0 / 3.0, 0.0), (100.0, 0.0)];
        let places = [0; 3].map(|_| labels.on_way(link, 0.5, 14.0).0.round());
        assert_eq!(
            places,
            [75.0, 25.0, 50.0],
            "not on the card, not on each other; where no room is left, the first place"
        );
    }

    #[test]
    fn words_go_where_there_is_room_and_nowhere_if_there_is_none() {
        let mut labels = Labels { taken: vec![Place { x: 0.0, y: 0.0, w: 100.0, h: 50.0 }] };
        // Below the card's edge; then above is the card; then beside.
        assert_eq!(labels.place("cut", (50.0, 50.0), [19.0, -11.0]), Some((50.0, 69.0)));
        let (x, y) = labels.place("cut", (50.0, 50.0), [19.0, -11.0]).unwrap_or_default();
        assert!(y != 69.0 || x != 50.0, "{x} {y}");
        labels.take((50.0, 60.0), (300.0, 80.0));
        assert_eq!(labels.place("cut", (50.0, 50.0), [19.0, -11.0]), None);
    }
}
