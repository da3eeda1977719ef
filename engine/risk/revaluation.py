"""Revaluation: what one unit of everything gains or loses in every scenario.

Owns the frame: the rows of instruments and assets under one market and one set of parameters, computed on first use.
A margin run only multiplies these rows by quantities, so an option is repriced once per market and not once per
holder. Refuses holdings (``risk.holdings``) and sums (``risk.netting``).

A frame is an explicit cache with the lifetime of its market: make one per market, pass it to every call that uses
that market, drop it with the market. Rows are computed lane by lane, so what else a frame holds changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from engine.market import Market
from engine.pricing.axes import Bools, Floats, Ints
from engine.pricing.valuation import ContractTable, contract_table, mark_of, moved_settlement_price, unit_value
from engine.pricing.volatility import volatility_shock
from engine.reference.parameters import RiskParameters
from engine.risk.scenarios import ScenarioGrid, scenario_grid
from engine.units import PPM

NO_UNDERLYING = -1


@dataclass(frozen=True, slots=True)
class InstrumentRows:
    """One row per instrument: value and weighted scenario PnL of one contract in numeraire, and what the add-ons and
    equity need. ``settlement_pnl_IS`` is the same of one unit of the settlement asset where that moves with the
    instrument's underlying (``settlement_moves_I``), else 0. ``option_group_I`` numbers (underlying, expiry, strike,
    kind); -1 for everything but options."""

    value_I: Floats
    pnl_IS: Floats
    settlement_pnl_IS: Floats
    settlement_moves_I: Bools
    underlying_I: Ints
    option_I: Bools
    option_group_I: Ints
    multiplier_I: Floats
    index_price_I: Floats
    settlement_price_I: Floats
    funding_multiplier_I: Floats
    funding_index_e12_I: Ints
    priced_I: Bools


@dataclass(frozen=True, slots=True)
class AssetRows:
    """One row per collateral asset: numeraire price, share of a positive balance that counts, weighted scenario PnL
    of one unit, and its underlying (-1: takes part in no scenario)."""

    price_C: Floats
    counted_C: Floats
    pnl_CS: Floats
    underlying_C: Ints
    priced_C: Bools


class RowNumbers(dict[str, int]):
    """Row by id; an id that is asked for first gets the next row. ``RiskFrame.extend`` then computes it."""

    def __missing__(self, name: str) -> int:
        row = self[name] = len(self)
        return row


class RiskFrame:
    """Rows by id, under one market and one set of parameters. Not safe to share between threads while it grows.

    ``unit_pnl`` stacks the scenario PnL of instruments, then of assets.
    """

    def __init__(self, market: Market, parameters: RiskParameters) -> None:
        self.market = market
        self.parameters = parameters
        self.grid: ScenarioGrid = scenario_grid(parameters)
        self.instrument_rows = RowNumbers()
        self.asset_rows = RowNumbers()
        self._rank = {name: rank for rank, name in enumerate(self.grid.underlyings)}
        self._option_groups: dict[tuple[str, int | None, int | None, str], int] = {}
        self.instruments = self._value_instruments(())
        self.assets = self._value_assets(())
        self.unit_pnl: Floats = np.concatenate([self.instruments.pnl_IS, self.assets.pnl_CS])

    def extend(self) -> None:
        """Compute the rows that were numbered since the last call."""
        new_instruments = tuple(self.instrument_rows)[self.instruments.value_I.size :]
        if new_instruments:
            self.instruments = _stacked(self.instruments, self._value_instruments(new_instruments))
        new_assets = tuple(self.asset_rows)[self.assets.price_C.size :]
        if new_assets:
            self.assets = _stacked(self.assets, self._value_assets(new_assets))
        if new_instruments or new_assets:
            self.unit_pnl = np.concatenate([self.instruments.pnl_IS, self.assets.pnl_CS])

    def _value_instruments(self, ids: Sequence[str]) -> InstrumentRows:
        table = contract_table(ids, self.market)
        rank_I = np.array(
            [NO_UNDERLYING if row is None else self._rank.get(row.underlying, -1) for row in table.instruments],
            dtype=np.int64,
        )
        flat = np.ones((len(ids), 1))  # one scenario in which nothing moves
        value_IV = unit_value(table, flat, flat)
        volatility_IS = self._volatility_factors(table, rank_I)
        price_IS = self.grid.price_factor_US[rank_I]
        shocked_IS = unit_value(table, price_IS, volatility_IS)
        # The same product and difference as the coin's own row, so that a coin hedges a debt of it exactly.
        settlement_IS = moved_settlement_price(table, price_IS) - table.settlement_price_I[:, None]
        return InstrumentRows(
            value_I=value_IV[:, 0].copy(),
            pnl_IS=(shocked_IS - value_IV) * self.grid.weight_S,
            settlement_pnl_IS=settlement_IS * self.grid.weight_S,
            settlement_moves_I=table.settlement_moves_I,
            underlying_I=rank_I,
            option_I=table.sign_I != 0.0,
            option_group_I=self._groups(table),
            multiplier_I=table.multiplier_I,
            index_price_I=table.index_price_I,
            settlement_price_I=table.settlement_price_I,
            funding_multiplier_I=table.funding_multiplier_I,
            funding_index_e12_I=table.funding_index_e12_I,
            priced_I=table.priced_I & (rank_I != NO_UNDERLYING),
        )

    def _volatility_factors(self, table: ContractTable, rank_I: Ints) -> Floats:
        """Factor on each row's volatility in every scenario, [I, S]."""
        grid = self.grid
        up_I, down_I = volatility_shock(
            table.tenor_days_I, grid.volatility_up_U[rank_I], grid.volatility_down_U[rank_I],
            grid.volatility_power_U[rank_I],
        )  # fmt: skip
        factors_IV = np.stack([np.ones(up_I.size), up_I, down_I], axis=1)
        result: Floats = factors_IV[:, grid.volatility_move_S]  # column -1 is the last one: down
        return result

    def _groups(self, table: ContractTable) -> Ints:
        groups = np.full(len(table.instruments), -1, dtype=np.int64)
        for row in np.flatnonzero(table.sign_I):
            option = table.instruments[row]
            assert option is not None
            key = (option.underlying, option.expiry_us, option.strike_e8, option.kind.value)
            groups[row] = self._option_groups.setdefault(key, len(self._option_groups))
        return groups

    def _value_assets(self, ids: Sequence[str]) -> AssetRows:
        count = len(ids)
        price_C, counted_C = np.ones(count), np.zeros(count)
        underlying_C = np.full(count, NO_UNDERLYING, dtype=np.int64)
        priced_C = np.zeros(count, dtype=np.bool_)
        for row, name in enumerate(ids):
            asset = self.market.assets.get(name)
            price = mark_of(self.market, asset.mark_feed) if asset is not None else None
            if asset is None or price is None:
                continue
            price_C[row] = price
            counted_C[row] = (PPM - asset.haircut_ppm) / PPM
            priced_C[row] = asset.underlying is None or asset.underlying in self._rank
            if asset.underlying is not None:
                underlying_C[row] = self._rank.get(asset.underlying, NO_UNDERLYING)
        # The same product and difference as a linear contract's, so that a coin hedges its perpetual exactly.
        pnl_CS = price_C[:, None] * self.grid.price_factor_US[underlying_C] - price_C[:, None]
        return AssetRows(price_C, counted_C, pnl_CS * self.grid.weight_S, underlying_C, priced_C)


_Rows = TypeVar("_Rows", InstrumentRows, AssetRows)


def _stacked(first: _Rows, second: _Rows) -> _Rows:
    """Both blocks of rows, field by field."""
    columns = [np.concatenate([getattr(first, column.name), getattr(second, column.name)]) for column in fields(first)]
    return type(first)(*columns)
