"""Published cases kept outside the repository: where they are, and how their inputs become arguments.

Each file is a list of cases (id, kind, inputs, expected, tolerance). The folder is named by ``CROSSMARGIN_VECTORS``
and is ``../shared/vectors`` beside the repository by default; without it the cases are skipped with the reason.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar, cast

import pytest

from engine.rules.rounding import exact

REPOSITORY = Path(__file__).resolve().parents[3]
Case = dict[str, object]
T = TypeVar("T")


def folder() -> Path:
    return Path(os.environ.get("CROSSMARGIN_VECTORS", str(REPOSITORY.parent / "shared" / "vectors")))


def cases(name: str, kinds: set[str] | None = None) -> list[object]:
    """One pytest parameter per case; a single skipped one when the folder is absent."""
    path = folder() / name
    if not path.exists():
        reason = f"no published cases at {path}: CROSSMARGIN_VECTORS=<folder> pytest tests/engine/rules"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    vectors = cast(list[Case], json.loads(path.read_text())["vectors"])
    chosen = [case for case in vectors if kinds is None or kind(case) in kinds]
    return [pytest.param(case, id=f"{case['kind']}-{case['id']}") for case in chosen]


def house(name: str) -> str:
    """A name of the files in the spelling of this repository."""
    return re.sub("ised", "ized", name)


def inputs(case: Case) -> dict[str, object]:
    return dict(cast(dict[str, object], case["inputs"]))


def expected(case: Case) -> dict[str, object]:
    return {house(name): value for name, value in cast(dict[str, object], case["expected"]).items()}


def kind(case: Case) -> str:
    return house(cast(str, case["kind"]))


def number(value: object, field: str = "value") -> Fraction:
    assert isinstance(value, (int, float, str)), field
    return exact(value, field)


def numbers(mapping: dict[str, object]) -> dict[str, Fraction]:
    return {key: number(value, key) for key, value in mapping.items()}


def close(actual: Fraction | float, wanted: object, tolerance: float) -> bool:
    """Absolute from 1e-4 up, else relative to max(1, |wanted|): the rule of the files."""
    target = float(number(wanted))
    scale = 1.0 if tolerance >= 1e-4 else max(1.0, abs(target))
    return abs(float(actual) - target) <= tolerance * scale


def build(factory: Callable[..., T], given: dict[str, object], **rest: object) -> T:
    """``factory`` with the numbers of ``given`` and ``rest`` as they are: the names of the files are its own."""
    return factory(**numbers(given), **rest)
