//! The group coordinator: groups and committed offsets of the partitions of `__consumer_offsets` that this broker leads.
//!
//! Decide, append, apply, park the answer until the high watermark has passed the record; load a partition's log when its
//! leadership comes, unload when it goes. What a group is, by protocol, is one file each; none knows of another's.
//!
//! Gaps: groups of the share and streams protocols are not served; where another Kafka's log has some, they are left alone.
//! Offsets of transactions are read, not written.

mod change;
mod classic;
mod consumer;
mod list;
mod load;
mod members;
mod offsets;
mod rebalance;
mod shard;

use std::sync::Arc;

use ordered::{Map, Set};
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, JoinGroupRequest,
    OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest,
};
use protocol::{ErrorCode, LeaderEpoch, Now, Offset, ResponseBody, Str, Uuid};
use storage::{Done, StoreError};

use load::{Load, Step};
use shard::{Phase, Settled, Turn};

pub(crate) use consumer::refused_heartbeat;
pub use consumer::{Assignor, NoPatterns, TopicPatterns};
pub(crate) use members::Client;
pub(crate) use offsets::{CommitAnswer, DeleteAnswer};
pub(crate) use rebalance::{join_body, refused_join};
pub(crate) use shard::Shard;

use crate::deferred::{RequestId, Waiter};
use crate::event::Event;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;
use crate::timers::WakeReason;

/// The topic that holds groups and committed offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// All partitions of which this broker is the coordinator. A clone shares each until one of the two changes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    shards: Map<PartitionKey, Arc<Shard>>,
    /// Partitions of which something has changed: leader, high watermark, written end.
    touched: Set<PartitionKey>,
    /// Topics that are gone, and with them their offsets.
    removed: Set<Str>,
    /// Where in the metadata the newest topic is: regular expressions are looked up again after it.
    topics_since: Offset,
}

/// What a shard is asked for.
pub(crate) enum Ask {
    Join(Waiter, Client, JoinGroupRequest),
    Sync(Waiter, SyncGroupRequest),
    Heartbeat(Waiter, HeartbeatRequest),
    Leave(Waiter, Str, Vec<MemberIdentity>),
    ConsumerHeartbeat(Waiter, Client, ConsumerGroupHeartbeatRequest),
    Commit(Waiter, OffsetCommitRequest, CommitAnswer),
    DeleteOffsets(Waiter, OffsetDeleteRequest, DeleteAnswer),
    DeleteGroups(RequestId, Vec<Str>),
    FetchOffsets(RequestId, OffsetFetchRequestGroup, bool),
    /// All of its log is read. Topics have gone meanwhile.
    Begin(Set<Str>),
    /// The high watermark may have moved.
    Settle,
    /// Deadlines have come.
    Fire,
    /// `offsets.retention.check.interval.ms`.
    Expire,
    ForgetTopics(Arc<Set<Str>>),
}

impl Groups {
    /// Something of a partition has changed that a coordinator may have to do with.
    pub(crate) fn touch(&mut self, topic: &str, key: PartitionKey) {
        if topic == OFFSETS_TOPIC {
            self.touched.insert(key);
        }
    }

    /// Partitions may be gone or offline.
    pub(crate) fn touch_all(&mut self) {
        for key in self.shards.keys() {
            self.touched.insert(*key);
        }
    }

    /// A topic is gone.
    pub(crate) fn topic_gone(&mut self, name: &Str) {
        if !self.shards.is_empty() {
            self.removed.insert(name.clone());
        }
    }

    /// There are topics that were not there before the metadata ended here.
    pub(crate) fn topics_created(&mut self, end: Offset) {
        self.topics_since = end;
    }

    /// The coordinators here, by partition of the offsets topic.
    pub(crate) fn shards(&self, topic_id: Uuid) -> impl Iterator<Item = &Shard> {
        let range = PartitionKey { topic_id, partition: i32::MIN }..=PartitionKey { topic_id, partition: i32::MAX };
        self.shards.range(range).map(|(_, shard)| &**shard)
    }

