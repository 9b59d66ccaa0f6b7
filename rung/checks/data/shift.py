"""Whether the test part is like the training part, and whether the order of rows says anything."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rung.checks.base import Finding, Histograms, NotApplicable
from rung.checks.data.subject import SEED, Data, DataCheck
from rung.dataset import Pictures
from rung.describe import WORD, Histogram
from rung.errors import listed

SOME = 4_000  # rows of a part that are compared
FEWEST = 40  # rows of a part; with fewer there is nothing to learn a difference from
TOLERATED = 0.6  # AUC: less than so much no model suffers from
MOST_COLUMNS = 200
WORDS = 2_000
CELLS = 4  # a picture's brightness is compared on a grid of CELLS × CELLS
NAMED = 5  # features that differ most


@dataclass(frozen=True, eq=False)
class Features:
    """values: (n, n_features), NaN where missing; names: of the columns."""

    values: NDArray[np.float64]
    names: list[str]


def features(data: Data, rows: NDArray[np.int64]) -> Features:
    """What a reader would look at, made of these rows alone and of each by the same rule, so that
    rows of both parts which are alike stay alike. (What is fitted to the training part need not
    keep that: a category which only a test row has would give it away.)"""
    make = {"tabular": of_table, "text": of_texts, "image": of_pictures}
    return make[data.dataset.modality](data, rows)


def of_table(data: Data, rows: NDArray[np.int64]) -> Features:
    """Numbers as they are, dates in seconds, categories by how frequent they are."""
    import pandas as pd

    frame = data.frame.iloc[rows, :MOST_COLUMNS]
    columns = []
    for name in frame:
        column = frame[name]
        if column.dtype.kind == "f":
            columns.append(column.to_numpy(np.float64))
        elif column.dtype.kind == "M":
            seconds = column.to_numpy("datetime64[us]").astype(np.int64) / 1e6
            columns.append(np.where(column.isna(), np.nan, seconds))
        else:
            counts = column.value_counts()
            ranks = pd.Series(np.arange(len(counts), dtype=np.float64), index=counts.index)
            columns.append(column.map(ranks).to_numpy(np.float64))
    return Features(np.stack(columns, axis=1), [f"column {name}" for name in frame])


def of_texts(data: Data, rows: NDArray[np.int64]) -> Features:
    """How many words there are, and which of the most frequent."""
    found = [WORD.findall(data.dataset.X[row].lower()) for row in rows]
    counts = Counter(word for words in found for word in set(words))
    at = {word: i + 1 for i, (word, _) in enumerate(counts.most_common(WORDS))}
    values = np.zeros((len(rows), 1 + len(at)))
    for i, words in enumerate(found):
        values[i, 0] = np.log1p(len(words))
        values[i, [at[word] for word in set(words) if word in at]] = 1
    return Features(values, ["the number of words", *(f"the word {word!r}" for word in at)])


def of_pictures(data: Data, rows: NDArray[np.int64]) -> Features:
    """Brightness on a grid, colour, contrast, how much neighbouring pixels differ, and the size."""
    pictures = data.pixels[rows].astype(np.float32)
    n, height, width, channels = pictures.shape
    grey = pictures.mean(axis=3)
    cells = min(CELLS, height, width)
    edges = [np.linspace(0, side, cells + 1).astype(int)[:-1] for side in (height, width)]
    sums = np.add.reduceat(np.add.reduceat(grey, edges[0], axis=1), edges[1], axis=2)
    area = np.outer(*(np.diff([*e, s]) for e, s in zip(edges, (height, width), strict=True)))
    colours = (
        ["red", "green", "blue"] if channels == 3 else [f"channel {c}" for c in range(channels)]
    )
    named = {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "sharpness": np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)),
        "darkest pixels": np.quantile(grey.reshape(n, -1), 0.05, axis=1),
        "brightest pixels": np.quantile(grey.reshape(n, -1), 0.95, axis=1),
        **{c: pictures[..., i].mean(axis=(1, 2)) for i, c in enumerate(colours) if channels > 1},
    }
    if isinstance(data.dataset.X, Pictures):
        named["bytes of the file"] = np.diff(data.dataset.X.offsets)[rows]
    grid = [f"brightness in row {r + 1}, column {c + 1} of a {cells}×{cells} grid"
            for r in range(cells) for c in range(cells)]  # fmt: skip
    values = np.column_stack([*named.values(), (sums / area).reshape(n, -1)])
    return Features(values.astype(np.float64), [*named, *grid])


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[float, float]:
    """The area under the ROC curve, and its standard error (DeLong et al., 1988, Biometrics 44)."""
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = stats.rankdata(scores)
    of_positive = (ranks[positive] - stats.rankdata(scores[positive])) / n
    of_negative = 1 - (ranks[~positive] - stats.rankdata(scores[~positive])) / m
    variance = of_positive.var(ddof=1) / m + of_negative.var(ddof=1) / n
    return float(of_positive.mean()), float(np.sqrt(variance))


def told_apart(
    values: NDArray[np.float64], tested: NDArray[np.bool_], sparse: bool
) -> list[tuple[float, float]]:
    """AUC and standard error of a classifier trained on half of the rows, on the other half, and
    the other way round: given the one half, the scores of the other are independent."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    found = []
    halves = StratifiedKFold(2, shuffle=True, random_state=SEED)
    for a, b in halves.split(values, tested):
        model = (
            LogisticRegression(C=0.1)
            if sparse
            else HistGradientBoostingClassifier(max_iter=60, max_depth=4, random_state=SEED)
        )
        score = model.fit(values[a], tested[a]).predict_proba(values[b])[:, 1]
        found.append(auc(score, tested[b]))
    return found


