"""From a CVAT export to a growth curve by command lines alone, as a researcher would type them."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import ndimage

from c6seg.data.synthetic import simulate_image, write_culture, write_png

MEASUREMENTS = (
    "image,frame,time_h,well,width_px,height_px,pixel_size_um,confluence,cell_area_um2,cluster_fraction,object_count,"
    "mean_object_area_um2,uncertainty,flags,scale,scale_source,scale_lower,scale_upper"
)
SCORES = (
    "image,input_size,score_size,tp,fp,fn,tn,dice,iou,precision,recall,boundary_f1,hd95_px,confluence_true,"
    "confluence_pred,band_dice,thin_recall,band_tp,band_fp,band_fn,thin_tp,thin_fn"
)

SEEDS = (104, 108, 113, 117, 118, 122)
"""Simulated pictures of 8 bits with a few cells and some background."""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A CVAT export (COCO 1.0, zip) of six simulated pictures, every cell with an outline."""
    source = tmp_path / "export"
    (source / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, seed in enumerate(SEEDS, start=1):
        picture = simulate_image(size_hw=(96, 128), seed=seed)
        name = f"dish{number}.png"
        write_png(source / "images" / name, picture.pixels)
        images.append({"id": number, "file_name": name, "width": 128, "height": 96})
        for label, box in enumerate(ndimage.find_objects(picture.labels), start=1):
            if box is None:
                continue
            cell = np.zeros(picture.labels.shape, bool)
            cell[box] = picture.labels[box] == label
            counts = _runs(cell)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": {"counts": counts, "size": [96, 128]},
                    "area": int(cell.sum()),
                    "bbox": [box[1].start, box[0].start, box[1].stop - box[1].start, box[0].stop - box[0].start],
                    "iscrowd": 1,
                    "attributes": {"occluded": False},
                }
            )
    content = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "description": ""},
        "categories": [{"id": 1, "name": "cell", "supercategory": ""}],
        "images": images,
        "annotations": annotations,
    }
    archive = tmp_path / "cvat-export.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("annotations/instances_default.json", json.dumps(content))
        for path in sorted((source / "images").iterdir()):
            file.write(path, f"images/default/{path.name}")
    return archive


