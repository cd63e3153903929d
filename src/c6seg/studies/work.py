"""One run: train, score, keep masks. It does what is not there yet, so it can be killed at any moment."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from c6seg.config import SegmentConfig, TrainConfig
from c6seg.data.datasets import Dataset, Item
from c6seg.data.images import read_image, write_mask
from c6seg.errors import AnnotationError, DivergedError, OutputError, TrainingError, UsageError
from c6seg.evaluation.evaluate import network_output
from c6seg.evaluation.metrics import Counts, count
from c6seg.evaluation.protocol import resize_prediction, resize_truth
from c6seg.inference.segmenter import Segmenter
from c6seg.runtime import atomic_folder, logger, write_csv
from c6seg.studies.data import open_place
from c6seg.studies.jobs import RUN_PREFIX, Job, Pictures, Scoring
from c6seg.studies.ledger import Ledger, Record, locked, now
from c6seg.studies.spec import EvaluationSpec

if TYPE_CHECKING:
    from c6seg.training.loop import Status

MOST_CRASHES = 3
"""A run whose process died so often without getting further is failed."""

LOCK_WAIT_S = 120.0
COUNT_COLUMNS = ("image", "tp", "fp", "fn", "tn")

Tell = Callable[[str], None]


def is_done(job: Job, ledger: Ledger) -> bool:
    """Whether everything that is asked of a run is there."""
    record = ledger.read(job.key)
    folder = ledger.run_folder(job.key)
    return (
        record is not None
        and record.state == "done"
        and (folder / "bundle" / "bundle.yaml").is_file()
        and all(counts_file(folder, scoring.key).is_file() for scoring in job.tests)
        and all((folder / "pictures" / shown.key).is_dir() for shown in job.pictures)
    )


def counts_file(folder: Path, key: str) -> Path:
    """Where the counts of a test lie."""
    return folder / "counts" / f"{key}.csv"


def do_job(job: Job, out: Path, *, tell: Tell | None = None, threads: int | None = None) -> Record:
    """Do what is not done of a run, and note in the ledger how it ended.

    Parameters
    ----------
    job
        The run; those that it needs are done.
    out
        Output folder of the study.
    tell
        Called with what is being done.
    threads
        Processor threads for scoring; None = all.

    Returns
    -------
    Record
        ``done``, ``failed`` or ``diverged``; a failure of the run itself is not raised.

    Raises
    ------
    OutputError
        Results cannot be written (disk full, no permission): that concerns all runs.
    KeyboardInterrupt
        After Ctrl-C; what is done is kept.
    """
    ledger = Ledger(out)
    folder = ledger.run_folder(job.key)
    with locked(folder, what="this run", wait_s=LOCK_WAIT_S):
        if is_done(job, ledger):
            return ledger.read(job.key) or Record(job.key)
        record = ledger.begin(job.key, job.title, epochs=_epochs(folder))
        started = time.monotonic()
        try:
            if record.crashes >= MOST_CRASHES:
                _give_up(record)
            with _full_disk(out):
                _do(job, out, folder, tell or (lambda text: None), threads)
            ended = replace(record, state="done", crashes=0)
        except (OutputError, KeyboardInterrupt):
            with contextlib.suppress(OutputError):
                ledger.write(replace(record, state="stopped", crashes=0))
            raise
        except Exception as error:  # noqa: BLE001 (a run that fails costs itself only; all of it is kept)
            ended = _failure(record, error)
        ended = replace(ended, seconds=record.seconds + round(time.monotonic() - started, 3), ended=now())
        ledger.write(ended)
    return ended


@contextlib.contextmanager
def _full_disk(out: Path) -> Iterator[None]:
    """Make an OutputError of a full disk that a library met: it concerns all runs."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise OutputError(error.errno, f"Cannot write into '{out}': the disk is full. Free some space.") from error


def _give_up(record: Record) -> None:
    raise TrainingError(
        f"The process that did this run died {record.crashes} times without getting further, as it does when the "
        "memory is not enough. Do it again with --retry on a larger machine, or with a smaller batch."
    )


def _failure(record: Record, error: Exception) -> Record:
    why = " ".join((str(error) or type(error).__name__).split())
    state = "diverged" if isinstance(error, DivergedError) else "failed"
    logger.warning("run %s %s: %s", record.key, state, why)
    return replace(record, state=state, error=why, traceback="".join(traceback.format_exception(error)))  # type: ignore[arg-type]


def _do(job: Job, out: Path, folder: Path, tell: Tell, threads: int | None) -> None:
    if not (folder / "bundle" / "bundle.yaml").is_file():
        tell(f"training {job.title}")
        _train(job, out, folder, tell)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # several times the weights; never needed again
    scorings = [scoring for scoring in job.tests if not counts_file(folder, scoring.key).is_file()]
    shown = [pictures for pictures in job.pictures if not (folder / "pictures" / pictures.key).is_dir()]
    if scorings or shown:
        tell(f"scoring {job.title}")
        # a network is compiled once for all tests; hundreds that are run once would fill the cache of compiled ones
        ready = cache(lambda evaluation: _segmenter(folder, evaluation, threads))
        for group in _by_network(scorings):
            _score(group, folder, ready(group[0].evaluation))
        for pictures in shown:
            _keep_masks(pictures, folder, ready(pictures.evaluation))


