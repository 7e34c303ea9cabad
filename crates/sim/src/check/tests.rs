//! Each check of a cluster is shown what it is there for, and what it must not call a bug.

use bytes::Bytes;
use client::RecordMetadata;
use node::Phase;
use node::view::{BrokerView, MetadataView, PartitionView, RoleKind, TopicView, View};
use protocol::records::{BatchBuilder, Batches, Compression, PureCompressors, Record};
use protocol::{LeaderEpoch, NodeId, WallMs};
use storage::{DirId, LogSpec};

use super::*;

const LEADER: Pid = Pid(1);
const FOLLOWER: Pid = Pid(2);
const THIRD: Pid = Pid(3);
const CLIENT: Pid = Pid(4);
const TOPIC: Str = Str::from_static("t");

/// Checks of a topic with so many replicas, and a producer that waits for all in sync.
fn cluster(replicas: &[Pid], settings: &[Setting]) -> Checks {
    let mut checks = Checks::default();
    checks.topic_asked(&TOPIC, settings);
    checks.client(CLIENT, &Str::from_static("p"), true, true);
    let spec = LogSpec {
        dir: DirId(0),
        topic: TOPIC,
        partition: 0,
        topic_id: Uuid([7; 16]),
        create: true,
        synced: false,
        compacted: false,
    };
    for pid in replicas {
        let index = checks.mounting(&spec).expect("a topic's log");
        checks.mounted(0, *pid, index, (Offset(0), Offset(0)), false);
    }
    checks
}

fn batch(epoch: i32, base: i64, value: &str) -> Batches {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(WallMs(0), None, Some(value.as_bytes()), &[]);
    let mut batches = builder.build_batches(&PureCompressors).expect("it is not compressed");
    batches.stamp(0, Offset(base), LeaderEpoch(epoch), None);
    batches
}

impl Checks {
    /// A broker appends a record, and has it on its disk.
    fn has(&mut self, pid: Pid, epoch: i32, base: i64, value: &str) {
        self.appended(1, pid, 0, &batch(epoch, base, value));
        self.written(pid, 0, Offset(base + 1));
    }

    fn committed(&mut self, leader: Pid, offset: i64) {
        let said = node::Event::HighWatermark { topic: TOPIC, partition: 0, offset: Offset(offset) };
        self.node_said(1, leader, &said);
    }

    /// The producer is told that its record is at an offset.
    fn told(&mut self, number: u64, offset: i64) {
        let metadata = RecordMetadata {
            partition: TopicPartition { topic: TOPIC, partition: 0 },
            offset: Some(Offset(offset)),
            timestamp: WallMs(0),
        };
        self.settled(2, CLIENT, number, &Outcome::Ok(Answer::Sent(metadata)));
    }

    fn verdict(&self) -> Option<Check> {
        self.broken().map(|it| it.check)
    }
}

/// A follower that ended at 10 begins anew at 50, where its leader's log starts since `DeleteRecords`.
#[test]
fn a_follower_begins_anew_where_its_leaders_log_starts() {
    let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
    for offset in 0..50 {
        checks.has(LEADER, 1, offset, &format!("v{offset}"));
        if offset < 10 {
            checks.has(FOLLOWER, 1, offset, &format!("v{offset}"));
        }
    }
    checks.synced(FOLLOWER, 0);
    let said = node::Event::LogStart { topic: TOPIC, partition: 0, offset: Offset(50) };
    checks.node_said(1, LEADER, &said);
    checks.truncated(2, FOLLOWER, 0, Offset(50));
    checks.mounted(3, FOLLOWER, 0, (Offset(50), Offset(50)), false);
    assert_eq!(checks.broken(), None, "a mount finds what the cut left");
    // The batch that holds offset 50 begins before it.
    checks.truncated(4, FOLLOWER, 0, Offset(45));
    for offset in 45..50 {
        checks.has(FOLLOWER, 1, offset, &format!("v{offset}"));
    }
    checks.has(FOLLOWER, 2, 50, "as leader");
    assert_eq!(checks.broken(), None, "it may lead from there");
}

/// Split brain: another leader's record is where a deposed one's was, and the deposed one acknowledges its own.
#[test]
fn what_is_acknowledged_by_all_may_not_have_been_replaced() {
    let split = |settings: &[Setting], by_all: bool| {
        let mut checks = cluster(&[LEADER, FOLLOWER], settings);
        checks.client(CLIENT, &Str::from_static("p"), true, by_all);
        checks.sent(CLIENT, 0, None, Some(b"p-0"));
        checks.sent(CLIENT, 1, None, Some(b"p-1"));
        checks.has(LEADER, 1, 0, "p-0");
        checks.has(FOLLOWER, 2, 0, "other");
        checks.has(LEADER, 1, 1, "p-1");
        assert_eq!(checks.broken(), None, "nobody was promised anything yet");
        checks.told(0, 0);
        let replaced = checks.verdict();
        checks.told(1, 1);
        (replaced, checks.bugs)
    };
    assert_eq!(split(&[], true), (Some(Check::AckedStays), 2));
    assert_eq!(split(&[], false), (None, 0), "acks=1 waits for the leader alone");
    let unclean = ("unclean.leader.election.enable".into(), "true".into());
    assert_eq!(split(&[unclean], true), (None, 0));
}

