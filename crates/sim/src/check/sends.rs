//! The ledger of records to send: what each producer was told of each, and what became of it.

use ordered::Set;
use protocol::{Offset, Str, TopicPartition};

use super::ledger::{Author, Sent, step};
use super::{Checks, Told, Verdict};
use crate::operations::{Operation, Which};
use crate::queue::Pid;

/// Why nobody knows what became of what a process that ended had asked for.
pub(crate) const ENDED: &str = "no answer: its process ended";
/// Of the records that are not simply ok and there, so many of each producer are looked at, the newest.
const ODD: usize = 4_096;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is in its partition.
    There,
    /// It is there more than once.
    Twice,
    /// It is in no log, and never was as far as anybody saw.
    Nowhere,
    /// It was there: retention, DeleteRecords or the deletion of its topic took it.
    Deleted,
    /// It was in a log and is lost: at which event, and what that says about the contract.
    Lost(Option<u64>, Verdict),
}

impl Became {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Became::There => "there",
            Became::Twice => "twice",
            Became::Nowhere => "nowhere",
            Became::Deleted => "deleted",
            Became::Lost(..) => "lost",
        }
    }
}

impl Checks {
    /// A producer hears of a record that it is to send.
    pub(crate) fn asked(&mut self, event: u64, pid: Pid, number: u64) {
        let Some(client) = self.client_mut(pid) else { return };
        if let Some(sent) = usize::try_from(number).ok().and_then(|it| client.sent.at_mut(it)) {
            sent.asked = step(event);
        }
        client.overtaking = client.overtaking.max(number.saturating_sub(client.heard));
        client.heard += 1;
    }

    /// How many acknowledged records are lost.
    pub(crate) fn acked_lost(&self) -> u64 {
        self.partitions.iter().map(|it| it.acked_lost).sum()
    }

    /// The records of all clients as operations, the newest first, that begin before an event: of each client so many, and those
    /// that begin with the last of them. `next` is the event that comes next.
    pub(crate) fn sends(&self, which: Which, before: u64, count: usize, next: u64) -> Vec<Operation> {
        let clients = self.clients.iter().enumerate();
        let clients = clients.filter_map(|(pid, it)| Some((Pid(pid as u16), it.as_ref()?)));
        let mut found = Vec::new();
        for (client, ledger) in clients {
            let mut rows: Vec<Operation> = Vec::new();
            let mut passed = 0;
            let sent = |number: u64| {
                let sent = ledger.sent.at(usize::try_from(number).ok()?)?;
                let asked = sent.begins(next);
                (asked < before).then_some((sent, asked))
            };
            let mut look = |number: u64| {
                let Some((sent, asked)) = sent(number) else { return true };
                if rows.get(count - 1).is_some_and(|last| asked < last.asked) {
                    passed += 1;
                    return passed <= ledger.overtaking;
                }
                let row = self.operation(Author { client, number }, &ledger.name, sent, asked);
                rows.extend(Some(row).filter(|it| which.has(it)));
                true
            };
            if which == Which::All {
                // They begin in the order of their numbers, but that some overtake: behind one that begins later, none further
                // than that begins before.
                let all = ledger.sent.len() as u64;
                let (mut low, mut high) = (0, all);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if sent(middle).is_some() { low = middle + 1 } else { high = middle }
                }
                let end = all.min(low + ledger.overtaking + 1);
                let _all_or_enough = (0..end).rev().all(&mut look);
            } else {
                let odd = ledger.odd.len();
                let odd: Set<u64> = ledger.odd.iter_from(odd.saturating_sub(ODD)).copied().collect();
                let _all_or_enough = odd.iter().rev().all(|it| look(*it));
            }
            found.append(&mut rows);
        }
        found
    }

    fn operation(&self, author: Author, name: &Str, sent: &Sent, asked: u64) -> Operation {
        let partition = self.partitions.get(usize::from(sent.partition)).filter(|_| sent.offset >= 0);
        let place = partition
            .map(|it| (TopicPartition { topic: it.topic.clone(), partition: it.partition }, Offset(sent.offset)));
        Operation {
            client: name.clone(),
            what: format!("record {}", author.number),
            asked,
            settled: (sent.told != Told::Pending).then_some(sent.settled.into()),
            told: sent.told,
            why: self.reasons.get(usize::from(sent.why).wrapping_sub(1)).cloned().unwrap_or_default(),
            place,
            became: self.became(author, sent),
        }
    }

    fn became(&self, author: Author, sent: &Sent) -> Option<Became> {
        let Some(partition) = self.partitions.get(usize::from(sent.partition)).filter(|_| sent.offset >= 0) else {
            return (sent.told != Told::Pending).then_some(Became::Nowhere);
        };
        let offset = Offset(sent.offset);
        Some(if sent.appended > 1 {
            Became::Twice
        } else if partition.entry(offset).is_some_and(|it| it.author() == Some(author)) {
            if sent.offset < partition.log_start { Became::Deleted } else { Became::There }
        } else if !partition.was_lost(offset, sent.print, false) {
            // Its topic is another by now.
            Became::Deleted
        } else {
            let cut = partition.cuts.iter().rfind(|it| (it.from..it.to).contains(&sent.offset));
            let verdict = match (sent.told, cut) {
                (Told::Ok, Some(cut)) => cut.verdict,
                (Told::Ok, None) => Verdict::Allowed,
                _ => Verdict::Kept,
            };
            Became::Lost(cut.map(|it| it.event), verdict)
        })
    }

    /// The number of a reason; of more than a byte tells, the last stands for all.
    pub(super) fn reason(&mut self, why: &str) -> u8 {
        let index = self.reasons.iter().position(|it| **it == *why).unwrap_or_else(|| {
            if self.reasons.len() < usize::from(u8::MAX) {
                self.reasons.push(Str::from(why));
            }
            self.reasons.len() - 1
        });
        index as u8 + 1
    }

    /// A record is not simply ok and there.
    pub(super) fn is_odd(&mut self, author: Author) {
        if let Some(client) = self.client_mut(author.client) {
            client.odd.push(author.number);
        }
    }

    /// A producer is told where a record is that is in no log which counts.
    pub(super) fn told_place(&mut self, pid: Pid, number: u64, index: usize, offset: Offset) {
        let client = self.client_mut(pid);
        let sent = client.and_then(|it| it.sent.at_mut(usize::try_from(number).ok()?));
        if let Some(sent) = sent.filter(|it| it.offset < 0) {
            (sent.offset, sent.partition) = (offset.0, u16::try_from(index).unwrap_or(u16::MAX));
        }
    }

    /// A producer is told ok of a record that is lost already.
    pub(super) fn strayed(&mut self, event: u64, author: Author, index: usize, offset: Offset) {
        let partition = &self.partitions[index];
        let of = TopicPartition { topic: partition.topic.clone(), partition: partition.partition };
        let what = format!(
            "1 acknowledged record of {}, at {offset}, is lost: who said ok leads no more, and others lead without it",
            partition.label()
        );
        self.is_odd(author);
        self.find_lost(event, Verdict::Allowed, what, 1, of);
    }
}
