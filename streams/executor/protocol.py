"""The rules every executor of liquidation commands must keep, as a state machine of one partition of accounts.

Owns the order of checks and what has to be remembered for them: the highest epoch seen of the partition; per account
the sequence and the version come to; per command the newest answer and what is filled; ids declared void. Refuses
Kafka, prices and trading: what lies outside is asked for (``Surroundings``). A venue's own executor can use it as is.

A repeated command gets its newest answer again, whatever else holds, because that executes nothing. For any other the
first check that fails decides:

1. halted     no hold on its account, its instrument, the venue or everything stops it (``holds``): or rejected
2. epoch      at least the highest seen of the partition: or rejected, and its sequence number is not used up
3. sequence   one more than the account's last. A later one waits for those before it until it expires; then it is
              rejected and the count goes on from it. An earlier one is rejected
4. expiry     its time has not come: or expired
5. version    at least the account version already seen: or rejected
6. superseded no command that was obeyed has declared it void: or cancelled
7. reducing   a leg that is reduce-only does not trade beyond the position known here: or rejected

A command that only takes back (``cancel_orders``, ``release``) does not wait for those before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from schemas.events.liquidations import AckReason, LiquidationAckV1, LiquidationCommandV1
from streams.executor.holds import is_taking_back
from streams.translate import to_e8

FINAL_STATES = ("filled", "rejected", "expired", "cancelled", "failed")
KNOWN_MAX = 100_000
"""Commands remembered; an older one has expired long since."""
AckState = Literal["accepted", "partially_filled", "filled", "rejected", "expired", "cancelled", "failed"]


class Ruling(Enum):
    """What to do with a command that is not refused."""

    EXECUTE = "execute"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The final answer to a command that is not executed."""

    state: Literal["rejected", "expired", "cancelled"]
    reason: AckReason
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks ask of the world: the time; the hold that stops a command, as text; whether everything that the
    decision had seen is known here too; and the signed position (10^-8) of the command's account in its instrument,
    without what the command itself has traded (None: not known here)."""

    now_us: int
    holding: Callable[[LiquidationCommandV1], str | None]
    is_current: Callable[[LiquidationCommandV1], bool]
    position_e8: Callable[[LiquidationCommandV1], int | None]


@dataclass(slots=True)
class KnownCommand:
    """What is remembered of a command: its newest answer, and the content under which its id is known."""

    answer: LiquidationAckV1 | None = None
    content: tuple[object, ...] | None = None

    @property
    def is_final(self) -> bool:
        return self.answer is not None and self.answer.state in FINAL_STATES


@dataclass(slots=True)
class _AccountCount:
    """How far an account has come. ``unused`` are numbers above ``sequence`` that stale commands bore."""

    sequence: int | None = None
    version: int = 0
    unused: set[int] = field(default_factory=set)


def content_of(command: LiquidationCommandV1) -> tuple[object, ...]:
    """What two commands of one id must have in common."""
    return (
        command.account, command.kind, command.sequence, command.instrument, command.side, command.quantity,
        command.limit_price,
    )  # fmt: skip


class PartitionProtocol:
    """The checks of one partition and their memory. ``complete``: its commands are known from the first one ever; if
    not, an account's first command may bear any number."""

    def __init__(self, complete: bool = True) -> None:
        self.epoch = 0
        self._complete = complete
        self._accounts: dict[str, _AccountCount] = {}
        self._known: OrderedDict[str, KnownCommand] = OrderedDict()
        self._void: OrderedDict[str, str] = OrderedDict()
        self._stale: set[tuple[str, int]] = set()

    def recall(self, answer: LiquidationAckV1) -> None:
        """Take an answer of an earlier life from ``liquidation-acks``. Out of order they may come: final ones stay."""
        self.epoch = max(self.epoch, answer.epoch_seen or 0)
        if answer.reason == "epoch_stale":
            self._stale.add((answer.command_id, int(answer.event_id.rpartition(":")[2])))
        elif answer.reason != "duplicate" and not self.known(answer.command_id).is_final:
            self.known(answer.command_id).answer = answer

    def was_answered(self, command: LiquidationCommandV1) -> bool:
        """Whether an earlier life has answered ``command`` for good, so that reading it again changes the counts and
        nothing else; counts it if so."""
        if (command.command_id, command.epoch) in self._stale:
            self._count(command.account).unused.add(command.sequence)
        elif self.known(command.command_id).is_final:
            self.see(command)
            self.known(command.command_id).content = content_of(command)
            self.pass_by(command)
            self.declare_void(command)
        else:
            return False
        return True

    def known(self, command_id: str) -> KnownCommand:
        """The memory of a command; it is begun if there is none."""
        known = self._known.get(command_id)
        if known is None:
            known = self._known[command_id] = KnownCommand()
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return known

    def is_final(self, command_id: str) -> bool:
        """Whether the command has been answered for good."""
        known = self._known.get(command_id)
        return known is not None and known.is_final

    def see(self, command: LiquidationCommandV1) -> None:
        """Note the epoch of a command that has come in."""
        self.epoch = max(self.epoch, command.epoch)

    def check(self, command: LiquidationCommandV1, at: Surroundings) -> Ruling | Refusal:
        """What becomes of a command that is not known yet. Changes nothing; see ``pass_by``."""
        if (hold := at.holding(command)) is not None:
            return Refusal("rejected", "halted", hold)
        if command.epoch < self.epoch:
            return Refusal("rejected", "epoch_stale", f"epoch {self.epoch} has been seen")
        is_expired = command.expires_us <= at.now_us
        if not is_taking_back(command):
            due = self._next(command.account, command.sequence)
            if due is not None and command.sequence > due and not is_expired:
                return Ruling.WAIT
            if due is not None and command.sequence != due:
                return Refusal("rejected", "sequence_gap", f"{due} was expected")
        if is_expired and command.kind != "release":
            return Refusal("expired", "expired")
        if command.account_version < self._count(command.account).version:
            return Refusal("rejected", "version_mismatch", f"{self._count(command.account).version} has been seen")
        if command.command_id in self._void:
            return Refusal("cancelled", "superseded", f"by {self._void[command.command_id]}")
        if not is_taking_back(command) and not at.is_current(command):
            return Ruling.WAIT
        return _check_reducing(command, at) or Ruling.EXECUTE

    def pass_by(self, command: LiquidationCommandV1, refusal: Refusal | None = None) -> None:
        """Count a command that has been ruled on."""
        count = self._count(command.account)
        if refusal is not None and refusal.reason == "epoch_stale":
            count.unused.add(command.sequence)
            return
        count.sequence = max(count.sequence or 0, command.sequence)
        count.unused = {number for number in count.unused if number > count.sequence}
        if refusal is None:
            count.version = max(count.version, command.account_version)

    def declare_void(self, command: LiquidationCommandV1) -> None:
        """Note what a command that is obeyed supersedes, so that what has not come in yet is void as well."""
        for command_id in command.supersedes:
            self._void[command_id] = command.command_id
            if len(self._void) > KNOWN_MAX:
                self._void.popitem(last=False)

    def _count(self, account: str) -> _AccountCount:
        return self._accounts.setdefault(account, _AccountCount())

    def _next(self, account: str, sequence: int) -> int | None:
        """The number that may come next, ``sequence`` if only unused ones lie before it; None if any may."""
        count = self._count(account)
        if count.sequence is None and not self._complete:
            return None
        due = (count.sequence or 0) + 1
        while due < sequence and due in count.unused:
            due += 1
        return due


def _check_reducing(command: LiquidationCommandV1, at: Surroundings) -> Refusal | None:
    if not command.reduce_only or command.quantity is None:
        return None
    held_e8 = at.position_e8(command)
    if held_e8 is None:
        return None
    traded_e8 = to_e8(command.quantity, "quantity") * (1 if command.side == "buy" else -1)
    if held_e8 * traded_e8 < 0 and abs(traded_e8) <= abs(held_e8):
        return None
    return Refusal("rejected", "not_reducing", f"the position is {held_e8 / 1e8:g}")
