//! Who is in sync, and what is safe with how many.

use super::*;

#[test]
fn who_does_not_keep_up_leaves_and_comes_back() {
    let mut world = World::of(3, &[]);
    world.write(1, "a");
    world.cut.insert((1, 3));
    let sent = world.produce(1, -1, batch(&["b"]));
    world.advance(29_000);
    assert_eq!((world.acked(1, sent), world.isr()), (None, vec![1, 2, 3]));
    // Looked for twice within replica.lag.time.max.ms.
    world.advance(17_000);
    assert_eq!(world.isr(), [1, 2]);
    assert_eq!(world.write(1, "c"), 2, "acknowledged without it");
    world.cut = Set::new();
    world.advance(31_000);
    assert_eq!(world.isr(), [1, 2, 3]);
    assert_eq!(world.log(3), world.log(1));
    assert_eq!(world.ends(3), (3, 3));
}

#[test]
fn a_replica_at_the_end_of_an_idle_log_stays() {
    let mut world = World::of(2, &[]);
    world.write(1, "a");
    world.advance(600);
    world.cut.insert((1, 2));
    world.advance(120_000);
    assert_eq!(world.isr(), [1, 2], "there is nothing that it does not have");
}

#[test]
fn too_few_in_sync_take_no_record_that_wants_to_be_safe() {
    let mut world = World::of(3, &[]);
    world.set("min.insync.replicas", "2");
    world.write(1, "a");
    world.kill(2);
    world.kill(3);
    world.change(None, &[1]);
    let sent = world.produce(1, -1, batch(&["b"]));
    assert_eq!(world.acked(1, sent).map(|it| it.0), Some(ErrorCode::NotEnoughReplicas));
    let quick = world.produce(1, 1, batch(&["c"]));
    assert_eq!(world.acked(1, quick), Some((ErrorCode::None, 1)));
    assert_eq!(world.ends(1), (1, 2), "below min.insync.replicas nothing is committed (KIP-966)");
    assert_eq!(world.read(1), ["a"]);
    world.start(2);
    world.advance(1_000);
    assert_eq!((world.isr(), world.ends(1)), (vec![1, 2], (2, 2)));
    assert_eq!(world.read(1), ["a", "c"]);
}

#[test]
fn who_waits_while_the_isr_becomes_too_small_waits_for_another() {
    let mut world = World::of(2, &[]);
    world.set("min.insync.replicas", "2");
    world.write(1, "a");
    world.kill(2);
    let sent = world.produce(1, -1, batch(&["b"]));
    world.change(None, &[1]);
    world.advance(1_000);
    assert_eq!((world.acked(1, sent), world.ends(1)), (None, (1, 2)));
    world.start(2);
    world.advance(1_000);
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 1)));
}

#[test]
fn fenced_replicas_do_not_join() {
    let mut world = World::of(2, &[]);
    world.kill(2);
    world.change(None, &[1]);
    world.write(1, "a");
    world.start(2);
    let epoch = world.image.broker(NodeId(2)).unwrap().epoch;
    assert_eq!(world.isr(), [1, 2]);
    world.commit(MetadataRecord::FenceBroker(FenceBrokerRecord { id: 2, epoch }));
    world.change(None, &[1]);
    world.advance(5_000);
    assert_eq!(world.isr(), [1], "it fetches, and the controller would refuse it");
    assert_eq!(world.write(1, "b"), 1);
    world.commit(MetadataRecord::UnfenceBroker(UnfenceBrokerRecord { id: 2, epoch }));
    world.advance(1_000);
    assert_eq!(world.isr(), [1, 2]);
}

#[test]
fn who_is_about_to_join_is_waited_for() {
    let mut world = World::of(2, &[]);
    world.kill(2);
    world.change(None, &[1]);
    world.write(1, "a");
    // The controller takes its time: meanwhile it may have decided that the replica is in sync, and elect it next.
    world.is_undecided = true;
    world.start(2);
    assert_eq!((world.isr(), world.ends(2)), (vec![1], (1, 1)));
    world.brokers.get_mut(&2).unwrap().is_stuck = true;
    let sent = world.produce(1, -1, batch(&["b"]));
    world.advance(500);
    assert_eq!(world.acked(1, sent), None);
    world.brokers.get_mut(&2).unwrap().is_stuck = false;
    world.advance(500);
    assert_eq!(world.acked(1, sent), Some((ErrorCode::None, 1)));
}

/// What was set before there was a replica's broker counts for it as well.
#[test]
fn a_replica_that_came_to_a_later_broker_is_not_safe_alone() {
    let mut world = World::without_topic(2, &[]);
    world.create(&[1]);
    world.set("min.insync.replicas", "2");
    world.disks.insert(3, Store::new(MemoryDisk::new()));
    world.start(3);
    reassign(&mut world, -2, &[1, 2, 3], &[1]);
    assert_eq!((world.isr(), world.write(1, "a")), (vec![1, 2, 3], 0));
    reassign(&mut world, 3, &[3, 2], &[3, 2]);
    assert_eq!(world.write(3, "b"), 1);
    world.kill(2);
    world.change(None, &[3]);
    let sent = world.produce(3, -1, batch(&["c"]));
    assert_eq!(world.acked(3, sent).map(|it| it.0), Some(ErrorCode::NotEnoughReplicas));
    let quick = world.produce(3, 1, batch(&["d"]));
    assert_eq!((world.acked(3, quick), world.ends(3)), (Some((ErrorCode::None, 2)), (2, 3)));
    // A partition cannot have more in sync than it has replicas.
    reassign(&mut world, -2, &[3], &[3]);
    assert_eq!((world.write(3, "e"), world.ends(3)), (3, (4, 4)));
}

fn reassign(world: &mut World, leader: i32, replicas: &[i32], isr: &[i32]) {
    world.commit(MetadataRecord::PartitionChange(PartitionChangeRecord {
        topic_id: TOPIC,
        partition_id: 0,
        leader,
        replicas: Some(replicas.to_vec()),
        isr: Some(isr.to_vec()),
        directories: Some(vec![Uuid([1; 16]); replicas.len()]),
        ..PartitionChangeRecord::default()
    }));
    world.advance(2_000);
}
