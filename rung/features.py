"""Raw data to numbers, per modality, by what the estimator needs.

Whatever is fitted here is fitted on the training part alone, with the seed of the trial.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from rung import home
from rung.baseline import Needs
from rung.dataset import Dataset, Pictures, is_frame, seen
from rung.errors import RungError

if TYPE_CHECKING:
    from torch import Tensor


def pixels(dataset: Dataset, px: int) -> NDArray[np.uint8]:
    """The pictures as (n, height, width, channels) uint8, no larger than px on a side.

    Encoded pictures are decoded once for each size and then memory-mapped. Smaller pictures stay
    as they are: enlarging adds no information.
    """
    if not isinstance(dataset.X, Pictures):
        array: NDArray[np.uint8] = dataset.X
        return array if seen(array, px) == array.shape[1:] else _shrink(array, px)
    pictures = dataset.X

    def decode() -> tuple[NDArray[np.uint8], str]:
        decoded = pictures.decode(px, dataset.ids)
        return decoded, _digest(decoded)

    def check(entry: tuple[NDArray[np.uint8], str]) -> None:
        if _digest(entry[0]) != entry[1]:
            raise ValueError(f"decoded pictures of {dataset.name} changed on disk")

    key = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "px": px,
        **written_by(),
    }
    return home.cached("pixels", key, decode, check)[0]


def written_by() -> dict[str, Any]:
    """What the keys of decoded pictures say of the code: a change of it makes them all stale."""
    return home.written_by(("dataset", "features"), ("numpy", "pillow"))


def checked_pictures(
    X: ArrayLike, needs: str, shape: tuple[int, ...] | None = None
) -> NDArray[np.uint8]:
    """X as (n, height, width, channels) uint8, or an error; `needs` begins it ("the convnet needs").

    Raises RungError for anything else, and for pictures of another shape than those trained on.
    """
    pictures = np.ascontiguousarray(X)
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


def resized(pictures: Tensor, sides: Sequence[int]) -> Tensor:
    """Pictures (n, height, width, channels) uint8, resized with antialiasing."""
    from torch.nn.functional import interpolate

    if pictures.shape[1:3] == tuple(sides):
        return pictures
    # A processor has a fast way for bytes, a GPU has only one for numbers.
    x = pictures if pictures.device.type == "cpu" else pictures.float()
    x = interpolate(x.permute(0, 3, 1, 2), list(sides), mode="bilinear", antialias=True)
    x = x if x.dtype == pictures.dtype else x.round().to(pictures.dtype)
    return x.permute(0, 2, 3, 1)


def _shrink(array: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    import torch

    # Part by part, as the array may be larger than the memory.
    parts = np.array_split(array, -(-len(array) // 512))
    return np.concatenate([resized(torch.tensor(part), [px, px]).numpy() for part in parts])


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).data).hexdigest()


# The most columns of the TF-IDF matrix, the words and pairs of words that stand most often.
MOST_WORDS = 200_000
# The columns that an SVD leaves of them.
COMPONENTS = 300
# A column with at most so many categories gives each a column of its own.
FEW_CATEGORIES = 40


def raw(dataset: Dataset, needs: Needs, px: int) -> Any:
    """X for all rows before anything that is fitted.

    (n, 1) zeros for "nothing"; of pictures (n, height, width, channels) uint8 for "pixels", else
    (n, n_features) float32 from 0 to 1; texts and tables as they stand in the data set.
    """
    if needs == "nothing":
        return np.zeros((len(dataset), 1))
    if dataset.modality == "image":
        pictures = pixels(dataset, px)
        if needs == "pixels":
            return pictures
        return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)
    return dataset.X


def picture_shape(dataset: Dataset, needs: Needs, px: int) -> tuple[int, int, int] | None:
    """Height, width and channels of the pictures that the rows of `raw` are, where they are."""
    if dataset.modality != "image" or needs in ("nothing", "pixels"):
        return None
    return seen(dataset.X, px)


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


class Columns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A frame with columns of all kinds to numbers, by skrub's TableVectorizer.

    A column with many categories becomes a projection of the n-grams of its strings, a date its
    parts and the seconds since 1970; strings that are all numbers or dates are read as such. One
    with few categories depends on what is made, as do gaps:
    "numbers"       codes in alphabetical order, -1 for one not seen in training; NaN where a
                    number or a category is missing: for trees, which cut where they like
    "standardized"  a column for each, of two a single one (a missing one counts as a category; one
                    not seen in training is none of them, or the first of two), left at 0 and 1.
                    Missing numbers get the mean, with a column that says where, and what was a
                    number or a date is standardised: two rows of different category are as far
                    apart as two of differing numbers usually are
    "categories"    a frame, in which it has the type category; NaN for what is missing
    """

    def __init__(
        self,
        to: Literal["numbers", "standardized", "categories"] = "numbers",
        random_state: int | None = None,
    ) -> None:
        self.to = to
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Columns:
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        from sklearn.preprocessing import OrdinalEncoder
        from skrub import StringEncoder, TableVectorizer, ToCategorical

        few: dict[str, Any] = {}
        if self.to == "categories":
            few = {"low_cardinality": ToCategorical()}
        elif self.to == "numbers":
            codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
            few = {"low_cardinality": codes}
        self.vectorizer_ = TableVectorizer(
            cardinality_threshold=FEW_CATEGORIES,
            high_cardinality=StringEncoder(random_state=self.random_state),
            **few,
        )
        frame = self.vectorizer_.fit_transform(X)
        if not frame.shape[1]:
            raise RungError("all columns are empty in the training part; no rung can learn of them")
        if self.to == "categories":
            return frame
        kinds, source = self.vectorizer_.column_to_kind_, self.vectorizer_.output_to_input_
        measured = [kinds[source[column]] in ("numeric", "datetime") for column in frame.columns]
        self.measured_ = np.flatnonzero(measured)
        values = frame.to_numpy(np.float64, copy=True)
        if self.to == "standardized":
            missing = np.isnan(values[:, self.measured_])
            self.sometimes_missing_ = self.measured_[missing.any(axis=0)]
            self.scaler_ = Standardize()
            self.mean_ = np.nanmean(values[:, self.measured_], axis=0)
            self.scaler_.fit(self._filled(values)) if len(self.measured_) else None
            return self._standardized(values)
        return values

    def transform(self, X: Any) -> Any:
        with warnings.catch_warnings():  # that a category is unknown is nothing to warn of
            warnings.filterwarnings("ignore", "Found unknown categories")
            frame = self.vectorizer_.transform(X)
        if self.to == "categories":
            return frame
        values = frame.to_numpy(np.float64, copy=True)
        return self._standardized(values) if self.to == "standardized" else values

    def _filled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        part = values[:, self.measured_]
        return np.where(np.isnan(part), self.mean_, part)

    def _standardized(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        missing = np.isnan(values[:, self.sometimes_missing_])
        if len(self.measured_):
            values[:, self.measured_] = self.scaler_.transform(self._filled(values))
        return np.hstack([values, missing])


def words() -> Any:
    """TF-IDF of words and pairs of words, as a transformer of texts to sparse rows of length 1.

    Punctuation counts as words ("!" tells spam); the logarithm of counts is taken.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MOST_WORDS,
        token_pattern=r"(?u)\w+|[^\w\s]",
        dtype=np.float32,
    )


class Projection(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A truncated SVD of sparse rows, (n, at most n_components) float64 of length 1.

    Latent semantic analysis (Deerwester et al., 1990). Then scaled as a whole, so that columns
    have a variance of one on average: a lesser component must not be blown up to the first.
    """

    def __init__(self, n_components: int = COMPONENTS, random_state: int | None = None) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Projection:
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        from sklearn.decomposition import TruncatedSVD

        most = max(1, min(self.n_components, *(side - 1 for side in X.shape)))
        self.svd_ = TruncatedSVD(most, random_state=self.random_state)
        rows = self._unit(self.svd_.fit_transform(X))
        self.scaler_ = Standardize(per="all")
        return self.scaler_.fit_transform(rows)

    def transform(self, X: Any) -> Any:
        return self.scaler_.transform(self._unit(self.svd_.transform(X)))

    @staticmethod
    def _unit(rows: Any) -> NDArray[np.float64]:
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float64)


def fitted(dataset: Dataset, needs: Needs, seed: int = 0) -> Any:
    """The transformer that is fitted on the training part before the estimator, or None."""
    if needs in ("nothing", "raw", "pixels"):
        return None
    if dataset.modality == "text":
        from sklearn.pipeline import make_pipeline

        return (
            words() if needs == "sparse" else make_pipeline(words(), Projection(random_state=seed))
        )
    scaled = needs in ("standardized", "sparse")
    if is_frame(dataset.X):
        to: Any = "standardized" if scaled else needs
        return Columns(to, random_state=seed)
    if not scaled:
        return None
    return Standardize(per="all" if dataset.modality == "image" else "feature")
