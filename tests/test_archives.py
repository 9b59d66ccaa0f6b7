"""Archives: what is read, refused and counted. Real tars and zips, whole, cut, flipped, hostile."""

from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import TREE, folder_of, gzipped, idx, refused, save, tar_bytes, zip_bytes

from rung.archives import listing, members, read_frame, read_idx, read_parquet
from rung.errors import RungError


def read(path: Path, max_bytes: int = 10**9) -> dict[str, bytes]:
    """All pictures in a folder or archive."""
    return dict(members(path, lambda member: member.endswith(".JPEG"), max_bytes))


def test_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    (top / "photos" / "train" / "cat" / "loop").symlink_to(top)
    assert len(read(top)) == len(TREE)


def test_folder_with_what_is_no_file(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    odd = top / "photos" / "train" / "cat" / "odd.JPEG"
    os.mkfifo(odd)
    for look in (read, listing):
        assert "cat/odd.JPEG is a link, a device" in refused(lambda look=look: look(top))
    odd.unlink()
    odd.symlink_to(tmp_path / "nowhere")
    assert f"can't read {odd}" in refused(lambda: listing(top))
    assert str(odd) in refused(lambda: read(top))
    odd.unlink()
    odd.symlink_to(top / "photos" / "train" / "cat" / "0.JPEG")
    assert len(read(top)) == len(TREE) + 1  # a link in one's own folder is a file like others


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_folder_that_can_not_be_read_is_not_left_out(tmp_path: Path) -> None:
    top = folder_of(TREE, tmp_path / "f")
    closed = top / "photos" / "train" / "cat"
    closed.chmod(0)
    try:
        assert f"can't read {closed}" in refused(lambda: listing(top))
        assert str(closed) in refused(lambda: read(top))
    finally:
        closed.chmod(0o755)


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
    path = save(tmp_path / "a.tgz", gzipped(tar_bytes(TREE, extra=extra)))
    message = refused(lambda: read(path))
    assert str(path) in message
    assert extra.name in message or repr(extra.name) in message


def test_zip_with_a_link_or_a_path_outside(tmp_path: Path) -> None:
    path = save(tmp_path / "a.zip", zip_bytes(TREE, link="photos/train/cat/link.JPEG"))
    assert "photos/train/cat/link.JPEG is a link" in refused(lambda: read(path))
    path = save(tmp_path / "b.zip", zip_bytes({**TREE, "../train/cat/x.JPEG": b"x"}))
    assert "'../train/cat/x.JPEG' leads outside" in refused(lambda: read(path))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_truncated_archive(tmp_path: Path, kind: str, share: float) -> None:
    whole = {
        "tar": tar_bytes(TREE).rstrip(b"\0"),  # without the blocks that mark its end
        "tgz": gzipped(tar_bytes(TREE)),
        "zip": zip_bytes(TREE),
    }[kind]
    path = save(tmp_path / f"a.{kind}", whole[: int(share * len(whole))])
    message = refused(lambda: read(path))
    assert str(path) in message
    assert "truncated or damaged" in message


def test_tar_cut_between_two_members_is_truncated(tmp_path: Path) -> None:
    whole = tar_bytes(TREE)
    cut = whole.index(b"photos/val/dog/2.JPEG")
    assert cut % tarfile.BLOCKSIZE == 0
    path = save(tmp_path / "a.tar", whole[:cut])
    assert "at or after photos/val/dog/1.JPEG" in refused(lambda: read(path))


def test_gzip_with_a_wrong_sum(tmp_path: Path) -> None:
    whole = bytearray(gzipped(tar_bytes(TREE)))
    whole[-6] ^= 1
    path = save(tmp_path / "a.tgz", bytes(whole))
    assert "CRC" in refused(lambda: read(path))


PACKED = {"tar": tar_bytes(TREE), "tgz": gzipped(tar_bytes(TREE)), "zip": zip_bytes(TREE)}


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
        found = list(members(path, lambda m: True, 10**7))
        assert len(found) == len(TREE)


BOMB = {**TREE, "photos/notes.txt": b"\0" * 3_000_000}


@pytest.mark.parametrize("kind", ["tgz", "zip", "folder"])
def test_decompression_bomb(tmp_path: Path, kind: str) -> None:
    bomb = {**TREE, "photos/train/cat/bomb.JPEG": b"\0" * 3_000_000}
    path = {
        "tgz": lambda: save(tmp_path / "a.tgz", gzipped(tar_bytes(bomb))),
        "zip": lambda: save(tmp_path / "a.zip", zip_bytes(bomb)),
        "folder": lambda: folder_of(bomb, tmp_path / "f"),
    }[kind]()
    message = refused(lambda: read(path, max_bytes=1_000_000))
    assert str(path) in message
    assert "1,000,000" in message
    assert "bomb.JPEG" in message


def test_what_tar_skips_counts_too(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tgz", gzipped(tar_bytes(BOMB)))
    assert "1,000,000" in refused(lambda: read(path, max_bytes=1_000_000))
    assert len(read(path, max_bytes=4_000_000)) == len(TREE)


def test_sizes_that_tar_headers_only_claim(tmp_path: Path) -> None:
    # A header alone that promises 8 TB: neither believed nor waited for.
    info = tarfile.TarInfo("photos/train/cat/huge.JPEG")
    info.size = 2**43
    whole = tar_bytes(TREE)
    start = whole.index(b"photos/val/dog/2.JPEG")
    path = save(tmp_path / "a.tar", whole[:start] + info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1000)
    assert "photos/train/cat/huge.JPEG" in refused(lambda: read(path))


# --- Single files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzipped(b"\0\0\x0d\x01"), "no idx file"),
        (gzipped(b"\0\0\x08\x03\0\0"), "truncated"),
        (gzipped(idx(np.zeros((8, 5, 4)))[:-1]), "and it holds 159"),
        (gzipped(idx(np.zeros((8, 5, 4))) + b"x"), "and it holds more"),
        (gzipped(idx(np.zeros((8, 50, 40)))), "left of what is declared"),
        (gzipped(b"\0\0\x08\x03" + b"\xff" * 12), "left of what is declared"),
        (gzipped(idx(np.zeros((8, 5, 4))))[:-9], "truncated or damaged"),
        (gzipped(idx(np.zeros((8, 5, 4))) + b"\0" * 10**6), "holds more"),
    ],
)
def test_idx_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = save(tmp_path / "images.gz", content)
    message = refused(lambda: read_idx(path, 10_000))
    assert str(path) in message
    assert says in message


def test_table_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"width": np.arange(50) / 7, "kind": ["b", "a"] * 25})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    good = tmp_path / "t.csv"
    assert read_frame(good, 10**6).equals(read_frame(tmp_path / "t.parquet", 10**6))
    assert "declared 100 bytes" in refused(lambda: read_frame(good, 100))
    empty = save(tmp_path / "e.csv", b"")
    assert f"{empty} can't be read as a table" in refused(lambda: read_frame(empty, 10**6))
    half = save(tmp_path / "h.csv.gz", gzipped(good.read_bytes())[:-20])
    assert f"{half} is truncated or damaged" in refused(lambda: read_frame(half, 10**6))
    cut = save(tmp_path / "cut.parquet", (tmp_path / "t.parquet").read_bytes()[:-10])
    assert f"{cut} is no parquet file" in refused(lambda: read_frame(cut, 10**6))


def test_parquet_bomb(tmp_path: Path) -> None:
    # A million equal values take next to nothing in the file.
    path = tmp_path / "t.parquet"
    pd.DataFrame({"x": np.zeros(10**6), "kind": 1}).to_parquet(path)
    assert path.stat().st_size < 100_000
    assert "1,000,000 are declared" in refused(lambda: read_parquet(path, 1_000_000))
