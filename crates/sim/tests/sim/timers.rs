//! A process is woken as late as the scenario says: never before its time, and never later than that.

use std::sync::Arc;

use protocol::{Instant, Str};
use sim::action::{Action, CreateTopic};
use sim::narration::Heard;
use sim::{Setup, World};

/// How late b1 was woken each time that it slept, in µs.
fn wakes(timers_us: (u64, u64)) -> Vec<u64> {
    let mut world = World::new(Arc::new(Setup { timers_us, ..Setup::single(1) })).expect("a world begins");
    let b1 = world.pid("b1").expect("it is there");
    let mut wakes = Vec::new();
    let mut asked: Option<(Instant, Instant)> = None;
    let mut has_topic = false;
    while world.clock() < Instant(300_000_000) {
        if world.is_serving("b1") && !has_topic {
            let topic = CreateTopic { name: Str::from_static("t"), partitions: 3, ..CreateTopic::default() };
            world.act(&Action::CreateTopic(topic)).expect("it can be asked for");
            has_topic = true;
        }
        let first = world.view().timers.iter().find(|it| it.process == "b1").map(|it| it.at);
        if asked.map(|it| it.0) != first {
            asked = first.map(|due| (due, world.clock()));
        }
        let Some(last) = world.step() else { break };
        if (last.process, last.heard) == (b1, Heard::Wake)
            && let Some((due, since)) = asked
            && due > since
        {
            assert!(last.at >= due, "it is not woken before its time");
            wakes.push(last.at.0 - due.0);
        }
    }
    assert!(wakes.len() > 50, "{} wakes say little", wakes.len());
    wakes
}

#[test]
fn a_process_is_woken_as_late_as_the_scenario_says() {
    assert!(wakes((0, 0)).iter().all(|it| *it == 0), "without the line it is at once");
    let late = wakes((2_000, 8_000));
    assert!(late.iter().all(|it| *it <= 8_000), "{late:?}");
    assert!(late.iter().filter(|it| **it >= 2_000).count() * 10 > late.len() * 9, "one may come for another: {late:?}");
    assert!(late.iter().any(|it| *it > 7_000) && late.iter().any(|it| *it < 3_000), "{late:?}");
}
