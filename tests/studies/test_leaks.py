"""Images that a network has seen are neither tested on nor shown, by whatever name and in whichever training."""

from __future__ import annotations

import json
import shutil

import pytest

from c6seg import api
from c6seg.errors import DataError, UsageError

NAMES = [f"synthetic_{index:05d}" for index in range(8)]
PLAIN = {"stages": None, "factors": {"init": ["random"]}, "data": {"target": {"path": "target"}}}


def write_splits(path, *splits, **details):
    splits = [
        {"name": f"split{k:02}", **dict(zip(("train", "val", "test"), one, strict=True))}
        for k, one in enumerate(splits)
    ]
    path.write_text(json.dumps({"format": "c6seg-splits-1", **details, "splits": splits}))
    return {"repeats": len(splits), "file": str(path)}


def test_images_of_the_training_are_not_tested_on(write_study, data_root):
    with pytest.raises(UsageError, match="tested on and trained on in split00"):
        api.plan_study(write_study(tests=[{"part": "all"}]), data=[data_root])


def test_a_pre_training_sees_no_test_image(write_study, data_root):
    stages = {"pre": {"data": "target", "init": "random", "recipe": "default", "options": {"input_size": "64x64"}}}
    again = {**stages, "second": {**stages["pre"], "data": "source", "init": "pre"}}
    for part, init in ((stages, "pre"), (again, "second")):
        with pytest.raises(UsageError, match="tested on and trained on in pre-training pre"):
            api.plan_study(write_study(stages=part, factors={"init": ["random", init]}), data=[data_root])


def test_validation_images_may_be_looked_at_but_not_those_that_trained(write_study, data_root):
    whole = {"target": {"path": "target", "division": "all"}}
    assert api.plan_study(write_study(**{**PLAIN, "data": whole}, tests=[{"part": "val"}]), data=[data_root]).jobs
    stages = {"pre": {"data": "target", "init": "random", "recipe": "default"}}
    splits = {"repeats": 1, "train": 2, "val": 4, "test": 2}
    study = write_study(stages=stages, factors={"init": ["pre"]}, splits=splits, tests=[{"part": "val"}])
    with pytest.raises(UsageError, match="trained on in pre-training pre"):
        api.plan_study(study, data=[data_root])


def test_a_picture_under_two_names_is_one(write_study, data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    for part in ("images", "masks"):
        folder = tmp_path / "data/target" / part
        shutil.copy(folder / "synthetic_00000.png", folder / "copy.png")
    rows = [*((name, "train") for name in NAMES[:5]), (NAMES[5], "val"), (NAMES[6], "test"), (NAMES[7], "test")]
    table = "".join(f"{name},{part}\n" for name, part in [*rows, ("copy", "test")])
    (tmp_path / "data/target/dataset.csv").write_text("name,split\n" + table)
    splits = write_splits(tmp_path / "splits.json", (NAMES[:4], NAMES[4:5], ["copy", *NAMES[6:]]))
    with pytest.raises(
        UsageError, match=r"1 images of 'target' are tested on and trained on in split00, such as 'copy'"
    ):
        api.plan_study(write_study(**PLAIN, splits=splits), data=[tmp_path / "data"])
    own = {"target": {"path": "target", "division": "own"}}
    with pytest.raises(UsageError, match="such as 'copy'"):
        api.plan_study(write_study(**{**PLAIN, "data": own}), data=[tmp_path / "data"])


def test_masks_are_shown_of_unseen_images_only(write_study, data_root):
    with pytest.raises(UsageError, match="of 'target' are shown and trained on in split00"):
        api.plan_study(write_study(**PLAIN, pictures=[{"data": "target"}]), data=[data_root])


@pytest.mark.parametrize(("study", "file"), [(True, False), (False, True)])
def test_groups_are_kept_together_where_the_study_or_the_file_says_so(write_study, data_root, tmp_path, study, file):
    shutil.copytree(data_root, tmp_path / "data")
    rows = "".join(f"{name},well{index // 2}\n" for index, name in enumerate(NAMES))
    (tmp_path / "data/target/dataset.csv").write_text("name,group\n" + rows)
    splits = write_splits(tmp_path / "splits.json", (NAMES[:3], NAMES[3:5], NAMES[5:]), grouped=file)
    with pytest.raises(DataError, match=r"group 'well1' are in train and in val of split00.*grouped: true"):
        api.plan_study(write_study(**PLAIN, splits={**splits, "grouped": study}), data=[tmp_path / "data"])


def test_divisions_of_a_file_are_compared_with_each_other(write_study, data_root, tmp_path):
    first = (NAMES[:4], NAMES[4:5], NAMES[5:])
    for other, share in (
        (first, 1.0),
        ((NAMES[4:], NAMES[:1], NAMES[1:4]), 0.0),
        ((NAMES[3:7], NAMES[:1], NAMES[7:]), 0.25),
    ):
        splits = write_splits(tmp_path / "splits.json", first, other)
        found = api.plan_study(write_study(**PLAIN, splits=splits), data=[data_root])
        assert {point.overlap for point in found.points} == {share}
