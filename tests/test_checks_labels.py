"""The checks of labels, targets, parts and order: planted faults are found, healthy data left alone."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

import rung
from rung import Dataset
from rung.checks import check_data, confident
from rung.checks.base import FALSE_ALARMS, Result
from rung.checks.data import noise, shift
from rung.checks.data.subject import Data
from rung.dataset import Split, take


@functools.cache
def loaded(name: str) -> Dataset:
    return rung.load(name)


def changed(dataset: Dataset, **fields: Any) -> Dataset:
    """With a fingerprint of its own."""
    return dataclasses.replace(dataset, fingerprint="", **fields)


def flipped(name: str, share: float = 0.1, every: int = 1) -> Dataset:
    """With so many of the training labels drawn anew from the other classes. every: of how many
    rows one is left."""
    dataset, rng = loaded(name), np.random.default_rng(0)
    dataset = rows_of(dataset, np.arange(0, len(dataset), every))
    train = dataset.splits[0].train
    rows = rng.choice(train, round(share * len(train)), replace=False)
    y = dataset.y.copy()
    y[rows] = (y[rows] + rng.integers(1, dataset.n_classes, len(rows))) % dataset.n_classes
    return changed(dataset, y=y)


def with_split(dataset: Dataset, tested: NDArray[np.bool_]) -> Dataset:
    split = Split("holdout", np.flatnonzero(~tested), np.flatnonzero(tested))
    return changed(dataset, splits=(split,))


def less_tested(name: str, label: int, left: int) -> Dataset:
    """With so many examples of a class left in the test part; the others are trained on."""
    dataset = loaded(name)
    tested = np.isin(np.arange(len(dataset)), dataset.splits[0].test)
    tested[np.flatnonzero(tested & (dataset.y == label))[left:]] = False
    return with_split(dataset, tested)


def rows_of(dataset: Dataset, rows: NDArray[np.int64]) -> Dataset:
    kept = changed(
        dataset, X=take(dataset.X, rows), y=dataset.y[rows], ids=dataset.ids[rows], splits=()
    )
    tested = np.isin(rows, dataset.splits[0].test)
    return with_split(kept, tested)


def imbalanced(name: str, label: int, share: float) -> Dataset:
    """With so few examples of a class that they are this share."""
    dataset = loaded(name)
    others = int((dataset.y != label).sum())
    some = np.random.default_rng(0).permutation(np.flatnonzero(dataset.y == label))
    kept = some[: round(others * share / (1 - share))]
    return rows_of(dataset, np.sort(np.r_[np.flatnonzero(dataset.y != label), kept]))


def brighter(name: str) -> Dataset:
    dataset = loaded(name)
    X = shown_pixels(dataset).astype(np.int64)
    X[dataset.splits[0].test] += 20
    return changed(dataset, X=X.clip(0, 255).astype(np.uint8))


def shown_pixels(dataset: Dataset) -> NDArray[np.uint8]:
    from rung import features

    return features.pixels(dataset, 32)


def other_words(name: str) -> Dataset:
    """A third of the test texts are signed."""
    dataset = loaded(name)
    X = dataset.X.copy()
    for row in dataset.splits[0].test[::3]:
        X[row] += " Sent from my phone"
    return changed(dataset, X=X)


def framed(name: str) -> pd.DataFrame:
    X = loaded(name).X
    return X.copy() if isinstance(X, pd.DataFrame) else pd.DataFrame(X).add_prefix("X")


def shifted_column(name: str, deviations: float = 1.0) -> Dataset:
    frame, dataset = framed(name), loaded(name)
    column = frame.columns[-1]
    frame.loc[dataset.splits[0].test, column] += deviations * frame[column].std()
    return changed(dataset, X=frame.to_numpy(), columns=tuple(frame.columns))


def sorted_with_index(name: str) -> Dataset:
    dataset, frame = loaded(name), framed(name)
    order = np.argsort(dataset.y, kind="stable")
    frame = frame.iloc[order].reset_index(drop=True)
    frame["number"] = np.arange(len(frame), dtype=float)
    return Dataset.from_arrays(
        frame, dataset.y[order], task=dataset.task, name=name, classes=dataset.classes or None
    )


def with_targets(name: str, value: float | None, share: float) -> Dataset:
    """Some targets replaced by a value, or multiplied by 100."""
    dataset = loaded(name)
    train = dataset.splits[0].train
    rows = np.random.default_rng(0).choice(train, max(2, round(share * len(train))), replace=False)
    y = dataset.y.copy()
    y[rows] = 100 * y[rows] if value is None else value
    return changed(dataset, y=y)


def more_of_a_class(name: str, label: int) -> Dataset:
    """Half of the test examples of a class are not there."""
    dataset = loaded(name)
    test = dataset.splits[0].test
    gone = test[dataset.y[test] == label][::2]
    return rows_of(dataset, np.setdiff1d(np.arange(len(dataset)), gone))


# What is broken → the check that is there for it, and the broken data.
FAULTS: dict[str, tuple[str, Callable[[], Dataset]]] = {
    "wrong labels of pictures": ("RC123", lambda: flipped("digits", every=2)),
    "wrong labels of texts": ("RC123", lambda: flipped("sms_spam", every=2)),
    "wrong labels of a table": ("RC123", lambda: flipped("breast_cancer")),
    "a class is not tested": ("RC122", lambda: less_tested("digits", 3, 0)),
    "a class is hardly tested": ("RC122", lambda: less_tested("penguins", 1, 2)),
    "texts of nearly one class": ("RC121", lambda: imbalanced("sms_spam", 1, 0.03)),
    "a class too small to learn": ("RC121", lambda: imbalanced("digits", 8, 0.004)),
    "brighter test pictures": ("RC131", lambda: brighter("imagenette_mini")),
    "other words in test texts": ("RC131", lambda: other_words("sms_spam")),
    "a shifted column": ("RC131", lambda: shifted_column("breast_cancer")),
    "a sorted table with an index": ("RC132", lambda: sorted_with_index("breast_cancer")),
    "sorted targets with an index": ("RC132", lambda: sorted_with_index("diabetes")),
    "-999 for a missing target": ("RC125", lambda: with_targets("diabetes", -999.0, 0.03)),
    "targets in another unit": ("RC125", lambda: with_targets("diabetes", None, 0.01)),
    "targets cut off": ("RC125", lambda: cut_off("diabetes")),
    "classes with other shares": ("RC133", lambda: more_of_a_class("breast_cancer", 1)),
}


def cut_off(name: str) -> Dataset:
    dataset = loaded(name)
    return changed(dataset, y=np.minimum(dataset.y, np.quantile(dataset.y, 0.9)))


def found(code: str, dataset: Dataset) -> Result:
    """The result of one check alone."""
    return check_data(dataset, only=[code])[code]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_its_check(name: str) -> None:
    code, broken = FAULTS[name]
    result = found(code, broken())
    assert result.alarms, (result.status, result.severity, result.finding)
    if result.p_value is not None:  # it has to hold among the other statistical checks too
        assert result.p_value < FALSE_ALARMS / 10
    assert result.finding is not None
    assert json.loads(json.dumps(result.finding.values)) == result.finding.values


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *(("RC121", n) for n in ("digits", "penguins", "breast_cancer")),
        *(("RC122", n) for n in ("digits", "penguins", "sms_spam")),
        *(("RC123", n) for n in ("sms_spam", "penguins", "breast_cancer")),
        *(("RC125", n) for n in ("diabetes",)),
        *(("RC131", n) for n in ("imagenette_mini", "sms_spam", "penguins", "diabetes")),
        *(("RC132", n) for n in ("digits", "penguins", "diabetes")),
        *(("RC133", n) for n in ("digits", "sms_spam", "diabetes")),
    ],
)
def test_healthy_data_are_left_alone(code: str, name: str) -> None:
    result = found(code, loaded(name))
    assert result.status in ("passed", "found")
    assert not result.alarms


def test_overlapping_classes_are_no_wrong_labels() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3_000, 4))
    y = (X @ [1.5, -1, 0.5, 0] + rng.logistic(size=3_000) > 0).astype(int)
    overlapping = Dataset.from_arrays(X, y, name="overlap")
    result = found("RC123", overlapping)
    assert result.status == "passed"
    assert result.finding is not None
    # Confident learning alone takes what lies between the classes for wrong.
    assert result.finding.values["estimated"] > 100


def test_suspects_are_the_flipped_rows() -> None:
    dataset, clean = flipped("sms_spam"), loaded("sms_spam")
    finding = found("RC123", dataset).finding
    assert finding is not None
    named = {str(i): row for row, i in enumerate(dataset.ids)}
    suspects = finding.values["suspects"]
    rows = np.array([named[s["id"]] for s in suspects])
    wrong = dataset.y != clean.y
    assert wrong[rows[:300]].mean() > 0.95
    assert [s["given"] for s in suspects] == [dataset.classes[c] for c in dataset.y[rows]]
    assert all(s["given"] != s["suggested"] for s in suspects)
    assert [s["score"] for s in suspects] == sorted(s["score"] for s in suspects)
    assert finding.values["share_at_random"] == pytest.approx(0.1, abs=0.02)
    assert not wrong[clean.splits[0].test].any()
    assert set(rows) <= set(clean.splits[0].train)


def test_a_rung_can_be_chosen_and_must_give_more_than_the_largest_class() -> None:
    table = loaded("breast_cancer")
    by = check_data(table, only=["RC123"], rung="random_forest")["RC123"]
    assert by.finding is not None
    assert by.finding.values["rung"] == "random_forest"
    nothing = check_data(table, only=["RC123"], rung="prior")["RC123"]
    assert nothing.status == "not applicable"
    assert "no more than the largest class" in nothing.reason


def test_the_thorough_check_is_slow_and_takes_a_higher_rung() -> None:
    rows = np.arange(0, len(loaded("penguins")), 4)
    table = rows_of(loaded("penguins"), rows)
    assert check_data(table, only=["RC124"])["RC124"].status == "left out"
    thorough = check_data(table, only=["RC123", "RC124"], slow=True)
    used = [r.finding.values["rung"] for r in thorough.results if r.finding is not None]
    assert len(used) == 2
    assert rung.suite.baseline(used[0]).rung < rung.suite.baseline(used[1]).rung


def simulated(
    rng: np.random.Generator, n: int, classes: int, sharpness: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Calibrated probabilities, and labels drawn by them."""
    proba = softmax(sharpness * rng.normal(size=(n, classes)), axis=1)
    drawn = (proba.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return proba, drawn


def replaced(
    rng: np.random.Generator, y: NDArray[np.int64], classes: int, share: float
) -> NDArray[np.int64]:
    wrong = rng.random(len(y)) < share
    return np.where(wrong, (y + rng.integers(1, classes, len(y))) % classes, y)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_confident_learning_counts_wrong_labels_by_calibrated_probabilities(
    classes: int, share: float
) -> None:
    rng = np.random.default_rng(1)
    proba, true = simulated(rng, 4_000, classes, 20.0)
    given = replaced(rng, true, classes, share)
    calibrated = (1 - share) * proba + share * (1 - proba) / (classes - 1)
    wrong = int((given != true).sum())
    assert confident.estimated(calibrated, given) == pytest.approx(wrong, abs=0.15 * wrong + 160)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_the_floor_is_the_share_of_wrong_labels(classes: int, share: float) -> None:
    rng = np.random.default_rng(1)
    proba, true = simulated(rng, 4_000, classes, 12.0)
    given = replaced(rng, true, classes, share)
    hardly_sure = softmax(0.5 * np.log(proba), axis=1)
    floor = confident.floor(hardly_sure, given, 0.02)
    assert floor.share == pytest.approx((given != true).mean(), abs=0.02)
    assert (floor.p_value < 1e-4) == (share > 0.02)
    # The probabilities of the true classes are those that were flattened.
    assert np.abs(floor.proba - proba).mean() < 0.02
    wrong = given != true
    ranked = confident.ranked(floor.proba, given)
    assert sorted(ranked) == list(range(4_000))
    assert not wrong.any() or wrong[ranked[: wrong.sum()]].mean() > 0.8


def test_confident_joint_by_hand() -> None:
    proba = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6]])
    given = np.array([0, 0, 0, 1, 1])
    assert confident.thresholds(proba, given) == pytest.approx([0.6, 0.75])
    # The last is sure of neither class.
    assert confident.confident_joint(proba, given).tolist() == [[2, 1], [0, 1]]
    assert confident.estimated(proba, given) == 1


