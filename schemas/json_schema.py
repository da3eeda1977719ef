"""JSON Schema of every contract, for producers and tools in other languages.

Owns the list of schema names and the translation of msgspec's output to the JSON Schema dialect. A schema states form
only: relations between fields and the 64-bit range of amounts are checked when a record is decoded and translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from schemas.catalogue import CONTRACTS, load_catalogue, struct_types
from schemas.documents import DOCUMENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def _contracts() -> Mapping[str, object]:
    named = {topic.name: topic.contract_type for topic in load_catalogue().values()}
    for contract in CONTRACTS.values():
        named.update({struct.__name__: struct for struct in struct_types(contract)})
    return {**named, **CONTRACTS, **DOCUMENTS}


def schema_names() -> tuple[str, ...]:
    """Topics, contracts (each member of a union too) and documents, sorted."""
    return tuple(sorted(_contracts()))


def json_schema(name: str) -> dict[str, object]:
    """The JSON Schema of a topic's records, of a contract or of a document; ``KeyError`` for any other name."""
    schema = msgspec.json.schema(_contracts()[name])
    return {"$schema": DIALECT, "title": name, **{key: portable(value) for key, value in schema.items()}}


def portable(node: object) -> object:
    r"""JSON Schema patterns are ECMA 262: ``$`` ends the text there, and ``\Z`` does not exist."""
    if isinstance(node, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" and isinstance(value, str) else portable(value)
            for key, value in node.items()
        }
    return [portable(item) for item in node] if isinstance(node, list) else node
