//! Fetchers: one for each broker that leads partitions of which this one has a replica, with one Fetch on its way.
//!
//! A fetcher keeps an incremental session with its leader (KIP-227): a request names what has changed since the one before.
//! **Invariant:** a fetch offset is an acknowledgement, so a partition is named only while all of its log is written.

use ordered::{Map, Set};

use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::{FetchRequest, FetchResponse};
use protocol::{ErrorCode, Instant, NodeId, Str};

use crate::config::ReplicationConfig;
use crate::partition::{FetchPosition, PartitionKey};

/// The first wait after a refusal. Each further one doubles it, up to `replica.fetch.backoff.ms`.
const FIRST_RETRY_MS: i64 = 20;
/// A leader whose connection broke is in doubt for so long at most: another one leads within that time, even if the
/// controller died with it and the first vote was split, or this was no death.
pub(crate) const IN_DOUBT_MS: i64 = 2_000;

/// All fetchers, and whose partition is whose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetchers {
    by_leader: Map<NodeId, Fetcher>,
    leader_of: Map<PartitionKey, NodeId>,
    /// Those that may be able to send.
    ready: Set<NodeId>,
    /// Leaders whose connection broke, and when.
    broken: Map<NodeId, Instant>,
}

/// What one leader is asked for.
#[derive(Clone, Debug, Default)]
struct Fetcher {
    session_id: i32,
    /// Of the next request; 0 begins a session.
    session_epoch: i32,
    followed: Map<PartitionKey, Followed>,
    /// Those that are passed over for a while, by when that ends.
    held: Set<(Instant, PartitionKey)>,
    /// Partitions whose position is to be looked at before the next request.
    changed: Set<PartitionKey>,
    /// Partitions that the session still holds and this fetcher does not.
    forgotten: Set<PartitionKey>,
    /// Partitions that bring the last answer to the disk. The next request leaves when they have.
    writing: Set<PartitionKey>,
    is_waiting: bool,
    /// Nothing is sent before that.
    retry_at: Option<Instant>,
    /// How often in a row the leader could not be asked.
    failures: u32,
}

/// A partition of a fetcher.
#[derive(Clone, Copy, Debug, Default)]
struct Followed {
    /// What the session holds of it.
    told: Option<FetchPosition>,
    /// It is passed over until then: its place among those held.
    retry_at: Option<Instant>,
    /// How often in a row the leader refused it.
    failures: u32,
    /// The leader is being asked where its log begins and ends.
    is_asking: bool,
    /// With the last answer it had all that is committed.
    has_caught_up: bool,
}

impl Fetchers {
    /// True if nothing is followed.
    pub(crate) fn is_empty(&self) -> bool {
        self.leader_of.is_empty()
    }

    /// Has a partition fetched from this leader, or from none. What was known of it is forgotten: its epoch may be another.
    pub(crate) fn follow(&mut self, key: PartitionKey, leader: Option<NodeId>) {
        if let Some(old) = self.leader_of.remove(&key)
            && let Some(fetcher) = self.by_leader.get_mut(&old)
        {
            fetcher.leave(&key);
            self.ready.insert(old);
        }
        let Some(leader) = leader else { return };
        self.leader_of.insert(key, leader);
        let fetcher = self.by_leader.entry(leader).or_default();
        fetcher.followed.insert(key, Followed::default());
        fetcher.changed.insert(key);
        self.ready.insert(leader);
    }

    /// Whom a partition is fetched from.
    pub(crate) fn leader_of(&self, key: &PartitionKey) -> Option<NodeId> {
        self.leader_of.get(key).copied()
    }

