//! Copies of logs into other directories, each step on a thread of its own: the storage lane goes on meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use storage::copy::{CopyFault, CopyJob};
use storage::{Copied, LogId, OpId, StoreError};

use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::lane::Message;

/// A step of a copy is over.
pub(crate) struct CopyEnded {
    pub(crate) op: OpId,
    pub(crate) log: LogId,
    pub(crate) job: CopyJob<NativeFile>,
    /// The outer error is a panic.
    pub(crate) result: thread::Result<Result<Copied, CopyFault>>,
}

/// The steps under way.
pub(crate) struct Copiers {
    ended: Sender<Message>,
    running: Vec<(OpId, LogId, JoinHandle<()>)>,
}

impl Copiers {
    /// They tell `ended` when they are through.
    pub(crate) fn new(ended: Sender<Message>) -> Copiers {
        Copiers { ended, running: Vec::new() }
    }

    /// Begins a step; how many there are at once, and how large they are, is the core's decision.
    pub(crate) fn start(
        &mut self,
        op: OpId,
        log: LogId,
        mut job: CopyJob<NativeFile>,
        mut disk: NativeDisk,
    ) -> Result<(), StoreError> {
        let ended = self.ended.clone();
        let work = move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| job.run(&mut disk)));
            // Nobody listens any more once the lane has stopped.
            let _ = ended.send(Message::Copied(Box::new(CopyEnded { op, log, job, result })));
        };
        let thread = thread::Builder::new().name("copier".into()).spawn(work);
        let thread = thread.map_err(|error| StoreError::Io(format!("cannot start a thread to copy a log: {error}")))?;
        self.running.push((op, log, thread));
        Ok(())
    }

    /// The log is to go, or to be cut: a step of its copy works by paths. Waits until it has ended.
    pub(crate) fn wait_for(&mut self, log: LogId) {
        while let Some(at) = self.running.iter().position(|(_, it, _)| *it == log) {
            // A panic comes with its last word.
            let _ = self.running.swap_remove(at).2.join();
        }
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, op: OpId) {
        if let Some(at) = self.running.iter().position(|(it, ..)| *it == op) {
            let _ = self.running.swap_remove(at).2.join();
        }
    }

    /// Waits for all of them: a step is short.
    pub(crate) fn stop(self) {
        for (.., thread) in self.running {
            let _ = thread.join();
        }
    }
}
