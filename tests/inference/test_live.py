from __future__ import annotations

import csv
import errno
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg.config import SegmentConfig
from c6seg.errors import ImageNotFoundError, ImageReadError, OutputError
from c6seg.growth.names import parse_name
from c6seg.inference import journal as journal_module
from c6seg.inference import live as live_module
from c6seg.inference import watcher as watcher_module
from c6seg.inference.arrivals import Arrivals, Stamp, stamp_of
from c6seg.inference.batch import segment_images
from c6seg.inference.journal import Journal, open_journal
from c6seg.inference.live import Added, LiveBatch, open_live
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.status import LiveStatus
from c6seg.inference.watcher import Watcher

OPTIONS = SegmentConfig(precision="f32")


class Bright:
    name, device, precision = "openvino", "cpu", "f32"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, data: np.ndarray) -> np.ndarray:
        self.runs += 1
        return (data[:, :1] > 0.5).astype(np.float32)


@pytest.fixture
def engine() -> Bright:
    return Bright()


@pytest.fixture
def segmenter(tiny_bundle: Path, engine: Bright) -> Segmenter:
    return Segmenter(tiny_bundle, OPTIONS, engine=engine)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def cells(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:60, 0:80]
    row, column = rng.uniform(20, 40, 2)
    bright = (rows - row) ** 2 + (columns - column) ** 2 < 150
    return (np.where(bright, 200, 40) + rng.integers(0, 9, (60, 80))).astype(np.uint8)


