"""Images of a run share a scale only where they were taken alike, and a few of an earlier run do not decide for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, read_image
from c6seg.data.synthetic import simulate_image
from c6seg.inference.batch import segment_images
from c6seg.inference.objects import objects_of
from c6seg.inference.scale import FoundScale, decide_scale
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shared_scale import SAMPLES, out_of_scale, recall_scales, share_scales
from c6seg.models.bundle_spec import ScaleSpec

SIZE = (240, 260)
TRAINED = ScaleSpec(pixel_size_um=0.87, object_size_px=50)


class Blind(Segmenter):
    """Takes the mean grey value of an image for its scale: 100 = magnification 1."""

    def find_scale(self, pixels: np.ndarray) -> FoundScale | None:
        factor = round(float(pixels.mean()) / 100, 1)
        return self.scales.get(pixels.shape[:2]) or FoundScale(factor, round(factor - 0.1, 1), round(factor + 0.1, 1))


@pytest.fixture
def blind() -> Segmenter:
    return Blind(config=SegmentConfig(overlays=False))


def pictures(folder: Path, factors: Sequence[float]) -> list[Path]:
    """Write pictures that find these scales."""
    folder.mkdir(exist_ok=True)
    cells = simulate_image(size_hw=SIZE, seed=4).pixels.astype(np.float32)
    cells = np.clip((cells - cells.mean()) / 2, -50, 50)
    paths = []
    for number, factor in enumerate(factors):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.round(100 * factor + cells - cells.mean()).astype(np.uint8)).save(paths[-1])
    return paths


def row(image: str, factor: float, source: str = "estimated") -> dict[str, Any]:
    known = {"scale": factor, "scale_lower": factor - 0.1, "scale_upper": factor + 0.1, "scale_source": source}
    return {"image": image, "height_px": SIZE[0], "width_px": SIZE[1], **known}


def test_images_taken_alike_share_the_median_and_all_that_would_do(blind: Segmenter, tmp_path: Path) -> None:
    share_scales(blind, pictures(tmp_path / "in", [1.0, 1.2, 1.0, 1.1, 1.9]))
    assert blind.scales == {SIZE: FoundScale(1.1, 0.9, 2.0)}, "one odd image changes the bounds only"


def test_two_magnifications_are_told_and_not_averaged(
    blind: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    share_scales(blind, pictures(tmp_path / "in", [0.8, 0.8, 0.8, 1.9, 1.9]))
    assert blind.scales == {}
    assert "different magnifications (the best scales are 0.8, 1.9)" in caplog.text


def test_a_second_network_shares_its_scales_too(tmp_path: Path) -> None:
    segmenter = Blind(config=SegmentConfig(overlays=False))
    segmenter.other = Blind(config=segmenter.config, engine=segmenter.engine)
    share_scales(segmenter, pictures(tmp_path / "in", [1.0, 1.0, 1.1]))
    assert segmenter.other.scales == segmenter.scales != {}


def test_few_images_of_an_earlier_run_do_not_decide(blind: Segmenter) -> None:
    recall_scales(blind, [row(f"{n}.png", 1.2) for n in range(SAMPLES - 1)], fewest=SAMPLES)
    assert blind.scales == {}
    recall_scales(blind, [row(f"{n}.png", 1.2) for n in range(SAMPLES)], fewest=SAMPLES)
    assert blind.scales[SIZE].factor == 1.2


def test_images_that_each_found_their_own_scale_decide_nothing(blind: Segmenter) -> None:
    recall_scales(blind, [row(f"{n}.png", 1.0 + n) for n in range(SAMPLES)])
    assert blind.scales == {}


def test_what_was_made_at_another_scale_is_named(blind: Segmenter) -> None:
    blind.scales[SIZE] = FoundScale(1.0, 0.9, 1.1)
    rows = {"same": [row("same", 1.0)], "other": [row("other", 2.0)], "known": [row("known", 2.0, "file")]}
    assert out_of_scale(blind, {name: {"rows": found} for name, found in rows.items()}) == ["other"]


def test_a_trial_with_one_image_does_not_decide_for_the_plate(blind: Segmenter, tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", [1.9, 1.0, 1.0, 1.0, 1.0])
    (trial,) = segment_images(paths[0], tmp_path / "out", segmenter=blind, config=blind.config).rows
    assert trial["scale"] == 1.9
    later = Blind(config=blind.config, engine=blind.engine)
    result = segment_images(tmp_path / "in", tmp_path / "out", segmenter=later, config=later.config)
    assert {found["scale"] for found in result.rows} == {1.0}
    assert result.resumed == 0, "the first image is made again, like the others"
    again = Blind(config=blind.config, engine=blind.engine)
    assert segment_images(tmp_path / "in", tmp_path / "out", segmenter=again, config=again.config).resumed == 5


def test_an_estimate_never_makes_an_image_too_large() -> None:
    config = SegmentConfig(max_pixels=1_000_000)
    scaling = decide_scale(TRAINED, config, (900, 1000), None, FoundScale(2.5, 2.0, 2.5))
    assert scaling.factor == 2.5
    assert scaling.network_hw[0] * scaling.network_hw[1] <= 1_001_000
    assert decide_scale(TRAINED, config, (2000, 1000), None, FoundScale(2.5, 2.0, 2.5)).network_hw == (2000, 1000)
    given = decide_scale(TRAINED, SegmentConfig(max_pixels=1_000_000, pixel_size_um=1.74), (900, 1000), None)
    assert given.network_hw == (1800, 2000), "what the user says is not changed in silence"


def test_a_stricter_mask_is_no_other_magnification(shared_data: Path) -> None:
    pixels = read_image(shared_data / "t98g" / "images" / "set12.tif").pixels[:512, :512]
    usual = Segmenter()
    strict = Segmenter(usual.bundle, SegmentConfig(threshold=0.95), engine=usual.engine)
    assert usual.find_scale(pixels) == strict.find_scale(pixels) is not None


def test_fast_judges_focus_and_cell_size_at_the_scale_of_the_model(shared_data: Path) -> None:
    cells = read_image(shared_data / "t98g" / "images" / "set12.tif").pixels
    usual = Segmenter(config=SegmentConfig(pixel_size_um=0.87, objects=True))
    fast = Segmenter(usual.bundle, SegmentConfig(pixel_size_um=0.87, objects=True, fast=True), engine=usual.engine)
    blurred = Frame(np.asarray(gaussian_filter(cells.astype(np.float32), 3)).astype(cells.dtype), "blurred")
    assert "out_of_focus" in usual.segment(blurred).flags
    assert "out_of_focus" in fast.segment(blurred).flags
    sharp = Frame(cells, "sharp")
    found = usual.segment(sharp)
    assert fast.segment(sharp).scale == found.scale == 1.0
    blind_fast = Segmenter(usual.bundle, SegmentConfig(objects=True, fast=True), engine=usual.engine)
    blind_fast.scales[cells.shape[:2]] = FoundScale(1.0, 0.8, 1.26)
    seen = blind_fast.segment(sharp)
    assert seen.scale_between == (0.8, 1.26)
    assert 0.8 <= seen.scale <= 1.26
    both = [
        int(labels.max())
        for each, with_size in ((seen, blind_fast), (found, usual))
        if (labels := objects_of(sharp, each, with_size)) is not None
    ]
    assert both[0] == pytest.approx(both[1], rel=0.2)
