//! A run and a moment of it as a link: a recorded scenario below a few lines that say which engine recorded it and where one
//! stands, packed with gzip and written in characters that an address may have.
//!
//! ```text
//! #@ engine 0.1.0
//! #@ moment 812/1201 1.2s 00c0ffee00c0ffee   events, turns, clock and hash where it opens
//! #@ look choose:orders-1                    what is looked at there
//! seed 7
//! …
//! run to event 900
//! ```
//!
//! Whoever sends a link may be anybody: what is unpacked is bounded, and so is what it asks of the engine.

use std::fmt;

use ordered::Set;
use protocol::Instant;
use protocol::records::compression::{Compression, CompressionError, Compressors, PureCompressors};

use super::base64;
use crate::action::Action;
use crate::history::{ENGINE, History, Run};
use crate::script::quote::Duration;
use crate::script::{Scenario, Step};
use crate::setup::Setup;
use crate::world::World;

/// What an address's fragment begins with that holds a run.
pub const MARK: &str = "#run=";
/// Bytes of a link's text at most, and of a file's.
pub const TEXT: usize = 1 << 20;
/// Events that a link may ask to be played, and turns: most turns of a world at rest are no events.
const EVENTS: u64 = 2_000_000;
const TURNS: u64 = 16 * EVENTS;
/// Nodes, clients, actions and partitions that it may make.
const NODES: usize = 16;
const CLIENTS: usize = 200;
const ACTIONS: usize = 20_000;
const PARTITIONS: u64 = 1_000;
/// Bytes of all that is on the disks.
const DISKS: u64 = 256 << 20;
/// The longest time that it may name, in µs: a day.
const TIME_US: u64 = 86_400_000_000;

/// A run and the moment of it that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Of which engine.
    pub run: Run,
    /// How many events of it are known.
    pub events: u64,
    /// Where one stands.
    pub moment: Moment,
    /// What is looked at, as the page names it.
    pub looks: Vec<String>,
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// So many events are over.
    pub event: u64,
    /// And so many turns.
    pub turns: u64,
    /// The clock.
    pub at: Instant,
    /// The hash of all that happened.
    pub hash: u64,
}

impl Shared {
    /// The branch that is looked at, its future too, and where one stands.
    pub fn of(history: &History, looks: Vec<String>) -> Shared {
        let world = history.world();
        let moment = Moment { event: world.events(), turns: world.turns(), at: world.clock(), hash: world.hash() };
        Shared { run: history.run(), events: history.known().max(moment.event), moment, looks }
    }

    /// Reads a link's text. What is wrong with it, with the line and the column where it has them.
    pub fn parse(text: &str) -> Result<Shared, String> {
        let (mut engine, mut moment, mut looks) = (None, Moment::default(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let Some(line) = line.strip_prefix("#@ ") else { continue };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "engine" => engine = Some(rest.to_owned()),
                "moment" => moment = moment_of(rest).ok_or_else(|| wrong(index + 1, "no moment"))?,
                "look" => looks.push(rest.to_owned()),
                // A later engine may say more of what it looks at; nothing of the run is in these lines.
                _ => {}
            }
        }
        let engine = engine.ok_or("it does not say which engine recorded it")?;
        let scenario = Scenario::parse(text).map_err(|it| it.to_string())?;
        let mut actions = Vec::new();
        let mut events = None;
        for (line, step) in scenario.steps {
            match step {
                _ if events.is_some() => return Err(wrong(line, "a line after the end of the recording")),
                Step::After(stamped) => actions.push(stamped),
                Step::RunEvents(number) => events = Some(number),
                _ => return Err(wrong(line, "no line of a recording: those begin with `after`")),
            }
        }
        let events = events.ok_or("it ends before its recording does")?;
        let run = Run { engine, setup: std::sync::Arc::new(scenario.setup), actions };
        let shared = Shared { run, events, moment, looks };
        shared.check()?;
        Ok(shared)
    }

    /// What the page's address ends with to open it.
    pub fn link(&self) -> Result<String, CompressionError> {
        let packed = PureCompressors.compress(Compression::Gzip, Some(9), self.to_string().as_bytes())?;
        Ok(format!("{MARK}{}", base64::encode(&packed)))
    }

    /// True if this engine recorded it.
    pub fn is_ours(&self) -> bool {
        self.run.engine == ENGINE
    }

    /// Refuses what no person's run comes near, and what would keep a tab busy for minutes.
    fn check(&self) -> Result<(), String> {
        most("events", self.events, EVENTS)?;
        most("turns", self.moment.turns, TURNS)?;
        if self.moment.event > self.events {
            return Err(format!("its moment comes after {} events of {}", self.moment.event, self.events));
        }
        most_time(self.moment.at.0)?;
        bounded(&self.run.setup, self.run.actions.iter().map(|it| (it.at, &it.action)))
    }
}

