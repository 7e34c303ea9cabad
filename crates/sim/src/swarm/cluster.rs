//! What goes wrong with several brokers.

use protocol::{ApiKey, Str, TopicPartition};

use super::generate::{CLUSTER_ACKED, CLUSTER_EVENTS, Generator, SECOND, disk_fault, setting, word};
use crate::action::{Action, Load};
use crate::script::quote::Duration;
use crate::script::{Condition, Step};
use crate::setup::Setting;

/// A troublemaker causes so much trouble at least.
const TROUBLES: usize = 4;
/// A bit rots no earlier: those who wait for all replicas are told of nothing more then.
const ROT: u64 = 10 * SECOND;

impl Generator {
    /// Settings of all brokers: patience short and long.
    pub(super) fn cluster_settings(&mut self) -> Vec<Setting> {
        let random = &mut self.random;
        vec![
            setting("broker.session.timeout.ms", word(random, &["2000", "4000", "9000"])),
            setting("broker.heartbeat.interval.ms", word(random, &["500", "1000"])),
            setting("replica.lag.time.max.ms", word(random, &["2000", "10000", "30000"])),
        ]
    }

    /// Brokers die, stand still and lose sight of each other, sometimes two at once. In one seed of four disks lose what is
    /// on them, too; in the others no acknowledged record may be lost whatever happens. Where everything is synced before it
    /// is acknowledged, machines lose their power as well, and still none may be lost.
    pub(super) fn cluster_faults(&mut self, end: u64) {
        let loses = self.random.once_in(4);
        let troublemakers = self.random.within(1, 2);
        for _ in 0..troublemakers {
            let mut at = self.random.within(SECOND / 5, 4 * SECOND);
            let mut troubles = 0;
            while at < end || troubles < TROUBLES {
                troubles += 1;
                let back = at + self.random.within(10_000, 12 * SECOND);
                let broker = self.random.pick(&self.brokers).clone();
                let steps = if loses && self.random.once_in(3) {
                    self.loss(at, back, broker)
                } else {
                    self.trouble(at, back, broker)
                };
                self.timed.extend(steps);
                at = back + self.random.within(SECOND / 10, 5 * SECOND);
            }
        }
    }

    fn loss(&mut self, at: u64, back: u64, broker: Str) -> Vec<(u64, Action)> {
        let start = (back, Action::Start(broker.clone()));
        // No disk is wiped: a voter that forgets its vote is no fault that a quorum of static voters can bear.
        match self.random.below(4) {
            3 => {
                self.rots = true;
                let at = at.max(ROT);
                let partition = TopicPartition { topic: Str::from_static("orders"), partition: 0 };
                vec![(at, Action::BitRot(broker, partition, self.random.below(20_000)))]
            }
            0 => vec![(at, Action::PowerCut(broker)), start],
            1 => vec![(at, Action::PowerCutTorn(broker)), start],
            _ => {
                let fault = disk_fault(&mut self.random, &broker);
                vec![(at, fault), (back, Action::DiskHeal(broker)), start]
            }
        }
    }

    /// How soon a broker whose sessions break is knocked at.
    pub(super) fn grace(&mut self) -> Setting {
        let grace = word(&mut self.random, &["0", "0", "50", "1000", "2147483647"]);
        setting("vivarium.broker.session.reset.grace.ms", grace)
    }

    /// The same, or a way that is there and gone, and there again.
    pub(super) fn trouble_or_flap(&mut self, at: u64, back: u64, broker: Str) -> Vec<(u64, Action)> {
        let others: Vec<Str> = self.brokers.iter().filter(|it| **it != broker).cloned().collect();
        if others.is_empty() || !self.random.once_in(6) {
            return if others.is_empty() {
                vec![(at, Action::Kill(broker.clone())), (back, Action::Start(broker))]
            } else {
                self.trouble(at, back, broker)
            };
        }
        let other = self.random.pick(&others).clone();
        let mut steps = Vec::new();
        let mut at = at;
        while at < back && steps.len() < 20 {
            steps.push((at, Action::Cut(broker.clone(), other.clone())));
            at += self.random.within(10_000, SECOND);
            steps.push((at, Action::Heal(broker.clone(), other.clone())));
            at += self.random.within(10_000, SECOND);
        }
        steps
    }

    pub(super) fn trouble(&mut self, at: u64, back: u64, broker: Str) -> Vec<(u64, Action)> {
        let others: Vec<Str> = self.brokers.iter().filter(|it| **it != broker).cloned().collect();
        let is_durable = self.durable;
        let random = &mut self.random;
        let other = random.pick(&others).clone();
        if is_durable && random.once_in(2) {
            let cut = if random.once_in(2) { Action::PowerCut } else { Action::PowerCutTorn };
            return vec![(at, cut(broker.clone())), (back, Action::Start(broker))];
        }
        match random.below(12) {
            0 | 1 => vec![(at, Action::Kill(broker.clone())), (back, Action::Start(broker))],
            2 => vec![(at, Action::Stop(broker.clone())), (back, Action::Start(broker))],
            3 => vec![(at, Action::Pause(broker.clone())), (back, Action::Resume(broker))],
            4 => vec![(at, Action::Cut(broker.clone(), other.clone())), (back, Action::Heal(broker, other))],
            5 => vec![(at, Action::CutOneWay(broker.clone(), other.clone())), (back, Action::Heal(broker, other))],
            6 => {
                // Nobody hears of it any more.
                let alone = |other: &Str| [(at, Action::Cut(broker.clone(), other.clone()))];
                let again = |other: &Str| [(back, Action::Heal(broker.clone(), other.clone()))];
                others.iter().flat_map(alone).chain(others.iter().flat_map(again)).collect()
            }
            7 => {
                // Hours, as a machine that lost its time server; nothing but records' times may hang on it.
                let skew = Action::SkewClock(broker.clone(), random.within(0, 7_200_000).cast_signed() - 3_600_000);
                vec![(at, skew), (back, Action::SkewClock(broker, 0))]
            }
            8 => {
                let api = *random.pick(&[ApiKey::Fetch, ApiKey::AlterPartition, ApiKey::BrokerHeartbeat, ApiKey::Vote]);
                (0..random.within(1, 4)).map(|_| (at, Action::DropResponse(api, broker.clone()))).collect()
            }
            9 => vec![(at, Action::CutOneWay(other.clone(), broker.clone())), (back, Action::Heal(other, broker))],
            10 => {
                let us = random.within(1_000, 1_500_000);
                let slow = Action::Delay(broker.clone(), other.clone(), us);
                vec![(at, slow), (back, Action::Delay(broker, other, 0))]
            }
            _ => {
                let slow = Action::SlowDisk(broker.clone(), random.within(1_000, 300_000));
                vec![(at, slow), (back, Action::SlowDisk(broker, 0))]
            }
        }
    }

    /// All is well again, and records go on until there are enough of them to say something.
    pub(super) fn go_on(&mut self, producer: &Str) {
        let load = self.loads.iter().find(|it| it.client == *producer).cloned();
        let Some(load) = load else { return };
        self.steps.push(Step::Do(Action::Load(Load { every_us: SECOND / 100, ..load })));
        if !self.rots {
            self.steps
                .push(Step::RunUntil(Condition::Acked(producer.clone(), CLUSTER_ACKED).into(), Duration(300 * SECOND)));
        }
        self.steps.push(Step::RunEvents(CLUSTER_EVENTS));
        self.steps.push(Step::Do(Action::Unload(producer.clone())));
    }
}
