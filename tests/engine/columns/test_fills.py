"""The compiled lane against the engine: the same fills leave the same books and have the same outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from engine import MarginEngine
from engine.books import intake
from engine.books.account import AccountBook, OpenCommand, Position, Totals
from engine.books.funding import funding_index
from engine.books.positions import apply_fill, fill_fault
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import MEMORY_MAX
from engine.columns.fill_columns import FillColumns
from engine.columns.fills import (
    END,
    OFF_LOT,
    RECORD,
    TAKEN,
    FillLane,
    outcome_of,
)
from engine.columns.instruments import UNSUPPORTED, InstrumentTable
from engine.events import CollateralAssetListed, Fill, InstrumentListed, MarkPrice, Settlement, Source
from engine.ids import event_key
from engine.liquidation.case import count_fill
from engine.outcomes import APPLIED, DUPLICATE, Disposition, Outcome, Rejection
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.state import canonical_text
from engine.units import E8, INT64_MAX, fits_int64
from tests.builders import EXPIRY_US, FUTURE, INSTRUMENTS, INVERSE, PERP, SPOT, START_US, e8, instrument

SHARD = 3
ALTS = tuple(
    instrument(f"ALT{number * 7919 % 101:03}-PERP", InstrumentKind.LINEAR_PERPETUAL, settlement_asset=asset)
    for number, asset in enumerate(["USD", "USDC", "EUR", "AAA", "ZZZ"] * 10)
)
ODD = (
    instrument("ODD-INVERSE", InstrumentKind.INVERSE_PERPETUAL, settlement_asset="BTC", multiplier_e8=123_456_789),
    instrument("ODD-PERP", InstrumentKind.LINEAR_PERPETUAL, multiplier_e8=7 * E8, lot_e8=3, tick_e8=E8 * 5),
    instrument("ODD-TINY", InstrumentKind.INVERSE_PERPETUAL, settlement_asset="BTC", multiplier_e8=3, lot_e8=1),
    instrument("ODD-HUGE", InstrumentKind.LINEAR_PERPETUAL, multiplier_e8=E8**2, lot_e8=E8**2, tick_e8=E8**2),
    instrument("ODD-SPOT", InstrumentKind.SPOT, base_asset="USD"),
    instrument("ODD-FUTURE", InstrumentKind.FUTURE, settlement_asset="EUR"),
    instrument("ODD-WAITING", InstrumentKind.LINEAR_PERPETUAL, settlement_asset="NOT"),
)
LISTED = (*INSTRUMENTS, *ODD, *ALTS)
ASSETS = ("USD", "BTC", "USDC", "EUR", "AAA", "ZZZ")
EDGES = tuple(
    AccountBook(
        f"edge{number}",
        positions={"BTC-PERP": Position(10 * E8, 200_000 * E8, 0)},
        totals={"USD": totals, "BTC": totals},
    )
    for number, totals in ((1, Totals(realized_pnl_e8=INT64_MAX - 1)), (2, Totals(funding_paid_e8=INT64_MAX - 1)))
)
"""Accounts with one cumulative total at the edge of its range."""

PRICES = {"BTC": 20_000, "ETH": 1_500, "ALT": 3, "ODD": 20_000}


class Twin:
    """The engine, and the columns with the compiled lane; both are given the same events."""

    def __init__(self) -> None:
        self.engine = MarginEngine()
        self.columns = AccountColumns()
        self.table = InstrumentTable(self.columns)
        self.lane = FillLane(self.columns, self.table)
        self.versions = 0
        self.compiled = 0
        self.by_record = 0

    def _broadcast(self, *events: InstrumentListed | CollateralAssetListed | MarkPrice | Settlement) -> None:
        assert all(outcome == APPLIED for outcome in self.engine.step(events, judge=False).outcomes)

    def list_instruments(self, *instruments: Instrument) -> None:
        for listed in instruments:
            self.versions += 1
            self._broadcast(InstrumentListed(self.versions, listed))
            self.table.list(listed)

    def list_assets(self, *assets: str) -> None:
        for asset in assets:
            self.versions += 1
            self._broadcast(CollateralAssetListed(self.versions, CollateralAsset(asset, None, 0)))
            self.table.list_asset(asset)

    def mark(self, feed: str, linear_e12: int, inverse_e12: int, time_us: int = START_US) -> None:
        self.versions += 1
        self._broadcast(MarkPrice(self.versions, feed, E8, 0, (), linear_e12, inverse_e12, time_us))
        self.table.set_funding(feed, linear_e12, inverse_e12)

    def settle(self, name: str, price_e8: int) -> None:
        """Only before anyone holds it: positions of holders are another path's business."""
        self.versions += 1
        self._broadcast(Settlement(self.versions, name, price_e8, EXPIRY_US))
        self.table.settle(name)

    def load(self, book: AccountBook) -> None:
        self.columns.put(self.columns.open(book.account, SHARD), book)
        self.engine.load(self.columns.book(self.columns.number(book.account)))

    def apply(self, fills: Sequence[Fill]) -> list[Outcome]:
        """Apply and compare: outcomes, touched accounts, and all books."""
        expected = self.engine.step(fills, judge=False)
        outcomes, touched = self._apply_to_columns(fills)
        assert outcomes == list(expected.outcomes)
        assert touched == set(expected.touched)
        assert {self.columns.name(number) for number in self.columns.numbers()} == set(self.engine.accounts())
        for account in expected.touched:
            book = self.columns.book(self.columns.number(account))
            known = self.engine.book(account)
            assert known is not None and canonical_text(book) == canonical_text(known)
            assert list(book.positions) == sorted(book.positions) and list(book.totals) == sorted(book.totals)
        return outcomes

    def _apply_to_columns(self, fills: Sequence[Fill]) -> tuple[list[Outcome], set[str]]:
        columns = fill_columns(fills, self.columns)
        outcome_N = np.zeros(len(fills), np.uint8)
        outcomes: list[Outcome] = []
        seen: set[str] = set()
        at = 0
        while True:
            stop = self.lane.apply(columns, at, len(fills), SHARD, outcome_N)
            for done in range(at, stop.next):
                terms = self.table.terms(int(columns.instrument_N[done]))
                outcomes.append(outcome_of(int(outcome_N[done]), terms, fills[done].event_id))
            self.compiled += stop.next - at
            if stop.reason == END:
                break
            assert stop.reason == RECORD
            self.by_record += 1
            outcomes.append(self._apply_record(fills[stop.next], seen))
            at = stop.next + 1
        touched, moved = self.lane.take_touched()
        assert len(set(touched)) == len(touched)
        taken = columns.account_N[outcome_N == TAKEN]
        assert sorted(moved) == sorted(set(taken)) and set(moved) <= set(touched)
        return outcomes, seen | {self.columns.name(number) for number in touched}

    def _apply_record(self, fill: Fill, seen: set[str]) -> Outcome:
        """The way of the engine for one fill, on a book taken out of the columns and put back."""
        number = self.columns.number(fill.account)
        if number < 0:
            number = self.columns.open(fill.account, SHARD)
        book = self.columns.book(number)
        if not intake.advance(book, fill.source):
            return DUPLICATE
        seen.add(fill.account)
        outcome = intake.repeat_of(book, fill) or self._apply_new(book, fill)
        if outcome.disposition is Disposition.APPLIED:
            intake.remember(book, fill)
        self.columns.put(number, book)
        return outcome

    def _apply_new(self, book: AccountBook, fill: Fill) -> Outcome:
        market = self.engine._market
        terms = market.instruments.get(fill.instrument)
        fault = fill_fault(fill, terms, market.assets)
        if fault is not None:
            return fault
        assert terms is not None
        index_e12 = funding_index(terms, market.marks)
        result = apply_fill(book, fill, terms, index_e12, market.final_price(fill.instrument))
        if result.outcome == APPLIED:
            count_fill(book, fill)
        return result.outcome


