"""Sources: what is found, read, refused and kept. Real archives, a real server, real processes."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import io
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rung import sources
from rung.dataset import Dataset, Pictures
from rung.errors import RungError
from rung.sources import (
    Archive,
    Idx,
    ImageFolder,
    PicturesTable,
    ScikitLearn,
    Source,
    Table,
    add_local,
    local_copies,
    picture_id,
    remove_local,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RUNG_DATA", raising=False)
    return tmp_path / "home"


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


def photos(path: Path, **options: Any) -> Dataset:
    return ImageFolder(title="Photos", path=path.name, **options).load("photos", path.parent)


def refused(load: Callable[[], Any]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(RungError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- Image folders and archives ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "tar", "tgz", "zip"])
def test_image_folder_is_the_same_data_set_however_it_is_packed(tmp_path: Path, kind: str) -> None:
    make: dict[str, Callable[[], Path]] = {
        "folder": lambda: folder_of(TREE, tmp_path / "f"),
        "tar": lambda: save(tmp_path / "a.tar", tar_bytes(dict(reversed(TREE.items())))),
        "tgz": lambda: save(tmp_path / "a.tgz", gzip.compress(tar_bytes(TREE))),
        "zip": lambda: save(tmp_path / "a.zip", zip_bytes(TREE)),
    }
    dataset = photos(make[kind](), classes={"dog": "hound", "cat": "feline"})
    again = photos(folder_of(TREE, tmp_path / "again"), classes={"dog": "hound", "cat": "feline"})
    assert dataset.fingerprint == again.fingerprint
    assert dataset.classes == ("hound", "feline")
    assert dataset.ids.tolist() == sorted(n.removeprefix("photos/") for n in TREE)
    assert [dataset.classes[c] for c in dataset.y[:4]] == ["feline"] * 3 + ["hound"]
    split = dataset.split("official")
    assert all(i.startswith("val/") for i in dataset.ids[split.test])
    assert len(split.train) == len(split.test) == 6
    assert isinstance(dataset.X, Pictures)
    assert dataset.X[0] == TREE["photos/train/cat/0.JPEG"]


@pytest.mark.parametrize(
    ("parts", "test", "rows"),
    [
        (("train", "valid"), "valid", 6),
        (("train", "test"), "test", 6),
        (("train", "val", "test"), "test", 12),
    ],
)
def test_which_part_is_tested_on(
    tmp_path: Path, parts: tuple[str, ...], test: str, rows: int
) -> None:
    files = {f"{p}/{k}/{i}.jpg": jpeg(i) for p in parts for k in "ab" for i in range(3)}
    dataset = photos(folder_of(files, tmp_path / "f"))
    split = dataset.split("official")
    assert {i.split("/")[0] for i in dataset.ids[split.test]} == {test}
    assert len(split.train) == rows


def test_hidden_files_and_files_elsewhere_are_left_out(tmp_path: Path) -> None:
    rest = {
        "photos/labels.csv": b"a,b",
        "photos/train/list.txt": b"x",
        "photos/train/cat/.DS_Store": b"x",
        "__MACOSX/photos/train/cat/0.JPEG": b"x",
    }
    path = save(tmp_path / "a.zip", zip_bytes({**TREE, **rest}))
    assert len(photos(path)) == len(TREE)


def test_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    (top / "photos" / "train" / "cat" / "loop").symlink_to(top)
    assert len(photos(top)) == len(TREE)


def test_folder_with_what_is_no_file(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    odd = top / "photos" / "train" / "cat" / "odd.JPEG"
    os.mkfifo(odd)
    assert "photos/train/cat/odd.JPEG is a link, a device" in refused(lambda: photos(top))
    odd.unlink()
    odd.symlink_to(tmp_path / "nowhere")
    assert f"can't read {odd}" in refused(lambda: photos(top))
    odd.unlink()
    odd.symlink_to(top / "photos" / "train" / "cat" / "0.JPEG")
    assert len(photos(top)) == len(TREE) + 1  # a link in one's own folder is a file like others


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_folder_that_can_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    closed = top / "photos" / "train" / "cat"
    closed.chmod(0)
    try:
        assert f"can't read {closed}" in refused(lambda: photos(top))
    finally:
        closed.chmod(0o755)


@pytest.mark.parametrize("bad", [b"", b"no picture", TREE["photos/val/dog/1.JPEG"][:400]])
@pytest.mark.parametrize("packed", [True, False])
def test_unreadable_picture_is_named(tmp_path: Path, bad: bytes, packed: bool) -> None:
    files = {**TREE, "photos/val/dog/1.JPEG": bad}
    path = (
        save(tmp_path / "a.tgz", gzip.compress(tar_bytes(files)))
        if packed
        else folder_of(files, tmp_path / "f")
    )
    message = refused(lambda: photos(path))
    assert str(path) in message
    assert f"val/dog/1.JPEG ({len(bad)} bytes)" in message


def test_absurd_pixel_count_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    path = folder_of({**TREE, "photos/train/cat/big.png": png}, tmp_path / "f")
    message = refused(lambda: photos(path))
    assert "train/cat/big.png" in message
    assert "pixels" in message


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "extra",
    [
        entry("photos/train/cat/link.JPEG", tarfile.SYMTYPE, "/etc/passwd"),
        entry("photos/train/cat/hard.JPEG", tarfile.LNKTYPE, "photos/train/cat/0.JPEG"),
        entry("photos/null", tarfile.CHRTYPE),
        entry("photos/pipe", tarfile.FIFOTYPE),
        entry("/train/cat/absolute.JPEG", tarfile.REGTYPE),
        entry("photos/../../train/cat/outside.JPEG", tarfile.REGTYPE),
        entry("..\\train\\cat\\outside.JPEG", tarfile.REGTYPE),
        entry("C:\\train\\cat\\drive.JPEG", tarfile.REGTYPE),
        entry("photos/train/cat/bell\a.JPEG", tarfile.REGTYPE),
    ],
    ids=lambda info: info.name,
)
def test_members_that_are_no_plain_files_inside(tmp_path: Path, extra: tarfile.TarInfo) -> None:
    path = save(tmp_path / "a.tgz", gzip.compress(tar_bytes(TREE, extra=extra)))
    message = refused(lambda: photos(path))
    assert str(path) in message
    assert extra.name in message or repr(extra.name) in message


def test_zip_with_a_link_or_a_path_outside(tmp_path: Path) -> None:
    path = save(tmp_path / "a.zip", zip_bytes(TREE, link="photos/train/cat/link.JPEG"))
    assert "photos/train/cat/link.JPEG is a link" in refused(lambda: photos(path))
    path = save(tmp_path / "b.zip", zip_bytes({**TREE, "../train/cat/x.JPEG": b"x"}))
    assert "'../train/cat/x.JPEG' leads outside" in refused(lambda: photos(path))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_truncated_archive(tmp_path: Path, kind: str, share: float) -> None:
    whole = {
        "tar": tar_bytes(TREE).rstrip(b"\0"),  # without the blocks that mark its end
        "tgz": gzip.compress(tar_bytes(TREE)),
        "zip": zip_bytes(TREE),
    }[kind]
    path = save(tmp_path / f"a.{kind}", whole[: int(share * len(whole))])
    message = refused(lambda: photos(path))
    assert str(path) in message
    assert "truncated or damaged" in message


def test_tar_cut_between_two_members_is_truncated(tmp_path: Path) -> None:
    whole = tar_bytes(TREE)
    cut = whole.index(b"photos/val/dog/2.JPEG")
    assert cut % tarfile.BLOCKSIZE == 0
    path = save(tmp_path / "a.tar", whole[:cut])
    assert "at or after photos/val/dog/1.JPEG" in refused(lambda: photos(path))


def test_gzip_with_a_wrong_sum(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(tar_bytes(TREE)))
    whole[-6] ^= 1
    path = save(tmp_path / "a.tgz", bytes(whole))
    assert "CRC" in refused(lambda: photos(path))


PACKED = {"tar": tar_bytes(TREE), "tgz": gzip.compress(tar_bytes(TREE)), "zip": zip_bytes(TREE)}


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(PACKED)), data=st.data())
def test_a_damaged_archive_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    content = bytearray(PACKED[kind])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = save(tmp_path_factory.mktemp("fuzz") / f"a.{kind}", bytes(content))
    # Whatever byte is wrong, nothing but a RungError comes out, and no member goes missing.
    with contextlib.suppress(RungError):
        found = list(sources.members(path, lambda m: True, 10**7))
        assert len(found) == len(TREE)


BOMB = {**TREE, "photos/notes.txt": b"\0" * 3_000_000}


@pytest.mark.parametrize("kind", ["tgz", "zip", "folder"])
def test_decompression_bomb(tmp_path: Path, kind: str) -> None:
    bomb = {**TREE, "photos/train/cat/bomb.JPEG": b"\0" * 3_000_000}
    path = {
        "tgz": lambda: save(tmp_path / "a.tgz", gzip.compress(tar_bytes(bomb))),
        "zip": lambda: save(tmp_path / "a.zip", zip_bytes(bomb)),
        "folder": lambda: folder_of(bomb, tmp_path / "f"),
    }[kind]()
    message = refused(lambda: photos(path, max_bytes=1_000_000))
    assert str(path) in message
    assert "1,000,000" in message
    assert "bomb.JPEG" in message


def test_what_tar_skips_counts_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tgz", gzip.compress(tar_bytes(BOMB)))
    assert "1,000,000" in refused(lambda: photos(path, max_bytes=1_000_000))
    assert len(photos(path, max_bytes=4_000_000)) == len(TREE)


def test_sizes_that_tar_headers_only_claim(tmp_path: Path) -> None:
    # A header alone that promises 8 TB: neither believed nor waited for.
    info = tarfile.TarInfo("photos/train/cat/huge.JPEG")
    info.size = 2**43
    whole = tar_bytes(TREE)
    start = whole.index(b"photos/val/dog/2.JPEG")
    path = save(tmp_path / "a.tar", whole[:start] + info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1000)
    assert "photos/train/cat/huge.JPEG" in refused(lambda: photos(path))


def test_unknown_class_folder_double_picture_and_no_pictures(tmp_path: Path) -> None:
    folder = folder_of(TREE, tmp_path / "f")
    assert "'cat' is none of" in refused(lambda: photos(folder, classes={"dog": "hound"}))
    double = {**TREE, "more/train/cat/0.JPEG": jpeg(3)}
    path = save(tmp_path / "a.zip", zip_bytes(double))
    assert "two pictures train/cat/0.JPEG" in refused(lambda: photos(path))
    empty = folder_of({"a/b.jpg": jpeg(1)}, tmp_path / "e")
    assert "no pictures in train/CLASS/" in refused(lambda: photos(empty))
    one = folder_of({k: v for k, v in TREE.items() if "/val/" not in k}, tmp_path / "o")
    assert "found: train" in refused(lambda: photos(one))


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\:."), min_size=1
)


@settings(deadline=None, max_examples=40)
@given(
    top=st.lists(NAMES, max_size=2),
    names=st.lists(st.tuples(st.sampled_from(["train", "val"]), NAMES), min_size=1, unique=True),
)
def test_ids_are_unique_and_free_of_where_the_archive_starts(
    top: list[str], names: list[tuple[str, str]]
) -> None:
    top = [t for t in top if t not in ("train", "test", "val", "valid")]
    rows = [picture_id("/".join([*top, part, "kind", f"{name}.jpg"])) for part, name in names]
    assert rows == [f"{part}/kind/{name}.jpg" for part, name in names]


# --- Idx --------------------------------------------------------------------------------------


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
        content = changed.get(name.replace("-", "_")[:-3]) or gzip.compress(idx(array))
        save(folder / name, content)
        archives.append(Archive(f"http://127.0.0.1:9/{name}", md5(content)))
    return Idx(title="Clothes", archives=archives, classes=["shirt", "shoe"], max_bytes=10_000)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RUNG_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_idx(data: Path) -> None:
    dataset = idx_source(data / "clothes").load("clothes", ".")
    arrays = idx_arrays()
    assert dataset.X.shape == (12, 5, 4, 1)
    assert dataset.X.dtype == np.uint8
    assert np.array_equal(dataset.X[:8, ..., 0], arrays["train-images.gz"])
    assert np.array_equal(dataset.X[8:, ..., 0], arrays["test-images.gz"])
    assert dataset.y.tolist() == [0, 1] * 6
    assert dataset.ids[[0, 7, 8, 11]].tolist() == [
        "train/00000",
        "train/00007",
        "test/00000",
        "test/00003",
    ]
    assert dataset.split("official").test.tolist() == [8, 9, 10, 11]
    assert dataset.source == "http://127.0.0.1:9/train-images.gz"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("train_images", gzip.compress(b"\0\0\x0d\x01"), "no idx file"),
        ("train_images", gzip.compress(b"\0\0\x08\x03\0\0"), "truncated"),
        ("train_images", gzip.compress(idx(np.zeros((8, 5, 4)))[:-1]), "and it holds 159"),
        ("train_images", gzip.compress(idx(np.zeros((8, 5, 4))) + b"x"), "and it holds more"),
        ("train_images", gzip.compress(idx(np.zeros((8, 50, 40)))), "left of what is declared"),
        ("train_images", gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "left of what is declared"),
        ("train_images", gzip.compress(idx(np.zeros((8, 5, 4))))[:-9], "truncated or damaged"),
        ("train_images", gzip.compress(idx(np.zeros((8, 5, 4))) + b"\0" * 10**6), "holds more"),
        ("train_labels", gzip.compress(idx(np.arange(7) % 2)), "don't belong together"),
        ("test_images", gzip.compress(idx(np.zeros((4, 5, 5)))), "differ in size"),
        ("test_labels", gzip.compress(idx(np.arange(4))), "labels run from 0 to 3"),
    ],
)
def test_idx_refused(data: Path, file: str, content: bytes, says: str) -> None:
    source = idx_source(data, **{file: content})
    assert says in refused(lambda: source.load("clothes", "."))


# --- Tables -----------------------------------------------------------------------------------


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "width": rng.normal(size=20),
            "count": np.arange(20),
            "kind": ["b", "a"] * 10,
            "part": ["train"] * 14 + ["test"] * 6,
        }
    )


def table(path: Path, **options: Any) -> Dataset:
    settings = {"title": "Table", "target": "kind", "part": "part", **options}
    return Table(path=path.name, **settings).load("table", path.parent)


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_table(tmp_path: Path, name: str) -> None:
    dataset = table(write(frame(), tmp_path / name))
    assert dataset.modality == "tabular"
    assert dataset.classes == ("a", "b")
    assert np.array_equal(dataset.X, frame()[["width", "count"]].to_numpy())
    assert dataset.ids.tolist() == [str(i) for i in range(20)]
    assert dataset.split("official").test.tolist() == list(range(14, 20))
    held_out = table(
        write(frame().drop(columns=["part", "kind"]), tmp_path / name),
        target="width",
        part="",
        task="regression",
        test_size=5,
    )
    assert len(held_out.split("holdout").test) == 5
    assert held_out.y.dtype == np.float64
    assert not held_out.classes


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("width", np.nan, "'width' is empty, NaN or infinite in 1 rows, the first of them row 3"),
        ("width", -np.inf, "'width' is empty, NaN or infinite in 1 rows, the first of them row 3"),
        ("kind", None, "target of row 3 is missing"),
        ("part", "exam", "the part 'exam'"),
    ],
)
def test_table_with_a_bad_cell(
    tmp_path: Path, name: str, column: str, value: Any, says: str
) -> None:
    bad = frame()
    bad.loc[3, column] = value
    assert says in refused(lambda: table(write(bad, tmp_path / name)))


def test_table_refused(tmp_path: Path) -> None:
    good = write(frame(), tmp_path / "t.csv")
    assert "did you mean kind?" in refused(lambda: table(good, target="knd"))
    assert "'kind' holds no numbers" in refused(lambda: table(good, target="count"))
    assert "can't be read as a table" in refused(lambda: table(save(tmp_path / "e.csv", b"")))
    assert "declared 100 bytes" in refused(lambda: table(good, max_bytes=100))
    half = save(tmp_path / "h.csv.gz", gzip.compress(good.read_bytes())[:-20])
    assert "can't be read as a table" in refused(lambda: table(half))
    whole = write(frame(), tmp_path / "t.parquet").read_bytes()
    cut = save(tmp_path / "cut.parquet", whole[:-10])
    assert f"{cut} is no parquet file" in refused(lambda: table(cut))
    assert "there is no" in refused(lambda: table(tmp_path / "none.csv"))


def test_parquet_bomb(tmp_path: Path) -> None:
    # A million equal values take next to nothing in the file.
    many = pd.DataFrame({"x": np.zeros(10**6), "kind": 1})
    path = write(many, tmp_path / "t.parquet")
    assert path.stat().st_size < 100_000
    assert "1,000,000 are declared" in refused(lambda: table(path, part="", max_bytes=1_000_000))


def test_pictures_table(tmp_path: Path) -> None:
    names = list(TREE)
    rows = pd.DataFrame(
        {
            "id": names,
            "part": [n.split("/")[1] for n in names],
            "label": [n.split("/")[2] for n in names],
            "jpeg": list(TREE.values()),
        }
    )
    source = PicturesTable(title="Photos", path="p.parquet", classes={"dog": "d", "cat": "c"})
    rows.to_parquet(tmp_path / "p.parquet")
    dataset = source.load("photos", tmp_path)
    assert dataset.classes == ("d", "c")
    assert dataset.ids.tolist() == names
    assert dataset.X[11] == TREE[names[11]]
    rows.loc[5, "jpeg"] = b"no"
    rows.to_parquet(tmp_path / "p.parquet")
    assert f"{names[5]} (2 bytes)" in refused(lambda: source.load("photos", tmp_path))
    rows.drop(columns="label").to_parquet(tmp_path / "p.parquet")
    assert "no column 'label'" in refused(lambda: source.load("photos", tmp_path))


def test_scikit_learn_loader_that_is_not_there() -> None:
    source = ScikitLearn(title="x", loader="digit")
    assert "did you mean digits" in refused(lambda: source.load("x", "."))


# --- What is kept -----------------------------------------------------------------------------


def entries(home: Path) -> list[Path]:
    return sorted((home / "prepared").rglob("output.pkl"))


def base(array: Any) -> Any:
    while not isinstance(array, np.memmap) and getattr(array, "base", None) is not None:
        array = array.base
    return array


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_second_load_reads_nothing_and_is_memory_mapped(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def load() -> Dataset:
        if kind == "pictures":
            return photos(tmp_path / "a.zip")
        return table(tmp_path / "t.csv")

    save(tmp_path / "a.zip", zip_bytes(TREE))
    write(frame(), tmp_path / "t.csv")
    first = load()
    monkeypatch.setattr(ImageFolder, "read", None)
    monkeypatch.setattr(Table, "read", None)
    second = load()
    assert second.fingerprint == first.fingerprint
    assert isinstance(base(second.X.blob if kind == "pictures" else second.X), np.memmap)
    assert isinstance(base(second.y), np.memmap)
    assert len(entries(own_home)) == 1


def test_new_content_new_declaration_new_name_are_prepared_anew(
    tmp_path: Path, own_home: Path
) -> None:
    path = write(frame(), tmp_path / "t.csv")
    first = table(path)
    assert table(path, title="Other").title == "Other"
    changed = frame()
    changed.loc[0, "width"] += 1
    second = table(write(changed, path))
    assert second.fingerprint != first.fingerprint
    folder = folder_of(TREE, tmp_path / "f")
    before = photos(folder)
    (folder / "photos/train/cat/0.JPEG").write_bytes(jpeg(99))
    assert photos(folder).fingerprint != before.fingerprint
    assert len(entries(own_home)) == 5


@pytest.mark.parametrize("where", ["content", "pickle", "all", "cut", "empty"])
def test_damaged_entry_is_noticed_and_made_again(
    tmp_path: Path, own_home: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    path = write(frame(), tmp_path / "t.csv")
    good = table(path)
    expected = np.array(good.X)
    (stored,) = entries(own_home)
    content = bytearray(stored.read_bytes())
    if where == "content":
        content[content.index(expected.tobytes()) + 9] ^= 64
    elif where == "pickle":
        content[40:60] = b"\xff" * 20
    elif where == "all":
        content[:] = bytes(b ^ 255 for b in content)
    elif where == "cut":
        del content[len(content) // 2 :]
    else:
        content.clear()
    del good
    stored.unlink()  # a memory map of the old file may still be alive
    stored.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        again = table(path)
    assert np.array_equal(again.X, expected)
    assert ["damaged" in r.message for r in caplog.records] == [True]
    caplog.clear()
    assert np.array_equal(table(path).X, expected)
    assert not caplog.records


def test_damaged_notes_of_the_cache_cost_time_only(
    tmp_path: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(frame(), tmp_path / "t.csv")
    code = f"""
        from rung.sources import Table
        d = Table(title="T", target="kind", part="part", path="t.csv").load("t", {str(tmp_path)!r})
        print(d.fingerprint)
    """
    assert python(code, RUNG_HOME=str(own_home)).stdout
    (notes,) = (own_home / "prepared").rglob("func_code.py")
    notes.write_bytes(b"\xff\xfe# first line: x")
    done = python(code, RUNG_HOME=str(own_home))
    assert done.stdout.strip() == table(path).fingerprint


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("limit", [60, 2000])
def test_full_disk_costs_the_cache_only(tmp_path: Path, own_home: Path, limit: int) -> None:
    save(tmp_path / "a.zip", zip_bytes(TREE))
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        from rung.sources import ImageFolder
        d = ImageFolder(title="P", path="a.zip").load("p", {str(tmp_path)!r})
        print(len(d), d.fingerprint)
    """
    done = python(code, RUNG_HOME=str(own_home))
    assert done.stdout.split() == ["12", photos(tmp_path / "a.zip").fingerprint]
    assert done.stderr.count("\n") == 1
    assert "not kept" in done.stderr
    left = [p for p in own_home.rglob("output.pkl*") if p.name != "output.pkl"]
    assert not left


