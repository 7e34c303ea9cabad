//! A partition as a producer writes it: batches here, batches under way, and the numbers that keep them in order.

use std::collections::VecDeque;

use protocol::{Instant, NodeId, ProducerEpoch, ProducerId, TopicPartition};

use super::batch::{Batch, BatchId, Sequence, advance};
use crate::view::ProducerPartitionView;

/// The producer's id and epoch.
pub(crate) type Identity = (ProducerId, ProducerEpoch);

/// The oldest batch is first everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    pub(crate) queue: VecDeque<Batch>,
    pub(crate) in_flight: Vec<Batch>,
    /// Under which identity `next_sequence` counts.
    identity: Option<Identity>,
    next_sequence: i32,
    last_acked_sequence: Option<i32>,
    last_acked_offset: Option<i64>,
    /// A batch was given up that may have been written: no new numbers until it is known, by what follows, whether it
    /// was. Holds the number after it.
    unresolved: Option<i32>,
    /// The numbers do not match the log any more: the epoch must rise.
    pub(crate) wants_bump: bool,
}

impl Partition {
    /// Batches with numbers that are not acknowledged: under way, or waiting to be sent again. Those are the first in the
    /// queue.
    fn numbered(&mut self) -> impl Iterator<Item = &mut Batch> {
        let again = self.queue.iter_mut().take_while(|it| it.sequence.is_some());
        self.in_flight.iter_mut().filter(|it| it.sequence.is_some()).chain(again)
    }

    fn has_numbered(&self) -> bool {
        self.first_numbered().is_some()
    }

    fn first_numbered(&self) -> Option<Sequence> {
        let again = self.queue.iter().map_while(|it| it.sequence);
        self.in_flight.iter().filter_map(|it| it.sequence).chain(again).min()
    }

    /// Whether the first batch in the queue may leave now, for an idempotent producer of this identity.
    pub(crate) fn may_send(&self, identity: Identity) -> bool {
        let Some(first) = self.queue.front() else { return false };
        match first.sequence {
            // A new epoch begins at 0; what is under way in the old one must be settled first. And its first batch travels
            // alone: a log that knows nothing of a producer yet takes any number, so the second would be written although
            // the first was refused. Apache Kafka's client does not wait, and repeats and reorders then.
            None => {
                let is_known = self.identity == Some(identity) && self.last_acked_sequence.is_some();
                (is_known || !self.has_numbered()) && self.unresolved.is_none()
            }
            // A retry: only the oldest unsettled batch may leave, so that they arrive in order.
            Some(sequence) => self.first_numbered() == Some(sequence),
        }
    }

    /// Numbers the first batch of the queue if it has no numbers yet.
    pub(crate) fn number_first(&mut self, identity: Identity) {
        if self.identity != Some(identity) && !self.has_numbered() {
            self.restart_numbers(identity);
        }
        let base = self.next_sequence;
        if let Some(first) = self.queue.front_mut().filter(|it| it.sequence.is_none()) {
            first.number(Sequence { producer_id: identity.0, epoch: identity.1, base });
            self.next_sequence = advance(base, first.records.len() as i64);
        }
    }

    /// Numbers begin at 0 under a new identity; batches that have numbers get new ones, in order.
    pub(crate) fn restart_numbers(&mut self, identity: Identity) {
        let mut order: Vec<(Sequence, BatchId)> =
            self.numbered().filter_map(|it| Some((it.sequence?, it.id))).collect();
        ordered::sort(&mut order);
        let mut base = 0;
        for (_, id) in order {
            if let Some(batch) = self.numbered().find(|it| it.id == id) {
                batch.number(Sequence { producer_id: identity.0, epoch: identity.1, base });
                batch.renumbered = true;
                base = advance(base, batch.records.len() as i64);
            }
        }
        self.identity = Some(identity);
        self.next_sequence = base;
        self.last_acked_sequence = None;
        self.unresolved = None;
        self.wants_bump = false;
    }

