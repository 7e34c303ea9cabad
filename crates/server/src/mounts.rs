//! Logs mounted by several threads at once: after `kill -9` their unflushed ends are read and checked to the byte, and most of
//! a start is that. `num.recovery.threads.per.data.dir`, as Kafka has it.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use storage::{DirId, Done, LogId, OpId, Store, StoreError, StoreOp};

use crate::disk::NativeDisk;
use crate::lane::Message;

/// How often people are told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The answers to operations, in their order.
pub(crate) type Answers = Vec<(OpId, Result<Done, StoreError>)>;

/// Carries out mounts of different logs; `threads` of them at once a directory.
pub(crate) fn mount_all(store: &mut Store<NativeDisk>, mounts: Vec<(OpId, StoreOp)>, threads: usize) -> Answers {
    // One alone needs nobody beside.
    if mounts.len().min(threads * dirs_of(&mounts).len()) < 2 {
        return store.execute_all(mounts);
    }
    match Chunk::gather(store, mounts, threads) {
        Ok(chunk) => chunk.run().settle(store),
        // Each mount finds the same, and answers with it.
        Err(mounts) => store.execute_all(mounts),
    }
}

/// True if people are to be told now; then `next` is when they are the next time. Whatever finishes meanwhile puts nothing off.
fn is_due(now: Instant, next: &mut Instant) -> bool {
    let is_due = now >= *next;
    if is_due {
        *next = now + TELL_EVERY;
    }
    is_due
}

/// The directory of a mount.
pub(crate) fn dir_of(op: &StoreOp) -> Option<DirId> {
    if let StoreOp::Mount(_, spec) = op { Some(spec.dir) } else { None }
}

