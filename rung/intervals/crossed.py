"""Intervals of means over examples and seeds: crossed random effects.

Every model is tested on every example, so the two-way table of values has mean squares of seeds,
examples and residual, and the variance of its mean is estimated from them (Searle, Casella and
McCulloch 1992, ch. 4; for cases and readers: Obuchowski and Rockette 1995): scores by the modified
large-sample method (Howe 1974), differences with Satterthwaite's degrees of freedom (1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from rung.intervals.interval import (
    Interval,
    Scale,
    as_table,
    check_level,
    ends,
    t_quantile,
    wilson,
)
from rung.intervals.resampled import Resampled

POWER = 0.8
# Between 0 (nothing is added) and 1 (intervals 6 % wider where three seeds don't differ).
UNSEEN = 0.25
# The share of the test set's own variance that no luck with the mean squares takes away.
FLOOR = 0.25
ROUNDING = 1e-9  # a difference of sums that is smaller than this share of them is zero


@dataclass(frozen=True, eq=False)
class Summary:
    """What the intervals need of a table of values (n_seeds, n_examples)."""

    by_example: NDArray[np.float64]  # (n_examples,) means over seeds
    by_seed: NDArray[np.float64]  # (n_seeds,) means over examples
    ms_residual: float  # mean square of the interaction; 0 with one seed
    proportion: bool  # all values are 0 or 1

    @classmethod
    def of(cls, values: ArrayLike | Summary) -> Summary:
        """Raises ValueError for values that are no finite (n_seeds, n_examples) table."""
        if isinstance(values, Summary):
            return values
        table = as_table(values)
        n_seeds, n = table.shape
        by_example, by_seed = table.mean(axis=0), table.mean(axis=1)
        ms_residual = 0.0
        if n_seeds > 1 and n > 1:
            residual = table - by_example - (by_seed - by_seed.mean())[:, None]
            ms_residual = float(np.vdot(residual, residual)) / ((n_seeds - 1) * (n - 1))
        return cls(by_example, by_seed, ms_residual, bool(((table == 0) | (table == 1)).all()))

    @property
    def n(self) -> int:
        return len(self.by_example)

    @property
    def n_seeds(self) -> int:
        return len(self.by_seed)

    @property
    def mean(self) -> float:
        return float(self.by_seed.mean())

    def seed_terms(self) -> list[tuple[float, float]]:
        """The seeds' part of the variance of the mean: signed mean squares, degrees of freedom."""
        if self.n_seeds < 2:
            return []
        s, n = self.n_seeds, self.n
        df = max((s - 1) * (n - 1), 1)
        return [
            (float(self.by_seed.var(ddof=1)) / s, s - 1.0),
            (-self.ms_residual / (s * n), float(df)),
        ]


@dataclass(frozen=True)
class Error:
    """The error of a mean, as variances of it.

    test: from the examples, var(by_example) / n; it has the residual in it. between: from the mean
    squares of seeds, which have the residual in them too. residual. df: Satterthwaite's, of the
    whole. skew: the skewness of the mean (from the examples; seeds are few and taken as symmetric).
    """

    test: float
    between: float
    residual: float
    df: float
    skew: float

    @property
    def seed(self) -> float:
        """The seeds' own part, never below zero."""
        own = self.between - self.residual
        return own if own > ROUNDING * self.between else 0.0

    @property
    def se(self) -> float:
        return float(np.sqrt(self.test + self.seed))


