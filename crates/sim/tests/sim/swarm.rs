//! Seeds: those that broke once, some that never did, and a planted bug for each check. All are played where the core is optimized, in
//! the browser of `web/tests/wasm` and by `cargo test --release`; elsewhere, where they take ten times as long, a few for the core's
//! own assertions.

#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use sim::action::Action;
use sim::exhibit::Exhibit;
use sim::script::{Scenario, Step};
use sim::setup::PlantedBug;
use sim::swarm::{Examined, Theme, examine, regressions, shrink};

/// Enough for any generated scenario.
const EVENTS: u64 = 2_000_000;

/// All of them where the core is optimized, and as few as that elsewhere.
fn some<T>(few: usize, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    all.into_iter().take(if cfg!(debug_assertions) { few } else { usize::MAX })
}

fn holds(seed: u64, brokers: usize, theme: Theme) -> Examined {
    let scenario = Scenario::random_of(theme, seed, brokers);
    let again = Scenario::parse(&scenario.to_string()).unwrap();
    assert_eq!(again.setup, scenario.setup);
    assert!(again.steps.iter().map(|it| &it.1).eq(scenario.steps.iter().map(|it| &it.1)), "{scenario}");
    let examined = examine(&scenario, EVENTS);
    assert_eq!(examined.trouble, None, "seed {seed}:\n{scenario}");
    assert!(!examined.ran_out, "seed {seed} goes on after {} events", examined.events);
    examined
}

/// One that had little to do would say little.
fn is_put_to_the_test(seed: u64, brokers: usize, theme: Theme) {
    let Examined { events, faults, acked, .. } = holds(seed, brokers, theme);
    assert!(events >= 20_000 && faults >= 5 && acked >= 500, "seed {seed}: {events}, {faults}, {acked}");
}

#[test]
fn seeds_that_broke_once_hold() {
    let mut seeds = 0;
    for (seed, brokers, theme) in some(3, regressions()) {
        holds(seed, brokers, theme);
        seeds += 1;
    }
    assert!(seeds > 0);
}

#[test]
fn some_seeds_hold() {
    for seed in some(5, 0..40) {
        holds(seed, 1, Theme::Logs);
    }
}

/// Three brokers that die, stand still and lose sight of each other, to the end, where all must be well.
#[test]
fn some_seeds_of_three_brokers_hold() {
    for seed in some(1, [2, 3, 6]) {
        is_put_to_the_test(seed, 3, Theme::Logs);
    }
}

/// Groups of both protocols, on one broker and on three, whose members and coordinators come and go.
#[test]
fn some_seeds_of_groups_hold() {
    for (seed, brokers) in some(1, [(0, 3), (0, 1), (1, 3), (1, 1)]) {
        is_put_to_the_test(seed, brokers, Theme::Groups);
    }
}

/// Replicas on the move while directories fail, and voters that change while controllers die.
#[test]
fn some_seeds_of_disks_and_voters_hold() {
    for (theme, brokers) in some(1, [(Theme::Disks, 1), (Theme::Voters, 3), (Theme::Disks, 3)]) {
        holds(0, brokers, theme);
    }
}

/// Where everything is synced before it is acknowledged, machines lose their power as well.
#[test]
fn seeds_cut_the_power_of_what_is_synced() {
    // Two topics of a seed may differ in much, but either all or not all sync before they acknowledge.
    let does = |scenario: &Scenario, is: fn(&Action) -> bool| {
        scenario.steps.iter().any(|(_, step)| matches!(step, Step::At(_, it) | Step::Do(it) if is(it)))
    };
    let cuts = |it: &Action| matches!(it, Action::PowerCut(_) | Action::PowerCutTorn(_));
    let flushes = |it: &Action| matches!(it, Action::CreateTopic(topic) if topic.settings.iter().any(|it| it == &("flush.messages".into(), "1".into())));
    for (brokers, least) in [(1, 80), (3, 40)] {
        let scenarios = (0..200).map(|seed| Scenario::random_cluster(seed, brokers));
        let both = scenarios.filter(|it| does(it, cuts) && does(it, flushes)).count();
        assert!(both >= least, "{both} of 200 seeds of {brokers} cut the power of topics that are synced");
    }
}

