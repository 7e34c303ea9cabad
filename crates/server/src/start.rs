//! Starting and stopping a node.

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Poll, Waker};
use node::Node;
use node::config::{Config, Sockets};
use protocol::Str;

use crate::address_limits::AddressLimits;
use crate::calls::{Calls, Dialling};
use crate::compressors::NativeCompressors;
use crate::connection_quotas::Door;
use crate::datadir::{DataDir, DataDirError};
use crate::dial::Resolver;
use crate::disk::NativeDisk;
use crate::lane::Lane;
use crate::own_calls::Advertised;
use crate::patterns::RegexPatterns;
use crate::reactor::{Ended, Listener, Reactor, Settings, WAKE, Ways};
use crate::reader::Reader;

/// Why a server does not start; one line that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// A log directory can't be used.
    DataDir(DataDirError),
    /// `meta.properties` belongs to another node or cluster, or is damaged.
    Meta(PathBuf, String),
    /// A listener's address can't be bound.
    Bind(String, io::Error),
    /// Nobody has said by which name others reach this node, and the machine's own leads nowhere.
    Nameless(String, Vec<Str>, io::Error),
    /// A thread, a poll or a pipe can't be made.
    Io(io::Error),
    /// The node stopped before it served.
    Ended(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::DataDir(error) => error.fmt(f),
            StartError::Meta(path, what) => write!(f, "{}: {what}", path.display()),
            StartError::Bind(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "{address} is in use by another process: stop that one, or choose another port with --port (0 for any)"
                )
            }
            StartError::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            StartError::Nameless(host, listeners, error) => write!(
                f,
                "{} listens on every address, and this machine's name, {host}, has none ({error}): say in advertised.listeners how \
                 others reach it",
                listeners.join(", ")
            ),
            StartError::Io(error) => error.fmt(f),
            StartError::Ended(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {}

/// A running node.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    stopper: Stopper,
    is_ready: Receiver<()>,
    thread: JoinHandle<io::Result<Ended>>,
    _dirs: Vec<DataDir>,
}

/// Asks a server to stop, from any thread.
#[derive(Debug)]
pub struct Stopper(UnixStream);

/// The other end of a [`Stopper`], for the server that it is to stop.
#[derive(Debug)]
pub struct Stop(UnixStream);

impl Stopper {
    /// A stopper before there is a server: who stops early is heard when it starts.
    pub fn pair() -> io::Result<(Stopper, Stop)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        Ok((Stopper(near), Stop(far)))
    }

    /// Another one for the same server.
    pub fn another(&self) -> io::Result<Stopper> {
        Ok(Stopper(self.0.try_clone()?))
    }

    /// Begins a controlled shutdown.
    pub fn stop(&self) {
        // A full pipe means that it was asked already, a broken one that it has stopped.
        let _ = (&self.0).write(&[1]);
    }

    /// The pipe itself, for a signal handler to write to.
    pub fn into_pipe(self) -> UnixStream {
        self.0
    }
}

impl Server {
    /// Starts a node and waits until it serves requests.
    pub fn start(config: Config) -> Result<Server, StartError> {
        let (stopper, stop) = Stopper::pair().map_err(StartError::Io)?;
        let server = Server::begin(config, stopper, stop)?;
        match server.wait_until_ready() {
            true => Ok(server),
            false => Err(StartError::Ended(match server.wait() {
                Ok(Ended::StorageFailed(what)) => what,
                Ok(Ended::Stopped) => "stopped before it served".into(),
                Err(error) => error.to_string(),
            })),
        }
    }

    /// Starts a node, which serves when its cluster lets it: that may take until other nodes are there.
    pub fn begin(mut config: Config, stopper: Stopper, stop: Stop) -> Result<Server, StartError> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for listener in config.listeners.clone() {
            let (socket, address) = bind(&listener.host, listener.port, config.sockets())?;
            config.bound(&listener.name, address.port());
            addresses.push(address);
            let door = door(&config, &listener.name);
            listeners.push(Listener { name: listener.name, socket, door });
        }
        crate::hostname::advertise(&mut config)?;
        let dirs = crate::identity::open(&mut config)?;

