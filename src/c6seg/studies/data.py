"""The data sets of a study: where they lie and what is in them, by content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import c6seg
from c6seg.data.annotations import Annotation, MaskFile, ObjectMasks, Shapes
from c6seg.data.datasets import Item, open_dataset
from c6seg.data.images import find_images, image_name
from c6seg.errors import DataError, ImageNotFoundError, LayoutError, UsageError, did_you_mean
from c6seg.runtime import sha256, write_json
from c6seg.studies.spec import DataSpec, SimulateSpec, StudySpec

PLAIN = "images"
"""Layout of a folder of images without annotation, of which masks are kept for looking."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data set lies and which of its images are meant: all that another process needs to open it."""

    path: str
    layout: str = "auto"
    group: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a data set, without its pixels.

    Parameters
    ----------
    name, group, split
        As in :class:`c6seg.data.items.Item`.
    digest
        Hash of the image and of its annotation: what decides a training.
    picture
        Hash of the image alone.
    annotated
        Whether it can be trained on and scored.
    """

    name: str
    digest: str
    picture: str
    annotated: bool = True
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of a study, looked at.

    Parameters
    ----------
    name
        Its name in the study.
    place
        Where it lies.
    entries
        Its images, in the order of their names.
    spec
        What the study says of it.
    missing
        Why it cannot be used now; its images are then only assumed. Empty = it is there.
    """

    name: str
    place: Place
    entries: tuple[Entry, ...] = field(repr=False)
    spec: DataSpec = field(repr=False)
    missing: str = ""

    @property
    def annotated(self) -> list[Entry]:
        """Images that can be trained on and scored."""
        return [entry for entry in self.entries if entry.annotated]

    def digests(self, names: Iterable[str]) -> list[str]:
        """Hashes of some images, in the order given."""
        known = {entry.name: entry.digest for entry in self.entries}
        return [known[name] for name in names]

    def pictures(self, names: Iterable[str]) -> set[str]:
        """Hashes of some images alone: two names may stand for one picture."""
        wanted = set(names)
        return {entry.picture for entry in self.entries if entry.name in wanted}


class Finder:
    """Finds and opens the data sets of studies, each once.

    Parameters
    ----------
    given
        As on the command line: a folder that paths are relative to, or ``NAME=PATH``; or as many paths as the study has
        data sets, in their order.
    out
        Folder of the results; simulated data sets and hashes of files are kept there. None = keep nothing.
    names
        Names of the data sets of the studies, in their order.
    no_splits
        Files of divisions that are not there. Which images train and which are tested is not known then, so the images
        of data sets that are drawn are only assumed.

    Raises
    ------
    UsageError
        A name that the studies do not have.
    """

    def __init__(
        self, given: Sequence[str | Path], out: Path | None, names: Sequence[str], no_splits: Sequence[str] = ()
    ) -> None:
        self.out, self.no_splits = out, no_splits
        self.named: dict[str, Path] = {}
        plain: list[Path] = []
        for text in map(str, given):
            name, sign, path = text.partition("=")
            if not sign or Path(text).exists():
                plain.append(Path(text).expanduser())
            elif name in names:
                self.named[name] = Path(path).expanduser()
            else:
                raise UsageError(did_you_mean(name, names, what="data set in --data"))
        if len(plain) > 1 and len(plain) != len(names):
            raise UsageError(
                f"{len(plain)} --data without a name, but the study has {len(names)} data sets "
                f"({', '.join(names)}). Give one folder that holds them all, or --data NAME=PATH."
            )
        if len(plain) > 1:
            self.named |= dict(zip(names, plain, strict=True))
        self.root = plain[0] if len(plain) == 1 else Path()
        self._hashes = _Hashes(out)
        self._found: dict[str, Source] = {}

    def find(self, name: str, spec: DataSpec) -> Source:
        """Open a data set, or assume its images where it is not there."""
        key = json.dumps([name, spec.model_dump(mode="json")], sort_keys=True)
        if key not in self._found:
            found = self._simulated(name, spec) if spec.simulate is not None else self._open(name, spec)
            if self.no_splits and spec.division == "drawn":
                found = self._undivided(found)
            self._found[key] = found
        return self._found[key]

    def close(self) -> None:
        """Keep the hashes of the files that were read."""
        self._hashes.save()

    def _open(self, name: str, spec: DataSpec) -> Source:
        path = self.named.get(name) or self.root / Path(spec.path).expanduser()
        # a path that was given in place of the study's own may be laid out in any way; plain images stay plain
        layout = "auto" if name in self.named and spec.layout != PLAIN else spec.layout
        place = Place(str(path.absolute()), layout, spec.group, spec.limit)
        try:
            items = open_place(place)
        except (ImageNotFoundError, LayoutError) as error:
            about = f" ({spec.about})" if spec.about else ""
            why = f": {error}" if isinstance(error, LayoutError) else ""
            return Source(name, place, _assumed(name, spec), spec, missing=f"'{path}' for {name}{about}{why}")
        return Source(name, place, tuple(self._entry(item) for item in items), spec)

    def _undivided(self, found: Source) -> Source:
        """Assume as many images as there are, and one for each part at least."""
        images = max(3, len(found.annotated))
        spec = found.spec.model_copy(update={"images": images, "limit": None})
        return replace(found, entries=_assumed(found.name, spec), missing=found.missing or self.no_splits[0])

    def _entry(self, item: Item) -> Entry:
        picture = self._hashes.of(item.image) + f"#{item.frame}"
        digest = _hash([picture, self._truth(item.annotation)])
        return Entry(item.name, digest, picture, item.annotation is not None, item.group, item.split)

    def _truth(self, annotation: Annotation | None) -> str:
        if isinstance(annotation, MaskFile):
            return f"{self._hashes.of(annotation.path)}#{annotation.frame}"
        if isinstance(annotation, ObjectMasks):
            return _hash([self._hashes.of(path) for path in annotation.paths])
        return shapes_hash(annotation) if isinstance(annotation, Shapes) else ""

    def _simulated(self, name: str, spec: DataSpec) -> Source:
        """Name the pictures by what they are made from: they need not be there to be planned with."""
        wanted = spec.simulate or SimulateSpec(count=1)
        made = [wanted.model_dump(mode="json", exclude={"count"}), c6seg.__version__]
        key = _hash([made, wanted.count])[:12]
        folder = (self.out or Path()).absolute() / "data" / f"{name}-{key}"
        names = [f"synthetic_{index:05d}" for index in range(wanted.count)]
        entries = tuple(Entry(n, _hash([made, i]), _hash([made, i])) for i, n in enumerate(names))
        return Source(name, Place(str(folder), limit=spec.limit), entries[: spec.limit], spec)


