//! A broker's life as the controller sees it: sessions, registrations of the same number, leave to stop, and goodbye.

use node::ConnId;
use node::controller::Due;
use protocol::messages::*;
use protocol::{Instant, NodeId, Now, Uuid};

use crate::cluster::*;
use crate::common;

const TIMEOUT_MS: i64 = 9_000;
const GRACE_MS: i64 = 20;

fn at(ms: i64) -> Now {
    Now { mono: Instant(0).plus_ms(ms), ..Now::default() }
}

#[test]
fn a_silent_broker_is_due_when_its_session_is_over_and_not_before() {
    let mut cluster = Cluster::of_three();
    cluster.now = at(5_000);
    cluster.beat(2);
    let contacts = &cluster.controller.contacts;
    assert_eq!(contacts.next(TIMEOUT_MS), Some(Instant(9_000_001)));
    assert_eq!(contacts.due(at(9_000).mono, TIMEOUT_MS), None);
    assert_eq!(contacts.due(Instant(9_000_001), TIMEOUT_MS), Some(Due::Expired(NodeId(1))));
    cluster.fence(1);
    assert_eq!(cluster.controller.contacts.due(Instant(9_000_001), TIMEOUT_MS), Some(Due::Expired(NodeId(3))));
    cluster.fence(3);
    assert_eq!(cluster.controller.contacts.next(TIMEOUT_MS), Some(Instant(14_000_001)));
    let fenced = |id| cluster.image().broker(NodeId(id)).is_some_and(|it| it.fenced);
    assert_eq!([fenced(1), fenced(2), fenced(3)], [true, false, true]);
}

#[test]
fn a_broken_connection_has_the_port_knocked_at_unless_the_broker_comes_back() {
    let mut cluster = Cluster::of_three();
    let contacts = &mut cluster.controller.contacts;
    contacts.closed(ConnId(2), at(100).mono, GRACE_MS);
    contacts.closed(ConnId(3), at(100).mono, GRACE_MS);
    assert!(contacts.is_broken(NodeId(2)) && !contacts.is_broken(NodeId(1)));
    assert_eq!(contacts.due(at(119).mono, TIMEOUT_MS), None);
    cluster.now = at(110);
    cluster.beat(3);
    let contacts = &mut cluster.controller.contacts;
    assert_eq!(contacts.due(at(120).mono, TIMEOUT_MS), Some(Due::Knock(NodeId(2))));
    contacts.knocking(NodeId(2));
    assert_eq!(contacts.due(at(9_000).mono, TIMEOUT_MS), None, "its session goes on");
}

#[test]
fn without_a_connection_that_broke_one_refusal_proves_nothing() {
    let mut cluster = Cluster::of_three();
    cluster.controller.arm_contacts(at(50_000).mono, GRACE_MS);
    let contacts = &mut cluster.controller.contacts;
    assert!(contacts.is_in_doubt(NodeId(2)) && !contacts.is_broken(NodeId(2)));
    assert!(!contacts.refused(NodeId(2)), "it may only be out of reach for a moment");
    contacts.unrefused(NodeId(2), false);
    assert!(!contacts.refused(NodeId(2)), "it was not refused twice in a row");
    assert!(contacts.refused(NodeId(2)));
    // A connection that broke is evidence of its own, and one that is open is of the contrary.
    cluster.now = at(50_010);
    cluster.beat(3);
    let contacts = &mut cluster.controller.contacts;
    assert!(!contacts.is_in_doubt(NodeId(3)) && !contacts.refused(NodeId(3)) && !contacts.refused(NodeId(3)));
    contacts.closed(ConnId(3), at(50_020).mono, GRACE_MS);
    assert!(contacts.is_broken(NodeId(3)) && contacts.refused(NodeId(3)));
}

#[test]
fn a_new_controller_gives_everyone_a_whole_session() {
    let mut cluster = Cluster::of_three();
    cluster.fence(3);
    cluster.controller.arm_contacts(at(50_000).mono, GRACE_MS);
    let contacts = &cluster.controller.contacts;
    assert_eq!(contacts.next(TIMEOUT_MS), Some(at(50_020).mono), "and knocks at who does not come at once");
    assert_eq!(contacts.due(at(50_020).mono, TIMEOUT_MS), Some(Due::Knock(NodeId(1))));
    assert!(contacts.is_live(NodeId(2), cluster.image().broker(NodeId(2)).unwrap().epoch, at(59_000).mono, TIMEOUT_MS));
    assert!(!contacts.is_live(
        NodeId(3),
        cluster.image().broker(NodeId(3)).unwrap().epoch,
        at(50_000).mono,
        TIMEOUT_MS
    ));
}

fn registration(id: i32, incarnation: u8, port: u16) -> BrokerRegistrationRequest {
    common::registration::registration(id, "cluster", Uuid([incarnation; 16]), ("here", port), vec![directory_of(id)])
}

fn error(response: &BrokerRegistrationResponse) -> ErrorCode {
    ErrorCode::from_code(response.error_code)
}

