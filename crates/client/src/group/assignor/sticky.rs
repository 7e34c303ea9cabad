//! Sticky: as even as can be, and everyone keeps what it had if that allows it (KIP-54, KIP-429, KIP-792).
//!
//! Members that subscribe alike are the usual case and need no search; [`general`](super::general) is for the others.

use ordered::{Map, Set};
use std::collections::VecDeque;

use protocol::{Str, TopicPartition};

use super::{Assignment, Subscription, UserData, general, partition};

/// What has an owner and gets another one.
pub(super) type Moving = Vec<(TopicPartition, Str)>;

/// What each member had that counts, and what several claim.
struct Before {
    owned: Assignment,
    claimed_twice: Set<TopicPartition>,
    max_generation: i32,
    alike: bool,
}

pub(super) fn assign(
    topics: &Map<Str, i32>,
    members: &Map<Str, Subscription>,
    user_data: UserData,
) -> (Assignment, Moving) {
    // Kafka is handed the topics that somebody subscribed to.
    let subscribed = |topic: &Str| members.values().any(|it| it.topics.contains(topic));
    let topics: Map<Str, i32> =
        topics.iter().filter(|(topic, _)| subscribed(topic)).map(|(topic, count)| (topic.clone(), *count)).collect();
    let before = before(&topics, members, user_data);
    if before.alike {
        return constrained(&topics, before);
    }
    let assignment = general::assign(&topics, members, before.owned, before.max_generation, user_data);
    let moving = moving(members, &assignment);
    (assignment, moving)
}

fn before(topics: &Map<Str, i32>, members: &Map<Str, Subscription>, user_data: UserData) -> Before {
    let mut before = Before { owned: Map::new(), claimed_twice: Set::new(), max_generation: -1, alike: true };
    let mut owners: Map<TopicPartition, (Str, i32)> = Map::new();
    let first = members.values().next().map(|it| &it.topics);
    for (id, member) in members {
        before.alike &= Some(&member.topics) == first;
        let (had, generation) = member.had(user_data);
        let generation = generation.unwrap_or(-1);
        before.max_generation = before.max_generation.max(generation);
        before.owned.insert(id.clone(), Vec::new());
        for partition in had {
            if !topics.contains_key(&partition.topic) {
                continue;
            }
            if let Some((other, other_generation)) = owners.get(&partition) {
                // The older claim is void; of two of one generation both are.
                if generation < *other_generation {
                    continue;
                }
                let others = before.owned.get_mut(other);
                others.into_iter().for_each(|it| it.retain(|it| *it != partition));
                if generation == *other_generation {
                    before.claimed_twice.insert(partition.clone());
                    owners.insert(partition, (id.clone(), generation));
                    continue;
                }
            }
            owners.insert(partition.clone(), (id.clone(), generation));
            before.owned.entry(id.clone()).or_default().push(partition);
        }
    }
    before
}

/// Everyone subscribed alike: quotas are filled with what was there before, then with what is left.
fn constrained(topics: &Map<Str, i32>, before: Before) -> (Assignment, Moving) {
    let total: usize = topics.values().map(|it| usize::try_from(*it).unwrap_or(0)).sum();
    let members = before.owned.len().max(1);
    let (min, max) = (total / members, total.div_ceil(members));
    let over_expected = total % members;
    let mut over = 0;
    let mut assignment: Assignment = Map::new();
    let mut revoked: Map<TopicPartition, Str> = Map::new();
    let mut taken: Set<TopicPartition> = Set::new();
    let (mut under_min, mut at_min): (Vec<Str>, VecDeque<Str>) = (Vec::new(), VecDeque::new());
    for (id, owned) in before.owned {
        let mut owned: Vec<TopicPartition> =
            owned.into_iter().filter(|it| !before.claimed_twice.contains(it) && exists(topics, it)).collect();
        ordered::sort_by(&mut owned, |a, b| (a.partition, &a.topic).cmp(&(b.partition, &b.topic)));
        let keep = if owned.len() < min {
            under_min.push(id.clone());
            owned.len()
        } else if owned.len() >= max && over < over_expected {
            over += 1;
            if over == over_expected {
                at_min.clear();
            }
            max
        } else {
            if over < over_expected {
                at_min.push_back(id.clone());
            }
            min
        };
        for it in owned.split_off(keep) {
            revoked.insert(it, id.clone());
        }
        owned.iter().for_each(|it| {
            taken.insert(it.clone());
        });
        assignment.insert(id, owned);
    }
    let mut moving = Vec::new();
    let mut next = 0;
    for (topic, count) in topics {
        for number in 0..*count {
            let free = partition(topic, number);
            if taken.contains(&free) {
                continue;
            }
            if next >= under_min.len() {
                next = 0;
            }
            let taker = match under_min.get(next) {
                Some(id) => id.clone(),
                None => match at_min.pop_front() {
                    Some(id) => id,
                    // The quotas add up to all partitions, so somebody has room.
                    None => continue,
                },
            };
            if revoked.get(&free).is_some_and(|it| *it != taker) || before.claimed_twice.contains(&free) {
                moving.push((free.clone(), taker.clone()));
            }
            let partitions = assignment.entry(taker.clone()).or_default();
            partitions.push(free);
            if partitions.len() == min && next < under_min.len() {
                under_min.remove(next);
                at_min.push_back(taker);
            } else {
                next += 1;
            }
        }
    }
    (assignment, moving)
}

fn exists(topics: &Map<Str, i32>, partition: &TopicPartition) -> bool {
    topics.get(&partition.topic).is_some_and(|count| partition.partition < *count)
}

/// What is added to one member and taken from another.
fn moving(members: &Map<Str, Subscription>, assignment: &Assignment) -> Moving {
    let mut added = Vec::new();
    let mut revoked: Set<TopicPartition> = Set::new();
    for (id, assigned) in assignment {
        let owned: Set<TopicPartition> = members[id].owned.iter().cloned().collect();
        let now: Set<TopicPartition> = assigned.iter().cloned().collect();
        added.extend(now.iter().filter(|it| !owned.contains(it)).map(|it| (it.clone(), id.clone())));
        for it in owned.iter().filter(|it| !now.contains(it)) {
            revoked.insert(it.clone());
        }
    }
    added.retain(|(it, _)| revoked.contains(it));
    added
}
