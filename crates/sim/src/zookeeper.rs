//! A model of a cluster whose metadata is in ZooKeeper, as Kafka's was up to 3.9: who is in charge, who knows what, and how long that
//! takes. It is no code of Kafka's and no simulation of it: nothing here has a network, a disk or a record. The lab puts it beside a
//! run of the real thing, marked as what it is.
//!
//! What it keeps of the original (Kafka 3.9's documentation and KIP-500):
//! - A broker is there as long as its session with ZooKeeper lasts: ephemeral nodes go when it ends, `zookeeper.session.timeout.ms`
//!   after its last word.
//! - The controller is the broker that made `/controller`. When that node goes the brokers that are there race to make it anew; the
//!   winner reads the state of every partition from ZooKeeper before it does anything.
//! - It tells each broker of each change by a request of its own (LeaderAndIsr, UpdateMetadata). Whom it does not reach goes on as
//!   before: that one's session is with ZooKeeper, not with the controller.
//! - A topic is made by writing it into ZooKeeper, whether or not somebody is in charge: so did `kafka-topics --zookeeper` up to 2.8.
//!   From 3.0 on only a controller writes it, and without one the request is refused (NOT_CONTROLLER).

use protocol::Str;

/// How long things take, in µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// `zookeeper.session.timeout.ms`, 18 s.
    pub session: u64,
    /// To read a partition's state: 100,000 take 14 s, which is what Kafka's authors measured of 1.1.
    pub read: u64,
    /// Until a request of the controller has done its work at a broker.
    pub request: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times { session: 18_000_000, read: 140, request: 2_000 }
    }
}

/// What somebody does to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A broker's process ends without a word.
    Kill(Str),
    /// It ends in good order: its session is closed.
    Stop(Str),
    /// It runs again.
    Start(Str),
    /// Two brokers do not reach each other. Both reach ZooKeeper.
    Cut(Str, Str),
    /// They do again.
    Heal(Str, Str),
    /// A change of metadata, such as a new topic.
    Change(Str),
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its name.
    pub name: Str,
    /// Its process runs.
    pub runs: bool,
    /// When the session of a process that is gone ends. Another process has another session.
    pub session_ends: Option<u64>,
    /// How many changes of metadata it was told of.
    pub knows: usize,
    /// When what it is being told gets there.
    told: Option<(u64, usize)>,
}

/// Whoever made `/controller`, and what it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Which broker.
    pub broker: usize,
    /// When the session that made it ends, once its process is gone: whatever becomes of later lives of that broker.
    pub session_ends: Option<u64>,
    /// How often there was a new one.
    pub epoch: u64,
    /// Until when it reads what is in ZooKeeper; in charge from then on.
    pub reads_until: u64,
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Model {
    times: Times,
    now: u64,
    /// By their order.
    pub brokers: Vec<Broker>,
    /// Nobody, from when its session has ended until a broker has made the node anew.
    pub controller: Option<Controller>,
    epoch: u64,
    /// What is in ZooKeeper: changes by name, and which brokers were gone at last.
    pub changes: Vec<Str>,
    cuts: Vec<(usize, usize)>,
    partitions: u64,
    /// What happened: when, and in words.
    pub events: Vec<(u64, String)>,
}

impl Model {
    /// Brokers that run, one of which is the controller, with so many partitions.
    pub fn new(names: &[Str], controller: &str, partitions: u64, times: Times) -> Model {
        let broker = |name: &Str| Broker { name: name.clone(), runs: true, session_ends: None, knows: 0, told: None };
        let brokers: Vec<Broker> = names.iter().map(broker).collect();
        let first = brokers.iter().position(|it| *it.name == *controller);
        let controller = first.map(|broker| Controller { broker, session_ends: None, epoch: 1, reads_until: 0 });
        let changes = Vec::new();
        Model {
            times,
            now: 0,
            brokers,
            controller,
            epoch: 1,
            changes,
            cuts: Vec::new(),
            partitions,
            events: Vec::new(),
        }
    }

    /// The clock.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// True if somebody is in charge.
    pub fn is_led(&self) -> bool {
        self.controller.is_some_and(|it| it.session_ends.is_none() && it.reads_until <= self.now)
    }

    /// How long it takes from a controller's death until another one is in charge.
    pub fn failover(times: Times, partitions: u64) -> u64 {
        times.session + times.read * partitions
    }

    /// Lets time pass up to a moment.
    pub fn run_until(&mut self, until: u64) {
        while let Some(next) = self.next().filter(|it| *it <= until) {
            self.now = self.now.max(next);
            self.happen();
        }
        self.now = self.now.max(until);
    }

