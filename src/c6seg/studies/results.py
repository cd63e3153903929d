"""What a study asked for and what is known of it so far: ``OUT/NAME/plan.json``, and the rows of its scores."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from c6seg.config import format_size
from c6seg.data.images import probe
from c6seg.errors import DataError
from c6seg.runtime import write_json
from c6seg.studies.data import Source, open_place
from c6seg.studies.jobs import short_hash
from c6seg.studies.ledger import Ledger, Record
from c6seg.studies.plan import Plan
from c6seg.studies.scores import ScoreRow
from c6seg.studies.work import counts_file

FORMAT = "c6seg-plan/1"
PLAN_FILE = "plan.json"
SHOWN = ("c6seg", "torch", "openvino")


@dataclass
class Progress:
    """How far a study is.

    Parameters
    ----------
    runs
        Keys of its runs, those that they start from left out, in the order of the plan.
    states
        Number of runs in each state; ``waiting`` were never begun.
    failures
        Records of those that failed or diverged.
    versions
        Libraries, with their versions, that made the runs.
    """

    runs: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    failures: list[Record] = field(default_factory=list)
    versions: set[tuple[str, str]] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether all runs are done."""
        return self.states["done"] == len(self.runs)


def write_plans(plan: Plan, out: Path) -> None:
    """Write what each study of a plan asks for; a report needs that and the ledger, and no data."""
    for spec in plan.specs:
        points = [point.as_dict() for point in plan.points if point.study == spec.name]
        value = {
            "format": FORMAT,
            "study": spec.model_dump(mode="json"),
            "data": {s.name: _facts(s) for s in plan.sources if s.name in spec.data},
            "pictures": _pictures(plan, {point["job"] for point in points}),
            "points": points,
        }
        write_json(out / spec.name / PLAN_FILE, value)


def _facts(source: Source) -> dict[str, Any]:
    """Place, number of annotated images, and the first image with its size, as far as it can be looked at."""
    first = open_place(source.place)[0].image if not source.missing and Path(source.place.path).exists() else None
    size = None if first is None else format_size(probe(first).size_hw)
    return {**asdict(source.place), "images": len(source.annotated), "size": size, "image": first and str(first)}


def _pictures(plan: Plan, jobs: set[str]) -> dict[str, dict[str, str]]:
    """Key of kept masks -> name of each image and where it lies."""
    missing = {source.place for source in plan.sources if source.missing}
    found: dict[str, dict[str, str]] = {}
    for key in jobs:
        for shown in plan.jobs[key].pictures:
            if shown.place not in missing and Path(shown.place.path).exists():
                items = {item.name: str(item.image) for item in open_place(shown.place)}
                found[shown.key] = {name: items[name] for name in shown.names}
    return found


def read_plan(out: Path, name: str) -> dict[str, Any]:
    """Read what a study asked for.

    Raises
    ------
    DataError
        The study was not begun in this folder, or by another version.
    """
    path = out / name / PLAN_FILE
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = value["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"Study '{name}' was not begun in '{out}': run it first, c6seg study run {name}.") from error
    if found != FORMAT:
        raise DataError(f"'{path}' is of another version ({found}; this one reads {FORMAT}). Run the study again.")
    return value


def collect(out: Path, plan: Mapping[str, Any]) -> tuple[list[ScoreRow], Progress]:
    """Read the rows of all tests of a study that are there: counts are written whole, once a run is trained.

    Parameters
    ----------
    out
        Output folder.
    plan
        As :func:`read_plan` gives it.

    Raises
    ------
    DataError
        The ledger is of another version, or counts cannot be read.
    """
    ledger = Ledger(out, create=False)
    progress = Progress()
    rows: list[ScoreRow] = []
    for point in plan["points"]:
        record = ledger.read(point["job"])
        if point["job"] not in progress.runs:
            _count(point["job"], record, progress)
        for asked in point["tests"] if record is not None else ():
            rows += _rows(counts_file(ledger.run_folder(point["job"]), asked["key"]), asked, point["split"])
    return rows, progress


def curves(out: Path, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Losses and validation Dice by epoch of every run of a study.

    Returns
    -------
    list[dict[str, Any]]
        Factors, ``split``, ``state`` of the run, ``validated_on`` (what its validation Dice is about: size of the
        input, how images are brought to it, and which images), ``epoch``, and what was noted. A factor that is called
        like something that was noted stands in its place.
    """
    ledger = Ledger(out, create=False)
    found = []
    for point in plan["points"]:
        folder = ledger.run_folder(point["job"])
        file = folder / "metrics.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else ()
        record = ledger.read(point["job"])
        run = {
            "split": point["split"],
            "state": record.state if record is not None else "waiting",
            "validated_on": _validated_on(folder, point) if lines else "",
        }
        for line in lines:
            try:
                values = json.loads(line)
            except ValueError:  # the last line of a run at work
                continue
            found.append({**point["configuration"], **run, **values, **point["configuration"]})
    return found


def _validated_on(folder: Path, point: Mapping[str, Any]) -> str:
    """Say what the validation Dice of a run is about; runs with the same words can be compared by it."""
    data = point.get("trained", {}).get("data", "")  # plans of earlier versions do not say it
    try:
        names = json.loads((folder / "split.json").read_text(encoding="utf-8"))["val"]
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return f"{config['input_size']} {config['fit']} {short_hash([data, names])}"
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return ""


def _count(key: str, record: Record | None, progress: Progress) -> None:
    progress.runs.append(key)
    progress.states["waiting" if record is None else record.state] += 1
    if record is not None:
        progress.versions |= {(name, record.versions[name]) for name in SHOWN if name in record.versions}
        if record.state in {"failed", "diverged"}:
            progress.failures.append(record)


def _rows(path: Path, asked: Mapping[str, Any], split: str) -> list[ScoreRow]:
    """Rows of one test; none where it is not scored yet."""
    if not path.is_file():
        return []
    groups = dict(zip(asked["names"], asked["groups"], strict=True))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            counts = {
                row["image"]: {key: int(row[key]) for key in ("tp", "fp", "fn", "tn")} for row in csv.DictReader(file)
            }
        return [
            ScoreRow(
                configuration=asked["configuration"],
                split=split,
                image=name,
                input_size=asked["input_size"],
                score_size=asked["score_size"],
                group=groups[name],
                **counts[name],
            )
            for name in asked["names"]
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"Counts in '{path}' cannot be read ({error}): remove the file and run the study again."
        ) from error
