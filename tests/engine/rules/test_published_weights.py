"""Every published case of weighted margin (Drift protocol-v2 0ae3e3b1), within the tolerance it states."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import cast

import pytest

from engine.rules.refusals import RuleRefusal
from engine.rules.shortfall import (
    base_to_cover,
    escalating_fee,
    liability_to_cover,
    perp_insurance_fee,
    socialized_funding,
    spot_insurance_fee,
)
from engine.rules.weighted_account import net_usd_value, terms_for, weighted_account
from engine.rules.weighted_holdings import PerpHolding, SpotHolding, WeightedTerms, perp_item
from engine.rules.weights import (
    HighLeverage,
    MarginType,
    asset_weight,
    liability_weight,
    margin_ratio,
    scaled_asset_weight,
    unrealized_pnl_weight,
)
from tests.engine.rules.published import Case, build, cases, close, expected, inputs, kind, number, numbers

Result = dict[str, Fraction]


def high_leverage(document: object) -> HighLeverage:
    fields = numbers(cast(dict[str, object], document))
    return HighLeverage(fields["initial"], fields["maintenance"])


def spot(document: object) -> SpotHolding:
    fields = dict(cast(dict[str, object], document))
    name, risky = cast(str, fields.pop("asset")), bool(fields.pop("risky", False))
    orders = cast(int, fields.pop("open_orders", 0))
    return build(SpotHolding, fields, asset=name, risky=risky, open_orders=orders)


def perp(document: object) -> PerpHolding:
    fields = dict(cast(dict[str, object], document))
    name = cast(str, fields.pop("market", "market"))
    mode = fields.pop("high_leverage", None)
    prediction, orders = bool(fields.pop("prediction", False)), cast(int, fields.pop("open_orders", 0))
    leverage = None if mode is None else high_leverage(mode)
    return build(PerpHolding, fields, market=name, high_leverage=leverage, prediction=prediction, open_orders=orders)


def holdings(given: dict[str, object]) -> tuple[list[SpotHolding], list[PerpHolding]]:
    assets = [spot(item) for item in cast(list[object], given.pop("spot", []))]
    return assets, [perp(item) for item in cast(list[object], given.pop("perps", []))]


def ratio(given: dict[str, object]) -> Result:
    mode = given.pop("high_leverage", None)
    margin_type = cast(MarginType, given.pop("type"))
    leverage = None if mode is None else high_leverage(mode)
    return {"ratio": build(margin_ratio, given, margin_type=margin_type, high_leverage=leverage)}


def perp_margin(given: dict[str, object]) -> Result:
    margin_type = cast(MarginType, given.pop("type"))
    item = perp_item(perp(given), WeightedTerms(margin_type))
    return {"margin_requirement": item.margin_requirement, "counted_pnl": item.collateral}


def account(given: dict[str, object]) -> Result:
    assets, perps = holdings(given)
    margin_type, strict = cast(MarginType, given.pop("type")), bool(given.pop("strict", False))
    terms = terms_for(assets, build(WeightedTerms, given, margin_type=margin_type, strict=strict))
    result = weighted_account(assets, perps, terms)
    return {"margin_requirement": result.margin_requirement, "total_collateral": result.total_collateral}


def typed(rule: Callable[..., Fraction]) -> Callable[[dict[str, object]], Result]:
    def run(given: dict[str, object]) -> Result:
        margin_type = cast(MarginType, given.pop("type"))
        return {"weight": build(rule, given, margin_type=margin_type)}

    return run


RULES: dict[str, Callable[[dict[str, object]], Result]] = {
    "asset_weight": typed(asset_weight),
    "liability_weight": typed(liability_weight),
    "scaled_asset_weight": lambda i: {"weight": build(scaled_asset_weight, i)},
    "unrealized_pnl_weight": lambda i: {"weight": build(unrealized_pnl_weight, i)},
    "margin_ratio": ratio,
    "perp_margin": perp_margin,
    "account": account,
    "net_usd_value": lambda i: {"value": net_usd_value(*holdings(i))},
    "base_to_cover": lambda i: {"base": build(base_to_cover, i)},
    "liability_to_cover": lambda i: {"liability": build(liability_to_cover, i)},
    "socialized_funding": lambda i: {"delta_per_base": build(socialized_funding, i)},
    "perp_insurance_fee": lambda i: {"fee": build(perp_insurance_fee, i)},
    "spot_insurance_fee": lambda i: {"fee": build(spot_insurance_fee, i)},
    "escalating_fee": lambda i: {"fee": build(escalating_fee, i)},
}


@pytest.mark.parametrize("case", cases("05b_drift.json"))
def test_published_case(case: Case) -> None:
    rule, wanted = RULES[kind(case)], expected(case)
    if "error" in wanted:
        with pytest.raises(RuleRefusal) as refusal:
            rule(inputs(case))
        assert refusal.value.code == wanted["error"]
        return
    result = rule(inputs(case))
    for name, value in wanted.items():
        assert close(result[name], value, float(number(case["tolerance"]))), (name, result[name], value)
