"""What a rung says of training rows by models that did not see them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from rung import benchmark, device, suite, trial
from rung.baseline import Baseline
from rung.checks.base import NotApplicable
from rung.dataset import Dataset, Split
from rung.trial import Outcome


def applicable(dataset: Dataset) -> list[tuple[str, Baseline]]:
    """The rungs that look at such data in this interpreter, lowest first."""
    rungs = [(entry.name, suite.baseline(entry.name)) for entry in suite.ladder()]
    found = [
        (name, rung)
        for name, rung in rungs
        if rung.applies_to(dataset) and rung.needs != "nothing" and not rung.interpreter
    ]
    if not found:
        raise NotApplicable("no rung of this interpreter looks at such data")
    return found


def quick(dataset: Dataset) -> str:
    """The lowest of them; of pictures the lowest that does more than weigh each pixel, as it would
    words (which is what "sparse" is for): such a model is surest where it is wrong."""
    found = applicable(dataset)
    able = [name for name, rung in found if dataset.modality != "image" or rung.needs != "sparse"]
    return [*able, found[0][0]][0]


def thorough(dataset: Dataset) -> str:
    """The highest of them."""
    return applicable(dataset)[-1][0]


def folded(dataset: Dataset, rows: NDArray[np.int64], folds: int, seed: int) -> list[Split]:
    """The rows dealt to folds at random, class by class; each is tested on once."""
    from sklearn.model_selection import KFold, StratifiedKFold

    deal = KFold if dataset.task == "regression" else StratifiedKFold
    dealt = deal(folds, shuffle=True, random_state=seed).split(rows, dataset.y[rows])
    return [Split(f"fold {k}", rows[a], rows[b]) for k, (a, b) in enumerate(dealt)]


def outcome(dataset: Dataset, name: str, split: Split) -> Outcome:
    """The rung's outcome of a fold, which is a trial like any other."""
    rung, shown = suite.baseline(name), dataclasses.replace(dataset, splits=(split,))
    plan = benchmark.trials(shown, [(name, rung)], seeds=1, device=device.resolve())
    if not plan:
        raise NotApplicable(f"the rung {name} is not for such data")
    return trial.run(plan[0], rung, shown)


def out_of_fold(
    dataset: Dataset, name: str, rows: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.float64]:
    """Of each of the rows what a model says that was trained on the other folds: probabilities,
    (n, n_classes), or numbers, (n,). Raises NotApplicable for a rung without probabilities."""
    classify = dataset.task == "classification"
    answers = np.empty((len(dataset), dataset.n_classes) if classify else len(dataset))
    for split in folded(dataset, rows, folds, seed):
        found = outcome(dataset, name, split)
        if classify and found.proba is None:
            raise NotApplicable(f"the rung {name} gives no probabilities")
        answers[split.test] = found.proba if classify else found.label
    return np.asarray(answers[rows])
