//! What a log knows of its idempotent producers (KIP-98, KIP-360): enough to tell a retry from a gap.

use ordered::Map;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::message::{decode_versioned, encode_versioned};
use protocol::messages::ProducerSnapshot;
use protocol::messages::producer_snapshot::ProducerEntry;
use protocol::records::control::EndTransaction;
use protocol::records::{BatchHead, crc32c};
use protocol::{ErrorCode, Offset, ProducerEpoch, ProducerId, WallMs};

use crate::clean::transactions::Aborted;

/// Batches remembered per producer: as many as a client may have in flight.
pub const BATCHES_REMEMBERED: usize = 5;
/// Kafka's snapshot version.
const SNAPSHOT_VERSION: i16 = 1;
/// Version and CRC stand in front of what the CRC covers.
const SNAPSHOT_HEAD: usize = 6;

/// A batch that a producer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Where it is.
    pub base_offset: Offset,
    /// Where its last record is.
    pub last_offset: Offset,
    /// Its greatest timestamp in ms.
    pub timestamp: i64,
}

/// What a batch is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// To be appended.
    New,
    /// A retry of a batch that is in the log: it is answered with the old place and not appended.
    Duplicate(ProducedBatch),
}

/// One producer, as the log has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The newest epoch.
    pub epoch: ProducerEpoch,
    /// The newest batches of that epoch, oldest first; none after a marker of a new epoch.
    pub batches: VecDeque<ProducedBatch>,
    /// Timestamp of its last append in ms; what expiry counts from.
    pub last_timestamp: i64,
    /// Of the coordinator that wrote the last marker, -1 if none did.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub open_transaction: Option<Offset>,
}

/// All producers of a log. A clone shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    all: Arc<Map<ProducerId, Producer>>,
    /// How many of them have an open transaction.
    open: usize,
}

impl Producers {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.all.iter().map(|(id, producer)| (*id, producer))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What a client's batch is to the log, by Kafka's rules. The refusals are OUT_OF_ORDER_SEQUENCE_NUMBER and
    /// INVALID_PRODUCER_EPOCH.
    pub fn check(&self, head: &BatchHead) -> Result<Sequence, ErrorCode> {
        if !head.has_producer_id() {
            return Ok(Sequence::New);
        }
        // An unknown producer may begin anywhere: what it wrote before may be deleted.
        let Some(producer) = self.all.get(&head.producer_id) else { return Ok(Sequence::New) };
        if let Some(batch) = producer.duplicate_of(head) {
            return Ok(Sequence::Duplicate(*batch));
        }
        if head.producer_epoch < producer.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let in_sequence = if head.producer_epoch > producer.epoch {
            head.base_sequence == 0
        } else {
            follows(producer.batches.back().map_or(-1, |batch| batch.last_sequence), head.base_sequence)
        };
        if in_sequence { Ok(Sequence::New) } else { Err(ErrorCode::OutOfOrderSequenceNumber) }
    }

    /// Takes note of a batch that was appended.
    pub(crate) fn apply(&mut self, head: &BatchHead) {
        if !head.has_producer_id() {
            return;
        }
        let producer = Arc::make_mut(&mut self.all).entry(head.producer_id).or_insert_with(|| Producer {
            epoch: head.producer_epoch,
            batches: VecDeque::new(),
            last_timestamp: -1,
            coordinator_epoch: -1,
            open_transaction: None,
        });
        let was_open = producer.open_transaction.is_some();
        producer.apply(head);
        match (was_open, producer.open_transaction.is_some()) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
    }

    /// Takes note of a batch that is in the log, and of what it says if it is a marker. Answers the transaction that it aborts.
    pub(crate) fn replay(&mut self, head: &BatchHead, marker: Option<EndTransaction>) -> Option<Aborted> {
        let Some(marker) = marker else {
            self.apply(head);
            return None;
        };
        // A marker without a batch before it aborts nothing that a reader could see.
        let first = self.all.get(&head.producer_id).and_then(|producer| producer.open_transaction);
        self.apply(head);
        if let Some(producer) = Arc::make_mut(&mut self.all).get_mut(&head.producer_id) {
            producer.coordinator_epoch = marker.coordinator_epoch;
        }
        let last = head.base_offset;
        let last_stable = self.first_open_transaction().unwrap_or(last.plus(1));
        let first = first.filter(|_| !marker.committed)?;
        Some(Aborted { first, last, producer_id: head.producer_id, last_stable })
    }

