"""Intervals of means over examples and seeds: crossed random effects.

Every model is tested on every example, so the two-way table of values has mean squares of seeds,
examples and residual, and the variance of its mean is estimated from them (Searle, Casella and
McCulloch 1992, ch. 4; for cases and readers: Obuchowski and Rockette 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from rung.intervals.interval import (
    Interval,
    Part,
    Scale,
    as_table,
    check_level,
    ends,
    half_width,
    t_quantile,
    two_sided_p,
    wilson,
)
from rung.intervals.resampled import Resampled

POWER = 0.8
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

    def __neg__(self) -> Summary:
        """Of the negative values, which are 0 or 1 only where all are 0."""
        zero = self.proportion and not self.by_example.any()
        return Summary(-self.by_example, -self.by_seed, self.ms_residual, zero)

    @property
    def n(self) -> int:
        return len(self.by_example)

    @property
    def n_seeds(self) -> int:
        return len(self.by_seed)

    @property
    def mean(self) -> float:
        return float(self.by_seed.mean())

    @property
    def between(self) -> Part:
        """Of the mean: MS_seed / (S N), which has the residual in it."""
        if self.n_seeds < 2:
            return Part(0.0, np.inf)
        return Part(float(self.by_seed.var(ddof=1)) / self.n_seeds, self.n_seeds - 1.0)

    @property
    def residual(self) -> float:
        """Of the mean: MS_residual / (S N); 0 with one seed."""
        return self.ms_residual / (self.n_seeds * self.n)


@dataclass(frozen=True)
class Error:
    """The error of a mean. test, seed: variances of it from examples and from seeds. parts: the
    same as independent mean squares. skew: skewness of the mean (from the examples; seeds are few
    and taken as symmetric)."""

    test: float
    seed: float
    parts: tuple[Part, ...]
    skew: float

    @property
    def se(self) -> float:
        return float(np.sqrt(self.test + self.seed))


def error(effect: NDArray[np.float64], seeds: Sequence[Summary]) -> Error:
    """Of a mean over examples: effect (n,) is each example's part of it, averaged over seeds.

    With one table and S >= 2 the variance is (MS_seed + MS_example - MS_residual) / (S N). Both
    MS_example and MS_seed have the residual in them; the parts have it in that of the seeds, which
    is then known with few degrees of freedom but never underrated.
    """
    n = len(effect)
    centred = effect - effect.mean()
    test = float(np.vdot(centred, centred)) / ((n - 1) * n) if n > 1 else np.inf
    between = pooled([summary.between for summary in seeds])
    residual = sum(summary.residual for summary in seeds)
    seed = between.variance - residual
    if seed <= ROUNDING * between.variance:
        seed = 0.0
    examples = max(test - residual, FLOOR * test - between.variance, 0.0)
    skew = 0.0
    if np.isfinite(test) and test + seed > 0:
        skew = float(((centred / np.sqrt(test + seed)) ** 3).mean()) / n**2
    return Error(test, seed, (Part(examples, n - 1.0), between), skew)


def pooled(parts: Sequence[Part]) -> Part:
    """The sum of mean squares, with Satterthwaite's degrees of freedom (Biometrics Bull. 2, 1946)."""
    variance = sum(part.variance for part in parts)
    spread = sum(part.variance**2 / part.df for part in parts)
    # Few degrees of freedom don't become more by a part that is nearly zero.
    least = min((part.df for part in parts if part.variance > 0), default=np.inf)
    return Part(variance, max(variance**2 / spread, least) if spread > 0 else np.inf)


def score_interval(
    values: ArrayLike | Summary | Resampled,
    level: float = 0.95,
    scale: Scale | Literal["auto"] = "auto",
) -> Interval:
    """The interval of a mean over examples and seeds.

    values: (n_seeds, n_examples), or (n_examples,) for one seed; or scores over splits. scale:
    "proportion" (for values of 0 and 1 when "auto"; also for other scores between 0 and 1), "log"
    (for positive scores such as RMSE) or "identity", where skewed values are allowed for
    (`unskewed`).

    Several seeds: crossed random effects by the modified large-sample method (see `half_width`);
    covers a new test set and a new training run. One seed: the test set's part only, of *this
    trained model*: for proportions Wilson's interval, also where all answers are right or all
    wrong. One example that is no proportion says nothing of its error: the whole line. Raises
    ValueError for empty or non-finite values. Coverage falls short for heavy tails that the sample
    doesn't show, and where seeds differ so much (sd .6 of the logit) that their mean is skewed.
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
    q = half_width(found.parts, level) / found.se if found.se > 0 else 0.0
    low, high = ends(estimate, found.se, q, scale, found.skew)
    method += {"proportion": ", Wilson", "log": ", log scale"}.get(scale, "")
    return Interval(estimate, low, high, level, test_se, seed_se, method, parts=found.parts)


def difference_interval(
    a: ArrayLike | Summary | Resampled, b: ArrayLike | Summary | Resampled, level: float = 0.95
) -> Interval:
    """The interval of mean(a) - mean(b): paired over the same examples, seeds independent.

    a: (n_seeds_a, n_examples); b: (n_seeds_b, n_examples), columns the same examples in the same
    order. Crossed random effects by the modified large-sample method (see `half_width`). p_value:
    two-sided, below 1 - level just where the interval leaves out zero.

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
    found = error(effect, [left, right])
    if proportions and not measured:
        variance = float(effect.var()) / len(effect)
        found = Error(variance, 0.0, (Part(variance, np.inf),), 0.0)
    test_se = float(np.sqrt(found.test))
    seed_se = float(np.sqrt(found.seed)) if measured else None
    method = "paired, crossed random effects" if measured else "paired, test set only"
    if len(effect) == 1:
        return Interval(estimate, -np.inf, np.inf, level, np.inf, seed_se, "one example", 1.0)
    centre = float(effect.mean())
    low, high = ends(centre, 1.0, half_width(found.parts, level))
    p_value = two_sided_p(found.parts, abs(centre))
    return Interval(
        estimate, low, high, level, test_se, seed_se, method, p_value, parts=found.parts
    )


def minimum_detectable_difference(interval: Interval, power: float = POWER) -> float:
    """The true difference that would be called significant with this power, given this error.

    From the noncentral t distribution (Cohen 1988, ch. 2), part by part of the variance as in
    `half_width`; a standard error known with few degrees of freedom is corrected for being too
    small on average (Holtzman 1950). For one comparison: the one whose p-value Holm's method leaves
    as it is, the hardest of the family when all others are decided.
    """
    squares = 0.0
    for variance, df in interval.parts:
        known = min(df, 1e6)
        critical = t_quantile(1 - interval.level, known)
        bias = np.sqrt(2 / known) * np.exp(
            special.gammaln((known + 1) / 2) - special.gammaln(known / 2)
        )
        squares += variance * (special.nctdtrinc(known, 1 - power, critical) / bias) ** 2
    return float(np.sqrt(squares))
