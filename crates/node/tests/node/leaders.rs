//! Who leads and who is in sync, as the controller decides: what happens, and the partition that it makes.

use protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::*;
use protocol::{NodeId, Uuid};

use crate::cluster::*;

/// Three brokers, `t` with a replica on each, led by the first.
fn of_three(min_isr: &str) -> Cluster {
    let mut cluster = Cluster::of_three();
    let topic =
        with_config(with_assignment(topic("t", -1, -1), &[(0, &[1, 2, 3])]), "min.insync.replicas", Some(min_isr));
    assert_eq!(cluster.create(topic).error_code, 0);
    assert_eq!(cluster.state("t"), "1@0 isr=1,2,3");
    cluster
}

fn set(cluster: &mut Cluster, feature: &str, level: i16) {
    cluster.append(vec![FeatureLevelRecord { name: feature.into(), feature_level: level }.into()]);
}

fn allow_unclean(cluster: &mut Cluster) {
    let record = ConfigRecord {
        resource_type: TOPIC,
        resource_name: "t".into(),
        name: "unclean.leader.election.enable".into(),
        value: Some("true".into()),
    };
    cluster.append(vec![record.into()]);
}

fn restart(cluster: &mut Cluster, id: i32, previous_epoch: i64) {
    // Its old connection is gone, and it listens where it did.
    cluster.controller.contacts.forget(NodeId(id));
    assert_eq!(cluster.register(id, 100 + id as u8, previous_epoch).error_code, 0);
}

#[test]
fn the_first_replica_in_sync_takes_over_from_one_that_is_fenced() {
    let mut cluster = of_three("1");
    cluster.fence(1);
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    cluster.fence(3);
    assert_eq!(cluster.state("t"), "2@1 isr=2", "who follows is no new leadership");
    cluster.fence(2);
    assert_eq!(cluster.state("t"), "-1@2 isr= elr=2 last=2");
}

#[test]
fn below_the_minimum_who_leaves_stays_eligible() {
    let mut cluster = of_three("2");
    cluster.fence(3);
    assert_eq!(cluster.state("t"), "1@0 isr=1,2");
    cluster.fence(2);
    assert_eq!(cluster.state("t"), "1@0 isr=1 elr=2");
    cluster.fence(1);
    assert_eq!(cluster.state("t"), "-1@1 isr= elr=1,2 last=1");
    // 3 left while there were enough others, so it may lack what was committed since.
    cluster.beat(3);
    assert_eq!(cluster.state("t"), "-1@1 isr= elr=1,2 last=1");
    cluster.beat(2);
    assert_eq!(cluster.state("t"), "2@2 isr=2 elr=1");
    // Enough in sync again: nobody else is needed.
    assert_eq!(alter(&mut cluster, 2, &[2, 3]), ErrorCode::None);
    assert_eq!(cluster.state("t"), "2@2 isr=2,3");
}

#[test]
fn without_eligible_replicas_the_last_in_sync_stays_so() {
    let mut cluster = of_three("2");
    set(&mut cluster, "eligible.leader.replicas.version", 0);
    for id in [3, 2, 1] {
        cluster.fence(id);
    }
    assert_eq!(cluster.state("t"), "-1@1 isr=1");
    cluster.beat(2);
    assert_eq!(cluster.state("t"), "-1@1 isr=1", "it was not in sync");
    cluster.beat(1);
    assert_eq!(cluster.state("t"), "1@2 isr=1");
}

#[test]
fn who_comes_back_without_its_page_cache_is_not_eligible() {
    let mut cluster = of_three("2");
    for id in [3, 2, 1] {
        cluster.fence(id);
    }
    restart(&mut cluster, 2, -1);
    assert_eq!(cluster.state("t"), "-1@1 isr= elr=1 last=1");
    restart(&mut cluster, 1, -1);
    assert_eq!(cluster.state("t"), "-1@1 isr= last=1");
    cluster.beat(2);
    assert_eq!(cluster.state("t"), "-1@1 isr= last=1", "it is not the last known leader");
    cluster.beat(1);
    assert_eq!(cluster.state("t"), "1@2 isr=1 recovering");
    assert_eq!(alter(&mut cluster, 1, &[1, 2]), ErrorCode::None, "it has recovered by then");
    assert_eq!(cluster.state("t"), "1@2 isr=1,2");
}

