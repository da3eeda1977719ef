"""Rows in RocksDB: one small database per partition, so that a restart reads only what it missed.

Owns the layout on disk and the memory bounds. Rows and their position are one write batch, so a crash leaves the store
behind the changelog, never beside it. Small writes wait for one another, up to ``_WAIT_S`` and ``_WAIT_ROWS``: an
account that trades many times a second is written once, and what a crash takes with it is read again from the
changelog. Refuses to share a directory between processes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic

from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from streams.errors import StoreUnavailable
from streams.state.row_store import PartitionStore, RowStore, StorePosition

_POSITION_KEY = b"\x00position"
_FIRST_ROW_KEY = b"\x01"
_FORMAT = 1
_POSITION = struct.Struct(">BqQ")

_WRITE_BUFFER_BYTES = 8 * 1024 * 1024
_WRITE_BUFFERS = 2
_BLOCK_CACHE_BYTES = 64 * 1024 * 1024
_OPEN_FILES = 256
_INFO_LOG_BYTES = 1024 * 1024
_WAIT_S = 0.5
_WAIT_ROWS = 8192


class RocksDBPartition(PartitionStore):
    """One partition's rows in a database of its own."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(path), options)
            self._position = _read_position(self._db.get(_POSITION_KEY))
            self._waiting: dict[bytes, bytes] = {}
            self._waits_since: float | None = None
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}") from error
        except Exception as error:  # rocksdict raises bare Exception for everything RocksDB reports
            raise StoreUnavailable(
                f"{path}: {error}. Locked: another worker uses this data directory, give each its own. "
                "Damaged: delete this directory, the rows are read again from the changelog."
            ) from error

    @property
    def position(self) -> StorePosition:
        """How far the rows are."""
        return self._position

    def get(self, key: bytes) -> bytes | None:
        """One row."""
        row: bytes | None = self._waiting.get(key)
        return row if row is not None else self._db.get(key)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        self._write()
        yield from self._db.items(from_key=_FIRST_ROW_KEY)

    def __len__(self) -> int:
        self._write()
        return sum(1 for _ in self._db.keys(from_key=_FIRST_ROW_KEY))

    def apply(self, rows: Mapping[bytes, bytes], position: StorePosition) -> None:
        """Take over rows and position; they are on disk together with the next ones, or when the store is closed."""
        now = monotonic()
        if self._waits_since is None:
            self._waits_since = now
        self._waiting.update(rows)
        self._position = position
        if len(self._waiting) >= _WAIT_ROWS or now - self._waits_since >= _WAIT_S:
            self._write()

    def close(self) -> None:
        """Write what waits and release the directory."""
        self._write()
        self._db.close()

    def _write(self) -> None:
        """Write everything that waits, and the position that it leads to, as one batch."""
        if self._waits_since is None:
            return
        batch = WriteBatch(raw_mode=True)
        for key, row in self._waiting.items():
            batch.put(key, row)
        batch.put(_POSITION_KEY, _write_position(self._position))
        self._db.write(batch)
        self._waiting, self._waits_since = {}, None


class RocksDBStore(RowStore):
    """Databases below ``directory``, one per partition, sharing one bounded block cache."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cache = Cache(_BLOCK_CACHE_BYTES)

    def open(self, partition: int) -> RocksDBPartition:
        """Open or create a partition's database; raises ``StoreUnavailable``."""
        return RocksDBPartition(self._directory / f"partition-{partition}", self._options())

    def _options(self) -> Options:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(_WRITE_BUFFERS)
        options.set_max_open_files(_OPEN_FILES)
        options.set_max_log_file_size(_INFO_LOG_BYTES)
        options.set_keep_log_file_num(2)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_bloom_filter(10, False)
        options.set_block_based_table_factory(blocks)
        return options


def _write_position(position: StorePosition) -> bytes:
    head = _POSITION.pack(_FORMAT, position.offset, position.epoch)
    return head + json.dumps(dict(position.sources), sort_keys=True).encode()


def _read_position(data: bytes | None) -> StorePosition:
    if data is None:
        return StorePosition()
    version, offset, epoch = _POSITION.unpack_from(data)
    if version != _FORMAT:
        raise ValueError(f"store format {version}, this version reads {_FORMAT}")
    return StorePosition(offset, epoch, json.loads(data[_POSITION.size :]))
