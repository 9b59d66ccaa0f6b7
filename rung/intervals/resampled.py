"""The interval of a mean over repeated splits of the same examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rung.intervals.interval import (
    Interval,
    Part,
    Scale,
    as_table,
    check_level,
    ends,
    t_quantile,
    two_sided_p,
)


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores over repeated splits, in place of a table of values over one test part.

    scores: (n_splits,), means over seeds. n_train, n_test: examples of each split.
    """

    scores: NDArray[np.float64]
    n_train: float
    n_test: float

    def __neg__(self) -> Resampled:
        return Resampled(-self.scores, self.n_train, self.n_test)

    def interval(self, level: float, scale: Scale = "identity") -> Interval:
        return resampled_interval(self.scores, self.n_train, self.n_test, level, scale)

    def minus(self, other: Resampled, level: float) -> Interval:
        """The difference on the same splits."""
        if len(self.scores) != len(other.scores):
            raise ValueError(f"{len(self.scores)} splits against {len(other.scores)}")
        n_train = min(self.n_train, other.n_train)
        return resampled_interval(self.scores - other.scores, n_train, self.n_test, level)


def resampled_interval(
    scores: ArrayLike,
    n_train: float,
    n_test: float,
    level: float = 0.95,
    scale: Scale = "identity",
) -> Interval:
    """The corrected resampled interval (Nadeau and Bengio 2003, Machine Learning 52, sec. 3.5).

    scores: (n_splits,), or (n_seeds, n_splits): one score, or one difference, for each split;
    seeds are averaged in each split. n_train, n_test: examples that each split trains and tests on.

    The splits share examples, so their scores are correlated, and the naive variance s^2/J of J
    splits is far too small; it is replaced by (1/J + n_test/n_train) s^2 with J - 1 degrees of
    freedom. p_value: of no difference from zero. Holds where scores of two splits correlate by at
    most n_test/(n_test + n_train), as is usual for stable learners; it does not cover the choice
    of the data set. Raises ValueError for fewer than two splits.
    """
    check_level(level)
    table = as_table(scores)
    by_split = table.mean(axis=0)
    j = len(by_split)
    if j < 2 or n_train <= 0 or n_test <= 0:
        raise ValueError("two or more splits, with examples to train and to test on, are needed")
    estimate = float(by_split.mean())
    variance = float((1 / j + n_test / n_train) * by_split.var(ddof=1))
    parts = (Part(variance, j - 1.0),)
    se = float(np.sqrt(variance))
    low, high = ends(estimate, se, t_quantile(1 - level, j - 1), scale)
    p_value = two_sided_p(parts, abs(estimate))
    return Interval(
        estimate, low, high, level, se, None, "corrected resampled", p_value, parts=parts
    )
