//! A node's life: start, restart, stop, failing disks, and that it is deterministic.

use node::view::WaitReason;
use node::{ConnId, Credit, Event, Input, Phase, Reply, Scope, WakeReason};
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{ApiVersionsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, MetadataRequest};
use protocol::{ErrorCode, Instant, LeaderEpoch, NodeId, Offset, RequestBody, ResponseBody, Str};
use storage::{Cell, DirId, MemoryDisk, Store, StoreError, StoreOp};

use crate::common::{self, CLIENT, Rig, batch, config, fetch, produce, sequenced};

#[test]
fn it_begins_by_itself() {
    let rig = Rig::cold(config(&[]), Store::new(MemoryDisk::new()));
    assert_eq!(rig.node.wake_at(), Some((Instant(0), WakeReason::Boot)));
    assert_eq!(rig.view().phase, Phase::Cold);
}

#[test]
fn a_new_node_registers_and_serves() {
    let rig = Rig::start();
    let view = rig.view();
    assert_eq!((view.node, view.phase), (NodeId(1), Phase::Serving));
    assert_eq!(view.brokers.len(), 1);
    assert!(!view.brokers[0].fenced);
    assert_eq!(view.brokers[0].endpoints[0].0, "PLAINTEXT");
    assert!(view.metadata.is_leader);
    assert_eq!(view.metadata.leader_epoch, LeaderEpoch(1));
    assert_eq!(view.metadata.high_watermark, view.metadata.log_end);
    assert_eq!(view.operations, 0);
}

#[test]
fn api_versions_is_answered_before_anything_else_and_the_rest_waits() {
    let mut rig = Rig::cold(config(&[]), Store::new(MemoryDisk::new()));
    rig.held = true;
    rig.open(CLIENT);
    rig.run();
    let early = rig.send(4, RequestBody::ApiVersions(ApiVersionsRequest::default()));
    assert!(matches!(rig.answer(early), Some(ResponseBody::ApiVersions(_))));
    let metadata = rig.send(12, RequestBody::Metadata(MetadataRequest { topics: None, ..Default::default() }));
    assert_eq!(rig.answer(metadata), None);
    assert_eq!(rig.credit, [(CLIENT, Credit::Stop)]);
    assert_eq!(rig.view().waits[0].what, WaitReason::Start);
    rig.held = false;
    rig.run();
    let Some(ResponseBody::Metadata(response)) = rig.answer(metadata) else { panic!("it is answered when it serves") };
    assert_eq!(response.brokers.len(), 1);
    assert_eq!(rig.credit, [(CLIENT, Credit::Stop), (CLIENT, Credit::Go)]);
}

#[test]
fn a_clean_restart_keeps_everything() {
    let mut rig = Rig::start();
    let id = rig.create_topic("t", 2, &[("retention.ms", "-1")]);
    rig.produce("t", 0, -1, sequenced(9, 0, 0, &["a"]));
    rig.produce("t", 1, -1, batch(&["b", "c"]));
    rig.stop();
    assert!(rig.events.contains(&Event::Stopping));
    let epoch = rig.view().metadata.leader_epoch;
    let mut rig = rig.restart(&[]);
    assert!(rig.view().metadata.leader_epoch > epoch);
    assert_eq!(rig.view().topics[0].id, id);
    assert_eq!(rig.values(&rig.clone().fetch("t", 0, 0)), [(0, "a".into())]);
    assert_eq!(rig.values(&rig.clone().fetch("t", 1, 0)), [(0, "b".into()), (1, "c".into())]);
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 0, &["a"])), (0, 0), "the producer is still known");
    assert_eq!(rig.produce("t", 0, -1, sequenced(9, 0, 1, &["d"])), (0, 1));
    let partition = &rig.view().topics[0].partitions[0];
    assert_eq!((partition.leader, &partition.isr), (Some(NodeId(1)), &vec![NodeId(1)]));
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    for index in 0..10 {
        assert_eq!(rig.produce("t", 0, 1, batch(&[&format!("v{index}")])).0, 0);
    }
    let mut rig = rig.restart(&[]);
    assert_eq!(rig.values(&rig.clone().fetch("t", 0, 0)).len(), 10);
    assert_eq!(rig.produce("t", 0, -1, batch(&["next"])), (0, 10));
}

#[test]
fn a_power_cut_keeps_the_metadata_that_was_answered() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.store.disk_mut().power_cut();
    let mut rig = rig.restart(&[]);
    assert_eq!(rig.view().topics[0].name, "t");
    assert_eq!(rig.produce("t", 0, -1, batch(&["a"])), (0, 0));
}

