//! The producer against scripted brokers.

use client::wire::ApiKey;
use client::{Cause, Event, Input, Operation, Outcome, PartitionChoice};
use protocol::ErrorCode;

use crate::stage::{Produce, Stage};

/// A producer of one partition with `settings`, which has found its cluster.
fn producer(settings: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(settings).topic("t", &[1]);
    let first = stage.send("t", None, None, "first");
    stage.advance(1_000);
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::None, 0);
    assert_eq!(stage.sent(first), Some((0, Some(0))));
    stage
}

#[test]
fn a_batch_lingers_and_then_leaves_as_one() {
    let mut stage = producer(&[]);
    let ops: Vec<u64> = ["a", "b", "c"].iter().map(|value| stage.send("t", None, None, value)).collect();
    stage.advance(4);
    assert_eq!(stage.requests.len(), 0);
    stage.advance(1);
    let produce = stage.take_produce();
    assert_eq!(produce.only(), (0, 1, vec!["a", "b", "c"]));
    assert_eq!(produce.request.version, 13);
    stage.produced(&produce, ErrorCode::None, 40);
    assert_eq!(ops.iter().map(|op| stage.sent(*op).unwrap().1.unwrap()).collect::<Vec<_>>(), [40, 41, 42]);
}

#[test]
fn a_full_batch_does_not_linger() {
    let mut stage = producer(&[("linger.ms", "1000"), ("batch.size", "300")]);
    let value = "x".repeat(100);
    stage.send("t", None, None, &value);
    stage.send("t", None, None, &value);
    assert_eq!(stage.requests.len(), 0);
    stage.send("t", None, None, &value);
    assert_eq!(stage.take_produce().only(), (0, 1, vec![value.as_str(), &value]));
}

#[test]
fn a_flush_hurries_and_waits() {
    let mut stage = producer(&[("linger.ms", "1000")]);
    let flush = stage.start(Operation::Flush);
    assert!(matches!(stage.outcome(flush), Some(Outcome::Ok(_))), "nothing to wait for");
    stage.send("t", None, None, "a");
    let flush = stage.start(Operation::Flush);
    let produce = stage.take_produce();
    assert_eq!(stage.outcome(flush), None);
    stage.produced(&produce, ErrorCode::None, 1);
    assert!(matches!(stage.outcome(flush), Some(Outcome::Ok(_))));
}

#[test]
fn keys_decide_partitions_as_in_kafka() {
    let mut stage = Stage::new(&[("linger.ms", "0")]).topic("t", &[1, 1, 1]);
    for key in ["abc", "foobar", "21"] {
        stage.send("t", None, Some(key), "v");
    }
    let chosen: Vec<_> = stage
        .events
        .iter()
        .filter_map(|it| match it {
            Event::Partitioned { partition, why: PartitionChoice::Key { hash, .. }, .. } => {
                Some((partition.partition, *hash))
            }
            _ => None,
        })
        .collect();
    let expected = [479_470_107, -790_332_482 & i32::MAX, -973_932_308 & i32::MAX].map(|hash| (hash % 3, hash));
    assert_eq!(chosen, expected);
}

#[test]
fn records_without_a_key_stick_to_a_partition_for_a_batch() {
    let mut stage = Stage::new(&[("batch.size", "500"), ("linger.ms", "1000")]).topic("t", &[1; 8]);
    let value = "x".repeat(100);
    for _ in 0..40 {
        stage.send("t", None, None, &value);
    }
    let chosen: Vec<i32> = stage
        .events
        .iter()
        .filter_map(|it| match it {
            Event::Partitioned { partition, why: PartitionChoice::Sticky, .. } => Some(partition.partition),
            _ => None,
        })
        .collect();
    let mut runs: Vec<(i32, usize)> = Vec::new();
    for partition in chosen {
        match runs.last_mut() {
            Some((last, count)) if *last == partition => *count += 1,
            _ => runs.push((partition, 1)),
        }
    }
    assert!(runs.len() >= 4, "{runs:?}");
    // Whole batches of three, or of several if chance draws the same partition again.
    assert!(runs.iter().rev().skip(1).all(|(_, count)| count % 3 <= 1 && *count >= 3), "{runs:?}");
}

