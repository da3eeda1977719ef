"""Raw SVI: total variance of a strike from five parameters, with a venue's bounds.

Owns the formula and its clamps. Refuses to fit parameters and to judge whether they admit arbitrage.

    k = ln(K/F) held within +-4 sqrt(a + b sigma),  w = min(a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), 144)
    volatility = sqrt(w / tau)

Source: J. Gatheral, "A parsimonious arbitrage-free implied volatility parameterization" (2004); the bounds are those of
Derive's published pricing library (derivexyz/lyra-utils, SVI).
"""

from __future__ import annotations

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats

MONEYNESS_BOUND = 4.0
"""In units of sqrt(a + b sigma), which is near the at-the-money deviation to expiry."""

TOTAL_VARIANCE_MAX = 144.0
"""A deviation of 12 to expiry."""


def svi_volatility(
    strike: Floats | float,
    forward: Floats | float,
    tau: Floats | float,
    a: Floats | float,
    b: Floats | float,
    rho: Floats | float,
    m: Floats | float,
    sigma: Floats | float,
) -> Floats:
    """Volatility per 1.00 at ``strike`` of an expiry in ``tau`` years; all arguments broadcast together.

    A zero strike takes the volatility at the lower bound. Raises ``InvalidReference`` naming an argument out of its
    range, or ``a`` where the parameters give a negative variance.
    """
    names = ("strike", "forward", "tau", "a", "b", "rho", "m", "sigma")
    arrays = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (strike, forward, tau, a, b, rho, m, sigma))
    )
    _check(dict(zip(names, arrays, strict=True)))
    strikes, forwards, years, level, slope, skew, center, width = arrays
    smallest = level + slope * width
    if np.any(smallest < 0.0):
        raise InvalidReference("a", "a + b sigma is negative: no variance at the bound of log-moneyness")
    bound = MONEYNESS_BOUND * np.sqrt(smallest)
    with np.errstate(divide="ignore"):
        moneyness = np.clip(np.log(strikes / forwards), -bound, bound)
    offset = moneyness - center
    variance = level + slope * (skew * offset + np.hypot(offset, width))
    if np.any(variance < 0.0):
        raise InvalidReference("a", "the parameters give a negative variance")
    result: Floats = np.sqrt(np.minimum(variance, TOTAL_VARIANCE_MAX) / years)
    return result


def _check(arguments: dict[str, Floats]) -> None:
    for field, value in arguments.items():
        if not np.all(np.isfinite(value)):
            raise InvalidReference(field, "must be finite")
    for field in ("forward", "tau"):
        if not np.all(arguments[field] > 0.0):
            raise InvalidReference(field, "must be positive")
    for field in ("strike", "b", "sigma"):
        if not np.all(arguments[field] >= 0.0):
            raise InvalidReference(field, "must not be negative")
    if not np.all(np.abs(arguments["rho"]) <= 1.0):
        raise InvalidReference("rho", "must be within -1 and 1")
