"""The liquidation case: the life of an account's commands from entry to exit.

Owns when a command is open and when it is closed. Refuses to decide what to close (``plan``) and who is in
liquidation (``status``).

A case is numbered by the account's liquidation sequence and runs in rounds; a new round is planned only when no
command of the last one is open. Fills and acknowledgements arrive on topics without mutual order, so a command counts
what its fills say and closes when

- its fills add up to its whole quantity, or
- an executor has called it final and its fills add up to what that answer stated, or
- it has expired and one more time to live has passed without either: silence is no proof that nothing was filled,
  but it cannot block the next round for ever. Fills that come still later are applied as any fill is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.books.account import AccountBook, OpenCommand
from engine.commands import LiquidationCommand
from engine.events import Fill, LiquidationAck
from engine.ids import command_address
from engine.outcomes import APPLIED, Outcome, Rejection, rejected
from engine.reference.parameters import RiskParameters
from engine.units import fits_int64


def enter(book: AccountBook) -> None:
    """Begin a new case. The last one's number and rounds stood until now, for answers that come late."""
    book.liquidation_sequence += 1
    book.liquidation_round = 0


def open_round(book: AccountBook, commands: Iterable[LiquidationCommand]) -> None:
    """Count a round and keep its commands until they close."""
    book.liquidation_round += 1
    for command in commands:
        book.open_commands[command.command_id] = OpenCommand(
            command.instrument, command.quantity_e8, 0, command.expires_us
        )


def count_fill(book: AccountBook, fill: Fill) -> None:
    """Count an applied fill toward its command. One that names no open command of this instrument is just a fill."""
    command = book.open_commands.get(fill.command_id)
    if command is not None and command.instrument == fill.instrument:
        command.filled_e8 += abs(fill.quantity_e8)
        _close_if_done(book, fill.command_id, command)


def apply_ack(book: AccountBook, ack: LiquidationAck) -> Outcome:
    """Take an executor's answer. An answer about a command that has closed changes nothing."""
    command = book.open_commands.get(ack.command_id)
    if command is None and not _was_issued(book, ack.command_id):
        return rejected(Rejection.UNKNOWN_COMMAND, "command_id", ack.command_id)
    if not ack.filled_e8 >= 0 or not fits_int64(ack.filled_e8):
        return rejected(Rejection.AMOUNT_OUT_OF_RANGE, "filled_quantity")
    if command is not None and ack.state.is_final:
        command.acked_filled_e8 = max(ack.filled_e8, command.acked_filled_e8 or 0)
        _close_if_done(book, ack.command_id, command)
    return APPLIED


def close_expired(book: AccountBook, time_us: int, parameters: RiskParameters) -> None:
    """Close the commands given up at ``time_us``."""
    overdue = [id for id, command in book.open_commands.items() if _given_up_us(command, parameters) < time_us]
    for command_id in overdue:
        del book.open_commands[command_id]


def next_expiry_us(open_commands: Mapping[str, OpenCommand], parameters: RiskParameters) -> int | None:
    """When the first open command is given up; None if none is open."""
    return min((_given_up_us(command, parameters) for command in open_commands.values()), default=None)


def _given_up_us(command: OpenCommand, parameters: RiskParameters) -> int:
    return command.expires_us + parameters.command_ttl_us


def _close_if_done(book: AccountBook, command_id: str, command: OpenCommand) -> None:
    acked = command.acked_filled_e8
    if command.filled_e8 >= abs(command.quantity_e8) or (acked is not None and command.filled_e8 >= acked):
        del book.open_commands[command_id]


def _was_issued(book: AccountBook, command_id: str) -> bool:
    """Whether the id belongs to a round this account has been through; the id itself says which."""
    address = command_address(book.account, command_id)
    if address is None or address.liquidation_sequence > book.liquidation_sequence:
        return False
    current = address.liquidation_sequence == book.liquidation_sequence
    return not current or address.round <= book.liquidation_round
