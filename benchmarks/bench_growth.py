"""Fitting and report of a 96-well plate from existing masks: seconds, memory, and how they grow with the frames.

A results folder as `c6seg segment` writes it (table, manifest, overlays) is made, with a plate map; `c6seg growth` runs
on it in a process of its own.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from c6seg.inference.tables import COLUMNS
from c6seg.runtime import write_csv, write_json
from common import Report, measure, parser

WELLS = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
FRAMES = (36, 72, 144)


def main() -> None:
    """Make, run, print."""
    options = parser(__doc__, model=False)
    options.add_argument("--fields", type=int, default=1, metavar="N", help="fields of each well; default 1")
    given = options.parse_args()
    report = Report("Growth analysis and report of a plate, from existing masks")
    wells = WELLS[:12] if given.quick else WELLS
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for frames in (12,) if given.quick else FRAMES:
            folder = Path(name) / str(frames)
            _results(folder / "results", wells, frames, given.fields)
            _map(folder / "plate.csv", wells)
            plate = ["--plate", str(folder / "plate.csv")]
            command = [sys.executable, "-m", "c6seg", "growth", str(folder / "results"), "--out", str(folder / "out")]
            for words, extra in (("without a map", []), ("with a plate map", plate)):
                found = measure([*command, *extra])
                size = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file()) / 1e6
                page = (folder / "out" / "report.html").stat().st_size / 1e6
                rows.append(
                    (
                        f"{len(wells)} x {frames}",
                        words,
                        f"{found.seconds:.1f}",
                        f"{found.peak_mb:.0f}",
                        f"{page:.1f}",
                        f"{size:.0f}",
                    )
                )
    report.say("Aim: 96 x 72 under 60 s and 2 GB, linear in frames.\n")
    titles = ("wells x frames", "plate", "seconds", "peak memory, MB", "report.html, MB", "everything written, MB")
    report.table(titles, rows)
    report.save(given.out)


def _results(folder: Path, wells: list[str], frames: int, fields: int) -> None:
    rng = np.random.default_rng(0)
    (folder / "overlays").mkdir(parents=True)
    rows, inputs = [], []
    grey = rng.integers(60, 190, (520, 704, 3)).astype(np.uint8)
    Image.fromarray(grey).resize((704, 520)).save(folder / "first.jpg", quality=85)
    picture = (folder / "first.jpg").read_bytes()
    for index, well in enumerate(wells):
        rate = (0.0, 0.015, 0.03, 0.045)[index % 4]
        for frame in range(frames):
            time_h = 72.0 * frame / frames
            for place in range(1, fields + 1):
                grown = 0.06 * math.exp(rate * time_h)
                true = grown / (1 + grown - 0.06)
                hours, minutes = divmod(round(60 * time_h), 60)
                name = f"Plate_Phase_{well}_{place}_{hours // 24:02d}d{hours % 24:02d}h{minutes:02d}m_1"
                values = {"image": name, "frame": 0, "time_h": time_h, "well": well, "width_px": 704, "height_px": 520}
                values |= {"pixel_size_um": 1.24, "confluence": round(true * math.exp(0.04 * rng.standard_normal()), 6)}
                rows.append({**dict.fromkeys(COLUMNS), **values, "flags": ""})
                inputs.append({"path": f"images/{name}.tif", "sha256": f"{len(inputs):064x}", "seconds": 0.1})
                target = folder / "overlays" / f"{name}.jpg"
                target.write_bytes(picture)
                os.utime(target, (len(inputs), len(inputs)))
    write_csv(folder / "measurements.csv", COLUMNS, rows)
    write_json(folder / "manifest.json", {"model": {"name": "unet", "version": "1", "sha256": "0"}, "inputs": inputs})


def _map(path: Path, wells: list[str]) -> None:
    lines = ["well,treatment,concentration,unit"]
    doses = (0.1, 0.3, 1.0, 3.0, 10.0)
    for index, well in enumerate(wells):
        lines.append(f"{well},control,0,uM" if index % 6 == 5 else f"{well},drug,{doses[index % 6]},uM")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
