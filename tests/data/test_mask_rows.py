from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c6seg.data import mask_rows
from c6seg.data.mask_rows import write_mask_rows


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 1200), width=st.integers(1, 1200), cuts=st.lists(st.integers(1, 1199), max_size=4))
def test_bands_of_any_height_become_the_mask(tmp_path: Path, height: int, width: int, cuts: list[int]) -> None:
    mask = np.random.default_rng(height).random((height, width)) < 0.3
    path = tmp_path / "mask.tif"
    write_mask_rows(path, iter(np.split(mask, sorted(cut for cut in set(cuts) if cut < height))), mask.shape)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].is_tiled
        assert not tif.is_bigtiff
        np.testing.assert_array_equal(tif.asarray(), mask * np.uint8(255))


def test_a_very_large_mask_is_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_rows, "_CLASSIC_BYTES", 100)
    write_mask_rows(tmp_path / "mask.tif", [np.ones((20, 20), bool)], (20, 20))
    with tifffile.TiffFile(tmp_path / "mask.tif") as tif:
        assert tif.is_bigtiff
        assert (tif.asarray() == 255).all()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_stopped_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def bands() -> Iterator[np.ndarray]:
        yield np.ones((600, 600), bool)
        raise error

    with pytest.raises(error):
        write_mask_rows(tmp_path / "mask.tif", bands(), (1200, 600))
    assert list(tmp_path.iterdir()) == []
