//! One client's connection: frames in, answers out, in the order of the requests.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use rustix::io::Errno;
use storage::StoreError;

use crate::disk::failed;
use crate::file::NativeFile;
use crate::held::Held;

/// Read ahead for small requests; large frames get a buffer of their own size.
const READ_BYTES: usize = 64 * 1024;
/// A frame's buffer grows by what has really arrived, so a length alone never allocates more than this.
const GROWTH_BYTES: usize = 1024 * 1024;
/// Frames up to this size are copied out of the buffer that they were read into.
const COPIED_BYTES: usize = 2048;
/// Regions up to this size are read and sent together with their headers; larger ones go by sendfile.
const SENDFILE_FROM: u64 = 32 * 1024;
/// One sendfile takes at most this much, and only what the page cache has.
const SENDFILE_MOST: u64 = 256 * 1024;
/// One `writev` takes at most this many slices, and no more when it has this many bytes: all that a fetch's answer has, as a rule.
/// Whoever waits for its last bytes may have taken the processor from us between two calls.
const SLICES: usize = 64;
const SLICES_BYTES: usize = 8 << 20;

/// What is still to be sent, in order.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of an open file; the handle pins it, so retention cannot hurt the send. Whether they are in memory is looked
    /// at when their turn comes, and again after the socket was full, so that a slow reader pins no memory.
    File { file: NativeFile, at: u64, len: u64 },
}

impl Chunk {
    fn len(&self) -> u64 {
        match self {
            Chunk::Bytes(bytes) => bytes.len() as u64,
            Chunk::File { len, .. } => *len,
        }
    }
}

/// A request that was admitted, until it and all before it are answered.
#[derive(Debug)]
struct Pending {
    /// The client's, which may repeat itself or come back while an earlier request waits.
    correlation_id: i32,
    /// Present once answered; empty for a request that gets no answer.
    answer: Option<Vec<Chunk>>,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A whole frame, without its size.
    Frame(Bytes),
    /// Nothing more for now: wait for the socket to become readable.
    Blocked,
    /// The far end closed.
    Closed,
}

/// How far a write came.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Nothing is left.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// This part of a file comes next, and has to be read from the disk first.
    Disk { file: NativeFile, at: u64, len: u64 },
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The socket failed.
    Io(io::Error),
    /// A size that is negative or larger than `socket.request.max.bytes`.
    Size(i32),
    /// The log's file ended before the region did.
    ShortFile,
    /// The disk refuses to read the file with this serial number.
    Disk(u64, StoreError),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Io(error) => error.fmt(f),
            Fault::Size(size) if *size < 0 => write!(f, "a frame of {size} bytes: is this a Kafka client without TLS?"),
            Fault::Size(size) => write!(f, "a frame of {size} bytes is larger than socket.request.max.bytes"),
            Fault::ShortFile => f.write_str("a log file is shorter than the region being sent"),
            Fault::Disk(_, error) => error.fmt(f),
        }
    }
}

