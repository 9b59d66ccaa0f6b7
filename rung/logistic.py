"""Logistic regression by a preconditioned L-BFGS, with the penalty chosen on held-out rows.

The model is scikit-learn's `LogisticRegression` (multinomial, L2). The search runs in coordinates in
which the objective is about equally steep in all directions, and so needs about a tenth of the
passes over the data. They come from the eigenvectors of XᵀX, or, where that is large, of some rows'
(as for kernels in Gardner et al., 2018, arXiv:1809.11165). All penalties share them, and the search
for each starts where the last one ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import OptimizeResult, minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

SAMPLE = 500  # columns up to which XᵀX is decomposed; of more columns so many rows are
TOLERANCE = 1e-4  # the share of the objective that it may lie above its least value, by estimate
MOST_STEPS = 1_000
FEWEST_OF_A_CLASS = 5  # to hold some out
MANY_VALUES = 1_000_000  # above it one held-out part does for the choice


class LogisticRegressionCV(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression with the penalty of the least held-out log loss.

    X: (n, n_features) float, on comparable scales. Cs: inverse penalties that are compared, by
    five folds, or on a tenth of the rows where there are many values; None: 0.1, 1, 10 and 100
    over the number of features. With C = 1/d the logits of standardised features have a variance of
    about one a priori, and that is taken where a class is too small to hold some of it out. After
    fit: classes_, coef_ (k, d), intercept_ (k,), C_.
    """

    def __init__(self, Cs: Sequence[float] | None = None, tol: float = TOLERANCE) -> None:
        self.Cs = Cs
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """y: (n,) labels of two classes or more. Raises ValueError for bad input."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs two classes, and there is one class: {y[0]!r}")
        d = X.shape[1]
        path = sorted(self.Cs) if self.Cs is not None else [c / d for c in (0.1, 1, 10, 100)]
        self.C_ = path[0] if len(path) == 1 else 1 / d
        problem = Problem(X, codes, len(self.classes_), self.tol)
        start = problem.start()
        if len(path) > 1 and np.bincount(codes).min() >= FEWEST_OF_A_CLASS:
            losses = np.zeros(len(path))
            for train, held in folds(X, codes):
                part = Problem(X[train], codes[train], len(self.classes_), self.tol)
                theta = part.start()
                for i, C in enumerate(path):
                    theta = part.solve(C, theta)
                    logs = log_softmax(X[held] @ theta[:-1] + theta[-1], axis=1)
                    losses[i] -= logs[np.arange(len(held)), codes[held]].sum(dtype=np.float64)
                    if path[int(np.argmin(losses[: i + 1]))] == C:
                        start = theta
                    elif losses[i] > 2 * losses[: i + 1].min():
                        losses[i + 1 :] = np.inf  # it only gets worse with less of a penalty
                        break
            self.C_ = path[int(np.argmin(losses))]
        theta = problem.solve(self.C_, start)
        self.coef_, self.intercept_ = theta[:-1].T, theta[-1]
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits: (n, k), or (n,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        logits = np.asarray(X @ self.coef_.T + self.intercept_)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, (n, k)."""
        logits = self.decision_function(X).astype(np.float64)
        if logits.ndim == 1:
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        return np.asarray(softmax(logits, axis=1))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable labels, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def folds(X: NDArray[Any], codes: NDArray[np.int64]) -> Any:
    """(rows to train on, rows held out), stratified."""
    if X.size < MANY_VALUES:
        return StratifiedKFold(5).split(X, codes)
    held = max(math.ceil(len(X) / 10), int(codes.max()) + 1)  # one of each class at the least
    return StratifiedShuffleSplit(1, test_size=held, random_state=0).split(X, codes)


