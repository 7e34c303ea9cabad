//! What a log has given up: it stays under another name until it is swept.

use protocol::Offset;
use storage::memory::{DiskCall, Fault};
use storage::{CopyPlan, DirId, Done, LogId, Store, StoreError, StoreOp};

use crate::common::{DIR, LOG, Node, batch, log_path, small_segments, spec};

/// A log of so many segments of one batch each.
fn segments(count: usize) -> Node {
    let mut node = Node::new().rules(small_segments(batch(1).bytes() as i32));
    for _ in 0..count {
        node.append(batch(1));
    }
    node
}

/// The files of segments that were given up, without their suffix.
fn given_up(node: &Node) -> Vec<String> {
    let names = node.names().into_iter();
    names.filter_map(|it| it.strip_suffix(".deleted").map(str::to_owned)).filter(|it| it.ends_with(".log")).collect()
}

fn delete_below(node: &mut Node, offset: i64) {
    let ops = node.shape.advance_log_start(Offset(offset));
    assert!(matches!(ops[..], [StoreOp::Delete(..)]), "{ops:?}");
    node.run(ops);
}

#[test]
fn segments_wait_under_another_name_and_are_swept_in_order() {
    let mut node = segments(5);
    delete_below(&mut node, 2);
    delete_below(&mut node, 3);
    assert_eq!(given_up(&node), [0, 1, 2].map(log_path));
    assert!(!node.names().iter().any(|it| [0, 1, 2].map(log_path).contains(it)));
    assert_eq!(node.spans(), [(3, 3), (4, 4)]);
    let snapshot = "orders-0/00000000000000000002.snapshot";
    assert!(node.names().contains(&format!("{snapshot}.deleted")), "whatever is beside a segment goes with it");
    assert_eq!(node.store.execute(StoreOp::Sweep(LOG)), Ok(Done::Swept));
    assert_eq!(given_up(&node), [log_path(2)], "what the first one gave up");
    node.run([StoreOp::Sweep(LOG)]);
    assert!(!node.names().iter().any(|it| it.ends_with(".deleted")));
    assert_eq!(node.store.execute(StoreOp::Sweep(LOG)), Ok(Done::Swept), "there is nothing left");
    // Of a log that is gone, too.
    assert_eq!(node.store.execute(StoreOp::Sweep(LogId(99))), Ok(Done::Swept));
}

#[test]
fn a_crash_leaves_them_to_the_next_start() {
    let mut node = segments(5);
    delete_below(&mut node, 2);
    node.flush();
    for is_power in [false, true] {
        let node = node.clone();
        let node = if is_power { node.power_cut() } else { node.restart() }.unwrap();
        assert_eq!(given_up(&node), [""; 0]);
        assert_eq!(node.shape.segments().next().unwrap().base, Offset(2));
    }
}

#[test]
fn cut_segments_wait_too_and_their_names_are_free() {
    let mut node = segments(4);
    node.truncate(1);
    // The one that holds the offset is only shorter.
    assert_eq!(given_up(&node), [2, 3].map(log_path));
    for _ in 0..3 {
        node.append(batch(1));
    }
    // A second time under the same names: the later ones go with the first sweep, and nobody minds that.
    node.truncate(2);
    node.append(batch(1));
    node.run([StoreOp::Sweep(LOG), StoreOp::Sweep(LOG)]);
    assert_eq!(given_up(&node), [""; 0]);
    assert_eq!(node.spans(), [(0, 0), (1, 1), (2, 2)]);
}

#[test]
fn a_log_that_is_removed_twice_has_two_graves() {
    let mut node = segments(2);
    let other = LogId(8);
    node.run([StoreOp::Remove(LOG), StoreOp::Mount(other, spec()), StoreOp::Remove(other)]);
    let folders = |node: &Node| -> std::collections::BTreeSet<String> {
        node.names().into_iter().filter_map(|it| Some(it.split_once('/')?.0.to_owned())).collect()
    };
    let graves = ["05", "06"].map(|last| format!("orders-0.{}{last}-delete", "05".repeat(15)));
    assert_eq!(folders(&node).into_iter().collect::<Vec<_>>(), graves);
    node.run([StoreOp::Sweep(LOG)]);
    assert_eq!(folders(&node).into_iter().collect::<Vec<_>>(), graves[1..]);
    node.run([StoreOp::Sweep(other)]);
    assert_eq!(node.names(), [""; 0]);
}

