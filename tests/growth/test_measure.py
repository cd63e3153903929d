from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c6seg.errors import DataError
from c6seg.growth.measure import (
    Measurement,
    cell_area_um2,
    confluence,
    fits_image,
    read_measurements,
    size_notes,
)

MASK = np.zeros((20, 30), bool)
MASK[:10, :15] = True


def test_confluence_and_area_of_the_whole_and_of_a_part() -> None:
    part = np.zeros_like(MASK)
    part[:, :15] = True
    assert confluence(MASK) == 150 / 600
    assert confluence(MASK, analysed=part) == 150 / 300
    assert cell_area_um2(MASK, pixel_size_um=2.0) == 150 * 4
    assert cell_area_um2(MASK, pixel_size_um=2.0, analysed=~part) == 0


def test_unknown_is_never_a_number() -> None:
    assert cell_area_um2(MASK, pixel_size_um=None) is None
    assert math.isnan(confluence(MASK, analysed=np.zeros_like(MASK)))


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(Y, X\) bool"):
        confluence(MASK.astype(np.uint8))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one shape"):
        confluence(MASK, analysed=np.ones((2, 2), bool))
    with pytest.raises(DataError, match="positive"):
        cell_area_um2(MASK, pixel_size_um=0.0)


def test_table_is_read_with_unknowns_as_none(tmp_path: Path) -> None:
    path = tmp_path / "measurements.csv"
    path.write_text("image,frame,time_h,well,confluence,flags\na,0,,A1,0.5,empty_field scale_unknown\nb,1,2.5,,,\n")
    (first, second), _ = read_measurements(path)
    assert (first.image, first.well, first.time_h, first.confluence) == ("a", "A1", None, 0.5)
    assert first.flags == ("empty_field", "scale_unknown")
    assert (second.frame, second.time_h, second.confluence, second.well) == (1, 2.5, None, None)


def test_every_column_of_the_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "measurements.csv"
    head = "width_px,height_px,pixel_size_um,cluster_fraction,object_count,mean_object_area_um2,uncertainty,sha256"
    path.write_text(f"image,confluence,{head}\na,0.5,640,480,0.65,0.1,12,801.5,0.03,f00d\nb,0.5,,,,,,,,\n")
    (first, second), _ = read_measurements(path)
    assert (first.width_px, first.height_px, first.object_count) == (640, 480, 12)
    assert (first.pixel_size_um, first.cluster_fraction, first.mean_object_area_um2) == (0.65, 0.1, 801.5)
    assert (first.uncertainty, first.sha256) == (0.03, "f00d")
    assert second == Measurement("b", confluence=0.5)


def test_an_area_larger_than_the_image_does_not_fit() -> None:
    row = Measurement("a", confluence=0.5, cell_area_um2=4000.0, width_px=100, height_px=80, pixel_size_um=1.0)
    assert fits_image(row)
    assert fits_image(replace(row, cell_area_um2=2000.0))  # half of the image was analysed
    assert not fits_image(replace(row, cell_area_um2=4100.0))
    assert not fits_image(replace(row, width_px=50))
    assert fits_image(replace(row, width_px=None))
    assert fits_image(Measurement("a", confluence=0.0, cell_area_um2=0.0, width_px=9, height_px=9, pixel_size_um=1.0))


def test_images_that_differ_from_the_others_are_named() -> None:
    rows = [Measurement(name, width_px=100, height_px=80, pixel_size_um=0.5) for name in "abcd"]
    assert size_notes(rows) == ()
    assert size_notes([Measurement("a"), Measurement("b")]) == ()
    (note,) = size_notes([*rows, replace(rows[0], image="e", width_px=50)])
    assert "1 image is of another size than the others, 100x80 px (e: 50x80)" in note
    (note,) = size_notes([*rows, replace(rows[0], image="e", pixel_size_um=1.0)])
    assert "pixel size changes from 0.5 to 1 um" in note
    (note,) = size_notes([*rows, replace(rows[0], image="e", pixel_size_um=None)])
    assert "1 image is without a pixel size" in note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,frame\na,0\n", "no column 'confluence'"),
        ("", "no column 'image' and no column 'confluence'"),
        ("image,confluence\n", "no rows"),
        ("image,confluence\na,many\n", "line 2: confluence is 'many'"),
        ("image,confluence\n,0.5\n", "line 2: the column 'image' is empty"),
    ],
)
def test_bad_table_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "measurements.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_measurements(path)


def test_missing_and_binary_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read"):
        read_measurements(tmp_path / "nothing.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x81image")
    with pytest.raises(DataError, match="Cannot read"):
        read_measurements(tmp_path / "b.csv")
