"""From rows to means and comparisons: equation (3), what is paired with what, and blanks that are never invented."""

from __future__ import annotations

from types import ModuleType

import pytest

from c6seg.evaluation.metrics import Counts, dice
from c6seg.evaluation.protocol import dice_score_average
from c6seg.studies.info import StudyInfo
from c6seg.studies.scores import ScoreRow
from c6seg.studies.summary import judge, summarise, varying


def info(**more: object) -> StudyInfo:
    return StudyInfo("study", "A study", **more)  # type: ignore[arg-type]


def test_means_are_equation_3_from_counts_for_every_pair_of_sizes(examples: ModuleType) -> None:
    rows = examples.study_rows(
        examples.INITIALISATION[:2], examples.start_mean, sizes=(examples.CROSS, examples.FULL), seed=1
    )
    arms = summarise(rows, info())
    places = [(init, sizes) for sizes in (examples.CROSS, examples.FULL) for init in ("imagenet", "random")]
    assert [(arm.configuration["init"], arm.sizes) for arm in arms] == places
    for arm in arms:
        mine = [row for row in rows if row.key == arm.key and row.sizes == arm.sizes]
        table = [
            [dice(Counts(r.tp, r.fp, r.fn, r.tn)) for r in mine if r.split == split]
            for split in sorted({r.split for r in mine})
        ]
        assert arm.estimate.mean == pytest.approx(dice_score_average(table), abs=1e-14)


def test_the_order_is_that_of_the_plan_and_what_has_no_score_is_blank_once(examples: ModuleType) -> None:
    planned = [*examples.INITIALISATION, {"encoder": "ResNet50", "init": "random"}]
    rows = examples.study_rows(examples.INITIALISATION[::-1], examples.start_mean, sizes=(examples.SMALL,))
    arms = summarise(rows, info(configurations=planned, divisions=6, images_per_division=6))
    assert [dict(arm.configuration) for arm in arms] == planned
    assert [len(arm.scores) for arm in arms] == [36] * 6 + [0]
    assert [arm.partial for arm in arms] == [False] * 6 + [True]


def test_blanks_stand_where_scores_are_planned_and_nowhere_else(examples: ModuleType) -> None:
    """Each network is tested at a size of its own: no blank for the sizes of the other."""
    planned = [{"tuning": "resize"}, {"tuning": "crop"}]
    expected = {((("tuning", "resize"),), examples.CROSS): 36, ((("tuning", "crop"),), examples.FULL): 36}
    rows = examples.study_rows(planned[:1], lambda c, s: 0.9, sizes=(examples.CROSS,))
    arms = summarise(rows, info(configurations=planned, expected=expected))
    assert [(arm.configuration["tuning"], arm.sizes, len(arm.scores)) for arm in arms] == [
        ("resize", examples.CROSS, 36), ("crop", examples.FULL, 0),
    ]  # fmt: skip


def test_groups_are_told_apart_and_together(examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION[:1], examples.start_mean, groups=True)
    whole, large, small = summarise(rows, info())
    assert (whole.group, large.group, small.group) == ("", "large", "small")
    assert {**large.scores, **small.scores} == whole.scores
    assert not large.scores.keys() & small.scores.keys()


def test_a_group_of_all_images_is_not_told_twice(examples: ModuleType) -> None:
    rows = [
        row
        for row in examples.study_rows(examples.INITIALISATION[:1], examples.start_mean, groups=True)
        if row.group == "large"
    ]
    assert [arm.group for arm in summarise(rows, info())] == [""]


def test_only_what_differs_in_one_factor_is_compared(examples: ModuleType) -> None:
    arms = summarise(
        examples.study_rows(examples.INITIALISATION, examples.start_mean), info(configurations=examples.INITIALISATION)
    )
    assert varying(arms) == ["encoder", "init"]
    judged = judge(arms, info())
    assert len(judged) == 3 + 2 * 3  # encoders at each start, and pairs of starts for each encoder
    for one in judged:
        first, second = one.first.configuration, one.second.configuration
        assert [name for name in first if first[name] != second[name]] == [one.factor]
    assert {one.comparison.family for one in judged} == {9}


def test_against_one_value_and_in_chosen_factors(examples: ModuleType) -> None:
    arms = summarise(
        examples.study_rows(examples.INITIALISATION, examples.start_mean), info(configurations=examples.INITIALISATION)
    )
    judged = judge(arms, info(compare=("init",), against={"init": "imagenet"}))
    assert [(one.first.configuration["init"], one.second.configuration["init"]) for one in judged] == [
        ("random", "imagenet"), ("livecell", "imagenet"), ("random", "imagenet"), ("livecell", "imagenet"),
    ]  # fmt: skip
    assert [one.comparison.difference.mean > 0 for one in judged] == [False, True, False, True]
    assert all((one.comparison.p_holm or 1) < 0.05 for one in judged)


