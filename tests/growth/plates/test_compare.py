from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from c6seg.growth.plates.compare import compare_groups, group_rates
from c6seg.growth.plates.edge import edge_notes
from c6seg.growth.plates.groups import Grouped, group_wells
from c6seg.growth.plates.layout import is_edge, well_name
from c6seg.growth.plates.power import detectable, promised
from c6seg.growth.plates.rates import fit_rates
from c6seg.growth.plates.results import Comparison, Design, Group, PlateWell, WellInfo
from c6seg.growth.words import number

NAMES = [well_name(row, column) for row in range(8) for column in range(12)]


def well(
    name: str, treatment: str, rate: float | None, *, error: float = 0.0, plate: str | None = None, role: str = ""
) -> PlateWell:
    role = role or ("control" if treatment in {"", "DMSO"} else "sample")
    info = WellInfo(name, plate, role, treatment)  # type: ignore[arg-type]
    reason = "" if rate is not None else "hardly any cells"
    edge = is_edge((ord(name[0]) - 65, int(name[1:]) - 1), (8, 12))
    return PlateWell(
        info, name, edge, "growing", estimate_per_h=rate, error_per_h=error, compared=not reason, reason=reason
    )


def plate(rates: dict[str, Sequence[float | None]], *, error: float = 0.0, name: str | None = None) -> list[PlateWell]:
    places = iter(NAMES)
    return [
        well(next(places), treatment, rate, error=error, plate=name)
        for treatment, values in rates.items()
        for rate in values
    ]


def compared(
    wells: Sequence[PlateWell], confidence: float = 0.95
) -> tuple[dict[str, Comparison], Design | None, dict[str, Group], Grouped]:
    grouped = group_wells(wells)
    model = fit_rates(grouped.wells)
    groups = group_rates(grouped.groups, model, confidence=confidence)
    found, design = compare_groups(grouped, model, groups, confidence=confidence)
    return {one.group: one for one in found}, design, {group.label: group for group in groups}, grouped


def drawn(seed: int, wells: dict[str, int], *, effect: float = 0.0, sd: float = 0.003) -> dict[str, Sequence[float]]:
    rng = np.random.default_rng(seed)
    return {name: list(0.03 * (1 + effect * bool(name)) + rng.normal(0, sd, n)) for name, n in wells.items()}


def test_one_treatment_is_the_t_test() -> None:
    rates = drawn(1, {"": 6, "drug": 4}, effect=-0.3)
    found, design, groups, _ = compared(plate(rates))
    one, theirs = found["drug"], stats.ttest_ind(rates["drug"], rates[""])
    interval = theirs.confidence_interval()
    assert (one.p, one.p_holm) == pytest.approx((theirs.pvalue, theirs.pvalue), rel=1e-6)
    assert (one.lower, one.upper) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert one.difference_per_h == pytest.approx(np.mean(rates["drug"]) - np.mean(rates[""]))
    assert one.change == pytest.approx(one.difference_per_h / np.mean(rates[""]))
    assert (one.wells, one.control_wells) == (4, 6)
    deviation = math.sqrt((3 * np.var(rates["drug"], ddof=1) + 5 * np.var(rates[""], ddof=1)) / 8)
    assert one.effect_size == pytest.approx(one.difference_per_h / deviation * (1 - 3 / (4 * 8 - 1)), rel=1e-3)
    sought = 0.2 * np.mean(rates[""]) / deviation
    fair = sought * (1 - 3 / (4 * 8 - 1))  # as the deviation is an estimate
    assert one.power == pytest.approx(TTestIndPower().power(fair, 4, 0.05, 1.5), rel=1e-3)
    assert design is not None
    assert design.between_wells_per_h == pytest.approx(deviation, rel=1e-6)
    doubt = promised(1, 8, 0.05) / detectable(1, 8, 0.05)  # likewise
    assert design.wells_needed == math.ceil(TTestIndPower().solve_power(sought / doubt, None, 0.05, 0.8))
    least = TTestIndPower().solve_power(None, 4, 0.05, 0.8, 1.5) * deviation * doubt
    assert design.detectable_per_h == pytest.approx(least, rel=1e-4)
    assert design.detectable == pytest.approx(least / groups["control"].rate_per_h, rel=1e-4)


