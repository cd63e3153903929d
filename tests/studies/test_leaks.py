"""Images that a network has seen are neither tested on nor shown, by whatever name and in whichever training."""

from __future__ import annotations

import json
import shutil

import pytest

from c6seg import api
from c6seg.errors import DataError, ImageNotFoundError, UsageError

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


def test_a_splits_file_that_is_not_there_is_missing_and_no_leak(write_study, data_root, tmp_path):
    """Which images train is not known then, whichever are shown or tested on and however many there are."""
    data = {
        "again": {"path": "target"},
        "gone": {"path": "gone"},
        "whole": {"path": "target", "division": "all"},
        "target": {"path": "target", "images": 3},
    }
    study = write_study(
        data=data,
        stages={"pre": {"data": "whole", "init": "random", "recipe": "default", "options": {"input_size": "64x64"}}},
        factors={"init": ["random", "pre"], "train_images": [3, 20]},
        tests=[{}, {"data": "again", "part": "val"}, {"data": "gone", "part": "all"}],
        pictures=[{"data": "target", "images": NAMES[:1]}, {"data": "again"}],
        splits={"repeats": 2, "file": str(tmp_path / "no.json")},
    )
    missing = [f"'{data_root / 'gone'}' for gone", f"'{tmp_path / 'no.json'}' for splits.file"]
    for folder, gone in ((data_root, missing), (tmp_path, None)):
        found = api.plan_study(study, data=[folder])
        assert gone is None or found.missing() == gone
        with pytest.raises(
            ImageNotFoundError, match=r"gone' for gone.*no\.json' for splits\.file.*--set splits\.file=FILE"
        ):
            found.require(found.select())


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ((NAMES[:4], [], NAMES[6:]), "split01 has no image in val, and a training needs both"),
        (([], NAMES[4:6], NAMES[6:]), "split01 has no image in train, and"),
        (([], [], NAMES[6:]), "split01 has no image in train and none in val, and"),
    ],
)
def test_divisions_of_a_file_with_nothing_to_train_on_are_refused(write_study, data_root, tmp_path, split, words):
    splits = write_splits(tmp_path / "splits.json", (NAMES[:4], NAMES[4:6], NAMES[6:]), split)
    with pytest.raises(DataError, match=words):
        api.plan_study(write_study(**PLAIN, splits=splits), data=[data_root])
    assert api.plan_study(write_study(**PLAIN, splits={**splits, "repeats": 1}), data=[data_root]).jobs


def test_a_part_of_a_file_may_be_empty_where_it_is_not_needed(write_study, data_root, tmp_path):
    splits = write_splits(tmp_path / "splits.json", (NAMES[:6], NAMES[6:], []))
    assert api.plan_study(write_study(**PLAIN, splits=splits, tests=[{"part": "val"}]), data=[data_root]).jobs
    with pytest.raises(UsageError, match="no images in part 'test'"):
        api.plan_study(write_study(**PLAIN, splits=splits), data=[data_root])
    splits = write_splits(tmp_path / "splits.json", ([], [], NAMES[6:]))
    data = {"target": {"path": "target"}, "source": {"simulate": {"count": 3, "size": "96x96"}, "division": "all"}}
    study = write_study(**{**PLAIN, "data": data}, splits=splits, tests=[{"data": "target"}])
    assert {job.tests[0].names for job in api.plan_study(study, data=[data_root]).jobs.values()} == {tuple(NAMES[6:])}