    /// All that is fetched, and from whom.
    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, PartitionKey)> + '_ {
        self.by_leader.iter().flat_map(|(leader, fetcher)| fetcher.followed.keys().map(|key| (*leader, *key)))
    }

    /// A fetcher that may be able to send.
    pub(crate) fn pop_ready(&mut self) -> Option<NodeId> {
        self.ready.pop_first()
    }

    /// A partition's log has reached its end or its cut: it can be asked for again.
    pub(crate) fn settled(&mut self, key: PartitionKey) {
        let Some(leader) = self.leader_of.get(&key) else { return };
        let Some(fetcher) = self.by_leader.get_mut(leader) else { return };
        fetcher.changed.insert(key);
        fetcher.writing.remove(&key);
        self.ready.insert(*leader);
    }

    /// A partition's position is another: the next request tells the leader.
    pub(crate) fn moved(&mut self, key: PartitionKey) {
        self.change(key, |_| {});
    }

    /// A partition brings what was fetched to the disk.
    pub(crate) fn writes(&mut self, key: PartitionKey) {
        if let Some(fetcher) = self.of(&key) {
            fetcher.writing.insert(key);
        }
    }

    /// A partition was refused: it is passed over for a while.
    pub(crate) fn hold(&mut self, key: PartitionKey, now: Instant, most_ms: i32) {
        if let Some(fetcher) = self.of(&key) {
            fetcher.hold(key, now, most_ms);
        }
        self.asked(key);
    }

    /// A partition is throttled: it is passed over until then.
    pub(crate) fn hold_back(&mut self, key: PartitionKey, until: Instant) {
        if let Some(fetcher) = self.of(&key) {
            fetcher.hold_until(key, until);
        }
    }

    /// A partition was answered, and what came for it has its place in the log; that is all that is committed, or not.
    pub(crate) fn accepted(&mut self, key: &PartitionKey, has_caught_up: bool) {
        if let Some(followed) = self.of(key).and_then(|fetcher| fetcher.followed.get_mut(key)) {
            (followed.failures, followed.has_caught_up) = (0, has_caught_up);
        }
    }

    /// The leader is asked where the partition's log begins and ends; until then it is passed over.
    pub(crate) fn ask(&mut self, key: PartitionKey) {
        self.change(key, |followed| followed.is_asking = true);
    }

    /// The leader has said where the partition's log begins or ends.
    pub(crate) fn asked(&mut self, key: PartitionKey) {
        self.change(key, |followed| followed.is_asking = false);
    }

    /// What the leader was asked for of a partition; `None` if that is not known any more.
    pub(crate) fn told(&self, leader: NodeId, key: &PartitionKey) -> Option<FetchPosition> {
        self.by_leader.get(&leader)?.followed.get(key)?.told
    }

    /// Drops a leader's fetcher if nothing is fetched from it any more. True if there is none then: a call of it that is on
    /// its way is of no use. The leader's session goes with its connection, or when the room is needed.
    pub(crate) fn drop_idle(&mut self, leader: NodeId) -> bool {
        if self.by_leader.get(&leader).is_some_and(|fetcher| fetcher.followed.is_empty()) {
            self.by_leader.remove(&leader);
        }
        !self.by_leader.contains_key(&leader)
    }

    /// The connection to a leader broke, or nobody listens there. Only the first time says something new.
    pub(crate) fn broke(&mut self, now: Instant, leader: NodeId) {
        self.broken.entry(leader).or_insert(now);
    }

    /// Until when a leader may well be gone, though nobody has said so yet. `None` if it answered since, or was never missed.
    pub(crate) fn in_doubt_until(&self, leader: NodeId) -> Option<Instant> {
        self.broken.get(&leader).map(|at| at.plus_ms(IN_DOUBT_MS))
    }

    /// Whether any leader may well be gone.
    pub(crate) fn is_any_in_doubt(&self, now: Instant) -> bool {
        self.broken.values().any(|at| now < at.plus_ms(IN_DOUBT_MS))
    }

    /// The leader is another process now: what it was asked for is not answered any more, and it knows of no session.
    pub(crate) fn restarted(&mut self, leader: NodeId) {
        self.broken.remove(&leader);
        let Some(fetcher) = self.by_leader.get_mut(&leader) else { return };
        (fetcher.is_waiting, fetcher.session_id, fetcher.session_epoch) = (false, 0, 0);
        (fetcher.retry_at, fetcher.failures) = (None, 0);
        fetcher.begin_anew();
        self.ready.insert(leader);
    }

    /// The next request to a leader, if there is anything to ask for and none is on its way. `position` says what a partition,
    /// which has caught up with its leader or not, is to be asked for, `None` while it cannot be.
    pub(crate) fn next_request(
        &mut self,
        now: Instant,
        leader: NodeId,
        me: ReplicaState,
        is_throttled: bool,
        config: &ReplicationConfig,
        position: impl FnMut(&PartitionKey, bool) -> Option<FetchPosition>,
    ) -> Option<FetchRequest> {
        let fetcher = self.by_leader.get_mut(&leader)?;
        if fetcher.is_busy() || fetcher.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        fetcher.retry_at = None;
        let (asked, forgotten) = fetcher.take_changes(now, position);
        if fetcher.followed.values().all(|it| it.told.is_none()) {
            fetcher.forgotten = forgotten;
            return None;
        }
        fetcher.is_waiting = true;
        // With a megabyte each, a follower that is behind in few partitions asks for the next one far more often than it needs to.
        // Where it is told to be slow it takes no more at once than that.
        let share = config.fetch_response_max_bytes / i32::try_from(fetcher.followed.len()).unwrap_or(i32::MAX).max(1);
        let may_share = config.shares_response && !is_throttled;
        let each = if may_share { config.fetch_max_bytes.max(share) } else { config.fetch_max_bytes };
        // Whether it lives is news that nothing waits for.
        let max_wait_ms = if self.broken.contains_key(&leader) { 0 } else { config.fetch_wait_max_ms };
        Some(FetchRequest {
            replica_state: me,
            max_wait_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_response_max_bytes,
            session_id: fetcher.session_id,
            session_epoch: fetcher.session_epoch,
            topics: topics_of(&asked, each),
            forgotten_topics_data: forgotten_of(&forgotten),
            ..FetchRequest::default()
        })
    }

    /// The leader has answered. False if the whole answer is to be passed over; the session then begins anew.
    pub(crate) fn answered(&mut self, now: Instant, leader: NodeId, response: &FetchResponse, most_ms: i32) -> bool {
        self.broken.remove(&leader);
        let Some(fetcher) = self.by_leader.get_mut(&leader) else { return false };
        (fetcher.is_waiting, fetcher.failures) = (false, 0);
        self.ready.insert(leader);
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                fetcher.session_epoch = match (response.session_id, fetcher.session_epoch) {
                    // The leader has no room for a session.
                    (0, _) => 0,
                    (_, i32::MAX) => 1,
                    (_, epoch) => epoch + 1,
                };
                fetcher.session_id = response.session_id;
                if fetcher.session_epoch == 0 {
                    // All is named again, after the answer was looked at with what was told.
                    fetcher.changed.extend(fetcher.followed.keys().copied());
                }
                return true;
            }
            // The leader has begun anew or given the session up.
            ErrorCode::FetchSessionIdNotFound => (fetcher.session_id, fetcher.session_epoch) = (0, 0),
            ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError => fetcher.session_epoch = 0,
            _ => {
                fetcher.session_epoch = 0;
                fetcher.retry_at = Some(now.plus_ms(i64::from(most_ms).max(1)));
            }
        }
        fetcher.begin_anew();
        false
    }

    /// Nobody knows where the leader listens.
    pub(crate) fn unreachable(&mut self, now: Instant, leader: NodeId, most_ms: i32) {
        if self.by_leader.get(&leader).is_some_and(|fetcher| !fetcher.is_waiting) {
            self.failed(now, leader, most_ms);
        }
    }

    /// The leader could not be asked, or did not answer.
    pub(crate) fn failed(&mut self, now: Instant, leader: NodeId, most_ms: i32) {
        let Some(fetcher) = self.by_leader.get_mut(&leader) else { return };
        (fetcher.is_waiting, fetcher.session_epoch) = (false, 0);
        fetcher.retry_at = Some(after(now, fetcher.failures, most_ms));
        fetcher.failures = fetcher.failures.saturating_add(1);
        fetcher.begin_anew();
    }

    /// When a fetcher has something to do again, if that is a matter of time: not while it waits for its leader or for the
    /// disk, which wake it themselves.
    pub(crate) fn retry_at(&self, leader: NodeId) -> Option<Instant> {
        let fetcher = self.by_leader.get(&leader).filter(|fetcher| !fetcher.is_busy())?;
        fetcher.retry_at.or_else(|| fetcher.held.first().map(|(at, _)| *at))
    }

    /// Time has passed for a fetcher.
    pub(crate) fn wake(&mut self, leader: NodeId) {
        self.ready.insert(leader);
    }

    fn change(&mut self, key: PartitionKey, change: impl FnOnce(&mut Followed)) {
        let Some(fetcher) = self.of(&key) else { return };
        if let Some(followed) = fetcher.followed.get_mut(&key) {
            change(followed);
            fetcher.changed.insert(key);
        }
        if let Some(leader) = self.leader_of.get(&key) {
            self.ready.insert(*leader);
        }
    }

    fn of(&mut self, key: &PartitionKey) -> Option<&mut Fetcher> {
        self.by_leader.get_mut(self.leader_of.get(key)?)
    }
}

