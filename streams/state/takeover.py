"""Taking a partition over: the claim that makes this worker the one whose rows count.

Owns the handshake with the changelog. The claim is an epoch record, and its own offset tells whether anybody wrote
after recovery had read to the end: that stretch is read and applied, so the new owner starts from everything that
earlier owners wrote before the claim, and readers ignore what they write after it. Two workers that claim the same
number at once see each other's record; the earlier one holds it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streams.errors import ChangelogBehindStore
from streams.state.changelog import BatchProducer, ReadRange
from streams.state.fence import EPOCH_KEY, seal
from streams.state.replica import Replica


async def claim(
    replica: Replica,
    producer: BatchProducer,
    read_range: ReadRange,
    check_right: Callable[[], Awaitable[None]],
    owner: str,
) -> int:
    """Append an epoch record for ``owner`` until one holds, and return its epoch.

    Afterwards the replica stands at the claim's offset. Raises ``OwnershipLost`` (from ``check_right``) when the right
    to the partition ends meanwhile, ``ChangelogBehindStore`` when the log ends before what the store holds.
    """
    while True:
        await check_right()
        epoch = replica.fence.epoch + 1
        offset = await _append(replica, producer, epoch, owner)
        if offset <= replica.offset:
            raise ChangelogBehindStore(
                f"{replica.topic}-{replica.partition}: the log continues at {offset}, the store holds "
                f"{replica.offset}: the topic was replaced. Delete the local store to recover from the topic."
            )
        if offset > replica.offset + 1:
            replica.replay(await read_range(replica.partition, replica.offset + 1, offset))
        if replica.fence.epoch < epoch:
            await check_right()
            replica.advance(offset, epoch, {}, {})
            return epoch
        replica.advance(offset, replica.fence.epoch, {}, {})


async def _append(replica: Replica, producer: BatchProducer, epoch: int, owner: str) -> int:
    batch = producer.create_batch()
    batch.append(timestamp=None, key=EPOCH_KEY, value=seal(epoch, owner.encode()))
    batch.close()
    delivery = await producer.send_batch(batch, replica.topic, partition=replica.partition)
    return (await delivery).offset
