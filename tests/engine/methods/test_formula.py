"""The expression language of method files: arithmetic over units, and nothing that could run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.methods.formula import evaluate, parse_formula
from engine.pricing.axes import Floats

UNITS = {"a": np.array([1.0, -2.0]), "b": np.array([4.0, 3.0]), "k": np.asarray(2.0)}


def value(text: str) -> Floats:
    return evaluate(parse_formula(text, "requirement.initial"), UNITS.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", [5.0, 1.0]),
        ("a - b * k", [-7.0, -8.0]),
        ("(a - b) * k", [-6.0, -10.0]),
        ("-a / k", [-0.5, 1.0]),
        ("max(a, 0)", [1.0, 0.0]),
        ("max(a, b, k)", [4.0, 3.0]),
        ("min(a, b - 4)", [0.0, -2.0]),
        ("total(b) + 1.5", 8.5),
        ("max(total(a), -3)", -1.0),
    ],
)
def test_expression_has_the_value_that_it_reads_as(text: str, expected: object) -> None:
    assert expected == value(text).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "a +",
        "",
        "a ** b",
        "a if b else k",
        "__import__('os')",
        "a.real",
        "a[0]",
        "[a]",
        "lambda: a",
        "max()",
        "max(a, key=b)",
        "total(a, b)",
        "abs(a)",
        "'text'",
        "True",
        "a < b",
        "(a := 1)",
    ],
)
def test_anything_else_is_refused_naming_the_formula(text: str) -> None:
    with pytest.raises(InvalidReference, match=r"requirement\.initial"):
        parse_formula(text, "requirement.initial")


def test_names_are_listed() -> None:
    assert frozenset({"a", "b"}) == parse_formula("max(a, b) + total(a)", "f").names


@given(st.text(max_size=40))
def test_no_text_gets_past_with_another_error(text: str) -> None:
    try:
        parse_formula(text, "f")
    except InvalidReference:
        return
    parse_formula(text, "f")
