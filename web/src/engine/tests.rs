mod acting;

use super::ticks::{TICKS, Tick};
use super::*;
use crate::view::{Role, Standing, State};

fn room() -> Engine {
    Engine::new("1").unwrap()
}

#[test]
fn the_room_is_one_broker_three_partitions_three_producers_and_two_consumers() {
    let mut engine = room();
    let view = engine.view();
    let names =
        |role: Role| view.clients.iter().filter(|it| it.role == role).map(|it| it.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(Role::Producer), ["p1", "p2", "p3"]);
    assert_eq!(names(Role::Consumer), ["A", "B"]);
    assert_eq!(view.brokers.iter().map(|it| (it.name.as_str(), it.state)).collect::<Vec<_>>(), [("b1", State::Up)]);
    assert_eq!(
        view.partitions.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(),
        ["orders-0", "orders-1", "orders-2"]
    );
    for partition in &view.partitions {
        assert_eq!(partition.leader.as_deref(), Some("b1"));
        let offsets: Vec<i64> = partition.records.iter().map(|it| it.offset).collect();
        assert_eq!(offsets, (0..partition.log_end).collect::<Vec<_>>(), "every record is in sight");
    }
    assert!(view.checks.iter().all(|it| it.holds));
}

#[test]
fn a_room_by_number_is_a_cluster_of_so_many_with_copies_on_three() {
    for brokers in [2, 3, 5, 7] {
        let mut engine = Engine::new(&brokers.to_string()).unwrap();
        let view = engine.view();
        assert_eq!(view.brokers.len(), brokers);
        assert!(view.brokers.iter().all(|it| it.state == State::Up && it.is_broker && it.is_controller && !it.fenced));
        assert_eq!(view.brokers.iter().filter(|it| it.quorum_epoch.is_some()).count(), 1);
        for it in &view.partitions {
            assert_eq!((it.replicas.len(), it.min_isr), (brokers.min(3), brokers.min(3).div_ceil(2)), "{it:?}");
            let leaders = it.replicas.iter().filter(|it| it.standing == Standing::Leader);
            assert_eq!(leaders.map(|it| &it.broker).collect::<Vec<_>>(), it.leader.iter().collect::<Vec<_>>());
            assert!(it.replicas.iter().all(|it| it.is_there && it.led.is_none_or(|led| led == 0)));
        }
        assert!(view.links.len() > brokers);
    }
    assert!(Engine::new("8").is_err(), "neither a room nor a scenario");
}

/// With one of three in sync where two have to be, nothing can be committed that the last who left lacks.
#[test]
fn who_is_gone_may_be_eligible_to_lead() {
    let lesson = include_str!("../../../crates/sim/scenarios/09-last-replica-standing-and-elr.scenario");
    let (two_stopped, _) = lesson.split_once("produce fast").unwrap();
    let mut engine = Engine::new(two_stopped).unwrap();
    let standings: Vec<Standing> = engine.view().partitions[0].replicas.iter().map(|it| it.standing).collect();
    assert_eq!(standings, [Standing::Leader, Standing::Offline, Standing::OfflineEligible]);
}

#[test]
fn each_broker_that_is_gone_has_what_it_had_itself() {
    let mut engine = Engine::new("3").unwrap();
    let copy = |view: &View, broker: &str| {
        let it = view.partitions[0].replicas.iter().find(|it| it.broker == broker).unwrap().clone();
        (it.log_end, it.records, it.standing)
    };
    let first = copy(&engine.view(), "b1");
    for line in ["kill b1", "run 2s"] {
        engine.act(line).unwrap();
    }
    let second = copy(&engine.view(), "b2");
    assert!(second.0 > first.0, "the log went on without b1");
    for line in ["power-cut b2", "run 2s"] {
        engine.act(line).unwrap();
    }
    let view = engine.view();
    assert_eq!(copy(&view, "b1"), (first.0, first.1, Standing::Offline), "as it was when it was killed");
    let b2 = copy(&view, "b2");
    assert!(b2.0 <= second.0 && b2.0 == b2.1.last().map_or(0, |it| it.offset + 1), "what was synced: {b2:?}");
    assert!(second.1.starts_with(&b2.1));
    engine.ghosts.clear();
    assert!(engine.view() == view, "also to who did not look");
    let (partition, epoch) = (&view.partitions[0], view.partitions[0].leader_epoch);
    assert!(epoch > 0 && partition.replicas[0].led == Some(0), "{partition:?}");
    engine.act("start b1").unwrap();
    engine.act("run 4s").unwrap();
    assert!(engine.view().partitions[0].replicas[0].is_there);
}

