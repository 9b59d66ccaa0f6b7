"""What a number means: intervals for scores, paired differences and ranks.

Throughout, `values[s, i]` is the value of example i under the model trained with seed s; the score
is the mean. Two things make it uncertain: the test set is a sample of examples, and the training
run is random. Both are crossed random effects (every seed is tested on every example), so the
variance of the mean is estimated from the mean squares of the two-way table (Searle, Casella and
McCulloch 1992, ch. 4; for test cases and readers: Obuchowski and Rockette 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

POWER = 0.8


@dataclass(frozen=True)
class Interval:
    """An estimate with what is known of its error.

    test_se and seed_se: standard errors from the sample of examples and from the training runs
    (None: not measured, there is one seed). p_value: two-sided, of differences from zero.
    """

    estimate: float
    low: float
    high: float
    level: float
    test_se: float
    seed_se: float | None
    method: str
    p_value: float | None = None
    df: float = np.inf

    @property
    def se(self) -> float:
        return float(np.hypot(self.test_se, self.seed_se or 0.0))


def as_table(values: ArrayLike) -> NDArray[np.float64]:
    """values as a finite (n_seeds, n_examples) array. Raises ValueError for anything else."""
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"values must be (n_seeds, n_examples), got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("values must be finite")
    return table


@dataclass(frozen=True)
class _Parts:
    """The variance of a mean as a signed sum of mean squares, each with degrees of freedom."""

    test: list[tuple[float, float]]
    seed: list[tuple[float, float]]

    @property
    def test_variance(self) -> float:
        return sum(term for term, _ in self.test)

    @property
    def seed_variance(self) -> float:
        return max(sum(term for term, _ in self.seed), 0.0)

    @property
    def variance(self) -> float:
        return self.test_variance + self.seed_variance

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946)."""
        terms = [(term, df) for term, df in self.test + self.seed if df > 0]
        spread = sum(term**2 / df for term, df in terms)
        if spread == 0 or self.variance == 0:
            return np.inf
        # Never fewer than those of the worst-known term, as with terms that are all positive.
        return max(self.variance**2 / spread, min(df for _, df in terms))


def _parts(tables: Sequence[NDArray[np.float64]]) -> _Parts:
    """Of the mean of one table, or of the difference of the means of two over the same examples.

    With one table and S >= 2 the sum is (MS_seed + MS_example - MS_residual) / (S N).
    """
    n = tables[0].shape[1]
    means = [t.mean(axis=0) for t in tables]
    effect = means[0] if len(means) == 1 else means[0] - means[1]
    test = [(float(effect.var(ddof=1)) / n if n > 1 else 0.0, float(n - 1))]
    seed: list[tuple[float, float]] = []
    for table, mean in zip(tables, means, strict=True):
        s = len(table)
        if s < 2:
            continue
        by_seed = table.mean(axis=1)
        ms_seed = n * float(by_seed.var(ddof=1))
        residual = table - mean - by_seed[:, None] + mean.mean()
        df = max((s - 1) * (n - 1), 1)
        ms_residual = float((residual**2).sum()) / df
        seed += [(ms_seed / (s * n), s - 1.0), (-ms_residual / (s * n), float(df))]
    return _Parts(test, seed)


def score_interval(values: ArrayLike, level: float = 0.95, scale: str = "auto") -> Interval:
    """The interval of a mean over examples and seeds.

    values: (n_seeds, n_examples), or (n_examples,) for one seed. scale: "logit" (for values of 0
    and 1 when "auto"), "log" (for positive scores such as RMSE) or "identity": where the t
    interval is symmetric, so that it keeps to the range and its coverage near its ends.

    Several seeds: crossed random effects with Satterthwaite degrees of freedom; covers a new test
    set and a new training run. One seed: the test set's part only, of *this trained model*; Wilson
    (1927) for proportions. With all answers right, or all wrong, Wilson's interval too.
    """
    table = as_table(values)
    n_seeds, n = table.shape
    estimate = float(table.mean())
    proportion = bool(np.isin(table, (0.0, 1.0)).all())
    if scale == "auto":
        scale = "logit" if proportion else "identity"
    parts = _parts([table])
    test_se = float(np.sqrt(max(parts.test_variance, 0.0)))
    seed_se = float(np.sqrt(parts.seed_variance)) if n_seeds > 1 else None
    if proportion and scale == "logit" and (n_seeds == 1 or estimate in (0.0, 1.0)):
        hits = round(estimate * n)
        exact = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
        return Interval(estimate, exact.low, exact.high, level, test_se, seed_se, "Wilson")
    method = "crossed random effects" if n_seeds > 1 else "t, test set only"
    low, high = _t_interval(estimate, np.sqrt(parts.variance), parts.df, level, scale)
    if scale != "identity":
        method += f", {scale} scale"
    return Interval(estimate, low, high, level, test_se, seed_se, method, df=parts.df)


