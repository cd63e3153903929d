"""The whole analysis for other programs: ``report.json``.

Keys, all of them always present; what is not known is ``null``, and no number is NaN:

``format``
    ``"c6seg-growth/1"``; the number rises when a key changes its meaning or goes.
``title``, ``created``, ``versions``, ``platform``
    Heading, time of writing (UTC), and what it was made with.
``config``
    Options of the analysis.
``segmentation``
    What the masks were made with, from their manifest: ``model`` (name, version, sha256, ...), ``threshold``,
    ``options``, ``versions``; null where the masks come from elsewhere.
``methods``
    ``paragraphs`` (text) and ``facts`` (name to value).
``series``
    A list; of each ``name``, ``well``, ``plate``, ``time_source``, ``notes``, and lists over its times: ``time_h``,
    ``confluence``, ``lower``, ``upper``, ``noise_lower``, ``noise_upper``, ``used``, ``flags``, ``images`` (name and
    frame of each), ``rows`` (which field each of them is), ``fields`` (one list for each field), ``cell_area_um2``,
    ``cluster_fraction``, ``object_count``; null in place of a list that is unknown as a whole. ``fit``: as
    :class:`~c6seg.growth.fits.verdicts.GrowthFit`, with ``curve`` (``time_h``, ``confluence``, ``lower``, ``upper``).
    ``truth``: for simulated series, ``doubling_time_h``, ``time_h``, ``confluence``, ``dice``; else null.
``plate``
    As :class:`~c6seg.growth.plates.results.PlateResult`: ``size``, ``plates``, ``wells``, ``groups``, ``comparisons``,
    ``doses``, ``design``, ``blank``, ``notes``; null without a plate map.
``wounds``
    A list, each as :class:`~c6seg.growth.wounds.results.WoundFit`.
``failures``
    A list of ``image`` and ``reason``: what could not be segmented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c6seg.config import GrowthConfig
from c6seg.growth.curves import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.reporting.figures import Truth
from c6seg.growth.reporting.methods import Methods
from c6seg.growth.series import Series
from c6seg.growth.wounds.results import WoundFit
from c6seg.runtime import provenance, write_text

FORMAT = "c6seg-growth/1"
SEGMENTATION = ("model", "threshold", "options", "versions")


def write_record(
    path: Path,
    *,
    title: str,
    series: Sequence[Series],
    fits: Sequence[GrowthFit],
    config: GrowthConfig,
    methods: Methods,
    manifest: Mapping[str, Any] | None = None,
    truth: Mapping[str, Truth] | None = None,
    plate: PlateResult | None = None,
    wounds: Sequence[WoundFit] = (),
    failures: Sequence[tuple[str, str]] = (),
) -> None:
    """Write ``report.json``, whose keys the docstring of this module names.

    Parameters
    ----------
    path
        ``report.json``.
    title
        Heading of the analysis.
    series, fits
        The curves and what was read from them, in the same order.
    config
        Options of the analysis.
    methods
        Text and facts.
    manifest
        The ``manifest.json`` of the segmentation; None where the masks come from elsewhere.
    truth
        For simulated series, what is known to be true.
    plate
        What the plate map and the comparisons say.
    wounds
        Closing wounds.
    failures
        (image, reason) of what could not be segmented.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    truths = truth or {}
    content = {
        "format": FORMAT,
        "title": title,
        **provenance(),
        "config": config.model_dump(mode="json"),
        "segmentation": {key: manifest.get(key) for key in SEGMENTATION} if manifest else None,
        "methods": methods,
        "series": [
            {**_content(one), "fit": fit, "truth": truths.get(one.name)} for one, fit in zip(series, fits, strict=True)
        ],
        "plate": plate,
        "wounds": wounds,
        "failures": [{"image": image, "reason": reason} for image, reason in failures],
    }
    write_text(path, json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: dataclasses as objects, arrays as lists, what is not finite as null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if is_dataclass(value) or isinstance(value, Mapping):
        items = value.items() if isinstance(value, Mapping) else _content(value).items()
        return {str(key): plain(each) for key, each in items}
    return [plain(each) for each in value]


def _content(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