#[test]
fn what_is_cut_off_a_log_is_in_sight_for_one_event() {
    let text = include_str!("../../../crates/sim/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");
    let mut engine = Engine::new(text).unwrap();
    let cut = engine.ticks().iter().find(|it| it.kind == Kind::Cut).map(|it| it.event).unwrap();
    engine.seek(cut);
    let offsets = |view: &View| {
        let b1 = view.partitions[0].replicas.iter().find(|it| it.broker == "b1").unwrap();
        b1.cut.iter().map(|it| (it.offset, it.value.clone().unwrap_or_default())).collect::<Vec<_>>()
    };
    let view = engine.view();
    assert_eq!(offsets(&view), [(2, "x".into()), (3, "y".into()), (4, "z".into())]);
    let b1 = view.partitions[0].replicas.iter().find(|it| it.broker == "b1").unwrap();
    assert_eq!(b1.records.iter().map(|it| it.offset).collect::<Vec<_>>(), [0, 1], "what stays is in sight meanwhile");
    assert_eq!(engine.view().event, cut, "a look into the past comes back");
    engine.step();
    assert_eq!(offsets(&engine.view()), []);
    assert_eq!(engine.records("b1/orders-0", 0, 9).last().map(|it| it.offset), Some(1));
    assert_eq!(engine.records("b2/orders-0", 0, 9).last().map(|it| it.offset), Some(2), "each copy has its own");
}

/// Three brokers and their controllers, of a partition with two records on all of them.
const THREE: &str = "seed 12\nbroker b1 process.roles=broker\nbroker b2 process.roles=broker\n\
    broker b3 process.roles=broker\nbroker k1 process.roles=controller\nbroker k2 process.roles=controller\n\
    broker k3 process.roles=controller\nrun 3s\ntopic orders partitions=1 replicas=b1,b2,b3 min.insync.replicas=2\n\
    producer safe acks=all linger.ms=0\nproducer fast acks=1 linger.ms=0\nproduce safe orders value=a\n\
    run until acked safe 1\nproduce fast orders value=b\nrun until acked fast 1\nrun 2s\n";

fn of<'a>(view: &'a View, broker: &str) -> &'a crate::view::Replica {
    view.partitions[0].replicas.iter().find(|it| it.broker == broker).unwrap()
}

#[test]
fn a_leader_that_is_cut_off_believes_that_it_leads_and_what_it_acknowledges_is_at_risk() {
    let mut engine = Engine::new(THREE).unwrap();
    engine.act("wire w1 b1").unwrap();
    assert_eq!(engine.view().clients.last().map(|it| it.role), Some(Role::Wire), "before it is answered");
    for line in ["cut b1 b2", "cut b1 b3", "cut b1 k1", "cut b1 k2", "cut b1 k3", "run 12s"] {
        engine.act(line).unwrap();
    }
    let view = engine.view();
    assert_eq!((of(&view, "b1").believes, of(&view, "b2").believes, view.at_risk), (Some(0), None, 0));
    assert!(view.partitions[0].leader.as_deref() == Some("b2") && view.partitions[0].leader_epoch == 1);
    let hears = |engine: &Engine, name: &str| engine.quorum(None, 9).iter().any(|it| *it.name == *name && it.hears);
    assert!(!hears(&engine, "b1") && hears(&engine, "b2"), "b1 reads from nobody");
    for line in ["wire-produce w1 orders-0 acks=1 value=stray", "produce fast orders value=zombie", "run 1s"] {
        engine.act(line).unwrap();
    }
    let view = engine.view();
    let fast = view.clients.iter().find(|it| it.name == "fast").unwrap();
    assert_eq!((fast.ok, view.at_risk), (2, 1), "told ok, and on b1 alone");
    for line in ["heal b1 b2", "heal b1 b3", "heal b1 k1", "heal b1 k2", "heal b1 k3", "run 30s"] {
        engine.act(line).unwrap();
    }
    let view = engine.view();
    assert_eq!((of(&view, "b1").believes, view.at_risk, hears(&engine, "b1")), (None, 0, true));
    assert_eq!(view.findings.iter().map(|it| it.acked).sum::<u64>(), 1, "now it is lost");
}

