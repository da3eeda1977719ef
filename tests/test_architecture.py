"""Documents that name code are held to it: the way of a fill, paths, links, commands, decision numbers."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest
from click import Context

from engine.errors import InvariantBroken
from engine.outcomes import Disposition, MarginStatus, Refusal, Rejection
from schemas.errors import Reason
from streams.cli import cli
from streams.dead_letters import DeadLetterFlood
from streams.errors import FatalStreamError, UnsafeConfiguration
from streams.rows import UnreadableRow
from streams.settings import Settings

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
    named = re.findall(r"(?:`|^\$ |^ {4,}|bin/)crossmargin ([a-z][a-z-]+)", text, re.MULTILINE)
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


@pytest.mark.parametrize("reasons", [Reason, Rejection, Refusal, Disposition], ids=lambda reasons: reasons.__name__)
def test_every_reason_is_explained_in_the_glossary(reasons: type[StrEnum]) -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [] == [reason.value for reason in reasons if f"`{reason.value}`" not in glossary]


def test_every_margin_status_is_in_the_glossary() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [] == [status.name for status in MarginStatus if f"`{status.name.lower()}`" not in glossary]


def test_every_setting_is_in_the_operations_guide_with_its_default() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`CROSSMARGIN_.+?) \| (.+?) \|", guide, re.MULTILINE)
    told: dict[str, str] = {}
    for names, defaults in rows:
        told |= dict(zip(re.findall(r"`([A-Z_]+)`", names), defaults.replace("`", "").split(", "), strict=True))
    defaults = {f"CROSSMARGIN_{field.name.upper()}": field.default for field in fields(Settings)}
    expected = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in defaults.items()}
    assert {name: value or "none" for name, value in expected.items()} == told


def test_everything_that_stops_a_worker_is_in_the_operations_guide() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    fatal = [UnsafeConfiguration, *FatalStreamError.__subclasses__(), DeadLetterFlood, UnreadableRow, InvariantBroken]
    assert [] == [error.__name__ for error in fatal if f"`{error.__name__}`" not in guide]


READS_BOTH_SIDES = {
    "streams/runner.py": "reads one contract, that of dead letters, which it writes itself",
    "streams/explain.py": "compares a stored decision with the one that the engine makes of the same inputs",
    "streams/executor/history.py": "plays the venue's side, in its own process",
    "streams/stress_books.py": "takes the same standing from a replayed engine or from stored snapshots",
}


def test_only_the_translation_knows_both_contracts_and_engine_values() -> None:
    both = []
    for path in sorted((ROOT / "streams").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        reads_contracts = re.search(r"^from schemas\.events", text, re.MULTILINE)
        reads_values = re.search(r"^from engine\.(events|commands|reference)", text, re.MULTILINE)
        if reads_contracts and reads_values and path.parent.name != "translate":
            both.append(path.relative_to(ROOT).as_posix())
    assert sorted(READS_BOTH_SIDES) == both
