"""Public names: what a package says it exports is what it exports, documented; error trees are drawn as they are."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import engine
import schemas
import streams

PACKAGES = (engine, schemas, streams)
WITH_ALL = [package for package in PACKAGES if hasattr(package, "__all__")]


def error_modules() -> list[str]:
    """Every module named ``errors`` of the three packages."""
    found = [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return sorted(name for name in found if name.rpartition(".")[2] == "errors")


def test_the_engine_declares_its_public_names() -> None:
    assert engine in WITH_ALL
    assert {"MarginEngine", "MarginMethod", "Portfolio", "margin_requirement"} <= set(engine.__all__)


@pytest.mark.parametrize("package", WITH_ALL, ids=lambda package: package.__name__)
def test_declared_names_exist_once_and_say_what_they_are(package: ModuleType) -> None:
    names = list(package.__all__)
    assert sorted(set(names)) == sorted(names)
    for name in names:
        exported = getattr(package, name)
        if inspect.isclass(exported) or inspect.isfunction(exported):
            assert inspect.getdoc(exported), name


@pytest.mark.parametrize("package", WITH_ALL, ids=lambda package: package.__name__)
def test_nothing_public_is_left_undeclared(package: ModuleType) -> None:
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public == set(package.__all__)


@pytest.mark.parametrize("name", error_modules())
def test_error_trees_are_drawn_as_they_are(name: str) -> None:
    module = importlib.import_module(name)
    drawing = module.__doc__ or ""
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == name
    ]
    assert own
    for error in own:
        assert error.__name__ in drawing, f"{name} does not draw {error.__name__}"


def test_the_engine_refuses_to_run_without_its_assertions() -> None:
    result = subprocess.run([sys.executable, "-O", "-c", "import engine"], capture_output=True, text=True, check=False)
    assert 0 != result.returncode
    assert "-O" in result.stderr


def test_importing_the_engine_brings_no_framework() -> None:
    probe = "import sys, engine; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    for framework in ("faust", "aiokafka", "kafka", "clickhouse_driver", "msgspec", "click"):
        assert f"'{framework}'" not in result.stdout
