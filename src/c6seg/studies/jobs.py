"""What a study consists of once its data are known: trainings by content, tests by content, and what they answer.

A training is named by a hash of everything that decides its result: options, seed, images with their annotations in
their order, and the weights that it starts from. So the same training in two studies is one, and is never done twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from c6seg.config import SizeHW, TrainConfig, format_size
from c6seg.studies.data import Place
from c6seg.studies.spec import EvaluationSpec

RUN_FORMAT = "c6seg-run/1"
COUNTS_FORMAT = "c6seg-counts/1"
RUN_PREFIX = "run:"
"""Start of ``network.init`` where a training starts from the result of another one."""

NO_MATTER = {"name", "licence", "limits", "data_sources", "description", "checkpoint_steps", "checkpointing"}
"""Options that do not decide the weights."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Images that are scored at one pair of sizes.

    Parameters
    ----------
    key
        Hash of the images, sizes and options.
    place, names
        The images.
    input_hw, score_hw
        R and R2, px; None = native.
    evaluation
        How the network is run.
    """

    key: str
    place: Place
    names: tuple[str, ...]
    input_hw: SizeHW
    score_hw: SizeHW
    evaluation: EvaluationSpec


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images of which masks are kept."""

    key: str
    place: Place
    names: tuple[str, ...]
    input_hw: SizeHW
    evaluation: EvaluationSpec


@dataclass(frozen=True, slots=True)
class Job:
    """One training with its tests: the unit of work, on this machine or another.

    Parameters
    ----------
    key
        Hash of everything that decides the weights.
    title
        For people.
    config
        The training; ``network.init`` may be ``run:KEY``.
    place, train, val
        Its images.
    needs
        Keys of the trainings that it starts from.
    tests, pictures
        What is done with the result.
    """

    key: str
    title: str
    config: TrainConfig
    place: Place
    train: tuple[str, ...]
    val: tuple[str, ...]
    needs: tuple[str, ...] = ()
    tests: tuple[Scoring, ...] = ()
    pictures: tuple[Pictures, ...] = ()

    @property
    def places(self) -> set[Place]:
        """Data sets that it reads."""
        return {self.place, *(scoring.place for scoring in self.tests), *(shown.place for shown in self.pictures)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A test as a study asks for it: its key, sizes, and the names and groups of its images."""

    key: str
    configuration: Mapping[str, str]
    input_size: str
    score_size: str
    names: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration of a study in one division: which training answers it, and by which tests.

    Parameters
    ----------
    study, configuration, split
        Of what it is a point.
    job
        Key of the training.
    data
        Data set of the training.
    images
        Number of training, validation and test images.
    overlap
        Part of its images that the training set shares with that of another division, on average.
    asked, pictures
        The tests, and keys of the masks that are kept.
    """

    study: str
    configuration: Mapping[str, str]
    split: str
    job: str
    data: str
    images: tuple[int, int, int]
    overlap: float
    asked: tuple[Asked, ...] = ()
    pictures: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "configuration": dict(self.configuration),
            "split": self.split,
            "job": self.job,
            "trained": {"data": self.data, "images": list(self.images), "overlap": self.overlap},
            "tests": [
                {
                    "key": asked.key,
                    "configuration": dict(asked.configuration),
                    "input_size": asked.input_size,
                    "score_size": asked.score_size,
                    "names": list(asked.names),
                    "groups": list(asked.groups),
                }
                for asked in self.asked
            ],
            "pictures": list(self.pictures),
        }


def run_key(config: TrainConfig, start: str, train: Sequence[str], val: Sequence[str]) -> str:
    """Hash everything that decides the weights of a training.

    Options at their defaults do not count, so that an option which a later version adds leaves the hash as it is; a
    version that changes a default must change :data:`RUN_FORMAT`.

    Parameters
    ----------
    config
        Its options; where the start lies does not count, what it holds does.
    start
        Hash of the weights at the start, or ``random``, or ``run:KEY``.
    train, val
        Hashes of the images with their annotations, in their order.
    """
    options = config.model_dump(mode="json", exclude=NO_MATTER, exclude_defaults=True)
    options["network"] = {"encoder": config.network.encoder}
    return short_hash([RUN_FORMAT, options, start, list(train), list(val)])


def counts_key(digests: Sequence[str], input_hw: SizeHW, score_hw: SizeHW, evaluation: EvaluationSpec) -> str:
    """Hash everything but the network that decides the counts of a test."""
    sizes = [format_size(input_hw), format_size(score_hw)]
    return short_hash([COUNTS_FORMAT, list(digests), sizes, evaluation.model_dump(mode="json")])


def short_hash(value: Any) -> str:
    """Hash a value of JSON to 20 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:20]