    pub(crate) fn get(&self, key: &PartitionKey) -> Option<&Shard> {
        self.shards.get(key).map(|it| &**it)
    }
}

impl Node {
    /// Takes the next step that a change of a partition asks for; false if there is none.
    pub(crate) fn tend_groups(&mut self, now: Now, out: &mut Outbox) -> bool {
        if !self.groups.removed.is_empty() {
            let topics = Arc::new(std::mem::take(&mut self.groups.removed));
            for shard in self.groups.shards.values_mut() {
                if matches!(shard.phase, Phase::Loading(_))
                    && let Phase::Loading(load) = &mut Arc::make_mut(shard).phase
                {
                    load.forget(&topics);
                }
            }
            self.ask_all_groups(now, &|| Ask::ForgetTopics(topics.clone()), out);
            return true;
        }
        let Some(key) = self.groups.touched.pop_first() else { return false };
        let is_flushing = self.life.is_flushing();
        let led = self.partitions.get(&key).filter(|it| !is_flushing && it.check_leading().is_ok());
        let led = led.map(|it| (it.leader_epoch, it.log_start()));
        match (self.groups.shards.get_mut(&key), led) {
            (None, None) => {}
            (None, Some((epoch, log_start))) => {
                self.groups.shards.insert(key, Arc::new(Shard::loading(epoch, Load::from(log_start))));
                self.load_groups(now, key, out);
            }
            (Some(_), None) => {
                self.timers.disarm(WakeReason::Groups(key.partition));
                if let Some(shard) = self.groups.shards.remove(&key) {
                    let settled = Arc::unwrap_or_clone(shard).unload();
                    self.give_groups(settled, out);
                }
            }
            (Some(shard), Some((epoch, log_start))) => {
                if shard.epoch != epoch {
                    let shard = Arc::make_mut(shard);
                    match &shard.phase {
                        // Elected again without a break, its log is what it was.
                        Phase::Active => shard.epoch = epoch,
                        // What it has asked the store for will be answered to the epoch before.
                        Phase::Loading(load) => *shard = Shard::loading(epoch, load.again(log_start)),
                        Phase::Failed => *shard = Shard::loading(epoch, Load::from(log_start)),
                    }
                }
                match shard.phase {
                    Phase::Active => self.ask_groups(now, key, Ask::Settle, out),
                    Phase::Loading(_) => self.load_groups(now, key, out),
                    Phase::Failed => {}
                }
            }
        }
        true
    }

    fn load_groups(&mut self, now: Now, key: PartitionKey, out: &mut Outbox) {
        let buffer_size = self.config.groups.load_buffer_size;
        let (Some(shard), Some(log)) = (self.groups.shards.get_mut(&key), self.partitions.get(&key)) else { return };
        let shard = Arc::make_mut(shard);
        let Phase::Loading(load) = &mut shard.phase else { return };
        match load.step(log, buffer_size) {
            Ok(Step::Ask(op)) => self.ops.start(Purpose::Groups(key, shard.epoch), op, out),
            Ok(Step::Wait) => {}
            Ok(Step::Loaded) => {
                let gone = load.take_forgotten();
                shard.phase = Phase::Active;
                self.ask_groups(now, key, Ask::Begin(gone), out);
                if self.timers.deadline(WakeReason::OffsetExpiry).is_none() {
                    self.arm_offset_expiry(now);
                }
            }
            Err(error) => {
                shard.phase = Phase::Failed;
                self.warn_of_groups(key, error.name(), out);
                self.warn_of_failure(key, out);
            }
        }
    }

