//! The ear of an application that wants to act before the membership goes on: Kafka's `ConsumerRebalanceListener`. There it is
//! called within a poll. Here it is told by the outcome of [`crate::Operation::Listen`], and is done when it listens again.

use std::collections::VecDeque;

use protocol::TopicPartition;

use super::Group;
use crate::client::Context;
use crate::consumer::Consumer;
use crate::input::OpId;
use crate::outbox::{Answer, Cause, Failure, Outbox, Rebalance};

/// Who hears of rebalances, and what it knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    ear: Ear,
    /// What happened while it acted, oldest first.
    untold: VecDeque<Rebalance>,
    /// It was told that these are revoked; they are still here.
    revoked: Vec<TopicPartition>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Ear {
    /// The application never listened: nothing waits for it.
    #[default]
    Deaf,
    Listens(OpId),
    /// It was told something, and is not done with it.
    Acts,
}

impl Listener {
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.ear, Ear::Deaf)
    }

    /// The membership waits for the application, as far as it may.
    pub(super) fn acts(&self) -> bool {
        matches!(self.ear, Ear::Acts)
    }

    pub(super) fn pending(&self) -> Option<OpId> {
        match self.ear {
            Ear::Listens(op) => Some(op),
            Ear::Deaf | Ear::Acts => None,
        }
    }

    fn listen(&mut self, op: OpId, out: &mut Outbox) {
        match self.untold.pop_front() {
            Some(what) => out.done(op, Answer::Rebalance(what)),
            None => self.ear = Ear::Listens(op),
        }
    }

    pub(super) fn tell(&mut self, what: Rebalance, out: &mut Outbox) {
        match self.ear {
            Ear::Deaf => {}
            Ear::Acts => self.untold.push_back(what),
            Ear::Listens(op) => {
                out.done(op, Answer::Rebalance(what));
                self.ear = Ear::Acts;
            }
        }
    }

    /// It takes this partition for revoked: it goes, whatever is wanted by now.
    pub(super) fn was_told_revoked(&self, partition: &TopicPartition) -> bool {
        self.revoked.contains(partition)
    }

    /// Something is still here that it takes for revoked.
    pub(super) fn is_ahead(&self) -> bool {
        !self.revoked.is_empty()
    }

    /// What is given up now. Tells which of it the application does not know to be revoked.
    pub(super) fn gone(&mut self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        let known = std::mem::take(&mut self.revoked);
        partitions.iter().filter(|it| !known.contains(it)).cloned().collect()
    }
}

impl Group {
    /// The application listens, and is done with what it was told before.
    pub(crate) fn listen(&mut self, op: OpId, context: &mut Context<'_>) {
        if self.listener.pending().is_some() {
            return context.out.failed(op, Failure::new(Cause::Illegal, "The application listens already."));
        }
        self.listener.listen(op, context.out);
    }

    /// True while the application does what it wants to do before the membership goes on.
    pub(crate) fn acts(&self) -> bool {
        self.listener.acts()
    }

    /// Whether these can be given up: not before the application knows of it and is done. Nothing more is read of them meanwhile.
    pub(super) fn lets_go(
        &mut self,
        partitions: &[TopicPartition],
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) -> bool {
        let listener = &mut self.listener;
        let untold: Vec<_> = partitions.iter().filter(|it| !listener.was_told_revoked(it)).cloned().collect();
        if listener.is_there() && !untold.is_empty() {
            consumer.release(&untold);
            listener.revoked.extend(untold.iter().cloned());
            listener.tell(Rebalance::Revoked(untold), context.out);
        }
        !listener.acts()
    }
}