def test_many_treatments_are_corrected_for_their_number() -> None:
    rates = drawn(2, {"": 8, "a": 4, "b": 4, "c": 3}, effect=-0.15)
    found, *_ = compared(plate(rates))
    p = [one.p for one in found.values()]
    assert [one.p_holm for one in found.values()] == pytest.approx(multipletests(p, method="holm")[1])
    anova = stats.dunnett(*(rates[name] for name in "abc"), control=rates[""])
    assert [one.difference_per_h for one in found.values()] == pytest.approx(
        [np.mean(rates[name]) - np.mean(rates[""]) for name in "abc"]
    )
    t = [one.difference_per_h / ((one.upper - one.lower) / 2 / stats.t.ppf(0.975, 15)) for one in found.values()]
    assert t == pytest.approx(anova.statistic, rel=1e-6)


def test_wells_that_a_drug_stops_do_not_sharpen_the_other_comparisons() -> None:
    """Their scatter is next to nothing; pooled over all groups it made three in ten inert drugs look active."""
    claimed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rates = {name: (0.03 + 0.003 * rng.standard_normal(4)).tolist() for name in ("", "inert")}
        rates |= {f"kill{index}": (0.0003 * rng.standard_normal(4)).tolist() for index in range(6)}
        found, *_ = compared(plate(rates))
        claimed += found["inert"].p < 0.05
    assert claimed <= 8


def test_few_wells_against_many_controls_raise_no_more_false_alarms() -> None:
    """Two wells lie close together by chance; with variances of their own, one plate in three would claim an effect."""
    claimed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rates = {"": (0.03 + 0.002 * rng.standard_normal(16)).tolist()}
        rates |= {f"inert{index}": (0.03 + 0.002 * rng.standard_normal(2)).tolist() for index in range(10)}
        found, *_ = compared(plate(rates))
        claimed += any(one.p_holm < 0.05 for one in found.values())
    assert claimed <= 9


def test_design_is_judged_at_the_level_of_the_smallest_p() -> None:
    rates = drawn(3, {"": 4, "a": 4, "b": 4, "c": 4})
    _, design, *_ = compared(plate(rates))
    assert design is not None
    deviation = math.sqrt(np.mean([np.var(values, ddof=1) for values in rates.values()]))
    for level, same in ((0.05 / 3, True), (0.05, False), (0.05 / 4, False)):
        least = promised(deviation * math.sqrt(2 / 4), 12, level)
        assert (design.detectable_per_h == pytest.approx(least, rel=1e-6)) == same
    _, looser, *_ = compared(plate(rates), confidence=0.9)
    assert looser is not None
    assert looser.detectable_per_h == pytest.approx(promised(deviation * math.sqrt(2 / 4), 12, 0.1 / 3), rel=1e-6)


def test_words_of_a_difference() -> None:
    found, *_ = compared(
        plate({"": [0.030, 0.031, 0.029], "drug": [0.018, 0.017, 0.019], "more": [0.04, 0.041, 0.039]})
    )
    assert found["drug"].verdict.startswith(
        "drug grows slower than control by 0.012 per h (95 % interval 0.010 to 0.014; "
    )
    assert found["drug"].verdict.endswith("−40 %; p < 0.001 after Holm's correction).")
    assert found["more"].verdict.startswith("more grows faster than control by 0.010 per h")


def test_words_of_no_difference_name_what_would_be_found() -> None:
    found, *_ = compared(plate({"": [0.030, 0.032, 0.028], "drug": [0.029, 0.031, 0.03]}))
    one = found["drug"]
    assert "no difference from control can be claimed" in one.verdict
    deviation = math.sqrt((0.002**2 + 0.001**2) / 2)
    least = promised(deviation * math.sqrt(2 / 3), 4, 0.05)
    assert f"only differences above {number(least, 2)} per h would be found" in one.verdict


