"""Whether wells in the outer ring of a plate grow otherwise than inner ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from c6seg.growth.plates.mixed import contrast, fit_mixed
from c6seg.growth.plates.rates import RateModel
from c6seg.growth.plates.results import Group
from c6seg.growth.words import confidence_text, number

# Parts of edge wells that differ this much between treatment and control leave nothing to tell them apart with.
CONFOUNDED = 0.75


def edge_notes(model: RateModel, groups: Sequence[Group], control: str | None, *, confidence: float) -> list[str]:
    """Say how edge wells differ from inner wells treated alike, and where edge and treatment cannot be told apart."""
    edge = np.array([well.edge for well in model.wells], dtype=np.float64)
    if not edge.any() or edge.all():
        return []
    return [*_effect(model, edge, confidence), *_confounded(model, groups, control)]


def _effect(model: RateModel, edge: np.typing.NDArray[np.float64], confidence: float) -> list[str]:
    members = np.eye(len(model.labels))[[model.labels.index(well.group) for well in model.wells]]
    design = np.column_stack([members, edge])
    if len(model.wells) <= design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return ["whether edge wells grow otherwise cannot be told: no treatment has both edge wells and inner ones"]
    found = contrast(fit_mixed(model.rates, design, model.errors, model.plates), np.eye(design.shape[1])[-1])
    lower, upper = found.interval(confidence)
    sure = f"{confidence_text(confidence)} interval"
    if found.p is None or found.p >= 1 - confidence:
        numbers = f"{number(found.estimate, 2)} per h, {sure} {number(lower, 2)} to {number(upper, 2)}"
        return [f"no difference between edge wells and inner wells treated alike can be claimed ({numbers})"]
    ends = (lower, upper) if found.estimate > 0 else (-upper, -lower)
    return [
        f"edge wells grow {'faster' if found.estimate > 0 else 'slower'} than inner wells treated alike by "
        f"{number(abs(found.estimate), 2)} per h ({sure} {number(ends[0], 2)} to {number(ends[1], 2)}): leave the "
        "outer ring without cells, or spread every treatment over edge and inside alike"
    ]


def _confounded(model: RateModel, groups: Sequence[Group], control: str | None) -> list[str]:
    part = {label: float(np.mean([well.edge for well in model.wells if well.group == label])) for label in model.labels}
    if control not in part:
        return []
    apart = [
        group.label for group in groups if group.label in part and abs(part[group.label] - part[control]) >= CONFOUNDED
    ]
    if not apart:
        return []
    where = "at the edge" if part[control] > 0.5 else "inside"
    shown = ", ".join(apart[:4]) + (" ..." if len(apart) > 4 else "")
    return [f"{control} lies mostly {where} and {shown} do not: an effect of the edge looks like one of the treatment"]
