//! Would the storage lane be faster through io_uring than as threads with plain system calls? The lane's work without a broker: what
//! is asked for by one thread, carried out, and heard of by the same thread again.
//!
//!     cargo run --release -p server --example ring -- FOLDER [SECONDS]
//!
//! Threads: a channel to the thread that writes (for syncs: to one behind it), and an eventfd back that is waited for with epoll, as
//! in `reactor.rs`, `lane.rs` and `flusher.rs`. Ring: the asking thread submits, and waits for the completion.

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("only Linux has io_uring");
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use io_uring::{IoUring, opcode, squeue, types};
    use mio::{Events, Poll, Token, Waker};

    const BLOCK: usize = 4096;
    const SMALL: usize = 1024;
    const LARGE: usize = 1 << 20;
    /// A file is begun anew when it has this much: a segment, and a bound on what the probe takes of the disk.
    const SEGMENT: u64 = 512 << 20;
    const O_DIRECT: i32 = rustix::fs::OFlags::DIRECT.bits() as i32;

    /// What is asked for: a write at the end of each of some files, all of them at once, and perhaps their sync.
    #[derive(Clone, Copy)]
    struct Case {
        what: &'static str,
        files: usize,
        size: usize,
        direct: bool,
        sync: bool,
    }

    const CASES: [Case; 5] = [
        Case { what: "1 KiB, through the page cache", files: 1, size: SMALL, direct: false, sync: false },
        Case { what: "1 KiB and fdatasync", files: 1, size: SMALL, direct: false, sync: true },
        Case { what: "1 MiB, direct", files: 1, size: LARGE, direct: true, sync: false },
        Case { what: "1 KiB to each of 4 files", files: 4, size: SMALL, direct: false, sync: false },
        Case { what: "256 KiB to each of 4 files, direct", files: 4, size: LARGE / 4, direct: true, sync: false },
    ];

    pub(super) fn main() -> io::Result<()> {
        let mut words = std::env::args().skip(1);
        let folder = PathBuf::from(words.next().ok_or_else(|| io::Error::other("in which folder?"))?);
        let seconds: f64 = words.next().map_or(Ok(3.0), |it| it.parse()).map_err(io::Error::other)?;
        println!(
            "| | by | median | p99 | MB/s | processor time per operation |\n| --- | --- | --- | --- | --- | --- |"
        );
        for case in CASES {
            for (name, begin) in [("threads", threads as Begin), ("ring", ring)] {
                let files = (0..case.files).map(|it| LogFile::create(&folder, it, case.direct));
                let files: Vec<LogFile> = files.collect::<io::Result<_>>()?;
                let mut way = begin(case, &files)?;
                measure(case, name, &files, &mut *way, Duration::from_secs_f64(seconds))?;
            }
        }
        Ok(())
    }

    type Begin = fn(Case, &[LogFile]) -> io::Result<Box<dyn Way>>;

    /// A way to have the writes of one turn carried out.
    trait Way {
        /// All files get their bytes at this position.
        fn turn(&mut self, at: u64) -> io::Result<()>;
    }

    fn measure(case: Case, name: &str, files: &[LogFile], way: &mut dyn Way, time: Duration) -> io::Result<()> {
        let (mut took, mut at) = (Vec::new(), 0);
        let (begun, used) = (Instant::now(), processor_time()?);
        while begun.elapsed() < time {
            let turn = Instant::now();
            way.turn(at)?;
            took.push(turn.elapsed());
            at += case.size as u64;
            if at >= SEGMENT {
                at = 0;
                files.iter().try_for_each(|it| it.file.set_len(0))?;
            }
        }
        let (seconds, used) = (begun.elapsed().as_secs_f64(), processor_time()? - used);
        let rate = (took.len() * case.size * case.files) as f64 / 1e6 / seconds;
        let each = used / took.len() as u32;
        took.sort_unstable();
        let share = |part: usize| took[(took.len() - 1) * part / 100];
        println!("| {} | {name} | {:.1?} | {:.1?} | {rate:.0} | {each:.1?} |", case.what, share(50), share(99));
        Ok(())
    }

    /// Of all threads of this process, the kernel's that work for its ring included.
    fn processor_time() -> io::Result<Duration> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks = fields.map(|it| it.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>());
        let ticks = ticks.ok_or_else(|| io::Error::other("no processor time in /proc/self/stat"))?;
        Ok(Duration::from_millis(ticks * 10))
    }

    fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match call() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// A file, removed at the end.
    struct LogFile {
        file: Arc<File>,
        path: PathBuf,
    }

    impl LogFile {
        fn create(folder: &Path, number: usize, direct: bool) -> io::Result<LogFile> {
            let path = folder.join(format!("ring-{}-{number}", std::process::id()));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).custom_flags(if direct { O_DIRECT } else { 0 });
            Ok(LogFile { file: Arc::new(options.open(&path)?), path })
        }
    }

    impl Drop for LogFile {
        fn drop(&mut self) {
            if let Err(error) = std::fs::remove_file(&self.path) {
                eprintln!("cannot remove {}: {error}", self.path.display());
            }
        }
    }

    /// Bytes that begin at a block.
    struct Buffer {
        bytes: Vec<u8>,
        start: usize,
        size: usize,
    }

    impl Buffer {
        fn of(size: usize) -> Buffer {
            let bytes = vec![7; size + BLOCK];
            let start = bytes.as_ptr().align_offset(BLOCK);
            Buffer { bytes, start, size }
        }

        fn bytes(&self) -> &[u8] {
            &self.bytes[self.start..][..self.size]
        }
    }

    struct Threads {
        /// Taken by the end.
        asked: Option<Sender<u64>>,
        done: Receiver<io::Result<()>>,
        poll: Poll,
        events: Events,
        threads: Vec<JoinHandle<()>>,
    }

    fn threads(case: Case, files: &[LogFile]) -> io::Result<Box<dyn Way>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
        let (asked, questions) = channel::<u64>();
        let (answered, done) = channel();
        let (written, writes) = channel();
        let answer = move |result: io::Result<()>| answered.send(result).is_ok() && waker.wake().is_ok();
        let files: Vec<Arc<File>> = files.iter().map(|it| Arc::clone(&it.file)).collect();
        let (own, buffer, tell) = (files.clone(), Buffer::of(case.size), answer.clone());
        let writer = move || {
            for at in questions {
                let result = own.iter().try_for_each(|file| file.write_all_at(buffer.bytes(), at));
                let is_heard = if case.sync { written.send(result).is_ok() } else { tell(result) };
                if !is_heard {
                    return;
                }
            }
        };
        let syncer = move || {
            for result in writes {
                let result = result.and_then(|()| files.iter().try_for_each(|file| file.sync_data()));
                if !answer(result) {
                    return;
                }
            }
        };
        let threads = vec![std::thread::spawn(writer), std::thread::spawn(syncer)];
        Ok(Box::new(Threads { asked: Some(asked), done, poll, events: Events::with_capacity(16), threads }))
    }

    impl Way for Threads {
        fn turn(&mut self, at: u64) -> io::Result<()> {
            let gone = || io::Error::other("a thread ended");
            self.asked.as_ref().and_then(|it| it.send(at).ok()).ok_or_else(gone)?;
            loop {
                match self.done.try_recv() {
                    Ok(result) => return result,
                    Err(TryRecvError::Disconnected) => return Err(gone()),
                    Err(TryRecvError::Empty) => uninterrupted(|| self.poll.poll(&mut self.events, None))?,
                }
            }
        }
    }

    impl Drop for Threads {
        fn drop(&mut self) {
            self.asked = None;
            for thread in self.threads.drain(..) {
                if thread.join().is_err() {
                    eprintln!("a thread panicked");
                }
            }
        }
    }

    struct Ring {
        ring: IoUring,
        case: Case,
        files: Vec<Arc<File>>,
        buffer: Buffer,
    }

    fn ring(case: Case, files: &[LogFile]) -> io::Result<Box<dyn Way>> {
        // The kind that costs least: one thread submits, and completions are worked on when it waits for them.
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(16)?;
        let files = files.iter().map(|it| Arc::clone(&it.file)).collect();
        Ok(Box::new(Ring { ring, case, files, buffer: Buffer::of(case.size) }))
    }

    impl Way for Ring {
        #[expect(unsafe_code, reason = "what a ring is handed must live until it is done")]
        fn turn(&mut self, at: u64) -> io::Result<()> {
            let mut waiting = 0;
            for file in &self.files {
                let (file, bytes) = (types::Fd(file.as_raw_fd()), self.buffer.bytes());
                let write = opcode::Write::new(file, bytes.as_ptr(), bytes.len() as u32).offset(at).build();
                let sync = opcode::Fsync::new(file).flags(types::FsyncFlags::DATASYNC).build();
                let steps = match self.case.sync {
                    true => [Some(write.flags(squeue::Flags::IO_LINK)), Some(sync)],
                    false => [Some(write), None],
                };
                for (index, step) in steps.into_iter().flatten().enumerate() {
                    let step = step.user_data(if index == 0 { bytes.len() as u64 } else { 0 });
                    // SAFETY: the file and the buffer are this value's, and the buffer is not written; all that is handed over
                    // here is waited for below, or the probe ends with the error.
                    unsafe { self.ring.submission().push(&step) }.map_err(io::Error::other)?;
                    waiting += 1;
                }
            }
            uninterrupted(|| self.ring.submit_and_wait(waiting))?;
            for done in self.ring.completion().take(waiting) {
                match u64::try_from(done.result()) {
                    Ok(count) if count == done.user_data() => {}
                    Ok(count) => return Err(io::Error::other(format!("only {count} bytes were written"))),
                    Err(_) => return Err(io::Error::from_raw_os_error(-done.result())),
                }
            }
            Ok(())
        }
    }
}
