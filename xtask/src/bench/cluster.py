"""What a librdkafka client sees of a cluster that loses a broker: called by `cargo xtask bench cluster`, for ours and for Kafka's.

    cluster.py gap BOOTSTRAP TOPIC ID=PID,… leader|controller KILL|TERM
    cluster.py led BOOTSTRAP ID=PID,… 1 PARTITIONS

Prints its figures as words of the form name=value.
"""

import os
import signal
import socket
import struct
import sys
import time

PATIENCE = 60


def ask(sock, api, version, body, flexible=False):
    header = struct.pack(">hhih", api, version, 7, -1) + (b"\0" if flexible else b"")
    sock.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    size = struct.unpack(">i", read(sock, 4))[0]
    return read(sock, size)[4:]


def read(sock, size):
    """All of it: a socket with a time-out does not wait for it by itself."""
    answer = bytearray()
    while len(answer) < size:
        piece = sock.recv(size - len(answer))
        if not piece:
            raise OSError("the answer ends half-way")
        answer += piece
    return bytes(answer)


def connect(address):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=5)
    sock.settimeout(30)
    return sock


def metadata(sock):
    """The brokers, and the leader of each partition (Metadata version 1, all topics)."""
    answer = ask(sock, 3, 1, struct.pack(">i", -1))
    at = 4
    brokers, leaders = [], {}
    for _ in range(struct.unpack_from(">i", answer, 0)[0]):
        brokers.append(struct.unpack_from(">i", answer, at)[0])
        at += 6 + struct.unpack_from(">h", answer, at + 4)[0] + 4
        at += 2 + max(0, struct.unpack_from(">h", answer, at)[0])
    at += 4
    topics = struct.unpack_from(">i", answer, at)[0]
    at += 4
    for _ in range(topics):
        length = struct.unpack_from(">h", answer, at + 2)[0]
        name = answer[at + 4 : at + 4 + length].decode()
        at += 5 + length
        partitions = struct.unpack_from(">i", answer, at)[0]
        at += 4
        for _ in range(partitions):
            _, partition, leader, replicas = struct.unpack_from(">hiii", answer, at)
            at += 14 + 4 * replicas
            at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
            leaders[name, partition] = leader
    return brokers, leaders


def controller(address):
    """Who leads the metadata quorum (DescribeQuorum version 0)."""
    topic = b"__cluster_metadata"
    body = b"\x02" + bytes([len(topic) + 1]) + topic + b"\x02" + struct.pack(">i", 0) + b"\0\0\0"
    with connect(address) as sock:
        answer = ask(sock, 55, 0, body, flexible=True)
    # A tagged section, the code, one topic with its name, one partition: index, code, leader.
    leader = 1 + 2 + 1 + 1 + len(topic) + 1 + 4 + 2
    return struct.unpack_from(">i", answer, leader)[0]


def wait_for(what, so):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            found = so()
            if found is not None:
                return found
        except (OSError, struct.error):
            pass
        time.sleep(0.05)
    sys.exit(f"not in {PATIENCE} s: {what}")


def pids_of(text):
    return {int(id): int(pid) for id, pid in (it.split("=") for it in text.split(","))}


def gap(bootstrap, topic, pids, victim, how):
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    addresses = bootstrap.split(",")
    pids = pids_of(pids)

    def whole():
        with connect(addresses[0]) as sock:
            brokers, _ = metadata(sock)
        return True if len(brokers) == len(pids) else None

    wait_for("all brokers", whole)
    active = wait_for("a controller", lambda: next((c for c in [controller(addresses[0])] if c in pids), None))
    first = active if victim == "controller" else next(id for id in sorted(pids) if id != active)
    order = [first] + [id for id in sorted(pids) if id != first]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic(topic, num_partitions=1, replica_assignment=[order])]).values():
        created.result(PATIENCE)
    acked, failed = [], []

    def delivered(error, message):
        if error:
            failed.append(str(error))
        else:
            acked.append((time.monotonic(), int(message.value())))

    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0, "retry.backoff.ms": 20}
    )
    begun, sent, killed = time.monotonic(), 0, False
    while (now := time.monotonic() - begun) < 6:
        # The first second goes to connections.
        if not killed and now > 2:
            # On a busy machine it may have lost its place already, and what is measured would be nothing.
            with connect(addresses[0]) as sock:
                leader = metadata(sock)[1][topic, 0]
            if leader != first:
                sys.exit(f"{leader} leads instead of {first} before anybody is killed")
            os.kill(pids[first], signal.SIGKILL if how == "KILL" else signal.SIGTERM)
            killed = True
        if now >= sent * 0.005:
            producer.produce(topic, value=str(sent).encode(), partition=0, on_delivery=delivered)
            sent += 1
        producer.poll(min(0.005, max(0.0, sent * 0.005 - now)))
    producer.flush(PATIENCE)
    times = [at for at, _ in acked if at > begun + 1]
    longest = max(b - a for a, b in zip(times, times[1:]))

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.assign([TopicPartition(topic, 0, 0)])
    read = []
    while len(read) < end:
        message = consumer.poll(10)
        if message is None:
            break
        if not message.error():
            read.append(int(message.value()))
    lost = len({value for _, value in acked} - set(read))
    repeated = len(read) - len(set(read))
    reordered = sum(1 for a, b in zip(read, read[1:]) if b < a)
    consumer.close()
    print(
        f"victim={first} gap_ms={longest * 1000:.0f} sent={sent} failed={len(failed)} "
        f"lost={lost} repeated={repeated} reordered={reordered}"
    )


def led(bootstrap, pids, victim, partitions):
    """Kills a broker; how long until every partition has a leader again, as all the others tell."""
    addresses, pids, victim, partitions = bootstrap.split(","), pids_of(pids), int(victim), int(partitions)
    socks = [connect(address) for address in addresses[1:]]

    def settled():
        for sock in socks:
            _, leaders = metadata(sock)
            if len(leaders) < partitions or -1 in leaders.values():
                return None
        return leaders

    before = wait_for("every partition is led", settled)
    count = sum(1 for leader in before.values() if leader == victim)
    os.kill(pids[victim], signal.SIGKILL)
    killed = time.monotonic()

    def replaced():
        for sock in socks:
            _, leaders = metadata(sock)
            if victim in leaders.values() or -1 in leaders.values():
                return None
        return True

    wait_for("every partition is led again", replaced)
    print(f"led_by_victim={count} again_ms={(time.monotonic() - killed) * 1000:.0f}")


if __name__ == "__main__":
    {"gap": gap, "led": led}[sys.argv[1]](*sys.argv[2:])
