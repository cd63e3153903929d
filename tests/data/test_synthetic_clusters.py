from __future__ import annotations

import numpy as np
import pytest

from c6seg.data.synthetic_clusters import simulate_clusters
from c6seg.data.synthetic_style import SceneStyle
from c6seg.errors import UsageError


def test_clusters_are_bright_and_repeatable() -> None:
    first, again = (simulate_clusters(size_hw=(200, 240), seed=5, count=2, style=SceneStyle()) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.clusters.any()
    assert first.pixels[first.clusters].std() > 2 * first.pixels[~first.clusters].std()


def test_none_are_none_and_the_cells_stay_the_same() -> None:
    with_one, without = (simulate_clusters(size_hw=(160, 160), seed=5, count=count) for count in (1, 0))
    assert not without.clusters.any()
    np.testing.assert_array_equal(with_one.labels, without.labels)


def test_a_field_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 32"):
        simulate_clusters(size_hw=(20, 90), seed=0, count=1)
