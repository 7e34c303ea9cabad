//! Reassignments and feature levels, as the controller decides.

use node::controller::ongoing_reassignments;
use protocol::NodeId;
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::*;

use crate::cluster::*;

/// Five brokers, `t` on the first three.
fn of_five() -> Cluster {
    let mut cluster = Cluster::of_three();
    cluster.start_broker(4);
    cluster.start_broker(5);
    cluster.create(with_assignment(topic("t", -1, -1), &[(0, &[1, 2, 3])]));
    cluster
}

fn reassign(cluster: &mut Cluster, replicas: Option<&[i32]>, may_change_factor: bool) -> (ErrorCode, String) {
    let partition = ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) };
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: 1000,
        allow_replication_factor_change: may_change_factor,
        topics: vec![ReassignableTopic { name: "t".into(), partitions: vec![partition] }],
    };
    let outcome = cluster.controller.decide_alter_partition_reassignments(&cluster.config, &request);
    let ResponseBody::AlterPartitionReassignments(response) = cluster.commit(outcome) else { panic!("another reply") };
    let result = &response.responses[0].partitions[0];
    (ErrorCode::from_code(result.error_code), result.error_message.as_deref().unwrap_or_default().to_owned())
}

fn replicas(cluster: &Cluster) -> Vec<i32> {
    cluster.partition("t", 0).replicas.iter().map(|it| it.0).collect()
}

/// The leader proposes an ISR.
fn alter(cluster: &mut Cluster, isr: &[i32]) -> ErrorCode {
    let partition = cluster.partition("t", 0);
    let leader = partition.leader.expect("somebody leads");
    let data = PartitionData {
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        new_isr_with_epochs: isr.iter().map(|id| BrokerState { broker_id: *id, broker_epoch: -1 }).collect(),
        ..PartitionData::default()
    };
    let request = AlterPartitionRequest {
        broker_id: leader.0,
        broker_epoch: cluster.image().broker(leader).expect("registered").epoch,
        topics: vec![TopicData { topic_id: cluster.image().topic("t").expect("exists").id, partitions: vec![data] }],
    };
    let outcome = cluster.controller.decide_alter_partition(&cluster.config, 3, &request);
    let ResponseBody::AlterPartition(response) = cluster.commit(outcome) else { panic!("another reply") };
    ErrorCode::from_code(response.topics[0].partitions[0].error_code)
}

#[test]
fn a_reassignment_ends_when_all_that_it_adds_is_in_sync() {
    let mut cluster = of_five();
    assert_eq!(reassign(&mut cluster, Some(&[3, 4, 5]), true).0, ErrorCode::None);
    assert_eq!(replicas(&cluster), [3, 4, 5, 1, 2]);
    assert_eq!(cluster.state("t"), "1@0 isr=1,2,3 adding=4,5 removing=1,2");
    assert_eq!(cluster.partition("t", 0).directory_of(NodeId(4)), Some(directory_of(4)));
    let list = |cluster: &Cluster| {
        let request = ListPartitionReassignmentsRequest { topics: None, ..Default::default() };
        ongoing_reassignments(cluster.image(), &request).topics
    };
    let ongoing = &list(&cluster)[0].partitions[0];
    assert_eq!((&ongoing.adding_replicas[..], &ongoing.removing_replicas[..]), (&[4, 5][..], &[1, 2][..]));
    assert_eq!(alter(&mut cluster, &[1, 2, 3, 4]), ErrorCode::None);
    assert_eq!(cluster.state("t"), "1@0 isr=1,2,3,4 adding=4,5 removing=1,2");
    // The leader is told that it leads no more.
    assert_eq!(alter(&mut cluster, &[1, 2, 3, 4, 5]), ErrorCode::NewLeaderElected);
    assert_eq!((replicas(&cluster), cluster.state("t").as_str()), (vec![3, 4, 5], "3@1 isr=3,4,5"));
    assert!(list(&cluster).is_empty());
}

#[test]
fn another_order_is_done_at_once() {
    let mut cluster = of_five();
    assert_eq!(reassign(&mut cluster, Some(&[2, 1, 3]), true).0, ErrorCode::None);
    assert_eq!((replicas(&cluster), cluster.state("t").as_str()), (vec![2, 1, 3], "1@0 isr=1,2,3"));
}

