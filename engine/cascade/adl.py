"""Deleveraging in a run: a quantity nobody bought is closed against accounts on the other side.

Owns two rules, vectorized and in float64; the exact allocator that a venue would run is ``engine.waterfall``.

    pro-rata   in stages, each only when the one before is used up: in profit and above maintenance; above maintenance;
               solvent. Inside a stage in proportion to position
    queue      by (price / entry) x notional / equity, highest first, ties by account number; a short's price ratio
               inverted (Hyperliquid's published score); the last one in part

Entry is the price at the start for everybody. Neither closes more than it is asked to; what it is asked to close
differs (``engine.cascade.backstop``).
"""

from __future__ import annotations

import numpy as np

from engine.cascade.books import CascadeBooks
from engine.cascade.policy import AdlRule
from engine.pricing.axes import Bools, Floats


def counterparties(
    books: CascadeBooks, underlying: int, quantity: float, price: float, spared_A: Bools, rule: AdlRule
) -> Floats:
    """What each account closes of ``quantity`` (signed, of the book that has to go) in one underlying, [A], >= 0.

    They hold the other sign, are not ``spared_A`` and are solvent. Sums to |quantity|, or to all there is.
    """
    against_A = -np.sign(quantity) * books.quantity_AK[:, underlying]
    size_A = np.where(spared_A | (books.equity_A <= 0.0), 0.0, np.maximum(against_A, 0.0))
    if rule is AdlRule.QUEUE:
        return _queue(size_A, abs(quantity), _score(books, underlying, quantity, price))
    return _staged(size_A, abs(quantity), books, in_profit=quantity * (price - 1.0) < 0.0)


def _staged(size_A: Floats, wanted: float, books: CascadeBooks, in_profit: bool) -> Floats:
    sound_A = books.equity_A >= books.requirement_A
    stages = (sound_A & in_profit, sound_A, np.ones_like(sound_A))
    closed_A = np.zeros_like(size_A)
    for stage_A in stages:
        room_A = np.where(stage_A, size_A - closed_A, 0.0)
        total = float(room_A.sum())
        if total > 0.0 and wanted > 0.0:
            share = min(1.0, wanted / total)
            closed_A += room_A * share
            wanted -= share * total
    return closed_A


def _score(books: CascadeBooks, underlying: int, quantity: float, price: float) -> Floats:
    value_A = np.abs(books.quantity_AK[:, underlying]) * price
    ratio = price if quantity < 0.0 else 1.0 / price
    equity_A = np.maximum(books.equity_A, 0.0)
    result: Floats = np.divide(ratio * value_A, equity_A, out=np.zeros_like(value_A), where=equity_A > 0.0)
    return result


def _queue(size_A: Floats, wanted: float, score_A: Floats) -> Floats:
    candidates = np.flatnonzero(size_A > 0.0)
    order = candidates[np.argsort(-score_A[candidates], kind="stable")]
    before = np.concatenate(([0.0], np.cumsum(size_A[order])))[:-1]
    closed_A = np.zeros_like(size_A)
    closed_A[order] = np.clip(wanted - before, 0.0, size_A[order])
    return closed_A
