//! Replication throttles (KIP-73): how many bytes a second the replicas that a topic names may copy, at the broker that leads
//! them and at the one that follows.
//!
//! As in Apache Kafka, what counts is all that the named replicas copy, and what is held back is only who is not in sync, while
//! the rate of the last `replication.quota.window.num` windows is above the limit. An answer that is on its way when the limit
//! is reached comes whole, so a rate is kept over seconds, not over each of them.

use ordered::{Map, Set};

use protocol::{Instant, Str};

use crate::config::Config;
use crate::image::{Image, Resource, ResourceType};
use crate::node::Node;
use crate::partition::PartitionKey;

/// Who is held back is looked at again after so long at most: the limit may have been raised.
const LOOK_AGAIN_MS: i64 = 1_000;

/// What a broker has sent to and got from throttled replicas.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throttles {
    leader: Throttle,
    follower: Throttle,
}

/// One side's limit, if there is one, and how near it is.
#[derive(Clone, Debug, Default)]
struct Throttle {
    quota: Option<Quota>,
    rate: Rate,
}

/// At which end of the way a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It leads, and others copy from it.
    Leader,
    /// It copies.
    Follower,
}

impl Side {
    fn rate_key(self) -> &'static str {
        match self {
            Side::Leader => "leader.replication.throttled.rate",
            Side::Follower => "follower.replication.throttled.rate",
        }
    }

    fn replicas_key(self) -> &'static str {
        match self {
            Side::Leader => "leader.replication.throttled.replicas",
            Side::Follower => "follower.replication.throttled.replicas",
        }
    }
}

/// A limit, and over what it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    bytes_per_second: u64,
    windows: i64,
    window_ms: i64,
}

/// Bytes by windows of time. A window ends with the first bytes that come after its length.
#[derive(Clone, Debug, Default)]
struct Rate {
    windows: Vec<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    last: Instant,
    bytes: u64,
}

impl Rate {
    fn record(&mut self, now: Instant, bytes: u64, quota: Quota) {
        match self.windows.last_mut() {
            Some(window) if now < window.start.plus_ms(quota.window_ms) => {
                window.last = now;
                window.bytes = window.bytes.saturating_add(bytes);
            }
            _ => {
                self.windows.retain(|it| now < it.last.plus_ms(quota.windows * quota.window_ms));
                self.windows.push(Window { start: now, last: now, bytes });
            }
        }
    }

    /// When the rate will be within the limit again if nothing is added; `None` while it is.
    fn exceeded_until(&self, now: Instant, quota: Quota) -> Option<Instant> {
        let live = || self.windows.iter().filter(|it| now < it.last.plus_ms(quota.windows * quota.window_ms));
        let start = live().map(|it| it.start).min()?;
        let bytes: u64 = live().map(|it| it.bytes).sum();
        let elapsed = (now.0 - start.0).max(quota.window_ms.cast_unsigned() * 1_000);
        // How long so many bytes take at the limit, in microseconds.
        let takes = u128::from(bytes) * 1_000_000;
        if takes <= u128::from(quota.bytes_per_second) * u128::from(elapsed) {
            return None;
        }
        let latest = now.plus_ms(LOOK_AGAIN_MS);
        let takes = takes.checked_div(u128::from(quota.bytes_per_second)).and_then(|it| u64::try_from(it).ok());
        let at = takes.and_then(|it| start.0.checked_add(it)).map_or(latest, |it| Instant(it.saturating_add(1)));
        Some(at.clamp(now.plus_ms(1), latest))
    }
}

/// The replicas of one broker that the settings of topics name, looked up once a topic.
pub(crate) struct Named<'a> {
    config: &'a Config,
    image: &'a Image,
    side: Side,
    by_topic: Map<Str, Which>,
}

/// Which partitions of a topic.
enum Which {
    All,
    These(Set<i32>),
}

