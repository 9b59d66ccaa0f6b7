"""A data set: examples with a target, fixed splits, stable ids and a content fingerprint."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rung.errors import RungError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from rung.describe import Description

Task = Literal["classification", "regression"]
Modality = Literal["image", "text", "tabular"]
# Numbers that can be scored: the fourth powers of their ratios are finite.
LARGEST, LEAST_STD = 1e37, 1e-37
# Pictures that a thread decodes before it asks for more, at most: one by one takes a fifth longer.
AT_A_TIME = 64


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows are trained on and which are tested: two arrays of row numbers."""

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Encoded pictures (JPEG, PNG, ...), kept as the bytes they came in and decoded on demand.

    blob: (total bytes,) uint8, one file after the other; offsets: (n + 1,) int64.
    """

    blob: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def from_bytes(cls, files: Sequence[bytes]) -> Pictures:
        offsets = np.concatenate([[0], np.cumsum([len(f) for f in files])]).astype(np.int64)
        return cls(np.frombuffer(b"".join(files), np.uint8), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        return Pictures.from_bytes([self[int(r)] for r in rows])

    def decode(
        self, px: int, names: Sequence[str] | NDArray[np.str_], threads: int = 2
    ) -> NDArray[np.uint8]:
        """All pictures as an (n, px, px, 3) uint8 array: centre square, resized with antialiasing.

        `names` are used in the error for a picture that can't be read; none is ever dropped.
        """
        out = np.empty((len(self), px, px, 3), np.uint8)

        def fill(row: int) -> None:
            out[row] = decode_picture(self[row], px)

        for row, error in self._failures(fill, threads):
            size = int(self.offsets[row + 1] - self.offsets[row])
            raise RungError(
                f"picture {names[row]} ({size} bytes) can't be read: {error}; "
                "repair it, or remove it from the data set on purpose"
            ) from error
        return out

    def unreadable(self, threads: int = 2) -> dict[int, str]:
        """Row → why it can't be decoded, of all that can't be."""
        # Tiny, so that the JPEG decoder does an eighth of the work; it reads every byte even so.
        failures = self._failures(lambda row: decode_picture(self[row], 8), threads)
        return {row: " ".join(str(error).split()) for row, error in failures}

    def _failures(
        self, work: Callable[[int], object], threads: int
    ) -> Iterator[tuple[int, Exception]]:
        at_a_time = max(1, min(AT_A_TIME, len(self) // (4 * threads)))

        def attempt(start: int) -> list[tuple[int, Exception]]:
            failed = []
            for row in range(start, min(start + at_a_time, len(self))):
                try:
                    work(row)
                except Exception as error:  # Pillow raises many kinds for broken files
                    failed.append((row, error.with_traceback(None)))  # which holds the picture
            return failed

        with ThreadPoolExecutor(threads) as pool:
            for failed in pool.map(attempt, range(0, len(self), at_a_time)):
                yield from failed


def decode_picture(encoded: bytes, px: int, whole: bool = False) -> NDArray[np.uint8]:
    """One encoded picture as (px, px, 3) uint8, resized with antialiasing: the centre square, or
    the `whole`, squeezed."""
    from PIL import Image, UnidentifiedImageError

    if not encoded:
        raise ValueError("the file is empty")
    try:
        opened = Image.open(io.BytesIO(encoded))
    except UnidentifiedImageError as error:
        raise ValueError("it is no picture of a known format") from error
    with opened as picture:
        # Let the JPEG decoder halve the picture while it is more than twice too large.
        picture.draft("RGB", (2 * px, 2 * px))
        rgb = _rgb(picture)
    if not whole:
        side = min(rgb.size)
        left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
        rgb = rgb.crop((left, top, left + side, top + side))
    return np.asarray(rgb.resize((px, px), Image.Resampling.BILINEAR))


def _rgb(picture: Any) -> Any:
    """Any mode as RGB: 16 bit scaled to 8, what is transparent on white, the first frame alone."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint16) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError("it has 32 bits for each pixel; save it with 8 or 16")
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return picture.convert("RGB")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples with a target. Build one with `from_arrays`, or `rung.load` a published one.

    X: for tables (n, n_features) finite float64, or a pandas frame as `typed` makes it where there
    is more than numbers; for texts (n,) str objects; for images (n, height, width, channels) uint8
    or `Pictures`. y: (n,) int64 codes into `classes`, or float64 for regression. ids: (n,) str, unique
    and stable: they name the same example in every version of this library.
    """

    name: str
    X: Any
    y: NDArray[Any]
    ids: NDArray[np.str_]
    task: Task
    modality: Modality
    splits: tuple[Split, ...]
    classes: tuple[str, ...] = ()
    title: str = ""
    source: str = ""
    licence: str = ""
    citation: str = ""
    # True where the data came from a user's own file instead of the declared one.
    local_copy: bool = False
    # What was inferred and what looks wrong, a line each; they stand above the board.
    notes: tuple[str, ...] = ()
    # The names of the features of a table; () for an array, whose columns have none.
    columns: tuple[str, ...] = ()
    # (id, why) of files that can't be read, where they were left out for the checks to list.
    unreadable: tuple[tuple[str, str], ...] = ()
    # Height, width and channels of pictures that are the rows of X, flattened, as rungs see them.
    picture: tuple[int, int, int] | None = None
    fingerprint: str = field(default="")

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", content_fingerprint(self))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def split(self, name: str) -> Split:
        for split in self.splits:
            if split.name == name:
                return split
        raise RungError(
            f"{self.name} has no split named {name!r}; it has: "
            + ", ".join(s.name for s in self.splits)
        )

    def take(self, rows: NDArray[np.int64]) -> Dataset:
        """The data set of these rows alone, without splits: what a rung is shown to train on."""
        return dataclasses.replace(
            self, X=take(self.X, rows), y=np.asarray(self.y[rows]), ids=self.ids[rows], splits=()
        )

    def describe(self) -> Description:
        """What is in it: classes, columns, lengths or sizes, samples; a page in a notebook.

        The test part is only counted; all else comes from the training part of the first split.
        """
        from rung.describe import describe

        return describe(self)

    def verified(self) -> Dataset:
        """Itself, if the content still has the fingerprint it was made with."""
        if content_fingerprint(self) != self.fingerprint:
            raise ValueError(f"the content of {self.name} does not have its fingerprint")
        return self

    @classmethod
    def from_table(
        cls,
        table: str | Path | pd.DataFrame,
        *,
        target: str | None = None,
        text: str | None = None,
        task: Task | None = None,
        modality: Modality | None = None,
        group: str | None = None,
        time: str | None = None,
        test: str | Path | pd.DataFrame | None = None,
        splits: int | None = None,
        drop_missing_target: bool = False,
    ) -> Dataset:
        """A data set from a file, .csv or .tsv (gzipped or not) or .parquet, or from a pandas frame.

        What is None is inferred, or not used; what was inferred stands in `notes`. target: the
        column to predict (target, label, class or y). text: the column of texts to learn from,
        alone. group: a column whose values never stand in both parts. time: a column; the last
        30 % by it are tested. test: a table of the same columns that is tested on. splits: how
        many instead of one. drop_missing_target: leave out rows without a target. Ids are row
        numbers. Raises RungError for what can't be read or learnt from.
        """
        from rung import own

        said = own.Options(
            target=target,
            text=text,
            task=task,
            modality=modality,
            group=group,
            time=time,
            test=test,
            splits=splits,
            drop_missing_target=drop_missing_target,
        )
        return own.from_table(table, said)

    @classmethod
    def from_image_folder(cls, folder: str | Path, *, splits: int | None = None) -> Dataset:
        """A data set from pictures in CLASS/, or in train/CLASS/ and test/CLASS/ (or val/, valid/).

        Without parts, 30 % are held out, stratified, `splits` times. Raises RungError for a
        picture that can't be read, and for one class.
        """
        from rung import own

        return own.load(folder, modality="image", splits=splits)

    @classmethod
    def from_text_folder(cls, folder: str | Path, *, splits: int | None = None) -> Dataset:
        """A data set from texts, a file each, in folders as `from_image_folder` takes them."""
        from rung import own

        return own.load(folder, modality="text", splits=splits)

    @classmethod
    def from_arrays(
        cls,
        X: ArrayLike | Pictures | pd.DataFrame,
        y: ArrayLike,
        *,
        name: str = "arrays",
        task: Task | None = None,
        modality: Modality | None = None,
        ids: Sequence[str] | NDArray[np.str_] | None = None,
        classes: Sequence[str] | None = None,
        splits: Iterable[Split] | None = None,
        test_size: float | int = 0.3,
        **metadata: Any,
    ) -> Dataset:
        """A data set from arrays in memory.

        X: (n, n_features) numbers, or a pandas frame whose columns hold numbers, strings,
        categories or dates, with missing values; (n,) strings for texts; (n, height, width[,
        channels]) uint8 for pictures. y: (n,) labels of any kind, or numbers. The task is regression where y is of floating
        type with fractions in it, unless `task` says otherwise. Without `splits`, a share
        `test_size` (or a number of rows) is held out, chosen by a hash of the ids and, for
        classes, stratified. Raises RungError for NaN in an array, infinite numbers, unequal
        lengths, doubled ids, a class with one example or one that is missing from a training part.
        """
        features: Any = X if isinstance(X, Pictures) or is_frame(X) else _array(X)
        target = np.asarray(y)
        if target.ndim != 1 or len(features) != len(target):
            raise RungError(
                f"{name}: X has {len(features)} rows and y the shape {target.shape}; "
                "y must be one target for each row"
            )
        if task is None:
            fractions = target.dtype.kind == "f" and bool(np.any(target % 1))
            task = "regression" if fractions else "classification"
        if isinstance(features, np.ndarray) and features.ndim == 3:
            features = features[..., None]
        columns: tuple[str, ...] = ()
        modality = modality or _modality(features)
        if modality == "text":
            features = texts(features, name)
        elif modality == "tabular":
            if is_frame(X):
                columns = tuple(map(str, features.columns))
            features = typed(X, name) if is_frame(X) else numeric(features, name)
        names = (
            np.asarray(ids, dtype=np.str_)
            if ids is not None
            else np.arange(len(target)).astype(np.str_)
        )
        codes, labels = encode(target, task, classes, name)
        check_rows(names, codes, task, labels, name)
        parts = tuple(splits) if splits is not None else (holdout(names, codes, task, test_size),)
        check_splits(parts, codes, task, labels, name)
        return cls(
            name=name,
            X=features,
            y=codes,
            ids=names,
            task=task,
            modality=modality,
            splits=parts,
            classes=labels,
            columns=columns,
            **metadata,
        )


def is_frame(X: Any) -> bool:
    """Whether X is a pandas frame; it does not import pandas to find out."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def take(X: Any, rows: NDArray[np.int64]) -> Any:
    """These rows of what stands in `Dataset.X` or is fed to a model: an array, dense or sparse, a
    frame or `Pictures`."""
    if isinstance(X, np.ndarray):
        return np.asarray(X[rows])
    return X[rows] if hasattr(X, "nnz") else X.take(rows)


