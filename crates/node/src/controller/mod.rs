//! The controller: decides over the speculative metadata.
//!
//! Every `decide_*` is pure: it looks at the image, returns records and a reply, and changes nothing. The node appends the
//! records to the metadata log, applies them here at once, so that the next decision sees them, and parks the reply until
//! they are committed.

mod alter_partition;
mod brokers;
mod change;
mod configs;
mod contacts;
mod directories;
mod election;
mod features;
mod partitions;
mod placement;
mod reassignment;
mod topics;

use ordered::Map;
use protocol::messages::{MetadataRecord, ResponseBody};
use protocol::{Instant, LeaderEpoch, Offset};

use crate::config::{Config, ConsumerGroupConfig, Past};
use crate::image::{Image, ImageError};

pub use brokers::PRODUCER_ID_BLOCK;
pub use configs::{Asked, Origin};
pub(crate) use configs::{check_alter_at_broker, check_incremental_alter_at_broker};
pub use contacts::{Contacts, Due, KNOCK_INTERVAL_MS};
pub(crate) use election::MAX_ELECTIONS;
pub use features::initial as initial_features;
pub use placement::{Usable, place_over};
pub use reassignment::ongoing_reassignments;
pub use topics::{check_name, is_internal};

/// The most records that one request may bring, as in Kafka.
const MAX_RECORDS_PER_DECISION: usize = 10_000;

/// What was decided. A refusal is an outcome without records whose reply says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Goes into the metadata log as one batch.
    pub records: Vec<MetadataRecord>,
    /// Sent when the records, and all before them, are committed.
    pub reply: ResponseBody,
}

/// The controller of one node: active while it leads the quorum.
#[derive(Clone, Debug)]
pub struct Controller {
    image: Image,
    epoch: Option<LeaderEpoch>,
    /// When each broker was heard of.
    pub contacts: Contacts,
    past: Past,
    /// What the settings of groups are held to.
    consumer_groups: ConsumerGroupConfig,
}

impl Controller {
    /// A controller that is not active.
    pub fn new(config: &Config) -> Controller {
        Controller {
            image: Image::default(),
            epoch: None,
            contacts: Contacts::default(),
            past: config.past,
            consumer_groups: config.groups.consumer.clone(),
        }
    }

    /// Starts to lead, from the image of everything in the log.
    pub fn activate(&mut self, image: Image, epoch: LeaderEpoch) {
        self.image = image;
        self.epoch = Some(epoch);
    }

    /// Leads no more: what was decided and not committed is forgotten.
    pub fn resign(&mut self, committed: Image) {
        self.image = committed;
        self.epoch = None;
        self.contacts.clear();
    }

    /// True while this node decides.
    pub fn is_active(&self) -> bool {
        self.epoch.is_some()
    }

    /// The epoch in which it decides.
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.epoch
    }

    /// True if it has decided that there is such a topic, committed or not.
    pub fn has_decided(&self, topic: &str) -> bool {
        self.is_active() && self.image.topic(topic).is_some()
    }

    /// Gives every broker that is alive, by the image, time to say so.
    pub fn arm_contacts(&mut self, now: Instant, grace_ms: i64) {
        self.contacts.arm(&self.image, now, grace_ms);
    }

    /// What the next decision sees: everything appended, committed or not.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Applies a record that was appended at the offset.
    pub fn apply(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), ImageError> {
        self.image.apply(offset, record)
    }
}

/// How often each comes.
fn times<K: Ord + Clone>(keys: impl Iterator<Item = K>) -> Map<K, usize> {
    let mut times = Map::new();
    for key in keys {
        *times.entry(key).or_default() += 1;
    }
    times
}
