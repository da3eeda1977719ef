"""Topic ``liquidation-control``: who has stopped which liquidations, until when and why, keyed by scope, compacted."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.fields import Identifier, Micros

HOLD_US_MAX = 86_400_000_000
"""The longest hold: a day from when it was ordered. Whoever needs longer has to say so again."""

ControlScope = Literal["global", "instrument", "venue", "account"]
ControlMode = Literal["run", "reduce_only", "cancel_only", "halt"]
"""By severity."""


class LiquidationControlV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A hold on liquidations, or with mode ``run`` the end of all holds of its scope. Of several the strictest counts.

    ``halt`` stops every command, ``cancel_only`` all but cancelling orders and releasing an account, ``reduce_only``
    those that may open a position (``hedge``). ``target`` is the id of the instrument, venue or account; ``global``
    has none. A hold ends at ``until_us``, at the latest ``HOLD_US_MAX`` after ``event_time_us``, whoever forgets it;
    ``run`` has no end. Ordering a hold takes one person. Ending, weakening or shortening one takes two: a record that
    is ``approved_by`` somebody other than ``issued_by`` replaces what was ordered for its scope before.
    """

    v: Literal[1]
    event_id: Identifier
    scope: ControlScope
    mode: ControlMode
    issued_by: Identifier
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    event_time_us: Micros
    target: Identifier | None = None
    until_us: Micros | None = None
    approved_by: Identifier | None = None
