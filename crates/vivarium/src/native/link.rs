//! The ways between processes, as doors that this process keeps: who calls a node comes through one of its doors, is known by
//! the client id of its first request, and what it and the node say to each other passes only while, and as soon as, the
//! scenario lets it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ordered::{Map, Set};
use ports::ReservedPort;
use protocol::Str;

/// Pieces that are on their way in one direction of a connection.
const IN_FLIGHT: usize = 256;
const PIECE: usize = 64 << 10;
/// The size, and of a request's head what comes before the text of its client id: API, version, correlation id, length.
const HEAD: usize = 4 + 10;
const LONGEST_CLIENT_ID: usize = 1024;

/// What passes between whom.
#[derive(Default)]
pub(crate) struct Links {
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Default)]
struct Rules {
    /// Client ids that are not names: a node calls with its number.
    names: Map<Str, Str>,
    cuts: Set<(Str, Str)>,
    delays: Map<(Str, Str), Duration>,
}

impl Links {
    /// A process is known by this client id.
    pub(crate) fn name(&self, client_id: Str, name: Str) {
        self.rules().names.insert(client_id, name);
    }

    /// Nothing passes from the first to the second any more.
    pub(crate) fn cut(&self, from: &Str, to: &Str) {
        self.rules().cuts.insert((from.clone(), to.clone()));
    }

    /// What was held back passes, in both directions.
    pub(crate) fn heal(&self, a: &Str, b: &Str) {
        let mut rules = self.rules();
        rules.cuts.remove(&(a.clone(), b.clone()));
        rules.cuts.remove(&(b.clone(), a.clone()));
        drop(rules);
        self.changed.notify_all();
    }

    /// What passes between two takes so much longer.
    pub(crate) fn delay(&self, a: &Str, b: &Str, by: Duration) {
        let mut rules = self.rules();
        for way in [(a.clone(), b.clone()), (b.clone(), a.clone())] {
            rules.delays.insert(way, by);
        }
        drop(rules);
        self.changed.notify_all();
    }

    /// Waits until what came at this moment may arrive.
    fn wait(&self, way: &(Str, Str), since: Instant) {
        let mut rules = self.rules();
        loop {
            let due = since + rules.delays.get(way).copied().unwrap_or_default();
            let now = Instant::now();
            rules = if rules.cuts.contains(way) {
                self.changed.wait(rules).unwrap_or_else(PoisonError::into_inner)
            } else if due > now {
                self.changed.wait_timeout(rules, due - now).unwrap_or_else(PoisonError::into_inner).0
            } else {
                return;
            };
        }
    }

    fn name_of(&self, client_id: &[u8]) -> Str {
        let id = Str::from(String::from_utf8_lossy(client_id).into_owned());
        self.rules().names.get(&id).cloned().unwrap_or(id)
    }

    /// A thread that panicked held no half-made change: each is one insertion or removal.
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that leads to a node's own. Open while the node runs: where it does not, nobody listens here either.
pub(crate) struct Door {
    port: ReservedPort,
    target: u16,
    to: Str,
    listener: Option<TcpListener>,
}

impl Door {
    /// A door on any free port; it is closed at first.
    pub(crate) fn new(to: Str, target: u16) -> io::Result<Door> {
        Ok(Door { port: ReservedPort::any()?, target, to, listener: None })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn open(&mut self, links: &Arc<Links>) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port()))?;
        let (accepting, links) = (listener.try_clone()?, links.clone());
        let (to, target) = (self.to.clone(), self.target);
        thread::Builder::new().name(format!("door of {to}")).spawn(move || {
            while let Ok((near, _)) = accepting.accept() {
                let (links, to) = (links.clone(), to.clone());
                // What goes wrong with a connection ends it, which both sides see.
                thread::spawn(move || drop(let_in(near, to, target, &links)));
            }
        })?;
        self.listener = Some(listener);
        Ok(())
    }

    /// From now on it refuses, as the port of a process that has ended does.
    pub(crate) fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            // The thread that accepts holds the socket as well; this ends its wait. It cannot fail on a socket that listens.
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Read);
        }
    }
}

