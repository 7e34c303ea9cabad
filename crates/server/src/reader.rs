//! Reads log files for the core's thread, which never waits for a disk.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use node::input::ConnId;

use crate::aligned::{LARGEST, Pool, block_floor};
use crate::file::{DIRECT_FROM, NativeFile};
use crate::held::{Change, Held, Piece};

/// Reads that are under way at once.
const THREADS: usize = 2;
/// What is held in memory of all files together: the newest writes, and what was read ahead.
const HELD_BYTES: usize = 40 << 20;
/// A reader who goes through a file is this far ahead of at most; all of them together of half of what is held.
const AHEAD: u64 = 16 << 20;
const LEAST_AHEAD: u64 = 256 << 10;
/// Readers whose progress is remembered.
const STREAMS: usize = 64;
/// A reader who caused none of this many latest reads has gone away.
const ACTIVE_READS: u64 = 128;

struct Load {
    file: NativeFile,
    at: u64,
    len: usize,
}

struct Loaded {
    file: NativeFile,
    at: u64,
    /// The file's count of cuts before the read.
    cuts: u64,
    result: io::Result<Bytes>,
}

/// Someone reading a file from front to back.
#[derive(Debug)]
struct Stream {
    file: NativeFile,
    /// Up to here it was read for them, or is about to be.
    next: u64,
    /// They came back for what follows.
    sequential: bool,
    last_read: u64,
}

/// What arrived from the disk.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Who waited for it.
    pub(crate) conns: Vec<ConnId>,
    /// Why there is nothing.
    pub(crate) fault: Option<String>,
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
            let run = move || carry_out(&receiver, &inbox, &pool, &wake);
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
        })
    }

    /// What is in memory.
    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// The storage lane wrote or cut something.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Held(piece) => self.held.insert(piece),
            Change::Cut(file, at) => {
                self.held.cut(file, at);
                self.streams.retain(|it| it.file.serial() != file);
            }
        }
    }

    /// No new answer names this file.
    pub(crate) fn forget(&mut self, file: u64) {
        self.held.forget(file);
        self.streams.retain(|it| it.file.serial() != file);
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
        let known = self.streams.iter().position(|it| it.file.serial() == serial && it.is_at(at));
        let mut stream = match known.and_then(|index| self.streams.remove(index)) {
            Some(stream) => Stream { sequential: true, ..stream },
            None => Stream { file: file.clone(), next: block_floor(at), sequential: false, last_read: 0 },
        };
        if stream.next > at && !self.is_pending(serial, at) {
            // It was read ahead, and dropped again before anyone came for it.
            stream.next = block_floor(at);
        }
        let ahead =
            if stream.sequential { self.ahead().max(len.min(AHEAD)) } else { len.clamp(DIRECT_FROM as u64, AHEAD) };
        self.read_up_to(&mut stream, at.saturating_add(ahead));
        self.streams.push_back(stream);
        if self.streams.len() > STREAMS {
            self.streams.pop_front();
        }
        true
    }

    /// A connection has sent a file up to this position.
    pub(crate) fn progressed(&mut self, file: u64, at: u64) {
        let Some(index) = self.streams.iter().position(|it| it.file.serial() == file && it.is_at(at)) else { return };
        let up_to = at + self.ahead();
        // In large pieces only: what is behind the last one may not have been written long ago, and is in the page cache.
        let too_early = |it: &Stream| it.next + LARGEST as u64 > up_to.min(it.file.written());
        if !self.streams[index].sequential || too_early(&self.streams[index]) {
            return;
        }
        if let Some(mut stream) = self.streams.remove(index) {
            self.read_up_to(&mut stream, up_to);
            self.streams.push_back(stream);
        }
    }

    /// The next thing that arrived. What it brought is in memory at least until the next call.
    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        let loaded = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        let (file, at) = (loaded.file.serial(), loaded.at);
        self.pending.retain(|it| (it.0, it.1) != (file, at));
        let fault = match loaded.result {
            // Looked at here and not where it was read: a cut that comes later reaches us as a change.
            Ok(_) if loaded.file.cuts() != loaded.cuts => Some("the log was cut while it was read".to_owned()),
            Ok(bytes) => {
                self.held.insert(Piece { file, at, bytes });
                None
            }
            Err(error) => Some(format!("{}: {error}", loaded.file.path().display())),
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
        (HELD_BYTES as u64 / 2 / active.max(1) as u64).clamp(LEAST_AHEAD, AHEAD)
    }

    /// Reads what is neither in memory nor under way, up to what was written.
    fn read_up_to(&mut self, stream: &mut Stream, end: u64) {
        let serial = stream.file.serial();
        let end = end.min(stream.file.written());
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
            self.pending.push((serial, at, stream.next));
            if let Some(sender) = &self.sender {
                // The threads end only when this sender is dropped or they panicked; a panic is rethrown by `stop`.
                let _ = sender.send(Load { file: stream.file.clone(), at, len });
            }
        }
    }
}

impl Stream {
    /// True for a position that belongs to this reader: within what was read for them last, or right behind it.
    fn is_at(&self, at: u64) -> bool {
        at <= self.next && at + AHEAD + LARGEST as u64 >= self.next
    }
}

fn carry_out(receiver: &Mutex<Receiver<Load>>, inbox: &Mutex<VecDeque<Loaded>>, pool: &Pool, wake: &dyn Fn()) {
    loop {
        let received = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Load { file, at, len }) = received else { return };
        let cuts = file.cuts();
        // A block may go on behind what was written, with bytes that are being written right now.
        let least = usize::try_from(file.written().saturating_sub(at)).unwrap_or(usize::MAX).min(len);
        let result = file.read_blocks(at, len, pool).and_then(|bytes| match bytes.len() < least {
            true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its log")),
            false => Ok(bytes.slice(..least)),
        });
        inbox.lock().unwrap_or_else(PoisonError::into_inner).push_back(Loaded { file, at, cuts, result });
        wake();
    }
}
