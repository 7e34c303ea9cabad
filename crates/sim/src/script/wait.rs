//! What a script waits for, from the moment on at which it begins to.

use node::image::{PartitionImage, TopicImage};
use protocol::Str;

use super::{Awaited, Condition};
use crate::check::Verdict;
use crate::world::World;

/// Something that happens at one event, and is over with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A record gets its offset.
    Append,
    /// A producer is told that a batch is safe.
    Ack,
    /// A consumer is given records.
    Records,
    /// A batch is sent again.
    Retry,
    /// A partition that was there before, or the metadata quorum, has a leader of a newer epoch.
    Election,
    /// Others are in sync of a partition that was there before, as is committed.
    IsrChange,
    /// A member of a group has to join again, or is told another generation or member epoch.
    Rebalance,
    /// A check breaks, or something is lost, repeated or reordered as the settings allow.
    Finding,
}

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 8] = [
        Happening::Append,
        Happening::Ack,
        Happening::Records,
        Happening::Retry,
        Happening::Election,
        Happening::IsrChange,
        Happening::Rebalance,
        Happening::Finding,
    ];

    /// As a line names it.
    pub fn word(self) -> &'static str {
        match self {
            Happening::Append => "append",
            Happening::Ack => "ack",
            Happening::Records => "records",
            Happening::Retry => "retry",
            Happening::Election => "election",
            Happening::IsrChange => "isr-change",
            Happening::Rebalance => "rebalance",
            Happening::Finding => "finding",
        }
    }
}

/// Every partition as it was committed.
type Partitions = Vec<(Str, i32, PartitionImage)>;

/// A wait that has begun, with what was so before: what happens is told by what is otherwise since.
#[derive(Clone, Debug)]
pub enum Wait {
    /// Until it is so.
    So(Condition),
    /// An append, after so many events.
    Append(u64),
    /// An ack, after so many events.
    Ack(u64),
    /// So many records consumers were given.
    Records(u64),
    /// A retry, after so many events.
    Retry(u64),
    /// The quorum's newest epoch, and the partitions.
    Election(Option<i32>, Partitions),
    /// The partitions.
    IsrChange(Partitions),
    /// A rebalance, after so many events.
    Rebalance(u64),
    /// So many findings.
    Finding(usize),
}

impl Wait {
    /// Begins to wait.
    pub fn begin(world: &World, awaited: &Awaited) -> Wait {
        let happening = match awaited {
            Awaited::So(condition) => return Wait::So(condition.clone()),
            Awaited::Next(happening) => happening,
        };
        match happening {
            Happening::Append => Wait::Append(world.events()),
            Happening::Ack => Wait::Ack(world.events()),
            Happening::Records => Wait::Records(world.consumed_by_all()),
            Happening::Retry => Wait::Retry(world.events()),
            Happening::Election => Wait::Election(world.checks().quorum_epoch(), partitions(world)),
            Happening::IsrChange => Wait::IsrChange(partitions(world)),
            Happening::Rebalance => Wait::Rebalance(world.events()),
            Happening::Finding => Wait::Finding(world.checks().findings().len()),
        }
    }

    /// True once it has come. Who waits for something to happen asks after each event.
    pub fn is_over(&self, world: &World) -> bool {
        use client::GroupEvent::{Joined, Rejoins};
        let of_nodes = |after: u64, is: fn(&node::Event) -> bool| {
            world.events() > after && world.last().node_events.iter().any(is)
        };
        let of_clients = |after: u64, is: fn(&client::Event) -> bool| {
            world.events() > after && world.last().client_events.iter().any(is)
        };
        match self {
            Wait::So(condition) => world.holds(condition),
            Wait::Append(after) => of_nodes(*after, |it| matches!(it, node::Event::Appended { .. })),
            Wait::Ack(after) => of_clients(*after, |it| matches!(it, client::Event::BatchAcked { .. })),
            Wait::Records(before) => world.consumed_by_all() > *before,
            Wait::Retry(after) => of_clients(*after, |it| matches!(it, client::Event::BatchRetried { .. })),
            Wait::Election(epoch, before) => {
                let elected = |was: &PartitionImage, is: &PartitionImage| {
                    is.leader.is_some() && is.leader_epoch > was.leader_epoch
                };
                world.checks().quorum_epoch() > *epoch || differs(world, before, elected)
            }
            Wait::IsrChange(before) => differs(world, before, |was, is| {
                // Whoever knows most after a node ended may know less than that one did.
                is.partition_epoch > was.partition_epoch
                    && (was.isr.len() != is.isr.len() || was.isr.iter().any(|it| !is.isr.contains(it)))
            }),
            Wait::Rebalance(after) => {
                of_clients(*after, |it| matches!(it, client::Event::Group(Joined { .. } | Rejoins { .. })))
            }
            Wait::Finding(before) => {
                let found = world.checks().findings().get(*before..).unwrap_or_default();
                found.iter().any(|it| it.verdict != Verdict::Kept)
            }
        }
    }
}

fn partitions(world: &World) -> Partitions {
    let topics = world.best_image().into_iter().flat_map(node::image::Image::topics);
    let mut partitions = Vec::new();
    topics.for_each(|topic: &TopicImage| {
        partitions.extend(topic.partitions.iter().map(|(index, it)| (topic.name.clone(), *index, it.clone())));
    });
    partitions
}

/// True if a partition that was there before is not as it was, as far as any node knows.
fn differs(world: &World, before: &Partitions, differs: impl Fn(&PartitionImage, &PartitionImage) -> bool) -> bool {
    let Some(image) = world.best_image() else { return false };
    before.iter().any(|(topic, index, was)| {
        let is = image.topic(topic).and_then(|it| it.partitions.get(index));
        is.is_some_and(|is| differs(was, is))
    })
}
