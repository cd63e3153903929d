from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.inference.arrivals import Arrivals, Stamp, cut_short, is_temporary, look, skipped, stamp_of

A, B = Path("a.tif"), Path("b.tif")
SMALL, GROWN = Stamp(10, 1), Stamp(20, 2)


def test_a_file_is_due_at_once_and_complete_when_it_stood_still() -> None:
    arrivals = Arrivals(settle_s=0.5)
    assert arrivals.see({A: SMALL}, now=100.0)
    assert arrivals.due(100.0) == [A]
    assert arrivals.rest_s(A, 100.2) == pytest.approx(0.3)
    assert not arrivals.see({A: SMALL}, now=100.4)
    assert arrivals.rest_s(A, 100.5) == 0
    assert arrivals.see({A: GROWN}, now=100.6)
    assert arrivals.rest_s(A, 100.6) == pytest.approx(0.5), "it has to stand still anew"
    arrivals.done(A, GROWN)
    assert arrivals.due(200.0) == []


def test_done_counts_for_what_was_used_only() -> None:
    arrivals = Arrivals()
    arrivals.see({A: SMALL}, now=0.0)
    arrivals.see({A: GROWN}, now=1.0)
    arrivals.done(A, SMALL)
    assert arrivals.due(1.0) == [A]
    arrivals.done(A, GROWN)
    assert arrivals.due(1.0) == []
    arrivals.see({A: Stamp(20, 3)}, now=2.0)  # overwritten
    assert arrivals.due(2.0) == [A]


def test_the_oldest_comes_first_and_then_the_order_of_the_names() -> None:
    arrivals = Arrivals()
    files = {Path("t10.tif"): Stamp(1, 5), Path("t2.tif"): Stamp(1, 5), Path("z.tif"): Stamp(1, 4)}
    arrivals.see(files, now=0.0)
    assert [path.name for path in arrivals.due(0.0)] == ["z.tif", "t2.tif", "t10.tif"]


def test_a_file_that_is_not_whole_is_tried_ever_more_seldom_then_given_up_then_tried_when_it_changes() -> None:
    arrivals = Arrivals(give_up_s=60)
    arrivals.see({A: SMALL, B: SMALL}, now=0.0)
    now, tries = 0.0, []
    while arrivals.due(now) and arrivals.due(now)[0] == A:
        tries.append(now)
        given_up = arrivals.not_whole(A, SMALL, "cut short", now)
        if given_up:
            break
        assert A in arrivals.waiting
        assert A not in arrivals.due(now)
        while A not in arrivals.due(now):
            now += 0.05
            assert now < 100
    assert given_up
    assert 60 <= tries[-1] < 60.2
    assert 8 < len(tries) < 20
    pauses = np.diff(tries)
    assert pauses[0] < 0.4
    assert pauses.max() < 8.2
    assert arrivals.failures == {A: "cut short"}
    assert arrivals.waiting == {}
    assert arrivals.due(1000.0) == [B]
    arrivals.see({A: GROWN, B: SMALL}, now=1001.0)
    assert arrivals.failures == {}
    assert A in arrivals.due(1001.0)


def test_a_share_that_was_away_changes_nothing() -> None:
    arrivals = Arrivals()
    arrivals.see({A: SMALL, B: SMALL}, now=0.0)
    arrivals.done(A, SMALL)
    assert arrivals.see({}, now=1.0)
    assert arrivals.present == frozenset()
    assert arrivals.stamp(A) is None
    assert arrivals.due(1.0) == []
    arrivals.see({A: SMALL, B: SMALL}, now=2.0)
    assert arrivals.due(2.0) == [B], "A was done and is as it was"
    arrivals.again(A)
    assert set(arrivals.due(2.0)) == {A, B}


def test_failures_of_files_that_are_gone_are_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.see({A: SMALL}, now=0.0)
    arrivals.failed(A, SMALL, "no image")
    assert arrivals.failures == {A: "no image"}
    arrivals.see({}, now=1.0)
    assert arrivals.failures == {}


