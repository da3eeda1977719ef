"""What can go wrong in the streaming shell, sorted by what the worker must do about it.

Owns the error tree of transport and state. Three kinds: a configuration the worker refuses to start with, an ownership
that ended (drop the batch, its next owner repeats it), and damage that must stop the worker loudly. Bad input is none
of these: it becomes a dead letter. Refuses to know who raises what when.

StreamsError
├── UnsafeConfiguration
├── OwnershipLost
│   ├── NotOwner
│   ├── StaleGeneration
│   └── LeaseExpired
└── FatalStreamError
    ├── DurabilityLost
    ├── Fenced
    ├── SourceJumped
    ├── LedgerHole
    ├── PoisonChangelog
    ├── ChangelogTruncated
    ├── ChangelogBehindStore
    ├── RecoveryGap
    ├── RecoveryStalled
    ├── StoreUnavailable
    ├── RowTooLarge
    └── BroadcastFailed
"""

from __future__ import annotations


class StreamsError(Exception):
    """Base of every error of this package's machinery."""


class UnsafeConfiguration(StreamsError):
    """The worker would run, but not keep its promises; it refuses to start. The text names the setting and the fix."""


class OwnershipLost(StreamsError):
    """The partition is no longer (or not yet) this worker's. Drop the batch unacknowledged; its owner repeats it."""


class NotOwner(OwnershipLost):
    """The partition was never taken over, is being recovered, or was given up."""


class StaleGeneration(OwnershipLost):
    """The batch was fetched under an earlier generation of the consumer group."""


class LeaseExpired(OwnershipLost):
    """No heartbeat was answered within the session timeout: another worker may own the partition by now."""


class FatalStreamError(StreamsError):
    """The worker must stop: going on would lose, double or corrupt something. The text says what to do."""


class DurabilityLost(FatalStreamError):
    """A write that committed offsets depend on failed."""


class Fenced(FatalStreamError):
    """Another worker claimed a partition that this worker still held by all other signs."""


class SourceJumped(FatalStreamError):
    """A partition's fetch position moved by itself: its log lost records that were never read."""


class LedgerHole(FatalStreamError):
    """Records were fetched and not delivered; committing past them would lose them."""


class PoisonChangelog(FatalStreamError):
    """A changelog record was not written by this table."""


class ChangelogTruncated(FatalStreamError):
    """The changelog no longer reaches back to what the local store holds: rows are missing."""


class ChangelogBehindStore(FatalStreamError):
    """The local store is ahead of its changelog: the topic was deleted, or the broker lost its tail."""


class RecoveryGap(FatalStreamError):
    """Changelog records were fetched and lost in a rebalance; the rows would be incomplete."""


class RecoveryStalled(FatalStreamError):
    """Recovery made no progress for too long."""


class StoreUnavailable(FatalStreamError):
    """The local store cannot be opened: locked by another process, or damaged."""


class RowTooLarge(FatalStreamError):
    """A row does not fit into one produce request."""


class BroadcastFailed(FatalStreamError):
    """A broadcast topic cannot be followed: missing, truncated under the reader, or refused."""