#[test]
fn of_a_wiped_disk_nothing_is_in_sight() {
    let mut engine = Engine::new(THREE).unwrap();
    for line in ["kill b1", "run 1s"] {
        engine.act(line).unwrap();
    }
    let view = engine.view();
    assert_eq!((of(&view, "b1").standing, of(&view, "b1").log_end), (Standing::Offline, 2));
    engine.act("wipe b1").unwrap();
    let view = engine.view();
    let b1 = of(&view, "b1");
    assert_eq!((b1.standing, b1.log_end, b1.records.len()), (Standing::Lost, 0, 0));
    engine.act("start b1").unwrap();
    let mut standings = Vec::new();
    for _ in 0..20_000 {
        let standing = of(&engine.view(), "b1").standing;
        if standings.last() != Some(&standing) {
            standings.push(standing);
        }
        if standing == Standing::InSync || !engine.step() {
            break;
        }
    }
    assert_eq!(standings.first(), Some(&Standing::Opening), "it runs, and has nothing yet");
    assert_eq!(standings.last(), Some(&Standing::InSync));
}

#[test]
fn a_record_goes_where_the_explanation_says() {
    let mut engine = room();
    for key in ["eva", "tom", "lea", "ä b"] {
        engine.act(&format!("produce p1 orders key=\"{key}\" value=here")).unwrap();
        engine.act("run 300ms").unwrap();
        let (partition, _) = client::partition_of_key(key.as_bytes(), 3);
        let view = engine.view();
        let found = view.partitions.iter().find(|it| it.records.iter().any(|it| it.key.as_deref() == Some(key)));
        assert_eq!(found.map(|it| it.partition), Some(partition), "{key}");
    }
}

#[test]
fn seeking_shows_what_was_there_and_acting_in_the_past_keeps_both_futures() {
    let mut engine = room();
    let end = engine.view();
    engine.seek(200);
    assert_eq!(engine.view().event, 200);
    engine.act("kill b1").unwrap();
    engine.act("run 500ms").unwrap();
    let changed = engine.view();
    assert_eq!((changed.branch, changed.branches.len(), changed.branches[1].forked_at), (1, 2, Some(200)));
    assert_eq!(changed.brokers[0].state, State::Down);
    let ghosts = |view: &View| {
        view.partitions.iter().all(|it| it.leader.is_none() && it.records.len() as i64 >= it.high_watermark)
    };
    assert!(ghosts(&changed), "what was in the logs stays in sight");
    engine.ghosts.clear();
    assert_eq!((engine.view().hash, ghosts(&engine.view())), (changed.hash.clone(), true), "also to who did not look");
    assert!(engine.switch(0));
    assert_eq!(engine.view().hash, end.hash);
}

/// Its name, its end, and the offsets in sight, of each partition.
fn in_sight(view: &View) -> Vec<(String, i64, Vec<i64>)> {
    let offsets = |it: &Partition| it.records.iter().map(|it| it.offset).collect();
    view.partitions.iter().map(|it| (it.name.clone(), it.leader_epoch.into(), offsets(it))).collect()
}

#[test]
fn what_a_torn_power_cut_left_for_certain_stays_in_sight() {
    let mut engine = room();
    for line in ["stop b1", "run 2s", "start b1", "run 2s"] {
        engine.act(line).unwrap();
    }
    let before = engine.view();
    assert!(before.partitions.iter().all(|it| 0 < it.synced && it.leader_epoch > 0), "{:?}", in_sight(&before));
    engine.act("power-cut b1 torn").unwrap();
    let mut certain = in_sight(&before);
    for (partition, it) in certain.iter_mut().zip(&before.partitions) {
        partition.2.retain(|offset| *offset < it.synced);
    }
    assert_eq!(in_sight(&engine.view()), certain);
}

#[test]
fn a_broker_that_ends_by_itself_leaves_what_it_had_then() {
    let mut engine = room();
    for line in ["kill b1", "start b1", "run 2s", "disk-error b1 write"] {
        engine.act(line).unwrap();
    }
    let mut before = engine.view();
    while engine.view().brokers[0].state.runs() {
        before = engine.view();
        assert!(engine.step());
    }
    assert!(before.partitions.iter().all(|it| !it.records.is_empty()));
    assert_eq!(in_sight(&engine.view()), in_sight(&before), "and not what it had when it was killed");
}

#[test]
fn what_compaction_took_is_out_of_sight() {
    let scenario = "seed 32\nbroker b1 log.cleaner.backoff.ms=1000\n\
        topic accounts partitions=1 cleanup.policy=compact segment.ms=1000 min.cleanable.dirty.ratio=0.01\n\
        producer p1 linger.ms=0\nproduce p1 accounts key=a value=1\nrun 2s\nproduce p1 accounts key=a value=2\nrun 2s\n\
        produce p1 accounts key=b value=3\nrun until acked p1 3\n";
    let mut engine = Engine::new(scenario).unwrap();
    let (mut cleaned, mut windows) = (0, 0);
    for _ in 0..40 {
        let looked = in_sight(&engine.view());
        let window = engine.records("accounts-0", 0, 3);
        engine.tails = Tails::default();
        assert_eq!(looked, in_sight(&engine.view()));
        engine.windows.clear();
        assert_eq!(window, engine.records("accounts-0", 0, 3));
        cleaned += usize::from(looked[0].2 == [1, 2]);
        windows += usize::from(window.len() == 3);
        engine.run_until(engine.history.world().clock().0 + 100_000).unwrap();
    }
    assert!(cleaned > 0 && windows > 0, "it was looked at before and after: {cleaned}, {windows}");
}