def drawn(data: Data) -> NDArray[np.int64]:
    """Rows of both parts, as many of the one as of the other where there are enough."""
    most = SOME // 4 if data.fast else SOME
    rng = np.random.default_rng(SEED)
    parts = [
        part if len(part) <= most else rng.choice(part, most, replace=False)
        for part in (data.train, data.test)
    ]
    return np.sort(np.concatenate(parts))


class Shift(DataCheck):
    """Where the test part differs from the training part, scores say something of the difference.
    A classifier is trained to tell the parts apart: on half of the rows, judged on the other half,
    and the other way round (Lopez-Paz and Oquab, 2017, ICLR). Each half is tested for an area under
    the ROC curve above 0.6; random splits have 0.5."""

    code = "RC131"
    title = "Test examples look like training examples"

    def run(self, subject: Data) -> Finding:
        rows = drawn(subject)
        tested = subject.in_test[rows]
        if min(tested.sum(), (~tested).sum()) < FEWEST:
            raise NotApplicable(f"a part has fewer than {FEWEST} rows")
        seen = features(subject, rows)
        halves = told_apart(seen.values, tested, subject.dataset.modality == "text")
        # Bonferroni over the halves, whose errors depend on each other.
        p_value = min(1.0, 2 * min(float(above(*half, TOLERATED)) for half in halves))
        area = float(np.mean([a for a, _ in halves]))
        error = float(np.mean([e for _, e in halves]))  # of one half: the two are not independent
        low, high = (float(np.clip(area + s * 1.96 * error, 0, 1)) for s in (-1, 1))
        single = np.array([auc(filled(column), tested)[0] for column in seen.values.T])
        most = np.argsort(-np.abs(single - 0.5), kind="stable")[:NAMED]
        where = [
            {
                "feature": seen.names[i],
                "auc": float(single[i]),
                "train_mean": mean(seen.values[~tested, i]),
                "test_mean": mean(seen.values[tested, i]),
            }
            for i in most
        ]
        some = f" {len(rows):,} rows, drawn from {len(subject.train) + len(subject.test):,}, are"
        drew = some if len(rows) < len(subject.train) + len(subject.test) else " The parts are"
        return Finding(
            f"{drew.strip()} told apart with an area under the ROC curve of {area:.2f} "
            f"({low:.2f} to {high:.2f}; 0.5 is chance). Alone, most by "
            f"{listed((str(w['feature']) for w in where), 3)}.",
            advice="Find out how the split was made. If new data will be like the test part, this "
            "is what the score should include; else split at random, or by group or time.",
            values={
                "auc": area,
                "low": low,
                "high": high,
                "tolerated": TOLERATED,
                "rows": len(rows),
                "where": where,
            },
            figures=(parts_of(seen.names[most[0]], seen.values[:, most[0]], tested),),
            p_value=p_value,
        )


def parts_of(name: str, values: NDArray[np.float64], tested: NDArray[np.bool_]) -> Histograms:
    """A feature in both parts."""
    there = ~np.isnan(values)
    parts = {"train": values[there & ~tested], "test": values[there & tested]}
    return Histograms(name, {k: Histogram.of(v) for k, v in parts.items() if len(v)})


def above(area: float, error: float, tolerated: float) -> float:
    """How likely an area as large is where the true one is `tolerated`; normal."""
    if error == 0:
        return 0.0 if area > tolerated else 1.0
    return float(stats.norm.sf((area - tolerated) / error))


