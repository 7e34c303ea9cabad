//! A broker's life: mount the metadata log, follow the quorum, register, mount the partitions' logs, ask to be unfenced,
//! serve; and the way back: ask to stop, flush, write the checkpoints, mark the stop as clean.
//!
//! Requests that arrive before the node serves wait with their connection's credit withdrawn, as they would in the socket
//! buffers of Kafka, whose acceptors start late. ApiVersions is answered at any time.

mod assigned;
mod mounting;
mod stored;
mod upkeep;

use ordered::{Map, Set};
use std::collections::VecDeque;

use bytes::Bytes;
use protocol::{Now, Request, RequestBody, Str};
use storage::{Cell, DirId};

use crate::config::Identity;
use crate::event::Event;
use crate::input::ConnId;
use crate::node::Node;
use crate::ops::Purpose;
use crate::outbox::Outbox;
use crate::partition::PartitionKey;
use crate::timers::WakeReason;

pub(crate) use mounting::warn_of;

/// Requests that may wait for the node to serve. Credit is withdrawn at a connection's first, so this bounds connections.
const WAITING_REQUESTS: usize = 4096;

/// Where in its life a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has happened yet.
    #[default]
    Cold,
    /// The metadata log is mounted and replayed, until this node leads the quorum.
    Replaying,
    /// The registration is not committed yet.
    Registering,
    /// It is, and is not applied here yet.
    CatchingUp,
    /// Logs of partitions become ready.
    Mounting,
    /// The controller was asked to unfence this broker.
    Unfencing,
    /// Clients are served.
    Serving,
    /// The controller was asked for a controlled shutdown.
    Leaving,
    /// All logs are being flushed.
    Flushing,
    /// The checkpoints are being written.
    Checkpointing,
    /// The clean stop is being marked.
    Marking,
    /// The driver may drop the node.
    Stopped,
}

/// The life of the node, and who waits for it to serve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    phase: Phase,
    broker_epoch: i64,
    /// The broker epoch of the run before this one, if that ended with a clean stop.
    previous_broker_epoch: Option<i64>,
    /// Directories that failed.
    offline: Set<DirId>,
    /// Directories chosen for replicas, until that is committed and their logs are mounted.
    chosen: Map<PartitionKey, DirId>,
    /// Replicas that were found where the controller did not know them, until it has heard of it.
    found: Map<PartitionKey, DirId>,
    /// Replicas that are looked for, and where.
    sought: Map<PartitionKey, DirId>,
    /// Replicas that are looked for, as the directory that should hold them has but a copy that was being made.
    copied: Map<PartitionKey, DirId>,
    /// Checkpoints as they were last written.
    written: Map<Cell, Bytes>,
    pub(crate) waiting: VecDeque<(ConnId, Request)>,
}

impl Life {
    /// A life that begins without the directories that could not be opened.
    pub(crate) fn without(lost: &[(u16, Str)]) -> Life {
        Life { offline: lost.iter().map(|(dir, _)| DirId(*dir)).collect(), ..Life::default() }
    }

    /// A broker that serves, without a controller: for tests of what it does then.
    #[cfg(test)]
    pub(crate) fn serving(broker_epoch: i64) -> Life {
        Life { phase: Phase::Serving, broker_epoch, ..Life::default() }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// What the metadata log's directory says of the run before this one. As in Kafka it counts if all directories are there
    /// and say the same: one that is of another run lacks records.
    pub(crate) fn previous(&mut self, mounted: &storage::Mounted, identity: &Identity) {
        let is_common = identity.lost.is_empty() && !identity.stops_differ;
        self.previous_broker_epoch = mounted.broker_epoch.filter(|_| mounted.clean && is_common);
    }

    /// The broker epoch of the run before this one, -1 if that did not end with a clean stop.
    pub(crate) fn previous_broker_epoch(&self) -> i64 {
        self.previous_broker_epoch.unwrap_or(-1)
    }

    /// A stop has come so far that nothing more is appended.
    pub(crate) fn is_flushing(&self) -> bool {
        self.is_leaving() && self.phase != Phase::Leaving
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Flushing | Phase::Checkpointing | Phase::Marking | Phase::Stopped)
    }
}

