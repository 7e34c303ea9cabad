//! What a script waits for, from the moment on at which it begins to.

use node::image::{PartitionImage, TopicImage};
use protocol::Str;

use super::Condition;
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

/// A wait that has begun.
#[derive(Clone, Debug)]
pub struct Wait {
    condition: Condition,
    /// How many events there had been, findings, and records that consumers were given.
    events: u64,
    findings: usize,
    consumed: u64,
    /// The quorum's newest epoch, and every partition as it was committed.
    quorum_epoch: Option<i32>,
    partitions: Vec<(Str, i32, PartitionImage)>,
}

impl Wait {
    /// Begins to wait.
    pub fn begin(world: &World, condition: &Condition) -> Wait {
        let mut partitions = Vec::new();
        if matches!(condition, Condition::Next(Happening::Election | Happening::IsrChange)) {
            let add = |topic: &TopicImage| {
                let all = topic.partitions.iter().map(|(index, it)| (topic.name.clone(), *index, it.clone()));
                partitions.extend(all);
            };
            world.best_image().into_iter().flat_map(node::image::Image::topics).for_each(add);
        }
        Wait {
            condition: condition.clone(),
            events: world.events(),
            findings: world.checks().findings().len(),
            consumed: world.consumed_by_all(),
            quorum_epoch: world.checks().quorum_epoch(),
            partitions,
        }
    }

    /// What is waited for.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// True once it has come. Who waits for something to happen asks after each event.
    pub fn is_over(&self, world: &World) -> bool {
        let Condition::Next(happening) = &self.condition else { return world.holds(&self.condition) };
        let last = world.last();
        if world.events() == self.events {
            return false;
        }
        match happening {
            Happening::Append => last.node_events.iter().any(|it| matches!(it, node::Event::Appended { .. })),
            Happening::Ack => last.client_events.iter().any(|it| matches!(it, client::Event::BatchAcked { .. })),
            Happening::Records => world.consumed_by_all() > self.consumed,
            Happening::Retry => last.client_events.iter().any(|it| matches!(it, client::Event::BatchRetried { .. })),
            Happening::Election => {
                let elected = |was: &PartitionImage, is: &PartitionImage| {
                    is.leader.is_some() && is.leader_epoch > was.leader_epoch
                };
                world.checks().quorum_epoch() > self.quorum_epoch || self.differs(world, elected)
            }
            Happening::IsrChange => self.differs(world, |was, is| {
                // Whoever knows most after a node ended may know less than that one did.
                is.partition_epoch > was.partition_epoch
                    && (was.isr.len() != is.isr.len() || was.isr.iter().any(|it| !is.isr.contains(it)))
            }),
            Happening::Rebalance => last.client_events.iter().any(|it| {
                use client::GroupEvent::{Joined, Rejoins};
                matches!(it, client::Event::Group(Joined { .. } | Rejoins { .. }))
            }),
            Happening::Finding => {
                let found = world.checks().findings().get(self.findings..).unwrap_or_default();
                found.iter().any(|it| it.verdict != Verdict::Kept)
            }
        }
    }

    /// True if a partition that was there before is not as it was, as far as any node knows.
    fn differs(&self, world: &World, differs: impl Fn(&PartitionImage, &PartitionImage) -> bool) -> bool {
        let Some(image) = world.best_image() else { return false };
        self.partitions.iter().any(|(topic, index, was)| {
            let is = image.topic(topic).and_then(|it| it.partitions.get(index));
            is.is_some_and(|is| differs(was, is))
        })
    }
}
