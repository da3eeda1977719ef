"""The order in which a loss is borne: named layers, each with what it can take.

Owns the exact split of a loss over layers. Refuses to know where a capacity comes from and how a layer spreads its part
inside itself (``backstop``, ``deleverage``, ``allocation``). A waterfall is a value: spending returns a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.errors import InvalidReference


class LayerKind(StrEnum):
    """Who bears a layer. The last two are borne by customers who did nothing wrong: no guarantee may count them."""

    OWN_EQUITY = "own_equity"
    INSURANCE_FUND = "insurance_fund"
    VENUE_CAPITAL = "venue_capital"
    BACKSTOP = "backstop"
    DELEVERAGING = "deleveraging"
    LOSS_ALLOCATION = "loss_allocation"


MUTUALIZED = frozenset({LayerKind.DELEVERAGING, LayerKind.LOSS_ALLOCATION})


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. ``capacity_e8`` None: whatever reaches it."""

    name: str
    kind: LayerKind
    capacity_e8: int | None

    def __post_init__(self) -> None:
        if self.capacity_e8 is not None and self.capacity_e8 < 0:
            raise InvalidReference("capacity", f"{self.name} has {self.capacity_e8}")


@dataclass(frozen=True, slots=True)
class Allocation:
    """What each layer bears, in the order of the waterfall, and what none could: together exactly the loss."""

    loss_e8: int
    parts_e8: tuple[tuple[str, int], ...]
    remaining_e8: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Layers, first to bear first. An unlimited layer must be the last."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len({layer.name for layer in self.layers}) != len(self.layers):
            raise InvalidReference("layers", "a name appears twice")
        if any(layer.capacity_e8 is None for layer in self.layers[:-1]):
            raise InvalidReference("layers", "nothing reaches a layer behind one without a limit")

    def guaranteed_e8(self) -> int:
        """What stands between a loss and innocent customers: layers that are neither mutualized nor without limit.

        The account's own equity is not counted, because shortfalls are measured after it.
        """
        excluded = MUTUALIZED | {LayerKind.OWN_EQUITY}
        return sum(layer.capacity_e8 or 0 for layer in self.layers if layer.kind not in excluded)


def allocate(waterfall: Waterfall, loss_e8: int) -> Allocation:
    """``loss_e8`` (at least zero) over the layers, each filled before the next."""
    if loss_e8 < 0:
        raise InvalidReference("loss", f"{loss_e8} is below zero")
    rest, parts = loss_e8, []
    for layer in waterfall.layers:
        part = rest if layer.capacity_e8 is None else min(rest, layer.capacity_e8)
        parts.append((layer.name, part))
        rest -= part
    return Allocation(loss_e8, tuple(parts), rest)


def spent(waterfall: Waterfall, allocation: Allocation) -> Waterfall:
    """The waterfall that the next loss meets."""
    used = dict(allocation.parts_e8)
    return Waterfall(tuple(_less(layer, used.get(layer.name, 0)) for layer in waterfall.layers))


def with_capacities(waterfall: Waterfall, capacities_e8: Mapping[str, int]) -> Waterfall:
    """The same order with today's capacities; unknown names are refused."""
    unknown = set(capacities_e8) - {layer.name for layer in waterfall.layers}
    if unknown:
        raise InvalidReference("capacities", f"no layer is named {', '.join(sorted(unknown))}")
    return Waterfall(
        tuple(
            replace(layer, capacity_e8=capacities_e8.get(layer.name, layer.capacity_e8)) for layer in waterfall.layers
        )
    )


def allocate_each(waterfall: Waterfall, losses_e8: Sequence[int]) -> tuple[Waterfall, tuple[Allocation, ...]]:
    """Losses one after the other, each meeting what the earlier ones left."""
    allocations = []
    for loss in losses_e8:
        allocation = allocate(waterfall, loss)
        allocations.append(allocation)
        waterfall = spent(waterfall, allocation)
    return waterfall, tuple(allocations)


def _less(layer: Layer, used: int) -> Layer:
    if layer.capacity_e8 is None:
        return layer
    return replace(layer, capacity_e8=layer.capacity_e8 - used)
