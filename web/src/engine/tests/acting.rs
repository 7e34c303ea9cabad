//! What a line asks for, and what is answered.

use super::*;

#[test]
fn questions_and_times_are_lines_too() {
    let mut engine = room();
    engine.act("show leader orders-0").unwrap();
    engine.act("expect leader orders-0 = b1").unwrap();
    assert_eq!(
        (engine.take_said(), engine.take_said()),
        (vec!["b1".to_owned(), "so it is: b1".to_owned()], Vec::new())
    );
    assert_eq!(engine.act("expect leader orders-0 = b2"), Err("leader orders-0 is b1".to_owned()));
    let event = engine.view().event;
    engine.act(&format!("run to event {}", event + 500)).unwrap();
    assert_eq!(engine.view().event, event + 500);
    assert!(engine.act(&format!("run to event {event}")).unwrap_err().contains("is over"));
    let at = engine.clock() / 1_000 + 50;
    engine.act(&format!("at {at}ms pause b1")).unwrap();
    assert_eq!(engine.clock(), at * 1_000);
    let error = engine.act(&format!("at {}ms resume b1", at - 1)).unwrap_err();
    assert!(error.contains("is over"), "{error}");
    assert!(engine.act("after 1/2 3us kill b1").unwrap_err().contains("for scenarios in files"));
    assert_eq!(engine.act("kil b1").unwrap_err().split(':').next(), Some("column 1"));
}

/// What is asked in the room goes on while somebody looks on; what the cluster says to it is told when it comes.
#[test]
fn what_the_cluster_refuses_is_told_once_it_has_answered() {
    let mut engine = room();
    let refused = "TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.".to_owned();
    engine.act("topic orders").unwrap();
    assert_eq!(engine.take_refused(), Vec::<String>::new());
    engine.act("run 1s").unwrap();
    assert_eq!((engine.take_refused(), engine.take_refused()), (vec![refused.clone()], Vec::new()));
    engine.act("refused TOPIC_ALREADY_EXISTS topic orders").unwrap();
    assert_eq!(engine.take_said(), [format!("so it is: {refused}")]);
    let other = engine.act("refused INVALID_TOPIC_EXCEPTION topic orders").unwrap_err();
    assert_eq!(other, format!("{refused}, expected INVALID_TOPIC_EXCEPTION"));
}

/// Each answer is held against the line that asked for it, as in scenario files.
#[test]
fn what_was_asked_before_decides_nothing_about_what_is_expected_now() {
    let mut engine = room();
    engine.act("topic orders").unwrap();
    let error = engine.act("refused TOPIC_ALREADY_EXISTS topic fresh").unwrap_err();
    assert_eq!(error, "it was done, expected TOPIC_ALREADY_EXISTS");
    assert_eq!(engine.take_refused().len(), 1, "what was refused before is told all the same");
    engine.act("topic orders").unwrap();
    assert_eq!(engine.act("refused INVALID_PARTITIONS partitions orders 1"), Ok(()));
    assert!(engine.take_refused()[0].starts_with("TOPIC_ALREADY_EXISTS"));
    engine.act("topic orders").unwrap();
    assert_eq!(engine.act_and_hear("topic another"), Ok(()), "and about nothing that a script asks");
}

/// Who is full hears nothing: that is why there is no answer.
#[test]
fn who_waits_for_an_answer_and_is_full_says_so() {
    let mut engine = room();
    crate::memory::allow(0);
    let error = engine.act_and_hear("topic more").unwrap_err();
    assert!(error.contains("Stopped here"), "{error}");
}

/// A partition is told from a topic whose name it looks like.
#[test]
fn a_partition_is_explained_by_its_own_records() {
    let mut engine = room();
    for line in ["topic a partitions=2", "run 1s", "topic a-1", "run 1s"] {
        engine.act(line).unwrap();
    }
    let mut led = |name: &str| engine.why_partition(name).pop().unwrap().what;
    assert!(led("a-1").starts_with("topic a partitions=2"));
    assert!(led("a-1-0").starts_with("topic a-1 "));
}

/// A script is told at once, as `Lab.act` promises: the run stands where the answer came, and has the action in it.
#[test]
fn a_script_hears_what_the_cluster_answers() {
    let mut engine = room();
    let before = engine.view();
    assert_eq!(engine.act_and_hear("topic more partitions=2"), Ok(()));
    assert!(engine.view().time_us > before.time_us);
    let error = engine.act_and_hear("partitions more 1").unwrap_err();
    assert!(error.starts_with("INVALID_PARTITIONS: "), "{error}");
    assert!(engine.export().contains("partitions more 1"));
    let mut again = Engine::new(&engine.export()).unwrap();
    assert_eq!(again.view().hash, engine.view().hash);
    assert_eq!(engine.act_and_hear("kill b1"), Ok(()), "what asks nothing waits for nothing");
}

#[test]
fn what_is_waited_for_in_vain_leaves_the_run_where_the_wait_ended() {
    let mut engine = room();
    let (event, clock) = (engine.view().event, engine.clock());
    let error = engine.act("run until acked p1 999999999 within 5s").unwrap_err();
    assert_eq!(error, "not within 5s: acked p1 999999999");
    assert_eq!(engine.clock(), clock + 5_000_000);
    assert!(engine.view().event > event);
    engine.seek(event);
    assert_eq!(engine.view().event, event, "what was before is a step away");
}

/// A run that takes too much memory stops, says so, loses nothing, and goes on when it is told to.
#[test]
fn a_run_that_fills_the_memory_stops_and_says_so() {
    let mut engine = Engine::new("3").unwrap();
    for producer in ["p1", "p2", "p3"] {
        engine.act(&format!("load {producer} orders every=3ms keys=5 size=2000")).unwrap();
    }
    crate::memory::allow(3 << 20);
    let begun = engine.clock();
    let error = engine.act("run 60s").unwrap_err();
    assert!(error.contains("Stopped here, and nothing is lost"), "{error}");
    let stopped = (engine.clock(), engine.view().hash);
    assert!(stopped.0 > begun && stopped.0 < begun + 60_000_000);
    let event = engine.view().event;
    engine.seek(event);
    assert_eq!((engine.clock(), engine.view().hash), stopped);
    assert_eq!(engine.act("run 1s"), Ok(()), "there is more room once somebody was told");
    // While it plays, time stands still until somebody was told.
    crate::memory::allow(1 << 20);
    (0..200).for_each(|_| engine.advance(1_000_000.0, || true));
    let full = engine.clock();
    engine.advance(1_000_000.0, || true);
    assert!(crate::memory::is_full() && engine.clock() == full);
    assert!(crate::memory::full().is_some() && !crate::memory::is_full());
}
