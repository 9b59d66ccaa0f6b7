"""What looks wrong in a table or a split: worth a look, and no reason to refuse it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.dataset import Dataset, take
from rung.errors import listed

WORDS = 4  # on average, from which strings are texts, which differ and are no ids


@dataclass(frozen=True)
class Suspects:
    """Columns, by what looks wrong with them; each stands once at most.

    leaks: the target, or linear in it. stand_ins: one-to-one with it. names: different in every
    row, as ids are. constant: the same in every row, or missing in all.
    """

    leaks: list[str] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)


def suspects(features: Any, target: Any) -> Suspects:
    """features: a pandas frame; target: a series, none missing."""
    import pandas as pd

    n = len(target)
    classes, distinct = pd.factorize(target)
    sorted_out = Suspects()
    for column in features.columns:
        values = features[column]
        # Codes in the order of first appearance: the same for two columns that stand one-to-one
        # for each other, whatever they hold.
        codes, found = pd.factorize(values)
        if np.ptp(codes) == 0:
            sorted_out.constant.append(column)
        elif len(distinct) <= n / 2 and np.array_equal(codes, classes):
            same = list(map(str, found)) == list(map(str, distinct))
            (sorted_out.leaks if same else sorted_out.stand_ins).append(column)
        elif linear(values, target):
            sorted_out.leaks.append(column)
        elif len(found) == n and names_rows(found) and not texts(values):
            sorted_out.names.append(column)
    return sorted_out


def of_columns(features: Any, target: Any) -> list[str]:
    """Lines on the columns that leak the target, look like ids or are constant."""
    found = suspects(features, target)
    said = []
    if found.leaks:
        said.append(f"{_columns(found.leaks)} the target, or its value in another unit: it leaks")
    if found.stand_ins:
        said.append(
            f"{_columns(found.stand_ins)} one-to-one with the target: it leaks, most likely"
        )
    if names := found.names:
        what = "it looks like an id" if len(names) == 1 else "they look like ids"
        said.append(f"{_columns(names)} different in every row: {what}, which no model can use")
    if found.constant:
        said.append(
            f"{_columns(found.constant)} the same in every row: nothing can be learned of it"
        )
    return [f"Warning: {line}." for line in said]


def _columns(names: list[str]) -> str:
    return (
        f"column{'s' if len(names) > 1 else ''} {listed(names)} {'are' if len(names) > 1 else 'is'}"
    )


def linear(values: Any, target: Any) -> bool:
    """Whether a column of numbers is a linear function of another."""
    from pandas.api import types

    for side in (values, target):
        if not types.is_numeric_dtype(side) or types.is_bool_dtype(side) or side.isna().any():
            return False
    a, b = (side.to_numpy(np.float64) for side in (values, target))
    a, b = a - a.mean(), b - b.mean()
    return bool(abs(a @ b) > (1 - 1e-12) * np.sqrt((a @ a) * (b @ b)) > 0)


def texts(values: Any) -> bool:
    """Whether a column holds strings of several words."""
    return mean_words(values) >= WORDS


def mean_words(values: Any) -> float:
    """Of a sample of the strings."""
    some = values.dropna().head(1000)
    return float(np.mean([len(str(value).split()) for value in some])) if len(some) else 0.0


def names_rows(distinct: Any) -> bool:
    """Whether values that differ in all rows are strings or whole numbers; measurements and dates
    may well differ."""
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(distinct):
        values = np.asarray(distinct, dtype=np.float64)
        return not (values % 1).any()
    if types.is_datetime64_any_dtype(distinct):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # strings that are no dates have no format
        dates = pd.to_datetime(list(map(str, distinct[:20])), errors="coerce", utc=True)
    return bool(dates.isna().any())


def of_splits(dataset: Dataset) -> list[str]:
    """How many test rows have the features of a training row."""
    hashes = row_hashes(dataset.X)
    shared = [int(np.isin(hashes[s.test], hashes[s.train]).sum()) for s in dataset.splits]
    if not any(shared):
        return []
    tested = sum(len(s.test) for s in dataset.splits)
    return [
        f"Warning: {sum(shared):,} of the {tested:,} test rows"
        f"{' (of all splits)' if len(shared) > 1 else ''} have the same features as a training "
        "row: duplicates make a score too good."
    ]


def of_rows(dataset: Dataset, rows: NDArray[np.int64]) -> list[str]:
    """How many of these rows have the features of another one, and how many its target not."""
    import pandas as pd

    same = pd.Series(dataset.y[rows]).groupby(row_hashes(take(dataset.X, rows)))
    repeated = same.transform("size") > 1
    if not repeated.any():
        return []
    torn = int((same.transform("nunique") > 1).sum())
    against = f", {torn:,} of them with another target: nobody can get all of these right"
    return [
        f"Warning: {int(repeated.sum()):,} of the {len(rows):,} training rows have the same "
        f"features as another training row{against if torn else ''}."
    ]


def row_hashes(X: Any) -> NDArray[np.int64]:
    """(n,) hashes that are equal for equal rows, in this process."""
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return np.asarray(pd.util.hash_pandas_object(X, index=False)).view(np.int64)
    plain = isinstance(X, np.ndarray) and X.dtype != object
    return np.array([hash(X[i].tobytes() if plain else X[i]) for i in range(len(X))], np.int64)