def test_words_where_cells_die_and_where_the_control_does_not_grow() -> None:
    found, *_ = compared(plate({"": [0.030, 0.031, 0.029], "drug": [-0.02, -0.021, -0.019]}))
    assert found["drug"].verdict.startswith("drug shrinks: its growth rate lies below that of control by 0.05")
    found, design, *_ = compared(plate({"": [0.001, -0.001, 0.0005], "drug": [0.03, 0.031, 0.029]}))
    assert (found["drug"].change, found["drug"].power) == (None, None)
    assert found["drug"].p_holm < 0.001
    assert design is not None
    assert (design.detectable, design.wells_needed) == (None, None)
    assert "control itself does not surely grow" in design.text


def test_single_wells_and_what_to_do() -> None:
    found, design, groups, _ = compared(plate({"": [0.03, 0.031, 0.029], "one": [0.01], "two": [0.02, 0.021]}))
    assert (found["one"].p, found["one"].difference_per_h) == (None, None)
    assert "one has one well only" in found["one"].verdict
    assert "at least three wells" in found["one"].verdict
    assert found["two"].p == found["two"].p_holm  # what is not tested is not corrected for
    assert groups["one"].rate_per_h == pytest.approx(0.01)
    found, design, groups, _ = compared(plate({"": [0.03], "one": [0.01]}))
    assert "one and control have one well only" in found["one"].verdict
    assert (groups["one"].rate_per_h, groups["one"].lower) == (None, None)
    assert design is not None
    assert "unknown" in design.text


def test_wells_without_a_rate_are_told() -> None:
    found, *_ = compared(plate({"": [0.03, 0.031], "dead": [None, None], "drug": [0.02, 0.021]}))
    assert (
        found["dead"].verdict
        == "dead cannot be compared: none of the 2 wells of dead carries a rate (2 x hardly any cells)."
    )
    found, *_ = compared(plate({"": [None, None], "drug": [0.02, 0.021]}))
    assert "none of the 2 wells of control" in found["drug"].verdict


def test_equal_wells_give_no_test() -> None:
    found, *_ = compared(plate({"": [0.03, 0.03], "drug": [0.02, 0.02]}))
    assert (found["drug"].p, found["drug"].p_holm, found["drug"].effect_size, found["drug"].power) == (None,) * 4
    assert "no test is possible" in found["drug"].verdict


def test_no_control_at_all() -> None:
    found, design, groups, grouped = compared(plate({"a": [0.03, 0.031], "b": [0.02, 0.021]}))
    assert (found, design, grouped.control) == ({}, None, None)
    assert groups["a"].rate_per_h == pytest.approx(0.0305)


def test_plates_are_compared_with_their_own_control() -> None:
    rng = np.random.default_rng(5)
    wells = []
    for name, offset in (("p1", 0.0), ("p2", 0.02)):
        rates = {"": 0.03 + offset + rng.normal(0, 0.001, 4)}
        rates |= {drug: 0.025 + offset + rng.normal(0, 0.001, 4) for drug in ("drug", "b", "c", "d")}
        wells += plate(rates, name=name)
    found, *_ = compared(wells)
    assert found["drug"].difference_per_h == pytest.approx(-0.005, abs=0.001)
    assert found["drug"].p < 0.01  # lost among the plates otherwise
    assert found["drug"].effect_size < -3


def test_a_treatment_on_a_plate_without_control() -> None:
    wells = plate({"": [0.03, 0.031], "a": [0.03, 0.029]}, name="p1") + plate({"b": [0.02, 0.021]}, name="p2")
    found, *_ = compared(wells)
    assert found["a"].p is not None
    assert "shares no plate with control" in found["b"].verdict


def test_kinds_of_control() -> None:
    wells = plate({"": [0.03, 0.031, 0.03], "DMSO": [0.02, 0.021], "drug": [0.02, 0.019]})
    found, _, groups, grouped = compared(wells)
    assert grouped.control == "control (DMSO)"
    assert set(found) == {"control", "drug"}
    assert "several kinds of control (control: 3 wells, control (DMSO): 2 wells)" in grouped.notes[0]
    assert groups["control (DMSO)"].treatment == "DMSO"