/// A connection and its two queues.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    pending: VecDeque<Pending>,
    /// The ticket of the first pending request; the others' follow.
    first_ticket: i32,
    output: VecDeque<Chunk>,
    output_bytes: u64,
    /// The file that was sent from last, and up to where, until that is asked for.
    sent_from: Option<(u64, u64)>,
    /// When bytes last came or went.
    active: Instant,
    /// Controllers' requests arrive by it: it is not held for what waits between clients and disks.
    pub(crate) is_controllers: bool,
    /// The core withdrew its credit: read nothing more.
    pub(crate) held: bool,
    /// It may have input that was left unread, for want of credit or because the client takes no answers.
    pub(crate) starved: bool,
    /// It stands in the reactor's queue of those to be read.
    pub(crate) queued: bool,
    /// It stands among those that have answers to send.
    pub(crate) answered: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            input: BytesMut::new(),
            pending: VecDeque::new(),
            first_ticket: 0,
            output: VecDeque::new(),
            output_bytes: 0,
            sent_from: None,
            active: Instant::now(),
            is_controllers: false,
            held: false,
            starved: false,
            queued: false,
            answered: false,
        })
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Requests admitted and not yet answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Bytes that the client has not taken yet.
    pub(crate) fn unsent(&self) -> u64 {
        self.output_bytes
    }

    /// True if something that it has not sent yet is in one of these files, by serial number, from this position on.
    pub(crate) fn has_to_send_beyond(&self, cuts: &[(u64, u64)]) -> bool {
        let waiting = self.pending.iter().flat_map(|it| it.answer.iter().flatten());
        let is_beyond = |chunk: &Chunk| match chunk {
            Chunk::Bytes(_) => false,
            Chunk::File { file, at, len } => cuts.iter().any(|cut| cut.0 == file.serial() && at + len > cut.1),
        };
        self.output.iter().chain(waiting).any(is_beyond)
    }

    /// When bytes last came or went.
    pub(crate) fn active(&self) -> Instant {
        self.active
    }

    /// How many bytes the frame has that has begun to arrive and is not whole; 0 between frames.
    pub(crate) fn arriving(&self) -> u64 {
        let size = self.input.first_chunk::<4>().map_or(0, |head| i32::from_be_bytes(*head));
        let size = usize::try_from(size).unwrap_or(0);
        if size > self.input.len().saturating_sub(4) { size as u64 } else { 0 }
    }

    /// How many of those count for `queued.max.request.bytes`.
    pub(crate) fn queued_bytes(&self) -> u64 {
        if self.is_controllers { 0 } else { self.arriving() }
    }

    /// The next whole frame, or why there is none.
    pub(crate) fn read(&mut self, max_frame: usize) -> Result<Read, Fault> {
        loop {
            let mut wanted = READ_BYTES;
            if let Some(head) = self.input.first_chunk::<4>() {
                let size = i32::from_be_bytes(*head);
                let length = usize::try_from(size).ok().filter(|it| *it <= max_frame).ok_or(Fault::Size(size))?;
                let have = self.input.len() - 4;
                if have >= length {
                    self.input.advance(4);
                    let frame = self.input.split_to(length);
                    // What the node keeps of a small request (a topic's name) must not keep the whole buffer.
                    return Ok(Read::Frame(match length {
                        0..=COPIED_BYTES => Bytes::copy_from_slice(&frame),
                        _ => frame.freeze(),
                    }));
                }
                // Exactly up to the frame's end, so that a large frame's buffer holds nothing else.
                wanted = (length - have).min(GROWTH_BYTES.max(have));
                if length < READ_BYTES {
                    wanted = READ_BYTES;
                }
            }
            if self.input.capacity() - self.input.len() < wanted.min(4096) || wanted > READ_BYTES {
                self.input.reserve(wanted);
            }
            match self.fill(wanted) {
                Ok(0) => return Ok(Read::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
    }

    #[expect(unsafe_code, reason = "reads into a buffer's spare capacity without clearing it first")]
    fn fill(&mut self, most: usize) -> io::Result<usize> {
        let spare = self.input.spare_capacity_mut();
        let most = most.min(spare.len());
        let (read, _) = rustix::io::read(self.stream.as_fd(), &mut spare[..most])?;
        let count = read.len();
        self.active = Instant::now();
        let length = self.input.len() + count;
        // SAFETY: the system call initialised `count` bytes behind the old length, within the capacity.
        unsafe { self.input.set_len(length) };
        Ok(count)
    }

    /// Notes a request, so that its answer takes its place in the order. The ticket stands for it until it is answered:
    /// the client's correlation id need not be unique.
    pub(crate) fn admit(&mut self, correlation_id: i32) -> i32 {
        let ticket = self.first_ticket.wrapping_add(self.pending.len() as i32);
        self.pending.push_back(Pending { correlation_id, answer: None });
        ticket
    }

    /// The correlation id of the request that has this ticket and waits for its answer.
    pub(crate) fn correlation_id(&mut self, ticket: i32) -> Option<i32> {
        self.waiting(ticket).map(|it| it.correlation_id)
    }

    fn waiting(&mut self, ticket: i32) -> Option<&mut Pending> {
        let place = usize::try_from(ticket.wrapping_sub(self.first_ticket)).ok()?;
        self.pending.get_mut(place).filter(|it| it.answer.is_none())
    }

    /// Takes an answer; sends on everything whose turn has come. False when no such request waits.
    pub(crate) fn answer(&mut self, ticket: i32, chunks: Vec<Chunk>) -> bool {
        let Some(pending) = self.waiting(ticket) else { return false };
        pending.answer = Some(chunks);
        while let Some(chunks) = self.pending.front_mut().and_then(|it| it.answer.take()) {
            self.pending.pop_front();
            self.first_ticket = self.first_ticket.wrapping_add(1);
            self.queue(chunks);
        }
        true
    }

    /// Puts something behind all that is still to be sent: a request of ours, or an answer whose turn it is.
    pub(crate) fn queue(&mut self, chunks: Vec<Chunk>) {
        self.output_bytes += chunks.iter().map(Chunk::len).sum::<u64>();
        self.output.extend(chunks);
    }

    /// The file that was sent from since the last call, by serial number, and up to where.
    pub(crate) fn take_sent_from(&mut self) -> Option<(u64, u64)> {
        self.sent_from.take()
    }

    /// Sends what the socket takes of what is in memory or in the page cache.
    pub(crate) fn write(&mut self, held: &Held) -> Result<Sent, Fault> {
        loop {
            let ready = self.gather(held)?;
            let sent = match (ready.is_empty(), self.output.front()) {
                (_, None) => return Ok(Sent::All),
                (false, _) => self.write_vectored(&ready),
                // What of it is in memory was gathered.
                (true, Some(Chunk::Bytes(_))) => Ok(0),
                (true, Some(Chunk::File { file, at, len })) => {
                    let step = held.gap(file.serial(), *at, (*len).min(SENDFILE_MOST));
                    if !file.is_cached(*at, step) {
                        return Ok(Sent::Disk { file: file.clone(), at: *at, len: *len });
                    }
                    match send_file(&self.stream, file, *at, step) {
                        // No socket says this.
                        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                            return Err(refused(file, &error));
                        }
                        sent => sent,
                    }
                }
            };
            match sent {
                Ok(0) => return Err(Fault::ShortFile),
                Ok(count) => self.consume(count as u64),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Sent::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
    }

    /// What comes next and is in memory, or is so little that it is copied there.
    fn gather(&self, held: &Held) -> Result<Vec<Bytes>, Fault> {
        let mut ready = Vec::new();
        let mut size = 0;
        for chunk in &self.output {
            if ready.len() >= SLICES || size >= SLICES_BYTES {
                break;
            }
            match chunk {
                Chunk::Bytes(bytes) => {
                    size += bytes.len();
                    ready.push(bytes.clone());
                }
                Chunk::File { file, at, len } => {
                    let (mut at, end) = (*at, *at + *len);
                    while at < end && size < SLICES_BYTES && ready.len() < SLICES {
                        let bytes = match held.read(file.serial(), at, end - at) {
                            Some(bytes) => bytes,
                            None if end - at > SENDFILE_FROM => return Ok(ready),
                            None => match read_cached(file, at, end - at)? {
                                Some(bytes) => bytes,
                                None => return Ok(ready),
                            },
                        };
                        at += bytes.len() as u64;
                        size += bytes.len();
                        ready.push(bytes);
                    }
                }
            }
        }
        Ok(ready)
    }

    fn write_vectored(&self, ready: &[Bytes]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slice, bytes) in slices.iter_mut().zip(ready) {
            *slice = IoSlice::new(bytes);
        }
        Ok(rustix::io::writev(self.stream.as_fd(), &slices[..ready.len()])?)
    }

    fn consume(&mut self, mut count: u64) {
        self.active = Instant::now();
        self.output_bytes -= count;
        while let Some(front) = self.output.front_mut() {
            let length = front.len();
            let taken = length.min(count);
            match front {
                Chunk::Bytes(bytes) => bytes.advance(usize::try_from(taken).unwrap_or(usize::MAX)),
                Chunk::File { file, at, len } => {
                    *at += taken;
                    *len -= taken;
                    self.sent_from = Some((file.serial(), *at));
                }
            }
            if taken < length {
                return;
            }
            count -= taken;
            self.output.pop_front();
        }
    }
}

fn read_cached(file: &NativeFile, at: u64, len: u64) -> Result<Option<Bytes>, Fault> {
    let len = usize::try_from(len).map_err(|_| Fault::ShortFile)?;
    file.read_cached(at, len).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::ShortFile,
        _ => refused(file, &error),
    })
}