#[test]
fn a_stop_flushes_and_marks_the_directory() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, 1, batch(&["a"]));
    let waiting =
        rig.send(12, RequestBody::Fetch(protocol::messages::FetchRequest { max_wait_ms: 60_000, ..fetch("t", 0, 1) }));
    rig.held = true;
    rig.input(Input::Stop);
    let mut order = Vec::new();
    while let Some((_, op)) = rig.queue.front() {
        order.push(match op {
            StoreOp::Flush(log) => format!("flush {}", log.0),
            StoreOp::Put(Cell::HighWatermarks(_), _) => "high watermarks".to_owned(),
            StoreOp::Put(Cell::RecoveryPoints(_), text) => format!("recovery {}", String::from_utf8_lossy(text)),
            StoreOp::Put(Cell::CleanShutdown(DirId(0)), _) => "clean".to_owned(),
            StoreOp::Put(Cell::LogStarts(_), _) => "log starts".to_owned(),
            _ => "other".to_owned(),
        });
        rig.store_one();
    }
    assert!(rig.stopped);
    let place = |what: &str| order.iter().position(|it| it == what).unwrap_or_else(|| panic!("{what} in {order:?}"));
    assert!(place("flush 1") < place("high watermarks") && place("high watermarks") < place("clean"), "{order:?}");
    assert!(place("log starts") < place("clean"), "{order:?}");
    assert!(
        order.iter().any(|it| it.starts_with("recovery 0\n2\n__cluster_metadata 0 ") && it.ends_with("\nt 0 1\n")),
        "{order:?}"
    );
    assert_eq!(order.last().map(String::as_str), Some("clean"));
    assert!(rig.answer(waiting).is_some(), "who waits is told");
    assert_eq!(rig.node.view(&Scope::Node).phase, Phase::Stopped);
}

#[test]
fn a_node_that_has_not_begun_stops_at_once() {
    let mut rig = Rig::cold(config(&[]), Store::new(MemoryDisk::new()));
    rig.input(Input::Stop);
    assert!(rig.stopped);
    assert_eq!(rig.queue.len(), 0);
}

#[test]
fn a_deleted_topic_goes_and_its_name_can_be_used_again() {
    let mut rig = Rig::start();
    let first = rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch(&["old"]));
    let deletion =
        || DeleteTopicsRequest { topic_names: vec![Str::from_static("t")], timeout_ms: 1000, ..Default::default() };
    rig.call(5, RequestBody::DeleteTopics(deletion()));
    assert!(rig.events.contains(&Event::TopicDeleted { topic: "t".into(), id: first }));
    let second = rig.create_topic("t", 1, &[]);
    assert_ne!(first, second);
    assert_eq!(rig.produce("t", 0, -1, batch(&["new"])), (0, 0));
    let rig = rig.restart(&[]);
    assert_eq!(rig.values(&rig.clone().fetch("t", 0, 0)), [(0, "new".into())]);
}

#[test]
fn a_new_log_waits_until_the_old_one_of_its_name_is_gone() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    let id = rig.send(
        5,
        RequestBody::DeleteTopics(DeleteTopicsRequest {
            topic_names: vec![Str::from_static("t")],
            ..Default::default()
        }),
    );
    while rig.answer(id).is_none() {
        rig.store_one();
    }
    // The removal is queued; hold it back while the topic is created again.
    let removal = rig.queue.iter().position(|(_, op)| matches!(op, StoreOp::Remove(_))).expect("the log is removed");
    let removal = rig.queue.remove(removal).unwrap();
    rig.create_topic("t", 1, &[]);
    assert!(!rig.queue.iter().any(|(_, op)| matches!(op, StoreOp::Mount(..))));
    assert_eq!(rig.produce("t", 0, -1, batch(&["x"])).0, ErrorCode::NotLeaderOrFollower.code(), "retriable");
    rig.queue.push_back(removal);
    rig.run();
    assert_eq!(rig.produce("t", 0, -1, batch(&["x"])), (0, 0));
}

#[test]
fn a_failed_append_is_never_acked_and_stops_a_node_with_one_directory() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.held = true;
    let id = rig.send(12, produce("t", 0, -1, batch(&["a"])));
    let (op, _) = rig.queue.pop_front().unwrap();
    rig.input(Input::Stored(op, Err(StoreError::Io("disk on fire".to_owned()))));
    let Some(ResponseBody::Produce(response)) = rig.answer(id) else { panic!("it is told") };
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::KafkaStorageError.code(), -1));
    assert!(rig.stopped);
    assert!(rig.events.iter().any(|it| matches!(it, Event::Failed { what } if what.contains("disk on fire"))));
    assert!(rig.replies.iter().any(|it| matches!(it, Reply::Close(CLIENT, _))));
}

