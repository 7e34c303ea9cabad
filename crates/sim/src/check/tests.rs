//! Each check of a cluster is shown what it is there for, and what it must not call a bug.

mod repeats;

use bytes::Bytes;
use client::RecordMetadata;
use node::image::Image;
use protocol::MetadataRecord;
use protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{ConfigRecord, PartitionRecord, ProduceResponse, RegisterBrokerRecord, TopicRecord};
use protocol::records::{BatchBuilder, Batches, Compression, PureCompressors, Record};
use protocol::{LeaderEpoch, NodeId, ProducerEpoch, ProducerId, WallMs};
use storage::{DirId, LogSpec, SegmentRules};

use super::*;

const LEADER: Pid = Pid(1);
const FOLLOWER: Pid = Pid(2);
const THIRD: Pid = Pid(3);
const CLIENT: Pid = Pid(4);
const TOPIC: Str = Str::from_static("t");

/// Checks of a topic with so many replicas, and a producer that waits for all in sync.
pub(super) fn cluster(replicas: &[Pid], settings: &[Setting]) -> Checks {
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
        replicated: false,
        compacted: false,
        segments: SegmentRules::default(),
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

    fn committed_to(&mut self, leader: Pid, offset: i64) {
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

/// What rotted on one disk says nothing of what was before it, nor of what others have on theirs.
#[test]
fn a_rotten_bit_excuses_only_what_it_hurt() {
    let rotten = |from: i64, spreads: bool| {
        let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
        for offset in 0..4 {
            checks.has(LEADER, 1, offset, &format!("v{offset}"));
            checks.has(FOLLOWER, 1, offset, &format!("v{offset}"));
        }
        checks.committed_to(LEADER, 4);
        for pid in [LEADER, FOLLOWER] {
            checks.synced(pid, 0);
        }
        checks.rotted(&TOPIC, 0, Rot { replica: FOLLOWER, from, spreads, is_cut: false });
        checks
    };
    let mounted = |mut checks: Checks, pid: Pid, end: i64| {
        checks.mounted(2, pid, 0, (Offset(0), Offset(end)), false);
        checks.verdict()
    };
    assert_eq!(mounted(rotten(2, false), FOLLOWER, 2), None, "it is cut where it rotted");
    assert_eq!(mounted(rotten(2, false), FOLLOWER, 1), Some(Check::AckedStays), "and no earlier");
    assert_eq!(mounted(rotten(2, false), LEADER, 2), Some(Check::AckedStays), "and nobody else is");
    assert_eq!(mounted(rotten(2, true), LEADER, 2), None, "but who may have copied it");
    let led = |from: i64, base: i64| {
        let mut checks = rotten(from, false);
        checks.mounted(2, FOLLOWER, 0, (Offset(0), Offset(from)), false);
        checks.truncated(3, FOLLOWER, 0, Offset(base));
        checks.has(FOLLOWER, 2, base, "other");
        checks.verdict()
    };
    assert_eq!(led(2, 2), None, "what it lost may be lost to all");
    assert_eq!(led(2, 1), Some(Check::AckedStays), "what it had may not");
}

/// Whose bit rotted may lack what is committed, but nobody else, and it no longer once it has all again.
#[test]
fn a_rotten_bit_excuses_one_replica_until_it_has_caught_up() {
    let rotten = |spreads: bool| {
        let mut checks = cluster(&[LEADER, FOLLOWER, THIRD], &[]);
        for offset in 0..4 {
            checks.has(LEADER, 1, offset, &format!("v{offset}"));
            checks.has(FOLLOWER, 1, offset, &format!("v{offset}"));
        }
        checks.committed_to(LEADER, 4);
        checks.rotted(&TOPIC, 0, Rot { replica: FOLLOWER, from: 0, spreads, is_cut: false });
        checks
    };
    let cut = |spreads: bool| {
        let mut checks = rotten(spreads);
        checks.mounted(2, FOLLOWER, 0, (Offset(0), Offset(0)), false);
        checks
    };
    let mut checks = rotten(false);
    checks.has(THIRD, 2, 0, "other");
    assert_eq!(checks.verdict(), Some(Check::AckedStays), "a third one has no rotten bit");
    let mut checks = cut(false);
    checks.has(THIRD, 2, 0, "other");
    assert_eq!(checks.verdict(), Some(Check::AckedStays), "nor when the other was cut");
    let mut checks = cut(false);
    checks.has(FOLLOWER, 2, 0, "other");
    assert_eq!((checks.verdict(), checks.allowed()), (None, 1), "which may lead with what it has left");

    let caught_up = |mut checks: Checks, from: i64| {
        for offset in from..6 {
            for pid in [LEADER, FOLLOWER] {
                if checks.partitions[0].has(pid) == offset {
                    checks.has(pid, 1, offset, &format!("v{offset}"));
                }
            }
        }
        checks.committed_to(LEADER, 6);
        assert_eq!(checks.verdict(), None);
        checks.truncated(3, FOLLOWER, 0, Offset(5));
        checks.has(FOLLOWER, 2, 5, "other");
        checks.verdict()
    };
    assert_eq!(caught_up(rotten(false), 4), None, "as long as it has it, it may lose what comes later");
    assert_eq!(caught_up(cut(false), 0), Some(Check::AckedStays), "no longer once it was cut and has caught up");
    assert_eq!(caught_up(cut(true), 0), None, "what others may have copied they have still");
    let mut checks = cut(true);
    checks.truncated(2, LEADER, 0, Offset(0));
    assert_eq!(caught_up(checks, 0), Some(Check::AckedStays), "until nobody has anything from there on");
}

/// Unclean elections let a leader come back that has cut its log below what it had committed.
#[test]
fn a_leader_that_was_cut_commits_anew() {
    let unclean = ("unclean.leader.election.enable".into(), "true".into());
    let mut checks = cluster(&[LEADER, FOLLOWER], &[unclean]);
    for offset in 0..3 {
        checks.has(LEADER, 1, offset, &format!("v{offset}"));
        checks.committed_to(LEADER, offset + 1);
    }
    checks.has(FOLLOWER, 2, 0, "other");
    checks.truncated(2, LEADER, 0, Offset(0));
    checks.has(LEADER, 2, 0, "other");
    checks.committed_to(LEADER, 1);
    assert_eq!(checks.broken(), None);
    checks.committed_to(LEADER, 0);
    assert_eq!(checks.verdict(), Some(Check::HighWatermark));
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
        checks.committed_to(LEADER, 1);
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

/// Brokers 1 to 3, the processes above, of which one may be fenced, and a partition of the first two.
fn image(isr: &[i32], elr: &[i32], leader_epoch: i32, fenced: i32) -> Image {
    image_of(&[1, 2], isr, elr, leader_epoch, fenced)
}

fn image_of(replicas: &[i32], isr: &[i32], elr: &[i32], leader_epoch: i32, fenced: i32) -> Image {
    let mut image = Image::default();
    let brokers = (1..=3).map(|id| {
        MetadataRecord::RegisterBroker(RegisterBrokerRecord {
            broker_id: id,
            fenced: id == fenced,
            ..RegisterBrokerRecord::default()
        })
    });
    let topic = MetadataRecord::Topic(TopicRecord { name: TOPIC, topic_id: Uuid([7; 16]) });
    let partition = MetadataRecord::Partition(PartitionRecord {
        topic_id: Uuid([7; 16]),
        partition_id: 0,
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
        eligible_leader_replicas: Some(elr.to_vec()),
        leader: isr[0],
        leader_epoch,
        partition_epoch: leader_epoch,
        directories: vec![Uuid([1; 16]); replicas.len()],
        ..PartitionRecord::default()
    });
    for (offset, record) in brokers.chain([topic, partition]).enumerate() {
        image.apply(Offset(offset as i64), &record).expect("it is sound");
    }
    image
}

fn with_nodes(mut checks: Checks) -> Checks {
    for (id, pid) in [(1, LEADER), (2, FOLLOWER), (3, THIRD)] {
        checks.node(NodeId(id), pid, &Str::from(format!("b{id}")));
    }
    checks
}

#[test]
fn who_is_in_sync_is_a_replica_and_not_fenced() {
    let shown = |isr: &[i32], elr: &[i32], fenced: i32| {
        let mut checks = with_nodes(Checks::default());
        checks.check_image(1, &image(isr, elr, 0, fenced), None);
        checks.verdict()
    };
    assert_eq!(shown(&[1, 2], &[], 3), None);
    assert_eq!(shown(&[1, 3], &[], 0), Some(Check::Isr), "a stranger");
    assert_eq!(shown(&[1], &[3], 0), Some(Check::Isr), "an eligible stranger");
    assert_eq!(shown(&[1, 2], &[], 2), Some(Check::FencedInSync));
    assert_eq!(shown(&[1], &[], 1), None, "the last one stays");
    assert_eq!(shown(&[1], &[2], 1), Some(Check::FencedInSync), "but not with an ELR");
    assert_eq!(shown(&[1], &[2], 2), None, "who is eligible may be fenced");
    assert_eq!(shown(&[1, 2], &[2], 0), Some(Check::Elr));
}

#[test]
fn who_begins_to_lead_or_is_in_sync_has_what_is_committed() {
    let begun = || {
        let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[]));
        checks.check_image(1, &image(&[1, 2], &[], 0, 0), None);
        checks.has(LEADER, 0, 0, "a");
        checks.has(FOLLOWER, 0, 0, "a");
        checks.has(LEADER, 0, 1, "b");
        checks
    };
    let isr = node::Event::Isr { topic: TOPIC, partition: 0, isr: vec![NodeId(1), NodeId(2)] };
    let mut checks = begun();
    checks.node_said(2, LEADER, &isr);
    checks.committed_to(LEADER, 1);
    assert_eq!(checks.verdict(), None);
    checks.committed_to(LEADER, 2);
    assert_eq!(checks.verdict(), Some(Check::StrongIsr), "one in sync does not have it");
    let what = "t-0 is committed up to 2, and b2, which is in sync, has it up to 1";
    assert_eq!(checks.broken().map(|it| &*it.what), Some(what), "by the name that people know it by");

    let later = |isr: &[i32]| {
        let mut image = image(isr, &[], 1, 0);
        let more = MetadataRecord::Topic(TopicRecord { name: "more".into(), topic_id: Uuid([8; 16]) });
        image.apply(Offset(9), &more).expect("it is sound");
        let mut checks = begun();
        checks.committed_to(LEADER, 2);
        checks.check_image(3, &image, None);
        checks.verdict()
    };
    assert_eq!(later(&[1]), None);
    assert_eq!(later(&[1, 2]), Some(Check::StrongIsr));
    assert_eq!(later(&[2, 1]), Some(Check::LeaderCompleteness));
}

/// Who asks for an unclean election accepts what comes of it, and of nothing else.
#[test]
fn an_unclean_election_that_was_asked_for_excuses_what_it_loses() {
    let partition = |partition: i32| TopicPartition { topic: TOPIC, partition };
    let later = |isr: &[i32]| {
        let mut image = image(isr, &[], 1, 0);
        let more = MetadataRecord::Topic(TopicRecord { name: "more".into(), topic_id: Uuid([8; 16]) });
        image.apply(Offset(9), &more).expect("it is sound");
        image
    };
    let elected = |before: &[i32], ask: &dyn Fn(&mut Checks)| {
        let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[]));
        checks.check_image(1, &image(before, &[], 0, 0), None);
        checks.has(LEADER, 0, 0, "a");
        checks.committed_to(LEADER, 1);
        ask(&mut checks);
        checks.check_image(2, &later(&[2]), None);
        checks.has(FOLLOWER, 1, 0, "other");
        (checks.broken().map(|it| it.check), checks.allowed())
    };
    let (broken, asked) =
        ((Some(Check::LeaderCompleteness), 0), |it: &mut Checks| it.unclean_asked(CLIENT, 7, &partition(0)));
    assert_eq!(elected(&[1], &asked), (None, 1));
    assert_eq!(elected(&[1], &|_| {}), broken, "nobody asked");
    assert_eq!(elected(&[1, 2], &asked), broken, "it was in sync: that election is clean");
    assert_eq!(elected(&[1], &|it| it.unclean_asked(CLIENT, 7, &partition(1))), broken, "that is another partition");
    let answered = |it: &mut Checks| {
        asked(it);
        it.unclean_answered(CLIENT, 7);
    };
    assert_eq!(elected(&[1], &answered), broken, "what was asked for was refused");
}

