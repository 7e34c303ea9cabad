//! What an action asks of a cluster, be it simulated or of processes: the same requests; and its answers in words.

use client::admin::NewTopic;
use protocol::messages::add_raft_voter_request::Listener;
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    AddRaftVoterRequest, AlterPartitionReassignmentsRequest, ConsumerGroupHeartbeatRequest, ElectLeadersRequest,
    FetchRequest, FindCoordinatorRequest, HeartbeatRequest, InitProducerIdResponse, OffsetCommitRequest,
    ProduceRequest, RemoveRaftVoterRequest, fetch_response,
};
use protocol::records::{self, BatchBuilder, Compression, PureCompressors, Records};
use protocol::{
    ApiKey, ErrorCode, NodeId, ProducerEpoch, ProducerId, RequestBody, ResponseBody, Str, TopicPartition, Uuid, WallMs,
};

use crate::action::{CreateTopic, Election, WireAsk, WireProduce};
use crate::script::{partition_of, query};

/// Replicas of a partition, if there are so many brokers.
const USUAL_REPLICATION: usize = 3;
/// As clients usually ask.
const TIMEOUT_MS: i32 = 30_000;
/// More than any scenario's records have.
const FETCH_BYTES: i32 = 1 << 20;

impl WireProduce {
    /// The version of Produce that names topics by name.
    pub const VERSION: i16 = 12;

    /// One batch, as told; what is wrong with it, in words.
    pub fn request(&self, now: WallMs) -> Result<ProduceRequest, String> {
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some((id, epoch, sequence)) = self.producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        }
        for value in &self.values {
            builder.push(now, None, Some(value), &[]);
        }
        let batch = builder.build(&PureCompressors).map_err(|error| error.to_string())?;
        let partition = PartitionProduceData { index: self.partition.partition, records: Some(Records::Bytes(batch)) };
        let topic = TopicProduceData {
            name: self.partition.topic.clone(),
            partition_data: vec![partition],
            ..TopicProduceData::default()
        };
        let topic_data = vec![topic];
        Ok(ProduceRequest { acks: self.acks, timeout_ms: TIMEOUT_MS, topic_data, ..ProduceRequest::default() })
    }
}

impl Election {
    /// The version of ElectLeaders that says which election.
    pub const VERSION: i16 = 2;

    /// Asks for it.
    pub fn request(self, partition: &TopicPartition) -> RequestBody {
        let topic = TopicPartitions { topic: partition.topic.clone(), partitions: vec![partition.partition] };
        RequestBody::ElectLeaders(ElectLeadersRequest {
            election_type: self as i8,
            topic_partitions: Some(vec![topic]),
            timeout_ms: TIMEOUT_MS,
        })
    }
}

/// The version of AlterPartitionReassignments that [`reassignment`] is of.
pub const REASSIGNMENT_VERSION: i16 = 0;

/// Asks for other replicas of a partition; nobody named gives up what is being done.
pub fn reassignment(partition: &TopicPartition, replicas: Vec<i32>) -> RequestBody {
    let replicas = (!replicas.is_empty()).then_some(replicas);
    let partitions = vec![ReassignablePartition { partition_index: partition.partition, replicas }];
    RequestBody::AlterPartitionReassignments(AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        topics: vec![ReassignableTopic { name: partition.topic.clone(), partitions }],
        ..AlterPartitionReassignmentsRequest::default()
    })
}

/// The version of AddRaftVoter that [`voter_added`] is of.
pub const ADD_VOTER_VERSION: i16 = 1;
/// The version of RemoveRaftVoter that [`voter_removed`] is of.
pub const REMOVE_VOTER_VERSION: i16 = 0;

/// Asks that a controller vote: its number and directory, and where it listens.
pub fn voter_added((voter_id, voter_directory_id): (i32, Uuid), host: Str, port: u16) -> RequestBody {
    RequestBody::AddRaftVoter(AddRaftVoterRequest {
        cluster_id: None,
        timeout_ms: TIMEOUT_MS,
        voter_id,
        voter_directory_id,
        listeners: vec![Listener { name: Str::from_static("CONTROLLER"), host, port }],
        ..AddRaftVoterRequest::default()
    })
}