impl Fetcher {
    /// A request is on its way, or its answer is on the way to the disk.
    fn is_busy(&self) -> bool {
        self.is_waiting || !self.writing.is_empty()
    }

    fn hold(&mut self, key: PartitionKey, now: Instant, most_ms: i32) {
        let Some(followed) = self.followed.get_mut(&key) else { return };
        let at = after(now, followed.failures, most_ms);
        followed.failures = followed.failures.saturating_add(1);
        self.hold_until(key, at);
    }

    fn hold_until(&mut self, key: PartitionKey, at: Instant) {
        let Some(followed) = self.followed.get_mut(&key) else { return };
        if let Some(old) = followed.retry_at.replace(at) {
            self.held.remove(&(old, key));
        }
        self.held.insert((at, key));
    }

    fn leave(&mut self, key: &PartitionKey) {
        self.changed.remove(key);
        self.writing.remove(key);
        let Some(followed) = self.followed.remove(key) else { return };
        if let Some(at) = followed.retry_at {
            self.held.remove(&(at, *key));
        }
        if followed.told.is_some() {
            self.forgotten.insert(*key);
        }
    }

    /// What the session held is gone: the next request names everything.
    fn begin_anew(&mut self) {
        self.forgotten = Set::new();
        for (key, followed) in &mut self.followed {
            followed.told = None;
            self.changed.insert(*key);
        }
    }

