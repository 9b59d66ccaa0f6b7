"""Kernel ridge regression and classification that choose their own kernel, bandwidth and penalty.

Everything is chosen inside the training rows by closed-form leave-one-out: with the kernel matrix
K, the penalty p and G = K + pI, the model fitted without row i misses its target by
[G⁻¹y]_i / [G⁻¹]_ii (Rifkin and Lippert, 2007, "Notes on regularized least squares", MIT-CSAIL-
TR-2007-025), so nothing is fitted twice. Up to `max_exact` rows the solution is exact; above it
is Nyström's (Williams and Seeger, 2001), which fits all rows too, with functions that are
spanned by the kernel at some of them, the landmarks.

Kernel matrices are made in blocks. An exact solution holds at most `MATRICES` of (n, n) at once,
above 3,000 rows in float32 (1.1 GB for 9,469 rows, 43 GB for 60,000), unless its condition asks
for float64.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
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
BLOCK = 2_048  # rows and columns of a kernel matrix that are made at a time
MATRICES = 3  # of (n, n) at once: K, a Cholesky factor, and what is made of it

# A float32 solution with a penalty below the first is refined until its residual, in float64, is
# below the second, relative to the targets. On 4,000 rows of Imagenette, of digits and of a smooth
# function, with penalties from 1e-3 to 1e-6, leave-one-out errors in float32 were within .3 % of
# float64's wherever three rounds were enough (one was for Imagenette), and up to 2 % off elsewhere.
# Where they are not, or float32 can't factorise, as with the smoothest kernels and the least
# penalties, everything is done in float64.
REFINED_PENALTY, RESIDUAL, ROUNDS = 3e-3, 1e-6, 3


class _KernelRidge(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share: several targets with one kernel.

    kernel: "rbf" exp(-d²/2s²), "laplacian" exp(-d/s), d Euclidean, or "auto": the better
    one, and above max_exact rows "rbf".
    max_exact: rows up to which the solution is exact (memory grows with their square); None:
    10,000 on a processor, on a GPU as many as its free memory takes.
    n_landmarks: landmarks of the Nyström solution above that.
    max_rows: of more rows, so many are drawn (their number: `n_train_`).
    n_odd: how many of the last features change sign, all together, in the mirror image of an
    example. With more than none, the kernel averaged over an example and its image is tried:
    it gives what training on all images too would give, from a matrix of the same size.
    picture: (height, width, channels) of pictures that the features are; then the mirror image is
    theirs (of standardised pictures nearly that, as far as the mean picture is symmetric), and
    n_odd must be 0.
    precision: accepted and ignored; factorisations are always float32 or float64, without TF32.
    After fit: chosen_, all that was chosen, with the number of landmarks (None: exact).
    """

    def __init__(
        self,
        kernel: str = "auto",
        max_exact: int | None = None,
        n_landmarks: int = 5_000,
        max_rows: int = 100_000,
        n_odd: int = 0,
        picture: tuple[int, int, int] | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.kernel = kernel
        self.max_exact = max_exact
        self.n_landmarks = n_landmarks
        self.max_rows = max_rows
        self.n_odd = n_odd
        self.picture = picture
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def _fit(
        self, X: NDArray[Any], Y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Fits to Y, (n, outputs) with means 0. Returns row numbers, and the predictions for these
        rows by models that did not see them."""
        if self.picture and self.n_odd:
            raise ValueError("give picture or n_odd: they say in two ways what a mirror image is")
        if self.kernel != "auto" and self.kernel not in BANDWIDTHS:
            raise ValueError(f"no kernel {self.kernel!r}; say auto, {' or '.join(BANDWIDTHS)}")
        order = check_random_state(self.random_state).permutation(len(X))
        if len(X) > self.max_rows:
            drawn = np.sort(order[: self.max_rows])
            rows, left_out = self._fit(X[drawn], Y[drawn])
            return drawn[rows], left_out
        self.n_train_ = len(X)
        self.center_ = X.mean(axis=0, dtype=np.float64)
        # Which is to be its own mirror image.
        self.center_[len(self.center_) - self.n_odd :] = 0
        if self.picture:
            grid = self.center_.reshape(self.picture)
            self.center_ = (grid + grid[:, ::-1]).ravel() / 2
        with full_float32():
            exact = len(X) <= self._most_exact(4)
            self._choose(X, Y, order, exact)
            solution = self._solve(X, Y) if exact else None
            rows, left_out = solution or self._solve_nystrom(X, Y, order)
        self.loo_score_ = -float(np.sum((left_out - Y[rows]) ** 2, axis=1).mean())
        self.chosen_ = {
            "kernel": self.kernel_,
            "bandwidth": self.bandwidth_,
            "penalty": self.penalty_,
            "mirrored": self.mirrored_,
            "landmarks": None if solution else len(self.X_fit_),
        }
        return rows, left_out

    def _most_exact(self, itemsize: int) -> int:
        """Rows up to which an exact solution in numbers of so many bytes is made."""
        if self.max_exact is not None:
            return self.max_exact
        return most_rows(self.device, MATRICES * itemsize) or 10_000

    def _choose(
        self, X: NDArray[Any], Y: NDArray[np.float64], order: NDArray[np.int64], exact: bool
    ) -> None:
        """Kernel, bandwidth, penalty and mirroring of the least leave-one-out error on a subset.

        Where the solution will be Nyström's they are compared as such, with the subset as the
        landmarks of more rows: few landmarks ask for a smoother kernel than an exact solution.
        One distance matrix serves all kernels and bandwidths.
        """
        self.mirrored_ = False
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
                K = apply_kernel(squared.clone(), kernel, bandwidth)
                between = K if exact else apply_kernel(cross.clone(), kernel, bandwidth)
                found.append((*error(K, between), kernel, bandwidth))
        plain, self.penalty_, self.kernel_, self.bandwidth_ = min(found)
        if self.n_odd or self.picture:
            self.mirrored_ = True
            mirrored, penalty = error(*matrices(self._kernel))
            self.mirrored_ = mirrored < plain
            self.penalty_ = penalty if self.mirrored_ else self.penalty_

    def _solve(
        self, X: NDArray[Any], Y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Exact, or None where that takes more memory than there is.

        In float32, unless there are few rows or the matrix is too badly conditioned for it.
        """
        rows = np.arange(len(X))
        if len(X) > FLOAT64_ROWS:
            with contextlib.suppress(torch.linalg.LinAlgError):  # type: ignore[attr-defined]
                return rows, self._solve_in(torch.float32, X, Y)
            if len(X) > self._most_exact(8):
                return None
        return rows, self._solve_in(torch.float64, X, Y)

    def _solve_in(
        self, dtype: torch.dtype, X: NDArray[Any], Y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Exact, by Cholesky. With more rows than were tuned on, neighbouring penalties are tried.

        Raises LinAlgError if the matrix is not positive definite in this precision, or so nearly
        that refinement does not get to a small residual.
        """
        K = self._matrix(X, X, self._kernel, dtype)
        target = self._tensor(Y)

        def factorised(penalty: float) -> tuple[Tensor, Tensor]:
            G = K.clone()
            G.diagonal().add_(penalty)
            factor = cholesky_in_place(G)
            return factor, torch.cholesky_solve(target.to(dtype), factor).double()

        at = int(np.argmin(np.abs(np.log(PENALTIES / self.penalty_))))
        tried = slice(max(at - 1, 0), at + 2) if len(X) > TUNING_ROWS else slice(at, at + 1)
        least = np.inf
        for penalty in PENALTIES[tried]:
            factor, solved = factorised(penalty)
            diagonal = inverse_diagonal(factor).double()[:, None]
            del factor
            error = float((solved / diagonal).square().sum())
            if error < least:
                least, self.penalty_ = error, float(penalty)
                dual, free = solved, diagonal
        if dtype == torch.float32 and self.penalty_ < REFINED_PENALTY:
            factor, dual = factorised(self.penalty_)
            del K
            dual = self._refined(X, target, factor, dual)
        else:
            dual = dual.to(dtype)
        self.X_fit_, self.dual_coef_ = X, dual.cpu().numpy()
        left_out: NDArray[np.float64] = (target - dual / free).cpu().numpy()
        return left_out

    def _refined(self, X: NDArray[Any], target: Tensor, factor: Tensor, dual: Tensor) -> Tensor:
        """Iterative refinement: the float32 factor solves for residuals that are float64.

        Raises LinAlgError where the residual does not get small.
        """
        for left in reversed(range(ROUNDS + 1)):
            residual = target - self.penalty_ * dual
            for rows, columns, block in self._blocks(X, X, self._kernel, torch.float64):
                residual[rows] -= block @ dual[columns]
                if rows != columns:
                    residual[columns] -= block.T @ dual[rows]
            if residual.norm() <= RESIDUAL * target.norm():
                return dual
            if not left:
                break
            dual = dual + torch.cholesky_solve(residual.to(factor), factor).double()
        raise torch.linalg.LinAlgError("refinement does not converge")  # type: ignore[attr-defined]

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
        mirror images of the rows of B.
        """
        out = torch.empty(len(A), len(B), dtype=dtype, device=self.device)
        return fill(out, self._blocks(A, B, function, dtype), symmetric=A is B)

    def _blocks(
        self,
        A: NDArray[Any],
        B: NDArray[Any],
        function: Callable[[Tensor, Tensor | None], Tensor],
        dtype: torch.dtype,
    ) -> Iterator[Block]:
        work = torch.float64 if A.shape[1] <= FLOAT64_FEATURES else dtype
        odd = self._odd if self.mirrored_ else None
        return blocks(A, B, lambda rows: self._centered(rows, work), function, odd)

    def _odd(self, rows: Tensor) -> Tensor:
        if self.picture:
            return odd_part(rows, self.picture)
        return rows[:, rows.shape[1] - self.n_odd :]

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
        rows, left_out = self._fit(X, Y - Y.mean(axis=0))
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


Block = tuple[slice, slice, Tensor]  # rows, columns and what stands there


def blocks(
    A: Any,
    B: Any,
    load: Callable[[Any], Tensor],
    function: Callable[[Tensor, Tensor | None], Tensor],
    odd: Callable[[Tensor], Tensor] | None,
) -> Iterator[Block]:
    """`function` of the squared distances between rows of A and B, a block of them at a time.

    Where A is B, of the lower triangle alone. load: makes tensors of some rows. odd: the components
    of loaded rows, (n, some), that change sign in their mirror images; with it `function` gets
    also the squared distances to the mirror images of the rows of B, else None.
    """
    for i in range(0, len(A), BLOCK):
        a = load(A[i : i + BLOCK])
        for j in range(0, i + 1 if A is B else len(B), BLOCK):
            b = a if A is B and i == j else load(B[j : j + BLOCK])
            squares = squared_distances(a, b)
            images = mirror_distances(squares, odd(a), odd(b)) if odd else None
            yield slice(i, i + len(a)), slice(j, j + len(b)), function(squares, images)


def fill(out: Tensor, parts: Iterable[Block], symmetric: bool) -> Tensor:
    """`out` with the blocks in their places, and where it is symmetric in the other half too."""
    for rows, columns, block in parts:
        out[rows, columns] = block.to(out.dtype)
        if symmetric and rows != columns:
            out[columns, rows] = block.T.to(out.dtype)
    return out


def mirror_distances(squares: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Squared distances to mirror images; a, b: the odd components. |a - b'|² = |a - b|² + 4 a·b"""
    return torch.addmm(squares, a, b.T, alpha=4).clamp_(min=0)


def odd_part(rows: Tensor, picture: tuple[int, int, int]) -> Tensor:
    """The components of flattened pictures that change sign when left and right are swapped."""
    height, width, channels = picture
    half = width // 2
    grid = rows.reshape(-1, height, width, channels)
    odd: Tensor = (grid[:, :, :half] - grid[:, :, width - half :].flip(2)).flatten(1) / math.sqrt(2)
    return odd


def most_rows(device: str, bytes_each: int) -> int | None:
    """How large an n × n matrix with so many bytes an entry a GPU's free memory takes.

    A tenth of it is left for all the rest. None on a processor, where time sets the limit.
    """
    if device == "cpu":
        return None
    torch.cuda.empty_cache()  # what earlier work left behind is free
    free, _ = torch.cuda.mem_get_info(device)
    return math.isqrt(int(0.9 * free) // bytes_each)


def cholesky_in_place(G: Tensor) -> Tensor:
    """The lower Cholesky factor of the symmetric G, in its memory (the factor's strides differ).

    Raises LinAlgError if G is not positive definite.
    """
    columns = G.mT  # LAPACK's order
    factor: Tensor = torch.linalg.cholesky(columns, out=columns)
    return factor


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
