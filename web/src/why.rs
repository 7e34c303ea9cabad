//! Why something happened: event by event back to what a person did, or to a key of a configuration.

use sim::history::Stamped;
use sim::narration::{Because, Heard, Stored};
use sim::world::ADMIN;
use sim::{Action, History, Pid, World};

/// How many events back a cause is looked for that no message and no operation leads to.
pub(crate) const REACH: u64 = 3_000;
/// The same for an election, which may be long ago.
pub(crate) const FAR: u64 = 20_000;
/// Links of a chain that are shown at most.
const LINKS: usize = 24;
/// A connection that somebody broke is noticed within that, in µs: `request.timeout.ms` of Kafka's clients.
const NOTICED_US: u64 = 30_000_000;

/// A link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The event; for an action the one that it follows.
    pub(crate) event: u64,
    /// When, in µs.
    pub(crate) time_us: u64,
    /// What happened, in a sentence; of an action the line; of a timer its configuration key.
    pub(crate) what: String,
    /// What ends the chain, if this does. A key may be followed by the action because of which its time ran out.
    pub(crate) end: Option<End>,
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A person did it.
    Action,
    /// A configuration key says so.
    Key,
    /// Its cause is further back than was looked, or no event tells it.
    Untold,
}

/// The chain of causes of the last event, itself first. The history stands where it stood.
pub(crate) fn chain(history: &mut History) -> Vec<Cause> {
    let world = history.world();
    let now = world.events();
    // Right after somebody did something, that is what is asked for.
    let (at, last) = (world.clock(), world.actions().checked_sub(1));
    let just = |it: &u32| history.run().actions.get(*it as usize).is_some_and(|it| it.after == now && it.at == at);
    match last.filter(just) {
        Some(last) => chain_of(history, Because::Action(last)),
        None if now == 0 => Vec::new(),
        None => chain_of(history, Because::Event(now)),
    }
}

/// Looks around in the history, which stands where it stood afterwards: what was done there later is not done by then.
pub(crate) fn and_back<T>(history: &mut History, look: impl FnOnce(&mut History) -> T) -> T {
    let world = history.world();
    let (now, turns, clock) = (world.events(), world.turns(), world.clock());
    let seen = look(history);
    history.revisit(now, turns, clock);
    seen
}

/// The chain of what brought something, the last link first. The history stands where it stood.
pub(crate) fn chain_of(history: &mut History, because: Because) -> Vec<Cause> {
    let actions = history.run().actions;
    let mut causes = Vec::new();
    match because {
        Because::Itself => {}
        Because::Action(number) => causes.extend(actions.get(number as usize).map(done)),
        Because::Event(event) => and_back(history, |history| {
            if event != history.world().events() {
                history.seek(event);
            }
            follow(history, &actions, &mut causes);
        }),
    }
    if let Some(last) = causes.last_mut()
        && last.end.is_none()
    {
        last.end = Some(End::Untold);
    }
    causes
}

/// The latest event until now of which something is true, so far back at most. The history stands where it stood.
pub(crate) fn latest_event(history: &mut History, reach: u64, so: impl Fn(&World) -> bool) -> Option<u64> {
    let now = history.world().events();
    if so(history.world()) {
        return Some(now);
    }
    and_back(history, |history| latest(history, now, reach, so))
}

/// What made something so that is so now, and stayed so since. Nothing if it was so from the beginning. The history stands where it
/// stood.
pub(crate) fn since(history: &mut History, so: &dyn Fn(&World) -> bool) -> Option<Because> {
    if !so(history.world()) {
        return None;
    }
    and_back(history, |history| {
        let (mut first, mut last) = (0, history.world().events());
        while first < last {
            let middle = first.midpoint(last);
            history.seek(middle);
            if so(history.world()) {
                last = middle;
            } else {
                first = middle + 1;
            }
        }
        // What was done after an event belongs to its moment, and may be what made it so.
        let is_by_event = last > 0 && {
            history.seek(last - 1);
            history.creep() && so(history.world())
        };
        let action = history.actions().iter().rposition(|it| last > 0 && it.after == last);
        if is_by_event { Some(Because::Event(last)) } else { action.map(|it| Because::Action(it as u32)) }
    })
}

