//! Which topics a member wants to share in: named, or all that match a pattern.

use ordered::Set;
use protocol::{Str, TopicPartition};

use super::Group;
use crate::client::Context;
use crate::consumer::Consumer;
use crate::input::OpId;
use crate::outbox::{Answer, Cause, Failure};
use crate::pattern::TopicPattern;

const ENDING: &str = "The subscription is ending: what it has brought is being given up";
const EXCLUSIVE: &str = "Subscription to topics, partitions and pattern are mutually exclusive";

/// A subscription by a pattern.
#[derive(Clone, Debug)]
pub(super) struct ByPattern {
    pattern: TopicPattern,
    /// Of the answers about all topics, how many were looked at.
    seen: u64,
    look: Look,
}

/// Whether a member of the classic protocol knows which topics there are, before it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is to ask.
    Due,
    /// It does, once so many answers had come.
    Since(u64),
    Done,
}

impl Group {
    pub(crate) fn subscribe(&mut self, op: OpId, topics: Vec<Str>, consumer: &mut Consumer, context: &mut Context<'_>) {
        if self.ending.is_some() {
            return context.out.failed(op, Failure::new(Cause::Illegal, ENDING));
        }
        if topics.is_empty() {
            // Told when it is so: what it has may have to be given up first.
            return self.ending = Some(op);
        }
        if consumer.assigns_itself() || self.by_pattern.is_some() {
            return context.out.failed(op, Failure::new(Cause::Illegal, EXCLUSIVE));
        }
        for topic in &topics {
            context.metadata.want(topic, context.config.allow_auto_create_topics);
        }
        self.subscribed = topics.into_iter().collect();
        self.polled_at = context.now.mono;
        consumer.subscribed(true);
        self.member.tell_all();
        context.out.done(op, Answer::Done);
    }

    /// It is in no group any more, and wants no topics.
    pub(super) fn unsubscribe(&mut self, consumer: &mut Consumer, context: &mut Context<'_>) {
        if self.by_pattern.take().is_some() {
            context.metadata.watch(None);
        }
        self.subscribed = Set::new();
        consumer.subscribed(false);
    }

    pub(crate) fn subscribe_pattern(
        &mut self,
        op: OpId,
        pattern: TopicPattern,
        consumer: &mut Consumer,
        context: &mut Context<'_>,
    ) {
        if self.ending.is_some() {
            return context.out.failed(op, Failure::new(Cause::Illegal, ENDING));
        }
        if consumer.assigns_itself() || (self.by_pattern.is_none() && !self.subscribed.is_empty()) {
            return context.out.failed(op, Failure::new(Cause::Illegal, EXCLUSIVE));
        }
        if pattern.text().is_empty() {
            let why = "Topic pattern to subscribe to cannot be empty";
            return context.out.failed(op, Failure::new(Cause::Illegal, why));
        }
        context.metadata.watch(Some(pattern.clone()));
        self.subscribed = context.metadata.matching(context.config);
        let seen = context.metadata.told_all();
        self.by_pattern = Some(ByPattern { pattern, seen, look: Look::Since(seen) });
        self.polled_at = context.now.mono;
        consumer.subscribed(true);
        self.member.tell_all();
        context.out.done(op, Answer::Done);
    }

    /// True if partitions come from the group.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.subscribed.is_empty() || self.by_pattern.is_some()
    }

    /// Topics that have come or gone since the last look.
    pub(super) fn match_topics(&mut self, context: &Context<'_>) {
        let Some(by) = &mut self.by_pattern else { return };
        let told = context.metadata.told_all();
        if by.seen != told {
            by.seen = told;
            self.subscribed = context.metadata.matching(context.config);
        }
    }

    /// Before it joins, a member asks once more which topics there are: all who join because one was created then name it, and
    /// the group does not rebalance again for each of them.
    pub(super) fn has_looked(&mut self, context: &mut Context<'_>) -> bool {
        let Some(by) = &mut self.by_pattern else { return true };
        let told = context.metadata.told_all();
        by.look = match by.look {
            Look::Due if context.metadata.is_fresh(context.now) => Look::Done,
            Look::Due => {
                context.metadata.request_update();
                Look::Since(told)
            }
            Look::Since(before) if told > before => Look::Done,
            look => look,
        };
        by.look == Look::Done
    }

    /// It has joined: before it does so again, it looks again.
    pub(super) fn looks_again(&mut self) {
        if let Some(by) = &mut self.by_pattern {
            by.look = Look::Due;
        }
    }

    /// False if a leader has assigned what this member does not want. Of topics that match, the leader may know more.
    pub(super) fn takes(&mut self, assigned: &[TopicPartition]) -> bool {
        let Some(by) = &self.by_pattern else { return assigned.iter().all(|it| self.subscribed.contains(&it.topic)) };
        if !assigned.iter().all(|it| by.pattern.matches(&it.topic)) {
            return false;
        }
        let topics: Set<Str> = assigned.iter().map(|it| it.topic.clone()).collect();
        self.subscribed.extend(topics.iter().cloned());
        self.classic.joined_with.extend(topics);
        true
    }
}
