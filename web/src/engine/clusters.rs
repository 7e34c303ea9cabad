//! The rooms that have no story: clusters of so many brokers, with the usual clients.

/// Brokers of a room by number, at most.
pub(super) const BROKERS: usize = 7;
/// Its clients, and what they do.
const CLIENTS: &str = include_str!("../../room.scenario");

/// The scenario of a room with so many brokers, each a controller too. One topic of three partitions, spread over them: three
/// copies of each where there are three brokers, and then two have to have a record before it counts as safe.
pub(super) fn cluster(brokers: usize) -> String {
    let mut text = "seed 1729\nnetwork 2ms..6ms\ndisk 300us..1500us\nsync 2ms..8ms\n".to_owned();
    for it in 1..=brokers {
        text.push_str(&format!("broker b{it}\n"));
    }
    for it in 1..=brokers {
        text.push_str(&format!("run until serving b{it}\n"));
    }
    let copies = brokers.min(3);
    text.push_str("topic orders partitions=3");
    for partition in 0..3 {
        let first = partition * brokers / 3;
        let names: Vec<String> = (first..first + copies).map(|it| format!("b{}", it % brokers + 1)).collect();
        text.push_str(&format!(" replicas={}", names.join(",")));
    }
    text.push_str(&format!(" min.insync.replicas={}\n{CLIENTS}", copies.div_ceil(2)));
    text
}
