"""Records to the engine's inputs.

Owns the meaning of each wire field in the engine's terms. Hot path: ``to_fill``. Refuses form, which the codec has
checked, and state, which the engine checks.

Trail: before it ``schemas.codec`` (record), after it ``engine.margin_engine`` (step).
"""

from __future__ import annotations

import struct
from hashlib import blake2b

from engine.errors import InvalidReference
from engine.events import (
    AccountEvent,
    AckState,
    BroadcastEvent,
    CollateralAssetListed,
    CollateralEvent,
    CollateralKind,
    ControlMode,
    ControlScope,
    ControlSet,
    Fill,
    InstrumentListed,
    LiquidationAck,
    MarkPrice,
    ParametersSet,
    ReferenceEvent,
    Settlement,
    Source,
    VolatilityNode,
)
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.gap_policy import STANDARD_JUMPS, GapLayer, GapPolicy, Jump
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.liquidation_policy import AuctionSchedule, LiquidationPolicy
from engine.reference.parameters import RiskParameters, TailScenario, UnderlyingParameters
from engine.reference.trust_policy import TrustPolicy
from engine.siphash import siphash
from schemas.codec import Record, encode
from schemas.errors import Reason, SchemaError
from schemas.events.collateral import CollateralV1
from schemas.events.control import LiquidationControlV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1
from schemas.events.prices import MarkV1, VolatilityNodeV1
from schemas.events.reference import (
    CollateralAssetV1,
    GapPolicyV1,
    InstrumentV1,
    JumpV1,
    LiquidationPolicyV1,
    ReferenceV1,
    RiskParametersV1,
    TrustPolicyV1,
    UnderlyingParametersV1,
)
from schemas.events.settlements import SettlementV1
from streams.translate.amounts import to_e8, to_e12, to_ppm

TENOR_DAYS_MAX = 36_500.0
LOG_MONEYNESS_MAX = 20.0
VOLATILITY_MAX = 100.0
"""Bounds of a volatility node, far beyond any quoted surface, inside which option values stay finite numbers."""

_KINDS = {kind.value: kind for kind in CollateralKind}
_ACK_STATES = {state.value: state for state in AckState}
_CONTROL_SCOPES = {scope.value: scope for scope in ControlScope}
_CONTROL_MODES = {mode.value: mode for mode in ControlMode}


def to_account_event(record: Record, source: Source) -> AccountEvent:
    """The event in a record of an account-keyed input topic."""
    if type(record) is FillV1:
        return to_fill(record, source)
    if isinstance(record, CollateralV1):
        return to_collateral(record, source)
    assert isinstance(record, LiquidationAckV1), f"{type(record).__name__} is not an account event"
    return to_ack(record, source)


def to_broadcast_event(record: Record, offset: int) -> BroadcastEvent:
    """The event in a record of a topic that every worker reads; ``offset`` is its version."""
    if isinstance(record, MarkV1):
        return to_mark(record, offset)
    if isinstance(record, SettlementV1):
        return to_settlement(record, offset)
    if isinstance(record, LiquidationControlV1):
        return to_control(record, offset)
    assert isinstance(record, (InstrumentV1, CollateralAssetV1, RiskParametersV1)), f"{type(record).__name__}"
    return to_reference_event(record, offset)


def to_fill(record: FillV1, source: Source) -> Fill:
    """A fill with signed quantity."""
    magnitude_e8 = to_e8(record.quantity, "quantity")
    quantity_e8 = magnitude_e8 if record.side == "buy" else -magnitude_e8
    price_e8, fee_e8 = to_e8(record.price, "price"), to_e8(record.fee, "fee")
    command_id = record.command_id or ""
    return Fill(
        source=source,
        event_id=record.event_id,
        body_digest=fill_digest(record.instrument, command_id, quantity_e8, price_e8, fee_e8, record.trade_time_us),
        account=record.account,
        instrument=record.instrument,
        quantity_e8=quantity_e8,
        price_e8=price_e8,
        fee_e8=fee_e8,
        trade_time_us=record.trade_time_us,
        command_id=command_id,
    )


def fill_digest(
    instrument: str, command_id: str, quantity_e8: int, price_e8: int, fee_e8: int, trade_time_us: int
) -> bytes:
    """What tells a repeat of a fill from another one under its id, 8 bytes: a digest of what the fill means, so that
    its spelling counts for nothing."""
    texts = f"{instrument}\0{command_id}\0".encode()
    return siphash(texts + struct.pack("<qqqq", quantity_e8, price_e8, fee_e8, trade_time_us))


def to_collateral(record: CollateralV1, source: Source) -> CollateralEvent:
    """A movement of a balance."""
    return CollateralEvent(
        source=source,
        event_id=record.event_id,
        body_digest=_digest(record),
        account=record.account,
        kind=_KINDS[record.kind],
        asset=record.asset,
        amount_e8=to_e8(record.amount, "amount"),
        event_time_us=record.event_time_us,
        counterparty=record.counterparty or "",
        transfer_sequence=record.transfer_sequence or 0,
    )


