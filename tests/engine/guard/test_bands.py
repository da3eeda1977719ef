"""Guard bands against everybody's exact figures: whoever lost his slack was given back, whatever moved.

Books of every kind of contract and collateral, in a market that ticks, jumps, comes back, ages, pays funding and lists
new contracts. ``CROSSMARGIN_GUARD_SEEDS`` sets how many seeds are run.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from engine.columns.arrays import Int32s
from engine.guard.bands import GuardBands
from engine.portfolio import HoldingColumns, Portfolio, PortfolioPosition
from engine.pricing.axes import Floats
from engine.reference.instruments import InstrumentKind
from engine.risk.live_rows import LiveRows
from engine.risk.verdicts import Verdicts, empty_verdicts, evaluate
from engine.units import E8, PPM
from tests.engine.risk.test_live_rows import UNCOVERED, Book
from tests.engine.risk.test_verdicts import pooled
from tests.engine.risk.worlds import ASSETS, INSTRUMENTS, MARKS, PARAMETERS, TIME_US

SEEDS = int(os.environ.get("CROSSMARGIN_GUARD_SEEDS", "100"))
ACCOUNTS, STEPS = 24, 40
RELEASE = PARAMETERS.release_buffer_ppm / PPM
FEEDS = sorted(MARKS)


@dataclass
class World:
    """Accounts with their exact figures, the bands set on them, and who has one."""

    draw: random.Random
    instruments: list[str]
    assets: list[str]
    book: Book
    rows: LiveRows
    bands: GuardBands = field(default_factory=GuardBands)
    portfolios: list[Portfolio] = field(default_factory=list)
    two_sided_A: np.ndarray = field(default_factory=lambda: np.zeros(0, np.bool_))
    guarded: set[int] = field(default_factory=set)

    def columns(self) -> HoldingColumns:
        return pooled(self.portfolios, self.draw, self.instruments, self.assets)

    def slack(self, columns: HoldingColumns) -> tuple[Floats, Verdicts]:
        """Everybody's distance to the nearer threshold, numeraire; NaN where not priced."""
        verdicts = empty_verdicts(len(self.portfolios))
        evaluate(np.arange(len(self.portfolios), dtype=np.int32), columns, self.rows.arrays, verdicts)
        healthy = verdicts.equity_A - verdicts.initial_margin_A
        release = RELEASE * verdicts.initial_margin_A - verdicts.equity_A
        called = np.minimum(verdicts.equity_A - verdicts.maintenance_margin_A, release)
        return np.where(self.two_sided_A, called, healthy), verdicts

    def put(self, numbers: list[int]) -> None:
        """Set bands for all of ``numbers`` that have slack, and for whom they push out."""
        while numbers:
            columns = self.columns()
            slack_A, _ = self.slack(columns)
            with_slack = [number for number in sorted(set(numbers)) if slack_A[number] >= 0.0]
            self.bands.remove(np.array(sorted(set(numbers) - set(with_slack)), np.int32))
            self.guarded -= set(numbers)
            chosen = np.array(with_slack, np.int32)
            evicted = self.bands.put(chosen, slack_A[chosen], self.two_sided_A[chosen], columns, self.rows.arrays)
            self.guarded |= set(with_slack)
            numbers = evicted.tolist()

    def move(self, feeds: set[str]) -> list[int]:
        """Take new marks in; those given back, after checking that nobody is missing."""
        changed = self.rows.refresh(feeds)
        moved = self.bands.moved(changed.instruments, changed.assets, self.rows.arrays)
        returned: list[int] = moved.tolist()
        assert len(set(returned)) == len(returned) and set(returned) <= self.guarded
        self.guarded -= set(returned)
        slack_A, verdicts = self.slack(self.columns())
        assert verdicts.priced_A.all()
        missed = [number for number in sorted(self.guarded) if not slack_A[number] >= 0.0]
        assert not missed, [(number, slack_A[number], self.portfolios[number]) for number in missed]
        return returned

    def add_slack(self, numbers: list[int]) -> None:
        """Move cash so that ``numbers`` are anything from hardly to comfortably on the right side."""
        _, verdicts = self.slack(self.columns())
        for number in numbers:
            equity, initial = verdicts.equity_A[number], verdicts.initial_margin_A[number]
            maintenance = verdicts.maintenance_margin_A[number]
            if self.two_sided_A[number]:
                wanted = maintenance + self.draw.random() * (RELEASE * initial - maintenance)
            else:
                wanted = initial + max(initial, 1.0) * self.draw.lognormvariate(-3.0, 2.0)
            holding = self.portfolios[number]
            cash = holding.balances.get("USD", 0) + round((wanted - equity) * E8)
            self.portfolios[number] = replace(holding, balances={**holding.balances, "USD": cash})


