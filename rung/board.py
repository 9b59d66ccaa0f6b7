"""The leaderboard of a data set: a pure function of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rung import intervals, predictions, scorers, verdict
from rung.answers import Answers
from rung.benchmark import Reported
from rung.errors import RungError
from rung.intervals import Interval
from rung.metrics import DECLARED, METRICS, Metric
from rung.trial import NOT_RUN, Outcome
from rung.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
ROUNDING = 1e-6  # of a loss that is computed from float32


@dataclass(frozen=True)
class Row:
    """One rung on the board. Without predictions (it failed, or can't run here) there is only a
    status. scores: by metric, the one that decides the rank first. group: letters; rows that share
    one can't be told apart. below: the difference from the row below, better is positive;
    below_p_holm: its p-value, adjusted over all pairs of rows. fit_s: seconds, the mean over seeds;
    predict_s: for 1,000 examples.
    """

    rung: str
    title: str
    status: str
    scores: dict[str, Interval] = field(default_factory=dict)
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    group: str = ""
    below: Interval | None = None
    below_p_holm: float | None = None
    seeds: int = 0
    deterministic: bool = False
    n_train: int | None = None
    fit_s: float | None = None
    predict_s: float | None = None
    peak_mib: float | None = None
    gpu_peak_mib: float | None = None
    device: str = "cpu"
    precision: str = "fp32"
    px: int | None = None
    sized: bool = False  # whether px tells it from another row of the rung
    train_size: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def score(self) -> Interval:
        """The primary metric."""
        return next(iter(self.scores.values()))

    @property
    def settings(self) -> list[str]:
        """What tells variants of a rung apart."""
        found = [f"{k} {v}" for k, v in self.parameters.items()]
        if self.sized:
            found.append(f"{self.px} px")
        if self.train_size is not None:
            found.append(f"{self.train_size} rows")
        return found

    @property
    def full_title(self) -> str:
        """With the settings."""
        return self.title + (f" ({', '.join(self.settings)})" if self.settings else "")

    def as_dict(self) -> dict[str, Any]:
        """The row as plain data, for JSON."""
        score = self.score if self.ok else None
        plain = {
            "rung": self.rung,
            "title": self.title,
            "status": self.status,
            "rank": self.rank,
            "rank_low": self.rank_low,
            "rank_high": self.rank_high,
            "score": score and score.estimate,
            "low": score and score.low,
            "high": score and score.high,
            "test_se": score and score.test_se,
            "seed_se": score and score.seed_se,
            "method": score and score.method,
            "seeds": self.seeds,
            "deterministic": self.deterministic,
            "metrics": {
                name: {"score": s.estimate, "low": s.low, "high": s.high}
                for name, s in self.scores.items()
            },
            "below": self.below
            and {
                "difference": self.below.estimate,
                "low": self.below.low,
                "high": self.below.high,
                "p_value": self.below.p_value,
                "p_holm": self.below_p_holm,
            },
        }
        elsewhere = (*plain, "scores", "below_p_holm")
        others = {k: v for k, v in asdict(self).items() if k not in elsewhere}
        return plain | others


def no_ids() -> NDArray[np.str_]:
    return np.empty(0, np.str_)


@dataclass(frozen=True)
class Board:
    """rows: the ranked ones, best first, then those without a score. to_beat: the row that a new
    model has to beat, None if there is none. dataset: what `rung.trial.describe` says of it.
    n_test: test examples, of several splits their mean. ids: (n_test,) of the test examples, empty
    with several splits. answers: what the ranked rows said, in the order of ids."""

    dataset: dict[str, Any]
    metric: Metric
    level: float
    n_test: int
    rows: tuple[Row, ...]
    n_splits: int = 1
    reported: tuple[Reported, ...] = ()
    minimum_detectable_difference: float | None = None
    ids: NDArray[np.str_] = field(default_factory=no_ids, repr=False, compare=False)
    answers: tuple[Answers, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def from_outcomes(
        cls,
        outcomes: Iterable[Outcome],
        reported: Sequence[Reported] = (),
        level: float = 0.95,
        metric: str | None = None,
    ) -> Board:
        """The board of the outcomes of one data set.

        metric: decides the rank instead of the declared one; any that `rung.scorers.find` knows.
        Raises RungError where the outcomes don't belong together (other data, another split, other
        test examples), and for a metric that none of them has.
        """
        groups: dict[str, list[Outcome]] = {}
        # In one order, so that sums over seeds are the same to the last bit.
        for outcome in sorted(outcomes, key=lambda o: (o.trial.row, o.trial.seed_index)):
            groups.setdefault(outcome.trial.row, []).append(outcome)
        if not groups:
            raise RungError("there are no outcomes to make a board of")
        first = next(iter(groups.values()))[0]
        tested = belong_together([o for group in groups.values() for o in group])
        declared = [METRICS[name] for name in DECLARED[first.dataset["task"]]]
        deciding = declared[0] if metric is None else scorers.find(metric)
        if deciding.task not in (None, first.dataset["task"]):
            raise RungError(
                f"{deciding.name} is for {deciding.task}, {first.dataset['name']} is "
                f"{first.dataset['task']}; there is " + ", ".join(m.name for m in declared)
            )
        sign = 1.0 if deciding.greater_is_better else -1.0

        rows: list[Row] = []
        tables: list[intervals.Summary | intervals.Resampled] = []
        kept: list[Answers] = []
        unranked: list[Row] = []
        for group in map(enough, groups.values()):
            row = describe(group)
            if not row.ok:
                unranked.append(row)
                continue
            said = Answers.of(group)
            table = said.table(deciding)
            if table is None:
                unranked.append(replace(row, status=f"has no {deciding.title}"))
                continue
            others = [m for m in declared if m is not deciding]
            score = intervals.score_interval(table, level, deciding.scale)
            rows.append(replace(row, scores={deciding.name: score, **said.scores(others, level)}))
            tables.append(table if sign > 0 else -table)
            kept.append(said)
        if metric is not None and not rows:
            raise RungError(f"{first.dataset['name']}: no rung here has the metric {metric}")
        order = sorted(range(len(rows)), key=lambda i: -sign * rows[i].score.estimate)
        family = intervals.compare([tables[i] for i in order], level)
        ranked = standing([rows[i] for i in order], sign, family)
        spread = family.minimum_detectable_difference(0, 1) if len(ranked) > 1 else None
        return cls(
            dataset=first.dataset,
            metric=deciding,
            level=level,
            n_test=round(float(np.mean([len(ids) for ids in tested.values()]))) if tested else 0,
            n_splits=max(len(tested), 1),
            rows=(*ranked, *unranked),
            # What others report is the declared metric.
            reported=tuple(reported) if deciding is declared[0] else (),
            minimum_detectable_difference=spread,
            ids=next(iter(tested.values())) if len(tested) == 1 else no_ids(),
            answers=tuple(kept[i] for i in order),
        )

    @property
    def to_beat(self) -> Row | None:
        return self.rows[0] if self.rows and self.rows[0].ok else None

    @property
    def notes(self) -> list[str]:
        """What was inferred of data of a user's own, and what is to be looked at in them."""
        return list(self.dataset.get("notes", ()))

    @property
    def failures(self) -> list[Row]:
        return [row for row in self.rows if row.status.startswith("failed")]

    @property
    def uninformed(self) -> list[Row]:
        """The rows whose log loss (of a regression: Gaussian NLL) is no lower than that of the test
        part's class frequencies (its normal distribution), said whatever the example."""
        classes = self.dataset["task"] == "classification"
        name = "log_loss" if classes else "nll"
        lowest = entropy if classes else normal_nll
        if not self.answers:
            return []
        # All rows were tested on the same examples.
        least = np.mean([lowest(p.target) for p in self.answers[0].predictions]) - ROUNDING
        return [r for r in self.rows if name in r.scores and r.scores[name].estimate >= least]

    def beat(self, given: Any) -> Verdict:
        """How predictions of a user's own do against every rung.

        given: a path (.csv, .parquet, .npz) or a pandas DataFrame with a column `id`, or a list of
        these, one for each training run; or an array in the order of `ids`: (n,) or (S, n) labels
        or numbers, (n, n_classes) or (S, n, n_classes) probabilities. `rung.predictions` has all
        of the format. Raises RungError for predictions that can't be scored, and for a board
        without a ranked rung.
        """
        if not self.answers:
            raise RungError(f"{self.dataset['name']}: no rung has a score to compare with")
        if self.n_splits > 1:
            raise RungError(
                f"{self.dataset['name']} has {self.n_splits} splits; predictions are compared on a "
                "data set with one"
            )
        held_out = predictions.HeldOut(
            name=self.dataset["name"],
            task=self.dataset["task"],
            classes=tuple(self.dataset["classes"]),
            ids=self.ids,
            target=self.answers[0].predictions[0].target,
        )
        mine = predictions.aligned(given, held_out)
        values = self.metric.values(mine)
        if values is None:
            lacking = "probabilities" if held_out.classes else "a column `std`"
            raise RungError(f"these predictions have no {self.metric.title}; give {lacking}")
        rivals = []
        for row, said in zip(self.rows, self.answers, strict=False):
            theirs = self.metric.values(said.predictions[0])
            assert theirs is not None, "a ranked row has the metric"
            rivals.append(verdict.Rival(row.rung, row.full_title, theirs))
        declared = [METRICS[name] for name in DECLARED[held_out.task]]
        return verdict.judge(
            values,
            rivals,
            dataset=self.dataset,
            metric=self.metric,
            level=self.level,
            n_test=len(self.ids),
            scores=Answers((mine,), 0, 0).scores([self.metric, *declared], self.level),
        )

    def as_dict(self) -> dict[str, Any]:
        """The board as plain data: the stable schema that `--format json` prints."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset["name"],
            "title": self.dataset["title"],
            "task": self.dataset["task"],
            "metric": self.metric.name,
            "level": self.level,
            "fingerprint": self.dataset["fingerprint"],
            "local_copy": self.dataset["local_copy"],
            "notes": self.notes,
            "n_test": self.n_test,
            "n_splits": self.n_splits,
            "to_beat": self.to_beat.rung if self.to_beat else None,
            "minimum_detectable_difference": self.minimum_detectable_difference,
            "rows": [row.as_dict() for row in self.rows],
            "reported": [asdict(r) for r in self.reported],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a rung, the columns of the JSON schema; metrics as METRIC, METRIC_low, ..."""
        from rung import render

        return render.frame(self)

    def to_markdown(self) -> str:
        from rung import render

        return render.markdown(self)

    def _repr_html_(self) -> str:
        from rung import render

        return render.html(self)

    def __str__(self) -> str:
        from rung import render

        return render.text(self)


