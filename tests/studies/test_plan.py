"""From a study and its data to runs: by content, with the same divisions and seeds for all competitors."""

from __future__ import annotations

import json
import shutil

import pytest

from c6seg import api
from c6seg.config import TrainConfig
from c6seg.data.synthetic import write_dataset
from c6seg.errors import DataError, ImageNotFoundError, UsageError, WeightsNotFoundError
from c6seg.studies.files import load_study
from c6seg.studies.jobs import run_key


def plan(study, root, **options):
    return api.plan_study(study, data=[root], **options)


def test_competitors_meet_the_same_images_and_seeds(write_study, data_root):
    found = plan(write_study(factors={"init": ["random", "simulated"], "train_images": [2, 3]}), data_root)
    by_split = {}
    for point in found.points:
        by_split.setdefault(point.split, []).append(found.jobs[point.job])
    assert sorted(by_split) == ["split00", "split01"]
    for jobs in by_split.values():
        assert len(jobs) == 4
        assert len({job.val for job in jobs}) == 1
        assert len({job.config.seed for job in jobs}) == 1
        assert len({job.tests[0].names for job in jobs}) == 1
        small, large = (next(job for job in jobs if len(job.train) == count) for count in (2, 3))
        assert large.train[:2] == small.train, "smaller sets are parts of the larger ones"
        assert not set(large.train) & {*large.val, *large.tests[0].names}
    first, second = (jobs[0] for jobs in by_split.values())
    assert first.config.seed != second.config.seed


def test_a_run_that_two_studies_share_is_one(write_study, data_root, tmp_path):
    both = {"name": "both", "include": [str(write_study(name="one")), ""]}
    other = write_study(name="two", factors={"init": ["simulated", "random"], "train_images": [3]}, tests=[{}])
    shutil.copy(other, tmp_path / "two.yaml")
    both["include"] = [str(write_study(name="one")), str(tmp_path / "two.yaml")]
    (tmp_path / "both.yaml").write_text(json.dumps(both))
    found = plan(tmp_path / "both.yaml", data_root)
    assert len(found.points) == 8
    assert len(found.jobs) == 5, "four trainings and one pre-training"
    assert {len(job.tests) for job in found.jobs.values()} == {0, 4}, "native and native is a test of both"


def test_what_a_run_starts_from_stands_before_it(write_study, data_root):
    found = plan(write_study(factors={"init": ["simulated"]}), data_root)
    keys = list(found.jobs)
    stage = found.jobs[keys[0]]
    assert stage.title.startswith("pre-training")
    assert all(found.jobs[key].needs == (stage.key,) for key in keys[1:])


def test_the_key_depends_on_everything_that_decides_the_weights(write_study, data_root, tmp_path):
    study = write_study()
    keys = set(plan(study, data_root).jobs)
    assert set(plan(study, data_root).jobs) == keys
    shutil.copytree(data_root, tmp_path / "elsewhere")
    assert set(plan(study, tmp_path / "elsewhere").jobs) == keys, "where the data lie does not matter"
    assert not set(plan(study, data_root, overrides=["seed=1"]).jobs) & keys
    assert not set(plan(write_study(options={**load_study(study).options, "epochs": 3}), data_root).jobs) & keys - {
        job.key for job in plan(study, data_root).jobs.values() if job.title.startswith("pre")
    }
    mask = next((tmp_path / "elsewhere/target/masks").glob("*_00001.png"))
    shutil.copy(next((tmp_path / "elsewhere/target/masks").glob("*_00002.png")), mask)
    changed = set(plan(study, tmp_path / "elsewhere").jobs)
    assert changed != keys, "an annotation that changed"


def test_the_key_of_a_known_training_stays():
    """A key that changes trains everything anew: a changed default must change RUN_FORMAT, a new option must not."""
    assert run_key(TrainConfig(), "random", ["a"], ["b"]) == "1fb33324295dad76471c"
    defaults = TrainConfig().model_dump(mode="json")
    known = {
        "input_size": "512x512", "fit": "crop", "epochs": 100, "crops_per_image": 1, "extra_per_epoch": 0, "batch": 4,
        "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0, "schedule": "cosine", "warmup_epochs": 0,
        "loss": "bce+dice", "ema": 0, "early_stopping": 0, "validate_every": 1, "precision": "auto",
        "tune_threshold": True, "seed": 0,
    }  # fmt: skip
    assert {key: defaults[key] for key in known} == known