def fill_columns(fills: Sequence[Fill], columns: AccountColumns) -> FillColumns:
    """What a decoder would make of ``fills``: numbers wider than 64 bits are not for the lane."""
    numbers = [(fill.quantity_e8, fill.price_e8, fill.fee_e8, fill.trade_time_us) for fill in fills]
    lanes = [all(-INT64_MAX - 1 <= number <= INT64_MAX for number in row) for row in numbers]
    table_NV = np.array([row if lane else (0,) * 4 for row, lane in zip(numbers, lanes, strict=True)], np.int64)
    table_NV = table_NV.reshape(len(fills), 4)
    return FillColumns(
        lane_N=np.array(lanes, np.uint8),
        offset_N=np.array([fill.source.offset for fill in fills], np.int64),
        account_N=np.array([columns.number(fill.account) for fill in fills], np.int32),
        instrument_N=np.array([columns.instruments.names.number(fill.instrument.encode()) for fill in fills], np.int32),
        quantity_e8_N=table_NV[:, 0].copy(),
        price_e8_N=table_NV[:, 1].copy(),
        fee_e8_N=table_NV[:, 2].copy(),
        trade_time_us_N=table_NV[:, 3].copy(),
        event_key_N=np.frombuffer(b"".join(event_key(fill.event_id) for fill in fills), "<u8"),
        body_digest_N=np.frombuffer(b"".join(fill.body_digest for fill in fills), "<u8"),
        has_command_N=np.array([bool(fill.command_id) for fill in fills], np.uint8),
    )


