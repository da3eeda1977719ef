"""Black-76: European options on a forward, undiscounted.

Owns the formula and its exact limits. Refuses to know where forwards and volatilities come from.

    call = F N(d1) - K N(d2),  put = K N(-d2) - F N(-d1),
    d1 = ln(F/K) / s + s / 2,  d2 = d1 - s,  s = volatility sqrt(years)

Source: F. Black, "The pricing of commodity contracts", J. Financial Economics 3 (1976), with discount factor 1: an
option margined on its mark earns no carry, and rates are zero in this version. Each option is priced from its own
tail probabilities, never through put-call parity, so an out-of-the-money price keeps its relative accuracy.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from engine.pricing.axes import Floats


def black76(forward: Floats, strike: Floats, years: Floats, volatility: Floats, sign: Floats) -> Floats:
    """Option value per unit of the underlying, in the currency of ``forward``; arguments broadcast together.

    ``sign`` is +1 for a call and -1 for a put, ``years`` may be negative (expired), ``volatility`` is per 1.00.
    Where the deviation, the forward or the strike is zero the value is the intrinsic one, which is the exact limit;
    it is also a lower bound everywhere, so rounding can never show a price below it.
    """
    deviation = volatility * np.sqrt(np.maximum(years, 0.0))
    intrinsic = np.maximum(sign * (forward - strike), 0.0)
    live = (deviation > 0.0) & (forward > 0.0) & (strike > 0.0)
    d1, d2 = standard_moves(forward, strike, deviation, live)
    value = sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * d2))
    result: Floats = np.where(live, np.maximum(value, intrinsic), intrinsic)
    return result


def standard_moves(
    forward: Floats, strike: Floats, deviation: Floats, live: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> tuple[Floats, Floats]:
    """d1 and d2 where ``live``; elsewhere finite numbers without meaning, so that no lane can warn.

    Operands near the smallest double make a quotient infinite; its probability is then exactly 0 or 1.
    """
    numerator, denominator = np.where(live, forward, 1.0), np.where(live, strike, 1.0)
    spread = np.where(live, deviation, 1.0)
    with np.errstate(over="ignore", divide="ignore"):
        d1 = np.log(numerator / denominator) / spread + 0.5 * spread
    return d1, d1 - spread
