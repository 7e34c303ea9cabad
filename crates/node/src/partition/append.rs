//! Appending as leader: what a batch must fulfil, its place in the log, and the producer's sequence.

use protocol::records::{self, Batches, CheckRules, Compressors, RecordView, RecordViews, RecordsError, TimestampType};
use protocol::{ErrorCode, Now, Offset, Str, WallMs};
use storage::{AppendError, LogRules, Sequence};

use super::{Partition, State};
use crate::config::{TimestampPolicy, TopicConfig};
use crate::event::Event;
use crate::ops::Ops;
use crate::outbox::Outbox;

/// An answer names as many records that are at fault, not all that a bomb can hold.
const FAULTS_NAMED: usize = 1_000;

/// How safe a producer wants a batch to be before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    /// It does not want to know.
    None,
    /// Written at the leader.
    Leader,
    /// Below the high watermark.
    All,
}

/// Batches on their way in.
pub(crate) struct AppendRequest {
    pub(crate) batches: Batches,
    pub(crate) acks: Acks,
}

/// Batches that have their place.
pub(crate) struct Appended {
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    /// Set for LogAppendTime.
    pub(crate) append_time: Option<WallMs>,
    /// They were there already: nothing was appended.
    pub(crate) is_duplicate: bool,
}

/// Why batches are not appended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<Str>,
    /// The log start, where Kafka tells it with the error.
    pub(crate) log_start: Option<Offset>,
    /// Records that are at fault, by index in the batch.
    pub(crate) records: Vec<(i32, Str)>,
}

impl Refused {
    /// Without a word: the code says it all.
    pub(crate) fn code(code: ErrorCode) -> Refused {
        Refused { code, message: None, log_start: None, records: Vec::new() }
    }

    /// With a sentence for people.
    pub(crate) fn because(code: ErrorCode, message: String) -> Refused {
        Refused { message: Some(Str::from(message)), ..Refused::code(code) }
    }

    fn with_log_start(mut self, log_start: Offset) -> Refused {
        self.log_start = Some(log_start);
        self
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused::code(code)
    }
}

