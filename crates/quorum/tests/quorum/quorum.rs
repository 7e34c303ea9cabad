//! A quorum of one over a disk in memory: what it writes, what survives, what it refuses.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use protocol::messages::{
    AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord, LeaderChangeMessage,
    MetadataRecord, NoOpRecord, VotersRecord, voters_record,
};
use protocol::records::{BatchBuilder, Compression, ControlType, PureCompressors, Record, control, read};
use protocol::{Instant, LeaderEpoch, NodeId, Now, Offset, Uuid, WallMs, decode, encode};
use quorum::{Endpoint, Output, Quorum, QuorumSetup, RoleKind, Ticket, Voter, VoterSet, VoterSource};
use storage::{DirId, Disk, LogId, MemoryDisk, Store, StoreError, StoreOp};

const NOW: Now = Now { mono: Instant(1), wall: WallMs(1_700_000_000_000) };
const DIRECTORY: Uuid = Uuid([7; 16]);

struct Rig {
    quorum: Quorum,
    store: Store<MemoryDisk>,
    queue: VecDeque<(Ticket, StoreOp)>,
    committed: Vec<(Offset, MetadataRecord)>,
    failed: Option<StoreError>,
}

impl Rig {
    fn on(disk: MemoryDisk) -> Rig {
        Rig::with(disk, 1 << 30)
    }

    fn with(disk: MemoryDisk, segment_bytes: i32) -> Rig {
        Rig::of(disk, QuorumSetup { segment_bytes, ..QuorumSetup::alone(NodeId(1), LogId(0), DirId(0)) })
    }

    fn of(disk: MemoryDisk, setup: QuorumSetup) -> Rig {
        let quorum = Quorum::new(QuorumSetup {
            directory_id: DIRECTORY,
            endpoints: vec![("CONTROLLER".into(), "here".into(), 9093)],
            ..setup
        });
        let store = Store::new(disk);
        let mut rig = Rig { quorum, store, queue: VecDeque::new(), committed: Vec::new(), failed: None };
        rig.act(|quorum, out| quorum.begin(NOW, out));
        rig
    }

    fn booted(disk: MemoryDisk) -> Rig {
        let mut rig = Rig::on(disk);
        rig.settle();
        rig
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Quorum, &mut Output) -> T) -> T {
        let mut out = Output::default();
        let answer = act(&mut self.quorum, &mut out);
        self.queue.extend(out.store);
        self.committed.extend(out.committed);
        self.failed = self.failed.take().or(out.failed);
        answer
    }

    /// Carries the next operation out.
    fn step(&mut self) -> Option<StoreOp> {
        let (ticket, op) = self.queue.pop_front()?;
        let result = self.store.execute(op.clone());
        self.act(|quorum, out| quorum.stored(NOW, ticket, result, out));
        Some(op)
    }

    fn settle(&mut self) {
        while self.step().is_some() {}
    }

    fn append(&mut self, records: Vec<MetadataRecord>) -> Offset {
        self.act(|quorum, out| quorum.append(NOW, records, out))
    }

    fn power_cut(self) -> MemoryDisk {
        let mut disk = self.store.into_disk();
        disk.power_cut();
        disk
    }

    fn file(&self, suffix: &str) -> Bytes {
        let files = self.store.disk().files();
        let found = files.into_iter().find(|(_, path, _)| path.ends_with(suffix));
        found.unwrap_or_else(|| panic!("no file ends with {suffix}")).2
    }
}

fn feature(name: &str, level: i16) -> MetadataRecord {
    FeatureLevelRecord { name: name.into(), feature_level: level }.into()
}

fn control_types(records: &[Record]) -> Vec<Option<ControlType>> {
    let key = |record: &Record| ControlType::of_key(record.key.as_deref().expect("control records have keys"));
    records.iter().map(|record| key(record).expect("a known key")).collect()
}

