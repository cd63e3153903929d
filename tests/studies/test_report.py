"""The report: the same scores give the same bytes, partial ones too; it stands alone and hides nothing."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from c6seg.studies.info import CropPicture, StudyInfo
from c6seg.studies.report import write_study_report
from c6seg.studies.scores import read_scores


@pytest.fixture
def info(examples: ModuleType) -> StudyInfo:
    return StudyInfo(
        "initialisation", "Where <weights> come from", question="Does it help?", configurations=examples.INITIALISATION,
        divisions=6, images_per_division=6, columns="init", compare=("init",), published="Table 1",
        notes=("Simulated & not measured.",), data=("Nobody's images.",), facts={"c6seg": "0"}, planned=36, done=36,
    )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_scores_same_bytes_in_any_order(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    lines = [
        {**one, "split": "split00", "epoch": epoch, "val_dice": 0.5 + 0.1 * epoch}
        for one in examples.INITIALISATION[:3]
        for epoch in range(3)
    ]
    info = replace(info, epochs=lines)
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean, groups=True)
    report = write_study_report(rows, info, tmp_path / "one")
    random.Random(3).shuffle(rows)
    write_study_report(rows, info, tmp_path / "two")
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert report == tmp_path / "one" / "report.html"
    assert one == two
    assert set(one) == {
        "report.html", "report.md", "scores.csv",
        *(f"figures/epochs.{suffix}" for suffix in ("pdf", "png", "svg")),
        *(f"tables/{name}.{suffix}" for name in ("compact", "compact-large", "compact-small", "dice", "comparisons")
          for suffix in ("csv", "md", "tex")),
    }  # fmt: skip
    assert sorted(read_scores(tmp_path / "one" / "scores.csv"), key=repr) == sorted(rows, key=repr)


def test_it_stands_alone_and_says_what_the_scores_say(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean)
    text = write_study_report(rows, info, tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!#|data:)", text)
    assert "<script" not in text
    assert "<title>Where &lt;weights&gt; come from</title>" in text
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    for words in ("beats imagenet by", "0.868", "0.50", "Nobody's images."):
        assert words in markdown
        assert words.replace("'", "&#39;") in text
    assert "partial" not in text
    assert "partial" not in markdown
    assert str(tmp_path) not in text + markdown


def test_claims_are_for_the_one_pre_trained_network(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean)
    write_study_report(rows, info, tmp_path)
    assert "pre-train" not in (tmp_path / "report.md").read_text().lower()
    write_study_report(rows, replace(info, pretrainings=("livecell", "simulated")), tmp_path)
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "Each pre-training (livecell, simulated) was done once" in text
        assert text.count("one pre-trained network") == 2, "above the findings and in the methods"


def test_a_partial_report_is_said_to_be_partial(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION[:4], examples.start_mean)
    some = replace(info, done=23, failures=[("VGG19, random, split02", "CUDA <out> of memory")])
    for name in ("report.html", "report.md"):
        write_study_report(rows, some, tmp_path)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert (
            "This report is partial: 23 of 36 runs are done, 1 run failed, 2 combinations of 6 have no score." in text
        )
        assert "VGG19, random, split02" in text
    # a second, complete report leaves nothing of the first
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean, groups=True)
    write_study_report(rows, info, tmp_path)
    write_study_report([replace(row, group="") for row in rows], info, tmp_path)
    assert not list((tmp_path / "tables").glob("compact-large.*"))
    assert "partial" not in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("planned", [True, False])
def test_no_score_yet_is_a_report_too(tmp_path: Path, info: StudyInfo, *, planned: bool) -> None:
    some = info if planned else replace(info, configurations=(), planned=0)
    text = write_study_report([], some, tmp_path).read_text(encoding="utf-8")
    assert "No score yet." in text
    assert "There is nothing to compare" in text
    assert (tmp_path / "tables" / "dice.csv").exists() == planned


def test_a_picture_that_cannot_be_read_costs_its_figure(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION[:2], examples.start_mean)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name, there in (("broken.png", False), ("good.png", True)):
        Image.fromarray(np.arange(9000, dtype=np.uint8).reshape(90, 100)).save(tmp_path / "good.png")
        some = replace(info, crop=CropPicture(tmp_path / name, (0.3, 0.9), "64x64", "MIT, somebody."))
        text = write_study_report(rows, some, tmp_path / "out").read_text(encoding="utf-8")
        assert ("random_crop&#39; could not be drawn" in text) != there
        assert ("MIT, somebody." in text) == there
        assert (tmp_path / "out" / "figures" / "random_crop.png").exists() == there


def test_figure_3_has_the_papers_words_beside_the_papers_data_only(tmp_path: Path, examples: ModuleType) -> None:
    levels = [{"train_images": count} for count in ("5", "10", "15")]
    rows = examples.study_rows(levels, lambda c, s: 0.93)
    for published in ("Fig. 3", ""):
        info = StudyInfo("train_size", "Sizes", size_factor="train_images", published=published)
        text = write_study_report(rows, info, tmp_path).read_text(encoding="utf-8")
        assert ("roughly 0.064 to 0.065 at 5 training images" in text) == bool(published)
        assert (tmp_path / "figures" / "training_images.svg").is_file()


def test_many_comparisons_are_cut_but_claims_stay(tmp_path: Path, info: StudyInfo, examples: ModuleType) -> None:
    levels = [{"encoder": f"e{number:02d}"} for number in range(13)]
    rows = examples.study_rows(levels, lambda c, s: 0.80 + 0.1 * (c["encoder"] == "e12"))
    text = write_study_report(
        rows, replace(info, configurations=levels, compare=(), published="", columns=""), tmp_path
    ).read_text(encoding="utf-8")
    assert "18 more stand in tables/comparisons.csv" in text
    assert text.count("<li>e12 beats e") == 12
