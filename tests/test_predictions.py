"""Predictions of a user's own, as files, frames and arrays, good and bad."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import refused, save

from rung.metrics import Predictions
from rung.predictions import HeldOut, aligned

IDS = np.array(["7", "07", "cat/1.jpg", "a b", "12"])
KINDS = HeldOut("kinds", "classification", ("cat", "dog", "3"), IDS, np.array([0, 1, 2, 0, 1]))
SIZES = HeldOut("sizes", "regression", (), IDS, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
LABELS = ["cat", "dog", "3", "cat", "dog"]
PROBA = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.2, 0.2, 0.6], [0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
ORDER = np.array([3, 0, 4, 1, 2])


def labels() -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, "prediction": LABELS})


def numbers() -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, "prediction": [1.5, 2.0, 2.5, 4.0, -1.0]})


def probabilities() -> pd.DataFrame:
    return pd.DataFrame(PROBA, columns=list(KINDS.classes)).assign(id=IDS)


def same(a: Predictions, b: Predictions) -> None:
    np.testing.assert_array_equal(a.label, b.label)
    for left, right in ((a.proba, b.proba), (a.std, b.std)):
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            np.testing.assert_array_equal(left, right)


def csv(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def parquet(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path)
    return path


def npz(frame: pd.DataFrame, path: Path) -> Path:
    arrays = {c: frame[c].to_numpy() for c in frame}
    np.savez(path, **{c: a.astype(str) if a.dtype == object else a for c, a in arrays.items()})
    return path


WRITERS = {".csv": csv, ".parquet": parquet, ".npz": npz}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(
    ("frame", "test"), [(labels, KINDS), (probabilities, KINDS), (numbers, SIZES)]
)
def test_files_and_frames_in_any_order_of_rows_say_the_same(
    tmp_path: Path, suffix: str, frame: Callable[[], pd.DataFrame], test: HeldOut
) -> None:
    whole = aligned(frame(), test)
    assert whole.label.shape == (1, 5)
    shuffled = frame().iloc[ORDER].reset_index(drop=True)
    same(aligned(WRITERS[suffix](shuffled, tmp_path / f"p{suffix}"), test), whole)


def test_values_are_those_that_were_given() -> None:
    assert aligned(labels(), KINDS).label.tolist() == [[0, 1, 2, 0, 1]]
    assert aligned(numbers(), SIZES).label.tolist() == [[1.5, 2.0, 2.5, 4.0, -1.0]]
    given = aligned(probabilities(), KINDS)
    assert given.label.tolist() == [[0, 1, 2, 0, 1]]
    assert given.proba is not None
    np.testing.assert_allclose(given.proba[0], PROBA, rtol=1e-6)
    assert given.target is KINDS.target


def test_a_label_beside_probabilities_is_taken_as_it_is() -> None:
    given = aligned(probabilities().assign(prediction="3"), KINDS)
    assert given.label.tolist() == [[2] * 5]
    assert given.proba is not None


@pytest.mark.parametrize("three", ["3", "3.0", 3, 3.0, np.int8(3), b"3"])
def test_a_number_means_the_class_of_that_name(three: object) -> None:
    given = aligned(labels().assign(prediction=pd.Series([three] * 5, dtype=object)), KINDS)
    assert given.label.tolist() == [[2] * 5]


def test_ids_that_are_numbers_are_found() -> None:
    test = HeldOut("t", "regression", (), np.array(["8", "9", "30"]), np.zeros(3))
    for ids in ([30, 8, 9], [30.0, 8.0, 9.0], [b"30", b"8", b"9"]):
        frame = pd.DataFrame({"id": ids, "prediction": [1, 2, 3]})
        assert aligned(frame, test).label.tolist() == [[2, 3, 1]]


def test_arrays_are_in_the_order_of_the_test_part() -> None:
    same(aligned(np.array(LABELS), KINDS), aligned(labels(), KINDS))
    same(aligned(LABELS, KINDS), aligned(labels(), KINDS))
    same(aligned(PROBA, KINDS), aligned(probabilities(), KINDS))
    assert aligned([LABELS] * 4, KINDS).label.shape == (4, 5)
    several = aligned(np.stack([PROBA, PROBA[::-1]]), KINDS)
    assert several.label.shape == (2, 5)
    assert several.proba is not None
    assert several.proba.shape == (2, 5, 3)
    assert aligned(np.ones((3, 5)), SIZES).label.shape == (3, 5)


def test_ids_may_be_the_index() -> None:
    same(aligned(labels().set_index("id").iloc[ORDER], KINDS), aligned(labels(), KINDS))
    series = labels().set_index("id")["prediction"].iloc[ORDER]
    same(aligned(series, KINDS), aligned(labels(), KINDS))


def test_spreadsheets_write_a_mark_in_front_and_other_line_ends(tmp_path: Path) -> None:
    text = "id, prediction\r\n" + "".join(
        f'"{i}", {label}\r\n\r\n' for i, label in zip(IDS, LABELS, strict=True)
    )
    path = save(tmp_path / "p.CSV", b"\xef\xbb\xbf" + text.encode())
    same(aligned(path, KINDS), aligned(labels(), KINDS))


@pytest.mark.parametrize("suffix", WRITERS)
def test_seeds_as_a_column_as_columns_and_as_files_are_the_same(
    tmp_path: Path, suffix: str
) -> None:
    write = WRITERS[suffix]
    said = [np.array([1.0, 2, 3, 4, 5]) * (s + 1) for s in range(11)]
    stds = [np.full(5, 1.0 + s) for s in range(11)]
    files = [
        write(
            pd.DataFrame({"id": IDS, "prediction": p, "std": d}).iloc[ORDER],
            tmp_path / f"{s}{suffix}",
        )
        for s, (p, d) in enumerate(zip(said, stds, strict=True))
    ]
    by_files = aligned(files, SIZES)
    assert by_files.label.tolist() == [p.tolist() for p in said]
    assert by_files.std is not None
    assert by_files.std[10].tolist() == [11.0] * 5
    long = pd.DataFrame(
        {
            "id": np.tile(IDS, 11),
            "seed": np.repeat(np.arange(11), 5),
            "prediction": np.concatenate(said),
            "std": np.concatenate(stds),
        }
    ).sample(frac=1, random_state=0)
    same(aligned(write(long, tmp_path / f"long{suffix}"), SIZES), by_files)
    wide = pd.DataFrame(
        {"id": IDS}
        | {f"prediction_{s}": p for s, p in enumerate(said)}
        | {f"std_{s}": d for s, d in enumerate(stds)}
    )
    same(aligned(write(wide, tmp_path / f"wide{suffix}"), SIZES), by_files)


def test_the_array_proba_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    np.savez(path, id=IDS[ORDER], proba=PROBA[ORDER])
    same(aligned(path, KINDS), aligned(PROBA, KINDS))
    two = np.stack([PROBA, PROBA[::-1]])
    np.savez(path, id=IDS[ORDER], proba=two[:, ORDER])
    same(aligned(path, KINDS), aligned(two, KINDS))


def test_probabilities_are_renormalised() -> None:
    nearly = PROBA * 1.0009
    nearly[1] = [0, 1.0000001, -1e-7]
    given = aligned(nearly, KINDS).proba
    assert given is not None
    np.testing.assert_allclose(given.sum(axis=2), 1, rtol=1e-6)
    assert given.min() >= 0


@settings(max_examples=30)
@given(st.permutations(range(5)), st.integers(1, 3), st.randoms(use_true_random=False))
def test_any_order_of_a_long_table_is_the_same(order: list[int], n: int, random: Any) -> None:
    rows = [(i, s, random.random()) for s in range(n) for i in order]
    frame = pd.DataFrame(
        {
            "id": [IDS[i] for i, _, _ in rows],
            "seed": [s for _, s, _ in rows],
            "prediction": [v for _, _, v in rows],
        }
    )
    found = aligned(frame.sample(frac=1, random_state=random.randrange(99)), SIZES).label
    for i, s, value in rows:
        assert found[s, i] == value


HEAD = "id,prediction\n"
GOOD = [f"{i},{label}" for i, label in zip(IDS, LABELS, strict=True)]
PROBA_HEAD = "id,cat,dog,3\n"


def text(rows: list[str], head: str = HEAD, **changed: str) -> str:
    """The lines of a CSV file; line5="..." replaces a line of it."""
    lines = [head.rstrip("\n"), *rows]
    for name, line in changed.items():
        lines[int(name.removeprefix("line")) - 1] = line
    return "\n".join(lines) + "\n"


def proba_text(**changed: str) -> str:
    rows = [f"{i},{a},{b},{c}" for i, (a, b, c) in zip(IDS, PROBA, strict=True)]
    return text(rows, PROBA_HEAD, **changed)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ["p.csv is empty"]),
        (HEAD, ["no rows"]),
        ("\xff\xfe", ["UTF-8"]),
        (text(GOOD, line4="cat/1.jpg"), ["line 4", "2 cells", "1"]),
        (text(GOOD, line4="cat/1.jpg,3,4"), ["line 4", "2 cells", "3"]),
        (text(GOOD, line4='cat/1.jpg,"3" x'), ["line 4"]),
        (text(GOOD, "id,id\n"), ["line 1", "two columns", "'id'"]),
        (text([g.replace(",", ";") for g in GOOD], "id;prediction\n"), ["line 1", "commas"]),
        (text(GOOD, "ids,prediction\n"), ["no column named 'id'", "did you mean ids?"]),
        (text(GOOD, "id,predicted\n"), ["did you mean predicted?", "'cat', 'dog', '3'"]),
        (text(GOOD, "id,prediction_std\n"), ["'prediction_std'", "prediction_1"]),
        (text(GOOD[:3]), ["2 of the 5 test ids", "are missing", "'a b', '12'", "board.ids"]),
        (text(GOOD, line3="7.5,dog"), ["1 id is not in the test part of kinds", "'7.5' (line 3)"]),
        (text([*GOOD, "x,cat", "y,cat"]), ["2 ids are not", "'x' (line 7), 'y' (line 8)"]),
        (text([*GOOD, "a b,cat"]), ["'a b' stands twice", "line 5 and line 7", "seed"]),
        (text(GOOD, line5="a b,cta"), ["line 5 (id a b)", "did you mean cat?"]),
        (text(GOOD, line5="a b,0.73"), ["line 5 (id a b)", "class of kinds named '0.73'"]),
        (text(GOOD, line5="a b,nan"), ["line 5 (id a b)", "'nan'"]),
        (text(GOOD, line5="a b,"), ["line 5 (id a b)", "no label"]),
        (proba_text(line3="07,0,nan,1"), ["line 3 (id 07)", "'dog'", "finite"]),
        (proba_text(line3="07,0,,1"), ["line 3 (id 07)", "'dog'", "is empty"]),
        (proba_text(line3="07,0,high,1"), ["line 3 (id 07)", "'high' is no number"]),
        (proba_text(line3="07,70,20,10"), ["line 3 (id 07)", "70 is no probability"]),
        (proba_text(line3="07,-0.5,1,0.5"), ["line 3 (id 07)", "-0.5 is no probability"]),
        (proba_text(line3="07,0.5,0.2,0.2"), ["line 3 (id 07)", "sum to 0.9"]),
        (text([f"{i},0.5,0.5" for i in IDS], "id,cat,dog\n"), ["1 of the 3 classes", "'3'"]),
        (
            text([f"{g},cat,1,0,0" for g in GOOD], "id,prediction,prediction_1,cat,dog,3\n"),
            ["several seeds", "column `seed`"],
        ),
        (text([f"{g},1" for g in GOOD], HEAD.strip() + ",seed", line4="12,cat,"), ["line 4", "no seed"]),
        (
            text([f"{g},1" for g in GOOD] + [f"{g},2" for g in GOOD[1:]], HEAD.strip() + ",seed"),
            ["of seed 2 is missing: '7'"],
        ),
        (
            text([f"{g},1" for g in [*GOOD, GOOD[0]]], HEAD.strip() + ",seed"),
            ["'7' of seed 1 stands twice", "line 2 and line 7"],
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line_that_says_where(
    tmp_path: Path, content: str, says: list[str]
) -> None:
    path = save(tmp_path / "p.csv", content.encode("latin-1"))
    message = refused(lambda: aligned(path, KINDS))
    for word in [str(path), *says]:
        assert word in message, message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prediction": "cat"}, ["row 0 (id 7)", "'cat' is no number"]),
        ({"prediction": [1, 2, np.inf, 4, 5]}, ["row 2 (id cat/1.jpg)", "finite"]),
        ({"prediction": [1, 2, None, 4, 5]}, ["row 2 (id cat/1.jpg)", "finite"]),
        ({"std": [1, 1, 0, 1, 1]}, ["row 2 (id cat/1.jpg)", "'std'", "positive"]),
        ({"std": 1.0, "prediction_1": 2.0}, ["2 prediction and 1 std columns", "std_1"]),
    ],
)
def test_bad_numbers_are_named(changes: dict[str, Any], says: list[str]) -> None:
    message = refused(lambda: aligned(numbers().assign(**changes), SIZES))
    for word in says:
        assert word in message, message


def test_a_task_is_not_the_other() -> None:
    assert "sizes is a regression" in refused(lambda: aligned(probabilities(), SIZES))
    frame = numbers().rename(columns={"prediction": "value"})
    assert "kinds is a classification" in refused(lambda: aligned(frame, KINDS))
    assert "no class of kinds" in refused(lambda: aligned(numbers(), KINDS))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p.pkl", b"", "are read from .csv, .parquet, .npz"),
        ("p.npy", b"", "are read from .csv, .parquet, .npz"),
        ("p", b"", "are read from"),
        ("p.parquet", b"no parquet", "is no Parquet file"),
        ("p.npz", b"no npz", "is no NPZ file"),
        ("p.npz", b"", "is no NPZ file"),
        ("p.npz", b"PK\x03\x04 broken", "is no NPZ file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = save(tmp_path / name, content)
    assert says in refused(lambda: aligned(path, KINDS))


def test_an_array_alone_is_no_npz(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.arange(5))
    path = save(tmp_path / "p.npz", out.getvalue())
    assert "is no NPZ file" in refused(lambda: aligned(path, KINDS))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    assert "no such file" in refused(lambda: aligned(path, KINDS))
    path.mkdir()
    assert "can't be read" in refused(lambda: aligned(path, KINDS))


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    path = tmp_path / "p.npz"
    np.savez(path, id=IDS, prediction=np.array([Trap(sprung)] * 5, dtype=object))
    assert "never loaded" in refused(lambda: aligned(path, KINDS))
    assert not sprung.exists()
    np.load(path, allow_pickle=True)["prediction"]
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"prediction": np.arange(3)}, "'prediction' has the shape (3,)"),
        ({"prediction": np.zeros((2, 5))}, "'prediction' has the shape (2, 5)"),
        ({"proba": np.ones((5, 2)) / 2}, "(5, 3) or (seeds, 5, 3)"),
        ({"proba": np.ones((4, 3)) / 3}, "'proba' has the shape (4, 3)"),
        ({"proba": np.full((2, 5, 3), 0.3)}, "seed 0, row 0 (id 7): the probabilities sum to 0.9"),
        ({"proba": np.ones((0, 5, 3))}, "'proba' has the shape (0, 5, 3)"),
        ({"seed": np.array(1)}, "'seed' has the shape ()"),
        ({}, "no column named 'prediction'"),
    ],
)
def test_wrong_shapes_of_an_npz(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "p.npz", id=IDS, **arrays)
    assert says in refused(lambda: aligned(tmp_path / "p.npz", KINDS))


@pytest.mark.parametrize("shape", [(4,), (5, 2), (2, 5, 2), (0, 5), (0, 5, 3), ()])
def test_wrong_shapes_of_arrays(shape: tuple[int, ...]) -> None:
    message = refused(lambda: aligned(np.zeros(shape), KINDS))
    assert str(shape) in message
    assert "(5, 3)" in message


def test_what_can_not_be_together(tmp_path: Path) -> None:
    path = csv(labels(), tmp_path / "p.csv")
    assert "given twice" in refused(lambda: aligned([path, str(path)], KINDS))
    message = refused(lambda: aligned([path, probabilities()], KINDS))
    assert "data frame 1 has probabilities" in message
    assert "p.csv has none" in message
    assert "there are no predictions" in refused(lambda: aligned([], KINDS))
    assert "no array" in refused(lambda: aligned([[1, 2], [1]], KINDS))
