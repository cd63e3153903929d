"""Shapes of "CVAT for images" are drawn where CVAT shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from c6seg.data.annotations import Shape, Shapes
from c6seg.data.cvat import ellipse, read_cvat_xml

SIZE_HW = (40, 50)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))


def cvat(path: Path, *nodes: str) -> tuple[Shapes, list[str]]:
    size = f'width="{SIZE_HW[1]}" height="{SIZE_HW[0]}"'
    path.write_text(f'<annotations><image id="4" name="a.png" {size}>{"".join(nodes)}</image></annotations>')
    (image,), faults, _ = read_cvat_xml(path)
    return image.shapes, [fault.kind for fault in faults]


def test_cvat_rotated_box(tmp_path: Path) -> None:
    turned = '<box label="cell" xtl="10" ytl="15" xbr="30" ybr="19" rotation="90.0"></box>'
    annotation, faults = cvat(tmp_path / "a.xml", turned)
    rows, columns = np.nonzero(annotation.mask(SIZE_HW))
    assert faults == []
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (7, 27, 18, 22)


def test_cvat_rotation_is_clockwise(tmp_path: Path) -> None:
    node = '<ellipse label="cell" cx="25" cy="20" rx="15" ry="3" rotation="45"></ellipse>'
    annotation, _ = cvat(tmp_path / "a.xml", node)
    mask = annotation.mask(SIZE_HW)
    assert mask[28, 33]  # the right end goes down
    assert not mask[12, 33]


@pytest.mark.parametrize("degrees", [0.0, 30.0, 217.0])
def test_ellipse_has_its_area_and_place(degrees: float) -> None:
    outline = ellipse((25.0, 20.0), (15.0, 6.0), degrees)
    mask = Shapes((Shape((outline,)),), SIZE_HW, Path("a.xml")).mask(SIZE_HW)
    rows, columns = np.nonzero(mask)
    assert mask.sum() == pytest.approx(np.pi * 15 * 6, rel=0.02)
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((20, 25), abs=0.15)


@QUICK
@given(mask=MASKS, left=st.integers(0, 9), top=st.integers(0, 9))
def test_cvat_mask_runs(mask: np.ndarray, left: int, top: int, tmp_path: Path) -> None:
    flat = mask.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(int)))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
    height, width = mask.shape
    text = ", ".join(str(run) for run in runs)
    node = f'<mask label="cell" rle="{text}" left="{left}" top="{top}" width="{width}" height="{height}"></mask>'
    annotation, faults = cvat(tmp_path / "a.xml", node)
    expected = np.zeros(SIZE_HW, dtype=bool)
    expected[top : top + height, left : left + width] = mask
    assert faults == []
    assert np.array_equal(annotation.mask(SIZE_HW), expected)


def test_cvat_shapes_that_are_no_cells_are_named(tmp_path: Path) -> None:
    annotation, faults = cvat(
        tmp_path / "a.xml",
        '<polyline label="cell" points="1,1;2,2"/>',
        '<points label="cell" points="1,1"/>',
        '<polygon label="cell" points="1,1;2,x;3,3"/>',
        '<mask label="cell" rle="1, 2" left="0" top="0" width="9" height="9"/>',
        '<mask label="cell" rle="4" left="48" top="0" width="4" height="1"/>',
        '<box label="cell" xtl="1"/>',
        '<ellipse label="cell" cx="1" cy="1" rx="-3" ry="nan"/>',
        '<tag label="good"/>',
        '<polygon label="cell" points="1,1;9,1;9,9;1,9"/>',
    )
    assert faults == ["not_an_area"] * 2 + ["bad_shape"] * 5
    assert [shape.kind for shape in annotation.shapes] == ["polygon"]
    assert annotation.mask(SIZE_HW).sum() == 64


def test_cvat_labels_of_parts_stay_out(tmp_path: Path) -> None:
    annotation, _ = cvat(
        tmp_path / "a.xml",
        '<polygon label="cell" points="1,1;9,1;9,9;1,9"/>',
        '<polygon label="soma" points="20,1;29,1;29,9;20,9"/>',
    )
    assert annotation.mask(SIZE_HW).sum() == 64
    assert [shape.category for shape in annotation.parts] == ["soma"]
