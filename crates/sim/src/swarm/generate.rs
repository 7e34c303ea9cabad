//! Scenarios from seeds.

use protocol::{ApiKey, Str};

use crate::action::{Action, CreateTopic, DiskFault, Load};
use crate::random::{Purpose, Random};
use crate::script::quote::Duration;
use crate::script::{Condition, Query, Scenario, Step};
use crate::setup::{BrokerSetup, Setting, Setup};

pub(super) const SECOND: u64 = 1_000_000;
/// A seed of a cluster has at least so many events, and acknowledged records.
pub(super) const CLUSTER_EVENTS: u64 = 20_000;
pub(super) const CLUSTER_ACKED: u64 = 500;
const BROKER: Str = Str::from_static("b1");
/// Streams of their own: whether all that one broker acknowledges is synced, and when its power is cut.
const DURABLE: u16 = 600;
const CUT: u16 = 601;
/// Another one: how late processes are woken.
const LATENESS: u16 = 602;
/// And another: how soon brokers whose sessions break are knocked at.
const GRACE: u16 = 603;

pub(super) fn bench(seed: u64, events: u64) -> Scenario {
    let topic = Str::from_static("orders");
    let mut steps = vec![Step::Do(Action::CreateTopic(CreateTopic {
        name: topic.clone(),
        partitions: 3,
        ..CreateTopic::default()
    }))];
    for name in ["c1", "c2"] {
        let earliest = setting("auto.offset.reset", "earliest");
        steps.push(Step::Do(Action::Consumer(name.into(), vec![earliest])));
        steps.push(Step::Do(Action::Follow(name.into(), topic.clone())));
    }
    for name in ["p1", "p2"] {
        steps.push(Step::Do(Action::Producer(name.into(), Vec::new())));
        let load = Load { client: name.into(), topic: topic.clone(), every_us: 500, count: None, keys: 16, size: 100 };
        steps.push(Step::Do(Action::Load(load)));
    }
    steps.push(Step::RunEvents(events));
    Scenario::new(Setup::single(seed), numbered(steps))
}

pub(super) fn quiet(seed: u64, brokers: usize, seconds: u64) -> Scenario {
    let setup = Setup::cluster(seed, brokers);
    let serving = |it: &BrokerSetup| Step::RunUntil(Condition::Serving(it.name.clone()).into(), Duration(60 * SECOND));
    let mut steps: Vec<Step> = setup.brokers.iter().map(serving).collect();
    let topic = Str::from_static("orders");
    let (producer, consumer) = (Str::from_static("p1"), Str::from_static("c1"));
    let load = Load {
        client: producer.clone(),
        topic: topic.clone(),
        every_us: SECOND / 10,
        count: None,
        keys: 16,
        size: 100,
    };
    steps.push(Step::Do(Action::CreateTopic(CreateTopic {
        name: topic.clone(),
        partitions: 1,
        ..CreateTopic::default()
    })));
    steps.push(Step::Do(Action::Consumer(consumer.clone(), vec![setting("auto.offset.reset", "earliest")])));
    steps.push(Step::Do(Action::Follow(consumer, topic)));
    steps.push(Step::Do(Action::Producer(producer, Vec::new())));
    steps.push(Step::Do(Action::Load(load)));
    steps.push(Step::Run(Duration(seconds * SECOND)));
    Scenario::new(setup, numbered(steps))
}

pub(super) fn random(seed: u64, brokers: usize) -> Scenario {
    let mut it = Generator::new(Random::stream(seed, Purpose::Scenario, brokers as u16 - 1), brokers);
    let mut setup = it.setup(seed);
    if it.is_cluster() {
        let grace = grace(seed);
        setup.brokers.iter_mut().for_each(|broker| broker.settings.extend(grace.iter().cloned()));
        it.wait_for_all();
    }
    let topics = it.topics();
    let end = if it.is_cluster() {
        it.random.within(10 * SECOND, 30 * SECOND)
    } else {
        it.random.within(3 * SECOND, 8 * SECOND)
    };
    let producers = it.producers(&topics);
    let consumers = it.consumers(&topics);
    if it.is_cluster() {
        it.cluster_faults(end);
    } else {
        it.broker_faults(end);
        it.cut_once(seed, end);
    }
    it.other_faults(end, &producers, &consumers);
    it.finish(end, &producers, &consumers);
    Scenario::new(setup, numbered(it.steps))
}

pub(super) struct Generator {
    pub(super) random: Random,
    pub(super) brokers: Vec<Str>,
    pub(super) steps: Vec<Step>,
    pub(super) loads: Vec<Load>,
    pub(super) timed: Vec<(u64, Action)>,
    /// A bit rots: who reads there is told so for ever, and a follower never gets past it.
    pub(super) rots: bool,
    /// Every topic has `flush.messages=1`: nothing that is acknowledged hangs on the power.
    pub(super) durable: bool,
}

