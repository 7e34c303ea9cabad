//! Acknowledgements, high watermarks and sessions while nothing goes wrong.

use super::*;

#[test]
fn acks_all_waits_until_every_replica_in_sync_has_written() {
    let mut world = World::of(3, &[]);
    assert_eq!(world.write(1, "a"), 0);
    world.brokers.get_mut(&3).unwrap().is_stuck = true;
    let sent = world.produce(1, -1, batch(&["b", "c"]));
    world.advance(5_000);
    assert_eq!(world.acked(1, sent), None);
    assert_eq!(world.ends(1), (1, 3), "written, and not committed");
    assert_eq!(world.read(1), ["a"], "consumers see what is committed");
    let quick = world.produce(1, 1, batch(&["d"]));
    assert_eq!(world.acked(1, quick), Some((ErrorCode::None, 3)), "acks=1 waits for the leader alone");
    world.brokers.get_mut(&3).unwrap().is_stuck = false;
    world.advance(1_000);
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 1)));
    for id in 1..=3 {
        assert_eq!(world.ends(id), (4, 4), "broker {id} has heard of the high watermark");
        assert_eq!(world.log(id), world.log(1));
    }
}

#[test]
fn a_produce_request_waits_no_longer_than_it_wants() {
    let mut world = World::of(2, &[]);
    world.cut.insert((1, 2));
    world.advance(600);
    let sent = world.produce(1, -1, batch(&["a"]));
    world.advance(29_999);
    assert_eq!(world.acked(1, sent), None);
    world.advance(1);
    assert_eq!(
        world.acked(1, sent),
        Some((ErrorCode::RequestTimedOut, 0)),
        "the batch stays, and may be committed yet"
    );
    assert_eq!(world.ends(1), (0, 1));
    world.advance(20_000);
    assert_eq!((world.isr(), world.ends(1)), (vec![1], (1, 1)));
}

#[test]
fn an_idle_session_names_nothing() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.advance(3_000);
    world.fetches.clear();
    world.advance(3_000);
    assert_eq!(world.fetches.len(), 6, "one fetch waits replica.fetch.wait.max.ms");
    for (from, to, fetch) in &world.fetches {
        assert_eq!((*from, *to), (2, 1));
        assert!(fetch.session_id != 0 && fetch.session_epoch > 0 && fetch.topics.is_empty(), "{fetch:?}");
        assert_eq!(fetch.replica_state.replica_id, 2);
    }
}

#[test]
fn a_new_partition_does_not_wait_for_a_fetch_of_others() {
    let mut world = World::of(2, &[]);
    world.advance(3_100);
    world.commit(second_partition());
    world.run();
    let sent = world.produce_to(1, 1, -1, batch(&["a"]));
    world.advance(25);
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 0)));
    // Once all is named, fetches wait again as they are to.
    world.advance(1_500);
    world.fetches.clear();
    world.advance(1_000);
    assert_eq!(world.fetches.len(), 2);
}

fn second_partition() -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        topic_id: TOPIC,
        partition_id: 1,
        replicas: vec![1, 2],
        isr: vec![1, 2],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid([1; 16]); 2],
        ..PartitionRecord::default()
    })
}

#[test]
fn a_partition_that_is_refused_waits_for_the_fetch_of_the_others() {
    let mut world = World::of(2, &[]);
    world.advance(3_100);
    // The leader does not know of it, and has a fetch of the other partition waiting when it is to be asked again.
    world.brokers.get_mut(&1).unwrap().is_deaf = true;
    world.commit(second_partition());
    world.fetches.clear();
    world.advance(3_000);
    assert!((6..20).contains(&world.fetches.len()), "{}", world.fetches.len());
    assert_eq!(world.write(1, "other"), 0);
    world.brokers.get_mut(&1).unwrap().is_deaf = false;
    world.tell();
    world.run();
    let sent = world.produce_to(1, 1, -1, batch(&["a"]));
    world.advance(1_000);
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 0)));
}

#[test]
fn a_leader_that_died_silently_is_followed_as_soon_as_it_is_back() {
    for is_elected in [false, true] {
        let mut world = World::of(2, &[]);
        world.write(1, "a");
        world.cut.insert((1, 2));
        world.advance(600);
        world.kill(1);
        if is_elected {
            world.change(Some(2), &[2]);
        }
        world.advance(1_000);
        world.cut = Set::new();
        world.start(1);
        if is_elected {
            world.change(Some(1), &[1, 2]);
        }
        let sent = world.produce(1, -1, batch(&["b"]));
        world.advance(1_000);
        assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 1)), "elected: {is_elected}");
    }
}

#[test]
fn nothing_is_appended_in_the_last_steps_of_a_stop() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    let now = world.now;
    let broker = world.brokers.get_mut(&2).unwrap();
    broker.is_stuck = true;
    let mut out = Outbox::with_events();
    broker.node.flush_all(now, &mut out);
    world.carry_out(2, out);
    world.produce(1, 1, batch(&["b"]));
    world.advance(1_000);
    assert_eq!((world.ends(1).1, world.log_view(2).end), (2, Offset(1)));
}

#[test]
fn a_follower_has_the_leaders_batches_and_their_producers() {
    let mut world = World::of(2, &[]);
    let sent = world.produce(1, -1, sequenced(0, "a"));
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 0)));
    let (leader, follower) = (world.log_view(1), world.log_view(2));
    assert_eq!(leader.producers, follower.producers);
    assert_eq!(world.log(2), [(0, 0, "a".to_owned())]);
}

