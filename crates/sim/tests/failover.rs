//! How soon a death is believed.

use sim::script::Scenario;

/// The controller that died led a partition, too; the next one never met that broker as a broker, for it has no replica in
/// common with it. But all controllers talk to each other: a refusal at that door is proof.
#[test]
fn the_last_controller_is_known_to_be_gone_by_the_next_one_that_knew_it_as_a_controller_alone() {
    let text = "seed 14\nbroker b1\nbroker b2\nbroker b3\n\
        run until serving b1\nrun until serving b2\nrun until serving b3\n\
        topic orders partitions=1 replicas=b3,b1\n\
        run until leader orders-0 = b3\n\
        expect controller = b3\n\
        kill b3\n\
        run until controller = b2 within 10s\n\
        run until leader orders-0 = b1 within 1s\n";
    let played = Scenario::parse(text).expect("it is sound").play().expect("it can be played");
    assert!(played.failures.is_empty(), "{:?}", played.failures);
}
