//! The storage lane: one thread that carries out a node's store operations in the order it was given them.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use protocol::{Era, FileId};
use storage::copy::CopyFault;
use storage::{Cell, CleanStep, CopyPlan, Done, LogId, OpId, Store, StoreError, StoreOp};

use crate::cleaner::{Cleaners, Ended};
use crate::compressors::NativeCompressors;
use crate::copier::{Copiers, CopyEnded};
use crate::disk::NativeDisk;
use crate::file::NativeFile;
use crate::flusher::{Flushed, Flushers};
use crate::held::Change;
use crate::mounts::mount_all;
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
    /// A flush that ran beside the lane is through.
    Flushed(LogId, OpId),
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
        let cleaners = Cleaners::new(Sender::clone(&sender), Arc::clone(&compressors) as _);
        let store = Store::with_compressors(disk, compressors);
        let worker = Worker {
            store,
            cleaners,
            copiers,
            flushers,
            mount_threads,
            inbox: Arc::clone(&inbox),
            mounts: VecDeque::new(),
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

/// Mounts between two looks for other work, once there is any: a topic of thousands of partitions holds nobody up.
const MOUNTS: usize = 16;

struct Worker {
    store: Store<NativeDisk>,
    cleaners: Cleaners,
    copiers: Copiers,
    flushers: Flushers,
    mount_threads: usize,
    inbox: Inbox,
    /// Mounts that wait for a moment in which nothing else does.
    mounts: VecDeque<(OpId, StoreOp)>,
    /// Records were appended, not only metadata: a start mounts all it has at once.
    serves: bool,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>, wake: &dyn Fn()) {
        let mut is_running = true;
        while is_running || !self.mounts.is_empty() {
            let first = if self.mounts.is_empty() { receiver.recv().ok() } else { receiver.try_recv().ok() };
            is_running &= first.is_some() || !self.mounts.is_empty();
            // Whatever arrived meanwhile joins in: more batches to one write.
            let (mut ops, mut cleaned, mut copied, mut flushed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for message in first.into_iter().chain(receiver.try_iter()) {
                match message {
                    Message::Ops(more) => ops.extend(more),
                    Message::Cleaned(ended) => cleaned.push(ended),
                    Message::Copied(ended) => copied.push(ended),
                    Message::Flushed(log, op) => flushed.push((log, op)),
                    Message::Stop => is_running = false,
                }
            }
            let mut finished: Vec<Finished> = cleaned.into_iter().map(|ended| self.cleaned(*ended)).collect();
            finished.extend(copied.into_iter().map(|ended| self.copied(*ended)));
            for (log, op) in flushed {
                self.flushed(log, op, &mut finished);
            }
            finished.extend(self.carry_out(ops));
            self.tell(finished, wake);
            // Nobody who appended waits for these.
            let mounted = self.mount(MOUNTS);
            self.tell(mounted, wake);
        }
        let mut finished = Vec::new();
        for log in self.flushers.logs() {
            self.finish_flushes(log, &mut finished);
        }
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).extend(finished);
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

    /// Has a log flushed beside the lane, unless its next append waits for it anyway.
    fn flush(&mut self, op: OpId, log: LogId, finished: &mut Vec<Finished>) {
        if self.flushers.must_wait(op, log) {
            return;
        }
        match self.store.flush_job(log) {
            Ok(Some(job)) => self.flushers.start(op, log, job, self.store.disk().beside()),
            Ok(None) => finished.push(Finished::of(op, self.store.execute(StoreOp::Flush(log)))),
            Err(error) => finished.push(Finished::of(op, self.store.flushed(log, Err(error)))),
        }
    }

    fn flushed(&mut self, log: LogId, op: OpId, finished: &mut Vec<Finished>) {
        let Some(flushed) = self.flushers.ended(log, op) else { return };
        // The first of those that came meanwhile begins, and the others end with it: all that they are for is there.
        let mut waiting = self.settle_flush(log, flushed, finished).into_iter();
        if let Some(first) = waiting.next() {
            self.flush(first, log, finished);
        }
        for op in waiting {
            if !self.flushers.join(op, log) {
                self.flush(op, log, finished);
            }
        }
    }

    /// Waits for a log's flushes: what follows must not run beside them.
    fn finish_flushes(&mut self, log: LogId, finished: &mut Vec<Finished>) {
        if let Some(flushed) = self.flushers.wait_for(log) {
            for op in self.settle_flush(log, flushed, finished) {
                finished.push(Finished::of(op, self.store.execute(StoreOp::Flush(log))));
            }
        }
    }

    fn settle_flush(&mut self, log: LogId, flushed: Flushed, finished: &mut Vec<Finished>) -> VecDeque<OpId> {
        let result = flushed
            .outcome
            .unwrap_or_else(|panic| Err(StoreError::Io(format!("the flusher panicked: {}", said_in_panic(&*panic)))));
        for op in [flushed.op].into_iter().chain(flushed.joined) {
            finished.push(Finished::of(op, self.store.flushed(log, result.clone())));
        }
        flushed.waiting
    }

    /// Carries out mounts that have waited, at most so many.
    fn mount(&mut self, most: usize) -> Vec<Finished> {
        let run: Vec<(OpId, StoreOp)> = self.mounts.drain(..most.min(self.mounts.len())).collect();
        if run.is_empty() {
            return Vec::new();
        }
        let answers = mount_all(&mut self.store, run, self.mount_threads);
        answers.into_iter().map(|(op, result)| Finished::of(op, result)).collect()
    }

    /// Carries out the mount of a log, if it waits.
    fn mount_log(&mut self, log: LogId) -> Option<Finished> {
        let at = self.mounts.iter().position(|(_, op)| matches!(op, StoreOp::Mount(it, _) if *it == log))?;
        let (op, mount) = self.mounts.remove(at)?;
        Some(Finished::of(op, self.store.execute(mount)))
    }

    fn carry_out(&mut self, ops: Vec<(OpId, StoreOp)>) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(ops.len());
        // They may begin at any time: after the turn's other operations, so that these are not held up.
        let (mut cleans, mut copies) = (Vec::new(), Vec::new());
        let mut ops: VecDeque<(OpId, StoreOp)> = ops
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
        if !ops.iter().any(|(_, op)| matches!(kind_of(op), Kind::After(_))) {
            ops.retain(|(id, op)| match op {
                StoreOp::Flush(log) => {
                    flushes.push((*id, *log));
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
                finished.extend(self.mount_log(log));
            } else if run.iter().any(|(_, op)| finds_mounts(op)) {
                finished.extend(self.mount(usize::MAX));
            }
            let answers = match kind {
                Kind::Mount if self.serves => {
                    self.mounts.extend(run);
                    continue;
                }
                Kind::Mount => mount_all(&mut self.store, run, self.mount_threads),
                Kind::Flush => {
                    flushes.extend(run.into_iter().filter_map(|(id, op)| match op {
                        StoreOp::Flush(log) => Some((id, log)),
                        _ => None,
                    }));
                    continue;
                }
                Kind::After(log) => {
                    for (id, log) in flushes.extract_if(.., |(_, it)| log.is_none_or(|log| log == *it)) {
                        self.flush(id, log, &mut finished);
                    }
                    for log in log.map_or_else(|| self.flushers.logs(), |log| vec![log]) {
                        self.finish_flushes(log, &mut finished);
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
        for (op, log, era, step) in cleans {
            finished.extend(self.clean(op, log, era, step));
        }
        for (op, log, plan) in copies {
            finished.extend(self.copy(op, log, plan));
        }
        finished
    }
}

/// How operations are carried out.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// On several threads.
    Mount,
    /// Beside the lane.
    Flush,
    /// When the log's flushes are through, or everybody's.
    After(Option<LogId>),
    /// One after the other.
    Other,
}

fn kind_of(op: &StoreOp) -> Kind {
    match op {
        StoreOp::Mount(..) => Kind::Mount,
        StoreOp::Flush(_) => Kind::Flush,
        StoreOp::Truncate(log, ..)
        | StoreOp::Delete(log, _)
        | StoreOp::Remove(log)
        | StoreOp::Swap(log, ..)
        | StoreOp::Move(log) => Kind::After(Some(*log)),
        // It says that all is on disk.
        StoreOp::Put(Cell::CleanShutdown(_), _) => Kind::After(None),
        _ => Kind::Other,
    }
}

/// True for what must not overtake the mount of any log.
fn finds_mounts(op: &StoreOp) -> bool {
    let is_of_folders = matches!(op, StoreOp::Survey(_) | StoreOp::SetAside(..) | StoreOp::Adopt(..));
    is_of_folders || kind_of(op) == Kind::After(None)
}

/// What a thread said when it panicked.
fn said_in_panic(panic: &(dyn Any + Send)) -> String {
    let what = panic.downcast_ref::<String>().cloned();
    what.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ordered::Map;
    use protocol::records::{BatchBuilder, Compression, PureCompressors};
    use protocol::{LeaderEpoch, Offset, Str, Uuid, WallMs};
    use storage::clean::CleanPlan;
    use storage::{DirId, LogRules, LogSpec};

    use super::*;

    /// Hands operations over and waits for as many answers.
    fn answers(lane: &Lane, woken: &Receiver<()>, first: u64, ops: Vec<StoreOp>) -> Vec<Result<Done, StoreError>> {
        let ids: Vec<OpId> = (first..).take(ops.len()).map(OpId).collect();
        lane.submit(ids.iter().copied().zip(ops).collect());
        let mut found: Vec<(OpId, Result<Done, StoreError>)> = Vec::new();
        while found.len() < ids.len() {
            woken.recv().unwrap();
            found.extend(lane.finished().into_iter().filter(|it| ids.contains(&it.op)).map(|it| (it.op, it.result)));
        }
        found.sort_by_key(|(id, _)| *id);
        found.into_iter().map(|(_, result)| result).collect()
    }

    fn spec(partition: i32) -> LogSpec {
        LogSpec {
            dir: DirId(0),
            topic: Str::from("orders"),
            partition,
            topic_id: Uuid([5; 16]),
            create: true,
            synced: false,
            compacted: false,
            reserve: 0,
        }
    }

    #[test]
    fn flushes_and_mounts_beside_other_work_are_overtaken_by_nothing_that_depends_on_them() {
        const LOGS: u32 = 40;
        let folder = tempfile::tempdir().unwrap();
        let (wake, woken) = channel();
        let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
            let _ = wake.send(());
        })
        .unwrap();
        let log = LogId(1);
        let mounted = answers(&lane, &woken, 0, vec![StoreOp::Mount(log, spec(0))]);
        let [Ok(Done::Mounted(shape))] = &mounted[..] else { panic!("{mounted:?}") };
        let mut shape = shape.clone();
        let mut ops = Vec::new();
        for _ in 0..3 {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.push(WallMs(1_000), None, Some(b"value"), &[]);
            let batches = builder.build_batches(&PureCompressors).unwrap();
            let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
            ops.extend(appended.ops.into_iter().filter(|op| matches!(op, StoreOp::Append(..))));
            ops.push(StoreOp::Flush(log));
        }
        // A topic of many partitions, of which the last is deleted before it was there; and the log itself.
        ops.extend((1..LOGS).map(|it| StoreOp::Mount(LogId(it + 1), spec(it as i32))));
        ops.extend([StoreOp::Remove(LogId(LOGS)), StoreOp::Remove(log)]);
        let count = ops.len();
        lane.submit((10..).map(OpId).zip(ops).collect());
        let mut order = Vec::new();
        while order.len() < count {
            woken.recv().unwrap();
            for it in lane.finished() {
                assert!(it.result.is_ok(), "{it:?}");
                order.push(it.op.0);
            }
        }
        let place = |op: u64| order.iter().position(|it| *it == op).unwrap();
        let [flushes, last] = [[11, 13, 15], [14 + u64::from(LOGS), 15 + u64::from(LOGS), 16 + u64::from(LOGS)]];
        assert!(place(flushes[0]) < place(flushes[1]) && place(flushes[1]) < place(flushes[2]), "{order:?}");
        assert!(place(flushes[2]) < place(last[2]), "the log is removed when it is flushed: {order:?}");
        assert!(place(last[0]) < place(last[1]), "a log is removed when it is mounted: {order:?}");
        lane.stop();
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, LOGS as usize - 2, "all but two are there");
    }

    #[test]
    fn flushes_that_waited_end_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, told) = channel();
        // Without a thread each is carried out at once, and told of as ever.
        let none = |_| Err(std::io::ErrorKind::WouldBlock.into());
        let mut worker = Worker {
            store: Store::new(NativeDisk::new(vec![folder.path().to_owned()])),
            cleaners: Cleaners::new(sender.clone(), Arc::new(NativeCompressors)),
            copiers: Copiers::new(sender.clone()),
            flushers: Flushers::with(sender, Box::new(none)),
            mount_threads: 1,
            inbox: Inbox::default(),
            mounts: VecDeque::new(),
            serves: true,
        };
        let log = LogId(1);
        worker.store.execute(StoreOp::Mount(log, spec(0))).unwrap();
        let mut finished = Vec::new();
        for op in 1..=4 {
            worker.flush(OpId(op), log, &mut finished);
        }
        assert_eq!(finished.len(), 0);
        for ended in [vec![1], vec![2, 3, 4]] {
            let Ok(Message::Flushed(log, op)) = told.try_recv() else { panic!("before {ended:?}") };
            worker.flushed(log, op, &mut finished);
            let answers: Vec<_> = finished.drain(..).map(|it| (it.op.0, it.result)).collect();
            assert_eq!(answers, ended.into_iter().map(|op| (op, Ok(Done::Flushed))).collect::<Vec<_>>());
        }
    }

    /// A topic of many partitions is created while records are appended, and one of its partitions is removed.
    #[test]
    fn mounts_hold_up_nobody_who_does_not_need_them() {
        const LOGS: u32 = 60;
        let folder = tempfile::tempdir().unwrap();
        let (wake, woken) = channel();
        let (go_on, may_go_on) = channel();
        // Each time that it has told something it waits until it is looked at.
        let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
            let _ = wake.send(());
            let _ = may_go_on.recv();
        })
        .unwrap();
        let next = || {
            woken.recv().unwrap();
            lane.finished().into_iter().map(|it| (it.op.0, it.result)).collect::<Vec<_>>()
        };
        let log = LogId(1);
        lane.submit(vec![(OpId(0), StoreOp::Mount(log, spec(0)))]);
        let mounted = next();
        let [(0, Ok(Done::Mounted(shape)))] = &mounted[..] else { panic!("{mounted:?}") };
        let mut shape = shape.clone();
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(WallMs(1_000), None, Some(b"value"), &[]);
        let batches = builder.build_batches(&PureCompressors).unwrap();
        let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
        let appends = appended.ops.into_iter().filter(|op| matches!(op, StoreOp::Append(..)));
        let mounts = (2..=LOGS).map(|it| StoreOp::Mount(LogId(it), spec(it as i32)));
        lane.submit((1..).map(OpId).zip(appends.chain(mounts)).collect());
        go_on.send(()).unwrap();
        assert_eq!(next(), [(1, Ok(Done::Appended))], "an append is answered before the mounts");
        // Of one that waits and one that does not.
        lane.submit(vec![(OpId(100), StoreOp::Remove(LogId(LOGS))), (OpId(101), StoreOp::Remove(log))]);
        go_on.send(()).unwrap();
        assert_eq!(next().len(), MOUNTS);
        go_on.send(()).unwrap();
        let removed: Vec<u64> = next().into_iter().map(|(op, _)| op).collect();
        assert_eq!(removed, [u64::from(LOGS), 100, 101], "no other mount comes before");
        drop(go_on);
        lane.stop();
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, LOGS as usize - 2);
    }

    /// A clean of a deleted topic's log went on by its paths, in the folder of the topic that was created next.
    #[test]
    fn a_clean_ends_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let (wake, woken) = channel();
        let mut lane = Lane::start(NativeDisk::new(vec![folder.path().to_owned()]), 2, move || {
            let _ = wake.send(());
        })
        .unwrap();
        let log = LogId(1);
        let spec = LogSpec {
            dir: DirId(0),
            topic: Str::from("orders"),
            partition: 0,
            topic_id: Uuid([5; 16]),
            create: true,
            synced: false,
            compacted: true,
            reserve: 0,
        };
        let mounted = answers(&lane, &woken, 0, vec![StoreOp::Mount(log, spec)]);
        let [Ok(Done::Mounted(shape))] = &mounted[..] else { panic!("{mounted:?}") };
        let mut shape = shape.clone();
        let mut ops = Vec::new();
        for value in ["1", "2", "3"] {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.push(WallMs(1_000), Some(b"key"), Some(value.as_bytes()), &[]);
            let batches = builder.build_batches(&PureCompressors).unwrap();
            let rules = LogRules { segment_bytes: 100, ..LogRules::default() };
            let appended = shape.append(batches, LeaderEpoch(0), &rules, WallMs(1_000)).unwrap();
            ops.extend(appended.ops);
        }
        assert!(answers(&lane, &woken, 10, ops).iter().all(Result::is_ok));
        let plan = CleanPlan {
            first_dirty: Offset(0),
            end: shape.segments().next_back().unwrap().base,
            high_watermark: shape.end(),
            now: WallMs(1_000),
            delete_retention_ms: 0,
            segment_bytes: 1 << 20,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            producers: Map::new(),
            max_keys: 100,
            seed: [1, 2],
            // It would take for ever.
            bytes_per_second: Some(1),
            piece: 1 << 20,
        };
        let clean = StoreOp::Clean(log, shape.era(), CleanStep::Begin(Box::new(plan)));
        lane.submit(vec![(OpId(100), clean)]);
        // Answered after the clean has begun, whatever the answer is.
        answers(&lane, &woken, 101, vec![StoreOp::Remove(LogId(99))]);
        lane.submit(vec![(OpId(200), StoreOp::Remove(log))]);
        let mut found: Vec<(OpId, Result<Done, StoreError>)> = Vec::new();
        while found.len() < 2 {
            // The lane is not stopped yet: nothing but the removal ends the clean.
            woken.recv_timeout(Duration::from_secs(60)).expect("the clean ends with its log");
            found.extend(lane.finished().into_iter().map(|it| (it.op, it.result)));
        }
        found.sort_by_key(|(id, _)| *id);
        assert_eq!(found, [(OpId(100), Err(StoreError::Missing)), (OpId(200), Ok(Done::Removed))]);
        lane.stop();
        assert!(!folder.path().join("orders-0").exists(), "nothing was written into a folder that is gone");
    }
}
