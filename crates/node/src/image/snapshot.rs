//! An image as records: what a snapshot of the metadata holds (KIP-630).

use protocol::messages::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, TopicRecord, register_broker_record, register_controller_record,
};
use protocol::{NodeId, Str};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};

use super::{BrokerImage, ControllerImage, Image, PartitionImage, TopicImage};

impl Image {
    /// The records that make this image out of an empty one, in the order in which Apache Kafka writes them: the level of
    /// the metadata first, because it says how to read the rest.
    pub fn records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let level = |name: &Str, level: i16| FeatureLevelRecord { name: name.clone(), feature_level: level }.into();
        let is_version = |name: &Str| *name == *METADATA_VERSION;
        records.extend(self.features().filter(|(name, _)| is_version(name)).map(|(name, at)| level(name, at)));
        records.extend(self.features().filter(|(name, _)| !is_version(name)).map(|(name, at)| level(name, at)));
        let has_cordons = self.feature(METADATA_VERSION) >= CORDONED_DIRECTORIES;
        records.extend(self.brokers().map(|broker| registration(broker, has_cordons)));
        records.extend(self.controllers().map(controller_registration));
        for topic in self.topics() {
            records.push(TopicRecord { name: topic.name.clone(), topic_id: topic.id }.into());
            records.extend(topic.partitions.iter().map(|(index, it)| partition_record(topic, *index, it)));
        }
        for resource in self.configured() {
            let settings = self.settings(resource).into_iter().flat_map(|settings| settings.iter());
            records.extend(settings.map(|(name, value)| {
                let record = ConfigRecord {
                    resource_type: resource.kind.id(),
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                };
                record.into()
            }));
        }
        if self.producer_ids_end > 0 {
            let next = self.producer_ids_end;
            records.push(ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: next }.into());
        }
        records
    }
}

fn registration(broker: &BrokerImage, has_cordons: bool) -> MetadataRecord {
    let features = broker.features.iter().map(|(name, range)| register_broker_record::BrokerFeature {
        name: name.clone(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    });
    let endpoints = broker.endpoints.iter().map(|(name, it)| register_broker_record::BrokerEndpoint {
        name: name.clone(),
        host: it.host.clone(),
        port: it.port,
        security_protocol: it.security.id(),
    });
    let record = RegisterBrokerRecord {
        broker_id: broker.id.0,
        incarnation_id: broker.incarnation,
        broker_epoch: broker.epoch,
        end_points: endpoints.collect(),
        features: features.collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.directories.clone(),
        cordoned_log_dirs: broker.cordoned_directories.clone().filter(|_| has_cordons),
        ..RegisterBrokerRecord::default()
    };
    record.into()
}

fn controller_registration(controller: &ControllerImage) -> MetadataRecord {
    let features = controller.features.iter().map(|(name, range)| register_controller_record::ControllerFeature {
        name: name.clone(),
        min_supported_version: range.min,
        max_supported_version: range.max,
    });
    let endpoints = controller.endpoints.iter().map(|(name, it)| register_controller_record::ControllerEndpoint {
        name: name.clone(),
        host: it.host.clone(),
        port: it.port,
        security_protocol: it.security.id(),
    });
    let record = RegisterControllerRecord {
        controller_id: controller.id.0,
        incarnation_id: controller.incarnation,
        end_points: endpoints.collect(),
        features: features.collect(),
        ..RegisterControllerRecord::default()
    };
    record.into()
}

fn partition_record(topic: &TopicImage, index: i32, it: &PartitionImage) -> MetadataRecord {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<i32>>();
    let some = |nodes: &[NodeId]| (!nodes.is_empty()).then(|| ids(nodes));
    let record = PartitionRecord {
        partition_id: index,
        topic_id: topic.id,
        replicas: ids(&it.replicas),
        isr: ids(&it.isr),
        removing_replicas: ids(&it.removing_replicas),
        adding_replicas: ids(&it.adding_replicas),
        leader: it.leader_id(),
        leader_recovery_state: i8::from(it.recovering),
        leader_epoch: it.leader_epoch.0,
        partition_epoch: it.partition_epoch,
        directories: it.directories.clone(),
        eligible_leader_replicas: some(&it.elr),
        last_known_elr: some(&it.last_known_elr),
    };
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Endpoint, SecurityProtocol, VersionRange};
    use ordered::Map;
    use protocol::messages::FenceBrokerRecord;
    use protocol::{LeaderEpoch, Offset, Uuid};

    fn uuid(byte: u8) -> Uuid {
        Uuid([byte; 16])
    }

    fn full() -> Image {
        let mut image = Image::default();
        let endpoint = Endpoint { host: "here".into(), port: 9092, security: SecurityProtocol::Plaintext };
        let broker = BrokerImage {
            id: NodeId(1),
            epoch: 4,
            incarnation: uuid(1),
            endpoints: Map::from([("PLAINTEXT".into(), endpoint.clone())]),
            features: Map::from([("metadata.version".into(), VersionRange { min: 7, max: 30 })]),
            rack: Some("a".into()),
            fenced: true,
            in_controlled_shutdown: true,
            directories: vec![uuid(2), uuid(3)],
            cordoned_directories: Some(vec![uuid(3)]),
        };
        let controller = ControllerImage {
            id: NodeId(2),
            incarnation: uuid(4),
            endpoints: Map::from([("CONTROLLER".into(), endpoint)]),
            features: Map::new(),
        };
        let partition = PartitionImage {
            replicas: vec![NodeId(1), NodeId(2)],
            directories: vec![uuid(2), uuid(5)],
            isr: vec![NodeId(2)],
            adding_replicas: vec![NodeId(2)],
            removing_replicas: vec![NodeId(1)],
            elr: vec![NodeId(1)],
            last_known_elr: vec![NodeId(1)],
            leader: None,
            leader_epoch: LeaderEpoch(7),
            partition_epoch: 9,
            recovering: true,
        };
        let partitions = [(0, partition.clone()), (1, PartitionImage { leader: Some(NodeId(2)), ..partition })];
        let topic = TopicImage { name: "t".into(), id: uuid(6), partitions: partitions.into_iter().collect() };
        image.topic_names.insert(uuid(6), "t".into());
        image.topics.insert("t".into(), topic);
        image.brokers.insert(NodeId(1), broker);
        image.controllers.insert(NodeId(2), controller);
        for (name, level) in [("eligible.leader.replicas.version", 1), ("metadata.version", 30)] {
            image.features.insert(name.into(), level);
        }
        let settings = [("retention.ms".into(), "5".into())].into_iter().collect();
        image.configs.insert(crate::image::Resource::topic(&"t".into()), settings);
        image.producer_ids_end = 3_000;
        image
    }

    #[test]
    fn its_records_make_the_same_image() {
        let image = full();
        let records = image.records();
        let mut again = Image::default();
        for record in &records {
            let mut record = record.clone();
            let version = *record.versions().end();
            // As it comes back from the file.
            let read = MetadataRecord::decode(record.encode(version).unwrap()).unwrap();
            again.apply(Offset(-1), &read).unwrap();
        }
        assert_eq!(again, image);
        assert!(matches!(&records[0], MetadataRecord::FeatureLevel(it) if it.name == *"metadata.version"));
        again.apply(Offset(0), &FenceBrokerRecord { id: 1, epoch: 4 }.into()).unwrap();
    }
}
