//! Which log directory of its broker holds a replica (KIP-858).

use ordered::Set;

use protocol::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use protocol::messages::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerRegistrationChangeRecord, ErrorCode,
    MetadataRecord, PartitionChangeRecord, ResponseBody,
};
use protocol::{NodeId, Uuid};

use super::brokers::change_of;
use super::election::Turn;
use super::{Controller, Outcome};
use crate::config::Config;
use crate::image::BrokerImage;

impl Controller {
    /// AssignReplicasToDirs: a broker says where it keeps, or will keep, replicas of its own.
    pub fn decide_assign_replicas_to_dirs(&self, config: &Config, request: &AssignReplicasToDirsRequest) -> Outcome {
        let mut reply = AssignReplicasToDirsResponse::default();
        let mut records = Vec::new();
        match self.current(request.broker_id, request.broker_epoch) {
            Err(refusal) => reply.error_code = refusal.code.code(),
            Ok(broker) => {
                let mut lost: Set<(Uuid, i32)> = Set::new();
                for directory in &request.directories {
                    let is_lost = !broker.has_online(directory.id);
                    let mut topics = Vec::with_capacity(directory.topics.len());
                    for topic in &directory.topics {
                        let partitions = topic.partitions.iter().map(|partition| {
                            let index = partition.partition_index;
                            let error = match self.assigned(broker.id, directory.id, topic.topic_id, index) {
                                Ok(record) => {
                                    records.extend(record);
                                    if is_lost {
                                        lost.insert((topic.topic_id, index));
                                    }
                                    ErrorCode::None
                                }
                                Err(error) => error,
                            };
                            PartitionData { partition_index: index, error_code: error.code() }
                        });
                        topics.push(TopicData { topic_id: topic.topic_id, partitions: partitions.collect() });
                    }
                    reply.directories.push(DirectoryData { id: directory.id, topics });
                }
                if !lost.is_empty() {
                    records.extend(self.turn_of(config, Turn::Leaves(broker.id), &|topic, index, _| {
                        lost.contains(&(topic.id, index))
                    }));
                }
            }
        }
        Outcome { records, reply: ResponseBody::AssignReplicasToDirs(reply) }
    }

    /// Directories of a broker are gone: it neither leads nor follows with the replicas in them.
    pub(super) fn lose_directories(&self, config: &Config, broker: &BrokerImage, lost: &[Uuid]) -> Vec<MetadataRecord> {
        let mut records = self.turn(config, Turn::Leaves(broker.id), |it| {
            it.directory_of(broker.id).is_some_and(|directory| lost.contains(&directory))
        });
        let mut log_dirs = broker.directories.clone();
        log_dirs.retain(|it| !lost.contains(it));
        // The record cannot say that there is none left; such a broker stops by itself.
        if !log_dirs.is_empty() {
            records.push(BrokerRegistrationChangeRecord { log_dirs, ..change_of(broker) }.into());
        }
        records
    }

    /// The record that notes a replica's directory; `None` if that is noted already.
    fn assigned(
        &self,
        broker: NodeId,
        directory: Uuid,
        topic_id: Uuid,
        partition_id: i32,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let topic = self.image().topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partitions.get(&partition_id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let replicas = &partition.replicas;
        let place = replicas.iter().position(|it| *it == broker).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let mut directories = partition.directories.clone();
        directories.resize(replicas.len(), Uuid::ZERO);
        if std::mem::replace(&mut directories[place], directory) == directory {
            return Ok(None);
        }
        let record =
            PartitionChangeRecord { partition_id, topic_id, directories: Some(directories), ..Default::default() };
        Ok(Some(record.into()))
    }
}
