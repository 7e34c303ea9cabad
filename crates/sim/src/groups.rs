//! Consumer groups as plain data: who is in them, who reads what, how far they are. For the lab, and for questions of a script.

use client::{GroupEvent, GroupProtocol, MemberState};
use node::{Coordinated, Node};
use ordered::Map;
use protocol::{Instant, Offset, Str, TopicPartition};

use crate::queue::Pid;
use crate::world::{Power, Process, World};

/// Where groups and what they commit are kept.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// A consumer group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// `group.id`.
    pub id: Str,
    /// How its members agree; as the first of them has it.
    pub protocol: GroupProtocol,
    /// The rule by which partitions are shared out, once a member knows it.
    pub assignor: Option<Str>,
    /// The broker that coordinates it, if one does now.
    pub coordinator: Option<Str>,
    /// What the coordinator says of it, in Kafka's words (`Stable`, `PreparingRebalance`, …).
    pub state: Option<Str>,
    /// The newest generation or member epoch that a member was told; -1 before the first.
    pub epoch: i32,
    /// Consumers that ever joined it or commit for it, in order of creation.
    pub members: Vec<Member>,
    /// The partitions of the topics that members subscribed to, in order.
    pub partitions: Vec<Partition>,
    /// How often members were told a new generation or epoch, each once.
    pub rebalances: u64,
    /// Paused-partition-time so far, in µs: for each partition that somebody read before, how long nobody did.
    pub paused_us: u64,
    /// The consumer that came last: it said something of the group for the first time since its process began.
    pub newcomer: Option<Str>,
    /// When that was.
    pub newcomer_at: Option<Instant>,
    /// How many of `rebalances` were since then.
    pub rebalances_since_newcomer: u64,
    /// What of `paused_us` passed since then.
    pub paused_since_newcomer_us: u64,
    /// When a member was assigned partitions last.
    pub shared_at: Option<Instant>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The consumer's name.
    pub client: Str,
    /// Whether its process runs.
    pub power: Power,
    /// Its process stands still.
    pub paused: bool,
    /// Its id in the group; empty before it has one, and while its process does not run.
    pub member_id: Str,
    /// `group.instance.id`.
    pub instance: Option<Str>,
    /// Where it believes to be in the protocol.
    pub state: MemberState,
    /// Generation or member epoch that it believes in; negative while it is in none.
    pub epoch: i32,
    /// It shares the partitions out (classic).
    pub is_leader: bool,
    /// The coordinator counts it among the members, be it alive or not.
    pub is_counted: bool,
    /// What it believes to be its own, in order.
    pub owned: Vec<TopicPartition>,
    /// Of those, what it commits and gives up: others wait for this.
    pub releasing: Vec<TopicPartition>,
    /// What its coordinator has it get and it does not have yet, in order (KIP-848).
    pub awaiting: Vec<TopicPartition>,
    /// When a heartbeat of it was answered last.
    pub heard_at: Option<Instant>,
    /// When it leaves if its application does not poll before (`max.poll.interval.ms`); `None` while it polls.
    pub poll_until: Option<Instant>,
    /// How long its application is at each record, in µs.
    pub slow_us: u64,
}

/// A partition as its group has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// Which.
    pub partition: TopicPartition,
    /// The consumers that believe it to be their own: one, none while it moves, two if one of them is out and does not know.
    pub owners: Vec<Str>,
    /// Where its owner reads next, if it knows.
    pub position: Option<Offset>,
    /// What was committed last, if anything ever was.
    pub committed: Option<Offset>,
    /// Its first offset.
    pub log_start: Offset,
    /// Readers see everything below.
    pub high_watermark: Offset,
    /// One past its last record.
    pub end: Offset,
    /// Nobody reads it since then, though somebody did before.
    pub paused_since: Option<Instant>,
    /// How long that was so in all, in µs.
    pub paused_us: u64,
    /// How long since the group's newcomer came.
    pub paused_since_newcomer_us: u64,
    /// The consumer that gave it up, ended or stood still when nobody read it last since then.
    pub freed_by: Option<Str>,
}

impl Partition {
    /// What Kafka's tool calls lag: from what is committed to the high watermark. `None` if nothing is committed, which is not 0.
    pub fn lag(&self) -> Option<i64> {
        self.committed.map(|it| (self.high_watermark.0 - it.0).max(0))
    }
}

