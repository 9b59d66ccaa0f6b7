"""Where published files come from: RUNG_DATA, the downloads in the home, the network.

Also the register of the users' own copies, which come before all of these (`rung data add`).
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from rung.errors import RungError
from rung.home import Notice, claimed, home, locked, new_file, same_file, unwritable, use

# Called while a file comes in: its name, bytes so far, bytes in all (0 where the server is silent).
Progress = Callable[[str, int, int], None]

TIMEOUT_S = 30  # without a byte from the server
CLEARED = "\x1b[2K\r"  # a terminal's line


@dataclass(frozen=True)
class Archive:
    """A published file: its address ("" where none is known), and the md5 (hex) of its content.

    copies: files that may stand in for it where RUNG_DATA has them, by name (and folder): md5. ""
    stands for the same content under another name; other content is the same data in a form that
    the source reads as well.
    """

    url: str
    md5: str
    copies: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name or next(iter(self.copies))


def fetch(name: str, archive: Archive, alone: bool | None, progress: Progress | None) -> Path:
    """The published file: from RUNG_DATA, from the downloads in the home, or downloaded now.

    alone: it is all that the data set consists of, so a user may add it as a file; None: no copy of
    a user's own can stand in.
    """
    others = []
    for file, expected in {archive.name: archive.md5, **archive.copies}.items():
        for place in candidates(file):
            if md5(place) in (expected, archive.md5):
                return place
            others.append(place)
    downloaded = home() / "downloads" / name / archive.name
    if is_whole(downloaded, archive):
        return downloaded
    file = next(iter(archive.copies), archive.name)
    if alone is None:  # the sets of such files share their names
        others = [place for place in others if place.match(file)]
    if others:
        hint = f"{others[0]} has the right name but the md5 {md5(others[0])}, so it was not used"
        if alone is not None:
            copy = others[0] if alone else others[0].parent
            hint += f"; to use it as a local copy, say `rung data add {name} {copy}`"
    elif alone is None:
        hint = f"get {archive.name} another way and put it as {file} into a folder that RUNG_DATA names"
    else:
        hint = (
            f"get {archive.name} another way and say `rung data add {name} "
            f"{'FILE' if alone else 'FOLDER'}`, or put it into a folder that RUNG_DATA names"
        )
    if not archive.url:
        raise RungError(f"{name}: no address is known for {archive.name}; {hint}")
    with claimed("downloads", {"name": name, "file": archive.name}):
        if not is_whole(downloaded, archive):  # else another process has just downloaded it
            # Of many small files it is said once.
            folder = archive.url.rpartition("/")[0]
            what = archive.url if alone is not None else f"{name} from {folder}"
            announce(f"downloading {what}{f': {hint}' if others else ''}")
            download(name, archive, hint, progress)
            is_whole(downloaded, archive)
    return downloaded


@functools.cache
def announce(text: str) -> None:
    """Says it once."""
    warnings.warn(text, Notice, stacklevel=4)


def is_whole(downloaded: Path, archive: Archive) -> bool:
    """Whether the download is there with the right content; no prune removes it then as long as
    this process lives. A damaged one is removed, with a `Notice`."""
    try:
        with downloaded.open("rb") as file:
            use(file.fileno())
            if md5(downloaded) == archive.md5:
                with contextlib.suppress(OSError):  # where nothing can be written
                    os.utime(downloaded.parent)  # the last use
                return True
            if same_file(file.fileno(), downloaded):
                downloaded.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RungError(f"can't read {downloaded} ({error.strerror})") from error
    warnings.warn(
        f"{downloaded} is damaged (its md5 is wrong); it is downloaded again",
        Notice,
        stacklevel=3,
    )
    return False


def candidates(name: str) -> Iterator[Path]:
    """Files of this name in the folders of RUNG_DATA and in the folders directly inside them."""
    for folder in filter(None, os.environ.get("RUNG_DATA", "").split(os.pathsep)):
        top = Path(folder).expanduser().absolute()
        for place in (top / name, *sorted(top.glob(f"*/{glob.escape(name)}"))):
            if place.is_file():
                yield place


def download(name: str, archive: Archive, hint: str, progress: Progress | None) -> None:
    """Downloads into the home, where it appears only once it is whole and its md5 is right."""
    import pooch
    import requests

    try:
        with new_file("downloads", name, archive.name) as file:
            pooch.HTTPDownloader(
                progressbar=ProgressBar(archive.name, progress) if progress else False,
                chunk_size=2**17,
                timeout=TIMEOUT_S,
                headers={"Accept-Encoding": "identity"},  # the bytes as published, and their count
            )(archive.url, file, None)
            file.flush()
            got = md5(Path(file.name))
            if got != archive.md5:
                raise RungError(
                    f"{archive.url} came with the md5 {got} instead of {archive.md5} and was not "
                    f"kept; try again, or {hint}"
                )
    except requests.RequestException as error:
        raise RungError(f"can't download {archive.url} ({reason(error)}); {hint}") from error
    except OSError as error:
        raise RungError(unwritable(home() / "downloads" / name, error)) from error
    finally:
        if progress and sys.stderr.isatty():
            print(CLEARED, end="", file=sys.stderr, flush=True)


def reason(error: Exception) -> str:
    """Why a download failed, in a few words: the texts of requests fill half a screen."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer in {TIMEOUT_S} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate can't be verified; REQUESTS_CA_BUNDLE may name others"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


@dataclass
class ProgressBar:
    """What pooch calls while it downloads, passed on to a `Progress`."""

    name: str
    progress: Progress
    total: int = 0
    done: int = 0

    def update(self, count: int) -> None:
        self.done += count
        self.progress(self.name, min(self.done, self.total or self.done), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None: ...


def md5(path: Path) -> str:
    """The md5 of a file, worked out once in a process as long as size and time don't change."""
    try:
        status = path.stat()
        return md5_of(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise RungError(f"can't read {path} ({error.strerror})") from error


@functools.lru_cache(maxsize=256)
def md5_of(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def local_copies() -> dict[str, str]:
    """The users' own copies that `add_local` registered: name → absolute path."""
    file = home() / "local.json"
    try:
        copies = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        copies = None
    if not isinstance(copies, dict) or not all(isinstance(p, str) for p in copies.values()):
        raise RungError(f"{file} is damaged; delete it and say `rung data add` again")
    return copies


@contextlib.contextmanager
def changed_local_copies() -> Iterator[dict[str, str]]:
    """The register to change in place; it is written at the end. Processes take turns."""
    file = home() / "local.json"
    lock = locked(file.with_suffix(".lock"), wait=True)
    assert lock is not None
    with lock:
        copies = local_copies()
        yield copies
        try:
            with new_file(file.name) as new:
                new.write(json.dumps(copies, indent=1, sort_keys=True).encode() + b"\n")
        except OSError as error:
            raise RungError(unwritable(file, error)) from error


def on_terminal() -> Progress | None:
    """What shows on a terminal how much of a file has come in; None elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(name: str, done: int, total: int) -> None:
        of = f" of {total / 1e6:,.0f}" if total else ""
        print(f"{CLEARED}{name}: {done / 1e6:,.0f}{of} MB", end="", file=sys.stderr, flush=True)

    return show
