"""A forest of 300 randomised trees, as scikit-learn grows it (Breiman, 2001)."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from rung import Baseline, Dataset


def make(dataset: Dataset, seed: int, n_estimators: int = 300) -> Any:
    if dataset.task == "regression":
        return RandomForestRegressor(n_estimators, max_features=1 / 3, random_state=seed)
    return RandomForestClassifier(n_estimators, random_state=seed)


baseline = Baseline(rung=5, title="Random forest", needs="numbers", make=make)
