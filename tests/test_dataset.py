from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rung.dataset import Dataset, Pictures, Split, content_fingerprint, holdout
from rung.errors import RungError


def small(**changes: object) -> Dataset:
    arguments: dict[str, object] = {
        "X": np.arange(40.0).reshape(20, 2),
        "y": np.arange(20) % 2,
        "name": "small",
    }
    return Dataset.from_arrays(**(arguments | changes))  # type: ignore[arg-type]


@given(
    hnp.arrays(np.float64, (12, 3), elements=st.floats(-1e6, 1e6)),
    st.integers(0, 11),
    st.integers(0, 2),
)
def test_fingerprint_depends_on_every_value(X: np.ndarray, row: int, column: int) -> None:
    y = np.arange(12) % 2
    before = Dataset.from_arrays(X, y).fingerprint
    assert before == Dataset.from_arrays(X.copy(), y).fingerprint
    changed = X.copy()
    changed[row, column] += 1
    assert Dataset.from_arrays(changed, y).fingerprint != before
    swapped = y.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    assert Dataset.from_arrays(X, swapped).fingerprint != before


def test_fingerprint_depends_on_ids_and_splits_but_not_on_titles() -> None:
    data = small()
    assert small(title="Other", licence="x").fingerprint == data.fingerprint
    assert small(ids=[f"r{i}" for i in range(20)]).fingerprint != data.fingerprint
    assert small(test_size=0.5).fingerprint != data.fingerprint


def test_fingerprint_is_the_same_in_every_version() -> None:
    # Published results name it: a change of the recipe must be deliberate.
    assert small().fingerprint[:16] == "a6dcfce12b9b32f1"


@given(st.integers(8, 60), st.integers(2, 4), st.randoms(use_true_random=False))
def test_holdout_follows_ids_not_row_order(n: int, classes: int, random: object) -> None:
    ids = np.array([f"example-{i}" for i in range(n)])
    y = np.arange(n) % classes
    order = np.array(random.sample(range(n), n))  # type: ignore[attr-defined]
    one = holdout(ids, y, "classification", 0.3)
    other = holdout(ids[order], y[order], "classification", 0.3)
    assert set(ids[one.test]) == set(ids[order][other.test])
    assert not set(one.train) & set(one.test)
    assert len(one.train) + len(one.test) == n
    for part in (one.train, one.test):
        assert set(y[part]) == set(range(classes))


def test_holdout_keeps_the_share_of_each_class() -> None:
    y = np.repeat([0, 1], [150, 50])
    split = holdout(np.arange(200).astype(str), y, "classification", 60)
    assert np.bincount(y[split.test]).tolist() == [45, 15]


def test_task_is_inferred() -> None:
    assert small().task == "classification"
    assert small(y=np.linspace(0, 1, 20)).task == "regression"
    assert small(y=np.array(["a", "b"] * 10)).classes == ("a", "b")


def test_take_is_the_training_part_alone() -> None:
    data = small()
    part = data.take(data.splits[0].train)
    assert part.splits == ()
    assert np.array_equal(part.y, data.y[data.splits[0].train])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"X": np.where(np.arange(40).reshape(20, 2) == 7, np.nan, 1.0)}, "row 3, column 1"),
        ({"X": np.full((20, 2), np.inf)}, "NaN or infinite"),
        ({"X": np.full((20, 2), "a")}, "not all numbers"),
        ({"X": np.ones((19, 2))}, "19 rows"),
        ({"y": [0] * 19 + [1]}, "one example"),
        ({"y": [0] * 20}, "one class"),
        ({"y": [0.5] * 19 + [np.nan]}, "row 19"),
        ({"y": np.array(["a", "b"] * 9 + ["a", None], object)}, "label of row 19 is missing"),
        ({"y": np.array(["a", "b"] * 9 + ["a", 1], object)}, "several types, int, str"),
        ({"y": [0.5] * 19 + [1e200]}, "another unit"),
        ({"test_size": 6.0}, "between 0 and 1"),
        ({"test_size": -0.2}, "between 0 and 1"),
        ({"test_size": 20}, "1 to 19 of 20 rows"),
        ({"test_size": np.int64(0)}, "1 to 19 of 20 rows"),
        ({"ids": ["same"] * 20}, "stands for 20 rows"),
        ({"ids": ["a"]}, "1 ids for 20 rows"),
        (
            {"splits": [Split("s", np.arange(0, 20, 2), np.arange(1, 20, 2))]},
            "missing from the training part",
        ),
        ({"splits": [Split("s", np.arange(12), np.arange(10, 20))]}, "trains on rows"),
        ({"splits": [Split("s", np.arange(20), np.arange(0))]}, "empty"),
    ],
)
def test_bad_input_is_one_line_that_names_it(changes: dict[str, object], says: str) -> None:
    with pytest.raises(RungError, match=says) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)


def encoded(size: tuple[int, int], colour: str = "red", form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def test_pictures_decode_to_squares_of_one_size() -> None:
    files = [encoded((64, 48)), encoded((20, 90), "blue", "PNG")]
    decoded = Pictures.from_bytes(files).decode(16, ["a", "b"])
    assert decoded.shape == (2, 16, 16, 3)
    assert decoded[0, 8, 8, 0] > 200 > 60 > decoded[0, 8, 8, 2]
    assert decoded[1, 8, 8].tolist() == [0, 0, 255]


@pytest.mark.parametrize("at_a_time", [1, 3, 64])
def test_every_picture_is_decoded_however_many_a_thread_takes(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rung.dataset.AT_A_TIME", at_a_time)
    files = [encoded((8, 8), f"rgb({20 * i}, 0, 0)", "PNG") for i in range(11)]
    names = [f"{i}.png" for i in range(11)]
    decoded = Pictures.from_bytes(files).decode(8, names, threads=1)
    assert decoded[:, 4, 4, 0].tolist() == [20 * i for i in range(11)]
    files[4] = files[9] = b"no picture"
    broken = Pictures.from_bytes(files)
    assert list(broken.unreadable(threads=1)) == list(broken.unreadable(threads=3)) == [4, 9]
    with pytest.raises(RungError, match=r"picture 4\.png"):
        broken.decode(8, names)


def test_pictures_are_cut_to_the_centre() -> None:
    picture = Image.new("RGB", (90, 30), "black")
    picture.paste("white", (30, 0, 60, 30))
    out = io.BytesIO()
    picture.save(out, "PNG")
    assert Pictures.from_bytes([out.getvalue()]).decode(10, ["a"]).min() > 250


@pytest.mark.parametrize("broken", [b"", b"no picture", encoded((64, 64))[:-300]])
def test_broken_picture_is_named_not_dropped(broken: bytes) -> None:
    with pytest.raises(RungError, match=r"picture bad\.jpg"):
        Pictures.from_bytes([encoded((8, 8)), broken]).decode(8, ["good.jpg", "bad.jpg"])


def test_verified_notices_a_change() -> None:
    data = small()
    assert data.verified() is data
    data.X[3, 1] += 1
    assert content_fingerprint(data) != data.fingerprint
    with pytest.raises(ValueError, match="fingerprint"):
        data.verified()
