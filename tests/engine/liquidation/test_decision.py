from __future__ import annotations

from copy import deepcopy

from engine.books.account import AccountBook, Position
from engine.commands import Versions
from engine.ids import command_id, decision_id
from engine.liquidation.decision import decide
from engine.outcomes import MarginStatus
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame
from engine.state import book_from_text, canonical_text
from tests.builders import START_US, e8, engine, parameters

PARAMETERS = parameters(command_ttl_us=30)
MARKET = engine().market()
VERSIONS = Versions(4, 10, -1, 1, START_US, {"fills": 7})


def breached() -> AccountBook:
    positions = {name: Position(e8(2), e8(40_000), 0) for name in ("BTC-PERP", "BTC-FUTURE", "BTC-CALL")}
    book = AccountBook("a", {"USD": e8(43_000)}, positions, status=MarginStatus.LIQUIDATING)
    book.liquidation_sequence, book.liquidation_round = 3, 1
    return book


def test_decision_carries_its_evidence_and_leaves_the_book_alone() -> None:
    book = breached()
    before = deepcopy(book)
    decided = decide(book, MARKET, PARAMETERS, VERSIONS)
    assert decided is not None
    decision, commands = decided
    assert before == book
    assert canonical_text(book) == decision.book
    assert margin_figures([book], MARKET, PARAMETERS) == (decision.figures,)
    assert (decision_id("a", 3, 2), 2, VERSIONS) == (decision.decision_id, decision.round, decision.versions)
    assert decision.command_ids == tuple(command.command_id for command in commands)


def test_commands_are_numbered_legs_of_the_next_round() -> None:
    decided = decide(breached(), MARKET, PARAMETERS, VERSIONS)
    assert decided is not None
    _, commands = decided
    assert [command_id("a", 3, 2, leg) for leg in range(len(commands))] == [made.command_id for made in commands]
    assert sorted(made.instrument for made in commands) == [made.instrument for made in commands]
    assert {START_US + 30} == {made.expires_us for made in commands}


def test_decision_is_repeated_bit_for_bit_from_its_book_text() -> None:
    decided = decide(breached(), MARKET, PARAMETERS, VERSIONS, RiskFrame(MARKET, PARAMETERS))
    assert decided is not None
    again = decide(book_from_text(decided[0].book), engine().market(), parameters(command_ttl_us=30), VERSIONS)
    assert decided == again


def test_nothing_to_close_is_no_decision() -> None:
    assert decide(AccountBook("a", {"USD": -1}, status=MarginStatus.LIQUIDATING), MARKET, PARAMETERS, VERSIONS) is None
