"""The interval of a mean over repeated splits of the same examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    wilson,
)


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores over repeated splits, in place of a table of values over one test part.

    scores: (n_splits,), means over seeds. n_train, n_test: examples of each split. step: by which
    scores differ at the least, for shares of examples.
    """

    scores: NDArray[np.float64]
    n_train: float
    n_test: float
    step: float = 0.0

    def __neg__(self) -> Resampled:
        return replace(self, scores=-self.scores)

    def interval(self, level: float, scale: Scale = "identity") -> Interval:
        return resampled_interval(self.scores, self.n_train, self.n_test, level, scale, self.step)

    def minus(self, other: Resampled, level: float) -> Interval:
        """The difference on the same splits."""
        if len(self.scores) != len(other.scores):
            raise ValueError(f"{len(self.scores)} splits against {len(other.scores)}")
        n_train = min(self.n_train, other.n_train)
        step = max(self.step, other.step)
        return resampled_interval(
            self.scores - other.scores, n_train, self.n_test, level, step=step
        )


def resampled_interval(
    scores: ArrayLike,
    n_train: float,
    n_test: float,
    level: float = 0.95,
    scale: Scale = "identity",
    step: float = 0.0,
) -> Interval:
    """The corrected resampled interval (Nadeau and Bengio 2003, Machine Learning 52, sec. 3.5).

    scores: (n_splits,), or (n_seeds, n_splits): one score, or one difference, for each split;
    seeds are averaged in each split. n_train, n_test: examples that each split trains and tests on.

    The splits share examples, so their scores are correlated, and the naive variance s^2/J of J
    splits is far too small; it is replaced by (1/J + n_test/n_train) s^2 with J - 1 degrees of
    freedom. p_value: of no difference from zero. Holds where scores of two splits correlate by at
    most n_test/(n_test + n_train), as is usual for stable learners; it does not cover the choice
    of the data set. step: by which scores differ at the least; few splits may well agree to a step,
    so s^2 is taken to be at least that of rounding to one, step^2/12 (Sheppard 1898, Proc. Lond.
    Math. Soc. 29). Raises ValueError for fewer than two splits.
    """
    check_level(level)
    table = as_table(scores)
    by_split = table.mean(axis=0)
    j = len(by_split)
    if j < 2 or n_train <= 0 or n_test <= 0:
        raise ValueError("two or more splits, with examples to train and to test on, are needed")
    estimate = float(by_split.mean())
    spread = max(float(by_split.var(ddof=1)), step**2 / 12)
    variance = (1 / j + n_test / n_train) * spread
    parts = (Part(variance, j - 1.0),)
    se = float(np.sqrt(variance))
    q = t_quantile(1 - level, j - 1)
    if scale == "proportion" and step and not 0 < estimate < 1:  # all right, or all wrong
        low, high = wilson(estimate, n_test, q)
    else:
        low, high = ends(estimate, se, q, scale)
    p_value = two_sided_p(parts, abs(estimate))
    return Interval(
        estimate, low, high, level, se, None, "corrected resampled", p_value, parts=parts
    )
