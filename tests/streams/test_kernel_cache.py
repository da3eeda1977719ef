"""Machine code is kept per version of its sources, unless the user says where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams import kernel_cache
from streams.kernel_cache import digest_of_sources, use_kernel_cache


def test_a_changed_kernel_gets_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_of_sources()
    assert before == digest_of_sources()
    monkeypatch.setattr(kernel_cache, "MARKS", (*kernel_cache.MARKS, b"class MarginEngine"))
    assert before != digest_of_sources(), "one more source belongs to the kernels"


def test_the_folder_of_the_user_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert tmp_path == use_kernel_cache()
    assert str(tmp_path) == os.environ["NUMBA_CACHE_DIR"]


def test_a_command_chooses_it_before_kernels_are_imported(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    program = (
        "import sys; from streams import cli; cli.use_kernel_cache(); import engine.siphash, numba; "
        "engine.siphash.siphash(b'x'); print(numba.config.CACHE_DIR)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[2], capture_output=True, check=True
    )
    folder = Path(done.stdout.decode().strip())
    assert tmp_path in folder.parents
    assert list(folder.rglob("*siphash*.nbi"))
