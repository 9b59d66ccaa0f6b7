"""Sources: what files become which data set, what is refused, what is kept."""

from __future__ import annotations

import importlib
import json
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import (
    ARCHIVE,
    TREE,
    folder_of,
    gzipped,
    idx,
    idx_arrays,
    idx_source,
    jpeg,
    md5,
    published,
    python,
    refused,
    save,
    tar_bytes,
    zip_bytes,
)

from rung import fetch
from rung.dataset import Dataset, Pictures
from rung.fetch import local_copies
from rung.home import Notice, NotKept
from rung.sources import (
    Archive,
    ImageFolder,
    PicturesTable,
    ScikitLearn,
    Source,
    StandardSplits,
    Table,
    TextFolder,
    TextLines,
    add_local,
    picture_id,
    remove_local,
)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that RUNG_DATA names."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RUNG_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def photos(path: Path, **options: Any) -> Dataset:
    return ImageFolder(title="Photos", path=path.name, **options).load("photos", path.parent)


# --- Pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "tar", "tgz", "zip"])
def test_image_folder_is_the_same_data_set_however_it_is_packed(tmp_path: Path, kind: str) -> None:
    make: dict[str, Callable[[], Path]] = {
        "folder": lambda: folder_of(TREE, tmp_path / "f"),
        "tar": lambda: save(tmp_path / "a.tar", tar_bytes(dict(reversed(TREE.items())))),
        "tgz": lambda: save(tmp_path / "a.tgz", gzipped(tar_bytes(TREE))),
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


@pytest.mark.parametrize("bad", [b"", b"no picture", TREE["photos/val/dog/1.JPEG"][:400]])
@pytest.mark.parametrize("packed", [True, False])
def test_unreadable_picture_is_named(tmp_path: Path, bad: bytes, packed: bool) -> None:
    files = {**TREE, "photos/val/dog/1.JPEG": bad}
    path = (
        save(tmp_path / "a.tgz", gzipped(tar_bytes(files)))
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


def test_archive_that_is_cut_or_holds_more_than_declared(tmp_path: Path) -> None:
    whole = gzipped(tar_bytes(TREE))
    cut = save(tmp_path / "cut.tgz", whole[:-50])
    assert f"{cut} is truncated or damaged" in refused(lambda: photos(cut))
    path = save(tmp_path / "a.tgz", whole)
    assert "declared 3,000 bytes" in refused(lambda: photos(path, max_bytes=3000))


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
        ("train_images", gzipped(idx(np.zeros((8, 5, 4))))[:-9], "truncated or damaged"),
        ("test_images", gzipped(idx(np.zeros((4, 60, 41)))), "9,832 are left of what"),
        ("train_labels", gzipped(idx(np.arange(7) % 2)), "don't belong together"),
        ("test_images", gzipped(idx(np.zeros((4, 5, 5)))), "differ in size"),
        ("test_labels", gzipped(idx(np.arange(4))), "labels run from 0 to 3"),
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
        ("width", -np.inf, "'width' is infinite in 1 rows, the first of them row 3"),
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
    assert "'b' is none of the declared" in refused(lambda: table(good, classes={"a": "A"}))
    assert "declared 100 bytes" in refused(lambda: table(good, max_bytes=100))
    assert "there is no" in refused(lambda: table(tmp_path / "none.csv"))


def mixed(n: int = 40) -> pd.DataFrame:
    """Numbers, a category, many strings, dates; some of each missing."""
    kind = np.arange(n) % 2
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n), unit="D")
    frame = pd.DataFrame(
        {
            "width": np.arange(n) / 7,
            "colour": np.where(kind == 1, "red", "blue"),
            "name": [f"name {i}" for i in range(n)],
            "day": days.astype(str),
            "kind": np.where(kind == 1, "yes", "no"),
        }
    )
    frame.loc[[3, 8], ["width", "colour", "day"]] = None
    return frame


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_table_keeps_columns_of_all_kinds(tmp_path: Path, name: str) -> None:
    dataset = table(write(mixed(), tmp_path / name), part="", test_size=10)
    assert dataset.X.columns.tolist() == ["width", "colour", "name", "day"]
    assert dataset.X["width"].dtype == np.float64
    assert dataset.X["width"].isna().sum() == dataset.X["colour"].isna().sum() == 2
    assert dataset.X["colour"][1] == "red"
    again = table(write(mixed(), tmp_path / name), part="", test_size=10, title="Other")
    assert again.fingerprint == dataset.fingerprint
    assert dataset.take(np.array([5, 1])).X["name"].tolist() == ["name 5", "name 1"]