def test_holm_is_by_group(examples: ModuleType) -> None:
    arms = summarise(examples.study_rows(examples.INITIALISATION, examples.start_mean, groups=True), info())
    judged = judge(arms, info(compare=("init",)))
    assert {(one.first.group, one.comparison.family) for one in judged} == {("", 6), ("large", 6), ("small", 6)}
    assert all(one.first.group == one.second.group for one in judged)


def test_input_sizes_are_compared_at_one_score_size_only(examples: ModuleType) -> None:
    arms = summarise(
        examples.study_rows(
            examples.INITIALISATION[:1], examples.start_mean, sizes=(examples.SMALL, examples.CROSS, examples.FULL)
        ),
        info(),
    )
    (one,) = judge(arms, info())
    assert (one.factor, {one.first.sizes, one.second.sizes}) == ("input_size", {examples.CROSS, examples.FULL})


def test_a_factor_that_decides_the_input_size_is_compared_over_it(examples: ModuleType) -> None:
    rows = examples.study_rows([{"tuning": "resize"}], lambda c, s: 0.9, sizes=(examples.CROSS,))
    rows += examples.study_rows([{"tuning": "crop"}], lambda c, s: 0.9, sizes=(examples.FULL,))
    (one,) = judge(summarise(rows, info()), info())
    assert one.factor == "tuning"
    assert one.comparison.difference.scores == 36


def test_images_of_two_data_sets_are_never_paired(examples: ModuleType) -> None:
    """Their files have the same names. What each network is tested on is not a factor, unless it is asked for."""
    both = [{"init": init, "tested_on": data} for init in ("random", "imagenet") for data in "ab"]
    arms = summarise(examples.study_rows(both, examples.start_mean), info())
    judged = judge(arms, info())
    assert [(one.factor, one.comparison.difference.scores, one.apart) for one in judged] == [("init", 36, False)] * 2
    asked = judge(arms, info(compare=("tested_on",)))
    assert [(one.comparison.difference.scores, one.apart) for one in asked] == [(0, True)] * 2


def test_a_factor_that_decides_what_is_tested_on_leaves_no_pair(examples: ModuleType) -> None:
    own = [{"data": data.upper(), "lr": lr, "tested_on": data} for data in "ab" for lr in "12"]
    judged = judge(summarise(examples.study_rows(own, lambda c, s: 0.9), info()), info())
    assert [(one.factor, one.comparison.difference.scores) for one in judged] == [
        ("data", 0), ("data", 0), ("lr", 36), ("lr", 36),
    ]  # fmt: skip
    every = [{"data": data, "tested_on": on} for data in "AB" for on in "ab"]
    judged = judge(summarise(examples.study_rows(every, lambda c, s: 0.9), info()), info())
    assert [(one.factor, one.comparison.difference.scores) for one in judged] == [("data", 36)] * 2


def test_the_overlap_is_that_of_the_size_of_the_training_set(examples: ModuleType) -> None:
    rows = examples.study_rows([{"n": "5"}, {"n": "15"}], lambda c, s: 0.9)
    same = info(overlaps={(("n", "5"),): 0.5, (("n", "15"),): 0.5})
    less = info(overlaps={(("n", "5"),): 0.1, (("n", "15"),): 0.5})
    errors = [[arm.estimate.error or 0 for arm in summarise(rows, one)] for one in (same, less)]
    assert errors[0][0] > errors[1][0]
    assert errors[0][1] == errors[1][1]
    # a difference counts with the larger overlap of the two
    differences = [judge(summarise(rows, one), one)[0].comparison.difference for one in (same, less)]
    assert differences[0] == differences[1]


def test_the_interval_of_a_score_stays_inside_0_and_1(examples: ModuleType) -> None:
    """A few images are missed altogether, or found perfectly but for a few: the symmetric interval would go beyond."""
    low, high = (
        summarise(examples.study_rows([{"a": "1"}], lambda c, s, mean=mean: mean, tested=5, images=6), info())[
            0
        ].estimate
        for mean in (-0.01, 1.01)
    )
    assert (low.low, high.high) == (0.0, 1.0)
    assert 0 < low.mean < 0.02
    assert 0.98 < high.mean < 1


def test_nothing_gives_nothing() -> None:
    assert summarise([], info()) == []
    assert judge([], info()) == []


def test_groups_of_which_each_division_tests_one_image_have_intervals() -> None:
    rows = [
        ScoreRow(
            {"init": init}, f"split{k}", f"{group}{k % 6}", "native", "native", 100 + k, 9 + k % 3, better, 99, group
        )
        for k in range(8)
        for init, better in (("random", 20 + k % 4), ("imagenet", 10))
        for group in ("small", "large")
    ]
    arms = summarise(rows, info())
    assert [arm.group for arm in arms] == ["", "", "large", "large", "small", "small"]
    differences = [one.comparison.difference for one in judge(arms, info())]
    assert len(differences) == 3
    for found in (*(arm.estimate for arm in arms), *differences):
        assert found.low is not None, found.reason
