"""Correlations of underlyings as a portfolio states them.

Owns the check that they can be correlations at all. Refuses to estimate and to use them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats

EIGENVALUE_TOLERANCE = 1e-9


def correlation_matrix(correlations: Mapping[str, Mapping[str, Decimal]], units: Sequence[str]) -> Floats:
    """Correlations of ``units``, [U, U]; 0 where none is stated. Raises ``InvalidReference`` for a value outside
    -1..1, for two values of one pair, and for a matrix that is not positive semidefinite."""
    matrix = np.eye(len(units))
    for one, row in correlations.items():
        for other, value in row.items():
            number, field = float(value), f"correlations.{one}.{other}"
            if not -1.0 <= number <= 1.0 or (one == other and number != 1.0):
                raise InvalidReference(field, "must lie in -1..1, and be 1 of an underlying with itself")
            if other in correlations and one in correlations[other] and float(correlations[other][one]) != number:
                raise InvalidReference(field, f"contradicts correlations.{other}.{one}")
            if one in units and other in units:
                u, v = units.index(one), units.index(other)
                matrix[u, v] = matrix[v, u] = number
    if len(units) and float(np.linalg.eigvalsh(matrix)[0]) < -EIGENVALUE_TOLERANCE:
        raise InvalidReference("correlations", "the matrix is not positive semidefinite")
    return matrix
