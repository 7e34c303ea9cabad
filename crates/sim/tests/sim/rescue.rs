//! The point of no return is a moment at which mending everything still helps, and the last one.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use std::fs;
use std::path::Path;

use sim::History;
use sim::rescue::{PointOfNoReturn, Rescue};
use sim::script::Scenario;

fn played(name: &str) -> History {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.scenario"));
    let scenario = Scenario::parse(&fs::read_to_string(path).expect("the scenario is there")).expect("it is one");
    scenario.play_with(false).expect("it can be played").history
}

fn found(history: &History) -> PointOfNoReturn {
    let mut rescue = Rescue::begin(history).expect("something is lost");
    while rescue.probe() {}
    rescue.found()
}

/// When somebody did what begins with these words, in µs.
fn done(history: &History, words: &str) -> u64 {
    let run = history.run();
    let found = run.actions.iter().find(|it| it.action.to_string().starts_with(words));
    found.unwrap_or_else(|| panic!("nobody did {words}")).at.0
}

/// b1 alone has three records. Once it was killed it may not lead again, however soon it comes back: its return is unclean.
#[test]
fn the_death_of_the_only_one_who_had_them_is_the_point_of_no_return() {
    let mut history = played("01-acks-1-loss-on-a-clean-failover");
    let point = found(&history);
    assert_eq!((point.at.0, &*point.deed), (done(&history, "kill b1"), "kill b1"));
    assert!(point.event < point.loss, "{point:?}");
    history.seek(point.event);
    assert!(history.world().is_up("b1") && history.world().checks().allowed() == 0, "{point:?}");
}

#[test]
fn a_wiped_disk_is_the_point_of_no_return_of_what_nobody_else_has() {
    let history = played("02-acks-all-with-min-isr-1");
    let point = found(&history);
    assert_eq!((point.at.0, &*point.deed), (done(&history, "wipe b1"), "kill b1, wipe b1"));
}

#[test]
fn where_nothing_is_lost_nothing_is_asked() {
    assert!(Rescue::begin(&played("05-the-high-watermark-lags-one-fetch")).is_none());
}

/// What was lost elsewhere meanwhile excuses nothing: b1's three records were doomed when it died, not when b3's disk went.
#[test]
fn a_loss_elsewhere_is_another_one() {
    let text = "seed 3\nbroker b1\nbroker b2\nbroker b3\nrun until serving b1\nrun until serving b2\nrun until serving b3\n\
        topic orders partitions=1 replicas=b1,b2 min.insync.replicas=1\ntopic lone partitions=1 replicas=b3\n\
        producer fast acks=1 linger.ms=0\nproducer other acks=all linger.ms=0\nrun 1s\ncut b1 b2\nrun 700ms\n\
        produce fast orders value=x\nproduce fast orders value=y\nproduce fast orders value=z\nrun until acked fast 3\n\
        load other lone every=1ms count=50\nrun until acked other 50\nrun 20ms\nkill b1\nheal b1 b2\n\
        run until leader orders-0 = b2 within 20s\nrun 100ms\nkill b3\nwipe b3\nrun 100ms\nstart b3\nrun 15s\nstart b1\nrun 15s\n";
    let history = Scenario::parse(text).unwrap().play_with(false).unwrap().history;
    let lost =
        history.world().checks().findings().iter().filter(|it| it.acked > 0).map(|it| (it.acked, it.partition.clone()));
    let lost: Vec<_> = lost.map(|(acked, it)| (acked, it.map(|it| it.to_string()).unwrap_or_default())).collect();
    assert_eq!(lost, [(50, "lone-0".to_owned()), (3, "orders-0".to_owned())]);
    assert_eq!(found(&history).deed, "kill b1");
}
