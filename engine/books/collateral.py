"""Collateral: what deposits, withdrawals and transfers do to an account.

Owns the checks and the postings of collateral events. Refuses to decide whether money may leave
(``engine.risk.withdrawals``): a withdrawal that reaches ``apply_withdrawal`` has been granted.
"""

from __future__ import annotations

from collections.abc import Container

from engine.books.account import AccountBook, Totals
from engine.books.ledger import Flow, fits, post
from engine.events import CollateralEvent, CollateralKind
from engine.outcomes import APPLIED, DUPLICATE, Outcome, Rejection, rejected
from engine.units import fits_int64


def collateral_fault(event: CollateralEvent, assets: Container[str]) -> Outcome | None:
    """Why the event cannot be applied to any book, in order of precedence, or None."""
    if event.asset not in assets:
        return rejected(Rejection.UNKNOWN_ASSET, "asset", event.asset)
    if event.amount_e8 <= 0 or not fits_int64(event.amount_e8):
        return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount")
    return None


def apply_deposit(book: AccountBook, event: CollateralEvent) -> Outcome:
    """Credit a deposit, or the credit leg of a transfer unless a later one of the same payer has been credited."""
    credit = event.kind is CollateralKind.TRANSFER_CREDIT
    if credit and event.transfer_sequence <= book.transfers_in.get(event.counterparty, 0):
        return DUPLICATE
    flows = {event.asset: Flow(event.amount_e8, Totals(deposited_e8=event.amount_e8))}
    if not post(book, flows):
        return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "amount", "the book would overflow")
    if credit:
        book.transfers_in[event.counterparty] = event.transfer_sequence
    return APPLIED


def can_withdraw(book: AccountBook, event: CollateralEvent) -> bool:
    """Whether the totals have room for the withdrawal, granted or not."""
    return fits(book, {event.asset: Flow(0, Totals(withdrawn_e8=event.amount_e8))})


def apply_withdrawal(book: AccountBook, event: CollateralEvent) -> None:
    """Debit a granted withdrawal or transfer; the latter takes the account's next transfer number."""
    posted = post(book, {event.asset: Flow(-event.amount_e8, Totals(withdrawn_e8=event.amount_e8))})
    assert posted, "a withdrawal is granted only after can_withdraw"
    if event.kind is CollateralKind.TRANSFER:
        book.transfer_sequence += 1
