"""Kafka batches as a broker sends them: with gaps, markers, transactions and compression, and right checksums.

Owns the few header fields that aiokafka's builder leaves to the broker.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

ABORT, COMMIT = 0, 1
GZIP = 1
_BASE_OFFSET, _CRC, _ATTRIBUTES, _LAST_DELTA = 0, 17, 21, 23
_CONTROL_BIT = 0x20

Content = Callable[[int], tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]


def plain(offset: int) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    """A key of one byte and a value of ten."""
    del offset
    return b"k", bytes(10), []


def wire_batch(
    base: int,
    offsets: Sequence[int],
    *,
    end: int | None = None,
    content: Content = plain,
    producer: int = -1,
    transactional: bool = False,
    compression: int = 0,
    marker: int | None = None,
) -> bytes:
    """One batch that begins at offset ``base`` and ends before ``end``, with records left at ``offsets``.

    ``marker`` makes it the control batch that ends a transaction.
    """
    builder = DefaultRecordBatchBuilder(2, compression, int(transactional), producer, 0, 0, 1 << 26)
    for offset in offsets:
        key, value, headers = content(offset)
        if marker is not None:
            key, value = struct.pack(">hh", 0, marker), struct.pack(">hi", 0, 0)
        assert builder.append(offset - base, 1000 + offset, key, value, headers) is not None, "the batch is full"
    data = builder.build()
    struct.pack_into(">q", data, _BASE_OFFSET, base)
    if end is not None:
        struct.pack_into(">i", data, _LAST_DELTA, end - 1 - base)
    if marker is not None:
        (attributes,) = struct.unpack_from(">h", data, _ATTRIBUTES)
        struct.pack_into(">h", data, _ATTRIBUTES, attributes | _CONTROL_BIT)
    struct.pack_into(">I", data, _CRC, calc_crc32c(data[_ATTRIBUTES:]))
    return bytes(data)


def response(
    tp: TopicPartition, position: int, data: bytes, aborted: Sequence[tuple[int, int]] = (), **options: Any
) -> PartitionRecords:
    """What aiokafka makes of the answer to a fetch at ``position``; ``aborted`` are producers and first offsets."""
    settings = {"check_crcs": True, "isolation_level": READ_COMMITTED} | options
    return PartitionRecords(tp, MemoryRecords(data), list(aborted), position, None, None, **settings)
