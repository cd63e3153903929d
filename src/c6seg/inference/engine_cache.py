"""Compiled networks kept for the next start, in the user's cache folder.

An entry is one file: the SHA-256 of what follows, then the compiled network. Its name is a key over everything that
decides what a compiler makes: the network's files, the runtime's version, the processor, the precision. An entry is
written under another name and renamed, so that two processes that start at once do not disturb each other; one that is
damaged is thrown away; the oldest go when the folder grows too large. Whatever goes wrong here costs time only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.errors import OutputError

CACHE_VARIABLE = "C6SEG_CACHE"
"""Environment variable: another folder for compiled networks, or ``off``."""

LIMIT_BYTES = 500_000_000
"""Size that the folder may have; the entries that were not used for longest go first."""

SMALLEST_BYTES = 1_000_000
"""Networks with fewer bytes of weights are compiled faster than their entry is read and checked."""

_DIGEST = 32


def cache_folder(cache: Path | bool) -> Path | None:
    """Where compiled networks are kept; None = nowhere.

    Parameters
    ----------
    cache
        A folder; True = that of :data:`CACHE_VARIABLE`, else ``c6seg/compiled`` in the user's cache folder; False =
        nowhere.
    """
    if not isinstance(cache, bool):
        return Path(cache)
    named = os.environ.get(CACHE_VARIABLE, "")
    if not cache or named.lower() == "off":
        return None
    if named:
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    return Path(base) / "c6seg" / "compiled"


def cache_key(files: list[Path], *parts: object) -> str:
    """Name of the entry for networks with these files, contents counted, and with these further circumstances."""
    words = [*(runtime.sha256(file) for file in files), *parts]
    return hashlib.sha256(json.dumps(words, default=str).encode()).hexdigest()[:24]


def read_entry(folder: Path, key: str) -> NDArray[np.uint8] | None:
    """Read a compiled network, as bytes; None where there is none. A damaged one is removed."""
    path = _path(folder, key)
    try:
        with path.open("rb") as file:
            digest = file.read(_DIGEST)
            compiled = np.fromfile(file, np.uint8)
    except OSError:
        return None
    if hashlib.sha256(compiled.data).digest() != digest:
        runtime.logger.info("the compiled network '%s' is damaged and is made again", path)
        drop_entry(folder, key)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the entry was used
    return compiled


def write_entry(folder: Path, key: str, compiled: bytes) -> None:
    """Keep a compiled network, and make room for it; a folder that cannot be written keeps none."""
    if len(compiled) > LIMIT_BYTES:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with runtime.atomic_path(_path(folder, key)) as temporary, temporary.open("wb") as file:
            file.write(hashlib.sha256(compiled).digest())
            file.write(compiled)
        _make_room(folder)
    except (OSError, OutputError) as error:
        runtime.logger.debug("the compiled network is not kept: %s", error)


def drop_entry(folder: Path, key: str) -> None:
    """Remove an entry, if it is there and may be removed."""
    with contextlib.suppress(OSError):
        _path(folder, key).unlink(missing_ok=True)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.network"


def _make_room(folder: Path) -> None:
    """Remove what a killed process left, and the entries that were not used for longest, down to the limit."""
    for path in folder.glob(".*.network"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
    entries = []
    for path in folder.glob("[!.]*.network"):
        with contextlib.suppress(OSError):
            state = path.stat()
            entries.append((state.st_mtime, state.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT_BYTES:
            break
        with contextlib.suppress(OSError):  # on Windows an entry that is being read stays
            path.unlink(missing_ok=True)
            total -= size
