from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from c6seg.config import SegmentConfig
from c6seg.data.images import read_image, read_raw
from c6seg.errors import ConfigError
from c6seg.inference import tiling
from c6seg.inference.budget import MOST_MB, decide_mb, fixed_budget, most_mb
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.tiling import plan_tiles, predict, predict_rows, tile_size, tile_starts
from c6seg.models.bundle import DEFAULT_MODEL, open_bundle
from c6seg.transforms.preprocess import Preprocess


class Recorder:
    """An engine that notes the sizes it was given."""

    name, device, precision = "recorder", "cpu", "f32"

    def __init__(self, engine: OpenVinoEngine) -> None:
        self.engine = engine
        self.sizes: list[tuple[int, ...]] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(batch.shape)
        return self.engine.run(batch)


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> OpenVinoEngine:
    return OpenVinoEngine(tiny_bundle / "model.onnx", precision="f32", threads=1)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth blobs and noise in 0..1, (3, Y, X)."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.random((height, width)), 6, mode="reflect")
    blobs = (blobs - blobs.min()) / max(np.ptp(blobs), 1e-9)
    return np.repeat((0.8 * blobs + 0.2 * rng.random((height, width)))[None], 3, axis=0).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), budget_px=st.integers(1, 60_000), seed=st.integers(0, 9))
@example(height=1, width=400, budget_px=1, seed=0)
@example(height=400, width=1, budget_px=1, seed=0)
@example(height=257, width=255, budget_px=1, seed=0)
def test_tiled_is_whole(engine: OpenVinoEngine, height: int, width: int, budget_px: int, seed: int) -> None:
    image = picture(height, width, seed)
    whole = predict(engine, image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "BYTES_PER_PX", 64_000_000 / budget_px)
        recorder = Recorder(engine)
        tiled = predict(recorder, image, memory_mb=64, halo_px=32)
    assert whole.shape == tiled.shape == (height, width)
    assert whole.dtype == tiled.dtype == np.float32
    assert np.abs(whole - tiled).max() < 1e-4
    decided = np.abs(whole - 0.5) > 1e-3
    np.testing.assert_array_equal((whole >= 0.5)[decided], (tiled >= 0.5)[decided])
    assert all(size % 32 == 0 for shape in recorder.sizes for size in shape[2:])
    smallest = 96 * 96  # two halos and a step
    assert all(shape[2] * shape[3] <= max(budget_px, smallest) for shape in recorder.sizes)


def test_a_network_of_much_need_gets_more_than_the_usual_where_it_is_free(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = {"size_hw": (1952, 2592), "multiple": 32, "halo_px": tiling.HALO_PX}
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 40_000.0)
    assert tiling.roomy_mb(engine, **camera, encoder="MobileNetV2") == tiling.USUAL_MB
    assert tiling.roomy_mb(engine, **camera, encoder="VGG19") == MOST_MB
    smaller = {**camera, "size_hw": (1280, 1440)}
    whole = tiling.roomy_mb(engine, **smaller, encoder="VGG19")
    assert whole == pytest.approx(1280 * 1440 * 900e-6, abs=2)
    assert len(plan_tiles((1280, 1440), limit_px=tiling.limit_px(engine, whole, encoder="VGG19")).tops) == 1
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 6_000.0)
    assert tiling.roomy_mb(engine, **camera, encoder="VGG19") == 1_500
    for free in (1_000.0, None):
        monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda free=free: free)
        assert tiling.roomy_mb(engine, **camera, encoder="VGG19") == tiling.USUAL_MB


