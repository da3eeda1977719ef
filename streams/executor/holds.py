"""The holds in force: which commands people have stopped, as the executor sees it.

Owns the newest hold of every scope, the rule that weakening one takes two persons, and what a mode lets through.
Refuses to know how long a hold may last at most: records that last longer do not decode.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from schemas.events.control import ControlMode, LiquidationControlV1
from schemas.events.liquidations import LiquidationCommandV1

Holds = Mapping[str, ControlMode]
"""Modes by scope: ``global``, ``account:ID``, ``instrument:ID``, ``venue:ID``. What is absent runs."""

NO_HOLDS: Holds = MappingProxyType({})
_SEVERITY: Mapping[ControlMode, int] = {mode: rank for rank, mode in enumerate(get_args(ControlMode))}


def is_taking_back(command: LiquidationCommandV1) -> bool:
    """Whether the command only lessens what is under way."""
    return command.kind in ("cancel_orders", "release")


def holding(command: LiquidationCommandV1, holds: Holds, venue: str) -> str | None:
    """The strictest hold that stops ``command`` on ``venue``, as text for a person; None if it may be executed."""
    if not holds:
        return None
    scopes = ["global", f"account:{command.account}", f"venue:{venue}"]
    if command.instrument is not None:
        scopes.append(f"instrument:{command.instrument}")
    mode, scope = max(((holds.get(scope, "run"), scope) for scope in scopes), key=lambda held: _SEVERITY[held[0]])
    stopped = {
        "run": False,
        "reduce_only": command.kind == "hedge",
        "cancel_only": not is_taking_back(command),
        "halt": True,
    }
    return f"{mode} of {scope}" if stopped[mode] else None


class HoldBook:
    """The newest record of every scope. ``version`` is the offset of the last one read, -1 before the first."""

    def __init__(self, standing: Holds = NO_HOLDS) -> None:
        """``standing`` holds have no end."""
        self.version = -1
        self._standing = dict(standing)
        self._newest: dict[str, LiquidationControlV1] = {}

    def learn(self, record: LiquidationControlV1, offset: int) -> bool:
        """Take a record; False if it is ignored, because it would weaken a hold on the word of one person."""
        self.version = max(self.version, offset)
        scope = record.scope if record.target is None else f"{record.scope}:{record.target}"
        before = self._newest.get(scope)
        if before is not None and record.approved_by is None and _weakens(record, before):
            return False
        self._newest[scope] = record
        return True

    def at(self, now_us: int) -> Holds:
        """The holds that have not ended."""
        modes = {
            scope: record.mode
            for scope, record in self._newest.items()
            if record.until_us is not None and record.until_us > now_us
        }
        for scope, mode in self._standing.items():
            modes[scope] = max(mode, modes.get(scope, "run"), key=_SEVERITY.__getitem__)
        return modes


def _weakens(record: LiquidationControlV1, before: LiquidationControlV1) -> bool:
    if before.until_us is None or before.until_us <= record.event_time_us:
        return False
    return _SEVERITY[record.mode] < _SEVERITY[before.mode] or (record.until_us or 0) < before.until_us
