"""Data sheets of the data sets of a study (the paper's Table 6), measured once for each content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from c6seg.data.datasets import Dataset
from c6seg.data.describe import describe_dataset
from c6seg.data.facts import Progress
from c6seg.runtime import write_csv, write_json, write_text
from c6seg.studies.data import Source, make_simulated, open_place
from c6seg.studies.jobs import short_hash

COLUMNS = (
    "data", "layout", "modality", "images", "annotated", "sizes", "channels", "pixel_sizes_um", "objects",
    "diameter_px", "covered_fraction",
)  # fmt: skip


def write_sheets(sources: list[Source], study: Path, out: Path, *, progress: Progress | None = None) -> list[Path]:
    """Measure data sets and write ``data_sheets.csv`` and ``data_sheets.md``.

    Parameters
    ----------
    sources
        The data sets; they are there.
    study
        Folder of the study, for the tables.
    out
        Output folder; sheets are kept in ``sheets/`` under a hash of the data.
    progress
        Called after each image that is measured.

    Returns
    -------
    list[Path]
        The tables.
    """
    rows = [_row(source.name, _sheet(source, out, progress)) for source in sources]
    table, text = study / "data_sheets.csv", study / "data_sheets.md"
    write_csv(table, COLUMNS, rows)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(str(row[column]) for column in COLUMNS) + " |" for row in rows]
    write_text(text, "\n".join(lines) + "\n")
    return [table, text]


def _sheet(source: Source, out: Path, progress: Progress | None) -> dict[str, Any]:
    file = out / "sheets" / f"{short_hash([entry.digest for entry in source.entries])}.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        make_simulated(source)
        data = Dataset(Path(source.place.path), source.place.layout, open_place(source.place))
        found = describe_dataset(data, progress=progress).as_dict()
        write_json(file, found)
    return found


def _row(name: str, sheet: dict[str, Any]) -> dict[str, Any]:
    def counted(key: str) -> str:
        return ", ".join(f"{value} ({times})" for value, times in list(sheet[key].items())[:6])

    def middle(key: str) -> str:
        return "" if sheet[key] is None else f"{sheet[key]['median']:.3g}"

    return {
        "data": name,
        **{key: sheet[key] for key in ("layout", "modality", "images", "annotated", "objects")},
        **{key: counted(key) for key in ("sizes", "channels", "pixel_sizes_um")},
        **{key: middle(key) for key in ("diameter_px", "covered_fraction")},
    }
