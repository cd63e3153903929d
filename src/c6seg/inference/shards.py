"""Images of a batch on a Ray cluster: handed out in shards, written where they belong, taken into the journal here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from c6seg import runtime
from c6seg.cluster import Lost, Resources, connected, each
from c6seg.config import SegmentConfig
from c6seg.data.images import image_name
from c6seg.errors import C6segError, DataError, OutputError
from c6seg.inference import budget
from c6seg.inference.journal import Journal
from c6seg.inference.making import Entry, Hints, Maker, why_not
from c6seg.inference.scale import FoundScale
from c6seg.inference.segmenter import Segmenter

MOST_IMAGES = 16
"""Images of a shard; what a lost node costs."""

SHARDS_PER_SLOT = 8
"""Shards for each unit that the cluster does at a time, where the images suffice: the last ones end together."""

Scales = tuple[dict[tuple[int, int], FoundScale], ...]


@dataclass(frozen=True, slots=True)
class Made:
    """One image of a shard: its entry for the journal, or why it has none, and whether it was done before."""

    path: str
    entry: Entry | None = None
    failure: str = ""
    known: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """What is the same for all shards: folder, model and options, memory, scales that images of one size share."""

    folder: str
    model: str
    config: SegmentConfig
    scales: Scales
    hints: Hints | None
    threads: int
    most_mb: int


def segment_on_ray(
    paths: Sequence[Path],
    journal: Journal,
    maker: Maker,
    *,
    address: str,
    resources: Resources,
    tell: Callable[[int], None],
) -> Iterator[Made]:
    """Segment images on a cluster; yields each in the order in which they come back.

    Parameters
    ----------
    paths
        The images; they, the model and the output folder are on a path that all nodes see.
    journal
        Of the output folder; it hears of every image that is done.
    maker
        For the folder, with the model as it was opened here.
    address
        Of the cluster.
    resources
        What a shard takes.
    tell
        Called with the number of images that are done.

    Raises
    ------
    OutputError
        Results cannot be written, or a node does not see the folder.
    UsageError
        There is no cluster, or no node that is large enough.
    """
    with connected(address) as ray:
        slots = max(1, int(ray.cluster_resources().get("CPU", 1) / resources.cpus))
        budget.fix(budget.decide_mb(workers=_workers(ray, resources)))
        task = _task(maker, resources.threads)
        shards = [_known(shard, journal) for shard in cut(paths, slots)]
        done = 0
        for number, result in each(ray, _do_shard, [(task, *shard) for shard in shards], resources):
            if isinstance(result, Exception):
                raise result
            lost = shards[number][0] if isinstance(result, Lost) else []
            found = [Made(p, failure=f"'{p}': {result.why}") for p in lost] or result
            for made in found:
                _note(made, journal)
                yield made
            done += len(found)
            tell(done)


def cut(paths: Sequence[Path], slots: int) -> list[Sequence[Path]]:
    """Cut images into shards: at most :data:`MOST_IMAGES` each, and some for every slot.

    Examples
    --------
    >>> [len(shard) for shard in cut([Path("a")] * 10, slots=1)]
    [2, 2, 2, 2, 2]
    """
    size = max(1, min(MOST_IMAGES, -(-len(paths) // (SHARDS_PER_SLOT * slots))))
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def _task(maker: Maker, threads: int) -> Task:
    segmenter = maker.segmenter
    scales = tuple(dict(model.scales) for model in (segmenter, *segmenter.further))
    folder = str(maker.folder.absolute())
    return Task(
        folder, str(segmenter.bundle.path.absolute()), segmenter.config, scales, maker.hints, threads, budget.most_mb()
    )


def _workers(ray: Any, resources: Resources) -> int:
    """Most shards that one machine of the cluster does at a time."""
    processors = (float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node.get("Alive"))
    return max(1, int(max(processors, default=1) / resources.cpus))


def _known(shard: Sequence[Path], journal: Journal) -> tuple[list[str], dict[str, Entry]]:
    names = [image_name(path) for path in shard]
    return [str(path.absolute()) for path in shard], {n: journal.entries[n] for n in names if n in journal.entries}


def _note(made: Made, journal: Journal) -> None:
    name = image_name(Path(made.path))
    if made.entry is None:
        journal.forget(name)
    elif not made.known:
        journal.done(name, made.entry)


def _do_shard(task: Task, paths: Sequence[str], known: Mapping[str, Entry]) -> list[Made]:
    """Do a shard on a node; a bad image costs itself only."""
    folder = Path(task.folder)
    if not folder.is_dir():
        raise OutputError(f"A node does not see '{folder}': results must lie on a path that all nodes share.")
    maker = Maker(folder, _segmenter(task.model, task.config.model_dump_json(), task.threads), task.hints)
    for model, scales in zip((maker.segmenter, *maker.segmenter.further), task.scales, strict=True):
        model.scales.clear()
        model.scales.update(scales)
    with budget.fixed_budget(task.most_mb):
        return [_do_image(Path(path), maker, known) for path in paths]


def _do_image(path: Path, maker: Maker, known: Mapping[str, Entry]) -> Made:
    name = image_name(path)
    try:
        digest = runtime.sha256(path)
        entry = known.get(name)
        there = entry is not None and all((maker.folder / output).exists() for output in entry["outputs"])
        if entry is not None and there and entry.get("sha256") == digest:
            return Made(str(path), entry, known=True)
        return Made(str(path), maker.begin(path, digest, _Elsewhere())())
    except OutputError:
        raise
    except Exception as error:
        if isinstance(error, DataError):
            maker.clear(name)  # a file that turned bad leaves no old result
        with contextlib.suppress(C6segError):
            return Made(str(path), failure=why_not(error, path))
        raise


@lru_cache(maxsize=2)
def _segmenter(model: str, config: str, threads: int) -> Segmenter:
    return Segmenter(model, SegmentConfig.model_validate_json(config), threads=threads)


class _Elsewhere(Journal):
    """Stands for the journal on a node: the entry goes back, and is noted where the journal lies."""

    def __init__(self) -> None:
        self.dropped = 0

    def begin(self, name: str) -> None:
        """Say nothing."""

    def done(self, name: str, details: Mapping[str, Any]) -> None:
        """Say nothing."""

    def forget(self, name: str) -> None:
        """Say nothing."""
