"""`c6seg demo` as on a fresh machine: time, memory, no network, no torch; doubling times and masks against the truth.

    python benchmarks/bench_demo.py [--quick] [--no-venv] [--out FILE.md]

Aims: under 60 s and under 2 GB on two cores; doubling times within 10 %, truth inside the interval; Dice at least 0.85;
`c6seg --help` under 0.4 s.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

import numpy as np
from PIL import Image

from common import BLOCK_TORCH, ROOT, Report, measure, parser


def main() -> None:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--no-venv", action="store_true", help="use this Python, with torch blocked")
    options = arguments.parse_args()
    report = Report("The demo on a fresh machine")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.no_venv:
            c6seg, env = [sys.executable, "-m", "c6seg"], blocked(place)
        else:
            c6seg, env = fresh(place, report), {}
        env |= {"XDG_DATA_HOME": str(place / "data"), "XDG_CACHE_HOME": str(place / "cache"), "HOME": folder}
        env["MPLCONFIGDIR"] = str(place / "matplotlib")
        helps = [measure([*c6seg, "--help"], env=env).seconds for _ in range(3 if options.quick else 7)]
        offline = ["unshare", "-n"] if can_leave_the_network() else []
        model = [] if options.model == "unet-mobilenetv2" else ["--model", str(Path(options.model).resolve())]
        out = place / "demo"
        demo = measure([*offline, *c6seg, "demo", "--out", str(out), *model], env=env, cwd=place)
        report.table(
            ("figure", "measured", "aim"),
            [
                ("wall time, s", f"{demo.seconds:.1f}", "< 60"),
                ("peak memory, MB", f"{demo.peak_mb:.0f}", "< 2000"),
                ("network", "taken away (unshare -n)" if offline else "could not be taken away here", "none"),
                ("`c6seg --help`, s (median)", f"{median(helps):.2f}", "< 0.4"),
            ],
        )
        doubling_times(report, out)
    report.save(options.out)


def fresh(place: Path, report: Report) -> list[str]:
    """Install the core into a new virtual environment; say its size and that torch is not in it."""
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python = place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    source = place / "source"  # a copy: building leaves files behind
    source.mkdir()
    for name in ("src", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, source / name)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = measure([*install, "-c", str(source / "constraints.txt"), str(source)])
    absent = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is not None)"
    measure([str(python), "-c", absent])
    packages = next((place / "venv").rglob("site-packages"))
    sizes = {
        path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        for path in packages.iterdir()
        if path.is_dir() and path.name not in {"pip", "setuptools"}
    }
    largest = ", ".join(f"{name} {sizes[name]:.0f}" for name in sorted(sizes, key=sizes.__getitem__)[-6:][::-1])
    report.say(f"Core installed in {installed.seconds:.0f} s; torch is not there.")
    report.say(f"Installed size {sum(sizes.values()):.0f} MB ({largest}).\n")
    return [str(python), "-m", "c6seg"]


def blocked(place: Path) -> dict[str, str]:
    """Give an environment in which torch cannot be imported."""
    (place / "start").mkdir()
    (place / "start" / "sitecustomize.py").write_text(BLOCK_TORCH)
    return {"PYTHONPATH": str(place / "start")}


def can_leave_the_network() -> bool:
    """Whether a process may be started without the network."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode == 0


def doubling_times(report: Report, out: Path) -> None:
    """Set what the demo found beside what was simulated."""
    true: dict[str, float] = {}
    dices = defaultdict(list)
    for row in read(out / "culture" / "truth.csv"):
        true[row["well"]] = float(row["doubling_time_h"] or math.inf)
        name = f"{Path(row['image']).stem}.png"
        mask, truth = (np.asarray(Image.open(out / part / "masks" / name)) > 0 for part in ("segmentation", "culture"))
        dices[row["well"]].append(float(2 * (mask & truth).sum() / (mask.sum() + truth.sum())))
    rows = []
    for fit in read(out / "fits.csv"):
        well = fit["series"]
        found = f"{float(fit['doubling_time_h']):.1f}" if fit["doubling_time_h"] else "no number"
        interval = f"{float(fit['lower']):.1f} to {float(fit['upper']):.1f}" if fit["lower"] else ""
        error = inside = ""
        if fit["doubling_time_h"] and math.isfinite(true[well]):
            error = f"{float(fit['doubling_time_h']) / true[well] - 1:+.1%}"
            inside = "yes" if float(fit["lower"]) <= true[well] <= float(fit["upper"]) else "**no**"
        simulated = f"{true[well]:.1f}" if math.isfinite(true[well]) else "none"
        rows.append((well, simulated, found, interval, error, inside, f"{mean(dices[well]):.3f}"))
    titles = ("well", "simulated, h", "found, h", "95 %", "error (aim 10 %)", "truth inside", "mask Dice (aim 0.85)")
    report.table(titles, rows)


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
