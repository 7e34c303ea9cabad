//! The sticky assignor where members subscribe to different topics: what is free goes to whoever has least, then partitions move
//! from those with more to those with less until nothing is gained by it.

use ordered::{Map, Set};
use protocol::{Str, TopicPartition};

use super::{Assignment, Subscription, UserData, partition};

struct Balance<'a> {
    topics: &'a Map<Str, i32>,
    /// Topics that exist, by member.
    wanted: Map<Str, Vec<Str>>,
    /// Members, by topic.
    takers: Map<Str, Vec<Str>>,
    current: Assignment,
    owner: Map<TopicPartition, Str>,
    /// Who takes part: whoever cannot gain or lose anything does not.
    moving: Set<Str>,
    /// Who had a partition in an older generation than its owner's.
    before: Map<TopicPartition, (Str, i32)>,
    moves: Moves,
}

/// What has moved so far, so that partitions of a topic do not change places between the same two.
#[derive(Default)]
struct Moves {
    of: Map<TopicPartition, (Str, Str)>,
    /// By topic, and by from whom to whom.
    pairs: Map<(Str, Str, Str), Set<TopicPartition>>,
}

impl Moves {
    fn forget(&mut self, partition: &TopicPartition) -> Option<(Str, Str)> {
        let (from, to) = self.of.remove(partition)?;
        let key = (partition.topic.clone(), from.clone(), to.clone());
        if let Some(set) = self.pairs.get_mut(&key) {
            set.remove(partition);
            if set.is_empty() {
                self.pairs.remove(&key);
            }
        }
        Some((from, to))
    }

    fn add(&mut self, partition: &TopicPartition, from: Str, to: Str) {
        // Back where it was, it has not moved.
        let from = self.forget(partition).map_or(from, |(first, _)| first);
        if from != to {
            self.of.insert(partition.clone(), (from.clone(), to.clone()));
            self.pairs.entry((partition.topic.clone(), from, to)).or_default().insert(partition.clone());
        }
    }

    /// A partition that came the other way goes back instead.
    fn instead_of(&self, partition: &TopicPartition, from: &Str, to: &Str) -> TopicPartition {
        let from = self.of.get(partition).map_or(from, |(first, _)| first);
        let back = self.pairs.get(&(partition.topic.clone(), to.clone(), from.clone()));
        back.and_then(|it| it.iter().next()).unwrap_or(partition).clone()
    }
}

pub(super) fn assign(
    topics: &Map<Str, i32>,
    members: &Map<Str, Subscription>,
    owned: Assignment,
    max_generation: i32,
    user_data: UserData,
) -> Assignment {
    let mut takers: Map<Str, Vec<Str>> = topics.keys().map(|it| (it.clone(), Vec::new())).collect();
    let mut wanted: Map<Str, Vec<Str>> = Map::new();
    let mut before: Map<TopicPartition, (Str, i32)> = Map::new();
    for (id, member) in members {
        let known: Vec<Str> = member.topics.iter().filter(|it| topics.contains_key(*it)).cloned().collect();
        for topic in &known {
            takers.entry(topic.clone()).or_default().push(id.clone());
        }
        wanted.insert(id.clone(), known);
        let (had, generation) = member.had(user_data);
        let generation = generation.unwrap_or(-1);
        for partition in had.into_iter().filter(|_| generation < max_generation) {
            if before.get(&partition).is_none_or(|(_, other)| generation > *other) {
                before.insert(partition, (id.clone(), generation));
            }
        }
    }
    let mut current = owned;
    let mut owner = Map::new();
    let mut revoked = false;
    for (id, partitions) in &mut current {
        partitions.retain(|it| {
            let stays = members[id].topics.contains(&it.topic);
            revoked |= !stays;
            // Of a topic that shrank nothing is left to keep.
            stays && topics.get(&it.topic).is_some_and(|count| it.partition < *count)
        });
        for it in partitions.iter() {
            owner.insert(it.clone(), id.clone());
        }
    }
    let moving = current.keys().cloned().collect();
    let mut balance = Balance { topics, wanted, takers, current, owner, moving, before, moves: Moves::default() };
    balance.run(revoked);
    balance.current
}

