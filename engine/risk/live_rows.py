"""Live rows: the market rows of numbered instruments and assets, kept up to date mark by mark.

Owns which rows a mark or a new second changes, and their recomputation under one set of parameters. Refuses holdings
and events; it reads the terms and marks of the market it was made for, and is told which feeds have new marks.

A row changes with the marks of its instrument's feed, of its settlement asset's and, for an option, of its underlying's
(surface and index price). Options age in whole seconds (``valuation_time_us``), so a new second changes every option.
Rows are computed lane by lane: whatever way a row came to its marks, its bits are those of a fresh start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from engine.events import MarkPrice
from engine.pricing.axes import Bools, Floats, Ints
from engine.pricing.valuation import valuation_time_us
from engine.pricing.volatility import VolatilitySurface, volatility_surface
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters
from engine.risk.option_rows import option_rows
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays
from engine.risk.row_kernels import (
    INVERSE_FUNDING,
    LINEAR_FUNDING,
    NO_FEED,
    NO_FUNDING,
    NUMERAIRE,
    FeedArrays,
    TermArrays,
    asset_rows,
    instrument_rows,
)
from engine.risk.scenarios import ScenarioGrid, scenario_grid
from engine.units import E8, PPM

_NONE = np.zeros(0, dtype=np.int64)


_Bundle = TypeVar("_Bundle", RowArrays, TermArrays, FeedArrays)


class MarketLike(Protocol):
    """Terms by id, newest marks by feed and engine time; a value of the market, or a book that changes."""

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...
    @property
    def assets(self) -> Mapping[str, CollateralAsset]: ...
    @property
    def marks(self) -> Mapping[str, MarkPrice]: ...
    @property
    def time_us(self) -> int: ...


class ChangedRows(NamedTuple):
    """Numbers of the instruments and assets whose rows were computed anew, each once."""

    instruments: Ints
    assets: Ints


class _Dependents(NamedTuple):
    """Numbers of what depends on a feed, ascending."""

    contracts: Ints  # everything but options
    options: Ints
    assets: Ints


class LiveRows:
    """Rows of ``market`` under ``parameters``. Terms are read once, in ``extend``: make new rows when terms of a listed
    id or the parameters change, or when an id is listed after it was numbered."""

    def __init__(self, market: MarketLike, parameters: RiskParameters) -> None:
        self.market = market
        self.parameters = parameters
        self.grid: ScenarioGrid = scenario_grid(parameters)
        self._rank = {name: rank for rank, name in enumerate(self.grid.underlyings)}
        self._option_groups: dict[tuple[str, int | None, int | None, str], int] = {}
        self._asset_numbers: dict[str, int] = {}
        self._settlement_assets: list[str | None] = []
        self._feed_numbers: dict[str, int] = {}
        self._surfaces: list[VolatilitySurface | None] = [None, None]
        self._dependents = [_Dependents(_NONE, _NONE, _NONE)] * 2
        self._options: dict[int, Ints] = {}
        self._time_us = valuation_time_us(market.time_us)
        self._terms = _blank_terms(0, 0)
        self._feeds = _joined(_blank_feeds(), _blank_feeds())
        self._feeds.is_known_F[NUMERAIRE] = True
        factor = np.array([parameters.maintenance_factor_ppm / PPM])
        self.arrays: RowArrays = _blank_rows(0, 0, self.grid.weight_S.size, factor)

    @property
    def time_us(self) -> int:
        """The second as of which options are valued."""
        return self._time_us

    @property
    def fixed_C(self) -> Bools:
        """Which assets have no feed: their price is 1 numeraire and never moves."""
        fixed_C: Bools = self._terms.feed_C == NUMERAIRE
        return fixed_C

    def extend(self, instrument_ids: Sequence[str], asset_ids: Sequence[str]) -> None:
        """Number ``instrument_ids`` and ``asset_ids`` after those that have a number, and compute their rows. What the
        market does not list, or has no mark for, gets a row that is not priced."""
        first_instrument, first_asset = self.arrays.value_I.size, self.arrays.price_C.size
        scenarios = self.grid.weight_S.size
        blank = _blank_rows(len(instrument_ids), len(asset_ids), scenarios, self.arrays.maintenance_factor)
        self.arrays = _joined(self.arrays, blank)._replace(maintenance_factor=self.arrays.maintenance_factor)
        self._terms = _joined(self._terms, _blank_terms(len(instrument_ids), len(asset_ids)))
        for number, name in enumerate(asset_ids, first_asset):
            self._asset_numbers[name] = number
            self._read_asset(number, self.market.assets.get(name))
        for number, name in enumerate(instrument_ids, first_instrument):
            self._read_instrument(number, self.market.instruments.get(name))
        self.arrays.settlement_asset_I[:] = [
            -1 if name is None else self._asset_numbers.get(name, -1) for name in self._settlement_assets
        ]
        instruments = np.arange(first_instrument, first_instrument + len(instrument_ids))
        assets = np.arange(first_asset, first_asset + len(asset_ids))
        self._depend(instruments, assets)
        is_option = self.arrays.option_I[instruments]
        self._compute(instruments, assets)
        self._compute_options(instruments[is_option])

    def refresh(self, feeds: Iterable[str]) -> ChangedRows:
        """Compute the rows that new marks of ``feeds``, or the market's time, have changed."""
        touched = []
        for feed in feeds:
            number = self._feed_numbers.get(feed)
            if number is not None:
                self._read_mark(number, self.market.marks.get(feed))
                touched.append(self._dependents[number])
        contracts = _union([item.contracts for item in touched])
        options = _union([item.options for item in touched])
        assets = _union([item.assets for item in touched])
        self._compute(contracts, assets)
        if options.size:
            self._compute(options, _NONE)
        time_us = valuation_time_us(self.market.time_us)
        if time_us != self._time_us:
            self._time_us = time_us
            options = np.flatnonzero(self.arrays.option_I)
        if options.size:
            self._compute_options(options)
        return ChangedRows(np.concatenate([contracts, options]) if options.size else contracts, assets)

    def _compute(self, instruments: Ints, assets: Ints) -> None:
        grid = self.grid
        if instruments.size:
            instrument_rows(instruments, self._feeds, self._terms, grid.price_factor_US, grid.weight_S, self.arrays)
        if assets.size:
            asset_rows(assets, self._feeds, self._terms, grid.price_factor_US, grid.weight_S, self.arrays)

    def _compute_options(self, options: Ints) -> None:
        """Value and PnL of ``options``, one underlying after another: their surface is shared."""
        index_feed_I = self._terms.index_feed_I[options]
        for feed in np.unique(index_feed_I).tolist():
            numbers = options[index_feed_I == feed]
            option_rows(numbers, self._time_us, self._surfaces[feed], self._feeds, self._terms, self.grid, self.arrays)

    def _feed(self, name: str | None) -> int:
        """The number of a feed; one that is asked for first gets the next, and its mark is read."""
        if name is None:
            return NUMERAIRE
        number = self._feed_numbers.get(name)
        if number is None:
            number = self._feed_numbers[name] = len(self._surfaces)
            self._surfaces.append(None)
            self._dependents.append(self._dependents[NO_FEED])
            self._feeds = _joined(self._feeds, _blank_feeds())
            self._read_mark(number, self.market.marks.get(name))
        return number

    def _read_mark(self, number: int, mark: MarkPrice | None) -> None:
        if mark is None or mark.price_e8 <= 0:
            return
        self._feeds.price_F[number] = mark.price_e8 / E8
        self._feeds.funding_index_e12_FK[number, LINEAR_FUNDING] = mark.funding_index_linear_e12
        self._feeds.funding_index_e12_FK[number, INVERSE_FUNDING] = mark.funding_index_inverse_e12
        self._feeds.is_known_F[number] = True
        self._surfaces[number] = volatility_surface(mark.volatility)
        self._feeds.has_surface_F[number] = bool(mark.volatility)

    def _read_asset(self, number: int, asset: CollateralAsset | None) -> None:
        if asset is None:
            return
        rows, terms = self.arrays, self._terms
        rows.counted_C[number] = (PPM - asset.haircut_ppm) / PPM
        terms.feed_C[number] = self._feed(asset.mark_feed)
        terms.is_covered_C[number] = asset.underlying is None or asset.underlying in self._rank
        if asset.underlying is not None:
            rows.underlying_C[number] = self._rank.get(asset.underlying, NO_UNDERLYING)

    def _read_instrument(self, number: int, instrument: Instrument | None) -> None:
        self._settlement_assets.append(None if instrument is None else instrument.settlement_asset)
        if instrument is None:
            return
        rows, terms, kind = self.arrays, self._terms, instrument.kind
        asset = self.market.assets.get(instrument.settlement_asset)
        rank = self._rank.get(instrument.underlying, NO_UNDERLYING)
        rows.underlying_I[number] = rank
        rows.multiplier_I[number] = instrument.multiplier_e8 / E8
        terms.is_covered_I[number] = rank != NO_UNDERLYING
        terms.mark_feed_I[number] = self._feed(instrument.mark_feed)
        if asset is not None:
            rows.settlement_moves_I[number] = asset.underlying == instrument.underlying
            terms.settlement_feed_I[number] = self._feed(asset.mark_feed)
        terms.inverse_I[number] = kind is InstrumentKind.INVERSE_PERPETUAL
        if kind.is_perpetual:
            linear = kind is InstrumentKind.LINEAR_PERPETUAL
            terms.funding_I[number] = LINEAR_FUNDING if linear else INVERSE_FUNDING
            rows.funding_multiplier_I[number] = rows.multiplier_I[number]
        if kind.is_option:
            self._read_option(number, instrument, rank)

    def _read_option(self, number: int, option: Instrument, rank: int) -> None:
        assert option.expiry_us is not None and option.strike_e8 is not None
        rows, terms = self.arrays, self._terms
        rows.option_I[number] = True
        key = (option.underlying, option.expiry_us, option.strike_e8, option.kind.value)
        rows.option_group_I[number] = self._option_groups.setdefault(key, len(self._option_groups))
        terms.index_feed_I[number] = self._feed(option.underlying)
        terms.sign_I[number] = 1.0 if option.kind is InstrumentKind.CALL else -1.0
        terms.strike_I[number] = option.strike_e8 / E8
        terms.expiry_us_I[number] = option.expiry_us
        if rank != NO_UNDERLYING:
            rows.minimum_initial_I[number] = self.grid.minimum_initial_U[rank]
            rows.minimum_maintenance_I[number] = self.grid.minimum_maintenance_U[rank]

    def _depend(self, instruments: Ints, assets: Ints) -> None:
        """Enter new numbers with the feeds that they depend on."""
        terms, option_I = self._terms, self.arrays.option_I[instruments]
        feeds_I = (
            terms.mark_feed_I[instruments],
            terms.settlement_feed_I[instruments],
            terms.index_feed_I[instruments],
        )
        touched = np.unique(np.concatenate([*feeds_I, terms.feed_C[assets]]))
        for feed in touched.tolist():
            if feed in (NUMERAIRE, NO_FEED):
                continue
            before = self._dependents[feed]
            on_feed = (feeds_I[0] == feed) | (feeds_I[1] == feed) | (feeds_I[2] == feed)
            self._dependents[feed] = _Dependents(
                np.concatenate([before.contracts, instruments[on_feed & ~option_I]]),
                np.concatenate([before.options, instruments[on_feed & option_I]]),
                np.concatenate([before.assets, assets[terms.feed_C[assets] == feed]]),
            )