#[test]
fn of_a_cluster_every_replica_is_in_sight() {
    let cluster = "seed 7\nbroker b1\nbroker b2\nbroker b3\nrun 5s\ntopic orders partitions=2\nproducer p1 acks=all\n\
        run 1s\nload p1 orders every=20ms keys=5 size=0\nrun 3s\nunload p1\nrun 1s\n";
    let mut engine = Engine::new(cluster).unwrap();
    let view = engine.view();
    assert_eq!(view.brokers.iter().filter(|it| it.quorum_epoch.is_some()).count(), 1);
    assert_eq!(view.partitions.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["orders-0", "orders-1"]);
    for partition in &view.partitions {
        assert!(partition.leader.is_some() && partition.isr.len() == 3 && partition.log_end > 0, "{partition:?}");
        for replica in &partition.replicas {
            assert!(replica.is_there && replica.records == partition.records, "{replica:?}");
        }
    }
    let leader = view.partitions[0].leader.clone().unwrap();
    engine.act(&format!("kill {leader}")).unwrap();
    engine.act("run 20s").unwrap();
    let after = &engine.view().partitions[0];
    assert!(after.leader_epoch > view.partitions[0].leader_epoch && after.isr.len() == 2, "{after:?}");
    assert!(after.leader.is_some() && after.leader != view.partitions[0].leader);
    let ghost = after.replicas.iter().find(|it| it.broker == leader).unwrap();
    assert!(!ghost.is_there && ghost.records == view.partitions[0].records, "what it had stays in sight");
}

#[test]
fn who_is_to_blame_had_to_do_with_it() {
    let blamed = |lines: &[&str], who: &str| {
        let mut engine = room();
        for line in lines {
            engine.act(line).unwrap();
        }
        for _ in 0..20_000 {
            let sentence = engine.view().sentence;
            if sentence.starts_with(who) && sentence.contains("loses its connection") {
                return engine.why().pop().map(|it| (it.what, it.end));
            }
            assert!(engine.step());
        }
        None
    };
    let action = |line: &str| Some((line.to_owned(), Some(crate::why::End::Action)));
    let lost = "drop next response of Produce to p1";
    assert_eq!(blamed(&[lost, "kill p3"], "p1"), action(lost), "p3's death broke nothing of p1's");
    assert_eq!(blamed(&["kill b1"], "A"), action("kill b1"));
    assert_eq!(blamed(&["disk-error b1 write", "pause p3"], "A"), action("disk-error b1 write"));
}

#[test]
fn a_line_that_is_wrong_says_where_and_changes_nothing() {
    let mut engine = room();
    let before = engine.view();
    for (line, said) in [
        ("kill", "column 5: expected a process's name, found the end of the line"),
        ("kill b9", "there is no process b9; there are A, B, b1, p1, p2, p3"),
        ("start b1", "b1 runs already"),
        (
            "seed 3",
            "the world was made already, and what is told is for files: here an action, “run” or a question can be asked for",
        ),
    ] {
        assert_eq!(engine.act(line).unwrap_err(), said, "{line}");
    }
    assert_eq!(engine.view().hash, before.hash);
}

#[test]
fn looking_often_and_looking_once_show_the_same() {
    let (mut often, mut once) = (room(), room());
    for engine in [&mut often, &mut once] {
        for producer in ["p1", "p2", "p3"] {
            engine.act(&format!("load {producer} orders every=3ms keys=5 size=0")).unwrap();
        }
    }
    let script = [(400, "power-cut b1"), (100, "start b1"), (900, "kill b1"), (50, "start b1"), (600, "run 1ms")];
    for (steps, line) in script {
        for _ in 0..steps {
            often.step();
            once.step();
            often.view();
        }
        once.tails = Tails::default();
        assert!(often.view() == once.view(), "before {line}");
        often.act(line).unwrap();
        once.act(line).unwrap();
    }
}