def _array(X: Any) -> NDArray[Any]:
    # An array of str of a fixed width would give each text the room of the longest.
    strings = isinstance(X, Sequence) and len(X) > 0 and all(isinstance(x, str) for x in X)
    return np.asarray(X, dtype=object if strings else None)


def _modality(X: Any) -> Modality:
    if isinstance(X, Pictures):
        return "image"
    if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.kind in "OUT":
        return "text"
    return "image" if isinstance(X, np.ndarray) and X.ndim == 4 else "tabular"


def texts(X: NDArray[Any], name: str) -> NDArray[np.object_]:
    """X as (n,) str objects, or an error that names the first row which is no text."""
    values = np.asarray(X, dtype=object)
    if values.ndim != 1:
        raise RungError(f"{name}: texts must be one string for each row, not {values.shape}")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise RungError(
                f"{name}: the text of row {row} is missing or no text ({type(value).__name__}); "
                "drop such rows, or make them empty strings"
            )
    return values


def typed(frame: Any, name: str) -> Any:
    """The columns as one of three types: float64, datetime64[us] (UTC) or str; NaN where missing.

    A frame of finite numbers alone becomes a (n, n_features) float64 array. Booleans are 0 and 1,
    durations seconds. Raises RungError for no column, doubled names, infinite numbers and cells
    that hold no single value.
    """
    import pandas as pd

    names = [str(column) for column in frame.columns]
    if not names:
        raise RungError(f"{name}: there is no column to learn from")
    if len(set(names)) < len(names):
        double = next(n for n in names if names.count(n) > 1)
        raise RungError(f"{name}: two columns are named {double!r}; rename one")
    columns = {n: _typed_column(frame.iloc[:, i], name) for i, n in enumerate(names)}
    found = pd.DataFrame(columns).reset_index(drop=True)
    if all(dtype == np.float64 for dtype in found.dtypes) and not found.isna().any(axis=None):
        return np.ascontiguousarray(found.to_numpy())
    return found


