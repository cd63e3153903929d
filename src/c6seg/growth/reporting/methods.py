"""The methods text of a growth analysis, ready to paste into a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from c6seg.config import GrowthConfig
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.series import Series
from c6seg.growth.timeline.interval import Calibration
from c6seg.growth.words import confidence_text, counted, percent
from c6seg.growth.wounds.results import WoundFit
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
    config: GrowthConfig,
    *,
    manifest: Mapping[str, Any] | None = None,
    time_sources: tuple[str, ...] = (),
    series: Sequence[Series] = (),
    calibration: Calibration | None = None,
    mask_error: float | None = None,
    plate: PlateResult | None = None,
    wounds: Sequence[WoundFit] = (),
) -> Methods:
    """Write the methods text: what was done, and nothing else.

    Parameters
    ----------
    config
        How the curves were fitted.
    manifest
        The ``manifest.json`` of the segmentation; None where the masks come from elsewhere.
    time_sources
        Where the times of the series come from, in words.
    series
        The curves; times that were excluded are told of.
    calibration
        Error of the masks that the intervals of the confluence hold; None = none.
    mask_error
        Standard deviation of the constant error of the confluence that the intervals of the rates hold; None = that of
        ``config`` where a model made the masks, else 0.
    plate
        What the plate map and the comparisons say.
    wounds
        Closing wounds.
    """
    facts, name, digest = _facts(manifest or {})
    source = f" Times were taken from {' and '.join(time_sources)}." if time_sources else ""
    error = mask_error if mask_error is not None else config.mask_error if name else 0.0
    first = (
        _segmentation(facts, name, digest, (manifest or {}).get("threshold"))
        + _scale(series)
        + source
        + _excluded(series)
    )
    paragraphs = [
        f"{first} {_intervals(config, calibration)}",
        _growth(config, mask_error=error, calibrated=calibration is not None),
    ]
    if plate is not None:
        paragraphs += _plate(plate, config)
    if wounds:
        paragraphs.append(_wound(wounds, config))
    return Methods((*paragraphs, _caution(plate)), facts)


def _facts(manifest: Mapping[str, Any]) -> tuple[dict[str, str], str, str]:
    found = dict(versions())
    model = _mapping(manifest.get("model"))
    name, version, digest = (str(model.get(key) or "") for key in ("name", "version", "sha256"))
    facts: dict[str, str] = {"c6seg": found.pop("c6seg")}
    if name:
        facts["model"] = f"{name} {version}".strip()
    if digest:
        facts["model SHA-256"] = digest
    facts["Python"] = found.pop("python")
    facts.update({key: found[key] for key in ("numpy", "scipy") if key in found})
    used = _mapping(manifest.get("versions"))
    if "openvino" in used or "openvino" in found:
        facts["openvino"] = str(used.get("openvino") or found["openvino"])
    return facts, name, digest


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


def _scale(series: Sequence[Series]) -> str:
    """Say at how many times the pixel size was unknown, so that no image was brought to the scale of the model."""
    total = sum(one.time_h.size for one in series)
    unknown = sum("scale_unknown" in flags for one in series for flags in one.flags)
    if not unknown:
        return ""
    where = "" if unknown == total else f" at {unknown} of {counted(total, 'time')}"
    return (
        f" The pixel size was unknown{where}: the images were segmented as they are, not brought to the scale that the "
        "model was trained at, and areas in µm² are not given."
    )


def _excluded(series: Sequence[Series]) -> str:
    gone = [(one, index) for one in series if one.used is not None for index in (~one.used).nonzero()[0]]
    if not gone:
        return ""
    total = sum(one.time_h.size for one in series)
    flags = sorted({flag.replace("_", " ") for one, index in gone for flag in one.flags[index]})
    why = f" by their quality flags ({', '.join(flags)})" if flags else ""
    return f" {len(gone)} of {counted(total, 'time')} of all series together were excluded{why}."


def _intervals(config: GrowthConfig, calibration: Calibration | None) -> str:
    masks = ""
    if calibration is not None:
        data = f" ({calibration.source})" if calibration.source else ""
        masks = (
            f", and the error of the masks, with a standard deviation of {calibration.sd:.2g} on the same scale as "
            f"measured on {counted(calibration.images, 'annotated image')} that the model was not trained on{data}"
        )
    return (
        f"{confidence_text(config.confidence)} intervals of a single confluence hold the spread between the fields of "
        "a well, or with one field the scatter about the neighbouring times, pooled over time on the arcsine "
        f"square-root scale{masks}."
    )


def _growth(config: GrowthConfig, *, mask_error: float, calibrated: bool) -> str:
    sure = confidence_text(config.confidence)
    masks = ""
    if calibrated:
        masks = "and the error of the masks, as one shift of all times of a series, "
    elif mask_error > 0:
        masks = f"and a constant error of the masks (standard deviation {percent(mask_error)} confluence) "
    return (
        f"An exponential law was fitted to the times before confluence reached {100 * config.saturation:g} %, and "
        "logistic, Gompertz and Richards laws, and that of cells which grow unhindered and overlap at random, to all "
        "times, each without and with a lag, by weighted least squares with Huber's loss (SciPy); whether the noise is "
        "constant or grows with the signal was chosen by likelihood, and the law by Akaike's criterion "
        "corrected for small samples (AICc), with a cost that makes all other laws "
        "together as likely beforehand as the exponential, a simpler law being shown where it lies within 2 of the "
        "best. The growth rate is that of unhindered growth after any lag (of Gompertz's law, at its begin), for "
        "crowded starts averaged over the laws with Akaike weights, the doubling time ln 2 divided by it; the "
        "exponential phase is where growth has at least three quarters of that rate. "
        f"{sure} intervals come from {config.bootstrap} refits of the laws, weighted by AICc, to resampled "
        "noise whose level and correlation between neighbouring times follow from the residuals; "
        f"differences between the fields of a well {masks}are included. No doubling time is given for fewer than "
        f"{config.min_times} usable times, where growth cannot be told from zero or from a single jump, or is slighter "
        "than spreading cells can feign, where the field is full from the start, where it would be faster than one "
        f"doubling in {config.fastest_doubling_h:g} h, or where the interval is wider than the value."
    )


def _plate(plate: PlateResult, config: GrowthConfig) -> Iterator[str]:
    left = [w for w in plate.wells if w.series is not None and not w.compared and w.info.role != "blank"]
    out = f" {counted(len(left), 'well')} did not enter, for the reasons in the table of the plate." if left else ""
    compared = counted(sum(well.compared for well in plate.wells), "well")
    several = len(plate.plates) > 1
    random = "a random effect of each treatment on each plate, plates as blocks, " if several else ""
    freedom = (
        "the degrees of freedom of treatments within plates (containment)"
        if several
        else ("Satterthwaite's degrees of freedom")
    )
    if plate.groups:
        yield (
            f"Treatments were compared by the growth rates of {compared}, those that do "
            "not grow among them; the well is the unit of replication, whatever the number of fields and frames. A "
            f"linear mixed model with an effect for each treatment and concentration, {random}a variance between wells "
            "treated alike and the known standard error of each well's own fit was fitted by restricted maximum "
            f"likelihood, with {freedom}." + out + _comparisons(plate, config)
        )
    if plate.doses:
        yield (
            "Dose responses are four-parameter logistic curves of the growth rate against concentration, the control "
            "being concentration 0, by least squares weighted with the variance between wells and that of each well's "
            f"fit; {confidence_text(config.confidence)} intervals come from the profile of the sum of squares, widened "
            "by the sandwich estimator where wells scatter most at the bend. No IC50 is given where the tested "
            "concentrations do not bracket it."
        )


def _comparisons(plate: PlateResult, config: GrowthConfig) -> str:
    if not plate.comparisons:
        return ""
    controls = " or ".join(dict.fromkeys(one.control for one in plate.comparisons))
    how = "in this model"
    if len(plate.plates) == 1:
        how += " or, where groups scattered differently (Bartlett's test, 1 %), by their own wells alone"
    return (
        f" Differences from {controls} were tested {how}, with p-values corrected for their number by Holm's method "
        f"(level {1 - config.confidence:.2g}); effect sizes are Hedges' g with intervals from the noncentral t "
        "distribution."
    )


def _wound(wounds: Sequence[WoundFit], config: GrowthConfig) -> str:
    several = len(wounds) > 1
    return (
        f"The gap in the layer of cells was followed in {counted(len(wounds), 'series', 'series')} as the part of the "
        f"analysed area that is open, single cells inside {'them' if several else 'it'} counting as open. A gap "
        "between straight fronts was described by a straight line until it is closed, a round one by a straight line "
        "of its radius, with a lag or an early stop only where the data clearly show one (AICc); the closure rate is "
        f"the part of the first gap that closes per hour. {confidence_text(config.confidence)} intervals come from "
        f"{config.bootstrap} refits to noise drawn anew, with the differences between fields."
    )


def _caution(plate: PlateResult | None) -> str:
    cultures = "they do not cover differences between cultures"
    if plate is not None and plate.comparisons:
        cultures = "differences between wells are in the comparisons only, those between repeated experiments nowhere"
    return (
        "Confluence measures covered area, not cell number: the two grow alike while cells keep their size and are not "
        f"crowded. Intervals of a series describe the images that were taken; {cultures}."
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
