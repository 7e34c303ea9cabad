//! Cleans, each on a thread of its own: compaction reads and writes as much as it may, and the storage lane goes on meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::records::Compressors;
use storage::clean::{Cleaned, Job};
use storage::{LogId, OpId, StoreError};

use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::lane::Message;

/// A clean's next group is written, or is not.
pub(crate) struct Ended {
    pub(crate) op: OpId,
    pub(crate) log: LogId,
    pub(crate) job: Job<NativeFile>,
    /// The outer error is a panic.
    pub(crate) result: thread::Result<Result<Cleaned, StoreError>>,
}

/// The cleans under way.
pub(crate) struct Cleaners {
    ended: Sender<Message>,
    compressors: Arc<dyn Compressors>,
    running: Vec<Running>,
}

/// A clean at work.
struct Running {
    op: OpId,
    log: LogId,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Ends it, done or not; what it was writing is taken away.
    fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // It has said its last word; a panic came with it.
        let _ = self.thread.join();
    }
}

impl Cleaners {
    /// They tell `ended` when they are through.
    pub(crate) fn new(ended: Sender<Message>, compressors: Arc<dyn Compressors>) -> Cleaners {
        Cleaners { ended, compressors, running: Vec::new() }
    }

    /// Begins one; how many there are at once is the core's decision.
    pub(crate) fn start(
        &mut self,
        op: OpId,
        log: LogId,
        mut job: Job<NativeFile>,
        mut disk: NativeDisk,
    ) -> Result<(), StoreError> {
        let (ended, compressors) = (self.ended.clone(), Arc::clone(&self.compressors));
        let stopping = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stopping);
        let work = move || {
            let mut throttle = Throttle::new(job.plan().bytes_per_second);
            let mut pace = |bytes| throttle.wait(bytes, &stopped);
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| job.run(&mut disk, &*compressors, &mut pace)));
            // Nobody listens any more once the lane has stopped.
            let _ = ended.send(Message::Cleaned(Box::new(Ended { op, log, job, result })));
        };
        let thread = thread::Builder::new().name("cleaner".into()).spawn(work);
        let thread =
            thread.map_err(|error| StoreError::Io(format!("cannot start a thread to compact a log: {error}")))?;
        self.running.push(Running { op, log, stopping, thread });
        Ok(())
    }

    /// The log is to go, or to be cut: a clean of it works by paths that may be another log's soon. Waits until it has ended.
    pub(crate) fn stop_of(&mut self, log: LogId) {
        while let Some(at) = self.running.iter().position(|it| it.log == log) {
            self.running.swap_remove(at).stop();
        }
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, op: OpId) {
        if let Some(at) = self.running.iter().position(|it| it.op == op) {
            self.running.swap_remove(at).stop();
        }
    }

    /// Stops all of them.
    pub(crate) fn stop(self) {
        for running in self.running {
            running.stop();
        }
    }
}

/// Keeps a clean below its bytes a second.
struct Throttle {
    bytes_per_second: Option<u64>,
    began: Instant,
    bytes: u64,
}

impl Throttle {
    fn new(bytes_per_second: Option<u64>) -> Throttle {
        Throttle { bytes_per_second, began: Instant::now(), bytes: 0 }
    }

    /// Waits until so many bytes more are due; false if the clean is to stop.
    fn wait(&mut self, bytes: usize, stopping: &AtomicBool) -> bool {
        self.bytes += bytes as u64;
        let Some(limit) = self.bytes_per_second else { return !stopping.load(Ordering::Acquire) };
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(limit.max(1));
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        loop {
            if stopping.load(Ordering::Acquire) {
                return false;
            }
            match due.checked_sub(self.began.elapsed()).filter(|rest| !rest.is_zero()) {
                Some(rest) => thread::park_timeout(rest),
                None => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_and_a_stop_ends_the_wait() {
        let stopping = AtomicBool::new(false);
        let mut free = Throttle::new(None);
        assert!(free.wait(usize::MAX >> 1, &stopping));
        let mut limited = Throttle::new(Some(1_000_000));
        assert!(limited.wait(20_000, &stopping));
        assert!(limited.began.elapsed() >= Duration::from_millis(20));
        stopping.store(true, Ordering::Release);
        assert!(!limited.wait(usize::MAX >> 1, &stopping), "or this would take a thousand years");
        assert!(!free.wait(1, &stopping));
    }
}