#[test]
fn a_search_stops_where_it_came() {
    let mut engine = room();
    let expect = |engine: &mut Engine, line: &str| {
        let (until, _) = engine.far(line).unwrap();
        engine.expect(until);
    };
    expect(&mut engine, "run until next records within 30s");
    let before: u64 = engine.view().clients.iter().map(|it| it.consumed).sum();
    assert!(engine.search(|| true).unwrap().is_ok());
    assert!(engine.view().clients.iter().map(|it| it.consumed).sum::<u64>() > before);
    expect(&mut engine, "run until next finding within 30s");
    assert_eq!(engine.search(|| true), Some(Err("not within 30s: next finding".to_owned())));
}

/// What a consumer's card says is what its mark and the high watermark say, whatever its last answer told.
#[test]
fn what_is_yet_to_be_read_is_the_way_from_the_position_to_the_high_watermark() {
    let mut engine = Engine::new("3").unwrap();
    let mut behind = 0;
    for _ in 0..3_000 {
        engine.step();
        let view = engine.view();
        for it in view.clients.iter().flat_map(|it| &it.positions) {
            let end = view.partitions.iter().find(|partition| partition.name == it.partition).unwrap().high_watermark;
            assert_eq!(it.lag, it.offset.map(|at| end - at), "{it:?}");
            behind += it.lag.unwrap_or(0);
        }
    }
    assert!(behind > 0);
}

#[test]
fn what_a_client_is_set_to_is_its_own_configuration() {
    let mut engine = Engine::new("1").unwrap();
    for line in ["producer p8 acks=1", "producer p9", "consumer c9 group.id=g auto.offset.reset=earliest"] {
        engine.act(line).unwrap();
    }
    let said = |name: &str, is_consumer: bool| {
        let all = engine.settings(name, is_consumer).into_iter().map(|(key, value)| format!("{key}={value}"));
        all.collect::<Vec<_>>().join(" ")
    };
    let all = "retries=2147483647 delivery.timeout.ms=120000";
    assert_eq!(said("p8", false), format!("acks=1 enable.idempotence=false linger.ms=5 {all}"));
    assert_eq!(said("p9", false), format!("acks=all enable.idempotence=true linger.ms=5 {all}"));
    let expected = "auto.offset.reset=earliest isolation.level=read_uncommitted enable.auto.commit=true";
    assert_eq!(said("c9", true), format!("group.id=g, classic {expected}"));
    assert_eq!((said("b1", false), said("nobody", true)), (String::new(), String::new()));
}

/// What is right and only takes time is known before it has passed, and looking ahead changes nothing.
#[test]
fn a_goal_that_only_takes_time_is_seen_coming() {
    let mut engine = Engine::new("1").unwrap();
    engine.act("producer p9").unwrap();
    let goals = [Condition::Acked("p9".into(), 1)];
    assert_eq!(engine.will_hold(&goals, 5_000_000), None);
    engine.act("produce p9 orders value=x").unwrap();
    let (event, hash) = (engine.history().world().events(), engine.history().world().hash());
    let at = engine.will_hold(&goals, 5_000_000).unwrap();
    assert_eq!((engine.history().world().events(), engine.history().world().hash()), (event, hash));
    assert!(!engine.holds(&goals)[0]);
    engine.seek_time(at);
    assert!(engine.holds(&goals)[0]);
}

#[test]
fn time_passes_in_slices() {
    let (mut sliced, mut whole) = (room(), room());
    sliced.expect(Until::Time(2_000_000));
    let mut slices = 1;
    while sliced.search(|| false).is_none() {
        slices += 1;
    }
    assert!(slices > 1);
    whole.act("run 2s").unwrap();
    assert_eq!(sliced.clock(), whole.clock());
    assert!(sliced.view() == whole.view());
}

