//! Everything converges once faults end. While nothing is broken any more it is looked once a second of the world's time, until
//! all is as it should be; then not again before the next fault.

use client::{GroupProtocol, MemberState};
use node::Scope;
use node::image::{Image, Resource, TopicImage};
use ordered::Set;
use protocol::{Instant, Offset, Str, TopicPartition};

use super::{Power, Process, World};
use crate::action::Action;
use crate::groups::{Group, Member, OFFSETS_TOPIC};
use crate::queue::Pid;
use crate::setup::Setup;

/// How often it is looked, in µs.
const LOOK_US: u64 = 1_000_000;
/// How long it may take besides two sessions of a broker, and of groups besides the longest time that a member may be silent.
const PATIENCE_MS: i64 = 60_000;
/// So many steps after each other it may take, each as long as the slowest message, disk and host make it.
const ROUNDS: u64 = 100;

/// Since when nothing is broken, and what has come to rest since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calm {
    since: Instant,
    look_at: Instant,
    /// What was committed of the metadata when it was looked last.
    committed: Offset,
    is_cluster_at_rest: bool,
    are_groups_at_rest: bool,
}

impl Calm {
    /// Something was broken or asked for: all has its time again.
    pub(super) fn begin(&mut self, now: Instant) {
        let look_at = Instant(now.0.saturating_add(LOOK_US));
        *self = Calm { since: now, look_at, committed: self.committed, ..Calm::default() };
    }
}

/// True of what changes no more than the records that are there.
pub(super) fn is_of_records(action: &Action) -> bool {
    matches!(action, Action::Produce(_) | Action::WireProduce(_) | Action::Load(_) | Action::Unload(_))
}

impl World {
    /// Looks whether all is as it should be, if it is time to.
    pub(super) fn watch_calm(&mut self) {
        let now = self.clock;
        if now < self.calm.look_at {
            return;
        }
        self.calm.look_at = self.after(LOOK_US);
        if self.is_broken() {
            return self.calm.begin(now);
        }
        if !self.calm.is_cluster_at_rest {
            let restless = self.restless_cluster();
            self.calm.committed = self.best_image().map_or(Offset(0), Image::next_offset);
            self.calm.is_cluster_at_rest = self.is_settled(restless, 0);
        } else if !self.calm.are_groups_at_rest {
            let (restless, longest_ms) = self.restless_groups();
            self.calm.are_groups_at_rest = self.is_settled(restless, longest_ms);
        }
    }

    /// True if there is nothing more to look for: all is at rest, or it was told that something is not.
    fn is_settled(&mut self, restless: Option<String>, longest_ms: i64) -> bool {
        let Some(what) = restless else { return true };
        let sessions = self.processes.iter().filter_map(Process::broker).map(|it| it.config.broker_session_timeout_ms);
        let rounds_ms = i64::try_from(ROUNDS * self.slowest_us() / 1_000).unwrap_or(i64::MAX);
        let patience_ms = PATIENCE_MS + 2 * i64::from(sessions.max().unwrap_or(0)) + longest_ms;
        let patience_ms = patience_ms.saturating_add(rounds_ms);
        if self.clock < self.calm.since.plus_ms(patience_ms) {
            return false;
        }
        let seconds = (self.clock.0 - self.calm.since.0) / 1_000_000;
        self.checks.restless(self.events, format!("{seconds} s after the last fault {what}"));
        true
    }

    /// How long one step may take: a message, a write that is synced, and a host that is late.
    fn slowest_us(&self) -> u64 {
        let Setup { network_us, disk_us, sync_us, timers_us, .. } = &*self.setup;
        [network_us.1, disk_us.1, sync_us.1, timers_us.1].into_iter().fold(0, u64::saturating_add)
    }

    /// A fault has not ended, or is one that nothing mends.
    fn is_broken(&self) -> bool {
        let image = self.best_image();
        let suffers = |process: &Process| {
            let Some(broker) = process.broker() else { return process.paused };
            let known = image.and_then(|it| it.broker(broker.config.node_id)).map_or(0, |it| it.directories.len());
            // A directory that was given up is until its broker is started again.
            let has_lost = known > 0 && known < broker.config.replica_dirs;
            let is_slow = broker.slow_us > 0 || !broker.store.disk().is_well();
            process.paused || process.power != Power::Up || is_slow || has_lost
        };
        let is_cut = !self.cuts.is_empty() || !self.delays.is_empty();
        // Whose heartbeat is not answered within its session is fenced for ever, or again and again.
        let answered_ms = i64::try_from(self.slowest_us().saturating_mul(2) / 1_000).unwrap_or(i64::MAX);
        let brokers = || self.processes.iter().filter_map(Process::broker);
        let is_glacial = brokers().any(|it| i64::from(it.config.broker_session_timeout_ms) <= answered_ms);
        // Who came to vote and lost its disk is a voice less, and enough of them leave nobody who could be elected.
        let is_voiceless = || {
            let was_wiped = brokers().any(|it| it.wipes > 0);
            was_wiped && self.active_controller().is_none()
        };
        is_cut || is_glacial || self.processes.iter().any(suffers) || self.checks.promises_nothing() || is_voiceless()
    }

