"""Segments against aiokafka's own unpacking: the same records, the same positions, the same refusals."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException, TopicAuthorizationFailedError
from aiokafka.structs import ConsumerRecord

from streams.transport.record_batch import RecordBatch
from streams.transport.segments import limit_segments
from tests.streams.transport.wire import ABORT, COMMIT, GZIP, response, wire_batch

FILLS = TopicPartition("fills", 0)
Log = tuple[bytes, list[tuple[int, int]], int]


def buffered(records: PartitionRecords, position: int) -> tuple[FetchResult, Any]:
    """A fetch result as aiokafka holds it, and the state with its position."""
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user({FILLS})
    assignment = subscriptions.subscription.assignment
    state = assignment.state_value(FILLS)
    state.seek(position)
    return FetchResult(FILLS, assignment=assignment, partition_records=records, backoff=0), state


def random_log(rng: random.Random) -> Log:
    """Bytes of some batches with everything a log can have, the aborted transactions among them, and the end of the
    first batch: a broker answers with the batch that holds the position, and those after it."""
    data, aborted, offset, first_end = b"", [], 0, 0
    for _ in range(rng.randrange(1, 7)):
        length = rng.randrange(1, 12)
        end = offset + length
        first_end = first_end or end
        left = sorted(rng.sample(range(offset, end), rng.randrange(0, length + 1)))

        def content(number: int) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
            headers: list[tuple[str, bytes | None]] = [("n", b"%d" % number)] if number % 3 == 0 else []
            return (
                (None if number % 5 == 0 else b"k%d" % number),
                (None if number % 7 == 0 else b"v%d" % number),
                headers,
            )

        compression = rng.choice([0, GZIP])
        if rng.random() < 0.4:
            producer = rng.randrange(1, 3)
            verdict = rng.choice([ABORT, COMMIT])
            data += wire_batch(
                offset, left, end=end, content=content, producer=producer, transactional=True, compression=compression
            )
            if verdict == ABORT:
                aborted.append((producer, offset))
            data += wire_batch(end, [end], producer=producer, transactional=True, marker=verdict)
            end += 1
        else:
            data += wire_batch(offset, left, end=end, content=content, compression=compression)
        offset = end + rng.choice([0, 0, 3])
    return data, aborted, first_end


def addressed(record: Any) -> tuple[object, ...]:
    return (record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers))


@pytest.mark.parametrize("isolation", [READ_COMMITTED, READ_UNCOMMITTED])
@pytest.mark.parametrize("seed", range(60))
async def test_segments_hold_what_aiokafka_would_deliver_and_leave_the_same_position(seed: int, isolation: int) -> None:
    rng = random.Random(seed)
    data, aborted, first_end = random_log(rng)
    position = rng.randrange(first_end)
    stock, stock_state = buffered(response(FILLS, position, data, aborted, isolation_level=isolation), position)
    ours, state = buffered(response(FILLS, position, data, aborted, isolation_level=isolation), position)
    while ours.has_more():
        limit = rng.randrange(1, 5)
        limit_segments(ours, limit)
        segments = ours.getall(1)
        records = [record for segment in segments for record in segment.records]
        expected = stock.getall(len(records)) if records else stock.getall()
        assert len(records) <= limit
        assert [addressed(record) for record in records] == [addressed(record) for record in expected]
        assert state.position == stock_state.position
    assert not stock.has_more()


async def test_empty_log_still_moves_the_position_over_aborted_records() -> None:
    data = wire_batch(0, range(4), producer=1, transactional=True)
    data += wire_batch(4, [4], producer=1, transactional=True, marker=ABORT)
    result, state = buffered(response(FILLS, 0, data, [(1, 0)]), 0)
    limit_segments(result, 10)
    assert result.getall(1) == []
    assert state.position == 5


async def test_damaged_batch_is_refused_after_the_good_ones_before_it() -> None:
    damaged = bytearray(wire_batch(3, range(3, 6)))
    damaged[-1] ^= 1
    result, state = buffered(response(FILLS, 0, wire_batch(0, range(3)) + bytes(damaged)), 0)
    limit_segments(result, 10)
    (segment,) = result.getall(1)
    assert (segment.offset, segment.size, state.position) == (2, 33, 3)
    with pytest.raises(CorruptRecordException):
        result.getall(1)


async def test_paused_partition_yields_nothing() -> None:
    result, state = buffered(response(FILLS, 0, wire_batch(0, range(3))), 0)
    limit_segments(result, 10)
    state.pause()
    assert result.getall(1) == []
    assert not result.has_more()
    limit_segments(result, 10)


def test_error_that_waits_to_be_raised_is_left_alone() -> None:
    error = FetchError(error=TopicAuthorizationFailedError("fills"), backoff=0)
    limit_segments(error, 10)
    with pytest.raises(TopicAuthorizationFailedError):
        error.check_raise()


async def test_columns_and_records_of_a_batch_agree_with_gaps_and_without() -> None:
    for offsets in ([5, 6, 7], [5, 9, 20]):
        result, _ = buffered(response(FILLS, 5, wire_batch(5, offsets, end=30)), 5)
        limit_segments(result, 10)
        raw = result.getall(1)[0].records
        stamp = {"generation": 7, "version": 1}
        batch = RecordBatch(raw, topic="fills", partition=0, start=5, end=30, size=33, **stamp)
        assert batch.offsets.tolist() == offsets
        assert batch.offsets.dtype == batch.timestamps.dtype == "int64"
        assert batch.timestamps.tolist() == [1000 + offset for offset in offsets]
        assert (batch.keys, batch.values) == ([b"k"] * 3, [bytes(10)] * 3)
        assert [(record.topic, record.partition) for record in batch] == [("fills", 0)] * 3
        assert [addressed(record) for record in batch] == [addressed(record) for record in raw]
        assert batch.records is batch.records


def test_record_of_a_batch_has_what_a_consumer_record_has_under_the_same_names() -> None:
    assert {"topic", "partition", "offset", "timestamp", "key", "value", "headers"} <= set(
        ConsumerRecord.__dataclass_fields__
    )
