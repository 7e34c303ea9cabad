//! Where two runs part: two branches of one, or the same scenario with other settings.

use protocol::Instant;

use super::{History, HistoryError};

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Up to and including this event both are the same.
    pub same_until: u64,
    /// When that was.
    pub same_at: Instant,
    /// The event after it in the one and in the other: when, and in words. Nothing where no more is known.
    pub then: [Option<(Instant, String)>; 2],
}

impl History {
    /// Where two branches part to whoever watches, as far as both are known.
    pub fn compare(&self, one: &str, other: &str) -> Result<Difference, HistoryError> {
        let (mut one, mut other) = (self.at_start(one)?, self.at_start(other)?);
        let until = one.known().min(other.known());
        // Both seek fast, so the last common event is found by halving: once apart, hashes stay apart.
        let (mut same, mut differs) = (0, until + 1);
        while differs - same > 1 {
            let middle = same + (differs - same) / 2;
            one.seek(middle);
            other.seek(middle);
            if one.world.hash() == other.world.hash() { same = middle } else { differs = middle }
        }
        one.seek(same);
        other.seek(same);
        // What somebody did there may be told by no event for a while.
        for same_until in same..until {
            let same_at = one.world.clock();
            let then = [one.tell_next(), other.tell_next()];
            if then[0] != then[1] {
                return Ok(Difference { same_until, same_at, then });
            }
        }
        let then = [one.next_after(until), other.next_after(until)];
        one.seek(until);
        Ok(Difference { same_until: until, same_at: one.world.clock(), then })
    }

    /// Where another run with other settings parts from this one, to whoever watches: the first event that comes at another time,
    /// or of which another sentence tells. As far as both are known; nothing if they tell the same.
    pub fn part_from(&self, other: &History) -> Option<Difference> {
        let (mut one, mut other) = (self.clone(), other.clone());
        one.seek(0);
        other.seek(0);
        let until = self.known().min(other.known());
        for same_until in 0..until {
            let same_at = one.world.clock();
            let then = [one.tell_next(), other.tell_next()];
            if then[0] != then[1] {
                return Some(Difference { same_until, same_at, then });
            }
        }
        None
    }

    fn at_start(&self, branch: &str) -> Result<History, HistoryError> {
        let mut history = self.clone();
        let found = history.branches.iter().position(|it| it.name == branch);
        history.current = found.ok_or_else(|| HistoryError::NoBranch(branch.to_owned()))?;
        history.trail.clear();
        history.seek(0);
        Ok(history)
    }

    fn next_after(&mut self, event: u64) -> Option<(Instant, String)> {
        self.seek(event);
        (event < self.known()).then(|| self.tell_next()).flatten()
    }

    fn tell_next(&mut self) -> Option<(Instant, String)> {
        self.step().then(|| (self.world.clock(), self.world.narrate()))
    }
}
