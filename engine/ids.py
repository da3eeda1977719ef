"""Deterministic ids: pure functions of what they name, so that a repeated decision repeats its id.

Owns how the engine names the things it emits. Never a price, a time of processing or a random number: whoever
receives an id twice may drop the second message unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from engine.siphash import DIGEST_BYTES, siphash

EVENT_KEY_BYTES = DIGEST_BYTES
"""An account remembers ids by this many bytes of digest: enough to tell 32 of them apart, and a quarter of a row."""

_CHECK_BYTES = 8
_COMMAND_ID_DIGITS = 32
_SEQUENCE_MAX = 2**32 - 1
_ROUND_MAX = 2**16 - 1


class CommandAddress(NamedTuple):
    """Which leg of which round of which liquidation of its account a command is."""

    liquidation_sequence: int
    round: int
    leg: int


def command_id(account: str, liquidation_sequence: int, round: int, leg: int) -> str:
    """The id of a liquidation command: 32 hex digits, sequence (8), round (4), leg (4), digest of all with the account.

    The address is legible in the id so that an acknowledgement of a command closed long ago can still be told from
    one that was never issued, without keeping closed ids.
    """
    assert 0 <= liquidation_sequence <= _SEQUENCE_MAX and 0 <= round <= _ROUND_MAX and 0 <= leg <= _ROUND_MAX
    address = f"{liquidation_sequence:08x}{round:04x}{leg:04x}"
    return address + _digest("command", account, address, size=_CHECK_BYTES)


def command_address(account: str, id: str) -> CommandAddress | None:
    """What ``command_id`` was given to make ``id`` for ``account``, or None if it made no such id."""
    if len(id) != _COMMAND_ID_DIGITS or not set(id) <= set("0123456789abcdef"):
        return None
    address = CommandAddress(int(id[:8], 16), int(id[8:12], 16), int(id[12:16], 16))
    return address if command_id(account, *address) == id else None


def decision_id(account: str, liquidation_sequence: int, round: int) -> str:
    """The id of the decision behind one round of commands."""
    return _digest("decision", account, str(liquidation_sequence), str(round))


def account_version(offsets: Mapping[str, int]) -> int:
    """How far an account's own records have been applied, as one number that rises with each of them: the sum of the
    counts by topic. ``offsets`` are the newest applied by topic."""
    return sum(offset + 1 for offset in offsets.values())


def transfer_credit_id(payer: str, transfer_sequence: int) -> str:
    """The id of the credit leg of the payer's ``transfer_sequence``-th transfer."""
    return _digest("transfer", payer, str(transfer_sequence))


def event_key(event_id: str) -> bytes:
    """The short form under which an account remembers an event id."""
    return siphash(event_id.encode())


def _digest(kind: str, *parts: str, size: int = 16) -> str:
    """Hex digest of the parts; a zero byte between them keeps ("ab", "c") and ("a", "bc") apart."""
    return blake2b("\0".join((kind, *parts)).encode(), digest_size=size).hexdigest()
