"""Value and Greeks of a European option: on a forward with a discount factor, or on spot with rates.

Owns the derivatives of Black (1976) and of Black, Scholes (1973) and Merton (1973) under every convention a venue
publishes. Refuses contracts, quantities and marks; the digits come from ``black_kernel``.

    V = D [F N(d1) - K N(d2)] for a call, D [K N(-d2) - F N(-d1)] for a put,  F = S exp((r - q) T),  D = exp(-r T)

Accuracy. Arguments count as exact, and only results above 1e-290 in magnitude are spoken of. On a forward, every key is
within 1e-12 relative of the true value, but for those that are differences, whose error is 1e-12 of

    volga, vanna        the value they would have with |ln(F/K)| / s + s for d1 and d2, s being volatility sqrt(T)
    theta, theta_fwd    the sum of the magnitudes of decay, interest on both legs, and carry

On spot, ln(F/K) = ln(S/K) + (r - q) T is a difference too where carry brings the forward back to the strike. Its
rounding adds 2^-51 (1 + |d|) |ln(S/K)| / s to those 1e-12, d the larger of |d1| and |d2|: no more than 5e-16 (1 + d^2)
without such a coincidence. A discount or growth factor with an exponent above 1 in magnitude adds it times 2^-52.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Bools, Floats
from engine.pricing.black_kernel import (
    StandardMoves,
    density,
    mills,
    standard_moves,
    tail_probability,
    time_value,
)
from engine.pricing.compensated import Pair, add, log_quotient, multiply_root, two_product, two_sum

DAYS_PER_YEAR = 365.0

UNDERFLOW = 1e-290
"""Below this a value may have lost digits, so quotients of values are taken before the density is multiplied in."""


@dataclass(frozen=True, slots=True)
class OptionGreeks:
    """Sensitivities of one option on one unit; all arrays have the broadcast shape of the arguments.

    ``*_fwd`` are to the forward, ``*_spot`` to the spot price; ``vega`` and ``volga`` per 1.00 of volatility, ``vanna``
    the change of ``delta_spot`` per 1.00 of volatility. ``theta`` is the change per year of calendar time with spot,
    rate, dividend yield and volatility fixed, ``theta_per_day_365`` a 365th of it; ``theta_fwd`` fixes the forward
    instead of spot. ``rho`` is to the rate with spot and dividend yield fixed, ``rho_fwd`` (-T V) with the forward
    fixed, ``div_rho`` to the dividend yield. ``elasticity`` is the relative change of value per relative change of the
    underlying. ``itm_prob_cash`` and ``itm_prob_asset`` are N(d2) and N(d1), as QuantLib names them: a call's
    probabilities to end in the money under the measures of money and of the asset; a put's are one minus them.
    """

    price: Floats
    delta_fwd: Floats
    gamma_fwd: Floats
    delta_spot: Floats
    gamma_spot: Floats
    vega: Floats
    volga: Floats
    vanna: Floats
    theta: Floats
    theta_fwd: Floats
    theta_per_day_365: Floats
    rho: Floats
    rho_fwd: Floats
    div_rho: Floats
    elasticity: Floats
    itm_prob_cash: Floats
    itm_prob_asset: Floats


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the formulas need of an option, whichever way it was stated; ``gap`` is forward less strike."""

    forward: Floats
    strike: Floats
    years: Floats
    volatility: Floats
    sign: Floats
    discount: Floats
    rate: Floats
    carry: Floats
    growth: Floats
    gap: Floats
    moves: StandardMoves