def holdings(draw: random.Random, instruments: list[str], assets: list[str]) -> Portfolio:
    """Mostly a few things, often against each other; bought at about what they are worth, or at anything."""
    count = min(draw.choice((0, 1, 1, 1, 2, 3, 8)), len(instruments))
    positions = {}
    for name in draw.sample(instruments, count):
        terms = INSTRUMENTS[name]
        quantity = draw.choice((-1, 1)) * draw.randint(1, 20 * E8)
        coin = 1.0 if ASSETS[terms.settlement_asset].underlying is None else 50_000.0
        cost = round(quantity * draw.uniform(-1.5, 1.5) * (0.01 if terms.kind.is_option else 50_000.0) / coin)
        paid_e12 = {InstrumentKind.LINEAR_PERPETUAL: 10**13, InstrumentKind.INVERSE_PERPETUAL: 10**6}.get(terms.kind, 0)
        positions[name] = PortfolioPosition(quantity, draw.choice((0, cost)), draw.randint(-paid_e12, paid_e12))
    owned = draw.sample(assets, draw.randint(0, len(assets)))
    scale = {"USD": 10_000.0, "USDC": 10_000.0, "BTC": 2.0, "ETH": 40.0}
    balances = {name: round(draw.uniform(-0.5, 1.0) * scale[name] * E8) for name in owned}
    return Portfolio("a", balances, positions)


def world(seed: int, assets_at_least: int = 0) -> World:
    draw = random.Random(seed)
    instruments = draw.sample(sorted(INSTRUMENTS), draw.choice((1, 2, 4, len(INSTRUMENTS))))
    # A settlement asset that nobody has a number for yet is nobody's collateral, but may be owed.
    assets = ["USD", *draw.sample(("USDC", "BTC", "ETH"), draw.randint(assets_at_least, 3))]
    book = Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US)
    rows = LiveRows(book, PARAMETERS)
    rows.extend(instruments, assets)
    made = World(draw, instruments, assets, book, rows)
    made.bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), max(1.0, RELEASE))
    made.portfolios = [holdings(draw, instruments, assets) for _ in range(ACCOUNTS)]
    made.two_sided_A = np.array([draw.random() < 0.3 for _ in range(ACCOUNTS)])
    made.add_slack(list(range(ACCOUNTS)))
    made.put(list(range(ACCOUNTS)))
    return made


def disturb(made: World) -> set[str]:
    """New marks of a few feeds, or a second that passes."""
    draw, book = made.draw, made.book
    book.time_us += draw.choice((0, 0, 0, 300_000, 1_000_000, 3_600_000_000, 86_400_000_000))
    feeds = set(draw.sample(FEEDS, draw.choice((0, 1, 1, 1, 2, len(FEEDS)))))
    spread = draw.choice((0.0, 2e-4, 2e-3, 2e-2, 0.3))
    for feed in feeds:
        mark, at_first = book.marks[feed], MARKS[feed]
        price_e8 = round(mark.price_e8 * (1 + draw.uniform(-spread, spread)))
        if draw.random() < 0.2:
            price_e8 = at_first.price_e8
        volatility = mark.volatility
        if volatility and draw.random() < 0.4:
            factor = draw.uniform(0.7, 1.4)
            volatility = tuple(replace(node, volatility=node.volatility * factor) for node in volatility)
        funding = draw.choice((0, 0, 10**12, 3 * 10**14))
        book.marks[feed] = replace(
            mark,
            price_e8=max(price_e8, 1),
            volatility=volatility,
            funding_index_linear_e12=mark.funding_index_linear_e12 + draw.randint(-funding, funding),
            funding_index_inverse_e12=mark.funding_index_inverse_e12
            + draw.randint(-funding, funding) // draw.choice((10**6, 10**8)),
        )
    return feeds


