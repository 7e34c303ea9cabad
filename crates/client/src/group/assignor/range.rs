//! Ranges: each topic is cut into one range a member, the first members get one more.

use ordered::Map;
use protocol::Str;

use super::{Assignment, Subscription, in_order, partition};

pub(super) fn assign(topics: &Map<Str, i32>, members: &Map<Str, Subscription>) -> Assignment {
    let mut assignment: Assignment = members.keys().map(|id| (id.clone(), Vec::new())).collect();
    let order = in_order(members);
    for (topic, count) in topics {
        let takers: Vec<&Str> = order.iter().copied().filter(|id| members[*id].topics.contains(topic)).collect();
        let Ok(takers_count) = i32::try_from(takers.len()) else { continue };
        if takers_count == 0 {
            continue;
        }
        let (each, more) = (count / takers_count, count % takers_count);
        let mut next = 0;
        for (index, taker) in (0..).zip(takers) {
            let end = next + each + i32::from(index < more);
            if let Some(partitions) = assignment.get_mut(taker) {
                partitions.extend((next..end).map(|it| partition(topic, it)));
            }
            next = end;
        }
    }
    assignment
}