def test_table_of_two_files_without_a_header(tmp_path: Path, data: Path) -> None:
    rows = mixed()
    archives = []
    for name, part, label in (("a.csv", rows[:28], "no"), ("b.csv", rows[28:], "no.")):
        part = part.replace({"kind": {"no": label}})
        text = part.to_csv(header=False, index=False, na_rep="?")
        save(data / name, text.encode())
        archives.append(Archive(f"http://127.0.0.1:9/{name}", md5(text.encode())))
    source = Table(
        title="T",
        archives=archives,
        target="kind",
        part="part",
        each={"part": ["train", "test"], "file": ["first", "second"]},
        options={"header": None, "names": list(rows.columns), "na_values": "?"},
        classes={"yes": "Yes", "no": "No", "no.": "No"},
    )
    dataset = source.load("t", ".")
    assert dataset.classes == ("Yes", "No")
    assert dataset.y.tolist() == [1, 0] * 20
    assert dataset.split("official").test.tolist() == list(range(28, 40))
    assert dataset.X["width"].isna().sum() == 2
    assert dataset.X["file"].tolist() == ["first"] * 28 + ["second"] * 12


def test_encoding_is_declared_not_guessed(tmp_path: Path) -> None:
    path = save(tmp_path / "t.csv", "wörd,kind\né,a\nß,b\né,a\nß,b\n".encode("latin-1"))
    assert "can't be read as a table" in refused(lambda: table(path, part=""))
    dataset = table(path, part="", options={"encoding": "latin-1"})
    assert dataset.X["wörd"].tolist() == ["é", "ß", "é", "ß"]


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


# --- Texts ------------------------------------------------------------------------------------

NEWS = {
    f"20news-bydate-{part}/{kind}/{i}": f"From: {kind}\n\n{kind} {part} {i} é".encode("latin-1")
    for part in ("train", "test")
    for kind in ("rec.autos", "sci.med")
    for i in range(3)
}


