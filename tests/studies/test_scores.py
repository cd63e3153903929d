"""The table of scores: a round trip, an order of its own, and one bad cell named by its line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c6seg.errors import DataError, UsageError
from c6seg.studies.scores import FIXED, ScoreRow, read_scores, sort_rows, write_scores


def row(image: str = "a.tif", split: str = "split01", **changes: object) -> ScoreRow:
    values: dict[str, object] = {
        "configuration": {"encoder": "MiT-B3", "init": "imagenet"},
        "split": split,
        "image": image,
        "input_size": "704x512",
        "score_size": "2592x1952",
        "tp": 30,
        "fp": 10,
        "fn": 10,
        "tn": 50,
    }
    return ScoreRow(**(values | changes))  # type: ignore[arg-type]


names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(lambda t: t == t.strip())
pixels = st.integers(0, 10**7)


@given(
    configuration=st.dictionaries(names.filter(lambda name: name not in FIXED), names, max_size=3),
    image=names,
    group=st.one_of(st.just(""), names),
    counts=st.tuples(pixels, pixels, pixels, st.integers(1, 10**7)),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    configuration: dict[str, str],
    image: str,
    group: str,
    counts: tuple[int, int, int, int],
) -> None:
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    written = ScoreRow(configuration, "split01", image, "704x512", "native", *counts, group=group)
    write_scores(path, [written])
    assert read_scores(path) == [written]


def test_the_bytes_depend_on_the_rows_only(tmp_path: Path) -> None:
    rows = [
        row(f"{n}.tif", f"split{k}", configuration={"n": size}) for n in (1, 2, 11) for k in (2, 10) for size in "59"
    ]
    write_scores(tmp_path / "one.csv", rows)
    random.Random(1).shuffle(rows)
    write_scores(tmp_path / "two.csv", rows)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert [(r.split, r.image) for r in sort_rows(rows)][:4] == [
        ("split2", "1.tif"), ("split2", "2.tif"), ("split2", "11.tif"), ("split10", "1.tif"),
    ]  # fmt: skip


def test_a_factor_that_a_configuration_lacks_is_an_empty_field(tmp_path: Path) -> None:
    rows = [row(configuration={"init": "random"}), row(configuration={"init": "livecell", "scale": "57"})]
    write_scores(tmp_path / "s.csv", rows)
    assert {tuple(r.configuration) for r in read_scores(tmp_path / "s.csv")} == {("init",), ("init", "scale")}


def test_score_and_sizes() -> None:
    assert row().dice == 0.75
    assert row(input_size="704 x512".replace(" ", ""), score_size="Native").sizes == ("704x512", "native")
    assert row(configuration={"b": "1", "a": "2"}).key == row(configuration={"a": "2", "b": "1"}).key
    assert len({row(), row()}) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"configuration": {"image": "x"}}, "may not be called 'image'"),
        ({"configuration": {"init": ""}}, "cannot be the value of init"),
        ({"tp": -1}, "tp is -1"),
        ({"tp": 1.0}, "tp is 1.0"),
        ({"tp": 0, "fp": 0, "fn": 0, "tn": 0}, "no pixel"),
        ({"score_size": "704"}, "is not a size"),
        ({"split": " "}, "cannot be the split"),
    ],
)
def test_wrong_rows_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        row(**changes)


HEAD = "init,split,image,input_size,score_size,tp,fp,fn,tn\n"
GOOD = "random,split01,a.tif,704x512,704x512,30,10,10,50\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + GOOD + GOOD.replace("a.tif,", "b.tif,").replace(",30,", ",30.5,"), "line 3: tp is '30.5'"),
        (HEAD + GOOD.replace(",10,50", ",-1,50"), "line 2: fn is '-1'"),
        (HEAD + GOOD.replace("704x512,704x512", "704x512,704"), "line 2: '704' is not a size"),
        (HEAD + GOOD + "random,split01\n", "line 3: 2 fields where there are 9"),
        (HEAD + GOOD + GOOD, "lines 2 and 3: both are about init = random; split01, image 'a.tif'"),
        (HEAD + GOOD.replace("split01", ""), "line 2: '' cannot be the split"),
        (HEAD.replace(",tn", "") + GOOD, "no column tn"),
        (HEAD.replace("init", "tn") + GOOD, "more than one column 'tn'"),
        (HEAD.replace("init", "") + GOOD, "column without a name"),
        ("", "no column split"),
        (HEAD + '"random', "can be read"),
    ],
)
def test_one_bad_cell_refuses_the_table_and_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_scores(tmp_path / "s.csv")


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table of scores"):
        read_scores(tmp_path / "absent.csv")
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no table of scores"):
        read_scores(tmp_path / "s.csv")


def test_the_same_row_twice_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Two rows are about encoder = MiT-B3"):
        write_scores(tmp_path / "s.csv", [row(), row()])
    assert not (tmp_path / "s.csv").exists()
