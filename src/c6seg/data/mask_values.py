"""What the numbers in a mask file mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLUSTER_VALUE", "cells_of", "mask_values"]

CLUSTER_VALUE = 128
"""Of a dense cluster that is reported apart from the cells, which have 255."""


def mask_values(mask: NDArray[np.bool_], clusters: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Give the values of a mask file: 255 = cell, 128 = cluster, 0 = neither.

    Examples
    --------
    >>> mask_values(np.array([True, False, False]), np.array([False, True, False]))
    array([255, 128,   0], dtype=uint8)
    """
    values = np.asarray(mask, dtype=bool).astype(np.uint8) * np.uint8(255)
    if clusters is not None:
        values[clusters & (values == 0)] = CLUSTER_VALUE
    return values


def cells_of(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Give the cells of a mask file: what is not 0, without the clusters where it reports them.

    Parameters
    ----------
    values
        Of a mask as :func:`mask_values` gives it, or of one made elsewhere, in which 128 beside other values than 0
        and 255 is the number of a cell.

    Examples
    --------
    >>> cells_of(np.array([255, 128, 0], np.uint8)), cells_of(np.array([127, 128, 0], np.uint8))
    (array([ True, False, False]), array([ True,  True, False]))
    """
    cells, sure = np.asarray(values != 0), np.asarray(values == 255)
    return sure if np.array_equal(cells & ~sure, values == CLUSTER_VALUE) else cells
