"""The check for a part of the examples that gives the target away: a column, a word, a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding, NotApplicable, Severity, Shown
from rung.checks.data.columns import parts, suspects
from rung.checks.data.subject import SEED, Data, DataCheck
from rung.dataset import Pictures, decode_picture

# What share of the error of the prior one column (for numbers: of the variance) may take away.
NEARLY_ALL = {"classification": 0.95, "regression": 0.995}
# A sign of a class stands in at least so many of its examples, and in so few others.
SIGN = 0.95
# Of so many rows, texts and pictures signs are learnt.
MOST_ROWS, MOST_TEXTS, MOST_PICTURES = 5000, 4000, 2000
# Of a wide table fewer rows are taken; of how many columns it is seen what all others do.
MOST_CELLS, MOST_STRONG = 1_000_000, 6
# Or, of pictures, in this share of the class and in next to no other: some of them were marked.
PARTLY, ALONE = 0.3, 0.98
# Of how many rows of a class at least.
ENOUGH = 10
FOLDS = 5
# The share of a picture that a mark takes at most.
LARGEST_MARK = 0.25
# What of a text is looked at: its beginning and its end, letters.
HEAD, TAIL = 2000, 500

# (what gives the target away, how, its severity)
Leak = tuple[str, str, Severity]


class TargetGivenAway(DataCheck):
    """A part of each example that gives the target away, as nothing will in use. In a table: a
    column that is the target, one-to-one with it, a linear or monotone function of it or the finer
    classes that it was made from (errors), and one that predicts it nearly perfectly out of sample,
    no worse than all others together (a warning: find out whether it is known when the prediction
    is due). In texts: a word, or the first or last one, that almost all texts of a class have and
    almost no others. In pictures: a point whose colour does that, or size, mode, format and bytes
    of the file. Remove it, and all numbers got with it.
    """

    code = "RC143"
    title = "Nothing gives the target away"
    severity = "error"

    def run(self, data: Data) -> Finding | None:
        if data.dataset.modality == "tabular":
            return said(of_columns(data), "column")
        if data.dataset.task == "regression":
            raise NotApplicable("signs of classes are looked for, and there are no classes")
        if data.dataset.modality == "text":
            return of_texts(data)
        return of_pictures(data)


def said(leaks: list[Leak], kind: str, examples: tuple[Shown, ...] = ()) -> Finding | None:
    if not leaks:
        return None
    told = "; ".join(
        f"{kind} {what!r} {how}" if kind else f"{what} {how}" for what, how, _ in leaks[:5]
    )
    more = f"; and {len(leaks) - 5:,} more" if len(leaks) > 5 else ""
    severities = {severity for *_, severity in leaks}
    worst: Severity = next(s for s in ("error", "warning", "info") if s in severities)
    return Finding(
        f"{told[0].upper()}{told[1:]}{more}.",
        "Remove it unless it is known when a prediction is due, and throw away what was scored "
        "with it.",
        {"leaks": [{"what": what, "how": how, "severity": s} for what, how, s in leaks]},
        examples,
        severity=worst,
    )


def drawn(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the rows, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


# --- Tables -----------------------------------------------------------------------------------


def of_columns(data: Data) -> list[Leak]:
    train, test = parts(data)
    exact = suspects(data)
    found: list[Leak] = [(str(c), "is the target, or linear in it", "error") for c in exact.leaks]
    found += [(str(c), "is one-to-one with the target", "error") for c in exact.stand_ins]
    y = data.dataset.y
    known = {*exact.leaks, *exact.stand_ins, *exact.constant}
    for column in (c for c in train if c not in known):
        values = train[column].to_numpy(), test[column].to_numpy()
        if determines(values[0], y[data.train]) and data.dataset.task == "classification":
            found.append((str(column), "says the class in each of its values", "error"))
        elif data.dataset.task == "regression" and monotone(values[0], y[data.train]):
            found.append((str(column), "is a monotone function of the target", "error"))
        else:
            continue
        known.add(column)
    return found + strong_columns(data, [c for c in train if c not in known])


def determines(values: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether each of a few values stands with one target alone, as a finer class would."""
    import pandas as pd

    codes, distinct = pd.factorize(values)
    if (codes < 0).any() or not 1 < len(distinct) <= len(y) / 10:
        return False
    of_value = pd.Series(y).groupby(codes).nunique()
    # Where nearly all targets are one, a few values are pure by chance.
    others = len(y) - np.unique(y, return_counts=True)[1].max()
    return bool((of_value == 1).all() and others >= ENOUGH)


