"""Data sheets of a study: measured, and what the paper prints beside."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from c6seg.data.synthetic import write_dataset
from c6seg.studies.data import Finder, Source
from c6seg.studies.files import load_study
from c6seg.studies.sheets import write_sheets
from c6seg.studies.spec import DataSpec


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Simulated pictures under a name of the paper's and under another."""
    folder = tmp_path_factory.mktemp("sheets")
    write_dataset(folder / "glioma", count=2, size_hw=(64, 80), seed=1)
    write_dataset(folder / "mine", count=1, size_hw=(64, 64), seed=2)
    return [Finder([folder], None, ["glioma", "mine"]).find(name, DataSpec(path=name)) for name in ("glioma", "mine")]


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "data_sheets.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_6_stands_beside_what_is_measured(sources: list[Source], tmp_path: Path) -> None:
    assert load_study("data_sheets").report.published == "Table 6"
    files = write_sheets(sources, tmp_path, tmp_path, published="Table 6")
    assert [file.name for file in files] == ["data_sheets.csv", "data_sheets.md", "data_sheets.tex"]
    measured, printed, other = _rows(tmp_path)
    assert (measured["data"], measured["sizes"], measured["images"]) == ("glioma", "80x64 (2)", "2")
    assert {key: value for key, value in printed.items() if value} == {
        "data": "paper: Glioma C6",
        "modality": "phase contrast",
        "preparation": "live",
        "sizes": "2592x1952",
        "channels": "three-channel",
    }
    assert other["data"] == "mine"
    latex = (tmp_path / "data_sheets.tex").read_text()
    assert "paper: Glioma C6 & " in latex
    assert "pixel\\_sizes\\_um" in latex
    assert "as printed" in (tmp_path / "data_sheets.md").read_text()


def test_without_being_asked_for_the_paper_is_not_beside(sources: list[Source], tmp_path: Path) -> None:
    write_sheets(sources, tmp_path, tmp_path)
    assert [row["data"] for row in _rows(tmp_path)] == ["glioma", "mine"]
    assert "paper" not in (tmp_path / "data_sheets.md").read_text()
