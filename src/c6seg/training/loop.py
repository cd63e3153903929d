"""The training loop: steps, validation, checkpoints, early stopping.

Every random choice is a function of (seed, epoch, step), never of the generator's past; so a training that is killed at
any step and resumed from its last checkpoint gives, on one device, bit for bit what the uninterrupted one gives.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from c6seg.config import TrainConfig
from c6seg.errors import DivergedError
from c6seg.models.encoders import find_encoder
from c6seg.runtime import seed_for
from c6seg.training.batches import Examples, steps_per_epoch, train_batches
from c6seg.training.checkpoint import (
    MovingAverage,
    Progress,
    append_metrics,
    load_checkpoint,
    rewind_metrics,
    save_checkpoint,
    save_tensors,
)
from c6seg.training.device import largest_batch, make_accelerator
from c6seg.training.memory import plan_memory
from c6seg.training.recompute import recompute_blocks
from c6seg.training.step import add_gradient, learning_rate
from c6seg.training.together import join_norms
from c6seg.training.validation import validate

LAST, BEST, METRICS = "checkpoints/last.pt", "checkpoints/best.pt", "metrics.jsonl"
CHECKPOINT_SECONDS = 30.0
"""A checkpoint is written at the end of an epoch if the last one is older than this."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a progress display is told after each step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_dice: float | None


Report = Callable[[Status], None]


