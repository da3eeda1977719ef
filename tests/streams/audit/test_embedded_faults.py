"""A process that writes to chDB is killed at arbitrary moments; the next one finds every record once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streams.audit.connect import open_store
from streams.audit.inserter import BatchInserter
from tests.streams.audit.records import margin_events, stored

ROOT = Path(__file__).resolve().parents[3]
END = 4000
CHUNK = 40

WRITER = """
import sys
from streams.audit.connect import open_store
from streams.audit.inserter import BatchInserter
from streams.audit.migrations import Migrator
from tests.streams.audit.records import margin_events

store = open_store(sys.argv[1])
Migrator(store).apply()
for first in range(int(sys.argv[2]), 4000, 40):
    BatchInserter(store).insert({("margin-events", 0): margin_events(first, 40)})
    print(first + 40, flush=True)
"""


def write_until_killed(url: str, first: int, batches: int) -> int:
    """Run the writer, kill it after so many batches, and return what it had acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(first)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = first
    for _ in range(batches):
        acknowledged = int(process.stdout.readline())
    process.kill()
    # The pipe may hold acknowledgements that were written before the end.
    for line in process.stdout.read().split():
        acknowledged = int(line)
    process.wait(timeout=30)
    return acknowledged


def test_a_killed_process_loses_nothing_it_acknowledged(spare_directory: str) -> None:
    acknowledged = 0
    for batches in (1, 4, 2):
        # The offsets of the last batch were not committed: the next process begins one batch earlier.
        acknowledged = write_until_killed(spare_directory, max(0, acknowledged - CHUNK), batches)
    store = open_store(spare_directory)
    try:
        found = stored(store, "margin-events")
        assert list(range(acknowledged)) == found[:acknowledged]
        assert len(set(found)) == len(found)
        BatchInserter(store).insert({("margin-events", 0): margin_events(acknowledged - CHUNK, END - acknowledged)})
        assert list(range(END - CHUNK)) == stored(store, "margin-events")
    finally:
        store.close()
