use super::*;
use crate::engine::Until;

/// A member of a group by a protocol; its story ends so many seconds after it came.
fn lane(protocol: &str, rest: &str) -> Engine {
    let text = format!(
        "seed 21\nnetwork 2ms..6ms\nbroker b1\nrun until serving b1\ntopic orders partitions=4\nproducer p1 linger.ms=0\n\
         load p1 orders every=20ms keys=40 size=0\nconsumer c1 group.id=shop {protocol}\nfollow c1 orders\nrun {rest}\n"
    );
    Engine::new(&text).unwrap()
}

/// Three lanes on one clock, of which two have a future: their stories end later.
fn lanes() -> Lanes {
    let mut lanes = Lanes::new(vec![
        ("eager", lane("partition.assignment.strategy=range", "4s")),
        ("cooperative", lane("partition.assignment.strategy=cooperative-sticky", "5s")),
        ("KIP-848", lane("group.protocol=consumer", "6s")),
    ]);
    lanes.gather();
    lanes
}

/// On one clock, at which none of them has a future.
fn lanes_at_their_ends() -> Lanes {
    let mut lanes = lanes();
    while lanes.all().any(|it| it.engine.is_past()) {
        lanes.advance(1_000_000.0, &|| 0.0);
    }
    lanes
}

fn line(text: &str) -> Wish {
    Wish::Line(text.to_owned())
}

/// The last actions of each lane, with their times.
fn last(lanes: &Lanes, count: usize) -> Vec<Vec<(u64, String)>> {
    let of = |it: &Lane| {
        let actions = it.engine.history().run().actions;
        let last = actions[actions.len() - count..].iter();
        last.map(|it| (it.at.0, it.action.to_string())).collect()
    };
    lanes.all().map(of).collect()
}

/// Where each lane is: on which of how many branches.
fn branches(lanes: &Lanes) -> Vec<(usize, usize)> {
    let of = |it: &Lane| (it.engine.branches().0, it.engine.branches().1.len());
    lanes.all().map(of).collect()
}

/// A frame that has no time at all: each lane does the least that it can.
fn too_short() -> f64 {
    2.0
}

#[test]
fn what_is_done_while_time_flies_is_done_at_one_time_in_every_lane() {
    let mut lanes = lanes_at_their_ends();
    for _ in 0..3 {
        while lanes.are_together() {
            lanes.advance(3_000_000.0, &too_short);
        }
        lanes.act(&line("pause c1")).unwrap();
        let at = lanes.shown.engine.clock();
        assert_eq!(last(&lanes, 1), vec![vec![(at, "pause c1".to_owned())]; 3]);
        assert_eq!(branches(&lanes), [(0, 1); 3], "none was past its end, so none has a branch");
        lanes.act(&line("resume c1")).unwrap();
    }
}

#[test]
fn a_frame_that_is_too_short_leaves_no_lane_behind() {
    let mut lanes = lanes_at_their_ends();
    let begun = lanes.shown.engine.clock();
    let mut apart = 0;
    for _ in 0..500 {
        let clock = lanes.shown.engine.clock();
        let were_together = lanes.are_together();
        lanes.advance(100_000.0, &too_short);
        assert!(were_together || lanes.shown.engine.clock() == clock, "it waits for the others");
        apart += u32::from(!lanes.are_together());
    }
    assert!(apart > 0 && lanes.shown.engine.clock() > begun);
    while lanes.are_together() {
        lanes.advance(100_000.0, &too_short);
    }
    assert!(lanes.stop().is_empty() && lanes.are_together());
}

#[test]
fn where_one_lane_has_a_future_what_is_done_is_a_branch_in_all() {
    let mut lanes = lanes();
    assert_eq!(lanes.all().map(|it| it.engine.is_past()).collect::<Vec<_>>(), [false, true, true]);
    lanes.act(&line("pause nobody")).unwrap_err();
    assert_eq!(branches(&lanes), [(0, 1); 3], "what is refused makes none");
    lanes.act(&line("pause c1")).unwrap();
    lanes.act(&line("run 10s")).unwrap();
    assert_eq!(branches(&lanes), [(1, 2); 3]);
    lanes.switch(0);
    lanes.gather();
    assert_eq!(branches(&lanes), [(0, 2); 3]);
    let paused = |it: &Lane| it.engine.history().run().actions.iter().any(|it| it.action.to_string() == "pause c1");
    assert!(!lanes.all().any(paused), "the story is as it was, in every lane");
}

