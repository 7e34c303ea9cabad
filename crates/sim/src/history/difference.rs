//! Where two runs part: two branches of one, or the same scenario with other settings.

use protocol::Instant;

use super::{History, HistoryError};

/// So many events are looked at one by one, at most: somebody waits.
const LOOKED_AT: u64 = 20_000;

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Up to and including this event both are the same.
    pub same_until: u64,
    /// When that was.
    pub same_at: Instant,
    /// The event after it in the one and in the other: when, and in words. Nothing where no more is known.
    pub then: [Option<(Instant, String)>; 2],
    /// So many events after it tell the same, and none after those was looked at: what they part by is told later, or never.
    pub untold_for: Option<u64>,
}

impl History {
    /// Where two branches part to whoever watches, as far as both are known.
    pub fn compare(&self, one: &str, other: &str) -> Result<Difference, HistoryError> {
        self.compare_within(one, other, LOOKED_AT)
    }

    fn compare_within(&self, one: &str, other: &str, most: u64) -> Result<Difference, HistoryError> {
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
        if let Some(found) = first_told(&mut one, &mut other, until, most) {
            return Ok(found);
        }
        let then = [one.next_after(until), other.next_after(until)];
        one.seek(until);
        Ok(Difference { same_until: until, same_at: one.world.clock(), then, untold_for: None })
    }

    /// Where another run with other settings parts from this one, to whoever watches: the first event that comes at another time,
    /// or of which another sentence tells. As far as both are known, and not without end; nothing if they tell the same.
    pub fn part_from(&self, other: &History) -> Option<Difference> {
        let (mut one, mut other) = (self.clone(), other.clone());
        one.seek(0);
        other.seek(0);
        let until = self.known().min(other.known());
        part_within(&mut one, &mut other, until, LOOKED_AT)
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

/// As [`first_told`], of two runs that are the same as far as was looked.
fn part_within(one: &mut History, other: &mut History, until: u64, most: u64) -> Option<Difference> {
    let mut found = first_told(one, other, until, most)?;
    if found.untold_for.is_some() {
        (found.same_until, found.same_at) = (one.world.events(), one.world.clock());
    }
    Some(found)
}

/// The first of the events from here on that two runs tell otherwise; nothing if all of them up to one tell the same. Looks at so
/// many at most.
fn first_told(one: &mut History, other: &mut History, until: u64, most: u64) -> Option<Difference> {
    let (begun, begun_at) = (one.world.events(), one.world.clock());
    for same_until in begun..until {
        if same_until - begun == most {
            let untold_for = Some(most);
            return Some(Difference { same_until: begun, same_at: begun_at, then: [None, None], untold_for });
        }
        let same_at = one.world.clock();
        let then = [one.tell_next(), other.tell_next()];
        if then[0] != then[1] {
            return Some(Difference { same_until, same_at, then, untold_for: None });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::script::{Scenario, Step};

    /// The way of a client that says nothing is cut: they part, and no event tells of it. It is looked for as far as is allowed.
    #[test]
    fn what_is_told_by_no_event_is_not_looked_for_without_end() {
        let text = "seed 5\nbroker b1\ntopic orders partitions=2\nproducer p1 linger.ms=1\nproducer p2\n\
                    load p1 orders every=2ms keys=4 size=40\nrun 2s\n";
        let mut history = Scenario::parse(text).unwrap().play_with(false).unwrap().history;
        let (end, middle) = (history.world().clock(), history.known() / 2);
        history.seek(middle);
        let Step::Do(cut) = Scenario::parse("cut p2 b1").unwrap().steps.remove(0).1 else { panic!("an action") };
        history.act(cut).unwrap();
        history.run_until(end);
        let short = history.compare_within("main", "branch-1", 100).unwrap();
        assert_eq!((short.untold_for, &short.then), (Some(100), &[None, None]), "{short:?}");
        assert!(short.same_until + 1 >= middle && short.same_until <= middle, "where they part: {short:?}");
        let whole = history.compare("main", "branch-1").unwrap();
        assert_eq!((whole.untold_for, whole.same_until), (None, history.known()), "{whole:?}");
        // Of two runs of which nobody knows where they part it is told how far they are the same.
        let (mut one, mut other) = (history.at_start("main").unwrap(), history.at_start("main").unwrap());
        let alike = super::part_within(&mut one, &mut other, history.known(), 100).unwrap();
        assert_eq!((alike.untold_for, alike.same_until), (Some(100), 100), "{alike:?}");
        assert!(history.part_from(&history).is_none(), "all of it was looked at");
    }
}
