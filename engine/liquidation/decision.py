"""The decision: one round of liquidation commands with the evidence for it.

Owns what a decision is a function of: the account's book, the market, the parameters and their versions, and nothing
else. The step decides with it and ``explain`` repeats it from the audited book text, so both give the same bits. Which
kind of round it is follows from the book: a cured account in a case is released, any other gets what its status asks
for. Refuses to choose legs (``plan``) and takeover prices (``takeover``).

Trail: before it ``engine.liquidation.status``, after it ``engine.liquidation.case`` (the commands' life).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.books.account import AccountBook
from engine.books.record import canonical_text
from engine.commands import (
    AccountFigures,
    AuctionOffer,
    Certificate,
    CommandKind,
    CommandReason,
    LiquidationCommand,
    LiquidationDecision,
    Versions,
)
from engine.ids import account_version, command_id, decision_id
from engine.liquidation.closing import can_close, is_partly_held
from engine.liquidation.plan import PlanLeg, plan
from engine.liquidation.status import ACTIVE, is_beyond_closing, is_cured
from engine.liquidation.takeover import takeover_legs
from engine.market import Market
from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.risk.margin import margin_figures
from engine.risk.revaluation import RiskFrame
from engine.units import PPM

_NOTHING = PlanLeg("", 0, 0)


@dataclass(frozen=True, slots=True)
class _Round:
    """What to command and why. ``legs`` of a round about the whole account are one that names nothing."""

    kinds: tuple[CommandKind, ...]
    legs: tuple[PlanLeg, ...]
    reason: CommandReason
    explanation: str
    equity_after: float
    maintenance_margin_after: float
    life_us: int
    certificate: Certificate | None = None
    supersedes: tuple[str, ...] = ()
    auction: AuctionOffer | None = None


def decide(
    book: AccountBook,
    market: Market,
    parameters: RiskParameters,
    versions: Versions,
    frame: RiskFrame | None = None,
) -> tuple[LiquidationDecision, tuple[LiquidationCommand, ...]] | None:
    """The next round for an account in a liquidation case; None if there is nothing to command.

    The account must be priced, and have no command open unless it is cured. The book is not changed; its text is taken
    before the round is opened. ``frame`` changes no bit of the result.
    """
    frame = frame or RiskFrame(market, parameters)
    (figures,) = margin_figures((book,), market, parameters, frame)
    assert figures is not None, "only priced accounts are decided upon"
    made = _round(book, market, parameters, frame, figures)
    if made is None:
        return None
    account, sequence, number = book.account, book.liquidation_sequence, book.liquidation_round + 1
    decision = decision_id(account, sequence, number)
    commands = tuple(
        LiquidationCommand(
            command_id=command_id(account, sequence, number, place),
            decision_id=decision,
            account=account,
            kind=kind,
            sequence=book.ladder.command_sequence + 1 + place,
            account_version=account_version(versions.offsets),
            liquidation_sequence=sequence,
            round=number,
            leg=place,
            instrument=leg.instrument,
            quantity_e8=leg.quantity_e8,
            limit_price_e8=leg.limit_price_e8,
            reason=made.reason,
            expires_us=versions.time_us + made.life_us,
            versions=versions,
            supersedes=made.supersedes,
            auction=made.auction,
        )
        for place, (kind, leg) in enumerate(zip(made.kinds, made.legs, strict=True))
    )
    evidence = LiquidationDecision(
        decision_id=decision,
        account=account,
        liquidation_sequence=sequence,
        round=number,
        reason=made.reason,
        explanation=made.explanation,
        figures=figures,
        equity_after=made.equity_after,
        maintenance_margin_after=made.maintenance_margin_after,
        certificate=made.certificate,
        command_ids=tuple(command.command_id for command in commands),
        book=canonical_text(book),
        versions=versions,
    )
    return evidence, commands


def _round(
    book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame, figures: AccountFigures
) -> _Round | None:
    assert book.status in ACTIVE, f"{book.status.name} is no status of a case"
    if is_cured(figures.equity, figures.maintenance_margin, parameters) or (
        figures.equity >= 0 and not can_close(book, market)
    ):
        return _release(book, parameters, figures)
    match book.status:
        case MarginStatus.CANCELLING:
            return _cancel(parameters, figures)
        case MarginStatus.BACKSTOP | MarginStatus.DELEVERAGING:
            return _hand_over(book, market, parameters, frame, figures)
        case MarginStatus.AUCTION:
            return None if is_partly_held(book, market) else _auction(parameters, figures)
    return _close(book, market, parameters, frame, figures)


def _close(
    book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame, figures: AccountFigures
) -> _Round | None:
    planned = plan(book, market, parameters, frame)
    if planned is None:
        return None
    return _Round(
        kinds=tuple(planned.kinds),
        legs=planned.legs,
        reason=CommandReason.BELOW_MAINTENANCE,
        explanation=planned.explanation,
        equity_after=planned.equity_after,
        maintenance_margin_after=planned.maintenance_margin_after,
        life_us=parameters.command_ttl_us,
        certificate=planned.certificate,
    )


def _hand_over(
    book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame, figures: AccountFigures
) -> _Round | None:
    if is_partly_held(book, market):
        return None  # A book is handed over as a whole: what is on hold is not left behind.
    legs = takeover_legs(book, market, parameters, frame, figures.equity)
    if not legs:
        return None
    is_backstop = book.status is MarginStatus.BACKSTOP
    kind = CommandKind.TRANSFER_TO_BACKSTOP if is_backstop else CommandKind.ADL
    reason = _beyond_closing(book, parameters, figures) if is_backstop else CommandReason.AUCTION_FAILED
    taker = "the backstop takes" if is_backstop else "the profitable counterparties take"
    explanation = f"{_shortage(parameters, figures)}; {taker} all {len(legs)} positions, at prices that leave no debt"
    return _Round(
        kinds=(kind,) * len(legs),
        legs=legs,
        reason=reason,
        explanation=explanation,
        equity_after=0.0,
        maintenance_margin_after=0.0,
        life_us=parameters.command_ttl_us,
    )


def _beyond_closing(book: AccountBook, parameters: RiskParameters, figures: AccountFigures) -> CommandReason:
    if figures.equity < 0:
        return CommandReason.NEGATIVE_EQUITY
    if is_beyond_closing(figures.equity, figures.maintenance_margin, parameters):
        return CommandReason.BELOW_BACKSTOP
    if book.ladder.fruitless_rounds >= parameters.policy.fruitless_rounds_max:
        return CommandReason.FRUITLESS_ROUNDS
    return CommandReason.NO_AFFORDABLE_PLAN


def _auction(parameters: RiskParameters, figures: AccountFigures) -> _Round:
    schedule = parameters.policy.auction
    offer = AuctionOffer(
        mark_to_market=figures.equity,
        margin=figures.equity - figures.maintenance_margin,
        buffer_ppm=parameters.liquidation_target_ppm - PPM,
        schedule=schedule,
    )
    made = _whole_account(
        CommandKind.AUCTION,
        CommandReason.BACKSTOP_REFUSED,
        f"{_shortage(parameters, figures)}; the backstop has not taken the book, slices of it are auctioned",
        figures,
        schedule.fast_us + (schedule.slow_us if figures.equity > 0 else 0),
    )
    return replace(made, auction=offer)


def _cancel(parameters: RiskParameters, figures: AccountFigures) -> _Round:
    return _whole_account(
        CommandKind.CANCEL_ORDERS,
        CommandReason.NEGATIVE_EQUITY if figures.equity < 0 else CommandReason.BELOW_MAINTENANCE,
        f"{_shortage(parameters, figures)}; resting orders are cancelled first",
        figures,
        parameters.policy.cancel_us_max,
    )


def _release(book: AccountBook, parameters: RiskParameters, figures: AccountFigures) -> _Round:
    reached = f"equity {figures.equity:,.2f} reaches {_target(parameters, figures)}"
    is_reached = is_cured(figures.equity, figures.maintenance_margin, parameters)
    return _whole_account(
        CommandKind.RELEASE,
        CommandReason.CURED,
        reached if is_reached else f"equity is {figures.equity:,.2f} and nothing is left to close",
        figures,
        parameters.command_ttl_us,
        tuple(sorted(book.open_commands)),
    )


def _whole_account(
    kind: CommandKind,
    reason: CommandReason,
    explanation: str,
    figures: AccountFigures,
    life_us: int,
    supersedes: Sequence[str] = (),
) -> _Round:
    return _Round(
        kinds=(kind,),
        legs=(_NOTHING,),
        reason=reason,
        explanation=explanation,
        equity_after=figures.equity,
        maintenance_margin_after=figures.maintenance_margin,
        life_us=life_us,
        supersedes=tuple(supersedes),
    )


def _shortage(parameters: RiskParameters, figures: AccountFigures) -> str:
    return f"equity {figures.equity:,.2f} misses {_target(parameters, figures)}"


def _target(parameters: RiskParameters, figures: AccountFigures) -> str:
    times = parameters.liquidation_target_ppm / PPM
    return f"the target of {times:g} times maintenance margin {figures.maintenance_margin:,.2f}"
