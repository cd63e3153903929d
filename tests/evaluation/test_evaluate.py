"""From images and a model to the table and the summary; the network is a formula that the test knows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from c6seg.config import PreprocessConfig, SegmentConfig
from c6seg.config_files import dump_yaml
from c6seg.data.datasets import Dataset, open_dataset
from c6seg.evaluation.evaluate import evaluate_items, network_output, write_evaluation
from c6seg.evaluation.protocol import COLUMNS
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle
from c6seg.models.bundle_spec import BundleSpec, ScaleSpec


class Brightness:
    """The probability of a pixel is its stretched grey value, blurred."""

    name, device = "formula", "cpu"
    precision = "f32"

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.sizes.append((batch.shape[2], batch.shape[3]))
        grey = batch[:, :1] * 0.5 + 0.5
        return np.stack([ndimage.gaussian_filter(image[0], 1)[None] for image in grey]).astype(np.float32)


PREPROCESS = PreprocessConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), multiple=32)


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    spec = BundleSpec(
        name="formula",
        encoder="none",
        licence="MIT",
        preprocess=PREPROCESS,
        threshold=0.45,
        scale=ScaleSpec(pixel_size_um=1.0),
    )
    folder = tmp_path / "formula"
    folder.mkdir()
    (folder / "bundle.yaml").write_text(dump_yaml(spec), encoding="utf-8")
    return Segmenter(Bundle(folder, spec), SegmentConfig(), engine=Brightness())


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four images of bright blobs, 90x70 px of 2 um; the truth is shifted a little."""
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        rng = np.random.default_rng(number)
        field = ndimage.gaussian_filter(rng.standard_normal((70, 90)), 4)
        pixels = np.interp(field, (field.min(), field.max()), (500, 4000)).astype(np.uint16)
        tifffile.imwrite(
            root / "images" / f"im{number}.tif",
            pixels,
            resolution=(5000, 5000),
            resolutionunit="CENTIMETER",
            metadata=None,
        )
        true = np.roll(field > np.quantile(field, 0.6), 1, axis=0)
        Image.fromarray(true.astype(np.uint8) * 255).save(root / "masks" / f"im{number}.png")
    return open_dataset(root)


def by_hand(root: Path, name: str, input_hw: tuple[int, int], score_hw: tuple[int, int]) -> float:
    """Equation (2) with Pillow, scipy and torch only."""
    torch = pytest.importorskip("torch")
    x = tifffile.imread(root / "images" / f"{name}.tif").astype(np.float32)
    low, high = np.percentile(x, (0.5, 99.5))
    x = np.clip((x - low) / (high - low), 0, 1)
    if x.shape != input_hw:
        x = np.asarray(Image.fromarray(x).resize(input_hw[::-1], Image.Resampling.BILINEAR))
    pad = [(0, -side % 32) for side in input_hw]
    z = ndimage.gaussian_filter(np.pad(x, pad, mode="symmetric"), 1)[: input_hw[0], : input_hw[1]]
    y = np.asarray(Image.open(root / "masks" / f"{name}.png")) > 0

    def g(array: NDArray[Any]) -> NDArray[Any]:
        tensor = torch.from_numpy(array.astype(np.float64))[None, None]
        return torch.nn.functional.interpolate(tensor, size=score_hw, mode="bilinear", align_corners=False)[
            0, 0
        ].numpy()

    predicted, true = g(z) >= 0.45, g(y) > 1e-9
    return float(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))


@pytest.mark.parametrize(
    ("input_hw", "score_hw"),
    [(None, None), ((64, 96), None), ((64, 96), (64, 96)), (None, (100, 120)), ((40, 50), (33, 41))],
)
def test_dice_equals_equation_2_by_hand(
    dataset: Dataset, segmenter: Segmenter, input_hw: tuple[int, int] | None, score_hw: tuple[int, int] | None
) -> None:
    evaluation = evaluate_items(dataset.items, segmenter, input_hw=input_hw, score_hw=score_hw)
    assert not evaluation.failures
    for score in evaluation.scores:
        expected = by_hand(dataset.root, score.image, input_hw or (70, 90), score_hw or (70, 90))
        assert score.dice == pytest.approx(expected, abs=2e-3)  # single precision moves a pixel here and there
        assert 0.4 < score.dice < 1
        assert score.counts.total == (score_hw or (70, 90))[0] * (score_hw or (70, 90))[1]


