"""Members, a producer and two who watch, for `cargo xtask soak groups`.

    groups.py produce BOOTSTRAP TOPIC RATE FILE            numbers, one a record; those that were acknowledged into the file
    groups.py librdkafka BOOTSTRAP TOPIC GROUP NAME PROTOCOL      a member: prints what it reads, then commits it under its name
    groups.py kafka-python BOOTSTRAP TOPIC GROUP NAME classic     likewise
    groups.py watch BINARY BOOTSTRAP GROUP,…               prints whatever partition has two owners at once
    groups.py caught-up BOOTSTRAP TOPIC GROUP,…            ends when every group has committed all there is
    groups.py check BOOTSTRAP TOPIC GROUP,… ACKED FOLDER   what came of it all

All but the last two run until they are interrupted.
"""

import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

PATIENCE = 180
OFFSETS = "__consumer_offsets"
running = True


def stop(*_):
    global running
    running = False


def say(fd, lines):
    """In one piece, so that nothing is half written by who is killed."""
    data = "".join(f"{it}\n" for it in lines).encode()
    while data:
        data = data[os.write(fd, data) :]


def produce(bootstrap, topic, rate, file):
    from confluent_kafka import Producer

    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    failed = []

    def delivered(error, message):
        if error:
            failed.append(str(error))
        else:
            say(fd, [message.value().decode()])

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
    begun, sent = time.monotonic(), 0
    while running:
        while sent < (time.monotonic() - begun) * float(rate):
            try:
                producer.produce(topic, value=str(sent).encode(), on_delivery=delivered)
            except BufferError:
                break
            sent += 1
        producer.poll(0.01)
    if producer.flush(PATIENCE) or failed:
        sys.exit(f"not delivered: {failed[:3]}")


def librdkafka(bootstrap, topic, group, name, protocol):
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": 500,
        # What is not printed yet is not read yet.
        "enable.auto.offset.store": False,
    }
    if protocol == "classic":
        settings |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, "partition.assignment.strategy": "range"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    while running:
        messages = consumer.consume(500, 0.2)
        read = [it for it in messages if not it.error()]
        say(1, [it.value().decode() for it in read])
        for message in read:
            try:
                place = message.topic(), message.partition(), message.offset() + 1
                consumer.store_offsets(offsets=[TopicPartition(*place, metadata=name)])
            except KafkaException:
                # The partition is somebody else's by now, who reads it again.
                pass
    consumer.close()


def kafka_python(bootstrap, topic, group, name, _):
    from kafka import KafkaConsumer, OffsetAndMetadata
    from kafka.errors import KafkaError

    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap.split(","),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=1000,
    )
    while running:
        read = consumer.poll(timeout_ms=200)
        say(1, [it.value.decode() for some in read.values() for it in some])
        try:
            if read:
                consumer.commit({place: OffsetAndMetadata(some[-1].offset + 1, name, -1) for place, some in read.items()})
        except KafkaError:
            # The group rebalances, or its coordinator moves: what was read is read again.
            pass
    consumer.close()


def watch(binary, bootstrap, groups):
    """By a tool: librdkafka's admin client ends with an assertion when brokers die often enough while it asks."""
    looked = 0
    while running:
        for group in groups.split(","):
            words = [binary, "consumer-groups", "--bootstrap-server", bootstrap, "--describe", "--members", "--verbose"]
            told = subprocess.run([*words, "--group", group], capture_output=True, text=True, check=False).stdout
            owners = defaultdict(list)
            for line in told.splitlines():
                # Group, member, host, client id, how many, epoch, what it has; and what it is to have.
                if line.startswith(f"{group} ") and len(fields := line.split()) > 6:
                    for partition in re.findall(r"\d+", fields[6].partition(":")[2]):
                        owners[int(partition)].append(fields[1])
            twice = {partition: ids for partition, ids in owners.items() if len(ids) > 1}
            if twice:
                say(1, [f"{group}: two owners: {twice}"])
            looked += bool(owners)
        time.sleep(0.1)
    say(2, [f"looked at {looked} assignments"])
    if not looked:
        sys.exit("nothing was seen of any group")


