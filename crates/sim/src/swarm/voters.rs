//! A quorum whose log says who votes: controllers come, go, die and lose their disks, while brokers and clients go on.

use protocol::Str;

use super::generate::{Generator, SECOND, numbered, setting, word};
use crate::action::{Action, CreateTopic};
use crate::random::{Purpose, Random};
use crate::script::{Scenario, Step};
use crate::setup::BrokerSetup;

/// Who votes first, and who may come to.
const CONTROLLERS: [Str; 5] = [
    Str::from_static("k1"),
    Str::from_static("k2"),
    Str::from_static("k3"),
    Str::from_static("k4"),
    Str::from_static("k5"),
];
const FIRST: usize = 3;
/// Controllers are in trouble so often at least.
const TROUBLES: usize = 6;
/// Who was in trouble has caught up, or what was asked for before it is done, so much later.
const MARGIN: u64 = 3 * SECOND;

/// From when to when a controller may not be heard: itself, or one of those that a way is cut between.
struct Unheard {
    from: u64,
    to: u64,
    who: Option<Str>,
}

/// A scenario of so many brokers and five controllers.
pub(super) fn voters(seed: u64, brokers: usize) -> Scenario {
    let random = Random::stream(seed, Purpose::Scenario, 500 + brokers as u16);
    let mut it = Generator::new(random, brokers);
    let mut setup = it.setup(seed);
    it.durable = false;
    setup.voters = CONTROLLERS[..FIRST].to_vec();
    let joins = it.random.once_in(3);
    let grace = it.grace();
    let timing = [
        setting("controller.quorum.election.timeout.ms", word(&mut it.random, &["500", "1000", "2000"])),
        setting("controller.quorum.fetch.timeout.ms", word(&mut it.random, &["1000", "2000"])),
        setting("broker.session.timeout.ms", word(&mut it.random, &["2000", "9000"])),
        setting("metadata.log.max.record.bytes.between.snapshots", word(&mut it.random, &["2000", "20971520"])),
        grace,
    ];
    for broker in &mut setup.brokers {
        broker.settings.push(setting("process.roles", "broker"));
    }
    for (index, name) in CONTROLLERS.iter().enumerate() {
        let mut settings = vec![setting("process.roles", "controller")];
        settings.extend(timing.iter().cloned());
        if joins && index >= FIRST {
            settings.push(setting("controller.quorum.auto.join.enable", "true"));
        }
        setup.brokers.push(BrokerSetup { name: name.clone(), settings });
    }
    it.wait_for_all();
    let topics = it.topics();
    let producers = it.producers(&topics);
    let consumers = it.consumers(&topics);
    let wire = Str::from_static("w1");
    it.steps.push(Step::Do(Action::Wire(wire.clone(), it.brokers[0].clone())));
    let end = it.random.within(15 * SECOND, 35 * SECOND);
    // A disk of a voter that is lost makes one voice less for ever: then nobody is asked to give up another.
    let wipes = it.random.once_in(3);
    it.votes(end, &wire, wipes);
    let unheard = it.controller_faults(end, wipes);
    it.without_removals(&unheard);
    it.finish(end, &producers, &consumers);
    // All are there again: whoever votes by now agrees on one more topic.
    let topic = CreateTopic { name: Str::from_static("last"), partitions: 1, ..CreateTopic::default() };
    it.steps.push(Step::Do(Action::CreateTopic(topic)));
    Scenario::new(setup, numbered(it.steps))
}

impl Generator {
    /// Controllers are asked to vote, and to vote no more.
    fn votes(&mut self, end: u64, wire: &Str, wipes: bool) {
        let mut at = self.random.within(SECOND, 4 * SECOND);
        while at < end {
            let controller = self.random.pick(&CONTROLLERS).clone();
            let action = if wipes || self.random.once_in(2) {
                Action::AddVoter(wire.clone(), controller)
            } else {
                Action::RemoveVoter(wire.clone(), controller)
            };
            self.timed.push((at, action));
            at += self.random.within(SECOND / 2, 5 * SECOND);
        }
    }

    /// What goes wrong with controllers, and now and then with a broker. The power may be cut, for whoever votes has synced
    /// what it votes for. Tells who may not be heard meanwhile.
    fn controller_faults(&mut self, end: u64, wipes: bool) -> Vec<Unheard> {
        let brokers = self.brokers.clone();
        let mut unheard = Vec::new();
        let mut at = self.random.within(SECOND / 2, 4 * SECOND);
        let mut troubles = 0;
        while at < end || troubles < TROUBLES {
            troubles += 1;
            let back = at + self.random.within(SECOND / 10, 8 * SECOND);
            let steps = match self.random.below(4) {
                0 => {
                    let broker = self.random.pick(&brokers).clone();
                    self.trouble_or_flap(at, back, broker)
                }
                1 => {
                    let controller = self.random.pick(&CONTROLLERS).clone();
                    let cut = if self.random.once_in(2) { Action::PowerCut } else { Action::PowerCutTorn };
                    vec![(at, cut(controller.clone())), (back, Action::Start(controller))]
                }
                _ => {
                    let controller = self.random.pick(&CONTROLLERS).clone();
                    self.brokers = CONTROLLERS.to_vec();
                    let steps = self.trouble_or_flap(at, back, controller);
                    self.brokers.clone_from(&brokers);
                    steps
                }
            };
            unheard.extend(steps.iter().filter_map(|(_, it)| Unheard::by(it, at, back)));
            self.timed.extend(steps);
            at = back + self.random.within(SECOND / 10, 5 * SECOND);
        }
        if wipes {
            let controller = self.random.pick(&CONTROLLERS[..FIRST]).clone();
            let at = self.random.within(2 * SECOND, end);
            let name = || controller.clone();
            self.timed.extend([
                (at, Action::Kill(name())),
                (at, Action::Wipe(name())),
                (at + SECOND, Action::Start(name())),
            ]);
        }
        let last = self.timed.iter().map(|it| it.0).max().unwrap_or(end);
        self.timed.extend(CONTROLLERS.iter().map(|it| (last + SECOND, Action::Start(it.clone()))));
        unheard
    }

    /// A voter is removed only while all others run. A leader that removes itself while the only other voter is down leaves
    /// nobody who could be elected, in Apache Kafka as here: it does not stand any more, and the other lacks what it wrote.
    fn without_removals(&mut self, unheard: &[Unheard]) {
        self.timed.retain(|(at, action)| match action {
            Action::RemoveVoter(_, controller) => !unheard.iter().any(|it| it.speaks_against(controller, *at)),
            _ => true,
        });
    }
}

impl Unheard {
    fn by(action: &Action, from: u64, to: u64) -> Option<Unheard> {
        let who = match action {
            Action::Kill(it)
            | Action::Stop(it)
            | Action::Pause(it)
            | Action::PowerCut(it)
            | Action::PowerCutTorn(it) => Some(it.clone()),
            Action::Cut(..) | Action::CutOneWay(..) | Action::Delay(..) => None,
            _ => return None,
        };
        Some(Unheard { from, to, who })
    }

    fn speaks_against(&self, removed: &Str, at: u64) -> bool {
        self.from < at + MARGIN && at < self.to + MARGIN && self.who.as_ref() != Some(removed)
    }
}
