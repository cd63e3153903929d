"""The scale of images that carry none, and that images of one run share it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.synthetic import simulate_image
from c6seg.data.synthetic_style import SceneStyle
from c6seg.inference.quality import shows_nothing
from c6seg.inference.scale import FACTORS, find_scale, middle
from c6seg.inference.segmenter import Segmenter
from c6seg.transforms.preprocess import resize


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter(config=SegmentConfig())


def dice(left: np.ndarray, right: np.ndarray) -> float:
    return float(2 * (left & right).sum() / (left.sum() + right.sum()))


def test_the_surest_magnification_wins() -> None:
    picture = np.zeros((800, 800), np.float32)

    def network(part: np.ndarray, known_px: int = 400) -> np.ndarray:
        """A network that knows pictures of 400 px: the nearer, the surer; it marks the upper half."""
        probability = np.zeros(part.shape, np.float32)
        away = abs(np.log(part.shape[0] / known_px))
        probability[: part.shape[0] // 2] = max(0.55, 0.98 - 0.3 * away)
        return probability

    found = find_scale(picture, network, 0.5)
    assert found is not None
    assert found.factor == 0.5
    assert (found.lower, found.upper) == (0.5, 0.5)
    assert find_scale(picture, lambda part: np.zeros(part.shape, np.float32), 0.5) is None
    small = np.zeros((100, 100), np.float32)
    steep = find_scale(small, lambda part: np.full(part.shape, 0.9 + 0.010 * np.log2(part.shape[0] / 100)), 0.5)
    slight = find_scale(small, lambda part: np.full(part.shape, 0.9 + 0.005 * np.log2(part.shape[0] / 100)), 0.5)
    assert steep is not None
    assert slight is not None
    assert steep.factor == FACTORS[-1]
    assert slight.factor == FACTORS[0], "what enlarging alone brings does not count"
    level = find_scale(picture, lambda part: np.full(part.shape, 0.9, np.float32), 0.5)
    assert (level.factor, level.lower, level.upper) == (1.0, FACTORS[0], FACTORS[-1])


def test_the_middle_is_in_the_middle() -> None:
    values = np.arange(10)
    rows, columns = middle((10, 3), 4)
    assert values[rows].tolist() == [3, 4, 5, 6]
    assert values[:3][columns].tolist() == [0, 1, 2]


def test_an_empty_picture_first_does_not_fix_the_scale_of_those_that_follow(embedded: Segmenter) -> None:
    later = Segmenter(embedded.bundle, embedded.config, engine=embedded.engine)
    style = replace(SceneStyle.random(np.random.default_rng(4)), region_fraction=0.0, scatter=0.0, floaters=0.0)
    empty = simulate_image(size_hw=(384, 512), seed=4, style=style).pixels
    assert not shows_nothing(empty)
    seen = later.segment(Frame(empty, "empty"))
    assert (seen.scale, seen.scale_source, seen.scale_between) == (1.0, "unknown", None)
    assert later.scales == {}


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_real_cells_at_a_strange_scale_are_found_again(embedded: Segmenter, shared_data: Path, factor: float) -> None:
    """Without an estimate the mean Dice at 0.4 is 0.76."""
    items = [item for item in open_dataset(shared_data / "livecell").items if item.annotation is not None]
    scores, blind = [], []
    native = Segmenter(embedded.bundle, SegmentConfig(scale="native"), engine=embedded.engine)
    for item in items[:8:3]:
        frame = read_image(item.image)
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        new_hw = (round(size_hw[0] * factor), round(size_hw[1] * factor))
        pixels = resize(frame.pixels.astype(np.float32), new_hw).round().astype(np.uint8)
        assert item.annotation is not None
        true = resize(item.annotation.mask(size_hw).astype(np.float32), new_hw) >= 0.5
        found = embedded.segment(Frame(pixels, item.name))
        assert found.scale_source == "estimated"
        assert found.scale_between is not None
        assert found.scale_between[0] <= found.scale <= found.scale_between[1]
        assert 0.4 <= found.scale * factor <= 2.5
        assert found.mask.shape == new_hw
        assert "scale_unknown" in found.flags
        scores.append(dice(found.mask, true))
        blind.append(dice(native.segment(Frame(pixels, item.name)).mask, true))
    assert np.mean(scores) > 0.83
    if factor < 1:
        assert np.mean(scores) > np.mean(blind) + 0.1


def test_a_known_pixel_size_needs_no_estimate(embedded: Segmenter) -> None:
    assert not embedded.must_find_scale(0.87)
    assert embedded.must_find_scale(None)
    for how in ("native", "pixel-size"):
        assert not Segmenter(embedded.bundle, SegmentConfig(scale=how), engine=embedded.engine).must_find_scale(None)
    native = Segmenter(embedded.bundle, SegmentConfig(scale="native"), engine=embedded.engine)
    scaling = native.scaling((100, 100), 3.0)
    assert (scaling.factor, scaling.network_hw, scaling.source) == (1.0, (100, 100), "file")


def test_fast_shows_the_network_704x512_pixels_at_most(embedded: Segmenter, shared_data: Path) -> None:
    fast = Segmenter(embedded.bundle, SegmentConfig(fast=True), engine=embedded.engine)
    scaling = fast.scaling((1952, 2592), 0.8708)
    assert scaling.network_hw[0] * scaling.network_hw[1] == pytest.approx(704 * 512, rel=0.01)
    assert scaling.network_hw[1] / scaling.network_hw[0] == pytest.approx(2592 / 1952, rel=0.01)
    assert scaling.factor == 1.0, "to the scale of the model; what the network sees is smaller"
    assert fast.scaling((300, 400), 0.8708).network_hw == (300, 400)
    frame = read_image(shared_data / "t98g" / "images" / "set12.tif")
    small, whole = fast.segment(frame), embedded.segment(frame)
    assert small.mask.shape == whole.mask.shape
    assert small.network_hw == (600, 601)
    assert (small.scale, whole.network_hw) == (1.0, (1022, 1024))
    assert dice(small.mask, whole.mask) > 0.9


def test_images_of_a_run_share_one_scale(embedded: Segmenter, shared_data: Path, tmp_path: Path) -> None:
    """A time-lapse without pixel sizes must not change its magnification from picture to picture."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, path in enumerate(sorted((shared_data / "livecell").rglob("A172*.tif"))[:3]):
        picture = Image.open(path)
        picture.resize((282, 208), Image.Resampling.LANCZOS).save(folder / f"c_{number}h.png")
    result = api.segment(folder, tmp_path / "out", config={"overlays": False})
    scales = {row["scale"] for row in result.rows}
    assert len(scales) == 1
    assert scales.pop() > 1.2
    assert {row["scale_source"] for row in result.rows} == {"estimated"}
