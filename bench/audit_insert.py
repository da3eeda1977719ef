"""How many records per second reach the audit trail: our inserter against an insert per row, and plain batches.

Run from the checkout: ``python -m bench.audit_insert [--store chdb|server] [--records N]``. Prints one JSON object, in
records per second of wall time, best of the rounds. ``ours`` is everything an agent pays for: decoding, the look-up of
repeats, checks, insert and progress, in batches of 5,000. ``reference`` inserts decoded rows one by one; what most
first versions do (the driver's ``execute``, or a JSONEachRow statement). ``batched_reference`` inserts 5,000 decoded
rows at once the plain way (the driver's rows, or JSONEachRow), without look-up, checks or progress. All three store
the same rows, which is checked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clickhouse_driver import Client

from schemas.codec import encode
from schemas.events.fills import FillV1
from streams.audit.connect import open_store
from streams.audit.inserter import BatchInserter
from streams.audit.migrations import Migrator
from streams.audit.records import AuditRecord
from streams.audit.rows import Row, row_for
from streams.audit.store import AuditStore
from streams.audit.tables import FILLS
from tests.servers.clickhouse import launch

BATCH = 5000
ROUNDS = 3
SINGLE_ROWS = 200
NAMES = ", ".join(f"`{name}`" for name in FILLS.names)


def records(count: int) -> list[AuditRecord]:
    """``count`` fills of 500 accounts."""
    made = []
    for offset in range(count):
        fill = FillV1(
            v=1,
            event_id=f"fill-{offset}",
            account=f"account-{offset % 500}",
            instrument="BTC-PERP",
            side="buy",
            quantity="1.00000001",
            price=f"{20000 + offset % 1000}.12345678",
            fee="-0.00000001",
            trade_time_us=1_700_000_000_000_000 + offset,
        )
        made.append(AuditRecord(offset, 1_700_000_000_000 + offset, fill.account.encode(), encode(fill)))
    return made


def rate(store: AuditStore, count: int, work: Callable[[], None]) -> float:
    """Best rows per second over the rounds, each into an empty table."""
    best = 0.0
    for _ in range(ROUNDS):
        store.execute("TRUNCATE TABLE fills")
        start = time.perf_counter()
        work()
        best = max(best, count / (time.perf_counter() - start))
        stored = store.query("SELECT count(), sum(quantity) FROM fills").rows[0]
        if stored[0] != count:
            raise AssertionError(f"{stored[0]} rows of {count}")
    return best


def as_json(rows: Sequence[Row]) -> str:
    """Rows as JSONEachRow with amounts as text."""
    named = (dict(zip(FILLS.names, row, strict=True)) for row in rows)
    return "\n".join(json.dumps(row, default=lambda v: v.decode() if isinstance(v, bytes) else str(v)) for row in named)


def measure(store: AuditStore, count: int, plain_insert: Callable[[Sequence[Row]], None]) -> dict[str, float]:
    """Rates of the three ways."""
    batches = [records(count)[first : first + BATCH] for first in range(0, count, BATCH)]
    rows = [[row_for("fills", 0, *record)[1] for record in batch] for batch in batches]
    inserter = BatchInserter(store)

    def ours() -> None:
        for batch in batches:
            inserter.insert({("fills", 0): batch})

    def batched() -> None:
        for batch in rows:
            plain_insert(batch)

    def one_by_one() -> None:
        for row in rows[0][:SINGLE_ROWS]:
            plain_insert([row])

    return {
        "ours": rate(store, count, ours),
        "reference": rate(store, min(SINGLE_ROWS, count), one_by_one),
        "batched_reference": rate(store, count, batched),
    }


def run(kind: str, count: int, directory: Path) -> dict[str, float]:
    """Measure one kind of store in ``directory``."""
    server = launch(directory / "server") if kind == "server" else None
    store = open_store(server.url("crossmargin") if server else f"chdb://{directory}/chdb")
    Migrator(store).apply()
    try:
        if server is None:
            insert = f"INSERT INTO fills ({NAMES}) FORMAT JSONEachRow "
            return measure(store, count, lambda rows: store.execute(insert + as_json(rows)))
        client = Client.from_url(server.url("crossmargin"))
        statement = f"INSERT INTO fills ({NAMES}) VALUES"
        text = [index for index, column in enumerate(FILLS.columns) if column.type == "String"]

        def through_driver(rows: Sequence[Row]) -> None:
            plain = [
                [value if index not in text or isinstance(value, bytes) else value.encode() for index, value in items]
                for items in (list(enumerate(row)) for row in rows)
            ]
            client.execute(statement, plain, settings={"strings_as_bytes": True})

        return measure(store, count, through_driver)
    finally:
        store.close()
        if server is not None:
            server.kill()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("chdb", "server"), default="chdb")
    parser.add_argument("--records", type=int, default=20_000)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="audit-insert-"))
    try:
        rates = run(options.store, options.records, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    result: dict[str, object] = {name: round(value) for name, value in rates.items()}
    result["ratio"] = round(rates["ours"] / rates["reference"], 2)
    result["batched_ratio"] = round(rates["ours"] / rates["batched_reference"], 2)
    print(json.dumps({"bench": "audit_insert", "store": options.store, "unit": "records/s", **result}))


if __name__ == "__main__":
    main()