#[test]
fn a_failed_directory_takes_only_its_partitions_down() {
    let settings = [("log.dirs", "/a,/b")];
    let mut rig = Rig::with(&settings);
    rig.create_topic("t", 6, &[]);
    for partition in 0..6 {
        assert_eq!(rig.produce("t", partition, -1, batch(&["a"])), (0, 0));
    }
    let files = rig.store.disk().files();
    let on_second = |partition: i32| {
        files.iter().any(|(dir, path, _)| *dir == DirId(1) && path.starts_with(&format!("t-{partition}/")))
    };
    let failed: Vec<i32> = (0..6).filter(|partition| on_second(*partition)).collect();
    assert!(!failed.is_empty() && failed.len() < 6, "both directories are used: {failed:?}");
    rig.held = true;
    rig.send(12, produce("t", failed[0], -1, batch(&["b"])));
    let (op, _) = rig.queue.pop_front().unwrap();
    rig.input(Input::Stored(op, Err(StoreError::Full("no space".to_owned()))));
    rig.held = false;
    rig.run();
    assert!(!rig.stopped, "one directory is left");
    let view = rig.view();
    for partition in &view.topics[0].partitions {
        assert_eq!(partition.is_offline, failed.contains(&partition.partition), "{partition:?}");
    }

    // A new process finds every log in the directory that it was noted to be in.
    let rig = rig.restart(&settings);
    for partition in 0..6 {
        assert!(rig.log("t", partition).end >= Offset(1));
    }
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut rig = Rig::start();
        rig.create_topic("t", 3, &[]);
        for index in 0..50 {
            let partition = index % 3;
            rig.produce("t", partition, -1, batch(&[&format!("v{index}")]));
            rig.advance(i64::from(index) * 7);
        }
        rig.stop();
        let mut rig = rig.restart(&[]);
        rig.fetch("t", 0, 0);
        rig
    };
    let (first, second) = (run(), run());
    assert_eq!(first.node.digest(), second.node.digest());
    assert_eq!(first.view(), second.view());
    assert_eq!(first.events, second.events);
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.produce("t", 0, -1, batch(&["a"]));
    let before = rig.node.digest();
    let mut other = rig.clone();
    other.produce("t", 0, -1, batch(&["b"]));
    assert_eq!(rig.node.digest(), before);
    assert_ne!(other.node.digest(), before);
    assert_eq!(rig.log("t", 0).end, Offset(1));
}

#[test]
fn an_answer_that_comes_twice_changes_nothing() {
    let mut rig = Rig::start();
    rig.create_topic("t", 1, &[]);
    rig.held = true;
    rig.send(12, produce("t", 0, 1, batch(&["a"])));
    let (id, op) = rig.queue.pop_front().unwrap();
    let done = rig.store.execute(op);
    rig.input(Input::Stored(id, done.clone()));
    let before = rig.node.digest();
    rig.input(Input::Stored(id, done));
    assert_eq!(rig.node.digest(), before);
}

#[test]
fn a_flood_of_connections_is_bounded_while_the_node_starts() {
    let mut rig = Rig::cold(config(&[]), Store::new(MemoryDisk::new()));
    rig.held = true;
    rig.run();
    for conn in 1..=5000 {
        rig.open(ConnId(conn));
        rig.send_on(ConnId(conn), 12, RequestBody::Metadata(MetadataRequest::default()));
    }
    assert_eq!(rig.view().waits.len(), 4096);
    assert_eq!(rig.replies.iter().filter(|it| matches!(it, Reply::Close(..))).count(), 5000 - 4096);
}

#[test]
fn a_key_without_effect_is_told_of_when_it_is_set() {
    let mut rig = Rig::start();
    let warnings = |rig: &mut Rig| {
        let events = std::mem::take(&mut rig.events);
        events
            .into_iter()
            .filter_map(|it| if let Event::Warning { what } = it { Some(what) } else { None })
            .collect::<Vec<_>>()
    };
    rig.create_topic("t", 1, &[("remote.log.copy.disable", "true"), ("retention.ms", "1000")]);
    let said = warnings(&mut rig);
    assert!(matches!(&said[..], [what] if what.starts_with("remote.log.copy.disable of t:")), "{said:?}");
    // Not again when it is read back.
    rig.stop();
    let mut rig = rig.restart(&[]);
    assert_eq!(warnings(&mut rig), [""; 0]);
}

