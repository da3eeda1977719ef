"""Topics that are never fetched ahead of another: what was published to that other one before them is known with them.

A worker that sees a record of one topic must be able to ask what of another topic was there before it, and the only
cheap answer is the high-water mark that came with the same answer of the broker. Two things break it. A partition
whose records still lie in the buffer is left out of a fetch, so its mark is old; and a broker reads partitions in the
order of the request, which aiokafka shuffles, so the mark may be older than the record by a partition's reading.

Owns both: in each request a following topic stands in front of the one it follows, and its partition is left out with
that one's. Holds for partitions that the same broker leads. Refuses to know what is in the topics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from faust.types import TP

Wanted = tuple[str, list[tuple[int, int, int]]]
"""Topic, and per partition its number, offset and bytes at most."""


def keep_order(fetcher: Any, follows: Mapping[str, str]) -> None:
    """Make ``fetcher`` (aiokafka's, started, nothing fetched yet) fetch each topic in ``follows`` only together with
    the same partition of the topic it follows, and read first. ``follows`` is looked at before every request."""
    actions: Callable[[Any], Any] = fetcher._get_actions_per_node

    def in_order(assignment: Any) -> Any:
        requests, *others = actions(assignment)
        for _, request in requests:
            request._topics = ordered(request._topics, follows, fetcher._records)
        return [(node, request) for node, request in requests if request._topics], *others

    fetcher._get_actions_per_node = in_order


def ordered(topics: list[Wanted], follows: Mapping[str, str], buffered: Mapping[Any, object]) -> list[Wanted]:
    """``topics`` of a request without partitions whose companion is in ``buffered``; followers come first."""
    kept = []
    for topic, partitions in topics:
        leader = follows.get(topic)
        if leader is not None:
            partitions = [wanted for wanted in partitions if TP(leader, wanted[0]) not in buffered]
        if partitions:
            kept.append((topic, partitions))
    return sorted(kept, key=lambda wanted: wanted[0] not in follows)
