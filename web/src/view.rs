//! What there is to see at one moment, as plain data: the room draws it, scripts get it as objects.

use std::sync::Arc;

use wasm_bindgen::prelude::*;

/// A moment of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// The virtual clock, in µs.
    pub(crate) time_us: u64,
    /// How many events there have been.
    pub(crate) event: u64,
    /// How many this branch has had when it was furthest.
    pub(crate) last_event: u64,
    /// The branch that is looked at.
    pub(crate) branch: usize,
    /// All branches, in the order in which they were made.
    pub(crate) branches: Vec<Branch>,
    /// The hash of everything that happened, in hexadecimal digits.
    pub(crate) hash: String,
    /// The last event in one sentence.
    pub(crate) sentence: String,
    /// In order of their ids.
    pub(crate) brokers: Vec<Broker>,
    /// In order of topic and number.
    pub(crate) partitions: Vec<Partition>,
    /// In order of creation.
    pub(crate) clients: Vec<Client>,
    /// Who has a connection to whom, each pair once.
    pub(crate) links: Vec<(String, String)>,
    /// From whom to whom no packet passes.
    pub(crate) cuts: Vec<(String, String)>,
    /// Between whom packets take so much longer, in µs.
    pub(crate) delays: Vec<(String, String, u64)>,
    /// On their way now.
    pub(crate) messages: Vec<Message>,
    /// What will fire, the next first.
    pub(crate) timers: Vec<Timer>,
    /// What is promised, and how it stands.
    pub(crate) checks: Vec<Check>,
    /// What was lost, repeated or reordered, oldest first.
    pub(crate) findings: Vec<Finding>,
    /// Acknowledged records that nobody has who could lead now.
    pub(crate) at_risk: u64,
    /// Acknowledged records that are lost.
    pub(crate) acked_lost: u64,
    /// Records were deleted as somebody asked: by retention, compaction or hand.
    pub(crate) has_deleted: bool,
    /// The nodes behave as Apache Kafka once did.
    pub(crate) is_of_past: bool,
    /// Consumer groups, by name.
    pub(crate) groups: Vec<Group>,
}

/// A consumer group: what its members and its coordinator know of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    /// `group.id`.
    pub(crate) name: String,
    /// `group.protocol`: classic, or KIP-848's consumer.
    pub(crate) protocol: &'static str,
    /// Who assigns by which rule.
    pub(crate) assignor: Option<String>,
    /// Kafka's word; nothing while no broker coordinates it.
    pub(crate) state: Option<String>,
    /// The generation (classic) or the group's epoch.
    pub(crate) epoch: i32,
    /// The broker that coordinates it.
    pub(crate) coordinator: Option<String>,
    /// By name.
    pub(crate) members: Vec<Member>,
    /// What it reads, in order.
    pub(crate) shares: Vec<Share>,
    /// For how long its partitions were read by nobody since it had them all, added up, in µs.
    pub(crate) paused_us: u64,
    /// The member that came last, when, and what of that passed since.
    pub(crate) newcomer: Option<String>,
    pub(crate) newcomer_at_us: u64,
    pub(crate) paused_since_newcomer_us: u64,
    /// What stands still now, for whom; once nothing does, what the newcomer had stand still.
    pub(crate) stands: String,
    /// Who holds back what, in sentences.
    pub(crate) holds: Vec<String>,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Member {
    /// The client's name.
    pub(crate) client: String,
    /// `group.instance.id`.
    pub(crate) instance: Option<String>,
    /// Its generation or member epoch; nothing while it is in none.
    pub(crate) epoch: Option<i32>,
    /// Where it is in the protocol, in a word.
    pub(crate) state: String,
    /// It assigns for the others (classic).
    pub(crate) is_leader: bool,
    /// The coordinator counts it, be it alive or not.
    pub(crate) is_counted: bool,
    /// Whether its process runs.
    pub(crate) process: State,
    /// When it leaves the group unless it polls before (`max.poll.interval.ms`), in µs.
    pub(crate) poll_until_us: Option<u64>,
    /// How long its application is at each record, in µs.
    pub(crate) slow_us: u64,
}

