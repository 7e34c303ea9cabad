//! What the checks must not call a bug.

use sim::check::Check;
use sim::script::{Played, Scenario};
use sim::setup::PlantedBug;

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

/// What was never acknowledged is gone, not lost: it is there again once its producer has sent it again. Who is told ok by a leader
/// that others have replaced already has lost that record.
#[test]
fn only_what_was_acknowledged_is_lost_and_each_loss_is_told() {
    let cluster = "seed 12\nbroker b1 process.roles=broker\nbroker b2 process.roles=broker\nbroker b3 process.roles=broker\n\
        broker k1 process.roles=controller\nrun until serving b1\nrun until serving b2\nrun until serving b3\n\
        topic orders partitions=1 replicas=b1,b2,b3 min.insync.replicas=2\nproducer fast acks=1 linger.ms=0\n\
        producer safe acks=all linger.ms=0\nproduce fast orders value=a\nrun until acked fast 1\nrun 700ms\n\
        cut b1 b2\ncut b1 b3\n";
    let told = |more: &str| {
        let played = played(&format!("{cluster}{more}"));
        let checks = played.history.world().checks();
        checks.findings().iter().map(|it| (it.acked, it.what.clone())).collect::<Vec<_>>()
    };
    let acks_1 = "acks=1 waits for the leader alone, which is gone or was replaced before the others had them";
    let gone = "nobody was told ok, and what a producer still has it sends again";
    let kills = "run 200ms\nkill b1\nrun until leader orders-0 = b2 within 20s\n";
    assert_eq!(
        told(&format!(
            "produce safe orders value=x\n{kills}run until acked safe 1 within 60s\nexpect log orders-0 = a x\nexpect lost = 0\n"
        )),
        [(0, format!("1 record is gone from orders-0, at 1: {gone}"))]
    );
    assert_eq!(
        told(&format!(
            "produce fast orders value=x\nrun until acked fast 2\nproduce safe orders value=y\n{kills}run until acked safe 1 within 60s\nexpect log orders-0 = a y\nexpect lost = 1\n"
        )),
        [(1, format!("1 acknowledged record of orders-0, from 1 on, is lost: {acks_1}; of 1 more {gone}"))]
    );
    // The one that was cut off from the controller, too, writes after its successor has.
    let late = "cut b1 k1\ncut fast b2\ncut fast b3\ncut safe b1\nrun until leader orders-0 = b2 within 20s\n\
        produce safe orders value=n\nrun until acked safe 1 within 90s\nproduce fast orders value=z\nrun until acked fast 2\nexpect lost = 1\n";
    let told = told(late);
    assert_eq!(told.iter().map(|it| it.0).sum::<u64>(), 1, "{told:?}");
    assert!(
        told[0].1.starts_with("1 acknowledged record of orders-0, at 1, is lost: who said ok leads no more"),
        "{told:?}"
    );
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
    // Its dead process is a member until its session is over.
    let text = text + "kill c1\nstart c1\nrun 60s\n";
    assert_eq!(played(&text).broken(), None);
    let mut forgetful = Scenario::parse(&text).expect("it reads");
    forgetful.setup.bug = Some(PlantedBug::ForgetsCommits);
    let played = forgetful.play_with(false).expect("it plays");
    assert_eq!(played.broken().map(|it| it.check), Some(Check::CommitsStay), "it is told what was before that");
}