def error(effect: NDArray[np.float64], seeds: Sequence[Summary]) -> Error:
    """Of a mean over examples: effect (n,) is each example's part of it, averaged over seeds.

    With one table and S >= 2 the variance is (MS_seed + MS_example - MS_residual) / (S N).
    """
    n = len(effect)
    centred = effect - effect.mean()
    test = float(np.vdot(centred, centred)) / ((n - 1) * n) if n > 1 else np.inf
    terms = [term for summary in seeds for term in summary.seed_terms()]
    between = sum(term for term, _ in terms if term > 0)
    residual = -sum(term for term, _ in terms if term < 0)
    found = Error(test, between, residual, np.inf, 0.0)
    variance = test + found.seed
    if not np.isfinite(variance) or variance == 0:
        return found
    df = satterthwaite(variance, [(test, n - 1.0), *terms])
    if terms and found.seed == 0:
        # The seeds differ no more than residual noise makes them, so nearly all error is known
        # with n - 1 degrees of freedom; but they may differ by a little that was not seen.
        df = 1 / (UNSEEN / df + (1 - UNSEEN) / (n - 1))
    skew = float(((centred / np.sqrt(variance)) ** 3).mean()) / n**2
    return replace(found, df=df, skew=skew)


def score_quantile(found: Error, n: int, n_seeds: int, level: float) -> float:
    """q such that the score +- q se covers it, by the modified large-sample method.

    Howe (1974, J. Am. Stat. Assoc. 69), Graybill and Wang (1980): each part of the variance gets
    the quantile of its own degrees of freedom, examples N - 1 and seeds S - 1. With three seeds
    Satterthwaite's quantile covers .92 where both parts are of one size, since his degrees of
    freedom are highest when the seeds happen to agree.
    """
    t_test = t_quantile(level, n - 1)
    if n_seeds < 2:
        return t_test
    t_seed = t_quantile(level, n_seeds - 1)
    examples = max(found.test - found.residual, 0.0)
    half = max(t_test**2 * examples + t_seed**2 * found.between, FLOOR * t_test**2 * found.test)
    return float(np.sqrt(half)) / found.se if found.se > 0 else t_test


