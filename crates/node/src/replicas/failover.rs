//! Another leader: nothing that was acknowledged is lost or repeated, and logs that parted come together again.

use super::*;

#[test]
fn the_isrs_other_serves_all_that_was_acknowledged() {
    let mut world = World::of(3, &[]);
    for value in ["a", "b", "c"] {
        world.write(1, value);
    }
    world.kill(1);
    world.change(Some(2), &[2, 3]);
    world.advance(100);
    assert_eq!(world.read(2), ["a", "b", "c"], "committed anew as soon as the other has fetched");
    assert_eq!(world.write(2, "d"), 3);
    assert_eq!(world.log(2), world.log(3));
    world.start(1);
    world.advance(1_000);
    assert_eq!(world.log(1), world.log(2));
    assert_eq!(world.isr(), [2, 3, 1], "it has caught up");
}

#[test]
fn a_retry_after_the_failover_is_a_duplicate() {
    let mut world = World::of(2, &[]);
    let sent = world.produce(1, -1, sequenced(0, "a"));
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 0)));
    // The second is written everywhere, and the answer is lost with the leader.
    world.produce(1, -1, sequenced(1, "b"));
    world.kill(1);
    world.change(Some(2), &[2]);
    let again = world.produce(2, -1, sequenced(1, "b"));
    assert_eq!(world.acked(2, again), Some((ErrorCode::None, 1)));
    let gap = world.produce(2, -1, sequenced(3, "d"));
    assert_eq!(world.acked(2, gap).map(|it| it.0), Some(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(world.read(2), ["a", "b"]);
}

#[test]
fn a_leader_that_does_not_know_that_it_is_none_acknowledges_nothing() {
    let mut world = World::of(3, &[]);
    world.write(1, "a");
    world.brokers.get_mut(&1).unwrap().is_deaf = true;
    world.change(Some(2), &[2, 3]);
    let zombies = world.produce(1, -1, batch(&["zombie"]));
    assert_eq!(world.write(2, "b"), 1);
    world.advance(10_000);
    assert_eq!(world.acked(1, zombies), None);
    assert_eq!(world.log(1)[1], (0, 1, "zombie".to_owned()));
    assert_eq!(world.fetch_from(1, 0, "").high_watermark, 1);
    // It hears of it: who waits is told, and its log becomes the new leader's.
    world.brokers.get_mut(&1).unwrap().is_deaf = false;
    world.tell();
    assert_eq!(world.acked(1, zombies).map(|it| it.0), Some(ErrorCode::NotLeaderOrFollower));
    world.advance(1_000);
    assert!(world.brokers[&1].events.iter().any(|it| matches!(it, Event::Truncated { offset: Offset(1), .. })));
    assert_eq!(world.log(1), [(0, 0, "a".to_owned()), (1, 1, "b".to_owned())]);
    let refused = world.produce(1, -1, batch(&["c"]));
    assert_eq!(world.acked(1, refused).map(|it| it.0), Some(ErrorCode::NotLeaderOrFollower));
}

#[test]
fn nobody_is_cut_to_its_high_watermark() {
    // KIP-101's first scenario: the follower has a record whose commitment it has not heard of, restarts, and becomes leader.
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    assert_eq!(world.ends(2), (0, 1), "it has not heard of it");
    world.kill(2);
    world.start(2);
    assert_eq!(world.log_view(2).end, Offset(1));
    world.kill(1);
    world.change(Some(2), &[2]);
    assert_eq!(world.read(2), ["a"]);
}

#[test]
fn logs_that_parted_twice_come_together() {
    // KIP-279: unclean elections take turns, so that the epochs of the two logs interleave.
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.kill(2);
    world.change(None, &[1]);
    world.write(1, "b1");
    world.kill(1);
    world.start(2);
    world.change(Some(2), &[2]);
    world.write(2, "b2");
    world.write(2, "c2");
    world.kill(2);
    world.start(1);
    world.change(Some(1), &[1]);
    world.write(1, "c1");
    assert_eq!(world.log(1), [(0, 0, "a".to_owned()), (0, 1, "b1".to_owned()), (2, 2, "c1".to_owned())]);
    world.start(2);
    world.advance(3_000);
    assert_eq!(world.log(2), world.log(1));
    assert_eq!(world.isr(), [1, 2]);
    assert_eq!(world.ends(2), (3, 3));
}

#[test]
fn a_leader_that_wrote_nothing_leaves_no_epoch_behind() {
    let mut world = World::of(3, &[]);
    world.write(1, "a");
    // Broker 3 leads for a moment, unheard of by the others.
    for deaf in [1, 2] {
        world.brokers.get_mut(&deaf).unwrap().is_deaf = true;
    }
    world.change(Some(3), &[3]);
    world.kill(3);
    world.change(Some(1), &[1, 2]);
    for heard in [1, 2] {
        world.brokers.get_mut(&heard).unwrap().is_deaf = false;
    }
    world.tell();
    world.write(1, "b");
    world.start(3);
    world.advance(3_000);
    assert_eq!(world.log(3), world.log(1));
    assert_eq!(world.partition_of(3).fetch_position().unwrap().last_epoch, epoch(2));
}

#[test]
fn an_unclean_leader_takes_the_others_along() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.kill(2);
    world.change(None, &[1]);
    world.write(1, "b");
    world.write(1, "c");
    world.kill(1);
    world.start(2);
    world.change(Some(2), &[2]);
    assert_eq!(world.read(2), ["a"], "what only the other had is lost, as that is what was asked for");
    world.start(1);
    world.advance(3_000);
    assert_eq!(world.log(1), [(0, 0, "a".to_owned())]);
    assert_eq!(world.ends(1), (1, 1));
    assert_eq!(world.isr(), [2, 1]);
}

