"""A forest of 300 randomised trees, as scikit-learn grows it (Breiman, 2001)."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from rung import Baseline, Dataset

# A tree is grown on at most so many rows, drawn anew for each: the forest still sees all of many
# more, in a tenth of the time and memory that a million rows would take.
MOST_ROWS = 100_000


def make(dataset: Dataset, seed: int, n_estimators: int = 300) -> Any:
    drawn = MOST_ROWS if len(dataset.y) > MOST_ROWS else None
    options = {"n_estimators": n_estimators, "max_samples": drawn, "random_state": seed}
    if dataset.task == "regression":
        return RandomForestRegressor(max_features=1 / 3, **options)
    return RandomForestClassifier(**options)


baseline = Baseline(rung=5, title="Random forest", needs="numbers", make=make)