/// A partition that a group reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// `orders-0`.
    pub(crate) partition: String,
    /// Who believes to have it: two if one of them is out and does not know.
    pub(crate) owners: Vec<String>,
    /// Who is about to give it up, and reads it no more.
    pub(crate) released_by: Option<String>,
    /// Who is to have it.
    pub(crate) awaited_by: Option<String>,
    /// The committed offset.
    pub(crate) committed: Option<i64>,
    /// The owner's next record.
    pub(crate) position: Option<i64>,
    /// Readers see everything below: the high watermark.
    pub(crate) end: i64,
    /// Since when nobody reads it, though somebody did before, in µs; and for how long that was so in all.
    pub(crate) paused_since_us: Option<u64>,
    pub(crate) paused_us: u64,
    /// What of that passed since the newcomer came, and who gave it up for it.
    pub(crate) paused_since_newcomer_us: u64,
    pub(crate) freed_by: Option<String>,
}

impl Share {
    /// How much of it is not committed, as Kafka's tool counts.
    pub(crate) fn lag(&self) -> Option<i64> {
        self.committed.map(|it| (self.end - it).max(0))
    }
}

/// One future of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Branch {
    /// Its name.
    pub(crate) name: String,
    /// How many events it has had when it was furthest.
    pub(crate) last_event: u64,
    /// The event after which it left its parent, and that one's number.
    pub(crate) forked_at: Option<u64>,
    pub(crate) parent: Option<usize>,
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It serves.
    #[default]
    Up,
    /// It runs and does not serve yet.
    Starting,
    /// A controlled shutdown is under way.
    Stopping,
    /// The process is gone; its machine is there.
    Down,
    /// The machine has no power.
    Dark,
    /// It stands still.
    Paused,
}

impl State {
    /// In a word or two.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Up => "serving",
            State::Starting => "starting",
            State::Stopping => "stopping",
            State::Down => "not running",
            State::Dark => "no power",
            State::Paused => "standing still",
        }
    }

    /// True if there is a process.
    pub(crate) fn runs(self) -> bool {
        !matches!(self, State::Down | State::Dark)
    }
}

/// A broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Broker {
    /// Its name.
    pub(crate) name: String,
    /// `node.id`.
    pub(crate) id: i32,
    /// Whether it runs.
    pub(crate) state: State,
    /// It keeps partitions and serves clients.
    pub(crate) is_broker: bool,
    /// It votes in the metadata quorum.
    pub(crate) is_controller: bool,
    /// Of its registration; `null` until it is registered.
    pub(crate) broker_epoch: Option<i64>,
    /// The epoch of the metadata quorum that it leads, if it does.
    pub(crate) quorum_epoch: Option<i32>,
    /// It is registered and may lead nothing, as the quorum's leader has it.
    pub(crate) fenced: bool,
    /// Its disk takes so much longer for each operation, in µs.
    pub(crate) slow_us: u64,
    /// How far its wall clock is off, in ms.
    pub(crate) skew_ms: i64,
    /// Who is connected.
    pub(crate) connections: usize,
    /// Requests that it has and has not answered, such as a fetch that waits for records.
    pub(crate) waits: Vec<Wait>,
}

/// A request that is not answered yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wait {
    /// Who asked.
    pub(crate) client: String,
    /// Kafka's name of the API.
    pub(crate) what: String,
    /// Since when, in µs.
    pub(crate) since_us: u64,
    /// When it is answered at the latest, if it waits for something that may not come.
    pub(crate) deadline_us: Option<u64>,
}

/// Something that fires at its time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timer {
    /// Whose.
    pub(crate) process: String,
    /// What for: the configuration key where there is one.
    pub(crate) what: String,
    /// Since when it runs, in µs, if that is known.
    pub(crate) since_us: Option<u64>,
    /// When, in µs.
    pub(crate) at_us: u64,
}

