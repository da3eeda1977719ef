"""Local stores: the same tests for the dictionary and for RocksDB, and what only a disk can get wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streams.errors import StoreUnavailable
from streams.state.memory_store import MemoryStore
from streams.state.rocksdb_store import RocksDBStore
from streams.state.row_store import PartitionRows, RowStore, StorePosition

StoreMaker = Callable[[Path], RowStore]


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RowStore:
    return MemoryStore() if request.param == "memory" else RocksDBStore(tmp_path / "rows")


def test_fresh_partition_is_empty_and_has_applied_nothing(store: RowStore) -> None:
    partition = store.open(3)
    assert (dict(partition), len(partition), partition.position) == ({}, 0, StorePosition(-1, 0, {}))
    partition.close()


def test_applied_rows_and_position_are_read_back(store: RowStore) -> None:
    partition = store.open(0)
    partition.apply({b"a": b"1", b"b": b"2"}, StorePosition(10, 1, {"fills": 5}))
    partition.apply({b"a": b"3"}, StorePosition(12, 2, {"fills": 9, "collateral": 1}))
    assert dict(partition) == {b"a": b"3", b"b": b"2"}
    assert (partition.get(b"a"), partition.get(b"c"), len(partition)) == (b"3", None, 2)
    assert partition.position == StorePosition(12, 2, {"fills": 9, "collateral": 1})
    partition.close()


def test_partitions_do_not_share_rows(store: RowStore) -> None:
    first, second = store.open(0), store.open(1)
    first.apply({b"a": b"1"}, StorePosition(0, 1))
    assert (second.get(b"a"), second.position.offset) == (None, -1)
    first.close()
    second.close()


def test_view_of_rows_is_a_mapping(store: RowStore) -> None:
    partition = store.open(0)
    partition.apply({b"a": b"1", b"b": b""}, StorePosition(1, 1))
    rows = PartitionRows(partition)
    assert dict(rows.items()) == dict(rows) == {b"a": b"1", b"b": b""}
    assert (len(rows), b"a" in rows, b"x" in rows, rows[b"b"]) == (2, True, False, b"")
    with pytest.raises(KeyError):
        rows[b"x"]
    partition.close()


def test_rocksdb_partition_survives_being_closed(tmp_path: Path) -> None:
    partition = RocksDBStore(tmp_path).open(0)
    partition.apply({b"a": b"1"}, StorePosition(7, 3, {"fills": 2}))
    partition.close()
    again = RocksDBStore(tmp_path).open(0)
    assert (dict(again), again.position) == ({b"a": b"1"}, StorePosition(7, 3, {"fills": 2}))
    again.close()


def test_rocksdb_directory_in_use_is_refused_by_name(tmp_path: Path) -> None:
    holder = RocksDBStore(tmp_path).open(0)
    with pytest.raises(StoreUnavailable, match=r"partition-0.*give each its own"):
        RocksDBStore(tmp_path).open(0)
    holder.close()


def test_damaged_rocksdb_is_refused_with_the_remedy(tmp_path: Path) -> None:
    partition = RocksDBStore(tmp_path).open(0)
    partition.apply({b"a": b"1"}, StorePosition(1, 1))
    partition.close()
    (tmp_path / "partition-0" / "CURRENT").write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match="delete this directory"):
        RocksDBStore(tmp_path).open(0)


def test_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    partition = RocksDBStore(tmp_path).open(0)
    partition._db.put(b"\x00position", b"\x09" + bytes(16))
    partition.close()
    with pytest.raises(StoreUnavailable, match="store format 9"):
        RocksDBStore(tmp_path).open(0)
