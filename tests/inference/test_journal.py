from __future__ import annotations

from pathlib import Path

import pytest

from c6seg.errors import OutputError
from c6seg.inference.journal import JOURNAL_FILE, open_journal


def finish(folder: Path, name: str, *, key: str = "k", sha256: str = "1") -> None:
    with open_journal(folder, key) as journal:
        journal.begin(name)
        (folder / f"{name}.out").write_text("x")
        journal.done(name, {"sha256": sha256, "rows": [], "outputs": [f"{name}.out"], "seconds": 1})


def found(folder: Path, name: str, *, key: str = "k", sha256: str = "1") -> bool:
    with open_journal(folder, key) as journal:
        return journal.find(name, sha256, folder) is not None


def test_what_is_done_is_found_again(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    finish(tmp_path, "b")
    assert found(tmp_path, "a")
    assert found(tmp_path, "b")
    assert not found(tmp_path, "c")


def test_changed_input_missing_output_or_other_options_are_not_done(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    assert not found(tmp_path, "a", sha256="2")
    (tmp_path / "a.out").rename(tmp_path / "gone")
    assert not found(tmp_path, "a")
    (tmp_path / "gone").rename(tmp_path / "a.out")
    assert found(tmp_path, "a")
    assert not found(tmp_path, "a", key="other")
    assert not found(tmp_path, "a"), "outputs of other options may have replaced these"


def test_an_image_that_was_begun_again_is_not_done(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    with open_journal(tmp_path, "k") as journal:
        journal.begin("a")
    assert not found(tmp_path, "a")


def test_a_line_cut_short_is_ignored(tmp_path: Path) -> None:
    finish(tmp_path, "a")
    finish(tmp_path, "b")
    journal = tmp_path / JOURNAL_FILE
    for cut in range(1, 60):
        whole = journal.read_bytes()
        journal.write_bytes(whole[:-cut])
        assert found(tmp_path, "a")
        journal.write_bytes(whole)
    journal.write_bytes(journal.read_bytes()[:-3])
    finish(tmp_path, "c")
    assert found(tmp_path, "a")
    assert found(tmp_path, "c")
    assert not found(tmp_path, "b")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[]\n[]\n", b'{"key": "k"}\n{"state": "done"}\n7\n'])
def test_a_journal_of_nonsense_means_nothing_is_done(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(content)
    assert not found(tmp_path, "a")
    finish(tmp_path, "a")
    assert found(tmp_path, "a")


def test_two_processes_do_not_write_into_one_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="Windows has no such lock")
    with open_journal(tmp_path, "k"), pytest.raises(OutputError, match="Another c6seg is writing"):
        found(tmp_path, "a")
    assert not found(tmp_path, "a")  # the lock is gone
