"""What a study says: claims with their interval, refusals with their reason, what is missing."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from c6seg.evaluation.comparisons import Comparison, Estimate
from c6seg.studies.info import StudyInfo
from c6seg.studies.sentences import (
    comparison_table,
    context_of,
    headline,
    partial_words,
    place_of,
    sentence_of,
    sentences,
    untested,
)
from c6seg.studies.summary import Arm, Judged, judge, summarise

INFO = StudyInfo("study", "A study", labels={"init": {"imagenet": "ImageNet", "livecell": "LIVECell"}})


def judged(difference: Estimate, **more: object) -> Judged:
    arms = [
        Arm({"encoder": "MiT-B3", "init": init}, ("704x512", "704x512"), "", {}, difference, 100)
        for init in ("livecell", "imagenet")
    ]
    return Judged("init", *arms, Comparison(difference, **more))  # type: ignore[arg-type]


FOUND = Estimate(0.010, 10, 30, 100, spread=0.002, low=0.004, high=0.016, error=0.003, freedom=9.0, p=0.0005)


@pytest.mark.parametrize(
    ("difference", "more", "words"),
    [
        (
            FOUND,
            {"p_holm": 0.003, "family": 6, "better": 27, "worse": 2},
            "MiT-B3 from LIVECell beats ImageNet by 0.010 [0.004, 0.016] (p = 0.003 after Holm's correction for 6 "
            "comparisons; better on 27 of 30 images).",
        ),
        (
            replace(FOUND, mean=-0.010, low=-0.016, high=-0.004),
            {"p_holm": 0.0005, "better": 2, "worse": 27},
            "MiT-B3 from ImageNet beats LIVECell by 0.010 [0.004, 0.016] (p < 0.001; better on 27 of 30 images).",
        ),
        (
            replace(FOUND, low=-0.002, high=0.022, p=0.4),
            {"p_holm": 0.8, "family": 2},
            "MiT-B3: no difference between LIVECell and ImageNet can be claimed: 0.010 [\N{MINUS SIGN}0.002, 0.022] "
            "(p = 0.80 after Holm's correction for 2 comparisons).",
        ),
        (
            replace(FOUND, p=0.02),
            {"p_holm": 0.12, "family": 6},
            "MiT-B3: no difference between LIVECell and ImageNet can be claimed: 0.010 [0.004, 0.016] (p = 0.12 after "
            "Holm's correction for 6 comparisons, 0.020 alone).",
        ),
        (
            Estimate(0.010, 2, 18, 20, spread=0.002, reason="2 divisions, at least 3 are needed"),
            {},
            "MiT-B3: nothing can be said of LIVECell and ImageNet yet: 2 divisions, at least 3 are needed (difference "
            "so far 0.010; so far 20 of 100 pairs).",
        ),
        (
            Estimate(0.0, 10, 30, 100, spread=0.0, reason="all values are equal to the last digit"),
            {},
            "MiT-B3: LIVECell and ImageNet do equally well on every image, to the last digit.",
        ),
        (
            Estimate(float("nan"), 0, 0, 0, reason="there is no score"),
            {},
            "MiT-B3: LIVECell and ImageNet cannot be compared yet: they have no test image in common.",
        ),
        (
            replace(FOUND, mean=0.0004, low=0.0001, high=0.0007),
            {"p_holm": 0.01, "better": 20},
            "MiT-B3 from LIVECell beats ImageNet by 0.0004 [0.0001, 0.0007] (p = 0.010; better on 20 of 30 images).",
        ),
    ],
)
def test_sentences(difference: Estimate, more: dict[str, object], words: str) -> None:
    assert sentence_of(judged(difference, **more), INFO, context="MiT-B3") == words


def test_context_names_what_varies_elsewhere(examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean, sizes=(examples.SMALL, examples.CROSS))
    arms = summarise(rows, INFO)
    starts = [one for one in judge(arms, INFO) if one.factor == "init"]
    assert {context_of(one, arms, INFO) for one in starts} == {"MiT-B3", "VGG19"}
    assert {place_of(one, arms) for one in starts} == {"at 704x512", "at 704x512 scored at 2592x1952"}
    text = sentence_of(judged(FOUND, p_holm=0.01, better=20), INFO, context="MiT-B3", place="at 704x512")
    assert text.startswith("At 704x512: MiT-B3 from LIVECell beats ImageNet by 0.010")
    text = sentence_of(judged(FOUND, p_holm=0.2), INFO, context="MiT-B3", place="at 704x512")
    assert text.startswith("At 704x512, MiT-B3: no difference between LIVECell and ImageNet can be claimed")


def test_one_score_size_needs_no_words(examples: ModuleType) -> None:
    rows = examples.study_rows(
        [{"size": "512x512"}, {"size": "64x64"}], lambda c, s: 0.9, sizes=(examples.CROSS, examples.FULL)
    )
    arms = summarise(rows, INFO)
    told = sentences(judge(arms, INFO), arms, INFO)
    assert [text.split(":")[0] for text in told] == ["Input 704x512", "Input 2592x1952", "size 64x64", "size 512x512"]
    assert "size 512x512 and size 64x64" in told[0]
    assert "input 2592x1952 and input 704x512" in told[2]


def test_a_whole_study_claims_what_is_true(examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION, examples.start_mean, divisions=10, tested=10, images=30)
    info = replace(INFO, compare=("init", "encoder"), against={"init": "imagenet"})
    arms = summarise(rows, info)
    found = sentences(judge(arms, info), arms, info)
    assert len(found) == 7
    assert sum("LIVECell beats ImageNet by 0.0" in text for text in found) == 2
    assert sum("ImageNet beats random by 0.0" in text for text in found) == 2
    assert sum("no difference between VGG19 and MiT-B3 can be claimed" in text for text in found) == 3


def test_a_bare_number_is_told_with_its_factor(examples: ModuleType) -> None:
    means = {"5": 0.90, "15": 0.92}
    rows = examples.study_rows([{"train_images": n} for n in means], lambda c, s: means[c["train_images"]])
    arms = summarise(rows, INFO)
    (text,) = sentences(judge(arms, INFO), arms, INFO)
    assert text.startswith("15 train images beat 5 train images by 0.0")


def test_many_for_one_reason_become_one_sentence() -> None:
    few = judged(Estimate(0.01, 1, 9, 9, reason="1 division, at least 3 are needed"))
    tested = judged(FOUND, p_holm=0.01)
    assert untested([(few, "one"), (tested, "two")]) == ["one"]
    (text,) = untested([(few, "one")] * 8 + [(tested, "two")])
    assert text.startswith("Nothing can be said of 8 comparisons: 1 division, at least 3 are needed.")


def test_what_is_missing_is_said(examples: ModuleType) -> None:
    info = StudyInfo(
        "study", "A study", configurations=examples.INITIALISATION, divisions=6, images_per_division=6, planned=36,
        done=20, failures=[("MiT-B3, split02", "out of memory")],
    )  # fmt: skip
    rows = examples.study_rows(examples.INITIALISATION[:4], examples.start_mean)
    arms = summarise(rows[:-6], info)
    assert partial_words(arms, info) == (
        "This report is partial: 20 of 36 runs are done, 1 run failed, 2 combinations of 6 have no score, 1 mean is "
        "over fewer scores than planned."
    )
    assert headline(judge(arms, info), arms, info).startswith(
        "4 means from 138 scores; 2 combinations without any score yet. Of 4 comparisons, "
    )
    few = summarise(examples.study_rows(examples.INITIALISATION[:2], examples.start_mean, divisions=2), INFO)
    assert headline(judge(few, INFO), few, INFO) == "2 means from 24 scores. 1 comparison cannot be tested yet."
    whole = summarise(examples.study_rows(examples.INITIALISATION, examples.start_mean), info)
    assert partial_words(whole, replace(info, planned=36, done=36, failures=())) == ""


def test_the_table_of_comparisons_has_the_numbers(examples: ModuleType) -> None:
    rows = examples.study_rows(examples.INITIALISATION[:2], examples.start_mean)
    arms = summarise(rows, INFO)
    table = comparison_table(judge(arms, INFO), arms, INFO)
    (row,) = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert (row["first"], row["second"], row["claimed"], row["pairs"]) == ("random", "ImageNet", "yes", "36")
    assert float(row["first less second"].replace("\N{MINUS SIGN}", "-")) == pytest.approx(-0.06, abs=0.004)


def test_what_is_tested_on_different_data_sets_cannot_be_compared(examples: ModuleType) -> None:
    own = [{"data": data.upper(), "lr": lr, "tested_on": data} for data in "ab" for lr in "12"]
    arms = summarise(examples.study_rows(own, lambda c, s: 0.9), INFO)
    found = judge(arms, INFO)
    told = sentences(found, arms, INFO)
    assert told[0] == "lr 1: B and A cannot be compared: they have no test image in common."
    assert headline(found, arms, INFO).startswith("4 means from 144 scores. Of 2 comparisons, ")
    assert "cannot be tested" not in headline(found, arms, INFO)
    assert {row[-1].split(";")[0] for row in comparison_table(found, arms, INFO).rows[:2]} == {
        "they have no test image in common"
    }
    many = list(zip(found[:2] * 4, told[:2] * 4, strict=True))
    assert untested(many) == [
        "Nothing can be said of 8 comparisons: they have no test image in common. tables/comparisons.csv has them."
    ]
