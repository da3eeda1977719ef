"""Value at risk and expected shortfall of a sample, in every convention that venues and libraries use.

Owns the conventions by name (``VALUE_AT_RISK``, ``EXPECTED_SHORTFALL``). Refuses to know where the sample comes from:
``pnl_S`` is profit and loss (or returns) by scenario, gains positive, in any unit; results are in the same unit with
losses positive. A negative result means that even the tail gains. Invalid samples and levels raise
``InvalidReference`` with the field ``pnl``, ``level``, ``weights`` or ``decay``.

Tail sizes are exact: n(1 - level) is computed in fractions, never in binary. Only ``var_unguarded`` is not, on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.special import ndtri

from engine.errors import InvalidReference
from engine.pricing.axes import Floats
from engine.statistics.tails import checked_sample, checked_weights, quantile_shares, tail_probability, tail_shares

Measure = Callable[[Floats, float], float]


def quantile_linear(values: Floats, probability: float) -> float:
    """Quantile with linear interpolation at position (n - 1) p of the sorted values (type 7 of Hyndman and Fan 1996).

    Raises ``InvalidReference`` unless 0 <= ``probability`` <= 1.
    """
    sample = checked_sample("values", values)
    if not 0.0 <= probability <= 1.0:
        raise InvalidReference("probability", f"{probability} is not within 0 and 1")
    return float(np.quantile(sample, probability))


def var_linear(pnl_S: Floats, level: float) -> float:
    """Minus the type-7 quantile at 1 - ``level``."""
    return -quantile_linear(checked_sample("pnl", pnl_S), float(tail_probability(level)))


def var_order(pnl_S: Floats, level: float) -> float:
    """The k-th worst loss, k = ceil(n (1 - level)): the inverse of the empirical distribution."""
    losses = _worst_first(pnl_S)
    return float(losses[math.ceil(losses.size * tail_probability(level)) - 1])


def var_unguarded(pnl_S: Floats, level: float) -> float:
    """The k-th worst loss with k = ceil(n (1.0 - level)) in binary numbers, never negative: what QuantLib computes.

    1.0 - 0.95 is slightly above 0.05, so of 1000 numbers it takes the 51st worst where ``var_order`` takes the 50th.
    """
    tail_probability(level)
    losses = _worst_first(pnl_S)
    return max(0.0, float(losses[math.ceil(losses.size * (1.0 - level)) - 1]))


def es_worst_k(pnl_S: Floats, level: float) -> float:
    """Mean of the floor(n (1 - level)) worst losses, at least of one."""
    losses = _worst_first(pnl_S)
    return float(losses[: max(1, math.floor(losses.size * tail_probability(level)))].mean())


def es_fractional(pnl_S: Floats, level: float) -> float:
    """Mean loss of exactly the worst 1 - ``level``, the scenario on the boundary counted in part (Acerbi-Tasche)."""
    return weighted_expected_shortfall(pnl_S, level)


def es_below_quantile(pnl_S: Floats, level: float) -> float:
    """Mean loss of the scenarios at or beyond ``var_linear``."""
    pnl = checked_sample("pnl", pnl_S)
    return -float(pnl[pnl <= quantile_linear(pnl, float(tail_probability(level)))].mean())


def es_int_rule(pnl_S: Floats, level: float) -> float:
    """Mean of the int((n - 1)(1 - level)) + 1 worst losses, the rule of empyrical."""
    losses = _worst_first(pnl_S)
    return float(losses[: math.floor((losses.size - 1) * tail_probability(level)) + 1].mean())


def es_unguarded(pnl_S: Floats, level: float) -> float:
    """Mean of the losses strictly beyond ``var_unguarded``, never negative; that quantile itself where none is."""
    quantile = var_unguarded(pnl_S, level)
    losses = _worst_first(pnl_S)
    beyond = losses[losses > quantile]
    return float(beyond.mean()) if beyond.size else quantile


def var_gaussian(pnl_S: Floats, level: float) -> float:
    """z s - m of a normal distribution with the sample's mean m and deviation s (divisor n - 1), z the quantile."""
    mean, deviation = sample_moments(pnl_S)
    return float(-ndtri(float(tail_probability(level)))) * deviation - mean


def es_gaussian(pnl_S: Floats, level: float) -> float:
    """s phi(z) / (1 - level) - m, the expected shortfall of that normal distribution."""
    mean, deviation = sample_moments(pnl_S)
    tail = float(tail_probability(level))
    density = math.exp(-0.5 * float(ndtri(tail)) ** 2) / math.sqrt(2.0 * math.pi)
    return deviation * density / tail - mean


def sample_moments(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation with divisor n - 1; raises ``InvalidReference`` for fewer than two numbers."""
    sample = checked_sample("pnl", values)
    if sample.size < 2:
        raise InvalidReference("pnl", "a deviation needs at least two numbers")
    return float(sample.mean()), float(sample.std(ddof=1))


def age_weights(count: int, decay: float) -> Floats:
    """Weights lam^age (1 - lam) / (1 - lam^n) of ``count`` scenarios, oldest first; they sum to 1.

    ``decay`` is lam, 0 < lam <= 1 (1 weighs all alike). Source: Boudoukh, Richardson and Whitelaw, "The best of both
    worlds", Risk 11 (1998).
    """
    if not 0.0 < decay <= 1.0:
        raise InvalidReference("decay", f"{decay} is not above 0 and at most 1")
    if count < 1:
        raise InvalidReference("count", f"{count} scenarios have no weights")
    return checked_weights(decay ** np.arange(count - 1, -1, -1, dtype=np.float64), count)


def age_weighted_var(pnl_S: Floats, level: float, decay: float) -> float:
    """Worst first, the loss at which the age weights first reach 1 - ``level``; ``pnl_S`` is oldest first."""
    pnl = checked_sample("pnl", pnl_S)
    return weighted_value_at_risk(pnl, level, age_weights(pnl.size, decay))


def age_weighted_es(pnl_S: Floats, level: float, decay: float) -> float:
    """Fractional expected shortfall under the age weights; ``pnl_S`` is oldest first."""
    pnl = checked_sample("pnl", pnl_S)
    return weighted_expected_shortfall(pnl, level, age_weights(pnl.size, decay))


def weighted_value_at_risk(pnl_S: Floats, level: float, weights_S: Floats | None = None) -> float:
    """Worst first, the loss at which the cumulative weight first reaches 1 - ``level``; weights need not sum to 1."""
    losses = -checked_sample("pnl", pnl_S)
    return float(losses[int(np.argmax(quantile_shares(losses, level, weights_S)))])


def weighted_expected_shortfall(pnl_S: Floats, level: float, weights_S: Floats | None = None) -> float:
    """Mean loss of the worst 1 - ``level`` of weight, the scenario on the boundary counted in part."""
    losses = -checked_sample("pnl", pnl_S)
    return float(tail_shares(losses, level, weights_S) @ losses)


def _worst_first(pnl_S: Floats) -> Floats:
    return np.sort(-checked_sample("pnl", pnl_S))[::-1]


VALUE_AT_RISK: Mapping[str, Measure] = MappingProxyType(
    {"linear": var_linear, "order": var_order, "unguarded": var_unguarded, "gaussian": var_gaussian}
)
"""Value at risk by the name of its convention."""

EXPECTED_SHORTFALL: Mapping[str, Measure] = MappingProxyType(
    {
        "worst_k": es_worst_k,
        "fractional": es_fractional,
        "below_quantile": es_below_quantile,
        "int_rule": es_int_rule,
        "unguarded": es_unguarded,
        "gaussian": es_gaussian,
    }
)
"""Expected shortfall by the name of its convention."""