fn refused(file: &NativeFile, error: &io::Error) -> Fault {
    Fault::Disk(file.serial(), failed("read", file.path(), error, error.kind()))
}

/// The kernel copies from the page cache to the socket; the bytes never pass through this process.
#[cfg(target_os = "linux")]
fn send_file(stream: &TcpStream, file: &NativeFile, at: u64, len: u64) -> io::Result<usize> {
    let mut offset = at;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(rustix::fs::sendfile(stream.as_fd(), file.file(), Some(&mut offset), len)?)
}

#[cfg(not(target_os = "linux"))]
fn send_file(stream: &TcpStream, file: &NativeFile, at: u64, len: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(0)];
    let count = file.file().read_at(&mut buffer, at)?;
    Ok(rustix::io::write(stream.as_fd(), &buffer[..count])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream as Blocking};

    fn pair() -> (Connection, Blocking) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = Blocking::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (Connection::new(TcpStream::from_std(near)).unwrap(), far)
    }

    fn next(connection: &mut Connection) -> Result<Read, Fault> {
        loop {
            match connection.read(1000)? {
                Read::Blocked => std::thread::yield_now(),
                read => return Ok(read),
            }
        }
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let (mut connection, mut far) = pair();
        let bytes: Vec<u8> = [&[0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0], &[0, 0, 0, 1], b"d"].concat();
        for byte in bytes {
            far.write_all(&[byte]).unwrap();
        }
        assert_eq!(next(&mut connection).unwrap(), Read::Frame(Bytes::from_static(b"abc")));
        assert_eq!(next(&mut connection).unwrap(), Read::Frame(Bytes::new()));
        assert_eq!(next(&mut connection).unwrap(), Read::Frame(Bytes::from_static(b"d")));
        drop(far);
        assert_eq!(next(&mut connection).unwrap(), Read::Closed);
    }

    #[test]
    fn a_hostile_size_is_a_fault_and_allocates_nothing() {
        for size in [-1, i32::MIN, 1001, i32::MAX] {
            let (mut connection, mut far) = pair();
            far.write_all(&size.to_be_bytes()).unwrap();
            assert!(matches!(next(&mut connection), Err(Fault::Size(it)) if it == size));
            assert!(connection.input.capacity() <= 2 * READ_BYTES);
        }
    }

    #[test]
    fn answers_leave_in_the_order_of_the_requests() {
        let (mut connection, mut far) = pair();
        // Tickets tell requests apart, whatever the client calls them.
        let [one, two, three] = [7, 7, 8].map(|id| connection.admit(id));
        assert_eq!([one, two, three].map(|it| connection.correlation_id(it)), [Some(7), Some(7), Some(8)]);
        assert!(connection.answer(three, vec![Chunk::Bytes(Bytes::from_static(b"three"))]));
        assert!(!connection.answer(three, vec![]));
        assert_eq!(connection.unsent(), 0);
        assert!(connection.answer(one, vec![Chunk::Bytes(Bytes::from_static(b"one"))]));
        assert_eq!(connection.unsent(), 3);
        assert!(connection.answer(two, vec![]));
        assert!(!connection.answer(two, vec![]));
        assert_eq!(connection.correlation_id(two), None);
        assert_eq!(connection.in_flight(), 0);
        assert!(matches!(connection.write(&Held::new(0)).unwrap(), Sent::All));
        drop(connection);
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        assert_eq!(text, "onethree");
    }

    /// A file of the bytes 0, 1, 2 …
    fn counting(length: u64) -> (NativeFile, Vec<u8>) {
        let mut file = tempfile::tempfile().unwrap();
        let body: Vec<u8> = (0..length).map(|it| (it % 251) as u8).collect();
        file.write_all(&body).unwrap();
        (NativeFile::new(file, "a.log".as_ref(), 1, None).unwrap(), body)
    }

    /// Lets a connection send until it has sent everything, and says what arrived.
    fn sent(mut connection: Connection, mut far: Blocking, held: &Held) -> Vec<u8> {
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            all
        });
        while !matches!(connection.write(held).unwrap(), Sent::All) {
            std::thread::yield_now();
        }
        drop(connection);
        reader.join().unwrap()
    }

    #[test]
    fn a_region_is_sent_from_its_file_with_what_surrounds_it() {
        for length in [100u64, 3_000_000] {
            let (file, body) = counting(length + 10);
            let (mut connection, far) = pair();
            let ticket = connection.admit(7);
            let region = Chunk::File { file, at: 5, len: length };
            let [before, behind] = [&b"<"[..], b">"].map(|it| Chunk::Bytes(Bytes::from_static(it)));
            connection.answer(ticket, vec![before, region, behind]);
            let expected = [b"<", &body[5..5 + length as usize], b">"].concat();
            assert!(sent(connection, far, &Held::new(0)) == expected);
        }
    }

    /// Nothing is at the beginning of a process's memory, and the kernel says so as it does of a bad sector.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_refuses_is_told_from_a_socket_that_breaks() {
        let path = std::path::Path::new("/proc/self/mem");
        let file = NativeFile::new(std::fs::File::open(path).unwrap(), path, 7, None).unwrap();
        let (mut connection, far) = pair();
        connection.queue(vec![Chunk::File { file, at: 0, len: 100 }]);
        let fault = connection.write(&Held::new(0)).unwrap_err();
        assert!(matches!(fault, Fault::Disk(7, StoreError::Io(_))), "{fault}");
        drop(far);
    }

    #[test]
    fn what_is_still_to_be_sent_from_a_file_is_known() {
        let (file, _) = counting(3_000_000);
        let (mut connection, far) = pair();
        let [first, second] = [7, 8].map(|id| connection.admit(id));
        assert!(!connection.has_to_send_beyond(&[(1, 0)]));
        // It waits for its turn, behind an answer that is not there yet.
        connection.answer(second, vec![Chunk::File { file: file.clone(), at: 5, len: 10 }]);
        let beyond = |connection: &Connection, at| connection.has_to_send_beyond(&[(0, 0), (1, at)]);
        // Up to the cut it is what it was.
        assert_eq!([0, 14, 15, 100].map(|at| beyond(&connection, at)), [true, true, false, false]);
        assert!(!connection.has_to_send_beyond(&[(0, 0), (2, 0)]));
        connection.answer(first, vec![Chunk::Bytes(Bytes::from_static(b"<"))]);
        assert!(beyond(&connection, 14) && !beyond(&connection, 15));
        assert!(matches!(connection.write(&Held::new(0)).unwrap(), Sent::All));
        assert!(!beyond(&connection, 0));
        drop(far);
    }

    /// The few bytes behind the records are what a client waits for that has all the rest.
    #[test]
    fn an_answer_that_is_in_memory_leaves_at_once() {
        let (file, body) = counting(4_000_000);
        let mut held = Held::new(8 << 20);
        for at in [0, 2_000_000] {
            let bytes = Bytes::copy_from_slice(&body[at..at + 2_000_000]);
            held.insert(
                crate::held::Origin::ReadAhead,
                crate::held::Piece { file: file.serial(), at: at as u64, bytes },
            );
        }
        let (mut connection, far) = pair();
        let [before, behind] = [&b"<"[..], b">"].map(|it| Chunk::Bytes(Bytes::from_static(it)));
        connection.queue(vec![before, Chunk::File { file, at: 0, len: 4_000_000 }, behind]);
        let ready = connection.gather(&held).unwrap();
        assert_eq!(ready.iter().map(Bytes::len).sum::<usize>(), 4_000_002);
        drop(far);
    }

    #[test]
    fn what_is_held_is_sent_from_memory_and_the_rest_from_the_file() {
        let length = 3_000_000;
        let (file, body) = counting(length + 10);
        // Not what is in the file, so that it shows where a byte came from.
        let mut held = Held::new(8 << 20);
        let mut expected = body[5..5 + length as usize].to_vec();
        for at in [0, 700_000, 1_100_000, 2_900_000] {
            held.insert(
                crate::held::Origin::ReadAhead,
                crate::held::Piece { file: 1, at, bytes: Bytes::from(vec![0xff; 300_000]) },
            );
            let [from, to] = [at, at + 300_000].map(|it| (it.clamp(5, 5 + length) - 5) as usize);
            expected[from..to].fill(0xff);
        }
        let (mut connection, far) = pair();
        let ticket = connection.admit(7);
        connection.answer(ticket, vec![Chunk::File { file, at: 5, len: length }]);
        assert_eq!(connection.unsent(), length);
        assert!(sent(connection, far, &held) == expected);
    }
}