class Problem:
    """The data of one training part, and the coordinates that all penalties share.

    X: (n, d); codes: (n,) of k classes. A solution is (d + 1, k): the weights, the intercept last.
    """

    def __init__(self, X: NDArray[Any], codes: NDArray[np.int64], k: int, tol: float) -> None:
        self.X, self.tol = X, tol
        self.Y = np.eye(k, dtype=X.dtype)[codes]
        self.shares = np.clip(self.Y.mean(axis=0, dtype=np.float64), 1e-6, 1)
        n, d = X.shape
        step = max(1, n // SAMPLE)
        part = X[::step]
        values, vectors = eigh(X.T @ X if d <= SAMPLE else part @ part.T * step)
        kept = values > max(values[-1], 0) * 1e-7
        self.values, self.vectors = values[kept], vectors[:, kept]
        if d > SAMPLE:
            self.vectors = part.T @ (self.vectors * np.sqrt(step / self.values))

    def start(self) -> NDArray[Any]:
        """The class frequencies."""
        theta = np.zeros((self.X.shape[1] + 1, len(self.shares)), self.X.dtype)
        theta[-1] = np.log(self.shares)
        return theta

    def turned(self, V: NDArray[Any], scales: NDArray[Any]) -> NDArray[Any]:
        """V (d, k) with its parts along the eigenvectors scaled, the rest as it is."""
        along = self.vectors.T @ V
        return np.asarray(V + self.vectors @ ((scales - 1).astype(V.dtype)[:, None] * along))

    def solve(self, C: float, start: NDArray[Any]) -> NDArray[Any]:
        """The least of the summed log loss + |W|² / 2C, to `tol` of it.

        Two classes have one logit, of which each gets half: twice the penalty for the same model.
        """
        X, Y, k = self.X, self.Y, self.Y.shape[1]
        penalty = (2.0 if k == 2 else 1.0) / C
        proba = softmax(X @ start[:-1] + start[-1], axis=1)
        curvature = mean_curvature(proba)
        # Where the Hessian of the loss is `curvature` XᵀX, that of the whole is one in V.
        scales = 1 / np.sqrt(1 + curvature / penalty * self.values)
        unit = X.dtype.type(np.sqrt(penalty))
        bias_unit = X.dtype.type(np.sqrt(len(X) * curvature))
        newest = (0.0, 0.0)  # objective, and how far it is above its least value

        def weights(flat: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
            V = flat.reshape(-1, k).astype(X.dtype)
            return self.turned(V[:-1] / unit, scales), V[-1] / bias_unit

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            nonlocal newest
            W, intercept = weights(flat)
            logs = log_softmax(X @ W + intercept, axis=1)
            loss = -float(np.einsum("ij,ij->", logs, Y, dtype=np.float64))
            loss += penalty / 2 * float(np.einsum("ij,ij->", W, W, dtype=np.float64))
            proba = np.exp(logs)
            flatter = max(curvature / mean_curvature(proba), 1.0)
            miss = proba - Y
            slope = (np.ascontiguousarray(miss.T) @ X).T  # a third of the time of X.T @ miss
            slope = self.turned(slope + X.dtype.type(penalty) * W, scales) / unit
            gradient = np.vstack([slope, miss.sum(axis=0) / bias_unit]).astype(np.float64).ravel()
            newest = loss, flatter * float(gradient @ gradient) / 2
            return loss, gradient

        def near(intermediate_result: OptimizeResult) -> None:
            if newest[1] < self.tol * newest[0]:
                raise StopIteration

        V = np.vstack([self.turned(start[:-1], 1 / scales) * unit, start[-1:] * bias_unit])
        search = {"maxiter": MOST_STEPS, "maxcor": 20, "ftol": 1e-12, "gtol": 0}
        found = minimize(
            objective,
            V.astype(np.float64).ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=near,
            options=search,
        )
        return np.vstack([part.reshape(-1, k) for part in weights(found.x)])


def mean_curvature(proba: NDArray[Any]) -> float:
    """Of the log loss in a logit; a positive number."""
    return max(float((proba * (1 - proba)).mean(dtype=np.float64)), 1e-6)
