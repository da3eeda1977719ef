"""crossmargin's engine: numpy in, numpy out; no Kafka, no clock, no I/O.

Theory of operation. ``MarginEngine.step(batch)`` applies a batch of events to exact integer books, recomputes in one
vectorized pass the figures of the accounts that the batch could have moved, walks the margin status table, plans
liquidations for those in breach, and returns commands. Time and prices are events; the engine asks nobody for
anything, so the same log gives the same bytes.

``margin_requirement(portfolio, method)`` is the calculator beside it: a stated portfolio under any margin method.

Axis key for numeric kernels, one capital per axis at the end of an array's name:
A accounts, P positions, I instruments, U underlyings, S scenarios, C collateral entries, N volatility nodes.
"""

from __future__ import annotations

from engine.margin_engine import MarginEngine
from engine.methods.method import MarginMethod, parse_method
from engine.methods.requirement import MarginResult
from engine.methods.requirement import pool_margin as margin_requirement
from engine.methods.statement import StatedCollateral, StatedExpiry, StatedMarket, StatedOrder, StatedPosition
from engine.methods.statement import StatedPortfolio as Portfolio

if not __debug__:
    raise ImportError("engine relies on its assertions: do not run Python with -O")

__all__ = [
    "MarginEngine",
    "MarginMethod",
    "MarginResult",
    "Portfolio",
    "StatedCollateral",
    "StatedExpiry",
    "StatedMarket",
    "StatedOrder",
    "StatedPosition",
    "margin_requirement",
    "parse_method",
]