#[test]
fn fewer_replicas_are_done_at_once_if_they_are_in_sync() {
    let mut cluster = of_five();
    assert_eq!(reassign(&mut cluster, Some(&[2]), true).0, ErrorCode::None);
    assert_eq!((replicas(&cluster), cluster.state("t").as_str()), (vec![2], "2@1 isr=2"));
    let mut cluster = of_five();
    cluster.fence(2);
    assert_eq!(reassign(&mut cluster, Some(&[2]), true).0, ErrorCode::None);
    assert_eq!(cluster.state("t"), "1@0 isr=1,3 removing=1,3", "2 must be in sync first");
    // Cancelled, it is as it was.
    assert_eq!(reassign(&mut cluster, None, true).0, ErrorCode::None);
    assert_eq!((replicas(&cluster), cluster.state("t").as_str()), (vec![2, 1, 3], "1@0 isr=1,3"));
}

#[test]
fn a_reassignment_is_cancelled() {
    let mut cluster = of_five();
    assert_eq!(reassign(&mut cluster, None, true).0, ErrorCode::NoReassignmentInProgress);
    reassign(&mut cluster, Some(&[4, 5, 1]), true);
    alter(&mut cluster, &[1, 2, 3, 4]);
    assert_eq!(reassign(&mut cluster, None, true).0, ErrorCode::None);
    assert_eq!((replicas(&cluster), cluster.state("t").as_str()), (vec![1, 2, 3], "1@1 isr=1,2,3"));
}

#[test]
fn what_cannot_be_reassigned_is_refused() {
    let mut cluster = of_five();
    let table: &[(&[i32], bool, ErrorCode, &str)] = &[
        (
            &[1, 9],
            true,
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            &[1, 1],
            true,
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            &[],
            true,
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (&[1, 2], false, ErrorCode::InvalidReplicationFactor, "The replication factor is changed from 3 to 2"),
    ];
    for (target, may_change, code, message) in table {
        assert_eq!(reassign(&mut cluster, Some(target), *may_change), (*code, (*message).to_owned()));
    }
    assert_eq!(cluster.state("t"), "1@0 isr=1,2,3");
}

fn update(cluster: &mut Cluster, updates: &[(&str, i16, i8)]) -> (ErrorCode, String) {
    let request = UpdateFeaturesRequest {
        feature_updates: updates
            .iter()
            .map(|(name, level, kind)| FeatureUpdateKey {
                feature: (*name).into(),
                max_version_level: *level,
                upgrade_type: *kind,
                ..FeatureUpdateKey::default()
            })
            .collect(),
        ..UpdateFeaturesRequest::default()
    };
    let (outcome, _) = cluster.controller.decide_update_features(&cluster.config, &cluster.quorum, 2, &request);
    let ResponseBody::UpdateFeatures(response) = cluster.commit(outcome) else { panic!("another reply") };
    let message = response.error_message.as_deref().unwrap_or_default();
    let prefix = "The update failed for all features since the following feature had an error: ";
    (ErrorCode::from_code(response.error_code), message.strip_prefix(prefix).unwrap_or(message).to_owned())
}

#[test]
fn features_change_to_what_everyone_can_run() {
    let mut cluster = Cluster::of_three();
    let table: &[(&str, i16, i8, &str)] = &[
        (
            "group.version",
            7,
            1,
            "Invalid update version 7 for feature group.version. Local controller only supports versions 0-1",
        ),
        (
            "no.version",
            1,
            1,
            "Invalid update version 1 for feature no.version. Local controller does not support this feature.",
        ),
        (
            "group.version",
            -1,
            1,
            "Invalid update version -1 for feature group.version. A feature version cannot be less than 0.",
        ),
        (
            "group.version",
            0,
            1,
            "Invalid update version 0 for feature group.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ),
        (
            "group.version",
            1,
            9,
            "Invalid update version 1 for feature group.version. The controller does not support the given upgrade type.",
        ),
        (
            "metadata.version",
            29,
            2,
            "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested downgrade because it might delete metadata information.",
        ),
    ];
    for (name, level, kind, message) in table {
        let mark = cluster.log.len();
        assert_eq!(
            update(&mut cluster, &[("share.version", 0, 2), (name, *level, *kind)]),
            (ErrorCode::InvalidUpdateVersion, (*message).to_owned())
        );
        assert_eq!(cluster.log.len(), mark, "nothing of it is done");
    }
    assert_eq!(update(&mut cluster, &[("group.version", 0, 2)]).0, ErrorCode::None);
    assert_eq!(cluster.image().feature("group.version"), 0);
    assert_eq!(update(&mut cluster, &[("eligible.leader.replicas.version", 0, 2)]).0, ErrorCode::None);
    assert_eq!(update(&mut cluster, &[("eligible.leader.replicas.version", 1, 1)]).0, ErrorCode::None);
    assert_eq!(cluster.image().feature("eligible.leader.replicas.version"), 1);
}
