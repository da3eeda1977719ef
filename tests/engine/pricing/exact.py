"""Options in 60-digit arithmetic, straight from the textbook: what the float64 kernels are measured against."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
from mpmath import mpf

DIGITS = 60


def tail(z: mpf) -> mpf:
    """N(z); erfc keeps the digits of a far tail where ncdf does not."""
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def moves(forward: mpf, strike: mpf, years: mpf, volatility: mpf) -> tuple[mpf, mpf]:
    deviation = volatility * mpmath.sqrt(years)
    d1 = mpmath.log(forward / strike) / deviation + deviation / 2
    return d1, d1 - deviation


def forward_price(forward: mpf, strike: mpf, years: mpf, volatility: mpf, sign: int, discount: mpf) -> mpf:
    d1, d2 = moves(forward, strike, years, volatility)
    return discount * sign * (forward * tail(sign * d1) - strike * tail(sign * d2))


def spot_price(spot: mpf, strike: mpf, years: mpf, volatility: mpf, sign: int, rate: mpf, dividend_yield: mpf) -> mpf:
    forward = spot * mpmath.exp((rate - dividend_yield) * years)
    return forward_price(forward, strike, years, volatility, sign, mpmath.exp(-rate * years))


def spot_greeks(
    spot: float, strike: float, years: float, volatility: float, sign: int, rate: float, dividend_yield: float
) -> dict[str, mpf]:
    """Every key of ``OptionGreeks`` in closed form, with the scale of its error where that is not the value itself.

    Keys ``volga_scale``, ``vanna_scale``, ``theta_scale`` and ``theta_fwd_scale`` are the magnitudes that cancel.
    """
    with mpmath.workdps(DIGITS):
        s, k, t, v, r, q = (mpf(value) for value in (spot, strike, years, volatility, rate, dividend_yield))
        forward, discount = s * mpmath.exp((r - q) * t), mpmath.exp(-r * t)
        return _greeks(forward, k, t, v, sign, discount, r, r - q, forward / s)


def forward_greeks(
    forward: float, strike: float, years: float, volatility: float, sign: int, rate: float
) -> dict[str, mpf]:
    """As ``spot_greeks`` with the forward as its own spot."""
    with mpmath.workdps(DIGITS):
        f, k, t, v, r = (mpf(value) for value in (forward, strike, years, volatility, rate))
        return _greeks(f, k, t, v, sign, mpmath.exp(-r * t), r, mpf(0), mpf(1))


def _greeks(
    forward: mpf, strike: mpf, years: mpf, volatility: mpf, sign: int, discount: mpf, rate: mpf, carry: mpf, growth: mpf
) -> dict[str, mpf]:
    root = mpmath.sqrt(years)
    d1, d2 = moves(forward, strike, years, volatility)
    reach = abs(mpmath.log(forward / strike)) / (volatility * root) + volatility * root
    weight = discount * forward * mpmath.exp(-d1 * d1 / 2) / mpmath.sqrt(2 * mpmath.pi)
    asset, cash = tail(sign * d1), tail(sign * d2)
    price = forward_price(forward, strike, years, volatility, sign, discount)
    delta = sign * discount * asset
    decay = -weight * volatility / (2 * root)
    return {
        "price": price,
        "delta_fwd": delta,
        "gamma_fwd": weight / forward**2 / (volatility * root),
        "delta_spot": delta * growth,
        "gamma_spot": weight / forward**2 / (volatility * root) * growth**2,
        "vega": weight * root,
        "volga": weight * root * d1 * d2 / volatility,
        "volga_scale": weight * root * reach**2 / volatility,
        "vanna": -weight / forward * d2 / volatility * growth,
        "vanna_scale": weight / forward * reach / volatility * growth,
        "theta": decay + rate * price - carry * forward * delta,
        "theta_scale": -decay
        + abs(rate) * (forward * abs(delta) + discount * strike * cash)
        + abs(carry * forward * delta),
        "theta_fwd": decay + rate * price,
        "theta_fwd_scale": -decay + abs(rate * price),
        "theta_per_day_365": (decay + rate * price - carry * forward * delta) / 365,
        "theta_per_day_365_scale": (-decay + abs(rate * price) + abs(carry * forward * delta)) / 365,
        "rho": sign * years * discount * strike * cash,
        "rho_fwd": -years * price,
        "div_rho": -years * forward * delta,
        "elasticity": forward * delta / price,
        "itm_prob_cash": tail(d2),
        "itm_prob_asset": tail(d1),
    }


def derivatives(
    spot: float, strike: float, years: float, volatility: float, sign: int, rate: float, dividend_yield: float
) -> dict[str, mpf]:
    """The same sensitivities by central differences of the price alone, with a step of 1e-40.

    The second difference of a price of 1e4 with a gamma of 1e-70 starts in the 155th digit.
    """
    with mpmath.workdps(220):
        at = tuple(mpf(value) for value in (spot, strike, years, volatility, sign, rate, dividend_yield))

        def price(**shift: mpf) -> mpf:
            s, k, t, v, _, r, q = at
            names = {"spot": s, "years": t, "volatility": v, "rate": r, "dividend_yield": q}
            moved = {name: value + shift.get(name, 0) for name, value in names.items()}
            return spot_price(
                moved["spot"], k, moved["years"], moved["volatility"], sign, moved["rate"], moved["dividend_yield"]
            )

        def on_forward(forward: mpf, years_left: mpf, interest: mpf) -> mpf:
            return forward_price(forward, at[1], years_left, at[3], sign, mpmath.exp(-interest * years_left))

        s, _, t, _, _, r, q = at
        forward = s * mpmath.exp((r - q) * t)
        return {
            "price": price(),
            "delta_spot": slope(lambda step: price(spot=step)),
            "gamma_spot": curve(lambda step: price(spot=step)),
            "vega": slope(lambda step: price(volatility=step)),
            "volga": curve(lambda step: price(volatility=step)),
            "vanna": slope(lambda x: slope(lambda y: price(spot=x, volatility=y))),
            "theta": -slope(lambda step: price(years=step)),
            "rho": slope(lambda step: price(rate=step)),
            "div_rho": slope(lambda step: price(dividend_yield=step)),
            "delta_fwd": slope(lambda step: on_forward(forward + step, t, r)),
            "gamma_fwd": curve(lambda step: on_forward(forward + step, t, r)),
            "theta_fwd": -slope(lambda step: on_forward(forward, t + step, r)),
            "rho_fwd": slope(lambda step: on_forward(forward, t, r + step)),
            "elasticity": slope(lambda step: mpmath.log(price(spot=step))) * s,
        }


STEP = mpf(10) ** -40


def slope(function: Callable[[mpf], mpf]) -> mpf:
    return (function(STEP) - function(-STEP)) / (2 * STEP)


def curve(function: Callable[[mpf], mpf]) -> mpf:
    return (function(STEP) - 2 * function(mpf(0)) + function(-STEP)) / STEP**2
