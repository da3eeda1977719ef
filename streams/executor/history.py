"""The market as of a mark version: terms, and the recent marks of every feed.

Owns what the simulated venue believes prices to be, so that an execution repeated after a crash sees the same ones.
Refuses trading. Its clock is the newest mark.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from engine.events import CollateralAssetListed, InstrumentListed, MarkPrice
from engine.market import Market
from engine.pricing.valuation import contract_table, mark_of, unit_value
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from schemas.codec import Record
from schemas.events.prices import MarkV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, RiskParametersV1
from streams.translate import to_mark, to_reference_event

MARKS_REMEMBERED = 2048
"""Marks kept per feed, to find the one that was newest at the version a command names."""
_ONE = np.ones((1, 1))


def fair_price(instrument: Instrument, market: Market) -> float | None:
    """Price of ``instrument`` in its own quote at the marks of ``market``: the mark, or the model value of an option.

    None without all the marks it needs.
    """
    if not instrument.kind.is_option:
        return mark_of(market, instrument.mark_feed)
    table = contract_table((instrument.instrument_id,), market)
    if not table.priced_I[0]:
        return None
    value = float(unit_value(table, _ONE, _ONE)[0, 0])
    return value / (float(table.multiplier_I[0]) * float(table.settlement_price_I[0]))


@dataclass(slots=True)
class MarketHistory:
    """Terms, and the recent marks of every feed. Versions are offsets, -1 before the first record."""

    instruments: dict[str, Instrument] = field(default_factory=dict)
    assets: dict[str, CollateralAsset] = field(default_factory=dict)
    version: int = -1
    reference_version: int = -1
    time_us: int = 0
    _marks: dict[str, deque[MarkPrice]] = field(default_factory=dict)

    def learn(self, record: Record, offset: int) -> None:
        """Take a record of ``marks`` or ``reference``; anything else is not of interest here."""
        if isinstance(record, MarkV1):
            mark = to_mark(record, offset)
            self._marks.setdefault(mark.feed, deque(maxlen=MARKS_REMEMBERED)).append(mark)
            self.version = offset
            self.time_us = max(self.time_us, mark.mark_time_us)
        elif isinstance(record, (InstrumentV1, CollateralAssetV1, RiskParametersV1)):
            self.reference_version = max(self.reference_version, offset)
            if isinstance(record, RiskParametersV1):
                return
            event = to_reference_event(record, offset)
            if isinstance(event, InstrumentListed):
                self.instruments[event.instrument.instrument_id] = event.instrument
            elif isinstance(event, CollateralAssetListed):
                self.assets[event.asset.asset_id] = event.asset

    def as_of(self, version: int, time_us: int) -> Market:
        """The market with the newest mark of each feed up to ``version``, or the oldest one remembered."""
        marks = {
            feed: next((mark for mark in reversed(history) if mark.version <= version), history[0])
            for feed, history in self._marks.items()
        }
        return Market(self.instruments, self.assets, marks, time_us)
