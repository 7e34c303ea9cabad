//! A group whose coordinator moves: what was acknowledged is there at the next one, and who waited is sent there.

use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use protocol::random::Random;

use super::*;

pub(super) const OFFSETS: Uuid = Uuid([8; 16]);
pub(super) const PARTITIONS: i32 = 6;

impl World {
    /// Brokers that each have a copy of the one partition of the offsets topic, led by the first.
    fn of_groups(count: i32) -> World {
        World::of_groups_with(count, &[("group.initial.rebalance.delay.ms", "500")])
    }

    pub(super) fn of_groups_with(count: i32, config: &[(&'static str, &'static str)]) -> World {
        let mut world = World::of(count, config);
        let name = Str::from_static("group.version");
        world.commit(MetadataRecord::FeatureLevel(FeatureLevelRecord { name, feature_level: 1 }));
        for partition_id in 1..PARTITIONS {
            world.commit(MetadataRecord::Partition(partition(TOPIC, partition_id, &[1])));
        }
        let name = Str::from_static("__consumer_offsets");
        world.commit(MetadataRecord::Topic(TopicRecord { name, topic_id: OFFSETS }));
        let replicas: Vec<i32> = (1..=count).collect();
        world.commit(MetadataRecord::Partition(partition(OFFSETS, 0, &replicas)));
        // Until fetches have come back that wait, and the new partition is in the next.
        world.advance(3_000);
        world
    }

    pub(super) fn coordinator(&self) -> i32 {
        let partition = self.image.partition("__consumer_offsets", 0).expect("it is there");
        partition.leader.expect("it has a leader").0
    }

    /// One of the faults that a coordinator of three brokers meets: it moves, a link is cut or mended, a disk stands still or goes on.
    pub(super) fn harm(&mut self, fault: u64, random: &mut Random) {
        match fault {
            0 => {
                // Only who is in sync: nothing committed is lost then.
                let isr = &self.image.partition("__consumer_offsets", 0).expect("it is there").isr;
                let isr: Vec<i32> = isr.iter().map(|it| it.0).collect();
                let to = isr[random.below(isr.len() as u64) as usize];
                if to != self.coordinator() {
                    self.move_coordinator(to, &isr);
                }
            }
            1 => {
                let one = 1 + random.below(3) as i32;
                let other = 1 + one % 3;
                let pair = (one.min(other), one.max(other));
                if !self.cut.remove(&pair) {
                    self.cut.insert(pair);
                }
            }
            _ => {
                let broker = self.brokers.get_mut(&(1 + random.below(3) as i32)).expect("it lives");
                broker.is_stuck = !broker.is_stuck;
            }
        }
    }

    pub(super) fn move_coordinator(&mut self, leader: i32, isr: &[i32]) {
        self.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
            topic_id: OFFSETS,
            partition_id: 0,
            leader,
            isr: Some(isr.to_vec()),
            ..PartitionChangeRecord::default()
        }));
        self.run();
    }
}

fn partition(topic_id: Uuid, partition_id: i32, replicas: &[i32]) -> PartitionRecord {
    PartitionRecord {
        topic_id,
        partition_id,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas[0],
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid([1; 16]); replicas.len()],
        ..PartitionRecord::default()
    }
}

fn join(member: &Str) -> RequestBody {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::new() };
    RequestBody::JoinGroup(JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.clone(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    })
}

fn sync(member: &Str, generation: i32, roster: &[Str]) -> RequestBody {
    let assignments = roster.iter().enumerate().map(|(index, member_id)| {
        let own = (0..PARTITIONS).filter(|it| *it as usize % roster.len() == index).map(|it| it as u8);
        SyncGroupRequestAssignment { member_id: member_id.clone(), assignment: own.collect::<Vec<_>>().into() }
    });
    RequestBody::SyncGroup(SyncGroupRequest {
        group_id: "g".into(),
        generation_id: generation,
        member_id: member.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    })
}

fn commit(member: &Str, generation: i32, partition_index: i32, committed_offset: i64) -> RequestBody {
    let partition = OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    RequestBody::OffsetCommit(OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: generation,
        member_id: member.clone(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    })
}

pub(super) fn fetch() -> RequestBody {
    let partition_indexes = (0..PARTITIONS).collect();
    let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes, ..Default::default() };
    let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
    RequestBody::OffsetFetch(OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() })
}

/// The error that an answer is about, and what it says.
pub(super) fn heard(answer: &ResponseBody) -> ErrorCode {
    ErrorCode::from_code(match answer {
        ResponseBody::JoinGroup(it) => it.error_code,
        ResponseBody::SyncGroup(it) => it.error_code,
        ResponseBody::Heartbeat(it) => it.error_code,
        ResponseBody::LeaveGroup(it) => it.error_code,
        ResponseBody::OffsetCommit(it) => it.topics[0].partitions[0].error_code,
        ResponseBody::OffsetFetch(it) => it.groups[0].error_code,
        other => panic!("{other:?}"),
    })
}

