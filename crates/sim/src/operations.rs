//! The ledger of what clients asked for: who, what, when, what they were told, and what became of it.
//!
//! Records to send are in the books of the checks, all of them. Of what else clients ask for what is not over is kept here, and of the
//! rest so many: requests of the admin, commits, also those that a consumer makes by itself, polls that bring records or fail, and what
//! else its application asks.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;

use client::admin::{AdminCall, ConfigChange};
use client::{Answer, GroupEvent, OpId, Operation as Asked, Outcome};
use protocol::{Offset, Str, TopicPartition};

use crate::check::{Became, Told};
use crate::narration::operation_name;
use crate::queue::Pid;
use crate::world::World;

/// Operations that are no sends, are over and are kept.
const KEPT: usize = 512;

/// Something that a client was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub client: Str,
    /// What.
    pub what: String,
    /// The event at which it heard of that; of what it has not heard yet, the one that comes next.
    pub asked: u64,
    /// The event at which it was told what came of it.
    pub settled: Option<u64>,
    /// What it was told.
    pub told: Told,
    /// Why it was not done, or may not have been; empty if it was.
    pub why: Str,
    /// Of a record: where it is, or was.
    pub place: Option<(TopicPartition, Offset)>,
    /// Of a record: what became of it.
    pub became: Option<Became>,
}

/// Which operations are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// Those that were told failed.
    Failed,
    /// Those that were told nothing.
    Unknown,
    /// Records that were told ok and are lost.
    Lost,
    /// Records that are there more than once.
    Twice,
}

impl Which {
    /// All of them.
    pub const ALL: [Which; 5] = [Which::All, Which::Failed, Which::Unknown, Which::Lost, Which::Twice];

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Which::All => "all",
            Which::Failed => "failed",
            Which::Unknown => "unknown",
            Which::Lost => "lost",
            Which::Twice => "twice",
        }
    }

    pub(crate) fn has(self, it: &Operation) -> bool {
        match self {
            Which::All => true,
            Which::Failed => it.told == Told::Failed,
            Which::Unknown => it.told == Told::Unknown,
            Which::Lost => it.told == Told::Ok && matches!(it.became, Some(Became::Lost(..))),
            Which::Twice => it.became == Some(Became::Twice),
        }
    }
}

/// How many there were of each outcome, and some of them, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Done.
    pub ok: u64,
    /// Not done.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Not told yet.
    pub pending: u64,
    /// Acknowledged records that are lost.
    pub lost: u64,
    /// The newest of those that were asked for.
    pub operations: Vec<Operation>,
}

/// What is no send.
#[derive(Clone, Debug)]
struct Other {
    client: Pid,
    id: Id,
    is_poll: bool,
    /// 0 before its client has heard of it.
    asked: u64,
    settled: u64,
    what: String,
    told: Told,
    why: Str,
}

impl Other {
    /// What is kept longest: polls come by the hundred, and what was not done is looked for.
    fn worth(&self) -> u8 {
        match self.told {
            Told::Pending => 3,
            _ if self.is_poll => 0,
            Told::Ok => 1,
            Told::Failed | Told::Unknown => 2,
        }
    }
}

/// What brings the news of an operation's end.
#[derive(Clone, Debug, PartialEq)]
enum Id {
    /// Its outcome.
    Operation(OpId),
    /// What a consumer says of a commit that it makes by itself.
    Commit(u64),
}

/// What is kept of the operations that are no sends. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    /// In the order in which they were asked for.
    kept: VecDeque<Arc<Other>>,
    ok: u64,
    failed: u64,
    unknown: u64,
    pending: u64,
}

impl Operations {
    /// Somebody wants something of a client.
    pub(crate) fn wanted(&mut self, client: Pid, op: OpId, asked: &Asked) {
        // Who listens for rebalances waits for nothing in particular.
        if *asked != Asked::Listen {
            self.begin(0, client, Id::Operation(op), words(asked), matches!(asked, Asked::Poll { .. }));
        }
    }

    /// A client hears of it.
    pub(crate) fn asked(&mut self, event: u64, client: Pid, op: OpId) {
        if let Some(index) = self.find(client, |it| it.id == Id::Operation(op)) {
            Arc::make_mut(&mut self.kept[index]).asked = event;
        }
    }

