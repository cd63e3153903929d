"""Images of a run share a scale only where they were taken alike, and a few of an earlier run do not decide for all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, read_image
from c6seg.data.synthetic import simulate_image
from c6seg.inference.arrivals import Stamp
from c6seg.inference.batch import segment_images
from c6seg.inference.journal import Journal, open_journal
from c6seg.inference.live import open_live
from c6seg.inference.objects import objects_of
from c6seg.inference.scale import FoundScale, decide_scale
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shared_scale import SAMPLES, out_of_scale, share_scales
from c6seg.models.bundle_spec import ScaleSpec

SIZE = (240, 260)
TRAINED = ScaleSpec(pixel_size_um=0.87, object_size_px=50)


class Blind(Segmenter):
    """Takes the mean grey value of an image for its scale: 100 = magnification 1."""

    looked = 0

    def find_scale_in(self, pixels: np.ndarray) -> FoundScale | None:
        self.looked += 1
        factor = round(float(pixels.mean()) / 100, 1)
        return FoundScale(factor, round(factor - 0.1, 1), round(factor + 0.1, 1))


@pytest.fixture
def blind() -> Blind:
    return Blind(config=SegmentConfig(overlays=False))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    (tmp_path / "journal").mkdir()
    with open_journal(tmp_path / "journal", "key") as opened:
        yield opened


def pictures(folder: Path, factors: Sequence[float]) -> list[Path]:
    """Write pictures that find these scales."""
    folder.mkdir(exist_ok=True)
    cells = simulate_image(size_hw=SIZE, seed=4).pixels.astype(np.float32)
    cells = np.clip((cells - cells.mean()) / 2, -50, 50)
    paths = []
    for number, factor in enumerate(factors):
        paths.append(folder / f"{number}.png")
        pixels = np.round(100 * factor + cells - cells.mean()).astype(np.uint8)
        pixels[0, 0] = number  # no two have the same content
        Image.fromarray(pixels).save(paths[-1])
    return paths


def row(image: str, factor: float, source: str = "estimated") -> dict[str, Any]:
    known = {"scale": factor, "scale_lower": factor - 0.1, "scale_upper": factor + 0.1, "scale_source": source}
    return {"image": image, "height_px": SIZE[0], "width_px": SIZE[1], **known}


def test_images_taken_alike_share_the_median_and_all_that_would_do(
    blind: Segmenter, tmp_path: Path, journal: Journal
) -> None:
    share_scales(blind, pictures(tmp_path / "in", [1.0, 1.2, 1.0, 1.1, 1.9]), journal)
    assert blind.scales == {SIZE: FoundScale(1.1, 0.9, 2.0)}, "one odd image changes the bounds only"


def test_two_magnifications_are_told_and_not_averaged(
    blind: Segmenter, tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    share_scales(blind, pictures(tmp_path / "in", [0.8, 0.8, 0.8, 1.9, 1.9]), journal)
    assert blind.scales == {}
    assert "different magnifications (the best scales are 0.8, 1.9)" in caplog.text


def test_a_second_network_shares_its_scales_too(tmp_path: Path, journal: Journal) -> None:
    segmenter = Blind(config=SegmentConfig(overlays=False))
    segmenter.other = Blind(config=segmenter.config, engine=segmenter.engine)
    share_scales(segmenter, pictures(tmp_path / "in", [1.0, 1.0, 1.1]), journal)
    assert segmenter.other.scales == segmenter.scales != {}


def test_the_scale_depends_on_the_images_and_not_on_what_ran_before(blind: Blind, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_images(pictures(tmp_path / "in", [1.9] * 6), out, segmenter=blind)
    assert blind.scales[SIZE].factor == 1.9
    others = pictures(tmp_path / "other", [1.0] * 6)
    assert {row["scale"] for row in segment_images(others, out, segmenter=blind).rows} == {1.0}
    replaced = pictures(tmp_path / "in", [0.8] * 6)
    assert {row["scale"] for row in segment_images(replaced, out, segmenter=blind).rows} == {0.8}


def test_images_that_are_added_move_the_scale_of_all_as_a_fresh_run_would(
    blind: Blind, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = pictures(tmp_path / "in", [1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2])
    segment_images(paths[:4], tmp_path / "out", segmenter=blind)
    result = segment_images(paths, tmp_path / "out", segmenter=blind)
    fresh = segment_images(paths, tmp_path / "fresh", segmenter=blind)
    assert [row["scale"] for row in result.rows] == [row["scale"] for row in fresh.rows] == [1.2] * 10
    assert result.resumed == 0
    assert "4 images were segmented at another scale" in caplog.text


def test_a_run_that_goes_on_looks_at_no_image_twice(tmp_path: Path) -> None:
    paths = pictures(tmp_path / "in", [1.0] * 7)
    first = Blind(config=SegmentConfig(overlays=False))
    segment_images(paths, tmp_path / "out", segmenter=first)
    assert first.looked == SAMPLES
    later = Blind(config=first.config, engine=first.engine)
    assert segment_images(paths, tmp_path / "out", segmenter=later).resumed == 7
    assert later.looked == 0
    assert later.scales == first.scales


def test_images_read_by_rows_share_a_scale(
    blind: Blind, tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("c6seg.data.regions.LARGE_PX", 100)
    paths = []
    for path in pictures(tmp_path / "in", [1.0, 1.2, 1.2]):
        paths.append(path.with_suffix(".tif"))
        tifffile.imwrite(paths[-1], np.asarray(Image.open(path)))
    share_scales(blind, paths, journal)
    assert blind.scales[SIZE].factor == 1.2


def test_images_that_arrive_share_the_scale_of_the_first_five(blind: Blind, tmp_path: Path) -> None:
    """The first one, which is often sparse, does not decide; what was made before is made again, also after a stop."""
    folder = tmp_path / "in"
    paths = pictures(folder, [1.0, 1.2, 1.2, 1.3, 1.2, 1.9])

    def add(number: int, segmenter: Segmenter) -> tuple[float, list[Path]]:
        """Scale of an image that is added, and what has to be made again then."""
        with open_live(folder, tmp_path / "out", segmenter) as live:
            stamps = {path: Stamp(path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
            scale = live.add(paths[number], stamps[paths[number]]).rows[0]["scale"]
            again = live.out_of_scale()
            assert not any(live.remembers(path, stamps[path]) for path in again)
            return scale, again

    assert [add(number, blind) for number in range(4)] == [(1.0, []), (1.2, []), (1.2, []), (1.3, [])]
    assert add(4, blind) == (1.2, [paths[0], paths[3]])
    later = Blind(config=blind.config, engine=blind.engine)
    assert add(0, later) == (1.2, [paths[3]])
    assert add(5, later) == (1.2, [paths[3]])
    assert later.looked == 0


def test_a_watch_makes_the_first_images_again_when_the_scale_of_all_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Segmenter, "find_scale_in", Blind.find_scale_in)
    monkeypatch.setattr(Segmenter, "looked", 0, raising=False)
    pictures(tmp_path / "in", [1.0, 1.2, 1.2, 1.3, 1.2, 1.9])
    api.watch(tmp_path / "in", tmp_path / "out", segment_config={"overlays": False}, settle_s=0, until_idle_s=0.5)
    with (tmp_path / "out" / "measurements.csv").open(newline="") as file:
        assert [row["scale"] for row in csv.DictReader(file)] == ["1.2"] * 6


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


def test_a_stricter_or_surer_mask_is_no_other_magnification(shared_data: Path) -> None:
    pixels = read_image(shared_data / "t98g" / "images" / "set12.tif").pixels[:512, :512]
    usual = Segmenter()
    strict = Segmenter(usual.bundle, SegmentConfig(threshold=0.95, flips=True), engine=usual.engine)
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