impl Partition {
    /// Appends as leader. The caller parks its reply at the end of the batches.
    pub(crate) fn append(
        &mut self,
        now: Now,
        request: AppendRequest,
        compressors: &dyn Compressors,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> Result<Appended, Refused> {
        let AppendRequest { batches, acks } = request;
        let log_start = self.leading()?.shape.log_start();
        let (isr_size, min_isr) = (self.isr().len(), self.min_isr());
        if acks == Acks::All && isr_size < min_isr {
            return Err(Refused::because(
                ErrorCode::NotEnoughReplicas,
                format!(
                    "The size of the current ISR : {isr_size} is insufficient to satisfy the min.isr requirement of {min_isr} for \
                     partition {}-{}",
                    self.topic, self.key.partition
                ),
            ));
        }
        self.check_size(&batches)?;
        self.check_records(now, &batches, compressors).map_err(|refused| refused.with_log_start(log_start))?;
        let State::Online(online) = &mut self.state else { return Err(Refused::code(ErrorCode::KafkaStorageError)) };
        for head in batches.heads() {
            match online.shape.check_producer(head) {
                Ok(Sequence::New) => {}
                Ok(Sequence::Duplicate(old)) => {
                    let (topic, partition) = (self.topic.clone(), self.key.partition);
                    out.emit(|| Event::Deduplicated { topic, partition, base_offset: old.base_offset });
                    return Ok(Appended {
                        base_offset: old.base_offset,
                        next_offset: old.last_offset.plus(1),
                        // Kafka gives a duplicate's timestamp whatever the topic's type is.
                        append_time: Some(WallMs(old.timestamp)),
                        is_duplicate: true,
                    });
                }
                Err(code) => {
                    let why = format!(
                        "producer {} with epoch {} may not append sequence {} to partition {}-{}",
                        head.producer_id, head.producer_epoch, head.base_sequence, self.topic, self.key.partition
                    );
                    return Err(Refused::because(code, why).with_log_start(log_start));
                }
            }
        }
        let bytes = batches.bytes() as u64;
        let rules = rules_of(&self.config);
        let appended = online
            .shape
            .append(batches, self.leader_epoch, &rules, now.wall)
            .map_err(|error| Refused::because(error.code(), place_error(&self.topic, self.key.partition, &error)))?;
        let (first, end, append_time) = (appended.first, appended.end(), appended.append_time);
        self.hand_over(now.mono, appended, bytes, bytes, ops, out);
        Ok(Appended { base_offset: first, next_offset: end, append_time, is_duplicate: false })
    }

    /// Appends what a coordinator on this node writes down; where it ends. As in Kafka it is taken even while too few replicas are
    /// in sync: it is not committed then.
    pub(crate) fn append_own(
        &mut self,
        now: Now,
        batches: Batches,
        ops: &mut Ops,
        out: &mut Outbox,
    ) -> Result<Offset, ErrorCode> {
        self.check_leading()?;
        self.check_size(&batches).map_err(|refused| refused.code)?;
        let rules = rules_of(&self.config);
        let State::Online(online) = &mut self.state else { return Err(ErrorCode::KafkaStorageError) };
        let bytes = batches.bytes() as u64;
        let appended =
            online.shape.append(batches, self.leader_epoch, &rules, now.wall).map_err(|error| error.code())?;
        let end = appended.end();
        self.hand_over(now.mono, appended, bytes, 0, ops, out);
        Ok(end)
    }

    fn check_size(&self, batches: &Batches) -> Result<(), Refused> {
        let limit = usize::try_from(self.config.max_message_bytes).unwrap_or_default();
        if let Some(head) = batches.heads().iter().find(|head| head.size() > limit) {
            return Err(Refused::because(
                ErrorCode::MessageTooLarge,
                format!(
                    "The record batch size in the append to {}-{} is {} bytes which exceeds the maximum configured value of {limit}.",
                    self.topic,
                    self.key.partition,
                    head.size()
                ),
            ));
        }
        Ok(())
    }

    /// Keys and timestamps: what a topic's configuration says about single records. The walk that checked a batch has found
    /// the extremes; only a batch that is at fault is walked again, to name its records.
    fn check_records(&self, now: Now, batches: &Batches, compressors: &dyn Compressors) -> Result<(), Refused> {
        for (index, head) in batches.heads().iter().enumerate() {
            let is_fine = match batches.facts(index) {
                Some(facts) => {
                    (facts.first_null_key.is_none() || !self.config.compact)
                        && facts.min_timestamp.is_none_or(|least| self.is_in_range(now, least))
                        && (facts.min_timestamp.is_none() || self.is_in_range(now, facts.max_timestamp))
                }
                None => false,
            };
            if !is_fine {
                return self.check_each_record(now, batches, compressors);
            }
            debug_assert!(head.record_count > 0, "checked when it came in");
        }
        Ok(())
    }

    fn check_each_record(&self, now: Now, batches: &Batches, compressors: &dyn Compressors) -> Result<(), Refused> {
        let refuse = |error: RecordsError| Refused::because(error.code(), error.to_string());
        let limit = (0..batches.len()).filter_map(|it| batches.facts(it)).map(|it| it.plain_size).max();
        let (head, plain) =
            records::plain(&batches.to_bytes(), compressors, limit.unwrap_or(CheckRules::MAX_DECOMPRESSED))
                .map_err(refuse)?;
        let (mut faults, mut count, mut is_timestamp) = (Vec::new(), 0u64, false);
        for (index, record) in (0..).zip(RecordViews::new(&head, &plain)) {
            let Ok(record) = record else { break };
            let is_late = record.timestamp.0 != -1 && !self.is_in_range(now, record.timestamp.0);
            let is_keyless = self.config.compact && record.key.is_none();
            if !is_late && !is_keyless {
                continue;
            }
            is_timestamp |= is_late && !is_keyless;
            count += 1;
            if faults.len() < FAULTS_NAMED {
                faults.push((index, Str::from(self.fault_of(now, &record, is_keyless))));
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        let (code, message) = if is_timestamp {
            (ErrorCode::InvalidTimestamp, "One or more records have been rejected due to invalid timestamp".to_owned())
        } else {
            (
                ErrorCode::InvalidRecord,
                format!("One or more records have been rejected due to {count} record errors in total"),
            )
        };
        Err(Refused { records: faults, ..Refused::because(code, message) })
    }

    fn fault_of(&self, now: Now, record: &RecordView<'_>, is_keyless: bool) -> String {
        if is_keyless {
            let (topic, partition) = (&self.topic, self.key.partition);
            format!("Compacted topic cannot accept message without key in topic partition {topic}-{partition}")
        } else {
            format!(
                "Timestamp {} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
                record.timestamp.0,
                record.offset,
                now.wall.0.saturating_sub(self.config.timestamp_before_max_ms),
                now.wall.0.saturating_add(self.config.timestamp_after_max_ms)
            )
        }
    }

    /// True for a timestamp that the topic takes. With LogAppendTime the producer's does not matter.
    fn is_in_range(&self, now: Now, timestamp: i64) -> bool {
        if self.config.timestamp_type == TimestampPolicy::LogAppendTime {
            return true;
        }
        let behind = now.wall.0.saturating_sub(timestamp);
        behind <= self.config.timestamp_before_max_ms && behind.saturating_neg() <= self.config.timestamp_after_max_ms
    }
}

/// The topic's settings as the log's shape wants them.
pub(super) fn rules_of(config: &TopicConfig) -> LogRules {
    LogRules {
        segment_bytes: config.segment_bytes,
        // What is not in the active segment alone is compacted, so a limit on the wait is one on the segment's age.
        segment_ms: match config.max_compaction_lag_ms {
            lag if config.compact && lag > 0 => lag.min(config.segment_ms),
            _ => config.segment_ms,
        },
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: config.segment_index_bytes,
        index_interval_bytes: config.index_interval_bytes,
        timestamp_type: match config.timestamp_type {
            TimestampPolicy::CreateTime => TimestampType::CreateTime,
            TimestampPolicy::LogAppendTime => TimestampType::LogAppendTime,
        },
        preallocate: config.preallocate,
    }
}

/// Why batches have no place in a partition's log.
pub(crate) fn place_error(topic: &str, partition: i32, error: &AppendError) -> String {
    match error {
        AppendError::TooLarge { size, limit } => format!(
            "Message batch size is {size} bytes in append to partition {topic}-{partition}, which exceeds the maximum configured \
             segment size of {limit}."
        ),
        AppendError::OutOfOrder { base, expected } => {
            format!("offset {base} in append to {topic}-{partition}, expected {expected}")
        }
        AppendError::Exhausted => format!("partition {topic}-{partition} has no offsets left"),
    }
}