def _typed_column(column: Any, name: str) -> Any:
    import pandas as pd
    from pandas.api import types

    kind = types.infer_dtype(column, skipna=True)
    if kind == "categorical":
        column = column.astype(object)
    elif kind.startswith("datetime") or kind == "date":
        return pd.to_datetime(column, utc=True).dt.tz_localize(None).astype("datetime64[us]")
    elif kind.startswith("timedelta"):
        return pd.to_timedelta(column).dt.total_seconds()
    elif kind in ("integer", "floating", "mixed-integer-float", "decimal", "empty") or (
        types.is_bool_dtype(column) or types.is_numeric_dtype(column)
    ):
        if types.is_complex_dtype(column):
            raise RungError(f"{name}: the column {column.name!r} holds complex numbers; split it")
        numbers = pd.to_numeric(column).astype("Float64").to_numpy(np.float64, na_value=np.nan)
        infinite = np.isinf(numbers)
        if infinite.any():
            raise RungError(
                f"{name}: the column {column.name!r} is infinite in {int(infinite.sum())} rows, "
                f"the first of them row {int(np.argmax(infinite))}; mend or drop them"
            )
        return pd.Series(numbers, index=column.index)
    elif kind not in ("string", "boolean", "mixed-integer") and not all(
        isinstance(value, (str, bool, int, float, np.generic)) or value is None or value is pd.NA
        for value in column
    ):
        raise RungError(
            f"{name}: the column {column.name!r} holds no single values ({kind}); turn it into "
            "numbers, strings or dates, or remove it"
        )
    strings = column.map(str, na_action="ignore").astype(object)
    return strings.where(column.notna(), None).astype(pd.StringDtype(na_value=np.nan))


