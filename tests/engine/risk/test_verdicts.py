"""Verdicts from columns: the figures of portfolios, whatever the numbering, the place in the pool and the company."""

from __future__ import annotations

import random

import numpy as np

from engine.portfolio import HoldingColumns, Portfolio, PortfolioPosition
from engine.risk.live_rows import LiveRows
from engine.risk.margin import account_risk
from engine.risk.row_arrays import RowArrays
from engine.risk.verdicts import BLOCK, empty_verdicts, evaluate
from engine.units import E8
from tests.engine.risk.worlds import ASSETS, INSTRUMENTS, MARKET, PARAMETERS, without_mark
from tests.reference.margin import margin

UNLISTED = "AAA-NOT-LISTED"


def drawn(draw: random.Random, count: int, unlisted: bool = True) -> list[Portfolio]:
    """Portfolios of any size, some with a position that nobody can price, long costs, odd cents."""
    names = [*sorted(INSTRUMENTS), *([UNLISTED] if unlisted else [])]
    portfolios = []
    for _ in range(count):
        held = draw.sample(names, draw.choice((0, 1, 3, len(names) - 1)))
        owned = draw.sample(sorted(ASSETS), draw.randint(0, len(ASSETS)))
        positions = {
            name: PortfolioPosition(
                draw.choice((-1, 1)) * draw.randint(1, 50 * E8), draw.randint(-E8, E8), draw.randint(-(10**13), 10**13)
            )
            for name in held
        }
        portfolios.append(Portfolio("a", {name: draw.randint(-E8, 9**12) for name in owned}, positions))
    return portfolios


def pooled(
    portfolios: list[Portfolio], draw: random.Random, instruments: list[str], assets: list[str]
) -> HoldingColumns:
    """Columns of ``portfolios`` in blocks with gaps and in any order, as a pool that has been in use has them."""
    order = draw.sample(range(len(portfolios)), len(portfolios))
    starts, counts = np.zeros((2, len(order)), np.int64), np.zeros((2, len(order)), np.int32)
    positions, balances = [(0, 7, 7, 7)] * 3, [(0, 7)] * 2
    for a in order:
        portfolio = portfolios[a]
        starts[:, a] = len(positions), len(balances)
        counts[:, a] = len(portfolio.positions), len(portfolio.balances)
        for name in sorted(portfolio.positions):
            item = portfolio.positions[name]
            positions.append((instruments.index(name), item.quantity_e8, item.cost_e8, item.funding_index_e12))
        balances += [(assets.index(name), portfolio.balances[name]) for name in sorted(portfolio.balances)]
        positions += [(0, 7, 7, 7)] * draw.randint(0, 3)
        balances += [(0, 7)] * draw.randint(0, 3)
    p, c = (np.array(table, dtype=np.int64).T.copy() for table in (positions, balances))
    return HoldingColumns(
        starts[0].copy(), counts[0].copy(), p[0].astype(np.int32), p[1].copy(), p[2].copy(), p[3].copy(),
        starts[1].copy(), counts[1].copy(), c[0].astype(np.int32), c[1].copy(),
    )  # fmt: skip


def rows_of(instruments: list[str], assets: list[str], feed_missing: str | None = None) -> RowArrays:
    rows = LiveRows(MARKET if feed_missing is None else without_mark(feed_missing), PARAMETERS)
    rows.extend(instruments, assets)
    return rows.arrays


def test_columns_give_the_bits_of_portfolios() -> None:
    draw = random.Random(3)
    portfolios = drawn(draw, 2 * BLOCK + 77)
    for missing in (None, "ETH", "USDC"):
        instruments = draw.sample([*sorted(INSTRUMENTS), UNLISTED], len(INSTRUMENTS) + 1)
        assets = draw.sample(sorted(ASSETS), len(ASSETS))
        columns, rows = pooled(portfolios, draw, instruments, assets), rows_of(instruments, assets, missing)
        listed = np.array(draw.choices(range(len(portfolios)), k=700), dtype=np.int32)
        out = empty_verdicts(listed.size)
        evaluate(listed, columns, rows, out)
        market = MARKET if missing is None else without_mark(missing)
        whole = account_risk(portfolios, market, PARAMETERS)
        assert 0 < out.priced_A.sum() < listed.size
        for name in ("equity_A", "initial_margin_A", "maintenance_margin_A", "priced_A"):
            assert getattr(whole, name)[listed].tobytes() == getattr(out, name).tobytes(), (missing, name)


def test_columns_agree_with_the_slow_twin() -> None:
    draw = random.Random(4)
    portfolios = drawn(draw, 150, unlisted=False)
    instruments, assets = sorted(INSTRUMENTS, reverse=True), sorted(ASSETS, reverse=True)
    out = empty_verdicts(len(portfolios))
    accounts = np.arange(len(portfolios), dtype=np.int32)
    evaluate(accounts, pooled(portfolios, draw, instruments, assets), rows_of(instruments, assets), out)
    assert out.priced_A.all()
    for a, portfolio in enumerate(portfolios):
        slow = margin(portfolio, MARKET, PARAMETERS)
        for name, value in (
            ("equity", out.equity_A[a]),
            ("initial_margin", out.initial_margin_A[a]),
            ("maintenance_margin", out.maintenance_margin_A[a]),
        ):
            assert abs(slow[name] - value) <= 1e-9 * abs(slow[name]) + 1e-7, (a, name)


def test_nobody_and_nothing() -> None:
    rows = rows_of(["BTC-PERP"], ["USD"])
    columns = pooled([Portfolio("a")], random.Random(0), ["BTC-PERP"], ["USD"])
    evaluate(np.zeros(0, dtype=np.int32), columns, rows, empty_verdicts(0))
    out = empty_verdicts(1)
    evaluate(np.zeros(1, dtype=np.int32), columns, rows, out)
    assert (0.0, 0.0, 0.0, True) == tuple(column[0] for column in out)
