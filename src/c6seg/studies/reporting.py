"""The report of a study from what is done so far: what the tables, sentences and figures are told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from c6seg.errors import DataError
from c6seg.evaluation.comparisons import OVERLAP
from c6seg.runtime import write_csv
from c6seg.studies.divisions import DRAWN
from c6seg.studies.info import ClusterPicture, CropPicture, StudyInfo
from c6seg.studies.ledger import Ledger
from c6seg.studies.report import write_study_report
from c6seg.studies.results import Progress, collect, curves, read_plan
from c6seg.studies.scores import Configuration, ScoreRow, Sizes
from c6seg.studies.spec import StudySpec

FAILURE_COLUMNS = ("key", "title", "state", "attempts", "error", "host", "ended", "traceback")
PAPER_IMAGES, PAPER_SIZE, PAPER_DIVISION = 30, "2592x1952", (15, 5, 10)
"""The paper's images, and how they are divided; its published figures are set beside no others."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was written of a study, and how far it is."""

    study: str
    folder: Path
    progress: Progress
    files: list[Path] = field(default_factory=list)


def report_of(out: Path, spec: StudySpec) -> Report:
    """Write the report of a study into ``OUT/NAME``, of the runs that are done so far.

    Parameters
    ----------
    out
        Output folder of the runs.
    spec
        The study as its file has it now: heading, question and what the report compares are taken from there, all else
        from the study as it was run.

    Raises
    ------
    DataError
        The study was not begun in this folder, or what is there cannot be read.
    """
    folder = out / spec.name
    plan = read_plan(out, spec.name)
    spec = _as_run(spec, plan)
    rows, progress = collect(out, plan)
    files = [path for path in (folder / "data_sheets.md",) if path.is_file()]
    failures = folder / "failures.csv"
    failures.unlink(missing_ok=True)
    if progress.failures:
        table = [{key: value for key, value in asdict(r).items() if key in FAILURE_COLUMNS} for r in progress.failures]
        write_csv(failures, FAILURE_COLUMNS, table)
        files.append(failures)
    if plan["points"]:
        lines = curves(out, plan)
        if lines:
            write_csv(folder / "curves.csv", tuple(dict.fromkeys(key for line in lines for key in line)), lines)
        files.append(write_study_report(rows, study_info(spec, plan, progress, rows, lines, out), folder))
    return Report(spec.name, folder, progress, files)


def _as_run(spec: StudySpec, plan: Mapping[str, Any]) -> StudySpec:
    """Return the study that was run, with the words and the comparisons of its file."""
    try:
        ran = StudySpec.model_validate({**plan["study"], "report": {}})
    except ValueError as error:
        raise DataError(
            f"The plan of study '{spec.name}' was made by another version ({' '.join(str(error).split())}): run the "
            "study again. What is done stays done."
        ) from error
    return ran.model_copy(update={"title": spec.title, "about": spec.about, "report": spec.report})


def study_info(
    spec: StudySpec,
    plan: Mapping[str, Any],
    progress: Progress,
    rows: Sequence[ScoreRow],
    lines: Sequence[Mapping[str, Any]],
    out: Path,
) -> StudyInfo:
    """Put together what the report is told of a study beside its scores.

    Parameters
    ----------
    spec, progress, rows
        The study, how far it is, its scores.
    plan
        As :func:`c6seg.studies.results.read_plan` gives it.
    lines
        As :func:`c6seg.studies.results.curves` gives them.
    out
        Output folder.
    """
    asked = [test for point in plan["points"] for test in point["tests"]]
    target = plan["data"].get(spec.main_data, {})
    told = spec.report
    overlaps = {} if told.overlap is not None else _overlaps(spec, plan)
    overlap = max(overlaps.values(), default=OVERLAP) if told.overlap is None else told.overlap
    papers = (target.get("images"), target.get("size"), _division(spec, plan))
    return StudyInfo(
        name=spec.name,
        title=spec.title or spec.name,
        question=spec.about,
        configurations=_unique(test["configuration"] for test in asked),
        divisions=len({point["split"] for point in plan["points"]}),
        images_per_division=max((len(test["names"]) for test in asked), default=0),
        sizes=list(dict.fromkeys((test["input_size"], test["score_size"]) for test in asked)),
        expected=_expected(asked),
        columns=told.columns,
        compare=told.compare,
        against=told.against,
        size_factor=told.size_factor,
        overlap=overlap,
        overlaps=overlaps if len(set(overlaps.values())) > 1 else {},
        labels=told.labels,
        published=told.published if papers == (PAPER_IMAGES, PAPER_SIZE, PAPER_DIVISION) else "",
        pretrainings=tuple(spec.stages),
        data=told.data,
        notes=told.notes,
        failures=[(record.title, f"{record.state}: {record.error}") for record in progress.failures],
        planned=len(progress.runs),
        done=progress.states["done"],
        epochs=lines,
        crop=_crop(spec, plan),
        clusters=_clusters(plan, out),
        facts=dict(_versions(progress)),
    )