/// What the cluster refused in a lane that nobody looked at is no news once somebody does.
#[test]
fn what_was_refused_in_another_lane_is_not_told_later() {
    let mut lanes = lanes_at_their_ends();
    lanes.act(&line("topic orders")).unwrap();
    lanes.act(&line("run 1s")).unwrap();
    assert_eq!(lanes.shown.engine.take_refused().len(), 1);
    lanes.show(1);
    assert_eq!(lanes.shown.engine.take_refused(), Vec::<String>::new());
}

#[test]
fn one_more_member_comes_at_one_time_with_each_lanes_own_settings() {
    let mut lanes = lanes();
    lanes.act(&Wish::Member("shop".into())).unwrap();
    let at = lanes.shown.engine.clock();
    let settings = [
        "partition.assignment.strategy=range",
        "partition.assignment.strategy=cooperative-sticky",
        "group.protocol=consumer",
    ];
    let came =
        settings.map(|it| vec![(at, format!("consumer c2 group.id=shop {it}")), (at, "follow c2 orders".to_owned())]);
    assert_eq!(last(&lanes, 2), came);
    assert_eq!(branches(&lanes), [(1, 2); 3]);
}

#[test]
fn what_is_asked_for_during_a_wait_is_done_after_it_and_the_wait_is_not_hurried() {
    let mut lanes = lanes_at_their_ends();
    let begun = lanes.shown.engine.clock();
    lanes.shown.engine.expect(Until::Time(5_000_000));
    assert_eq!(lanes.search(&too_short), None);
    let clock = lanes.shown.engine.clock();
    assert_eq!(lanes.ask(line("pause c1")), Ok(None));
    assert_eq!(lanes.ask(Wish::Member("shop".into())), Ok(None));
    lanes.ask(line("puase c1")).unwrap_err();
    assert_eq!(lanes.shown.engine.clock(), clock, "to ask takes no time");
    assert_eq!(lanes.later().as_deref(), Some("pause c1, then add a member to shop"));
    let mut frames = 0;
    while lanes.search(&too_short).is_none() {
        assert_eq!(lanes.due(), None, "not before its time");
        frames += 1;
    }
    assert!(frames > 10, "{frames}");
    while let Some(wish) = lanes.due() {
        lanes.act(&wish).unwrap();
    }
    let at = begun + 5_000_000;
    for it in last(&lanes, 3) {
        assert_eq!(it.iter().map(|it| it.0).collect::<Vec<_>>(), [at; 3], "{it:?}");
        assert_eq!(it[0].1, "pause c1");
    }
    assert_eq!(lanes.ask(line("resume c1")), Ok(Some(line("resume c1"))), "nothing is waited for now");
}

#[test]
fn who_stops_a_wait_calls_off_what_was_to_be_done_after_it() {
    let mut lanes = lanes_at_their_ends();
    lanes.shown.engine.expect(Until::Time(3_600_000_000));
    assert_eq!(lanes.search(&too_short), None);
    assert_eq!(lanes.ask(line("pause c1")), Ok(None));
    assert_eq!(lanes.stop(), [line("pause c1")]);
    assert_eq!((lanes.later(), lanes.due(), lanes.are_together()), (None, None, true));
    assert_eq!(lanes.ask(line("pause c1")), Ok(Some(line("pause c1"))), "the wait is over too");
    lanes.shown.engine.expect(Until::Time(3_600_000_000));
    assert_eq!(lanes.ask(line("pause c1")), Ok(None));
    assert_eq!(lanes.forget_later(), [line("pause c1")]);
    assert!(lanes.shown.engine.waits(), "only what was to be done is called off, not the wait");
}

#[test]
fn a_variation_is_beside_the_first_lane_alone_and_the_rooms_come_back() {
    let mut lanes = lanes();
    let names = |lanes: &Lanes| lanes.all().map(|it| it.name.clone()).collect::<Vec<_>>().join(" ");
    for _ in 0..2 {
        lanes.leave_alone();
        lanes.put_beside("varied".to_owned(), lane("group.protocol=consumer", "4s"));
        assert_eq!(names(&lanes), "varied eager");
        assert_eq!(lanes.all().nth(1).map(|it| &*it.name), Some("eager"));
    }
    lanes.leave_alone();
    assert_eq!((&*names(&lanes), lanes.shown.number), ("eager cooperative KIP-848", 0));
    // With one member both classic protocols tell the same; KIP-848 does not.
    let [eager, cooperative, kip_848] = [0, 1, 2].map(|it| lanes.all().nth(it).unwrap().engine.history());
    assert!(cooperative.part_from(eager).is_none());
    let found = kip_848.part_from(eager).unwrap();
    assert!(found.then[0] != found.then[1] && found.same_until > 0, "{found:?}");
    assert_eq!(lanes.rename("main"), Ok(()));
    assert!(lanes.rename(" ").is_err());
}
