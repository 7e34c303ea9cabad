//! Logs mounted by several threads at once: after `kill -9` their unflushed ends are read and checked to the byte, and most of
//! a start is that. `num.recovery.threads.per.data.dir`, as Kafka has it.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use storage::{DirId, Done, OpId, Store, StoreError, StoreOp};

use crate::disk::NativeDisk;

/// How often people are told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Carries out mounts of different logs; `threads` of them at once a directory.
pub(crate) fn mount_all(
    store: &mut Store<NativeDisk>,
    mounts: Vec<(OpId, StoreOp)>,
    threads: usize,
) -> Vec<(OpId, Result<Done, StoreError>)> {
    let dir_of = |op: &StoreOp| if let StoreOp::Mount(_, spec) = op { Some(spec.dir) } else { None };
    let dirs: Vec<DirId> =
        mounts.iter().filter_map(|(_, op)| dir_of(op)).collect::<BTreeSet<_>>().into_iter().collect();
    let count = mounts.len();
    // One alone needs nobody beside.
    if count.min(threads * dirs.len()) < 2 {
        return store.execute_all(mounts);
    }
    let mut asides = Vec::new();
    for _ in 0..count.min(threads * dirs.len()) {
        let disk = store.disk().beside();
        match store.aside(&dirs, disk) {
            Ok(aside) => asides.push(aside),
            // Each mount finds the same, and answers with it.
            Err(_) => return store.execute_all(mounts),
        }
    }
    let dirs: Vec<Option<DirId>> = mounts.iter().map(|(_, op)| dir_of(op)).collect();
    let mounts = Mutex::new(mounts.into_iter().enumerate());
    let next = || mounts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut answers: Vec<Option<(OpId, Result<Done, StoreError>)>> = (0..count).map(|_| None).collect();
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
        loop {
            match receiver.recv_timeout(TELL_EVERY) {
                Ok((index, op, result)) => {
                    answers[index] = Some((op, result));
                    done += 1;
                }
                Err(RecvTimeoutError::Timeout) => tracing::info!("{done} of {count} logs are loaded"),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for thread in threads {
            store.absorb(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    let answers = answers.into_iter().flatten().zip(dirs);
    answers
        .map(|((op, result), dir)| {
            // What was mounted in a directory that then failed is offline with it.
            let failed = dir.and_then(|dir| store.failure_of(dir)).filter(|_| result.is_ok());
            (op, failed.map_or(result, |failed| Err(failed.clone())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::records::{BatchBuilder, Compression, PureCompressors};
    use protocol::{LeaderEpoch, Str, Uuid, WallMs};
    use storage::{Cell, LogId, LogRules, LogSpec};

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
            compacted: false,
            reserve: 0,
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
    fn a_directory_that_fails_takes_its_logs_along() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::new(NativeDisk::new(vec![folder.path().to_owned()]));
        // A file where a folder should be: nothing can be listed in it.
        std::fs::write(folder.path().join("orders-0"), "").unwrap();
        let answers = mount_all(&mut store, mounts(|_| Uuid([5; 16])), 2);
        assert!(answers.iter().all(|(_, it)| matches!(it, Err(StoreError::Io(_)))), "{answers:?}");
    }
}
