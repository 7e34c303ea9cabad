//! A failing scenario made small: fewer actions, faults, clients and less time, as long as it fails in the same way.

use super::{Examined, examine};
use crate::action::Action;
use crate::script::quote::Duration;
use crate::script::{Scenario, Step};

fn is_timed(step: &Step) -> bool {
    match step {
        Step::At(_, action) => !matches!(action, Action::Start(_) | Action::Heal(..) | Action::Resume(_)),
        Step::Do(_) | Step::Refused(..) | Step::After(_) | Step::Run(_) | Step::RunUntil(..) => false,
        Step::RunEvents(_) | Step::Expect(..) | Step::Show(_) => false,
    }
}

/// The same with today's rules.
fn today(scenario: &Scenario) -> Scenario {
    let mut today = scenario.clone();
    today.setup.past = None;
    today
}

/// Scenarios that are tried at most.
const TRIALS: usize = 400;

/// The smallest scenario found that fails as this one does. Of a world that behaves as it once was done: and that loses nothing with
/// today's rules, or it would show something else.
pub fn shrink(scenario: &Scenario, found: &Examined, events: u64) -> Scenario {
    let Some(trouble) = &found.trouble else { return scenario.clone() };
    let fails = |candidate: &Scenario| {
        let breaks = examine(candidate, events).trouble.is_some_and(|it| it.check == trouble.check);
        breaks && (candidate.setup.past.is_none() || examine(&today(candidate), events).trouble.is_none())
    };
    let is_demanded = matches!(trouble.check.as_str(), "expectation" | "converges");
    let mut best = scenario.clone();
    let mut trials = 0;
    // Nothing after the event that showed it matters.
    if trouble.event > 0 && !is_demanded {
        let mut candidate = best.clone();
        let acts = |step: &Step| matches!(step, Step::Do(_) | Step::Refused(..) | Step::At(..) | Step::After(_));
        candidate.steps.retain(|(_, step)| acts(step));
        candidate.steps.push((0, Step::RunEvents(trouble.event)));
        if fails(&candidate) {
            best = candidate;
        }
        trials += 1;
    }
    // Ever smaller pieces are left out, as long as that helps.
    let mut size = best.steps.len() / 2;
    while size > 0 && trials < TRIALS {
        let mut at = 0;
        let mut helped = false;
        while at < best.steps.len() && trials < TRIALS {
            let mut candidate = best.clone();
            let left_out = candidate.steps.drain(at..(at + size).min(best.steps.len()));
            // Who demands something must go on doing what it needs; only what happens at a time may go then.
            let allowed = !is_demanded || left_out.as_slice().iter().all(|(_, it)| is_timed(it));
            drop(left_out);
            if !allowed {
                at += size;
                continue;
            }
            trials += 1;
            if fails(&candidate) {
                best = candidate;
                helped = true;
            } else {
                at += size;
            }
        }
        if !helped || size > 1 {
            size /= 2;
        }
    }
    // What is left happens as early as it may.
    for divisor in [8, 2] {
        let mut candidate = best.clone();
        for (_, step) in &mut candidate.steps {
            if let Step::At(Duration(at), _) = step {
                *at /= divisor;
            }
        }
        if candidate != best && trials < TRIALS && fails(&candidate) {
            best = candidate;
        }
        trials += 1;
    }
    for (index, (line, _)) in best.steps.iter_mut().enumerate() {
        *line = index + 1;
    }
    best
}
