"""What the answers look like: calibrated, of all classes, on the scale of the target, worth it?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import linear_sum_assignment, minimize_scalar

from rung.checks.base import Finding, Lines, NotApplicable
from rung.checks.model.given import Given
from rung.checks.model.learns import SCORE_FLOOR, above, score_name
from rung.checks.model.subject import Model, ModelCheck, Predicted
from rung.dataset import Dataset
from rung.intervals import difference_interval
from rung.metrics import ECE_BINS

DRAWN = 4_000  # test parts drawn as a calibrated model would have them
# Confidence above accuracy by so much and by half of the error rate, mended by such a temperature,
# is wild.
WILD_GAP, WILD_TEMPERATURE = 0.02, 3.0
# Shares of neighbours or of leaves are zero or larger than this; probabilities of a formula are not.
SMALL = 1e-3
SLOWER = 3.0  # times as slow as a linear model
FEWEST = 10  # test examples of a class of which none is called so
GAIN = 0.2  # of accuracy, by giving the classes other names


def bins_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) the bin of each example, as many in each."""
    order = np.argsort(confidence, kind="stable")
    bins = np.empty(len(order), dtype=np.int64)
    bins[order] = np.arange(len(order)) * ECE_BINS // len(order)
    return bins


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Expected calibration error: the mean over examples of the gap in their bin. right: (..., n)."""
    member = np.eye(bins.max() + 1)[bins]
    return np.asarray(np.abs((right - confidence) @ member).sum(axis=-1) / len(bins))


def temperature(proba: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """By which the logits must be divided for the lowest log loss (Guo et al., 2017)."""
    logits = np.log(np.clip(proba.astype(np.float64), 1e-12, 1))

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float(np.mean(total - scaled[np.arange(len(y)), y]))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(100)), method="bounded")
    return float(np.exp(found.x))


class Calibrated(ModelCheck):
    """Of the answers given with 80 % probability, 80 % should be right. Told are the expected
    calibration error (bins of as many examples each), how confidence compares with accuracy, and
    the temperature by which logits would have to be divided. p-value: how often answers drawn with
    just the probabilities that the model states have so large an error. Wildly over-confident (by
    0.02 and by half of the error rate, mended by a temperature of 3 and more, in a model that gives
    more than zeros and ones) is a warning: logits are scaled twice, or a net was trained far too
    long."""

    code = "RC231"
    title = "Its probabilities are calibrated"
    severity = "info"
    needs = ("classification", "probabilities", "input")

    def run(self, subject: Model) -> Finding | None:
        proba, y = subject.predicted.proba, subject.y_test
        assert proba is not None
        confidence = proba.max(axis=1).astype(np.float64)
        right = proba.argmax(axis=1) == y
        bins = bins_of(confidence)
        error = float(calibration_error(confidence, right, bins))
        drawn = np.random.default_rng(0).random((DRAWN, len(y))) < confidence
        chance = calibration_error(confidence, drawn, bins)
        p = float((1 + np.sum(chance >= error - 1e-12)) / (1 + DRAWN))
        gap = float(confidence.mean() - right.mean())
        mend = temperature(proba, y)
        second = np.sort(proba, axis=1)[:, -2]
        computed = np.mean((second > 0) & (second < SMALL)) > WILD_GAP
        sure = gap > max(WILD_GAP, (1 - float(right.mean())) / 2)
        wild = bool(sure and mend > WILD_TEMPERATURE and computed)
        x = [float(confidence[bins == b].mean()) for b in np.unique(bins)]
        diagram = Lines(
            "How often it is right, by its confidence",
            x,
            {"model": [float(right[bins == b].mean()) for b in np.unique(bins)], "calibrated": x},
            "confidence",
            "accuracy",
        )
        says = "over-confident" if gap > 0 else "under-confident"
        return Finding(
            f"Expected calibration error {error:.3f} (a calibrated model would have "
            f"{chance.mean():.3f} on {len(y)} rows); mean confidence {confidence.mean():.3f} at "
            f"accuracy {right.mean():.3f}, {says}; a temperature of {mend:.2g} mends most of it.",
            "Divide the logits by that temperature, chosen on held-out rows; or stop earlier.",
            {"ece": error, "ece_by_chance": float(chance.mean()), "gap": gap, "temperature": mend},
            figures=(diagram,),
            p_value=p,
            severity="warning" if wild else "info",
        )


def linear(dataset: Dataset, seed: int) -> Any:
    """Of few choices, so that it is fast."""
    from sklearn.linear_model import LogisticRegression, RidgeCV

    if dataset.task == "regression":
        return RidgeCV(alphas=np.logspace(-3, 5, 17))
    return LogisticRegression(C=30 if dataset.modality == "text" else 0.1, max_iter=500)


class WorthIt(ModelCheck):
    """A model that takes longer than a linear one should be better. Logistic or ridge regression
    is trained on the same rows. p-value of being worse, paired over the test examples. Effect size
    floor: 0.03 of accuracy, or of the variance of the target. A warning where training also takes
    three times as long, else told."""

    code = "RC232"
    title = "It is no worse than a linear model"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        y, mine = subject.y_test, subject.values(subject.predicted, subject.y_test)
        plain = Model(Given("a linear model", linear, "sparse"), subject.dataset, subject.fast)
        theirs = subject.values(plain.predicted, y)
        gap = difference_interval(mine, theirs)
        p = above(theirs - mine, SCORE_FLOOR)
        ratio = subject.fitted.seconds / max(plain.fitted.seconds, 1e-3)
        slow = ratio > SLOWER
        better = (
            "better than" if gap.low > 0 else "worse than" if gap.high < 0 else "no better than"
        )
        speed = f"{ratio:.1f} times as long" if ratio >= 1 else "less time"
        return Finding(
            f"With {score_name(subject)} {mine.mean():.3f} it is {better} a linear model with "
            f"{theirs.mean():.3f} (difference {gap.low:+.3f} to {gap.high:+.3f}), and takes "
            f"{speed} to train.",
            "Use the linear model, or find out what keeps this one from being as good.",
            {"score": float(mine.mean()), "reference": float(theirs.mean()), "slower": slow},
            p_value=p,
            severity="warning" if slow else "info",
        )


class RightNames(ModelCheck):
    """Answers that are nearly right, but for their name or scale. A constant answer; classes that
    are off by one or swapped (the names that fit the confusion matrix best raise the accuracy by
    0.2 and more); numbers that need a factor and an offset, learnt on half of the test rows, to
    halve the squared error on the others: a target that was scaled and not scaled back. A class
    that is never called is a warning."""

    code = "RC233"
    title = "Its answers have the right names and scale"
    severity = "error"
    needs = ("input",)

    def run(self, subject: Model) -> Finding | None:
        predicted, y = subject.predicted, subject.y_test
        if len(y) > 1 and np.ptp(predicted.label) == 0 and np.ptp(y) > 0:
            what = (
                f"class {subject.dataset.classes[int(predicted.label[0])]!r}"
                if subject.classification
                else f"{predicted.label[0]:.4g}"
            )
            return Finding(
                f"It answers {what} for all {len(y)} test rows.",
                "It has learnt nothing, or answers with what it has not learnt.",
                {"constant": True},
            )
        return names(subject, predicted) if subject.classification else scale(subject, predicted)


def names(subject: Model, predicted: Predicted) -> Finding | None:
    y, label = subject.y_test, predicted.label.astype(np.int64)
    classes = subject.dataset.classes
    k = len(classes)
    confusion = np.zeros((k, k), dtype=np.int64)
    np.add.at(confusion, (y, label), 1)
    truth, called = linear_sum_assignment(-confusion)
    renamed = np.empty(k, dtype=np.int64)
    renamed[called] = truth
    before, after = (label == y).astype(float), (renamed[label] == y).astype(float)
    gain = difference_interval(after, before)
    moved = np.flatnonzero(renamed != np.arange(k))
    # Of a net that has learnt nothing, some names fit better by chance, but none fit well.
    prior = float(np.bincount(y).max() / len(y))
    if gain.estimate > GAIN and gain.low > 0 and after.mean() > (1 + prior) / 2:
        pairs = ", ".join(f"{classes[c]!r} for {classes[renamed[c]]!r}" for c in moved[:5])
        return Finding(
            f"Other names for its classes raise the accuracy from {before.mean():.3f} to "
            f"{after.mean():.3f}: it says {pairs}.",
            "Look at how classes are turned into codes and back.",
            {"renamed": {classes[c]: classes[renamed[c]] for c in moved}, "gain": gain.estimate},
        )
    never = [
        classes[c]
        for c in range(k)
        if confusion[c].sum() >= FEWEST
        and not confusion[:, c].any()
        and (subject.y_train == c).any()
    ]
    if not never:
        return None
    return Finding(
        f"It never answers {', '.join(map(repr, never[:5]))}, of which the test part has "
        f"{FEWEST} examples and more.",
        "Look at the number of outputs and at the weights of the classes.",
        {"never": never},
        severity="warning",
    )


def scale(subject: Model, predicted: Predicted) -> Finding | None:
    y, label = subject.y_test, predicted.label
    if len(y) < 8:
        raise NotApplicable("fewer than eight test rows")
    half = np.arange(len(y)) % 2 == 0
    if label[half].std() == 0:
        return None
    line = stats.linregress(label[half], y[half])
    mended = line.intercept + line.slope * label
    squares = {"as it is": (label - y) ** 2, "mended": (mended - y) ** 2}
    errors = {name: float(s[~half].mean()) for name, s in squares.items()}
    gain = difference_interval(squares["as it is"][~half], squares["mended"][~half])
    related = line.pvalue < 1e-4 and errors["mended"] < float(y[~half].var())
    if not related or gain.low <= 0 or errors["mended"] > 0.5 * errors["as it is"]:
        return None
    return Finding(
        f"{line.intercept:.4g} + {line.slope:.4g} × its answer has a squared error of "
        f"{errors['mended']:.4g} where its answer has {errors['as it is']:.4g}.",
        "Its answers are on another scale than the target; undo what was done to the target.",
        {"slope": line.slope, "offset": line.intercept, "squared_error": errors},
    )