def test_zeros_of_all_treatments_are_one_control() -> None:
    infos = [WellInfo("A1", None, "control", "x", 0.0, "uM"), WellInfo("A2", None, "control", "y", 0.0, "nM")]
    grouped = group_wells([PlateWell(info, None, False) for info in infos])
    assert [well.group for well in grouped.wells] == ["control", "control"]


def test_different_cells_are_told() -> None:
    infos = [
        WellInfo(f"A{n}", None, "sample", "x", extra={"Cell line": line, "note": line})
        for n, line in ((1, "a"), (2, "b"))
    ]
    notes = group_wells([PlateWell(info, None, False) for info in infos]).notes
    assert len(notes) == 1
    assert "'Cell line' of the plate map has 2 values" in notes[0]


def test_false_alarms_and_power_are_as_stated() -> None:
    alarms, powers, found = 0, [], 0
    for seed in range(100):
        wells = {"": 6, "a": 3, "b": 3, "c": 3}
        alarms += any(one.p_holm < 0.05 for one in compared(plate(drawn(seed, wells)))[0].values())
        ones = compared(plate(drawn(seed, wells, effect=-0.2)))[0].values()
        powers += [one.power for one in ones]
        found += sum(one.p < 0.05 / 3 for one in ones)
    assert alarms <= 11  # 5 % of 100, and chance
    assert found / 300 == pytest.approx(np.mean(powers), abs=0.07)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), clock=st.floats(0.05, 20), error=st.sampled_from([0.0, 0.002]))
def test_order_of_wells_and_unit_of_time_change_nothing(seed: int, clock: float, error: float) -> None:
    rates = drawn(seed, {"": 5, "a": 3, "b": 4}, effect=-0.2)
    wells = plate(rates, error=error)
    first, *_ = compared(wells)
    slower = plate({name: [clock * rate for rate in values] for name, values in rates.items()}, error=clock * error)
    order = np.random.default_rng(seed).permutation(len(wells))
    other, *_ = compared([slower[index] for index in order])
    for label in ("a", "b"):
        one, two = first[label], other[label]
        assert (two.p, two.p_holm, two.effect_size) == pytest.approx((one.p, one.p_holm, one.effect_size), rel=1e-4)
        assert two.difference_per_h == pytest.approx(clock * one.difference_per_h, rel=1e-5, abs=1e-9 * clock)
        assert two.power == pytest.approx(one.power, rel=1e-3)


def notes_of_edge(wells: Sequence[PlateWell]) -> str:
    grouped = group_wells(wells)
    return " ".join(edge_notes(fit_rates(grouped.wells), grouped.groups, grouped.control, confidence=0.95))


def test_effect_of_the_edge() -> None:
    rng = np.random.default_rng(3)
    names = list(itertools.chain.from_iterable((f"{row}{column}" for column in (1, 2, 3, 6, 12)) for row in "ABCDEF"))
    for loss, words in (
        (0.006, "edge wells grow slower than inner wells treated alike by 0.0"),
        (0.0, "no difference between edge"),
    ):
        wells = []
        for name in names:
            one = well(name, rng.choice(["", "drug"]), 0.03 + rng.normal(0, 0.001), role="")
            wells.append(well(name, one.info.treatment, one.estimate_per_h - loss * one.edge))
        assert words in notes_of_edge(wells)


def test_edge_and_treatment_that_cannot_be_told_apart() -> None:
    wells = [well(f"A{n}", "", 0.03 + n / 1e4) for n in range(1, 5)] + [
        well(f"C{n}", "x", 0.02 + n / 1e4) for n in range(2, 6)
    ]
    said = notes_of_edge(wells)
    assert "no treatment has both edge wells and inner ones" in said
    assert "control lies mostly at the edge and x do not" in said
    assert notes_of_edge(wells[:4]) == notes_of_edge(wells[4:]) == ""
