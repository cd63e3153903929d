"""The journal of a batch: which images are done, so that the same command continues where it was stopped.

It also keeps the magnifications that were found from images, by their content.

``journal.jsonl`` has one JSON line per event. ``begun`` is written before an image's outputs are touched and ``done``
after the last of them has its final name; the last line about a name counts, so a process killed at any moment leaves
either the finished image or one that is made again. A line cut short by the kill is ignored.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from c6seg.errors import OutputError
from c6seg.runtime import _why, atomic_path

JOURNAL_FILE = "journal.jsonl"
# a file name that is no UTF-8 is written as the escape that JSON reads back
ERRORS = "backslashreplace"


class Scale(NamedTuple):
    """The magnification that was found from an image.

    Parameters
    ----------
    model
        SHA-256 of the model.
    sha256
        SHA-256 of the image file.
    size_hw
        Height and width of the image, px.
    found
        Estimate, least and largest one that would do; None = it shows no cells.
    """

    model: str
    sha256: str
    size_hw: tuple[int, int]
    found: tuple[float, float, float] | None


class Journal:
    """What is done in one output folder, under one set of options. Threads may share it.

    Parameters
    ----------
    file
        The open journal, unbuffered.
    entries
        Last ``done`` event of every image, by name.
    scales
        What was found of the magnification of images.
    dropped
        Number of images that were done under other options, and so are not.
    """

    def __init__(
        self,
        file: io.FileIO,
        entries: dict[str, dict[str, Any]],
        scales: Sequence[Scale] = (),
        *,
        dropped: int = 0,
    ) -> None:
        self._file = file
        self._entries = entries
        self._scales = {(scale.model, scale.sha256): scale for scale in scales}
        self._torn = False
        self._lock = threading.Lock()
        self.dropped = dropped

    @property
    def entries(self) -> Mapping[str, dict[str, Any]]:
        """Last ``done`` event of every image that is done, by name."""
        return MappingProxyType(self._entries)

    @property
    def scales(self) -> list[Scale]:
        """What was found of the magnification of images, in the order in which it was found."""
        return list(self._scales.values())

    def scale_of(self, model: str, sha256: str) -> Scale | None:
        """Return what a model found of the magnification of an image; None = nobody looked."""
        return self._scales.get((model, sha256))

    def found_scale(self, scale: Scale) -> None:
        """Keep what was found of the magnification of an image."""
        with self._lock:
            self._append({"state": "scale", **scale._asdict()})
            self._scales[scale.model, scale.sha256] = scale

    def find(self, name: str, input_sha256: str, folder: Path) -> dict[str, Any] | None:
        """Return the event of a finished image whose input is unchanged and whose outputs are all there."""
        entry = self._entries.get(name)
        if entry is None or entry.get("sha256") != input_sha256:
            return None
        return entry if all((folder / output).exists() for output in entry["outputs"]) else None

    def begin(self, name: str) -> None:
        """Say that the outputs of an image are about to change."""
        with self._lock:
            self._entries.pop(name, None)
            self._append({"name": name, "state": "begun"})

    def done(self, name: str, details: Mapping[str, Any]) -> None:
        """Say that all outputs of an image have their final names."""
        event = {"name": name, "state": "done", **details}
        with self._lock:
            self._append(event)
            self._entries[name] = event

    def forget(self, name: str) -> None:
        """Say that an image of this name has no outputs any more."""
        with self._lock:
            self._entries.pop(name, None)
            self._append({"name": name, "state": "gone"})

    def check(self, folder: Path) -> None:
        """Look whether what is written still arrives in the folder.

        Raises
        ------
        OutputError
            The folder or the journal in it was moved, removed or replaced.
        """
        path = folder / JOURNAL_FILE
        try:
            same = os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            same = False
        except OSError as error:
            raise OutputError(error.errno, f"Cannot read '{path}': {_why(error)}") from error
        if not same:
            raise OutputError(f"'{folder}' was moved, removed or replaced while c6seg wrote into it. Start again.")

    def _append(self, event: dict[str, Any]) -> None:
        # a disk that was full may have taken the first half of the line before; that half ends here
        text = "\n" * self._torn + json.dumps(event, ensure_ascii=False) + "\n"
        left = memoryview(text.encode(errors=ERRORS))
        self._torn = True
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(error.errno, f"Cannot write '{self._file.name!s}': {_why(error)}") from error
        self._torn = False


@contextlib.contextmanager
def open_journal(folder: Path, key: str, *, fresh: bool = False) -> Iterator[Journal]:
    """Open the journal of an output folder and hold it for this process.

    Parameters
    ----------
    folder
        The output folder; exists.
    key
        Hash of model and options; events under another key are dropped.
    fresh
        Drop all events.

    Raises
    ------
    OutputError
        It cannot be written, or another process is writing into the folder.
    """
    path = folder / JOURNAL_FILE
    with _locked(folder):
        entries, scales, dropped = ({}, [], 0) if fresh else _read(path, key)
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors=ERRORS) as file:
            file.write(json.dumps({"format": "c6seg-journal/1", "key": key}) + "\n")
            kept = [*({"state": "scale", **scale._asdict()} for scale in scales), *entries.values()]
            file.writelines(json.dumps(event, ensure_ascii=False) + "\n" for event in kept)
        try:
            opened = path.open("ab", buffering=0)
        except OSError as error:
            raise OutputError(error.errno, f"Cannot write '{path}': {_why(error)}") from error
        with contextlib.closing(opened):
            yield Journal(opened, entries, scales, dropped=dropped)


def _read(path: Path, key: str) -> tuple[dict[str, dict[str, Any]], list[Scale], int]:
    """Events of finished images and scales; where they belong to another key, none, and the number of images."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}, [], 0
    entries: dict[str, dict[str, Any]] = {}
    scales = []
    events = [event for line in lines if isinstance(event := _parse(line), dict)]
    for event in events[1:]:
        name = event.get("name")
        if event.get("state") == "scale":
            scales.append(_scale(event))
        elif event.get("state") == "done" and isinstance(event.get("outputs"), list):
            entries[str(name)] = event
        else:
            entries.pop(str(name), None)
    return (entries, scales, 0) if events and events[0].get("key") == key else ({}, [], len(entries))


def _scale(event: Mapping[str, Any]) -> Scale:
    height, width = event["size_hw"]
    found = event["found"]
    return Scale(
        event["model"], event["sha256"], (height, width), None if found is None else (found[0], found[1], found[2])
    )


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one process; the operating system lets go when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise OutputError(
                    f"Another c6seg is writing into '{folder}'. Wait until it has ended or choose another --out."
                ) from error
        yield  # file systems without locks: go on without
    finally:
        os.close(handle)
