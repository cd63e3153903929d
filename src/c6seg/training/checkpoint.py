"""The state of a training: everything that decides its future, saved whole and read back exactly."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from c6seg.errors import TrainingError
from c6seg.runtime import atomic_path, write_text

FORMAT = "c6seg-checkpoint/1"


@dataclass
class Progress:
    """Where a training stands.

    Parameters
    ----------
    epoch, step
        Next epoch, and next step within it, from 0.
    loss_sum, loss_steps
        Running sum of the training loss in the current epoch.
    best_loss, best_epoch
        Lowest validation loss so far, and its epoch (-1 = none yet).
    batch
        Images per step and process, as found or configured.
    finished
        Whether the last epoch or early stopping was reached.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    best_loss: float = float("inf")
    best_epoch: int = -1
    batch: int = 0
    finished: bool = False


class MovingAverage:
    """Exponential moving average of a network's tensors, batch-norm statistics included (Polyak averaging).

    The decay is warmed up as ``min(decay, (1 + n) / (10 + n))`` with n the number of updates, so that a short training
    is not dominated by its start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network's tensors after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
    progress: Progress,
) -> None:
    """Write a checkpoint, whole or not at all."""
    values = {
        "format": FORMAT,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": None if average is None else {"updates": average.updates, "state": average.state},
        "progress": asdict(progress),
    }
    save_tensors(path, values)


def save_tensors(path: Path, values: Any) -> None:
    """Write what torch can save, whole or not at all.

    Raises
    ------
    OutputError
        The disk is full, or the folder may not be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(values, file)
        except RuntimeError as error:  # torch hides the reason behind an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_checkpoint(
    path: Path, *, network: nn.Module, optimizer: torch.optim.Optimizer, average: MovingAverage | None
) -> Progress:
    """Read a checkpoint into network, optimizer and average.

    Raises
    ------
    TrainingError
        The file is damaged or of another version or network.
    """
    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if values.get("format") != FORMAT:
            raise TrainingError(f"Checkpoint '{path}' is of another version ({values.get('format')}); start over.")
        network.load_state_dict(values["network"])
        optimizer.load_state_dict(values["optimizer"])
        if average is not None:
            average.updates = values["average"]["updates"]
            device = {key: value.device for key, value in average.state.items()}
            average.state = {key: value.to(device[key]) for key, value in values["average"]["state"].items()}
        known = {field.name for field in fields(Progress)}
        return Progress(**{key: value for key, value in values["progress"].items() if key in known})
    except (OSError, EOFError, KeyError, TypeError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        if isinstance(error, TrainingError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"Checkpoint '{path}' cannot be resumed from: {reason}") from error


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a metrics file; a last line cut short by a kill is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def rewind_metrics(path: Path, *, epoch: int) -> None:
    """Drop the lines of ``epoch`` and later, which a resumed training writes again."""
    kept = [line for line in read_metrics(path) if line["epoch"] < epoch]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Add one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
