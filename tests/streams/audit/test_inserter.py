"""Every record once, however often it is delivered and wherever the process dies; plain counts, without FINAL."""

from __future__ import annotations

import random

import pytest

from streams.audit.errors import LogReplaced
from streams.audit.inserter import BatchInserter
from streams.audit.records import AuditRecord
from streams.audit.store import AuditStore
from streams.audit.tables import FILLS, STATUS_CHANGES, tables_of
from tests.streams.audit.crashing import CrashingStore, Killed
from tests.streams.audit.records import START_MS, fills, margin_events, stored

MONTH_MS = 31 * 86_400_000
# One look-up, six tables of margin events, fills, progress.
CALLS_PER_BATCH = 9


def batch_of(first: int, count: int) -> dict[tuple[str, int], list[AuditRecord]]:
    """Two partitions of a topic that is split over six tables, and one of another topic."""
    return {
        ("margin-events", 0): margin_events(first, count),
        ("margin-events", 1): margin_events(first + 1000, count),
        ("fills", 0): fills(first, count),
    }


def check_exactly(store: AuditStore, first: int, end: int) -> None:
    assert list(range(first, end)) == stored(store, "margin-events", 0)
    assert list(range(first + 1000, end + 1000)) == stored(store, "margin-events", 1)
    assert list(range(first, end)) == stored(store, "fills", 0)


def test_a_batch_goes_to_the_tables_of_its_topics(store: AuditStore) -> None:
    inserter = BatchInserter(store)
    assert 105 == inserter.insert(batch_of(0, 35))
    check_exactly(store, 0, 35)
    assert {("margin-events", 0): 34, ("margin-events", 1): 1034, ("fills", 0): 34} == inserter.progress()
    counts = {
        table.name: store.query(f"SELECT count() FROM {table.name} WHERE valid = 1").rows[0][0]
        for table in tables_of("margin-events")
    }
    assert {table.name: 10 for table in tables_of("margin-events")} == counts
    assert [(10,)] == store.query("SELECT count() FROM status_changes WHERE valid = 0").rows


def test_repeating_a_batch_changes_nothing(store: AuditStore) -> None:
    assert 105 == BatchInserter(store).insert(batch_of(0, 35))
    assert 0 == BatchInserter(store).insert(batch_of(0, 35))
    assert 0 == BatchInserter(store).insert(batch_of(5, 20))
    check_exactly(store, 0, 35)


def test_an_overlapping_batch_adds_only_what_is_new(store: AuditStore) -> None:
    inserter = BatchInserter(store)
    inserter.insert(batch_of(10, 20))
    assert 45 == inserter.insert(batch_of(0, 35))
    check_exactly(store, 0, 35)


def test_a_record_repeated_inside_a_batch_is_stored_once(store: AuditStore) -> None:
    assert 5 == BatchInserter(store).insert({("fills", 0): sorted(fills(0, 5) + fills(2, 3))})
    assert [0, 1, 2, 3, 4] == stored(store, "fills")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, CALLS_PER_BATCH + 1))
def test_a_crash_at_any_call_loses_and_doubles_nothing(store: AuditStore, at: int, after: bool) -> None:
    crashing = CrashingStore(store, at, after=after)
    with pytest.raises(Killed):
        BatchInserter(crashing).insert(batch_of(0, 35))
    assert at == crashing.calls
    progress = BatchInserter(store).progress()
    for (topic, partition), through in progress.items():
        base = 1000 if partition else 0
        assert set(range(base, through + 1)) <= set(stored(store, topic, partition))
    # The next owner cuts its batches elsewhere.
    survivor = BatchInserter(store)
    survivor.insert(batch_of(0, 11))
    survivor.insert(batch_of(11, 39))
    check_exactly(store, 0, 50)


def test_no_call_was_left_out_of_the_crash_test(store: AuditStore) -> None:
    counting = CrashingStore(store, 10**9, after=False)
    BatchInserter(counting).insert(batch_of(0, 35))
    assert CALLS_PER_BATCH == counting.calls


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_of_random_crashes_ends_with_every_record_once(chdb_store: AuditStore, seed: int) -> None:
    chance = random.Random(seed)
    committed, end = 0, 100
    while committed < end:
        store = CrashingStore(chdb_store, chance.randint(1, 30), after=chance.random() < 0.5)
        inserter, position = BatchInserter(store), committed
        try:
            while position < end:
                count = min(chance.randint(1, 25), end - position)
                inserter.insert(batch_of(position, count))
                position += count
                if chance.random() < 0.5:
                    committed = position
            committed = position
        except Killed:
            continue
    check_exactly(chdb_store, 0, end)


