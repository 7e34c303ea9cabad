//! What was recorded from Apache Kafka agrees with what was generated from its definitions.

use protocol::messages::{GroupKey, GroupValue, MetadataRecord, SCHEMAS};
use protocol::support::{kafka_features, kafka_finalized_features, kafka_range};
use protocol::{ApiKey, ErrorCode};

#[test]
fn a_broker_advertises_what_can_be_decoded() {
    let mut advertised = 0;
    for api in ApiKey::ALL {
        assert_eq!(ApiKey::try_from(api.code()), Ok(api));
        let Some(range) = kafka_range(api) else { continue };
        advertised += 1;
        // KIP-896: Produce alone advertises versions that it refuses, for librdkafka would not compress without them.
        assert!(api.versions().start() <= range.start() || api == ApiKey::Produce, "{api}");
        assert!(api.versions().end() >= range.end(), "{api}");
    }
    assert_eq!(kafka_range(ApiKey::Produce), Some(0..=13));
    assert_eq!(ApiKey::Produce.versions(), 3..=13);
    // The controllers' own APIs are not a broker's.
    assert_eq!(kafka_range(ApiKey::BrokerHeartbeat), None);
    assert!(advertised > 60, "{advertised}");
}

#[test]
fn a_fresh_cluster_runs_at_levels_that_its_brokers_support() {
    for (name, level) in kafka_finalized_features() {
        let feature = kafka_features().iter().find(|it| it.name == *name);
        assert!(feature.is_some_and(|it| it.levels.contains(level)), "{name} {level}");
    }
    assert!(kafka_finalized_features().contains(&("metadata.version", 30)));
}

#[test]
fn error_codes_are_kafkas() {
    assert!(ErrorCode::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    for code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(code.code()), code);
    }
    assert_eq!(ErrorCode::OffsetOutOfRange.name(), "OFFSET_OUT_OF_RANGE");
    assert_eq!(ErrorCode::NotLeaderOrFollower.code(), 6);
    assert_eq!(ErrorCode::UnknownServerError.code(), -1);
    assert_eq!(ErrorCode::from_code(31_000), ErrorCode::UnknownServerError);
    assert!(ErrorCode::NotLeaderOrFollower.is_retriable() && !ErrorCode::InvalidTopicException.is_retriable());
}

#[test]
fn headers_follow_flexibility_save_for_api_versions() {
    assert_eq!((ApiKey::Produce.request_header_version(8), ApiKey::Produce.response_header_version(8)), (1, 0));
    assert_eq!((ApiKey::Produce.request_header_version(9), ApiKey::Produce.response_header_version(9)), (2, 1));
    assert_eq!((ApiKey::ApiVersions.request_header_version(3), ApiKey::ApiVersions.response_header_version(3)), (2, 0));
    assert_eq!(
        (ApiKey::SaslHandshake.request_header_version(1), ApiKey::SaslHandshake.response_header_version(1)),
        (1, 0)
    );
}

#[test]
fn records_are_read_by_their_type() {
    for schema in SCHEMAS {
        let key = schema.api_key;
        let found = match schema.kind {
            protocol::message::MessageKind::CoordinatorKey => key.and_then(GroupKey::schema),
            protocol::message::MessageKind::CoordinatorValue => key.and_then(GroupValue::schema),
            _ => continue,
        };
        // The coordinators number their records from 0, each its own.
        let of_group = found.is_some_and(|it| it.name == schema.name);
        let other = schema.name.starts_with("Transaction")
            || schema.name.starts_with("ShareSnapshot")
            || schema.name.starts_with("ShareUpdate");
        assert!(of_group || other, "{}", schema.name);
    }
    // Frame version 1, a type that does not exist.
    assert!(MetadataRecord::decode(vec![1, 0x7e, 0].into()).is_err());
    // A frame version that does not exist.
    assert!(MetadataRecord::decode(vec![2, 2, 0].into()).is_err());
}