impl Node {
    /// The first input: everything follows from the metadata log.
    pub(crate) fn begin(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Replaying;
        for (_, why) in &self.config.identity.lost {
            out.emit(|| Event::StorageFailed { what: why.to_string() });
        }
        self.drive_quorum(now, out, |quorum, output| quorum.begin(now, output));
    }

    /// A request comes in.
    pub(crate) fn admit(&mut self, now: Now, conn: ConnId, request: Request, out: &mut Outbox) {
        if !self.connections.contains_key(&conn) {
            return;
        }
        self.limits.admit(conn, out);
        self.tell_before(now, conn, out);
        let is_for_controller =
            self.connections.get(&conn).is_some_and(|peer| self.config.is_controller_listener(&peer.listener));
        match self.life.phase {
            Phase::Cold | Phase::Stopped if is_for_controller => self.close(conn, "it does not run".to_owned(), out),
            _ if is_for_controller => self.dispatch(now, conn, request, out),
            Phase::Serving | Phase::Leaving => self.dispatch(now, conn, request, out),
            _ if matches!(request.body, RequestBody::ApiVersions(_)) => self.dispatch(now, conn, request, out),
            _ if self.life.is_leaving() => self.close(conn, "the node is stopping".to_owned(), out),
            _ if self.life.waiting.len() >= WAITING_REQUESTS => {
                self.close(conn, "too many requests wait for the node to start".to_owned(), out);
            }
            _ => {
                self.limits.hold_for_start(conn, out);
                self.life.waiting.push_back((conn, request));
            }
        }
    }

    /// Takes the next step of the life cycle if its time has come; true if anything happened.
    pub(crate) fn advance_life(&mut self, now: Now, out: &mut Outbox) -> bool {
        match self.life.phase {
            Phase::Replaying if !self.config.roles.broker && self.quorum.leader().is_some() => self.serve(now, out),
            Phase::Replaying if self.config.roles.broker && self.active_controller().is_some() => {
                self.life.phase = Phase::Registering;
                self.register(now, out);
            }
            Phase::CatchingUp if self.image.next_offset().0 > self.life.broker_epoch => self.mount_all(now, out),
            Phase::Mounting if self.life.chosen.is_empty() && !self.partitions.is_any_mounting() => {
                self.life.phase = Phase::Unfencing;
                self.heartbeat(now, out);
            }
            Phase::Flushing if !self.ops.any(Purpose::is_lane) => self.write_last_checkpoints(out),
            Phase::Checkpointing if !self.ops.any(Purpose::is_put) => {
                for dir in self.online_dirs() {
                    let text = storage::meta::format_clean_shutdown(self.life.broker_epoch);
                    self.put(Cell::CleanShutdown(dir), text, out);
                }
                self.life.phase = Phase::Marking;
            }
            Phase::Marking if !self.ops.any(Purpose::is_put) => {
                self.life.phase = Phase::Stopped;
                out.stopped = true;
            }
            _ => return false,
        }
        true
    }

    /// The registration is committed.
    pub(crate) fn registered(&mut self, broker_epoch: i64) {
        self.life.broker_epoch = broker_epoch;
        self.life.phase = Phase::CatchingUp;
    }

    /// The registration is applied, and with it all that this broker must know: its logs are mounted.
    fn mount_all(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Mounting;
        let topics: Vec<_> = self.image.topics().cloned().collect();
        for topic in topics {
            for partition in topic.partitions.keys() {
                self.mount(now, PartitionKey { topic_id: topic.id, partition: *partition }, out);
            }
        }
    }

