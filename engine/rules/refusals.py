"""The one way a rule says no.

Owns the error for a question that has no number: closing a position that is not there, a shortage that no finite
trade covers. Refuses to know the rules. Input that is wrong in itself (a share above one, an unknown market) is
``engine.errors.InvalidReference`` instead.
"""

from __future__ import annotations

from engine.errors import EngineError


class RuleRefusal(EngineError):
    """The rule gives no number here. ``code`` is stable, lower case and short: callers report it as it is."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
