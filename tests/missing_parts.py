"""A pytest plugin: a test whose server cannot be had on this machine is skipped, and said so at the end.

Owns the translation of ``ServerUnavailable`` into a skip with its reason, and the closing list of what was not run.
With ``CROSSMARGIN_REQUIRE_ALL=1`` nothing is translated: the missing server is an error.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

from tests.servers import ServerUnavailable

REQUIRE_ALL = "CROSSMARGIN_REQUIRE_ALL"
_PREFIX = "not run here: "


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an unavailable server into a skip, whether a fixture or the test itself met it."""
    report = yield
    unavailable = call.excinfo is not None and isinstance(call.excinfo.value, ServerUnavailable)
    if unavailable and not os.environ.get(REQUIRE_ALL):
        report.outcome = "skipped"
        path, line, _ = item.location
        report.longrepr = (path, line or 0, f"{_PREFIX}{call.excinfo.value}" if call.excinfo else _PREFIX)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was not run, and what would run it."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple) and _PREFIX in report.longrepr[2]:
            reasons[report.longrepr[2].split(_PREFIX, 1)[1]] += 1
    if not reasons:
        return
    terminalreporter.section("NOT RUN on this machine", yellow=True)
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} tests: {reason}")
