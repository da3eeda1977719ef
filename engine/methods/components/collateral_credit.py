"""Collateral at its credit: marginal tiers, a rate, or haircuts, with debts in full.

Owns what a collateral entry counts for and the equity that follows. Refuses weights that depend on size (``weighted``).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.scenario_losses import mark_value
from engine.methods.components.venue_charges import decimal_text, tier_rows
from engine.methods.context import Charge, Component, MarginContext
from engine.methods.statement import ParameterMap, StatedCollateral
from engine.rules.rounding import ONE, ZERO
from engine.rules.tiers import collateral_value_by_tiers


def adjusted_equity(context: MarginContext, options: ParameterMap) -> Charge:
    """Equity with collateral at its credit, []: cash, options, PnL at mark and of every collateral entry

        tiers            credit by marginal tiers, rows (upper bound, rate), in ``tiers_in`` = "value" or "amount"
        collateral_rate  min(value, value x rate)
        neither          value x (1 - haircut), maintenance haircut, and both haircuts for the initial requirement

    A debt counts in full. Sources: OKX discount tiers; Binance, adjusted equity of uniMMR; Bybit value ratios."""
    base = float(mark_value(context, {}).maintenance)
    value = sum((Fraction(entry.amount) * Fraction(entry.price) for entry in context.portfolio.collateral), ZERO)
    initial, maintenance, credits = collateral_credit(context)
    stable = Fraction(context.portfolio.stable_price)
    return Charge(
        np.asarray(base + float((initial - value) / stable)),
        np.asarray(base + float((maintenance - value) / stable)),
        {"collateral_credit": credits},
    )


def collateral_credit(context: MarginContext) -> tuple[Fraction, Fraction, dict[str, str]]:
    """Credit in the numeraire of all entries for the initial and the maintenance requirement, and the latter of each
    entry as decimal text; raises ``InvalidReference`` naming the entry."""
    initial = maintenance = ZERO
    credits: dict[str, str] = {}
    for i, entry in enumerate(context.portfolio.collateral):
        own = _credit(context, entry, i)
        value = Fraction(entry.amount) * Fraction(entry.price)
        first, later = _after_haircuts(entry, value) if own is None else (own, own)
        credits[entry.asset] = decimal_text(later)
        initial += first
        maintenance += later
    return initial, maintenance, credits


def _after_haircuts(entry: StatedCollateral, value: Fraction) -> tuple[Fraction, Fraction]:
    """Credit for the initial and for the maintenance requirement."""
    both = min(Fraction(entry.maintenance_haircut) + Fraction(entry.initial_haircut), ONE)
    return min(value, value * (ONE - both)), min(value, value * (ONE - Fraction(entry.maintenance_haircut)))


def _credit(context: MarginContext, entry: StatedCollateral, index: int) -> Fraction | None:
    parameters = context.collateral_parameters(entry)
    try:
        if parameters.has("tiers"):
            tiers_in = parameters.text("tiers_in", "value")
            if tiers_in not in ("value", "amount"):
                raise InvalidReference("parameters.tiers_in", "must be value or amount")
            return collateral_value_by_tiers(
                entry.amount, entry.price, tier_rows(parameters, "tiers"), "amount" if tiers_in == "amount" else "value"
            )
        if parameters.has("collateral_rate"):
            value = Fraction(entry.amount) * Fraction(entry.price)
            return min(value, value * Fraction(parameters.exact("collateral_rate")))
    except InvalidReference as error:
        raise InvalidReference(f"collateral[{index}].{error.field}", error.detail) from error
    return None


COMPONENTS: Mapping[str, Component] = {"adjusted_equity": adjusted_equity}