def _t_interval(
    estimate: float, se: float, df: float, level: float, scale: str
) -> tuple[float, float]:
    """estimate +- t se, computed on the given scale by the delta method and mapped back."""
    half = float(stats.t.ppf((1 + level) / 2, df) * se)
    if scale == "logit" and 0 < estimate < 1:
        centre = special.logit(estimate)
        width = half / (estimate * (1 - estimate))
        return float(special.expit(centre - width)), float(special.expit(centre + width))
    if scale == "log" and estimate > 0:
        return estimate * float(np.exp(-half / estimate)), estimate * float(np.exp(half / estimate))
    return estimate - half, estimate + half


def difference_interval(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """The interval of mean(a) - mean(b): paired over the same examples, seeds independent.

    a: (n_seeds_a, n_examples); b: (n_seeds_b, n_examples), columns the same examples in the same
    order. p_value: two-sided, from Student's t with Satterthwaite degrees of freedom.
    """
    left, right = as_table(a), as_table(b)
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"a has {left.shape[1]} examples and b {right.shape[1]}; a paired difference needs "
            "the same examples"
        )
    estimate = float(left.mean() - right.mean())
    parts = _parts([left, right])
    se, df = float(np.sqrt(parts.variance)), parts.df
    measured = len(left) > 1 or len(right) > 1
    if se > 0:
        p_value = float(2 * stats.t.sf(abs(estimate) / se, df))
    else:
        p_value = 1.0 if estimate == 0 else 0.0
    low, high = _t_interval(estimate, se, df, level, "identity")
    return Interval(
        estimate,
        low,
        high,
        level,
        float(np.sqrt(parts.test_variance)),
        float(np.sqrt(parts.seed_variance)) if measured else None,
        "paired, crossed random effects",
        p_value,
        df,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the family by Holm's step-down method (Scand. J. Stat. 6, 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]


def rank_intervals(
    list_of_values: Sequence[ArrayLike], level: float = 0.95
) -> list[tuple[int, int]]:
    """For each entry (higher is better) the ranks it may have: (low, high), 1 is best.

    low is 1 + the entries that are significantly better, high is n - those significantly worse,
    by paired differences with Holm's correction over all pairs (Mohammad, Al Mahmud et al. 2021;
    Mogstad et al. 2024 call these simultaneous confidence sets for ranks).
    """
    tables: list[Any] = [as_table(v) for v in list_of_values]
    pairs = [(i, j) for i in range(len(tables)) for j in range(i)]
    intervals = [difference_interval(tables[i], tables[j], level) for i, j in pairs]
    adjusted = holm([interval.p_value or 0.0 for interval in intervals])
    better = np.zeros(len(tables), int)
    worse = np.zeros(len(tables), int)
    for (i, j), interval, p in zip(pairs, intervals, adjusted, strict=True):
        if p < 1 - level:
            winner, loser = (i, j) if interval.estimate > 0 else (j, i)
            worse[winner] += 1
            better[loser] += 1
    n = len(tables)
    return [(int(1 + b), int(n - w)) for b, w in zip(better, worse, strict=True)]


def minimum_detectable_difference(interval: Interval, power: float = POWER) -> float:
    """The difference that would be called significant with this power (0.8), given this error.

    (t_(1+level)/2 + t_power) times the standard error of the difference (Cohen 1988, ch. 2).
    """
    quantiles = stats.t.ppf([(1 + interval.level) / 2, power], interval.df)
    return float(quantiles.sum() * interval.se)
