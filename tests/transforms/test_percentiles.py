from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from c6seg.transforms.percentiles import Percentiles


def streamed(values: np.ndarray, wanted: tuple[float, ...], pieces: int) -> list[float]:
    found = Percentiles(wanted, count=values.size)
    for _ in range(2):
        for piece in np.array_split(values, pieces):
            found.add(piece)
        if not found.again():
            break
    return found.values()


KINDS = st.one_of(
    arrays.arrays(np.uint8, st.integers(1, 60)),
    arrays.arrays(np.uint16, st.integers(1, 60)),
    arrays.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False),
    ),
)


@given(values=KINDS, pieces=st.integers(1, 5), wanted=st.tuples(st.floats(0, 100), st.floats(0, 100)))
def test_they_are_those_of_numpy(values: np.ndarray, pieces: int, wanted: tuple[float, float]) -> None:
    expected = np.percentile(values.astype(np.float64), wanted)
    assert streamed(values, wanted, pieces) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_an_outlier_costs_no_precision() -> None:
    values = np.r_[np.random.default_rng(0).normal(1000, 0.01, 5000), 1e30, -1e30].astype(np.float32)
    expected = np.percentile(values.astype(np.float64), (1, 99))
    assert streamed(values, (1, 99), 3) == pytest.approx(expected, rel=1e-9)


def test_whole_numbers_are_shown_once() -> None:
    found = Percentiles((50,), count=4)
    found.add(np.array([1, 2, 3, 4], np.uint16))
    assert not found.again()
    assert found.values() == [2.5]
