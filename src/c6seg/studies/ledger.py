"""What is done in an output folder: one file for each run, written whole or not at all, and locks.

::

    OUT/ledger/format.json   version of the ledger
    OUT/ledger/KEY.json      state of a run, attempts, times, and why it failed
    OUT/runs/KEY/            the run itself: training, bundle, counts

A process that is killed leaves the state ``running`` and no lock, so the next one knows that the run was not finished.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from c6seg.errors import DataError, OutputError
from c6seg.runtime import make_folder, versions, write_json

FORMAT = "c6seg-ledger/1"
State = Literal["running", "stopped", "done", "failed", "diverged"]


@dataclass(frozen=True, slots=True)
class Record:
    """One run in the ledger.

    Parameters
    ----------
    key, title
        Of the run.
    state
        ``running`` (or its process died), ``stopped`` (by Ctrl-C or a full disk), ``done``, ``failed``, ``diverged``
        (its loss was no number).
    attempts
        How often it was begun.
    crashes
        How often its process died without an epoch more than the time before.
    epochs
        Epochs that were there when it was last begun.
    seconds
        Time of all attempts that ended by themselves.
    error, traceback
        Why it failed, in one line and in full.
    host, pid, started, ended
        Where and when.
    """

    key: str
    title: str = ""
    state: State = "running"
    attempts: int = 1
    crashes: int = 0
    epochs: int = 0
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    host: str = ""
    pid: int = 0
    started: str = ""
    ended: str = ""
    versions: dict[str, str] = field(default_factory=dict)


class Ledger:
    """The ledger of an output folder.

    Parameters
    ----------
    out
        The output folder.
    create
        Make it where there is none; else an absent one is empty.

    Raises
    ------
    DataError
        It was written by another version.
    OutputError
        It cannot be written.
    """

    def __init__(self, out: Path, *, create: bool = True) -> None:
        self.out = out
        self.folder = out / "ledger"
        file = self.folder / "format.json"
        if file.is_file():
            _check_format(file)
        elif create:
            make_folder(self.folder)
            write_json(file, {"format": FORMAT, "created": now()})

    def run_folder(self, key: str) -> Path:
        """Where a run lies."""
        return self.out / "runs" / key

    def read(self, key: str) -> Record | None:
        """Look a run up; None where it was never begun, or its entry is damaged."""
        try:
            values = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            known = {field.name for field in fields(Record)}
            return Record(**{name: value for name, value in values.items() if name in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def write(self, record: Record) -> None:
        """Write a run's entry."""
        write_json(self.folder / f"{record.key}.json", asdict(record))

    def begin(self, key: str, title: str, *, epochs: int) -> Record:
        """Note that a run is begun.

        Parameters
        ----------
        epochs
            Epochs of it that are there already.
        """
        before = self.read(key)
        died = before is not None and before.state == "running"
        crashes = before.crashes + 1 if before is not None and died and epochs <= before.epochs else 0
        record = Record(
            key,
            title,
            attempts=1 if before is None else before.attempts + 1,
            crashes=crashes,
            epochs=epochs,
            seconds=0.0 if before is None else before.seconds,
            host=platform.node(),
            pid=os.getpid(),
            started=now(),
            versions=versions(),
        )
        self.write(record)
        return record


def now() -> str:
    """Return the time as text, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def locked(folder: Path, *, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a folder for one process; the operating system lets go when the process ends, however it ends.

    Parameters
    ----------
    folder
        Made where it is absent.
    what
        What is held, for the message.
    wait_s
        How long to wait for another process.

    Raises
    ------
    OutputError
        Another process holds it.
    """
    make_folder(folder)
    try:
        import fcntl
    except ImportError:  # Windows: go on without
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + wait_s
        while not _try_lock(fcntl, handle):
            if time.monotonic() >= until:
                raise OutputError(f"Another c6seg is working on {what} ('{folder}'). Wait until it has ended.")
            time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _try_lock(fcntl: Any, handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EWOULDBLOCK, errno.EACCES}  # file systems without locks: go on without
    return True


def _check_format(file: Path) -> None:
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"'{file}' cannot be read: {error}. Choose another --out.") from error
    if found != FORMAT:
        raise DataError(
            f"'{file.parent}' is the ledger of another version ({found}; this one writes {FORMAT}). Nothing was "
            "changed. Choose another --out, or go on with the version that began it."
        )
