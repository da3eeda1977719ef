"""What a settled worker holds is out of the garbage collector's sight, and garbage made later is still collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from streams.transport.heap import YOUNG_OBJECTS, settle_heap


class Node:
    """Part of a cycle."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def restored_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_exists_is_exempt_and_what_comes_later_is_not() -> None:
    kept = [Node() for _ in range(100)]
    settle_heap()
    assert gc.get_freeze_count() >= len(kept)
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    later = Node()
    assert any(found is later for found in gc.get_objects())
    assert not any(found is kept[0] for found in gc.get_objects())
    seen = weakref.ref(later)
    del later
    gc.collect()
    assert seen() is None


def test_garbage_of_before_is_collected_and_not_kept_for_ever() -> None:
    garbage = Node()
    seen = weakref.ref(garbage)
    del garbage
    settle_heap()
    assert seen() is None