/// However long a line waits, a frame that has no time ends soon.
#[test]
fn a_line_that_waits_long_is_waited_for_in_slices() {
    let mut engine = room();
    let acked = |records: u64| Condition::Acked("p1".into(), records);
    let slow = [
        ("run 5m", Until::Time(300_000_000)),
        ("run until acked p1 999999999 within 600m", Until::Holds(acked(999_999_999).into(), 36_000_000_000)),
        ("run to event 999999999", Until::Event(999_999_999)),
    ];
    for (line, until) in slow {
        assert_eq!(engine.far(line), Some((until.clone(), false)), "{line}");
        engine.expect(until);
        let before = engine.clock();
        assert!(engine.waits() && engine.search(|| false).is_none() && engine.clock() > before, "{line}");
        engine.give_up();
    }
    let at = engine.clock() + 3_600_000_000;
    assert_eq!(engine.far(&format!("at {at}us kill b1")), Some((Until::Time(3_600_000_000), true)));
    for line in ["kill b1", "run 5m\nrun 1s", "run 5s", "run until acked p1 1", "run to event 1"] {
        assert_eq!(engine.far(line), None, "{line}");
    }
    // What comes is seen when it does, and what does not is said.
    let search = |engine: &mut Engine, line: &str| {
        let (until, _) = engine.far(line).unwrap();
        engine.expect(until);
        engine.search(|| true).unwrap()
    };
    let ok = engine.view().clients.iter().find(|it| it.name == "p1").unwrap().ok;
    let (begun, awaited) = (engine.clock(), acked(ok + 5));
    assert!(!engine.history().world().holds(&awaited));
    search(&mut engine, &format!("run until {awaited} within 600m")).unwrap();
    assert!(engine.history().world().holds(&awaited) && engine.clock() < begun + 10_000_000);
    let wanted = engine.history().world().events() + 30_000;
    search(&mut engine, &format!("run to event {wanted}")).unwrap();
    assert_eq!(engine.history().world().events(), wanted);
    let begun = engine.clock();
    let error = search(&mut engine, "run until acked p1 999999999 within 91s").unwrap_err();
    assert_eq!((&*error, engine.clock()), ("not within 91s: acked p1 999999999", begun + 91_000_000));
}

#[test]
fn time_that_is_less_than_a_microsecond_adds_up() {
    let mut engine = room();
    let before = engine.view().time_us;
    for _ in 0..10 {
        engine.advance(0.25, || true);
    }
    assert_eq!(engine.view().time_us, before + 2);
}

/// A frame that has time for few events: what it owes is made good by the next ones, at most as much again as each is asked for.
#[test]
fn what_a_frame_had_no_time_for_is_made_good_while_it_plays() {
    let mut engine = room();
    let begun = engine.clock();
    engine.advance(1_000_000.0, || false);
    let owed = begun + 1_000_000 - engine.clock();
    assert!(owed > 20_000, "{owed}");
    let clock = engine.clock();
    engine.advance(10_000.0, || true);
    assert_eq!(engine.clock(), clock + 20_000, "twice as much, and the rest is left out");
    engine.advance(10_000.0, || true);
    assert_eq!(engine.clock(), clock + 30_000, "nothing is owed any more");
    // Who goes elsewhere, or moves anew, owes nothing.
    let leave: [fn(&mut Engine); 2] = [|it| it.seek(it.history().known()), Engine::give_up];
    for leave in leave {
        engine.advance(1_000_000.0, || false);
        leave(&mut engine);
        let clock = engine.clock();
        engine.advance(10_000.0, || true);
        assert_eq!(engine.clock(), clock + 10_000);
    }
}

#[test]
fn old_records_are_there_and_their_bytes_too() {
    let mut engine = room();
    for producer in ["p1", "p2", "p3"] {
        engine.act(&format!("load {producer} orders every=3ms keys=5 size=0")).unwrap();
    }
    engine.act("run 2s").unwrap();
    let view = engine.view();
    let partition = view.partitions.iter().max_by_key(|it| it.log_end).unwrap();
    assert!(partition.records[0].offset > 200, "more than is kept at hand");
    let all = engine.records(&partition.name, 0, partition.log_end);
    assert_eq!(all.iter().map(|it| it.offset).collect::<Vec<_>>(), (0..partition.log_end).collect::<Vec<_>>());
    assert_eq!(engine.record(&partition.name, 7).as_ref(), all.get(7));
    assert_eq!(engine.records(&partition.name, partition.log_end, i64::MAX).len(), 0);
    let rows = &engine.explain_record(&partition.name, 7)[0].rows;
    assert_eq!((&*rows[1].name, rows[1].from, rows[1].to), ("BaseOffset", 0, 8));
    assert_eq!(rows[1].value, all[7].base_offset.to_string());
    assert_eq!(engine.explain_record("orders-9", 0), []);
    assert_eq!(engine.explain_record("nonsense", 0), []);
}

#[test]
fn every_message_on_its_way_has_its_bytes() {
    let mut engine = room();
    let mut seen = 0;
    for _ in 0..60 {
        engine.step();
        for message in engine.view().messages {
            let sheet = engine.explain_message(&message.id).remove(0);
            let rows = &sheet.rows;
            assert!(sheet.owners().iter().all(Option::is_some), "{message:?}: each byte is of a field");
            assert!(rows.len() > 3 && rows.iter().all(|it| it.name != "no further"), "{message:?}: {rows:?}");
            seen += 1;
        }
    }
    assert!(seen > 60);
    assert_eq!(engine.explain_message("0/0/request"), []);
}