impl Generator {
    pub(super) fn new(random: Random, brokers: usize) -> Generator {
        Generator {
            random,
            brokers: (1..=brokers).map(|number| Str::from(format!("b{number}"))).collect(),
            steps: Vec::new(),
            loads: Vec::new(),
            timed: Vec::new(),
            rots: false,
            durable: false,
        }
    }

    pub(super) fn setup(&mut self, seed: u64) -> Setup {
        let random = &mut self.random;
        let network_us = *random.pick(&[(200, 800), (50, 150), (1_000, 20_000), (100, 5_000)]);
        let disk_us = *random.pick(&[(20, 120), (10, 5_000), (500, 1_000)]);
        let sync_us = *random.pick(&[(200, 2_000), (1_000, 30_000)]);
        let mut settings = Vec::new();
        if random.once_in(3) {
            let interval = word(random, &["500", "1000", "5000"]);
            settings.push(setting("replica.high.watermark.checkpoint.interval.ms", interval));
        }
        if self.is_cluster() {
            settings.extend(self.cluster_settings());
            self.durable = self.random.once_in(3);
        } else {
            // Drawn apart, as the next one is, so that what a seed was before is still what it does otherwise.
            self.durable = Random::stream(seed, Purpose::Scenario, DURABLE).once_in(2);
        }
        let random = &mut self.random;
        let broker = |name: &Str| BrokerSetup { name: name.clone(), settings: settings.clone() };
        let brokers = self.brokers.iter().map(broker).collect();
        let codec = random.once_in(8);
        let timers_us = lateness(seed);
        Setup { seed, network_us, disk_us, sync_us, timers_us, codec, brokers, ..Setup::default() }
    }

    pub(super) fn topics(&mut self) -> Vec<Str> {
        let names = if self.random.once_in(3) { vec!["orders", "payments"] } else { vec!["orders"] };
        let topics: Vec<Str> = names.into_iter().map(Str::from_static).collect();
        for topic in &topics {
            let partitions = self.random.within(1, 3) as i32;
            let mut settings = Vec::new();
            if self.random.once_in(4) {
                settings.push(setting("segment.bytes", "1048576"));
            }
            let is_drawn = !(self.is_cluster() && self.durable);
            let drawn = (is_drawn && self.random.once_in(4)).then(|| word(&mut self.random, &["1", "10", "100"]));
            if let Some(messages) = if self.durable { Some("1") } else { drawn } {
                settings.push(setting("flush.messages", messages));
            }
            if self.random.once_in(6) {
                settings.push(setting("message.timestamp.type", "LogAppendTime"));
            }
            if self.is_cluster() {
                let min_isr = if self.random.once_in(4) { "1" } else { "2" };
                settings.push(setting("min.insync.replicas", min_isr));
            }
            let it = CreateTopic { name: topic.clone(), partitions, settings, ..CreateTopic::default() };
            self.steps.push(Step::Do(Action::CreateTopic(it)));
        }
        topics
    }

    pub(super) fn producers(&mut self, topics: &[Str]) -> Vec<Str> {
        let names: Vec<Str> = (1..=self.random.within(1, 3)).map(|number| Str::from(format!("p{number}"))).collect();
        for name in &names {
            // The first one of a cluster is told of its records, and has many.
            let is_cluster = self.is_cluster();
            let is_told = is_cluster && *name == names[0];
            let acks: &[&str] = if is_told { &["all", "all", "1"] } else { &["all", "all", "all", "1", "1", "0"] };
            let every_us: &[u64] = match (is_cluster, is_told) {
                (true, true) => &[2_000, 5_000, 10_000],
                (true, false) => &[2_000, 10_000, 50_000],
                (false, _) => &[500, 2_000, 10_000, 50_000],
            };
            let random = &mut self.random;
            let mut settings = vec![
                setting("linger.ms", word(random, &["0", "1", "5", "20"])),
                setting("acks", word(random, acks)),
                setting("max.in.flight.requests.per.connection", word(random, &["1", "2", "5"])),
                setting("request.timeout.ms", word(random, &["1000", "3000", "30000"])),
                setting("delivery.timeout.ms", word(random, &["31000", "60000", "120000"])),
            ];
            if random.once_in(3) {
                settings.push(setting("enable.idempotence", "false"));
            }
            if random.once_in(4) {
                let codec = word(random, &["gzip", "snappy", "lz4", "zstd"]);
                settings.push(setting("compression.type", codec));
            }
            if random.once_in(4) {
                settings.push(setting("batch.size", word(random, &["1", "200", "1000"])));
            }
            // Idempotence asked for by default gives way to acks; nothing here contradicts itself.
            self.steps.push(Step::Do(Action::Producer(name.clone(), settings)));
            let random = &mut self.random;
            let load = Load {
                client: name.clone(),
                topic: random.pick(topics).clone(),
                every_us: *random.pick(every_us),
                count: None,
                keys: *random.pick(&[0, 1, 8]),
                size: *random.pick(&[0, 100, 2_000]),
            };
            self.loads.push(load.clone());
            self.steps.push(Step::Do(Action::Load(load)));
        }
        names
    }

