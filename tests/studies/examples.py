"""Scores of studies that never ran, with differences that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from c6seg.studies.scores import ScoreRow, Sizes

SMALL: Sizes = ("704x512", "704x512")
CROSS: Sizes = ("704x512", "2592x1952")
FULL: Sizes = ("2592x1952", "2592x1952")
Mean = Callable[[Mapping[str, str], Sizes], float]


def study_rows(
    configurations: Sequence[Mapping[str, str]],
    mean: Mean,
    *,
    sizes: Sequence[Sizes] = (SMALL,),
    divisions: int = 6,
    tested: int = 6,
    images: int = 15,
    groups: bool = False,
    scatter: float = 0.002,
    seed: int = 0,
) -> list[ScoreRow]:
    """Simulate a study: all configurations meet the same divisions, some images are hard, some trainings go better."""
    rng = np.random.default_rng(seed)
    hard = 0.02 * rng.standard_normal(images)
    rows = []
    for k in range(divisions):
        test = rng.permutation(images)[:tested]
        for configuration in configurations:
            training = 0.4 * scatter * rng.standard_normal()
            for pair in sizes:
                for image in sorted(test.tolist()):
                    score = mean(configuration, pair) + training + hard[image] + scatter * rng.standard_normal()
                    tp = round(100_000 * min(max(score, 0.0), 1.0))
                    counts = (tp, 100_000 - tp, 100_000 - tp, 50_000)
                    group = ("large", "small")[image % 2] if groups else ""
                    name = f"image{image:02d}.tif"
                    rows.append(ScoreRow(configuration, f"split{k:02d}", name, *pair, *counts, group=group))
    return rows


STARTS = {"random": 0.870, "imagenet": 0.930, "livecell": 0.940}
INITIALISATION = [{"encoder": encoder, "init": init} for encoder in ("MiT-B3", "VGG19") for init in STARTS]


def start_mean(configuration: Mapping[str, str], sizes: Sizes) -> float:
    """LIVECell is better than ImageNet, and that than random weights; the encoders are equal."""
    return STARTS[configuration["init"]]