def test_no_picture_takes_more_than_the_most_unasked(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enlarged 2.5 times, the picture of a common camera would take 9 GB in one piece."""
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 100_000.0)
    camera = {"size_hw": (4880, 6480), "multiple": 32, "halo_px": tiling.HALO_PX}
    for encoder in ("MobileNetV2", "VGG19", "another"):
        budget_mb = tiling.roomy_mb(engine, **camera, encoder=encoder)
        plan = plan_tiles((4880, 6480), limit_px=tiling.limit_px(engine, budget_mb, encoder=encoder))
        assert np.prod(plan.tile_hw) * tiling.bytes_per_px(engine, encoder) <= 2e9


def test_a_run_decides_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 6_000.0)
    with fixed_budget(decide_mb()):
        monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 7_000.0)
        assert most_mb() == 1_500
    assert most_mb() == 1_750
    assert decide_mb(workers=2) == tiling.USUAL_MB


def test_the_least_budget_is_that_of_the_smallest_tile(engine: OpenVinoEngine) -> None:
    assert tiling.least_mb(engine, encoder="MobileNetV2") == 99
    plan = plan_tiles((5000, 5000), limit_px=tiling.limit_px(engine, 99, encoder="MobileNetV2"))
    assert plan.tile_hw == (448, 448)


def test_the_budget_decides_between_whole_and_tiles(engine: OpenVinoEngine) -> None:
    image = picture(600, 800)
    recorder = Recorder(engine)
    predict(recorder, image, memory_mb=2000)
    assert recorder.sizes == [(1, 3, 608, 800)]
    recorder = Recorder(engine)
    predict(recorder, image, memory_mb=250)
    assert len(recorder.sizes) > 1
    assert all(shape[2] * shape[3] * tiling.BYTES_PER_PX <= 250e6 for shape in recorder.sizes)


@given(size=st.integers(1, 300), tile=st.integers(3, 80), halo=st.integers(0, 1))
def test_tiles_cover_and_overlap(size: int, tile: int, halo: int) -> None:
    size_px, tile_px, halo_px = size * 32, min(tile, size) * 32, halo * 32
    starts = tile_starts(size_px, tile_px, multiple=32, halo_px=halo_px)
    assert starts[0] == 0
    assert starts[-1] + tile_px == size_px
    assert all(start % 32 == 0 for start in starts)
    assert all(right - left <= tile_px - 2 * halo_px for left, right in itertools.pairwise(starts))


def test_a_tile_is_never_all_margin() -> None:
    assert tile_size((4096, 4096), multiple=32, limit_px=1, halo_px=128) == (288, 288)
    assert tile_size((64, 4096), multiple=32, limit_px=64 * 1024, halo_px=128) == (64, 1024)


def test_an_image_of_a_common_camera_is_cut_into_few_tiles() -> None:
    """Work beyond the image itself, at the default budget: two fifths in f32, a fifth in bf16."""
    assert SegmentConfig().memory_mb is None
    budget = tiling.USUAL_MB * 1e6
    for share, most, number in ((1.0, 1.42, 4), (tiling.BF16_SHARE, 1.17, 2)):
        limit = int(budget / (tiling.MEASURED_BYTES_PER_PX["MobileNetV2"] * share))
        plan = plan_tiles((1952, 2592), limit_px=limit)
        assert plan.tile_hw[0] * plan.tile_hw[1] <= limit
        assert plan.tiles == number
        assert plan.work_px < most * 1952 * 2592


def test_a_seam_would_be_noticed(engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a halo the tiles of this network differ from the whole, so the tests above can fail."""
    image = picture(300, 300)
    whole = predict(engine, image)
    monkeypatch.setattr(tiling, "BYTES_PER_PX", 64_000_000 / 9216)
    assert np.abs(predict(engine, image, memory_mb=64, halo_px=0) - whole).max() > 0.05


@pytest.mark.parametrize("shape", [(3, 0, 5), (1, 5, 5), (5, 5)])
def test_another_shape_is_refused(engine: OpenVinoEngine, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected \(3, Y, X\)"):
        predict(engine, np.zeros(shape, np.float32))


# -- the embedded model on real photographs: what the halo was measured for --

TOLERANCE = 0.02
TILE_PX = 640 * 640  # the smallest, 448 x 448, is nearly all margin: a photograph would take hundreds


@pytest.fixture(scope="module")
def embedded() -> tuple[OpenVinoEngine, float]:
    bundle = open_bundle(DEFAULT_MODEL)
    return OpenVinoEngine(bundle.onnx_path, precision="f32"), bundle.spec.threshold


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[np.ndarray]:
    """Network inputs (3, Y, X) of real images, and beside each its true mask as a fourth plane."""
    preprocess = Preprocess(open_bundle(DEFAULT_MODEL).spec.preprocess)
    found = []
    for name in ("set01", "set06"):
        pixels = read_image(shared_data / "t98g" / "images" / f"{name}.tif").pixels
        truth = read_raw(next((shared_data / "t98g" / "masks").glob(f"{name}.*")))
        found.append(np.concatenate([preprocess.network_input(pixels), (truth > 0)[None].astype(np.float32)]))
    return found


def both(engine: OpenVinoEngine, image: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the whole image, and from tiles of at most ``limit`` pixels."""
    whole = predict(engine, image, memory_mb=10_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "BYTES_PER_PX", 64_000_000 / limit)
        return whole, predict(engine, image, memory_mb=64)


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(
    height=st.integers(1, 600),
    width=st.integers(577, 800),
    turned=st.booleans(),
    limit=st.integers(576 * 576, TILE_PX),
    number=st.integers(0, 1),
    data=st.data(),
)
@example(height=1, width=900, turned=False, limit=1, number=0, data=None)
@example(height=33, width=701, turned=True, limit=1, number=1, data=None)
@example(height=481, width=511, turned=False, limit=1, number=1, data=None)
def test_the_mask_of_a_photograph_does_not_depend_on_tiles(
    embedded: tuple[OpenVinoEngine, float],
    photographs: list[np.ndarray],
    height: int,
    width: int,
    turned: bool,
    limit: int,
    number: int,
    data: st.DataObject | None,
) -> None:
    engine, threshold = embedded
    picture = photographs[number][:3]
    top, left = (0, 0) if data is None else (data.draw(st.integers(0, 100)), data.draw(st.integers(0, 100)))
    image = picture[:, top : top + height, left : left + width]
    whole, tiled = both(engine, image.transpose(0, 2, 1) if turned else image, limit)
    other = (whole >= threshold) != (tiled >= threshold)
    assert not other[np.abs(whole - threshold) > TOLERANCE].any()


def test_seams_are_no_worse_than_the_rest(
    embedded: tuple[OpenVinoEngine, float], photographs: list[np.ndarray]
) -> None:
    """Beside the truth, tiles make no more errors where two are mixed than the whole image makes there."""
    engine, threshold = embedded
    seam_errors, differences = [], []
    for picture in photographs:
        image, truth = picture[:3, :864, :864], picture[3, :864, :864] > 0
        whole, tiled = both(engine, image, TILE_PX)
        plan = plan_tiles(image.shape[1:], limit_px=TILE_PX)
        assert plan.tiles > 1
        seam = np.zeros(truth.shape, bool)
        for edges, part, axis in ((plan.tops, plan.tile_hw[0], 0), (plan.lefts, plan.tile_hw[1], 1)):
            for first, second in itertools.pairwise(edges):
                middle = (first + part + second) // 2
                np.moveaxis(seam, axis, 0)[middle - tiling.RAMP_PX : middle + tiling.RAMP_PX] = True
        assert 0.1 < seam.mean() < 0.9
        for place in (seam, ~seam):
            wrong = [(((one >= threshold) != truth)[place]).mean() for one in (whole, tiled)]
            seam_errors.append(wrong[1] - wrong[0])
            differences.append(np.abs(whole - tiled)[place].mean())
    assert max(seam_errors) < 1e-4
    assert max(differences) < 1e-3


def test_too_small_a_halo_would_be_noticed(
    embedded: tuple[OpenVinoEngine, float], photographs: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, threshold = embedded
    image = photographs[0][:3, :640, :640]
    whole = predict(engine, image, memory_mb=10_000)
    monkeypatch.setattr(tiling, "BYTES_PER_PX", 64_000_000 / 256**2)
    tiled = predict(engine, image, memory_mb=64, halo_px=32)
    other = (whole >= threshold) != (tiled >= threshold)
    assert other[np.abs(whole - threshold) > TOLERANCE].any()


def test_the_halo_reaches_as_far_as_the_network_sees(
    embedded: tuple[OpenVinoEngine, float], photographs: list[np.ndarray]
) -> None:
    """Noise in place of a patch moves the probability near it, and by less than the tolerance beyond the halo."""
    engine, _ = embedded
    image = photographs[0][:3, :640, :640]
    changed = image.copy()
    changed[:, 300:316, 80:96] = np.random.default_rng(0).normal(0, 2, (3, 16, 16))
    moved = np.abs(predict(engine, changed) - predict(engine, image))
    columns = moved.max(axis=0)
    assert columns[80:96].max() > 0.3
    assert columns[96 + tiling.HALO_PX - tiling.RAMP_PX // 2 :].max() < TOLERANCE
    assert columns[96 + 448 :].max() < 1e-5


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), limit=st.integers(1, 10**6), most=st.integers(1, 3000))
def test_a_plan_keeps_to_its_limits(height: int, width: int, limit: int, most: int) -> None:
    plan = plan_tiles((height, width), limit_px=limit, max_height=most)
    smallest = 2 * tiling.HALO_PX + 32
    assert all(
        padded % 32 == 0 and 0 <= padded - size < 32 for padded, size in zip(plan.padded_hw, plan.size_hw, strict=True)
    )
    assert plan.tile_hw[0] * plan.tile_hw[1] <= max(limit, smallest**2)
    assert plan.tile_hw[0] <= max(most, smallest)
    assert plan.work_px >= plan.padded_hw[0] * plan.padded_hw[1]


@given(height=st.integers(1, 200), width=st.integers(1, 200), limit=st.integers(1, 20_000))
def test_rows_come_once_and_in_order(engine: OpenVinoEngine, height: int, width: int, limit: int) -> None:
    image = picture(height, width)
    plan = plan_tiles((height, width), limit_px=limit, halo_px=32)
    asked: list[int] = []

    def fetch(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        asked.append(top)
        return image[:, top:bottom, left:right]

    end = 0
    for top, rows in predict_rows(engine, plan, fetch):
        assert top == end
        assert rows.shape[1] == width
        end += len(rows)
    assert end == height
    assert asked == sorted(asked)


def test_preparing_by_tiles_is_preparing_the_whole(engine: OpenVinoEngine) -> None:
    image = picture(200, 300)[0]

    def prepare(part: np.ndarray) -> np.ndarray:
        return np.repeat(part[None] * 0.5 + 0.25, 3, axis=0)

    np.testing.assert_array_equal(predict(engine, image, prepare=prepare), predict(engine, prepare(image)))
