"""A small example of every data-set layout, all of one scene whose cells are known to the pixel.

The cells are made of rectangles with whole-number corners, which every format can hold exactly: two cells that touch,
and one cell in two parts. ``LAYOUTS`` maps the name of a layout to the function that writes it into a folder.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

SIZE_HW = (48, 64)
CELLS = [[(8, 5, 20, 15)], [(20, 5, 30, 15)], [(10, 25, 18, 35), (30, 25, 40, 30)]]
"""Parts of each cell as x0, y0, x1, y1, px; x1 and y1 are the first that lie outside."""

COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]], dtype=np.uint8)


def labels() -> NDArray[np.uint8]:
    """The true label map, (Y, X)."""
    truth = np.zeros(SIZE_HW, dtype=np.uint8)
    for number, parts in enumerate(CELLS, start=1):
        for x0, y0, x1, y1 in parts:
            truth[y0:y1, x0:x1] = number
    return truth


def photograph(seed: int = 0) -> NDArray[np.uint8]:
    """A noisy picture of the cells, (Y, X)."""
    noise = np.random.default_rng(seed).normal(100, 10, SIZE_HW)
    return np.clip(noise + 60 * (labels() > 0), 0, 255).astype(np.uint8)


def save(path: Path, values: NDArray[Any]) -> None:
    """Write an image file of any kind, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    else:
        Image.fromarray(values).save(path)


