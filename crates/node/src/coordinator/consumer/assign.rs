//! Who is to have which partition: `uniform` and `range`, as Apache Kafka's server-side assignors divide them. Both are pure:
//! the same members, subscriptions and old assignments give the same partitions.

use std::sync::Arc;

use ordered::Map;
use protocol::{Str, Uuid};

use crate::partition::PartitionKey;

/// An assignor that members can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Each member gets as many partitions as any other, and keeps what it has where that is possible.
    Uniform,
    /// Of each topic, each member gets a range.
    Range,
}

/// How often the partitions of all topics are looked at to make them more even.
const MOST_ROUNDS: usize = 16;

impl Assignor {
    /// By the name that members know it by.
    pub fn named(name: &str) -> Option<Assignor> {
        match name {
            "uniform" => Some(Assignor::Uniform),
            "range" => Some(Assignor::Range),
            _ => None,
        }
    }

    /// The name that members know it by.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }
}

/// A member, as an assignor sees it. Members come in order of their ids.
pub(super) struct Subscriber<'a> {
    pub(super) id: &'a Str,
    pub(super) instance: Option<&'a Str>,
    /// What it is subscribed to and is there, in order.
    pub(super) topics: Arc<Vec<Uuid>>,
    /// What it was to have until now, in order.
    pub(super) target: &'a [PartitionKey],
}

