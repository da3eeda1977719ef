"""What the instruments of the demonstration are worth at a minute: the prices at which its accounts trade.

Owns the way from a minute of prices to the engine's own view of a market. Refuses formulas: they are the engine's.
"""

from __future__ import annotations

from decimal import Decimal

from engine.events import CollateralAssetListed, InstrumentListed, MarkPrice
from engine.market import Market
from engine.pricing.greeks import unit_greeks
from engine.pricing.valuation import contract_table
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.units import E8
from streams.demo.prices import FEEDS, INDEX, Minute
from streams.demo.venue import reference_records
from streams.executor.history import fair_price
from streams.translate import to_e8, to_reference_event
from streams.translate.events import to_volatility


class FairPrices:
    """Fair prices and deltas, minute by minute."""

    def __init__(self) -> None:
        self._instruments: dict[str, Instrument] = {}
        self._assets: dict[str, CollateralAsset] = {}
        for record in reference_records(snapshot_minutes=60):
            event = to_reference_event(record, 0)
            if isinstance(event, InstrumentListed):
                self._instruments[event.instrument.instrument_id] = event.instrument
            elif isinstance(event, CollateralAssetListed):
                self._assets[event.asset.asset_id] = event.asset
        self._newest = Market(self._instruments, self._assets, {}, 0)

    def trade_price(self, name: str, minute: Minute, is_buy: bool, half_spread_ppm: int) -> Decimal:
        """What a taker pays or gets: the fair price and half a spread, on the tick, at least one tick."""
        instrument = self._instruments[name]
        fair = fair_price(instrument, self._market(minute))
        assert fair is not None, f"{name} has no price"
        spread_ppm = half_spread_ppm if is_buy else -half_spread_ppm
        ticks = round(fair * (1 + spread_ppm / 1_000_000) * E8 / instrument.tick_e8)
        return Decimal(max(1, ticks) * instrument.tick_e8) / E8

    def delta(self, name: str, minute: Minute) -> float:
        """Bitcoin exposure of one contract."""
        if self._instruments[name].base_asset is not None:
            return 1.0
        return float(unit_greeks(contract_table((name,), self._market(minute))).delta[0])

    def _market(self, minute: Minute) -> Market:
        """The market at ``minute``; the last one asked for is kept, because orders come in time order."""
        if self._newest.time_us != minute.time_us:
            self._newest = self._make_market(minute)
        return self._newest

    def _make_market(self, minute: Minute) -> Market:
        marks = {
            feed: MarkPrice(
                version=0,
                feed=feed,
                price_e8=to_e8(str(minute.price[feed]), "price"),
                confidence_e8=0,
                volatility=to_volatility(minute.surface) if feed == INDEX else (),
                funding_index_linear_e12=0,
                funding_index_inverse_e12=0,
                mark_time_us=minute.time_us,
            )
            for feed in FEEDS
        }
        return Market(self._instruments, self._assets, marks, minute.time_us)
