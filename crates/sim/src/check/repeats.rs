//! Repeats that are no bugs: what a leader that was started, or elected, no longer knows of a producer.
//!
//! A broker keeps one batch of each producer where a log rolls, as Apache Kafka does. Of what is older than a producer's last batch
//! there it knows nothing after a start, and refuses what it has when that is sent again. Then the producer raises its epoch (KIP-360)
//! and sends all that was not acknowledged: twice in the log.
//!
//! A replica that is copied anew gets what its leader has, and no more: not what retention deleted there, nor who had sent it, as
//! with Apache Kafka. When it leads, such a batch is new to it.

use ordered::Map;
use protocol::ErrorCode;
use protocol::messages::ProduceResponse;

use super::Checks;
use super::ledger::{Author, PartitionLedger, Sent};
use crate::queue::Pid;

/// A partition's producers, and who of them may repeat itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    last: Map<Pid, Last>,
    refused: Map<Pid, Refused>,
}

/// A producer's last batch: its epoch, and its last record.
#[derive(Clone, Copy, Debug)]
struct Last {
    epoch: i16,
    number: u64,
    offset: i64,
}

/// A producer was told that its numbers are out of order by a leader that began when it had records already.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The leader began there: it has to know all that is behind.
    below: i64,
    /// In which epoch its producer sent what is before.
    epoch: i16,
    /// How many leaders have done so: each is good for one repeat.
    times: u8,
}

impl Repeats {
    /// A batch, of which this is the last record.
    pub(super) fn appended(&mut self, author: Author, epoch: i16, offset: i64) {
        self.last.insert(author.client, Last { epoch, number: author.number, offset });
    }

    fn refused(&mut self, client: Pid, below: i64) {
        let Some(&Last { epoch, .. }) = self.last.get(&client) else { return };
        let times = match self.refused.get(&client) {
            Some(before) if before.below >= below => return,
            Some(before) => before.times.saturating_add(1),
            None => 1,
        };
        self.refused.insert(client, Refused { below, epoch, times });
    }

    /// True if a record of which there are copies already may be sent once more in this epoch of its producer.
    fn is_refused(&self, client: Pid, copies: &Sent, epoch: i16) -> bool {
        self.refused
            .get(&client)
            .is_some_and(|it| copies.offset < it.below && copies.appended <= it.times && epoch > it.epoch)
    }

    /// True if a log that begins there has neither this record nor one that its producer sent later.
    fn is_unheard(&self, author: Author, copies: &Sent, begins_at: i64) -> bool {
        let is_before = |it: &Last| it.offset < begins_at || it.number < author.number;
        copies.offset < begins_at && self.last.get(&author.client).is_some_and(is_before)
    }

    /// Everything from `end` on is gone.
    pub(super) fn cut(&mut self, end: i64) {
        for refused in self.refused.values_mut() {
            refused.below = refused.below.min(end);
        }
        for last in self.last.values_mut() {
            last.offset = last.offset.min(end - 1);
        }
    }
}

impl PartitionLedger {
    /// Why a record of which there are copies already may be appended once more, in this epoch of its producer, by who leads.
    pub(super) fn excuse(&self, author: Author, copies: &Sent, epoch: i16) -> Option<&'static str> {
        let leader = self.leaders.get(&self.epochs.last()).and_then(|it| self.replicas.get(it));
        if self.repeats.is_refused(author.client, copies, epoch) {
            return Some(": a leader that began since did not know it, and its producer raised its epoch (KIP-360)");
        }
        let begins_at = leader.map_or(0, |it| it.begins_at);
        let is_unheard = self.repeats.is_unheard(author, copies, begins_at);
        is_unheard.then_some(": its leader's log was copied anew when retention had deleted the first")
    }
}

impl Checks {
    /// A producer hears what became of its batches, from the leader that it asked.
    pub(super) fn produce_answered(&mut self, client: Pid, leader: Pid, answer: &ProduceResponse) {
        for topic in &answer.responses {
            let is_refused = |code: i16| ErrorCode::from_code(code) == ErrorCode::OutOfOrderSequenceNumber;
            for at in topic.partition_responses.iter().filter(|it| is_refused(it.error_code)) {
                let found = self.partitions.iter_mut().find(|it| {
                    let is_named = !topic.name.is_empty() && it.topic == topic.name;
                    it.partition == at.index && (it.topic_id == topic.topic_id || is_named)
                });
                let Some(partition) = found else { continue };
                let Some(replica) = partition.replicas.get(&leader) else { continue };
                partition.repeats.refused(client, replica.leads_from);
            }
        }
    }
}