    /// Puts a batch back, before those that came after it.
    pub(crate) fn reenqueue(&mut self, batch: Batch) {
        let place = match batch.sequence {
            // Without numbers a retry goes first, and so may overtake what is under way: that is the reordering that
            // max.in.flight.requests.per.connection > 1 allows.
            None => 0,
            Some(sequence) => self.queue.iter().take_while(|it| it.sequence.is_some_and(|it| it < sequence)).count(),
        };
        self.queue.insert(place, batch);
    }

    /// Takes a batch whose request is settled.
    pub(crate) fn take_in_flight(&mut self, id: BatchId) -> Option<Batch> {
        let index = self.in_flight.iter().position(|it| it.id == id)?;
        Some(self.in_flight.remove(index))
    }

    /// A batch was written.
    pub(crate) fn acknowledge(&mut self, batch: &Batch, base_offset: Option<i64>) {
        if let Some(last) = batch.last_sequence() {
            self.last_acked_sequence = Some(self.last_acked_sequence.map_or(last, |it| it.max(last)));
        }
        if let Some(base) = base_offset {
            let last = base.saturating_add(batch.records.len() as i64 - 1);
            self.last_acked_offset = Some(self.last_acked_offset.map_or(last, |it| it.max(last)));
        }
    }

    /// True if `sequence` follows what was acknowledged last.
    fn is_next(&self, sequence: i32) -> bool {
        self.last_acked_sequence.map_or(sequence == 0, |last| advance(last, 1) == sequence)
    }

    /// A batch was given up without knowing whether it was written.
    pub(crate) fn mark_unresolved(&mut self, batch: &Batch) {
        if let Some(last) = batch.last_sequence() {
            let next = advance(last, 1);
            self.unresolved = Some(self.unresolved.map_or(next, |it| it.max(next)));
        }
    }

    /// Once nothing is under way it shows: either the numbers add up, or there is a gap.
    pub(crate) fn resolve(&mut self) {
        if self.unresolved.is_some() && !self.has_numbered() {
            self.unresolved = None;
            if !self.is_next(self.next_sequence) {
                self.wants_bump = true;
            }
        }
    }

    /// OUT_OF_ORDER_SEQUENCE_NUMBER: either an earlier batch failed and this one only has to wait for it, or the log has
    /// lost what was acknowledged, and only a new epoch helps.
    pub(crate) fn handle_out_of_order(&mut self, batch: &Batch) {
        let Some(sequence) = batch.sequence else { return };
        let waits = self.unresolved.is_none() && (batch.renumbered || !self.is_next(sequence.base));
        if !waits && self.unresolved.is_none_or(|next| next == sequence.base) {
            self.wants_bump = true;
        }
    }

    /// UNKNOWN_PRODUCER_ID: the broker forgot this producer.
    pub(crate) fn handle_unknown_producer(&mut self, batch: &Batch, log_start: i64) {
        if log_start >= 0 && !batch.renumbered {
            self.wants_bump = true;
        }
    }

    /// When the first batch here must be given up. The queue's first is its oldest.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.in_flight.iter().chain(self.queue.front()).map(|it| it.expires_at).min()
    }

    pub(crate) fn view(&self, partition: &TopicPartition) -> ProducerPartitionView {
        ProducerPartitionView {
            partition: partition.clone(),
            next_sequence: self.next_sequence,
            queued: self.queue.iter().map(Batch::view).collect(),
            in_flight: self.in_flight.iter().map(Batch::view).collect(),
        }
    }
}

/// Where a round of sending begins among a broker's partitions: after the one that was first last time, so that a full
/// request does not starve the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(ordered::Map<NodeId, usize>);

impl Turns {
    pub(crate) fn start(&mut self, node: NodeId, partitions: usize) -> usize {
        let turn = self.0.entry(node).or_default();
        let start = *turn % partitions.max(1);
        *turn = start + 1;
        start
    }
}
