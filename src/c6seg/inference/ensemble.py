"""Several models on one image: the mean of their probabilities, each made at the scale of its own model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from c6seg.config import SegmentConfig
from c6seg.errors import UsageError

if TYPE_CHECKING:
    from c6seg.data.images import Frame
    from c6seg.inference.segmenter import Segmenter


def alone(config: SegmentConfig) -> SegmentConfig:
    """Give the options of a further model: those of the first, without what is about several models."""
    only = {"clusters": "include", "cluster_model": None, "ensemble": (), "threshold": None}
    return config.model_copy(update=only)


def check_members(first: Segmenter, members: Sequence[Segmenter]) -> None:
    """Refuse a model that is there twice: it would weigh double.

    Raises
    ------
    UsageError
        Names it.
    """
    seen = {first.model_sha256}
    for member in members:
        if member.model_sha256 in seen:
            raise UsageError(
                f"The model {member.bundle.spec.name!r} is in the ensemble twice. Give each model once: the first with "
                "--model, every further one with --ensemble."
            )
        seen.add(member.model_sha256)


def mean_probability(own: NDArray[np.float32], members: Sequence[Segmenter], frame: Frame) -> NDArray[np.float32]:
    """Mean of the probabilities of all models for an image, float32 (Y, X) in 0..1.

    Parameters
    ----------
    own
        That of the first model, (Y, X).
    members
        The further ones.
    frame
        The image, from which each of them finds its own scale.
    """
    if not members:
        return own
    total = own.copy()
    for member in members:
        total += member.infer(frame)[0]
    total /= len(members) + 1
    return total


def mean_threshold(first: float, members: Sequence[Segmenter]) -> float:
    """Mean of the thresholds of all models."""
    return float(np.mean([first, *(member.threshold for member in members)]))