def change_hands(made: World) -> None:
    """Fills, withdrawals, accounts that leave, contracts and assets that are listed."""
    draw, choice = made.draw, made.draw.random()
    some = draw.sample(range(ACCOUNTS), draw.randint(1, 4))
    if choice < 0.15:
        made.bands.remove(np.array(some, np.int32))
        made.guarded -= set(some)
        return
    if choice < 0.25:
        more = sorted(set(INSTRUMENTS) - set(made.instruments))[: draw.randint(0, 3)]
        coins = sorted(set(ASSETS) - set(made.assets))[: draw.randint(0, 1)]
        made.rows.extend(more, coins)
        made.instruments += more
        made.assets += coins
        made.bands.extend(made.rows.arrays, made.rows.fixed_C)
    elif choice < 0.5:
        for number in some:
            made.portfolios[number] = holdings(draw, made.instruments, made.assets)
            made.two_sided_A[number] = draw.random() < 0.3
    made.add_slack(some)
    made.put(some)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_is_missed(seed: int) -> None:
    made = world(seed)
    for _ in range(STEPS):
        if made.draw.random() < 0.3:
            change_hands(made)
        returned = made.move(disturb(made))
        if made.draw.random() < 0.5:
            made.add_slack(returned)
        made.put(returned)


def quiet(seed: int) -> World:
    """Accounts whose slack is a fifth of the size of what they hold."""
    made = world(seed, assets_at_least=3)
    made.two_sided_A[:] = False
    _, verdicts = made.slack(made.columns())
    for number, holding in enumerate(made.portfolios):
        wanted = verdicts.initial_margin_A[number] + 0.2 * size_of(holding) + 1.0
        cash = holding.balances.get("USD", 0) + round((wanted - verdicts.equity_A[number]) * E8)
        made.portfolios[number] = replace(holding, balances={**holding.balances, "USD": cash})
    made.put(list(range(ACCOUNTS)))
    return made


def size_of(holding: Portfolio) -> float:
    """Contracts, coins and debts at about what they are worth, numeraire."""
    near = {"USD": 0.0, "USDC": 1.0, "BTC": 5e4, "ETH": 2_800.0}
    size = sum(abs(amount) / E8 * near[name] for name, amount in holding.balances.items())
    for name, item in holding.positions.items():
        terms = INSTRUMENTS[name]
        contract = 100.0 if name == "BTC-INVERSE" else near[terms.underlying] * terms.multiplier_e8 / E8
        coin = max(near[terms.settlement_asset], 1.0) if name != "BTC-INVERSE" else 1.0
        size += abs(item.quantity_e8) / E8 * contract * coin
        size += abs(item.cost_e8) / E8 * near[terms.settlement_asset]
    return size


def tick(made: World, feed: str, factor: float) -> int:
    """How many are given back when a price is that times what it was at first."""
    price_e8 = round(MARKS[feed].price_e8 * factor)
    made.book.marks[feed] = replace(made.book.marks[feed], price_e8=price_e8)
    returned = made.move({feed})
    made.put(returned)
    return len(returned)


@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_market_gives_hardly_anybody_back(seed: int) -> None:
    made = quiet(seed)
    prices, found = dict.fromkeys(FEEDS, 1.0), 0
    for _ in range(200):
        feed = made.draw.choice(FEEDS)
        prices[feed] *= 1 + made.draw.gauss(0.0, 2e-4)
        found += tick(made, feed, prices[feed])
    assert found < 0.01 * 200 * ACCOUNTS


def test_prices_that_go_and_come_back_give_nobody_back_again() -> None:
    made = quiet(3)
    swing = [tick(made, "BTC-PERP", factor) for factor in (0.97, 1.03, 1.0) * 10]
    assert 0 == sum(swing[6:]), "who gave way once has a band of the present prices"


@pytest.mark.parametrize("aged", [0.9994, 1.0006])
@pytest.mark.parametrize("toward", [-1, 1])
@pytest.mark.parametrize("quantity", [-1, 1])
def test_a_band_set_at_an_old_anchor_is_as_long_as_one_at_a_new_one(quantity: int, toward: int, aged: float) -> None:
    """A called account between two thresholds, a price that has moved a little since its anchor, and back or on."""
    book = Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US)
    rows = LiveRows(book, PARAMETERS)
    rows.extend(["BTC-PERP"], ["USD"])
    made = World(random.Random(0), ["BTC-PERP"], ["USD"], book, rows)
    made.bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), RELEASE)
    made.portfolios = [Portfolio("a", {}, {"BTC-PERP": PortfolioPosition(quantity * E8)})] * 2
    made.two_sided_A = np.array([True, True])
    tick(made, "BTC-PERP", aged)
    _, verdicts = made.slack(made.columns())
    # Just inside the threshold that the market moves toward: released when it gains, in liquidation when it loses.
    initial, maintenance = verdicts.initial_margin_A[0], verdicts.maintenance_margin_A[0]
    room = 0.0025 * MARKS["BTC-PERP"].price_e8 / E8
    for number, wanted in enumerate((RELEASE * initial - room, maintenance + room)):
        cash = round((wanted - verdicts.equity_A[number]) * E8)
        made.portfolios[number] = replace(made.portfolios[number], balances={"USD": cash})
    made.put([0, 1])
    for step in range(1, 100):
        price_e8 = round(MARKS["BTC-PERP"].price_e8 * (aged + toward * step * 5e-5))
        book.marks["BTC-PERP"] = replace(book.marks["BTC-PERP"], price_e8=price_e8)
        made.move({"BTC-PERP"})
    assert set() == made.guarded


