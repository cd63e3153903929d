"""``c6seg segment --export`` and its twin in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg import api
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run as run_cli


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    distance = np.hypot(*np.mgrid[-30:30, -40:40])
    Image.fromarray(np.where(distance < 20, 200, 40).astype(np.uint8)).save(folder / "a.png")
    return folder


def test_the_command_and_its_twin(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["-q", "segment", str(images), "--model", str(tiny_bundle), "--out"]
    assert run_cli(app, [*command, str(tmp_path / "one"), "--export", "geojson,imagej"]) == 0
    api.segment(images, tmp_path / "two", model=tiny_bundle, export=["imagej", "geojson"])
    for name in ("rois/a.zip", "geojson/a.geojson"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    capsys.readouterr()
    assert run_cli(app, [*command, str(tmp_path / "three"), "--export", "qupath"]) == 2
    assert "Unknown format of --export 'qupath'" in capsys.readouterr().err
    assert not (tmp_path / "three").exists()
