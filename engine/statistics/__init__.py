"""Statistical risk: measures of samples, scenarios from history, and tests of whether margin was enough.

Arrays in, numbers and arrays out; neither portfolios nor prices. Axes as in ``engine``, and T periods (oldest first),
F factors. Profit and loss has gains positive; measures of risk have losses positive.
"""

from __future__ import annotations

from engine.statistics.components import component_expected_shortfall, component_value_at_risk
from engine.statistics.coverage import (
    CoverageReport,
    conditional_coverage,
    coverage_report,
    exceedances,
    independence,
    kupiec,
    rolling_coverage,
    rolling_requirement,
    too_many_p_value,
    traffic_light,
)
from engine.statistics.filtered import HorizonRule, decay_of_half_life, ewma_volatility, filtered_moves
from engine.statistics.procyclicality import Procyclicality, procyclicality_measures
from engine.statistics.quantile_risk import (
    EXPECTED_SHORTFALL,
    VALUE_AT_RISK,
    age_weighted_es,
    age_weighted_var,
    es_fractional,
    quantile_linear,
    var_linear,
    var_order,
    weighted_expected_shortfall,
    weighted_value_at_risk,
)
from engine.statistics.scenario_sets import JointMoves, floored_shortfall, historical_scenarios
from engine.statistics.shortfall_rows import (
    account_pnl,
    account_shortfalls,
    expected_shortfall_rows,
    value_at_risk_rows,
)

__all__ = [
    "EXPECTED_SHORTFALL",
    "VALUE_AT_RISK",
    "CoverageReport",
    "HorizonRule",
    "JointMoves",
    "Procyclicality",
    "account_pnl",
    "account_shortfalls",
    "age_weighted_es",
    "age_weighted_var",
    "component_expected_shortfall",
    "component_value_at_risk",
    "conditional_coverage",
    "coverage_report",
    "decay_of_half_life",
    "es_fractional",
    "ewma_volatility",
    "exceedances",
    "expected_shortfall_rows",
    "filtered_moves",
    "floored_shortfall",
    "historical_scenarios",
    "independence",
    "kupiec",
    "procyclicality_measures",
    "quantile_linear",
    "rolling_coverage",
    "rolling_requirement",
    "too_many_p_value",
    "traffic_light",
    "value_at_risk_rows",
    "var_linear",
    "var_order",
    "weighted_expected_shortfall",
    "weighted_value_at_risk",
]