/// A partition: what its leader has of it. While the leader does not run it is what was seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Partition {
    /// `orders-0`.
    pub(crate) name: String,
    /// Its topic.
    pub(crate) topic: String,
    /// Its number.
    pub(crate) partition: i32,
    /// The leader's name.
    pub(crate) leader: Option<String>,
    /// How often the leader changed.
    pub(crate) leader_epoch: i32,
    /// The names of the brokers that are in sync, as the leader knows it.
    pub(crate) isr: Vec<String>,
    /// The names of those that are not and have every committed record all the same (KIP-966).
    pub(crate) elr: Vec<String>,
    /// As many must be in sync for acks=all.
    pub(crate) min_isr: usize,
    /// What each broker that should have a copy has of it, in the order of `replicas`.
    pub(crate) replicas: Vec<Replica>,
    /// The first offset.
    pub(crate) log_start: i64,
    /// Readers see everything below.
    pub(crate) high_watermark: i64,
    /// Everything below is on disk for certain.
    pub(crate) synced: i64,
    /// One past the last record.
    pub(crate) log_end: i64,
    /// The newest records, oldest first.
    pub(crate) records: Arc<Vec<Record>>,
}

/// How a copy of a partition stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its broker does not run, or its log cannot be read.
    #[default]
    Offline,
    /// Likewise, but eligible: it has every committed record (KIP-966).
    OfflineEligible,
    /// Its broker does not run, and its disk has nothing of it any more.
    Lost,
    /// Its broker runs, and the log is not open yet.
    Opening,
    /// It leads.
    Leader,
    /// In the ISR.
    InSync,
    /// Not in the ISR.
    Behind,
    /// Not in the ISR, but eligible.
    Eligible,
    /// Its broker is fenced.
    Fenced,
}

impl Standing {
    /// In a word or two.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Standing::Offline => "offline",
            Standing::OfflineEligible => "offline, eligible",
            Standing::Lost => "disk lost",
            Standing::Opening => "opening",
            Standing::Leader => "leader",
            Standing::InSync => "in sync",
            Standing::Behind => "out of sync",
            Standing::Eligible => "eligible (ELR)",
            Standing::Fenced => "fenced",
        }
    }

    /// As a glyph of index.html's sheet.
    pub(crate) fn glyph(self) -> &'static str {
        match self {
            Standing::Offline | Standing::Lost => "#g-off",
            Standing::Opening => "#g-wait",
            Standing::Leader => "#g-lead",
            Standing::InSync => "#g-sync",
            Standing::Behind => "#g-behind",
            Standing::Eligible | Standing::OfflineEligible => "#g-elr",
            Standing::Fenced => "#g-fence",
        }
    }
}

/// A broker's copy of a partition. While the broker does not run it is what was seen last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Replica {
    /// The broker's name.
    pub(crate) broker: String,
    /// It runs, and the log is mounted.
    pub(crate) is_there: bool,
    /// How it stands.
    pub(crate) standing: Standing,
    /// The last epoch in which its broker wrote as leader.
    pub(crate) led: Option<i32>,
    /// The epoch in which its broker believes that it leads, and does not any more.
    pub(crate) believes: Option<i32>,
    /// What the last event cut off its end, oldest first.
    pub(crate) cut: Arc<Vec<Record>>,
    /// The first offset.
    pub(crate) log_start: i64,
    /// How far it knows that readers may see.
    pub(crate) high_watermark: i64,
    /// Everything below is on disk for certain.
    pub(crate) synced: i64,
    /// One past the last record.
    pub(crate) log_end: i64,
    /// The newest records, oldest first.
    pub(crate) records: Arc<Vec<Record>>,
}

/// A record in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where it is.
    pub(crate) offset: i64,
    /// The epoch of the leader that wrote it.
    pub(crate) leader_epoch: i32,
    /// As text.
    pub(crate) key: Option<String>,
    /// As text; `null` is a tombstone.
    pub(crate) value: Option<String>,
    /// Its timestamp, in ms since 1970.
    pub(crate) timestamp_ms: i64,
    /// The first offset of its batch.
    pub(crate) base_offset: i64,
    /// Who produced it, if idempotently.
    pub(crate) producer_id: Option<i64>,
    /// Its number among what that producer sent to the partition.
    pub(crate) sequence: Option<i64>,
}

