"""The engine's outputs to records.

Owns the wire form of every command and the ids of events that the engine does not name itself. Ids are pure functions
of what the event is about, so that a repeated delivery carries the same one. Figures must be finite: a NaN has no JSON
form, and a decision on one would be a bug.

Trail: before it ``engine.margin_engine`` (commands), after it ``streams.outbox``.
"""

from __future__ import annotations

from hashlib import blake2b
from math import isfinite
from typing import Literal

from engine.commands import (
    AccountFigures,
    AuctionOffer,
    Certificate,
    Command,
    CommandKind,
    ExecutionAnomaly,
    GapAtRisk,
    LiquidationCommand,
    LiquidationDecision,
    MarginSnapshot,
    PositionSettled,
    StatusChanged,
    TransferCredit,
    Versions,
    WithdrawalDecided,
)
from engine.errors import InvariantBroken
from engine.outcomes import MarginStatus
from schemas.codec import Record, key_of, topic_of
from schemas.events.collateral import CollateralV1
from schemas.events.gap_at_risk import GapAtRiskV1, GapLayerV1, JumpShortfallV1
from schemas.events.liquidations import AuctionOfferV1, LiquidationCommandV1, VersionsV1
from schemas.events.margin_events import (
    BindingScenarioV1,
    CertificateV1,
    ExecutionAnomalyV1,
    FiguresV1,
    LiquidationDecisionV1,
    MarginSnapshotV1,
    PositionSettledV1,
    Status,
    StatusChangedV1,
    WithdrawalDecidedV1,
)
from streams.translate.amounts import e8_text, ppm_text

_STATUSES: dict[MarginStatus, Status] = {
    MarginStatus.HEALTHY: "healthy",
    MarginStatus.WATCH: "watch",
    MarginStatus.MARGIN_CALL: "margin_call",
    MarginStatus.HELD: "held",
    MarginStatus.SUSPECT: "suspect",
    MarginStatus.CANCELLING: "cancelling",
    MarginStatus.LIQUIDATING: "liquidating",
    MarginStatus.COOLDOWN: "cooldown",
    MarginStatus.BACKSTOP: "backstop",
    MarginStatus.AUCTION: "auction",
    MarginStatus.DELEVERAGING: "deleveraging",
    MarginStatus.CLOSED: "closed",
}


def to_wire(command: Command, epoch: int = 0) -> tuple[str, bytes, Record]:
    """Topic, key and record of a command. ``epoch`` is the fencing number under which a worker owns the partition of
    its account; 0 where nobody owns anything, offline."""
    record = _record(command, epoch)
    return topic_of(record), key_of(record), record


def _record(command: Command, epoch: int) -> Record:
    match command:
        case LiquidationCommand():
            return _liquidation_command(command, epoch)
        case LiquidationDecision():
            return _liquidation_decision(command)
        case StatusChanged():
            return _status_changed(command)
        case WithdrawalDecided():
            return _withdrawal_decided(command)
        case TransferCredit():
            return _transfer_credit(command)
        case PositionSettled():
            return _position_settled(command)
        case ExecutionAnomaly():
            return _execution_anomaly(command)
        case MarginSnapshot():
            return _margin_snapshot(command)
        case GapAtRisk():
            return _gap_at_risk(command)


def _liquidation_command(command: LiquidationCommand, epoch: int) -> LiquidationCommandV1:
    side: Literal["buy", "sell"] = "buy" if command.quantity_e8 > 0 else "sell"
    is_leg = command.kind.is_leg
    return LiquidationCommandV1(
        v=1,
        command_id=command.command_id,
        decision_id=command.decision_id,
        account=command.account,
        kind=command.kind.value,
        epoch=epoch,
        sequence=command.sequence,
        account_version=command.account_version,
        liquidation_sequence=command.liquidation_sequence,
        round=command.round,
        leg=command.leg,
        reduce_only=command.kind is not CommandKind.HEDGE,
        reason=command.reason.value,
        expires_us=command.expires_us,
        versions=_versions(command.versions),
        instrument=command.instrument if is_leg else None,
        side=side if is_leg else None,
        quantity=e8_text(abs(command.quantity_e8)) if is_leg else None,
        limit_price=e8_text(command.limit_price_e8) if is_leg else None,
        supersedes=command.supersedes,
        auction=None if command.auction is None else _auction_offer(command.account, command.auction),
    )


