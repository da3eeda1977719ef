"""Controls: which liquidation commands people have stopped, as one value of the market.

Owns the table of what each mode lets through and the look-ups. Refuses how holds come and go
(``engine.books.control_book``) and what an account does while it is held (``engine.liquidation.status``).

    mode          lets through
    RUN           everything
    REDUCE_ONLY   everything but HEDGE, the one kind that may open a position
    CANCEL_ONLY   CANCEL_ORDERS and RELEASE
    HALT          nothing

Where several holds concern a command, the strictest counts. Holds on a venue are left to its executors: which venue an
instrument is traded on is not the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from engine.commands import CommandKind
from engine.events import ControlMode, ControlScope

_GLOBAL = (ControlScope.GLOBAL, "")
_SEVERITY = tuple(ControlMode)
_TAKES_BACK = frozenset({CommandKind.CANCEL_ORDERS, CommandKind.RELEASE})
_PERMITTED: Mapping[ControlMode, frozenset[CommandKind]] = {
    ControlMode.RUN: frozenset(CommandKind),
    ControlMode.REDUCE_ONLY: frozenset(CommandKind) - {CommandKind.HEDGE},
    ControlMode.CANCEL_ONLY: _TAKES_BACK,
    ControlMode.HALT: frozenset(),
}


def severity(mode: ControlMode) -> int:
    """The rank of a mode: the higher, the less it lets through."""
    return _SEVERITY.index(mode)


@dataclass(frozen=True, slots=True)
class Controls:
    """The modes in force at one instant, by scope and target (empty for the global scope); what is absent runs."""

    modes: Mapping[tuple[ControlScope, str], ControlMode]

    def mode(self, account: str, instrument: str = "") -> ControlMode:
        """The strictest mode that concerns an account, and an instrument if one is named."""
        if not self.modes:
            return ControlMode.RUN
        scopes = [_GLOBAL, (ControlScope.ACCOUNT, account)]
        if instrument:
            scopes.append((ControlScope.INSTRUMENT, instrument))
        return max((self.modes.get(scope, ControlMode.RUN) for scope in scopes), key=severity)

    def permits(self, kind: CommandKind, account: str, instrument: str = "") -> bool:
        """Whether a command of this kind may be issued."""
        return kind in _PERMITTED[self.mode(account, instrument)]

    def differing(self, other: Controls) -> set[tuple[ControlScope, str]]:
        """The scopes and targets whose mode is another in ``other``."""
        if self is other:
            return set()
        return {scope for scope, _ in self.modes.items() ^ other.modes.items()}


NO_HOLDS = Controls(MappingProxyType({}))
"""Everything runs."""