/// What an unclean election costs is told when it is over: what its leader commits since has to stay.
#[test]
fn an_unclean_election_excuses_nothing_that_comes_after_it() {
    let setting: Setting = ("unclean.leader.election.enable".into(), "true".into());
    for settings in [&[][..], &[setting]] {
        let before = |later: bool| {
            let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER, THIRD], settings));
            checks.check_image(1, &image(&[1], &[], 0, 0), None);
            checks.has(LEADER, 0, 0, "a");
            checks.committed_to(LEADER, 1);
            let at = TopicPartition { topic: TOPIC, partition: 0 };
            checks.unclean_asked(CLIENT, 7, &at);
            let mut elected = image(&[2], &[], 1, 0);
            let more = MetadataRecord::Topic(TopicRecord { name: "more".into(), topic_id: Uuid([8; 16]) });
            elected.apply(Offset(9), &more).expect("it is sound");
            checks.check_image(2, &elected, None);
            checks.unclean_answered(CLIENT, 7);
            for pid in [FOLLOWER, THIRD] {
                checks.has(pid, 1, 0, "b");
            }
            checks.committed_to(FOLLOWER, 1);
            assert_eq!((checks.broken(), checks.allowed()), (None, 1), "a is lost by that election");
            if later {
                // Nobody has what the new leader had committed.
                checks.truncated(3, FOLLOWER, 0, Offset(0));
                checks.truncated(3, THIRD, 0, Offset(0));
            }
            checks.verdict()
        };
        assert_eq!(before(false), None);
        assert_eq!(before(true), Some(Check::AckedStays), "{settings:?}");
    }
}