def to_ack(record: LiquidationAckV1, source: Source) -> LiquidationAck:
    """An executor's answer."""
    return LiquidationAck(
        source=source,
        event_id=record.event_id,
        body_digest=_digest(record),
        account=record.account,
        command_id=record.command_id,
        state=_ACK_STATES[record.state],
        filled_e8=to_e8(record.filled_quantity, "filled_quantity"),
        event_time_us=record.event_time_us,
        reason=record.reason or "",
    )


def to_mark(record: MarkV1, offset: int) -> MarkPrice:
    """A guarded price; ``offset`` is the price version."""
    return MarkPrice(
        version=offset,
        feed=record.feed,
        price_e8=to_e8(record.price, "price"),
        confidence_e8=to_e8(record.confidence, "confidence"),
        volatility=to_volatility(record.volatility),
        funding_index_linear_e12=to_e12(record.funding_index_linear, "funding_index_linear"),
        funding_index_inverse_e12=to_e12(record.funding_index_inverse, "funding_index_inverse"),
        mark_time_us=record.mark_time_us,
        agreeing=len(record.sources),
    )


def to_settlement(record: SettlementV1, offset: int) -> Settlement:
    """The final price of an instrument."""
    return Settlement(offset, record.instrument, to_e8(record.price, "price"), record.event_time_us)


def to_control(record: LiquidationControlV1, offset: int) -> ControlSet:
    """A hold, or the end of one."""
    return ControlSet(
        version=offset,
        scope=_CONTROL_SCOPES[record.scope],
        target=record.target or "",
        mode=_CONTROL_MODES[record.mode],
        until_us=record.until_us or 0,
        is_approved=record.approved_by is not None,
    )


def to_reference_event(record: ReferenceV1, offset: int) -> ReferenceEvent:
    """Terms or parameters; what contradicts itself is ``parameters_invalid``, with the wire field at fault."""
    if isinstance(record, InstrumentV1):
        return InstrumentListed(offset, to_instrument(record))
    if isinstance(record, CollateralAssetV1):
        return CollateralAssetListed(offset, to_asset(record))
    return ParametersSet(offset, to_parameters(record))


def to_volatility(nodes: tuple[VolatilityNodeV1, ...]) -> tuple[VolatilityNode, ...]:
    """Nodes of a surface, as float64: volatilities are model inputs, not money."""
    return tuple(
        VolatilityNode(
            _bounded(node.tenor_days, TENOR_DAYS_MAX, f"volatility[{index}].tenor_days"),
            _bounded(node.log_moneyness, LOG_MONEYNESS_MAX, f"volatility[{index}].log_moneyness"),
            _bounded(node.volatility, VOLATILITY_MAX, f"volatility[{index}].volatility"),
        )
        for index, node in enumerate(nodes)
    )


def _digest(record: Record) -> bytes:
    """What tells a repeat of an event from a conflicting one with the same id: equal records, however spelled in
    JSON, have equal canonical bytes."""
    return blake2b(encode(record), digest_size=8).digest()


def _bounded(text: str, magnitude_max: float, field: str) -> float:
    value = float(text)
    if abs(value) > magnitude_max:
        raise SchemaError(Reason.OUT_OF_RANGE, field, f"magnitude above {magnitude_max:g}")
    return value


def _invalid(error: InvalidReference, prefix: str = "") -> SchemaError:
    return SchemaError(Reason.PARAMETERS_INVALID, prefix + error.field, error.detail)


def to_instrument(record: InstrumentV1) -> Instrument:
    """Terms of an instrument; ``parameters_invalid`` when they contradict themselves."""
    try:
        return Instrument(
            instrument_id=record.instrument,
            kind=InstrumentKind(record.contract),
            underlying=record.underlying,
            settlement_asset=record.settlement_asset,
            mark_feed=record.mark_feed,
            multiplier_e8=to_e8(record.multiplier, "multiplier"),
            tick_e8=to_e8(record.tick, "tick"),
            lot_e8=to_e8(record.lot, "lot"),
            expiry_us=record.expiry_us,
            strike_e8=None if record.strike is None else to_e8(record.strike, "strike"),
            base_asset=record.base_asset,
        )
    except InvalidReference as error:
        raise _invalid(error) from error


def to_asset(record: CollateralAssetV1) -> CollateralAsset:
    """Terms of a collateral asset; ``parameters_invalid`` when they contradict themselves."""
    try:
        return CollateralAsset(record.asset, record.mark_feed, to_ppm(record.haircut, "haircut"), record.underlying)
    except InvalidReference as error:
        raise _invalid(error) from error


