"""Metrics as values per example, so that every score can have an interval.

A metric maps targets and predictions of each seed to an array (n_seeds, n_examples) whose row
means are the scores. A metric that is no mean (RMSE, R2) gives influence values: score plus the
first-order effect of each example (Hampel 1974), which keep the score as their mean and its
variance to first order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rung.dataset import Task

Array = NDArray[np.float64]

# Probabilities are stored in single precision; a zero counts as its smallest relative step.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the models of one row said: target (n,), label (S, n), and one of proba and std.

    proba: (S, n, n_classes) or None; std: (S, n) predictive standard deviation or None.
    """

    target: NDArray[np.float64] | NDArray[np.int64]
    label: NDArray[np.float64] | NDArray[np.int64]
    proba: NDArray[np.float32] | None = None
    std: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Metric:
    """`values(predictions)` gives (S, n), or None where the predictions don't have what it needs."""

    name: str
    title: str
    greater_is_better: bool
    values: Callable[[Predictions], Array | None]
    scale: str = "identity"  # of its interval, see rung.intervals.score_interval
    percent: bool = False


def accuracy(p: Predictions) -> Array:
    """1 where the label is right, else 0."""
    return np.asarray(p.label == p.target, dtype=np.float64)


def log_loss(p: Predictions) -> Array | None:
    """Minus the log of the probability given to the right class, nats."""
    if p.proba is None:
        return None
    given = p.proba[:, np.arange(len(p.target)), p.target.astype(np.int64)].astype(np.float64)
    return np.asarray(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0)))


def rmse(p: Predictions) -> Array:
    """Influence values of the root of the mean squared error, units of the target."""
    squares = (p.label - p.target) ** 2.0
    mean = squares.mean(axis=1, keepdims=True)
    root = np.sqrt(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        influence = np.where(root > 0, (squares - mean) / (2 * root), 0.0)
    return np.asarray(root + influence)


def mae(p: Predictions) -> Array:
    """The absolute error, units of the target."""
    return np.asarray(np.abs(p.label - p.target), dtype=np.float64)


def r2(p: Predictions) -> Array | None:
    """Influence values of the coefficient of determination on the test part."""
    squares = (p.label - p.target) ** 2.0
    around = (p.target - p.target.mean()) ** 2.0
    total = around.mean()
    if total == 0:
        return None
    ratio = squares.mean(axis=1, keepdims=True) / total
    return np.asarray(1 - ratio - (squares - ratio * around) / total)


def gaussian_nll(p: Predictions) -> Array | None:
    """Minus the log density of the target under the predicted normal, nats."""
    if p.std is None:
        return None
    std = p.std.astype(np.float64)
    return np.asarray(0.5 * np.log(2 * np.pi * std**2) + (p.label - p.target) ** 2.0 / (2 * std**2))


METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", "accuracy", True, accuracy, scale="logit", percent=True),
        Metric("log_loss", "log loss", False, log_loss),
        Metric("rmse", "RMSE", False, rmse, scale="log"),
        Metric("nll", "Gaussian NLL", False, gaussian_nll),
        Metric("mae", "MAE", False, mae),
        Metric("r2", "R²", True, r2),
    )
}

# Declared before any run: the first decides the rank, the second stands beside it on the board.
DECLARED: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("rmse", "nll", "r2", "mae"),
}
