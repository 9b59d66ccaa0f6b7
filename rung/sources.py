"""Declared sources → `Dataset`: what a file in datasets/ says, found, verified, read and kept.

A data-set file holds one declaration; `load` turns it into a `Dataset`:

    locate   a user's own copy (`add_local`), RUNG_DATA, the downloads in the home, the network
    read     straight out of the archive; nothing is ever unpacked to disk
    prepare  the same through a joblib cache: from the second use on, arrays are memory-mapped

Files are refused whole, with one line that names the file and the member: a part that can't be
read is never dropped.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import glob
import gzip
import hashlib
import io
import json
import logging
import math
import os
import stat
import tarfile
import tempfile
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

import rung.dataset
from rung.dataset import Dataset, Modality, Pictures, Split, Task
from rung.errors import RungError, unknown
from rung.home import home, memory, unwritable

log = logging.getLogger("rung")

# Called while a file comes in: its name, bytes so far, bytes in all (0 where the server is silent).
Progress = Callable[[str, int, int], None]

TIMEOUT_S = 30  # without a byte from the server
TRAIN = "train"
TESTS = ("test", "val", "valid")  # what the test part may be called; the first one found is it

# What the readers of archives, pictures and tables raise for a file that is not as it should be.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


# --- Declarations ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """A published file: its address, and the md5 (hex) of its content."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Files:
    """Where the bytes of a source lie; `local_copy` if they are not the published ones."""

    paths: tuple[Path, ...] = ()
    local_copy: bool = False


@dataclass(frozen=True, kw_only=True)
class Source(abc.ABC):
    """What all declarations have: enough to list a data set without loading it."""

    title: str
    task: Task = "classification"
    modality: Modality = "image"
    source: str = ""
    licence: str = ""
    citation: str = ""

    def load(self, name: str, folder: str | Path, progress: Progress | None = None) -> Dataset:
        """The data set, prepared, its arrays memory-mapped.

        name: what the data set is called; folder: the one that holds the declaring file (paths in
        the declaration start there). Raises RungError for anything that can't be had or read.
        """
        return self.prepare(name, self.locate(name, Path(folder), progress))

    def prepare(self, name: str, files: Files) -> Dataset:
        """Reads the files, or takes what an earlier reading of the same files left."""
        key = [name, type(self).__name__, dataclasses.asdict(self), self.identity(files), code()]
        dataset = kept(json.dumps(key), lambda: self.read(name, files))
        # Names and terms are not part of the verified content: they come from the declaration.
        return dataclasses.replace(
            dataset,
            name=name,
            title=self.title,
            source=self.source,
            licence=self.licence,
            citation=self.citation,
            local_copy=files.local_copy,
        )

    def locate(self, name: str, folder: Path, progress: Progress | None) -> Files:
        return Files()

    @abc.abstractmethod
    def identity(self, files: Files) -> list[str]:
        """Plain data that change when the bytes to read change."""

    @abc.abstractmethod
    def read(self, name: str, files: Files) -> Dataset: ...