#[test]
fn five_requests_are_under_way_at_most() {
    let mut stage = producer(&[("linger.ms", "0")]);
    for value in ["a", "b", "c", "d", "e", "f"] {
        stage.send("t", None, None, value);
    }
    assert_eq!(stage.requests.len(), 5);
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::None, 1);
    assert_eq!(stage.requests.len(), 5);
}

#[test]
fn an_idempotent_producer_keeps_order_when_the_first_of_two_fails() {
    let mut stage = producer(&[("linger.ms", "0")]);
    let (a, b) = (stage.send("t", None, None, "a"), stage.send("t", None, None, "b"));
    let (first, second) = (stage.take_produce(), stage.take_produce());
    assert_eq!((first.only(), second.only()), ((0, 1, vec!["a"]), (0, 2, vec!["b"])));
    stage.produced(&first, ErrorCode::NotEnoughReplicas, -1);
    stage.produced(&second, ErrorCode::OutOfOrderSequenceNumber, -1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!(again.only(), (0, 1, vec!["a"]), "the same numbers again");
    assert_eq!(stage.requests.len(), 0, "one at a time while a retry is under way");
    stage.produced(&again, ErrorCode::None, 1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!(again.only(), (0, 2, vec!["b"]));
    stage.produced(&again, ErrorCode::None, 2);
    assert_eq!((stage.sent(a), stage.sent(b)), (Some((0, Some(1))), Some((0, Some(2)))));
}

#[test]
fn without_idempotence_a_retry_may_come_after_its_successor() {
    let mut stage = producer(&[("linger.ms", "0"), ("enable.idempotence", "false")]);
    let (a, b) = (stage.send("t", None, None, "a"), stage.send("t", None, None, "b"));
    let (first, second) = (stage.take_produce(), stage.take_produce());
    assert_eq!(first.only(), (-1, -1, vec!["a"]));
    stage.produced(&first, ErrorCode::NotEnoughReplicas, -1);
    stage.produced(&second, ErrorCode::None, 1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!(again.only(), (-1, -1, vec!["a"]));
    stage.produced(&again, ErrorCode::None, 2);
    assert_eq!((stage.sent(a), stage.sent(b)), (Some((0, Some(2))), Some((0, Some(1)))));
}

#[test]
fn one_request_at_a_time_keeps_order_without_numbers() {
    let settings =
        [("linger.ms", "0"), ("enable.idempotence", "false"), ("max.in.flight.requests.per.connection", "1")];
    let mut stage = producer(&settings);
    stage.send("t", None, None, "a");
    stage.send("t", None, None, "b");
    let first = stage.take_produce();
    assert_eq!(stage.requests.len(), 0);
    stage.produced(&first, ErrorCode::NotEnoughReplicas, -1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!(again.only(), (-1, -1, vec!["a"]));
}

#[test]
fn a_lost_answer_is_asked_for_again_and_a_duplicate_is_success() {
    let mut stage = producer(&[("linger.ms", "0")]);
    let op = stage.send("t", None, None, "a");
    let lost = stage.take_produce();
    stage.input(Input::Closed(lost.conn));
    stage.advance(2_000);
    let again = stage.take_produce();
    assert_ne!(again.conn, lost.conn);
    assert_eq!(again.only(), lost.only());
    stage.produced(&again, ErrorCode::DuplicateSequenceNumber, -1);
    assert_eq!(stage.sent(op), Some((0, None)), "written, but nobody remembers where");
}

#[test]
fn a_silent_broker_loses_its_connection_and_the_record_becomes_unknown() {
    let settings = [("linger.ms", "0"), ("request.timeout.ms", "500"), ("delivery.timeout.ms", "1200")];
    let mut stage = producer(&settings);
    let op = stage.send("t", None, None, "a");
    let silent = stage.take_produce();
    stage.advance(1_500);
    assert!(stage.closed.contains(&silent.conn));
    let Some(Outcome::Unknown(failure)) = stage.outcome(op) else { panic!("{:?}", stage.outcome(op)) };
    assert_eq!(failure.cause, Cause::TimedOut);
    assert_eq!(
        failure.message,
        "Expiring 1 record(s) for t-0:1200 ms has passed since batch creation. The request has not been sent, or no \
         server response has been received yet."
    );
}

#[test]
fn a_record_that_never_left_has_failed() {
    let mut stage = Stage::new(&[("max.block.ms", "700")]).topic("t", &[1]);
    let op = stage.send("nowhere", None, None, "a");
    stage.advance(1_000);
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!("{:?}", stage.outcome(op)) };
    assert_eq!(failure.message, "Topic nowhere not present in metadata after 700 ms.");
    assert!(stage.metadata_requests > 2 && stage.metadata_requests < 12, "{}", stage.metadata_requests);
}

#[test]
fn a_refusal_for_good_bumps_the_epoch_and_numbers_start_again() {
    let mut stage = producer(&[("linger.ms", "0")]);
    let op = stage.send("t", None, None, "a");
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::InvalidRecord, -1);
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!("{:?}", stage.outcome(op)) };
    assert_eq!(failure.code(), Some(ErrorCode::InvalidRecord));
    stage.send("t", None, None, "b");
    assert_eq!(stage.take_produce().only(), (1, 0, vec!["b"]));
}

/// The batch was written, and nobody heard of it; the next leader's clock is behind, and it takes no records from the future.
#[test]
fn a_refusal_after_a_lost_answer_leaves_a_doubt() {
    let refused = |before: &dyn Fn(&mut Stage, &Produce) -> bool| {
        let mut stage = producer(&[("linger.ms", "0")]);
        let op = stage.send("t", None, None, "a");
        let mut produce = stage.take_produce();
        if before(&mut stage, &produce) {
            stage.advance(2_000);
            produce = stage.take_produce();
        }
        stage.produced(&produce, ErrorCode::InvalidTimestamp, -1);
        stage.outcome(op).cloned()
    };
    let lose = |stage: &mut Stage, produce: &Produce| {
        stage.input(Input::Closed(produce.conn));
        true
    };
    // It waited for the others when it was replaced, and may have had them write it before.
    let depose = |stage: &mut Stage, produce: &Produce| {
        stage.produced(produce, ErrorCode::NotLeaderOrFollower, -1);
        true
    };
    assert!(matches!(refused(&|_, _| false), Some(Outcome::Failed(_))));
    assert!(matches!(refused(&lose), Some(Outcome::Unknown(_))));
    assert!(matches!(refused(&depose), Some(Outcome::Unknown(_))));
}

/// The log knows nothing of the producer yet, and would take the second batch although the first was refused.
#[test]
fn the_first_batch_of_an_epoch_travels_alone() {
    let mut stage = Stage::new(&[("linger.ms", "0")]).topic("t", &[1]);
    stage.send("t", None, None, "a");
    stage.advance(1_000);
    let first = stage.take_produce();
    stage.send("t", None, None, "b");
    assert!(stage.requests.is_empty(), "it waits");
    stage.produced(&first, ErrorCode::CorruptMessage, -1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!(again.only(), (0, 0, vec!["a"]));
    stage.produced(&again, ErrorCode::None, 0);
    let second = stage.take_produce();
    assert_eq!(second.only(), (0, 1, vec!["b"]));
    // From now on the log counts with it.
    stage.send("t", None, None, "c");
    assert_eq!(stage.take_produce().only(), (0, 2, vec!["c"]));
}

#[test]
fn a_gap_that_cannot_close_bumps_the_epoch() {
    let mut stage = producer(&[("linger.ms", "0")]);
    stage.send("t", None, None, "a");
    let produce = stage.take_produce();
    // Sequence 1 follows what was acknowledged: if the broker sees a gap, it has lost the log's end.
    stage.produced(&produce, ErrorCode::OutOfOrderSequenceNumber, -1);
    stage.advance(1_000);
    assert_eq!(stage.take_produce().only(), (1, 0, vec!["a"]));
}

#[test]
fn a_new_leader_is_found() {
    let mut stage = producer(&[("linger.ms", "0")]);
    let op = stage.send("t", None, None, "a");
    let topic = stage.topics.get_mut("t").unwrap();
    (topic.leaders, topic.epoch) = (vec![2], 1);
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::NotLeaderOrFollower, -1);
    stage.advance(1_000);
    let again = stage.take_produce();
    assert_eq!((stage.ports[&produce.conn], stage.ports[&again.conn]), (9001, 9002));
    stage.produced(&again, ErrorCode::None, 1);
    assert_eq!(stage.sent(op), Some((0, Some(1))));
}

#[test]
fn a_batch_that_is_too_large_travels_in_parts() {
    let mut stage = producer(&[("batch.size", "200")]);
    // Lingering together as one batch needs room; the first batch is larger than batch.size allows on the way back.
    let value = "x".repeat(40);
    let ops = [stage.send("t", None, None, &value), stage.send("t", None, None, &value)];
    stage.advance(5);
    let whole = stage.take_produce();
    assert_eq!(whole.only().2.len(), 2);
    stage.produced(&whole, ErrorCode::MessageTooLarge, -1);
    // It fits batch.size: as one part it is refused again, and then cut in half.
    let whole = stage.take_produce();
    stage.produced(&whole, ErrorCode::MessageTooLarge, -1);
    let (first, second) = (stage.take_produce(), stage.requests.len());
    assert_eq!((first.only().1, first.only().2.len(), second), (1, 1, 0));
    stage.produced(&first, ErrorCode::None, 1);
    let second = stage.take_produce();
    assert_eq!(second.only().1, 2);
    stage.produced(&second, ErrorCode::None, 2);
    assert_eq!(ops.map(|op| stage.sent(op).unwrap().1), [Some(1), Some(2)]);
}

#[test]
fn acks_0_waits_for_nothing() {
    let mut stage = Stage::new(&[("acks", "0"), ("linger.ms", "0")]).topic("t", &[1]);
    let op = stage.send("t", None, None, "a");
    assert_eq!(stage.take_produce().only(), (-1, -1, vec!["a"]));
    assert_eq!(stage.sent(op), Some((0, None)));
}

#[test]
fn a_record_that_is_too_large_is_refused_at_once() {
    let mut stage = producer(&[("max.request.size", "200")]);
    let op = stage.send("t", None, None, &"x".repeat(200));
    let Some(Outcome::Failed(failure)) = stage.outcome(op) else { panic!() };
    assert_eq!(failure.cause, Cause::RecordTooLarge);
    assert_eq!(
        failure.message,
        "The message is 286 bytes when serialized which is larger than 200, which is the value of the \
         max.request.size configuration."
    );
}

#[test]
fn full_memory_blocks_until_a_batch_is_answered() {
    let settings = [("batch.size", "300"), ("buffer.memory", "600"), ("linger.ms", "0"), ("max.block.ms", "200")];
    let mut stage = producer(&settings);
    let value = "x".repeat(200);
    let ops: Vec<u64> = (0..3).map(|_| stage.send("t", None, None, &value)).collect();
    assert_eq!(stage.requests.len(), 2);
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::None, 1);
    assert_eq!(stage.requests.len(), 2, "the third has its memory");
    let blocked = stage.send("t", None, None, &value);
    stage.advance(300);
    let Some(Outcome::Failed(failure)) = stage.outcome(blocked) else { panic!() };
    assert!(failure.message.starts_with("Failed to allocate"), "{}", failure.message);
    assert_eq!(stage.outcome(ops[2]), None);
}

