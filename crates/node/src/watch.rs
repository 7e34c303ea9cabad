//! Fetches that wait for data: O(1) for each append and waiter, and nothing to look at for idle partitions.

use ordered::{Map, Set};

use protocol::Instant;

use crate::deferred::RequestId;
use crate::partition::PartitionKey;

/// For so long after a partition has got this leader its followers may not have named it yet.
const HURRY_MS: i64 = 1_000;
/// And so long a fetch of theirs waits meanwhile: the next one may name it.
const HURRIED_WAIT_MS: i64 = 20;

/// Which fetches watch which partitions, and how many bytes each still misses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    by_partition: Map<(PartitionKey, Reader), Set<RequestId>>,
    waiting: Map<RequestId, Waiting>,
    /// Fetches that have enough, or whose partition changed under them.
    ready: Set<RequestId>,
    /// Those of replicas.
    replicas: Set<RequestId>,
    /// Until then replicas are not kept waiting for long.
    hurried_until: Instant,
}

/// Who waits, and so for which end to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    /// For what is committed.
    Consumer,
    /// For what is written.
    Replica,
}

#[derive(Clone, Debug)]
struct Waiting {
    missing: u64,
    reader: Reader,
    partitions: Vec<PartitionKey>,
}

impl Watch {
    /// A fetch waits for `missing` more bytes in any of the partitions.
    pub(crate) fn add(&mut self, id: RequestId, reader: Reader, missing: u64, partitions: Vec<PartitionKey>) {
        for key in &partitions {
            self.by_partition.entry((*key, reader)).or_default().insert(id);
        }
        if reader == Reader::Replica {
            self.replicas.insert(id);
        }
        self.waiting.insert(id, Waiting { missing, reader, partitions });
    }

    /// This broker has begun to lead a partition. A follower that has a fetch waiting here names it in its next one, so none
    /// waits: acks=all would wait with it.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.hurried_until = now.plus_ms(HURRY_MS);
        self.ready.extend(self.replicas.iter().copied());
    }

    /// How long a replica's fetch waits that wants to wait for `max_ms`.
    pub(crate) fn replica_wait_ms(&self, now: Instant, max_ms: i64) -> i64 {
        if now < self.hurried_until { max_ms.min(HURRIED_WAIT_MS) } else { max_ms }
    }

    /// Consumers of a partition may see `bytes` more.
    pub(crate) fn advanced(&mut self, key: PartitionKey, bytes: u64) {
        self.moved(key, Reader::Consumer, bytes);
    }

    /// Replicas of a partition may see `bytes` more.
    pub(crate) fn written(&mut self, key: PartitionKey, bytes: u64) {
        self.moved(key, Reader::Replica, bytes);
    }

    fn moved(&mut self, key: PartitionKey, reader: Reader, bytes: u64) {
        for id in self.by_partition.get(&(key, reader)).into_iter().flatten() {
            if let Some(waiting) = self.waiting.get_mut(id) {
                waiting.missing = waiting.missing.saturating_sub(bytes);
                if waiting.missing == 0 {
                    self.ready.insert(*id);
                }
            }
        }
    }

    /// Something about a partition changed that every waiting fetch must be told: its leader, its epoch, its end.
    pub(crate) fn changed(&mut self, key: PartitionKey) {
        for reader in [Reader::Consumer, Reader::Replica] {
            self.ready.extend(self.by_partition.get(&(key, reader)).into_iter().flatten().copied());
        }
    }

    /// As [`Watch::changed`], of what only replicas are told.
    pub(crate) fn replicas_changed(&mut self, key: PartitionKey) {
        self.ready.extend(self.by_partition.get(&(key, Reader::Replica)).into_iter().flatten().copied());
    }

    /// Takes a fetch that is ready, and stops watching for it.
    pub(crate) fn pop_ready(&mut self) -> Option<RequestId> {
        let id = self.ready.first().copied()?;
        self.remove(id);
        Some(id)
    }

    /// Stops watching: the fetch is answered or its connection is gone.
    pub(crate) fn remove(&mut self, id: RequestId) {
        self.ready.remove(&id);
        let Some(waiting) = self.waiting.remove(&id) else { return };
        self.replicas.remove(&id);
        for key in waiting.partitions {
            let key = (key, waiting.reader);
            if let Some(watchers) = self.by_partition.get_mut(&key) {
                watchers.remove(&id);
                if watchers.is_empty() {
                    self.by_partition.remove(&key);
                }
            }
        }
    }

    /// How many bytes a waiting fetch misses.
    pub(crate) fn missing(&self, id: RequestId) -> Option<u64> {
        self.waiting.get(&id).map(|waiting| waiting.missing)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Uuid;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::METADATA_TOPIC, partition }
    }

    #[test]
    fn bytes_of_all_its_partitions_make_a_fetch_ready() {
        let mut watch = Watch::default();
        watch.add(RequestId(1), Reader::Consumer, 10, vec![key(0), key(1)]);
        watch.add(RequestId(2), Reader::Consumer, 100, vec![key(1)]);
        watch.advanced(key(0), 4);
        watch.advanced(key(1), 5);
        assert_eq!(watch.pop_ready(), None);
        assert_eq!(watch.missing(RequestId(1)), Some(1));
        watch.advanced(key(1), 1);
        assert_eq!(watch.pop_ready(), Some(RequestId(1)));
        assert_eq!(watch.pop_ready(), None);
        watch.changed(key(1));
        assert_eq!(watch.pop_ready(), Some(RequestId(2)));
        assert!(watch.by_partition.is_empty() && watch.waiting.is_empty());
    }

    #[test]
    fn replicas_wait_for_what_is_written_and_consumers_for_what_is_committed() {
        let mut watch = Watch::default();
        watch.add(RequestId(1), Reader::Replica, 1, vec![key(0)]);
        watch.add(RequestId(2), Reader::Consumer, 1, vec![key(0)]);
        watch.written(key(0), 5);
        assert_eq!((watch.pop_ready(), watch.pop_ready()), (Some(RequestId(1)), None));
        watch.advanced(key(0), 5);
        assert_eq!(watch.pop_ready(), Some(RequestId(2)));
    }

    #[test]
    fn a_removed_fetch_is_never_ready() {
        let mut watch = Watch::default();
        watch.add(RequestId(1), Reader::Consumer, 1, vec![key(0)]);
        watch.advanced(key(0), 1);
        watch.remove(RequestId(1));
        assert_eq!(watch.pop_ready(), None);
        watch.advanced(key(0), 1);
        assert_eq!(watch.pop_ready(), None);
    }
}