def monotone(values: NDArray[Any], y: NDArray[Any]) -> bool:
    if values.dtype.kind != "f" or np.isnan(values).any():
        return False
    if min(len(np.unique(values)), len(np.unique(y))) < 2 * ENOUGH:
        return False
    order = np.lexsort((y, values))
    up = np.diff(y[order])
    rises = np.diff(values[order]) > 0
    # Equal values must have equal targets, or it is no function.
    return bool((up[~rises] == 0).all() and ((up >= 0).all() or (up <= 0).all()))


def strong_columns(data: Data, candidates: Sequence[Any]) -> list[Leak]:
    task = data.dataset.task
    rows = drawn(data.train, min(MOST_ROWS, max(500, MOST_CELLS // max(len(candidates), 1))))
    frame, y = data.frame.take(rows), data.dataset.y[rows]
    folds = np.random.default_rng(SEED).permutation(np.arange(len(rows)) % FOLDS)
    strong = []
    for column in candidates:
        values = frame[column]
        strong.append((alone(values, y, task, folds), "alone", column))
        if values.dtype.kind not in "fM":
            start = values.str.extract(r"^([^\W\d_]+)", expand=False)
            strong.append((alone(start, y, task, folds), "by its first letters alone", column))
    strong = sorted((s for s in strong if s[0] >= NEARLY_ALL[task]), key=lambda s: -s[0])
    found: dict[str, Leak] = {}
    for score, how, column in strong[:MOST_STRONG]:
        others = together(frame.drop(columns=[column]), y, task, folds)
        told = (
            f"{how} takes away {100 * score:.1f} % of the prior's "
            f"{'error' if task == 'classification' else 'variance'} out of sample, all others "
            f"together {100 * max(others, 0):.1f} %"
        )
        severity: Severity = "warning" if others <= score else "info"
        found.setdefault(str(column), (str(column), told, severity))
    return list(found.values())


def gain(y: NDArray[Any], predicted: NDArray[Any], task: str) -> float:
    """What share of the error of the prior (for numbers: of the variance) predictions take away."""
    if task == "regression":
        return 1 - float(((y - predicted) ** 2).mean() / max(y.var(), 1e-300))
    prior = 1 - np.bincount(y).max() / len(y)
    return 1 - float((y != predicted).mean() / prior) if prior else 0.0


def alone(values: Any, y: NDArray[Any], task: str, folds: NDArray[Any]) -> float:
    """The gain of one column out of sample: by a tree for numbers, by its values for strings."""
    import pandas as pd
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if values.dtype.kind not in "fM":
        codes = pd.factorize(values, use_na_sentinel=False)[0]
        return gain(y, by_value(codes, y, task, folds), task)
    dates = values.dtype.kind == "M"
    # As microseconds; a missing date is the least of them.
    x = values.to_numpy("datetime64[us]").astype(np.int64) if dates else values.to_numpy(np.float64)
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        fit, held = folds != fold, folds == fold
        kind = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
        tree = kind(min_samples_leaf=3, random_state=SEED).fit(x[fit, None], y[fit])
        predicted[held] = tree.predict(x[held, None])
    best = gain(y, predicted, task)
    if task == "regression" and not np.isnan(x).any() and np.ptp(x):
        # A tree has steps: a straight line says how well a linear column does.
        best = max(best, float(np.corrcoef(x, y)[0, 1] ** 2))
    return best


def by_value(
    codes: NDArray[np.int64], y: NDArray[Any], task: str, folds: NDArray[Any]
) -> NDArray[np.float64]:
    """Out of sample, the most frequent class (or the mean) of the rows with the same value; for a
    value not seen, of all."""
    classify, predicted = task == "classification", np.zeros(len(y))
    for fold in range(FOLDS):
        fit, held = folds != fold, folds == fold
        known, n_values = y[fit], int(codes.max()) + 1
        seen = np.bincount(codes[fit], minlength=n_values)
        if classify:
            table = np.zeros((n_values, int(y.max()) + 1), np.int64)
            np.add.at(table, (codes[fit], known), 1)
            guess, usual = table.argmax(axis=1).astype(float), float(np.bincount(known).argmax())
        else:
            sums = np.bincount(codes[fit], known, minlength=n_values)
            guess, usual = sums / np.maximum(seen, 1), float(known.mean())
        predicted[held] = np.where(seen > 0, guess, usual)[codes[held]]
    return predicted


def together(frame: Any, y: NDArray[Any], task: str, folds: NDArray[Any]) -> float:
    """The gain of these columns by a random forest, out of sample."""
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if not frame.shape[1]:
        return 0.0
    x = np.column_stack(
        [
            (
                frame[c].fillna(frame[c].min())
                if frame[c].dtype.kind in "f"
                else pd.factorize(frame[c])[0]
            )
            for c in frame
        ]
    )
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        fit, held = folds != fold, folds == fold
        forest = kind(50, random_state=SEED).fit(np.nan_to_num(x[fit]), y[fit])
        predicted[held] = forest.predict(np.nan_to_num(x[held]))
    return gain(y, predicted, task)


# --- Texts ------------------------------------------------------------------------------------


def of_texts(data: Data) -> Finding | None:
    from sklearn.feature_extraction.text import CountVectorizer

    rows = drawn(data.train, MOST_TEXTS)
    y, classes = data.dataset.y[rows], data.dataset.classes
    vectorizer = CountVectorizer(analyzer=signs, binary=True, min_df=ENOUGH, dtype=np.int32)
    try:
        counts = vectorizer.fit_transform(data.dataset.X[rows])
    except ValueError as error:  # no word is frequent enough
        raise NotApplicable("no word stands in enough texts") from error
    names = vectorizer.get_feature_names_out()
    of_class = np.stack([np.asarray(counts[y == c].sum(axis=0))[0] for c in range(len(classes))])
    recall, precision = rates(of_class, np.bincount(y, minlength=len(classes)))
    found: list[Leak] = []
    examples = []
    for c, name in enumerate(classes):
        both = np.minimum(recall[c], precision[c])
        best = int(both.argmax())
        tag = tagged(names, name, precision[c], of_class[c])
        if tag is not None and both[best] < SIGN:
            best = tag
        elif both[best] < SIGN:
            continue
        n, others = int(of_class[c, best]), int(of_class[:, best].sum() - of_class[c, best])
        how = f"stands in {n:,} of {int((y == c).sum()):,} texts of {name} and in {others:,} of others"
        exact = recall[c, best] == precision[c, best] == 1
        found.append((spoken(names[best]), how, "error" if exact else "warning"))
        examples.append(data.shown(how, rows[counts[:, best].toarray()[:, 0] > 0][0]))
    return said(found, "sign", tuple(examples[:5]))


def signs(text: str) -> set[str]:
    """The words of a text, and marked as such how it begins and how it ends."""
    part = text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} {text[-TAIL:]}"
    words = part.split()
    if not words:
        return {"\x00empty"}
    ends = {f"\x01{words[0]}", f"\x02{words[-1]}", f"\x01{text[:3]}", f"\x02{text[-3:]}"}
    return {*words, *ends}


def spoken(sign: str) -> str:
    marks = {"\x00": "", "\x01": "at the beginning: ", "\x02": "at the end: "}
    return marks[sign[0]] + sign[1:] if sign[0] in marks else sign


def rates(
    of_class: NDArray[Any], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_classes, n_signs) in which share of a class a sign stands, and which share of the
    examples that have it are of the class; 0 for classes too small to say."""
    recall = of_class / np.maximum(sizes, 1)[:, None]
    precision = of_class / np.maximum(of_class.sum(axis=0), 1)
    recall[sizes < ENOUGH] = 0
    return recall, precision


def tagged(
    names: NDArray[Any], name: str, precision: NDArray[np.float64], counts: NDArray[Any]
) -> int | None:
    """The sign that is the name of the class in front of or behind its texts, if there is one."""

    def bare(text: str) -> str:
        return "".join(filter(str.isalnum, text.casefold())).removeprefix("label")

    hits = [
        i
        for i in np.flatnonzero((precision >= SIGN) & (counts >= ENOUGH))
        if names[i][0] in "\x01\x02" and len(bare(name)) > 1 and bare(names[i][1:]) == bare(name)
    ]
    return max(map(int, hits), key=lambda i: int(counts[i]), default=None)


# --- Pictures ---------------------------------------------------------------------------------


def of_pictures(data: Data) -> Finding | None:
    rows = drawn(data.train, MOST_PICTURES)
    pixels = whole(data, rows)
    y, classes = data.dataset.y[rows], data.dataset.classes
    half = np.random.default_rng(SEED).permutation(len(rows)) % 2 == 0
    codes = colours(pixels)
    recall, precision = np.stack(
        [told_apart(codes[:, place], y, half, len(classes)) for place in range(codes.shape[1])],
        axis=1,
    )
    share, tells = np.minimum(recall, precision), telling(recall, precision)
    leaks: list[Leak] = []
    examples = []
    for c in map(int, np.flatnonzero(tells.any(axis=0))):
        place = int(np.where(tells[:, c], share[:, c], -1).argmax())
        top, left = divmod(place, pixels.shape[2])
        how = (
            f"({100 * left / pixels.shape[2]:.0f} % from the left, {100 * top / pixels.shape[1]:.0f} "
            f"% from the top) tells {classes[c]} by its colour: {100 * recall[place, c]:.0f} % of "
            f"these, and {100 * precision[place, c]:.0f} % of what it tells is right"
        )
        # What tells the class all over the picture is no mark on it, but the picture itself.
        mark = tells[:, c].mean() <= LARGEST_MARK
        exact = share[place, c] == 1 and (y == c).sum() >= 4 * ENOUGH
        severity: Severity = "info" if not mark else "error" if exact else "warning"
        leaks.append((f"the point {left},{top}", how, severity))
        examples.append(data.shown(how, rows[y == c][0]))
    leaks += of_files(data)
    return said(leaks, "", tuple(examples[:5]))


def whole(data: Data, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pictures whole, as a mark in a corner is cut off from the centre square."""
    X = data.dataset.X
    if not isinstance(X, Pictures):
        return data.pixels[rows]
    return np.stack([decode_picture(X[int(row)], 32, whole=True) for row in rows])


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, height × width) a number for each colour: 8 levels of each of three channels, 32 of grey."""
    levels = pixels.reshape(len(pixels), -1, pixels.shape[-1]).astype(np.int64)
    if levels.shape[2] < 3:
        return np.asarray(levels[..., 0] >> 3)
    weights = np.array([64, 8, 1])
    return np.asarray((levels[..., :3] >> 5) @ weights)


def told_apart(
    codes: NDArray[np.int64], y: NDArray[np.int64], half: NDArray[np.bool_], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_classes,) recall and precision of guessing the class that is the most frequent one with
    this code in the other half; 0 where too few guesses are right to say."""
    guess = np.full(len(y), n_classes)
    for fit in (half, ~half):
        known = np.bincount(
            codes[fit] * n_classes + y[fit], minlength=(codes.max() + 1) * n_classes
        ).reshape(-1, n_classes)
        of_code = np.where(known.any(axis=1), known.argmax(axis=1), n_classes)
        guess[~fit] = of_code[codes[~fit]]
    hits = np.bincount(y[guess == y], minlength=n_classes)
    hits[hits < ENOUGH] = 0
    sizes = np.bincount(y, minlength=n_classes)
    guesses = np.bincount(guess, minlength=n_classes + 1)[:n_classes]
    recall, precision = hits / np.maximum(sizes, 1), hits / np.maximum(guesses, 1)
    # Of a thousand points one is right about a few pictures by accident.
    by_accident = (hits < 2 * ENOUGH) & (recall < SIGN)
    return np.where(by_accident, 0.0, recall), np.where(by_accident, 0.0, precision)


def telling(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.bool_]:
    surely = np.minimum(recall, precision) >= SIGN
    return np.asarray(surely | ((recall >= PARTLY) & (precision >= ALONE)))


def of_files(data: Data) -> list[Leak]:
    """What of the files tells the class: bytes, width, height, mode, format, quality of JPEG."""
    from sklearn.tree import DecisionTreeClassifier

    if not isinstance(data.dataset.X, Pictures):
        return []
    rows = drawn(data.train, MOST_ROWS)
    y, n_classes = data.dataset.y[rows], data.dataset.n_classes
    heads = [data.heads[row] for row in rows]
    sizes = np.diff(data.dataset.X.offsets)[rows]
    facts = {
        "bytes": sizes,
        "width": np.array([h.width for h in heads]),
        "height": np.array([h.height for h in heads]),
        "mode": np.unique([h.mode for h in heads], return_inverse=True)[1],
        "format": np.unique([h.format for h in heads], return_inverse=True)[1],
        "JPEG quality": np.array([h.quantization for h in heads]),
    }
    fit = np.random.default_rng(SEED).permutation(len(rows)) % 2 == 0
    found: list[Leak] = []
    for name, values in facts.items():
        if np.ptp(values) == 0:
            continue
        tree = DecisionTreeClassifier(max_leaf_nodes=64, random_state=SEED)
        tree.fit(values[fit, None], y[fit])
        recall, precision = told_apart(tree.apply(values[:, None]), y, fit, n_classes)
        guesses = tree.predict(values[~fit, None])
        share = gain(y[~fit], guesses, "classification")
        told = [data.dataset.classes[c] for c in np.flatnonzero(telling(recall, precision))]
        if told or share >= 0.5:
            of = f" of {', '.join(told[:5])}" if told else ""
            how = f"tells the class{of}: it takes away {100 * share:.0f} % of the prior's error"
            found.append((f"the {name} of the files", how, "error" if share == 1 else "warning"))
    return found
