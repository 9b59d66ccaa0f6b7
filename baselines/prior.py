"""The input-independent baseline: predicts the class frequencies (or the mean) of the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.utils.validation import check_is_fitted, validate_data

from rung import Baseline, Dataset


class MeanRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the mean of the training targets, and their standard deviation as its error."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # it does not look at the input
        return tags

    def fit(self, X: Any, y: Any) -> MeanRegressor:
        _, y = validate_data(self, X, y, y_numeric=True)
        self.mean_, self.std_ = float(np.mean(y)), float(np.std(y)) or 1.0
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        mean = np.full(len(X), self.mean_)
        return (mean, np.full(len(X), self.std_)) if return_std else mean


def make(dataset: Dataset, seed: int) -> Any:
    return MeanRegressor() if dataset.task == "regression" else DummyClassifier(strategy="prior")


baseline = Baseline(rung=1, title="Prior", needs="nothing", deterministic=True, make=make)
