"""Downloads against a server on this machine that cuts connections, lies, and changes its files."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator

import pytest

from c6seg import api
from c6seg.data import fetch as fetching
from c6seg.data.fetch import fetch
from c6seg.errors import DownloadError, OutputError, UsageError


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; the next answers are cut after ``cuts`` bytes, or fail with the numbers in ``codes``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.codes: list[int] = []
        self.ranges = True
        self.tags = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, name = self.server, self.path.lstrip("/")
        wanted = self.headers.get("Range")
        server.asked.append((name, wanted))
        if server.codes:
            self.send_error(server.codes.pop(0))
            return
        if name not in server.files:
            self.send_error(404)
            return
        data = server.files[name]
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0  # type: ignore[index]
        part = bool(wanted) and server.ranges and self.headers.get("If-Range") == tag
        if part and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = data[start:] if part else data
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(len(body)))
        if server.tags:
            self.send_header("ETag", tag)
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "WAIT_S", 0.0)
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 1000)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


DATA = bytes(range(256)) * 40


def test_a_file_is_fetched_and_checked(server, tmp_path):
    server.files["a"] = DATA
    seen: list[tuple[int, int, str]] = []
    came = fetch(f"{server.url}/a", tmp_path / "x/a", progress=lambda *args: seen.append(args))
    assert (tmp_path / "x/a").read_bytes() == DATA
    assert (came.size, came.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert seen[-1] == (len(DATA), len(DATA), "a")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a"]


def test_what_was_cut_off_goes_on(server, tmp_path):
    server.files["a"] = DATA
    server.cuts = [3000, 2000]
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000-", "bytes=5000-"]


def test_a_later_call_goes_on_too(server, tmp_path):
    server.files["a"] = DATA
    server.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"in 5 tries.*goes on"):
        fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a.part").stat().st_size == 1000
    server.asked.clear()
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA
    assert server.asked == [("a", "bytes=1000-")]


def test_a_file_that_was_whole_but_not_named_is_named(server, tmp_path):
    server.files["a"] = DATA
    server.cuts = [len(DATA) - 1, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/a", tmp_path / "a")
    with (tmp_path / "a.part").open("ab") as file:
        file.write(DATA[-1:])
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_parts_of_two_versions_are_never_joined(server, tmp_path):
    server.files["a"] = DATA
    server.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/a", tmp_path / "a")
    server.files["a"] = DATA[::-1]
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA[::-1]


@pytest.mark.parametrize("lack", ["ranges", "tags"])
def test_a_server_without_ranges_or_tags_gives_the_whole_file_again(server, tmp_path, lack):
    setattr(server, lack, False)
    server.files["a"] = DATA
    server.cuts = [3000]
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_what_is_not_as_it_should_be_is_not_kept(server, tmp_path):
    server.files["a"] = DATA
    with pytest.raises(DownloadError, match="damaged"):
        fetch(f"{server.url}/a", tmp_path / "a", sha256="0" * 64)
    assert not list(tmp_path.glob("a*[!n]")) or not (tmp_path / "a").exists()
    fetch(f"{server.url}/a", tmp_path / "a", sha256=hashlib.sha256(DATA).hexdigest())


def test_a_damaged_part_is_found_by_the_checksum_of_the_server(server, tmp_path):
    server.files["a"] = DATA
    server.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/a", tmp_path / "a")
    (tmp_path / "a.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="damaged"):
        fetch(f"{server.url}/a", tmp_path / "a")
    fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_errors_of_the_server(server, tmp_path):
    server.files["a"] = DATA
    server.codes = [503, 500]
    fetch(f"{server.url}/a", tmp_path / "a")
    with pytest.raises(DownloadError, match="404"):
        fetch(f"{server.url}/b", tmp_path / "b")
    with pytest.raises(DownloadError, match="must start with http"):
        fetch("ftp://x/a", tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        fetch(f"{server.url}/a", tmp_path / "file/a")


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "WAIT_S", 0.0)
    with pytest.raises(DownloadError, match="in 5 tries"):
        fetch("http://127.0.0.1:9/a", tmp_path / "a")


def livecell() -> dict[str, bytes]:
    import numpy as np
    from PIL import Image

    archive, picture = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(picture, "TIFF")
    names = {part: f"A172_Phase_A7_1_00d00h00m_{i}.tif" for i, part in enumerate(("train", "val", "test"))}
    with zipfile.ZipFile(archive, "w") as zipped:
        for part, name in names.items():
            folder = "livecell_test_images" if part == "test" else "livecell_train_val_images"
            zipped.writestr(f"images/{folder}/{name}", picture.getvalue())
        zipped.writestr("__MACOSX/images/._x", b"")
    files = {"images.zip": archive.getvalue()}
    for part, name in names.items():
        polygon = [10, 10, 30, 10, 30, 30, 10, 30]
        cell = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [polygon], "area": 400}
        value = {
            "images": [{"id": 1, "file_name": name, "width": 64, "height": 64}],
            "annotations": [{**cell, "bbox": [10, 10, 20, 20]}],
            "categories": [{"id": 1, "name": "cell"}],
        }
        files[f"annotations/LIVECell/livecell_coco_{part}.json"] = json.dumps(value).encode()
    return files


def test_livecell_arrives_as_a_data_set_that_can_be_opened(server, tmp_path):
    from c6seg.data.datasets import open_dataset

    server.files = livecell()
    server.cuts = [50, 60]
    fetched = api.download_data("livecell", tmp_path, url=server.url)
    assert len(fetched) == 4
    data = open_dataset(tmp_path)
    assert data.layout == "livecell"
    assert sorted(item.split for item in data.items) == ["test", "train", "val"]
    assert not (tmp_path / "images.zip").exists()
    record = json.loads((tmp_path / "download.json").read_text())
    assert record["licence"].startswith("CC BY-NC")
    server.asked.clear()
    assert api.download_data("livecell", tmp_path, url=server.url) == []
    assert server.asked == []


def test_what_was_altered_or_lost_is_fetched_again(server, tmp_path):
    server.files = livecell()
    api.download_data("livecell", tmp_path, url=server.url)
    file = tmp_path / "annotations/livecell_coco_val.json"
    file.write_bytes(file.read_bytes().replace(b"cell", b"sell"))
    next(tmp_path.rglob("*.tif")).unlink()
    fetched = api.download_data("livecell", tmp_path, url=server.url)
    assert sorted(fetched) == ["annotations/livecell_coco_val.json", "images.zip"]
    assert len(list(tmp_path.rglob("*.tif"))) == 3


def test_a_page_in_place_of_a_file_is_refused(server, tmp_path):
    server.files = dict.fromkeys(livecell(), b"<html>")
    with pytest.raises(DownloadError, match=r"is no JSON.*--url"):
        api.download_data("livecell", tmp_path, url=server.url)
    server.files = {**livecell(), "images.zip": b"<html>"}
    with pytest.raises(DownloadError, match="no readable zip"):
        api.download_data("livecell", tmp_path, url=server.url)


def test_a_zip_that_leads_out_of_its_folder_is_refused(server, tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("../outside.tif", b"x")
    server.files = {**livecell(), "images.zip": archive.getvalue()}
    with pytest.raises(DownloadError, match="leads out"):
        api.download_data("livecell", tmp_path / "in", url=server.url)
    assert not (tmp_path / "outside.tif").exists()


def test_an_unknown_data_set_offers_the_nearest(tmp_path):
    with pytest.raises(UsageError, match=r"'livecel'.*'livecell'"):
        api.download_data("livecel", tmp_path)


def test_the_command_line(server, tmp_path, capsys):
    from c6seg.interfaces.cli import app
    from c6seg.interfaces.cli_base import run

    server.files = livecell()
    command = ["data", "download", "livecell", "--out", str(tmp_path / "x"), "--url", server.url]
    assert run(app, command) == 0
    assert "4 files fetched" in capsys.readouterr().out
    assert run(app, command) == 0
    assert "everything was there" in capsys.readouterr().out
    server.files = {}
    assert run(app, [*command[:4], str(tmp_path / "y"), *command[5:]]) == 2
    assert "404" in capsys.readouterr().err
