//! What the active controller does by itself, now and then: elections that nobody asked for.

use node::{ConnId, Event, Input, Peer, PeerHost};
use ordered::Map;
use protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use protocol::messages::*;
use protocol::{ErrorCode, RequestBody, ResponseBody, Str, Uuid};
use storage::{MemoryDisk, Store, StoreOp};

use crate::common::registration::registration;
use crate::common::{self, Rig, config};

const CONTROLLER: ConnId = ConnId(40);
const SESSION_MS: &str = "3000";

/// Node 1 leads the metadata, and brokers 2 and 3 are what the test says of them.
struct Brokers {
    rig: Rig,
    epochs: Map<i32, i64>,
}

impl Brokers {
    fn new(settings: &[(&str, &str)]) -> Brokers {
        let settings: Vec<_> = [("broker.session.timeout.ms", SESSION_MS)].iter().chain(settings).copied().collect();
        let mut rig = Rig::cold(config(&settings), Store::new(MemoryDisk::new()));
        rig.calls = Some(Vec::new());
        rig.open(common::CLIENT);
        let host = PeerHost::Named(Str::from_static("brokers"));
        rig.input(Input::Opened(CONTROLLER, Peer { listener: Str::from_static("CONTROLLER"), host }));
        rig.run();
        let mut brokers = Brokers { rig, epochs: Map::new() };
        brokers.start(2);
        brokers.start(3);
        brokers
    }

    fn ask(&mut self, version: i16, body: RequestBody) -> ResponseBody {
        let sent = self.rig.send_on(CONTROLLER, version, body);
        self.rig.run();
        self.rig.answer(sent).expect("it is answered")
    }

    /// The broker registers, and is alive.
    fn start(&mut self, id: i32) {
        let directories = vec![Uuid::from_random([100 + id as u8; 16])];
        let incarnation = Uuid::from_random([id as u8; 16]);
        let request = registration(id, "test-cluster", incarnation, ("there", 9090 + id as u16), directories);
        let ResponseBody::BrokerRegistration(answer) = self.ask(4, RequestBody::BrokerRegistration(request)) else {
            panic!("another answer")
        };
        assert_eq!(answer.error_code, 0);
        self.epochs.insert(id, answer.broker_epoch);
        self.beat(id);
    }

    fn beat(&mut self, id: i32) {
        let request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.epochs[&id],
            current_metadata_offset: i64::MAX,
            ..BrokerHeartbeatRequest::default()
        };
        let ResponseBody::BrokerHeartbeat(answer) = self.ask(1, RequestBody::BrokerHeartbeat(request)) else {
            panic!("another answer")
        };
        assert_eq!((answer.error_code, answer.is_fenced), (0, false));
    }

    /// Time passes in which these show that they live.
    fn live(&mut self, alive: &[i32], ms: i64) {
        for _ in 0..ms / 500 {
            self.rig.advance(500);
            for id in alive {
                self.beat(*id);
            }
        }
        self.rig.advance(ms % 500);
    }

    /// Topic "t", each partition on brokers 2 and 3, the first of which leads it.
    fn create(&mut self, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let assignment = |partition_index| CreatableReplicaAssignment { partition_index, broker_ids: vec![2, 3] };
        let set = |(key, value): &(&str, &str)| CreatableTopicConfig {
            name: Str::from(*key),
            value: Some(Str::from(*value)),
        };
        let topic = CreatableTopic {
            name: "t".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: (0..partitions).map(assignment).collect(),
            configs: configs.iter().map(set).collect(),
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
        let ResponseBody::CreateTopics(answer) = self.rig.call(7, RequestBody::CreateTopics(request)) else { panic!() };
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        answer.topics[0].topic_id
    }

    /// How many partitions each broker leads; -1 is nobody.
    fn leaders(&mut self) -> Vec<(i32, usize)> {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let sent = self.rig.send(12, RequestBody::Metadata(request));
        // What was said before is said again only after a moment.
        self.rig.advance(10);
        let Some(ResponseBody::Metadata(answer)) = self.rig.answer(sent) else { panic!("it is answered") };
        let mut leaders: Map<i32, usize> = Map::new();
        for partition in answer.topics.iter().flat_map(|it| &it.partitions) {
            *leaders.entry(partition.leader_id).or_default() += 1;
        }
        leaders.into_iter().collect()
    }

    /// First 3 dies, then 2, which was in sync alone; then 3 is back.
    fn lose_the_last_in_sync(&mut self) {
        self.live(&[2], 4_000);
        self.live(&[], 4_000);
        self.start(3);
    }
}

