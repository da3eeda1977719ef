"""Where compiled kernels are kept: one folder per version of their sources.

Owns the choice of that folder. Numba looks only at the module of a kernel to decide whether its machine code is still
good, not at the modules that the kernel calls into; after an update it would run old pieces inside new ones. Naming the
folder after all sources with kernels in them makes that impossible. A folder that the user has chosen is left alone.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

PACKAGES = ("engine", "streams")
MARKS = (b"@compiled", b"@allocation_free", b"@inlined", b"njit")


def use_kernel_cache() -> Path:
    """Tell Numba where to keep machine code; call it before any kernel module is imported."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        chosen = os.environ["NUMBA_CACHE_DIR"] = str(cache / "crossmargin" / f"kernels-{digest_of_sources()}")
    return Path(chosen)


def digest_of_sources() -> str:
    """A digest of every module that has kernels."""
    root = Path(__file__).resolve().parent.parent
    digest = blake2b(digest_size=8)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            source = path.read_bytes()
            if any(mark in source for mark in MARKS):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + source)
    return digest.hexdigest()
