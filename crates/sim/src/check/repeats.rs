//! Repeats that are no bugs: what a leader that was started, or elected, no longer knows of a producer.
//!
//! A broker keeps one batch of each producer where a log rolls, as Apache Kafka does. Of what is older than a producer's last batch
//! there it knows nothing after a start, and refuses what it has when that is sent again. Then the producer raises its epoch (KIP-360)
//! and sends all that was not acknowledged: twice in the log.

use ordered::Map;
use protocol::ErrorCode;
use protocol::messages::ProduceResponse;

use super::Checks;
use super::ledger::Sent;
use crate::queue::Pid;

/// A partition's producers, and who of them may repeat itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats {
    /// The epoch of the last batch of each.
    epochs: Map<Pid, i16>,
    refused: Map<Pid, Refused>,
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
    pub(super) fn appended(&mut self, client: Pid, epoch: i16) {
        self.epochs.insert(client, epoch);
    }

    fn refused(&mut self, client: Pid, below: i64) {
        let Some(&epoch) = self.epochs.get(&client) else { return };
        let times = match self.refused.get(&client) {
            Some(before) if before.below >= below => return,
            Some(before) => before.times.saturating_add(1),
            None => 1,
        };
        self.refused.insert(client, Refused { below, epoch, times });
    }

    /// True if a record of which there are copies already may be sent once more in this epoch of its producer.
    pub(super) fn excuse(&self, client: Pid, copies: &Sent, epoch: i16) -> bool {
        self.refused
            .get(&client)
            .is_some_and(|it| copies.offset < it.below && copies.appended <= it.times && epoch > it.epoch)
    }

    /// Everything from `end` on is gone.
    pub(super) fn cut(&mut self, end: i64) {
        for refused in self.refused.values_mut() {
            refused.below = refused.below.min(end);
        }
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