def _train(job: Job, out: Path, folder: Path, tell: Tell) -> None:
    from c6seg.training.run import choose_items, run_training

    names = {*job.train, *job.val}
    items = tuple(item for item in open_place(job.place) if item.name in names)
    data = Dataset(Path(job.place.path), job.place.layout, items)
    chosen = choose_items(data, names=(job.train, job.val), seed=job.config.seed)
    config = started_from(job.config, out)

    def report(status: Status) -> None:
        if status.step == status.steps:
            dice = "" if status.val_dice is None else f", validation Dice {status.val_dice:.3f}"
            tell(f"{job.title}: epoch {status.epoch + 1} of {status.epochs}, loss {status.loss:.4f}{dice}")

    for last in (False, True):
        try:
            run_training(
                chosen,
                folder,
                config,
                resume=True,
                report=report,
                accept_worse=True,
                graphs=out / "cache" / "graphs",
                familiar=False,  # a study looks at no flags; c6seg models familiar adds it to the network that is kept
            )
        except (UsageError, TrainingError) as error:
            # what an earlier process left cannot be gone on with: the folder was moved, or a file is damaged
            if last or isinstance(error, DivergedError) or not (folder / "config.yaml").is_file():
                raise
            logger.warning("run %s starts over: %s", job.key, error)
            _clear(folder)
        else:
            return


def started_from(config: TrainConfig, out: Path) -> TrainConfig:
    """Replace ``run:KEY`` at the start of a training by the bundle of that run."""
    init = config.network.init
    if not init.startswith(RUN_PREFIX):
        return config
    bundle = out.absolute() / "runs" / init.removeprefix(RUN_PREFIX) / "bundle"
    return config.model_copy(update={"network": config.network.model_copy(update={"init": str(bundle)})})


def _clear(folder: Path) -> None:
    for name in ("config.yaml", "split.json", "run.json", "metrics.jsonl"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "bundle", "counts", "pictures"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _by_network(scorings: Sequence[Scoring]) -> Iterator[list[Scoring]]:
    """Put tests together that need the same predictions."""
    groups: dict[tuple[object, ...], list[Scoring]] = {}
    for scoring in scorings:
        key = (scoring.place, scoring.names, scoring.input_hw, scoring.evaluation.model_dump_json())
        groups.setdefault(key, []).append(scoring)
    yield from groups.values()


def _score(group: Sequence[Scoring], folder: Path, segmenter: Segmenter) -> None:
    """Predict each image once and count it at every size R2."""
    first = group[0]
    items = _items(first.place.path, open_place(first.place), first.names)
    rows: list[list[dict[str, object]]] = [[] for _ in group]
    for item in items:
        frame = read_image(item.image, frame=item.frame, max_pixels=segmenter.config.max_pixels)
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        if item.annotation is None:
            raise AnnotationError(f"'{item.image}' has no annotation, so it cannot be scored.")
        true = item.annotation.mask(size_hw)
        probability = network_output(segmenter, frame, first.input_hw)
        for scoring, table in zip(group, rows, strict=True):
            target = scoring.score_hw or size_hw
            predicted = resize_prediction(probability, target, threshold=segmenter.threshold)
            counts: Counts = count(predicted, resize_truth(true, target))
            table.append({"image": item.name, **counts._asdict()})
    for scoring, table in zip(group, rows, strict=True):
        write_csv(counts_file(folder, scoring.key), COUNT_COLUMNS, table)


def _keep_masks(pictures: Pictures, folder: Path, segmenter: Segmenter) -> None:
    with atomic_folder(folder / "pictures" / pictures.key) as target:
        for item in _items(pictures.place.path, open_place(pictures.place), pictures.names):
            frame = read_image(item.image, frame=item.frame, max_pixels=segmenter.config.max_pixels)
            size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
            probability = network_output(segmenter, frame, pictures.input_hw)
            mask = resize_prediction(probability, size_hw, threshold=segmenter.threshold)
            write_mask(target / f"{item.name}.png", mask)


def _segmenter(folder: Path, evaluation: EvaluationSpec, threads: int | None) -> Segmenter:
    options = SegmentConfig(
        scale="native",
        threshold=evaluation.threshold,
        engine=evaluation.engine,
        precision=evaluation.precision,
        memory_mb=evaluation.memory_mb,
    )
    return Segmenter(folder / "bundle", options, threads=threads, cache=False)


def _items(path: str, items: Sequence[Item], names: Sequence[str]) -> list[Item]:
    known = {item.name: item for item in items}
    gone = [name for name in names if name not in known]
    if gone:
        raise UsageError(f"'{path}' has changed since the study was planned: '{gone[0]}' is gone. Plan it again.")
    return [known[name] for name in names]


def _epochs(folder: Path) -> int:
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return 1 + int(json.loads(lines[-1])["epoch"]) if lines else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
