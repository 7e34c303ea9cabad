//! Metadata answers that wait for news.
//!
//! Who lost its leader asks for the next one at once: mostly before another one can be elected, often before this broker has seen
//! anything itself. Told of the old leader again, or of none, librdkafka looks anew after a second (`rd_kafka_topic_scan_all`).
//! So an answer that would name a leader whose connection has just broken waits until that is settled, and one that says of
//! leaders what its connection was told before waits for a moment too: who asks again may know more than we do. An answer
//! is never other than the metadata is; it is only later, and by how much is bounded.

use ordered::Map;

use protocol::messages::{MetadataRequest, MetadataResponse};
use protocol::{Instant, NodeId, Now, Offset, ResponseBody};

use super::{Context, Step, metadata};
use crate::deferred::Waiter;
use crate::fetcher::IN_DOUBT_MS;
use crate::input::ConnId;
use crate::lifecycle::Phase;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::timers::WakeReason;

/// How long an answer waits that says what was said before. A process that is killed closes its connections within less, and
/// another leader is known after some 10 ms more.
const SAME_MS: i64 = 10;
/// A broker that was fenced is named among the brokers for so long after that. librdkafka (2.16) forgets the leader of a
/// partition for a second if the old one's broker vanishes from the very answer that names the new one.
const LINGER_MS: i64 = 3_000;

/// What is on its way to clients about who leads, and what they were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// A digest of the leaders that each connection was told of last.
    told: Map<ConnId, u64>,
    waiting: Vec<Waiting>,
    /// The metadata that those who wait have seen.
    seen: Offset,
    /// Who was fenced, and when.
    fenced: Map<NodeId, Instant>,
}

/// A request whose answer may change soon.
#[derive(Clone, Debug)]
struct Waiting {
    waiter: Waiter,
    request: MetadataRequest,
    since: Instant,
}

impl News {
    /// A connection is gone.
    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.told.remove(&conn);
        self.waiting.retain(|it| it.waiter.conn != conn);
    }

    /// A broker was fenced.
    pub(crate) fn fenced(&mut self, now: Instant, broker: NodeId) {
        self.fenced.retain(|_, at| now < at.plus_ms(LINGER_MS));
        self.fenced.insert(broker, now);
    }
}

impl Node {
    /// Answers from committed metadata: now, or as soon as that is worth it.
    pub(crate) fn handle_metadata(&mut self, now: Now, waiter: Waiter, request: MetadataRequest, out: &mut Outbox) {
        self.tell(now, Waiting { waiter, request, since: now.mono }, out);
    }

    fn tell(&mut self, now: Now, asked: Waiting, out: &mut Outbox) {
        let waiter = asked.waiter;
        let Some(peer) = self.connections.get(&waiter.conn).cloned() else { return };
        let mut context = Context {
            now,
            config: &self.config,
            image: &self.image,
            controller: &self.controller,
            random: &mut self.random,
            quorum: &self.quorum,
            peer: &peer,
            version: waiter.version,
        };
        // Nobody waits where nobody else could lead.
        let is_alone = self.image.brokers().nth(1).is_none();
        if is_alone {
            let step = metadata::handle(&mut context, asked.request);
            return self.take_step(now, waiter, step, out);
        }
        let mut step = metadata::handle(&mut context, asked.request.clone());
        // What has topics created does so now.
        let Step::Answer(ResponseBody::Metadata(answer)) = &mut step else {
            return self.take_step(now, waiter, step, out);
        };
        for (id, at) in &self.news.fenced {
            if now.mono < at.plus_ms(LINGER_MS) {
                metadata::name(&self.image, *id, &peer.listener, &mut answer.brokers);
            }
        }
        let others = leaders_of(answer).filter(|leader| *leader != self.config.node_id);
        let is_led_by_others = others.clone().next().is_some();
        let doubt = others.filter_map(|leader| self.fetchers.in_doubt_until(leader)).max();
        let digest = digest_of(answer);
        let is_same = is_led_by_others && self.news.told.get(&waiter.conn) == Some(&digest);
        let until = match doubt.filter(|until| now.mono < *until) {
            Some(until) => until.min(asked.since.plus_ms(IN_DOUBT_MS)),
            None if is_same => asked.since.plus_ms(SAME_MS),
            None => now.mono,
        };
        if now.mono < until {
            self.news.seen = self.image.next_offset();
            let next = self.timers.deadline(WakeReason::News).map_or(until, |at| at.min(until));
            self.timers.arm(WakeReason::News, next);
            return self.news.waiting.push(asked);
        }
        self.news.told.insert(waiter.conn, digest);
        self.take_step(now, waiter, step, out);
    }

    /// A broker is fenced. What this one hears while it catches up happened long ago.
    pub(crate) fn broker_fenced(&mut self, now: Now, broker: NodeId) {
        if self.life.phase() == Phase::Serving {
            self.news.fenced(now.mono, broker);
        }
    }

    /// The metadata has moved on: who waits for that is looked at again.
    pub(crate) fn tell_news(&mut self, now: Now, out: &mut Outbox) {
        if !self.news.waiting.is_empty() && self.news.seen != self.image.next_offset() {
            self.tell_all(now, out);
        }
    }

    /// Those who wait are looked at again, in the order in which they came.
    pub(crate) fn tell_all(&mut self, now: Now, out: &mut Outbox) {
        self.timers.disarm(WakeReason::News);
        for asked in std::mem::take(&mut self.news.waiting) {
            self.tell(now, asked, out);
        }
    }
}

fn leaders_of(answer: &MetadataResponse) -> impl Iterator<Item = NodeId> + Clone + '_ {
    let leaders = answer.topics.iter().flat_map(|it| &it.partitions).map(|it| it.leader_id);
    leaders.filter(|leader| *leader >= 0).map(NodeId)
}

/// What an answer says of topics and their leaders, as a number (FNV-1a).
fn digest_of(answer: &MetadataResponse) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for topic in &answer.topics {
        take(&topic.topic_id.0);
        take(topic.name.as_deref().unwrap_or_default().as_bytes());
        for partition in &topic.partitions {
            take(&partition.partition_index.to_be_bytes());
            take(&partition.leader_id.to_be_bytes());
            take(&partition.leader_epoch.to_be_bytes());
        }
    }
    digest
}
