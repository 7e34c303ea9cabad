//! Fetch sessions (KIP-227): the partitions a fetcher asked for before, so that it names only what changed.
//!
//! A bounded cache (`max.incremental.fetch.session.cache.slots`). A session is evicted for another when nobody used it for
//! `min.incremental.fetch.session.eviction.ms`, or when it is that old and smaller than the newcomer.

use ordered::Map;

use protocol::{ErrorCode, Instant, Str, Uuid};

use protocol::Random;

/// `min.incremental.fetch.session.eviction.ms`, which Kafka keeps constant.
const EVICTION_MS: i64 = 120_000;
/// A request that belongs to no session, and a full one that asks for a new session.
const INITIAL_EPOCH: i32 = 0;
/// A full request that wants no session.
const FINAL_EPOCH: i32 = -1;

/// A partition as the fetcher names it: by id since version 13, by name before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FetchKey {
    pub(crate) topic_id: Uuid,
    pub(crate) topic: Str,
    pub(crate) partition: i32,
}

impl FetchKey {
    /// A copy that outlives its request: a decoded name is a slice that keeps the whole frame in memory.
    fn kept(&self) -> FetchKey {
        FetchKey { topic: Str::from(self.topic.as_str()), ..*self }
    }
}

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchParams {
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
    /// Of the replica that fetches; -1 for consumers.
    pub(crate) log_start: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Cached {
    key: FetchKey,
    params: FetchParams,
    /// As last told; -1 makes the next answer include the partition.
    high_watermark: i64,
    log_start: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Session {
    epoch: i32,
    /// Another broker's: it goes for no consumer's, and a consumer's goes for it.
    is_replica: bool,
    uses_topic_ids: bool,
    created: Instant,
    last_used: Instant,
    /// Each stays at its place as long as it is in the session; `None` is free.
    slots: Vec<Option<Cached>>,
    free: Vec<u32>,
    by_key: Map<FetchKey, u32>,
    /// Places, in the order in which they are read. Partitions that had data go behind the others, so that each gets its turn.
    order: Vec<u32>,
}

/// How an answer is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Everything asked for, and no session.
    Sessionless,
    /// Everything asked for, and a new session if there is room.
    Full {
        /// The version has topic ids.
        uses_topic_ids: bool,
    },
    /// What changed since the last answer in this session.
    Incremental {
        /// The session.
        session_id: i32,
        /// The epoch the session must still have.
        next_epoch: i32,
    },
}

/// What a request asks for after its session was consulted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merged {
    pub(crate) kind: Kind,
    pub(crate) partitions: Vec<(FetchKey, FetchParams)>,
}

/// What an answer says of one partition, as far as sessions care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) bytes: u64,
    pub(crate) must_respond: bool,
    pub(crate) is_error: bool,
}

/// All sessions of the node. Soft state: gone with a restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    sessions: Map<i32, Session>,
}

