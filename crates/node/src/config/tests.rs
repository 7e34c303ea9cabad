use ordered::Map;

use protocol::messages::ConfigRecord;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::{ErrorCode, Offset};

use super::*;
use crate::controller::check_incremental_alter_at_broker;
use crate::image::ResourceType;

fn properties(pairs: &[(&str, &str)]) -> Map<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    Config::parse(&properties(pairs)).expect_err("the settings are refused").to_string()
}

const COMBINED: [(&str, &str); 5] = [
    ("process.roles", "broker,controller"),
    ("node.id", "7"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
    ("controller.listener.names", "CONTROLLER"),
    ("controller.quorum.bootstrap.servers", "127.0.0.1:9093"),
];

fn combined(extra: &[(&str, &str)]) -> Map<String, String> {
    let mut all = properties(&COMBINED);
    all.extend(properties(extra));
    all
}

#[test]
fn keys_are_in_order_and_their_defaults_fit() {
    for keys in [BROKER_KEYS, TOPIC_KEYS] {
        assert!(keys.is_sorted_by(|a, b| a.name < b.name));
        for key in keys {
            if let Some(default) = key.default {
                assert_eq!(key.check(default), Ok(()), "{}", key.name);
            }
        }
    }
    for key in TOPIC_KEYS {
        for (synonym, _) in topic_synonyms(key.name) {
            assert!(broker_key(synonym).is_some(), "{synonym}");
        }
    }
}

#[test]
fn nothing_set_is_a_single_node() {
    let (config, warnings) = Config::parse(&Map::new()).expect("defaults are valid");
    assert_eq!(warnings, []);
    assert_eq!((config.node_id, config.roles), (NodeId(1), Roles { broker: true, controller: true }));
    let listener = |host: &str| Listener {
        name: "PLAINTEXT".into(),
        host: host.into(),
        port: 9092,
        security: crate::image::SecurityProtocol::Plaintext,
    };
    assert_eq!(config.listeners, [listener("")]);
    assert_eq!(config.advertised_listeners, [listener("localhost")]);
    assert_eq!(config.log_dirs, ["/tmp/kafka-logs"]);
    assert_eq!((config.num_partitions, config.default_replication_factor), (1, 1));
}

#[test]
fn a_port_that_was_free_is_told_later() {
    let set = properties(&[("listeners", "PLAINTEXT://127.0.0.1:0")]);
    let (mut config, _) = Config::parse(&set).expect("valid");
    config.bound("PLAINTEXT", 40_001);
    assert_eq!((config.listeners[0].port, config.advertised_listeners[0].port), (40_001, 40_001));
}

#[test]
fn a_combined_node_as_kafka_documents_it() {
    let (config, warnings) = Config::parse(&combined(&[("broker.rack", "r1")])).expect("valid");
    assert_eq!(warnings, []);
    assert_eq!((config.node_id, config.rack.as_deref()), (NodeId(7), Some("r1")));
    assert_eq!(config.inter_broker_listener_name, "PLAINTEXT");
    assert!(config.is_controller_listener("CONTROLLER") && !config.is_controller_listener("PLAINTEXT"));
    assert_eq!(config.explicit("broker.id").map(Str::as_str), Some("7"), "each name of the id stands for the other");
}

#[test]
fn unknown_and_idle_keys_are_warnings() {
    let set = combined(&[("no.such.key", "1"), ("sasl.enabled.mechanisms", "PLAIN"), ("log.retention.ms", "5")]);
    let (_, warnings) = Config::parse(&set).expect("valid");
    let expected = [
        Warning::Unknown { key: "no.such.key".into() },
        Warning::NotActedOn { key: "sasl.enabled.mechanisms".into(), why: Idle::Security },
    ];
    assert_eq!(warnings, expected);
    assert_eq!(
        expected.map(|it| it.to_string()),
        [
            "no.such.key: no such configuration key; ignored",
            "sasl.enabled.mechanisms: accepted, but this version does not act on it yet: there is no TLS, no SASL and no authorizer yet"
        ]
    );
    for (key, is_idle) in [
        ("log.roll.jitter.ms", false),
        ("log.roll.jitter.hours", false),
        ("producer.id.expiration.check.interval.ms", false),
        ("internal.metadata.log.segment.bytes", false),
        ("max.connections", false),
        ("max.connections.per.ip", false),
        ("max.connection.creation.rate", false),
        ("max.connections.per.ip.overrides", false),
        ("queued.max.requests", false),
        ("queued.max.request.bytes", false),
        ("socket.connection.setup.timeout.ms", false),
        ("num.io.threads", true),
        ("socket.listen.backlog.size", false),
        ("socket.receive.buffer.bytes", false),
        ("socket.send.buffer.bytes", false),
        ("log.segment.delete.delay.ms", false),
        ("metadata.log.segment.ms", false),
        ("log.flush.offset.checkpoint.interval.ms", false),
        ("log.flush.start.offset.checkpoint.interval.ms", true),
    ] {
        assert_eq!(broker_key(key).map(|it| it.idle.is_some()), Some(is_idle), "{key}");
    }
    for key in ["segment.jitter.ms", "file.delete.delay.ms"] {
        assert_eq!(topic_key(key).map(|it| it.idle), Some(None));
    }
}

#[test]
fn each_reason_is_listed_once_and_stands_for_some_key() {
    let of_groups = || GROUP_KEYS.iter().filter_map(|it| group_key(it));
    let keys = || BROKER_KEYS.iter().chain(TOPIC_KEYS).copied().chain(of_groups());
    for why in Idle::ALL {
        let is_used = keys().any(|it| it.idle == Some(why));
        assert_eq!(is_used, why != Idle::OneListener, "{why:?}");
    }
    assert!(keys().filter_map(|it| it.idle).all(|it| Idle::ALL.contains(&it)));
}

#[test]
fn what_may_wait_and_who_may_come() {
    let config = |pairs: &[(&str, &str)]| Config::parse(&combined(pairs)).map(|it| it.0);
    let default = config(&[]).expect("valid");
    assert_eq!(default.queue(), Queue::default(), "only what is set holds requests back");
    assert_eq!(default.connection_setup(), Setup { first_ms: 10_000, most_ms: 30_000 });
    let limits = default.connections(&Image::default());
    assert_eq!((limits.most_of, limits.rate), (vec![], Rate { most: 2_147_483_647, windows: 11, window_ms: 1000 }));
    let set = config(&[
        ("queued.max.requests", "7"),
        ("queued.max.request.bytes", "200000000"),
        ("max.connections.per.ip.overrides", "10.0.0.1:5, ::1:3,some-host:-2"),
        ("max.connection.creation.rate", "9"),
        ("quota.window.num", "3"),
        ("quota.window.size.seconds", "2"),
    ])
    .expect("valid");
    assert_eq!(set.queue(), Queue { requests: Some(7), bytes: Some(200_000_000) });
    let limits = set.connections(&Image::default());
    let of = |host: &str, most: usize| (Str::from(host), most);
    assert_eq!(limits.most_of, [of("10.0.0.1", 5), of("::1", 3), of("some-host", 0)]);
    assert_eq!(limits.rate, Rate { most: 9, windows: 3, window_ms: 2000 });
    for (key, value, what) in [
        ("queued.max.request.bytes", "1", "must be larger or equal to socket.request.max.bytes"),
        ("max.connections.per.ip", "0", "can be set to zero only if"),
        ("max.connections.per.ip.overrides", "10.0.0.1", "expected host:number pairs"),
        ("max.connections.per.ip.overrides", "a b:1", "contains an address that is none"),
    ] {
        let error = config(&[(key, value)]).expect_err("refused").to_string();
        assert!(error.contains(what), "{error}");
    }
}

/// Files differ: what the broker that was asked can live with, another may not.
#[test]
fn a_broker_stays_open_to_somebody() {
    let (per_ip, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    let config = |pairs: &[(&str, &str)]| Config::parse(&combined(pairs)).expect("valid").0;
    let (few, more) = (config(&[(per_ip, "3")]), config(&[(overrides, "10.0.0.1:5")]));
    let mut image = Image::default();
    let asked = AlterConfigsResource {
        resource_type: ResourceType::Broker.id(),
        resource_name: Str::new(),
        configs: vec![AlterableConfig { name: per_ip.into(), value: Some("0".into()), ..AlterableConfig::default() }],
    };
    let check = |config: &Config, image: &Image| check_incremental_alter_at_broker(config, image, &asked);
    assert_eq!(check(&few, &image).expect_err("refused before it is passed on").code, ErrorCode::InvalidRequest);
    assert!(check(&more, &image).is_ok(), "its file lets somebody in");
    let record = ConfigRecord {
        resource_type: asked.resource_type,
        name: per_ip.into(),
        value: Some("0".into()),
        ..ConfigRecord::default()
    };
    image.apply(Offset(0), &record.into()).expect("it can be applied");
    assert_eq!((more.connections(&image).most_per_ip, more.connections(&image).most_of.len()), (0, 1));
    assert_eq!((few.connections(&image).most_per_ip, few.connections(&image).most_of), (3, vec![]), "as in its file");
}

#[test]
fn the_metadata_log_may_have_a_directory_of_its_own() {
    let dirs = |pairs: &[(&str, &str)]| {
        let config = Config::parse(&combined(pairs)).expect("valid").0;
        (
            config.log_dirs.iter().map(Str::as_str).collect::<Vec<_>>().join(" "),
            config.replica_dirs,
            config.metadata_log_dir,
        )
    };
    assert_eq!(dirs(&[("log.dirs", "/a,/b")]), ("/a /b".into(), 2, 0));
    assert_eq!(dirs(&[("log.dirs", "/a,/b"), ("metadata.log.dir", "/b")]), ("/a /b".into(), 2, 1));
    assert_eq!(dirs(&[("log.dirs", "/a,/b"), ("metadata.log.dir", "/c")]), ("/a /b /c".into(), 2, 2));
}

#[test]
fn sockets_are_as_the_file_says_or_the_system() {
    let sockets = |pairs: &[(&str, &str)]| Config::parse(&combined(pairs)).expect("valid").0.sockets();
    assert_eq!(sockets(&[]), Sockets::default());
    let set =
        [("socket.listen.backlog.size", "7"), ("socket.send.buffer.bytes", "9"), ("socket.receive.buffer.bytes", "-1")];
    assert_eq!(
        sockets(&set),
        Sockets { backlog: Some(7), send_bytes: Some(9), receive_bytes: None, replica_receive_bytes: None }
    );
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let table: &[(&[(&str, &str)], &str)] = &[
        (
            &[("num.partitions", "many")],
            "Invalid value many for configuration num.partitions: Not a number of type INT",
        ),
        (&[("num.partitions", "0")], "Invalid value 0 for configuration num.partitions: Value must be at least 1"),
        (
            &[("auto.create.topics.enable", "yes")],
            "Invalid value yes for configuration auto.create.topics.enable: Expected value to be either true or false",
        ),
        (
            &[("log.message.timestamp.type", "Now")],
            "Invalid value Now for configuration log.message.timestamp.type: String must be one of: CreateTime, LogAppendTime",
        ),
        (
            &[("log.cleanup.policy", "delete,forget")],
            "Invalid value forget for configuration log.cleanup.policy: String must be one of: compact, delete",
        ),
        (
            &[("compression.gzip.level", "10")],
            "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            &[("log.cleaner.min.cleanable.ratio", "1.5")],
            "Invalid value 1.5 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1",
        ),
        (
            &[("listeners", "PLAINTEXT:9092")],
            "Invalid value PLAINTEXT:9092 for configuration listeners: expected NAME://host:port",
        ),
        (
            &[("listeners", "PLAINTEXT://:9092,PLAINTEXT://:9093")],
            "Each listener must have a different name, listeners: PLAINTEXT://:9092,PLAINTEXT://:9093",
        ),
        (
            &[("listeners", "SSL://:9092")],
            "listeners=SSL://:9092: the security protocol SSL is not supported yet; use PLAINTEXT",
        ),
        (
            &[("listeners", "CLIENTS://:9092")],
            "No security protocol defined for listener CLIENTS: add it to listener.security.protocol.map",
        ),
        (
            &[("advertised.listeners", "PLAINTEXT://0.0.0.0:9092")],
            "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0: use a routable IP address or a host name",
        ),
        (
            &[("node.id", "1"), ("broker.id", "2")],
            "You must set `node.id` to the same value as `broker.id`: node.id is 1, broker.id is 2",
        ),
        (&[("controller.quorum.voters", "1@a:1,1@b:1")], "controller.quorum.voters names node 1 twice"),
        (
            &[("controller.quorum.voters", "2@a:1")],
            "If process.roles contains the 'controller' role, the node id 1 must be included in the set of voters \
             controller.quorum.voters=(2)",
        ),
        (&[("log.dirs", "/a,/a")], "Configuration 'log.dirs' values must not be duplicated: /a"),
    ];
    for (set, expected) in table {
        assert_eq!(refusal(set), *expected);
    }
    let secret = refusal(&[("sasl.login.refresh.buffer.seconds", "x"), ("ssl.key.password", "hunter2")]);
    assert!(!secret.contains("hunter2"));
}

#[test]
fn the_nodes_of_a_cluster_are_voters_brokers_or_both() {
    let cluster = |extra: &[(&str, &str)]| {
        let mut all = properties(&[
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.voters", "1@a:9093,2@b:9093,3@c:9093"),
        ]);
        all.extend(properties(extra));
        Config::parse(&all).map(|it| it.0).map_err(|it| it.to_string())
    };
    let both = [
        ("process.roles", "broker,controller"),
        ("node.id", "2"),
        ("listeners", "PLAINTEXT://b:9092,CONTROLLER://b:9093"),
    ];
    let config = cluster(&both).expect("combined");
    assert_eq!(config.voters.iter().map(|it| it.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(!config.is_alone() && Config::default().is_alone());
    let broker = [("process.roles", "broker"), ("node.id", "4"), ("listeners", "PLAINTEXT://d:9092")];
    assert_eq!(cluster(&broker).expect("a broker").roles, Roles { broker: true, controller: false });
    let controller = [("process.roles", "controller"), ("node.id", "1"), ("listeners", "CONTROLLER://a:9093")];
    assert_eq!(cluster(&controller).expect("a controller").roles, Roles { broker: false, controller: true });
    let mut voting_broker = broker;
    voting_broker[1].1 = "3";
    assert!(cluster(&voting_broker).expect_err("a broker votes").contains("must not be included in the set of voters"));
    let mut listening_controller = controller;
    listening_controller[2].1 = "CONTROLLER://a:9093,PLAINTEXT://a:9092";
    assert!(cluster(&listening_controller).expect_err("a controller serves").contains("must only contain KRaft"));
    let lonely = refusal(&[broker[0], broker[1], broker[2], ("controller.listener.names", "CONTROLLER")]);
    assert!(
        lonely.starts_with("process.roles=broker: controller.quorum.bootstrap.servers must name the controllers"),
        "{lonely}"
    );
}

/// A combined node whose bootstrap servers are itself is a quorum of its own until it is told otherwise.
#[test]
fn a_node_does_not_look_for_itself() {
    let parse = |listeners: &str, servers: &str| {
        let more = [("listeners", listeners), ("controller.quorum.bootstrap.servers", servers)];
        let (config, _) = Config::parse(&combined(&more)).expect("valid");
        (config.is_alone(), config.quorum.bootstrap_servers.len())
    };
    let own = "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093";
    let wild = "PLAINTEXT://:9092,CONTROLLER://:9093";
    let named = "PLAINTEXT://a:9092,CONTROLLER://A:9093";
    let six = "PLAINTEXT://[::1]:9092,CONTROLLER://[::1]:9093";
    for (listeners, server) in
        [(own, "localhost:9093"), (wild, "localhost:9093"), (named, "a:9093"), (six, "[::1]:9093")]
    {
        assert_eq!(parse(listeners, server), (true, 0), "{listeners} {server}");
        assert_eq!(parse(listeners, &format!("{server},b:9093,c:9093")), (false, 2), "{listeners} {server}");
    }
    for (listeners, server) in [
        (own, "127.0.0.1:9092"),
        (own, "127.0.0.2:9093"),
        (own, "127.0.0.1:9094"),
        (own, "other:9093"),
        (wild, "other:9093"),
        (named, "localhost:9093"),
    ] {
        assert_eq!(parse(listeners, server), (false, 1), "{listeners} {server}");
    }
    let advertised = [("advertised.listeners", "CONTROLLER://other:9093,PLAINTEXT://other:9092")];
    let all = [&advertised[..], &[("controller.quorum.bootstrap.servers", "other:9093")]].concat();
    assert!(Config::parse(&combined(&all)).expect("valid").0.is_alone());
    let broker = combined(&[
        ("process.roles", "broker"),
        ("listeners", "PLAINTEXT://a:9092"),
        ("controller.quorum.auto.join.enable", "true"),
    ]);
    let why = Config::parse(&broker).expect_err("it cannot vote").to_string();
    assert!(why.contains("only supported when process.roles contains the 'controller' role"), "{why}");
}

/// Kafka's effectiveAdvertisedControllerListeners: a controller that listens everywhere is where the voters have it, else at
/// the name of its machine, which the host finds out.
#[test]
fn who_listens_everywhere_is_where_the_others_find_it() {
    let advertised = |more: &[(&str, &str)]| {
        let mut config = Config::parse(&combined(more)).expect("valid").0;
        config.reached_by(&"machine".into());
        let hosts = config.advertised_listeners.iter().map(|it| format!("{}:{}", it.host, it.port));
        hosts.collect::<Vec<_>>().join(" ")
    };
    let wild = ("listeners", "PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093");
    let voters = ("controller.quorum.voters", "7@a:19093,8@b:9093");
    let servers = ("controller.quorum.bootstrap.servers", "a:9093,b:9093");
    assert_eq!(advertised(&[wild, servers]), "machine:9092 machine:9093");
    assert_eq!(advertised(&[wild, voters]), "machine:9092 a:19093");
    let named = ("advertised.listeners", "PLAINTEXT://clients:9092");
    assert_eq!(advertised(&[wild, servers, named]), "clients:9092 machine:9093");
    assert_eq!(advertised(&[wild, voters, named]), "clients:9092 a:19093");
    let both = ("advertised.listeners", "PLAINTEXT://clients:9092,CONTROLLER://own:9093");
    assert_eq!(advertised(&[wild, voters, both]), "clients:9092 own:9093");
    let two = [
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093,SECOND://:9094"),
        ("controller.listener.names", "CONTROLLER,SECOND"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT"),
        voters,
    ];
    assert_eq!(advertised(&two), "machine:9092 a:19093 machine:9094");
    let said = ("listeners", "PLAINTEXT://x:9092,CONTROLLER://y:9093");
    assert_eq!(advertised(&[said, voters]), "x:9092 y:9093");
}

#[test]
fn a_topic_inherits_the_first_synonym_that_is_set() {
    let (config, _) =
        Config::parse(&combined(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")])).expect("valid");
    let mut image = Image::default();
    let retention = |image: &Image| config.topic(image, "t").retention_ms;
    assert_eq!(retention(&image), 180_000, "minutes come before hours");
    let mut set = |kind: ResourceType, name: &str, key: &str, value: &str| {
        let record = protocol::messages::ConfigRecord {
            resource_type: kind.id(),
            resource_name: name.into(),
            name: key.into(),
            value: Some(value.into()),
        };
        image.apply(image.next_offset(), &record.into()).expect("applies");
        retention(&image)
    };
    assert_eq!(set(ResourceType::Broker, "", "log.retention.ms", "40"), 40, "for all brokers");
    assert_eq!(set(ResourceType::Broker, "7", "log.retention.ms", "30"), 30, "for this broker");
    assert_eq!(set(ResourceType::Broker, "8", "log.retention.ms", "20"), 30, "another broker's is no business of ours");
    assert_eq!(set(ResourceType::Topic, "t", "retention.ms", "10"), 10, "the topic's own");
    assert_eq!(config.topic(&image, "other").retention_ms, 30);
}

#[test]
fn properties_as_java_reads_them() {
    let text = "# comment\n! too\n\n  a=1\nb : 2\nc   3\nd\ne=x\\\n    y\\\\\nf\\=g = h\\u0041\\t.\ni=\\uD83D\\uDE00\r\nlast=1\rlast=2\nempty=\\\n";
    let read = parse_properties(text).expect("valid");
    let expected = [
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", ""),
        ("e", "xy\\"),
        ("empty", ""),
        ("f=g", "hA\t."),
        ("i", "\u{1f600}"),
        ("last", "2"),
    ];
    assert_eq!(read, properties(&expected));
    let error = parse_properties("a=1\nb=\\u00zz\n").expect_err("a bad escape");
    assert_eq!(error.to_string(), "line 2: malformed \\uXXXX escape in \"b=\\u00zz\"");
}
