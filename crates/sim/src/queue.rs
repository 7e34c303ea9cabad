//! What is due, in order of time and then of having been said.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Instant,
    order: u64,
    due: Due,
}

impl Ord for Entry {
    // The heap gives its greatest entry first.
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All that is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Instant, due: Due) {
        self.heap.push(Entry { at, order: self.next, due });
        self.next += 1;
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, Due)> {
        self.heap.pop().map(|entry| (entry.at, entry.due))
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
}
