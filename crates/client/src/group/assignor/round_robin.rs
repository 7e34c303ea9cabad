//! Round robin: all partitions in order, dealt out in turn to whoever subscribed to their topic.

use ordered::Map;
use protocol::Str;

use super::{Assignment, Subscription, in_order, partition};

pub(super) fn assign(topics: &Map<Str, i32>, members: &Map<Str, Subscription>) -> Assignment {
    let mut assignment: Assignment = members.keys().map(|id| (id.clone(), Vec::new())).collect();
    let order = in_order(members);
    let mut turn = 0;
    for (topic, count) in topics {
        if !members.values().any(|it| it.topics.contains(topic)) {
            continue;
        }
        for number in 0..*count {
            while !members[order[turn % order.len()]].topics.contains(topic) {
                turn += 1;
            }
            if let Some(partitions) = assignment.get_mut(order[turn % order.len()]) {
                partitions.push(partition(topic, number));
            }
            turn += 1;
        }
    }
    assignment
}
