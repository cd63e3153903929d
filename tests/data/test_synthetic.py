"""The simulator: pictures, masks and growth laws that are what they claim to be."""

from __future__ import annotations

import csv
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from c6seg.data.synthetic import (
    SceneStyle,
    simulate_culture,
    simulate_image,
    write_culture,
    write_dataset,
)
from c6seg.data.synthetic_culture import cell_number
from c6seg.data.synthetic_optics import phase_contrast
from c6seg.data.synthetic_style import FAMILIES, OPTICS
from c6seg.errors import UsageError

SIZE = (160, 192)
QUIET = {
    "noise": 0.0,
    "gradient": 0.0,
    "vignetting": 0.0,
    "stripes": 0.0,
    "background_texture": 0.0,
    "debris": 0.0,
    "floaters": 0.0,
    "dust_rings": 0.0,
    "scratches": 0.0,
    "wall": 0.0,
}


def disc(size: int = 128, radius: float = 25) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size / 2
    return np.hypot(y, x) - radius


class TestPhaseContrast:
    def test_nothing_gives_the_background(self) -> None:
        image = phase_contrast(np.zeros((48, 64), np.float32), halo_px=6, ring_amplitude=0.5, defocus=2, blur_px=1)
        np.testing.assert_allclose(image, 1, atol=1e-4)

    def test_weak_phase_follows_the_linear_theory(self) -> None:
        # to first order the image is 1 - 2 (phi - h * phi) / zeta
        rng = np.random.default_rng(0)
        phase = (1e-3 * ndimage.gaussian_filter(rng.standard_normal((64, 64)), 3, mode="wrap")).astype(np.float32)
        q2 = np.fft.fftfreq(64)[:, None] ** 2 + np.fft.fftfreq(64)[None, :] ** 2
        low = np.fft.ifft2(np.fft.fft2(phase) / (1 + (2 * np.pi * 5) ** 2 * q2)).real
        image = phase_contrast(phase, halo_px=5, ring_amplitude=0.6)
        expected = -2 * (phase - low) / 0.6
        np.testing.assert_allclose(image - 1, expected, atol=0.03 * np.abs(expected).max())

    def test_halo_outside_and_shade_off_inside(self) -> None:
        distance = disc()
        phase = np.where(distance < 0, 0.4, 0).astype(np.float32)
        image = phase_contrast(phase, halo_px=6, ring_amplitude=0.5)
        outside = image[(distance > 1.5) & (distance < 5)].mean()
        far = image[distance > 30].mean()
        rim = image[(distance < -1.5) & (distance > -5)].mean()
        centre = image[distance < -20].mean()
        assert outside > far + 0.1
        assert rim < far - 0.1
        assert rim < centre < far + 0.05

    def test_a_wider_ring_kernel_gives_a_wider_halo(self) -> None:
        distance = disc(192)
        phase = np.where(distance < 0, 0.4, 0).astype(np.float32)
        shell = (distance > 10) & (distance < 14)
        excess = [
            phase_contrast(phase, halo_px=halo, ring_amplitude=0.5)[shell].mean() - 1 for halo in (2.0, 5.0, 10.0)
        ]
        assert excess[0] < excess[1] < excess[2]

    def test_sign_of_the_defocus_matters(self) -> None:
        phase = np.where(disc() < 0, 0.4, 0).astype(np.float32)
        over = phase_contrast(phase, halo_px=6, ring_amplitude=0.5, defocus=4)
        under = phase_contrast(phase, halo_px=6, ring_amplitude=0.5, defocus=-4)
        assert np.abs(over - under).max() > 0.02


