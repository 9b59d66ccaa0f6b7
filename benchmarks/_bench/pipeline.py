"""Pictures a second: from the archive, from the cache, into the net, and how long the net waits."""

from __future__ import annotations

import contextlib
import copy
import importlib
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from rung import features, isolate, suite
from rung.dataset import Dataset, take
from rung.training import Augment, train

from .records import Flow
from .shared import clocked, fresh_home, pictures

TURNS, FED_TURNS = 3, 5  # the second of a ratio near 1, which noise hides more easily
SIZES = (32, 64)  # that the rungs see
EPOCHS = 3  # so that each size of the growing pictures has several batches
ROWS = 4_096  # enough for the convnet to train at 64 px; their batches fit into memory
PRELOAD = ("PIL.Image", "joblib", "rung.features", "rung.sources")
# Promised of all of Imagenette.
FIRST_S, AGAIN_S, RATIO = 10.0, 0.3, 1.05


def pipeline(full: bool) -> Iterator[Flow]:
    dataset, missing = pictures()
    for px in SIZES:
        yield from prepared(dataset.name, px, TURNS, promised=not missing)
    yield fed(dataset, ROWS, FED_TURNS, promised=not missing)


def prepared(name: str, px: int, turns: int, promised: bool) -> list[Flow]:
    """Loading and decoding, the first time and again, each in a process of its own."""
    first, again = [], []
    for _ in range(turns):
        with fresh_home(), isolate.Server(PRELOAD) as server:
            n, title, s = server.call(prepare, name, px)
            first.append(s)
            again.append(server.call(prepare, name, px)[2])
    bounds = (FIRST_S, AGAIN_S) if promised else (None, None)
    return [
        Flow(f"{title} {px} px, first: read, decoded, kept", n, first, most_s=bounds[0]),
        Flow(f"{title} {px} px, again: from the cache", n, again, most_s=bounds[1]),
    ]


def prepare(name: str, px: int) -> tuple[int, str, float]:
    """(pictures, title of the data set, seconds)."""
    found: list[Dataset] = []

    def work() -> None:
        found.append(suite.load(name))
        features.pixels(found[0], px)

    s = clocked(work)
    return len(found[0]), found[0].title, s


def fed(dataset: Dataset, rows: int, turns: int, promised: bool) -> Flow:
    """The convnet's training, step by step in turns with nothing but forward and backward passes on
    the batches of a training before, so that noise meets both.

    What the convnet asks of the training loop is taken down instead of done, and done here.
    """
    convnet = importlib.import_module("rung.suite.baselines.convnet")
    some = dataset.splits[0].train[:: max(1, len(dataset.splits[0].train) // rows)][:rows]
    X, y = take(features.pixels(dataset, convnet.baseline.px), some), dataset.y[some]
    with patch.object(convnet, "train") as asked:
        convnet.ConvnetClassifier(epochs=EPOCHS, random_state=0).fit(X, y)
    asked.assert_called_once()
    (net, data, targets), options = asked.call_args
    augment: Augment = options.pop("augment")
    batches: list[Tensor] = []

    def kept(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        batches.append(augment(rows, generator, progress))
        return batches[-1]

    def training(augment: Augment) -> None:
        train(copy.deepcopy(net), data, targets, augment=augment, **options)

    def turn() -> tuple[float, float, float]:
        """Seconds of the training, of passes alone after each of its steps, and of optimizers."""
        other, same, passes = copy.deepcopy(net).train(), iter(batches), 0.0

        def between(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
            nonlocal passes
            batch = next(same)
            begun = time.perf_counter()
            other.zero_grad(set_to_none=True)
            options["loss"](other(batch), targets[: len(batch)]).backward()
            passes += time.perf_counter() - begun
            return augment(rows, generator, progress)

        with stepping() as steps:
            both = clocked(lambda: training(between))
        return both - passes, passes, sum(steps)

    training(kept)
    turned = [turn() for _ in range(turns)]
    whole, alone, steps = (list(seconds) for seconds in zip(*turned, strict=True))
    sides = [batch.shape[1] for batch in batches]
    said = f"{min(sides)} to {max(sides)} px" if min(sides) < max(sides) else f"{max(sides)} px"
    n = EPOCHS * len(data)
    name = f"{dataset.title} {said}, into the convnet"
    return Flow(name, n, whole, alone, steps, most=RATIO if promised else None)


@contextlib.contextmanager
def stepping() -> Iterator[list[float]]:
    """Seconds of each step of an optimizer, on a processor: nothing waits for a GPU here."""
    seconds: list[float] = []

    def begin(*_: Any) -> None:
        seconds.append(-time.perf_counter())

    def end(*_: Any) -> None:
        seconds[-1] += time.perf_counter()

    hooks = register_optimizer_step_pre_hook(begin), register_optimizer_step_post_hook(end)
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()