def test_a_file_that_changed_while_at_work_is_due_only_when_it_stood_still() -> None:
    arrivals = Arrivals(settle_s=0.5)
    arrivals.see({A: SMALL}, now=0.0)
    arrivals.restless(A)
    arrivals.see({A: GROWN}, now=1.0)
    assert arrivals.due(1.4) == []
    assert arrivals.due(1.5) == [A]
    arrivals.done(A, GROWN)
    arrivals.see({A: SMALL}, now=9.0)
    assert arrivals.due(9.0) == [A], "the next version is taken at once again"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", False),
        ("a.b.tif", False),
        ("tmp.tif", False),
        ("template 2.tif", False),
        (".a.tif", True),
        ("~a.tif", True),
        ("a.tif~", True),
        ("a.tmp.tif", True),
        ("a.tif.part", True),
        ("a.TMP.png", True),
    ],
)
def test_temporary_names(name: str, expected: bool) -> None:
    assert is_temporary(name) is expected


def test_looking_finds_images_in_folders_and_passes_over_the_rest(tmp_path: Path) -> None:
    for name in ("a.TIF", "b/c.png", "b/d/e.jpeg", "f.txt", ".g.png", "h.tmp.png", ".i/j.png", "out/masks/k.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    for mark, folder in (("journal.jsonl", "earlier"), ("fits.csv", "growth")):
        (tmp_path / folder / "figures").mkdir(parents=True)
        (tmp_path / folder / "figures" / "l.png").write_bytes(b"1")
        (tmp_path / folder / mark).write_text("")
    (tmp_path / "to").symlink_to(tmp_path, target_is_directory=True)
    found = look(tmp_path, skip=skipped(tmp_path, tmp_path / "out"))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == ["a.TIF", "b/c.png", "b/d/e.jpeg"]
    assert found[tmp_path / "a.TIF"] == stamp_of(tmp_path / "a.TIF")
    assert found[tmp_path / "a.TIF"].size == 5
    assert stamp_of(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "none")


def test_files_that_are_done_are_not_asked_for_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"12345")
    arrivals = Arrivals()
    arrivals.see(look(tmp_path), now=0.0)
    first = stamp_of(tmp_path / "a.png")
    assert first is not None
    arrivals.done(tmp_path / "a.png", first)
    (tmp_path / "a.png").write_bytes(b"1234567")
    (tmp_path / "c.png").write_bytes(b"1")
    quick = look(tmp_path, known=arrivals.known)
    assert {path.name: stamp.size for path, stamp in quick.items()} == {"a.png": 5, "b.png": 5, "c.png": 1}
    arrivals.see(look(tmp_path), now=2.0)
    assert "a.png" not in {Path(name).name for name in arrivals.known}, "it changed"
    (tmp_path / "b.png").unlink()
    arrivals.done(tmp_path / "b.png", Stamp(0, 0))
    assert not arrivals.known


def test_images_beside_their_results_are_seen(tmp_path: Path) -> None:
    for name in ("a.png", "masks/a.png", "overlays/a.jpg", "figures/a.png", "raw/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "journal.jsonl").write_text("")
    found = look(tmp_path, skip=skipped(tmp_path, tmp_path))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == ["a.png", "raw/b.png"]
    below = look(tmp_path / "raw", skip=skipped(tmp_path / "raw", tmp_path))
    assert [path.name for path in below] == ["b.png"]


def test_a_folder_below_that_cannot_be_listed_costs_itself_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.png").write_bytes(b"1")
    right = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return right(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [path.name for path in look(tmp_path)] == ["a.png"]


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8))
    picture.save(buffer, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_half_a_file_is_seen_from_its_end(kind: str, tmp_path: Path) -> None:
    whole = encoded(kind)
    path = tmp_path / "a"
    path.write_bytes(whole)
    assert cut_short(path) is None
    path.write_bytes(whole + b"written by another program")
    assert cut_short(path) is None
    for part in (0, 1, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:part])
        if part != 1:  # one byte says nothing of the format
            assert cut_short(path) is not None, f"{part} of {len(whole)} bytes"


def test_a_tiff_shows_when_it_is_decoded(tmp_path: Path) -> None:
    from c6seg.data.images import read_image
    from c6seg.errors import ImageReadError

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((100, 100), np.uint8))
    assert cut_short(tmp_path / "a.tif") is None
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[:-1])
    with pytest.raises(ImageReadError, match="cut short"):
        read_image(tmp_path / "a.tif")