/// A leader that stood still while another was elected uncleanly goes on, with what had reached it, until it hears of that.
#[test]
fn who_was_given_up_by_an_unclean_election_commits_nothing() {
    let setting: Setting = ("unclean.leader.election.enable".into(), "true".into());
    let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[setting]));
    checks.has(LEADER, 0, 0, "a");
    let leads = node::Event::Leads { topic: TOPIC, partition: 0, leader_epoch: LeaderEpoch(0), isr: vec![NodeId(1)] };
    checks.node_said(1, LEADER, &leads);
    checks.check_image(1, &image(&[1], &[], 0, 0), None);
    checks.committed_to(LEADER, 1);
    checks.check_image(2, &image(&[2], &[], 1, 0), None);
    checks.has(FOLLOWER, 1, 0, "b");
    checks.has(LEADER, 0, 1, "c");
    checks.committed_to(LEADER, 2);
    assert_eq!(checks.verdict(), None);
}

/// Its producer hears late that it is written, when it is lost; whoever has it leads once more, and is deposed again.
#[test]
fn what_is_acknowledged_after_it_was_lost_is_lost_as_long_as_it_is_not_regained() {
    let setting: Setting = ("unclean.leader.election.enable".into(), "true".into());
    let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[setting]));
    checks.sent(CLIENT, 0, None, Some(b"a"));
    checks.has(LEADER, 0, 0, "a");
    let elect = |checks: &mut Checks, leader: Pid, epoch: i32, base: i64, value: &str| {
        checks.check_image(1, &image(&[i32::from(leader.0)], &[], epoch, 0), None);
        checks.has(leader, epoch, base, value);
    };
    elect(&mut checks, FOLLOWER, 1, 0, "b");
    assert_eq!(checks.acked_lost(), 0);
    checks.told(0, 0);
    assert_eq!(checks.acked_lost(), 1);
    elect(&mut checks, LEADER, 2, 1, "c");
    assert_eq!(checks.acked_lost(), 0, "it is the partition's again");
    elect(&mut checks, FOLLOWER, 3, 1, "d");
    assert_eq!((checks.acked_lost(), checks.broken()), (1, None));
    let acked: Vec<u64> = checks.findings().iter().map(|it| it.acked).filter(|it| *it > 0).collect();
    assert_eq!(acked, [1, 1], "what was lost when it was told ok is lost once more");
}