impl Named<'_> {
    pub(crate) fn contains(&mut self, topic: &Str, partition: i32) -> bool {
        if !self.by_topic.contains_key(topic) {
            let resource = Resource { kind: ResourceType::Topic, name: topic.clone() };
            let text = self.image.setting(&resource, self.side.replicas_key()).cloned().unwrap_or_default();
            self.by_topic.insert(topic.clone(), which(&text, self.config.node_id.0));
        }
        match self.by_topic.get(topic) {
            Some(Which::All) => true,
            Some(Which::These(these)) => these.contains(&partition),
            None => false,
        }
    }
}

/// `*`, or pairs of a partition and a broker.
fn which(text: &str, broker: i32) -> Which {
    if text.trim() == "*" {
        return Which::All;
    }
    let mut these = Set::new();
    for pair in text.split(',') {
        if let Some((partition, of)) = pair.trim().split_once(':')
            && of.parse() == Ok(broker)
            && let Ok(partition) = partition.parse()
        {
            these.insert(partition);
        }
    }
    Which::These(these)
}

impl Throttles {
    fn of(&self, side: Side) -> &Throttle {
        match side {
            Side::Leader => &self.leader,
            Side::Follower => &self.follower,
        }
    }

    /// Settings have changed. Limits are asked for with each fetch, and so not looked up then.
    pub(crate) fn renew(&mut self, config: &Config, image: &Image) {
        self.leader.quota = quota(config, image, Side::Leader);
        self.follower.quota = quota(config, image, Side::Follower);
    }

    /// Which replicas are held back if they are not in sync, and until when; `None` while nobody is.
    pub(crate) fn held_back<'a>(
        &self,
        config: &'a Config,
        image: &'a Image,
        side: Side,
        now: Instant,
    ) -> Option<(Named<'a>, Instant)> {
        let Throttle { quota, rate } = self.of(side);
        let until = rate.exceeded_until(now, (*quota)?)?;
        Some((Named { config, image, side, by_topic: Map::new() }, until))
    }
}

/// The limit, if one is set. As in Kafka, that is not read from a node's file.
fn quota(config: &Config, image: &Image, side: Side) -> Option<Quota> {
    let set = |resource: &Resource| image.setting(resource, side.rate_key());
    let limit = set(&Resource::broker(config.node_id)).or_else(|| set(&Resource::all_brokers()))?;
    let limit = limit.trim().parse().ok().filter(|limit| *limit < i64::MAX.cast_unsigned())?;
    let number = |key| config.broker_value(image, key)?.trim().parse::<i64>().ok();
    let windows = number("replication.quota.window.num").unwrap_or(11);
    let seconds = number("replication.quota.window.size.seconds").unwrap_or(1);
    let bounded = |number: i64| number.clamp(1, 1 << 20);
    Some(Quota { bytes_per_second: limit, windows: bounded(windows), window_ms: bounded(seconds) * 1_000 })
}

impl Node {
    /// True if a limit is set, so that it has to be known what replicas copy.
    pub(crate) fn is_throttled(&self, side: Side) -> bool {
        self.throttles.of(side).quota.is_some()
    }

