//! Flushes, and writes of small files, on threads of their own: a disk takes milliseconds to sync what it was given, and appends,
//! to this log and all the others, need not wait for that.

use std::collections::VecDeque;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use ordered::Map;
use storage::flush::FlushJob;
use storage::{Cell, LogId, OpId, StoreError};

use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::lane::Message;

/// Logs and cells that are made durable at once. A disk makes one sync of several, and one that is slow should hold up few others.
const THREADS: usize = 4;

/// For which of them a flush is: the cluster's metadata, and votes, wait for no records. Many logs that roll at once keep the
/// others busy for seconds, and a quorum that hears nothing for so long elects another leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Metadata,
    Records,
}

/// What is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    Log(LogId),
    Cell(Cell),
}

/// How a flush ended; the outer error is a panic.
type Outcome = thread::Result<Result<(), StoreError>>;

/// What a thread does for as long as it lives, and how one is had.
type Work = Box<dyn FnOnce() + Send>;
type Spawn = Box<dyn FnMut(Work) -> io::Result<JoinHandle<()>> + Send>;

/// What a thread is to do, and where it tells what came of it.
struct Task {
    op: OpId,
    of: Of,
    job: FlushJob<NativeFile>,
    disk: NativeDisk,
    outcome: Arc<Slot>,
}

impl Task {
    fn carry_out(self, ended: &Sender<Message>) {
        let Task { op, of, job, mut disk, outcome } = self;
        outcome.put(std::panic::catch_unwind(AssertUnwindSafe(|| job.run(&mut disk))));
        // Nobody listens any more once the lane has stopped.
        let _ = ended.send(Message::Flushed(of, op));
    }
}

/// Where an outcome waits for whoever wants it first.
#[derive(Default)]
struct Slot {
    outcome: Mutex<Option<Outcome>>,
    is_there: Condvar,
}

impl Slot {
    fn put(&self, outcome: Outcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.is_there.notify_all();
    }

    fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match outcome.take() {
                Some(outcome) => return outcome,
                None => outcome = self.is_there.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Threads that take one task after the other.
struct Pool {
    tasks: Sender<Task>,
    queue: Arc<Mutex<Receiver<Task>>>,
    threads: Vec<JoinHandle<()>>,
    most: usize,
}

impl Pool {
    fn new(most: usize) -> Pool {
        let (tasks, queue) = channel();
        Pool { tasks, queue: Arc::new(Mutex::new(queue)), threads: Vec::new(), most }
    }

    fn add_thread(&mut self, spawn: &mut Spawn, ended: &Sender<Message>) {
        let (queue, ended) = (Arc::clone(&self.queue), ended.clone());
        let work = move || {
            loop {
                let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(task) = task else { return };
                task.carry_out(&ended);
            }
        };
        match spawn(Box::new(work)) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => tracing::warn!(%error, "a thread to flush logs could not be started: flushes take longer"),
        }
    }
}

/// The flushes under way: one a log or a cell, and who waits for the next.
pub(crate) struct Flushers {
    ended: Sender<Message>,
    metadata: Pool,
    records: Pool,
    spawn: Spawn,
    running: Map<Of, Running>,
}

struct Running {
    op: OpId,
    /// Others that it is for.
    joined: Vec<OpId>,
    outcome: Arc<Slot>,
    waiting: VecDeque<OpId>,
}

/// A flush that has ended, and those of the same that came meanwhile.
pub(crate) struct Flushed {
    pub(crate) op: OpId,
    pub(crate) joined: Vec<OpId>,
    pub(crate) outcome: Outcome,
    pub(crate) waiting: VecDeque<OpId>,
}

impl Flushers {
    /// They tell `ended` when they are through.
    pub(crate) fn new(ended: Sender<Message>) -> Flushers {
        Flushers::with(ended, Box::new(|work| thread::Builder::new().name("flusher".into()).spawn(work)))
    }

    pub(crate) fn with(ended: Sender<Message>, spawn: Spawn) -> Flushers {
        Flushers { ended, metadata: Pool::new(1), records: Pool::new(THREADS), spawn, running: Map::new() }
    }

    /// True if one of the same is under way.
    pub(crate) fn is_running(&self, of: Of) -> bool {
        self.running.contains_key(&of)
    }

