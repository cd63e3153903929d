from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from c6seg.data.synthetic import simulate_image
from c6seg.data.synthetic_style import SceneStyle
from c6seg.errors import DataError
from c6seg.growth.wounds.area import Wound, cell_scale_px, find_wound, follow_wound
from c6seg.growth.wounds.pixels import centre_yx, hull_area_px, opened, shifted, without_small

Bools = np.ndarray
SIZE = (300, 400)


def rough(rng: np.random.Generator, number: int, sd: float) -> np.ndarray:
    line = ndimage.gaussian_filter1d(rng.standard_normal(number), 8, mode="wrap")
    return sd * line / line.std()


def places(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    return y - (size[0] - 1) / 2, x - (size[1] - 1) / 2


def strip(
    width: float, *, angle: float = 0.0, ragged: float = 0.0, offset: float = 0.0, seed: int = 0, size: tuple = SIZE
) -> Bools:
    """Cells on both sides of a gap; ``angle`` in degrees from upright."""
    rng = np.random.default_rng(seed)
    y, x = places(size)
    turn = np.deg2rad(angle)
    across, along = x * np.cos(turn) + y * np.sin(turn) - offset, y * np.cos(turn) - x * np.sin(turn)
    index = (along - along.min()).astype(int)
    left, right = (rough(rng, index.max() + 1, ragged)[index] if ragged else 0.0 for _ in range(2))
    return ~((across > left - width / 2) & (across < right + width / 2))


def disc(radius: float, *, ragged: float = 0.0, seed: int = 0) -> Bools:
    y, x = places(SIZE)
    index = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 719).astype(int)
    return np.hypot(y, x) >= radius + (rough(np.random.default_rng(seed), 720, ragged)[index] if ragged else 0.0)


def dots(number: int, radius: float, seed: int) -> Bools:
    rng = np.random.default_rng(seed)
    seeds = np.ones(SIZE, bool)
    seeds[rng.integers(0, SIZE[0], number), rng.integers(0, SIZE[1], number)] = False
    return ndimage.distance_transform_edt(seeds) < radius


def found(mask: Bools, **more: float) -> Wound:
    wound, why = find_wound(mask, **more)
    assert wound is not None, why
    return wound


SCENES = {
    "upright": (strip(130), "strip"),
    "ragged": (strip(130, ragged=6), "strip"),
    "lying": (strip(110, angle=90, ragged=4), "strip"),
    "oblique": (strip(100, angle=30, ragged=4), "strip"),
    "diagonal": (strip(90, angle=45, ragged=4), "strip"),
    "narrow": (strip(26), "strip"),
    "wide": (strip(300), "strip"),
    "beside the middle": (strip(110, offset=90), "strip"),
    "round": (disc(95, ragged=4), "round"),
    "one front": (strip(400, offset=-120), "edge"),
}


@pytest.mark.parametrize("name", SCENES)
def test_gap_is_found_with_its_area_and_shape(name: str) -> None:
    mask, shape = SCENES[name]
    wound = found(mask)
    gap = follow_wound(mask, wound)
    assert wound.shape == shape
    assert gap is not None
    assert gap.area_px == pytest.approx(np.count_nonzero(~mask), rel=0.01)
    assert gap.analysed_px == mask.size
    assert gap.density == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", SCENES)
def test_debris_single_cells_and_holes_in_the_layer_do_no_harm(name: str) -> None:
    mask, shape = SCENES[name]
    inside = (dots(30, 2.5, 1) | dots(10, 8, 2)) & ~mask
    wound = found((mask & ~dots(80, 3.5, 3)) | inside)
    gap = follow_wound((mask & ~dots(80, 3.5, 3)) | inside, wound)
    assert wound.shape == shape
    assert gap is not None
    # cells inside are covered ground, and inside the wound
    assert gap.area_px == pytest.approx(np.count_nonzero(~mask & ~inside), rel=0.03)
    assert wound.area_px == pytest.approx(np.count_nonzero(~mask), rel=0.03)


def test_fronts_have_the_length_of_the_strip() -> None:
    assert found(strip(130)).fronts_px == pytest.approx((300, 300), abs=2)
    assert found(strip(130, ragged=8)).front_length_px == pytest.approx(300, abs=8)
    assert found(strip(110, angle=90)).front_length_px == pytest.approx(400, abs=2)
    assert found(strip(80, angle=20)).front_length_px == pytest.approx(300 / np.cos(np.deg2rad(20)), rel=0.02)
    one = found(SCENES["one front"][0])
    assert one.fronts_px == pytest.approx((300,), abs=2)
    assert one.front_length_px == pytest.approx(150, abs=1)
    assert found(disc(95)).front_length_px is None


def test_wound_of_uneven_width_is_one_wound() -> None:
    y, x = places(SIZE)
    wedge = np.abs(x) > 30 + 90 * (y + 150) / 300
    wound = found(wedge)
    assert wound.shape == "strip"
    assert wound.area_px == pytest.approx(np.count_nonzero(~wedge), rel=0.02)