    pub(crate) fn serve(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Serving;
        out.emit(|| Event::Started);
        self.arm_upkeep(now);
        self.arm_expiry(now);
        // From here on it is known what a start must find.
        self.write_all_checkpoints(out);
        self.survey(out);
        self.limits.started(out);
        for (conn, request) in std::mem::take(&mut self.life.waiting) {
            self.dispatch(now, conn, request, out);
        }
    }

    /// A stop begins: the controller moves leaders away first, unless `controlled.shutdown.enable` is false.
    pub(crate) fn begin_stop(&mut self, now: Now, out: &mut Outbox) {
        if self.life.is_leaving() {
            return;
        }
        out.emit(|| Event::Stopping);
        let was_serving = self.life.phase == Phase::Serving;
        self.life.phase = Phase::Leaving;
        for reason in [
            WakeReason::Boot,
            WakeReason::Retention,
            WakeReason::Producers,
            WakeReason::Sweep,
            WakeReason::Checkpoint,
            WakeReason::RecoveryPoints,
            WakeReason::Clean,
            WakeReason::Flush,
            WakeReason::Moves,
            WakeReason::ReplicaLag,
            WakeReason::Directories,
            WakeReason::LostDirectory,
        ] {
            self.timers.disarm(reason);
        }
        for (conn, _) in std::mem::take(&mut self.life.waiting) {
            self.close(conn, "the node is stopping".to_owned(), out);
        }
        if was_serving && self.config.roles.broker && self.config.controlled_shutdown_enable {
            self.ask_to_leave(now, out);
        } else if was_serving {
            self.flush_all(now, out);
        } else {
            // Nobody was served and nothing was written, so there is nothing to flush or to mark.
            self.life.phase = Phase::Stopped;
            out.stopped = true;
        }
    }

    pub(crate) fn flush_all(&mut self, now: Now, out: &mut Outbox) {
        self.life.phase = Phase::Flushing;
        // Nothing more is decided either: who leads the quorum alone does so until the end.
        let decisions = [WakeReason::Sessions, WakeReason::Balance, WakeReason::Unclean, WakeReason::Idle];
        self.timers.disarm(WakeReason::Heartbeat);
        for reason in decisions {
            self.timers.disarm(reason);
        }
        // Coordinators write nothing more.
        self.groups.touch_all();
        for partition in self.partitions.iter_mut() {
            partition.flush(now.mono, &mut self.ops, out);
        }
        self.leave_quorum(now, out);
    }

    fn write_last_checkpoints(&mut self, out: &mut Outbox) {
        self.life.phase = Phase::Checkpointing;
        for partition in self.partitions.iter_mut() {
            partition.snapshot_producers(&mut self.ops, out);
        }
        for dir in self.online_dirs() {
            self.write_checkpoints(dir, out);
            self.write_log_starts(dir, None, out);
        }
    }

    /// The node cannot go on; the next start recovers what is on disk.
    pub(crate) fn fail(&mut self, what: String, out: &mut Outbox) {
        if self.life.phase == Phase::Stopped {
            return;
        }
        out.emit(|| Event::Failed { what });
        self.life.phase = Phase::Stopped;
        for conn in self.connections.keys().copied().collect::<Vec<_>>() {
            self.close(conn, "the node has failed".to_owned(), out);
        }
        out.stopped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_stop_counts_if_all_directories_tell_of_it() {
        let mounted = storage::Mounted { clean: true, broker_epoch: Some(42), ..Default::default() };
        let registered_with = |mounted: &storage::Mounted, identity: Identity| {
            let mut life = Life::default();
            life.previous(mounted, &identity);
            life.previous_broker_epoch()
        };
        assert_eq!(registered_with(&mounted, Identity::default()), 42);
        assert_eq!(registered_with(&mounted, Identity { stops_differ: true, ..Default::default() }), -1);
        assert_eq!(registered_with(&mounted, Identity { lost: vec![(1, Str::new())], ..Default::default() }), -1);
        assert_eq!(registered_with(&storage::Mounted { clean: false, ..mounted }, Identity::default()), -1);
    }
}
