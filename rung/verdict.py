"""A verdict: a model of a user's own against the rungs of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rung import intervals
from rung.intervals import Interval
from rung.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Rival:
    """A ranked row of the board. values: of the primary metric, (n_seeds, n_examples)."""

    rung: str
    title: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """The model against one rung. score: the rung's. difference: paired, better is positive.
    p_holm: two-sided, adjusted over all comparisons of the verdict. minimum_detectable_difference:
    what would have been seen with 80 % power, Holm's adjustment included."""

    rung: str
    title: str
    score: float
    difference: Interval
    p_holm: float
    verdict: intervals.Verdict
    minimum_detectable_difference: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "rung": self.rung,
            "title": self.title,
            "score": self.score,
            "difference": self.difference.estimate,
            "low": self.difference.low,
            "high": self.difference.high,
            "p_value": self.difference.p_value,
            "p_holm": self.p_holm,
            "verdict": self.verdict,
            "minimum_detectable_difference": self.minimum_detectable_difference,
        }


@dataclass(frozen=True)
class Verdict:
    """How a model does on a data set: its scores by metric, the primary one first, its rank with
    an interval, and a comparison with each rung, best first. seeds: training runs of the model;
    with one, the noise of its training is not measured. dataset: what the board says of it."""

    dataset: dict[str, Any]
    metric: Metric
    level: float
    n_test: int
    seeds: int
    scores: dict[str, Interval]
    rank: int
    rank_low: int
    rank_high: int
    comparisons: tuple[Comparison, ...]

    @property
    def score(self) -> Interval:
        """The primary metric."""
        return self.scores[self.metric.name]

    @property
    def to_beat(self) -> Comparison:
        """The comparison with the baseline to beat."""
        return self.comparisons[0]

    @property
    def beats(self) -> bool:
        """Whether the model is significantly better than the baseline to beat."""
        return self.to_beat.verdict == "beats"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as plain data: the stable schema that `--format json` prints."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset["name"],
            "title": self.dataset["title"],
            "task": self.dataset["task"],
            "metric": self.metric.name,
            "level": self.level,
            "fingerprint": self.dataset["fingerprint"],
            "local_copy": self.dataset["local_copy"],
            "n_test": self.n_test,
            "seeds": self.seeds,
            "score": self.score.estimate,
            "low": self.score.low,
            "high": self.score.high,
            "test_se": self.score.test_se,
            "seed_se": self.score.seed_se,
            "method": self.score.method,
            "metrics": {
                name: {"score": s.estimate, "low": s.low, "high": s.high}
                for name, s in self.scores.items()
            },
            "rank": self.rank,
            "rank_low": self.rank_low,
            "rank_high": self.rank_high,
            "to_beat": self.to_beat.rung,
            "beats": self.beats,
            "comparisons": [c.as_dict() for c in self.comparisons],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a comparison, the columns of the JSON schema; the model's own as model_..."""
        from rung.render import verdict

        return verdict.frame(self)

    def to_markdown(self) -> str:
        from rung.render import verdict

        return verdict.markdown(self)

    def _repr_html_(self) -> str:
        from rung.render import verdict

        return verdict.html(self)

    def __str__(self) -> str:
        from rung.render import verdict

        return verdict.text(self)


def judge(
    values: NDArray[np.float64],
    rivals: Sequence[Rival],
    *,
    dataset: Mapping[str, Any],
    metric: Metric,
    level: float,
    n_test: int,
    scores: Mapping[str, Interval],
) -> Verdict:
    """The verdict on a model.

    values: of the primary metric, (n_seeds, n_examples), or (n_seeds, n_groups) of a jackknife over
    groups of them. rivals: the ranked rows, best first, of the same examples in the same order; at
    least one. n_test: examples. scores: the model's, by metric.

    Each comparison is paired over the examples, with Holm's correction over all of them. The rank
    is at best 1 + the rungs that are significantly better, at worst 1 + all but those that are
    significantly worse.
    """
    sign = 1.0 if metric.greater_is_better else -1.0
    mine = intervals.Summary.of(sign * values)
    found = [intervals.difference_interval(mine, sign * rival.values, level) for rival in rivals]
    p_values = [1.0 if d.p_value is None else d.p_value for d in found]
    comparisons = tuple(
        Comparison(
            rival.rung,
            rival.title,
            float(rival.values.mean()),
            found[i],
            p,
            intervals.verdict(found[i].estimate, p, level),
            intervals.minimum_detectable_difference(
                replace(found[i], level=intervals.holm_level(p_values, i, level))
            ),
        )
        for i, (rival, p) in enumerate(zip(rivals, intervals.holm(p_values), strict=True))
    )
    verdicts = [c.verdict for c in comparisons]
    return Verdict(
        dataset=dict(dataset),
        metric=metric,
        level=level,
        n_test=n_test,
        seeds=len(values),
        scores=dict(scores),
        rank=1 + sum(c.difference.estimate < 0 for c in comparisons),
        rank_low=1 + verdicts.count("loses to"),
        rank_high=1 + len(verdicts) - verdicts.count("beats"),
        comparisons=comparisons,
    )
