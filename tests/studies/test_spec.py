"""Study files: what they may say, and the words when they say something else."""

from __future__ import annotations

import pytest

from c6seg.errors import ConfigError, UsageError
from c6seg.studies.files import list_studies, load_study, with_included
from c6seg.studies.grid import choose, matches, settings


def test_a_study_is_a_grid_of_trainings(write_study):
    spec = load_study(
        write_study(
            factors={
                "encoder": ["vgg19", "MobileNetV2"],
                "init": ["imagenet", "simulated"],
                "how": {"resize": {"fit": "resize", "augment.flips": False}, "crop": {"fit": "crop"}},
            }
        )
    )
    found = settings(spec)
    assert len(found) == 8
    first = found[0]
    assert dict(first.configuration) == {"encoder": "vgg19", "init": "imagenet", "how": "resize"}
    assert first.config.network.encoder == "VGG19", "the name of the table, whatever was written"
    assert first.config.fit == "resize"
    assert first.config.augment.flips is False
    assert first.init == "imagenet"
    assert first.data == "target", "the last data set is that of the study"
    assert found[1].config.fit == "crop"
    assert found[1].config.augment.flips is True


def test_grids_take_parts_of_all_combinations(write_study):
    factors = {"init": ["random", "imagenet"], "train_images": [1, 2, 3]}
    grids = [{"init": "random", "train_images": [1, 2]}, {"init": "imagenet", "train_images": [3]}, {"init": "random"}]
    found = settings(load_study(write_study(factors=factors, grids=grids)))
    assert [(s.init, s.train_images) for s in found] == [("random", 1), ("random", 2), ("imagenet", 3), ("random", 3)]


def test_overrides_go_into_the_study(write_study):
    spec = load_study(write_study(), ["splits.repeats=7", "options.epochs=9"])
    assert spec.splits.repeats == 7
    assert settings(spec)[0].config.epochs == 9


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"factor": {}}, r"Unknown key 'factor'.*'factors'"),
        ({"data": {"target": {"pth": "x"}}}, r"data\.target.*Unknown key 'pth'.*'path'"),
        ({"tests": [{"inputs": "native"}]}, r"tests 1.*Unknown key 'inputs'.*'input'"),
        ({"tests": [{"input": "70by4"}]}, "is not a size"),
        ({"stages": {"simulated": {"data": "sorce"}}}, r"'sorce'.*'source'"),
        ({"factors": {"init": []}}, "factor 'init' is empty"),
        ({"factors": {"init": {}}}, "factor 'init' is empty"),
        ({"factors": {"init": ["random", "random"]}}, "has a value twice"),
        ({"factors": {"init": "random"}}, "must be a list"),
        ({"factors": {"init": ["simulatd"]}}, r"'simulatd'.*'simulated'"),
        ({"factors": {"encoder": ["resnet5"]}}, "'ResNet50'"),
        ({"factors": {"epochz": [1]}}, r"'epochz'.*'epochs'"),
        ({"factors": {"epochs": [0]}}, "epochs = 0"),
        ({"factors": {"how": {"a": 3}}}, "must be a mapping of options"),
        ({"factors": {"train_images": [4]}}, "more than the 3 training images"),
        ({"factors": {"train_images": ["many"]}}, "whole number"),
        ({"factors": {"data": ["tarjet"]}}, r"'tarjet'.*'target'"),
        ({"grids": [{"init": ["imagenett"]}]}, "value of init in grids"),
        ({"grids": [{"int": ["random"]}]}, "factor in grids"),
        ({"tests": []}, "nothing is tested"),
        ({"data": {"target": {}}, "stages": {}}, "either path or simulate"),
        ({"factors": {"seed": [1, 2]}}, "seed cannot be an option or a factor"),
        ({"options": {"seed": 1}}, "seed cannot be an option or a factor"),
        ({"stages": {"simulated": {"data": "source", "options": {"seed": 1}}}}, "seed cannot be an option"),
        ({"factors": {"how": {"a": {"init": "simulated", "stage.seed": 1}}}}, "seed cannot be an option"),
        ({"recipe": "papr"}, r"'papr'.*'paper'"),
        ({"splits": {"repeats": 0}}, r"splits\.repeats = 0"),
        ({"name": "a study"}, "name = 'a study'"),
        ({"stages": {"imagenet": {"data": "source"}}}, "may not be called 'imagenet'.*rename"),
        ({"stages": {"random": {"data": "source"}}}, "may not be called 'random'.*rename"),
        (
            {"stages": {"x": {"data": "source", "init": "y"}, "y": {"data": "source", "init": "x"}}},
            "start from each other: x > y > x",
        ),
        ({"stages": {"x": {"data": "source", "init": "x"}}}, "start from each other: x > x"),
        ({"tests": [{}, {"part": "val"}]}, "two parts of 'target', test and val"),
        ({"tests": [{}, {"data": "target", "part": "all"}]}, "two parts of 'target', test and all"),
        ({"tests": [{"data": "source"}, {"data": "source", "part": "all"}]}, "two parts of 'source', test and all"),
    ],
)
def test_what_cannot_be_used_is_said(write_study, parts, words):
    with pytest.raises(ConfigError, match=words):
        load_study(write_study(**parts))


