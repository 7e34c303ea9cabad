//! DeleteRecords waits until no replica that is alive has any of the records (KIP-107).

use super::*;
use crate::deferred::Pending;
use crate::timers::WakeReason;
use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use delete_records_response::DeleteRecordsPartitionResult;
use storage::{Cell, DirId, StoreError};

fn delete(world: &mut World, id: i32, offset: i64, timeout_ms: i32) -> i32 {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    world.send(id, 2, RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms }))
}

fn told(world: &mut World, id: i32, sent: i32) -> Option<(ErrorCode, i64)> {
    told_of_all(world, id, sent).map(|all| all[0])
}

fn told_of_all(world: &mut World, id: i32, sent: i32) -> Option<Vec<(ErrorCode, i64)>> {
    let ResponseBody::DeleteRecords(response) = world.answer(id, sent)? else { panic!("another answer") };
    let told = |it: &DeleteRecordsPartitionResult| (ErrorCode::from_code(it.error_code), it.low_watermark);
    Some(response.topics[0].partitions.iter().map(told).collect())
}

fn of_three_with_records() -> World {
    let mut world = World::of(3, &[]);
    for value in ["a", "b", "c", "d"] {
        world.write(1, value);
    }
    world.advance(600);
    world
}

#[test]
fn it_waits_for_every_replica_that_is_alive() {
    let mut world = of_three_with_records();
    let sent = delete(&mut world, 1, 3, 60_000);
    world.advance(1);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 3)), "followers that wait hear of it at once");
    assert_eq!([1, 2, 3].map(|id| world.log_view(id).log_start.0), [3; 3]);
    world.cut.insert((1, 3));
    let sent = delete(&mut world, 1, -1, 60_000);
    world.advance(2_000);
    assert_eq!(told(&mut world, 1, sent), None, "3 has not heard of it");
    assert_eq!((world.log_view(1).log_start, world.log_view(2).log_start), (Offset(4), Offset(4)));
    world.cut = Set::new();
    world.advance(31_000);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 4)));
    assert_eq!(world.log_view(3).log_start, Offset(4));
}

#[test]
fn past_its_timeout_it_tells_how_far_all_were() {
    let mut world = of_three_with_records();
    world.cut.insert((1, 3));
    let sent = delete(&mut world, 1, 3, 1_000);
    world.advance(999);
    assert_eq!(told(&mut world, 1, sent), None);
    world.advance(1);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::RequestTimedOut, 0)));
    assert_eq!(world.log_view(1).log_start, Offset(3), "what is deleted stays so");
    // Without any time to wait it is told as soon as the leader's own start is on disk.
    let sent = delete(&mut world, 1, 4, 0);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::RequestTimedOut, 0)));
}

#[test]
fn who_is_fenced_is_not_waited_for() {
    let mut world = of_three_with_records();
    world.cut.insert((1, 3));
    let sent = delete(&mut world, 1, 3, 60_000);
    world.advance(2_000);
    assert_eq!(told(&mut world, 1, sent), None);
    let epoch = world.image.broker(NodeId(3)).unwrap().epoch;
    world.commit(MetadataRecord::FenceBroker(FenceBrokerRecord { id: 3, epoch }));
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 3)));
    let sent = delete(&mut world, 1, 4, 60_000);
    world.advance(1);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 4)));
}

#[test]
fn a_replica_whose_directory_is_offline_is_not_waited_for() {
    let mut world = of_three_with_records();
    world.cut.insert((1, 3));
    let sent = delete(&mut world, 1, 3, 60_000);
    world.advance(2_000);
    assert_eq!(told(&mut world, 1, sent), None);
    let broker_epoch = world.image.broker(NodeId(3)).unwrap().epoch;
    let change = BrokerRegistrationChangeRecord { broker_id: 3, broker_epoch, ..Default::default() };
    let lose = BrokerRegistrationChangeRecord { log_dirs: vec![Uuid([2; 16])], ..change };
    world.commit(MetadataRecord::BrokerRegistrationChange(lose));
    assert_eq!(
        told(&mut world, 1, sent),
        Some((ErrorCode::None, 3)),
        "it cannot be elected any more than if it were fenced"
    );
    let sent = delete(&mut world, 1, 4, 60_000);
    world.advance(1);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 4)));
}

#[test]
fn who_registers_anew_is_not_waited_for_until_it_is_back() {
    let mut world = of_three_with_records();
    world.cut.insert((1, 3));
    let sent = delete(&mut world, 1, 3, 60_000);
    world.advance(2_000);
    assert_eq!(told(&mut world, 1, sent), None);
    let anew = RegisterBrokerRecord { broker_id: 3, broker_epoch: 99, fenced: true, ..Default::default() };
    world.commit(MetadataRecord::RegisterBroker(anew));
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::None, 3)));
}

