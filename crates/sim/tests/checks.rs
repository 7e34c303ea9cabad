//! What the checks must not call a bug.

use sim::script::{Played, Scenario};

fn played(text: &str) -> Played {
    let played = Scenario::parse(text).expect("the test's scenario parses").play_with(false).expect("it plays");
    assert_eq!(played.failures, []);
    played
}

/// Readers pass over offsets that compaction has taken away.
#[test]
fn compaction_leaves_gaps_to_readers() {
    let mut text = String::from(
        "seed 3\nbroker b1 log.cleaner.backoff.ms=500\n\
         topic t partitions=1 cleanup.policy=compact segment.ms=1000 min.cleanable.dirty.ratio=0.001\n\
         producer p1 linger.ms=0\n",
    );
    for value in 0..6 {
        text.push_str(&format!("produce p1 t key=a value={value}\nrun 2s\n"));
    }
    text.push_str("run 20s\nconsumer A auto.offset.reset=earliest\nfollow A t\nrun 3s\n");
    let played = played(&text);
    let world = played.history.world();
    let view = world.view();
    let log = view.brokers[0].node.as_ref().and_then(|it| it.topics[0].partitions[0].log.clone()).expect("it is ready");
    assert!(log.cleaned_to.is_some_and(|it| it.0 >= 4), "{:?}", log.cleaned_to);
    let read = world.consumed("A");
    assert!((1..6).contains(&read), "{read} records are left of six");
    assert_eq!(played.broken(), None);
}

/// A reassignment ends while fewer are in sync than must be: who had all, and has no replica any more, is not eligible.
#[test]
fn who_is_no_replica_any_more_is_not_eligible() {
    let played = played(
        "seed 3\nbroker b1\nbroker b2\nbroker b3\nrun until serving b1\nrun until serving b2\nrun until serving b3\n\
         topic t replicas=b3,b2 min.insync.replicas=2\nwire w b1\nkill b2\nrun until isr t-0 = b3 within 30s\n\
         reassign w t-0 b1,b2\nrun until replicas t-0 = b1 b2 within 30s\nrun 1s\n",
    );
    assert_eq!(played.broken(), None);
}

/// A second request for a topic changes nothing of what the first one promised.
#[test]
fn a_topic_that_is_there_promises_what_it_was_made_with() {
    let played = played(
        "seed 3\nbroker b1\ntopic t partitions=1\nrefused TOPIC_ALREADY_EXISTS topic t partitions=1 flush.messages=1\nproducer p1 linger.ms=0\n\
         produce p1 t value=a\nrun until acked p1 1\npower-cut b1\nstart b1\nrun 5s\n",
    );
    assert_eq!(played.broken(), None);
    assert!(played.history.world().checks().allowed() > 0, "the loss is one that the settings allow");
}

/// A consumer has read and committed two records.
const COMMITTED: &str = "topic orders partitions=1 replication=1\nproducer p1 acks=all linger.ms=0\n\
    produce p1 orders value=a\nproduce p1 orders value=b\nrun until acked p1 2\n\
    consumer c1 group.id=g auto.offset.reset=earliest enable.auto.commit=false\nfollow c1 orders\n\
    run until consumed c1 2 within 30s\ncommit c1\nrun until committed orders-0 in g = 2 within 5s\n";

/// Another consumer of the group.
const ANOTHER: &str = "consumer c2 group.id=g auto.offset.reset=earliest enable.auto.commit=false\nfollow c2 orders\n";

fn one_broker(settings: &str) -> String {
    format!(
        "seed 1\nbroker b1 offsets.topic.replication.factor=1 offsets.topic.num.partitions=1 \
         group.initial.rebalance.delay.ms=0 {settings}\nrun until serving b1\n"
    )
}

/// What is committed in `orders-0`, and the lag.
fn committed(played: &Played) -> (Option<i64>, Option<i64>) {
    let groups = played.history.world().groups();
    let partition = &groups[0].partitions[0];
    (partition.committed.map(|it| it.0), partition.lag())
}

#[test]
fn offsets_that_expired_are_committed_no_more() {
    let settings = "offsets.retention.minutes=1 offsets.retention.check.interval.ms=5000";
    let text = one_broker(settings) + COMMITTED + "close c1\nrun 200s\n" + ANOTHER;
    assert_eq!(committed(&played(&text)), (None, None));
    let played = played(&(text + "run 20s\n"));
    assert_eq!((played.broken(), played.history.world().consumed("c2")), (None, 2));
}

#[test]
fn offsets_of_a_topic_that_was_deleted_are_not_those_of_its_successor() {
    let text = one_broker("") + COMMITTED + "close c1\nrun 2s\ndelete topic orders\nrun 5s\n";
    let text = text + "topic orders partitions=1 replication=1\nrun 5s\n" + ANOTHER;
    assert_eq!(committed(&played(&text)), (None, None));
    assert_eq!(played(&(text + "run 20s\n")).broken(), None);
}

/// Another client commits in the name of a member.
#[test]
fn a_commit_counts_whoever_sends_it() {
    let text = one_broker("") + COMMITTED + "produce p1 orders value=c\nrun until acked p1 3\nwire w1 b1\n";
    let text =
        text + "ask w1 OffsetCommit group=g partition=orders-0 offset=3 member=c1 epoch=1\nrun until answered w1 1\n";
    assert_eq!(committed(&played(&text)), (Some(3), Some(0)));
    assert_eq!(played(&(text + "kill c1\nstart c1\nrun 20s\n")).broken(), None);
}