    /// What the next request names and what it forgets.
    fn take_changes(
        &mut self,
        now: Instant,
        mut position: impl FnMut(&PartitionKey, bool) -> Option<FetchPosition>,
    ) -> (Vec<(PartitionKey, FetchPosition)>, Set<PartitionKey>) {
        // A session that begins names everything.
        let is_full = self.session_epoch == 0;
        let mut asked = Vec::new();
        let mut forgotten = std::mem::take(&mut self.forgotten);
        while let Some((at, key)) = self.held.first().copied()
            && at <= now
        {
            self.held.remove(&(at, key));
            if let Some(followed) = self.followed.get_mut(&key) {
                followed.retry_at = None;
                self.changed.insert(key);
            }
        }
        for key in std::mem::take(&mut self.changed) {
            let Some(followed) = self.followed.get_mut(&key) else { continue };
            let is_held = followed.is_asking || followed.retry_at.is_some();
            let next = if is_held { None } else { position(&key, followed.has_caught_up) };
            match next {
                Some(next) if is_full || followed.told != Some(next) => {
                    // A leader forgets after it has heard what is asked for: both of one partition would be its end.
                    forgotten.remove(&key);
                    asked.push((key, next));
                }
                None if followed.told.is_some() && !is_full => {
                    forgotten.insert(key);
                }
                Some(_) | None => {}
            }
            followed.told = next;
        }
        if is_full {
            forgotten = Set::new();
        }
        (asked, forgotten)
    }
}

/// When to try again: soon at first, as metadata here and there differ by a moment only, then later and later.
fn after(now: Instant, failures: u32, most_ms: i32) -> Instant {
    // Never at once: a leader that refuses would be asked for ever within one moment.
    now.plus_ms(i64::from(most_ms).min(FIRST_RETRY_MS << failures.min(16)).max(1))
}

fn topics_of(asked: &[(PartitionKey, FetchPosition)], max_bytes: i32) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (key, position) in asked {
        let partition = FetchPartition {
            partition: key.partition,
            current_leader_epoch: position.leader_epoch.0,
            fetch_offset: position.offset.0,
            last_fetched_epoch: position.last_epoch.0,
            log_start_offset: position.log_start.0,
            partition_max_bytes: max_bytes,
            ..FetchPartition::default()
        };
        match topics.last_mut() {
            Some(topic) if topic.topic_id == key.topic_id => topic.partitions.push(partition),
            _ => topics.push(FetchTopic { topic: Str::new(), topic_id: key.topic_id, partitions: vec![partition] }),
        }
    }
    topics
}

