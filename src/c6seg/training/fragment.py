"""The option ``augment.fragment = auto`` turned into numbers."""

from __future__ import annotations

from collections.abc import Sequence

from c6seg.config import TrainConfig, format_size
from c6seg.data.items import Item
from c6seg.errors import DataError, UsageError
from c6seg.training.outcome import object_size_px, typical_side
from c6seg.transforms.scale import fragment_range, largest_input, matching_fraction


def with_fragment(config: TrainConfig, items: Sequence[Item]) -> TrainConfig:
    """Measure the annotated objects of the training images, and set the range of fragments by them where it is auto.

    Parameters
    ----------
    config
        The recipe.
    items
        The training images.

    Raises
    ------
    UsageError
        A fragment without an input size or, for ``auto``, without a size of the objects; or one that would be larger
        than the image.
    DataError
        No object to measure.
    """
    augment, input_hw = config.augment, config.input_size
    if augment.fragment is None:
        return config
    if input_hw is None:
        raise UsageError("augment.fragment needs an input size to bring fragments to: pass --set input_size=1472x1120.")
    if isinstance(augment.fragment, tuple):
        return config
    if augment.object_px is None:
        raise UsageError(
            "augment.fragment = auto needs the size that objects shall have, in px at the network's input: pass "
            "--set augment.object_px=..., from the line 'equivalent diameter' of: c6seg data describe TARGET"
        )
    found, side = object_size_px(items), typical_side(items)
    if found is None:
        raise DataError(
            "augment.fragment = auto measures the annotated objects of the training images; there are none."
        )
    fraction = matching_fraction(found, augment.object_px, (side, side), input_hw)
    if fraction > 1:
        smaller = format_size(largest_input(input_hw, fraction))
        raise UsageError(
            f"Objects of {found:g} px in images of {side:.0f} px are larger than {augment.object_px:g} px even in a "
            f"whole image at {format_size(input_hw)}: pass --set input_size={smaller} or less."
        )
    values = {"fragment": fragment_range(fraction, augment.fragment_spread)}
    return config.model_copy(update={"augment": augment.model_copy(update=values)})
