"""Sums per owner: the one reduction behind margin figures.

Owns the order of addition: each owner's values are added one after another, starting from zero, in the order given.
A plain loop over one account gives the same bits, and no account feels its neighbors.
NumPy's own segment reductions add in pairs when a segment is long, which is as exact but not the same bits.
"""

from __future__ import annotations

import numpy as np

from engine.pricing.axes import Floats, Ints


def sum_by_owner(owner: Ints, values: Floats, owners: int) -> Floats:
    """Sums of ``values`` [N] by ``owner`` [N] (0 .. owners - 1), shape [owners]; an owner without values has 0."""
    assert owner.shape == values.shape and owner.ndim == 1
    return np.bincount(owner, weights=values, minlength=owners).astype(np.float64, copy=False)


def sum_rows_by_owner(owner: Ints, values: Floats, owners: int) -> Floats:
    """Sums of the rows of ``values`` [N, S] by ``owner`` [N], shape [owners, S]."""
    assert owner.shape == values.shape[:1] and values.ndim == 2
    columns = values.shape[1]
    cell = (owner[:, None] * columns + np.arange(columns)).ravel()
    return sum_by_owner(cell, values.ravel(), owners * columns).reshape(owners, columns)
