//! What logs have given up is removed when `file.delete.delay.ms` is over, that of whole logs after
//! `log.segment.delete.delay.ms`: as in Kafka, what was deleted by mistake can be had back for so long.

use ordered::Set;

use protocol::{Instant, Now};
use storage::{LogId, StoreOp};

use crate::config::FILE_DELETE_DELAY_MS;
use crate::kraft::METADATA_LOG;
use crate::node::Node;
use crate::ops::{CopyPart, Purpose};
use crate::outbox::Outbox;
use crate::timers::WakeReason;

/// When what was given up is due, and of which log. The store keeps its names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweeps {
    due: Set<(Instant, u64, LogId)>,
    count: u64,
}

impl Node {
    /// An operation may have given files up.
    pub(crate) fn gave_up(&mut self, now: Now, purpose: &Purpose) {
        let of_topic = |log: LogId| self.partitions.by_log(log).map(|it| it.config.file_delete_delay_ms);
        let (log, delay_ms) = match purpose {
            // As in Kafka, whatever is set for topics.
            Purpose::Metadata(_) => (METADATA_LOG, Some(FILE_DELETE_DELAY_MS)),
            Purpose::Remove(log, ..) | Purpose::Copy(log, CopyPart::Move(_) | CopyPart::Drop) => (*log, None),
            Purpose::Lane(log) | Purpose::Clean(log, _) | Purpose::Truncate(log) => (*log, of_topic(*log)),
            _ => return,
        };
        let delay_ms = delay_ms.unwrap_or_else(|| self.config.log_delete_delay_ms(&self.image));
        if let Purpose::Remove(..) = purpose {
            // The store counts what it gave up before to the folder.
            self.sweeps.due.retain(|it| it.2 != log);
        }
        self.sweeps.count += 1;
        self.sweeps.due.insert((now.mono.plus_ms(delay_ms.max(0)), self.sweeps.count, log));
        self.arm_sweep();
    }

    /// Has all removed that is due.
    pub(crate) fn sweep(&mut self, now: Now, out: &mut Outbox) {
        while let Some(&(at, count, log)) = self.sweeps.due.first().filter(|(at, ..)| *at <= now.mono) {
            self.sweeps.due.remove(&(at, count, log));
            if self.ops.any(|it| matches!(it, Purpose::Remove(removed, ..) if *removed == log)) {
                // Its folder is next, and this would be too early for that.
                continue;
            }
            self.ops.start(Purpose::Sweep(log), StoreOp::Sweep(log), out);
        }
        self.arm_sweep();
    }

    fn arm_sweep(&mut self) {
        // What is left when it stops the next start removes.
        if let Some((at, ..)) = self.sweeps.due.first().filter(|_| !self.life.is_leaving()) {
            self.timers.arm(WakeReason::Sweep, *at);
        }
    }
}
