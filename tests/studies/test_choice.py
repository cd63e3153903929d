"""Validation images choose, test images judge the choice: never the other way round."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from c6seg import api
from c6seg.config import TrainConfig
from c6seg.config_files import load_config
from c6seg.errors import DataError, UsageError
from c6seg.interfaces.cli import app
from c6seg.studies.choice import choice_words, choose, worth
from c6seg.studies.info import CURVE_COLUMNS, StudyInfo
from c6seg.studies.results import curves
from c6seg.studies.scores import ScoreRow
from c6seg.studies.summary import summarise

STARTS = ({"start": "a"}, {"start": "b"})
INFO = StudyInfo("x", "X", configurations=STARTS, divisions=3, images_per_division=4)
VALIDATION = {"a": (0.9, 0.8, 0.7), "b": (0.8, 0.85, 0.6)}
"""Mean 0.8 against 0.75: a is chosen; the second division alone chooses b."""


def line(start: str, split: int, epoch: int, loss: float, dice: float) -> dict[str, Any]:
    return {"start": start, "split": f"split{split:02}", "epoch": epoch, "val_loss": loss, "val_dice": dice}


def lines() -> list[dict[str, Any]]:
    return [
        each
        for start, values in VALIDATION.items()
        for split, dice in enumerate(values)
        # a higher Dice at a higher loss: those weights are not kept
        for each in (line(start, split, 0, 0.5, 0.99), line(start, split, 1, 0.2, dice))
    ]


def row(start: str, split: int, image: int, hits: int) -> ScoreRow:
    return ScoreRow(
        {"start": start}, f"split{split:02}", f"{image}.tif", "64x64", "64x64", hits, 100 - hits, 100 - hits, 0
    )


def rows() -> list[ScoreRow]:
    """On test images b is far better: that must not matter."""
    return [
        row(start, split, image, hits + image)
        for start, hits in (("a", 60), ("b", 90))
        for split in range(3)
        for image in range(4)
    ]


def test_validation_at_the_kept_epoch_chooses() -> None:
    [choice] = choose(lines(), ["start"])
    assert choice.best == (("start", "a"),)
    assert choice.dice == pytest.approx(0.8)
    assert [dict(key)["start"] for key in choice.by_division.values()] == ["a", "b", "a"]


def test_the_choice_is_judged_in_its_own_division() -> None:
    [choice] = choose(lines(), ["start"])
    info = INFO
    [(beside, sizes, estimate)] = worth(choice, summarise(rows(), info), info)
    assert (beside, sizes) == ("", ("64x64", "64x64"))
    assert estimate.scores == 12
    assert estimate.mean == pytest.approx((0.615 + 0.915 + 0.615) / 3)


def test_words_say_what_was_chosen_and_what_it_is_worth() -> None:
    info = replace(INFO, epochs=lines(), labels={"start": {"a": "from nothing"}})
    [text] = choice_words(summarise(rows(), info), info)
    assert text.startswith(
        "Of 2 configurations the validation images choose from nothing: validation Dice 0.800, mean of 3"
    )
    assert "Chosen anew in each division (from nothing 2 times; b 1 time), the choice has a test Dice of 0.7" in text


def test_no_dice_is_above_1() -> None:
    many = [line(start, split, 0, 0.2, 0.9) for start in "ab" for split in range(6)]
    scores = [
        row(start, split, image, 100 - 9 * (split % 2))
        for start in "ab"
        for split in range(6)
        for image in range(split, split + 4)
    ]
    [choice] = choose(many, ["start"])
    [(_, _, estimate)] = worth(choice, summarise(scores, INFO), replace(INFO, overlap=0.5))
    assert estimate.high == 1.0
    assert estimate.low is not None
    assert estimate.low < estimate.mean < 1


def test_what_is_not_trained_everywhere_is_not_chosen() -> None:
    some = [each for each in lines() if (each["start"], each["split"]) != ("a", "split02")]
    assert choose(some, ["start"]) == [], "b alone is no choice"
    assert choice_words([], INFO) == []


@pytest.mark.parametrize("state", ["diverged", "failed", "running", "waiting"])
def test_runs_that_are_not_done_are_not_chosen(state: str) -> None:
    states = [{**each, "state": state if each["start"] == "a" else "done"} for each in lines()]
    third = [{**each, "start": "c", "val_dice": 0.1} for each in lines() if each["start"] == "b"]
    [choice] = choose([*states, *third], ["start"])
    assert choice.best == (("start", "b"),)


def test_only_what_is_validated_alike_is_compared() -> None:
    sized = [
        {**each, "size": size, "validated_on": f"{size} {each['split']}", "val_dice": each["val_dice"] - off}
        for size, off in (("64", 0.0), ("96", 0.1))
        for each in lines()
    ]
    small, large = choose(sized, ["start", "size"])
    assert (dict(small.best)["size"], dict(large.best)["size"]) == ("64", "96")
    info = StudyInfo("x", "X", configurations=[{**one, "size": size} for size in ("64", "96") for one in STARTS])
    told = choice_words([], replace(info, epochs=sized))
    assert len(told) == 3
    assert "same images at the same size" in told[0]


def test_runs_validated_on_different_data_sets_are_not_ranked(tmp_path: Path) -> None:
    """Their validation images have the same names."""
    points = []
    for data, dice in (("a", 0.5), ("a", 0.6), ("b", 0.9)):
        folder = tmp_path / "runs" / f"run{len(points)}"
        folder.mkdir(parents=True)
        (folder / "split.json").write_text('{"val": ["same.png"]}')
        (folder / "config.yaml").write_text("{input_size: 64x64, fit: crop}")
        (folder / "metrics.jsonl").write_text(json.dumps({"epoch": 0, "val_loss": 0.1, "val_dice": dice}) + "\n")
        trained = {"data": data, "images": [1, 1, 1], "overlap": 1.0}
        configuration = {"on": f"{data}{len(points)}"}
        points.append({"configuration": configuration, "split": "own", "job": folder.name, "trained": trained})
    found = [{**each, "state": "done"} for each in curves(tmp_path, {"points": points})]
    [choice] = choose(found, ["on"])
    assert (choice.best, len(choice.among)) == ((("on", "a1"),), 2)


def test_curves_have_the_columns_that_no_factor_may_be_called(finished: Path) -> None:
    [first, *_] = curves(finished, json.loads((finished / "tiny" / "plan.json").read_text()))
    assert set(first) == {"init", *CURVE_COLUMNS}


def test_data_sets_that_are_tested_on_are_told_apart() -> None:
    [choice] = choose(lines(), ["start"])
    near = [
        ScoreRow(
            {**each.configuration, "tested_on": "near"},
            each.split,
            each.image,
            "8x8",
            "8x8",
            each.tp,
            each.fp,
            each.fn,
            0,
        )
        for each in rows()
    ]
    far = [
        ScoreRow(
            {**each.configuration, "tested_on": "far"}, each.split, each.image, "8x8", "8x8", 1, each.fp, each.fn, 0
        )
        for each in rows()
    ]
    found = worth(choice, summarise([*near, *far], INFO), INFO)
    assert {beside: round(estimate.mean, 2) for beside, _, estimate in found} == {"near": 0.71, "far": 0.05}


def test_the_recipe_trains_what_was_chosen(finished: Path, tmp_path: Path) -> None:
    study = finished.parent / "tiny.yaml"
    told = CliRunner().invoke(
        app, ["study", "recipe", str(study), "--out", str(finished), "--to", str(tmp_path / "r.yaml")]
    )
    assert told.exit_code == 0, told.output
    text = (tmp_path / "r.yaml").read_text()
    assert text == api.study_recipe(study, finished)
    config = load_config(TrainConfig, tmp_path / "r.yaml")
    assert (config.input_size, config.batch, config.epochs, config.seed) == ((64, 64), 2, 2, TrainConfig().seed)
    init = "random" if "init random" in text.splitlines()[0] else str(finished / "runs")
    assert config.network.init.startswith(init)


def test_configurations_that_cannot_be_compared_must_be_chosen_between(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    study = finished.parent / "tiny.yaml"
    for point in json.loads((out / "tiny" / "plan.json").read_text())["points"]:
        assert all(line["state"] == "done" for line in curves(out, {"points": [point]}))
        config = out / "runs" / point["job"] / "config.yaml"
        if point["configuration"]["init"] == "random":
            config.write_text(config.read_text().replace("input_size: 64x64", "input_size: 96x96"))
    with pytest.raises(DataError, match=r"two configurations .* validated on the same images at the same size"):
        api.study_recipe(study, out)
    with pytest.raises(DataError, match="nothing to choose from"):
        api.study_recipe(study, finished, only=["init=random"])


def test_nothing_to_choose_from_is_said(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "tiny", tmp_path / "tiny")
    shutil.copytree(finished / "ledger", tmp_path / "ledger")
    assert json.loads((tmp_path / "tiny" / "plan.json").read_text())["points"]
    with pytest.raises(DataError, match="nothing to choose from yet"):
        api.study_recipe(finished.parent / "tiny.yaml", tmp_path)


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("split=split00", "split=split00: a recipe is chosen over all divisions"),
        ("split=split99", "split=split99: a recipe is chosen over all divisions"),
        ("init=randm", "value of init 'randm'.*'random'"),
        ("splt=split00", "factor 'splt'"),
    ],
)
def test_a_recipe_is_of_all_divisions_and_of_known_values(finished: Path, only: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        api.study_recipe(finished.parent / "tiny.yaml", finished, only=[only])
    assert "'split'" not in str(caught.value), "it is not offered either"
