"""Documents that name code are held to it: the way of a fill, paths, links, commands, decision numbers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click import Context

from streams.cli import cli

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| (\d+) \| `(?P<file>[^`]+)` `(?P<symbol>[^`]+)` \| (?P<what>.+) \|$", re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
STOPS = [match.group("file", "symbol") for match in ROW.finditer(ARCHITECTURE.read_text(encoding="utf-8"))]


def defined_names(tree: ast.Module) -> set[str]:
    """Top-level names of a module and ``Class.member`` names."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            members = [member for member in node.body if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {f"{node.name}.{member.name}" for member in members}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def commands() -> set[str]:
    """Every subcommand of ``crossmargin``."""
    return set(cli.list_commands(Context(cli)))


def test_the_way_of_a_fill_is_complete_and_in_order() -> None:
    numbers = [int(match[1]) for match in ROW.finditer(ARCHITECTURE.read_text(encoding="utf-8"))]
    assert list(range(1, len(numbers) + 1)) == numbers
    assert 14 <= len(numbers) <= 18


@pytest.mark.parametrize(("file", "symbol"), STOPS, ids=[symbol for _, symbol in STOPS])
def test_every_stop_of_a_fill_exists(file: str, symbol: str) -> None:
    path = ROOT / file
    assert path.is_file(), f"{file} is gone: correct docs/architecture.md"
    if path.suffix == ".py":
        assert symbol in defined_names(ast.parse(path.read_text(encoding="utf-8"))), f"{file} has no {symbol}"
    else:
        assert symbol in path.read_text(encoding="utf-8"), f"{file} does not mention {symbol}"


def test_the_architecture_can_be_read_in_one_sitting() -> None:
    assert len(ARCHITECTURE.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_named_in_a_document_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"`((?:engine|schemas|streams|tests|bench|docs|scripts)/[\w./-]+)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert [] == missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert [] == missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_named_in_a_document_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^ *\$? *|bin/)crossmargin ([a-z][a-z-]+)", text, re.MULTILINE)
    assert set() == set(named) - commands()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set() == set(re.findall(r"`make ([a-z]+)", text)) - targets


def test_decisions_are_numbered_without_gaps_and_have_the_same_parts() -> None:
    notes = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [f"{number:04d}" for number in range(1, len(notes) + 1)] == [note.name[:4] for note in notes]
    for note in notes:
        headings = re.findall(r"^## (.+)$", note.read_text(encoding="utf-8"), re.MULTILINE)
        assert ["Context", "Decision", "Consequences", "Alternatives"] == headings, note.name


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set() == {name for name in commands() if f"`crossmargin {name}" not in readme}
