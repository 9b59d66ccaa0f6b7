"""What it costs that each trial runs in a process of its own: `nox -s bench`."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import rung
from rung import isolate, runner, suite
from rung.benchmark import Trial, trials
from rung.trial import run

REPEATS = 40
MANY = 200


def clocked(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def trivial(dataset: rung.Dataset, seeds: int) -> list[Trial]:
    return trials(dataset, [("random", suite.baseline("random"))], seeds=seeds)


def one(dataset: rung.Dataset) -> tuple[float, float, float]:
    """Medians of a trivial trial's seconds: in this process, and in one of its own, in turns; and
    the median of their differences."""
    (trial,) = trivial(dataset, 1)
    baseline, rung_hash = suite.baseline("random"), suite.get("baselines", "random").hash
    here, apart = [], []
    with isolate.Server(runner.heavy(["random", "net"])) as server:
        file = runner.ship(dataset, server.folder)
        limits = runner.Resources().limits
        server.call(runner.work, trial, file, rung_hash, 1, limits=limits)
        run(trial, baseline, dataset)
        for _ in range(REPEATS):
            here.append(clocked(lambda: run(trial, baseline, dataset)))
            apart.append(
                clocked(lambda: server.call(runner.work, trial, file, rung_hash, 1, limits=limits))
            )
    differences = [b - a for a, b in zip(here, apart, strict=True)]
    return statistics.median(here), statistics.median(apart), statistics.median(differences)


def many(dataset: rung.Dataset) -> float:
    """Seconds of a whole run of 200 trivial trials, the start of the server included."""
    return clocked(lambda: rung.run(dataset, ["random"], MANY, progress="none"))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["RUNG_HOME"] = home
        dataset = rung.load("digits")
        here, apart, more = one(dataset)
        print(
            f"A trivial trial (random on digits): {1000 * here:.0f} ms in this process, "
            f"{1000 * apart:.0f} ms in one of its own, {1000 * more:.0f} ms more "
            f"(medians, {REPEATS} pairs in turns)."
        )
        print(f"{MANY} of them, a whole run: {many(dataset):.1f} s.")


if __name__ == "__main__":
    main()
