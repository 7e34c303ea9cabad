//! Questions to a cluster of processes: its committed metadata as an observer of the quorum reads them, logs as they are in the
//! nodes' directories, high watermarks as the nodes tell them.

use std::fs;

use bytes::Bytes;
use node::image::{Image, PartitionImage};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use protocol::messages::{DescribeQuorumRequest, FetchRequest, describe_quorum_request, describe_quorum_response};
use protocol::records::{self, BatchHead, PureCompressors, Record, Records};
use protocol::{
    ErrorCode, LeaderEpoch, MetadataRecord, NodeId, Offset, RequestBody, ResponseBody, Str, TopicPartition, Uuid,
};

use super::machine::Machine;
use super::wire;

const METADATA: Str = Str::from_static("__cluster_metadata");
/// An observer of the quorum that is nobody's broker.
const OBSERVER: i32 = 1_000_000;
const FETCH_BYTES: i32 = 8 << 20;

/// A log as it is on a disk.
pub(crate) type Batches = Vec<(BatchHead, Vec<Record>)>;

/// Who leads the metadata quorum, in which epoch: of several that believe it, the one of the newest.
pub(crate) fn active_controller(machines: &[Machine]) -> Option<(&Machine, LeaderEpoch)> {
    let controllers = machines.iter().filter(|it| it.is_controller && it.is_up());
    controllers.filter_map(|it| Some((it, leads_in(it)?))).max_by_key(|it| it.1)
}

fn leads_in(machine: &Machine) -> Option<LeaderEpoch> {
    let it = quorum(machine)?;
    (it.leader_id == machine.id).then_some(LeaderEpoch(it.leader_epoch))
}

/// Whose voices count, as the active controller says.
pub(crate) fn voters(machines: &[Machine]) -> Option<Vec<i32>> {
    let (controller, _) = active_controller(machines)?;
    Some(quorum(controller)?.current_voters.iter().map(|it| it.replica_id).collect())
}

/// What a controller says of the quorum, if it leads it.
fn quorum(machine: &Machine) -> Option<describe_quorum_response::PartitionData> {
    let partitions = vec![describe_quorum_request::PartitionData { partition_index: 0 }];
    let topics = vec![describe_quorum_request::TopicData { topic_name: METADATA, partitions }];
    let body = RequestBody::DescribeQuorum(DescribeQuorumRequest { topics });
    let Ok(ResponseBody::DescribeQuorum(mut answer)) = wire::ask(machine.controller_port.number(), 1, body) else {
        return None;
    };
    answer.topics.pop()?.partitions.pop().filter(|it| it.error_code == ErrorCode::None.code())
}

/// What is committed, read from the active controller; `None` without one.
pub(crate) fn image(machines: &[Machine]) -> Option<Image> {
    let (controller, epoch) = active_controller(machines)?;
    let mut image = Image::default();
    let (mut next, mut last_epoch) = (Offset(0), LeaderEpoch(0));
    loop {
        let from = next;
        let partition = FetchPartition {
            current_leader_epoch: epoch.0,
            fetch_offset: from.0,
            last_fetched_epoch: last_epoch.0,
            log_start_offset: -1,
            partition_max_bytes: FETCH_BYTES,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            replica_state: ReplicaState { replica_id: OBSERVER, ..ReplicaState::default() },
            max_bytes: FETCH_BYTES,
            topics: vec![FetchTopic {
                topic_id: Uuid::METADATA_TOPIC,
                partitions: vec![partition],
                ..Default::default()
            }],
            ..FetchRequest::default()
        };
        let answer = wire::ask(controller.controller_port.number(), 17, RequestBody::Fetch(request));
        let Ok(ResponseBody::Fetch(mut answer)) = answer else { return None };
        let data = answer.responses.pop()?.partitions.pop().filter(|it| it.error_code == ErrorCode::None.code())?;
        let Some(Records::Bytes(bytes)) = data.records else { return Some(image) };
        let end = Offset(data.high_watermark);
        for batch in records::read(&bytes, &PureCompressors) {
            let (head, batch) = batch.ok()?;
            if head.next_offset() > end {
                return Some(image);
            }
            last_epoch = head.leader_epoch;
            for record in batch.iter().filter(|_| !head.attributes.is_control()) {
                let known = MetadataRecord::decode(record.value.clone()?).ok()?;
                image.apply(record.offset, &known).ok()?;
            }
            next = head.next_offset();
        }
        if next >= end || next == from {
            return Some(image);
        }
    }
}

/// A partition of it.
pub(crate) fn partition<'a>(image: &'a Image, of: &TopicPartition) -> Result<&'a PartitionImage, String> {
    image.partition(&of.topic, of.partition).ok_or(format!("nobody knows {of}"))
}

/// A node's log of a partition: whole batches, as far as they are written.
pub(crate) fn log(machine: &Machine, of: &TopicPartition) -> Result<Batches, String> {
    let folder = machine.dir.join(of.to_string());
    let entries = fs::read_dir(&folder).map_err(|_| format!("{} has no {of}", machine.name))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|it| it.path()).collect();
    files.retain(|it| it.extension().is_some_and(|it| it == "log"));
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let bytes = Bytes::from(fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?);
        for batch in records::read(&bytes, &PureCompressors) {
            batches.push(batch.map_err(|error| format!("{}: {error}", file.display()))?);
        }
    }
    Ok(batches)
}

/// One past the last record.
pub(crate) fn end(batches: &Batches) -> Offset {
    batches.last().map_or(Offset(0), |(head, _)| head.next_offset())
}

/// What a node holds to be committed, as it would tell a consumer.
pub(crate) fn high_watermark(machine: &Machine, of: &TopicPartition) -> Result<Offset, String> {
    let partition = FetchPartition {
        partition: of.partition,
        current_leader_epoch: -1,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: of.topic.clone(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: 1, topics: vec![topic], session_epoch: -1, ..FetchRequest::default() };
    let answer = wire::ask(machine.client_port.number(), 12, RequestBody::Fetch(request));
    let Ok(ResponseBody::Fetch(mut answer)) = answer else { return Err(format!("{} does not answer", machine.name)) };
    let data =
        answer.responses.pop().and_then(|mut it| it.partitions.pop()).ok_or("an answer without the partition")?;
    match ErrorCode::from_code(data.error_code) {
        ErrorCode::None => Ok(Offset(data.high_watermark)),
        error => Err(format!("{} says {} of {of}", machine.name, error.name())),
    }
}

/// A node by its number.
pub(crate) fn by_id(machines: &[Machine], id: NodeId) -> Option<&Machine> {
    machines.iter().find(|it| it.id == id.0)
}
