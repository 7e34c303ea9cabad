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
        "seed 3\nbroker b1\ntopic t partitions=1\ntopic t partitions=1 flush.messages=1\nproducer p1 linger.ms=0\n\
         produce p1 t value=a\nrun until acked p1 1\npower-cut b1\nstart b1\nrun 5s\n",
    );
    assert_eq!(played.broken(), None);
    assert!(played.history.world().checks().allowed() > 0, "the loss is one that the settings allow");
}