#[test]
fn what_cannot_be_registered_is_refused_with_kafkas_codes() {
    type Twist = fn(&mut BrokerRegistrationRequest);
    let table: &[(Twist, ErrorCode)] = &[
        (|it| it.cluster_id = "other".into(), ErrorCode::InconsistentClusterId),
        (|it| it.is_migrating_zk_broker = true, ErrorCode::BrokerIdNotRegistered),
        (|it| it.broker_id = -1, ErrorCode::InvalidRegistration),
        (|it| it.listeners[0].security_protocol = 9, ErrorCode::InvalidRegistration),
        (|it| it.log_dirs.clear(), ErrorCode::InvalidRegistration),
        (|it| it.log_dirs = vec![Uuid::ZERO], ErrorCode::InvalidRegistration),
        (|it| it.log_dirs = vec![directory_of(4), directory_of(4)], ErrorCode::InvalidRegistration),
        (|it| it.log_dirs = vec![directory_of(2)], ErrorCode::InvalidRegistration),
        (|it| it.features.retain(|it| it.name != "metadata.version"), ErrorCode::InvalidRegistration),
        (|it| it.features.retain(|it| it.name != "group.version"), ErrorCode::UnsupportedVersion),
        (|it| it.features.iter_mut().for_each(|it| it.max_supported_version -= 1), ErrorCode::UnsupportedVersion),
        (|_| {}, ErrorCode::None),
    ];
    for (index, (twist, expected)) in table.iter().enumerate() {
        let mut cluster = Cluster::of_three();
        let mark = cluster.log.len();
        let mut request = registration(4, 4, 9096);
        twist(&mut request);
        assert_eq!(error(&cluster.register_as(&request)), *expected, "line {index}");
        assert_eq!(cluster.log.len() - mark, usize::from(*expected == ErrorCode::None), "line {index}");
    }
}

#[test]
fn a_number_has_one_broker_until_its_session_is_over() {
    let mut cluster = Cluster::of_three();
    let elsewhere = registration(2, 99, 1234);
    assert_eq!(error(&cluster.register_as(&elsewhere)), ErrorCode::DuplicateBrokerRegistration);
    cluster.now = at(TIMEOUT_MS);
    assert_eq!(error(&cluster.register_as(&elsewhere)), ErrorCode::DuplicateBrokerRegistration);
    // A connection that broke says nothing of a process that listens elsewhere.
    cluster.controller.contacts.closed(ConnId(2), cluster.now.mono, GRACE_MS);
    assert_eq!(error(&cluster.register_as(&elsewhere)), ErrorCode::DuplicateBrokerRegistration);
    cluster.now = at(TIMEOUT_MS + 1);
    assert_eq!(error(&cluster.register_as(&elsewhere)), ErrorCode::None);
}

#[test]
fn nobody_takes_over_the_number_of_the_controllers_own_broker() {
    let mut cluster = Cluster::of_three();
    let other = registration(1, 99, 9092);
    cluster.controller.contacts.forget(NodeId(1));
    cluster.now = at(TIMEOUT_MS + 1);
    assert_eq!(error(&cluster.register_from(&other, false)), ErrorCode::DuplicateBrokerRegistration);
    assert_eq!(error(&cluster.register_from(&other, true)), ErrorCode::None, "but its own next life");
}

#[test]
fn a_new_controller_takes_nobody_for_gone_whom_it_has_not_heard_of() {
    let mut cluster = Cluster::of_three();
    cluster.controller.arm_contacts(cluster.now.mono, GRACE_MS);
    let same_port = BrokerRegistrationRequest { log_dirs: vec![Uuid([77; 16])], ..registration(2, 99, 9093) };
    assert_eq!(error(&cluster.register_as(&same_port)), ErrorCode::DuplicateBrokerRegistration);
    let same_disks = registration(2, 99, 1234);
    assert_eq!(error(&cluster.register_as(&same_disks)), ErrorCode::DuplicateBrokerRegistration);
    cluster.now = at(TIMEOUT_MS + 1);
    assert_eq!(error(&cluster.register_as(&same_port)), ErrorCode::None, "its session is over");
}

/// Two of three nodes died and came back: the controller is new, and nobody saw the broker's end.
#[test]
fn who_has_the_port_and_the_disks_of_one_that_was_not_heard_of_is_its_next_life() {
    let mut cluster = Cluster::of_three();
    let next_life = registration(2, 99, 9093);
    assert_eq!(error(&cluster.register_as(&next_life)), ErrorCode::DuplicateBrokerRegistration, "it is connected");
    cluster.controller.arm_contacts(cluster.now.mono, GRACE_MS);
    assert_eq!(error(&cluster.register_as(&next_life)), ErrorCode::None);
    assert!(cluster.image().broker(NodeId(2)).is_some_and(|it| it.fenced && it.incarnation == Uuid([99; 16])));
}

#[test]
fn who_listens_where_the_dead_one_did_is_its_next_life() {
    let mut cluster = Cluster::of_three();
    let same_port = registration(2, 99, 9093);
    assert_eq!(error(&cluster.register_as(&same_port)), ErrorCode::DuplicateBrokerRegistration, "it is connected");
    cluster.controller.contacts.closed(ConnId(2), cluster.now.mono, GRACE_MS);
    assert_eq!(error(&cluster.register_as(&same_port)), ErrorCode::None);
    assert!(cluster.image().broker(NodeId(2)).is_some_and(|it| it.fenced && it.incarnation == Uuid([99; 16])));
}

