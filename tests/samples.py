"""Sample files for the tests of archives, downloads and sources: pictures, tars, zips, idx."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from rung.errors import RungError
from rung.sources import Archive, Idx, ImageFolder


def jpeg(shade: int, size: tuple[int, int] = (20, 16)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, 255 - shade, 40)).save(out, "JPEG")
    return out.getvalue()


# Twelve pictures: three of each class in train, three in val.
TREE = {
    f"photos/{part}/{kind}/{i}.JPEG": jpeg(20 * i + 100 * (kind == "dog") + 10 * (part == "val"))
    for part in ("train", "val")
    for kind in ("cat", "dog")
    for i in range(3)
}


def tar_bytes(files: dict[str, bytes], *, extra: tarfile.TarInfo | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if extra is not None:
            archive.addfile(extra)
    return out.getvalue()


def zip_bytes(files: dict[str, bytes], *, link: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def save(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def folder_of(files: dict[str, bytes], top: Path) -> Path:
    for name, content in files.items():
        save(top / name, content)
    return top


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def gzipped(content: bytes) -> bytes:
    """Without the time of day, so that what is made twice is the same twice."""
    return gzip.compress(content, mtime=0)


ARCHIVE = gzipped(tar_bytes(TREE))


def published(url: str, content: bytes = ARCHIVE) -> ImageFolder:
    return ImageFolder(title="Photos", archives=[Archive(url, md5(content))])


def idx(array: np.ndarray[Any, Any]) -> bytes:
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "train-images.gz": rng.integers(0, 256, (8, 5, 4)),
        "train-labels.gz": np.arange(8) % 2,
        "test-images.gz": rng.integers(0, 256, (4, 5, 4)),
        "test-labels.gz": np.arange(4) % 2,
    }


def idx_source(folder: Path, **changed: bytes) -> Idx:
    """Writes four files, some of them changed, and declares them with their md5."""
    archives = []
    for name, array in idx_arrays().items():
        content = changed.get(name.replace("-", "_")[:-3]) or gzipped(idx(array))
        save(folder / name, content)
        archives.append(Archive(f"http://127.0.0.1:9/{name}", md5(content)))
    return Idx(title="Clothes", archives=archives, classes=["shirt", "shoe"], max_bytes=10_000)


def refused(load: Callable[[], Any]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(RungError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    return message


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
