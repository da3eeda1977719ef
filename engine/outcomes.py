"""What became of an event, and where an account stands: enums ordered by precedence.

Owns the closed lists that code, dead letters, audit columns and docs share letter for letter. A member's value is
its wire name. The order of ``Rejection`` is the order in which the checks run, so that a record with two faults is
always refused for the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Disposition(StrEnum):
    """The three fates of an input record; their counts add up to the records read."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Rejection(StrEnum):
    """Why an event of sound form cannot be applied, in order of precedence."""

    WRONG_KEY = "wrong_key"
    EVENT_ID_CONFLICT = "event_id_conflict"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_ASSET = "unknown_asset"
    UNKNOWN_COMMAND = "unknown_command"
    INSTRUMENT_EXPIRED = "instrument_expired"
    QUANTITY_OFF_LOT = "quantity_off_lot"
    PRICE_OFF_TICK = "price_off_tick"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    INSTRUMENT_CHANGED = "instrument_changed"
    PARAMETERS_INVALID = "parameters_invalid"
    VERSION_NOT_NEWER = "version_not_newer"
    SETTLEMENT_CHANGED = "settlement_changed"
    SETTLEMENT_BEFORE_EXPIRY = "settlement_before_expiry"
    HOLD_EXPIRED = "hold_expired"


class Refusal(StrEnum):
    """Why a sound and applicable request is declined: a business answer on ``margin-events``, not a dead letter."""

    INSUFFICIENT_BALANCE = "insufficient_balance"
    BELOW_INITIAL_MARGIN = "below_initial_margin"
    PRICE_UNAVAILABLE = "price_unavailable"
    ACCOUNT_IN_LIQUIDATION = "account_in_liquidation"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one event of a batch; ``field`` names the wire field at fault when it was rejected."""

    disposition: Disposition
    rejection: Rejection | None = None
    field: str = ""
    detail: str = ""


APPLIED = Outcome(Disposition.APPLIED)
DUPLICATE = Outcome(Disposition.DUPLICATE)


def rejected(rejection: Rejection, field: str, detail: str = "") -> Outcome:
    """An outcome for an event that must go to the dead letters."""
    return Outcome(Disposition.REJECTED, rejection, field, detail)


class Anomaly(StrEnum):
    """What an execution may not be, on ``margin-events``: the fact is booked, the breach of protocol is reported."""

    UNKNOWN_COMMAND = "unknown_command"
    OVERFILLED = "overfilled"
    EXECUTED_LATE = "executed_late"
    WRONG_INSTRUMENT = "wrong_instrument"
    WRONG_SIDE = "wrong_side"
    BEYOND_LIMIT = "beyond_limit"
    ACK_OUT_OF_ORDER = "ack_out_of_order"
    ACK_WITHOUT_FILLS = "ack_without_fills"
    SILENT_EXECUTOR = "silent_executor"
    EPOCH_STALE = "epoch_stale"


class MarginStatus(IntEnum):
    """Where an account stands on the ladder (``engine.liquidation.status``), by severity."""

    HEALTHY = 0
    WATCH = 1
    MARGIN_CALL = 2
    HELD = 3
    SUSPECT = 4
    CANCELLING = 5
    LIQUIDATING = 6
    COOLDOWN = 7
    BACKSTOP = 8
    AUCTION = 9
    DELEVERAGING = 10
    CLOSED = 11
