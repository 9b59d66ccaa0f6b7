"""An estimate with its interval, and Student's interval on the scale that suits the estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

SMALLEST_P = 1e-99  # smaller ones are told as this

Scale = Literal["identity", "proportion", "log", "nonnegative"]


class Part(NamedTuple):
    """A part of the variance of an estimate, with the degrees of freedom it is known with."""

    variance: float
    df: float


@dataclass(frozen=True)
class Interval:
    """An estimate with what is known of its error.

    test_se and seed_se: standard errors from the sample of examples and from the training runs
    (None: not measured, there is one seed). p_value: two-sided, of differences from zero. parts:
    independent parts of the variance, for other levels and for power.
    """

    estimate: float
    low: float
    high: float
    level: float
    test_se: float
    seed_se: float | None
    method: str
    p_value: float | None = None
    parts: tuple[Part, ...] = ()

    @property
    def se(self) -> float:
        return float(np.hypot(self.test_se, self.seed_se or 0.0))

    def __neg__(self) -> Interval:
        """The interval of the negative: of b - a, where this is one of a - b."""
        flipped = {"estimate": -self.estimate, "low": -self.high, "high": -self.low}
        return Interval(**{**self.__dict__, **flipped})


def as_table(values: ArrayLike) -> NDArray[np.float64]:
    """values as a finite (n_seeds, n_examples) array. Raises ValueError for anything else."""
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"values must be (n_seeds, n_examples), got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("values must be finite")
    return table


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, not {level}")


def ends(
    estimate: float, se: float, q: float, scale: Scale = "identity", skew: float = 0
) -> tuple[float, float]:
    """The interval estimate +- q se, on the scale that suits the estimate.

    scale: "proportion" for scores from 0 to 1, by
    `wilson` with the effective number of examples; "log" for positive scores, symmetric on that
    scale by the delta method; "identity", and "nonnegative", which is cut at 0. skew: the skewness
    of the estimate, allowed for on these two (see `unskewed`).
    """
    if scale == "proportion" and 0 < estimate < 1 and se > 0:
        return wilson(estimate, estimate * (1 - estimate) / se**2, q)
    if scale == "log" and estimate > 0:
        half = q * se / estimate
        return estimate * float(np.exp(-half)), estimate * float(np.exp(half))
    low, high = estimate - se * unskewed(q, skew), estimate - se * unskewed(-q, skew)
    return (max(low, 0.0), high) if scale == "nonnegative" else (low, high)


def half_width(parts: Sequence[Part], level: float) -> float:
    """By the modified large-sample method: each part of the variance gets its own t quantile.

    Howe (1974, J. Am. Stat. Assoc. 69), Graybill and Wang (1980, J. Am. Stat. Assoc. 75). With one
    part, Student's. One quantile for the whole, with Satterthwaite's degrees of freedom, covers
    .92 with three seeds whose noise is of the size of the test set's, and calls too many
    differences in a family, since those degrees of freedom are highest when seeds happen to agree.
    """
    return _half(parts, 1 - level)


def _half(parts: Sequence[Part], p: float) -> float:
    squares = 0.0
    for variance, df in parts:
        if variance > 0:  # else a quantile that is infinite would make it NaN
            q = t_quantile(p, df)
            squares += variance * q * q
    return math.sqrt(squares)


def two_sided_p(parts: Sequence[Part], distance: float) -> float:
    """The p-value of a distance from zero: 1 - level where `half_width` is just that."""
    if distance == 0:
        return 1.0
    high, low = 1.0, 1e-3
    while _half(parts, low) < distance:
        high, low = low, low * low
        if low < SMALLEST_P:
            return SMALLEST_P if any(part.variance > 0 for part in parts) else 0.0

    def excess(log_p: float) -> float:
        return _half(parts, math.exp(log_p)) - distance

    return math.exp(optimize.brentq(excess, math.log(low), math.log(high), xtol=1e-12))


def t_quantile(p: float, df: float) -> float:
    """Of Student's t: what is exceeded, on one side or the other, with chance p."""
    return float(-special.stdtrit(df, p / 2) if np.isfinite(df) else -special.ndtri(p / 2))


def wilson(proportion: float, n: float, q: float) -> tuple[float, float]:
    """Wilson's score interval (1927, J. Am. Stat. Assoc. 22) of a proportion of n examples.

    n may be an effective number, proportion (1 - proportion) / variance, and q a quantile of
    Student's t, as in surveys of clusters (Korn and Graubard 1998, Surv. Methodol. 24; Dean and
    Pagano 2015, J. Surv. Stat. Methodol. 3). It stays inside [0, 1] and is shorter than Student's
    interval on the logit scale where there are few errors.
    """
    centre = (proportion + q * q / (2 * n)) / (1 + q * q / n)
    half = q / (1 + q * q / n) * np.sqrt(proportion * (1 - proportion) / n + (q / (2 * n)) ** 2)
    # Rounding must not put the end past 0, 1 or the proportion itself.
    low, high = float(centre - half), float(centre + half)
    return max(min(low, proportion), 0.0), min(max(high, proportion), 1.0)


def unskewed(q: float, skew: float) -> float:
    """The value of (estimate - truth) / se that stands where q stands without skewness.

    The inverse of Hall's cubic transformation (1992, J. R. Stat. Soc. B 54, eq. 2.5), which takes
    the skewness out of Student's statistic to second order and is monotone, so that intervals of
    rising level contain each other. skew: third central moment of the estimate by its standard
    error cubed, for a mean of n values their skewness by sqrt(n). Doesn't help where the sample
    shows no sign of a tail that is there.
    """
    if abs(skew) < 1e-9:
        return q
    return float(3 / skew * (np.cbrt(1 + skew * (q - skew / 6)) - 1))
