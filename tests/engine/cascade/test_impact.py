"""Impact: the exponent, its fading, what stress does to depth, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.cascade.impact import DAY_S, ImpactLaw, ImpactState
from engine.errors import InvalidReference
from engine.risk.depth import Depth

LAW = ImpactLaw(decay_s=600.0, thinning=1.0, depth_floor=0.1, volume_rise_max=4.0)
DEPTH = Depth(0.0, 0.05, 1e9, impact=0.8)
DEPTH_TICK = 1e9 / DAY_S


def state(law: ImpactLaw = LAW) -> ImpactState:
    return ImpactState(law, (DEPTH,), 1.0)


def test_impact_grows_with_the_square_root_of_what_is_sold() -> None:
    sizes = np.geomspace(1e3, 1e9, 13)
    moves = []
    for size in sizes:
        fresh = state()
        fresh.take(np.array([-size]))
        moves.append(-fresh.shift()[0])
    slope = np.polyfit(np.log(sizes), np.log(moves), 1)[0]
    assert slope == pytest.approx(0.5, abs=1e-9)
    assert moves[-1] == pytest.approx(0.8 * 0.05)  # a day's volume moves a day's volatility, times impact


def test_impact_fades_and_leaves_nothing() -> None:
    fading = state()
    fading.take(np.array([-1e7]))
    first = fading.shift()[0]
    for _ in range(600):
        fading.take(np.zeros(1))
    assert fading.shift()[0] / first == pytest.approx(np.exp(-0.5))  # the root of a load that fell to 1/e
    for _ in range(12_000):
        fading.take(np.zeros(1))
    assert abs(fading.shift()[0]) < 1e-4 * abs(first)


def test_instantaneous_impact_is_gone_at_the_next_tick() -> None:
    shocked, plain = state(replace(LAW, eta=0.5)), state()
    for each in (shocked, plain):
        each.take(np.array([-1e6]))
    assert shocked.shift()[0] < plain.shift()[0]
    for each in (shocked, plain):
        each.take(np.zeros(1))
    assert shocked.shift()[0] == plain.shift()[0]


def test_whoever_sells_more_than_is_traded_is_all_of_the_volume() -> None:
    law = replace(LAW, eta=0.5)
    moves = []
    for size in (DEPTH_TICK, 1e3 * DEPTH_TICK):
        fresh = state(law)
        fresh.take(np.array([-size]))
        moves.append(float(fresh.moment_K[0]))
    assert moves == pytest.approx([-0.5 * 0.05] * 2)


def test_volatility_takes_depth_away_down_to_the_floor_and_brings_volume() -> None:
    stressed = state()
    assert stressed.depth_left_K[0] == 1.0
    normal = 0.05 / np.sqrt(DAY_S)
    for _ in range(600):
        stressed.see(np.array([4.0 * normal]))
    assert stressed.stress_K[0] == pytest.approx(4.0, rel=1e-3)
    assert stressed.depth_left_K[0] == pytest.approx(0.25, rel=1e-3)
    assert stressed.tick_volume_K[0] == pytest.approx(4.0 * 1e9 / DAY_S, rel=1e-3)
    for _ in range(600):
        stressed.see(np.array([100.0 * normal]))
    assert stressed.depth_left_K[0] == pytest.approx(0.1)
    assert stressed.tick_volume_K[0] == pytest.approx(4.0 * 1e9 / DAY_S)


def test_the_same_flow_moves_a_thin_market_further() -> None:
    calm, thin = state(), state()
    for _ in range(600):
        thin.see(np.array([0.01]))
    for each in (calm, thin):
        each.take(np.array([-1e7]))
    assert thin.shift()[0] == pytest.approx(calm.shift()[0] * np.sqrt(10.0))


@pytest.mark.parametrize(
    "changes",
    [{"decay_s": 0.0}, {"eta": -1.0}, {"depth_floor": 0.0}, {"volume_rise_max": 0.5}, {"variance_s": float("nan")}],
)
def test_a_law_that_makes_no_sense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidReference):
        replace(LAW, **changes)


def test_a_market_without_volume_is_refused() -> None:
    with pytest.raises(InvalidReference):
        ImpactState(LAW, (Depth(0.0, 0.05),), 1.0)
