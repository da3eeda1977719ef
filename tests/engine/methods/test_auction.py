"""A published sequence of liquidation bids on scenario margin, carried from bid to bid."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from engine.methods.requirement import pool_margin
from engine.rules.auction import (
    AuctionFigures,
    AuctionTerms,
    apply_bid,
    buffer_margin,
    cash_after,
    discount_at,
    largest_share,
    start_fee,
)
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import cases, encoded, load, needs_vectors, pmrm_document

DATA = load("01d_derive_liquidation_sims.json")


def figures(market: Mapping[str, Any], held: Mapping[str, Any], reserved: float) -> AuctionFigures:
    """The holdings ``held`` valued at ``market``."""
    portfolio = copy.deepcopy(dict(market))
    portfolio["cash"] = held["cash"]
    portfolio["base_position"] = held["base"]
    portfolio["perp"]["position"] = held["perp"]
    for expiry, amounts in zip(portfolio["expiries"], held["options"], strict=True):
        for option, amount in zip(expiry["options"], amounts, strict=True):
            option["amount"] = amount
    document = pmrm_document(portfolio, DATA["margin_parameters"], DATA["scenarios"])
    result = pool_margin(read_statement(decode_stated_portfolio(encoded(document))), load_methods()["derive-pmrm"])
    return AuctionFigures(result.equity, result.margin_excess_maintenance, reserved)


def scaled(held: Mapping[str, Any], kept: float, cash: float) -> dict[str, Any]:
    return {
        "cash": cash, "base": held["base"] * kept, "perp": held["perp"] * kept,
        "options": [[amount * kept for amount in amounts] for amounts in held["options"]],
    }  # fmt: skip


@needs_vectors
@pytest.mark.parametrize("vector", cases("01d_derive_liquidation_sims.json"))
def test_bids_take_and_pay_the_published_amounts(vector: Mapping[str, Any]) -> None:
    def close(value: object) -> Any:
        return pytest.approx(float(str(value)), rel=1e-9, abs=1e-9)

    terms = AuctionTerms(**{name: float(value) for name, value in DATA["auction_parameters"].items()})
    start, expected = vector["portfolio_at_start"], vector["expected"]
    held: dict[str, Any] = {
        "cash": float(start["cash"]), "base": float(start["base_position"]), "perp": float(start["perp"]["position"]),
        "options": [[float(o["amount"]) for o in e["options"]] for e in start["expiries"]],
    }  # fmt: skip
    fee = start_fee(figures(start, held, 0.0), terms)
    assert close(expected["liquidation_fee"]) == fee
    held["cash"] -= fee
    reserved = 0.0
    for bid, wanted in zip(vector["bids"], expected["bids"], strict=True):
        seconds = float(bid["seconds_after_start"])
        before = figures(bid["market"], held, reserved)
        assert close(wanted["pre_mark_to_market"]) == before.mark_to_market
        assert close(wanted["pre_maintenance_margin"]) == before.maintenance_margin
        assert close(wanted["pre_buffer_margin"]) == buffer_margin(before, terms.buffer)
        assert close(wanted["pre_max_fraction"]) == largest_share(before, discount_at(terms, seconds), terms.buffer)
        settled = apply_bid(before, float(bid["fraction_wanted"]), seconds, terms)
        assert close(wanted["bid_price"]) == settled.payment
        assert close(wanted["fraction_liquidated"]) == settled.share
        held = scaled(held, settled.kept, cash_after(held["cash"], before, settled))
        reserved = settled.figures.reserved
        after = figures(bid["market"], held, reserved)
        assert close(wanted["post_mark_to_market"]) == after.mark_to_market
        assert close(wanted["post_maintenance_margin"]) == after.maintenance_margin
        assert close(wanted["post_buffer_margin"]) == buffer_margin(after, terms.buffer)
        assert close(wanted["post_max_fraction"]) == largest_share(after, discount_at(terms, seconds), terms.buffer)
