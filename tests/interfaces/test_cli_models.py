"""``c6seg models calibrate`` as a user meets it, from scores to the card and the manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from c6seg import api
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run
from c6seg.models.bundle import open_bundle


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "model"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six bright discs on dark ground; the truth is a little smaller."""
    root = tmp_path / "discs"
    rows, columns = np.mgrid[0:64, 0:80]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(6):
        distance = np.hypot(rows - 32, columns - 30 - 2 * number)
        radius = 10 + 2 * number
        Image.fromarray(np.uint8((distance < radius) * 180 + rows)).save(root / f"images/d{number}.png")
        Image.fromarray(np.uint8(distance < radius - 1) * 255).save(root / f"masks/d{number}.png")
    return root


@pytest.fixture
def scores(bundle: Path, data: Path, tmp_path: Path) -> Path:
    table = tmp_path / "scores.csv"
    assert run(app, ["-q", "evaluate", "--data", str(data), "--model", str(bundle), "--out", str(table)]) == 0
    return table


def test_calibrate(bundle: Path, data: Path, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    before = open_bundle(bundle).sha256()
    # the card is changed between the scoring and the calibration: the weights say that it is the same model
    assert run(app, ["-q", "models", "record", str(bundle), "own_dice", str(tmp_path / "scores.summary.json")]) == 0
    assert run(app, ["models", "calibrate", str(bundle), str(scores), "--note", "generated discs"]) == 0
    said = capsys.readouterr().out
    opened = open_bundle(bundle)
    found = opened.spec.calibration
    assert found is not None
    assert (found.images, found.data) == (6, ("discs",))
    errors = [score.row() for score in api.evaluate(data, model=bundle).scores]
    off = np.mean([abs(row["confluence_pred"] - row["confluence_true"]) for row in errors])
    assert found.confluence_mae == pytest.approx(off, abs=1e-6)
    assert f"tiny: confluence is off by {100 * off:.1f} points on average (6 images of discs)" in said
    assert set(opened.spec.scores) == {"dice, generated", "own_dice"}, "the scores stay"
    assert opened.sha256() != before, "masks of the model are made again"
    assert run(app, ["models", "info", str(bundle)]) == 0
    assert f"Confluence is off by {100 * off:.1f} points on average" in capsys.readouterr().out
    assert run(app, ["-q", "models", "check", str(bundle)]) == 0

    out = tmp_path / "out"
    assert run(app, ["-q", "segment", str(data / "images"), "--out", str(out), "--model", str(bundle)]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["model"]["calibration"] == {
        "confluence_sd_arcsine": found.confluence_sd_arcsine,
        "confluence_bias_arcsine": found.confluence_bias_arcsine,
        "confluence_mae": found.confluence_mae,
        "images": 6,
        "data": ["discs"],
    }


def test_a_later_calibration_takes_the_place(bundle: Path, scores: Path) -> None:
    first = api.calibrate_model(bundle, scores, note="first")
    second = api.calibrate_model(bundle, [scores], note="second.")
    assert second.spec.calibration is not None
    assert second.spec.calibration.note.startswith("second; ")
    assert first.spec.scores == second.spec.scores


@pytest.mark.parametrize("part", ["train", "val"])
def test_images_of_the_training_are_exit_2(
    bundle: Path, scores: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load((bundle / "bundle.yaml").read_text())
    (bundle / "bundle.yaml").write_text(yaml.safe_dump({**values, "provenance": {part: ["d1", "d4"]}}))
    capsys.readouterr()
    assert run(app, ["models", "calibrate", str(bundle), str(scores)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "2 of 6 images trained or tuned the model (d1, d4)" in error
    assert open_bundle(bundle).spec.calibration is None


def test_wrong_use_is_exit_2(bundle: Path, scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = scores.read_text().splitlines()
    scores.write_text("\n".join(lines[:5]) + "\n")
    for arguments, words in (
        ([str(bundle), str(scores)], "4 images are too few"),
        ([str(bundle), str(tmp_path / "none.csv")], "none.csv"),
        ([str(tmp_path / "no-model"), str(scores)], "no-model"),
        ([str(bundle)], "SCORES.csv"),
    ):
        capsys.readouterr()
        assert run(app, ["models", "calibrate", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert open_bundle(bundle).spec.calibration is None


def test_export(bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["models", "export", str(bundle), "--out"]
    assert run(app, [*command, str(tmp_path / "a.onnx")]) == 0
    assert run(app, [*command, str(tmp_path / "a.zip"), "--format", "bioimageio"]) == 0
    assert f"Written: {tmp_path / 'a.zip'}" in capsys.readouterr().out
    int8 = [*command, str(tmp_path / "int8"), "--format", "openvino-int8", "--data", str(data / "images")]
    assert run(app, [*int8, "--pixel-size", "1"]) == 0
    found = open_bundle(tmp_path / "int8").spec.int8
    assert found is not None
    said = capsys.readouterr().out
    assert f"Masks in int8 against f32, 6 images: mean Dice {found.dice_mean:.4f}, worst {found.dice_worst:.4f}" in said
    assert run(app, int8) == 2
    assert "already a bundle" in capsys.readouterr().err
    assert run(app, [*command, str(tmp_path / "b"), "--format", "openvino"]) == 2
    assert "Unknown format 'openvino'. Did you mean 'openvino-int8'" in capsys.readouterr().err