#[test]
fn an_empty_log_begins_with_its_leader_and_its_voters() {
    let rig = Rig::booted(MemoryDisk::new());
    assert!(rig.quorum.is_leader());
    assert_eq!(
        (rig.quorum.leader_epoch(), rig.quorum.log_end(), rig.quorum.high_watermark()),
        (LeaderEpoch(1), Offset(3), Offset(3))
    );
    assert_eq!(rig.committed, [], "control records are the quorum's own");
    let log = rig.file("__cluster_metadata-0/00000000000000000000.log");
    let batches: Vec<_> = read(&log, &PureCompressors).collect::<Result<_, _>>().expect("whole batches");
    let [(head, records)] = batches.as_slice() else { panic!("{batches:?}") };
    assert!(head.attributes.is_control());
    assert_eq!(head.leader_epoch, LeaderEpoch(1));
    assert_eq!(
        control_types(records),
        [Some(ControlType::LeaderChange), Some(ControlType::KRaftVersion), Some(ControlType::KRaftVoters)]
    );
    let value = |index: usize| records[index].value.clone().expect("a value");
    let leader: LeaderChangeMessage = decode(value(0), 0).expect("decodes");
    assert_eq!((leader.leader_id, leader.voters.len(), leader.granting_voters.len()), (1, 1, 1));
    let voters: VotersRecord = decode(value(2), 0).expect("decodes");
    assert_eq!((voters.voters[0].voter_directory_id, voters.voters[0].endpoints[0].port), (DIRECTORY, 9093));
    let state = rig.file("__cluster_metadata-0/quorum-state");
    let expected =
        r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
    assert_eq!(std::str::from_utf8(&state), Ok(expected));
}

