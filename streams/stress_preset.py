"""Presets of the stress command: every parameter of a run, in one TOML document.

Owns the shape of the document and the way from it to the engine's values. Refuses parameters it does not know.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from importlib import resources
from math import isfinite

import msgspec
import numpy as np

from engine.cascade.impact import ImpactLaw
from engine.cascade.policy import AdlRule, VenuePolicy
from engine.cascade.shock import Shock
from engine.cascade.simulation import Market
from engine.errors import InvalidReference
from engine.risk.depth import Depth

DEFAULT_PRESET = "october-2025"
UNBOUNDED = frozenset({"venue.target", "venue.participation", "venue.flow_per_s"})
"""Fields that may be infinite: no bound."""


class RunSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many accounts are drawn, for how long they are watched, and in what steps."""

    accounts: int
    seconds: int
    tick_s: float


class PopulationSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a drawn population looks like (``streams.stress_population``)."""

    open_interest: float
    alpha: float
    largest_to_smallest: float
    concentration: float
    leverage: tuple[float, ...]
    leverage_weight: tuple[float, ...]
    directional_long: float
    pairs: float
    coin_collateral: float
    basis: float
    makers: int
    maker_leverage: float
    offset: float


class UnderlyingSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One underlying: its share of open interest, maintenance rate, beta to the factor, and depth."""

    name: str
    share: float
    maintenance: float
    beta: float
    daily_volatility: float
    daily_volume: float
    half_spread: float
    impact: float

    def depth(self) -> Depth:
        """As the depth model has it."""
        return Depth(self.half_spread, self.daily_volatility, self.daily_volume, self.impact)


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole document."""

    about: str
    run: RunSection
    population: PopulationSection
    shock: Shock
    impact: ImpactLaw
    venue: VenuePolicy
    underlyings: tuple[UnderlyingSection, ...]

    def market(self) -> Market:
        """Depths, law of impact and betas, in the order of ``underlyings``."""
        beta_K = np.array([underlying.beta for underlying in self.underlyings])
        return Market(tuple(underlying.depth() for underlying in self.underlyings), self.impact, beta_K)


def preset_names() -> list[str]:
    """The presets that are shipped."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


@cache
def load_preset(name: str) -> Preset:
    """A shipped preset; ``name`` is one of ``preset_names``."""
    return parse_preset((_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def parse_preset(text: str) -> Preset:
    """The preset in ``text``; raises ``InvalidReference`` naming the field."""
    try:
        document = tomllib.loads(text)
        preset = msgspec.convert(document, Preset, strict=False)
    except tomllib.TOMLDecodeError as error:
        raise InvalidReference("preset", str(error)) from error
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidReference(path.rstrip("`").lstrip(".") or "preset", message) from error
    _check_finite(document)
    _check(preset)
    return preset


def _check_finite(value: object, path: str = "") -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            _check_finite(part, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            _check_finite(part, f"{path}[{number}]")
    elif isinstance(value, float) and not isfinite(value) and path not in UNBOUNDED:
        raise InvalidReference(path, "must be finite")


def _check(preset: Preset) -> None:
    population, underlyings = preset.population, preset.underlyings
    if not underlyings:
        raise InvalidReference("underlyings", "must not be empty")
    if len({underlying.name for underlying in underlyings}) != len(underlyings):
        raise InvalidReference("underlyings", "a name appears twice")
    for underlying in underlyings:
        if not underlying.share > 0.0 or not underlying.maintenance > 0.0:
            raise InvalidReference(f"underlyings.{underlying.name}", "share and maintenance must be above zero")
        underlying.depth()
    if len(population.leverage) != len(population.leverage_weight) or not population.leverage:
        raise InvalidReference("population.leverage_weight", "one weight for each leverage")
    if min(population.leverage) <= 0.0 or min(population.leverage_weight) < 0.0 or sum(population.leverage_weight) <= 0:
        raise InvalidReference("population.leverage", "leverages must be above zero, weights not below")
    for name in ("directional_long", "pairs", "coin_collateral", "basis", "offset"):
        if not 0.0 <= getattr(population, name) <= 1.0:
            raise InvalidReference(f"population.{name}", "must lie in 0..1")
    if population.pairs + population.coin_collateral + population.basis > 1.0:
        raise InvalidReference("population.basis", "pairs, coin_collateral and basis are shares of one whole")
    for name in ("open_interest", "alpha", "concentration", "maker_leverage", "makers"):
        if not getattr(population, name) > 0.0:
            raise InvalidReference(f"population.{name}", "must be above zero")
    if not population.largest_to_smallest > 1.0:
        raise InvalidReference("population.largest_to_smallest", "must be above 1")
    if preset.run.accounts <= 0 or preset.run.seconds <= 0 or not preset.run.tick_s > 0.0:
        raise InvalidReference("run", "accounts, seconds and tick_s must be above zero")


def with_venue(preset: Preset, **changes: float | bool | AdlRule) -> Preset:
    """The preset with some of its venue's parameters replaced; raises ``InvalidReference``."""
    return msgspec.structs.replace(preset, venue=replace(preset.venue, **changes))  # type: ignore[arg-type]


def with_shock(preset: Preset, size: float) -> Preset:
    """The preset with another size of shock."""
    return msgspec.structs.replace(preset, shock=replace(preset.shock, size=size))


def _folder() -> resources.abc.Traversable:
    return resources.files("schemas") / "stress"
