"""What the report and the figures say of a plate."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from c6seg.growth.fits.verdicts import GrowthFit
from c6seg.growth.plates.results import PlateResult
from c6seg.growth.reporting.figures import save
from c6seg.growth.reporting.heat_map import Cell, colour_scale, colours, heat_maps, row_names
from c6seg.growth.reporting.plate_figures import differences_figure, dose_figure, groups_figure, heat_map_figure
from c6seg.growth.reporting.plate_page import group_rows, is_different, plate_headline, well_labels
from c6seg.growth.series import Series

Found = tuple[list[Series], list[GrowthFit], PlateResult]


@pytest.fixture(scope="module")
def plate(examples: ModuleType) -> Found:
    found: Found = examples.plate(times=5)
    return found


def cells(plate: PlateResult, anchors: dict[str, str] | None = None) -> dict[str, Cell]:
    (found,) = heat_maps(plate, anchors or {})
    return {
        f"{row}{column}": cell for row, line in found.rows for column, cell in zip(found.columns, line, strict=True)
    }


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("part", np.linspace(0, 1, 41))
def test_values_stand_out_from_their_colour(part: float) -> None:
    ground, ink = colours(part)
    high, low = sorted((luminance(ground), luminance(ink)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_well_lies_in_its_place(plate: Found) -> None:
    found = cells(plate[2], {"B7": "s-B7"})
    assert len(found) == 96
    well = next(well for well in plate[2].wells if well.info.well == "B7")
    assert well.doubling_time_h is not None
    assert float(found["B7"].value) == pytest.approx(well.doubling_time_h, rel=0.005)
    assert (found["B7"].anchor, found["B8"].anchor) == ("s-B7", "")
    assert (found["B7"].label, found["B7"].amount) == ("temozolomide", "3 uM")
    assert "temozolomide 3 uM" in found["B7"].words
    assert {name for name, cell in found.items() if cell.edge} == {
        f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13) if row in "AH" or column in (1, 12)
    }
    assert (found["D5"].control, found["D5"].label) == (True, "DMSO")
    assert found["A12"].kind == "blank"
    assert (found["H12"].kind, found["H12"].value) == ("blank", "blank")
    assert (found["B10"].kind, found["B10"].value, found["B10"].colour) == ("none", "no growth", "")


def test_wells_that_the_map_lacks_and_wells_without_images(plate: Found) -> None:
    some = tuple(well for well in plate[2].wells if well.info.well != "C3")
    bare = [replace(well, series=None, doubling_time_h=None) if well.info.well == "C4" else well for well in some]
    found = cells(replace(plate[2], wells=tuple(bare)))
    assert (found["C3"].kind, found["C3"].value) == ("off", "")
    assert (found["C4"].kind, found["C4"].value) == ("missing", "no images")


def test_faster_growth_is_brighter_on_all_plates_alike(examples: ModuleType) -> None:
    _, _, two = examples.plate(4, 6, plates=("one", "two"), times=5)
    maps = heat_maps(two, {})
    assert [one.plate for one in maps] == ["one", "two"]
    both = [
        (float(cell.value), luminance(cell.colour))
        for one in maps
        for _, line in one.rows
        for cell in line
        if cell.colour
    ]
    assert len(both) > 20
    times, bright = (np.array(part) for part in zip(*both, strict=True))
    assert (np.diff(bright[np.argsort(times)]) <= 0.02).all()
    scale = colour_scale(two)
    assert scale is not None
    assert scale.part(scale.lowest) < scale.part(scale.highest) == 1.0
    assert [words for _, _, words in scale.marks()][-1] == f"{min(times):.3g} h"


def test_a_plate_without_any_number_has_no_colours(plate: Found) -> None:
    none = replace(plate[2], wells=tuple(replace(well, doubling_time_h=None, kind="flat") for well in plate[2].wells))
    assert colour_scale(none) is None
    assert {cell.colour for cell in cells(none).values()} == {""}
    assert "none carries a doubling time" in plate_headline(none, 0.95)
    heat_map_figure(none)


def test_rows_of_large_plates() -> None:
    assert row_names(32)[24:28] == ["Y", "Z", "AA", "AB"]
    assert len(set(row_names(32))) == 32


def test_table_of_treatments_holds_the_comparisons(plate: Found) -> None:
    rows = group_rows(plate[2], 0.95)
    assert (rows[0].label, rows[0].tag, rows[0].difference) == ("DMSO", "control", "")
    by_label = {row.label: row for row in rows}
    for one in plate[2].comparisons:
        row = by_label[one.group]
        assert row.verdict == one.verdict
        assert row.different == (one.p_holm is not None and one.p_holm < 0.05) == is_different(one, 0.95)
        assert row.tag == ("slower" if row.different else "no difference found")
    assert by_label["temozolomide 3 uM"].different
    assert by_label["temozolomide 3 uM"].p == "< 0.001"
    near = replace(plate[2].comparisons[0], p_holm=0.03)
    assert is_different(near, 0.95)
    assert not is_different(near, 0.99)


def test_groups_that_were_not_compared_say_so(plate: Found) -> None:
    first = plate[2].comparisons[0]
    bare = replace(first, difference_per_h=None, lower=None, upper=None, p=None, p_holm=None, verdict="One well only.")
    row = {row.label: row for row in group_rows(replace(plate[2], comparisons=(bare,)), 0.95)}[first.group]
    assert (row.tag, row.difference, row.p, row.verdict) == ("not compared", "–", "–", "One well only.")
    assert differences_figure(replace(plate[2], comparisons=(bare,))) is None


def test_headline_names_what_differs_and_the_ic50(plate: Found) -> None:
    words = plate_headline(plate[2], 0.95)
    assert words.startswith("95 wells with images; 79 carry a doubling time (")
    assert "Against DMSO, temozolomide 1 uM, temozolomide 3 uM" in words
    assert "grow slower; no difference was found for the other 8 treatments." in words
    assert "IC50 of temozolomide: 2.00 uM (1.70 to 2.40)." in words
    alike = replace(plate[2], comparisons=tuple(replace(one, p_holm=0.5) for one in plate[2].comparisons), doses=())
    assert "Against DMSO, no difference was found in 12 treatments." in plate_headline(alike, 0.95)
    one = replace(plate[2].comparisons[0], p_holm=0.01, difference_per_h=0.01)
    assert f"Against DMSO, {one.group} grows faster." in plate_headline(replace(plate[2], comparisons=(one,)), 0.95)


def test_labels_of_wells(plate: Found) -> None:
    labels = well_labels(plate[2])
    assert (labels["B7"], labels["D5"], labels["A12"]) == ("temozolomide 3 uM", "DMSO", "blank")
    assert well_labels(None) == {}


def texts(figure: object) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]


def test_figures_show_values_groups_and_doses(plate: Found) -> None:
    series, _, result = plate
    shown = texts(heat_map_figure(result))
    assert {cell.value for cell in cells(result).values() if cell.kind == "number"} <= set(shown)
    forest = differences_figure(result)
    assert forest is not None
    assert {one.group for one in result.comparisons} <= set(texts(forest))
    curves = groups_figure(result, series)
    assert curves is not None
    axes = [axes for axes in curves.axes if axes.get_title()]
    assert [one.get_title() for one in axes] == [group.label for group in result.groups if group.role == "sample"]
    controls = sum(well.group == "DMSO" and well.series is not None for well in result.wells)
    own = [sum(well.group == one.get_title() and well.series is not None for well in result.wells) for one in axes]
    assert [len(one.lines) for one in axes] == [controls + number for number in own]
    controls_only = tuple(group for group in result.groups if group.role == "control")
    assert groups_figure(replace(result, groups=controls_only), series) is None
    whole, refused = (dose_figure(one) for one in result.doses)
    assert any("IC50 2.00 uM" in text for text in texts(whole))
    assert not any("IC50" in text for text in texts(refused))
    # points at concentration 0 lie left of all others
    dots = [line.get_xdata() for line in whole.axes[0].lines if line.get_marker() == "o"]
    assert max(np.max(dots[1]), 0) < np.min(dots[0])


def test_figures_take_names_as_they_are(plate: Found, tmp_path: Path) -> None:
    strange = replace(plate[2].comparisons[0], group="$x_{1}$ 5 % µM \\alpha")
    figure = differences_figure(replace(plate[2], comparisons=(strange,)))
    assert figure is not None
    assert re.search(r"<text[^>]*>\$x_\{1\}\$ 5 % µM", save(figure, tmp_path / "a"))
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png", ".pdf"}