@pytest.mark.parametrize("angle", [0.0, 90.0, 30.0])
def test_gap_is_followed_until_it_is_closed(angle: float) -> None:
    widths = (130.0, 100.0, 70.0, 40.0, 15.0, 0.0)
    wound = found(strip(widths[0], angle=angle))
    for seed, width in enumerate(widths):
        mask = strip(width, angle=angle, ragged=3 if width > 20 else 0, seed=seed)
        # holes elsewhere in the layer open up
        mask[:40, :40] = mask[-30:, -60:] = seed < 2
        gap = follow_wound(mask, wound)
        assert gap is not None
        true = np.count_nonzero(~strip(width, angle=angle))
        assert gap.area_px == pytest.approx(true, rel=0.06, abs=60)
    assert gap.density == pytest.approx(1, abs=0.08)


def test_single_cells_that_migrate_in_cover_ground() -> None:
    first = strip(150)
    wound = found(first)
    cells = dots(40, 7, 5)
    gap = follow_wound(strip(110) | cells, wound)
    assert gap is not None
    assert gap.area_px == pytest.approx(np.count_nonzero(~(strip(110) | cells)), rel=0.03)


def test_new_hole_in_the_layer_is_no_part_of_the_wound() -> None:
    wound = found(strip(100))
    for hole in (slice(10, 90), slice(258, 300)):  # far away, and close by
        mask = strip(60)
        mask[100:200, hole] = False
        gap = follow_wound(mask, wound)
        assert gap is not None
        assert gap.area_px == np.count_nonzero(~strip(60))


def test_gap_that_widens_is_seen() -> None:
    wound = found(strip(100))
    gap = follow_wound(strip(120), wound)
    assert gap is not None
    assert gap.area_px > 1.15 * wound.area_px


@pytest.mark.parametrize("shift", [(0, 5), (4, -6), (0, 60), (3, -80)])
def test_camera_that_drifts_or_a_plate_that_was_moved_changes_nothing(shift: tuple[int, int]) -> None:
    wound = found(strip(120, size=(300, 600))[:, 100:500])
    for width in (120.0, 90.0):
        whole = strip(width, size=(300, 600))
        gap = follow_wound(np.roll(whole, shift, axis=(0, 1))[:, 100:500], wound)
        assert gap is not None
        assert gap.area_px == pytest.approx(width * 300, rel=0.03)
        assert (abs(gap.shift_yx[1]) > 30) == (abs(shift[1]) > 30)


def test_shift_is_kept_when_the_gap_is_nearly_closed() -> None:
    wound = found(strip(120))
    shift_yx = (0, 0)
    for width in (120.0, 80.0, 30.0, 12.0):
        gap = follow_wound(strip(width, offset=70), wound, shift_yx=shift_yx)
        assert gap is not None
        shift_yx = gap.shift_yx
        assert gap.area_px == pytest.approx(width * 300, rel=0.03)
    assert shift_yx[1] == pytest.approx(70, abs=2)


def test_images_without_a_layer_are_not_measured() -> None:
    wound = found(strip(120))
    assert follow_wound(np.zeros(SIZE, bool), wound) is None
    assert follow_wound(dots(30, 6, 0), wound) is None
    assert follow_wound(np.ones(SIZE, bool), wound) is not None


def crossed() -> Bools:
    y, x = places(SIZE)
    return (np.abs(x) >= 25) & (np.abs(y) >= 25)


def bent() -> Bools:
    y, x = places(SIZE)
    return ~(((np.abs(x + 120) < 30) & (y < 120)) | ((np.abs(y - 90) < 30) & (x > -150)))


