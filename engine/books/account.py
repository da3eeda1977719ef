"""One account's exact state: balances, positions, watermarks and where it stands in a liquidation.

Owns the record and its totals. Refuses arithmetic on it (``positions``, ``collateral``, ``funding``) and its bytes
(``engine.state``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.outcomes import MarginStatus

RECENT_EVENTS_MAX = 32
"""How many event ids an account remembers of each topic to tell a repeat from a conflict. A producer's retry arrives
within a handful of records; older repeats are caught by the offset watermark, which is exact."""


@dataclass(slots=True)
class Position:
    """Net holding in one instrument.

    ``quantity_e8`` is signed contracts, ``cost_e8`` the signed value paid for them in the settlement asset, so that
    unrealized PnL = value at mark - cost for every kind of contract; ``funding_index_e12`` is the index up to which
    funding has been paid.
    """

    quantity_e8: int
    cost_e8: int
    funding_index_e12: int


@dataclass(slots=True)
class OpenCommand:
    """A liquidation command in flight. A kind without legs has no instrument, and quantity and limit 0;
    ``filled_e8`` counts contracts whatever their direction. ``acked_filled_e8`` is the total that a final
    acknowledgement stated."""

    kind: str
    instrument: str
    quantity_e8: int
    limit_price_e8: int
    filled_e8: int
    expires_us: int
    acked_filled_e8: int | None = None


@dataclass(slots=True)
class Ladder:
    """Where an account stands on the ladder beyond its status.

    ``wait_until_us`` ends a suspicion or a rest. ``round_made``: a round was opened since the account came to its
    status; ``released``: its executors were told since the last round that it is cured; ``offered``: since it was last
    being closed, its whole book was offered to everybody. ``fruitless_rounds`` were opened since the last fill.
    ``command_sequence`` numbers the account's commands, for ever.
    """

    wait_until_us: int = 0
    round_made: bool = False
    released: bool = False
    offered: bool = False
    fruitless_rounds: int = 0
    command_sequence: int = 0


@dataclass(slots=True)
class Totals:
    """Cumulative flows of one asset since the account opened; they make conservation an equation."""

    deposited_e8: int = 0
    withdrawn_e8: int = 0
    realized_pnl_e8: int = 0
    traded_value_e8: int = 0
    fees_paid_e8: int = 0
    funding_paid_e8: int = 0


@dataclass(slots=True)
class AccountBook:
    """Everything that is durable about one account. Two books are the same account iff all fields are equal.

    ``applied`` and ``recent`` are kept by topic, because topics have no mutual order: what an account remembers of one
    must not depend on when the records of another arrived.
    """

    account: str
    balances: dict[str, int] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    recent: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    status: MarginStatus = MarginStatus.HEALTHY
    status_changes: int = 0
    liquidation_sequence: int = 0
    liquidation_round: int = 0
    open_commands: dict[str, OpenCommand] = field(default_factory=dict)
    ladder: Ladder = field(default_factory=Ladder)
    transfer_sequence: int = 0
    transfers_in: dict[str, int] = field(default_factory=dict)
    bad_records: int = 0