    /// Does something at a moment; what is about nobody here is no matter.
    pub fn act(&mut self, at: u64, deed: &Deed) {
        self.run_until(at);
        let find = |name: &Str| self.brokers.iter().position(|it| it.name == *name);
        match deed {
            Deed::Kill(name) | Deed::Stop(name) => {
                if let Some(it) = find(name).filter(|it| self.brokers[*it].runs) {
                    let lasts = if matches!(deed, Deed::Kill(_)) { self.times.session } else { 0 };
                    let broker = &mut self.brokers[it];
                    let ends = self.now + lasts;
                    (broker.runs, broker.session_ends, broker.told) = (false, Some(ends), None);
                    if let Some(controller) = self.controller.as_mut().filter(|controller| controller.broker == it) {
                        controller.session_ends.get_or_insert(ends);
                    }
                    self.run_until(at);
                }
            }
            Deed::Start(name) => {
                if let Some(it) = find(name).filter(|it| !self.brokers[*it].runs) {
                    let broker = &mut self.brokers[it];
                    (broker.runs, broker.knows) = (true, 0);
                    self.events.push((self.now, format!("{name} is in /brokers/ids, by a new session")));
                    if self.controller.is_none() {
                        self.elect();
                    }
                    self.tell();
                }
            }
            Deed::Cut(a, b) => {
                if let (Some(a), Some(b)) = (find(a), find(b)) {
                    self.cuts.push((a.min(b), a.max(b)));
                }
            }
            Deed::Heal(a, b) => {
                if let (Some(a), Some(b)) = (find(a), find(b)) {
                    self.cuts.retain(|it| *it != (a.min(b), a.max(b)));
                    self.tell();
                }
            }
            Deed::Change(name) => {
                self.changes.push(name.clone());
                self.events.push((self.now, format!("{name} is written into ZooKeeper")));
                self.tell();
            }
        }
    }

    /// When something happens next by itself.
    fn next(&self) -> Option<u64> {
        // A dead one reads no more.
        let is_reading = |it: &Controller| it.session_ends.is_none() && it.reads_until > self.now;
        let reads = self.controller.filter(is_reading).map(|it| it.reads_until);
        let controller = self.controller.and_then(|it| it.session_ends);
        let brokers = self.brokers.iter().flat_map(|it| [it.session_ends, it.told.map(|it| it.0)]);
        brokers.chain([reads, controller]).flatten().min()
    }

    /// What is due happens.
    fn happen(&mut self) {
        for index in 0..self.brokers.len() {
            let broker = &mut self.brokers[index];
            if let Some((_, knows)) = broker.told.filter(|it| it.0 <= self.now) {
                (broker.knows, broker.told) = (knows, None);
            }
            let is_over = |ends: Option<u64>| ends.is_some_and(|it| it <= self.now);
            let was_controller = self.controller.is_some_and(|it| it.broker == index && is_over(it.session_ends));
            let is_last = is_over(broker.session_ends);
            if is_last || was_controller {
                let life = if is_last { "last" } else { "earlier" };
                broker.session_ends = broker.session_ends.filter(|_| !is_last);
                let words = format!(
                    "the session of {}’s {life} life ends, and what it had made in ZooKeeper goes",
                    broker.name
                );
                self.events.push((self.now, words));
                if was_controller {
                    self.elect();
                } else if !self.brokers[index].runs {
                    self.change(&format!("leaders without {}", self.brokers[index].name));
                }
            }
        }
        if let Some(it) =
            self.controller.filter(|it| it.reads_until == self.now && it.epoch > 1 && it.session_ends.is_none())
        {
            let name = self.brokers[it.broker].name.clone();
            let words =
                format!("{name} has read all partitions and is in charge: it elects leaders and tells each broker");
            self.events.push((self.now, words));
            self.change("leaders anew");
        }
    }

    /// `/controller` is gone with its session: the first who is there makes it anew, and reads.
    fn elect(&mut self) {
        self.controller = None;
        let Some(broker) = self.brokers.iter().position(|it| it.runs) else { return };
        self.epoch += 1;
        let reads_until = self.now + self.times.read * self.partitions;
        self.controller = Some(Controller { broker, session_ends: None, epoch: self.epoch, reads_until });
        let words = format!(
            "/controller is gone with it; {} makes it anew and reads the state of {} partitions",
            self.brokers[broker].name, self.partitions
        );
        self.events.push((self.now, words));
    }

    /// The controller changes what is in ZooKeeper, if there is one.
    fn change(&mut self, what: &str) {
        if self.is_led() {
            self.changes.push(Str::from(what));
            self.tell();
        }
    }