#[test]
fn closing_waits_for_what_is_under_way_and_gives_up_in_time() {
    let mut stage = producer(&[("linger.ms", "1000")]);
    let (a, close) = (stage.send("t", None, None, "a"), stage.start(Operation::Close { timeout_ms: 5_000 }));
    let produce = stage.take_produce();
    stage.produced(&produce, ErrorCode::None, 1);
    assert!(stage.sent(a).is_some() && stage.outcome(close).is_some() && stage.client.is_closed());
    assert_eq!(stage.client.wake_at(), None);

    let mut stage = producer(&[("linger.ms", "1000")]);
    let (a, close) = (stage.send("t", None, None, "a"), stage.start(Operation::Close { timeout_ms: 5_000 }));
    stage.advance(5_000);
    assert!(matches!(stage.outcome(a), Some(Outcome::Unknown(_))) && stage.outcome(close).is_some());
    let late = stage.send("t", None, None, "late");
    assert!(matches!(stage.outcome(late), Some(Outcome::Failed(_))));
}

#[test]
fn a_dead_bootstrap_server_is_not_hammered() {
    let mut stage = Stage::new(&[]).topic("t", &[1]);
    stage.refusing.push(9000);
    stage.send("t", None, None, "a");
    stage.advance(10_000);
    let attempts = stage.ports.len();
    assert!((8..=20).contains(&attempts), "{attempts} connections in 10 s");
    stage.refusing.clear();
    stage.advance(2_000);
    stage.take(ApiKey::Produce);
}

