"""Rungs over many data sets: mean ranks, what tells them apart, and when nothing can.

After Demšar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
Scores of different data sets are never averaged: only their order on each data set counts, and
for Wilcoxon's test also which differences are the larger ones.

Throughout, `scores` is (n_datasets, n_rungs), higher is better, and so are the ranks made from it,
where 1 is best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from rung import intervals
from rung.board import Board, Row
from rung.errors import RungError
from rung.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
RESAMPLES = 10_000
# Below these the F and chi-square of Friedman's test are rough (Demšar 2006, section 3.2.2).
ENOUGH_DATASETS, ENOUGH_RUNGS = 11, 6
ENOUGH_TO_RESAMPLE = 10  # see bootstrap

Array = NDArray[np.float64]


def ranks(scores: ArrayLike) -> Array:
    """(n_datasets, n_rungs): the ranks on each data set, ties get the average rank."""
    table = np.asarray(scores, dtype=np.float64)
    return np.asarray(stats.rankdata(-table, axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Friedman:
    """chi_square: as Demšar (2006) prints it, without a correction for ties; p_value from n_rungs
    - 1 degrees of freedom. chi_square_ties: corrected. f, f_df, f_p_value: Iman and Davenport's."""

    chi_square: float
    df: int
    p_value: float
    chi_square_ties: float
    f: float
    f_df: tuple[int, int]
    f_p_value: float


def friedman(ranks: ArrayLike) -> Friedman:
    """Whether the rungs differ at all (Demšar 2006, section 3.2.2).

    ranks: (n_datasets, n_rungs) with at least three rungs. Where all data sets agree F is infinite,
    and its p-value the chance that they would, 1 / (n_rungs!) ** (n_datasets - 1).
    """
    table = np.asarray(ranks, dtype=np.float64)
    n, k = table.shape
    mean = table.mean(axis=0)
    chi_square = float(12 * n / (k * (k + 1)) * ((mean**2).sum() - k * (k + 1) ** 2 / 4))
    chi_square = max(chi_square, 0.0)  # all ranks tied: zero but for rounding
    # SciPy's has the correction; with all rungs tied on every data set there is none to make.
    tied = np.ptp(table, axis=1).max() == 0
    corrected = 0.0 if tied else float(stats.friedmanchisquare(*table.T).statistic)
    df, rest = (k - 1, (k - 1) * (n - 1)), n * (k - 1) - chi_square
    if rest > 1e-9:
        f = (n - 1) * chi_square / rest
        f_p_value = float(stats.f.sf(f, *df))
    else:
        f, f_p_value = math.inf, float(math.factorial(k)) ** -(n - 1)
    p_value = float(stats.chi2.sf(chi_square, k - 1))
    return Friedman(chi_square, k - 1, p_value, corrected, f, df, f_p_value)


def critical_difference(n_datasets: int, n_rungs: int, level: float = 0.95) -> float:
    """The difference of mean ranks from which two rungs are told apart, for all pairs at once.

    Nemenyi's test (Demšar 2006, section 3.2.2): q sqrt(k (k + 1) / (6 N)), q the quantile of the
    Studentized range over sqrt(2).
    """
    q = stats.studentized_range.ppf(level, n_rungs, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_rungs * (n_rungs + 1) / (6 * n_datasets)))


def groups(mean_ranks: ArrayLike, difference: float) -> list[tuple[int, ...]]:
    """The largest sets of rungs whose mean ranks all differ by less than `difference`.

    mean_ranks: (n_rungs,). Indices into it, best first; a rung that stands alone is in none.
    """
    means = np.asarray(mean_ranks, dtype=np.float64)
    order = np.argsort(means, kind="stable")
    found: list[tuple[int, ...]] = []
    reached = 0
    for start, first in enumerate(order):
        near = [int(i) for i in order[start:] if means[i] - means[first] < difference]
        if len(near) > 1 and start + len(near) > reached:
            found.append(tuple(near))
            reached = start + len(near)
    return found


