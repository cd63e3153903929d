"""Outlines and run lengths of COCO files become the cells that they mean."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycoco

from c6seg.data.annotations import Rle, Shape, Shapes, decode_counts, encode_mask, shape_rle
from c6seg.data.coco import cell_parts, read_coco
from c6seg.errors import AnnotationError

SIZE_HW = (40, 50)
MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def shapes(*given: Shape, size_hw: tuple[int, int] | None = SIZE_HW) -> Shapes:
    return Shapes(given, size_hw, Path("a.json"), "1")


def coco_json(path: Path, segmentation: Any, *, size_hw: tuple[int, int] = SIZE_HW, **more: Any) -> Shapes:
    """Write one object of one image as COCO and read it back."""
    content = {
        "images": [{"id": "img-1", "file_name": "a.png", "height": size_hw[0], "width": size_hw[1]}],
        "annotations": [{"id": 1, "image_id": "img-1", "category_id": 1, "segmentation": segmentation, **more}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    path.write_text(json.dumps(content))
    (image,), _, _ = read_coco(path)
    return image.shapes


@QUICK
@given(mask=MASKS, compressed=st.booleans())
def test_coco_there_and_back(mask: np.ndarray, compressed: bool, tmp_path: Path) -> None:
    rle = encode_mask(mask)
    if not compressed:
        rle["counts"] = list(decode_counts(rle["counts"]))
    back = coco_json(tmp_path / "a.json", rle, size_hw=mask.shape, iscrowd=int(not compressed))
    assert np.array_equal(back.mask(mask.shape), mask)
    assert back.labels(mask.shape).max() == int(mask.any())


@QUICK
@given(mask=hnp.arrays(bool, (60, 70)))
def test_counts_agree_with_pycocotools(mask: np.ndarray) -> None:
    counts = decode_counts(encode_mask(mask)["counts"])
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    changes = np.flatnonzero(np.diff(flat.astype(int)))
    assert np.cumsum(counts)[:-1].tolist() == changes.tolist()
    assert sum(counts) == mask.size


def test_polygons_with_whole_corners_are_exact() -> None:
    mask = shapes(Shape((box(3, 4, 10, 9),))).mask(SIZE_HW)
    expected = np.zeros(SIZE_HW, dtype=bool)
    expected[4:9, 3:10] = True
    assert np.array_equal(mask, expected)


def test_touching_cells_stay_separate_and_parts_stay_together() -> None:
    annotation = shapes(
        Shape((box(0, 0, 10, 10),)), Shape((box(10, 0, 20, 10),)), Shape((box(0, 20, 5, 25), box(30, 20, 35, 25)))
    )
    labels = annotation.labels(SIZE_HW)
    assert labels.dtype == np.int32
    assert [int((labels == number).sum()) for number in (1, 2, 3)] == [100, 100, 50]
    assert np.array_equal(labels > 0, annotation.mask(SIZE_HW))


def test_where_cells_overlap_the_smaller_is_on_top_and_numbers_have_no_gaps() -> None:
    small, large = Shape((box(5, 5, 8, 8),)), Shape((box(0, 0, 20, 20),))
    for order in ((small, large), (large, small)):
        labels = shapes(*order).labels(SIZE_HW)
        assert (labels == labels[6, 6]).sum() == 9
        assert (labels > 0).sum() == 400
    doubled = shapes(large, large, small).labels(SIZE_HW)  # LIVECell has doubled contours
    assert np.unique(doubled).tolist() == [0, 1, 2]


def test_holes_by_run_lengths(tmp_path: Path) -> None:
    ring = np.zeros(SIZE_HW, dtype=bool)
    ring[5:20, 5:20] = True
    ring[10:15, 10:15] = False
    annotation = coco_json(tmp_path / "a.json", encode_mask(ring))
    assert np.array_equal(annotation.mask(SIZE_HW), ring)
    assert annotation.labels(SIZE_HW).max() == 1


def test_crowd_is_one_object_and_in_the_union(tmp_path: Path) -> None:
    two = np.zeros(SIZE_HW, dtype=bool)
    two[2:5, 2:5] = two[20:30, 20:30] = True
    annotation = coco_json(tmp_path / "a.json", encode_mask(two), iscrowd=1)
    assert annotation.shapes[0].crowd
    assert np.array_equal(annotation.mask(SIZE_HW), two)
    assert annotation.labels(SIZE_HW).max() == 1


@pytest.mark.parametrize("ids", [(7, "7"), ("7", 7), (7.0, 7), ("a-b", "a-b")])
def test_ids_as_text_or_number(ids: tuple[Any, Any], tmp_path: Path) -> None:
    content = {
        "images": [{"id": ids[0], "file_name": "a.png"}],
        "annotations": [{"id": "x", "image_id": ids[1], "segmentation": [[0, 0, 4, 0, 4, 4]]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (image,), faults, _ = read_coco(tmp_path / "a.json")
    assert (len(image.shapes.shapes), faults) == (1, [])
    assert image.shapes.size_hw is None  # no size given, so any image fits


def test_image_without_annotation_is_an_empty_mask(tmp_path: Path, examples: ModuleType) -> None:
    content = examples.coco({1: "a.png", 2: "b.png"})
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] == 1]
    examples.write_json(tmp_path / "a.json", content)
    images, faults, _ = read_coco(tmp_path / "a.json")
    empty = images[1].shapes
    assert (empty.shapes, faults) == ((), [])
    assert not empty.mask(examples.SIZE_HW).any()
    assert empty.labels(examples.SIZE_HW).max() == 0


def test_faults_of_a_coco_file_are_named(tmp_path: Path, examples: ModuleType) -> None:
    content = examples.coco({1: "a.png"})
    content["images"].append({"id": 1, "file_name": "b.png"})
    rows = [
        {"id": 90, "image_id": 5, "segmentation": [[0, 0, 4, 0, 4, 4]]},
        {"id": 91, "image_id": 1, "segmentation": [[0, 0, 4, 0, 4]]},
        {"id": 92, "image_id": 1, "segmentation": []},
        {"id": 93, "image_id": 1, "segmentation": [], "bbox": [2, 3, 4, 5]},
        {"id": 94, "image_id": 1, "segmentation": {"size": [48, 64], "counts": "\x01\x02"}},
        {"id": 95, "image_id": 1, "segmentation": {"counts": [1]}},
        {"id": 96, "image_id": 1, "segmentation": [["x", "y"]]},
    ]
    content["annotations"] = rows
    examples.write_json(tmp_path / "a.json", content)
    (image,), faults, _ = read_coco(tmp_path / "a.json")
    kinds = [(fault.kind, fault.detail.split()[1]) for fault in faults]
    assert kinds == [
        ("duplicate_id", "1"), ("unknown_image", "90"), ("bad_shape", "91"), ("bad_shape", "92"), ("box_only", "93"),
        ("bad_shape", "94"), ("bad_shape", "95"), ("bad_shape", "96"),
    ]  # fmt: skip
    (drawn,) = image.shapes.shapes
    assert (drawn.kind, drawn.ident) == ("box", "93")
    assert image.shapes.mask(examples.SIZE_HW).sum() == 20


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"images": [{}], "annotations": []}', '{"images": 3}', "{", "\x00"])
def test_files_that_are_no_coco_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"a\.json' is no COCO file") as error:
        read_coco(tmp_path / "a.json")
    assert "\n" not in str(error.value)


def test_shapes_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(AnnotationError, match="made for 50x40, but the image is 60x40"):
        shapes(Shape((box(0, 0, 4, 4),))).mask((40, 60))
    rle = Shape(rle=Rle((3, 3), (9,)))
    with pytest.raises(AnnotationError, match="made for 3x3"):
        shapes(rle, size_hw=None).labels(SIZE_HW)


@pytest.mark.parametrize("counts", [(5,), (10, 10_000_000), (-5, 2005), ()])
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(AnnotationError, match=r"run-length code covers .* object|run-length code covers"):
        shapes(Shape(rle=Rle(SIZE_HW, counts))).mask(SIZE_HW)


@pytest.mark.parametrize("corner", [1e12, -1e12, np.nan, np.inf])
def test_corners_far_outside_are_refused(corner: float) -> None:
    polygon = box(0, 0, 4, 4)
    polygon[2, 1] = corner
    with pytest.raises(AnnotationError, match="far outside"):
        shapes(Shape((polygon,))).mask(SIZE_HW)


def test_shapes_partly_outside_are_cut_at_the_border() -> None:
    mask = shapes(Shape((box(-10, -10, 5, 5),)), Shape((box(45, 35, 80, 80),))).mask(SIZE_HW)
    expected = np.zeros(SIZE_HW, dtype=bool)
    expected[:5, :5] = expected[35:, 45:] = True
    assert np.array_equal(mask, expected)


def test_two_corners_enclose_nothing() -> None:
    assert shape_rle(Shape((np.array([[1.0, 1.0], [20.0, 20.0]]),)), SIZE_HW) is None
    assert not shapes(Shape((np.array([[1.0, 1.0], [20.0, 20.0]]),))).mask(SIZE_HW).any()


@QUICK
@given(text=st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=40))
def test_any_text_as_counts_gives_numbers_or_words(text: str) -> None:
    try:
        counts = decode_counts(text)
    except AnnotationError:
        return
    assert all(isinstance(count, int) for count in counts)


def test_names_of_parts() -> None:
    assert cell_parts([("Cell", ""), ("Nucleus", ""), ("cell soma", "")]) == {"Nucleus", "cell soma"}
    assert cell_parts([("A549", ""), ("A549_Nucl", "")]) == {"A549_Nucl"}
    assert cell_parts([("chromosoma", ""), ("cell", "")]) == frozenset()
    assert cell_parts([("soma", "cell_part")]) == {"soma"}


def test_real_polygons_agree_with_pycocotools_alone(shared_data: Path) -> None:
    path = shared_data / "livecell" / "annotations" / "livecell_coco_test.json"
    content = json.loads(path.read_text())
    images, faults, _ = read_coco(path)
    assert faults == []
    for image, raw in list(zip(images, content["images"], strict=True))[:3]:
        rows = [row for row in content["annotations"] if row["image_id"] == raw["id"]]
        union = np.zeros((520, 704), dtype=bool)
        for row in rows:
            union |= pycoco.decode(pycoco.merge(pycoco.frPyObjects(row["segmentation"], 520, 704))).astype(bool)
        assert np.array_equal(image.shapes.mask((520, 704)), union)
        assert len(image.shapes.shapes) == len(rows)