#[test]
fn records_of_the_quorum_and_of_groups_have_fields() {
    let mut engine = Engine::new(include_str!("../../group.scenario")).unwrap();
    let has =
        |sheets: &[crate::bytes::Sheet], name: &str| sheets.iter().any(|it| it.rows.iter().any(|it| it.name == name));
    let end = engine.quorum(None, 1)[0].end;
    let mut names = Vec::new();
    for offset in 0..end {
        let sheets = engine.explain_entry(offset);
        let rows = &sheets[0].rows;
        names.extend(
            ["TopicRecord", "PartitionRecord", "LeaderChangeMessage"].into_iter().filter(|it| has(&sheets, it)),
        );
        let values = rows.iter().enumerate().filter(|(_, it)| it.name == "Value" && it.kind == "VARINT_BYTES");
        for (at, row) in values {
            assert!(rows.get(at + 1).is_some_and(|it| it.depth > row.depth), "{offset}: {row:?}");
        }
    }
    ordered::sort(&mut names);
    names.dedup();
    assert_eq!(names, ["LeaderChangeMessage", "PartitionRecord", "TopicRecord"]);
    let view = engine.view();
    let log = view.partitions.iter().find(|it| it.topic == look::GROUPS && it.log_end > 0).unwrap();
    let keys: Vec<String> = log.records.iter().filter_map(|it| it.key.clone()).collect();
    assert!(keys.iter().any(|it| it.starts_with("shop orders-")), "{keys:?}");
    for record in log.records.iter() {
        let sheets = engine.explain_record(&log.name, record.offset);
        assert!(has(&sheets, "RecordType") && !has(&sheets, "no further"), "{record:?}");
    }
}

#[test]
fn what_is_selected_says_what_led_to_it() {
    let mut engine = room();
    // Nobody else says anything.
    for line in ["unload p1", "unload p2", "unload p3", "run 2s"] {
        engine.act(line).unwrap();
    }
    engine.act("produce p1 orders partition=0 key=eva value=yours").unwrap();
    while !engine.view().messages.iter().any(|it| it.from == "p1" && it.what == "Produce") {
        assert!(engine.step());
    }
    let before = engine.view();
    let message = before.messages.iter().find(|it| it.from == "p1").unwrap();
    let led = engine.why_message(&message.id);
    assert_eq!(led.last().unwrap().what, "produce p1 orders partition=0 key=eva value=yours");
    assert_eq!(engine.why_message("0/0/request"), []);
    let process = engine.why_process("b1");
    assert!(process[0].what.contains("b1") && process[0].event <= before.event, "{process:?}");
    assert!(engine.view() == before, "asking changes nothing");
    engine.act("run 1s").unwrap();
    let before = engine.view();
    let log = &before.partitions[0];
    let mine = log.records.iter().rfind(|it| it.value.as_deref() == Some("yours")).unwrap();
    let led = engine.why_record(&format!("b1/{}", log.name), mine.offset);
    assert!(led[0].what.contains("b1 gets Produce from p1"), "{led:?}");
    assert!(led.iter().any(|it| it.what.ends_with("value=yours")), "{led:?}");
    assert!(engine.view() == before, "asking changes nothing");
}

#[test]
fn branches_have_names_and_part_somewhere() {
    let mut engine = room();
    let half = engine.view().event / 2;
    engine.seek(half);
    engine.act("kill b1").unwrap();
    engine.act("run 1s").unwrap();
    engine.rename("b1 dies");
    let view = engine.view();
    assert_eq!(view.branches.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["main", "b1 dies"]);
    let ghost = view.partitions[0].records.len();
    assert!(ghost > 0, "what a broker had is remembered by the branch's new name");
    let found = engine.history().compare("main", "b1 dies").unwrap();
    assert!(found.same_until + 1 >= half && found.then[0] != found.then[1], "{found:?}");
}

#[test]
fn a_branch_that_is_made_later_has_a_name_of_its_own() {
    let mut engine = room();
    engine.branch_off();
    engine.rename("branch-2");
    engine.branch_off();
    let names: Vec<String> = engine.branches().1.iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(names, ["main", "branch-2", "branch-3"]);
    for number in 0..names.len() {
        assert!(engine.switch(number));
        assert_eq!(engine.branches().0, number);
    }
}

