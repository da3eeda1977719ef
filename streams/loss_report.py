"""Losses divided over a waterfall, as a report; and the losses that the audit trail knows of.

Owns the way from a document or the trail to ``engine.waterfall`` and back to plain numbers. Refuses to move money: the
report says who bears what, the venue books it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

from engine.errors import InvalidReference
from engine.units import E8, PPM
from engine.waterfall.fund import EntryKind, FundEntry, InsuranceFund, book
from engine.waterfall.layers import Layer, LayerKind, Waterfall, spent
from engine.waterfall.resolution import Loss, Resolution, resolve
from schemas.codec import decode
from schemas.events.margin_events import MarginSnapshotV1, StatusChangedV1
from schemas.waterfall import WaterfallV1
from streams.audit.evidence import LAST_SNAPSHOTS, LAST_STATUS
from streams.audit.store import AuditStore
from streams.translate import to_e8

NUMERAIRE = "numeraire"


@dataclass(frozen=True, slots=True)
class LossCase:
    """A loss, and what the waterfall made of it."""

    loss: Loss
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class LossReport:
    """Cases in order, each meeting what those before it left; and the fund after all of them."""

    cases: tuple[LossCase, ...]
    fund: InsuranceFund

    def as_json(self) -> dict[str, object]:
        """Plain numbers, in the numeraire."""
        return {
            "cases": [_case_json(case) for case in self.cases],
            "fund_left": self.fund.balance_e8(NUMERAIRE) / E8,
            "unpaid": sum(case.resolution.unpaid_e8 for case in self.cases) / E8,
        }


def _case_json(case: LossCase) -> dict[str, object]:
    resolution = case.resolution
    return {
        "case": case.loss.case_id,
        "loss": case.loss.amount_e8 / E8,
        "layers": {name: part / E8 for name, part in resolution.allocation.parts_e8},
        "shares": {account: part / E8 for account, part in resolution.shares.parts_e8},
        "unpaid": resolution.unpaid_e8 / E8,
    }


def stated_losses(document: WaterfallV1) -> list[Loss]:
    """The losses that the document states."""
    return [Loss(each.case, NUMERAIRE, to_e8(each.amount, "losses.amount")) for each in document.losses]


def stated_profits(document: WaterfallV1) -> dict[str, int]:
    """The profits that the document states, by account."""
    return {account: to_e8(profit, f"profits.{account}") for account, profit in document.profits.items()}


def audited_losses(store: AuditStore) -> list[Loss]:
    """One for every account that was closed with negative equity and has not been touched since, in order of time.

    Equity is the figure of the status change, rounded up to 10^-8; raises ``AuditError``.
    """
    found = []
    for row in LAST_STATUS.run(store).rows:
        changed = decode("margin-events", row[-1])
        assert isinstance(changed, StatusChangedV1)
        if changed.after == "closed" and changed.figures.equity < 0.0:
            loss = Loss(changed.event_id, NUMERAIRE, ceil(-changed.figures.equity * E8))
            found.append((changed.versions.time_us, changed.account, loss))
    return [loss for *_, loss in sorted(found, key=lambda each: each[:2])]


def audited_profits(store: AuditStore) -> dict[str, int]:
    """Unrealized profits above zero of the newest snapshots, by account; raises ``AuditError``."""
    profits = {}
    for row in LAST_SNAPSHOTS.run(store).rows:
        snapshot = decode("margin-events", row[-1])
        assert isinstance(snapshot, MarginSnapshotV1)
        if snapshot.figures.unrealized_pnl > 0.0:
            profits[snapshot.account] = floor(snapshot.figures.unrealized_pnl * E8)
    return profits


def loss_report(document: WaterfallV1, losses: list[Loss], profits_e8: Mapping[str, int]) -> LossReport:
    """``losses`` one after the other over the layers of ``document``; raises ``InvalidReference``."""
    waterfall = Waterfall(tuple(_layer(document, number) for number in range(len(document.layers))))
    share_max_ppm = to_e8(document.share_max, "share_max") * PPM // E8
    fund, left = InsuranceFund(), dict(profits_e8)
    if held := to_e8(document.fund, "fund"):
        fund, _ = book(fund, FundEntry("opening", NUMERAIRE, EntryKind.TOP_UP, held))
    cases = []
    for loss in losses:
        resolution = resolve(loss, waterfall, fund, left, share_max_ppm)
        fund, waterfall = resolution.fund, _less(waterfall, resolution)
        for account, part in resolution.shares.parts_e8:
            left[account] -= part
        cases.append(LossCase(loss, resolution))
    return LossReport(tuple(cases), fund)


def _layer(document: WaterfallV1, number: int) -> Layer:
    stated = document.layers[number]
    kind = LayerKind(stated.kind)
    if kind is LayerKind.INSURANCE_FUND:
        if stated.capacity is not None:
            raise InvalidReference(f"layers[{number}].capacity", "is what the fund holds: state fund instead")
        return Layer(stated.name, kind, 0)
    return Layer(stated.name, kind, None if stated.capacity is None else to_e8(stated.capacity, "capacity"))


def _less(waterfall: Waterfall, resolution: Resolution) -> Waterfall:
    """What the next loss meets. The fund's layer has no capacity of its own: the ledger knows."""
    funded = {layer.name for layer in waterfall.layers if layer.kind is LayerKind.INSURANCE_FUND}
    after = spent(
        Waterfall(tuple(layer for layer in waterfall.layers if layer.name not in funded)), resolution.allocation
    )
    left = iter(after.layers)
    return Waterfall(tuple(layer if layer.name in funded else next(left) for layer in waterfall.layers))
