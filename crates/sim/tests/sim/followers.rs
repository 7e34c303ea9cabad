//! Followers find what they follow.

use sim::script::Scenario;

/// Followers hear of a new topic before its leader has its logs: some are refused sooner than the rest, and all are asked for
/// again at once, as a process that stood still for a moment does: those, too, that the leader was still to be told to forget.
#[test]
fn partitions_that_a_leader_has_no_logs_of_yet_are_copied_as_soon_as_it_has() {
    let replicas = "replicas=b1,b2,b3 ".repeat(12);
    let broken: Vec<_> = (0..20)
        .filter_map(|seed| {
            let text = format!(
                "seed {seed}\nbroker b1\nbroker b2\nbroker b3\n\
                run until serving b1\nrun until serving b2\nrun until serving b3\n\
                slow-disk b1 50ms\n\
                topic orders partitions=12 {replicas}min.insync.replicas=2\n\
                run {}ms\npause b2\nrun 25ms\nresume b2\n\
                slow-disk b1 0ms\n\
                producer p1 acks=all\n\
                load p1 orders every=1ms count=100 keys=100\n\
                run until acked p1 100 within 10s\n",
                45 + seed
            );
            let played = Scenario::parse(&text).expect("it is sound").play().expect("it can be played");
            (!played.failures.is_empty()).then_some((seed, played.failures))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}