#[test]
fn causes_lead_back_to_what_a_person_did() {
    let mut engine = room();
    engine.act("run until next records").unwrap();
    let before = engine.view();
    let chain = engine.why();
    assert!(engine.view() == before, "asking changes nothing");
    assert_eq!(chain[0].event, before.event);
    let last = chain.last().unwrap();
    assert_eq!(last.end, Some(crate::why::End::Action), "{chain:#?}");
    assert!(last.what.starts_with("load p"), "{chain:?}");
    assert!(chain.windows(2).all(|it| it[1].event < it[0].event), "{chain:?}");
    engine.act("kill b1").unwrap();
    let chain: Vec<_> = engine.why().into_iter().map(|it| (it.what, it.end)).collect();
    assert_eq!(
        chain,
        [("kill b1".to_owned(), Some(crate::why::End::Action))],
        "what was just done is what is asked for"
    );
    assert!(engine.step());
    assert_ne!(engine.why()[0].what, "kill b1");
    engine.seek(0);
    assert_eq!(engine.why(), []);
}

#[test]
fn more_nodes_than_there_is_room_for_are_refused() {
    let brokers: String = (1..=65).map(|it| format!("broker b{it} process.roles=broker\n")).collect();
    let refused = Engine::new(&format!("seed 1\nbroker k1 process.roles=controller\n{brokers}")).err();
    assert_eq!(refused.as_deref(), Some("66 brokers: the lab has room for 64"));
}

#[test]
fn of_too_many_ticks_those_go_of_which_there_are_most() {
    let mut ticks = Ticks::default();
    for event in 0..3 * TICKS as u64 {
        ticks.note(Tick { event, kind: if event % 1_000 == 7 { Kind::Election } else { Kind::Ack } });
    }
    assert!(ticks.list.len() <= TICKS);
    let elections = ticks.list.iter().filter(|it| it.kind == Kind::Election).count();
    assert_eq!(elections, 3 * TICKS / 1_000, "none is forgotten");
    assert!(ticks.list.is_sorted_by_key(|it| it.event));
    assert!(ticks.list.iter().filter(|it| it.kind == Kind::Ack).count() > TICKS / 4);
}

#[test]
fn a_broker_that_starts_has_what_its_disk_has_until_its_logs_are_open() {
    for (end, keeps) in [("kill b2", true), ("power-cut b2", false)] {
        let mut engine = Engine::new("3").unwrap();
        let copy = |engine: &mut Engine| {
            let view = engine.view();
            view.partitions[0].replicas.iter().find(|it| it.broker == "b2").unwrap().clone()
        };
        let before = copy(&mut engine);
        for line in [end, "run 100ms", "start b2"] {
            engine.act(line).unwrap();
        }
        let after = copy(&mut engine);
        assert!(!after.is_there, "its log is not open yet");
        let expected = if keeps { before.log_end } else { before.synced };
        assert_eq!(after.log_end, expected, "{end}: {after:?}");
        assert_eq!(after.records.len() as i64, expected - before.log_start.min(expected));
    }
}

#[test]
fn a_time_is_gone_to_and_back_and_is_the_same_moment() {
    let mut engine = room();
    let start = engine.clock();
    engine.act("kill b1").unwrap();
    engine.seek_time(start + 700_000);
    let there = engine.view();
    engine.seek_time(start + 2_000_000);
    engine.seek_time(start - 300_000);
    assert_eq!(engine.clock(), start - 300_000);
    engine.seek_time(start + 700_000);
    let again = engine.view();
    assert_eq!((again.time_us, again.event, &again.hash), (there.time_us, there.event, &there.hash));
    assert_eq!((&again.brokers, &again.clients), (&there.brokers, &there.clients));
    assert!(again.partitions == there.partitions && again.messages == there.messages);
}

#[test]
fn the_files_in_sight_are_the_leaders_unless_somebody_chose() {
    let mut engine = Engine::new("3").unwrap();
    let mut files = crate::room::files::Sight::default();
    files.settle(&engine.view());
    assert_eq!((&*files.partition, &*files.broker), ("orders-0", "b1"));
    for line in ["kill b1", "run 2s"] {
        engine.act(line).unwrap();
    }
    files.settle(&engine.view());
    let leader = engine.view().partitions[0].leader.clone().unwrap();
    assert_eq!(files.broker, leader, "another one leads");
    (files.broker, files.is_chosen) = ("b1".to_owned(), true);
    files.settle(&engine.view());
    assert_eq!(files.broker, "b1", "what somebody chose stays");
}

/// In frames in which nothing else is looked at, what moves is where a whole look has it.
#[test]
fn a_glance_sees_what_moves_as_a_look_does() {
    let mut engine = Engine::new(ROOM).unwrap();
    engine.seek(100);
    let mut view = engine.view();
    let mut moving = 0;
    for _ in 0..200 {
        engine.step();
        engine.glance(&mut view);
        let whole = engine.view();
        assert_eq!((view.time_us, &view.messages), (whole.time_us, &whole.messages));
        moving += whole.messages.len();
    }
    assert!(moving > 0);
}
