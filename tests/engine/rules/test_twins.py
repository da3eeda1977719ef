"""The rules against slow twins written from the published formulas, on seeded inputs far beyond the published cases."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest

from engine.rules.close_out import LeverageHoldings, bankruptcy_quote, fillable_price, insurance_fund_delta
from engine.rules.leverage import LeverageMarket, Risk, compare_risk, position_margin, transition
from engine.rules.leverage_account import LeveragePosition, leverage_account
from engine.rules.refusals import RuleRefusal
from engine.rules.rounding import exact
from engine.rules.tiers import collateral_value_by_tiers
from engine.rules.weights import asset_weight, liability_weight
from engine.statistics import coverage, filtered, quantile_risk
from tests.reference import published_rules as twin


def decimal(rng: random.Random, digits: int, low: int = 0, high: int = 10**6) -> Fraction:
    """Often an edge, else a number of many decimals and any order of magnitude."""
    if rng.random() < 0.12:
        return Fraction(rng.choice([max(low, 0), low, 1]))
    size = int(10 ** rng.randint(0, digits))
    return Fraction(rng.randint(low * size, high * size), size * int(10 ** rng.randint(0, 6)))


def terms(rng: random.Random) -> dict[str, Fraction]:
    lower = decimal(rng, 3)
    return {
        "price": decimal(rng, 9),
        "initial_fraction": Fraction(rng.choice([0, 1, 20_000, rng.randint(0, 10**6), 10**6]), 10**6),
        "maintenance_share": Fraction(rng.choice([0, 600_000, rng.randint(0, 10**6), 10**6]), 10**6),
        "open_interest": decimal(rng, 6),
        "lower_cap": lower,
        "upper_cap": rng.choice([Fraction(0), lower, lower + decimal(rng, 3)]),
    }


def world(rng: random.Random) -> tuple[Fraction, dict[str, Fraction], dict[str, dict[str, Fraction]]]:
    names = [f"M{n}" for n in range(rng.randint(1, 4))]
    held = {name: decimal(rng, 10, -(10**4), 10**4) for name in names}
    return decimal(rng, 6, -(10**8), 10**8), held, {name: terms(rng) for name in names}


def market(item: dict[str, Fraction]) -> LeverageMarket:
    return LeverageMarket(
        price=item["price"],
        initial_fraction=item["initial_fraction"],
        maintenance_share=item["maintenance_share"],
        open_interest=item["open_interest"],
        lower_cap=item["lower_cap"],
        upper_cap=item["upper_cap"],
    )


def ours(cash: Fraction, held: dict[str, Fraction], markets: dict[str, dict[str, Fraction]]) -> LeverageHoldings:
    positions = [LeveragePosition(name, size) for name, size in held.items()]
    return LeverageHoldings(cash, positions, {name: market(item) for name, item in markets.items()})


def test_leverage_requirements_agree_as_rationals() -> None:
    rng = random.Random(1)
    for _ in range(1500):
        cash, held, markets = world(rng)
        mine = ours(cash, held, markets)
        for name, size in held.items():
            margin = position_margin(size, mine.markets[name])
            assert (margin.notional, margin.initial_margin, margin.maintenance_margin) == twin.position(
                size, markets[name]
            )
        result = leverage_account(mine.cash, mine.positions, mine.markets)
        assert (result.net_collateral, result.initial_margin, result.maintenance_margin) == twin.account(
            cash, held, markets
        )


def test_closing_prices_agree_as_rationals() -> None:
    rng, compared = random.Random(2), 0
    for _ in range(3000):
        cash, held, markets = world(rng)
        mine, name = ours(cash, held, markets), rng.choice(list(held))
        size = held[name]
        if size == 0 or twin.account(cash, held, markets)[2] == 0:
            with pytest.raises(RuleRefusal):
                bankruptcy_quote(mine, name, -size)
            continue
        delta = -size * Fraction(rng.choice([1, 1000, rng.randint(1, 1000)]), 1000)
        delta = -size if abs(delta) > abs(size) else delta
        quote = twin.bankruptcy_quote(cash, held, markets, name, delta)
        assert bankruptcy_quote(mine, name, delta) == quote
        price, fee = decimal(rng, 6), Fraction(rng.randint(0, 10**6), 10**6)
        received = twin.toward_zero(-delta * price)
        assert insurance_fund_delta(mine, name, delta > 0, abs(delta), price, fee) == twin.insurance_delta(
            received, quote, fee
        )
        adjustment, spread = decimal(rng, 3, 0, 5), decimal(rng, 3, 0, 5)
        wanted = twin.fillable(cash, held, markets, name, adjustment, spread)
        if wanted >= 0:
            assert fillable_price(mine, name, delta, adjustment, spread) == wanted
        else:
            with pytest.raises(RuleRefusal):
                fillable_price(mine, name, delta, adjustment, spread)
        compared += 1
    assert compared > 1000


def test_comparisons_and_transitions_agree() -> None:
    rng = random.Random(3)
    for _ in range(4000):
        (a, m), (b, n) = ((Fraction(rng.randint(-3, 3)), Fraction(rng.randint(0, 3))) for _ in range(2))
        assert compare_risk(Risk(a, m, m), Risk(b, n, n)) == twin.riskier((a, m), (b, n))
        assert transition(Risk(a, m, m), Risk(b, n, n)).allowed == twin.may_change((a, m), (b, n))


def test_collateral_tiers_agree() -> None:
    rng = random.Random(4)
    for _ in range(2000):
        bounds = sorted({Fraction(rng.randint(1, 100)) for _ in range(rng.randint(1, 6))})
        tiers: list[tuple[Fraction | None, Fraction]] = [
            (bound, Fraction(rng.randint(0, 100), 100)) for bound in bounds
        ]
        if rng.random() < 0.5:
            tiers.append((None, Fraction(rng.choice([0, 50]), 100)))
        amount = rng.choice([Fraction(0), rng.choice(bounds), decimal(rng, 6, 0, 200)])
        price = rng.choice([Fraction(1), decimal(rng, 4, 0, 100)])
        unit: Literal["value", "amount"] = rng.choice(["value", "amount"])
        quantity, scale = (amount * price, Fraction(1)) if unit == "value" else (amount, price)
        assert collateral_value_by_tiers(amount, price, tiers, unit) == twin.tier_credit(quantity, tiers) * scale


def test_size_weights_agree_within_their_unit() -> None:
    rng = random.Random(5)
    for _ in range(3000):
        size, factor = decimal(rng, 9), Fraction(rng.choice([0, 3_000, rng.randint(0, 10**5)]), 10**6)
        share, debt = Fraction(rng.randint(0, 10**4), 10**4), Fraction(rng.randint(10**4, 2 * 10**4), 10**4)
        credit = float(asset_weight("initial", size, factor, share, share))
        assert abs(credit - twin.asset_weight(share, size, factor)) <= 1.001e-4
        charge = float(liability_weight("initial", size, factor, debt, debt))
        assert abs(charge - twin.liability_weight(debt, size, factor)) <= 2.001e-4


def sample(rng: random.Random) -> list[float]:
    count = rng.choice([1, 2, 3, 20, 100, 200, 400])
    kind = rng.choice(["constant", "ties", "normal"])
    if kind == "constant":
        return [rng.choice([-0.01, 0.0, 0.02])] * count
    return [rng.gauss(0.0, 0.02) if kind == "normal" else rng.randint(-3, 3) / 100 for _ in range(count)]


@pytest.mark.parametrize("text", ["0.5", "0.9", "0.95", "0.975", "0.99", "0.995", "0.999", "0.9999999999"])
def test_tail_measures_agree(text: str) -> None:
    rng, tail = random.Random(6), 1 - Fraction(text)
    for _ in range(60):
        returns = sample(rng)
        for name, wanted in twin.tail_measures(returns, tail).items():
            got = getattr(quantile_risk, name)(np.array(returns), float(text))
            assert math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-15), (name, len(returns))


@pytest.mark.parametrize("tail", ["0.5", "0.1", "0.05", "0.025", "0.01"])
def test_age_weighting_agrees(tail: str) -> None:
    rng = random.Random(7)
    for _ in range(25):
        returns, decay = sample(rng), rng.choice(["0.9", "0.98", "0.995"])
        wanted = twin.age_weighted_var(returns, Fraction(tail), Fraction(decay))
        assert quantile_risk.age_weighted_var(np.array(returns), float(1 - Fraction(tail)), float(decay)) == wanted


def test_filtering_and_coverage_agree() -> None:
    rng = random.Random(8)
    for _ in range(60):
        returns = [rng.gauss(0.0, 0.01) for _ in range(rng.randint(20, 300))]
        burn_in, decay = rng.randint(0, 15), rng.choice([0.9, 0.94, 0.99])
        got = filtered.filtered_moves(np.array(returns), decay=decay, burn_in=burn_in)
        assert np.allclose(got, twin.filtered(returns, decay, burn_in), rtol=1e-10, atol=0.0)
        observations = rng.randint(1, 500)
        count = rng.choice([0, observations, rng.randint(0, observations)])
        wanted = twin.kupiec(count, observations, 0.01)
        assert math.isclose(coverage.kupiec(count, observations, 0.99).statistic, wanted, rel_tol=1e-9, abs_tol=1e-9)


def test_a_number_of_an_array_is_read_as_the_decimal_it_prints() -> None:
    assert exact(np.float64(0.1)) == Fraction(1, 10)
