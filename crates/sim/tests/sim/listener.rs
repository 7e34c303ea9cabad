//! An application that commits by hand, and what it is spared by committing once more in its rebalance listener.

use sim::script::Scenario;

/// How many records two members of a group are given of the 40 there are, the second of whom comes late and stays alone.
fn given(settings: &str) -> u64 {
    let run = format!(
        "seed 5
broker b1 offsets.topic.replication.factor=1 offsets.topic.num.partitions=1 group.initial.rebalance.delay.ms=0 group.consumer.min.heartbeat.interval.ms=500 group.consumer.heartbeat.interval.ms=500
run until serving b1
topic orders partitions=2 replication=1
producer p1 acks=all linger.ms=0
load p1 orders every=1ms count=40 keys=10
consumer c1 group.id=g auto.offset.reset=earliest enable.auto.commit=false max.poll.records=3 {settings}
follow c1 orders
run until consumed c1 40 within 30s
consumer c2 group.id=g auto.offset.reset=earliest enable.auto.commit=false max.poll.records=3 {settings}
follow c2 orders
run 20s
expect unsettled g =
close c1
run 20s
expect owned c1 =
expect owned c2 = orders-0 orders-1
"
    );
    let scenario = Scenario::parse(&run).expect("it reads");
    let played = scenario.play().expect("it plays");
    assert_eq!(played.failures, [], "{settings}:\n{}", played.transcript);
    assert_eq!(played.broken(), None, "{settings}");
    ["c1", "c2"].iter().map(|it| played.history.world().consumed(it)).sum()
}

#[test]
fn who_commits_what_is_revoked_has_nothing_read_twice() {
    let classic = "heartbeat.interval.ms=500 session.timeout.ms=6000 partition.assignment.strategy=";
    let agreements =
        [format!("{classic}range"), format!("{classic}cooperative-sticky"), "group.protocol=consumer".into()];
    for agreement in agreements {
        assert_eq!(given(&format!("{agreement} rebalance.listener=commit")), 40, "{agreement}");
        let twice = given(&agreement) - 40;
        assert!(twice >= 40, "{agreement}: the late one begins at 0 wherever it reads, {twice} are read twice");
    }
}

#[test]
fn a_listener_of_another_kind_is_refused() {
    for settings in ["group.id=g rebalance.listener=seek", "rebalance.listener=commit"] {
        let run = format!("seed 5\nbroker b1\nconsumer c1 {settings}\n");
        let played = Scenario::parse(&run).expect("it reads").play().expect("it plays");
        assert!(played.transcript.contains("rebalance.listener=commit is all there is"), "{}", played.transcript);
    }
}
