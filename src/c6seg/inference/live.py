"""A batch that never ends: images are added one by one as they arrive, are renamed, repeated, overwritten or removed.

It keeps the same journal and writes the same files as :mod:`c6seg.inference.batch`, so that either goes on where the
other stopped.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from c6seg import runtime
from c6seg.data.images import image_name, natural_key
from c6seg.errors import ImageNotFoundError, ImageReadError
from c6seg.inference.arrivals import Stamp, cut_short, stamp_of
from c6seg.inference.batch import check_memory, options_key, sweep
from c6seg.inference.journal import Journal, open_journal
from c6seg.inference.making import Entry, Hints, Maker
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shared_scale import ArrivingScales
from c6seg.inference.tables import BatchResult, write_tables

__all__ = ["Added", "LiveBatch", "open_live"]


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a file.

    Parameters
    ----------
    name
        Name of the image.
    how
        ``made``: segmented now; ``known``: done before; ``renamed``: results of a file that was renamed, moved or
        copied got its name; ``repeated``: the content is that of another file and is not counted twice; ``refused``:
        another image has its name.
    note
        What a reader should know, in words.
    rows
        Its rows of ``measurements.csv``.
    """

    name: str
    how: Literal["made", "known", "renamed", "repeated", "refused"]
    note: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def confluence(self) -> float | None:
        """Mean over the frames, 0..1."""
        return sum(float(row["confluence"]) for row in self.rows) / len(self.rows) if self.rows else None


