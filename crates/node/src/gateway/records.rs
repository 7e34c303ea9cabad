//! What costs per byte of produced records, done before [`Node::handle`] sees the heads: checks, and `compression.type`.

use protocol::messages::ProduceRequest;
use protocol::records::{self, Batches, Budget, CheckRules, Compressors, Fault, Records, RecordsError};
use protocol::{Offset, Request, RequestBody, ResponseBody};

use crate::config::TopicConfig;
use crate::node::Node;
use crate::partition::PartitionKey;

/// A batch may decompress to so many times `socket.request.max.bytes`.
const DECOMPRESSED_FACTOR: usize = 2;

/// Checks every byte of the records in an answer to one of our calls: bytes become batches, or are refused. The host calls it
/// on an answer before handing it in; whether they are the batches that a follower asked for is the follower's to see.
pub fn check_answer(body: &mut ResponseBody, compressors: &dyn Compressors) {
    let ResponseBody::Fetch(fetch) = body else { return };
    for data in fetch.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let Some(records @ Records::Bytes(_)) = &mut data.records else { continue };
        let Records::Bytes(bytes) = std::mem::replace(records, Records::Bytes(Default::default())) else { continue };
        *records = match records::check(bytes.clone(), &CheckRules::replica(Offset(0)), compressors) {
            Ok(batches) => Records::Batches(batches),
            Err(error) => Records::Refused(bytes, Box::new(error)),
        };
    }
}

impl Node {
    /// Checks every byte of produced records, and compresses them anew for a topic that wants another codec than the
    /// producer's. The host calls it on a request before handing it in; what the host leaves out `handle` does itself. Changes
    /// nothing but the request.
    pub fn check_records(&self, request: &mut Request) {
        if let RequestBody::Produce(produce) = &mut request.body {
            self.check_produced(request.version, produce);
        }
    }

    pub(crate) fn check_produced(&self, version: i16, request: &mut ProduceRequest) {
        let records = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let size = records.filter_map(|it| it.records.as_ref()).map(Records::size).sum();
        let max_bytes = usize::try_from(self.config.socket_request_max_bytes).unwrap_or_default();
        let mut budget = Budget::new(max_bytes.saturating_mul(DECOMPRESSED_FACTOR), size);
        for topic in &mut request.topic_data {
            let known =
                if version >= 13 { self.image.topic_by_id(topic.topic_id) } else { self.image.topic(&topic.name) };
            for data in &mut topic.partition_data {
                let Some(records @ Records::Bytes(_)) = &mut data.records else { continue };
                budget.check(version, records, &*self.compressors);
                let key = known.map(|topic| PartitionKey { topic_id: topic.id, partition: data.index });
                if let Some(partition) = key.and_then(|key| self.partitions.get(&key)) {
                    self.compress(records, &partition.config);
                }
            }
        }
    }

    /// Brings checked batches into the topic's compression, if it has one of its own.
    fn compress(&self, records: &mut Records, config: &TopicConfig) {
        let Records::Batches(batches) = records else { return };
        let Some((compression, level)) = config.compression else { return };
        // A batch that is too large is refused as it came, as in Kafka, however small it might become.
        let limit = usize::try_from(config.max_message_bytes).unwrap_or_default();
        let is_due = |batches: &Batches| {
            batches.heads().iter().any(|it| it.attributes.compression() != compression)
                && batches.heads().iter().all(|it| it.size() <= limit)
        };
        if !is_due(batches) {
            return;
        }
        let plain = (0..batches.len()).filter_map(|it| batches.facts(it)).map(|it| it.plain_size).max();
        match batches.recompressed(compression, level, plain.unwrap_or_default(), &*self.compressors) {
            Ok(compressed) => *batches = compressed,
            Err(error) => {
                let error = RecordsError { at: 0, base_offset: None, fault: Fault::Compression(error) };
                *records = Records::Refused(batches.to_bytes(), Box::new(error));
            }
        }
    }
}