fn let_in(mut near: TcpStream, to: Str, target: u16, links: &Arc<Links>) -> io::Result<()> {
    near.set_nodelay(true)?;
    let mut first = vec![0; HEAD];
    near.read_exact(&mut first)?;
    let length = i16::from_be_bytes([first[HEAD - 2], first[HEAD - 1]]);
    let length = usize::try_from(length).unwrap_or(0).min(LONGEST_CLIENT_ID);
    first.resize(HEAD + length, 0);
    near.read_exact(&mut first[HEAD..])?;
    let from = links.name_of(&first[HEAD..]);
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    far.set_nodelay(true)?;
    let (sender, pieces) = sync_channel(IN_FLIGHT);
    // There is room for the first.
    let _ = sender.send((Instant::now(), first));
    let back = (sync_channel(IN_FLIGHT), near.try_clone()?, far.try_clone()?);
    let way = (from.clone(), to.clone());
    let way_back = (to, from);
    let (links_there, links_back) = (links.clone(), links.clone());
    let source = near;
    let sink = far;
    thread::spawn(move || take_in(source, &sender));
    thread::spawn(move || hand_on(&pieces, sink, &way, &links_there));
    let ((sender, pieces), sink, source) = back;
    thread::spawn(move || take_in(source, &sender));
    hand_on(&pieces, sink, &way_back, &links_back);
    Ok(())
}

/// Reads what one side says, to its end, which is an empty piece.
fn take_in(mut source: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = source.read(&mut piece).unwrap_or(0);
        piece.truncate(read);
        if sender.send((Instant::now(), piece)).is_err() || read == 0 {
            return;
        }
    }
}

/// Says it to the other side when it may pass.
fn hand_on(pieces: &Receiver<(Instant, Vec<u8>)>, mut sink: TcpStream, way: &(Str, Str), links: &Links) {
    for (at, piece) in pieces {
        links.wait(way, at);
        if piece.is_empty() || sink.write_all(&piece).is_err() {
            // The other side may be gone already, which is as well.
            let _ = sink.shutdown(Shutdown::Both);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request's head with a client id, and one byte more.
    fn request(client_id: &str) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 11 + client_id.len() as u8, 0, 18, 0, 0, 0, 0, 0, 7, 0, client_id.len() as u8];
        bytes.extend(client_id.as_bytes());
        bytes.push(42);
        bytes
    }

    #[test]
    fn what_passes_hangs_on_who_calls_whom() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let links = Arc::new(Links::default());
        links.name("1".into(), "b1".into());
        let mut door = Door::new("b2".into(), far.local_addr().unwrap().port()).unwrap();
        door.open(&links).unwrap();
        links.cut(&"b1".into(), &"b2".into());
        let said = |id: &str| {
            let mut near = TcpStream::connect(("127.0.0.1", door.port())).unwrap();
            near.write_all(&request(id)).unwrap();
            let (inside, _) = far.accept().unwrap();
            (near, inside)
        };
        let (mut near, mut inside) = said("p1");
        let mut heard = vec![0; request("p1").len()];
        inside.read_exact(&mut heard).unwrap();
        assert_eq!(heard, request("p1"), "nobody has cut that");
        inside.write_all(b"yes").unwrap();
        near.read_exact(&mut heard[..3]).unwrap();
        assert_eq!(&heard[..3], b"yes");
        let (mut near, mut inside) = said("1");
        inside.write_all(b"one way").unwrap();
        near.read_exact(&mut heard[..7]).unwrap();
        inside.set_nonblocking(true).unwrap();
        assert_eq!(inside.read(&mut heard).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        inside.set_nonblocking(false).unwrap();
        links.heal(&"b1".into(), &"b2".into());
        heard.resize(request("1").len(), 0);
        inside.read_exact(&mut heard).unwrap();
        assert_eq!(heard, request("1"), "it was held back, not lost");
        drop(inside);
        assert_eq!(near.read(&mut heard).unwrap(), 0, "an end passes as well");
    }

    #[test]
    fn a_closed_door_refuses() {
        let links = Arc::new(Links::default());
        let mut door = Door::new("b1".into(), 1).unwrap();
        let refuses = |door: &Door| TcpStream::connect(("127.0.0.1", door.port())).is_err();
        assert!(refuses(&door));
        for _ in 0..2 {
            door.open(&links).unwrap();
            assert!(!refuses(&door));
            door.close();
            assert!(refuses(&door));
        }
    }
}
