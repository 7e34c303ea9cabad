//! The metadata quorum's place in the node: its settings, and its operations, calls, requests and commits.

use bytes::Bytes;
use ordered::Map;

use protocol::{Instant, MetadataRecord, NodeId, Now, RequestBody, ResponseBody, Str, Uuid, WallMs};
use quorum::{NoAnswer, Quorum, QuorumSetup, SnapshotWriter, VoterSource};
use storage::{DirId, LogId, StoreError};

use crate::config::Config;
use crate::deferred::Waiter;
use crate::event::Event;
use crate::gateway;
use crate::image::{FrozenImage, Image, ResourceType};
use crate::input::ConnId;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::{CallError, Outbox};
use crate::peers;
use crate::timers::WakeReason;

/// The metadata log's number; partitions' follow.
pub(crate) const METADATA_LOG: LogId = LogId(0);

/// Records of a snapshot that are written in one turn: well under a millisecond's work.
const SNAPSHOT_PIECE: usize = 512;

/// Who asked the quorum, and how it is answered.
#[derive(Clone, Copy, Debug)]
struct Asker {
    waiter: Waiter,
    /// A broker passed the request on: its version and the number that its client gave it.
    wrapped: Option<(i16, i32)>,
}

/// Who waits for the quorum's answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kraft {
    next: u64,
    waiters: Map<u64, Asker>,
    /// When the last snapshot was begun, or the first record applied.
    snapshot_at: Option<Instant>,
    /// What is left to write of a snapshot, and what is written.
    snapshot: Option<Box<(FrozenImage, SnapshotWriter)>>,
}

impl Node {
    /// A request of another node of the quorum, or of who looks at it.
    pub(crate) fn ask_quorum(&mut self, now: Now, waiter: Waiter, body: RequestBody, out: &mut Outbox) {
        self.put_to_quorum(now, Asker { waiter, wrapped: None }, waiter.version, body, out);
    }

    /// As [`Node::ask_quorum`], of a request that a broker has passed on.
    pub(crate) fn ask_quorum_wrapped(
        &mut self,
        now: Now,
        waiter: Waiter,
        (version, correlation_id): (i16, i32),
        body: RequestBody,
        out: &mut Outbox,
    ) {
        self.put_to_quorum(now, Asker { waiter, wrapped: Some((version, correlation_id)) }, version, body, out);
    }

    fn put_to_quorum(&mut self, now: Now, asker: Asker, version: i16, body: RequestBody, out: &mut Outbox) {
        let token = self.kraft.next;
        self.kraft.next += 1;
        self.kraft.waiters.insert(token, asker);
        self.drive_quorum(now, out, |quorum, output| quorum.request(now, token, version, body, output));
    }

    /// The voters become the log's own, as the controller has found that they may.
    pub(crate) fn upgrade_quorum(&mut self, now: Now, out: &mut Outbox) {
        self.drive_quorum(now, out, |quorum, output| quorum.upgrade_kraft_version(now, output));
    }

    /// A connection is gone, and with it who waits there: a fetch of it may wait for days.
    pub(crate) fn forget_quorum_waiters(&mut self, conn: ConnId) {
        let gone = self.kraft.waiters.iter().filter(|(_, it)| it.waiter.conn == conn).map(|(token, _)| *token);
        for token in gone.collect::<Vec<_>>() {
            self.kraft.waiters.remove(&token);
            self.quorum.forget(token);
        }
    }

    /// A call of the quorum's was answered, or not.
    pub(crate) fn quorum_answered(
        &mut self,
        now: Now,
        token: u64,
        result: Result<ResponseBody, CallError>,
        out: &mut Outbox,
    ) {
        let result = result.map_err(|error| match error {
            CallError::Refused | CallError::Reset => NoAnswer::Broken,
            CallError::TimedOut | CallError::Malformed => NoAnswer::Silent,
        });
        self.drive_quorum(now, out, |quorum, output| quorum.answered(now, token, result, output));
    }

    /// Lets the quorum act, carries out what it asks for and applies what it has committed.
    pub(crate) fn drive_quorum(
        &mut self,
        now: Now,
        out: &mut Outbox,
        act: impl FnOnce(&mut Quorum, &mut quorum::Output),
    ) {
        let mut output = quorum::Output::default();
        act(&mut self.quorum, &mut output);
        self.carry_out(now, output, out);
    }