def wilcoxon(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Wilcoxon's signed-rank test of two rungs: the smaller rank sum T, and the two-sided p-value.

    a, b: (n_datasets,) scores. Zero differences as in Demšar (2006, section 3.1.3): their ranks are
    split evenly between the two sums, and of an odd number of them one is ignored. The p-value is
    exact, with ties too (scipy.stats.wilcoxon has it exact for few of them or none): it counts the
    signs that the ranks could have had.
    """
    left, right = (np.asarray(x, dtype=np.float64) for x in (a, b))
    differences = left - right
    # .768 - .763 and .936 - .931 tie on paper, and have to tie here.
    size = float(max(np.abs(left).max(), np.abs(right).max())) or 1.0
    differences = np.round(differences / size, 12)
    zeros = np.flatnonzero(differences == 0)
    if len(zeros) % 2:
        differences = np.delete(differences, zeros[0])
    places = stats.rankdata(np.abs(differences))
    signed = places[differences != 0]
    chances = np.ones(1)  # of each sum of ranks, in halves since ties have half ranks
    for halves in (2 * signed).astype(int):
        chances = np.convolve(chances, np.r_[0.5, np.zeros(halves - 1), 0.5])
    plus = float(places[differences > 0].sum())
    smaller = min(plus, float(signed.sum()) - plus)
    p_value = min(1.0, 2 * float(chances[: round(2 * smaller) + 1].sum()))
    split = (float(places.sum()) - float(signed.sum())) / 2
    return smaller + split, p_value


def smallest_p(n_datasets: int) -> float:
    """The smallest p-value that Wilcoxon's test can give: all differences have the same sign."""
    return float(2.0 ** (1 - n_datasets))


def datasets_needed(n_pairs: int, level: float = 0.95) -> int:
    """How many data sets it takes before Wilcoxon's test with Holm's correction can tell any of
    n_pairs apart."""
    return math.floor(math.log2(2 * n_pairs / (1 - level))) + 1


def bootstrap(
    ranks: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Array, Array]:
    """Paired bootstrap over data sets: all rungs are seen on the same resampled data sets.

    ranks: (n_datasets, n_rungs). Returns the intervals of the mean ranks, (n_rungs, 2), and the
    share of resamples in which rung i has a better mean rank than rung j, (n_rungs, n_rungs), ties
    counted half. The percentile interval is expanded for few data sets (Hesterberg 2015, The
    American Statistician 69): the plain one is too short by sqrt((n - 1) / n), and has
    normal quantiles where Student's belong. Still, it can't leave the range of the ranks seen: in
    simulations (5 and 8 rungs) 95 % intervals covered .68 to .73 with 3 data sets, .78 to .86 with
    4, .88 to .93 with 6, .93 to .95 with 10; plain ones .68 to .73, .74 to .81, .82 to .87, .86
    to .90.
    """
    table = np.asarray(ranks, dtype=np.float64)
    n, k = table.shape
    rng = np.random.default_rng(seed)
    # Sums of ranks are exact, so that ties of mean ranks are seen.
    sums = rng.multinomial(n, np.full(n, 1 / n), size=resamples) @ table
    tail = float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf((1 + level) / 2, n - 1)))
    spans = np.quantile(sums / n, [tail, 1 - tail], axis=0).T
    share = np.empty((k, k))
    for i, j in itertools.product(range(k), repeat=2):
        share[i, j] = np.mean((sums[:, i] < sums[:, j]) + 0.5 * (sums[:, i] == sums[:, j]))
    return spans, share


