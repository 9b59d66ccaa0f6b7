"""What is special to the net for tables: its scales, and the settings it chooses."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from conftest import table

from rung import suite


def rows(n: int = 300, seed: int = 0) -> tuple[Any, Any]:
    X = np.random.default_rng(seed).normal(size=(n, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1]


def regressor(**parameters: Any) -> Any:
    return suite.baseline("net").make(table(task="regression"), 0, **parameters)


def test_targets_of_any_scale_are_learnt_alike() -> None:
    X, y = rows()
    new, truth = rows(seed=1)
    plain = regressor(epochs=50, dropout=0.0).fit(X, y).predict(new)
    far = regressor(epochs=50, dropout=0.0).fit(X, 1e6 + 1e-3 * y).predict(new)
    assert np.sqrt(np.mean((plain - truth) ** 2)) < 0.3 * truth.std()
    assert (far - 1e6) / 1e-3 == pytest.approx(plain, abs=0.05)


def test_noise_is_not_learnt_by_heart() -> None:
    X, y = rows(200)
    clean = regressor().fit(X, y)
    noise = np.random.default_rng(2).normal(size=200)
    noisy = regressor().fit(X, noise)
    assert clean.epochs_ > noisy.epochs_
    assert clean.dropout_ < noisy.dropout_
    given = regressor(epochs=3, dropout=0.5).fit(X, y)
    assert (given.epochs_, given.dropout_) == (3, 0.5)


def test_outliers_do_not_make_it_diverge() -> None:
    X, y = rows(200)
    X[0], y[0] = 1e4, 1e4
    assert np.isfinite(regressor().fit(X, y).predict(X)).all()


def test_it_pickles() -> None:
    X, y = rows(100)
    model = regressor(epochs=3, dropout=0.1).fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_epochs_are_those_that_were_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = rows()
    few = regressor(epochs=3, dropout=0.0).fit(X, y)
    assert few.epochs_ == 3
    monkeypatch.setattr(sys.modules[type(few).__module__], "MOST_STEPS", 34)
    assert regressor(epochs=9, dropout=0.0).fit(X, y).epochs_ == 2
