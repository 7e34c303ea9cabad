//! Assignors: each partition has one owner, shares are even, and nobody gives up more than has to be.

use std::sync::Arc;

use ordered::{Map, Set};
use protocol::messages::{ConsumerGroupMemberMetadataValue, PartitionRecord, TopicRecord};
use protocol::random::Random;
use protocol::{MetadataRecord, Offset, Str, Uuid};

use super::assign::{Assignor, Subscriber, assign};
use super::hash::metadata_hash;
use super::{ConsumerChange, ConsumerGroup, ConsumerMember};
use crate::image::Image;
use crate::partition::PartitionKey;

struct Member {
    id: Str,
    instance: Option<Str>,
    topics: Arc<Vec<Uuid>>,
    target: Vec<PartitionKey>,
}

fn topic(number: usize) -> Uuid {
    Uuid([number as u8 + 1; 16])
}

fn member(number: usize, topics: &[usize]) -> Member {
    let topics = topics.iter().map(|it| topic(*it)).collect();
    Member { id: Str::from(format!("m{number:04}")), instance: None, topics: Arc::new(topics), target: Vec::new() }
}

fn counts(partitions: &[i32]) -> Map<Uuid, i32> {
    partitions.iter().enumerate().map(|(index, count)| (topic(index), *count)).collect()
}

fn run(assignor: Assignor, members: &mut [Member], partitions: &Map<Uuid, i32>) {
    let subscribers: Vec<Subscriber<'_>> = members
        .iter()
        .map(|it| Subscriber {
            id: &it.id,
            instance: it.instance.as_ref(),
            topics: Arc::clone(&it.topics),
            target: &it.target,
        })
        .collect();
    let assigned = assign(assignor, &subscribers, partitions);
    for (member, assigned) in members.iter_mut().zip(assigned) {
        member.target = assigned;
    }
}

/// Every partition that anybody wants has one owner, who wants it.
fn check(members: &[Member], partitions: &Map<Uuid, i32>) {
    let mut owned = Set::new();
    for member in members {
        for key in &member.target {
            assert!(member.topics.contains(&key.topic_id), "{} is not subscribed to {key:?}", member.id);
            assert!(owned.insert(*key), "{key:?} has two owners");
        }
    }
    let wanted: Set<Uuid> = members.iter().flat_map(|it| it.topics.iter().copied()).collect();
    let all: i32 = wanted.iter().map(|it| partitions.get(it).copied().unwrap_or_default()).sum();
    assert_eq!(owned.len() as i32, all);
}

fn sizes(members: &[Member]) -> Vec<usize> {
    members.iter().map(|it| it.target.len()).collect()
}

#[test]
fn uniform_is_even_and_moves_no_more_than_it_must() {
    let partitions = counts(&[7, 4, 2]);
    let mut members: Vec<Member> = (0..4).map(|it| member(it, &[0, 1, 2])).collect();
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    // Who has nothing yet gets one more only where there is no choice.
    assert_eq!(sizes(&members), [3, 3, 3, 4]);
    // Somebody comes: each gives up only what is above its share.
    let before: Vec<Vec<PartitionKey>> = members.iter().map(|it| it.target.clone()).collect();
    members.push(member(4, &[0, 1, 2]));
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    assert_eq!(sizes(&members), [3, 3, 3, 2, 2]);
    for (member, before) in members.iter().zip(&before) {
        assert!(member.target.iter().all(|it| before.contains(it)), "{} has got something", member.id);
    }
    // Somebody goes: the others keep what they have.
    members.remove(1);
    let before: Vec<Vec<PartitionKey>> = members.iter().map(|it| it.target.clone()).collect();
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    for (member, before) in members.iter().zip(&before) {
        assert!(before.iter().all(|it| member.target.contains(it)), "{} has lost something", member.id);
    }
}

#[test]
fn uniform_evens_out_different_subscriptions() {
    let partitions = counts(&[12, 3, 6]);
    let mut members = vec![member(0, &[0]), member(1, &[0, 1]), member(2, &[1, 2]), member(3, &[2])];
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    assert_eq!(sizes(&members), [6, 6, 5, 4]);
    // The same again moves nothing.
    let before: Vec<Vec<PartitionKey>> = members.iter().map(|it| it.target.clone()).collect();
    run(Assignor::Uniform, &mut members, &partitions);
    assert_eq!(members.iter().map(|it| it.target.clone()).collect::<Vec<_>>(), before);
    members[0].topics = Arc::new(vec![topic(0), topic(1), topic(2)]);
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    assert!(sizes(&members).iter().all(|it| (4..=6).contains(it)), "{:?}", sizes(&members));
}

#[test]
fn range_gives_each_a_stretch_of_each_topic_static_members_first() {
    let partitions = counts(&[5, 2]);
    let mut members: Vec<Member> = (0..3).map(|it| member(it, &[0, 1])).collect();
    members[2].instance = Some("i".into());
    run(Assignor::Range, &mut members, &partitions);
    check(&members, &partitions);
    let of = |member: &Member, number: usize| -> Vec<i32> {
        member.target.iter().filter(|it| it.topic_id == topic(number)).map(|it| it.partition).collect()
    };
    assert_eq!([of(&members[2], 0), of(&members[0], 0), of(&members[1], 0)], [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!([of(&members[2], 1), of(&members[0], 1), of(&members[1], 1)], [vec![0], vec![1], vec![]]);
}

#[test]
fn whatever_comes_and_goes_each_partition_has_one_owner() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut partitions: Vec<i32> = (0..5).map(|_| random.below(12) as i32).collect();
        let mut members: Vec<Member> = Vec::new();
        for step in 0..20 {
            match random.below(5) {
                0 if !members.is_empty() => {
                    let at = random.below(members.len() as u64) as usize;
                    members.remove(at);
                }
                1 => partitions[random.below(5) as usize] += random.below(4) as i32,
                _ => {
                    let topics: Vec<usize> = (0..5).filter(|_| random.below(3) > 0).collect();
                    members.push(member(step, &topics));
                }
            }
            let counts = counts(&partitions);
            let assignor = if random.below(4) == 0 { Assignor::Range } else { Assignor::Uniform };
            run(assignor, &mut members, &counts);
            check(&members, &counts);
        }
    }
}

