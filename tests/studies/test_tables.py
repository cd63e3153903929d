"""Tables in three forms: nothing is invented, nothing breaks the form, published figures stand beside."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from c6seg.evaluation.comparisons import Estimate
from c6seg.studies.info import StudyInfo
from c6seg.studies.summary import summarise
from c6seg.studies.tables import (
    Table,
    compact_tables,
    escape_latex,
    long_table,
    score,
    to_csv,
    to_latex,
    to_markdown,
    with_interval,
)

NASTY = "50% a_b & {c} #1 ~ ^ \\ $x$ <b>|[0] =1+1 – ±"
TABLE = Table("odd name!", f"Title {NASTY}", ("encoder", NASTY), (("=SUM(A1)", "0.9"), (NASTY, "")), note=NASTY)


def test_csv_is_read_back_and_holds_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows == [["encoder", NASTY], ["'=SUM(A1)", "0.9"], [NASTY, ""]]
    assert to_csv(Table("x", "x", ("a",), (("\N{MINUS SIGN}0.5",),))) == "a\n-0.5\n"


def test_markdown_has_as_many_columns_in_every_row() -> None:
    lines = [line for line in to_markdown(TABLE).splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [3, 3, 3, 3]
    assert "<b>" not in to_markdown(TABLE)


def test_latex_escapes_everything() -> None:
    body = to_latex(TABLE).split("\\hline")[2]
    bare = re.sub(r"\\[a-z]+\{\}|\\[&%$#_{}\\]|\$<\$|\$>\$|\$\|\$|\$\\[a-z]+\$|\{\[\}|\{\]\}", "", body)
    assert not set("&%$#_{}~^\\<>|") & set(bare.replace(" & ", ""))
    assert escape_latex("\N{MINUS SIGN}1 ± 2 → 3 ×") == "$-$1 $\\pm$ 2 $\\to$ 3 $\\times$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_is_set(tmp_path: Path) -> None:
    text = f"\\documentclass{{article}}\\begin{{document}}\n{to_latex(TABLE)}\\end{{document}}\n"
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_numbers_are_written_as_in_the_paper() -> None:
    assert [score(value) for value in (0.94, -0.0042, -0.0001, float("nan"), None)] == [
        "0.940", "\N{MINUS SIGN}0.004", "0.000", "", "",
    ]  # fmt: skip
    assert with_interval(Estimate(0.94, 9, 9, 9, low=0.9312, high=0.9493)) == "0.940 [0.931, 0.949]"
    assert with_interval(Estimate(0.94, 1, 9, 9, reason="1 division")) == "0.940"


def test_compact_table_as_in_the_paper(examples: ModuleType) -> None:
    info = StudyInfo("s", "S", columns="init", published="Table 1", configurations=examples.INITIALISATION)
    (table,) = compact_tables(summarise(examples.study_rows(examples.INITIALISATION, examples.start_mean), info), info)
    assert table.header == ("encoder", "random", "paper", "imagenet", "paper", "livecell", "paper")
    assert [row[0::2] for row in table.rows] == [
        ("MiT-B3", "0.868", "0.930", "0.940"),
        ("VGG19", "0.913", "0.932", "0.940"),
    ]
    assert all(re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", cell) for row in table.rows for cell in row[1::2])


def test_readings_are_marked_and_sizes_are_columns(examples: ModuleType) -> None:
    info = StudyInfo("s", "S", published="Table 2")
    rows = examples.study_rows(examples.INITIALISATION[1:3], lambda c, s: 0.8, sizes=(examples.CROSS, examples.FULL))
    (table,) = compact_tables(summarise(rows, info), info)
    assert table.header == ("init", "(704x512, 2592x1952)", "paper", "(2592x1952, 2592x1952)", "paper")
    assert [(row[2], row[4]) for row in table.rows] == [("0.876*", "0.696*"), ("0.886*", "0.817*")]
    assert "our reading" in table.note


def test_missing_is_blank_and_partial_is_said(examples: ModuleType) -> None:
    info = StudyInfo(
        "s", "S", columns="init", configurations=examples.INITIALISATION, divisions=6, images_per_division=6
    )
    rows = examples.study_rows(examples.INITIALISATION[:5], examples.start_mean)
    arms = summarise([row for row in rows if row.split < "split04" or row.configuration["init"] != "random"], info)
    (table,) = compact_tables(arms, info)
    assert table.rows[1][-1] == ""
    assert [row[1].endswith("(24 of 36)") for row in table.rows] == [True, True]
    long = long_table(arms, info)
    found = [dict(zip(long.header, row, strict=True)) for row in long.rows]
    partial = "partial: 24 of 36 scores"
    assert [one["remark"] for one in found] == [partial, "", "", partial, "", "no score yet"]
    assert [one["DiceScore^AV"] == "" for one in found] == [False] * 5 + [True]


def test_groups_have_tables_of_their_own(examples: ModuleType) -> None:
    info = StudyInfo("s", "S", columns="init")
    arms = summarise(examples.study_rows(examples.INITIALISATION, examples.start_mean, groups=True), info)
    assert [table.name for table in compact_tables(arms, info)] == ["compact", "compact-large", "compact-small"]
    assert {row[2] for row in long_table(arms, info).rows} == {"all", "large", "small"}


def test_too_few_divisions_have_a_mean_and_a_reason(examples: ModuleType) -> None:
    info = StudyInfo("s", "S")
    arms = summarise(examples.study_rows([{"a": "1"}], lambda c, s: 0.9, divisions=2), info)
    table = long_table(arms, info)
    (row,) = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert float(row["DiceScore^AV"]) == pytest.approx(0.9, abs=0.02)
    assert row["95 % low"] == ""
    over_images = f"images: {arms[0].estimate.images_low:.4f} to {arms[0].estimate.images_high:.4f}"
    assert row["remark"] == f"no interval: 2 divisions, at least 3 are needed; these networks, {over_images}"
    (compact,) = compact_tables(arms, info)
    assert compact.note == (
        "Mean. No interval: 2 divisions, at least 3 are needed. 'images': 95 % interval for these networks on other "
        "images; it says nothing of other trainings."
    )
    assert re.fullmatch(r"0\.\d{3} \(images: 0\.\d{3} to 0\.\d{3}\)", compact.rows[0][1])
