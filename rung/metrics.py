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
from scipy import stats

from rung.dataset import Task
from rung.intervals.interval import Scale

Array = NDArray[np.float64]

# Probabilities are stored in single precision; a zero counts as its smallest relative step.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
ECE_BINS = 15


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
    task: Task | None = None  # the only one it is for
    scale: Scale = "identity"  # of its interval, see rung.intervals.score_interval
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


def brier(p: Predictions) -> Array | None:
    """Squared error of the probabilities, summed over classes (halved for two, as by convention)."""
    if p.proba is None:
        return None
    right = np.arange(p.proba.shape[2]) == p.target[:, None]
    scale = 0.5 if p.proba.shape[2] == 2 else 1.0
    return np.asarray(scale * ((p.proba.astype(np.float64) - right) ** 2).sum(axis=2))


def balanced_accuracy(p: Predictions) -> Array:
    """Influence values of the mean recall of the classes."""
    _, codes, sizes = np.unique(p.target, return_inverse=True, return_counts=True)
    right = p.label == p.target
    recall = np.stack([np.bincount(codes, r, len(sizes)) for r in right]) / sizes
    weight = len(codes) / (sizes[codes] * len(sizes))
    return np.asarray(recall.mean(axis=1, keepdims=True) + weight * (right - recall[:, codes]))


def f1_macro(p: Predictions) -> Array:
    """Influence values of the mean over classes of F1, the harmonic mean of precision and recall.

    F1 of a class is 2a / (b + d), with the shares a of examples that are of it and called so, b
    called so, d of it; 0 for a class that is never called right.
    """
    values = []
    for label in p.label:
        classes = np.union1d(p.target, label)
        of_it = p.target == classes[:, None]
        called = label == classes[:, None]
        either = of_it.astype(np.float64) + called
        size = either.mean(axis=1, keepdims=True)
        f1 = 2 * (of_it & called).mean(axis=1, keepdims=True) / size
        influence = (2.0 * (of_it & called) - f1 * either) / size
        values.append((f1 + influence).mean(axis=0))
    return np.stack(values)


def roc_auc(p: Predictions) -> Array | None:
    """Influence values of the area under the ROC curve; over two classes, the mean of one-vs-rest.

    Placement values (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44): of each example the
    share of the other kind that it is ranked rightly against, ties counted as half.
    """
    if p.proba is None:
        return None
    classes = np.arange(p.proba.shape[2])
    classes = classes[1:] if len(classes) == 2 else classes
    parts = []
    for c in classes:
        positive = p.target == c
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if not n_positive or not n_negative:
            return None
        scores = p.proba[:, :, c]
        within = np.empty(scores.shape)
        for mask in (positive, ~positive):
            within[:, mask] = stats.rankdata(scores[:, mask], axis=1)
        others_below = stats.rankdata(scores, axis=1) - within
        placed = np.where(positive, others_below / n_negative, 1 - others_below / n_positive)
        area = placed[:, positive].mean(axis=1, keepdims=True)
        share = np.where(positive, n_positive, n_negative) / len(positive)
        parts.append(area + (placed - area) / share)
    return np.asarray(np.mean(parts, axis=0))


def ece(p: Predictions) -> Array | None:
    """Values of the expected calibration error of the top label, fifteen bins of equal width.

    (Guo et al. 2017.) The gap between confidence and accuracy of an example, with the sign of its
    bin. The estimate itself is too high where bins hold few examples, more so for good models;
    the interval is around its expectation for as many test examples.
    """
    if p.proba is None:
        return None
    confidence = p.proba.max(axis=2).astype(np.float64)
    gap = confidence - (p.label == p.target)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    signs = [np.sign(np.bincount(b, g, ECE_BINS)) for b, g in zip(bins, gap, strict=True)]
    return np.stack([g * s[b] for g, s, b in zip(gap, signs, bins, strict=True)])


def gaussian_nll(p: Predictions) -> Array | None:
    """Minus the log density of the target under the predicted normal, nats."""
    if p.std is None:
        return None
    std = p.std.astype(np.float64)
    return np.asarray(0.5 * np.log(2 * np.pi * std**2) + (p.label - p.target) ** 2.0 / (2 * std**2))


CLASSIFICATION: Task = "classification"
REGRESSION: Task = "regression"
METRICS = {
    m.name: m
    for m in (
        Metric("accuracy", "accuracy", True, accuracy, CLASSIFICATION, "proportion", percent=True),
        Metric("log_loss", "log loss", False, log_loss, CLASSIFICATION, "nonnegative"),
        Metric("brier", "Brier score", False, brier, CLASSIFICATION, "nonnegative"),
        Metric(
            "balanced_accuracy",
            "balanced accuracy",
            True,
            balanced_accuracy,
            CLASSIFICATION,
            "proportion",
            percent=True,
        ),
        Metric("f1_macro", "macro F1", True, f1_macro, CLASSIFICATION, "proportion", percent=True),
        Metric("roc_auc", "ROC AUC", True, roc_auc, CLASSIFICATION, "proportion"),
        Metric("ece", "calibration error", False, ece, CLASSIFICATION, "nonnegative"),
        Metric("rmse", "RMSE", False, rmse, REGRESSION, "log"),
        Metric("nll", "Gaussian NLL", False, gaussian_nll, REGRESSION),
        Metric("mae", "MAE", False, mae, REGRESSION, "nonnegative"),
        Metric("r2", "R²", True, r2, REGRESSION),
    )
}

# Declared before any run: the first decides the rank, the second stands beside it on the board.
DECLARED: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy", "log_loss"),
    "regression": ("rmse", "nll", "r2", "mae"),
}