def satterthwaite(variance: float, terms: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent mean squares (Biometrics Bulletin 2, 1946)."""
    known = [(term, df) for term, df in terms if df > 0 and np.isfinite(term)]
    spread = sum(term**2 / df for term, df in known)
    if spread == 0 or not np.isfinite(variance):
        return np.inf
    # Never fewer than those of the worst-known term, as with terms that are all positive.
    return max(variance**2 / spread, min(df for _, df in known))


def score_interval(
    values: ArrayLike | Summary | Resampled,
    level: float = 0.95,
    scale: Scale | Literal["auto"] = "auto",
) -> Interval:
    """The interval of a mean over examples and seeds.

    values: (n_seeds, n_examples), or (n_examples,) for one seed; or scores over splits. scale: "proportion" (for
    values of 0 and 1 when "auto"; also for other scores between 0 and 1), "log" (for positive
    scores such as RMSE) or "identity", where skewed values are allowed for (`unskewed`).

    Several seeds: crossed random effects (see `score_quantile`); covers a new test set and a new
    training run. One seed: the test set's part only, of *this trained model*: for
    proportions Wilson's interval (1927, J. Am. Stat. Assoc. 22), also where all answers are right
    or all wrong. One example that is no proportion says nothing of its error: the whole line.
    Raises ValueError for empty or non-finite values. Coverage falls short with fewer than about 5
    expected errors and seeds that share none of them, and for heavy tails that the sample doesn't
    show.
    """
    check_level(level)
    if isinstance(values, Resampled):
        return values.interval(level, "identity" if scale == "auto" else scale)
    summary = Summary.of(values)
    if scale == "auto":
        scale = "proportion" if summary.proportion else "identity"
    estimate, n, n_seeds = summary.mean, summary.n, summary.n_seeds
    found = error(summary.by_example, [summary])
    test_se = float(np.sqrt(found.test))
    seed_se = float(np.sqrt(found.seed)) if n_seeds > 1 else None
    answers = summary.proportion or estimate in (0, 1)
    if scale == "proportion" and answers and (min(n, n_seeds) == 1 or found.se == 0):
        low, high = wilson(estimate, n, float(stats.norm.ppf((1 + level) / 2)))
        return Interval(estimate, low, high, level, test_se, seed_se, "Wilson")
    method = "crossed random effects" if n_seeds > 1 else "t, test set only"
    if n == 1:
        return Interval(estimate, -np.inf, np.inf, level, np.inf, seed_se, "one example")
    q = score_quantile(found, n, n_seeds, level)
    low, high = ends(estimate, found.se, q, scale, found.skew)
    method += {"proportion": ", Wilson", "log": ", log scale", "identity": ""}[scale]
    return Interval(estimate, low, high, level, test_se, seed_se, method, df=found.df)


def difference_interval(
    a: ArrayLike | Summary | Resampled, b: ArrayLike | Summary | Resampled, level: float = 0.95
) -> Interval:
    """The interval of mean(a) - mean(b): paired over the same examples, seeds independent.

    a: (n_seeds_a, n_examples); b: (n_seeds_b, n_examples), columns the same examples in the same
    order. p_value: two-sided, from Student's t with Satterthwaite degrees of freedom, so that it
    is below 1 - level just where the interval leaves out zero.

    Proportions: two imagined examples are added, one that only one of the models of a gets right
    and one that only one of b does, as Student's interval is too short where few examples tell a from b, and has no width
    where none does. With one seed this is the adjusted Wald interval of Bonett and Price (2012, J.
    Educ. Behav. Stat. 37). The estimate stays the plain difference; the interval is around the
    shrunk one. Other values with one seed: the paired t test.
    """
    check_level(level)
    if isinstance(a, Resampled) and isinstance(b, Resampled):
        return a.minus(b, level)
    if isinstance(a, Resampled) or isinstance(b, Resampled):
        raise ValueError("scores over splits can't be compared with values over one test part")
    left, right = Summary.of(a), Summary.of(b)
    if left.n != right.n:
        raise ValueError(
            f"a has {left.n} examples and b {right.n}; a paired difference needs the same examples"
        )
    estimate = left.mean - right.mean
    effect = left.by_example - right.by_example
    measured = left.n_seeds > 1 or right.n_seeds > 1
    proportions = left.proportion and right.proportion
    if proportions:
        effect = np.append(effect, (1 / left.n_seeds, -1 / right.n_seeds))
    if proportions and not measured:
        found = Error(float(effect.var()) / len(effect), 0.0, 0.0, np.inf, 0.0)
    else:
        found = error(effect, [left, right])
    test_se = float(np.sqrt(found.test))
    seed_se = float(np.sqrt(found.seed)) if measured else None
    method = "paired, crossed random effects" if measured else "paired, test set only"
    if len(effect) == 1:
        return Interval(estimate, -np.inf, np.inf, level, np.inf, seed_se, "one example", 1.0)
    centre = float(effect.mean())
    low, high = ends(centre, found.se, t_quantile(level, found.df))
    if found.se > 0:
        p_value = float(2 * stats.t.sf(abs(centre) / found.se, found.df))
    else:
        p_value = float(centre == 0)
    return Interval(estimate, low, high, level, test_se, seed_se, method, p_value, found.df)


def minimum_detectable_difference(interval: Interval, power: float = POWER) -> float:
    """The true difference that would be called significant with this power, given this error.

    From the noncentral t distribution (Cohen 1988, ch. 2). The standard error, known from few
    degrees of freedom, is corrected for being too small on average (Holtzman 1950). For one
    comparison: the one whose p-value Holm's method leaves as it is, the hardest of the family
    when all others are decided.
    """
    df = min(interval.df, 1e6)
    critical = stats.t.ppf((1 + interval.level) / 2, df)
    noncentrality = special.nctdtrinc(df, 1 - power, critical)
    bias = np.sqrt(2 / df) * np.exp(special.gammaln((df + 1) / 2) - special.gammaln(df / 2))
    return float(noncentrality * interval.se / bias)
