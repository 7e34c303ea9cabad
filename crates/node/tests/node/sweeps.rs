//! What logs give up stays for `file.delete.delay.ms`.

use node::Event;
use protocol::RequestBody;
use protocol::messages::DeleteTopicsRequest;
use storage::memory::{DiskCall, Fault};

use crate::common::{Rig, batch};

/// The files whose paths contain this.
fn files(rig: &Rig, what: &str) -> usize {
    rig.store.disk().files().iter().filter(|(_, path, _)| path.contains(what)).count()
}

fn delete(rig: &mut Rig, topic: &str) {
    let request = DeleteTopicsRequest { topic_names: vec![topic.into()], timeout_ms: 1000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(request));
}

/// A topic of which retention takes every segment after two seconds.
fn short_lived(rig: &mut Rig, delay: &str) {
    let settings = [("retention.ms", "2000"), ("internal.segment.bytes", "100"), ("file.delete.delay.ms", delay)];
    rig.create_topic("orders", 1, &settings);
    for value in ["1", "2", "3"] {
        assert_eq!(rig.produce("orders", 0, 1, batch(&[value])).0, 0);
    }
}

#[test]
fn segments_are_removed_when_their_time_is_over() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    short_lived(&mut rig, "5000");
    assert_eq!(files(&rig, ".deleted"), 0);
    // The first check that finds them too old is after three seconds at the latest.
    rig.advance(3_000);
    let given_up = files(&rig, ".log.deleted");
    assert!(given_up >= 3, "{given_up}");
    rig.advance(4_900);
    assert_eq!(files(&rig, ".log.deleted"), given_up);
    rig.advance(200);
    assert_eq!(files(&rig, ".deleted"), 0);
    assert!(
        rig.node.wake_at().is_none_or(|(_, reason)| reason != node::WakeReason::Sweep),
        "nothing is left to wake for"
    );
}

#[test]
fn without_a_delay_nothing_stays() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    short_lived(&mut rig, "0");
    rig.advance(3_000);
    assert_eq!((files(&rig, ".deleted"), files(&rig, "orders-0/00000000000000000000")), (0, 0));
}

#[test]
fn a_whole_log_waits_as_long_as_the_broker_says() {
    let mut rig = Rig::with(&[("log.segment.delete.delay.ms", "7000")]);
    short_lived(&mut rig, "0");
    delete(&mut rig, "orders");
    assert!(files(&rig, "-delete/") > 3);
    // Another topic of the name has a folder of its own, and goes its own way.
    rig.advance(3_000);
    short_lived(&mut rig, "0");
    delete(&mut rig, "orders");
    rig.advance(3_900);
    let both = files(&rig, "-delete/");
    rig.advance(200);
    let second = files(&rig, "-delete/");
    assert_eq!(both, 2 * second);
    rig.advance(3_000);
    assert_eq!(files(&rig, "-delete"), 0);
}

/// Its segments may wait longer than the log.
#[test]
fn a_whole_log_does_not_wait_for_its_segments() {
    let settings = [("log.retention.check.interval.ms", "1000"), ("log.segment.delete.delay.ms", "7000")];
    let mut rig = Rig::with(&settings);
    short_lived(&mut rig, "600000");
    rig.advance(3_000);
    assert!(files(&rig, ".log.deleted") > 0);
    delete(&mut rig, "orders");
    rig.advance(6_900);
    assert!(files(&rig, "-delete/") > 0);
    rig.advance(200);
    assert_eq!(files(&rig, "-delete"), 0);
    assert!(rig.node.wake_at().is_none_or(|(_, reason)| reason != node::WakeReason::Sweep));
}

#[test]
fn a_stop_leaves_it_to_the_next_start() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    short_lived(&mut rig, "60000");
    rig.advance(3_000);
    rig.stop();
    assert!(files(&rig, ".deleted") > 0);
    let mut rig = rig.restart(&[]);
    assert_eq!(files(&rig, ".deleted"), 0);
    rig.advance(100_000);
}

#[test]
fn what_cannot_be_removed_is_told_of_and_the_log_serves_on() {
    let mut rig = Rig::with(&[("log.retention.check.interval.ms", "1000")]);
    short_lived(&mut rig, "1000");
    let fault = Fault { call: DiskCall::Remove, path: ".log.deleted".into(), after: 0, lasting: true, full: false };
    rig.store.disk_mut().inject(fault);
    rig.advance(5_000);
    let told = |event: &Event| matches!(event, Event::Warning { what } if what.contains("stays until the next start"));
    assert!(rig.events.iter().any(told), "{:?}", rig.events);
    assert_eq!(rig.produce("orders", 0, 1, batch(&["4"])).0, 0);
}
