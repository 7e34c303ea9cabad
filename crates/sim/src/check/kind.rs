//! The checks by name, and what they can say.

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// A record that was acknowledged stays at its offset.
    AckedStays,
    /// Offsets of a partition are dense and in order, as appended and as read, and what is read is what was appended.
    OffsetsDense,
    /// A high watermark, of a partition and of the metadata, never moves back.
    HighWatermark,
    /// No consumer is given a record at or above the high watermark.
    ReadsBelow,
    /// What an idempotent producer sent is there once, and in its order.
    Idempotence,
    /// A record that a producer was told is not written is not written.
    FailedIsNotWritten,
    /// Every message can be encoded and decoded.
    Codecs,
    /// What two replicas have of the same epoch at an offset is the same.
    LogMatching,
    /// An epoch of a partition, and of the metadata quorum, has one leader.
    OneLeader,
    /// Who is in sync, or eligible to lead, is a replica.
    Isr,
    /// Who is fenced is not in sync.
    FencedInSync,
    /// Who runs is fenced no sooner than its session is over.
    SessionsKept,
    /// Who is in sync is not in the ELR.
    Elr,
    /// A high watermark covers what all in sync have, and does not move while they are fewer than `min.insync.replicas`.
    StrongIsr,
    /// Whoever begins to lead has all that is committed.
    LeaderCompleteness,
    /// A follower fetches a partition from one leader.
    OneFetcher,
    /// A consumer passes no record over without being told.
    NoSkips,
    /// No two members that a group's coordinator counts have the same partition.
    OneOwner,
    /// What members are to have covers each partition once.
    TargetOnce,
    /// A member's epoch never moves back while it is a member, nor does the generation in which it got its share.
    EpochsMonotone,
    /// No group commits beyond the high watermark.
    CommitsBelow,
    /// What a group has committed is what it is told.
    CommitsStay,
    /// Everything comes to rest once faults end.
    Converges,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 23] = [
        Check::AckedStays,
        Check::OffsetsDense,
        Check::HighWatermark,
        Check::ReadsBelow,
        Check::Idempotence,
        Check::FailedIsNotWritten,
        Check::Codecs,
        Check::LogMatching,
        Check::OneLeader,
        Check::Isr,
        Check::FencedInSync,
        Check::SessionsKept,
        Check::Elr,
        Check::StrongIsr,
        Check::LeaderCompleteness,
        Check::OneFetcher,
        Check::NoSkips,
        Check::OneOwner,
        Check::TargetOnce,
        Check::EpochsMonotone,
        Check::CommitsBelow,
        Check::CommitsStay,
        Check::Converges,
    ];

    /// Its name in scenarios and on screen.
    pub fn name(self) -> &'static str {
        match self {
            Check::AckedStays => "acked-stays",
            Check::OffsetsDense => "offsets-dense",
            Check::HighWatermark => "high-watermark-monotonic",
            Check::ReadsBelow => "reads-below-high-watermark",
            Check::Idempotence => "idempotence",
            Check::FailedIsNotWritten => "failed-is-not-written",
            Check::Codecs => "codecs",
            Check::LogMatching => "log-matching",
            Check::OneLeader => "one-leader-an-epoch",
            Check::Isr => "isr-within-replicas",
            Check::FencedInSync => "fenced-not-in-isr",
            Check::SessionsKept => "sessions-kept",
            Check::Elr => "elr-disjoint-from-isr",
            Check::StrongIsr => "strong-isr",
            Check::LeaderCompleteness => "leader-completeness",
            Check::OneFetcher => "one-fetcher-a-partition",
            Check::NoSkips => "no-skips",
            Check::OneOwner => "one-owner-a-partition",
            Check::TargetOnce => "target-once-a-partition",
            Check::EpochsMonotone => "member-epochs-monotonic",
            Check::CommitsBelow => "commits-below-high-watermark",
            Check::CommitsStay => "commits-stay",
            Check::Converges => "converges",
        }
    }

    /// What it means, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Check::AckedStays => {
                "A record that was acknowledged stays readable at its offset, unless the settings allow its loss."
            }
            Check::OffsetsDense => "Offsets of a partition are dense and in order, and readers get what was appended.",
            Check::HighWatermark => "The high watermark of a partition, and of the metadata, never moves back.",
            Check::ReadsBelow => "No consumer gets a record at or above the high watermark.",
            Check::Idempotence => "What an idempotent producer sent is in the log once and in order.",
            Check::FailedIsNotWritten => "A record that its producer was told is not written is not written.",
            Check::Codecs => "Every message survives being encoded and decoded.",
            Check::LogMatching => {
                "Two replicas, of the metadata too, that have a record of the same epoch at an offset have the same log up to there."
            }
            Check::OneLeader => "An epoch of a partition, and of the metadata quorum, has one leader.",
            Check::Isr => "Whoever is in sync, or eligible to lead, is a replica of the partition.",
            Check::FencedInSync => "Whoever is fenced is not in sync.",
            Check::SessionsKept => "A broker is fenced before its session is over only if its process is dead.",
            Check::Elr => "Whoever is in sync is not among the eligible leader replicas.",
            Check::StrongIsr => {
                "What is committed is at everyone in sync, and nothing is while they are fewer than min.insync.replicas."
            }
            Check::LeaderCompleteness => {
                "Whoever begins to lead a partition, or the metadata quorum, has all that is committed."
            }
            Check::OneFetcher => "A follower fetches a partition from one leader at a time.",
            Check::NoSkips => "A consumer passes no record over without being told that the log was cut.",
            Check::OneOwner => "No two members of a group, as its coordinator counts them, have the same partition.",
            Check::TargetOnce => {
                "What the members of a group are to have names each partition once, and leaves none out."
            }
            Check::EpochsMonotone => "A member's epoch, or the generation of its share, never moves back.",
            Check::CommitsBelow => "No group commits an offset beyond the high watermark.",
            Check::CommitsStay => "A group is told what it committed last, whoever coordinates it by then.",
            Check::Converges => {
                "Once faults end, soon all replicas are in sync and equal, brokers know it, and groups are at rest."
            }
        }
    }
}

/// What a lost or repeated record says about the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was promised.
    Kept,
    /// The settings allow it.
    Allowed,
    /// A promise was broken.
    Bug,
}

impl Verdict {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Kept => "kept",
            Verdict::Allowed => "allowed",
            Verdict::Bug => "bug",
        }
    }

    /// As people are told.
    pub fn words(self, check: Check) -> &'static str {
        match (self, check) {
            (Verdict::Kept, _) => "contract kept",
            (Verdict::Allowed, Check::Idempotence) => "these settings allow it",
            (Verdict::Allowed, _) => "loss these settings allow",
            (Verdict::Bug, _) => "bug",
        }
    }
}
