"""What people give by mistake: one clear line, the right exit code, and nothing half-written under a final name."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from c6seg.runtime import sha256

MEMORY_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
"""

FULL_DISK = """
import builtins, errno, io
real, room = builtins.open, {room}

class Full(io.BufferedWriter):
    def write(self, data):
        global room
        room -= len(data)
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)

def open(file, mode="r", *args, **kwargs):
    if isinstance(file, int) or not str(file).startswith({folder!r}) or not set(mode) & set("wax+"):
        return real(file, mode, *args, **kwargs)
    raw = real(file, mode.replace("t", "").replace("b", "").replace("+", "") + "b", buffering=0)
    full = Full(raw)
    return full if "b" in mode else io.TextIOWrapper(full, encoding="utf-8", newline=kwargs.get("newline"))

builtins.open = io.open = open
"""


def only_line(result: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line on stderr; nothing on stdout."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("c6seg: ")
    assert "fault of c6seg" not in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr


def some_failed(result: subprocess.CompletedProcess[str], name: str) -> str:
    """The line about the one bad file, where the rest was done."""
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "fault of c6seg" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if name in line]
    assert len(lines) == 1, result.stderr
    return lines[0]


def whole_results(out: Path, names: set[str]) -> None:
    """Results of these images are there and whole, and no others, finished or not."""
    assert {path.name for path in (out / "masks").iterdir()} == {f"{name}.png" for name in names}
    for path in (out / "masks").iterdir():
        with Image.open(path) as image:
            image.load()
    assert {path.name for path in (out / "overlays").iterdir()} == {f"{name}.jpg" for name in names}
    with (out / "measurements.csv").open(newline="") as file:
        assert {row["image"] for row in csv.DictReader(file)} == names


def truncated_tiff(path: Path) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.random.default_rng(0).integers(0, 4000, (96, 96), np.uint16), compression="zlib")
    path.write_bytes(buffer.getvalue()[:-4000])


def truncated_png(path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96), np.uint8)).save(buffer, format="PNG")
    path.write_bytes(buffer.getvalue()[:3000])


