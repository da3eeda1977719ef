"""The option kernel over random options of every regime, at the error budget its docstring states."""

from __future__ import annotations

import mpmath
import numpy as np

from engine.pricing.axes import Floats
from engine.pricing.black_kernel import (
    density,
    mills_derivatives,
    standard_moves,
    tail_probability,
    taylor_difference,
    time_value,
)
from engine.pricing.compensated import log_quotient, multiply_root
from tests.engine.pricing import exact

SMALLEST = 1e-290


def random_options(count: int, largest_ratio: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Forwards, strikes, years, volatilities with strikes up to 37 deviations away, deviations 1e-6 to 16."""
    generator = np.random.default_rng(20)
    forward = 60_000.0 * generator.uniform(0.9, 1.1, count)
    volatility = 10.0 ** generator.uniform(np.log10(0.05), np.log10(25.0), count)
    deviation = 10.0 ** generator.uniform(-6.0, 1.2, count)
    strike = forward * np.exp(-generator.uniform(-37.0, 37.0, count) * deviation)
    kept = (strike > forward / largest_ratio) & (strike < forward * largest_ratio)
    return forward[kept], strike[kept], ((deviation / volatility) ** 2)[kept], volatility[kept]


def test_density_tails_and_time_value_keep_the_stated_budget() -> None:
    forward, strike, years, volatility = random_options(4000, 1e100)
    live = np.ones(forward.shape, dtype=np.bool_)
    moves = standard_moves(log_quotient(forward, strike), multiply_root(volatility, years), live)
    value, _, _ = time_value(moves, np.minimum(forward, strike))
    density_1 = density(moves.d1)
    ours = np.stack([value, density_1, tail_probability(moves.d1, density_1)])
    compared, worst = 0, 0.0
    with mpmath.workdps(exact.DIGITS):
        for row in range(forward.size):
            f, k, t, v = (mpmath.mpf(float(array[row])) for array in (forward, strike, years, volatility))
            d1, _ = exact.moves(f, k, t, v)
            sign = 1 if f < k else -1
            trues = (
                exact.forward_price(f, k, t, v, sign, mpmath.mpf(1)),
                mpmath.exp(-d1 * d1 / 2) / mpmath.sqrt(2 * mpmath.pi),
                exact.tail(d1),
            )
            reach = max(abs(float(d1)), float(moves.distance[row]))
            allowed = (100.0 + 2.0 * abs(float(d1)) * reach) * 2.0**-53
            for mine, true in zip(ours[:, row], trues, strict=True):
                if true > SMALLEST:
                    error = float(abs(mpmath.mpf(float(mine)) - true) / true)
                    worst = max(worst, error / allowed)
                    compared += 1
    assert compared > 9_000
    assert worst <= 1.0


def test_derivatives_of_the_mills_ratio_are_those_moments() -> None:
    distance = np.array([0.0, 1e-8, 0.5, 2.0, 2.999, 3.0, 3.5, 8.0, 37.0, 1e3, 1e8])
    ours = mills_derivatives(distance)
    with mpmath.workdps(40):
        for column, a in enumerate(distance):
            # The moment of order k is Gamma(k+1) e^(a^2/4) D_(-k-1)(a); scipy's and ours share no code with mpmath's.
            for order in (1, 3, 5):
                z = mpmath.mpf(float(a))
                if a > 100:
                    series = [
                        (-1) ** j * mpmath.rf(order + 1, 2 * j) / (mpmath.mpf(2) ** j * mpmath.factorial(j))
                        for j in range(4)
                    ]
                    true = (
                        mpmath.factorial(order) / z ** (order + 1) * sum(c / z ** (2 * j) for j, c in enumerate(series))
                    )
                else:
                    true = mpmath.factorial(order) * mpmath.exp(z * z / 4) * mpmath.pcfd(-order - 1, z)
                allowed = 4e-14 if order == 1 else 1e-10
                assert abs(mpmath.mpf(float(ours[order - 1][column])) - true) <= allowed * true, (a, order)


def test_series_and_difference_meet() -> None:
    distance = np.array([0.0, 0.5, 1.0, 2.9, 3.1, 10.0, 35.0])
    spread = 0.03 * np.maximum(1.0, distance)
    with mpmath.workdps(60):
        for row, (a, t) in enumerate(zip(distance, spread, strict=True)):
            near, far = mpmath.mpf(float(t)) - mpmath.mpf(float(a)), -mpmath.mpf(float(t)) - mpmath.mpf(float(a))
            ratio = [exact.tail(z) * mpmath.exp(z * z / 2) * mpmath.sqrt(2 * mpmath.pi) for z in (near, far)]
            true = ratio[0] - ratio[1]
            ours = taylor_difference(distance, spread)[row]
            assert abs(mpmath.mpf(float(ours)) - true) <= 4e-14 * true, (a, t)
