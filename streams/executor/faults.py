"""Faults to order: everything an executor can do wrong, so that a risk engine can be tried against it.

Owns which command is struck by which fault, and what a fault makes of an execution. Which one is chosen follows from
the command's id alone, so that a run repeats. Refuses to know when a fault strikes (``core``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from engine.errors import InvalidReference
from streams.executor.records import Execution


class FaultKind(StrEnum):
    """What goes wrong."""

    REJECT = "reject"
    SILENCE = "silence"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    LATE = "late"
    OVERFILL = "overfill"
    WRONG_SIDE = "wrong_side"
    WRONG_INSTRUMENT = "wrong_instrument"
    PARTIAL_THEN_SILENCE = "partial_then_silence"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that strikes ``share`` of all commands."""

    kind: FaultKind
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InvalidReference("fault", f"{self.share} is not a share")


def parse_fault(text: str) -> Fault:
    """``NAME`` or ``NAME:SHARE``; raises ``InvalidReference``."""
    name, _, share = text.partition(":")
    try:
        return Fault(FaultKind(name), float(share) if share else 1.0)
    except ValueError:
        raise InvalidReference("fault", f"{text} is none of {', '.join(FaultKind)}, with a share if any") from None


def striking(command_id: str, faults: Sequence[Fault]) -> FaultKind | None:
    """The first of ``faults`` that strikes the command."""
    for fault in faults:
        digest = blake2b(f"{fault.kind}\0{command_id}".encode(), digest_size=8).digest()
        if int.from_bytes(digest, "big") < fault.share * 2**64:
            return fault.kind
    return None


def distorted(execution: Execution, kind: FaultKind | None, lot_e8: int, instruments: Sequence[str]) -> Execution:
    """``execution`` as ``kind`` makes it; ``instruments`` are all there are, sorted."""
    if not execution.trades or kind is None:
        return execution
    last = execution.trades[-1]
    sign = 1 if last.quantity_e8 > 0 else -1
    match kind:
        case FaultKind.OVERFILL:
            changed = replace(last, quantity_e8=2 * last.quantity_e8)
        case FaultKind.WRONG_SIDE:
            changed = replace(last, quantity_e8=-last.quantity_e8)
        case FaultKind.WRONG_INSTRUMENT:
            others = [name for name in instruments if name != last.instrument]
            changed = replace(last, instrument=others[0]) if others else last
        case FaultKind.PARTIAL_THEN_SILENCE:
            half_e8 = abs(last.quantity_e8) // (2 * lot_e8) * lot_e8
            changed = replace(last, quantity_e8=sign * max(half_e8, lot_e8))
        case _:
            changed = last
    return replace(execution, trades=(*execution.trades[:-1], changed))
