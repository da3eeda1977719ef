"""Instruments as columns: the terms and funding that compiled fills need, by instrument number.

Owns which instruments the compiled lane can book and the factors that keep their arithmetic inside 64 bits. What it
cannot book stays ``UNSUPPORTED``, and its fills go through ``engine.books``. Refuses prices and valuation.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np

from engine.columns.accounts import AccountColumns, Ids
from engine.columns.arrays import Int32s, Int64s, UInt8s
from engine.reference.instruments import Instrument, InstrumentKind
from engine.units import E8, E12, INT64_MAX, fits_int64

UNSUPPORTED, LINEAR, INVERSE, SPOT, OPTION = range(5)
"""Kind codes: not for the compiled lane (unknown terms, unlisted assets, terms beyond its arithmetic), linear
perpetual or future, inverse perpetual, spot, option."""

NEVER_US = INT64_MAX
"""Stands for no expiry."""

NO_ASSET = -1
"""Stands for no base asset."""

_KIND_CODES = {
    InstrumentKind.LINEAR_PERPETUAL: LINEAR,
    InstrumentKind.FUTURE: LINEAR,
    InstrumentKind.INVERSE_PERPETUAL: INVERSE,
    InstrumentKind.SPOT: SPOT,
    InstrumentKind.CALL: OPTION,
    InstrumentKind.PUT: OPTION,
}
_FUNDING_SCALE = E8 * E12  # as in ``engine.books.funding``


class InstrumentArrays(NamedTuple):
    """Axis I runs over instrument numbers, C over asset numbers. ``order`` is the rank of the id as text.

    ``unit_e8_I`` is what one tick of one lot is worth (not inverse). Funding of q contracts is
    (q / lot) x ``funding_factor_I`` x (index move) / ``funding_divisor_I``; a divisor of 0 stands for no funding, -1
    for funding that only ``engine.books`` can work out.
    """

    kind_I: UInt8s
    settled_I: UInt8s
    settlement_asset_I: Int32s
    base_asset_I: Int32s
    lot_e8_I: Int64s
    tick_e8_I: Int64s
    multiplier_e8_I: Int64s
    unit_e8_I: Int64s
    expiry_us_I: Int64s
    funding_factor_I: Int64s
    funding_divisor_I: Int64s
    funding_index_e12_I: Int64s
    order_I: Int32s
    order_C: Int32s


def _empty(instruments: int, assets: int) -> InstrumentArrays:
    return InstrumentArrays(
        kind_I=np.zeros(instruments, np.uint8),
        settled_I=np.zeros(instruments, np.uint8),
        settlement_asset_I=np.full(instruments, NO_ASSET, np.int32),
        base_asset_I=np.full(instruments, NO_ASSET, np.int32),
        lot_e8_I=np.ones(instruments, np.int64),
        tick_e8_I=np.ones(instruments, np.int64),
        multiplier_e8_I=np.ones(instruments, np.int64),
        unit_e8_I=np.zeros(instruments, np.int64),
        expiry_us_I=np.full(instruments, NEVER_US, np.int64),
        funding_factor_I=np.zeros(instruments, np.int64),
        funding_divisor_I=np.zeros(instruments, np.int64),
        funding_index_e12_I=np.zeros(instruments, np.int64),
        order_I=np.zeros(instruments, np.int32),
        order_C=np.zeros(assets, np.int32),
    )


class InstrumentTable:
    """The listed instruments of one worker, numbered as its account columns number them."""

    def __init__(self, columns: AccountColumns) -> None:
        self._instruments, self._assets = columns.instruments, columns.assets
        self._arrays = _empty(0, 0)
        self._terms: dict[int, Instrument] = {}
        self._listed_assets: set[str] = set()
        self._waiting: dict[str, list[int]] = {}  # instruments by an asset that is not listed
        self._perpetuals: dict[str, list[int]] = {}  # by mark feed
        self._indices: dict[str, tuple[int, int]] = {}  # by feed: linear, inverse

    def arrays(self) -> InstrumentArrays:
        """The arrays as they stand. They are replaced when ids are added: take them anew for each kernel call."""
        instruments, assets = self._instruments.names.numbered, self._assets.names.numbered
        if instruments > len(self._arrays.kind_I) or assets > len(self._arrays.order_C):
            self._grow(instruments, assets)
        return self._arrays

    def terms(self, number: int) -> Instrument | None:
        """The terms of the instrument that has ``number``, None if it is not listed."""
        return self._terms.get(number)

    def list(self, instrument: Instrument) -> None:
        """List an instrument, once: terms do not change. It can be booked as soon as its assets are listed."""
        number = self._instruments.number(instrument.instrument_id)
        for asset in _assets_of(instrument):
            self._assets.number(asset)
        self._terms[number] = instrument
        if instrument.kind.is_perpetual:
            self._perpetuals.setdefault(instrument.mark_feed, []).append(number)
        self._enter(number, instrument)

    def list_asset(self, asset_id: str) -> None:
        """List a collateral asset; what waited for it can be booked from now on. Again changes nothing."""
        self._assets.number(asset_id)
        self._listed_assets.add(asset_id)
        for number in self._waiting.pop(asset_id, []):
            self._enter(number, self._terms[number])

    def set_funding(self, feed: str, linear_e12: int, inverse_e12: int) -> None:
        """Take the cumulative funding indices of a mark of ``feed``."""
        self._indices[feed] = (linear_e12, inverse_e12)
        for number in self._perpetuals.get(feed, ()):
            self._put_funding(number, self._terms[number])

    def settle(self, instrument_id: str) -> None:
        """Note a final price: later fills of the instrument become cash at once, which only ``engine.books`` does."""
        number = self._instruments.number(instrument_id)
        self.arrays().settled_I[number] = 1

    def _enter(self, number: int, instrument: Instrument) -> None:
        """Write the row of an instrument, unless an asset it needs is not listed or its factors do not fit."""
        for asset in _assets_of(instrument):
            if asset not in self._listed_assets:
                self._waiting.setdefault(asset, []).append(number)
                return
        arrays = self.arrays()
        kind = _kind_code(instrument)
        if kind == UNSUPPORTED:
            return
        arrays.settlement_asset_I[number] = self._assets.number(instrument.settlement_asset)
        if instrument.base_asset is not None:
            arrays.base_asset_I[number] = self._assets.number(instrument.base_asset)
        arrays.lot_e8_I[number] = instrument.lot_e8
        arrays.tick_e8_I[number] = instrument.tick_e8
        arrays.multiplier_e8_I[number] = instrument.multiplier_e8
        arrays.unit_e8_I[number] = 0 if kind == INVERSE else _unit_e8(instrument)
        if instrument.expiry_us is not None:
            arrays.expiry_us_I[number] = instrument.expiry_us
        if instrument.kind.is_perpetual:
            arrays.funding_factor_I[number], arrays.funding_divisor_I[number] = _funding_factors(instrument)
            self._put_funding(number, instrument)
        arrays.kind_I[number] = kind

    def _put_funding(self, number: int, instrument: Instrument) -> None:
        linear_e12, inverse_e12 = self._indices.get(instrument.mark_feed, (0, 0))
        inverse = instrument.kind is InstrumentKind.INVERSE_PERPETUAL
        self.arrays().funding_index_e12_I[number] = inverse_e12 if inverse else linear_e12

    def _grow(self, instruments: int, assets: int) -> None:
        old = self._arrays
        grown = _empty(instruments, assets)
        longer = grown._asdict()
        for name, array in old._asdict().items():
            longer[name][: len(array)] = array
        grown.order_I[:] = _ranks(self._instruments, instruments)
        grown.order_C[:] = _ranks(self._assets, assets)
        self._arrays = grown


def _assets_of(instrument: Instrument) -> tuple[str, ...]:
    if instrument.base_asset is None:
        return (instrument.settlement_asset,)
    return (instrument.settlement_asset, instrument.base_asset)


def _kind_code(instrument: Instrument) -> int:
    numbers = [instrument.lot_e8, instrument.tick_e8, instrument.multiplier_e8]
    if instrument.expiry_us is not None:
        numbers.append(abs(instrument.expiry_us) + 1)  # so that it is not NEVER_US
    if instrument.kind is not InstrumentKind.INVERSE_PERPETUAL:
        numbers.append(_unit_e8(instrument))
    one_asset = instrument.base_asset == instrument.settlement_asset
    if one_asset or not fits_int64(max(numbers)):
        return UNSUPPORTED
    return _KIND_CODES[instrument.kind]


def _unit_e8(instrument: Instrument) -> int:
    """Value of one tick of one lot; whole, by the terms' own check."""
    return instrument.tick_e8 * instrument.lot_e8 * instrument.multiplier_e8 // (E8 * E8)


def _funding_factors(instrument: Instrument) -> tuple[int, int]:
    """lot x multiplier / (10^8 x 10^12) in lowest terms; divisor -1 if either has more than 63 bits."""
    per_lot = instrument.lot_e8 * instrument.multiplier_e8
    shared = gcd(per_lot, _FUNDING_SCALE)
    factor, divisor = per_lot // shared, _FUNDING_SCALE // shared
    return (factor, divisor) if fits_int64(max(factor, divisor)) else (0, -1)


def _ranks(ids: Ids, count: int) -> Int32s:
    """Rank of each number's id among all, in the order of text."""
    ranks = np.empty(count, np.int32)
    ranks[sorted(range(count), key=ids.id)] = np.arange(count, dtype=np.int32)
    return ranks
