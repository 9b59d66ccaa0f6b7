"""What the bench finds, as plain data, with what is promised of it and what later runs compare."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

SHORTEST = 0.05  # seconds; what is over sooner has no exponent
LEAST_GROWTH = 8.0  # MiB; what grows by less from one size to the next, likewise


@dataclass(frozen=True)
class LeftOut:
    """What was not measured, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Promise:
    """A bound, and what was found."""

    what: str
    found: float
    bound: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    def __str__(self) -> str:
        said = f"{self.what} {'≥' if self.at_least else '≤'} {number(self.bound)}"
        return said if self.kept else f"{said} (**missed**: {number(self.found)})"


@dataclass(frozen=True)
class Measure:
    """What later runs compare. values: one a turn, lower is better. anywhere: whether they mean the
    same on another machine, as ratios and exponents do; seconds and bytes don't. exponent: whether
    they are powers, whose noise is not a share of them."""

    what: str
    values: Sequence[float]
    anywhere: bool = False
    exponent: bool = False


class Record:
    """One row of a table of the page. `name` identifies it in files of before."""

    section: ClassVar[str]
    name: str

    @property
    def cells(self) -> dict[str, str]:
        """Column → text, without `name`."""
        raise NotImplementedError

    @property
    def measures(self) -> list[Measure]:
        return []

    @property
    def promises(self) -> list[Promise]:
        return []

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """From what `dataclasses.asdict` made of it."""
        return cls(**plain)


@dataclass(frozen=True)
class Score:
    """A score of both sides of a pair. sign: 1 where higher is better, else -1. tolerance: by which
    ours may be the worse, less than one can see. bound: what ours is promised to reach.
    theirs: None where it was not measured."""

    name: str
    tolerance: float = 0.005
    sign: int = 1
    bound: float | None = None
    ours: float = 0.0
    theirs: float | None = None

    @property
    def promised(self) -> list[Promise]:
        return self._reaching(self.bound)

    @property
    def no_worse(self) -> list[Promise]:
        least = None if self.theirs is None else self.theirs - self.sign * self.tolerance
        return self._reaching(least)

    def _reaching(self, bound: float | None) -> list[Promise]:
        return [] if bound is None else [Promise(self.name, self.ours, bound, self.sign > 0)]

    def __str__(self) -> str:
        theirs = "" if self.theirs is None else f" ({self.theirs:.5g})"
        return f"{self.name} {self.ours:.5g}{theirs}"


@dataclass(frozen=True)
class Timed(Record):
    """A pair: seconds of each turn, and the scores of the last one. most: the ratio of seconds
    that is promised, most_s: the seconds of ours; None for no promise."""

    section = "pairs"
    name: str
    ours_s: list[float]
    theirs_s: list[float]
    scores: list[Score]
    most: float | None = None
    most_s: float | None = None

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return statistics.median(self.ours_s) / statistics.median(self.theirs_s)

    @property
    def ratios(self) -> list[float]:
        """Of each turn."""
        return [a / b for a, b in zip(self.ours_s, self.theirs_s, strict=True)]

    @property
    def promises(self) -> list[Promise]:
        return self.promised + [promise for score in self.scores for promise in score.no_worse]

    @property
    def promised(self) -> list[Promise]:
        """But for the scores being no worse than theirs, which is promised of every pair."""
        return [
            *bounded("ratio", self.ratio, self.most),
            *bounded("seconds", statistics.median(self.ours_s), self.most_s),
            *(promise for score in self.scores for promise in score.promised),
        ]

    @property
    def cells(self) -> dict[str, str]:
        worse = [p for score in self.scores for p in score.no_worse if not p.kept]
        return {
            "ours": seconds(self.ours_s),
            "instead": seconds(self.theirs_s),
            "ratio": spread(self.ratio, self.ratios),
            "promised": "; ".join(map(str, self.promised + worse)),
            "score (instead)": "; ".join(map(str, self.scores)),
        }

    @property
    def measures(self) -> list[Measure]:
        return [Measure("times the seconds of the other", self.ratios, anywhere=True)]

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        return cls(**plain | {"scores": [Score(**s) for s in plain["scores"]]})


@dataclass(frozen=True)
class Exponent:
    """p of b · n^p: fitted to all sizes, and from each size to the next."""

    fitted: float
    steps: list[float]

    def __str__(self) -> str:
        return spread(self.fitted, self.steps)


def exponent(
    n: Sequence[float], values: Sequence[float], least: float, fewest: int
) -> Exponent | None:
    """By least squares in logarithms, of the values that can be measured: those of `least` or more.
    None where there are fewer than `fewest` of them."""
    found = [(a, b) for a, b in zip(n, values, strict=True) if b >= least]
    if len(found) < fewest:
        return None
    x, y = np.log(found).T
    return Exponent(float(np.polyfit(x, y, 1)[0]), (np.diff(y) / np.diff(x)).tolist())


