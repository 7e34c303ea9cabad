//! What this broker is to a partition: its leader, who knows how far the others are, or a follower.

use ordered::Map;

use protocol::{Instant, NodeId, Offset};

use crate::image::Image;

/// What a leader looks at beside its own state: the time, who is alive, and `replica.lag.time.max.ms`.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Instant,
    pub(crate) image: &'a Image,
    pub(crate) lag_ms: i64,
}

/// By the committed metadata.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Leader(Box<Leader>),
    Follower {
        /// `None` while nobody leads.
        leader: Option<NodeId>,
        /// What that leader last said; our log may not reach it yet.
        high_watermark: Offset,
        /// With [`crate::config::Past::HighWatermarkTruncation`]: the log is to be cut before the next fetch.
        must_cut: bool,
    },
}

/// What a leader knows of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Leader {
    /// Where its epoch began, once the log is ready. Records below it may be committed without the leader's knowledge.
    pub(super) epoch_start: Option<Offset>,
    /// Who is in sync, as committed.
    pub(super) isr: Vec<NodeId>,
    /// Who would be, if the controller agrees with what it was or will be asked.
    pub(super) proposed: Option<Vec<NodeId>>,
    /// The other replicas.
    pub(super) others: Map<NodeId, Replica>,
}

/// Another replica as its fetches show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    /// What it has written: its last fetch asked for what follows. -1 before its first fetch.
    pub(super) log_end: Offset,
    pub(super) log_start: Offset,
    /// When it last had all that there was; `None` if it never did.
    caught_up: Option<Instant>,
    /// Its last fetch, and where the leader's log ended then.
    last_fetch: Option<Instant>,
    last_leader_end: Offset,
    /// Of its last fetch; `None` before it, -1 if it did not say.
    pub(super) broker_epoch: Option<i64>,
}

impl Replica {
    /// A replica of which nothing is known but whether it is in sync.
    fn unknown(now: Instant, in_sync: bool) -> Replica {
        Replica {
            log_end: Offset(-1),
            log_start: Offset(-1),
            caught_up: in_sync.then_some(now),
            last_fetch: None,
            last_leader_end: Offset(-1),
            broker_epoch: None,
        }
    }

    /// The leader was elected anew: who is in sync has as long as anyone to show it.
    fn reelected(&mut self, now: Instant, leader_end: Offset, in_sync: bool) {
        self.last_leader_end = leader_end;
        self.last_fetch = in_sync.then_some(now);
        self.caught_up = in_sync.then_some(now);
    }

    /// A fetch arrived that asks for `log_end`, while the leader's log ended at `leader_end`.
    pub(super) fn fetched(&mut self, now: Instant, log_end: Offset, log_start: Offset, leader_end: Offset, epoch: i64) {
        if log_end >= leader_end {
            self.caught_up = Some(now);
        } else if log_end >= self.last_leader_end && self.last_fetch.is_some() {
            // It has what there was when it last asked, so it was caught up then.
            self.caught_up = self.caught_up.max(self.last_fetch);
        }
        self.last_leader_end = self.last_leader_end.max(leader_end);
        self.last_fetch = Some(now);
        (self.log_end, self.log_start, self.broker_epoch) = (log_end, log_start, Some(epoch));
    }

    /// True if it has everything, or had within the last `lag_ms`.
    pub(super) fn is_caught_up(&self, sight: Sight<'_>, leader_end: Offset) -> bool {
        self.log_end == leader_end || self.caught_up.is_some_and(|at| sight.now <= at.plus_ms(sight.lag_ms))
    }

    /// When it was last caught up, for who looks for the freshest.
    pub(super) fn caught_up(&self) -> Option<Instant> {
        self.caught_up
    }

    /// True if the controller would take it into the ISR: alive, not leaving, and the very process that fetches.
    pub(super) fn is_eligible(&self, id: NodeId, image: &Image) -> bool {
        let Some(epoch) = self.broker_epoch else { return false };
        image.is_active(id) && image.broker(id).is_some_and(|broker| epoch == -1 || epoch == broker.epoch)
    }
}

