//! A client's driver over real sockets: one thread reads each connection, one thread opens each, the caller's thread does
//! the rest. Simple before fast; the core cannot tell.

use ordered::Map;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use client::wire::{Answers, Request};
use client::{ConnId, Connect, Input, Outbox};
use protocol::{Instant, Now, Piece, WallMs, frame};

/// How long one address of a broker may take to accept; the client itself gives up sooner or later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a write may take: a broker that reads nothing for so long is as good as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is believed; a greater size means that no broker is at the other end.
const MAX_ANSWER: usize = 512 << 20;

/// What the driver's threads, or the application's, tell the caller's thread.
pub(crate) enum Happened<T> {
    /// For the client.
    Input(Box<Input>),
    /// From the application.
    Other(T),
}

enum Told<T> {
    Opened(ConnId, io::Result<TcpStream>),
    Frame(ConnId, Bytes),
    Ended(ConnId),
    Other(T),
}

/// Sockets, and a clock.
pub(crate) struct Network<T> {
    started: std::time::Instant,
    told: Receiver<Told<T>>,
    tell: Sender<Told<T>>,
    /// Connections that are open, or being opened (no stream yet).
    conns: Map<ConnId, Conn>,
}

#[derive(Default)]
struct Conn {
    stream: Option<TcpStream>,
    answers: Answers,
}

/// Lets other threads wake the caller's thread.
pub(crate) struct Teller<T>(Sender<Told<T>>);

impl<T> Teller<T> {
    /// False once nobody listens.
    pub(crate) fn tell(&self, what: T) -> bool {
        self.0.send(Told::Other(what)).is_ok()
    }
}

impl<T: Send + 'static> Network<T> {
    /// No connections; the monotonic clock starts now.
    pub(crate) fn new() -> Network<T> {
        let (tell, told) = channel();
        Network { started: std::time::Instant::now(), told, tell, conns: Map::new() }
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let mono = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Now { mono: Instant(mono), wall: WallMs(i64::try_from(wall).unwrap_or(i64::MAX)) }
    }

    /// For threads of the application.
    pub(crate) fn teller(&self) -> Teller<T> {
        Teller(self.tell.clone())
    }

    /// Carries out what a client says, but for its outcomes.
    pub(crate) fn carry_out(&mut self, out: &mut Outbox) {
        for connect in out.connect.drain(..) {
            self.conns.insert(connect.conn, Conn::default());
            self.open(connect);
        }
        for (conn, request) in out.send.drain(..) {
            self.send(conn, request);
        }
        for conn in out.close.drain(..) {
            if let Some(Conn { stream: Some(stream), .. }) = self.conns.remove(&conn) {
                // The reading thread ends with it. An error means that the connection is gone already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Waits for what happens next, until `wake_at` at most.
    pub(crate) fn next(&mut self, wake_at: Option<Instant>) -> Happened<T> {
        loop {
            let told = match wake_at {
                None => self.told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self.told.recv_timeout(at.since(self.now().mono)),
            };
            let input = match told {
                // Nobody hangs up while we hold a sender, so this is the time-out.
                Err(_) => Some(Input::Wake),
                Ok(Told::Other(what)) => return Happened::Other(what),
                Ok(Told::Opened(conn, opened)) => self.opened(conn, opened),
                Ok(Told::Frame(conn, bytes)) => self.answered(conn, bytes),
                Ok(Told::Ended(conn)) => self.conns.remove(&conn).map(|_| Input::Closed(conn)),
            };
            if let Some(input) = input {
                return Happened::Input(Box::new(input));
            }
        }
    }

    fn open(&self, connect: Connect) {
        let tell = self.tell.clone();
        thread::spawn(move || {
            let opened = open(&connect);
            // An error only means that the caller is gone.
            let _ = tell.send(Told::Opened(connect.conn, opened));
        });
    }

    fn opened(&mut self, conn: ConnId, opened: io::Result<TcpStream>) -> Option<Input> {
        // Closed while it was being opened: the stream is dropped.
        let slot = self.conns.get_mut(&conn)?;
        let reading = opened.and_then(|stream| Ok((stream.try_clone()?, stream)));
        let Ok((reading, stream)) = reading else {
            self.conns.remove(&conn);
            return Some(Input::ConnectFailed(conn));
        };
        slot.stream = Some(stream);
        let tell = self.tell.clone();
        thread::spawn(move || {
            let mut reading = BufReader::with_capacity(64 << 10, reading);
            while let Ok(bytes) = read_frame(&mut reading) {
                if tell.send(Told::Frame(conn, bytes)).is_err() {
                    return;
                }
            }
            let _ = tell.send(Told::Ended(conn));
        });
        Some(Input::Connected(conn))
    }

    fn answered(&mut self, conn: ConnId, bytes: Bytes) -> Option<Input> {
        let slot = self.conns.get_mut(&conn)?;
        match slot.answers.decode(bytes) {
            Ok(response) => Some(Input::Answered(conn, response)),
            Err(_) => {
                self.hang_up(conn);
                Some(Input::Closed(conn))
            }
        }
    }

    fn send(&mut self, conn: ConnId, mut request: Request) {
        let Some(slot) = self.conns.get_mut(&conn) else { return };
        slot.answers.sent(&request);
        let written = match (frame::encode_request(&mut request), &mut slot.stream) {
            (Ok(frame), Some(stream)) => {
                let bytes = frame.pieces.iter().filter_map(|piece| match piece {
                    Piece::Bytes(bytes) => Some(&bytes[..]),
                    // A client's requests name no bytes of a log.
                    Piece::Region(_) => None,
                });
                stream.write_all(&bytes.collect::<Vec<_>>().concat()).is_ok()
            }
            (_, _) => false,
        };
        if !written {
            // The reading thread ends with the connection and tells the client.
            if let Some(stream) = &slot.stream {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn hang_up(&mut self, conn: ConnId) {
        if let Some(Conn { stream: Some(stream), .. }) = self.conns.remove(&conn) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Tries every address of a host in turn.
fn open(connect: &Connect) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (&*connect.host, connect.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A frame without its size.
fn read_frame(stream: &mut impl Read) -> io::Result<Bytes> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).ok().filter(|it| *it <= MAX_ANSWER);
    let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a size"))?;
    // Grows with what really comes, so that a wrong size reserves nothing.
    let mut bytes = Vec::with_capacity(size.min(1 << 20));
    if stream.take(size as u64).read_to_end(&mut bytes)? < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_whole_or_not_at_all() {
        assert_eq!(read_frame(&mut &[0, 0, 0, 2, 7, 8, 9][..]).unwrap(), [7, 8][..]);
        assert!(read_frame(&mut &[0, 0, 0, 3, 7, 8][..]).is_err());
        assert!(read_frame(&mut &[0xff, 0xff, 0xff, 0xff, 7][..]).is_err());
        assert!(read_frame(&mut &[0x7f, 0xff, 0xff, 0xff, 7][..]).is_err());
    }
}
