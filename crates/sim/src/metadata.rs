//! The metadata log as it is on a node's disk: what the lab draws of the quorum. A node that does not run still has its log.

use std::fmt::Write;

use node::view::{MetadataView, RoleKind};
use ordered::Map;
use protocol::messages::LeaderChangeMessage;
use protocol::records::{self, ControlType, PureCompressors, Record};
use protocol::{MetadataRecord, NodeId, Str, Uuid, decode};
use storage::DirId;
use storage::meta::QuorumState;

use crate::world::{Broker, Power, World};

/// Where a node keeps it.
const FOLDER: &str = "__cluster_metadata-0";

/// A node's part in the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Str,
    /// `node.id`.
    pub id: NodeId,
    /// Whether it runs.
    pub power: Power,
    /// It stands still.
    pub paused: bool,
    /// It votes.
    pub is_voter: bool,
    /// What it is at the moment, if it runs.
    pub role: Option<RoleKind>,
    /// The epoch that it knows; of one that does not run the one on its disk.
    pub epoch: i32,
    /// Whom it follows, if it runs: itself if it leads.
    pub leader: Option<NodeId>,
    /// It can hear of whom it follows: that one runs, and no way between them is cut.
    pub hears: bool,
    /// Who has its vote in this epoch.
    pub voted: Option<NodeId>,
    /// One past the last record of its log.
    pub end: i64,
    /// Everything below is on its disk for certain.
    pub synced: i64,
    /// Everything below is committed, as far as it knows, and applied to what it serves from.
    pub applied: i64,
    /// Its log: the records in sight.
    pub records: Vec<Entry>,
}

/// A record of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub offset: i64,
    /// The epoch of the quorum's leader that wrote it.
    pub epoch: i32,
    /// Kafka's name of its type.
    pub name: &'static str,
    /// What it says.
    pub about: String,
}

impl World {
    /// Every node of the quorum, and the last so many records before an offset of each one's log; without one before the end of
    /// the longest.
    pub fn quorum(&self, before: Option<i64>, count: i64) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for process in &self.processes {
            let Some(broker) = process.broker() else { continue };
            let view = broker.node.as_ref().map(|node| node.view(&node::Scope::Node).metadata);
            let log = log_of(broker, |id| self.broker_name(NodeId(id)));
            let end = log.last().map_or(0, |it| it.offset + 1);
            let id = broker.config.node_id;
            let mut member = Member {
                name: process.name.clone(),
                id,
                power: process.power,
                paused: process.paused,
                is_voter: broker.config.roles.controller,
                role: None,
                epoch: 0,
                leader: None,
                hears: false,
                voted: None,
                end,
                synced: end,
                applied: 0,
                records: log,
            };
            match &view {
                Some(view) => member.runs(view),
                None => member.rests(broker),
            }
            member.hears = member.leader.is_some_and(|leader| self.hears(&process.name, leader));
            members.push(member);
        }
        let longest = members.iter().map(|it| it.end).max().unwrap_or(0);
        let to = before.unwrap_or(longest).min(longest);
        for member in &mut members {
            member.records.retain(|it| (to - count..to).contains(&it.offset));
        }
        members
    }
}

impl World {
    /// True if nothing keeps what a node says from another one.
    fn hears(&self, who: &str, node: NodeId) -> bool {
        let (Ok(to), Ok(from)) = (self.pid(who), self.pid(&self.broker_name(node))) else { return false };
        let process = self.process(from);
        process.power.is_up() && !process.paused && !self.is_cut(from, to) && !self.is_cut(to, from)
    }
}

impl Member {
    fn runs(&mut self, view: &MetadataView) {
        self.is_voter = view.is_voter;
        self.role = Some(view.role);
        self.epoch = view.leader_epoch.0;
        self.leader = view.leader;
        self.voted = view.voted;
        self.end = view.log_end.0;
        self.synced = view.synced.0;
        self.applied = view.high_watermark.0;
    }

    /// What its disk says of it.
    fn rests(&mut self, broker: &Broker) {
        let file =
            broker.store.disk().contents(DirId(broker.config.metadata_log_dir), &format!("{FOLDER}/quorum-state"));
        if let Some(state) = file.and_then(|it| QuorumState::parse(&it).ok()) {
            self.epoch = state.leader_epoch.0;
            self.voted = state.voted_id;
        }
    }
}

/// All records of a node's metadata log, as they are in its files. What cannot be read ends it.
fn log_of(broker: &Broker, name: impl Fn(i32) -> String) -> Vec<Entry> {
    let disk = broker.store.disk();
    let mut entries = Vec::new();
    let mut topics = Map::new();
    for file in disk.survey() {
        if !file.path.starts_with(FOLDER) || !file.path.ends_with(".log") {
            continue;
        }
        let Some(bytes) = disk.contents(file.dir, &file.path) else { continue };
        for batch in records::read(&bytes, &PureCompressors) {
            let Ok((head, records)) = batch else { return entries };
            for record in &records {
                let (what, about) = if head.attributes.is_control() {
                    control(record, &name)
                } else {
                    metadata(record, &mut topics, &name)
                };
                entries.push(Entry { offset: record.offset.0, epoch: head.leader_epoch.0, name: what, about });
            }
        }
    }
    entries
}

