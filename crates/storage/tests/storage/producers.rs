//! Idempotent producers: what Apache Kafka 4.3.1 was seen to answer.

use protocol::{ErrorCode, Offset, ProducerId, WallMs};
use storage::{Producers, Retention, Sequence};

use crate::common::{Node, produced};

/// What the log says to a batch; a new one is appended.
fn send(node: &mut Node, id: i64, epoch: i16, sequence: i32, count: i32) -> Result<Option<i64>, ErrorCode> {
    let batches = produced(id, epoch, sequence, count);
    match node.shape.check_producer(&batches.heads()[0])? {
        Sequence::New => {
            node.append(batches);
            Ok(None)
        }
        Sequence::Duplicate(batch) => Ok(Some(batch.base_offset.0)),
    }
}

const NEW: Result<Option<i64>, ErrorCode> = Ok(None);
const OUT_OF_ORDER: Result<Option<i64>, ErrorCode> = Err(ErrorCode::OutOfOrderSequenceNumber);

#[test]
fn a_retry_gets_its_old_offset_and_a_gap_is_refused() {
    let mut node = Node::new();
    assert_eq!(send(&mut node, 1, 0, 0, 2), NEW);
    assert_eq!(send(&mut node, 1, 0, 0, 2), Ok(Some(0)));
    assert_eq!(send(&mut node, 1, 0, 0, 1), OUT_OF_ORDER, "a part of a batch");
    assert_eq!(send(&mut node, 1, 0, 1, 1), OUT_OF_ORDER, "the other part");
    assert_eq!(send(&mut node, 1, 0, 3, 1), OUT_OF_ORDER, "a gap");
    assert_eq!(send(&mut node, 1, 0, 2, 1), NEW);
    assert_eq!(node.shape.end(), Offset(3), "nothing refused was appended");
}

#[test]
fn five_batches_are_remembered() {
    let mut node = Node::new();
    for sequence in 0..6 {
        assert_eq!(send(&mut node, 1, 0, sequence, 1), NEW);
    }
    for sequence in 1..6 {
        assert_eq!(send(&mut node, 1, 0, sequence, 1), Ok(Some(i64::from(sequence))));
    }
    assert_eq!(send(&mut node, 1, 0, 0, 1), OUT_OF_ORDER, "the sixth is forgotten");
}

