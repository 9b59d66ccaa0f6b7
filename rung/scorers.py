"""Any metric later: scikit-learn's scorers, or a function of yours, from stored predictions."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from rung.errors import RungError, unknown
from rung.metrics import METRICS, Array, Metric, Predictions

GROUPS = 100  # of examples that the jackknife leaves out in turn

# What scikit-learn calls a metric that there is here in closed form.
SAME = {
    "neg_log_loss": "log_loss",
    "neg_brier_score": "brier",
    "neg_root_mean_squared_error": "rmse",
    "neg_mean_absolute_error": "mae",
    "roc_auc_ovr": "roc_auc",
}


def find(name: str) -> Metric:
    """The metric of that name: one of `rung.metrics`, a scorer of scikit-learn, MODULE:FUNCTION.

    A function takes (y_true, y_pred): (n,) codes of classes, or numbers. As in scikit-learn, one
    whose name ends with _error, _loss or _distance is better when lower. MODULE is imported from
    the working directory too. Raises RungError for a name that is none of these.
    """
    if name in METRICS or name in SAME:
        return METRICS[SAME.get(name, name)]
    if ":" in name:
        return from_function(name)
    from sklearn.metrics import get_scorer, get_scorer_names

    if name not in get_scorer_names():
        raise unknown("metric", name, [*METRICS, *get_scorer_names()])
    scorer = get_scorer(name)
    title = name.removeprefix("neg_").replace("_", " ")
    sign = -1.0 if name.startswith("neg_") else 1.0

    def score(recorded: Recorded, target: NDArray[Any], rows: NDArray[np.int64]) -> float:
        return sign * float(scorer(recorded, rows[:, None], target[rows]))

    return Metric(name, title, sign > 0, jackknifed(name, score))


def from_function(name: str) -> Metric:
    """The metric MODULE:FUNCTION."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module of the user's may raise anything
        raise RungError(f"metric {name}: {error}; write MODULE:FUNCTION") from error
    finally:
        sys.path.pop(0)
    if not callable(function):
        raise RungError(f"metric {name}: {attribute} is no function of (y_true, y_pred)")
    greater = not attribute.endswith(("_error", "_loss", "_distance", "_deviance"))

    def score(recorded: Recorded, target: NDArray[Any], rows: NDArray[np.int64]) -> float:
        return float(function(target[rows], recorded.predict(rows[:, None])))

    return Metric(name, attribute.replace("_", " "), greater, jackknifed(name, score))


Score = Callable[["Recorded", NDArray[Any], NDArray[np.int64]], float]


def jackknifed(name: str, score: Score) -> Callable[[Predictions], Array | None]:
    """Values of a metric that is known only as a whole: pseudo-values, (n_seeds, n_groups).

    Examples are left out group by group (delete-a-group jackknife, Kott 2001, J. Off. Stat. 17;
    with one example a group, Tukey's). The groups are the same for all models, so differences
    stay paired; groups of several examples also serve metrics that are not smooth, such as a
    median. Raises RungError with what the metric raises.
    """

    def values(p: Predictions) -> Array | None:
        n = len(p.target)
        everything = np.arange(n)
        order = np.random.default_rng(0).permutation(n) if n > GROUPS else everything
        parts = np.array_split(order, min(n, GROUPS))
        if len(parts) < 2:
            raise RungError(f"metric {name}: the jackknife needs two or more test examples")
        table = []
        for seed in range(len(p.label)):
            recorded = Recorded.of(p, seed)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    whole = score(recorded, p.target, everything)
                    without = np.array(
                        [
                            score(recorded, p.target, np.setdiff1d(everything, part))
                            for part in parts
                        ]
                    )
            except Exception as error:  # a metric may raise anything
                if isinstance(error, AttributeError) and "predict_proba" in str(error):
                    return None  # there are no probabilities: this row can't have the metric
                cause = " ".join(str(error).split())
                raise RungError(f"metric {name} can't be computed here: {cause[:200]}") from error
            if not np.isfinite([whole, *without]).all():
                raise RungError(f"metric {name} is NaN or infinite on these predictions")
            times = n / np.array([len(part) for part in parts]) - 1
            effect = times * (whole - without)
            table.append(whole + effect - effect.mean())
        return np.stack(table)

    return values


class Recorded(BaseEstimator):  # type: ignore[misc]
    """Answers with stored predictions: X is (n, 1), row numbers."""

    def __init__(self, label: Any = None, proba: Any = None, classes: Any = None) -> None:
        self.label = label
        self.proba = proba
        self.classes = classes

    @staticmethod
    def of(p: Predictions, seed: int) -> Recorded:
        if p.target.dtype.kind == "f":
            return RecordedRegressor(p.label[seed])
        if p.proba is None:
            return RecordedClassifier(p.label[seed], classes=np.union1d(p.target, p.label))
        classes = np.arange(p.proba.shape[2])
        return RecordedProbabilities(p.label[seed], p.proba[seed], classes)

    def predict(self, X: NDArray[np.int64]) -> NDArray[Any]:
        answer: NDArray[Any] = self.label[X[:, 0]]
        return answer


class RecordedRegressor(RegressorMixin, Recorded):  # type: ignore[misc]
    """Numbers."""


class RecordedClassifier(ClassifierMixin, Recorded):  # type: ignore[misc]
    """Labels alone."""

    @property
    def classes_(self) -> Any:
        return self.classes


class RecordedProbabilities(RecordedClassifier):
    """Labels and probabilities."""

    def predict_proba(self, X: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = self.proba[X[:, 0]].astype(np.float64)
        answer: NDArray[np.float64] = rows / rows.sum(axis=1, keepdims=True)
        return answer
