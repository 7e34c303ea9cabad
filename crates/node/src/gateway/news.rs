//! Metadata answers that wait for news.
//!
//! Who lost its leader asks for the next one at once: mostly before another one can be elected, often before this broker has seen
//! anything itself. Told of the old leader again, or of none, librdkafka looks anew after a second (`rd_kafka_topic_scan_all`).
//! So an answer that would name a leader whose connection has just broken waits until that is settled, and one that says of
//! leaders what its connection was told before waits for a moment too: who asks again may know more than we do. Of topics an
//! answer never says anything but what the metadata is when it leaves; it is only later, and by how much is bounded. Among the
//! brokers it names those, too, that were fenced a moment ago ([`LINGER_MS`]).
//!
//! Answers leave in the order of their requests, so one that waits would hold up all that its connection asks for next. It
//! waits only where nothing else is asked for: not behind another request, and no longer than until one comes behind it.

use ordered::Map;

use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{MetadataRequest, MetadataResponse};
use protocol::{Instant, NodeId, Now, Offset, ResponseBody, Str};

use super::{Step, metadata};
use crate::deferred::Waiter;
use crate::fetcher::IN_DOUBT_MS;
use crate::image::TopicImage;
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
/// A request that names more topics, or one by a name longer than any is, is not kept to wait.
const MOST_TOPICS: usize = 1_000;
const LONGEST_NAME: usize = 249;

/// What is on its way to clients about who leads, and what they were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// A digest of the leaders that each connection was told of last.
    told: Map<ConnId, u64>,
    /// At most one of each connection.
    waiting: Map<ConnId, Waiting>,
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
        self.waiting.remove(&conn);
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
        // Nobody waits where nobody else could lead.
        let may_wait = self.limits.in_flight(waiter.conn) <= 1 && self.image.brokers().nth(1).is_some();
        match kept(&request).filter(|_| may_wait) {
            Some(request) => self.tell(now, Waiting { waiter, request, since: now.mono }, out),
            None => self.tell_at_once(now, waiter, request, out),
        }
    }

    /// Another request comes in on a connection: what waits there goes out before it.
    pub(crate) fn tell_before(&mut self, now: Now, conn: ConnId, out: &mut Outbox) {
        if let Some(asked) = self.news.waiting.remove(&conn) {
            self.tell_at_once(now, asked.waiter, asked.request, out);
        }
    }

    fn tell_at_once(&mut self, now: Now, waiter: Waiter, request: MetadataRequest, out: &mut Outbox) {
        let Some(step) = self.told(now, waiter, request) else { return };
        if let Step::Answer(ResponseBody::Metadata(answer)) = &step {
            self.news.told.insert(waiter.conn, digest_of(answer));
        }
        self.take_step(now, waiter, step, out);
    }

    fn tell(&mut self, now: Now, asked: Waiting, out: &mut Outbox) {
        let waiter = asked.waiter;
        let doubt = self.doubt(now.mono, &asked).map(|until| until.min(asked.since.plus_ms(IN_DOUBT_MS)));
        if let Some(until) = doubt.filter(|until| now.mono < *until) {
            return self.wait(asked, until);
        }
        let Some(step) = self.told(now, waiter, asked.request.clone()) else { return };
        // What has topics created does so now.
        let Step::Answer(ResponseBody::Metadata(answer)) = &step else {
            return self.take_step(now, waiter, step, out);
        };
        let is_led_by_others = leaders_of(answer).any(|leader| leader != self.config.node_id);
        let digest = digest_of(answer);
        let is_same = is_led_by_others && self.news.told.get(&waiter.conn) == Some(&digest);
        let until = asked.since.plus_ms(SAME_MS);
        if is_same && now.mono < until {
            return self.wait(asked, until);
        }
        self.news.told.insert(waiter.conn, digest);
        self.take_step(now, waiter, step, out);
    }

    fn wait(&mut self, asked: Waiting, until: Instant) {
        self.news.seen = self.image.next_offset();
        let next = self.timers.deadline(WakeReason::News).map_or(until, |at| at.min(until));
        self.timers.arm(WakeReason::News, next);
        self.news.waiting.insert(asked.waiter.conn, asked);
    }

    /// What there is to say; `None` if who asked is gone.
    fn told(&mut self, now: Now, waiter: Waiter, request: MetadataRequest) -> Option<Step> {
        let peer = self.connections.get(&waiter.conn).cloned()?;
        let mut context = self.context(now, &peer, waiter.version);
        let mut step = metadata::handle(&mut context, request);
        if let Step::Answer(ResponseBody::Metadata(answer)) = &mut step {
            for (id, at) in &self.news.fenced {
                if now.mono < at.plus_ms(LINGER_MS) {
                    metadata::name(&self.image, *id, &peer.listener, &mut answer.brokers);
                }
            }
        }
        Some(step)
    }

    /// Until when a leader that the answer would name may well be gone. It is told without the answer, which can be large. A
    /// topic that is missing may have to be created, and nothing is in doubt about that.
    fn doubt(&self, now: Instant, asked: &Waiting) -> Option<Instant> {
        if !self.fetchers.is_any_in_doubt(now) {
            return None;
        }
        let listener = &self.connections.get(&asked.waiter.conn)?.listener;
        let is_named = |id: &NodeId| self.image.broker(*id).and_then(|it| metadata::reachable(it, listener)).is_some();
        let of = |topic: &TopicImage| {
            let leaders = topic.partitions.values().filter_map(|it| it.leader).filter(is_named);
            leaders.filter_map(|leader| self.fetchers.in_doubt_until(leader)).max()
        };
        match &asked.request.topics {
            Some(topics) if asked.waiter.version > 0 || !topics.is_empty() => {
                let mut latest = None;
                for topic in topics {
                    let known = match &topic.name {
                        Some(name) if topic.topic_id.is_zero() => self.image.topic(name),
                        _ => self.image.topic_by_id(topic.topic_id),
                    };
                    latest = latest.max(of(known?));
                }
                latest
            }
            _ => self.image.topics().filter_map(of).max(),
        }
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

    /// Those who wait are looked at again.
    pub(crate) fn tell_all(&mut self, now: Now, out: &mut Outbox) {
        self.timers.disarm(WakeReason::News);
        for asked in std::mem::take(&mut self.news.waiting).into_values() {
            self.tell(now, asked, out);
        }
    }
}

/// The request in memory of its own, if it is small enough to wait: its names share the bytes of all that came with them.
fn kept(request: &MetadataRequest) -> Option<MetadataRequest> {
    let topics = match &request.topics {
        None => None,
        Some(topics) if topics.len() > MOST_TOPICS => return None,
        Some(topics) => {
            let mut own = Vec::with_capacity(topics.len());
            for topic in topics {
                let name = match &topic.name {
                    Some(name) if name.len() > LONGEST_NAME => return None,
                    Some(name) => Some(Str::from(name.as_str())),
                    None => None,
                };
                own.push(MetadataRequestTopic { topic_id: topic.topic_id, name });
            }
            Some(own)
        }
    };
    Some(MetadataRequest { topics, ..*request })
}

fn leaders_of(answer: &MetadataResponse) -> impl Iterator<Item = NodeId> + '_ {
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
