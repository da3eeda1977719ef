"""Valuation: what one contract is worth, now and after a move.

Owns the value formula of every kind of contract and the table of terms and marks it reads. Refuses quantities: a
position is worth its quantity times the value of one contract.

    spot, linear perpetual, future   value = price x multiplier
    inverse perpetual                value = -multiplier / price          (multiplier in quote units per contract)
    call, put                        value = Black-76(forward, ...) x multiplier

Values are in the settlement asset and are converted at its mark. That mark moves with the contract's own where the
settlement asset is collateral of the contract's underlying (an inverse perpetual in its coin); otherwise it is fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.market import Market
from engine.pricing.axes import Bools, Floats, Ints
from engine.pricing.black76 import black76
from engine.pricing.volatility import VolatilitySurface, implied_volatility, volatility_surface
from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import DAY_US, E8, YEAR_US

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class ContractTable:
    """Terms and marks of instruments as arrays of shape [I]; rows without all their marks are not ``priced``.

    ``sign_I`` is +1 for a call, -1 for a put, 0 otherwise; ``inverse_I`` marks inverse perpetuals. ``price_I`` is
    the mark of the instrument's feed (for an option: the forward), ``index_price_I`` that of the feed named by the
    underlying (options only, else 0), ``settlement_price_I`` numeraire per settlement asset; ``settlement_moves_I``
    marks rows whose settlement asset moves with the instrument's own underlying. ``funding_multiplier_I`` is the
    multiplier for perpetuals and 0 for the rest. Unpriced rows hold harmless ones, so kernels need no branch.
    """

    instruments: tuple[Instrument | None, ...]
    sign_I: Floats
    inverse_I: Bools
    multiplier_I: Floats
    price_I: Floats
    index_price_I: Floats
    settlement_price_I: Floats
    settlement_moves_I: Bools
    strike_I: Floats
    tenor_days_I: Floats
    volatility_I: Floats
    funding_multiplier_I: Floats
    funding_index_e12_I: Ints
    priced_I: Bools

    @property
    def years_I(self) -> Floats:
        """Time to expiry on Actual/365; 0 for contracts without one that matters."""
        return self.tenor_days_I * (DAY_US / YEAR_US)


def valuation_time_us(time_us: int) -> int:
    """The time that options are valued at: engine time in whole seconds, so that marks of one second age nothing."""
    return time_us - time_us % SECOND_US


def contract_table(instrument_ids: Sequence[str], market: Market) -> ContractTable:
    """Look up terms and marks of ``instrument_ids``; anything unknown or unmarked gives an unpriced row."""
    count = len(instrument_ids)
    table = ContractTable(
        instruments=tuple(market.instruments.get(name) for name in instrument_ids),
        sign_I=np.zeros(count),
        inverse_I=np.zeros(count, dtype=np.bool_),
        multiplier_I=np.ones(count),
        price_I=np.ones(count),
        index_price_I=np.zeros(count),
        settlement_price_I=np.ones(count),
        settlement_moves_I=np.zeros(count, dtype=np.bool_),
        strike_I=np.ones(count),
        tenor_days_I=np.zeros(count),
        volatility_I=np.zeros(count),
        funding_multiplier_I=np.zeros(count),
        funding_index_e12_I=np.zeros(count, dtype=np.int64),
        priced_I=np.zeros(count, dtype=np.bool_),
    )
    options: dict[str, list[int]] = {}
    for row, instrument in enumerate(table.instruments):
        if instrument is not None:
            _fill_row(table, row, instrument, market)
            if instrument.kind.is_option:
                options.setdefault(instrument.underlying, []).append(row)
    for underlying, rows in options.items():
        _fill_volatility(table, np.array(rows), underlying, market)
    return table


def mark_of(market: Market, feed: str | None) -> float | None:
    """Numeraire price of ``feed``: 1 for None (the numeraire itself), None without a positive mark."""
    if feed is None:
        return 1.0
    mark = market.marks.get(feed)
    return mark.price_e8 / E8 if mark is not None and mark.price_e8 > 0 else None


def _fill_row(table: ContractTable, row: int, instrument: Instrument, market: Market) -> None:
    kind = instrument.kind
    asset = market.assets.get(instrument.settlement_asset)
    price = mark_of(market, instrument.mark_feed)
    settlement_price = mark_of(market, asset.mark_feed) if asset is not None else None
    if asset is None or price is None or settlement_price is None:
        return
    table.multiplier_I[row] = instrument.multiplier_e8 / E8
    table.price_I[row] = price
    table.settlement_price_I[row] = settlement_price
    table.settlement_moves_I[row] = asset.underlying == instrument.underlying
    table.priced_I[row] = True
    table.inverse_I[row] = kind is InstrumentKind.INVERSE_PERPETUAL
    if kind.is_perpetual:
        mark = market.marks[instrument.mark_feed]
        linear = kind is InstrumentKind.LINEAR_PERPETUAL
        table.funding_multiplier_I[row] = table.multiplier_I[row]
        table.funding_index_e12_I[row] = mark.funding_index_linear_e12 if linear else mark.funding_index_inverse_e12
    if kind.is_option:
        assert instrument.expiry_us is not None and instrument.strike_e8 is not None
        table.sign_I[row] = 1.0 if kind is InstrumentKind.CALL else -1.0
        table.strike_I[row] = instrument.strike_e8 / E8
        table.tenor_days_I[row] = max(instrument.expiry_us - valuation_time_us(market.time_us), 0) / DAY_US


def _fill_volatility(table: ContractTable, rows: Ints, underlying: str, market: Market) -> None:
    """Volatility and index price of the options in ``rows``, all on one underlying."""
    index_price = mark_of(market, underlying)
    surface: VolatilitySurface | None = None
    if index_price is not None:
        surface = volatility_surface(market.marks[underlying].volatility)
    if index_price is None or surface is None:
        table.priced_I[rows] = False
        return
    log_moneyness = np.log(table.strike_I[rows] / table.price_I[rows])
    table.volatility_I[rows] = implied_volatility(surface, table.tenor_days_I[rows], log_moneyness)
    table.index_price_I[rows] = index_price


def unit_value(table: ContractTable, price_factor: Floats, volatility_factor: Floats) -> Floats:
    """Numeraire value of one contract after relative moves, shape [I, S].

    ``price_factor`` and ``volatility_factor`` have shape [I, S] or [I, 1] and multiply mark and volatility: strikes
    keep their volatility when the forward moves (sticky strike). The settlement asset's mark is multiplied by the same
    ``price_factor`` where ``settlement_moves_I`` says so. Every lane is computed on its own, so a row's value does not
    depend on the other rows.
    """
    price_IS = table.price_I[:, None] * price_factor
    value_IS = price_IS * table.multiplier_I[:, None]
    inverse = np.flatnonzero(table.inverse_I)
    if inverse.size:
        value_IS[inverse] = -table.multiplier_I[inverse, None] / price_IS[inverse]
    option = np.flatnonzero(table.sign_I)
    if option.size:
        value_IS[option] = table.multiplier_I[option, None] * black76(
            price_IS[option],
            table.strike_I[option, None],
            table.years_I[option, None],
            table.volatility_I[option, None] * volatility_factor[option],
            table.sign_I[option, None],
        )
    return value_IS * moved_settlement_price(table, price_factor)


def moved_settlement_price(table: ContractTable, price_factor: Floats) -> Floats:
    """Numeraire per unit of settlement asset after relative moves, shape of ``price_factor``: [I, S] or [I, 1]."""
    return table.settlement_price_I[:, None] * np.where(table.settlement_moves_I[:, None], price_factor, 1.0)