@dataclass
class Training:
    """One training in one process.

    Parameters
    ----------
    network
        (N, 3, H, W) to logits (N, 1, H, W); trained in place.
    train, val
        Examples.
    config
        The recipe.
    out
        Run folder; ``checkpoints/`` and ``metrics.jsonl`` are written there.
    report
        Called after every step.
    """

    network: nn.Module
    train: Examples
    val: Examples
    config: TrainConfig
    out: Path
    report: Report | None = None
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        """Move the network to its device and make the optimizer."""
        self.accelerator = make_accelerator(self.config.precision)
        network = self.network.to(memory_format=torch.channels_last)
        self._plan = plan_memory(
            network,
            self.config,
            self.train.largest_hw(),
            count=self.train.main_count * self.config.crops_per_image,
            bf16=self.accelerator.mixed_precision == "bf16",
            device=self.accelerator.device,
        )
        # In this order: a block that is computed again holds the norms that are in it.
        network = join_norms(network, self.accelerator.num_processes, self.accelerator.device)
        if self._plan.recompute:
            recompute_blocks(network, find_encoder(self.config.network.encoder))
        kind = torch.optim.AdamW if self.config.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(network.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay)
        self.model, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.average = MovingAverage(self.raw, self.config.ema) if self.config.ema else None
        self._val_dice: float | None = None
        self._saved_at = time.monotonic()

    @property
    def raw(self) -> nn.Module:
        """The network without the wrapper for several processes."""
        network: nn.Module = self.accelerator.unwrap_model(self.model)
        return network

    def run(self, *, resume: bool = False) -> None:
        """Train to the end.

        Parameters
        ----------
        resume
            Go on from ``checkpoints/last.pt``.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the checkpoint is written.
        DivergedError
            The loss is no longer a number.
        TrainingError
            The checkpoint cannot be used.
        """
        if resume and (self.out / LAST).is_file():
            self.progress = load_checkpoint(
                self.out / LAST, network=self.raw, optimizer=self.optimizer, average=self.average
            )
            # Decided anew: a training may be resumed with more or fewer epochs.
            self.progress.finished = self._is_over()
        if self.accelerator.is_main_process:
            rewind_metrics(self.out / METRICS, epoch=self.progress.epoch)
        if not self.progress.batch:
            self.progress.batch = self._batch_size()
        with _stop_on_interrupt() as stop:
            while not self.progress.finished:
                self._epoch(stop)
        self.load_best()

    def load_best(self) -> None:
        """Put the weights of the best epoch into the network."""
        if self.progress.best_epoch < 0:
            raise DivergedError("No validation gave a loss that is a number; there is nothing to keep.")
        self.accelerator.wait_for_everyone()  # the main process may still be writing it
        state = torch.load(self.out / BEST, map_location="cpu", weights_only=True)
        self.raw.load_state_dict(state)

    def _epoch(self, stop: list[bool]) -> None:
        progress, config = self.progress, self.config
        processes = self.accelerator.num_processes
        batch = progress.batch * config.accumulate
        steps = steps_per_epoch(self.train, batch=batch, processes=processes)
        started = time.monotonic()
        self.model.train()
        batches = train_batches(
            self.train,
            epoch=progress.epoch,
            batch=batch,
            first_step=progress.step,
            rank=self.accelerator.process_index,
            processes=processes,
        )
        seen = 0
        for images, masks in batches:
            rate = learning_rate(config, progress.epoch * steps + progress.step, steps)
            loss, stopping = self._step(images, masks, rate, stop=stop[0])
            if not math.isfinite(loss):
                raise DivergedError(
                    f"The loss is {loss} in epoch {progress.epoch}, step {progress.step}: the training diverged. "
                    f"Try a lower learning_rate than {config.learning_rate:g}; the best epoch so far is kept."
                )
            progress.loss_sum += loss
            progress.loss_steps += 1
            progress.step += 1
            seen += len(images) * processes
            self._tell(steps)
            if stopping:
                self._save()
                self.accelerator.wait_for_everyone()  # the first process to end takes the others with it
                raise KeyboardInterrupt
            if config.checkpoint_steps and progress.step % config.checkpoint_steps == 0 and progress.step < steps:
                self._save()
        self._end_epoch(steps, seconds=time.monotonic() - started, seen=seen)

    def _tell(self, steps: int) -> None:
        progress = self.progress
        if self.report is not None and self.accelerator.is_main_process:
            loss = progress.loss_sum / progress.loss_steps
            self.report(Status(progress.epoch, self.config.epochs, progress.step, steps, loss, self._val_dice))

    def _step(self, images: torch.Tensor, masks: torch.Tensor, rate: float, *, stop: bool) -> tuple[float, bool]:
        """Make one step; the mean loss of all processes, and whether one of them was asked to stop."""
        progress = self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = add_gradient(
            self.accelerator,
            self.model,
            images,
            masks,
            loss=self.config.loss,
            pieces=self.config.accumulate,
            # Layers with chance in them (drop path of the transformers) depend on the step, not on the past.
            seed=seed_for(self.config.seed, "step", progress.epoch, progress.step),
        )
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.raw)
        both = torch.stack([loss.detach(), loss.new_tensor(float(stop))])
        mean, stopping = self.accelerator.reduce(both, reduction="mean").tolist()
        return mean, stopping > 0

    def _end_epoch(self, steps: int, *, seconds: float, seen: int) -> None:
        progress, config = self.progress, self.config
        last = progress.epoch + 1 >= config.epochs
        line: dict[str, Any] = {
            "epoch": progress.epoch,
            "train_loss": progress.loss_sum / max(1, progress.loss_steps),
            "learning_rate": learning_rate(config, progress.epoch * steps + steps - 1, steps),
        }
        if last or (progress.epoch + 1) % config.validate_every == 0:
            line |= self._validate()
        line |= {"seconds": round(seconds, 3), "images_per_s": round(seen / max(seconds, 1e-9), 3)}
        progress.epoch, progress.step, progress.loss_sum, progress.loss_steps = progress.epoch + 1, 0, 0.0, 0
        progress.finished = self._is_over()
        if self.accelerator.is_main_process:
            append_metrics(self.out / METRICS, line)
        if progress.finished or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._save()

    def _is_over(self) -> bool:
        """Whether the last epoch is done, or the validation loss has not fallen for ``early_stopping`` epochs.

        The latter only every ``validate_every`` epochs: between them nothing is known that could have fallen.
        """
        progress, config = self.progress, self.config
        waited = progress.epoch - 1 - progress.best_epoch
        regular = progress.epoch % config.validate_every == 0
        return progress.epoch >= config.epochs or (regular and 0 < config.early_stopping <= waited)

    def _validate(self) -> dict[str, float]:
        own = {key: value.detach().clone() for key, value in self.raw.state_dict().items()} if self.average else None
        if self.average is not None:
            self.raw.load_state_dict(self.average.state)
        found = validate(
            self.model, self.val, batch=self.progress.batch, loss=self.config.loss, device=self.accelerator.device
        )
        # Processes on unlike devices may differ in the last digit; all must choose the same epoch.
        own_loss = torch.tensor(found.loss, dtype=torch.float64, device=self.accelerator.device)
        loss = float(self.accelerator.reduce(own_loss, reduction="mean"))
        if loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_epoch = loss, self.progress.epoch
            self._save_best()
        if own is not None:
            self.raw.load_state_dict(own)
        self._val_dice = found.dice()
        return {"val_loss": loss, "val_dice": self._val_dice}

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.out / LAST,
                network=self.raw,
                optimizer=self.optimizer,
                average=self.average,
                progress=self.progress,
            )
        self._saved_at = time.monotonic()

    def _save_best(self) -> None:
        if self.accelerator.is_main_process:
            save_tensors(self.out / BEST, self.raw.state_dict())

    def _batch_size(self) -> int:
        """Images per step and process."""
        if self.config.batch != "auto" or self.accelerator.device.type == "cpu":
            return self._plan.batch
        image, _ = self.train.train(0, epoch=0, index=0)
        most = min(64, self.train.main_count * self.config.crops_per_image)
        return max(self._plan.batch, largest_batch(self.accelerator, self.raw, image, most=most))


@contextmanager
def _stop_on_interrupt() -> Iterator[list[bool]]:
    """Turn the first Ctrl-C into a wish to stop after the current step; the second one ends at once."""
    stop = [False]

    def handle(number: int, frame: FrameType | None) -> None:
        stop[0] = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        previous = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not in the main thread: somebody else handles signals
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