@dataclass(frozen=True, kw_only=True)
class ScikitLearn(Source):
    """A data set that comes with scikit-learn: `loader="digits"` is `sklearn.datasets.load_digits`.

    Ids are row numbers. `test_size` rows (or that share) are held out, by a hash of the ids.
    """

    loader: str
    test_size: float | int = 0.3

    def identity(self, files: Files) -> list[str]:
        return [version("scikit-learn")]

    def read(self, name: str, files: Files) -> Dataset:
        from sklearn import datasets

        known = [n[5:] for n in dir(datasets) if n.startswith("load_")]
        if self.loader not in known:
            raise unknown("scikit-learn data set", self.loader, known)
        # The scaled diabetes table is standardised over all rows, those of the test part as well.
        options = {"scaled": False} if self.loader == "diabetes" else {}
        bunch = getattr(datasets, f"load_{self.loader}")(**options)
        X = bunch.data
        if self.modality == "image":  # digits: grey values from 0 to 16
            X = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        classes = [str(c) for c in bunch.target_names] if "target_names" in bunch else None
        return Dataset.from_arrays(
            X, bunch.target, name=name, task=self.task, classes=classes, test_size=self.test_size
        )


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source whose bytes lie in files: published `archives`, or a `path` beside the declaration.

    max_bytes: the most that may come out of the files, decompressed, all together.
    """

    archives: Sequence[Archive] = ()
    path: str = ""
    max_bytes: int = 2**30

    takes_folder: ClassVar[bool] = False  # a folder may stand in for the one archive

    def __post_init__(self) -> None:
        if bool(self.archives) == bool(self.path):
            raise RungError(f"{self.title}: declare either `archives` or a `path`")
        if not self.source and self.archives:
            object.__setattr__(self, "source", self.archives[0].url)

    def identity(self, files: Files) -> list[str]:
        return [listing(p) if p.is_dir() else md5(p) for p in files.paths]

    def locate(self, name: str, folder: Path, progress: Progress | None) -> Files:
        if self.path:
            place = folder / self.path
            if not place.exists():
                raise RungError(f"{name}: there is no {place}; put it there, or mend its `path`")
            return Files((place,))
        added = local_copies().get(name)
        if added is not None:
            return self.local(name, Path(added))
        alone = len(self.archives) == 1
        return Files(tuple(fetch(name, archive, alone, progress) for archive in self.archives))

    def local(self, name: str, place: Path) -> Files:
        """The files of a user's own copy; they count as published if every md5 is right."""
        if not place.exists():
            raise RungError(
                f"the local copy of {name}, {place}, is not there; put it back, or forget it: "
                f"rung data remove {name}"
            )
        inside = tuple(place / archive.name for archive in self.archives)
        if place.is_dir() and all(p.is_file() for p in inside):
            paths = inside
        elif len(self.archives) == 1 and (self.takes_folder or place.is_file()):
            paths = (place,)
        else:
            names = ", ".join(archive.name for archive in self.archives)
            raise RungError(f"{name}: {place} must be a folder that holds {names}")
        same = all(
            p.is_file() and md5(p) == archive.md5
            for p, archive in zip(paths, self.archives, strict=True)
        )
        return Files(paths, local_copy=not same)


@dataclass(frozen=True, kw_only=True)
class Idx(FileSource):
    """Pictures in four idx files, gzipped or not: train images and labels, test images and labels.

    `archives` must come in this order. Ids are "train/00017" and "test/00042".
    """

    classes: Sequence[str]

    def read(self, name: str, files: Files) -> Dataset:
        if len(files.paths) != 4:
            raise RungError(f"{name}: Idx takes four archives, {len(files.paths)} are declared")
        arrays: list[NDArray[np.uint8]] = []
        left = self.max_bytes
        for path in files.paths:
            arrays.append(read_idx(path, left))
            left -= arrays[-1].nbytes
        for (images, labels), path in zip((arrays[:2], arrays[2:]), files.paths[1::2], strict=True):
            if images.ndim != 3 or labels.shape != images.shape[:1]:
                raise RungError(
                    f"{path}: labels of the shape {labels.shape} for images of the shape "
                    f"{images.shape}; the four files don't belong together"
                )
        if arrays[0].shape[1:] != arrays[2].shape[1:]:
            raise RungError(f"{name}: train and test images differ in size")
        parts = [TRAIN] * len(arrays[0]) + ["test"] * len(arrays[2])
        numbers = [*range(len(arrays[0])), *range(len(arrays[2]))]
        return Dataset.from_arrays(
            np.concatenate(arrays[::2]),
            np.concatenate(arrays[1::2]),
            name=name,
            task=self.task,
            ids=[f"{part}/{number:05d}" for part, number in zip(parts, numbers, strict=True)],
            classes=self.classes,
            splits=[official(parts, name)],
        )


