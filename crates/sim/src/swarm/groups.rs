//! Consumer groups of both protocols, whose members come, go, stand still and die, and whose coordinators do too.

use protocol::{ApiKey, Str, TopicPartition};

use super::generate::{Generator, SECOND, numbered, setting, word};
use crate::action::{Action, CreateTopic, Load};
use crate::random::{Purpose, Random};
use crate::script::quote::Duration;
use crate::script::{Condition, Query, Scenario, Step};
use crate::setup::{BrokerSetup, Setting};

/// After so long everything that was on its way is there, and every session that ends has ended.
const PATIENCE: Duration = Duration(300 * SECOND);
/// A coordinator is in trouble so often at least.
const TROUBLES: usize = 5;
/// How the members of a group agree.
const AGREEMENTS: [Agreement; 6] = [
    Agreement::Classic("range"),
    Agreement::Classic("roundrobin"),
    Agreement::Classic("sticky"),
    Agreement::Classic("cooperative-sticky"),
    Agreement::Consumer("uniform"),
    Agreement::Consumer("range"),
];
/// How many of these are the classic protocol's.
const CLASSIC: usize = 4;
/// Whose answers are lost on their way to members.
const ASKED: [ApiKey; 7] = [
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
];

/// One group in so many is on its way from one protocol to the other: every second member speaks KIP-848's.
const MIXED: u64 = 6;

