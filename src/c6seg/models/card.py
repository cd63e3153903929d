"""The model card: a bundle's ``README.md``, written from its description."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c6seg.models.bundle_spec import BundleSpec


def model_card(spec: BundleSpec) -> str:
    """Write the model card of a bundle as Markdown: what it is, data and licences, scores with intervals, limits."""
    parts = [
        f"# {spec.name} {spec.version}",
        spec.description,
        _facts(spec),
        "## Use\n\n```\nc6seg segment IMAGES... --out RESULTS --model "
        f"{spec.name}\n```\n\nInstall the folder first with `c6seg models install FOLDER` or give the folder instead "
        "of the name. `c6seg models check` verifies every file and runs the example.",
        _data(spec),
        _scores(spec),
        _calibration(spec),
        _familiar(spec),
        _int8(spec),
        _limits(spec),
        _provenance(spec.provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(spec: BundleSpec) -> str:
    low, high = spec.preprocess.contrast_percentiles
    pixel = f"{spec.scale.pixel_size_um:g} µm per pixel" if spec.scale.pixel_size_um else "mixed or unknown pixel size"
    if spec.scale.object_size_px:
        pixel += f", cells about {spec.scale.object_size_px:.0f} px across"
    rows = [
        ("network", f"U-Net, {spec.encoder} encoder, bilinear up-sampling"),
        ("input", f"{spec.preprocess.channels}, stretched between percentiles {low:g} and {high:g}, any size"),
        ("trained at", pixel),
        ("threshold", f"{spec.threshold:g} (probability from which a pixel counts as cell)"),
        ("dense clusters", spec.clusters),
        ("licence", spec.licence),
        ("made", spec.created),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows if value)


def _data(spec: BundleSpec) -> str:
    if not spec.training_data:
        return "## Training data\n\nNot recorded."
    lines = ["## Training data", "", "| data | images | licence | source | note |", "|---|---|---|---|---|"]
    for item in spec.training_data:
        images = "" if item.images is None else str(item.images)
        cells = (item.name, images, item.licence, item.source, item.note)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _scores(spec: BundleSpec) -> str:
    if not spec.scores:
        return "## Scores\n\nNone recorded: judge the model on your own images with `c6seg evaluate`."
    lines = ["## Scores", "", "| score | mean | 95 % interval | n | more |", "|---|---|---|---|---|"]
    for name, score in spec.scores.items():
        known = {"mean", "lower", "upper", "n"}
        bounds = (score.get("lower"), score.get("upper"))
        interval = f"{_number(bounds[0])} to {_number(bounds[1])}" if None not in bounds else "not computed"
        more = "; ".join(f"{key}: {_flat(value)}" for key, value in score.items() if key not in known)
        cells = (name, _number(score.get("mean")), interval, score.get("n", ""), more)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _calibration(spec: BundleSpec) -> str:
    found = spec.calibration
    if found is None:
        return ""
    sd = found.confluence_sd_arcsine
    # d(confluence) = 2 sqrt(p (1 - p)) d(asin(sqrt(p))): the sd in points where p of the field is covered
    half, tenth = (200 * sd * math.sqrt(p * (1 - p)) for p in (0.5, 0.1))
    data = f" of {' and '.join(found.data)}" if found.data else ""
    line = (
        f"Confluence is off by {100 * found.confluence_mae:.1f} points on average (mean absolute), sd {sd:.4f} and "
        f"mean {found.confluence_bias_arcsine:+.4f} on the scale asin(sqrt(confluence)), {found.images} images{data}. "
        f"That sd is about {half:.1f} points where half of the field is covered and {tenth:.1f} where a tenth is."
    )
    note = f"\n\nThe images: {found.note}." if found.note else ""
    return f"## Error of confluence\n\n{line}{note}"


def _familiar(spec: BundleSpec) -> str:
    found = spec.familiar
    if found is None:
        return ""
    data = f" of {' and '.join(found.data)}" if found.data else ""
    return (
        "## What is familiar to it\n\n`c6seg segment` flags images as `unlike_training` that are further than "
        f"{found.threshold:g} from the training images, of which {found.images}{data} were measured."
    )


def _int8(spec: BundleSpec) -> str:
    found = spec.int8
    if found is None:
        return ""
    images = f"{found.images} image{'s' * (found.images != 1)}"
    data = f" ({', '.join(found.data)})" if found.data else ""
    return (
        "## In int8\n\nOpenVINO on processors runs the network in int8, unless `--precision` says f32 or bf16. On the "
        f"{images} that it was quantised with{data}, its masks agree with those in f32 to a Dice of "
        f"{found.dice_mean:.4f} on average, {found.dice_worst:.4f} at worst. The scores above were measured without it."
    )


def _limits(spec: BundleSpec) -> str:
    general = (
        "It marks cell against background; it does not separate touching cells.",
        "Objects of another size than in training are missed: give the pixel size where the file does not carry it.",
        "Look at the overlays of your own images before you trust a number.",
    )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in (*spec.limits, *general))


def _provenance(details: Mapping[str, Any]) -> str:
    if not details:
        return ""
    lines = [f"- {key}: {_flat(value)}" for key, value in details.items() if key != "config"]
    if "config" in details:
        lines.append("- every option of the training: `provenance` in `bundle.yaml`")
    return "## How it was made\n\n" + "\n".join(lines)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_flat(inner) for inner in value)
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