@dataclass(frozen=True)
class Standing:
    """One rung over all data sets, in their order. scores: in the metric's unit. low, high: of the
    mean rank. groups: numbers of the groups it belongs to."""

    rung: str
    title: str
    scores: tuple[float, ...]
    ranks: tuple[float, ...]
    mean_rank: float
    low: float
    high: float
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two rungs, the one with the better mean rank first. difference: of the mean ranks. t,
    p_value: Wilcoxon's; holm: p_value adjusted for all pairs. share: of resamples in which the
    first has the better mean rank."""

    better: str
    worse: str
    difference: float
    t: float
    p_value: float
    holm: float
    share: float


@dataclass(frozen=True)
class LeftOut:
    """A rung that is not compared, and why."""

    rung: str
    title: str
    reason: str


@dataclass(frozen=True)
class Across:
    """Rungs compared over data sets. rows: best mean rank first. groups: the rungs that can't be
    told apart. friedman and critical_difference: None with two rungs, where Wilcoxon's test decides
    alone. settings_differ: titles of rungs that were run with other settings on some data sets."""

    name: str
    level: float
    datasets: tuple[str, ...]
    titles: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Standing, ...]
    friedman: Friedman | None
    critical_difference: float | None
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...] = ()
    settings_differ: tuple[str, ...] = field(default=())

    @classmethod
    def from_scores(
        cls,
        scores: ArrayLike,
        rungs: Sequence[str],
        datasets: Sequence[str],
        level: float = 0.95,
        *,
        metrics: Sequence[str] | None = None,
        titles: Mapping[str, str] | None = None,
        name: str = "",
        left_out: Sequence[LeftOut] = (),
        settings_differ: Sequence[str] = (),
    ) -> Across:
        """The comparison of a table of scores, (n_datasets, n_rungs), each in its metric's unit.

        metrics: of each data set, by name; without them higher is better. titles: of rungs and data
        sets. A score with a unit of its own (RMSE) enters Wilcoxon's test as a share of the median
        rung's on that data set. Raises RungError for fewer than two data sets or rungs.
        """
        table = np.asarray(scores, dtype=np.float64)
        if table.shape != (len(datasets), len(rungs)):
            raise ValueError(f"scores must be (n_datasets, n_rungs), got shape {table.shape}")
        if not np.isfinite(table).all():
            raise ValueError("scores must be finite")
        if len(datasets) < 2:
            raise RungError(
                f"{name or 'this'} has {len(datasets)} data set; to compare across data sets takes "
                "at least two"
            )
        if len(rungs) < 2:
            raise RungError(f"{name or 'this'}: there are not two rungs to compare")
        # In one order, so that the resamples, and with them every digit, are the same.
        place = np.argsort(datasets)
        datasets, table = [datasets[i] for i in place], table[place]
        metrics = [metrics[i] for i in place] if metrics else ["score"] * len(datasets)
        known = [METRICS.get(metric) for metric in metrics]
        signs = np.array([-1.0 if m and not m.greater_is_better else 1.0 for m in known])
        units = np.array(
            [
                float(np.median(np.abs(row))) or 1.0 if m and not m.percent else 1.0
                for m, row in zip(known, table, strict=True)
            ]
        )
        comparable = table * (signs / units)[:, None]
        places = ranks(table * signs[:, None])
        order = np.lexsort((np.asarray(rungs), places.sum(axis=0)))
        rungs, table = [rungs[i] for i in order], table[:, order]
        places, comparable = places[:, order], comparable[:, order]
        spans, share = bootstrap(places, level)
        pairs = _pairs(rungs, places, comparable, share)
        mean = places.mean(axis=0)
        k = len(rungs)
        test = friedman(places) if k > 2 else None
        difference = critical_difference(len(datasets), k, level) if k > 2 else None
        # A post-hoc test is for rungs that Friedman's test has found to differ.
        found = test.f_p_value < 1 - level if test else pairs[0].p_value < 1 - level
        if not found:
            together = [tuple(range(k))]
        else:
            together = groups(mean, difference) if difference is not None else []
        called = titles or {}
        rows = [
            Standing(
                rung=rung,
                title=called.get(rung, rung),
                scores=tuple(float(s) for s in table[:, i]),
                ranks=tuple(float(r) for r in places[:, i]),
                mean_rank=float(mean[i]),
                low=float(spans[i, 0]),
                high=float(spans[i, 1]),
                groups=tuple(number for number, group in enumerate(together) if i in group),
            )
            for i, rung in enumerate(rungs)
        ]
        return cls(
            name=name,
            level=level,
            datasets=tuple(datasets),
            titles=tuple(called.get(d, d) for d in datasets),
            metrics=tuple(metrics),
            rows=tuple(rows),
            friedman=test,
            critical_difference=difference,
            groups=tuple(tuple(rungs[i] for i in group) for group in together),
            pairs=tuple(pairs),
            left_out=tuple(left_out),
            settings_differ=tuple(settings_differ),
        )

    @classmethod
    def from_boards(
        cls,
        boards: Sequence[Board],
        level: float = 0.95,
        *,
        name: str = "",
        rungs: Sequence[str] | None = None,
    ) -> Across:
        """The comparison of the rungs that have a score on every board, by the primary metric.

        rungs: only these. Of several rows of a rung on a board the one that ran on the processor
        with all training rows is taken. Raises RungError for fewer than two boards or rungs.
        """
        titles = {row.rung: row.title for board in boards for row in board.rows}
        if rungs is not None:
            titles = {rung: title for rung, title in titles.items() if rung in rungs}
        common: dict[str, list[Row]] = {}
        left_out = []
        for rung, title in titles.items():
            taken = [_row(board, rung) for board in boards]
            rows = [row for row in taken if isinstance(row, Row)]
            if len(rows) == len(boards):
                common[rung] = rows
                continue
            missing: dict[str, list[str]] = {}
            for board, what in zip(boards, taken, strict=True):
                if isinstance(what, str):
                    missing.setdefault(what, []).append(board.dataset["name"])
            reason = "; ".join(f"{what} on {', '.join(on)}" for what, on in missing.items())
            left_out.append(LeftOut(rung, title, reason))
        datasets = [board.dataset["name"] for board in boards]
        if len(boards) > 1 and len(common) < 2:
            raise RungError(
                f"{name or 'this'}: {' and '.join(common) or 'no rung'} "
                f"{'alone ' if common else ''}has a score on all of {', '.join(datasets)}; to "
                "compare takes at least two rungs"
            )
        return cls.from_scores(
            np.array([[r.score.estimate for r in rows] for rows in common.values()]).T.reshape(
                len(boards), len(common)
            ),
            list(common),
            datasets,
            level,
            metrics=[board.metric.name for board in boards],
            titles=titles | {b.dataset["name"]: b.dataset["title"] for b in boards},
            name=name,
            left_out=left_out,
            settings_differ=[
                titles[rung]
                for rung, rows in common.items()
                if any(row.settings != rows[0].settings for row in rows)
            ],
        )

    @property
    def smallest_p(self) -> float:
        """The smallest adjusted p-value that Wilcoxon's test can give with these data sets."""
        return min(1.0, len(self.pairs) * smallest_p(len(self.datasets)))

    @property
    def datasets_needed(self) -> int:
        """From how many data sets on Wilcoxon's test can tell any two of these rungs apart."""
        return datasets_needed(len(self.pairs), self.level)

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain data: the stable schema that `--format json` prints. An infinite
        F is null."""
        test = self.friedman
        return {
            "schema": SCHEMA,
            "benchmark": self.name,
            "level": self.level,
            "datasets": [
                {"dataset": dataset, "title": title, "metric": metric}
                for dataset, title, metric in zip(
                    self.datasets, self.titles, self.metrics, strict=True
                )
            ],
            "rows": [
                asdict(row)
                | {
                    "scores": dict(zip(self.datasets, row.scores, strict=True)),
                    "ranks": dict(zip(self.datasets, row.ranks, strict=True)),
                    "groups": list(row.groups),
                }
                for row in self.rows
            ],
            "friedman": test
            and asdict(test)
            | {"f": test.f if math.isfinite(test.f) else None, "f_df": list(test.f_df)},
            "critical_difference": self.critical_difference,
            "groups": [list(group) for group in self.groups],
            "pairs": [asdict(pair) for pair in self.pairs],
            "smallest_p": self.smallest_p,
            "datasets_needed": self.datasets_needed,
            "left_out": [asdict(rung) for rung in self.left_out],
            "settings_differ": list(self.settings_differ),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a rung: mean rank, and the score and rank on each data set."""
        from rung.render import across

        return across.frame(self)

    def to_markdown(self) -> str:
        from rung.render import across

        return across.render(self, "markdown")

    def _repr_html_(self) -> str:
        from rung.render import across

        return across.render(self, "html")

    def __str__(self) -> str:
        from rung.render import across

        return across.render(self, "table")


def _row(board: Board, rung: str) -> Row | str:
    """The row of that rung, or why there is none."""
    rows = [row for row in board.rows if row.rung == rung]
    good = [row for row in rows if row.ok]
    if len(good) > 1:
        usual = [r for r in good if r.device == "cpu" and r.train_size is None and not r.sized]
        good = usual or good
    if len(good) == 1:
        return good[0]
    if good:
        return "several rows"
    return rows[0].status.partition(":")[0] if rows else "no row"


def _pairs(rungs: Sequence[str], places: Array, comparable: Array, share: Array) -> list[Pair]:
    """All pairs of rungs, which stand in the order of their mean ranks."""
    pairs = list(itertools.combinations(range(len(rungs)), 2))
    tests = [wilcoxon(comparable[:, i], comparable[:, j]) for i, j in pairs]
    adjusted = intervals.holm([p for _, p in tests])
    mean = places.mean(axis=0)
    return [
        Pair(rungs[i], rungs[j], float(mean[j] - mean[i]), t, p, q, float(share[i, j]))
        for (i, j), (t, p), q in zip(pairs, tests, adjusted, strict=True)
    ]
