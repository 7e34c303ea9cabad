//! The scenario language: errors name line, column and what was expected.

use sim::script::Scenario;

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
            "line 2, column 1: expected an action; seed, network, disk, sync, codec, past and broker come before the first one, found \"seed\"",
        ),
        ("at soon kill b1", "line 1, column 4: expected a duration such as 1.5s, 20ms or 300us, found \"soon\""),
        ("produce p1 t colour=red", "line 1, column 14: expected partition=, key= or value=, found \"colour=\""),
        ("produce p1 t value=\"red", "line 1, column 20: expected a closing quote, found the end of the line"),
        ("assign c1 orders", "line 1, column 11: expected a partition such as orders-0, found \"orders\""),
        (
            "drop next response of Prodduce to p1",
            "line 1, column 23: expected an API's name such as Produce, found \"Prodduce\"",
        ),
        ("network 1ms", "line 1, column 9: expected a range of durations such as 200us..1ms, found \"1ms\""),
        ("expect log t-0 a", "line 1, column 16: expected \"=\", found \"a\""),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    assert!(error("dance b1").contains("column 1: expected at, run, expect, show or an action"));
}

#[test]
fn every_kind_of_line_reads_back() {
    let text = r#"seed 9
network 1ms..2ms
disk 10us..1ms
sync 1ms..5ms
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
at 1500ms kill b1
after 12/34 1500us kill b1
run 2s
run to event 100
run until acked p1 1 within 5s
run until settled p1 1
run until consumed c1 1
run until answered w1 1
run until serving b1
run until down b1
run until idle p1
run until caught-up c1 orders
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
    assert_eq!(Scenario::parse(text).unwrap().to_string(), text);
}
