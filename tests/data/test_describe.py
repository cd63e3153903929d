"""The data sheet, against what is known about real sets and about a drawn one."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.data.datasets import open_dataset
from c6seg.data.describe import describe_dataset


def test_real_t98g_agrees_with_its_own_table(shared_data: Path) -> None:
    source = open_dataset(shared_data / "t98g")
    few = type(source)(source.root, source.layout, source.items[::5])
    sheet = describe_dataset(few)
    assert (sheet.images, sheet.annotated, sheet.unreadable) == (7, 7, 0)
    assert (sheet.sizes, sheet.channels, sheet.dtypes) == ({"1024x1022": 7}, {"grey": 7}, {"uint16": 7})
    assert sheet.pixel_sizes_um == {"0.8708": 7}
    with (shared_data / "t98g" / "dataset.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] in {item.name for item in few.items}]
    assert sheet.objects == sum(int(row["cells"]) for row in rows)
    covered = [float(row["covered_fraction"]) for row in rows]
    assert sheet.covered_fraction is not None
    assert sheet.covered_fraction.median == pytest.approx(np.median(covered), abs=1e-3)
    assert sheet.diameter_px is not None
    assert sheet.diameter_um is not None
    assert sheet.diameter_um.median == pytest.approx(sheet.diameter_px.median * 0.8708, rel=1e-3)
    assert sum(sheet.groups.values()) == 7


def test_real_livecell_is_table_6(shared_data: Path) -> None:
    sheet = describe_dataset(shared_data / "livecell")
    assert sheet.modality == "phase contrast, live cells"
    assert (sheet.channels, sheet.sizes) == ({"grey": 45}, {"704x520": 45})
    assert (sheet.images, sheet.annotated, sheet.objects) == (45, 13, 2776)
    assert sheet.pixel_sizes_um == {"unknown": 45}
    assert sheet.diameter_um is None
    assert sheet.splits == {"test": 8, "val": 5}
    words = dict(sheet.rows())
    assert words["equivalent diameter, um"] == "unknown"
    assert words["splits"] == "test (8), val (5)"


def test_drawn_set(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 60), np.uint8)
    mask[2:12, 2:12], mask[20:40, 20:40] = 1, 2
    for name in ("a", "b"):
        colour = rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", colour, photometric="rgb")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "images" / "c.tif").write_bytes(b"II*\0")
    sheet = describe_dataset(tmp_path)
    assert (sheet.images, sheet.unreadable, sheet.objects) == (3, 1, 4)
    assert sheet.channels == {"RGB": 2}
    assert sheet.diameter_px is not None
    assert sheet.covered_fraction is not None
    assert sheet.diameter_px.mean == pytest.approx((10 + 20) * math.sqrt(4 / math.pi) / 2)
    assert sheet.covered_fraction.median == pytest.approx(500 / 2400)
    assert json.loads(json.dumps(sheet.as_dict()))["objects_per_image"]["median"] == 2
    assert ("modality", "not stated in the files") in sheet.rows()


def test_overlapping_cells_keep_their_own_size(tmp_path: Path) -> None:
    """Outlines overlap by design in Glioma C6: each object is as large as its outline; crowds are no objects."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)).save(tmp_path / "a.png")
    square = [5, 5, 25, 5, 25, 25, 5, 25]
    shapes = [(square, 0), (square, 0), ([30, 5, 45, 5, 45, 35, 30, 35], 1)]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "segmentation": [shape], "iscrowd": crowd}
            for n, (shape, crowd) in enumerate(shapes)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    sheet = describe_dataset(tmp_path)
    assert sheet.objects == 2
    assert sheet.diameter_px is not None
    assert sheet.diameter_px.low == sheet.diameter_px.high == pytest.approx(20 * math.sqrt(4 / math.pi))
    assert sheet.covered_fraction is not None
    assert sheet.covered_fraction.median == pytest.approx((400 + 450) / 2000)
