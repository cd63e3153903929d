"""While the network has one image, the one before it is written; what comes of it is as if they came in turn."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg.config import SegmentConfig
from c6seg.data.images import Frame
from c6seg.errors import OutputError
from c6seg.inference import making
from c6seg.inference.batch import segment_images
from c6seg.inference.segmenter import Segmentation, Segmenter


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    return Segmenter(tiny_bundle, SegmentConfig(precision="f32", overlays=False), threads=1)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(5)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
    return paths


def before_each(monkeypatch: pytest.MonkeyPatch, act: dict[str, object]) -> list[str]:
    """Call what stands for an image in ``act`` before it is segmented; give the names in their order."""
    real, seen = Segmenter.segment, []

    def segment(self: Segmenter, frame: Frame) -> Segmentation:
        seen.append(frame.name)
        call = act.get(frame.name)
        if callable(call):
            call()
        return real(self, frame)

    monkeypatch.setattr(Segmenter, "segment", segment)
    return seen


def appears(path: Path, *, within_s: float = 20) -> bool:
    end = time.monotonic() + within_s
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return path.exists()


def test_an_image_is_written_while_the_next_one_is_segmented(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    before_each(monkeypatch, {"1": lambda: seen.append(appears(tmp_path / "out/masks/0.png"))})
    result = segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert seen == [True]
    assert [row["image"] for row in result.rows] == ["0", "1", "2", "3"]
    assert [Path(entry["path"]).name for entry in result.inputs] == [path.name for path in images]


def test_large_images_are_written_in_turn(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LATER_PX", 64 * 64 - 1)
    writers: set[threading.Thread] = set()
    real = making.write_mask

    def write_mask(*given: object) -> None:
        writers.add(threading.current_thread())
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "write_mask", write_mask)
    segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert writers == {threading.main_thread()}
    monkeypatch.setattr(making, "LATER_PX", 64 * 64)
    segment_images(images, tmp_path / "out", segmenter=segmenter, force=True)
    assert len(writers) == 2


def test_no_more_than_one_image_waits(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    real, waited = making.write_mask, []

    def slow(path: Path, *given: object) -> None:
        waited.append(written.wait(timeout=20 if path.name == "0.png" else 0))
        real(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "write_mask", slow)
    timer = threading.Timer(1, written.set)
    seen = before_each(monkeypatch, {"1": timer.start, "2": lambda: waited.append(written.is_set())})
    segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert seen == ["0", "1", "2", "3"]
    assert all(waited), "the third image waits for the first to be written"


def test_what_cannot_be_written_stops_the_batch(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = making.write_mask

    def full(path: Path, *given: object) -> None:
        if path.name == "1.png":
            raise OutputError(errno.ENOSPC, "Cannot write: No space left on device")
        real(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "write_mask", full)
    seen = before_each(monkeypatch, {})
    with pytest.raises(OutputError, match="No space left"):
        segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert "3" not in seen
    monkeypatch.undo()
    again = segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert again.resumed == 1, "the third image was not written either"
    assert len(again.rows) == 4


def test_ctrl_c_keeps_the_image_that_is_being_written(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = threading.Event()
    real = making.write_mask

    def slow(path: Path, *given: object) -> None:
        if path.name == "0.png":
            assert interrupted.wait(timeout=20)
        real(path, *given)  # type: ignore[arg-type]

    def stop() -> None:
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "write_mask", slow)
    before_each(monkeypatch, {"1": stop})
    result = segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert result.interrupted
    assert [row["image"] for row in result.rows] == ["0"]
    monkeypatch.undo()
    assert segment_images(images, tmp_path / "out", segmenter=segmenter).resumed == 1


def test_failures_are_in_the_order_of_the_images(
    images: list[Path], tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strange() -> None:
        raise ValueError("strange")

    real = making.write_mask

    def broken(path: Path, *given: object) -> None:
        if path.name == "1.png":
            raise ValueError("cannot be written")
        real(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "write_mask", broken)
    before_each(monkeypatch, {"2": strange})
    result = segment_images(images, tmp_path / "out", segmenter=segmenter)
    assert [(Path(path).name, why.split(": ")[2][:7]) for path, why in result.failures] == [
        ("1.png", "cannot "),
        ("2.png", "strange"),
    ]
    assert [row["image"] for row in result.rows] == ["0", "3"]
