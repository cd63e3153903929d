"""The forecast of a study: what a step of a transformer costs at a larger image than that of the probe."""

from __future__ import annotations

import pytest

from c6seg.config import NetworkConfig, TrainConfig
from c6seg.studies.forecast import _Meter
from c6seg.training import probe


def test_growth_goes_through_both_sizes() -> None:
    step = probe.through(2.0, 5.0, "cpu")
    assert step.rate(0.192**2) == pytest.approx(2.0)
    assert step.rate(0.384**2) == pytest.approx(5.0)
    assert step.rate(5.06) == pytest.approx(1 + 5.06 * 3 / (0.384**2 - 0.192**2))


def test_a_larger_input_that_is_quicker_makes_no_growth() -> None:
    step = probe.through(2.0, 1.5, "cpu")
    assert step.rate(0.04) == step.rate(5.0) == 1.5


@pytest.mark.parametrize(("encoder", "sides"), [("MiT-B3", [192, 384]), ("VGG19", [192])])
def test_transformers_are_probed_at_two_sizes(monkeypatch: pytest.MonkeyPatch, encoder: str, sides: list[int]) -> None:
    probed = []

    def rate(config: TrainConfig, side_px: int) -> tuple[float, str]:
        probed.append(side_px)
        return side_px / 192, "cpu fp32"

    monkeypatch.setattr(probe, "_rate", rate)
    config = TrainConfig(network=NetworkConfig(encoder=encoder))
    meter = _Meter(lambda text: None)
    small, large = meter.seconds_per_mpx(config, 0.192**2), meter.seconds_per_mpx(config, 5.0)
    assert probed == sides, "once, whatever the sizes"
    assert small == pytest.approx(1.0)
    assert (large > 10) is (len(sides) == 2)