def black76_option(
    forward: Floats | float,
    strike: Floats | float,
    years: Floats | float,
    volatility: Floats | float,
    sign: Floats | float,
    *,
    discount: Floats | float | None = None,
    rate: Floats | float | None = None,
    spot: Floats | float | None = None,
) -> OptionGreeks:
    """Value and Greeks of a European option on a forward; all arguments broadcast together.

    ``sign`` is +1 for a call and -1 for a put, ``years`` the time to expiry (negative counts as 0), ``volatility`` per
    1.00. Of ``discount`` (the factor to expiry) and ``rate`` (continuous, per year) a missing one follows from the
    other, discount = exp(-rate years); without both they are 1 and 0. ``spot`` is the price that the keys ``*_spot``,
    ``vanna`` and ``theta`` refer to; without it the forward is its own spot and carries nothing, as a future does.

    Exact limits: without deviation, forward or strike the value is the discounted intrinsic one, delta and the
    probabilities 0, 1/2 (at the strike) or 1, and the rest of the sensitivities to price and volatility 0. Raises
    ``InvalidReference`` naming an argument out of its range.
    """
    optional = [np.nan if value is None else value for value in (discount, rate, spot)]
    forward, strike, years, volatility, sign, factor, interest, underlying = _broadcast(
        forward, strike, years, volatility, sign, *optional
    )
    years = np.maximum(years, 0.0)
    _check_nonnegative(forward=forward, strike=strike, volatility=volatility, years=years)
    _check_sign(sign)
    per_year = np.where(years > 0.0, years, np.inf)
    if discount is None:
        interest = np.zeros_like(forward) if rate is None else interest
        factor = np.exp(-interest * years)
    _check_positive(discount=factor)
    if rate is None:
        with np.errstate(over="ignore"):
            interest = -np.log(factor) / per_year + 0.0
    _check_finite(rate=interest)
    growth, carry = np.ones_like(forward), np.zeros_like(forward)
    if spot is not None:
        _check_positive(spot=underlying)
        growth = forward / underlying
        carry = np.where(
            forward > 0.0, log_quotient(np.where(forward > 0.0, forward, underlying), underlying).high, 0.0
        )
        carry = carry / per_year
    live = _live(forward, strike, years, volatility)
    moneyness = log_quotient(np.where(live, forward, 1.0), np.where(live, strike, 1.0))
    return _greeks(
        _Terms(
            forward, strike, years, volatility, sign, factor, interest, carry, growth,
            gap=forward - strike, moves=_moves(moneyness, years, volatility, live),
        )
    )  # fmt: skip


def black_scholes_merton(
    spot: Floats | float,
    strike: Floats | float,
    years: Floats | float,
    volatility: Floats | float,
    sign: Floats | float,
    *,
    rate: Floats | float = 0.0,
    dividend_yield: Floats | float = 0.0,
) -> OptionGreeks:
    """Value and Greeks of a European option on spot; all arguments broadcast together.

    ``rate`` and ``dividend_yield`` are continuous, per year; the other arguments, the limits and the errors are those
    of ``black76_option``.
    """
    spot, strike, years, volatility, sign, rate, dividend_yield = _broadcast(
        spot, strike, years, volatility, sign, rate, dividend_yield
    )
    years = np.maximum(years, 0.0)
    _check_nonnegative(spot=spot, strike=strike, volatility=volatility, years=years)
    _check_sign(sign)
    _check_finite(rate=rate, dividend_yield=dividend_yield)
    carry, carry_low = two_sum(rate, -dividend_yield)
    drift, drift_low = two_product(carry, years)
    growth = np.exp(drift)
    forward = spot * growth
    positive = (spot > 0.0) & (strike > 0.0)
    start = log_quotient(np.where(positive, spot, 1.0), np.where(positive, strike, 1.0))
    moneyness = add(start, Pair(drift, drift_low + carry_low * years))
    # Near the strike the two prices cancel, their logarithms have not been rounded yet.
    relative_gap = np.expm1(np.minimum(moneyness.high, 1.0)) + moneyness.low
    near = positive & (np.abs(moneyness.high) < 0.5)
    live = positive & _live(forward, strike, years, volatility)
    masked = Pair(np.where(live, moneyness.high, 0.0), np.where(live, moneyness.low, 0.0))
    return _greeks(
        _Terms(
            forward, strike, years, volatility, sign, np.exp(-rate * years), rate, carry, growth,
            gap=np.where(near, strike * relative_gap, forward - strike),
            moves=_moves(masked, years, volatility, live),
        )
    )  # fmt: skip


def _live(forward: Floats, strike: Floats, years: Floats, volatility: Floats) -> Bools:
    """Where the option has time value; a deviation too small for a double has none."""
    return (forward > 0.0) & (strike > 0.0) & (volatility * np.sqrt(years) > 0.0)


def _moves(log_moneyness: Pair, years: Floats, volatility: Floats, live: Bools) -> StandardMoves:
    deviation = multiply_root(np.where(live, volatility, 1.0), np.where(live, years, 1.0))
    return standard_moves(log_moneyness, deviation, live)


