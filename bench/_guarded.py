"""A venue for the benchmark of guard bands: columns of many accounts, filled at once, and a market of a hundred coins.

Owns the population. Every account has eight positions, popular coins in most of them, and cash for its maintenance
margin and a share of its gross size beyond: a third for the median account, hardly anything for a few. Refuses to
measure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.books.market_book import MarketBook
from engine.columns.accounts import AccountColumns
from engine.columns.arrays import MEMORY_MAX
from engine.events import MarkPrice, VolatilityNode
from engine.pricing.axes import Floats, Ints
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.risk.live_rows import LiveRows
from engine.risk.verdicts import empty_verdicts, evaluate
from engine.units import DAY_US, E8
from tests.builders import parameters

COINS, POSITIONS, WITH_OPTIONS, STRIKES = 100, 8, 4, 50
START_US = 1_700_000_000_000_000
CHUNK = 50_000
SURFACE = tuple(VolatilityNode(t, k, 0.6 + k * k) for t in (7.0, 30.0) for k in (-0.3, 0.0, 0.3))


@dataclass(frozen=True)
class Population:
    """Columns and the market they are valued on; ``coin_I`` is the coin of an instrument."""

    columns: AccountColumns
    market: MarketBook
    rows: LiveRows
    coin_I: Ints

    def quote(self, coin: int, price: float) -> str:
        """A new mark of a coin; its feed."""
        feed = f"C{coin:03}"
        self.market.marks[feed] = replace(self.market.marks[feed], price_e8=max(round(price * E8), 1))
        return feed


def population(accounts: int, options: bool, seed: int = 1) -> Population:
    """``accounts`` accounts; with ``options``, every third has half of its positions in options on the first coins."""
    rng = np.random.default_rng(seed)
    market = _market(rng.lognormal(3.0, 1.0, COINS), options)
    columns = AccountColumns()
    columns.assets.number("USD")
    for name in sorted(market.instruments):
        columns.instruments.number(name)
    names = sorted(market.instruments)
    rows = LiveRows(market, market.parameters or parameters())
    rows.extend(names, ["USD"])
    columns.ensure(
        accounts=accounts, positions=accounts * POSITIONS, balances=accounts, remembered=accounts * MEMORY_MAX
    )
    for number in range(accounts):
        columns.names.intern(b"account-%07d" % number)
    _fill(columns, rows, names, rng, accounts)
    _pay_in(columns, rows, rng, accounts)
    return Population(columns, market, rows, np.array([int(name[1:4]) for name in names]))


def _market(price_U: Floats, options: bool) -> MarketBook:
    market = MarketBook()
    market.time_us = START_US
    terms = parameters().underlyings["BTC"]
    market.parameters = parameters(underlyings={f"C{coin:03}": terms for coin in range(COINS)})
    market.assets["USD"] = CollateralAsset("USD", None, 0)
    for coin, price in enumerate(price_U.tolist()):
        feed = f"C{coin:03}"
        market.marks[feed] = MarkPrice(0, feed, round(price * E8), 0, SURFACE if options else (), 0, 0, START_US)
        market.instruments[f"{feed}-PERP"] = _instrument(f"{feed}-PERP", InstrumentKind.LINEAR_PERPETUAL, None)
        for strike in range(STRIKES if options and coin < WITH_OPTIONS else 0):
            for kind in (InstrumentKind.CALL, InstrumentKind.PUT):
                name = f"{feed}-{kind.value.upper()}-{strike:02}"
                market.instruments[name] = _instrument(name, kind, price * (0.7 + 0.6 * strike / STRIKES))
    return market


def _instrument(name: str, kind: InstrumentKind, strike: float | None) -> Instrument:
    expiry_us = None if strike is None else START_US + 20 * DAY_US
    strike_e8 = None if strike is None else round(strike * E8)
    return Instrument(name, kind, name[:4], "USD", name[:4], E8, E8, E8, expiry_us=expiry_us, strike_e8=strike_e8)


def _fill(columns: AccountColumns, rows: LiveRows, names: list[str], rng: np.random.Generator, accounts: int) -> None:
    """Eight positions each, bought at the mark."""
    perpetuals = np.flatnonzero(~rows.arrays.option_I)
    optional = np.flatnonzero(rows.arrays.option_I)
    price_U = rows.arrays.value_I[perpetuals]
    popularity_U = np.log(1.0 / np.arange(1, COINS + 1))
    pool = columns.positions
    for first in range(0, accounts, CHUNK):
        count = min(CHUNK, accounts - first)
        luck_NU = popularity_U + rng.gumbel(size=(count, COINS))
        coin_NP = np.argpartition(-luck_NU, POSITIONS, axis=1)[:, :POSITIONS]
        notional_NP = rng.lognormal(8.0, 1.5, coin_NP.shape) * rng.choice([-1.0, 1.0], coin_NP.shape)
        quantity_NP = notional_NP / price_U[coin_NP]
        instrument_NP = perpetuals[coin_NP]
        if optional.size:
            some = rng.integers(0, optional.size // 4, (count, POSITIONS // 2))
            some = optional[4 * some + np.arange(POSITIONS // 2)]  # no option twice
            instrument_NP[::3, : POSITIONS // 2] = some[::3]
            quantity_NP[::3, : POSITIONS // 2] /= 5.0
        order = np.argsort(instrument_NP, axis=1)
        entries = slice(first * POSITIONS, (first + count) * POSITIONS)
        pool.instrument_P[entries] = np.take_along_axis(instrument_NP, order, 1).ravel()
        e8_P = np.rint(np.take_along_axis(quantity_NP, order, 1).ravel() * E8).astype(np.int64)
        pool.quantity_e8_P[entries] = np.where(e8_P == 0, 1, e8_P)
        value_P = pool.quantity_e8_P[entries] * rows.arrays.value_I[pool.instrument_P[entries]]
        pool.cost_e8_P[entries] = np.where(rows.arrays.option_I[pool.instrument_P[entries]], 0, np.rint(value_P))
    pool.start_A[:accounts] = np.arange(accounts) * POSITIONS
    pool.count_A[:accounts] = POSITIONS
    pool.class_A[:accounts] = POSITIONS.bit_length() - 1
    pool.used[0] = accounts * POSITIONS


def _pay_in(columns: AccountColumns, rows: LiveRows, rng: np.random.Generator, accounts: int) -> None:
    """Cash that makes the slack, and a full memory of fills."""
    columns.accounts.shard_A[:accounts] = 0
    columns.accounts.applied_AT[:accounts] = 1
    owned, memory = columns.balances, columns.memory
    owned.start_A[:accounts] = np.arange(accounts)
    owned.count_A[:accounts] = 1
    owned.class_A[:accounts] = 0
    owned.used[0] = accounts
    memory.start_AT[:accounts, 0] = np.arange(accounts) * MEMORY_MAX
    memory.count_AT[:accounts, 0] = MEMORY_MAX
    memory.class_AT[:accounts, 0] = MEMORY_MAX.bit_length() - 1
    memory.used[0] = accounts * MEMORY_MAX
    verdicts = empty_verdicts(accounts)
    evaluate(np.arange(accounts, dtype=np.int32), columns.holdings(), rows.arrays, verdicts)
    pool = columns.positions
    entries = slice(0, accounts * POSITIONS)
    size_P = np.abs(pool.quantity_e8_P[entries]) / E8 * rows.arrays.value_I[pool.instrument_P[entries]]
    gross_A = size_P.reshape(accounts, POSITIONS).sum(axis=1)
    slack_A = gross_A * rng.lognormal(-1.2, 0.9, accounts)
    wanted_A = verdicts.maintenance_margin_A + slack_A - verdicts.equity_A
    owned.amount_e8_C[:accounts] = np.rint(wanted_A * E8).astype(np.int64)