def _expected(asked: Iterable[Mapping[str, Any]]) -> dict[tuple[Configuration, Sizes], int]:
    """Scores that are planned of each configuration at each of its pairs of sizes."""
    found: Counter[tuple[Configuration, Sizes]] = Counter()
    for test in asked:
        sizes = test["input_size"], test["score_size"]
        found[tuple(sorted(test["configuration"].items())), sizes] += len(test["names"])
    return dict(found)


def _overlaps(spec: StudySpec, plan: Mapping[str, Any]) -> dict[Configuration, float]:
    """Part that training sets share, by the one factor that decides it, or else by configuration."""
    shares = {tuple(sorted(point["configuration"].items())): _overlap(spec, plan, point) for point in plan["points"]}
    for factor in spec.factors:
        found: dict[Configuration, set[float]] = {}
        for key, share in shares.items():
            found.setdefault(tuple(pair for pair in key if pair[0] == factor), set()).add(share)
        if all(len(values) == 1 for values in found.values()):
            return {key: values.pop() for key, values in found.items()}
    return shares


def _overlap(spec: StudySpec, plan: Mapping[str, Any], point: Mapping[str, Any]) -> float:
    if "trained" in point:
        return float(point["trained"]["overlap"])
    # plans of versions that did not write it
    if spec.data[spec.main_data].division != DRAWN:
        return 1.0
    count = _number(point["configuration"].get(spec.report.size_factor, "")) or spec.splits.train
    return min(1.0, count / max(1, int(plan["data"].get(spec.main_data, {}).get("images", 0))))


def _division(spec: StudySpec, plan: Mapping[str, Any]) -> tuple[int, ...]:
    """Most training, validation and test images of a division of the main data set."""
    trained = [point["trained"] for point in plan["points"] if "trained" in point]
    counts = [one["images"] for one in trained if one["data"] == spec.main_data]
    splits = spec.splits
    return tuple(map(max, zip(*counts, strict=True))) if counts else (splits.train, splits.val, splits.test)


def _crop(spec: StudySpec, plan: Mapping[str, Any]) -> CropPicture | None:
    """Return the widest range of fragments of the study, and a picture of the data set that they are cut from."""
    ranges: list[tuple[tuple[float, float], str, str]] = []
    for levels in spec.factors.values():
        for options in levels.values():
            stage = spec.stages.get(str(options.get("init", "")))
            of_stage = options.get("stage.augment.fragment") if stage else None
            for sides, data, own in (
                (of_stage, stage.data if stage else "", stage.options if stage else {}),
                (options.get("augment.fragment"), spec.main_data, {**spec.options, **options}),
            ):
                if isinstance(sides, list | tuple):
                    ranges.append(((float(sides[0]), float(sides[1])), data, str(own.get("input_size", "one size"))))
    for sides, data, size in sorted(ranges, key=lambda one: one[0][0] - one[0][1]):
        image = plan["data"].get(data, {}).get("image")
        if image and Path(image).is_file():
            return CropPicture(Path(image), sides, size, spec.data[data].about)
    return None


def _clusters(plan: Mapping[str, Any], out: Path) -> list[ClusterPicture]:
    """Pictures with the masks of every configuration, where both are there."""
    ledger = Ledger(out, create=False)
    masks: dict[str, dict[str, Path]] = {}
    for point in plan["points"]:
        name = ", ".join(point["configuration"].values())
        for key in point["pictures"]:
            for image, path in plan["pictures"].get(key, {}).items():
                mask = ledger.run_folder(point["job"]) / "pictures" / key / f"{image}.png"
                if mask.is_file() and Path(path).is_file():
                    masks.setdefault(path, {}).setdefault(name, mask)
    return [ClusterPicture(Path(path), found) for path, found in masks.items()]


def _versions(progress: Progress) -> list[tuple[str, str]]:
    names = sorted({name for name, _ in progress.versions})
    return [(name, ", ".join(sorted(v for n, v in progress.versions if n == name))) for name in names]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unique(configurations: Any) -> list[dict[str, str]]:
    return [dict(pairs) for pairs in dict.fromkeys(tuple(each.items()) for each in configurations)]
