//! Many seeds: each makes a scenario of clients and faults, plays it with every check on, and what breaks is made small.

mod cluster;
mod disks;
mod generate;
mod groups;
mod museum;
mod shrink;
mod voters;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::action::Action;
use crate::exhibit::Exhibit;
use crate::script::{Played, Scenario, Step, Wrong};

pub use shrink::shrink;

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// How many events it had.
    pub events: u64,
    /// The hash of all that happened; 0 after a panic.
    pub hash: u64,
    /// How often something was made to go wrong.
    pub faults: u64,
    /// How many records were acknowledged, with their offsets.
    pub acked: u64,
    /// What broke, if anything did.
    pub trouble: Option<Trouble>,
    /// It was cut off before its end: what was demanded there was not looked at.
    pub ran_out: bool,
}

/// What scenarios of seeds are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Producers, readers, and what becomes of logs.
    Logs,
    /// Consumer groups, their members and coordinators.
    Groups,
    /// Several log directories, and replicas that move.
    Disks,
    /// Controllers that begin to vote and cease to.
    Voters,
}

impl Theme {
    /// All of them.
    pub const ALL: [Theme; 4] = [Theme::Logs, Theme::Groups, Theme::Disks, Theme::Voters];

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Theme::Logs => "logs",
            Theme::Groups => "groups",
            Theme::Disks => "disks",
            Theme::Voters => "voters",
        }
    }
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The check's name, `expectation`, `converges`, `standstill`, `setup` or `panic`.
    pub check: String,
    /// For people.
    pub what: String,
    /// The event that showed it.
    pub event: u64,
}

/// Seeds that broke once, each with a line saying what it was; every test run plays them again.
pub const REGRESSIONS: &str = include_str!("../seeds.txt");

/// The seeds of [`REGRESSIONS`], of how many brokers each is and what it is about: one and its log unless it says
/// `seed/brokers` or `seed/brokers/theme`.
pub fn regressions() -> impl Iterator<Item = (u64, usize, Theme)> {
    REGRESSIONS.lines().filter_map(|line| {
        let mut words = line.split_whitespace().next()?.split('/');
        let (seed, brokers) = (words.next()?, words.next().unwrap_or("1"));
        let theme = words.next().unwrap_or(Theme::Logs.word());
        let theme = Theme::ALL.into_iter().find(|it| it.word() == theme)?;
        Some((seed.parse().ok()?, brokers.parse().ok()?, theme))
    })
}

impl Scenario {
    /// A scenario of a seed's making: settings, clients, loads and faults, and at the end the demand that all is well.
    pub fn random(seed: u64) -> Scenario {
        generate::random(seed, 1)
    }

    /// The same with several brokers, each a controller too.
    pub fn random_cluster(seed: u64, brokers: usize) -> Scenario {
        generate::random(seed, brokers.max(1))
    }

    /// A scenario of a seed's making about a theme.
    pub fn random_of(theme: Theme, seed: u64, brokers: usize) -> Scenario {
        match theme {
            Theme::Logs => generate::random(seed, brokers.max(1)),
            Theme::Groups => groups::groups(seed, brokers.max(1)),
            Theme::Disks => disks::disks(seed, brokers.max(1)),
            Theme::Voters => voters::voters(seed, brokers.max(1)),
        }
    }

    /// A small cluster that behaves as Apache Kafka once did, and few faults.
    pub fn museum(seed: u64, exhibit: Exhibit) -> Scenario {
        museum::museum(seed, exhibit)
    }

    /// How many things are done in it.
    pub fn actions(&self) -> usize {
        let acts = |step: &Step| matches!(step, Step::Do(_) | Step::At(..) | Step::After(_));
        self.steps.iter().filter(|(_, step)| acts(step)).count()
    }

    /// Several brokers with ten records a second and one consumer, for so long: how much faster than the clock does it run?
    pub fn quiet(seed: u64, brokers: usize, seconds: u64) -> Scenario {
        generate::quiet(seed, brokers, seconds)
    }

    /// The load that `vivarium sim bench` measures: no faults, two producers, two consumers.
    pub fn bench(seed: u64, events: u64) -> Scenario {
        generate::bench(seed, events)
    }
}

/// Plays a scenario up to so many events and says what broke. A panic of the core is something that broke.
pub fn examine(scenario: &Scenario, events: u64) -> Examined {
    let played = catch_unwind(AssertUnwindSafe(|| scenario.play_limited(events)));
    match played {
        Ok(Ok(played)) => {
            let world = played.history.world();
            Examined {
                events: world.events(),
                hash: world.hash(),
                faults: faults(scenario, &played),
                acked: world.checks().acked(),
                trouble: trouble(&played),
                ran_out: played.ran_out,
            }
        }
        Ok(Err(error)) => broken("setup", error.0),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            broken("panic", what.unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

fn broken(check: &str, what: String) -> Examined {
    let trouble = Some(Trouble { check: check.to_owned(), what, event: 0 });
    Examined { events: 0, hash: 0, faults: 0, acked: 0, trouble, ran_out: false }
}

/// The faults that came about: some meet a process that is not there.
fn faults(scenario: &Scenario, played: &Played) -> u64 {
    let is_refused = |line: usize| played.failures.iter().any(|it| it.line == line);
    let played_steps = scenario.steps.iter().take(played.marks.len());
    let faults = played_steps.filter(|(line, step)| match step {
        Step::Do(action) | Step::At(_, action) => is_fault(action) && !is_refused(*line),
        Step::After(stamped) => is_fault(&stamped.action) && !is_refused(*line),
        Step::Refused(..) | Step::Run(_) | Step::RunUntil(..) => false,
        Step::RunEvents(_) | Step::Expect(..) | Step::Show(_) => false,
    });
    faults.count() as u64
}

/// True if something goes wrong by it; false for what ends that again.
fn is_fault(action: &Action) -> bool {
    match action {
        Action::Kill(_) | Action::PowerCut(_) | Action::PowerCutTorn(_) | Action::Stop(_) | Action::Pause(_) => true,
        Action::Wipe(_) | Action::Cut(..) | Action::CutOneWay(..) => true,
        Action::DiskFull(_) | Action::DiskError(..) | Action::LoseDirectory(..) | Action::BitRot(..) => true,
        Action::DropResponse(..) | Action::CorruptRequest(..) => true,
        Action::Delay(.., us) | Action::SlowDisk(_, us) => *us > 0,
        Action::SkewClock(_, ms) => *ms != 0,
        // What clients and people ask for, and whatever no generated scenario does.
        _ => false,
    }
}

fn trouble(played: &Played) -> Option<Trouble> {
    if let Some(finding) = played.broken() {
        let check = finding.check.name().to_owned();
        return Some(Trouble { check, what: finding.what.clone(), event: finding.event });
    }
    // Faults may meet a process that is not there; only what was demanded counts.
    let failure = played.failures.iter().find(|it| it.wrong != Wrong::Refused)?;
    let check = match failure.wrong {
        Wrong::Standstill => "standstill",
        Wrong::NotConverged => "converges",
        Wrong::Refused | Wrong::NotMet => "expectation",
    };
    let event = played.history.world().events();
    Some(Trouble { check: check.to_owned(), what: failure.what.clone(), event })
}