def save(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(cells(seed)).save(path)
    return path


def film(path: Path, *seeds: int) -> Path:
    tifffile.imwrite(path, np.stack([cells(seed) for seed in seeds]), photometric="minisblack")
    return path


def hints(name: str) -> tuple[str | None, float | None]:
    return parse_name(name).well, parse_name(name).time_h


def table(out: Path) -> list[dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def add(live: LiveBatch, path: Path, **options: Any) -> Added:
    return live.add(path, stamp_of(path) or Stamp(0, 0), **options)


@contextmanager
def opened(folder: Path, out: Path, segmenter: Segmenter) -> Iterator[LiveBatch]:
    with open_live(folder, out, segmenter, hints=hints) as live:
        yield live
        live.tables({}, complete=True)


def test_the_files_are_those_of_a_batch(folder: Path, out: Path, segmenter: Segmenter, engine: Bright) -> None:
    paths = [save(folder / "x10_B2_03d00h00m.png", 1), save(folder / "x2_B2.jpg", 2), film(folder / "film.tif", 3, 4)]
    with opened(folder, out, segmenter) as live:
        found = [add(live, path) for path in paths]
        assert len(live) == 3
    assert [one.how for one in found] == ["made"] * 3
    assert found[0].confluence == pytest.approx(found[0].rows[0]["confluence"])
    segment_images(folder, out.with_name("batch"), segmenter=segmenter, hints=hints)
    assert files(out) == files(out.with_name("batch"))
    for name in files(out):
        if name not in {"journal.jsonl", "manifest.json"}:
            assert (out / name).read_bytes() == (out.with_name("batch") / name).read_bytes(), name
    runs = engine.runs
    result = segment_images(folder, out, segmenter=segmenter, hints=hints)
    assert (result.resumed, engine.runs) == (3, runs), "a batch finds everything done"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] is True


def test_what_a_batch_did_is_not_made_again(folder: Path, out: Path, segmenter: Segmenter, engine: Bright) -> None:
    paths = [save(folder / "a.png", 1), film(folder / "film.tif", 3, 4)]
    segment_images(folder, out, segmenter=segmenter, hints=hints)
    before, runs = (out / "measurements.csv").read_bytes(), engine.runs
    with opened(folder, out, segmenter) as live:
        assert not live.remembers(paths[0], stamp_of(paths[0]) or Stamp(0, 0)), "a batch notes no place"
        assert [add(live, path).how for path in paths] == ["known", "known"]
    assert engine.runs == runs
    assert (out / "measurements.csv").read_bytes() == before
    assert json.loads((out / "manifest.json").read_text())["resumed"] == 2


def test_a_restart_remembers_without_reading(
    folder: Path, out: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(folder / "a.png", 1)
    with opened(folder, out, segmenter) as live:
        add(live, path)
    monkeypatch.setattr(live_module, "_digest", lambda path: pytest.fail("it was read"))
    with opened(folder, out, segmenter) as live:
        assert live.remembers(path, stamp_of(path) or Stamp(0, 0))
        assert add(live, path).how == "known"
    (out / "masks" / "a.png").unlink()
    with opened(folder, out, segmenter) as live:
        assert not live.remembers(path, stamp_of(path) or Stamp(0, 0))


@pytest.mark.parametrize("series", [False, True])
def test_a_renamed_file_keeps_its_results(
    folder: Path, out: Path, segmenter: Segmenter, engine: Bright, series: bool
) -> None:
    old, new = folder / "x_A1_00d04h00m.tif", folder / "x_B3_00d08h00m.tif"
    if series:
        film(old, 1, 2)
    else:
        tifffile.imwrite(old, cells(1))
    with opened(folder, out, segmenter) as live:
        add(live, old)
        runs = engine.runs
        old.rename(new)
        found = add(live, new)
        assert found.how == "renamed"
        assert "is now called 'x_B3_00d08h00m.tif'" in found.note
        assert len(live) == 1
    assert engine.runs == runs
    rows = table(out)
    assert {row["image"] for row in rows} == {new.stem}
    assert {row["well"] for row in rows} == {"B3"}
    assert [row["time_h"] for row in rows] == (["", ""] if series else ["8.0"])
    assert not [name for name in files(out) if "A1" in name]
    # as if it had always had that name
    segment_images(folder, out.with_name("batch"), segmenter=segmenter, hints=hints)
    assert files(out) == files(out.with_name("batch"))
    assert (out / "measurements.csv").read_bytes() == (out.with_name("batch") / "measurements.csv").read_bytes()
    assert segment_images(folder, out, segmenter=segmenter, hints=hints).resumed == 1


def test_a_file_that_moves_into_another_folder_is_not_made_again(
    folder: Path, out: Path, segmenter: Segmenter, engine: Bright
) -> None:
    path = save(folder / "a.png", 1)
    with opened(folder, out, segmenter) as live:
        add(live, path)
        (folder / "day1").mkdir()
        path.rename(folder / "day1" / "a.png")
        assert add(live, folder / "day1" / "a.png").how == "renamed"
    assert engine.runs == 1
    assert json.loads((out / "manifest.json").read_text())["inputs"][0]["path"].endswith("day1/a.png")


def test_the_same_content_under_two_names_is_counted_once(
    folder: Path, out: Path, segmenter: Segmenter, engine: Bright
) -> None:
    first = save(folder / "a.png", 1)
    second = Path(shutil.copy(first, folder / "b.png"))
    third = folder / "deep" / "a.png"
    third.parent.mkdir()
    shutil.copy(first, third)
    with opened(folder, out, segmenter) as live:
        assert add(live, first).how == "made"
        for path in (second, third):
            found = add(live, path)
            assert found.how == "repeated"
            assert "has the same content as 'a.png'" in found.note
        assert live.orphans() == []
        assert len(live) == 1
        third.unlink()
        first.unlink()  # it was a rename in two steps
        assert live.orphans() == [second]
        assert live.orphans() == []
        assert add(live, second).how == "renamed"
    assert engine.runs == 1
    assert [row["image"] for row in table(out)] == ["b"]
    assert [name for name in files(out) if name.startswith("masks")] == ["masks/b.png"]


def test_overwritten_is_made_again_and_two_that_change_places_too(
    folder: Path, out: Path, segmenter: Segmenter, engine: Bright
) -> None:
    a, b = save(folder / "a.png", 1), save(folder / "b.png", 2)
    with opened(folder, out, segmenter) as live:
        add(live, a)
        add(live, b)
        save(a, 3)
        assert add(live, a).how == "made"
        a.rename(folder / "c.png")
        b.rename(a)
        (folder / "c.png").rename(b)
        assert {add(live, path).how for path in (a, b)} <= {"made", "renamed"}
    segment_images(folder, out.with_name("batch"), segmenter=segmenter, hints=hints)
    for name in ("measurements.csv", "masks/a.png", "masks/b.png"):
        assert (out / name).read_bytes() == (out.with_name("batch") / name).read_bytes(), name


def test_results_of_files_that_are_moved_away_stay(folder: Path, out: Path, segmenter: Segmenter) -> None:
    a, b = save(folder / "a.png", 1), save(folder / "b.png", 2)
    with opened(folder, out, segmenter) as live:
        add(live, a)
        a.unlink()
    with opened(folder, out, segmenter) as live:
        add(live, b)
    assert [row["image"] for row in table(out)] == ["a", "b"]
    assert (out / "masks" / "a.png").is_file()


def test_another_image_of_the_same_name_is_refused_in_words(folder: Path, out: Path, segmenter: Segmenter) -> None:
    a, other = save(folder / "a.png", 1), save(folder / "day2" / "a.png", 2)
    with opened(folder, out, segmenter) as live:
        add(live, a)
        mask = (out / "masks" / "a.png").read_bytes()
        found = add(live, other)
        assert found.how == "refused"
        assert "would be written as 'a', like" in found.note
        a.unlink()
        assert add(live, other).how == "refused", "the results of the first stay"
    assert (out / "masks" / "a.png").read_bytes() == mask


def test_half_a_file_changes_nothing_until_it_is_given_up(folder: Path, out: Path, segmenter: Segmenter) -> None:
    path = save(folder / "a.png", 1)
    with opened(folder, out, segmenter) as live:
        add(live, path)
        whole = path.read_bytes()
        for broken in (b"", whole[: len(whole) // 2], b"text"):
            path.write_bytes(broken)
            with pytest.raises(ImageReadError):
                add(live, path)
        assert len(live) == 1
        assert (out / "masks" / "a.png").is_file()
        with pytest.raises(ImageNotFoundError):
            add(live, folder / "none.png")
        live.discard(folder / "none.png")
        assert len(live) == 1
        live.discard(path)
        assert len(live) == 0
        live.tables({path: "cut short", folder / "A.png": "no image"}, complete=False)
        assert json.loads((out / "manifest.json").read_text())["complete"] is False
        assert (out / "failures.csv").read_text().splitlines()[1:] == [
            f"{folder / 'A.png'},no image",
            f"{path},cut short",
        ]
        assert not [name for name in files(out) if name.startswith(("masks", "overlays"))]
        path.write_bytes(whole)
        assert add(live, path).how == "made"


def read_journal(out: Path) -> dict[str, Any]:
    path = out / "journal.jsonl"
    key = json.loads(path.read_text().splitlines()[0])["key"]
    return journal_module._read(path, key)[0]


def check_that_the_mask_is_that_of_the_row(out: Path, name: str) -> None:
    entry = read_journal(out).get(name)
    if entry is not None:
        mask = np.asarray(Image.open(out / "masks" / f"{name}.png")) > 0
        assert mask.mean() == pytest.approx(entry["rows"][0]["confluence"], abs=1e-6)


class Killed(BaseException):
    """As if the process had ended here."""


def dying(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """End as if killed before or after the call, when so many such moments have passed."""

    def call(*arguments: Any) -> Any:
        for moment in ("before", "after"):
            left[0] -= 1
            if left[0] == 0:
                raise Killed(moment)
            if moment == "before":
                result = function(*arguments)
        return result

    return call


@pytest.mark.parametrize("case", ["picture", "series", "over another"])
def test_killed_at_any_step_of_a_rename(
    folder: Path, out: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Whatever is left, the next start makes it as if nothing had happened; also where the name was another image's."""
    old, new = folder / "x_A1.tif", folder / "x_B3.tif"
    for step in range(1, 40):
        for place in (folder, out):
            shutil.rmtree(place, ignore_errors=True)
        folder.mkdir()
        film(old, 1, 2) if case == "series" else tifffile.imwrite(old, cells(1))
        with opened(folder, out, segmenter) as live:
            add(live, old)
            if case == "over another":
                tifffile.imwrite(new, cells(3))
                add(live, new)
        old.replace(new)
        left = [step]
        survived = False
        with monkeypatch.context() as patch, open_live(folder, out, segmenter, hints=hints) as live:
            patch.setattr(Path, "replace", dying(Path.replace, left))
            patch.setattr(Journal, "_append", dying(Journal._append, left))
            try:
                add(live, new)
                survived = True
            except Killed:
                pass
        if case == "over another":
            check_that_the_mask_is_that_of_the_row(out, "x_B3")
        with opened(folder, out, segmenter) as live:
            add(live, new)
            assert len(live) == 1, f"step {step}"
        assert {row["image"] for row in table(out)} == {"x_B3"}
        assert not [name for name in files(out) if "A1" in name], f"step {step}"
        assert len([name for name in files(out) if name.startswith("masks")]) == 1
        if survived:
            break
    assert step > 8


def test_two_watches_do_not_write_into_one_folder(folder: Path, out: Path, segmenter: Segmenter) -> None:
    pytest.importorskip("fcntl", reason="Windows has no such lock")
    with (
        opened(folder, out, segmenter),
        pytest.raises(OutputError, match="Another c6seg is writing"),
        opened(folder, out, segmenter),
    ):
        pass


def test_other_options_start_over_and_say_so(
    folder: Path, out: Path, segmenter: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(folder / "a.png", 1)
    with opened(folder, out, segmenter) as live:
        add(live, path)
    other = Segmenter(segmenter.bundle, SegmentConfig(precision="f32", threshold=0.9), engine=segmenter.engine)
    with caplog.at_level(logging.WARNING, "c6seg"), opened(folder, out, other) as live:
        assert len(live) == 0
        assert add(live, path).how == "made"
    assert "1 images in" in caplog.text
    assert "other options" in caplog.text


def test_an_output_folder_that_is_moved_away_ends_it(folder: Path, out: Path, segmenter: Segmenter) -> None:
    with open_live(folder, out, segmenter) as live:
        add(live, save(folder / "a.png", 1))
        live.tables({}, complete=False)
        out.rename(out.with_name("elsewhere"))
        with pytest.raises(OutputError, match="was moved, removed or replaced"):
            live.tables({}, complete=False)
    assert not out.exists()


# The loop


class Watch:
    """A watch in this process, with a script of what happens at which call of ``report``."""

    def __init__(self, folder: Path, out: Path, segmenter: Segmenter) -> None:
        self.folder, self.out, self.segmenter = folder, out, segmenter
        self.told: list[LiveStatus] = []
        self.after: list[bool] = []
        self.rehearsed: list[int] = []
        self.stop = threading.Event()
        self.script: Callable[[LiveStatus], None] = lambda status: None

    def _report(self, status: LiveStatus) -> None:
        self.told.append(status)
        self.script(status)

    def _after(self, quick: bool) -> dict[str, Any]:
        self.after.append(quick)
        return {}

    def run(self, *, idle_s: float = 0.15, give_up_s: float = 60.0) -> LiveStatus:
        with open_live(self.folder, self.out, self.segmenter, hints=hints) as live:
            self.live = live
            watcher = Watcher(
                live,
                Arrivals(settle_s=0.03, give_up_s=give_up_s),
                LiveStatus(self.out),
                after=self._after,
                rehearse=lambda: self.rehearsed.append(len(self.told)),
                stop=self.stop,
                report=self._report,
            )
            return watcher.run(0.01, idle_s)


@pytest.fixture
def watch(folder: Path, out: Path, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(watcher_module, "RETRY_S", (0.05, 0.1))
    return Watch(folder, out, segmenter)


def test_it_takes_what_is_there_and_what_comes(watch: Watch) -> None:
    save(watch.folder / "a.png", 1)
    (watch.folder / "bad.tif").write_bytes(b"II*\0 and no more")

    def arrive(status: LiveStatus) -> None:
        if status.images == 1 and status.state == "waiting":
            save(watch.folder / "b.tmp.png", 2).rename(watch.folder / "b.png")

    watch.script = arrive
    status = watch.run()
    assert (status.state, status.images, status.made) == ("stopped", 2, 2)
    assert [row["image"] for row in table(watch.out)] == ["a", "b"]
    (reason,) = status.failures.values()
    assert "bad.tif" in reason
    assert "when the watch ended" in reason
    assert "bad.tif" in (watch.out / "failures.csv").read_text()
    assert any("bad.tif" in str(path) for told in watch.told for path in told.unfinished), "it was waited for"
    assert watch.after[-1] is False, "the last report is a full one"
    assert status.seconds is not None
    assert watch.run().made == 0, "all is done"


def test_a_file_that_stays_broken_is_given_up_and_taken_when_it_is_mended(watch: Watch) -> None:
    whole = save(watch.folder / "a.png", 1).read_bytes()
    (watch.folder / "a.png").write_bytes(whole[:-20])

    def mend(status: LiveStatus) -> None:
        if status.failures and status.state == "waiting":
            (watch.folder / "a.png").write_bytes(whole)

    watch.script = mend
    status = watch.run(give_up_s=0.05)
    assert not status.failures
    assert status.images == 1
    assert not (watch.out / "failures.csv").exists()


def test_a_file_that_changes_while_the_network_runs_is_taken_as_it_is_afterwards(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(watch.folder / "a.png", 1)
    right, changed = Segmenter.segment, []

    def segment(self: Segmenter, frame: Any) -> Any:
        found = right(self, frame)
        if not changed:
            changed.append(save(path, 2))
        return found

    monkeypatch.setattr(Segmenter, "segment", segment)
    assert watch.run().made == 1
    segment_images(watch.folder, watch.out.with_name("batch"), segmenter=watch.segmenter)
    assert (watch.out / "masks/a.png").read_bytes() == (watch.out.with_name("batch") / "masks/a.png").read_bytes()
    events = [json.loads(line).get("state") for line in (watch.out / "journal.jsonl").read_text().splitlines()]
    assert events == [None, "begun", "done"], "what was seen first left no trace"


def test_a_file_that_turns_bad_leaves_no_old_result(watch: Watch) -> None:
    save(watch.folder / "a.png", 1)

    def spoil(status: LiveStatus) -> None:
        path = watch.folder / "a.png"
        if status.state == "waiting" and status.images == 1 and path.stat().st_size > 10:
            path.write_text("no image")

    watch.script = spoil
    status = watch.run(give_up_s=0.05)
    assert status.images == 0
    assert list(status.failures) == [watch.folder / "a.png"]
    assert not [name for name in files(watch.out) if name.startswith(("masks", "overlays"))]


def test_an_output_folder_that_is_moved_away_ends_the_watch(watch: Watch) -> None:
    save(watch.folder / "a.png", 1)

    def move(status: LiveStatus) -> None:
        if status.state == "waiting" and watch.out.exists():
            watch.out.rename(watch.out.with_name("moved"))
            save(watch.folder / "b.png", 2)

    watch.script = move
    with pytest.raises(OutputError, match="was moved, removed or replaced"):
        watch.run(idle_s=30)


def test_a_strange_error_costs_one_image(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    save(watch.folder / "a.png", 1)
    save(watch.folder / "b.png", 2)
    right = Segmenter.segment

    def segment(self: Segmenter, frame: Any) -> Any:
        if frame.name == "a":
            raise ZeroDivisionError("strange")
        return right(self, frame)

    monkeypatch.setattr(Segmenter, "segment", segment)
    status = watch.run()
    assert status.images == 1
    assert "unexpected ZeroDivisionError: strange" in status.failures[watch.folder / "a.png"]


def test_an_overwritten_file_is_seen_before_it_ends(watch: Watch) -> None:
    save(watch.folder / "a.png", 1)

    def overwrite(status: LiveStatus) -> None:
        if status.state == "waiting" and status.made == 1:
            save(watch.folder / "a.png", 2)

    watch.script = overwrite
    assert watch.run().made == 2


def test_renames_copies_and_changes_while_it_runs(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Callable[[], object]] = [
        lambda: (watch.folder / "a.png").rename(watch.folder / "c.png"),
        lambda: shutil.copy(watch.folder / "c.png", watch.folder / "d.png"),
        (watch.folder / "c.png").unlink,
        lambda: save(watch.folder / "b.png", 7),
        (watch.folder / "b.png").unlink,
    ]
    save(watch.folder / "a.png", 1)
    save(watch.folder / "b.png", 2)

    def act(status: LiveStatus) -> None:
        if status.state == "waiting" and status.images == 2 and steps:
            steps.pop(0)()

    watch.script = act
    monkeypatch.setattr(watcher_module, "THOROUGH_S", 0.0)
    status = watch.run()
    assert not steps
    assert [row["image"] for row in table(watch.out)] == ["b", "d"]
    assert status.made == 3
    assert any("same content" in note for note in status.notes)
    assert any("is now called 'd.png'" in note for note in status.notes)


def test_a_folder_that_goes_away_is_waited_for(watch: Watch) -> None:
    save(watch.folder / "a.png", 1)
    away = watch.folder.with_name("unplugged")

    def unplug(status: LiveStatus) -> None:
        if status.images == 1 and status.state == "waiting" and not any(told.problem for told in watch.told):
            watch.folder.rename(away)
        elif status.problem and away.exists():
            away.rename(watch.folder)
            save(watch.folder / "b.png", 2)

    watch.script = unplug
    status = watch.run(idle_s=0.4)
    problems = {told.problem for told in watch.told if told.problem}
    assert len(problems) == 1
    assert "cannot be reached" in problems.pop()
    assert (status.problem, status.images, status.made) == ("", 2, 2)
    assert {told.state for told in watch.told if told.problem} == {"problem"}


@pytest.mark.parametrize("place", ["masks", "measurements"])
def test_a_full_disk_is_waited_for(watch: Watch, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    save(watch.folder / "a.png", 1)
    save(watch.folder / "b.png", 2)
    full = [True]
    right = os.replace
    path_replace = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if full[0] and place in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return path_replace(self, target)

    def free(status: LiveStatus) -> None:
        if status.state == "problem" and sum(told.state == "problem" for told in watch.told) > 2:
            full[0] = False

    monkeypatch.setattr(Path, "replace", replace)
    watch.script = free
    status = watch.run(idle_s=1.5)
    assert right is os.replace
    problems = {told.problem for told in watch.told if told.problem}
    assert len(problems) <= 2
    assert all("the disk is full" in problem and "Waiting" in problem for problem in problems)
    assert (status.problem, status.images) == ("", 2)
    assert [row["image"] for row in table(watch.out)] == ["a", "b"]


def test_a_disk_that_stays_full_is_an_error_at_the_end(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    save(watch.folder / "a.png", 1)

    def replace(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(status: LiveStatus) -> None:
        monkeypatch.setattr(Path, "replace", replace)

    watch.script = fill
    with pytest.raises(OutputError, match="the disk is full"):
        watch.run()
    assert not [name for name in files(watch.out) if Path(name).name.startswith(".")]


def test_a_journal_on_a_full_disk_goes_on_with_a_whole_line(folder: Path, out: Path, segmenter: Segmenter) -> None:
    class Full:
        """Takes half a line, then nothing."""

        name = "journal"

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 5

        def write(self, data: bytes) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            taken = self.file.write(bytes(data[: self.left]))
            self.left -= taken
            return int(taken)

        def fileno(self) -> int:
            return int(self.file.fileno())

    out.mkdir()
    with open_journal(out, "k") as journal:
        right = journal._file
        journal._file = Full(right)  # type: ignore[assignment]
        with pytest.raises(OutputError, match="the disk is full"):
            journal.begin("a")
        journal._file = right
        journal.done("b", {"sha256": "1", "rows": [], "outputs": [], "seconds": 0})
        journal.forget("c")
    with open_journal(out, "k") as journal:
        assert set(journal.entries) == {"b"}


def test_stopping_leaves_a_series_and_finishes_a_picture(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    film(watch.folder / "film.tif", 1, 2, 3)
    right = Segmenter.segment

    def segment(self: Segmenter, frame: Any) -> Any:
        watch.stop.set()
        return right(self, frame)

    monkeypatch.setattr(Segmenter, "segment", segment)
    status = watch.run()
    assert (status.state, status.images) == ("stopped", 0)
    assert files(watch.out) == ["journal.jsonl", "manifest.json", "measurements.csv"]
    (watch.folder / "film.tif").unlink()
    os.utime(save(watch.folder / "a.png", 4), (1e9, 1e9))
    watch.stop.clear()
    monkeypatch.setattr(watcher_module.Arrivals, "rest_s", lambda self, path, now: 0.0)
    assert watch.run().images == 1, "one picture is finished though it was told to stop"
    assert [row["image"] for row in table(watch.out)] == ["a"]


def test_while_images_wait_the_tables_are_written_seldom(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(6):
        save(watch.folder / f"a{seed}.png", seed)
    watch.run()
    assert watch.after == [True, False], "once when nothing waits any more, and once in full at the end"
    for seed in range(6, 9):
        save(watch.folder / f"a{seed}.png", seed)
    monkeypatch.setattr(watcher_module, "BUSY_S", 0.0)
    watch.after.clear()
    watch.run()
    assert len(watch.after) == 4


def test_it_warms_up_while_nothing_waits(watch: Watch, engine: Bright) -> None:
    watch.run()
    assert watch.rehearsed == [0]
    save(watch.folder / "a.png", 1)
    watch.run()
    assert (watch.rehearsed, engine.runs) == ([0], 1), "an image that waits comes first"
    watch.run()
    assert (watch.rehearsed, engine.runs) == ([0], 2), "all is done: once for nothing"


def test_where_images_never_stop_coming_the_full_report_is_made_now_and_then(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "FULL_S", 0.1)

    def go_on(status: LiveStatus) -> None:
        if status.state == "waiting" and status.made < 8 and status.images == status.made:
            save(watch.folder / f"a{status.made}.png", status.made)

    watch.script = go_on
    assert watch.run().made == 8
    assert watch.after[:-1].count(False) >= 1


def test_a_rest_is_used_for_the_full_report(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "REST_S", 0.05)
    save(watch.folder / "a.png", 1)
    watch.run(idle_s=0.3)
    assert watch.after == [True, False]
