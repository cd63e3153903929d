"""Real time series: cells that do not multiply, and a culture seen at too few times."""

from __future__ import annotations

from pathlib import Path

from c6seg import api

# t98g_timelapse: MIT, github.com/oist/Usiigaci. LIVECell: CC BY-NC 4.0, doi 10.1038/s41592-021-01249-6.


def test_cells_that_move_and_do_not_multiply_get_no_doubling_time(shared_data: Path, tmp_path: Path) -> None:
    result = api.grow(shared_data / "t98g_timelapse", tmp_path / "out")
    (series,), (fit,) = result.series, result.fits
    assert series.time_h.size == 13
    assert series.time_source == "the time tags of the files"
    assert series.notes == ()
    assert 5.9 < series.time_h[-1] < 6.1
    assert fit.doubling_time_h is None
    assert "no growth" in fit.verdict
    # the error of the masks is in the bars: wider than the scatter of the times
    assert series.noise_upper is not None
    assert (series.upper - series.lower > series.noise_upper - series.noise_lower).all()


def test_a_well_seen_twice_is_a_coarse_curve_only(shared_data: Path, tmp_path: Path) -> None:
    images = sorted((shared_data / "livecell" / "images").rglob("A172_Phase_C7_*.tif"))
    result = api.grow(images, tmp_path / "out", segment_config={"pixel_size_um": 1.24})
    (series,), (fit,) = result.series, result.fits
    assert (series.name, series.time_h.tolist()) == ("C7", [20.0, 48.0])
    assert fit.doubling_time_h is None
    assert "a coarse curve only" in fit.verdict
    assert fit.next_experiment.startswith("Two more times")