/// One of the two is always being dialled, so that there is always somebody to hope for (KIP-1102).
#[test]
fn brokers_that_are_silent_do_not_keep_a_client_from_its_bootstrap_servers() {
    let asked_within = |settings: &[(&str, &str)], ms: u64| {
        let mut stage = Stage::new(settings).topic("t", &[1]);
        stage.brokers = vec![1, 2];
        stage.send("t", None, None, "a");
        stage.advance(10);
        stage.take_produce();
        let asked = stage.metadata_requests;
        stage.silent = vec![9001, 9002];
        for (conn, _) in stage.ports.clone().into_iter().filter(|(_, port)| *port == 9001) {
            stage.input(Input::Closed(conn));
        }
        stage.advance(ms);
        stage.metadata_requests - asked
    };
    let trigger = ("metadata.recovery.rebootstrap.trigger.ms", "60000");
    let patient = ("delivery.timeout.ms", "1000000");
    assert_eq!(asked_within(&[trigger, patient], 60_000), 0);
    assert!(asked_within(&[trigger, patient], 70_000) > 0);
    assert_eq!(asked_within(&[trigger, patient, ("metadata.recovery.strategy", "none")], 200_000), 0);
}

/// A single broker, and as soon as it has answered the next batch would be under way.
#[test]
fn metadata_is_asked_for_before_the_next_batch() {
    let settings =
        [("max.in.flight.requests.per.connection", "1"), ("metadata.max.age.ms", "5000"), ("linger.ms", "0")];
    let mut stage = producer(&settings);
    stage.brokers = vec![1];
    stage.advance(5_000);
    let asked = stage.metadata_requests;
    for second in 0..20 {
        stage.send("t", None, None, "next");
        stage.advance(1_000);
        if second > 0 {
            let produce = stage.take_produce();
            stage.produced(&produce, ErrorCode::None, second);
        }
    }
    assert_eq!(stage.metadata_requests - asked, 4);
    assert_eq!(stage.closed, [], "nobody gave up on a broker that answers");
}

