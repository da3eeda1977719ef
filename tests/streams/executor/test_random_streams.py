"""Whatever comes in, in whatever order, with restarts in between: nothing is executed that must not be."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.units import E8
from schemas.events.liquidations import LiquidationCommandV1
from streams.executor import ExecutorOptions
from streams.executor.faults import Fault, FaultKind
from streams.executor.positions import signed_e8
from streams.executor.protocol import FINAL_STATES
from streams.translate import to_e8
from tests.streams.executor.world import MINUTE_US, NOW_US, World, answers_in, command, fills_in, whole_account


@st.composite
def commands(draw: st.DrawFn) -> LiquidationCommandV1:
    """A command of alice or bob: its content follows from its id, its epoch from who sends it."""
    account = draw(st.sampled_from(["alice", "bob"]))
    sequence = draw(st.integers(1, 6))
    life = {
        "account": account, "sequence": sequence, "command_id": f"{account}-{sequence}",
        "epoch": draw(st.integers(1, 3)), "account_version": 10 + sequence,
        "expires_us": NOW_US + sequence * 3 * MINUTE_US,
    }  # fmt: skip
    if sequence == 5:
        return whole_account("release", supersedes=tuple(f"{account}-{number}" for number in (3, 4)), **life)
    return command(kind="adl" if sequence == 4 else "reduce", quantity=f"0.{sequence}", limit_price="19000", **life)


steps = st.lists(
    st.tuples(st.just("offer"), commands()) | st.tuples(st.sampled_from(["pass", "restart"]), st.none()), max_size=40
)
faults = st.sampled_from([(), (Fault(FaultKind.CRASH, 0.3),), (Fault(FaultKind.PARTIAL_THEN_SILENCE, 0.4),)])


@settings(max_examples=150, deadline=None)
@given(steps=steps, struck=faults)
def test_no_stream_of_commands_is_executed_beyond_what_it_allows(
    steps: list[tuple[str, LiquidationCommandV1 | None]], struck: tuple[Fault, ...]
) -> None:
    world = World(ExecutorOptions(faults=struck))
    topic: list[LiquidationCommandV1] = []
    now_us, epoch_seen = NOW_US, 0
    begun: dict[str, LiquidationCommandV1] = {}
    for step, sent in steps:
        before = len(world.published)
        if step == "pass":
            now_us += MINUTE_US
            world.pass_time(now_us - NOW_US)
            world.offer()
        elif step == "restart" or world.executor.crashed:
            world.restarted(world.options)
            world.offer(*topic, replayed=True)
        else:
            assert sent is not None
            topic.append(sent)
            epoch_seen = max(epoch_seen, sent.epoch)
            world.offer(sent)
        for fill in fills_in(world.published[before:]):
            if fill.command_id is not None and fill.command_id not in begun:
                allowed = [each for each in topic if each.command_id == fill.command_id and each.epoch == epoch_seen]
                assert allowed, f"{fill.command_id} was executed for an epoch before {epoch_seen}"
                begun[fill.command_id] = allowed[0]
                assert now_us < allowed[0].expires_us, f"{fill.command_id} was executed when it had expired"
    _check_books(world, {each.command_id: each for each in topic})


def _check_books(world: World, sent: dict[str, LiquidationCommandV1]) -> None:
    filled: Counter[str] = Counter()
    fills = {fill.event_id: fill for fill in fills_in(world.published)}
    assert len(fills) == len(set(fills.values())) == len(fills_in(world.published)), "no fill is published twice"
    for fill in fills.values():
        if fill.command_id is not None:
            assert ("sell", "BTC-PERP") == (fill.side, fill.instrument)
            filled[fill.command_id] += to_e8(fill.quantity, "quantity")
    for command_id, filled_e8 in filled.items():
        assert filled_e8 <= to_e8(sent[command_id].quantity or "0", "quantity")
    assert 0 == sum(map(signed_e8, fills.values())), "every trade has two sides"
    for account in ("alice", "bob"):
        sold = sum(filled_e8 for command_id, filled_e8 in filled.items() if command_id.startswith(account))
        assert sold <= E8, "never beyond the position"
    _check_answers(world, filled)


def _check_answers(world: World, filled: Counter[str]) -> None:
    finals = defaultdict(set)
    for answer in answers_in(world.published):
        if answer.state in FINAL_STATES and answer.reason not in ("epoch_stale", "duplicate"):
            finals[answer.command_id].add((answer.state, answer.filled_quantity))
    for command_id, given_ in finals.items():
        assert 1 == len(given_), f"{command_id} has two endings"
        ((_, quantity),) = given_
        assert filled[command_id] == to_e8(quantity, "filled_quantity")
