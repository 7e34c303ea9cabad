//! The scenario language: errors name line, column and what was expected.

use sim::script::words::{ACTIONS, AFTER, CONDITIONS, HEAD, QUESTIONS, SETUP, STEPS, TOLD};
use sim::script::{Awaited, Playing, Scenario, Step};

fn error(text: &str) -> String {
    Scenario::parse(text).expect_err("it must not read").to_string()
}

#[test]
fn errors_say_where_and_what() {
    for (text, expected) in [
        ("seed x", "line 1, column 6: expected a seed: a number from 0, found \"x\""),
        ("broker b1\n\nkill", "line 3, column 5: expected a process's name, found the end of the line"),
        ("kill b1 now", "line 1, column 9: expected the end of the line, found \"now\""),
        (
            "kill b1\nseed 1",
            "line 2, column 1: expected an action; seed, network, disk, sync, timers, codec, past, voters and broker come before the first one, found \"seed\"",
        ),
        ("at soon kill b1", "line 1, column 4: expected a duration such as 1.5s, 20ms or 300us, found \"soon\""),
        ("produce p1 t colour=red", "line 1, column 14: expected partition=, key= or value=, found \"colour=\""),
        ("produce p1 t value=\"red", "line 1, column 20: expected a closing quote, found the end of the line"),
        ("assign c1 orders", "line 1, column 11: expected a partition such as orders-0, found \"orders\""),
        (
            "drop next response of Prodduce to p1",
            "line 1, column 23: expected an API's name such as Produce, found \"Prodduce\"",
        ),
        (
            "ask w1 Fetch offset=5",
            "line 1, column 22: expected a partition such as partition=orders-0, found the end of the line",
        ),
        (
            "ask w1 Heartbeat colour=red",
            "line 1, column 28: expected nothing but group=, member=, epoch=, found the end of the line",
        ),
        ("timers 2ms..1ms", "line 1, column 8: expected a range of durations such as 200us..1ms, found \"2ms..1ms\""),
        (
            "load p1 t every=1ms size=4000000000",
            "line 1, column 21: expected a number of bytes up to 1048576, found \"4000000000\"",
        ),
        ("load p1 t every=0s", "line 1, column 11: expected a duration above zero, found \"0s\""),
        (
            "refused NOT_CONTROLLER kill b1",
            "line 1, column 24: expected topic, alter, alter-broker, partitions or delete, which the cluster answers, found \"kill\"",
        ),
        (
            "run until next",
            "line 1, column 15: expected append, ack, records, retry, election, isr-change, rebalance, finding, found the end of the line",
        ),
        ("network 1ms", "line 1, column 9: expected a range of durations such as 200us..1ms, found \"1ms\""),
        ("expect log t-0 a", "line 1, column 16: expected \"=\", found \"a\""),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    assert!(error("dance b1").contains("column 1: expected at, run, expect, show or an action"));
}

/// A run with all that can be told: each line of it once.
const TOLD_RUN: &str = r#"title Acked, "then" gone # not a comment
question Where is it? And why?
seed 7
broker b1
broker b2
run until serving b1
topic orders partitions=1 replicas=b1,b2 min.insync.replicas=2
producer fast acks=1 linger.ms=0
produce fast orders value=a
run until acked fast 1
say One record. It is safe.
bet Will it be there?
wrong No: it's "gone"
right Yes
run 20ms
reveal It is.
expect log orders-0 = a
bet And now?
right Still
wrong No
wrong Perhaps
wrong Who knows
kill b1
run 1s
reveal As it was.
knob producer fast acks=all linger.ms=5
say The same.
run 20ms
expect outcome fast 0 = ok 0
knob topic orders partitions=2 min.insync.replicas=1
say Two.
expect end orders-1 = 0
knob broker * log.segment.bytes=1048576
say Small ones.
puzzle Let b1 lead again.
from 2
goal log orders-0 on b1 = a
goal acked fast 2
hint It does not run.
hint Start it.
solve produce fast orders value=b
solve start b1
solve run until serving b1
"#;

#[test]
fn what_is_told_reads_back() {
    let scenario = Scenario::parse(TOLD_RUN).unwrap();
    assert_eq!(scenario.to_string(), TOLD_RUN);
    let story = &scenario.story;
    let chapters: Vec<_> = story.chapters.iter().map(|it| (it.line, it.reveals, it.bet.is_some())).collect();
    assert_eq!(chapters, [(11, None, true), (16, Some(0), false), (18, None, true), (25, Some(2), false)]);
    let puzzle = story.puzzle.as_ref().unwrap();
    assert_eq!((puzzle.from, puzzle.goals.len(), puzzle.solution.len()), (1, 2, 3));
    let views = "title A\nviews quorum files\nseed 1\n";
    assert_eq!(Scenario::parse(views).unwrap().to_string(), views);
    let joined = Scenario::parse("question a\nquestion b?\nrun 1s\n say  a\nsay b # c\n# d\nsay e").unwrap().story;
    assert_eq!((&*joined.question, joined.chapters.len(), &*joined.chapters[0].text), ("a b?", 1, "a b # c e"));
}

#[test]
fn a_knob_is_the_run_with_another_setting() {
    let scenario = Scenario::parse(TOLD_RUN).unwrap();
    let varied = |number: usize| scenario.variation(number).unwrap().to_string();
    let first = varied(0);
    assert!(first.contains("\nproducer fast acks=all linger.ms=5\n"), "{first}");
    assert!(!first.contains("expect log"), "the run's own expectations are left out: {first}");
    assert!(first.ends_with("run 20ms\nexpect outcome fast 0 = ok 0\n"), "{first}");
    assert!(varied(1).contains("\ntopic orders partitions=2 replicas=b1,b2 min.insync.replicas=1\n"), "{}", varied(1));
    let third = varied(2);
    assert!(third.contains("broker b1 log.segment.bytes=1048576\nbroker b2 log.segment.bytes=1048576\n"), "{third}");
    assert_eq!(scenario.variation(3), None);
}

#[test]
fn a_variation_goes_on_after_what_does_not_come_and_a_puzzle_needs_its_solution() {
    let text = "broker b1\nrun until serving b1\ntopic t partitions=1\nproducer p acks=1 linger.ms=0\nproduce p t value=a\n\
                run until acked p 1 within 5s\nsay It is told ok.\nknob producer p acks=0\nsay b1 says nothing.\nrun 1s\nexpect end t-0 = 1\n\
                puzzle Stop it.\nfrom 1\ngoal down b1\nsolve kill b1\n";
    let scenario = Scenario::parse(text).unwrap();
    let played = scenario.play_knob(0, true).unwrap().unwrap();
    assert_eq!(played.failures, [], "{}", played.transcript);
    assert!(scenario.play_knob(1, true).is_none());
    assert!(scenario.solve(true).unwrap().unwrap().is_met);
    assert!(!scenario.solve(false).unwrap().unwrap().is_met);
    // What is waited for in the run may not come: that is told and is no failure. What the knob's own lines expect is judged.
    let refused = text
        .replace("knob producer p acks=0", "knob topic t max.message.bytes=1")
        .replace("end t-0 = 1", "end t-0 = 7");
    let played = Scenario::parse(&refused).unwrap().play_knob(0, true).unwrap().unwrap();
    assert!(played.transcript.contains("not within 5s: acked p 1"), "{}", played.transcript);
    let lines: Vec<usize> = played.failures.iter().map(|it| it.line).collect();
    assert_eq!(lines, [11], "{}", played.transcript);
}

#[test]
fn errors_of_what_is_told_say_where_and_what() {
    for (text, expected) in [
        (
            "seed 1\ntitle Late",
            "line 2, column 1: expected title, question, views before anything else, found \"title\"",
        ),
        ("title A\nviews quorum logs", "line 2, column 7: expected quorum, files, spacetime, found \"logs\""),
        ("title A\ntitle B", "line 2, column 1: expected one title, found \"title\""),
        ("  say  ", "line 1, column 7: expected text, found the end of the line"),
        ("right A", "line 1, column 1: expected a bet before its answers, found \"right\""),
        ("reveal A", "line 1, column 1: expected a bet before its reveal, found \"reveal\""),
        (
            "bet A?\nright B\nrun 1s",
            "line 1, column 1: expected a bet with two to four answers, of which one is right, found 1",
        ),
        (
            "bet A?\nwrong B\nwrong C\nrun 1s",
            "line 1, column 1: expected a bet with two to four answers, of which one is right, found none that is right",
        ),
        ("bet A?\nright B\nright C", "line 3, column 1: expected one right answer, found \"right\""),
        (
            "bet A?\nright B\nwrong C\nwrong D\nwrong E\nwrong F",
            "line 6, column 1: expected four answers at most, found \"wrong\"",
        ),
        (
            "bet A?\nright B\nwrong C\nrun 1s",
            "line 1, column 1: expected a reveal after the bet of this chapter, found none",
        ),
        (
            "bet A?\nright B\nwrong C\nrun 1s\nbet D?",
            "line 5, column 1: expected a reveal of the bet before, found \"bet\"",
        ),
        (
            "knob wire w a=b",
            "line 1, column 6: expected producer, consumer, topic, broker, or past off where the run is of the past, found \"wire\"",
        ),
        ("knob producer p a=b", "line 1, column 15: expected a producer of this run, or *, found \"p\""),
        ("producer p\nknob producer p", "line 2, column 16: expected key=value, found the end of the line"),
        ("topic t\nknob topic t partitions=x", "line 2, column 14: expected a number, found \"x\""),
        ("goal down b1", "line 1, column 1: expected a puzzle before it, found \"goal\""),
        ("puzzle A\nkill b1", "line 2, column 1: expected from, goal, hint or solve, found \"kill\""),
        (
            "puzzle A\ngoal down b1\nsolve kill b1",
            "line 1, column 1: expected from and a chapter's number after the puzzle, found none",
        ),
        (
            "say A\npuzzle A\nfrom 2\ngoal down b1\nsolve kill b1",
            "line 3, column 1: expected from 1 to 1, found \"from\"",
        ),
        (
            "say A\npuzzle A\nfrom 1\ngoal down b1",
            "line 2, column 1: expected a goal and a solve line after the puzzle, found none",
        ),
        (
            "say A\npuzzle A\nfrom 1\ngoal b1",
            "line 4, column 6: expected acked, settled, consumed, answered, serving, down, idle, caught-up or a question, found \"b1\"",
        ),
        (
            "say A\npuzzle A\nsolve expect controller = b1",
            "line 3, column 1: expected solve with an action or run, found \"solve\"",
        ),
        (
            "say A\npuzzle A\ngoal next ack",
            "line 3, column 6: expected acked, settled, consumed, answered, serving, down, idle, caught-up or a question, found \"next\"",
        ),
        ("puzzle A\npuzzle B", "line 2, column 1: expected one puzzle, found \"puzzle\""),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

/// The language's reference names every word, and each line that it shows can be read.
#[test]
fn the_reference_has_every_word_and_its_lines_read() {
    let page = include_str!("../../../../docs/scenarios.md");
    let named = |word: &str| {
        page.match_indices(word)
            .any(|(at, _)| page[..at].ends_with('`') && page[at + word.len()..].starts_with([' ', '`']))
    };
    let words = [&HEAD[..], &SETUP, &STEPS, &ACTIONS, &CONDITIONS, &QUESTIONS, &TOLD, &AFTER].concat();
    for word in &words {
        assert!(named(word), "`{word}` is not in the reference");
        let known = Scenario::parse(word).err().is_none_or(|it| it.column > 1 || !it.expected.starts_with("at, run"));
        assert!(known || CONDITIONS.contains(word) || QUESTIONS.contains(word), "{word} is no word of the language");
    }
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    for line in EVERY_LINE.lines().chain(TOLD_RUN.lines()) {
        assert!(words.contains(&&*first(line)), "{line}: its word is not listed");
    }
    let mut examples = 0;
    for (index, block) in page.split("```").enumerate().filter(|it| it.0 % 2 == 1) {
        let Some(text) = block.strip_prefix("scenario\n") else { continue };
        examples += 1;
        let read = Scenario::parse(text);
        let scenario = read.unwrap_or_else(|error| panic!("example {index}: {error}:\n{text}"));
        let played = scenario.play().unwrap();
        assert_eq!(played.failures, [], "example {index}: {}", played.transcript);
        for knob in 0..scenario.story.knobs.len() {
            let played = scenario.play_knob(knob, true).unwrap().unwrap();
            assert_eq!(played.failures, [], "example {index}: {}", played.transcript);
        }
        let solved = scenario.solve(true).unwrap().unwrap();
        assert!(solved.is_met && !scenario.solve(false).unwrap().unwrap().is_met, "{}", solved.transcript);
    }
    assert!(examples > 0);
    // The tables: each cell of a first column that holds lines.
    for row in page.lines().filter_map(|it| it.strip_prefix("| `")) {
        let cell = row.split(" | ").next().unwrap_or_default();
        for line in format!("`{cell}").split('`').skip(1).step_by(2) {
            if TOLD.contains(&&*first(line)) {
                continue;
            }
            let read = ["", "expect ", "run until "].map(|before| Scenario::parse(&format!("{before}{line}")));
            assert!(read.iter().any(Result::is_ok), "{line}: {:?}", read[0].as_ref().err());
        }
    }
}

const EVERY_LINE: &str = r#"seed 9
network 1ms..2ms
disk 10us..1ms
sync 1ms..5ms
timers 0s..20ms
codec on
broker b1 num.partitions=2
topic orders partitions=3 segment.bytes=1048576
topic payments partitions=2 replication=3
topic events partitions=2 replicas=b1,b2 replicas=b2,b1 min.insync.replicas=2
alter orders retention.ms=1000
delete topic orders
delete records orders-0 before 5
producer p1 acks=1
consumer c1 auto.offset.reset=none
wire w1 b1
produce p1 orders partition=1 key="a b" value="say \"hi\"\n\x00"
produce p1 orders key=gone
load p1 orders every=2ms count=5 keys=3 size=10
unload p1
assign c1 orders-0 orders-1
seek c1 orders-0 beginning
seek c1 orders-0 end
seek c1 orders-0 7
poll c1 100ms
follow c1 orders
close c1
init-producer-id w1
wire-produce w1 orders-0 acks=1 producer=1 epoch=0 sequence=7 value=a value=b
ask w1 Fetch partition=orders-0 offset=5 epoch=1 last-epoch=0
ask w1 OffsetCommit group=g partition=orders-0 offset=5 member=c1 epoch=3
start b1
kill b1
power-cut b1
stop b1
pause b1
resume b1
wipe b1
cut p1 b1
cut b1 -> b2
heal p1 b1
delay p1 b1 30ms
slow-disk b1 1s
skew-clock b1 -500
drop next response of Produce to p1
corrupt next request of Produce from p1
drop message 3/12/answer
deliver message 3/12/request
refused TOPIC_ALREADY_EXISTS topic orders partitions=3
at 1500ms kill b1
after 12/34 1500us kill b1
run 2s
run to event 100
run until acked p1 1 within 5s
run until settled p1 1
run until consumed c1 1
run until consumed c1 = a b within 5s
run until answered w1 1
run until serving b1
run until down b1
run until idle p1
run until caught-up c1 orders
run until next isr-change within 5s
run until leader orders-0 = b2 within 30s
run until isr orders-0 = b1 b2
expect log orders-0 = a b
expect start orders-0 = 0
expect end orders-0 = 0
expect high-watermark orders-0 = 0
expect log orders-0 on b2 = a
expect end orders-0 on b2 = 1
expect high-watermark orders-0 on b2 = 1
expect epochs orders-0 on b2 = 0 1
expect leader orders-0 = b1
expect leader-epoch orders-0 = 1
expect isr orders-0 = b1 b2
expect elr orders-0 = b3
expect controller = b1
expect fenced b1 = unfenced
expect behind =
expect outcome p1 0 = ok 1
expect appended p1 0 = 2
expect consumed c1 =
expect answer w1 0 = NONE 5
expect check idempotence = holds
expect allowed = 1
show allowed
"#;

#[test]
fn every_kind_of_line_reads_back() {
    assert_eq!(Scenario::parse(EVERY_LINE).unwrap().to_string(), EVERY_LINE);
}

/// Three brokers, a topic on all of them, a producer, and a group of one.
const AT_WORK: &str = "seed 5\nbroker b1\nbroker b2\nbroker b3\nrun until serving b1\nrun until serving b2\nrun until serving b3\n\
    topic orders partitions=1 replicas=b1,b2,b3 min.insync.replicas=2\nproducer p1 acks=all linger.ms=0\n\
    produce p1 orders value=a\nconsumer c1 group.id=g auto.offset.reset=earliest\nfollow c1 orders\n\
    run until consumed c1 1\nrun 5s\n";

/// A moment that never comes is a failure, and what was to be done then is not done.
#[test]
fn where_nothing_more_happens_no_moment_comes() {
    for line in ["run to event 1000000", "after 1000000/1000000 1s start b1"] {
        let text = format!("broker b1\nrun until serving b1\nkill b1\n{line}\n");
        let played = Scenario::parse(&text).unwrap().play().unwrap();
        let events = played.history.world().events();
        let failures: Vec<String> = played.failures.iter().map(ToString::to_string).collect();
        assert_eq!(failures, [format!("line 4: nothing more happens after event {events}")]);
    }
}

/// What happens next ends a wait at the event that it is: it is there then, and was not one event before.
#[test]
fn a_wait_for_what_happens_ends_at_that_event() {
    use sim::World;
    type Is<'a> = &'a dyn Fn(&World) -> bool;
    let appended = |it: &World| it.last().node_events.iter().any(|it| matches!(it, node::Event::Appended { .. }));
    let acked = |it: &World| it.last().client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. }));
    let retried =
        |it: &World| it.last().client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. }));
    let rejoins = |it: &World| it.last().client_events.iter().any(|it| matches!(it, client::Event::Group(_)));
    let is = |world: &World, condition: &str| {
        let line = Scenario::parse(&format!("run until {condition}")).unwrap();
        let [(_, Step::RunUntil(Awaited::So(condition), _))] = &line.steps[..] else { panic!("a wait") };
        world.holds(condition)
    };
    let at_work = Scenario::parse(AT_WORK).unwrap().play_with(false).unwrap().history;
    let epoch = at_work.world().checks().quorum_epoch();
    let elected = |it: &World| {
        let leads = |broker: &str| is(it, &format!("leader orders-0 = {broker}"));
        leads("b2") || leads("b3") || it.checks().quorum_epoch() > epoch
    };
    let cases: [(&str, &str, Is<'_>); 7] = [
        ("append", "produce p1 orders value=b", &appended),
        ("ack", "produce p1 orders value=b", &acked),
        ("records", "produce p1 orders value=b", &|it| it.consumed("c1") == 2),
        ("retry", "drop next response of Produce to p1\nproduce p1 orders value=b", &retried),
        ("election", "kill b1", &elected),
        ("isr-change", "pause b3", &|it| !is(it, "isr orders-0 = b1 b2 b3")),
        ("rebalance", "consumer c2 group.id=g\nfollow c2 orders", &rejoins),
    ];
    for (word, deed, has_come) in cases {
        let text = format!("{AT_WORK}{deed}\nrun until next {word} within 60s\n");
        let mut played = Scenario::parse(&text).unwrap().play_with(false).unwrap();
        assert_eq!(played.failures, [], "{word}");
        assert!(has_come(played.history.world()), "{word} at {}", played.history.world().clock());
        assert!(played.history.back() && !has_come(played.history.world()), "{word} came before");
    }
    let played = Scenario::parse(&format!("{AT_WORK}run until next retry within 2s\n")).unwrap().play().unwrap();
    assert_eq!(played.failures[0].what, "not within 2s: next retry");
    // What was committed before is no change, nor is a topic that comes.
    let quiet = format!("{AT_WORK}topic more partitions=2\nrun until next election within 5s\n");
    let played = Scenario::parse(&quiet).unwrap().play_with(false).unwrap();
    assert_eq!(played.failures.len(), 1, "nobody was elected");
}