#[test]
fn nothing_is_committed_by_too_few() {
    let moved = |isr: &[i32]| {
        let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[("min.insync.replicas".into(), "2".into())]));
        checks.has(LEADER, 0, 0, "a");
        checks.has(FOLLOWER, 0, 0, "a");
        let isr = isr.iter().map(|id| NodeId(*id)).collect();
        checks.node_said(1, LEADER, &node::Event::Isr { topic: TOPIC, partition: 0, isr });
        checks.committed_to(LEADER, 1);
        checks.verdict()
    };
    assert_eq!(moved(&[1, 2]), None);
    assert_eq!(moved(&[1]), Some(Check::StrongIsr));
}

/// Of a topic that a client had made before the one that was asked for, which asks for nothing, and of one that has a single
/// replica since.
#[test]
fn too_few_are_fewer_than_the_topic_has_to_have() {
    let moved = |image: &dyn Fn(bool) -> Image| {
        let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER], &[("min.insync.replicas".into(), "2".into())]));
        checks.topics_exist(&image(false));
        checks.check_image(1, &image(false), None);
        checks.has(LEADER, 0, 0, "a");
        checks.has(FOLLOWER, 0, 0, "a");
        checks.topics_exist(&image(true));
        checks.node_said(1, LEADER, &node::Event::Isr { topic: TOPIC, partition: 0, isr: vec![NodeId(1)] });
        checks.committed_to(LEADER, 1);
        checks.verdict()
    };
    let configured = |mut image: Image, more: i64| {
        let setting = MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: TOPIC,
            name: "min.insync.replicas".into(),
            value: Some("2".into()),
        });
        for offset in 9..=9 + more {
            image.apply(Offset(offset), &setting).expect("it is sound");
        }
        image
    };
    let of_two = |later: bool| configured(image(&[1], &[], 0, 0), later.into());
    let of_one = |later: bool| match later {
        true => configured(image_of(&[1], &[1], &[], 1, 0), 1),
        false => of_two(false),
    };
    assert_eq!(moved(&of_two), Some(Check::StrongIsr));
    assert_eq!(moved(&of_one), None, "it is all there are");
    assert_eq!(moved(&|_| image(&[1], &[], 0, 0)), None, "it was made without settings");
}

