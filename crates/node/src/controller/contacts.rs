//! When the active controller last heard of each broker. Soft state: in no log, armed when leadership begins, gone with it.
//!
//! A broker is fenced `broker.session.timeout.ms` after its last heartbeat, as in Kafka. There is evidence that comes
//! sooner: a process that ends closes its connections, and then nobody listens on its port. So when the connection of a
//! broker's heartbeats closes, its port is knocked at, at once or after `vivarium.broker.session.reset.grace.ms` if it does not
//! come back on another connection before that; it is fenced at once if that is refused. The usual grace is none: the two
//! together are proof that the process is gone, and a client that lost its leader asks for the next one some 20 ms later. Who
//! was not heard of since the term began is knocked at as soon, for it may have ended together with the last controller, but
//! no connection is known to have broken: one refusal is no proof, two in a row are. A broker that is paused, slow or cut off
//! refuses nothing and is treated exactly as Kafka would. A door that never let this controller in proves nothing either: a
//! firewall may refuse in the broker's name. So each broker's is knocked at once while it is known to live.

use ordered::Map;

use protocol::{Instant, NodeId, Offset};

use crate::image::Image;
use crate::input::ConnId;

/// A broker whose port answers, though its connection broke, is knocked at again after so long.
pub const KNOCK_INTERVAL_MS: i64 = 100;
/// The first pause after a knock that was broken off. Each further one doubles it.
const BROKEN_OFF_MS: i64 = 3;

/// The connection of a broker's heartbeats, as far as this term has seen one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It was not heard of in this term: that says nothing.
    Unheard,
    /// Its last registration or heartbeat came on this one.
    Open(ConnId),
    /// That was seen to close.
    Broken,
}

/// What the controller knows of one broker's process.
#[derive(Clone, Debug)]
struct Contact {
    epoch: i64,
    last: Instant,
    /// The last metadata record that it has applied; -1 until it says.
    metadata_offset: i64,
    /// In a controlled shutdown: once all others have applied this, it may go.
    shutdown_offset: Option<Offset>,
    line: Line,
    /// The last knock was refused.
    refused: bool,
    /// How often in a row a knock was let in and broken off.
    broken_off: u32,
    /// When its port is knocked at, unless it is heard of before.
    knock_at: Option<Instant>,
    /// Its port was knocked at while it served.
    greeted: bool,
}

/// All brokers of which the active controller has heard.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    by_broker: Map<NodeId, Contact>,
}

/// What is due about a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its session is over.
    Expired(NodeId),
    /// It is to be asked whether it lives.
    Knock(NodeId),
}

impl Contacts {
    /// Leadership begins: whoever lives has a whole session's time to say so, and who does not come soon is knocked at.
    pub fn arm(&mut self, image: &Image, now: Instant, grace_ms: i64) {
        self.by_broker.clear();
        for broker in image.brokers().filter(|it| !it.fenced) {
            let contact = Contact {
                epoch: broker.epoch,
                last: now,
                metadata_offset: -1,
                shutdown_offset: None,
                line: Line::Unheard,
                refused: false,
                broken_off: 0,
                knock_at: Some(now.plus_ms(grace_ms)),
                greeted: false,
            };
            self.by_broker.insert(broker.id, contact);
        }
    }

    /// Leadership is over.
    pub fn clear(&mut self) {
        self.by_broker.clear();
    }

    /// A registration or heartbeat came, of a broker that serves or does not yet.
    pub fn heard(
        &mut self,
        id: NodeId,
        epoch: i64,
        metadata_offset: Option<i64>,
        serves: bool,
        conn: ConnId,
        now: Instant,
    ) {
        let before = self.by_broker.get(&id).filter(|it| it.epoch == epoch);
        let was_greeted = before.is_some_and(|it| it.greeted);
        let contact = Contact {
            epoch,
            last: now,
            metadata_offset: metadata_offset.or(before.map(|it| it.metadata_offset)).unwrap_or(-1),
            shutdown_offset: before.and_then(|it| it.shutdown_offset),
            line: Line::Open(conn),
            refused: false,
            broken_off: 0,
            knock_at: (serves && !was_greeted).then_some(now),
            greeted: serves || was_greeted,
        };
        self.by_broker.insert(id, contact);
    }

    /// A broker began its controlled shutdown with the record before `end`, or left it by being fenced.
    pub fn leaving(&mut self, id: NodeId, end: Option<Offset>) {
        if let Some(contact) = self.by_broker.get_mut(&id) {
            contact.shutdown_offset = end.map(|end| contact.shutdown_offset.unwrap_or(end));
        }
    }

    /// The record that all others must have applied before the broker may go; `None` while it is not leaving.
    pub fn shutdown_offset(&self, id: NodeId) -> Option<Offset> {
        self.by_broker.get(&id)?.shutdown_offset
    }

    /// What every live broker but the leaving ones has applied; `None` if there are no others.
    pub fn lowest_active_offset(&self, image: &Image, but: NodeId) -> Option<i64> {
        let others = image.brokers().filter(|it| it.id != but && !it.fenced && self.shutdown_offset(it.id).is_none());
        others.map(|it| self.by_broker.get(&it.id).map_or(-1, |contact| contact.metadata_offset)).min()
    }

    /// True while the broker of this epoch has a session that is not over.
    pub fn is_live(&self, id: NodeId, epoch: i64, now: Instant, timeout_ms: i64) -> bool {
        self.by_broker.get(&id).is_some_and(|it| it.epoch == epoch && now <= it.last.plus_ms(timeout_ms))
    }

