//! Answers of the controller turned into refusals, when what they say cannot be said any more.

use protocol::Str;
use protocol::messages::{ErrorCode, ResponseBody};

/// Replaces what an answer says by an error, in each of its parts. Who asked for several things reads it for each of them.
pub(crate) fn refuse(body: &mut ResponseBody, error: ErrorCode) {
    let code = error.code();
    let message = || Some(Str::from_static(error.message()));
    match body {
        ResponseBody::BrokerRegistration(it) => it.error_code = code,
        ResponseBody::BrokerHeartbeat(it) => it.error_code = code,
        ResponseBody::ControllerRegistration(it) => it.error_code = code,
        ResponseBody::AllocateProducerIds(it) => it.error_code = code,
        ResponseBody::AssignReplicasToDirs(it) => it.error_code = code,
        ResponseBody::AlterPartition(it) => {
            it.error_code = code;
            it.topics.clear();
        }
        ResponseBody::Envelope(it) => (it.error_code, it.response_data) = (code, None),
        ResponseBody::UnregisterBroker(it) => (it.error_code, it.error_message) = (code, message()),
        ResponseBody::UpdateFeatures(it) => {
            (it.error_code, it.error_message) = (code, message());
            it.results.clear();
        }
        ResponseBody::ElectLeaders(it) => {
            it.error_code = code;
            for partition in it.replica_election_results.iter_mut().flat_map(|topic| &mut topic.partition_result) {
                (partition.error_code, partition.error_message) = (code, message());
            }
        }
        ResponseBody::AlterPartitionReassignments(it) => {
            (it.error_code, it.error_message) = (code, message());
            it.responses.clear();
        }
        ResponseBody::ListPartitionReassignments(it) => (it.error_code, it.error_message) = (code, message()),
        ResponseBody::CreateTopics(it) => {
            it.topics.iter_mut().for_each(|it| (it.error_code, it.error_message) = (code, message()));
        }
        ResponseBody::DeleteTopics(it) => {
            it.responses.iter_mut().for_each(|it| (it.error_code, it.error_message) = (code, message()));
        }
        ResponseBody::CreatePartitions(it) => {
            it.results.iter_mut().for_each(|it| (it.error_code, it.error_message) = (code, message()));
        }
        ResponseBody::AlterConfigs(it) => {
            it.responses.iter_mut().for_each(|it| (it.error_code, it.error_message) = (code, message()));
        }
        ResponseBody::IncrementalAlterConfigs(it) => {
            it.responses.iter_mut().for_each(|it| (it.error_code, it.error_message) = (code, message()));
        }
        // Says nothing that depends on what was decided: topics that are missing are looked for again.
        _ => {}
    }
}
