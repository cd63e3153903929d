"""The report of a study from what is done so far: scores, learning curves, failures, tables and figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from c6seg.runtime import write_csv
from c6seg.studies.results import Progress, collect, curves
from c6seg.studies.scores import write_scores
from c6seg.studies.spec import StudySpec

FAILURE_COLUMNS = ("key", "title", "state", "attempts", "error", "host", "ended", "traceback")


@dataclass(frozen=True, slots=True)
class Report:
    """What was written of a study, and how far it is."""

    study: str
    folder: Path
    progress: Progress
    files: list[Path] = field(default_factory=list)


def report_of(out: Path, spec: StudySpec) -> Report:
    """Write the report of a study into ``OUT/NAME``.

    Parameters
    ----------
    out
        Output folder of the runs.
    spec
        The study.

    Raises
    ------
    DataError
        The study was not begun in this folder, or what is there cannot be read.
    """
    folder = out / spec.name
    rows, progress = collect(out, spec.name)
    files = [path for path in (folder / "data_sheets.md",) if path.is_file()]
    failures = folder / "failures.csv"
    failures.unlink(missing_ok=True)
    if progress.failures:
        table = [{key: value for key, value in asdict(r).items() if key in FAILURE_COLUMNS} for r in progress.failures]
        write_csv(failures, FAILURE_COLUMNS, table)
        files.append(failures)
    if rows:
        write_scores(folder / "scores.csv", rows)
        files.append(folder / "scores.csv")
    lines = curves(out, spec.name)
    if lines:
        names = dict.fromkeys(key for line in lines for key in line)
        write_csv(folder / "curves.csv", tuple(names), lines)
        files.append(folder / "curves.csv")
    return Report(spec.name, folder, progress, files)