/// The protocol of a member, and by which rule its group shares partitions out.
#[derive(Clone, Copy)]
enum Agreement {
    Classic(&'static str),
    Consumer(&'static str),
}

/// A group and who is in it.
struct Group {
    id: Str,
    topic: Str,
    partitions: i32,
    /// Static members: who is taken for another of its instance is refused for good, as in Kafka, and has to be started again. That
    /// may be one of KIP-848 that is back before its session is over, or one whose coordinator went before it noted it down.
    is_static: bool,
    /// Members of both protocols: one of KIP-848 that comes back when the others have gone on without it finds a classic group, and
    /// is refused for good, as in Kafka.
    is_mixed: bool,
    /// It commits by itself, so that it must have committed everything in the end.
    commits: bool,
    members: Vec<Str>,
}

/// A scenario of so many brokers.
pub(super) fn groups(seed: u64, brokers: usize) -> Scenario {
    let random = Random::stream(seed, Purpose::Scenario, 300 + brokers as u16);
    let mut it = Generator::new(random, brokers);
    let mut setup = it.setup(seed);
    // The topic of the groups is not synced before anything is acknowledged: no power is cut here.
    it.durable = false;
    let settings = it.group_settings();
    setup.brokers.iter_mut().for_each(|broker: &mut BrokerSetup| broker.settings.extend(settings.iter().cloned()));
    it.wait_for_all();
    let end = it.random.within(15 * SECOND, 40 * SECOND);
    let topic = Str::from_static("orders");
    let partitions = it.random.within(2, 6) as i32;
    let settings = vec![setting("min.insync.replicas", if it.is_cluster() { "2" } else { "1" })];
    let topic = CreateTopic { name: topic, partitions, settings, ..CreateTopic::default() };
    it.steps.push(Step::Do(Action::CreateTopic(topic.clone())));
    let producer = it.group_producer(&topic.name);
    let count = if it.random.once_in(3) { 2 } else { 1 };
    let mut named = 0;
    // Drawn apart: a seed whose groups are not mixed is the same as before there were such.
    let mut mixed = Random::stream(seed, Purpose::Scenario, 400 + brokers as u16);
    let groups: Vec<Group> =
        (1..=count).map(|number| it.group(number, &topic, migration(&mut mixed), &mut named, end)).collect();
    it.coordinator_faults(end);
    for group in &groups {
        it.member_faults(group, end);
    }
    it.finish_groups(end, &producer, &groups);
    Scenario::new(setup, numbered(it.steps))
}

/// How a group's members agree by turns, if it is of both protocols.
fn migration(random: &mut Random) -> Option<[Agreement; 2]> {
    if !random.once_in(MIXED) {
        return None;
    }
    let (classic, consumer) = AGREEMENTS.split_at(CLASSIC);
    let (classic, consumer) = (*random.pick(classic), *random.pick(consumer));
    Some(if random.once_in(2) { [classic, consumer] } else { [consumer, classic] })
}

impl Generator {
    fn group_settings(&mut self) -> Vec<Setting> {
        let replicas = if self.is_cluster() { "3" } else { "1" };
        let grace = self.grace();
        let random = &mut self.random;
        let session = word(random, &["3000", "6000", "10000"]);
        let beat = word(random, &["500", "1000"]);
        vec![
            grace,
            setting("offsets.topic.replication.factor", replicas),
            setting("offsets.topic.num.partitions", word(random, &["1", "2", "5"])),
            setting("group.initial.rebalance.delay.ms", word(random, &["0", "500", "3000"])),
            setting("group.min.session.timeout.ms", "3000"),
            setting("group.consumer.min.session.timeout.ms", session),
            setting("group.consumer.session.timeout.ms", session),
            setting("group.consumer.min.heartbeat.interval.ms", beat),
            setting("group.consumer.heartbeat.interval.ms", beat),
            setting("group.consumer.assignment.interval.ms", word(random, &["0", "1000"])),
        ]
    }

    fn group_producer(&mut self, topic: &Str) -> Str {
        let name = Str::from_static("p1");
        let acks = vec![setting("acks", "all"), setting("linger.ms", word(&mut self.random, &["0", "5"]))];
        self.steps.push(Step::Do(Action::Producer(name.clone(), acks)));
        let every_us = *self.random.pick(&[5_000, 10_000, 30_000]);
        let load = Load { client: name.clone(), topic: topic.clone(), every_us, count: None, keys: 64, size: 0 };
        self.loads.push(load.clone());
        self.steps.push(Step::Do(Action::Load(load)));
        name
    }

    /// Some members are there from the beginning, the others come later.
    fn group(
        &mut self,
        number: usize,
        topic: &CreateTopic,
        mixed: Option<[Agreement; 2]>,
        named: &mut usize,
        end: u64,
    ) -> Group {
        let id = Str::from(format!("g{number}"));
        let agreement = *self.random.pick(&AGREEMENTS);
        let agreements = mixed.unwrap_or([agreement; 2]);
        let is_static = self.random.once_in(3);
        let commits = !self.random.once_in(4);
        let session = word(&mut self.random, &["3000", "6000", "10000"]);
        let most_poll = word(&mut self.random, &["10000", "300000"]);
        let mut members = Vec::new();
        for index in 0..self.random.within(2, 4) {
            *named += 1;
            let name = Str::from(format!("m{named}"));
            let random = &mut self.random;
            let mut settings = vec![
                setting("group.id", &id),
                setting("auto.offset.reset", "earliest"),
                setting("enable.auto.commit", if commits { "true" } else { "false" }),
                setting("auto.commit.interval.ms", word(random, &["100", "500", "2000"])),
                setting("fetch.max.wait.ms", word(random, &["100", "500"])),
                setting("request.timeout.ms", word(random, &["2000", "30000"])),
                setting("max.poll.interval.ms", most_poll),
            ];
            match agreements[index as usize % 2] {
                Agreement::Classic(assignor) => settings.extend([
                    setting("partition.assignment.strategy", assignor),
                    setting("session.timeout.ms", session),
                    setting("heartbeat.interval.ms", word(random, &["500", "1000"])),
                ]),
                Agreement::Consumer(assignor) => {
                    settings.extend([setting("group.protocol", "consumer"), setting("group.remote.assignor", assignor)])
                }
            }
            if is_static {
                settings.push(setting("group.instance.id", &format!("i{named}")));
            }
            let (comes, follows) =
                (Action::Consumer(name.clone(), settings), Action::Follow(name.clone(), topic.name.clone()));
            if index < 2 && !random.once_in(3) {
                self.steps.extend([Step::Do(comes), Step::Do(follows)]);
            } else {
                let at = random.within(SECOND, end);
                self.timed.extend([(at, comes), (at, follows)]);
            }
            members.push(name);
        }
        Group {
            id,
            topic: topic.name.clone(),
            partitions: topic.partitions,
            is_static,
            is_mixed: mixed.is_some(),
            commits,
            members,
        }
    }

    /// Brokers die, stand still and lose sight of each other, and with them the coordinators that they are.
    fn coordinator_faults(&mut self, end: u64) {
        let mut at = self.random.within(SECOND, 6 * SECOND);
        let mut troubles = 0;
        while at < end || troubles < TROUBLES {
            troubles += 1;
            let back = at + self.random.within(SECOND / 10, 12 * SECOND);
            let broker = self.random.pick(&self.brokers).clone();
            let steps = if self.is_cluster() {
                self.trouble_or_flap(at, back, broker)
            } else {
                let start = (back, Action::Start(broker.clone()));
                match self.random.below(3) {
                    0 => vec![(at, Action::Kill(broker)), start],
                    1 => vec![(at, Action::Stop(broker)), start],
                    _ => vec![(at, Action::Pause(broker.clone())), (back, Action::Resume(broker))],
                }
            };
            self.timed.extend(steps);
            at = back + self.random.within(SECOND / 10, 8 * SECOND);
        }
    }

    fn member_faults(&mut self, group: &Group, end: u64) {
        // The first one stays.
        let leaves = group.members[1..].first().filter(|_| self.random.once_in(3)).cloned();
        for member in &group.members {
            let mut at = self.random.within(2 * SECOND, 8 * SECOND);
            while at < end {
                let back = at + self.random.within(SECOND / 10, 14 * SECOND);
                let steps = self.member_trouble(at, back, member, group);
                self.timed.extend(steps);
                at = back + self.random.within(SECOND, 8 * SECOND);
            }
        }
        if let Some(member) = leaves {
            self.timed.push((end, Action::Close(member)));
        }
    }

    fn member_trouble(&mut self, at: u64, back: u64, member: &Str, group: &Group) -> Vec<(u64, Action)> {
        let brokers = self.brokers.clone();
        let random = &mut self.random;
        let name = || member.clone();
        match random.below(9) {
            0 | 1 => vec![(at, Action::Kill(name())), (back, Action::Start(name()))],
            2 | 3 => vec![(at, Action::Pause(name())), (back, Action::Resume(name()))],
            4 => {
                let apart = brokers.iter().map(|it| (at, Action::Cut(name(), it.clone())));
                let again = brokers.iter().map(|it| (back, Action::Heal(name(), it.clone())));
                apart.chain(again).collect()
            }
            5 => {
                // What it is told comes late.
                let broker = random.pick(&brokers).clone();
                vec![(at, Action::CutOneWay(broker.clone(), name())), (back, Action::Heal(broker, name()))]
            }
            6 => {
                let slow = Action::Slow(name(), random.within(100, 20_000));
                vec![(at, slow), (back, Action::Slow(name(), 0))]
            }
            7 if !group.commits => vec![(at, Action::Commit(name(), None)), (back, Action::Commit(name(), None))],
            _ => {
                let drops: Vec<ApiKey> = (0..random.within(1, 3)).map(|_| *random.pick(&ASKED)).collect();
                // A static member whose joining is not answered is taken for another of its instance when it tries again. That
                // may come when all faults are over: what is to be lost waits for the next answer.
                let drops = drops.into_iter().filter(|it| !group.is_static || *it != ApiKey::ConsumerGroupHeartbeat);
                drops.map(|it| (at, Action::DropResponse(it, name()))).collect()
            }
        }
    }

    /// Faults end, and then each group finds its peace and reads all there is.
    fn finish_groups(&mut self, end: u64, producer: &Str, groups: &[Group]) {
        ordered::sort_by_key(&mut self.timed, |(at, _)| *at);
        let last = self.timed.last().map_or(end, |(at, _)| end.max(*at));
        for (at, action) in std::mem::take(&mut self.timed) {
            self.steps.push(Step::At(Duration(at), action));
        }
        self.steps.push(Step::At(Duration(last), Action::Unload(producer.clone())));
        self.steps.push(Step::Run(Duration(30 * SECOND)));
        let refused: Vec<&Str> =
            groups.iter().filter(|it| it.is_static || it.is_mixed).flat_map(|it| &it.members).collect();
        if !refused.is_empty() {
            self.steps.extend(refused.into_iter().map(|it| Step::Do(Action::Kill(it.clone()))));
            self.steps.push(Step::Run(Duration(30 * SECOND)));
        }
        let members = groups.iter().flat_map(|it| &it.members);
        for name in self.brokers.clone().iter().chain(members) {
            self.steps.push(Step::Do(Action::Start(name.clone())));
        }
        self.wait_for_all();
        self.go_on(producer);
        self.steps.push(Step::RunUntil(Condition::Idle(producer.clone()).into(), PATIENCE));
        for group in groups {
            let peace = Condition::Is(Query::Unsettled(group.id.clone()), Vec::new());
            self.steps.push(Step::RunUntil(peace.into(), PATIENCE));
        }
        for group in groups.iter().filter(|it| it.commits) {
            for partition in 0..group.partitions {
                let partition = TopicPartition { topic: group.topic.clone(), partition };
                let read = Condition::Is(Query::Lag(partition, group.id.clone()), vec![Str::from_static("0")]);
                self.steps.push(Step::RunUntil(read.into(), PATIENCE));
            }
        }
    }
}