    pub(super) fn consumers(&mut self, topics: &[Str]) -> Vec<(Str, Str)> {
        let count = self.random.within(1, 2).max(topics.len() as u64);
        let mut consumers = Vec::new();
        let is_cluster = self.is_cluster();
        for number in 0..count {
            let name = Str::from(format!("c{}", number + 1));
            let topic = topics[number as usize % topics.len()].clone();
            let random = &mut self.random;
            // Less a partition than in all would make every fetch wait its time out, as in Kafka.
            let (min_bytes, partition_bytes) =
                *random.pick(&[("1", "1048576"), ("1", "5000"), ("1", "100"), ("500", "1048576"), ("500", "5000")]);
            // A cluster's records are too many to be read one by one.
            let partition_bytes = if is_cluster && partition_bytes == "100" { "5000" } else { partition_bytes };
            let settings = vec![
                setting("auto.offset.reset", "earliest"),
                setting("fetch.min.bytes", min_bytes),
                setting("fetch.max.wait.ms", word(random, &["10", "100", "500"])),
                setting("max.partition.fetch.bytes", partition_bytes),
                setting("request.timeout.ms", word(random, &["2000", "30000"])),
            ];
            self.steps.push(Step::Do(Action::Consumer(name.clone(), settings)));
            self.steps.push(Step::Do(Action::Follow(name.clone(), topic.clone())));
            consumers.push((name, topic));
        }
        consumers
    }

    /// The broker goes down and comes back, some times one after the other.
    fn broker_faults(&mut self, end: u64) {
        let mut at = self.random.within(SECOND / 5, 2 * SECOND);
        while at < end {
            let random = &mut self.random;
            let back = at + random.within(10_000, 2 * SECOND);
            let steps = match random.below(9) {
                0 | 1 => vec![(at, Action::Kill(BROKER)), (back, Action::Start(BROKER))],
                2 => vec![(at, Action::PowerCut(BROKER)), (back, Action::Start(BROKER))],
                3 | 4 => vec![(at, Action::PowerCutTorn(BROKER)), (back, Action::Start(BROKER))],
                5 => vec![(at, Action::Stop(BROKER)), (back, Action::Start(BROKER))],
                6 => vec![(at, Action::Pause(BROKER)), (back, Action::Resume(BROKER))],
                7 => {
                    let slow = Action::SlowDisk(BROKER, random.within(1_000, 200_000));
                    vec![(at, slow), (back, Action::SlowDisk(BROKER, 0))]
                }
                _ => {
                    let mut steps = vec![(at, disk_fault(random, &BROKER)), (back, Action::DiskHeal(BROKER))];
                    // The node gives its only disk up and stops; the power may go as well before anybody looks.
                    if random.once_in(3) {
                        steps.push((back, Action::PowerCutTorn(BROKER)));
                    }
                    steps.push((back, Action::Start(BROKER)));
                    steps
                }
            };
            self.timed.extend(steps);
            at = back + self.random.within(SECOND / 10, 3 * SECOND);
        }
    }

    /// What is on disk before it is acknowledged loses its power at least once.
    fn cut_once(&mut self, seed: u64, end: u64) {
        let is_torn = |(_, it): &(u64, Action)| matches!(it, Action::PowerCutTorn(_));
        if self.durable && !self.timed.iter().any(is_torn) {
            let mut random = Random::stream(seed, Purpose::Scenario, CUT);
            let at = random.within(SECOND / 2, end);
            let back = at + random.within(10_000, 2 * SECOND);
            self.timed.extend([(at, Action::PowerCutTorn(BROKER)), (back, Action::Start(BROKER))]);
        }
    }