/// A replica that was reassigned gives its log up, and one whose machine lost power comes back without the end of it, in sync no
/// more; a leader that has not heard of that counts what it had.
#[test]
fn who_is_in_sync_no_more_needs_no_log() {
    let moved = |replicas: &[i32], isr: &[i32]| {
        let mut checks = with_nodes(cluster(&[LEADER, FOLLOWER, THIRD], &[]));
        for pid in [LEADER, FOLLOWER, THIRD] {
            checks.has(pid, 0, 0, "a");
        }
        let before = vec![NodeId(1), NodeId(2), NodeId(3)];
        checks.node_said(1, LEADER, &node::Event::Isr { topic: TOPIC, partition: 0, isr: before });
        checks.check_image(2, &image_of(replicas, isr, &[], 0, 0), None);
        checks.removed(THIRD, 0);
        checks.committed_to(LEADER, 1);
        checks.verdict()
    };
    assert_eq!(moved(&[1, 2], &[1, 2]), None);
    assert_eq!(moved(&[1, 2, 3], &[1, 2]), None);
    assert_eq!(moved(&[1, 2, 3], &[1, 2, 3]), Some(Check::StrongIsr), "who is must not");
}

#[test]
fn a_controller_begins_with_all_that_is_committed() {
    let mut checks = Checks::default();
    checks.quorum_appended(0, LEADER, &batch(1, 0, "a"));
    checks.quorum_appended(0, FOLLOWER, &batch(1, 0, "a"));
    checks.quorum_committed(1, LEADER, Offset(0), Offset(1));
    checks.quorum_appended(0, LEADER, &batch(1, 1, "b"));
    checks.controls(2, FOLLOWER, LeaderEpoch(2));
    assert_eq!(checks.verdict(), None, "the second was not committed");
    checks.quorum_committed(3, LEADER, Offset(0), Offset(2));
    checks.controls(4, FOLLOWER, LeaderEpoch(3));
    assert_eq!(checks.verdict(), Some(Check::LeaderCompleteness));

    let mut checks = Checks::default();
    checks.quorum_appended(0, LEADER, &batch(1, 0, "a"));
    checks.quorum_committed(1, LEADER, Offset(0), Offset(1));
    checks.quorum_appended(0, FOLLOWER, &batch(2, 0, "other"));
    checks.quorum_appended(0, FOLLOWER, &batch(2, 1, "more"));
    checks.quorum_committed(2, FOLLOWER, Offset(0), Offset(2));
    assert_eq!(checks.verdict(), Some(Check::LeaderCompleteness), "what is committed stays");
}

