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

#[test]
fn a_follower_that_was_cut_has_the_new_epoch_on_its_disk_once_it_flushes_and_what_was_acknowledged_is_at_risk() {
    let text = "
seed 1
broker b1 process.roles=broker
broker b2 process.roles=broker
broker b3 process.roles=broker
broker k1 process.roles=controller
run 3s
topic orders partitions=1 replicas=b1,b2,b3 min.insync.replicas=2
producer safe acks=all linger.ms=0
producer fast acks=1 linger.ms=0
produce safe orders value=a
run until acked safe 1
run 2s
cut b1 b2
cut b1 b3
run 700ms
produce fast orders value=x
produce fast orders value=y
run until acked fast 2
kill b1
heal b1 b2
heal b1 b3
run until leader orders-0 = b2 within 20s
";
    let orders = TopicPartition { topic: "orders".into(), partition: 0 };
    let mut played = Scenario::parse(text).unwrap().play_with(false).unwrap();
    assert_eq!(played.failures, []);
    assert_eq!(played.history.world().view().at_risk, 2, "only the dead leader has them");
    for action in Scenario::parse("produce safe orders value=n\nstart b1\n").unwrap().steps {
        let sim::script::Step::Do(action) = action.1 else { panic!("{action:?}") };
        played.history.act(action).unwrap();
    }
    let clock = played.history.world().clock();
    played.history.run_until(protocol::Instant(clock.0 + 20_000_000));
    assert_eq!(played.history.world().view().at_risk, 0, "they are lost now");
    // A clean stop flushes.
    played.history.act(sim::Action::Stop("b1".into())).unwrap();
    played.history.run_until(protocol::Instant(clock.0 + 25_000_000));
    let folder = played.history.world().folder("b1", &orders);
    let epochs = folder.files.iter().find(|it| it.name == "leader-epoch-checkpoint").unwrap();
    assert_eq!((&*epochs.says, folder.segments[0].offsets), ("epoch 0 from 0, epoch 1 from 1", Some((0, 1))));
}

/// Of two producers' requests that are on their way the later one is delivered first, and the log has it first.
#[test]
fn a_message_that_is_delivered_arrives_before_all_others() {
    let text = "
seed 3
broker b1
topic orders partitions=1
producer p1 linger.ms=0
producer p2 linger.ms=0
produce p1 orders value=warm
produce p2 orders value=warm
run until acked p1 1
run until acked p2 1
delay p2 b1 20ms
produce p1 orders value=first
produce p2 orders value=second
run 50us
";
    let mut played = Scenario::parse(text).unwrap().play_with(false).unwrap();
    let history = &mut played.history;
    let of = |history: &sim::History, from: &str| {
        let messages = history.world().messages();
        let produce = |it: &&sim::view::Message| matches!(it.what, MessageKind::Request(ApiKey::Produce, _));
        messages.iter().filter(produce).find(|it| *it.from == *from).map(|it| (it.id(), it.because))
    };
    let ((_, _), (late, because)) = (of(history, "p1").unwrap(), of(history, "p2").unwrap());
    assert_ne!(because, sim::narration::Because::Itself, "it was sent for something");
    let before = (history.world().clock(), history.world().events());
    history.act(sim::Action::DeliverMessage(late)).unwrap();
    assert!(history.step());
    let world = history.world();
    assert_eq!((world.clock(), world.events()), (before.0, before.1 + 1), "it is the next event, and no time passes");
    assert_eq!(world.narrate(), "b1 gets Produce from p2; orders-0 gets offset 2.");
    let again = history.act(sim::Action::DeliverMessage(late));
    assert_eq!(again.unwrap_err().to_string(), format!("message {late} is not on its way between two processes"));
    history.run_until(protocol::Instant(before.0.0 + 1_000_000));
    let query = sim::script::Query::Log(TopicPartition { topic: "orders".into(), partition: 0 }, None);
    assert_eq!(history.world().ask(&query).unwrap()[2..], ["second", "first"]);
    assert_eq!(history.world().view().clients.iter().map(|it| it.tally.ok).collect::<Vec<_>>(), [2, 2]);
    let again = sim::script::Scenario::of(&history.run(), history.world().events()).to_string();
    let played = Scenario::parse(&again).unwrap().play_with(false).unwrap();
    assert_eq!(played.history.world().hash(), history.world().hash(), "{again}");
}

#[test]
fn a_message_that_is_dropped_never_arrives_and_its_producer_sends_again() {
    let text = "
seed 3
broker b1
topic orders partitions=1
producer p1 linger.ms=0
produce p1 orders value=coffee
run until acked p1 1
produce p1 orders value=tea
run 100us
";
    let mut played = Scenario::parse(text).unwrap().play_with(false).unwrap();
    let history = &mut played.history;
    let messages = history.world().messages();
    let produce = messages.iter().find(|it| matches!(it.what, MessageKind::Request(ApiKey::Produce, _))).unwrap();
    history.act(sim::Action::DropMessage(produce.id())).unwrap();
    let twice = history.act(sim::Action::DropMessage(produce.id()));
    assert_eq!(twice.unwrap_err().to_string(), format!("message {} is not on its way", produce.id()));
    history.run_until(protocol::Instant(produce.arrives.0 + 1));
    let end = |history: &sim::History| {
        history
            .world()
            .batches(&TopicPartition { topic: "orders".into(), partition: 0 }, Offset(1), 1_000)
            .unwrap()
            .len()
    };
    assert_eq!(end(history), 0, "it never arrived");
    history.run_until(protocol::Instant(produce.arrives.0 + 3_000_000));
    assert_eq!((end(history), history.world().view().clients[0].tally.ok), (1, 2), "sent again, and once in the log");
    let again = sim::script::Scenario::of(&history.run(), history.world().events()).to_string();
    assert!(again.contains(&format!("drop message {}", produce.id())), "{again}");
    assert_eq!(
        Scenario::parse(&again).unwrap().play_with(false).unwrap().history.world().hash(),
        history.world().hash()
    );
}

/// An answer whose connection broke before it left is told of the very event, and of no other.
#[test]
fn an_answer_that_is_lost_before_it_leaves_is_told_once() {
    let text = "seed 5\nbroker b1\ntopic orders partitions=1 replication=1\nproducer p1 linger.ms=1\n\
                drop next response of Produce to p1\nproduce p1 orders key=a value=b\nrun 2s\n";
    let mut history = Scenario::parse(text).unwrap().play_with(false).unwrap().history;
    let end = history.world().events();
    history.seek(0);
    let mut lost = Vec::new();
    while history.world().events() < end && history.creep() {
        let world = history.world();
        lost.extend(world.last().lost.map(|(id, api, to)| (id.is_answer, api, world.name(to).to_string())));
    }
    assert_eq!(lost, [(true, ApiKey::Produce, "p1".to_owned())]);
}
