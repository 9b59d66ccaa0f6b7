"""Checks of the columns of a table: constant ones, ids, and columns that say the same twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung import hygiene
from rung.checks.base import Finding
from rung.checks.data.subject import Data, DataCheck, once
from rung.checks.data.words import columns, is_are, sentence
from rung.describe import targets
from rung.errors import listed

# Up to how many of the numeric columns correlations are taken.
MOST_COLUMNS = 2000


@once
def parts(data: Data) -> tuple[Any, Any]:
    """The training and the test rows as frames."""
    return data.frame.take(data.train), data.frame.take(data.test)


@once
def suspects(data: Data) -> hygiene.Suspects:
    """As in the notes above a board, of the training part."""
    import pandas as pd

    return hygiene.suspects(parts(data)[0], pd.Series(targets(data.dataset, data.train)))


class ConstantColumns(DataCheck):
    """A column with one value in all training rows teaches nothing; where it varies in the test
    part, a model meets values that it has never seen. Drop it, or find out where its values went.
    One that differs in a handful of rows is told alone: it is rare, or it is a relic.
    """

    code = "RC141"
    title = "No column is constant"
    needs = ("tabular",)

    def run(self, data: Data) -> Finding | None:
        train, test = parts(data)
        constant = suspects(data).constant
        varying = [
            c for c in constant if not test[c].dropna().isin(train[c].dropna().unique()).all()
        ]
        still = [c for c in constant if c not in varying]
        handful = min(5, len(train) // 200)
        others = {c: len(train) - int(train[c].value_counts(dropna=False).iloc[0]) for c in train}
        almost = {str(c): k for c, k in others.items() if c not in constant and k <= handful}
        told = []
        if varying:
            told.append(f"{is_are(varying)} constant in training and not in the test part")
        if still:
            told.append(f"{is_are(still)} the same in every row")
        if almost:
            told.append(f"{is_are(almost)} the same in all but {max(almost.values())} rows or less")
        if not told:
            return None
        return Finding(
            sentence(told),
            "Drop them, or mend what emptied them.",
            {"constant": still, "varying_in_test": varying, "almost_constant": almost},
            severity="warning" if constant else "info",
        )


class Ids(DataCheck):
    """A column that is different in (almost) every row names the row: no model can use it, and one
    that can learn by heart may try. Where rows are sorted, an index even tells the class. Drop it,
    or split by it if it stands for a group: --group. Whole numbers far apart are only told: they
    may be measured.
    """

    code = "RC142"
    title = "No column looks like an id"
    needs = ("tabular",)

    def run(self, data: Data) -> Finding | None:
        train, _ = parts(data)
        names = suspects(data).names
        counting = [c for c in names if train[c].dtype.kind == "f" and steps(train[c])]
        measured = [c for c in names if c not in counting and sparse(train[c])]
        nearly = [c for c in train if c not in names and nearly_names(train[c])]
        told = []
        if counting:
            told.append(f"{is_are(counting)} counting the rows")
        if rest := [c for c in names if c not in (*counting, *measured)]:
            told.append(f"{is_are(rest)} different in every row")
        if measured:
            told.append(f"whole numbers of {columns(measured)} differ in every row")
        if nearly:
            told.append(f"{is_are(nearly)} different in almost every row")
        if not told:
            return None
        return Finding(
            sentence(told),
            "Drop ids; a column that names groups of rows belongs to --group.",
            {
                "ids": rest,
                "counting": counting,
                "almost_ids": nearly,
                "different_numbers": measured,
            },
            severity="warning" if rest or counting or nearly else "info",
        )


def steps(values: Any) -> bool:
    """Whether whole numbers go up (or down) row by row, with no more gaps than held-out rows make."""
    differences = np.diff(values.to_numpy())
    ordered = (differences > 0).all() or (differences < 0).all()
    return bool(ordered and np.median(np.abs(differences)) <= 2)


def sparse(values: Any) -> bool:
    """Whether these are numbers far apart: incomes and populations differ in every row as well."""
    return bool(values.dtype.kind == "f" and np.ptp(values.to_numpy()) > 10 * len(values))


def nearly_names(values: Any) -> bool:
    """Strings of which almost all differ."""
    there = values.dropna()
    if values.dtype.kind in "fM" or len(there) < 50 or hygiene.texts(values):
        return False
    distinct = there.drop_duplicates()
    return len(distinct) >= 0.95 * len(there) and hygiene.names_rows(distinct.to_numpy())


class DoubledColumns(DataCheck):
    """Two columns that hold the same: a model gains nothing from the second, importances of the two
    are split at random, and linear models without a penalty are not determined. Drop one of each.
    Columns that are one-to-one or perfectly correlated say the same in another unit.
    """

    code = "RC145"
    title = "No two columns say the same"
    needs = ("tabular",)

    def run(self, data: Data) -> Finding | None:
        train, _ = parts(data)
        equal, alike = doubled(train)
        told = []
        if equal:
            told.append(f"{said(equal)} hold the same values")
        if alike:
            told.append(f"{said(alike)} say the same in another way")
        if not told:
            return None
        return Finding(
            sentence(told),
            "Keep one of each.",
            {"equal": equal, "one_to_one": alike},
            severity="warning" if equal else "info",
        )


def said(pairs: list[list[str]]) -> str:
    return f"columns {listed(f'{a} and {b}' for a, b in pairs)}"


def doubled(train: Any) -> tuple[list[list[str]], list[list[str]]]:
    """Pairs of columns with equal values, and of those that are one-to-one or linear."""
    import pandas as pd

    equal: list[list[str]] = []
    alike: list[list[str]] = []
    first: dict[bytes, str] = {}
    for column in train:
        codes, found = pd.factorize(train[column])
        if np.ptp(codes) == 0:
            continue
        # What differs in every row is one-to-one with all that does.
        few = len(found) <= len(train) / 2
        content = codes.tobytes() if few else pd.util.hash_array(train[column].to_numpy()).tobytes()
        other = first.setdefault(content, column)
        if other != column:
            same = train[column].equals(train[other].rename(column))
            (equal if same else alike).append([str(other), str(column)])
    numbers = [c for c in train if train[c].dtype.kind == "f" and not train[c].isna().any()]
    known = {tuple(pair) for pair in equal + alike}
    alike += [
        pair for pair in correlated(train[numbers[:MOST_COLUMNS]]) if tuple(pair) not in known
    ]
    return equal, alike


def correlated(numbers: Any) -> list[list[str]]:
    """Pairs of columns of numbers with a correlation of one, up to rounding."""
    values: NDArray[np.float64] = numbers.to_numpy()
    values = values - values.mean(axis=0)
    lengths = np.sqrt((values**2).sum(axis=0))
    values = values / np.where(lengths > 0, lengths, 1)
    near = np.argwhere(np.triu(np.abs(values.T @ values) > 1 - 1e-9, k=1))
    return [[str(numbers.columns[a]), str(numbers.columns[b])] for a, b in near]