#[test]
fn who_stopped_cleanly_is_eligible_still() {
    let mut cluster = of_three("2");
    let epoch = cluster.image().broker(NodeId(2)).expect("registered").epoch;
    for id in [3, 2, 1] {
        cluster.fence(id);
    }
    restart(&mut cluster, 2, epoch);
    cluster.beat(2);
    assert_eq!(cluster.state("t"), "2@2 isr=2 elr=1");
}

#[test]
fn an_unclean_restart_of_a_leader_gives_its_partitions_away() {
    let mut cluster = of_three("1");
    restart(&mut cluster, 1, -1);
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    assert!(cluster.image().broker(NodeId(1)).is_some_and(|it| it.fenced));
}

#[test]
fn an_unclean_election_loses_records_and_says_so() {
    let mut cluster = of_three("1");
    set(&mut cluster, "eligible.leader.replicas.version", 0);
    allow_unclean(&mut cluster);
    cluster.fence(2);
    cluster.fence(3);
    cluster.fence(1);
    assert_eq!(cluster.state("t"), "-1@1 isr=1");
    cluster.beat(2);
    assert_eq!(cluster.state("t"), "2@2 isr=2 recovering");
}

#[test]
fn partitions_without_a_leader_get_any_that_their_topic_allows() {
    let mut cluster = of_three("1");
    set(&mut cluster, "eligible.leader.replicas.version", 0);
    cluster.fence(2);
    cluster.fence(3);
    cluster.fence(1);
    cluster.beat(3);
    assert_eq!(cluster.state("t"), "-1@1 isr=1");
    assert_eq!(cluster.controller.decide_unclean(&cluster.config), []);
    allow_unclean(&mut cluster);
    let records = cluster.controller.decide_unclean(&cluster.config);
    cluster.append(records);
    assert_eq!(cluster.state("t"), "3@2 isr=3 recovering");
}

/// Answers with the partition's code, or the request's.
fn alter_with(
    cluster: &mut Cluster,
    id: i32,
    change: impl FnOnce(&mut AlterPartitionRequest, &mut PartitionData),
) -> ErrorCode {
    let partition = cluster.partition("t", 0);
    let mut data = PartitionData {
        partition_index: 0,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch,
        ..PartitionData::default()
    };
    let mut request = AlterPartitionRequest {
        broker_id: id,
        broker_epoch: cluster.image().broker(NodeId(id)).map_or(-1, |it| it.epoch),
        ..AlterPartitionRequest::default()
    };
    let topic_id = cluster.image().topic("t").expect("it exists").id;
    change(&mut request, &mut data);
    request.topics.push(TopicData { topic_id, partitions: vec![data] });
    let outcome = cluster.controller.decide_alter_partition(&cluster.config, 3, &request);
    let ResponseBody::AlterPartition(response) = cluster.commit(outcome) else { panic!("another reply") };
    match response.topics.first() {
        None => ErrorCode::from_code(response.error_code),
        Some(topic) => {
            let result = &topic.partitions[0];
            if result.error_code == 0 {
                let after = cluster.partition("t", 0);
                let isr: Vec<i32> = after.isr.iter().map(|it| it.0).collect();
                let said = (result.leader_id, result.leader_epoch, &result.isr, result.partition_epoch);
                assert_eq!(said, (after.leader_id(), after.leader_epoch.0, &isr, after.partition_epoch));
                assert_eq!(result.leader_recovery_state == 1, after.recovering);
            }
            ErrorCode::from_code(result.error_code)
        }
    }
}

fn member(id: i32) -> BrokerState {
    BrokerState { broker_id: id, broker_epoch: -1 }
}

fn alter(cluster: &mut Cluster, id: i32, isr: &[i32]) -> ErrorCode {
    alter_with(cluster, id, |_, it| it.new_isr_with_epochs = isr.iter().copied().map(member).collect())
}