fn follow(history: &mut History, actions: &[Stamped], causes: &mut Vec<Cause>) {
    loop {
        let world = history.world();
        let last = world.last();
        causes.push(Cause { event: last.event, time_us: last.at.0, what: world.narrate(), end: None });
        if causes.len() >= LINKS {
            return;
        }
        let cut = last.node_events.iter().find_map(|it| match it {
            node::Event::Truncated { topic, partition, .. } => Some((topic.clone(), *partition)),
            _ => None,
        });
        let (event, because, heard) = (last.event, last.because, last.heard);
        // The message that told of it is not why: another leader began an epoch with another log.
        let elected = cut.and_then(|(topic, partition)| {
            let leads = |it: &node::Event| matches!(it, node::Event::Leads { topic: of, partition: at, .. } if *of == topic && *at == partition);
            latest(history, event, FAR, |world| world.last().node_events.iter().any(leads))
        });
        let found = match because {
            _ if elected.is_some() => elected.map_or(Found::Nothing, Found::Event),
            // Whoever asked for it: it failed for what was done to the disk.
            _ if heard == Heard::Stored(Stored::Failed) => by_itself(history, actions),
            Because::Event(event) => Found::Event(event),
            Because::Action(number) => actions.get(number as usize).map_or(Found::Nothing, Found::Action),
            Because::Itself => by_itself(history, actions),
        };
        match found {
            // Causes come before what they cause.
            Found::Event(event) if event < causes[causes.len() - 1].event => history.seek(event),
            Found::Action(action) => return causes.push(done(action)),
            Found::Timer => return ran_out(history, actions, causes),
            Found::Event(_) | Found::Nothing => return,
        }
    }
}

enum Found<'a> {
    /// An earlier event.
    Event(u64),
    Action(&'a Stamped),
    Timer,
    Nothing,
}

fn done(action: &Stamped) -> Cause {
    Cause { event: action.after, time_us: action.at.0, what: action.action.to_string(), end: Some(End::Action) }
}

/// What led to the last event, which no message and no operation brought.
fn by_itself<'a>(history: &mut History, actions: &'a [Stamped]) -> Found<'a> {
    let world = history.world();
    let last = world.last();
    let (event, process, heard) = (last.event, last.process, last.heard);
    let name = world.name(process).clone();
    // Nobody names it: it does what is asked of the cluster.
    if name == *ADMIN && matches!(heard, Heard::Operation(..)) {
        let asked = actions.iter().rev().filter(|it| it.after < event).find(|it| it.action.asks_cluster());
        return asked.map_or(Found::Nothing, Found::Action);
    }
    let retries = last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. }));
    let acted = |verbs: &[&str]| {
        let is = |it: &&Stamped| {
            let line = it.action.to_string();
            let mut words = line.split_whitespace();
            words.next().is_some_and(|verb| verbs.contains(&verb)) && words.any(|word| *word == *name)
        };
        let found = actions.iter().rev().filter(|it| it.after < event).find(is);
        found.map_or(Found::Nothing, Found::Action)
    };
    match heard {
        Heard::Operation(_, operation) => acted(match operation {
            "send" => &["load", "produce"],
            "poll" | "assign" | "seek" => &["follow", "poll", "assign", "seek"],
            _ => &["close", "producer", "consumer"],
        }),
        Heard::Stop => acted(&["stop"]),
        Heard::Stored(Stored::Failed) => acted(&["disk-full", "disk-error"]),
        Heard::Disconnected | Heard::ConnectFailed | Heard::Closed(_) | Heard::CallFailed => {
            let ends = Ends::of(world);
            broken(actions, event, last.at.0, heard == Heard::ConnectFailed, &ends)
                .map_or(Found::Nothing, Found::Action)
        }
        Heard::Wake if retries => {
            let broke = |world: &World| world.last().process == process && world.last().heard == Heard::Disconnected;
            latest(history, event, REACH, broke).map_or(Found::Timer, Found::Event)
        }
        Heard::Wake => Found::Timer,
        Heard::Nothing
        | Heard::Request(..)
        | Heard::Response(..)
        | Heard::Opened(_)
        | Heard::Connected
        | Heard::Stored(_) => Found::Nothing,
    }
}