class TestStyle:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("optics", OPTICS)
    def test_draws_stay_in_their_ranges(self, family: str, optics: str) -> None:
        style = SceneStyle.random(np.random.default_rng(3), family, optics)
        assert (style.family, style.optics) == (family, optics)
        for name, (low, high) in FAMILIES[family].items():
            assert low <= getattr(style, name) <= high

    def test_random_styles_span_families_sizes_and_depths(self) -> None:
        rng = np.random.default_rng(0)
        styles = [SceneStyle.random(rng) for _ in range(300)]
        assert {style.family for style in styles} == set(FAMILIES)
        assert {style.bits for style in styles} == {8, 16}
        diameters = [style.diameter_px for style in styles]
        assert min(diameters) < 15
        assert max(diameters) > 80
        assert any(style.wall > 0 for style in styles)
        assert {style.defocus > 0 for style in styles} == {True, False}

    def test_every_range_is_a_field(self) -> None:
        names = {field.name for field in fields(SceneStyle)}
        for ranges in (*FAMILIES.values(), *OPTICS.values()):
            assert set(ranges) <= names

    def test_unknown_names_get_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="Did you mean 'islands'"):
            SceneStyle.random(np.random.default_rng(0), "island")
        with pytest.raises(UsageError, match="Did you mean 'halo_px'"):
            SceneStyle().with_(halo=3.0)


class TestSimulateImage:
    def test_same_seed_same_picture(self) -> None:
        first, again, other = (simulate_image(size_hw=SIZE, seed=seed) for seed in (4, 4, 5))
        np.testing.assert_array_equal(first.pixels, again.pixels)
        np.testing.assert_array_equal(first.labels, again.labels)
        assert first.style == again.style
        assert first.style != other.style

    @pytest.mark.parametrize("family", FAMILIES)
    def test_shapes_types_and_labels(self, family: str) -> None:
        style = SceneStyle.random(np.random.default_rng(8), family)
        picture = simulate_image(size_hw=SIZE, seed=1, style=style)
        assert picture.pixels.shape == picture.labels.shape == SIZE
        assert picture.pixels.dtype == (np.uint8 if style.bits == 8 else np.uint16)
        assert picture.labels.dtype == np.int32
        present = np.unique(picture.labels)
        np.testing.assert_array_equal(present[present > 0], np.arange(1, picture.labels.max() + 1))
        assert picture.pixel_size_um == style.pixel_size_um
        assert picture.pixels.std() > 0

    def test_the_mask_lies_where_the_picture_shows_cells(self) -> None:
        style = SceneStyle(**QUIET, region_fraction=0.4, scatter=0.0, packing=0.5)
        picture = simulate_image(size_hw=SIZE, seed=2, style=style)
        mask = picture.labels > 0
        ground = style.level * 255
        far = ndimage.distance_transform_edt(~mask) > 30
        inner = ndimage.distance_transform_edt(mask) > 3
        assert far.sum() > 200
        assert np.abs(picture.pixels[far] - ground).mean() < 2
        assert picture.pixels[inner].mean() < ground - 5
        assert picture.pixels[inner].std() > 3 * picture.pixels[far].std()

    def test_halo_is_brighter_than_the_background(self) -> None:
        style = SceneStyle(**QUIET, region_fraction=0.3, scatter=0.0, packing=0.5, processes=0.0)
        picture = simulate_image(size_hw=(256, 256), seed=0, style=style)
        distance = ndimage.distance_transform_edt(picture.labels == 0)
        halo = picture.pixels[(distance > 1) & (distance < 5)].mean()
        assert halo > picture.pixels[distance > 30].mean() + 3

    def test_the_skirt_moves_the_visible_edge_inward(self) -> None:
        style = SceneStyle(
            **QUIET, diameter_px=50.0, region_fraction=0.0, scatter=0.08, processes=0.0, edge_fraction=0.05
        )
        seam = []
        for skirt_px in (0.0, 3.0):
            picture = simulate_image(size_hw=(256, 256), seed=0, style=style.with_(skirt_px=skirt_px))
            depth = ndimage.distance_transform_edt(picture.labels > 0)
            seam.append(picture.pixels[(depth > 1) & (depth < 3)].mean())
        ground = style.level * 255
        assert seam[0] < ground < seam[1]

    def test_confluent_fields_are_covered_and_sparse_ones_are_not(self) -> None:
        def covered(family: str, **changes: float) -> float:
            style = SceneStyle.random(np.random.default_rng(1), family).with_(**changes)
            return float((simulate_image(size_hw=SIZE, seed=3, style=style).labels > 0).mean())

        assert covered("islands", region_fraction=1.0, packing=1.6) > 0.93
        assert 0.02 < covered("spread", region_fraction=0.2, diameter_px=30.0) < 0.4

    def test_crowded_cells_close_the_gaps_between_them(self) -> None:
        style = SceneStyle(diameter_px=24.0, region_fraction=1.0, corners=0.0, processes=0.0)

        def gaps(packing: float) -> list[int]:
            parts, _ = ndimage.label(
                simulate_image(size_hw=SIZE, seed=5, style=style.with_(packing=packing)).labels == 0
            )
            return [int(area) for area in np.bincount(parts.ravel())[1:] if 8 < area < 200]

        assert len(gaps(0.99)) > 3 * len(gaps(1.0))

    def test_cell_size_is_the_stated_one(self) -> None:
        style = SceneStyle(diameter_px=24.0, region_fraction=0.0, scatter=0.25, processes=0.0, rounded=0.0)
        labels = simulate_image(size_hw=(400, 400), seed=0, style=style).labels
        inside = np.setdiff1d(labels, np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1], [0]]))
        area = np.bincount(labels.ravel())[inside]
        assert len(area) > 25
        assert 2 * math.sqrt(np.median(area) / math.pi) == pytest.approx(24, rel=0.12)

    @pytest.mark.parametrize("optics", OPTICS)
    def test_empty_field_has_debris_but_no_labels(self, optics: str) -> None:
        style = SceneStyle.random(np.random.default_rng(2), "empty", optics).with_(floaters=200.0, debris=500.0)
        picture = simulate_image(size_hw=SIZE, seed=6, style=style)
        assert not picture.labels.any()
        assert picture.pixels.std() > 0.01 * picture.pixels.mean()

    def test_processes_belong_to_the_mask(self) -> None:
        base = SceneStyle(region_fraction=0.0, scatter=0.1, rounded=0.0, processes=0.0)
        without = simulate_image(size_hw=(256, 256), seed=1, style=base)
        with_them = simulate_image(size_hw=(256, 256), seed=1, style=base.with_(processes=3.0, process_length=1.5))
        thin = [
            (mask & ~ndimage.binary_opening(mask, iterations=3)).sum()
            for mask in (without.labels > 0, with_them.labels > 0)
        ]
        assert thin[1] > 1.5 * thin[0] + 100

    def test_too_small_a_field_is_refused(self) -> None:
        with pytest.raises(UsageError, match="at least 32 px"):
            simulate_image(size_hw=(16, 64), seed=0)


