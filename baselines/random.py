"""Guessing: a class drawn uniformly, or a target drawn from the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from rung import Baseline, Dataset


class DrawRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts targets drawn with replacement from those of the training set."""

    def __init__(self, random_state: int | None = None) -> None:
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # it does not look at the input
        tags.non_deterministic = True  # nor do the same rows get the same answer
        return tags

    def fit(self, X: Any, y: Any) -> DrawRegressor:
        _, self.targets_ = validate_data(self, X, y, y_numeric=True)
        return self

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        draw = check_random_state(self.random_state).randint(len(self.targets_), size=len(X))
        return np.asarray(self.targets_)[draw]


def make(dataset: Dataset, seed: int) -> Any:
    if dataset.task == "regression":
        return DrawRegressor(random_state=seed)
    return DummyClassifier(strategy="uniform", random_state=seed)


baseline = Baseline(rung=0, title="Random", needs="nothing", make=make)