/// Three brokers with two directories and another one for the metadata; t-0 is in the first, and t-1, empty, in the second.
fn of_two_directories() -> World {
    let mut world = World::of(3, &[("log.dirs", "/a,/b,/m"), ("metadata.log.dir", "/m")]);
    world.commit(MetadataRecord::Partition(PartitionRecord {
        topic_id: TOPIC,
        partition_id: 1,
        replicas: vec![1, 2, 3],
        isr: vec![1, 2, 3],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid([2; 16]); 3],
        ..PartitionRecord::default()
    }));
    world.write(1, "a");
    world.advance(600);
    world
}

fn delete_all(world: &mut World) -> i32 {
    let partitions = [0, 1].map(|partition_index| DeleteRecordsPartition { partition_index, offset: -1 });
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions: partitions.into() }];
    world.send(1, 2, RequestBody::DeleteRecords(DeleteRecordsRequest { topics, timeout_ms: 60_000 }))
}

fn failure() -> StoreError {
    StoreError::Full("no space".to_owned())
}

#[test]
fn a_directory_that_fails_ends_the_wait_for_its_partitions() {
    let mut world = of_two_directories();
    world.cut = Set::from_iter([(1, 3), (1, 2)]);
    let sent = delete_all(&mut world);
    world.advance(100);
    assert_eq!(told_of_all(&mut world, 1, sent), None);
    let mut out = Outbox::with_events();
    let broker = world.brokers.get_mut(&1).expect("it lives");
    broker.node.directory_failed(world.now, DirId(0), &failure(), &mut out);
    world.carry_out(1, out);
    assert_eq!(told_of_all(&mut world, 1, sent), Some(vec![(ErrorCode::KafkaStorageError, -1), (ErrorCode::None, 0)]));
    assert_eq!(waiting(&world), (0, false, 0));
}

#[test]
fn a_log_start_that_cannot_be_written_down_says_nothing_of_other_directories() {
    let mut world = of_two_directories();
    world.brokers.get_mut(&1).expect("it lives").is_stuck = true;
    let sent = delete_all(&mut world);
    world.advance(1);
    assert_eq!(told_of_all(&mut world, 1, sent), None, "the disk has not answered");
    for (op, what) in std::mem::take(&mut world.brokers.get_mut(&1).expect("it lives").ops) {
        let is_lost = matches!(what, StoreOp::Put(Cell::LogStarts(DirId(0)), _));
        let result = world.brokers.get_mut(&1).expect("it lives").store.execute(what);
        world.input(1, Input::Stored(op, if is_lost { Err(failure()) } else { result }));
    }
    assert_eq!(told_of_all(&mut world, 1, sent), Some(vec![(ErrorCode::KafkaStorageError, -1), (ErrorCode::None, 0)]));
}

#[test]
fn another_leader_ends_the_wait() {
    let mut world = of_three_with_records();
    world.cut = Set::from_iter([(1, 3), (2, 3)]);
    let sent = delete(&mut world, 1, 3, 60_000);
    world.change(Some(2), &[1, 2]);
    assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::NotLeaderOrFollower, -1)));
    // The new one has not heard of a follower yet.
    let sent = delete(&mut world, 2, 4, 1_000);
    world.advance(1_000);
    assert_eq!(told(&mut world, 2, sent), Some((ErrorCode::RequestTimedOut, -1)));
}

/// Requests that wait for node 1's followers: held, parked at the partition, and with a deadline.
fn waiting(world: &World) -> (usize, bool, usize) {
    let node = &world.brokers[&1].node;
    let held = node.deferred.pending().filter(|(_, it)| matches!(it, Pending::DeleteRecords(_))).count();
    let deadlines = node.timers.all().filter(|(_, why)| matches!(why, WakeReason::DeleteTimeout(_))).count();
    (held, node.partitions.get(&KEY).expect("it leads").has_parked_deletes(), deadlines)
}

#[test]
fn who_waits_no_longer_is_forgotten() {
    let mut world = of_three_with_records();
    world.cut.insert((1, 3));
    for _ in 0..100 {
        let sent = delete(&mut world, 1, 3, 0);
        assert_eq!(told(&mut world, 1, sent), Some((ErrorCode::RequestTimedOut, 0)));
    }
    assert_eq!(waiting(&world), (0, false, 0), "a timeout is over");
    for _ in 0..100 {
        delete(&mut world, 1, 3, 60_000);
    }
    assert_eq!(waiting(&world), (100, true, 100));
    world.input(1, Input::Closed(CLIENT));
    assert_eq!(waiting(&world), (0, false, 0), "a connection is gone");
}
