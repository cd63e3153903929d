"""Unpack the zip that an annotation tool exports, safely and once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from c6seg.data.images import IMAGE_SUFFIXES
from c6seg.errors import LayoutError, OutputError

__all__ = ["MAX_BYTES", "MAX_ENTRIES", "unpacked"]

MAX_BYTES = 20_000_000_000
"""Largest sum of unpacked sizes, bytes."""

MAX_ENTRIES = 200_000

_WANTED = (*IMAGE_SUFFIXES, ".json", ".xml", ".txt", ".csv")


def unpacked(path: Path) -> Path:
    """Unpack images and annotations of a zip into the user's cache and return the folder; a second call only looks.

    Raises
    ------
    LayoutError
        The file is no zip, is broken, is a bomb, or holds names that lead out of its folder.
    OutputError
        There is no room for it.
    """
    state = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}".encode()).hexdigest()[:20]
    target = _cache() / f"{path.stem}-{key}"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpacking-"))
    except OSError as error:
        raise OutputError(error.errno, f"Cannot unpack '{path}' into '{target.parent}': {error.strerror}.") from error
    try:
        _extract(path, work)
        with contextlib.suppress(FileExistsError):
            work.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise LayoutError(f"'{path}' is no readable zip: {error}. Export or copy it again.") from error
    except OSError as error:
        if target.is_dir():  # another process was faster
            return target
        raise OutputError(error.errno, f"Cannot unpack '{path}' into '{target.parent}': {error.strerror}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "c6seg" / "exports"


def _extract(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        total = sum(entry.file_size for entry in entries)
        if len(entries) > MAX_ENTRIES or total > MAX_BYTES:
            raise LayoutError(
                f"'{path}' would unpack to {len(entries)} files of {total / 1e9:.1f} GB together; "
                f"at most {MAX_ENTRIES} files and {MAX_BYTES / 1e9:.0f} GB are accepted. "
                "Unpack it yourself and name the folder."
            )
        for entry in entries:
            name = PurePosixPath(entry.filename.replace("\\", "/"))
            if (
                name.is_absolute()
                or ".." in name.parts
                or ":" in entry.filename
                or stat.S_ISLNK(entry.external_attr >> 16)
            ):
                raise LayoutError(
                    f"'{path}' holds '{entry.filename}', which leads out of its folder. It was not unpacked."
                )
            if name.suffix.lower() not in _WANTED:
                continue
            file = target.joinpath(*name.parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, file.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
