"""Sums per owner: the one reduction that margin figures use in one dimension.

Owns the order of addition: each owner's values are added one after another, starting from zero, in the order given.
A plain loop over one account gives the same bits, and no account feels its neighbors.
"""

from __future__ import annotations

import numpy as np

from engine.pricing.axes import Floats, Ints


def sum_by_owner(owner: Ints, values: Floats, owners: int) -> Floats:
    """Sums of ``values`` [N] by ``owner`` [N] (0 .. owners - 1), shape [owners]; an owner without values has 0."""
    assert owner.shape == values.shape and owner.ndim == 1
    return np.bincount(owner, weights=values, minlength=owners).astype(np.float64, copy=False)