/// Kafka's client looks at this once a millisecond at most.
#[test]
fn a_client_without_patience_wakes_once_a_millisecond() {
    let mut stage = Stage::new(&[("metadata.recovery.rebootstrap.trigger.ms", "0")]).topic("t", &[1]);
    stage.silent = vec![9000];
    stage.send("t", None, None, "a");
    for _ in 0..3 {
        let now = stage.now.mono;
        assert_eq!(stage.client.wake_at(), Some(now.plus_ms(1)));
        stage.advance(1);
    }
}

/// KIP-1102: who is asked says that it cannot tell of this cluster (any more).
#[test]
fn a_broker_may_send_its_clients_back_to_the_bootstrap_servers() {
    let asks_next_at = |settings: &[(&str, &str)]| {
        let mut stage = producer(&[&[("metadata.max.age.ms", "5000")], settings].concat());
        stage.advance(5_000);
        assert_ne!(stage.metadata_asked_at, 9000, "by now it asks the brokers that it was told of");
        stage.metadata_error = ErrorCode::RebootstrapRequired;
        stage.advance(5_000);
        assert_eq!(stage.metadata_error, ErrorCode::None, "it has asked");
        let sent = stage.send("t", None, None, "next");
        stage.advance(1_000);
        let produce = stage.take_produce();
        stage.produced(&produce, ErrorCode::None, 5);
        assert_eq!(stage.sent(sent), Some((0, Some(5))), "it goes on");
        stage.metadata_asked_at
    };
    assert_eq!(asks_next_at(&[]), 9000);
    assert_ne!(asks_next_at(&[("metadata.recovery.strategy", "none")]), 9000);
}