def corners(part: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Corners of a rectangle, x and y."""
    x0, y0, x1, y1 = part
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def coco(
    files: dict[int | str, str],
    *,
    categories: tuple[tuple[str, str], ...] = (("cell", ""),),
    soma: tuple[int, int, int, int] | None = None,
) -> dict[str, Any]:
    """A COCO file for images by id; every image shows the scene, and perhaps a soma of the last category."""
    images = [{"id": key, "file_name": name, "width": SIZE_HW[1], "height": SIZE_HW[0]} for key, name in files.items()]
    annotations: list[dict[str, Any]] = []
    shapes = [(cell, 1) for cell in CELLS] + ([([soma], len(categories))] if soma else [])
    for key in files:
        for parts, category in shapes:
            polygons = [[value for corner in corners(part) for value in corner] for part in parts]
            number = len(annotations) + 1
            annotations.append(
                {"id": number, "image_id": key, "category_id": category, "iscrowd": 0, "segmentation": polygons}
            )
    rows = [{"id": n, "name": name, "supercategory": above} for n, (name, above) in enumerate(categories, start=1)]
    return {"info": {}, "licenses": [], "categories": rows, "images": images, "annotations": annotations}


def write_json(path: Path, content: Any) -> None:
    """Write json, with folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def pack(folder: Path, archive: Path) -> Path:
    """Zip the files of a folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
    return archive


def folders(root: Path) -> None:
    """Write images/ and masks/ with label maps, and dataset.csv."""
    for number, name in enumerate(("a1", "a2", "a10")):
        save(root / "images" / f"{name}.tif", photograph(number))
        save(root / "masks" / f"{name}.png", labels())
    (root / "dataset.csv").write_text("name,size_group\na1,small\na2,large\na10,large\n")


def folders_by_name(root: Path) -> None:
    """Write name.png beside name_mask.png."""
    save(root / "well1.png", photograph())
    save(root / "well1_mask.png", labels())


def coco_folder(root: Path) -> None:
    """Write what CVAT exports as COCO 1.0."""
    save(root / "images" / "one.png", photograph(1))
    save(root / "images" / "two.png", photograph(2))
    write_json(root / "annotations" / "instances_default.json", coco({1: "one.png", 2: "two.png"}))


def cvat(root: Path) -> None:
    """Write "CVAT for images 1.1"; the touching cell is a mask, the cell in two parts is a group."""
    save(root / "images" / "one.png", photograph())
    nodes = [_polygon(CELLS[0][0]), _mask(CELLS[1][0]), *(_polygon(part, group=3) for part in CELLS[2])]
    _xml(root / "annotations.xml", nodes)


def _polygon(part: tuple[int, int, int, int], *, label: str = "cell", group: int = 0) -> str:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners(part))
    return f'<polygon label="{label}" occluded="0" points="{points}" z_order="0" group_id="{group}"></polygon>'


def _mask(part: tuple[int, int, int, int]) -> str:
    x0, y0, x1, y1 = part
    width, height = x1 - x0 + 2, y1 - y0  # a box one column wider on both sides
    runs = [1, *([width - 2, 2] * (height - 1)), width - 2, 1]
    text = ", ".join(str(run) for run in runs)
    return f'<mask label="cell" rle="{text}" left="{x0 - 1}" top="{y0}" width="{width}" height="{height}"></mask>'


def _xml(path: Path, nodes: list[str]) -> None:
    size = f'width="{SIZE_HW[1]}" height="{SIZE_HW[0]}"'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><job><labels>'
        "<label><name>cell</name></label></labels></job></meta>"
        f'<image id="0" name="one.png" {size}>{"".join(nodes)}</image></annotations>'
    )


def cvat_masks(root: Path) -> None:
    """Write "Segmentation mask 1.1"."""
    save(root / "JPEGImages" / "one.png", photograph())
    save(root / "SegmentationObject" / "one.png", COLOURS[labels()])
    save(root / "SegmentationClass" / "one.png", COLOURS[(labels() > 0).astype(int)])
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:128,0,0::\n"
    (root / "labelmap.txt").write_text(text)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "default.txt").write_text("one\n")


def livecell(root: Path) -> None:
    """Write LIVECell with its faults: an image twice, an image in two splits, a json entry and an image alone."""
    names = {key: f"A172_Phase_C7_1_0{key}d00h00m_1.tif" for key in range(1, 6)}
    for key in (1, 2, 5):
        save(root / "images" / "livecell_train_val_images" / "A172" / names[key], photograph(key))
    save(root / "images" / "livecell_test_images" / "A172" / names[3], photograph(3))
    annotations = root / "annotations"
    train = coco({11: names[1], 12: names[2], 13: names[1], 14: names[4]})
    train["annotations"] = [row for row in train["annotations"] if row["image_id"] != 13 or row["id"] % 3]
    write_json(annotations / "livecell_coco_train.json", train)
    write_json(annotations / "livecell_coco_val.json", coco({12: names[2]}))
    test = coco({"31": names[3]})
    test["annotations"] = {str(row["id"]): row for row in test["annotations"]}  # as in the files for single lines
    write_json(annotations / "livecell_coco_test.json", test)


def glioma_c6(root: Path) -> None:
    """Write Glioma C6 with somas."""
    kinds = (("A", "cell"), ("B", "cell"), ("soma", "cell_part"))
    for number, part in enumerate(("spec/train", "spec/valid", "spec/test", "gen")):
        name = f"{part.replace('/', '_')}.tif"
        save(root / "dataset" / part / "images" / name, np.repeat(photograph(number)[..., None], 3, axis=2))
        content = coco({number: name}, categories=kinds, soma=(45, 40, 50, 45))
        write_json(root / "dataset" / part / f"anno_{part.rpartition('/')[2]}.json", content)


def evican(root: Path) -> None:
    """Write EVICAN with nuclei."""
    kinds = (("Cell", "cell"), ("Nucleus", "nucleus"))
    for split, suffix in (("train", ""), ("val", ""), ("eval", "_easy")):
        save(root / "Images" / f"EVICAN_{split}2019" / f"{split}_1.jpg", photograph())
        content = coco({1: f"{split}_1.jpg"}, categories=kinds, soma=(10, 8, 14, 12))
        write_json(root / "Annotations" / f"instances_{split}2019{suffix}_EVICAN2.json", content)


def cellpose(root: Path) -> None:
    """Write the Cellpose data: 16-bit masks, flows of an earlier run, and the pickle that the program leaves."""
    for split, number in (("train", 0), ("test", 1)):
        save(root / split / f"00{number}_img.png", np.repeat(photograph(number)[..., None], 3, axis=2))
        save(root / split / f"00{number}_masks.png", labels().astype(np.uint16))
    (root / "train" / "000_img_seg.npy").write_bytes(b"\x80\x04never read")


def omnipose(root: Path) -> None:
    """Write the Omnipose data: name.tif beside name_masks.tif, and flows."""
    save(root / "train_sorted" / "5I_crop" / "caulobacter.tif", photograph())
    save(root / "train_sorted" / "5I_crop" / "caulobacter_masks.tif", labels().astype(np.uint32))
    save(root / "train_sorted" / "5I_crop" / "caulobacter_flows.tif", photograph())


def dsb2018(root: Path) -> None:
    """Write DSB 2018: RGBA images, one mask per object, and a test image without masks."""
    grey = photograph()
    picture = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
    save(root / "stage1_train" / "00ae" / "images" / "00ae.png", picture)
    for number in range(1, 4):
        mask = np.where(labels() == number, np.uint8(255), np.uint8(0))
        save(root / "stage1_train" / "00ae" / "masks" / f"{number:04d}.png", mask)
    save(root / "stage1_test" / "0114" / "images" / "0114.png", picture)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "folders": folders,
    "coco": coco_folder,
    "cvat": cvat,
    "cvat-masks": cvat_masks,
    "livecell": livecell,
    "glioma-c6": glioma_c6,
    "evican": evican,
    "cellpose": cellpose,
    "omnipose": omnipose,
    "dsb2018": dsb2018,
}
