"""Simulated plates from pictures to doubling times, beside the simulated truth.

96 wells x 12 times, growth rates 0 to 0.06 per h in six treatments, with bright floating (dead) cells, debris, uneven
light and missing frames; then 500 wells that do not grow. Every picture is drawn, segmented with the model, and fitted:
error of the doubling time, coverage of its 95 % interval, doubling times claimed where nothing grows, comparisons.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from c6seg import api
from c6seg.data.synthetic import _clock, _write_tiff
from c6seg.data.synthetic_culture import culture_style, simulate_culture
from c6seg.runtime import seed_for
from common import Report, parser

RATES = (0.06, 0.05, 0.04, 0.03, 0.015, 0.0)
TIMES_H = [4.0 * step for step in range(12)]
MISSING = 0.06
PIXEL_UM = 1.15


def main() -> None:
    """Simulate, segment, fit, print."""
    options = parser(__doc__)
    options.add_argument("--still", type=int, default=500, metavar="N", help="wells that do not grow; default 500")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep pictures and results there")
    given = options.parse_args()
    report = Report("Simulated plates, from pictures to doubling times")
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _plate(report, folder, given)
        if given.still:
            _still(report, folder, given)
    finally:
        if given.keep is None:
            shutil.rmtree(folder)
    report.save(given.out)


def _plate(report: Report, folder: Path, given: Any) -> None:
    rows = 2 if given.quick else 8
    layout = {f"{row}{column}": RATES[(column - 1) // 2] for row in "ABCDEFGH"[:rows] for column in range(1, 13)}
    result, seconds = _grow(folder / "plate", layout, (448, 560), 19, given, plate=True)
    rates = {one.name: layout[one.name] for one in result.series}
    lines = []
    for rate in RATES:
        fits = [fit for one, fit in zip(result.series, result.fits, strict=True) if rates[one.name] == rate]
        lines.append(_line(f"{rate:g} per h", fits, rate))
    growing = [
        (fit, rates[one.name]) for one, fit in zip(result.series, result.fits, strict=True) if rates[one.name] > 0
    ]
    found = [(fit.doubling_time_h * rate / math.log(2), fit, rate) for fit, rate in growing if fit.doubling_time_h]
    errors = np.array([ratio for ratio, _, _ in found]) - 1
    inside = np.mean([fit.rate_lower <= rate <= fit.rate_upper for _, fit, rate in found])
    report.say(f"{len(layout)} wells x {len(TIMES_H)} times; {seconds}.\n")
    titles = ("rate", "wells", "with a number", "median doubling time / true", "median |error|", "truth inside 95 %")
    report.table(titles, lines)
    report.say(
        f"All growing wells: median error {100 * np.median(errors):+.1f} %, median |error| "
        f"{100 * np.median(np.abs(errors)):.1f} %, truth inside the interval in {100 * inside:.0f} % of {len(found)}.\n"
    )
    report.table(
        ("comparison", "true difference per h", "found", "95 %", "p (Holm)"),
        [
            (
                one.group,
                f"{_rate_of(one.group) - RATES[0]:+.3f}",
                f"{one.difference_per_h:+.4f}",
                f"{one.lower:+.4f} to {one.upper:+.4f}",
                f"{one.p_holm:.2g}",
            )
            for one in result.plate.comparisons
        ],
    )


def _still(report: Report, folder: Path, given: Any) -> None:
    number = 24 if given.quick else given.still
    names = [f"{row}{column}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    wells = {f"P{index // len(names) + 1} {names[index % len(names)]}": 0.0 for index in range(number)}
    result, seconds = _grow(folder / "still", wells, (320, 400), 10, given, plate=False)
    claimed = sum(fit.doubling_time_h is not None for fit in result.fits)
    kinds = ", ".join(f"{kind} {count}" for kind, count in Counter(fit.kind for fit in result.fits).most_common())
    inside = np.mean([(fit.rate_lower or 0) <= 0 <= (fit.rate_upper or 0) for fit in result.fits])
    report.say(
        f"{number} wells that do not grow: {claimed} doubling times claimed ({kinds}); rate 0 inside the interval in "
        f"{100 * inside:.1f} %; {seconds}.\n"
    )


def _grow(
    folder: Path, wells: dict[str, float], size_hw: tuple[int, int], start: int, given: Any, *, plate: bool
) -> tuple[Any, str]:
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    tasks = [(images, well, rate, size_hw, start, given.seed) for well, rate in wells.items()]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_draw, *zip(*tasks, strict=True), chunksize=4))
    drawn = time.perf_counter()
    api.segment(images, folder / "results", model=given.model)
    segmented = time.perf_counter()
    plate_map = None
    if plate:
        plate_map = folder / "plate.csv"
        lines = ["well,treatment,role"]
        for well, rate in wells.items():
            lines.append(f"{well},{'control' if rate == RATES[0] else f'rate {rate:g}'},{_role(rate)}")
        plate_map.write_text("\n".join(lines) + "\n")
    result = api.grow(folder / "results", folder / "growth", plate=plate_map)
    ended = time.perf_counter()
    words = (
        f"drawn in {drawn - began:.0f} s, segmented in {segmented - drawn:.0f} s, growth in {ended - segmented:.0f} s"
    )
    return result, words


def _draw(images: Path, well: str, rate: float, size_hw: tuple[int, int], start: int, seed: int) -> None:
    """Draw the pictures of one well; each has an illumination, debris and floating cells of its own."""
    rng = np.random.default_rng(seed_for(seed, "bench plate", well))
    look = culture_style(size_hw=size_hw, times_h=TIMES_H, growth_rate_per_h=RATES[0], start_count=start)
    style = replace(
        look,
        diameter_px=2 * math.sqrt(0.06 * size_hw[0] * size_hw[1] / start / math.pi),
        debris=float(rng.uniform(40, 300)),
        floaters=float(rng.choice([2, 8, 25, 60])),
        gradient=float(rng.uniform(0, 0.3)),
        vignetting=float(rng.uniform(0, 0.25)),
        noise=float(rng.uniform(0.005, 0.02)),
        bits=8,
    )
    frames = simulate_culture(
        size_hw=size_hw,
        times_h=TIMES_H,
        growth_rate_per_h=rate,
        start_count=start,
        seed=seed_for(seed, "bench well", well),
        pixel_size_um=PIXEL_UM,
        style=style,
    )
    line, _, name = well.rpartition(" ")
    for index, frame in enumerate(frames):
        if index and rng.random() < MISSING:
            continue
        path = images / f"{line or 'Plate'}_Phase_{name}_1_{_clock(frame.time_h)}_1.tif"
        _write_tiff(path, frame.pixels, PIXEL_UM)


def _role(rate: float) -> str:
    return "control" if rate == RATES[0] else "sample"


def _rate_of(group: str) -> float:
    return float(group.rsplit(maxsplit=1)[-1])


def _line(name: str, fits: list[Any], rate: float) -> tuple[str, ...]:
    known = [fit for fit in fits if fit.doubling_time_h is not None]
    if not known or rate == 0:
        return (name, str(len(fits)), str(len(known)), "", "", "")
    ratios = np.array([fit.doubling_time_h * rate / math.log(2) for fit in known])
    inside = np.mean([fit.rate_lower <= rate <= fit.rate_upper for fit in known])
    return (
        name,
        str(len(fits)),
        str(len(known)),
        f"{np.median(ratios):.3f}",
        f"{100 * np.median(np.abs(ratios - 1)):.1f} %",
        f"{100 * inside:.0f} %",
    )


if __name__ == "__main__":
    main()