def test_home_that_is_no_folder_costs_the_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNG_HOME", str(save(tmp_path / "file", b"")))
    path = write(frame(), tmp_path / "t.csv")
    assert len(table(path)) == 20
    assert ["not kept" in r.message for r in caplog.records] == [True]


def test_refusal_is_not_kept_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.zip", zip_bytes({**TREE, "photos/val/dog/1.JPEG": b""}))
    calls = []
    read = ImageFolder.read

    def counted(*arguments: Any) -> Dataset:
        calls.append(1)
        return read(*arguments)

    monkeypatch.setattr(ImageFolder, "read", counted)
    refused(lambda: photos(path))
    assert len(calls) == 1
    save(path, zip_bytes(TREE))
    assert len(photos(path)) == len(TREE)


# --- Where files come from --------------------------------------------------------------------

ARCHIVE = gzip.compress(tar_bytes(TREE), mtime=0)


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


def published(url: str, content: bytes = ARCHIVE) -> ImageFolder:
    return ImageFolder(title="Photos", archives=[Archive(url, md5(content))])


def test_download_is_verified_kept_and_done_once(server: str, own_home: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    source = published(f"{server}/photos.tgz")
    dataset = source.load("photos", ".", progress=lambda *now: seen.append(now))
    assert len(dataset) == len(TREE)
    assert not dataset.local_copy
    assert seen[-1] == ("photos.tgz", len(ARCHIVE), len(ARCHIVE))
    assert source.load("photos", ".").fingerprint == dataset.fingerprint
    assert asked == ["/photos.tgz"]
    kept = own_home / "downloads" / "photos" / "photos.tgz"
    assert kept.read_bytes() == ARCHIVE
    assert list(kept.parent.iterdir()) == [kept]


def test_damaged_download_is_downloaded_again(
    server: str, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(own_home / "downloads" / "photos" / "photos.tgz", b"half")
    assert len(published(f"{server}/photos.tgz").load("photos", ".")) == len(TREE)
    assert ["is damaged" in r.message for r in caplog.records] == [True]


@pytest.mark.parametrize(
    ("path", "says"),
    [("missing", "the server says 404"), ("cut", "broke off"), ("slow", "no answer in")],
)
def test_download_that_fails(
    server: str, own_home: Path, monkeypatch: pytest.MonkeyPatch, path: str, says: str
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.3)
    message = refused(lambda: published(f"{server}/{path}.tgz").load("photos", "."))
    assert says in message
    assert f"{server}/{path}.tgz" in message
    assert "rung data add photos FILE" in message
    assert "RUNG_DATA" in message
    assert not list((own_home / "downloads" / "photos").iterdir())


def test_no_network() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/photos.tgz"
        message = refused(lambda: published(url).load("photos", "."))
    assert "no connection" in message
    assert "rung data add photos FILE" in message


def test_download_with_another_md5_names_both(server: str, own_home: Path) -> None:
    message = refused(lambda: published(f"{server}/photos.tgz", b"other").load("photos", "."))
    assert md5(ARCHIVE) in message
    assert md5(b"other") in message
    assert not list((own_home / "downloads" / "photos").iterdir())


def test_download_onto_a_full_disk(server: str, own_home: Path) -> None:
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
    assert "free some space" in python(code, RUNG_HOME=str(own_home)).stdout
    assert not list((own_home / "downloads" / "p").iterdir())


@pytest.mark.parametrize("place", ["photos.tgz", "folder/photos.tgz"])
def test_rung_data_comes_before_a_download(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("RUNG_DATA", os.pathsep.join([str(tmp_path / "nowhere"), str(data)]))
    save(data / place, ARCHIVE)
    dataset = published("http://127.0.0.1:9/photos.tgz").load("photos", ".")
    assert len(dataset) == len(TREE)
    assert not dataset.local_copy


def test_file_of_the_right_name_and_another_md5_is_not_used(
    data: Path, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = save(data / "photos.tgz", gzip.compress(tar_bytes(TREE), mtime=1))
    hint = f"rung data add photos {other}"
    assert hint in refused(lambda: published("http://127.0.0.1:9/photos.tgz").load("photos", "."))
    caplog.clear()
    dataset = published(f"{server}/photos.tgz").load("photos", ".")
    assert asked == ["/photos.tgz"]
    assert not dataset.local_copy
    assert [hint in r.message for r in caplog.records] == [True]


def test_one_wrong_file_of_several_suggests_the_folder(data: Path) -> None:
    source = idx_source(data)
    other = save(data / "test-labels.gz", gzip.compress(idx(1 - idx_arrays()["test-labels.gz"])))
    message = refused(lambda: source.load("clothes", "."))
    assert str(other) in message
    assert f"rung data add clothes {data}`" in message
    assert add_local("clothes", source, data).local_copy


# --- A user's own copy ------------------------------------------------------------------------


def test_own_copy(data: Path, tmp_path: Path, own_home: Path) -> None:
    save(data / "photos.tgz", ARCHIVE)
    source = published("http://127.0.0.1:9/photos.tgz")
    assert not source.load("photos", ".").local_copy
    other = {**TREE, "photos/train/cat/0.JPEG": jpeg(77)}
    folder = folder_of(other, tmp_path / "mine")
    added = add_local("photos", source, folder)
    loaded = source.load("photos", ".")
    assert added.local_copy
    assert loaded.local_copy
    assert loaded.fingerprint == added.fingerprint
    assert loaded.X[0] == jpeg(77)
    assert local_copies() == {"photos": str(folder)}
    remove_local("photos")
    official = source.load("photos", ".")
    assert not official.local_copy
    assert official.fingerprint != added.fingerprint
    assert folder.exists()
    assert not local_copies()
    assert "no local copy named 'photos'" in refused(lambda: remove_local("photos"))
    assert sorted(p.name for p in own_home.iterdir()) == ["local.json", "prepared"]


def test_own_copy_with_the_official_md5_is_the_official_one(tmp_path: Path) -> None:
    source = published("http://127.0.0.1:9/photos.tgz")
    assert not add_local("photos", source, save(tmp_path / "any name", ARCHIVE)).local_copy
    (tmp_path / "d").mkdir()
    save(tmp_path / "d" / "photos.tgz", ARCHIVE)
    assert not add_local("photos", source, tmp_path / "d").local_copy


def test_own_copy_given_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.tgz", ARCHIVE)
    monkeypatch.chdir(tmp_path)
    source = published("http://127.0.0.1:9/photos.tgz")
    add_local("photos", source, "a.tgz")
    monkeypatch.chdir("/")
    assert len(source.load("photos", ".")) == len(TREE)


def test_own_copy_that_can_not_be_used_changes_nothing(tmp_path: Path) -> None:
    source = published("http://127.0.0.1:9/photos.tgz")
    add_local("photos", source, save(tmp_path / "good.tgz", ARCHIVE))
    bad = save(tmp_path / "bad.tgz", ARCHIVE[:-50])
    assert str(bad) in refused(lambda: add_local("photos", source, bad))
    assert "no file or folder" in refused(lambda: add_local("photos", source, tmp_path / "none"))
    assert local_copies() == {"photos": str(tmp_path / "good.tgz")}
    (tmp_path / "good.tgz").unlink()
    assert "rung data remove photos" in refused(lambda: source.load("photos", "."))


def test_own_copy_of_several_files_is_a_folder(tmp_path: Path) -> None:
    source = idx_source(tmp_path / "c")
    assert not add_local("clothes", source, tmp_path / "c").local_copy
    assert not source.load("clothes", ".").local_copy
    labels = idx(1 - idx_arrays()["test-labels.gz"])
    save(tmp_path / "c" / "test-labels.gz", gzip.compress(labels))
    changed = source.load("clothes", ".")  # noticed although it was registered as the official one
    assert changed.local_copy
    assert changed.y[8:].tolist() == [1, 0, 1, 0]
    message = refused(lambda: add_local("clothes", source, tmp_path / "c" / "test-labels.gz"))
    assert "must be a folder that holds train-images.gz, train-labels.gz" in message
    (tmp_path / "c" / "test-labels.gz").unlink()
    assert "must be a folder" in refused(lambda: add_local("clothes", source, tmp_path / "c"))


@pytest.mark.parametrize(
    "source",
    [ScikitLearn(title="x", loader="digits"), Table(title="x", path="t.csv", target="y")],
    ids=["scikit-learn", "beside"],
)
def test_own_copy_of_what_is_not_downloaded(tmp_path: Path, source: Source) -> None:
    assert "not downloaded" in refused(lambda: add_local("x", source, tmp_path))


def test_damaged_list_of_own_copies_is_named(own_home: Path) -> None:
    for content in (b'{"photos": ', b"[1]", b'{"photos": 1}', b"\xff"):
        save(own_home / "local.json", content)
        message = refused(lambda: published("http://127.0.0.1:9/p.tgz").load("photos", "."))
        assert f"{own_home / 'local.json'} is damaged" in message


# --- Declarations -----------------------------------------------------------------------------


def test_declaration_needs_archives_or_a_path() -> None:
    assert "either" in refused(lambda: ImageFolder(title="P"))
    assert "either" in refused(
        lambda: ImageFolder(title="P", path="p", archives=[Archive("http://x/y", "0")])
    )


def test_metadata_comes_from_the_declaration(tmp_path: Path) -> None:
    path = write(frame(), tmp_path / "t.csv")
    first = table(path, licence="MIT", citation="me", source="here")
    assert (first.name, first.title, first.licence) == ("table", "Table", "MIT")
    assert (first.citation, first.source) == ("me", "here")
    assert not first.local_copy


def test_importing_it_is_light() -> None:
    heavy = {"pandas", "sklearn", "PIL", "pooch", "requests", "joblib", "pyarrow", "torch"}
    done = python(
        f"import sys, json, rung.sources; print(json.dumps(sorted({heavy} & set(sys.modules))))"
    )
    assert json.loads(done.stdout) == []