#[test]
fn silent_producers_are_forgotten() {
    let settings = [("producer.id.expiration.ms", "60000"), ("producer.id.expiration.check.interval.ms", "1000")];
    let mut rig = Rig::with(&settings);
    rig.create_topic("t", 1, &[]);
    assert_eq!(rig.produce("t", 0, -1, common::sequenced(7, 0, 0, &["a"])), (0, 0));
    rig.advance(59_000);
    assert_eq!(rig.log("t", 0).producers.len(), 1);
    rig.advance(2_000);
    assert_eq!(rig.log("t", 0).producers.len(), 0);
    // Whom the log does not know may begin anywhere.
    assert_eq!(rig.produce("t", 0, -1, common::sequenced(7, 0, 5, &["b"])), (0, 1));
    // What is set for all brokers counts from then on.
    let config =
        AlterableConfig { name: "producer.id.expiration.ms".into(), config_operation: 0, value: Some("5000".into()) };
    let resource = AlterConfigsResource { resource_type: 4, resource_name: "".into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let ResponseBody::IncrementalAlterConfigs(response) = rig.call(1, RequestBody::IncrementalAlterConfigs(request))
    else {
        panic!()
    };
    assert_eq!(response.responses[0].error_code, 0, "{:?}", response.responses[0].error_message);
    assert_eq!(rig.log("t", 0).producers.len(), 1);
    rig.advance(7_000);
    assert_eq!(rig.log("t", 0).producers.len(), 0);
}

#[test]
fn without_controlled_shutdown_nobody_is_asked_for_leave() {
    let mut rig = Rig::with(&[("controlled.shutdown.enable", "false")]);
    rig.create_topic("t", 1, &[]);
    assert_eq!(rig.produce("t", 0, -1, batch(&["a"])), (0, 0));
    rig.input(Input::Stop);
    assert_eq!(rig.view().phase, Phase::Flushing, "its logs are flushed at once");
    rig.run();
    assert!(rig.stopped);
    let rig = rig.restart(&[]);
    assert_eq!(rig.log("t", 0).end, Offset(1));
    let mut asks = Rig::start();
    asks.create_topic("t", 1, &[]);
    asks.input(Input::Stop);
    assert_eq!(asks.view().phase, Phase::Leaving);
}

#[test]
fn a_lost_directory_of_which_nobody_can_be_told_is_warned_of() {
    let lose = |can_tell: bool| {
        let mut rig = Rig::with(&[("log.dirs", "/a,/b"), ("log.dir.failure.timeout.ms", "10000")]);
        rig.create_topic("t", 6, &[]);
        let files = rig.store.disk().files();
        let is_second = |partition: &i32| {
            files.iter().any(|(dir, path, _)| *dir == DirId(1) && path.starts_with(&format!("t-{partition}/")))
        };
        let second = (0..6).find(is_second).expect("both directories are used");
        rig.held = true;
        rig.send(12, produce("t", second, -1, batch(&["b"])));
        let (op, _) = rig.queue.pop_front().unwrap();
        rig.input(Input::Stored(op, Err(StoreError::Full("no space".to_owned()))));
        rig.held = !can_tell;
        let is_told = |it: &Event| matches!(it, Event::Warning { what } if what.contains("log.dir.failure.timeout.ms"));
        rig.advance(9_999);
        assert!(!rig.events.iter().any(is_told));
        rig.advance(60_000);
        rig.events.iter().any(is_told)
    };
    assert_eq!([lose(true), lose(false)], [false, true]);
}

/// Which checkpoints are written within so many milliseconds of records that are flushed at once.
fn checkpoints_within(ms: i64, settings: &[(&str, &str)]) -> Vec<&'static str> {
    let mut rig = Rig::with(settings);
    rig.create_topic("t", 1, &[("flush.messages", "1")]);
    rig.produce("t", 0, -1, batch(&["a"]));
    rig.held = true;
    rig.advance(ms);
    let name = |op: &StoreOp| match op {
        StoreOp::Put(Cell::HighWatermarks(_), _) => Some("high watermarks"),
        StoreOp::Put(Cell::RecoveryPoints(_), _) => Some("recovery points"),
        _ => None,
    };
    rig.queue.iter().filter_map(|(_, op)| name(op)).collect()
}

#[test]
fn recovery_points_are_written_with_the_high_watermarks_or_when_it_is_said() {
    let both = [("replica.high.watermark.checkpoint.interval.ms", "5000")];
    assert_eq!(checkpoints_within(4_000, &both), [""; 0]);
    assert_eq!(checkpoints_within(6_000, &both), ["high watermarks", "recovery points"]);
    let own = |ms: &'static str| [both[0], ("log.flush.offset.checkpoint.interval.ms", ms)];
    assert_eq!(checkpoints_within(4_000, &own("3000")), ["recovery points"]);
    assert_eq!(checkpoints_within(6_000, &own("60000")), ["high watermarks"]);
    let soon = [both[0], ("log.flush.offset.checkpoint.interval.ms", "60000"), ("log.initial.task.delay.ms", "1000")];
    assert_eq!(checkpoints_within(2_000, &soon), ["recovery points"], "the first comes when it is said");
}