@pytest.mark.parametrize("packed", [True, False])
def test_text_folder(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "n"
    if packed:
        save(path, gzipped(tar_bytes(NEWS)))
    else:
        folder_of({**NEWS, "20news-bydate-train/sci.med/.hidden": b"x"}, path)
    source = TextFolder(title="News", path="n", encoding="latin-1")
    dataset = source.load("news", tmp_path)
    assert dataset.modality == "text"
    assert dataset.classes == ("rec.autos", "sci.med")
    assert dataset.ids[0] == "test/rec.autos/0"
    assert dataset.X[0] == "From: rec.autos\n\nrec.autos test 0 é"
    split = dataset.split("official")
    assert {i.split("/")[0] for i in dataset.ids[split.test]} == {"test"}
    assert len(split.train) == 6
    wrong = TextFolder(title="News", path="n")
    message = refused(lambda: wrong.load("news", tmp_path))
    assert "is not in utf-8" in message
    assert "line 3" in message


def test_text_lines_with_the_label_in_front(tmp_path: Path) -> None:
    text = "ham\tOk lar...\nspam\tWin\ta prize\u2028now\n\nham\tso\r\nspam\tfree " * 3
    save(tmp_path / "s.tsv.gz", gzipped(text.encode()))
    dataset = TextLines(title="S", path="s.tsv.gz", test_size=4).load("s", tmp_path)
    assert dataset.classes == ("ham", "spam")
    assert dataset.X[:3].tolist() == ["Ok lar...", "Win\ta prize\u2028now", "so"]
    assert dataset.ids[:2].tolist() == ["0", "1"]
    assert len(dataset.split("holdout").test) == 4
    save(tmp_path / "bad.txt", b"ham\tOk\nspam\n")
    message = refused(lambda: TextLines(title="S", path="bad.txt").load("s", tmp_path))
    assert "line 2 is not as declared" in message


def test_text_lines_of_several_forms_of_the_same_data(data: Path) -> None:
    """A copy in another form stands in for the published file, and the data set says so."""
    lines = "LOC:city Where is it ?\nHUM:ind Who was he \u00e9 ?\n" * 3
    rows = [
        {"sentence": line.split(" ", 1)[1], "label": {"L": "4", "H": "3"}[line[0]]}
        for line in lines.strip().split("\n")
    ]
    published = lines.encode("latin-1")
    objects = "\n".join(map(json.dumps, rows)).encode()
    archives = [
        Archive(
            f"http://127.0.0.1:9/{part}.label", md5(published), {f"t/{part}.jsonl": md5(objects)}
        )
        for part in ("train", "test")
    ]
    source = TextLines(
        title="T",
        archives=archives,
        text="sentence",
        separator=" ",
        until=":",
        encoding="latin-1",
        parts=["train", "test"],
        classes={"LOC": "location", "HUM": "human", "4": "location", "3": "human"},
    )
    for part in ("train", "test"):
        save(data / "t" / f"{part}.jsonl", objects)
    stand_in = source.load("t", ".")
    assert stand_in.local_copy
    for part in ("train", "test"):
        save(data / f"{part}.label", published)
    official = source.load("t", ".")
    assert not official.local_copy
    assert official.fingerprint == stand_in.fingerprint
    assert official.classes == ("location", "human")
    assert official.X[1] == "Who was he é ?"
    assert official.ids[-1] == "test/00005"


def test_text_lines_in_columns(tmp_path: Path) -> None:
    save(tmp_path / "a.tsv", b"sentence\tlabel\n" + b'a "good one\t1\nbad\t0\n' * 3)
    source = TextLines(title="A", path="a.tsv", text="sentence", header=True)
    dataset = source.load("a", tmp_path)
    assert dataset.X[:2].tolist() == ['a "good one', "bad"]
    assert dataset.y[:2].tolist() == [1, 0]
    save(tmp_path / "a.tsv", b"sentence\tlabel\na\t1\nb\tc\t0\n")
    assert "line 3" in refused(lambda: source.load("a", tmp_path))


def test_published_file_without_an_address(data: Path) -> None:
    source = TextLines(title="S", archives=[Archive("", md5(b"x"), {"s/a.tsv": md5(b"x")})])
    assert "no address is known for s/a.tsv" in refused(lambda: source.load("s", "."))


# --- Standard splits --------------------------------------------------------------------------


def standard_splits(folder: Path, data: Path) -> StandardSplits:
    """Nine rows, three columns, two splits; the files in RUNG_DATA, their list beside."""
    files = {
        "data.txt": "".join(f"{i} {10 * i} {100 * i}.5\n" for i in range(9)),
        "index_features.txt": "0\n1\n",
        "index_target.txt": "2\n",
        "index_test_0.txt": "4\n1\n",
        "index_test_1.txt": "8\n",
    }
    lines = []
    for file, text in files.items():
        save(data / "uci" / "mine" / file, text.encode())
        lines.append(f"{md5(text.encode())}  UCI/mine/data/{file}\n")
    other = f"{md5(b'')}  UCI/other/data/data.txt\n"
    save(folder / "list.md5", "".join([*lines, other]).encode())
    return StandardSplits(title="Mine", path="list.md5", at="http://127.0.0.1:9/r/UCI/mine/data/")


def test_standard_splits(tmp_path: Path, data: Path) -> None:
    source = standard_splits(tmp_path, data)
    dataset = source.load("mine", tmp_path)
    assert dataset.task == "regression"
    assert dataset.X[2].tolist() == [2, 20]
    assert dataset.y[2] == 200.5
    assert [s.name for s in dataset.splits] == ["00", "01"]
    assert dataset.split("00").test.tolist() == [1, 4]
    assert dataset.split("01").train.tolist() == list(range(8))
    assert not dataset.local_copy
    save(data / "uci" / "mine" / "data.txt", b"1 2 3\n")
    with pytest.warns(Notice, match="was not used"):
        assert "can't download" in refused(lambda: source.load("mine", tmp_path))


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
def test_it_is_memory_mapped_and_the_second_load_reads_nothing(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
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
    for dataset in (first, second):
        assert isinstance(base(dataset.X.blob if kind == "pictures" else dataset.X), np.memmap)
        assert isinstance(base(dataset.y), np.memmap)
    assert len(entries(home)) == 1


def test_new_content_new_declaration_new_name_are_prepared_anew(tmp_path: Path, home: Path) -> None:
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
    assert len(entries(home)) == 5


def test_damaged_entry_is_noticed_and_made_again(tmp_path: Path, home: Path) -> None:
    path = write(frame(), tmp_path / "t.csv")
    expected = np.array(table(path).X)
    (stored,) = entries(home)
    content = bytearray(stored.read_bytes())
    content[content.index(expected.tobytes()) + 9] ^= 64
    stored.write_bytes(content)
    with pytest.warns(Notice) as said:
        again = table(path)
    assert np.array_equal(again.X, expected)
    assert ["does not have its fingerprint" in str(w.message) for w in said] == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(table(path).X, expected)


@pytest.mark.parametrize("limit", [60, 2000])
def test_full_disk_costs_the_cache_only(tmp_path: Path, home: Path, limit: int) -> None:
    save(tmp_path / "a.zip", zip_bytes(TREE))
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        import warnings
        from rung.home import NotKept
        from rung.sources import ImageFolder
        with warnings.catch_warnings(record=True) as said:
            d = ImageFolder(title="P", path="a.zip").load("p", {str(tmp_path)!r})
        print(len(d), d.fingerprint, *(w.category is NotKept for w in said))
    """
    done = python(code, RUNG_HOME=str(home))
    assert done.stderr == ""
    assert not [p for p in (home / "prepared").rglob("*") if p.is_file()]
    assert done.stdout.split() == ["12", photos(tmp_path / "a.zip").fingerprint, "True"]


def test_home_that_is_no_folder_costs_the_cache_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNG_HOME", str(save(tmp_path / "file", b"")))
    path = write(frame(), tmp_path / "t.csv")
    with pytest.warns(NotKept) as said:
        assert len(table(path)) == 20
    assert ["RUNG_HOME" in str(w.message) for w in said] == [True]


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


# --- A user's own copy ------------------------------------------------------------------------


def test_own_copy(data: Path, tmp_path: Path, home: Path) -> None:
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
    assert sorted(p.name for p in home.iterdir()) == ["local.json", "prepared"]


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
    save(tmp_path / "c" / "test-labels.gz", gzipped(labels))
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


CLASS = """
from dataclasses import dataclass
import numpy as np
from rung import Dataset
from rung.sources import Source

@dataclass(frozen=True, kw_only=True)
class Made(Source):
    def identity(self, files):
        return []

    def read(self, name, files):
        return Dataset.from_arrays(np.full((20, 1), VALUE), [0, 1] * 10, name=name)
"""


def test_a_source_of_the_user_s_own_is_read_anew_when_its_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for value in ("1.0", "2.0"):
        (tmp_path / f"own_{value[0]}.py").write_text(CLASS.replace("VALUE", value))
        made = importlib.import_module(f"own_{value[0]}").Made(title="Made")
        found.append(made.load("made", tmp_path).X[0, 0])
    assert found == [1.0, 2.0]


def test_declarations_of_what_is_no_plain_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,0\n2,1\n")
    table = Table(title="T", path="t.csv", target="y", licence="", options={"dtype": {"a": str}})
    assert "plain data" in refused(lambda: table.load("t", tmp_path))


def test_what_can_not_be_added_is_not_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNG_DATA", raising=False)
    archive = fetch.Archive("", "0" * 32, {"concrete/data.txt": "0" * 32})
    said = refused(lambda: fetch.fetch("concrete", archive, None, None))
    assert "rung data add" not in said
    assert "put it as concrete/data.txt into a folder that RUNG_DATA names" in said
