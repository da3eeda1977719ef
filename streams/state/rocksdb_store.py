"""Rows in RocksDB: one small database per partition, so that a restart reads only what it missed.

Owns the layout on disk and the memory bounds. Rows and their position are one write batch, so a crash leaves the store
behind the changelog, never beside it. Refuses to share a directory between processes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

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


class RocksDBPartition(PartitionStore):
    """One partition's rows in a database of its own."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(path), options)
            self._position = _read_position(self._db.get(_POSITION_KEY))
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
        row: bytes | None = self._db.get(key)
        return row

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self._db.items(from_key=_FIRST_ROW_KEY)

    def __len__(self) -> int:
        return sum(1 for _ in self._db.keys(from_key=_FIRST_ROW_KEY))

    def apply(self, rows: Mapping[bytes, bytes], position: StorePosition) -> None:
        """Write rows and position as one batch."""
        batch = WriteBatch(raw_mode=True)
        for key, row in rows.items():
            batch.put(key, row)
        batch.put(_POSITION_KEY, _write_position(position))
        self._db.write(batch)
        self._position = position

    def close(self) -> None:
        """Release the directory."""
        self._db.close()


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