class Stream:
    """Random fills: of every kind, sound and unsound, in every magnitude."""

    def __init__(self, seed: int, accounts: Sequence[str], instruments: Sequence[Instrument], wild: float) -> None:
        self.random = Random(seed)
        self.accounts, self.instruments, self.wild = accounts, instruments, wild
        self.offset = 0
        self.sent: list[Fill] = []

    def fills(self, count: int) -> list[Fill]:
        return [self._fill() for _ in range(count)]

    def _fill(self) -> Fill:
        random = self.random
        self.offset += 1
        offset = self.offset if random.random() > 0.02 else random.randrange(self.offset)
        source = Source("fills", 0, offset)
        if self.sent and random.random() < 0.05:
            again = replace(random.choice(self.sent[-60:]), source=source)
            return again if random.random() < 0.5 else replace(again, body_digest=random.randbytes(8))
        terms = random.choice(self.instruments)
        fill = Fill(
            source=source,
            event_id=f"f{self.offset}",
            body_digest=random.randbytes(8),
            account=random.choice(self.accounts),
            instrument=terms.instrument_id,
            quantity_e8=random.choice((-2, -1, -1, 1, 1, 2, 3, random.randint(-999, 999))) * terms.lot_e8,
            price_e8=self._price(terms),
            fee_e8=random.choice((0, 1, 123_456, -5_000, random.randint(-(10**9), 10**9))),
            trade_time_us=START_US,
            command_id=random.choice(("", "", "", "c1")),
        )
        if random.random() < self.wild:
            fill = self._unsound(fill, terms)
        self.sent.append(fill)
        return fill

    def _price(self, terms: Instrument) -> int:
        level = PRICES[terms.instrument_id[:3]] * self.random.uniform(0.5, 1.5)
        return max(1, round(level * E8 / terms.tick_e8)) * terms.tick_e8

    def _unsound(self, fill: Fill, terms: Instrument) -> Fill:
        random = self.random
        huge = random.choice((2**63, 2**63 - 1, 2**62, 2**53, 10**14, 10**16)) // random.choice((1, 1, 2, 10**3))
        lots = huge // terms.lot_e8 * terms.lot_e8 * random.choice((1, -1))
        ticks = huge // terms.tick_e8 * terms.tick_e8
        return random.choice(
            (
                replace(fill, quantity_e8=0),
                replace(fill, quantity_e8=fill.quantity_e8 + random.choice((1, -1))),
                replace(fill, price_e8=fill.price_e8 + 1),
                replace(fill, price_e8=random.choice((0, -fill.price_e8))),
                replace(fill, trade_time_us=EXPIRY_US - random.choice((0, 1, -1))),
                replace(fill, trade_time_us=random.choice((INT64_MAX, -INT64_MAX))),
                replace(fill, instrument="NOWHERE"),
                replace(fill, account=random.choice(("new1", "new2"))),
                replace(fill, fee_e8=huge * random.choice((1, -1))),
                replace(fill, quantity_e8=lots),
                replace(fill, price_e8=ticks),
                replace(fill, quantity_e8=lots, price_e8=ticks),
                replace(fill, quantity_e8=huge, price_e8=huge, fee_e8=-huge),
                replace(fill, quantity_e8=-(2**63)),
                replace(fill, price_e8=-(2**63), fee_e8=-(2**63)),
            )
        )


def random_funding(random: Random) -> int:
    size = random.choice((10**3, 10**9, 10**14, 10**17, INT64_MAX))
    return random.randint(-size, size)


