//! The controller's decisions as data, and the image that they make.

use ordered::Map;

use node::controller::Asked;
use node::image::Image;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::*;
use protocol::{LeaderEpoch, NodeId, Offset, Str, Uuid};

use crate::cluster::*;

#[test]
fn a_new_cluster_begins_as_apache_kafka_formats_it() {
    let cluster = Cluster::with(&[]);
    let feature = |name: &str, level| FeatureLevelRecord { name: name.into(), feature_level: level }.into();
    let expected: Vec<MetadataRecord> = vec![
        BeginTransactionRecord { name: Some("Bootstrap records".into()) }.into(),
        feature("metadata.version", 30),
        feature("eligible.leader.replicas.version", 1),
        feature("group.version", 1),
        feature("share.version", 1),
        feature("streams.version", 1),
        feature("transaction.version", 2),
        ConfigRecord {
            resource_type: 4,
            resource_name: "".into(),
            name: "min.insync.replicas".into(),
            value: Some("1".into()),
        }
        .into(),
        EndTransactionRecord::default().into(),
    ];
    assert_eq!(cluster.log[..9], expected[..]);
    assert!(matches!(&cluster.log[9..], [MetadataRecord::RegisterController(it)] if it.controller_id == 1));
}

#[test]
fn creating_a_topic_is_these_records() {
    let mut cluster = Cluster::of_one();
    let request = CreateTopicsRequest {
        topics: vec![with_config(topic("t", 2, -1), "retention.ms", Some("1000"))],
        ..CreateTopicsRequest::default()
    };
    let (records, results) = cluster.decide_create(&request);
    let id = results[0].topic_id;
    let partition = |index| {
        let record = PartitionRecord {
            partition_id: index,
            topic_id: id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![DIRECTORY],
            ..PartitionRecord::default()
        };
        MetadataRecord::from(record)
    };
    let expected = vec![
        TopicRecord { name: "t".into(), topic_id: id }.into(),
        ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: "retention.ms".into(),
            value: Some("1000".into()),
        }
        .into(),
        partition(0),
        partition(1),
    ];
    assert_eq!(records, expected);
    assert_eq!((results[0].error_code, results[0].num_partitions, results[0].replication_factor), (0, 2, 1));
    let shown = results[0].configs.as_ref().expect("configs are shown");
    let of = |key: &str| shown.iter().find(|it| it.name == key).map(|it| (it.value.clone(), it.config_source));
    assert_eq!(of("retention.ms"), Some((Some("1000".into()), 1)), "DYNAMIC_TOPIC_CONFIG");
    assert_eq!(
        of("min.insync.replicas"),
        Some((Some("1".into()), 3)),
        "DYNAMIC_DEFAULT_BROKER_CONFIG, as a new cluster has it"
    );
    assert_eq!(of("segment.bytes"), Some((Some("1073741824".into()), 5)), "DEFAULT_CONFIG");
}

#[test]
fn validate_only_changes_nothing() {
    let mut cluster = Cluster::of_one();
    let request =
        CreateTopicsRequest { topics: vec![topic("t", 1, 1)], validate_only: true, ..CreateTopicsRequest::default() };
    let (records, results) = cluster.decide_create(&request);
    assert_eq!((records.len(), results[0].error_code), (0, 0));
}

