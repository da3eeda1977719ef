"""The catalogue of topics: loads ``topics.toml`` and proves it against the contracts.

Owns what is known about a topic: its contract, key, partitions, retention, who touches it. Refuses to talk to a broker
(``streams.kafka_admin``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from schemas.errors import InvalidCatalogue
from schemas.events.collateral import CollateralV1
from schemas.events.control import LiquidationControlV1
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.fills import FillV1
from schemas.events.gap_at_risk import GapAtRiskV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.margin_events import MarginEventV1
from schemas.events.prices import MarkV1, PriceV1
from schemas.events.reference import ReferenceV1
from schemas.events.settlements import SettlementV1

CONTRACTS: Mapping[str, object] = MappingProxyType(
    {
        "FillV1": FillV1,
        "CollateralV1": CollateralV1,
        "LiquidationAckV1": LiquidationAckV1,
        "PriceV1": PriceV1,
        "MarkV1": MarkV1,
        "ReferenceV1": ReferenceV1,
        "SettlementV1": SettlementV1,
        "LiquidationControlV1": LiquidationControlV1,
        "LiquidationCommandV1": LiquidationCommandV1,
        "MarginEventV1": MarginEventV1,
        "GapAtRiskV1": GapAtRiskV1,
        "DeadLetterV1": DeadLetterV1,
    }
)
"""Every contract a topic may carry, by name: a struct, or a union of structs told apart by ``type``."""

COMPUTED_KEYS = frozenset({"type:id", "scope:target", "partition", "address"})
"""Keys that are not one field: kind and id of reference data; scope and id of a control (``global`` has none); a
partition's number; topic, partition and offset of a dead letter."""

Names = Annotated[tuple[str, ...], Meta(min_length=1)]


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One topic of the manifest. ``partitions`` is a number, or ``accounts`` for the co-partitioned count;
    ``retention_days`` 0 means for ever; ``compaction_lag_days`` is how long a compacted topic keeps every record of a
    key; ``dead_letters`` is where its bad records go (None: written by us only)."""

    name: str
    description: Annotated[str, Meta(min_length=1)]
    contract: str
    version: Annotated[int, Meta(ge=1)]
    key: str
    partitions: Annotated[int, Meta(ge=1)] | Literal["accounts"]
    cleanup: Literal["delete", "compact"]
    retention_days: Annotated[int, Meta(ge=0)]
    producers: Names
    consumers: Names
    compaction_lag_days: Annotated[int, Meta(ge=0)] = 0
    dead_letters: str | None = None

    @property
    def contract_type(self) -> object:
        """The struct type, or union of struct types, of the records."""
        return CONTRACTS[self.contract]

    def partition_count(self, accounts: int) -> int:
        """How many partitions the topic has where account-keyed topics have ``accounts``."""
        return accounts if self.partitions == "accounts" else self.partitions


def parse_catalogue(text: str) -> Mapping[str, Topic]:
    """Read a manifest; raises ``InvalidCatalogue`` naming topic and field."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidCatalogue(f"not TOML: {error}") from error
    topics = {}
    for name, entry in plain.items():
        try:
            topics[name] = msgspec.convert({**entry, "name": name}, type=Topic)
        except (msgspec.ValidationError, TypeError) as error:
            raise InvalidCatalogue(f"{name}: {error}") from error
    for topic in topics.values():
        _check(topic, topics)
    return MappingProxyType(topics)


@cache
def load_catalogue() -> Mapping[str, Topic]:
    """The manifest that ships with this package, by topic name."""
    return parse_catalogue(resources.files("schemas").joinpath("topics.toml").read_text(encoding="utf-8"))


def struct_types(contract: object) -> tuple[type[msgspec.Struct], ...]:
    """The struct types a contract consists of."""
    return get_args(contract) or (contract,)


def _check(topic: Topic, topics: Mapping[str, Topic]) -> None:
    def require(holds: bool, field: str, detail: str) -> None:
        if not holds:
            raise InvalidCatalogue(f"{topic.name}: {field}: {detail}")

    require(topic.contract in CONTRACTS, "contract", f"no contract {topic.contract}")
    require(topic.contract.endswith(f"V{topic.version}"), "version", f"is {topic.version} of {topic.contract}")
    fields = [set(struct.__struct_fields__) for struct in struct_types(topic.contract_type)]
    require(topic.key in COMPUTED_KEYS or all(topic.key in names for names in fields), "key", f"no field {topic.key}")
    # Co-partitioning is what lets one worker own an account: all topics keyed by account, and no others.
    require((topic.key == "account") == (topic.partitions == "accounts"), "partitions", "account topics, and no others")
    require(topic.dead_letters in (None, *topics), "dead_letters", f"no topic {topic.dead_letters}")