def test_options_that_only_cost_time_do_not_matter():
    plain = run_key(TrainConfig(), "random", ["a"], ["b"])
    for option in ({"name": "x"}, {"checkpoint_steps": 5}, {"licence": "MIT"}, {"checkpointing": True}):
        assert run_key(TrainConfig(**option), "random", ["a"], ["b"]) == plain
    assert run_key(TrainConfig(seed=1), "random", ["a"], ["b"]) != plain
    assert run_key(TrainConfig(), "imagenet", ["a"], ["b"]) != plain


def test_every_missing_path_is_listed_before_anything_starts(write_study, tmp_path):
    study = write_study(
        data={
            "one": {"path": "one", "division": "own", "about": "ask for it"},
            "two": {"path": "two"},
            "three": {"path": "three"},
        },
        stages={"simulated": {"data": "one", "init": "random"}},
        tests=[{}, {"data": "two", "part": "all"}],
        splits={"repeats": 2, "file": "no-splits.json"},
    )
    found = plan(study, tmp_path)
    assert len(found.missing()) == 4
    with pytest.raises(ImageNotFoundError) as caught:
        api.run_study(study, tmp_path / "out", data=[tmp_path])
    for word in ("/one' for one (ask for it)", "/two'", "/three'", "no-splits.json", "Nothing was started", "--data"):
        assert word in str(caught.value)
    assert not (tmp_path / "out" / "ledger").exists()


def test_a_plan_of_missing_data_assumes_their_images(write_study, tmp_path):
    study = write_study(data={"source": {"path": "x", "images": 3}, "target": {"path": "y", "images": 6}})
    found = plan(study, tmp_path)
    assert len(found.jobs) == 5
    assert len(found.missing()) == 2


