"""What the runs of a plan will cost: time from a short probe of this machine, memory counted for one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from c6seg.config import TrainConfig
from c6seg.data.images import probe
from c6seg.studies.data import open_place
from c6seg.studies.jobs import Job, Scoring
from c6seg.studies.ledger import Ledger
from c6seg.studies.work import is_done

if TYPE_CHECKING:
    from c6seg.training.probe import StepTime

FORWARD_SHARE = 1 / 3
"""Part of a training step that is its forward pass: what a validated or scored image costs."""

USUAL_HW = (1952, 2592)
"""Size that is assumed of images that are not there: the paper's."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run will cost.

    Parameters
    ----------
    seconds
        About, and for all epochs, though early stopping may end it before; None = not probed.
    memory_mb
        Of a training step, without computing activations again; None = not counted.
    state
        In the ledger, or ``waiting``; a run that is done costs nothing more.
    """

    seconds: float | None
    memory_mb: float | None
    state: str


@dataclass
class Forecast:
    """Costs by key of the run, and where they were probed."""

    costs: dict[str, Cost] = field(default_factory=dict)
    device: str = ""

    @property
    def seconds(self) -> float | None:
        """Time of all runs that are left, one after the other; None = not probed."""
        known = [cost.seconds for cost in self.costs.values()]
        return None if any(value is None for value in known) else math.fsum(value or 0.0 for value in known)


def forecast(
    jobs: Sequence[Job], out: Path | None, *, measure: bool = True, tell: Callable[[str], None] | None = None
) -> Forecast:
    """Forecast the costs of runs on this machine.

    Parameters
    ----------
    jobs
        The runs.
    out
        Output folder; what is done there costs nothing more.
    measure
        Probe and count; else only the states are looked up.
    tell
        Called with what is being probed.
    """
    ledger = None if out is None else Ledger(out, create=False)
    found = Forecast()
    meter = _Meter(tell or (lambda text: None))
    for job in jobs:
        record = None if ledger is None else ledger.read(job.key)
        state = "waiting" if record is None else record.state
        if ledger is not None and is_done(job, ledger):
            found.costs[job.key] = Cost(0.0, None, "done")
        elif not measure:
            found.costs[job.key] = Cost(None, None, state)
        else:
            found.costs[job.key] = Cost(_seconds(job, meter), meter.memory_mb(job.config, _size_hw(job)), state)
    found.device = meter.device
    return found


def _seconds(job: Job, meter: _Meter) -> float:
    config = job.config
    pixels = math.prod(_size_hw(job)) / 1e6
    an_epoch = len(job.train) * config.crops_per_image + FORWARD_SHARE * len(job.val) / config.validate_every
    images: dict[tuple[object, ...], Scoring] = {(s.place, s.names, s.input_hw): s for s in job.tests}
    scored = sum(len(s.names) * math.prod(s.input_hw or _image_hw(s.place.path, job)) / 1e6 for s in images.values())
    # images are scored in tiles: a pixel costs what it does in training
    return meter.seconds_per_mpx(config, pixels) * (config.epochs * an_epoch * pixels + FORWARD_SHARE * scored)


def _size_hw(job: Job) -> tuple[int, int]:
    return job.config.input_size or _image_hw(job.place.path, job)


def _image_hw(path: str, job: Job) -> tuple[int, int]:
    """Size of the first image of a data set of a run; the usual one where it is not there."""
    place = next(place for place in job.places if place.path == path)
    return probe(open_place(place)[0].image).size_hw if Path(path).exists() else USUAL_HW


class _Meter:
    """Probes each kind of training once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.device = ""
        self._times: dict[tuple[str, str], StepTime] = {}
        self._memory: dict[tuple[object, ...], float] = {}

    def seconds_per_mpx(self, config: TrainConfig, mpx: float) -> float:
        from c6seg.training.probe import probe_step

        key = (config.network.encoder, config.precision)
        if key not in self._times:
            self.tell(f"probing {config.network.encoder}")
            self._times[key] = probe_step(config)
            self.device = self._times[key].device
        return self._times[key].rate(mpx)

    def memory_mb(self, config: TrainConfig, size_hw: tuple[int, int]) -> float:
        from c6seg.training.probe import count_memory

        multiple = config.preprocess.multiple
        padded = (size_hw[0] + -size_hw[0] % multiple, size_hw[1] + -size_hw[1] % multiple)
        key = (config.network.encoder, config.precision, config.batch, padded)
        if key not in self._memory:
            self.tell(f"counting the memory of {config.network.encoder} at {padded[1]}x{padded[0]}")
            self._memory[key] = count_memory(config, padded)
        return self._memory[key]
