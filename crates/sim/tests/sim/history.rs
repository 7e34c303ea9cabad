//! Any moment of a run can be visited, and acting there loses nothing.

use protocol::Instant;
use sim::script::{Scenario, Step};
use sim::{Action, History};

const RUN: &str = "
seed 5
broker b1
topic orders partitions=2
producer p1 linger.ms=1
consumer c1 auto.offset.reset=earliest
follow c1 orders
load p1 orders every=2ms keys=4 size=40
at 1s kill b1
at 1500ms start b1
run 3s
";

fn played() -> History {
    let played = Scenario::parse(RUN).expect("it reads").play_with(false).expect("it plays");
    assert_eq!(played.failures, []);
    played.history
}

#[test]
fn seeking_gives_the_same_moment_as_getting_there() {
    let mut history = played();
    let end = (history.world().events(), history.world().hash());
    assert!(end.0 > 4_096, "long enough to have snapshots: {}", end.0);
    let mut fresh = History::of(history.run()).unwrap();
    for event in [0, 1, 100, 1_023, 1_024, 1_025, 3_000, end.0] {
        while fresh.world().events() < event {
            assert!(fresh.step());
        }
        history.seek(event);
        assert_eq!((history.world().events(), history.world().hash()), (event, fresh.world().hash()));
    }
    assert!(history.back());
    assert_eq!(history.world().events(), end.0 - 1);
    assert!(history.step());
    assert_eq!((history.world().events(), history.world().hash()), end);
    history.seek(0);
    assert!(!history.back());
}

/// Whoever creeps sees every event, one after the other.
#[test]
fn creeping_passes_over_no_event_and_ends_where_stepping_does() {
    let mut history = played();
    let (end, hash) = (history.world().events(), history.world().hash());
    history.seek(0);
    for event in 1..=end {
        assert!(history.creep());
        assert_eq!((history.world().events(), history.world().last().event), (event, event));
    }
    assert_eq!(history.world().hash(), hash);
}

#[test]
fn acting_in_the_past_makes_a_branch_and_loses_nothing() {
    let mut history = played();
    let (end, hash) = (history.world().events(), history.world().hash());
    let middle = end / 2;
    history.seek(middle);
    history.act(Action::Kill("b1".into())).unwrap();
    assert_eq!(history.branch(), "branch-1");
    history.run_until(Instant(history.world().clock().0 + 100_000));
    assert!(!history.world().is_up("b1"));
    history.switch("main").unwrap();
    assert_eq!((history.world().events(), history.world().hash()), (end, hash));
    history.seek(end);
    let branches = history.branches();
    assert_eq!(branches.len(), 2);
    assert_eq!(branches[1].from, Some((0, middle)));
    assert_eq!(branches[0].actions.len() + 1, branches[1].actions.len() + later(branches[0].actions, middle));
    let kept = (history.current(), history.known(), history.actions().len());
    assert_eq!(kept, (0, branches[0].events, branches[0].actions.len()));
    let difference = history.compare("main", "branch-1").unwrap();
    assert!(difference.same_until < end && difference.same_until + 1 >= middle, "{difference:?}");
    let [Some((there, told)), Some((here, other))] = &difference.then else { panic!("{difference:?}") };
    assert!(there >= &difference.same_at && here >= &difference.same_at && told != other, "{difference:?}");
    history.rename("branch-1", "b1 dies earlier").unwrap();
    history.switch("b1 dies earlier").unwrap();
    assert!(history.switch("branch-1").is_err());
    assert!(history.act(Action::Start("nobody".into())).is_err());
}

fn later(actions: &[sim::history::Stamped], event: u64) -> usize {
    actions.iter().filter(|it| it.after > event).count()
}

#[test]
fn a_new_branch_has_a_name_that_no_other_has() {
    let mut history = played();
    history.branch_off();
    history.rename("branch-1", "branch-2").unwrap();
    history.branch_off();
    let names: Vec<String> = history.branches().iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(names, ["main", "branch-2", "branch-3"]);
    for (number, name) in names.iter().enumerate() {
        history.switch(name).unwrap();
        assert_eq!(history.current(), number);
    }
}

#[test]
fn a_run_of_another_engine_is_refused() {
    let mut run = played().run();
    run.engine = "0.0.0".to_owned();
    assert!(History::of(run).is_err());
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_seed_another() {
    let hash = |seed: u64| {
        let mut scenario = Scenario::parse(RUN).unwrap();
        scenario.setup.seed = seed;
        scenario.play_with(false).unwrap().history.world().hash()
    };
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_recorded_action_that_cannot_be_done_is_told_and_not_skipped() {
    let mut run = played().run();
    let last = run.actions.len() - 1;
    run.actions[last].action = Action::Kill("nobody".into());
    let after = run.actions[last].after;
    let mut history = History::of(run).unwrap();
    assert_eq!(history.refused(), None);
    history.seek(after + 1);
    assert!(history.refused().unwrap().to_string().contains("there is no process nobody"));
}

#[test]
fn what_is_refused_changes_nothing_that_comes() {
    let (mut asked, mut left_alone) = (played(), played());
    for line in [
        "kill nobody",
        "kill admin",
        "start b1",
        "resume b1",
        "pause nobody",
        "heal b1 p1",
        "cut b1 b1",
        "wipe b1",
        "power-cut p1",
        "stop p1",
        "producer p1",
        "producer p9 acks=seven",
        "wire w1 p1",
        "produce c9 orders value=x",
        "unload c1",
        "follow b1 orders",
        "disk-full p1",
        "lose-directory b1 7",
        "elect p1 unclean orders-0",
        "topic other partitions=1 replicas=b9",
        "seek b1 orders-0 end",
    ] {
        let steps = Scenario::parse(line).unwrap_or_else(|error| panic!("{line}: {error}")).steps;
        let [(_, Step::Do(action))] = &steps[..] else { panic!("{line}: {steps:?}") };
        assert!(asked.act(action.clone()).is_err(), "{line}");
    }
    assert_eq!(asked.run(), left_alone.run());
    for history in [&mut asked, &mut left_alone] {
        history.act(Action::PowerCutTorn("b1".into())).unwrap();
        history.act(Action::Start("b1".into())).unwrap();
        history.run_until(Instant(history.world().clock().0 + 2_000_000));
    }
    assert_eq!(asked.world().hash(), left_alone.world().hash());
    assert_eq!(format!("{:?}", asked.world().view()), format!("{:?}", left_alone.world().view()));
}

/// The same scenario with another setting: both tell the same until the first event that is another, or comes at another time.
#[test]
fn runs_with_other_settings_part_where_they_tell_something_else() {
    let run = |linger: &str| {
        let text = RUN.replace("linger.ms=1", linger);
        assert!(linger == "linger.ms=1" || text != RUN, "{RUN}");
        Scenario::parse(&text).unwrap().play_with(false).unwrap().history
    };
    let (now, later) = (run("linger.ms=1"), run("linger.ms=50"));
    assert_eq!(now.part_from(&now), None);
    let difference = now.part_from(&later).unwrap();
    let (mut one, mut other) = (now.clone(), later.clone());
    one.seek(difference.same_until);
    other.seek(difference.same_until);
    assert_eq!((one.world().clock(), one.world().narrate()), (other.world().clock(), other.world().narrate()));
    one.step();
    other.step();
    let told = [one, other].map(|it| Some((it.world().clock(), it.world().narrate())));
    assert_eq!(difference.then, told);
    assert_ne!(told[0], told[1]);
}
