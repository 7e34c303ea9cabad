//! What an action asks of a cluster, be it simulated or of processes: the same requests.

use client::admin::NewTopic;
use protocol::messages::ProduceRequest;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::records::{BatchBuilder, Compression, PureCompressors, Records};
use protocol::{NodeId, ProducerEpoch, ProducerId, WallMs};

use crate::action::{CreateTopic, WireProduce};

/// Replicas of a partition, if there are so many brokers.
const USUAL_REPLICATION: usize = 3;

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
        Ok(ProduceRequest { acks: self.acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() })
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
