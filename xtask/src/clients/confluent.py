"""Cases for confluent-kafka: `python confluent.py HOST:PORT CASE`. An assertion that fails ends it with its traceback."""

import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

BROKER = {"bootstrap.servers": sys.argv[1]}
PATIENCE = 15


def create(topic, partitions, config=None):
    # The client must outlive its futures.
    admin = AdminClient(BROKER)
    admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(PATIENCE)


def produce(topic, records, **settings):
    """Writes (key, value, headers, timestamp, partition) and returns where each landed: (partition, offset)."""
    landed, failed = {}, []

    def report(index):
        def delivered(error, message):
            if error:
                failed.append(error)
            else:
                landed[index] = (message.partition(), message.offset())

        return delivered

    producer = Producer(BROKER | {"message.timeout.ms": 60000} | settings)
    for index, (key, value, headers, timestamp, partition) in enumerate(records):
        producer.produce(
            topic, value, key, partition, on_delivery=report(index), timestamp=timestamp, headers=headers
        )
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0, "some records were neither acked nor failed"
    assert not failed, failed
    return [landed[index] for index in range(len(records))]


def consume(assignment, count):
    consumer = Consumer(BROKER | {"group.id": "unused", "enable.auto.commit": False, "check.crcs": True})
    consumer.assign(assignment)
    found = []
    while len(found) < count:
        message = consumer.poll(PATIENCE)
        assert message is not None, f"{len(found)} of {count} records came"
        assert not message.error(), message.error()
        found.append(message)
    consumer.close()
    return found


def topics():
    admin = AdminClient(BROKER)
    create("confluent-topics", 3, {"retention.ms": "60000"})
    listed = admin.list_topics(timeout=PATIENCE).topics["confluent-topics"]
    assert sorted(listed.partitions) == [0, 1, 2], listed.partitions
    resource = ConfigResource(ResourceType.TOPIC, "confluent-topics")
    configs = admin.describe_configs([resource])[resource].result(PATIENCE)
    assert configs["retention.ms"].value == "60000", configs["retention.ms"]
    admin.create_partitions([NewPartitions("confluent-topics", 5)])["confluent-topics"].result(PATIENCE)
    listed = admin.list_topics(timeout=PATIENCE).topics["confluent-topics"]
    assert sorted(listed.partitions) == [0, 1, 2, 3, 4], listed.partitions
    admin.delete_topics(["confluent-topics"])["confluent-topics"].result(PATIENCE)
    assert "confluent-topics" not in admin.list_topics(timeout=PATIENCE).topics


def round_trip():
    create("confluent-round-trip", 1)
    written = [(f"k{it % 7}", f"value {it}" * (it % 50), [("n", str(it).encode()), ("none", None)], 1_000 + it, 0) for it in range(5_000)]
    settings = {"enable.idempotence": True, "linger.ms": 2, "batch.num.messages": 50, "compression.type": "lz4"}
    landed = produce("confluent-round-trip", written, **settings)
    assert landed == [(0, it) for it in range(len(written))], "records are acked at offsets in the order of sending"
    found = consume([TopicPartition("confluent-round-trip", 0, 0)], len(written))
    for index, (message, (key, value, headers, timestamp, _)) in enumerate(zip(found, written)):
        assert message.offset() == index
        assert message.key() == key.encode() and (message.value() or b"") == value.encode(), message
        assert message.headers() == headers, message.headers()
        assert message.timestamp()[1] == timestamp, message.timestamp()


def offsets_by_time():
    create("confluent-times", 1)
    produce("confluent-times", [("k", "v", [], stamp, 0) for stamp in (1_000, 3_000, 2_000, 4_000)])
    admin, partition = AdminClient(BROKER), TopicPartition("confluent-times", 0)
    # The earliest record whose timestamp is not before the one asked for, as Kafka answers.
    for spec, expected in [
        (OffsetSpec.earliest(), 0),
        (OffsetSpec.latest(), 4),
        (OffsetSpec.max_timestamp(), 3),
        (OffsetSpec.for_timestamp(1_000), 0),
        (OffsetSpec.for_timestamp(2_500), 1),
        (OffsetSpec.for_timestamp(3_500), 3),
        (OffsetSpec.for_timestamp(5_000), -1),
    ]:
        found = admin.list_offsets({partition: spec})[partition].result(PATIENCE).offset
        assert found == expected, (spec, found, expected)


