"""The chain ledger: how far each partition may be committed, told by positions and not by offsets.

Owns one chain of delivered batches per partition. A batch spans positions from where the fetch stood before it to where
it stood after, so compacted offsets and transaction markers leave no holes, and the end of the acknowledged prefix is
the one offset that may be committed. Pure: no clock, no I/O, no Kafka types. Refuses to know what a batch contains.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from streams.errors import LedgerHole

Partition = TypeVar("Partition", bound=Hashable)


class Delivered(Protocol):
    """A delivered batch as the ledger sees it: something that becomes acknowledged."""

    @property
    def acked(self) -> bool:
        """Whether every stream is done with it."""


@dataclass(slots=True)
class _Chain:
    version: int
    position: int
    tail: int
    links: deque[tuple[int, Delivered]] = field(default_factory=deque)


class ChainLedger(Generic[Partition]):
    """Chains of delivered batches by partition.

    ``version`` counts the seeks of a partition: a chain belongs to one version, a newer one starts over at its first
    batch, and a batch of an older one (fetched before the seek) is refused.
    """

    def __init__(self) -> None:
        self._chains: dict[Partition, _Chain] = {}

    def add(self, partition: Partition, version: int, start: int, end: int, delivered: Delivered) -> bool:
        """Append a batch that moved the position from ``start`` to ``end``; False when it is from before a seek.

        Raises ``LedgerHole`` when ``start`` is not where the chain ends.
        """
        assert start < end, f"a batch must move the position, got {start} to {end}"
        chain = self._chains.get(partition)
        if chain is not None and version < chain.version:
            return False
        if chain is None or version > chain.version:
            chain = self._chains[partition] = _Chain(version, position=start, tail=start)
        if start != chain.tail:
            raise LedgerHole(
                f"{partition}: fetched records {chain.tail} to {start - 1} never reached a stream; "
                "restart the worker, it resumes at the committed offset"
            )
        chain.links.append((end, delivered))
        chain.tail = end
        return True

    def position(self, partition: Partition) -> int | None:
        """The end of the acknowledged prefix: the offset to commit. None when nothing was delivered."""
        chain = self._chains.get(partition)
        if chain is None:
            return None
        links = chain.links
        while links and links[0][1].acked:
            chain.position = links.popleft()[0]
        return chain.position

    def pending(self, partition: Partition) -> int:
        """How many delivered batches are not yet part of the acknowledged prefix."""
        self.position(partition)
        chain = self._chains.get(partition)
        return len(chain.links) if chain is not None else 0

    def forget(self, partitions: Iterable[Partition] | None = None) -> None:
        """Drop the chains of ``partitions`` (of all when None): what they delivered can no longer be committed."""
        if partitions is None:
            self._chains.clear()
            return
        for partition in list(partitions):
            self._chains.pop(partition, None)