class TestSimulateCulture:
    TIMES = (0, 8, 16, 24, 32, 40, 48)

    @pytest.mark.parametrize("rate", [math.log(2) / 20, math.log(2) / 35])
    def test_confluence_gives_back_the_growth_rate(self, rate: float) -> None:
        frames = list(
            simulate_culture(size_hw=(256, 256), times_h=self.TIMES, growth_rate_per_h=rate, start_count=20, seed=3)
        )
        measured = np.polyfit(self.TIMES, np.log([(frame.labels > 0).mean() for frame in frames]), 1)[0]
        assert measured == pytest.approx(rate, rel=0.03)

    def test_counts_follow_the_law_and_the_labels(self) -> None:
        frames = list(
            simulate_culture(size_hw=(224, 224), times_h=self.TIMES, growth_rate_per_h=0.035, start_count=12, seed=1)
        )
        for frame in frames:
            assert frame.count == round(12 * math.exp(0.035 * frame.time_h))
            np.testing.assert_array_equal(np.unique(frame.labels[frame.labels > 0]), np.arange(1, frame.count + 1))
            assert frame.confluence == pytest.approx((frame.labels > 0).mean())
        area = [frame.confluence / frame.count for frame in frames]
        assert max(area) < 1.02 * min(area)

    def test_logistic_growth_levels_off(self) -> None:
        times = (0, 40, 80, 160)
        frames = list(
            simulate_culture(
                size_hw=(192, 192), times_h=times, growth_rate_per_h=0.06, start_count=8, seed=2, capacity=40
            )
        )
        expected = [round(40 / (1 + 4 * math.exp(-0.06 * time))) for time in times]
        assert [frame.count for frame in frames] == expected
        assert frames[-1].count == 40

    def test_same_seed_same_culture_and_cells_persist(self) -> None:
        def run(seed: int) -> list[np.ndarray]:
            frames = simulate_culture(
                size_hw=(128, 128), times_h=(0, 0.5, 1.0), growth_rate_per_h=0.0, start_count=6, seed=seed
            )
            return [part for frame in frames for part in (frame.pixels, frame.labels)]

        first, again = run(7), run(7)
        for one, two in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, two)
        assert not np.array_equal(first[0], run(8)[0])
        # within half an hour a cell moves by less than its own size, and its noise is new
        before, after = first[1], first[3]
        assert np.mean(before[before > 0] == after[before > 0]) > 0.5
        assert not np.array_equal(before, after)

    def test_a_crowded_layer_still_counts_every_cell(self) -> None:
        style = SceneStyle(diameter_px=30.0)
        frame = next(
            simulate_culture(size_hw=(96, 96), times_h=(0,), growth_rate_per_h=0.0, start_count=60, seed=0, style=style)
        )
        assert len(np.unique(frame.labels[frame.labels > 0])) == frame.count == 60
        assert frame.confluence > 0.95

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"times_h": (0, 4, 4)}, "ascending"),
            ({"times_h": ()}, "at least one time"),
            ({"growth_rate_per_h": -0.1}, "expected 0 to 0.2"),
            ({"growth_rate_per_h": 0.5}, "expected 0 to 0.2"),
            ({"growth_rate_per_h": math.nan}, "expected 0 to 0.2"),
            ({"start_count": 0}, "at least 1 cell"),
            ({"capacity": 5}, "more than start_count"),
            ({"times_h": (0, 1000)}, "Give a capacity"),
            ({"size_hw": (20, 20)}, "at least 32 px"),
        ],
    )
    def test_impossible_laws_are_refused_at_once(self, changes: dict[str, object], message: str) -> None:
        given = {
            "size_hw": (64, 64),
            "times_h": (0, 4),
            "growth_rate_per_h": 0.03,
            "start_count": 10,
            "seed": 0,
        } | changes
        with pytest.raises(UsageError, match=message):
            simulate_culture(**given)  # type: ignore[arg-type]

    def test_the_law_doubles_and_saturates(self) -> None:
        rate = math.log(2) / 24
        assert cell_number(24, start_count=10, growth_rate_per_h=rate) == pytest.approx(20)
        assert cell_number(0, start_count=10, growth_rate_per_h=rate, capacity=50) == pytest.approx(10)
        # the steepest point of the logistic curve lies at half the capacity
        halfway = math.log(4) / rate
        assert cell_number(halfway, start_count=10, growth_rate_per_h=rate, capacity=50) == pytest.approx(25)


