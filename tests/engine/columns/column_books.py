"""Books that accounts can have, for tests of the columns: topics as they are, totals for every balance."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.books.account import AccountBook, OpenCommand, Position, Totals
from engine.columns.arrays import MEMORY_MAX, TOPICS
from engine.outcomes import MarginStatus
from engine.units import INT64_MAX

AMOUNTS = st.integers(-INT64_MAX, INT64_MAX)
COUNTS = st.integers(0, 2**40)
IDS = st.text("abXY09-._é漢🙂", max_size=9)
KEYS = st.binary(min_size=8, max_size=8)
POSITIONS = st.builds(Position, AMOUNTS.filter(bool), AMOUNTS, AMOUNTS)
TOTALS = st.builds(Totals, *[AMOUNTS] * 6)
COMMANDS = st.builds(OpenCommand, IDS, IDS, AMOUNTS, COUNTS, COUNTS, COUNTS, st.none() | COUNTS)


@st.composite
def books(draw: st.DrawFn, accounts: st.SearchStrategy[str] = IDS) -> AccountBook:
    """Any book that the engine can make, and some that it can only nearly."""
    totals = draw(st.dictionaries(IDS, TOTALS, max_size=4))
    balances = {asset: draw(AMOUNTS.filter(bool)) for asset in totals if draw(st.booleans())}
    return AccountBook(
        account=draw(accounts),
        balances=balances,
        positions=draw(st.dictionaries(IDS, POSITIONS, max_size=6)),
        totals=totals,
        applied=draw(st.dictionaries(st.sampled_from(TOPICS), COUNTS)),
        recent=draw(
            st.dictionaries(st.sampled_from(TOPICS), st.dictionaries(KEYS, KEYS, min_size=1, max_size=MEMORY_MAX))
        ),
        status=draw(st.sampled_from(MarginStatus)),
        status_changes=draw(COUNTS),
        liquidation_sequence=draw(COUNTS),
        liquidation_round=draw(COUNTS),
        open_commands=draw(st.dictionaries(IDS, COMMANDS, max_size=2)),
        transfer_sequence=draw(COUNTS),
        transfers_in=draw(st.dictionaries(IDS, COUNTS, max_size=2)),
        bad_records=draw(COUNTS),
    )


def assert_same(expected: AccountBook, found: AccountBook) -> None:
    """Equal in all fields, and in the order in which events arrived, which decides what is forgotten next."""
    assert expected == found
    assert {topic: list(seen) for topic, seen in expected.recent.items()} == {
        topic: list(seen) for topic, seen in found.recent.items()
    }


def book_of(account: str, positions: int = 2, events: int = 3) -> AccountBook:
    """A plain book, the same for the same arguments."""
    return AccountBook(
        account=account,
        balances={"USD": 5, "BTC": -7},
        positions={f"BTC-{number:02}": Position(number + 1, -number, 3) for number in range(positions)},
        totals={"USD": Totals(1, 2, 3, 4, 5, 6), "BTC": Totals(), "ETH": Totals(9)},
        applied={"fills": 11, "collateral": 0},
        recent={"fills": {event_bytes(event): event_bytes(event + 100) for event in range(events)}} if events else {},
        liquidation_sequence=2,
    )


def event_bytes(number: int) -> bytes:
    """A key or digest."""
    return (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little")
