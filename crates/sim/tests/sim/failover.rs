//! How soon a death is believed, and that nothing else is taken for one.

use std::fmt::Write;

use sim::random::{Purpose, Random};
use sim::script::{Scenario, Wrong};

/// The controller that died led a partition, too; the next one never met that broker as a broker, for it has no replica in
/// common with it. But all controllers talk to each other: a refusal at that door is proof.
#[test]
fn the_last_controller_is_known_to_be_gone_by_the_next_one_that_knew_it_as_a_controller_alone() {
    let text = "seed 14\nbroker b1\nbroker b2\nbroker b3\n\
        run until serving b1\nrun until serving b2\nrun until serving b3\n\
        topic orders partitions=1 replicas=b3,b1\n\
        run until leader orders-0 = b3\n\
        expect controller = b3\n\
        kill b3\n\
        run until controller = b2 within 10s\n\
        run until leader orders-0 = b1 within 1s\n";
    let played = Scenario::parse(text).expect("it is sound").play().expect("it can be played");
    assert!(played.failures.is_empty(), "{:?}", played.failures);
}

/// So much may come of messages that are there in one run alone.
const DRIFT_MS: i64 = 5;

/// Brokers stand still, are slow, lose answers and are cut off, one way or both, one or two of them at a time; none dies.
fn disturbed(seed: u64, grace: &str) -> Scenario {
    let mut random = Random::stream(seed, Purpose::Scenario, 0);
    // What is sent besides must change nothing of when the rest arrives.
    let mut text = format!("seed {seed}\nnetwork 500us..500us\ndisk 50us..50us\nsync 500us..500us\n");
    let controllers: &[&str] = if random.once_in(2) { &["k1", "k2", "k3"] } else { &[] };
    let session = *random.pick(&["2000", "3000", "9000"]);
    let settings = format!(
        "broker.session.timeout.ms={session} broker.heartbeat.interval.ms=500 vivarium.broker.session.reset.grace.ms={grace}"
    );
    let brokers = ["b1", "b2", "b3"];
    for (names, roles) in [
        (&brokers[..], if controllers.is_empty() { "" } else { "process.roles=broker" }),
        (controllers, "process.roles=controller"),
    ] {
        names.iter().for_each(|name| writeln!(text, "broker {name} {roles} {settings}").expect("a string takes it"));
    }
    brokers.iter().for_each(|name| writeln!(text, "run until serving {name}").expect("a string takes it"));
    text += "topic t partitions=3 replicas=b1,b2,b3 replicas=b2,b3,b1 replicas=b3,b1,b2\n\
             producer p1 acks=1\nload p1 t every=100ms\n";
    let all: Vec<&str> = brokers.iter().chain(controllers).copied().collect();
    let mut at = 5_000;
    for _ in 0..6 {
        let back = at + random.within(300, 12_000);
        for _ in 0..random.within(1, 2) {
            let it = *random.pick(&brokers);
            let others: Vec<&str> = all.iter().filter(|other| **other != it).copied().collect();
            let other = *random.pick(&others);
            let heal = format!("heal {it} {other}");
            let (begin, end) = match random.below(7) {
                0 | 1 => (format!("pause {it}"), format!("resume {it}")),
                2 => {
                    let ms = random.within(50, 3_000);
                    (format!("delay {it} {other} {ms}ms"), format!("delay {it} {other} 0ms"))
                }
                3 => (format!("cut {it} -> {other}"), heal),
                4 => (format!("cut {other} -> {it}"), heal),
                5 => (format!("cut {it} {other}"), heal),
                _ => (
                    format!("drop next response of BrokerHeartbeat to {it}"),
                    format!("drop next response of Fetch to {it}"),
                ),
            };
            writeln!(text, "at {at}ms {begin}\nat {back}ms {end}").expect("a string takes it");
        }
        at = back + random.within(300, 9_000);
    }
    writeln!(text, "run 15s").expect("a string takes it");
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Who was fenced, and when, in ms.
fn fencings(scenario: &Scenario) -> Vec<(String, i64)> {
    let played = scenario.play().expect("it can be played");
    let others: Vec<_> = played.failures.iter().filter(|it| it.wrong != Wrong::Refused).collect();
    assert!(others.is_empty() && played.broken().is_none(), "{others:?} {:?}\n{scenario}", played.broken());
    let told = played.transcript.lines().filter_map(|line| line.split_once(" is fenced: "));
    let fenced = told.map(|(before, _)| {
        let mut words = before.split_whitespace();
        let seconds: f64 = words.next().and_then(|it| it.parse().ok()).expect("a line begins with its time");
        (words.next_back().expect("a broker").to_owned(), (seconds * 1_000.0) as i64)
    });
    fenced.collect()
}

/// The same brokers are fenced at the same time, whether their connections are watched or not: knocks are messages, and move
/// those after them by microseconds.
#[test]
fn who_does_not_die_is_treated_as_by_kafka() {
    let is_soak = std::env::var_os("VIVARIUM_SOAK").is_some();
    let mut fenced = 0;
    for seed in 17..if is_soak { 40 } else { 24 } {
        let (ours, kafkas) = (fencings(&disturbed(seed, "0")), fencings(&disturbed(seed, "2147483647")));
        let is_same = |((ours, at), (kafkas, then)): (&(String, i64), &(String, i64))| {
            ours == kafkas && (at - then).abs() <= DRIFT_MS
        };
        let are_same = ours.len() == kafkas.len() && ours.iter().zip(&kafkas).all(is_same);
        assert!(are_same, "seed {seed}: {ours:?}, and by Kafka's rules {kafkas:?}");
        fenced += ours.len();
    }
    assert!(fenced >= 15, "{fenced} say little");
}
