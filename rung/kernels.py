"""Kernel ridge regression and classification that choose their own kernel, bandwidth and penalty.

Everything is chosen inside the training rows by closed-form leave-one-out: with the kernel matrix
K, the penalty p and G = K + pI, the model fitted without row i misses its target by
[G⁻¹y]_i / [G⁻¹]_ii (Rifkin and Lippert, 2007, "Notes on regularized least squares", MIT-CSAIL-
TR-2007-025), so nothing is fitted twice. Up to `max_exact` rows the solution is exact; above it
is Nyström's (Williams and Seeger, 2001), which fits all rows too, with functions that are
spanned by the kernel at some of them, the landmarks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

# Bandwidths that are compared, in multiples of the median distance between two training rows.
BANDWIDTHS = {"rbf": (0.25, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5), "laplacian": (0.5, 1.0, 2.0, 4.0, 8.0)}
PENALTIES = 10.0 ** np.arange(-6, 2.1, 0.5)  # half decades; the kernel's diagonal is 1
TUNING_ROWS = 1_000  # rows, drawn at random, on which kernels and bandwidths are compared
LEFT_OUT_ROWS = 8_000  # rows that a Nyström solution is judged and calibrated on
FLOAT64_ROWS = 3_000  # up to as many rows everything is float64
FLOAT64_FEATURES = 64  # up to as many features float64 distances cost next to nothing
FLOAT64_PENALTY = 3e-3  # below it G is too badly conditioned for float32
BLOCK = 2_048  # rows and columns of a kernel matrix that are made at a time


class _KernelRidge(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share: several targets with one kernel.

    kernel: "rbf" exp(-d²/2s²), "laplacian" exp(-d/s), d Euclidean, or "auto": the better
    one, and above max_exact rows "rbf".
    max_exact: rows up to which the solution is exact (memory grows with their square).
    n_landmarks: landmarks of the Nyström solution above that.
    max_rows: of more rows, so many are drawn (their number: `n_train_`).
    n_odd: how many of the last features change sign, all together, in the mirror image of an
    example. With more than none, the kernel averaged over an example and its image is tried:
    it gives what training on all images too would give, from a matrix of the same size.
    precision: accepted and ignored; factorisations are always float32 or float64, without TF32.
    """

    def __init__(
        self,
        kernel: str = "auto",
        max_exact: int = 10_000,
        n_landmarks: int = 5_000,
        max_rows: int = 100_000,
        n_odd: int = 0,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.kernel = kernel
        self.max_exact = max_exact
        self.n_landmarks = n_landmarks
        self.max_rows = max_rows
        self.n_odd = n_odd
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def _fit(
        self, X: NDArray[Any], Y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Fits to Y, (n, outputs) with means 0. Returns row numbers, and the predictions for these
        rows by models that did not see them."""
        if self.kernel != "auto" and self.kernel not in BANDWIDTHS:
            raise ValueError(f"no kernel {self.kernel!r}; say auto, {' or '.join(BANDWIDTHS)}")
        order = check_random_state(self.random_state).permutation(len(X))
        if len(X) > self.max_rows:
            drawn = np.sort(order[: self.max_rows])
            rows, left_out = self._fit(X[drawn], Y[drawn])
            return drawn[rows], left_out
        self.n_train_ = len(X)
        self.center_ = X.mean(axis=0, dtype=np.float64)
        self.center_[len(self.center_) - self.n_odd :] = 0
        with full_float32():
            self._choose(X, Y, order)
            if len(X) > self.max_exact:
                rows, left_out = self._solve_nystrom(X, Y, order)
            else:
                double = len(X) <= FLOAT64_ROWS or self.penalty_ < FLOAT64_PENALTY
                try:
                    left_out = self._solve(X, Y, torch.float64 if double else torch.float32)
                except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                    left_out = self._solve(X, Y, torch.float64)
                rows = np.arange(len(X))
        self.loo_score_ = -float(np.sum((left_out - Y[rows]) ** 2, axis=1).mean())
        return rows, left_out

    def _choose(self, X: NDArray[Any], Y: NDArray[np.float64], order: NDArray[np.int64]) -> None:
        """Kernel, bandwidth, penalty and mirroring of the least leave-one-out error on a subset.

        Where the solution will be Nyström's they are compared as such, with the subset as the
        landmarks of more rows: few landmarks ask for a smoother kernel than an exact solution.
        One distance matrix serves all kernels and bandwidths.
        """
        self.mirrored_ = False
        exact = len(X) <= self.max_exact
        part = X[order[:TUNING_ROWS]]
        rows = order[:TUNING_ROWS] if exact else order[-LEFT_OUT_ROWS:]
        judged = part if exact else X[rows]
        target = self._tensor(Y[rows])

        def matrices(function: Callable[[Tensor, Tensor | None], Tensor]) -> tuple[Tensor, Tensor]:
            K = self._matrix(part, part, function, torch.float64)
            return K, K if exact else self._matrix(part, judged, function, torch.float32)

        def error(K: Tensor, cross: Tensor) -> tuple[float, float]:
            return least_error(left_out(K, target) if exact else nystrom(K, cross, target))

        squared, cross = matrices(lambda squares, images: squares)
        upper = squared[tuple(torch.triu_indices(len(part), len(part), 1, device=self.device))]
        # More than half of the rows may be duplicates, or all of them.
        median = float(upper.median().sqrt()) or float(upper.mean().sqrt()) or 1.0
        found = []
        # A Laplacian kernel's spectrum decays too slowly for landmarks to span its functions.
        able = tuple(BANDWIDTHS) if exact else ("rbf",)
        for kernel in able if self.kernel == "auto" else (self.kernel,):
            for bandwidth in (multiple * median for multiple in BANDWIDTHS[kernel]):
                pair = [apply_kernel(m.clone(), kernel, bandwidth) for m in (squared, cross)]
                found.append((*error(*pair), kernel, bandwidth))
        plain, self.penalty_, self.kernel_, self.bandwidth_ = min(found)
        if self.n_odd:
            self.mirrored_ = True
            mirrored, penalty = error(*matrices(self._kernel))
            self.mirrored_ = mirrored < plain
            self.penalty_ = penalty if self.mirrored_ else self.penalty_

    def _solve(
        self, X: NDArray[Any], Y: NDArray[np.float64], dtype: torch.dtype
    ) -> NDArray[np.float64]:
        """Exact, by Cholesky. With more rows than were tuned on, neighbouring penalties are tried.

        Raises LinAlgError if the matrix is not positive definite in this precision.
        """
        K = self._matrix(X, X, self._kernel, dtype)
        target = torch.as_tensor(Y, dtype=dtype, device=self.device)
        at = int(np.argmin(np.abs(np.log(PENALTIES / self.penalty_))))
        tried = slice(max(at - 1, 0), at + 2) if len(X) > TUNING_ROWS else slice(at, at + 1)
        least = np.inf
        for penalty in PENALTIES[tried]:
            G = K.clone()
            G.diagonal().add_(penalty)
            factor = torch.linalg.cholesky(G)
            del G
            dual = torch.cholesky_solve(target, factor)
            miss = dual / inverse_diagonal(factor)[:, None]
            del factor
            error = float(miss.double().square().sum())
            if error < least:
                least, self.penalty_ = error, float(penalty)
                self.X_fit_, self.dual_coef_ = X, dual.cpu().numpy()
                left_out = (target - miss).double().cpu().numpy()
        return left_out

    def _solve_nystrom(
        self, X: NDArray[Any], Y: NDArray[np.float64], order: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Ridge on the features Φ = K_nm L⁻ᵀ, K_mm = LLᵀ, whose inner products are Nyström's K."""
        landmarks = X[np.sort(order[: self.n_landmarks])]
        L = nystrom_factor(self._matrix(landmarks, landmarks, self._kernel, torch.float64))
        L32 = L.float()
        gram = torch.zeros_like(L)
        projected = L.new_zeros(len(L), Y.shape[1])
        for start in range(0, len(X), BLOCK):
            phi = self._features(X[start : start + BLOCK], landmarks, L32)
            for i in range(0, len(L), BLOCK // 2):  # eigh reads the lower triangle only
                gram[i:, i : i + BLOCK // 2] += phi[i:] @ phi[i : i + BLOCK // 2].T
            projected += phi.double() @ self._tensor(Y[start : start + BLOCK])
        values, V = torch.linalg.eigh(gram)
        del gram
        coefficients = V.T @ projected
        rows = np.sort(order[-LEFT_OUT_ROWS:])
        misses = []
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            phi = self._features(X[part], landmarks, L32).T @ V.float()
            misses.append(ridge_left_out(phi, self._tensor(Y[part]), values, coefficients))
        miss = torch.cat(misses, dim=1)
        _, self.penalty_ = least_error(miss)
        best = int(np.abs(PENALTIES - self.penalty_).argmin())
        shrunk = coefficients / (values.clamp(min=0) + self.penalty_)[:, None]
        dual = torch.linalg.solve_triangular(L.T, V @ shrunk, upper=True)
        self.X_fit_, self.dual_coef_ = landmarks, dual.cpu().numpy()
        return rows, Y[rows] - miss[best].cpu().numpy()

    def _features(self, X: NDArray[Any], landmarks: NDArray[Any], L: Tensor) -> Tensor:
        K = self._matrix(landmarks, X, self._kernel, L.dtype)
        features: Tensor = torch.linalg.solve_triangular(L, K, upper=False)
        return features

    def _response(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """The fitted functions at X: (n, outputs)."""
        dual = torch.as_tensor(self.dual_coef_, device=self.device)
        with full_float32():
            parts = [
                (self._matrix(X[i : i + BLOCK], self.X_fit_, self._kernel, dual.dtype) @ dual).cpu()
                for i in range(0, len(X), BLOCK)
            ]
        return torch.cat(parts).double().numpy()

    def _kernel(self, squares: Tensor, images: Tensor | None) -> Tensor:
        K = apply_kernel(squares, self.kernel_, self.bandwidth_)
        if images is None:
            return K
        return K.add_(apply_kernel(images, self.kernel_, self.bandwidth_)).div_(2)

    def _matrix(
        self,
        A: NDArray[Any],
        B: NDArray[Any],
        function: Callable[[Tensor, Tensor | None], Tensor],
        dtype: torch.dtype,
    ) -> Tensor:
        """`function` of the squared distances between the rows of A and of B, and those to the
        mirror images of the rows of B, block by block. Where A is B, one half is made and copied.
        """
        work = torch.float64 if A.shape[1] <= FLOAT64_FEATURES else dtype
        out = torch.empty(len(A), len(B), dtype=dtype, device=self.device)
        for i in range(0, len(A), BLOCK):
            a = self._centered(A[i : i + BLOCK], work)
            for j in range(0, i + 1 if A is B else len(B), BLOCK):
                b = a if A is B and i == j else self._centered(B[j : j + BLOCK], work)
                squares, images = squared_distances(a, b), None
                if self.mirrored_:  # |a - b'|² = |a - b|² + 4 a·b over the odd features
                    odd = slice(a.shape[1] - self.n_odd, None)
                    images = torch.addmm(squares, a[:, odd], b[:, odd].T, alpha=4).clamp_(min=0)
                block = function(squares, images).to(dtype)
                out[i : i + len(a), j : j + len(b)] = block
                if A is B and i != j:
                    out[j : j + len(b), i : i + len(a)] = block.T
        return out

    def _centered(self, X: NDArray[Any], dtype: torch.dtype) -> Tensor:
        # Distances do not change, but their rounding errors get smaller.
        rows = torch.tensor(X, dtype=dtype, device=self.device)
        return rows.sub_(torch.as_tensor(self.center_, dtype=dtype, device=self.device))

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64, device=self.device)


class KernelRidgeClassifier(ClassifierMixin, _KernelRidge):  # type: ignore[misc]
    """Kernel ridge regression on centred one-hot targets, with calibrated probabilities.

    X: (n, n_features) float, on comparable scales. Probabilities are the softmax of the scores,
    scaled and shifted by class so that the leave-one-out predictions have the least log loss.
    After fit: kernel_, bandwidth_ (in units of X), penalty_, loo_score_ (minus the mean squared
    leave-one-out error, summed over classes), scale_, bias_, classes_, n_train_.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """y: (n,) labels. Raises ValueError for NaN, one row alone or an unknown kernel."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        Y = np.eye(len(self.classes_))[codes]
        self.prior_ = Y.mean(axis=0)
        rows, left_out = self._fit(X, Y - self.prior_)
        self.scale_, self.bias_ = calibrate(left_out, codes[rows])
        return self

    def _logits(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.scale_ * self._response(X) + self.bias_

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Logits, (n, n_classes); for two classes (n,), that of the second against the first."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        return np.asarray(softmax(self._logits(X), axis=1))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable labels, (n,)."""
        codes = self._logits(X).argmax(axis=1)
        return np.asarray(self.classes_[codes])


class KernelRidgeRegressor(RegressorMixin, _KernelRidge):  # type: ignore[misc]
    """Kernel ridge regression on the target standardised inside.

    X: (n, n_features) float, on comparable scales. After fit: kernel_, bandwidth_ (in units of X),
    penalty_, loo_score_ (minus the mean squared leave-one-out error, in units of the target's
    variance), n_train_.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """y: (n,) numbers. Raises ValueError for NaN, one row alone or an unknown kernel."""
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2, y_numeric=True
        )
        y = y.astype(np.float64)
        self.mean_, deviation = float(y.mean()), float(y.std())
        self.deviation_ = deviation if deviation > 0 else 1.0
        self._fit(X, ((y - self.mean_) / self.deviation_)[:, None])
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The regression function at X, (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.mean_ + self.deviation_ * self._response(X)[:, 0]


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances between the rows of a and b; 0 where rounding hides them."""
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    squares = torch.addmm(norms, a, b.T, alpha=-2)
    # The difference of large numbers: below a few roundings of them there is only noise, which
    # the square root in the Laplacian kernel would magnify.
    return squares.masked_fill_(squares < 8 * torch.finfo(a.dtype).eps * norms, 0)


def left_out(K: Tensor, target: Tensor) -> Tensor:
    """What rows are missed by when left out, (penalties, n, outputs); K: (n, n), all float64.

    One eigendecomposition K = QΛQᵀ serves all penalties.
    """
    values, Q = torch.linalg.eigh(K)
    shrunk = 1 / (values.clamp(min=0)[:, None] + torch.as_tensor(PENALTIES).to(K))
    dual = torch.tensordot(Q, shrunk[:, :, None] * (Q.T @ target)[:, None, :], dims=1)
    miss: Tensor = dual / (Q.square() @ shrunk)[:, :, None]
    return miss.movedim(1, 0)


def ridge_left_out(phi: Tensor, target: Tensor, values: Tensor, coefficients: Tensor) -> Tensor:
    """The same for ridge on features in the basis where their Gram matrix is diag(values).

    A row misses by its residual / (1 - h), with the leverage h = Σ_j φ_j² / (values_j + p).
    """
    shrunk = 1 / (values.clamp(min=0)[:, None] + torch.as_tensor(PENALTIES).to(values))
    weights = shrunk[:, :, None] * coefficients[:, None, :]
    residual = target[:, None, :] - torch.tensordot(phi.double(), weights, dims=1)
    free = (1 - phi.double().square() @ shrunk).clamp(min=1e-6)
    miss: Tensor = residual / free[:, :, None]
    return miss.movedim(1, 0)


def nystrom(K: Tensor, cross: Tensor, target: Tensor) -> Tensor:
    """The same for a Nyström solution; K: (landmarks, landmarks), cross: (landmarks, n)."""
    phi = torch.linalg.solve_triangular(nystrom_factor(K).to(cross), cross, upper=False)
    values, V = torch.linalg.eigh((phi @ phi.T).double())
    coefficients = V.T @ (phi.double() @ target)
    return ridge_left_out(phi.T @ V.to(phi), target, values, coefficients)


def nystrom_factor(K: Tensor) -> Tensor:
    """The Cholesky factor of K, whose diagonal is raised by what float32 can't resolve."""
    K.diagonal().add_(1e-6)
    factor: Tensor = torch.linalg.cholesky(K)
    return factor


def least_error(miss: Tensor) -> tuple[float, float]:
    """The least mean squared error and its penalty; miss: (penalties, n, outputs)."""
    errors = miss.square().sum(2).mean(1).cpu().numpy()
    # The curve is flat: of penalties that are as good, the largest gives the most stable solution.
    return float(errors.min()), float(PENALTIES[errors <= 1.001 * errors.min()].max())


def apply_kernel(squares: Tensor, kernel: str, bandwidth: float) -> Tensor:
    """The kernel of squared distances, in their place."""
    if kernel == "rbf":
        return squares.div_(-2 * bandwidth**2).exp_()
    return squares.sqrt_().div_(-bandwidth).exp_()


def inverse_diagonal(factor: Tensor) -> Tensor:
    """The diagonal of (LLᵀ)⁻¹: squared norms of the columns of L⁻¹, a block of them at a time."""
    n = len(factor)
    diagonal = factor.new_empty(n)
    for start in range(0, n, BLOCK // 4):
        width = min(BLOCK // 4, n - start)
        unit = factor.new_zeros(n - start, width)
        unit.diagonal().fill_(1)
        columns = torch.linalg.solve_triangular(factor[start:, start:], unit, upper=False)
        diagonal[start : start + width] = columns.square().sum(0)
    return diagonal


def calibrate(
    scores: NDArray[np.float64], codes: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Scale a > 0 and bias b, (n_classes,), of the least log loss of softmax(a·scores + b).

    A weak prior, worth about one example, keeps them finite where classes are tiny or separable.
    """
    n, k = scores.shape
    hits = np.eye(k)[codes]
    usual = 5.0  # the scale that one-hot regression most often needs

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, bias = usual * np.exp(theta[0]), theta[1:]
        logs = log_softmax(scale * scores + bias, axis=1)
        slope = np.exp(logs) - hits
        gradient = np.concatenate([[scale * np.sum(slope * scores)], slope.sum(axis=0)])
        return float((theta @ theta / 2 - logs[hits > 0].sum()) / n), (gradient + theta) / n

    theta = minimize(loss, np.zeros(1 + k), jac=True, method="L-BFGS-B").x
    return float(usual * np.exp(theta[0])), theta[1:]


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Matrix products without TF32, whose 10-bit mantissas make factorisations fail."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