    fn carry_out(&mut self, now: Now, output: quorum::Output, out: &mut Outbox) {
        for (ticket, op) in output.store {
            self.ops.start(Purpose::Metadata(ticket), op, out);
        }
        for call in output.calls {
            let to = peers::Endpoint { node: call.to.node, host: call.to.host, port: call.to.port };
            self.peers.call(peers::Purpose::Quorum(call.token), &to, call.body, call.timeout_ms, out);
        }
        for (token, body) in output.replies {
            if let Some(Asker { waiter, wrapped }) = self.kraft.waiters.remove(&token) {
                let body = match wrapped {
                    Some((version, correlation_id)) => gateway::controller::wrap(version, correlation_id, body),
                    None => body,
                };
                self.answer(waiter, body, out);
            }
        }
        match self.quorum.wake_at() {
            Some(at) => self.timers.arm(WakeReason::Quorum, at),
            None => self.timers.disarm(WakeReason::Quorum),
        }
        if output.lost_leadership {
            // At once: nothing more may be decided, and what is parked must not be taken for committed.
            self.follow_leadership(now, out);
        }
        self.apply_committed(now, output.is_reset, output.committed, out);
        for at in output.strangers {
            let (host, port) = (&at.host, at.port);
            out.emit(|| Event::Warning {
                what: format!(
                    "{host}:{port} belongs to another cluster (INCONSISTENT_CLUSTER_ID): check controller.quorum.* and \
                     meta.properties"
                ),
            });
        }
        if let Some(majority) = output.majority {
            out.emit(|| Event::Warning { what: majority.told(now) });
        }
        match output.failed {
            // Paths of a log that does not hold together are those within its directory.
            Some(error @ (StoreError::Corrupt(_) | StoreError::Missing)) => {
                let dir =
                    self.config.log_dirs.get(usize::from(self.config.metadata_log_dir)).cloned().unwrap_or_default();
                self.fail(format!("the metadata log in {dir} cannot be used: {error}"), out);
            }
            Some(error) => self.fail(format!("the metadata log is lost: {error}"), out),
            None => {}
        }
    }

    fn apply_committed(
        &mut self,
        now: Now,
        is_reset: bool,
        committed: Vec<(protocol::Offset, MetadataRecord)>,
        out: &mut Outbox,
    ) {
        let is_news = !committed.is_empty();
        if is_reset {
            return self.restore_image(now, committed, out);
        }
        let mut created = Vec::new();
        for (offset, record) in committed {
            if let MetadataRecord::RemoveTopic(removed) = &record
                && let Some(topic) = self.image.topic_by_id(removed.topic_id)
            {
                self.groups.topic_gone(&topic.name);
            }
            if let Err(error) = self.image.apply(offset, &record) {
                return self.fail(format!("the metadata log cannot be applied at offset {offset}: {error}"), out);
            }
            if matches!(record, MetadataRecord::Topic(_)) {
                self.groups.topics_created(offset.plus(1));
            }
            // A replay is no news.
            if let MetadataRecord::Topic(topic) = &record
                && self.life.phase() == Phase::Serving
            {
                created.push(topic.topic_id);
            }
            self.revealed(now, &record, out);
        }
        for topic in created.into_iter().filter_map(|id| self.image.topic_by_id(id)) {
            out.emit(|| Event::TopicCreated { topic: topic.name.clone(), partitions: topic.partitions.len() as i32 });
        }
        if is_news {
            self.hurry_for_leaving(now, out);
            self.write_due_snapshot(now, out);
        }
    }

    /// Writes a snapshot of the committed metadata when enough has changed, or anything has and enough time has passed.
    fn write_due_snapshot(&mut self, now: Now, out: &mut Outbox) {
        let settings = &self.config.quorum;
        let since = *self.kraft.snapshot_at.get_or_insert(now.mono);
        let interval = settings.max_snapshot_interval_ms;
        let is_time = interval > 0 && since.plus_ms(interval) <= now.mono;
        let has_grown =
            self.quorum.bytes_since_snapshot() >= settings.max_bytes_between_snapshots.max(0).unsigned_abs();
        if (is_time || has_grown) && self.quorum.can_snapshot() {
            self.begin_snapshot(now, out);
        }
    }

    fn begin_snapshot(&mut self, now: Now, out: &mut Outbox) {
        if self.kraft.snapshot.is_some() {
            return;
        }
        if let Some(writer) = self.quorum.begin_snapshot(now) {
            self.kraft.snapshot_at = Some(now.mono);
            self.kraft.snapshot = Some(Box::new((self.image.frozen(), writer)));
            self.write_snapshot_on(now, out);
        }
    }

    /// Writes some more records of a snapshot: requests and heartbeats do not wait for all of them.
    pub(crate) fn write_snapshot_on(&mut self, now: Now, out: &mut Outbox) {
        let Some(mut snapshot) = self.kraft.snapshot.take() else { return };
        let (image, writer) = &mut *snapshot;
        let records = image.take(SNAPSHOT_PIECE);
        let is_whole = records.len() < SNAPSHOT_PIECE;
        writer.push(records);
        if is_whole {
            let (_, writer) = *snapshot;
            return self.drive_quorum(now, out, |quorum, output| quorum.finish_snapshot(writer, output));
        }
        self.kraft.snapshot = Some(snapshot);
        // The next turn is another one, and comes at once.
        self.timers.arm(WakeReason::Snapshot, Instant(now.mono.0.saturating_add(1)));
    }