@pytest.mark.parametrize(("classes", "sharpness"), [(2, 2.0), (5, 2.0), (10, 4.0)])
def test_the_floor_alarms_as_seldom_as_it_says(classes: int, sharpness: float) -> None:
    """Of calibrated probabilities of overlapping classes, a scale and a bias off."""
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(40):
        proba, given = simulated(rng, 600, classes, sharpness)
        too_sure = softmax(1.6 * np.log(proba) + 0.3 * np.arange(classes), axis=1)
        p_values.append(confident.floor(too_sure, given, 0.02).p_value)
    # With 0.05 each, 7 or more of 40 come once in a hundred times.
    assert (np.array(p_values) < 0.05).sum() < 7


def test_labels_as_noisy_as_tolerated_alarm_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(60):
        proba, true = simulated(rng, 1_000, 3, 6.0)
        given = replaced(rng, true, 3, 0.02)
        p_values.append(confident.floor(proba, given, 0.02).p_value)
    # Each p-value is uniform here: below 0.1 stand 6 of 60, and 13 once in a hundred times.
    assert (np.array(p_values) < 0.1).sum() < 13


def test_auc_is_that_of_all_pairs_and_its_error_is_right() -> None:
    rng = np.random.default_rng(4)
    positive = np.arange(200) < 80
    found = []
    for _ in range(300):
        scores = np.round(rng.normal(size=200) + 0.8 * positive, 1)  # with ties
        found.append(shift.auc(scores, positive))
    pairs = scores[positive][:, None] - scores[~positive]
    assert found[-1][0] == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    areas, errors = np.array(found).T
    assert errors.mean() == pytest.approx(areas.std(), rel=0.15)


