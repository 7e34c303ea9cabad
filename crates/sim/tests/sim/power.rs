//! What a power cut does to logs that were cut.

use sim::script::Scenario;

/// A leader that died comes back, is checkpointed, and only then finds its log parting from the new leader's: it is cut below
/// what it had said to be on disk. What it copied since and had not synced may be torn when the power goes.
#[test]
fn a_log_that_was_cut_below_its_recovery_point_survives_a_torn_tail() {
    let broken: Vec<_> = (0..8)
        .filter_map(|seed| {
            let text = format!(
                "seed {seed}\nbroker k1 process.roles=controller\nbroker b1 process.roles=broker\nbroker b2 process.roles=broker\n\
                run until serving b1\nrun until serving b2\n\
                topic orders partitions=1 replicas=b1,b2 min.insync.replicas=1\n\
                producer p1 acks=1 linger.ms=0\nproducer p2 acks=1 linger.ms=0 batch.size=1\n\
                run 600ms\ncut b1 b2\nrun 700ms\n\
                load p1 orders every=1ms count=40 size=200\nrun until acked p1 40 within 5s\n\
                kill b1\nrun until leader orders-0 = b2 within 20s\n\
                start b1\nrun until serving b1\nrun 6s\n\
                load p2 orders every=5ms size=200\n\
                heal b1 b2\nrun until isr orders-0 = b1 b2 within 10s\nrun {}ms\n\
                power-cut b1 torn\nrun 1s\nunload p2\nstart b1\n\
                run until behind = within 30s\n",
                20 + 97 * seed
            );
            let played = Scenario::parse(&text).expect("it is sound").play().expect("it can be played");
            (!played.failures.is_empty()).then_some((seed, played.failures))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}
