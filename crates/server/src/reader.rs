//! Reads log files for the core's thread, which never waits for a disk.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use node::input::ConnId;

use storage::StoreError;

use crate::aligned::{LARGEST, Pool, block_floor};
use crate::disk::failed;
use crate::file::{DIRECT_FROM, NativeFile};
use crate::held::{Change, Held, Origin, Piece};

/// Reads that are under way at once.
const THREADS: usize = 2;
/// What is held in memory of all files together: so much of the newest writes, and so much that was read ahead.
const HELD_BYTES: usize = 24 << 20;
/// A reader who goes through a file is this far ahead of at most; all of them together of what is held, less the pieces
/// that they send from.
const AHEAD: u64 = 16 << 20;
const ALL_AHEAD: u64 = HELD_BYTES as u64 - 2 * LARGEST as u64;
const LEAST_AHEAD: u64 = 256 << 10;
/// Readers whose progress is remembered.
const STREAMS: usize = 256;
/// A reader who caused none of this many latest reads has gone away.
const ACTIVE_READS: u64 = 128;
/// A reader for whom something was read and dropped again before it was sent is slower than what is held lasts. For this
/// many bytes what they want is brought into the page cache, which is larger, and sent from there.
const SLOW_FOR: u64 = 32 << 20;

struct Load {
    file: NativeFile,
    at: u64,
    len: usize,
    to: Destination,
}

/// Where to read to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    Held,
    PageCache,
}

struct Loaded {
    file: NativeFile,
    at: u64,
    /// The file's count of cuts before the read.
    cuts: u64,
    result: io::Result<Bytes>,
}

/// A connection's way through a file.
#[derive(Debug)]
struct Stream {
    conn: ConnId,
    file: NativeFile,
    /// Up to here it was read for them, or is about to be.
    next: u64,
    /// They came back for what follows.
    sequential: bool,
    /// Up to here they are too slow for what is held.
    slow_to: u64,
    /// The latest part that was read for them into memory.
    read: (u64, u64),
    last_read: u64,
}

/// What arrived from the disk.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Who waited for it.
    pub(crate) conns: Vec<ConnId>,
    /// Why there is nothing.
    pub(crate) fault: Option<ReadFault>,
}

/// Why there is nothing to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// What was wanted is not in the file any more.
    Gone(String),
    /// The disk refuses to read the file with this serial number.
    Disk(u64, StoreError),
}

/// What the core's thread holds of the files, and its way to the rest.
pub(crate) struct Reader {
    held: Held,
    sender: Option<Sender<Load>>,
    inbox: Arc<Mutex<VecDeque<Loaded>>>,
    threads: Vec<JoinHandle<()>>,
    /// Reads under way: file, position, end.
    pending: Vec<(u64, u64, u64)>,
    /// By file: who waits, and for which position.
    waiting: HashMap<u64, Vec<(ConnId, u64)>>,
    /// The one that made progress last is the last.
    streams: VecDeque<Stream>,
    reads: u64,
    #[cfg(test)]
    bytes_read: usize,
}

