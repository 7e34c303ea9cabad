//! The storage lane: one thread that carries out a node's store operations in the order it was given them.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use ordered::{Map, Set};
use protocol::{Era, FileId};
use storage::copy::CopyFault;
use storage::{Cell, CleanStep, CopyPlan, DirId, Done, LogId, OpId, Store, StoreError, StoreOp};

use crate::cleaner::{Cleaners, Ended};
use crate::compressors::NativeCompressors;
use crate::copier::{Copiers, CopyEnded};
use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::flusher::{Flushed, Flushers, Of, Rank};
use crate::held::Change;
use crate::kind::{Kind, dir_named_in, finds_mounts, kind_of, lane_of};
use crate::mounts::{Mounted, Mounters, dir_of, mount_all};
use crate::reader::WakeAtEnd;

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

impl Finished {
    fn of(op: OpId, result: Result<Done, StoreError>) -> Finished {
        Finished { op, result, opened: Vec::new(), gone: Vec::new(), changes: Vec::new() }
    }
}

/// Where the lane puts what is finished; the reactor swaps it out.
pub(crate) type Inbox = Arc<Mutex<Vec<Finished>>>;

/// What the thread is told.
pub(crate) enum Message {
    /// Operations of one turn.
    Ops(Vec<(OpId, StoreOp)>),
    /// A clean that ran beside the lane is through.
    Cleaned(Box<Ended>),
    /// A step of a copy that ran beside the lane is through.
    Copied(Box<CopyEnded>),
    /// A flush, or the write of a small file, that ran beside the lane is through.
    Flushed(Of, OpId),
    /// Mounts that ran beside the lane are through.
    Mounted(u64),
    /// Nothing comes any more.
    Stop,
}

/// The lane's near end.
#[derive(Debug)]
pub(crate) struct Lane {
    sender: Option<Sender<Message>>,
    inbox: Inbox,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    /// Starts the thread; `wake` is called after something was put into the inbox. So many threads a directory mount logs.
    pub(crate) fn start(
        disk: NativeDisk,
        mount_threads: usize,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Lane> {
        let (sender, receiver) = channel();
        let inbox = Inbox::default();
        let compressors = Arc::new(NativeCompressors);
        let copiers = Copiers::new(Sender::clone(&sender));
        let flushers = Flushers::new(Sender::clone(&sender));
        let mounters = Mounters::new(Sender::clone(&sender));
        let cleaners = Cleaners::new(Sender::clone(&sender), Arc::clone(&compressors) as _);
        let store = Store::with_compressors(disk, compressors);
        let worker = Worker {
            store,
            cleaners,
            copiers,
            flushers,
            mounters,
            mount_threads,
            inbox: Arc::clone(&inbox),
            mounts: VecDeque::new(),
            held: Map::new(),
            puts: Map::new(),
            serves: false,
        };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            // However it ends: somebody has to notice.
            let ended = WakeAtEnd(wake);
            worker.run(&receiver, &ended.0);
        })?;
        Ok(Lane { sender: Some(sender), inbox, thread: Some(thread) })
    }

    /// Hands over one turn's operations.
    pub(crate) fn submit(&self, ops: Vec<(OpId, StoreOp)>) {
        let Some(sender) = &self.sender else { return };
        // The thread ends only when it is told to or it panicked; a panic is rethrown by `stop`.
        let _ = sender.send(Message::Ops(ops));
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
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::Stop);
        }
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Mounts that run beside the lane together, once it has other work: a topic of thousands of partitions holds nobody up.
const MOUNTS: usize = 16;