class TestFiles:
    def test_data_set_can_be_read_and_begins_like_a_shorter_one(self, tmp_path: Path) -> None:
        from c6seg.data.datasets import open_dataset

        write_dataset(tmp_path / "two", count=2, size_hw=(96, 128), seed=5)
        table = write_dataset(tmp_path / "three", count=3, size_hw=(96, 128), seed=5)
        with table.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3
        dataset = open_dataset(tmp_path / "three")
        assert [item.name for item in dataset.items] == [row["name"] for row in rows]
        for item, row in zip(dataset.items, rows, strict=True):
            assert item.annotation is not None
            mask = item.annotation.mask((96, 128))
            assert mask.mean() == pytest.approx(float(row["covered_fraction"]), abs=1e-4)
            assert item.annotation.labels((96, 128)).max() == int(row["cells"])
        for name in ("synthetic_00000", "synthetic_00001"):
            for kind in ("images", "masks"):
                short, long = (tmp_path / folder / kind / f"{name}.png" for folder in ("two", "three"))
                assert short.read_bytes() == long.read_bytes()

    def test_culture_files_tell_well_time_scale_and_truth(self, tmp_path: Path) -> None:
        import tifffile

        table = write_culture(
            tmp_path,
            size_hw=(96, 128),
            times_h=(0, 4, 28.5),
            growth_rates_per_h={"A1": 0.03, "B12": 0.0},
            start_count=5,
            seed=1,
            pixel_size_um=1.24,
        )
        with table.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["image"] for row in rows[:3]] == [
            "Demo_Phase_A1_1_00d00h00m_1.tif",
            "Demo_Phase_A1_1_00d04h00m_1.tif",
            "Demo_Phase_A1_1_01d04h30m_1.tif",
        ]
        assert float(rows[0]["doubling_time_h"]) == pytest.approx(math.log(2) / 0.03)
        assert rows[3]["doubling_time_h"] == ""
        for row in rows:
            with tifffile.TiffFile(tmp_path / "images" / row["image"]) as tiff:
                page = tiff.pages.first
                assert page.dtype == np.uint16
                over, under = page.tags["XResolution"].value
                assert 1e4 * under / over == pytest.approx(1.24, rel=1e-4)
            labels = np.asarray(Image.open(tmp_path / "masks" / row["image"].replace(".tif", ".png")))
            assert labels.max() == int(row["count"])
            assert (labels > 0).mean() == pytest.approx(float(row["confluence"]), abs=1e-5)

    def test_bad_requests_are_refused_before_anything_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="at least 1 picture"):
            write_dataset(tmp_path / "a", count=0, size_hw=(64, 64), seed=0)
        with pytest.raises(UsageError, match="at least one well"):
            write_culture(tmp_path / "a", size_hw=(64, 64), times_h=(0,), growth_rates_per_h={}, start_count=1, seed=0)
        assert not (tmp_path / "a").exists()


