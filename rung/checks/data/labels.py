"""Classes: how many examples each has, and in which part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rung.checks.base import Finding
from rung.checks.data.subject import Data, DataCheck
from rung.errors import listed

MISLEADING = 0.95  # share of a class: always saying it scores so much
UNEVEN = 0.8
FEW_TRAIN = 10  # examples of a class to learn it from
FEW_TEST = 5  # and to measure its recall


def sizes(data: Data, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(data.dataset.y[rows], minlength=data.dataset.n_classes)


def named(data: Data, which: NDArray[np.bool_], counts: NDArray[np.int64]) -> str:
    """Classes with their counts, in words."""
    return listed(f"{data.dataset.classes[c]} ({counts[c]:,})" for c in np.flatnonzero(which))


class Imbalance(DataCheck):
    """Where nearly all examples are of one class, accuracy says little: always saying it scores
    nearly one. And a class of a few examples can't be learnt."""

    code = "RC121"
    title = "No class has nearly all of the examples, or next to none"
    needs = ("classification",)

    def run(self, subject: Data) -> Finding | None:
        counts, tested = sizes(subject, subject.train), sizes(subject, subject.test)
        largest = int(counts.argmax())
        share = float(counts[largest] / counts.sum())
        scored = float(tested[largest] / max(tested.sum(), 1))
        few = (counts > 0) & (counts < FEW_TRAIN)
        if share < UNEVEN and not few.any():
            return None
        said = []
        if share >= UNEVEN:
            said.append(
                f"{share:.1%} of the training examples are {subject.dataset.classes[largest]}: "
                f"always saying so scores {scored:.1%} in the test part"
            )
        if few.any():
            said.append(f"Fewer than {FEW_TRAIN} training examples: {named(subject, few, counts)}")
        return Finding(
            "; ".join(said) + ".",
            advice="Judge by a metric that counts classes alike (--metric balanced_accuracy, "
            "f1_macro), and merge or drop classes that are too small.",
            values={
                "largest": subject.dataset.classes[largest],
                "share": share,
                "always_scores": scored,
                "train": dict(zip(subject.dataset.classes, counts.tolist(), strict=True)),
            },
            severity="warning" if share >= MISLEADING or few.any() else "info",
        )


class MissingClasses(DataCheck):
    """A class without test examples is never tested, and one of four examples has a recall of which
    nobody knows the first digit. A class without training examples is always got wrong."""

    code = "RC122"
    title = "Every class stands in both parts, often enough"
    needs = ("classification",)

    def run(self, subject: Data) -> Finding | None:
        counts, tested = sizes(subject, subject.train), sizes(subject, subject.test)
        unlearnt, untested = (counts == 0) & (tested > 0), tested == 0
        few = (tested > 0) & (tested < FEW_TEST)
        said = [
            f"{what}: {named(subject, which, shown)}"
            for what, which, shown in (
                ("Missing from the training part, with test examples", unlearnt, tested),
                ("Missing from the test part, with training examples", untested, counts),
                (f"Fewer than {FEW_TEST} test examples", few, tested),
            )
            if which.any()
        ]
        if not said:
            return None
        return Finding(
            "; ".join(said) + ".",
            advice="Split anew with all classes in both parts (from_table and from_arrays do).",
            values={
                "classes": list(subject.dataset.classes),
                "train": counts.tolist(),
                "test": tested.tolist(),
            },
            severity="error" if unlearnt.any() else "warning",
        )
