"""A linear model: multinomial logistic regression, or ridge regression (Cox, 1958; Hoerl, 1970)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV

from rung import Baseline, Dataset


def make(dataset: Dataset, seed: int) -> Any:
    if dataset.task == "regression":
        return RidgeCV(alphas=np.logspace(-3, 5, 33))
    return LogisticRegression(C=0.01)


baseline = Baseline(rung=2, title="Linear", deterministic=True, make=make)
