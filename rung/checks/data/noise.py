"""Labels and targets that contradict the inputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks import confident, crossfit
from rung.checks.base import Finding, Histograms, NotApplicable, Shown
from rung.checks.data.subject import SEED, Data, DataCheck
from rung.describe import Histogram

FOLDS = 3
TOLERATED = 0.02  # of the labels may be wrong: few data sets have fewer
# Rows that the quick check judges, and letters that their texts may have in all.
MOST_ROWS = {"image": 6_000, "text": 10_000, "tabular": 20_000}
MOST_LETTERS = 4_000_000
LISTED = 2_000  # suspects that are listed at most
SHOWN = 12


def judged(data: Data) -> NDArray[np.int64]:
    """The training rows that a quick check looks at: all, or some drawn at random."""
    rows, most = data.train, MOST_ROWS[data.dataset.modality]
    if data.dataset.modality == "text":
        letters = sum(len(text) for text in data.dataset.X[rows])
        most = min(most, int(len(rows) * MOST_LETTERS / max(letters, 1)))
    most = most // 3 if data.fast else most
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


def suspects(data: Data, rung: str, rows: NDArray[np.int64]) -> Finding:
    dataset, given = data.dataset, data.dataset.y[rows]
    if np.bincount(given).max() < FOLDS:
        raise NotApplicable(f"no class has {FOLDS} training examples, one for each fold")
    proba = crossfit.out_of_fold(dataset, rung, rows, FOLDS, SEED)
    right = float((proba.argmax(axis=1) == given).mean())
    largest = float(np.bincount(given).max() / len(given))
    if right <= largest:
        raise NotApplicable(
            f"{rung} is right about {right:.0%} of the labels that it was not trained on, no more "
            f"than the largest class has ({largest:.0%}), so that it can judge none"
        )
    floor = confident.floor(proba, given, TOLERATED)
    estimated = confident.estimated(proba, given)
    suggested = floor.proba.argmax(axis=1)
    ranked = confident.ranked(floor.proba, given)
    ranked = ranked[suggested[ranked] != given[ranked]][: max(estimated, 1)]
    own = floor.proba[np.arange(len(given)), given]

    def suspect(i: int) -> dict[str, Any]:
        return {
            "id": str(dataset.ids[rows[i]]),
            "given": dataset.classes[given[i]],
            "suggested": dataset.classes[suggested[i]],
            "score": round(float(own[i]), 6),
        }

    some = "" if len(rows) == len(data.train) else f", drawn from {len(data.train):,}"
    return Finding(
        f"About {floor.share:.1%} of the labels look as if drawn at random: of {len(rows):,} "
        f"training rows{some}, so many contradict {rung} (right about {right:.0%} of them) however "
        f"sure it is. Confident learning counts {estimated:,} that {'is' if estimated == 1 else 'are'} wrong or "
        "ambiguous.",
        advice="Look at the suspects from the first on, and mend or drop what is wrong; a group of "
        "examples that the rung knows nothing of looks the same, so another rung should agree.",
        values={
            "rung": rung,
            "folds": FOLDS,
            "judged": len(rows),
            "accuracy": right,
            "share_at_random": floor.share,
            "tolerated": TOLERATED,
            "estimated": estimated,
            "suspects": [suspect(int(i)) for i in ranked[:LISTED]],
            "listed_at_most": LISTED,
        },
        examples=tuple(shown(data, int(rows[i]), int(suggested[i])) for i in ranked[:SHOWN]),
        p_value=floor.p_value,
    )


def shown(data: Data, row: int, suggested: int) -> Shown:
    classes = data.dataset.classes
    return data.shown(f"{classes[data.dataset.y[row]]}, or rather {classes[suggested]}", row)


class LabelNoise(DataCheck):
    """Wrong labels teach what is wrong, and in the test part they punish who is right. A quick rung
    is trained on some folds of the training part and says how probable the labels of the others
    are. Where classes merely overlap it is contradicted the less often the surer it is; what
    contradicts it however sure it is are most likely wrong labels. Suspects are ranked by how
    probable their label is, as confident learning does (Northcutt et al., 2021)."""

    code = "RC123"
    title = "Labels agree with a quick rung that did not see them"
    needs = ("classification",)

    def run(self, subject: Data) -> Finding:
        rung = subject.rung or crossfit.quick(subject.dataset)
        return suspects(subject, rung, judged(subject))


class LabelNoiseThorough(DataCheck):
    """As RC123, with the highest rung that applies, on all training rows: of pictures a better
    model finds many more of the wrong labels."""

    code = "RC124"
    title = "Labels agree with the best rung that did not see them"
    needs = ("classification",)
    slow = True

    def run(self, subject: Data) -> Finding:
        return suspects(subject, crossfit.thorough(subject.dataset), subject.train)


IMPOSSIBLE = 10.0  # robust deviations; no usual distribution of errors reaches so far
ODD = 6.0
FEWEST = 20  # rows that a robust deviation is estimated on
CONTINUOUS = 20  # different targets: with fewer, each is frequent
PILE = 0.01  # of all rows, at least
PILE_ROWS = 5
ABOVE_NEXT = 5  # times as frequent as the next frequent value


class TargetOutliers(DataCheck):
    """A target far from what the inputs say is often a slip of the pen or of the unit, and one
    value that stands very often at the end of the range is a limit of the instrument or stands for
    "missing" (0, -999). A squared error is then mostly about these rows. Residuals of a quick rung,
    of rows that it was not trained on, are measured in robust deviations (1.4826 times the median
    absolute one), for positive targets in their logarithms too, of which the lesser counts."""

    code = "RC125"
    title = "Targets are near what the inputs say, and no value of them piles up"
    needs = ("regression",)

    def run(self, subject: Data) -> Finding | None:
        rows = judged(subject)
        if len(rows) < FEWEST:
            raise NotApplicable(f"there are fewer than {FEWEST} training rows")
        y = subject.dataset.y
        pile = piled(y[subject.train])
        far = distances(subject, rows)
        order = np.argsort(-far, kind="stable")
        impossible, odd = (int((far > limit).sum()) for limit in (IMPOSSIBLE, ODD))
        if pile is None and not odd:
            return None
        said = []
        if pile is not None:
            said.append(
                f"{pile[1]:,} of {len(subject.train):,} training rows have the target {pile[0]:g}, "
                f"{pile[2]}"
            )
        if odd:
            said.append(
                f"{odd:,} of {len(rows):,} targets are more than {ODD:g} robust deviations from "
                f"what the inputs say, {impossible:,} of them more than {IMPOSSIBLE:g}"
            )
        listed = order[:odd][:LISTED]
        return Finding(
            "; ".join(said) + ".",
            advice="Drop rows whose target is missing, mend slips of unit, and say so of a limit.",
            values={
                "piled_at": None if pile is None else {"target": pile[0], "rows": pile[1]},
                "outliers": [
                    {
                        "id": str(subject.dataset.ids[rows[i]]),
                        "target": float(y[rows[i]]),
                        "deviations": round(float(far[i]), 2),
                    }
                    for i in listed
                ],
                "listed_at_most": LISTED,
            },
            examples=tuple(
                subject.shown(f"{far[i]:.1f} deviations off", int(rows[i])) for i in listed[:SHOWN]
            ),
            figures=(Histograms("Targets", {"train": Histogram.of(y[subject.train])}),),
            severity="warning" if pile is not None or impossible else "info",
        )


def distances(data: Data, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) how far targets are from out-of-fold predictions, in robust deviations."""
    dataset = data.dataset
    rung = data.rung or crossfit.quick(dataset)
    scales = [dataset.y]
    if dataset.y.min() > 0:
        scales.append(np.log(dataset.y))
    found = []
    for y in scales:
        seen = dataclasses.replace(dataset, y=y)
        miss = y[rows] - crossfit.out_of_fold(seen, rung, rows, FOLDS, SEED)
        off = np.abs(miss - np.median(miss))
        deviation = 1.4826 * np.median(off)
        found.append(off / deviation if deviation > 0 else np.zeros(len(rows)))
    return np.asarray(np.min(found, axis=0))


def piled(y: NDArray[np.float64]) -> tuple[float, int, str] | None:
    """A value that stands far more often than any other at the end of the range, or apart."""
    values, counts = np.unique(y, return_counts=True)
    if len(values) < CONTINUOUS:
        return None
    at = int(counts.argmax())
    most, next_most = counts[at], np.delete(counts, at).max()
    if most < max(PILE_ROWS, PILE * len(y), ABOVE_NEXT * next_most):
        return None
    gap = float(np.abs(np.delete(values, at) - values[at]).min())
    quarters = np.quantile(np.delete(values, at), [0.25, 0.75])
    if gap > quarters[1] - quarters[0]:
        return float(values[at]), int(most), "far from all others: it stands for something else"
    if at in (0, len(values) - 1):
        end = "least" if at == 0 else "greatest"
        return float(values[at]), int(most), f"the {end} there is: a limit, or a gap filled in"
    return None