class TestLikeness:
    """Simulated and real pictures are comparable in the figures that a network sees first."""

    @staticmethod
    def figures(pixels: np.ndarray) -> np.ndarray:
        low, high = np.percentile(pixels, [0.5, 99.5])
        image = np.clip((pixels[:384, :384].astype(float) - low) / (high - low), 0, 1)
        window = np.outer(np.hanning(384), np.hanning(384))
        power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
        q = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.fftfreq(384)[None, :])
        coarse, fine = (power[(q >= low) & (q < high)].mean() for low, high in ((0.04, 0.08), (0.16, 0.32)))
        return np.array([image.mean(), image.std(), math.log10(fine / coarse)])

    @pytest.mark.parametrize(
        ("optics", "pattern"), [("imager", "livecell/images/*/*.tif"), ("microscope", "t98g/images/*")]
    )
    def test_histogram_and_power_spectrum(self, shared_data: Path, optics: str, pattern: str) -> None:
        import tifffile

        paths = sorted(shared_data.glob(pattern))[::5]
        real = np.mean([self.figures(tifffile.imread(path)) for path in paths], axis=0)
        rng = np.random.default_rng(0)
        families = ("spread", "islands", "round", "plump", "spindle", "large")
        styles = [SceneStyle.random(rng, family, optics).with_(region_fraction=0.3, wall=0.0) for family in families]
        drawn = [simulate_image(size_hw=(384, 384), seed=0, style=style).pixels for style in styles]
        made = np.mean([self.figures(pixels) for pixels in drawn], axis=0)
        np.testing.assert_array_less(np.abs(made - real), [0.2, 0.06, 0.6])
