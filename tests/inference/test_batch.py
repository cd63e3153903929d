from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg import runtime
from c6seg.config import SegmentConfig
from c6seg.errors import ImageNotFoundError, OutputError, UsageError
from c6seg.inference.batch import COLUMNS, BatchResult, segment_images
from c6seg.inference.segmenter import Segmenter

OPTIONS = SegmentConfig(precision="f32")


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    return Segmenter(tiny_bundle, OPTIONS, threads=1)


def cells(seed: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    row, column = rng.uniform(20, 40, 2)
    return (np.where((rows - row) ** 2 + (columns - column) ** 2 < 150, 200, 40) + rng.integers(0, 9, shape)).astype(
        np.uint8
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(cells(1)).save(folder / "b2.png")
    Image.fromarray(cells(2)).save(folder / "b10.jpg")
    series = np.stack([cells(seed) for seed in (3, 4, 5)])
    tifffile.imwrite(folder / "film.tif", series, photometric="minisblack")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(inputs: Any, out: Path, segmenter: Segmenter, **options: Any) -> BatchResult:
    return segment_images(inputs, out, segmenter=segmenter, **options)


def test_it_writes_what_the_contract_says(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    result = run(images, out, segmenter, hints=lambda name: ("B2", 7.0) if name == "b2" else (None, None))
    assert files(out) == [
        "journal.jsonl",
        "manifest.json",
        "masks/b10.png",
        "masks/b2.png",
        "masks/film.tif",
        "measurements.csv",
        "overlays/b10.jpg",
        "overlays/b2.jpg",
        "overlays/film/0000.jpg",
        "overlays/film/0001.jpg",
        "overlays/film/0002.jpg",
    ]
    rows = table(out / "measurements.csv")
    assert (out / "measurements.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [(row["image"], row["frame"]) for row in rows] == [
        ("b2", "0"),
        ("b10", "0"),
        ("film", "0"),
        ("film", "1"),
        ("film", "2"),
    ]
    assert (rows[0]["well"], rows[0]["time_h"]) == ("B2", "7.0")
    for column in ("cluster_fraction", "object_count", "mean_object_area_um2", "pixel_size_um", "cell_area_um2"):
        assert {row[column] for row in rows} == {""}, "unknown values are empty"
    with Image.open(out / "masks" / "b2.png") as image:
        mask = np.asarray(image)
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert float(rows[0]["confluence"]) == pytest.approx((mask == 255).mean(), abs=1e-6)
    pages = tifffile.imread(out / "masks" / "film.tif")
    assert pages.shape == (3, 60, 80)
    for row, page in zip(rows[2:], pages, strict=True):
        assert float(row["confluence"]) == pytest.approx((page == 255).mean(), abs=1e-6)
    assert result.failures == []
    assert result.resumed == 0


def test_the_manifest_is_enough_to_run_it_again(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    run(images, tmp_path / "out", segmenter)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["model"]["sha256"] == segmenter.bundle.sha256()
    assert manifest["versions"]["c6seg"]
    assert manifest["engine"] == {"name": "openvino", "device": "cpu", "precision": "f32"}
    for item in manifest["inputs"]:
        assert item["sha256"] == runtime.sha256(Path(item["path"]))
    options = {key: value for key, value in manifest["options"].items() if key != "recursive"}
    again = segment_images(
        [item["path"] for item in manifest["inputs"]],
        tmp_path / "again",
        model=manifest["model"]["path"],
        config=SegmentConfig(**options),
    )
    assert again.failures == []
    for name in ("measurements.csv", "masks/b2.png", "overlays/b2.jpg"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_bad_file_costs_itself_only(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    (images / "a_text.tif").write_text("this is no image")
    whole = (images / "film.tif").read_bytes()
    (images / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (images / "empty.png").write_bytes(b"")
    out = tmp_path / "out"
    result = run(images, out, segmenter)
    assert [Path(name).name for name, _ in result.failures] == ["a_text.tif", "cut.tif", "empty.png"]
    assert [row["name"] for row in table(out / "failures.csv")] == [name for name, _ in result.failures]
    assert all(reason and "\n" not in reason for _, reason in result.failures)
    assert len(result.rows) == 5
    assert not [name for name in files(out) if "a_text" in name or "cut" in name or "empty" in name]
    for name in ("a_text.tif", "cut.tif", "empty.png"):
        (images / name).unlink()
    assert run(images, out, segmenter).resumed == 3
    assert not (out / "failures.csv").exists()


def test_a_strange_error_costs_one_image_too(
    images: Path, tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Segmenter.segment

    def sometimes(self: Segmenter, frame: Any) -> Any:
        if frame.name == "b10":
            raise ValueError("strange\nthing")
        return right(self, frame)

    monkeypatch.setattr(Segmenter, "segment", sometimes)
    result = run(images, tmp_path / "out", segmenter)
    ((name, reason),) = result.failures
    assert name.endswith("b10.jpg")
    assert "ValueError: strange thing" in reason
    assert len(result.rows) == 4


def test_running_again_does_only_what_changed(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    first = run(images, out, segmenter)
    before = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.startswith(("masks", "overlays"))}
    second = run(images, out, segmenter)
    assert second.resumed == 3
    assert second.rows == first.rows
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    Image.fromarray(cells(9)).save(images / "b2.png")
    (out / "masks" / "b10.png").unlink()
    assert run(images, out, segmenter).resumed == 1
    assert run(images, out, segmenter, force=True).resumed == 0
    other = Segmenter(segmenter.bundle, SegmentConfig(precision="f32", threshold=0.3), engine=segmenter.engine)
    assert run(images, out, other).resumed == 0
    assert run(images, out, segmenter).resumed == 0


def test_a_file_that_turned_bad_leaves_no_old_result(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    out = tmp_path / "out"
    run(images, out, segmenter)
    (images / "b2.png").write_text("broken now")
    tifffile.imwrite(images / "film.tif", cells(3), photometric="minisblack")  # a single picture now
    assert len(run(images, out, segmenter).failures) == 1
    assert [name for name in files(out) if "b2" in name] == []
    assert [name for name in files(out) if "film" in name] == ["masks/film.png", "overlays/film.jpg"]


def test_two_inputs_of_one_name_are_refused_before_anything_is_written(
    images: Path, tmp_path: Path, segmenter: Segmenter
) -> None:
    Image.fromarray(cells(1)).save(images / "film.png")
    with pytest.raises(UsageError) as caught:
        run(images, tmp_path / "out", segmenter)
    assert "film.tif" in str(caught.value)
    assert "film.png" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_overlay_of_an_image_is_not_that_of_another(tmp_path: Path, segmenter: Segmenter) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(cells(1)).save(folder / "x.bmp")
    tifffile.imwrite(folder / "x.jpg.tif", cells(2))
    for _ in range(2):
        assert len(run(folder, tmp_path / "out", segmenter).rows) == 2
        assert files(tmp_path / "out" / "overlays") == ["x.jpg", "x.jpg.jpg"]
    tifffile.imwrite(folder / "x.jpg.tif", np.stack([cells(2), cells(3)]), photometric="minisblack")
    with pytest.raises(UsageError, match=r"series '.*x\.jpg\.tif' and of '.*x\.bmp' would both be 'overlays/x\.jpg'"):
        run(folder, tmp_path / "new", segmenter)
    assert not (tmp_path / "new").exists()


def test_a_link_to_nothing_is_a_failure_and_no_silence(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    (images / "dead.png").symlink_to(images / "gone.png")
    result = run(images, tmp_path / "out", segmenter)
    assert len(result.inputs) == 3
    ((path, reason),) = result.failures
    assert path.endswith("dead.png")
    assert "No such file" in reason


def test_an_empty_input_is_refused(tmp_path: Path, segmenter: Segmenter) -> None:
    with pytest.raises(ImageNotFoundError, match="An input is empty"):
        run("", tmp_path / "out", segmenter)


def test_masks_of_images_that_are_not_given_any_more_are_named(
    images: Path, tmp_path: Path, segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    run(images, tmp_path / "out", segmenter)
    assert not caplog.records
    run(images / "b2.png", tmp_path / "out", segmenter)
    assert [row["image"] for row in table(tmp_path / "out" / "measurements.csv")] == ["b2"]
    assert "2 masks of other images" in caplog.text
    assert "b10.png" in caplog.text


def test_a_file_name_that_is_no_utf8(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (images / "b2.png").rename(images / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    result = run(images, tmp_path / "out", segmenter)
    assert not result.failures
    assert "caf\\udce9" in {row["image"] for row in table(tmp_path / "out" / "measurements.csv")}
    assert (tmp_path / "out" / "masks" / name).is_file()
    assert run(images, tmp_path / "out", segmenter).resumed == 3


def test_no_images_and_results_as_images(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageNotFoundError, match="has no image"):
        run(tmp_path / "none", tmp_path / "out", segmenter)
    assert not (tmp_path / "out").exists()
    run(images, images, segmenter)  # results below the images themselves
    assert run(images, images, segmenter, recursive=True).resumed == 3
    with pytest.raises(ImageNotFoundError, match="are results"):
        run(images / "masks", images, segmenter)


def test_a_budget_too_small_for_one_tile_is_said_once(
    images: Path, tmp_path: Path, segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    for given, warnings in ((64, 1), (201, 0)):
        caplog.clear()
        config = SegmentConfig(precision="f32", memory_mb=given)
        run(images, tmp_path / str(given), Segmenter(segmenter.bundle, config, engine=segmenter.engine))
        assert len([record for record in caplog.records if "too little for one tile" in record.message]) == warnings
        assert json.loads((tmp_path / str(given) / "manifest.json").read_text())["memory_mb"] == given
        assert ("give --memory 201 or more" in caplog.text) == bool(warnings)


def test_without_overlays(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    plain = Segmenter(segmenter.bundle, SegmentConfig(overlays=False), engine=segmenter.engine)
    run(images, tmp_path / "out", plain)
    assert not (tmp_path / "out" / "overlays").exists()
    assert run(images, tmp_path / "out", plain).resumed == 3


def test_ctrl_c_keeps_what_is_done(
    images: Path, tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Segmenter.segment

    def stop_in_the_film(self: Segmenter, frame: Any) -> Any:
        if frame.name == "film" and frame.index == 1:
            raise KeyboardInterrupt
        return right(self, frame)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "segment", stop_in_the_film)
        result = run(images, out, segmenter)
    assert result.interrupted
    assert [row["image"] for row in table(out / "measurements.csv")] == ["b2", "b10"]
    assert not [name for name in files(out) if "film" in name]
    assert json.loads((out / "manifest.json").read_text())["complete"] is False
    assert run(images, out, segmenter).resumed == 2


def test_a_full_disk_is_one_clear_error(
    images: Path, tmp_path: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Path.write_bytes

    def write_bytes(self: Path, data: Any) -> int:
        if "b10" in self.name:
            right(self, b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return right(self, data)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_bytes)
        with pytest.raises(OutputError, match="the disk is full"):
            run(images, out, segmenter)
    assert files(out) == ["journal.jsonl", "masks/b2.png", "overlays/b2.jpg"]
    assert run(images, out, segmenter).resumed == 1


@contextlib.contextmanager
def small_disk(where: Path, size: str) -> Iterator[None]:
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no right to mount a small disk here; the simulated one is tested above")
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


def test_a_disk_that_is_really_full(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    with small_disk(tmp_path / "disk", "16k"):
        out = tmp_path / "disk" / "out"
        with pytest.raises(OutputError, match="the disk is full"):
            run(images, out, segmenter)
        for name in files(out):
            if name.endswith((".png", ".jpg")):
                with Image.open(out / name) as image:
                    image.load()
        assert not [name for name in files(out) if Path(name).name.startswith(".")]


@pytest.mark.parametrize("out", ["file/out", "/proc/c6seg-out"])
def test_no_right_to_write_is_one_clear_error(images: Path, tmp_path: Path, segmenter: Segmenter, out: str) -> None:
    if out.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc on this system")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot make folder"):
        run(images, tmp_path / out, segmenter)


# A child that ends like a killed process, with no finaliser run, at its n-th change of the folder.
DYING = """
import os, sys
from pathlib import Path
import numpy as np
from c6seg.config import SegmentConfig
from c6seg.inference import batch, journal
from c6seg.inference.segmenter import Segmenter

images, out, bundle, left = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def dying(function):
    def call(*args):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        result = function(*args)
        left -= 1
        if left == 0:
            os._exit(9)
        return result
    return call

class Bright:
    name, device, precision = "openvino", "cpu", "f32"
    def run(self, data):
        return (data[:, :1] > 0.5).astype(np.float32)

Path.replace = dying(Path.replace)
journal.Journal._append = dying(journal.Journal._append)
batch.segment_images(images, out, segmenter=Segmenter(bundle, SegmentConfig(precision="f32"), engine=Bright()))
print("survived")
"""


class Bright:
    name, device, precision = "openvino", "cpu", "f32"

    def run(self, data: np.ndarray) -> np.ndarray:
        return (data[:, :1] > 0.5).astype(np.float32)


def test_killed_at_any_change_and_run_again_is_as_never_killed(images: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    (images / "b10.jpg").unlink()
    segmenter = Segmenter(tiny_bundle, OPTIONS, engine=Bright())
    run(images, tmp_path / "whole", segmenter)
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in files(tmp_path / "whole")}
    compared = [name for name in expected if name.startswith(("masks", "overlays", "measurements"))]
    for step in range(1, 60, 3):
        out = tmp_path / f"killed{step}"
        command = [sys.executable, "-c", DYING, str(images), str(out), str(tiny_bundle), str(step)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "survived" in done.stdout:
            break
        assert done.returncode == 9, done.stderr
        for name in files(out):
            if name in compared and not Path(name).name.startswith("."):
                assert (out / name).read_bytes() == expected[name], f"half-written after step {step}"
        run(images, out, segmenter)
        assert files(out) == sorted(expected), f"step {step}"
        for name in compared:
            assert (out / name).read_bytes() == expected[name]
    assert step > 20


def test_a_killed_process_continues(images: Path, tmp_path: Path, tiny_bundle: Path, segmenter: Segmenter) -> None:
    for seed in range(40):
        Image.fromarray(cells(seed, (200, 200))).save(images / f"more{seed}.png")
    out = tmp_path / "out"
    arguments = ["segment", str(images), "--out", str(out), "--model", str(tiny_bundle), "--precision", "f32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", "c6seg", *arguments], env=environment) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            journal = out / "journal.jsonl"
            if journal.exists() and journal.read_text().count('"done"') >= 3:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    for path in (out / "masks").glob("[!.]*.png"):
        with Image.open(path) as image:
            image.load()
    assert not (out / "measurements.csv").exists()
    result = run(images, out, Segmenter(segmenter.bundle, OPTIONS, engine=segmenter.engine))
    assert 3 <= result.resumed < 43
    assert len(result.rows) == 45
    assert not [name for name in files(out) if Path(name).name.startswith(".")]
