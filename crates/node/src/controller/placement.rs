//! Where a new partition's replicas go: striped over racks and brokers, so that leaders and followers spread evenly.
//!
//! The first replica is always on a broker that is not fenced. The lists are shuffled once, and again when every live broker
//! has led, so that partitions with the same leader have different followers.

use ordered::Map;

use protocol::{NodeId, Str};

use super::partitions::has_room;
use crate::image::Image;
use protocol::Random;

/// A broker that can have replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Usable {
    /// Its id.
    pub id: NodeId,
    /// Where it stands, if anybody said so.
    pub rack: Option<Str>,
    /// True if nobody reaches it now: it leads nothing.
    pub is_fenced: bool,
}

/// Replicas for `partitions` new partitions, `factor` each; the error is Kafka's sentence.
pub(super) fn place(
    image: &Image,
    partitions: usize,
    factor: i16,
    random: &mut Random,
) -> Result<Vec<Vec<NodeId>>, String> {
    let mut usable = Vec::new();
    for broker in image.brokers() {
        // A broker that takes no new replicas anywhere is no candidate (KIP-1066), nor one that is leaving: it would be in no ISR.
        let is_leaving = broker.in_controlled_shutdown && !broker.fenced;
        if has_room(image, broker.id) && !is_leaving {
            usable.push(Usable { id: broker.id, rack: broker.rack.clone(), is_fenced: broker.fenced });
        }
    }
    place_over(&usable, partitions, factor, random)
}

/// Replicas for `partitions` new partitions on these brokers, `factor` each; the error is Kafka's sentence.
pub fn place_over(
    usable: &[Usable],
    partitions: usize,
    factor: i16,
    random: &mut Random,
) -> Result<Vec<Vec<NodeId>>, String> {
    let mut racks = Racks::new(usable, random);
    let factor = usize::try_from(factor).unwrap_or(0);
    if factor == 0 {
        return Err("the replication factor must be positive.".into());
    }
    if racks.live == 0 {
        return Err("All brokers are currently fenced, or have all their log directories cordoned.".into());
    }
    if factor > racks.total {
        return Err(format!(
            "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered or some \
             brokers have all their log directories cordoned.",
            racks.total
        ));
    }
    Ok((0..partitions).map(|_| racks.place(factor, random)).collect())
}

struct Racks {
    racks: Vec<Rack>,
    live: usize,
    total: usize,
    /// How many placements were made since the last shuffle.
    round: usize,
    /// The rack that the next partition begins with.
    first: usize,
}

#[derive(Default)]
struct Rack {
    live: Ring,
    fenced: Ring,
}

/// Brokers that are handed out in turn, each at most once a round, each round beginning one further.
#[derive(Default)]
struct Ring {
    brokers: Vec<NodeId>,
    round: usize,
    start: usize,
    taken: usize,
}

impl Ring {
    fn next(&mut self, round: usize) -> Option<NodeId> {
        if self.round != round {
            self.round = round;
            self.start += 1;
            self.taken = 0;
        }
        if self.taken == self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.start + self.taken) % self.brokers.len()];
        self.taken += 1;
        Some(broker)
    }

    fn shuffle(&mut self, random: &mut Random) {
        shuffle(&mut self.brokers, random);
        (self.round, self.start, self.taken) = (0, 0, 0);
    }
}

impl Racks {
    fn new(usable: &[Usable], random: &mut Random) -> Racks {
        let mut by_name: Map<Option<&Str>, Rack> = Map::new();
        let (mut live, mut total) = (0, 0);
        for broker in usable {
            let rack = by_name.entry(broker.rack.as_ref()).or_default();
            let ring = if broker.is_fenced { &mut rack.fenced } else { &mut rack.live };
            ring.brokers.push(broker.id);
            live += usize::from(!broker.is_fenced);
            total += 1;
        }
        let mut racks = Racks { racks: by_name.into_values().collect(), live, total, round: 0, first: 0 };
        racks.shuffle(random);
        racks
    }

    fn shuffle(&mut self, random: &mut Random) {
        shuffle(&mut self.racks, random);
        for rack in &mut self.racks {
            rack.live.shuffle(random);
            rack.fenced.shuffle(random);
        }
        self.round = 0;
    }

    /// Replicas of one partition. There are at least `factor` brokers, one of them live.
    fn place(&mut self, factor: usize, random: &mut Random) -> Vec<NodeId> {
        if self.round == self.live && self.live > 1 {
            self.shuffle(random);
        }
        let (count, round) = (self.racks.len(), self.round);
        let start = self.first % count;
        let mut replicas = Vec::with_capacity(factor);
        // The leader: the first rack, from here on, that has a live broker left in this round.
        let mut leader_rack = start;
        for step in 0..count {
            leader_rack = (start + step) % count;
            if let Some(broker) = self.racks[leader_rack].live.next(round) {
                replicas.push(broker);
                break;
            }
        }
        // The followers: rack by rack from the start, the leader's rack skipped once.
        let (mut rack, mut skip) = (start, true);
        while replicas.len() < factor {
            if rack == leader_rack && skip {
                skip = false;
            } else if let Some(broker) =
                self.racks[rack].live.next(round).or_else(|| self.racks[rack].fenced.next(round))
            {
                replicas.push(broker);
            }
            rack = (rack + 1) % count;
        }
        self.round += 1;
        self.first += 1;
        replicas
    }
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}
