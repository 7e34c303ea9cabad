"""One data directory under two brokers: `python interop.py HOST:PORT VERB …`.

fill TAG           creates topics with every compression and a setting, and writes to all of them
dump               prints every topic, setting, offset and record, for comparison with what another broker prints; settings are
                   those of topics, of broker 1, of all brokers, and of the group interop-settings
sequence TOPIC N   writes batch N of a producer whose id and sequences are this program's own; prints the error and offset
producer-id        prints the next producer id
transaction TOPIC  writes one aborted and one committed transaction
open TOPIC         writes a transaction and leaves it open
group TOPIC        reads a topic as member of a group and commits
compacted TOPIC    writes few keys often to a topic that is compacted, and waits until it was
cut TOPIC OFFSET   deletes the records below an offset
move TOPIC DIR     has the first partition's replica moved to another log directory, and waits until it is there
"""

import os
import socket
import struct
import sys
import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

ADDRESS = sys.argv[1]
BROKER = {"bootstrap.servers": ADDRESS}
PATIENCE = 20
COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"]


def create(topic, partitions, config):
    admin = AdminClient(BROKER)
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(PATIENCE)


def write(topic, partitions, tag, **settings):
    failed = []
    producer = Producer(BROKER | {"linger.ms": 2, "batch.num.messages": 40} | settings)
    for index in range(300):
        key = None if index % 7 == 0 else f"key {index}".encode()
        value = None if index % 11 == 0 else f"{tag} {index} ".encode() * (index % 40)
        headers = [("index", str(index).encode()), ("none", None)] if index % 3 == 0 else []
        for partition in range(partitions):
            producer.produce(
                topic,
                value,
                key,
                partition,
                timestamp=1_700_000_000_000 + index * 13,
                headers=headers,
                on_delivery=lambda error, _: error and failed.append(error),
            )
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0 and not failed, failed


def fill(tag):
    existing = AdminClient(BROKER).list_topics(timeout=PATIENCE).topics
    # Records of the past must not be too old for their topic.
    keep = {"retention.ms": "-1"}
    for topic, partitions, config in [
        *((f"interop-{it}", 2, keep) for it in COMPRESSIONS),
        ("interop-small", 1, keep | {"segment.bytes": "1048576", "index.interval.bytes": "256"}),
        (f"interop-only-{tag}", 1, keep | {"max.message.bytes": "70000", "cleanup.policy": "compact,delete"}),
        (f"interop-empty-{tag}", 3, {}),
    ]:
        if topic not in existing:
            create(topic, partitions, config)
    for compression in COMPRESSIONS:
        write(f"interop-{compression}", 2, tag, **{"compression.type": compression})
    for _ in range(4):
        write("interop-small", 1, tag * 60, **{"enable.idempotence": True})


def listed():
    """The topics; a broker that has just started may still be looking for leaders."""
    admin = AdminClient(BROKER)
    for _ in range(PATIENCE * 10):
        topics = admin.list_topics(timeout=PATIENCE).topics
        if all(it.leader >= 0 for topic in topics.values() for it in topic.partitions.values()):
            return {name: it for name, it in topics.items() if not name.startswith("__")}
        time.sleep(0.1)
    raise AssertionError("partitions have no leaders")


def patient(ask):
    """What a broker that has just begun to lead may refuse at first."""
    for _ in range(PATIENCE * 10):
        try:
            return ask()
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            time.sleep(0.1)
    return ask()


def groups(admin):
    """The groups. A coordinator that has just started has read none of them, and Apache Kafka's then lists none without a word:
    so one group of each partition of theirs is asked for first, until that is read."""
    metadata = admin.list_topics(timeout=PATIENCE).topics.get("__consumer_offsets")
    probes, number = {}, 0
    while metadata and len(probes) < len(metadata.partitions):
        name = f"probe-{number}"
        probes.setdefault(partition_of(name, len(metadata.partitions)), name)
        number += 1
    deadline = time.monotonic() + PATIENCE
    for name in probes.values():
        # OffsetFetch 5 of all of a group's partitions. Not by the library, which may crash of an answer that is an error.
        while error := struct.unpack(">h", ask(9, 5, text(name) + struct.pack(">i", -1))[-2:])[0]:
            assert time.monotonic() < deadline, (name, error)
            time.sleep(0.05)
    found = admin.list_consumer_groups().result(PATIENCE)
    assert not found.errors, found.errors
    return sorted(it.group_id for it in found.valid)


def partition_of(group, partitions):
    """As Java hashes a string."""
    hashed = 0
    for byte in group.encode():
        hashed = (31 * hashed + byte) & 0xFFFFFFFF
    return (hashed & 0x7FFFFFFF) % partitions


