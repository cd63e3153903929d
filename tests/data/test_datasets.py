"""Every layout is recognised, opens without decoding, and gives the cells of its example to the pixel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile

from c6seg.data.annotations import Shapes
from c6seg.data.datasets import LAYOUTS, Dataset, open_dataset
from c6seg.data.images import read_image
from c6seg.errors import AnnotationError, ImageNotFoundError, LayoutError

ALL = [
    "folders", "coco", "cvat", "cvat-masks", "livecell", "glioma-c6", "evican", "cellpose", "omnipose", "dsb2018",
]  # fmt: skip


def kinds(dataset: Dataset) -> Counter[str]:
    return Counter(fault.kind for fault in dataset.faults)


def same_objects(found: np.ndarray, truth: np.ndarray) -> bool:
    """Whether two label maps have the same objects, whatever their numbers."""
    pairs = set(zip(found.reshape(-1).tolist(), truth.reshape(-1).tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and (0, 0) in pairs


def test_table_and_examples_name_the_same_layouts(examples: ModuleType) -> None:
    assert set(LAYOUTS) == set(examples.LAYOUTS) == set(ALL)


@pytest.mark.parametrize("layout", ALL)
def test_layout_is_recognised_and_gives_the_cells(layout: str, tmp_path: Path, examples: ModuleType) -> None:
    examples.LAYOUTS[layout](tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.layout == layout
    assert dataset.root == tmp_path
    assert len({item.name for item in dataset.items}) == len(dataset.items)
    annotated = [item for item in dataset.items if item.annotation is not None]
    assert annotated
    for item in annotated:
        assert item.annotation is not None
        assert item.annotation.size_hw == examples.SIZE_HW
        assert read_image(item.image, frame=item.frame).pixels.shape[:2] == examples.SIZE_HW
        assert same_objects(item.annotation.labels(examples.SIZE_HW), examples.labels())
        assert np.array_equal(item.annotation.mask(examples.SIZE_HW), examples.labels() > 0)


@pytest.mark.parametrize("layout", ALL)
def test_opening_reads_no_image(
    layout: str, tmp_path: Path, examples: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples.LAYOUTS[layout](tmp_path)
    for name in ("PillowSource", "_open_pillow"):
        monkeypatch.delattr(f"c6seg.data.decode.{name}")
    monkeypatch.delattr("c6seg.data.tiff.TiffSource.raw")
    assert open_dataset(tmp_path).layout == layout


def test_layouts_know_splits_and_groups(tmp_path: Path, examples: ModuleType) -> None:
    for layout in ("livecell", "glioma-c6", "evican", "cellpose", "dsb2018", "folders"):
        examples.LAYOUTS[layout](tmp_path / layout)
    found = {
        layout: {(item.split, item.group) for item in open_dataset(tmp_path / layout).items if item.annotation}
        for layout in ("livecell", "glioma-c6", "evican", "cellpose", "dsb2018", "folders")
    }
    assert found["livecell"] == {("train", "A172"), ("val", "A172"), ("test", "A172")}
    assert found["glioma-c6"] == {("train", "spec"), ("val", "spec"), ("test", "spec"), (None, "gen")}
    assert found["evican"] == {("train", None), ("val", None), ("test", "easy")}
    assert found["cellpose"] == {("train", None), ("test", None)}
    assert found["dsb2018"] == {("train", None)}
    assert found["folders"] == {(None, "small"), (None, "large")}


def test_items_are_in_natural_order(tmp_path: Path, examples: ModuleType) -> None:
    examples.folders(tmp_path)
    assert [item.name for item in open_dataset(tmp_path).items] == ["a1", "a2", "a10"]


def test_livecell_faults_are_survived_and_named(tmp_path: Path, examples: ModuleType) -> None:
    examples.livecell(tmp_path)
    dataset = open_dataset(tmp_path)
    assert kinds(dataset) == {"duplicate_image": 1, "two_splits": 1, "missing_image": 1, "missing_mask": 1}
    splits = {item.image.name: item.split for item in dataset.items}
    assert splits["A172_Phase_C7_1_02d00h00m_1.tif"] == "val"  # in train and val: kept out of training
    assert splits["A172_Phase_C7_1_05d00h00m_1.tif"] is None
    twice = next(item for item in dataset.items if "_01d" in item.name)
    assert isinstance(twice.annotation, Shapes)
    assert len(twice.annotation.shapes) == 3  # the entry with most objects, not both together
    assert any("different ids" in note and "ids 11 and 13" in note for note in dataset.notes)


@pytest.mark.parametrize(("layout", "word"), [("glioma-c6", "soma"), ("evican", "Nucleus")])
def test_parts_of_cells_stay_out_but_are_kept_apart(
    layout: str, word: str, tmp_path: Path, examples: ModuleType
) -> None:
    examples.LAYOUTS[layout](tmp_path)
    dataset = open_dataset(tmp_path)
    for item in dataset.items:
        assert isinstance(item.annotation, Shapes)
        assert len(item.annotation.shapes) == 3
        assert [shape.category for shape in item.annotation.parts] == [word]
    assert any("parts of cells" in note and word in note for note in dataset.notes)


def test_nuclei_alone_are_the_objects(tmp_path: Path, examples: ModuleType) -> None:
    examples.save(tmp_path / "images" / "a.png", examples.photograph())
    examples.write_json(tmp_path / "a.json", examples.coco({1: "a.png"}, categories=(("nucleus", ""),)))
    (item,) = open_dataset(tmp_path).items
    assert item.annotation is not None
    assert item.annotation.labels(examples.SIZE_HW).max() == 3


def test_cvat_segmentation_class_takes_somas_out(tmp_path: Path, examples: ModuleType) -> None:
    examples.cvat_masks(tmp_path)
    classes = examples.COLOURS[np.where(examples.labels() == 2, 2, examples.labels() > 0)]
    examples.save(tmp_path / "SegmentationClass" / "one.png", classes)
    with (tmp_path / "labelmap.txt").open("a") as file:
        file.write("soma:0,128,0::\n")
    (item,) = open_dataset(tmp_path).items
    assert item.annotation is not None
    expected = np.where(examples.labels() == 2, 0, examples.labels())
    assert same_objects(item.annotation.labels(examples.SIZE_HW), expected)
    assert item.annotation.labels(examples.SIZE_HW).max() == 2


def test_cellpose_pickle_is_named_and_not_read(tmp_path: Path, examples: ModuleType) -> None:
    examples.cellpose(tmp_path)
    assert kinds(open_dataset(tmp_path)) == {"unused_file": 1}


def test_images_without_annotation_are_kept(tmp_path: Path, examples: ModuleType) -> None:
    examples.dsb2018(tmp_path)
    alone = [item for item in open_dataset(tmp_path).items if item.annotation is None]
    assert [item.name for item in alone] == ["0114"]


def test_masks_beside_a_coco_file_are_no_images(tmp_path: Path, examples: ModuleType) -> None:
    examples.coco_folder(tmp_path)
    examples.save(tmp_path / "masks" / "one.png", examples.labels())
    examples.save(tmp_path / "images" / "three.png", examples.photograph())
    found = {item.name: item.annotation is not None for item in open_dataset(tmp_path).items}
    assert found == {"one": True, "two": True, "three": False}


def test_pairs_name_missing_and_stray_masks(tmp_path: Path, examples: ModuleType) -> None:
    examples.folders(tmp_path)
    (tmp_path / "masks" / "a2.png").rename(tmp_path / "masks" / "b.png")
    dataset = open_dataset(tmp_path)
    assert kinds(dataset) == {"missing_mask": 1, "stray_mask": 1}
    assert [item.name for item in dataset.items if item.annotation is None] == ["a2"]


def test_an_image_whose_own_name_ends_like_a_mask(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in ("A1_no-label.tif", "A2_seg.tif"):
            tifffile.imwrite(tmp_path / folder / name, np.eye(8, dtype=np.uint8), photometric="minisblack")
    dataset = open_dataset(tmp_path)
    assert [item.annotation is not None for item in dataset.items] == [True, True]
    assert not dataset.faults


def test_pairs_by_name_in_one_folder(tmp_path: Path, examples: ModuleType) -> None:
    examples.folders_by_name(tmp_path)
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, [item.name for item in dataset.items]) == ("folders", ["well1"])
    assert dataset.items[0].annotation is not None


def test_pairs_in_split_folders_get_unique_names(tmp_path: Path, examples: ModuleType) -> None:
    for split in ("train", "val"):
        examples.save(tmp_path / split / "images" / "1.png", examples.photograph())
        examples.save(tmp_path / split / "labels" / "1.png", examples.labels())
    found = {(item.name, item.split) for item in open_dataset(tmp_path).items}
    assert found == {("train-images-1", "train"), ("val-images-1", "val")}


def test_series_with_a_series_of_masks_gives_an_item_per_frame(tmp_path: Path, examples: ModuleType) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    truth = np.stack([examples.labels(), np.roll(examples.labels(), 3, axis=1)])
    tifffile.imwrite(tmp_path / "images" / "s.tif", np.stack([examples.photograph()] * 3), photometric="minisblack")
    tifffile.imwrite(tmp_path / "masks" / "s.tif", truth, photometric="minisblack")
    dataset = open_dataset(tmp_path)
    assert [(item.name, item.frame) for item in dataset.items] == [("s_0000", 0), ("s_0001", 1)]
    assert kinds(dataset) == {"frames_differ": 1}
    assert dataset.items[1].annotation is not None
    assert np.array_equal(dataset.items[1].annotation.mask(examples.SIZE_HW), truth[1] > 0)


def test_dataset_csv_gives_splits_to_any_layout(tmp_path: Path, examples: ModuleType) -> None:
    examples.coco_folder(tmp_path)
    (tmp_path / "dataset.csv").write_text("name,group,split\none,x,train\ntwo.png,y,test\n")
    assert [(item.group, item.split) for item in open_dataset(tmp_path).items] == [("x", "train"), ("y", "test")]


@pytest.mark.parametrize("layout", ["coco", "cvat", "cvat-masks"])
def test_zip_as_exported(layout: str, tmp_path: Path, examples: ModuleType, cache: Path) -> None:
    examples.LAYOUTS[layout](tmp_path / "export")
    archive = examples.pack(tmp_path / "export", tmp_path / "task.zip")
    dataset = open_dataset(archive)
    assert (dataset.layout, dataset.root) == (layout, archive)
    assert all(item.image.is_relative_to(cache) for item in dataset.items)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    again = open_dataset(archive)
    assert [item.image for item in again.items] == [item.image for item in dataset.items]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    (item, *_) = dataset.items
    assert item.annotation is not None
    assert same_objects(item.annotation.labels(examples.SIZE_HW), examples.labels())


@pytest.mark.parametrize("layout", ["coco", "cvat", "cvat-masks"])
def test_zip_without_images_finds_them_beside_it(layout: str, tmp_path: Path, examples: ModuleType) -> None:
    export = tmp_path / "export"
    examples.LAYOUTS[layout](export)
    for path in sorted(export.rglob("*.png")):
        if not path.parent.name.startswith("Segmentation"):
            path.rename(tmp_path / path.name)
    archive = examples.pack(export, tmp_path / "task.zip")
    dataset = open_dataset(archive)
    assert dataset.items[0].image == tmp_path / "one.png"
    assert dataset.items[0].annotation is not None
    assert "outside_image" in kinds(dataset)


def test_folder_with_one_zip_opens_it(tmp_path: Path, examples: ModuleType) -> None:
    examples.cvat(tmp_path / "export")
    folder = tmp_path / "folder"
    folder.mkdir()
    examples.pack(tmp_path / "export", folder / "task.zip")
    assert open_dataset(folder).layout == "cvat"


def test_one_json_of_several(tmp_path: Path, examples: ModuleType) -> None:
    examples.glioma_c6(tmp_path)
    dataset = open_dataset(tmp_path / "dataset" / "spec" / "valid" / "anno_valid.json")
    assert [item.name for item in dataset.items] == ["spec_valid"]


def test_unknown_layouts_and_paths(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="no data set"):
        open_dataset(tmp_path / "nothing")
    with pytest.raises(LayoutError, match="Did you mean 'livecell'"):
        open_dataset(tmp_path, layout="livecel")
    with pytest.raises(LayoutError, match="known layout"):
        open_dataset(tmp_path)
    (tmp_path / "a.mat").write_text("x")
    with pytest.raises(LayoutError, match="folder, a zip, or a json or xml"):
        open_dataset(tmp_path / "a.mat")


def test_layout_asked_for_without_images_says_so(tmp_path: Path, examples: ModuleType) -> None:
    examples.write_json(tmp_path / "a.json", examples.coco({1: "gone.png"}))
    with pytest.raises(LayoutError, match=r"no image was found.*gone\.png"):
        open_dataset(tmp_path)


def test_cvat_video_xml_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<annotations><track id="0" label="cell"></track></annotations>')
    with pytest.raises(AnnotationError, match="CVAT for images"):
        open_dataset(tmp_path)


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>')
    with pytest.raises(AnnotationError, match="entities"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("head", ['<?xml version="1.0" encoding="utf-99"?>', "", "<a/>"])
def test_broken_xml_is_refused(head: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(head + "<annotations><image></annotations>")
    with pytest.raises(AnnotationError, match="no readable xml"):
        open_dataset(tmp_path)


def test_real_label_maps(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "t98g")
    assert (dataset.layout, len(dataset.items), dataset.faults) == ("folders", 35, ())
    assert {item.group for item in dataset.items} == {"large", "small"}
    rows = [line.split(",") for line in (shared_data / "t98g" / "dataset.csv").read_text().split()[1:]]
    for item, row in list(zip(dataset.items, sorted(rows), strict=True))[::7]:
        assert item.annotation is not None
        labels = item.annotation.labels((1022, 1024))
        assert (item.name, labels.max()) == (row[0], int(row[2]))
        assert (labels > 0).mean() == pytest.approx(float(row[4]), abs=5e-4)


def test_real_livecell(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "livecell")
    annotated = [item for item in dataset.items if item.annotation is not None]
    assert (dataset.layout, len(dataset.items), len(annotated)) == ("livecell", 45, 13)
    assert Counter(item.split for item in annotated) == {"test": 8, "val": 5}
    assert kinds(dataset) == {"missing_mask": 32}
    for item in annotated:
        assert isinstance(item.annotation, Shapes)
        size_hw = read_image(item.image).pixels.shape[:2]
        assert item.annotation.size_hw == size_hw == (520, 704)
        assert item.group == item.name.split("_")[0]
    item = annotated[0]
    assert isinstance(item.annotation, Shapes)
    labels = item.annotation.labels((520, 704))
    assert np.array_equal(labels > 0, item.annotation.mask((520, 704)))
    assert labels.max() == len(item.annotation.shapes)
