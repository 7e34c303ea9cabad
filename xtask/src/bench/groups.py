"""What librdkafka's consumers see when one more joins their group: called by `cargo xtask bench groups`, for ours and for Kafka's.

    groups.py BOOTSTRAP TOPIC PARTITIONS MEMBERS ROUNDS

Several groups of each protocol, one protocol after the other: members are told that a group rebalances by their own heartbeats, seconds
apart. Prints a line a group and round, of words of the form name=value: how long until nothing changed any more (stable_ms), and for how many
seconds partitions were nobody's, summed up (paused_s).
"""

import sys
import threading
import time

from confluent_kafka import Consumer

PROTOCOLS = {
    "eager": {"partition.assignment.strategy": "range"},
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}
PATIENCE = 120
# Whoever owns what the protocols end with owns it for good; a little longer, to see that.
QUIET = 0.5
# How far the heartbeats of a member are apart, in s: heartbeat.interval.ms of the client, group.consumer.heartbeat.interval.ms of the broker.
HEARTBEAT = {"eager": 3, "cooperative": 3, "consumer": 5}
# For how long a partition waits hangs on when the newcomer comes, between the heartbeats of its old owner and in the consumer protocol its
# own: for anything from nothing to HEARTBEAT. So there are groups enough for its coming to be spread evenly.
GROUPS = 5


class Ownership:
    """Who has which partition, as the members themselves were told, and when that changed."""

    def __init__(self, partitions):
        self.lock = threading.Lock()
        self.owners = {partition: set() for partition in range(partitions)}
        self.free_since = dict.fromkeys(range(partitions))
        self.paused = 0.0
        self.twice = 0
        self.changed = time.monotonic()

    def gain(self, member, partitions):
        with self.lock:
            now = self.changed = time.monotonic()
            for partition in partitions:
                self.twice += bool(self.owners[partition] - {member})
                self.owners[partition].add(member)
                if self.free_since[partition] is not None:
                    self.paused += now - self.free_since[partition]
                    self.free_since[partition] = None

    def lose(self, member, partitions):
        with self.lock:
            now = self.changed = time.monotonic()
            for partition in partitions:
                self.owners[partition].discard(member)
                if not self.owners[partition]:
                    self.free_since[partition] = now

    def is_whole(self, members):
        """Each partition has one owner, and each member as many as any other but for one."""
        with self.lock:
            counts = dict.fromkeys(members, 0)
            for owners in self.owners.values():
                if len(owners) != 1 or not owners <= counts.keys():
                    return False
                counts[next(iter(owners))] += 1
            return max(counts.values()) - min(counts.values()) <= 1

    def begin(self):
        with self.lock:
            self.paused, self.twice = 0.0, 0


class Member(threading.Thread):
    """A consumer and the thread that polls it."""

    def __init__(self, name, ownership, topic, settings):
        super().__init__(daemon=True)
        self.name, self.ownership, self.topic = name, ownership, topic
        self.leaving = threading.Event()
        self.consumer = Consumer(settings)
        self.start()

    def run(self):
        gain = lambda _, partitions: self.ownership.gain(self.name, [it.partition for it in partitions])
        lose = lambda _, partitions: self.ownership.lose(self.name, [it.partition for it in partitions])
        self.consumer.subscribe([self.topic], on_assign=gain, on_revoke=lose, on_lost=lose)
        while not self.leaving.is_set():
            self.consumer.poll(0.1)
        self.consumer.close()

    def leave(self):
        self.leaving.set()
        self.join(PATIENCE)


def settle(ownership, members):
    """Until every partition has one owner and nothing has changed for a while; when it changed last."""
    deadline = time.monotonic() + PATIENCE
    names = [it.name for it in members]
    while time.monotonic() < deadline:
        if ownership.is_whole(names) and time.monotonic() - ownership.changed > QUIET:
            return ownership.changed
        time.sleep(0.05)
    raise SystemExit(f"the group does not settle: {ownership.owners}")


def measure(protocol, index, bootstrap, topic, partitions, count, rounds):
    group = f"bench-{protocol}-{index}"
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False}
    settings |= PROTOCOLS[protocol]
    ownership = Ownership(partitions)
    members = [Member(f"m{it}", ownership, topic, settings) for it in range(count)]
    ended = settle(ownership, members)
    for number in range(rounds):
        # It ended with a heartbeat, at which the last of the old members got something.
        moment = (number + (index + 0.5) / GROUPS) / rounds
        time.sleep((ended + HEARTBEAT[protocol] * moment - time.monotonic()) % HEARTBEAT[protocol])
        ownership.begin()
        begun = time.monotonic()
        members.append(Member(f"late-{number}", ownership, topic, settings))
        last = settle(ownership, members)
        line = f"{protocol} stable_ms={(last - begun) * 1000:.0f} paused_s={ownership.paused:.3f} twice={ownership.twice}"
        # In one piece: other groups are told of meanwhile.
        print(line + "\n", end="", flush=True)
        members.pop().leave()
        ended = settle(ownership, members)
    leaving = [threading.Thread(target=it.leave) for it in members]
    for it in leaving:
        it.start()
    for it in leaving:
        it.join()


def main(bootstrap, topic, partitions, count, rounds):
    words = bootstrap, topic, int(partitions), int(count), int(rounds)
    failed = []

    def run(protocol, index):
        try:
            measure(protocol, index, *words)
        except BaseException as error:
            failed.append(f"{protocol}: {error}")

    for protocol in PROTOCOLS:
        running = [threading.Thread(target=run, args=(protocol, index)) for index in range(GROUPS)]
        for it in running:
            it.start()
        for it in running:
            it.join()
    if failed:
        sys.exit("; ".join(failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