/// A loss that the settings allow is a finding, and the wait for one ends with it.
#[test]
fn a_wait_for_a_finding_ends_with_it() {
    let text = TOLD_LOSS.replace("END", "heal b1 b2\nstart b1\nrun until next finding within 60s");
    let played = Scenario::parse(&text).unwrap().play_with(false).unwrap();
    assert_eq!(played.failures, []);
    let world = played.history.world();
    let found = world.checks().findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].event, world.events());
}

const TOLD_LOSS: &str = "seed 1\nbroker b1 process.roles=broker\nbroker b2 process.roles=broker\n\
    broker k1 process.roles=controller\nrun until serving b1\nrun until serving b2\n\
    topic orders partitions=1 replicas=b1,b2 min.insync.replicas=2\nproducer fast acks=1 linger.ms=0\nrun 600ms\n\
    cut b1 b2\nrun 700ms\nproduce fast orders value=x\nrun until acked fast 1 within 5s\nkill b1\n\
    run until leader orders-0 = b2 within 20s\nEND\n";

/// A file that may be anybody's asks for no more than a tab can hold, by whichever of its lines.
#[test]
fn a_file_of_anybodys_is_bounded() {
    let actions = "refused NOT_CONTROLLER partitions orders 2\n".repeat(20_001);
    for (lines, told) in [
        ("topic more partitions=2000000000", "partitions: 1000 are the most"),
        ("at 1s partitions orders 2000000000", "partitions: 1000 are the most"),
        ("refused TOPIC_ALREADY_EXISTS topic more partitions=2000000000", "partitions: 1000 are the most"),
        (&actions, "actions: 20000 are the most"),
        ("at 99999m kill b1", "seconds: 86400 are the most"),
    ] {
        let scenario = Scenario::parse(&format!("{AT_WORK}{lines}\n")).unwrap();
        let error = Playing::of_guest(scenario).err().unwrap_or_default();
        assert!(error.contains(told), "{lines:.100}: {error}");
    }
    let text =
        "broker b1\nrun until serving b1\nsay A\nknob broker b1 num.partitions=2000000000\nexpect controller = b1\n";
    let error = Playing::of_guest_knob(&Scenario::parse(text).unwrap(), 0).unwrap().err().unwrap_or_default();
    assert!(error.contains("partitions: 1000 are the most"), "{error}");
}
