"""The fleet ledger: what the open commands of all accounts still want to trade, by input partition and instrument.

Owns the sums, kept up to date account by account, and how many accounts trade. A sum is a function of the open commands
of its partition's books and of nothing else: a worker that recovers a partition arrives at the same one, and how many
partitions share a worker changes no decision. Refuses to price the flow (``engine.fleet.flow``), to know books, and to
decide who is served.

Quantities are signed contracts in 10^-8: negative is selling. An account counts until its command closes; silence is no
proof that nothing will be traded any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from engine.books.account import OpenCommand
from engine.commands import FORCED_FLOW

_KINDS = frozenset(kind.value for kind in FORCED_FLOW)


def is_live(commands: Mapping[str, OpenCommand]) -> bool:
    """Whether any of ``commands`` trades at a price of the market."""
    return any(command.kind in _KINDS for command in commands.values())


def outstanding(commands: Mapping[str, OpenCommand]) -> dict[str, int]:
    """What ``commands`` may still trade at a price of the market, signed, by instrument; what nets to nothing is left
    out. After a final answer only the fills it announced are still on their way."""
    flow: dict[str, int] = {}
    for command in commands.values():
        if command.kind not in _KINDS:
            continue
        whole_e8 = abs(command.quantity_e8)
        if command.acked_filled_e8 is not None:
            whole_e8 = min(whole_e8, command.acked_filled_e8)
        left_e8 = max(whole_e8 - command.filled_e8, 0)
        signed_e8 = left_e8 if command.quantity_e8 > 0 else -left_e8
        flow[command.instrument] = flow.get(command.instrument, 0) + signed_e8
    return {instrument: quantity_e8 for instrument, quantity_e8 in flow.items() if quantity_e8}


@dataclass(slots=True)
class _Partition:
    """Sums of one partition: signed flow by instrument without zeros, and accounts that trade."""

    net_e8: dict[str, int] = field(default_factory=dict)
    live: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one account adds, and to which partition."""

    shard: int
    flow: Mapping[str, int]
    live: bool


class FleetLedger:
    """Sums over accounts, which are numbered by the caller; an account that trades nothing takes no room."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._entries: dict[int, _Entry] = {}

    def put(self, number: int, shard: int, commands: Mapping[str, OpenCommand]) -> bool:
        """``commands`` are open of the account now, whatever was before; whether that changes a sum."""
        entry = _Entry(shard, outstanding(commands), is_live(commands))
        before = self._entries.get(number)
        if before == entry or (before is None and not entry.live):
            return False
        self.drop((number,))
        if entry.live:
            self._entries[number] = entry
            self._add(entry, 1)
        return True

    def drop(self, numbers: Iterable[int]) -> None:
        """The accounts are gone; unknown ones are ignored."""
        for number in numbers:
            if (entry := self._entries.pop(number, None)) is not None:
                self._add(entry, -1)

    def members(self) -> Set[int]:
        """The accounts that trade."""
        return self._entries.keys()

    def live(self, shard: int) -> int:
        """How many accounts of a partition trade."""
        partition = self._partitions.get(shard)
        return 0 if partition is None else partition.live

    def net_e8(self, shard: int) -> Mapping[str, int]:
        """The signed flow of a partition by instrument, without zeros."""
        partition = self._partitions.get(shard)
        return {} if partition is None else partition.net_e8

    def of_others(self, number: int, shard: int, instruments: Iterable[str]) -> dict[str, int]:
        """The signed flow of everybody but the account, in ``instruments``, without zeros, ordered by instrument."""
        net, entry = self.net_e8(shard), self._entries.get(number)
        own = entry.flow if entry is not None and entry.shard == shard else {}
        found = {}
        for instrument in sorted(instruments):
            if others := net.get(instrument, 0) - own.get(instrument, 0):
                found[instrument] = others
        return found

    def _add(self, entry: _Entry, sign: int) -> None:
        partition = self._partitions.setdefault(entry.shard, _Partition())
        partition.live += sign * entry.live
        for instrument, quantity_e8 in entry.flow.items():
            if total := partition.net_e8.get(instrument, 0) + sign * quantity_e8:
                partition.net_e8[instrument] = total
            else:
                del partition.net_e8[instrument]
        if not partition.live:
            del self._partitions[entry.shard]