impl Leader {
    /// The same leader in a new epoch, its log ending at `end`.
    pub(super) fn reelected(&mut self, now: Instant, end: Offset, isr: &[NodeId]) {
        for (id, replica) in &mut self.others {
            replica.reelected(now, end, isr.contains(id));
        }
        self.epoch_start = None;
    }

    /// The committed replicas and ISR. What was proposed before is moot then: the controller refuses it or has done it.
    pub(super) fn assign(&mut self, now: Instant, me: NodeId, replicas: &[NodeId], isr: &[NodeId]) {
        self.others.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != me) {
            self.others.entry(*id).or_insert_with(|| Replica::unknown(now, isr.contains(id)));
        }
        self.isr = isr.to_vec();
        self.proposed = None;
    }

    /// True for a replica that is in sync, or would be if the controller agreed: every committed record must be there.
    fn is_in_maximal_isr(&self, id: NodeId) -> bool {
        self.isr.contains(&id) || self.proposed.as_ref().is_some_and(|isr| isr.contains(&id))
    }

    /// What every replica has that could be elected: with this leader's log ending at `end`, the least end of the maximal ISR
    /// and of those about to join it.
    pub(super) fn committed(&self, sight: Sight<'_>, end: Offset) -> Offset {
        let mut committed = end;
        for (id, replica) in &self.others {
            let joins = || replica.is_caught_up(sight, end) && replica.is_eligible(*id, sight.image);
            if replica.log_end < committed && (self.is_in_maximal_isr(*id) || joins()) {
                committed = replica.log_end;
            }
        }
        committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);

    fn sight(image: &Image, ms: i64) -> Sight<'_> {
        Sight { now: Instant(0).plus_ms(ms), image, lag_ms: 100 }
    }

    fn begun(replicas: &[NodeId]) -> Leader {
        let mut leader = Leader::default();
        leader.assign(Instant(0), ME, replicas, &[ME, OTHER]);
        leader
    }

    fn fetch(leader: &mut Leader, id: NodeId, ms: i64, end: i64, leader_end: i64) {
        let replica = leader.others.get_mut(&id).expect("a replica");
        replica.fetched(Instant(0).plus_ms(ms), Offset(end), Offset(0), Offset(leader_end), -1);
    }

    #[test]
    fn the_least_end_of_the_maximal_isr_counts() {
        let image = Image::default();
        let replicas = [ME, OTHER, THIRD];
        let mut leader = begun(&replicas);
        fetch(&mut leader, OTHER, 0, 7, 10);
        fetch(&mut leader, THIRD, 0, 3, 10);
        assert_eq!(leader.committed(sight(&image, 0), Offset(10)), Offset(7), "who is not in the ISR does not count");
        leader.proposed = Some(vec![ME, OTHER, THIRD]);
        assert_eq!(leader.committed(sight(&image, 0), Offset(10)), Offset(3), "who is about to join does");
        leader.proposed = Some(vec![ME]);
        assert_eq!(leader.committed(sight(&image, 0), Offset(10)), Offset(7), "who is about to leave still does");
        leader.assign(Instant(0), ME, &replicas, &[ME]);
        assert_eq!(leader.committed(sight(&image, 0), Offset(10)), Offset(10));
    }

    #[test]
    fn a_replica_is_behind_when_it_has_not_had_everything_for_too_long() {
        let image = Image::default();
        let mut leader = begun(&[ME, OTHER]);
        assert!(
            leader.others[&OTHER].is_caught_up(sight(&image, 100), Offset(5)),
            "it has its time from the election on"
        );
        assert!(!leader.others[&OTHER].is_caught_up(sight(&image, 101), Offset(5)));
        // It always has what there was at its last fetch: busy, and in sync.
        fetch(&mut leader, OTHER, 90, 5, 9);
        fetch(&mut leader, OTHER, 180, 9, 20);
        assert!(leader.others[&OTHER].is_caught_up(sight(&image, 190), Offset(20)));
        assert!(!leader.others[&OTHER].is_caught_up(sight(&image, 191), Offset(20)));
        // Stuck at the end of the log it is in sync for ever.
        fetch(&mut leader, OTHER, 200, 20, 20);
        assert!(leader.others[&OTHER].is_caught_up(sight(&image, 9_000), Offset(20)));
    }
}