fn most(what: &str, has: u64, may: u64) -> Result<(), String> {
    if has > may { Err(format!("it asks for {has} {what}: {may} are the most")) } else { Ok(()) }
}

fn most_time(us: u64) -> Result<(), String> {
    most("seconds", us.div_ceil(1_000_000), TIME_US / 1_000_000)
}

/// Refuses a beginning, and what is done from there at which times, that ask for more than a tab has room for.
fn bounded<'a>(setup: &Setup, actions: impl Iterator<Item = (Instant, &'a Action)>) -> Result<(), String> {
    most("nodes", setup.brokers.len() as u64, NODES as u64)?;
    // A topic that says nothing of them, and one that is made because somebody names it, has as many as the brokers say.
    let usual = named(setup, "num.partitions").max(1);
    most("partitions", usual, PARTITIONS)?;
    let (mut count, mut clients, mut longest) = (0, 0, 0);
    let mut partitions = named(setup, "offsets.topic.num.partitions");
    let (mut made, mut meant) = (Set::new(), Set::new());
    for range in [setup.network_us, setup.disk_us, setup.sync_us, setup.timers_us] {
        longest = longest.max(range.1);
    }
    for (at, action) in actions {
        count += 1;
        longest = longest.max(at.0);
        match action {
            Action::Producer(..) | Action::Consumer(..) | Action::Wire(..) => clients += 1,
            Action::CreateTopic(it) => {
                let has = if it.partitions < 1 { usual } else { it.partitions.unsigned_abs().into() };
                partitions = partitions.saturating_add(has);
                made.insert(it.name.clone());
            }
            Action::AddPartitions(_, count) => {
                partitions = partitions.saturating_add(u64::try_from(*count).unwrap_or(0));
            }
            Action::Load(it) => {
                meant.insert(it.topic.clone());
            }
            Action::Produce(it) => {
                meant.insert(it.topic.clone());
            }
            Action::Follow(_, topic) => {
                meant.insert(topic.clone());
            }
            Action::Subscribe(_, topics) => meant.extend(topics.iter().cloned()),
            Action::Poll(_, ms) | Action::SkewClock(_, ms) => {
                longest = longest.max(ms.unsigned_abs().saturating_mul(1_000));
            }
            Action::Slow(_, us) | Action::Delay(_, _, us) | Action::SlowDisk(_, us) => longest = longest.max(*us),
            _ => {}
        }
    }
    most("actions", count, ACTIONS as u64)?;
    let by_name = meant.iter().filter(|it| !made.contains(*it)).count() as u64;
    partitions = partitions.saturating_add(by_name.saturating_mul(usual));
    most("clients", clients, CLIENTS as u64)?;
    most("partitions", partitions, PARTITIONS)?;
    most_time(longest)
}

/// Refuses a scenario that asks for what a link may not ask for.
pub fn may_be_played(scenario: &Scenario) -> Result<(), String> {
    let story = &scenario.story;
    let solution = story.puzzle.iter().flat_map(|it| &it.solution);
    let steps = scenario.steps.iter().chain(story.knobs.iter().flat_map(|it| &it.steps)).chain(solution);
    let actions = steps.filter_map(|(_, step)| match step {
        Step::Do(action) | Step::Refused(_, action) => Some((Instant(0), action)),
        Step::At(at, action) => Some((Instant(at.0), action)),
        Step::After(it) => Some((it.at, &it.action)),
        // They do nothing. How much happens meanwhile, [`fits`] bounds.
        Step::Run(_) | Step::RunUntil(..) | Step::RunEvents(_) | Step::Expect(..) | Step::Show(_) => None,
    });
    bounded(&scenario.setup, actions)
}

/// The most of what any of the brokers has for a key that counts something; 0 if none says it.
fn named(setup: &Setup, key: &str) -> u64 {
    let settings = setup.brokers.iter().flat_map(|it| &it.settings);
    settings.filter(|it| &*it.0 == key).filter_map(|it| it.1.trim().parse().ok()).max().unwrap_or(0)
}

/// Refuses to play on once a run has had more happen in it, or written more, than a tab has room for: how much that will be, its
/// text does not say.
pub fn fits(world: &World) -> Result<(), String> {
    fits_in(world, EVENTS, TURNS, DISKS)
}

