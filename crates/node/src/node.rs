//! One node: all control flow starts here.
//!
//! What it drives, and how it is called:
//!
//! - `config::Config`, `config::TopicConfig`: `config.topic(&image, topic) -> TopicConfig` resolves a topic's settings
//!   (topic override, broker override, node default).
//! - `image::Image`: `Image::default()`, `apply(&mut self, offset, &MetadataRecord)`, `Clone` is cheap.
//!   `topic(&self, name: &str) -> Option<&TopicImage>`, `topic_by_id(&self, Uuid) -> Option<&TopicImage>`,
//!   `topics(&self)` in order of name; `TopicImage { name, id, partitions: BTreeMap<i32, PartitionImage> }`,
//!   `PartitionImage { leader: NodeId, leader_epoch: LeaderEpoch, partition_epoch, replicas, isr, directories, … }`;
//!   `broker(&self, NodeId) -> Option<&BrokerImage>`; `producer_ids_end() -> i64` (next block's first id).
//! - `quorum::Quorum` is a state machine of its own whose effects are data:
//!   `Quorum::boot(node: NodeId, log: LogId, dir: DirId, out: &mut quorum::Output) -> Quorum`;
//!   `stored(&mut self, now: Now, ticket: quorum::Ticket, Result<Done, StoreError>, out: &mut quorum::Output)`;
//!   `append(&mut self, now: Now, records: Vec<MetadataRecord>, out) -> Offset` (one past the last record; leader only);
//!   `is_leader()`, `leader_epoch()`, `log_end()`, `high_watermark()`.
//!   `quorum::Output { store: Vec<(Ticket, StoreOp)>, committed: Vec<(Offset, MetadataRecord)>, failed: Option<StoreError> }`:
//!   the node numbers the operations and hands the answers back by ticket. Records replayed at boot are `committed` too.
//! - `controller::Controller`: `Controller::new(&Config)`, `activate(&mut self, image: Image, epoch: LeaderEpoch)`,
//!   `apply(&mut self, offset, &MetadataRecord)` (speculative, when appended), `is_active()`,
//!   `decide_bootstrap(&self, &Config, now, &mut Random) -> Vec<MetadataRecord>` for an empty log,
//!   `decide_broker_registration(&self, &BrokerRegistrationRequest, now) -> Outcome`,
//!   `decide_broker_heartbeat(&self, &BrokerHeartbeatRequest, now) -> Outcome` (unfence, controlled shutdown),
//!   `decide_allocate_producer_ids(&self, &AllocateProducerIdsRequest) -> Outcome`,
//!   and what the gateway's files call. `Outcome { records: Vec<MetadataRecord>, reply: ResponseBody }`: a refusal of a
//!   whole request is an outcome without records whose reply says so.