def errors():
    admin = AdminClient(BROKER)

    def code_of(futures):
        try:
            next(iter(futures.values())).result(PATIENCE)
        except KafkaException as error:
            return error.args[0].code()
        return None

    create("confluent-errors", 1)
    for topic, expected in [
        (NewTopic("confluent-errors", 1, 1), KafkaError.TOPIC_ALREADY_EXISTS),
        (NewTopic("a/../b", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic("none", 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("three", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("key", 1, 1, config={"no.such.key": "1"}), KafkaError.INVALID_CONFIG),
        (NewTopic("value", 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
    ]:
        found = code_of(admin.create_topics([topic]))
        assert found == expected, (topic.topic, found, expected)
    assert code_of(admin.delete_topics(["absent"])) == KafkaError.UNKNOWN_TOPIC_OR_PART


def transactions():
    """There are none yet, and who wants one is told so for good, not left to time out."""
    producer = Producer(BROKER | {"transactional.id": "confluent-transactions"})
    begun = time.monotonic()
    try:
        producer.init_transactions(4 * PATIENCE)
    except KafkaException as raised:
        error = raised.args[0]
        assert error.fatal() and not error.retriable() and "no transactions yet" in error.str(), error
        assert time.monotonic() - begun < PATIENCE, "it was told too late"
    else:
        raise AssertionError("there are no transactions")


def group():
    """The members of a group share a topic as one of them says."""
    settings = {"heartbeat.interval.ms": 200, "session.timeout.ms": 6_000}
    share("confluent-group", [settings | {"partition.assignment.strategy": it} for it in ("range", "cooperative-sticky")])


def consumer_group():
    """They share it as the coordinator says (KIP-848)."""
    share("confluent-consumers", [{"group.protocol": "consumer", "group.remote.assignor": it} for it in ("range", "uniform")])


def share(topic, rounds):
    """Two members share a topic, one leaves, and what was committed is where the next one goes on."""
    count = 600
    create(topic, 6)
    produce(topic, [(f"k{it}", f"v{it}", [], 0, it % 6) for it in range(count)], acks="all")
    owned = {}

    def member(name, **settings):
        def assigned(_, partitions):
            owned.setdefault(name, set()).update(it.partition for it in partitions)

        def revoked(_, partitions):
            owned[name] -= {it.partition for it in partitions}

        consumer = Consumer(
            BROKER | {"group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False} | settings
        )
        consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked)
        return consumer

    def until(consumers, is_done):
        end = time.monotonic() + 4 * PATIENCE
        found = []
        while not is_done(found):
            assert time.monotonic() < end, (owned, len(found))
            for consumer in consumers:
                message = consumer.poll(0.05)
                if message is not None:
                    assert not message.error(), message.error()
                    found.append(message)
        return found

    for settings in rounds:
        owned.clear()
        is_first = settings == rounds[0]
        one = member("one", **settings)
        first = until([one], lambda it: len(owned.get("one", ())) == 6 and len(it) >= (count if is_first else 0))
        assert not is_first or sorted(it.value() for it in first) == sorted(f"v{it}".encode() for it in range(count))
        two = member("two", **settings)
        again = until([one, two], lambda _: len(owned.get("one", ())) == 3 and len(owned.get("two", ())) == 3)
        assert owned["one"].isdisjoint(owned["two"]), owned
        assert is_first or not again, "members keep what they read"
        ends = [TopicPartition(topic, it, 100) for it in sorted(owned["two"])]
        two.commit(offsets=ends, asynchronous=False)
        two.close()
        until([one], lambda _: len(owned["one"]) == 6)
        found = one.committed([TopicPartition(topic, it) for it in range(6)], timeout=PATIENCE)
        if is_first:
            assert {it.partition for it in found if it.offset == 100} == {it.partition for it in ends}, found
            one.commit(offsets=[TopicPartition(topic, it, 100) for it in range(6)], asynchronous=False)
        else:
            assert all(it.offset == 100 for it in found), found
        one.close()
    admin = AdminClient(BROKER)
    described = admin.describe_consumer_groups([topic])[topic].result(PATIENCE)
    assert described.state.name == "EMPTY" and not described.members, described.state


globals()[sys.argv[2]]()