/// The same with so many events, turns and bytes as the most.
pub(crate) fn fits_in(world: &World, events: u64, turns: u64, disks: u64) -> Result<(), String> {
    for (what, has, may) in [("events", world.events(), events), ("turns of its queue", world.turns(), turns)] {
        if has > may {
            return Err(format!("it goes on for more than {may} {what}; `vivarium scenario FILE` plays all of it"));
        }
    }
    let used = world.disk_bytes();
    if used <= disks {
        return Ok(());
    }
    Err(format!("its brokers hold {used} bytes after {} events: {disks} are the most", world.events()))
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { event, turns, at, hash } = self.moment;
        writeln!(f, "#@ engine {}", self.run.engine)?;
        writeln!(f, "#@ moment {event}/{turns} {} {hash:016x}", Duration(at.0))?;
        self.looks.iter().try_for_each(|it| writeln!(f, "#@ look {}", super::on_one_line(it)))?;
        Scenario::of(&self.run, self.events).fmt(f)
    }
}

/// The text of a link, from the mark on. What is wrong with the link, as the end of a sentence.
pub fn text_of(link: &str) -> Result<String, &'static str> {
    let digits = link.strip_prefix(MARK).ok_or("it does not begin as one")?;
    // Gzip's head and end, and base64's third more.
    if digits.len() > TEXT / 3 * 4 + 64 {
        return Err("it is longer than any run that the lab shares");
    }
    let packed = base64::decode(digits).ok_or("it has characters that none has")?;
    let text = PureCompressors.decompress(Compression::Gzip, &packed, TEXT).map_err(|error| match error {
        CompressionError::Limit { .. } => "it unpacks to more than a megabyte",
        CompressionError::Corrupt { .. } | CompressionError::Failed { .. } => "it is cut off or was changed on its way",
    })?;
    String::from_utf8(text).map_err(|_| "it holds no text")
}

/// `812/1201 1.2s 00c0ffee00c0ffee`
fn moment_of(text: &str) -> Option<Moment> {
    let mut words = text.split(' ');
    let (event, turns) = words.next()?.split_once('/')?;
    let (event, turns) = (event.parse().ok()?, turns.parse().ok()?);
    let at = Instant(Duration::parse(words.next()?)?.0);
    Some(Moment { event, turns, at, hash: u64::from_str_radix(words.next()?, 16).ok()? })
}

