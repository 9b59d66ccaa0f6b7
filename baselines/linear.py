"""A linear model: multinomial logistic regression, or ridge regression (Cox, 1958; Hoerl, 1970)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit

from rung import Baseline, Dataset


def make(dataset: Dataset, seed: int) -> Any:
    if dataset.task == "regression":
        return RidgeCV(alphas=np.logspace(-3, 5, 33))  # by closed-form leave-one-out
    d = dataset.X.shape[1]
    # With C = 1/d the logits of standardised features have a variance of about one a priori.
    model = LogisticRegression(C=1 / d)
    if np.unique(dataset.y, return_counts=True)[1].min() < 5:
        return model  # a class too small to validate on
    validation = (
        StratifiedKFold(5) if dataset.X.size < 1e6 else StratifiedShuffleSplit(1, random_state=0)
    )
    grid = {"C": [0.1 / d, 1 / d, 10 / d, 100 / d]}
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=validation)


baseline = Baseline(rung=2, title="Linear", needs="sparse", deterministic=True, make=make)