def png_bomb(path: Path) -> None:
    """A few kilobytes that say they are 60000x60000 px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(5_000_000), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def text_as_tiff(path: Path) -> None:
    path.write_text("These are my notes on the experiment.\n")


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


BAD_IMAGES = {
    "truncated.tif": truncated_tiff,
    "truncated.png": truncated_png,
    "bomb.png": png_bomb,
    "notes.tif": text_as_tiff,
    "empty.jpg": empty_file,
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_alone(c6seg: Any, tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    BAD_IMAGES[name](tmp_path / name)
    out = tmp_path / "out"
    start = MEMORY_LIMIT if name == "bomb.png" else None
    result = c6seg("segment", tmp_path / name, "--out", out, "--model", tiny_bundle, start=start)
    assert name in only_line(result)
    assert not list(out.glob("masks/*"))
    assert not list(out.glob("overlays/*"))


def test_bad_images_among_good_ones(c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    good = {path.stem for path in pictures.iterdir()}
    for name, make in BAD_IMAGES.items():
        make(pictures / f"bad_{name}")
    # two bad names would give one output name
    (pictures / "bad_truncated.png").rename(pictures / "bad_short.png")
    out = tmp_path / "out"
    result = c6seg("segment", pictures, "--out", out, "--model", tiny_bundle)
    for name in ("bad_truncated.tif", "bad_short.png", "bad_bomb.png", "bad_notes.tif", "bad_empty.jpg"):
        some_failed(result, name)
    assert len(result.stderr.splitlines()) == 6
    whole_results(out, good)
    with (out / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {Path(row["name"]).name.removeprefix("bad_") for row in rows} == {
        "truncated.tif", "short.png", "bomb.png", "notes.tif", "empty.jpg"
    }  # fmt: skip
    assert all(row["reason"] for row in rows)


def test_one_bad_image_among_good_ones_is_one_line(
    c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    good = {path.stem for path in pictures.iterdir()}
    text_as_tiff(pictures / "notes.tif")
    result = c6seg("segment", pictures, "--out", tmp_path / "out", "--model", tiny_bundle)
    assert some_failed(result, "notes.tif") == result.stderr.rstrip("\n")
    assert "3 images segmented" in result.stdout
    whole_results(tmp_path / "out", good)


def test_a_folder_without_images(c6seg: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "readme.txt").write_text("nothing here")
    for verb in ("segment", "growth"):
        line = only_line(c6seg(verb, folder, "--out", tmp_path / "out", "--model", tiny_bundle))
        assert str(folder) in line
    assert str(folder) in only_line(c6seg("train", "--data", folder, "--out", tmp_path / "out"))
    scores = tmp_path / "out.csv"
    assert str(folder) in only_line(c6seg("evaluate", "--data", folder, "--model", tiny_bundle, "--out", scores))
    assert str(folder) in only_line(c6seg("data", "check", folder))
    assert not (tmp_path / "out").exists()
    assert not scores.exists()


def annotated(folder: Path, pictures: Path) -> Path:
    """A data set of the pictures whose masks fit, but for the last one, which is 80x90."""
    images = sorted(pictures.iterdir())
    shutil.copytree(pictures, folder / "images")
    (folder / "masks").mkdir()
    for path in images:
        size_hw = (80, 90) if path == images[-1] else (96, 96)
        mask = np.zeros(size_hw, np.uint8)
        mask[20:60, 10:50] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{path.stem}.png")
    return folder


def test_a_mask_of_another_size(c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    data = annotated(tmp_path / "data", pictures)
    name = max(path.stem for path in pictures.iterdir())
    checked = c6seg("data", "check", data)
    assert checked.returncode == 1
    (line,) = [line for line in checked.stdout.splitlines() if line.startswith("ERROR")]
    assert name in line
    for size in ("96x96", "90x80"):
        assert size in line

    converted = c6seg("data", "convert", data, tmp_path / "converted")
    some_failed(converted, name)
    assert len(list((tmp_path / "converted" / "masks").iterdir())) == 2

    scores = tmp_path / "scores.csv"
    evaluated = c6seg("evaluate", "--data", data, "--model", tiny_bundle, "--out", scores)
    some_failed(evaluated, name)
    assert len(scores.read_text().splitlines()) == 3

    options = ("--init", "random", "--set", "input_size=64x64", "--set", "epochs=1", "--set", "batch=2")
    trained = c6seg("train", "--data", data, "--out", tmp_path / "run", *options)
    assert name in only_line(trained)
    assert not (tmp_path / "run" / "bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "said", "offered"),
    [
        (["--encoder", "mobilenet2"], "mobilenet2", "MobileNetV2"),
        (["--encoder", "resnet51"], "resnet51", "ResNet50"),
        (["--set", "learning_rat=1e-3"], "learning_rat", "learning_rate"),
        (["--set", "augment.flip=false"], "augment.flip", "augment.flips"),
        (["--recipe", "papers"], "papers", "paper"),
    ],
)
def test_an_unknown_encoder_or_key(
    c6seg: Any, pictures: Path, tmp_path: Path, arguments: list[str], said: str, offered: str
) -> None:
    data = annotated(tmp_path / "data", pictures)
    line = only_line(c6seg("train", "--data", data, "--out", tmp_path / "run", *arguments))
    assert re.search(rf"'{re.escape(said)}'\. Did you mean '{re.escape(offered)}'", line)
    assert not (tmp_path / "run").exists()


def test_a_bundle_whose_hash_is_wrong(c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_bundle, tmp_path / "broken"))
    weights = bytearray((broken / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "weights.safetensors").write_bytes(weights)
    out = tmp_path / "out"
    for arguments in (
        ("segment", pictures, "--out", out, "--model", broken),
        ("growth", pictures, "--out", out, "--model", broken, "--interval", "1"),
        ("models", "check", broken),
        ("models", "install", broken),
        ("demo", "--out", out, "--model", broken),
    ):
        assert "hash of weights.safetensors" in only_demo_line(c6seg(*arguments))
    assert not list(out.glob("**/*.png"))
    assert not (out / "measurements.csv").exists()
    assert not (tmp_path / "user-data" / "c6seg" / "models" / "tiny").exists()


def only_demo_line(result: subprocess.CompletedProcess[str]) -> str:
    """As :func:`only_line`; the demo says first what it does."""
    result.stderr = "".join(line for line in result.stderr.splitlines(True) if not line.startswith("Simulating"))
    return only_line(result)


def test_a_bundle_whose_example_no_longer_reproduces(c6seg: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_bundle, tmp_path / "other"))
    example = "example/probability.png"
    Image.fromarray(np.full((70, 90), 30000, np.uint16)).save(other / example)
    spec = yaml.safe_load((other / "bundle.yaml").read_text())
    spec["files"][example] = sha256(other / example)
    (other / "bundle.yaml").write_text(yaml.safe_dump(spec))
    assert "does not reproduce its example" in only_line(c6seg("models", "check", other))


@pytest.mark.parametrize("room", [0, 5_000, 20_000])
def test_a_full_disk(c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path, room: int) -> None:
    out = tmp_path / "out"
    start = FULL_DISK.format(room=room, folder=str(out))
    line = only_line(c6seg("segment", pictures, "--out", out, "--model", tiny_bundle, start=start))
    assert "the disk is full" in line
    nothing_half_written(out)
    # with room again, the same command finishes the work
    assert c6seg("segment", pictures, "--out", out, "--model", tiny_bundle).returncode == 0
    whole_results(out, {path.stem for path in pictures.iterdir()})


def can_mount(folder: Path) -> bool:
    """Whether this process may make a small file system that only a child sees."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


DISKS = (("segment", 12), ("segment", 24), ("segment", 36), ("growth", 160), ("simulate", 16), ("train", 200))