impl Sessions {
    /// Merges a request with its session.
    pub(crate) fn merge(
        &mut self,
        now: Instant,
        session_id: i32,
        epoch: i32,
        uses_topic_ids: bool,
        asked: Vec<(FetchKey, FetchParams)>,
        forgotten: &[FetchKey],
    ) -> Result<Merged, ErrorCode> {
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            // A full request closes the session it names.
            self.sessions.remove(&session_id);
            let kind = if epoch == FINAL_EPOCH { Kind::Sessionless } else { Kind::Full { uses_topic_ids } };
            return Ok(Merged { kind, partitions: without_duplicates(asked) });
        }
        let session = self.sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for (key, params) in &asked {
            session.update(key, *params);
        }
        session.forget(forgotten);
        if session.order.is_empty() {
            self.sessions.remove(&session_id);
            return Ok(Merged { kind: Kind::Sessionless, partitions: without_duplicates(asked) });
        }
        session.last_used = now;
        session.epoch = next_epoch(epoch);
        let kind = Kind::Incremental { session_id, next_epoch: session.epoch };
        Ok(Merged { kind, partitions: session.in_order() })
    }

    /// Creates the session of a full answer, if there is room or another is worth less. Answers its id, or 0.
    pub(crate) fn create(
        &mut self,
        now: Instant,
        slots: usize,
        is_replica: bool,
        uses_topic_ids: bool,
        partitions: Vec<(FetchKey, FetchParams, Told)>,
        random: &mut Random,
    ) -> i32 {
        if partitions.is_empty() || !self.make_room(now, slots, is_replica, partitions.len()) {
            return 0;
        }
        let mut session_id = 0;
        while session_id == 0 || self.sessions.contains_key(&session_id) {
            session_id = i32::try_from(random.below(i32::MAX as u64)).unwrap_or_default();
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            is_replica,
            uses_topic_ids,
            created: now,
            last_used: now,
            slots: Vec::with_capacity(partitions.len()),
            free: Vec::new(),
            by_key: Map::new(),
            order: Vec::with_capacity(partitions.len()),
        };
        for (key, params, told) in partitions {
            let cached = session.update(&key, params);
            (cached.high_watermark, cached.log_start) = (told.high_watermark, told.log_start);
        }
        self.sessions.insert(session_id, session);
        session_id
    }

    /// Which partitions of an incremental answer the fetcher must be told; remembers that it was told. `told` is of each
    /// partition in the order that [`Sessions::merge`] gave for this epoch, which nothing changes before the next one.
    pub(crate) fn tell(&mut self, session_id: i32, next_epoch: i32, told: &[Told]) -> Result<Vec<bool>, ErrorCode> {
        let session = self
            .sessions
            .get_mut(&session_id)
            .filter(|session| session.epoch == next_epoch && session.order.len() == told.len())
            .ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
        Ok(session.tell(told))
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    fn make_room(&mut self, now: Instant, slots: usize, is_replica: bool, size: usize) -> bool {
        if self.sessions.len() < slots {
            return true;
        }
        let is_over = |since: Instant| now > since.plus_ms(EVICTION_MS);
        let stale = self.sessions.iter().min_by_key(|(id, it)| (it.last_used, **id));
        let victim = match stale {
            Some((id, session)) if is_over(session.last_used) => Some(*id),
            _ if is_replica => {
                let consumers = self.sessions.iter().filter(|(_, session)| !session.is_replica);
                consumers.min_by_key(|(id, session)| (session.last_used, **id)).map(|(id, _)| *id)
            }
            _ => self
                .sessions
                .iter()
                .filter(|(_, session)| !session.is_replica && is_over(session.created))
                .min_by_key(|(id, session)| (session.order.len(), **id))
                .filter(|(_, session)| session.order.len() < size)
                .map(|(id, _)| *id),
        };
        victim.is_some_and(|id| self.sessions.remove(&id).is_some())
    }
}

impl Session {
    /// What is wanted of a partition from now on; one that is new is the last.
    fn update(&mut self, key: &FetchKey, params: FetchParams) -> &mut Cached {
        let place = match self.by_key.get(key) {
            Some(place) => *place as usize,
            None => {
                let place = self.free.pop().map_or(self.slots.len(), |it| it as usize);
                if place == self.slots.len() {
                    self.slots.push(None);
                }
                let key = key.kept();
                self.by_key.insert(key.clone(), place as u32);
                self.order.push(place as u32);
                self.slots[place] = Some(Cached { key, params, high_watermark: -1, log_start: -1 });
                place
            }
        };
        let cached = self.slots[place].as_mut().expect("a key's place is not free");
        let was = std::mem::replace(&mut cached.params, params);
        if params.offset < was.offset || params.current_leader_epoch != was.current_leader_epoch {
            // Whoever has moved back since, or heard of another leader, has not listened to the last answer.
            cached.high_watermark = -1;
        }
        cached
    }

    fn forget(&mut self, keys: &[FetchKey]) {
        let free_before = self.free.len();
        for key in keys {
            if let Some(place) = self.by_key.remove(key) {
                self.slots[place as usize] = None;
                self.free.push(place);
            }
        }
        if self.free.len() > free_before {
            self.order.retain(|place| self.slots[*place as usize].is_some());
        }
    }

    fn in_order(&self) -> Vec<(FetchKey, FetchParams)> {
        let mut partitions = Vec::with_capacity(self.order.len());
        for place in &self.order {
            if let Some(cached) = &self.slots[*place as usize] {
                partitions.push((cached.key.clone(), cached.params));
            }
        }
        partitions
    }

