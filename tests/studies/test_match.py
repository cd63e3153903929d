"""Object sizes of source and target: nothing is left in the folder at work, and a study of studies is measured too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from c6seg import api
from c6seg.studies.files import load_study, with_included
from c6seg.studies.match import match_of, matched_study


def test_a_simulated_source_leaves_nothing_behind(
    write_study: Callable[..., Path], data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = api.match_study(study, data=[data_root])
    assert found is not None
    assert found.fraction > 0
    assert not list((tmp_path / "here").iterdir())


def test_of_the_whole_paper_the_study_of_fragments_is_measured() -> None:
    chosen = matched_study(with_included(load_study("paper")))
    assert chosen is not None
    assert chosen.name == "scale_matched"


def test_an_included_study_is_measured(write_study: Callable[..., Path], data_root: Path, tmp_path: Path) -> None:
    write_study()
    (tmp_path / "all.yaml").write_text("{name: all, include: [tiny.yaml]}")
    assert api.match_study(tmp_path / "all.yaml", data=[data_root]) is not None


def test_without_a_pre_training_there_is_nothing_to_measure(tmp_path: Path) -> None:
    assert matched_study([load_study("encoders")]) is None
    assert match_of([load_study("encoders")], [tmp_path]) is None
