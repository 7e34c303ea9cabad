//! How many connections some addresses may have: `max.connections.per.ip.overrides`, whose names are looked up beside the core.

use std::collections::HashMap;
use std::net::IpAddr;

use protocol::Str;

use crate::dial::Resolver;

/// The hosts that are named, and their addresses as far as they are known.
pub(crate) struct AddressLimits {
    resolver: Resolver,
    hosts: Vec<(Str, usize)>,
    by_address: HashMap<IpAddr, usize>,
    /// Look-ups are numbered on, so that what was asked of earlier hosts is not taken for these.
    first: usize,
}

impl AddressLimits {
    pub(crate) fn new(resolver: Resolver) -> AddressLimits {
        AddressLimits { resolver, hosts: Vec::new(), by_address: HashMap::new(), first: 0 }
    }

    /// What is set now. Names count once they are looked up.
    pub(crate) fn set(&mut self, hosts: Vec<(Str, usize)>) {
        if self.hosts == hosts {
            return;
        }
        self.first += self.hosts.len();
        self.by_address.clear();
        self.hosts = hosts;
        for index in 0..self.hosts.len() {
            let whose = self.first + index;
            if let Some(found) = self.resolver.resolve(whose, &self.hosts[index].0, 0) {
                self.found(whose, found);
            }
        }
    }

    /// Takes what was looked up.
    pub(crate) fn turn(&mut self) {
        while let Some((whose, found)) = self.resolver.answer() {
            self.found(whose, found);
        }
    }

    fn found(&mut self, whose: usize, found: std::io::Result<Vec<std::net::SocketAddr>>) {
        let Some((host, most)) = whose.checked_sub(self.first).and_then(|it| self.hosts.get(it)) else { return };
        match found {
            // A host counts by each of its addresses.
            Ok(addresses) => self.by_address.extend(addresses.iter().map(|it| (it.ip().to_canonical(), *most))),
            Err(error) => tracing::warn!("max.connections.per.ip.overrides: {host} is not found ({error}); left out"),
        }
    }

    /// How many connections an address may have, if that is said of it.
    pub(crate) fn of(&self, address: IpAddr) -> Option<usize> {
        self.by_address.get(&address.to_canonical()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn addresses_count_at_once_and_names_once_they_are_looked_up() {
        let (woken, wakes) = channel();
        let wake = move || woken.send(()).unwrap();
        let mut limits = AddressLimits::new(Resolver::new(wake));
        let own = IpAddr::from([127, 0, 0, 1]);
        let host = |name: &str, most: usize| (Str::from(name), most);
        limits.set(vec![host("::ffff:127.0.0.1", 7), host("10.0.0.1", 8)]);
        assert_eq!((limits.of(own), limits.of([10, 0, 0, 1].into())), (Some(7), Some(8)));
        limits.set(vec![host("localhost", 3)]);
        assert_eq!((limits.of(own), limits.of([10, 0, 0, 1].into())), (None, None));
        wakes.recv().unwrap();
        limits.turn();
        assert_eq!(limits.of(own), Some(3));
    }
}
