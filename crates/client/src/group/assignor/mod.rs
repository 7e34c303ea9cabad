//! How the leader of a generation shares partitions out: Kafka's assignors, partition by partition as in Java.
//!
//! Gap: `client.rack` is told to the group and not looked at.

mod general;
mod range;
mod round_robin;
mod sticky;
mod subscription;

use ordered::Map;
use protocol::{Str, TopicPartition};

pub(super) use subscription::{Subscription, UserData, assignment_bytes, read_assignment};

/// A rule by which partitions are shared out (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Each topic cut into ranges, one a member.
    Range,
    /// All partitions dealt out in turn.
    RoundRobin,
    /// As even as can be, and everyone keeps what it had if that allows it.
    Sticky,
    /// The same, and what moves is given up in one rebalance and taken in the next (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Assignor; 4] =
        [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky];

    /// As the group knows it.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// By that name, or by the Java class's.
    pub(crate) fn named(name: &str) -> Option<Assignor> {
        let class = name.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(name);
        Some(match class {
            "range" | "RangeAssignor" => Assignor::Range,
            "roundrobin" | "RoundRobinAssignor" => Assignor::RoundRobin,
            "sticky" | "StickyAssignor" => Assignor::Sticky,
            "cooperative-sticky" | "CooperativeStickyAssignor" => Assignor::CooperativeSticky,
            _ => return None,
        })
    }
}

/// What each member gets, by member id, in the order in which it was dealt.
pub(super) type Assignment = Map<Str, Vec<TopicPartition>>;

/// Shares the partitions of topics (how many each has) out among members.
pub(super) fn assign(assignor: Assignor, topics: &Map<Str, i32>, members: &Map<Str, Subscription>) -> Assignment {
    match assignor {
        Assignor::Range => range::assign(topics, members),
        Assignor::RoundRobin => round_robin::assign(topics, members),
        Assignor::Sticky => sticky::assign(topics, members, UserData::Sticky).0,
        Assignor::CooperativeSticky => {
            let (mut assignment, moving) = sticky::assign(topics, members, UserData::Cooperative);
            // Whoever has it must give it up first; the next rebalance gives it away.
            for (partition, taker) in moving {
                if let Some(partitions) = assignment.get_mut(&taker) {
                    partitions.retain(|it| *it != partition);
                }
            }
            assignment
        }
    }
}

/// Members in Kafka's order: static ones first, by instance id; the rest by member id.
fn in_order(members: &Map<Str, Subscription>) -> Vec<&Str> {
    let mut order: Vec<(bool, &Str, &Str)> =
        members.iter().map(|(id, it)| (it.instance.is_none(), it.instance.as_ref().unwrap_or(id), id)).collect();
    ordered::sort(&mut order);
    order.into_iter().map(|(.., id)| id).collect()
}

fn partition(topic: &Str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.clone(), partition }
}

#[cfg(test)]
mod tests;