@pytest.mark.parametrize(
    ("holding", "feed"),
    [
        (Portfolio("a", {}, {"BTC-45D-60000-C": PortfolioPosition(-10 * E8)}), "BTC"),
        (Portfolio("a", {"BTC": -E8}), "BTC"),
        (Portfolio("a", {}, {"BTC-PERP": PortfolioPosition(-E8)}), "BTC-PERP"),
    ],
    ids=["short-option minimum alone", "loss on a coin owed", "loss on a contract sold"],
)
def test_each_part_of_the_requirement_is_bounded(holding: Portfolio, feed: str) -> None:
    """The index moves and no option's forward does; what is owed gets dearer, and so does its scenario loss."""
    instruments, assets = sorted(holding.positions), sorted({"USD", *holding.balances})
    book = Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US)
    rows = LiveRows(book, PARAMETERS)
    rows.extend(instruments, assets)
    made = World(random.Random(0), instruments, assets, book, rows)
    made.bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), 1.0)
    made.portfolios, made.two_sided_A = [holding], np.array([False])
    _, verdicts = made.slack(made.columns())
    room = 20.0 if instruments[:1] == ["BTC-45D-60000-C"] else 0.02 * MARKS[feed].price_e8 / E8
    cash = round((verdicts.initial_margin_A[0] - verdicts.equity_A[0] + room) * E8)
    made.portfolios[0] = replace(holding, balances={**holding.balances, "USD": cash})
    made.put([0])
    for step in range(1, 60):
        price_e8 = round(MARKS[feed].price_e8 * (1 + step * 5e-4))
        book.marks[feed] = replace(book.marks[feed], price_e8=price_e8)
        made.move({feed})
    assert set() == made.guarded


def test_a_debt_in_a_coin_that_the_parameters_do_not_cover_is_guarded() -> None:
    """Contracts bought at four times their value: when the coin rises, what is owed outgrows what they are worth."""
    name = "ETH-PERP-COIN"
    book = Book(dict(INSTRUMENTS), dict(ASSETS), dict(MARKS), TIME_US)
    rows = LiveRows(book, UNCOVERED)
    rows.extend([name], ["USD", "BTC"])
    made = World(random.Random(0), [name], ["USD", "BTC"], book, rows)
    made.bands.reset(rows.arrays, rows.fixed_C, len(rows.grid.underlyings), 1.0)
    owed = 40 * rows.arrays.value_I[0] / rows.arrays.settlement_price_I[0]
    position = PortfolioPosition(10 * E8, round(owed * E8), int(rows.arrays.funding_index_e12_I[0]))
    made.portfolios, made.two_sided_A = [Portfolio("a", {}, {name: position})], np.array([False])
    _, verdicts = made.slack(made.columns())
    cash = round((verdicts.initial_margin_A[0] - 1.01 * verdicts.equity_A[0]) * E8)
    made.portfolios[0] = replace(made.portfolios[0], balances={"USD": cash})
    made.put([0])
    for step in range(1, 60):
        book.marks["BTC"] = replace(book.marks["BTC"], price_e8=round(MARKS["BTC"].price_e8 * (1 + step * 1e-3)))
        made.move({"BTC"})
    assert set() == made.guarded


def test_a_fresh_anchor_gives_back_whose_it_replaces() -> None:
    """Eight anchors are in use and the ninth pushes somebody out, who is put again and not forgotten."""
    made = world(0)
    made.put(list(range(ACCOUNTS)))
    for number in range(ACCOUNTS):
        for feed in FEEDS:
            tick(made, feed, 1.0 + 0.04 * (number % 12) / 12)
        made.add_slack([number])
        made.put([number])
    assert made.guarded


def test_memory_is_counted() -> None:
    made, empty = world(1), GuardBands()
    assert 0 < empty.memory_bytes() < made.bands.memory_bytes()


def test_nobody_is_nothing() -> None:
    made = world(2)
    nobody: Int32s = np.zeros(0, np.int32)
    made.bands.remove(nobody)
    none = np.zeros(0), np.zeros(0, np.bool_)
    assert 0 == made.bands.put(nobody, *none, made.columns(), made.rows.arrays).size