    /// True if one of the same is under way: this one waits for it, and is handed back with its end.
    pub(crate) fn must_wait(&mut self, op: OpId, of: Of) -> bool {
        let running = self.running.get_mut(&of);
        running.map(|running| running.waiting.push_back(op)).is_some()
    }

    /// Has a flush end with the one that is under way, if that was gathered after all that this one is to make durable was
    /// there; false if none is.
    pub(crate) fn join(&mut self, op: OpId, of: Of) -> bool {
        let running = self.running.get_mut(&of);
        running.map(|running| running.joined.push(op)).is_some()
    }

    /// Begins one. With no thread to be had it is carried out here and now: the disk is none the worse for that.
    pub(crate) fn start(&mut self, op: OpId, of: Of, rank: Rank, job: FlushJob<NativeFile>, disk: NativeDisk) {
        let pool = match rank {
            Rank::Metadata => &mut self.metadata,
            Rank::Records => &mut self.records,
        };
        if pool.threads.len() < pool.most && pool.threads.len() <= self.running.len() {
            pool.add_thread(&mut self.spawn, &self.ended);
        }
        let outcome = Arc::<Slot>::default();
        let running = Running { op, joined: Vec::new(), outcome: Arc::clone(&outcome), waiting: VecDeque::new() };
        self.running.insert(of, running);
        let task = Task { op, of, job, disk, outcome };
        if pool.threads.is_empty() {
            task.carry_out(&self.ended);
        } else {
            // The threads end only with the queue, which is ours.
            let _ = pool.tasks.send(task);
        }
    }

    /// One has told that it ended; `None` if somebody has waited for it.
    pub(crate) fn ended(&mut self, of: Of, op: OpId) -> Option<Flushed> {
        if self.running.get(&of)?.op == op { self.wait_for(of) } else { None }
    }

    /// Waits for the one that is under way, if there is one.
    pub(crate) fn wait_for(&mut self, of: Of) -> Option<Flushed> {
        let Running { op, joined, outcome, waiting } = self.running.remove(&of)?;
        Some(Flushed { op, joined, outcome: outcome.wait(), waiting })
    }

    /// What is being made durable.
    pub(crate) fn all(&self) -> Vec<Of> {
        self.running.keys().copied().collect()
    }

    /// Waits for all threads; what they were given is done.
    pub(crate) fn stop(self) {
        for Pool { tasks, threads, .. } in [self.metadata, self.records] {
            drop(tasks);
            for thread in threads {
                // It catches what panics in it.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::{DirId, Done, LogSpec, SegmentRules, Store, StoreOp};

    use super::*;

    fn spec(partition: u32, synced: bool) -> LogSpec {
        LogSpec {
            dir: DirId(0),
            topic: "orders".into(),
            partition: partition as i32,
            topic_id: protocol::Uuid([5; 16]),
            create: true,
            synced,
            replicated: false,
            compacted: false,
            segments: SegmentRules::default(),
        }
    }

    /// It took the log's directory offline, and with it the node.
    #[test]
    fn logs_are_flushed_though_no_thread_is_to_be_had() {
        let folder = tempfile::tempdir().unwrap();
        for threads in 0..2 {
            let (ended, told) = channel();
            let mut left = threads;
            let spawn = move |work: Work| {
                if left == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                left -= 1;
                thread::Builder::new().spawn(work)
            };
            let mut flushers = Flushers::with(ended, Box::new(spawn));
            let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
            for log in 1..4 {
                store.execute(StoreOp::Mount(LogId(log), spec(log, false))).unwrap();
                let job = store.flush_job(LogId(log)).unwrap();
                flushers.start(OpId(u64::from(log)), Of::Log(LogId(log)), Rank::Records, job, store.disk().beside());
            }
            for _ in 1..4 {
                let Ok(Message::Flushed(Of::Log(log), op)) = told.recv() else { panic!("{threads} threads") };
                let flushed = flushers.ended(Of::Log(log), op).unwrap();
                assert_eq!((flushed.op, store.flushed(log, flushed.outcome.unwrap())), (op, Ok(Done::Flushed)));
            }
            assert_eq!(flushers.records.threads.len(), threads);
            flushers.stop();
        }
    }
}