/// Nor may anybody have read it.
#[test]
fn what_is_read_may_not_have_been_replaced() {
    let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
    checks.has(LEADER, 1, 0, "mine");
    checks.has(FOLLOWER, 2, 0, "other");
    let record = ConsumerRecord {
        partition: TopicPartition { topic: TOPIC, partition: 0 },
        leader_epoch: LeaderEpoch(1),
        log_append_time: false,
        record: Record {
            offset: Offset(0),
            timestamp: WallMs(0),
            key: None,
            value: Some(Bytes::from_static(b"mine")),
            headers: Vec::new(),
        },
    };
    checks.consumed(3, CLIENT, &record);
    assert_eq!(checks.verdict(), Some(Check::OffsetsDense));
}

/// A loss that lost disks explain is allowed, but only until they have again what is committed.
#[test]
fn a_disk_that_caught_up_excuses_no_loss() {
    let power_cut = || {
        let mut checks = cluster(&[LEADER, FOLLOWER, THIRD], &[]);
        for pid in [LEADER, FOLLOWER] {
            checks.has(pid, 1, 0, "a");
        }
        checks.committed(LEADER, 1);
        checks.broker_died(FOLLOWER);
        checks.mounted(2, FOLLOWER, 0, (Offset(0), Offset(0)), true);
        checks
    };
    let mut checks = power_cut();
    checks.has(FOLLOWER, 2, 0, "other");
    assert_eq!((checks.broken(), checks.allowed()), (None, 1));

    let mut checks = power_cut();
    checks.has(FOLLOWER, 1, 0, "a");
    checks.has(THIRD, 2, 0, "other");
    assert_eq!(checks.verdict(), Some(Check::AckedStays));
}

#[test]
fn two_replicas_have_the_same_of_the_same_epoch() {
    let mut checks = cluster(&[LEADER, FOLLOWER, THIRD], &[]);
    checks.has(LEADER, 1, 0, "a");
    checks.has(FOLLOWER, 1, 0, "a");
    assert_eq!(checks.broken(), None);
    checks.has(THIRD, 1, 0, "b");
    assert_eq!(checks.verdict(), Some(Check::LogMatching));
}

#[test]
fn an_epoch_has_one_leader() {
    let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
    checks.controls(1, LEADER, LeaderEpoch(1));
    checks.controls(1, LEADER, LeaderEpoch(1));
    checks.controls(1, FOLLOWER, LeaderEpoch(2));
    assert_eq!(checks.broken(), None);
    checks.controls(1, FOLLOWER, LeaderEpoch(1));
    assert_eq!(checks.verdict(), Some(Check::OneLeader));

    let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
    checks.has(LEADER, 1, 0, "a");
    checks.has(FOLLOWER, 1, 0, "a");
    assert_eq!(checks.broken(), None);
    checks.has(FOLLOWER, 1, 1, "b");
    assert_eq!(checks.verdict(), Some(Check::OneLeader));
}

#[test]
fn who_is_in_sync_is_a_replica_and_not_fenced() {
    let shown = |isr: &[i32], fenced: i32| {
        let ids = |ids: &[i32]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        let broker = |id: i32| BrokerView { id: NodeId(id), epoch: 1, fenced: id == fenced, endpoints: Vec::new() };
        let partition = PartitionView {
            partition: 0,
            leader: Some(NodeId(1)),
            leader_epoch: LeaderEpoch(0),
            replicas: ids(&[1, 2]),
            isr: ids(isr),
            elr: Vec::new(),
            min_isr: 1,
            log: None,
            is_offline: false,
            parked: 0,
        };
        let view = View {
            node: NodeId(1),
            phase: Phase::default(),
            broker_epoch: 1,
            metadata: MetadataView {
                is_leader: true,
                role: RoleKind::Leader,
                leader: Some(NodeId(1)),
                voted: None,
                is_voter: true,
                leader_epoch: LeaderEpoch(1),
                log_end: Offset(0),
                synced: Offset(0),
                high_watermark: Offset(0),
            },
            brokers: (1..=3).map(broker).collect(),
            topics: vec![TopicView { name: TOPIC, id: Uuid([7; 16]), partitions: vec![partition] }],
            connections: Vec::new(),
            waits: Vec::new(),
            fetch_sessions: 0,
            operations: 0,
            produce_bytes: 0,
            timers: Vec::new(),
        };
        let mut checks = Checks::default();
        checks.isrs(1, &view);
        checks.verdict()
    };
    assert_eq!(shown(&[1, 2], 3), None);
    assert_eq!(shown(&[1, 3], 0), Some(Check::Isr), "a stranger");
    assert_eq!(shown(&[1, 2], 2), Some(Check::Isr), "a fenced one");
    assert_eq!(shown(&[1], 1), None, "the last one stays");
}
