"""The explanation adds up to the figure it explains."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings

from engine.errors import PriceUnavailable
from engine.portfolio import Portfolio
from engine.risk.attribution import contributions, scenario_pnl
from engine.risk.margin import margin_figures
from engine.risk.scenarios import scenario_names
from tests.engine.risk.worlds import MARKET, PARAMETERS, PORTFOLIOS, portfolio, without_mark


@given(holding=PORTFOLIOS)
@settings(deadline=None)
def test_worst_scenarios_are_the_minima_of_scenario_pnl(holding: Portfolio) -> None:
    (figures,) = margin_figures((holding,), MARKET, PARAMETERS)
    assert figures is not None
    pnl = scenario_pnl(holding, MARKET, PARAMETERS)
    assert pnl.keys() == figures.worst_scenarios.keys()
    loss = 0.0
    for underlying in sorted(pnl):
        names = scenario_names(PARAMETERS, underlying)
        assert len(names) == pnl[underlying].size
        assert figures.worst_scenarios[underlying] == names[int(pnl[underlying].argmin())]
        assert 0.0 == pnl[underlying][names.index("price 0% vol unchanged")]
        loss += -min(float(pnl[underlying].min()), 0.0)
    assert figures.initial_margin == loss + figures.add_ons["short_option_minimum_initial"]


@given(holding=PORTFOLIOS)
@settings(deadline=None)
def test_contributions_add_up_to_the_binding_scenario(holding: Portfolio) -> None:
    (figures,) = margin_figures((holding,), MARKET, PARAMETERS)
    assert figures is not None
    pnl = scenario_pnl(holding, MARKET, PARAMETERS)
    parts = contributions(holding, MARKET, PARAMETERS)
    total: dict[str, float] = defaultdict(float)
    isolated = 0.0
    for part in parts:
        assert figures.worst_scenarios[part.underlying] == part.scenario
        total[part.underlying] += part.pnl
        isolated += part.isolated_initial_margin
    moving = {name for name in holding.balances if name in ("BTC", "ETH") and holding.balances[name]}
    assert sorted([*holding.positions, *moving]) == sorted(part.holding for part in parts)
    assert {name: float(row.min()) for name, row in pnl.items()} == dict(total)
    assert isolated == pytest.approx(figures.isolated_initial_margin, rel=1e-12, abs=1e-9)


def test_hedge_contributes_a_gain() -> None:
    perpetual, put = sorted(
        contributions(portfolio({"BTC-PERP": 1.0, "BTC-45D-50000-P": 1.0}), MARKET, PARAMETERS),
        key=lambda part: part.pnl,
    )
    assert ("BTC-PERP", "BTC-45D-50000-P") == (perpetual.holding, put.holding)
    assert perpetual.pnl < 0.0 < put.pnl
    assert 50_020.5 - 7.0 == perpetual.value  # marked, less the funding it owes
    assert put.isolated_initial_margin <= put.value


def test_empty_portfolio_has_nothing_to_explain() -> None:
    assert {} == scenario_pnl(portfolio(), MARKET, PARAMETERS)
    assert () == contributions(portfolio(), MARKET, PARAMETERS)


def test_missing_mark_is_named() -> None:
    for explain in (scenario_pnl, contributions):
        with pytest.raises(PriceUnavailable, match="ETH-PERP"):
            explain(portfolio({"ETH-PERP": 1.0}), without_mark("ETH-PERP"), PARAMETERS)
