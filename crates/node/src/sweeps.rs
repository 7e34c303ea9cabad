//! What logs have given up is removed when `file.delete.delay.ms` is over, that of whole logs after
//! `log.segment.delete.delay.ms`: as in Kafka, what was deleted by mistake can be had back for so long.

use ordered::Set;

use protocol::{Instant, Now};
use storage::{LogId, StoreOp};

use crate::kraft::METADATA_LOG;
use crate::node::Node;
use crate::ops::{CopyPart, Purpose};
use crate::outbox::Outbox;
use crate::timers::WakeReason;

/// When what was given up is due, and of which log. The store keeps its names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweeps {
    due: Set<(Instant, u64, LogId)>,
    /// The same, by log.
    of_log: Set<(LogId, Instant, u64)>,
    count: u64,
}

impl Sweeps {
    fn add(&mut self, at: Instant, log: LogId) {
        self.count += 1;
        self.due.insert((at, self.count, log));
        self.of_log.insert((log, at, self.count));
    }

    fn forget(&mut self, log: LogId) {
        while let Some(&(_, at, count)) = self.of_log.range((log, Instant(0), 0)..).next().filter(|it| it.0 == log) {
            self.of_log.remove(&(log, at, count));
            self.due.remove(&(at, count, log));
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<LogId> {
        let (at, count, log) = self.due.first().copied().filter(|(at, ..)| *at <= now)?;
        self.due.remove(&(at, count, log));
        self.of_log.remove(&(log, at, count));
        Some(log)
    }
}

impl Node {
    /// An operation may have given files up.
    pub(crate) fn gave_up(&mut self, now: Now, purpose: &Purpose) {
        let of_topic = |log: LogId| self.partitions.by_log(log).map(|it| it.config.file_delete_delay_ms);
        let (log, delay_ms) = match purpose {
            // As in Kafka, whatever is set for topics.
            Purpose::Metadata(_) => (METADATA_LOG, Some(self.config.metadata_delete_delay_ms)),
            Purpose::Remove(log, ..) | Purpose::Copy(log, CopyPart::Move(_) | CopyPart::Drop) => (*log, None),
            Purpose::Lane(log) | Purpose::Clean(log, _) | Purpose::Truncate(log) => (*log, of_topic(*log)),
            _ => return,
        };
        let delay_ms = delay_ms.unwrap_or_else(|| self.config.log_delete_delay_ms(&self.image));
        if let Purpose::Remove(..) = purpose {
            // The store counts what it gave up before to the folder.
            self.sweeps.forget(log);
        }
        self.sweeps.add(now.mono.plus_ms(delay_ms.max(0)), log);
        self.arm_sweep();
    }

    /// Has all removed that is due.
    pub(crate) fn sweep(&mut self, now: Now, out: &mut Outbox) {
        // Thousands of logs may be due at once while thousands are being removed.
        let removed = |it: &Purpose| if let Purpose::Remove(log, ..) = it { Some(*log) } else { None };
        let mut removing: Option<Set<LogId>> = None;
        while let Some(log) = self.sweeps.take_due(now.mono) {
            let removing = removing.get_or_insert_with(|| self.ops.all().filter_map(removed).collect());
            // Its folder is next, and this would be too early for that.
            if !removing.contains(&log) {
                self.ops.start(Purpose::Sweep(log), StoreOp::Sweep(log), out);
            }
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
