"""The liquidation case: the life of an account's commands from entry to exit.

Owns when a command is open and when it is closed, and what about its execution breaks the protocol. Refuses to decide
what to close (``plan``) and who is in liquidation (``status``).

A case is numbered by the account's liquidation sequence and runs in rounds; a new round is planned only when no
command of the last one is open. Fills and acknowledgements arrive on topics without mutual order, so a command counts
what its fills say and closes when

- it is a leg and its fills add up to its whole quantity, or
- an executor has called it final and its fills add up to what that answer stated, or
- it has expired and one more time to live has passed without either: silence is no proof that nothing was filled,
  but it cannot block the next round for ever. Fills that come still later are applied as any fill is.

A fill is a fact and is booked whatever is wrong with it; what is wrong is reported beside it as an anomaly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.books.account import AccountBook, OpenCommand
from engine.commands import CommandKind, LiquidationCommand
from engine.events import EPOCH_STALE, Fill, LiquidationAck
from engine.ids import command_address
from engine.liquidation.status import ACTIVE
from engine.outcomes import APPLIED, Anomaly, MarginStatus, Outcome, Rejection, rejected
from engine.reference.parameters import RiskParameters
from engine.units import fits_int64

CLOSING = frozenset({CommandKind.REDUCE, CommandKind.CLOSE, CommandKind.HEDGE})
"""Kinds of the rounds that trade at a price of the market."""


def arrive(book: AccountBook, before: MarginStatus, time_us: int, parameters: RiskParameters) -> None:
    """The account has come to its status from ``before``: begin a case if one begins, and any wait of that status.

    The last case's number and rounds stood until now, for answers that come late.
    """
    ladder, policy = book.ladder, parameters.policy
    if book.status in ACTIVE and before not in ACTIVE:
        book.liquidation_sequence += 1
        book.liquidation_round = 0
        ladder.fruitless_rounds = 0
    ladder.round_made = False
    ladder.wait_until_us = 0
    if book.status is MarginStatus.DELEVERAGING:
        ladder.offered = True
    elif book.status is not MarginStatus.COOLDOWN:
        ladder.offered = False
    if book.status is MarginStatus.SUSPECT:
        ladder.wait_until_us = time_us + policy.suspect_us_max
    elif book.status is MarginStatus.COOLDOWN:
        doubled = policy.cooldown_us << max(ladder.fruitless_rounds - 1, 0)
        ladder.wait_until_us = time_us + min(doubled, policy.cooldown_us_max)


def open_round(book: AccountBook, commands: Iterable[LiquidationCommand]) -> None:
    """Count a round and keep its commands until they close. A release has no life: nothing waits for its answer."""
    ladder = book.ladder
    book.liquidation_round += 1
    ladder.released = False
    closes = False
    for command in commands:
        ladder.command_sequence = command.sequence
        closes |= command.kind in CLOSING
        if command.kind is CommandKind.RELEASE:
            ladder.released = True
            continue
        ladder.round_made = True
        book.open_commands[command.command_id] = OpenCommand(
            command.kind.value, command.instrument, command.quantity_e8, command.limit_price_e8, 0, command.expires_us
        )
    ladder.fruitless_rounds += closes


def count_fill(book: AccountBook, fill: Fill) -> list[Anomaly]:
    """Count an applied fill toward its command, and say what the command did not allow about it. A fill that names
    no command is just a fill."""
    if not fill.command_id:
        return []
    command = book.open_commands.get(fill.command_id)
    if command is None:
        return [Anomaly.EXECUTED_LATE if _was_issued(book, fill.command_id) else Anomaly.UNKNOWN_COMMAND]
    if command.instrument not in ("", fill.instrument):
        return [Anomaly.WRONG_INSTRUMENT]
    command.filled_e8 += abs(fill.quantity_e8)
    book.ladder.fruitless_rounds = 0
    found = _breaches(command, fill)
    _close_if_done(book, fill.command_id, command)
    return found


def apply_ack(book: AccountBook, ack: LiquidationAck) -> tuple[Outcome, list[Anomaly]]:
    """Take an executor's answer. An answer about a command that has closed changes nothing."""
    command = book.open_commands.get(ack.command_id)
    if command is None and not _was_issued(book, ack.command_id):
        return rejected(Rejection.UNKNOWN_COMMAND, "command_id", ack.command_id), []
    if not ack.filled_e8 >= 0 or not fits_int64(ack.filled_e8):
        return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "filled_quantity"), []
    found = [Anomaly.EPOCH_STALE] if ack.reason == EPOCH_STALE else []
    if command is None:
        return APPLIED, found
    if command.instrument and ack.filled_e8 > abs(command.quantity_e8):
        found.append(Anomaly.OVERFILLED)
    if command.acked_filled_e8 is not None and not (ack.state.is_final and ack.filled_e8 >= command.acked_filled_e8):
        found.append(Anomaly.ACK_OUT_OF_ORDER)
    if ack.state.is_final:
        command.acked_filled_e8 = max(ack.filled_e8, command.acked_filled_e8 or 0)
        _close_if_done(book, ack.command_id, command)
    return APPLIED, found


def close_expired(book: AccountBook, time_us: int, parameters: RiskParameters) -> list[tuple[str, Anomaly]]:
    """Close the commands given up at ``time_us``, and say for each what its executor owes: an answer, or fills."""
    overdue = [id for id, command in book.open_commands.items() if _given_up_us(command, parameters) < time_us]
    return [
        (
            id,
            Anomaly.SILENT_EXECUTOR
            if book.open_commands.pop(id).acked_filled_e8 is None
            else Anomaly.ACK_WITHOUT_FILLS,
        )
        for id in sorted(overdue)
    ]


def next_expiry_us(open_commands: Mapping[str, OpenCommand], parameters: RiskParameters) -> int | None:
    """When the first open command is given up; None if none is open."""
    return min((_given_up_us(command, parameters) for command in open_commands.values()), default=None)


def _given_up_us(command: OpenCommand, parameters: RiskParameters) -> int:
    """Orders that were not cancelled in time are no reason to wait longer; of everything else fills may be on their
    way."""
    if command.kind == CommandKind.CANCEL_ORDERS:
        return command.expires_us
    return command.expires_us + parameters.command_ttl_us


def _breaches(command: OpenCommand, fill: Fill) -> list[Anomaly]:
    """What is wrong with a fill that was counted."""
    found = []
    if fill.trade_time_us > command.expires_us:
        found.append(Anomaly.EXECUTED_LATE)
    if not command.instrument:
        return found
    if (fill.quantity_e8 > 0) is not (command.quantity_e8 > 0):
        found.append(Anomaly.WRONG_SIDE)
    elif (fill.price_e8 - command.limit_price_e8) * (1 if command.quantity_e8 > 0 else -1) > 0:
        found.append(Anomaly.BEYOND_LIMIT)
    if command.filled_e8 > abs(command.quantity_e8):
        found.append(Anomaly.OVERFILLED)
    return found


def _close_if_done(book: AccountBook, command_id: str, command: OpenCommand) -> None:
    acked = command.acked_filled_e8
    whole = bool(command.instrument) and command.filled_e8 >= abs(command.quantity_e8)
    if whole or (acked is not None and command.filled_e8 >= acked):
        del book.open_commands[command_id]


def _was_issued(book: AccountBook, command_id: str) -> bool:
    """Whether the id belongs to a round this account has been through; the id itself says which."""
    address = command_address(book.account, command_id)
    if address is None or address.liquidation_sequence > book.liquidation_sequence:
        return False
    current = address.liquidation_sequence == book.liquidation_sequence
    return not current or address.round <= book.liquidation_round