@dataclass(frozen=True)
class Growth(Record):
    """A rung at doubling sizes. fit_s, peak_mib: one list of turns for each of `rows`."""

    section = "scaling"
    name: str
    rows: list[int]
    fit_s: list[list[float]]
    peak_mib: list[list[float]]

    @property
    def time(self) -> Exponent | None:
        """Of the median seconds."""
        return exponent(self.rows, list(map(statistics.median, self.fit_s)), SHORTEST, 3)

    @property
    def memory(self) -> Exponent | None:
        """Of what memory grows by from one size to the next: a + b · n^p grows by a power of n with
        the same p, whatever the interpreter and the libraries hold."""
        grown = np.diff([statistics.median(turns) for turns in self.peak_mib])
        return exponent(self.rows[:-1], grown.tolist(), LEAST_GROWTH, 2)

    @property
    def cells(self) -> dict[str, str]:
        times, peaks = (list(map(statistics.median, v)) for v in (self.fit_s, self.peak_mib))
        return {
            "rows": ", ".join(f"{n:,}" for n in self.rows),
            "fit, s": ", ".join(number(s) if s >= SHORTEST else f"< {SHORTEST}" for s in times),
            "exponent": str(self.time or "–"),
            "peak memory, MiB": ", ".join(f"{mib:,.0f}" for mib in peaks),
            "exponent of its growth": str(self.memory or "–"),
        }

    @property
    def measures(self) -> list[Measure]:
        most = f"{self.rows[-1]:,} rows"
        return [
            *(Measure(f"{w} exponent", e.steps, True, True) for w, e in self.exponents.items()),
            Measure(f"seconds for {most}", self.fit_s[-1]),
            Measure(f"MiB for {most}", self.peak_mib[-1]),
        ]

    @property
    def exponents(self) -> dict[str, Exponent]:
        both = {"time": self.time, "memory": self.memory}
        return {what: found for what, found in both.items() if found is not None}


@dataclass(frozen=True)
class Flow(Record):
    """Pictures on their way. seconds: of each turn. alone_s: what the net takes if nothing is to be
    waited for and nothing learnt. steps_s: those of `seconds` that its optimizers took. most_s,
    most: the seconds, and their ratio to the net alone, that are promised."""

    section = "pipeline"
    name: str
    pictures: int
    seconds: list[float]
    alone_s: list[float] = dataclasses.field(default_factory=list)
    steps_s: list[float] = dataclasses.field(default_factory=list)
    most_s: float | None = None
    most: float | None = None

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.seconds, self.alone_s, strict=True)]

    @property
    def promises(self) -> list[Promise]:
        found = bounded("seconds", statistics.median(self.seconds), self.most_s)
        return found + (bounded("ratio", self.ratio, self.most) if self.alone_s else [])

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return statistics.median(self.seconds) / statistics.median(self.alone_s)

    @property
    def steps(self) -> float:
        """The share of the time that its optimizers take."""
        return statistics.median(self.steps_s) / statistics.median(self.seconds)

    @property
    def cells(self) -> dict[str, str]:
        alone = self.alone_s
        return {
            "pictures": f"{self.pictures:,}",
            "time": seconds(self.seconds),
            "pictures a second": f"{self.pictures / statistics.median(self.seconds):,.0f}",
            "the net alone": seconds(alone) if alone else "",
            "ratio": spread(self.ratio, self.ratios) if alone else "",
            "optimizers": f"{self.steps:.1%}" if self.steps_s else "",
            "the net waits": (
                f"{max(0.0, 1 - 1 / self.ratio - self.steps):.1%}" if self.steps_s else ""
            ),
            "promised": "; ".join(map(str, self.promises)),
        }

    @property
    def measures(self) -> list[Measure]:
        if self.alone_s:
            return [Measure("times the seconds of the net alone", self.ratios, anywhere=True)]
        return [Measure("seconds", self.seconds)]


@dataclass(frozen=True)
class Isolated(Record):
    """A trivial trial, seconds: in this process, in one of its own, and the difference; each value
    is a median of some turns. trials, run_s: a whole run of that many."""

    section = "isolation"
    name: str
    here_s: list[float]
    apart_s: list[float]
    more_s: list[float]
    trials: int
    run_s: list[float]

    @property
    def cells(self) -> dict[str, str]:
        here, apart, more = (
            f"{1000 * statistics.median(v):.0f} ms"
            for v in (self.here_s, self.apart_s, self.more_s)
        )
        return {
            "in this process": here,
            "in one of its own": apart,
            "more": more,
            f"a run of {self.trials}": seconds(self.run_s),
        }

    @property
    def measures(self) -> list[Measure]:
        return [
            Measure("seconds more for a process", self.more_s),
            Measure(f"seconds for {self.trials} trials", self.run_s),
        ]


KINDS: dict[str, type[Record]] = {c.section: c for c in (Timed, Growth, Flow, Isolated)}


def bounded(what: str, found: float, bound: float | None) -> list[Promise]:
    return [] if bound is None else [Promise(what, found, bound)]


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def seconds(turns: Sequence[float]) -> str:
    return f"{statistics.median(turns):.3g} s"


def spread(value: float, turns: Sequence[float]) -> str:
    """The value, and the range over the turns if there are several."""
    low, high = min(turns), max(turns)
    return f"{value:.3g} [{low:.3g}, {high:.3g}]" if len(turns) > 1 else f"{value:.3g}"
