"""The methods text of a growth analysis, ready to paste into a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from c6seg.config import GrowthConfig
from c6seg.runtime import versions


@dataclass(frozen=True, slots=True)
class Methods:
    """How the numbers were made.

    Parameters
    ----------
    paragraphs
        Text, ready to paste.
    facts
        What identifies the run: name to value, such as the hash of the model.
    """

    paragraphs: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)


def describe_methods(
    config: GrowthConfig, *, manifest: Mapping[str, Any] | None = None, time_sources: tuple[str, ...] = ()
) -> Methods:
    """Write the methods text.

    Parameters
    ----------
    config
        How the curves were fitted.
    manifest
        The ``manifest.json`` of the segmentation; None where the masks come from elsewhere.
    time_sources
        Where the times of the series come from, in words.
    """
    found = dict(versions())
    model = _mapping((manifest or {}).get("model"))
    name, version, digest = (str(model.get(key) or "") for key in ("name", "version", "sha256"))
    facts: dict[str, str] = {"c6seg": found.pop("c6seg")}
    if name:
        facts["model"] = f"{name} {version}".strip()
    if digest:
        facts["model SHA-256"] = digest
    facts["Python"] = found.pop("python")
    facts.update({key: found[key] for key in ("numpy", "scipy") if key in found})
    used = _mapping((manifest or {}).get("versions"))
    if "openvino" in used or "openvino" in found:
        facts["openvino"] = str(used.get("openvino") or found["openvino"])
    threshold = (manifest or {}).get("threshold")
    source = f" Times were taken from {' and '.join(time_sources)}." if time_sources else ""
    return Methods(
        (_segmentation(facts, name, digest, threshold) + source, _growth(config, modelled=bool(name)), _caution()),
        facts,
    )


def _segmentation(facts: Mapping[str, str], name: str, digest: str, threshold: object) -> str:
    if not name:
        return (
            f"Confluence, the covered part of the analysed area, was measured with c6seg {facts['c6seg']} "
            "as the part of the image that the masks mark as cell."
        )
    cut = f" at a threshold of {float(threshold):.3g}" if isinstance(threshold, int | float) else ""
    mark = f" (SHA-256 {digest[:16]})" if digest else ""
    return (
        f"Phase-contrast images were segmented into cell and background with c6seg {facts['c6seg']}, model "
        f"{facts['model']}{mark}, a U-Net, run on OpenVINO {facts.get('openvino', '')}{cut}. Confluence is the covered "
        "part of the analysed area; several fields of a well at the same time were averaged."
    )


def _growth(config: GrowthConfig, *, modelled: bool) -> str:
    sure = f"{100 * config.confidence:g} %"
    masks = f"and a constant mask error of {100 * config.mask_error:g} points of confluence " if modelled else ""
    return (
        f"An exponential law was fitted to the times before confluence reached {100 * config.saturation:g} %, and a "
        "logistic law to all times, by weighted least squares with Huber's loss (SciPy); whether the noise is constant "
        "or grows with the signal was chosen by likelihood, and the law by Akaike's criterion corrected for small "
        "samples (AICc), the exponential being kept where the laws differ by less than 2. The doubling time is ln 2 "
        f"divided by the growth rate. {sure} intervals come from {config.bootstrap} refits of the laws, weighted by "
        "AICc, to resampled noise whose level and correlation between neighbouring times follow from the residuals; "
        f"differences between the fields of a well {masks}are included. No doubling time is given for fewer than "
        f"{config.min_times} usable times, where growth cannot be told from zero or is slighter than spreading cells "
        "can feign, where the field is full from the start, or where the interval is wider than the value."
    )


def _caution() -> str:
    return (
        "Confluence measures covered area, not cell number: the two grow alike while cells keep their size and are not "
        "crowded. Intervals describe the images that were taken; they do not cover differences between cultures."
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
