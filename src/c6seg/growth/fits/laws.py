"""Growth laws: confluence against time, and its derivatives, for many series at once.

All laws share five parameters, so that a fit is one row of numbers whatever the law:

``a``  logarithm of the confluence at the first time
``r``  growth rate per hour: of unhindered growth; for Gompertz, whose growth is never unhindered, at its begin
``k``  1 / plateau; 0 = none
``v``  shape of the bend into the plateau (Richards)
``g``  lag: hours after the first time before growth begins

The step, one jump between two levels and no growth, is among them: what pictures do that lose focus or are moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
A, R, K, V, LAG = range(5)
COUNT = 5
# A plateau cannot lie above a full field, so 1 / plateau is at least 1; the upper end keeps the search in bounds.
LOWEST = np.array([-12.0, -1.0, 1.0, 0.2, 0.0])
HIGHEST = np.array([math.log(1.5), 1.0, 50.0, 8.0, math.inf])
# A culture starts below its plateau; the laws have a pole where it does not.
FULLEST = 1.0 - 1e-9
STEEPEST = 50.0


@dataclass(frozen=True, slots=True)
class Law:
    """A growth law: which parameters are fitted, and what the others are.

    Parameters
    ----------
    name
        As shown: ``"exponential"``, ``"overlapping"``, ``"logistic"``, ``"Gompertz"``, ``"Richards"``, ``"step"``.
    free
        Indices of the fitted parameters.
    fixed
        (5,) values of the others.
    shape
        Whose bend it is: Gompertz's, that of cells which lie at random and overlap (``"overlap"``), or Richards', of
        which exponential and logistic are special cases; ``"step"`` = one jump, from exp(a) to 1 / k at the lag.
    softness_h
        Width of the bend at the end of the lag, h; a fraction of the time between frames.
    """

    name: str
    free: tuple[int, ...]
    fixed: Floats = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0, 0.0]))
    shape: Literal["richards", "gompertz", "overlap", "step"] = "richards"
    softness_h: float = 1.0

    @property
    def bent(self) -> bool:
        """Whether growth slows down towards a plateau."""
        return self.shape == "overlap" or K in self.free or bool(self.fixed[K] > 0)

    @property
    def lags(self) -> bool:
        """Whether growth begins after a lag."""
        return LAG in self.free or bool(self.fixed[LAG] > 0)

    def full(self, free: Floats) -> Floats:
        """Put fitted values (..., len(free)) among the fixed ones: (..., 5)."""
        values = np.broadcast_to(self.fixed, (*free.shape[:-1], COUNT)).copy()
        values[..., list(self.free)] = free
        return values

    def pinned(self, parameters: Floats, *free: int) -> Law:
        """Return the law of which only ``free`` are fitted (those of its own), and the others are as given, (5,)."""
        return replace(self, free=tuple(index for index in self.free if index in free), fixed=parameters.copy())

    def with_lag(self, softness_h: float) -> Law:
        """Return the law that begins after a lag."""
        return replace(self, free=(*self.free, LAG), softness_h=softness_h)


EXPONENTIAL = Law("exponential", (A, R))
OVERLAPPING = Law("overlapping", (A, R), np.array([0.0, 0.0, 1.0, 1.0, 0.0]), shape="overlap")
FULL_FIELD = Law("logistic", (A, R), np.array([0.0, 0.0, 1.0, 1.0, 0.0]))
LOGISTIC = Law("logistic", (A, R, K), np.array([0.0, 0.0, 1.0, 1.0, 0.0]))
GOMPERTZ = Law("Gompertz", (A, R, K), np.array([0.0, 0.0, 1.0, 1.0, 0.0]), shape="gompertz")
RICHARDS = Law("Richards", (A, R, K, V), np.array([0.0, 0.0, 1.0, 1.0, 0.0]))
STEP = Law("step", (A, K), np.array([0.0, 0.0, 1.0, 1.0, 0.0]), shape="step")


def confluence_at(law: Law, parameters: Floats, time_h: Floats) -> Floats:
    """Confluence by the law.

    Parameters
    ----------
    law
        Which.
    parameters
        (..., 5) a, r, k, v, lag.
    time_h
        (T,) hours since the first time.

    Returns
    -------
    numpy.ndarray
        (..., T). Richards (J. Exp. Bot. 10 (1959) 290): ``y0 exp(r t) / (1 + (y0 k)^v (exp(r v t) - 1))^(1/v)``, the
        logistic with v = 1, the exponential with k = 0. Gompertz: ``exp(L exp(r t / L)) / k`` with ``L = ln(y0 k)``.
        Cells that grow unhindered and lie at random cover ``1 - exp(-x exp(r t))`` with ``x = -ln(1 - y0)``. With a
        lag, t counts from its end (three phases, Buchanan et al., Food Microbiol. 14 (1997) 313).
    """
    a, r, k, v, lag = _columns(parameters)
    if law.shape == "step":
        return np.asarray(np.where(time_h < lag, np.exp(a), 1 / k), dtype=np.float64)
    grown = _since_lag(law, lag, time_h)[0] if law.lags else time_h
    if law.shape == "overlap":
        return np.asarray(-np.expm1(-_layers(a, r, grown)[0]), dtype=np.float64)
    if law.shape == "gompertz":
        depth = _depth(a, k)
        exponent = np.clip(r * grown / depth, -STEEPEST, STEEPEST)
        return np.asarray(np.exp(depth * np.exp(exponent) - np.log(k)), dtype=np.float64)
    below = _richards(a, r, k, v, grown)[2]
    return np.asarray(np.exp(np.clip(a, -STEEPEST, STEEPEST) - np.log(below) / v), dtype=np.float64)


def slopes(law: Law, parameters: Floats, time_h: Floats) -> tuple[Floats, Floats]:
    """Return confluence (..., T) and its derivatives by the free parameters, (..., T, len(law.free))."""
    a, r, k, v, lag = _columns(parameters)
    if law.shape == "step":
        value = np.where(time_h < lag, np.exp(a), 1 / k)
        by = {A: np.where(time_h < lag, value, 0.0), K: np.where(time_h < lag, 0.0, -(value**2))}
        return value, np.stack([by[index] for index in law.free], axis=-1)
    grown, by_lag = _since_lag(law, lag, time_h)[:2] if law.lags else (time_h, None)
    parts: dict[int, Floats] = {}
    if law.shape == "overlap":
        layers, first = _layers(a, r, grown)
        logs, gain = np.log(-np.expm1(-layers)), layers / np.expm1(layers)  # d ln y / d ln(layers)
        parts[A] = gain * np.expm1(first) / first
        parts[R] = gain * grown
        speed = gain * r
    elif law.shape == "gompertz":
        depth = _depth(a, k)
        exponent = np.clip(r * grown / depth, -STEEPEST, STEEPEST)
        bend = np.exp(exponent)
        logs = depth * bend - np.log(k)
        parts[A] = bend * (1 - exponent)
        parts[R] = bend * grown
        parts[K] = (parts[A] - 1) / k
        speed = bend * r
    else:
        shrink, part, below = _richards(a, r, k, v, grown)
        logs = np.clip(a, -STEEPEST, STEEPEST) - np.log(below) / v
        rest = shrink / below
        parts[A] = rest
        parts[R] = grown * (1 - part) * rest
        speed = r * (1 - part) * rest
        if K in law.free:
            parts[K] = -part * (1 - shrink) / (np.maximum(k, 1e-12) * below)
        if V in law.free:
            mix = part * (_depth(a, k) * (1 - shrink) + r * grown) / below
            parts[V] = (r * v * grown + np.log(below)) / v**2 - mix / v
    if by_lag is not None:
        parts[LAG] = speed * by_lag
    value = np.exp(logs)
    return value, np.stack([value * np.broadcast_to(parts[index], value.shape) for index in law.free], axis=-1)


def specific_rate(law: Law, parameters: Floats, time_h: Floats) -> Floats:
    """Growth rate per hour that the law has at each time, d ln(confluence) / dt, (..., T)."""
    a, r, k, v, lag = _columns(parameters)
    if law.shape == "step":
        return np.zeros(np.broadcast_shapes(a.shape, time_h.shape))
    grown = _since_lag(law, lag, time_h)[0] if law.lags else time_h
    growing = -_since_lag(law, lag, time_h)[2] if law.lags else np.ones_like(time_h)
    if law.shape == "overlap":
        layers = _layers(a, r, grown)[0]
        return np.asarray(r * layers / np.expm1(layers) * growing)
    if law.shape == "gompertz":
        return np.asarray(r * np.exp(np.clip(r * grown / _depth(a, k), -STEEPEST, STEEPEST)) * growing)
    shrink, part, below = _richards(a, r, k, v, grown)
    return np.asarray(r * (1 - part) * shrink / below * growing)


def _columns(parameters: Floats) -> tuple[Floats, ...]:
    return tuple(parameters[..., index, None] for index in range(COUNT))


def _layers(a: Floats, r: Floats, grown: Floats) -> tuple[Floats, Floats]:
    """Cell area over field area of cells that overlap at random, at all times and at the first."""
    first = -np.log1p(-np.minimum(np.exp(a), 1 - 1e-6))
    return np.clip(first * np.exp(np.clip(r * grown, -STEEPEST, STEEPEST)), 1e-12, STEEPEST), first


def _depth(a: Floats, k: Floats) -> Floats:
    """Logarithm of the start as a part of the plateau; below 0, as a culture starts below its plateau."""
    return np.minimum(a + np.log(np.maximum(k, 1e-12)), -1e-6)


def _richards(a: Floats, r: Floats, k: Floats, v: Floats, time_h: Floats) -> tuple[Floats, Floats, Floats]:
    """Return exp(-r v t), (y0 k)^v, and the bracket of the law times the former, so that nothing overflows."""
    shrink = np.exp(np.clip(-r * v * time_h, -STEEPEST, STEEPEST))
    part = np.where(k > 0, np.minimum(np.exp(v * _depth(a, k)), FULLEST), 0.0)
    return shrink, part, shrink + part * (1 - shrink)


def _since_lag(law: Law, lag: Floats, time_h: Floats) -> tuple[Floats, Floats, Floats]:
    """Hours of growth at each time, their derivative by the lag, and minus their derivative by time.

    The corner at the end of the lag is rounded over a fraction of the time between frames, so that it has a derivative.
    """
    width = law.softness_h
    ahead, start = (time_h - lag) / width, -lag / width
    grown = width * (np.logaddexp(0, ahead) - np.logaddexp(0, start))
    rise, first = (1 / (1 + np.exp(-np.clip(each, -STEEPEST, STEEPEST))) for each in (ahead, start))
    return grown, first - rise, -rise