    fn begin(&mut self, asked: u64, client: Pid, id: Id, what: String, is_poll: bool) {
        self.pending += 1;
        let (told, why) = (Told::Pending, Str::new());
        self.kept.push_back(Arc::new(Other { client, id, is_poll, asked, settled: 0, what, told, why }));
    }

    /// A client is told the outcome of what is no send.
    pub(crate) fn settled(&mut self, event: u64, client: Pid, op: OpId, outcome: &Outcome) {
        let told = Told::of(outcome);
        let why = outcome.failure().map_or(Str::new(), |it| Str::from(it.cause.word()));
        let records = match outcome {
            Outcome::Ok(Answer::Records(records)) => Some(records),
            _ => None,
        };
        let Some(index) = self.find(client, |it| it.id == Id::Operation(op)) else { return };
        match records {
            // A reader polls all the time.
            Some(records) if records.is_empty() => {
                self.kept.remove(index);
                self.pending -= 1;
            }
            Some(records) => {
                let first = records.first().map(|it| format!("{} {}", it.partition, it.record.offset));
                let more = format!("poll: {} from {}", records.len(), first.unwrap_or_default());
                self.end(index, event, told, why, Some(more));
            }
            None => self.end(index, event, told, why, None),
        }
    }

    /// A member says something of its group.
    pub(crate) fn group_said(&mut self, event: u64, client: Pid, said: &GroupEvent) {
        let (id, told, why) = match said {
            GroupEvent::Commits { id, op, offsets } => {
                let mut what = "commit".to_owned();
                for (partition, offset) in offsets {
                    // A string takes everything.
                    let _ = write!(what, " {partition} {offset}");
                }
                let Some(op) = *op else { return self.begin(event, client, Id::Commit(*id), what, false) };
                if let Some(index) = self.find(client, |it| it.id == Id::Operation(op)) {
                    Arc::make_mut(&mut self.kept[index]).what = what;
                }
                return;
            }
            GroupEvent::Committed { id, .. } => (*id, Told::Ok, Str::new()),
            GroupEvent::CommitFailed { id, error: Some(error), .. } => (*id, Told::Failed, Str::from(error.name())),
            GroupEvent::CommitFailed { id, error: None, .. } => (*id, Told::Unknown, Str::from_static("no answer")),
            _ => return,
        };
        if let Some(index) = self.find(client, |it| it.id == Id::Commit(id)) {
            self.end(index, event, told, why, None);
        }
    }

    /// A client's process is gone: what it was not told, it never will be.
    pub(crate) fn client_died(&mut self, event: u64, client: Pid) {
        while let Some(index) = self.find(client, |_| true) {
            self.end(index, event, Told::Unknown, Str::from_static(crate::check::ENDED), None);
        }
    }

    /// The newest of a client's that is not settled.
    fn find(&self, client: Pid, is: impl Fn(&Other) -> bool) -> Option<usize> {
        self.kept.iter().rposition(|it| it.told == Told::Pending && it.client == client && is(it))
    }

    fn end(&mut self, index: usize, event: u64, told: Told, why: Str, what: Option<String>) {
        let Some(it) = self.kept.get_mut(index) else { return };
        let it = Arc::make_mut(it);
        (it.settled, it.told, it.why) = (event, told, why);
        if it.asked == 0 {
            // Its process ended before it heard of it: somebody wanted it after this event.
            it.asked = event;
        }
        it.what = what.unwrap_or_else(|| std::mem::take(&mut it.what));
        self.pending -= 1;
        match told {
            Told::Pending => {}
            Told::Ok => self.ok += 1,
            Told::Failed => self.failed += 1,
            Told::Unknown => self.unknown += 1,
        }
        if self.kept.len() as u64 - self.pending > KEPT as u64 {
            let least = self.kept.iter().enumerate().min_by_key(|(_, it)| it.worth()).map_or(0, |it| it.0);
            self.kept.remove(least);
        }
    }
}

