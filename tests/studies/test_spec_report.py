"""What a study file says of its report is checked when it is read, before anything is trained for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from c6seg.errors import ConfigError
from c6seg.studies.files import load_study
from c6seg.studies.info import CURVE_COLUMNS
from c6seg.studies.scores import FIXED

SIZES = {"train_images": {"few": {"train_images": 2}, "3": {"train_images": 3}}}


@pytest.mark.parametrize("name", [*FIXED, "tested_on", *sorted({*CURVE_COLUMNS} - {"learning_rate"})])
def test_a_factor_is_not_called_like_a_column_of_the_tables(write_study: Callable[..., Path], name: str) -> None:
    with pytest.raises(ConfigError, match=f"may not be called '{name}'.*size: {{small: {{input_size"):
        load_study(write_study(factors={name: {"a": {"epochs": 1}, "b": {"epochs": 2}}}))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"factors": {" init": {"a": {}}}}, "' init'.*cannot be a name"),
        ({"factors": {"how": {"a ": {}}}}, "'a '.*cannot be a name"),
        ({"factors": {"how": {"": {}}}}, "''.*cannot be a name"),
        ({"report": {"compare": ["int"]}}, r"factor in report\.compare 'int'.*'init'"),
        ({"report": {"compare": ["tested_on"]}}, r"report\.compare 'tested_on'"),
        (
            {"tests": [{}, {"data": "target", "input": "64x64"}], "report": {"columns": "tested_on"}},
            r"report\.columns 'tested_on'",
        ),
        ({"report": {"columns": "start"}}, r"factor in report\.columns 'start'"),
        ({"report": {"against": {"start": "random"}}}, r"factor in report\.against 'start'"),
        ({"report": {"against": {"init": "randm"}}}, r"value of init in report\.against 'randm'.*'random'"),
        ({"report": {"against": {"input_size": "65x65"}}}, r"value of input_size in report\.against '65x65'.*'64x64'"),
        ({"report": {"labels": {"start": {"random": "x"}}}}, r"factor in report\.labels 'start'"),
        ({"report": {"labels": {"init": {"imagenet": "x"}}}}, r"value of init in report\.labels 'imagenet'"),
        ({"report": {"size_factor": "train_image"}}, r"factor in report\.size_factor 'train_image'"),
        ({"report": {"size_factor": "train_images"}, "factors": SIZES}, "'few' of train_images is no number"),
        ({"report": {"published": "Table 9"}}, r"table in report\.published 'Table 9'"),
    ],
)
def test_what_a_report_would_not_find_is_said(
    write_study: Callable[..., Path], parts: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_study(write_study(**parts))


@pytest.mark.parametrize(
    "parts",
    [
        {"report": {"compare": ["init", "input_size"], "against": {"init": "random", "input_size": "64x64"}}},
        {"tests": [{"input": "trained"}], "report": {"against": {"input_size": "64x64"}}},
        {
            "tests": [{"data": "target"}, {"data": "source", "part": "all"}],
            "report": {
                "columns": "tested_on",
                "compare": ["tested_on"],
                "against": {"tested_on": "source"},
                "labels": {"tested_on": {"source": "simulated"}},
            },
        },
        {"factors": {"train_images": [2, 3]}, "report": {"size_factor": "train_images", "published": "Fig. 3"}},
        {"factors": {"learning_rate": [0.1, 0.01]}, "report": {"compare": ["learning_rate"]}},
        {
            "factors": {"on": {"A": {"data": "source"}, "B": {"data": "target"}}},
            "report": {"columns": "tested_on", "labels": {"tested_on": {"source": "simulated"}}},
        },
    ],
)
def test_what_a_report_finds_is_taken(write_study: Callable[..., Path], parts: dict[str, Any]) -> None:
    load_study(write_study(**parts))


def test_the_papers_question_of_another_resolution_is_compared() -> None:
    assert "input_size" in load_study("cross_resolution").report.compare