/// A log may say that two members were to have the same partition, or one that is not there.
#[test]
fn a_damaged_target_is_mended() {
    let partitions = counts(&[4]);
    let mut members = vec![member(0, &[0]), member(1, &[0])];
    let key = |partition| PartitionKey { topic_id: topic(0), partition };
    members[0].target = vec![key(0), key(1), key(99)];
    members[1].target = vec![key(0), key(1)];
    run(Assignor::Uniform, &mut members, &partitions);
    check(&members, &partitions);
    assert_eq!(sizes(&members), [2, 2]);
}

/// What one more member of a group of 500 costs that shares 5,000 partitions: a release build is to need 20 ms at most for it.
/// How long it takes depends on the machine, so it is told and not held.
#[test]
#[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a figure is told")]
fn a_large_group_is_divided() {
    let mut image = Image::default();
    let names: Vec<Str> = (0..5).map(|it| Str::from(format!("t{it}"))).collect();
    let mut records = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let topic_id = topic(number);
        records.push(MetadataRecord::Topic(TopicRecord { name: name.clone(), topic_id }));
        for partition_id in 0..1_000 {
            let (replicas, directories) = (vec![1, 2, 3], vec![Uuid([1; 16]); 3]);
            let partition = PartitionRecord { topic_id, partition_id, replicas, directories, ..Default::default() };
            records.push(MetadataRecord::Partition(partition));
        }
    }
    for (offset, record) in records.iter().enumerate() {
        image.apply(Offset(offset as i64), record).expect("it fits");
    }
    let mut group = ConsumerGroup::new();
    let mut wants = ConsumerMember::new().wants;
    wants.subscribed_topic_names = names;
    let divide = |group: &mut ConsumerGroup| {
        let began = std::time::Instant::now();
        let hash = metadata_hash(group.subscribed.keys(), &image);
        let divided = group.divided(Assignor::Uniform, &image);
        let took = began.elapsed();
        for (id, partitions) in &divided {
            group.apply(&ConsumerChange::TargetOf(id.clone(), Some(partitions.clone())));
        }
        (hash, divided.len(), took)
    };
    for number in 0..499 {
        let id = Str::from(format!("m{number:03}"));
        group.apply(&ConsumerChange::Member(id, Some(Box::new(wants.clone()))));
    }
    let (hash, changed, _) = divide(&mut group);
    assert_eq!(changed, 499);
    group.apply(&ConsumerChange::Member("new".into(), Some(Box::new(wants))));
    let (again, changed, took) = divide(&mut group);
    assert_eq!(again, hash, "the topics are the same");
    // 5,000 are ten for each of 500, and were eleven for ten of 499.
    assert_eq!(changed, 11);
    assert!(group.targets.values().all(|it| it.len() == 10));
    println!("dividing 5,000 partitions among 500 members took {took:?}");
}

#[test]
fn partitions_are_divided_again_after_the_interval_or_by_a_clock_that_is_behind() {
    let mut group = ConsumerGroup::new();
    assert!(!group.was_divided_within(1_000, 5), "never");
    group.apply(&ConsumerChange::Target(Some((2, 5_000))));
    let waits = [4_999, 5_000, 5_999, 6_000].map(|now_ms| group.was_divided_within(1_000, now_ms));
    assert_eq!(waits, [false, true, true, false]);
    assert!(!group.was_divided_within(0, 5_000));
}

#[test]
fn regular_expressions_are_counted_as_members_come_change_and_go() {
    let mut group = ConsumerGroup::new();
    let wants = |pattern: Option<&str>| {
        let subscribed_topic_regex = pattern.map(Str::from);
        Some(Box::new(ConsumerGroupMemberMetadataValue { subscribed_topic_regex, ..ConsumerMember::new().wants }))
    };
    let steps = [
        ("a", wants(Some("x.*"))),
        ("b", wants(Some("x.*"))),
        ("c", wants(Some("y.*"))),
        ("a", wants(Some("y.*"))),
        // The client's way to say that it has none any more.
        ("c", wants(Some(""))),
        ("b", wants(None)),
        ("b", wants(Some("z.*"))),
        ("a", None),
        ("b", None),
        ("c", None),
    ];
    for (id, wants) in steps {
        let before = group.clone();
        group.apply(&ConsumerChange::Member(id.into(), wants));
        for group in [&before, &group] {
            let mut walked: Map<Str, u32> = Map::new();
            for pattern in group.members.values().filter_map(|it| it.pattern()) {
                *walked.entry(pattern.clone()).or_default() += 1;
            }
            assert_eq!(group.wanted_patterns, walked);
        }
    }
    assert!(group.wanted_patterns.is_empty());
}
