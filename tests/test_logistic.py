"""Logistic regression: the same solutions as scikit-learn's, and a penalty chosen on held-out rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rung import logistic
from rung.logistic import LogisticRegressionCV

Data = tuple[NDArray[np.float64], NDArray[np.int64]]
LOADERS = {"iris": load_iris, "breast_cancer": load_breast_cancer, "digits": load_digits}


def data(name: str) -> Data:
    X, y = LOADERS[name](return_X_y=True)
    return StandardScaler().fit_transform(X), y


def objective(model: LogisticRegressionCV | LogisticRegression, C: float, X: Data, y: Data) -> float:  # type: ignore[type-arg]
    proba = model.predict_proba(X)[np.arange(len(y)), y]
    return float(-C * np.log(proba).sum() + (model.coef_**2).sum() / 2)


@pytest.mark.parametrize("name", LOADERS)
# With coordinates of 20 rows the search is slow where hardly anything is penalised.
@pytest.mark.parametrize(
    ("C", "sample"), [(0.001, 500), (0.1, 500), (10.0, 500), (0.001, 20), (0.1, 20)]
)
def test_is_the_model_of_scikit_learn(
    name: str, C: float, sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "SAMPLE", sample)  # 20: coordinates of some rows only
    X, y = data(name)
    ours = LogisticRegressionCV(Cs=[C], tol=1e-9).fit(X, y)
    theirs = LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=3e-4)
    if len(ours.classes_) == 2:
        np.testing.assert_allclose(ours.coef_[1] - ours.coef_[0], theirs.coef_[0], atol=3e-3)
    else:
        least = objective(theirs, C, X, y)  # type: ignore[arg-type]
        rough = LogisticRegressionCV(Cs=[C]).fit(X, y)
        assert objective(rough, C, X, y) <= 1.001 * least  # type: ignore[arg-type]


def test_the_penalty_has_the_least_held_out_loss() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    noise = rng.normal(size=(300, 40))
    assert LogisticRegressionCV().fit(noise, y).C_ == 0.1 / 40
    telling = noise.copy()
    telling[:, 0] += 6 * y
    assert LogisticRegressionCV().fit(telling, y).C_ > 1 / 40
    y[:] = 0
    y[:4] = 1  # four of a class can't be held out
    assert LogisticRegressionCV().fit(telling, y).C_ == 1 / 40


def test_many_values_are_validated_on_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data("digits")
    many = LogisticRegressionCV().fit(X, y)
    monkeypatch.setattr(logistic, "MANY_VALUES", 1_000)
    one = LogisticRegressionCV().fit(X, y)
    assert many.score(X, y) > 0.97
    assert one.score(X, y) > 0.97


def test_one_of_each_class_is_held_out_of_many_small_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logistic, "MANY_VALUES", 1_000)
    y = np.repeat(np.arange(40), 6)
    X = np.eye(40)[y] + np.random.default_rng(0).normal(size=(240, 40)) / 10
    assert LogisticRegressionCV().fit(X, y).score(X, y) == 1


def test_labels_of_any_kind_and_float32() -> None:
    X, y = data("iris")
    names = np.array(["c", "a", "b"])[y]
    model = LogisticRegressionCV().fit(X.astype(np.float32), names)
    assert model.coef_.dtype == np.float32
    assert model.score(X.astype(np.float32), names) > 0.95
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_constant_and_doubled_columns_do_no_harm() -> None:
    X, y = data("iris")
    odd = np.hstack([X, X, np.zeros((len(X), 2))])
    model = LogisticRegressionCV(Cs=[1.0], tol=1e-9).fit(odd, y)
    assert np.abs(model.coef_[:, -2:]).max() == 0
    np.testing.assert_allclose(model.coef_[:, :4], model.coef_[:, 4:8], atol=1e-6)


def test_follows_the_contract_of_scikit_learn() -> None:
    check_estimator(LogisticRegressionCV())
