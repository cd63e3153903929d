"""The next file is read while somebody works on this one; errors come when it is its turn."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from c6seg import runtime
from c6seg.inference.read_ahead import ReadAhead


def files(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.bin" for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def test_hashes_come_in_order(tmp_path: Path) -> None:
    paths = files(tmp_path, 5)
    with ReadAhead(paths) as ahead:
        found = [ahead.sha256(number) for number in range(5)]
    assert found == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_the_next_file_and_no_more_is_read_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = files(tmp_path, 4)
    read: list[str] = []
    second = threading.Event()

    def hashed(path: Path) -> str:
        assert threading.current_thread() is not threading.main_thread()
        read.append(path.name)
        if path == paths[1]:
            second.set()
        return path.name

    monkeypatch.setattr(runtime, "sha256", hashed)
    with ReadAhead(paths) as ahead:
        assert ahead.sha256(0) == "0.bin"
        assert second.wait(timeout=10), "it is read without being asked for"
        assert read == ["0.bin", "1.bin"]
        assert ahead.sha256(1) == "1.bin"


def test_a_file_that_is_gone_fails_in_its_turn(tmp_path: Path) -> None:
    paths = files(tmp_path, 3)
    paths[1].unlink()
    with ReadAhead(paths) as ahead:
        ahead.sha256(0)
        with pytest.raises(FileNotFoundError):
            ahead.sha256(1)
        assert len(ahead.sha256(2)) == 64


def test_who_stops_reads_no_further(tmp_path: Path) -> None:
    paths = files(tmp_path, 3)
    with ReadAhead(paths) as ahead:
        ahead.sha256(0)
    with pytest.raises(RuntimeError, match="after shutdown"):
        ahead.sha256(2)
