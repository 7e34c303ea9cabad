//! How many connections there may be, in all and from one address, as Kafka's socket server counts them.
//!
//! The listeners of clients and brokers share `max.connections`; those of controllers, which in Kafka belong to a server of
//! their own, share another one. Brokers reach each other beyond the limit where they have a listener to themselves: the
//! connection of another listener that was idle for longest makes room then.

use std::collections::HashMap;
use std::net::IpAddr;

use node::ConnId;

/// A listener, as far as connections to it are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    /// True if only controllers' requests arrive there.
    pub(crate) is_controllers: bool,
    /// True if the other brokers have it to themselves.
    pub(crate) is_protected: bool,
}

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionQuotas {
    open: HashMap<ConnId, (Door, IpAddr)>,
    /// Of clients and brokers, and of controllers.
    counts: [usize; 2],
    by_address: HashMap<(bool, IpAddr), usize>,
}

impl ConnectionQuotas {
    /// False if one more has to wait until another one ends.
    pub(crate) fn has_room(&self, door: Door, most: usize) -> bool {
        door.is_protected || self.counts[usize::from(door.is_controllers)] < most
    }

    /// False if an address has as many as it may.
    pub(crate) fn is_welcome(&self, door: Door, address: IpAddr, most: usize) -> bool {
        self.by_address.get(&(door.is_controllers, address)).copied().unwrap_or_default() < most
    }

    /// Counts one in.
    pub(crate) fn opened(&mut self, conn: ConnId, door: Door, address: IpAddr) {
        self.open.insert(conn, (door, address));
        self.counts[usize::from(door.is_controllers)] += 1;
        *self.by_address.entry((door.is_controllers, address)).or_default() += 1;
    }

    /// Counts one out.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        let Some((door, address)) = self.open.remove(&conn) else { return };
        self.counts[usize::from(door.is_controllers)] -= 1;
        let key = (door.is_controllers, address);
        if let Some(count) = self.by_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&key);
            }
        }
    }

    /// How many there are more than there may be.
    pub(crate) fn excess(&self, is_controllers: bool, most: usize) -> usize {
        self.counts[usize::from(is_controllers)].saturating_sub(most)
    }

    /// True for a connection that can make room for others of its kind.
    pub(crate) fn can_make_room(&self, conn: ConnId, is_controllers: bool) -> bool {
        self.open.get(&conn).is_some_and(|(door, _)| door.is_controllers == is_controllers && !door.is_protected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: Door = Door { is_controllers: false, is_protected: false };
    const BROKERS: Door = Door { is_controllers: false, is_protected: true };
    const CONTROLLERS: Door = Door { is_controllers: true, is_protected: false };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn what_is_counted_in_is_counted_out() {
        let mut quotas = ConnectionQuotas::default();
        for (conn, door, address) in
            [(1, CLIENTS, ip(1)), (2, CLIENTS, ip(1)), (3, BROKERS, ip(2)), (4, CONTROLLERS, ip(1))]
        {
            quotas.opened(ConnId(conn), door, address);
        }
        assert!(quotas.has_room(CLIENTS, 4) && !quotas.has_room(CLIENTS, 3));
        assert!(quotas.has_room(BROKERS, 3) && quotas.has_room(CONTROLLERS, 3));
        assert_eq!((quotas.excess(false, 2), quotas.excess(true, 2)), (1, 0));
        let movable: Vec<u64> = (1..5).filter(|it| quotas.can_make_room(ConnId(*it), false)).collect();
        assert_eq!(movable, [1, 2]);
        assert!(!quotas.is_welcome(CLIENTS, ip(1), 2) && quotas.is_welcome(CLIENTS, ip(2), 2));
        assert!(quotas.is_welcome(CONTROLLERS, ip(1), 2), "they are counted apart");
        for conn in [1, 1, 2, 3, 4] {
            quotas.closed(ConnId(conn));
        }
        assert!(quotas.is_welcome(CLIENTS, ip(1), 1) && quotas.has_room(CLIENTS, 1));
        assert!(quotas.open.is_empty() && quotas.by_address.is_empty() && quotas.counts == [0, 0]);
    }
}