/// The latest event before another of which something is true. The history stands elsewhere afterwards.
fn latest(history: &mut History, event: u64, reach: u64, so: impl Fn(&World) -> bool) -> Option<u64> {
    history.seek(event.saturating_sub(reach));
    let mut found = None;
    while history.step() && history.world().events() < event {
        if so(history.world()) {
            found = Some(history.world().events());
        }
    }
    history.seek(event);
    found
}

/// The action after which a connection between these broke, or did not come about.
fn broken<'a>(actions: &'a [Stamped], event: u64, at_us: u64, ever: bool, ends: &Ends) -> Option<&'a Stamped> {
    let before = actions.iter().rev().filter(|it| it.after < event);
    before.filter(|it| ever || it.at.0 + NOTICED_US >= at_us).find(|it| ends.broken_by(&it.action))
}

/// The two ends of a connection that broke.
struct Ends {
    /// Who heard of it.
    here: String,
    /// The other end; one of these, where it is not told which.
    there: Vec<String>,
}

impl Ends {
    /// Those of what the last event tells.
    fn of(world: &World) -> Ends {
        let last = world.last();
        let lost = last.client_events.iter().find_map(|it| match it {
            client::Event::Disconnected { node, .. } => Some(*node),
            _ => None,
        });
        let there = match last.heard {
            Heard::Closed(Some(from)) => vec![world.name(from).to_string()],
            _ => {
                let known = brokers(world).find(|it| lost.is_some_and(|lost| world.broker_id(it) == lost));
                known.map_or_else(|| brokers(world).collect(), |it| vec![it])
            }
        };
        Ends { here: world.name(last.process).to_string(), there }
    }

    /// Those between a process and any broker.
    fn any(world: &World, process: Pid) -> Ends {
        Ends { here: world.name(process).to_string(), there: brokers(world).collect() }
    }

    fn is_one(&self, name: &str) -> bool {
        self.here == name || self.there.iter().any(|it| it == name)
    }

    /// True for an action after which a connection between the two breaks, or none comes about.
    fn broken_by(&self, action: &Action) -> bool {
        match action {
            Action::Kill(it)
            | Action::PowerCut(it)
            | Action::PowerCutTorn(it)
            | Action::Stop(it)
            | Action::Close(it)
            | Action::Pause(it)
            | Action::DiskFull(it)
            | Action::DiskError(it, _)
            | Action::DropResponse(_, it)
            | Action::CorruptRequest(_, it) => self.is_one(it),
            Action::Cut(a, b) | Action::CutOneWay(a, b) | Action::Delay(a, b, _) => {
                (**a == *self.here && self.is_one(b)) || (**b == *self.here && self.is_one(a))
            }
            _ => false,
        }
    }
}

fn brokers(world: &World) -> impl Iterator<Item = String> + '_ {
    world.setup().brokers.iter().map(|it| it.name.to_string())
}

