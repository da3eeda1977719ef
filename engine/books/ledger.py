"""Posting: the one way by which amounts enter an account's book.

Owns the rule that an event is applied wholly or not at all. What an event moves is collected as flows first; they are
posted only if every resulting amount still has a fixed-width form. Refuses to know why money moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.books.account import AccountBook, Totals
from engine.units import fits_int64


@dataclass(slots=True)
class Flow:
    """What one event moves in one asset: the change of the balance, and of each cumulative total."""

    balance_e8: int = 0
    totals: Totals = field(default_factory=Totals)


Flows = dict[str, Flow]
"""Flows by asset id."""


def flow_of(flows: Flows, asset: str) -> Flow:
    """The flow of ``asset``, begun at zero."""
    flow = flows.get(asset)
    if flow is None:
        flow = flows[asset] = Flow()
    return flow


def fits(book: AccountBook, flows: Flows) -> bool:
    """Whether the book could take all of ``flows``."""
    for asset, flow in flows.items():
        if not fits_int64(book.balances.get(asset, 0) + flow.balance_e8):
            return False
        totals = _sum(book.totals.get(asset), flow.totals)
        if not all(map(fits_int64, _amounts(totals))):
            return False
    return True


def post(book: AccountBook, flows: Flows) -> None:
    """Add ``flows`` to the book, which must fit. A balance of zero is no balance: its entry goes."""
    for asset, flow in flows.items():
        balance = book.balances.get(asset, 0) + flow.balance_e8
        if balance:
            book.balances[asset] = balance
        else:
            book.balances.pop(asset, None)
        book.totals[asset] = _sum(book.totals.get(asset), flow.totals)


def _sum(held: Totals | None, added: Totals) -> Totals:
    if held is None:
        return added
    return Totals(
        held.deposited_e8 + added.deposited_e8,
        held.withdrawn_e8 + added.withdrawn_e8,
        held.realized_pnl_e8 + added.realized_pnl_e8,
        held.traded_value_e8 + added.traded_value_e8,
        held.fees_paid_e8 + added.fees_paid_e8,
        held.funding_paid_e8 + added.funding_paid_e8,
    )


def _amounts(totals: Totals) -> tuple[int, ...]:
    return (
        totals.deposited_e8,
        totals.withdrawn_e8,
        totals.realized_pnl_e8,
        totals.traded_value_e8,
        totals.fees_paid_e8,
        totals.funding_paid_e8,
    )
