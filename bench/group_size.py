"""Bytes that the broker keeps for a group of risk workers, which must fit into one record: no Kafka is started.

Run from the checkout: ``python -m bench.group_size [--workers W] [--partitions P]``. The assignor of the risk app is
asked for W members on hosts of their own, twice: the second time every member subscribes with what it learned the
first time, as after any rebalance. ``ours`` are the bytes of all subscriptions and assignments of that second round,
which the coordinator writes as one record (``message.max.bytes``, 1 MB by default, must hold it). The reference is the
same for aiokafka's round-robin assignor, whose members learn only their own partitions. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from typing import Any, cast

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor

from bench._machine import machine, versions
from bench._rows import CHANGELOG
from streams.app import create_app
from streams.settings import Settings
from tests.faults.cluster import ACCOUNT_TOPICS

RECORD_BYTES = 1_048_588
"""Kafka's default for the largest record batch a broker takes."""


class Topics:
    """The cluster as an assignor asks for it: account topics and the changelog, all of one partition count."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Partition numbers of any topic."""
        del topic
        return self._partitions


def faust_assignor(partitions: int, standbys: int, directory: str) -> PartitionAssignor:
    """The assignor of the risk app."""
    settings = Settings(partitions=partitions, standby_replicas=standbys, data_dir=directory)
    return cast(PartitionAssignor, create_app(settings, "risk").assignor)


def members_after(
    assignments: Mapping[str, ConsumerProtocolMemberAssignment] | None, workers: int
) -> dict[str, ConsumerProtocolMemberMetadata]:
    """What every member subscribes with: nothing known yet, or what it was told in the round before."""
    made = {}
    for number in range(workers):
        name, url = f"worker-{number}", f"http://worker-{number}.risk.example:6066"
        if assignments is None:
            known = ClientMetadata(
                assignment=ClientAssignment(actives={}, standbys={}), url=url, changelog_distribution={}
            )
            data = known.dumps()
        else:
            data = PartitionAssignor._decompress(assignments[name].user_data)
        made[name] = ConsumerProtocolMemberMetadata(4, [*ACCOUNT_TOPICS, CHANGELOG], data)
    return made


def encoded_bytes(messages: Mapping[str, Any]) -> int:
    """Bytes of protocol messages on the wire."""
    return sum(len(message.encode()) for message in messages.values())


def faust_group(workers: int, partitions: int, standbys: int) -> tuple[int, int, float]:
    """Bytes of subscriptions, bytes of assignments, and seconds that the leader computes."""
    with tempfile.TemporaryDirectory() as directory:
        assignor = faust_assignor(partitions, standbys, directory)
        first = assignor.assign(Topics(partitions), members_after(None, workers))
        members = members_after(first, workers)
        started = time.process_time()
        second = assignor.assign(Topics(partitions), members)
        return encoded_bytes(members), encoded_bytes(second), time.process_time() - started


def plain_group(workers: int, partitions: int) -> int:
    """Bytes of a group under aiokafka's round-robin assignor."""
    members = {
        f"worker-{number}": ConsumerProtocolMemberMetadata(0, [*ACCOUNT_TOPICS, CHANGELOG], b"")
        for number in range(workers)
    }
    told = RoundRobinPartitionAssignor.assign(Topics(partitions), members)
    return encoded_bytes(members) + encoded_bytes(told)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--standbys", type=int, default=1)
    options = parser.parse_args()
    subscriptions, assignments, seconds = faust_group(options.workers, options.partitions, options.standbys)
    ours, reference = subscriptions + assignments, plain_group(options.workers, options.partitions)
    result = {
        "name": "group_size",
        "ours": ours,
        "reference": reference,
        "ratio": round(ours / reference, 1),
        "unit": "bytes of one group record; lower is better",
        "subscriptions": subscriptions,
        "assignments": assignments,
        "leader_cpu_s": round(seconds, 3),
        "share_of_default_record": round(ours / RECORD_BYTES, 3),
        "workers": options.workers,
        "partitions": options.partitions,
        "machine": machine(),
        "versions": versions(("faust-streaming", "aiokafka")),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