/// What each member is to have, in order.
pub(super) fn assign(
    assignor: Assignor,
    members: &[Subscriber<'_>],
    partitions: &Map<Uuid, i32>,
) -> Vec<Vec<PartitionKey>> {
    let mut assigned = match assignor {
        Assignor::Range => range(members, partitions),
        Assignor::Uniform if members.windows(2).all(|it| it[0].topics == it[1].topics) => even(members, partitions),
        Assignor::Uniform => Uneven::of(members, partitions).build(),
    };
    assigned.iter_mut().for_each(|it| ordered::sort(it));
    assigned
}

fn count(partitions: &Map<Uuid, i32>, topic: &Uuid) -> i32 {
    partitions.get(topic).copied().unwrap_or_default()
}

/// Of each topic a range for each of its subscribers, static members first.
fn range(members: &[Subscriber<'_>], partitions: &Map<Uuid, i32>) -> Vec<Vec<PartitionKey>> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    // `None` is less than any name, and is to be behind all of them.
    ordered::sort_by_key(&mut order, |it| {
        let member = &members[*it];
        (member.instance.is_none(), member.instance.unwrap_or(member.id))
    });
    let mut subscribers: Map<Uuid, Vec<usize>> = Map::new();
    for index in order {
        for topic in members[index].topics.iter() {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    let mut assigned = vec![Vec::new(); members.len()];
    for (topic_id, subscribers) in subscribers.iter() {
        let (count, among) = (count(partitions, topic_id), subscribers.len() as i32);
        let (each, mut extra, mut next) = (count / among, count % among, 0);
        for index in subscribers {
            let end = next + each + i32::from(extra > 0);
            extra = (extra - 1).max(0);
            assigned[*index].extend((next..end).map(|partition| PartitionKey { topic_id: *topic_id, partition }));
            next = end;
        }
    }
    assigned
}

/// All are subscribed to the same topics: each keeps what it has up to its share, and what is left fills up the others.
fn even(members: &[Subscriber<'_>], partitions: &Map<Uuid, i32>) -> Vec<Vec<PartitionKey>> {
    let mut assigned = Vec::with_capacity(members.len());
    let Some(first) = members.first() else { return assigned };
    let topics = &*first.topics;
    let total: i32 = topics.iter().map(|it| count(partitions, it)).sum();
    let among = members.len() as i32;
    let (each, mut extra) = (total / among, total % among);
    let (mut free, is_sound) = unowned(members, topics, partitions);
    let mut unfilled = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let mut quota = each + i32::from(extra > 0);
        let mut takes_extra = extra > 0;
        let mut kept = Vec::new();
        for key in member.target.iter().filter(|_| is_sound) {
            let is_there = topics.binary_search(&key.topic_id).is_ok();
            if is_there && quota > 0 {
                quota -= 1;
                kept.push(*key);
            } else if is_there {
                free.push(*key);
            }
        }
        // One more than its share is for who has it already, as long as there are enough that have not.
        if quota > 0 && takes_extra && members.len() as i32 - index as i32 > extra {
            quota -= 1;
            takes_extra = false;
        }
        if quota > 0 {
            unfilled.push((index, quota));
        }
        extra -= i32::from(takes_extra);
        assigned.push(kept);
    }
    let mut free = free.into_iter();
    for (index, quota) in unfilled {
        assigned[index].extend(free.by_ref().take(quota as usize));
    }
    debug_assert!(free.next().is_none(), "the shares add up to all partitions");
    assigned
}

/// The partitions of these topics that nobody was to have. If two were to have the same one, as only a damaged log says, then
/// nobody was to have any, and that is told.
fn unowned(members: &[Subscriber<'_>], topics: &[Uuid], partitions: &Map<Uuid, i32>) -> (Vec<PartitionKey>, bool) {
    let mut owned: Vec<PartitionKey> = members.iter().flat_map(|it| it.target.iter().copied()).collect();
    ordered::sort(&mut owned);
    let is_sound = owned.windows(2).all(|it| it[0] != it[1]);
    if !is_sound {
        owned.clear();
    }
    let mut free = Vec::new();
    let mut next = owned.iter().peekable();
    for topic_id in topics {
        for partition in 0..count(partitions, topic_id) {
            let key = PartitionKey { topic_id: *topic_id, partition };
            while next.next_if(|it| **it < key).is_some() {}
            if next.peek() != Some(&&key) {
                free.push(key);
            }
        }
    }
    (free, is_sound)
}

/// Members are subscribed to different topics: what is free goes to who has least, topic by topic, and then partitions go from
/// who has most to who has least until nothing gets better.
struct Uneven<'a> {
    partitions: &'a Map<Uuid, i32>,
    subscribers: Map<Uuid, Vec<usize>>,
    /// Of each partition its owner.
    owners: Map<Uuid, Vec<Option<usize>>>,
    /// How many partitions each member has.
    sizes: Vec<i32>,
}

impl<'a> Uneven<'a> {
    fn of(members: &[Subscriber<'_>], partitions: &'a Map<Uuid, i32>) -> Uneven<'a> {
        let mut it = Uneven { partitions, subscribers: Map::new(), owners: Map::new(), sizes: vec![0; members.len()] };
        for (index, member) in members.iter().enumerate() {
            for topic in member.topics.iter() {
                it.subscribers.entry(*topic).or_default().push(index);
                it.owners.entry(*topic).or_insert_with(|| vec![None; count(partitions, topic).max(0) as usize]);
            }
        }
        for (index, member) in members.iter().enumerate() {
            for key in member.target {
                if member.topics.binary_search(&key.topic_id).is_ok() {
                    it.give(&key.topic_id, key.partition as usize, index);
                }
            }
        }
        it
    }

    fn give(&mut self, topic: &Uuid, partition: usize, to: usize) {
        let Some(owner) = self.owners.get_mut(topic).and_then(|it| it.get_mut(partition)) else { return };
        if let Some(before) = owner.replace(to) {
            self.sizes[before] -= 1;
        }
        self.sizes[to] += 1;
    }

    /// Most partitions for each subscriber first.
    fn in_order(&self, keep: impl Fn(&Uuid, &[usize]) -> bool) -> Vec<Uuid> {
        let kept = self.subscribers.iter().filter(|(id, among)| keep(id, among));
        let mut topics: Vec<(Uuid, i64, i64)> =
            kept.map(|(id, among)| (*id, i64::from(count(self.partitions, id)), among.len() as i64)).collect();
        // Fractions are compared by what they would be over the same denominator.
        ordered::sort_by(&mut topics, |one, other| {
            let share = (other.1 * one.2).cmp(&(one.1 * other.2));
            share.then(one.2.cmp(&other.2)).then(one.0.cmp(&other.0))
        });
        topics.into_iter().map(|(id, ..)| id).collect()
    }

    fn build(mut self) -> Vec<Vec<PartitionKey>> {
        for topic in self.in_order(|_, _| true) {
            let mut least = Balance::of(&self.subscribers[&topic], &self.sizes);
            for partition in 0..self.owners[&topic].len() {
                if self.owners[&topic][partition].is_none() {
                    let to = least.next_least(&self.sizes);
                    self.give(&topic, partition, to);
                }
            }
        }
        let topics = self.in_order(|_, among| among.len() >= 2);
        let mut last = None;
        'rounds: for _ in 0..MOST_ROUNDS {
            for (index, topic) in topics.iter().enumerate() {
                if last == Some(index) {
                    break 'rounds;
                }
                if self.balance(topic) || last.is_none() {
                    last = Some(index);
                }
            }
        }
        let mut assigned = vec![Vec::new(); self.sizes.len()];
        for (topic_id, owners) in self.owners.iter() {
            for (partition, owner) in owners.iter().enumerate() {
                if let Some(owner) = owner {
                    assigned[*owner].push(PartitionKey { topic_id: *topic_id, partition: partition as i32 });
                }
            }
        }
        assigned
    }

    /// Makes one topic's subscribers more even with its partitions; true if any has moved.
    fn balance(&mut self, topic: &Uuid) -> bool {
        let mut balance = Balance::of(&self.subscribers[topic], &self.sizes);
        if balance.spread(&self.sizes) <= 1 {
            return false;
        }
        // The partitions of each member, of which the last ones go first.
        let mut owned: Map<usize, Vec<usize>> = Map::new();
        for (partition, owner) in self.owners[topic].iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let mut has_moved = false;
        while !balance.is_even() {
            let taken = loop {
                match balance.next_most(&self.sizes) {
                    None => break None,
                    Some(from) => match owned.get_mut(&from).and_then(Vec::pop) {
                        Some(partition) => break Some(partition),
                        None => balance.exclude_most(),
                    },
                }
            };
            let Some(partition) = taken else { break };
            let to = balance.next_least(&self.sizes);
            if balance.is_even() {
                break;
            }
            self.give(topic, partition, to);
            has_moved = true;
        }
        has_moved
    }
}

/// Members in order of how much they have, from both ends: those who have least grow together, and those who have most shrink.
struct Balance {
    order: Vec<usize>,
    least: i32,
    least_end: usize,
    next_least: usize,
    most: i32,
    most_start: usize,
    most_end: usize,
    /// One behind who is next; 0 if nobody is.
    next_most: usize,
}

impl Balance {
    fn of(members: &[usize], sizes: &[i32]) -> Balance {
        let mut order = members.to_vec();
        ordered::sort_by_key(&mut order, |it| (sizes[*it], *it));
        let count = order.len();
        Balance {
            least: sizes[order[0]] - 1,
            least_end: 0,
            next_least: 0,
            most: sizes[order[count - 1]] + 1,
            most_start: count,
            most_end: count,
            next_most: count,
            order,
        }
    }

    fn spread(&self, sizes: &[i32]) -> i32 {
        sizes[self.order[self.order.len() - 1]] - sizes[self.order[0]]
    }

    fn is_even(&self) -> bool {
        self.most - self.least <= 1
    }

    /// The next who gets one.
    fn next_least(&mut self, sizes: &[i32]) -> usize {
        if self.next_least >= self.least_end {
            self.least += 1;
            while self.least_end < self.order.len() && sizes[self.order[self.least_end]] == self.least {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        self.next_least += 1;
        self.order[self.next_least - 1]
    }

    /// The next who gives one.
    fn next_most(&mut self, sizes: &[i32]) -> Option<usize> {
        if self.next_most <= self.most_start {
            self.most = match self.most_end <= self.most_start && self.most_start > 0 {
                true => sizes[self.order[self.most_start - 1]],
                false => self.most - 1,
            };
            while self.most_start > 0 && sizes[self.order[self.most_start - 1]] == self.most {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        self.next_most = self.next_most.checked_sub(1)?;
        Some(self.order[self.next_most])
    }

    /// Who was just named has none of this topic.
    fn exclude_most(&mut self) {
        self.most_end -= 1;
        self.order.swap(self.next_most, self.most_end);
    }
}