#[test]
fn a_broker_that_stops_waits_until_the_others_know() {
    let mut cluster = Cluster::of_three();
    cluster.create(with_assignment(topic("t", -1, -1), &[(0, &[1, 2, 3])]));
    cluster.beat(2);
    cluster.beat(3);
    let leave = |cluster: &mut Cluster| {
        let request = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.beat_of(1) };
        let response = cluster.heartbeat(request);
        (response.error_code, response.is_fenced, response.should_shut_down)
    };
    assert_eq!(leave(&mut cluster), (0, false, false));
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    assert!(cluster.image().broker(NodeId(1)).is_some_and(|it| it.in_controlled_shutdown && !it.fenced));
    let mark = cluster.log.len();
    assert_eq!(leave(&mut cluster), (0, false, false), "nobody else has applied that yet");
    cluster.beat(2);
    assert_eq!(leave(&mut cluster), (0, false, false), "nor has 3");
    assert_eq!(cluster.log.len(), mark, "and nothing is decided twice");
    cluster.beat(3);
    assert_eq!(leave(&mut cluster), (0, true, true));
    assert!(cluster.image().broker(NodeId(1)).is_some_and(|it| it.fenced));
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
}

/// What it is given it would have to hand over at once. A fenced one is expected back.
#[test]
fn nothing_new_is_placed_on_a_broker_that_leaves() {
    let mut cluster = Cluster::of_three();
    cluster.create(with_assignment(topic("t", -1, -1), &[(0, &[2, 1, 3])]));
    cluster.beat(1);
    cluster.beat(3);
    let request = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.beat_of(2) };
    assert!(!cluster.heartbeat(request).should_shut_down, "the others do not know yet");
    let refusal = "The target replication factor of 3 cannot be reached because only 2 broker(s) are registered";
    let refused = cluster.create(topic("three", 1, 3));
    let (error, what) = error_of(&refused);
    assert_eq!(error, ErrorCode::InvalidReplicationFactor);
    assert!(what.contains(refusal), "{what}");
    assert_eq!(error_of(&cluster.create(topic("two", 6, 2))).0, ErrorCode::None);
    for index in 0..6 {
        let partition = cluster.partition("two", index);
        assert!(!partition.replicas.contains(&NodeId(2)) && partition.isr.len() == 2, "{partition:?}");
    }
    let mut grow = |name: &str, count| {
        let asked = create_partitions_request::CreatePartitionsTopic { name: name.into(), count, assignments: None };
        let request = CreatePartitionsRequest { topics: vec![asked], ..Default::default() };
        let outcome = cluster.controller.decide_create_partitions(&mut cluster.random, &request);
        let ResponseBody::CreatePartitions(response) = cluster.commit(outcome) else { panic!("another reply") };
        response.results[0].error_code
    };
    assert_eq!(grow("t", 2), ErrorCode::InvalidReplicationFactor.code());
    assert_eq!(grow("two", 12), ErrorCode::None.code());
    assert!((6..12).all(|index| !cluster.partition("two", index).replicas.contains(&NodeId(2))));
    cluster.fence(2);
    assert_eq!(error_of(&cluster.create(topic("three", 1, 3))).0, ErrorCode::None);
}

#[test]
fn a_broker_that_leads_nothing_may_stop_at_once() {
    let mut cluster = Cluster::of_three();
    let request = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.beat_of(3) };
    assert!(cluster.heartbeat(request).should_shut_down);
}

#[test]
fn a_heartbeat_of_another_life_is_refused() {
    let mut cluster = Cluster::of_three();
    let mut stale = cluster.beat_of(2);
    stale.broker_epoch -= 1;
    assert_eq!(cluster.heartbeat(stale).error_code, ErrorCode::StaleBrokerEpoch.code());
    let unknown = cluster.beat_of(7);
    assert_eq!(cluster.heartbeat(unknown).error_code, ErrorCode::BrokerIdNotRegistered.code());
}

#[test]
fn a_broker_is_unregistered_with_all_that_it_led() {
    let mut cluster = Cluster::of_three();
    cluster.create(with_assignment(topic("t", -1, -1), &[(0, &[1, 2, 3])]));
    let mut unregister = |id| {
        let request = UnregisterBrokerRequest { broker_id: id };
        let outcome = cluster.controller.decide_unregister_broker(&cluster.config, &request);
        let ResponseBody::UnregisterBroker(response) = cluster.commit(outcome) else { panic!("another reply") };
        (ErrorCode::from_code(response.error_code), cluster.state("t"))
    };
    assert_eq!(unregister(9), (ErrorCode::BrokerIdNotRegistered, "1@0 isr=1,2,3".into()));
    assert_eq!(unregister(1), (ErrorCode::None, "2@1 isr=2,3".into()));
    assert!(cluster.image().broker(NodeId(1)).is_none());
}
