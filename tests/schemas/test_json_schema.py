"""The published JSON Schemas agree with the codec on every example, as far as form goes."""

from __future__ import annotations

from functools import cache

import orjson
import pytest
from jsonschema import Draft202012Validator

from schemas.json_schema import json_schema, schema_names
from tests.schemas.examples import ROOT, Example, load

FORM_REASONS = {"wrong_type", "missing_field", "unknown_field", "bad_format", "out_of_range", "unsupported_version"}

BEYOND_FORM = {
    "fills-quantity_ends_in_newline",  # "$" ends the text in ECMA 262; Python's re lets a line end follow it
    "fills-account_with_newline",
    "fills-repeated_field_last_counts",
    "collateral-transfer_without_counterparty",  # which fields a kind needs
    "collateral-transfer_to_itself",
    "collateral-transfer_with_sequence",
    "collateral-deposit_with_counterparty",
    "collateral-credit_without_sequence",
    "liquidation-control-run_by_one",
    "liquidation-control-run_by_the_same_twice",
    "liquidation-control-run_with_an_end",
    "liquidation-control-hold_without_end",
    "liquidation-control-hold_that_has_ended",
    "liquidation-control-hold_longer_than_a_day",
    "liquidation-control-account_without_target",
    "liquidation-control-global_with_target",
    "liquidations-auction_without_offer",
    "liquidations-leg_without_quantity",
    "liquidations-not_reduce_only",
    "liquidations-release_with_instrument",
    "prices-surface_volatility_is_absurd",  # range of a decimal string
    "prices-surface_moneyness_is_absurd",
}
"""Examples whose fault no JSON Schema, or not this validator, can see."""


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json_schema(name))


def plain(given_example: Example) -> object:
    if isinstance(given_example.plain, str):
        assert given_example.value is not None
        return orjson.loads(given_example.value)
    return given_example.plain


def structurally_broken() -> list[Example]:
    broken = []
    for item in load("invalid"):
        if item.reason in FORM_REASONS and str(item) not in BEYOND_FORM:
            try:
                plain(item)
            except orjson.JSONDecodeError:
                continue
            broken.append(item)
    return broken


@pytest.mark.parametrize("name", schema_names())
def test_schema_is_a_valid_schema_without_python_patterns(name: str) -> None:
    schema = json_schema(name)
    Draft202012Validator.check_schema(schema)
    assert rb"\\Z" not in orjson.dumps(schema)


@pytest.mark.parametrize("given_example", load("valid"), ids=str)
def test_valid_example_satisfies_the_schema_of_its_topic(given_example: Example) -> None:
    assert [] == list(validator(given_example.topic).iter_errors(given_example.plain))


@pytest.mark.parametrize("given_example", structurally_broken(), ids=str)
def test_structurally_broken_example_does_not(given_example: Example) -> None:
    assert not validator(given_example.topic).is_valid(plain(given_example))


def test_most_broken_examples_are_structural() -> None:
    assert len(structurally_broken()) >= 80


def test_exceptions_name_examples_that_exist() -> None:
    assert set() == BEYOND_FORM - {str(item) for item in load("invalid")}


def test_worked_portfolio_document_satisfies_its_schema() -> None:
    document = orjson.loads((ROOT / "documents" / "portfolio.json").read_bytes())
    assert [] == list(validator("portfolio").iter_errors(document))


def test_union_members_have_schemas_of_their_own() -> None:
    assert {"StatusChangedV1", "InstrumentV1", "MarginEventV1", "fills", "FillV1", "portfolio"} <= set(schema_names())


def test_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        json_schema("trades")
