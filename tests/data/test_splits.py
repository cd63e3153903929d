"""Divisions of a data set: disjoint, seeded, nested, stratified, grouped; and their file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c6seg.data.splits import (
    PARTS,
    Split,
    find_split,
    make_splits,
    names_hash,
    read_splits,
    select,
    select_text,
    write_splits,
)
from c6seg.errors import DataError, UsageError

NAMES = [f"image{i:02}" for i in range(35)]


def fake(names: list[str], **own: str) -> Any:
    items = tuple(SimpleNamespace(name=name, split=own.get(name)) for name in names)
    return SimpleNamespace(root=Path("data"), items=items)


@settings(max_examples=40, deadline=None)
@given(
    total=st.integers(3, 60),
    shares=st.tuples(st.floats(0.05, 0.5), st.floats(0, 0.2), st.floats(0, 0.25)),
    seed=st.integers(0, 2**31),
    strata=st.integers(0, 4),
)
def test_parts_are_disjoint_and_have_the_counts(
    total: int, shares: tuple[float, float, float], seed: int, strata: int
) -> None:
    names = [f"n{i}" for i in range(total)]
    counts = (max(1, int(total * shares[0])), int(total * shares[1]), int(total * shares[2]))
    stratify = {name: i % strata for i, name in enumerate(names)} if strata else None
    for split in make_splits(names, counts=counts, repeats=3, seed=seed, stratify=stratify):
        parts = [split.part(part) for part in PARTS]
        assert tuple(map(len, parts)) == counts
        union = {name for part in parts for name in part}
        assert len(union) == sum(counts)
        assert union <= set(names)


def test_paper_default_is_ten_divisions_of_15_5_10() -> None:
    splits = make_splits(NAMES)
    assert [split.name for split in splits] == [f"split{i:02}" for i in range(10)]
    assert all((len(s.train), len(s.val), len(s.test)) == (15, 5, 10) for s in splits)
    assert len({s.test for s in splits}) == 10


def test_the_same_seed_gives_the_same_divisions_whatever_the_order_and_the_repeats() -> None:
    first = make_splits(NAMES, seed=4)
    assert make_splits(NAMES[::-1], seed=4) == first
    assert make_splits(NAMES, seed=4, repeats=3) == first[:3]
    assert make_splits(NAMES, seed=5) != first


def test_draws_are_pinned_so_that_published_divisions_can_be_drawn_again() -> None:
    split = make_splits(["a", "b", "c", "d", "e", "f"], counts=(2, 1, 2), repeats=1, seed=0)[0]
    assert split == Split("split00", ("d", "e"), ("a",), ("c", "b"))


def test_training_sizes_are_nested_and_share_validation_and_test() -> None:
    large = make_splits(NAMES, counts=(15, 5, 10), seed=7)
    for size in (5, 10):
        small = make_splits(NAMES, counts=(size, 5, 10), seed=7)
        for one, other in zip(small, large, strict=True):
            assert one.train == other.train[:size]
            assert (one.val, one.test) == (other.val, other.test)
            assert other.with_training_size(size) == one
    with pytest.raises(UsageError, match="has 15 training images; 16"):
        large[0].with_training_size(16)


def test_strata_appear_in_every_part_in_proportion() -> None:
    stratum = {name: "large" if i < 14 else "small" for i, name in enumerate(NAMES)}
    for split in make_splits(NAMES, seed=1, repeats=20, stratify=stratum):
        for part in PARTS:
            names = split.part(part)
            large = sum(stratum[name] == "large" for name in names)
            assert abs(large - 0.4 * len(names)) <= 1.0


def test_groups_are_never_torn() -> None:
    well = {name: i // 4 for i, name in enumerate(NAMES)}
    for split in make_splits(NAMES, counts=(15, 5, 10), seed=2, groups=well):
        assert len(split.train) >= 12
        assert 1 <= len(split.val) <= 5
        assert 8 <= len(split.test) <= 10
        wells = [{well[name] for name in split.part(part)} for part in PARTS]
        assert sum(map(len, wells)) == len(set().union(*wells))


def test_groups_fill_a_part_exactly_where_they_can() -> None:
    pairs = {f"n{i}": i // 2 for i in range(20)}
    split = make_splits(list(pairs), counts=(8, 4, 6), repeats=1, groups=pairs)[0]
    assert (len(split.train), len(split.val), len(split.test)) == (8, 4, 6)


def test_a_group_too_large_for_its_part_is_an_error() -> None:
    with pytest.raises(UsageError, match="none that is left fits into a part of 10 images"):
        make_splits(NAMES, groups=dict.fromkeys(NAMES, "one"))
    with pytest.raises(UsageError, match="not both"):
        make_splits(NAMES, groups={}, stratify={})


def test_an_image_that_is_there_twice_is_in_one_part_at_most() -> None:
    twins = [("image00", "image01"), ("image10", "image11", "image12")]
    dropped = {"image01", "image11", "image12"}
    for split in make_splits(NAMES, counts=(16, 6, 10), repeats=5, duplicates=twins):
        assert not dropped & {name for part in PARTS for name in split.part(part)}
    with pytest.raises(UsageError, match=r"there are 32 \(35 less"):
        make_splits(NAMES, counts=(18, 5, 10), duplicates=twins)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (NAMES, {"counts": (30, 5, 10)}, "= 45 images are asked for, but there are 35"),
        (NAMES, {"counts": (0, 5, 10)}, "at least 1 training image"),
        (NAMES, {"repeats": 0}, "at least 1 training image"),
        ([*NAMES, "image03"], {}, "such as 'image03'"),
    ],
)
def test_impossible_requests_are_named(names: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_splits(names, **options)


def test_file_round_trip(tmp_path: Path) -> None:
    splits = make_splits(NAMES, seed=3)
    path = tmp_path / "splits.json"
    write_splits(path, splits, names=NAMES, seed=3)
    assert read_splits(path) == splits
    assert read_splits(path, names=NAMES) == splits
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["images"], written["seed"]) == (35, 3)
    assert written["names_sha256"] == names_hash(NAMES[::-1])


def test_a_data_set_that_has_grown_still_fits_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "splits.json"
    write_splits(path, make_splits(NAMES), names=NAMES)
    read_splits(path, names=NAMES)
    assert not caplog.records
    read_splits(path, names=[*NAMES, "later"])
    assert "changed since" in caplog.text


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    with pytest.raises(DataError, match="Cannot read splits"):
        read_splits(path)
    for text in ("not json", "[]", "{}", '{"splits": [{"name": "a"}]}', '{"splits": 3}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match="no splits file"):
            read_splits(path)
    path.write_text('{"splits": []}', encoding="utf-8")
    with pytest.raises(DataError, match="holds no split"):
        read_splits(path)
    path.write_text('{"format": "c6seg-splits-9", "splits": 3}', encoding="utf-8")
    with pytest.raises(DataError, match=r"format 'c6seg-splits-9'; this version reads 'c6seg-splits-1'"):
        read_splits(path)
    write_splits(path, [Split("a", ("1",), (), ()), Split("b", ("1",), (), ()), Split("a", ("2",), (), ())], names=[])
    with pytest.raises(DataError, match="has 2 divisions called 'a'"):
        read_splits(path)
    write_splits(path, [Split("split00", ("a", "b"), (), ("b",))], names=["a", "b"])
    with pytest.raises(DataError, match="image 'b' is in train and in test of split00"):
        read_splits(path)
    write_splits(path, make_splits(NAMES), names=NAMES)
    with pytest.raises(DataError, match="names 1 images that the data set does not have, such as 'image34'"):
        read_splits(path, names=NAMES[:-1])


def test_a_file_may_leave_out_its_format_and_a_division_its_test_images(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text('{"splits": [{"name": "s", "train": ["a", "b"], "val": [], "test": []}]}', encoding="utf-8")
    assert read_splits(path, names=["a", "b"]) == [Split("s", ("a", "b"), (), ())]
    assert [item.name for item in select_text(fake(["a", "b"]), f"{path}:s", part="train")] == ["a", "b"]


def test_selection_as_people_write_it(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    splits = make_splits(NAMES)
    write_splits(path, splits, names=NAMES)
    data = fake(NAMES)
    assert tuple(item.name for item in select_text(data, f"{path}:split03")) == splits[3].test
    assert tuple(item.name for item in select_text(data, f"{path}:split03/val")) == splits[3].val
    assert select(data, splits[0], "train")[0].name == splits[0].train[0]
    with pytest.raises(UsageError, match="Did you mean 'split03'"):
        select_text(data, f"{path}:split3")
    with pytest.raises(UsageError, match="Unknown part 'tests'"):
        select_text(data, f"{path}:split03/tests")
    with pytest.raises(UsageError, match="is not FILE:NAME"):
        select_text(data, str(path))
    with pytest.raises(DataError, match="lacks"):
        select(fake(NAMES[:3]), splits[0], "train")
    with pytest.raises(UsageError, match="Unknown split"):
        find_split(splits, "nothing")


def test_the_division_that_a_data_set_brings() -> None:
    data = fake(["a", "b", "c"], a="test", b="train")
    assert [item.name for item in select_text(data, "test")] == ["a"]
    with pytest.raises(UsageError, match="brings no division"):
        select_text(data, "val")