        let poll = Poll::new().map_err(StartError::Io)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(StartError::Io)?);
        let disk = NativeDisk::new(config.log_dirs.iter().map(|it| PathBuf::from(it.as_str())).collect());
        let wake = move || {
            if let Err(error) = waker.wake() {
                tracing::error!(%error, "a storage thread cannot wake the core");
            }
        };
        let registry = poll.registry().try_clone().map_err(StartError::Io)?;
        let dialling = Dialling::new(config.connection_setup(), config.sockets().replica_receive_bytes);
        let calls = Calls::new(config.node_id, registry, dialling, wake.clone());
        let address_limits = AddressLimits::new(Resolver::new(wake.clone()));
        let reader = Reader::start(&disk.pool(), wake.clone()).map_err(StartError::Io)?;
        let mount_threads = usize::try_from(config.num_recovery_threads_per_data_dir).unwrap_or(1);
        let lane = Lane::start(disk, mount_threads, wake).map_err(StartError::Io)?;
        let (ready, is_ready) = channel();
        let max_request_bytes = usize::try_from(config.socket_request_max_bytes).unwrap_or(0);
        let settings = Settings {
            node_id: config.node_id,
            advertised: advertised(&config),
            max_request_bytes,
            queue: config.queue(),
            max_idle: u64::try_from(config.connections_max_idle_ms).ok().map(Duration::from_millis),
            ready,
        };
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| StartError::Io(io::Error::other(error)))?;
        let node = Node::boot(Arc::new(config), u64::from_le_bytes(seed))
            .with_compressors(Arc::new(NativeCompressors))
            .with_patterns(Arc::new(RegexPatterns::default()));
        let reactor = Reactor::new(
            poll,
            listeners,
            stop.0,
            settings,
            node,
            Ways { lane, reader, calls, addresses: address_limits },
        )
        .map_err(StartError::Io)?;
        let thread = std::thread::Builder::new().name("core".into()).spawn(|| reactor.run()).map_err(StartError::Io)?;
        Ok(Server { addresses, stopper, is_ready, thread, _dirs: dirs })
    }

    /// Waits until it serves requests; false if it has ended instead.
    pub fn wait_until_ready(&self) -> bool {
        loop {
            match self.is_ready.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Timeout) if !self.thread.is_finished() => {}
                Err(_) => return false,
            }
        }
    }

    /// Where it listens, in the order of `listeners`.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// For a signal handler or another thread.
    pub fn stopper(&self) -> io::Result<Stopper> {
        self.stopper.another()
    }

    /// Waits until the node has stopped by itself or through a [`Stopper`].
    pub fn wait(self) -> io::Result<Ended> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Stops it in an orderly way and waits for the end.
    pub fn stop(self) -> io::Result<Ended> {
        self.stopper.stop();
        self.wait()
    }
}

/// Where this node is reached, the controllers' listeners first: a call that fits them and others is theirs, since nobody else
/// would answer most of what a node asks itself.
fn advertised(config: &Config) -> Vec<Advertised> {
    let (controllers, others): (Vec<_>, Vec<_>) =
        config.advertised_listeners.iter().partition(|it| config.controller_listener_names.contains(&it.name));
    let mut advertised: Vec<Advertised> = controllers
        .into_iter()
        .chain(others)
        .map(|it| Advertised { host: it.host.clone(), port: it.port, name: it.name.clone() })
        .collect();
    // A controller that nobody else calls has no listener of its own, and calls itself at no port.
    let alone = config.controller_listener_names.first();
    advertised.extend(alone.map(|name| Advertised { host: Str::new(), port: 0, name: name.clone() }));
    advertised
}

/// Brokers are let in at any time where clients have another listener.
fn door(config: &Config, listener: &str) -> Door {
    let is_controllers = config.is_controller_listener(listener);
    let others = config.listeners.iter().filter(|it| !config.is_controller_listener(&it.name)).count();
    let is_protected = !is_controllers && listener == config.inter_broker_listener_name.as_str() && others > 1;
    Door { is_controllers, is_protected }
}

fn bind(host: &str, port: u16, sockets: Sockets) -> Result<(TcpListener, SocketAddr), StartError> {
    // An empty host listens on every interface, as in Kafka.
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let shown = format!("{host}:{port}");
    let refuse = |error| StartError::Bind(shown.clone(), error);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs().map_err(refuse)? {
        match TcpListener::bind(address) {
            Ok(socket) => {
                adjust(&socket, sockets).map_err(refuse)?;
                let bound = socket.local_addr().map_err(refuse)?;
                return Ok((socket, bound));
            }
            Err(error) => failure = error,
        }
    }
    Err(refuse(failure))
}

/// What is set of a listening socket its connections inherit.
fn adjust(socket: &TcpListener, sockets: Sockets) -> io::Result<()> {
    if let Some(bytes) = sockets.send_bytes {
        rustix::net::sockopt::set_socket_send_buffer_size(socket, bytes)?;
    }
    if let Some(bytes) = sockets.receive_bytes {
        rustix::net::sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    if let Some(backlog) = sockets.backlog {
        rustix::net::listen(socket, backlog)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{socket_recv_buffer_size, socket_send_buffer_size};

    use super::*;

    #[test]
    fn connections_have_the_buffers_that_are_set() {
        let sizes = |sockets: Sockets| {
            let (listener, address) = bind("127.0.0.1", 0, sockets).unwrap();
            let client = std::net::TcpStream::connect(address).unwrap();
            let accepted = loop {
                match listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            };
            drop(client);
            (socket_send_buffer_size(&accepted).unwrap(), socket_recv_buffer_size(&accepted).unwrap())
        };
        let small =
            Sockets { backlog: Some(1), send_bytes: Some(20_000), receive_bytes: Some(30_000), ..Sockets::default() };
        let (send, receive) = sizes(small);
        // Linux reserves twice as much, for what it notes of the bytes.
        assert!((20_000..=40_000).contains(&send) && (30_000..=60_000).contains(&receive), "{send} and {receive}");
        assert_ne!(sizes(Sockets::default()), (send, receive));
    }
}
