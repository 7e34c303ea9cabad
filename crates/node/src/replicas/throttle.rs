//! Replication throttles (KIP-73): who is not in sync gets on as fast as it may, who is in sync is not slowed down.

use super::*;

/// 20 records of some 1,070 bytes in the log of the first two; the third comes back empty-handed. Answers bring one at a time.
fn behind(side: &'static str, replicas: &'static str) -> World {
    let mut world = World::of(3, &[("replica.fetch.max.bytes", "1024"), ("replica.fetch.response.max.bytes", "1024")]);
    let (rate, named) = match side {
        "leader" => ("leader.replication.throttled.rate", "leader.replication.throttled.replicas"),
        _ => ("follower.replication.throttled.rate", "follower.replication.throttled.replicas"),
    };
    world.kill(3);
    world.change(None, &[1, 2]);
    let value = "x".repeat(1_000);
    for _ in 0..20 {
        world.write(1, &value);
    }
    // So long after it had everything nobody waits for it to join again.
    world.advance(31_000);
    world.set(named, replicas);
    world.configure(4, "", rate, "2200");
    world.start(3);
    world
}

#[test]
fn who_is_not_in_sync_gets_on_as_fast_as_the_throttle_allows() {
    for side in ["leader", "follower"] {
        for replicas in ["*", "0:1,0:2,0:3"] {
            let mut world = behind(side, replicas);
            let mut counts = Vec::new();
            for _ in 0..3 {
                world.advance(2_000);
                counts.push(world.log(3).len());
            }
            for (second, count) in [2, 4, 6].into_iter().zip(&counts) {
                // Two a second, and one or two that were on their way when the limit was reached.
                assert!((2 * second..=2 * second + 3).contains(count), "{side} {replicas}: {counts:?}");
            }
            assert_eq!(world.isr(), [1, 2], "{side}");
            world.advance(6_000);
            assert_eq!((world.log(3).len(), world.isr()), (20, vec![1, 2, 3]), "{side} {replicas}");
        }
    }
}

#[test]
fn who_is_in_sync_is_not_held_back_though_it_counts() {
    for side in ["leader", "follower"] {
        let mut world = behind(side, "*");
        for _ in 0..5 {
            world.write(1, &"y".repeat(1_000));
        }
        world.advance(2_000);
        assert_eq!((world.log(2).len(), world.isr()), (25, vec![1, 2]), "{side}");
        let of_third = world.log(3).len();
        match side {
            "leader" => assert!(of_third <= 3, "{of_third}: the second had its share"),
            _ => assert!(of_third >= 4, "{of_third}: it shares with nobody"),
        }
    }
}

#[test]
fn nobody_else_is_held_back_and_nobody_once_the_throttle_is_gone() {
    for side in ["leader", "follower"] {
        let mut world = behind(side, "1:1,1:3,0:7");
        world.advance(100);
        assert_eq!(world.log(3).len(), 20, "{side}: of others the throttle says nothing");
    }
    for (side, rate) in
        [("leader", "leader.replication.throttled.rate"), ("follower", "follower.replication.throttled.rate")]
    {
        let mut world = behind(side, "*");
        world.configure(4, "", rate, "1");
        world.advance(5_000);
        let before = world.log(3).len();
        assert!(before < 5, "{side}: {before}");
        world.configure(4, "3", rate, "9223372036854775807");
        world.configure(4, "1", rate, "9223372036854775807");
        world.advance(1_500);
        assert_eq!(world.log(3).len(), 20, "{side}");
    }
}
