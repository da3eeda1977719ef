"""One bankrupt book through the waterfall: which layer bears how much, takes which lots, and what is booked for it.

Owns the composition of ``layers``, ``fund`` and ``allocation`` for one loss, repeatable: the same case resolved again
gives the same answer and moves nothing twice. Refuses to know how the loss came about: at takeover prices
(``bankruptcy``) it is what the takers of the book lose against mark, which is what its owner owes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import InvalidReference
from engine.units import PPM
from engine.waterfall.allocation import LossShares, share_loss
from engine.waterfall.apportionment import in_proportion
from engine.waterfall.fund import EntryKind, FundEntry, InsuranceFund, book, entry_id
from engine.waterfall.layers import Allocation, LayerKind, Waterfall, allocate, with_capacities


@dataclass(frozen=True, slots=True)
class Loss:
    """What one case costs beyond the account's own equity, in e8 of ``asset``; ``case_id`` names it for good."""

    case_id: str
    asset: str
    amount_e8: int

    def __post_init__(self) -> None:
        if self.amount_e8 <= 0:
            raise InvalidReference("loss", f"{self.amount_e8} in {self.case_id} is no loss")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The fund afterwards, the split over layers, and the shares of those who bear the layer of loss allocation.

    ``unpaid_e8``: what no layer and no share could bear; the layers' parts, less what of loss allocation could not be
    shared, and ``unpaid_e8`` are exactly the loss.
    """

    fund: InsuranceFund
    allocation: Allocation
    shares: LossShares
    unpaid_e8: int


def resolve(
    loss: Loss,
    waterfall: Waterfall,
    fund: InsuranceFund,
    profits_e8: Mapping[str, int],
    max_share_ppm: int = PPM,
) -> Resolution:
    """Split ``loss`` over ``waterfall``, pay the fund's part out of ``fund``, share what reaches loss allocation.

    The layer of the insurance fund has the capacity that the fund pays now (of a case resolved before: what it paid
    then). Shares are in proportion to ``profits_e8`` and at most ``max_share_ppm`` of each.
    """
    names = {layer.name: layer.kind for layer in waterfall.layers}
    funded = [name for name, kind in names.items() if kind is LayerKind.INSURANCE_FUND]
    if len(funded) > 1:
        raise InvalidReference("layers", "one ledger cannot stand behind two layers")
    capacity = 0
    asked = dict(allocate(with_capacities(waterfall, dict.fromkeys(funded, loss.amount_e8)), loss.amount_e8).parts_e8)
    if funded and asked[funded[0]]:
        key = entry_id(loss.case_id, EntryKind.SHORTFALL, loss.asset)
        fund, done = book(fund, FundEntry(key, loss.asset, EntryKind.SHORTFALL, asked[funded[0]]))
        capacity = -done.moved_e8
    allocation = allocate(with_capacities(waterfall, dict.fromkeys(funded, capacity)), loss.amount_e8)
    parts = dict(allocation.parts_e8)
    shared = sum(part for name, part in parts.items() if names[name] is LayerKind.LOSS_ALLOCATION)
    shares = share_loss(shared, profits_e8, max_share_ppm)
    return Resolution(fund, allocation, shares, allocation.remaining_e8 + shares.remaining_e8)


def lots_by_layer(allocation: Allocation, lots: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Signed lots of each leg that each layer takes: the slice of the book that its part of the loss is.

    Sums to the book when the layers bear all of the loss; what remains of the loss leaves its slice out.
    """
    weights = [part for _, part in allocation.parts_e8]
    columns = []
    for held in lots:
        split = in_proportion(abs(held), [*weights, allocation.remaining_e8])
        columns.append([part if held > 0 else -part for part in split])
    return {name: tuple(column[at] for column in columns) for at, (name, _) in enumerate(allocation.parts_e8)}
