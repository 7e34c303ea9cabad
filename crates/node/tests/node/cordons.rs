//! Log directories that are closed to new replicas: `cordoned.log.dirs` (KIP-1066).

use node::Config;
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{
    AlterReplicaLogDirsRequest, CreateTopicsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
};
use protocol::{ErrorCode, RequestBody, ResponseBody, Str};
use storage::{DirId, Disk};

use crate::common::{Rig, batch};

const DIRS: [(&str, &str); 1] = [("log.dirs", "/a,/b")];

/// Sets it for the only broker.
fn cordon(rig: &mut Rig, resource: &str, value: &str) -> (ErrorCode, Str) {
    let config = AlterableConfig { name: "cordoned.log.dirs".into(), value: Some(value.into()), ..Default::default() };
    let resources =
        vec![AlterConfigsResource { resource_type: 4, resource_name: resource.into(), configs: vec![config] }];
    let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
    let ResponseBody::IncrementalAlterConfigs(response) = rig.call(1, RequestBody::IncrementalAlterConfigs(request))
    else {
        panic!()
    };
    let it = &response.responses[0];
    (ErrorCode::from_code(it.error_code), it.error_message.clone().unwrap_or_default())
}

/// By directory, as DescribeLogDirs has it.
fn cordoned(rig: &mut Rig) -> Vec<bool> {
    let ResponseBody::DescribeLogDirs(response) =
        rig.call(5, RequestBody::DescribeLogDirs(DescribeLogDirsRequest::default()))
    else {
        panic!()
    };
    response.results.iter().map(|it| it.is_cordoned).collect()
}

fn logs_in(rig: &Rig, dir: u16) -> usize {
    let entries = rig.store.disk().list(DirId(dir), "").unwrap();
    entries.iter().filter(|it| it.is_dir && !it.name.starts_with("__cluster")).count()
}

fn create(rig: &mut Rig, name: &str, assigned: bool) -> (ErrorCode, Str) {
    let by_hand = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: if assigned { -1 } else { 1 },
        replication_factor: if assigned { -1 } else { 1 },
        assignments: if assigned { vec![by_hand] } else { Vec::new() },
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
    let ResponseBody::CreateTopics(response) = rig.call(7, RequestBody::CreateTopics(request)) else { panic!() };
    let it = &response.topics[0];
    (ErrorCode::from_code(it.error_code), it.error_message.clone().unwrap_or_default())
}

#[test]
fn a_cordoned_directory_gets_no_new_replicas_until_it_is_open_again() {
    let mut rig = Rig::with(&DIRS);
    assert_eq!(cordoned(&mut rig), [false, false]);
    assert_eq!(cordon(&mut rig, "1", "/a").0, ErrorCode::None);
    assert_eq!(cordoned(&mut rig), [true, false]);
    rig.create_topic("t", 6, &[]);
    assert_eq!((logs_in(&rig, 0), logs_in(&rig, 1)), (0, 6));
    let topics = vec![AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![0] }];
    let request = AlterReplicaLogDirsRequest { dirs: vec![AlterReplicaLogDir { path: "/a".into(), topics }] };
    let ResponseBody::AlterReplicaLogDirs(moved) = rig.call(2, RequestBody::AlterReplicaLogDirs(request)) else {
        panic!()
    };
    assert_eq!(moved.results[0].partitions[0].error_code, ErrorCode::InvalidReplicaAssignment.code());

    // It outlives a restart, and what is there goes on.
    rig.stop();
    let mut rig = rig.restart(&DIRS);
    assert_eq!(cordoned(&mut rig), [true, false]);
    assert_eq!(rig.produce("t", 0, -1, batch(&["a"])), (0, 0));
    assert_eq!(cordon(&mut rig, "1", "").0, ErrorCode::None);
    assert_eq!(cordoned(&mut rig), [false, false]);
    rig.create_topic("u", 6, &[]);
    assert_eq!((logs_in(&rig, 0), logs_in(&rig, 1)), (6, 6));
}

#[test]
fn a_broker_all_of_whose_directories_are_cordoned_gets_no_replicas() {
    let mut rig = Rig::with(&DIRS);
    assert_eq!(cordon(&mut rig, "1", "*").0, ErrorCode::None);
    assert_eq!(cordoned(&mut rig), [true, true]);
    let (error, why) = create(&mut rig, "t", false);
    assert_eq!(error, ErrorCode::InvalidReplicationFactor, "{why}");
    let why = "The manual partition assignment includes broker 1, but all its log directories are cordoned.";
    assert_eq!(create(&mut rig, "t", true), (ErrorCode::InvalidReplicaAssignment, why.into()));
    assert_eq!(cordon(&mut rig, "1", "/b").0, ErrorCode::None);
    assert_eq!(create(&mut rig, "t", true).0, ErrorCode::None);
}

#[test]
fn only_directories_that_there_are_can_be_cordoned() {
    let missing = "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : /c";
    let mixed = "When cordoned.log.dirs is set to *, it must not contain other values";
    let mut rig = Rig::with(&DIRS);
    assert_eq!(cordon(&mut rig, "1", "/a,/c"), (ErrorCode::InvalidRequest, missing.into()));
    assert_eq!(cordon(&mut rig, "1", "*,/a"), (ErrorCode::InvalidRequest, mixed.into()));
    assert_eq!(cordon(&mut rig, "", "/a").0, ErrorCode::InvalidRequest, "each broker has its own");
    assert_eq!(cordoned(&mut rig), [false, false]);

    let file =
        [("log.dirs", "/a,/b"), ("cordoned.log.dirs", "/c")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(Config::parse(&file.into_iter().collect()).unwrap_err().0, missing);
    let mut rig = Rig::with(&[DIRS[0], ("cordoned.log.dirs", "/b")]);
    rig.create_topic("t", 3, &[]);
    assert_eq!((logs_in(&rig, 0), logs_in(&rig, 1)), (3, 0), "the file's value counts from the start");
}