def test_from_an_export_to_a_growth_curve(c6seg: Any, export: Path, tmp_path: Path) -> None:
    checked = c6seg("data", "check", export)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "ERROR" not in checked.stdout

    data = tmp_path / "data"
    converted = c6seg("data", "convert", export, data)
    assert (converted.returncode, converted.stderr) == (0, "")
    assert converted.stdout == f"6 images with masks written to {data}\n"
    assert len(list((data / "images").iterdir())) == len(list((data / "masks").iterdir())) == 6
    assert len(table(data / "dataset.csv")[1]) == 6

    split = c6seg("data", "split", data, "--counts", "3/1/2", "--repeats", "2")
    assert (split.returncode, split.stderr) == (0, "")
    splits = json.loads((data / "splits.json").read_text())["splits"]
    assert [{part: len(one[part]) for part in ("train", "val", "test")} for one in splits] == [
        {"train": 3, "val": 1, "test": 2}
    ] * 2

    run = tmp_path / "run"
    division = f"{data / 'splits.json'}:split00"
    options = ["--set", "input_size=64x64", "--set", "epochs=2", "--set", "batch=2", "--init", "random"]
    trained = c6seg("train", "--data", data, "--out", run, "--split", division, *options)
    assert trained.returncode == 0, trained.stderr
    assert [line[:9] for line in trained.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert trained.stdout.splitlines()[-1] == f"Model: {run / 'bundle'}"
    bundle = run / "bundle"
    assert {path.name for path in bundle.iterdir()} == {
        "bundle.yaml",
        "model.onnx",
        "weights.safetensors",
        "example",
        "README.md",
    }
    spec = yaml.safe_load((bundle / "bundle.yaml").read_text())
    assert spec["encoder"] == "MobileNetV2"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2

    scores = tmp_path / "scores.csv"
    evaluated = c6seg("evaluate", "--model", bundle, "--data", data, "--split", division, "--out", scores)
    assert (evaluated.returncode, evaluated.stderr) == (0, "")
    header, rows = table(scores)
    assert header == SCORES
    assert {row["image"] for row in rows} == set(splits[0]["test"])
    for row in rows:
        tp, fp, fn, tn = (int(row[key]) for key in ("tp", "fp", "fn", "tn"))
        assert tp + fp + fn + tn == 96 * 128
        assert float(row["dice"]) == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-6)
    summary = json.loads((tmp_path / "scores.summary.json").read_text())
    assert summary["scored"] == 2
    assert summary["scores"]["dice"]["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]), abs=1e-6)


def test_from_a_time_lapse_to_a_report(c6seg: Any, tiny_bundle: Path, tmp_path: Path) -> None:
    truth = write_culture(
        tmp_path / "culture",
        size_hw=(96, 128),
        times_h=[6.0 * step for step in range(6)],
        growth_rates_per_h={"A1": 0.03, "B2": 0.0},
        start_count=6,
        seed=1,
    )
    images = truth.parent / "images"
    results = tmp_path / "results"
    command = ["segment", images, "--out", results, "--model", tiny_bundle]
    segmented = c6seg(*command)
    assert (segmented.returncode, segmented.stderr) == (0, "")
    assert {path.name for path in results.iterdir()} >= {"masks", "overlays", "measurements.csv", "manifest.json"}
    assert not (results / "failures.csv").exists()
    header, rows = table(results / "measurements.csv")
    assert header == MEASUREMENTS
    assert len(rows) == 12
    for row in rows:
        mask = np.asarray(Image.open(results / "masks" / f"{row['image']}.png"))
        assert mask.shape == (int(row["height_px"]), int(row["width_px"])) == (96, 128)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 255}
        assert float(row["confluence"]) == pytest.approx((mask > 0).mean(), abs=1e-6)
        assert float(row["pixel_size_um"]) == pytest.approx(0.87, rel=1e-3)
        assert (results / "overlays" / f"{row['image']}.jpg").stat().st_size > 500
    assert {(row["well"], float(row["time_h"])) for row in rows} == {
        (well, 6.0 * step) for well in ("A1", "B2") for step in range(6)
    }
    manifest = json.loads((results / "manifest.json").read_text())
    assert len(manifest["inputs"]) == 12
    assert manifest["complete"] is True
    assert len(manifest["model"]["sha256"]) == 64

    again = c6seg(*command)
    assert again.returncode == 0
    assert "12 of them before" in again.stdout

    out = tmp_path / "growth"
    grown = c6seg("growth", results, "--out", out)
    assert (grown.returncode, grown.stderr) == (0, "")
    header, curve = table(out / "growth.csv")
    assert header.startswith("series,time_h,confluence,lower,upper")
    assert len(curve) == 12
    header, fits = table(out / "fits.csv")
    wanted = "series,model,growth_rate_per_h,doubling_time_h,lower,upper,lag_h,plateau,aicc,verdict"
    assert set(wanted.split(",")) <= set(header.split(","))
    assert {row["series"] for row in fits} == {"A1", "B2"}
    for row in fits:
        assert row["verdict"]
        assert bool(row["doubling_time_h"]) == bool(row["lower"]) == bool(row["upper"])
    kinds = {path.suffix for path in (out / "figures").iterdir()}
    assert kinds == {".pdf", ".png", ".svg"}
    report = (out / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "data:image/" in report
    for outside in ('src="http', "src='http", '<link rel="stylesheet"', "url(http"):
        assert outside not in report, "the report must be self-contained"


def table(path: Path) -> tuple[str, list[dict[str, str]]]:
    """Header line and rows of a CSV file."""
    text = path.read_text(encoding="utf-8")
    return text.splitlines()[0], list(csv.DictReader(text.splitlines()))


def _runs(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> list[int]:
    """Uncompressed COCO run lengths, column by column, beginning with background."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [True]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    flat = flat[1:-1]
    ends = [*changes[changes < flat.size], flat.size]
    runs = np.diff([0, *ends]).tolist()
    return [int(run) for run in runs]
