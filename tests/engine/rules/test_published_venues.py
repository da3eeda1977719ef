"""Published venue examples of collateral tiers, liquidation prices and shared losses, within their tolerance."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Literal, cast

import pytest

from engine.rules.liquidation_price import Side, cross_inverse, isolated_inverse, isolated_linear
from engine.rules.open_orders import open_size_margin, otm_amount
from engine.rules.shortfall import socialized_loss
from engine.rules.tiers import CollateralAsset, Tiers, collateral_value, collateral_value_by_tiers, value_to_repay
from tests.engine.rules.published import Case, cases, close, expected, inputs, kind, number, numbers

Result = dict[str, Fraction]


def by_tiers(given: dict[str, object]) -> Result:
    tiers = cast(Tiers, given["tiers"])
    unit = cast(Literal["value", "amount"], given["tiers_in"])
    return {"value": collateral_value_by_tiers(number(given["amount"]), number(given["price"]), tiers, unit)}


def flat(given: dict[str, object]) -> Result:
    assets = []
    for item in cast(list[dict[str, object]], given["assets"]):
        fields = numbers({key: value for key, value in item.items() if key != "asset"})
        assets.append(CollateralAsset(**fields))
    return {"total": collateral_value(assets)}


def open_size(given: dict[str, object]) -> Result:
    margin = open_size_margin(**numbers(given))
    return {
        "buy_open_size": margin.buy_open_size,
        "sell_open_size": margin.sell_open_size,
        "initial_margin": margin.initial_margin,
    }


def shared_loss(given: dict[str, object]) -> Result:
    balances = [number(item) for item in cast(list[object], given.pop("settlement_balances"))]
    fields = numbers(given)
    loss = socialized_loss(fields["insurance_fund"], fields["total_balance"], balances, fields["withdrawal"])
    return {"shortfall": loss.shortfall, "factor": loss.factor, "charge": loss.charge, "received": loss.received}


def moneyness(given: dict[str, object]) -> Result:
    return {"otm": otm_amount(bool(given["is_call"]), number(given["underlying"]), number(given["strike"]))}


def sided(rule: Callable[..., Fraction | None]) -> Callable[[dict[str, object]], Result]:
    def run(given: dict[str, object]) -> Result:
        side = cast(Side, given.pop("side"))
        price = rule(side, **numbers(given))
        assert price is not None
        return {"liquidation_price": price}

    return run


RULES: dict[str, Callable[[dict[str, object]], Result]] = {
    "open_size_margin": open_size,
    "socialized_loss": shared_loss,
    "collateral_tiers": by_tiers,
    "collateral_flat": flat,
    "repay_discount": lambda i: {"needed_value": value_to_repay(**numbers(i))},
    "isolated_linear": sided(isolated_linear),
    "isolated_inverse": sided(isolated_inverse),
    "cross_inverse": sided(cross_inverse),
    "otm_amount": moneyness,
}


@pytest.mark.parametrize("case", cases("04_exchange_pm_and_collateral.json", set(RULES)))
def test_published_case(case: Case) -> None:
    result = RULES[kind(case)](inputs(case))
    for name, value in expected(case).items():
        assert close(result[name], value, float(number(case["tolerance"]))), (name, result[name], value)