impl Balance<'_> {
    fn run(&mut self, revoked: bool) {
        let begins = self.current.values().all(Vec::is_empty);
        let mut order: Vec<(usize, Str)> =
            self.takers.iter().map(|(topic, takers)| (takers.len(), topic.clone())).collect();
        ordered::sort(&mut order);
        let mut all: Vec<TopicPartition> = Vec::new();
        for (_, topic) in order {
            all.extend((0..self.topics[&topic]).map(|it| partition(&topic, it)));
        }
        let mut free: Vec<TopicPartition> = all.iter().filter(|it| !self.owner.contains_key(*it)).cloned().collect();
        for it in &free {
            if let Some(taker) = self.least(&it.topic) {
                self.give(it, taker);
            }
        }
        let takers = &self.takers;
        all.retain(|it| takers[&it.topic].len() >= 2);
        free.retain(|it| takers[&it.topic].len() >= 2);
        let fixed: Vec<Str> = self.current.keys().filter(|it| !self.can_change(it)).cloned().collect();
        for id in fixed {
            self.moving.remove(&id);
        }
        let saved = self.current.clone();
        if !revoked {
            self.even_out(&free);
        }
        if self.even_out(&all) && !begins && self.score(&self.current) >= self.score(&saved) {
            self.current = saved;
        }
    }

    fn held(&self, id: &Str) -> usize {
        self.current.get(id).map_or(0, Vec::len)
    }

    /// Who has least of those who subscribed to a topic.
    fn least(&self, topic: &Str) -> Option<Str> {
        let takers = self.takers[topic].iter().filter(|it| self.moving.contains(*it));
        takers.min_by_key(|it| (self.held(it), (*it).clone())).cloned()
    }

    fn give(&mut self, partition: &TopicPartition, taker: Str) {
        self.current.entry(taker.clone()).or_default().push(partition.clone());
        self.owner.insert(partition.clone(), taker);
    }

    fn most_for(&self, id: &Str) -> usize {
        self.wanted[id].iter().map(|it| usize::try_from(self.topics[it]).unwrap_or(0)).sum()
    }

    /// It could have more, or has what another could have.
    fn can_change(&self, id: &Str) -> bool {
        self.held(id) < self.most_for(id) || self.current[id].iter().any(|it| self.takers[&it.topic].len() >= 2)
    }

    fn is_even(&self) -> bool {
        let counts = self.moving.iter().map(|it| self.held(it));
        let (Some(low), Some(high)) = (counts.clone().min(), counts.max()) else { return true };
        if low + 1 >= high {
            return true;
        }
        // Nobody could have more without somebody else having less than that.
        self.moving.iter().all(|id| {
            let held = self.held(id);
            held == self.most_for(id)
                || self.wanted[id].iter().all(|topic| {
                    (0..self.topics[topic]).all(|index| {
                        let owner = self.owner.get(&partition(topic, index));
                        owner.is_none_or(|owner| owner == id || held + 1 >= self.held(owner))
                    })
                })
        })
    }

    /// True if something moved.
    fn even_out(&mut self, partitions: &[TopicPartition]) -> bool {
        let mut moved_any = false;
        loop {
            let mut moved = false;
            for partition in partitions {
                if self.is_even() {
                    break;
                }
                let Some(owner) = self.owner.get(partition).cloned() else { continue };
                let held = self.held(&owner);
                // Java's would give it back to whoever had it, even if that member does not read the topic any more.
                let takers = &self.takers[&partition.topic];
                let old = self.before.get(partition).map(|it| &it.0).filter(|it| takers.contains(it)).cloned();
                let taker = match old.filter(|it| held > self.held(it) + 1) {
                    Some(old) => Some(old),
                    None => {
                        let helps = takers.iter().any(|it| held > self.held(it) + 1);
                        helps.then(|| self.least(&partition.topic)).flatten()
                    }
                };
                if let Some(taker) = taker {
                    self.hand_over(partition, &owner, &taker);
                    (moved, moved_any) = (true, true);
                }
            }
            if !moved {
                return moved_any;
            }
        }
    }

    fn hand_over(&mut self, partition: &TopicPartition, from: &Str, to: &Str) {
        let partition = self.moves.instead_of(partition, from, to);
        let Some(from) = self.owner.get(&partition).cloned() else { return };
        self.moves.add(&partition, from.clone(), to.clone());
        if let Some(partitions) = self.current.get_mut(&from) {
            partitions.retain(|it| *it != partition);
        }
        self.give(&partition, to.clone());
    }

    /// How far apart members are, each pair once.
    fn score(&self, assignment: &Assignment) -> usize {
        let counts: Vec<usize> =
            assignment.iter().filter(|(id, _)| self.moving.contains(*id)).map(|(_, it)| it.len()).collect();
        let pairs = counts.iter().enumerate();
        pairs.map(|(index, a)| counts[index + 1..].iter().map(|b| a.abs_diff(*b)).sum::<usize>()).sum()
    }
}