def test_random_parts_are_not_told_apart() -> None:
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(25):
        values = rng.normal(size=(300, 6))
        halves = shift.told_apart(values, rng.random(300) < 0.3, sparse=False)
        p_values += [shift.above(*half, 0.5) for half in halves]
    # Even against 0.5: of 50, 8 below 0.05 come once in two hundred times.
    assert (np.array(p_values) < 0.05).sum() < 8


@pytest.mark.parametrize("sizes", [(50, 50), (80, 15, 5), (10,) * 10])
def test_the_runs_test_is_that_of_random_orders(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    p_values = np.array([shift.clumped(rng.permutation(labels))[1] for _ in range(2_000)])
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    alike, p_value = shift.clumped(labels)
    assert alike == pytest.approx(1)
    assert p_value < 1e-6


def test_shares_of_parts_are_tested_with_rare_classes_together() -> None:
    rng = np.random.default_rng(7)
    shares = np.array([0.5, 0.3, 0.15, 0.02, 0.01, 0.01, 0.01])
    p_values = np.array(
        [
            shift.homogeneous(np.stack([rng.multinomial(n, shares) for n in (700, 200)]))
            for _ in range(1_000)
        ]
    )
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.02)


def test_a_shift_names_the_column() -> None:
    finding = found("RC131", shifted_column("breast_cancer")).finding
    assert finding is not None
    first = finding.values["where"][0]
    assert first["feature"] == f"column {framed('breast_cancer').columns[-1]}"
    assert first["test_mean"] > first["train_mean"]


