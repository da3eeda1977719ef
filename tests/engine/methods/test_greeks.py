"""Greeks of stated positions against finite differences of the model value itself."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.methods.context import MarginContext
from engine.methods.greeks import position_greeks
from engine.methods.statement import PositionKind, StatedExpiry, StatedMarket, StatedPortfolio, StatedPosition
from engine.methods.table import position_table
from streams.margin_methods import load_methods

DAY = 86_400


def portfolio(forward: float, strike: float, days: float, vol: float, call: bool, quantity: float) -> StatedPortfolio:
    expiry = StatedExpiry("E", Decimal(days * DAY), Decimal(forward), rate=Decimal("0.05"))
    market = StatedMarket("X", Decimal(forward), expiries={"E": expiry})
    option = StatedPosition(
        "o", PositionKind.OPTION, "X", Decimal(quantity), multiplier=Decimal("0.1"), expiry="E",
        strike=Decimal(strike), is_call=call, volatility=Decimal(vol),
    )  # fmt: skip
    return StatedPortfolio("a", markets={"X": market}, positions=(option,))


def value(*terms: float | bool) -> float:
    table = position_table(portfolio(*terms), discounted=False)  # type: ignore[arg-type]
    return float(table.price_P[0] * table.quantity_P[0])


@settings(max_examples=1000, deadline=None)
@given(
    st.floats(0.7, 1.4), st.floats(2, 400), st.floats(0.2, 1.5), st.booleans(),
    st.floats(0.1, 50).map(lambda size: round(size, 3)),
)  # fmt: skip
def test_greeks_are_the_slopes_of_the_value(moneyness: float, days: float, vol: float, call: bool, size: float) -> None:
    forward, strike = 1_000.0, 1_000.0 * moneyness
    context = MarginContext(portfolio(forward, strike, days, vol, call, size), load_methods()["derive-pmrm"])
    greeks = {name: float(values[0]) for name, values in position_greeks(context).items()}
    scale = size * 0.1
    up, now, down = (value(forward + h, strike, days, vol, call, size) for h in (0.5, 0.0, -0.5))
    assert pytest.approx((up - down) / 1.0, rel=1e-3, abs=1e-4 * scale) == greeks["delta"]
    assert pytest.approx((up - 2 * now + down) / 0.25, rel=2e-2, abs=1e-6 * scale) == greeks["gamma"]
    wider, tighter = (value(forward, strike, days, vol + h, call, size) for h in (1e-4, -1e-4))
    assert pytest.approx((wider - tighter) / 2e-4, rel=1e-3, abs=1e-3 * scale) == greeks["vega"]
    later, sooner = (value(forward, strike, days + h, vol, call, size) for h in (-0.01, 0.01))
    assert pytest.approx((later - sooner) / 0.02, rel=1e-3, abs=1e-5 * scale) == greeks["theta"]


def test_stated_delta_is_taken_as_it_is_and_inverse_contracts_have_delta_in_coins() -> None:
    market = StatedMarket("X", Decimal(50_000), perpetual_price=Decimal(50_000))
    stated = StatedPosition("a", PositionKind.PERPETUAL, "X", Decimal(3), delta=Decimal("0.25"))
    inverse = StatedPosition("b", PositionKind.PERPETUAL, "X", Decimal(100_000), inverse=True)
    account = StatedPortfolio("a", markets={"X": market}, positions=(stated, inverse))
    context = MarginContext(account, load_methods()["derive-pmrm"])
    delta = position_greeks(context)["delta"]
    assert [0.75, pytest.approx(100_000 / 50_000**2)] == delta.tolist()
    bumped = replace(market, perpetual_price=Decimal(50_001))
    price = position_table(replace(account, markets={"X": bumped}), discounted=False).price_P[1]
    assert pytest.approx(-100_000 / price + 2.0, rel=1e-4) == delta[1]
    assert np.isfinite(delta).all()
