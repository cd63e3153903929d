"""What the manifest says of the model's calibration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from c6seg.inference.segmenter import Segmenter
from c6seg.inference.tables import BatchResult, write_tables
from c6seg.models.bundle import Calibration, copy_bundle, open_bundle


@pytest.mark.parametrize("measured", [True, False])
def test_the_manifest_says_how_far_confluence_is_off(tiny_bundle: Path, tmp_path: Path, measured: bool) -> None:
    bundle = open_bundle(shutil.copytree(tiny_bundle, tmp_path / "model"))
    if measured:
        calibration = Calibration(
            confluence_sd_arcsine=0.05,
            confluence_bias_arcsine=-0.01,
            confluence_mae=0.031,
            images=12,
            data=("a", "b"),
            note="not for the manifest",
        )
        bundle = copy_bundle(bundle, bundle.path, calibration=calibration, replace=True)
    write_tables(BatchResult(tmp_path / "out"), Segmenter(bundle), seconds=1, recursive=False)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    expected = {
        "confluence_sd_arcsine": 0.05,
        "confluence_bias_arcsine": -0.01,
        "confluence_mae": 0.031,
        "images": 12,
        "data": ["a", "b"],
    }
    assert manifest["model"]["calibration"] == (expected if measured else None)
