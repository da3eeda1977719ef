"""What a user installs: the built wheel and source archive, in clean environments away from the checkout."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("engine", "schemas", "streams", "docs")
COPIED_FILES = ("pyproject.toml", "uv.lock", "README.md", "CHANGELOG.md", "LICENSE")

pytestmark = pytest.mark.timeout(600)


def uv() -> str:
    """The installer that built this environment."""
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    assert found, "uv is missing: make test installs it"
    return found


def run(command: Sequence[str | Path], where: Path, **environment: str) -> str:
    """Run a command in ``where`` and return its standard output."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=where,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == result.returncode, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the distribution is made of, so that building leaves nothing behind in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in COPIED:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def distributions(checkout: Path) -> Path:
    """The folder with the built wheel and source archive."""
    run([uv(), "build", "--quiet", "--out-dir", "dist"], checkout)
    return checkout / "dist"


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    """The built wheel."""
    (built,) = distributions.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of a clean environment with the wheel and its locked dependencies, and none of the extras."""
    home = tmp_path_factory.mktemp("installed")
    requirements = run(
        [uv(), "export", "--frozen", "--quiet", "--no-dev", "--no-emit-project", "--format", "requirements-txt"],
        checkout,
    )
    (home / "requirements.txt").write_text(requirements, encoding="utf-8")
    run([uv(), "venv", "--quiet", "--python", sys.executable, "venv"], home)
    python = home / "venv" / "bin" / "python"
    run([uv(), "pip", "install", "--quiet", "--python", python, "-r", "requirements.txt"], home)
    run([uv(), "pip", "install", "--quiet", "--python", python, "--no-deps", wheel], home)
    return python.parent


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    declared = [*project["dependencies"], *optional]
    names = {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in declared}
    providers = packages_distributions()
    undeclared = set()
    for path in (file for package in COPIED[:3] for file in (ROOT / package).rglob("*.py")):
        for module in imported(path) - sys.stdlib_module_names - {"engine", "schemas", "streams"}:
            if not names & {provider.lower() for provider in providers.get(module, ())}:
                undeclared.add(f"{path.relative_to(ROOT)}: {module}")
    assert set() == undeclared


def test_the_wheel_holds_the_packages_their_data_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {"engine", "schemas", "streams", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"} == tops
    assert {"engine/py.typed", "schemas/py.typed", "streams/py.typed", "schemas/topics.toml"} <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.parametrize("package", ["engine", "schemas", "streams"])
def test_every_file_of_a_package_is_in_the_wheel(package: str, wheel: Path) -> None:
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*") if path.is_file()}
    here = {name for name in here if "__pycache__" not in name}
    assert set() == here - set(zipfile.ZipFile(wheel).namelist())


def test_the_source_archive_builds_the_same_wheel(distributions: Path, wheel: Path, tmp_path: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run([uv(), "build", "--quiet", "--wheel", "--out-dir", tmp_path / "again"], source)
    (rebuilt,) = (tmp_path / "again").glob("*.whl")
    assert sorted(zipfile.ZipFile(wheel).namelist()) == sorted(zipfile.ZipFile(rebuilt).namelist())


def test_packages_are_imported_from_the_installation(installed: Path, tmp_path: Path) -> None:
    probe = "import engine, schemas, streams; print(engine.__file__, schemas.__file__, streams.__file__)"
    for file in run([installed / "python", "-c", probe], tmp_path).split():
        assert "site-packages" in file
        assert not Path(file).is_relative_to(ROOT)


def test_only_the_embedded_parts_need_the_extra(installed: Path, tmp_path: Path) -> None:
    probe = """
import importlib, pkgutil, engine, schemas, streams
for package in (engine, schemas, streams):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                print(module.name, error.name)
"""
    lacking = [line.split() for line in run([installed / "python", "-c", probe], tmp_path).splitlines()]
    assert {"chdb"} <= {missing.partition(".")[0] for _, missing in lacking} <= {"chdb", "noida", "matplotlib"}
    outside_the_demo = {module for module, _ in lacking if not module.startswith("streams.demo")}
    assert {"streams.audit.embedded", "streams.backtest_chart", "streams.stress_chart"} == outside_the_demo


def test_the_command_answers(installed: Path, tmp_path: Path) -> None:
    text = run([installed / "crossmargin", "--help"], tmp_path)
    assert re.search(r"^Usage: crossmargin", text, re.MULTILINE)


def test_schemas_are_printed_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    schema = json.loads(run([installed / "crossmargin", "schema", "fills"], tmp_path))
    assert "FillV1" in json.dumps(schema)


def test_entry_points_can_be_loaded(installed: Path, tmp_path: Path) -> None:
    probe = """
from importlib.metadata import distribution
for point in distribution("crossmargin").entry_points:
    print(point.group, point.name, point.load())
"""
    assert "console_scripts crossmargin" in run([installed / "python", "-c", probe], tmp_path)


def test_the_steps_of_the_dockerfile_give_a_working_command(checkout: Path, tmp_path: Path) -> None:
    steps = re.findall(r"^RUN (uv sync .+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert 2 == len(steps)
    target = tmp_path / "image"
    for step in steps:
        run([uv(), *step.split()[1:], "--python", sys.executable], checkout, UV_PROJECT_ENVIRONMENT=str(target))
    shutil.rmtree(checkout / "streams")  # --no-editable: the sources of the build stage are not in the image
    try:
        assert "worker" in run([target / "bin" / "crossmargin", "--help"], tmp_path)
    finally:
        shutil.copytree(ROOT / "streams", checkout / "streams", ignore=shutil.ignore_patterns("__pycache__"))