    /// The store has answered a coordinator that loads.
    pub(crate) fn groups_loaded(
        &mut self,
        now: Now,
        key: PartitionKey,
        epoch: LeaderEpoch,
        result: Result<Done, StoreError>,
        out: &mut Outbox,
    ) {
        let (Some(shard), Some(log)) = (self.groups.shards.get_mut(&key), self.partitions.get(&key)) else { return };
        // The answer to one that was unloaded meanwhile.
        if !matches!(shard.phase, Phase::Loading(_)) || shard.epoch != epoch {
            return;
        }
        let shard = Arc::make_mut(shard);
        let warnings = shard.loaded(log, result, &*self.compressors);
        let has_failed = matches!(shard.phase, Phase::Failed);
        for warning in warnings {
            self.warn_of_groups(key, &warning, out);
        }
        if has_failed {
            self.warn_of_failure(key, out);
        }
        self.load_groups(now, key, out);
    }

    fn warn_of_groups(&self, key: PartitionKey, why: &str, out: &mut Outbox) {
        out.emit(|| Event::Warning { what: format!("loading groups of {OFFSETS_TOPIC}-{}: {why}", key.partition) });
    }

    /// Nothing but another leader, or another log, helps: whoever runs the broker has to see to it.
    fn warn_of_failure(&self, key: PartitionKey, out: &mut Outbox) {
        let partition = key.partition;
        out.emit(|| Event::Warning {
            what: format!(
                "the groups of {OFFSETS_TOPIC}-{partition} are not served by this broker: have another replica lead it \
                 (kafka-leader-election), or stop the broker and move the segment that cannot be read out of its folder, with \
                 the offsets that it holds"
            ),
        });
    }

    /// Where a group's coordinator is, if it is here and ready.
    pub(crate) fn coordinator_of(&self, group: &str) -> Result<PartitionKey, ErrorCode> {
        let topic = self.image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::NotCoordinator)?;
        let key = PartitionKey { topic_id: topic.id, partition: partition_of(group, topic.partitions.len()) };
        self.groups.get(&key).ok_or(ErrorCode::NotCoordinator)?.check()?;
        Ok(key)
    }

    /// Gives a coordinator its turn.
    pub(crate) fn ask_groups(&mut self, now: Now, key: PartitionKey, ask: Ask, out: &mut Outbox) {
        let (Some(shard), Some(log)) = (self.groups.shards.get_mut(&key), self.partitions.get_mut(&key)) else {
            return;
        };
        let shard = Arc::make_mut(shard);
        let mut turn = Turn {
            now,
            config: &self.config.groups,
            broker: &self.config,
            image: &self.image,
            topics_since: self.groups.topics_since,
            patterns: &*self.patterns,
            random: &mut self.random,
            log,
            compressors: &*self.compressors,
            ops: &mut self.ops,
            out,
            timers: std::mem::take(&mut shard.timers),
            parked: std::mem::take(&mut shard.parked),
            settled: Vec::new(),
        };
        match ask {
            Ask::Join(waiter, client, request) => shard.join(&mut turn, waiter, client, request),
            Ask::Sync(waiter, request) => shard.sync(&mut turn, waiter, request),
            Ask::Heartbeat(waiter, request) => {
                let error = shard.heartbeat(&mut turn, &request).err().unwrap_or(ErrorCode::None);
                turn.answer(waiter, members::heartbeat_body(error));
            }
            Ask::ConsumerHeartbeat(waiter, client, request) => {
                shard.consumer_heartbeat(&mut turn, waiter, &client, request);
            }
            Ask::Leave(waiter, group, members) => shard.leave(&mut turn, waiter, &group, members),
            Ask::Commit(waiter, request, answer) => shard.commit(&mut turn, waiter, request, answer),
            Ask::DeleteOffsets(waiter, request, answer) => shard.delete_offsets(&mut turn, waiter, request, answer),
            Ask::DeleteGroups(id, groups) => shard.delete_groups(&mut turn, id, groups),
            Ask::FetchOffsets(id, request, is_stable) => shard.fetch(&mut turn, id, &request, is_stable),
            Ask::Begin(gone) => {
                shard.begin(&mut turn);
                shard.forget_topics(&mut turn, &gone);
                shard.settle(&mut turn);
            }
            Ask::Settle => shard.settle(&mut turn),
            Ask::Fire => shard.fire(&mut turn),
            Ask::Expire => shard.expire(&mut turn),
            Ask::ForgetTopics(topics) => shard.forget_topics(&mut turn, &topics),
        }
        let settled = std::mem::take(&mut turn.settled);
        (shard.timers, shard.parked) = (turn.timers, turn.parked);
        match shard.wake_at() {
            Some(at) => self.timers.arm(WakeReason::Groups(key.partition), at),
            None => self.timers.disarm(WakeReason::Groups(key.partition)),
        }
        self.give_groups(settled, out);
    }

    fn ask_all_groups(&mut self, now: Now, ask: &dyn Fn() -> Ask, out: &mut Outbox) {
        let active = self.groups.shards.iter().filter(|(_, it)| it.check().is_ok()).map(|(key, _)| *key);
        for key in active.collect::<Vec<_>>() {
            self.ask_groups(now, key, ask(), out);
        }
    }

    /// Deadlines of a partition's groups have come.
    pub(crate) fn wake_groups(&mut self, now: Now, partition: i32, out: &mut Outbox) {
        let keys = self.groups.shards.keys().filter(|it| it.partition == partition).copied();
        for key in keys.collect::<Vec<_>>() {
            self.ask_groups(now, key, Ask::Fire, out);
        }
    }

    /// Ends what nobody uses any more.
    pub(crate) fn expire_offsets(&mut self, now: Now, out: &mut Outbox) {
        self.ask_all_groups(now, &|| Ask::Expire, out);
        if !self.groups.shards.is_empty() {
            self.arm_offset_expiry(now);
        }
    }

    fn arm_offset_expiry(&mut self, now: Now) {
        let interval_ms = self.config.groups.offsets_retention_check_interval_ms;
        self.timers.arm(WakeReason::OffsetExpiry, now.mono.plus_ms(interval_ms.max(1)));
    }

    fn give_groups(&mut self, settled: Vec<Settled>, out: &mut Outbox) {
        for settled in settled {
            match settled {
                Settled::Answer(waiter, body) => self.answer(waiter, body, out),
                Settled::Deleted(id, groups) => self.groups_deleted(id, groups, out),
                Settled::Fetched(id, group) => self.offsets_fetched(id, group, out),
            }
        }
    }
}