def make_simulated(source: Source) -> None:
    """Write a simulated data set, unless it is there.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    from c6seg.data.synthetic import write_dataset
    from c6seg.runtime import atomic_folder

    wanted = source.spec.simulate
    folder = Path(source.place.path)
    if wanted is None or (folder / "dataset.csv").is_file():
        return
    with atomic_folder(folder) as temporary:
        size_hw = wanted.size or (480, 480)
        write_dataset(temporary, count=wanted.count, size_hw=size_hw, seed=wanted.seed, family=wanted.family)


@lru_cache(maxsize=8)
def open_place(place: Place) -> tuple[Item, ...]:
    """Open a data set and keep the images that are meant.

    Raises
    ------
    ImageNotFoundError
        It is not there.
    DataError
        It has no known layout, or no image of the group.
    """
    items = _plain_images(place.path) if place.layout == PLAIN else open_dataset(place.path, layout=place.layout).items
    if place.group is not None:
        groups = sorted({item.group for item in items if item.group is not None})
        items = tuple(item for item in items if item.group == place.group)
        if not items:
            raise DataError(did_you_mean(place.group, groups, what=f"group of '{place.path}'"))
    if place.limit is not None:
        items = tuple(item for item in items if item.annotation is not None)[: place.limit]
    return items


def missing_data(sources: Iterable[Source]) -> list[str]:
    """List what is not there, each once."""
    return list(dict.fromkeys(source.missing for source in sources if source.missing))


def missing_splits(specs: Iterable[StudySpec]) -> list[str]:
    """List the files of divisions that are not there, each once."""
    files = [spec.splits.file for spec in specs if spec.splits.file is not None]
    return [f"'{file}' for splits.file" for file in dict.fromkeys(files) if not Path(file).is_file()]


def data_names(specs: Iterable[StudySpec]) -> list[str]:
    """Names of the data sets of studies that have a path, each once."""
    return list(dict.fromkeys(name for spec in specs for name, data in spec.data.items() if data.simulate is None))


def shapes_hash(annotation: Shapes) -> str:
    """Hash of what is drawn of an annotation."""
    digest = hashlib.sha256(repr(annotation.declared_hw).encode())
    for shape in annotation.shapes:
        digest.update(repr(shape.rle).encode())
        for polygon in shape.polygons:
            digest.update(np.ascontiguousarray(polygon).tobytes())
        digest.update(b";")
    return digest.hexdigest()


def _plain_images(path: str) -> tuple[Item, ...]:
    if not Path(path).exists():
        raise ImageNotFoundError(f"There is no folder '{path}'. Check the name and where you are.")
    return tuple(Item(image_name(image), image) for image in find_images([path]))


def _assumed(name: str, spec: DataSpec) -> tuple[Entry, ...]:
    images = spec.images
    counts = [(None, images)] if isinstance(images, int) else list(images.items())
    entries = []
    for split, count in counts:
        for number in range(count):
            text = f"{name}-{split or 'image'}{number:04d}"
            entries.append(Entry(text, f"assumed {name} {text}", f"assumed {name} {text}", split=split))
    return tuple(entries[: spec.limit])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class _Hashes:
    """SHA-256 of files, kept by path, size and time of change."""

    def __init__(self, out: Path | None) -> None:
        self.path = None if out is None else out / "cache" / "files.json"
        self.known: dict[str, str] = {}
        self.new = False
        if self.path is not None and self.path.is_file():
            try:
                self.known = dict(json.loads(self.path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                self.known = {}

    def of(self, path: Path) -> str:
        state = os.stat(path)  # noqa: PTH116 (the fields, without a second look)
        key = f"{path.absolute()}|{state.st_size}|{state.st_mtime_ns}"
        if key not in self.known:
            self.known[key] = sha256(path)
            self.new = True
        return self.known[key]

    def save(self) -> None:
        if self.path is not None and self.new:
            write_json(self.path, self.known)
