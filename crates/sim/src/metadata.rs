//! The metadata log as it is on a node's disk: what the lab draws of the quorum. A node that does not run still has its log.

use std::fmt::Write;

use bytes::Bytes;
use node::view::{MetadataView, RoleKind};
use protocol::messages::LeaderChangeMessage;
use protocol::records::{self, BatchHead, ControlType, PureCompressors, Record};
use protocol::{MetadataRecord, NodeId, Offset, Str, TopicPartition, Uuid, decode};
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
    /// The partition that it says it of, if that is one.
    pub partition: Option<TopicPartition>,
}

impl World {
    /// Every node of the quorum, and the last so many records before an offset of each one's log; without one before the end of
    /// the longest.
    pub fn quorum(&self, before: Option<i64>, count: i64) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut logs: Vec<Vec<(BatchHead, Bytes)>> = Vec::new();
        for process in &self.processes {
            let Some(broker) = process.broker() else { continue };
            let view = broker.node.as_ref().map(|node| node.view(&node::Scope::Node).metadata);
            let log = log_of(broker);
            let end = log.last().map_or(0, |it| it.0.next_offset().0);
            logs.push(log);
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
                records: Vec::new(),
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
        for (member, log) in members.iter_mut().zip(&logs) {
            member.records = self.entries(log, to - count, to);
        }
        members
    }

    /// The records of a log from an offset up to another. Those below are not even decoded: after an hour they are many. What
    /// cannot be read ends it.
    fn entries(&self, log: &[(BatchHead, Bytes)], from: i64, to: i64) -> Vec<Entry> {
        let name = |id: i32| self.broker_name(NodeId(id));
        let topic = |id: Uuid| self.topic_named(id, log);
        let mut entries = Vec::new();
        for (_, bytes) in log.iter().filter(|(head, _)| head.next_offset().0 > from && head.base_offset.0 < to) {
            let Some(Ok((head, records))) = records::read(bytes, &PureCompressors).next() else { return entries };
            for record in records.iter().filter(|it| (from..to).contains(&it.offset.0)) {
                let (name, about, partition) =
                    if head.attributes.is_control() { control(record, &name) } else { metadata(record, &topic, &name) };
                entries.push(Entry { offset: record.offset.0, epoch: head.leader_epoch.0, name, about, partition });
            }
        }
        entries
    }

    /// The batch of a record of the metadata log, as the first node has it on its disk that has it.
    pub fn metadata_batch(&self, offset: Offset) -> Option<Bytes> {
        let mut brokers = self.processes.iter().filter_map(|it| it.broker());
        brokers.find_map(|broker| {
            let mut log = log_of(broker).into_iter();
            log.find(|(head, _)| (head.base_offset..head.next_offset()).contains(&offset)).map(|it| it.1)
        })
    }

    /// A topic's id, as the first node that runs and knows the topic has it.
    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        let mut nodes = self.processes.iter().filter_map(|it| it.broker()?.node.as_ref());
        nodes.find_map(|it| it.image().topic(name)).map(|it| it.id)
    }

    /// A topic's name as a node knows it; else, if it is not committed or is no more, as a log says it.
    fn topic_named(&self, id: Uuid, log: &[(BatchHead, Bytes)]) -> Str {
        let mut nodes = self.processes.iter().filter_map(|it| it.broker()?.node.as_ref());
        if let Some(topic) = nodes.find_map(|it| it.image().topic_by_id(id)) {
            return topic.name.clone();
        }
        for (_, records) in log.iter().filter_map(|it| records::read(&it.1, &PureCompressors).next()?.ok()) {
            for value in records.into_iter().filter_map(|it| it.value) {
                if let Ok(MetadataRecord::Topic(it)) = MetadataRecord::decode(value)
                    && it.topic_id == id
                {
                    return it.name;
                }
            }
        }
        Str::new()
    }

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

/// All batches of a node's metadata log, as they are in its files. What is none, or not whole, ends it.
fn log_of(broker: &Broker) -> Vec<(BatchHead, Bytes)> {
    let disk = broker.store.disk();
    let mut batches = Vec::new();
    for file in disk.survey() {
        if !file.path.starts_with(FOLDER) || !file.path.ends_with(".log") {
            continue;
        }
        let Some(bytes) = disk.contents(file.dir, &file.path) else { continue };
        let mut at = 0;
        while at < bytes.len() {
            let Ok(head) = BatchHead::decode(&bytes[at..]) else { return batches };
            if head.size() > bytes.len() - at {
                return batches;
            }
            batches.push((head, bytes.slice(at..at + head.size())));
            at += head.size();
        }
    }
    batches
}

/// A record's type, what it says, and of which partition.
type Said = (&'static str, String, Option<TopicPartition>);

fn control(record: &Record, name: &dyn Fn(i32) -> String) -> Said {
    let kind = record.key.as_ref().and_then(|key| ControlType::of_key(key).ok().flatten());
    let Some(kind) = kind else { return ("control record", String::new(), None) };
    let mut about = String::new();
    if kind == ControlType::LeaderChange
        && let Some(change) = record.value.clone().and_then(|it| decode::<LeaderChangeMessage>(it, 0).ok())
    {
        let votes: Vec<String> = change.granting_voters.iter().map(|it| name(it.voter_id)).collect();
        about = format!("{} leads the quorum, by the votes of {}", name(change.leader_id), votes.join(" "));
    }
    (kind.name(), about, None)
}

fn metadata(record: &Record, topic: &dyn Fn(Uuid) -> Str, name: &dyn Fn(i32) -> String) -> Said {
    let value = record.value.clone().unwrap_or_default();
    let Ok(decoded) = MetadataRecord::decode(value) else { return ("unknown record", String::new(), None) };
    let names = |ids: &[i32]| ids.iter().map(|id| name(*id)).collect::<Vec<_>>().join(" ");
    let of = match &decoded {
        MetadataRecord::Partition(it) => Some((it.topic_id, it.partition_id)),
        MetadataRecord::PartitionChange(it) => Some((it.topic_id, it.partition_id)),
        _ => None,
    };
    let place = of.map(|(id, partition)| TopicPartition { topic: topic(id), partition });
    let placed = place.as_ref().map(ToString::to_string).unwrap_or_default();
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
        MetadataRecord::Topic(it) => format!("topic {}", it.name),
        MetadataRecord::RemoveTopic(it) => format!("topic {} goes", topic(it.topic_id)),
        MetadataRecord::Partition(it) => {
            format!("{placed}: replicas {}, leader {}", names(&it.replicas), name(it.leader))
        }
        MetadataRecord::PartitionChange(it) => {
            let mut what = placed;
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
    (decoded.name(), about, place)
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
