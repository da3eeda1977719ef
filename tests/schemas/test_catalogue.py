"""The topic manifest: loads, and refuses what contradicts the contracts."""

from __future__ import annotations

from importlib import resources

import pytest

from schemas.catalogue import load_catalogue, parse_catalogue
from schemas.errors import InvalidCatalogue
from schemas.events.control import HOLD_US_MAX

MANIFEST = resources.files("schemas").joinpath("topics.toml").read_text(encoding="utf-8")

FILLS = """
[fills]
description = "Executed trades."
contract = "FillV1"
version = 1
key = "account"
partitions = "accounts"
cleanup = "delete"
retention_days = 30
producers = ["exchange back ends"]
consumers = ["risk"]
"""


def test_account_topics_are_co_partitioned_and_the_others_are_not() -> None:
    counts = {name: topic.partition_count(12) for name, topic in load_catalogue().items()}
    by_account = {name for name, topic in load_catalogue().items() if topic.key == "account"}
    assert by_account == {name for name, count in counts.items() if count == 12}
    assert {1} == {count for name, count in counts.items() if name not in by_account}


def test_every_topic_others_write_to_has_dead_letters() -> None:
    own = {name for name, topic in load_catalogue().items() if topic.dead_letters is None}
    assert {"liquidations", "margin-events", "gap-at-risk", "dead-letters"} == own


def test_compacted_topics_hold_state_by_key() -> None:
    compacted = {name for name, topic in load_catalogue().items() if topic.cleanup == "compact"}
    assert {"marks", "reference", "settlements", "liquidation-control"} == compacted


def test_controls_are_kept_longer_than_a_hold_may_last() -> None:
    assert HOLD_US_MAX < load_catalogue()["liquidation-control"].compaction_lag_days * 86_400_000_000


def test_sound_manifest_is_accepted() -> None:
    assert ["fills"] == list(parse_catalogue(FILLS))


@pytest.mark.parametrize(
    ("line", "replacement", "words"),
    [
        ('contract = "FillV1"', 'contract = "FillV9"', "contract: no contract FillV9"),
        ("version = 1", "version = 2", "version: is 2 of FillV1"),
        ("version = 1", "version = 0", "version"),
        ('key = "account"', 'key = "acct"', "key: no field acct"),
        ('key = "account"', 'key = "instrument"', "partitions"),
        ('partitions = "accounts"', "partitions = 4", "partitions"),
        ('partitions = "accounts"', "partitions = 0", "partitions"),
        ('cleanup = "delete"', 'cleanup = "burn"', "cleanup"),
        ("retention_days = 30", "retention_days = -1", "retention_days"),
        ('consumers = ["risk"]', "consumers = []", "consumers"),
        ('consumers = ["risk"]', 'consumers = ["risk"]\ndead_letters = "nowhere"', "dead_letters: no topic nowhere"),
        ('consumers = ["risk"]', 'consumers = ["risk"]\nowner = "me"', "owner"),
        ('description = "Executed trades."', "", "description"),
    ],
)
def test_manifest_that_contradicts_itself_is_refused(line: str, replacement: str, words: str) -> None:
    assert line in FILLS
    with pytest.raises(InvalidCatalogue, match="fills") as caught:
        parse_catalogue(FILLS.replace(line, replacement))
    assert words in str(caught.value)


def test_manifest_that_is_not_toml_is_refused() -> None:
    with pytest.raises(InvalidCatalogue, match="not TOML"):
        parse_catalogue("[fills")


def test_topic_that_is_not_a_table_is_refused() -> None:
    with pytest.raises(InvalidCatalogue, match="fills"):
        parse_catalogue("fills = 3")


def test_manifest_is_part_of_the_package() -> None:
    assert set(load_catalogue()) == set(parse_catalogue(MANIFEST))