def belong_together(outcomes: Sequence[Outcome]) -> dict[str, NDArray[np.str_]]:
    """The test ids of each split. Raises RungError unless all outcomes are of the same data and,
    split by split, of the same test examples, and all rows have all splits."""
    first = outcomes[0]
    name = first.dataset["name"]
    tested: dict[str, NDArray[np.str_]] = {}
    splits_of: dict[str, set[str]] = {}
    for other in outcomes:
        if other.dataset["fingerprint"] != first.dataset["fingerprint"]:
            raise RungError(
                f"{name}: {first.trial.row} was run on data {first.trial.fingerprint[:8]} and "
                f"{other.trial.row} on {other.trial.fingerprint[:8]}; run them on the same data"
            )
        if other.ok and not np.array_equal(
            tested.setdefault(other.trial.split, other.ids), other.ids
        ):
            raise RungError(f"{name}: {other.trial} was tested on other examples")
        splits_of.setdefault(other.trial.row, set()).add(other.trial.split)
    for row, splits in splits_of.items():
        if splits != splits_of[first.trial.row]:
            raise RungError(
                f"{name}: {first.trial.row} was run on {len(splits_of[first.trial.row])} splits and "
                f"{row} on others; run them on the same splits"
            )
    return tested


def enough(group: list[Outcome]) -> list[Outcome]:
    """Without the seeds that were left out on some split, if there are others."""
    left_out = {o.trial.seed_index for o in group if o.status.startswith(NOT_RUN)}
    return [o for o in group if o.trial.seed_index not in left_out] or group