impl Reader {
    /// Starts the threads; `wake` is called when something has arrived.
    pub(crate) fn start(pool: &Pool, wake: impl Fn() + Clone + Send + 'static) -> io::Result<Reader> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let inbox = Arc::<Mutex<VecDeque<Loaded>>>::default();
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (receiver, inbox, pool, wake) = (Arc::clone(&receiver), Arc::clone(&inbox), pool.clone(), wake.clone());
            let run = move || {
                // However it ends: somebody has to notice.
                let ended = WakeAtEnd(wake);
                carry_out(&receiver, &inbox, &pool, &ended.0);
            };
            threads.push(std::thread::Builder::new().name("read".into()).spawn(run)?);
        }
        Ok(Reader {
            held: Held::new(HELD_BYTES),
            sender: Some(sender),
            inbox,
            threads,
            pending: Vec::new(),
            waiting: HashMap::new(),
            streams: VecDeque::new(),
            reads: 0,
            #[cfg(test)]
            bytes_read: 0,
        })
    }

    /// What is in memory.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// The storage lane wrote or cut something.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Held(piece) => self.held.insert(Origin::Written, piece),
            Change::Cut(file, at) => {
                self.held.cut(file, at);
                self.streams.retain(|it| it.file.serial() != file);
            }
        }
    }

    /// No new answer names this file. Who still sends an older one from it may; nothing is kept of it for later.
    pub(crate) fn forget(&mut self, file: &NativeFile) {
        file.retire();
        self.held.forget(file.serial());
        self.streams.retain(|it| it.file.serial() != file.serial());
    }

    /// The connection is closed.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.streams.retain(|it| it.conn != conn);
        self.waiting.retain(|_, waiting| {
            waiting.retain(|it| it.0 != conn);
            !waiting.is_empty()
        });
    }

    /// A connection has to send this part of a file and its first byte is not in memory. It is among an arrival's
    /// connections when it can go on. False if the file has no such byte.
    pub(crate) fn want(&mut self, conn: ConnId, file: &NativeFile, at: u64, len: u64) -> bool {
        let serial = file.serial();
        if at >= file.written() {
            return false;
        }
        let waiting = self.waiting.entry(serial).or_default();
        if !waiting.iter().any(|it| it.0 == conn) {
            waiting.push((conn, at));
        }
        file.expect_random_reads();
        let known = self.streams.iter().position(|it| it.conn == conn && it.file.serial() == serial);
        let mut stream = match known.and_then(|index| self.streams.remove(index)).filter(|it| it.is_at(at)) {
            Some(stream) => Stream { sequential: true, ..stream },
            None => Stream {
                conn,
                file: file.clone(),
                next: block_floor(at),
                sequential: false,
                slow_to: 0,
                read: (0, 0),
                last_read: 0,
            },
        };
        if stream.next > at && !self.is_pending(serial, at) {
            // It was held, and dropped again before they came for it.
            stream.next = block_floor(at);
            if (stream.read.0..stream.read.1).contains(&at) {
                stream.slow_to = at + SLOW_FOR;
            }
        }
        let share = self.ahead();
        let ahead =
            if stream.sequential { share } else { len.clamp(DIRECT_FROM as u64, share.max(DIRECT_FROM as u64)) };
        let ahead = if stream.is_slow(at) { len.min(LARGEST as u64) } else { ahead };
        self.read_up_to(&mut stream, at.saturating_add(ahead));
        if file.is_retired() {
            return true;
        }
        self.streams.push_back(stream);
        if self.streams.len() > STREAMS {
            self.streams.pop_front();
        }
        true
    }

    /// A connection has sent a file up to this position.
    pub(crate) fn progressed(&mut self, conn: ConnId, file: u64, at: u64) {
        let own = |it: &Stream| it.conn == conn && it.file.serial() == file && it.is_at(at);
        let Some(index) = self.streams.iter().position(own) else { return };
        let up_to = at + self.ahead();
        // In large pieces only: what is behind the last one may not have been written long ago, and is in the page cache.
        let too_early = |it: &Stream| it.next + LARGEST as u64 > up_to.min(it.file.written());
        let stream = &self.streams[index];
        if !stream.sequential || stream.is_slow(at) || too_early(stream) {
            return;
        }
        if let Some(mut stream) = self.streams.remove(index) {
            self.read_up_to(&mut stream, up_to);
            self.streams.push_back(stream);
        }
    }

    /// True when something has arrived.
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.inbox.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// True when a thread is gone though nobody stopped it.
    pub(crate) fn is_dead(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// The next thing that arrived. What it brought is in memory at least until the next call.
    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        let loaded = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        let (file, at) = (loaded.file.serial(), loaded.at);
        self.pending.retain(|it| (it.0, it.1) != (file, at));
        let is_cut = loaded.file.cuts() != loaded.cuts;
        let fault = match loaded.result {
            // Looked at here and not where it was read: a cut that comes later reaches us as a change. Those who waited want
            // what lies before the cut, or they would be closed, and have it read again.
            Ok(_) if is_cut => None,
            Err(error) if is_cut && error.kind() == io::ErrorKind::UnexpectedEof => None,
            Ok(bytes) => {
                self.held.insert(Origin::ReadAhead, Piece { file, at, bytes });
                None
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(ReadFault::Gone(format!("{}: {error}", loaded.file.path().display())))
            }
            Err(error) => Some(ReadFault::Disk(file, failed("read", loaded.file.path(), &error, error.kind()))),
        };
        // Those whose turn has not come are told by the read that they wait for.
        let pending = &self.pending;
        let mut conns = Vec::new();
        if let Some(waiting) = self.waiting.get_mut(&file) {
            waiting.retain(|(conn, at)| {
                let later = pending.iter().any(|it| it.0 == file && (it.1..it.2).contains(at));
                if !later {
                    conns.push(*conn);
                }
                later
            });
            if waiting.is_empty() {
                self.waiting.remove(&file);
            }
        }
        Some(Arrival { conns, fault })
    }

    /// Lets the threads finish.
    pub(crate) fn stop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn is_pending(&self, file: u64, at: u64) -> bool {
        self.pending.iter().any(|it| it.0 == file && (it.1..it.2).contains(&at))
    }

    fn ahead(&self) -> u64 {
        let active = self.streams.iter().filter(|it| it.last_read + ACTIVE_READS > self.reads).count();
        (ALL_AHEAD / active.max(1) as u64).clamp(LEAST_AHEAD, AHEAD)
    }

    /// Reads what is neither in memory nor under way, up to what was written.
    fn read_up_to(&mut self, stream: &mut Stream, end: u64) {
        let serial = stream.file.serial();
        let end = end.min(stream.file.written());
        let to = if stream.is_slow(stream.next) { Destination::PageCache } else { Destination::Held };
        while stream.next < end {
            if self.is_pending(serial, stream.next) {
                stream.next = self.pending.iter().filter(|it| it.0 == serial).map(|it| it.2).max().unwrap_or(end);
                continue;
            }
            let held = self.held.end_from(serial, stream.next);
            if held > stream.next {
                stream.next = held;
                continue;
            }
            let at = block_floor(stream.next);
            let len = usize::try_from(end - at).unwrap_or(LARGEST).min(LARGEST);
            self.reads += 1;
            stream.last_read = self.reads;
            stream.next = at + len as u64;
            if to == Destination::Held {
                stream.read = (if stream.read.1 == at { stream.read.0 } else { at }, stream.next);
            }
            #[cfg(test)]
            {
                self.bytes_read += len;
            }
            self.pending.push((serial, at, stream.next));
            if let Some(sender) = &self.sender {
                // The threads end only when this sender is dropped or they panicked; a panic is rethrown by `stop`.
                let _ = sender.send(Load { file: stream.file.clone(), at, len, to });
            }
        }
    }
}

