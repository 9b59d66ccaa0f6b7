"""Raw data to numbers, per modality, by what the estimator needs."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from rung import home
from rung.baseline import Needs
from rung.dataset import Dataset, Pictures
from rung.errors import RungError


def pixels(dataset: Dataset, px: int) -> NDArray[np.uint8]:
    """The pictures as (n, height, width, channels) uint8, no larger than px on a side.

    Encoded pictures are decoded once for each size and then memory-mapped. Smaller pictures stay
    as they are: enlarging adds no information.
    """
    if not isinstance(dataset.X, Pictures):
        array: NDArray[np.uint8] = dataset.X
        return array if array.shape[1] <= px else _shrink(array, px)
    pictures = dataset.X

    def decode() -> tuple[NDArray[np.uint8], str]:
        decoded = pictures.decode(px, dataset.ids)
        return decoded, _digest(decoded)

    def check(entry: tuple[NDArray[np.uint8], str]) -> None:
        if _digest(entry[0]) != entry[1]:
            raise ValueError(f"decoded pictures of {dataset.name} changed on disk")

    key = {"fingerprint": dataset.fingerprint, "px": px, "version": 1}
    return home.cached("pixels", key, decode, check)[0]


def checked_pictures(
    X: ArrayLike, needs: str, shape: tuple[int, ...] | None = None
) -> NDArray[np.uint8]:
    """X as (n, height, width, channels) uint8, or an error; `needs` begins it ("the convnet needs").

    Raises RungError for anything else, and for pictures of another shape than those trained on.
    """
    pictures = np.asarray(X)
    if pictures.ndim != 4 or pictures.dtype != np.uint8 or not pictures.size:
        raise RungError(
            f"{needs} pictures, (n, height, width, channels) uint8, not "
            f"{pictures.dtype} of shape {pictures.shape}; use another rung for other data"
        )
    if shape is not None and pictures.shape[1:] != shape:
        raise RungError(
            f"pictures of shape {pictures.shape[1:]}, but trained on {shape}; resize them"
        )
    return pictures


def _shrink(array: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    from PIL import Image

    def one(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        small = np.asarray(image.resize((px, px), Image.Resampling.BILINEAR))
        return small[..., None] if small.ndim == 2 else small

    return np.stack([one(p) for p in array])


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).data).hexdigest()


def raw(dataset: Dataset, needs: Needs, px: int) -> NDArray[Any]:
    """X for all rows as the estimator is to see it, before anything that is fitted.

    (n, 1) zeros for "nothing", (n, height, width, channels) uint8 for "pixels", else
    (n, n_features): float32 from 0 to 1 for pictures, float64 for tables.
    """
    if needs == "nothing":
        return np.zeros((len(dataset), 1))
    if dataset.modality == "image":
        pictures = pixels(dataset, px)
        if needs == "pixels":
            return pictures
        return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)
    table: NDArray[Any] = dataset.X
    return table


class Standardize(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Subtracts the mean and divides by the standard deviation of the training part.

    per="feature" for tables, where each column has a unit of its own (a constant column is left
    at zero); per="all" takes one deviation for all pixels: they share a unit, and a border pixel
    that is almost always black must not be blown up to the size of the others.
    """

    def __init__(self, per: str = "feature") -> None:
        self.per = per

    def fit(self, X: Any, y: Any = None) -> Standardize:
        X = validate_data(self, X, dtype=[np.float32, np.float64])
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
        deviation = X.std(axis=0, dtype=np.float64)
        if self.per == "all":
            deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
        # A column that is constant up to rounding has no scale to divide by.
        tiny = 10 * np.finfo(X.dtype).eps * np.maximum(np.abs(self.mean_), 1e-30)
        self.scale_ = np.where(deviation > tiny, deviation, 1.0).astype(X.dtype)
        return self

    def transform(self, X: Any) -> Any:
        X = validate_data(self, X, dtype=[np.float32, np.float64], reset=False)
        return (X - self.mean_) / self.scale_


def fitted(dataset: Dataset, needs: Needs) -> Standardize | None:
    """The transformer that is fitted on the training part before the estimator, if there is one."""
    if needs != "standardized":
        return None
    return Standardize(per="all" if dataset.modality == "image" else "feature")