/// The partition of the offsets topic that holds a group: Java's hash of its id.
pub(crate) fn partition_of(group: &str, partitions: usize) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // Java's `abs` leaves the least number as it is; Kafka makes it 0.
    let hash = hash.checked_abs().unwrap_or(0);
    hash % i32::try_from(partitions.max(1)).unwrap_or(i32::MAX)
}

/// Replaces what an answer says by an error.
pub(crate) fn refuse(body: &mut ResponseBody, error: ErrorCode) {
    let code = error.code();
    match body {
        ResponseBody::OffsetCommit(it) => {
            for partition in it.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                if partition.error_code == ErrorCode::None.code() {
                    partition.error_code = code;
                }
            }
        }
        ResponseBody::OffsetDelete(it) => {
            it.error_code = code;
            it.topics.clear();
        }
        ResponseBody::SyncGroup(it) => {
            it.error_code = code;
            (it.protocol_type, it.protocol_name) = (None, None);
            it.assignment.clear();
        }
        ResponseBody::LeaveGroup(it) => {
            it.error_code = code;
            it.members.clear();
        }
        ResponseBody::JoinGroup(it) => {
            it.error_code = code;
            it.member_id = Str::new();
        }
        ResponseBody::ConsumerGroupHeartbeat(it) => {
            *it = ConsumerGroupHeartbeatResponse { error_code: code, ..ConsumerGroupHeartbeatResponse::default() };
        }
        other => panic!("no coordinator parks {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_where_java_puts_it() {
        // As `"…".hashCode()` has it: 98629247, -1268878963 (`foo-bar` … are found by running Java).
        assert_eq!(partition_of("group", 50), 47);
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("a", 50), 97 % 50);
        // Its hash is the least of all numbers.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
    }
}