fn forgotten_of(keys: &Set<PartitionKey>) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for key in keys {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == key.topic_id => topic.partitions.push(key.partition),
            _ => topics.push(ForgottenTopic {
                topic: Str::new(),
                topic_id: key.topic_id,
                partitions: vec![key.partition],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use protocol::Uuid;

    use super::*;

    const LEADER: NodeId = NodeId(1);

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::METADATA_TOPIC, partition }
    }

    fn send(fetchers: &mut Fetchers, now: Instant) -> Option<FetchRequest> {
        let position = FetchPosition {
            offset: protocol::Offset(0),
            last_epoch: protocol::LeaderEpoch::NONE,
            log_start: protocol::Offset(0),
            leader_epoch: protocol::LeaderEpoch(0),
        };
        let config = crate::config::Config::parse(&Map::new()).expect("defaults parse").0;
        let me = ReplicaState { replica_id: 2, ..ReplicaState::default() };
        fetchers.next_request(now, LEADER, me, false, &config.replication, |_, _| Some(position))
    }

    #[test]
    fn the_first_of_those_held_is_the_next_to_be_asked_for() {
        let (mut fetchers, most_ms) = (Fetchers::default(), 1_000);
        for partition in 0..3 {
            fetchers.follow(key(partition), Some(LEADER));
        }
        for (partition, times) in [(0, 3), (1, 1), (2, 2)] {
            (0..times).for_each(|_| fetchers.hold(key(partition), Instant(0), most_ms));
        }
        let at = |ms| Some(Instant(0).plus_ms(ms));
        assert_eq!(fetchers.retry_at(LEADER), at(20));
        fetchers.follow(key(1), None);
        assert_eq!(fetchers.retry_at(LEADER), at(40));
        assert_eq!(send(&mut fetchers, Instant(0).plus_ms(39)), None);
        let request = send(&mut fetchers, Instant(0).plus_ms(40)).expect("one can be asked for");
        assert_eq!(request.topics[0].partitions.iter().map(|it| it.partition).collect::<Vec<_>>(), [2]);
        assert_eq!(fetchers.retry_at(LEADER), None, "the answer wakes it");
        fetchers.failed(Instant(0).plus_ms(50), LEADER, 0);
        assert_eq!(fetchers.retry_at(LEADER), at(51), "time passes between two tries");
        fetchers.writes(key(2));
        assert_eq!(fetchers.retry_at(LEADER), None, "the disk wakes it");
    }

    #[test]
    fn what_is_asked_for_again_is_not_forgotten_in_the_same_request() {
        let (mut fetchers, most_ms) = (Fetchers::default(), 1_000);
        let at = |ms| Instant(0).plus_ms(ms);
        let answer = FetchResponse { session_id: 7, ..FetchResponse::default() };
        fetchers.follow(key(0), Some(LEADER));
        send(&mut fetchers, at(0)).expect("a session begins");
        fetchers.follow(key(1), Some(LEADER));
        for (ms, refused) in [(1, 0), (2, 1)] {
            assert!(fetchers.answered(at(ms), LEADER, &answer, most_ms));
            fetchers.hold(key(refused), at(ms), most_ms);
            let forgotten = send(&mut fetchers, at(ms)).map(|it| it.forgotten_topics_data[0].partitions.clone());
            assert_eq!(forgotten, (refused == 0).then(|| vec![0]), "nothing is asked for while all are held");
        }
        let request = send(&mut fetchers, at(30)).expect("both can be asked for");
        assert_eq!(request.topics[0].partitions.iter().map(|it| it.partition).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(request.forgotten_topics_data, []);
        // In another epoch of the same leader, and not to be asked for yet, it leaves the session: its old epoch would be refused.
        assert!(fetchers.answered(at(31), LEADER, &answer, most_ms));
        fetchers.follow(key(1), Some(LEADER));
        fetchers.ask(key(1));
        let request = send(&mut fetchers, at(31)).expect("the other one can be asked for");
        assert_eq!(request.forgotten_topics_data[0].partitions, [1]);
    }

    #[test]
    fn a_leader_whose_connection_broke_is_in_doubt_for_a_moment() {
        let mut fetchers = Fetchers::default();
        fetchers.follow(key(0), Some(LEADER));
        assert_eq!(fetchers.in_doubt_until(LEADER), None);
        let at = |ms| Instant(0).plus_ms(ms);
        fetchers.broke(at(10), LEADER);
        fetchers.broke(at(30), LEADER);
        assert_eq!(fetchers.in_doubt_until(LEADER), Some(at(2_010)), "that it still does is no news");
        fetchers.restarted(LEADER);
        assert_eq!(fetchers.in_doubt_until(LEADER), None);
        fetchers.broke(at(2_000), LEADER);
        assert_eq!(send(&mut fetchers, at(2_000)).expect("it is asked").max_wait_ms, 0, "whether it lives");
        let answer = FetchResponse { session_id: 7, ..FetchResponse::default() };
        assert!(fetchers.answered(at(2_010), LEADER, &answer, 1_000));
        assert_eq!(fetchers.in_doubt_until(LEADER), None);
        fetchers.moved(key(0));
        fetchers.follow(key(1), Some(LEADER));
        assert_eq!(send(&mut fetchers, at(2_020)).expect("it is asked").max_wait_ms, 500);
    }

    #[test]
    fn who_is_not_fetched_from_has_no_fetcher() {
        let mut fetchers = Fetchers::default();
        fetchers.follow(key(0), Some(LEADER));
        assert!(send(&mut fetchers, Instant(0)).is_some());
        assert!(!fetchers.drop_idle(LEADER));
        fetchers.follow(key(0), None);
        assert_eq!(fetchers.pop_ready(), Some(LEADER));
        assert!(fetchers.drop_idle(LEADER), "whatever is on its way");
        assert!(fetchers.by_leader.is_empty());
    }
}