/// Asks that a controller vote no more.
pub fn voter_removed((voter_id, voter_directory_id): (i32, Uuid)) -> RequestBody {
    RequestBody::RemoveRaftVoter(RemoveRaftVoterRequest { cluster_id: None, voter_id, voter_directory_id })
}

impl WireAsk {
    /// The member of a group in whose name it is asked; empty for nobody's.
    pub fn member(&self) -> &str {
        self.field("member").unwrap_or_default()
    }

    fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|it| &*it.0 == key).map(|it| &*it.1)
    }

    fn number(&self, key: &str) -> Result<i64, String> {
        let number = self.field(key).map_or(Some(-1), |it| it.parse().ok());
        number.ok_or_else(|| format!("a number as {key}="))
    }

    fn epoch(&self, key: &str) -> Result<i32, String> {
        i32::try_from(self.number(key)?).map_err(|_| format!("a smaller number as {key}="))
    }

    fn partition(&self) -> Result<TopicPartition, String> {
        self.field("partition")
            .and_then(partition_of)
            .ok_or_else(|| "a partition such as partition=orders-0".to_owned())
    }

    /// Version and request, of a member with this id; or what should have been said.
    pub fn request(&self, member_id: Str) -> Result<(i16, RequestBody), String> {
        let known: &[&str] = match self.api {
            ApiKey::Fetch => &["partition", "offset", "epoch", "last-epoch"],
            ApiKey::FindCoordinator => &["group"],
            ApiKey::OffsetCommit => &["group", "partition", "offset", "member", "epoch"],
            ApiKey::Heartbeat | ApiKey::ConsumerGroupHeartbeat => &["group", "member", "epoch"],
            _ => return Err("Fetch, FindCoordinator, OffsetCommit, Heartbeat or ConsumerGroupHeartbeat".to_owned()),
        };
        if self.fields.iter().any(|it| !known.contains(&&*it.0)) {
            return Err(format!("nothing but {}=", known.join("=, ")));
        }
        let group_id = Str::from(self.field("group").unwrap_or_default());
        let epoch = self.epoch("epoch")?;
        Ok(match self.api {
            // Of the versions that name topics by name the last.
            ApiKey::Fetch => (12, RequestBody::Fetch(self.fetch(epoch)?)),
            ApiKey::FindCoordinator => {
                let body = FindCoordinatorRequest { coordinator_keys: vec![group_id], ..Default::default() };
                (6, RequestBody::FindCoordinator(body))
            }
            ApiKey::OffsetCommit => {
                let TopicPartition { topic: name, partition: partition_index } = self.partition()?;
                let committed_offset = self.number("offset")?;
                let partition =
                    OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() };
                let topic = OffsetCommitRequestTopic { name, partitions: vec![partition], ..Default::default() };
                let body = OffsetCommitRequest {
                    group_id,
                    generation_id_or_member_epoch: epoch,
                    member_id,
                    topics: vec![topic],
                    ..Default::default()
                };
                (9, RequestBody::OffsetCommit(body))
            }
            ApiKey::Heartbeat => {
                let body = HeartbeatRequest { group_id, generation_id: epoch, member_id, ..Default::default() };
                (4, RequestBody::Heartbeat(body))
            }
            _ => {
                let body =
                    ConsumerGroupHeartbeatRequest { group_id, member_id, member_epoch: epoch, ..Default::default() };
                (1, RequestBody::ConsumerGroupHeartbeat(body))
            }
        })
    }

    /// As a consumer that knows of an epoch, and of the epoch of the record before.
    fn fetch(&self, epoch: i32) -> Result<FetchRequest, String> {
        let TopicPartition { topic, partition } = self.partition()?;
        let partition = FetchPartition {
            partition,
            current_leader_epoch: epoch,
            fetch_offset: self.number("offset")?,
            last_fetched_epoch: self.epoch("last-epoch")?,
            partition_max_bytes: FETCH_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() };
        Ok(FetchRequest { max_bytes: FETCH_BYTES, topics: vec![topic], ..FetchRequest::default() })
    }
}