@dataclass(frozen=True, kw_only=True)
class ImageFolder(FileSource):
    """Pictures in train/CLASS/ and test/CLASS/ (or val/, valid/): a folder, or a tar or zip of one.

    Ids are the paths from the part on, "val/n01440764/ILSVRC2012_val_00000293.JPEG"; rows are in
    the order of ids, so that a folder and an archive of it are the same data set. Hidden files are
    left out; anything else in a class folder must be a picture. Where there are test/ and val/,
    val/ belongs to training. classes: folder name → class name; without it, the folder's name.
    """

    classes: Mapping[str, str] = field(default_factory=dict)

    takes_folder: ClassVar[bool] = True

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        found: dict[str, bytes] = {}
        for member, content in members(place, lambda m: bool(picture_id(m)), self.max_bytes):
            row = picture_id(member)
            if row in found:
                raise RungError(f"{place}: there are two pictures {row}; remove one")
            found[row] = content
        if not found:
            raise RungError(
                f"{place}: no pictures in train/CLASS/ and test/CLASS/ (or val/, valid/)"
            )
        ids = sorted(found)
        return pictures_dataset(
            name,
            place,
            ids=ids,
            parts=[i.split("/")[0] for i in ids],
            labels=[i.split("/")[1] for i in ids],
            encoded=[found.pop(i) for i in ids],
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True)
class PicturesTable(FileSource):
    """Pictures in a parquet file: columns id, part (train; test, val or valid), label and jpeg.

    classes: label → class name, as for `ImageFolder`.
    """

    classes: Mapping[str, str] = field(default_factory=dict)

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        table = read_parquet(place, self.max_bytes)
        missing = {"id", "part", "label", "jpeg"} - set(table.column_names)
        if missing:
            raise RungError(f"{place} has no column {sorted(missing)[0]!r}")
        return pictures_dataset(
            name,
            place,
            ids=table["id"].to_pylist(),
            parts=table["part"].to_pylist(),
            labels=table["label"].to_pylist(),
            encoded=[content or b"" for content in table["jpeg"].to_pylist()],
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True)
class Table(FileSource):
    """A table of numbers, csv (gzipped or not) or parquet, with the column `target`.

    Ids are row numbers, from 0. The column `part` says which rows are train, which test; without
    one, `test_size` rows (or that share) are held out, by a hash of the ids.
    """

    modality: Modality = "tabular"
    target: str
    part: str = ""
    test_size: float | int = 0.3

    def read(self, name: str, files: Files) -> Dataset:
        (place,) = files.paths
        frame = read_frame(place, self.max_bytes)
        for column in (self.target, self.part):
            if column and column not in frame.columns:
                raise RungError(f"{place}: {unknown('column', column, map(str, frame.columns))}")
        splits = [official(frame[self.part].tolist(), name)] if self.part else None
        columns = [c for c in frame.columns if c not in (self.target, self.part)]
        for column in columns:
            check_numbers(frame[column], place)
        target = frame[self.target]
        if target.isna().any():
            row = int(np.argmax(target.isna()))
            raise RungError(f"{place}: the target of row {row} is missing; drop such rows")
        y = target.to_numpy()
        return Dataset.from_arrays(
            frame[columns].to_numpy(dtype=np.float64),
            y if y.dtype.kind in "iuf" else y.astype(np.str_),
            name=name,
            task=self.task,
            modality=self.modality,
            splits=splits,
            test_size=self.test_size,
        )


# --- Where files come from --------------------------------------------------------------------


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


def add_local(name: str, source: Source, path: str | Path) -> Dataset:
    """Registers a user's own file or folder as the data set `name`; from then on it is loaded.

    It is prepared first, so a copy that can't be used is refused, and nothing changes.
    """
    if not isinstance(source, FileSource) or not source.archives:
        raise RungError(f"{name} is not downloaded from anywhere: no local copy can stand in")
    place = Path(path).expanduser().absolute()
    if not place.exists():
        raise RungError(f"there is no file or folder {place}")
    dataset = source.prepare(name, source.local(name, place))
    write_local_copies({**local_copies(), name: str(place)})
    return dataset