#[test]
fn a_leader_changes_its_isr() {
    let mut cluster = of_three("1");
    assert_eq!(alter(&mut cluster, 1, &[1, 3]), ErrorCode::None);
    assert_eq!(cluster.state("t"), "1@0 isr=1,3");
    let epoch = cluster.image().broker(NodeId(2)).expect("registered").epoch;
    let code = alter_with(&mut cluster, 1, |_, it| {
        it.new_isr_with_epochs = vec![member(1), BrokerState { broker_id: 2, broker_epoch: epoch }, member(3)];
    });
    assert_eq!((code, cluster.state("t").as_str()), (ErrorCode::None, "1@0 isr=1,2,3"));
    assert_eq!(alter(&mut cluster, 1, &[1, 2, 3]), ErrorCode::None, "nothing changes");
    assert_eq!(cluster.partition("t", 0).partition_epoch, 2);
}

#[test]
fn what_a_leader_cannot_change_is_refused_with_kafkas_codes() {
    type Twist = fn(&mut AlterPartitionRequest, &mut PartitionData);
    let table: &[(i32, Twist, ErrorCode)] = &[
        (1, |it, _| it.broker_epoch -= 1, ErrorCode::StaleBrokerEpoch),
        (9, |_, _| {}, ErrorCode::BrokerIdNotRegistered),
        (1, |_, it| it.partition_index = 7, ErrorCode::UnknownTopicOrPartition),
        (1, |_, it| it.leader_epoch += 1, ErrorCode::NotController),
        (1, |_, it| it.partition_epoch += 1, ErrorCode::NotController),
        (1, |_, it| it.leader_epoch -= 1, ErrorCode::FencedLeaderEpoch),
        (2, |_, _| {}, ErrorCode::InvalidRequest),
        (1, |_, it| it.partition_epoch -= 1, ErrorCode::InvalidUpdateVersion),
        (1, |_, it| it.new_isr_with_epochs = vec![member(2)], ErrorCode::InvalidRequest),
        (1, |_, it| it.new_isr_with_epochs = vec![], ErrorCode::InvalidRequest),
        (1, |_, it| it.new_isr_with_epochs = vec![member(1), member(1)], ErrorCode::InvalidRequest),
        (1, |_, it| it.new_isr_with_epochs = vec![member(1), member(4)], ErrorCode::InvalidRequest),
        (1, |_, it| it.leader_recovery_state = 1, ErrorCode::InvalidRequest),
        (1, |_, it| it.leader_recovery_state = 2, ErrorCode::InvalidRequest),
        (1, |_, it| it.new_isr_with_epochs = vec![member(1), member(3)], ErrorCode::IneligibleReplica),
        (
            1,
            |_, it| it.new_isr_with_epochs = vec![member(1), BrokerState { broker_id: 2, broker_epoch: 1 }],
            ErrorCode::IneligibleReplica,
        ),
    ];
    for (index, (id, twist, expected)) in table.iter().enumerate() {
        let mut cluster = of_three("1");
        // So that the epochs can be older, and one replica is fenced.
        cluster.fence(3);
        let records = cluster.controller.decide_balance(&cluster.config);
        assert_eq!(records, []);
        cluster.append(vec![leadership(&cluster, 1)]);
        let before = cluster.state("t");
        let code = alter_with(&mut cluster, *id, |request, it| {
            it.new_isr_with_epochs = vec![member(1), member(2)];
            twist(request, it);
        });
        assert_eq!(code, *expected, "line {index}");
        assert_eq!(cluster.state("t"), before, "line {index}");
    }
}

fn leadership(cluster: &Cluster, id: i32) -> MetadataRecord {
    let topic_id = cluster.image().topic("t").expect("it exists").id;
    PartitionChangeRecord { topic_id, partition_id: 0, leader: id, ..PartitionChangeRecord::default() }.into()
}

fn elect(cluster: &mut Cluster, election_type: i8, partitions: Option<&[i32]>) -> Vec<(i32, ErrorCode)> {
    let topic_partitions = partitions.map(|it| vec![TopicPartitions { topic: "t".into(), partitions: it.to_vec() }]);
    let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 1000 };
    let outcome = cluster.controller.decide_elect_leaders(&cluster.config, &request);
    let ResponseBody::ElectLeaders(response) = cluster.commit(outcome) else { panic!("another reply") };
    assert_eq!(response.error_code, 0);
    let results = response.replica_election_results.into_iter().flat_map(|it| it.partition_result);
    results.map(|it| (it.partition_id, ErrorCode::from_code(it.error_code))).collect()
}

