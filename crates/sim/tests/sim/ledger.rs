//! The ledger says of each operation who asked for what, when, what they were told, and what became of it.

#![allow(clippy::disallowed_methods, reason = "a test reads its files")]

use sim::History;
use sim::check::{Became, Told, Verdict};
use sim::operations::{Ledger, Operation, Which};
use sim::script::{Scenario, Step};

const ROOM: &str =
    "seed 1\nbroker b1\nrun until serving b1\ntopic orders partitions=1\nproducer p1 acks=1 linger.ms=0\n";

fn played(text: &str) -> History {
    Scenario::parse(text).expect("it reads").play().expect("it plays").history
}

fn ledger(history: &History, which: Which) -> Ledger {
    history.world().ledger(which, u64::MAX, 100)
}

fn of<'a>(ledger: &'a Ledger, client: &str) -> Vec<&'a Operation> {
    ledger.operations.iter().filter(|it| &*it.client == client).collect()
}

#[test]
fn a_record_that_is_acknowledged_has_its_place_and_its_steps() {
    let mut history = played(&format!("{ROOM}produce p1 orders value=a\nrun until acked p1 1\n"));
    let ledger = ledger(&history, Which::All);
    let [record] = of(&ledger, "p1")[..] else { panic!("{ledger:?}") };
    assert_eq!((&*record.what, record.told, record.became), ("record 0", Told::Ok, Some(Became::There)));
    let place = record.place.as_ref().map(|it| format!("{} {}", it.0, it.1));
    assert_eq!((place.as_deref(), &*record.why), (Some("orders-0 0"), ""));
    let (asked, settled) = (record.asked, record.settled.unwrap());
    history.seek(asked);
    assert_eq!(history.world().narrate(), "The application of p1 asks: send.");
    let before = history.world().ledger(Which::All, u64::MAX, 9);
    assert_eq!(
        (of(&before, "p1")[0].told, before.pending),
        (Told::Pending, 1),
        "the ledger is of the moment that is looked at"
    );
    history.seek(settled);
    assert!(history.world().narrate().contains("p1 gets the answer to Produce"), "{}", history.world().narrate());
}

/// Told ok by its leader alone, which died: its settings allow that, and the step that showed it is named.
#[test]
fn an_acknowledged_record_that_is_lost_says_when_and_with_which_verdict() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/01-acks-1-loss-on-a-clean-failover.scenario");
    let history = played(&std::fs::read_to_string(path).unwrap());
    let finding = history.world().checks().findings().iter().find(|it| it.acked > 0).unwrap();
    let lost = ledger(&history, Which::Lost);
    assert_eq!((lost.lost, lost.operations.len() as u64), (finding.acked, finding.acked));
    for it in &lost.operations {
        assert_eq!(
            (it.told, it.became),
            (Told::Ok, Some(Became::Lost(Some(finding.event), Verdict::Allowed))),
            "{it:?}"
        );
    }
    assert!(ledger(&history, Which::All).operations.iter().any(|it| it.became == Some(Became::There)));
}

/// In a still room nobody has heard of what is asked for, and whose process is killed at the same moment never does.
#[test]
fn what_nobody_has_heard_yet_is_the_newest() {
    let mut history =
        played(&format!("{ROOM}produce p1 orders value=a\nrun until acked p1 1\nconsumer c1 group.id=g\n"));
    let act = |history: &mut History, line: &str| {
        let Step::Do(action) = Scenario::parse(line).unwrap().steps.remove(0).1 else { panic!("{line}") };
        history.act(action).unwrap();
    };
    for line in ["produce p1 orders value=b", "produce p1 orders value=c", "commit c1 orders-0 1"] {
        act(&mut history, line);
    }
    let events = history.world().events();
    let newest = |history: &History| {
        let rows = ledger(history, Which::All).operations;
        rows.iter().take(4).map(|it| (it.what.clone(), it.asked, it.told)).collect::<Vec<_>>()
    };
    let (next, first) = (events + 1, newest(&history)[3].1);
    let row = |what: &str, asked: u64, told: Told| (what.to_owned(), asked, told);
    assert!(first <= events);
    assert_eq!(
        newest(&history),
        [
            row("record 2", next, Told::Pending),
            row("record 1", next, Told::Pending),
            row("commit", next, Told::Pending),
            row("record 0", first, Told::Ok)
        ]
    );
    // The first page has all of what is asked for at once, so that the next one begins before it.
    assert_eq!(history.world().ledger(Which::All, u64::MAX, 1).operations.len(), 3);
    assert_eq!(history.world().ledger(Which::All, next, 1).operations[0].what, "record 0");
    for name in ["p1", "c1"] {
        act(&mut history, &format!("kill {name}"));
    }
    assert_eq!(
        newest(&history),
        [
            row("record 2", events, Told::Unknown),
            row("record 1", events, Told::Unknown),
            row("commit", events, Told::Unknown),
            row("record 0", first, Told::Ok)
        ]
    );
    assert_eq!(ledger(&history, Which::Unknown).operations.len(), 3);
}

/// A load's record is heard of as soon as there is one, and may overtake what a person asked for.
#[test]
fn who_is_overtaken_is_on_a_page_too() {
    let text = format!(
        "{ROOM}load p1 orders every=5ms count=5\nproduce p1 orders value=a\nproduce p1 orders value=b\nrun until acked p1 7\n"
    );
    let world = played(&text).world().clone();
    let (mut before, mut seen) = (u64::MAX, Vec::new());
    while let Some(row) = world.ledger(Which::All, before, 1).operations.pop() {
        before = row.asked;
        seen.extend((&*row.client == "p1").then_some(row.what));
    }
    let records = [6, 5, 4, 3, 1, 0, 2].map(|it| format!("record {it}"));
    assert_eq!(seen, records);
}

