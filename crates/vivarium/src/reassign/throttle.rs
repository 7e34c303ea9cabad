//! Which replicas and brokers a reassignment throttles while it moves partitions.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Str, TopicPartition};

use super::cluster::Ongoing;
use super::plan::Assignment;

/// Where a partition's records are copied from and to.
#[derive(Debug, Default, PartialEq)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

/// What is moving, and what is about to.
pub(super) struct Moves(BTreeMap<TopicPartition, Move>);

impl Moves {
    /// A partition that moves already keeps its sources; what is proposed for it replaces where it goes.
    pub(super) fn new(
        ongoing: &BTreeMap<TopicPartition, Ongoing>,
        proposed: &Assignment,
        current: &Assignment,
    ) -> Moves {
        let mut moves = BTreeMap::new();
        for (partition, it) in ongoing {
            let destinations: BTreeSet<i32> = it.adding.iter().copied().collect();
            let sources = it.replicas.iter().copied().filter(|broker| !destinations.contains(broker)).collect();
            moves.insert(partition.clone(), Move { sources, destinations });
        }
        for (partition, replicas) in proposed {
            let it: &mut Move = moves.entry(partition.clone()).or_insert_with(|| {
                let sources = current.get(partition).into_iter().flatten().copied().collect();
                Move { sources, destinations: BTreeSet::new() }
            });
            it.destinations = replicas.iter().copied().filter(|broker| !it.sources.contains(broker)).collect();
        }
        Moves(moves)
    }

    /// Each topic's `leader.replication.throttled.replicas` and `follower.replication.throttled.replicas`, as
    /// `partition:broker` in the order of their letters.
    pub(super) fn throttled_replicas(&self) -> BTreeMap<Str, (String, String)> {
        let mut topics: BTreeMap<Str, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for (partition, it) in &self.0 {
            let (leaders, followers) = topics.entry(partition.topic.clone()).or_default();
            let named = |broker: &i32| format!("{}:{broker}", partition.partition);
            leaders.extend(it.sources.iter().map(named));
            followers.extend(it.destinations.iter().map(named));
        }
        let list = |it: BTreeSet<String>| it.into_iter().collect::<Vec<_>>().join(",");
        topics.into_iter().map(|(topic, (leaders, followers))| (topic, (list(leaders), list(followers)))).collect()
    }

    /// The brokers that copy from or to somewhere.
    pub(super) fn brokers(&self) -> BTreeSet<i32> {
        self.0.values().flat_map(|it| it.sources.union(&it.destinations)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: Str::from_static("t"), partition: number }
    }

    #[test]
    fn what_moves_already_keeps_its_sources() {
        let two = Ongoing { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        let ongoing: BTreeMap<_, _> = [(partition(0), two.clone()), (partition(7), two)].into();
        let proposed: Assignment = [(partition(0), vec![4, 2]), (partition(10), vec![5, 1])].into();
        let current: Assignment = [(partition(0), vec![1, 2, 3]), (partition(10), vec![1])].into();
        let moves = Moves::new(&ongoing, &proposed, &current);
        let throttled = moves.throttled_replicas();
        let expected = ("0:1,0:2,10:1,7:1,7:2".to_owned(), "0:4,10:5,7:3".to_owned());
        assert_eq!(throttled, [(Str::from_static("t"), expected)].into());
        assert_eq!(moves.brokers(), [1, 2, 3, 4, 5].into());
    }
}
