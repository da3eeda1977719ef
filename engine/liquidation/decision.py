"""The decision: one round of liquidation commands with the evidence for it.

Owns what a decision is a function of: the account's book, the market, the parameters and their versions, and nothing
else. The step decides with it and ``explain`` repeats it from the audited book text, so both give the same bits.

Trail: before it ``engine.liquidation.status``, after it ``engine.liquidation.case`` (the commands' life).
"""

from __future__ import annotations

from engine.books.account import AccountBook
from engine.books.record import canonical_text
from engine.commands import LiquidationCommand, LiquidationDecision, Versions
from engine.ids import command_id, decision_id
from engine.liquidation.plan import plan
from engine.market import Market
from engine.reference.parameters import RiskParameters
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame


def decide(
    book: AccountBook,
    market: Market,
    parameters: RiskParameters,
    versions: Versions,
    frame: RiskFrame | None = None,
) -> tuple[LiquidationDecision, tuple[LiquidationCommand, ...]] | None:
    """The next round for an account in liquidation that has no command open; None if there is nothing to command.

    The book is not changed; its text is taken before the round is opened. ``frame`` changes no bit of the result.
    """
    planned = plan(book, market, parameters, frame)
    if planned is None:
        return None
    (figures,) = margin_figures((book,), market, parameters, frame)
    assert figures is not None, "only priced accounts are decided upon"
    account, sequence, round = book.account, book.liquidation_sequence, book.liquidation_round + 1
    decision = decision_id(account, sequence, round)
    commands = tuple(
        LiquidationCommand(
            command_id=command_id(account, sequence, round, number),
            decision_id=decision,
            account=account,
            liquidation_sequence=sequence,
            round=round,
            leg=number,
            instrument=leg.instrument,
            quantity_e8=leg.quantity_e8,
            limit_price_e8=leg.limit_price_e8,
            expires_us=versions.time_us + parameters.command_ttl_us,
            versions=versions,
        )
        for number, leg in enumerate(planned.legs)
    )
    evidence = LiquidationDecision(
        decision_id=decision,
        account=account,
        liquidation_sequence=sequence,
        round=round,
        figures=figures,
        equity_after=planned.equity_after,
        maintenance_margin_after=planned.maintenance_margin_after,
        command_ids=tuple(command.command_id for command in commands),
        book=canonical_text(book),
        versions=versions,
    )
    return evidence, commands
