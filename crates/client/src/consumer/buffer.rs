//! Fetched bytes of a partition on their way to polls: batches are read when their records are wanted.

use ordered::Set;
use std::collections::VecDeque;

use bytes::Bytes;
use protocol::messages::fetch_response::AbortedTransaction;
use protocol::records::{
    BatchHead, ControlType, HEAD_SIZE, PureCompressors, Record, Records, RecordsError, TimestampType, read,
};
use protocol::{LeaderEpoch, ProducerId, TopicPartition};

use crate::config::IsolationLevel;
use crate::outbox::ConsumerRecord;

/// What one fetch brought.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// Batches not yet read.
    rest: Bytes,
    /// Records of the batch at hand.
    records: VecDeque<Record>,
    leader_epoch: LeaderEpoch,
    log_append_time: bool,
    /// Where the partition goes on once these records are out: a batch may end beyond its last record (compaction).
    next_offset: i64,
    /// The offset of the next record for the application, or where the batches end.
    position: i64,
    /// The epoch of the last record given out.
    position_epoch: Option<LeaderEpoch>,
    isolation: IsolationLevel,
    /// Aborted transactions whose first offset is ahead, by that offset.
    aborted: VecDeque<AbortedTransaction>,
    /// Producers whose transaction at this place was aborted.
    aborting: Set<ProducerId>,
}

/// The batches of an answer cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

impl From<RecordsError> for Unreadable {
    fn from(error: RecordsError) -> Unreadable {
        Unreadable(error.to_string())
    }
}

impl Fetched {
    pub(super) fn new(
        position: i64,
        position_epoch: Option<LeaderEpoch>,
        records: Records,
        aborted: Vec<AbortedTransaction>,
        isolation: IsolationLevel,
    ) -> Result<Fetched, Unreadable> {
        let mut aborted = aborted;
        ordered::sort_by_key(&mut aborted, |it| it.first_offset);
        Ok(Fetched {
            rest: bytes_of(records)?,
            records: VecDeque::new(),
            leader_epoch: LeaderEpoch::NONE,
            log_append_time: false,
            next_offset: position,
            position,
            position_epoch,
            isolation,
            aborted: aborted.into(),
            aborting: Set::new(),
        })
    }

    /// Where the consumer is after what was given out, and the epoch there.
    pub(super) fn position(&self) -> (i64, Option<LeaderEpoch>) {
        (self.position, self.position_epoch)
    }

    /// Records that are decoded and waiting, or 1 for batches that are not decoded yet.
    pub(super) fn buffered(&self) -> usize {
        self.records.len().max(usize::from(!self.rest.is_empty()))
    }

    /// The next record, or `None` when all are out.
    pub(super) fn next(&mut self, partition: &TopicPartition) -> Result<Option<ConsumerRecord>, Unreadable> {
        loop {
            while let Some(record) = self.records.pop_front() {
                // A batch is sent whole: it may begin before what was asked.
                if record.offset.0 < self.position {
                    continue;
                }
                self.position = record.offset.0.saturating_add(1);
                self.position_epoch = Some(self.leader_epoch);
                return Ok(Some(ConsumerRecord {
                    partition: partition.clone(),
                    leader_epoch: self.leader_epoch,
                    log_append_time: self.log_append_time,
                    record,
                }));
            }
            self.position = self.position.max(self.next_offset);
            if !self.open_batch()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next batch; false if there is none.
    fn open_batch(&mut self) -> Result<bool, Unreadable> {
        // The last batch of an answer may be cut off; it comes whole with the next fetch.
        if self.rest.len() < HEAD_SIZE {
            self.rest.clear();
            return Ok(false);
        }
        let head = BatchHead::decode(&self.rest)?;
        if self.rest.len() < head.size() {
            self.rest.clear();
            return Ok(false);
        }
        let batch = self.rest.split_to(head.size());
        self.next_offset = head.next_offset().0;
        if self.isolation == IsolationLevel::ReadCommitted && self.is_aborted(&head, &batch)? {
            return Ok(true);
        }
        if head.attributes.is_control() {
            return Ok(true);
        }
        let records = read(&batch, &PureCompressors).next().transpose()?.map(|(_, records)| records);
        self.records = records.unwrap_or_default().into();
        self.leader_epoch = head.leader_epoch;
        self.log_append_time = head.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Ok(true)
    }

    /// Whether the batch belongs to a transaction that was aborted. Follows the markers on the way.
    fn is_aborted(&mut self, head: &BatchHead, batch: &Bytes) -> Result<bool, Unreadable> {
        while let Some(next) = self.aborted.pop_front_if(|it| it.first_offset <= head.last_offset().0) {
            self.aborting.insert(ProducerId(next.producer_id));
        }
        if head.attributes.is_control() {
            let records = read(batch, &PureCompressors).next().transpose()?.map(|(_, records)| records);
            let key = records.unwrap_or_default().into_iter().next().and_then(|it| it.key).unwrap_or_default();
            let kind = ControlType::of_key(&key).map_err(|error| Unreadable(error.to_string()))?;
            if kind == Some(ControlType::Abort) {
                self.aborting.remove(&head.producer_id);
            }
            return Ok(false);
        }
        Ok(head.attributes.is_transactional() && self.aborting.contains(&head.producer_id))
    }
}

fn bytes_of(records: Records) -> Result<Bytes, Unreadable> {
    match records {
        Records::Bytes(bytes) | Records::Refused(bytes, _) => Ok(bytes),
        Records::Batches(batches) => Ok(batches.write_pieces().concat().into()),
        Records::Regions(_) => Err(Unreadable("regions of a log instead of bytes".to_owned())),
    }
}
