//! What the checkpoint of recovery points says of a log that was cut.

use protocol::{LeaderEpoch, Offset, Str, TopicPartition};
use storage::{Cell, StoreOp, meta};

use crate::common::{self, DIR, Node, Random, batch, small_segments};

/// What the node has written down.
fn point(offset: i64) -> StoreOp {
    let name = TopicPartition { topic: Str::from("orders"), partition: 0 };
    let other = TopicPartition { topic: Str::from("orders-0"), partition: 0 };
    StoreOp::Put(Cell::RecoveryPoints(DIR), meta::format_offsets([(&other, Offset(1000)), (&name, Offset(offset))]))
}

/// Twenty batches of two records in several segments, all on disk, and the checkpoint says so.
fn synced() -> Node {
    let mut node = Node::new().rules(small_segments(600));
    (0..20).for_each(|_| drop(node.append(batch(2))));
    node.flush();
    node.run([point(40)]);
    node
}

/// A start after the power ended in the midst of something.
fn torn(node: Node, random: &mut Random) -> Node {
    let (rules, epoch, mut disk) = (node.rules, node.epoch, node.store.into_disk());
    disk.power_cut_torn(&mut |bound| random.below(bound));
    Node { rules, epoch, ..Node::on(disk).unwrap_or_else(|error| panic!("{error}")) }
}

/// At each disk call of a cut, wherever it is: at a batch, in its midst, at a file's begin, before all that there is or behind it.
#[test]
fn a_log_whose_cut_loses_the_power_is_opened() {
    for offset in [39, 20, 21, 1, 0, 60] {
        for calls in 0.. {
            let mut random = Random(calls + 1);
            let mut node = synced();
            let begin = node.store.disk().calls();
            node.store.disk_mut().end_power_at(begin + calls);
            let cut = node.shape.truncate(Offset(offset));
            let is_through = node.store.execute(cut).is_ok();
            let mut node = torn(node, &mut random);
            let spans: Vec<(i64, i64)> = (0..20).map(|it| (2 * it, 2 * it + 1)).collect();
            let found = node.spans();
            assert!(spans.starts_with(&found), "cut at {offset}, {calls} calls: {found:?}");
            if is_through {
                break;
            }
        }
    }
}

/// What is appended after a cut and not flushed may be torn; what the checkpoint said before the cut is no promise of it, even
/// if a text of that time comes late.
#[test]
fn what_follows_a_cut_may_be_torn() {
    for seed in 1..=200 {
        let mut random = Random(seed);
        let mut node = synced();
        let is_late = random.below(2) == 0;
        node.truncate([20, 21, 33][random.below(3) as usize]);
        node.epoch = LeaderEpoch(1);
        let left = node.shape.end();
        (0..random.below(8)).for_each(|_| drop(node.append(batch(2))));
        if random.below(3) == 0 {
            node.flush();
        }
        let flushed = node.shape.synced_end();
        if is_late {
            node.run([point(40)]);
        }
        (0..random.below(8)).for_each(|_| drop(node.append(batch(2))));
        let node = torn(node, &mut random);
        assert!(node.shape.end() >= flushed && flushed >= left, "seed {seed}: {}", node.shape.end());
        assert_eq!(node.shape.mounted().lost, None, "seed {seed}");
    }
}

/// Once the log has passed what was cut, the checkpoint says what the node says again.
#[test]
fn a_log_that_grew_again_is_not_read_again() {
    let mut node = synced();
    node.truncate(20);
    (0..20).for_each(|_| drop(node.append(batch(2))));
    node.run([point(60)]);
    assert_eq!(said(&node), 20, "nothing of it is on disk");
    node.flush();
    node.run([point(60)]);
    assert_eq!(said(&node), 60);
}

fn said(node: &Node) -> i64 {
    let disk = node.store.disk();
    let text = disk.contents(DIR, meta::RECOVERY_POINTS).unwrap();
    let points = meta::parse_offsets(&text).unwrap();
    assert_eq!(points.iter().find(|it| &*it.0.topic == "orders-0").unwrap().1, Offset(1000), "another log's");
    points.iter().find(|it| &*it.0.topic == "orders").unwrap().1.0
}

/// A log that was cut pays for a leader epoch what any other does: nothing before its next flush.
#[test]
fn leader_epochs_after_a_cut_cost_no_sync() {
    let calls = |node: &mut Node| {
        node.epoch = LeaderEpoch(node.epoch.0 + 1);
        let before = node.store.disk().calls();
        node.append(batch(1));
        node.store.disk().calls() - before
    };
    let mut node = Node::new();
    let usual = calls(&mut node);
    (0..9).for_each(|_| drop(node.append(batch(1))));
    node.flush();
    node.run([point(10)]);
    node.truncate(5);
    assert_eq!(calls(&mut node), usual);
    // A log that lost what its checkpoint promised writes them at once, as a start does not read there, until it has passed that.
    let mut node = synced();
    node.resize(&common::log_path(0), 0);
    let bases: Vec<i64> = node.shape.segments().skip(1).map(|it| it.base.0).collect();
    for base in bases {
        use storage::Disk;
        node.store.disk_mut().remove(DIR, &common::log_path(base)).unwrap();
    }
    let mut node = node.restart().unwrap().rules(Default::default());
    assert!(node.shape.mounted().lost.is_some());
    assert!(calls(&mut node) > usual);
    (0..40).for_each(|_| drop(node.append(batch(1))));
    assert_eq!(calls(&mut node), usual);
}
