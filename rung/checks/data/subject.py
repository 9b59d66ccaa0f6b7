"""A data set as the checks of data see it: what several of them need is made once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rung import describe, features
from rung.checks.base import Check, Shown
from rung.dataset import Dataset, Pictures, Split, take
from rung.describe import Sample
from rung.errors import RungError

T = TypeVar("T")

SIDE = 32  # pixels of the pictures that are compared
SEED = 0  # of all that is drawn: a check says the same each time


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """The first split of a data set. fast: spend less time where that costs only some detail.

    rung: the rung whose out-of-sample probabilities judge the labels, "" for the default.
    """

    dataset: Dataset
    fast: bool = False
    rung: str = ""

    def __post_init__(self) -> None:
        if not self.dataset.splits:
            raise RungError(
                f"{self.dataset.name} has no split; check the data set that it was taken from"
            )

    @property
    def split(self) -> Split:
        return self.dataset.splits[0]

    @property
    def train(self) -> NDArray[np.int64]:
        return self.split.train

    @property
    def test(self) -> NDArray[np.int64]:
        return self.split.test

    @cached_property
    def in_test(self) -> NDArray[np.bool_]:
        """(n,) whether a row of the data set is tested on."""
        found = np.zeros(len(self.dataset), dtype=bool)
        found[self.test] = True
        return found

    @property
    def offers(self) -> frozenset[str]:
        return frozenset({self.dataset.task, self.dataset.modality})

    @cached_property
    def frame(self) -> Any:
        """A table as a pandas frame of all rows; columns without a name are X0, X1, ..."""
        return describe.as_frame(self.dataset)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Pictures of all rows, (n, height, width, channels), at most SIDE pixels on a side."""
        return features.pixels(self.dataset, SIDE)

    @cached_property
    def heads(self) -> list[describe.Head]:
        """Size, mode and format of the pictures of all rows, as their files say."""
        X = self.dataset.X
        if not isinstance(X, Pictures):
            return [describe.array_head(X)] * len(X)
        return [describe.head(X[i], str(self.dataset.ids[i])) for i in range(len(X))]

    def standardized(self) -> Any:
        """All rows as (n, n_features) numbers, as a rung that needs them so sees them: what is
        fitted to them is fitted on the training part."""
        X = features.raw(self.dataset, "standardized", SIDE)
        fitted = features.fitted(self.dataset, "standardized")
        if fitted is None:
            return X
        return fitted.fit(take(X, self.train)).transform(X)

    def sample(self, row: int, group: str = "") -> Sample:
        """An example to show."""
        return describe.sample(self.dataset, int(row), group)

    def shown(self, said: str, *rows: int) -> Shown:
        """Examples that belong together, each marked with the part that it stands in."""
        parts = ("train", "test")
        return Shown(said, tuple(self.sample(r, parts[int(self.in_test[r])]) for r in rows))


class DataCheck(Check[Data]):
    """A check of a data set."""


def once(make: Callable[[Data], T]) -> Callable[[Data], T]:
    """What several checks need is made once for each subject, and goes with it."""
    made: WeakKeyDictionary[Data, T] = WeakKeyDictionary()

    @functools.wraps(make)
    def remembered(subject: Data) -> T:
        if subject not in made:
            made[subject] = make(subject)
        return made[subject]

    return remembered