    /// Forgets producers that have not written for so long, unless a transaction of theirs is open.
    pub(crate) fn expire(&mut self, now: WallMs, expiration_ms: i64) {
        let expired =
            |it: &Producer| it.open_transaction.is_none() && now.0.saturating_sub(it.last_timestamp) >= expiration_ms;
        if self.all.values().any(expired) {
            Arc::make_mut(&mut self.all).retain(|_, producer| !expired(producer));
        }
    }

    /// Where the first open transaction begins.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        if self.open == 0 {
            return None;
        }
        self.all.values().filter_map(|producer| producer.open_transaction).min()
    }

    /// The bytes of a `.snapshot` file. As in Kafka, only the last batch of each producer is in it.
    pub fn snapshot(&self) -> Bytes {
        let producer_entries = self
            .iter()
            .map(|(id, producer)| {
                let last = producer.batches.back();
                ProducerEntry {
                    producer_id: id.0,
                    epoch: producer.epoch.0,
                    last_sequence: last.map_or(-1, |it| it.last_sequence),
                    last_offset: last.map_or(-1, |it| it.last_offset.0),
                    offset_delta: last.map_or(0, |it| (it.last_offset.0 - it.base_offset.0) as i32),
                    timestamp: producer.last_timestamp,
                    coordinator_epoch: producer.coordinator_epoch,
                    current_txn_first_offset: producer.open_transaction.map_or(-1, |offset| offset.0),
                }
            })
            .collect();
        let mut snapshot = ProducerSnapshot { crc: 0, producer_entries };
        let encoded = encode_versioned(&mut snapshot, SNAPSHOT_VERSION).expect("a snapshot of plain integers encodes");
        let mut bytes = BytesMut::from(&encoded[..]);
        let crc = crc32c(&bytes[SNAPSHOT_HEAD..]);
        bytes[2..SNAPSHOT_HEAD].copy_from_slice(&crc.to_be_bytes());
        bytes.freeze()
    }

    /// Reads a `.snapshot` file. `None` for bytes that are none: it is a cache, the log has the truth.
    pub fn parse(bytes: Bytes) -> Option<Producers> {
        let crc = crc32c(bytes.get(SNAPSHOT_HEAD..)?);
        let (version, snapshot): (i16, ProducerSnapshot) = decode_versioned(bytes).ok()?;
        if version != SNAPSHOT_VERSION || snapshot.crc != crc {
            return None;
        }
        let producers = snapshot.producer_entries.into_iter().map(|it| (ProducerId(it.producer_id), Producer::of(&it)));
        let all: Map<ProducerId, Producer> = producers.collect();
        let open = all.values().filter(|producer| producer.open_transaction.is_some()).count();
        Some(Producers { all: Arc::new(all), open })
    }
}

impl Producer {
    fn of(entry: &ProducerEntry) -> Producer {
        let delta = entry.offset_delta.max(0);
        let last = ProducedBatch {
            first_sequence: entry.last_sequence.wrapping_sub(delta) & i32::MAX,
            last_sequence: entry.last_sequence,
            base_offset: Offset(entry.last_offset.saturating_sub(i64::from(delta))),
            last_offset: Offset(entry.last_offset),
            timestamp: entry.timestamp,
        };
        Producer {
            epoch: ProducerEpoch(entry.epoch),
            batches: (entry.last_offset >= 0).then_some(last).into_iter().collect(),
            last_timestamp: entry.timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            open_transaction: (entry.current_txn_first_offset >= 0).then_some(Offset(entry.current_txn_first_offset)),
        }
    }

    fn duplicate_of(&self, head: &BatchHead) -> Option<&ProducedBatch> {
        let range = (head.base_sequence, head.last_sequence());
        let known = |batch: &&ProducedBatch| (batch.first_sequence, batch.last_sequence) == range;
        self.batches.iter().filter(|_| head.producer_epoch == self.epoch).find(known)
    }

    fn apply(&mut self, head: &BatchHead) {
        if self.epoch != head.producer_epoch {
            self.batches.clear();
            self.epoch = head.producer_epoch;
        }
        self.last_timestamp = head.max_timestamp;
        if head.attributes.is_control() {
            self.open_transaction = None;
            return;
        }
        if head.attributes.is_transactional() && self.open_transaction.is_none() {
            self.open_transaction = Some(head.base_offset);
        }
        if self.batches.len() == BATCHES_REMEMBERED {
            self.batches.pop_front();
        }
        self.batches.push_back(ProducedBatch {
            first_sequence: head.base_sequence,
            last_sequence: head.last_sequence(),
            base_offset: head.base_offset,
            last_offset: head.last_offset(),
            timestamp: head.max_timestamp,
        });
    }
}

/// After `i32::MAX` comes 0.
fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}