fn warnings(brokers: &Brokers) -> Vec<String> {
    let warnings = brokers.rig.events.iter().filter_map(|it| match it {
        Event::Warning { what } => Some(what.clone()),
        _ => None,
    });
    warnings.collect()
}

#[test]
fn a_partition_without_a_leader_gets_an_unclean_one_within_its_own_interval() {
    let mut brokers = Brokers::new(&[
        ("unclean.leader.election.interval.ms", "5000"),
        ("leader.imbalance.check.interval.seconds", "100000"),
    ]);
    brokers.create(1, &[]);
    brokers.lose_the_last_in_sync();
    brokers.live(&[3], 20_000);
    assert_eq!(brokers.leaders(), [(-1, 1)], "nobody has allowed it");
    let config = incremental_alter_configs_request::AlterableConfig {
        name: "unclean.leader.election.enable".into(),
        value: Some("true".into()),
        ..Default::default()
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![config],
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    brokers.rig.call(1, RequestBody::IncrementalAlterConfigs(request));
    brokers.live(&[3], 5_000);
    assert_eq!(brokers.leaders(), [(3, 1)]);
    let all = warnings(&brokers);
    assert_eq!(all, ["unclean election: t-0 is led by 3, which may lack acknowledged records"]);
}

#[test]
fn more_elections_than_one_decision_has_room_for_follow_at_once() {
    let mut brokers = Brokers::new(&[
        ("unclean.leader.election.interval.ms", "60000"),
        ("leader.imbalance.check.interval.seconds", "200"),
        ("unclean.leader.election.enable", "true"),
    ]);
    let topic_id = brokers.create(1_100, &[]);
    // With both alive, then 3 alone: it leads what 2 led.
    brokers.live(&[3], 4_000);
    assert_eq!(brokers.leaders(), [(3, 1_100)]);
    brokers.start(2);
    let epochs = brokers.epochs.clone();
    let member = |broker_id: i32| BrokerState { broker_id, broker_epoch: epochs[&broker_id] };
    let partition = |partition_index| PartitionData {
        partition_index,
        leader_epoch: 1,
        new_isr_with_epochs: vec![member(3), member(2)],
        partition_epoch: 1,
        ..PartitionData::default()
    };
    let topics = vec![TopicData { topic_id, partitions: (0..1_100).map(partition).collect() }];
    let request = AlterPartitionRequest { broker_id: 3, broker_epoch: epochs[&3], topics };
    let ResponseBody::AlterPartition(answer) = brokers.ask(3, RequestBody::AlterPartition(request)) else { panic!() };
    assert!(answer.topics[0].partitions.iter().all(|it| it.error_code == 0), "{:?}", answer.topics[0].partitions[0]);
    let left_ms = 200_000 - brokers.rig.mono.0 as i64 / 1_000;
    brokers.live(&[2, 3], left_ms - 20);
    assert_eq!(brokers.leaders(), [(3, 1_100)]);
    brokers.live(&[2, 3], 1_000);
    assert_eq!(brokers.leaders(), [(2, 1_100)], "all of them are back, not the first thousand");
}

#[test]
fn records_that_say_nothing_are_written_only_if_that_is_asked_for() {
    let written = |settings: &[(&str, &str)]| {
        let mut rig = Rig::with(settings);
        let before = rig.view().metadata.high_watermark;
        rig.advance(10_000);
        rig.view().metadata.high_watermark.0 - before.0
    };
    assert_eq!(written(&[("metadata.max.idle.interval.ms", "500")]), 20);
    assert_eq!(written(&[("metadata.max.idle.interval.ms", "0")]), 0);
    assert_eq!(written(&[]), 0);
}

#[test]
fn who_has_begun_to_flush_writes_nothing_more() {
    let mut rig = Rig::with(&[("metadata.max.idle.interval.ms", "10"), ("controlled.shutdown.enable", "false")]);
    rig.held = true;
    rig.input(Input::Stop);
    rig.advance(1_000);
    assert!(!rig.queue.iter().any(|(_, op)| matches!(op, StoreOp::Append(..))), "{:?}", rig.queue);
    rig.held = false;
    rig.run();
    assert!(rig.stopped);
}

#[test]
fn who_has_begun_to_flush_fences_nobody() {
    let mut rig = Brokers::new(&[("controlled.shutdown.enable", "false")]).rig;
    rig.held = true;
    rig.input(Input::Stop);
    // The brokers' connection is gone as well.
    rig.input(Input::Closed(CONTROLLER));
    rig.advance(10_000);
    assert!(!rig.queue.iter().any(|(_, op)| matches!(op, StoreOp::Append(..))), "{:?}", rig.queue);
    rig.held = false;
    rig.run();
    assert!(rig.stopped);
}

/// A second process with this node's number is somebody's mistake: the first one lives, and what is known of it has to be true.
#[test]
fn who_registers_as_this_controller_is_written_over() {
    let mut brokers = Brokers::new(&[]);
    let controllers = |brokers: &mut Brokers| {
        let request = DescribeClusterRequest { endpoint_type: 2, ..DescribeClusterRequest::default() };
        let ResponseBody::DescribeCluster(answer) = brokers.ask(1, RequestBody::DescribeCluster(request)) else {
            panic!("another answer")
        };
        answer.brokers.iter().map(|it| (it.broker_id, it.port)).collect::<Vec<_>>()
    };
    let before = controllers(&mut brokers);
    let listener = controller_registration_request::Listener {
        name: Str::from_static("CONTROLLER"),
        host: Str::from_static("twin"),
        port: 7,
        security_protocol: 0,
    };
    let twin = ControllerRegistrationRequest {
        controller_id: 1,
        incarnation_id: Uuid::from_random([50; 16]),
        listeners: vec![listener],
        ..ControllerRegistrationRequest::default()
    };
    let ResponseBody::ControllerRegistration(answer) = brokers.ask(0, RequestBody::ControllerRegistration(twin)) else {
        panic!("another answer")
    };
    assert_eq!(answer.error_code, 0);
    assert_eq!(controllers(&mut brokers), [(1, 7)], "the log says so");
    brokers.live(&[2, 3], 1_000);
    assert_eq!(controllers(&mut brokers), before);
}

/// Nobody who waits for its group learns more than that there is no coordinator, so whoever runs the broker has to be told why.
#[test]
fn people_are_told_once_why_the_offsets_topic_cannot_be_created() {
    let mut brokers = Brokers::new(&[("offsets.topic.replication.factor", "4")]);
    let find = |brokers: &mut Brokers| {
        let request =
            FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..FindCoordinatorRequest::default() };
        let sent = brokers.rig.send(4, RequestBody::FindCoordinator(request));
        brokers.rig.run();
        let Some(ResponseBody::FindCoordinator(answer)) = brokers.rig.answer(sent) else { panic!("it is answered") };
        assert_eq!(answer.coordinators[0].error_code, ErrorCode::CoordinatorNotAvailable.code());
    };
    for _ in 0..3 {
        find(&mut brokers);
        brokers.live(&[2, 3], 500);
    }
    let all = warnings(&brokers);
    let [only] = &all[..] else { panic!("{all:?}") };
    assert!(only.contains("__consumer_offsets") && only.contains("INVALID_REPLICATION_FACTOR"), "{only}");
    assert!(only.contains("replication factor of 4"), "{only}");
}
