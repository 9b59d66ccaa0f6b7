from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from rung.metrics import METRICS, SMALLEST_PROBABILITY, Predictions
from rung.scorers import jackknifed

rng = np.random.default_rng(0)
TARGET = rng.integers(0, 3, 50)
PROBA = rng.dirichlet(np.ones(3), (2, 50)).astype(np.float32)
CLASSES = Predictions(TARGET, PROBA.argmax(axis=2), PROBA)
NUMBERS = Predictions(
    rng.normal(size=50),
    rng.normal(size=(2, 50)),
    std=rng.uniform(0.5, 2, (2, 50)).astype(np.float32),
)


@pytest.mark.parametrize("seed", [0, 1])
def test_row_means_are_the_scores(seed: int) -> None:
    def score(name: str, p: Predictions) -> float:
        values = METRICS[name].values(p)
        assert values is not None
        return float(values[seed].mean())

    label, number = CLASSES.label[seed], NUMBERS.label[seed]
    assert score("accuracy", CLASSES) == pytest.approx(reference.accuracy_score(TARGET, label))
    assert score("log_loss", CLASSES) == pytest.approx(
        reference.log_loss(TARGET, PROBA[seed]), rel=1e-5
    )
    y = NUMBERS.target
    assert score("rmse", NUMBERS) == pytest.approx(reference.root_mean_squared_error(y, number))
    assert score("mae", NUMBERS) == pytest.approx(reference.mean_absolute_error(y, number))
    assert score("brier", CLASSES) == pytest.approx(
        reference.brier_score_loss(TARGET, PROBA[seed], labels=[0, 1, 2]), rel=1e-5
    )
    assert score("balanced_accuracy", CLASSES) == pytest.approx(
        reference.balanced_accuracy_score(TARGET, label)
    )
    assert score("f1_macro", CLASSES) == pytest.approx(
        reference.f1_score(TARGET, label, average="macro")
    )
    proba = PROBA[seed].astype(float)
    assert score("roc_auc", CLASSES) == pytest.approx(
        reference.roc_auc_score(TARGET, proba / proba.sum(1, keepdims=True), multi_class="ovr")
    )
    assert score("r2", NUMBERS) == pytest.approx(reference.r2_score(y, number))


def test_two_classes_have_one_area_and_half_the_brier_score() -> None:
    proba = np.array([[[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.6, 0.4]]], np.float32)
    p = Predictions(np.array([0, 1, 1, 0]), proba.argmax(axis=2), proba)
    for name, expected in (
        ("roc_auc", reference.roc_auc_score(p.target, proba[0, :, 1])),  # with a tie
        ("brier", reference.brier_score_loss(p.target, proba[0, :, 1])),
    ):
        values = METRICS[name].values(p)
        assert values is not None
        assert values.mean() == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    """Two bins: confidence .9 and right half of the time, .6 and always right."""
    proba = np.array([[[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]], np.float32)
    values = METRICS["ece"].values(Predictions(np.array([0, 1, 1, 1]), proba.argmax(axis=2), proba))
    assert values is not None
    assert values.mean() == pytest.approx((abs(0.9 - 0.5) + abs(0.6 - 1)) / 2)


def test_area_without_one_kind_is_none() -> None:
    p = Predictions(np.zeros(4, int), CLASSES.label[:, :4], CLASSES.proba[:, :4])
    assert METRICS["roc_auc"].values(p) is None


@pytest.mark.parametrize(
    ("ours", "scorer"),
    [
        ("f1_macro", "f1_macro"),
        ("balanced_accuracy", "balanced_accuracy"),
        ("roc_auc", "roc_auc_ovr"),
        ("brier", "neg_brier_score"),
        ("r2", "r2"),
    ],
)
def test_influence_values_agree_with_the_jackknife(ours: str, scorer: str) -> None:
    """The closed forms against leaving out one example after the other of a sample of 50."""
    p = NUMBERS if ours == "r2" else CLASSES
    check = reference.get_scorer(scorer)
    sign = -1 if scorer.startswith("neg_") else 1
    jackknife = jackknifed(ours, lambda r, y, rows: sign * check(r, rows[:, None], y[rows]))(p)
    values = METRICS[ours].values(p)
    assert values is not None
    assert jackknife is not None
    assert values.mean(axis=1) == pytest.approx(jackknife.mean(axis=1), rel=1e-5)
    for one, other in zip(values, jackknife, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.99
        assert one.std() == pytest.approx(other.std(), rel=0.1)


@given(st.integers(0, 49))
def test_influence_is_the_effect_of_leaving_one_out(i: int) -> None:
    squares = (NUMBERS.label[0] - NUMBERS.target) ** 2
    values = METRICS["rmse"].values(NUMBERS)
    assert values is not None
    full = np.sqrt(squares.mean())
    without = np.sqrt(np.delete(squares, i).mean())
    jackknife = 50 * full - 49 * without
    assert values[0, i] == pytest.approx(jackknife, abs=0.15)


def test_probability_zero_costs_much_but_not_everything() -> None:
    sure = Predictions(np.array([0]), np.array([[1]]), np.array([[[0.0, 1.0]]], np.float32))
    values = METRICS["log_loss"].values(sure)
    assert values is not None
    assert values[0, 0] == pytest.approx(-np.log(SMALLEST_PROBABILITY))


def test_metric_without_what_it_needs_is_none() -> None:
    assert METRICS["nll"].values(CLASSES) is None
    assert METRICS["log_loss"].values(Predictions(TARGET, CLASSES.label)) is None
