//! The course: every scenario of the menu, in the order in which a newcomer meets things.

use super::rooms::Choice;
use super::said;

/// A part of the menu.
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its rooms.
    pub(crate) rooms: &'static [Choice],
}

macro_rules! text {
    ($file:literal) => {
        include_str!(concat!("../../../crates/sim/scenarios/", $file, ".scenario"))
    };
}

/// The room's name in the page's address, and its file.
macro_rules! lesson {
    ($id:literal, $file:literal) => {
        Choice { id: $id, title: "", text: text!($file), lanes: &[] }
    };
}

const EAGER: &str = text!("21-rebalance-eager");
const GROUP: &str = include_str!("../../group.scenario");

const fn cluster(id: &'static str, title: &'static str, brokers: &'static str) -> Choice {
    Choice { id, title, text: brokers, lanes: &[] }
}

/// The lessons, part by part.
pub(crate) const PARTS: [Part; 12] = [
    Part {
        name: "The log",
        rooms: &[
            lesson!("log", "a-log-and-two-readers"),
            lesson!("keys", "keys-choose-partitions"),
            lesson!("35", "35-more-partitions-break-key-order"),
            lesson!("queue", "a-queue-beside-a-log"),
        ],
    },
    Part {
        name: "Consumer groups",
        rooms: &[
            lesson!("36", "36-hot-key-and-idle-consumers"),
            lesson!("37", "37-the-anatomy-of-lag"),
            lesson!("34", "34-new-partitions-with-reset-latest"),
        ],
    },
    Part {
        name: "Replication",
        rooms: &[lesson!("5", "05-the-high-watermark-lags-one-fetch"), lesson!("11", "11-slow-follower")],
    },
    Part {
        name: "Acks",
        rooms: &[
            lesson!("1", "01-acks-1-loss-on-a-clean-failover"),
            lesson!("3", "03-min-isr-refuses-writes"),
            lesson!("4", "04-acks-1-below-min-isr"),
            lesson!("2", "02-acks-all-with-min-isr-1"),
        ],
    },
    Part {
        name: "Elections",
        rooms: &[
            lesson!("7", "07-divergence-repaired"),
            lesson!("8", "08-unclean-election"),
            lesson!("9", "09-last-replica-standing-and-elr"),
            lesson!("killed", "killed-is-not-stopped"),
            lesson!("12", "12-zombie-leader"),
            lesson!("13", "13-fenced-is-not-dead"),
            lesson!("17", "17-graceful-and-hard-stop"),
            lesson!("18", "18-preferred-leaders"),
        ],
    },
    Part {
        name: "The controllers",
        rooms: &[
            lesson!("14", "14-controller-failover"),
            lesson!("15", "15-metadata-quorum-lost"),
            lesson!("zookeeper", "zookeeper-and-kraft"),
        ],
    },
    Part {
        name: "Rebalances",
        rooms: &[
            Choice {
                id: "21",
                title: "",
                text: EAGER,
                lanes: &[
                    ("eager", EAGER),
                    ("cooperative", text!("21-rebalance-cooperative")),
                    ("KIP-848", text!("21-rebalance-kip-848")),
                ],
            },
            lesson!("22", "22-zombie-consumer"),
            lesson!("22b", "22-zombie-consumer-of-kip-848"),
            lesson!("23", "23-max-poll-interval-loop"),
            lesson!("24", "24-static-membership"),
            lesson!("24b", "24-static-membership-of-kip-848"),
            lesson!("16", "16-group-coordinator-failover"),
        ],
    },
    Part {
        name: "Delivery guarantees",
        rooms: &[
            lesson!("25", "25-commit-before-or-after"),
            lesson!("26", "26-duplicate-on-retry"),
            lesson!("27", "27-idempotent-dedupe"),
            lesson!("28", "28-reorder-on-retry"),
        ],
    },
    Part {
        name: "Retention and compaction",
        rooms: &[lesson!("33", "33-retention-and-a-slow-consumer"), lesson!("32", "32-compaction-and-tombstones")],
    },
    Part {
        name: "Disks and power",
        rooms: &[
            lesson!("power", "power-cut-of-one-broker"),
            lesson!("10", "10-power-cut-with-and-without-flush"),
            lesson!("10b", "10-power-cut-of-the-whole-cluster"),
            lesson!("disk", "full-disk"),
        ],
    },
    Part {
        name: "Operations",
        rooms: &[lesson!("20", "20-follower-fetch"), lesson!("19", "19-reassignment-under-throttle")],
    },
    Part {
        name: "What once was lost",
        rooms: &[
            lesson!("6", "museum/06-truncation-to-the-high-watermark"),
            lesson!("lone-epochs", "museum/epochs-without-a-second-look"),
            lesson!("unvalidated", "museum/fetches-without-validation"),
            lesson!("lone-mark", "museum/a-high-watermark-of-one"),
            lesson!("no-elr", "museum/the-last-replica-standing"),
            lesson!("unclean", "a-setting-that-loses-records"),
        ],
    },
];

/// What is said of Kafka, and seen in the course's runs. Behind it is a broker with which nothing is done.
pub(crate) const SAID: Part =
    Part { name: "Said and seen", rooms: &[cluster(said::ROOM, "What is said, what is seen", "1")] };

/// Clusters to play with.
pub(crate) const CLUSTERS: Part = Part {
    name: "Clusters of your own",
    rooms: &[
        cluster("three", "Three brokers", "3"),
        cluster("one", "One broker", "1"),
        cluster("five", "Five brokers", "5"),
        cluster("seven", "Seven brokers", "7"),
        Choice { id: "group", title: "A consumer group", text: GROUP, lanes: &[] },
    ],
};
