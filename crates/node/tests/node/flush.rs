//! `flush.messages` and `flush.ms`: what is told of is on disk where a topic demands it, with one flush for all that wait.

use node::{Event, Input};
use protocol::messages::FetchRequest;
use protocol::{Offset, RequestBody, ResponseBody};
use storage::{StoreError, StoreOp};

use crate::common::{CLIENT, Rig, batch, fetch, produce};

fn rig(configs: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, configs);
    rig.held = true;
    rig
}

fn is_flush(op: &StoreOp) -> bool {
    matches!(op, StoreOp::Flush(_))
}

fn flushes(rig: &Rig) -> usize {
    rig.queue.iter().filter(|(_, op)| is_flush(op)).count()
}

/// Carries out what is queued up to the first flush, which stays in the queue.
fn write_all(rig: &mut Rig) {
    while rig.queue.front().is_some_and(|(_, op)| !is_flush(op)) {
        rig.store_one();
    }
}

fn offset(body: Option<ResponseBody>) -> Option<(i16, i64)> {
    let Some(ResponseBody::Produce(response)) = body else { return None };
    let answer = &response.responses[0].partition_responses[0];
    Some((answer.error_code, answer.base_offset))
}

#[test]
fn an_ack_waits_for_the_disk_and_so_do_readers() {
    for acks in [1, -1] {
        let mut rig = rig(&[("flush.messages", "1")]);
        let waiting = FetchRequest { max_wait_ms: 10_000, ..fetch("t", 0, 0) };
        let reader = rig.send(12, RequestBody::Fetch(waiting));
        let id = rig.send(12, produce("t", 0, acks, batch(&["a"])));
        write_all(&mut rig);
        assert_eq!(flushes(&rig), 1);
        assert_eq!((rig.log("t", 0).written, rig.log("t", 0).high_watermark), (Offset(1), Offset(0)));
        assert!(rig.answer(id).is_none() && rig.answer(reader).is_none(), "acks={acks}: written is not on disk");
        rig.store_one();
        assert_eq!((rig.log("t", 0).synced, rig.log("t", 0).high_watermark), (Offset(1), Offset(1)));
        assert_eq!(offset(rig.answer(id)), Some((0, 0)));
        assert!(rig.answer(reader).is_some());
        assert_eq!(rig.view().waits, []);
    }
}

#[test]
fn one_flush_serves_all_that_wait() {
    let mut rig = rig(&[("flush.messages", "1")]);
    let first = rig.send(12, produce("t", 0, -1, batch(&["first"])));
    write_all(&mut rig);
    let rest: Vec<i32> = (0..16).map(|_| rig.send(12, produce("t", 0, -1, batch(&["more"])))).collect();
    assert_eq!(flushes(&rig), 1, "the one that is under way");
    // It ends; whatever was appended meanwhile is written, and shares the next.
    rig.store_one();
    assert_eq!(offset(rig.answer(first)), Some((0, 0)));
    assert_eq!(flushes(&rig), 1);
    write_all(&mut rig);
    assert!(rest.iter().all(|id| rig.answer(*id).is_none()));
    rig.store_one();
    for (id, expected) in rest.iter().zip(1..) {
        assert_eq!(offset(rig.answer(*id)), Some((0, expected)));
    }
    assert_eq!((flushes(&rig), rig.queue.len()), (0, 0));
}

#[test]
fn every_so_many_records_are_forced_to_disk() {
    let mut rig = rig(&[("flush.messages", "3")]);
    let early: Vec<i32> = (0..2).map(|_| rig.send(12, produce("t", 0, -1, batch(&["a"])))).collect();
    write_all(&mut rig);
    assert_eq!(flushes(&rig), 0);
    assert!(early.iter().all(|id| rig.answer(*id).is_some()), "as in Kafka, they need not wait for the third");
    let third = rig.send(12, produce("t", 0, -1, batch(&["a"])));
    write_all(&mut rig);
    assert!(rig.answer(third).is_none());
    rig.store_one();
    assert_eq!(offset(rig.answer(third)), Some((0, 2)));
    assert_eq!(rig.log("t", 0).synced, Offset(3));
}

#[test]
fn without_a_policy_nothing_waits() {
    let mut rig = rig(&[]);
    let id = rig.send(12, produce("t", 0, -1, batch(&["a"])));
    write_all(&mut rig);
    assert_eq!(offset(rig.answer(id)), Some((0, 0)));
    assert_eq!((rig.log("t", 0).synced, rig.queue.len()), (Offset(0), 0));
}

#[test]
fn a_power_cut_takes_nothing_that_was_acked() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[("flush.messages", "1")]);
    for value in ["a", "b"] {
        assert_eq!(rig.produce("t", 0, 1, batch(&[value])).0, 0);
    }
    rig.held = true;
    rig.send(12, produce("t", 0, 1, batch(&["never acked"])));
    write_all(&mut rig);
    rig.store.disk_mut().power_cut();
    let mut rig = rig.restart(&[]);
    let response = rig.clone().fetch("t", 0, 0);
    assert_eq!(rig.values(&response), [(0, "a".into()), (1, "b".into())]);
    assert_eq!(rig.produce("t", 0, 1, batch(&["c"])), (0, 2));
}

#[test]
fn a_full_segment_is_forced_to_disk() {
    let mut rig = rig(&[("internal.segment.bytes", "100")]);
    rig.held = false;
    for value in ["a", "b", "c"] {
        assert_eq!(rig.produce("t", 0, -1, batch(&[value])).0, 0);
    }
    let log = rig.log("t", 0);
    assert_eq!((log.segments.len(), log.synced), (3, Offset(3)));
}

#[test]
fn old_writes_are_forced_to_disk_when_the_logs_are_looked_at() {
    let settings = [("log.flush.scheduler.interval.ms", "100")];
    let mut rig = Rig::with(&settings);
    rig.create_topic("patient", 1, &[("flush.ms", "1000")]);
    rig.create_topic("t", 1, &[]);
    for topic in ["patient", "t"] {
        rig.produce(topic, 0, -1, batch(&["a"]));
    }
    rig.advance(250);
    // Its flush.ms is what the scheduler's interval is, as nothing else was said.
    assert_eq!((rig.log("t", 0).synced, rig.log("patient", 0).synced), (Offset(1), Offset(0)));
    rig.advance(1_000);
    assert_eq!(rig.log("patient", 0).synced, Offset(1));
    // An idle log is left alone.
    rig.held = true;
    rig.advance(2_000);
    assert_eq!(flushes(&rig), 0);
}

#[test]
fn who_waits_for_a_flush_that_fails_is_told() {
    let mut rig = rig(&[("flush.messages", "1")]);
    let id = rig.send(12, produce("t", 0, -1, batch(&["a"])));
    write_all(&mut rig);
    let (op, _) = rig.queue.pop_front().unwrap();
    rig.input(Input::Stored(op, Err(StoreError::Io("cannot sync".to_owned()))));
    assert_eq!(offset(rig.answer(id)).map(|(error, _)| error), Some(56));
    let said: Vec<&Event> =
        rig.events.iter().filter(|it| matches!(it, Event::Failed { .. } | Event::StorageFailed { .. })).collect();
    assert_eq!(said.len(), 1, "one line, once: {said:?}");
    assert!(rig.replies.iter().any(|it| matches!(it, node::Reply::Close(CLIENT, _))));
}
