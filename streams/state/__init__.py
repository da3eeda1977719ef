"""Durable state by partition: rows of bytes, changelogged before they count, fenced against replaced owners.

Use it so::

    table = row_table(
        app, "accounts",
        partitions=8,
        row_store=RocksDBStore(Path(data_dir) / "accounts"),   # or MemoryStore()
        sources=["fills", "collateral"],                       # must have as many partitions
        encode=lambda partition, keys: ...,                    # their rows as they stand now, called while flushing
        on_partition_recovered=load,                           # (partition, rows: Mapping[bytes, bytes])
        on_partition_lost=drop,                                # (partition)
    )

    table.mark_dirty(batch.partition, key)                     # or table.put(partition, key, row)
    durable = await table.flush(batch.partition, generation=batch.generation, sources={"fills": batch.offset})
    await durable                                              # before a command leaves; commits wait by themselves

``on_partition_recovered`` comes once per takeover, with every durable row, before any batch of the partition is
delivered; ``on_partition_lost`` comes before the next takeover of the same partition, here or elsewhere. A rebalance
that leaves a partition where it was, with nobody else having written, fires neither. Standbys fire neither. Writing
needs ownership: outside of it ``put``, ``mark_dirty`` and ``flush`` raise ``OwnershipLost``.
"""

from streams.state.memory_store import MemoryStore
from streams.state.rocksdb_store import RocksDBStore
from streams.state.row_store import PartitionStore, RowStore, StorePosition
from streams.state.row_table import RowTable, row_table

__all__ = ["MemoryStore", "PartitionStore", "RocksDBStore", "RowStore", "RowTable", "StorePosition", "row_table"]