@pytest.mark.parametrize("seed", range(60))
def test_columns_and_engine_agree_on_any_stream(seed: int) -> None:
    """Every kind, turns, closes, repeats, conflicts, faults, overflow, moving funding and listings on the way."""
    twin, random = Twin(), Random(seed)
    listed = list(LISTED)
    random.shuffle(listed)
    held = listed if seed % 2 else [terms for terms in listed if terms in INSTRUMENTS + ODD]
    early, late = held[: len(held) // 2], held[len(held) // 2 :]
    twin.list_instruments(*early)
    twin.list_assets(*random.sample(ASSETS, len(ASSETS)))
    twin.load(AccountBook("cold", open_commands={"c1": OpenCommand("close", "BTC-PERP", E8, 0, 0, 0)}))
    for edge in EDGES:
        twin.load(deepcopy(edge))
    stream = Stream(seed, ("ann", "bob", "cold", "dan", "edge1", "edge2"), held, 0.3 if seed % 3 else 0.05)
    for step in range(4):
        for feed in sorted({terms.mark_feed for terms in held}):
            if random.random() < 0.5:
                twin.mark(feed, random_funding(random), random_funding(random))
        twin.apply(stream.fills(150))
        if step == 1:
            twin.list_instruments(*late)
    assert twin.compiled > 30 and twin.by_record > 0


def test_settled_instruments_leave_the_lane() -> None:
    twin = Twin()
    twin.list_instruments(FUTURE, PERP)
    twin.list_assets("USD")
    twin.load(AccountBook("ann"))
    twin.mark("BTC-FUTURE", 0, 0, EXPIRY_US)
    twin.settle("BTC-FUTURE", e8(20_500))
    twin.apply(Stream(1, ("ann",), (FUTURE, PERP), 0.0).fills(60))
    assert twin.compiled and twin.by_record


def test_sound_fills_of_known_accounts_never_leave_the_lane() -> None:
    """What the lane is for: all kinds in ordinary amounts, beyond the ring of remembered events, growing pools."""
    twin = Twin()
    twin.list_instruments(*INSTRUMENTS, *ALTS)
    twin.list_assets(*ASSETS)
    accounts = [f"account{number}" for number in range(20)]
    for account in accounts:
        twin.load(AccountBook(account))
    stream = Stream(5, accounts, (*INSTRUMENTS, *ALTS), 0.0)
    for step in range(4):
        twin.mark("BTC-PERP", step * 10**14, -step * 10**7)
        twin.mark("ALT000-PERP", -step * 10**13, 0)
        twin.apply(stream.fills(600))
    assert twin.by_record == 0 and twin.compiled == 2400
    book = twin.columns.book(twin.columns.number(accounts[0]))
    assert len(book.positions) > 20 and len(book.recent["fills"]) == MEMORY_MAX


def test_an_instrument_waits_for_its_assets() -> None:
    twin = Twin()
    twin.list_instruments(SPOT, INVERSE)
    twin.list_assets("USD")
    numbers = [twin.columns.instruments.number(terms.instrument_id) for terms in (SPOT, INVERSE)]
    assert (twin.table.arrays().kind_I[numbers] == UNSUPPORTED).all()
    twin.load(AccountBook("ann"))
    stream = Stream(2, ("ann",), (SPOT, INVERSE), 0.0)
    assert {outcome.rejection for outcome in twin.apply(stream.fills(1))} == {Rejection.UNKNOWN_ASSET}
    twin.list_assets("BTC")
    assert (twin.table.arrays().kind_I[numbers] != UNSUPPORTED).all()
    twin.apply(stream.fills(50))
    assert twin.compiled == 50


def test_accounts_of_another_shard_leave_the_lane() -> None:
    twin = Twin()
    twin.list_instruments(PERP)
    twin.list_assets("USD")
    twin.load(AccountBook("ann"))
    fills = fill_columns(Stream(1, ("ann",), (PERP,), 0.0).fills(3), twin.columns)
    outcome_N = np.zeros(3, np.uint8)
    assert twin.lane.apply(fills, 0, 3, SHARD + 1, outcome_N) == (0, RECORD)
    assert not outcome_N.any() and twin.columns.book(0) == AccountBook("ann")
    assert twin.lane.apply(fills, 1, 3, SHARD, outcome_N) == (3, END)


def test_a_code_without_an_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="no outcome"):
        outcome_of(OFF_LOT, None, "f1")
    with pytest.raises(ValueError, match="no outcome"):
        outcome_of(0, PERP, "f1")


def test_terms_beyond_64_bits_are_unsupported() -> None:
    twin = Twin()
    for terms in ODD:
        twin.table.list(terms)
    twin.list_assets("USD", "BTC", "EUR")
    kinds = {terms.instrument_id: twin.table.arrays().kind_I[number] for number, terms in enumerate(ODD)}
    unsupported = {name for name, kind in kinds.items() if kind == UNSUPPORTED}
    assert unsupported == {"ODD-HUGE", "ODD-SPOT", "ODD-WAITING"}
    assert fits_int64(int(twin.table.arrays().unit_e8_I.max()))