impl Stream {
    /// True for a position that goes on from where this reader was: within what was read for them last, or right behind it.
    fn is_at(&self, at: u64) -> bool {
        at <= self.next && at + AHEAD + LARGEST as u64 >= self.next
    }

    fn is_slow(&self, at: u64) -> bool {
        at < self.slow_to
    }
}

/// Wakes the core when its thread ends, in a panic too.
pub(crate) struct WakeAtEnd<W: Fn()>(pub(crate) W);

impl<W: Fn()> Drop for WakeAtEnd<W> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn carry_out(receiver: &Mutex<Receiver<Load>>, inbox: &Mutex<VecDeque<Loaded>>, pool: &Pool, wake: &dyn Fn()) {
    loop {
        let received = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(load) = received else { return };
        let (cuts, result) = (load.file.cuts(), load.carry_out(pool));
        let Load { file, at, .. } = load;
        inbox.lock().unwrap_or_else(PoisonError::into_inner).push_back(Loaded { file, at, cuts, result });
        wake();
    }
}

impl Load {
    /// What is to be held.
    fn carry_out(&self, pool: &Pool) -> io::Result<Bytes> {
        let Load { file, at, len, to } = self;
        // A block may go on behind what was written, with bytes that are being written right now.
        let least = usize::try_from(file.written().saturating_sub(*at)).unwrap_or(usize::MAX).min(*len);
        let bytes = match to {
            Destination::Held => file.read_blocks(*at, *len, pool)?,
            Destination::PageCache => file.read_through_cache(*at, *len, pool)?,
        };
        if bytes.len() < least {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its log"));
        }
        Ok(match to {
            Destination::Held => bytes.slice(..least),
            Destination::PageCache => Bytes::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// A reader over files of the disk of the target directory, and a way to wait for what arrives.
    struct Bench {
        reader: Reader,
        woken: Receiver<()>,
        folder: tempfile::TempDir,
        /// What was brought into the page cache: by file, from where to where.
        cached: Vec<(u64, std::ops::Range<u64>)>,
    }

    impl Bench {
        fn new() -> Bench {
            let (sender, woken) = channel();
            let wake = move || {
                let _ = sender.send(());
            };
            let program = std::env::current_exe().unwrap();
            let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
            Bench { reader: Reader::start(&Pool::default(), wake).unwrap(), woken, folder, cached: Vec::new() }
        }

        fn file(&self, serial: u64, len: usize) -> NativeFile {
            let path = self.folder.path().join(format!("{serial}.log"));
            let mut file =
                std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all(&(0..len).map(|it| (it % 251) as u8).collect::<Vec<_>>()).unwrap();
            NativeFile::new(file, &path, serial, None).unwrap()
        }

        /// Takes what arrives until nothing is under way, in the order in which it was asked for. Two threads read: which of two
        /// pieces comes first is chance, and with it which one is the oldest that is held, and is dropped first.
        fn settle(&mut self) {
            let pending = &self.reader.pending;
            while self.reader.inbox.lock().unwrap().len() < pending.len() {
                self.woken.recv().unwrap();
            }
            let asked = |it: &Loaded| {
                let (file, at) = (it.file.serial(), it.at);
                pending.iter().position(|it| (it.0, it.1) == (file, at))
            };
            self.reader.inbox.lock().unwrap().make_contiguous().sort_by_key(asked);
            while let Some(arrival) = self.reader.next_arrival() {
                assert_eq!(arrival.fault, None);
            }
            assert_eq!(self.reader.pending, []);
        }

        /// A connection sends `len` bytes from a position, from memory or, where it is slow, the page cache. Returns how
        /// many times it wanted what nobody had read ahead.
        fn send(&mut self, conn: ConnId, file: &NativeFile, from: u64, len: u64) -> usize {
            self.send_some(conn, file, from, len, len)
        }

        /// The same, of a region that goes on for longer than the socket takes now.
        fn send_some(&mut self, conn: ConnId, file: &NativeFile, from: u64, len: u64, region: u64) -> usize {
            let (mut at, end, mut waits) = (from, from + len, 0);
            while at < end {
                match self.reader.held.read(file.serial(), at, end - at) {
                    Some(bytes) => {
                        assert!(bytes.iter().zip(at..).all(|(byte, at)| u64::from(*byte) == at % 251));
                        at += bytes.len() as u64;
                    }
                    None => {
                        match self.cached.iter().find(|(serial, part)| *serial == file.serial() && part.contains(&at)) {
                            Some((_, part)) => at = end.min(part.end),
                            None => {
                                waits += usize::from(!self.reader.is_pending(file.serial(), at));
                                assert!(self.reader.want(conn, file, at, from + region - at));
                                let stream = self.reader.streams.iter().find(|it| it.conn == conn && it.is_slow(at));
                                self.cached.extend(stream.map(|it| (file.serial(), at..it.next)));
                                self.settle();
                            }
                        }
                    }
                }
                self.reader.progressed(conn, file.serial(), at);
            }
            waits
        }
    }

    const ONE: ConnId = ConnId(1);

    #[test]
    fn who_goes_through_a_file_waits_at_its_beginning() {
        let mut bench = Bench::new();
        let file = bench.file(1, 64 << 20);
        // Others stopped halfway: they are no reason to read less far ahead.
        for conn in 10..30 {
            bench.send(ConnId(conn), &file, 30 << 20, 1 << 20);
            bench.send(ConnId(conn), &file, 31 << 20, 1 << 20);
            bench.reader.closed(ConnId(conn));
        }
        assert_eq!((bench.reader.streams.len(), bench.reader.waiting.len()), (0, 0));
        let mut waits = 0;
        for turn in 0..20 {
            waits += bench.send(ONE, &file, 3_000_000 * turn + 7, 3_000_000);
        }
        // For the first region, and for what follows it.
        assert_eq!(waits, 2);
        assert_eq!(bench.reader.ahead(), AHEAD);
    }

    #[test]
    fn many_slow_readers_read_little_twice() {
        let mut bench = Bench::new();
        let file = bench.file(1, 64 << 20);
        let conns: Vec<ConnId> = (1..=150).map(ConnId).collect();
        // Each takes 33 KB of a response of 400 KB whenever all others had their turn.
        for turn in 0..12 {
            for conn in &conns {
                bench.send_some(*conn, &file, conn.0 * 400_000 + turn * 33_000, 33_000, 400_000 - turn * 33_000);
            }
        }
        let wanted = 150 * 12 * 33_000;
        let read = bench.reader.bytes_read;
        assert!(read <= 2 * wanted, "{read} bytes were read for {wanted}");
        assert!(bench.reader.held.len() <= 2 * HELD_BYTES);
    }

    #[test]
    fn what_is_too_slow_for_memory_comes_from_the_page_cache() {
        let mut bench = Bench::new();
        let [slow, fast] = [1, 2].map(|serial| bench.file(serial, 64 << 20));
        bench.send(ONE, &slow, 0, 1 << 20);
        bench.send(ONE, &slow, 1 << 20, 2 << 20);
        bench.settle();
        for turn in 0..15 {
            bench.send(ConnId(2), &fast, turn * 3_000_000, 3_000_000);
        }
        bench.send(ONE, &slow, 3 << 20, 4 << 20);
        let stream = bench.reader.streams.iter().find(|it| it.conn == ONE).unwrap();
        assert!(stream.is_slow(30 << 20) && !stream.is_slow(40 << 20), "{stream:?}");
        assert_eq!(bench.reader.held.end_from(1, 4 << 20), 4 << 20, "nothing is held for them");
        // After a while they are given another try.
        assert!(bench.send(ONE, &slow, 40 << 20, 1 << 20) > 0);
        assert!(bench.reader.held.end_from(1, 40 << 20) > 40 << 20);
    }

    #[test]
    fn a_file_that_no_new_answer_names_is_not_kept_open() {
        let mut bench = Bench::new();
        let file = bench.file(1, 8 << 20);
        bench.send(ONE, &file, 0, 1 << 20);
        bench.reader.forget(&file);
        assert!(bench.send(ONE, &file, 1 << 20, 1 << 20) > 0, "an older answer is sent to its end");
        bench.settle();
        assert!(bench.reader.streams.is_empty());
        assert_eq!(file.handles(), 1);
    }

    /// Nothing is at the beginning of a process's memory, and the kernel says so as it does of a bad sector.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_disk_refuses_to_read_is_told_of_the_file() {
        let mut bench = Bench::new();
        let path = std::path::Path::new("/proc/self/mem");
        let file = NativeFile::new(std::fs::File::open(path).unwrap(), path, 7, None).unwrap();
        file.note_written(1000);
        assert!(bench.reader.want(ONE, &file, 0, 1000));
        bench.woken.recv().unwrap();
        let arrival = bench.reader.next_arrival().unwrap();
        assert_eq!(arrival.conns, [ONE]);
        let Some(ReadFault::Disk(7, StoreError::Io(what))) = &arrival.fault else { panic!("{arrival:?}") };
        assert!(what.contains("cannot read /proc/self/mem"), "{what}");
        // A file that is too short says nothing of its disk.
        let file = bench.file(8, 10);
        file.note_written(1000);
        assert!(bench.reader.want(ONE, &file, 0, 1000));
        bench.woken.recv().unwrap();
        let arrival = bench.reader.next_arrival().unwrap();
        assert!(matches!(arrival.fault, Some(ReadFault::Gone(_))), "{arrival:?}");
    }

    #[test]
    fn what_was_read_while_the_log_was_cut_is_read_again() {
        let mut bench = Bench::new();
        let file = bench.file(1, 1 << 20);
        assert!(bench.reader.want(ONE, &file, 0, 1000));
        bench.woken.recv().unwrap();
        file.set_len(1000).unwrap();
        let arrival = bench.reader.next_arrival().unwrap();
        assert_eq!((arrival.conns, arrival.fault), (vec![ONE], None));
        assert_eq!(bench.reader.held.end_from(1, 0), 0, "nothing of it is held");
        bench.reader.apply(Change::Cut(1, 1000));
        assert_eq!(bench.send(ONE, &file, 0, 1000), 1);
        assert!(!bench.reader.want(ONE, &file, 1000, 1), "and what is gone is not waited for");
    }

    #[test]
    fn a_thread_that_ends_is_noticed_by_who_sleeps() {
        let mut bench = Bench::new();
        assert!(!bench.reader.is_dead());
        // What no reader does: the threads have nobody to hear from any more.
        bench.reader.sender = None;
        bench.woken.recv().unwrap();
        while !bench.reader.is_dead() {
            std::thread::yield_now();
        }
    }
}
