from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from rung.metrics import METRICS, SMALLEST_PROBABILITY, Predictions

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
    assert score("r2", NUMBERS) == pytest.approx(reference.r2_score(y, number))


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
