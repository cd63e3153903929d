"""Which image files in a watched folder are new and complete, found by looking again and again.

Microscopes write to network shares, where the operating system does not tell of changes that other machines make
(inotify and its like hear of local ones only). So the folder is listed every fraction of a second; that works
everywhere. A file is complete when its size and time of change stood still for a while *and* it is whole: half-written
files of most formats say so themselves. One that does not become whole is given up after a time, and tried again when
it changes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from c6seg.data.images import IMAGE_SUFFIXES, natural_key
from c6seg.inference.journal import JOURNAL_FILE

__all__ = ["Arrivals", "Stamp", "cut_short", "is_temporary", "look", "skipped", "stamp_of"]

SETTLE_S, GIVE_UP_S = 0.5, 60.0
RETRY_S = (0.25, 8.0)
"""First and longest pause between two tries of a file that is not whole."""

RESULTS = (JOURNAL_FILE, "fits.csv")
"""A folder with one of these files was written by c6seg; its masks and figures are no images."""

_TEMPORARY = {"tmp", "temp", "part", "partial", "filepart", "crdownload"}
_TAIL = 65536


class Stamp(NamedTuple):
    """What the file system says of a file without reading it."""

    size: int
    mtime_ns: int


def is_temporary(name: str) -> bool:
    """Whether a file name says that its file is not ready yet.

    Examples
    --------
    >>> [is_temporary(name) for name in ("a.tif", "a.tmp.tif", ".a.tif", "~a.tif", "a.tif~", "part 2.tif")]
    [False, True, True, True, True, False]
    """
    return name.startswith((".", "~")) or name.endswith("~") or bool(set(name.lower().split(".")[1:]) & _TEMPORARY)


def look(
    folder: Path, *, skip: Collection[Path] = (), known: Mapping[str, tuple[Path, Stamp]] | None = None
) -> dict[Path, Stamp]:
    """List the image files in a folder and those below it.

    Parameters
    ----------
    folder
        Where to look. Temporary names, hidden folders, links to folders and results of c6seg are passed over.
    skip
        Folders that are passed over, too; resolved paths.
    known
        Files that are taken to be as they were, if they are there: asking for each costs time, much of it on a
        network share.

    Raises
    ------
    OSError
        The folder itself cannot be listed. One below it that cannot is passed over.
    """
    found: dict[Path, Stamp] = {}
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as listing:
                entries = list(listing)
        except OSError:
            if here == folder:
                raise
            continue
        if here != folder and any(entry.name in RESULTS for entry in entries):
            continue
        for entry in entries:
            if known and entry.path in known:
                found.update((known[entry.path],))
            elif not entry.name.startswith("."):
                with contextlib.suppress(OSError):  # gone again
                    _sort(entry, found, pending, skip)
    return found


def _sort(entry: os.DirEntry[str], found: dict[Path, Stamp], pending: list[Path], skip: Collection[Path]) -> None:
    if entry.is_dir(follow_symlinks=False):
        if not skip or Path(entry.path).resolve() not in skip:
            pending.append(Path(entry.path))
    elif entry.name.lower().endswith(IMAGE_SUFFIXES) and not is_temporary(entry.name):
        status = entry.stat()
        found[Path(entry.path)] = Stamp(status.st_size, status.st_mtime_ns)


def cut_short(path: Path) -> str | None:
    """Say why a file cannot be whole, from its first and last bytes; None = nothing speaks against it.

    PNG ends with IEND, JPEG with an end marker, BMP says how long it is. Whether a TIFF is whole, or the middle of a
    file, shows when it is decoded.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    if size == 0:
        return "it is empty"
    if start.startswith(b"\x89PNG") and b"IEND" not in tail:
        return "the end of the PNG is missing"
    if start.startswith(b"\xff\xd8") and b"\xff\xd9" not in tail:
        return "the end of the JPEG is missing"
    if start.startswith(b"BM") and int.from_bytes(start[2:6], "little") > size:
        return "the end of the BMP is missing"
    return None


@dataclass(slots=True)
class _File:
    """What is known of one file."""

    stamp: Stamp
    since: float  # when it was first seen with this stamp
    state: Literal["new", "done", "failed"] = "new"
    reason: str = ""
    next_try: float = 0.0
    pause: float = 0.0
    here: bool = True


