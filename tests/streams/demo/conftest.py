"""One rehearsal of fifteen hours around the depeg, shared by the tests that look at a finished run."""

from __future__ import annotations

import pytest

from streams.demo.exchange import Exchange
from streams.demo.prices import load_minutes, window
from tests.streams.demo.rehearsal import Rehearsal


def pytest_configure(config: pytest.Config) -> None:
    """The marker of the tests that run the whole demonstration."""
    config.addinivalue_line("markers", "demo: the whole demonstration as a user runs it; half a minute")


@pytest.fixture(scope="session")
def rehearsal() -> Rehearsal:
    rehearsed = Rehearsal(Exchange(window(load_minutes(), 900), 40, seed=3))
    rehearsed.play()
    return rehearsed
