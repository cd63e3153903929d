from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg.config import SegmentConfig
from c6seg.errors import BundleError, EngineError
from c6seg.inference import engine as engines
from c6seg.inference.batch import segment_images
from c6seg.inference.engine import Engine, describe
from c6seg.inference.engine_guard import GuardedEngine
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.segmenter import Segmenter


class Fake:
    """An engine that answers with one value, or fails."""

    def __init__(self, value: float, *, name: str = "torch", device: str = "cuda", precision: str = "bf16") -> None:
        self.name, self.device, self.precision = name, device, precision
        self.value = value
        self.error: Exception | None = None

    def run(self, batch: np.ndarray) -> np.ndarray:
        if self.error is not None:
            raise self.error
        return np.full((len(batch), 1, *batch.shape[2:]), self.value, np.float32)


BATCH = np.zeros((1, 3, 32, 32), np.float32)


def f32(value: float) -> Fake:
    return Fake(value, name="openvino", device="cpu", precision="f32")


def test_a_failed_engine_is_replaced_once_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    first, opened = Fake(0.25), []

    def spare() -> Engine:
        opened.append(f32(0.75))
        return opened[-1]

    guarded = GuardedEngine(first, spare)
    assert isinstance(guarded, Engine)
    assert guarded.run(BATCH).max() == 0.25
    assert describe(guarded) == {"name": "torch", "device": "cuda", "precision": "bf16"}
    first.error = EngineError("The engine torch on cuda failed: the device is gone")
    with caplog.at_level(logging.WARNING, "c6seg"):
        assert guarded.run(BATCH).min() == 0.75
    note = (
        "torch on cuda in bf16 was replaced by openvino on cpu in f32 during the run. "
        "The engine torch on cuda failed: the device is gone"
    )
    assert caplog.messages == [note]
    assert describe(guarded) == {"name": "openvino", "device": "cpu", "precision": "f32", "notes": [note]}
    first.error = None
    assert guarded.run(BATCH).min() == 0.75
    assert len(opened) == 1
    opened[0].error = EngineError("and this one, too")
    with pytest.raises(EngineError, match="and this one, too"):
        guarded.run(BATCH)
    assert len(opened) == 1


def test_openvino_in_f32_has_nothing_to_take_its_place() -> None:
    guarded = GuardedEngine(f32(0.5), lambda: pytest.fail("opened"))
    guarded._engine.error = EngineError("broken")  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match="broken"):
        guarded.run(BATCH)


def test_memory_of_the_processor_is_a_matter_of_the_picture() -> None:
    guarded = GuardedEngine(Fake(0.5, device="cpu"), lambda: pytest.fail("opened"))
    guarded._engine.error = MemoryError("too large")  # type: ignore[attr-defined]
    with pytest.raises(MemoryError, match="too large"):
        guarded.run(BATCH)


def test_values_that_are_no_numbers_are_a_failure() -> None:
    guarded = GuardedEngine(Fake(float("nan")), lambda: f32(0.75))
    assert guarded.run(BATCH).min() == 0.75
    assert "no numbers" in guarded.notes[0]
    lost = GuardedEngine(Fake(float("nan")), lambda: f32(0.75))
    assert np.isnan(lost.run(np.full_like(BATCH, np.nan))).all()  # the picture itself is none
    assert lost.notes == []


def test_a_spare_that_cannot_start_is_one_clear_error() -> None:
    def spare() -> Engine:
        raise BundleError("The network 'model.onnx' is missing. Install the bundle again.")

    first = Fake(0.5)
    first.error = EngineError("The engine torch on cuda failed: out of memory")
    with pytest.raises(EngineError, match=r"out of memory Nothing can take its place: The network.*missing"):
        GuardedEngine(first, spare).run(BATCH)


def test_threads_that_fail_together_open_one_spare() -> None:
    barrier = threading.Barrier(4)

    class Together(Fake):
        def run(self, batch: np.ndarray) -> np.ndarray:
            barrier.wait(10)
            raise EngineError("gone")

    opened, found = [], []
    guarded = GuardedEngine(Together(0.1), lambda: opened.append(1) or f32(0.75))  # type: ignore[func-returns-value]
    threads = [threading.Thread(target=lambda: found.append(guarded.run(BATCH).max())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0.75] * 4
    assert len(opened) == len(guarded.notes) == 1


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rows, columns = np.mgrid[0:64, 0:96]
    for number in range(3):
        spot = ((rows - 20 - 8 * number) ** 2 + (columns - 40) ** 2 < 200) * 150 + rows + 20
        Image.fromarray(spot.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def failing_after(runs: int) -> Callable[..., np.ndarray]:
    """Make OpenVINO's second precision fail after so many pictures, as a driver does that goes away."""
    whole, done = OpenVinoEngine.run, []

    def run(self: OpenVinoEngine, batch: np.ndarray) -> np.ndarray:
        if self.device == "gpu":
            done.append(1)
            if len(done) > runs:
                raise EngineError("The engine openvino on gpu failed: CL_OUT_OF_RESOURCES")
        return whole(self, batch)

    return run


def test_a_batch_goes_on_and_its_manifest_says_so(
    images: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    real = engines._open

    def on_graphics(bundle: object, name: str, device: str | None, **options: object) -> Engine:
        opened = real(bundle, name, "cpu", **options)  # type: ignore[arg-type]
        if device == "gpu":
            opened.device = "gpu"  # type: ignore[misc]
        return opened

    monkeypatch.setattr(engines, "_open", on_graphics)
    monkeypatch.setattr(OpenVinoEngine, "run", failing_after(1))
    result = segment_images(images, tmp_path / "out", model=tiny_bundle, config=SegmentConfig(engine="openvino:gpu"))
    assert (len(result.rows), result.failures) == (3, [])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["engine"]["device"], manifest["engine"]["precision"]) == ("cpu", "f32")
    assert "openvino on gpu" in manifest["engine"]["notes"][0]
    assert "CL_OUT_OF_RESOURCES" in manifest["engine"]["notes"][0]
    plain = segment_images(images, tmp_path / "plain", model=tiny_bundle, config=SegmentConfig(precision="f32"))
    assert [row["confluence"] for row in result.rows][1:] == [row["confluence"] for row in plain.rows][1:]
    assert "notes" not in json.loads((tmp_path / "plain" / "manifest.json").read_text(encoding="utf-8"))["engine"]


def test_a_model_that_is_removed_during_a_batch_does_not_matter(
    images: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    digest = Segmenter(bundle).model_sha256

    def remove(done: float, total: int, name: str) -> None:
        if done >= 1:
            shutil.rmtree(bundle, ignore_errors=True)

    result = segment_images(images, tmp_path / "out", model=bundle, progress=remove)
    assert (len(result.rows), result.failures) == (3, [])
    assert digest in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
    with pytest.raises(BundleError, match="no bundle folder"):
        segment_images(images, tmp_path / "again", model=bundle)