    /// Replicas have copied so much.
    pub(crate) fn replicated(&mut self, side: Side, now: Instant, copied: &[(PartitionKey, u64)]) {
        let Some(quota) = self.throttles.of(side).quota else { return };
        let mut named = Named { config: &self.config, image: &self.image, side, by_topic: Map::new() };
        let mut bytes = 0;
        for (key, count) in copied.iter().filter(|it| it.1 > 0) {
            if self.partitions.get(key).is_some_and(|it| named.contains(&it.topic, key.partition)) {
                bytes += count;
            }
        }
        if bytes > 0 {
            let throttle = match side {
                Side::Leader => &mut self.throttles.leader,
                Side::Follower => &mut self.throttles.follower,
            };
            throttle.rate.record(now, bytes, quota);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::Offset;
    use protocol::messages::ConfigRecord;

    use super::*;

    const QUOTA: Quota = Quota { bytes_per_second: 1_000, windows: 11, window_ms: 1_000 };

    fn at(ms: i64) -> Instant {
        Instant(5_000_000).plus_ms(ms)
    }

    #[test]
    fn limits_are_those_of_the_settings_when_they_last_changed() {
        let settings = Map::from_iter([("node.id".to_owned(), "2".to_owned())]);
        let (config, _) = Config::parse(&settings).expect("a test's settings parse");
        let (mut image, mut throttles, mut offset) = (Image::default(), Throttles::default(), Offset(0));
        let mut limits = |name: &'static str, key: &'static str, value: Option<&'static str>| {
            let record = ConfigRecord {
                resource_type: ResourceType::Broker.id(),
                resource_name: Str::from_static(name),
                name: Str::from_static(key),
                value: value.map(Str::from_static),
            };
            image.apply(offset, &record.into()).expect("it applies to any");
            offset = offset.plus(1);
            throttles.renew(&config, &image);
            let of = |side| throttles.of(side).quota.map(|it| it.bytes_per_second);
            (of(Side::Leader), of(Side::Follower))
        };
        let (leader, follower) = (Side::Leader.rate_key(), Side::Follower.rate_key());
        assert_eq!(limits("", leader, Some("7")), (Some(7), None), "of all brokers");
        assert_eq!(limits("1", leader, Some("9")), (Some(7), None), "another's");
        assert_eq!(limits("2", leader, Some("8")), (Some(8), None), "its own comes first");
        assert_eq!(limits("2", follower, Some("5")), (Some(8), Some(5)));
        assert_eq!(limits("2", leader, None), (Some(7), Some(5)));
        assert_eq!(limits("", leader, Some("9223372036854775807")), (None, Some(5)), "as good as none");
        assert_eq!(limits("2", follower, None), (None, None));
    }

    #[test]
    fn a_rate_is_that_of_all_windows_and_of_one_at_least() {
        let mut rate = Rate::default();
        assert_eq!(rate.exceeded_until(at(0), QUOTA), None);
        rate.record(at(0), 1_000, QUOTA);
        assert_eq!(rate.exceeded_until(at(10), QUOTA), None, "a window is never shorter than it is");
        rate.record(at(20), 1_000, QUOTA);
        let until = rate.exceeded_until(at(20), QUOTA).expect("2,000 bytes in one second");
        assert_eq!(until, at(1_020), "it is looked at again in between");
        assert!(rate.exceeded_until(at(1_999), QUOTA).is_some());
        assert_eq!(rate.exceeded_until(at(2_000), QUOTA), None);
        rate.record(at(2_500), 1_500, QUOTA);
        assert_eq!(rate.exceeded_until(at(2_500), QUOTA), Some(Instant(at(3_500).0)));
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut rate = Rate::default();
        rate.record(at(0), 100_000, QUOTA);
        assert!(rate.exceeded_until(at(10_999), QUOTA).is_some());
        assert_eq!(rate.exceeded_until(at(11_000), QUOTA), None);
        rate.record(at(11_000), 10, QUOTA);
        assert_eq!(rate.windows.len(), 1);
        let none = Quota { bytes_per_second: 0, ..QUOTA };
        assert_eq!(rate.exceeded_until(at(11_000), none), Some(at(12_000)), "nothing at all may be copied");
    }

    #[test]
    fn replicas_are_named_by_partition_and_broker() {
        let of = |text: &str| match which(text, 2) {
            Which::All => None,
            Which::These(these) => Some(these.into_iter().collect::<Vec<_>>()),
        };
        assert_eq!(of("*"), None);
        assert_eq!(of(""), Some(vec![]));
        assert_eq!(of("0:1,0:2, 3:2,4:22"), Some(vec![0, 3]));
    }
}
