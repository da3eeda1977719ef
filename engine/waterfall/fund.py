"""The insurance fund: what came in, what went out, and what it could not pay.

Owns the ledger (one entry per id, balances per asset that never fall below zero) and the rule for what a close-out
pays into it. Refuses to know accounts and prices: amounts are inputs. A fund is a value: booking returns a new one.

An entry's id names its cause, so that booking a command again changes nothing and answers what was answered before. The
balance is the sum of the entries; entries that are not cut short may be booked in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from engine.errors import InvalidReference, InvariantBroken
from engine.units import PPM

DRIFT_SURPLUS_SHARE_PPM = 950_000
"""At most 95 % of what closing frees, so that the fee does not bankrupt (Drift protocol-v2, math/liquidation.rs)."""


class EntryKind(StrEnum):
    """Why money moved. The first three come in, the last two go out."""

    LIQUIDATION_FEE = "liquidation_fee"
    SURPLUS = "surplus"
    TOP_UP = "top_up"
    SHORTFALL = "shortfall"
    WITHDRAWAL = "withdrawal"


OUTGOING = frozenset({EntryKind.SHORTFALL, EntryKind.WITHDRAWAL})


@dataclass(frozen=True, slots=True)
class FundEntry:
    """A claim on the fund: ``amount_e8`` above zero, in or out by its kind."""

    entry_id: str
    asset: str
    kind: EntryKind
    amount_e8: int

    def __post_init__(self) -> None:
        if self.amount_e8 <= 0:
            raise InvalidReference("amount", f"{self.amount_e8} in {self.entry_id} moves nothing")


@dataclass(frozen=True, slots=True)
class Booked:
    """What an entry did: ``moved_e8`` of its amount, signed as the balance saw it, and what the fund could not pay."""

    entry: FundEntry
    moved_e8: int
    uncovered_e8: int


@dataclass(frozen=True, slots=True)
class InsuranceFund:
    """Balances by asset and everything booked, by id. ``carried_e8`` is what closed periods left."""

    balances_e8: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    booked: Mapping[str, Booked] = field(default_factory=lambda: MappingProxyType({}))
    carried_e8: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def balance_e8(self, asset: str) -> int:
        """Zero for an asset never seen."""
        return self.balances_e8.get(asset, 0)


def entry_id(command_id: str, kind: EntryKind, asset: str) -> str:
    """The id of what a command does to the fund: the same command always gives the same."""
    return f"{command_id}/{kind}/{asset}"


def book(fund: InsuranceFund, entry: FundEntry) -> tuple[InsuranceFund, Booked]:
    """The fund after ``entry``, and what it did; an entry seen before changes nothing and answers as it did then.

    A shortfall is paid as far as the balance reaches; a withdrawal is paid whole or not at all. Raises
    ``InvariantBroken`` when an id returns with other contents.
    """
    before = fund.booked.get(entry.entry_id)
    if before is not None:
        if before.entry != entry:
            raise InvariantBroken(f"insurance fund entry {entry.entry_id} was booked with other contents")
        return fund, before
    held = fund.balance_e8(entry.asset)
    if entry.kind not in OUTGOING:
        done = Booked(entry, entry.amount_e8, 0)
    else:
        paid = min(entry.amount_e8, held)
        if entry.kind is EntryKind.WITHDRAWAL and paid < entry.amount_e8:
            paid = 0
        done = Booked(entry, -paid, entry.amount_e8 - paid)
    balances = {**fund.balances_e8, entry.asset: held + done.moved_e8}
    booked = {**fund.booked, entry.entry_id: done}
    return InsuranceFund(MappingProxyType(balances), MappingProxyType(booked), fund.carried_e8), done


def book_all(fund: InsuranceFund, entries: Iterable[FundEntry]) -> tuple[InsuranceFund, tuple[Booked, ...]]:
    """``book`` one after the other."""
    results = []
    for entry in entries:
        fund, done = book(fund, entry)
        results.append(done)
    return fund, tuple(results)


def close_period(fund: InsuranceFund) -> InsuranceFund:
    """The same balances without their entries, for a caller who keeps ids no longer than its log can repeat them."""
    return InsuranceFund(fund.balances_e8, MappingProxyType({}), fund.balances_e8)


def check(fund: InsuranceFund) -> None:
    """Raises ``InvariantBroken`` unless every balance is the sum of its entries and none is below zero."""
    sums = dict(fund.carried_e8)
    for done in fund.booked.values():
        sums[done.entry.asset] = sums.get(done.entry.asset, 0) + done.moved_e8
    if sums != dict(fund.balances_e8) or any(balance < 0 for balance in sums.values()):
        raise InvariantBroken(f"insurance fund balances {dict(fund.balances_e8)} against entries {sums}")


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What a close-out above its bankruptcy quote pays.

    ``max_fee_ppm`` of the absolute quote at most, and ``surplus_share_ppm`` of the surplus at most.
    ``keeps_surplus``: what is left of the surplus goes to the fund too (a position taken over at its bankruptcy price)
    instead of back to the account (a position closed in the account's name).
    """

    max_fee_ppm: int
    surplus_share_ppm: int = PPM
    keeps_surplus: bool = False

    def __post_init__(self) -> None:
        if self.max_fee_ppm < 0 or not 0 <= self.surplus_share_ppm <= PPM:
            raise InvalidReference("max_fee", "rates must be zero or more, the share of the surplus at most one")


@dataclass(frozen=True, slots=True)
class CloseOutMoney:
    """How the quote of a close-out is shared: fee + surplus - shortfall goes to the fund, the rest to the account."""

    fee_e8: int
    surplus_e8: int
    shortfall_e8: int
    to_account_e8: int


def close_out_money(received_e8: int, bankruptcy_e8: int, terms: FeeTerms) -> CloseOutMoney:
    """Split what closing brought (negative: cost) around the bankruptcy quote of the same quantity.

    fee = min(max fee * |received|, share * surplus), both rounded down, so the account never ends below what the
    bankruptcy price would have left it. Source: dYdX v4-chain at 84d4664b, x/clob/keeper/liquidations.go.
    """
    over = received_e8 - bankruptcy_e8
    if over <= 0:
        return CloseOutMoney(0, 0, -over, bankruptcy_e8)
    fee = min(terms.max_fee_ppm * abs(received_e8) // PPM, terms.surplus_share_ppm * over // PPM)
    surplus = over - fee if terms.keeps_surplus else 0
    return CloseOutMoney(fee, surplus, 0, received_e8 - fee - surplus)


def entries_of(command_id: str, asset: str, money: CloseOutMoney) -> tuple[FundEntry, ...]:
    """The fund's entries of one close-out, ready to book."""
    amounts = (
        (EntryKind.LIQUIDATION_FEE, money.fee_e8),
        (EntryKind.SURPLUS, money.surplus_e8),
        (EntryKind.SHORTFALL, money.shortfall_e8),
    )
    return tuple(
        FundEntry(entry_id(command_id, kind, asset), asset, kind, amount) for kind, amount in amounts if amount > 0
    )
