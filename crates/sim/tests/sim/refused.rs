//! What the cluster refuses is told with its code, and fails the line that did not expect it.

use sim::script::{Scenario, Wrong};

const ROOM: &str = "seed 1\nbroker b1\nrun until serving b1\ntopic orders partitions=2\n";

/// What is asked, and what Apache Kafka says to it.
const REFUSED: [(&str, &str, &str); 10] = [
    ("topic orders", "TOPIC_ALREADY_EXISTS", "Topic 'orders' already exists."),
    ("topic bad/name", "INVALID_TOPIC_EXCEPTION", "bad/name"),
    ("topic t replication=9", "INVALID_REPLICATION_FACTOR", "9"),
    ("topic t foo.bar=1", "INVALID_CONFIG", "foo.bar"),
    ("alter nosuch retention.ms=1", "UNKNOWN_TOPIC_OR_PARTITION", ""),
    ("alter orders foo.bar=1", "INVALID_CONFIG", "foo.bar"),
    ("alter orders retention.ms=soon", "INVALID_CONFIG", "soon"),
    ("partitions orders 1", "INVALID_PARTITIONS", "2"),
    ("delete topic nosuch", "UNKNOWN_TOPIC_OR_PARTITION", ""),
    ("delete records orders-0 before 9999", "OFFSET_OUT_OF_RANGE", ""),
];

#[test]
fn a_line_that_the_cluster_refuses_fails_with_its_code_and_message() {
    for (line, code, words) in REFUSED {
        let played = Scenario::parse(&format!("{ROOM}{line}\nrun 1s\n")).unwrap().play().unwrap();
        let [failure] = &played.failures[..] else { panic!("{line}: {:?}", played.failures) };
        assert_eq!((failure.line, failure.wrong), (5, Wrong::Refused), "{line}");
        assert!(failure.what.starts_with(&format!("{code}: ")) && failure.what.contains(words), "{line}: {failure}");
        assert!(
            played.transcript.contains(&format!("admin: it is refused: {}", failure.what)),
            "{}",
            played.transcript
        );
    }
}

#[test]
fn a_refusal_that_is_expected_is_no_failure_and_its_absence_is_one() {
    for (line, code, _) in REFUSED {
        let play = |what: &str| Scenario::parse(&format!("{ROOM}refused {what}\n")).unwrap().play().unwrap().failures;
        assert_eq!(play(&format!("{code} {line}")), [], "{line}");
        let other = play(&format!("NOT_CONTROLLER {line}"));
        assert!(other[0].what.ends_with(", expected NOT_CONTROLLER") && other[0].wrong == Wrong::NotMet, "{other:?}");
        let done = play("TOPIC_ALREADY_EXISTS topic other");
        assert_eq!(done[0].what, "it was done, expected TOPIC_ALREADY_EXISTS");
    }
}

/// Whoever stands still may yet do what it was asked for.
#[test]
fn what_nobody_knows_is_no_refusal() {
    for expected in ["", "refused REQUEST_TIMED_OUT "] {
        let text = format!("{ROOM}pause b1\n{expected}topic t\nrun 90s\n");
        let played = Scenario::parse(&text).unwrap().play().unwrap();
        let failure = played.failures.last().unwrap();
        assert_eq!((failure.line, failure.wrong), (6, Wrong::NotMet), "{failure}");
        assert!(failure.what.starts_with("nobody knows whether it is done: "), "{failure}");
        assert!(!played.transcript.contains("it is refused"), "{}", played.transcript);
    }
}

#[test]
fn a_code_that_there_is_not_is_no_code() {
    for code in ["TOPIC_EXISTS", "NONE", "TimedOut"] {
        let error = Scenario::parse(&format!("{ROOM}refused {code} topic orders\n")).unwrap_err();
        assert!(error.to_string().contains("an error code such as TOPIC_ALREADY_EXISTS"), "{error}");
    }
}

/// Nobody waits for the answer to what is done at a time; it counts when it comes.
#[test]
fn what_is_asked_at_a_time_fails_its_line_too() {
    let text = format!("{ROOM}at 20s topic orders\nrun 1s\nexpect end orders-0 = 0\n");
    let failures = Scenario::parse(&text).unwrap().play().unwrap().failures;
    assert_eq!((failures.len(), failures[0].line), (1, 5), "{failures:?}");
}

/// A recording plays what happened: what was refused then is refused again.
#[test]
fn a_recorded_run_with_a_refusal_plays_again() {
    let played = Scenario::parse(&format!("{ROOM}topic orders\nrun 100ms\n")).unwrap().play().unwrap();
    assert_eq!(played.failures.len(), 1);
    let world = played.history.world();
    let again = Scenario::of(&played.history.run(), world.events()).play().unwrap();
    assert_eq!((again.failures.len(), again.history.world().hash()), (0, world.hash()));
    assert!(again.transcript.contains("it is refused: TOPIC_ALREADY_EXISTS"), "{}", again.transcript);
}

#[test]
fn the_event_that_brings_a_refusal_says_so() {
    let mut history = Scenario::parse(ROOM).unwrap().play().unwrap().history;
    let sim::script::Step::Do(action) = Scenario::parse("topic orders").unwrap().steps.remove(0).1 else { panic!() };
    history.act(action).unwrap();
    assert!(history.step());
    while history.world().admin_told().next().is_none() {
        assert!(history.step());
    }
    assert_eq!(
        history.world().narrate(),
        "admin gets the answer to CreateTopics; an operation is settled: failed, TOPIC_ALREADY_EXISTS: Topic 'orders' already exists."
    );
}