def _auction_offer(account: str, offer: AuctionOffer) -> AuctionOfferV1:
    return AuctionOfferV1(
        mark_to_market=_finite(account, "mark_to_market", offer.mark_to_market),
        margin=_finite(account, "margin", offer.margin),
        buffer=ppm_text(offer.buffer_ppm),
        start=ppm_text(offer.schedule.start_ppm),
        fast_end=ppm_text(offer.schedule.fast_end_ppm),
        fast_us=offer.schedule.fast_us,
        slow_us=offer.schedule.slow_us,
    )


def _liquidation_decision(decision: LiquidationDecision) -> LiquidationDecisionV1:
    account, certificate = decision.account, decision.certificate
    return LiquidationDecisionV1(
        v=1,
        event_id=decision.decision_id,
        account=account,
        liquidation_sequence=decision.liquidation_sequence,
        round=decision.round,
        reason=decision.reason.value,
        explanation=decision.explanation,
        figures=_figures(account, decision.figures),
        equity_after=_finite(account, "equity_after", decision.equity_after),
        maintenance_margin_after=_finite(account, "maintenance_margin_after", decision.maintenance_margin_after),
        command_ids=decision.command_ids,
        book=decision.book,
        versions=_versions(decision.versions),
        certificate=None if certificate is None else _certificate(account, certificate),
    )


def _certificate(account: str, certificate: Certificate) -> CertificateV1:
    return CertificateV1(
        cost=_finite(account, "cost", certificate.cost),
        lower_bound=_finite(account, "lower_bound", certificate.lower_bound),
        gap=_finite(account, "gap", certificate.gap),
        target=_finite(account, "target", certificate.target),
        binding=tuple(
            BindingScenarioV1(
                underlying=bound.underlying, scenario=bound.scenario, weight=_finite(account, "weight", bound.weight)
            )
            for bound in certificate.binding
        ),
    )


def _execution_anomaly(anomaly: ExecutionAnomaly) -> ExecutionAnomalyV1:
    about = (anomaly.account, anomaly.command_id, anomaly.event_id, anomaly.anomaly.value)
    return ExecutionAnomalyV1(
        v=1,
        event_id=_event_id("execution_anomaly", *about),
        account=anomaly.account,
        command_id=anomaly.command_id,
        anomaly=anomaly.anomaly.value,
        versions=_versions(anomaly.versions),
        cause_id=anomaly.event_id or None,
    )


def _status_changed(change: StatusChanged) -> StatusChangedV1:
    return StatusChangedV1(
        v=1,
        event_id=_event_id("status_changed", change.account, change.change),
        account=change.account,
        change=change.change,
        before=_STATUSES[change.before],
        after=_STATUSES[change.after],
        figures=_figures(change.account, change.figures),
        versions=_versions(change.versions),
    )


def _withdrawal_decided(decision: WithdrawalDecided) -> WithdrawalDecidedV1:
    return WithdrawalDecidedV1(
        v=1,
        event_id=_event_id("withdrawal_decided", decision.account, decision.event_id),
        account=decision.account,
        request_id=decision.event_id,
        asset=decision.asset,
        amount=e8_text(decision.amount_e8),
        granted=decision.refusal is None,
        refusal=None if decision.refusal is None else decision.refusal.value,
        versions=_versions(decision.versions),
    )


def _transfer_credit(credit: TransferCredit) -> CollateralV1:
    return CollateralV1(
        v=1,
        event_id=credit.event_id,
        account=credit.account,
        kind="transfer_credit",
        asset=credit.asset,
        amount=e8_text(credit.amount_e8),
        event_time_us=credit.event_time_us,
        counterparty=credit.payer,
        transfer_sequence=credit.transfer_sequence,
    )


