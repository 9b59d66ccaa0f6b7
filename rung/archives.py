"""Files as they come: folders, tars, zips, idx, parquet, csv; read whole within a limit, or refused.

Nothing is ever unpacked to disk. What is truncated, damaged, too large or leads outside raises
RungError, one line that names the file and the member: a part that can't be read is never dropped.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rung.errors import RungError

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


# --- Single files -----------------------------------------------------------------------------


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


def read_frame(path: Path, max_bytes: int, **options: Any) -> Any:
    """A csv or parquet file as a pandas frame; options: of pandas.read_csv, for a csv file."""
    import pandas as pd

    if starts_with(path, b"PAR1"):
        return read_parquet(path, max_bytes).to_pandas()
    content = read_all(path, max_bytes)
    try:
        return pd.read_csv(io.BytesIO(content), **{"encoding": "utf-8-sig", **options})
    except BROKEN as error:
        raise RungError(f"{path} can't be read as a table ({one_line(error)})") from error


def read_all(path: Path, max_bytes: int) -> bytes:
    """What is in a file, gzipped or not."""
    try:
        with decompressed(path) as file:
            return Limited(max_bytes).of(file).read()
    except TooMuchError as error:
        raise RungError(
            f"{path}: more than the declared {max_bytes:,} bytes came out of it; if that is right, "
            "raise `max_bytes` in the data set"
        ) from error
    except BROKEN as error:
        raise RungError(
            f"{path} is truncated or damaged ({one_line(error)}); get it again"
        ) from error


def decoded(content: bytes, encoding: str, where: str, remedy: str | None = None) -> str:
    """The text, without a byte order mark. Raises RungError where it is not in this encoding, with
    what to do: to save it anew, or to declare another one in a data set's file."""
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        line = content[: getattr(error, "start", 0)].count(b"\n") + 1
        raise RungError(
            f"{where} is not in {encoding} ({one_line(error)}, line {line}); "
            + (
                remedy
                or f'save it in {encoding}, or declare what it is in, `encoding="latin-1"` say'
            )
        ) from error
