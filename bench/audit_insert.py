"""How many records per second reach the audit trail, on the wall and per second of processor.

Run from the checkout: ``python -m bench.audit_insert [--store chdb|server] [--records N] [--batch N]``. Prints one JSON
object; rates are records per second, the best of the rounds. Ours is everything the audit worker pays for after the
fetch: decoding, the look-up of repeats, checks, insert and progress.

- ``ours``: fills alone, in batches of ``--batch`` (the worker under load takes up to 50,000 at once); ``mix``: per
  hundred records 90 fills, 8 marks, 2 margin snapshots with their state versions; ``small_batches``: fills by 5,000,
  the worker's batch when it keeps up.
- ``*_per_cpu_s``: by processor time of this process, which with chDB holds the database too; ``server_cpu_us`` is what
  the server spent on a record of ``ours`` beside.
- ``prepare_per_cpu_s``: fills to encoded columns alone, without a database.
- ``reference`` inserts decoded rows one by one, what most first versions do; ``batched_reference`` inserts 5,000
  decoded rows at once the plain way (the driver's rows, or JSONEachRow), without decoding, look-up, checks or progress.

Every way stores the same rows, which is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clickhouse_driver import Client

from schemas.codec import Record, encode, key_of
from schemas.events.fills import FillV1
from schemas.events.prices import MarkV1
from streams.audit.connect import open_store
from streams.audit.fill_blocks import fill_block
from streams.audit.inserter import BatchInserter, Partition
from streams.audit.migrations import Migrator
from streams.audit.records import RecordColumns
from streams.audit.rows import Row, row_for
from streams.audit.store import AuditStore
from streams.audit.tables import FILLS, MARGIN_SNAPSHOTS, MARKS
from tests.servers.clickhouse import ClickHouseProcess, launch
from tests.streams.audit.records import margin_event

BATCH = 5000
ROUNDS = 3
SINGLE_ROWS = 200
SNAPSHOT = 4
START_MS = 1_700_000_000_000
NAMES = ", ".join(f"`{name}`" for name in FILLS.names)
TABLES = (FILLS, MARKS, MARGIN_SNAPSHOTS)

Batch = dict[Partition, RecordColumns]


def fill(number: int) -> FillV1:
    """One of 500 accounts trades."""
    return FillV1(
        v=1,
        event_id=f"fill-{number}",
        account=f"account-{number % 500}",
        instrument="BTC-PERP",
        side="buy",
        quantity="1.00000001",
        price=f"{20000 + number % 1000}.12345678",
        fee="-0.00000001",
        trade_time_us=START_MS * 1000 + number,
    )


def mark(number: int) -> MarkV1:
    """A price tick of one of ten feeds."""
    return MarkV1(
        v=1,
        feed=f"FEED-{number % 10}",
        price=f"{20000 + number % 1000}.5",
        confidence="0.25",
        funding_rate="0.0001",
        funding_index_linear="12.5",
        funding_index_inverse="0.0005",
        mark_time_us=START_MS * 1000 + number,
        sources=("a", "b", "c"),
        volatility=(),
    )


def columns(records: Sequence[Record], first: int) -> RecordColumns:
    """Contract values as they come from Kafka, at offsets from ``first`` on."""
    offsets = np.arange(first, first + len(records), dtype=np.int64)
    keys = [key_of(record) for record in records]
    return RecordColumns(offsets, offsets + START_MS, keys, [encode(record) for record in records])


def fills_only(count: int, size: int) -> list[Batch]:
    """Batches of fills."""
    return [
        {("fills", 0): columns([fill(number) for number in range(first, min(count, first + size))], first)}
        for first in range(0, count, size)
    ]


def mixed(count: int, size: int) -> list[Batch]:
    """Batches of mostly fills."""
    batches = []
    for first in range(0, count, size):
        hundreds = min(count - first, size) // 100
        marks, snapshots = 8 * hundreds, 2 * hundreds
        start = first // 100
        batches.append(
            {
                ("fills", 0): columns([fill(first + number) for number in range(90 * hundreds)], 90 * start),
                ("marks", 0): columns([mark(number) for number in range(marks)], 8 * start),
                ("margin-events", 0): columns([margin_event(SNAPSHOT, n) for n in range(snapshots)], 2 * start),
            }
        )
    return batches


@dataclass(frozen=True, slots=True)
class Rate:
    """Records per second: on the wall and of this process; and microseconds of the server per record."""

    wall: float
    cpu: float
    server_us: float


class Measure:
    """Times work that fills empty tables."""

    def __init__(self, store: AuditStore, server: ClickHouseProcess | None) -> None:
        self._store = store
        self._server = server

    def rate(self, count: int, work: Callable[[], None], rounds: int = ROUNDS) -> Rate:
        """The best of each over the rounds; raises ``AssertionError`` unless ``count`` rows are stored."""
        found = []
        for _ in range(rounds):
            for table in TABLES:
                self._store.execute(f"TRUNCATE TABLE {table.name}")
            wall, cpu, server = time.perf_counter(), time.process_time(), self._server_s()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            found.append((wall, cpu, self._server_s() - server))
            stored = sum(self._store.query(f"SELECT count() FROM {table.name}").rows[0][0] for table in TABLES)
            if stored != count:
                raise AssertionError(f"{stored} rows of {count}")
        best = [min(one) for one in zip(*found, strict=True)]
        return Rate(count / best[0], count / best[1], best[2] / count * 1e6)

    def _server_s(self) -> float:
        if self._server is None:
            return 0.0
        spent = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


def as_json(rows: Sequence[Row]) -> str:
    """Rows as JSONEachRow with amounts as text."""
    named = (dict(zip(FILLS.names, row, strict=True)) for row in rows)
    return "\n".join(json.dumps(row, default=lambda v: v.decode() if isinstance(v, bytes) else str(v)) for row in named)


def measure(
    timing: Measure, store: AuditStore, count: int, size: int, plain_insert: Callable[[Sequence[Row]], None]
) -> dict[str, float]:
    """Rates of all ways."""
    inserter = BatchInserter(store)
    batches, mix, small = fills_only(count, size), mixed(count, size), fills_only(count, BATCH)
    mix_count = sum(len(records) for batch in mix for records in batch.values())

    def ours(batches: Sequence[Batch]) -> None:
        for batch in batches:
            inserter.insert(batch)

    def prepare() -> None:
        for batch in batches:
            fill_block(0, batch["fills", 0])

    ours(small[:1])
    fills, mixture, by_5000 = (
        timing.rate(total, lambda what=what: ours(what))  # type: ignore[misc]
        for total, what in ((count, batches), (mix_count, mix), (count, small))
    )
    start = time.process_time()
    prepare()
    prepared = count / (time.process_time() - start)
    rows = [[row_for("fills", 0, *record)[1] for record in batch["fills", 0]] for batch in small[:4]]
    single = timing.rate(SINGLE_ROWS, lambda: [plain_insert([row]) for row in rows[0][:SINGLE_ROWS]] and None, 1)
    plain = timing.rate(sum(map(len, rows)), lambda: [plain_insert(batch) for batch in rows] and None, 1)
    return {
        "ours": fills.wall,
        "ours_per_cpu_s": fills.cpu,
        "mix": mixture.wall,
        "mix_per_cpu_s": mixture.cpu,
        "small_batches": by_5000.wall,
        "small_batches_per_cpu_s": by_5000.cpu,
        "prepare_per_cpu_s": prepared,
        "server_cpu_us": fills.server_us,
        "reference": single.wall,
        "batched_reference": plain.wall,
    }


def run(kind: str, count: int, size: int, directory: Path) -> dict[str, float]:
    """Measure one kind of store in ``directory``."""
    server = launch(directory / "server") if kind == "server" else None
    store = open_store(server.url("crossmargin") if server else f"chdb://{directory}/chdb")
    Migrator(store).apply()
    timing = Measure(store, server)
    try:
        if server is None:
            insert = f"INSERT INTO fills ({NAMES}) FORMAT JSONEachRow "
            return measure(timing, store, count, size, lambda rows: store.execute(insert + as_json(rows)))
        client = Client.from_url(server.url("crossmargin"))
        statement = f"INSERT INTO fills ({NAMES}) VALUES"
        text = [index for index, column in enumerate(FILLS.columns) if column.type == "String"]

        def through_driver(rows: Sequence[Row]) -> None:
            plain = [
                [value if index not in text or isinstance(value, bytes) else value.encode() for index, value in items]
                for items in (list(enumerate(row)) for row in rows)
            ]
            client.execute(statement, plain, settings={"strings_as_bytes": True})

        return measure(timing, store, count, size, through_driver)
    finally:
        store.close()
        if server is not None:
            server.kill()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("chdb", "server"), default="chdb")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=50_000)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="audit-insert-"))
    try:
        rates = run(options.store, options.records, options.batch, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    result: dict[str, object] = {
        name: round(value, 2) if value < 100 else round(value) for name, value in rates.items()
    }
    result["ratio"] = round(rates["ours"] / rates["reference"], 2)
    result["batched_ratio"] = round(rates["ours"] / rates["batched_reference"], 2)
    result["batch"] = options.batch
    print(json.dumps({"bench": "audit_insert", "store": options.store, "unit": "records/s", **result}))


if __name__ == "__main__":
    main()