#[test]
fn what_cannot_be_created_is_refused_in_kafkas_words() {
    let mut cluster = Cluster::of_three();
    assert_eq!(cluster.create(topic("taken.name", 1, 1)).error_code, 0);
    let long = "x".repeat(250);
    let table: &[(CreatableTopic, ErrorCode, &str)] = &[
        (topic("taken.name", 1, 1), ErrorCode::TopicAlreadyExists, "Topic 'taken.name' already exists."),
        (
            topic("taken_name", 1, 1),
            ErrorCode::InvalidTopicException,
            "Topic 'taken_name' collides with existing topic: taken.name",
        ),
        (topic("", 1, 1), ErrorCode::InvalidTopicException, "Topic name is invalid: the empty string is not allowed"),
        (topic(".", 1, 1), ErrorCode::InvalidTopicException, "Topic name is invalid: '.' is not allowed"),
        (topic("..", 1, 1), ErrorCode::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (
            topic("../etc", 1, 1),
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: '../etc' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            topic(&long, 1, 1),
            ErrorCode::InvalidTopicException,
            &format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"),
        ),
        (
            topic("__cluster_metadata", 1, 1),
            ErrorCode::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic("a", 1, 4),
            ErrorCode::InvalidReplicationFactor,
            "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because only 3 \
             broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (
            topic("a", 1, 0),
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("a", 0, 1),
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (topic("a", 10_001, 1), ErrorCode::PolicyViolation, "Excessively large number of partitions per request."),
        (
            with_config(topic("a", 1, 1), "no.such.key", Some("1")),
            ErrorCode::InvalidConfig,
            "Unknown topic config name: no.such.key",
        ),
        (
            with_config(topic("a", 1, 1), "retention.ms", Some("soon")),
            ErrorCode::InvalidConfig,
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        (
            with_config(topic("a", 1, 1), "retention.ms", None),
            ErrorCode::InvalidConfig,
            "Null value not supported for topic configs: retention.ms",
        ),
        (
            with_assignment(topic("a", 2, -1), &[(0, &[1])]),
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            with_assignment(topic("a", -1, -1), &[(1, &[1])]),
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            with_assignment(topic("a", -1, -1), &[(0, &[1, 9])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            with_assignment(topic("a", -1, -1), &[(0, &[1, 2]), (1, &[3])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with previous \
             partitions, which have 2 replica(s).",
        ),
    ];
    for (asked, code, message) in table {
        let before = cluster.image().clone();
        let result = cluster.create(asked.clone());
        assert_eq!(error_of(&result), (*code, *message));
        assert_eq!(*cluster.image(), before, "nothing was written");
    }
    let twice = CreateTopicsRequest { topics: vec![topic("a", 1, 1), topic("a", 1, 1)], ..Default::default() };
    let (records, results) = cluster.decide_create(&twice);
    assert_eq!((records.len(), results.len()), (0, 1));
    assert_eq!(error_of(&results[0]), (ErrorCode::InvalidRequest, "Duplicate topic name."));
}

#[test]
fn replicas_are_spread_evenly() {
    let mut cluster = Cluster::of_three();
    assert_eq!(cluster.create(topic("t", 30, 2)).error_code, 0);
    let created = cluster.image().topic("t").expect("created");
    let (mut leads, mut holds) = (Map::new(), Map::new());
    for partition in created.partitions.values() {
        assert_ne!(partition.replicas[0], partition.replicas[1]);
        assert_eq!(partition.leader, Some(partition.replicas[0]));
        *leads.entry(partition.replicas[0]).or_insert(0) += 1;
        for replica in &partition.replicas {
            *holds.entry(*replica).or_insert(0) += 1;
        }
    }
    let even = |count| (1..=3).map(|id| (NodeId(id), count)).collect::<Map<_, _>>();
    assert_eq!(leads, even(10));
    assert_eq!(holds, even(20));
}

#[test]
fn replicas_go_to_the_emptiest_directory() {
    let mut cluster = Cluster::with(&[]);
    cluster.directories = vec![Uuid([1; 16]), Uuid([2; 16]), Uuid([3; 16])];
    cluster.start_broker(1);
    cluster.create(topic("a", 2, 1));
    cluster.create(topic("b", 4, 1));
    let mut load = Map::new();
    for partition in cluster.image().topics().flat_map(|it| it.partitions.values()) {
        *load.entry(partition.directories[0]).or_insert(0) += 1;
    }
    assert_eq!(load, cluster.directories.iter().map(|it| (*it, 2)).collect());
}

#[test]
fn the_same_seed_decides_the_same() {
    let run = || {
        let mut cluster = Cluster::of_three();
        cluster.create(topic("a", 5, 3));
        cluster.create(topic("b", 7, 2));
        cluster.log
    };
    assert_eq!(run(), run());
}

#[test]
fn an_image_is_its_log() {
    let mut cluster = Cluster::of_three();
    cluster.create(with_config(topic("a.b", 3, 3), "min.insync.replicas", Some("2")));
    cluster.create(topic("gone", 1, 1));
    let request = DeleteTopicsRequest { topic_names: vec!["gone".into()], ..DeleteTopicsRequest::default() };
    let outcome = cluster.controller.decide_delete_topics(&cluster.config, 5, &request);
    cluster.commit(outcome);
    let mut replayed = Image::default();
    let mut again = Image::default();
    for (offset, record) in cluster.log.iter().enumerate() {
        replayed.apply(Offset(offset as i64), record).expect("applies");
        // Through its bytes, as a replay reads it.
        let bytes = record.clone().encode(*record.versions().end()).expect("encodes");
        again.apply(Offset(offset as i64), &MetadataRecord::decode(bytes).expect("decodes")).expect("applies");
    }
    assert_eq!(replayed, *cluster.image());
    assert_eq!(again, *cluster.image());
    assert!(replayed.topic("gone").is_none() && replayed.topic("a.b").is_some());
}

#[test]
fn a_record_that_does_not_fit_changes_nothing() {
    let mut image = Image::default();
    let id = Uuid([1; 16]);
    let bad: Vec<MetadataRecord> = vec![
        RemoveTopicRecord { topic_id: id }.into(),
        PartitionRecord { topic_id: id, ..PartitionRecord::default() }.into(),
        PartitionChangeRecord { topic_id: id, ..PartitionChangeRecord::default() }.into(),
        FenceBrokerRecord { id: 1, epoch: 2 }.into(),
        ClearElrRecord { topic_name: "t".into() }.into(),
        ConfigRecord { resource_type: 77, ..ConfigRecord::default() }.into(),
        AccessControlEntryRecord::default().into(),
    ];
    for record in bad {
        let error = image.apply(Offset(5), &record).expect_err("does not fit");
        assert_eq!((error.offset, error.record), (Offset(5), record.name()));
        assert_eq!(image, Image::default());
    }
}

#[test]
fn deleting_by_name_and_by_id() {
    let mut cluster = Cluster::of_one();
    let ids: Vec<Uuid> = ["a", "b", "c"].iter().map(|name| cluster.create(topic(name, 1, 1)).topic_id).collect();
    let by = |name: Option<&str>, id: Uuid| delete_topics_request::DeleteTopicState {
        name: name.map(Str::from),
        topic_id: id,
    };
    let request = DeleteTopicsRequest {
        topics: vec![
            by(Some("a"), Uuid::ZERO),
            by(None, ids[1]),
            by(Some("nobody"), Uuid::ZERO),
            by(None, Uuid([3; 16])),
            by(None, Uuid::ZERO),
            by(Some("c"), ids[2]),
        ],
        ..DeleteTopicsRequest::default()
    };
    let outcome = cluster.controller.decide_delete_topics(&cluster.config, 6, &request);
    let removed = |id| MetadataRecord::from(RemoveTopicRecord { topic_id: id });
    assert_eq!(outcome.records, [removed(ids[0]), removed(ids[1])]);
    let ResponseBody::DeleteTopics(response) = cluster.commit(outcome) else { panic!("another reply") };
    let codes: Vec<ErrorCode> = response.responses.iter().map(|it| ErrorCode::from_code(it.error_code)).collect();
    let expected = [
        ErrorCode::None,
        ErrorCode::None,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidRequest,
    ];
    assert_eq!(codes, expected);
    assert_eq!((&response.responses[1].name, response.responses[0].topic_id), (&Some("b".into()), ids[0]));

    // The same topic by its name and by its id, or twice by its name: not deleted.
    let request =
        DeleteTopicsRequest { topics: vec![by(Some("c"), Uuid::ZERO), by(None, ids[2])], ..Default::default() };
    assert_eq!(cluster.controller.decide_delete_topics(&cluster.config, 6, &request).records, []);
    let request = DeleteTopicsRequest { topic_names: vec!["c".into(), "c".into()], ..Default::default() };
    assert_eq!(cluster.controller.decide_delete_topics(&cluster.config, 5, &request).records, []);

    cluster.config.delete_topic_enable = false;
    let request = DeleteTopicsRequest { topic_names: vec!["c".into()], ..Default::default() };
    let outcome = cluster.controller.decide_delete_topics(&cluster.config, 5, &request);
    let ResponseBody::DeleteTopics(response) = outcome.reply else { panic!("another reply") };
    assert_eq!(response.responses[0].error_code, ErrorCode::TopicDeletionDisabled.code());
}

#[test]
fn a_topic_grows_but_never_shrinks() {
    let mut cluster = Cluster::of_three();
    cluster.create(topic("t", 2, 2));
    let mut grow = |count: i32, assignments: Option<Vec<Vec<i32>>>| {
        let assignment = |broker_ids| create_partitions_request::CreatePartitionsAssignment { broker_ids };
        let asked = create_partitions_request::CreatePartitionsTopic {
            name: "t".into(),
            count,
            assignments: assignments.map(|it| it.into_iter().map(assignment).collect()),
        };
        let request = CreatePartitionsRequest { topics: vec![asked], ..CreatePartitionsRequest::default() };
        let outcome = cluster.controller.decide_create_partitions(&mut cluster.random, &request);
        let ResponseBody::CreatePartitions(response) = cluster.commit(outcome) else { panic!("another reply") };
        let result = &response.results[0];
        let partitions = cluster.image().topic("t").expect("is there").partitions.len();
        (ErrorCode::from_code(result.error_code), result.error_message.clone().unwrap_or_default(), partitions)
    };
    assert_eq!(grow(2, None), (ErrorCode::InvalidPartitions, "Topic already has 2 partition(s).".into(), 2));
    let shrink = "The topic t currently has 2 partition(s); 1 would not be an increase.";
    assert_eq!(grow(1, None), (ErrorCode::InvalidPartitions, shrink.into(), 2));
    let few = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    assert_eq!(grow(4, Some(vec![vec![1, 2]])), (ErrorCode::InvalidReplicaAssignment, few.into(), 2));
    assert_eq!(grow(4, Some(vec![vec![1, 2], vec![2, 3]])), (ErrorCode::None, "".into(), 4));
    assert_eq!(grow(6, None), (ErrorCode::None, "".into(), 6));
}

#[test]
fn configurations_are_set_appended_and_removed() {
    let mut cluster = Cluster::of_one();
    cluster.create(topic("t", 1, 1));
    let mut alter = |kind: i8, name: &str, key: &str, operation: i8, value: Option<&str>| {
        let config = incremental_alter_configs_request::AlterableConfig {
            name: key.into(),
            config_operation: operation,
            value: value.map(Str::from),
        };
        let resource = incremental_alter_configs_request::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let outcome = cluster.controller.decide_incremental_alter_configs(Asked::Broker(&cluster.config), &request);
        let records: Vec<(Str, Option<Str>)> = outcome
            .records
            .iter()
            .filter_map(|record| match record {
                MetadataRecord::Config(it) => Some((it.name.clone(), it.value.clone())),
                _ => None,
            })
            .collect();
        let ResponseBody::IncrementalAlterConfigs(response) = cluster.commit(outcome) else { panic!("another reply") };
        let it = &response.responses[0];
        (ErrorCode::from_code(it.error_code), it.error_message.clone().unwrap_or_default(), records)
    };
    let done = |key: &str, value: Option<&str>| (ErrorCode::None, "".into(), vec![(key.into(), value.map(Str::from))]);
    let no = |code: ErrorCode, what: &str| (code, Str::from(what), vec![]);
    assert_eq!(alter(TOPIC, "t", "retention.ms", SET, Some("5")), done("retention.ms", Some("5")));
    assert_eq!(
        alter(TOPIC, "t", "retention.ms", SET, Some("5")),
        (ErrorCode::None, "".into(), vec![]),
        "is so already"
    );
    assert_eq!(
        alter(TOPIC, "t", "cleanup.policy", APPEND, Some("compact")),
        done("cleanup.policy", Some("delete,compact"))
    );
    assert_eq!(alter(TOPIC, "t", "cleanup.policy", SUBTRACT, Some("delete")), done("cleanup.policy", Some("compact")));
    assert_eq!(alter(TOPIC, "t", "retention.ms", DELETE, None), done("retention.ms", None));
    assert_eq!(alter(BROKER, "", "log.retention.ms", SET, Some("9")), done("log.retention.ms", Some("9")));
    assert_eq!(alter(BROKER, "1", "message.max.bytes", SET, Some("9")), done("message.max.bytes", Some("9")));
    let long = "\u{fffd}".repeat(11_000);
    let too_long = "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
    let refused = [
        (
            alter(TOPIC, "t", "retention.ms", APPEND, Some("5")),
            no(ErrorCode::InvalidConfig, "Can't APPEND to key retention.ms because its type is not LIST."),
        ),
        (
            alter(TOPIC, "t", "retention.ms", SET, None),
            no(ErrorCode::InvalidRequest, "Null value not supported for : retention.ms"),
        ),
        (
            alter(TOPIC, "nobody", "retention.ms", SET, Some("5")),
            no(ErrorCode::UnknownTopicOrPartition, "The topic 'nobody' does not exist."),
        ),
        (
            alter(TOPIC, "", "retention.ms", SET, Some("5")),
            no(ErrorCode::InvalidRequest, "Default topic resources are not allowed."),
        ),
        (alter(TOPIC, "t", "retention.ms", 7, Some("5")), no(ErrorCode::InvalidRequest, "Unknown operations type 7")),
        (
            alter(BROKER, "1", "node.id", SET, Some("5")),
            no(ErrorCode::InvalidRequest, "Cannot update these configs dynamically: [node.id]"),
        ),
        (
            alter(BROKER, "1", "listeners", SET, Some("PLAINTEXT://:1")),
            no(ErrorCode::InvalidRequest, "Cannot update these configs dynamically: [listeners]"),
        ),
        (
            alter(BROKER, "1", "listener.security.protocol.map", SET, Some("abc")),
            no(ErrorCode::InvalidRequest, "Cannot update these configs dynamically: [listener.security.protocol.map]"),
        ),
        (
            alter(BROKER, "1", "ssl.keystore.location", SET, Some("/nope")),
            no(
                ErrorCode::InvalidRequest,
                "These security configs can be dynamically updated only per-listener using the listener prefix: \
                 [ssl.keystore.location]",
            ),
        ),
        (
            alter(BROKER, "", "listeners", SET, Some("PLAINTEXT://:1")),
            no(
                ErrorCode::InvalidRequest,
                "Cannot update these configs at default cluster level, broker id must be specified: [listeners]",
            ),
        ),
        (
            alter(BROKER, "2", "message.max.bytes", SET, Some("5")),
            no(ErrorCode::InvalidRequest, "Unexpected broker id, expected 1, but received 2"),
        ),
        (
            alter(BROKER, "1", "min.insync.replicas", SET, Some("1")),
            no(ErrorCode::InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled."),
        ),
        // As long as text that is no UTF-8 becomes: more than a record can hold.
        (alter(BROKER, "", "x", SET, Some(&long)), no(ErrorCode::InvalidConfig, too_long)),
        (alter(BROKER, "", &long, SET, Some("1")), no(ErrorCode::InvalidConfig, too_long)),
        (alter(BROKER, "1", &long, DELETE, None), no(ErrorCode::InvalidConfig, too_long)),
        (alter(99, "x", "y", SET, Some("1")), no(ErrorCode::InvalidRequest, "Unknown resource type 99")),
    ];
    for (answer, expected) in refused {
        assert_eq!(answer, expected);
    }
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut cluster = Cluster::with(&[]);
    let epoch = cluster.start_broker(1);
    for start in [0, 1000, 2000] {
        let request = AllocateProducerIdsRequest { broker_id: 1, broker_epoch: epoch };
        let outcome = cluster.controller.decide_allocate_producer_ids(&request);
        let ResponseBody::AllocateProducerIds(response) = cluster.commit(outcome) else { panic!("another reply") };
        assert_eq!((response.error_code, response.producer_id_start, response.producer_id_len), (0, start, 1000));
    }
    let stale = AllocateProducerIdsRequest { broker_id: 1, broker_epoch: epoch - 1 };
    let outcome = cluster.controller.decide_allocate_producer_ids(&stale);
    let ResponseBody::AllocateProducerIds(response) = outcome.reply else { panic!("another reply") };
    assert_eq!((outcome.records.len(), response.error_code), (0, ErrorCode::StaleBrokerEpoch.code()));
}

/// The records that Apache Kafka 4.3.1 writes when a single node with one topic is stopped, and started again.
#[test]
fn a_clean_stop_keeps_the_broker_eligible() {
    let mut cluster = Cluster::with(&[]);
    let epoch = cluster.start_broker(1);
    cluster.create(topic("t", 1, 1));
    let mark = cluster.log.len();
    let request = BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: epoch,
        current_metadata_offset: i64::MAX,
        want_shut_down: true,
        ..BrokerHeartbeatRequest::default()
    };
    let response = cluster.heartbeat(request);
    assert!(response.should_shut_down && response.is_fenced);
    let id = cluster.image().topic("t").expect("is there").id;
    let registration = |fenced, in_controlled_shutdown| {
        let record = BrokerRegistrationChangeRecord {
            broker_id: 1,
            broker_epoch: epoch,
            fenced,
            in_controlled_shutdown,
            ..BrokerRegistrationChangeRecord::default()
        };
        MetadataRecord::from(record)
    };
    let gone = PartitionChangeRecord {
        topic_id: id,
        partition_id: 0,
        isr: Some(vec![]),
        leader: -1,
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![1]),
        ..PartitionChangeRecord::default()
    };
    assert_eq!(cluster.log[mark..], [registration(0, 1), gone.into(), registration(1, 0)]);

    let mark = cluster.log.len();
    let again = cluster.register(1, 50, epoch).broker_epoch;
    assert_eq!(again, mark as i64, "the offset of its record");
    let request = BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: again,
        current_metadata_offset: again,
        ..BrokerHeartbeatRequest::default()
    };
    assert!(!cluster.heartbeat(request).is_fenced);
    let back = PartitionChangeRecord {
        topic_id: id,
        partition_id: 0,
        isr: Some(vec![1]),
        leader: 1,
        eligible_leader_replicas: Some(vec![]),
        last_known_elr: Some(vec![]),
        ..PartitionChangeRecord::default()
    };
    assert_eq!(cluster.log[mark + 2..], [back.into()]);
    let partition = cluster.image().partition("t", 0).expect("is there");
    assert_eq!(
        (partition.leader, partition.leader_epoch, partition.recovering),
        (Some(NodeId(1)), LeaderEpoch(2), false)
    );
}

/// And when it is killed: what it had not synced may be lost, so it leads as the last known leader only.
#[test]
fn a_killed_broker_is_the_last_known_leader() {
    let mut cluster = Cluster::with(&[]);
    cluster.start_broker(1);
    cluster.create(topic("t", 1, 1));
    let epoch = cluster.register(1, 50, -1).broker_epoch;
    let partition = cluster.image().partition("t", 0).expect("is there").clone();
    assert_eq!((partition.leader, &partition.isr[..], &partition.elr[..]), (None, &[][..], &[][..]));
    assert_eq!(partition.last_known_elr, [NodeId(1)]);
    assert!(cluster.image().broker(NodeId(1)).is_some_and(|it| it.fenced && it.epoch == epoch));
    let request = BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: epoch,
        current_metadata_offset: epoch,
        ..BrokerHeartbeatRequest::default()
    };
    cluster.heartbeat(request);
    let partition = cluster.image().partition("t", 0).expect("is there");
    assert_eq!(
        (partition.leader, partition.leader_epoch, partition.recovering),
        (Some(NodeId(1)), LeaderEpoch(2), true)
    );
}

#[test]
fn a_broker_is_unfenced_when_it_has_caught_up() {
    let mut cluster = Cluster::with(&[]);
    let epoch = cluster.register(1, 1, -1).broker_epoch;
    let mut beat = |offset| {
        let request = BrokerHeartbeatRequest {
            broker_id: 1,
            broker_epoch: epoch,
            current_metadata_offset: offset,
            ..BrokerHeartbeatRequest::default()
        };
        cluster.heartbeat(request).is_fenced
    };
    assert!(beat(epoch - 1));
    assert!(!beat(epoch));
}

#[test]
fn two_brokers_with_one_id_are_refused() {
    let mut cluster = Cluster::of_three();
    let answer = cluster.register(2, 99, -1);
    assert_eq!(answer.error_code, ErrorCode::DuplicateBrokerRegistration.code());
    assert_eq!(cluster.register(2, 2, -1).error_code, 0, "the same process asks again");
}
