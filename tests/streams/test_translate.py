"""Translation: amounts exactly or not at all, events with the right sign and digest, commands with stable ids."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.commands import (
    AccountFigures,
    BindingScenario,
    Certificate,
    Command,
    CommandKind,
    CommandReason,
    ExecutionAnomaly,
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
from engine.events import (
    AckState,
    CollateralAssetListed,
    CollateralKind,
    Fill,
    InstrumentListed,
    MarkPrice,
    ParametersSet,
    Settlement,
    Source,
    VolatilityNode,
)
from engine.oracle import GuardedPrice
from engine.outcomes import Anomaly, MarginStatus, Refusal
from engine.reference.instruments import InstrumentKind
from engine.units import INT64_MAX
from schemas.codec import SchemaError, decode, decode_record, encode
from schemas.events.collateral import CollateralV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.margin_events import MarginSnapshotV1, StatusChangedV1, WithdrawalDecidedV1
from schemas.events.prices import PriceV1
from streams.translate import (
    check_translatable,
    e8_text,
    e12_text,
    float_text,
    to_account_event,
    to_ack,
    to_broadcast_event,
    to_collateral,
    to_e8,
    to_e12,
    to_fill,
    to_guarded_price,
    to_mark_record,
    to_ppm,
    to_quote,
    to_wire,
)
from tests.schemas.examples import Example, load, valid

HERE = Source("fills", 3, 17)
int64 = st.integers(-INT64_MAX, INT64_MAX)


# Amounts


@given(int64)
@example(INT64_MAX)
@example(-INT64_MAX)
@example(-1)
def test_scaled_integer_survives_text_and_back(value: int) -> None:
    assert value == to_e8(e8_text(value), "x")
    assert value == to_e12(e12_text(value), "x")


@given(int64)
def test_text_of_a_scaled_integer_is_its_shortest_exact_decimal(value: int) -> None:
    text = e8_text(value)
    assert Decimal(value) / 10**8 == Decimal(text)
    assert not (("." in text) and text.endswith("0"))
    assert "-0" != text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**10), max_value=10**10, places=8))
def test_decimal_text_becomes_the_exact_integer(value: Decimal) -> None:
    assert int(value * 10**8) == to_e8(format(value, "f"), "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("-0", 0), ("-0.5", -50_000_000), ("1.00000000", 10**8), ("0.00000001", 1), ("12.5", 1_250_000_000)],
)
def test_text_becomes_units_of_ten_to_the_minus_eight(text: str, expected: int) -> None:
    assert expected == to_e8(text, "x")


def test_surplus_zeros_are_exact_and_other_surplus_digits_are_refused() -> None:
    assert 10**8 == to_e8("1.000000000000000000", "x")
    with pytest.raises(SchemaError) as caught:
        to_e8("1.000000000000000001", "legs[2].quantity")
    assert ("too_many_decimals", "legs[2].quantity") == (caught.value.reason, caught.value.field)


def test_largest_amount_fits_and_the_next_one_does_not() -> None:
    assert INT64_MAX == to_e8("92233720368.54775807", "x")
    assert -INT64_MAX == to_e8("-92233720368.54775807", "x")
    for text in ("92233720368.54775808", "-92233720368.54775808", "9" * 19):
        with pytest.raises(SchemaError) as caught:
            to_e8(text, "x")
        assert "amount_out_of_range" == caught.value.reason


def test_rates_are_parts_per_million() -> None:
    assert 160_000 == to_ppm("0.16", "x")
    with pytest.raises(SchemaError):
        to_ppm("0.1600001", "x")


@given(st.floats(min_value=1e-6, max_value=1e6))
@example(1e-5)
@example(0.1)
@example(1e5)
def test_float_survives_text_without_exponent(value: float) -> None:
    assert "e" not in float_text(value).lower()
    assert value == float(float_text(value))


# Events


@pytest.mark.parametrize("given_example", load("valid"), ids=str)
def test_valid_example_can_be_translated(given_example: Example) -> None:
    check_translatable(decode_record(given_example.topic, given_example.key, given_example.value))


def translation_stage() -> list[Example]:
    examples = []
    for item in load("invalid"):
        try:
            decode_record(item.topic, item.key, item.value)
        except SchemaError:
            continue
        examples.append(item)
    return examples


@pytest.mark.parametrize("given_example", translation_stage(), ids=str)
def test_example_of_sound_form_is_refused_by_translation(given_example: Example) -> None:
    record = decode_record(given_example.topic, given_example.key, given_example.value)
    with pytest.raises(SchemaError) as caught:
        check_translatable(record)
    assert (given_example.reason, given_example.field) == (caught.value.reason, caught.value.field)


def test_translation_stage_has_examples_of_every_reason() -> None:
    reasons = {item.reason for item in translation_stage()}
    assert {"too_many_decimals", "amount_out_of_range", "parameters_invalid", "out_of_range"} == reasons


def fill_record(**changes: object) -> FillV1:
    plain = valid("fills", "buy_linear_perpetual").plain
    assert isinstance(plain, dict)
    record = decode("fills", json.dumps({**plain, **changes}).encode())
    assert isinstance(record, FillV1)
    return record


def test_fill_keeps_every_field_and_signs_the_quantity_by_its_side() -> None:
    bought = to_fill(fill_record(command_id="c1"), HERE)
    expected = Fill(
        source=HERE,
        event_id="fill-000001",
        body_digest=bought.body_digest,
        account="alice",
        instrument="BTC-USD-PERP",
        quantity_e8=25_000_000,
        price_e8=8_000_050_000_000,
        fee_e8=800_005_000,
        trade_time_us=1_741_564_801_000_000,
        command_id="c1",
    )
    assert expected == bought
    assert -25_000_000 == to_fill(fill_record(side="sell"), HERE).quantity_e8
    assert "" == to_fill(fill_record(), HERE).command_id


def test_digest_depends_on_the_body_and_not_on_the_address() -> None:
    digest = to_fill(fill_record(), HERE).body_digest
    assert 8 == len(digest)
    assert digest == to_fill(fill_record(), Source("fills", 0, 99)).body_digest
    assert digest == to_fill(fill_record(quantity="0.250"), HERE).body_digest, "another spelling of the same amount"
    assert digest != to_fill(fill_record(quantity="0.26"), HERE).body_digest


def test_collateral_and_acknowledgement_keep_their_kind() -> None:
    transfer = decode("collateral", valid("collateral", "transfer_credit").value)
    assert isinstance(transfer, CollateralV1)
    event = to_collateral(transfer, HERE)
    assert (CollateralKind.TRANSFER_CREDIT, "alice", 1) == (event.kind, event.counterparty, event.transfer_sequence)
    answer = decode("liquidation-acks", valid("liquidation-acks", "filled").value)
    assert isinstance(answer, LiquidationAckV1)
    assert (AckState.FILLED, 25_000_000) == (to_ack(answer, HERE).state, to_ack(answer, HERE).filled_e8)


@pytest.mark.parametrize(
    ("topic", "name", "kind"),
    [
        ("marks", "with_surface", MarkPrice),
        ("settlements", "future", Settlement),
        ("reference", "instrument_put", InstrumentListed),
        ("reference", "asset_coin", CollateralAssetListed),
        ("reference", "parameters", ParametersSet),
    ],
)
def test_broadcast_record_becomes_its_event_at_its_offset(topic: str, name: str, kind: type) -> None:
    event = to_broadcast_event(decode(topic, valid(topic, name).value), 41)
    assert isinstance(event, kind)
    assert 41 == event.version


def test_instrument_and_mark_values_are_exact() -> None:
    listed = to_broadcast_event(decode("reference", valid("reference", "instrument_call").value), 0)
    assert isinstance(listed, InstrumentListed)
    assert (InstrumentKind.CALL, 9_000_000_000_000) == (listed.instrument.kind, listed.instrument.strike_e8)
    mark = to_broadcast_event(decode("marks", valid("marks", "perpetual_with_funding").value), 0)
    assert isinstance(mark, MarkPrice)
    assert (12_345_678_901_234, 154) == (mark.funding_index_linear_e12, mark.funding_index_inverse_e12)


def test_a_record_of_another_topic_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        to_account_event(decode("marks", valid("marks", "with_surface").value), HERE)
    with pytest.raises(AssertionError):
        to_broadcast_event(fill_record(), 0)


# Oracle

nodes = st.builds(
    VolatilityNode,
    tenor_days=st.integers(1, 10**9).map(lambda value: value / 10**6),
    log_moneyness=st.integers(-(10**7), 10**7).map(lambda value: value / 10**6),
    volatility=st.integers(1, 10**7).map(lambda value: value / 10**6),
)


@given(
    st.builds(
        GuardedPrice,
        feed=st.just("BTC"),
        price_e8=st.integers(1, INT64_MAX),
        confidence_e8=st.integers(0, INT64_MAX),
        volatility=st.lists(nodes, max_size=3).map(tuple),
        funding_rate_e12=int64,
        funding_index_linear_e12=int64,
        funding_index_inverse_e12=int64,
        mark_time_us=st.integers(0, 4_102_444_800_000_000),
        sources=st.just(("a", "b")),
    )
)
def test_guarded_price_survives_the_marks_topic(price: GuardedPrice) -> None:
    record = decode("marks", encode(to_mark_record(price)))
    assert price == to_guarded_price(record)  # type: ignore[arg-type]


def test_quote_is_exact() -> None:
    record = decode("prices", valid("prices", "with_funding").value)
    assert isinstance(record, PriceV1)
    quote = to_quote(record)
    assert (8_002_000_000_000, -12_500_000) == (quote.price_e8, quote.funding_rate_e12)


# Commands

VERSIONS = Versions(41, 9, -1, 1, 1_741_564_805_000_000, {"fills": 17, "collateral": 3})
FIGURES = AccountFigures(
    1250.5, 2e4, -18749.5, 0.0, 2500.25, 2000.2, 4000.0, 3200.0, {"BTC": "price -16% vol up"}, {"minimum": 0.1 + 0.2}
)
COMMANDS: list[Command] = [
    LiquidationCommand(
        command_id="c" * 32,
        decision_id="d" * 32,
        account="alice",
        kind=CommandKind.REDUCE,
        sequence=1,
        account_version=22,
        liquidation_sequence=1,
        round=0,
        leg=0,
        instrument="BTC-USD-PERP",
        quantity_e8=-25_000_000,
        limit_price_e8=5_225_000_000_000,
        reason=CommandReason.BELOW_MAINTENANCE,
        expires_us=9,
        versions=VERSIONS,
    ),
    LiquidationDecision(
        decision_id="d" * 32,
        account="alice",
        liquidation_sequence=1,
        round=0,
        reason=CommandReason.BELOW_MAINTENANCE,
        explanation="closing 0.25 BTC-USD-PERP frees most",
        figures=FIGURES,
        equity_after=1200.0,
        maintenance_margin_after=0.0,
        certificate=Certificate(12.5, 12.25, 0.02, 1.1, (BindingScenario("BTC", "price -16%", 1.0),)),
        command_ids=("c" * 32,),
        book='["alice"]',
        versions=VERSIONS,
    ),
    ExecutionAnomaly("alice", "c" * 32, "", Anomaly.SILENT_EXECUTOR, VERSIONS),
    StatusChanged("alice", 3, MarginStatus.MARGIN_CALL, MarginStatus.LIQUIDATING, FIGURES, VERSIONS),
    WithdrawalDecided("alice", "w1", "USDC", 25_075_000_000, None, VERSIONS),
    WithdrawalDecided("alice", "w2", "USDC", 1, Refusal.BELOW_INITIAL_MARGIN, VERSIONS),
    TransferCredit("t1", "bob", "alice", 1, "USDC", 10**11, 9),
    PositionSettled("alice", "ETH-28MAR25", -150_000_000, 0, -1, 0, VERSIONS),
    MarginSnapshot("alice", MarginStatus.BACKSTOP, FIGURES, {"BTC": {"delta": -0.25}}, VERSIONS),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_command_leaves_as_a_record_that_its_own_codec_accepts(command: Command) -> None:
    topic, key, record = to_wire(command)
    assert record == decode_record(topic, key, encode(record))
    assert (topic, key, record) == to_wire(command)


def test_command_goes_to_its_topic_under_its_account() -> None:
    routes = [to_wire(command)[:2] for command in COMMANDS]
    assert ("liquidations", b"alice") == routes[0]
    assert {("margin-events", b"alice")} == {*routes[1:6], *routes[7:]}
    assert ("collateral", b"bob") == routes[6]


def test_liquidation_command_has_side_and_unsigned_quantity() -> None:
    command = COMMANDS[0]
    assert isinstance(command, LiquidationCommand)
    sold, bought = to_wire(command)[2], to_wire(replace(command, quantity_e8=25_000_000))[2]
    assert isinstance(sold, LiquidationCommandV1)
    assert isinstance(bought, LiquidationCommandV1)
    assert ("sell", "0.25", "52250") == (sold.side, sold.quantity, sold.limit_price)
    assert ("buy", "0.25") == (bought.side, bought.quantity)


def test_figures_keep_every_bit() -> None:
    record = to_wire(COMMANDS[3])[2]
    assert isinstance(record, StatusChangedV1)
    again = decode("margin-events", encode(record))
    assert isinstance(again, StatusChangedV1)
    assert 0.1 + 0.2 == again.figures.add_ons["minimum"]
    assert ("margin_call", "liquidating") == (again.before, again.after)


def test_every_status_and_refusal_has_a_wire_name() -> None:
    for status in MarginStatus:
        record = to_wire(MarginSnapshot("alice", status, FIGURES, {}, VERSIONS))[2]
        assert isinstance(record, MarginSnapshotV1)
        assert status.name.lower() == record.status
    for refusal in Refusal:
        topic, key, answer = to_wire(WithdrawalDecided("alice", "w", "USDC", 1, refusal, VERSIONS))
        assert isinstance(answer, WithdrawalDecidedV1)
        assert (False, refusal.value) == (answer.granted, answer.refusal)
        assert answer == decode_record(topic, key, encode(answer))


def test_event_ids_differ_between_events_and_not_between_deliveries() -> None:
    changes = [
        StatusChanged("alice", n, MarginStatus.HEALTHY, MarginStatus.MARGIN_CALL, FIGURES, VERSIONS) for n in (1, 2)
    ]
    later = replace(VERSIONS, offsets={"fills": 18, "collateral": 3}, mark_version=99)
    settled = PositionSettled("alice", "ETH-28MAR25", 1, 1, 1, 0, VERSIONS)
    events: list[Command] = [*changes, settled, replace(settled, versions=later), *COMMANDS[3:5]]
    ids = [to_wire(event)[2].event_id for event in events]  # type: ignore[union-attr]
    assert len(events) == len(set(ids))
    assert ids[0] == to_wire(replace(changes[0], versions=later))[2].event_id  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_figures_that_are_not_numbers_stop_the_worker(value: float) -> None:
    broken = replace(FIGURES, maintenance_margin=value)
    with pytest.raises(InvariantBroken, match="maintenance_margin of alice"):
        to_wire(StatusChanged("alice", 1, MarginStatus.HEALTHY, MarginStatus.MARGIN_CALL, broken, VERSIONS))
