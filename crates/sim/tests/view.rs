//! What the lab sees of a world.

use protocol::{ApiKey, Offset, TopicPartition};
use sim::script::Scenario;
use sim::view::MessageKind;
use sim::world::Power;

#[test]
fn a_view_shows_brokers_logs_clients_messages_and_checks() {
    let text = "
seed 3
broker b1
topic orders partitions=1
producer p1 linger.ms=0
produce p1 orders key=eva value=coffee
run until acked p1 1
produce p1 orders key=tom value=tea
run 100us
cut p1 b1
";
    let mut played = Scenario::parse(text).unwrap().play_with(false).unwrap();
    assert_eq!(played.failures, []);
    let view = played.history.world().view();
    let broker = &view.brokers[0];
    assert_eq!((&*broker.name, broker.power, broker.serving), ("b1", Power::Up, true));
    let log = broker.node.as_ref().unwrap().topics[0].partitions[0].log.as_ref().unwrap();
    assert_eq!((log.high_watermark, log.end), (Offset(1), Offset(1)));
    assert_eq!(view.clients.len(), 1);
    assert_eq!((view.clients[0].tally.sent, view.clients[0].tally.ok), (2, 1));
    let request = view.messages.iter().find(|it| matches!(it.what, MessageKind::Request(ApiKey::Produce, _)));
    let request = request.expect("the second record is on its way");
    assert_eq!((&*request.from, &*request.to, request.stalled), ("p1", "b1", true));
    assert!(request.sent < request.arrives);
    assert_eq!(view.cuts.len(), 1);
    assert!(view.checks.iter().all(|(_, broken)| broken.is_none()));
    assert!(!view.timers.is_empty() && view.timers.is_sorted_by_key(|it| it.at));
    assert!(view.narration.split(' ').count() <= 40, "{}", view.narration);
    let orders = TopicPartition { topic: "orders".into(), partition: 0 };
    let batches = played.history.world().batches(&orders, Offset(0), 1_000).unwrap();
    assert_eq!(batches[0].records[0].value.as_deref(), Some(&b"coffee"[..]));
    // Nothing passes until the way is free again.
    played.history.run_until(protocol::Instant(view.clock.0 + 1_000_000));
    assert_eq!(played.history.world().view().clients[0].tally.ok, 1);
    played.history.act(sim::Action::Heal("p1".into(), "b1".into())).unwrap();
    played.history.run_until(protocol::Instant(view.clock.0 + 2_000_000));
    assert_eq!(played.history.world().view().clients[0].tally.ok, 2);
}

#[test]
fn a_fetch_that_waits_has_its_time_and_so_has_who_asked() {
    let text = "
seed 3
broker b1
topic orders partitions=1
consumer A auto.offset.reset=earliest
follow A orders
run 3s
";
    let played = Scenario::parse(text).unwrap().play_with(false).unwrap();
    let view = played.history.world().view();
    let parked = view.requests.iter().find(|it| it.api == ApiKey::Fetch).expect("nothing is there to read");
    let (since, deadline) = (parked.since, parked.deadline.expect("a fetch waits no longer than it said"));
    assert_eq!(deadline.0 - since.0, 500_000, "fetch.max.wait.ms");
    assert!(since <= view.clock && view.clock <= deadline);
    let timer = view.timers.iter().find(|it| it.what == "request.timeout.ms of Fetch").expect("A waits for its answer");
    assert_eq!(&*timer.process, "A");
    assert!(timer.since.is_some_and(|it| it <= since) && timer.at > deadline);
    let named = |what: &str| view.timers.iter().any(|it| &*it.process == "b1" && it.what == what);
    assert!(named("fetch.max.wait.ms") && named("log.retention.check.interval.ms"));
}
