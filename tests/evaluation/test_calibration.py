"""The error of confluence: what is measured, and which tables are refused."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c6seg.errors import DataError, UsageError
from c6seg.evaluation.calibration import MIN_IMAGES, calibrate, measure_error, read_confluences
from c6seg.models.bundle_spec import BundleSpec, ScaleSpec

TRUE = (0.10, 0.20, 0.30, 0.40, 0.50, 0.90)
PREDICTED = (0.12, 0.19, 0.33, 0.40, 0.58, 0.95)

Write = Callable[..., Path]


def spec(**changes: Any) -> BundleSpec:
    values = {
        "name": "m",
        "encoder": "e",
        "licence": "MIT",
        "threshold": 0.45,
        "provenance": {"train": ["seen1", "seen2"], "val": ["tuned"]},
        "files": {"weights.safetensors": "ab"},
    }
    return BundleSpec(**{**values, **changes})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a table as ``c6seg evaluate`` does, with what stands beside it."""

    def table(
        name: str = "scores.csv",
        *,
        images: Sequence[str] = "abcdef",
        true: Sequence[object] = TRUE,
        predicted: Sequence[object] = PREDICTED,
        **summary: Any,
    ) -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "dice", "confluence_true", "confluence_pred"])
            rows.writerows(zip(images, ["0.9"] * len(images), true, predicted, strict=False))
        beside = {
            "model": "m",
            "weights_sha256": "ab",
            "threshold": 0.45,
            "input_size": "native",
            "score_size": "native",
            "data": f"/somewhere/{path.stem}",
        }
        path.with_suffix(".summary.json").write_text(json.dumps({**beside, **summary}), encoding="utf-8")
        return path

    return table


def test_the_error_is_that_of_the_angles() -> None:
    found = measure_error(TRUE, PREDICTED, data=["x"], note="n")
    errors = [math.asin(math.sqrt(p)) - math.asin(math.sqrt(t)) for t, p in zip(TRUE, PREDICTED, strict=True)]
    assert found.confluence_bias_arcsine == pytest.approx(statistics.mean(errors), abs=1e-6)
    assert found.confluence_sd_arcsine == pytest.approx(statistics.stdev(errors), abs=1e-6)
    assert found.confluence_mae == pytest.approx((0.02 + 0.01 + 0.03 + 0 + 0.08 + 0.05) / 6, abs=1e-6)
    assert (found.images, found.data, found.note) == (6, ("x",), "n")


def test_cells_and_background_are_treated_alike() -> None:
    """What is too much of cells is too little of background: only the sign of the mean turns."""
    cells = measure_error(TRUE, PREDICTED)
    background = measure_error(1 - np.array(TRUE), 1 - np.array(PREDICTED))
    assert background.confluence_bias_arcsine == pytest.approx(-cells.confluence_bias_arcsine, abs=2e-6)
    assert background.confluence_sd_arcsine == pytest.approx(cells.confluence_sd_arcsine, abs=2e-6)
    assert background.confluence_mae == cells.confluence_mae


def test_empty_and_full_fields_are_numbers() -> None:
    found = measure_error([0, 0, 1, 1], [0, 1, 0, 1])
    assert found.confluence_bias_arcsine == 0
    assert found.confluence_sd_arcsine == pytest.approx(math.sqrt(2 / 3) * math.pi / 2, abs=1e-6)


def test_one_sd_serves_counting_errors_at_any_confluence() -> None:
    """Cells of 1/200 of the field, placed at random: the sd in points doubles, that of the angle stays."""
    rng = np.random.default_rng(0)
    sd = [
        measure_error(np.full(4000, p), rng.binomial(200, p, 4000) / 200).confluence_sd_arcsine
        for p in (0.06, 0.3, 0.6)
    ]
    assert sd == pytest.approx([1 / (2 * math.sqrt(200))] * 3, rel=0.08)


def test_tables_are_taken_together(write: Write) -> None:
    tables = [
        write("t98g.csv", images="abc"),
        write("livecell.csv", images="abd", true=TRUE[3:], predicted=PREDICTED[3:]),
    ]
    found = calibrate(spec(), tables, note="Pixel size 1.24 um.")
    pooled = measure_error(TRUE, PREDICTED)
    assert found.data == ("t98g", "livecell")
    assert found.images == 6
    assert found.confluence_sd_arcsine == pooled.confluence_sd_arcsine
    assert found.confluence_mae == pooled.confluence_mae
    assert found.note == "Pixel size 1.24 um; none of them trained or tuned the model"


