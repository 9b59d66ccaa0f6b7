"""Kernel ridge regression and classification that choose their own bandwidth and penalty.

Everything is chosen inside the training rows by closed-form leave-one-out: with the kernel matrix
K, the penalty p and G = K + pI, the prediction for row i by the model fitted without row i misses
its target by [G⁻¹y]_i / [G⁻¹]_ii (Rifkin and Lippert, 2007, "Notes on regularized least squares",
MIT-CSAIL-TR-2007-025, eq. 15), so no model has to be fitted twice. Up to `max_exact` rows the
solution is exact; above it is Nyström's (Williams and Seeger, 2001), which uses all rows too but
spans its functions by the kernel at some of them, the landmarks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

# Bandwidths that are compared, in multiples of the median distance between two training rows.
BANDWIDTHS = {"rbf": (0.25, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5), "laplacian": (0.5, 1.0, 2.0, 4.0, 8.0)}
# Half decades; the kernel's diagonal is 1, so they need no other scale.
PENALTIES = 10.0 ** np.arange(-6, 2.1, 0.5)
TUNING_ROWS = 2_000  # rows on which kernel and bandwidth are compared
DOUBLE_ROWS = 3_000  # up to as many rows everything is float64
CHECKED_ROWS = 10_000  # rows on which Nyström solutions are left out one by one
BLOCK = 1_024  # rows whose distances are computed at a time


class _KernelRidge(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share: k targets at once, all with one kernel."""

    def __init__(
        self,
        kernel: str = "auto",
        max_exact: int = 10_000,
        n_landmarks: int = 4_000,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.kernel = kernel
        self.max_exact = max_exact
        self.n_landmarks = n_landmarks
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def _fit(self, X: NDArray[Any], Y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fits to Y, (n, k) with column means 0. Returns the leave-one-out predictions of the
        rows `self._checked`, (their number, k)."""
        if self.kernel != "auto" and self.kernel not in BANDWIDTHS:
            raise ValueError(f"kernel must be auto, {' or '.join(BANDWIDTHS)}, not {self.kernel!r}")
        random = check_random_state(self.random_state)
        order = random.permutation(len(X))
        self._mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
        with full_float32():
            self._choose(X, Y, order[:TUNING_ROWS])
            solve = self._solve_exact if len(X) <= self.max_exact else self._solve_nystrom
            loo: NDArray[np.float64] = solve(X, Y, order)
        self.loo_score_ = float(np.mean(np.sum((loo - Y[self._checked]) ** 2, axis=1)))
        return loo

    def _choose(self, X: NDArray[Any], Y: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
        """Kernel, bandwidth and penalty with the least leave-one-out squared error on these rows.

        One distance matrix for all settings and one eigendecomposition a kernel matrix for all
        penalties: with K = QΛQᵀ, G⁻¹ = Q(Λ + p)⁻¹Qᵀ.
        """
        part = X[rows]
        D = self._fill(part, part, _identity, torch.float64)
        off_diagonal = D[~torch.eye(len(D), dtype=torch.bool, device=D.device)].sqrt_()
        median = float(off_diagonal.median()) or float(off_diagonal.mean()) or 1.0
        target = self._tensor(Y[rows])
        penalties = self._tensor(PENALTIES)
        best: list[tuple[float, str, float, float]] = []
        for kernel in BANDWIDTHS if self.kernel == "auto" else (self.kernel,):
            for multiple in BANDWIDTHS[kernel]:
                values, Q = torch.linalg.eigh(kernel_of(D.clone(), kernel, multiple * median))
                shrunk = 1 / (values.clamp(min=0)[:, None] + penalties)
                leverage = Q.square() @ shrunk
                coefficients = Q.T @ target
                errors = [
                    float((Q @ (coefficients * s[:, None]) / g[:, None]).square().sum(1).mean())
                    for s, g in zip(shrunk.T, leverage.T, strict=True)
                ]
                best.append((min(errors), kernel, multiple * median, float(flattest(errors))))
        _, self.kernel_, self.bandwidth_, self.penalty_ = min(best)

    def _solve_exact(
        self, X: NDArray[Any], Y: NDArray[np.float64], order: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """All rows, by Cholesky; the penalty is moved on while leave-one-out gets better by it."""
        small = len(X) <= DOUBLE_ROWS
        dtype = torch.float64 if small else torch.float32
        K = self._fill(X, X, self._kernel, dtype)
        tried: dict[int, tuple[float, Tensor, Tensor]] = {}
        start = here = int(np.argmin(np.abs(np.log(PENALTIES / self.penalty_))))

        def error(at: int) -> float:
            if not 0 <= at < len(PENALTIES):
                return np.inf
            if at not in tried:
                dual, loo = self._leave_one_out(K, Y, float(PENALTIES[at]))
                tried[at] = (float((loo - self._tensor(Y)).square().sum(1).mean()), dual, loo)
            return tried[at][0]

        # With more rows the best penalty is rarely smaller than on the subset, so look up first.
        for step in (1, -1):
            while abs(here + step - start) <= MOST_STEPS and error(here + step) < error(here):
                here += step
            if here != start:
                break
        _, dual, loo = tried[here]
        self.penalty_ = float(PENALTIES[here])
        self.X_fit_, self.dual_coef_ = X, dual.cpu().numpy()
        self._checked = np.arange(len(X))
        return loo.cpu().numpy()
