"""Every published case of leverage margin (dYdX v4-chain 84d4664b), compared as rational numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import cast

import pytest

from engine.rules.close_out import (
    LeverageHoldings,
    bankruptcy_quote,
    block_limits,
    fillable_price,
    insurance_fund_delta,
    is_liquidatable,
)
from engine.rules.funding import funding_clamp, funding_settlement
from engine.rules.leverage import (
    LeverageMarket,
    Risk,
    compare_risk,
    effective_initial_fraction,
    initial_margin,
    maintenance_fraction,
    net_notional,
    position_margin,
    risk_flags,
    transition,
)
from engine.rules.leverage_account import LeveragePosition, leverage_account
from engine.rules.refusals import RuleRefusal
from tests.engine.rules.published import Case, build, cases, expected, inputs, kind, number, numbers

MARKET_FIELDS = {
    "price": "price",
    "im_fraction": "initial_fraction",
    "maintenance_of_im": "maintenance_share",
    "open_interest": "open_interest",
    "oi_lower_cap": "lower_cap",
    "oi_upper_cap": "upper_cap",
    "funding_index": "funding_index",
}
Result = dict[str, object]


def market(document: object) -> LeverageMarket:
    fields = cast(dict[str, object], document)
    return build(LeverageMarket, {MARKET_FIELDS[key]: value for key, value in fields.items()})


def position(document: object) -> LeveragePosition:
    fields = dict(cast(dict[str, object], document))
    return LeveragePosition(cast(str, fields.pop("market")), **numbers(fields))


def markets(given: dict[str, object]) -> dict[str, LeverageMarket]:
    return {name: market(item) for name, item in cast(dict[str, object], given["markets"]).items()}


def positions(given: dict[str, object], key: str = "positions") -> list[LeveragePosition]:
    return [position(item) for item in cast(list[object], given.get(key, []))]


def risk(document: object) -> Risk:
    return Risk(**numbers(cast(dict[str, object], document)))


def holdings(given: dict[str, object]) -> LeverageHoldings:
    return LeverageHoldings(number(given.pop("cash")), positions(given), markets(given))


def account_margin(given: dict[str, object]) -> Result:
    cash_update = number(given.get("cash_update", 0))
    account = leverage_account(
        number(given["cash"]), positions(given), markets(given), cash_update, positions(given, "updates")
    )
    return {
        "net_collateral": account.net_collateral,
        "initial_margin": account.initial_margin,
        "maintenance_margin": account.maintenance_margin,
    }


def closing(rule: Callable[..., Fraction], given: dict[str, object]) -> Fraction:
    held = holdings(given)
    name = cast(str, given["market"])
    rest = {key: value for key, value in given.items() if key not in ("positions", "markets", "market")}
    return rule(held, name, **{key: value if isinstance(value, bool) else number(value) for key, value in rest.items()})


def position_requirement(given: dict[str, object]) -> Result:
    margin = position_margin(number(given["size"]), market(given["market"]))
    return {"initial_margin": margin.initial_margin, "maintenance_margin": margin.maintenance_margin}


def limits(given: dict[str, object]) -> Result:
    least, most = block_limits(**numbers(given))
    return {"min_notional": least, "max_notional": most}


RULES: dict[str, Callable[[dict[str, object]], Result]] = {
    "maintenance_fraction": lambda i: {"maintenance_fraction": maintenance_fraction(**numbers(i))},
    "funding_clamp": lambda i: {"clamp": funding_clamp(**numbers(i))},
    "initial_margin": lambda i: {"initial_margin": initial_margin(**numbers(i))},
    "im_fraction": lambda i: {"im_fraction": effective_initial_fraction(**numbers(i))},
    "funding_settlement": lambda i: {"settlement": funding_settlement(**numbers(i))},
    "net_notional": lambda i: {"net_notional": net_notional(**numbers(i))},
    "position_margin": position_requirement,
    "risk_flags": lambda i: {**risk_flags(**numbers(i))},
    "compare_risk": lambda i: {"order": compare_risk(risk(i["first"]), risk(i["second"]))},
    "transition": lambda i: {"allowed": transition(risk(i["before"]), risk(i["after"])).allowed},
    "account_margin": account_margin,
    "liquidatable": lambda i: {"liquidatable": is_liquidatable(holdings(i))},
    "bankruptcy_price": lambda i: {"quote_amount": closing(bankruptcy_quote, i)},
    "fillable_price": lambda i: {"price": closing(fillable_price, i)},
    "insurance_delta": lambda i: {"insurance_fund_delta": closing(insurance_fund_delta, i)},
    "block_limits": limits,
}


@pytest.mark.parametrize("case", cases("05a_dydx.json"))
def test_published_case(case: Case) -> None:
    rule, wanted = RULES[kind(case)], expected(case)
    if "error" in wanted:
        with pytest.raises(RuleRefusal) as refusal:
            rule(inputs(case))
        assert refusal.value.code == wanted["error"]
        return
    result = rule(inputs(case))
    for name, value in wanted.items():
        assert result[name] == (value if isinstance(value, (bool, int)) else number(value)), name
