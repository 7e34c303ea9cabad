//! A cluster without a log: decisions are applied at once, requests are answered from what was decided.

use ordered::Map;

use node::Random;
use node::config::Config;
use node::controller::{Controller, Outcome};
use node::gateway::{self, Context, Step};
use node::image::{Image, PartitionImage};
use node::input::{ConnId, Peer, PeerHost};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::*;
use protocol::{LeaderEpoch, NodeId, Now, Str, Uuid};
use quorum::{Quorum, QuorumSetup};
use storage::{DirId, LogId};

use crate::common::registration::registration;

pub(crate) const DIRECTORY: Uuid = Uuid([9; 16]);

/// The directory of a broker that has one.
pub(crate) fn directory_of(id: i32) -> Uuid {
    broker_directory(DIRECTORY, id)
}

/// No two brokers have a directory in common.
fn broker_directory(first: Uuid, id: i32) -> Uuid {
    let mut bytes = first.0;
    bytes[15] = bytes[15].wrapping_add(16 * (id as u8 - 1));
    Uuid(bytes)
}

/// Types of resources.
pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
/// Operations of IncrementalAlterConfigs.
pub(crate) const SET: i8 = 0;
pub(crate) const DELETE: i8 = 1;
pub(crate) const APPEND: i8 = 2;
pub(crate) const SUBTRACT: i8 = 3;

/// A cluster whose log is a list: decisions are applied as the node does.
pub(crate) struct Cluster {
    pub(crate) config: Config,
    pub(crate) controller: Controller,
    pub(crate) quorum: Quorum,
    pub(crate) random: Random,
    pub(crate) log: Vec<MetadataRecord>,
    /// Of broker 1; others have as many of their own.
    pub(crate) directories: Vec<Uuid>,
    pub(crate) now: Now,
}

impl Cluster {
    pub(crate) fn with(properties: &[(&str, &str)]) -> Cluster {
        let set: Map<String, String> = properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let (mut config, _) = Config::parse(&set).expect("valid settings");
        config.identity.cluster_id = "cluster".into();
        let mut controller = Controller::new(&config);
        controller.activate(Image::default(), LeaderEpoch(1));
        let mut cluster = Cluster {
            config,
            controller,
            quorum: Quorum::new(QuorumSetup::alone(NodeId(1), LogId(0), DirId(0))),
            random: Random::new(7),
            log: Vec::new(),
            directories: vec![DIRECTORY],
            now: Now::default(),
        };
        let incarnation = cluster.random.uuid();
        let records = cluster.controller.decide_bootstrap(&cluster.config, Vec::new(), incarnation);
        cluster.append(records);
        cluster
    }

    /// With its own broker and two more, all alive.
    pub(crate) fn of_three() -> Cluster {
        let mut cluster = Cluster::with(&[]);
        for id in 1..=3 {
            cluster.start_broker(id);
        }
        cluster
    }

    pub(crate) fn of_one() -> Cluster {
        let mut cluster = Cluster::with(&[]);
        cluster.start_broker(1);
        cluster
    }

    pub(crate) fn append(&mut self, records: Vec<MetadataRecord>) {
        for record in records {
            let offset = self.controller.image().next_offset();
            self.controller.apply(offset, &record).expect("a decision applies");
            self.log.push(record);
        }
    }

    pub(crate) fn commit(&mut self, outcome: Outcome) -> ResponseBody {
        self.append(outcome.records);
        outcome.reply
    }

    pub(crate) fn image(&self) -> &Image {
        self.controller.image()
    }

    pub(crate) fn register(&mut self, id: i32, incarnation: u8, previous_epoch: i64) -> BrokerRegistrationResponse {
        let directories = self.directories.iter().map(|it| broker_directory(*it, id)).collect();
        let place = ("here", 9091 + id as u16);
        let request = registration(id, "cluster", Uuid([incarnation; 16]), place, directories);
        self.register_as(&BrokerRegistrationRequest { previous_broker_epoch: previous_epoch, ..request })
    }

    pub(crate) fn register_as(&mut self, request: &BrokerRegistrationRequest) -> BrokerRegistrationResponse {
        // Nobody but the node itself asks for its own broker.
        self.register_from(request, request.broker_id == self.config.node_id.0)
    }

