# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cache: directories outside the source tree, each keyed by the content it was made from and complete or absent."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

UNUSED_KEPT = 2         # of each kind: so that two branches can alternate, and old kernels do not pile up


def cache_root() -> pathlib.Path:
    """The lab's part of $XCP_CACHE, or of the place that the XDG base directory specification names."""
    if chosen := os.environ.get("XCP_CACHE"):
        return pathlib.Path(chosen).absolute() / "lab"
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "xcpbus" / "lab"


def key_of(*parts: str | bytes) -> str:
    """A key that changes with any of the parts, or with the border between two of them."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


def cached(kind: str, key: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The directory KIND-KEY; made in a temporary one and renamed, so that an interrupted build leaves nothing that looks done.

    The lock is per kind: of two builders the second waits and then finds the first one's work.
    """
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{kind}-{key}"
    if path.exists():
        os.utime(path)
        return path
    with (root / f".lock-{kind}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _leftovers_remove(root, kind)
            with tempfile.TemporaryDirectory(dir=root, prefix=f".new-{kind}-") as new:
                content = pathlib.Path(new) / "content"
                content.mkdir()
                make(content)
                content.rename(path)
            _prune(root, kind, path)
    return path


def _leftovers_remove(root: pathlib.Path, kind: str) -> None:
    """Of a builder that was killed: whoever holds the lock is the only one at work on this kind."""
    for path in root.glob(f".new-{kind}-*"):
        shutil.rmtree(path)


def _prune(root: pathlib.Path, kind: str, keep: pathlib.Path) -> None:
    others = [path for path in root.glob(f"{kind}-*") if path != keep]
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[UNUSED_KEPT:]:
        shutil.rmtree(path)