impl World {
    /// All groups that consumers of this world ever named, by id.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Map<Str, Group> = Map::new();
        for process in &self.processes {
            let Some(actor) = process.actor() else { continue };
            let Some(id) = &actor.config.group_id else { continue };
            let group = groups.entry(id.clone()).or_insert_with(|| Group {
                id: id.clone(),
                protocol: actor.config.group_protocol,
                assignor: None,
                coordinator: None,
                state: None,
                epoch: -1,
                members: Vec::new(),
                partitions: Vec::new(),
                rebalances: 0,
                paused_us: 0,
                newcomer: None,
                newcomer_at: None,
                rebalances_since_newcomer: 0,
                paused_since_newcomer_us: 0,
                shared_at: None,
            });
            let knows = actor.client.as_ref().map(client::Client::outline);
            let told = knows.as_ref().and_then(|it| it.group.as_ref());
            let mut member = Member {
                client: process.name.clone(),
                power: process.power,
                paused: process.paused,
                member_id: Str::new(),
                instance: actor.config.group_instance_id.clone(),
                state: MemberState::Outside,
                epoch: -1,
                is_leader: false,
                is_counted: false,
                owned: Vec::new(),
                releasing: Vec::new(),
                awaiting: Vec::new(),
                heard_at: None,
                poll_until: None,
                slow_us: actor.slow_us,
            };
            if let Some(told) = told {
                group.assignor = group.assignor.take().or_else(|| told.assignor.clone());
                member.member_id = told.member_id.clone();
                member.state = told.state;
                member.epoch = told.epoch;
                member.is_leader = told.is_leader;
                member.owned = told.owned.clone();
                member.releasing = told.releasing.clone();
                member.awaiting = told.awaiting.clone();
                member.heard_at = told.heard_at.map(|it| process.global(it));
                member.poll_until = told.poll_until.map(|it| process.global(it));
                let topics = told.topics.iter().chain(told.owned.iter().map(|it| &it.topic));
                self.add_partitions(group, topics);
            }
            for read in knows.iter().flat_map(|it| &it.consumer) {
                let found = group.partitions.iter_mut().find(|it| it.partition == read.partition);
                if let Some(partition) = found {
                    partition.owners.push(process.name.clone());
                    partition.position = read.position.or(partition.position);
                }
            }
            group.members.push(member);
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        for group in &mut groups {
            self.checks.add_to_group(self.clock, group);
            ordered::sort_by(&mut group.partitions, |a, b| a.partition.cmp(&b.partition));
            self.ask_coordinator(group);
        }
        groups
    }

    /// The node that coordinates a group, and the group as it goes by it once that is loaded. A deposed coordinator may not know
    /// of it yet: it is none.
    fn coordinator_of(&self, group: &Str) -> Option<(&Process, &Node, Option<Coordinated>)> {
        let nodes = self.processes.iter().filter_map(|it| Some((it, it.broker()?.node.as_ref()?)));
        let leading = nodes.filter_map(|(process, node)| Some((process, node, node.coordinated(group)?)));
        let (process, node, (partition, epoch, told)) = leading.max_by_key(|it| it.2.1)?;
        let newest = self.checks.newest_epoch(OFFSETS_TOPIC, partition);
        newest.is_none_or(|newest| newest <= epoch.0).then_some((process, node, told))
    }

    fn add_partitions<'a>(&self, group: &mut Group, topics: impl Iterator<Item = &'a Str>) {
        for topic in topics {
            if group.partitions.iter().any(|it| it.partition.topic == *topic) {
                continue;
            }
            for (_, partition, log_start, high_watermark, end) in self.checks.ends().filter(|it| it.0 == topic) {
                group.partitions.push(Partition {
                    partition: TopicPartition { topic: topic.clone(), partition },
                    owners: Vec::new(),
                    position: None,
                    committed: None,
                    log_start,
                    high_watermark,
                    end,
                    paused_since: None,
                    paused_us: 0,
                    paused_since_newcomer_us: 0,
                    freed_by: None,
                });
            }
        }
    }

    /// What a consumer's coordinator goes by, if that is to be held against what the consumer says.
    pub(crate) fn coordinated_for(&self, pid: Pid, said: &client::Event) -> Option<Coordinated> {
        let client::Event::Group(GroupEvent::Assigned { .. } | GroupEvent::Found { .. }) = said else { return None };
        let group = self.process(pid).actor()?.config.group_id.as_ref()?;
        self.coordinator_of(group)?.2
    }

    /// What the broker says that coordinates the group. What is committed is what it has; while there is none, it is what consumers
    /// know of it.
    fn ask_coordinator(&self, group: &mut Group) {
        let Some((process, node, coordinated)) = self.coordinator_of(&group.id) else { return };
        if let Some(committed) = node.committed_offsets(&group.id) {
            for it in &mut group.partitions {
                it.committed = committed.iter().find(|(at, _)| *at == it.partition).map(|(_, offset)| *offset);
            }
        }
        let Some(told) = node.group(&group.id) else { return };
        group.coordinator = Some(process.name.clone());
        group.state = Some(told.state);
        for member in &mut group.members {
            // Who took a static member's place is listed by the id of the client that was there before.
            let is_named = !member.member_id.is_empty();
            let is = |it: &(Str, Str)| if is_named { it.1 == member.member_id } else { it.0 == member.client };
            member.is_counted = told.members.iter().any(is);
        }
        add_targets(node, coordinated, group);
    }
}

/// What members of KIP-848 are to have: their coordinator knows it before they do, for it tells each what is free already.
fn add_targets(node: &Node, told: Option<Coordinated>, group: &mut Group) {
    let told = told.filter(|it| !it.is_classic);
    for (id, target) in told.into_iter().flat_map(|it| it.targets) {
        let Some(member) = group.members.iter_mut().find(|it| it.member_id == id) else { continue };
        let named = target.into_iter().filter_map(|(topic, partition)| {
            Some(TopicPartition { topic: node.image().topic_by_id(topic)?.name.clone(), partition })
        });
        member.awaiting = named.filter(|it| !member.owned.contains(it)).collect();
    }
}