def _union(parts: list[Ints]) -> Ints:
    if not parts:
        return _NONE
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


def _joined(first: _Bundle, second: _Bundle) -> _Bundle:
    """Both bundles, array by array."""
    arrays = [np.concatenate((np.asarray(one), np.asarray(two))) for one, two in zip(first, second, strict=True)]
    kind = type(first)
    return kind._make(arrays)


def _blank_rows(instruments: int, assets: int, scenarios: int, factor: Floats) -> RowArrays:
    """Harmless rows that are not priced."""
    return RowArrays(
        value_I=np.zeros(instruments),
        pnl_IS=np.zeros((instruments, scenarios)),
        settlement_pnl_IS=np.zeros((instruments, scenarios)),
        settlement_moves_I=np.zeros(instruments, dtype=np.bool_),
        underlying_I=np.full(instruments, NO_UNDERLYING, dtype=np.int64),
        option_I=np.zeros(instruments, dtype=np.bool_),
        option_group_I=np.full(instruments, -1, dtype=np.int64),
        multiplier_I=np.ones(instruments),
        index_price_I=np.zeros(instruments),
        settlement_price_I=np.ones(instruments),
        settlement_asset_I=np.full(instruments, -1, dtype=np.int64),
        funding_multiplier_I=np.zeros(instruments),
        funding_index_e12_I=np.zeros(instruments, dtype=np.int64),
        minimum_initial_I=np.zeros(instruments),
        minimum_maintenance_I=np.zeros(instruments),
        priced_I=np.zeros(instruments, dtype=np.bool_),
        price_C=np.ones(assets),
        counted_C=np.zeros(assets),
        pnl_CS=np.zeros((assets, scenarios)),
        underlying_C=np.full(assets, NO_UNDERLYING, dtype=np.int64),
        priced_C=np.zeros(assets, dtype=np.bool_),
        maintenance_factor=factor,
    )


def _blank_feeds() -> FeedArrays:
    """One feed without a mark."""
    return FeedArrays(
        np.ones(1), np.zeros((1, 3), dtype=np.int64), np.zeros(1, dtype=np.bool_), np.zeros(1, dtype=np.bool_)
    )


def _blank_terms(instruments: int, assets: int) -> TermArrays:
    return TermArrays(
        mark_feed_I=np.full(instruments, NO_FEED, dtype=np.int64),
        settlement_feed_I=np.full(instruments, NO_FEED, dtype=np.int64),
        index_feed_I=np.full(instruments, NUMERAIRE, dtype=np.int64),
        inverse_I=np.zeros(instruments, dtype=np.bool_),
        funding_I=np.full(instruments, NO_FUNDING, dtype=np.int8),
        sign_I=np.zeros(instruments),
        strike_I=np.ones(instruments),
        expiry_us_I=np.zeros(instruments, dtype=np.int64),
        is_covered_I=np.zeros(instruments, dtype=np.bool_),
        feed_C=np.full(assets, NO_FEED, dtype=np.int64),
        is_covered_C=np.zeros(assets, dtype=np.bool_),
    )
