//! The words with which a line of a scenario can begin, and what can be asked and waited for. Errors list them, and a test looks
//! for each of them in the language's reference.

/// Before everything else.
pub const HEAD: [&str; 3] = ["title", "question", "views"];
/// What `views` can name.
pub const VIEWS: [&str; 3] = ["quorum", "files", "spacetime"];
/// What makes the world, before anything happens.
pub const SETUP: [&str; 9] = ["seed", "network", "disk", "sync", "timers", "codec", "past", "voters", "broker"];
/// What is done with time and with questions.
pub const STEPS: [&str; 6] = ["refused", "at", "after", "run", "expect", "show"];
/// What somebody does.
pub const ACTIONS: [&str; 47] = [
    "producer",
    "consumer",
    "wire",
    "topic",
    "alter",
    "alter-broker",
    "partitions",
    "delete",
    "produce",
    "load",
    "unload",
    "assign",
    "seek",
    "poll",
    "follow",
    "subscribe",
    "slow",
    "commit",
    "close",
    "init-producer-id",
    "wire-produce",
    "ask",
    "elect",
    "reassign",
    "move",
    "add-voter",
    "remove-voter",
    "start",
    "kill",
    "wipe",
    "power-cut",
    "stop",
    "pause",
    "resume",
    "cut",
    "heal",
    "delay",
    "slow-disk",
    "disk-full",
    "disk-error",
    "lose-directory",
    "disk-heal",
    "bit-rot",
    "skew-clock",
    "drop",
    "deliver",
    "corrupt",
];
/// What can be waited for, besides answers to questions.
pub const CONDITIONS: [&str; 9] =
    ["acked", "settled", "consumed", "answered", "serving", "down", "idle", "caught-up", "next"];
/// What can be asked.
pub const QUESTIONS: [&str; 30] = [
    "log",
    "start",
    "high-watermark",
    "end",
    "epochs",
    "leader",
    "leader-epoch",
    "isr",
    "elr",
    "replicas",
    "controller",
    "voters",
    "fenced",
    "behind",
    "outcome",
    "appended",
    "consumed",
    "answer",
    "last",
    "group",
    "members",
    "unsettled",
    "paused",
    "owned",
    "epoch",
    "committed",
    "lag",
    "check",
    "lost",
    "allowed",
];
/// What the reader is told and asked while it happens.
pub const TOLD: [&str; 5] = ["say", "bet", "wrong", "right", "reveal"];
/// What comes after the run.
pub const AFTER: [&str; 6] = ["knob", "puzzle", "from", "goal", "hint", "solve"];

/// The words as an error lists them.
pub(super) fn listed(words: &[&str]) -> String {
    words.join(", ")
}
