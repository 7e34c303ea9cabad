//! What is not in sight any more and was: logs of brokers that ended, records that were cut off.

use std::sync::Arc;

use protocol::{Str, TopicPartition};
use sim::Action;
use sim::history::Stamped;

use super::Engine;
use super::ticks::up;
use crate::look::{self, Ghost};
use crate::view::Partition;
use crate::why;

impl Engine {
    /// What was in the logs of the brokers that do not run before they ended; who ended last is the last.
    pub(super) fn ghosts(&mut self) -> Vec<Ghost> {
        let world = self.history.world();
        let brokers: Vec<Str> = world.setup().brokers.iter().map(|it| it.name.clone()).collect();
        let (now, up) = (world.events(), up(world));
        let branch = self.history.branch().to_owned();
        let mut last: Vec<(u64, String)> = Vec::new();
        for (index, broker) in brokers.iter().enumerate() {
            // One that starts has not opened its logs yet: until then they are as they were.
            if up & 1 << index != 0 && world.is_serving(broker) {
                continue;
            }
            let ends = self.ticks.get(self.history.current()).map_or(&[][..], |it| &it.ends);
            if let Some((event, _)) = ends.iter().rfind(|it| it.0 <= now && it.1 & 1 << index != 0) {
                last.push((*event, broker.to_string()));
            }
        }
        ordered::sort(&mut last);
        let mut ghosts = Vec::new();
        for (event, broker) in last {
            ghosts.push(Ghost { broker, seen: self.seen_before(&branch, event) });
        }
        ghosts
    }

    /// The partitions before a broker ended, which was the event or an action after it.
    fn seen_before(&mut self, branch: &str, event: u64) -> Arc<Vec<Partition>> {
        let key = (branch.to_owned(), event);
        if !self.ghosts.contains_key(&key) {
            // It ended by itself, or in a scenario. A look into the past, and back to this moment.
            let ended_by = |it: &&Stamped| it.after == event && may_end_broker(&it.action);
            let action = self.history.actions().iter().find(ended_by).map(|it| (it.turns, it.at));
            let seen = why::and_back(&mut self.history, |history| {
                history.seek(event.saturating_sub(1));
                if let Some((turns, at)) = action {
                    history.stand_at(turns, at);
                }
                look::led(history.world())
            });
            self.ghosts.insert(key.clone(), Arc::new(seen));
        }
        self.ghosts.get(&key).cloned().unwrap_or_default()
    }

    /// Knows what the last event cut off logs.
    pub(super) fn learn_cuts(&mut self) {
        let world = self.history.world();
        let (event, last) = (world.events(), world.last());
        if (self.cuts.1, &*self.cuts.0) == (event, self.history.branch()) {
            return;
        }
        let broker = world.name(last.process).to_string();
        let mut cut: Vec<(TopicPartition, i64)> = Vec::new();
        for it in &last.node_events {
            if let node::Event::Truncated { topic, partition, offset } = it {
                cut.push((TopicPartition { topic: topic.clone(), partition: *partition }, offset.0));
            }
        }
        self.cuts = (self.history.branch().to_owned(), event, Vec::new());
        if !cut.is_empty() {
            let gone = why::and_back(&mut self.history, |history| {
                history.seek(event - 1);
                let look = |(place, from): &(TopicPartition, i64)| {
                    let records = look::window(history.world(), &broker, place, *from, i64::MAX);
                    (broker.clone(), place.to_string(), Arc::new(records))
                };
                cut.iter().map(look).collect()
            });
            self.cuts.2 = gone;
        }
    }
}

/// True for an action after which a broker may be gone at once. One that ends by itself is seen when it does.
pub(super) fn may_end_broker(action: &Action) -> bool {
    matches!(action, Action::Kill(_) | Action::PowerCut(_) | Action::PowerCutTorn(_))
}