/// A cluster that is busy while no time passes is in trouble, and one that was cut off says so.
#[test]
fn who_gets_nowhere_and_who_is_cut_off_are_told_apart() {
    let mut text = String::from("seed 1\nbroker b1\nrun until serving b1\ntopic t partitions=1\n");
    for number in 1..=40 {
        text.push_str(&format!("producer p{number}\n"));
    }
    for number in 1..=40 {
        text.push_str(&format!("load p{number} t every=1ms count=300\n"));
    }
    text.push_str("run 1s\n");
    let mut scenario = Scenario::parse(&text).unwrap();
    for (_, step) in &mut scenario.steps {
        if let Step::Do(Action::Load(load)) = step {
            // No scenario can be written so: a record comes after the other, and no time goes by.
            load.every_us = 0;
        }
    }
    let examined = examine(&scenario, EVENTS);
    assert_eq!(examined.trouble.as_ref().map(|it| it.check.as_str()), Some("standstill"), "{examined:?}");
    assert!(examined.events < 20_000, "{examined:?}");
    let scenario = Scenario::random(0);
    let examined = examine(&scenario, 500);
    assert_eq!((examined.trouble, examined.events, examined.ran_out), (None, 500, true));
}

#[test]
fn a_generated_scenario_reads_back_as_it_is_written() {
    for seed in 0..50 {
        let scenario = Scenario::random(seed);
        let again = Scenario::parse(&scenario.to_string()).unwrap();
        assert_eq!(again.setup, scenario.setup);
        assert!(again.steps.iter().map(|it| &it.1).eq(scenario.steps.iter().map(|it| &it.1)), "{scenario}");
    }
}

/// Each planted bug breaks the check that is there for it, within a thousand seeds.
#[test]
fn every_planted_bug_is_found() {
    let bugs = [
        (PlantedBug::SkipsOffsets, "offsets-dense"),
        (PlantedBug::LosesWrittenBatch, "acked-stays"),
        (PlantedBug::ForgetsSync, "acked-stays"),
        (PlantedBug::MovesHighWatermarkBack, "high-watermark-monotonic"),
        (PlantedBug::ReadsBeyondHighWatermark, "reads-below-high-watermark"),
        (PlantedBug::AppendsTwice, "idempotence"),
        (PlantedBug::DeniesWrites, "failed-is-not-written"),
        (PlantedBug::ForgetsField, "codecs"),
    ];
    for (bug, check) in some(3, bugs) {
        let found = (0..1_000).find_map(|seed| {
            let mut scenario = Scenario::random(seed);
            scenario.setup.bug = Some(bug);
            let examined = examine(&scenario, EVENTS);
            let hit = examined.trouble.as_ref().is_some_and(|it| it.check == check);
            hit.then_some((seed, scenario, examined))
        });
        let (seed, scenario, examined) = found.unwrap_or_else(|| panic!("{bug:?} is not found by {check}"));
        println!("{bug:?}: seed {seed}: {:?}", examined.trouble);
        if bug == PlantedBug::SkipsOffsets {
            let small = shrink(&scenario, &examined, EVENTS);
            assert!(small.steps.len() < scenario.steps.len(), "{small}");
            assert_eq!(examine(&small, EVENTS).trouble.map(|it| it.check).as_deref(), Some(check), "{small}");
            println!("{small}");
        }
    }
}