#[test]
fn a_removed_log_is_swept_at_once_with_all_that_it_gave_up() {
    let mut node = segments(4);
    delete_below(&mut node, 1);
    delete_below(&mut node, 2);
    let again = StoreOp::Mount(LogId(8), spec());
    node.run([StoreOp::Remove(LOG), again, StoreOp::Sweep(LOG)]);
    assert!(!node.names().iter().any(|it| it.contains("-delete")), "{:?}", node.names());
    node.run([StoreOp::Sweep(LOG)]);
    assert!(node.names().contains(&log_path(0)));
}

#[test]
fn a_grave_that_cannot_be_removed_is_in_nobodys_way() {
    let mut node = segments(2);
    let (other, path) = (LogId(8), "-delete/".to_owned());
    node.run([StoreOp::Remove(LOG), StoreOp::Mount(other, spec())]);
    node.store.disk_mut().inject(Fault { call: DiskCall::Remove, path, after: 0, lasting: true, full: false });
    node.run([StoreOp::Remove(other), StoreOp::Mount(LogId(9), spec())]);
    node.store.disk_mut().heal();
    node.run([StoreOp::Remove(LogId(9))]);
    let node = node.restart().unwrap();
    assert!(!node.names().iter().any(|it| it.contains("-delete")), "a start knows all their names");
}

#[test]
fn what_cannot_be_removed_takes_no_directory_offline() {
    let mut node = segments(4);
    delete_below(&mut node, 3);
    let path = log_path(1);
    node.store.disk_mut().inject(Fault { call: DiskCall::Remove, path, after: 0, lasting: true, full: false });
    assert!(matches!(node.store.execute(StoreOp::Sweep(LOG)), Err(StoreError::Io(_))));
    assert_eq!(given_up(&node), [log_path(1)], "all others are gone");
    node.append(batch(1));
    node.store.disk_mut().heal();
    assert_eq!(given_up(&node.restart().unwrap()), [""; 0]);
}

#[test]
fn the_folder_that_a_log_has_moved_out_of_waits() {
    let mut node = segments(3);
    delete_below(&mut node, 1);
    let plan = CopyPlan { to: DirId(1), era: node.shape.era(), bytes: 1 << 20 };
    node.run([StoreOp::Copy(LOG, plan), StoreOp::Move(LOG)]);
    let left = |node: &Node| node.store.disk().files().into_iter().filter(|it| it.0 == DIR).count();
    assert!(left(&node) > 3);
    delete_below(&mut node, 2);
    // Of the first what it gave up has moved along with the folder.
    node.run([StoreOp::Sweep(LOG)]);
    assert!(left(&node) > 3);
    node.run([StoreOp::Sweep(LOG)]);
    assert_eq!(left(&node), 0);
    node.run([StoreOp::Sweep(LOG)]);
    assert_eq!(node.spans(), [(2, 2)]);
}

/// At every call that changes the disk the process dies: the next start has the log as it was before, or after.
#[test]
fn a_crash_in_a_deletion_leaves_one_log_or_the_other() {
    let mut node = segments(4);
    node.flush();
    for after in 0.. {
        let mut node = node.clone();
        let calls = node.store.disk().calls();
        node.store.disk_mut().end_power_at(calls + after);
        let ops = node.shape.advance_log_start(Offset(2));
        let is_done = ops.into_iter().chain([StoreOp::Sweep(LOG)]).all(|op| node.store.execute(op).is_ok());
        let mut disk = node.store.into_disk();
        disk.restore_power();
        disk.crash();
        let store = Store::new(disk);
        let mut node = Node { store, ..node };
        let Ok(Done::Mounted(shape)) = node.store.execute(StoreOp::Mount(LOG, spec())) else { panic!("{after}") };
        node.shape = *shape;
        assert_eq!(given_up(&node), [""; 0], "{after}");
        let first = node.shape.segments().next().unwrap().base.0;
        assert!((0..=2).contains(&first) && node.shape.end() == Offset(4), "{after}: {first}");
        if is_done {
            assert_eq!(first, 2);
            break;
        }
    }
}
