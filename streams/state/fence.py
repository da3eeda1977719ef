"""The zombie fence: who owns a partition is written in its changelog, and an older owner's rows are read as nothing.

Owns the header of every changelog record and the rule that reads it. Taking a partition over, a worker appends an epoch
record with a number above every one it has read; each row carries its writer's epoch; a row whose epoch is below the
highest one before it in the log was written by an owner that had already been replaced, and is ignored. Because the
order of the log decides, all readers agree, whatever clocks and heartbeats said. Pure.

What compaction may do: the last record of a key survives, also when a replaced owner wrote it late. So whoever finds
such a row must write the good one again (``ChangelogWriter`` for a living owner, ``RowTable`` after recovery), and the
topic's ``min.compaction.lag.ms`` must be longer than the longest outage, so that it is found before it is the only one.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import NamedTuple

from streams.errors import PoisonChangelog

FORMAT = 1
EPOCH_KEY = b"\x00epoch"
RESERVED_PREFIX = b"\x00"
_HEADER = struct.Struct(">BQ")


class Kind(Enum):
    """What a changelog record means for the reader."""

    ROW = "row"
    EPOCH = "epoch"
    OUTDATED = "outdated"


class Entry(NamedTuple):
    """A changelog record as the fence reads it; ``payload`` is the row without its header."""

    kind: Kind
    key: bytes
    payload: bytes
    epoch: int


def seal(epoch: int, payload: bytes) -> bytes:
    """The changelog value of a row: format version, owner epoch, payload."""
    return _HEADER.pack(FORMAT, epoch) + payload


class Fence:
    """The highest epoch read of one partition, and the verdict on each further record in offset order. ``where`` names
    the partition in errors."""

    __slots__ = ("epoch", "where")

    def __init__(self, where: str, epoch: int = 0) -> None:
        self.where = where
        self.epoch = epoch

    def header(self) -> bytes | None:
        """How values of the present owner begin; None before the first owner. A record with this header and a key that
        is not reserved is a row whose payload follows: most are, and need not be admitted one by one."""
        return _HEADER.pack(FORMAT, self.epoch) if self.epoch >= 1 else None

    def admit(self, key: bytes | None, value: bytes | None, offset: int) -> Entry:
        """Read the record at ``offset``. Raises ``PoisonChangelog`` for what no owner ever wrote."""
        if key is None or value is None:
            raise self._poison(offset, "it has no key" if key is None else "it is a tombstone")
        if len(value) < _HEADER.size:
            raise self._poison(offset, f"its value has {len(value)} bytes, a header alone has {_HEADER.size}")
        version, epoch = _HEADER.unpack_from(value)
        if version != FORMAT:
            raise self._poison(offset, f"it has format {version}, this version reads {FORMAT}")
        if epoch < 1:
            raise self._poison(offset, "no owner has epoch 0")
        payload = value[_HEADER.size :]
        if epoch < self.epoch:
            return Entry(Kind.OUTDATED, key, payload, epoch)
        if key == EPOCH_KEY:
            # An equal one lost the race for its number; its writer sees that and takes another.
            kind = Kind.EPOCH if epoch > self.epoch else Kind.OUTDATED
            self.epoch = epoch
            return Entry(kind, key, payload, epoch)
        if key.startswith(RESERVED_PREFIX):
            raise self._poison(offset, f"its key {key!r} is reserved and unknown")
        # The epoch record itself may have been compacted away by a later one; its rows testify to it.
        self.epoch = epoch
        return Entry(Kind.ROW, key, payload, epoch)

    def _poison(self, offset: int, why: str) -> PoisonChangelog:
        return PoisonChangelog(
            f"{self.where} offset {offset}: {why}. Something else writes to this topic, or a newer version did. Stop "
            "the writer; to skip the record, stop all workers, delete their local stores and remove it from the "
            "topic, or start a new application id with a replay plan."
        )