def ends(consumer, topic):
    from confluent_kafka import TopicPartition

    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    all_of = [TopicPartition(topic, it) for it in partitions]
    return {it.partition: consumer.get_watermark_offsets(it, timeout=30)[1] for it in all_of}


def caught_up(bootstrap, topic, groups):
    from confluent_kafka import Consumer, TopicPartition

    deadline = time.monotonic() + PATIENCE
    for group in groups.split(","):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
        wanted = ends(consumer, topic)
        while behind := {
            it.partition: (it.offset, wanted[it.partition])
            for it in consumer.committed([TopicPartition(topic, it) for it in wanted], timeout=30)
            if wanted[it.partition] and it.offset < wanted[it.partition]
        }:
            if time.monotonic() > deadline:
                sys.exit(f"{group} has not caught up in {PATIENCE} s: {behind}")
            time.sleep(0.2)


def records_of(bootstrap, topic):
    """All records of a topic, partition by partition."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True})
    left = ends(consumer, topic)
    consumer.assign([TopicPartition(topic, it, 0) for it in left])
    remaining, deadline = len(left), time.monotonic() + PATIENCE
    while remaining:
        if time.monotonic() > deadline:
            sys.exit(f"{topic} can't be read to its end")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            remaining -= 1
            consumer.incremental_unassign([TopicPartition(topic, message.partition())])
            continue
        yield message
    consumer.close()


def commits_of_former_owners(bootstrap, topic, groups):
    """Commits that took back what a later owner had committed. Who may have sent several at once, and again after its coordinator was
    lost, takes back its own: that is no second owner. Tools commit without a name."""
    newest, before, wrong, count = {}, defaultdict(set), [], 0
    for message in records_of(bootstrap, OFFSETS):
        key, value = message.key(), message.value()
        if struct.unpack_from(">h", key)[0] > 1 or value is None:
            continue
        at, names = 2, []
        for _ in range(2):
            length = struct.unpack_from(">h", key, at)[0]
            names.append(key[at + 2 : at + 2 + length].decode())
            at += 2 + length
        place = (*names, struct.unpack_from(">i", key, at)[0])
        if names[1] != topic or names[0] not in groups:
            continue
        # Since version 3: offset, leader epoch, metadata; since version 4 a length is a varint, one greater.
        version, offset = struct.unpack_from(">hq", value)
        start, length = (15, value[14] - 1) if version > 3 else (16, struct.unpack_from(">h", value, 14)[0])
        owner = value[start : start + length].decode()
        last_owner, last = newest.get(place, (owner, 0))
        if owner and last_owner and owner != last_owner:
            if offset < last and owner in before[place]:
                wrong.append(f"{place}: {last} by {last_owner}, then {offset} by {owner}")
            before[place].add(last_owner)
        newest[place] = owner, offset
        count += 1
    return wrong, count


def check(bootstrap, topic, groups, acked, folder):
    groups = groups.split(",")
    acked = set(Path(acked).read_text().split())
    problems, said = [], [f"acknowledged={len(acked)}"]
    for group in groups:
        read = [line for file in sorted(Path(folder).glob(f"{group}-*.out")) for line in file.read_text().split("\n")[:-1]]
        # Tools say other things than numbers now and then, and who is killed may leave half a line.
        values = {it for it in read if it.isdigit()}
        if missing := acked - values:
            problems.append(f"{group} never read {len(missing)} records, such as {sorted(missing, key=int)[:5]}")
        said.append(f"{group}_read={len(read)}")
    wrong, commits = commits_of_former_owners(bootstrap, topic, groups)
    problems += [f"a former owner's commit was taken: {it}" for it in wrong[:5]]
    said.append(f"commits={commits}")
    print(" ".join(said))
    if problems or not acked or not commits:
        sys.exit("; ".join(problems) or "nothing was acknowledged or committed")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    cases = [produce, librdkafka, kafka_python, watch, caught_up, check]
    {it.__name__.replace("_", "-"): it for it in cases}[sys.argv[1]](*sys.argv[2:])