def remove_local(name: str) -> None:
    """Forgets the user's own copy of `name`; the file itself stays where it is."""
    copies = local_copies()
    if name not in copies:
        raise unknown("local copy", name, copies)
    del copies[name]
    write_local_copies(copies)


def write_local_copies(copies: dict[str, str]) -> None:
    file = home() / "local.json"
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_text(json.dumps(copies, indent=1, sort_keys=True) + "\n")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RungError(unwritable(file, error)) from error


def fetch(name: str, archive: Archive, alone: bool, progress: Progress | None) -> Path:
    """The published file: from RUNG_DATA, from the downloads in the home, or downloaded now.

    alone: it is all that the data set consists of, so a user may add it as a file.
    """
    others = []
    for place in candidates(archive.name):
        if md5(place) == archive.md5:
            return place
        others.append(place)
    downloaded = home() / "downloads" / name / archive.name
    if downloaded.is_file():
        if md5(downloaded) == archive.md5:
            return downloaded
        log.warning("%s is damaged (its md5 is wrong); it is downloaded again", downloaded)
    hint = (
        f"get {archive.name} another way and say `rung data add {name} "
        f"{'FILE' if alone else 'FOLDER'}`, or put it into a folder that RUNG_DATA names"
    )
    if others:
        hint = (
            f"{others[0]} has the right name but the md5 {md5(others[0])}, so it was not used; to "
            f"use it as a local copy, say `rung data add {name} "
            f"{others[0] if alone else others[0].parent}`"
        )
        log.warning("downloading %s: %s", archive.url, hint)
    download(archive, downloaded, hint, progress)
    return downloaded


def candidates(name: str) -> Iterator[Path]:
    """Files of this name in the folders of RUNG_DATA and in the folders directly inside them."""
    for folder in filter(None, os.environ.get("RUNG_DATA", "").split(os.pathsep)):
        top = Path(folder).expanduser().absolute()
        for place in (top / name, *sorted(top.glob(f"*/{glob.escape(name)}"))):
            if place.is_file():
                yield place