#[test]
fn who_is_never_answered_knows_nothing_and_why() {
    let history =
        played(&format!("{ROOM}drop next response of Produce to p1\nproduce p1 orders value=a\nrun 5ms\nkill p1\n"));
    let unknown = ledger(&history, Which::Unknown);
    let [record] = of(&unknown, "p1")[..] else { panic!("{unknown:?}") };
    assert_eq!((&*record.why, unknown.unknown), ("no answer: its process ended", 1));
    assert_eq!(record.became, Some(Became::There), "only the answer was lost");
}

#[test]
fn a_record_that_is_refused_has_its_code() {
    let text = format!(
        "{ROOM}producer p2 acks=all retries=0 enable.idempotence=false linger.ms=0\nalter orders max.message.bytes=10\nproduce p2 orders value=aaaaaaaaaaaaaaaaa\nrun 1s\n"
    );
    let history = played(&text);
    let failed = ledger(&history, Which::Failed);
    let [record] = of(&failed, "p2")[..] else { panic!("{failed:?}") };
    assert_eq!((&*record.why, record.became), ("MESSAGE_TOO_LARGE", Some(Became::Nowhere)));
}

#[test]
fn a_repeated_record_is_there_twice() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/26-duplicate-on-retry.scenario");
    let history = played(&std::fs::read_to_string(path).unwrap());
    let twice = ledger(&history, Which::Twice);
    assert!(
        !twice.operations.is_empty() && twice.operations.iter().all(|it| it.became == Some(Became::Twice)),
        "{twice:?}"
    );
}

#[test]
fn the_admin_and_the_consumers_are_in_it() {
    let text = format!(
        "{ROOM}consumer c1 group.id=g auto.offset.reset=earliest enable.auto.commit=false\nfollow c1 orders\nproduce p1 orders value=a\n\
         run until consumed c1 1\ncommit c1\nrun 1s\nrefused TOPIC_ALREADY_EXISTS topic orders\nrun 5s\n"
    );
    let history = played(&text);
    let all = ledger(&history, Which::All);
    let rows = |client: &str| {
        of(&all, client).iter().map(|it| (it.what.clone(), it.told, it.why.to_string())).collect::<Vec<_>>()
    };
    let (ok, none) = (Told::Ok, String::new());
    assert_eq!(
        rows("admin"),
        [
            ("CreateTopics orders".to_owned(), Told::Failed, "TOPIC_ALREADY_EXISTS".to_owned()),
            ("CreateTopics orders".to_owned(), ok, none.clone())
        ]
    );
    let c1 = rows("c1");
    assert!(c1.contains(&("commit orders-0 1".to_owned(), ok, none.clone())), "{c1:?}");
    assert!(c1.contains(&("poll: 1 from orders-0 0".to_owned(), ok, none)), "{c1:?}");
    assert!(c1.len() < 10, "polls that bring nothing are no entries: {c1:?}");
    assert_eq!(ledger(&history, Which::Failed).operations.len(), 1);
}

/// As `send` waits while `buffer.memory` is full.
#[test]
fn a_load_waits_for_what_its_producer_has_room_for() {
    let text = format!(
        "{ROOM}producer p2 linger.ms=0 buffer.memory=50000\npause b1\nload p2 orders every=1ms size=10000\nrun 1s\n"
    );
    let history = played(&text);
    let world = history.world();
    assert_eq!(world.checks().tally(world.pid("p2").unwrap()).sent, 5);
}

/// A reader that follows a load polls more often than there is room for.
#[test]
fn polls_leave_room_for_what_else_there_was() {
    let text = format!(
        "{ROOM}refused TOPIC_ALREADY_EXISTS topic orders\nconsumer c1 auto.offset.reset=earliest\nfollow c1 orders\n\
         load p1 orders every=5ms count=800\nrun until consumed c1 800 within 30s\nrun 1s\n"
    );
    let mut history = played(&text);
    let all = history.world().ledger(Which::All, u64::MAX, 10_000);
    let is_poll = |it: &&Operation| it.what.starts_with("poll: ");
    let (polls, sent) = (all.operations.iter().filter(is_poll).count() as u64, 800);
    assert!(all.ok - sent > polls + 10, "more polls than there is room for: {} and {polls}", all.ok);
    let failed = ledger(&history, Which::Failed);
    assert_eq!((failed.failed, failed.operations.len()), (1, 1), "the admin's is there");
    assert_eq!(of(&all, "admin").len(), 2);
    // What is asked last is pending, and counted as that.
    let Step::Do(action) = Scenario::parse("poll c1 100ms").unwrap().steps.remove(0).1 else { panic!() };
    history.act(action).unwrap();
    assert_eq!(ledger(&history, Which::All).pending, all.pending + 1);
}

#[test]
fn pages_follow_each_other_and_the_counts_are_of_all() {
    let history = played(&format!("{ROOM}load p1 orders every=2ms count=300\nrun until acked p1 300 within 30s\n"));
    let world = history.world();
    let (mut before, mut seen) = (u64::MAX, Vec::new());
    loop {
        let page = world.ledger(Which::All, before, 40);
        assert!(page.operations.is_sorted_by(|a, b| a.asked >= b.asked));
        assert_eq!((page.ok, page.pending), (301, 0));
        let Some(last) = page.operations.last() else { break };
        before = last.asked;
        seen.extend(page.operations);
    }
    seen.retain(|it| &*it.client == "p1");
    let names: Vec<String> = seen.iter().map(|it| it.what.clone()).collect();
    assert_eq!(names, (0..300).rev().map(|it| format!("record {it}")).collect::<Vec<_>>());
}