class Arrivals:
    """Remembers what was seen of a folder, and says what is to be done now. It has no clock and reads no file.

    Parameters
    ----------
    settle_s
        A file is complete when it stood still for this long, seconds.
    give_up_s
        A file that is not whole this long after its last change has failed, seconds.
    """

    def __init__(self, *, settle_s: float = SETTLE_S, give_up_s: float = GIVE_UP_S) -> None:
        self.settle_s = settle_s
        self.give_up_s = give_up_s
        self._files: dict[Path, _File] = {}
        self._restless: set[Path] = set()
        self._known: dict[str, tuple[Path, Stamp]] = {}

    def see(self, found: Mapping[Path, Stamp], now: float) -> bool:
        """Take in what :func:`look` found; whether anything changed.

        A file that comes back as it was, as after a network share was away, is what it was before.
        """
        changed = False
        for path, stamp in found.items():
            file = self._files.get(path)
            if file is None or file.stamp != stamp:
                self._files[path] = _File(stamp, now)
                self._known.pop(str(path), None)
                changed = True
            else:
                file.here = True
        if len(found) < len(self._files):
            for path in [path for path in self._files if path not in found]:
                file = self._files[path]
                changed |= file.here
                file.here = False
                if file.state != "done":
                    del self._files[path]
        return changed

    def due(self, now: float) -> list[Path]:
        """Files to be tried now, the oldest first. They may still be in the making: see :meth:`rest_s`."""
        paths = [
            path
            for path, file in self._files.items()
            if file.state == "new"
            and file.here
            and file.next_try <= now
            and not (path in self._restless and self.rest_s(path, now) > 0)
        ]
        return sorted(paths, key=lambda path: (self._files[path].stamp.mtime_ns, natural_key(path)))

    def rest_s(self, path: Path, now: float) -> float:
        """Seconds that a file must still stand still until it is complete; 0 = it is."""
        return max(0.0, self._files[path].since + self.settle_s - now)

    def stamp(self, path: Path) -> Stamp | None:
        """Stamp with which a file was last seen; None = it is not there."""
        file = self._files.get(path)
        return file.stamp if file is not None and file.here else None

    def done(self, path: Path, stamp: Stamp) -> None:
        """Say that a file was used as it was under this stamp."""
        if self._end(path, stamp, "done", ""):
            self._known[str(path)] = (path, stamp)

    def failed(self, path: Path, stamp: Stamp, reason: str) -> None:
        """Say that a file as it was under this stamp can never be used."""
        self._end(path, stamp, "failed", reason)

    def again(self, path: Path) -> None:
        """Ask for a file once more, though it is unchanged."""
        file = self._files.get(path)
        if file is not None:
            self._files[path] = _File(file.stamp, file.since, here=file.here)
            self._known.pop(str(path), None)

    def restless(self, path: Path) -> None:
        """Say that a file changed while it was at work; from now on it is due only after it has stood still."""
        self._restless.add(path)

    def not_whole(self, path: Path, stamp: Stamp, reason: str, now: float) -> bool:
        """Say that a file could not be decoded; it is tried again, ever more seldom. Whether it is given up now."""
        file = self._files.get(path)
        if file is None or file.stamp != stamp:
            return False
        file.reason = reason
        if now - file.since >= self.give_up_s:
            file.state = "failed"
            return True
        file.pause = min(RETRY_S[1], 2 * file.pause or RETRY_S[0])
        file.next_try = min(now + file.pause, file.since + self.give_up_s)
        return False

    @property
    def known(self) -> Mapping[str, tuple[Path, Stamp]]:
        """Files that are done, by their path as text; see :func:`look`."""
        return self._known

    @property
    def present(self) -> frozenset[Path]:
        """Files that are there."""
        return frozenset(path for path, file in self._files.items() if file.here)

    @property
    def waiting(self) -> dict[Path, str]:
        """Files that were tried and are not whole yet, and why."""
        return {path: file.reason for path, file in self._files.items() if file.state == "new" and file.reason}

    @property
    def failures(self) -> dict[Path, str]:
        """Files that cannot be used, and why."""
        return {path: file.reason for path, file in self._files.items() if file.state == "failed"}

    def _end(self, path: Path, stamp: Stamp, state: Literal["done", "failed"], reason: str) -> bool:
        file = self._files.get(path)
        if file is None or file.stamp != stamp:
            return False
        file.state, file.reason = state, reason
        self._restless.discard(path)
        return True


def stamp_of(path: Path) -> Stamp | None:
    """Stamp of one file; None = it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def skipped(folder: Path, out: Path) -> frozenset[Path]:
    """Folders whose images are results: the output folder, or those in it where the images lie in it or below it."""
    root, own = folder.resolve(), out.resolve()
    if root.is_relative_to(own):
        return frozenset(own / name for name in ("masks", "overlays", "figures", "segmentation"))
    return frozenset({own})
