"""Parameters that a document states for one method only, so that one document can be asked under several.

Owns the reading of a table under a method's name: ``"parameters": {"span": {"price_scan_range": 14000}}``, of the
account, a market, a position or collateral. Refuses to know what a parameter means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from engine.methods.statement import ParameterMap, StatedPortfolio


def for_method(portfolio: StatedPortfolio, method: str, methods: Collection[str]) -> StatedPortfolio:
    """``portfolio`` with the tables under ``method`` merged into the parameters beside them (theirs win), and those
    under other names of ``methods`` left out."""

    def own(parameters: ParameterMap) -> ParameterMap:
        tables = {n: v for n, v in parameters.items() if n in methods and isinstance(v, Mapping)}
        if not tables:
            return parameters
        plain = {n: v for n, v in parameters.items() if n not in tables}
        return {**plain, **tables.get(method, {})}

    return replace(
        portfolio,
        parameters=own(portfolio.parameters),
        markets={name: replace(m, parameters=own(m.parameters)) for name, m in portfolio.markets.items()},
        positions=tuple(replace(p, parameters=own(p.parameters)) for p in portfolio.positions),
        collateral=tuple(replace(c, parameters=own(c.parameters)) for c in portfolio.collateral),
    )
