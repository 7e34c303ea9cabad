//! Names become addresses on threads of their own: a resolver may take seconds, and the core's thread waits for nobody.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};

use protocol::Str;

/// What became of a look-up: whose it was, and the addresses.
pub(crate) type Resolved = (usize, io::Result<Vec<SocketAddr>>);

/// Looks addresses up.
pub(crate) struct Resolver {
    sender: Sender<Resolved>,
    inbox: Receiver<Resolved>,
    wake: Box<dyn Fn() -> Box<dyn FnOnce() + Send> + Send>,
}

impl Resolver {
    /// `wake` is called, on some thread, whenever an answer has come.
    pub(crate) fn new(wake: impl Fn() + Clone + Send + 'static) -> Resolver {
        let (sender, inbox) = channel();
        Resolver { sender, inbox, wake: Box::new(move || Box::new(wake.clone())) }
    }

    /// The addresses of a host, at once if it is an address itself; `None` if the answer comes later.
    pub(crate) fn resolve(&self, whose: usize, host: &Str, port: u16) -> Option<io::Result<Vec<SocketAddr>>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Ok(vec![SocketAddr::new(ip, port)]));
        }
        let (host, sender, wake) = (host.clone(), self.sender.clone(), (self.wake)());
        let lookup = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Nobody asks any more once the server has stopped.
            if sender.send((whose, found)).is_ok() {
                wake();
            }
        };
        // A line has one look-up under way at most, so there are never more of these threads than peers.
        match std::thread::Builder::new().name("resolver".into()).spawn(lookup) {
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// The next answer that has come.
    pub(crate) fn answer(&self) -> Option<Resolved> {
        self.inbox.try_recv().ok()
    }
}