    /// Has segments of the metadata log given up that a snapshot stands for.
    pub(crate) fn retain_metadata(&mut self, now: Now, out: &mut Outbox) {
        let limits = (self.config.quorum.max_retention_bytes, self.config.quorum.max_retention_ms);
        self.drive_quorum(now, out, |quorum, output| quorum.retain(now, limits, output));
    }

    /// This node stops: whoever it leads elects another leader, and it takes no more part.
    pub(crate) fn leave_quorum(&mut self, now: Now, out: &mut Outbox) {
        self.drive_quorum(now, out, |quorum, output| quorum.stop(now, output));
    }

    /// A snapshot takes the place of all metadata: this node was so far behind that the records in between are gone.
    fn restore_image(&mut self, now: Now, committed: Vec<(protocol::Offset, MetadataRecord)>, out: &mut Outbox) {
        let old = std::mem::take(&mut self.image);
        let mut image = Image::default();
        for (offset, record) in &committed {
            if let Err(error) = image.apply(*offset, record) {
                return self.fail(format!("the leader's snapshot cannot be applied: {error}"), out);
            }
        }
        self.image = image;
        self.groups.topics_created(self.image.next_offset());
        let gone: Vec<_> = old.topics().map(|it| it.id).filter(|id| self.image.topic_by_id(*id).is_none()).collect();
        for topic in gone.iter().filter_map(|id| old.topic_by_id(*id)) {
            self.groups.topic_gone(&topic.name);
        }
        for id in gone {
            self.topic_removed(id, out);
        }
        for (_, record) in &committed {
            self.revealed(now, record, out);
        }
        // Settings that are gone leave no record.
        self.config_changed(now, ResourceType::Broker.id(), "");
        self.hurry_for_leaving(now, out);
    }
}

/// The metadata log's first snapshot, which names those who vote first: number, directory, and where others reach them.
pub fn voters_checkpoint(now: WallMs, voters: Vec<(NodeId, Uuid, Str, u16)>) -> Bytes {
    let voter = |(id, directory_id, host, port): (NodeId, Uuid, Str, u16)| quorum::Voter {
        id,
        directory_id,
        endpoints: vec![(Str::from_static("CONTROLLER"), host, port)],
        kraft_versions: (0, 1),
    };
    quorum::voters_checkpoint(now, &quorum::VoterSet::of(voters.into_iter().map(voter)))
}

/// The node's part in the metadata quorum.
pub(crate) fn quorum_of(config: &Config, seed: u64) -> Quorum {
    let dir = DirId(config.metadata_log_dir);
    let settings = &config.quorum;
    let endpoints = config.advertised_listeners.iter().filter(|it| config.is_controller_listener(&it.name));
    let alone = QuorumSetup::alone(config.node_id, METADATA_LOG, dir);
    let voters = if !config.voters.is_empty() {
        let voter = |it: &crate::config::Voter| quorum::Endpoint { node: it.id, host: it.host.clone(), port: it.port };
        VoterSource::Static(config.voters.iter().map(voter).collect())
    } else {
        VoterSource::Dynamic(settings.bootstrap_servers.clone())
    };
    Quorum::new(QuorumSetup {
        cluster_id: config.identity.cluster_id.clone(),
        directory_id: config.identity.directory_ids.get(usize::from(dir.0)).copied().unwrap_or_default(),
        listener: config.controller_listener_names.first().cloned().unwrap_or(alone.listener.clone()),
        endpoints: endpoints.map(|it| (it.name.clone(), it.host.clone(), it.port)).collect(),
        voters,
        is_controller: config.roles.controller,
        seed,
        segment_bytes: settings.segment_bytes,
        segment_ms: settings.segment_ms,
        election_timeout_ms: i64::from(settings.election_timeout_ms),
        fetch_timeout_ms: i64::from(settings.fetch_timeout_ms),
        election_backoff_max_ms: i64::from(settings.election_backoff_max_ms),
        request_timeout_ms: i64::from(settings.request_timeout_ms),
        retry_backoff_ms: i64::from(settings.retry_backoff_ms),
        fetch_max_bytes: settings.fetch_max_bytes,
        fetch_snapshot_max_bytes: settings.fetch_snapshot_max_bytes,
        append_linger_ms: settings.append_linger_ms,
        auto_join: settings.auto_join_enable,
        ..alone
    })
}
