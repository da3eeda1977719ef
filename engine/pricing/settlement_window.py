"""Settlement window: how much of a forward is already decided when settlement averages the last minutes.

Owns the split. Refuses to know what a scenario does with the two parts.

An expiry that settles on the average of the index over a window before it has, ``s`` seconds before expiry, the share
(window - s) / window of that average behind it. A price shock moves only the rest.

Source: Derive's published second-generation portfolio margin (derivexyz/v2-core, PMRM_2), window 30 minutes.
"""

from __future__ import annotations

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats

WINDOW_SECONDS = 1800.0


def settlement_window_forward(
    forward: Floats | float, seconds: Floats | float, window: Floats | float = WINDOW_SECONDS
) -> tuple[Floats, Floats]:
    """``forward`` as (variable, fixed), F s / window and F (window - s) / window; all arguments broadcast together.

    ``seconds`` to expiry below 0 count as 0 (all fixed), from ``window`` on all is variable. Raises
    ``InvalidReference`` for a negative forward, a window that is not positive, or what is not finite.
    """
    price, left, length = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (forward, seconds, window))
    )
    for field, value in (("forward", price), ("seconds", left), ("window", length)):
        if not np.all(np.isfinite(value)):
            raise InvalidReference(field, "must be finite")
    if not np.all(price >= 0.0):
        raise InvalidReference("forward", "must not be negative")
    if not np.all(length > 0.0):
        raise InvalidReference("window", "must be positive")
    left = np.clip(left, 0.0, length)
    variable = np.where(left == length, price, price * left / length)
    return variable, price * (length - left) / length