    /// True if the connection on which the broker was heard of was seen to close, in this term, and there was no other since.
    pub fn is_broken(&self, id: NodeId) -> bool {
        self.by_broker.get(&id).is_some_and(|it| it.line == Line::Broken)
    }

    /// True if the broker is watched and no connection of it is open, so that a knock's answer means something.
    pub fn is_in_doubt(&self, id: NodeId) -> bool {
        self.by_broker.get(&id).is_some_and(|it| !matches!(it.line, Line::Open(_)))
    }

    /// A knock was refused; true if that proves that the broker is gone.
    pub fn refused(&mut self, id: NodeId) -> bool {
        let Some(contact) = self.by_broker.get_mut(&id) else { return false };
        let was_refused = std::mem::replace(&mut contact.refused, true);
        contact.line == Line::Broken || (contact.line == Line::Unheard && was_refused)
    }

    /// A knock was answered in a way that says nothing, so refusals are counted anew; answers after how many ms to knock
    /// again. A process that ends closes what it has open one by one: one that lets us in and breaks off at once may be about
    /// to close its port.
    pub fn unrefused(&mut self, id: NodeId, is_broken_off: bool) -> i64 {
        let Some(contact) = self.by_broker.get_mut(&id) else { return KNOCK_INTERVAL_MS };
        contact.refused = false;
        contact.broken_off = if is_broken_off { contact.broken_off + 1 } else { 0 };
        match contact.broken_off {
            0 => KNOCK_INTERVAL_MS,
            times => KNOCK_INTERVAL_MS.min(BROKEN_OFF_MS << (times - 1).min(16)),
        }
    }

    /// A connection is gone.
    pub fn closed(&mut self, conn: ConnId, now: Instant, grace_ms: i64) {
        for contact in self.by_broker.values_mut().filter(|it| it.line == Line::Open(conn)) {
            contact.line = Line::Broken;
            contact.knock_at = Some(now.plus_ms(grace_ms));
        }
    }

    /// A knock is sent.
    pub fn knocking(&mut self, id: NodeId) {
        if let Some(contact) = self.by_broker.get_mut(&id) {
            contact.knock_at = None;
        }
    }

    /// A knock was answered in a way that says nothing: the next comes later.
    pub fn knock_again(&mut self, id: NodeId, at: Instant) {
        if let Some(contact) = self.by_broker.get_mut(&id).filter(|it| !matches!(it.line, Line::Open(_))) {
            contact.knock_at = Some(at);
        }
    }

    /// A broker is fenced or gone: there is nothing to watch until it is heard of again.
    pub fn forget(&mut self, id: NodeId) {
        self.by_broker.remove(&id);
    }

    /// What is due at this moment, one broker at a time, so that each decision sees the one before.
    pub fn due(&self, now: Instant, timeout_ms: i64) -> Option<Due> {
        for (id, contact) in self.by_broker.iter() {
            if contact.last.plus_ms(timeout_ms) < now {
                return Some(Due::Expired(*id));
            }
            if contact.knock_at.is_some_and(|at| at <= now) {
                return Some(Due::Knock(*id));
            }
        }
        None
    }

    /// When anything will be due.
    pub fn next(&self, timeout_ms: i64) -> Option<Instant> {
        let ends = self.by_broker.values().map(|it| {
            // One microsecond past the last at which the session is valid.
            let end = Instant(it.last.plus_ms(timeout_ms).0 + 1);
            it.knock_at.map_or(end, |at| at.min(end))
        });
        ends.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKER: NodeId = NodeId(2);
    const SESSION_MS: i64 = 9_000;

    fn heard() -> Contacts {
        let mut contacts = Contacts::default();
        contacts.heard(BROKER, 7, None, false, ConnId(1), Instant(0));
        contacts
    }

    #[test]
    fn a_broken_connection_is_knocked_at_at_once_or_after_the_grace() {
        for grace_ms in [0, 20] {
            let mut contacts = heard();
            let now = Instant(0).plus_ms(100);
            assert_eq!(contacts.due(now, SESSION_MS), None);
            contacts.closed(ConnId(1), now, grace_ms);
            assert_eq!(contacts.next(SESSION_MS), Some(now.plus_ms(grace_ms)));
            assert_eq!(contacts.due(now.plus_ms(grace_ms), SESSION_MS), Some(Due::Knock(BROKER)));
            assert!(contacts.refused(BROKER), "both together are proof");
        }
    }

    #[test]
    fn a_door_is_tried_once_while_its_broker_is_known_to_serve() {
        let mut contacts = heard();
        let now = Instant(0).plus_ms(10);
        assert_eq!(contacts.due(now, SESSION_MS), None, "nobody is let in yet");
        contacts.heard(BROKER, 7, None, true, ConnId(1), now);
        assert_eq!(contacts.due(now, SESSION_MS), Some(Due::Knock(BROKER)));
        contacts.knocking(BROKER);
        assert!(!contacts.is_in_doubt(BROKER), "whatever comes of it");
        contacts.heard(BROKER, 7, None, true, ConnId(1), now);
        assert_eq!(contacts.due(now, SESSION_MS), None);
    }

    #[test]
    fn a_port_that_lets_in_and_breaks_off_is_knocked_at_again_soon_and_then_later() {
        let mut contacts = heard();
        contacts.closed(ConnId(1), Instant(0), 0);
        let pauses: Vec<i64> = (0..8).map(|_| contacts.unrefused(BROKER, true)).collect();
        assert_eq!(pauses, [3, 6, 12, 24, 48, 96, 100, 100]);
        assert_eq!(contacts.unrefused(BROKER, false), KNOCK_INTERVAL_MS, "it lives, or stands still");
        assert_eq!(contacts.unrefused(BROKER, true), 3);
    }
}
