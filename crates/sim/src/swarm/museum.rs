//! Small clusters whose nodes behave as they once did: in which of them are records lost?

use protocol::Str;

use super::generate::{SECOND, setting, word};
use crate::action::{Action, CreateTopic, Load};
use crate::exhibit::Exhibit;
use crate::random::{Purpose, Random};
use crate::script::quote::Duration;
use crate::script::{Condition, Scenario, Step};
use crate::setup::{BrokerSetup, Setup};

const BROKERS: [Str; 3] = [Str::from_static("b1"), Str::from_static("b2"), Str::from_static("b3")];
const CONTROLLERS: [Str; 3] = [Str::from_static("k1"), Str::from_static("k2"), Str::from_static("k3")];
const TOPIC: Str = Str::from_static("orders");
/// Faults come until then.
const END: u64 = 25 * SECOND;

/// Brokers and controllers apart, so that a majority of brokers may go; one partition, one producer, one consumer, few faults.
pub(super) fn museum(seed: u64, exhibit: Exhibit) -> Scenario {
    let mut random = Random::stream(seed, Purpose::Scenario, 100 + exhibit as u16);
    let lag = word(&mut random, &["2000", "4000", "30000"]);
    let broker = |name: &Str| BrokerSetup {
        name: name.clone(),
        settings: vec![
            setting("process.roles", "broker"),
            setting("broker.session.timeout.ms", "2000"),
            setting("broker.heartbeat.interval.ms", "500"),
            setting("replica.lag.time.max.ms", lag),
        ],
    };
    let controller = |name: &Str| BrokerSetup {
        name: name.clone(),
        settings: vec![setting("process.roles", "controller"), setting("broker.session.timeout.ms", "2000")],
    };
    let brokers = BROKERS.iter().map(broker).chain(CONTROLLERS.iter().map(controller)).collect();
    let setup = Setup { seed, brokers, past: Some(exhibit), ..Setup::default() };
    // Where the exhibit is about what comes after an unclean election, that itself is allowed.
    let is_unclean = matches!(exhibit, Exhibit::LoneEpochs | Exhibit::UnvalidatedFetches);
    let min_isr = if is_unclean || exhibit == Exhibit::UncleanElection { "1" } else { "2" };
    let mut settings = vec![setting("min.insync.replicas", min_isr)];
    if is_unclean {
        settings.push(setting("unclean.leader.election.enable", "true"));
    }
    let mut steps: Vec<Step> = BROKERS.iter().map(|name| wait(name.clone())).collect();
    let replicas = vec![BROKERS.to_vec()];
    let topic = CreateTopic { name: TOPIC, partitions: 1, replicas, settings, ..CreateTopic::default() };
    steps.push(Step::Do(Action::CreateTopic(topic)));
    let acks = word(&mut random, &["all", "all", "1"]);
    let producer = vec![setting("acks", acks), setting("linger.ms", "0"), setting("request.timeout.ms", "1000")];
    steps.push(Step::Do(Action::Producer(Str::from_static("p1"), producer)));
    let consumer = vec![setting("auto.offset.reset", "earliest")];
    steps.push(Step::Do(Action::Consumer(Str::from_static("c1"), consumer)));
    steps.push(Step::Do(Action::Follow(Str::from_static("c1"), TOPIC)));
    let every_us = *random.pick(&[20_000, 100_000, 400_000]);
    let load = Load { client: Str::from_static("p1"), topic: TOPIC, every_us, count: None, keys: 0, size: 0 };
    steps.push(Step::Do(Action::Load(load)));
    let mut timed = Vec::new();
    let mut at = random.within(SECOND, 4 * SECOND);
    while at < END {
        faults(&mut random, at, &mut timed);
        at += random.within(SECOND / 10, 4 * SECOND);
    }
    ordered::sort_by_key(&mut timed, |(at, _)| *at);
    steps.extend(timed.into_iter().map(|(at, action)| Step::At(Duration(at), action)));
    steps.push(Step::Run(Duration(20 * SECOND)));
    let steps = steps.into_iter().enumerate().map(|(index, step)| (index + 1, step)).collect();
    Scenario::new(setup, steps)
}

fn wait(name: Str) -> Step {
    Step::RunUntil(Condition::Serving(name).into(), Duration(30 * SECOND))
}

/// A fault of one broker, and its end.
fn faults(random: &mut Random, at: u64, timed: &mut Vec<(u64, Action)>) {
    let broker = random.pick(&BROKERS).clone();
    let others: Vec<Str> = BROKERS.iter().filter(|it| **it != broker).cloned().collect();
    let other = random.pick(&others).clone();
    let back = at + *random.pick(&[SECOND / 5, 2 * SECOND, 5 * SECOND, 10 * SECOND]);
    let start = |broker: &Str| (back, Action::Start(broker.clone()));
    match random.below(7) {
        0 | 1 => timed.extend([(at, Action::Kill(broker.clone())), start(&broker)]),
        2 => timed.extend([(at, Action::PowerCut(broker.clone())), start(&broker)]),
        3 => timed.extend([(at, Action::Stop(broker.clone())), start(&broker)]),
        4 => timed.extend([(at, Action::Pause(broker.clone())), (back, Action::Resume(broker))]),
        _ => timed.extend([(at, Action::Cut(broker.clone(), other.clone())), (back, Action::Heal(broker, other))]),
    }
}
