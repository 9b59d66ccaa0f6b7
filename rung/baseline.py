"""A rung of the ladder: one baseline, and how to make its estimator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rung.dataset import Dataset, Modality, Task, seen

# What an estimator is handed as X, for n examples (rung.features makes it):
#   nothing       (n, 1) zeros: the input can't be looked at
#   raw           X as it stands in the data set: texts as (n,) str, a table as frame or array
#   numbers       (n, n_features) float: tables with NaN where something is missing, categories as
#                 codes; pictures flattened, 0 to 1; texts as TF-IDF projected by an SVD
#   standardized  the same, filled and standardised on the training part, a column each category
#   sparse        the same, but texts as a sparse matrix: TF-IDF of words and pairs of words
#   categories    the same as numbers, but a table's categories as columns of the type category
#   pixels        (n, height, width, channels) uint8
Needs = Literal["nothing", "raw", "numbers", "standardized", "sparse", "categories", "pixels"]


@dataclass(frozen=True)
class Baseline:
    """One rung. `make(dataset, seed, **parameters)` returns an unfitted scikit-learn estimator.

    dataset: the training part alone (no test rows, no splits) with task, classes, y, and as X the
    features that the estimator will be fitted to.
    seed: an int for `random_state`. A classifier gets int codes of classes as y and is asked for
    `predict` and, if it has it, `predict_proba`; a regressor for `predict`, and for
    `predict(X, return_std=True)` if it takes that. An estimator with the parameters `device` and
    `precision` has them set by the engine. Attributes after fit: `n_train_` says on how many rows
    it really trained, `chosen_` (plain data) what it chose, for the provenance, and `peak_mib_`
    the memory of processes that it started.
    """

    rung: float  # height on the ladder: the order in which rungs are run and listed
    title: str
    make: Callable[..., Any]
    tasks: tuple[Task, ...] = ("classification", "regression")
    modalities: tuple[Modality, ...] = ("image", "text", "tabular")
    needs: Needs = "standardized"
    px: int = 32  # side of the square that larger pictures are resized to
    deterministic: bool = False  # True: the same training part always gives the same model
    most_values: int | None = None  # pictures of more (height × width × channels) are not for it
    gpu: bool = False  # True: takes `device` and `precision`
    interpreter: str = ""  # the environment that it runs in, by `nox -s NAME`; "": the engine's

    def fixed(self, train_size: int | None, n: int) -> bool:
        """Whether all seeds give the same model. train_size: rows drawn from a training part of n,
        other ones for each seed; None for all."""
        return self.deterministic and (train_size is None or train_size >= n)

    def applies_to(self, dataset: Dataset) -> bool:
        if dataset.task not in self.tasks or dataset.modality not in self.modalities:
            return False
        if self.most_values is None or dataset.modality != "image":
            return True
        return math.prod(seen(dataset.X, self.px)) <= self.most_values