def committed(admin, name):
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])
    return asked[name].result(PATIENCE).topic_partitions


def dump():
    admin = AdminClient(BROKER)
    topics = listed()
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(topics)]
    described = admin.describe_configs(resources)
    for resource in resources:
        entries = described[resource].result(PATIENCE).values()
        # 1: set for the topic.
        print(resource.name, sorted((it.name, it.value) for it in entries if it.source == 1))
    for kind, name in [(OF_BROKERS, "1"), (OF_BROKERS, ""), (OF_GROUPS, "interop-settings")]:
        print("settings", kind, repr(name), settings_of(kind, name))
    for name in groups(admin):
        print("group", name, sorted((it.topic, it.partition, it.offset, it.metadata) for it in committed(admin, name)))
    places = [(name, partition) for name in sorted(topics) for partition in sorted(topics[name].partitions)]
    # What was aborted, and what is not decided yet, is there for the second only.
    for isolation in ["read_committed", "read_uncommitted"]:
        print(isolation)
        dump_records(places, isolation)


def dump_records(places, isolation):
    settings = {"group.id": "unused", "enable.auto.commit": False, "check.crcs": True, "enable.partition.eof": True}
    settings |= {"fetch.wait.max.ms": 10, "isolation.level": isolation}
    consumer = Consumer(BROKER | settings)
    lines = {}
    for place in places:
        ends = patient(lambda: consumer.get_watermark_offsets(TopicPartition(*place), PATIENCE))
        lines[place] = [" ".join(map(str, (*place, *ends)))]
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
    # A count of records would not tell the end: markers of transactions have offsets, too.
    ended = set()
    while len(ended) < len(places):
        message = consumer.poll(PATIENCE)
        assert message is not None, f"neither a record nor the end came of {set(places) - ended}"
        place = (message.topic(), message.partition())
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(place)
            continue
        record = (message.offset(), message.timestamp(), message.key(), message.value(), message.headers())
        lines[place].append(" ".join(map(str, place)) + " " + " ".join(map(repr, record)))
    for place in places:
        print("\n".join(lines[place]))
    consumer.close()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def ask(api, version, body):
    header = struct.pack(">hhih", api, version, 1, -1)
    host, port = ADDRESS.rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall(struct.pack(">i", len(header + body)) + header + body)
        stream = connection.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        return stream.read(size)[4:]


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Answer:
    """What an answer holds, from its beginning to its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def word(self):
        length = self.take(">h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def times(self):
        return range(self.take(">i"))


UNKNOWN_SERVER_ERROR = -1

# Kinds of resources, and whence a setting comes: all brokers' or this one's, or the group's.
OF_BROKERS, OF_GROUPS = 4, 32
DYNAMIC = {2: "broker", 3: "all brokers", 8: "group"}


def settings_of(kind, name):
    """What was set while brokers ran. The library knows groups only as what is allowed or forbidden, so not by it."""
    # DescribeConfigs 1 of all keys, without synonyms: throttle time, then resources with error, message, kind, name, keys.
    request = struct.pack(">ib", 1, kind) + text(name) + struct.pack(">i?", -1, False)
    answer = Answer(ask(32, 1, request))
    answer.take(">i")
    found = []
    for _ in answer.times():
        error, message = answer.take(">h"), answer.word()
        assert error == 0, (kind, name, error, message)
        answer.take(">b")
        answer.word()
        for _ in answer.times():
            key, value = answer.word(), answer.word()
            answer.take(">?")
            source = answer.take(">b")
            answer.take(">?")
            assert answer.take(">i") == 0
            if source in DYNAMIC:
                found.append((key, value, DYNAMIC[source]))
    return sorted(found)


def sequence(topic, number):
    """A batch of three records; the same number gives the same batch."""
    producer_id, epoch, count = 4_000_000_000, 0, 3
    records = b"".join(b"\x10\x00\x00" + bytes([it * 2]) + b"\x01\x04vv\x00" for it in range(count))
    # Of today: producers whose last record is old are forgotten.
    now = int(time.time() * 1000)
    covered = struct.pack(">hiqqqhii", 0, count - 1, now, now, producer_id, epoch, int(number) * count, count) + records
    batch = struct.pack(">qiibI", 0, len(covered) + 9, -1, 2, crc32c(covered)) + covered
    data = text(topic) + struct.pack(">iii", 1, 0, len(batch)) + batch
    listed()
    # Produce 7: no transaction, acks=all.
    answer = ask(0, 7, struct.pack(">hhii", -1, -1, 10_000, 1) + data)
    error, offset = struct.unpack_from(">hq", answer, 4 + 2 + len(topic) + 4 + 4)
    print(error, offset)


def producer_id():
    # InitProducerId 0: throttle time, error, id, epoch.
    deadline = time.monotonic() + PATIENCE
    while True:
        _, error, number, _ = struct.unpack(">ihqh", ask(22, 0, struct.pack(">hi", -1, 60_000)))
        # 14: it has no ids yet and asked its controller for some, which may take it longer than many questions do.
        if error != 14 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert error == 0, error
    print(number)


def transaction(topic):
    producer = Producer(BROKER | {"transactional.id": topic})
    producer.init_transactions(PATIENCE)
    for end in [producer.abort_transaction, producer.commit_transaction]:
        producer.begin_transaction()
        for index in range(20):
            producer.produce(topic, f"{end.__name__} {index}", timestamp=1_700_000_000_000, partition=0)
        producer.flush(PATIENCE)
        end(PATIENCE)


def open_transaction(topic):
    producer = Producer(BROKER | {"transactional.id": f"{topic}-open", "transaction.timeout.ms": 600_000})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    for index in range(20):
        producer.produce(topic, f"open {index}", timestamp=1_700_000_000_000, partition=0)
    producer.flush(PATIENCE)


def group(topic):
    settings = {"group.id": f"{topic}-group", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    consumer = Consumer(BROKER | settings)
    consumer.subscribe([topic])
    message = consumer.poll(PATIENCE * 2)
    assert message is not None and not message.error(), message
    consumer.commit(asynchronous=False)
    consumer.close()


def count(topic):
    """How many records there are, and between which offsets."""
    settings = {"group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(BROKER | settings)
    ends = patient(lambda: consumer.get_watermark_offsets(TopicPartition(topic, 0), PATIENCE))
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found = 0
    while (message := consumer.poll(PATIENCE)) is not None and not message.error():
        found += 1
    consumer.close()
    return found, *ends


def compacted(topic):
    settings = {"retention.ms": "-1", "cleanup.policy": "compact", "segment.bytes": "1048576"}
    settings |= {"min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    create(topic, 1, settings)
    # Three segments, and a key or two of which nothing but a tombstone is left.
    producer = Producer(BROKER | {"linger.ms": 2, "enable.idempotence": True})
    for index in range(4_000):
        value = None if index % 50 < 2 else f"{index} ".encode() * 150
        producer.produce(topic, value, f"key {index % 50}".encode(), 0, timestamp=1_700_000_000_000 + index)
        producer.poll(0)
    assert producer.flush(PATIENCE) == 0
    deadline = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < deadline:
        found, first, last = count(topic)
        if found < (last - first) / 2:
            print(found, first, last)
            return
        time.sleep(0.2)
    raise AssertionError(f"{topic} is not compacted")


def cut(topic, offset):
    wanted = TopicPartition(topic, 0, int(offset))
    admin = AdminClient(BROKER)
    admin.delete_records([wanted])[wanted].result(PATIENCE)


def move(topic, directory):
    topics = struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, 0)
    # AlterReplicaLogDirs 1: throttle time, then topics with partitions, each with its error.
    answer = ask(34, 1, struct.pack(">i", 1) + text(directory) + topics)
    (error,) = struct.unpack(">h", answer[-2:])
    assert error == 0, error
    deadline = time.monotonic() + PATIENCE
    # DescribeLogDirs 1 of this partition: it is in two directories until it has moved.
    while True:
        answer = ask(35, 1, struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, 0))
        found = places(answer)
        # In a chroot a JVM finds no mount point, and Apache Kafka cannot say anything of its directories.
        if found == [directory] or found is None and os.path.isdir(f"{directory}/{topic}-0"):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def places(answer):
    """The directories in which a DescribeLogDirs answer has any partition; one of a copy counts twice. None if it has not looked."""
    answer = Answer(answer)
    answer.take(">i")
    found = []
    for _ in answer.times():
        error = answer.take(">h")
        if error == UNKNOWN_SERVER_ERROR:
            return None
        assert error == 0, error
        directory = answer.word()
        for _ in answer.times():
            answer.word()
            for _ in answer.times():
                answer.take(">i")
                answer.take(">q")
                answer.take(">q")
                found += [directory] * (2 if answer.take(">?") else 1)
    return found


VERBS = {
    "compacted": compacted,
    "cut": cut,
    "move": move,
    "fill": fill,
    "dump": dump,
    "sequence": sequence,
    "producer-id": producer_id,
    "transaction": transaction,
    "open": open_transaction,
    "group": group,
}
VERBS[sys.argv[2]](*sys.argv[3:])
