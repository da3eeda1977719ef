"""Slow twins of the exact rules and tail measures, written from published formulas alone.

Owns one plain reading of each formula: integers in millionths for money, sorted lists for tails. Refuses to import the
engine, so that an agreement of the two means something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

MILLION = 10**6
Tiers = Sequence[tuple[Fraction | None, Fraction]]


def down(value: Fraction) -> Fraction:
    return Fraction(math.floor(value * MILLION), MILLION)


def up(value: Fraction) -> Fraction:
    return -down(-value)


def toward_zero(value: Fraction) -> Fraction:
    return Fraction(int(value * MILLION), MILLION)


def initial_fraction(base: Fraction, interest: Fraction, lower: Fraction, upper: Fraction) -> Fraction:
    """Source: dYdX v4-chain 84d4664b, x/perpetuals/types/liquidity_tier.go."""
    if upper == 0 or interest <= lower:
        return base
    if interest >= upper:
        return Fraction(1)
    return base + down((1 - base) * (interest - lower) / (upper - lower))


def position(size: Fraction, terms: dict[str, Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    """Signed notional, initial and maintenance requirement."""
    signed = toward_zero(size * terms["price"])
    interest = toward_zero(terms["open_interest"] * terms["price"])
    fraction = initial_fraction(terms["initial_fraction"], interest, terms["lower_cap"], terms["upper_cap"])
    held = up(abs(signed) * terms["initial_fraction"])
    return signed, up(abs(signed) * fraction), up(held * terms["maintenance_share"])


def account(
    cash: Fraction, held: dict[str, Fraction], markets: dict[str, dict[str, Fraction]]
) -> tuple[Fraction, Fraction, Fraction]:
    """Net collateral, initial and maintenance requirement of an account whose funding is settled."""
    rows = [position(size, markets[name]) for name, size in held.items()]
    return (
        cash + sum(row[0] for row in rows),
        sum((r[1] for r in rows), Fraction()),
        sum((r[2] for r in rows), Fraction()),
    )


def bankruptcy_quote(
    cash: Fraction, held: dict[str, Fraction], markets: dict[str, dict[str, Fraction]], name: str, delta: Fraction
) -> Fraction:
    net, _, required = account(cash, held, markets)
    before, after = position(held[name], markets[name]), position(held[name] + delta, markets[name])
    return -(after[0] - before[0]) - down(net * abs(after[2] - before[2]) / required)


def fillable(
    cash: Fraction,
    held: dict[str, Fraction],
    markets: dict[str, dict[str, Fraction]],
    name: str,
    adjustment: Fraction,
    spread: Fraction,
) -> Fraction:
    net, _, required = account(cash, held, markets)
    rating = min(max(adjustment * (1 - net / required), Fraction(0)), Fraction(1))
    notional, _, own = position(held[name], markets[name])
    return (notional - rating * spread * own) / held[name]


def insurance_delta(received: Fraction, bankruptcy: Fraction, fee: Fraction) -> Fraction:
    surplus = received - bankruptcy
    return surplus if surplus <= 0 else min(surplus, down(fee * abs(received)))


def riskier(first: tuple[Fraction, Fraction], second: tuple[Fraction, Fraction]) -> int:
    """-1, 0, 1 by net collateral per maintenance, both (net collateral, maintenance)."""
    left, right = first[0] * second[1], second[0] * first[1]
    return -1 if left > right else int(left < right)


def may_change(before: tuple[Fraction, Fraction], after: tuple[Fraction, Fraction]) -> bool:
    if after[1] > before[1]:
        return False
    if before[1] == 0 or after[1] == 0:
        return before[1] == after[1] and after[0] > before[0]
    return riskier(after, before) <= 0


def tier_credit(quantity: Fraction, tiers: Tiers) -> Fraction:
    """Each slice at its own rate; nothing beyond the last bound."""
    total, start = Fraction(0), Fraction(0)
    for upper, rate in tiers:
        end = quantity if upper is None else min(quantity, upper)
        total += max(end - start, Fraction(0)) * rate
        start = max(start, end)
    return total


def weight_root(size: Fraction) -> int:
    """Hundred-thousandths of the root of ``size``. Source: Drift protocol-v2 0ae3e3b1, math/margin.rs."""
    return math.isqrt(10 * int(abs(size) * 10**9) + 1)


def asset_weight(weight: Fraction, size: Fraction, factor: Fraction) -> float:
    if factor == 0:
        return float(weight)
    return min(float(weight), 1.1 / (1 + float(factor) * weight_root(size) / 1e5))


def liability_weight(weight: Fraction, size: Fraction, factor: Fraction) -> float:
    if factor == 0:
        return float(weight)
    return max(float(weight), 0.8 * float(weight) + float(factor) * weight_root(size) / 1e5)


def tail_measures(returns: Sequence[float], tail: Fraction) -> dict[str, float]:
    """Value at risk and expected shortfall by convention, losses positive; ``tail`` is one minus the level."""
    losses = sorted((-x for x in returns), reverse=True)
    ordered, count = losses[::-1], len(losses)
    position_of = (count - 1) * (1 - tail)
    low = math.floor(position_of)
    high = min(low + 1, count - 1)
    linear = ordered[low] + float(position_of - low) * (ordered[high] - ordered[low])
    whole = math.floor(count * tail)
    rest = count * tail - whole
    part = float(rest) * losses[whole] if rest else 0.0
    worst, inclusive = max(1, whole), math.floor((count - 1) * tail) + 1
    return {
        "var_linear": linear,
        "var_order": losses[math.ceil(count * tail) - 1],
        "es_worst_k": math.fsum(losses[:worst]) / worst,
        "es_fractional": (math.fsum(losses[:whole]) + part) / float(count * tail),
        "es_int_rule": math.fsum(losses[:inclusive]) / inclusive,
    }


def age_weighted_var(returns: Sequence[float], tail: Fraction, decay: Fraction) -> float:
    """Oldest first; exact weights, so that no rounding decides where the tail is reached."""
    count = len(returns)
    scale = sum((decay**age for age in range(count)), Fraction(0))
    ranked = sorted(((-x, decay ** (count - 1 - t)) for t, x in enumerate(returns)), reverse=True)
    reached = Fraction(0)
    for loss, weight in ranked:
        reached += weight / scale
        if reached >= tail:
            return loss
    return ranked[-1][0]


def filtered(returns: Sequence[float], decay: float, burn_in: int) -> list[float]:
    variances = [returns[0] ** 2]
    for x in returns:
        variances.append(decay * variances[-1] + (1 - decay) * x * x)
    now = math.sqrt(variances[-1])
    return [x * now / math.sqrt(v) for x, v in zip(returns[burn_in:], variances[burn_in:], strict=False)]


def kupiec(count: int, observations: int, tail: float) -> float:
    def likelihood(rate: float) -> float:
        hit = count * math.log(rate) if count else 0.0
        return hit + ((observations - count) * math.log(1 - rate) if count < observations else 0.0)

    return 2 * (likelihood(count / observations) - likelihood(tail))