def test_a_model_that_does_not_name_its_images_is_not_said_to_be_checked(write: Write) -> None:
    assert "does not name those that trained it" in calibrate(spec(provenance={}), [write()]).note


def test_images_that_trained_or_tuned_the_model_are_refused(write: Write) -> None:
    seen = write(images=["a", "seen1", "c", "tuned", "e", "seen2"])
    with pytest.raises(UsageError, match=r"3 of 6 images trained or tuned the model \(seen1, tuned, seen2\)"):
        calibrate(spec(), [seen])
    assert calibrate(spec(provenance={"train": ["other"]}), [seen]).images == 6


def test_too_few_images_are_refused(write: Write) -> None:
    with pytest.raises(UsageError, match=r"4 images are too few.*at least 5.*c6seg evaluate"):
        calibrate(spec(), [write(images="abcd")])
    assert MIN_IMAGES == 5
    assert calibrate(spec(), [write(images="abcde")]).images == 5
    with pytest.raises(UsageError, match="0 images are too few"):
        calibrate(spec(), [])


def test_an_image_given_twice_is_refused(write: Write) -> None:
    first, second = write("x.csv"), write("y.csv", data="/elsewhere/x")
    with pytest.raises(UsageError, match=r"a, b, c, \.\.\. would count twice"):
        calibrate(spec(), [first, second])


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ({"model": "other"}, r"with the model 'other', not with 'm'"),
        ({"weights_sha256": "cd"}, r"other weights of 'm'"),
        ({"threshold": 0.6}, r"threshold 0\.6, that of the model is 0\.45"),
        ({"input_size": "512x512"}, r"--input-size 512x512.*segment treats images otherwise.*model \(or native\)"),
        ({"score_size": "512x512"}, r"--score-size 512x512; c6seg segment treats images otherwise"),
    ],
)
def test_what_segment_would_not_give_is_refused(write: Write, summary: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        calibrate(spec(), [write(**summary)])


def test_a_model_of_whole_images_is_calibrated_at_their_size(write: Write) -> None:
    whole = spec(scale=ScaleSpec(whole_image=(384, 512)))
    assert calibrate(whole, [write(input_size="512x384")]).images == 6
    assert calibrate(whole, [write(input_size="model")]).images == 6
    with pytest.raises(UsageError, match=r"--input-size native.*model \(or 512x384\)"):
        calibrate(whole, [write(input_size="native")])


def test_an_older_summary_does_not_say_its_weights(write: Write) -> None:
    assert calibrate(spec(), [write(weights_sha256=None)]).images == 6


@pytest.mark.parametrize("value", ["", "many", "nan", "1.2", "-0.1"])
def test_a_confluence_that_is_none_is_refused(write: Write, value: str) -> None:
    table = write(predicted=[0.1, value, 0.2, 0.2, 0.2, 0.2])
    with pytest.raises(DataError, match=rf"image 'b': confluence_pred is '{value}', not a number from 0 to 1"):
        read_confluences(table)


def test_files_that_are_no_tables_are_refused(write: Write, tmp_path: Path) -> None:
    for missing in (tmp_path / "none.csv", write("s.csv").with_suffix(".summary.json")):
        with pytest.raises(DataError, match="no table of `c6seg evaluate` with its summary beside it"):
            read_confluences(missing)
    other = write("o.csv")
    other.write_text("image,dice\na,0.9\n", encoding="utf-8")
    with pytest.raises(DataError, match="it has no column confluence_true"):
        read_confluences(other)
    broken = write("b.csv")
    for text in ("[]", "{}", "{", '{"data": 3}'):
        broken.with_suffix(".summary.json").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"b\.csv"):
            read_confluences(broken)
    short = write("c.csv")
    short.write_text("image,confluence_true,confluence_pred\na,0.1\n", encoding="utf-8")
    with pytest.raises(DataError, match="confluence_pred is None"):
        read_confluences(short)
