//! A group of the consumer protocol (KIP-848) whose coordinator moves, whose disks and links fail, and whose members are slow,
//! die and come back.

use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::random::Random;

use super::groups::{OFFSETS, PARTITIONS};
use super::*;
use crate::coordinator::Assignor;

const GROUP: Str = Str::from_static("g");

/// What the coordinator knows, if there is one that can be asked.
fn known(world: &World) -> Option<consumer_group_describe_response::DescribedGroup> {
    let node = &world.brokers[&world.coordinator()].node;
    let shard = node.groups.get(&PartitionKey { topic_id: OFFSETS, partition: 0 })?;
    shard.check().ok()?;
    let group = shard.describe_consumers(&GROUP, Assignor::Uniform, &node.image);
    (group.error_code == 0).then_some(group)
}

#[derive(Clone, Default)]
struct Consumer {
    id: Str,
    epoch: i32,
    owned: Set<i32>,
    /// Broker, number, and when it loses patience.
    waiting: Option<(i32, i32, Instant)>,
    /// What it is committing: partition, offset.
    committing: Option<(i32, i64)>,
    /// It leaves with its next heartbeat.
    is_leaving: bool,
}

#[derive(Default)]
struct Ledger {
    /// The newest epoch that a member heard of.
    epochs: Map<Str, i32>,
    next: i64,
    /// The last acknowledged offset of each partition, and what may have come after it.
    acked: [i64; PARTITIONS as usize],
    tried: [Vec<i64>; PARTITIONS as usize],
    born: u64,
}

impl Ledger {
    /// Who is in the group shares no partition with another who is.
    fn check(&self, world: &World, consumers: &[Consumer]) {
        let Some(group) = known(world) else { return };
        let current = |it: &&Consumer| group.members.iter().any(|member| member.member_id == it.id);
        let mut owners: Map<i32, &Str> = Map::new();
        for consumer in consumers.iter().filter(|it| it.epoch > 0).filter(current) {
            for partition in consumer.owned.iter() {
                let other = owners.insert(*partition, &consumer.id);
                assert_eq!(other, None, "partition {partition} is {}'s too", consumer.id);
            }
        }
        if group.assignment_epoch < group.group_epoch || group.members.is_empty() {
            return;
        }
        let targets = group.members.iter().flat_map(|it| &it.target_assignment.topic_partitions);
        let mut targets: Vec<i32> = targets.flat_map(|it| it.partitions.iter().copied()).collect();
        targets.sort_unstable();
        assert_eq!(targets, (0..PARTITIONS).collect::<Vec<_>>(), "the target covers each partition once");
    }

    fn found(&self, world: &mut World) {
        let coordinator = world.coordinator();
        let number = world.send(coordinator, 9, super::groups::fetch());
        let Some(answer) = world.answer(coordinator, number) else { return };
        if super::groups::heard(&answer) != ErrorCode::None {
            return;
        }
        for (at, offset) in super::groups::offsets(&answer).into_iter().enumerate() {
            let is_known = offset.max(0) == self.acked[at] || self.tried[at].contains(&offset);
            assert!(is_known, "partition {at} is at {offset}, {} was acknowledged", self.acked[at]);
        }
    }
}

impl Consumer {
    fn born(ledger: &mut Ledger) -> Consumer {
        ledger.born += 1;
        Consumer { id: Str::from(format!("m{}", ledger.born)), ..Consumer::default() }
    }

