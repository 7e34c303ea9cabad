//! What people say of Kafka, and in which runs it is looked at.

/// Something that is said.
pub(crate) struct Saying {
    pub(crate) words: &'static str,
    /// What is to be said to it, after the verdict.
    pub(crate) told: &'static str,
    /// Where it is looked at. Where it holds in some and not in others, it is so only if.
    pub(crate) cases: &'static [Case],
}

/// A run, a moment of it, and what would be so there if the saying were true.
pub(crate) struct Case {
    /// A lesson, as the page's address names it; its lane, from 0.
    pub(crate) room: &'static str,
    pub(crate) lane: usize,
    /// The chapter, from 1; 0 is the run's end.
    pub(crate) chapter: usize,
    /// The variation, from 1; 0 is the run as it is told.
    pub(crate) knob: usize,
    /// A question and its answer, as `run until` takes it.
    pub(crate) claim: &'static str,
}

const fn case(room: &'static str, chapter: usize, knob: usize, claim: &'static str) -> Case {
    Case { room, lane: 0, chapter, knob, claim }
}

const fn lane(room: &'static str, lane: usize, chapter: usize, claim: &'static str) -> Case {
    Case { room, lane, chapter, knob: 0, claim }
}

pub(crate) static SAYINGS: [Saying; 11] = [
    Saying {
        words: "acks=all with min.insync.replicas=2 loses nothing",
        told: "who was in sync last keeps its log, or another one that is eligible comes back, and nobody allows an unclean election. Who comes back from a kill is no longer eligible. Kafka acknowledges what replicas have written, not what is on disk: put them into different rooms, or pay for flush.messages=1.",
        cases: &[
            case("1", 0, 1, "lost = 0"),
            case("10b", 0, 0, "lost = 0"),
            case("10b", 0, 1, "lost = 0"),
            case("killed", 0, 0, "lost = 0"),
        ],
    },
    Saying {
        words: "The in-sync replicas are fully caught up",
        told: "a replica is in sync if within the last 30 s (replica.lag.time.max.ms) it had all that the leader had. What the leader got since then, it may have alone. Committed is what all in sync have.",
        cases: &[case("1", 2, 0, "end orders-0 on b2 = 5"), case("11", 2, 0, "end orders-0 on b3 = 2")],
    },
    Saying {
        words: "The leader serves all reads",
        told: "nobody asks for another: with replica.selector.class on the brokers and client.rack on the consumer (KIP-392) a follower in its rack serves it. Here the way to the leader is cut, and b is read all the same.",
        cases: &[case("20", 2, 0, "consumed c1 = a"), case("20", 2, 1, "consumed c1 = a")],
    },
    Saying {
        words: "Records without a key go round robin",
        told: "a producer sticks to a partition: since Kafka 2.4 for a batch (KIP-480), since 3.3 for about batch.size bytes (KIP-794). Slow brokers then get less (partitioner.adaptive.partitioning.enable); here all get the same.",
        cases: &[case("keys", 4, 0, "end orders-1 = 1")],
    },
    Saying {
        words: "The same key always lands in the same partition",
        told: "the number of partitions stays, and all who write hash alike: it is the remainder of a division that decides.",
        cases: &[
            case("keys", 0, 0, "log orders-0 = eva-1 eva-2 tom-1 eva-3"),
            case("35", 0, 0, "log orders-2 = ida-1 ida-2"),
            case("keys", 0, 2, "log orders-0 = eva-1 eva-2 tom-1 eva-3"),
        ],
    },
    Saying {
        words: "Acknowledged means: on disk",
        told: "flush.messages=1 says so. By default it means: written, on as many replicas as acks asks for; when that gets to a disk is up to the operating system.",
        cases: &[case("power", 0, 0, "lost = 0"), case("power", 0, 1, "lost = 0")],
    },
    Saying {
        words: "A killed broker’s data is safe in the ELR",
        told: "who comes back without a clean stop leaves the list of eligible leader replicas: it may have lost what was not synced. Who was stopped in good order stays on it, and leads.",
        cases: &[case("killed", 0, 0, "log orders-0 = a b")],
    },
    Saying {
        words: "Consumers beyond the number of partitions idle",
        told: "within a group a partition has one reader. They are not for nothing: who is idle takes over when another one dies. (Share groups, KIP-932, are another thing, and not in this engine.)",
        cases: &[case("36", 3, 0, "owned c5 ="), case("36", 3, 0, "owned c6 =")],
    },
    Saying {
        words: "Kafka delivers exactly once",
        told: "idempotence is on, and then only into the log: what is read may be worked on twice, or not at all, if its reader dies. To read, write and commit as one takes transactions, which this engine does not have yet: nothing of that is shown here.",
        cases: &[
            case("26", 0, 0, "log payments-0 = pay-10 pay-20"),
            case("26", 0, 1, "log payments-0 = pay-10 pay-20"),
            case("25", 0, 0, "consumed after = w0 w1"),
        ],
    },
    Saying {
        words: "A rebalance stops the world",
        told: "the group rebalances eagerly. Then all members give up everything at first. Cooperative members and those of KIP-848 go on reading whatever does not move.",
        cases: &[lane("21", 0, 2, "owned c1 ="), lane("21", 1, 2, "owned c1 ="), lane("21", 2, 2, "owned c1 =")],
    },
    Saying {
        words: "Offsets have no gaps",
        told: "nothing is compacted away. A record that is gone takes its offset with it, and so does a transaction’s marker: the number of records is not the end minus the start.",
        cases: &[
            case("32", 0, 0, "log accounts-0 = v1 v2 w1 null w2 x1 x2"),
            case("32", 0, 2, "log accounts-0 = v1 v2 w1 null w2 x1 x2"),
        ],
    },
];
