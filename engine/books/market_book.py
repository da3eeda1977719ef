"""The market book: everything broadcast to all workers, and its versions.

Owns which marks, terms, parameters, final prices and holds are in force, engine time (that of the newest mark), and the
checks of broadcast events. Refuses accounts. ``view`` gives valuation an immutable picture of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from engine.books.control_book import ControlBook
from engine.commands import Versions
from engine.controls import Controls
from engine.events import (
    CollateralAssetListed,
    ControlMode,
    ControlScope,
    ControlSet,
    InstrumentListed,
    MarkPrice,
    ParametersSet,
    Settlement,
)
from engine.market import Market
from engine.outcomes import APPLIED, DUPLICATE, Outcome, Rejection, rejected
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument
from engine.reference.parameters import RiskParameters
from engine.units import fits_int64

NO_VERSION = -1


class MarketBook:
    """Newest terms, marks and parameters. The mappings are read-only to everyone else."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.assets: dict[str, CollateralAsset] = {}
        self.marks: dict[str, MarkPrice] = {}
        self.settlements: dict[str, Settlement] = {}
        self.parameters: RiskParameters | None = None
        self.time_us = 0
        self.mark_version = NO_VERSION
        self.reference_version = NO_VERSION
        self.settlement_version = NO_VERSION
        self._controls = ControlBook()
        self._asset_versions: dict[str, int] = {}
        self._parameter_sets: dict[int, RiskParameters] = {}
        self._view: Market | None = None

    def versions(self, offsets: Mapping[str, int]) -> Versions:
        """What a decision taken now is taken on, for an account whose row stands at ``offsets``."""
        return Versions(
            mark_version=self.mark_version,
            reference_version=self.reference_version,
            settlement_version=self.settlement_version,
            parameters_version=0 if self.parameters is None else self.parameters.version,
            time_us=self.time_us,
            offsets=dict(sorted(offsets.items())),
            control_version=self._controls.version,
        )

    def view(self) -> Market:
        """The market as it stands: the same object until something changes, and never changed itself."""
        if self._view is None:
            terms = (dict(self.instruments), dict(self.assets), dict(self.marks))
            self._view = Market(*terms, self.time_us, self.controls())
        return self._view

    def set_mark(self, mark: MarkPrice) -> Outcome:
        """Take a mark unless its feed has this one or a newer one. Time is the newest mark's and never goes back."""
        held = self.marks.get(mark.feed)
        if held is not None and mark.version <= held.version:
            return DUPLICATE
        self.mark_version = max(self.mark_version, mark.version)
        for field, amount in (
            ("price", mark.price_e8),
            ("funding_index_linear", mark.funding_index_linear_e12),
            ("funding_index_inverse", mark.funding_index_inverse_e12),
        ):
            if not fits_int64(amount):
                return rejected(Rejection.AMOUNT_OUT_OF_RANGE, field)
        if mark.price_e8 <= 0:
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "price", "must be positive")
        self.marks[mark.feed] = mark
        self.time_us = max(self.time_us, mark.mark_time_us)
        self._put_parameters_in_force()
        self._view = None
        return APPLIED

    def list_instrument(self, listed: InstrumentListed) -> Outcome:
        """List an instrument once; its terms never change, or every position in it would change its value."""
        self.reference_version = max(self.reference_version, listed.version)
        instrument = listed.instrument
        held = self.instruments.get(instrument.instrument_id)
        if held == instrument:
            return DUPLICATE
        if held is not None:
            changed = next(f.name for f in fields(held) if getattr(held, f.name) != getattr(instrument, f.name))
            return rejected(Rejection.INSTRUMENT_CHANGED, "instrument", f"{changed} differs")
        for amount in (instrument.multiplier_e8, instrument.tick_e8, instrument.lot_e8, instrument.strike_e8 or 0):
            if not fits_int64(amount):
                return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "instrument")
        self.instruments[instrument.instrument_id] = instrument
        self._view = None
        return APPLIED

    def list_asset(self, listed: CollateralAssetListed) -> Outcome:
        """List a collateral asset, or change its terms from now on."""
        self.reference_version = max(self.reference_version, listed.version)
        asset = listed.asset
        if listed.version <= self._asset_versions.get(asset.asset_id, NO_VERSION):
            return DUPLICATE
        self._asset_versions[asset.asset_id] = listed.version
        if self.assets.get(asset.asset_id) == asset:
            return DUPLICATE
        self.assets[asset.asset_id] = asset
        self._view = None
        return APPLIED

    def set_parameters(self, event: ParametersSet) -> Outcome:
        """Learn a parameter set; versions only rise. It waits until engine time reaches its effective time.

        A set that drops an underlying, one that the newest known set covers and a listed instrument or asset names,
        is refused: it would leave every holder without figures. What neither set covers is no fault of the new one:
        instruments may be listed before or after the parameters that cover them, and their holders are not priced
        until then. Only the reference topic decides, in its own order, so every worker decides alike.
        """
        self.reference_version = max(self.reference_version, event.version)
        parameters = event.parameters
        if self._parameter_sets.get(parameters.version) == parameters:
            return DUPLICATE
        dropped = self._dropped_underlyings(parameters)
        if dropped:
            return rejected(Rejection.PARAMETERS_INVALID, "underlyings", f"still listed: {', '.join(dropped)}")
        newest = max(self._parameter_sets, default=0)
        if parameters.version <= newest:
            return rejected(Rejection.VERSION_NOT_NEWER, "version", f"{newest} is known already")
        self._parameter_sets[parameters.version] = parameters
        self._put_parameters_in_force()
        return APPLIED

    def settlement_fault(self, event: Settlement) -> Outcome | None:
        """DUPLICATE, or why the settlement cannot be applied, in order of precedence, or None."""
        self.settlement_version = max(self.settlement_version, event.version)
        instrument = self.instruments.get(event.instrument)
        if instrument is None:
            return rejected(Rejection.UNKNOWN_INSTRUMENT, "instrument", event.instrument)
        if event.price_e8 < 0 or not fits_int64(event.price_e8):
            return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "price")
        settled = self.settlements.get(event.instrument)
        if settled is not None and settled.price_e8 == event.price_e8:
            return DUPLICATE
        if settled is not None:
            return rejected(Rejection.SETTLEMENT_CHANGED, "price", f"settled at {settled.price_e8} x 10^-8")
        if instrument.expiry_us is None:
            return rejected(Rejection.SETTLEMENT_BEFORE_EXPIRY, "instrument", "never expires")
        if event.event_time_us < instrument.expiry_us:
            return rejected(Rejection.SETTLEMENT_BEFORE_EXPIRY, "event_time_us", f"expires at {instrument.expiry_us}")
        return None

    def set_control(self, event: ControlSet) -> Outcome:
        """Take a hold or the end of one. Two that hold are reported all the same, lest somebody relies on them: one
        that has expired already, and one on an instrument that is not listed (yet)."""
        outcome = self._controls.set(event)
        if outcome != APPLIED:
            return outcome
        self._view = None
        if event.mode is not ControlMode.RUN and event.until_us < self.time_us:
            return rejected(Rejection.HOLD_EXPIRED, "until_us", f"it is {self.time_us}; holds nothing")
        if event.scope is ControlScope.INSTRUMENT and event.target not in self.instruments:
            return rejected(Rejection.UNKNOWN_INSTRUMENT, "target", f"{event.target}; holds should it be listed")
        return APPLIED

    def controls(self) -> Controls:
        """The holds in force: the same object until they change."""
        return self._controls.in_force(self.time_us)

    def final_price(self, instrument: str) -> int | None:
        """The final price of a settled instrument."""
        settled = self.settlements.get(instrument)
        return None if settled is None else settled.price_e8

    def settle(self, event: Settlement) -> None:
        """Fix the final price of a settlement without fault."""
        self.settlements[event.instrument] = event

    def age_us(self, feed: str) -> int | None:
        """How far engine time is past the mark of ``feed``; None without one."""
        mark = self.marks.get(feed)
        return None if mark is None else self.time_us - mark.mark_time_us

    def _dropped_underlyings(self, parameters: RiskParameters) -> list[str]:
        """Listed underlyings, sorted, that the newest known set covers and ``parameters`` does not."""
        if not self._parameter_sets:
            return []
        covered = self._parameter_sets[max(self._parameter_sets)].underlyings.keys()
        listed = {instrument.underlying for instrument in self.instruments.values()}
        listed |= {asset.underlying for asset in self.assets.values() if asset.underlying is not None}
        return sorted(listed & covered - parameters.underlyings.keys())

    def _put_parameters_in_force(self) -> None:
        """The newest version whose effective time has come."""
        effective = [version for version, known in self._parameter_sets.items() if known.effective_us <= self.time_us]
        if effective:
            self.parameters = self._parameter_sets[max(effective)]