def seen(X: NDArray[Any] | Pictures, px: int) -> tuple[int, int, int]:
    """Height, width and channels of pictures as a rung sees them that takes px on a side: squares,
    and smaller ones as they are."""
    if isinstance(X, Pictures):
        return px, px, 3
    height, width, channels = X.shape[1:]
    return (height, width, channels) if max(height, width) <= px else (px, px, channels)


def numeric(X: NDArray[Any], name: str) -> NDArray[np.float64]:
    """X as float64, or an error that names the first cell which is no finite number."""
    try:
        values = np.ascontiguousarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RungError(f"{name}: the features are not all numbers ({error})") from error
    if values.ndim != 2 or values.shape[1] == 0:
        raise RungError(f"{name}: X must be (rows, features), got shape {values.shape}")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise RungError(
            f"{name}: {len(bad)} feature values are NaN or infinite, the first in row {row}, "
            f"column {column}; fill or drop them first"
        )
    return values


def encode(
    y: NDArray[Any], task: Task, classes: Sequence[str] | None, name: str
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Targets as codes and class names, or as float64 and ()."""
    if task == "regression":
        try:
            values = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise RungError(f"{name}: the target is no number ({error})") from error
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values)))
            raise RungError(f"{name}: the target of row {row} is NaN or infinite; drop such rows")
        if np.abs(values).max(initial=0) > LARGEST:
            raise RungError(f"{name}: the target goes beyond {LARGEST:g}; say it in another unit")
        return values, ()
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = int(np.argmax(~np.isfinite(y)))
        raise RungError(f"{name}: the label of row {row} is NaN or infinite; drop such rows")
    if y.dtype.kind == "O":
        import pandas as pd

        if len(gaps := np.flatnonzero(pd.isna(y))):
            raise RungError(f"{name}: the label of row {gaps[0]} is missing; drop such rows")
    if classes is not None and y.dtype.kind in "iu":
        if len(y) and (y.min() < 0 or y.max() >= len(classes)):
            raise RungError(
                f"{name}: labels run from {y.min()} to {y.max()}, "
                f"but {len(classes)} classes are declared"
            )
        return y.astype(np.int64), tuple(classes)
    try:
        found, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(v).__name__ for v in y})
        raise RungError(
            f"{name}: the labels are of several types, {', '.join(kinds)}; use one"
        ) from error
    labels = tuple(str(c) for c in found)
    if classes is not None:
        missing = sorted(set(labels) - set(classes))
        if missing:
            raise RungError(f"{name}: label {missing[0]!r} is not among the declared classes")
        order = np.array([list(classes).index(c) for c in labels], dtype=np.int64)
        return order[codes], tuple(classes)
    return codes.astype(np.int64), labels


def check_rows(
    ids: NDArray[np.str_], y: NDArray[Any], task: Task, classes: tuple[str, ...], name: str
) -> None:
    if len(ids) != len(y):
        raise RungError(f"{name}: {len(ids)} ids for {len(y)} rows")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) != len(ids):
        raise RungError(
            f"{name}: id {unique[np.argmax(counts > 1)]} stands for {counts.max()} rows"
        )
    if task == "classification":
        sizes = np.bincount(y, minlength=len(classes))
        if len(classes) < 2:
            raise RungError(f"{name}: there is one class only; a classifier needs two")
        if sizes.min() < 2:
            label = classes[int(np.argmin(sizes))]
            count = "one example" if sizes.min() == 1 else "no example"
            raise RungError(
                f"{name}: class {label!r} has {count}; it needs one to train on and one to test "
                "on: add some, or merge or drop the class"
            )


def check_splits(
    splits: tuple[Split, ...], y: NDArray[Any], task: Task, classes: tuple[str, ...], name: str
) -> None:
    for split in splits:
        if not len(split.train) or not len(split.test):
            raise RungError(f"{name}: split {split.name!r} has an empty part")
        if len(np.intersect1d(split.train, split.test)):
            raise RungError(f"{name}: split {split.name!r} trains on rows that it tests on")
        if task == "classification":
            missing = np.setdiff1d(np.arange(len(classes)), y[split.train])
            if len(missing):
                raise RungError(
                    f"{name}: class {classes[missing[0]]!r} is missing from the training part of "
                    f"split {split.name!r}; a model can't learn it: add examples or drop the class"
                )


def holdout(
    ids: NDArray[np.str_], y: NDArray[Any], task: Task, test_size: float | int, name: str = ""
) -> Split:
    """The split that keeps out the rows whose ids hash lowest, class by class.

    It depends on ids and classes alone, so it is the same on every machine, in any row order.
    With a name, which is hashed with the ids, it is one of several.
    """
    salt = f"{name}/" if name else ""
    ranks = np.array([id_hash(f"{salt}{i}") for i in ids], dtype=np.uint64)
    if isinstance(test_size, Integral):
        n_test = int(test_size)
        if not 1 <= n_test < len(ids):
            raise RungError(
                f"test_size {n_test}: hold out 1 to {len(ids) - 1:,} of {len(ids):,} rows"
            )
    elif 0 < test_size < 1:
        n_test = min(max(round(test_size * len(ids)), 1), len(ids) - 1)
    else:
        raise RungError(
            f"test_size {test_size}: say a share between 0 and 1, or a whole number of rows"
        )
    if task == "regression":
        test = np.argsort(ranks, kind="stable")[:n_test]
    else:
        test = np.concatenate(
            [
                rows[np.argsort(ranks[rows], kind="stable")[:quota]]
                for rows, quota in zip(*class_quotas(y, n_test), strict=True)
            ]
        )
    test = np.sort(test).astype(np.int64)
    train = np.setdiff1d(np.arange(len(ids), dtype=np.int64), test)
    return Split(name or "holdout", train, test)


def class_quotas(y: NDArray[Any], n_test: int) -> tuple[list[NDArray[np.int64]], list[int]]:
    """The rows of each class, and how many of them to test on (largest remainder, 1 to size-1)."""
    rows = [np.flatnonzero(y == c) for c in np.unique(y)]
    exact = np.array([len(r) * n_test / len(y) for r in rows])
    quotas = np.floor(exact).astype(int)
    for c in np.argsort(-(exact - quotas), kind="stable")[: n_test - quotas.sum()]:
        quotas[c] += 1
    return rows, [min(max(int(q), 1), len(r) - 1) for q, r in zip(quotas, rows, strict=True)]


def id_hash(text: str) -> int:
    """A 64-bit hash of an id that is the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def content_fingerprint(dataset: Dataset) -> str:
    """sha256 over what a trial can see: examples, targets, ids, classes, task and splits."""
    digest = hashlib.sha256()
    add: Callable[[Any], None] = functools.partial(_add_array, digest)
    digest.update(repr((dataset.task, dataset.modality, dataset.classes)).encode())
    if isinstance(dataset.X, Pictures):
        add(dataset.X.blob)
        add(dataset.X.offsets)
    elif dataset.modality == "text":
        _add_texts(digest, dataset.X)
    elif is_frame(dataset.X):
        for name, column in dataset.X.items():
            kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "T"
            _add_texts(digest, [name, kind])
            if kind == "T":
                missing = column.isna().to_numpy()
                add(missing)
                _add_texts(digest, column[~missing])
            else:
                values = column.to_numpy()
                add(values if kind == "M" else np.where(np.isnan(values), np.nan, values))
    else:
        add(dataset.X)
    add(dataset.y)
    digest.update("\n".join(dataset.ids.tolist()).encode())
    for split in dataset.splits:
        digest.update(split.name.encode())
        add(split.train)
        add(split.test)
    return digest.hexdigest()


def _add_array(digest: Any, array: NDArray[Any]) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)


def _add_texts(digest: Any, found: Iterable[str]) -> None:
    # Their lengths as well, so that no two lists of texts run together to the same bytes.
    encoded = [text.encode("utf-8", "surrogatepass") for text in found]
    _add_array(digest, np.array([len(e) for e in encoded], dtype=np.int64))
    digest.update(b"".join(encoded))
