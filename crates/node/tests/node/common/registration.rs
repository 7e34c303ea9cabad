//! A broker's request to be registered, as one sends it that has all of the cluster's features.

use protocol::Uuid;
use protocol::messages::{BrokerRegistrationRequest, broker_registration_request};

/// Of a broker that listens at a host and port.
pub(crate) fn registration(
    id: i32,
    cluster_id: &'static str,
    incarnation_id: Uuid,
    (host, port): (&'static str, u16),
    log_dirs: Vec<Uuid>,
) -> BrokerRegistrationRequest {
    BrokerRegistrationRequest {
        broker_id: id,
        cluster_id: cluster_id.into(),
        incarnation_id,
        listeners: vec![broker_registration_request::Listener {
            name: "PLAINTEXT".into(),
            host: host.into(),
            port,
            security_protocol: 0,
        }],
        features: protocol::support::kafka_features()
            .iter()
            .map(|it| broker_registration_request::Feature {
                name: it.name.into(),
                min_supported_version: *it.levels.start(),
                max_supported_version: *it.levels.end(),
            })
            .collect(),
        log_dirs,
        ..BrokerRegistrationRequest::default()
    }
}