#[test]
fn metadata_logs_have_the_same_where_they_have_the_same_epoch() {
    let appended = |more: &[(Pid, i32, i64, &'static str)]| {
        let mut checks = Checks::default();
        for (pid, epoch, base, value) in
            [(LEADER, 1, 0, "a"), (FOLLOWER, 1, 0, "a"), (LEADER, 2, 1, "b")].iter().chain(more)
        {
            checks.quorum_appended(1, *pid, &batch(*epoch, *base, value));
        }
        checks.verdict()
    };
    assert_eq!(appended(&[(FOLLOWER, 2, 1, "b"), (FOLLOWER, 2, 2, "c"), (LEADER, 2, 2, "c")]), None);
    assert_eq!(appended(&[(FOLLOWER, 1, 1, "x")]), None, "one of another epoch is another one");
    assert_eq!(appended(&[(FOLLOWER, 2, 1, "x")]), Some(Check::LogMatching), "another record");
    let other_before = [(THIRD, 0, 0, "z"), (THIRD, 2, 1, "b")];
    assert_eq!(appended(&other_before), Some(Check::LogMatching), "the record before is another one");
    assert_eq!(appended(&other_before[1..]), None, "of what is before its log begins it says nothing");
}

#[test]
fn nobody_takes_less_of_the_metadata_for_committed_than_before() {
    let mut checks = Checks::default();
    checks.quorum_appended(1, LEADER, &batch(1, 0, "a"));
    checks.quorum_committed(1, LEADER, Offset(0), Offset(1));
    checks.quorum_committed(2, FOLLOWER, Offset(0), Offset(0));
    assert_eq!(checks.verdict(), None, "each for itself");
    checks.quorum_committed(3, LEADER, Offset(1), Offset(0));
    assert_eq!(checks.verdict(), Some(Check::HighWatermark));
}

/// Two records of the same epoch at an offset, and others before them: the cut before KIP-279 left such logs.
#[test]
fn logs_with_a_record_in_common_are_the_same_before_it() {
    let mut checks = cluster(&[LEADER, FOLLOWER, THIRD], &[]);
    checks.has(LEADER, 1, 0, "a");
    checks.has(FOLLOWER, 0, 0, "b");
    checks.has(LEADER, 2, 1, "c");
    assert_eq!(checks.broken(), None);
    checks.has(FOLLOWER, 2, 1, "c");
    assert_eq!(checks.verdict(), Some(Check::LogMatching));
}

/// A consumer had read five records when the log was cut to three; it goes on at its place in what came instead.
#[test]
fn a_consumer_is_told_that_the_log_was_cut() {
    let read = |is_told: bool, answer: Option<(i32, i64)>| {
        let unclean = ("unclean.leader.election.enable".into(), "true".into());
        let mut checks = cluster(&[LEADER, FOLLOWER], &[unclean]);
        let consume = |checks: &mut Checks, offset: i64, value: &'static str| {
            let record = ConsumerRecord {
                partition: TopicPartition { topic: TOPIC, partition: 0 },
                leader_epoch: LeaderEpoch(1),
                log_append_time: false,
                record: Record {
                    offset: Offset(offset),
                    timestamp: WallMs(0),
                    key: None,
                    value: Some(Bytes::from_static(value.as_bytes())),
                    headers: Vec::new(),
                },
            };
            checks.consumed(3, CLIENT, &record);
        };
        for (offset, value) in ["a", "b"].into_iter().enumerate() {
            checks.has(LEADER, 1, offset as i64, value);
            checks.committed_to(LEADER, offset as i64 + 1);
            consume(&mut checks, offset as i64, value);
        }
        for (offset, value) in ["x", "y", "z"].into_iter().enumerate() {
            checks.has(FOLLOWER, 2, offset as i64, value);
        }
        checks.committed_to(FOLLOWER, 3);
        if is_told {
            checks.reader_moved(CLIENT, &TopicPartition { topic: TOPIC, partition: 0 });
        }
        if let Some((leader_epoch, end_offset)) = answer {
            let partitions = vec![EpochEndOffset { leader_epoch, end_offset, ..EpochEndOffset::default() }];
            let topics = vec![OffsetForLeaderTopicResult { topic: TOPIC, partitions }];
            let body = OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics };
            checks.client_answered(2, CLIENT, (FOLLOWER, 1), &ResponseBody::OffsetForLeaderEpoch(body));
        }
        consume(&mut checks, 2, "z");
        checks.verdict()
    };
    assert_eq!(read(false, None), Some(Check::NoSkips));
    assert_eq!(read(true, None), None);
    assert_eq!(read(false, Some((0, 3))), None, "an older epoch that goes as far hides the cut");
    assert_eq!(read(false, Some((0, 1))), Some(Check::NoSkips), "where it ends before, the consumer sees it");
    assert_eq!(read(false, Some((1, 3))), Some(Check::NoSkips), "the leader does not have that epoch");
}

