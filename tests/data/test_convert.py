"""Any layout to images/ + masks/ + dataset.csv, and back: nothing is lost."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.data import convert
from c6seg.data.checks import check_dataset
from c6seg.data.convert import COLUMNS, convert_dataset
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.data.splits import read_splits, select_text
from c6seg.errors import OutputError, UsageError


def test_real_livecell_comes_out_the_same(shared_data: Path, tmp_path: Path) -> None:
    source = open_dataset(shared_data / "livecell")
    result = convert_dataset(source, tmp_path / "out")
    assert (len(result.written), len(result.unannotated), result.failures) == (13, 32, ())
    there = open_dataset(tmp_path / "out")
    assert (there.layout, there.notes, len(there.items)) == ("folders", (), 13)
    before = {item.name: item for item in source.items}
    for item in there.items:
        old = before[item.name]
        assert item.annotation is not None
        assert old.annotation is not None
        np.testing.assert_array_equal(item.annotation.labels((520, 704)), old.annotation.labels((520, 704)))
        assert item.image.read_bytes() == old.image.read_bytes()
        assert item.group == old.group
    division = read_splits(tmp_path / "out" / "splits.json", names=[item.name for item in there.items])[0]
    assert (division.name, len(division.train), len(division.val), len(division.test)) == ("original", 0, 5, 8)
    test = select_text(there, f"{tmp_path / 'out' / 'splits.json'}:original")
    assert {item.name for item in test} == {item.name for item in source.items if item.split == "test"}
    assert {finding.rule for finding in check_dataset(there)} == {"missing_pixel_size"}


def test_real_t98g_keeps_pixel_size_and_table(shared_data: Path, tmp_path: Path) -> None:
    source = open_dataset(shared_data / "t98g")
    few = type(source)(source.root, source.layout, source.items[:3])
    result = convert_dataset(few, tmp_path / "out")
    assert result.written == tuple(item.name for item in few.items)
    with (tmp_path / "out" / "dataset.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    with (shared_data / "t98g" / "dataset.csv").open(newline="", encoding="utf-8") as file:
        known = {row["name"]: row for row in csv.DictReader(file)}
    for row in rows:
        theirs = known[row["name"]]
        assert row["cells"] == theirs["cells"]
        assert float(row["covered_fraction"]) == pytest.approx(float(theirs["covered_fraction"]), abs=6e-4)
        diameter = float(theirs["median_equivalent_diameter_px"])
        assert float(row["median_equivalent_diameter_px"]) == pytest.approx(diameter, abs=0.06)
        assert row["group"] == theirs["size_group"]
        assert float(row["pixel_size_um"]) == pytest.approx(0.8708, abs=1e-4)
        assert read_image(tmp_path / "out" / row["image"]).pixel_size_um == pytest.approx(float(row["pixel_size_um"]))
    assert not (tmp_path / "out" / "splits.json").exists()


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A TIFF of three frames with three masks, and a plain PNG pair."""
    root = tmp_path / "series"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4096, (3, 40, 50)).astype(np.uint16)
    masks = np.zeros((3, 40, 50), np.uint16)
    for index in range(3):
        masks[index, 5:15, 5 : 20 + index] = 1
        masks[index, 20:30, 10:30] = 2
    tifffile.imwrite(
        root / "images" / "s.tif", frames, photometric="minisblack", resolution=(8000, 8000), resolutionunit=3
    )
    tifffile.imwrite(root / "masks" / "s.tif", masks, photometric="minisblack")
    Image.fromarray(rng.integers(0, 255, (40, 50, 3)).astype(np.uint8)).save(root / "images" / "p.png")
    Image.fromarray(masks[0].astype(np.uint8)).save(root / "masks" / "p.png")
    return root


def test_frames_of_a_series_become_files_with_the_same_values(series: Path, tmp_path: Path) -> None:
    result = convert_dataset(series, tmp_path / "out")
    assert len(result.written) == 4
    frames = tifffile.imread(series / "images" / "s.tif")
    images = sorted((tmp_path / "out" / "images").glob("s*.tif"))
    assert len(images) == 3
    for image, frame in zip(images, frames, strict=True):
        read = read_image(image)
        np.testing.assert_array_equal(read.pixels, frame)
        assert read.pixel_size_um == pytest.approx(1.25)
    png = tmp_path / "out" / "images" / "p.png"
    assert png.read_bytes() == (series / "images" / "p.png").read_bytes()
    for item in open_dataset(tmp_path / "out").items:
        assert item.annotation is not None
        assert item.annotation.labels((40, 50)).max() == 2


def test_bad_items_cost_themselves_only(series: Path, tmp_path: Path) -> None:
    (series / "images" / "p.png").write_bytes(b"no picture at all")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(series / "images" / "small.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(series / "masks" / "small.png")
    result = convert_dataset(series, tmp_path / "out")
    assert {name for name, _ in result.failures} == {"p", "small"}
    assert len(result.written) == 3
    assert not list((tmp_path / "out").glob("*/p.*"))
    assert not list((tmp_path / "out").glob("*/small.*"))


def test_more_objects_than_16_bits_go_into_a_32_bit_tiff(tmp_path: Path) -> None:
    labels = np.zeros((520, 520), np.uint32)
    labels[::2, ::2] = np.arange(1, 260 * 260 + 1).reshape(260, 260)
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    tifffile.imwrite(tmp_path / "in" / "masks" / "a.tif", labels)
    tifffile.imwrite(
        tmp_path / "in" / "images" / "a.tif", np.random.default_rng(0).integers(0, 9, (520, 520), np.uint8)
    )
    convert_dataset(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "masks" / "a.tif"), labels)


def test_overlapping_outlines_keep_their_union(tmp_path: Path) -> None:
    root = tmp_path / "coco"
    root.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)).save(root / "a.png")
    shapes = [[5, 5, 30, 5, 30, 30, 5, 30], [20, 20, 35, 20, 35, 35, 20, 35]]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "segmentation": [shape]} for n, shape in enumerate(shapes)
        ],
    }
    (root / "a.json").write_text(json.dumps(content), encoding="utf-8")
    convert_dataset(root, tmp_path / "out")
    labels = np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))
    assert labels.max() == 2
    assert (labels > 0).sum() == 25 * 25 + 15 * 15 - 10 * 10
    assert labels[25, 25] == 2  # the smaller object is on top


def test_a_folder_with_something_in_it_is_not_written_into(series: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty"):
        convert_dataset(series, tmp_path / "out")
    assert len(convert_dataset(series, tmp_path / "out", force=True).written) == 4
    assert (tmp_path / "out" / "mine.txt").read_text(encoding="utf-8") == "keep"


def test_a_full_disk_stops_with_words_and_leaves_no_half_file(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, labels: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(convert, "_write_labels", full)
    with pytest.raises(OutputError, match="disk is full"):
        convert_dataset(series, tmp_path / "out")
    assert list((tmp_path / "out" / "masks").iterdir()) == []
