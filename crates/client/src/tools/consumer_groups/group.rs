//! A group as its coordinator describes it, of either protocol.

use bytes::Bytes;
use protocol::message::decode_from;
use protocol::messages::{ConsumerProtocolAssignment, consumer_group_describe_response, describe_groups_response};
use protocol::{Decoder, ErrorCode, ProtocolError, ResponseBody, Str, TopicPartition};

use crate::tools::exception::{Refusal, exception};

/// The newest assignment that is read. What a newer one adds comes after what is known.
const ASSIGNMENT: i16 = 3;

/// A group in a list.
pub(super) struct Listed {
    pub(super) group: Str,
    pub(super) state: Str,
    pub(super) kind: Str,
}

/// Who decides for a group.
#[derive(Default)]
pub(super) struct Coordinator {
    pub(super) id: i32,
    pub(super) host: Str,
    pub(super) port: u16,
}

/// A group in full.
#[derive(Default)]
pub(super) struct Group {
    pub(super) state: Str,
    pub(super) assignor: Str,
    pub(super) coordinator: Coordinator,
    pub(super) members: Vec<Member>,
    /// Of groups of the consumer protocol.
    pub(super) epoch: Option<i32>,
    pub(super) assignment_epoch: Option<i32>,
}

/// A member of a group. What is `None` is not known of members of a classic group.
#[derive(Default)]
pub(super) struct Member {
    pub(super) id: Str,
    pub(super) instance: Option<Str>,
    pub(super) client_id: Str,
    pub(super) host: Str,
    pub(super) assignment: Vec<TopicPartition>,
    pub(super) target: Vec<TopicPartition>,
    pub(super) epoch: Option<i32>,
    /// It speaks the consumer protocol.
    pub(super) is_upgraded: Option<bool>,
}

pub(super) fn refused(code: i16, message: Option<&Str>) -> Result<(), Refusal> {
    Refusal::of(code, message).map_or(Ok(()), Err)
}

/// An answer without what was asked for.
pub(super) fn unknown() -> Refusal {
    Refusal::from(ErrorCode::UnknownServerError)
}

pub(super) fn consumer_group(answer: &ResponseBody) -> Result<Group, Refusal> {
    let ResponseBody::ConsumerGroupDescribe(answer) = answer else { return Err(unknown()) };
    let it = answer.groups.last().ok_or_else(unknown)?;
    refused(it.error_code, it.error_message.as_ref())?;
    let partitions = |it: &consumer_group_describe_response::Assignment| {
        let mut all = Vec::new();
        for topic in &it.topic_partitions {
            add(&topic.topic_name, &topic.partitions, &mut all);
        }
        all
    };
    let mut members = Vec::new();
    for it in &it.members {
        members.push(Member {
            assignment: partitions(&it.assignment),
            target: partitions(&it.target_assignment),
            id: it.member_id.clone(),
            instance: it.instance_id.clone(),
            client_id: it.client_id.clone(),
            host: it.client_host.clone(),
            epoch: Some(it.member_epoch),
            is_upgraded: (it.member_type >= 0).then_some(it.member_type == 1),
        });
    }
    Ok(Group {
        members,
        state: it.group_state.clone(),
        assignor: it.assignor_name.clone(),
        epoch: Some(it.group_epoch),
        assignment_epoch: Some(it.assignment_epoch),
        coordinator: Coordinator::default(),
    })
}

/// The inner error is of a group that has nothing to do with consumers.
pub(super) fn classic_group(answer: &ResponseBody) -> Result<Result<Group, String>, Refusal> {
    let ResponseBody::DescribeGroups(answer) = answer else { return Err(unknown()) };
    let it = answer.groups.last().ok_or_else(unknown)?;
    refused(it.error_code, it.error_message.as_ref())?;
    if !matches!(&*it.protocol_type, "" | "consumer") {
        let why = format!("GroupId {} is not a consumer group ({}).", it.group_id, it.protocol_type);
        return Ok(Err(format!("java.lang.IllegalArgumentException: {why}")));
    }
    let (state, assignor) = (it.group_state.clone(), it.protocol_data.clone());
    let mut group = Group { state, assignor, ..Group::default() };
    for it in &it.members {
        match classic_member(it) {
            Ok(member) => group.members.push(member),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(group))
}

fn classic_member(it: &describe_groups_response::DescribedGroupMember) -> Result<Member, String> {
    let assignment = assigned(&it.member_assignment)
        .map_err(|error| exception("SchemaException", &format!("Buffer of an assignment cannot be read: {error}")))?;
    Ok(Member {
        assignment,
        id: it.member_id.clone(),
        instance: it.group_instance_id.clone(),
        client_id: it.client_id.clone(),
        host: it.client_host.clone(),
        ..Member::default()
    })
}

/// What a leader of a classic group gave a member.
fn assigned(bytes: &Bytes) -> Result<Vec<TopicPartition>, ProtocolError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut decoder = Decoder::new(bytes.clone());
    let version = decoder.version()?.clamp(0, ASSIGNMENT);
    let it: ConsumerProtocolAssignment = decode_from(&mut decoder, version)?;
    let mut all = Vec::new();
    for topic in &it.assigned_partitions {
        add(&topic.topic, &topic.partitions, &mut all);
    }
    Ok(all)
}

fn add(topic: &Str, partitions: &[i32], all: &mut Vec<TopicPartition>) {
    for it in partitions {
        all.push(TopicPartition { topic: topic.clone(), partition: *it });
    }
}