fn control(record: &Record, name: &impl Fn(i32) -> String) -> (&'static str, String) {
    let kind = record.key.as_ref().and_then(|key| ControlType::of_key(key).ok().flatten());
    let Some(kind) = kind else { return ("control record", String::new()) };
    let mut about = String::new();
    if kind == ControlType::LeaderChange
        && let Some(change) = record.value.clone().and_then(|it| decode::<LeaderChangeMessage>(it, 0).ok())
    {
        let votes: Vec<String> = change.granting_voters.iter().map(|it| name(it.voter_id)).collect();
        about = format!("{} leads the quorum, by the votes of {}", name(change.leader_id), votes.join(" "));
    }
    (kind.name(), about)
}

fn metadata(record: &Record, topics: &mut Map<Uuid, Str>, name: &impl Fn(i32) -> String) -> (&'static str, String) {
    let value = record.value.clone().unwrap_or_default();
    let Ok(decoded) = MetadataRecord::decode(value) else { return ("unknown record", String::new()) };
    let names = |ids: &[i32]| ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(" ");
    let place = |topic: &Uuid, partition: i32| {
        let topic = topics.get(topic).cloned().unwrap_or_default();
        format!("{topic}-{partition}")
    };
    let about = match &decoded {
        MetadataRecord::RegisterBroker(it) => format!("{} registers, fenced", name(it.broker_id)),
        MetadataRecord::RegisterController(it) => format!("controller {} registers", name(it.controller_id)),
        MetadataRecord::UnregisterBroker(it) => format!("{} is forgotten", name(it.broker_id)),
        MetadataRecord::BrokerRegistrationChange(it) => {
            let mut what = match it.fenced {
                1 => format!("{} is fenced", name(it.broker_id)),
                -1 => format!("{} is unfenced", name(it.broker_id)),
                _ => name(it.broker_id),
            };
            if it.in_controlled_shutdown == 1 {
                what.push_str(" shuts down");
            }
            what
        }
        MetadataRecord::Topic(it) => {
            topics.insert(it.topic_id, it.name.clone());
            format!("topic {}", it.name)
        }
        MetadataRecord::RemoveTopic(it) => {
            format!("topic {} goes", topics.get(&it.topic_id).cloned().unwrap_or_default())
        }
        MetadataRecord::Partition(it) => {
            format!(
                "{}: replicas {}, leader {}",
                place(&it.topic_id, it.partition_id),
                names(&it.replicas),
                name(it.leader)
            )
        }
        MetadataRecord::PartitionChange(it) => {
            let mut what = place(&it.topic_id, it.partition_id);
            match it.leader {
                -2 => {}
                -1 => what.push_str(", no leader"),
                leader => {
                    let _ = write!(what, ", leader {}", name(leader));
                }
            }
            let lists = [
                (", in sync", &it.isr),
                (", ELR", &it.eligible_leader_replicas),
                (", last known ELR", &it.last_known_elr),
                (", replicas", &it.replicas),
                (", adding", &it.adding_replicas),
                (", removing", &it.removing_replicas),
            ];
            for (word, list) in lists {
                if let Some(list) = list {
                    let list = if list.is_empty() { "nobody".to_owned() } else { names(list) };
                    let _ = write!(what, "{word} {list}");
                }
            }
            what
        }
        MetadataRecord::Config(it) => {
            format!("{} {}={}", it.resource_name, it.name, it.value.as_deref().unwrap_or("its default"))
        }
        MetadataRecord::FeatureLevel(it) => format!("{} {}", it.name, it.feature_level),
        MetadataRecord::ProducerIds(it) => format!("producer ids below {} are given out", it.next_producer_id),
        _ => String::new(),
    };
    (decoded.name(), about)
}

/// A record's type in a letter or a sign, for a cell that has room for no more.
pub fn sign(name: &str) -> &'static str {
    match name {
        "LEADER_CHANGE" => "★",
        "RegisterBrokerRecord" => "+b",
        "RegisterControllerRecord" => "+c",
        "UnregisterBrokerRecord" => "−b",
        "BrokerRegistrationChangeRecord" => "b",
        "TopicRecord" => "T",
        "RemoveTopicRecord" => "−T",
        "PartitionRecord" => "P",
        "PartitionChangeRecord" => "p",
        "ConfigRecord" => "c",
        "FeatureLevelRecord" | "KRAFT_VERSION" => "v",
        "KRAFT_VOTERS" => "V",
        "ProducerIdsRecord" => "id",
        "NoOpRecord" => "·",
        "BeginTransactionRecord" => "(",
        "EndTransactionRecord" => ")",
        "AbortTransactionRecord" => "×",
        "SNAPSHOT_HEADER" | "SNAPSHOT_FOOTER" => "s",
        _ => "?",
    }
}
