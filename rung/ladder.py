"""Runs ladders: from names, or a data set in hand, to boards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rung import benchmark as benchmarks
from rung import cluster, home, runner, suite
from rung import device as devices
from rung.benchmark import Benchmark
from rung.board import Board
from rung.dataset import Dataset
from rung.errors import RungError, unknown
from rung.runner import TRIAL_SECONDS, Resources
from rung.trial import Outcome

DEFAULT = "quick"


@dataclass
class Run:
    """What a run gives: a board for each data set, the outcomes, and what to tell the user."""

    boards: list[Board]
    outcomes: list[Outcome]
    notes: list[str] = field(default_factory=list)
    stopped: KeyboardInterrupt | None = None
    left_out: list[str] = field(default_factory=list)  # data sets that can't be had


def find(name: str) -> Benchmark:
    """The benchmark of that name, or the whole ladder on the data set of that name."""
    known = suite.entries("benchmarks")
    if name in known:
        benchmark: Benchmark = known[name].load()
        return benchmark
    if name in suite.entries("datasets"):
        return Benchmark(datasets=[name])
    raise unknown("benchmark or data set", name, [*known, *suite.entries("datasets")])


def is_path(name: str) -> bool:
    """Whether this means a file or folder: it looks like one or is there, and is no known name."""
    if name in suite.entries("benchmarks") or name in suite.entries("datasets"):
        return False
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1 or name.endswith("/") or path.exists()


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise RungError(f"--level {level}: say a number between 0 and 1, such as 0.95")


def climb(
    target: Benchmark | Dataset,
    *,
    baselines: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    train_size: int | None = None,
    trial_timeout: float | None = None,
    trial_memory: int | None = None,
    budget: float | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    level: float = 0.95,
    progress: str = "auto",
) -> Run:
    """Runs all trials of a benchmark, or the whole ladder on a data set, and makes the boards.

    baselines: names, instead of the benchmark's. seeds: training runs of each rung that is not
    deterministic. train_size: rows drawn from the training part. trial_timeout, budget: seconds of
    a trial and of the whole run. trial_memory: bytes. scheduler, workers: the address of a Dask
    cluster, or how many workers of one to start here. level: of the intervals. Ctrl-C ends the run
    with the boards of what is finished, and `stopped` set. Of several data sets one that can't be
    had is left out.
    """
    deadline = time.time() + (float("inf") if budget is None else budget)
    if seeds is not None and seeds < 1:
        raise RungError(f"--seeds {seeds}: at least one is needed")
    if train_size is not None and train_size < 2:
        raise RungError(f"--train-size {train_size}: at least two rows are needed")
    if jobs is not None and jobs < 1:
        raise RungError(f"--jobs {jobs}: at least one is needed")
    if workers is not None and (workers < 1 or scheduler is not None):
        raise RungError(
            f"--workers {workers}: at least one is needed"
            if scheduler is None
            else "--scheduler is for a cluster that runs, --workers starts one; say one of them"
        )
    on_cluster = scheduler is not None or workers is not None
    if on_cluster:
        cluster.library()
    check_level(level)
    if isinstance(target, Dataset):
        datasets, unnamed = {target.name: target}, [target.name]
        target = Benchmark(datasets=[target.name])
    else:
        datasets, unnamed = {}, []
    chosen = baselines if baselines is not None else target.baselines
    names = [e.name for e in suite.ladder()] if chosen is None else list(chosen)
    rungs = {name: suite.baseline(name) for name in names}
    where = devices.resolve(device, precision, on_cluster)
    home.need()
    left_out = {}
    for name in target.datasets:
        try:
            datasets[name] = datasets.get(name) or suite.load(name)
        except RungError as error:
            left_out[name] = f"{name} is left out: {error}"
            if len(left_out) == len(target.datasets):
                raise
    there = [name for name in target.datasets if name in datasets]
    plan = [
        trial
        for name in there
        for trial in benchmarks.trials(
            datasets[name],
            rungs.items(),
            seeds=seeds or target.seeds,
            variants=target.variants,
            train_size=train_size,
            device=where,
        )
    ]
    if not plan:
        raise RungError(f"none of the rungs {', '.join(names)} applies to {', '.join(there)}")
    resources = Resources(
        jobs, trial_timeout or TRIAL_SECONDS, trial_memory, deadline, scheduler, workers
    )
    report = runner.run(plan, datasets, rungs, resources, progress, unnamed)
    boards = [
        Board.from_outcomes(of_one, target.reported_on(name), level)
        for name in there
        if (of_one := [o for o in report.outcomes if o.trial.dataset == name])
    ]
    notes = [*report.notes, *left_out.values()]
    return Run(boards, report.outcomes, notes, report.stopped, list(left_out))


def run(
    target: str | Dataset = DEFAULT,
    baselines: Sequence[str] | None = None,
    seeds: int | None = None,
    *,
    jobs: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    train_size: int | None = None,
    trial_timeout: float | None = None,
    trial_memory: int | None = None,
    budget: float | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    level: float = 0.95,
    progress: str = "auto",
) -> Board:
    """The board of a data set (by name, or a `Dataset`), or of a benchmark with one data set.

    Finished trials come from the cache. trial_timeout, trial_memory: seconds and bytes that a trial
    may take (an hour; its share of the machine's memory). budget: seconds for all.
    scheduler, workers: to run on a Dask cluster (see `rung.cluster`). progress: "auto", "plain" or "none". Raises RungError for bad input, and for a benchmark of several data
    sets: run those one by one.
    """
    found = target if isinstance(target, Dataset) else find(target)
    if isinstance(found, Benchmark) and len(found.datasets) != 1:
        raise RungError(
            f"{target} has {len(found.datasets)} data sets; run them one by one: "
            + ", ".join(found.datasets)
        )
    done = climb(
        found,
        baselines=baselines,
        seeds=seeds,
        jobs=jobs,
        device=device,
        precision=precision,
        train_size=train_size,
        trial_timeout=trial_timeout,
        trial_memory=trial_memory,
        budget=budget,
        scheduler=scheduler,
        workers=workers,
        level=level,
        progress=progress,
    )
    if done.stopped is not None:
        raise done.stopped
    return done.boards[0]


def reported(dataset: str) -> list[benchmarks.Reported]:
    """The reported rows for a data set, of all benchmarks, each once."""
    rows = [
        row
        for entry in suite.entries("benchmarks").values()
        for row in entry.load().reported_on(dataset)
    ]
    return list(dict.fromkeys(rows))