REFUSED = {
    "nothing": (np.zeros(SIZE, bool), "no cells"),
    "full": (np.ones(SIZE, bool), "no large gap"),
    "porous": (~dots(150, 4, 0), "no large gap"),
    "sparse": (dots(60, 9, 1), "no layer of cells around a gap: 1"),
    "loose": (dots(500, 6, 6), "no closed layer"),
    "crossed": (crossed(), "4 colonies"),
    "bent": (bent(), "winds between the cells"),
    "two gaps": (strip(70, offset=-90) & strip(70, offset=90), "several large holes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_wound_is_refused_with_words(name: str) -> None:
    mask, words = REFUSED[name]
    wound, why = find_wound(mask)
    assert wound is None
    assert words in why


def test_layer_with_two_holes_is_refused() -> None:
    y, x = places(SIZE)
    wound, why = find_wound((np.hypot(y, x + 90) > 60) & (np.hypot(y, x - 90) > 55))
    assert wound is None
    assert "several large holes" in why


def test_sparse_cultures_are_refused(shared_data: Path) -> None:
    paths = sorted((shared_data / "t98g" / "masks").glob("*.png"))
    assert len(paths) > 30
    for path in paths[::6]:
        wound, why = find_wound(np.asarray(Image.open(path)) > 0, pixel_size_um=0.8708)
        assert wound is None, path
        assert "no layer" in why or "no closed layer" in why


def test_dense_images_show_no_wound_until_one_is_made(shared_data: Path) -> None:
    from c6seg import Segmenter, read_image
    from c6seg.config import SegmentConfig

    segmenter = Segmenter(config=SegmentConfig(pixel_size_um=1.24))
    for name in ("A172_Phase_B7_2_02d04h00m_1", "MCF7_Phase_H4_1_03d08h00m_4", "SKOV3_Phase_H4_1_01d12h00m_1"):
        (path,) = (shared_data / "livecell" / "images").rglob(f"{name}.tif")
        mask = segmenter.segment(read_image(path)).mask
        assert find_wound(mask, pixel_size_um=1.24)[0] is None, name
        if mask.mean() > 0.7:
            mask[:, 250:430] = False
            wound = found(mask, pixel_size_um=1.24)
            assert wound.shape == "strip"
            assert wound.area_px / mask.size == pytest.approx(180 / 704, rel=0.25)


def test_dense_simulated_layer_whose_cells_leave_a_stripe() -> None:
    style = replace(
        SceneStyle.random(np.random.default_rng(1), "confluent"), region_fraction=1.0, packing=1.35, wall=0.0
    )
    labels = simulate_image(size_hw=(256, 384), seed=4, style=style).labels
    whole = labels > 0
    assert find_wound(whole)[0] is None
    centres = np.array(ndimage.center_of_mass(whole, labels, np.arange(1, labels.max() + 1)))[:, 1]
    areas = []
    wound = None
    for half in (80, 64, 48, 32, 16, 0):
        kept = np.concatenate([[False], np.abs(centres - 192) >= half])
        mask = kept[labels]
        wound = wound or found(mask)
        gap = follow_wound(mask, wound)
        assert gap is not None
        areas.append(gap.area_px)
    assert wound is not None
    assert wound.shape == "strip"
    # cells are 28 px wide, so that a stripe without their centres is as wide as the ground without cells
    assert areas[0] == pytest.approx(160 * 256, rel=0.12)
    steps = -np.diff(areas[:5]) / 256
    assert steps.mean() == pytest.approx(32, rel=0.12)
    assert areas[-1] < 0.03 * areas[0]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    width=st.integers(60, 160),
    angle=st.floats(0, 180),
    seed=st.integers(0, 99),
    turn=st.integers(0, 3),
    mirrored=st.booleans(),
)
def test_turning_or_mirroring_the_images_changes_nothing(
    width: int, angle: float, seed: int, turn: int, mirrored: bool
) -> None:
    def moved(mask: Bools) -> Bools:
        return np.ascontiguousarray(np.rot90(mask[:, ::-1] if mirrored else mask, turn))

    layer = ~dots(40, 3, seed)
    first, later = (strip(part * width, angle=angle, ragged=3, seed=seed) & layer for part in (1.0, 0.6))
    one, why_one = find_wound(first)
    other, why_other = find_wound(moved(first))
    assert (one is None, why_one) == (other is None, why_other)
    if one is None or other is None:
        return
    assert (one.area_px, one.shape) == (other.area_px, other.shape)
    assert sorted(one.fronts_px) == pytest.approx(sorted(other.fronts_px), abs=0.5)
    before, after = follow_wound(later, one), follow_wound(moved(later), other)
    assert before is not None
    assert after is not None
    assert before.area_px == pytest.approx(after.area_px, rel=0.005)


def test_masks_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(DataError, match="bool"):
        find_wound(strip(100).astype(np.uint8))
    with pytest.raises(DataError, match="one pixel"):
        find_wound(np.zeros((0, 5), bool))
    with pytest.raises(DataError, match="one shape"):
        follow_wound(np.ones((10, 10), bool), found(strip(100)))


def test_scale_of_a_cell() -> None:
    assert cell_scale_px((520, 704), 1.24) == 8
    assert cell_scale_px((520, 704), None) == 5
    assert cell_scale_px((520, 704), 0.01) == 20  # an absurd pixel size does not close the wound
    assert cell_scale_px((20, 20), 100.0) == 1


def test_pixel_tools() -> None:
    area = np.zeros((20, 30), bool)
    area[2:9, 2:9] = area[12:14, 12:20] = True
    assert opened(area, 2).sum() == 49
    assert without_small(area, 20).sum() == 49
    moved = shifted(area, (3, -2))
    assert moved[5:12, 0:7].all()
    assert moved.sum() == 49 + 16
    assert shifted(area, (40, 0)).sum() == 0
    assert hull_area_px(area[:10]) == pytest.approx(49)
    assert hull_area_px(area) > 65
    assert centre_yx(area[:10]).tolist() == [5, 5]
