"""Many comparisons at once: Holm's correction, verdicts, ranks and letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rung.intervals.crossed import (
    Summary,
    difference_interval,
    minimum_detectable_difference,
)
from rung.intervals.interval import Interval
from rung.intervals.resampled import Resampled

Verdict = Literal["beats", "loses to", "tie"]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the family by Holm's step-down method (Scand. J. Stat. 6, 1979)."""
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]


def holm_level(p_values: Sequence[float], index: int, level: float) -> float:
    """The level at which Holm's method tests one comparison, with the others as they are."""
    others = [p for i, p in enumerate(p_values) if i != index]
    # As if it came last: then those that stay significant no longer count in its correction.
    significant = sum(p < 1 - level for p in holm([*others, 1.0])[:-1])
    return 1 - (1 - level) / (len(p_values) - significant)


def verdict(difference: float, p_value: float, level: float = 0.95) -> Verdict:
    """difference: mine minus the other's, better is positive; p_value: adjusted for the family."""
    if p_value >= 1 - level or difference == 0:
        return "tie"
    return "beats" if difference > 0 else "loses to"


@dataclass(frozen=True, eq=False)
class Family:
    """All pairs of k entries compared, higher is better.

    differences[i][j]: the interval of entry i minus entry j (None for i = j); p_values: (k, k),
    adjusted by Holm over the k (k - 1) / 2 pairs, 1 on the diagonal.
    """

    differences: tuple[tuple[Interval | None, ...], ...]
    p_values: NDArray[np.float64]
    level: float

    def beats(self) -> NDArray[np.bool_]:
        """(k, k): whether entry i is better than entry j for sure."""
        positive = [[d is not None and d.estimate > 0 for d in row] for row in self.differences]
        return np.array(positive, dtype=bool).reshape(self.p_values.shape) & (
            self.p_values < 1 - self.level
        )

    def ranks(self) -> list[tuple[int, int]]:
        """For each entry the ranks that it may have, (low, high), 1 is best.

        1 + the entries that are surely better, to k - those that are surely worse: as no pair is
        called wrongly in `level` of all cases, all true ranks are inside together (Mogstad,
        Romano, Shaikh and Wilhelm 2024, Rev. Econ. Stud. 91, sec. 3).
        """
        beats = self.beats()
        k = len(beats)
        return [(int(1 + beats[:, i].sum()), int(k - beats[i].sum())) for i in range(k)]

    def minimum_detectable_difference(self, i: int, j: int) -> float:
        """What would be seen between two entries with 80 % power, Holm's correction included."""
        pairs = [
            (a, b) for a in range(len(self.p_values)) for b in range(a + 1, len(self.p_values))
        ]
        raw = [d.p_value or 0.0 for a, b in pairs if (d := self.differences[a][b]) is not None]
        found = self.differences[i][j]
        if found is None:
            raise ValueError("an entry does not differ from itself")
        level = holm_level(raw, pairs.index((min(i, j), max(i, j))), self.level)
        return minimum_detectable_difference(replace(found, level=level))

    def letters(self) -> list[str]:
        return letters(self.beats() | self.beats().T)


def compare(
    list_of_values: Sequence[ArrayLike | Summary | Resampled],
    level: float = 0.95,
) -> Family:
    """All pairwise differences of tables over the same examples, with Holm's correction.

    list_of_values: k times (n_seeds, n_examples), or scores over splits, higher is better; the
    numbers of seeds may differ. Raises ValueError where the examples differ in number.
    """
    summaries = [v if isinstance(v, Resampled) else Summary.of(v) for v in list_of_values]
    k = len(summaries)
    differences: list[list[Interval | None]] = [[None] * k for _ in range(k)]
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    raw = []
    for i, j in pairs:
        found = difference_interval(summaries[i], summaries[j], level)
        differences[i][j], differences[j][i] = found, -found
        raw.append(1.0 if found.p_value is None else found.p_value)
    p_values = np.ones((k, k))
    for (i, j), p in zip(pairs, holm(raw), strict=True):
        p_values[i, j] = p_values[j, i] = p
    return Family(tuple(tuple(row) for row in differences), p_values, level)


def rank_intervals(
    list_of_values: Sequence[ArrayLike | Summary | Resampled], level: float = 0.95
) -> list[tuple[int, int]]:
    """For each entry (higher is better) the ranks it may have, (low, high): see `Family.ranks`."""
    return compare(list_of_values, level).ranks()


def letters(differ: NDArray[np.bool_]) -> list[str]:
    """A compact letter display: two entries share a letter if and only if they don't differ.

    differ: (k, k) symmetric. Insert and absorb (Piepho 2004, J. Comput. Graph. Stat. 13): begin
    with one group of all; split each group that holds a pair that differs; drop groups that lie
    inside others. Letters run a, b, ..., z, aa, ab, ... from the first entry on.
    """
    k = len(differ)
    groups = [frozenset(range(k))] if k else []
    for i, j in np.argwhere(np.triu(differ, 1)).tolist():
        split = [g for g in groups if not {i, j} <= g]
        split += [part for g in groups if {i, j} <= g for part in (g - {i}, g - {j})]
        groups = [g for g in dict.fromkeys(split) if not any(g < other for other in split)]
    groups.sort(key=sorted)
    return [
        "".join(letter(place) for place, group in enumerate(groups) if i in group) for i in range(k)
    ]


def letter(place: int) -> str:
    """a to z, then aa, ab, ... for 0, 1, ..."""
    last = chr(ord("a") + place % 26)
    return last if place < 26 else letter(place // 26 - 1) + last
