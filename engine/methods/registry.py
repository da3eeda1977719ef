"""The registry of components: every primitive that a method's file may name, by kind.

Owns the list. Each family module exports ``COMPONENTS``; a kind is defined once.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.methods.components import (
    collateral_credit,
    contract_charges,
    correlation,
    delta_charges,
    expiry_losses,
    groups,
    history,
    leverage,
    liquidity,
    offsets,
    option_rules,
    scenario_losses,
    span,
    span_spreads,
    venue_charges,
    weighted,
)
from engine.methods.context import Component

_FAMILIES: tuple[Mapping[str, Component], ...] = (
    scenario_losses.COMPONENTS,
    expiry_losses.COMPONENTS,
    contract_charges.COMPONENTS,
    history.COMPONENTS,
    liquidity.COMPONENTS,
    correlation.COMPONENTS,
    delta_charges.COMPONENTS,
    venue_charges.COMPONENTS,
    offsets.COMPONENTS,
    leverage.COMPONENTS,
    weighted.COMPONENTS,
    collateral_credit.COMPONENTS,
    option_rules.COMPONENTS,
    span.COMPONENTS,
    span_spreads.COMPONENTS,
    groups.COMPONENTS,
)

COMPONENTS: Mapping[str, Component] = {kind: component for family in _FAMILIES for kind, component in family.items()}
"""Component by kind."""

assert len(COMPONENTS) == sum(len(family) for family in _FAMILIES), "a kind is defined twice"