def test_missing_weights_are_said_for_all_encoders(write_study, data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("C6SEG_WEIGHTS", raising=False)
    study = write_study(factors={"encoder": ["VGG19", "ResNet50"], "init": ["random", "imagenet"]}, stages={})
    found = plan(study, data_root)
    with pytest.raises(WeightsNotFoundError, match=r"4 of 8 trainings.*VGG19.*ResNet50.*--skip-missing"):
        found.require(found.select())
    kept = found.select(skip_missing=True)
    assert len(kept) == 4
    found.require(kept)
    found.require(found.select(["init=random"]))


def test_more_images_than_there_are(write_study, data_root):
    with pytest.raises(UsageError, match=r"9 training \+ 1 validation \+ 2 test = 12.*has 8 different.*splits\.train"):
        plan(write_study(splits={"train": 9, "val": 1, "test": 2}), data_root)


def test_an_image_that_is_there_twice_is_in_one_part(write_study, data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    for part in ("images", "masks"):
        folder = tmp_path / "data/target" / part
        shutil.copy(folder / "synthetic_00000.png", folder / "synthetic_00009.png")
    found = plan(write_study(splits={"repeats": 5, "train": 4, "val": 2, "test": 2}), tmp_path / "data")
    for job in found.jobs.values():
        used = [*job.train, *job.val, *job.tests[0].names] if job.tests else []
        assert "synthetic_00009" not in used
    with pytest.raises(UsageError, match="has 8 different"):
        plan(write_study(splits={"repeats": 1, "train": 6, "val": 1, "test": 2}), tmp_path / "data")


def test_a_splits_file_that_mixes_groups_is_refused(write_study, data_root, tmp_path):
    shutil.copytree(data_root, tmp_path / "data")
    names = [f"synthetic_{index:05d}" for index in range(8)]
    rows = "".join(f"{name},well{index // 2}\n" for index, name in enumerate(names))
    (tmp_path / "data/target/dataset.csv").write_text("name,group\n" + rows)
    part = {"name": "split00", "train": names[:3], "val": names[3:5], "test": names[5:7]}
    file = tmp_path / "splits.json"
    file.write_text(json.dumps({"format": "c6seg-splits-1", "splits": [part]}))
    splits = {"repeats": 1, "file": str(file), "grouped": True}
    with pytest.raises(DataError, match=r"group 'well1' are in train and in val of split00.*--grouped"):
        plan(write_study(splits=splits), tmp_path / "data")
    part.update(train=names[:4], val=names[4:6], test=names[6:])
    file.write_text(json.dumps({"format": "c6seg-splits-1", "splits": [part]}))
    found = plan(write_study(splits=splits), tmp_path / "data")
    assert {job.train for job in found.jobs.values() if job.tests} == {tuple(names[:4])}
    with pytest.raises(UsageError, match="has 1 divisions"):
        plan(write_study(splits={**splits, "repeats": 2}), tmp_path / "data")


def test_the_data_of_data_sheets_hold_up_no_training(write_study, data_root, tmp_path):
    """A folder that is there and empty is missing too, and does not hide what else is."""
    (tmp_path / "empty").mkdir()
    data = {
        "empty": {"path": str(tmp_path / "empty"), "layout": "livecell"},
        "absent": {"path": "absent"},
        "target": {"path": "target"},
    }
    parts = {"data": data, "stages": None, "factors": {"init": ["random"]}}
    found = plan(write_study(**parts, sheets=["empty", "absent", "target"]), data_root)
    found.require(found.select())
    first, second = found.missing(found.select())
    assert "/empty' for empty: " in first
    assert "no image was found" in first
    assert second.endswith("/absent' for absent")
    found = plan(write_study(**parts, tests=[{}, {"data": "empty", "part": "all"}]), data_root)
    with pytest.raises(ImageNotFoundError, match="no image was found"):
        found.require(found.select())


def test_a_plan_says_what_each_training_set_shares_with_another(write_study, data_root, tmp_path):
    write_dataset(tmp_path / "small", count=6, size_hw=(64, 64), seed=9)
    data = {"small": {"path": str(tmp_path / "small")}, "target": {"path": "target"}}
    factors = {"on": {"small": {"data": "small"}, "target": {"data": "target"}, "two": {"train_images": 2}}}
    study = write_study(data=data, stages=None, factors=factors, options={"network.init": "random"})
    told = {
        point.configuration["on"]: (point.data, point.images, point.overlap) for point in plan(study, data_root).points
    }
    assert told == {
        "small": ("small", (3, 1, 2), 3 / 6),
        "target": ("target", (3, 1, 2), 3 / 8),
        "two": ("target", (2, 1, 2), 2 / 8),
    }
    own = {"target": {"path": "target", "division": "all"}}
    study = write_study(data=own, stages=None, factors={"init": ["random"]}, tests=[{"part": "val"}])
    assert {point.overlap for point in plan(study, data_root).points} == {1.0}


def test_how_many_images_train_is_known_from_the_data(write_study, data_root):
    """Divisions that are not drawn do not follow splits.train."""
    own = {"target": {"path": "target", "division": "all"}}
    parts = {"data": own, "stages": None, "tests": [{"part": "val"}], "options": {"network.init": "random"}}
    found = plan(write_study(**parts, factors={"train_images": [2, 6]}), data_root)
    assert sorted(len(job.train) for job in found.jobs.values()) == [2, 6]
    with pytest.raises(UsageError, match="train_images = 7 is more than the 6 training images of 'target'"):
        plan(write_study(**parts, factors={"train_images": [7]}), data_root)


def test_other_data_can_be_tested_on_and_are_told_apart(write_study, data_root, tmp_path):
    write_dataset(tmp_path / "other", count=2, size_hw=(64, 64), seed=9)
    data = {"other": {"path": str(tmp_path / "other")}, "target": {"path": "target"}}
    study = write_study(
        data=data, stages=None, factors={"init": ["random"]}, tests=[{}, {"data": "other", "part": "all"}]
    )
    asked = plan(study, data_root).points[0].asked
    assert [each.configuration["tested_on"] for each in asked] == ["target", "other"]
    assert [len(each.names) for each in asked] == [2, 2]


def test_a_test_is_asked_for_once_by_whatever_words(write_study, data_root):
    tests = [{"input": ["64x64", "trained"]}, {"data": "target", "input": "64x64"}, {}]
    parts = {"stages": None, "factors": {"init": ["random"]}, "options": {"fit": "resize", "input_size": "64x64"}}
    for point in plan(write_study(**parts, tests=tests), data_root).points:
        assert [each.input_size for each in point.asked] == ["64x64", "native"]
        assert not any("tested_on" in each.configuration for each in point.asked), "there is one data set"


def test_trainings_that_are_tested_on_their_own_data_are_told_apart(write_study, data_root, tmp_path):
    """File names of the two are the same; a third data set that all are tested on is one."""
    for seed, name in enumerate(("other", "third"), start=9):
        write_dataset(tmp_path / name, count=8, size_hw=(64, 64), seed=seed)
    data = {name: {"path": str(tmp_path / name)} for name in ("other", "third")} | {"target": {"path": "target"}}
    parts = {"data": data, "stages": None, "factors": {"on": {"A": {"data": "other"}, "B": {"data": "target"}}}}
    parts["options"] = {"network.init": "random"}
    found = plan(write_study(**parts, tests=[{}]), data_root)
    told = {(point.data, each.configuration["tested_on"]) for point in found.points for each in point.asked}
    assert told == {("other", "other"), ("target", "target")}
    found = plan(write_study(**parts, tests=[{"data": "third", "part": "all"}]), data_root)
    assert {tuple(each.configuration) for point in found.points for each in point.asked} == {("on",)}


def test_data_are_named_or_given_in_order(write_study, data_root, tmp_path):
    write_dataset(tmp_path / "other", count=8, size_hw=(64, 64), seed=9)
    data = {"first": {"path": "x"}, "second": {"path": "y"}}
    study = write_study(data=data, stages=None, factors={"init": ["random"]})
    given = [data_root / "target", tmp_path / "other"]
    in_order = api.plan_study(study, data=given)
    assert not in_order.missing()
    named = api.plan_study(study, data=[f"second={given[1]}", f"first={given[0]}"])
    assert set(named.jobs) == set(in_order.jobs)
    with pytest.raises(UsageError, match=r"'secnd'.*'second'"):
        api.plan_study(study, data=["secnd=x"])
    with pytest.raises(UsageError, match="the study has 2 data sets"):
        api.plan_study(study, data=[*given, tmp_path])


def test_only_takes_what_is_asked_for_and_what_it_needs(write_study, data_root):
    found = plan(write_study(), data_root)
    assert len(found.select()) == 5
    assert len(found.select(["init=random"])) == 2
    assert len(found.select(["init=simulated", "split=split01"])) == 2, "and its pre-training"
    with pytest.raises(UsageError, match="'split01'"):
        found.select(["split=split1"])


def test_sizes_of_the_training_are_those_of_resized_images(write_study, data_root):
    factors = {"how": {"resize": {"fit": "resize"}, "crop": {"fit": "crop"}}}
    study = write_study(stages=None, data={"target": {"path": "target"}}, factors=factors, tests=[{"input": "trained"}])
    found = plan(study, data_root)
    sizes = {point.configuration["how"]: point.asked[0].input_size for point in found.points}
    assert sizes == {"resize": "64x64", "crop": "native"}


def test_stage_options_make_pre_trainings_of_their_own(write_study, data_root):
    factors = {"lr": {"low": {"init": "simulated", "stage.learning_rate": 1e-5}, "usual": {"init": "simulated"}}}
    found = plan(write_study(factors=factors), data_root)
    stages = [job for job in found.jobs.values() if job.title.startswith("pre-training")]
    assert sorted(job.config.learning_rate for job in stages) == [1e-5, 1e-3]


def test_plain_pictures_need_no_annotation(write_study, data_root, tmp_path):
    write_dataset(tmp_path / "other", count=2, size_hw=(64, 64), seed=9)
    data = {"shown": {"path": str(tmp_path / "other/images"), "layout": "images"}, "target": {"path": "target"}}
    parts = {"data": data, "stages": None, "factors": {"init": ["random"]}}
    found = plan(write_study(**parts, pictures=[{"data": "shown", "images": ["synthetic_00001"]}]), data_root)
    assert {job.pictures[0].names for job in found.jobs.values()} == {("synthetic_00001",)}
    with pytest.raises(UsageError, match="has no image 'nothing'"):
        plan(write_study(**parts, pictures=[{"data": "shown", "images": ["nothing"]}]), data_root)
