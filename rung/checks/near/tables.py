"""Rows of a table that differ by rounding or by a little noise.

How close is too close depends on the table: rows of whole numbers are close to many others, and
differ by steps. Copies give themselves away by piling up: among rows that come close by chance, at
least three times as many are within three times a distance (in one dimension; in more, far more
are), while copies are all within it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.near.pairs import Pairs

NEAREST = 6  # neighbours of a row that are looked at, itself among them
DIMENSIONS = 8  # of the tree; more columns are turned to their principal components
CLOSE = 0.1  # standard deviations, as the root mean square over the columns; no copy is further
WIDER = (3.0, 10.0)  # by what a distance is widened to see how many more there are
CHANCE = 1e-3  # that chance neighbours pile up so
GENUINE = 0.8  # of the pairs, at least


def pairs(frame: Any) -> Pairs:
    """frame: a pandas frame of numbers, dates and strings; no two rows are the same.

    Strings, and what is missing, must be the same in both rows. Distances are root mean squares
    over the numbers, in standard deviations.
    """
    numbers, cells = parts(frame)
    kept = np.ptp(numbers, axis=0) > 0
    if not kept.any():
        return Pairs.none()
    X = scaled(numbers[:, kept])
    a, b, seen = neighbours(X, cells)
    distance = np.sqrt(np.mean((X[a] - X[b]) ** 2, axis=1))
    # Next to each other on the steps of one column is no sign of a copy.
    differ = X[a] != X[b]
    once = np.stack([single(column) for column in X.T], axis=1)
    odd = (differ.sum(axis=1) > 1) | (differ & (once[a] | once[b])).any(axis=1)
    found = Pairs.of(a[odd], b[odd], distance[odd], "")
    return found.take(found.distance <= piled_up(np.sort(found.distance), seen))


def parts(frame: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The numbers and dates, (n, columns), 0 where missing, and codes of all that must agree."""
    import pandas as pd

    numeric = [c for c in frame if frame[c].dtype.kind in "fM"]
    numbers = np.zeros((len(frame), len(numeric)))
    agree = frame.drop(columns=numeric)
    for i, name in enumerate(numeric):
        column = frame[name]
        there = column.notna().to_numpy()
        numbers[there, i] = column[there].to_numpy().astype(np.float64)
        if not there.all():
            agree = agree.assign(**{f"{name} is there": there})
    if not agree.shape[1]:
        return numbers, np.zeros(len(frame), np.int64)
    hashes = pd.util.hash_pandas_object(agree, index=False)
    return numbers, pd.factorize(hashes)[0].astype(np.int64)


def scaled(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """In standard deviations of the middle 98 %, or of all where those are the same."""
    low, high = np.quantile(numbers, [0.01, 0.99], axis=0)
    inner = np.clip(numbers, low, high).std(axis=0)
    centred = numbers - numbers.mean(axis=0)
    return np.asarray(centred / np.where(inner > 0, inner, numbers.std(axis=0)))


def single(column: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value stands in one row alone."""
    _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] == 1)


def neighbours(
    X: NDArray[np.float64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Rows of the same cell, each with its nearest, and the distance within which (nearly) all
    neighbours of (nearly) all rows are among them."""
    from scipy.spatial import cKDTree

    columns = X.shape[1]
    reach = CLOSE * max(WIDER) * np.sqrt(columns)
    if X.shape[1] > DIMENSIONS:
        # A turn and a projection bring no two rows further apart.
        _, axes = np.linalg.eigh(np.cov(X, rowvar=False))
        X = X @ axes[:, -DIMENSIONS:]
    order = np.random.default_rng(0).permutation(len(X))  # a tree of sorted rows is slow
    place = np.column_stack([X, cells * (2 * reach)])[order]
    k = min(NEAREST, len(X))
    distance, other = cKDTree(place).query(place, k=k, distance_upper_bound=reach)
    there = np.isfinite(distance) & (other != np.arange(len(X))[:, None])
    seen = float(np.quantile(distance[:, -1], 0.05, method="lower")) if k == NEAREST else np.inf
    return np.repeat(order, k)[there.ravel()], order[other[there]], seen / np.sqrt(columns)


def piled_up(distances: NDArray[np.float64], seen: float) -> float:
    """The largest distance within which most pairs are copies, -1 for none.

    distances: of pairs, sorted; up to `seen`, none is missing.
    """
    from scipy import stats

    tried = np.unique(distances[(distances > 0) & (distances <= CLOSE)])
    if not len(tried):
        return -1.0
    within = np.searchsorted(distances, tried, side="right")
    largest = -1.0
    for wider in WIDER:
        around = np.searchsorted(distances, wider * tried, side="right")
        beyond = np.searchsorted(distances, wider**2 * tried, side="right")
        dimensions = np.maximum(np.log(beyond / around) / np.log(wider) - 1, 1)
        by_chance = (around - within) / (wider**dimensions - 1)
        p = stats.binom.sf(within - 1, around, wider**-dimensions) * len(tried) * len(WIDER)
        good = (wider * tried <= seen) & (p <= CHANCE) & (by_chance <= (1 - GENUINE) * within)
        largest = max(largest, tried[good].max(initial=-1.0))
    return float(largest)