def download(archive: Archive, target: Path, hint: str, progress: Progress | None) -> None:
    """Downloads to `target`, which appears only once it is whole and its md5 is right."""
    import pooch
    import requests

    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False, suffix=".part") as file:
            part = Path(file.name)
            pooch.HTTPDownloader(
                progressbar=ProgressBar(archive.name, progress) if progress else False,
                chunk_size=2**17,
                timeout=TIMEOUT_S,
                headers={"Accept-Encoding": "identity"},  # the bytes as published, and their count
            )(archive.url, file, None)
        got = md5(part)
        if got != archive.md5:
            raise RungError(
                f"{archive.url} came with the md5 {got} instead of {archive.md5} and was not kept; "
                f"try again, or {hint}"
            )
        part.replace(target)
    except requests.RequestException as error:
        raise RungError(f"can't download {archive.url} ({reason(error)}); {hint}") from error
    except OSError as error:
        raise RungError(unwritable(target.parent, error)) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """Why a download failed, in a few words: the texts of requests fill half a screen."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer in {TIMEOUT_S} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
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


def listing(folder: Path) -> str:
    """A hash of what lies in a folder: paths, sizes and times."""
    digest = hashlib.sha256(os.fsencode(folder))
    try:
        for name, path in sorted(folder_files(folder)):
            status = path.stat()
            digest.update(os.fsencode(f"\n{name} {status.st_size} {status.st_mtime_ns}"))
    except OSError as error:
        raise RungError(f"can't read {error.filename} ({error.strerror})") from error
    return digest.hexdigest()


# --- Prepared data are kept -------------------------------------------------------------------


def prepared(key: str, make: Callable[[], Dataset]) -> Dataset:
    """What joblib caches, by `key` alone."""
    return make()


def kept(key: str, make: Callable[[], Dataset]) -> Dataset:
    """`make()`, or what it gave for the same key before, verified; memory-mapped.

    An entry that does not have its fingerprint any more is made again. A cache that can't be
    written costs time only.
    """
    made: list[Dataset] = []
    failed: list[RungError] = []

    def make_once() -> Dataset:
        try:
            made.append(make())
        except RungError as error:
            failed.append(error)
            raise
        return made[0]

    cause: object = "what was written can't be read back: is the disk full?"
    try:
        with warnings.catch_warnings():
            # joblib warns where it can't write, and goes on; so do we, with a line of our own.
            warnings.filterwarnings("ignore", "Unable to ")
            cached = memory("prepared").cache(prepared, ignore=["make"])
            for _ in range(2):
                entry = cached.call_and_shelve(key, make_once)
                with contextlib.suppress(Exception):  # a damaged pickle raises anything
                    dataset: Dataset = entry.get().verified()
                    return dataset
                entry.clear()  # half an entry takes up room
                if made:
                    break
                log.warning("a cached prepared data set is damaged; preparing it again")
    except Exception as error:  # whatever is wrong with the cache, the data can be had without it
        if failed:
            raise
        cause = error
    log.warning("prepared data are not kept: %s", cause)
    return made[0] if made else make()


@functools.cache
def code() -> str:
    """A hash of the code that prepares data: a change of it makes all prepared data stale."""
    files = (__file__, rung.dataset.__file__)
    return hashlib.sha256(b"".join(Path(f).read_bytes() for f in files)).hexdigest()


# --- Archives and folders ---------------------------------------------------------------------


class TooMuchError(Exception):
    """More came out of a file than its declaration allows."""


class Limited:
    """A binary file that gives at most `left` bytes, then raises `TooMuchError`."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.file: gzip.GzipFile | IO[bytes] = io.BytesIO()

    def of(self, file: gzip.GzipFile | IO[bytes]) -> Limited:
        """The next file to read from; what is left stays."""
        self.file = file
        return self

    def read(self, size: int = -1) -> bytes:
        content = self.file.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise TooMuchError
        return content


