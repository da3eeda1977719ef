"""A server that cannot be had is a named skip, or a failure where everything is required."""

from __future__ import annotations

import pytest

from tests.missing_parts import REQUIRE_ALL

SUITE = """
import pytest
from tests.servers import ServerUnavailable

@pytest.fixture(scope="session")
def server():
    raise ServerUnavailable("no server: run `install server`")

def test_first(server): ...
def test_second(server): ...
def test_in_the_test_itself():
    raise ServerUnavailable("no other server")
def test_without(): ...
def test_broken():
    raise RuntimeError("a bug")
"""


def run(pytester: pytest.Pytester) -> pytest.RunResult:
    """Run ``SUITE`` with the plugin, away from this repository's configuration."""
    pytester.makepyfile(SUITE)
    plugins = ["-p", "tests.missing_parts", "-p", "no:randomly", "-p", "no:asyncio"]
    return pytester.runpytest(*plugins)


def test_unavailable_servers_are_skips_named_at_the_end(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    result = run(pytester)
    result.assert_outcomes(passed=1, skipped=3, failed=1)
    result.stdout.fnmatch_lines(
        ["*NOT RUN on this machine*", "2 tests: no server: run `install server`", "1 tests: no other server"]
    )


def test_unavailable_servers_are_failures_where_everything_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REQUIRE_ALL, "1")
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=2, failed=2)
    result.stdout.no_fnmatch_line("*NOT RUN*")
