"""Seconds per image of c6seg and of Cellpose 4, on the same cores.

    python benchmarks/bench_cellpose.py --cellpose DIR [--quick] [--out FILE.md]

DIR holds the package (``pip install --no-deps --target DIR cellpose segment_anything fastremap fill_voids natsort
opencv-python-headless``); it is no dependency of c6seg. Its weights are random, which changes nothing in the time of
its network (ViT-L of SAM, in tiles of 256x256, at the default object size); what it does with the flows afterwards is
left out, so the ratios flatter it. c6seg is timed with all it does for an image: mask written, scale given by pixel
size (as Cellpose takes the size as given) and estimated. Pictures: LIVECell (CC BY-NC 4.0, timing only) at 704x520,
and the same enlarged to 1392x1040.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from c6seg.config import SegmentConfig
from c6seg.data.images import find_images, read_image, write_mask
from c6seg.inference.segmenter import Segmenter
from c6seg.runtime import cpu_has_bf16
from c6seg.transforms.preprocess import resize
from common import Report, parser, shared

SIZES_HW = ((520, 704), (1040, 1392))
PRECISIONS = ("f32", "bf16") if cpu_has_bf16() else ("f32",)  # where bf16 is emulated it takes many times as long

CELLPOSE = """
import json, sys, time
import numpy as np, torch
from cellpose import models, vit
from cellpose.version import version

settings = json.loads(sys.argv[1])
torch.manual_seed(0)
kind = getattr(vit, "CPSAM", None) or vit.Transformer
net = kind(dtype=torch.float32)
net.save_model(settings["weights"])
del net
found = {"version": version}
for precision in settings["precisions"]:
    model = models.CellposeModel(
        gpu=False, pretrained_model=settings["weights"], use_bfloat16=precision == "bf16"
    )
    for path in settings["images"]:
        image = np.load(path)
        seconds = []
        for _ in range(settings["rounds"] + 1):
            started = time.perf_counter()
            model.eval(image, batch_size=settings["batch"], compute_masks=False)
            seconds.append(time.perf_counter() - started)
        found[f"{precision} {path}"] = sorted(seconds[1:])[len(seconds[1:]) // 2]
print(json.dumps(found))
"""


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--cellpose", type=Path, metavar="DIR", required=True, help="folder with the package")
    options = arguments.parse_args()
    report = Report("Beside Cellpose 4")
    sizes = SIZES_HW[:1] if options.quick else SIZES_HW
    rounds = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        paths = {size_hw: picture(place, size_hw) for size_hw in sizes}
        theirs = of_cellpose(options.cellpose, place, list(paths.values()), rounds)
        rows = [line(options.model, place, size_hw, path, theirs, rounds) for size_hw, path in paths.items()]
    report.say(f"Cellpose {theirs['version']}, random weights, network only.\n")
    titles = (
        "image",
        *(f"Cellpose {precision}, s" for precision in PRECISIONS),
        "c6seg, pixel size given, s",
        "c6seg, scale estimated, s",
        "times faster (best of Cellpose over pixel size given)",
        "over scale estimated",
    )
    report.table(titles, rows)
    report.save(options.out)


def picture(place: Path, size_hw: tuple[int, int]) -> Path:
    """Keep a real image at a size, uint8 (Y, X), as a .npy file."""
    pixels = read_image(find_images([shared("livecell", "images")], recursive=True)[0]).pixels
    path = place / f"{size_hw[1]}x{size_hw[0]}.npy"
    np.save(path, np.clip(np.rint(resize(pixels.astype(np.float32), size_hw)), 0, 255).astype(np.uint8))
    return path


def of_cellpose(package: Path, place: Path, images: list[Path], rounds: int) -> dict[str, float]:
    """Time Cellpose in a process of its own."""
    settings = {
        "weights": str(place / "random_weights"),
        "images": [str(path) for path in images],
        "rounds": rounds,
        "batch": 8,
        "precisions": PRECISIONS,
    }
    env = {**os.environ, "PYTHONPATH": str(package.resolve()), "CELLPOSE_LOCAL_MODELS_PATH": str(place)}
    ended = subprocess.run(
        [sys.executable, "-c", CELLPOSE, json.dumps(settings)], env=env, text=True, capture_output=True, check=False
    )
    if ended.returncode:
        sys.exit(f"Cellpose did not run:\n{ended.stderr}")
    found: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def line(
    model: str, place: Path, size_hw: tuple[int, int], path: Path, theirs: dict[str, float], rounds: int
) -> tuple[str, ...]:
    """Time c6seg on one image, and set it beside."""
    frame = replace(read_image(find_images([shared("livecell", "images")], recursive=True)[0]), pixels=np.load(path))
    given = Segmenter(model, SegmentConfig(pixel_size_um=1.24 * 704 / size_hw[1]))
    ways = {"given": given, "estimated": Segmenter(given.bundle, SegmentConfig(), engine=given.engine)}
    ours = {}
    for name, segmenter in ways.items():
        seconds = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            write_mask(place / "mask.png", segmenter.segment(frame).mask)
            seconds.append(time.perf_counter() - started)
        ours[name] = median(seconds[1:])
    other = {precision: theirs[f"{precision} {path}"] for precision in PRECISIONS}
    best = min(other.values())
    return (
        f"{size_hw[1]}x{size_hw[0]}",
        *(f"{seconds:.1f}" for seconds in other.values()),
        *(f"{seconds:.3f}" for seconds in ours.values()),
        *(f"**{best / seconds:.0f}**" for seconds in ours.values()),
    )


if __name__ == "__main__":
    main()
