//! What is due, in order of time and then of having been said.

use ordered::SharedMap;
use protocol::Instant;

use crate::link::LinkId;

/// A process of the world, in order of creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u16);

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A process asked to be woken.
    Wake(Pid, u32),
    /// A request to open a connection reaches its target.
    Open(LinkId),
    /// The answer to that reaches its sender.
    Opened(LinkId),
    /// The oldest message towards the node arrives.
    Up(LinkId),
    /// The oldest message towards the client arrives.
    Down(LinkId),
    /// The connection's turn to send answers: regions are resolved now.
    Send(LinkId),
    /// A store operation is finished.
    Disk(Pid, u32, u32),
    /// The application's next wish reaches its client.
    Do(Pid, u32),
    /// A node is asked to stop.
    Stop(Pid, u32),
    /// A workload's next record.
    Load(Pid, u32),
    /// A reader's next poll.
    Poll(Pid, u32),
    /// A node's line to another one dials, or gives up what took too long.
    Line(Pid, u32, u16),
    /// A node hears that a call came to nothing.
    CallFailed(Pid, u32),
}

/// When, and of what is due then the how manieth that was said.
type Key = (Instant, u64);

/// So many entries are kept in order: as much is moved at most when one comes between.
const NEAR: usize = 64;

/// All that is due. Most of what is said is due before what was said long ago, and soon: it goes into a short list near whose end it
/// belongs. Of the rest there may be thousands, deadlines that are moved before they come; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// The latest first.
    near: Vec<(Key, Due)>,
    /// What is due after all that is near.
    far: SharedMap<Key, Due>,
    next: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, due: Due) {
        let key = (at, self.next);
        self.next += 1;
        if self.is_far(key) {
            self.far.insert(key, due);
            return;
        }
        if self.near.len() == NEAR {
            self.far.extend(self.near.drain(..NEAR / 2));
            if self.is_far(key) {
                self.far.insert(key, due);
                return;
            }
        }
        let later = self.near.iter().rposition(|it| it.0 > key);
        self.near.insert(later.map_or(0, |it| it + 1), (key, due));
    }

    fn is_far(&self, key: Key) -> bool {
        self.far.first_key_value().is_some_and(|it| *it.0 < key)
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        let first = self.near.last().map(|it| it.0).or_else(|| Some(*self.far.first_key_value()?.0));
        first.map(|it| it.0)
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, Due)> {
        if self.near.is_empty() {
            while self.near.len() < NEAR / 2
                && let Some(entry) = self.far.pop_first()
            {
                self.near.push(entry);
            }
            self.near.reverse();
        }
        self.near.pop().map(|(key, due)| (key.0, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_ties_keep_their_order() {
        let mut queue = Queue::default();
        for (at, pid) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.push(Instant(at), Due::Wake(Pid(pid), 0));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let expected = [(3, 1), (3, 3), (5, 0), (5, 2)].map(|(at, pid)| (Instant(at), Due::Wake(Pid(pid), 0)));
        assert_eq!(order, expected);
    }

    #[test]
    fn any_number_comes_in_order_whatever_comes_between() {
        let mut queue = Queue::default();
        let mut random = crate::random::Random::stream(1, crate::random::Purpose::Load, 0);
        let (mut model, mut said, mut clock) = (ordered::Set::new(), 0_u64, 0);
        for round in 0..5_000 {
            // More and more of it, then less and less, often for one moment.
            for _ in 0..if round < 2_500 { random.below(5) } else { random.below(2) } {
                let within = if random.below(4) == 0 { 10_000 } else { 20 };
                let at = clock + random.below(within);
                queue.push(Instant(at), Due::Disk(Pid(0), 0, said as u32));
                model.insert((at, said));
                said += 1;
            }
            let first = model.pop_first();
            assert_eq!(queue.next_at(), first.map(|it| Instant(it.0)));
            assert_eq!(queue.pop(), first.map(|(at, number)| (Instant(at), Due::Disk(Pid(0), 0, number as u32))));
            clock = first.map_or(clock, |it| it.0);
        }
        assert!(said > 4_000 && model.len() > NEAR, "{said} {}", model.len());
    }
}