    fn other_faults(&mut self, end: u64, producers: &[Str], consumers: &[(Str, Str)]) {
        let clients: Vec<Str> = producers.iter().cloned().chain(consumers.iter().map(|it| it.0.clone())).collect();
        for client in &clients {
            let mut at = self.random.within(SECOND / 10, 4 * SECOND);
            while at < end {
                let random = &mut self.random;
                let back = at + random.within(10_000, SECOND);
                let broker = if self.brokers.len() > 1 { random.pick(&self.brokers).clone() } else { BROKER };
                let client = client.clone();
                let (fault, heal) = match random.below(8) {
                    0 => (Action::Cut(client.clone(), broker.clone()), Some(Action::Heal(client, broker))),
                    1 => (Action::Pause(client.clone()), Some(Action::Resume(client))),
                    2 => (Action::Kill(client.clone()), Some(Action::Start(client))),
                    3 => {
                        let us = random.within(1_000, 300_000);
                        let slow = Action::Delay(client.clone(), broker.clone(), us);
                        (slow, Some(Action::Delay(client, broker, 0)))
                    }
                    4 => (Action::SkewClock(client, random.within(0, 7_200_000).cast_signed() - 3_600_000), None),
                    5 => (Action::DropResponse(*random.pick(&[ApiKey::Fetch, ApiKey::Metadata]), client), None),
                    6 => (Action::CorruptRequest(ApiKey::Produce, client), None),
                    _ => (Action::DropResponse(ApiKey::Produce, client), None),
                };
                self.timed.push((at, fault));
                if let Some(heal) = heal {
                    self.timed.push((back, heal));
                }
                at = back + self.random.within(SECOND / 10, 4 * SECOND);
            }
        }
    }

    /// Faults end, loads end, and then all must be well.
    pub(super) fn finish(&mut self, end: u64, producers: &[Str], consumers: &[(Str, Str)]) {
        ordered::sort_by_key(&mut self.timed, |(at, _)| *at);
        let last = self.timed.last().map_or(end, |(at, _)| end.max(*at));
        for (at, action) in std::mem::take(&mut self.timed) {
            self.steps.push(Step::At(Duration(at), action));
        }
        for name in producers {
            self.steps.push(Step::At(Duration(last), Action::Unload(name.clone())));
        }
        // A shutdown that was still under way when its start came has ended long since.
        self.steps.push(Step::Run(Duration(30 * SECOND)));
        for broker in self.brokers.clone() {
            self.steps.push(Step::Do(Action::Start(broker)));
        }
        let patience = Duration(300 * SECOND);
        self.wait_for_all();
        if self.is_cluster() {
            self.go_on(&producers[0]);
        }
        if self.rots {
            return;
        }
        for name in producers {
            self.steps.push(Step::RunUntil(Condition::Idle(name.clone()).into(), patience));
        }
        for (name, topic) in consumers {
            self.steps.push(Step::RunUntil(Condition::CaughtUp(name.clone(), topic.clone()).into(), patience));
        }
        if self.is_cluster() {
            self.steps.push(Step::RunUntil(Condition::Is(Query::Behind, Vec::new()).into(), patience));
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.brokers.len() > 1
    }

    pub(super) fn wait_for_all(&mut self) {
        for broker in self.brokers.clone() {
            self.steps.push(Step::RunUntil(Condition::Serving(broker).into(), Duration(300 * SECOND)));
        }
    }
}

/// How late processes are woken: at once, but for two seeds of eight. They are told by their number, so that those of the list
/// that every test run plays are what they were when they broke something.
fn lateness(seed: u64) -> (u64, u64) {
    if !matches!(seed % 8, 2 | 3) {
        return (0, 0);
    }
    *Random::stream(seed, Purpose::Scenario, LATENESS).pick(&[(0, 1_500), (500, 3_000), (0, 15_000), (0, 50_000)])
}

/// At once, as by default, but for two seeds of eight, told by their number as those above are.
fn grace(seed: u64) -> Option<Setting> {
    let random = &mut Random::stream(seed, Purpose::Scenario, GRACE);
    let grace = word(random, &["50", "1000", "2147483647", "2147483647"]);
    matches!(seed % 8, 4 | 5).then(|| setting("vivarium.broker.session.reset.grace.ms", grace))
}

pub(super) fn disk_fault(random: &mut Random, broker: &Str) -> Action {
    random
        .pick(&[
            Action::DiskFull(broker.clone()),
            Action::DiskError(broker.clone(), DiskFault::Read),
            Action::DiskError(broker.clone(), DiskFault::Write),
            Action::DiskError(broker.clone(), DiskFault::Sync),
        ])
        .clone()
}

pub(super) fn word(random: &mut Random, words: &[&'static str]) -> &'static str {
    words[random.below(words.len() as u64) as usize]
}

pub(super) fn setting(key: &'static str, value: &str) -> Setting {
    (Str::from_static(key), Str::from(value))
}

pub(super) fn numbered(steps: Vec<Step>) -> Vec<(usize, Step)> {
    steps.into_iter().enumerate().map(|(index, step)| (index + 1, step)).collect()
}