def members(
    place: Path, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[tuple[str, bytes]]:
    """Path and content of the wanted files in a folder, a tar (gzipped or not) or a zip.

    Raises RungError, naming the archive and the member, for one that is truncated or damaged,
    that holds links, devices, or paths which lead outside, or that gives more than `max_bytes`.
    """
    limit = Limited(max_bytes)
    member = ""
    try:
        if place.is_dir():
            files = folder_members(place, limit)
        elif starts_with(place, b"PK"):
            files = zip_members(place, limit)
        else:
            files = tar_members(place, limit)
        for member, read in files:
            if wanted(member):
                yield member, read()
    except TooMuchError as error:
        raise RungError(
            f"{place}: more than the declared {max_bytes:,} bytes came out of it, the last for "
            f"{member or 'its first member'}; if that is right, raise `max_bytes` in the data set"
        ) from error
    except BROKEN as error:
        raise RungError(
            f"{place} is truncated or damaged at or after {member or 'its start'} "
            f"({one_line(error)}); get it again"
        ) from error


def folder_members(place: Path, limit: Limited) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name, path in sorted(folder_files(place)):
        check_name(place, name)

        def read(path: Path = path) -> bytes:
            with path.open("rb") as file:
                return limit.of(file).read()

        yield name, read


def folder_files(place: Path) -> Iterator[tuple[str, Path]]:
    """All files below a folder, with their paths in it; links are followed, circles are not."""

    def stop(error: OSError) -> None:
        raise error  # os.walk would leave out a folder that it can't read

    seen = set()
    for top, folders, files in os.walk(place, onerror=stop, followlinks=True):
        if (real := os.path.realpath(top)) in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            path = Path(top, name)
            inside = path.relative_to(place).as_posix()
            if not stat.S_ISREG(path.stat().st_mode):
                raise RungError(not_a_file(place, inside))
            yield inside, path


def zip_members(place: Path, limit: Limited) -> Iterator[tuple[str, Callable[[], bytes]]]:
    with zipfile.ZipFile(place) as archive:
        # zipfile does not compare: a wrong length in the directory can swallow members.
        count = zip_count(place)
        if count not in (0xFFFF, len(archive.infolist()) & 0xFFFF):
            raise zipfile.BadZipFile(f"{len(archive.infolist())} members of {count}")
        for info in archive.infolist():
            check_name(place, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise RungError(not_a_file(place, info.filename))
            if info.is_dir():
                continue

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as file:
                    return limit.of(file).read()

            yield info.filename, read


def zip_count(place: Path) -> int:
    """How many members the last record of a zip claims (65,535: another record says it)."""
    with place.open("rb") as file:
        file.seek(max(0, place.stat().st_size - 2**16 - 22))
        _, found, record = file.read().rpartition(b"PK\5\6")
    return int.from_bytes(record[6:8], "little") if found else 0xFFFF


def tar_members(place: Path, limit: Limited) -> Iterator[tuple[str, Callable[[], bytes]]]:
    # The limit stands around the whole decompressed stream: headers and skipped members count.
    with decompressed(place) as plain:
        stream: Any = limit.of(plain)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=2**17, tarinfo=StrictInfo) as archive:
            for info in archive:
                check_name(place, info.name)
                if info.isdir():
                    continue
                if not info.isreg() or info.issparse():
                    raise RungError(not_a_file(place, info.name))

                def read(info: tarfile.TarInfo = info) -> bytes:
                    file = archive.extractfile(info)
                    assert file is not None
                    return file.read()

                yield info.name, read
        while stream.read(2**17):  # gzip checks its sum at the end
            pass


class StrictInfo(tarfile.TarInfo):
    """tarfile takes a broken header, or none, for the end of the archive; this raises instead."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictInfo:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the block of zeros that does mark the end
            raise tarfile.ReadError(str(error)) from error


def decompressed(place: Path) -> gzip.GzipFile | IO[bytes]:
    """The file, to be read without its gzip layer, if it has one."""
    return gzip.GzipFile(place) if starts_with(place, b"\x1f\x8b") else place.open("rb")


def starts_with(place: Path, magic: bytes) -> bool:
    with place.open("rb") as file:
        return file.read(len(magic)) == magic


def check_name(place: Path, name: str) -> None:
    windows = PureWindowsPath(name)  # knows both kinds of slash
    if ".." in windows.parts or windows.root or windows.drive:
        raise RungError(f"{place}: the path of {name!r} leads outside; such an archive is not read")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise RungError(f"{place}: the name {name!r} is no plain text; rename it")


def not_a_file(place: Path, name: str) -> str:
    return f"{place}: {name} is a link, a device or the like; only plain files are taken"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- Readers ----------------------------------------------------------------------------------


def picture_id(member: str) -> str:
    """The path from the part on, "train/CLASS/..."; "" where it is not that of a picture."""
    parts = PurePosixPath(member).parts
    if any(p.startswith(".") or p == "__MACOSX" for p in parts):
        return ""
    for start, part in enumerate(parts[:-2]):
        if part == TRAIN or part in TESTS:
            return "/".join(parts[start:])
    return ""


def pictures_dataset(
    name: str,
    place: Path,
    *,
    ids: list[str],
    parts: list[str],
    labels: list[str],
    encoded: list[bytes],
    classes: Mapping[str, str],
) -> Dataset:
    """A data set of encoded pictures, each of which was decoded once to see that it can be."""
    if strange := set(labels) - set(classes) if classes else None:
        raise RungError(
            f"{place}: {sorted(strange)[0]!r} is none of the declared classes "
            f"({', '.join(classes)})"
        )
    pictures = Pictures.from_bytes(encoded)
    try:
        # Tiny, so that the JPEG decoder does an eighth of the work; it reads every byte even so.
        pictures.decode(8, ids, threads=min(os.cpu_count() or 1, 8))
    except RungError as error:
        raise RungError(f"{place}: {error}") from error
    return Dataset.from_arrays(
        pictures,
        np.array([classes.get(label, label) for label in labels]),
        name=name,
        task="classification",
        modality="image",
        ids=ids,
        classes=list(dict.fromkeys(classes.values())) or None,
        splits=[official(parts, name)],
    )


def official(parts: Sequence[str], name: str) -> Split:
    """The published split, from what each row says it belongs to."""
    found = set(parts)
    if strange := found - {TRAIN, *TESTS}:
        raise RungError(f"{name}: a row has the part {strange.pop()!r}; say train or test")
    test = next((t for t in TESTS if t in found), None)
    if TRAIN not in found or test is None:
        raise RungError(
            f"{name}: there must be a part train and a part test (or val, valid); found: "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    is_test = np.array([p == test for p in parts])
    return Split("official", np.flatnonzero(~is_test), np.flatnonzero(is_test))


def read_idx(path: Path, max_bytes: int) -> NDArray[np.uint8]:
    """An idx file of bytes, gzipped or not (LeCun et al., 1998: the MNIST database).

    Its header says how much is read, and it must hold just that.
    """
    try:
        with decompressed(path) as file:
            head = file.read(4)
            if head[:3] != b"\0\0\x08" or len(head) < 4:
                raise ValueError("it is no idx file of bytes")
            shape = tuple(int(n) for n in np.frombuffer(file.read(4 * head[3]), ">u4"))
            size = math.prod(shape)
            if size > max_bytes:
                raise RungError(
                    f"{path}: its header says {size:,} bytes, and {max_bytes:,} are left of what "
                    "is declared; if that is right, raise `max_bytes` in the data set"
                )
            content = file.read(size + 1)
    except BROKEN as error:
        raise RungError(
            f"{path} is truncated or damaged ({one_line(error)}); get it again"
        ) from error
    if len(shape) != head[3] or len(content) != size:
        raise RungError(
            f"{path}: its header says {size:,} bytes, and it holds "
            f"{'more' if len(content) > size else f'{len(content):,}'}; get it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_parquet(path: Path, max_bytes: int) -> Any:
    """A parquet file as a pyarrow table."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            # Runs of equal values take no room in the file, but a value each once they are read.
            values = 8 * file.metadata.num_rows * file.metadata.num_columns
            size = max(values, sum(group.total_byte_size for group in groups))
            if size > max_bytes:
                raise RungError(
                    f"{path}: it would take {size:,} bytes, and {max_bytes:,} are declared; "
                    "if that is right, raise `max_bytes` in the data set"
                )
            return file.read()
    except BROKEN as error:
        raise RungError(
            f"{path} is no parquet file, or a damaged one ({one_line(error)}); get it again"
        ) from error


def read_frame(path: Path, max_bytes: int) -> Any:
    """A csv or parquet file as a pandas frame."""
    import pandas as pd

    if starts_with(path, b"PAR1"):
        return read_parquet(path, max_bytes).to_pandas()
    try:
        with decompressed(path) as file:
            content = Limited(max_bytes).of(file).read()
        return pd.read_csv(io.BytesIO(content), encoding="utf-8-sig")
    except TooMuchError as error:
        raise RungError(
            f"{path}: more than the declared {max_bytes:,} bytes came out of it; if that is right, "
            "raise `max_bytes` in the data set"
        ) from error
    except BROKEN as error:
        raise RungError(f"{path} can't be read as a table ({one_line(error)})") from error


def check_numbers(column: Any, place: Path) -> None:
    """Raises RungError, naming column and row, for a column with anything but finite numbers."""
    from pandas.api.types import is_numeric_dtype

    if not is_numeric_dtype(column.dtype):
        raise RungError(
            f"{place}: the column {column.name!r} holds no numbers ({column.dtype}); turn it into "
            "numbers, or remove it"
        )
    bad = ~np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if bad.any():
        raise RungError(
            f"{place}: the column {column.name!r} is empty, NaN or infinite in "
            f"{int(bad.sum())} rows, the first of them row {int(np.argmax(bad))}; fill or drop them"
        )