struct Worker {
    store: Store<NativeDisk>,
    cleaners: Cleaners,
    copiers: Copiers,
    flushers: Flushers,
    mounters: Mounters,
    mount_threads: usize,
    inbox: Inbox,
    /// Mounts that wait for those that are under way.
    mounts: VecDeque<(OpId, StoreOp)>,
    /// Of logs whose batches are all synced: what waits for the flush that is under way.
    held: Map<LogId, Vec<(OpId, StoreOp)>>,
    /// What cells are to hold once what holds them up is through.
    puts: Map<Cell, Vec<(OpId, Bytes)>>,
    /// Records were appended, not only metadata: a start mounts all it has at once.
    serves: bool,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>, wake: &dyn Fn()) {
        let mut is_running = true;
        while is_running && let Ok(first) = receiver.recv() {
            // Whatever arrived meanwhile joins in: more batches to one write.
            let (mut ops, mut finished, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
            for message in [first].into_iter().chain(receiver.try_iter()) {
                match message {
                    Message::Ops(more) => ops.extend(more),
                    Message::Cleaned(ended) => finished.push(self.cleaned(*ended)),
                    Message::Copied(ended) => finished.push(self.copied(*ended)),
                    Message::Flushed(of, op) => flushed.push((of, op)),
                    Message::Mounted(number) => {
                        let mounted = self.mounters.ended(number);
                        self.mounted(mounted, &mut finished);
                    }
                    Message::Stop => is_running = false,
                }
            }
            for (of, op) in flushed {
                self.flushed(of, op, &mut finished);
            }
            finished.extend(self.carry_out(ops));
            self.release(&mut finished);
            self.tell(finished, wake);
            let mounted = self.begin_mounts();
            self.tell(mounted, wake);
        }
        let mut finished = Vec::new();
        self.mount_rest(&mut finished);
        self.finish_all(&mut finished);
        self.tell(finished, wake);
        wake();
        self.cleaners.stop();
        self.copiers.stop();
        self.flushers.stop();
    }

    /// Hands the reactor what is finished, and with it what changed about files: told with the first answer, so that no later
    /// one names a file that the reactor does not know yet.
    fn tell(&mut self, mut finished: Vec<Finished>, wake: &dyn Fn()) {
        let Some(first) = finished.first_mut() else { return };
        let changes = self.store.take_changes();
        first.opened = changes.opened;
        first.gone = changes.gone;
        first.changes = self.store.disk_mut().take_changes();
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).extend(finished);
        wake();
    }

    /// Has a clean run beside the lane. An answer at once is an error.
    fn clean(&mut self, op: OpId, log: LogId, era: Era, step: CleanStep) -> Option<Finished> {
        let job = self.store.clean_job(log, era, step);
        let disk = self.store.disk().beside();
        let failed = job.and_then(|job| self.cleaners.start(op, log, job, disk)).err()?;
        Some(Finished::of(op, Err(failed)))
    }

    fn cleaned(&mut self, ended: Ended) -> Finished {
        let Ended { op, log, job, result } = ended;
        self.cleaners.ended(op);
        // Whatever it stumbled over is in this one log's bytes, and no reason to serve no other.
        let result = result.unwrap_or_else(|panic| {
            Err(StoreError::Corrupt(format!("the cleaner panicked over it: {}", said_in_panic(&*panic))))
        });
        if result.as_ref().is_ok_and(|cleaned| cleaned.is_more) {
            self.store.keep_job(log, job);
        }
        Finished::of(op, result.map(|cleaned| Done::Cleaned(Box::new(cleaned))))
    }

    /// Has a step of a copy run beside the lane. An answer at once is an error.
    fn copy(&mut self, op: OpId, log: LogId, plan: CopyPlan) -> Option<Finished> {
        let failed = match self.store.copy_job(log, plan) {
            Ok(job) => self.copiers.start(op, log, job, self.store.disk().beside()).map_err(CopyFault::Log).err()?,
            Err(fault) => fault,
        };
        Some(Finished::of(op, self.store.copied(log, None, Err(failed))))
    }

    fn copied(&mut self, ended: CopyEnded) -> Finished {
        let CopyEnded { op, log, job, result } = ended;
        self.copiers.ended(op);
        let result = result.unwrap_or_else(|panic| {
            let why = said_in_panic(&*panic);
            Err(CopyFault::Log(StoreError::Corrupt(format!("the copier panicked over it: {why}"))))
        });
        Finished::of(op, self.store.copied(log, Some(job), result))
    }

    /// Has a log flushed beside the lane.
    fn flush(&mut self, op: OpId, log: LogId, finished: &mut Vec<Finished>) {
        if self.flushers.must_wait(op, Of::Log(log)) {
            return;
        }
        match self.store.flush_job(log) {
            Ok(job) => {
                let rank = if self.store.is_synced(log) { Rank::Metadata } else { Rank::Records };
                self.flushers.start(op, Of::Log(log), rank, job, self.store.disk().beside());
            }
            Err(error) => finished.push(Finished::of(op, self.store.flushed(log, Err(error)))),
        }
    }

    fn flushed(&mut self, of: Of, op: OpId, finished: &mut Vec<Finished>) {
        let Some(flushed) = self.flushers.ended(of, op) else { return };
        let log = match of {
            Of::Log(log) => log,
            Of::Cell(cell) => return self.settle_put(cell, flushed, finished),
        };
        // The first of those that came meanwhile begins, and the others end with it: all that they are for is there.
        let mut waiting = self.settle_flush(log, flushed, finished).into_iter();
        if let Some(first) = waiting.next() {
            self.flush(first, log, finished);
        }
        for op in waiting {
            if !self.flushers.join(op, of) {
                self.flush(op, log, finished);
            }
        }
    }

    /// Waits for a log's flushes: what follows must not run beside them.
    fn finish_flushes(&mut self, log: LogId, finished: &mut Vec<Finished>) {
        if let Some(flushed) = self.flushers.wait_for(Of::Log(log)) {
            for op in self.settle_flush(log, flushed, finished) {
                finished.push(Finished::of(op, self.store.execute(StoreOp::Flush(log))));
            }
        }
    }

    /// Waits for all that is being made durable, and carries out what was held up by it.
    fn finish_all(&mut self, finished: &mut Vec<Finished>) {
        for of in self.flushers.all() {
            if let Of::Log(log) = of {
                self.finish_flushes(log, finished);
            }
        }
        self.finish_puts(|_| true, finished);
        for (_, ops) in std::mem::take(&mut self.held) {
            let answers = self.store.execute_all(ops);
            finished.extend(answers.into_iter().map(|(op, result)| Finished::of(op, result)));
        }
    }

    /// Waits for such small files as are being replaced, and as are to be.
    fn finish_puts(&mut self, is_awaited: fn(Cell) -> bool, finished: &mut Vec<Finished>) {
        let is_it = |of: &Of| matches!(of, Of::Cell(cell) if is_awaited(*cell));
        while let Some(of) = self.flushers.all().into_iter().find(is_it) {
            if let (Of::Cell(cell), Some(flushed)) = (of, self.flushers.wait_for(of)) {
                self.settle_put(cell, flushed, finished);
            }
        }
    }

    /// Has a small file replaced beside the lane.
    fn put(&mut self, op: OpId, cell: Cell, bytes: Bytes, finished: &mut Vec<Finished>) {
        if self.must_put_later(cell) {
            self.puts.entry(cell).or_default().push((op, bytes));
            return;
        }
        match self.store.put_job(cell, bytes) {
            Ok(job) => {
                let rank = if matches!(cell, Cell::QuorumState(_)) { Rank::Metadata } else { Rank::Records };
                self.flushers.start(op, Of::Cell(cell), rank, job, self.store.disk().beside());
            }
            Err(error) => finished.push(Finished::of(op, self.store.put_done(cell, Err(error)))),
        }
    }

    /// What a directory's cells say of logs that cannot be mounted is known when those that are being mounted are through.
    fn must_put_later(&self, cell: Cell) -> bool {
        let waits_for_mounts = !matches!(cell, Cell::QuorumState(_)) && self.mounters.is_running();
        waits_for_mounts || self.flushers.is_running(Of::Cell(cell))
    }

    fn settle_put(&mut self, cell: Cell, flushed: Flushed, finished: &mut Vec<Finished>) {
        let result = said(flushed.outcome);
        for op in [flushed.op].into_iter().chain(flushed.joined) {
            finished.push(Finished::of(op, self.store.put_done(cell, result.clone())));
        }
        self.next_put(cell, finished);
    }

    /// Of what a cell was to hold meanwhile only the last is written, and all end with it.
    fn next_put(&mut self, cell: Cell, finished: &mut Vec<Finished>) {
        if self.must_put_later(cell) {
            return;
        }
        let Some(mut waiting) = self.puts.remove(&cell) else { return };
        if let Some((op, bytes)) = waiting.pop() {
            self.put(op, cell, bytes, finished);
        }
        for (op, bytes) in waiting {
            if !self.flushers.join(op, Of::Cell(cell)) {
                self.put(op, cell, bytes, finished);
            }
        }
    }

    /// Takes out what has to wait for the flush of a log to whose end nothing may be appended meanwhile.
    fn hold(&mut self, ops: Vec<(OpId, StoreOp)>) -> Vec<(OpId, StoreOp)> {
        let mut flushed = Set::new();
        let mut free = Vec::with_capacity(ops.len());
        for (id, op) in ops {
            match lane_of(&op).filter(|log| self.store.is_synced(*log)) {
                Some(log)
                    if self.held.contains_key(&log)
                        || flushed.contains(&log)
                        || self.flushers.is_running(Of::Log(log)) =>
                {
                    self.held.entry(log).or_default().push((id, op));
                    continue;
                }
                Some(log) if matches!(op, StoreOp::Flush(_)) => {
                    flushed.insert(log);
                }
                _ => {}
            }
            free.push((id, op));
        }
        free
    }

    /// Carries out what was held up by flushes that are through.
    fn release(&mut self, finished: &mut Vec<Finished>) {
        while let Some(log) = self.held.keys().copied().find(|log| !self.flushers.is_running(Of::Log(*log))) {
            let ops = self.held.remove(&log).unwrap_or_default();
            finished.extend(self.carry_out(ops));
        }
    }

    fn settle_flush(&mut self, log: LogId, flushed: Flushed, finished: &mut Vec<Finished>) -> VecDeque<OpId> {
        let result = said(flushed.outcome);
        for op in [flushed.op].into_iter().chain(flushed.joined) {
            finished.push(Finished::of(op, self.store.flushed(log, result.clone())));
        }
        flushed.waiting
    }

    /// True while what is written about a directory's logs may be of one that is gone: no other of its name may begin, for after
    /// a crash it would be taken for that one.
    fn may_not_mount_in(&self, dir: DirId) -> bool {
        let is_written = |of: Of| matches!(of, Of::Cell(cell) if dir_named_in(cell) == Some(dir));
        self.puts.keys().any(|cell| dir_named_in(*cell) == Some(dir)) || self.flushers.all().into_iter().any(is_written)
    }

    /// Waits until logs may be mounted here and now.
    fn finish_checkpoints(&mut self, finished: &mut Vec<Finished>) {
        self.finish_puts(|cell| dir_named_in(cell).is_some(), finished);
    }

    /// Has mounts that have waited carried out beside the lane, unless others are. The answers of those that could not be.
    fn begin_mounts(&mut self) -> Vec<Finished> {
        let mut finished = Vec::new();
        while !self.mounters.is_running() && !self.mounts.is_empty() {
            let next = self.mounts.iter().take(MOUNTS);
            let may_begin = next.take_while(|(_, op)| dir_of(op).is_none_or(|dir| !self.may_not_mount_in(dir))).count();
            if may_begin == 0 {
                break;
            }
            let run = self.mounts.drain(..may_begin).collect();
            let answers = self.mounters.start(&mut self.store, run, self.mount_threads);
            finished.extend(answers.into_iter().map(|(op, result)| Finished::of(op, result)));
        }
        finished
    }

    fn mounted(&mut self, mounted: Option<Mounted>, finished: &mut Vec<Finished>) {
        let Some(mounted) = mounted else { return };
        let answers = mounted.settle(&mut self.store);
        finished.extend(answers.into_iter().map(|(op, result)| Finished::of(op, result)));
        for cell in self.puts.keys().copied().collect::<Vec<Cell>>() {
            self.next_put(cell, finished);
        }
    }

    /// Carries out all mounts that wait, here and now.
    fn mount_rest(&mut self, finished: &mut Vec<Finished>) {
        let running = self.mounters.wait();
        self.mounted(running, finished);
        let rest: Vec<(OpId, StoreOp)> = self.mounts.drain(..).collect();
        if !rest.is_empty() {
            self.finish_checkpoints(finished);
            let answers = mount_all(&mut self.store, rest, self.mount_threads);
            finished.extend(answers.into_iter().map(|(op, result)| Finished::of(op, result)));
        }
    }

    /// Carries out the mount of a log, if it waits.
    fn mount_log(&mut self, log: LogId, finished: &mut Vec<Finished>) {
        if self.mounters.has(log) {
            let running = self.mounters.wait();
            return self.mounted(running, finished);
        }
        let at = self.mounts.iter().position(|(_, op)| matches!(op, StoreOp::Mount(it, _) if *it == log));
        if let Some((op, mount)) = at.and_then(|at| self.mounts.remove(at)) {
            if dir_of(&mount).is_some_and(|dir| self.may_not_mount_in(dir)) {
                // Some may wait for the mounts that are under way.
                let running = self.mounters.wait();
                self.mounted(running, finished);
                self.finish_checkpoints(finished);
            }
            finished.push(Finished::of(op, self.store.execute(mount)));
        }
    }

    fn carry_out(&mut self, ops: Vec<(OpId, StoreOp)>) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(ops.len());
        // They may begin at any time: after the turn's other operations, so that these are not held up.
        let (mut cleans, mut copies) = (Vec::new(), Vec::new());
        let mut ops: VecDeque<(OpId, StoreOp)> = self
            .hold(ops)
            .into_iter()
            .filter_map(|(id, op)| match op {
                StoreOp::Clean(log, era, step) => {
                    cleans.push((id, log, era, step));
                    None
                }
                StoreOp::Copy(log, plan) => {
                    copies.push((id, log, plan));
                    None
                }
                StoreOp::Remove(log) | StoreOp::Truncate(log, ..) | StoreOp::Move(log) | StoreOp::DropCopy(log) => {
                    self.cleaners.stop_of(log);
                    self.copiers.wait_for(log);
                    Some((id, op))
                }
                other => Some((id, other)),
            })
            .collect();
        // They come last, too, but before what must not overtake them. Of one log, appends on both sides of a flush are one write.
        let mut flushes: Vec<(OpId, LogId)> = Vec::new();
        let mut puts: Vec<(OpId, Cell, Bytes)> = Vec::new();
        let in_order = |kind: Kind| matches!(kind, Kind::After(_)) || (kind == Kind::Mount && !self.serves);
        if !ops.iter().any(|(_, op)| in_order(kind_of(op))) {
            ops.retain(|(id, op)| match op {
                StoreOp::Flush(log) => {
                    flushes.push((*id, *log));
                    false
                }
                StoreOp::Put(cell, bytes) if kind_of(op) == Kind::Put => {
                    puts.push((*id, *cell, bytes.clone()));
                    false
                }
                _ => true,
            });
        }
        self.serves |= ops.iter().any(|(_, op)| matches!(op, StoreOp::Append(log, ..) if !self.store.is_synced(*log)));
        while let Some((_, first)) = ops.front() {
            let kind = kind_of(first);
            let others = ops.iter().position(|(_, op)| kind_of(op) != kind);
            let run: Vec<(OpId, StoreOp)> = ops.drain(..others.unwrap_or(ops.len())).collect();
            if let Kind::After(Some(log)) = kind {
                self.mount_log(log, &mut finished);
            } else if run.iter().any(|(_, op)| finds_mounts(op)) {
                self.mount_rest(&mut finished);
            } else if kind == Kind::Mount {
                for (id, cell, bytes) in puts.drain(..) {
                    self.put(id, cell, bytes, &mut finished);
                }
            }
            let answers = match kind {
                Kind::Mount if self.serves => {
                    self.mounts.extend(run);
                    continue;
                }
                Kind::Mount => {
                    self.finish_checkpoints(&mut finished);
                    mount_all(&mut self.store, run, self.mount_threads)
                }
                Kind::Flush => {
                    flushes.extend(run.into_iter().filter_map(|(id, op)| match op {
                        StoreOp::Flush(log) => Some((id, log)),
                        _ => None,
                    }));
                    continue;
                }
                Kind::Put => {
                    puts.extend(run.into_iter().filter_map(|(id, op)| match op {
                        StoreOp::Put(cell, bytes) => Some((id, cell, bytes)),
                        _ => None,
                    }));
                    continue;
                }
                Kind::After(log) => {
                    for (id, log) in flushes.extract_if(.., |(_, it)| log.is_none_or(|log| log == *it)) {
                        self.flush(id, log, &mut finished);
                    }
                    if let Some(log) = log {
                        self.finish_flushes(log, &mut finished);
                        if run.iter().any(|(_, op)| matches!(op, StoreOp::Truncate(..))) {
                            // It has the recovery points say less, and nobody else may write them meanwhile.
                            self.finish_puts(|cell| matches!(cell, Cell::RecoveryPoints(_)), &mut finished);
                        }
                        if self.store.is_synced(log) {
                            // No earlier ones may come after them.
                            let running = self.mounters.wait();
                            self.mounted(running, &mut finished);
                            for (id, cell, bytes) in puts.drain(..) {
                                self.put(id, cell, bytes, &mut finished);
                            }
                            self.finish_puts(|_| true, &mut finished);
                        }
                    } else {
                        for (id, cell, bytes) in puts.drain(..) {
                            self.put(id, cell, bytes, &mut finished);
                        }
                        self.finish_all(&mut finished);
                    }
                    self.store.execute_all(run)
                }
                Kind::Other => self.store.execute_all(run),
            };
            finished.extend(answers.into_iter().map(|(op, result)| Finished::of(op, result)));
        }
        for (op, log) in flushes {
            self.flush(op, log, &mut finished);
        }
        for (op, cell, bytes) in puts {
            self.put(op, cell, bytes, &mut finished);
        }
        for (op, log, era, step) in cleans {
            finished.extend(self.clean(op, log, era, step));
        }
        for (op, log, plan) in copies {
            finished.extend(self.copy(op, log, plan));
        }
        finished
    }
}

/// How what ran beside the lane ended; a panic is an error of the disk.
fn said(outcome: std::thread::Result<Result<(), StoreError>>) -> Result<(), StoreError> {
    outcome.unwrap_or_else(|panic| Err(StoreError::Io(format!("the flusher panicked: {}", said_in_panic(&*panic)))))
}

/// What a thread said when it panicked.
fn said_in_panic(panic: &(dyn Any + Send)) -> String {
    let what = panic.downcast_ref::<String>().cloned();
    what.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