def entropy(codes: NDArray[Any]) -> float:
    """Of the class frequencies, in nats: no constant probabilities have a lower log loss."""
    return float(stats.entropy(np.unique(codes, return_counts=True)[1]))


def normal_nll(values: NDArray[Any]) -> float:
    """The lowest Gaussian NLL that one normal distribution has on these numbers."""
    return float(stats.norm.entropy(scale=np.std(values)))


def describe(group: Sequence[Outcome]) -> Row:
    """The row of the outcomes of all its seeds, without scores."""
    trial, about = group[0].trial, group[0].provenance
    bad = [o for o in group if not o.ok]
    row = Row(
        rung=trial.rung,
        title=about["title"],
        status=bad[0].status if bad else "ok",
        deterministic=about["deterministic"],
        device=trial.device.kind.partition(":")[0],
        precision=trial.device.precision,
        px=trial.px,
        sized=trial.sized,
        train_size=trial.train_size,
        parameters=dict(trial.parameters),
    )
    if bad:
        return row
    costs = [o.cost for o in group]
    gpu = [c["gpu_peak_mib"] for c in costs if c["gpu_peak_mib"] is not None]
    return replace(
        row,
        seeds=len({o.trial.seed_index for o in group}),
        n_train=min(c["n_train"] for c in costs),
        fit_s=float(np.mean([c["fit_s"] for c in costs])),
        predict_s=float(np.mean([c["predict_s"] for c in costs])),
        peak_mib=max(c["peak_mib"] for c in costs),
        gpu_peak_mib=max(gpu) if gpu else None,
    )


def standing(rows: Sequence[Row], sign: float, family: intervals.Family) -> list[Row]:
    """The rows with ranks, letters and the differences from the row below.

    rows: best first. sign: -1 where lower is better.
    """
    if not rows:
        return []
    places = stats.rankdata([-sign * row.score.estimate for row in rows], method="min")
    spans, letters = family.ranks(), family.letters()
    last = len(rows) - 1
    return [
        replace(
            row,
            rank=int(places[i]),
            rank_low=spans[i][0],
            rank_high=spans[i][1],
            group=letters[i],
            below=family.differences[i][i + 1] if i < last else None,
            below_p_holm=float(family.p_values[i, i + 1]) if i < last else None,
        )
        for i, row in enumerate(rows)
    ]