/// What a client is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// It produces.
    #[default]
    Producer,
    /// It consumes.
    Consumer,
    /// It says exactly what it is told.
    Wire,
}

impl Role {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
            Role::Wire => "wire",
        }
    }
}

/// A client, and only what it can know.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Client {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) role: Role,
    /// Whether it runs.
    pub(crate) state: State,
    /// True while it has a connection.
    pub(crate) connected: bool,
    /// Records with the outcome ok.
    pub(crate) ok: u64,
    /// Records with the outcome failed.
    pub(crate) failed: u64,
    /// Records with the outcome unknown.
    pub(crate) unknown: u64,
    /// Records without an outcome yet.
    pub(crate) pending: u64,
    /// Records that it was given.
    pub(crate) consumed: u64,
    /// How long its application is at each record, in µs.
    pub(crate) slow_us: u64,
    /// The workload under way, as the line that began it.
    pub(crate) load: Option<String>,
    /// So many µs pass between two of its records, on average.
    pub(crate) every_us: Option<u64>,
    /// A wire client's answers.
    pub(crate) answers: usize,
    /// The last of them, in words.
    pub(crate) last_answer: Option<String>,
    /// Where it reads on.
    pub(crate) positions: Vec<Position>,
}

/// Where a consumer reads on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    /// `orders-0`.
    pub(crate) partition: String,
    /// The next offset; `null` until it is known.
    pub(crate) offset: Option<i64>,
    /// How far behind the high watermark that is, whatever it has heard of that; `null` until the offset is known.
    pub(crate) lag: Option<i64>,
}

/// What a message says that is the end of its connection.
pub(crate) const CLOSED: &str = "connection closed";

/// Something on its way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Message {
    /// Unique within its run.
    pub(crate) id: String,
    /// Who sent it.
    pub(crate) from: String,
    /// To whom.
    pub(crate) to: String,
    /// Kafka's name of the API, or what the packet is.
    pub(crate) what: &'static str,
    /// True for an answer.
    pub(crate) is_answer: bool,
    /// When it left, in µs.
    pub(crate) sent_us: u64,
    /// When it arrives, in µs.
    pub(crate) arrives_us: u64,
    /// The way is cut, or the receiver takes nothing at the moment.
    pub(crate) stalled: bool,
    /// Between brokers, and nothing but a sign of life: a heartbeat, or a fetch that finds nothing.
    pub(crate) is_idle: bool,
}

/// An invariant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    /// Its name.
    pub(crate) name: &'static str,
    /// True while nothing broke it.
    pub(crate) holds: bool,
    /// What it means, in a sentence.
    pub(crate) meaning: &'static str,
    /// What broke it.
    pub(crate) broken_by: Option<String>,
    /// The event that broke it.
    pub(crate) broken_at: Option<u64>,
}

/// Something that was lost, repeated or reordered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The event that showed it.
    pub(crate) event: u64,
    /// The name of the check.
    pub(crate) check: String,
    /// What it says about the contract.
    pub(crate) verdict: Verdict,
    /// As people are told.
    pub(crate) verdict_words: &'static str,
    /// What it is.
    pub(crate) what: String,
    /// How many acknowledged records are lost by it.
    pub(crate) acked: u64,
}

pub(crate) use sim::check::Verdict;

