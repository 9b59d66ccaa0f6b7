"""Random whitened patches as a convolution, pooled, and kernel ridge (Coates and Ng, 2012)."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, unfold

from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.device import Pieces, autocast
from rung.features import checked_pictures
from rung.kernels import KernelRidgeClassifier, KernelRidgeRegressor, full_float32

NEEDS = "random patches need"  # how the error for other input begins
PATCH = 6  # side of a patch; a quarter of the picture's side where that is less, but at least 3
GRID = 3  # responses are averaged over a GRID × GRID grid
THRESHOLD = 1.0  # responses nearer to 0 count as none
CONTRAST = 50.0  # added to a patch's variance (pixels run from 0 to 255): flat patches stay flat
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance
SAMPLE = 50_000  # patches that the whitening is estimated on
MOST_VALUES = 250_000_000  # features of all training pictures together: 1 GB


def make(dataset: Dataset, seed: int, **parameters: Any) -> Any:
    """The classifier or the regressor, unfitted."""
    if dataset.task == "classification":
        return RandomPatchesClassifier(random_state=seed, **parameters)
    return RandomPatchesRegressor(random_state=seed, **parameters)


baseline = Baseline(
    rung=6,
    title="Random patches",
    modalities=("image",),
    needs="pixels",
    px=32,
    gpu=True,
    make=make,
)


class _RandomPatches(BaseEstimator):  # type: ignore[misc]
    """One convolution with patches of the training pictures, and the engine's kernel ridge on top.

    X: (n, height, width, channels) uint8. n_patches: filters, half of them mirror images of the
    other half; fewer where the training features would not fit into 1 GB. The features come as
    (f + f')/√2 and (f − f')/√2, f' those of the mirrored picture, which the kernel ridge uses to
    learn from mirrored pictures too if its leave-one-out error gets less by it.
    After fit: kernel_ridge_, n_patches_, n_train_.
    """

    _ridge: type[KernelRidgeClassifier | KernelRidgeRegressor]

    def __init__(
        self,
        n_patches: int = 1_024,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ) -> None:
        self.n_patches = n_patches
        self.random_state = random_state
        self.device = device
        self.precision = precision

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """y: (n,) labels or numbers. Raises RungError if X holds no pictures."""
        pictures = checked_pictures(X, NEEDS)
        self.shape_, self.n_features_in_ = pictures.shape[1:], pictures[0].size
        random = check_random_state(self.random_state)
        pairs = min(self.n_patches, MOST_VALUES // (2 * GRID**2 * len(pictures))) // 2
        self.n_patches_ = 2 * max(pairs, 1)
        self._learn_filters(pictures, random)
        features = self._features(pictures)
        half = features.shape[1] // 2
        self.mean_ = features.mean(axis=0)
        self.mean_[half:] = 0
        features -= self.mean_
        # f and f' are one another's mirror images, so they share their deviation.
        variance = np.einsum("ij,ij->j", features, features).reshape(2, half).mean(0) / len(
            pictures
        )
        self.scale_ = np.tile(np.where(variance > 1e-12, np.sqrt(variance), 1), 2)
        features /= self.scale_
        self.kernel_ridge_ = self._ridge(
            n_odd=half,
            random_state=random.randint(2**31 - 1),
            device=self.device,
            precision=self.precision,
        ).fit(features, y)
        self.n_train_ = len(pictures)
        return self

    def _learn_filters(self, pictures: NDArray[np.uint8], random: np.random.RandomState) -> None:
        """Filters and biases: whitening and the product with a whitened patch, in one matrix."""
        n, height, width, channels = pictures.shape
        side = min(PATCH, max(3, min(height, width) // 4), height, width)
        self.patch_ = side
        picture = random.randint(n, size=SAMPLE)
        row = random.randint(height - side + 1, size=SAMPLE)[:, None] + np.arange(side)
        column = random.randint(width - side + 1, size=SAMPLE)[:, None] + np.arange(side)
        sample = pictures[picture[:, None, None], row[:, :, None], column[:, None, :]]
        columns = torch.tensor(sample).double().permute(0, 3, 1, 2).reshape(SAMPLE, -1)
        patches = contrast_normalized(columns)
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T).reshape(len(mean), -1))
        whiten = vectors / (values.clamp(min=0) + WHITENING).sqrt() @ vectors.T
        chosen = (patches[: self.n_patches_ // 2] - mean) @ whiten
        filters = whiten @ (chosen / chosen.norm(dim=1, keepdim=True).clamp(min=1e-6)).T
        images = filters.reshape(channels, side, side, -1).flip(2).reshape(filters.shape)
        self.filters_ = torch.cat([filters, images], dim=1).float().numpy()
        self.bias_ = (-mean @ filters).repeat(2).float().numpy()

    def _features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features, (n, 2 · n_patches · GRID²): first the even half, then the odd one."""
        filters = torch.tensor(self.filters_, device=self.device)
        bias = torch.tensor(self.bias_, device=self.device)
        rows, columns = (s - self.patch_ + 1 for s in pictures.shape[1:3])
        cells = adaptive_avg_pool2d(torch.eye(rows * columns).view(-1, rows, columns), GRID)
        pool = cells.flatten(1).T.contiguous().to(self.device)  # (GRID², positions)
        out = np.empty((len(pictures), 2 * GRID**2 * self.n_patches_), np.float32)
        batch = 2 if self.device == "cpu" else 256  # responses that fit a processor's cache
        pieces = Pieces()

        def features(part: NDArray[np.uint8]) -> Tensor:
            some = torch.tensor(part, device=self.device)
            with full_float32(), autocast(self.device, self.precision):
                patches = unfold(some.permute(0, 3, 1, 2).float(), self.patch_).transpose(1, 2)
                response = contrast_normalized(patches) @ filters + bias
                # max(r, t) is the rectified r - t up to a constant, which the mean takes away.
                pooled = [
                    pool @ response.clamp(min=THRESHOLD),
                    pool @ response.clamp(max=-THRESHOLD),
                ]
            f = torch.stack(pooled).float().unflatten(2, (GRID, GRID)).unflatten(4, (2, -1))
            first, image = f[..., 0, :], f[..., 1, :].flip(3)
            halves = torch.stack([first + image, first - image]) / 2**0.5
            return halves.movedim(2, 0).flatten(1).cpu()

        def batched(part: NDArray[np.uint8]) -> Tensor:
            return torch.cat([features(p) for p in np.array_split(part, pieces.number)])

        for start in range(0, len(pictures), batch):
            part = pictures[start : start + batch]
            out[start : start + batch] = pieces.fitting(partial(batched, part), len(part))
        return out

    def _apply(self, method: str, X: ArrayLike) -> NDArray[Any]:
        """The kernel ridge's `method` for these pictures, some at a time to bound the memory."""
        check_is_fitted(self)
        pictures = checked_pictures(X, NEEDS, self.shape_)
        answers = [
            getattr(self.kernel_ridge_, method)(
                (self._features(pictures[i : i + 2_048]) - self.mean_) / self.scale_
            )
            for i in range(0, len(pictures), 2_048)
        ]
        return np.concatenate(answers)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels or numbers, (n,)."""
        return self._apply("predict", X)


class RandomPatchesClassifier(ClassifierMixin, _RandomPatches):  # type: ignore[misc]
    """Random patches for classes; probabilities are calibrated by the kernel ridge."""

    _ridge = KernelRidgeClassifier

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels seen in training, (n_classes,)."""
        return np.asarray(self.kernel_ridge_.classes_)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities, (n, n_classes)."""
        return self._apply("predict_proba", X)


class RandomPatchesRegressor(RegressorMixin, _RandomPatches):  # type: ignore[misc]
    """Random patches for a number."""

    _ridge = KernelRidgeRegressor


def contrast_normalized(patches: Tensor) -> Tensor:
    """Each patch (the last axis) less its mean, over its deviation."""
    centered = patches - patches.mean(-1, keepdim=True)
    return centered / (centered.square().mean(-1, keepdim=True) + CONTRAST).sqrt()