impl CreateTopic {
    /// The topic in a cluster of so many brokers, its replicas placed by hand or not.
    pub fn new_topic(&self, brokers: usize, assignments: Vec<(i32, Vec<NodeId>)>) -> NewTopic {
        let by_hand = !assignments.is_empty();
        let replication = self.replication.unwrap_or_else(|| brokers.min(USUAL_REPLICATION) as i16);
        NewTopic {
            name: self.name.clone(),
            num_partitions: (!by_hand).then_some(self.partitions),
            replication_factor: (!by_hand).then_some(replication),
            assignments,
            configs: self.settings.clone(),
        }
    }
}

/// An answer to a wire client: the error code, and what goes with it.
pub fn words(body: &ResponseBody, name_of: &dyn Fn(NodeId) -> String) -> Vec<String> {
    match body {
        ResponseBody::Produce(produce) => {
            let answers = produce.responses.iter().flat_map(|it| &it.partition_responses);
            answers.flat_map(|it| [code(it.error_code), it.base_offset.to_string()]).collect()
        }
        ResponseBody::InitProducerId(InitProducerIdResponse { error_code, producer_id, producer_epoch, .. }) => {
            vec![code(*error_code), producer_id.to_string(), producer_epoch.to_string()]
        }
        ResponseBody::ElectLeaders(it) if it.error_code != 0 => vec![code(it.error_code)],
        ResponseBody::ElectLeaders(it) => {
            let results = it.replica_election_results.iter().flat_map(|it| &it.partition_result);
            results.map(|it| code(it.error_code)).collect()
        }
        ResponseBody::AlterPartitionReassignments(it) if it.error_code != 0 => vec![code(it.error_code)],
        ResponseBody::AlterPartitionReassignments(it) => {
            it.responses.iter().flat_map(|it| &it.partitions).map(|it| code(it.error_code)).collect()
        }
        ResponseBody::AlterReplicaLogDirs(it) => {
            it.results.iter().flat_map(|it| &it.partitions).map(|it| code(it.error_code)).collect()
        }
        ResponseBody::AddRaftVoter(it) => vec![code(it.error_code)],
        ResponseBody::RemoveRaftVoter(it) => vec![code(it.error_code)],
        ResponseBody::Fetch(it) if it.error_code != 0 => vec![code(it.error_code)],
        ResponseBody::Fetch(it) => it.responses.iter().flat_map(|it| &it.partitions).flat_map(fetched).collect(),
        ResponseBody::FindCoordinator(it) => it
            .coordinators
            .iter()
            .flat_map(|it| {
                let found = (it.error_code == 0).then(|| name_of(NodeId(it.node_id)));
                std::iter::once(code(it.error_code)).chain(found)
            })
            .collect(),
        ResponseBody::OffsetCommit(it) => {
            it.topics.iter().flat_map(|it| &it.partitions).map(|it| code(it.error_code)).collect()
        }
        ResponseBody::Heartbeat(it) => vec![code(it.error_code)],
        ResponseBody::ConsumerGroupHeartbeat(it) => vec![code(it.error_code), it.member_epoch.to_string()],
        other => vec![other.api_key().name().to_owned()],
    }
}

/// The error; the high watermark; and the values, or the epoch in which the asker's log parts from this one and its end.
fn fetched(it: &fetch_response::PartitionData) -> Vec<String> {
    let mut words = vec![code(it.error_code), it.high_watermark.to_string()];
    if it.diverging_epoch.epoch >= 0 {
        words.extend(["diverges".to_owned(), it.diverging_epoch.epoch.to_string()]);
        words.push(it.diverging_epoch.end_offset.to_string());
    }
    if let Some(Records::Bytes(bytes)) = &it.records {
        let batches = records::read(bytes, &PureCompressors).filter_map(Result::ok);
        words.extend(batches.flat_map(|it| it.1).map(|it| query::value_word(it.value.as_ref())));
    }
    words
}

fn code(code: i16) -> String {
    ErrorCode::from_code(code).name().to_owned()
}
