"""Expected shortfall of many portfolios under the same scenarios, in bounded memory.

Owns the reduction from instruments by scenarios to one number per account. Refuses to know how instruments were
revalued. Axes: A accounts, P positions, I instruments, S scenarios. Each account is a product of its own quantities
with its own rows, so its figure does not depend on its neighbors or on the chunk it falls into.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats, Ints
from engine.statistics.tails import checked_weights, tail_probability

CHUNK_ACCOUNTS = 512
"""Accounts per chunk: 512 x 500 scenarios are 2 MB."""

_GATHERED_VALUES = 1 << 18
"""Values of positions by scenarios that are gathered at once: 2 MB, which stays in a core's cache."""

_MINIMA_MAX = 16
"""Up to so many worst scenarios are found faster one by one than by a partial sort."""


def expected_shortfall_rows(pnl_AS: Floats, level: float, weights_S: Floats | None = None) -> Floats:
    """Fractional expected shortfall of every row, shape [A]: ``weighted_expected_shortfall`` row by row.

    Equal weights need only the worst few of each row, unequal ones a sort of it.
    """
    if pnl_AS.ndim != 2 or pnl_AS.shape[1] == 0:
        raise InvalidReference("pnl", f"accounts by scenarios are needed, not shape {pnl_AS.shape}")
    if weights_S is not None and np.ptp(weights_S) != 0.0:
        return _weighted_rows(pnl_AS, float(tail_probability(level)), checked_weights(weights_S, pnl_AS.shape[1]))
    tail = pnl_AS.shape[1] * tail_probability(level)
    boundary = math.ceil(tail) - 1
    worst = _worst(pnl_AS, boundary + 1)
    whole = worst[:, :boundary].sum(axis=1)
    part = 1.0 if tail < 1 else float(tail - boundary)
    shortfall_A: Floats = -(whole + part * worst[:, boundary]) / max(1.0, float(tail))
    return shortfall_A


def value_at_risk_rows(pnl_AS: Floats, level: float) -> Floats:
    """``var_order`` of every row, shape [A]."""
    if pnl_AS.ndim != 2 or pnl_AS.shape[1] == 0:
        raise InvalidReference("pnl", f"accounts by scenarios are needed, not shape {pnl_AS.shape}")
    rank = math.ceil(pnl_AS.shape[1] * tail_probability(level)) - 1
    quantile_A: Floats = -_worst(pnl_AS, rank + 1)[:, rank]
    return quantile_A


def account_pnl(
    pnl_IS: Floats, first_A: Ints, instrument_P: Ints, quantity_P: Floats, chunk: int = CHUNK_ACCOUNTS
) -> Iterator[tuple[int, Floats]]:
    """Profit and loss of accounts by scenario, ``chunk`` accounts at a time: (number of the first, pnl_AS).

    Account a holds the positions ``first_A[a]`` to ``first_A[a + 1] - 1`` (``first_A`` has one entry more than there
    are accounts); ``instrument_P`` are rows of ``pnl_IS``, which is per unit of quantity. The yielded array is reused
    for the next chunk: reduce it before going on.
    """
    _check_holdings(pnl_IS, first_A, instrument_P, quantity_P)
    if chunk < 1:
        raise InvalidReference("chunk", f"{chunk} accounts at a time")
    accounts, scenarios = first_A.size - 1, pnl_IS.shape[1]
    total_AS = np.empty((min(chunk, max(accounts, 1)), scenarios))
    for start in range(0, accounts, chunk):
        stop = min(start + chunk, accounts)
        sums_AS = total_AS[: stop - start]
        count_A = np.diff(first_A[start : stop + 1])
        for count in np.unique(count_A):
            alike = np.flatnonzero(count_A == count)
            together = max(1, _GATHERED_VALUES // max(1, int(count) * scenarios))
            for cut in range(0, alike.size, together):
                some = alike[cut : cut + together]
                position = first_A[start + some, None] + np.arange(count)
                rows = pnl_IS[instrument_P[position]]
                sums_AS[some] = (quantity_P[position][:, None, :] @ rows)[:, 0, :]
        yield start, sums_AS


def account_shortfalls(
    pnl_IS: Floats,
    first_A: Ints,
    instrument_P: Ints,
    quantity_P: Floats,
    *,
    level: float,
    weights_S: Floats | None = None,
    chunk: int = CHUNK_ACCOUNTS,
) -> Floats:
    """Expected shortfall of every account, shape [A]; holdings as in ``account_pnl``."""
    result_A = np.zeros(first_A.size - 1)
    for start, pnl_AS in account_pnl(pnl_IS, first_A, instrument_P, quantity_P, chunk):
        result_A[start : start + pnl_AS.shape[0]] = expected_shortfall_rows(pnl_AS, level, weights_S)
    return result_A


def _weighted_rows(pnl_AS: Floats, tail: float, weights_S: Floats) -> Floats:
    """Worst first, every scenario takes its weight until the tail is full; ties are worth the same in any order."""
    worst_first = np.argsort(pnl_AS, axis=1)
    weight_AS = weights_S[worst_first]
    taken_AS = np.clip(tail - (np.cumsum(weight_AS, axis=1) - weight_AS), 0.0, weight_AS)
    lost_AS = taken_AS * np.take_along_axis(pnl_AS, worst_first, axis=1)
    shortfall_A: Floats = -lost_AS.sum(axis=1) / taken_AS.sum(axis=1)
    return shortfall_A


def _worst(pnl_AS: Floats, count: int) -> Floats:
    """The ``count`` smallest values of every row, the largest of them last, [A, count]."""
    if count > _MINIMA_MAX:
        return np.partition(pnl_AS, count - 1, axis=1)[:, :count]
    left_AS, rows = pnl_AS.copy(), np.arange(pnl_AS.shape[0])
    found = np.empty((pnl_AS.shape[0], count))
    for rank in range(count):
        at = left_AS.argmin(axis=1)
        found[:, rank] = left_AS[rows, at]
        left_AS[rows, at] = np.inf
    return found


def _check_holdings(pnl_IS: Floats, first_A: Ints, instrument_P: Ints, quantity_P: Floats) -> None:
    if pnl_IS.ndim != 2 or not np.isfinite(pnl_IS).all():
        raise InvalidReference("pnl", "every instrument needs a finite value in every scenario")
    if first_A.ndim != 1 or first_A.size == 0 or first_A[0] != 0 or (np.diff(first_A) < 0).any():
        raise InvalidReference("first", "position offsets must start at 0 and not fall")
    if instrument_P.shape != quantity_P.shape or instrument_P.shape != (int(first_A[-1]),):
        raise InvalidReference("quantity", "one instrument and one quantity per position are needed")
    if instrument_P.size and not 0 <= int(instrument_P.min()) <= int(instrument_P.max()) < pnl_IS.shape[0]:
        raise InvalidReference("instrument", "a position names an instrument that has no row")