def to_parameters(record: RiskParametersV1) -> RiskParameters:
    """Risk parameters; ``parameters_invalid`` when they contradict themselves."""
    underlyings = {name: _underlying(name, terms) for name, terms in record.underlyings.items()}
    tails = []
    for index, tail in enumerate(record.tails):
        prefix = f"tails[{index}]."
        try:
            tails.append(
                TailScenario(to_ppm(tail.price_move, f"{prefix}price_move"), to_ppm(tail.weight, f"{prefix}weight"))
            )
        except InvalidReference as error:
            raise _invalid(error, prefix) from error
    if not record.price_steps:
        raise SchemaError(Reason.PARAMETERS_INVALID, "price_steps", "must not be empty")
    try:
        return RiskParameters(
            version=record.version,
            effective_us=record.effective_us,
            underlyings=underlyings,
            price_steps_ppm=tuple(
                to_ppm(step, f"price_steps[{index}]") for index, step in enumerate(record.price_steps)
            ),
            tails=tuple(tails),
            maintenance_factor_ppm=to_ppm(record.maintenance_factor, "maintenance_factor"),
            liquidation_target_ppm=to_ppm(record.liquidation_target, "liquidation_target"),
            release_buffer_ppm=to_ppm(record.release_buffer, "release_buffer"),
            limit_price_band_ppm=to_ppm(record.limit_price_band, "limit_price_band"),
            mark_age_us_max=record.mark_age_us_max,
            command_ttl_us=record.command_ttl_us,
            snapshot_interval_us=record.snapshot_interval_us,
            policy=_policy(record.liquidation),
            gap=_gap_policy(record.gap),
        )
    except InvalidReference as error:
        raise _invalid(error) from error


def _policy(terms: LiquidationPolicyV1) -> LiquidationPolicy:
    schedule = terms.auction
    return LiquidationPolicy(
        watch_buffer_ppm=to_ppm(terms.watch_buffer, "liquidation.watch_buffer"),
        suspect_us_max=terms.suspect_us_max,
        cancel_us_max=terms.cancel_us_max,
        cooldown_us=terms.cooldown_us,
        cooldown_us_max=terms.cooldown_us_max,
        fruitless_rounds_max=terms.fruitless_rounds_max,
        backstop_at_ppm=to_ppm(terms.backstop_at, "liquidation.backstop_at"),
        liquidation_fee_ppm=to_ppm(terms.liquidation_fee, "liquidation.liquidation_fee"),
        dust_e8=to_e8(terms.dust, "liquidation.dust"),
        auction=AuctionSchedule(
            start_ppm=to_ppm(schedule.start, "liquidation.auction.start"),
            fast_end_ppm=to_ppm(schedule.fast_end, "liquidation.auction.fast_end"),
            fast_us=schedule.fast_us,
            slow_us=schedule.slow_us,
        ),
        flow_max_e8=to_e8(terms.flow_max, "liquidation.flow_max"),
        live_accounts_max=terms.live_accounts_max,
        participation_ppm=to_ppm(terms.participation, "liquidation.participation"),
        margin_horizon_us=terms.margin_horizon_us,
        trust=_trust(terms.trust),
        hedges=terms.hedges,
    )


def _trust(terms: TrustPolicyV1) -> TrustPolicy:
    return TrustPolicy(
        range_sigmas=terms.range_sigmas,
        age_sigmas=terms.age_sigmas,
        fresh_us=terms.fresh_us,
        jump_sigmas=terms.jump_sigmas,
        breaker_floor=terms.breaker_floor,
        breaker_factor=terms.breaker_factor,
        breaker_prior_ppm=to_ppm(terms.breaker_prior, "liquidation.trust.breaker_prior"),
        breaker_us=terms.breaker_us,
        shadow_us=terms.shadow_us,
    )


def _gap_policy(terms: GapPolicyV1) -> GapPolicy:
    jumps = STANDARD_JUMPS if terms.jumps is None else tuple(map(_jump, terms.jumps))
    layers = tuple(GapLayer(layer.name, to_e8(layer.capacity, "gap.layers.capacity")) for layer in terms.layers)
    return GapPolicy(jumps, layers, terms.cover, terms.profit_withdrawals)


def _jump(terms: JumpV1) -> Jump:
    return Jump(
        name=terms.name,
        others_ppm=to_ppm(terms.others, "gap.jumps.others"),
        volatility_ppm=to_ppm(terms.volatility, "gap.jumps.volatility"),
        moves_ppm=tuple((name, to_ppm(move, f"gap.jumps.moves.{name}")) for name, move in sorted(terms.moves.items())),
    )


def _underlying(name: str, terms: UnderlyingParametersV1) -> UnderlyingParameters:
    prefix = f"underlyings.{name}."
    rates = {
        f"{field}_ppm": to_ppm(getattr(terms, field), prefix + field)
        for field in UnderlyingParametersV1.__struct_fields__
        if field != "daily_volume"
    }
    volume = terms.daily_volume
    volume_e8 = None if volume is None else to_e8(volume, f"{prefix}daily_volume")
    try:
        return UnderlyingParameters(**rates, daily_volume_e8=volume_e8)
    except InvalidReference as error:
        raise _invalid(error, prefix) from error