    /// The controller tells each broker that it reaches what it does not know, one request after the other.
    fn tell(&mut self) {
        let Some(from) = self.controller.filter(|_| self.is_led()).map(|it| it.broker) else { return };
        let (mut at, all) = (self.now, self.changes.len());
        for index in 0..self.brokers.len() {
            let is_cut = self.cuts.contains(&(index.min(from), index.max(from)));
            let broker = &mut self.brokers[index];
            if broker.runs && !is_cut && broker.knows < all {
                at += self.times.request;
                broker.told = Some((at, all));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(partitions: u64) -> Model {
        Model::new(&["b1", "b2", "b3"].map(Str::from), "b3", partitions, Times::default())
    }

    fn knows(model: &Model) -> Vec<usize> {
        model.brokers.iter().map(|it| it.knows).collect()
    }

    #[test]
    fn a_controller_is_missed_after_its_session_and_the_next_one_reads_everything_first() {
        for (partitions, reads) in [(0, 0), (1_000, 140_000), (100_000, 14_000_000)] {
            let mut model = model(partitions);
            model.act(1_000_000, &Deed::Kill("b3".into()));
            model.run_until(18_999_999);
            assert!(!model.is_led() && model.controller.unwrap().broker == 2, "nobody has noticed");
            model.run_until(19_000_000);
            assert_eq!(model.controller.map(|it| (it.broker, it.epoch)), Some((0, 2)));
            model.run_until(19_000_000 + reads);
            assert!(model.is_led(), "{partitions}");
            assert_eq!(Model::failover(Times::default(), partitions), 18_000_000 + reads);
            model.run_until(40_000_000);
            assert_eq!(knows(&model), [1, 1, 0], "the dead one is told nothing");
        }
    }

    #[test]
    fn what_is_written_while_nobody_is_in_charge_no_broker_hears_of_until_somebody_is() {
        let mut model = model(100_000);
        model.act(0, &Deed::Kill("b3".into()));
        model.act(5_000_000, &Deed::Change("payments".into()));
        model.run_until(31_000_000);
        assert_eq!((model.changes.len(), knows(&model)), (1, vec![0, 0, 0]));
        model.run_until(33_000_000);
        assert_eq!((model.changes.len(), knows(&model)), (2, vec![2, 2, 0]));
    }

    #[test]
    fn who_does_not_hear_the_controller_is_there_all_the_same_and_knows_less() {
        let mut model = model(10);
        model.act(0, &Deed::Cut("b1".into(), "b3".into()));
        model.act(1_000, &Deed::Change("payments".into()));
        model.run_until(60_000_000);
        assert_eq!(knows(&model), [0, 1, 1]);
        assert!(model.brokers[0].runs && model.brokers[0].session_ends.is_none(), "its session is with ZooKeeper");
        model.act(60_000_000, &Deed::Heal("b3".into(), "b1".into()));
        model.run_until(61_000_000);
        assert_eq!(knows(&model), [1, 1, 1]);
    }

    #[test]
    fn a_controller_that_is_back_soon_is_missed_as_late_and_with_nobody_there_nobody_leads() {
        let mut model = model(10);
        model.act(0, &Deed::Kill("b3".into()));
        model.act(10_000_000, &Deed::Start("b3".into()));
        model.run_until(17_999_999);
        assert!(!model.is_led(), "the node of its last life is still there");
        model.run_until(18_001_400);
        assert_eq!((model.controller.map(|it| it.epoch), model.is_led()), (Some(2), true));
        for name in ["b1", "b2", "b3"] {
            model.act(60_000_000, &Deed::Kill(name.into()));
        }
        model.run_until(90_000_000);
        assert_eq!(model.controller, None);
        model.act(100_000_000, &Deed::Start("b2".into()));
        assert_eq!(model.controller.map(|it| (it.broker, it.epoch)), Some((1, 3)), "the first who comes");
        // In good order the session is closed at once.
        model.act(110_000_000, &Deed::Start("b1".into()));
        model.act(120_000_000, &Deed::Stop("b2".into()));
        assert_eq!(model.controller.map(|it| (it.broker, it.epoch)), Some((0, 4)));
    }

    #[test]
    fn who_dies_while_it_reads_never_takes_office() {
        let mut model = model(100_000);
        model.act(0, &Deed::Kill("b3".into()));
        model.act(20_000_000, &Deed::Kill("b1".into()));
        model.run_until(37_999_999);
        assert!(!model.is_led() && model.controller.unwrap().broker == 0, "its session lasts");
        assert!(model.changes.is_empty() && !model.events.iter().any(|it| it.1.contains("in charge")), "{model:?}");
        model.run_until(38_000_000);
        assert_eq!(model.controller.map(|it| (it.broker, it.epoch)), Some((1, 3)));
        model.run_until(53_000_000);
        assert_eq!((model.is_led(), knows(&model)), (true, vec![0, 1, 0]));
    }

    #[test]
    fn a_controller_that_is_back_and_dies_again_is_missed_when_its_first_session_is_over() {
        let mut model = model(10);
        model.act(0, &Deed::Kill("b3".into()));
        model.act(5_000_000, &Deed::Start("b3".into()));
        model.act(10_000_000, &Deed::Kill("b3".into()));
        model.run_until(17_999_999);
        assert!(!model.is_led());
        model.run_until(18_001_400);
        assert_eq!((model.controller.map(|it| it.broker), model.is_led()), (Some(0), true));
        assert_eq!(model.changes.len(), 1, "leaders anew");
        model.run_until(28_000_000);
        assert_eq!(model.changes.len(), 2, "and without b3, whose second session is over");
    }
}