/// A timer fired: which of the process's was due, and what kept its time from being renewed.
fn ran_out(history: &mut History, actions: &[Stamped], causes: &mut Vec<Cause>) {
    let world = history.world();
    let last = world.last();
    let (event, time_us, process) = (last.event, last.at.0, last.process);
    let mut ends = Ends::any(world, process);
    // Who was not heard of is who was cut off, wherever; who stands for election has not heard of the leader.
    let fenced = last.node_events.iter().find_map(|it| match it {
        node::Event::BrokerFenced { broker, .. } => brokers(world).find(|name| world.broker_id(name) == *broker),
        _ => None,
    });
    let isr = last.node_events.iter().any(|it| matches!(it, node::Event::Isr { .. }));
    if let Some(fenced) = &fenced {
        ends.there = std::mem::replace(&mut ends.there, vec![ends.here.clone()]);
        ends.there.extend(brokers(world));
        ends.here = fenced.clone();
    }
    history.seek(event.saturating_sub(1));
    let world = history.world();
    let name = world.name(process).clone();
    let due = world.view().timers.into_iter().find(|it| it.process == name && it.at.0 <= time_us);
    let what = due.map_or_else(|| "a deadline of its own".to_owned(), |it| it.what);
    let is_election = what == "the quorum's next deadline";
    let end = Some(if what.contains(".ms") { End::Key } else { End::Untold });
    // A process wakes first because somebody has started it.
    let began = |it: &&Stamped| matches!(&it.action, Action::Start(who) if *who == name) && it.at.0 == time_us;
    if let Some(action) = actions.iter().rev().filter(|it| it.after < event).find(began) {
        return causes.push(done(action));
    }
    causes.push(Cause { event: event.saturating_sub(1), time_us, what, end });
    if (fenced.is_some() || isr || is_election)
        && let Some(action) = broken(actions, event, time_us, true, &ends).filter(|_| causes.len() < LINKS)
    {
        causes.push(done(action));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    /// The chain from the first event that is told so.
    fn chain_of(scenario: &str, told: &str) -> Vec<Cause> {
        let mut engine = Engine::new(scenario).unwrap();
        let end = engine.history().world().events();
        engine.seek(0);
        while !engine.history().world().narrate().contains(told) {
            assert!(engine.history().world().events() < end && engine.step(), "{told} is never told");
        }
        engine.why()
    }

    fn text(chain: &[Cause]) -> String {
        chain.iter().map(|it| format!("{:?} {}\n", it.end, it.what)).collect()
    }

    const CLEAN_FAILOVER: &str = include_str!("../../crates/sim/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");
    const ZOMBIE: &str = include_str!("../../crates/sim/scenarios/12-zombie-leader.scenario");
    const LAST_STANDING: &str = include_str!("../../crates/sim/scenarios/09-last-replica-standing-and-elr.scenario");

    /// Every chain leads through the brokers to what somebody did, or to a key and then to that.
    #[test]
    fn chains_lead_through_brokers_and_controllers_back_to_an_action() {
        for (scenario, told, through, end) in [
            (CLEAN_FAILOVER, "b1 is fenced", "nobody listens on its port", "kill b1"),
            (CLEAN_FAILOVER, "leads orders-0 in epoch 1", "k2 gets no answer", "kill b1"),
            (CLEAN_FAILOVER, "is cut at 2", "b2 gets the answer to Fetch; it leads orders-0 in epoch 1", "kill b1"),
            (ZOMBIE, "b1 is fenced", "broker.session.timeout.ms", "cut b1 k3"),
            (ZOMBIE, "leads orders-0 in epoch 1", "broker.session.timeout.ms", "cut b1 k3"),
            (ZOMBIE, "is cut at 2", "broker.session.timeout.ms", "cut b1 k3"),
            (ZOMBIE, "it refuses: Produce", "b1 gets Produce from w1", "wire-produce w1 orders-0 acks=1 value=late"),
            (LAST_STANDING, "in sync in orders-0: b1, b3", "BrokerHeartbeat from b2", "stop b2"),
            (LAST_STANDING, "leads orders-0 in epoch 2", "BrokerRegistration from b3", "start b3"),
        ] {
            let chain = chain_of(scenario, told);
            let text = text(&chain);
            assert!(text.contains(through), "{told}:\n{text}");
            let last = chain.last().map(|it| (&*it.what, it.end));
            assert_eq!(last, Some((end, Some(End::Action))), "{told}:\n{text}");
        }
    }

    /// What the admin does was asked of the cluster, whatever the line is called.
    #[test]
    fn what_the_admin_does_is_what_was_asked_of_the_cluster_last() {
        let mut engine = Engine::new("3").unwrap();
        for line in ["topic more", "alter-broker b1 log.retention.ms=60000"] {
            engine.act(line).unwrap();
            let admin = |world: &World| *world.name(world.last().process) == *ADMIN;
            while !admin(engine.history().world()) {
                assert!(engine.step());
            }
            let chain = engine.why();
            assert!(chain.last().is_some_and(|it| it.what.starts_with(line)), "{}", text(&chain));
            engine.act("run 1s").unwrap();
        }
    }

    /// What is done next may come without an event before it: that is later, and asking leads to no later moment.
    #[test]
    fn asking_moves_nothing_where_no_event_comes_before_what_is_done_next() {
        let mut engine = Engine::new("1").unwrap();
        let (event, clock) = (engine.history().world().events(), engine.clock());
        while engine.history().world().events() == event {
            engine.act("run 1us").unwrap();
        }
        engine.act("run 2us").unwrap();
        let (event, before) = (engine.history().world().events(), engine.clock());
        assert!(before > clock);
        engine.act("kill p1").unwrap();
        assert_eq!(engine.history().world().events(), event, "no event between");
        let line = engine.history().actions().len();
        engine.seek_time(before - 1);
        assert_eq!((engine.clock(), engine.history().world().events()), (before - 1, event));
        let view = engine.view();
        assert_eq!(engine.why()[0].event, event);
        assert_eq!(engine.clock(), before - 1);
        let timer = view.timers[0].clone();
        engine.why_timer(&timer.process, &timer.what);
        engine.why_process("b1");
        assert!(engine.view() == view && engine.history().actions().len() == line);
    }

    /// A timer's chain begins with its key and tells what set it; of a group it is told who came, of a record of the metadata log and
    /// of a partition who asked for it, and of a promise what broke it.
    #[test]
    fn whatever_there_is_has_a_chain_that_ends_at_a_deed_or_a_key() {
        let mut engine = Engine::new(CLEAN_FAILOVER).unwrap();
        let before = engine.view();
        let ends = |chain: &[Cause], with: &str| {
            let text = text(chain);
            assert!(chain.last().is_some_and(|it| it.end == Some(End::Action) && it.what.starts_with(with)), "{text}");
            text
        };
        // Its last change is that b1 is in sync again, with a log that was cut because another led meanwhile.
        ends(&engine.why_partition("orders-0"), "kill b1");
        assert_eq!(engine.why_partition("orders-7"), []);
        let members = engine.history().world().quorum(None, i64::MAX);
        let of = |name: &str| members[0].records.iter().find(|it| it.name == name).unwrap().offset;
        ends(&engine.why_entry(of("TopicRecord")), "topic orders");
        let fenced = members[0].records.iter().find(|it| it.about == "b1 is fenced").unwrap().offset;
        ends(&engine.why_entry(fenced), "kill b1");
        assert_eq!(engine.why_entry(i64::from(i32::MAX)), []);
        for it in before.timers.iter().filter(|it| it.what.contains(".ms")) {
            let chain = engine.why_timer(&it.process, &it.what);
            assert_eq!((&*chain[0].what, chain[0].end), (&*it.what, Some(End::Key)), "{}", text(&chain));
            assert!(chain.len() > 1, "what set it: {}", text(&chain));
        }
        assert!(engine.view() == before, "asking changes nothing");

        let mut engine = Engine::new("3").unwrap();
        engine.act("consumer c9 group.id=g").unwrap();
        engine.act("follow c9 orders").unwrap();
        engine.act("run 5s").unwrap();
        let chain = engine.why_group("g");
        assert!(text(&chain).contains("c9"), "{}", text(&chain));
        assert_eq!(engine.why_group("none"), []);
    }
}