#[test]
fn an_end_is_not_told_before_it_is_certain() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.brokers.get_mut(&2).unwrap().is_stuck = false;
    world.cut.insert((1, 2));
    // Broker 2 has the record and has not heard that it is committed.
    world.change(Some(2), &[2, 1]);
    assert_eq!(world.ends(2), (0, 1));
    assert_eq!(world.list_offset(2, -1), (ErrorCode::OffsetNotAvailable, -1));
    assert_eq!(world.list_offset(2, -2), (ErrorCode::None, 0));
    assert_eq!(world.list_offset(2, EPOCH + 1), (ErrorCode::OffsetNotAvailable, -1));
    world.cut = Set::new();
    world.advance(31_000);
    assert_eq!(world.list_offset(2, -1), (ErrorCode::None, 1));
    assert_eq!(world.list_offset(1, -1), (ErrorCode::NotLeaderOrFollower, -1));
}

#[test]
fn epochs_end_where_the_next_began() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.change(Some(2), &[1, 2]);
    world.advance(1_000);
    world.write(2, "b");
    let mut ask = |leader_epoch, current_leader_epoch| {
        let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition {
            leader_epoch,
            current_leader_epoch,
            ..Default::default()
        };
        let topic =
            offset_for_leader_epoch_request::OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
        let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
        match world.ask(2, 4, RequestBody::OffsetForLeaderEpoch(request)) {
            ResponseBody::OffsetForLeaderEpoch(response) => {
                let it = &response.topics[0].partitions[0];
                (ErrorCode::from_code(it.error_code), it.leader_epoch, it.end_offset)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(0, -1), (ErrorCode::None, 0, 1));
    assert_eq!(ask(1, 1), (ErrorCode::None, 1, 2));
    assert_eq!(ask(9, 1), (ErrorCode::None, -1, -1));
    assert_eq!(ask(0, 0), (ErrorCode::FencedLeaderEpoch, -1, -1));
    assert_eq!(ask(0, 2), (ErrorCode::UnknownLeaderEpoch, -1, -1));
}

#[test]
fn the_high_watermark_outlives_a_restart() {
    let mut world = World::of(2, &[]);
    for value in ["a", "b"] {
        world.write(1, value);
    }
    world.advance(1_000);
    let now = world.now;
    let broker = world.brokers.get_mut(&2).unwrap();
    let mut out = Outbox::default();
    broker.node.checkpoint(now, &mut out);
    world.carry_out(2, out);
    world.run();
    world.kill(2);
    world.cut.insert((1, 2));
    world.start(2);
    assert_eq!(world.ends(2), (2, 2), "from the checkpoint: the leader has not been asked");
}

#[test]
fn a_replica_that_was_moved_away_is_gone() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
        topic_id: TOPIC,
        partition_id: 0,
        leader: -2,
        replicas: Some(vec![1]),
        isr: Some(vec![1]),
        directories: Some(vec![Uuid([1; 16])]),
        ..PartitionChangeRecord::default()
    }));
    world.advance(1_000);
    assert!(world.brokers[&2].node.partitions.get(&KEY).is_none());
    assert_eq!(world.write(1, "b"), 1);
    world.fetches.clear();
    world.advance(2_000);
    assert!(world.fetches.is_empty(), "{:?}", world.fetches);
}

#[test]
fn a_leader_that_comes_back_is_followed_in_a_new_session() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.kill(1);
    world.advance(5_000);
    world.fetches.clear();
    world.start(1);
    world.change(Some(1), &[1, 2]);
    world.advance(1_000);
    let (_, _, first) = &world.fetches[0];
    assert_eq!((first.session_epoch, first.topics.len()), (0, 1), "all is named anew");
    assert_eq!(world.write(1, "b"), 1);
    assert_eq!(world.log(2), world.log(1));
}

#[test]
fn a_leader_without_room_for_a_session_is_followed_all_the_same() {
    let mut world = World::of(3, &[("max.incremental.fetch.session.cache.slots", "1")]);
    for value in ["a", "b", "c"] {
        world.write(1, value);
    }
    world.advance(2_000);
    assert_eq!(world.log(3), world.log(1));
    assert_eq!((world.isr(), world.ends(2), world.ends(3)), (vec![1, 2, 3], (3, 3), (3, 3)));
    let sessions: Set<i32> = world.fetches.iter().rev().take(4).map(|(_, _, fetch)| fetch.session_id).collect();
    assert!(sessions.contains(&0) && sessions.len() == 2, "one has a session: {sessions:?}");
}

#[test]
fn what_is_to_be_on_disk_is_there_before_it_is_acknowledged() {
    let mut world = World::of(2, &[]);
    world.set("flush.messages", "1");
    world.write(1, "a");
    for id in [1, 2] {
        let log = world.log_view(id);
        assert_eq!((log.synced, log.written), (Offset(1), Offset(1)), "broker {id}");
    }
}

#[test]
fn a_log_is_cut_where_it_is_being_written() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.cut.insert((1, 2));
    world.brokers.get_mut(&1).unwrap().is_stuck = true;
    // On its way to the disk when another leads: the follower it has become waits for the disk, then for the cut.
    world.produce(1, 1, batch(&["lost"]));
    world.kill(2);
    world.cut = Set::new();
    world.start(2);
    world.change(Some(2), &[2]);
    assert_eq!(world.write(2, "b"), 1);
    world.advance(1_000);
    assert_eq!(world.log_view(1).end, Offset(2));
    world.brokers.get_mut(&1).unwrap().is_stuck = false;
    world.advance(1_000);
    assert_eq!(world.log(1), [(0, 0, "a".to_owned()), (1, 1, "b".to_owned())]);
    assert_eq!(world.isr(), [2, 1]);
}
