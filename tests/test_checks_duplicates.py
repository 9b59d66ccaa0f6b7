"""Checks of duplicates: faults that are planted, healthy data, and the searches beneath them."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from rung import suite
from rung.checks import check_data
from rung.checks.base import Result
from rung.checks.data import duplicates
from rung.checks.data.subject import Data
from rung.checks.near import pictures, tables, texts
from rung.dataset import Dataset, Pictures, Split
from rung.describe import as_frame
from rung.fetch import candidates

CODES = ("RC101", "RC102", "RC103", "RC104", "RC105")


def extended(dataset: Dataset, X: list[Any], y: NDArray[Any]) -> Dataset:
    """With further examples, all in the training part."""
    old = dataset.X
    if isinstance(old, Pictures):
        features: Any = Pictures.from_bytes([*(old[i] for i in range(len(old))), *X])
    elif isinstance(old, pd.DataFrame):
        features = pd.concat([old, *X], ignore_index=True)
    else:
        features = np.concatenate([old, np.array(X, dtype=old.dtype)])
    split = dataset.splits[0]
    new = np.arange(len(dataset), len(dataset) + len(y))
    return Dataset.from_arrays(
        features,
        np.concatenate([dataset.y, y]),
        task=dataset.task,
        modality=dataset.modality,
        classes=dataset.classes or None,
        splits=[Split("planted", np.concatenate([split.train, new]), split.test)],
    )


def some(dataset: Dataset, part: str, n: int) -> NDArray[np.int64]:
    rows = getattr(dataset.splits[0], part)
    return np.random.default_rng(1).choice(rows, n, replace=False)


def planted(
    base: Callable[[], Dataset],
    part: str,
    n: int,
    change: Callable[[Any], Any] = lambda x: x,
    label: Callable[[Dataset, NDArray[Any]], NDArray[Any]] = lambda dataset, y: y,
) -> Dataset:
    """Copies of n examples of the part, changed, are put into the training part."""
    dataset = base()
    rows = some(dataset, part, n)
    copies = [change(dataset.X[int(i)]) for i in rows]
    return extended(dataset, copies, label(dataset, dataset.y[rows]))


def other_class(dataset: Dataset, y: NDArray[Any]) -> NDArray[Any]:
    return (y + 1) % dataset.n_classes


def moved(dataset: Dataset, y: NDArray[Any]) -> NDArray[Any]:
    return y + 1.5 * dataset.y.std()


def digits() -> Dataset:
    return suite.load("digits")


def table() -> Dataset:
    return suite.load("breast_cancer")


def measured() -> Dataset:
    return suite.load("diabetes")


def part_of(dataset: Dataset, keep: NDArray[np.int64]) -> Dataset:
    """These rows, each in its part."""
    in_test = np.isin(keep, dataset.splits[0].test)
    split = Split("part", np.flatnonzero(~in_test), np.flatnonzero(in_test))
    return dataclasses.replace(dataset.take(keep), splits=(split,), fingerprint="")


def photos() -> Dataset:
    """600 photographs, 400 of them to train on."""
    return part_of(
        suite.load("imagenette_mini"), np.r_[0:1000:5, 1:1000:5, 1000:1500:5, 1001:1500:5]
    )


def messages() -> Dataset:
    """Text messages without those that are (nearly) the same as another one."""
    dataset = suite.load("sms_spam")
    words = [" ".join(texts.words(text)) for text in dataset.X]
    keep = np.flatnonzero(~pd.Series(words).duplicated(keep=False))
    keep = keep[:2500]
    for _ in range(2):  # what is left has other weights
        keep = np.delete(keep, texts.pairs(dataset.X[keep].tolist()).rows.ravel())
    return part_of(dataset, keep)


def messages_of_length() -> Dataset:
    dataset = messages()
    return part_of(dataset, np.flatnonzero([len(texts.words(t)) >= 12 for t in dataset.X]))


def photo(change: Callable[[Image.Image], Image.Image], **saved: Any) -> Callable[[bytes], bytes]:
    def changed(encoded: bytes) -> bytes:
        out = io.BytesIO()
        with Image.open(io.BytesIO(encoded)) as picture:
            change(picture.convert("RGB")).save(out, **saved)
        return out.getvalue()

    return changed


def shouted(text: str) -> str:
    return re.sub(r"[.,!?]", " ", text).upper() + " !!!"


def one_word_changed(text: str) -> str:
    words = text.split()
    words[len(words) // 2] = "perhaps"
    return " ".join(words)


def rounded(row: NDArray[Any]) -> NDArray[Any]:
    return np.array([float(f"{v:.3g}") for v in row])


def jittered(row: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(row * (1 + 0.002 * np.random.default_rng(len(row)).normal(size=len(row))))


PNG: dict[str, Any] = {"format": "PNG"}
# name → (the code of the check that is meant for it, what makes the broken data set)
FAULTS: dict[str, tuple[str, partial[Dataset]]] = {
    "pictures: files across": ("RC101", partial(planted, photos, "test", 20)),
    "pictures: the same pixels, stored anew": (
        "RC101",
        partial(planted, photos, "test", 20, photo(lambda p: p, **PNG)),
    ),
    "pictures: inside": ("RC102", partial(planted, digits, "train", 30)),
    "pictures: another label": ("RC103", partial(planted, photos, "train", 15, label=other_class)),
    "pictures: compressed again": (
        "RC104",
        partial(planted, photos, "test", 20, photo(lambda p: p, format="JPEG", quality=40)),
    ),
    "pictures: resized": (
        "RC104",
        partial(planted, photos, "test", 20, photo(lambda p: p.resize((43, 43)), **PNG)),
    ),
    "pictures: mirrored": (
        "RC104",
        partial(
            planted,
            photos,
            "test",
            20,
            photo(lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT), **PNG),
        ),
    ),
    "pictures: brightened": (
        "RC104",
        partial(
            planted,
            photos,
            "test",
            20,
            photo(lambda p: p.point(lambda v: min(255, 1.3 * v + 10)), **PNG),
        ),
    ),
    "pictures: cropped, inside": (
        "RC105",
        partial(planted, photos, "train", 20, photo(lambda p: p.crop((0, 4, 60, 64)), **PNG)),
    ),
    "texts: across": ("RC101", partial(planted, messages, "test", 40)),
    "texts: case and punctuation": ("RC101", partial(planted, messages, "test", 40, shouted)),
    "texts: inside": ("RC102", partial(planted, messages, "train", 60)),
    "texts: another label": ("RC103", partial(planted, messages, "train", 25, label=other_class)),
    "texts: a word changed": (
        "RC104",
        partial(planted, messages_of_length, "test", 30, one_word_changed),
    ),
    "texts: a word changed, inside": (
        "RC105",
        partial(planted, messages_of_length, "train", 30, one_word_changed),
    ),
    "tables: across": ("RC101", partial(planted, table, "test", 15)),
    "tables: inside": ("RC102", partial(planted, table, "train", 20)),
    "tables: another label": ("RC103", partial(planted, table, "train", 10, label=other_class)),
    "tables: another target": ("RC103", partial(planted, measured, "train", 10, label=moved)),
    "tables: rounded": ("RC104", partial(planted, table, "test", 15, rounded)),
    "tables: jittered": ("RC105", partial(planted, table, "train", 15, jittered)),
}
COUNTED = {
    "RC101": "test_examples",
    "RC102": "training_copies",
    "RC103": "groups",
    "RC104": "test_examples",
    "RC105": "near_pairs",
}


def checked(dataset: Dataset, code: str) -> Result:
    return check_data(dataset, only=[code])[code]


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_and_counted(name: str) -> None:
    code, make = FAULTS[name]
    n: int = make.args[2]
    result = checked(make(), code)
    assert result.status == "found"
    assert result.finding is not None
    assert 0.9 * n <= result.finding.values[COUNTED[code]] <= n
    assert len(result.finding.examples) >= min(5, n // 2)
    parts = {tuple(s.group for s in shown.samples) for shown in result.finding.examples}
    if code in ("RC101", "RC104"):
        assert parts == {("test", "train")}
        assert result.severity == "error"  # more than a random split would part
    else:
        assert parts == {("train", "train")}
        assert result.severity == "warning"


@pytest.mark.parametrize("make", [digits, table, measured, photos, messages])
@pytest.mark.parametrize("code", CODES)
def test_healthy_data_are_left_alone(make: Callable[[], Dataset], code: str) -> None:
    result = checked(make(), code)
    assert (result.status, result.reason) == ("passed", "")


def test_copies_that_a_random_split_parted_are_no_error() -> None:
    """Real messages: a tenth of the test part stands in the training part too."""
    result = checked(suite.load("sms_spam"), "RC101")
    assert result.severity == "warning"
    assert result.finding is not None
    assert result.finding.values["test_examples"] == 172
    assert 0.01 < result.finding.values["chance_of_a_random_split"] < 0.99


def needs(file: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        next(candidates(file), None) is None,
        reason=f"needs {file} in a folder that RUNG_DATA names",
    )


@pytest.mark.local_data
@needs("trec/test.jsonl")
def test_questions_that_are_published_in_both_parts_are_found() -> None:
    dataset = suite.load("trec")
    result = checked(dataset, "RC101")
    assert result.alarms
    assert result.finding is not None
    split = dataset.splits[0]
    known = {text.lower().strip('"') for text in dataset.X[split.train]}
    twins = {str(dataset.ids[i]) for i in split.test if dataset.X[i].lower().strip('"') in known}
    assert len(twins) == 11
    assert {test for test, _ in result.finding.values["pairs"]} == twins


def test_rows_of_few_values_coincide_and_are_no_alarm() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({c: rng.choice(list("abc"), 400) for c in "pqrstu"})
    dataset = Dataset.from_arrays(frame, rng.integers(0, 2, 400))
    for code in ("RC101", "RC102", "RC103"):
        result = checked(dataset, code)
        assert (result.status, result.severity) == ("found", "info")
    assert "no column holds numbers" in checked(dataset, "RC104").reason


def test_least_error_is_that_of_the_most_frequent_labels() -> None:
    X = np.repeat(np.arange(100.0), 3)[:, None]
    y = np.tile([0, 0, 1], 100)  # one of three is always wrong
    result = checked(Dataset.from_arrays(X, y), "RC103")
    assert result.finding is not None
    assert result.finding.values["least_error_rate"] == pytest.approx(1 / 3)
    targets = np.tile([0.0, 10.5, 21.0], 100)
    finding = checked(Dataset.from_arrays(X, targets, task="regression"), "RC103").finding
    assert finding is not None
    assert finding.values["least_rmse"] == pytest.approx(np.sqrt(2 / 3) * 10.5)


def test_expected_of_a_random_split_is_what_random_splits_give() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3000), np.append(rng.integers(2, 5, 200), np.ones(2800, int)))
    results = [duplicates.parted(groups, rng.random(len(groups)) < 0.3) for _ in range(1000)]
    found, expected, chance = np.array(results).T
    assert found.mean() == pytest.approx(expected.mean(), rel=0.01)
    assert np.quantile(chance, 0.1) == pytest.approx(0.1, abs=0.03)


def test_one_pair_across_a_small_test_part_may_be_chance() -> None:
    groups = np.append(np.arange(999), 0)  # two rows of a thousand are the same
    found, expected, chance = duplicates.parted(groups, np.arange(1000) >= 990)
    assert (found, expected) == (1, pytest.approx(2 * 0.01 * 0.99))
    assert chance == pytest.approx(2 * 0.01 * 0.99)


def test_pictures_with_nothing_on_them_are_not_alike() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (60, 16, 16, 3)).astype(np.uint8)
    X[:20] = np.arange(20, dtype=np.uint8)[:, None, None, None]
    assert len(pictures.pairs(X)) == 0


# --- The searches against brute force ---------------------------------------------------------


def as_set(rows: NDArray[np.int64]) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in rows}


def test_text_search_finds_what_brute_force_finds() -> None:
    found: list[str] = suite.load("sms_spam").X[:1000].tolist()
    bag = texts.Bag.of(found)
    weights = bag.weights.toarray()
    a, b = np.triu_indices(len(found), 1)
    shared = ((weights > 0) * weights.max(axis=0)) @ (weights > 0).T
    similar = shared[a, b] / np.maximum(bag.total[a] + bag.total[b] - shared[a, b], 1e-9)
    wanted = similar >= texts.SHARED
    assert wanted.sum() > 40
    assert as_set(texts.pairs(found).rows) == as_set(np.stack([a, b], axis=1)[wanted])


def test_picture_search_finds_what_brute_force_finds() -> None:
    dataset = FAULTS["pictures: brightened"][1]()
    pixels = Data(dataset).pixels
    look = pictures.Look(pixels)
    a, b = np.triu_indices(len(pixels), 1)
    near = pictures.apart(look.directions[a], look.directions[b])
    near = near <= pictures.NEAR * look.scale(a, b)
    a, b = a[near], b[near]
    verified = look.edges(a, b, np.zeros(len(a), bool)) <= pictures.EDGES
    wanted = as_set(np.stack([a, b], axis=1)[verified])
    found = pictures.pairs(pixels)
    assert len(wanted) >= 18  # of those that were brightened, and no others
    assert as_set(found.rows[found.kind == ""]) == wanted


def test_table_search_finds_all_neighbours_that_it_says_it_sees() -> None:
    X = tables.scaled(as_frame(table()).to_numpy())
    a, b, seen = tables.neighbours(X, np.zeros(len(X), np.int64))
    found = as_set(np.sort(np.stack([a, b], axis=1), axis=1))
    i, j = np.triu_indices(len(X), 1)
    distance = np.sqrt(np.mean((X[i] - X[j]) ** 2, axis=1))
    wanted = as_set(np.stack([i, j], axis=1)[distance <= seen])
    assert len(wanted & found) >= 0.9 * len(wanted) > 0


@pytest.mark.parametrize("columns", [1, 2, 5, 20])
@pytest.mark.parametrize("step", [0, 0.01, 1])
def test_tables_without_copies_have_no_near_rows(columns: int, step: float) -> None:
    """Of numbers with many digits, with few, and of whole numbers."""
    for seed in range(10):
        X = np.random.default_rng(seed).normal(size=(500, columns)) * 3
        frame = pd.DataFrame(np.round(X / step) * step if step else X).drop_duplicates()
        assert len(tables.pairs(frame)) == 0
