"""Plates, wounds, patterns, flags, calibration and dates of files: through the api and the command line."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook
from PIL import Image

from c6seg import api
from c6seg.errors import DataError, UsageError
from c6seg.growth.analysis import GrowthCache, analyse, read_results
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run

HEADER = "image,frame,time_h,well,width_px,height_px,pixel_size_um,confluence,flags\n"
TIMES = range(0, 60, 6)
QUICK = {"bootstrap": 200}


def results(folder: Path, rows: list[str], **manifest: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measurements.csv").write_text(HEADER + "".join(row + "\n" for row in rows))
    if manifest:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def well(name: str, rate: float, *, seed: int = 0, flags: dict[int, str] | None = None) -> list[str]:
    noise = np.random.default_rng(seed).standard_normal(len(TIMES))
    return [
        f"{name}_{time}h,0,,,96,64,1.0,{0.08 * np.exp(rate * time + 0.02 * z):.6f},{(flags or {}).get(time, '')}"
        for time, z in zip(TIMES, noise, strict=True)
    ]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plate(folder: Path) -> tuple[Path, Path]:
    """Results of a small plate with its map: 4 controls, 4 wells of a drug that halves the rate, a blank."""
    rows: list[str] = []
    lines = ["well,treatment,concentration,unit,role"]
    for index in range(4):
        rows += well(f"B{index + 2}", 0.04, seed=index) + well(f"C{index + 2}", 0.02, seed=10 + index)
        lines += [f"B{index + 2},DMSO,0,uM,control", f"C{index + 2},drug,1,uM,sample"]
    rows += [f"D2_{time}h,0,,,96,64,1.0,0.002,empty_field" for time in TIMES]
    lines.append("D2,,,,blank")
    (folder / "plate.csv").write_text("\n".join(lines) + "\n")
    return results(folder / "seg", rows), folder / "plate.csv"


def test_a_plate_from_the_command_line_to_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, plate_map = plate(tmp_path)
    out = tmp_path / "out"
    assert run(app, ["growth", str(folder), "--out", str(out), "--plate", str(plate_map)]) == 0
    said = capsys.readouterr().out
    assert "drug 1 uM grows slower than" in said
    row = next(row for row in table(out / "comparisons.csv") if row["group"] == "drug 1 uM")
    assert float(row["difference_per_h"]) == pytest.approx(-0.02, abs=0.004)
    assert float(row["p_holm"]) < 0.05
    assert {row["well"] for row in table(out / "plate.csv")} >= {"B2", "C5", "D2"}
    pages = load_workbook(out / "growth.xlsx", read_only=True).sheetnames
    assert {"Summary", "Growth", "Fits", "Plate", "Comparisons"} <= set(pages)
    record = json.loads((out / "report.json").read_text())
    assert len(record["plate"]["wells"]) == 9
    page = (out / "report.html").read_text()
    assert "drug 1 uM" in page
    assert "Treatments against control" in page


def test_a_map_that_cannot_be_read_ends_it_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = plate(tmp_path)
    (tmp_path / "bad.csv").write_text("treatment\ndrug\n")
    out = tmp_path / "out"
    assert run(app, ["growth", str(folder), "--out", str(out), "--plate", str(tmp_path / "bad.csv")]) == 2
    error = capsys.readouterr().err
    assert "well" in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_unknown_and_doubled_wells_cost_themselves_only(tmp_path: Path) -> None:
    folder, plate_map = plate(tmp_path)
    plate_map.write_text(plate_map.read_text() + "G9,drug,1,uM,sample\nZ99,drug,1,uM,sample\nB2,drug,1,uM,sample\n")
    found = api.grow(folder, tmp_path / "out", plate=plate_map, config=QUICK).plate
    assert found is not None
    notes = " ".join(found.notes)
    for name in ("G9", "Z99", "B2"):
        assert name in notes
    comparison = next(one for one in found.comparisons if one.group == "drug 1 uM")
    assert (comparison.wells, comparison.control_wells) == (4, 3)


def test_excluded_images_stay_in_the_table_and_out_of_the_fit(tmp_path: Path) -> None:
    rows = well("B2", 0.03, flags={24: "out_of_focus", 30: "out_of_focus"})
    rows[4] = rows[4].replace(rows[4].split(",")[7], "0.9")
    folder = results(tmp_path / "seg", rows)
    result = api.grow(folder, tmp_path / "out", config=QUICK)
    assert result.fits[0].doubling_time_h == pytest.approx(np.log(2) / 0.03, rel=0.15)
    used = {float(row["time_h"]): row["used"] for row in table(tmp_path / "out" / "growth.csv")}
    assert [time for time, word in used.items() if word == "no"] == [24.0, 30.0]
    kept = api.grow(folder, tmp_path / "all", config={**QUICK, "exclude_flags": []})
    assert {row["used"] for row in table(tmp_path / "all" / "growth.csv")} == {"yes"}
    assert kept.series[0].confluence[4] == pytest.approx(0.9)


def test_flags_are_chosen_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", well("B2", 0.03, flags=dict.fromkeys(TIMES, "overexposed")))
    out = tmp_path / "out"
    assert run(app, ["growth", str(folder), "--out", str(out)]) == 0
    assert "excluded by quality flags (overexposed)" in capsys.readouterr().out
    assert run(app, ["growth", str(folder), "--out", str(out), "--exclude-flags", "none"]) == 0
    assert "doubling every" in capsys.readouterr().out


def test_a_pattern_reads_names_that_nobody_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row.replace("B2_", "run7-B02-at").replace("h,0", "hrs,0") for row in well("B2", 0.03)]
    rows.append("notes,0,,,96,64,1.0,0.5,")
    folder = results(tmp_path / "seg", rows)
    out = tmp_path / "out"
    code = run(app, ["growth", str(folder), "--out", str(out), "--pattern", "{line}-{well}-at{time}hrs"])
    captured = capsys.readouterr()
    assert code == 0
    assert captured.out.startswith("B2 ")
    assert "notes" in captured.err  # the image that does not match is told of
    assert run(app, ["growth", str(folder), "--out", str(out), "--pattern", "{wel}_{time}h"]) == 2
    assert "well" in capsys.readouterr().err
    with pytest.raises(DataError, match="run7"):
        api.grow(folder, out, config={"pattern": "{line}_{well}_{time}h"})


def model(**calibration: object) -> dict[str, object]:
    known = {"confluence_bias_arcsine": 0.0, "confluence_mae": 0.02, "images": 20, "data": ["t98g"], **calibration}
    return {"name": "unet", "version": "1", "sha256": "0", "calibration": known if calibration else None}


def test_the_calibration_of_the_model_widens_the_bars_and_the_interval(tmp_path: Path) -> None:
    exact = results(tmp_path / "a", well("B2", 0.03), model=model(confluence_sd_arcsine=1e-6))
    rough = results(tmp_path / "b", well("B2", 0.03), model=model(confluence_sd_arcsine=0.03))
    first, second = (api.grow(folder, tmp_path / "out", config=QUICK) for folder in (exact, rough))
    bars = [one.series[0].upper - one.series[0].lower for one in (first, second)]
    assert np.all(bars[1] > 1.5 * bars[0])
    assert first.series[0].noise_upper == pytest.approx(second.series[0].noise_upper)
    assert first.fits[0].doubling_time_h == second.fits[0].doubling_time_h
    widths = [one.fits[0].rate_upper - one.fits[0].rate_lower for one in (first, second)]
    assert widths[1] > 1.15 * widths[0]
    # wells of one model share this error: it is none between them
    assert first.fits[0].error_per_h == pytest.approx(second.fits[0].error_per_h, rel=1e-6)
    assert "error of the masks, as one shift" in second.report.read_text()


def test_results_of_two_models_are_told_of(tmp_path: Path) -> None:
    other = {**model(), "name": "other", "sha256": "1"}
    folders = [
        results(tmp_path / "a", well("B2", 0.03), model=model()),
        results(tmp_path / "b", well("B3", 0.03), model=other),
    ]
    notes = api.grow(folders, tmp_path / "out", config=QUICK).series[0].notes
    assert any("different models (unet, other)" in note for note in notes)


def test_dates_of_files_are_the_last_resort_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = []
    for index, row in enumerate(well("B2", 0.03)):
        path = tmp_path / f"pic_{index:03d}.png"
        Image.new("L", (4, 4)).save(path)
        os.utime(path, (1.7e9 + 6 * 3600 * index, 1.7e9 + 6 * 3600 * index))
        inputs.append({"path": str(path), "sha256": str(index), "seconds": 0})
        inputs[-1]["row"] = row
    rows = [f"pic_{index:03d},{item.pop('row').split(',', 1)[1]}" for index, item in enumerate(inputs)]
    folder = results(tmp_path / "seg", rows, inputs=inputs)
    assert run(app, ["growth", str(folder), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "doubling every 2" in captured.out
    assert "last written" in captured.err
    for item in inputs:
        Path(item["path"]).unlink()
    with pytest.raises(UsageError, match="--interval"):
        api.grow(folder, tmp_path / "again")


def closing(folder: Path, *, um: float = 1.0) -> Path:
    """Masks of a layer whose gap of 60 px narrows by 1 px an hour."""
    (folder / "masks").mkdir(parents=True)
    rows = []
    for time in range(0, 48, 6):
        mask = np.full((120, 160), 255, np.uint8)
        left = (60 - time) // 2
        mask[:, 80 - left : 80 + left] = 0
        Image.fromarray(mask).save(folder / "masks" / f"B2_{time}h.png")
        rows.append(f"B2_{time}h,0,,,160,120,{um},{(mask > 0).mean():.6f},")
    return results(folder, rows)


def test_a_wound_is_followed_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = closing(tmp_path / "seg", um=2.0)
    out = tmp_path / "out"
    assert run(app, ["growth", str(folder), "--out", str(out)]) == 0
    assert not (out / "closures.csv").exists()
    capsys.readouterr()
    assert run(app, ["growth", str(folder), "--out", str(out), "--wound"]) == 0
    row = table(out / "closures.csv")[0]
    assert float(row["front_um_per_h"]) == pytest.approx(1.0, rel=0.1)  # half a pixel of 2 um an hour
    assert float(row["half_h"]) == pytest.approx(30, abs=2)
    said = capsys.readouterr()
    assert row["verdict"] in said.out.splitlines()[0]
    assert "doubling" not in said.out  # the covered area rises because the gap closes
    assert "doubling time is not that of cells" in said.err
    page = (out / "report.html").read_text()
    assert '<p class="lead">1 wound; 1 with a closure rate (' in page
    assert "doubling time is not that of cells" in page.lower()


def test_masks_that_are_gone_cost_their_times_only(tmp_path: Path) -> None:
    folder = closing(tmp_path / "seg")
    (folder / "masks" / "B2_12h.png").unlink()
    Image.new("L", (10, 10)).save(folder / "masks" / "B2_18h.png")
    (wound,) = api.grow(folder, tmp_path / "out", wound=True, config=QUICK).wounds
    assert wound.kind == "closing"
    assert len(wound.notes) >= 1


def test_an_analysis_made_again_makes_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from c6seg.config import GrowthConfig
    from c6seg.growth import analysis

    rows = well("B2", 0.03) + well("B3", 0.02, seed=1)
    folder, cache, config = results(tmp_path / "seg", rows), GrowthCache(), GrowthConfig(bootstrap=200)
    fitted: list[str] = []
    plain = analysis.fit_series
    monkeypatch.setattr(analysis, "fit_series", lambda one, *a, **k: fitted.append(one.name) or plain(one, *a, **k))
    first = analyse([read_results(folder)], tmp_path / "out", config=config, title="t", cache=cache)
    results(tmp_path / "seg", [*rows, "B3_60h,0,,,96,64,1.0,0.27,"])
    second = analyse([read_results(folder)], tmp_path / "out", config=config, title="t", cache=cache, quick=True)
    assert fitted == ["B2", "B3", "B3"]
    assert second.fits[0] == first.fits[0]
    assert second.series[1].time_h[-1] == 60


def test_options_come_from_a_file_and_flags_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path / "seg", well("B2", 0.03))
    (tmp_path / "options.yaml").write_text("confidence: 0.8\nmin_times: 20\n")
    assert (
        run(app, ["growth", str(folder), "--out", str(tmp_path / "out"), "--config", str(tmp_path / "options.yaml")])
        == 0
    )
    assert "at least 20 are needed" in capsys.readouterr().out
    (tmp_path / "options.yaml").write_text("confidance: 0.8\n")
    assert (
        run(app, ["growth", str(folder), "--out", str(tmp_path / "out"), "--config", str(tmp_path / "options.yaml")])
        == 2
    )
    assert "Did you mean 'confidence'" in capsys.readouterr().err
