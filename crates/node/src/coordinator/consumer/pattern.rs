//! Regular expressions that members subscribe to: which topics each stands for is looked up for the whole group, at most every
//! ten seconds, and written down.

use std::fmt;
use std::sync::Arc;

use ordered::Map;
use protocol::messages::{ConsumerGroupMemberMetadataValue, ConsumerGroupRegularExpressionValue};
use protocol::{ErrorCode, Str};

use super::heartbeat::PatternChange;
use super::record::ConsumerChange;
use super::{ConsumerMember, Draft, Shard};
use crate::coordinator::shard::{Kind, Turn};
use crate::event::Event;
use crate::refusal::Refusal;

/// A group's regular expressions are not looked up more often than this.
const REFRESH_AT_MOST_EVERY_MS: i64 = 10_000;

/// Finds topics by regular expressions in RE2's syntax. What a topic is found by must not depend on the host: a group that moves
/// from one to another must not see other topics.
pub trait TopicPatterns: fmt::Debug + Send + Sync {
    /// Those of the names that the whole of the pattern matches; or what is wrong with the pattern.
    fn matching(&self, pattern: &str, names: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String>;
}

/// For hosts whose consumers name their topics.
#[derive(Clone, Copy, Debug)]
pub struct NoPatterns;

impl TopicPatterns for NoPatterns {
    fn matching(&self, _: &str, _: &mut dyn Iterator<Item = &Str>) -> Result<Vec<Str>, String> {
        Err("this host has no regular expressions".to_owned())
    }
}

impl Draft {
    /// What becomes of a member's regular expression, and which one nobody subscribes to any more.
    pub(super) fn change_of_pattern(
        &self,
        turn: &Turn<'_>,
        before: &ConsumerMember,
        wants: &ConsumerGroupMemberMetadataValue,
    ) -> Result<(PatternChange, Option<Str>), Refusal> {
        let new = wants.subscribed_topic_regex.as_ref().filter(|it| !it.is_empty());
        let old = before.pattern();
        if new == old {
            return Ok((PatternChange::None, None));
        }
        let ended = old.filter(|it| self.group.pattern_subscribers(it) == 1).cloned();
        let Some(new) = new else { return Ok((PatternChange::Resolved, ended)) };
        if self.group.pattern_subscribers(new) == 0 {
            turn.patterns.matching(new, &mut std::iter::empty()).map_err(|what| {
                Refusal::new(ErrorCode::InvalidRegularExpression, format!("{new:?} is no regular expression: {what}"))
            })?;
        } else if self.group.patterns.contains_key(new) {
            return Ok((PatternChange::Resolved, ended));
        }
        Ok((PatternChange::Updated, ended))
    }

    /// Whether the topics of regular expressions are to be looked up: there is a new one, there are new topics, or it is long
    /// ago.
    pub(super) fn must_resolve(&self, turn: &Turn<'_>) -> bool {
        let subscribed = &self.group.wanted_patterns;
        if subscribed.is_empty() {
            return false;
        }
        let elapsed_ms = |since: i64| turn.now.wall.0.saturating_sub(since);
        if self.group.resolve_failed_ms.is_some_and(|it| elapsed_ms(it) <= REFRESH_AT_MOST_EVERY_MS) {
            return false;
        }
        let Some(last) = self.group.patterns.values().next() else { return true };
        let age_ms = elapsed_ms(last.timestamp);
        age_ms > REFRESH_AT_MOST_EVERY_MS
            && (subscribed.len() != self.group.patterns.len()
                || last.version < turn.topics_since.0
                || age_ms > turn.config.consumer.regex_refresh_interval_ms)
    }
}

impl Shard {
    /// Looks up what a group's regular expressions stand for now, and has partitions divided anew if that has changed.
    pub(super) fn resolve_patterns(&mut self, turn: &mut Turn<'_>, id: &Str) {
        let Some(group) = self.consumers(id) else { return };
        let mut draft = Draft::of(id, group.clone());
        let version = turn.image.next_offset().0;
        let mut found: Map<Str, Vec<Str>> = Map::new();
        for pattern in draft.group.wanted_patterns.keys() {
            let mut names = turn.image.topics().map(|it| &it.name);
            let topics = match turn.patterns.matching(pattern, &mut names) {
                Ok(topics) => super::heartbeat::in_order(topics),
                // One that another Kafka took may be none here: it goes on standing for what that found.
                Err(what) => {
                    turn.out.emit(|| Event::Warning {
                        what: format!("group {id}: the topics of {pattern:?} were not looked up: {what}"),
                    });
                    draft.group.patterns.get(pattern).map(|it| it.topics.clone()).unwrap_or_default()
                }
            };
            found.insert(pattern.clone(), topics);
        }
        let mut have_changed = false;
        for (pattern, topics) in found {
            let old = draft.group.patterns.get(&pattern).map(|it| it.topics.as_slice()).unwrap_or_default();
            have_changed |= old != topics;
            let value = ConsumerGroupRegularExpressionValue { topics, version, timestamp: turn.now.wall.0 };
            draft.record(ConsumerChange::Pattern(pattern, Some(value)));
        }
        draft.look(turn.image, have_changed);
        // What is refused, and told of by the append, is tried again after a while.
        let failed_ms = self.commit_draft(turn, draft).is_err().then_some(turn.now.wall.0);
        if let Some(Kind::Consumer { group, .. }) = self.kind_mut(id)
            && group.resolve_failed_ms != failed_ms
        {
            Arc::make_mut(group).resolve_failed_ms = failed_ms;
        }
    }
}