pub(super) fn offsets(answer: &ResponseBody) -> Vec<i64> {
    match answer {
        ResponseBody::OffsetFetch(it) => {
            it.groups[0].topics[0].partitions.iter().map(|it| it.committed_offset).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_for_a_coordinator_that_is_one_no_more_is_sent_to_the_next() {
    let mut world = World::of_groups(3);
    let nobody = Str::new();
    let first = world.send(1, 9, commit(&nobody, -1, 0, 5));
    assert_eq!(world.answer(1, first).map(|it| heard(&it)), Some(ErrorCode::None));
    // The followers hear nothing: a commit is not committed, and a new member waits for others.
    world.cut.insert((1, 2));
    world.cut.insert((1, 3));
    let waiting = world.send(1, 9, commit(&nobody, -1, 0, 6));
    let joining = world.send(1, 3, join(&nobody));
    assert!(world.answer(1, waiting).is_none() && world.answer(1, joining).is_none());
    assert_eq!(offsets(&world.ask(1, 9, fetch()))[0], 5, "it is not committed");
    world.move_coordinator(2, &[2, 3]);
    for id in [waiting, joining] {
        assert_eq!(world.answer(1, id).map(|it| heard(&it)), Some(ErrorCode::NotCoordinator));
    }
    assert_eq!(heard(&world.ask(1, 9, commit(&nobody, -1, 0, 7))), ErrorCode::NotCoordinator);
    assert_eq!(heard(&world.ask(3, 9, fetch())), ErrorCode::NotCoordinator);
    assert_eq!(offsets(&world.ask(2, 9, fetch()))[0], 5);
    let next = world.send(2, 9, commit(&nobody, -1, 0, 8));
    assert_eq!(world.answer(2, next).map(|it| heard(&it)), Some(ErrorCode::None));
    // The first comes back, is cut where the logs part, and is the coordinator again.
    world.cut.clear();
    world.advance(40_000);
    world.move_coordinator(1, &[1, 2, 3]);
    world.advance(1_000);
    assert_eq!(offsets(&world.ask(1, 9, fetch()))[0], 8);
}

#[test]
fn a_coordinator_that_loads_says_so_and_lets_members_be() {
    let mut world = World::of_groups(2);
    let sent = world.send(1, 9, commit(&Str::new(), -1, 0, 5));
    assert!(world.answer(1, sent).is_some());
    world.brokers.get_mut(&2).expect("it lives").is_stuck = true;
    world.move_coordinator(2, &[1, 2]);
    assert_eq!(heard(&world.ask(2, 9, fetch())), ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(heard(&world.ask(2, 9, join(&Str::new()))), ErrorCode::CoordinatorLoadInProgress);
    let beat = HeartbeatRequest { group_id: "g".into(), member_id: "a".into(), ..HeartbeatRequest::default() };
    assert_eq!(heard(&world.ask(2, 4, RequestBody::Heartbeat(beat))), ErrorCode::None);
    let list = RequestBody::ListGroups(ListGroupsRequest::default());
    let ResponseBody::ListGroups(listed) = world.ask(2, 5, list) else { panic!() };
    assert_eq!(ErrorCode::from_code(listed.error_code), ErrorCode::CoordinatorLoadInProgress);
    world.brokers.get_mut(&2).expect("it lives").is_stuck = false;
    world.run();
    assert_eq!(offsets(&world.ask(2, 9, fetch()))[0], 5);
}

/// What the store was asked in the epoch before is answered to nobody.
#[test]
fn a_coordinator_that_is_elected_again_while_it_loads_begins_again() {
    let mut world = World::of_groups(2);
    let sent = world.send(1, 9, commit(&Str::new(), -1, 0, 5));
    assert!(world.answer(1, sent).is_some());
    world.brokers.get_mut(&2).expect("it lives").is_stuck = true;
    world.move_coordinator(2, &[1, 2]);
    // Gone meanwhile, and not forgotten.
    world.brokers.get_mut(&2).expect("it lives").node.groups.topic_gone(&"t".into());
    world.input(2, Input::Wake);
    world.move_coordinator(2, &[1, 2]);
    assert_eq!(heard(&world.ask(2, 9, fetch())), ErrorCode::CoordinatorLoadInProgress);
    world.brokers.get_mut(&2).expect("it lives").is_stuck = false;
    world.advance(1_000);
    let answer = world.ask(2, 9, fetch());
    assert_eq!((heard(&answer), offsets(&answer)[0]), (ErrorCode::None, -1));
}

#[test]
fn offsets_of_a_topic_that_went_while_they_were_read_are_forgotten() {
    let mut world = World::of_groups(2);
    let sent = world.send(1, 9, commit(&Str::new(), -1, 0, 5));
    assert!(world.answer(1, sent).is_some());
    world.brokers.get_mut(&2).expect("it lives").is_stuck = true;
    world.move_coordinator(2, &[1, 2]);
    world.brokers.get_mut(&2).expect("it lives").node.groups.topic_gone(&"t".into());
    world.input(2, Input::Wake);
    world.brokers.get_mut(&2).expect("it lives").is_stuck = false;
    world.advance(1_000);
    assert_eq!(offsets(&world.ask(2, 9, fetch()))[0], -1);
}

#[test]
fn a_broker_that_is_elected_while_its_log_is_cut_coordinates() {
    let mut world = World::of_groups(3);
    let nobody = Str::new();
    let sent = world.send(1, 9, commit(&nobody, -1, 0, 5));
    assert_eq!(world.answer(1, sent).map(|it| heard(&it)), Some(ErrorCode::None));
    world.advance(1_000);
    // The first has what nobody else has; its disk is slow to let go of it.
    world.cut.insert((1, 2));
    world.cut.insert((1, 3));
    world.send(1, 9, commit(&nobody, -1, 0, 6));
    world.move_coordinator(2, &[2, 3]);
    world.advance(1_000);
    world.brokers.get_mut(&1).expect("it lives").is_stuck = true;
    world.cut.clear();
    let is_cut = |world: &World| {
        let events = &world.brokers[&1].events;
        events.iter().any(|it| matches!(it, Event::Truncated { topic, .. } if *topic == *"__consumer_offsets"))
    };
    for _ in 0..100 {
        world.advance(1_000);
        if is_cut(&world) {
            break;
        }
    }
    assert!(is_cut(&world), "its log parts from the leader's");
    world.move_coordinator(1, &[1]);
    world.brokers.get_mut(&1).expect("it lives").is_stuck = false;
    world.run();
    let answer = world.ask(1, 9, fetch());
    assert_eq!((heard(&answer), offsets(&answer)[0]), (ErrorCode::None, 5));
}

/// What was acknowledged is not taken back, even for a moment.
#[test]
fn a_new_coordinator_tells_no_offset_before_it_knows_that_it_is_committed() {
    let mut world = World::of_groups(3);
    let sent = world.send(1, 9, commit(&Str::new(), -1, 0, 5));
    assert_eq!(world.answer(1, sent).map(|it| heard(&it)), Some(ErrorCode::None));
    for pair in [(1, 2), (1, 3), (2, 3)] {
        world.cut.insert(pair);
    }
    world.move_coordinator(2, &[2, 3]);
    let asked = world.send(2, 9, fetch());
    assert!(world.answer(2, asked).is_none(), "whether it is committed, the other one will tell");
    world.cut.remove(&(2, 3));
    world.advance(40_000);
    let found = offsets(&world.ask(2, 9, fetch()))[0];
    assert_eq!(found, 5);
}

/// A consumer that may be slow, die, or talk to the wrong broker.
#[derive(Default)]
struct Consumer {
    member: Str,
    generation: i32,
    roster: Vec<Str>,
    /// What it was given in its generation.
    own: Option<Vec<u8>>,
    /// Broker, number, and when it loses patience.
    waiting: Option<(i32, i32, Instant)>,
    /// What it is committing.
    committing: Option<(i32, i64)>,
}

/// What must be true of all that consumers hear.
#[derive(Default)]
struct Ledger {
    /// Partition to owner, by generation.
    owners: Map<(i32, u8), Str>,
    newest: i32,
    /// The last acknowledged offset of each partition, and what may have come after it.
    acked: [i64; PARTITIONS as usize],
    tried: [Vec<i64>; PARTITIONS as usize],
    next: i64,
}

impl Ledger {
    fn synced(&mut self, member: &Str, generation: i32, own: &[u8]) {
        assert!(generation >= self.newest, "generation {generation} was given out after {}", self.newest);
        self.newest = generation;
        for partition in own {
            let owner = self.owners.entry((generation, *partition)).or_insert(member.clone());
            assert_eq!(owner, member, "partition {partition} has two owners in generation {generation}");
        }
    }

    fn acked(&mut self, partition: i32, offset: i64) {
        let at = partition as usize;
        self.acked[at] = self.acked[at].max(offset);
        let acked = self.acked[at];
        self.tried[at].retain(|it| *it > acked);
    }

    fn found(&self, offsets: &[i64]) {
        for (at, offset) in offsets.iter().enumerate() {
            let is_known = (*offset).max(0) == self.acked[at] || self.tried[at].contains(offset);
            assert!(is_known, "partition {at} is at {offset}, {} was acknowledged", self.acked[at]);
        }
    }
}

impl Consumer {
    fn forget(&mut self) {
        *self = Consumer::default();
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
        let body = if self.member.is_empty() || self.generation == 0 {
            join(&self.member)
        } else if let Some(own) = self.own.clone() {
            match random.below(12) {
                0 => join(&self.member),
                1 => return self.forget(),
                2..=6 if !own.is_empty() => {
                    let partition = i32::from(own[random.below(own.len() as u64) as usize]);
                    ledger.next += 1;
                    ledger.tried[partition as usize].push(ledger.next);
                    self.committing = Some((partition, ledger.next));
                    commit(&self.member, self.generation, partition, ledger.next)
                }
                _ => RequestBody::Heartbeat(HeartbeatRequest {
                    group_id: "g".into(),
                    generation_id: self.generation,
                    member_id: self.member.clone(),
                    ..HeartbeatRequest::default()
                }),
            }
        } else {
            sync(&self.member, self.generation, &self.roster)
        };
        let broker = if random.below(20) == 0 { 1 + random.below(3) as i32 } else { world.coordinator() };
        let version = body.api_key().versions().end().to_owned().min(9);
        let number = world.send(broker, version, body);
        self.waiting = Some((broker, number, world.now.mono.plus_ms(15_000)));
    }

    fn hear(&mut self, answer: &ResponseBody, ledger: &mut Ledger) {
        let committing = self.committing.take();
        match (answer, heard(answer)) {
            (ResponseBody::JoinGroup(it), ErrorCode::MemberIdRequired) => self.member = it.member_id.clone(),
            (ResponseBody::JoinGroup(it), ErrorCode::None) => {
                (self.member, self.generation, self.own) = (it.member_id.clone(), it.generation_id, None);
                self.roster = it.members.iter().map(|it| it.member_id.clone()).collect();
            }
            (ResponseBody::SyncGroup(it), ErrorCode::None) => {
                ledger.synced(&self.member, self.generation, &it.assignment);
                self.own = Some(it.assignment.to_vec());
            }
            (ResponseBody::OffsetCommit(_), ErrorCode::None) => {
                let (partition, offset) = committing.expect("it asked for it");
                ledger.acked(partition, offset);
            }
            (_, ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => self.forget(),
            (_, ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress) => {
                (self.generation, self.own) = (0, None);
            }
            // The coordinator moves, loads, or its followers are slow: it asks again.
            (
                _,
                ErrorCode::None
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable,
            ) => {}
            (body, other) => panic!("{other:?} from {body:?}"),
        }
    }
}

fn play(seed: u64) {
    let mut world = World::of_groups(3);
    let (mut random, mut ledger) = (Random::new(seed), Ledger::default());
    let mut consumers: Vec<Consumer> = (0..4).map(|_| Consumer::default()).collect();
    for _ in 0..300 {
        match random.below(16) {
            fault @ 0..=2 => world.harm(fault, &mut random),
            3..=5 => world.advance(random.below(3_000) as i64),
            6 => {
                let answer = world.send(world.coordinator(), 9, fetch());
                if let Some(answer) = world.answer(world.coordinator(), answer)
                    && heard(&answer) == ErrorCode::None
                {
                    ledger.found(&offsets(&answer));
                }
            }
            _ => {
                let index = random.below(consumers.len() as u64) as usize;
                consumers[index].step(&mut world, &mut random, &mut ledger);
            }
        }
    }
    // Faults end: the group comes to rest, each partition has one owner, and nothing acknowledged is lost.
    world.cut.clear();
    world.brokers.values_mut().for_each(|it| it.is_stuck = false);
    world.advance(40_000);
    let mut is_at_rest = false;
    for _ in 0..400 {
        for consumer in &mut consumers {
            if consumer.own.is_none() || consumer.waiting.is_some() {
                consumer.step(&mut world, &mut random, &mut ledger);
            } else {
                let beat = HeartbeatRequest {
                    group_id: "g".into(),
                    generation_id: consumer.generation,
                    member_id: consumer.member.clone(),
                    ..HeartbeatRequest::default()
                };
                let answer = world.ask(world.coordinator(), 4, RequestBody::Heartbeat(beat));
                consumer.hear(&answer, &mut ledger);
            }
        }
        world.advance(100);
        let mut all: Vec<u8> = consumers.iter().filter_map(|it| it.own.clone()).flatten().collect();
        all.sort_unstable();
        let generations: Set<i32> = consumers.iter().map(|it| it.generation).collect();
        is_at_rest = generations.len() == 1 && all == [0, 1, 2, 3, 4, 5];
        if is_at_rest {
            break;
        }
    }
    assert!(is_at_rest, "the group does not come to rest");
    ledger.found(&offsets(&world.ask(world.coordinator(), 9, fetch())));
}

/// Joins, deaths, moves of the coordinator, broken links and slow disks, in any order.
#[test]
fn a_group_keeps_its_promises_whatever_happens() {
    for seed in 0..40 {
        play(seed);
    }
}
