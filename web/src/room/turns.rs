//! Whose turn it is to be drawn while time passes: what moves is on the canvases, and nobody reads digits at sixty a second.
//!
//! Each part is due every so many frames. Of those that are due the most overdue is drawn, and others with it as long as all
//! together cost no more than a frame has for them: two dear ones never share one.

/// What the parts of a frame may cost, in ms. One that costs more by itself is drawn alone.
const BUDGET_MS: f64 = 1.0;
/// What a change of an element costs the browser when it lays out and paints, in ms: about, and nobody tells it here.
const CHANGE_MS: f64 = 0.02;
/// How soon what a part costs is believed to be another.
const EASE: f64 = 0.25;

struct Turn {
    /// Frames from one turn to the next, and since the last.
    period: u32,
    waited: u32,
    /// What it costs, in ms, on average of late; without end until that is known.
    cost: f64,
}

/// The turns of parts, by their numbers.
pub(crate) struct Turns(Vec<Turn>);

impl Turns {
    /// Parts that are due every so many frames, not all of them in the same.
    pub(crate) fn new(periods: impl Iterator<Item = u32>) -> Turns {
        let turn = |(index, period): (usize, u32)| Turn { period, waited: index as u32 % period, cost: f64::INFINITY };
        Turns(periods.enumerate().map(turn).collect())
    }

    /// Who is drawn now, a bit each.
    pub(crate) fn now(&self) -> u32 {
        let (mut drawn, mut left) = (0, f64::INFINITY);
        loop {
            // One of unknown cost fits beside nothing, and nothing beside it.
            let fits =
                |(index, it): &(usize, &Turn)| drawn & 1 << index == 0 && it.waited >= it.period && it.cost <= left;
            // By how many of its periods it is late, without fractions.
            let later = |a: &Turn, b: &Turn| (a.waited * b.period).cmp(&(b.waited * a.period));
            let due = self.0.iter().enumerate().filter(fits);
            let Some((index, next)) = due.max_by(|a, b| later(a.1, b.1).then(b.0.cmp(&a.0))) else { return drawn };
            left = left.min(BUDGET_MS) - next.cost;
            drawn |= 1 << index;
        }
    }

    /// A frame has passed in which these were drawn.
    pub(crate) fn pass(&mut self, drawn: u32) {
        for (index, it) in self.0.iter_mut().enumerate() {
            it.waited = if drawn & 1 << index == 0 { it.waited + 1 } else { 1 };
        }
    }

    /// A part was drawn: how long that took, in ms, and how much was changed on the page.
    pub(crate) fn learn(&mut self, part: usize, ms: f64, changes: usize) {
        let cost = ms + changes as f64 * CHANGE_MS;
        let it = &mut self.0[part];
        it.cost = if it.cost.is_finite() { it.cost + (cost - it.cost) * EASE } else { cost };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays so many frames of parts of these periods and costs, every other one without parts: who was drawn in each.
    fn play(parts: &[(u32, f64)], frames: usize) -> Vec<u32> {
        let mut turns = Turns::new(parts.iter().map(|it| it.0));
        (0..frames)
            .map(|frame| {
                let drawn = if frame % 2 == 0 { turns.now() } else { 0 };
                for (part, it) in parts.iter().enumerate().filter(|it| drawn & 1 << it.0 != 0) {
                    turns.learn(part, it.1, 0);
                }
                turns.pass(drawn);
                drawn
            })
            .collect()
    }

    fn longest_wait(drawn: &[u32], part: usize) -> usize {
        let at: Vec<usize> = (0..drawn.len()).filter(|it| drawn[*it] & 1 << part != 0).collect();
        at.windows(2).map(|it| it[1] - it[0]).max().unwrap_or(usize::MAX)
    }

    /// As the room's are: a few dear, many that cost almost nothing.
    const PARTS: [(u32, f64); 16] = [
        (4, 0.1),
        (8, 0.4),
        (32, 0.9),
        (16, 1.4),
        (32, 0.3),
        (8, 0.0),
        (16, 0.3),
        (8, 0.0),
        (8, 1.3),
        (8, 0.8),
        (16, 0.8),
        (16, 0.6),
        (8, 0.1),
        (8, 0.0),
        (32, 0.7),
        (16, 0.1),
    ];

    #[test]
    fn nobody_waits_longer_than_twice_the_time() {
        let drawn = play(&PARTS, 10_000);
        for (part, (period, _)) in PARTS.iter().enumerate() {
            let longest = longest_wait(&drawn[100..], part);
            assert!(longest <= 2 * *period as usize, "part {part}, due every {period}, waited {longest}");
        }
    }

    #[test]
    fn no_two_dear_ones_share_a_frame() {
        let drawn = play(&PARTS, 10_000);
        for it in &drawn[100..] {
            let costs: Vec<f64> =
                (0..PARTS.len()).filter(|part| it & 1 << part != 0).map(|part| PARTS[part].1).collect();
            let sum: f64 = costs.iter().sum();
            let dear = costs.iter().filter(|it| **it > BUDGET_MS / 2.0).count();
            assert!(dear < 2 && (sum <= BUDGET_MS + 0.01 || costs.iter().any(|it| *it > BUDGET_MS)), "{costs:?}");
        }
    }

    #[test]
    fn more_than_fits_is_drawn_less_often_and_all_of_it() {
        let drawn = play(&[(2, 5.0); 8], 1_000);
        for part in 0..8 {
            assert!(longest_wait(&drawn[100..], part) <= 16);
        }
        assert!(drawn[100..].iter().all(|it| it.count_ones() <= 1));
    }
}