def filled(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is missing counts as less than all else."""
    return np.where(np.isnan(column), -np.inf, column)


def mean(values: NDArray[np.float64]) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


DIFFERENT = 0.05  # share of the targets that would have to change for the parts to agree


class TargetShift(DataCheck):
    """Where the classes have other shares in the test part, or its numbers lie elsewhere, a model
    is punished for knowing the training part: by a chi-square test of the shares (classes of fewer
    than five expected examples are taken together), of numbers a Kolmogorov-Smirnov test."""

    code = "RC133"
    title = "Targets are as frequent in the test part as in the training part"

    def run(self, subject: Data) -> Finding:
        y = subject.dataset.y
        train, test = y[subject.train], y[subject.test]
        if subject.dataset.task == "regression":
            found = stats.ks_2samp(train, test)
            return Finding(
                f"At most {found.statistic:.1%} of the targets lie elsewhere: their mean is "
                f"{train.mean():.4g} in training and {test.mean():.4g} in testing.",
                advice=MOVED,
                values={
                    "difference": float(found.statistic),
                    "train_mean": float(train.mean()),
                    "test_mean": float(test.mean()),
                },
                p_value=float(found.pvalue),
                severity=None if found.statistic > DIFFERENT else "info",
            )
        k = subject.dataset.n_classes
        table = np.stack([np.bincount(part, minlength=k) for part in (train, test)])
        shares = table / table.sum(axis=1, keepdims=True)
        apart = np.abs(shares[0] - shares[1])
        most = int(apart.argmax())
        return Finding(
            f"{apart.sum() / 2:.1%} of the test labels would have to change for classes to have the "
            f"shares of training; {subject.dataset.classes[most]} has {shares[0, most]:.1%} there "
            f"and {shares[1, most]:.1%} in testing.",
            advice=MOVED,
            values={
                "difference": float(apart.sum() / 2),
                "classes": list(subject.dataset.classes),
                "train": shares[0].tolist(),
                "test": shares[1].tolist(),
            },
            p_value=homogeneous(table),
            severity=None if apart.sum() / 2 > DIFFERENT else "info",
        )


MOVED = (
    "Split by class (from_table and from_arrays do), or, if new data will be like the test part, "
    "judge by a metric that does not depend on the shares, such as balanced_accuracy."
)


def homogeneous(table: NDArray[np.int64]) -> float:
    """The p-value of Pearson's chi-square test that the rows of a (2, k) table have equal shares."""
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    small = expected < 5
    pooled = table[:, ~small]
    if small.any():
        pooled = np.column_stack([pooled, table[:, small].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    if pooled.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(pooled, correction=False).pvalue)


CARRIES = 0.99  # rank correlation of a column with the row number: it counts the rows


class Order(DataCheck):
    """Rows that stand sorted by class, or in blocks, do no harm as long as they are shuffled, which
    the rungs do; a loader that takes them as they come, or a split by position, gets another class
    at a time. A column that counts the rows carries the order into the features, and a model reads
    the target off it. Tested by the number of neighbours of equal class (Wald and Wolfowitz, 1940;
    Mood, 1940), of numbers by whether both are above the median."""

    code = "RC132"
    title = "The order of rows says nothing of the target"

    def run(self, subject: Data) -> Finding:
        rows = np.sort(subject.train)
        y = subject.dataset.y[rows]
        labels = y.astype(np.int64) if subject.dataset.classes else (y > np.median(y)).astype(int)
        if len(np.unique(labels)) < 2:
            raise NotApplicable("all training rows have one target")
        alike, p_value = clumped(labels)
        counting = self.counting(subject, rows) if subject.dataset.modality == "tabular" else []
        what = "class" if subject.dataset.classes else "side of the median"
        said = (
            f"Neighbouring rows have the same {what} more often than by chance, by {alike:.0%} of "
            "what is possible"
        )
        if counting:
            said += f", and {listed(counting)} counts the rows: what their order tells, it tells"
        return Finding(
            said + ".",
            advice=(
                "Drop the column."
                if counting
                else "Shuffle before training in batches, and never split by position."
            ),
            values={"alike": alike, "columns_that_count": counting},
            p_value=p_value,
            severity="warning" if counting and alike > MATTERS else "info",
        )

    @staticmethod
    def counting(subject: Data, rows: NDArray[np.int64]) -> list[str]:
        """Columns of numbers that rise or fall with the row number, hardly two rows alike."""
        frame = subject.frame.iloc[rows]
        found = []
        for name in frame:
            column = frame[name]
            if column.dtype.kind not in "fM":
                column = column.str.extract(r"(\d+)", expand=False).astype(float)  # as "row 12"
            if column.isna().any():
                continue
            if column.nunique() > CARRIES * len(rows):
                rank = stats.spearmanr(column.to_numpy(), rows).statistic
                if abs(rank) > CARRIES:
                    found.append(str(name))
        return found


MATTERS = 0.1  # of the possible excess of neighbours that are alike


def clumped(labels: NDArray[np.int64]) -> tuple[float, float]:
    """By which share of what is possible more neighbours are alike than by chance (0 if fewer are),
    and the p-value of as many where all orders are as likely. labels: (n,), two kinds at least."""
    n = len(labels)
    sizes = np.unique(labels, return_counts=True)[1].astype(np.float64)
    squares, cubes = (sizes**2).sum(), (sizes**3).sum()
    alike = float((labels[1:] == labels[:-1]).sum())
    expected = squares / n - 1
    # The number of runs is n less the alike neighbours, so they have one variance.
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    most = n - len(sizes)
    excess = (alike - expected) / max(most - expected, 1.0)
    z = (alike - 0.5 - expected) / np.sqrt(variance) if variance > 0 else 0.0
    return max(float(excess), 0.0), float(stats.norm.sf(z))