def test_an_insert_of_which_one_month_arrived_is_completed(store: AuditStore) -> None:
    records = [record._replace(timestamp_ms=START_MS + (record.offset % 3) * MONTH_MS) for record in fills(0, 30)]
    only_one_month = [record for record in records if record.offset % 3 == 1]
    BatchInserter(store).insert({("fills", 0): only_one_month})
    BatchInserter(store).insert({("fills", 0): records})
    assert list(range(30)) == stored(store, "fills")


def test_publishers_cannot_stop_the_audit_with_absurd_times(store: AuditStore) -> None:
    times = [None, -1, 0, 2**62, *(START_MS + month * MONTH_MS for month in range(110))]
    records = [record._replace(timestamp_ms=times[record.offset]) for record in fills(0, len(times))]
    BatchInserter(store).insert({("fills", 0): records})
    assert list(range(len(times))) == stored(store, "fills")
    assert list(range(len(times))) == stored(store, "fills", final=True)


def test_gaps_between_offsets_are_kept_as_they_are(store: AuditStore) -> None:
    records = [record for record in fills(0, 40) if record.offset % 4]
    BatchInserter(store).insert({("fills", 0): records[:10]})
    BatchInserter(store).insert({("fills", 0): records})
    assert [record.offset for record in records] == stored(store, "fills")


def test_partitions_may_move_between_writers_and_back(store: AuditStore) -> None:
    first, second = BatchInserter(store), BatchInserter(store)
    first.insert({("fills", 0): fills(0, 10)})
    second.insert({("fills", 0): fills(10, 10)})
    # The second writer stored 20..29 and died before its offsets were committed.
    second.insert({("fills", 0): fills(20, 10)})
    first.insert({("fills", 0): fills(20, 15)})
    assert list(range(35)) == stored(store, "fills")


def test_a_record_that_an_earlier_release_could_not_decode_is_not_stored_again(store: AuditStore) -> None:
    records = margin_events(0, 5)
    BatchInserter(store).insert({("margin-events", 0): [record._replace(value=b"?") for record in records]})
    BatchInserter(store).insert({("margin-events", 0): records})
    assert [0, 1, 2, 3, 4] == stored(store, "margin-events")
    assert [(5,)] == store.query(f"SELECT count() FROM {STATUS_CHANGES.name}").rows


def test_two_writers_at_once_leave_repeats_that_final_removes(server_store: AuditStore) -> None:
    rows_before = BatchInserter(server_store)

    class Behind(CrashingStore):
        """A writer that was paused between its look-up and its insert while another took over."""

        def _done(self) -> None:
            if self.calls == 1:
                rows_before.insert({("fills", 0): fills(0, 10)})

    BatchInserter(Behind(server_store, 0, after=True)).insert({("fills", 0): fills(0, 10)})
    assert list(range(10)) == stored(server_store, "fills", final=True)


def test_the_token_names_the_records_and_the_table(chdb_store: AuditStore) -> None:
    tokens: list[str] = []

    class Listening(CrashingStore):
        def insert(self, table: object, rows: object, token: str = "") -> None:
            tokens.append(token)

    inserter = BatchInserter(Listening(chdb_store, 0, after=True))
    for batch in (fills(0, 3), fills(0, 3), fills(0, 4), fills(1, 3)):
        inserter.insert({("fills", 0): batch})
    inserter.insert({("fills", 1): fills(0, 3)})
    of_fills = [token for token in tokens if token]
    assert of_fills[0] == of_fills[1]
    assert 4 == len(set(of_fills))


def test_a_topic_made_anew_is_noticed(store: AuditStore) -> None:
    inserter = BatchInserter(store)
    inserter.insert({("fills", 0): fills(0, 10), ("fills", 1): fills(0, 3)})
    inserter.check_log({("fills", 0): 10, ("fills", 1): 30, ("marks", 0): 0})
    with pytest.raises(LogReplaced, match="fills/0 ends at offset 9, but the audit holds offset 9"):
        inserter.check_log({("fills", 0): 9})


def test_the_bytes_of_every_record_are_kept(store: AuditStore) -> None:
    records = [AuditRecord(offset, None, bytes([offset]), bytes([255 - offset, 0, 10])) for offset in range(256)]
    BatchInserter(store).insert({("fills", 0): records})
    answer = store.query(f"SELECT src_offset, key, raw FROM {FILLS.name} FINAL ORDER BY src_offset")
    assert [(record.offset, record.key, record.value) for record in records] == answer.rows
