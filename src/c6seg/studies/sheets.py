"""Data sheets of the data sets of a study (the paper's Table 6), measured once for each content.

What the paper prints of a data set stands below what was measured of it, in a row of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from c6seg.data.datasets import Dataset
from c6seg.data.describe import describe_dataset
from c6seg.data.facts import Progress
from c6seg.runtime import write_json, write_text
from c6seg.studies.data import Source, make_simulated, open_place
from c6seg.studies.jobs import short_hash
from c6seg.studies.published import SHEETS, TABLE_6
from c6seg.studies.tables import Table, to_csv, to_latex, to_markdown

COLUMNS = (
    "data", "layout", "modality", "preparation", "sizes", "channels", "pixel_sizes_um", "images", "annotated",
    "objects", "diameter_px", "covered_fraction",
)  # fmt: skip
TEXTS = 7
NOTE = (
    "Measured on the files: numbers of images in brackets, medians of diameters and of covered parts; what is empty is "
    "not known."
)
PAPER_NOTE = (
    "'paper': Table 6 as printed, of the data sets that the paper means, which need not be the files measured; it "
    "prints the size of LIVECell with the height first."
)


def write_sheets(
    sources: list[Source], study: Path, out: Path, *, published: str = "", progress: Progress | None = None
) -> list[Path]:
    """Measure data sets and write ``data_sheets.csv``, ``data_sheets.md`` and ``data_sheets.tex``.

    Parameters
    ----------
    sources
        The data sets; of those that are missing the table says so.
    study
        Folder of the study, for the tables.
    out
        Output folder; sheets are kept in ``sheets/`` under a hash of the data.
    published
        ``Table 6`` sets the paper's rows beside, by the names of the data sets.
    progress
        Called after each image that is measured.

    Returns
    -------
    list[Path]
        The tables.
    """
    rows = []
    for source in sources:
        missing = {"data": f"{source.name}: not there"}
        rows.append(missing if source.missing else _row(source.name, _sheet(source, out, progress)))
        if published == SHEETS and source.name in TABLE_6:
            rows.append(_paper_row(source.name))
    table = Table(
        name="data_sheets",
        title="Data sheets",
        header=COLUMNS,
        rows=tuple(tuple(str(row.get(column, "")) for column in COLUMNS) for row in rows),
        texts=TEXTS,
        note=f"{NOTE} {PAPER_NOTE}" if published == SHEETS else NOTE,
    )
    files = []
    for ending, write in ((".csv", to_csv), (".md", to_markdown), (".tex", to_latex)):
        files.append(study / f"data_sheets{ending}")
        write_text(files[-1], write(table))
    return files


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


def _paper_row(name: str) -> dict[str, str]:
    title, channels, modality, sizes, preparation = TABLE_6[name]
    return {
        "data": f"paper: {title}",
        "channels": channels,
        "modality": modality,
        "sizes": sizes,
        "preparation": preparation,
    }
