from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c6seg.errors import ConfigError
from c6seg.inference import tiling
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.tiling import predict, tile_size, tile_starts


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
    """Work beyond the image itself: a third in f32, an eighth in bf16, where the budget holds larger tiles."""
    size_hw, options = (1952, 2592), {"multiple": 32, "halo_px": 128}
    for share, most in ((1.0, 1.30), (tiling.BF16_SHARE, 1.12)):
        limit = int(2000e6 / (tiling.BYTES_PER_PX * share))
        tile = tile_size(size_hw, limit_px=limit, **options)
        number = [len(tile_starts(size, part, **options)) for size, part in zip(size_hw, tile, strict=True)]
        assert tile[0] * tile[1] <= limit
        assert number[0] * number[1] * tile[0] * tile[1] < most * size_hw[0] * size_hw[1]


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