def _greeks(terms: _Terms) -> OptionGreeks:
    """All sensitivities; ``weight`` is F n(d1) = K n(d2), from the smaller price so that it underflows last."""
    moves, sign, discount, years = terms.moves, terms.sign, terms.discount, terms.years
    live = moves.live
    forward, volatility = np.where(live, terms.forward, 1.0), np.where(live, terms.volatility, 1.0)
    root = np.where(live, np.sqrt(years), 1.0)
    above_intrinsic, bracket, nearest = time_value(moves, np.minimum(terms.forward, terms.strike))
    weight = np.where(live, discount * nearest, 0.0)
    price = discount * (np.maximum(sign * terms.gap, 0.0) + above_intrinsic)
    asset_probability, cash_probability = _probabilities(terms, terms.sign)
    call_asset, call_cash = _probabilities(terms, np.ones_like(terms.sign))
    delta = sign * discount * asset_probability
    asset_leg, cash_leg = terms.forward * delta, sign * discount * terms.strike * cash_probability
    # Beyond 1e8 deviations the weight is zero whatever it is multiplied with.
    d1, d2 = np.clip(moves.d1.high, -1e8, 1e8), np.clip(moves.d2.high, -1e8, 1e8)
    gamma = weight / forward / forward / np.where(live, moves.deviation, 1.0)
    decay = -0.5 * weight * volatility / root
    theta_fwd = decay + terms.rate * price
    theta = decay + (terms.rate - terms.carry) * asset_leg - terms.rate * cash_leg
    theta = np.where(terms.carry == 0.0, theta_fwd, theta)
    return OptionGreeks(
        price=price,
        delta_fwd=delta,
        gamma_fwd=gamma,
        delta_spot=delta * terms.growth,
        gamma_spot=gamma * terms.growth * terms.growth,
        vega=weight * root,
        volga=weight * root * d1 * (d2 / volatility),
        vanna=-weight / forward * (d2 / volatility) * terms.growth,
        theta=theta,
        theta_fwd=theta_fwd,
        theta_per_day_365=theta / DAYS_PER_YEAR,
        rho=years * cash_leg,
        rho_fwd=-years * price,
        div_rho=-years * asset_leg,
        elasticity=_elasticity(terms, price, asset_leg, bracket),
        itm_prob_cash=call_cash,
        itm_prob_asset=call_asset,
    )


def _probabilities(terms: _Terms, sign: Floats) -> tuple[Floats, Floats]:
    """N(sign d1) and N(sign d2), the payoff's own indicator where nothing is left to happen."""
    moves = terms.moves
    settled = np.heaviside(sign * terms.gap, 0.5)
    signed = [Pair(sign * d.high, sign * d.low) for d in (moves.d1, moves.d2)]
    asset, cash = (np.where(moves.live, tail_probability(d, density(d)), settled) for d in signed)
    return asset, cash


def _elasticity(terms: _Terms, price: Floats, asset_leg: Floats, bracket: Floats) -> Floats:
    """F delta / V; out of the money F N(d1) and V share the density, which therefore may be zero. 0 without value."""
    moves = terms.moves
    vanishing = moves.live & (price < UNDERFLOW) & (bracket > 0.0)
    z = np.where(terms.sign > 0.0, np.minimum(moves.d1.high, 0.0), -np.maximum(moves.d1.high, 0.0))
    limit = terms.sign * mills(z) / np.where(vanishing, bracket, 1.0)
    ordinary = asset_leg / np.where(price > 0.0, price, 1.0)
    return np.where(vanishing, limit, np.where(price > 0.0, ordinary, 0.0))


def _broadcast(*arguments: Floats | float) -> tuple[Floats, ...]:
    return np.broadcast_arrays(*(np.asarray(argument, dtype=np.float64) for argument in arguments))


def _check_sign(sign: Floats) -> None:
    if not np.all(np.abs(sign) == 1.0):
        raise InvalidReference("sign", "must be 1 for a call or -1 for a put")


def _check_finite(**values: Floats) -> None:
    for field, value in values.items():
        if not np.all(np.isfinite(value)):
            raise InvalidReference(field, "must be finite")


def _check_nonnegative(**values: Floats) -> None:
    _check_finite(**values)
    for field, value in values.items():
        if not np.all(value >= 0.0):
            raise InvalidReference(field, "must not be negative")


def _check_positive(**values: Floats) -> None:
    _check_finite(**values)
    for field, value in values.items():
        if not np.all(value > 0.0):
            raise InvalidReference(field, "must be positive")
