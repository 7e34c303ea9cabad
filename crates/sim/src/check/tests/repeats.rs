//! What a log has twice.

use super::*;

/// One record of a producer.
fn of_producer(base: i64, leader_epoch: i32, value: &str, epoch: i16) -> Batches {
    let id = (ProducerId(7), ProducerEpoch(epoch));
    let mut builder = BatchBuilder::new(Compression::None).producer(id.0, id.1, 0);
    builder.push(WallMs(0), None, Some(value.as_bytes()), &[]);
    let mut batches = builder.build_batches(&PureCompressors).expect("it is not compressed");
    batches.stamp(0, Offset(base), LeaderEpoch(leader_epoch), None);
    batches
}

impl Checks {
    fn leads(&mut self, pid: Pid, epoch: i32) {
        let (leader_epoch, isr) = (LeaderEpoch(epoch), vec![NodeId(i32::from(pid.0))]);
        self.node_said(1, pid, &node::Event::Leads { topic: TOPIC, partition: 0, leader_epoch, isr });
    }

    fn gets_two_of_a_producer(&mut self) {
        self.leads(LEADER, 0);
        for number in 0..2 {
            let value = format!("p-{number}");
            self.sent(CLIENT, number, None, Some(value.as_bytes()));
            self.appended(1, LEADER, 0, &of_producer(number as i64, 0, &value, 0));
        }
    }
}

/// A leader that began since may not know what it has of a producer, which sends it again in another epoch.
#[test]
fn a_repeat_is_excused_by_a_leader_that_began_since_and_by_nothing_else() {
    let refusal = || {
        let error_code = protocol::ErrorCode::OutOfOrderSequenceNumber.code();
        let partition_responses = vec![PartitionProduceResponse { index: 0, error_code, ..Default::default() }];
        let responses = vec![TopicProduceResponse { name: TOPIC, partition_responses, ..Default::default() }];
        ResponseBody::Produce(ProduceResponse { responses, ..Default::default() })
    };
    let repeats = |begins: bool, refused: bool, epoch: i16, times: i64| {
        let mut checks = cluster(&[LEADER], &[]);
        checks.gets_two_of_a_producer();
        if begins {
            checks.leads(LEADER, 1);
        }
        if refused {
            checks.client_answered(2, CLIENT, (LEADER, 1), &refusal());
        }
        for time in 0..times {
            checks.appended(3, LEADER, 0, &of_producer(2 + time, i32::from(begins), "p-0", epoch));
        }
        (checks.verdict(), checks.allowed())
    };
    let bug = (Some(Check::Idempotence), 0);
    assert_eq!(repeats(true, true, 1, 1), (None, 1));
    assert_eq!(repeats(false, true, 1, 1), bug, "the leader has appended it itself, and has to know it");
    assert_eq!(repeats(true, false, 1, 1), bug, "nobody refused it");
    assert_eq!(repeats(true, true, 0, 1), bug, "its producer's epoch is the same");
    assert_eq!(repeats(true, true, 1, 2), (Some(Check::Idempotence), 1), "once, not twice");
}

/// A replica that was copied when retention had deleted a batch never heard of its producer.
#[test]
fn a_repeat_is_excused_by_a_log_that_was_copied_anew_behind_it_and_by_nothing_else() {
    let repeats = |copied_from: i64, values: &[&str]| {
        let mut checks = cluster(&[LEADER, FOLLOWER], &[]);
        checks.gets_two_of_a_producer();
        if copied_from > 0 {
            checks.truncated(2, FOLLOWER, 0, Offset(copied_from));
        }
        for number in copied_from..2 {
            checks.appended(2, FOLLOWER, 0, &of_producer(number, 0, &format!("p-{number}"), 0));
        }
        checks.leads(FOLLOWER, 1);
        for (base, value) in (2..).zip(values) {
            checks.appended(3, FOLLOWER, 0, &of_producer(base, 1, value, 0));
        }
        (checks.verdict(), checks.allowed())
    };
    assert_eq!(repeats(2, &["p-0", "p-1"]), (None, 2));
    let bug = Some(Check::Idempotence);
    assert_eq!(repeats(0, &["p-0"]), (bug, 0), "it has the batch");
    assert_eq!(repeats(1, &["p-0"]), (bug, 0), "it has a later one of the same producer");
    assert_eq!(repeats(2, &["p-0", "p-0"]), (bug, 1), "it has appended it itself");
    assert_eq!(repeats(2, &["p-1", "p-0"]), (bug, 1), "it has appended a later one");
}
