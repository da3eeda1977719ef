"""Scenario portfolio margin of both generations against published portfolios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.methods.requirement import MarginResult, pool_margin
from schemas.stated_portfolio import decode_stated_portfolio
from streams.margin_methods import load_methods, read_statement
from tests.engine.methods.published import cases, encoded, load, needs_vectors, pmrm_document

SECOND, FIRST = load("01a_derive_pmrm2.json"), load("01b_derive_pmrm_v1.json")


def result_of(document: Mapping[str, Any], method: str) -> MarginResult:
    return pool_margin(read_statement(decode_stated_portfolio(encoded(document))), load_methods()[method])


def second(vector: Mapping[str, Any]) -> MarginResult:
    portfolio = SECOND["portfolios"][vector["portfolio"]]
    parameters = SECOND["parameter_sets"][vector["parameters"]]
    return result_of(pmrm_document(portfolio, parameters, SECOND["scenario_sets"][vector["scenarios"]]), "derive-pmrm2")


def close(expected: object) -> Any:
    return pytest.approx(float(str(expected)), rel=1e-9, abs=1e-9)


@needs_vectors
@pytest.mark.parametrize("vector", cases("01a_derive_pmrm2.json"))
def test_second_generation_margin_is_the_published_one(vector: Mapping[str, Any]) -> None:
    result, expected = second(vector), vector["expected"]
    assert close(expected["mark_to_market"]) == result.equity
    assert close(expected["initial_margin"]) == result.margin_excess_initial
    assert close(expected["maintenance_margin"]) == result.margin_excess_maintenance


@needs_vectors
@pytest.mark.parametrize("vector", cases("01a_derive_pmrm2.json"))
def test_second_generation_scenarios_are_the_published_ones(vector: Mapping[str, Any]) -> None:
    loss = second(vector).charges["loss"]
    assert loss.scenario_pnl_US is not None
    expected = [*vector["expected"]["scenario_pnl"], vector["expected"]["basis_contingency"]]
    assert [close(pnl) for pnl in expected] == loss.scenario_pnl_US[0].tolist()


@needs_vectors
@pytest.mark.parametrize("vector", cases("01b_derive_pmrm_v1.json"))
def test_first_generation_margin_is_the_published_one(vector: Mapping[str, Any]) -> None:
    parameters = FIRST["parameter_sets"][vector["parameters"]]
    result = result_of(pmrm_document(vector["portfolio"], parameters, FIRST["scenarios"]), "derive-pmrm")
    expected = vector["expected"]
    if "truncate" in vector["comparison"]:
        assert int(expected["initial_margin"]) == int(round(result.margin_excess_initial, 9))
        assert int(expected["maintenance_margin"]) == int(round(result.margin_excess_maintenance, 9))
    else:
        assert close(expected["initial_margin"]) == result.margin_excess_initial
        assert close(expected["maintenance_margin"]) == result.margin_excess_maintenance