impl World {
    /// The ledger of every operation: of those of one kind that begin before an event the newest, so many and those that begin with
    /// the last of them. Of a kind that is not all, the newest 4,096 of each producer are looked at that were not told ok and are
    /// there; of what is no send and over, 512 are there: of more, polls went first, then what was done.
    pub fn ledger(&self, which: Which, before: u64, count: usize) -> Ledger {
        let (next, count) = (self.events + 1, count.max(1));
        let mut ledger = Ledger {
            ok: self.operations.ok,
            failed: self.operations.failed,
            unknown: self.operations.unknown,
            pending: self.operations.pending,
            lost: self.checks.acked_lost(),
            operations: self.checks.sends(which, before, count, next),
        };
        for pid in 0..self.processes.len() {
            let tally = self.checks.tally(Pid(pid as u16));
            ledger.ok += tally.ok;
            ledger.failed += tally.failed;
            ledger.unknown += tally.unknown;
            ledger.pending += tally.sent - tally.ok - tally.failed - tally.unknown;
        }
        let others = self.operations.kept.iter().rev().map(|it| Operation {
            client: self.name(it.client).clone(),
            what: it.what.clone(),
            asked: if it.asked == 0 && it.told == Told::Pending { next } else { it.asked },
            settled: (it.told != Told::Pending).then_some(it.settled),
            told: it.told,
            why: it.why.clone(),
            place: None,
            became: None,
        });
        ledger.operations.extend(others.filter(|it| it.asked < before && which.has(it)));
        // The newest first; of those that were asked for at one event the order stays.
        ordered::sort_by(&mut ledger.operations, |a, b| b.asked.cmp(&a.asked));
        // Whoever asks for those before the last would never see what begins with it.
        let last = ledger.operations.get(count - 1).map_or(0, |it| it.asked);
        ledger.operations.retain(|it| it.asked >= last);
        ledger
    }
}

/// What somebody asked a client for.
fn words(asked: &Asked) -> String {
    let Asked::Admin(call) = asked else { return operation_name(asked).to_owned() };
    let mut text = call.api().name().to_owned();
    let mut add = |it: &dyn std::fmt::Display| {
        // A string takes everything.
        let _ = write!(text, " {it}");
    };
    match call {
        AdminCall::CreateTopics { topics, .. } => topics.iter().for_each(|it| add(&it.name)),
        AdminCall::DeleteTopics { topics } | AdminCall::DescribeTopics { topics } => {
            topics.iter().for_each(|it| add(it));
        }
        AdminCall::CreatePartitions { topics, .. } => {
            topics.iter().for_each(|it| add(&format_args!("{} {}", it.topic, it.total_count)));
        }
        AdminCall::DeleteRecords { partitions } => {
            partitions.iter().for_each(|(partition, before)| add(&format_args!("{partition} before {before}")));
        }
        AdminCall::IncrementalAlterConfigs { resources, .. } => {
            for (resource, changes) in resources {
                add(&resource.name);
                for it in changes {
                    match &it.change {
                        ConfigChange::Set(value) => add(&format_args!("{}={value}", it.name)),
                        _ => add(&it.name),
                    }
                }
            }
        }
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that the consumer makes by itself leaves while its application's waits, and both are of the same offsets.
    #[test]
    fn commits_are_told_apart_however_alike_they_are() {
        let (client, op) = (Pid(3), OpId(1 << 40));
        let partition = TopicPartition { topic: Str::from_static("t"), partition: 0 };
        let commits =
            |id: u64, op: Option<OpId>| GroupEvent::Commits { id, op, offsets: vec![(partition.clone(), Offset(5))] };
        let mut operations = Operations::default();
        operations.wanted(client, op, &Asked::Commit(None));
        operations.asked(1, client, op);
        operations.group_said(2, client, &commits(1, None));
        let rows = |it: &Operations| it.kept.iter().map(|it| (it.what.clone(), it.asked, it.told)).collect::<Vec<_>>();
        let row = |what: &str, asked: u64, told: Told| (what.to_owned(), asked, told);
        assert_eq!(rows(&operations), [row("commit", 1, Told::Pending), row("commit t-0 5", 2, Told::Pending)]);
        operations.group_said(3, client, &commits(2, Some(op)));
        operations.group_said(4, client, &GroupEvent::Committed { id: 2, offsets: Vec::new() });
        assert_eq!(operations.pending, 2, "its outcome is still to come");
        operations.settled(4, client, op, &Outcome::Ok(Answer::Done));
        operations.group_said(5, client, &GroupEvent::CommitFailed { id: 1, offsets: Vec::new(), error: None });
        assert_eq!(rows(&operations), [row("commit t-0 5", 1, Told::Ok), row("commit t-0 5", 2, Told::Unknown)]);
        assert_eq!((operations.ok, operations.unknown, operations.pending), (1, 1, 0));
    }
}