#[test]
fn the_epoch_is_on_disk_before_its_first_batch() {
    let mut rig = Rig::on(MemoryDisk::new());
    let mut order = Vec::new();
    while let Some(op) = rig.step() {
        order.push(match op {
            StoreOp::Mount(..) => "mount",
            StoreOp::Put(storage::Cell::QuorumState(_), _) => "vote",
            StoreOp::Put(..) => "epochs",
            StoreOp::Append(..) => "append",
            StoreOp::Flush(_) => "flush",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(order, ["mount", "vote", "epochs", "append", "flush"]);
}

#[test]
fn a_decision_is_one_batch_and_commits_when_synced() {
    let mut rig = Rig::booted(MemoryDisk::new());
    let end = rig.append(vec![feature("a", 1), feature("b", 2)]);
    assert_eq!((end, rig.quorum.high_watermark(), rig.committed.len()), (Offset(5), Offset(3), 0));
    assert!(matches!(rig.step(), Some(StoreOp::Append(..))));
    assert_eq!(rig.committed.len(), 0, "written is not synced");
    assert!(matches!(rig.step(), Some(StoreOp::Flush(_))));
    assert_eq!(rig.committed, [(Offset(3), feature("a", 1)), (Offset(4), feature("b", 2))]);
    let log = rig.file(".log");
    let batches: Vec<_> = read(&log, &PureCompressors).collect::<Result<_, _>>().expect("whole batches");
    assert_eq!(batches.iter().map(|(head, _)| head.record_count).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn one_sync_covers_what_was_appended_while_another_ran() {
    let mut rig = Rig::booted(MemoryDisk::new());
    for level in 1..=5 {
        rig.append(vec![feature("a", level)]);
    }
    assert_eq!(rig.quorum.log_end(), Offset(8), "what is held back has its place");
    let (mut flushes, mut appends) = (0, 0);
    while let Some(op) = rig.step() {
        flushes += usize::from(matches!(op, StoreOp::Flush(_)));
        appends += usize::from(matches!(op, StoreOp::Append(..)));
    }
    // A log of which all is synced syncs before each further append, too.
    assert_eq!((appends, flushes, rig.quorum.high_watermark(), rig.committed.len()), (2, 2, Offset(8), 5));
    let log = rig.file(".log");
    let batches: Vec<_> = read(&log, &PureCompressors).collect::<Result<_, _>>().expect("whole batches");
    assert_eq!(batches.iter().map(|(head, _)| head.record_count).collect::<Vec<_>>(), [3, 1, 4]);
}

#[test]
fn what_was_committed_survives_a_power_cut_in_a_new_epoch() {
    let mut rig = Rig::booted(MemoryDisk::new());
    rig.append(vec![feature("a", 1), NoOpRecord::default().into()]);
    rig.settle();
    let before = rig.committed.clone();
    rig.append(vec![feature("lost", 1)]);
    rig.step();
    let rig = Rig::booted(rig.power_cut());
    assert_eq!(rig.committed, before);
    assert_eq!((rig.quorum.leader_epoch(), rig.quorum.log_end()), (LeaderEpoch(2), Offset(6)));
    let checkpoint = rig.file("__cluster_metadata-0/leader-epoch-checkpoint");
    assert_eq!(std::str::from_utf8(&checkpoint), Ok("0\n2\n1 0\n2 5\n"));
}

#[test]
fn a_vote_without_a_batch_is_not_given_twice() {
    let mut rig = Rig::on(MemoryDisk::new());
    while !matches!(rig.queue.front(), Some((_, StoreOp::Append(..)))) {
        rig.step().expect("the first batch comes");
    }
    let rig = Rig::booted(rig.power_cut());
    assert_eq!(rig.quorum.leader_epoch(), LeaderEpoch(2));
}

#[test]
fn a_segment_that_is_old_is_closed_by_the_next_record() {
    let hour = 3_600_000;
    let alone = QuorumSetup::alone(NodeId(1), LogId(0), DirId(0));
    let mut rig = Rig::of(MemoryDisk::new(), QuorumSetup { segment_ms: hour, ..alone });
    rig.settle();
    for (after, segments) in [(hour, 1), (hour + 1, 2), (hour + 2, 2)] {
        let now = Now { wall: WallMs(NOW.wall.0 + after), ..NOW };
        rig.act(|quorum, out| quorum.append(now, vec![feature("a", 1)], out));
        rig.settle();
        let found = rig.store.disk().files().iter().filter(|(_, path, _)| path.ends_with(".log")).count();
        assert_eq!(found, segments, "after {after} ms");
    }
}

#[test]
fn decisions_wait_for_others_if_they_are_to() {
    let alone = QuorumSetup::alone(NodeId(1), LogId(0), DirId(0));
    let mut rig = Rig::of(MemoryDisk::new(), QuorumSetup { append_linger_ms: 25, ..alone });
    rig.settle();
    let at = |ms: i64| Now { mono: NOW.mono.plus_ms(ms), ..NOW };
    let end = [0, 20].map(|ms| rig.act(|quorum, out| quorum.append(at(ms), vec![feature("a", 1)], out)))[1];
    assert_eq!(rig.quorum.wake_at(), Some(at(25).mono), "the first has waited long enough by then");
    rig.act(|quorum, out| quorum.wake(at(24), out));
    assert_eq!(rig.queue.len(), 0);
    rig.act(|quorum, out| quorum.wake(at(25), out));
    let appends = rig.queue.iter().filter(|(_, op)| matches!(op, StoreOp::Append(..))).count();
    assert_eq!(appends, 1, "both as one batch");
    rig.settle();
    assert_eq!(rig.quorum.high_watermark(), end);
    // Who stops waits for nobody.
    let end = rig.act(|quorum, out| quorum.append(at(30), vec![feature("a", 1)], out));
    rig.act(|quorum, out| quorum.stop(at(31), out));
    rig.settle();
    assert_eq!(rig.quorum.high_watermark(), end);
}

#[test]
fn who_stops_lets_no_decision_wait_for_others() {
    let alone = QuorumSetup::alone(NodeId(1), LogId(0), DirId(0));
    let mut rig = Rig::of(MemoryDisk::new(), QuorumSetup { append_linger_ms: 25, ..alone });
    rig.settle();
    rig.act(|quorum, out| quorum.stop(NOW, out));
    // The disk is at the first when the second comes.
    let end = ["a", "b"].map(|name| rig.append(vec![feature(name, 1)]))[1];
    assert_eq!(rig.quorum.wake_at(), None);
    rig.act(|quorum, out| quorum.wake(Now { mono: NOW.mono.plus_ms(25), ..NOW }, out));
    assert_eq!(rig.quorum.wake_at(), None);
    rig.settle();
    assert_eq!(rig.quorum.high_watermark(), end);
}

#[test]
fn a_log_of_many_segments_is_replayed_whole() {
    let mut rig = Rig::with(MemoryDisk::new(), 300);
    rig.settle();
    let names: Vec<String> = (0..40).map(|index| format!("feature-{index}")).collect();
    for name in &names {
        rig.append(vec![feature(name, 1)]);
        rig.settle();
    }
    // A decision larger than a segment, and larger than what is read at a time.
    let large = "x".repeat(30_000);
    rig.append((0..50).map(|_| feature(&large, 1)).collect());
    rig.settle();
    let segments = rig.store.disk().files().iter().filter(|(_, path, _)| path.ends_with(".log")).count();
    assert!(segments > 5, "{segments} segments");
    let expected = rig.committed.clone();
    assert_eq!(expected.len(), 90);
    let rig = Rig::booted(rig.power_cut());
    assert_eq!(rig.failed, None);
    assert_eq!(rig.committed, expected);
}

#[test]
fn a_transaction_is_seen_when_it_ended_or_not_at_all() {
    let begin = || BeginTransactionRecord { name: None };
    let mut rig = Rig::booted(MemoryDisk::new());
    rig.append(vec![begin().into(), feature("a", 1)]);
    rig.settle();
    assert_eq!(rig.committed, []);
    rig.append(vec![feature("b", 1), EndTransactionRecord::default().into()]);
    rig.settle();
    assert_eq!(rig.committed.iter().map(|(offset, _)| offset.0).collect::<Vec<_>>(), [3, 4, 5, 6]);
    rig.append(vec![begin().into(), feature("c", 1)]);
    rig.settle();
    let rig = Rig::booted(rig.power_cut());
    let last = rig.committed.last().expect("something is committed");
    assert_eq!(*last, (Offset(10), AbortTransactionRecord::default().into()), "its leader is gone");
    assert!(!rig.committed.iter().any(|(_, record)| *record == feature("c", 1)));
}

#[test]
fn bytes_that_are_no_metadata_are_refused() {
    let mut rig = Rig::booted(MemoryDisk::new());
    rig.append(vec![feature("a", 1)]);
    rig.settle();
    let mut disk = rig.power_cut();
    let file = disk.open(DirId(0), "__cluster_metadata-0/quorum-state", false).expect("is there");
    disk.set_len(&file, 0).expect("cut");
    disk.write_at(&file, 0, &[Bytes::from_static(b"{}")]).expect("written");
    let rig = Rig::booted(disk);
    assert!(
        matches!(&rig.failed, Some(StoreError::Corrupt(what)) if what.contains("quorum-state")),
        "{:?}",
        rig.failed
    );
    assert!(!rig.quorum.is_leader());
}

#[test]
fn a_disk_that_fails_ends_leadership() {
    let mut rig = Rig::booted(MemoryDisk::new());
    rig.append(vec![feature("a", 1)]);
    let (ticket, _) = rig.queue.pop_front().expect("an append");
    rig.act(|quorum, out| quorum.stored(NOW, ticket, Err(StoreError::Io("broken".into())), out));
    assert_eq!(rig.failed, Some(StoreError::Io("broken".into())));
    assert!(!rig.quorum.is_leader());
    assert_eq!(rig.committed, []);
}

#[test]
fn the_majority_decides() {
    let mark = |current: i64, ends: &[i64]| {
        quorum::voters::high_watermark(Offset(current), ends.iter().copied().map(Offset)).0
    };
    let table: &[(i64, &[i64], i64)] = &[
        (0, &[], 0),
        (0, &[7], 7),
        (0, &[7, 3], 3),
        (0, &[7, 3, 5], 5),
        (0, &[9, 9, 1, 1], 1),
        (0, &[9, 9, 4, 1, 1], 4),
        (6, &[7, 3, 5], 6),
    ];
    for (current, ends, expected) in table {
        assert_eq!(mark(*current, ends), *expected, "{ends:?}");
    }
}

/// A disk with these files beside an empty log of the metadata.
fn disk_with(files: &[(&str, Bytes)]) -> MemoryDisk {
    let mut disk = MemoryDisk::new();
    disk.create_dir(DirId(0), "__cluster_metadata-0").expect("created");
    for (path, bytes) in files {
        let file = disk.open(DirId(0), path, true).expect("created");
        disk.write_at(&file, 0, std::slice::from_ref(bytes)).expect("written");
    }
    disk
}

/// A snapshot as Apache Kafka writes it: control records first, metadata, the footer last.
fn snapshot(voters: Option<Bytes>, records: &[MetadataRecord], footer: bool) -> Bytes {
    let mut bytes = BytesMut::new();
    let empty = || Bytes::from_static(&[0, 0, 0]);
    let mut first = vec![(ControlType::SnapshotHeader, empty())];
    first.extend(voters.map(|voters| (ControlType::KRaftVoters, voters)));
    let mut next = Offset(0);
    let control = |bytes: &mut BytesMut, next: &mut Offset, records: &[(ControlType, Bytes)]| {
        for piece in control::quorum_batch(*next, LeaderEpoch(0), NOW.wall, records).write_pieces() {
            bytes.extend_from_slice(&piece);
        }
        *next = next.plus(records.len() as i64);
    };
    control(&mut bytes, &mut next, &first);
    let mut builder = BatchBuilder::new(Compression::None).place(next, LeaderEpoch(0));
    for record in records {
        let mut record = record.clone();
        let version = *record.versions().end();
        builder.push(NOW.wall, None, Some(&record.encode(version).expect("fits")), &[]);
    }
    if !records.is_empty() {
        bytes.extend_from_slice(&builder.build(&PureCompressors).expect("is not compressed"));
        next = next.plus(records.len() as i64);
    }
    if footer {
        control(&mut bytes, &mut next, &[(ControlType::SnapshotFooter, empty())]);
    }
    bytes.freeze()
}

fn voters(ids: &[i32]) -> Bytes {
    let endpoint = || voters_record::Endpoint { name: "CONTROLLER".into(), host: "here".into(), port: 9093 };
    let voter = |id: &i32| voters_record::Voter {
        voter_id: *id,
        voter_directory_id: DIRECTORY,
        endpoints: vec![endpoint()],
        kraft_version_feature: voters_record::KRaftVersionFeature { max_supported_version: 1, ..Default::default() },
    };
    let mut record = VotersRecord { voters: ids.iter().map(voter).collect(), ..VotersRecord::default() };
    let mut bytes = BytesMut::new();
    encode(&mut record, 0, &mut bytes).expect("fits");
    bytes.freeze()
}

fn voter_set(ids: &[i32]) -> VoterSet {
    VoterSet::of(ids.iter().map(|id| Voter {
        id: NodeId(*id),
        directory_id: DIRECTORY,
        endpoints: vec![("CONTROLLER".into(), "here".into(), 9093)],
        kraft_versions: (0, 1),
    }))
}

fn failure(rig: &Rig) -> &str {
    match &rig.failed {
        Some(StoreError::Corrupt(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_stands_for_the_beginning_of_the_log() {
    let mut rig = Rig::with(MemoryDisk::new(), 100);
    rig.settle();
    for level in 1..=6 {
        rig.append(vec![feature("a", level)]);
        rig.settle();
    }
    let mut disk = rig.power_cut();
    let held = [feature("a", 3), feature("metadata.version", 25)];
    let bytes = snapshot(Some(voters(&[1])), &held, true);
    let file = disk.open(DirId(0), "__cluster_metadata-0/00000000000000000006-0000000001.checkpoint", true);
    disk.write_at(&file.expect("created"), 0, &[bytes]).expect("written");
    // As Apache Kafka does when a snapshot stands for them.
    for base in [0, 3, 4, 5] {
        disk.remove(DirId(0), &format!("__cluster_metadata-0/{base:020}.log")).expect("removed");
    }
    let rig = Rig::booted(disk);
    assert_eq!(rig.failed, None);
    let [first, second] = held;
    let mut expected = vec![(Offset(5), first), (Offset(5), second)];
    expected.extend((4..=6).map(|level| (Offset(2 + i64::from(level)), feature("a", level))));
    assert_eq!(rig.committed, expected);
    assert_eq!(rig.quorum.log_end(), Offset(10), "and the new leader's first batch");
    let mut disk = rig.power_cut();
    disk.remove(DirId(0), "__cluster_metadata-0/00000000000000000006-0000000001.checkpoint").expect("removed");
    let rig = Rig::booted(disk);
    assert!(failure(&rig).contains("no snapshot holds what came before"), "{}", failure(&rig));
}

/// The log before a snapshot stays as long as the snapshot before that one is not too old (metadata.max.retention.ms).
#[test]
fn the_log_outlives_the_snapshots_that_stand_for_it() {
    let mut rig = Rig::with(MemoryDisk::new(), 100);
    rig.settle();
    let start = |rig: &mut Rig, ms: i64, limit_ms: i64| {
        let now = Now { wall: WallMs(NOW.wall.0 + ms), ..NOW };
        rig.act(|quorum, out| quorum.retain(now, (-1, limit_ms), out));
        rig.settle();
        let names = rig.store.disk().files().into_iter().map(|(_, path, _)| path);
        let bases = names.filter_map(|it| it.strip_suffix(".log")?.rsplit_once('/')?.1.parse::<i64>().ok());
        bases.min().expect("a log has a file")
    };
    let snapshot_at = |rig: &mut Rig, ms: i64, level: i16| {
        rig.append(vec![feature("a", level)]);
        rig.settle();
        let now = Now { wall: WallMs(NOW.wall.0 + ms), ..NOW };
        rig.act(|quorum, out| {
            let mut writer = quorum.begin_snapshot(now).expect("there is something new");
            writer.push(vec![feature("a", level)]);
            quorum.finish_snapshot(writer, out);
        });
        rig.settle();
    };
    snapshot_at(&mut rig, 0, 1);
    assert_eq!(start(&mut rig, 5_000, 1_000), 0, "the only snapshot is the newest, however old it is");
    snapshot_at(&mut rig, 1_000, 2);
    snapshot_at(&mut rig, 2_000, 3);
    rig.append(vec![feature("a", 9)]);
    rig.settle();
    assert_eq!(start(&mut rig, 1_000, 1_000), 0);
    assert_eq!(start(&mut rig, 1_001, 1_000), 5, "the first is too old, and goes with what is before the second");
    assert_eq!(start(&mut rig, 9_000, 1_000), 6, "the second, too; the third stays");
    // After a restart the newest is known, and nothing of those before it.
    let mut rig = Rig::with(rig.store.into_disk(), 100);
    rig.settle();
    assert_eq!(start(&mut rig, 90_000, 1_000), 6);
    snapshot_at(&mut rig, 3_000, 4);
    let left = start(&mut rig, 90_000, 1_000);
    assert!(left > 6, "{left}");
    snapshot_at(&mut rig, 4_000, 5);
    assert_eq!(start(&mut rig, 900_000, -1), left, "without a limit all of it stays");
}

#[test]
fn snapshots_that_do_not_hold_are_refused() {
    let path = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    for (bytes, says) in [
        (snapshot(None, &[], false), "its end is missing"),
        (snapshot(None, &[feature("metadata.version", 31)], true), "metadata.version 31, of a later Apache Kafka"),
        (snapshot(None, &[feature("metadata.version", 21)], true), "kafka-features.sh upgrade"),
    ] {
        let rig = Rig::booted(disk_with(&[(path, bytes)]));
        assert!(failure(&rig).contains(says), "{says}: {}", failure(&rig));
        assert!(!rig.quorum.is_leader());
    }
    let beyond = "__cluster_metadata-0/00000000000000000007-0000000001.checkpoint";
    let rig = Rig::booted(disk_with(&[(beyond, snapshot(None, &[], true))]));
    assert!(failure(&rig).contains("stands for more than the log has"), "{}", failure(&rig));
}

/// Whatever the configuration says or does not say of others: they are in the log, with their addresses.
#[test]
fn who_is_not_named_by_the_log_does_not_elect_itself() {
    let path = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    for (voters, role) in [(&[2][..], RoleKind::Unattached), (&[1, 2, 3], RoleKind::Unattached)] {
        let bytes = quorum::voters_checkpoint(NOW.wall, &voter_set(voters));
        let rig = Rig::booted(disk_with(&[(path, bytes)]));
        assert_eq!((rig.failed, rig.quorum.role()), (None, role));
    }
    let bytes = quorum::voters_checkpoint(NOW.wall, &voter_set(&[1]));
    let rig = Rig::booted(disk_with(&[(path, bytes)]));
    assert!(rig.quorum.is_leader(), "it is named, alone: {:?}", rig.failed);
    assert_eq!((rig.quorum.kraft_version(), rig.quorum.log_end()), (1, Offset(3)));
}

#[test]
fn a_formatted_directory_says_what_a_cluster_begins_with() {
    let records = [feature("metadata.version", 25), feature("group.version", 1)];
    let bytes = snapshot(None, &records, true);
    // Apache Kafka formats so for voters that only the configuration names: here it names nobody else.
    let mut rig = Rig::booted(disk_with(&[("bootstrap.checkpoint", bytes.clone())]));
    assert!(rig.quorum.is_leader(), "{:?}", rig.failed);
    assert_eq!(rig.quorum.take_bootstrap(), records);
    let first = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";
    let alone = quorum::voters_checkpoint(NOW.wall, &voter_set(&[1]));
    let mut rig = Rig::booted(disk_with(&[("bootstrap.checkpoint", bytes), (first, alone)]));
    assert_eq!(rig.failed, None);
    assert_eq!(rig.quorum.take_bootstrap(), records);
    rig.append(records.to_vec());
    rig.settle();
    let mut rig = Rig::booted(rig.power_cut());
    assert_eq!(rig.quorum.take_bootstrap(), [], "the log is not empty any more");
}

/// A single node cannot be grown to three by its configuration: its log goes on naming it alone, and it would elect itself.
#[test]
fn voters_of_the_log_are_not_changed_by_the_configuration() {
    let mut disk = Rig::booted(MemoryDisk::new()).power_cut();
    for (ids, is_refused) in [(&[1][..], false), (&[1, 2, 3], true), (&[1], false)] {
        let endpoint = |id: &i32| Endpoint { node: NodeId(*id), host: "here".into(), port: 9093 };
        let voters = VoterSource::Static(ids.iter().map(endpoint).collect());
        let mut rig = Rig::of(disk, QuorumSetup { voters, ..QuorumSetup::alone(NodeId(1), LogId(0), DirId(0)) });
        rig.settle();
        assert_eq!(rig.failed.is_some(), is_refused, "{ids:?}: {:?}", rig.failed);
        assert_ne!(rig.quorum.is_leader(), is_refused);
        if is_refused {
            assert!(
                failure(&rig).contains("node 1 alone votes, and controller.quorum.voters names 1,2,3"),
                "{:?}",
                rig.failed
            );
        }
        disk = rig.power_cut();
    }
}

#[test]
fn static_voters_stay_static() {
    let state = |voters: &str| {
        Bytes::from(format!(
            "{{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":4,\"votedId\":-1,\"appliedOffset\":0,\
             \"currentVoters\":[{voters}],\"data_version\":0}}"
        ))
    };
    let path = "__cluster_metadata-0/quorum-state";
    let rig = Rig::booted(disk_with(&[(path, state("{\"voterId\":1},{\"voterId\":2}"))]));
    assert!(failure(&rig).contains("2 nodes vote"), "{}", failure(&rig));
    let rig = Rig::booted(disk_with(&[(path, state("{\"voterId\":1}"))]));
    assert_eq!((rig.failed, rig.quorum.leader_epoch()), (None, LeaderEpoch(5)));
}
