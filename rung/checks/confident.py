"""Which labels contradict what a model says of examples that it was not trained on.

`proba` is (n, n_classes), out-of-sample probabilities, each row summing to one; `given` is (n,)
int codes, the labels as they stand.

Confident learning (Northcutt, Jiang and Chuang, 2021, J. Artif. Intell. Res. 70) counts labels that
a model contradicts and ranks them. It can't tell a wrong label from an example between two classes.
The floor can: where classes merely overlap a model is contradicted the less often the surer it is,
but wrong labels contradict it where it is sure as often as anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax
from scipy.stats import norm

SMALLEST = 1e-6  # a smaller probability says no more than that


def thresholds(proba: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_classes,) the mean probability of a class over the examples that have its label; 1 for a
    class without any."""
    counts = np.bincount(given, minlength=proba.shape[1])
    sums = np.bincount(given, proba[np.arange(len(given)), given], minlength=proba.shape[1])
    return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), 1.0))


def confident_joint(proba: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n_classes, n_classes) counts: of label i, but most probably of class j, among those classes
    that are at least as probable as they are on average where they are the label."""
    k = proba.shape[1]
    sure = proba >= thresholds(proba, given) - 1e-9
    best = np.where(sure, proba, -1.0).argmax(axis=1)
    rows = sure.any(axis=1)
    return np.bincount(k * given[rows] + best[rows], minlength=k * k).reshape(k, k)


def estimated(proba: NDArray[np.float64], given: NDArray[np.int64]) -> int:
    """How many labels are wrong, by the confident joint scaled to the sizes of the classes."""
    joint = confident_joint(proba, given)
    sums = joint.sum(axis=1)
    right = np.where(sums > 0, np.diag(joint) / np.maximum(sums, 1), 1.0)
    return round(float(np.bincount(given, minlength=len(joint)) @ (1 - right)))


@dataclass(frozen=True, eq=False)
class Floor:
    """share: of labels that another class was drawn for, by maximum likelihood. p_value: of it
    being no more than was tolerated. proba: (n, n_classes), of the true class by that model."""

    share: float
    p_value: float
    proba: NDArray[np.float64]


def floor(proba: NDArray[np.float64], given: NDArray[np.int64], tolerated: float) -> Floor:
    """How often a label contradicts the model however sure that is.

    The true class is drawn from softmax(a·log p + b); the label is that or, with the probability
    `share`, another class at random: a psychometric function with lapses (Wichmann and Hill, 2001,
    Percept. Psychophys. 63). Scale and bias mend a model that is too sure or not sure enough, as
    one is that was trained on wrong labels; they can't make up for a floor. (It must not be in the
    probabilities already, as in those of a model that is free to level off, an average over trees.)
    p_value: by the signed root of the likelihood ratio.
    """
    n, k = proba.shape
    logs = np.log(np.clip(proba, SMALLEST, None))
    hits = np.eye(k)[given]

    def true_class(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(softmax(np.exp(theta[0]) * logs + theta[1:], axis=1))

    def loss(theta: NDArray[np.float64], share: float) -> tuple[float, NDArray[np.float64]]:
        p = true_class(theta)
        own = p[np.arange(n), given]
        likelihood = (1 - share) * own + share * (1 - own) / (k - 1)
        weight = (1 - share - share / (k - 1)) * own / likelihood
        slope = weight[:, None] * (p - hits)
        of_scale = np.exp(theta[0]) * np.sum(slope * logs)
        # A weak prior, worth about one example, keeps both finite where classes are separable.
        value = theta @ theta / 2 - np.log(likelihood).sum()
        return float(value), np.concatenate([[of_scale], slope.sum(axis=0)]) + theta

    def fit(share: float) -> Any:
        return minimize(loss, np.zeros(1 + k), (share,), jac=True, method="L-BFGS-B")

    most = 1 - 1 / k  # where a label says nothing any more
    best = minimize_scalar(lambda share: fit(share).fun, bounds=(0, most), options={"xatol": 1e-3})
    share, least = float(best.x), float(best.fun)
    root = np.sign(share - tolerated) * np.sqrt(2 * max(fit(tolerated).fun - least, 0.0))
    return Floor(share, float(norm.sf(root)), true_class(fit(share).x))


def ranked(proba: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) the examples, the one whose label is least probable first.

    With the probabilities of `Floor` this is the order of how likely a label is wrong.
    """
    return np.argsort(proba[np.arange(len(given)), given], kind="stable")