    pub(crate) fn register_from(
        &mut self,
        request: &BrokerRegistrationRequest,
        is_own: bool,
    ) -> BrokerRegistrationResponse {
        let outcome = self.controller.decide_broker_registration(&self.config, request, is_own, self.now);
        match self.commit(outcome) {
            ResponseBody::BrokerRegistration(response) => {
                if response.error_code == 0 {
                    self.heard(request.broker_id, None);
                }
                response
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the node notes when it accepts a broker's request; each broker has one connection.
    fn heard(&mut self, id: i32, offset: Option<i64>) {
        let broker = self.image().broker(NodeId(id)).expect("it is registered").clone();
        let end = self.image().next_offset();
        let contacts = &mut self.controller.contacts;
        contacts.heard(broker.id, broker.epoch, offset, false, ConnId(id as u64), self.now.mono);
        contacts.leaving(broker.id, (broker.in_controlled_shutdown && !broker.fenced).then(|| end.plus(-1)));
    }

    pub(crate) fn heartbeat(&mut self, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
        let outcome = self.controller.decide_broker_heartbeat(&self.config, &request, self.now);
        match self.commit(outcome) {
            ResponseBody::BrokerHeartbeat(response) => {
                if response.error_code == 0 {
                    self.heard(request.broker_id, Some(request.current_metadata_offset));
                }
                response
            }
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat of a broker that has applied everything and wants nothing.
    pub(crate) fn beat(&mut self, id: i32) -> BrokerHeartbeatResponse {
        self.heartbeat(self.beat_of(id))
    }

    pub(crate) fn beat_of(&self, id: i32) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.image().broker(NodeId(id)).map_or(-1, |it| it.epoch),
            current_metadata_offset: self.image().next_offset().0 - 1,
            ..BrokerHeartbeatRequest::default()
        }
    }

    /// The broker's session is over.
    pub(crate) fn fence(&mut self, id: i32) {
        let records = self.controller.decide_fence(&self.config, NodeId(id));
        self.append(records);
        self.controller.contacts.forget(NodeId(id));
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> PartitionImage {
        self.image().partition(topic, index).expect("it exists").clone()
    }

    /// `leader@epoch isr=… elr=… last=…`, and what else is not as usual.
    pub(crate) fn state(&self, topic: &str) -> String {
        let it = self.partition(topic, 0);
        let ids = |nodes: &[NodeId]| nodes.iter().map(|it| it.0.to_string()).collect::<Vec<_>>().join(",");
        let mut text = format!("{}@{} isr={}", it.leader_id(), it.leader_epoch.0, ids(&it.isr));
        for (name, nodes) in [
            ("elr", &it.elr),
            ("last", &it.last_known_elr),
            ("adding", &it.adding_replicas),
            ("removing", &it.removing_replicas),
        ] {
            if !nodes.is_empty() {
                text += &format!(" {name}={}", ids(nodes));
            }
        }
        if it.recovering {
            text += " recovering";
        }
        text
    }

    pub(crate) fn start_broker(&mut self, id: i32) -> i64 {
        let epoch = self.register(id, id as u8, -1).broker_epoch;
        let request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: epoch,
            current_metadata_offset: i64::MAX,
            ..BrokerHeartbeatRequest::default()
        };
        assert!(!self.heartbeat(request).is_fenced);
        epoch
    }

    pub(crate) fn decide_create(
        &mut self,
        request: &CreateTopicsRequest,
    ) -> (Vec<MetadataRecord>, Vec<CreatableTopicResult>) {
        let outcome = self.controller.decide_create_topics(&self.config, &mut self.random, request);
        match outcome.reply {
            ResponseBody::CreateTopics(response) => (outcome.records, response.topics),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let (records, mut results) = self.decide_create(&request);
        self.append(records);
        results.remove(0)
    }

    pub(crate) fn ask(&mut self, version: i16, handle: impl FnOnce(&mut Context<'_>) -> Step) -> ResponseBody {
        let peer = Peer { listener: "PLAINTEXT".into(), host: PeerHost::Named("client".into()) };
        let image = self.image().clone();
        let mut context = Context {
            now: self.now,
            config: &self.config,
            image: &image,
            controller: &self.controller,
            random: &mut self.random,
            quorum: &self.quorum,
            peer: &peer,
            version,
        };
        match handle(&mut context) {
            Step::Answer(body) => body,
            Step::Decided(outcome) | Step::Upgrade(outcome) => self.commit(outcome),
            Step::Ask(..) => panic!("this controller is active"),
        }
    }

    pub(crate) fn metadata(&mut self, version: i16, request: MetadataRequest) -> MetadataResponse {
        match self.ask(version, |context| gateway::metadata::handle(context, request)) {
            ResponseBody::Metadata(response) => response,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..CreatableTopic::default()
    }
}

pub(crate) fn with_config(mut topic: CreatableTopic, key: &str, value: Option<&str>) -> CreatableTopic {
    topic.configs.push(CreatableTopicConfig { name: key.into(), value: value.map(Str::from) });
    topic
}

pub(crate) fn with_assignment(mut topic: CreatableTopic, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    topic.assignments = assignments
        .iter()
        .map(|(index, brokers)| CreatableReplicaAssignment { partition_index: *index, broker_ids: brokers.to_vec() })
        .collect();
    topic
}

pub(crate) fn error_of(result: &CreatableTopicResult) -> (ErrorCode, &str) {
    (ErrorCode::from_code(result.error_code), result.error_message.as_deref().unwrap_or_default())
}
