"""What the models of one row of a board said, over seeds and splits, and how a metric scores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rung import intervals
from rung.intervals import Interval, Resampled, Summary
from rung.metrics import Metric, Predictions
from rung.trial import Outcome


@dataclass(frozen=True, eq=False)
class Answers:
    """predictions: of all seeds, for each split in the order of their names. n_train, n_test:
    examples of a split, the mean over splits."""

    predictions: tuple[Predictions, ...]
    n_train: float
    n_test: float

    @classmethod
    def of(cls, group: Sequence[Outcome]) -> Answers:
        """Of the good outcomes of one row: every seed of every split."""
        splits: dict[str, list[Outcome]] = {}
        for outcome in group:
            splits.setdefault(outcome.trial.split, []).append(outcome)
        return cls(
            tuple(stacked(splits[name]) for name in sorted(splits)),
            float(np.mean([o.cost["n_train"] for o in group])),
            float(np.mean([len(o.ids) for o in group])),
        )

    def table(self, metric: Metric) -> Summary | Resampled | None:
        """What the intervals take: values over one test part, or scores over splits.

        None where the predictions don't have what the metric needs.
        """
        values = [metric.values(p) for p in self.predictions]
        known = [v for v in values if v is not None]
        if len(known) < len(values):
            return None
        if len(known) == 1:
            return Summary.of(known[0])
        shares = all(np.isin(v, (0, 1)).all() for v in known)  # of examples that are right
        step = 1 / (len(known[0]) * self.n_test) if shares else 0.0
        return Resampled(np.array([v.mean() for v in known]), self.n_train, self.n_test, step)

    def scores(self, metrics: Sequence[Metric], level: float) -> dict[str, Interval]:
        """The score by each metric that can be computed."""
        return {
            metric.name: intervals.score_interval(table, level, metric.scale)
            for metric in metrics
            if (table := self.table(metric)) is not None
        }


def stacked(group: Sequence[Outcome]) -> Predictions:
    """The predictions of all seeds over the same examples."""
    probas = [o.proba for o in group if o.proba is not None]
    stds = [o.std for o in group if o.std is not None]
    return Predictions(
        target=group[0].target,
        label=np.stack([o.label for o in group]),
        proba=np.stack(probas) if len(probas) == len(group) else None,
        std=np.stack(stds) if len(stds) == len(group) else None,
    )
