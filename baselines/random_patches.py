"""Random whitened patches as a convolution, pooled, and kernel ridge (Coates and Ng, 2012)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, avg_pool2d, conv2d

from rung.baseline import Baseline
from rung.dataset import Dataset
from rung.device import Pieces, autocast
from rung.features import checked_pictures, resized
from rung.kernels import KernelRidgeClassifier, KernelRidgeRegressor

NEEDS = "random patches need"  # how the error for other input begins
PATCH = 6  # side of a patch; a quarter of the picture's side where that is less, but at least 3
POSITIONS = 32  # about so many patches are looked at across a picture
GRID = 3  # responses are averaged over a GRID × GRID grid
THRESHOLD = 0.25  # cosines nearer to 0 count as none
CONTRAST = 200.0  # added to a patch's variance (pixels run from 0 to 255): flat patches stay flat
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance
SOFTENING = 10.0  # added to the squared length of a whitened patch: faint ones stay faint
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
    px=64,
    gpu=True,
    make=make,
)


class _RandomPatches(BaseEstimator):  # type: ignore[misc]
    """Convolutions with patches of the training pictures, and the engine's kernel ridge on top.

    X: (n, height, width, channels) uint8. Pictures are seen at several scales: as they are, and
    halved as long as 32 pixels remain. n_patches: filters of all scales together, half of them
    mirror images of the other half; fewer where the training features would not fit into 1 GB.
    The features come as (f + f')/√2 and (f − f')/√2, f' those of the mirrored picture, which the
    kernel ridge uses to learn from mirrored pictures too if its leave-one-out error gets less by it.
    After fit: kernel_ridge_, n_patches_, n_train_, scales_.
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
        pyramid = scales(pictures)
        most = min(self.n_patches, MOST_VALUES // (2 * GRID**2 * len(pictures)))
        pairs = max(most // (2 * len(pyramid)), 1)
        self.n_patches_ = 2 * pairs * len(pyramid)
        self.scales_ = [_Scale.learnt(part, pairs, random) for part in pyramid]
        features = self._features(pyramid)
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
        self.n_train_ = self.kernel_ridge_.n_train_
        return self

    def _features(self, pyramid: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The features, (n, 2 · n_patches · GRID²): first the even half, then the odd one.

        pyramid: the pictures at all scales.
        """
        each = GRID**2 * self.n_patches_ // len(self.scales_)
        out = np.empty((len(pyramid[0]), 2, len(self.scales_), each), np.float32)
        for at, (scale, part) in enumerate(zip(self.scales_, pyramid, strict=True)):
            scale.features(part, out[:, :, at], self.device, self.precision)
        return out.reshape(len(out), -1)

    def _apply(self, method: str, X: ArrayLike) -> NDArray[Any]:
        """The kernel ridge's `method` for these pictures, some at a time to bound the memory."""
        check_is_fitted(self)
        pictures = checked_pictures(X, NEEDS, self.shape_)
        answers = [
            getattr(self.kernel_ridge_, method)(
                (self._features(scales(pictures[i : i + 2_048])) - self.mean_) / self.scale_
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


def scales(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The pictures as they are, and halved as long as POSITIONS pixels remain on a side."""
    found = [pictures]
    while min(found[-1].shape[1:3]) >= 2 * POSITIONS:
        height, width = found[-1].shape[1:3]
        found.append(resized(torch.tensor(found[-1]), (height // 2, width // 2)).numpy())
    return found


@dataclass
class _Scale:
    """Filters for pictures of one size, and after them those that whiten, one for each pixel.

    filters: (n + side² · channels, channels, side, side), bias: (as many,), float32.
    """

    filters: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def learnt(
        cls, pictures: NDArray[np.uint8], pairs: int, random: np.random.RandomState
    ) -> _Scale:
        """Whitening and the product with a whitened patch in one filter, and its mirror image."""
        n, height, width, channels = pictures.shape
        side = min(PATCH, max(3, min(height, width) // 4), height, width)
        picture = random.randint(n, size=SAMPLE)
        row = random.randint(height - side + 1, size=SAMPLE)[:, None] + np.arange(side)
        column = random.randint(width - side + 1, size=SAMPLE)[:, None] + np.arange(side)
        sample = pictures[picture[:, None, None], row[:, :, None], column[:, None, :]]
        seen = torch.tensor(sample).double().permute(0, 3, 1, 2)
        # With their mirror images, so that whitening commutes with mirroring.
        patches = torch.cat([seen, seen.flip(3)]).flatten(1)
        centered = patches - patches.mean(1, keepdim=True)
        patches = centered / (centered.square().mean(1, keepdim=True) + CONTRAST).sqrt()
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T).reshape(len(mean), -1))
        whiten = vectors / (values.clamp(min=0) + WHITENING).sqrt() @ vectors.T
        chosen = (patches[:pairs] - mean) @ whiten
        filters = chosen / chosen.norm(dim=1, keepdim=True).clamp(min=1e-6) @ whiten

        def as_pictures(rows: Tensor) -> Tensor:
            # Responses to a patch less its mean, so that the convolution need not subtract it.
            centred: Tensor = rows - rows.mean(1, keepdim=True)
            return centred.view(-1, channels, side, side)

        first, last = as_pictures(filters), as_pictures(whiten)
        bias = torch.cat([(-filters @ mean).repeat(2), -whiten @ mean])
        both = torch.cat([first, first.flip(3), last])
        return cls(both.float().numpy(), bias.float().numpy())

    def features(
        self, pictures: NDArray[np.uint8], out: NDArray[np.float32], device: str, precision: str
    ) -> None:
        """Fills out, (n, 2, n_filters · GRID²): the even half and the odd one."""
        side, pixels = self.filters.shape[-1], math.prod(self.filters.shape[1:])
        stride = max(1, min(pictures.shape[1:3]) // POSITIONS)
        while (pictures.shape[2] - side) % stride % 2:  # what is left over has two halves
            stride -= 1
        filters = torch.tensor(self.filters, device=device).to(memory_format=torch.channels_last)
        bias = torch.tensor(self.bias, device=device)
        # What a stride leaves over is cut off on both sides, as mirror images ask for.
        over = [(s - side) % stride for s in pictures.shape[1:3]]
        top, left = (rest // 2 for rest in over)
        window = (slice(None), slice(top, None), slice(left, None))
        sides = [(s - side) // stride + 1 for s in pictures.shape[1:3]]
        down, across = (adaptive_avg_pool1d(torch.eye(s), GRID).T.contiguous() for s in sides)
        pool = torch.kron(down, across).to(device)  # (GRID², positions)
        batch = 4 if device == "cpu" else 256  # responses that fit a processor's cache
        pieces = Pieces()

        def features(part: NDArray[np.uint8]) -> Tensor:
            x = torch.tensor(part[window], device=device).permute(0, 3, 1, 2).float() - 128
            means, squares = (
                avg_pool2d(v.mean(1, keepdim=True), side, stride) for v in (x, x.square())
            )
            deviation = (squares - means.square()).clamp(min=0).add(CONTRAST).sqrt()
            with autocast(device, precision):
                response = conv2d(x, filters, stride=stride)
            response = response.float().div_(deviation).permute(0, 2, 3, 1).flatten(1, 2).add_(bias)
            response, white = response[..., :-pixels], response[..., -pixels:]
            cosine = response / (white.square().sum(-1, keepdim=True) + SOFTENING).sqrt()
            alike = pool @ (cosine - THRESHOLD).clamp_(min=0)
            unlike = pool @ cosine.neg_().sub_(THRESHOLD).clamp_(min=0)
            # The square root, lest what stands everywhere in a picture decides distances.
            f = (
                torch.stack([alike, unlike])
                .sqrt_()
                .unflatten(2, (GRID, GRID))
                .unflatten(4, (2, -1))
            )
            first, image = f[..., 0, :], f[..., 1, :].flip(3)
            halves = torch.stack([first + image, first - image]) / 2**0.5
            return halves.movedim(2, 0).flatten(2).cpu()

        def batched(part: NDArray[np.uint8]) -> Tensor:
            return torch.cat([features(p) for p in np.array_split(part, pieces.number)])

        with torch.inference_mode():
            for start in range(0, len(pictures), batch):
                part = pictures[start : start + batch]
                out[start : start + batch] = pieces.fitting(partial(batched, part), len(part))
