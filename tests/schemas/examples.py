"""The example files of the contracts, as tests use them."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "schemas" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One example record; ``reason`` and ``field`` are what an invalid one is refused for."""

    topic: str
    name: str
    key: bytes | None
    value: bytes | None
    plain: object
    reason: str = ""
    field: str = ""

    def __str__(self) -> str:
        return f"{self.topic}-{self.name}"


def load(group: str) -> list[Example]:
    """All examples of ``valid`` or ``invalid``, by topic and name."""
    return [_load(path) for path in sorted(ROOT.glob(f"*/v1/{group}/*.json"))]


def valid(topic: str, name: str) -> Example:
    """One valid example."""
    return _load(ROOT / topic / "v1" / "valid" / f"{name}.json")


def _load(path: Path) -> Example:
    content = json.loads(path.read_bytes())  # orjson turns 2^64 into a float
    value = content.get("value")
    if "value_base64" in content:
        raw: bytes | None = b64decode(content["value_base64"])
    elif isinstance(value, str):
        raw = value.encode()
    else:
        raw = None if value is None else json.dumps(value).encode()
    return Example(
        topic=path.parents[2].name,
        name=path.stem,
        key=None if content["key"] is None else content["key"].encode(),
        value=raw,
        plain=value,
        reason=content.get("reason", ""),
        field=content.get("field", ""),
    )
