"""The first command that anybody runs, with the model that comes with the package, where torch is not installed."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from c6seg.data.synthetic import SceneStyle, simulate_image, write_png
from c6seg.models.bundle import DEFAULT_MODEL, EMBEDDED


@pytest.fixture(scope="module")
def embedded() -> Path:
    """The embedded bundle; without it c6seg does nothing out of the box, so its absence is a failure."""
    folder = EMBEDDED / DEFAULT_MODEL
    if not (folder / "bundle.yaml").is_file():
        pytest.fail(f"the embedded model {DEFAULT_MODEL} is not in the package")
    return folder


@pytest.fixture(scope="module")
def demo(
    embedded: Path, run_c6seg: Any, without_torch: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the demo without torch and, where a process may leave it, without the network."""
    folder = tmp_path_factory.mktemp("demo")
    offline = ("unshare", "-n") if _can_leave_the_network() else ()
    result = run_c6seg("demo", "--out", folder / "out", folder=folder, start=without_torch, prefix=offline)
    assert result.returncode == 0, result.stderr
    return result, folder / "out"


def test_the_embedded_model_is_small_and_sound(embedded: Path, run_c6seg: Any, tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in embedded.rglob("*") if path.is_file()) <= 16e6
    for precision in ("f32", "auto"):
        checked = run_c6seg("models", "check", DEFAULT_MODEL, "--precision", precision, folder=tmp_path)
        assert (checked.returncode, checked.stderr) == (0, "")
    listed = run_c6seg("models", "list", folder=tmp_path)
    assert DEFAULT_MODEL in listed.stdout
    info = run_c6seg("models", "info", DEFAULT_MODEL, folder=tmp_path)
    for word in ("licence", "t98g", "limit"):
        assert word in info.stdout.lower()


def test_doubling_times_are_those_of_the_simulation(demo: tuple[Any, Path]) -> None:
    _, out = demo
    truth = {row["well"]: row["doubling_time_h"] for row in rows(out / "culture" / "truth.csv")}
    fits = {row["series"]: row for row in rows(out / "fits.csv")}
    assert set(fits) == set(truth)
    assert {bool(value) for value in truth.values()} == {True, False}, "one well does not grow"
    for well, value in truth.items():
        fit = fits[well]
        if not value:
            assert (fit["doubling_time_h"], fit["lower"], fit["upper"]) == ("", "", ""), well
            assert fit["verdict"]
            continue
        true, found = float(value), float(fit["doubling_time_h"])
        assert abs(found / true - 1) <= 0.10, f"{well}: {found:.1f} h, simulated {true:.1f} h"
        assert float(fit["lower"]) <= true <= float(fit["upper"]), well


def test_masks_are_those_of_the_simulation(demo: tuple[Any, Path]) -> None:
    _, out = demo
    scores = defaultdict(list)
    for row in rows(out / "culture" / "truth.csv"):
        name = f"{Path(row['image']).stem}.png"
        true = np.asarray(Image.open(out / "culture" / "masks" / name)) > 0
        found = np.asarray(Image.open(out / "segmentation" / "masks" / name)) > 0
        scores[row["well"]].append(2 * (true & found).sum() / (true.sum() + found.sum()))
    for well, values in scores.items():
        assert np.mean(values) >= 0.85, f"{well}: Dice {np.mean(values):.3f}"


def test_the_report_is_there_and_says_what_was_found(demo: tuple[Any, Path]) -> None:
    result, out = demo
    assert result.stdout.splitlines()[-1] == f"Report: {out / 'report.html'}"
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/" in report
    for row in rows(out / "fits.csv"):
        assert row["series"] in report
        assert row["verdict"] in report
    manifest = json.loads((out / "segmentation" / "manifest.json").read_text())
    assert manifest["model"]["name"] == DEFAULT_MODEL


def test_an_empty_field_is_empty(embedded: Path, run_c6seg: Any, without_torch: str, tmp_path: Path) -> None:
    folder = tmp_path / "fields"
    folder.mkdir()
    for seed in range(6):
        style = SceneStyle.random(np.random.default_rng(seed))
        picture = simulate_image(
            size_hw=(384, 512), seed=seed, style=replace(style, region_fraction=0.0, scatter=0.0, floaters=0.0)
        )
        assert not picture.labels.any()
        write_png(folder / f"field{seed}.png", picture.pixels)
    out = tmp_path / "out"
    result = run_c6seg("segment", folder, "--out", out, folder=tmp_path, start=without_torch)
    assert result.returncode == 0, result.stderr
    for row in rows(out / "measurements.csv"):
        assert float(row["confluence"]) < 0.005, row
        assert "empty_field" in row["flags"].split(), row


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _can_leave_the_network() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0
