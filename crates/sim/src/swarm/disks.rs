//! Brokers with several log directories: replicas move from one to another and from broker to broker, directories fail, and all
//! the while records come, go and are compacted.

use protocol::{Str, TopicPartition};

use super::generate::{Generator, SECOND, numbered, setting, word};
use crate::action::{Action, CreateTopic, Load};
use crate::random::{Purpose, Random};
use crate::script::{Scenario, Step};
use crate::setup::Setting;

/// Brokers are in trouble so often at least.
const TROUBLES: usize = 6;

/// A scenario of so many brokers.
pub(super) fn disks(seed: u64, brokers: usize) -> Scenario {
    let random = Random::stream(seed, Purpose::Scenario, 400 + brokers as u16);
    let mut it = Generator::new(random, brokers);
    let mut setup = it.setup(seed);
    it.durable = false;
    let count = it.random.within(2, 3) as usize;
    let settings = it.disk_settings();
    for broker in &mut setup.brokers {
        let dirs: Vec<String> = (1..=count).map(|dir| directory(&broker.name, dir)).collect();
        broker.settings.push(setting("log.dirs", &dirs.join(",")));
        broker.settings.extend(settings.iter().cloned());
    }
    it.wait_for_all();
    let topics = it.kept_topics();
    let producers: Vec<Str> = topics.iter().zip(1..).map(|(topic, number)| it.keyed_producer(topic, number)).collect();
    let names: Vec<Str> = topics.iter().map(|topic| topic.name.clone()).collect();
    let consumers = it.consumers(&names);
    let end = it.random.within(12 * SECOND, 30 * SECOND);
    for broker in it.brokers.clone() {
        it.steps.push(Step::Do(Action::Wire(wire(&broker), broker)));
    }
    it.moves(end, &topics, count);
    it.disk_faults(end, count);
    it.finish(end, &producers, &consumers);
    Scenario::new(setup, numbered(it.steps))
}

fn directory(broker: &str, number: usize) -> String {
    format!("/{broker}/{number}")
}

/// Who asks a broker for what only a request by hand can ask.
fn wire(broker: &str) -> Str {
    Str::from(format!("w-{broker}"))
}

impl Generator {
    fn disk_settings(&mut self) -> Vec<Setting> {
        let grace = self.grace();
        let random = &mut self.random;
        vec![
            grace,
            setting("log.retention.check.interval.ms", word(random, &["500", "2000"])),
            setting("log.cleaner.backoff.ms", word(random, &["200", "1000"])),
            setting("log.segment.delete.delay.ms", word(random, &["0", "1000"])),
        ]
    }

    /// One topic that keeps everything, and often one that does not.
    fn kept_topics(&mut self) -> Vec<CreateTopic> {
        let mut topics = Vec::new();
        for name in ["orders", "payments"] {
            let mut settings = vec![
                setting("min.insync.replicas", if self.is_cluster() { "2" } else { "1" }),
                setting("segment.ms", "1000"),
            ];
            let partitions = self.random.within(1, 3) as i32;
            match (name, self.random.below(3)) {
                ("orders", _) => {}
                (_, 0) => continue,
                (_, 1) => settings.push(setting("retention.ms", word(&mut self.random, &["2000", "6000"]))),
                _ => settings.extend([
                    setting("cleanup.policy", "compact"),
                    setting("min.cleanable.dirty.ratio", "0.01"),
                    setting("delete.retention.ms", word(&mut self.random, &["0", "5000"])),
                ]),
            }
            let topic = CreateTopic { name: Str::from_static(name), partitions, settings, ..CreateTopic::default() };
            self.steps.push(Step::Do(Action::CreateTopic(topic.clone())));
            topics.push(topic);
        }
        topics
    }

    /// Records with keys, so that they may be compacted.
    fn keyed_producer(&mut self, topic: &CreateTopic, number: usize) -> Str {
        let name = Str::from(format!("p{number}"));
        let settings = vec![setting("acks", "all"), setting("linger.ms", word(&mut self.random, &["0", "5"]))];
        self.steps.push(Step::Do(Action::Producer(name.clone(), settings)));
        let random = &mut self.random;
        let (every_us, keys, size) =
            (*random.pick(&[2_000, 10_000]), *random.pick(&[8, 64]), *random.pick(&[0, 100, 2_000]));
        let load = Load { client: name.clone(), topic: topic.name.clone(), every_us, count: None, keys, size };
        self.loads.push(load.clone());
        self.steps.push(Step::Do(Action::Load(load)));
        name
    }

    /// Replicas go to other directories, and to other brokers where there are some.
    fn moves(&mut self, end: u64, topics: &[CreateTopic], dirs: usize) {
        let mut at = self.random.within(SECOND, 3 * SECOND);
        while at < end {
            let random = &mut self.random;
            let topic = random.pick(topics);
            let partition = random.below(topic.partitions.unsigned_abs().into()) as i32;
            let partition = TopicPartition { topic: topic.name.clone(), partition };
            let broker = random.pick(&self.brokers).clone();
            let dir = directory(&broker, random.within(1, dirs as u64) as usize);
            let action = match random.below(8) {
                0 if self.brokers.len() > 2 => {
                    let mut replicas = self.brokers.clone();
                    let count = replicas.len() as u64;
                    replicas.rotate_left(random.below(count) as usize);
                    replicas.truncate(random.within(2, count) as usize);
                    Action::Reassign(wire(&broker), partition, replicas)
                }
                1 => {
                    let cordoned = if random.once_in(2) { dir } else { String::new() };
                    Action::AlterBroker(broker, vec![setting("cordoned.log.dirs", &cordoned)])
                }
                _ => Action::MoveReplica(wire(&broker), partition, Str::from(dir)),
            };
            self.timed.push((at, action));
            at += self.random.within(SECOND / 10, 2 * SECOND);
        }
    }

    /// Directories fail beside what else may go wrong with a broker.
    fn disk_faults(&mut self, end: u64, dirs: usize) {
        let mut at = self.random.within(2 * SECOND, 5 * SECOND);
        let mut troubles = 0;
        while at < end || troubles < TROUBLES {
            troubles += 1;
            let back = at + self.random.within(SECOND / 10, 6 * SECOND);
            let broker = self.random.pick(&self.brokers).clone();
            let steps = if self.random.once_in(2) {
                let number = self.random.within(1, dirs as u64) as u16;
                let ends = if self.random.once_in(2) { Action::Kill } else { Action::Stop };
                vec![
                    (at, Action::LoseDirectory(broker.clone(), number)),
                    // Nobody mends a disk under a process that gave it up.
                    (back, Action::DiskHeal(broker.clone())),
                    (back, ends(broker.clone())),
                    (back + 6 * SECOND, Action::Start(broker)),
                ]
            } else if self.is_cluster() {
                self.trouble_or_flap(at, back, broker)
            } else {
                let ends = if self.random.once_in(3) { Action::Stop } else { Action::Kill };
                vec![(at, ends(broker.clone())), (back, Action::Start(broker))]
            };
            self.timed.extend(steps);
            at = back + self.random.within(SECOND, 7 * SECOND);
        }
    }
}