@pytest.mark.parametrize(("verb", "kilobytes"), DISKS)
def test_a_truly_full_disk(
    c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path, verb: str, kilobytes: int
) -> None:
    """A file system of a few kilobytes; what is on it is copied away before it goes."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("this machine does not let a test make a small file system; test_a_full_disk simulates one")
    script = f'mount -t tmpfs -o size={kilobytes}k tmpfs {disk} && "$@"; code=$?; cp -a {disk} {kept}; exit $code'
    prefix = ("unshare", "-m", "sh", "-c", script, "sh")
    if verb == "simulate":
        result = c6seg("data", "simulate", disk / "out", "--count", "3", "--size", "128x128", prefix=prefix)
    elif verb == "train":
        data = annotated(tmp_path / "data", pictures)
        last = max((data / "images").iterdir())
        last.unlink()
        (data / "masks" / last.name).unlink()
        options = ("--init", "random", "--set", "input_size=64x64", "--set", "epochs=1", "--set", "batch=2")
        result = c6seg("train", "--data", data, "--out", disk / "out", *options, "-q", prefix=prefix)
    else:
        result = c6seg(verb, pictures, "--out", disk / "out", "--model", tiny_bundle, prefix=prefix)
    assert "the disk is full" in only_line(result)
    nothing_half_written(kept / "out")


def nothing_half_written(out: Path) -> None:
    """Every file under a final name is whole, and no temporary file is left."""
    for path in out.rglob("*"):
        assert not re.search(r"-[a-z0-9_]{8}(\.\w+)?$", path.name), f"{path} was left behind"
        if path.suffix in {".png", ".jpg"}:
            with Image.open(path) as image:
                image.load()
        elif path.suffix in {".csv", ".json", ".html", ".pt", ".onnx", ".safetensors", ".yaml"}:
            assert path.stat().st_size > 0, f"{path} is empty"
    assert not (out / "manifest.json").exists()
    assert not (out / "report.html").exists()
    assert not (out / "bundle").exists()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may write."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield folder
    folder.chmod(stat.S_IRWXU)


LIKE_ANYBODY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root's right to write and read everywhere
    if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit("cannot drop the rights of root")
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_no_permission_to_write(c6seg: Any, tiny_bundle: Path, pictures: Path, locked: Path, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root may write everywhere
        prefix = (sys.executable, "-c", LIKE_ANYBODY)
    for arguments in (
        ("segment", pictures, "--out", locked / "out", "--model", tiny_bundle),
        ("growth", pictures, "--out", locked / "out", "--model", tiny_bundle),
        ("data", "simulate", locked / "out", "--count", "1"),
        ("evaluate", "--data", example_data(pictures, tmp_path), "--out", locked / "a.csv", "--model", tiny_bundle),
        ("models", "export", tiny_bundle, "--out", locked / "model.onnx"),
    ):
        assert "no permission" in only_line(c6seg(*arguments, prefix=prefix)), arguments[0]
    assert not list(locked.iterdir())


def example_data(pictures: Path, tmp_path: Path) -> Path:
    """A data set of one picture."""
    folder = tmp_path / "one"
    if not folder.exists():
        (folder / "images").mkdir(parents=True)
        (folder / "masks").mkdir()
        shutil.copy(min(pictures.iterdir()), folder / "images" / "a.png")
        mask = np.zeros((96, 96), np.uint8)
        mask[10:50, 10:50] = 255
        Image.fromarray(mask).save(folder / "masks" / "a.png")
    return folder


@pytest.mark.parametrize("where", ["/proc/c6seg", "file/out"])
def test_a_place_where_nothing_can_be_written(
    c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    for arguments in (
        ("segment", pictures, "--out", where, "--model", tiny_bundle),
        ("growth", pictures, "--out", where, "--model", tiny_bundle),
        ("data", "simulate", where, "--count", "1"),
        ("data", "convert", example_data(pictures, tmp_path), where),
    ):
        assert where in only_line(c6seg(*arguments)), arguments[0]
    assert (tmp_path / "file").read_text() == "in the way"


def test_two_inputs_with_the_same_output_name(c6seg: Any, tiny_bundle: Path, pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    name = min(path.name for path in pictures.iterdir())
    shutil.copy(pictures / name, other / name)
    # growth segments such folders apart: see test_folders_of_times_or_wells_with_the_same_names_inside
    line = only_line(c6seg("segment", pictures, other, "--out", tmp_path / "out", "--model", tiny_bundle))
    assert str(pictures / name) in line
    assert str(other / name) in line
    assert not (tmp_path / "out").exists()


def test_the_rights_of_root_can_be_dropped() -> None:
    """Else test_no_permission_to_write would say nothing."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o500)
        attempt = f"open({folder + '/x'!r}, 'w')"
        result = subprocess.run(
            [sys.executable, "-c", LIKE_ANYBODY, sys.executable, "-c", attempt], capture_output=True, check=False
        )
        assert b"PermissionError" in result.stderr
