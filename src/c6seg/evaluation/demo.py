"""What the demo simulates, and what is true about it."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from c6seg.growth.analysis import GrowthResult
    from c6seg.growth.reporting.figures import Truth

# A control, two cultures that a treatment slows, and one that does not grow.
DEMO_DOUBLING_TIMES_H = {"A1": 20.0, "A2": 28.0, "A3": 40.0, "A4": math.inf}
DEMO_CULTURE: dict[str, Any] = {
    "size_hw": (512, 640),
    "times_h": [4.0 * step for step in range(13)],
    "growth_rates_per_h": {well: math.log(2) / time for well, time in DEMO_DOUBLING_TIMES_H.items()},
    "start_count": 30,
    "seed": 6,
}


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found, and the truth by well."""

    growth: GrowthResult
    truth: Mapping[str, Truth]


def demo_truth(table: Path, masks: Path) -> dict[str, Truth]:
    """Read the simulated truth and compare the masks with the true ones.

    Parameters
    ----------
    table
        ``truth.csv`` of the simulated culture; the true masks lie beside it.
    masks
        Folder with the masks that were found.

    Returns
    -------
    dict
        Well to its true curve, and the mean Dice of its masks.
    """
    from c6seg.data.annotations import MaskFile
    from c6seg.evaluation.metrics import count, dice
    from c6seg.growth.reporting.figures import Truth

    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["well"]].append(row)
    found = {}
    for well, group in rows.items():
        scores = []
        for row in group:
            name = f"{Path(row['image']).stem}.png"
            true, mask = MaskFile(table.parent / "masks" / name), MaskFile(masks / name)
            if true.size_hw is not None and (masks / name).is_file():
                scores.append(dice(count(mask.mask(true.size_hw), true.mask(true.size_hw))))
        found[well] = Truth(
            doubling_time_h=float(group[0]["doubling_time_h"]) if group[0]["doubling_time_h"] else None,
            time_h=np.array([float(row["time_h"]) for row in group]),
            confluence=np.array([float(row["confluence"]) for row in group]),
            dice=float(np.mean(scores)) if scores else None,
        )
    return found
