"""What several parts of the bench work with: the data, a home of its own, trials past the cache."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from rung import features, home, isolate, runner, suite
from rung.benchmark import Trial
from rung.dataset import Dataset, take
from rung.errors import RungError
from rung.trial import Outcome, run

Run = Callable[[Trial, Dataset], Outcome]
Parts = tuple[Any, NDArray[Any], Any, NDArray[Any]]


@functools.cache
def pictures() -> tuple[Dataset, str]:
    """Imagenette and "", or where it is not, its small sister and why."""
    try:
        return suite.load("imagenette"), ""
    except RungError as error:
        return suite.load("imagenette_mini"), str(error)


def parts(dataset: Dataset, needs: Any = "standardized", most: int | None = None) -> Parts:
    """X and y of the training part (at most so many rows) and of the test part, as a rung sees
    them."""
    split = dataset.splits[0]
    train = split.train
    if most is not None and most < len(train):
        train = np.sort(np.random.default_rng(0).choice(train, most, replace=False))
    X = features.raw(dataset, needs, 32)
    fitted = features.fitted(dataset, needs)
    A, B = take(X, train), take(X, split.test)
    if fitted is not None:
        A, B = fitted.fit_transform(A), fitted.transform(B)
    return A, np.asarray(dataset.y[train]), B, np.asarray(dataset.y[split.test])


def clocked(work: Callable[[], Any]) -> float:
    """Seconds of work()."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextlib.contextmanager
def fresh_home() -> Iterator[None]:
    """A home in which nothing is prepared and no trial is kept, but with the archives of this one."""
    known = home.place().resolve()
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, RUNG_HOME=folder):
        for name in ("downloads", "local.json"):
            if (known / name).exists():
                Path(folder, name).symlink_to(known / name)
        yield


@contextlib.contextmanager
def apart(threads: int) -> Iterator[Run]:
    """Runs trials, each in a process of its own, never from the cache.

    The libraries of all rungs are imported before, so that no fit waits for them and all processes
    begin with the same memory.
    """
    with isolate.Server(runner.heavy(e.name for e in suite.ladder())) as server:

        def call(trial: Trial, dataset: Dataset) -> Outcome:
            file = server.folder / dataset.fingerprint
            if not file.exists():
                runner.ship(dataset, server.folder)
            limits = isolate.Limits(threads=threads)
            outcome: Outcome = server.call(_run, trial, file, threads, limits=limits)
            return outcome

        yield call


def _run(trial: Trial, file: Path, threads: int) -> Outcome:
    import joblib

    return run(trial, suite.baseline(trial.rung), joblib.load(file, mmap_mode="r"), threads)
