"""A linear model: logistic regression, of texts on weighted words, or ridge regression (Cox, 1958; Hoerl, 1970)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.sparse import diags_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline

from rung import Baseline, Dataset
from rung.logistic import LogisticRegressionCV

MANY_WORDS = 500_000  # in all texts together: above it one held-out part does for a choice
TUNING_ROWS = 5_000  # and so many texts are trained on for it


class LogCountRatio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Words times their naive-Bayes weight: the log ratio of how often the two classes have them.

    Wang and Manning, "Baselines and bigrams", ACL 2012. X: (n, n_words) sparse; y: 0 or 1.
    """

    def fit(self, X: Any, y: Any) -> Self:
        has, hit = X.sign(), np.asarray(y) == 1
        counts = np.stack([1.0 + np.asarray(has[rows].sum(axis=0)).ravel() for rows in (hit, ~hit)])
        shares = np.log(counts / counts.sum(axis=1, keepdims=True))
        self.weights_ = (shares[0] - shares[1]).astype(X.dtype)
        return self

    def transform(self, X: Any) -> Any:
        return X @ diags_array(self.weights_)


def of_texts(dataset: Dataset) -> Any:
    """One logistic regression a class; weighted or not, whichever predicts held-out rows of the
    training part better."""
    steps = [("words", "passthrough"), ("logistic", LogisticRegression(C=30, solver="liblinear"))]
    model = OneVsRestClassifier(Pipeline(steps))
    smallest = np.unique(dataset.y, return_counts=True)[1].min()
    train_size = min(TUNING_ROWS, int(0.8 * len(dataset.y)))
    many = dataset.X.nnz > MANY_WORDS
    if smallest < 10 or (many and smallest * train_size < len(dataset.y)):
        return model  # a class too small to validate on
    part = {"train_size": train_size, "test_size": 0.2}
    validation = StratifiedShuffleSplit(1, random_state=0, **part) if many else StratifiedKFold(5)
    # Weights are a few times as large as what they weigh, so C is as much less.
    grid = [
        {"estimator__words": ["passthrough"], "estimator__logistic__C": [3, 30, 300]},
        {"estimator__words": [LogCountRatio()], "estimator__logistic__C": [1, 10, 30]},
    ]
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=validation)


def make(dataset: Dataset, seed: int) -> Any:
    if dataset.task == "regression":
        return RidgeCV(alphas=np.logspace(-3, 5, 33))  # by closed-form leave-one-out
    if dataset.modality == "text":
        return of_texts(dataset)
    return LogisticRegressionCV()


baseline = Baseline(rung=2, title="Linear", needs="sparse", deterministic=True, make=make)