/// Two brokers lose their power. What they had not synced was never acknowledged, so it excuses no loss.
#[test]
fn a_power_cut_excuses_no_loss_of_what_is_synced() {
    let after_power_cut = |settings: &[Setting]| {
        let mut checks = cluster(&[LEADER, FOLLOWER, THIRD], settings);
        for pid in [LEADER, FOLLOWER] {
            checks.has(pid, 1, 0, "a");
        }
        checks.committed_to(LEADER, 1);
        for pid in [LEADER, FOLLOWER] {
            checks.broker_died(pid);
        }
        checks.mounted(2, FOLLOWER, 0, (Offset(0), Offset(0)), true);
        checks.has(THIRD, 2, 0, "other");
        checks.verdict()
    };
    assert_eq!(after_power_cut(&[]), None);
    assert_eq!(after_power_cut(&[("flush.messages".into(), "1".into())]), Some(Check::AckedStays));
}

/// A topic is made anew under its name, and a broker that is behind hears of the end of the old one only then.
#[test]
fn who_hears_late_of_an_old_topics_end_takes_no_promise_of_the_next() {
    let mut checks = cluster(&[LEADER, FOLLOWER], &[("unclean.leader.election.enable".into(), "true".into())]);
    checks.topics_exist(&image(&[1, 2], &[], 1, 0));
    let promised = |checks: &Checks| checks.topics.get(&TOPIC).is_some_and(|it| it.unclean);
    let gone = |id: u8| node::Event::TopicDeleted { topic: TOPIC, id: Uuid([id; 16]) };
    checks.node_said(2, FOLLOWER, &gone(3));
    assert!(promised(&checks));
    checks.node_said(3, LEADER, &gone(7));
    assert!(!promised(&checks));
}