#[wasm_bindgen(typescript_custom_section)]
const TYPESCRIPT: &'static str = r#"
/** A moment of a run. Times are virtual microseconds, offsets are Kafka's: ends are exclusive. */
export interface View {
    timeUs: number;
    event: number;
    lastEvent: number;
    branch: number;
    branches: Branch[];
    hash: string;
    sentence: string;
    brokers: Broker[];
    partitions: Partition[];
    clients: Client[];
    links: [string, string][];
    cuts: [string, string][];
    messages: Message[];
    timers: Timer[];
    checks: Check[];
    findings: Finding[];
    atRisk: number;
    groups: Group[];
    ledger: Ledger;
}
export interface Branch { name: string; lastEvent: number; forkedAt: number | undefined }
export type State = "up" | "starting" | "stopping" | "down" | "dark" | "paused";
export interface Broker {
    name: string; id: number; state: State; isBroker: boolean; isController: boolean;
    brokerEpoch: number | undefined; quorumEpoch: number | undefined; fenced: boolean; connections: number; waits: Wait[];
}
export interface Wait { client: string; what: string; sinceUs: number; deadlineUs: number | undefined }
export interface Timer { process: string; what: string; sinceUs: number | undefined; atUs: number }
export interface Partition {
    name: string; topic: string; partition: number;
    leader: string | undefined; leaderEpoch: number; isr: string[]; elr: string[]; minIsr: number; replicas: Replica[];
    logStart: number; highWatermark: number; synced: number; logEnd: number;
    records: LogRecord[];
}
export interface Replica {
    broker: string; isThere: boolean; standing: "leader" | "in sync" | "out of sync" | "eligible (ELR)" | "fenced" | "opening" | "offline" | "offline, eligible" | "disk lost";
    led: number | undefined; believes: number | undefined; logStart: number; highWatermark: number; synced: number; logEnd: number;
    records: LogRecord[]; cut: LogRecord[];
}
export interface LogRecord {
    offset: number; leaderEpoch: number; key: string | undefined; value: string | undefined; timestampMs: number;
    baseOffset: number; producerId: number | undefined; sequence: number | undefined;
}
export interface Client {
    name: string; role: "producer" | "consumer" | "wire"; state: State; connected: boolean; load: string | undefined;
    ok: number; failed: number; unknown: number; pending: number; consumed: number; positions: Position[];
    answers: number; lastAnswer: string | undefined;
}
export interface Position { partition: string; offset: number | undefined; lag: number | undefined }
export interface Message {
    id: string; from: string; to: string; what: string; isAnswer: boolean; sentUs: number; arrivesUs: number; stalled: boolean; isIdle: boolean;
}
export interface Group {
    name: string; protocol: "classic" | "consumer"; assignor: string | undefined; state: string | undefined; epoch: number; coordinator: string | undefined;
    members: Member[]; shares: Share[]; pausedUs: number; newcomer: string | undefined; pausedSinceNewcomerUs: number; holds: string[];
}
export interface Member {
    client: string; instance: string | undefined; epoch: number | undefined; state: string; isLeader: boolean; isCounted: boolean; process: State; slowUs: number; pollUntilUs: number | undefined;
}
export interface Share {
    partition: string; owners: string[]; releasedBy: string | undefined; awaitedBy: string | undefined;
    committed: number | undefined; position: number | undefined; end: number; lag: number | undefined; pausedUs: number;
}
export interface Finding { event: number; check: string; verdict: "kept" | "allowed" | "bug"; what: string; acked: number }
export interface Ledger {
    ok: number; failed: number; unknown: number; pending: number; lost: number;
    operations: Operation[];
}
export interface Operation {
    client: string; what: string; asked: number; settled: number | undefined;
    outcome: "pending" | "ok" | "failed" | "unknown"; why: string | undefined; partition: string | undefined; offset: number | undefined;
    became: "there" | "twice" | "nowhere" | "deleted" | "lost" | undefined;
    verdict: "kept" | "allowed" | "bug" | undefined; lostAt: number | undefined;
}
export interface Check {
    name: string; holds: boolean; meaning: string;
    brokenBy: string | undefined; brokenAt: number | undefined;
}
"#;

#[cfg(test)]
mod tests {
    /// Declarations without comments, however they are laid out.
    fn declarations(text: &str) -> String {
        let lines = text.lines().filter(|line| !line.starts_with("/**"));
        let code = lines.map(|line| line.split("//").next().unwrap_or_default().trim().trim_start_matches("export "));
        code.collect::<Vec<_>>().join(" ").replace(';', " ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_document_has_the_types_that_scripts_get() {
        let page = include_str!("../../docs/api.md");
        // The macro leaves nothing of it that could be named.
        let own =
            include_str!("view.rs").split("r#\"").nth(1).and_then(|it| it.split("\"#").next()).expect("it is above");
        let told = page.split("```ts\n").nth(1).and_then(|it| it.split("```").next()).expect("the page has the types");
        assert_eq!(declarations(told), declarations(own));
    }
}
