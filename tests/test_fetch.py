"""Where files come from: folders, a real server that fails in every way, a full disk."""

from __future__ import annotations

import gzip
import http.server
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import ROOT
from samples import (
    ARCHIVE,
    TREE,
    idx,
    idx_arrays,
    idx_source,
    md5,
    published,
    python,
    refused,
    save,
    tar_bytes,
)

from rung import fetch
from rung.home import Notice
from rung.sources import add_local


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that RUNG_DATA names."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RUNG_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        if self.path == "/missing.tgz":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(ARCHIVE)))
        self.end_headers()
        if self.path == "/slow.tgz":
            stop.wait(10)
        if self.path == "/late.tgz":
            stop.wait(1)
        self.wfile.write(ARCHIVE[:-100] if self.path == "/cut.tgz" else ARCHIVE)

    def log_message(self, *args: Any) -> None: ...


asked: list[str] = []
stop = threading.Event()


@pytest.fixture
def server() -> Iterator[str]:
    asked.clear()
    stop.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        stop.set()
        running.shutdown()
        thread.join()


def test_download_is_verified_kept_and_done_once(server: str, home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    source = published(f"{server}/photos.tgz")
    dataset = source.load("photos", ".", progress=lambda *now: seen.append(now))
    assert len(dataset) == len(TREE)
    assert not dataset.local_copy
    assert seen[-1] == ("photos.tgz", len(ARCHIVE), len(ARCHIVE))
    assert source.load("photos", ".").fingerprint == dataset.fingerprint
    assert asked == ["/photos.tgz"]
    kept = home / "downloads" / "photos" / "photos.tgz"
    assert kept.read_bytes() == ARCHIVE
    assert list(kept.parent.iterdir()) == [kept]


def test_two_processes_download_it_once(server: str, home: Path) -> None:
    code = (
        "from samples import published\n"
        f"print(len(published({server + '/late.tgz'!r}).load('photos', '.')))"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [p.communicate(timeout=60)[0] for p in both] == [f"{len(TREE)}\n"] * 2
    assert asked == ["/late.tgz"]
    kept = home / "downloads" / "photos" / "late.tgz"
    assert [p for p in (home / "downloads").rglob("*") if p.is_file()] == [kept]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_copies_registered_at_the_same_time_are_all_kept(home: Path) -> None:
    code = """
        import sys
        from rung.fetch import changed_local_copies
        for number in range(40):
            with changed_local_copies() as copies:
                copies[f"{sys.argv[1]}{number}"] = "/x"
    """
    both = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), name],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in "ab"
    ]
    assert [p.wait(timeout=60) for p in both] == [0, 0]
    assert len(fetch.local_copies()) == 80
    assert (home / "local.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in home.iterdir()] == ["local.json"]


def test_damaged_download_is_downloaded_again(server: str, home: Path) -> None:
    damaged = save(home / "downloads" / "photos" / "photos.tgz", b"half")
    with pytest.warns(Notice) as said:
        assert len(published(f"{server}/photos.tgz").load("photos", ".")) == len(TREE)
    assert [f"{damaged} is damaged" in str(w.message) for w in said] == [True, False]
    assert str(said[1].message) == f"downloading {server}/photos.tgz"


@pytest.mark.parametrize(
    ("path", "says"),
    [("missing", "the server says 404"), ("cut", "broke off"), ("slow", "no answer in")],
)
def test_download_that_fails(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch, path: str, says: str
) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.3)
    message = refused(lambda: published(f"{server}/{path}.tgz").load("photos", "."))
    assert says in message
    assert f"{server}/{path}.tgz" in message
    assert "rung data add photos FILE" in message
    assert "RUNG_DATA" in message
    assert not list((home / "downloads" / "photos").iterdir())


@pytest.mark.parametrize(
    ("kind", "says"),
    [("SSLError", "REQUESTS_CA_BUNDLE"), ("ProxyError", "the proxy refuses")],
)
def test_what_stands_between_is_told_from_no_network(kind: str, says: str) -> None:
    assert says in fetch.reason(getattr(requests.exceptions, kind)("no"))


def test_no_network() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/photos.tgz"
        message = refused(lambda: published(url).load("photos", "."))
    assert "no connection" in message
    assert "rung data add photos FILE" in message


def test_download_with_another_md5_names_both(server: str, home: Path) -> None:
    message = refused(lambda: published(f"{server}/photos.tgz", b"other").load("photos", "."))
    assert md5(ARCHIVE) in message
    assert md5(b"other") in message
    assert not list((home / "downloads" / "photos").iterdir())


def test_download_onto_a_full_disk(server: str, home: Path) -> None:
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        from rung.errors import RungError
        from rung.sources import Archive, ImageFolder
        source = ImageFolder(title="P", archives=[Archive("{server}/a.tgz", "{md5(ARCHIVE)}")])
        try:
            source.load("p", ".")
        except RungError as error:
            print(error)
    """
    assert "free some space" in python(code, RUNG_HOME=str(home)).stdout
    assert not list((home / "downloads" / "p").iterdir())


@pytest.mark.parametrize("place", ["photos.tgz", "folder/photos.tgz"])
def test_rung_data_comes_before_a_download(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("RUNG_DATA", os.pathsep.join([str(tmp_path / "nowhere"), str(data)]))
    save(data / place, ARCHIVE)
    dataset = published("http://127.0.0.1:9/photos.tgz").load("photos", ".")
    assert len(dataset) == len(TREE)
    assert not dataset.local_copy


def test_file_of_the_right_name_and_another_md5_is_not_used(data: Path, server: str) -> None:
    other = save(data / "photos.tgz", gzip.compress(tar_bytes(TREE), mtime=1))
    hint = f"rung data add photos {other}"
    with pytest.warns(Notice):
        message = refused(lambda: published("http://127.0.0.1:9/photos.tgz").load("photos", "."))
    assert hint in message
    with pytest.warns(Notice) as said:
        dataset = published(f"{server}/photos.tgz").load("photos", ".")
    assert asked == ["/photos.tgz"]
    assert not dataset.local_copy
    assert [hint in str(w.message) for w in said] == [True]


def test_one_wrong_file_of_several_suggests_the_folder(data: Path) -> None:
    source = idx_source(data)
    other = save(data / "test-labels.gz", gzip.compress(idx(1 - idx_arrays()["test-labels.gz"])))
    with pytest.warns(Notice):
        message = refused(lambda: source.load("clothes", "."))
    assert str(other) in message
    assert f"rung data add clothes {data}`" in message
    assert add_local("clothes", source, data).local_copy


def test_damaged_list_of_own_copies_is_named(home: Path) -> None:
    for content in (b'{"photos": ', b"[1]", b'{"photos": 1}', b"\xff"):
        save(home / "local.json", content)
        message = refused(lambda: published("http://127.0.0.1:9/p.tgz").load("photos", "."))
        assert f"{home / 'local.json'} is damaged" in message
