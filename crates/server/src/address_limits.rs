//! How many connections some addresses may have: `max.connections.per.ip.overrides`, whose names are looked up beside the core.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use protocol::Str;

use crate::dial::Resolver;

/// How long after a name was not found it is asked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// A host that is named.
struct Host {
    name: Str,
    most: usize,
    /// As far as they are known.
    addresses: Vec<IpAddr>,
    /// The look-up that is under way, or was the last: an answer to an earlier one is none.
    whose: usize,
    is_asked: bool,
    is_missing: bool,
}

/// The hosts that are named, and their addresses.
pub(crate) struct AddressLimits {
    resolver: Resolver,
    hosts: Vec<Host>,
    by_address: HashMap<IpAddr, usize>,
    /// Look-ups are numbered on.
    next: usize,
    /// When those are asked for again that are missing.
    again: Option<Instant>,
}

impl AddressLimits {
    pub(crate) fn new(resolver: Resolver) -> AddressLimits {
        AddressLimits { resolver, hosts: Vec::new(), by_address: HashMap::new(), next: 0, again: None }
    }

    /// What is set now. Names count once they are looked up; of one that was there before, what was found then counts until
    /// it is.
    pub(crate) fn set(&mut self, now: Instant, hosts: Vec<(Str, usize)>) {
        if self.hosts.iter().map(|it| (&it.name, it.most)).eq(hosts.iter().map(|it| (&it.0, it.1))) {
            return;
        }
        let before: HashMap<Str, Vec<IpAddr>> = self.hosts.drain(..).map(|it| (it.name, it.addresses)).collect();
        let host = |(name, most)| {
            let addresses = before.get(&name).cloned().unwrap_or_default();
            Host { name, most, addresses, whose: 0, is_asked: false, is_missing: false }
        };
        self.hosts = hosts.into_iter().map(host).collect();
        self.again = None;
        for index in 0..self.hosts.len() {
            self.ask(now, index);
        }
        self.count();
    }

    fn ask(&mut self, now: Instant, index: usize) {
        let (whose, host) = (self.next, &mut self.hosts[index]);
        self.next += 1;
        host.whose = whose;
        host.is_asked = true;
        if let Some(found) = self.resolver.resolve(whose, &host.name, 0) {
            self.found(now, whose, found);
        }
    }

    /// Takes what was looked up, and asks again for what was not found.
    pub(crate) fn turn(&mut self, now: Instant) {
        let mut has_found = false;
        while let Some((whose, found)) = self.resolver.answer() {
            self.found(now, whose, found);
            has_found = true;
        }
        if has_found {
            self.count();
        }
        if self.again.take_if(|it| *it <= now).is_some() {
            for index in 0..self.hosts.len() {
                if self.hosts[index].is_missing && !self.hosts[index].is_asked {
                    self.ask(now, index);
                }
            }
        }
    }

    /// When there is something to do without an answer.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.again
    }

    fn found(&mut self, now: Instant, whose: usize, found: std::io::Result<Vec<std::net::SocketAddr>>) {
        let Some(host) = self.hosts.iter_mut().find(|it| it.whose == whose) else { return };
        host.is_asked = false;
        match found {
            // A host counts by each of its addresses.
            Ok(addresses) => {
                host.addresses = addresses.iter().map(|it| it.ip().to_canonical()).collect();
                host.is_missing = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut host.is_missing, true) {
                    let name = &host.name;
                    tracing::warn!("max.connections.per.ip.overrides: {name} is not found ({error}); asked for again");
                }
                self.again.get_or_insert(now + AGAIN);
            }
        }
    }

    fn count(&mut self) {
        let each = self.hosts.iter().flat_map(|host| host.addresses.iter().map(|it| (*it, host.most)));
        self.by_address = each.collect();
    }

    /// How many connections an address may have, if that is said of it.
    pub(crate) fn of(&self, address: IpAddr) -> Option<usize> {
        self.by_address.get(&address.to_canonical()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::net::ToSocketAddrs;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn limits() -> (AddressLimits, Receiver<()>) {
        let (woken, wakes) = channel();
        (AddressLimits::new(Resolver::new(move || woken.send(()).unwrap())), wakes)
    }

    fn host(name: &str, most: usize) -> (Str, usize) {
        (Str::from(name), most)
    }

    /// What `localhost` is on this machine.
    fn own() -> IpAddr {
        ("localhost", 0).to_socket_addrs().unwrap().next().unwrap().ip()
    }

    #[test]
    fn addresses_count_at_once_and_names_once_they_are_looked_up() {
        let ((mut limits, wakes), now) = (limits(), Instant::now());
        let [there, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        limits.set(now, vec![host("::ffff:10.0.0.1", 7), host("10.0.0.2", 8)]);
        assert_eq!((limits.of(there), limits.of(other)), (Some(7), Some(8)));
        limits.set(now, vec![host("localhost", 3)]);
        assert_eq!((limits.of(own()), limits.of(there)), (None, None));
        wakes.recv().unwrap();
        limits.turn(now);
        assert_eq!(limits.of(own()), Some(3));
        // What was known of a name that stays is known until it was looked up again.
        limits.set(now, vec![host("10.0.0.2", 8), host("localhost", 4)]);
        assert_eq!((limits.of(own()), limits.of(other)), (Some(4), Some(8)));
        wakes.recv().unwrap();
        limits.turn(now);
        assert_eq!((limits.of(own()), limits.due()), (Some(4), None));
    }

    #[test]
    fn a_name_that_is_not_found_is_asked_for_again() {
        let ((mut limits, wakes), now) = (limits(), Instant::now());
        limits.set(now, vec![host("10.0.0.2", 8), host("localhost", 3)]);
        wakes.recv().unwrap();
        let (whose, _) = limits.resolver.answer().unwrap();
        limits.found(now, whose, Err(Error::from(ErrorKind::NotFound)));
        assert_eq!((limits.of(own()), limits.due()), (None, Some(now + AGAIN)));
        limits.turn(now + AGAIN);
        assert_eq!(limits.due(), None, "it is under way");
        wakes.recv().unwrap();
        limits.turn(now + AGAIN);
        assert_eq!((limits.of(own()), limits.due()), (Some(3), None));
    }
}
