"""What a report is told of a study: how much is planned of each configuration, how training sets overlap, figure 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from c6seg.studies.files import load_study
from c6seg.studies.info import StudyInfo
from c6seg.studies.reporting import study_info
from c6seg.studies.results import Progress
from c6seg.studies.spec import ReportSpec, StudySpec

GROUPS = {
    "name": "groups",
    "data": {"large": {"path": "x", "group": "large"}, "small": {"path": "x", "group": "small"}},
    "factors": {"on": {"large": {"data": "large"}, "small": {"data": "small"}}, "epochs": [1, 2]},
    "tests": [{}],
}


def told(spec: StudySpec, tests: list[dict[str, Any]], out: Path, **target: Any) -> StudyInfo:
    data = {name: {"images": 30, **target} for name in spec.data}
    points = [
        {
            "configuration": test["configuration"],
            "split": test["split"],
            "job": "j",
            "tests": [test],
            "pictures": [],
            **({"trained": test["trained"]} if "trained" in test else {}),
        }
        for test in tests
    ]
    return study_info(spec, {"points": points, "data": data, "pictures": {}}, Progress(), [], [], out)


def asked(configuration: dict[str, str], size: str, images: int, split: str = "split00") -> dict[str, Any]:
    names = [f"{number}.tif" for number in range(images)]
    return {"configuration": configuration, "input_size": size, "score_size": "64x64", "names": names, "split": split}


def test_what_is_planned_is_told_by_configuration_and_sizes(tmp_path: Path) -> None:
    """Two data sets of different size, and networks that see images at sizes of their own."""
    tests = [asked({"tested_on": "a"}, "32x32", 3, split) for split in ("split00", "split01")]
    tests.append(asked({"tested_on": "b"}, "64x64", 7))
    found = told(load_study("encoders"), tests, tmp_path)
    assert found.expected == {
        ((("tested_on", "a"),), ("32x32", "64x64")): 6,
        ((("tested_on", "b"),), ("64x64", "64x64")): 7,
    }
    assert found.overlap == 1


def test_overlap_is_that_of_random_divisions_by_size(tmp_path: Path) -> None:
    tests = [asked({"encoder": "VGG19", "train_images": count}, "64x64", 2) for count in ("5", "10", "15")]
    found = told(load_study("train_size"), tests, tmp_path)
    assert found.overlap == 0.5
    assert found.overlaps == {(("train_images", count),): int(count) / 30 for count in ("5", "10", "15")}


def test_figure_5_shows_the_widest_fragments_on_what_they_are_cut_from(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((60, 90), np.uint8)).save(tmp_path / "a.png")
    spec = load_study("scale_matched")
    crop = told(spec, [], tmp_path, image=str(tmp_path / "a.png")).crop
    assert crop is not None
    assert (crop.sides, crop.size, crop.image) == ((0.27, 0.87), "1472x1120", tmp_path / "a.png")
    assert "LIVECell" in crop.caption
    assert told(spec, [], tmp_path, image=None).crop is None
    assert told(load_study("initialisation"), [], tmp_path, image=str(tmp_path / "a.png")).crop is None


def test_published_figures_stand_beside_the_papers_images_only(tmp_path: Path) -> None:
    spec = load_study("initialisation")
    assert told(spec, [], tmp_path, size="2592x1952").published == "Table 1"
    assert told(spec, [], tmp_path, size="1024x1022").published == ""
    assert told(spec, [], tmp_path, size="2592x1944").published == ""
    assert told(spec, [], tmp_path, size="2592x1952", images=29).published == ""
    other = load_study("initialisation", ["splits.train=20"])
    assert told(other, [], tmp_path, size="2592x1952").published == ""
    test = asked({"encoder": "VGG19", "init": "random"}, "704x512", 10)
    for images, published in (([15, 5, 10], "Table 1"), ([15, 10, 5], "")):
        trained = {"data": "glioma", "images": images, "overlap": 0.5}
        assert told(spec, [{**test, "trained": trained}], tmp_path, size="2592x1952").published == published


def test_the_overlap_of_each_configuration_is_that_of_the_plan(tmp_path: Path) -> None:
    """Data sets of different size, and divisions of a file: the study file does not say how many images train."""
    spec = StudySpec.model_validate(GROUPS)
    tests = []
    for name, share in (("large", 0.5), ("small", 0.25)):
        trained = {"data": name, "images": [4, 1, 2], "overlap": share}
        for epochs in ("1", "2"):
            tests.append({**asked({"on": name, "epochs": epochs}, "64x64", 2), "trained": trained})
    found = told(spec, tests, tmp_path)
    assert found.overlaps == {(("on", "large"),): 0.5, (("on", "small"),): 0.25}
    assert found.overlap_of({"epochs": "1", "on": "small", "tested_on": "large"}) == 0.25
    assert found.overlap_of({"epochs": "1", "on": "large", "tested_on": "large"}) == 0.5
    stated = spec.model_copy(update={"report": ReportSpec(overlap=0.1)})
    assert told(stated, tests, tmp_path).overlap_of({"on": "large"}) == 0.1
