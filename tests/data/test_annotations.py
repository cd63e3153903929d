"""Shapes and mask files of every kind give the same cells; what is no mask is refused with words."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as pycoco

from c6seg.data.annotations import MaskFile, ObjectMasks, Rle, Shape, Shapes, decode_counts, encode_mask, shape_rle
from c6seg.data.coco import cell_parts, read_coco
from c6seg.data.cvat import ellipse, read_cvat_xml
from c6seg.data.masks import labels_from_values
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


# ---- COCO -----------------------------------------------------------------------------------------------------------


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


# ---- CVAT -----------------------------------------------------------------------------------------------------------


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
    mask = shapes(Shape((ellipse((25.0, 20.0), (15.0, 6.0), degrees),))).mask(SIZE_HW)
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


# ---- mask files -----------------------------------------------------------------------------------------------------

TRUTH = np.zeros(SIZE_HW, dtype=bool)
TRUTH[5:15, 5:20] = TRUTH[25:38, 30:45] = True


def write(path: Path, values: np.ndarray, **options: Any) -> MaskFile:
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="minisblack", **options)
    else:
        Image.fromarray(values).save(path, **options)
    return MaskFile(path)


def rgb(mask: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return mask[..., None] * np.array(colour, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("m.png", TRUTH),
        ("m.png", TRUTH.astype(np.uint8)),
        ("m.png", TRUTH * np.uint8(255)),
        ("m.png", TRUTH * np.uint8(7)),
        ("m.png", TRUTH * np.uint16(65535)),
        ("m.bmp", TRUTH * np.uint8(255)),
        ("m.tif", TRUTH * np.uint8(255)),
        ("m.tif", TRUTH.astype(np.float32)),
        ("m.tif", TRUTH.astype(np.int32) * -(2**31) // -(2**31)),
        ("m.png", rgb(TRUTH, (255, 255, 255))),
        ("m.png", rgb(TRUTH, (255, 0, 0))),
        ("m.png", np.dstack([rgb(TRUTH, (255, 255, 255)), np.full(SIZE_HW, 255, np.uint8)])),
        ("m.png", np.dstack([np.zeros((*SIZE_HW, 3), np.uint8), TRUTH * np.uint8(255)])),
        ("m.png", np.dstack([TRUTH * np.uint8(255), np.full(SIZE_HW, 255, np.uint8)])),
    ],
)
def test_binary_masks(name: str, values: np.ndarray, tmp_path: Path) -> None:
    annotation = write(tmp_path / name, values)
    assert annotation.size_hw == SIZE_HW
    assert np.array_equal(annotation.mask(SIZE_HW), TRUTH)
    assert annotation.labels(SIZE_HW).max() == 2  # the connected parts


@pytest.mark.parametrize("quality", [30, 60, 95])
@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_noise_is_cut_at_the_middle(quality: int, colour: bool, tmp_path: Path) -> None:
    values = rgb(TRUTH, (255, 255, 255)) if colour else TRUTH * np.uint8(255)
    annotation = write(tmp_path / "m.jpg", values, quality=quality)
    stored = np.asarray(Image.open(tmp_path / "m.jpg").convert("L"))
    assert len(np.unique(stored)) > 2
    mask = annotation.mask(SIZE_HW)
    assert 2 * (mask & TRUTH).sum() / (mask.sum() + TRUTH.sum()) > 0.98


def test_smoothed_edges_are_cut_at_the_middle(tmp_path: Path) -> None:
    large = np.kron(TRUTH, np.ones((8, 8))).astype(np.uint8) * 255
    small = Image.fromarray(large).resize((131, 97), Image.Resampling.BILINEAR)
    mask = write(tmp_path / "m.png", np.asarray(small)).mask((97, 131))
    assert mask.mean() == pytest.approx(TRUTH.mean(), abs=0.01)


@QUICK
@given(
    labels=hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, 6)),
    factor=st.integers(1, 40),
    kind=st.sampled_from(["uint8", "uint16", "uint32", "float32", "int32", "rgb"]),
)
def test_label_map_round_trip(labels: np.ndarray, factor: int, kind: str, tmp_path: Path) -> None:
    labels[0, 0], labels[0, 1:3] = 0, (1, 2)  # background and two objects, so that it is no binary mask
    labels = np.kron(labels, np.ones((4, 4), dtype=np.uint8))
    stored: np.ndarray = labels * np.uint8(factor)
    if kind == "rgb":
        stored = np.dstack([stored, labels, labels[::-1, ::-1] * 0])
    suffix = "png" if kind in {"uint8", "uint16", "rgb"} else "tif"
    values = stored if kind == "rgb" else stored.astype(kind)
    found = write(tmp_path / f"m.{suffix}", values).labels(labels.shape)
    present, dense = np.unique(labels, return_inverse=True)
    assert np.array_equal(found, dense.reshape(labels.shape))
    assert found.max() == present.size - 1


def test_label_maps_with_large_numbers(tmp_path: Path) -> None:
    values = np.zeros(SIZE_HW, dtype=np.uint32)
    values[:5, :5], values[10:15, :5], values[20:25, :5] = 5, 70_000, 4_000_000_000
    labels = write(tmp_path / "m.tif", values).labels(SIZE_HW)
    assert [int(labels[row, 0]) for row in (0, 10, 20)] == [1, 2, 3]


def test_label_map_in_a_palette(tmp_path: Path) -> None:
    image = Image.fromarray(TRUTH.astype(np.uint8) + (np.arange(50) > 25))
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.save(tmp_path / "m.png")
    labels = MaskFile(tmp_path / "m.png").labels(SIZE_HW)
    assert np.array_equal(labels, TRUTH.astype(np.uint8) + (np.arange(50) > 25))


def test_empty_and_full_masks(tmp_path: Path) -> None:
    assert not write(tmp_path / "a.png", np.zeros(SIZE_HW, np.uint8)).mask(SIZE_HW).any()
    assert write(tmp_path / "b.png", np.full(SIZE_HW, 255, np.uint8)).mask(SIZE_HW).all()


NOISE = np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("m.png", NOISE, "looks like a photograph"),
        ("m.png", np.random.default_rng(0).normal(1e4, 300, SIZE_HW).astype(np.uint16), "looks like a photograph"),
        ("m.jpg", NOISE, "is a JPEG with"),
        ("m.jpg", TRUTH * np.uint8(1) + np.uint8(2), "is a JPEG with"),
        ("m.tif", NOISE / 255, "no whole numbers"),
        ("m.tif", np.where(TRUTH, np.nan, 0.0), "no whole numbers"),
        ("m.tif", TRUTH.astype(np.int16) * -1, "negative"),
        ("m.png", np.where(TRUTH, np.uint8(2), np.uint8(1)), "neither of them 0"),
        ("m.png", rgb(TRUTH, (200, 0, 0)) + np.array([20, 30, 40], dtype=np.uint8), "without black"),
        ("m.jpg", rgb(TRUTH, (120, 0, 60)) + rgb(~TRUTH, (0, 99, 0)), "JPEG in colours"),
        ("m.tif", np.dstack([NOISE.astype(np.uint16), NOISE.T[:40, :1] * np.uint16(2) + NOISE, NOISE]), "channels"),
    ],
)
def test_what_is_no_mask_is_refused(name: str, values: np.ndarray, words: str, tmp_path: Path) -> None:
    if values.ndim == 3 and name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, values, photometric="rgb")
        annotation = MaskFile(tmp_path / name)
    else:
        annotation = write(tmp_path / name, values)
    with pytest.raises(AnnotationError, match=words) as error:
        annotation.labels(SIZE_HW)
    assert str(tmp_path / name) in str(error.value)
    assert "Save a mask with 0 = background" in str(error.value)


def test_mask_of_another_size_or_broken_is_refused(tmp_path: Path) -> None:
    annotation = write(tmp_path / "m.png", TRUTH)
    with pytest.raises(AnnotationError, match="made for 50x40, but the image is 40x50"):
        annotation.mask((50, 40))
    (tmp_path / "b.png").write_text("text")
    for call in (lambda: MaskFile(tmp_path / "b.png").size_hw, lambda: MaskFile(tmp_path / "b.png").mask(SIZE_HW)):
        with pytest.raises(AnnotationError, match=r"Mask .* is no image"):
            call()


def test_one_file_per_object(tmp_path: Path) -> None:
    for number, (top, left) in enumerate([(0, 0), (0, 10), (5, 5)]):
        part = np.zeros(SIZE_HW, dtype=np.uint8)
        part[top : top + 10, left : left + 10] = 255
        Image.fromarray(part).save(tmp_path / f"{number}.png")
    annotation = ObjectMasks(tuple(sorted(tmp_path.glob("*.png"))))
    labels = annotation.labels(SIZE_HW)
    assert annotation.size_hw == SIZE_HW
    assert np.unique(labels).tolist() == [0, 1, 2, 3]
    assert (labels > 0).sum() == 250


def test_real_label_map_is_not_taken_for_noise(shared_data: Path) -> None:
    path = shared_data / "t98g" / "masks" / "set03.png"
    values = np.asarray(Image.open(path))
    labels = MaskFile(path).labels((1022, 1024))
    assert labels.max() == len(np.unique(values)) - 1 == 74
    assert np.array_equal(labels > 0, values > 0)


def test_real_photograph_is_not_taken_for_a_mask(shared_data: Path) -> None:
    path = shared_data / "t98g" / "images" / "set03.tif"
    with pytest.raises(AnnotationError, match="photograph"):
        MaskFile(path).labels((1022, 1024))
    dense = shared_data / "livecell" / "images" / "livecell_test_images" / "A172_Phase_C7_1_00d20h00m_4.tif"
    with pytest.raises(AnnotationError, match="photograph"):
        MaskFile(dense).labels((520, 704))


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


def test_values_are_not_changed(tmp_path: Path) -> None:
    values = (TRUTH * np.uint8(3)).copy()
    before = values.copy()
    labels_from_values(values)
    assert np.array_equal(values, before)