def test_a_shift_in_categories_and_missing_values_is_seen() -> None:
    rng = np.random.default_rng(8)
    n = 600
    tested = np.arange(n) >= 400
    kind = np.where(rng.random(n) < np.where(tested, 0.7, 0.2), "new", "old").astype(object)
    kind[rng.random(n) < 0.1] = None
    frame = pd.DataFrame({"kind": kind, "number": rng.normal(size=n)})
    table = Dataset.from_arrays(frame, rng.integers(0, 2, n), name="kinds")
    result = found("RC131", with_split(table, tested))
    assert result.alarms
    assert result.finding is not None
    assert result.finding.values["where"][0]["feature"] == "column kind"


def test_an_index_in_a_shuffled_table_is_no_fault() -> None:
    frame, dataset = framed("breast_cancer"), loaded("breast_cancer")
    order = np.random.default_rng(9).permutation(len(frame))
    frame = frame.iloc[order].reset_index(drop=True)
    frame["number"] = [f"row {i}" for i in range(len(frame))]
    assert not found("RC132", Dataset.from_arrays(frame, dataset.y[order], name="shuffled")).alarms


def test_targets_of_few_values_are_no_pile() -> None:
    quality = np.random.default_rng(10).integers(3, 9, 1_000).astype(float)
    assert noise.piled(quality) is None
    dosage = np.round(np.random.default_rng(10).gamma(2.0, 20.0, 1_000))
    assert noise.piled(dosage) is None


def test_of_many_rows_some_are_judged_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = loaded("sms_spam")
    train = texts.splits[0].train
    assert np.array_equal(noise.judged(Data(texts)), train)
    assert len(noise.judged(Data(texts, fast=True))) == noise.MOST_ROWS["text"] // 3 < len(train)
    monkeypatch.setattr(noise, "MOST_LETTERS", sum(map(len, texts.X[train])) // 4)
    some = noise.judged(Data(texts))
    assert len(some) == pytest.approx(len(train) / 4, abs=2)
    assert set(some) < set(train)
    monkeypatch.setitem(noise.MOST_ROWS, "tabular", 200)
    finding = found("RC123", loaded("breast_cancer")).finding
    assert finding is not None
    assert finding.values["judged"] == 200
    assert "200 training rows, drawn from 398" in finding.said


def test_too_few_rows_are_not_judged() -> None:
    few = np.arange(0, len(loaded("diabetes")), 30)
    assert found("RC125", rows_of(loaded("diabetes"), few)).status == "not applicable"
    assert found("RC131", rows_of(loaded("diabetes"), few)).status == "not applicable"