#[test]
fn the_log_start_of_the_leader_is_the_followers_too() {
    let mut world = World::of(2, &[]);
    for value in ["a", "b", "c"] {
        world.write(1, value);
    }
    world.advance(1_000);
    world.fetches.clear();
    delete_records(&mut world, 2);
    world.advance(1_000);
    assert_eq!((world.log_view(1).log_start, world.log_view(2).log_start), (Offset(2), Offset(2)));
    let mut told = world.fetches.iter().flat_map(|it| &it.2.topics).flat_map(|it| &it.partitions);
    assert!(told.any(|it| it.log_start_offset == 2), "its leader hears of it");
}

fn delete_records(world: &mut World, offset: i64) {
    let topic = delete_records_request::DeleteRecordsTopic {
        name: "t".into(),
        partitions: vec![delete_records_request::DeleteRecordsPartition { partition_index: 0, offset }],
    };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1_000 };
    world.send(1, 2, RequestBody::DeleteRecords(request));
}

#[test]
fn a_replica_without_records_catches_up_with_a_log_that_starts_within_a_batch() {
    let mut world = World::of(2, &[]);
    world.kill(2);
    world.change(None, &[1]);
    let sent = world.produce(1, -1, batch(&["a", "b", "c", "d"]));
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 0)));
    world.write(1, "e");
    delete_records(&mut world, 2);
    for _ in 0..2 {
        world.start(2);
        world.advance(3_000);
        assert_eq!(world.log(2), world.log(1));
        let log = world.log_view(2);
        assert_eq!((log.log_start, log.high_watermark, log.end), (Offset(2), Offset(5), Offset(5)));
        assert_eq!(world.isr(), [1, 2]);
        // And what it has made of it survives.
        world.kill(2);
        world.change(None, &[1]);
    }
}

#[test]
fn a_follower_that_the_leader_has_left_behind_begins_anew() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.kill(2);
    world.change(None, &[1]);
    for value in ["b", "c", "d"] {
        world.write(1, value);
    }
    delete_records(&mut world, 3);
    world.start(2);
    world.advance(3_000);
    assert_eq!(world.log(2), [(0, 3, "d".to_owned())]);
    let log = world.log_view(2);
    assert_eq!((log.log_start, log.high_watermark, log.end), (Offset(3), Offset(4), Offset(4)));
    assert_eq!(world.isr(), [1, 2]);
}

#[test]
fn consumers_of_a_rack_are_sent_to_its_replica_and_read_what_is_committed() {
    let selector = ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector");
    let mut world = World::without_topic(0, &[selector]);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "b")] {
        world.racks.insert(id, Str::from_static(rack));
        world.disks.insert(id, Store::new(MemoryDisk::new()));
        world.start(id);
    }
    world.create(&[1, 2, 3]);
    world.write(1, "x");
    world.advance(1_000);
    assert_eq!(world.fetch_from(1, 0, "a").preferred_read_replica, -1);
    assert_eq!(world.fetch_from(1, 0, "elsewhere").preferred_read_replica, -1);
    let sent_on = world.fetch_from(1, 0, "b");
    assert!([2, 3].contains(&sent_on.preferred_read_replica));
    assert!(world.bytes_of(1, &sent_on.records).is_empty() && sent_on.high_watermark == 1);
    assert_eq!(world.read(2), ["x"]);
    // What is not committed is not read at the follower that has it.
    world.brokers.get_mut(&3).unwrap().is_stuck = true;
    world.produce(1, 1, batch(&["y"]));
    world.advance(1_000);
    assert_eq!((world.ends(2), world.read(2)), ((1, 2), vec!["x".to_owned()]));
}

#[test]
fn who_is_no_replica_or_an_earlier_life_of_one_is_refused() {
    let mut world = World::without_topic(3, &[]);
    world.create(&[1, 2]);
    let fetch = |world: &mut World, replica_id, replica_epoch, current_leader_epoch| {
        let partition = FetchPartition { current_leader_epoch, last_fetched_epoch: -1, ..Default::default() };
        let request = FetchRequest {
            replica_state: fetch_request::ReplicaState { replica_id, replica_epoch },
            topics: vec![FetchTopic { topic_id: TOPIC, partitions: vec![partition], ..Default::default() }],
            session_epoch: -1,
            ..FetchRequest::default()
        };
        match world.ask(1, 17, RequestBody::Fetch(request)) {
            ResponseBody::Fetch(response) => ErrorCode::from_code(response.responses[0].partitions[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    let registered = world.image.broker(NodeId(2)).unwrap().epoch;
    assert_eq!(fetch(&mut world, 2, registered, 0), ErrorCode::None);
    assert_eq!(fetch(&mut world, 2, registered - 1, 0), ErrorCode::NotLeaderOrFollower);
    assert_eq!(fetch(&mut world, 3, 2, 0), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(fetch(&mut world, 3, 2, -1), ErrorCode::NotLeaderOrFollower);
    assert_eq!(fetch(&mut world, 2, registered, 1), ErrorCode::UnknownLeaderEpoch);
    world.change(Some(1), &[1, 2]);
    world.change(Some(2), &[1, 2]);
    world.change(Some(1), &[1, 2]);
    assert_eq!(fetch(&mut world, 2, registered, 0), ErrorCode::FencedLeaderEpoch);
}