/// The same for what must hold among several brokers.
#[test]
fn every_planted_bug_of_a_cluster_is_found() {
    let bugs = [
        (PlantedBug::LeadsTwice, "one-leader-an-epoch"),
        (PlantedBug::FetchesTwice, "one-fetcher-a-partition"),
        (PlantedBug::ServesOtherRecords, "log-matching"),
        (PlantedBug::ServesOtherMetadata, "log-matching"),
        (PlantedBug::ForgetsCommitted, "high-watermark-monotonic"),
        (PlantedBug::TakesSilenceForRefusal, "sessions-kept"),
        (PlantedBug::KeepsFencedInSync, "fenced-not-in-isr"),
        (PlantedBug::KeepsInElr, "elr-disjoint-from-isr"),
        (PlantedBug::TakesStrangers, "isr-within-replicas"),
    ];
    for (bug, check) in some(3, bugs) {
        found(bug, check, |seed| Scenario::random_cluster(seed, 3));
    }
    found(PlantedBug::StarvesFollower, "converges", |seed| starved(seed, "run until behind = within 10s\n"));
    // k3 has missed what the others agreed on, and asks for their voices when their leader dies.
    found(PlantedBug::BoastsOfLog, "leader-completeness", |seed| {
        let text = format!(
            "seed {seed}\nbroker k1 process.roles=controller\nbroker k2 process.roles=controller\nbroker k3 process.roles=controller\n\
             broker b1 process.roles=broker\nrun until serving b1\nrun 1s\ncut k3 k1\ncut k3 k2\nrun 100ms\n\
             topic t partitions=1\nrun 100ms\nheal k3 k1\nheal k3 k2\nkill k1\nkill k2\nstart k1\nstart k2\nrun 20s\n"
        );
        Scenario::parse(&text).expect("it reads")
    });
    // b1 has missed what b2 and b3 agreed on, and is the first in the list of replicas when b2 dies.
    found(PlantedBug::ElectsLaggard, "leader-completeness", |seed| {
        let text = format!(
            "seed {seed}\nbroker k1 process.roles=controller\nbroker b1 process.roles=broker\nbroker b2 process.roles=broker\n\
             broker b3 process.roles=broker\nrun until serving b1\nrun until serving b2\nrun until serving b3\n\
             topic t replicas=b1,b2,b3\nproducer p1 acks=all linger.ms=0\nkill b1\nrun until leader t-0 = b2\n\
             run until isr t-0 = b2 b3\nproduce p1 t value=a\nrun until acked p1 1\nrun 100ms\nkill b2\nrun 20s\n"
        );
        Scenario::parse(&text).expect("it reads")
    });
    // Few brokers are in sync where brokers are few and controllers stay.
    found(PlantedBug::CommitsAlone, "strong-isr", |seed| {
        let mut scenario = Scenario::museum(seed, Exhibit::LoneHighWatermark);
        scenario.setup.past = None;
        scenario
    });
}

/// Who is starved asks again at once: the way is long, so that it does not do so too often.
fn starved(seed: u64, end: &str) -> Scenario {
    let broker = |id: u8| format!("broker b{id} broker.session.timeout.ms=2000 broker.heartbeat.interval.ms=500\n");
    let text = format!(
        "seed {seed}\nnetwork 20ms..20ms\n{}{}{}run until serving b1\nrun until serving b2\nrun until serving b3\n\
         topic t replicas=b2,b1,b3\nproducer p1 acks=1 linger.ms=0\nproduce p1 t value=a\nrun until acked p1 1\n{end}",
        broker(1),
        broker(2),
        broker(3)
    );
    Scenario::parse(&text).expect("it reads")
}

/// Nobody demands it: the check watches every run. It waits for the end of the last fault, and is silent as long as one lasts.
#[test]
fn what_does_not_come_to_rest_is_found_wherever_a_world_runs() {
    let trouble = |bug: Option<PlantedBug>, mut scenario: Scenario| {
        scenario.setup.bug = bug;
        examine(&scenario, EVENTS).trouble.map(|it| it.check)
    };
    let starves = Some(PlantedBug::StarvesFollower);
    assert_eq!(trouble(starves, starved(1, "run 70s\n")).as_deref(), Some("converges"));
    assert_eq!(trouble(starves, starved(1, "run 50s\n")), None, "it may take a minute and two sessions");
    assert_eq!(trouble(starves, starved(1, "run 50s\npause b3\nrun 70s\n")), None, "somebody stands still");
    assert_eq!(trouble(starves, starved(1, "run 50s\npause b3\nresume b3\nrun 70s\n")).as_deref(), Some("converges"));
    assert_eq!(trouble(None, starved(1, "run 70s\npause b3\nrun 20s\nresume b3\nrun 70s\n")), None);
    assert_eq!(
        trouble(None, Scenario::parse("seed 1\nnetwork 20s..20s\nbroker b1\nbroker b2\nrun 300s\n").unwrap()),
        None
    );
    let group_of = |broker: &str, end: &str| {
        let text = format!(
            "seed 1\nbroker b1 offsets.topic.replication.factor=1 offsets.topic.num.partitions=1 {broker}\nrun until serving b1\n\
             topic t partitions=2\n\
             consumer m1 group.id=g max.poll.interval.ms=10000 session.timeout.ms=6000\nfollow m1 t\n\
             consumer m2 group.id=g max.poll.interval.ms=10000 session.timeout.ms=6000\nfollow m2 t\n{end}"
        );
        Scenario::parse(&text).expect("it reads")
    };
    let group = |end: &str| group_of("", end);
    assert_eq!(trouble(None, group_of("group.initial.rebalance.delay.ms=120000", "run 150s\n")), None);
    let refuses = Some(PlantedBug::RefusesMember);
    assert_eq!(trouble(refuses, group("run 100s\n")).as_deref(), Some("converges"));
    assert_eq!(trouble(refuses, group("run 80s\n")), None, "besides, m1 may be silent for 16 s");
    assert_eq!(trouble(None, group("run 100s\nkill m2\nrun 100s\n")), None);
}