fn wrong(line: usize, what: &str) -> String {
    format!("line {line}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "seed 7\nbroker b1\nrun until serving b1\ntopic orders partitions=2\nproducer p1 acks=all\n\
        produce p1 orders key=eva value=\"a\\nb\"\nrun until acked p1 1\nkill b1\nrun 1s\nstart b1\nrun 2s\n";

    fn played() -> History {
        Scenario::parse(STORY).unwrap().play().unwrap().history
    }

    /// A history as a link's text makes it, at the moment that it names.
    fn opened(shared: &Shared) -> History {
        let mut history = History::of(shared.run.clone()).unwrap();
        history.seek(shared.events);
        history.revisit(shared.moment.event, shared.moment.turns, shared.moment.at);
        history
    }

    #[test]
    fn a_link_opens_at_its_moment_with_its_hash_and_has_its_future() {
        let mut history = played();
        let end = history.world().events();
        for event in [end, end / 2, 1, 0] {
            history.seek(event);
            let shared = Shared::of(&history, vec!["choose:orders-1".to_owned()]);
            let link = shared.link().unwrap();
            assert!(link.len() < 700, "{} characters", link.len());
            let text = text_of(&link).unwrap();
            let again = Shared::parse(&text).unwrap();
            assert_eq!(again, shared, "{text}");
            let there = opened(&again);
            assert_eq!(there.world().hash(), again.moment.hash);
            assert_eq!(there.world().hash(), history.world().hash());
            assert_eq!((there.world().events(), there.world().clock()), (event, history.world().clock()));
            assert_eq!(there.world().actions(), history.world().actions(), "{event}");
            assert_eq!(there.run().actions, history.run().actions);
        }
    }

    /// The moment right after something was done, before any event: it is done there.
    #[test]
    fn what_was_done_last_is_done_in_the_link() {
        let mut history = played();
        history.run_until(Instant(history.world().clock().0 + 12_345));
        history.act(Action::Kill("b1".into())).unwrap();
        let shared = Shared::of(&history, Vec::new());
        let there = opened(&Shared::parse(&shared.to_string()).unwrap());
        assert!(!there.world().is_up("b1"));
        assert_eq!((there.world().hash(), there.world().clock()), (history.world().hash(), history.world().clock()));
    }

    #[test]
    fn a_broken_link_is_told_apart_from_a_hostile_one() {
        let link = Shared::of(&played(), Vec::new()).link().unwrap();
        assert_eq!(text_of("#12"), Err("it does not begin as one"));
        assert_eq!(text_of("#run=Zm9+"), Err("it has characters that none has"));
        let cut_off = Err("it is cut off or was changed on its way");
        for end in MARK.len()..link.len() - 1 {
            // A character alone is no byte.
            let said = text_of(&link[..end]);
            assert!(said == cut_off || said == Err("it has characters that none has"), "{end}: {said:?}");
        }
        for at in MARK.len()..link.len() {
            let mut changed = link.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            // A bit of the head may say nothing, such as the time; whatever is read is the text that was written.
            if let Ok(text) = text_of(std::str::from_utf8(&changed).unwrap()) {
                assert_eq!(text, text_of(&link).unwrap(), "{at}");
            }
        }
        let bomb = PureCompressors.compress(Compression::Gzip, None, &vec![b'#'; 64 << 20]).unwrap();
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        assert_eq!(text_of(&format!("{MARK}{}", base64::encode(&bomb))), Err("it unpacks to more than a megabyte"));
        let long = format!("{MARK}{}", "A".repeat(2 << 20));
        assert_eq!(text_of(&long), Err("it is longer than any run that the lab shares"));
    }

    #[test]
    fn what_a_link_may_not_ask_is_refused_with_its_line() {
        let head = "#@ engine 0.1.0\n#@ moment 1/1 1s ff\nbroker b1\n";
        for (text, told) in [
            ("broker b1\nrun to event 1\n", "it does not say which engine recorded it"),
            ("#@ engine 1\n#@ moment 1 2\nrun to event 1\n", "line 2: no moment"),
            (
                &format!("{head}after 1/1 1s explode b1\nrun to event 1\n"),
                "line 4, column 14: expected at, run, expect",
            ),
            (&format!("{head}kill b1\n"), "line 4: no line of a recording"),
            (&format!("{head}run 1s\n"), "line 4: no line of a recording"),
            (&format!("{head}run to event 1\nafter 1/1 1s kill b1\n"), "line 5: a line after the end"),
            (&format!("{head}after 1/1 1s kill b1\n"), "it ends before its recording does"),
            (&format!("{head}run to event 99999999999\n"), "it asks for 99999999999 events"),
            (&format!("{}run to event 1\n", head.replace("1/1", "2/1")), "its moment comes after 2 events of 1"),
            (&format!("{}run to event 1\n", head.replace("1/1", "1/18446744073709551615")), "551615 turns"),
            (&format!("{head}broker b2 num.partitions=10000\nrun to event 9\n"), "10000 partitions"),
            (&format!("{head}broker b2 offsets.topic.num.partitions=5000\nrun to event 9\n"), "5000 partitions"),
            (
                &format!(
                    "{head}broker b2 num.partitions=600\nafter 1/1 1s topic t partitions=-1\nafter 1/1 1s topic u partitions=0\nrun to event 9\n"
                ),
                "1200 partitions",
            ),
            (
                &format!(
                    "{head}broker b2 num.partitions=600\nafter 1/1 1s follow c t\nafter 1/1 1s produce p u value=x\nrun to event 9\n"
                ),
                "1200 partitions",
            ),
            (&format!("{head}after 1/1 1s topic t partitions=2000000000\nrun to event 9\n"), "2000000000 partitions"),
            (
                &format!("{head}after 1/1 1s load p t every=1us size=4000000000\nrun to event 9\n"),
                "a number of bytes up to 1048576",
            ),
            (&format!("{head}after 1/1 1s delay b1 p1 999999999s\nrun to event 9\n"), "999999999 seconds"),
            (&format!("{head}{}run to event 9\n", "broker x\n".repeat(40)), "41 nodes"),
            (&format!("{head}{}run to event 9\n", "after 1/1 1s producer p\n".repeat(300)), "300 clients"),
            (&format!("{head}{}run to event 9\n", "after 1/1 1s kill b\n".repeat(20_001)), "20001 actions"),
        ] {
            let error = Shared::parse(text).unwrap_err();
            assert!(error.contains(told), "{told}: {error}");
        }
    }

    /// Though there always is another turn: a heartbeat, a timer that is over.
    #[test]
    fn a_moment_that_never_was_ends_with_the_event_after_it() {
        let shared = Shared::of(&played(), Vec::new());
        let mut history = History::of(shared.run.clone()).unwrap();
        history.revisit(100, u64::MAX, shared.moment.at);
        assert_eq!(history.world().events(), 101);
    }

    #[test]
    fn a_run_that_fills_its_disks_is_played_no_further() {
        let history = played();
        let used = history.world().disk_bytes();
        assert!(used > 1_000 && fits(history.world()).is_ok(), "{used}");
        assert_eq!(fits_in(history.world(), EVENTS, TURNS, used), Ok(()));
        let error = fits_in(history.world(), EVENTS, TURNS, used - 1).unwrap_err();
        assert!(error.starts_with(&format!("its brokers hold {used} bytes")), "{error}");
    }
}
