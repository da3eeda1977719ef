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
    return _entries_after(book, flows) is not None


def post(book: AccountBook, flows: Flows) -> bool:
    """Add ``flows`` to the book, all or, where one would not fit, none; whether they were added.

    A balance of zero is no balance: its entry goes.
    """
    entries = _entries_after(book, flows)
    if entries is None:
        return False
    for asset, balance_e8, totals in entries:
        if balance_e8:
            book.balances[asset] = balance_e8
        else:
            book.balances.pop(asset, None)
        book.totals[asset] = totals
    return True


def _entries_after(book: AccountBook, flows: Flows) -> list[tuple[str, int, Totals]] | None:
    """Asset, balance and totals as they would be after ``flows``; None if any has no fixed-width form."""
    entries = []
    for asset, flow in flows.items():
        balance_e8 = book.balances.get(asset, 0) + flow.balance_e8
        held, added = book.totals.get(asset, _NOTHING), flow.totals
        amounts = (
            held.deposited_e8 + added.deposited_e8,
            held.withdrawn_e8 + added.withdrawn_e8,
            held.realized_pnl_e8 + added.realized_pnl_e8,
            held.traded_value_e8 + added.traded_value_e8,
            held.fees_paid_e8 + added.fees_paid_e8,
            held.funding_paid_e8 + added.funding_paid_e8,
        )
        if not (fits_int64(max(balance_e8, *amounts)) and fits_int64(min(balance_e8, *amounts))):
            return None
        entries.append((asset, balance_e8, Totals(*amounts)))
    return entries


_NOTHING = Totals()
