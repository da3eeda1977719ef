"""The ledger: what it counts of a command, and that sums kept account by account are those of all books at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.books.account import OpenCommand
from engine.commands import CommandKind
from engine.fleet.flow import ahead_e8, room_e8
from engine.fleet.ledger import FleetLedger, is_live, outstanding


def command(kind: str = "reduce", quantity: int = -100, filled: int = 0, acked: int | None = None) -> OpenCommand:
    return OpenCommand(kind, "BTC-PERP", quantity, 1, filled, 0, acked)


def test_what_is_left_of_legs_on_the_market_counts_signed() -> None:
    commands = {"a": command(), "b": command("close", 30, 10), "c": command("hedge", 5)}
    assert {"BTC-PERP": -75} == outstanding(commands)
    assert is_live(commands)


def test_other_kinds_do_not_count() -> None:
    others = {kind.value: command(kind) for kind in CommandKind if kind not in ("reduce", "close", "hedge")}
    assert ({}, False) == (outstanding(others), is_live(others))


def test_after_a_final_answer_only_the_fills_it_announced_are_to_come() -> None:
    assert {"BTC-PERP": -30} == outstanding({"a": command(filled=10, acked=40)})
    assert {} == outstanding({"a": command(filled=120)})


def test_an_account_sees_the_flow_of_others_in_what_it_asks_for() -> None:
    ledger = FleetLedger()
    assert ledger.put(1, 0, {"a": command(quantity=-100)})
    assert ledger.put(2, 0, {"b": command(quantity=40)})
    assert ledger.put(3, 1, {"c": command(quantity=-7)})
    assert {"BTC-PERP": 40} == ledger.of_others(1, 0, ["ETH-PERP", "BTC-PERP"])
    assert {"BTC-PERP": -60} == ledger.of_others(9, 0, ["BTC-PERP"])
    assert {"BTC-PERP": -7} == ledger.of_others(1, 1, ["BTC-PERP"])
    assert not ledger.put(1, 0, {"a": command(quantity=-100)}), "nothing has changed"


def test_the_side_that_is_smaller_has_nothing_ahead_and_the_more_room() -> None:
    assert (60, 0) == (ahead_e8(-60, -1), ahead_e8(-60, 1))
    assert (40, 160) == (room_e8(-60, -1, 100), room_e8(-60, 1, 100))
    assert 0 == room_e8(-160, -1, 100)


COMMANDS = st.builds(
    OpenCommand,
    kind=st.sampled_from([kind.value for kind in CommandKind]),
    instrument=st.sampled_from(("BTC-PERP", "ETH-PERP")),
    quantity_e8=st.integers(-1000, 1000),
    limit_price_e8=st.just(1),
    filled_e8=st.integers(0, 1200),
    expires_us=st.just(0),
    acked_filled_e8=st.none() | st.integers(0, 1000),
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.lists(COMMANDS, max_size=3), st.booleans()), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_sums_kept_account_by_account_are_those_of_all_at_once(
    changes: list[tuple[int, int, list[OpenCommand], bool]],
) -> None:
    kept, books = FleetLedger(), dict[int, tuple[int, dict[str, OpenCommand]]]()
    for number, shard, commands, leaves in changes:
        if leaves:
            books.pop(number, None)
            kept.drop([number])
            continue
        books[number] = shard, {str(at): each for at, each in enumerate(commands)}
        kept.put(number, *books[number])
    rebuilt = FleetLedger()
    for number in sorted(books, reverse=True):
        rebuilt.put(number, *books[number])
    for shard in (0, 1):
        assert rebuilt.net_e8(shard) == kept.net_e8(shard)
        assert rebuilt.live(shard) == kept.live(shard)
    assert rebuilt.members() == kept.members()
