//! An image as records: what a snapshot of the metadata holds (KIP-630).

use protocol::messages::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, TopicRecord, register_broker_record, register_controller_record,
};
use protocol::{NodeId, Str};
use quorum::{CORDONED_DIRECTORIES, METADATA_VERSION};

use super::{BrokerImage, ControllerImage, Image, PartitionImage, TopicImage};

/// An image that becomes records piece by piece, while the one it was goes on.
#[derive(Clone, Debug)]
pub(crate) struct FrozenImage {
    image: Image,
    /// Records that are next, the last first.
    ready: Vec<MetadataRecord>,
    next: Next,
}

/// What comes after the records that are ready.
#[derive(Clone, Debug)]
enum Next {
    Head,
    /// The first topic whose name is not less.
    Topic(Str),
    /// Of a topic, the first partition that is not less.
    Partition(Str, i32),
    Tail,
    Nothing,
}

/// Partitions whose records are made at once.
const PARTITIONS_AT_ONCE: usize = 64;

impl FrozenImage {
    /// The next records, fewer than asked for only at the end.
    pub(crate) fn take(&mut self, most: usize) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        while records.len() < most {
            match self.ready.pop() {
                Some(record) => records.push(record),
                None if matches!(self.next, Next::Nothing) => break,
                None => {
                    self.ready = self.step();
                    self.ready.reverse();
                }
            }
        }
        records
    }

    fn step(&mut self) -> Vec<MetadataRecord> {
        let image = &self.image;
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Head => {
                self.next = Next::Topic(Str::new());
                image.head_records()
            }
            Next::Topic(name) => match image.topics_from(&name).next() {
                Some(topic) => {
                    self.next = Next::Partition(topic.name.clone(), i32::MIN);
                    vec![TopicRecord { name: topic.name.clone(), topic_id: topic.id }.into()]
                }
                None => {
                    self.next = Next::Tail;
                    Vec::new()
                }
            },
            Next::Partition(name, from) => {
                let Some(topic) = image.topic(&name) else { return Vec::new() };
                let mut left = topic.partitions.range(from..);
                let records: Vec<MetadataRecord> = left
                    .by_ref()
                    .take(PARTITIONS_AT_ONCE)
                    .map(|(index, it)| partition_record(topic, *index, it))
                    .collect();
                // The name that comes right after this one is this one and a zero.
                let after = || Next::Topic(Str::from(format!("{name}\0")));
                self.next = left.next().map_or_else(after, |(index, _)| Next::Partition(name.clone(), *index));
                records
            }
            Next::Tail => image.tail_records(),
            Next::Nothing => Vec::new(),
        }
    }
}

impl Image {
    /// The records that make this image out of an empty one, in the order in which Apache Kafka writes them: the level of
    /// the metadata first, because it says how to read the rest.
    pub fn records(&self) -> Vec<MetadataRecord> {
        self.frozen().take(usize::MAX)
    }

    /// This image as it is now, to be taken as records.
    pub(crate) fn frozen(&self) -> FrozenImage {
        FrozenImage { image: self.clone(), ready: Vec::new(), next: Next::Head }
    }

    fn head_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let level = |name: &Str, level: i16| FeatureLevelRecord { name: name.clone(), feature_level: level }.into();
        let is_version = |name: &Str| *name == *METADATA_VERSION;
        records.extend(self.features().filter(|(name, _)| is_version(name)).map(|(name, at)| level(name, at)));
        records.extend(self.features().filter(|(name, _)| !is_version(name)).map(|(name, at)| level(name, at)));
        let has_cordons = self.feature(METADATA_VERSION) >= CORDONED_DIRECTORIES;
        records.extend(self.brokers().map(|broker| registration(broker, has_cordons)));
        records.extend(self.controllers().map(controller_registration));
        records
    }

    fn tail_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
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
        for piece in 1..=records.len() + 1 {
            let mut frozen = image.frozen();
            let mut taken = Vec::new();
            loop {
                let some = frozen.take(piece);
                let is_last = some.len() < piece;
                taken.extend(some);
                if is_last {
                    break;
                }
            }
            assert_eq!(taken, records, "in pieces of {piece}");
        }
        assert!(matches!(&records[0], MetadataRecord::FeatureLevel(it) if it.name == *"metadata.version"));
        again.apply(Offset(0), &FenceBrokerRecord { id: 1, epoch: 4 }.into()).unwrap();
    }
}