def test_native_is_what_segment_gives_without_a_pixel_size(dataset: Dataset, segmenter: Segmenter) -> None:
    from dataclasses import replace

    from c6seg.data.images import read_image

    frame = replace(read_image(dataset.items[0].image), pixel_size_um=None)
    np.testing.assert_array_equal(network_output(segmenter, frame, None), segmenter.segment(frame).probability)


def test_the_models_own_scale(dataset: Dataset, segmenter: Segmenter) -> None:
    evaluation = evaluate_items(dataset.items, segmenter, model_scale=True)
    row = evaluation.scores[0].row()
    assert (row["input_size"], row["score_size"]) == ("180x140", "native")  # 2 um per pixel, trained at 1
    assert evaluation.details["input_size"] == "model"
    engine = segmenter.engine
    assert isinstance(engine, Brightness)
    assert set(engine.sizes) == {(160, 192)}


def test_table_and_summary(dataset: Dataset, segmenter: Segmenter, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    evaluation = evaluate_items(dataset.items, segmenter, input_hw=(64, 96), progress=lambda *args: seen.append(args))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    path = tmp_path / "out" / "scores.csv"
    summary_path = write_evaluation(path, evaluation, data=str(dataset.root))
    assert summary_path == tmp_path / "out" / "scores.summary.json"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["image"] for row in rows] == ["im0", "im1", "im2", "im3"]
    assert {(row["input_size"], row["score_size"]) for row in rows} == {("96x64", "native")}
    for row in rows:
        tp, fp, fn = (int(row[key]) for key in ("tp", "fp", "fn"))
        assert float(row["dice"]) == pytest.approx(2 * tp / (2 * tp + fp + fn))
    summary = json.loads(summary_path.read_text(encoding="utf-8"))
    dice = summary["scores"]["dice"]
    assert dice["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))
    assert dice["std"] == pytest.approx(np.std([float(row["dice"]) for row in rows], ddof=1))
    assert dice["low"] <= dice["mean"] <= dice["high"]
    assert (summary["model"], summary["threshold"], summary["precision"]) == ("formula", 0.45, "f32")
    assert (summary["images"], summary["failed"]) == (4, 0)
    assert len(summary["model_sha256"]) == 64


def test_bad_images_are_failures_and_the_rest_is_scored(dataset: Dataset, segmenter: Segmenter) -> None:
    (dataset.root / "images" / "im1.tif").write_bytes(b"II*\0 cut off")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(dataset.root / "masks" / "im2.png")
    (dataset.root / "masks" / "im3.png").unlink()
    evaluation = evaluate_items(open_dataset(dataset.root).items, segmenter)
    assert [score.image for score in evaluation.scores] == ["im0"]
    reasons = dict(evaluation.failures)
    assert set(reasons) == {"im1", "im2", "im3"}
    assert "im1.tif" in reasons["im1"]
    assert "10x10" in reasons["im2"]
    assert "has no annotation" in reasons["im3"]
    assert evaluation.summary()["dice_failures_as_0"] == pytest.approx(evaluation.scores[0].dice / 4)


def test_a_grey_card_has_no_cells(dataset: Dataset, segmenter: Segmenter) -> None:
    tifffile.imwrite(dataset.root / "images" / "im0.tif", np.full((70, 90), 900, np.uint16))
    score = evaluate_items(dataset.items[:1], segmenter, input_hw=(64, 96)).scores[0]
    assert (score.counts.tp, score.counts.fp) == (0, 0)
