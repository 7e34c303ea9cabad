//! The keys of a node's configuration.
//! Names, types, defaults and bounds are Apache Kafka 4.3's; the sentences are ours.

use super::definition::Definition;
use super::definition::Kind::{Boolean, Class, Double, Int, List, Long, Password, Short, String};
use super::definition::Rule::{
    Any, AtLeast, Between, EachOf, GzipLevel, HostCounts, NotEmpty, OneOf, OneOfIgnoringCase, Ratio,
};
use super::idle::Idle;

/// All keys of a node's configuration, in order of name.
pub const BROKER_KEYS: &[Definition] = &[
    Definition::new("add.partitions.to.txn.retry.backoff.max.ms", Int, Some("100"), AtLeast(0)).idle(Idle::Transactions),
    Definition::new("add.partitions.to.txn.retry.backoff.ms", Int, Some("20"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("advertised.listeners", List, None, Any)
        .doc("Where clients and other nodes are told to connect; the listeners themselves if not set."),
    Definition::new("alter.config.policy.class.name", Class, None, Any).idle(Idle::Classes),
    Definition::new("alter.log.dirs.replication.quota.window.num", Int, Some("11"), AtLeast(1)).idle(Idle::Paced),
    Definition::new("alter.log.dirs.replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1)).idle(Idle::Paced),
    Definition::new("authorizer.class.name", String, Some(""), Any).idle(Idle::Security),
    Definition::new("auto.create.topics.enable", Boolean, Some("true"), Any)
        .doc("Whether a topic that a client asks for is created on the spot."),
    Definition::new("auto.leader.rebalance.enable", Boolean, Some("true"), Any)
        .doc("Whether the controller gives leaderships back to the first replicas now and then."),
    Definition::new("background.threads", Int, Some("10"), AtLeast(1)).cluster_wide().idle(Idle::Threads),
    Definition::new("broker.heartbeat.interval.ms", Int, Some("2000"), Any)
        .doc("Milliseconds between a broker's heartbeats to the controller."),
    Definition::new("broker.id", Int, Some("-1"), Any).doc("The node's number; node.id is the name to use."),
    Definition::new("broker.rack", String, None, Any)
        .doc("The rack of this broker, shown to clients and used to spread replicas."),
    Definition::new("broker.session.timeout.ms", Int, Some("9000"), Any)
        .doc("Milliseconds without a heartbeat after which a broker is fenced."),
    Definition::new("client.quota.callback.class", Class, None, Any).idle(Idle::Quotas),
    Definition::new("compression.gzip.level", Int, Some("-1"), GzipLevel)
        .cluster_wide()
        .doc("The level of gzip, or -1 for its default."),
    Definition::new("compression.lz4.level", Int, Some("9"), Between(1, 17))
        .cluster_wide()
        .doc("The level of lz4."),
    Definition::new(
        "compression.type",
        String,
        Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
    )
    .cluster_wide()
    .doc("The compression in the log: producer keeps what was sent."),
    Definition::new("compression.zstd.level", Int, Some("3"), Between(-131_072, 22))
        .cluster_wide()
        .doc("The level of zstd."),
    Definition::new("config.providers", List, Some(""), Any).cluster_wide().idle(Idle::Classes),
    Definition::new("connection.failed.authentication.delay.ms", Int, Some("100"), AtLeast(0)).idle(Idle::Security),
    Definition::new("connections.max.idle.ms", Long, Some("600000"), Any)
        .doc("Milliseconds after which an idle connection is closed."),
    Definition::new("connections.max.reauth.ms", Long, Some("0"), Any).idle(Idle::Security),
    Definition::new("controlled.shutdown.enable", Boolean, Some("true"), Any)
        .doc("Whether a broker that is asked to stop has the controller move its leaderships away before."),
    Definition::new("controller.listener.names", List, None, Any)
        .doc("The listeners on which controllers talk to nodes."),
    Definition::new("controller.performance.always.log.threshold.ms", Long, Some("2000"), AtLeast(0)).internal().idle(Idle::Metrics),
    Definition::new("controller.performance.sample.period.ms", Long, Some("60000"), AtLeast(100)).internal().idle(Idle::Metrics),
    Definition::new("controller.quorum.append.linger.ms", Int, Some("25"), AtLeast(0))
        .doc("If set: milliseconds for which the controller's decisions wait for others that are appended with them."),
    Definition::new("controller.quorum.auto.join.enable", Boolean, Some("false"), Any)
        .doc("A controller that is no voter asks to become one."),
    Definition::new("controller.quorum.bootstrap.servers", List, Some(""), Any)
        .doc("Where a node finds the metadata quorum."),
    Definition::new("controller.quorum.election.backoff.max.ms", Int, Some("1000"), AtLeast(0)),
    Definition::new("controller.quorum.election.timeout.ms", Int, Some("1000"), AtLeast(0)),
    Definition::new("controller.quorum.fetch.max.bytes", Int, Some("1048576"), AtLeast(1)),
    Definition::new("controller.quorum.fetch.snapshot.max.bytes", Int, Some("1048576"), AtLeast(1)),
    Definition::new("controller.quorum.fetch.timeout.ms", Int, Some("2000"), AtLeast(0)),
    Definition::new("controller.quorum.request.timeout.ms", Int, Some("2000"), AtLeast(0)),
    Definition::new("controller.quorum.retry.backoff.ms", Int, Some("20"), AtLeast(0)),
    Definition::new("controller.quorum.voters", List, Some(""), Any)
        .doc("The voters of the metadata quorum as id@host:port."),
    Definition::new("controller.quota.window.num", Int, Some("11"), AtLeast(1)).idle(Idle::Quotas),
    Definition::new("controller.quota.window.size.seconds", Int, Some("1"), AtLeast(1)).idle(Idle::Quotas),
    Definition::new("controller.socket.timeout.ms", Int, Some("30000"), Any)
        .doc("How long a node waits for the controller's answer."),
    Definition::new("cordoned.log.dirs", List, Some(""), Any)
        .per_broker()
        .doc("Of log.dirs those that get no new replicas, or * for all."),
    Definition::new("create.topic.policy.class.name", Class, None, Any).idle(Idle::Classes),
    Definition::new("default.replication.factor", Int, Some("1"), Any)
        .doc("How many replicas a topic gets when its creator does not say."),
    Definition::new("delegation.token.expiry.check.interval.ms", Long, Some("3600000"), AtLeast(1)).idle(Idle::Security),
    Definition::new("delegation.token.expiry.time.ms", Long, Some("86400000"), AtLeast(1)).idle(Idle::Security),
    Definition::new("delegation.token.max.lifetime.ms", Long, Some("604800000"), AtLeast(1)).idle(Idle::Security),
    Definition::new("delegation.token.secret.key", Password, None, Any).idle(Idle::Security),
    Definition::new("delete.records.purgatory.purge.interval.requests", Int, Some("1"), Any).idle(Idle::Purgatories),
    Definition::new("delete.topic.enable", Boolean, Some("true"), Any).doc("Whether topics may be deleted."),
    Definition::new("early.start.listeners", List, None, Any).idle(Idle::Security),
    Definition::new("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024))
        .doc("The most bytes that one fetch is answered with, at least one batch aside."),
    Definition::new("fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any).idle(Idle::Purgatories),
    Definition::new("follower.fetch.last.tiered.offset.enable", Boolean, Some("false"), Any).cluster_wide().idle(Idle::Tiers),
    Definition::new("follower.replication.throttled.rate", Long, Some("9223372036854775807"), AtLeast(0))
        .cluster_wide()
        .internal(),
    Definition::new("group.consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0))
        .cluster_wide()
        .doc("At least so many milliseconds are between two assignments of a consumer group."),
    Definition::new("group.consumer.assignors", List, Some("uniform,range"), Any)
        .doc("The assignors that members of consumer groups may ask for; the first is taken if they ask for none."),
    Definition::new("group.consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1))
        .doc("Milliseconds between the heartbeats of members of consumer groups."),
    Definition::new("group.consumer.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0))
        .doc("The most that a group's consumer.assignment.interval.ms may be."),
    Definition::new("group.consumer.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1))
        .doc("The most that a group's consumer.heartbeat.interval.ms may be."),
    Definition::new("group.consumer.max.session.timeout.ms", Int, Some("60000"), AtLeast(1))
        .doc("The most that a group's consumer.session.timeout.ms may be."),
    Definition::new("group.consumer.max.size", Int, Some("2147483647"), AtLeast(1))
        .doc("How many members a consumer group may have."),
    Definition::new(
        "group.consumer.migration.policy",
        String,
        Some("bidirectional"),
        OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
    )
    .doc("Whether groups with members may change between the classic and the consumer protocol."),
    Definition::new("group.consumer.min.assignment.interval.ms", Int, Some("0"), AtLeast(0))
        .doc("The least that a group's consumer.assignment.interval.ms may be."),
    Definition::new("group.consumer.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1))
        .doc("The least that a group's consumer.heartbeat.interval.ms may be."),
    Definition::new("group.consumer.min.session.timeout.ms", Int, Some("45000"), AtLeast(1))
        .doc("The least that a group's consumer.session.timeout.ms may be."),
    Definition::new("group.consumer.regex.refresh.interval.ms", Int, Some("600000"), AtLeast(10_000))
        .internal()
        .doc("Milliseconds after which the regular expressions of a consumer group are looked up again."),
    Definition::new("group.consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1))
        .doc("A member of a consumer group that is silent for so many milliseconds is out."),
    Definition::new("group.coordinator.append.linger.ms", Int, Some("-1"), AtLeast(-1)).idle(Idle::Batches),
    Definition::new("group.coordinator.background.threads", Int, Some("2"), AtLeast(1)).idle(Idle::Threads),
    Definition::new("group.coordinator.cached.buffer.max.bytes", Int, Some("1048588"), AtLeast(524_288))
        .cluster_wide()
        .idle(Idle::Batches),
    Definition::new(
        "group.coordinator.rebalance.protocols",
        List,
        Some("classic,consumer,streams"),
        EachOf(&["consumer", "classic", "share", "streams"]),
    )
    .doc("The protocols of groups that are served; of those, classic and consumer are."),
    Definition::new("group.coordinator.threads", Int, Some("4"), AtLeast(1)).idle(Idle::Threads),
    Definition::new("group.initial.rebalance.delay.ms", Int, Some("3000"), Any)
        .doc("Milliseconds that a new group waits for more members before its first rebalance ends."),
    Definition::new("group.max.session.timeout.ms", Int, Some("1800000"), Any)
        .doc("The longest session that a member of a group may ask for."),
    Definition::new("group.max.size", Int, Some("2147483647"), AtLeast(1))
        .doc("How many members a group may have."),
    Definition::new("group.min.session.timeout.ms", Int, Some("6000"), Any)
        .doc("The shortest session that a member of a group may ask for."),
    Definition::new("group.share.assignment.interval.ms", Int, Some("1000"), AtLeast(0)).cluster_wide().idle(Idle::ShareGroups),
    Definition::new("group.share.assignors", List, Some("simple"), Any).idle(Idle::ShareGroups),
    Definition::new("group.share.delivery.count.limit", Int, Some("5"), Between(2, 10)).idle(Idle::ShareGroups),
    Definition::new("group.share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.initialize.retry.interval.ms", Int, Some("30000"), AtLeast(1)).internal().idle(Idle::ShareGroups),
    Definition::new("group.share.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.delivery.count.limit", Int, Some("10"), Between(5, 25)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.partition.max.record.locks", Int, Some("4000"), Between(2000, 10_000)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.record.lock.duration.ms", Int, Some("60000"), Between(30_000, 3_600_000)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.session.timeout.ms", Int, Some("60000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.share.sessions", Int, Some("2000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.max.size", Int, Some("200"), Between(1, 1000)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.assignment.interval.ms", Int, Some("0"), AtLeast(0)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.delivery.count.limit", Int, Some("2"), Between(2, 5)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.partition.max.record.locks", Int, Some("100"), Between(100, 2000)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.record.lock.duration.ms", Int, Some("15000"), Between(1000, 30_000)).idle(Idle::ShareGroups),
    Definition::new("group.share.min.session.timeout.ms", Int, Some("45000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.share.partition.max.record.locks", Int, Some("2000"), Between(100, 10_000)).idle(Idle::ShareGroups),
    Definition::new(
        "group.share.persister.class.name",
        String,
        Some("org.apache.kafka.server.share.persister.DefaultStatePersister"),
        Any,
    )
    .internal()
    .idle(Idle::ShareGroups),
    Definition::new("group.share.record.lock.duration.ms", Int, Some("30000"), Between(1000, 3_600_000)).idle(Idle::ShareGroups),
    Definition::new("group.share.session.timeout.ms", Int, Some("45000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("group.streams.assignment.interval.ms", Int, Some("1000"), AtLeast(0)).cluster_wide().idle(Idle::StreamsGroups),
    Definition::new("group.streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.initial.rebalance.delay.ms", Int, Some("3000"), AtLeast(0)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.max.session.timeout.ms", Int, Some("60000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.max.size", Int, Some("2147483647"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.max.standby.replicas", Int, Some("2"), AtLeast(0)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.min.assignment.interval.ms", Int, Some("0"), AtLeast(0)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.min.session.timeout.ms", Int, Some("45000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.num.standby.replicas", Int, Some("0"), AtLeast(0)).idle(Idle::StreamsGroups),
    Definition::new("group.streams.session.timeout.ms", Int, Some("45000"), AtLeast(1)).idle(Idle::StreamsGroups),
    Definition::new("initial.broker.registration.timeout.ms", Int, Some("60000"), Any)
        .doc("Milliseconds within which a broker that starts must be registered, or it stops."),
    Definition::new("inter.broker.listener.name", String, None, Any)
        .doc("The listener on which brokers talk to each other."),
    Definition::new("internal.metadata.delete.delay.millis", Long, Some("60000"), Any)
        .internal()
        .doc("Milliseconds before a file is removed that is no longer part of the metadata log."),
    Definition::new("internal.metadata.log.segment.bytes", Int, None, Any).internal(),
    Definition::new("internal.metadata.max.batch.size.in.bytes", Int, Some("8388608"), Any).internal().idle(Idle::Batches),
    Definition::new("kafka.metrics.polling.interval.secs", Int, Some("10"), AtLeast(1)).idle(Idle::Metrics),
    Definition::new("kafka.metrics.reporters", List, Some(""), Any).idle(Idle::Metrics),
    Definition::new("leader.imbalance.check.interval.seconds", Long, Some("300"), AtLeast(1))
        .doc("Seconds between two looks of the controller at leaderships that could go back to the first replicas."),
    Definition::new("leader.replication.throttled.rate", Long, Some("9223372036854775807"), AtLeast(0))
        .cluster_wide()
        .internal(),
    Definition::new(
        "listener.security.protocol.map",
        String,
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any,
    )
    .per_broker()
    .doc("The security protocol of each listener."),
    Definition::new("listeners", List, Some("PLAINTEXT://:9092"), Any)
        .per_broker()
        .doc("Where this node listens, as NAME://host:port."),
    Definition::new("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0))
        .cluster_wide()
        .doc("How long the cleaner rests when no log is dirty enough."),
    Definition::new("log.cleaner.dedupe.buffer.size", Long, Some("134217728"), Any)
        .cluster_wide()
        .doc("Bytes for the keys of the logs that are cleaned, of all threads together."),
    Definition::new("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0))
        .cluster_wide()
        .doc("Milliseconds for which a compacted topic keeps tombstones."),
    Definition::new("log.cleaner.enable", Boolean, Some("true"), Any)
        .doc("Whether compacted topics are cleaned at all."),
    Definition::new("log.cleaner.io.buffer.load.factor", Double, Some("0.9"), Any)
        .cluster_wide()
        .doc("How full the buffer for keys may be, from 0 to 1."),
    Definition::new("log.cleaner.io.buffer.size", Int, Some("524288"), AtLeast(0))
        .cluster_wide()
        .doc("Bytes that the cleaner reads and writes at once, of all threads together, each twice its share."),
    Definition::new("log.cleaner.io.max.bytes.per.second", Double, Some("1.7976931348623157E308"), Any)
        .cluster_wide()
        .doc("Bytes a second that the cleaner may read and write, all threads together."),
    Definition::new("log.cleaner.max.compaction.lag.ms", Long, Some("9223372036854775807"), AtLeast(1))
        .cluster_wide()
        .doc("The longest time for which a record may stay uncompacted."),
    Definition::new("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Ratio("1"))
        .cluster_wide()
        .doc("The share of a log that must be dirty before it is compacted."),
    Definition::new("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0))
        .cluster_wide()
        .doc("The shortest time for which a record stays uncompacted."),
    Definition::new("log.cleaner.threads", Int, Some("1"), AtLeast(0))
        .cluster_wide()
        .doc("How many logs are cleaned at once."),
    Definition::new("log.cleanup.policy", List, Some("delete"), EachOf(&["compact", "delete"]))
        .cluster_wide()
        .doc("What happens to old segments: delete, compact, or both."),
    Definition::new("log.dir", List, Some("/tmp/kafka-logs"), Any)
        .doc("The directory for the logs; log.dirs comes first."),
    Definition::new("log.dir.failure.timeout.ms", Long, Some("30000"), AtLeast(1))
        .doc("Milliseconds after which a broker stops that does not vote and could tell no controller of a lost directory."),
    Definition::new("log.dirs", List, None, Any).doc("The directories for the logs, separated by commas."),
    Definition::new("log.flush.interval.messages", Long, Some("9223372036854775807"), AtLeast(1))
        .cluster_wide()
        .doc("How many records may be written before they are forced to disk."),
    Definition::new("log.flush.interval.ms", Long, None, Any)
        .cluster_wide()
        .doc("How long a record may be written before it is forced to disk."),
    Definition::new("log.flush.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0))
        .doc("If set: milliseconds between writes of the recovery points, which are else written with the high watermarks."),
    Definition::new("log.flush.scheduler.interval.ms", Long, Some("9223372036854775807"), Any)
        .doc("How often the logs are looked at for what must be forced to disk."),
    Definition::new("log.flush.start.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0))
        .doc("Milliseconds between writes of the logs' start offsets.")
        .idle(Idle::AtOnce),
    Definition::new("log.index.interval.bytes", Int, Some("4096"), AtLeast(0))
        .cluster_wide()
        .doc("Bytes of records between two entries of the offset index."),
    Definition::new("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4))
        .cluster_wide()
        .doc("The largest size of an index file."),
    Definition::new("log.initial.task.delay.ms", Long, Some("30000"), AtLeast(0))
        .internal()
        .doc("If set: milliseconds from the start to the first retention, flush by age and checkpoint."),
    Definition::new("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2)).cluster_wide().idle(Idle::Tiers),
    Definition::new("log.local.retention.ms", Long, Some("-2"), AtLeast(-2)).cluster_wide().idle(Idle::Tiers),
    Definition::new("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0))
        .cluster_wide()
        .doc("How far a record's timestamp may lie in the broker's future."),
    Definition::new("log.message.timestamp.before.max.ms", Long, Some("9223372036854775807"), AtLeast(0))
        .cluster_wide()
        .doc("How far a record's timestamp may lie in the broker's past."),
    Definition::new("log.message.timestamp.type", String, Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]))
        .cluster_wide()
        .doc("Whether a record carries the time of its creation or of its append."),
    Definition::new("log.preallocate", Boolean, Some("false"), Any)
        .cluster_wide()
        .doc("Whether room for a whole segment is set aside when it begins."),
    Definition::new("log.retention.bytes", Long, Some("-1"), Any)
        .cluster_wide()
        .doc("The size above which old segments of a partition are deleted; -1 for no bound."),
    Definition::new("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1))
        .doc("Milliseconds between two looks for segments to delete."),
    Definition::new("log.retention.hours", Int, Some("168"), Any)
        .doc("How long segments are kept, in hours; minutes and ms come first."),
    Definition::new("log.retention.minutes", Int, None, Any)
        .doc("How long segments are kept, in minutes; log.retention.ms comes first."),
    Definition::new("log.retention.ms", Long, None, Any)
        .cluster_wide()
        .doc("How long segments are kept, in milliseconds; -1 for ever."),
    Definition::new("log.roll.hours", Int, Some("168"), AtLeast(1))
        .doc("The age in hours at which a new segment begins; log.roll.ms comes first."),
    Definition::new("log.roll.jitter.hours", Int, Some("0"), AtLeast(0))
        .doc("The most by which a segment begins early, in hours, so that not all do at once."),
    Definition::new("log.roll.jitter.ms", Long, None, Any)
        .cluster_wide()
        .doc("The most by which a segment begins early, in milliseconds."),
    Definition::new("log.roll.ms", Long, None, Any)
        .cluster_wide()
        .doc("The age in milliseconds at which a new segment begins."),
    Definition::new("log.segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576))
        .cluster_wide()
        .doc("The size at which a new segment begins."),
    Definition::new("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0))
        .cluster_wide()
        .doc("Milliseconds before a file that is no longer part of a log is removed."),
    Definition::new("max.connection.creation.rate", Int, Some("2147483647"), AtLeast(0))
        .cluster_wide()
        .doc("How many connections may come in a second; those above it wait."),
    Definition::new("max.connections", Int, Some("2147483647"), AtLeast(0))
        .cluster_wide()
        .doc("How many connections there may be at a time."),
    Definition::new("max.connections.per.ip", Int, Some("2147483647"), AtLeast(0))
        .cluster_wide()
        .doc("How many connections one address may have at a time."),
    Definition::new("max.connections.per.ip.overrides", String, Some(""), HostCounts)
        .cluster_wide()
        .doc("How many connections some addresses or hosts may have instead, as host:number pairs."),
    Definition::new("max.incremental.fetch.session.cache.slots", Int, Some("1000"), AtLeast(0))
        .doc("How many incremental fetch sessions are remembered."),
    Definition::new("max.request.partition.size.limit", Int, Some("2000"), AtLeast(1))
        .doc("The most partitions that one answer to DescribeTopicPartitions holds."),
    Definition::new("message.max.bytes", Int, Some("1048588"), AtLeast(0))
        .cluster_wide()
        .doc("The largest record batch accepted, in bytes, after compression."),
    Definition::new("metadata.log.dir", String, None, Any)
        .doc("The directory of the metadata log; the first of log.dirs if not set."),
    Definition::new("metadata.log.max.record.bytes.between.snapshots", Long, Some("20971520"), AtLeast(1)),
    Definition::new("metadata.log.max.snapshot.interval.ms", Long, Some("3600000"), AtLeast(0)),
    Definition::new("metadata.log.segment.bytes", Int, Some("1073741824"), AtLeast(8_388_608))
        .doc("The size at which the metadata log begins a new segment."),
    Definition::new("metadata.log.segment.ms", Long, Some("604800000"), Any)
        .doc("The age in milliseconds at which the metadata log begins a new segment."),
    Definition::new("metadata.max.idle.interval.ms", Int, Some("500"), AtLeast(0))
        .doc("If set: milliseconds between records that say nothing in the metadata log; 0 for none."),
    Definition::new("metadata.max.retention.bytes", Long, Some("104857600"), Any),
    Definition::new("metadata.max.retention.ms", Long, Some("604800000"), Any),
    Definition::new("metric.reporters", List, Some("org.apache.kafka.common.metrics.JmxReporter"), Any)
        .cluster_wide()
        .idle(Idle::Metrics),
    Definition::new("metrics.num.samples", Int, Some("2"), AtLeast(1)).idle(Idle::Metrics),
    Definition::new("metrics.recording.level", String, Some("INFO"), Any).idle(Idle::Metrics),
    Definition::new("metrics.sample.window.ms", Long, Some("30000"), AtLeast(1)).idle(Idle::Metrics),
    Definition::new("min.insync.replicas", Int, Some("1"), AtLeast(1))
        .cluster_wide()
        .doc("How many replicas must be in sync for a write with acks=all."),
    Definition::new("node.id", Int, None, AtLeast(0)).doc("The node's number, unique in the cluster."),
    Definition::new("num.io.threads", Int, Some("8"), AtLeast(1)).cluster_wide().idle(Idle::Threads),
    Definition::new("num.network.threads", Int, Some("3"), AtLeast(1)).cluster_wide().idle(Idle::Threads),
    Definition::new("num.partitions", Int, Some("1"), AtLeast(1))
        .doc("How many partitions a topic gets when its creator does not say."),
    Definition::new("num.recovery.threads.per.data.dir", Int, Some("2"), AtLeast(1))
        .cluster_wide()
        .doc("How many threads load logs at the start, for each log directory."),
    Definition::new("num.replica.alter.log.dirs.threads", Int, None, Any)
        .doc("How many replicas are copied to other log directories at once; as many as there are directories if not set."),
    Definition::new("num.replica.fetchers", Int, Some("1"), AtLeast(1)).cluster_wide().idle(Idle::Threads),
    Definition::new("offset.metadata.max.bytes", Int, Some("4096"), Any)
        .doc("How long the text may be that a consumer commits with an offset."),
    Definition::new("offsets.commit.timeout.ms", Int, Some("5000"), AtLeast(1))
        .doc("Milliseconds after which a commit is refused that its replicas do not have."),
    Definition::new("offsets.load.buffer.size", Int, Some("5242880"), AtLeast(1))
        .doc("Bytes that a new coordinator reads at once, at most 1 MiB."),
    Definition::new("offsets.retention.check.interval.ms", Long, Some("600000"), AtLeast(1))
        .doc("Milliseconds between looks for offsets that are no longer kept."),
    Definition::new("offsets.retention.minutes", Int, Some("10080"), AtLeast(1))
        .doc("How long offsets are kept once a group has no members."),
    Definition::new("offsets.topic.compression.codec", Int, Some("0"), Any)
        .doc("How groups and offsets are compressed in their topic: 0 is not at all, then gzip, snappy, lz4, zstd."),
    Definition::new("offsets.topic.num.partitions", Int, Some("50"), AtLeast(1))
        .doc("Partitions of the topic of groups and offsets, when it is created."),
    Definition::new("offsets.topic.replication.factor", Short, Some("3"), AtLeast(1))
        .doc("Copies of the topic of groups and offsets, when it is created; 1 if it is not set and this node is the whole cluster."),
    Definition::new("offsets.topic.segment.bytes", Int, Some("104857600"), AtLeast(1))
        .doc("Segment size of the topic of groups and offsets, when it is created."),
    Definition::new(
        "principal.builder.class",
        Class,
        Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        Any,
    )
    .per_broker()
    .idle(Idle::Security),
    Definition::new("process.roles", List, None, EachOf(&["broker", "controller"]))
        .doc("What this node is: broker, controller or both."),
    Definition::new("producer.id.expiration.check.interval.ms", Int, Some("600000"), AtLeast(1)).internal(),
    Definition::new("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1))
        .cluster_wide()
        .doc("Milliseconds without a write after which a producer's state is forgotten."),
    Definition::new("producer.purgatory.purge.interval.requests", Int, Some("1000"), Any).idle(Idle::Purgatories),
    Definition::new("queued.max.request.bytes", Long, Some("-1"), Any)
        .doc("How many bytes of requests may be on their way in or to the disk before no further one is read; -1 for no bound."),
    Definition::new("queued.max.requests", Int, Some("500"), AtLeast(1))
        .doc("If set: how many batches of producers may be on their way to the disk before no further request is read."),
    Definition::new("quota.window.num", Int, Some("11"), AtLeast(1))
        .doc("How many windows of time the rate of new connections is measured in."),
    Definition::new("quota.window.size.seconds", Int, Some("1"), AtLeast(1)).doc("How long each of them is, in seconds."),
    Definition::new("remote.fetch.max.wait.ms", Int, Some("500"), AtLeast(1)).cluster_wide().idle(Idle::Tiers),
    Definition::new("remote.list.offsets.request.timeout.ms", Long, Some("30000"), AtLeast(1)).cluster_wide().idle(Idle::Tiers),
    Definition::new("remote.log.index.file.cache.total.size.bytes", Long, Some("1073741824"), AtLeast(1))
        .cluster_wide()
        .idle(Idle::Tiers),
    Definition::new("remote.log.index.file.cache.ttl.ms", Long, Some("900000"), AtLeast(-1)).internal().idle(Idle::Tiers),
    Definition::new("remote.log.manager.copier.thread.pool.size", Int, Some("10"), AtLeast(1)).cluster_wide().idle(Idle::Tiers),
    Definition::new("remote.log.manager.copy.max.bytes.per.second", Long, Some("9223372036854775807"), AtLeast(1))
        .cluster_wide()
        .idle(Idle::Tiers),
    Definition::new("remote.log.manager.copy.quota.window.num", Int, Some("11"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.manager.copy.quota.window.size.seconds", Int, Some("1"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.manager.expiration.thread.pool.size", Int, Some("10"), AtLeast(1))
        .cluster_wide()
        .idle(Idle::Tiers),
    Definition::new("remote.log.manager.fetch.max.bytes.per.second", Long, Some("9223372036854775807"), AtLeast(1))
        .cluster_wide()
        .idle(Idle::Tiers),
    Definition::new("remote.log.manager.fetch.quota.window.num", Int, Some("11"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.manager.fetch.quota.window.size.seconds", Int, Some("1"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.manager.follower.thread.pool.size", Int, Some("2"), AtLeast(1)).cluster_wide().idle(Idle::Tiers),
    Definition::new("remote.log.manager.task.interval.ms", Long, Some("30000"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.manager.task.retry.backoff.max.ms", Long, Some("30000"), AtLeast(1)).internal().idle(Idle::Tiers),
    Definition::new("remote.log.manager.task.retry.backoff.ms", Long, Some("500"), AtLeast(1)).internal().idle(Idle::Tiers),
    Definition::new("remote.log.manager.task.retry.jitter", Double, Some("0.2"), Ratio("0.5")).internal().idle(Idle::Tiers),
    Definition::new("remote.log.manager.thread.pool.size", Int, Some("2"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.metadata.custom.metadata.max.bytes", Int, Some("128"), AtLeast(0)).idle(Idle::Tiers),
    Definition::new(
        "remote.log.metadata.manager.class.name",
        String,
        Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        NotEmpty,
    )
    .idle(Idle::Tiers),
    Definition::new("remote.log.metadata.manager.class.path", String, None, Any).idle(Idle::Tiers),
    Definition::new("remote.log.metadata.manager.impl.prefix", String, Some("rlmm.config."), NotEmpty).idle(Idle::Tiers),
    Definition::new("remote.log.metadata.manager.listener.name", String, None, NotEmpty).idle(Idle::Tiers),
    Definition::new("remote.log.reader.max.pending.tasks", Int, Some("100"), AtLeast(1)).idle(Idle::Tiers),
    Definition::new("remote.log.reader.threads", Int, Some("10"), AtLeast(1)).cluster_wide().idle(Idle::Tiers),
    Definition::new("remote.log.storage.manager.class.name", String, None, NotEmpty).idle(Idle::Tiers),
    Definition::new("remote.log.storage.manager.class.path", String, None, Any).idle(Idle::Tiers),
    Definition::new("remote.log.storage.manager.impl.prefix", String, Some("rsm.config."), NotEmpty).idle(Idle::Tiers),
    Definition::new("remote.log.storage.system.enable", Boolean, Some("false"), Any).idle(Idle::Tiers),
    Definition::new("replica.alter.log.dirs.io.max.bytes.per.second", Long, Some("9223372036854775807"), AtLeast(0))
        .cluster_wide()
        .internal()
        .doc("The most bytes a second that replicas are copied with from one log directory to another."),
    Definition::new("replica.fetch.backoff.ms", Int, Some("1000"), AtLeast(0)),
    Definition::new("replica.fetch.max.bytes", Int, Some("1048576"), AtLeast(0)),
    Definition::new("replica.fetch.min.bytes", Int, Some("1"), Any),
    Definition::new("replica.fetch.response.max.bytes", Int, Some("10485760"), AtLeast(0)),
    Definition::new("replica.fetch.wait.max.ms", Int, Some("500"), Any),
    Definition::new("replica.high.watermark.checkpoint.interval.ms", Long, Some("5000"), Any),
    Definition::new("replica.lag.time.max.ms", Long, Some("30000"), Any),
    Definition::new("replica.selector.class", String, None, Any),
    Definition::new("replica.socket.receive.buffer.bytes", Int, Some("65536"), Any)
        .doc("If set: the receive buffer of the sockets on which replicas fetch; -1 for the system's default."),
    Definition::new("replica.socket.timeout.ms", Int, Some("30000"), Any),
    Definition::new("replication.quota.window.num", Int, Some("11"), AtLeast(1)),
    Definition::new("replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1)),
    Definition::new("request.timeout.ms", Int, Some("30000"), Any)
        .doc("How long a node waits for another node's answer."),
    Definition::new("sasl.client.callback.handler.class", Class, None, Any).idle(Idle::Security),
    Definition::new("sasl.enabled.mechanisms", List, Some("GSSAPI"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.jaas.config", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.kinit.cmd", String, Some("/usr/bin/kinit"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.min.time.before.relogin", Long, Some("60000"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.principal.to.local.rules", List, Some("DEFAULT"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.service.name", String, None, Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.ticket.renew.jitter", Double, Some("0.05"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.kerberos.ticket.renew.window.factor", Double, Some("0.8"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.login.callback.handler.class", Class, None, Any).idle(Idle::Security),
    Definition::new("sasl.login.class", Class, None, Any).idle(Idle::Security),
    Definition::new("sasl.login.connect.timeout.ms", Int, None, Any).idle(Idle::Security),
    Definition::new("sasl.login.read.timeout.ms", Int, None, Any).idle(Idle::Security),
    Definition::new("sasl.login.refresh.buffer.seconds", Short, Some("300"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.login.refresh.min.period.seconds", Short, Some("60"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.login.refresh.window.factor", Double, Some("0.8"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.login.refresh.window.jitter", Double, Some("0.05"), Any).per_broker().idle(Idle::Security),
    Definition::new("sasl.login.retry.backoff.max.ms", Long, Some("10000"), Any).idle(Idle::Security),
    Definition::new("sasl.login.retry.backoff.ms", Long, Some("100"), Any).idle(Idle::Security),
    Definition::new("sasl.mechanism.controller.protocol", String, Some("GSSAPI"), Any).idle(Idle::Security),
    Definition::new("sasl.mechanism.inter.broker.protocol", String, Some("GSSAPI"), Any).per_broker().idle(Idle::Security),
    Definition::new(
        "sasl.oauthbearer.assertion.algorithm",
        String,
        Some("RS256"),
        OneOfIgnoringCase(&["ES256", "RS256"]),
    )
    .idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.aud", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.exp.seconds", Int, Some("300"), Between(0, 86_400)).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.iss", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.jti.include", Boolean, Some("false"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.nbf.seconds", Int, Some("60"), Between(0, 3600)).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.claim.sub", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.file", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.private.key.file", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.private.key.passphrase", Password, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.assertion.template.file", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.client.credentials.client.id", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.client.credentials.client.secret", Password, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.clock.skew.seconds", Int, Some("30"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.expected.audience", List, Some(""), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.expected.issuer", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, Some("3600000"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, Some("10000"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, Some("100"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.jwks.endpoint.url", String, None, Any).idle(Idle::Security),
    Definition::new(
        "sasl.oauthbearer.jwt.retriever.class",
        Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Any,
    )
    .idle(Idle::Security),
    Definition::new(
        "sasl.oauthbearer.jwt.validator.class",
        Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Any,
    )
    .idle(Idle::Security),
    Definition::new("sasl.oauthbearer.scope", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.scope.claim.name", String, Some("scope"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.sub.claim.name", String, Some("sub"), Any).idle(Idle::Security),
    Definition::new("sasl.oauthbearer.token.endpoint.url", String, None, Any).idle(Idle::Security),
    Definition::new("sasl.server.callback.handler.class", Class, None, Any).idle(Idle::Security),
    Definition::new("sasl.server.max.receive.size", Int, Some("524288"), Any).idle(Idle::Security),
    Definition::new(
        "security.inter.broker.protocol",
        String,
        Some("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
    )
    .doc("The security protocol between brokers, when no listener is named for it."),
    Definition::new("security.providers", String, None, Any).idle(Idle::Security),
    Definition::new("server.max.startup.time.ms", Long, Some("9223372036854775807"), AtLeast(0)).internal().idle(Idle::Start),
    Definition::new("share.coordinator.append.linger.ms", Int, Some("-1"), AtLeast(-1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.cached.buffer.max.bytes", Int, Some("1048588"), AtLeast(524_288))
        .cluster_wide()
        .idle(Idle::ShareGroups),
    Definition::new("share.coordinator.cold.partition.snapshot.interval.ms", Int, Some("300000"), AtLeast(1))
        .internal()
        .idle(Idle::ShareGroups),
    Definition::new("share.coordinator.load.buffer.size", Int, Some("5242880"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.snapshot.update.records.per.snapshot", Int, Some("500"), Between(0, 500)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.compression.codec", Int, Some("0"), Any).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.min.isr", Short, Some("2"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.num.partitions", Int, Some("50"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.prune.interval.ms", Int, Some("300000"), AtLeast(1))
        .internal()
        .idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.replication.factor", Short, Some("3"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.state.topic.segment.bytes", Int, Some("104857600"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.threads", Int, Some("1"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.coordinator.write.timeout.ms", Int, Some("5000"), AtLeast(1)).idle(Idle::ShareGroups),
    Definition::new("share.fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any).idle(Idle::ShareGroups),
    Definition::new("socket.connection.setup.timeout.max.ms", Long, Some("30000"), Any)
        .doc("The longest that another node has to accept a connection, after it did not several times."),
    Definition::new("socket.connection.setup.timeout.ms", Long, Some("10000"), Any)
        .doc("Milliseconds that another node has to accept a connection; after each time that it did not, twice as many."),
    Definition::new("socket.listen.backlog.size", Int, Some("50"), AtLeast(1))
        .doc("How many connections may wait to be accepted."),
    Definition::new("socket.receive.buffer.bytes", Int, Some("102400"), Any)
        .doc("The sockets' receive buffer; -1 for the system's default."),
    Definition::new("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1))
        .doc("The largest request accepted, in bytes."),
    Definition::new("socket.send.buffer.bytes", Int, Some("102400"), Any)
        .doc("The sockets' send buffer; -1 for the system's default."),
    Definition::new("ssl.allow.dn.changes", Boolean, Some("false"), Any).idle(Idle::Security),
    Definition::new("ssl.allow.san.changes", Boolean, Some("false"), Any).idle(Idle::Security),
    Definition::new("ssl.cipher.suites", List, Some(""), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.client.auth", String, Some("none"), OneOf(&["required", "requested", "none"]))
        .per_broker()
        .idle(Idle::Security),
    Definition::new("ssl.enabled.protocols", List, Some("TLSv1.2,TLSv1.3"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.endpoint.identification.algorithm", String, Some("https"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.engine.factory.class", Class, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.key.password", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keymanager.algorithm", String, Some("SunX509"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keystore.certificate.chain", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keystore.key", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keystore.location", String, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keystore.password", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.keystore.type", String, Some("JKS"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.principal.mapping.rules", String, Some("DEFAULT"), Any).idle(Idle::Security),
    Definition::new("ssl.protocol", String, Some("TLSv1.3"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.provider", String, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.secure.random.implementation", String, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.trustmanager.algorithm", String, Some("PKIX"), Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.truststore.certificates", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.truststore.location", String, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.truststore.password", Password, None, Any).per_broker().idle(Idle::Security),
    Definition::new("ssl.truststore.type", String, Some("JKS"), Any).per_broker().idle(Idle::Security),
    Definition::new("telemetry.max.bytes", Int, Some("1048576"), AtLeast(1)).idle(Idle::Metrics),
    Definition::new("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"), AtLeast(1))
        .idle(Idle::Transactions),
    Definition::new("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.partition.verification.enable", Boolean, Some("true"), Any).cluster_wide().idle(Idle::Transactions),
    Definition::new("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"), AtLeast(1))
        .idle(Idle::Transactions),
    Definition::new("transaction.state.log.load.buffer.size", Int, Some("5242880"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.state.log.min.isr", Int, Some("2"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.state.log.num.partitions", Int, Some("50"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.state.log.replication.factor", Short, Some("3"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.state.log.segment.bytes", Int, Some("104857600"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("transaction.two.phase.commit.enable", Boolean, Some("false"), Any).idle(Idle::Transactions),
    Definition::new("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1)).idle(Idle::Transactions),
    Definition::new("unclean.leader.election.enable", Boolean, Some("false"), Any)
        .cluster_wide()
        .doc("Whether a replica that is not in sync may lead when no other is left, at the price of records."),
    Definition::new("unclean.leader.election.interval.ms", Long, Some("300000"), AtLeast(1))
        .internal()
        .doc("Milliseconds after which the controller looks again for partitions without a leader that may get an unclean one."),
    Definition::new("unstable.api.versions.enable", Boolean, Some("false"), Any).internal().idle(Idle::Unstable),
    Definition::new("unstable.feature.versions.enable", Boolean, Some("false"), Any).internal().idle(Idle::Unstable),
    Definition::new("vivarium.broker.session.reset.grace.ms", Int, Some("0"), AtLeast(0))
        .internal()
        .doc(
            "Milliseconds after which the controller knocks at the port of a broker whose connection broke; if that is \
             refused, the broker is fenced without waiting for broker.session.timeout.ms. Apache Kafka has no such key.",
        ),
];