#[test]
fn a_person_moves_leaders_back() {
    let mut cluster = of_three("1");
    cluster.fence(1);
    cluster.beat(1);
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    assert_eq!(
        elect(&mut cluster, 0, Some(&[0, 5])),
        [(0, ErrorCode::PreferredLeaderNotAvailable), (5, ErrorCode::UnknownTopicOrPartition)]
    );
    assert_eq!(alter(&mut cluster, 2, &[1, 2, 3]), ErrorCode::None);
    assert_eq!(elect(&mut cluster, 0, Some(&[0])), [(0, ErrorCode::None)]);
    assert_eq!(cluster.state("t"), "1@2 isr=1,2,3");
    assert_eq!(elect(&mut cluster, 0, Some(&[0])), [(0, ErrorCode::ElectionNotNeeded)]);
    assert_eq!(elect(&mut cluster, 0, None), [], "of everything, only what there was to do is told");
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), [(0, ErrorCode::ElectionNotNeeded)]);
}

#[test]
fn a_person_elects_uncleanly() {
    let mut cluster = of_three("1");
    cluster.fence(3);
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), [(0, ErrorCode::EligibleLeadersNotAvailable)]);
    cluster.beat(3);
    assert_eq!(cluster.state("t"), "-1@1 isr= elr=1 last=1");
    assert_eq!(elect(&mut cluster, 1, None), [(0, ErrorCode::None)]);
    assert_eq!(cluster.state("t"), "3@2 isr=3 recovering");
}

#[test]
fn leaders_go_back_by_themselves() {
    let mut cluster = of_three("1");
    cluster.fence(1);
    cluster.beat(1);
    assert_eq!(cluster.controller.decide_balance(&cluster.config), [], "it is not in sync");
    alter(&mut cluster, 2, &[1, 2, 3]);
    let records = cluster.controller.decide_balance(&cluster.config);
    cluster.append(records);
    assert_eq!(cluster.state("t"), "1@2 isr=1,2,3");
    assert_eq!(cluster.controller.decide_balance(&cluster.config), []);
}

#[test]
fn a_lost_directory_gives_away_what_was_in_it() {
    let mut cluster = Cluster::with(&[]);
    let (first, second) = (directory_of(1), Uuid([1; 16]));
    cluster.directories = vec![first, second];
    for id in 1..=3 {
        cluster.start_broker(id);
    }
    cluster.create(with_assignment(topic("t", -1, -1), &[(0, &[1, 2, 3])]));
    assert_eq!(cluster.partition("t", 0).directory_of(NodeId(1)), Some(first));
    let mut beat = cluster.beat_of(1);
    beat.offline_log_dirs = vec![first];
    let response = cluster.heartbeat(beat.clone());
    assert_eq!((response.error_code, response.is_fenced), (0, false));
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    assert!(cluster.image().broker(NodeId(1)).is_some_and(|it| it.directories == [second]));
    let mark = cluster.log.len();
    cluster.heartbeat(beat);
    assert_eq!(cluster.log.len(), mark, "it is told once");
    assert_eq!(alter(&mut cluster, 2, &[1, 2, 3]), ErrorCode::None, "Kafka leaves it to the leader who is in sync");
    assert_eq!(elect(&mut cluster, 0, Some(&[0])), [(0, ErrorCode::PreferredLeaderNotAvailable)]);
}

#[test]
fn replicas_are_moved_to_a_lost_directory() {
    let mut cluster = of_three("1");
    let topic_id = cluster.image().topic("t").expect("it exists").id;
    let lost = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    let request = AssignReplicasToDirsRequest {
        broker_id: 1,
        broker_epoch: cluster.image().broker(NodeId(1)).expect("registered").epoch,
        directories: vec![assign_replicas_to_dirs_request::DirectoryData {
            id: lost,
            topics: vec![assign_replicas_to_dirs_request::TopicData {
                topic_id,
                partitions: vec![assign_replicas_to_dirs_request::PartitionData { partition_index: 0 }],
            }],
        }],
    };
    let outcome = cluster.controller.decide_assign_replicas_to_dirs(&cluster.config, &request);
    cluster.commit(outcome);
    assert_eq!(cluster.state("t"), "2@1 isr=2,3");
    assert_eq!(cluster.partition("t", 0).directory_of(NodeId(1)), Some(lost));
}
