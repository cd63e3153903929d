from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from c6seg.data.images import write_mask
from c6seg.data.mask_values import cells_of, mask_values
from c6seg.data.masks import labels_from_values, read_labels


def test_clusters_are_no_cells_for_any_reader(tmp_path: Path) -> None:
    cells = np.zeros((20, 30), bool)
    cells[2:8, 3:9] = True
    clusters = np.zeros_like(cells)
    clusters[5:18, 15:28] = True
    write_mask(tmp_path / "m.png", cells, clusters)
    assert_array_equal(read_labels(tmp_path / "m.png") > 0, cells)
    assert_array_equal(cells_of(mask_values(cells, clusters)), cells)
    assert not cells_of(mask_values(clusters & cells, clusters)).any()


def test_a_cell_wins_over_a_cluster() -> None:
    assert_array_equal(mask_values(np.array([True]), np.array([True])), [255])


@pytest.mark.parametrize("values", [[0, 1, 1], [0, 255, 255], [0, 127, 128], [0, 1, 255]])
def test_other_masks_stay_what_they_were(values: list[int]) -> None:
    assert_array_equal(cells_of(np.array(values, np.uint8)), [False, True, True])


def test_a_binary_mask_of_0_and_128_from_elsewhere_has_cells() -> None:
    assert labels_from_values(np.array([[0, 128], [0, 128]], np.uint8)).any()