#[test]
fn an_epoch_begins_at_sequence_0_and_fences_the_old_one() {
    let mut node = Node::new();
    assert_eq!(send(&mut node, 1, 0, 0, 1), NEW);
    assert_eq!(send(&mut node, 1, 1, 5, 1), OUT_OF_ORDER);
    assert_eq!(send(&mut node, 1, 1, 0, 1), NEW);
    assert_eq!(send(&mut node, 1, 0, 1, 1), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(send(&mut node, 1, 0, 0, 1), Err(ErrorCode::InvalidProducerEpoch), "no duplicate across epochs");
    assert_eq!(send(&mut node, 1, 1, 0, 1), Ok(Some(1)));
    assert_eq!(send(&mut node, 1, 1, 1, 1), NEW);
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let mut node = Node::new();
    assert_eq!(send(&mut node, 9, 0, 7, 1), NEW);
    assert_eq!(send(&mut node, 9, 0, 7, 1), Ok(Some(0)));
    assert_eq!(send(&mut node, 9, 0, 5, 1), OUT_OF_ORDER);
    assert_eq!(send(&mut node, 9, 0, 8, 1), NEW);
}

#[test]
fn after_the_greatest_sequence_comes_0() {
    let mut node = Node::new();
    assert_eq!(send(&mut node, 1, 0, i32::MAX - 1, 2), NEW);
    assert_eq!(send(&mut node, 1, 0, 0, 1), NEW);
    assert_eq!(send(&mut node, 1, 0, i32::MAX - 1, 2), Ok(Some(0)));
    // A batch may itself span the end.
    assert_eq!(send(&mut node, 2, 0, i32::MAX, 3), NEW);
    assert_eq!(send(&mut node, 2, 0, i32::MAX, 3), Ok(Some(3)));
    assert_eq!(send(&mut node, 2, 0, 2, 1), NEW);
}

#[test]
fn a_restart_forgets_nobody() {
    let mut node = Node::new();
    for sequence in 0..6 {
        send(&mut node, 1, 0, sequence, 1).unwrap();
        send(&mut node, 2, 3, sequence * 2, 2).unwrap();
    }
    let before = node.shape.producers().clone();
    let mut node = node.restart().unwrap();
    assert_eq!(node.shape.producers(), &before);
    assert_eq!(send(&mut node, 1, 0, 1, 1), Ok(Some(3)));
    assert_eq!(send(&mut node, 1, 0, 6, 1), NEW);
    assert_eq!(send(&mut node, 2, 3, 13, 1), OUT_OF_ORDER);
}

#[test]
fn who_wrote_only_what_retention_deleted_is_known_after_a_restart() {
    let retention = Retention { ms: 0, bytes: -1 };
    for is_stopped in [true, false] {
        let mut node = Node::new();
        send(&mut node, 1, 0, 0, 2).unwrap();
        node.flush();
        let ops = node.shape.retention(WallMs(i64::MAX), Offset(2), retention);
        node.run(ops);
        assert_eq!((node.shape.log_start(), node.shape.end()), (Offset(2), Offset(2)), "all is gone");
        // Then the first segment has something again, or not.
        if is_stopped {
            send(&mut node, 2, 0, 0, 1).unwrap();
        }
        let before = node.shape.producers().clone();
        let mut node = if is_stopped { node.restart() } else { node.power_cut() }.unwrap();
        assert_eq!(node.shape.producers(), &before);
        assert_eq!(send(&mut node, 1, 0, 0, 2), Ok(Some(0)), "a retry of what is deleted");
        assert_eq!(send(&mut node, 1, 0, 2, 1), NEW);
    }
}

#[test]
fn a_truncation_takes_back_what_it_cut() {
    let mut node = Node::new();
    for sequence in 0..4 {
        send(&mut node, 1, 0, sequence, 1).unwrap();
    }
    node.truncate(2);
    assert_eq!(send(&mut node, 1, 0, 1, 1), Ok(Some(1)));
    assert_eq!(send(&mut node, 1, 0, 3, 1), OUT_OF_ORDER);
    assert_eq!(send(&mut node, 1, 0, 2, 1), NEW);
}

#[test]
fn who_has_not_written_for_long_is_forgotten() {
    let mut node = Node::new();
    send(&mut node, 1, 0, 0, 1).unwrap();
    node.shape.expire_producers(WallMs(1_000 + 99), 100);
    assert_eq!(node.shape.producers().len(), 1);
    node.shape.expire_producers(WallMs(1_000 + 100), 100);
    assert!(node.shape.producers().is_empty());
    assert_eq!(send(&mut node, 1, 0, 40, 1), NEW, "as good as unknown");
}

#[test]
fn a_snapshot_keeps_the_last_batch_of_each() {
    let mut node = Node::new();
    send(&mut node, 1, 0, i32::MAX, 2).unwrap();
    send(&mut node, 5, 2, 0, 3).unwrap();
    send(&mut node, 5, 2, 3, 1).unwrap();
    let bytes = node.shape.producers().snapshot();
    let read = Producers::parse(bytes.clone()).unwrap();
    for (id, producer) in read.iter() {
        let (_, original) = node.shape.producers().iter().find(|(it, _)| *it == id).unwrap();
        assert_eq!(producer.batches.back(), original.batches.back());
        assert_eq!((producer.epoch, producer.last_timestamp), (original.epoch, original.last_timestamp));
        assert_eq!(producer.batches.len(), 1);
    }
    assert_eq!(read.iter().map(|(id, _)| id).collect::<Vec<_>>(), [ProducerId(1), ProducerId(5)]);
    for at in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        assert_eq!(Producers::parse(bad.into()), None, "byte {at}");
        assert_eq!(Producers::parse(bytes.slice(..at)), None, "cut at {at}");
    }
}
