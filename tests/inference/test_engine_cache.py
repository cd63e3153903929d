from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from c6seg.inference import engine_cache
from c6seg.inference.engine_cache import cache_folder, cache_key, drop_entry, read_entry, write_entry


def content(folder: Path) -> bytes | None:
    found = read_entry(folder, "key")
    return None if found is None else found.tobytes()


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert read_entry(folder, "key") is None
    write_entry(folder, "key", b"compiled")
    assert content(folder) == b"compiled"
    assert read_entry(folder, "other") is None
    drop_entry(folder, "key")
    drop_entry(folder, "key")
    assert read_entry(folder, "key") is None


@pytest.mark.parametrize("at", [0, 31, 32, 500, 1031])
def test_a_flipped_bit_is_noticed(tmp_path: Path, at: int) -> None:
    write_entry(tmp_path, "key", bytes(1000))
    (path,) = tmp_path.iterdir()
    changed = bytearray(path.read_bytes())
    changed[at] ^= 4
    path.write_bytes(changed)
    assert read_entry(tmp_path, "key") is None
    assert not path.exists()


def test_the_key_is_what_is_in_the_files_and_the_circumstances(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("network")
    second.write_text("network")
    key = cache_key([first], "2026.4", "f32")
    assert cache_key([second], "2026.4", "f32") == key
    assert len({key, cache_key([first], "2026.4", "bf16"), cache_key([first], "2026.5", "f32")}) == 3
    first.write_text("Network")
    assert cache_key([first], "2026.4", "f32") != key


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache, "LIMIT_BYTES", 3500)
    for number in range(3):
        write_entry(tmp_path, f"entry{number}", bytes(1000))
        os.utime(tmp_path / f"entry{number}.network", (1000 + number, 1000 + number))
    assert read_entry(tmp_path, "entry0") is not None  # the oldest, but it was used now
    write_entry(tmp_path, "entry3", bytes(1000))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["entry0", "entry2", "entry3"]
    write_entry(tmp_path, "huge", bytes(3501))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3500


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    old, new = tmp_path / ".key-abcdefgh.network", tmp_path / ".key-ijklmnop.network"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    write_entry(tmp_path, "key", b"compiled")
    assert (old.exists(), new.exists()) == (False, True)  # the new one may be at work


def test_writers_and_readers_at_once_see_whole_entries(tmp_path: Path) -> None:
    contents = [bytes([number]) * 200_000 for number in range(4)]
    seen = []

    def work(number: int) -> None:
        for _ in range(15):
            write_entry(tmp_path, "key", contents[number])
            seen.append(content(tmp_path))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= set(contents)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_entry(tmp_path / "file" / "cache", "key", b"compiled")
    assert read_entry(tmp_path / "file" / "cache", "key") is None
    drop_entry(tmp_path / "file" / "cache", "key")


def test_a_full_disk_costs_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    (tmp_path / "target").symlink_to(full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.mkstemp", lambda **_: (os.open(full, os.O_WRONLY), str(tmp_path / "target")))
        write_entry(tmp_path, "key", bytes(100_000))
    assert read_entry(tmp_path, "key") is None


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("C6SEG_CACHE")
    assert cache_folder(cache=True) == Path("/somewhere/c6seg/compiled")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder(cache=True) == Path.home() / ".cache" / "c6seg" / "compiled"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder(cache=True) == Path.home() / "Library" / "Caches" / "c6seg" / "compiled"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder(cache=True) == Path("/local/c6seg/compiled")
    monkeypatch.setenv("C6SEG_CACHE", "/other")
    assert cache_folder(cache=True) == Path("/other")
    assert cache_folder(cache=False) is None
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("C6SEG_CACHE", "off")
    assert cache_folder(cache=True) is None