class LiveBatch:
    """The images of a watched folder and their results; see :func:`open_live`.

    Parameters
    ----------
    folder
        The watched folder.
    out
        The output folder.
    segmenter
        The model.
    journal
        Open journal of ``out``.
    hints
        Gives well and time where the file does not.
    """

    def __init__(
        self, folder: Path, out: Path, segmenter: Segmenter, journal: Journal, *, hints: Hints | None = None
    ) -> None:
        self.folder, self.out = folder, out
        self.segmenter = segmenter
        self._journal = journal
        self._maker = Maker(out, segmenter, hints)
        self._repeats: dict[Path, str] = {}
        self._names = {os.path.normcase(name): name for name in journal.entries}
        self._digests: dict[str, str] = {}
        self._made: set[str] = set()
        self._started = time.monotonic()
        for name, entry in list(journal.entries.items()):
            self._take_up(name, entry)
        self._scales = ArrivingScales(segmenter, journal)

    def _take_up(self, name: str, entry: Entry) -> None:
        """Begin with what the journal knows; a rename that was cut off left two events of one image."""
        other = self._digests.setdefault(str(entry["sha256"]), name)
        if other != name:
            stale = next((one for one in (name, other) if not self._outputs_there(self._journal.entries[one])), None)
            if stale is not None:
                self._journal.forget(stale)
                self._names.pop(os.path.normcase(stale), None)
                self._digests[str(entry["sha256"])] = name if stale == other else other

    def __len__(self) -> int:
        return sum(entry.get("path") is not None for entry in self._journal.entries.values())

    def remembers(self, path: Path, stamp: Stamp) -> bool:
        """Whether a file is done and looks, unread, as it did then."""
        entry = self._journal.entries.get(image_name(path))
        return (
            entry is not None
            and entry.get("path") == self._place(path)
            and entry.get("stamp") == list(stamp)
            and self._up_to_date(entry)
        )

    def add(
        self,
        path: Path,
        stamp: Stamp,
        *,
        tell: Callable[[float], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> Added:
        """Take in a file: make its results, or find that they are there.

        Parameters
        ----------
        path
            The file.
        stamp
            As it was when it was last seen.
        tell
            Called after each frame with the part of the image that is done.
        ready
            Called before anything is changed. It raises if the file is not as it was seen any more; then nothing
            is changed.

        Raises
        ------
        ImageNotFoundError
            The file is gone.
        DataError
            It is not whole, or no image.
        OutputError
            Something cannot be written.
        """
        if self.remembers(path, stamp):
            name = image_name(path)
            return Added(name, "known", rows=tuple(self._journal.entries[name]["rows"]))
        digest = _digest(path)
        name, place = image_name(path), self._place(path)
        details = {"path": place, "stamp": list(stamp)}
        holder = self._names.get(os.path.normcase(name))
        known = self._journal.entries.get(holder) if holder is not None else None
        if holder is not None and known is not None:
            elsewhere = known.get("path") not in {None, place}
            if known["sha256"] == digest and self._up_to_date(known):
                return self._again(path, holder, known, details, ready)
            if elsewhere and known["sha256"] != digest:
                return self._refused(path, holder, known)
        twin = self._digests.get(digest)
        entry = self._journal.entries.get(twin) if twin is not None else None
        if twin is not None and entry is not None and twin != name and entry.get("path") is not None:
            if self._unchanged(entry):
                return self._repeated(path, twin, entry)
            if ready is not None:
                ready()
            moved = self._maker.rename(twin, entry, path, self._journal, details)
            self._register(path, name, moved, before=twin)
            note = f"'{entry['path']}' is now called '{place}'; its results were renamed"
            return Added(name, "renamed", note, tuple(moved["rows"]))
        self._scales.arrive(path)
        made = self._maker.begin(path, digest, self._journal, details=details, tell=tell, ready=ready)()
        self._register(path, name, made)
        self._made.add(name)
        return Added(name, "made", rows=tuple(made["rows"]))

    def _again(
        self, path: Path, name: str, entry: Entry, details: Mapping[str, Any], ready: Callable[[], None] | None
    ) -> Added:
        """Find an image done; it may have moved into another folder, or was touched, or segmented by another verb."""
        before = entry.get("path")
        moved = before not in {None, details["path"]}
        if moved and self._unchanged(entry):
            return self._repeated(path, name, entry)
        if ready is not None:
            ready()
        kept = {key: value for key, value in entry.items() if key not in {"name", "state"}} | dict(details)
        self._journal.done(name, kept)
        self._register(path, name, kept)
        if moved:
            return Added(name, "renamed", f"'{before}' was moved to '{details['path']}'", tuple(entry["rows"]))
        return Added(name, "known", rows=tuple(entry["rows"]))

    def _repeated(self, path: Path, twin: str, entry: Entry) -> Added:
        self._repeats[path] = twin
        note = f"'{self._place(path)}' has the same content as '{entry['path']}' and is not counted again"
        return Added(image_name(path), "repeated", note)

    def _refused(self, path: Path, name: str, entry: Entry) -> Added:
        note = (
            f"'{path}' would be written as '{name}', like '{self.folder / str(entry['path'])}' with other content. "
            "Give the files of a watched folder different names."
        )
        return Added(name, "refused", note)

    def _register(self, path: Path, name: str, entry: Entry, *, before: str | None = None) -> None:
        self._repeats.pop(path, None)
        if before is not None:
            self._names.pop(os.path.normcase(before), None)
        self._names[os.path.normcase(name)] = name
        self._digests = {digest: other for digest, other in self._digests.items() if other != name}
        self._digests[str(entry["sha256"])] = name

    def discard(self, path: Path) -> None:
        """Remove the results of a file that turned bad.

        Raises
        ------
        OutputError
            The journal cannot be written.
        """
        name = image_name(path)
        entry = self._journal.entries.get(name)
        if entry is not None and entry.get("path") == self._place(path):
            self._journal.forget(name)
            self._maker.clear(name)
            self._names.pop(os.path.normcase(name), None)
            self._digests = {digest: other for digest, other in self._digests.items() if other != name}

    def orphans(self) -> list[Path]:
        """Repeated files whose first copy is gone: they were renamed in two steps, and can be added again."""
        found = []
        for path, twin in list(self._repeats.items()):
            entry = self._journal.entries.get(twin)
            if not path.exists():
                del self._repeats[path]
            elif entry is None or not self._unchanged(entry):
                del self._repeats[path]
                found.append(path)
        return found

    def out_of_scale(self) -> list[Path]:
        """Files that were segmented before the scale of all was known, and at another one: they can be added again."""
        entries = (entry for entry in self._journal.entries.values() if entry.get("path") is not None)
        return [self.folder / entry["path"] for entry in entries if self._scales.out_of_scale(entry)]

    def tables(self, failures: Mapping[Path, str], *, complete: bool) -> BatchResult:
        """Write ``measurements.csv``, ``failures.csv`` and ``manifest.json`` of all that was ever added.

        Images that were removed from the watched folder after they were done stay in the tables.

        Parameters
        ----------
        failures
            Files that cannot be used, and why.
        complete
            Whether the watch has ended.

        Raises
        ------
        OutputError
            One cannot be written, or the output folder was moved away.
        """
        self._journal.check(self.out)
        counted = self._counted()
        before = sum(entry["name"] not in self._made for _, entry in counted)
        result = BatchResult(self.out, resumed=before, interrupted=not complete)
        for path, entry in counted:
            result.rows.extend(entry["rows"])
            about = {"path": str(path), **{key: entry[key] for key in ("sha256", "seconds")}}
            modified = datetime.fromtimestamp(entry["stamp"][1] / 1e9, UTC).isoformat(timespec="milliseconds")
            result.inputs.append({**about, "modified": modified})
        result.failures.extend((str(path), failures[path]) for path in sorted(failures, key=natural_key))
        write_tables(result, self.segmenter, seconds=time.monotonic() - self._started, recursive=True)
        return result

    def _counted(self) -> list[tuple[Path, Entry]]:
        """Images of this and earlier watches, in the order in which a batch would have them."""
        entries = [entry for entry in self._journal.entries.values() if entry.get("path") is not None]
        return sorted(((self.folder / entry["path"], entry) for entry in entries), key=lambda pair: _order(pair[0]))

    def _place(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _unchanged(self, entry: Entry) -> bool:
        """Whether the file of an image is still there as it was segmented."""
        stamp = stamp_of(self.folder / str(entry.get("path")))
        return stamp is not None and list(stamp) == entry.get("stamp")

    def _up_to_date(self, entry: Entry) -> bool:
        return self._outputs_there(entry) and not self._scales.out_of_scale(entry)

    def _outputs_there(self, entry: Entry) -> bool:
        return all((self.out / output).exists() for output in entry["outputs"])


@contextlib.contextmanager
def open_live(folder: Path, out: Path, segmenter: Segmenter, *, hints: Hints | None = None) -> Iterator[LiveBatch]:
    """Open an output folder for the images of a watched one, and hold it for this process.

    Raises
    ------
    OutputError
        It cannot be written, or another process is writing into it.
    """
    runtime.make_folder(out)
    check_memory(segmenter)
    with open_journal(out, options_key(segmenter)) as journal:
        sweep(out)
        if journal.dropped:
            runtime.logger.warning(
                "%d images in '%s' were segmented with another model or other options; those still in the folder are "
                "made again, the others are left out of the tables",
                journal.dropped,
                out,
            )
        yield LiveBatch(folder, out, segmenter, journal, hints=hints)


_order = lru_cache(maxsize=65536)(natural_key)


def _digest(path: Path) -> str:
    """SHA-256 of a file that may be half-written."""
    try:
        reason = cut_short(path)
        if reason is not None:
            raise ImageReadError(f"'{path}' cannot be read as an image: {reason}. Save or copy it again.")
        return runtime.sha256(path)
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"There is no file '{path}' any more.") from error
    except OSError as error:
        raise ImageReadError(f"'{path}' cannot be opened: {error.strerror or error}.") from error
