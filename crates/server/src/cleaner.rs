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
    stopping: Arc<AtomicBool>,
    threads: Vec<(OpId, JoinHandle<()>)>,
}

impl Cleaners {
    /// They tell `ended` when they are through.
    pub(crate) fn new(ended: Sender<Message>, compressors: Arc<dyn Compressors>) -> Cleaners {
        Cleaners { ended, compressors, stopping: Arc::default(), threads: Vec::new() }
    }

    /// Begins one; how many there are at once is the core's decision.
    pub(crate) fn start(
        &mut self,
        op: OpId,
        log: LogId,
        mut job: Job<NativeFile>,
        mut disk: NativeDisk,
    ) -> Result<(), StoreError> {
        let (ended, compressors, stopping) =
            (self.ended.clone(), Arc::clone(&self.compressors), Arc::clone(&self.stopping));
        let work = move || {
            let mut throttle = Throttle::new(job.plan().bytes_per_second);
            let mut pace = |bytes| throttle.wait(bytes, &stopping);
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| job.run(&mut disk, &*compressors, &mut pace)));
            // Nobody listens any more once the lane has stopped.
            let _ = ended.send(Message::Cleaned(Box::new(Ended { op, log, job, result })));
        };
        let thread = thread::Builder::new().name("cleaner".into()).spawn(work);
        let thread =
            thread.map_err(|error| StoreError::Io(format!("cannot start a thread to compact a log: {error}")))?;
        self.threads.push((op, thread));
        Ok(())
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, op: OpId) {
        let Some(at) = self.threads.iter().position(|(it, _)| *it == op) else { return };
        // It has said its last word; a panic came with it.
        let _ = self.threads.swap_remove(at).1.join();
    }

    /// Stops all of them; what they were writing is taken away.
    pub(crate) fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        for (_, thread) in &self.threads {
            thread.thread().unpark();
        }
        for (_, thread) in self.threads {
            let _ = thread.join();
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
