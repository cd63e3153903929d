"""What people see at a terminal: bars, tables and the live line are drawn for real, on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def at_terminal(*verb: str | Path, cwd: Path) -> tuple[int, str]:
    """Run the command with a terminal for its output; exit code and what was drawn, without colours."""
    return drawn_by("-m", "c6seg", *map(str, verb), cwd=cwd)


def drawn_by(*python: str, cwd: Path) -> tuple[int, str]:
    """Run Python at a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "140", "XDG_DATA_HOME": str(cwd / "user-data")}
    command = [sys.executable, *python]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env) as process:
        os.close(theirs)
        drawn = b""
        try:
            while more := os.read(ours, 65536):
                drawn += more
        except OSError:  # the other end was closed
            pass
        code = process.wait(timeout=60)
    os.close(ours)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rows, columns = np.mgrid[0:50, 0:70]
    disc = ((rows - 25) ** 2 + (columns - 30) ** 2 < 150) * 160 + rows
    for number in range(2):
        Image.fromarray((disc + number).astype(np.uint8)).save(folder / f"A1_{number}h.png")
    return folder


def test_a_bar_is_drawn_while_images_are_segmented(images: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    code, drawn = at_terminal("segment", images, "--out", "out", "--model", tiny_bundle, cwd=tmp_path)
    assert code == 0, drawn
    assert "Segmenting" in drawn
    assert "2/2" in drawn
    assert "2 images segmented" in drawn
    assert (tmp_path / "out" / "measurements.csv").exists()


LOOKING = """
import time
from c6seg.interfaces.cli_base import progress_bar
with progress_bar("Segmenting") as show:
    show(0.5, 3, "A1 [bold][/red].png")
    time.sleep(0.5)
"""


def test_a_name_in_a_bar_is_no_markup(tmp_path: Path) -> None:
    code, drawn = drawn_by("-c", LOOKING, cwd=tmp_path)
    assert code == 0, drawn
    assert "0/3" in drawn
    assert "A1 [bold][/red].png" in drawn


def test_models_are_listed(tmp_path: Path) -> None:
    code, drawn = at_terminal("models", "list", cwd=tmp_path)
    assert code == 0, drawn
    assert "unet-mobilenetv2" in drawn


def test_a_watch_shows_its_line(images: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    verb = ("watch", images, "--out", "live", "--model", tiny_bundle, "--until-idle", "0.5")
    code, drawn = at_terminal(*verb, cwd=tmp_path)
    assert code == 0, drawn
    assert "2 images" in drawn


def test_data_are_described_and_a_training_shows_its_bar(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    code, drawn = at_terminal("data", "simulate", folder, "--count", "4", "--size", "64x64", cwd=tmp_path)
    assert code == 0, drawn
    code, drawn = at_terminal("data", "describe", folder, cwd=tmp_path)
    assert code == 0, drawn
    assert "Measuring" in drawn
    options = ("epochs=1", "batch=2", "input_size=64x64", "precision=fp32", "network.init=random")
    sets = [word for option in options for word in ("--set", option)]
    code, drawn = at_terminal("train", "--data", folder, "--out", "run", *sets, cwd=tmp_path)
    assert code == 0, drawn
    assert "Training" in drawn
    assert "epoch 1/1" in drawn