def _position_settled(settled: PositionSettled) -> PositionSettledV1:
    # The offsets are part of the id: a late fill of a settled instrument is settled again, at another offset.
    versions = settled.versions
    return PositionSettledV1(
        v=1,
        event_id=_event_id(
            "position_settled", settled.account, settled.instrument, settled.settlement_version, _offsets(versions)
        ),
        account=settled.account,
        instrument=settled.instrument,
        quantity=e8_text(settled.quantity_e8),
        price=e8_text(settled.price_e8),
        cash=e8_text(settled.cash_e8),
        settlement_version=settled.settlement_version,
        versions=_versions(versions),
    )


def _margin_snapshot(snapshot: MarginSnapshot) -> MarginSnapshotV1:
    versions = snapshot.versions
    greeks = {
        underlying: {name: _finite(snapshot.account, name, value) for name, value in values.items()}
        for underlying, values in snapshot.greeks.items()
    }
    return MarginSnapshotV1(
        v=1,
        event_id=_event_id("margin_snapshot", snapshot.account, versions.mark_version, _offsets(versions)),
        account=snapshot.account,
        status=_STATUSES[snapshot.status],
        figures=_figures(snapshot.account, snapshot.figures),
        greeks=greeks,
        versions=_versions(versions),
    )


def _gap_at_risk(gap: GapAtRisk) -> GapAtRiskV1:
    owner = f"partition {gap.shard}"
    jumps = tuple(
        JumpShortfallV1(
            jump=each.jump,
            total=_finite(owner, each.jump, each.total),
            accounts=each.accounts,
            largest=tuple(_finite(owner, each.jump, value) for value in each.largest),
        )
        for each in gap.jumps
    )
    return GapAtRiskV1(
        v=1,
        event_id=_event_id("gap_at_risk", gap.shard, gap.versions.mark_version, gap.versions.time_us),
        partition=gap.shard,
        accounts=gap.accounts,
        unpriced=gap.unpriced,
        jumps=jumps,
        layers=tuple(GapLayerV1(name=layer.name, capacity=e8_text(layer.capacity_e8)) for layer in gap.layers),
        versions=_versions(gap.versions),
    )


def to_versions(record: VersionsV1) -> Versions:
    """What a published decision was taken on, as the engine takes it when the decision is repeated."""
    return Versions(
        mark_version=record.mark_version,
        reference_version=record.reference_version,
        settlement_version=record.settlement_version,
        parameters_version=record.parameters_version,
        time_us=record.time_us,
        offsets=record.offsets,
        control_version=record.control_version,
    )


def _versions(versions: Versions) -> VersionsV1:
    return VersionsV1(
        mark_version=versions.mark_version,
        reference_version=versions.reference_version,
        settlement_version=versions.settlement_version,
        parameters_version=versions.parameters_version,
        time_us=versions.time_us,
        offsets=dict(versions.offsets),
        control_version=versions.control_version,
    )


def _figures(account: str, figures: AccountFigures) -> FiguresV1:
    def finite(name: str) -> float:
        return _finite(account, name, getattr(figures, name))

    return FiguresV1(
        equity=finite("equity"),
        collateral_value=finite("collateral_value"),
        unrealized_pnl=finite("unrealized_pnl"),
        option_value=finite("option_value"),
        initial_margin=finite("initial_margin"),
        maintenance_margin=finite("maintenance_margin"),
        isolated_initial_margin=finite("isolated_initial_margin"),
        isolated_maintenance_margin=finite("isolated_maintenance_margin"),
        worst_scenarios=dict(figures.worst_scenarios),
        add_ons={name: _finite(account, name, value) for name, value in figures.add_ons.items()},
    )


def _finite(account: str, name: str, value: float) -> float:
    if not isfinite(value):
        raise InvariantBroken(f"{name} of {account} is {value}")
    return float(value)


def _offsets(versions: Versions) -> str:
    return ",".join(f"{topic}={offset}" for topic, offset in sorted(versions.offsets.items()))


def _event_id(*parts: object) -> str:
    # NUL separates: it cannot occur in an identifier, so two different lists of parts never join to the same text.
    return blake2b("\0".join(str(part) for part in parts).encode(), digest_size=16).hexdigest()