def test_a_study_that_is_not_there_offers_the_nearest():
    with pytest.raises(ConfigError, match=r"study 'initialization'.*'initialisation'"):
        load_study("initialization")


def test_a_chain_of_pre_trainings_is_taken(write_study):
    stages = {"x": {"data": "source", "init": "random"}, "y": {"data": "source", "init": "x"}}
    assert load_study(write_study(stages=stages, factors={"init": ["x", "y"]})).stages["y"].init == "x"


def test_parts_of_different_data_sets_are_taken(write_study):
    assert len(load_study(write_study(tests=[{}, {"data": "source", "part": "all"}])).tests) == 2


def test_only_chooses_by_factor_and_division(write_study):
    specs = [load_study(write_study())]
    wanted, splits = choose(specs, ["init=random", "split=split01"])
    assert wanted == {"init": {"random"}}
    assert splits == {"split01"}
    assert matches({"init": "random"}, wanted)
    assert not matches({"init": "simulated"}, wanted)
    assert not matches({}, wanted)
    with pytest.raises(UsageError, match=r"'int'.*'init'"):
        choose(specs, ["int=random"])
    with pytest.raises(UsageError, match=r"'randm'.*'random'"):
        choose(specs, ["init=randm"])
    with pytest.raises(UsageError, match="KEY=VALUE"):
        choose(specs, ["random"])
    with pytest.raises(UsageError, match="split=split01: a recipe is chosen over all divisions"):
        choose(specs, ["split=split01"], divisions=False)


def test_the_paper_includes_every_other_study():
    names = list_studies()
    paper = with_included(load_study("paper"))
    assert sorted(spec.name for spec in paper) == names
    assert paper[-1].name == "paper"


@pytest.mark.parametrize("name", list_studies())
def test_a_study_of_the_paper_is_read_and_says_what_it_is(name):
    spec = load_study(name)
    assert spec.name == name
    assert spec.title
    assert spec.about


def test_an_included_file_lies_beside_the_study(write_study, tmp_path, monkeypatch):
    write_study()
    (tmp_path / "all.yaml").write_text("{name: all, include: [tiny.yaml, scale_matched]}")
    monkeypatch.chdir("/")
    found = with_included(load_study(tmp_path / "all.yaml"))
    assert [spec.name for spec in found] == ["tiny", "scale_matched", "all"]


def test_two_studies_of_one_name_are_one_or_refused(write_study, tmp_path):
    text = write_study().read_text()
    (tmp_path / "same.yaml").write_text(text)
    (tmp_path / "both.yaml").write_text("{name: both, include: [tiny.yaml, same.yaml]}")
    assert [spec.name for spec in with_included(load_study(tmp_path / "both.yaml"))] == ["tiny", "both"]
    (tmp_path / "same.yaml").write_text(text.replace("repeats: 2", "repeats: 3"))
    with pytest.raises(ConfigError, match="Two different studies are called 'tiny'"):
        with_included(load_study(tmp_path / "both.yaml"))