/// What b2 and b3 ask b1 for is refused in several waves while it has no logs yet. Where hosts are late the waves come due in one
/// turn, and in no other way can a follower ask for what it was still to forget.
#[test]
fn a_bug_of_late_turns_is_found_where_hosts_are_late() {
    let waves = |seed: u64, late_us: u64| {
        let replicas = "replicas=b1,b2,b3 ".repeat(6);
        let text = format!(
            "seed {seed}\ntimers 0us..{late_us}us\nbroker b1\nbroker b2\nbroker b3\n\
             run until serving b1\nrun until serving b2\nrun until serving b3\n\
             slow-disk b1 30ms\ntopic t partitions=6 {replicas}\nrun 1s\nslow-disk b1 0ms\n\
             producer p1 acks=1 linger.ms=0\nload p1 t every=5ms count=50 keys=50\nrun until acked p1 50\n\
             run until behind = within 10s\n"
        );
        Scenario::parse(&text).expect("it reads")
    };
    found(PlantedBug::ForgetsWhatIsAsked, "converges", |seed| waves(seed, 20_000));
    for seed in 0..20 {
        let examined = examine(&waves(seed, 20_000), EVENTS);
        assert_eq!(examined.trouble, None, "without the bug all is well: seed {seed}");
        let mut exact = waves(seed, 0);
        exact.setup.bug = Some(PlantedBug::ForgetsWhatIsAsked);
        assert_eq!(examine(&exact, EVENTS).trouble, None, "no turn is late: seed {seed}");
    }
}

/// The same for what must hold in a group: of the classic protocol, of KIP-848, or of whichever the seed has.
#[test]
fn every_planted_bug_of_a_group_is_found() {
    let scenario = |seed| Scenario::random_of(Theme::Groups, seed, 1);
    let bugs = [
        (PlantedBug::AssignsAll, "one-owner-a-partition"),
        (PlantedBug::ForgetsPartition, "target-once-a-partition"),
        (PlantedBug::CommitsAhead, "commits-below-high-watermark"),
        (PlantedBug::ForgetsCommits, "commits-stay"),
        (PlantedBug::RefusesMember, "converges"),
        (PlantedBug::MovesEpochBack, "member-epochs-monotonic"),
    ];
    for (bug, check) in some(2, bugs) {
        let protocols: &[&str] = match bug {
            // A group that never finds its peace is waited for: once is enough.
            PlantedBug::RefusesMember => &["classic"],
            // Who joins a classic group is told a generation each time; an epoch comes with every heartbeat.
            PlantedBug::MovesEpochBack => &["consumer"],
            _ => &["classic", "consumer"],
        };
        for protocol in protocols.iter().copied() {
            let is_consumer = |seed: u64| scenario(seed).to_string().contains("group.protocol=consumer");
            let first = (0..).find(|seed| is_consumer(*seed) == (protocol == "consumer")).unwrap_or_default();
            found(bug, check, |seed| scenario(first + seed));
        }
    }
}

fn found(bug: PlantedBug, check: &str, scenario: impl Fn(u64) -> Scenario) {
    let is_found = |seed: &u64| {
        let mut scenario = scenario(*seed);
        scenario.setup.bug = Some(bug);
        let trouble = examine(&scenario, EVENTS).trouble;
        println!("{bug:?}: seed {seed}: {trouble:?}");
        trouble.is_some_and(|it| it.check == check)
    };
    assert!((0..1_000).any(|seed| is_found(&seed)), "{bug:?} is not found by {check}");
}