fn dirs_of(mounts: &[(OpId, StoreOp)]) -> Vec<DirId> {
    mounts.iter().filter_map(|(_, op)| dir_of(op)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Mounts, and what they need to be carried out while the store goes on.
pub(crate) struct Chunk {
    mounts: Vec<(OpId, StoreOp)>,
    asides: Vec<Store<NativeDisk>>,
}

/// Mounts that are through, and what the store has not heard of yet.
pub(crate) struct Mounted {
    answers: Answers,
    dirs: Vec<Option<DirId>>,
    asides: Vec<Store<NativeDisk>>,
}

impl Chunk {
    /// Gives the mounts back if a directory of theirs cannot be looked into.
    pub(crate) fn gather(
        store: &mut Store<NativeDisk>,
        mounts: Vec<(OpId, StoreOp)>,
        threads: usize,
    ) -> Result<Chunk, Vec<(OpId, StoreOp)>> {
        let dirs = dirs_of(&mounts);
        let mut asides = Vec::new();
        for _ in 0..mounts.len().min(threads * dirs.len()) {
            let disk = store.disk().beside();
            match store.aside(&dirs, disk) {
                Ok(aside) => asides.push(aside),
                Err(_) => return Err(mounts),
            }
        }
        Ok(Chunk { mounts, asides })
    }

    /// Carries them out.
    pub(crate) fn run(self) -> Mounted {
        let Chunk { mounts, asides } = self;
        let count = mounts.len();
        let dirs: Vec<Option<DirId>> = mounts.iter().map(|(_, op)| dir_of(op)).collect();
        let mounts = Mutex::new(mounts.into_iter().enumerate());
        let next = || mounts.lock().unwrap_or_else(PoisonError::into_inner).next();
        let mut answers: Vec<Option<(OpId, Result<Done, StoreError>)>> = (0..count).map(|_| None).collect();
        let mut through = Vec::new();
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            let threads: Vec<_> = asides
                .into_iter()
                .map(|mut aside| {
                    let (sender, next) = (sender.clone(), &next);
                    scope.spawn(move || {
                        while let Some((index, (op, mount))) = next() {
                            // Nobody listens any more only if the other end panicked.
                            let _ = sender.send((index, op, aside.execute(mount)));
                        }
                        aside
                    })
                })
                .collect();
            drop(sender);
            let mut done = 0;
            let mut next_tell = Instant::now() + TELL_EVERY;
            loop {
                if is_due(Instant::now(), &mut next_tell) {
                    // Rare, and who waits for a start after a kill wants to know why: shown without being asked for.
                    tracing::warn!("{done} of {count} logs are loaded");
                }
                match receiver.recv_timeout(next_tell.saturating_duration_since(Instant::now())) {
                    Ok((index, op, result)) => {
                        answers[index] = Some((op, result));
                        done += 1;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            for thread in threads {
                through.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        Mounted { answers: answers.into_iter().flatten().collect(), dirs, asides: through }
    }
}

impl Mounted {
    /// The store has the logs from here on.
    pub(crate) fn settle(self, store: &mut Store<NativeDisk>) -> Answers {
        for aside in self.asides {
            store.absorb(aside);
        }
        let answers = self.answers.into_iter().zip(self.dirs);
        answers
            .map(|((op, mut result), dir)| {
                if let (Some(dir), Ok(done)) = (dir, &mut result) {
                    store.tell_odd(dir, done);
                }
                // What was mounted in a directory that then failed is offline with it.
                let failed = dir.and_then(|dir| store.failure_of(dir)).filter(|_| result.is_ok());
                (op, failed.map_or(result, |failed| Err(failed.clone())))
            })
            .collect()
    }
}

/// Mounts that run beside the lane, some at a time.
pub(crate) struct Mounters {
    ended: Sender<Message>,
    running: Option<Running>,
    /// How many began.
    begun: u64,
}

struct Running {
    logs: Vec<LogId>,
    thread: JoinHandle<Mounted>,
}

impl Mounters {
    /// They tell `ended` when they are through.
    pub(crate) fn new(ended: Sender<Message>) -> Mounters {
        Mounters { ended, running: None, begun: 0 }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// True if the log is being mounted.
    pub(crate) fn has(&self, log: LogId) -> bool {
        self.running.as_ref().is_some_and(|it| it.logs.contains(&log))
    }

    /// Begins with some, of which none may be under way. Answers at once if nobody can run beside.
    pub(crate) fn start(
        &mut self,
        store: &mut Store<NativeDisk>,
        mounts: Vec<(OpId, StoreOp)>,
        threads: usize,
    ) -> Answers {
        let log_of = |op: &StoreOp| if let StoreOp::Mount(log, _) = op { Some(*log) } else { None };
        let logs = mounts.iter().filter_map(|(_, op)| log_of(op)).collect();
        let chunk = match Chunk::gather(store, mounts, threads) {
            Ok(chunk) => Arc::new(Mutex::new(Some(chunk))),
            Err(mounts) => return store.execute_all(mounts),
        };
        self.begun += 1;
        let (ended, number, theirs) = (self.ended.clone(), self.begun, Arc::clone(&chunk));
        let take = |chunk: &Mutex<Option<Chunk>>| chunk.lock().unwrap_or_else(PoisonError::into_inner).take();
        let work = move || {
            // However it ends: the lane has to notice.
            let _told = TellAtEnd(ended, number);
            take(&theirs).unwrap_or_else(|| panic!("a chunk is carried out once")).run()
        };
        match thread::Builder::new().name("mount".into()).spawn(work) {
            Ok(thread) => {
                self.running = Some(Running { logs, thread });
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(%error, "a thread to load logs could not be started: others wait for it meanwhile");
                take(&chunk).map_or_else(Vec::new, |chunk| chunk.run().settle(store))
            }
        }
    }

    /// One has told that it ended; `None` if somebody has waited for it.
    pub(crate) fn ended(&mut self, number: u64) -> Option<Mounted> {
        if self.begun == number { self.wait() } else { None }
    }

    /// Waits for those that are under way, if any are.
    pub(crate) fn wait(&mut self) -> Option<Mounted> {
        let running = self.running.take()?;
        Some(running.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

struct TellAtEnd(Sender<Message>, u64);

impl Drop for TellAtEnd {
    fn drop(&mut self) {
        // Nobody listens any more once the lane has stopped.
        let _ = self.0.send(Message::Mounted(self.1));
    }
}

#[cfg(test)]
mod tests {
    use protocol::records::{BatchBuilder, Compression, PureCompressors};
    use protocol::{LeaderEpoch, Str, Uuid, WallMs};
    use storage::{Cell, LogRules, LogSpec, SegmentRules};

    use super::*;

    const LOGS: u32 = 20;

    fn spec(partition: u32, topic_id: Uuid) -> LogSpec {
        LogSpec {
            dir: DirId(0),
            topic: Str::from("orders"),
            partition: partition as i32,
            topic_id,
            create: true,
            synced: false,
            replicated: false,
            compacted: false,
            segments: SegmentRules::default(),
        }
    }

    fn mounts(topic_of: impl Fn(u32) -> Uuid) -> Vec<(OpId, StoreOp)> {
        let mount = |it: u32| (OpId(u64::from(it)), StoreOp::Mount(LogId(it), spec(it, topic_of(it))));
        (0..LOGS).map(mount).collect()
    }

    #[test]
    fn logs_mounted_by_several_threads_are_one_stores() {
        let folder = tempfile::tempdir().unwrap();
        let store = || Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        let topic = |_| Uuid([5; 16]);
        let mut first = store();
        for (op, result) in mount_all(&mut first, mounts(topic), 3) {
            let Ok(Done::Mounted(mut shape)) = result else { panic!("{result:?}") };
            for _ in 0..=op.0 {
                let mut builder = BatchBuilder::new(Compression::None);
                builder.push(WallMs(1_000), None, Some(b"value"), &[]);
                let batches = builder.build_batches(&PureCompressors).unwrap();
                let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
                for op in appended.ops {
                    first.execute(op).unwrap();
                }
            }
        }
        drop(first);
        // Of one log the end is torn, and in one folder is another topic's.
        let torn = folder.path().join("orders-7/00000000000000000000.log");
        let bytes = std::fs::read(&torn).unwrap();
        std::fs::write(&torn, &bytes[..bytes.len() - 1]).unwrap();
        let other = |it| Uuid([if it == 11 { 6 } else { 5 }; 16]);
        let mut second = store();
        for (index, (op, result)) in mount_all(&mut second, mounts(other), 3).into_iter().enumerate() {
            assert_eq!(op, OpId(index as u64), "answers come in the order of the operations");
            let Ok(Done::Mounted(mut shape)) = result else { panic!("{result:?}") };
            let end = if index == 11 { 0 } else { index as i64 + i64::from(index != 7) };
            let (cut, aside) = (shape.mounted().cut.is_some(), shape.mounted().aside.is_some());
            assert_eq!((shape.end().0, cut, aside), (end, index == 7, index == 11), "log {index}");
            let mut builder = BatchBuilder::new(Compression::None);
            builder.push(WallMs(1_000), None, Some(b"value"), &[]);
            let batches = builder.build_batches(&PureCompressors).unwrap();
            let appended = shape.append(batches, LeaderEpoch(0), &LogRules::default(), WallMs(1_000)).unwrap();
            for op in appended.ops {
                second.execute(op).unwrap();
            }
        }
        assert_eq!(second.take_changes().opened.len(), LOGS as usize, "the files of all of them are told of");
        second.execute(StoreOp::Put(Cell::RecoveryPoints(DirId(0)), Default::default())).unwrap();
    }

    #[test]
    fn logs_that_finish_do_not_put_off_what_is_told() {
        let start = Instant::now();
        let mut next = start + TELL_EVERY;
        let told = (1..=40).filter(|tenth| is_due(start + TELL_EVERY / 10 * *tenth, &mut next));
        assert_eq!(told.collect::<Vec<u32>>(), [10, 20, 30, 40]);
    }

    /// What is no log's folder is told of by one log of its directory, however many threads mount.
    #[test]
    fn a_folder_that_nobody_knows_is_told_of_once() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let odd = "orders-99.mine-delete";
        std::fs::create_dir(folders[1].path().join(odd)).unwrap();
        let mut store = Store::new(NativeDisk::new(folders.iter().map(|it| it.path().to_owned()).collect()));
        let mount = |it: u32| {
            let spec = LogSpec { dir: DirId((it % 2) as u16), ..spec(it, Uuid([5; 16])) };
            (OpId(u64::from(it)), StoreOp::Mount(LogId(it), spec))
        };
        let mut told = Vec::new();
        for logs in [0..LOGS / 2, LOGS / 2..LOGS] {
            for (op, result) in mount_all(&mut store, logs.map(mount).collect(), 3) {
                let Ok(Done::Mounted(shape)) = result else { panic!("{result:?}") };
                told.extend(shape.mounted().aside.clone().map(|what| (op.0 % 2, what)));
            }
        }
        let [(1, what)] = &told[..] else { panic!("{told:?}") };
        assert!(what.contains(odd), "{what}");
    }

    #[test]
    fn a_directory_that_fails_takes_its_logs_along() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        // A file where a folder should be: nothing can be listed in it.
        std::fs::write(folder.path().join("orders-0"), "").unwrap();
        let answers = mount_all(&mut store, mounts(|_| Uuid([5; 16])), 2);
        assert!(answers.iter().all(|(_, it)| matches!(it, Err(StoreError::Io(_)))), "{answers:?}");
    }
}
