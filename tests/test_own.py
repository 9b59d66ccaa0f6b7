"""Data of a user's own: what is inferred, how it is split, what is warned of, what is refused."""

from __future__ import annotations

import dataclasses
import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from samples import folder_of, jpeg, refused, save
from test_cli import one_line

import rung as package
from rung import Dataset, splits
from rung.dataset import decode_picture
from rung.own import load

Rung = Callable[..., subprocess.CompletedProcess[str]]


def houses(n: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": rng.normal(100, 20, n).round(1),
            "rooms": rng.integers(1, 6, n),
            "town": rng.choice(["Ulm", "Bonn", "Kiel", "Jena", "Hof", "Köln"], n),
            "sold": pd.date_range("2020-01-01", periods=n).repeat(2)[:n].astype(str),
            "price": rng.normal(300, 50, n).round(2),
        }
    )


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes a frame, or lines, as a csv file."""

    def write(content: pd.DataFrame | str | bytes, name: str = "mine.csv") -> Path:
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False)
        return save(tmp_path / name, content.encode() if isinstance(content, str) else content)

    return write


def notes(dataset: Dataset) -> str:
    return "\n".join(dataset.notes)


def held_out(dataset: Dataset) -> set[str]:
    return set(dataset.ids[dataset.splits[0].test])


# --- Tables -----------------------------------------------------------------------------------


def test_table_is_the_same_in_every_form(tmp_path: Path, csv: Callable[..., Path]) -> None:
    frame = houses()
    frame.to_parquet(tmp_path / "mine.parquet")
    text = frame.to_csv(index=False)
    forms = [
        csv(frame),
        csv(gzip.compress(text.encode()), "mine.csv.gz"),
        csv(b"\xef\xbb\xbf" + text.encode(), "bom.csv"),
        csv(frame.to_csv(index=False, sep=";"), "semicolons.csv"),
        csv(frame.to_csv(), "with_index.csv"),
        tmp_path / "mine.parquet",
    ]
    found = [load(path, target="price") for path in forms]
    found.append(Dataset.from_table(frame, target="price"))
    assert len({dataset.fingerprint for dataset in found}) == 1
    first = found[0]
    assert (first.name, first.title, first.task, first.modality) == (
        *("mine", "mine.csv"),
        *("regression", "tabular"),
    )
    assert first.ids.tolist() == [str(i) for i in range(100)]
    assert "70 rows to train on, 30 to test on" in notes(first)
    assert "separated by ';'" in notes(found[3])
    assert "Left out: the unnamed first column" in notes(found[4])


@pytest.mark.parametrize(
    ("values", "task", "why"),
    [
        (["a", "b"] * 30, "classification", "2 different strings"),
        ([True, False] * 30, "classification", "2 different booleans"),
        ([1, 2, 3] * 20, "classification", "whole numbers, 3 different"),
        ([0.0, 1.0] * 30, "classification", "whole numbers, 2 different"),
        (list(range(60)), "regression", "whole numbers, 60 different"),
        ([0.5, 1.0] * 30, "regression", "numbers with fractions"),
    ],
)
def test_task_is_inferred_and_the_reason_said(values: list[Any], task: str, why: str) -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=60), "label": values})
    dataset = Dataset.from_table(frame)
    assert dataset.task == task
    assert why in notes(dataset)
    assert "Target: label (by its name)" in notes(dataset)


def test_what_is_said_goes_before_what_is_inferred() -> None:
    frame = houses()
    assert Dataset.from_table(frame, target="rooms").classes == ("1", "2", "3", "4", "5")
    assert Dataset.from_table(frame, target="rooms", task="regression").y.dtype == np.float64
    assert "Task: regression (as said)" in notes(
        Dataset.from_table(frame, target="rooms", task="regression")
    )
    message = refused(lambda: Dataset.from_table(frame, target="town", task="regression"))
    assert "needs numbers" in message


def test_labels_stay_whole_where_a_row_without_one_made_fractions_of_them() -> None:
    frame = pd.DataFrame({"a": range(9), "y": [0, 1] * 4 + [None]})
    assert "missing in 1 of 9 rows; mend them, or leave them out: --drop-missing-target" in refused(
        lambda: Dataset.from_table(frame)
    )
    dataset = Dataset.from_table(frame, drop_missing_target=True)
    assert dataset.classes == ("0", "1")
    assert "Left out: 1 row without a target." in dataset.notes


def test_dropped_rows_leave_the_numbers_of_the_others() -> None:
    frame = houses().astype({"price": object})
    frame.loc[[0, 7], "price"] = None
    dataset = Dataset.from_table(
        frame.astype({"price": float}), target="price", drop_missing_target=True
    )
    assert dataset.ids[:3].tolist() == ["1", "2", "3"]
    assert "2 rows without a target" in notes(dataset)


def test_texts() -> None:
    frame = pd.DataFrame(
        {"review": [f"this film is number {i}" for i in range(40)], "label": ["good", "bad"] * 20}
    )
    frame.loc[3, "review"] = None
    dataset = Dataset.from_table(frame)
    assert dataset.modality == "text"
    assert dataset.X[3] == ""
    assert "the only feature, review, has 5 words on average" in notes(dataset)
    assert Dataset.from_table(frame, modality="tabular").modality == "tabular"
    frame["stars"] = np.arange(40) % 5
    table = Dataset.from_table(frame)
    assert table.modality == "tabular"
    assert "--text review would learn from them" in notes(table)
    named = Dataset.from_table(frame, text="review")
    assert named.modality == "text"
    assert "Left out: column stars (not texts)" in notes(named)
    assert "holds numbers, no texts" in refused(lambda: Dataset.from_table(frame, text="stars"))


# --- Splits -----------------------------------------------------------------------------------


def test_no_group_stands_in_both_parts() -> None:
    frame = houses(300)
    frame["street"] = np.random.default_rng(1).integers(0, 60, 300)
    for target in ("price", "town"):
        dataset = Dataset.from_table(frame, target=target, group="street", splits=3)
        assert len({tuple(s.test) for s in dataset.splits}) == 3
        for split in dataset.splits:
            streets = frame["street"].to_numpy()
            assert not set(streets[split.train]) & set(streets[split.test])
            assert 0.2 < len(split.test) / 300 < 0.4
            if dataset.task == "classification":
                shares = [np.mean(dataset.y[split.test] == c) for c in range(dataset.n_classes)]
                overall = np.bincount(dataset.y) / 300
                assert np.abs(shares - overall).max() < 0.1
    assert "no value of street in both parts" in notes(dataset)
    assert "column street (the group)" in notes(dataset)
    assert "street" not in dataset.X.columns


def test_later_rows_are_tested_and_equal_times_stay_together() -> None:
    frame = houses().sample(frac=1, random_state=0)
    sold = frame["sold"].to_numpy()
    dataset = Dataset.from_table(frame, target="price", time="sold")
    (split,) = dataset.splits
    assert sold[split.train].max() < sold[split.test].min()
    assert len(split.test) == 30
    assert "the last 30 % by sold are tested, from 2020-02-05 on; 70 rows" in notes(dataset)
    several = Dataset.from_table(frame, target="price", time="sold", splits=4)
    ends = [sold[s.test].max() for s in several.splits]
    assert ends == sorted(set(ends))
    for split in several.splits:
        assert sold[split.train].max() < sold[split.test].min()
    assert len(several.splits[0].train) < len(several.splits[3].train)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=40), st.integers(2, 4) | st.none())
def test_time_never_leaks(times: list[int], windows: int | None) -> None:
    moments = np.array(times)
    if len(set(times)) <= (windows or 1):
        assert "different times" in refused(lambda: splits.by_time(moments, windows))
        return
    try:
        found = splits.by_time(moments, windows)
    except package.RungError:
        return  # ties may leave too few places to cut at
    for split in found:
        assert moments[split.train].max() < moments[split.test].min()


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2)), min_size=4, max_size=60),
    st.booleans(),
)
def test_groups_never_leak(rows: list[tuple[int, int]], classify: bool) -> None:
    groups = np.array([f"g{g}" for g, _ in rows])
    y = np.unique([c for _, c in rows], return_inverse=True)[1]
    try:
        found = splits.grouped(groups, y, "classification" if classify else "regression", 2)
    except package.RungError:
        return
    for split in found:
        assert not set(groups[split.train]) & set(groups[split.test])
        assert len(split.train)
        assert len(split.test)
        if classify:
            assert set(y[split.train]) == set(y)


def test_repeated_splits_are_stratified_and_free_of_the_order_of_rows() -> None:
    ids = np.arange(60).astype(np.str_)
    y = np.arange(60) % 3
    found = splits.repeated(ids, y, "classification", 3)
    turned = splits.repeated(ids[::-1], y[::-1], "classification", 3)
    assert [s.name for s in found] == ["00", "01", "02"]
    assert len({tuple(s.test) for s in found}) == 3
    for split, other in zip(found, turned, strict=True):
        assert np.bincount(y[split.test]).tolist() == [6, 6, 6]
        assert set(ids[split.test]) == set(ids[::-1][other.test])


def test_test_file(csv: Callable[..., Path]) -> None:
    frame = houses()
    train, test = csv(frame[:80], "train.csv"), csv(frame[80:][frame.columns[::-1]], "test.csv")
    dataset = load(train, target="price", test=test)
    assert held_out(dataset) == {f"test/{i}" for i in range(20)}
    assert dataset.y[dataset.splits[0].test].tolist() == frame["price"][80:].tolist()
    assert "80 rows to train on, 20 to test on" in notes(dataset)
    message = refused(lambda: load(train, target="price", test=csv(frame.drop(columns="rooms"))))
    assert "no column named 'rooms'" in message
    frame["price"] = "dear"
    message = refused(lambda: load(train, target="price", test=csv(frame, "words.csv")))
    assert "'price' holds numbers in" in message
    assert "strings in" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"group": "towns"}, "did you mean town?"),
        ({"group": "size", "time": "sold"}, "say one"),
        ({"time": "town"}, "neither numbers nor dates"),
        ({"time": "price"}, "is the target"),
        ({"splits": 1}, "at least two"),
        ({"group": "same"}, "no group can be held out of 1"),
        ({"time": "same"}, "different times"),
        ({"time": "sometimes"}, "50 rows have no value for --time"),
    ],
)
def test_splits_that_can_not_be_made(options: dict[str, Any], says: str) -> None:
    frame = houses().assign(same=1, sometimes=[None, 1.0] * 50)
    assert says in refused(lambda: Dataset.from_table(frame, target="price", **options))


# --- What is warned of ------------------------------------------------------------------------


def test_ids_leaks_and_constants_are_warned_of() -> None:
    frame = houses()
    frame["number"] = np.arange(100) + 5000
    frame["country"] = "DE"
    assert "Warning" not in notes(Dataset.from_table(houses(), target="price"))
    said = notes(Dataset.from_table(frame.assign(cents=frame["price"] * 100), target="price"))
    assert "column cents is the target, or its value in another unit" in said
    assert "column number is different in every row: it looks like an id" in said
    spans = pd.to_timedelta(np.arange(100), unit="h")  # different in every row, and no strings
    assert Dataset.from_table(houses().assign(spans=spans), target="price").task == "regression"
    told = [f"a house of its own with number {i}" for i in range(100)]
    assert "Warning" not in notes(Dataset.from_table(houses().assign(told=told), target="price"))
    assert "column country is the same in every row" in said
    same = notes(Dataset.from_table(frame.assign(place=frame["town"]), target="town"))
    assert "column place is the target" in same
    stands = notes(Dataset.from_table(frame.assign(code=frame["town"].str[:2]), target="town"))
    assert "column code is one-to-one with the target" in stands
    rough = frame["town"].where(frame.index > 2, "Ulm")
    assert "one-to-one" not in notes(Dataset.from_table(frame.assign(code=rough), target="town"))


def test_duplicates_across_the_parts_are_counted(tmp_path: Path) -> None:
    frame = houses()
    dataset = Dataset.from_table(frame[:60], target="price", test=frame[57:90])
    assert "3 of the 33 test rows have the same features" in notes(dataset)
    files = {f"{part}/{k}/{i}.txt": f"{k} {i}".encode() for part in ("train", "test")
             for k in "ab" for i in range(3)}  # fmt: skip
    files["test/a/0.txt"] = b"another"
    assert "5 of the 6 test rows" in notes(
        Dataset.from_text_folder(folder_of(files, tmp_path / "t"))
    )
    np.savez(tmp_path / "a.npz", X=np.ones((8, 4, 4), np.uint8), y=[0, 1] * 4)
    assert "test rows have the same features" in notes(load(tmp_path / "a.npz"))


# --- Bad tables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("a,y\n", "no rows"),
        ("a,b\n1,2\n", "which column is to be predicted? say --target COLUMN; there are: a, b"),
        ("a,b,y\n1,2,0\n1,2\n", "line 3 has 2 cells, the header has 3"),
        ('a,b,y\n"x\nx",2,0\n1,2,3,4\n', "line 4 has 4 cells"),
        ("a,b,y\n1,2,3,4\n1,2,3,4\n", "line 2 has 4 cells"),
        ("a,a,y\n1,2,3\n", "two columns are named 'a'"),
        ("a,y\ncafé,1\n".encode() + b"caf\xe9,0\n", "line 3"),
        ("a,y\n1,x\n2,x\n", "is 'x' in all rows"),
        ("a,y\n1,2.5\n2,2.5\n", "is 2.5 in all rows"),
        ("a,y\n1,\n2,\n", "missing in 2 of 2 rows; mend them"),
        ("a,y\n1,None\n2,yes\n3,NA\n", "2 of 3 rows (of 'NA', 'None', each is a gap"),
        ("a,y\n1,x\n2,x\n3,z\n", "class 'z' has one example"),
        ("y\n1\n0\n", "no column to learn from"),
        ("a,y\n1,inf\n2,1.5\n", "infinite"),
        ("a,y\ninf,0\n2,1\n3,1\n4,0\n", "is infinite in 1 rows"),
    ],
)
def test_bad_tables(csv: Callable[..., Path], content: str | bytes, says: str) -> None:
    path = csv(content)
    message = refused(lambda: load(path))
    assert says in message
    assert str(path) in message


def test_a_parquet_file_that_is_gzipped_as_a_whole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1"))
    assert "is no parquet file" in refused(lambda: load(path))


def test_words_for_a_gap_are_named_where_they_cost_rows(csv: Callable[..., Path]) -> None:
    path = csv("a,y\n" + "1,yes\n2,no\n" * 5 + "3,None\n4,\n")
    assert "2 rows without a target (also 'None')" in notes(load(path, drop_missing_target=True))


def test_targets_that_are_none() -> None:
    frame = pd.DataFrame({"a": range(4), "y": [1, "b", 1, "b"]})
    assert "values of several types" in refused(lambda: Dataset.from_table(frame))
    frame["y"] = pd.date_range("2020", periods=4)
    assert "holds dates" in refused(lambda: Dataset.from_table(frame))
    assert "did you mean price?" in refused(lambda: Dataset.from_table(houses(), target="prise"))


def test_frames_that_are_none() -> None:
    twice = pd.DataFrame([[1, 2, 3]] * 4, columns=["a", "y", "y"])
    assert "two columns are named 'y'" in refused(lambda: Dataset.from_table(twice))
    arrays: Any = np.ones((4, 2))
    assert "from_arrays" in refused(lambda: Dataset.from_table(arrays))
    assert "is no table" in refused(lambda: Dataset.from_table("a.npz"))
    named = houses().set_index("sold")
    assert "sold" not in Dataset.from_table(named, target="price").X.columns
    assert Dataset.from_table(named, target="price", time="sold").splits[0].name == "time"


def test_many_columns(csv: Callable[..., Path]) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 10_000)).astype(np.float16))
    frame["target_"] = np.arange(20) % 2
    path = csv(frame)
    assert load(path, target="target_").X.shape == (20, 10_000)
    message = refused(lambda: load(path, target="nothing"))
    assert len(message) < 500


# --- Arrays -----------------------------------------------------------------------------------


def test_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    np.savez(tmp_path / "a.npz", X=X, y=y, X_test=X[:7] + 1, y_test=y[:7, None][:, 0])
    dataset = load(tmp_path / "a.npz")
    assert (dataset.task, dataset.modality, len(dataset)) == ("regression", "tabular", 47)
    assert held_out(dataset) == {f"test/{i}" for i in range(7)}
    np.savez(tmp_path / "b.npz", X=np.zeros((60, 5, 5), np.uint8), y=np.arange(60) % 30)
    pictures = load(tmp_path / "b.npz")
    assert (pictures.modality, pictures.n_classes) == ("image", 30)
    assert load(tmp_path / "b.npz", modality="tabular").X.shape == (60, 25)
    np.savez(tmp_path / "c.npz", X=np.array(["good film", "bad film"] * 9), y=["g", "b"] * 9)
    assert load(tmp_path / "c.npz").modality == "text"
    np.savez(tmp_path / "e.npz", X=np.where(X > 2, np.nan, X), y=y)
    assert load(tmp_path / "e.npz").X.isna().any(axis=None)
    np.savez(tmp_path / "d.npz", X=X, y=np.where(np.arange(40) < 3, np.nan, y))
    assert "missing in 3 of 40 rows" in refused(lambda: load(tmp_path / "d.npz"))
    assert len(load(tmp_path / "d.npz", drop_missing_target=True)) == 37


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"X": np.ones((4, 2))}, "no array named 'y'"),
        ({"X": np.ones((4, 2)), "y": np.ones(3)}, "one target for each row"),
        ({"X": np.ones((4, 2)), "y": [0, 1, 0, 1], "X_test": np.ones((2, 2))}, "'y_test'"),
        ({"X": np.ones((4, 5, 5)), "y": [0, 1, 0, 1]}, "must be uint8"),
        ({"X": np.ones((4, 2)), "y": [1, 1, 1, 1]}, "in all rows"),
        ({"X": np.array([{}, {}], object), "y": [0, 1]}, "can't be read"),
        (
            {"X": np.ones((4, 2)), "y": [0, 1, 0, 1], "X_test": np.ones((1, 2)), "y_test": ["a"]},
            "write them alike",
        ),
        ({"X": np.empty((0, 5)), "y": np.empty(0)}, "X has the shape (0, 5)"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    message = refused(lambda: load(tmp_path / "a.npz"))
    assert says in message
    assert str(tmp_path / "a.npz") in message
    save(tmp_path / "cut.npz", (tmp_path / "a.npz").read_bytes()[:-40])
    assert "can't be read" in refused(lambda: load(tmp_path / "cut.npz"))


# --- Folders ----------------------------------------------------------------------------------


def test_folder_of_pictures_of_all_sizes_and_modes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in "ab":
        folder = tmp_path / "photos" / kind
        folder.mkdir(parents=True)
        colours = rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
            picture = Image.fromarray(colours).convert("RGBA" if mode == "LA" else "RGB")
            picture.convert(mode).save(folder / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
        deep = rng.integers(0, 2**16, (20, 11), dtype=np.uint16)
        Image.fromarray(deep).save(folder / "deep.png")
        frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
        frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
        save(folder / "Thumbs.db", b"x")
    dataset = Dataset.from_image_folder(tmp_path / "photos")
    assert (len(dataset), dataset.classes) == (18, ("a", "b"))
    assert dataset.X.decode(8, dataset.ids).shape == (18, 8, 8, 3)
    assert "a/deep.png" in dataset.ids
    assert "Left out: 2 files of another kind (.db)" in notes(dataset)
    moving = dataset.X.decode(8, dataset.ids)[dataset.ids.tolist().index("a/moving.gif")]
    assert moving[4, 4].tolist() == [254, 0, 0] or moving[4, 4].tolist() == [255, 0, 0]


def test_modes_keep_their_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 2**15, np.uint16)).save(tmp_path / "deep.png")
    assert np.unique(decode_picture((tmp_path / "deep.png").read_bytes(), 4)).tolist() == [128]
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert np.unique(decode_picture((tmp_path / "clear.png").read_bytes(), 4)).tolist() == [255]


@pytest.mark.parametrize("tests", ["test", "val", "valid"])
@pytest.mark.parametrize("what", ["pictures", "texts"])
def test_folders_with_parts(tmp_path: Path, tests: str, what: str) -> None:
    files = {
        f"deep/{part}/{kind}/{i}.{'jpg' if what == 'pictures' else 'txt'}": (
            jpeg(20 * i) if what == "pictures" else f"{part} {kind} {i}".encode()
        )
        for part in ("train", tests)
        for kind in "ab"
        for i in range(3)
    }
    dataset = load(folder_of(files, tmp_path / "f"))
    assert dataset.modality == ("image" if what == "pictures" else "text")
    assert {i.split("/")[0] for i in held_out(dataset)} == {tests}
    assert "the parts that are given; 6 rows to train on, 6 to test on" in notes(dataset)
    assert "leave out --splits" in refused(lambda: load(tmp_path / "f", splits=3))


def test_folder_of_texts_without_parts_or_suffixes(tmp_path: Path) -> None:
    files = {f"{kind}/{i}": f"{kind} {i}".encode() for kind in ("rec", "sci") for i in range(10)}
    dataset = Dataset.from_text_folder(folder_of(files, tmp_path / "f"), splits=3)
    assert dataset.ids[0] == "rec/0"
    assert [len(s.test) for s in dataset.splits] == [6, 6, 6]
    assert "3 splits: 30 % held out" in notes(dataset)


@pytest.mark.parametrize(
    ("files", "options", "says"),
    [
        ({"a/1.png": b"junk", "b/1.png": b"junk"}, {}, "a/1.png"),
        ({"a/1.jpg": jpeg(1)[:300], "b/1.jpg": jpeg(2)}, {}, "a/1.jpg (300 bytes)"),
        ({"a/1.txt": b"x", "b/1.txt": b"\xe9"}, {}, "b/1.txt is not in utf-8"),
        ({"a/1.txt": b"x", "a/2.txt": b"y"}, {}, "one class"),
        ({"a/1.txt": b"x", "a/2.txt": b"y", "b/1.txt": b"z"}, {}, "class 'b' has one example"),
        ({"1.jpg": jpeg(1), "2.jpg": jpeg(2)}, {}, "no folder for each class"),
        ({"a/1.txt": b"x", "b/1.txt": b"y"}, {"modality": "image"}, "no pictures"),
        ({"a/1.txt": b"x", "b/1.txt": b"y"}, {"target": "y"}, "--target means nothing"),
        ({"a/1.txt": b"x", "b/1.txt": b"y"}, {"task": "regression"}, "no table of numbers"),
    ],
)
def test_bad_folders(
    tmp_path: Path, files: dict[str, bytes], options: dict[str, Any], says: str
) -> None:
    folder = folder_of(files, tmp_path / "f")
    assert says in refused(lambda: load(folder, **options))


# --- The board and the command ----------------------------------------------------------------


def test_board_in_python_says_what_was_inferred() -> None:
    dataset = Dataset.from_table(houses(), target="price", splits=2)
    board = package.run(dataset, ["prior"], progress="none")
    assert board.n_splits == 2
    assert board.notes == list(dataset.notes)
    lines = str(board).splitlines()
    assert lines[1 : 1 + len(board.notes)] == board.notes
    assert f"- {board.notes[0]}\n" in board.to_markdown()
    assert f"<p>{board.notes[0]}</p>" in board._repr_html_()
    assert board.as_dict()["notes"] == board.notes
    other = dataclasses.replace(dataset, notes=("Seen anew.",))
    again = package.run(other, ["prior"], progress="none")
    assert again.notes == ["Seen anew."]
    assert again.rows == board.rows  # to the second that it took: it is the same trial


def test_command(rung: Rung, csv: Callable[..., Path]) -> None:
    path = csv(houses(), "house.csv")
    call = ["run", path, "--target", "price", "--baselines", "prior", "--format", "json"]
    first = rung(*call)
    assert first.returncode == 0, first.stderr
    board = json.loads(first.stdout)
    assert (board["dataset"], board["title"], board["n_test"]) == ("house", "house.csv", 30)
    assert (
        board["notes"][0] == "Target: price (as said). Task: regression (numbers with fractions)."
    )
    again = rung(*call)
    assert json.loads(again.stdout) == board
    assert "1/1 house prior" in first.stderr
    assert again.stderr == ""  # nothing was left to do
    csv(houses().assign(size=1.5), "house.csv")
    changed = rung(*call)
    assert json.loads(changed.stdout)["fingerprint"] != board["fingerprint"]
    assert "1/1 house prior" in changed.stderr


def test_command_refuses_in_one_line(rung: Rung, csv: Callable[..., Path]) -> None:
    path = csv(houses(), "house.csv")
    one_line(rung("run", path, "--target", "prise"), "did you mean price?")
    one_line(rung("run", path.with_name("hous.csv")), "no file or folder", "house.csv")
    one_line(rung("run", csv("a,y\n1,2\n3\n")), "line 3")
    one_line(rung("run", "digits", "--target", "y"), "--target", "data of your own")
    one_line(rung("run", "digit"), "did you mean digits")
