"""One run of the fault test: a workload through two real workers under fire, compared with an uninterrupted replay.

The replay reads the very records that stood on the topics in the end, phase by phase, so whatever the executor
answered is part of its input; what it must reproduce is every account row and every command.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson

from engine.state import canonical_text, state_hash
from schemas.catalogue import load_catalogue
from schemas.codec import decode
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from streams.executor import FINAL_STATES
from streams.kafka_admin import ensure_topics
from streams.replay import Replay
from streams.state.fence import Fence, Kind
from tests.faults.cluster import Assassin, Cluster, Worker, wait_until
from tests.faults.workload import BACKSTOP, Phase, Workload
from tests.streams.rows import read_row

PARTITIONS = 4
PACED_SLICES = 60
PACE_S = 0.4
READ_BACK = ("reference", "marks", "collateral", "fills", "liquidation-acks")
Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind, and what the replay of its log says it should be."""

    rows: dict[str, str]
    replayed_rows: dict[str, str]
    commands: dict[str, set[bytes]]
    replayed_commands: set[str]
    dead_letters: int
    kills: list[str]
    starts: int

    @property
    def differing_accounts(self) -> list[str]:
        """Accounts whose row is not the replayed one."""
        return sorted(
            account
            for account in self.rows.keys() | self.replayed_rows.keys()
            if self.rows.get(account) != self.replayed_rows.get(account)
        )


def run(bootstrap: str, directory: Path, seed: int, kills: int, workload: Workload) -> RunResult:
    """Drive one run; ``bootstrap`` must be a broker without topics of an earlier run."""
    ensure_topics(bootstrap, load_catalogue(), accounts=PARTITIONS)
    environment = {
        "CROSSMARGIN_KAFKA": bootstrap,
        "CROSSMARGIN_PARTITIONS": str(PARTITIONS),
        "CROSSMARGIN_DATA_DIR": str(directory / "state"),
        "CROSSMARGIN_SESSION_TIMEOUT_S": "6",
        "CROSSMARGIN_HEARTBEAT_S": "1",
        "CROSSMARGIN_REBALANCE_TIMEOUT_S": "8",
        "CROSSMARGIN_LOG_LEVEL": "INFO",
    }
    cluster = Cluster(bootstrap, "crossmargin-risk")
    workers = [Worker(name, environment, directory / f"{name}.log") for name in ("one", "two")]
    executor = Worker(
        "executor", environment, directory / "executor.log", ("streams.executor", "--counterparty", BACKSTOP)
    )
    assassin = Assassin(workers, seed, kills)
    boundaries: list[dict[tuple[str, int], int]] = []
    try:
        for number, phase in enumerate(workload.phases()):
            _publish(cluster, phase)
            if number == 0:
                for process in (*workers, executor):
                    process.start()
                assassin.start()
            else:
                _settle(cluster, phase, assassin)
            boundaries.append(cluster.all_ends(READ_BACK))
        assassin.join()
        _settle(cluster, phase, assassin)
        boundaries[-1] = cluster.all_ends(READ_BACK)
    finally:
        for process in (*workers, executor):
            process.stop()
    result = _compare(cluster, boundaries, assassin, sum(worker.starts for worker in workers))
    cluster.close()
    return result


def _publish(cluster: Cluster, phase: Phase) -> None:
    """Publish a phase; a long one in slices over a while, so that kills meet workers with work to do."""
    slices = PACED_SLICES if len(phase.events) > PACED_SLICES * 10 else 1
    for number in range(slices):
        first, end = (len(phase.events) * edge // slices for edge in (number, number + 1))
        for event in phase.events[first:end]:
            cluster.producer.send(event.topic, key=event.key.encode(), value=orjson.dumps(event.value))
        cluster.producer.flush()
        if slices > 1:
            time.sleep(PACE_S)


def _settle(cluster: Cluster, phase: Phase, assassin: Assassin) -> None:
    wait_until(lambda: _is_settled(cluster, phase), f"phase {phase.name} to settle; {assassin.log}")


def _is_settled(cluster: Cluster, phase: Phase) -> bool:
    """All input consumed, all expected commands there, every command answered, and the answers consumed too."""
    if not cluster.is_consumed():
        return False
    commands = {_command(value).command_id for *_, value in cluster.read_all("liquidations")}
    if len({_command(value).account for *_, value in cluster.read_all("liquidations")}) < phase.breaches:
        return False
    answered = {
        answer.command_id
        for *_, value in cluster.read_all("liquidation-acks")
        if isinstance(answer := decode("liquidation-acks", value), LiquidationAckV1) and answer.state in FINAL_STATES
    }
    return commands <= answered and cluster.is_consumed()


def _command(value: bytes | None) -> LiquidationCommandV1:
    command = decode("liquidations", value)
    assert isinstance(command, LiquidationCommandV1)
    return command


def _compare(
    cluster: Cluster, boundaries: list[dict[tuple[str, int], int]], assassin: Assassin, starts: int
) -> RunResult:
    commands: dict[str, set[bytes]] = {}
    for *_, value in cluster.read_all("liquidations"):
        assert value is not None
        commands.setdefault(_command(value).command_id, set()).add(value)
    lines = _log(cluster, boundaries)
    written: list[bytes] = []
    replay = Replay(written.append)
    report = replay.run((number, orjson.dumps(line)) for number, line in enumerate(lines, start=1))
    decided = [line["value"] for line in map(orjson.loads, written) if line["topic"] == "liquidations"]
    replayed = {book.account: canonical_text(book) for book in replay.books()}
    assert report.state_hash == state_hash(replay.books())
    rows = _rows(cluster, "crossmargin-risk-accounts-changelog")
    return RunResult(
        rows=rows,
        replayed_rows=replayed,
        commands=commands,
        replayed_commands={str(command["command_id"]) for command in decided},
        dead_letters=len(cluster.read_all("dead-letters")),
        kills=assassin.log,
        starts=starts,
    )


def _log(cluster: Cluster, boundaries: list[dict[tuple[str, int], int]]) -> list[Line]:
    """The records of all phases as a recording: phase by phase, and within a phase topic by topic."""
    lines: list[Line] = []
    before: dict[tuple[str, int], int] = {}
    everything = {topic: cluster.read_all(topic) for topic in READ_BACK}
    for boundary in boundaries:
        for topic in READ_BACK:
            for partition, offset, key, value in everything[topic]:
                if before.get((topic, partition), 0) <= offset < boundary.get((topic, partition), 0):
                    line: Line = {"topic": topic, "partition": partition, "offset": offset, "key": key.decode()}
                    line["value"] = msgspec.json.decode(value or b"null")
                    lines.append(line)
        before = boundary
    return lines


def _rows(cluster: Cluster, changelog: str) -> dict[str, str]:
    """The newest row of every account, read from the changelog as a recovering worker reads it."""
    fences: dict[int, Fence] = {}
    rows: dict[bytes, bytes] = {}
    for partition, offset, key, value in cluster.read_all(changelog):
        entry = fences.setdefault(partition, Fence(f"{changelog}-{partition}")).admit(key, value, offset)
        if entry.kind is Kind.ROW:
            rows[entry.key] = entry.payload
    books = {}
    for data in rows.values():
        book, owed = read_row(data)
        assert not owed, f"{book.account} still owes {len(owed)} messages"
        books[book.account] = canonical_text(book)
    return books