    fn tell(&mut self, told: &[Told]) -> Vec<bool> {
        let mut tells = Vec::with_capacity(told.len());
        for (place, told) in self.order.iter().zip(told) {
            tells.push(self.slots[*place as usize].as_mut().is_some_and(|it| it.tell(told)));
        }
        if told.iter().any(|it| it.bytes > 0) {
            let (mut stay, mut go) = (Vec::with_capacity(self.order.len()), Vec::new());
            for (place, told) in self.order.iter().zip(told) {
                if told.bytes > 0 { go.push(*place) } else { stay.push(*place) }
            }
            stay.append(&mut go);
            self.order = stay;
        }
        tells
    }
}

impl Cached {
    /// True if the fetcher must be told; it is told now.
    fn tell(&mut self, told: &Told) -> bool {
        let changed = self.high_watermark != told.high_watermark || self.log_start != told.log_start;
        self.log_start = told.log_start;
        // Nothing else is taken from an answer with an error, a divergence or another replica to read from: it is told again.
        self.high_watermark = if told.is_error || told.must_respond { -1 } else { told.high_watermark };
        changed || told.bytes > 0 || told.is_error || told.must_respond
    }
}

/// The epoch after this one: never the initial nor the final one.
fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

/// A later mention of a partition wins, in the place of the first.
fn without_duplicates(asked: Vec<(FetchKey, FetchParams)>) -> Vec<(FetchKey, FetchParams)> {
    if asked.len() < 2 {
        return asked;
    }
    let mut places: Map<FetchKey, usize> = Map::new();
    let mut partitions: Vec<(FetchKey, FetchParams)> = Vec::with_capacity(asked.len());
    for (key, params) in asked {
        match places.get(&key) {
            Some(place) => partitions[*place].1 = params,
            None => {
                places.insert(key.clone(), partitions.len());
                partitions.push((key, params));
            }
        }
    }
    partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(1);

    fn key(partition: i32) -> FetchKey {
        FetchKey { topic_id: Uuid::ZERO, topic: Str::from_static("t"), partition }
    }

    fn at(offset: i64) -> FetchParams {
        FetchParams { offset, max_bytes: 1024, current_leader_epoch: -1, last_fetched_epoch: -1, log_start: -1 }
    }

    fn told(high_watermark: i64, bytes: u64) -> Told {
        Told { high_watermark, log_start: 0, bytes, must_respond: false, is_error: false }
    }

    fn open(sessions: &mut Sessions, now: Instant, slots: usize, partitions: i32) -> i32 {
        let partitions = (0..partitions).map(|it| (key(it), at(0), told(0, 0))).collect();
        sessions.create(now, slots, false, false, partitions, &mut Random::new(now.0))
    }

    #[test]
    fn an_incremental_answer_names_what_changed_and_rotates_what_had_data() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 3);
        let merged = sessions.merge(START, id, 1, false, vec![(key(1), at(5))], &[key(2)]).unwrap();
        assert_eq!(merged.partitions, [(key(0), at(0)), (key(1), at(5))]);
        assert_eq!(merged.kind, Kind::Incremental { session_id: id, next_epoch: 2 });
        assert_eq!(sessions.tell(id, 2, &[told(3, 100), told(0, 0)]), Ok(vec![true, false]));
        let merged = sessions.merge(START, id, 2, false, vec![], &[]).unwrap();
        assert_eq!(merged.partitions.iter().map(|(key, _)| key.partition).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn who_comes_and_goes_disturbs_nobodys_order() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 4);
        let order = |merged: Merged| merged.partitions.iter().map(|(key, _)| key.partition).collect::<Vec<_>>();
        // One that is forgotten leaves a free place, which two newcomers must not share; who comes back is the last.
        let asked = vec![(key(7), at(1)), (key(8), at(2)), (key(7), at(3))];
        let merged = sessions.merge(START, id, 1, false, asked, &[key(1), key(1)]).unwrap();
        assert_eq!(merged.partitions[3], (key(7), at(3)), "the later mention wins, in the place of the first");
        assert_eq!(order(merged), [0, 2, 3, 7, 8]);
        let all = [told(0, 9), told(0, 0), told(0, 9), told(5, 0), told(-1, 0)];
        assert_eq!(sessions.tell(id, 2, &all), Ok(vec![true, false, true, true, true]));
        assert_eq!(sessions.tell(id, 2, &all[1..]), Err(ErrorCode::InvalidFetchSessionEpoch));
        let merged = sessions.merge(START, id, 2, false, vec![(key(1), at(4))], &[]).unwrap();
        assert_eq!(order(merged), [2, 7, 8, 0, 3, 1]);
        assert_eq!(sessions.sessions[&id].slots.len(), 6, "a free place is used again");
    }

    #[test]
    fn an_error_is_told_again_when_it_is_over() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 1);
        sessions.merge(START, id, 1, false, vec![], &[]).unwrap();
        let error = Told { is_error: true, ..told(0, 0) };
        assert_eq!(sessions.tell(id, 2, &[error]), Ok(vec![true]));
        sessions.merge(START, id, 2, false, vec![], &[]).unwrap();
        assert_eq!(sessions.tell(id, 3, &[told(0, 0)]), Ok(vec![true]));
    }

    #[test]
    fn what_a_fetcher_did_not_listen_to_is_told_again() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 1);
        let mut epoch = 0;
        let mut answer = |asked: Option<FetchParams>, told: Told| {
            epoch += 1;
            let asked = asked.map(|it| (key(0), it)).into_iter().collect();
            sessions.merge(START, id, epoch, false, asked, &[]).unwrap();
            sessions.tell(id, epoch + 1, &[told]).unwrap()[0]
        };
        assert!(answer(Some(at(9)), told(5, 0)), "the high watermark moved");
        assert!(!answer(None, told(5, 0)));
        assert!(answer(None, Told { must_respond: true, ..told(5, 0) }), "the logs diverge");
        assert!(answer(None, told(5, 0)));
        assert!(!answer(Some(at(10)), told(5, 0)), "it went on");
        assert!(answer(Some(at(4)), told(5, 0)), "its log was cut while an answer was on its way");
        assert!(!answer(None, told(5, 0)));
        assert!(answer(Some(FetchParams { current_leader_epoch: 2, ..at(4) }), told(5, 0)), "of another epoch");
    }

    #[test]
    fn wrong_sessions_and_epochs_are_refused() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 1);
        let merge = |sessions: &mut Sessions, id, epoch, ids| sessions.merge(START, id, epoch, ids, vec![], &[]);
        assert_eq!(merge(&mut sessions, id + 1, 1, false), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(merge(&mut sessions, id, 2, false), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(merge(&mut sessions, id, 1, true), Err(ErrorCode::FetchSessionTopicIdError));
        assert!(merge(&mut sessions, id, 1, false).is_ok());
        assert_eq!(sessions.tell(id, 1, &[]), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(merge(&mut sessions, id, -1, false).map(|it| it.kind), Ok(Kind::Sessionless));
        assert_eq!(
            merge(&mut sessions, id, 2, false),
            Err(ErrorCode::FetchSessionIdNotFound),
            "closed by the final epoch"
        );
    }

    #[test]
    fn a_full_cache_evicts_the_stale_and_the_small_that_are_old() {
        let mut sessions = Sessions::default();
        let old = open(&mut sessions, START, 1, 2);
        assert_eq!(open(&mut sessions, START, 1, 3), 0, "too young to evict");
        let later = START.plus_ms(EVICTION_MS + 1);
        sessions.merge(later, old, 1, false, vec![], &[]).unwrap();
        assert_eq!(open(&mut sessions, later, 1, 2), 0, "not larger than the old one");
        assert_ne!(open(&mut sessions, later, 1, 3), 0);
        assert_eq!(sessions.len(), 1);
        let stale = later.plus_ms(EVICTION_MS + 1);
        assert_ne!(open(&mut sessions, stale, 1, 1), 0);
    }

    #[test]
    fn the_epoch_wraps_past_zero() {
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn a_session_whose_last_partition_is_forgotten_ends() {
        let mut sessions = Sessions::default();
        let id = open(&mut sessions, START, 10, 1);
        let merged = sessions.merge(START, id, 1, false, vec![], &[key(0)]).unwrap();
        assert_eq!(merged, Merged { kind: Kind::Sessionless, partitions: vec![] });
        assert_eq!(sessions.len(), 0);
    }
}
