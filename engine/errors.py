"""Errors of the engine.

EngineError
├── InvalidReference      reference data whose own relations do not hold; names the field
├── PriceUnavailable      a valuation needs a mark that is missing; names the feed
└── InvariantBroken       a bug or corrupted state: stop, do not continue
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of everything the engine raises on purpose; anything else is a bug in it."""


class InvalidReference(EngineError):
    """Reference data is inconsistent. ``field`` is the wire name of the value at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class PriceUnavailable(EngineError):
    """No mark for ``feed``, so a portfolio that depends on it cannot be valued."""

    def __init__(self, feed: str) -> None:
        super().__init__(f"no mark for feed {feed}")
        self.feed = feed


class InvariantBroken(EngineError):
    """State contradicts itself; the worker must stop rather than decide on it."""
