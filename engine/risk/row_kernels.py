"""Row kernels: how a mark becomes the rows of the contracts and assets that depend on it, in compiled loops.

Owns the terms of contracts and the marks of feeds as arrays, and the formulas of everything but options (those need the
normal distribution: ``live_rows``). Refuses to know which rows a mark changes.

The formulas are those of ``engine.pricing.valuation.unit_value``, lane by lane, and give its bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import allocation_free
from engine.pricing.axes import Bools, Floats, Ints
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays

Codes = npt.NDArray[np.int8]

NUMERAIRE, NO_FEED = 0, 1
"""Feed numbers: always 1, and never known."""

NO_FUNDING, LINEAR_FUNDING, INVERSE_FUNDING = range(3)
"""Columns of the funding indices of a mark."""


class FeedArrays(NamedTuple):
    """Marks by feed number: price (1 without a mark), funding indices by kind, whether there is a positive price and
    whether there is a volatility surface."""

    price_F: Floats
    funding_index_e12_FK: Ints
    is_known_F: Bools
    has_surface_F: Bools


class TermArrays(NamedTuple):
    """Terms of instruments and assets that do not move with marks; unlisted ones have harmless terms and ``NO_FEED``.

    ``index_feed_I`` is the feed of the underlying for an option, the numeraire for the rest. ``is_covered_I`` and
    ``is_covered_C`` say whether the parameters cover what the row moves with.
    """

    mark_feed_I: Ints
    settlement_feed_I: Ints
    index_feed_I: Ints
    inverse_I: Bools
    funding_I: Codes
    sign_I: Floats
    strike_I: Floats
    expiry_us_I: Ints
    is_covered_I: Bools
    feed_C: Ints
    is_covered_C: Bools


@allocation_free
def instrument_rows(
    numbers: Ints, feeds: FeedArrays, terms: TermArrays, price_factor_US: Floats, weight_S: Floats, rows: RowArrays
) -> None:
    """Rows of the instruments ``numbers``; of options everything but value and PnL."""
    for n in range(numbers.size):
        i = numbers[n]
        feed, settlement, index = terms.mark_feed_I[i], terms.settlement_feed_I[i], terms.index_feed_I[i]
        rows.settlement_price_I[i] = feeds.price_F[settlement]
        rows.funding_index_e12_I[i] = feeds.funding_index_e12_FK[feed, terms.funding_I[i]]
        rows.priced_I[i] = terms.is_covered_I[i] and feeds.is_known_F[feed] and feeds.is_known_F[settlement]
        if rows.option_I[i]:
            rows.priced_I[i] &= feeds.is_known_F[index] and feeds.has_surface_F[index]
            rows.index_price_I[i] = feeds.price_F[index]
        _settlement_row(i, price_factor_US, weight_S, rows)
        if not rows.option_I[i]:
            _linear_row(i, feeds.price_F[feed], terms.inverse_I[i], price_factor_US, weight_S, rows)


@allocation_free
def asset_rows(
    numbers: Ints, feeds: FeedArrays, terms: TermArrays, price_factor_US: Floats, weight_S: Floats, rows: RowArrays
) -> None:
    """Rows of the assets ``numbers``. The same product and difference as a linear contract's, so that a coin hedges
    its perpetual exactly."""
    for n in range(numbers.size):
        c = numbers[n]
        price = feeds.price_F[terms.feed_C[c]]
        rows.price_C[c] = price
        rows.priced_C[c] = terms.is_covered_C[c] and feeds.is_known_F[terms.feed_C[c]]
        rank = rows.underlying_C[c]
        for s in range(weight_S.size):
            moved = price if rank == NO_UNDERLYING else price * price_factor_US[rank, s]
            rows.pnl_CS[c, s] = (moved - price) * weight_S[s]


@allocation_free
def _settlement_row(i: int, price_factor_US: Floats, weight_S: Floats, rows: RowArrays) -> None:
    """The same product and difference as the coin's own row, so that a coin hedges a debt of it exactly."""
    price, rank = rows.settlement_price_I[i], rows.underlying_I[i]
    moves = rows.settlement_moves_I[i] and rank != NO_UNDERLYING
    for s in range(weight_S.size):
        moved = price * price_factor_US[rank, s] if moves else price
        rows.settlement_pnl_IS[i, s] = (moved - price) * weight_S[s]


@allocation_free
def _linear_row(
    i: int, price: float, is_inverse: bool, price_factor_US: Floats, weight_S: Floats, rows: RowArrays
) -> None:
    multiplier, settlement, rank = rows.multiplier_I[i], rows.settlement_price_I[i], rows.underlying_I[i]
    value = (-multiplier / price if is_inverse else price * multiplier) * settlement
    rows.value_I[i] = value
    for s in range(weight_S.size):
        factor = price_factor_US[rank, s] if rank != NO_UNDERLYING else 1.0
        moved = price * factor
        shocked = -multiplier / moved if is_inverse else moved * multiplier
        shocked *= settlement * factor if rows.settlement_moves_I[i] else settlement
        rows.pnl_IS[i, s] = (shocked - value) * weight_S[s]