    /// What of brokers, controllers and replicas is not as it should be.
    fn restless_cluster(&self) -> Option<String> {
        let Some(controller) = self.active_controller() else { return Some("nobody leads the metadata quorum".into()) };
        let Some(image) = self.best_image() else { return Some("nobody runs".into()) };
        let leader = self.node_id(controller);
        for process in &self.processes {
            let Some(broker) = process.broker() else { continue };
            let (Some(node), id) = (&broker.node, broker.config.node_id) else { continue };
            let name = &process.name;
            if node.view(&Scope::Node).metadata.leader != Some(leader) {
                return Some(format!(
                    "{name} does not follow {}, which leads the metadata quorum",
                    self.name(controller)
                ));
            }
            let applied = node.image().next_offset();
            if applied < self.calm.committed {
                let committed = self.calm.committed;
                return Some(format!("{name} has applied the metadata up to {applied}, and {committed} is committed"));
            }
            if broker.config.roles.broker && !(broker.serving && image.broker(id).is_some_and(|it| !it.fenced)) {
                return Some(format!("{name} does not serve, or is fenced"));
            }
        }
        let is_throttled = |topic: &Str| {
            let keys = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
            keys.iter().any(|key| image.setting(&Resource::topic(topic), key).is_some())
        };
        let (is_produced, is_committed) = (self.is_produced(), self.is_committed());
        let gets_records = |it: &TopicImage| is_produced || (is_committed && *it.name == *OFFSETS_TOPIC);
        let mut behind = self.behind_in(image, |it| !gets_records(it));
        let (topic, partition) = behind.find(|(topic, _)| !is_throttled(&topic.name))?;
        Some(format!("{}-{partition} has no leader, or not all its replicas are in sync and equal", topic.name))
    }

    /// Records are still being sent.
    fn is_produced(&self) -> bool {
        self.processes.iter().zip(0..).any(|(process, index)| {
            let Some(actor) = process.actor().filter(|it| it.client.is_some()) else { return false };
            let is_open = actor.load.as_ref().is_some_and(|it| it.load.count.is_none_or(|count| it.sent < count));
            is_open || self.checks.unsettled(Pid(index)) > 0
        })
    }

    /// Consumers commit by themselves, again and again, whether or not there is anything new.
    fn is_committed(&self) -> bool {
        let mut actors = self.processes.iter().filter_map(Process::actor);
        actors.any(|it| it.client.is_some() && it.config.group_id.is_some() && it.config.enable_auto_commit)
    }

    /// A group that is not at rest, and the longest time for which one waits for a member.
    fn restless_groups(&self) -> (Option<String>, i64) {
        let brokers = || self.processes.iter().filter_map(Process::broker).map(|it| &it.config.groups);
        // A group that is new waits for others; the session of a member of KIP-848 is its coordinator's.
        let delay_ms = brokers().map(|it| it.initial_rebalance_delay_ms).max().unwrap_or(0);
        let session_ms = brokers().map(|it| it.consumer.session_timeout_ms).max().unwrap_or(0);
        let members = self.processes.iter().filter_map(Process::actor).filter(|it| it.config.group_id.is_some());
        let silence = members.map(|it| {
            let session_ms = match it.config.group_protocol {
                GroupProtocol::Classic => it.config.classic_session_ms(),
                GroupProtocol::Consumer => session_ms.into(),
            };
            it.config.max_poll_interval_ms.saturating_add(session_ms.max(delay_ms.into()))
        });
        let longest_ms = silence.max().unwrap_or(0);
        // Nobody coordinates where the topic of the groups cannot be: there are too few brokers.
        let Some(image) = self.best_image().filter(|it| it.topic(OFFSETS_TOPIC).is_some()) else {
            return (None, longest_ms);
        };
        let restless = self.groups().iter().find_map(|it| self.restless_group(image, it));
        (restless, longest_ms)
    }

    fn restless_group(&self, image: &Image, group: &Group) -> Option<String> {
        let actor = |it: &Member| self.pid(&it.client).ok().and_then(|pid| self.process(pid).actor());
        let runs = |it: &&Member| actor(it).is_some_and(|it| it.client.as_ref().is_some_and(|it| !it.is_closed()));
        let members: Vec<&Member> = group.members.iter().filter(runs).collect();
        // Whose application polls when somebody says so, or is long at a record, may leave and come back for ever; who was
        // refused for good waits for its application.
        let is_free = |it: &&Member| {
            it.slow_us == 0 && it.state != MemberState::Failed && actor(it).is_some_and(|it| it.follow.is_some())
        };
        if members.is_empty() || !members.iter().all(is_free) {
            return None;
        }
        let is_at_rest = |it: &&&Member| it.state == MemberState::Member && it.epoch == group.epoch;
        if let Some(member) = members.iter().find(|it| !is_at_rest(it)) {
            return Some(format!("{} is on its way in the group {}", member.client, group.id));
        }
        let told = members.iter().filter_map(|it| actor(it)?.client.as_ref()?.group());
        let topics: Set<Str> = told.flat_map(|it| it.topics).collect();
        for topic in topics.iter().filter_map(|it| image.topic(it)) {
            for index in 0..topic.partitions.len() as i32 {
                let is = |at: &TopicPartition| at.topic == topic.name && at.partition == index;
                // Another topic may have had the name.
                let is_read = group.partitions.iter().any(|it| is(&it.partition) && it.owners.len() == 1);
                if !is_read {
                    return Some(format!("{}-{index} has no reader in the group {}, or two", topic.name, group.id));
                }
            }
        }
        None
    }
}
