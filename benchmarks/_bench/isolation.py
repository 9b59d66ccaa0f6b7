"""What it costs that each trial runs in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

import rung
from rung import isolate, runner, suite
from rung.benchmark import trials
from rung.dataset import Dataset
from rung.trial import run

from .records import Isolated
from .shared import clocked, fresh_home

BLOCKS, TURNS = 4, 10  # medians over so many turns each
MANY = 200


def isolation(full: bool) -> Iterator[Isolated]:
    """A trivial trial, `random` on digits.

    In a new interpreter: in one that holds all that the pairs have imported and made, a trial in
    this process takes twice as long, for it begins with a collection of garbage.
    """
    done = subprocess.run([sys.executable, "-m", __name__], stdout=subprocess.PIPE, check=True)
    yield Isolated.of(json.loads(done.stdout))


def measured(dataset: Dataset, blocks: int, turns: int, many: int) -> Isolated:
    found = [one(dataset, turns) for _ in range(blocks)]
    here, apart, more = (list(column) for column in zip(*found, strict=True))
    whole = clocked(lambda: rung.run(dataset, ["random"], many, progress="none"))
    return Isolated(f"random on {dataset.name}", here, apart, more, many, [whole])


def one(dataset: Dataset, turns: int) -> tuple[float, float, float]:
    """Medians of a trivial trial's seconds: in this process, and in one of its own, in turns; and
    the median of their differences."""
    (trial,) = trials(dataset, [("random", suite.baseline("random"))], seeds=1)
    baseline, rung_hash = suite.baseline("random"), suite.get("baselines", "random").hash
    here, apart = [], []
    with isolate.Server(runner.heavy(["random", "net"])) as server:
        file = runner.ship(dataset, server.folder)
        limits = runner.Resources().limits
        server.call(runner.work, trial, file, rung_hash, 1, limits=limits)
        run(trial, baseline, dataset)
        for _ in range(turns):
            here.append(clocked(lambda: run(trial, baseline, dataset)))
            apart.append(
                clocked(lambda: server.call(runner.work, trial, file, rung_hash, 1, limits=limits))
            )
    differences = [b - a for a, b in zip(here, apart, strict=True)]
    return statistics.median(here), statistics.median(apart), statistics.median(differences)


if __name__ == "__main__":
    with fresh_home():
        found = measured(rung.load("digits"), BLOCKS, TURNS, MANY)
    print(json.dumps(dataclasses.asdict(found)))
