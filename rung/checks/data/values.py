"""Checks of the values in the columns of a table: what is missing, and in which unit it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable
from rung.checks.data.columns import parts
from rung.checks.data.subject import Data, DataCheck
from rung.checks.data.words import columns, is_are, sentence
from rung.errors import counted

# Strings that stand for a missing value, and those that may be a category as well.
STAND_FOR_MISSING = {"", "?", "#n/a", "n/a", "nan", "null", "missing", "<na>", "not available"}
MAY_STAND_FOR_MISSING = {"-", "--", "na", "none", "unknown", "nil"}
NINES = {float(s * int("9" * k)) for k in range(2, 8) for s in (-1, 1)} | {-1e6, -1e9, 1e9}
# From which Cramér's V (or correlation) on a gap says too much of the target, and from which share.
TELLING = 0.3
# In how many rows numbers of another unit may stand, how many times as large they are, and how
# wide the empty range between is.
FEW, TIMES, GAP = 0.05, 100.0, 8.0


class MissingValues(DataCheck):
    """Values that are missing: how many in which column, whether that they are missing tells the
    target (then a model learns who filled in the form), whether the test part has gaps where
    training has none (then nothing was learnt for them), and values that stand for a missing one,
    such as -999, "?" or "N/A", which a model takes at their word. Turn these into empty cells.
    """

    code = "RC144"
    title = "Missing values are said to be missing, and tell nothing of the target"
    needs = ("tabular",)

    def run(self, data: Data) -> Finding | None:
        train, test = parts(data)
        gaps = train.isna()
        missing = {str(c): float(s) for c, s in gaps.mean().items() if s}
        telling = telling_gaps(gaps, data)
        late = {str(c): int(test[c].isna().sum()) for c in train if unseen(gaps[c], test[c].isna())}
        stand_ins, perhaps = sentinels(train)
        told = []
        if stand_ins:
            cases = ", ".join(f"{v} in {c} ({counted(n, 'row')})" for c, v, n in stand_ins)
            told.append(f"values that seem to stand for missing ones: {cases}")
        if telling:
            told.append(f"whether {columns(telling)} is filled in tells of the target")
        if late:
            told.append(f"{is_are(late)} missing in the test part and never in training")
        if missing:
            most = max(missing, key=lambda c: missing[c])
            told.append(
                f"{columns(missing)} {'have' if len(missing) > 1 else 'has'} missing values"
                f", at most {100 * missing[most]:.2g} % ({most})"
            )
        if perhaps:
            cases = ", ".join(f"{v!r} in {c}" for c, v, _ in perhaps)
            told.append(f"strings that may stand for missing values: {cases}")
        if not told:
            return None
        rows = [int(data.train[first(train[c], v)]) for c, v, _ in stand_ins[:5]]
        return Finding(
            sentence(told),
            "Write missing values as empty cells; find out why a gap goes with the target.",
            {
                "missing": missing,
                "tell_the_target": telling,
                "missing_in_test_only": late,
                "stand_for_missing": [[c, v, n] for c, v, n in stand_ins],
                "may_stand_for_missing": [[c, v, n] for c, v, n in perhaps],
            },
            tuple(
                data.shown(f"{v} in {c}", row)
                for row, (c, v, _) in zip(rows, stand_ins, strict=False)
            ),
            severity="warning" if stand_ins or telling or late else "info",
        )


def first(values: Any, wanted: str | float) -> int:
    return int(np.argmax((values == wanted).to_numpy(bool, na_value=False)))


def telling_gaps(gaps: Any, data: Data) -> dict[str, float]:
    """Column → how much that it is missing goes with the target, from 0 to 1, where that is much
    and no accident."""
    from scipy.stats import chi2_contingency, pearsonr

    y, found = data.dataset.y[data.train], {}
    for column in gaps:
        gap = gaps[column].to_numpy()
        if not gap.any() or gap.all():
            continue
        if data.dataset.task == "classification":
            table = np.array([np.bincount(y[gap == g], minlength=y.max() + 1) for g in (0, 1)])
            table = table[:, table.any(axis=0)]
            chi2, p_value = chi2_contingency(table, correction=False)[:2]
            effect = float(np.sqrt(chi2 / len(y)))
        else:
            r, p_value = pearsonr(gap.astype(float), y)
            effect = abs(float(r))
        if effect >= TELLING and p_value < 1e-4 / gaps.shape[1]:
            found[str(column)] = effect
    return found


def unseen(train_gaps: Any, test_gaps: Any) -> bool:
    """Whether a column has gaps in the test part alone, and more than drawing lots would give."""
    n, m, k = len(train_gaps), len(test_gaps), int(test_gaps.sum())
    return k > 0 and not train_gaps.any() and (m / (n + m)) ** k < 0.001


Stand = tuple[str, Any, int]


def sentinels(train: Any) -> tuple[list[Stand], list[Stand]]:
    """(column, value, rows) of values that stand for missing ones, and of those that may."""
    surely: list[Stand] = []
    perhaps: list[Stand] = []
    for column in train:
        values = train[column].dropna()
        if values.dtype.kind == "f":
            numbers, counts = np.unique(values.to_numpy(), return_counts=True)
            surely += [(str(column), v, n) for v, n in nines(numbers, counts)]
        elif values.dtype.kind != "M":
            for value, count in values.value_counts().items():
                bare = value.strip().casefold()
                if bare in STAND_FOR_MISSING:
                    surely.append((str(column), value, int(count)))
                elif bare in MAY_STAND_FOR_MISSING:
                    perhaps.append((str(column), value, int(count)))
    return surely, perhaps


def nines(numbers: NDArray[Any], counts: NDArray[Any]) -> list[tuple[float, int]]:
    """-999 and the like: an end of the column, in several rows, further from all others than these
    are from each other. numbers: sorted."""
    found: list[tuple[float, int]] = []
    if len(numbers) < 4:
        return found
    for end, rest in ((0, numbers[1:]), (-1, numbers[:-1])):
        value, count = float(numbers[end]), int(counts[end])
        if value in NINES and count > 1 and np.abs(rest - value).min() > np.ptp(rest):
            found.append((value, count))
    return found


class MixedUnits(DataCheck):
    """Numbers of which a few are a hundred times and more as large (or as small) as the others,
    with nothing between: another unit, a lost decimal point, a sum among its parts. They rule the
    scale of the column. Also told: columns whose scales are far apart, for which a model must
    standardise (Rung's rungs do), and long tails, which a logarithm shortens.
    """

    code = "RC146"
    title = "The numbers of a column are of one unit"
    needs = ("tabular",)

    def run(self, data: Data) -> Finding | None:
        train, _ = parts(data)
        numbers = [c for c in train if train[c].dtype.kind == "f"]
        if not numbers:
            raise NotApplicable("no column holds numbers")
        mixed: dict[str, list[int]] = {}
        tails, scales = {}, {}
        for column in numbers:
            values = train[column].to_numpy()
            strangers = other_unit(values)
            if len(strangers):
                mixed[str(column)] = strangers.tolist()
            there = values[~np.isnan(values)]
            if len(there) and (sd := float(there.std())) > 0:
                scales[str(column)] = sd
                low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
                reach = float(np.abs(there - middle).max())
                if high > low and reach > 30 * (high - low):
                    tails[str(column)] = reach / float(high - low)
        told = []
        if mixed:
            cases = ", ".join(f"{len(rows):,} of {c}" for c, rows in mixed.items())
            told.append(f"values over {TIMES:g} times as large or small as the others: {cases}")
        if tails:
            told.append(f"{columns(tails)} reach over 30 interquartile ranges from the median")
        ratio = max(scales.values()) / min(scales.values()) if scales else 1.0
        if ratio > 1000:
            widest, least = max(scales, key=scales.__getitem__), min(scales, key=scales.__getitem__)
            told.append(f"the deviation of {widest} is {ratio:,.0f} times that of {least}")
        if not told:
            return None
        return Finding(
            sentence(told),
            "Bring values of a column to one unit. A model that measures distances or has a penalty "
            "must standardise the columns, as the rungs do; take logarithms of long tails.",
            {
                "mixed": {c: len(rows) for c, rows in mixed.items()},
                "long_tails": tails,
                "scale_ratio": ratio,
            },
            tuple(
                data.shown(f"{c} = {train[c].iloc[rows[0]]:g}", data.train[rows[0]])
                for c, rows in list(mixed.items())[:5]
            ),
            severity="warning" if mixed else "info",
        )


def other_unit(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows of numbers that stand apart from all others by orders of magnitude, few at most."""
    rows = np.flatnonzero(np.nan_to_num(values))
    sizes = np.abs(values[rows])
    if len(rows) < 20:
        return rows[:0]
    order = rows[np.argsort(sizes, kind="stable")]
    logs = np.log10(np.sort(sizes))
    jumps = np.diff(logs)
    most = max(1, int(FEW * len(logs)))
    one_sign = bool((values[rows] > 0).all() or (values[rows] < 0).all())
    # The widest jump within the few largest; of the smallest only where no value is near zero.
    for side, allowed in ((order[::-1], True), (order, one_sign)):
        steps = jumps[::-1][:most] if side is not order else jumps[:most]
        k = int(np.argmax(steps)) + 1
        apart = abs(np.median(np.log10(np.abs(values[side[:k]]))) - np.median(logs))
        wide = np.log10(GAP) if k > 2 else np.log10(TIMES)
        if (
            allowed
            and (k > 2 or side is not order)
            and steps[k - 1] > wide
            and apart > np.log10(TIMES)
        ):
            return np.sort(side[:k])
    return rows[:0]