    fn heartbeat(&self) -> RequestBody {
        let partitions: Vec<i32> = self.owned.iter().copied().collect();
        let owned = if partitions.is_empty() { vec![] } else { vec![TopicPartitions { topic_id: TOPIC, partitions }] };
        RequestBody::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest {
            group_id: GROUP,
            member_id: self.id.clone(),
            member_epoch: if self.is_leaving { -1 } else { self.epoch },
            rebalance_timeout_ms: 10_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(owned),
            ..ConsumerGroupHeartbeatRequest::default()
        })
    }

    fn commit(&self, partition_index: i32, committed_offset: i64) -> RequestBody {
        let partition = OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() };
        let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
        RequestBody::OffsetCommit(OffsetCommitRequest {
            group_id: GROUP,
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        })
    }

    fn step(&mut self, world: &mut World, random: &mut Random, ledger: &mut Ledger) {
        if let Some((broker, number, until)) = self.waiting {
            match world.answer(broker, number) {
                Some(answer) => {
                    self.waiting = None;
                    self.hear(&answer, ledger);
                }
                None if until <= world.now.mono => (self.waiting, self.committing) = (None, None),
                None => {}
            }
            return;
        }
        let mut version = 1;
        let mut body = self.heartbeat();
        match random.below(16) {
            // It is killed, and another one takes its place.
            0 => return *self = Consumer::born(ledger),
            1 => self.is_leaving = self.epoch > 0,
            2..=5 if self.epoch > 0 && !self.owned.is_empty() => {
                let at = random.below(self.owned.len() as u64) as usize;
                let partition = self.owned.iter().nth(at).copied().expect("it has so many");
                ledger.next += 1;
                ledger.tried[partition as usize].push(ledger.next);
                self.committing = Some((partition, ledger.next));
                (version, body) = (9, self.commit(partition, ledger.next));
            }
            _ => {}
        }
        let broker = if random.below(20) == 0 { 1 + random.below(3) as i32 } else { world.coordinator() };
        let number = world.send(broker, version, body);
        self.waiting = Some((broker, number, world.now.mono.plus_ms(15_000)));
    }

    fn hear(&mut self, answer: &ResponseBody, ledger: &mut Ledger) {
        let committing = self.committing.take();
        let error = match answer {
            ResponseBody::ConsumerGroupHeartbeat(it) => ErrorCode::from_code(it.error_code),
            other => super::groups::heard(other),
        };
        match (answer, error) {
            (ResponseBody::ConsumerGroupHeartbeat(it), ErrorCode::None) if it.member_epoch < 0 => {
                *self = Consumer::born(ledger);
            }
            (ResponseBody::ConsumerGroupHeartbeat(it), ErrorCode::None) => {
                let newest = ledger.epochs.entry(self.id.clone()).or_default();
                assert!(it.member_epoch >= *newest, "{} goes from epoch {newest} to {}", self.id, it.member_epoch);
                *newest = it.member_epoch;
                self.epoch = it.member_epoch;
                if let Some(assignment) = &it.assignment {
                    let owned = assignment.topic_partitions.iter().flat_map(|it| it.partitions.iter().copied());
                    self.owned = owned.collect();
                }
            }
            (ResponseBody::OffsetCommit(_), ErrorCode::None) => {
                let (partition, offset) = committing.expect("it asked for it");
                let at = partition as usize;
                ledger.acked[at] = ledger.acked[at].max(offset);
                let acked = ledger.acked[at];
                ledger.tried[at].retain(|it| *it > acked);
            }
            // It gives up all and begins again under the same id, whose epochs may begin again then, too.
            (_, ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound) => {
                ledger.epochs.remove(&self.id);
                (self.epoch, self.is_leaving) = (0, false);
                self.owned.clear();
            }
            (
                _,
                ErrorCode::None
                | ErrorCode::StaleMemberEpoch
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable,
            ) => {}
            (body, other) => panic!("{other:?} from {body:?}"),
        }
    }
}

fn play(seed: u64) {
    let mut world = World::of_groups_with(
        3,
        &[("group.consumer.min.session.timeout.ms", "6000"), ("group.consumer.session.timeout.ms", "6000")],
    );
    let (mut random, mut ledger) = (Random::new(seed), Ledger::default());
    let mut consumers: Vec<Consumer> = (0..4).map(|_| Consumer::born(&mut ledger)).collect();
    for _ in 0..400 {
        match random.below(16) {
            fault @ 0..=2 => world.harm(fault, &mut random),
            3..=5 => world.advance(random.below(2_000) as i64),
            6 => ledger.found(&mut world),
            _ => {
                let index = random.below(consumers.len() as u64) as usize;
                consumers[index].step(&mut world, &mut random, &mut ledger);
            }
        }
        ledger.check(&world, &consumers);
    }
    // Faults end: the group comes to rest, each partition has one owner, and nothing acknowledged is lost.
    world.cut.clear();
    world.brokers.values_mut().for_each(|it| it.is_stuck = false);
    world.advance(40_000);
    let mut is_at_rest = false;
    for _ in 0..200 {
        for index in 0..consumers.len() {
            let consumer = &mut consumers[index];
            (consumer.waiting, consumer.committing, consumer.is_leaving) = (None, None, false);
            let coordinator = world.coordinator();
            let answer = world.ask(coordinator, 1, consumer.heartbeat());
            consumer.hear(&answer, &mut ledger);
            ledger.check(&world, &consumers);
        }
        world.advance(200);
        let mut all: Vec<i32> = consumers.iter().flat_map(|it| it.owned.iter().copied()).collect();
        all.sort_unstable();
        let is_stable = known(&world).is_some_and(|it| it.group_state == *"Stable" && it.members.len() == 4);
        is_at_rest = is_stable && all == [0, 1, 2, 3, 4, 5];
        if is_at_rest {
            break;
        }
    }
    assert!(is_at_rest, "the group does not come to rest: {:?}", known(&world));
    ledger.found(&mut world);
}

#[test]
fn a_group_keeps_its_promises_whatever_happens() {
    for seed in 0..40 {
        play(seed);
    }
}
