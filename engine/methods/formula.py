"""Formulas: how a method's file says that its components combine.

Owns a small expression language (numbers, names, + - * /, max, min, total) and its evaluation on arrays over margin
units. Refuses everything else, so a file can state a rule and never run a program.

A name is a component or a parameter. Over one margin unit (underlying) a component is its amount there; ``total(x)``
adds over units and is meant for the account's formula.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.pricing.axes import Floats

_BINARY: Mapping[type[ast.operator], Callable[[Floats, Floats], Floats]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}


@dataclass(frozen=True, slots=True)
class Formula:
    """A checked expression. ``names`` are the components and parameters it refers to."""

    text: str
    tree: ast.expr
    names: frozenset[str]


def parse_formula(text: str, field: str) -> Formula:
    """The expression in ``text``; raises ``InvalidReference`` naming ``field``."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise InvalidReference(field, f"{text!r} is not an expression") from error
    names: set[str] = set()
    _check(tree, field, names)
    return Formula(text, tree, frozenset(names))


def _check(node: ast.expr, field: str, names: set[str]) -> None:
    if isinstance(node, ast.Name):
        names.add(node.id)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _check(node.left, field, names)
        _check(node.right, field, names)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _check(node.operand, field, names)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords and node.args:
        if node.func.id not in ("max", "min", "total") or (node.func.id == "total" and len(node.args) != 1):
            raise InvalidReference(field, f"{ast.unparse(node)} is not max(...), min(...) or total(x)")
        for argument in node.args:
            _check(argument, field, names)
    elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
        raise InvalidReference(field, f"{ast.unparse(node)} is not allowed in a formula")


def evaluate(formula: Formula, value_of: Callable[[str], Floats]) -> Floats:
    """The formula's value; ``value_of`` gives a name's array, [U] over units or [] for the account."""
    return _evaluate(formula.tree, value_of)


def _evaluate(node: ast.expr, value_of: Callable[[str], Floats]) -> Floats:
    match node:
        case ast.Name(id=name):
            return value_of(name)
        case ast.Constant(value=number):
            return np.asarray(number, dtype=np.float64)
        case ast.UnaryOp(operand=operand):
            return np.negative(_evaluate(operand, value_of))
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left, value_of), _evaluate(right, value_of))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            values = [_evaluate(argument, value_of) for argument in arguments]
            if name == "total":
                return np.asarray(np.sum(values[0]), dtype=np.float64)
            result = values[0]
            for value in values[1:]:
                result = np.maximum(result, value) if name == "max" else np.minimum(result, value)
            return result
    raise AssertionError(f"unchecked formula: {ast.unparse(node)}")
