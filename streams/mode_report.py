"""Reports of an account's margin modes, ready for JSON.

Owns their shape. Refuses to compute what the engine computes (``engine.methods.modes``).
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.methods.method import MarginMethod
from engine.methods.modes import AccountMargin, ModeMargin, compare_modes
from engine.methods.statement import StatedPortfolio


def totals(margin: AccountMargin) -> dict[str, float]:
    """An account's figures over all its pools, numeraire."""
    return _figures(margin.total)


def _figures(margin: ModeMargin) -> dict[str, float]:
    return {
        "equity": margin.equity,
        "initial_margin": margin.initial_margin,
        "maintenance_margin": margin.maintenance_margin,
        "margin_excess_initial": margin.margin_excess_initial,
        "margin_excess_maintenance": margin.margin_excess_maintenance,
    }


def modes_report(portfolio: StatedPortfolio, method: MarginMethod) -> dict[str, object]:
    """The account as one pool, as every position alone, and as stated; ``freed``: alone less cross."""
    modes = compare_modes(portfolio, method)
    return {
        "cross": _figures(modes.cross),
        "isolated": _figures(modes.alone),
        "stated": _figures(modes.stated),
        "freed": {"initial": modes.freed_initial, "maintenance": modes.freed_maintenance},
        "positions": {
            name: {"initial_margin": initial, "maintenance_margin": maintenance}
            for name, (initial, maintenance) in modes.by_position.items()
        },
    }


def pools_report(margin: AccountMargin) -> Mapping[str, Mapping[str, float]]:
    """Every pool of an account by name."""
    return {name: totals(AccountMargin(pool, {})) for name, pool in margin.pools.items()}
