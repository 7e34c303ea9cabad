//! The storage lane: one thread that carries out a node's store operations in the order it was given them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use protocol::FileId;
use storage::{Done, OpId, Store, StoreError, StoreOp};

use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::held::Change;

/// A finished operation, and what it changed about the files that a sender may need.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) op: OpId,
    pub(crate) result: Result<Done, StoreError>,
    /// Segment files that are open now and were not before.
    pub(crate) opened: Vec<(FileId, NativeFile)>,
    /// Segment files that no new answer will name.
    pub(crate) gone: Vec<FileId>,
    /// What became of the bytes that are held in memory.
    pub(crate) changes: Vec<Change>,
}

/// Where the lane puts what is finished; the reactor swaps it out.
pub(crate) type Inbox = Arc<Mutex<Vec<Finished>>>;

/// The lane's near end.
#[derive(Debug)]
pub(crate) struct Lane {
    sender: Option<Sender<Vec<(OpId, StoreOp)>>>,
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    /// Starts the thread; `wake` is called after something was put into the inbox.
    pub(crate) fn start(disk: NativeDisk, wake: impl Fn() + Send + 'static) -> std::io::Result<Lane> {
        let (sender, receiver) = channel();
        let inbox = Inbox::default();
        let worker = Worker { store: Store::new(disk), inbox: Arc::clone(&inbox) };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || worker.run(&receiver, &wake))?;
        Ok(Lane { sender: Some(sender), inbox, thread: Some(thread) })
    }

    /// Hands over one turn's operations.
    pub(crate) fn submit(&self, ops: Vec<(OpId, StoreOp)>) {
        let Some(sender) = &self.sender else { return };
        // The thread ends only when this sender is dropped or it panicked; a panic is rethrown by `stop`.
        let _ = sender.send(ops);
    }

    /// Everything finished since the last call.
    pub(crate) fn finished(&self) -> Vec<Finished> {
        std::mem::take(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True when the thread is gone though nobody stopped it.
    pub(crate) fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets the thread finish what it was given.
    pub(crate) fn stop(&mut self) {
        self.sender = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Worker {
    store: Store<NativeDisk>,
    inbox: Inbox,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Vec<(OpId, StoreOp)>>, wake: &dyn Fn()) {
        while let Ok(mut ops) = receiver.recv() {
            // Whatever arrived meanwhile joins in: more batches to one write.
            while let Ok(more) = receiver.try_recv() {
                ops.extend(more);
            }
            let finished = self.carry_out(ops);
            self.inbox.lock().unwrap_or_else(PoisonError::into_inner).extend(finished);
            wake();
        }
    }

    fn carry_out(&mut self, ops: Vec<(OpId, StoreOp)>) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(ops.len());
        for (op, result) in self.store.execute_all(ops) {
            finished.push(Finished { op, result, opened: Vec::new(), gone: Vec::new(), changes: Vec::new() });
        }
        // Told with the first answer, so that no later one names a file that the reactor does not know yet.
        let changes = self.store.take_changes();
        if let Some(first) = finished.first_mut() {
            first.opened = changes.opened;
            first.gone = changes.gone;
            first.changes = self.store.disk_mut().take_changes();
        }
        finished
    }
}
